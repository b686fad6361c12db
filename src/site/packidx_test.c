#include "site/packidx.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { SAMPLE_COUNT = 3, SAMPLE_TAR_SIZE = 10240, FIRST_RECORD_OFF = 40 };

static const struct packidx_entry sample[SAMPLE_COUNT] = {
    {STR_INIT("a/b.txt"), 1024, 100, 1700000000, {1, 2}},
    {STR_INIT("a/c.txt"), 2048, 0, -5, {3, 4}},
    {STR_INIT("zz"), 10240, 0, 0, {~0ull, ~0ull}},
};

struct seen {
    const struct packidx_entry *expected;
    size_t count;
    size_t stop_at;
};

static int
visit(void *arg, const struct packidx_entry *entry)
{
    struct seen *seen = arg;
    const struct packidx_entry *expected = &seen->expected[seen->count++];
    assert_true(str_eq(entry->path, expected->path));
    assert_int_equal(entry->off, expected->off);
    assert_int_equal(entry->size, expected->size);
    assert_int_equal(entry->mtime, expected->mtime);
    assert_int_equal(entry->hash.high, expected->hash.high);
    assert_int_equal(entry->hash.low, expected->hash.low);
    return seen->count == seen->stop_at;
}

static void
encode_sample(struct buf *out)
{
    buf_init(out, 1 << 20);
    packidx_encode(out, SAMPLE_TAR_SIZE, sample, SAMPLE_COUNT);
    assert_false(buf_overflowed(out));
}

/* Puts a right checksum behind changed content. */
static void
seal(struct buf *index)
{
    struct content_hash sum = content_hash(str_first(buf_str(index), index->len - 16));
    memcpy(index->ptr + index->len - 16, &sum.low, 8);
    memcpy(index->ptr + index->len - 8, &sum.high, 8);
}

static void
what_is_encoded_decodes_to_the_same_entries(void **state)
{
    struct buf index;
    struct seen seen = {sample, 0, 0};
    encode_sample(&index);
    assert_int_equal(index.len, packidx_size(sample, SAMPLE_COUNT));
    assert_int_equal(packidx_decode(buf_str(&index), SAMPLE_TAR_SIZE, visit, &seen), PACKIDX_OK);
    assert_int_equal(seen.count, SAMPLE_COUNT);
    buf_deinit(&index);
}

static void
an_empty_list_is_a_valid_index(void **state)
{
    struct buf index;
    struct seen seen = {0};
    buf_init(&index, 1 << 20);
    packidx_encode(&index, 1024, NULL, 0);
    assert_int_equal(packidx_decode(buf_str(&index), 1024, visit, &seen), PACKIDX_OK);
    buf_deinit(&index);
}

static void
the_visitor_can_stop(void **state)
{
    struct buf index;
    struct seen seen = {sample, 0, 2};
    encode_sample(&index);
    assert_int_equal(packidx_decode(buf_str(&index), SAMPLE_TAR_SIZE, visit, &seen), PACKIDX_OK);
    assert_int_equal(seen.count, 2);
    buf_deinit(&index);
}

static void
an_index_of_a_tar_that_grew_is_stale(void **state)
{
    struct buf index;
    struct seen seen = {sample, 0, 0};
    encode_sample(&index);
    assert_int_equal(packidx_decode(buf_str(&index), SAMPLE_TAR_SIZE + 512, visit, &seen),
                     PACKIDX_STALE);
    assert_int_equal(seen.count, 0);
    buf_deinit(&index);
}

static void
every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    struct buf index;
    struct seen seen = {sample, 0, 0};
    encode_sample(&index);
    for (size_t bit = 0; bit < index.len * 8; bit++) {
        index.ptr[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(packidx_decode(buf_str(&index), SAMPLE_TAR_SIZE, visit, &seen),
                         PACKIDX_CORRUPT);
        index.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < index.len; len++)
        assert_int_equal(
            packidx_decode(str_first(buf_str(&index), len), SAMPLE_TAR_SIZE, visit, &seen),
            PACKIDX_CORRUPT);
    assert_int_equal(seen.count, 0);
    buf_deinit(&index);
}

/* Changes `len` bytes at `off` under a right checksum. */
static void
assert_forgery_is_corrupt(size_t off, const char *bytes, size_t len)
{
    struct buf index;
    struct seen seen = {sample, 0, 0};
    encode_sample(&index);
    memcpy(index.ptr + off, bytes, len);
    seal(&index);
    if (packidx_decode(buf_str(&index), SAMPLE_TAR_SIZE, visit, &seen) != PACKIDX_CORRUPT)
        fail_msg("change at %zu went unnoticed", off);
    buf_deinit(&index);
}

static void
nothing_in_a_well_sealed_index_is_trusted(void **state)
{
    const size_t strings_off = FIRST_RECORD_OFF + SAMPLE_COUNT * 56;
    assert_forgery_is_corrupt(24, "\xff\xff\xff\xff\xff\xff\xff\xff", 8); /* count */
    assert_forgery_is_corrupt(24, "\2", 1);
    assert_forgery_is_corrupt(24 + 7, "\x20", 1);               /* count * 56 wraps to the same */
    assert_forgery_is_corrupt(32, "\x11", 1);                   /* string area */
    assert_forgery_is_corrupt(16, "\0\4", 2);                   /* tar too small */
    assert_forgery_is_corrupt(FIRST_RECORD_OFF, "\1", 1);       /* path offset */
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 8, "\1", 1);   /* off not aligned */
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 8, "\0\0", 2); /* off 0 */
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 16, "\xff\xff", 2); /* size past the end */
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 48, "\xff\xff\xff\xff", 4); /* path length */
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 48, "\0", 1);
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 52, "\1", 1);          /* reserved */
    assert_forgery_is_corrupt(FIRST_RECORD_OFF + 2 * 56 + 48, "\1", 1); /* text left over */
    assert_forgery_is_corrupt(strings_off, "/", 1);
    assert_forgery_is_corrupt(strings_off, "x//y", 4);
    assert_forgery_is_corrupt(strings_off, "../b", 4);
    assert_forgery_is_corrupt(strings_off + 2, "..", 3);
    assert_forgery_is_corrupt(strings_off + 6, "/", 1);
    assert_forgery_is_corrupt(strings_off, "b", 1);     /* order */
    assert_forgery_is_corrupt(strings_off + 2, "c", 1); /* twice the same */
}

static void
hashing_in_pieces_gives_the_same_hash(void **state)
{
    char text[5000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * i);
    for (size_t len = 0; len <= sizeof text; len += 331) {
        struct content_hasher *hasher = content_hasher_new();
        for (size_t at = 0; at < len; at += 97)
            content_hasher_update(hasher, str_make(text + at, len - at < 97 ? len - at : 97));
        struct content_hash pieces = content_hasher_finish(hasher);
        struct content_hash whole = content_hash(str_make(text, len));
        assert_int_equal(pieces.high, whole.high);
        assert_int_equal(pieces.low, whole.low);
    }
}

static void
an_etag_is_the_hash_in_hex_between_quotes(void **state)
{
    char etag[CONTENT_ETAG_LEN];
    content_etag((struct content_hash){.high = 0x0123456789abcdef, .low = 0xfedcba9876543210},
                 etag);
    assert_memory_equal(etag, "\"0123456789abcdeffedcba9876543210\"", CONTENT_ETAG_LEN);
    /* the value that the XXH3-128 reference gives for empty input */
    content_etag(content_hash(STR("")), etag);
    assert_memory_equal(etag, "\"99aa06d3014798d86001c324468d497f\"", CONTENT_ETAG_LEN);
}

static int
count_entries(void *arg, const struct packidx_entry *entry)
{
    ++*(size_t *)arg;
    return 0;
}

static double
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void
a_hundred_thousand_entries_decode_fast(void **state)
{
    enum { COUNT = 100000, NAME_MAX_LEN = 64 };
    struct packidx_entry *entries = calloc(COUNT, sizeof *entries);
    char *names = malloc(COUNT * NAME_MAX_LEN);
    for (size_t i = 0; i < COUNT; i++) {
        char *name = names + i * NAME_MAX_LEN;
        snprintf(name, NAME_MAX_LEN, "docs/section-%03zu/page-%06zu/index.html", i / 1000, i);
        entries[i] = (struct packidx_entry){.path = str_from_cstr(name), .off = 512 * (i + 1)};
    }
    struct buf index;
    buf_init(&index, 64 << 20);
    packidx_encode(&index, 512 * (COUNT + 1), entries, COUNT);
    size_t count = 0;
    double start = now_ms();
    assert_int_equal(packidx_decode(buf_str(&index), 512 * (COUNT + 1), count_entries, &count),
                     PACKIDX_OK);
    double taken = now_ms() - start;
    assert_int_equal(count, COUNT);
    print_message("%d entries, %zu bytes: decoded in %.1f ms\n", COUNT, index.len, taken);
    assert_true(taken < 1000); /* a few on any machine; sanitizers and load get room */
    buf_deinit(&index);
    free(names);
    free(entries);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_decodes_to_the_same_entries),
        cmocka_unit_test(an_empty_list_is_a_valid_index),
        cmocka_unit_test(the_visitor_can_stop),
        cmocka_unit_test(an_index_of_a_tar_that_grew_is_stale),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(nothing_in_a_well_sealed_index_is_trusted),
        cmocka_unit_test(hashing_in_pieces_gives_the_same_hash),
        cmocka_unit_test(an_etag_is_the_hash_in_hex_between_quotes),
        cmocka_unit_test(a_hundred_thousand_entries_decode_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
