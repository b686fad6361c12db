/* Helpers for metadata and for what is to be answered, and the responses that come of them. */
#include "script/answer_test_run.h"

#define OVERLAP "memory that a helper writes to overlaps another of its call"
#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

/* --- metadata --- */

static void
metadata_is_set_and_read(void **state)
{
    struct stage *stage = *state;
    EXPECT(0, CALL(zs_meta_set, T("key"), T("value")));
    EXPECT(5, CALL(zs_meta_get, T("key"), OUT, 100));
    assert_string_equal(stage_out(stage), "value");
    EXPECT(0, CALL(zs_meta_get, T("none"), OUT, 100));
    assert_string_equal(stage_out(stage), "");
    EXPECT(0, CALL(zs_meta_set, T(" \tkey\n"), T(" v ")));
    EXPECT(3, CALL(zs_meta_get, T("  key  "), OUT, 100));
    assert_string_equal(stage_out(stage), " v ");
    EXPECT(0, CALL(zs_meta_set, T("key"), T("")));
    EXPECT(0, CALL(zs_meta_get, T("key"), OUT, 100));
    assert_string_equal(stage_out(stage), "");
    /* Length 0 never touches the pointer. */
    EXPECT(0, CALL(zs_meta_set, T("key"), STAGE_OUTSIDE, 0));
    EXPECT(0, CALL(zs_meta_get, T("key"), STAGE_OUTSIDE, 0));
}

static void
metadata_is_cut_to_the_buffer(void **state)
{
    struct stage *stage = *state;
    EXPECT(0, CALL(zs_meta_set, T("key"), T("value")));
    stage->scene->memory[STAGE_OUT + 3] = '!';
    EXPECT(3, CALL(zs_meta_get, T("key"), OUT, 3));
    assert_string_equal(stage_out(stage), "va");
    assert_int_equal(stage_out(stage)[3], '!');
    EXPECT(1, CALL(zs_meta_get, T("key"), OUT, 1));
    assert_string_equal(stage_out(stage), "");
    EXPECT(5, CALL(zs_meta_get, T("key"), OUT, 6));
    assert_string_equal(stage_out(stage), "value");
}

static void
metadata_wants_good_arguments(void **state)
{
    struct stage *stage = *state;
    CALL(zs_meta_set, T(""), T("v"));
    EXPECT_TRAP("zs_meta_set: the key is empty");
    CALL(zs_meta_set, T("  "), T("v"));
    EXPECT_TRAP("zs_meta_set: the key is empty");
    CALL(zs_meta_set, STAGE_OUTSIDE, 1, T("v"));
    EXPECT_TRAP("outside of");
    CALL(zs_meta_set, T("k"), STAGE_OUTSIDE, 1);
    EXPECT_TRAP("outside of");
    CALL(zs_meta_set, T("k"), scene_at(0), UINT64_MAX);
    EXPECT_TRAP("outside of");
    CALL(zs_meta_set, T("\xff"), T("v"));
    EXPECT_TRAP("zs_meta_set: the key is not UTF-8");
    CALL(zs_meta_set, T("k"), T("\xff"));
    EXPECT_TRAP("zs_meta_set: the value is not UTF-8");
    CALL(zs_meta_get, STAGE_OUTSIDE, 1, OUT, 8);
    EXPECT_TRAP("outside of");
    CALL(zs_meta_get, T("k"), STAGE_OUTSIDE, 8);
    EXPECT_TRAP("outside of");
    memset(stage->scene->memory, 'k', 32);
    CALL(zs_meta_get, scene_at(0), 8, scene_at(7), 8);
    EXPECT_TRAP(OVERLAP);
    CALL(zs_meta_get, scene_at(8), 8, scene_at(0), 9);
    EXPECT_TRAP(OVERLAP);
    /* White space around the key is part of what was read. */
    memcpy(stage->scene->memory, "k       ", 8);
    CALL(zs_meta_get, scene_at(0), 8, scene_at(6), 4);
    EXPECT_TRAP(OVERLAP);
}

static void
metadata_has_a_limit(void **state)
{
    struct stage *stage = *state;
    memset(stage->scene->memory, 'v', SCRIPT_META_MAX);
    CALL(zs_meta_set, scene_at(0), 1, scene_at(0), SCRIPT_META_MAX);
    EXPECT_TRAP("zs_meta_set: metadata takes more than 64 KiB or 512 entries");
    for (unsigned i = 0; i < SCRIPT_META_COUNT_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        EXPECT(0, CALL(zs_meta_set, T(key), T("v")));
    }
    CALL(zs_meta_set, T("more"), T("v"));
    EXPECT_TRAP("512 entries");
}

static void
headers_that_cannot_be_are_told(void **state)
{
    struct stage *stage = *state;
    static const char *const keys[] = {"zs.response.header.a b", "zs.response.header.Connection",
                                       "zs.response.header."};
    for (unsigned i = 0; i < 3; i++) {
        unsigned before = stage->fixture->warning_count;
        EXPECT(0, CALL(zs_meta_set, T(keys[i]), T("v")));
        assert_int_equal(stage->fixture->warning_count, before + 1);
        assert_non_null(strstr(stage->fixture->last_warning, "and is not sent"));
    }
    unsigned before = stage->fixture->warning_count;
    EXPECT(0, CALL(zs_meta_set, T("zs.response.header.x-a"), T("v")));
    EXPECT(0, CALL(zs_meta_set, T("other"), T("a\nb")));
    assert_int_equal(stage->fixture->warning_count, before);
    EXPECT(0, CALL(zs_meta_set, T("zs.response.header.x-a"), T("a\nb")));
    assert_int_equal(stage->fixture->warning_count, before + 1);
}

/* --- zs_respond --- */

static void
a_response_is_plain_text_unless_said_otherwise(void **state)
{
    struct stage *stage = *state;
    struct script_task *task = &stage->scene->task;
    scene_set_head(stage->scene, GET);
    assert_false(script_answer_apply(task));
    EXPECT(0, CALL(zs_respond, 201, T("hello")));
    assert_true(script_answer_apply(task));
    assert_int_equal(stage->scene->req.response.status, 201);
    assert_int_equal(stage->scene->req.response.body_len, 5);
    assert_string_equal(stage_head(stage), "Content-Length: 5\r\n"
                                           "Content-Type: text/plain; charset=utf-8\r\n"
                                           "X-Content-Type-Options: nosniff\r\n");
    assert_stage_body(stage, "hello");
    /* Metadata says it, and is not said twice. */
    EXPECT(0, CALL(zs_meta_set, T("zs.response.header.content-type"), T("text/html")));
    stage_drop_response(stage);
    assert_true(script_answer_apply(task));
    script_response_apply_meta(task);
    assert_string_equal(stage_head(stage), "Content-Length: 5\r\nContent-Type: text/html\r\n"
                                           "X-Content-Type-Options: nosniff\r\n");
    assert_int_equal(stage->scene->req.response.block_count, 1);
}

static void
the_last_response_counts(void **state)
{
    struct stage *stage = *state;
    EXPECT(0, CALL(zs_response_pending));
    EXPECT(0, CALL(zs_redirect, 302, T("/x")));
    EXPECT(1, CALL(zs_response_pending));
    EXPECT(0, CALL(zs_respond, 200, T("first")));
    EXPECT(0, CALL(zs_respond, 200, STAGE_OUTSIDE, 0));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 200);
    stage_head_has_not(stage, "Location");
    stage_head_has(stage, "Content-Length: 0\r\n");
    assert_stage_body(stage, "");
    EXPECT(0, CALL(zs_response_clear));
    EXPECT(0, CALL(zs_response_pending));
    assert_false(script_answer_apply(&stage->scene->task));
}

static void
statuses_are_kept_in_bounds(void **state)
{
    static const struct {
        uint64_t asked;
        unsigned got;
    } cases[] = {{200, 200}, {999, 999}, {99, 500},         {1000, 500},  {0, 500},
                 {100, 500}, {199, 500}, {UINT64_MAX, 500}, {65736, 500}, {418, 418}};
    struct stage *stage = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage_drop_response(stage);
        EXPECT(0, CALL(zs_respond, cases[i].asked, T("x")));
        assert_true(script_answer_apply(&stage->scene->task));
        assert_int_equal(stage->scene->req.response.status, cases[i].got);
    }
}

static void
no_content_has_no_body(void **state)
{
    struct stage *stage = *state;
    static const unsigned statuses[] = {204, 304};
    for (unsigned i = 0; i < 2; i++) {
        stage_drop_response(stage);
        EXPECT(0, CALL(zs_respond, statuses[i], T("body")));
        assert_true(script_answer_apply(&stage->scene->task));
        assert_string_equal(stage_head(stage), "X-Content-Type-Options: nosniff\r\n");
        assert_stage_body(stage, "");
        assert_int_equal(stage->scene->req.response.body_len, 0);
    }
}

static void
bodies_are_bytes(void **state)
{
    struct stage *stage = *state;
    static const char bytes[] = "\xff\0\x01";
    EXPECT(0, CALL(zs_respond, 200, stage_bytes(stage, str_make(bytes, 3)), 3));
    assert_true(script_answer_apply(&stage->scene->task));
    stage_collect(stage);
    assert_int_equal(stage->body.len, 3);
    assert_memory_equal(stage->body.ptr, bytes, 3);
    CALL(zs_respond, 200, STAGE_OUTSIDE, 1);
    EXPECT_TRAP("outside of");
    CALL(zs_respond, 200, scene_at(0), 2 * SCENE_MEMORY);
    EXPECT_TRAP("outside of");
}

/* --- redirects --- */

static void
redirects_have_a_location(void **state)
{
    struct stage *stage = *state;
    static const unsigned good[] = {301, 302, 303, 307, 308};
    for (unsigned i = 0; i < 5; i++) {
        stage_drop_response(stage);
        EXPECT(0, CALL(zs_redirect, good[i], T(" https://e.org/a?b=c#d ")));
        assert_true(script_answer_apply(&stage->scene->task));
        assert_int_equal(stage->scene->req.response.status, good[i]);
        stage_head_has(stage, "Location: https://e.org/a?b=c#d\r\n");
    }
    assert_stage_body(stage, "Permanent Redirect\n");
}

static void
locations_are_encoded(void **state)
{
    struct stage *stage = *state;
    EXPECT(0, CALL(zs_redirect, 302, T("/a b\"\r\nX: 1\xc3\xa4<>%41")));
    assert_true(script_answer_apply(&stage->scene->task));
    stage_head_has(stage, "Location: /a%20b%22%0D%0AX:%201%C3%A4%3C%3E%41\r\n");
}

static void
redirects_want_good_arguments(void **state)
{
    struct stage *stage = *state;
    static const uint64_t bad[] = {200, 300, 304, 305, 306, 309, 404, 0, UINT64_MAX};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CALL(zs_redirect, bad[i], T("/"));
        EXPECT_TRAP("expected 301, 302, 303, 307 or 308");
    }
    CALL(zs_redirect, 302, T(" "));
    EXPECT_TRAP("zs_redirect: the URL has 0 bytes");
    memset(stage->scene->memory, 'x', URL_MAX + 1);
    CALL(zs_redirect, 302, scene_at(0), URL_MAX + 1);
    EXPECT_TRAP("zs_redirect: the URL has 8193 bytes");
    CALL(zs_redirect, 302, scene_at(0), URL_MAX);
    assert_false(stage->scene->trapped);
    CALL(zs_redirect, 302, T("\xff"));
    EXPECT_TRAP("not UTF-8");
    CALL(zs_redirect, 302, STAGE_OUTSIDE, 3);
    EXPECT_TRAP("outside of");
    assert_int_equal(stage->scene->task.answer.status, 302);
}

/* --- files --- */

static void
a_file_is_sent_with_a_status(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "printf lost >404.html && mkdir d && printf i >d/index.html");
    scene_set_head(stage->scene, "GET /a HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n");
    EXPECT(0, CALL(zs_respond_file, 404, T("404.html")));
    EXPECT(1, CALL(zs_response_pending));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 404);
    stage_head_has(stage, "Content-Type: text/html; charset=utf-8\r\n");
    assert_stage_body(stage, "lost");
    /* As it is, with its conditions. */
    stage_drop_response(stage);
    EXPECT(0, CALL(zs_respond_file, 0, T("/404.html")));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 304);
    stage_drop_response(stage);
    EXPECT(0, CALL(zs_respond_file, 200, T("d/")));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 200);
    assert_stage_body(stage, "i");
    EXPECT(-1, CALL(zs_respond_file, 0, T("none")));
    EXPECT(-1, CALL(zs_respond_file, 0, T("d")));
    EXPECT(-1, CALL(zs_respond_file, 0, T("")));
    EXPECT(-1, CALL(zs_respond_file, 0, T("d/../404.html")));
    EXPECT(-1, CALL(zs_respond_file, 0, T(".tarn/index")));
    EXPECT(-1, CALL(zs_respond_file, 0, STAGE_OUTSIDE, 0));
    memset(stage->scene->memory, 'x', SITE_PATH_MAX + 1);
    EXPECT(-1, CALL(zs_respond_file, 0, scene_at(0), SITE_PATH_MAX + 1));
}

static void
files_and_responses_replace_each_other(void **state)
{
    struct stage *stage = *state;
    stage_site(stage, "printf a >a.txt");
    scene_set_head(stage->scene, GET);
    EXPECT(0, CALL(zs_respond, 200, T("text")));
    EXPECT(0, CALL(zs_respond_file, 0, T("a.txt")));
    assert_true(script_answer_apply(&stage->scene->task));
    assert_stage_body(stage, "a");
    EXPECT(0, CALL(zs_respond, 200, T("text")));
    stage_drop_response(stage);
    assert_true(script_answer_apply(&stage->scene->task));
    assert_stage_body(stage, "text");
    EXPECT(0, CALL(zs_respond_file, 0, T("a.txt")));
    EXPECT(0, CALL(zs_response_clear));
    EXPECT(0, CALL(zs_response_pending));
    assert_false(script_answer_apply(&stage->scene->task));
}

static void
files_want_good_arguments(void **state)
{
    struct stage *stage = *state;
    static const uint64_t bad[] = {1, 100, 199, 204, 205, 206, 304, 1000, UINT64_MAX};
    stage_site(stage, "printf a >a.txt");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CALL(zs_respond_file, bad[i], T("a.txt"));
        EXPECT_TRAP("has no page, expected 0 or 200 to 999");
    }
    CALL(zs_respond_file, 0, T("\xff"));
    EXPECT_TRAP("not UTF-8");
    CALL(zs_respond_file, 0, STAGE_OUTSIDE, 3);
    EXPECT_TRAP("outside of");
}

/* --- abort, proxy --- */

static void
abort_drops_every_answer(void **state)
{
    struct stage *stage = *state;
    EXPECT(0, CALL(zs_respond, 200, T("x")));
    EXPECT(0, CALL(zs_abort));
    assert_true(stage->scene->task.answer.aborts);
    assert_false(stage->scene->task.answer.has_response);
    assert_false(script_answer_apply(&stage->scene->task));
}

static void
a_proxy_is_kept_and_not_there_yet(void **state)
{
    struct stage *stage = *state;
    scene_set_head(stage->scene, GET);
    EXPECT(0, CALL(zs_reverse_proxy, T(" http://127.0.0.1:9000/base?a=b ")));
    assert_str(buf_str(&stage->scene->task.answer.proxy_url), "http://127.0.0.1:9000/base?a=b");
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 501);
    assert_non_null(strstr(stage->fixture->last_warning, "zs_reverse_proxy"));
    CALL(zs_reverse_proxy, T("http://a/"));
    EXPECT_TRAP("zs_reverse_proxy: there is a proxy already");
    /* A response counts more. */
    EXPECT(0, CALL(zs_respond, 200, T("x")));
    stage_drop_response(stage);
    assert_true(script_answer_apply(&stage->scene->task));
    assert_int_equal(stage->scene->req.response.status, 200);
}

static void
a_proxy_wants_a_url_and_no_response(void **state)
{
    struct stage *stage = *state;
    static const char *const bad[] = {
        "",           " ",     "a",         "ftp://a/",      "http://",
        "http://a b", "//a/b", "unix//run", "http://u:p@a/", "http://a:0/",
        "http://a/\n"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CALL(zs_reverse_proxy, T(bad[i]));
        if (i == 10)
            assert_false(stage->scene->trapped); /* trimmed */
        else
            EXPECT_TRAP("is no URL, expected http:// or https://");
    }
    script_answer_clear(&stage->scene->task.answer);
    EXPECT(0, CALL(zs_respond, 200, T("x")));
    CALL(zs_reverse_proxy, T("https://a/"));
    EXPECT_TRAP("zs_reverse_proxy: there is a response already");
    EXPECT(0, CALL(zs_response_clear));
    EXPECT(0, CALL(zs_reverse_proxy, T("https://a/")));
    CALL(zs_reverse_proxy, STAGE_OUTSIDE, 5);
    EXPECT_TRAP("outside of");
}

static void
hooks_cannot_answer(void **state)
{
    struct stage *stage = *state;
    stage->scene->task.phase = SCRIPT_RESPONSE;
    CALL(zs_respond, 200, T("x"));
    EXPECT_TRAP("zs_respond: not in a hook");
    CALL(zs_respond_file, 0, T("x"));
    EXPECT_TRAP("zs_respond_file: not in a hook");
    CALL(zs_redirect, 302, T("/"));
    EXPECT_TRAP("zs_redirect: not in a hook");
    CALL(zs_abort);
    EXPECT_TRAP("zs_abort: not in a hook");
    CALL(zs_reverse_proxy, T("http://a/"));
    EXPECT_TRAP("zs_reverse_proxy: not in a hook");
    CALL(zs_file_server, T("{}"));
    EXPECT_TRAP("zs_file_server: not in a hook");
    stage->scene->task.answer.has_response = true;
    EXPECT(0, CALL(zs_response_pending));
    EXPECT(0, CALL(zs_response_clear));
    assert_true(stage->scene->task.answer.has_response);
    EXPECT(0, CALL(zs_meta_set, T("a"), T("b")));
    EXPECT(1, CALL(zs_meta_get, T("a"), OUT, 9));
}

static void
logins_are_refused(void **state)
{
    struct stage *stage = *state;
    static bpf_helper_fn *const helpers[] = {zs_oidc_begin_login, zs_oidc_handle_callback,
                                             zs_oidc_session_verify, zs_oidc_logout};
    static const char *const names[] = {"zs_oidc_begin_login", "zs_oidc_handle_callback",
                                        "zs_oidc_session_verify", "zs_oidc_logout"};
    for (unsigned i = 0; i < 4; i++) {
        stage_drop_response(stage);
        script_answer_clear(&stage->scene->task.answer);
        EXPECT(-1, CALL(helpers[i], 1, T("/")));
        assert_non_null(strstr(stage->fixture->last_warning, names[i]));
        assert_true(script_answer_apply(&stage->scene->task));
        assert_int_equal(stage->scene->req.response.status, 501);
    }
    stage->scene->task.phase = SCRIPT_RESPONSE;
    CALL(zs_oidc_session_verify, 1);
    EXPECT_TRAP("zs_oidc_session_verify: not in a hook");
}

/* --- the structure --- */

static void
a_response_may_be_large_but_has_a_limit(void **state)
{
    struct script_answer answer = {0};
    char *body = calloc(1, SCRIPT_ANSWER_MAX + 1);
    assert_true(script_answer_respond(&answer, 200, STR(""), str_make(body, SCRIPT_ANSWER_MAX)));
    assert_int_equal(answer.fields.count, 0);
    script_answer_clear(&answer);
    assert_int_equal(answer.body.cap, 0);
    assert_false(
        script_answer_respond(&answer, 200, STR(""), str_make(body, SCRIPT_ANSWER_MAX + 1)));
    assert_false(answer.has_response);
    assert_true(script_answer_respond(&answer, 200, STR("a/b"), STR("x")));
    script_answer_clear(&answer);
    assert_true(answer.body.cap > 0 && answer.body.len == 0 && !answer.has_response);
    script_answer_deinit(&answer);
    free(body);
}

static void
places_of_pages_get_metadata(void **state)
{
    struct stage *stage = *state;
    struct str value;
    stage->scene->req.filter_state = &stage->scene->task;
    EXPECT(0, CALL(zs_meta_set, T("name"), T("Ada")));
    assert_true(script_answer_lookup(&stage->scene->req, STR("name"), &value));
    assert_str(value, "Ada");
    assert_false(script_answer_lookup(&stage->scene->req, STR("none"), &value));
    EXPECT(0, CALL(zs_meta_set, T("name"), T("")));
    assert_true(script_answer_lookup(&stage->scene->req, STR("name"), &value));
    assert_str(value, "");
    stage->scene->req.filter_state = NULL;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        stage_test(metadata_is_set_and_read),
        stage_test(metadata_is_cut_to_the_buffer),
        stage_test(metadata_wants_good_arguments),
        stage_test(metadata_has_a_limit),
        stage_test(headers_that_cannot_be_are_told),
        stage_test(a_response_is_plain_text_unless_said_otherwise),
        stage_test(the_last_response_counts),
        stage_test(statuses_are_kept_in_bounds),
        stage_test(no_content_has_no_body),
        stage_test(bodies_are_bytes),
        stage_test(redirects_have_a_location),
        stage_test(locations_are_encoded),
        stage_test(redirects_want_good_arguments),
        stage_test(a_file_is_sent_with_a_status),
        stage_test(files_and_responses_replace_each_other),
        stage_test(files_want_good_arguments),
        stage_test(abort_drops_every_answer),
        stage_test(a_proxy_is_kept_and_not_there_yet),
        stage_test(a_proxy_wants_a_url_and_no_response),
        stage_test(hooks_cannot_answer),
        stage_test(logins_are_refused),
        stage_test(a_response_may_be_large_but_has_a_limit),
        stage_test(places_of_pages_get_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
