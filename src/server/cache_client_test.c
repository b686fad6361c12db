/* What cache_client does without a network; the rest is in tests/test_cache_cli.py. */
#include "server/cache_client.h"

#include "base/limits.h"
#include "http/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void
test_values_come_through_a_query_unchanged(void **state)
{
    static const struct str values[] = {
        STR_INIT("https://a.b:80/c d/%20?e=f&g=h+i#j"),
        STR_INIT("\x01\x7f\xff\"<>\\^`{|}"),
        STR_INIT("plain"),
        STR_INIT(""),
    };
    struct buf query;
    struct arena arena;
    struct str value;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        buf_init(&query, 4096);
        arena_init(&arena, 4096, 4096);
        cache_query_append(&query, "before", STR("&v=no"));
        cache_query_append(&query, "v", values[i]);
        cache_query_append(&query, "after", STR("="));
        assert_int_equal(query.ptr[query.len - 8], '&');
        assert_int_equal(query_find(buf_str(&query), STR("v"), &arena, &value), QUERY_FOUND);
        assert_true(str_eq(value, values[i]));
        for (size_t at = 0; at < query.len; at++)
            assert_true(query.ptr[at] > ' ' && query.ptr[at] < 0x7f && query.ptr[at] != '#');
        arena_deinit(&arena);
        buf_deinit(&query);
    }
    /* what need not be encoded is not, so that long URLs stay short */
    buf_init(&query, 4096);
    cache_query_append(&query, "u", STR("https://a.b:80/c?d=e;f,g/%2F&h"));
    assert_true(str_eq(buf_str(&query), STR("u=https://a.b:80/c?d=e;f,g/%252F%26h")));
    buf_deinit(&query);
}

/* --- refusals --- */

static void
expect(unsigned status, const char *type, const char *location, const char *body,
       const char *expected)
{
    char head_text[1024];
    struct http_field fields[4];
    struct http_response_head head;
    struct h1_response_decoder decoder;
    struct cache_answer answer;
    struct error error;
    int len = snprintf(head_text, sizeof head_text,
                       "HTTP/1.1 %u X\r\nContent-Type: %s\r\nLocation: %s\r\n"
                       "Content-Length: 0\r\n\r\n",
                       status, type, location);
    http_response_head_init(&head, fields, 4);
    h1_response_decoder_init(&decoder, &head, HTTP_METHOD_GET, sizeof head_text);
    assert_int_equal(h1_response_decode(&decoder, head_text, (size_t)len), H1_DONE);
    cache_answer_init(&answer);
    cache_answer_set_head(&answer, &head);
    cache_answer_add(&answer, str_from_cstr(body));
    assert_int_equal(cache_answer_refuse(&answer, &error), -1);
    assert_string_equal(error.text, expected);
    cache_answer_deinit(&answer);
}

static void
test_a_refusal_says_what_the_cache_said(void **state)
{
    expect(403, "text/plain; charset=utf-8", "", "403: your address may not",
           "403: your address may not");
    expect(400, "text/plain", "", "Invalid 'url' value\r\nmore", "400: Invalid 'url' value");
    expect(404, "text/plain", "", "404 Not Found\n", "404 Not Found");
    expect(404, "TEXT/PLAIN", "", "4040", "4040");
    expect(502, "text/html", "", "<h1>no</h1>", "502: Bad Gateway");
    expect(507, "text/plain", "", "", "507: Insufficient Storage");
    expect(599, "", "", "x", "599: Unknown");
    expect(500, "text/plain", "", "a\x1b[31mb\xc2\x9b", "500: a?[31mb??");
    expect(308, "text/plain", "https://a:8443/x", "moved",
           "308: the cache is not here, but at https://a:8443/x");
    expect(301, "text/plain", "", "moved", "301: moved");
    expect(200, "text/html", "", "<html>", "the answer is not that of a fetch cache");
}

static void
test_of_a_refusal_only_the_beginning_is_kept(void **state)
{
    struct cache_answer answer;
    char text[4000];
    struct error error;
    memset(text, 'x', sizeof text);
    cache_answer_init(&answer);
    answer.status = 500;
    answer.is_text = true;
    assert_true(cache_answer_add(&answer, str_make(text, 10)));
    assert_false(cache_answer_add(&answer, str_make(text, sizeof text)));
    assert_false(cache_answer_add(&answer, str_make(text, sizeof text)));
    assert_int_equal(answer.body.len, CACHE_CLIENT_REASON_MAX);
    assert_int_equal(cache_answer_refuse(&answer, &error), -1);
    assert_int_equal(strlen(error.text), ERROR_TEXT_MAX - 1);
    cache_answer_deinit(&answer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_through_a_query_unchanged),
        cmocka_unit_test(test_a_refusal_says_what_the_cache_said),
        cmocka_unit_test(test_of_a_refusal_only_the_beginning_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
