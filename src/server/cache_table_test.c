#include "server/cache_table.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NOW_S = 1700000000 };

static const struct cache_entry entries[] = {
    {
        .url = STR_INIT("https://example.com/images/rootfs.img.xz"),
        .content_type = STR_INIT("application/x-xz"),
        .etag = STR_INIT("\"v1\""),
        .len = 1536,
        .sha256 = {0x01, 0xab},
        .created_s = NOW_S - 7200,
        .last_used_s = NOW_S - 5,
        .ttl_s = 864000,
        .use_count = 12345,
    },
    {.url = STR_INIT("http://a/\x1b[31m"), .len = 0, .created_s = NOW_S, .ttl_s = 0},
    {
        .url = STR_INIT("http://b/"),
        .len = UINT64_MAX,
        .created_s = 0,
        .ttl_s = UINT32_MAX,
        .use_count = UINT32_MAX,
    },
};

enum { COUNT = sizeof entries / sizeof *entries };

static void
expect_table(size_t count, unsigned width, const char *expected)
{
    struct cache_table_widths widths;
    struct buf out;
    buf_init(&out, 1 << 16);
    cache_table_measure(&widths, entries, count, NOW_S);
    cache_table_append_head(&out, &widths);
    for (size_t i = 0; i < count; i++)
        cache_table_append_row(&out, &widths, &entries[i], NOW_S, width);
    buf_append_char(&out, '\0');
    assert_string_equal(out.ptr, expected);
    buf_deinit(&out);
}

static void
test_columns_are_as_wide_as_they_must_be(void **state)
{
    expect_table(0, 0, "SIZE  USES  AGE  EXPIRES  URL\n");
    expect_table(1, 0,
                 "  SIZE   USES  AGE  EXPIRES  URL\n"
                 "1.5KiB  12345   2h       9d  https://example.com/images/rootfs.img.xz\n");
    expect_table(COUNT, 0,
                 "         SIZE        USES     AGE  EXPIRES  URL\n"
                 "       1.5KiB       12345      2h       9d  "
                 "https://example.com/images/rootfs.img.xz\n"
                 "           0B           0      0s  expired  http://a/?[31m\n"
                 "16777216.0TiB  4294967295  19675d   30034d  http://b/\n");
}

static void
test_urls_are_fitted_to_the_terminal(void **state)
{
    expect_table(1, 72,
                 "  SIZE   USES  AGE  EXPIRES  URL\n"
                 "1.5KiB  12345   2h       9d  https://example.com/images/rootfs.img.xz\n");
    expect_table(1, 60,
                 "  SIZE   USES  AGE  EXPIRES  URL\n"
                 "1.5KiB  12345   2h       9d  https://ex...ages/rootfs.img.xz\n");
    /* some of it is always there */
    expect_table(1, 10,
                 "  SIZE   USES  AGE  EXPIRES  URL\n"
                 "1.5KiB  12345   2h       9d  https:...otfs.img.xz\n");
}

static void
test_json_has_all_there_is(void **state)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    cache_table_append_json(&out, &entries[0]);
    buf_append_char(&out, '\0');
    assert_string_equal(
        out.ptr,
        "{\"url\": \"https://example.com/images/rootfs.img.xz\", \"size\": 1536, \"uses\": 12345, "
        "\"created\": 1699992800, \"last_used\": 1699999995, \"expires\": 1700856800, "
        "\"content_type\": \"application/x-xz\", \"etag\": \"\\\"v1\\\"\", \"sha256\": "
        "\"01ab000000000000000000000000000000000000000000000000000000000000\"}");
    buf_clear(&out);
    cache_table_append_json(&out, &entries[1]);
    assert_true(str_starts_with(buf_str(&out), STR("{\"url\": \"http://a/\\u001b[31m\", ")));
    buf_deinit(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_they_must_be),
        cmocka_unit_test(test_urls_are_fitted_to_the_terminal),
        cmocka_unit_test(test_json_has_all_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
