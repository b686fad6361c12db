#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/range.h"

/* The outcome as text: "ignore", "416", or "off+len" for each range. */
static const char *
outcome(struct str value, uint64_t size)
{
    static char text[1024];
    struct http_ranges ranges;
    enum http_range_result result = http_range_parse(value, size, &ranges);
    if (result == HTTP_RANGE_IGNORE)
        return "ignore";
    if (result == HTTP_RANGE_UNSATISFIABLE)
        return "416";
    size_t len = 0;
    for (unsigned i = 0; i < ranges.count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%llu+%llu", i ? " " : "",
                                (unsigned long long)ranges.list[i].off,
                                (unsigned long long)ranges.list[i].len);
    return text;
}

static void
assert_outcome(const char *value, uint64_t size, const char *expected)
{
    const char *got = outcome(str_from_cstr(value), size);
    if (strcmp(got, expected) != 0)
        fail_msg("\"%s\" of %llu: %s, wanted %s", value, (unsigned long long)size, got, expected);
}

static void
test_single_ranges(void **state)
{
    assert_outcome("bytes=0-0", 10, "0+1");
    assert_outcome("bytes=0-9", 10, "0+10");
    assert_outcome("bytes=2-5", 10, "2+4");
    assert_outcome("bytes=9-", 10, "9+1");
    assert_outcome("bytes=0-", 10, "0+10");
    assert_outcome("bytes=5-100", 10, "5+5");
    assert_outcome("bytes=-3", 10, "7+3");
    assert_outcome("bytes=-10", 10, "0+10");
    assert_outcome("bytes=-11", 10, "0+10");
    assert_outcome("bytes=007-08", 10, "7+2");
    assert_outcome("BYTES=1-2", 10, "1+2");
}

static void
test_unsatisfiable(void **state)
{
    assert_outcome("bytes=10-", 10, "416");
    assert_outcome("bytes=10-11", 10, "416");
    assert_outcome("bytes=-0", 10, "416");
    assert_outcome("bytes=0-", 0, "416");
    assert_outcome("bytes=-5", 0, "416");
    assert_outcome("bytes=10-,-0", 10, "416");
}

static void
test_ignored(void **state)
{
    static const char *const cases[] = {
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes= ",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=2-1",
        "bytes=1-2-3",
        "bytes=--1",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes:0-1",
        "bytes =0-1",
        "items=0-1",
        "byte=0-1",
        "bytes=0-1;a",
        "bytes=0x1-",
        "bytes=0-1,2",
        "bytes=0-1 2-3",
        "bytes=0-1,a-",
        "bytes=\"0-1\"",
        "bytesbytes=0-1",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_outcome(cases[i], 10, "ignore");
}

static void
test_lists(void **state)
{
    assert_outcome("bytes=0-1,4-5", 10, "0+2 4+2");
    assert_outcome("bytes=4-5,0-1", 10, "4+2 0+2");
    assert_outcome("bytes= 0-1 ,\t4-5 ", 10, "0+2 4+2");
    assert_outcome("bytes=,0-1,,4-5,", 10, "0+2 4+2");
    assert_outcome("bytes=0-1,20-30,-1", 10, "0+2 9+1");
}

static void
test_merging(void **state)
{
    assert_outcome("bytes=0-4,3-6", 10, "0+7");
    assert_outcome("bytes=0-4,5-6", 10, "0+7");
    assert_outcome("bytes=5-6,0-4", 10, "0+7");
    assert_outcome("bytes=0-4,6-6", 10, "0+5 6+1");
    assert_outcome("bytes=0-9,2-3", 10, "0+10");
    assert_outcome("bytes=2-3,0-9", 10, "0+10");
    assert_outcome("bytes=8-9,0-1,4-5,1-4", 10, "8+2 0+6");
    /* the last range joins all others, in the place of the first */
    assert_outcome("bytes=6-6,2-2,4-4,0-9", 10, "0+10");
    assert_outcome("bytes=0-0,4-4,8-8,5-7", 10, "0+1 4+5");
}

static void
test_at_most_sixteen(void **state)
{
    char value[256] = "bytes=";
    for (int i = 0; i < HTTP_RANGE_MAX; i++)
        strcat(value, i ? ",1-1" : "1-1");
    assert_outcome(value, 10, "1+1");
    strcat(value, ",50-");
    assert_outcome(value, 10, "ignore");
}

static void
test_huge_numbers_saturate(void **state)
{
    assert_outcome("bytes=0-99999999999999999999999", 10, "0+10");
    assert_outcome("bytes=-99999999999999999999999", 10, "0+10");
    assert_outcome("bytes=99999999999999999999999-", 10, "416");
    assert_outcome("bytes=18446744073709551616-18446744073709551617", 10, "416");
    assert_outcome("bytes=9223372036854775806-9223372036854775807", INT64_MAX,
                   "9223372036854775806+1");
    assert_outcome("bytes=9223372036854775807-", INT64_MAX, "416");
}

/* "off+len/total", with a star for what is not there. */
static const char *
content_range(const char *value)
{
    static char text[96];
    struct http_content_range out;
    size_t len = 0;
    if (!http_content_range_parse(str_from_cstr(value), &out))
        return "refused";
    if (out.has_range)
        len = (size_t)snprintf(text, sizeof(text), "%llu+%llu", (unsigned long long)out.range.off,
                               (unsigned long long)out.range.len);
    else
        text[len++] = '*';
    if (out.has_total)
        snprintf(text + len, sizeof(text) - len, "/%llu", (unsigned long long)out.total);
    else
        strcpy(text + len, "/*");
    return text;
}

static void
test_content_ranges(void **state)
{
    static const char *const cases[][2] = {
        {"bytes 0-9/10", "0+10/10"},
        {"bytes 0-0/1", "0+1/1"},
        {"bytes 42-1233/1234", "42+1192/1234"},
        {"bytes 42-1233/*", "42+1192/*"},
        {"bytes */1234", "*/1234"},
        {"bytes */0", "*/0"},
        {"BYTES 1-2/3", "1+2/3"},
        {"bytes 007-008/009", "7+2/9"},
        {"bytes 9223372036854775806-9223372036854775806/9223372036854775807",
         "9223372036854775806+1/9223372036854775807"},
        {"bytes 0-9223372036854775807/*", "0+9223372036854775808/*"},
        {"bytes */9223372036854775807", "*/9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_string_equal(content_range(cases[i][0]), cases[i][1]);
}

static void
test_refused_content_ranges(void **state)
{
    static const char *const cases[] = {
        "",
        "bytes",
        "bytes ",
        "bytes=0-9/10",
        "items 0-9/10",
        "bytes  0-9/10",
        "bytes 0-9",
        "bytes 0-9/",
        "bytes 0-/10",
        "bytes -9/10",
        "bytes 0/10",
        "bytes /10",
        "bytes */*",
        "bytes *",
        "bytes */",
        "bytes *-9/10",
        "bytes 0-*/10",
        "bytes 0-9/10 ",
        "bytes 0-9/10,",
        "bytes 0-9/10, 20-29/30",
        "bytes 0 - 9/10",
        "bytes 0-9 /10",
        "bytes 0-9/1x",
        "bytes +0-9/10",
        "bytes 0--9/10",
        "bytes 0x0-9/10",
        "bytes 9-8/10",
        "bytes 0-10/10", /* the last byte is behind the end */
        "bytes 0-0/0",
        "bytes 10-19/5",
        "bytes 0-9223372036854775807/9223372036854775807",
        "bytes 9223372036854775808-9223372036854775808/*",
        "bytes 0-9223372036854775808/*",
        "bytes 0-9/9223372036854775808",
        "bytes 0-9/18446744073709551617",
        "bytes 18446744073709551616-18446744073709551617/*",
        "bytes 0-18446744073709551617/*",
        "bytes */18446744073709551616",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (strcmp(content_range(cases[i]), "refused") != 0)
            fail_msg("\"%s\": got %s", cases[i], content_range(cases[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_ranges),
        cmocka_unit_test(test_unsatisfiable),
        cmocka_unit_test(test_ignored),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_merging),
        cmocka_unit_test(test_at_most_sixteen),
        cmocka_unit_test(test_huge_numbers_saturate),
        cmocka_unit_test(test_content_ranges),
        cmocka_unit_test(test_refused_content_ranges),
    };
    return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
