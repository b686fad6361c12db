#include "server/cache_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static struct cache_list list;

static int
set_up(void **state)
{
    list = (struct cache_list){0};
    arena_init(&list.arena, 1 << 20, 4096);
    return 0;
}

static int
tear_down(void **state)
{
    cache_list_deinit(&list);
    return 0;
}

static void
test_a_page_as_the_cache_makes_it(void **state)
{
    uint64_t pages = 0;
    assert_true(cache_list_add_page(
        &list,
        STR("{\"state\": \"successes\", \"timestamp\": 1700000000, \"disk_usage\": 6,\n"
            "\"match_count\": 7, \"page\": 1, \"page_count\": 3, \"new\": [{}, null],\n"
            "\"resources\": [\n"
            "{\"url\": \"http://a/\\u0026x\", \"size\": 6, \"uses\": 2, \"created\": 1699999000,"
            " \"last_used\": 1699999900, \"expires\": 1700000100, \"content_type\": \"text/plain\","
            " \"etag\": \"\\u0022v\\u0022\", \"sha256\": \"" HEX64 "\", \"more\": {\"a\": 1}},\n"
            "{\"url\": \"http://b/\", \"size\": 18446744073709551615, \"uses\": 99999999999,"
            " \"created\": 5, \"expires\": 4}]}\n"),
        &pages));
    assert_int_equal(pages, 3);
    assert_int_equal(list.now_s, 1700000000);
    assert_int_equal(list.match_count, 7);
    assert_int_equal(list.count, 2);
    const struct cache_entry *entry = &list.entries[0];
    assert_string_equal(entry->url.ptr, "http://a/&x");
    assert_string_equal(entry->content_type.ptr, "text/plain");
    assert_string_equal(entry->etag.ptr, "\"v\"");
    assert_int_equal(entry->len, 6);
    assert_int_equal(entry->use_count, 2);
    assert_int_equal(entry->created_s, 1699999000);
    assert_int_equal(entry->last_used_s, 1699999900);
    assert_int_equal(entry->ttl_s, 1100);
    assert_int_equal(entry->sha256[1], 0x11);
    assert_int_equal(entry->sha256[31], 0xff);
    entry++;
    assert_true(entry->len == UINT64_MAX && entry->use_count == UINT32_MAX && entry->ttl_s == 0);
}

static void
test_what_is_no_page(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "<html>",
        "{\"page_count\": 1}",
        "{\"resources\": []}",
        "{\"page_count\": 0, \"resources\": []}",
        "{\"page_count\": 1, \"resources\": {}}",
        "{\"page_count\": 1, \"resources\": [1]}",
        "{\"page_count\": 1, \"resources\": [{}]}",
        "{\"page_count\": 1, \"resources\": [{\"url\": \"\"}]}",
        "{\"page_count\": 1, \"resources\": [{\"url\": 1}]}",
        "{\"page_count\": 1, \"resources\": [{\"url\": \"a\", \"size\": -1}]}",
        "{\"page_count\": 1, \"resources\": [{\"url\": \"a\", \"created\": 253402300800}]}",
        "{\"page_count\": 1, \"resources\": [{\"url\": \"a\", \"sha256\": \"00\"}]}",
        "{\"page_count\": 1, \"resources\": [{\"url\": \"a\"}]} x",
        "{\"page_count\": 1, \"resources\": [{\"url\": \"a\"}]",
        "{\"page_count\": -1, \"resources\": []}",
        "{\"timestamp\": \"now\", \"page_count\": 1, \"resources\": []}",
    };
    uint64_t pages;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cache_list_add_page(&list, str_from_cstr(cases[i]), &pages))
            fail_msg("accepted: %s", cases[i]);
    list.count = 0;
    assert_true(cache_list_add_page(&list, STR("{\"page_count\": 1, \"resources\": []}"), &pages));
    assert_int_equal(list.count, 0);
}

static void
test_texts_are_bounded(void **state)
{
    static const char *const members[] = {"url", "content_type", "etag"};
    static const size_t most[] = {URL_MAX, CACHE_FIELD_MAX, CACHE_FIELD_MAX};
    char *text = malloc(2 * URL_MAX);
    uint64_t pages;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned over = 0; over < 2; over++) {
            int len = snprintf(text, 2 * URL_MAX,
                               "{\"page_count\": 1, \"resources\": [{\"url\": \"a\", \"%s\": \"%0*d"
                               "\"}]}",
                               members[i], (int)(most[i] + over), 0);
            arena_reset(&list.arena);
            assert_int_equal(cache_list_add_page(&list, str_make(text, (size_t)len), &pages),
                             !over);
        }
    free(text);
}

/* --- order --- */

static void
add(const char *url, uint64_t len, uint32_t uses, int64_t created_s, int64_t last_used_s)
{
    static struct cache_entry entries[8];
    list.entries = entries;
    entries[list.count++] = (struct cache_entry){
        .url = str_from_cstr(url),
        .len = len,
        .use_count = uses,
        .created_s = created_s,
        .last_used_s = last_used_s,
    };
}

static void
expect_order(int sort, bool reverse, uint64_t limit, const char *expected)
{
    const struct options options = {.sort = sort, .reverse = reverse, .limit = limit};
    char order[16] = "";
    list.count = 0;
    add("b", 5, 1, 30, 9);
    add("a", 1, 7, 20, 5);
    add("d", 9, 1, 10, 7);
    add("c", 5, 2, 40, 7);
    add("a", 1, 7, 20, 5);
    add("d", 9, 1, 10, 7);
    cache_list_arrange(&list, &options);
    for (size_t i = 0; i < list.count; i++)
        order[i] = list.entries[i].url.ptr[0];
    list.entries = NULL; /* not from the heap */
    assert_string_equal(order, expected);
}

static void
test_the_largest_and_latest_come_first(void **state)
{
    expect_order(OPTIONS_SORT_URL, false, 0, "abcd");
    expect_order(OPTIONS_SORT_URL, true, 0, "dcba");
    expect_order(OPTIONS_SORT_SIZE, false, 0, "dbca");
    expect_order(OPTIONS_SORT_SIZE, true, 0, "acbd");
    expect_order(OPTIONS_SORT_USES, false, 0, "acbd");
    expect_order(OPTIONS_SORT_CREATED, false, 0, "cbad");
    expect_order(OPTIONS_SORT_USED, false, 0, "bcda");
    expect_order(OPTIONS_SORT_USED, true, 2, "ad");
    expect_order(OPTIONS_SORT_SIZE, false, 4, "dbca");
    expect_order(OPTIONS_SORT_SIZE, false, 5, "dbca");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_page_as_the_cache_makes_it),
        TEST(test_what_is_no_page),
        TEST(test_texts_are_bounded),
        TEST(test_the_largest_and_latest_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
