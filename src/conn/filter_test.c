/* What stands before and behind every action: request bodies that it reads, waits in both phases,
 * requests that begin anew or end without an answer; both protocols, on both backends. */
#include "conn/h2_test_run.h"

enum { TASKS_MAX = 8, BODY_MAX = 1000 };

/* A filter that does what the path says. */
struct task {
    struct req *req; /* NULL: over */
    struct loop_post post;
    enum req_step step; /* when it goes on */
    struct body held;
    bool in_response, wants_later;
    unsigned response_count;
};

static struct task tasks[TASKS_MAX];
static unsigned task_count, ended_count, left_count;
static struct loop *loop;

static enum body_result
wait_pull(struct body *body, struct body_piece *piece)
{
    return BODY_PENDING;
}

static void
wait_close(struct body *body)
{
}

static void
wait_left(struct body *body)
{
    left_count++;
}

static const struct body_ops wait_ops = {wait_pull, wait_close, wait_left};

static enum req_step
wait_for(struct task *task, enum req_step step)
{
    body_move(&task->held, &task->req->body);
    task->step = step;
    assert_true(req_wait(task->req, &wait_ops, task));
    return REQ_WAITS;
}

static void
respond(struct task *task)
{
    struct req *req = task->req;
    struct str body = buf_str(&req->input.bytes);
    if (req->input.too_large)
        req_respond_text(req, 413, STR("too large"), STR(""));
    else
        req_respond_document(req, 200, "text/plain", body);
}

static void
over(struct req *req)
{
    struct task *task = req->filter_state;
    loop_post(loop, &task->post);
}

static void
go_on(struct loop_post *post)
{
    struct task *task = (struct task *)((char *)post - offsetof(struct task, post));
    struct req *req = task->req;
    if (!req)
        return;
    if (task->wants_later) {
        task->wants_later = false;
        if (req_want_input(req, BODY_MAX, over)) {
            req_resume(req, REQ_WAITS);
            return;
        }
    }
    body_move(&req->body, &task->held);
    if (!task->in_response && task->step == REQ_RESPONDED)
        respond(task);
    req_resume(req, task->step);
}

static enum req_step
read_body(struct task *task)
{
    if (req_want_input(task->req, BODY_MAX, over))
        return wait_for(task, REQ_RESPONDED);
    respond(task);
    return REQ_RESPONDED;
}

static enum req_step
filter_request(struct req *req, void *arg)
{
    assert_true(task_count < TASKS_MAX);
    struct task *task = &tasks[task_count++];
    *task = (struct task){.req = req, .post = {.run = go_on}};
    req->filter_state = task;
    if (str_starts_with(req->path, STR("/echo")))
        return read_body(task);
    if (str_starts_with(req->path, STR("/late"))) {
        req_hold_input(req, BODY_MAX);
        task->wants_later = true;
        loop_post(loop, &task->post);
        return wait_for(task, REQ_RESPONDED);
    }
    if (str_starts_with(req->path, STR("/abort")))
        req->aborted = true;
    if (str_starts_with(req->path, STR("/wait"))) {
        loop_post(loop, &task->post);
        return wait_for(task, REQ_ACT);
    }
    if (str_starts_with(req->path, STR("/stop")))
        return wait_for(task, REQ_ACT);
    return req->aborted ? REQ_OUT : REQ_ACT;
}

static enum req_step
filter_response(struct req *req, void *arg)
{
    struct task *task = req->filter_state;
    task->in_response = true;
    req_add_block(req, STR("X-Filter: seen\r\n"));
    if (task->response_count++)
        return REQ_OUT;
    if (str_eq(req->target.query, STR("wait"))) {
        loop_post(loop, &task->post);
        return wait_for(task, REQ_OUT);
    }
    if (str_eq(req->target.query, STR("again"))) {
        req->path = STR("/2");
        return REQ_ACT;
    }
    return REQ_OUT;
}

static void
filter_end(struct req *req, void *arg)
{
    struct task *task = req->filter_state;
    req->filter_state = NULL;
    body_close(&task->held);
    task->req = NULL;
    ended_count++;
}

static struct req_filter_ops ops = {
    .request = filter_request,
    .response = filter_response,
    .end = filter_end,
};

static int
filter_setup(void **state)
{
    int result = scene_setup(state);
    struct scene *scene = *state;
    task_count = ended_count = left_count = 0;
    scene_make(scene, "printf one >1; printf two >2; printf w >wait; printf s >stop");
    scene->env.filter = &ops;
    scene->pin.filter = &ops;
    scene->pool.config.io_timeout_ns = 60 * MS;
    scene->pool.config.header_timeout_ns = 60 * MS;
    loop = scene->world->loop;
    return result;
}

#define filter_test(test) cmocka_unit_test_setup_teardown(test, filter_setup, scene_teardown)

/* --- HTTP/1 --- */

static void
a_body_of_known_length_is_read_whole(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello");
    client_run_for(&client, 30);
    client_say(&client, " worldGET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_next(&client, 200, "hello world");
    assert_next(&client, 200, "one");
    assert_int_equal(ended_count, 2);
    /* What has come with its head needs no turn of the loop. */
    client_say(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                        "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_next(&client, 200, "abc");
    assert_next(&client, 200, "two");
    client_close(&client);
}

static void
a_chunked_body_is_read_whole_byte_by_byte(void **state)
{
    struct scene *scene = *state;
    struct client client;
    const char *text = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nA: b\r\n\r\n"
                       "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    client_open(&client, scene);
    for (const char *at = text; *at; at++) {
        buf_append_char(&client.out, *at);
        client_pump_out(&client);
        run_for(scene->world, 0);
    }
    assert_next(&client, 200, "abcdefg");
    assert_next(&client, 200, "one");
    client_close(&client);
}

static void
no_body_is_an_empty_one(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    client_say(&client, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_next(&client, 200, "");
    assert_next(&client, 200, "");
    client_close(&client);
}

static void
who_waits_for_a_word_gets_it_once_the_body_is_wanted(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                        "Expect: 100-continue\r\n\r\n");
    client_wait_for_bytes(&client, 25);
    assert_true(str_eq(buf_str(&client.in), STR("HTTP/1.1 100 Continue\r\n\r\n")));
    buf_clear(&client.in);
    client_say(&client, "abcGET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_next(&client, 200, "abc");
    assert_next(&client, 200, "one");
    client_close(&client);
}

static void
a_body_may_be_wanted_late(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                        "POST /late HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "1\r\nx\r\n0\r\n\r\n");
    assert_next(&client, 200, "abc");
    assert_next(&client, 200, "x");
    client_close(&client);
}

static void
a_body_that_is_too_large_is_not_kept(void **state)
{
    static char chunk[BODY_MAX + 2];
    struct scene *scene = *state;
    struct client client;
    memset(chunk, 'x', BODY_MAX + 1);
    client_open(&client, scene);
    client_say(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    client_say(&client, chunk);
    client_say(&client,
               "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    client_say(&client, chunk);
    client_say(&client, "\r\n0\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_next(&client, 413, "too large\n");
    assert_next(&client, 413, "too large\n");
    assert_next(&client, 200, "one");
    client_close(&client);
}

static void
a_body_that_is_malformed_cut_or_late_is_refused(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client,
               "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    assert_next(&client, 400, "400 Bad Request: malformed chunk\n");
    client_close(&client);
    client_open(&client, scene);
    client_say(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
    client.end_after_out = true;
    assert_next(&client, 400, "400 Bad Request: the request ended early\n");
    client_close(&client);
    client_open(&client, scene);
    client_say(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
    assert_next(&client, 408, "408 Request Timeout: the request did not come in time\n");
    client_close(&client);
    assert_int_equal(ended_count, 3);
}

static void
waits_in_both_phases_hold_nobody_up(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_get(&client, "/wait");
    client_get(&client, "/1?wait");
    client_get(&client, "/wait?wait");
    client_get(&client, "/1?again");
    assert_next(&client, 200, "w");
    assert_string_equal("seen", client_header(&client, "X-Filter").ptr ? "seen" : "");
    assert_next(&client, 200, "one");
    assert_next(&client, 200, "w");
    assert_next(&client, 200, "two");
    client_close(&client);
    assert_int_equal(ended_count, 4);
}

static void
an_abort_ends_the_connection_after_what_came_before(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /abort HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_next(&client, 200, "one");
    client_run_for(&client, 20);
    assert_int_equal(client.in.len, 0);
    assert_true(client.end <= 0);
    assert_int_equal(scene->pool.counters.ends[CONN_END_ABORTED], 1);
    client_close(&client);
}

static void
a_client_that_leaves_ends_the_task(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_get(&client, "/stop");
    client_run_for(&client, 20);
    assert_int_equal(task_count, 1);
    client_reset(&client);
    run_for(scene->world, 20);
    assert_int_equal(ended_count, 1);
}

/* --- HTTP/2 --- */

static void
bodies_of_streams_are_read_whole(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *echo = h2c_request(&h2c, "POST", "/echo", "content-length=5\n", 5);
    struct h2c_stream *late = h2c_request(&h2c, "POST", "/late", "", 700);
    struct h2c_stream *large = h2c_request(&h2c, "POST", "/late", "", 1001);
    struct h2c_stream *none = h2c_request(&h2c, "GET", "/echo", "", NO_UPLOAD);
    struct h2c_stream *one = h2c_get(&h2c, "/1?wait");
    h2c_wait(&h2c);
    assert_int_equal(echo->status, 200);
    assert_int_equal(echo->body.len, 5);
    assert_int_equal(late->status, 200);
    assert_int_equal(late->body.len, 700);
    assert_answer(large, 413, "too large\n");
    assert_answer(none, 200, "");
    assert_answer(one, 200, "one");
    assert_int_equal(ended_count, 5);
    h2c_close(&h2c);
}

static void
a_stream_that_waits_for_a_word_gets_it(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *echo = h2c_request(&h2c, "POST", "/echo",
                                          "content-length=5\nexpect=100-continue\n", UPLOAD_STALLS);
    h2c_run_for(&h2c, 20);
    assert_int_equal(echo->status, 100);
    assert_false(echo->closed);
    h2c_close(&h2c);
}

static void
an_abort_resets_the_stream_alone(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *aborted = h2c_get(&h2c, "/abort");
    struct h2c_stream *one = h2c_get(&h2c, "/1");
    h2c_wait(&h2c);
    assert_int_equal(aborted->status, 0);
    assert_int_equal(aborted->code, NGHTTP2_CANCEL);
    assert_answer(one, 200, "one");
    h2c_close(&h2c);
}

static void
a_stream_that_is_reset_ends_its_task(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    h2c_get(&h2c, "/stop");
    h2c_request(&h2c, "POST", "/echo", "content-length=5\n", UPLOAD_STALLS);
    h2c_run_for(&h2c, 10);
    for (int32_t id = 1; id <= 3; id += 2)
        nghttp2_submit_rst_stream(h2c.ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    h2c_run_for(&h2c, 20);
    assert_int_equal(ended_count, 2);
    h2c_close(&h2c);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        filter_test(a_body_of_known_length_is_read_whole),
        filter_test(a_chunked_body_is_read_whole_byte_by_byte),
        filter_test(no_body_is_an_empty_one),
        filter_test(who_waits_for_a_word_gets_it_once_the_body_is_wanted),
        filter_test(a_body_may_be_wanted_late),
        filter_test(a_body_that_is_too_large_is_not_kept),
        filter_test(a_body_that_is_malformed_cut_or_late_is_refused),
        filter_test(waits_in_both_phases_hold_nobody_up),
        filter_test(an_abort_ends_the_connection_after_what_came_before),
        filter_test(a_client_that_leaves_ends_the_task),
        filter_test(bodies_of_streams_are_read_whole),
        filter_test(a_stream_that_waits_for_a_word_gets_it),
        filter_test(an_abort_resets_the_stream_alone),
        filter_test(a_stream_that_is_reset_ends_its_task),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("filter", run_group);
}
