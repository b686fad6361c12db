/* What the pages show is well-formed whatever goes in. */
#include "cache/pages_html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int
setup(void **state)
{
    struct buf *out = malloc(sizeof *out);
    buf_init(out, 1 << 20);
    *state = out;
    return 0;
}

static int
teardown(void **state)
{
    struct buf *out = *state;
    buf_deinit(out);
    free(out);
    return 0;
}

/* What is there, which is forgotten. */
static void
assert_out(struct buf *out, const char *wanted)
{
    if (!str_eq(buf_str(out), str_from_cstr(wanted)))
        fail_msg("'%.*s', not '%s'", STR_ARG(buf_str(out)), wanted);
    buf_clear(out);
}

static void
text_cannot_leave_its_element_or_attribute(void **state)
{
    struct buf *out = *state;
    html_append_text(out, STR("<a href=\"x\" b='y'>&amp;</a>\n"));
    assert_out(out, "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;\n");
    html_append_text(out, STR("h\xc3\xa9 \xf0\x9f\x92\xa7"));
    assert_out(out, "h\xc3\xa9 \xf0\x9f\x92\xa7");
    html_append_text(out, str_make("a\0b\x1b\r\x7f", 6));
    assert_out(out, "a\xef\xbf\xbd"
                    "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    html_append_text(out, STR("<\xc3"));
    assert_out(out, "&lt;\xef\xbf\xbd");
    html_append_text(out, STR(""));
    assert_out(out, "");
}

static void
encoded_text_is_safe_in_a_query_and_a_shell(void **state)
{
    struct buf *out = *state;
    html_append_encoded(out, STR("https://a.b/c d?e=f&g='h'#%2F"), "");
    assert_out(out, "https%3A%2F%2Fa.b%2Fc%20d%3Fe%3Df%26g%3D%27h%27%23%252F");
    html_append_encoded(out, STR("https://a.b/$(x)"), ":/");
    assert_out(out, "https://a.b/%24%28x%29");
    html_append_encoded(out, str_make("\0\xff~-_.", 6), ":/");
    assert_out(out, "%00%FF~-_.");
}

static void
json_strings_are_json_and_harmless_in_html(void **state)
{
    struct buf *out = *state;
    html_append_json(out, STR("a\"b\\c\n</script>&'"));
    assert_out(out, "\"a\\u0022b\\u005cc\\u000a\\u003c/script\\u003e\\u0026\\u0027\"");
    html_append_json(out, STR("\xc3\xa9"));
    assert_out(out, "\"\xc3\xa9\"");
    html_append_json(out, str_make("\xff\0\x7f", 3));
    assert_out(out, "\"\\ufffd\\u0000\\u007f\"");
}

static void
numbers_are_grouped(void **state)
{
    struct buf *out = *state;
    static const struct {
        uint64_t count;
        const char *text;
    } cases[] = {
        {0, "0"},          {999, "999"},           {1000, "1,000"},
        {12345, "12,345"}, {1234567, "1,234,567"}, {UINT64_MAX, "18,446,744,073,709,551,615"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        html_append_count(out, cases[i].count);
        assert_out(out, cases[i].text);
    }
}

static void
sizes_have_three_digits_and_are_rounded_down(void **state)
{
    struct buf *out = *state;
    static const struct {
        uint64_t len;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1024 + 1023, "1.9 KiB"},
        {100 * 1024 - 1, "99.9 KiB"},
        {100 * 1024, "100 KiB"},
        {1024 * 1024 - 1, "1023 KiB"},
        {(uint64_t)5 << 30, "5.0 GiB"},
        {(uint64_t)3 << 40 | (uint64_t)1 << 39, "3.5 TiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        html_append_size(out, cases[i].len);
        assert_out(out, cases[i].text);
    }
    html_append_size_element(out, 1);
    assert_out(out, "<data title=\"1 byte\" value=\"1\">1 B</data>");
    html_append_size_element(out, 123456);
    assert_out(out, "<data title=\"123,456 bytes\" value=\"123456\">120 KiB</data>");
}

static void
durations_have_one_unit(void **state)
{
    struct buf *out = *state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {INT64_MIN, "0 s"},
        {-1, "0 s"},
        {59, "59 s"},
        {60, "1 min"},
        {3599, "59 min"},
        {3600, "1 h"},
        {172799, "47 h"},
        {172800, "2 d"},
        {864000, "10 d"},
        {31536000, "365 d"},
        {INT64_MAX, "106751991167300 d"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        html_append_duration(out, cases[i].seconds);
        assert_out(out, cases[i].text);
    }
}

static void
percents_are_whole_only_when_they_are(void **state)
{
    struct buf *out = *state;
    static const struct {
        uint64_t part, whole;
        const char *text;
    } cases[] = {
        {0, 0, "0 %"},    {5, 0, "0 %"},        {0, 5, "0 %"},
        {5, 5, "100 %"},  {1, 100000, "0.1 %"}, {99999, 100000, "99.9 %"},
        {1, 3, "33.3 %"}, {6, 5, "120 %"},      {UINT64_MAX - 1, UINT64_MAX, "99.9 %"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        html_append_percent(out, cases[i].part, cases[i].whole);
        assert_out(out, cases[i].text);
    }
}

static void
moments_are_utc(void **state)
{
    struct buf *out = *state;
    html_append_time_element(out, 1714550000, 7200);
    assert_out(out, "<time datetime=\"2024-05-01T07:53:20Z\" title=\"2024-05-01 07:53 UTC\">"
                    "2 h</time>");
    html_append_date(out, INT64_MAX);
    assert_out(out, "9999-12-31 23:59 UTC");
    html_append_date(out, INT64_MIN);
    assert_out(out, "1970-01-01 00:00 UTC");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_cannot_leave_its_element_or_attribute),
        cmocka_unit_test(encoded_text_is_safe_in_a_query_and_a_shell),
        cmocka_unit_test(json_strings_are_json_and_harmless_in_html),
        cmocka_unit_test(numbers_are_grouped),
        cmocka_unit_test(sizes_have_three_digits_and_are_rounded_down),
        cmocka_unit_test(durations_have_one_unit),
        cmocka_unit_test(percents_are_whole_only_when_they_are),
        cmocka_unit_test(moments_are_utc),
    };
    return cmocka_run_group_tests_name("pages_html", tests, setup, teardown);
}
