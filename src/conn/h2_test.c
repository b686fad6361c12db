/* The HTTP/2 session: requests, bodies, windows, priorities, graceful ends; on both backends. */
#include "conn/h2_test_run.h"

#include "conn/h2.h"

enum { BIG_LEN = 300000 };

static void
make_site(struct scene *scene)
{
    scene_make(scene, "for i in 0 1 2 3 4 5 6 7 8 9; do printf n$i >$i; done; "
                      "seq 1 60000 >big; truncate -s 300000 big; head -c 20000 big >mid");
}

static void
assert_big(struct scene *scene, struct str got)
{
    static char wanted[BIG_LEN];
    char path[256];
    snprintf(path, sizeof path, "%s/in/big", scene->fixture->dir);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(wanted, 1, BIG_LEN, file), BIG_LEN);
    fclose(file);
    assert_int_equal(got.len, BIG_LEN);
    assert_memory_equal(got.ptr, wanted, BIG_LEN);
}

static void
a_request_is_answered(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *get = h2c_request(&h2c, "GET", "/1", "user-agent=me\n", NO_UPLOAD);
    struct h2c_stream *head = h2c_request(&h2c, "HEAD", "/mid", "", NO_UPLOAD);
    struct h2c_stream *none = h2c_get(&h2c, "/none");
    struct h2c_stream *options = h2c_request(&h2c, "OPTIONS", "*", "", NO_UPLOAD);
    struct h2c_stream *same = h2c_request(&h2c, "GET", "/1", "if-none-match=*\n", NO_UPLOAD);
    struct h2c_stream *ranges =
        h2c_request(&h2c, "GET", "/big", "range=bytes=0-1,100-40099,-3\n", NO_UPLOAD);
    h2c_wait(&h2c);
    assert_answer(get, 200, "n1");
    assert_str(h2c_header(get, "date"), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_str(h2c_header(get, "content-length"), "2");
    assert_true(str_find(buf_str(&get->head), STR("\netag: \"")) < get->head.len);
    assert_answer(head, 200, "");
    assert_str(h2c_header(head, "content-length"), "20000");
    assert_answer(none, 404, "404 Not Found\n");
    assert_answer(options, 204, "");
    assert_answer(same, 304, "");
    assert_int_equal(ranges->status, 206);
    assert_true(ranges->body.len > 40005);
    assert_int_equal(scene->record_count, 6);
    unsigned at = 0;
    while (at < 5 && scene->records[at].bytes != 2)
        at++;
    assert_string_equal(scene->records[at].method, "GET");
    assert_string_equal(scene->records[at].target, "/1");
    assert_string_equal(scene->records[at].host, "a");
    assert_string_equal(scene->records[at].agent, "me");
    assert_true(scene->records[at].complete);
    assert_int_equal(scene->pool.counters.h2_streams, 0);
    assert_int_equal(scene->pool.counters.h2_sessions, 1);
    h2c_close(&h2c);
}

/* From memory and from a file, through windows of all sizes. */
static void
large_bodies_come_whole(void **state)
{
    static const uint32_t windows[] = {1 << 20, 65535, 4097, 300};
    struct scene *scene = *state;
    for (unsigned from_file = 0; from_file < 2; from_file++) {
        scene->fixture->config.preload_max = from_file ? 0 : 1 << 24;
        make_site(scene);
        for (unsigned i = 0; i < sizeof windows / sizeof *windows; i++) {
            struct h2c h2c;
            h2c_open(&h2c, scene, windows[i], false);
            struct h2c_stream *one = h2c_get(&h2c, "/big");
            struct h2c_stream *other = h2c_get(&h2c, "/big");
            h2c_wait(&h2c);
            assert_big(scene, buf_str(&one->body));
            assert_big(scene, buf_str(&other->body));
            assert_int_equal(one->code, NGHTTP2_NO_ERROR);
            h2c_close(&h2c);
        }
    }
}

static void
many_streams_are_answered_together(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 65535, false);
    for (unsigned i = 0; i < 100; i++)
        h2c_get(&h2c, i % 3 == 0 ? "/big" : i % 3 == 1 ? "/mid" : "/7");
    h2c_wait(&h2c);
    for (unsigned i = 0; i < 100; i++) {
        struct str body = buf_str(&h2c.streams[i].body);
        assert_int_equal(h2c.streams[i].status, 200);
        if (i % 3 == 0)
            assert_big(scene, body);
        else
            assert_int_equal(body.len, i % 3 == 1 ? 20000 : 2);
    }
    h2c_close(&h2c);
}

static void
a_stream_without_window_holds_up_no_other(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 30000, true);
    struct h2c_stream *slow = h2c_get(&h2c, "/big");
    h2c_wait_for(&h2c, slow, 30000);
    struct h2c_stream *quick = h2c_get(&h2c, "/mid");
    h2c_wait_for(&h2c, quick, SIZE_MAX);
    assert_true(quick->closed && quick->status == 200);
    assert_int_equal(quick->body.len, 20000);
    assert_false(slow->closed);
    assert_int_equal(slow->body.len, 30000);
    h2c_close(&h2c);
}

static void
urgent_streams_come_first(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    struct h2c_stream *late = h2c_request(&h2c, "GET", "/big", "priority=u=6\n", NO_UPLOAD);
    struct h2c_stream *usual = h2c_get(&h2c, "/big");
    struct h2c_stream *first = h2c_request(&h2c, "GET", "/big", "priority=u=0\n", NO_UPLOAD);
    h2c_wait(&h2c);
    assert_int_equal(first->place, 1);
    assert_int_equal(usual->place, 2);
    assert_int_equal(late->place, 3);
    assert_big(scene, buf_str(&late->body));
    h2c_close(&h2c);
}

static void
priorities_may_change(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    struct h2c_stream *one = h2c_get(&h2c, "/big");
    struct h2c_stream *other = h2c_get(&h2c, "/big");
    assert_int_equal(
        nghttp2_submit_priority_update(h2c.ng, NGHTTP2_FLAG_NONE, 3, (const uint8_t *)"u=1", 3), 0);
    h2c_wait(&h2c);
    assert_int_equal(other->place, 1);
    assert_int_equal(one->place, 2);
    h2c_close(&h2c);
}

static void
request_bodies_are_thrown_away(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *get = h2c_request(&h2c, "GET", "/1", "", 200000);
    struct h2c_stream *post = h2c_request(&h2c, "POST", "/1", "content-length=3\n", 3);
    h2c_wait(&h2c);
    assert_answer(get, 200, "n1");
    assert_answer(post, 405, "405 Method Not Allowed\n");
    /* More than anybody reads: answered, and told to stop. */
    struct h2c_stream *huge = h2c_request(&h2c, "GET", "/2", "", 8 << 20);
    struct h2c_stream *asks =
        h2c_request(&h2c, "GET", "/3", "expect=100-continue\n", UPLOAD_STALLS);
    struct h2c_stream *said = h2c_request(&h2c, "GET", "/4", "content-length=9999999\n", 9999999);
    h2c_wait(&h2c);
    assert_answer(huge, 200, "n2");
    assert_int_equal(huge->code, NGHTTP2_NO_ERROR);
    assert_true(huge->upload_left > 6 << 20);
    assert_answer(asks, 200, "n3");
    assert_int_equal(said->status, 413);
    h2c_close(&h2c);
}

static void
lengths_must_be_kept(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *less = h2c_request(&h2c, "POST", "/1", "content-length=5\n", 4);
    struct h2c_stream *more = h2c_request(&h2c, "POST", "/1", "content-length=5\n", 6);
    struct h2c_stream *none = h2c_request(&h2c, "POST", "/1", "content-length=5\n", NO_UPLOAD);
    h2c_wait(&h2c);
    assert_int_equal(less->status, 400);
    assert_int_equal(less->code, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(more->status, 400);
    assert_int_equal(none->status, 400);
    h2c_close(&h2c);
}

#define GET ":method=GET\n:scheme=http\n:authority=a\n:path=/1\n"

static void
malformed_requests_get_an_answer_and_an_error(void **state)
{
    static const struct {
        const char *lines;
        int status;
        uint32_t code;
    } rows[] = {
        {":method=GET\n:scheme=http\n:authority=a\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {":method=GET\n:scheme=http\n:path=/\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {GET "host=b\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {GET "Upper=x\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {GET "connection=close\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {GET "te=gzip\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {GET ":path=/\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {GET "x= y\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {":method=HEAD\n:scheme=http\n:authority=a\n:path=x\n", 400, NGHTTP2_PROTOCOL_ERROR},
        {GET "expect=more\n", 417, NGHTTP2_NO_ERROR},
        {":method=GET\n:scheme=http\n:authority=a\n:path=/%\n", 400, NGHTTP2_NO_ERROR},
        {":method=CONNECT\n:authority=a:1\n", 405, NGHTTP2_NO_ERROR},
        {":method=CONNECT\n:protocol=websocket\n:scheme=http\n:path=/\n:authority=a\n", 501,
         NGHTTP2_NO_ERROR},
    };
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 65535, false);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h2c_stream *stream = h2c_request_raw(&h2c, rows[i].lines, NO_UPLOAD);
        h2c_wait(&h2c);
        if (stream->status != rows[i].status || stream->code != rows[i].code)
            fail_msg("%s: %d, %u", rows[i].lines, stream->status, stream->code);
        assert_true(stream->body.len > 3 ||
                    str_find(str_from_cstr(rows[i].lines), STR("HEAD")) == 8);
    }
    struct h2c_stream *after = h2c_get(&h2c, "/1");
    h2c_wait(&h2c);
    assert_answer(after, 200, "n1");
    h2c_close(&h2c);
}

static void
too_large_a_head_is_refused_alone(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    char lines[8192];
    make_site(scene);
    h2c_open(&h2c, scene, 65535, false);
    snprintf(lines, sizeof lines, GET "x=%05000d\n", 0);
    struct h2c_stream *large = h2c_request_raw(&h2c, lines, NO_UPLOAD);
    snprintf(lines, sizeof lines, ":method=GET\n:scheme=http\n:authority=a\n:path=/%05000d\n", 0);
    struct h2c_stream *path = h2c_request_raw(&h2c, lines, NO_UPLOAD);
    size_t len = (size_t)snprintf(lines, sizeof lines, GET);
    for (unsigned i = 0; i < 40; i++)
        len += (size_t)snprintf(lines + len, sizeof lines - len, "x%u=\n", i);
    struct h2c_stream *many = h2c_request_raw(&h2c, lines, NO_UPLOAD);
    struct h2c_stream *after = h2c_get(&h2c, "/1");
    h2c_wait(&h2c);
    assert_int_equal(large->status, 431);
    assert_int_equal(path->status, 414);
    assert_int_equal(many->status, 431);
    assert_answer(after, 200, "n1");
    h2c_close(&h2c);
}

/* --- beginnings --- */

#define TALK_LEN 4096

/* Two requests and a PING. */
static size_t
make_talk(char *out)
{
    struct buf talk;
    buf_init(&talk, TALK_LEN);
    put_preface(&talk);
    put_frame(&talk, NGHTTP2_HEADERS, 5, 1,
              STR("\x82\x86\x41\x01"
                  "a\x04\x02/1"));
    put_frame(&talk, NGHTTP2_HEADERS, 4, 3,
              STR("\x83\x86\x41\x01"
                  "a\x04\x02/2"));
    put_frame(&talk, NGHTTP2_PING, 0, 0, STR("12345678"));
    put_frame(&talk, NGHTTP2_DATA, 1, 3, STR("abc"));
    size_t len = talk.len;
    memcpy(out, talk.ptr, len);
    buf_deinit(&talk);
    return len;
}

static bool
talk_is_answered(void *arg)
{
    struct client *client = arg;
    client_pump(client);
    return str_find(buf_str(&client->in), STR("n1")) < client->in.len &&
           str_find(buf_str(&client->in), STR("405 Method")) < client->in.len &&
           str_find(buf_str(&client->in), STR("12345678")) < client->in.len;
}

static void
a_talk_may_be_cut_anywhere(void **state)
{
    struct scene *scene = *state;
    char talk[TALK_LEN];
    size_t len = make_talk(talk);
    make_site(scene);
    for (size_t cut = 0; cut <= len; cut++) { /* at 0: byte by byte */
        struct client client;
        client_open(&client, scene);
        for (size_t at = 0, next; at < len; at = next) {
            next = cut == 0 ? at + 1 : at < cut ? cut : len;
            buf_append(&client.out, str_make(talk + at, next - at));
            client_pump_out(&client);
            run_for(scene->world, 0);
        }
        run_until(scene->world, talk_is_answered, &client);
        client_close(&client);
    }
}

static void
only_a_whole_preface_at_the_start_counts(void **state)
{
    static const struct {
        const char *bytes;
        int status;
    } rows[] = {
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", 505},
        {"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
        {"P", 0},
    };
    struct scene *scene = *state;
    make_site(scene);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client;
        client_open(&client, scene);
        client_say(&client, rows[i].bytes);
        if (rows[i].status)
            assert_int_equal(client_next(&client, false), rows[i].status);
        client_close(&client);
    }
    struct client client;
    client_open(&client, scene);
    client_get(&client, "/1");
    assert_next(&client, 200, "n1");
    client_say(&client, NGHTTP2_CLIENT_MAGIC);
    assert_int_equal(client_next(&client, false), 505);
    client_close(&client);
    assert_int_equal(scene->pool.counters.h2_sessions, 0);
}

/* --- ends --- */

static void
a_reset_ends_one_stream(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1000, true);
    struct h2c_stream *big = h2c_get(&h2c, "/big");
    struct h2c_stream *other = h2c_get(&h2c, "/2");
    h2c_wait_for(&h2c, big, 1000);
    h2c_wait_for(&h2c, other, SIZE_MAX);
    nghttp2_submit_rst_stream(h2c.ng, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL);
    h2c_wait(&h2c);
    struct h2c_stream *after = h2c_get(&h2c, "/3");
    h2c_wait(&h2c);
    assert_answer(after, 200, "n3");
    assert_int_equal(scene->pool.counters.h2_resets, 1);
    assert_int_equal(scene->pin.use_count, 0);
    assert_int_equal(scene->records[1].bytes, 1000);
    assert_false(scene->records[1].complete);
    h2c_close(&h2c);
}

static void
a_drain_finishes_what_has_begun(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 5000, false);
    for (unsigned i = 0; i < 20; i++)
        h2c_get(&h2c, "/big");
    h2c_run_for(&h2c, 5);
    assert_int_equal(conn_pool_drain(&scene->pool, 0), 1);
    h2c_wait(&h2c);
    for (unsigned i = 0; i < 20; i++)
        assert_big(scene, buf_str(&h2c.streams[i].body));
    h2c_wait_for_end(&h2c, 0);
    assert_int_equal(h2c.goaway_count, 2);
    assert_int_equal(h2c.goaway_last, 39);
    assert_int_equal(h2c.goaway_code, NGHTTP2_NO_ERROR);
    h2c_close(&h2c);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_DRAINED, 1);
}

static void
a_drain_ends_an_idle_connection(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 65535, false);
    h2c_get(&h2c, "/1");
    h2c_wait(&h2c);
    h2c_run_for(&h2c, 5);
    conn_pool_drain(&scene->pool, 0);
    /* At once when the PING has come back; else after H2_NOTICE_MS. */
    assert_true(world_runs_until(scene->world, h2c_was_ended, &h2c, H2_NOTICE_MS / 2));
    assert_int_equal(h2c.client.end, 0);
    assert_true(h2c.goaway_count >= 1);
    h2c_close(&h2c);
}

/* It has ended, but the loop has not let go of it yet. */
static void
a_drain_leaves_what_has_ended_alone(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1000, true);
    h2c_wait_for(&h2c, h2c_get(&h2c, "/big"), 1000);
    struct conn *conn = scene->pool.chunks[0];
    while (conn->state != CONN_ACTIVE)
        conn++;
    conn_drop(conn, CONN_END_PEER_RESET, true);
    assert_int_equal(conn_pool_drain(&scene->pool, 0), 1);
    run_until(scene->world, scene_is_empty, scene);
    h2c_close(&h2c);
}

static void
the_last_of_the_allowed_requests_says_so(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    scene->pool.config.requests_max = 2;
    h2c_open(&h2c, scene, 65535, false);
    for (unsigned i = 0; i < 4; i++)
        h2c_get(&h2c, "/1");
    h2c_wait_for_end(&h2c, 0);
    assert_answer(&h2c.streams[0], 200, "n1");
    assert_answer(&h2c.streams[1], 200, "n1");
    assert_int_equal(h2c.streams[2].status, 0);
    assert_int_equal(h2c.goaway_last, 3);
    assert_int_equal(scene->env.counters.requests, 2);
    h2c_close(&h2c);
}

static void
a_peer_that_ends_its_side_gets_its_answers(void **state)
{
    struct scene *scene = *state;
    struct client client;
    char talk[TALK_LEN];
    make_site(scene);
    client_open(&client, scene);
    buf_append(&client.out, str_make(talk, make_talk(talk)));
    client.end_after_out = true;
    run_until(scene->world, client_was_ended, &client);
    assert_true(talk_is_answered(&client));
    client_close(&client);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_DONE, 1);
}

static void
a_file_that_changes_breaks_its_stream_alone(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    scene->fixture->config.preload_max = 100;
    make_site(scene);
    h2c_open(&h2c, scene, 1000, true);
    struct h2c_stream *big = h2c_get(&h2c, "/big");
    h2c_wait_for(&h2c, big, 1000);
    run(scene->fixture, "truncate -s 1500 in/big");
    nghttp2_session_consume(h2c.ng, 1, 1000);
    h2c_wait(&h2c);
    assert_int_equal(big->code, NGHTTP2_INTERNAL_ERROR);
    struct h2c_stream *after = h2c_get(&h2c, "/1");
    h2c_wait(&h2c);
    assert_answer(after, 200, "n1");
    h2c_close(&h2c);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_request_is_answered),
        scene_test(large_bodies_come_whole),
        scene_test(many_streams_are_answered_together),
        scene_test(a_stream_without_window_holds_up_no_other),
        scene_test(urgent_streams_come_first),
        scene_test(priorities_may_change),
        scene_test(request_bodies_are_thrown_away),
        scene_test(lengths_must_be_kept),
        scene_test(malformed_requests_get_an_answer_and_an_error),
        scene_test(too_large_a_head_is_refused_alone),
        scene_test(a_talk_may_be_cut_anywhere),
        scene_test(only_a_whole_preface_at_the_start_counts),
        scene_test(a_reset_ends_one_stream),
        scene_test(a_drain_finishes_what_has_begun),
        scene_test(a_drain_ends_an_idle_connection),
        scene_test(a_drain_leaves_what_has_ended_alone),
        scene_test(the_last_of_the_allowed_requests_says_so),
        scene_test(a_peer_that_ends_its_side_gets_its_answers),
        scene_test(a_file_that_changes_breaks_its_stream_alone),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("h2", run_group);
}
