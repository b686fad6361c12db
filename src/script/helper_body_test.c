/* Helpers for the request's body. */
#include "script/request_test_run.h"

#include "script/wait.h"

#define HEAD(length) "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " length "\r\n\r\n"
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct scene *
with(void **state, const char *head)
{
    struct scene *scene = *state;
    scene_set_head(scene, head);
    scene->req.filter_state = &scene->task;
    /* Nobody runs the loop: that it was asked to is enough. */
    scene->worker.ready_end = &scene->worker.ready;
    scene->worker.turn_posted = true;
    return scene;
}

/* What the session would do: */
static struct str comes;
static unsigned waits;

static void
bring(struct scene *scene)
{
    waits++;
    assert_non_null(scene->task.wait);
    assert_null(scene->worker.ready);
    req_input_data(&scene->req, str_first(comes, 3));
    assert_null(scene->worker.ready);
    req_input_data(&scene->req, str_skip(comes, 3));
    req_input_end(&scene->req);
    assert_ptr_equal(scene->worker.ready, &scene->task);
    scene->worker.ready = NULL;
    scene->worker.ready_end = &scene->worker.ready;
    scene->task.link = NULL;
}

static int64_t
read_body(struct scene *scene, uint64_t out, uint64_t out_len)
{
    return (int64_t)scene_call(scene, zs_req_body, (uint64_t[]){out, out_len, 0, 0, 0}, bring);
}

static int64_t
read_json(struct scene *scene)
{
    return (int64_t)scene_call(scene, zs_req_body_json, (uint64_t[5]){0}, bring);
}

static void
a_body_is_waited_for_once(void **state)
{
    struct scene *scene = with(state, HEAD("11"));
    comes = STR("hello \0\xff"
                "abc");
    waits = 0;
    assert_int_equal(read_body(scene, 0, 0), 11);
    assert_int_equal(waits, 1);
    memset(scene->memory + OUT, '#', 64);
    assert_int_equal(read_body(scene, scene_at(OUT), 64), 11);
    assert_memory_equal(scene->memory + OUT,
                        "hello \0\xff"
                        "abc#",
                        12);
    memset(scene->memory + OUT, '#', 64);
    assert_int_equal(read_body(scene, scene_at(OUT), 4), 11);
    assert_memory_equal(scene->memory + OUT, "hell#", 5);
    assert_int_equal(waits, 1);
    assert_true(str_eq(buf_str(&scene->req.input.bytes), comes));
    read_body(scene, 0, 1);
    expect_bad_memory(scene);
    read_body(scene, scene_at(OUT), UINT64_MAX);
    expect_bad_memory(scene);
}

static void
a_body_of_unknown_length_is_read(void **state)
{
    struct scene *scene = with(state, CHUNKED);
    comes = STR("chunks");
    waits = 0;
    assert_int_equal(read_body(scene, scene_at(OUT), 64), 6);
    assert_memory_equal(scene->memory + OUT, "chunks", 6);
    assert_int_equal(waits, 1);
}

static void
no_body_is_an_empty_one(void **state)
{
    struct scene *scene = with(state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    waits = 0;
    assert_int_equal(read_body(scene, scene_at(OUT), 64), 0);
    assert_int_equal(read_json(scene), -1);
    assert_false(scene->trapped);
    scene_set_head(scene, HEAD("0"));
    assert_int_equal(read_body(scene, scene_at(OUT), 64), 0);
    assert_int_equal(waits, 0);
}

static void
json_is_parsed(void **state)
{
    struct scene *scene = with(state, HEAD("9"));
    comes = STR("{\"a\":[1]}");
    int64_t handle = read_json(scene);
    assert_int_equal(handle, 1);
    struct buf text;
    buf_init(&text, 100);
    script_json_write(&scene->frame, (uint64_t)handle, &text);
    assert_true(str_eq(buf_str(&text), comes));
    buf_deinit(&text);
    assert_int_equal(read_json(scene), 2);
    assert_int_equal(read_body(scene, 0, 0), 9);
}

static void
what_is_no_json_is_said(void **state)
{
    struct scene *scene = with(state, HEAD("3"));
    comes = STR("{a}");
    assert_int_equal(read_json(scene), -1);
    assert_false(scene->trapped);
    assert_int_equal(read_body(scene, 0, 0), 3);
}

static void
a_body_that_is_too_large_is_said(void **state)
{
    struct scene *scene = with(state, CHUNKED);
    scene->shared.config.body_max = 5;
    comes = STR("chunks");
    waits = 0;
    assert_int_equal(read_body(scene, 0, 0), -1);
    assert_int_equal(read_json(scene), -1);
    assert_int_equal(waits, 1);
    assert_false(scene->trapped);
}

static void
a_length_that_is_too_large_is_not_waited_for(void **state)
{
    struct scene *scene = with(state, HEAD("6"));
    scene->shared.config.body_max = 5;
    waits = 0;
    assert_int_equal(read_body(scene, 0, 0), -1);
    assert_int_equal(read_json(scene), -1);
    assert_int_equal(waits, 0);
}

static void
hooks_get_no_body(void **state)
{
    struct scene *scene = with(state, HEAD("6"));
    scene->task.phase = SCRIPT_RESPONSE;
    waits = 0;
    assert_int_equal(read_body(scene, 0, 0), -1);
    assert_int_equal(read_json(scene), -1);
    assert_int_equal(waits, 0);
    assert_false(scene->trapped);
}

static uint64_t
limit(struct scene *scene, uint64_t max)
{
    uint64_t result = call(scene, zs_req_body_limit, max, 0, 0, 0);
    assert_false(scene->trapped);
    return result;
}

static void
a_limit_only_falls(void **state)
{
    struct scene *scene = with(state, HEAD("6"));
    comes = STR("sixsix");
    assert_int_equal(limit(scene, UINT64_MAX), 0);
    assert_int_equal(limit(scene, 6), 0);
    assert_int_equal(limit(scene, 5), 1);
    assert_int_equal(limit(scene, 100), 0);
    assert_true(scene->task.request.has_body_limit);
    assert_int_equal(scene->task.request.body_limit, 5);
    assert_int_equal(read_body(scene, 0, 0), -1);
    script_request_clear(&scene->task.request);
    assert_false(scene->task.request.has_body_limit);
    scene_set_head(scene, CHUNKED);
    assert_int_equal(limit(scene, 0), 0);
}

static void
a_limit_of_exactly_the_body_lets_it_in(void **state)
{
    struct scene *scene = with(state, HEAD("6"));
    comes = STR("sixsix");
    limit(scene, 6);
    assert_int_equal(read_body(scene, 0, 0), 6);
    limit(scene, 5); /* it was read, but is too large now */
    assert_int_equal(read_body(scene, 0, 0), -1);
}

/* The body ends when nobody waits for it any more. */
static void
an_end_that_comes_too_late_wakes_nobody(void **state)
{
    struct scene *scene = with(state, HEAD("6"));
    struct script_wait other = {0};
    scene_call(scene, zs_req_body, (uint64_t[5]){0}, NULL);
    assert_non_null(scene->task.wait);
    scene->task.wait->cancel(scene->task.wait);
    scene->task.wait = &other;
    req_input_end(&scene->req);
    assert_null(scene->worker.ready);
    scene->task.wait = NULL;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_body_is_waited_for_once),
        TEST(a_body_of_unknown_length_is_read),
        TEST(no_body_is_an_empty_one),
        TEST(json_is_parsed),
        TEST(what_is_no_json_is_said),
        TEST(a_body_that_is_too_large_is_said),
        TEST(a_length_that_is_too_large_is_not_waited_for),
        TEST(hooks_get_no_body),
        TEST(a_limit_only_falls),
        TEST(a_limit_of_exactly_the_body_lets_it_in),
        TEST(an_end_that_comes_too_late_wakes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
