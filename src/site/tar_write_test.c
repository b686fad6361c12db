#include "site/tar.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct member_list members;
    struct buf tar;
    struct error error;
};

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, 1 << 20, 4096);
    member_list_init(&fixture->members, &fixture->arena);
    buf_init(&fixture->tar, 1 << 20);
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    member_list_deinit(&fixture->members);
    arena_deinit(&fixture->arena);
    buf_deinit(&fixture->tar);
    free(fixture);
    return 0;
}

static void
put_end(struct fixture *fixture)
{
    static const char zeros[2 * TAR_BLOCK];
    buf_append(&fixture->tar, str_make(zeros, sizeof zeros));
}

/* Writes one header for an empty file and reads it back; returns the number of blocks. */
static size_t
round_trip(struct fixture *fixture, struct str path, int64_t mtime)
{
    buf_clear(&fixture->tar);
    member_list_deinit(&fixture->members);
    tar_write_header(&fixture->tar, path, 0, mtime);
    size_t blocks = fixture->tar.len / TAR_BLOCK;
    assert_int_equal(fixture->tar.len % TAR_BLOCK, 0);
    put_end(fixture);
    if (tar_read_memory(buf_str(&fixture->tar), &fixture->members, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    assert_int_equal(fixture->members.count, 1);
    assert_true(str_eq(fixture->members.list[0].path, path));
    assert_int_equal(fixture->members.list[0].mtime, mtime);
    return blocks;
}

static void
names_of_every_length_come_back(void **state)
{
    struct fixture *fixture = *state;
    char flat[400], deep[400];
    memset(flat, 'f', sizeof flat);
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = i % 10 == 9 ? '/' : 'd';
    for (size_t len = 1; len <= sizeof flat; len++) {
        assert_int_equal(round_trip(fixture, str_make(flat, len), 1), len <= 100 ? 1 : 3);
        if (deep[len - 1] == '/')
            continue;
        size_t blocks = round_trip(fixture, str_make(deep, len), 1);
        /* Up to 250 a slash stands at a fitting place for the prefix, over 256 never. */
        if (len <= 250)
            assert_int_equal(blocks, 1);
        if (len > 256)
            assert_int_equal(blocks, 3);
    }
}

static void
a_name_splits_at_the_limits_of_prefix_and_name(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    memset(path, 'x', sizeof path);
    path[155] = '/'; /* a prefix of 155 and a name of 100 */
    assert_int_equal(round_trip(fixture, str_make(path, 256), 1), 1);
    path[155] = 'x';
    path[156] = '/'; /* a prefix of 156 does not fit */
    assert_int_equal(round_trip(fixture, str_make(path, 256), 1), 3);
    path[156] = 'x';
    path[99] = '/'; /* a name of 101 does not fit */
    assert_int_equal(round_trip(fixture, str_make(path, 201), 1), 3);
    assert_int_equal(round_trip(fixture, str_make(path, 200), 1), 1);
}

static void
times_outside_of_eleven_octal_digits_come_back(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(round_trip(fixture, STR("a"), 0), 1);
    assert_int_equal(round_trip(fixture, STR("a"), -1), 3);
    assert_int_equal(round_trip(fixture, STR("a"), (1ll << 33) - 1), 1);
    assert_int_equal(round_trip(fixture, STR("a"), 1ll << 33), 3);
    assert_int_equal(round_trip(fixture, STR("a"), INT64_MAX), 3);
    assert_int_equal(round_trip(fixture, STR("a"), INT64_MIN), 3);
}

static void
sizes_over_eight_gibibytes_go_into_a_pax_header(void **state)
{
    struct fixture *fixture = *state;
    tar_write_header(&fixture->tar, STR("a"), (1ull << 33) - 1, 0);
    assert_int_equal(fixture->tar.len, TAR_BLOCK);
    buf_clear(&fixture->tar);
    tar_write_header(&fixture->tar, STR("a"), 1ull << 33, 0);
    assert_int_equal(fixture->tar.len, 3 * TAR_BLOCK);
    assert_int_equal(tar_read_memory(buf_str(&fixture->tar), &fixture->members, &fixture->error),
                     -1);
    assert_non_null(strstr(fixture->error.text, "has 8589934592 bytes"));
}

static void
gnu_tar_lists_what_is_written(void **state)
{
    struct fixture *fixture = *state;
    char path[] = "/tmp/tarn-write-XXXXXX", command[128], listing[2048];
    char longer[300];
    memset(longer, 'n', sizeof longer);
    tar_write_header(&fixture->tar, STR("index.html"), 0, 1700000000);
    tar_write_header(&fixture->tar, STR("caf\xc3\xa9.html"), 0, 1700000000);
    tar_write_header(&fixture->tar, str_make(longer, sizeof longer), 0, -86400);
    put_end(fixture);
    int fd = mkstemp(path);
    assert_int_equal(write(fd, fixture->tar.ptr, fixture->tar.len), (ssize_t)fixture->tar.len);
    close(fd);
    snprintf(command, sizeof command, "TZ=UTC tar --quoting-style=literal --full-time -tvf %s 2>&1",
             path);
    FILE *tool = popen(command, "re");
    size_t len = fread(listing, 1, sizeof listing - 1, tool);
    listing[len] = '\0';
    assert_int_equal(pclose(tool), 0);
    unlink(path);
    assert_non_null(strstr(listing, "-rw-r--r-- root/root"));
    assert_non_null(strstr(listing, "2023-11-14 22:13:20 index.html\n"));
    assert_non_null(strstr(listing, "caf\xc3\xa9.html\n"));
    assert_non_null(strstr(listing, "1969-12-31 00:00:00 nnnnnnn"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_of_every_length_come_back),
        TEST(a_name_splits_at_the_limits_of_prefix_and_name),
        TEST(times_outside_of_eleven_octal_digits_come_back),
        TEST(sizes_over_eight_gibibytes_go_into_a_pax_header),
        TEST(gnu_tar_lists_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
