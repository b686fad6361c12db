/* Requests whose answer comes later, and bodies that come piece by piece; both protocols, on both
 * backends. */
#include "conn/h2_test_run.h"

enum { LATER_MAX = 8 };

/* An action under /later: it answers, and feeds the body, when the test says so. */
struct later {
    struct req *req; /* NULL: over */
    const char *head;
    struct str piece; /* not yet pulled */
    bool ended, failed;
};

static struct later laters[LATER_MAX];
static unsigned later_count, closed_count, left_count;

static enum body_result
later_pull(struct body *body, struct body_piece *piece)
{
    struct later *later = body->arg;
    if (later->piece.len) {
        *piece = (struct body_piece){.mem = later->piece, .len = later->piece.len};
        later->piece.len = 0;
        return BODY_PIECE;
    }
    if (later->failed)
        return BODY_FAILED;
    return later->ended ? BODY_END : BODY_PENDING;
}

static void
later_close(struct body *body)
{
    struct later *later = body->arg;
    later->req = NULL;
    closed_count++;
}

static void
later_left(struct body *body)
{
    left_count++;
}

static const struct body_ops later_ops = {later_pull, later_close, later_left};

static bool
later_answer(struct req *req, void *arg)
{
    if (!str_starts_with(req->path, STR("/later")))
        return false;
    assert_true(later_count < LATER_MAX);
    struct later *later = &laters[later_count++];
    *later = (struct later){.req = req};
    assert_true(req_wait(req, &later_ops, later));
    return true;
}

/* The answer is there: a head that repeats what the request said, and maybe a length. */
static void
later_respond(struct later *later, const char *length)
{
    struct req *req = later->req;
    req->waits = false;
    req->response.status = 200;
    req->response.unknown_len = !length;
    struct str agent = http_head_value(&req->head, HTTP_FIELD_USER_AGENT);
    req_add_block(req, arena_printf(&req->arena, "X-Path: %.*s\r\nX-Agent: %.*s\r\n",
                                    STR_ARG(req->path), STR_ARG(agent)));
    if (length)
        req_add_block(req, arena_printf(&req->arena, "Content-Length: %s\r\n", length));
    req_wake(req);
}

static void
later_feed(struct later *later, const char *text)
{
    later->piece = str_from_cstr(text);
    req_wake(later->req);
}

static void
later_end(struct later *later, bool failed)
{
    later->ended = !failed;
    later->failed = failed;
    req_wake(later->req);
}

static int
wait_setup(void **state)
{
    int result = scene_setup(state);
    struct scene *scene = *state;
    later_count = closed_count = 0;
    scene_make(scene, "printf one >1; printf two >2; mkdir later; printf x >later/x");
    scene->env.action.answer = later_answer;
    scene->pool.config.io_timeout_ns = 60 * MS;
    scene->pool.config.header_timeout_ns = 60 * MS;
    return result;
}

#define wait_test(test) cmocka_unit_test_setup_teardown(test, wait_setup, scene_teardown)

static bool
later_is_there(void *arg)
{
    client_pump(arg);
    return later_count > 0;
}

static void
wait_for_later(struct client *client)
{
    run_until(client->scene->world, later_is_there, client);
}

/* Waits for exactly these bytes. */
static void
assert_comes(struct client *client, const char *wanted)
{
    client_wait_for_bytes(client, strlen(wanted));
    assert_str(buf_str(&client->in), wanted);
    buf_clear(&client->in);
}

#define HEAD_OF(path, agent, last)                                                            \
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Path: " path "\r\nX-Agent: " \
    "" agent "\r\n" last "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

/* Longer than any timeout, and the head that the action looks at is the one that came, although
 * another one is on its heels. */
static void
an_answer_may_come_later(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "GET /later/x?y HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n\r\n"
                        "GET /1 HTTP/1.1\r\nHost: b\r\nUser-Agent: you\r\n\r\nGET /2 HT");
    wait_for_later(&client);
    client_run_for(&client, 150);
    client_say(&client, "TP/1.1\r\nHost: a\r\n\r\n");
    client_run_for(&client, 150);
    assert_int_equal(client.in.len, 0);
    later_respond(&laters[0], "5");
    assert_comes(&client, HEAD_OF("/later/x", "me", "Content-Length: 5\r\n"));
    later_feed(&laters[0], "abc");
    assert_comes(&client, "abc");
    client_run_for(&client, 150);
    later_feed(&laters[0], "de");
    assert_comes(&client, "de");
    later_end(&laters[0], false);
    assert_next(&client, 200, "one");
    assert_next(&client, 200, "two");
    assert_int_equal(scene->record_count, 3);
    assert_string_equal(scene->records[0].target, "/later/x?y");
    assert_string_equal(scene->records[0].agent, "me");
    assert_int_equal(scene->records[0].bytes, 5);
    assert_true(scene->records[0].complete);
    client_close(&client);
}

static void
requests_that_wait_may_come_byte_by_byte(void **state)
{
    struct scene *scene = *state;
    struct client client;
    const char *text = "GET /later/%78 HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n\r\n"
                       "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    client_open(&client, scene);
    for (const char *at = text; *at; at++) {
        buf_append_char(&client.out, *at);
        client_pump_out(&client);
        run_for(scene->world, 0);
    }
    later_respond(&laters[0], "0");
    assert_comes(&client, HEAD_OF("/later/x", "me", "Content-Length: 0\r\n"));
    later_end(&laters[0], false);
    assert_next(&client, 200, "one");
    client_close(&client);
}

static void
a_body_without_a_length_is_sent_in_chunks(void **state)
{
    static char big[70000];
    struct scene *scene = *state;
    struct client client;
    memset(big, 'x', sizeof big - 1);
    client_open(&client, scene);
    client_get(&client, "/later");
    client_get(&client, "/1");
    wait_for_later(&client);
    laters[0].piece = STR("first");
    later_respond(&laters[0], NULL);
    assert_comes(&client, HEAD_OF("/later", "", CHUNKED) "5\r\nfirst");
    later_feed(&laters[0], "0123456789abcdef");
    assert_comes(&client, "\r\n10\r\n0123456789abcdef");
    later_feed(&laters[0], big);
    client_wait_for_bytes(&client, 9 + 69999);
    assert_true(str_starts_with(buf_str(&client.in), STR("\r\n1116f\r\nxxx")));
    buf_clear(&client.in);
    laters[0].piece = STR("last");
    later_end(&laters[0], false);
    client_wait_for_bytes(&client, 16 + 1);
    assert_str(str_first(buf_str(&client.in), 16), "\r\n4\r\nlast\r\n0\r\n\r\n");
    buf_consume(&client.in, 16);
    assert_next(&client, 200, "one");
    client_close(&client);
}

static void
an_empty_body_without_a_length_is_one_chunk(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_get(&client, "/later");
    wait_for_later(&client);
    laters[0].ended = true;
    later_respond(&laters[0], NULL);
    assert_comes(&client, HEAD_OF("/later", "", CHUNKED) "0\r\n\r\n");
    client_get(&client, "/1");
    assert_next(&client, 200, "one");
    client_close(&client);
}

static void
a_head_request_gets_no_chunk(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for_later(&client);
    later_respond(&laters[0], NULL);
    assert_comes(&client, HEAD_OF("/later", "", ""));
    assert_int_equal(closed_count, 1);
    client_get(&client, "/1");
    assert_next(&client, 200, "one");
    client_close(&client);
}

static void
http_1_0_ends_such_a_body_with_the_connection(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    wait_for_later(&client);
    laters[0].piece = STR("abc");
    later_respond(&laters[0], NULL);
    assert_comes(&client, HEAD_OF("/later", "", "Connection: close\r\n") "abc");
    later_end(&laters[0], false);
    assert_ended(&client, 0);
    client_close(&client);
}

/* Never an end that looks like one. */
static void
a_body_that_fails_breaks_the_transfer(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_get(&client, "/later");
    wait_for_later(&client);
    laters[0].piece = STR("abc");
    later_respond(&laters[0], NULL);
    assert_comes(&client, HEAD_OF("/later", "", CHUNKED) "3\r\nabc");
    later_end(&laters[0], true);
    assert_ended(&client, -ECONNRESET);
    assert_ends(scene, CONN_END_BODY_FAILED, 1);
    assert_false(scene->records[0].complete);
    client_close(&client);
}

static void
a_client_that_leaves_ends_the_wait(void **state)
{
    struct scene *scene = *state;
    for (unsigned answered = 0; answered < 2; answered++) {
        struct client client;
        later_count = closed_count = 0;
        client_open(&client, scene);
        client_get(&client, "/later");
        wait_for_later(&client);
        if (answered) {
            later_respond(&laters[0], "5");
            assert_comes(&client, HEAD_OF("/later", "", "Content-Length: 5\r\n"));
        }
        client_reset(&client);
        run_for(scene->world, 50);
        assert_int_equal(closed_count, 1);
        assert_null(laters[0].req);
    }
}

/* The connection is dropped at once, but its request lives until the loop has let go. */
static void
news_after_the_drop_change_nothing(void **state)
{
    struct scene *scene = *state;
    struct client client;
    for (unsigned answered = 0; answered < 2; answered++) {
        later_count = closed_count = 0;
        client_open(&client, scene);
        client_get(&client, "/later");
        wait_for_later(&client);
        if (answered) {
            later_respond(&laters[0], "3");
            client_run_for(&client, 20);
        }
        conn_pool_abort(&scene->pool);
        assert_int_equal(closed_count, 0);
        laters[0].piece = STR("abc");
        if (answered)
            req_wake(laters[0].req);
        else
            later_respond(&laters[0], "3");
        run_until(scene->world, scene_is_empty, scene);
        assert_int_equal(closed_count, 1);
        client_close(&client);
    }
}

/* It may still read. */
static void
a_client_that_only_ends_its_side_is_answered(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_get(&client, "/later");
    client.end_after_out = true;
    left_count = 0;
    wait_for_later(&client);
    client_run_for(&client, 100);
    assert_int_equal(left_count, 1);
    laters[0].piece = STR("abc");
    laters[0].ended = true;
    later_respond(&laters[0], "3");
    assert_comes(&client, HEAD_OF("/later", "", "Content-Length: 3\r\n") "abc");
    assert_ended(&client, 0);
    client_close(&client);
}

static void
a_request_body_is_thrown_away_after_the_wait(void **state)
{
    struct scene *scene = *state;
    struct client client;
    client_open(&client, scene);
    client_say(&client, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    wait_for_later(&client);
    laters[0].ended = true;
    later_respond(&laters[0], "0");
    client_run_for(&client, 20);
    assert_int_equal(client.in.len, 0);
    client_say(&client, "56789GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_next(&client, 200, "");
    assert_next(&client, 200, "one");
    client_close(&client);
}

/* --- HTTP/2 --- */

static void
streams_wait_and_others_go_on(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *late = h2c_request(&h2c, "GET", "/later/a", "user-agent=me\n", NO_UPLOAD);
    struct h2c_stream *later = h2c_get(&h2c, "/later/b");
    struct h2c_stream *one = h2c_get(&h2c, "/1");
    h2c_wait_for(&h2c, one, 3);
    assert_answer(one, 200, "one");
    h2c_run_for(&h2c, 150);
    assert_int_equal(later_count, 2);
    later_respond(&laters[1], NULL);
    later_feed(&laters[1], "bb");
    h2c_wait_for(&h2c, later, 2);
    assert_str(buf_str(&later->body), "bb");
    assert_int_equal(late->status, 0);
    later_respond(&laters[0], "3");
    h2c_wait_for(&h2c, late, 0);
    assert_str(h2c_header(late, "x-agent"), "me");
    assert_str(h2c_header(late, "content-length"), "3");
    h2c_run_for(&h2c, 150);
    assert_false(late->closed || later->closed);
    later_feed(&laters[0], "abc");
    later_end(&laters[0], false);
    later_feed(&laters[1], "b");
    later_end(&laters[1], false);
    h2c_wait(&h2c);
    assert_answer(late, 200, "abc");
    assert_answer(later, 200, "bbb");
    assert_int_equal(late->code, NGHTTP2_NO_ERROR);
    assert_int_equal(closed_count, 2);
    h2c_close(&h2c);
}

static void
a_stream_whose_body_fails_is_reset(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *late = h2c_get(&h2c, "/later");
    h2c_run_for(&h2c, 10);
    later_respond(&laters[0], NULL);
    later_feed(&laters[0], "abc");
    h2c_wait_for(&h2c, late, 3);
    later_end(&laters[0], true);
    h2c_wait(&h2c);
    assert_int_equal(late->code, NGHTTP2_INTERNAL_ERROR);
    h2c_close(&h2c);
}

static void
a_reset_stream_ends_its_wait(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    h2c_get(&h2c, "/later/a");
    h2c_get(&h2c, "/later/b");
    h2c_run_for(&h2c, 10);
    later_respond(&laters[1], NULL);
    h2c_run_for(&h2c, 10);
    for (int32_t id = 1; id <= 3; id += 2)
        nghttp2_submit_rst_stream(h2c.ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    h2c_run_for(&h2c, 20);
    assert_int_equal(closed_count, 2);
    assert_int_equal(scene->pool.counters.h2_streams, 0);
    h2c_close(&h2c);
}

static void
news_of_a_stream_after_the_drop_change_nothing(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    h2c_get(&h2c, "/later/a");
    h2c_get(&h2c, "/later/b");
    h2c_run_for(&h2c, 20);
    assert_int_equal(later_count, 2);
    later_respond(&laters[1], NULL);
    h2c_run_for(&h2c, 20);
    conn_pool_abort(&scene->pool);
    assert_int_equal(closed_count, 0);
    later_respond(&laters[0], "3");
    later_feed(&laters[1], "abc");
    run_until(scene->world, scene_is_empty, scene);
    assert_int_equal(closed_count, 2);
    h2c_close(&h2c);
}

/* Whichever comes first, the end of the request or the answer. */
static void
the_answer_of_a_stream_waits_for_both(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *whole = h2c_request(&h2c, "POST", "/later/a", "content-length=5\n", 5);
    struct h2c_stream *part =
        h2c_request(&h2c, "POST", "/later/b", "content-length=5\n", UPLOAD_STALLS);
    h2c_run_for(&h2c, 20);
    assert_int_equal(later_count, 2);
    laters[0].ended = laters[1].ended = true;
    later_respond(&laters[1], "0");
    h2c_run_for(&h2c, 20);
    assert_int_equal(whole->status, 0);
    assert_int_equal(part->status, 0);
    later_respond(&laters[0], "0");
    h2c_wait_for(&h2c, whole, 0);
    assert_answer(whole, 200, "");
    h2c_wait_for(&h2c, part, 0); /* its request does not end in time */
    assert_int_equal(part->status, 408);
    h2c_close(&h2c);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        wait_test(an_answer_may_come_later),
        wait_test(requests_that_wait_may_come_byte_by_byte),
        wait_test(a_body_without_a_length_is_sent_in_chunks),
        wait_test(an_empty_body_without_a_length_is_one_chunk),
        wait_test(a_head_request_gets_no_chunk),
        wait_test(http_1_0_ends_such_a_body_with_the_connection),
        wait_test(a_body_that_fails_breaks_the_transfer),
        wait_test(a_client_that_leaves_ends_the_wait),
        wait_test(news_after_the_drop_change_nothing),
        wait_test(a_client_that_only_ends_its_side_is_answered),
        wait_test(a_request_body_is_thrown_away_after_the_wait),
        wait_test(streams_wait_and_others_go_on),
        wait_test(a_stream_whose_body_fails_is_reset),
        wait_test(a_reset_stream_ends_its_wait),
        wait_test(news_of_a_stream_after_the_drop_change_nothing),
        wait_test(the_answer_of_a_stream_waits_for_both),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("wait", run_group);
}
