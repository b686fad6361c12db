#include "site/compress.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT_LEN = 300000 };

static int
memory_file(struct str content)
{
    int fd = memfd_create("compress_test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.ptr, content.len), (ssize_t)content.len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* Words in an order that no coding can guess, so that the output is not tiny. */
static struct str
make_text(void)
{
    static const char *const words[] = {"tarn ", "serves ", "one\n", "file ", "<p>", "quickly "};
    char *text = malloc(TEXT_LEN);
    uint32_t seed = 7;
    size_t len = 0;
    while (len + 16 < TEXT_LEN) {
        seed = seed * 1664525 + 1013904223;
        const char *word = words[(seed >> 20) % 6];
        memcpy(text + len, word, strlen(word));
        len += strlen(word);
    }
    return str_make(text, len);
}

static struct str
make_noise(size_t len)
{
    char *noise = malloc(len);
    uint32_t seed = 3;
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        noise[i] = (char)(seed >> 24);
    }
    return str_make(noise, len);
}

static void
release(struct str s)
{
    free((void *)(uintptr_t)s.ptr);
}

/* Unpacks and compares; `error` may hold the reason after a failure. */
static int
unpack(enum compress_format format, struct str head, struct str packed, uint64_t max,
       struct str *out, struct error *error)
{
    int in_fd = memory_file(packed);
    int out_fd = memory_file(STR(""));
    uint64_t len = 0;
    int result = compress_unpack_prefixed(format, head, in_fd, out_fd, max, &len, error);
    char *text = malloc(len + 1);
    assert_int_equal(pread(out_fd, text, len + 1, 0), (ssize_t)len);
    *out = str_make(text, len);
    close(in_fd);
    close(out_fd);
    return result;
}

static void
assert_unpacks(enum compress_format format, struct str head, struct str packed, struct str expected)
{
    struct error error;
    struct str out;
    if (unpack(format, head, packed, 1 << 30, &out, &error) < 0)
        fail_msg("%s", error.text);
    assert_true(str_eq(out, expected));
    release(out);
}

static void
assert_unpack_fails(enum compress_format format, struct str packed, uint64_t max,
                    const char *reason)
{
    struct error error;
    struct str out;
    assert_int_equal(unpack(format, STR(""), packed, max, &out, &error), -1);
    if (!strstr(error.text, reason))
        fail_msg("'%s' does not say '%s'", error.text, reason);
    release(out);
}

static void
text_shrinks_in_every_coding_and_the_same_way_twice(void **state)
{
    struct str text = make_text();
    for (enum http_coding coding = 0; coding < HTTP_CODING_IDENTITY; coding++) {
        struct str one, two;
        assert_int_equal(compress_buffer(coding, text, &one), 0);
        assert_int_equal(compress_buffer(coding, text, &two), 0);
        assert_true(one.len < text.len / 2);
        assert_true(str_eq(one, two));
        if (coding == HTTP_CODING_GZIP)
            assert_unpacks(COMPRESS_GZIP, STR(""), one, text);
        if (coding == HTTP_CODING_ZSTD)
            assert_unpacks(COMPRESS_ZSTD, STR(""), one, text);
        release(one);
        release(two);
    }
    release(text);
}

static void
brotli_output_is_what_the_brotli_tool_reads(void **state)
{
    struct str text = make_text(), packed;
    assert_int_equal(compress_buffer(HTTP_CODING_BR, text, &packed), 0);
    if (system("command -v brotli >/dev/null 2>&1") != 0)
        skip();
    char path[] = "/tmp/tarn-brotli-XXXXXX", command[256];
    int fd = mkstemp(path);
    assert_int_equal(write(fd, packed.ptr, packed.len), (ssize_t)packed.len);
    close(fd);
    snprintf(command, sizeof command, "brotli -dc <%s", path);
    FILE *tool = popen(command, "re");
    char *plain = malloc(text.len + 1);
    assert_int_equal(fread(plain, 1, text.len + 1, tool), text.len);
    assert_int_equal(pclose(tool), 0);
    assert_memory_equal(plain, text.ptr, text.len);
    free(plain);
    unlink(path);
    release(packed);
    release(text);
}

static void
what_saves_less_than_five_percent_is_not_kept(void **state)
{
    /* Noise with a compressible tail of a known share: just under and just over 5 %. */
    for (enum http_coding coding = 0; coding < HTTP_CODING_IDENTITY; coding++) {
        struct str out, noise = make_noise(100000);
        char *bytes = (char *)(uintptr_t)noise.ptr;
        assert_int_equal(compress_buffer(coding, noise, &out), 1);
        assert_null(out.ptr);
        memset(bytes + 96000, 'a', 4000);
        assert_int_equal(compress_buffer(coding, noise, &out), 1);
        memset(bytes + 94000, 'a', 6000);
        assert_int_equal(compress_buffer(coding, noise, &out), 0);
        assert_true(out.len * 100 <= noise.len * 95);
        release(out);
        release(noise);
    }
}

static void
tiny_and_empty_input_and_identity_give_nothing(void **state)
{
    for (enum http_coding coding = 0; coding <= HTTP_CODING_IDENTITY; coding++) {
        struct str out;
        assert_int_equal(compress_buffer(coding, STR(""), &out), 1);
        assert_int_equal(compress_buffer(coding, STR("a"), &out), 1);
        assert_int_equal(compress_buffer(coding, STR("ab"), &out), 1);
    }
    struct str out;
    assert_int_equal(compress_buffer(HTTP_CODING_IDENTITY, STR("aaaaaaaaaaaaaaaaaaaaaaaaaa"), &out),
                     1);
}

static void
formats_are_told_by_their_first_bytes(void **state)
{
    assert_int_equal(compress_detect("\x1f\x8b\x08\x00", 4), COMPRESS_GZIP);
    assert_int_equal(compress_detect("\x1f\x8b\x08\x00", 2), COMPRESS_NONE);
    assert_int_equal(compress_detect("\x1f\x8b\x07\x00", 4), COMPRESS_NONE);
    assert_int_equal(compress_detect("\x28\xb5\x2f\xfd", 4), COMPRESS_ZSTD);
    assert_int_equal(compress_detect("\x28\xb5\x2f\xfd", 3), COMPRESS_NONE);
    assert_int_equal(compress_detect("\x53\x2a\x4d\x18", 4), COMPRESS_ZSTD);
    assert_int_equal(compress_detect("BZh9", 4), COMPRESS_NONE);
    assert_int_equal(compress_detect(NULL, 0), COMPRESS_NONE);
}

static void
pieces_in_a_row_are_one_stream_wherever_it_is_split(void **state)
{
    static const struct {
        enum http_coding coding;
        enum compress_format format;
    } kinds[] = {{HTTP_CODING_GZIP, COMPRESS_GZIP}, {HTTP_CODING_ZSTD, COMPRESS_ZSTD}};
    struct str word = STR("aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    char twice[256];
    memcpy(twice, word.ptr, word.len);
    memcpy(twice + word.len, word.ptr, word.len);
    for (int i = 0; i < 2; i++) {
        struct str one;
        char both[512];
        assert_int_equal(compress_buffer(kinds[i].coding, word, &one), 0);
        memcpy(both, one.ptr, one.len);
        memcpy(both + one.len, one.ptr, one.len);
        struct str all = str_make(both, 2 * one.len);
        for (size_t at = 0; at <= all.len; at++)
            assert_unpacks(kinds[i].format, str_first(all, at), str_skip(all, at),
                           str_make(twice, 2 * word.len));
        for (size_t at = 0; at < all.len; at++)
            if (at != one.len)
                assert_unpack_fails(kinds[i].format, str_first(all, at), 1000, "cut short");
        release(one);
    }
}

static void
zeros_behind_gzip_are_padding_and_other_bytes_are_not(void **state)
{
    struct str text = make_text(), packed;
    assert_int_equal(compress_buffer(HTTP_CODING_GZIP, text, &packed), 0);
    char *longer = calloc(1, packed.len + 1000);
    memcpy(longer, packed.ptr, packed.len);
    assert_unpacks(COMPRESS_GZIP, STR(""), str_make(longer, packed.len + 1000), text);
    longer[packed.len + 999] = 1;
    assert_unpack_fails(COMPRESS_GZIP, str_make(longer, packed.len + 1000), 1 << 30, "corrupt");
    longer[packed.len] = 'x';
    assert_unpack_fails(COMPRESS_GZIP, str_make(longer, packed.len + 1000), 1 << 30, "corrupt");
    free(longer);
    release(packed);
    release(text);
}

static void
damage_and_excess_are_reported(void **state)
{
    struct str text = make_text(), gzip, zstd;
    assert_int_equal(compress_buffer(HTTP_CODING_GZIP, text, &gzip), 0);
    assert_int_equal(compress_buffer(HTTP_CODING_ZSTD, text, &zstd), 0);
    assert_unpack_fails(COMPRESS_GZIP, gzip, text.len - 1, "unpacks to more than");
    assert_unpack_fails(COMPRESS_ZSTD, zstd, text.len - 1, "unpacks to more than");
    assert_unpack_fails(COMPRESS_GZIP, STR(""), 100, "cut short");
    assert_unpack_fails(COMPRESS_ZSTD, STR(""), 100, "cut short");
    ((char *)(uintptr_t)gzip.ptr)[gzip.len / 2] ^= 0x55;
    assert_unpack_fails(COMPRESS_GZIP, gzip, 1 << 30, "corrupt gzip data");
    memset((char *)(uintptr_t)zstd.ptr + 4, 0xff, 40);
    assert_unpack_fails(COMPRESS_ZSTD, zstd, 1 << 30, "corrupt zstd data");
    release(gzip);
    release(zstd);
    release(text);
}

static void
plain_data_is_copied(void **state)
{
    struct str text = make_text();
    assert_unpacks(COMPRESS_NONE, str_first(text, 200000), str_skip(text, 200000), text);
    assert_unpack_fails(COMPRESS_NONE, text, text.len - 1, "unpacks to more than");
    release(text);
}

static void
a_failing_descriptor_is_reported(void **state)
{
    struct error error;
    uint64_t len;
    int fd = memory_file(STR("abc"));
    assert_int_equal(compress_unpack(COMPRESS_NONE, -1, fd, 100, &len, &error), -1);
    assert_non_null(strstr(error.text, "cannot read"));
    assert_int_equal(compress_unpack(COMPRESS_NONE, fd, -1, 100, &len, &error), -1);
    assert_non_null(strstr(error.text, "cannot write"));
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_shrinks_in_every_coding_and_the_same_way_twice),
        cmocka_unit_test(brotli_output_is_what_the_brotli_tool_reads),
        cmocka_unit_test(what_saves_less_than_five_percent_is_not_kept),
        cmocka_unit_test(tiny_and_empty_input_and_identity_give_nothing),
        cmocka_unit_test(formats_are_told_by_their_first_bytes),
        cmocka_unit_test(pieces_in_a_row_are_one_stream_wherever_it_is_split),
        cmocka_unit_test(zeros_behind_gzip_are_padding_and_other_bytes_are_not),
        cmocka_unit_test(damage_and_excess_are_reported),
        cmocka_unit_test(plain_data_is_copied),
        cmocka_unit_test(a_failing_descriptor_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
