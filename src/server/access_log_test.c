#include "server/access_log.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct access_record plain = {
    .method = STR_INIT("GET"),
    .target = STR_INIT("/a?b"),
    .host = STR_INIT("site.example"),
    .referer = STR_INIT("http://r.example/"),
    .user_agent = STR_INIT("agent/1 (x)"),
    .request_id = STR_INIT("id-7"),
    .status = 206,
    .bytes = 5000000000,
    .duration_ns = 1234567,
    .version_minor = 1,
    .complete = true,
};

static void
assert_line(enum access_format format, const struct access_record *record, const char *wanted)
{
    struct buf line;
    buf_init(&line, ACCESS_LINE_MAX);
    access_log_format(&line, format, record, STR("192.0.2.1"), 1792570740, 42);
    if (!str_eq(buf_str(&line), str_from_cstr(wanted)))
        fail_msg("got    %.*swanted %s", STR_ARG(buf_str(&line)), wanted);
    buf_deinit(&line);
}

static void
a_text_line_has_the_combined_format_and_more(void **state)
{
    assert_line(ACCESS_TEXT, &plain,
                "192.0.2.1 - - [21/Oct/2026:08:19:00 +0000] \"GET /a?b HTTP/1.1\" 206 5000000000 "
                "\"http://r.example/\" \"agent/1 (x)\" site.example 0.001235 id-7\n");
    struct access_record record = {.status = 400};
    assert_line(ACCESS_TEXT, &record,
                "192.0.2.1 - - [21/Oct/2026:08:19:00 +0000] \"- - HTTP/1.0\" 400 0 "
                "\"-\" \"-\" - 0.000000 - incomplete\n");
    record.is_h2 = true;
    assert_line(ACCESS_TEXT, &record,
                "192.0.2.1 - - [21/Oct/2026:08:19:00 +0000] \"- - HTTP/2.0\" 400 0 "
                "\"-\" \"-\" - 0.000000 - incomplete\n");
}

static void
a_json_line_is_one_object(void **state)
{
    assert_line(ACCESS_JSON, &plain,
                "{\"time\":\"2026-10-21T08:19:00.042Z\",\"client\":\"192.0.2.1\",\"method\":\"GET\""
                ",\"target\":\"/a?b\",\"status\":206,\"bytes\":5000000000,\"duration\":0.001235,"
                "\"protocol\":\"HTTP/1.1\",\"host\":\"site.example\",\"referer\":\"http://"
                "r.example/\",\"user_agent\":\"agent/1 (x)\",\"request_id\":\"id-7\","
                "\"complete\":true}\n");
    struct access_record record = {.status = 400};
    assert_line(ACCESS_JSON, &record,
                "{\"time\":\"2026-10-21T08:19:00.042Z\",\"client\":\"192.0.2.1\",\"method\":\"\","
                "\"target\":\"\",\"status\":400,\"bytes\":0,\"duration\":0.000000,"
                "\"protocol\":\"HTTP/1.0\",\"host\":\"\",\"referer\":\"\",\"user_agent\":\"\","
                "\"request_id\":\"\",\"complete\":false}\n");
    record.is_h2 = true;
    assert_line(ACCESS_JSON, &record,
                "{\"time\":\"2026-10-21T08:19:00.042Z\",\"client\":\"192.0.2.1\",\"method\":\"\","
                "\"target\":\"\",\"status\":400,\"bytes\":0,\"duration\":0.000000,"
                "\"protocol\":\"HTTP/2.0\",\"host\":\"\",\"referer\":\"\",\"user_agent\":\"\","
                "\"request_id\":\"\",\"complete\":false}\n");
}

/* The user agent of a line, which stands between these two. */
static void
assert_agent(enum access_format format, struct str agent, const char *wanted)
{
    struct access_record record = plain;
    struct buf line;
    struct str before = format == ACCESS_JSON ? STR("\"user_agent\":\"") : STR("example/\" \"");
    struct str behind = format == ACCESS_JSON ? STR("\",\"request_id\"") : STR("\" site.example");
    record.user_agent = agent;
    buf_init(&line, ACCESS_LINE_MAX);
    access_log_format(&line, format, &record, STR("192.0.2.1"), 0, 0);
    struct str text = buf_str(&line);
    assert_int_equal(str_find_char(text, '\n'), text.len - 1);
    text = str_skip(text, str_find(text, before) + before.len);
    text = str_first(text, str_find(text, behind));
    if (!str_eq(text, str_from_cstr(wanted)))
        fail_msg("'%.*s' is not '%s'", STR_ARG(text), wanted);
    buf_deinit(&line);
}

static void
what_a_peer_sent_cannot_leave_its_place(void **state)
{
    struct str evil = STR("a\"b\\c\nd\re\tf\x01\x1b\x7fg\xc3\xa9\0h");
    assert_agent(ACCESS_TEXT, evil,
                 "a\\x22b\\x5cc\\x0ad\\x0de\\x09f\\x01\\x1b\\x7fg\\xc3\\xa9\\x00h");
    assert_agent(ACCESS_JSON, evil,
                 "a\\\"b\\\\c\\u000ad\\u000de\\u0009f\\u0001\\u001b\\u007fg\xc3\xa9\\u0000h");
    assert_agent(ACCESS_TEXT, STR("\" 200 0 \"-\" \"x"), "\\x22 200 0 \\x22-\\x22 \\x22x");
}

static void
bytes_that_are_not_text_are_replaced_in_json(void **state)
{
    assert_agent(ACCESS_JSON, STR("a\xff\x80z"), "a\\ufffd\\ufffdz");
    assert_agent(ACCESS_TEXT, STR("a\xff\x80z"), "a\\xff\\x80z");
    assert_agent(ACCESS_JSON, STR("\xf0\x9f\x90\x9f"), "\xf0\x9f\x90\x9f");
}

/* A long field is cut, and not in the middle of a character. */
static void
long_fields_are_cut(void **state)
{
    char agent[ACCESS_TARGET_MAX + 100], wanted[ACCESS_TARGET_MAX + 1];
    for (unsigned shift = 0; shift < 2; shift++) {
        size_t len = shift;
        memset(agent, 'x', shift);
        for (; len + 2 <= sizeof agent; len += 2)
            memcpy(agent + len, "\xc3\xa9", 2);
        size_t kept = shift + (ACCESS_TARGET_MAX - shift) / 2 * 2;
        memcpy(wanted, agent, kept);
        wanted[kept] = '\0';
        assert_agent(ACCESS_JSON, str_make(agent, len), wanted);
    }
    memset(agent, 'y', sizeof agent);
    memset(wanted, 'y', ACCESS_TARGET_MAX);
    wanted[ACCESS_TARGET_MAX] = '\0';
    assert_agent(ACCESS_TEXT, str_make(agent, sizeof agent), wanted);
}

/* Nobody keeps a request out of the log by making its line long. */
static void
the_longest_line_fits(void **state)
{
    char worst[ACCESS_TARGET_MAX + 10];
    memset(worst, 0xff, sizeof worst);
    struct str bytes = str_make(worst, sizeof worst);
    struct access_record record = plain;
    record.method = record.target = record.host = bytes;
    record.referer = record.user_agent = record.request_id = bytes;
    for (int format = ACCESS_TEXT; format <= ACCESS_JSON; format++) {
        struct buf line;
        buf_init(&line, ACCESS_LINE_MAX);
        access_log_format(&line, (enum access_format)format, &record,
                          STR("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%interface]:65535"),
                          INT32_MAX, 999);
        assert_false(buf_overflowed(&line));
        assert_true(str_ends_with(buf_str(&line), STR("\n")));
        assert_true(line.len < LOG_RING_LEN);
        buf_deinit(&line);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_the_combined_format_and_more),
        cmocka_unit_test(a_json_line_is_one_object),
        cmocka_unit_test(what_a_peer_sent_cannot_leave_its_place),
        cmocka_unit_test(bytes_that_are_not_text_are_replaced_in_json),
        cmocka_unit_test(long_fields_are_cut),
        cmocka_unit_test(the_longest_line_fits),
    };
    return cmocka_run_group_tests_name("access_log", tests, NULL, NULL);
}
