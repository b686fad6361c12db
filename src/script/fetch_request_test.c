/* fetch_request: what is understood, and what is refused with which words. */
#include "script/fetch_request.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct reading {
    struct fetch_request request;
    struct arena arena;
    struct error error;
    char *text; /* exactly as long as it is */
    int result;
};

static int
setup(void **state)
{
    *state = calloc(1, sizeof(struct reading));
    return *state ? 0 : -1;
}

static void
forget(struct reading *reading)
{
    arena_deinit(&reading->arena);
    free(reading->text);
    reading->text = NULL;
}

static int
teardown(void **state)
{
    forget(*state);
    free(*state);
    return 0;
}

static void
read_text(struct reading *reading, struct str text)
{
    forget(reading);
    reading->text = malloc(text.len + 1);
    memcpy(reading->text, text.ptr, text.len);
    arena_init(&reading->arena, fetch_request_memory(text.len), 512);
    memset(reading->error.text, 0, sizeof reading->error.text);
    reading->result = fetch_request_read(&reading->request, str_make(reading->text, text.len),
                                         &reading->arena, &reading->error);
    memset(reading->text, '?', text.len); /* nothing of it is needed any more */
    if (reading->result == 0)
        assert_false(arena_overflowed(&reading->arena));
}

static void
read_good(struct reading *reading, const char *text)
{
    read_text(reading, str_from_cstr(text));
    if (reading->result != 0)
        fail_msg("%s: %s", text, reading->error.text);
}

static void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("'%.*s' instead of '%s'", STR_ARG(got), wanted);
}

static void
test_defaults(void **state)
{
    struct reading *reading = *state;
    const struct fetch_request *request = &reading->request;
    read_good(reading, "{\"url\":\"http://a.example:81/p?q\"}");
    assert_str(request->exchange.method, "GET");
    assert_str(request->exchange.url.host, "a.example");
    assert_int_equal(request->exchange.url.port, 81);
    assert_str(request->exchange.url.path, "/p");
    assert_int_equal(request->exchange.host.len, 0);
    assert_int_equal(request->exchange.field_count, 1);
    assert_str(request->exchange.fields[0].name, "User-Agent");
    assert_str(request->exchange.fields[0].value, "tarn/" TARN_VERSION);
    assert_null(request->exchange.body);
    assert_false(request->has_body);
    assert_int_equal(request->timeout_ms, 10000);
    assert_int_equal(request->max_body, SCRIPT_FETCH_BODY_MAX);
}

static void
test_everything(void **state)
{
    struct reading *reading = *state;
    const struct fetch_request *request = &reading->request;
    read_good(reading, " { \"method\" : \"PUT\", \"timeout_ms\": 60000, \"max_body\": 0,\n"
                       "\"headers\": {\"X-A\": \"1\", \"x-a\": \"\\u00e4\", \"HOST\": \"b:1\","
                       "\"user-agent\": \"\"}, \"body\": \"a\\u0000\\n\\ud83d\\ude00\","
                       "\"url\": \"https:\\/\\/[::1]\\/\" } ");
    assert_str(request->exchange.method, "PUT");
    assert_int_equal(request->exchange.url.scheme, URL_HTTPS);
    assert_str(request->exchange.url.host, "::1");
    assert_str(request->exchange.host, "b:1");
    assert_int_equal(request->exchange.field_count, 3);
    assert_str(request->exchange.fields[0].name, "X-A");
    assert_str(request->exchange.fields[0].value, "1");
    assert_str(request->exchange.fields[1].name, "x-a");
    assert_str(request->exchange.fields[1].value, "\xc3\xa4");
    assert_str(request->exchange.fields[2].name, "user-agent");
    assert_true(request->has_body);
    assert_true(str_eq(request->body, STR("a\0\n\xf0\x9f\x98\x80")));
    assert_int_equal(request->timeout_ms, 60000);
    assert_int_equal(request->max_body, 0);
}

static void
test_bodies(void **state)
{
    struct reading *reading = *state;
    read_good(reading, "{\"url\":\"http://a/\",\"body\":\"\"}");
    assert_true(reading->request.has_body);
    assert_int_equal(reading->request.body.len, 0);
    read_good(reading, "{\"url\":\"http://a/\",\"body_base64\":\"\"}");
    assert_true(reading->request.has_body);
    assert_int_equal(reading->request.body.len, 0);
    read_good(reading, "{\"url\":\"http://a/\",\"body_base64\":\"AP+AgA==\"}");
    assert_true(str_eq(reading->request.body, STR("\0\xff\x80\x80")));
}

static void
test_the_last_of_two_counts(void **state)
{
    struct reading *reading = *state;
    read_good(reading, "{\"url\":\"http://a/\",\"headers\":{\"user-agent\":\"1\",\"Host\":\"c\"},"
                       "\"headers\":{\"b\":\"2\"},\"url\":\"http://b/\"}");
    assert_str(reading->request.exchange.url.host, "b");
    assert_int_equal(reading->request.exchange.host.len, 0);
    assert_int_equal(reading->request.exchange.field_count, 2);
    assert_str(reading->request.exchange.fields[0].name, "b");
    assert_str(reading->request.exchange.fields[1].name, "User-Agent");
}

static void
test_refused(void **state)
{
#define WITH(members) "{\"url\":\"http://a/\"," members "}"
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "the request is no JSON object"},
        {"[]", "the request is no JSON object"},
        {"\"http://a/\"", "the request is no JSON object"},
        {"{}", "url is not there"},
        {"{\"url\":\"http://a/\"", "the request is no JSON object"},
        {"{\"url\":\"http://a/\"} x", "the request is no JSON object"},
        {"{\"url\":\"http://a/\",}", "the request is no JSON object"},
        {"{\"url\":1}", "url: expected a string"},
        {"{\"url\":\"\\ud800\"}", "url: expected a string"},
        {"{\"url\":\"\"}", "url: no http or https URL"},
        {"{\"url\":\"/a\"}", "url: no http or https URL"},
        {"{\"url\":\"ftp://a/\"}", "url: no http or https URL"},
        {"{\"url\":\"http://u@a/\"}", "url: no http or https URL"},
        {"{\"url\":\"http://a/\\r\\nX: y\"}", "url: no http or https URL"},
        {WITH("\"uri\":1"), "unknown member \"uri\""},
        {WITH("\"follow\":true"), "unknown member \"follow\""},
        {WITH("\"method\":\"\""), "method: expected a token"},
        {WITH("\"method\":\"G T\""), "method: expected a token"},
        {WITH("\"method\":\"GET\\r\\n\""), "method: expected a token"},
        {WITH("\"method\":null"), "method: expected a token"},
        {WITH("\"method\":\"CONNECT\""), "method: CONNECT cannot be used"},
        {WITH("\"headers\":[]"), "headers: expected an object of strings"},
        {WITH("\"headers\":{\"a\"}"), "headers: expected an object of strings"},
        {WITH("\"headers\":{\"a\":1}"), "headers: the value of a: expected a string"},
        {WITH("\"headers\":{\"\":\"1\"}"), "headers: \"\" is no name"},
        {WITH("\"headers\":{\"a b\":\"1\"}"), "headers: \"a b\" is no name"},
        {WITH("\"headers\":{\"a\\u0062\":\"1\"}"), "headers: \"a\\u0062\" is no name"},
        {WITH("\"headers\":{\"a\":\"1\\r\\nb: 2\"}"), "headers: the value of a: expected a string"},
        {WITH("\"headers\":{\"a\":\"\\u0000\"}"), "headers: the value of a: expected a string"},
        {WITH("\"headers\":{\"Content-Length\":\"1\"}"), "headers: Content-Length cannot be given"},
        {WITH("\"headers\":{\"transfer-encoding\":\"chunked\"}"),
         "headers: transfer-encoding cannot be given"},
        {WITH("\"headers\":{\"Host\":\"\"}"), "headers: the value of Host is no host"},
        {WITH("\"headers\":{\"Host\":\"a/b\"}"), "headers: the value of Host is no host"},
        {WITH("\"body\":1"), "body: expected a string"},
        {WITH("\"body_base64\":1"), "body_base64: expected a string"},
        {WITH("\"body_base64\":\"AA\""), "body_base64: it is no base64"},
        {WITH("\"body_base64\":\"AA==\",\"body\":\"\""), "both body and body_base64"},
        {WITH("\"timeout_ms\":0"), "timeout_ms: expected a number from 1 to 60000"},
        {WITH("\"timeout_ms\":60001"), "timeout_ms: expected a number from 1 to 60000"},
        {WITH("\"timeout_ms\":1.5"), "timeout_ms: expected a number from 1 to 60000"},
        {WITH("\"timeout_ms\":-1"), "timeout_ms: expected a number from 1 to 60000"},
        {WITH("\"timeout_ms\":\"5\""), "timeout_ms: expected a number from 1 to 60000"},
        {WITH("\"max_body\":1048577"), "max_body: expected a number from 0 to 1048576"},
    };
    struct reading *reading = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        read_text(reading, str_from_cstr(cases[i].text));
        if (reading->result != -1 ||
            !str_starts_with(str_from_cstr(reading->error.text), str_from_cstr(cases[i].why)))
            fail_msg("%s: '%s' instead of '%s'", cases[i].text, reading->error.text, cases[i].why);
    }
}

static void
test_as_many_headers_as_there_may_be(void **state)
{
    struct reading *reading = *state;
    for (unsigned count = SCRIPT_FETCH_FIELDS_MAX; count <= SCRIPT_FETCH_FIELDS_MAX + 1; count++) {
        struct buf text;
        buf_init(&text, 1 << 16);
        buf_printf(&text, "{\"headers\":{");
        for (unsigned i = 0; i < count; i++)
            buf_printf(&text, "%s\"h%u\":\"\"", i ? "," : "", i);
        buf_printf(&text, "},\"url\":\"http://a/\"}");
        read_text(reading, buf_str(&text));
        buf_deinit(&text);
        assert_int_equal(reading->result, count > SCRIPT_FETCH_FIELDS_MAX ? -1 : 0);
        if (reading->result == 0)
            assert_int_equal(reading->request.exchange.field_count, SCRIPT_FETCH_FIELDS_MAX + 1);
        else
            assert_string_equal(reading->error.text, "headers: more than 100");
    }
}

/* What it needs is what it says. */
static void
test_memory(void **state)
{
    struct reading *reading = *state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "{\"url\":\"http://a/\",\"headers\":{\"a\":\"\",\"b\":\"\"},\"body\":\"");
    for (unsigned i = 0; i < 100000; i++)
        buf_append_char(&text, 'x');
    buf_printf(&text, "\"}");
    read_text(reading, buf_str(&text));
    assert_int_equal(reading->result, 0);
    assert_int_equal(reading->request.body.len, 100000);
    arena_deinit(&reading->arena);
    arena_init(&reading->arena, 1000, 512);
    assert_int_equal(
        fetch_request_read(&reading->request, buf_str(&text), &reading->arena, &reading->error),
        -1);
    buf_deinit(&text);
}

int
main(void)
{
#define with_reading(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        with_reading(test_defaults), with_reading(test_everything),
        with_reading(test_bodies),   with_reading(test_the_last_of_two_counts),
        with_reading(test_refused),  with_reading(test_as_many_headers_as_there_may_be),
        with_reading(test_memory),
    };
    return cmocka_run_group_tests_name("fetch_request", tests, NULL, NULL);
}
