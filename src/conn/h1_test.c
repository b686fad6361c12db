/* The HTTP/1 session: requests in, responses out, in order; on both backends. */
#include "conn/conn_test_run.h"

static void
make_numbers(struct scene *scene)
{
    scene_make(scene, "for i in 0 1 2 3 4 5 6 7 8 9; do printf n$i >$i; done");
}

static void
a_response_has_its_head_once(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    client_open(&client, scene);
    client_get(&client, "/1");
    assert_next(&client, 200, "n1");
    assert_true(str_starts_with(client.head, STR("HTTP/1.1 200 OK\r\nDate: ")));
    assert_str(client_header(&client, "Date"), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_connection(&client, "");
    client_get(&client, "/none");
    assert_next(&client, 404, "404 Not Found\n");
    assert_true(str_starts_with(client.head, STR("HTTP/1.1 404 Not Found\r\n")));
    assert_int_equal(scene->pool.counters.accepted, 1);
    client_close(&client);
}

static void
pipelined_requests_are_answered_in_order(void **state)
{
    struct scene *scene = *state;
    struct client client;
    char target[8], body[8];
    make_numbers(scene);
    client_open(&client, scene);
    for (unsigned i = 0; i < 500; i++) {
        snprintf(target, sizeof target, "/%u", i % 10);
        client_get(&client, target);
    }
    for (unsigned i = 0; i < 500; i++) {
        snprintf(body, sizeof body, "n%u", i % 10);
        assert_next(&client, 200, body);
    }
    assert_int_equal(scene->env.counters.requests, 500);
    client_run_for(&client, 5);
    assert_int_equal(client.in.len, 0);
    client_close(&client);
}

#define MIXED                                                                                   \
    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"                                                        \
    "\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n"                                                   \
    "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /"                             \
    "GET /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n" \
    "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"                                                     \
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"                                                     \
    "GET /5 HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n"                                    \
    "GET /6 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"                                         \
    "GET /7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void
assert_mixed(struct client *client)
{
    assert_next(client, 200, "n1");
    assert_int_equal(client_next(client, true), 200);
    assert_str(client_header(client, "Content-Length"), "2");
    assert_next(client, 405, "405 Method Not Allowed\n");
    assert_next(client, 200, "n4");
    assert_next(client, 404, "404 Not Found\n");
    assert_next(client, 204, "");
    assert_next(client, 304, "");
    assert_next(client, 200, "n6");
    assert_connection(client, "keep-alive");
    assert_next(client, 200, "n7");
    assert_connection(client, "close");
    assert_ended(client, 0);
}

static void
requests_may_come_byte_by_byte(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    client_open(&client, scene);
    for (const char *at = MIXED; *at; at++) {
        buf_append_char(&client.out, *at);
        client_pump_out(&client);
        run_for(scene->world, 0);
    }
    assert_mixed(&client);
    client_close(&client);
}

static void
requests_may_be_cut_anywhere(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    for (size_t cut = 0; cut < sizeof MIXED; cut += 7) {
        client_open(&client, scene);
        buf_append(&client.out, str_first(STR(MIXED), cut));
        client_pump_out(&client);
        run_for(scene->world, 0);
        client_say(&client, &MIXED[cut]);
        assert_mixed(&client);
        client_close(&client);
    }
}

static void
nothing_is_answered_after_a_close(void **state)
{
    static const char *const last[] = {
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /1 HTTP/1.0\r\n\r\n",
    };
    struct scene *scene = *state;
    make_numbers(scene);
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        client_open(&client, scene);
        client_say(&client, last[i]);
        client_get(&client, "/2");
        assert_next(&client, 200, "n1");
        assert_connection(&client, "close");
        client_get(&client, "/3");
        assert_ended(&client, 0);
        client_close(&client);
    }
    assert_int_equal(scene->env.counters.requests, 2);
}

static void
the_last_of_the_allowed_requests_says_so(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    scene->pool.config.requests_max = 2;
    client_open(&client, scene);
    client_get(&client, "/1");
    assert_next(&client, 200, "n1");
    assert_connection(&client, "");
    client_get(&client, "/2");
    client_get(&client, "/3");
    assert_next(&client, 200, "n2");
    assert_connection(&client, "close");
    assert_ended(&client, 0);
    client_close(&client);
}

static void
malformed_requests_are_answered_and_end(void **state)
{
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {"nonsense\r\n\r\n", 400},
        {"\x16\x03\x01", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417},
        {"POST / HTTP/1.0\r\n\r\n", 411},
        {"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 421},
    };
    struct scene *scene = *state;
    make_numbers(scene);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client;
        client_open(&client, scene);
        client_get(&client, "/1");
        client_say(&client, rows[i].request);
        client_get(&client, "/2");
        assert_next(&client, 200, "n1");
        if (client_next(&client, false) != rows[i].status)
            fail_msg("%s: %.*s", rows[i].request, STR_ARG(client.head));
        assert_connection(&client, "close");
        assert_true(client.body.len > 4);
        assert_ended(&client, 0);
        client_close(&client);
    }
}

static void
oversized_heads_are_told_apart(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    client_open(&client, scene);
    buf_printf(&client.out, "GET /%05000d", 0);
    assert_int_equal(client_next(&client, false), 414);
    assert_ended(&client, 0);
    client_close(&client);
    client_open(&client, scene);
    buf_printf(&client.out, "GET / HTTP/1.1\r\nHost: a\r\nX: %05000d", 0);
    assert_int_equal(client_next(&client, false), 431);
    assert_ended(&client, 0);
    client_close(&client);
    client_open(&client, scene);
    client_say(&client, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (unsigned i = 0; i < 40; i++)
        client_say(&client, "X: y\r\n");
    assert_int_equal(client_next(&client, false), 431);
    assert_ended(&client, 0);
    client_close(&client);
    run_for(scene->world, 10);
    assert_ends(scene, CONN_END_BAD_REQUEST, 3);
}

/* --- request bodies that nobody wants --- */

static void
a_body_is_thrown_away_up_to_a_limit(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    client_open(&client, scene);
    client_say(&client, "GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 262144\r\n\r\n");
    for (unsigned i = 0; i < CONN_DISCARD_MAX / 1024; i++)
        buf_printf(&client.out, "%01024d", 0);
    client_get(&client, "/2");
    assert_next(&client, 200, "n1");
    assert_connection(&client, "");
    assert_next(&client, 200, "n2");
    client_say(&client, "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 262145\r\n\r\n");
    assert_next(&client, 405, "405 Method Not Allowed\n");
    assert_connection(&client, "close");
    assert_ended(&client, 0);
    client_close(&client);
}

/* The limit is for all that is read, framing included. */
static void
chunks_are_thrown_away_up_to_a_limit(void **state)
{
    static const struct {
        const char *head;
        int data_len;
    } chunks[] = {{"1000\r\n", 4096}, {"1;extension=that-is-longer-than-the-data\r\n", 1}};
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    for (unsigned i = 0; i < 4; i++) {
        unsigned chunk = i / 2, too_many = i % 2;
        size_t chunk_len = strlen(chunks[chunk].head) + (size_t)chunks[chunk].data_len + 2;
        size_t body_len = 0;
        client_open(&client, scene);
        client_say(&client, "GET /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (; body_len + (too_many ? 0 : chunk_len) <= CONN_DISCARD_MAX; body_len += chunk_len)
            buf_printf(&client.out, "%s%0*d\r\n", chunks[chunk].head, chunks[chunk].data_len, 0);
        client_run_for(&client, 0);
        client_say(&client, "0\r\n\r\n");
        client_get(&client, "/2");
        assert_next(&client, 200, "n1");
        assert_connection(&client, too_many ? "close" : "");
        if (too_many)
            assert_ended(&client, 0);
        else
            assert_next(&client, 200, "n2");
        client_close(&client);
    }
}

static void
a_malformed_chunk_is_the_only_answer(void **state)
{
    struct scene *scene = *state;
    static const char *const wrong[] = {"x\r\n", "1\r\nab\r\n", "-1\r\n",
                                        "0\r\nbad trailer\r\n\r\n", "1\nx\n"};
    make_numbers(scene);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct client client;
        client_open(&client, scene);
        client_say(&client, "GET /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client_say(&client, wrong[i]);
        client_get(&client, "/2");
        assert_next(&client, 400, "400 Bad Request: malformed chunk\n");
        assert_connection(&client, "close");
        assert_ended(&client, 0);
        client_close(&client);
    }
}

/* The head was good: the answer is to a HEAD request still, and without a body. */
static void
a_malformed_chunk_of_a_head_request_gets_a_head(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    client_open(&client, scene);
    client_say(&client, "HEAD /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    assert_int_equal(client_next(&client, true), 400);
    assert_ended(&client, 0);
    client_close(&client);
}

static void
who_waits_to_send_a_body_gets_the_answer_instead(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    client_open(&client, scene);
    client_say(&client, "POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                        "Content-Length: 10\r\n\r\n");
    assert_next(&client, 405, "405 Method Not Allowed\n");
    assert_connection(&client, "close");
    assert_ended(&client, 0);
    client_close(&client);
}

/* --- the peer's end --- */

static void
what_came_before_the_peers_end_is_answered(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_numbers(scene);
    client_open(&client, scene);
    for (unsigned i = 0; i < 100; i++)
        client_get(&client, "/1");
    client.end_after_out = true;
    for (unsigned i = 0; i < 100; i++)
        assert_next(&client, 200, "n1");
    assert_ended(&client, 0);
    client_close(&client);
    run_for(scene->world, 5);
    assert_ends(scene, CONN_END_DONE, 1);
}

static void
a_request_cut_off_by_the_peers_end_is_refused(void **state)
{
    static const char *const cut[] = {
        "GET /2 HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"};
    struct scene *scene = *state;
    make_numbers(scene);
    for (unsigned i = 0; i < sizeof cut / sizeof *cut; i++) {
        struct client client;
        client_open(&client, scene);
        client_get(&client, "/1");
        client_say(&client, cut[i]);
        client.end_after_out = true;
        assert_next(&client, 200, "n1");
        assert_next(&client, 400, "400 Bad Request: the request ended early\n");
        assert_connection(&client, "close");
        assert_ended(&client, 0);
        client_close(&client);
    }
}

static void
a_download_goes_on_after_the_peers_end(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene_make(scene, "head -c 3000000 /dev/zero >big");
    client_open(&client, scene);
    client.read_step = 100000;
    client_get(&client, "/big");
    client.end_after_out = true;
    assert_int_equal(client_next(&client, false), 200);
    assert_int_equal(client.body.len, 3000000);
    assert_ended(&client, 0);
    client_close(&client);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_response_has_its_head_once),
        scene_test(pipelined_requests_are_answered_in_order),
        scene_test(requests_may_come_byte_by_byte),
        scene_test(requests_may_be_cut_anywhere),
        scene_test(nothing_is_answered_after_a_close),
        scene_test(the_last_of_the_allowed_requests_says_so),
        scene_test(malformed_requests_are_answered_and_end),
        scene_test(oversized_heads_are_told_apart),
        scene_test(a_body_is_thrown_away_up_to_a_limit),
        scene_test(chunks_are_thrown_away_up_to_a_limit),
        scene_test(a_malformed_chunk_is_the_only_answer),
        scene_test(a_malformed_chunk_of_a_head_request_gets_a_head),
        scene_test(who_waits_to_send_a_body_gets_the_answer_instead),
        scene_test(what_came_before_the_peers_end_is_answered),
        scene_test(a_request_cut_off_by_the_peers_end_is_refused),
        scene_test(a_download_goes_on_after_the_peers_end),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("h1", run_group);
}
