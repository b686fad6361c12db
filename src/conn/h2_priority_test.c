/* PRIORITY_UPDATE frames of the HTTP/2 session; on both backends. */
#include "conn/h2_internal.h"
#include "conn/h2_test_run.h"

enum { LONG_VALUE_LEN = H2_PRIORITY_LEN_MAX + 1 };

static void
make_site(struct scene *scene)
{
    scene_make(scene, "printf n1 >1; seq 1 60000 >big; truncate -s 300000 big");
}

/* Behind what the client has said so far, and before its next request. */
static void
put_update(struct h2c *h2c, uint32_t id, struct str value)
{
    struct buf payload;
    const uint8_t *data;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(h2c->ng, &data)) > 0)
        buf_append(&h2c->client.out, str_make((const char *)data, (size_t)len));
    buf_init(&payload, 1024);
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_append_char(&payload, (char)(id >> shift));
    buf_append(&payload, value);
    put_frame(&h2c->client.out, NGHTTP2_PRIORITY_UPDATE, 0, 0, buf_str(&payload));
    buf_deinit(&payload);
}

static struct h2c_stream *
get_big(struct h2c *h2c, const char *fields)
{
    return h2c_request(h2c, "GET", "/big", fields, NO_UPLOAD);
}

/* The streams 1, 3, 5 end in the order that these digits say. */
static void
assert_order(struct h2c *h2c, const char *places)
{
    h2c_wait(h2c);
    for (unsigned i = 0; i < 3; i++)
        if (h2c->streams[i].place != (unsigned)(places[i] - '0'))
            fail_msg("stream %u ended as number %u", 2 * i + 1, h2c->streams[i].place);
}

static void
an_early_update_is_kept(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    put_update(&h2c, 5, STR("u=1"));
    put_update(&h2c, 1, STR("u=6"));
    get_big(&h2c, "");
    get_big(&h2c, "");
    get_big(&h2c, "");
    assert_order(&h2c, "321");
    h2c_close(&h2c);
}

static void
an_early_update_beats_the_header(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    put_update(&h2c, 1, STR("u=6"));
    get_big(&h2c, "priority=u=0\n");
    get_big(&h2c, "priority=u=4\n");
    put_update(&h2c, 5, STR("u=2, i"));
    get_big(&h2c, "priority=u=7\n");
    assert_order(&h2c, "321");
    h2c_close(&h2c);
}

/* An update is the whole priority: what it leaves out is the default. */
static void
an_update_without_urgency_says_the_default(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    put_update(&h2c, 1, STR(""));
    get_big(&h2c, "priority=u=0\n");
    get_big(&h2c, "priority=u=2\n");
    get_big(&h2c, "priority=u=4\n");
    assert_order(&h2c, "213");
    h2c_close(&h2c);
}

static void
the_last_update_counts(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    put_update(&h2c, 1, STR("u=0"));
    put_update(&h2c, 3, STR("u=7"));
    put_update(&h2c, 1, STR("u=5"));
    get_big(&h2c, "");
    get_big(&h2c, "");
    get_big(&h2c, "");
    put_update(&h2c, 3, STR("u=1")); /* it is open now */
    assert_order(&h2c, "312");
    h2c_close(&h2c);
}

static void
an_update_may_come_in_pieces(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    put_update(&h2c, 5, STR("u=0"));
    put_update(&h2c, 1, STR("u=7, i"));
    struct buf *out = &h2c.client.out, all;
    buf_init(&all, 65536);
    buf_append(&all, buf_str(out));
    buf_clear(out);
    for (size_t at = 0; at < all.len; at++) {
        buf_append_char(out, all.ptr[at]);
        client_pump_out(&h2c.client);
        run_for(scene->world, 0);
    }
    buf_deinit(&all);
    get_big(&h2c, "");
    get_big(&h2c, "");
    get_big(&h2c, "");
    assert_order(&h2c, "321");
    h2c_close(&h2c);
}

static void
too_long_an_update_is_ignored(void **state)
{
    static char value[LONG_VALUE_LEN] = "u=0, x";
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    memset(value + 6, ' ', sizeof value - 6);
    h2c_open(&h2c, scene, 1 << 20, false);
    put_update(&h2c, 5, str_make(value, LONG_VALUE_LEN));
    put_update(&h2c, 3, str_make(value, LONG_VALUE_LEN - 1));
    get_big(&h2c, "");
    get_big(&h2c, "");
    get_big(&h2c, "");
    assert_order(&h2c, "213");
    h2c_close(&h2c);
}

/* Those of streams that have ended, and of those that were passed over. */
static void
updates_of_closed_streams_are_ignored(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    client_open(&client, scene);
    put_preface(&client.out);
    put_frame(&client.out, NGHTTP2_PRIORITY_UPDATE, 0, 0, STR("\0\0\0\3u=1"));
    put_frame(&client.out, NGHTTP2_HEADERS, 5, 5, BLOCK_GET);
    client_run_for(&client, 10);
    put_frame(&client.out, NGHTTP2_PRIORITY_UPDATE, 0, 0, STR("\0\0\0\3u=1"));
    put_frame(&client.out, NGHTTP2_PRIORITY_UPDATE, 0, 0, STR("\0\0\0\5u=1"));
    put_frame(&client.out, NGHTTP2_PING, 0, 0, STR("12345678"));
    client_run_for(&client, 10);
    assert_true(str_find(buf_str(&client.in), STR("12345678")) < client.in.len);
    assert_int_equal(client.end, 1);
    client_close(&client);
}

/* The error code of the last GOAWAY that the client was sent; UINT32_MAX: none. */
static uint32_t
goaway_code(const struct client *client)
{
    uint32_t code = UINT32_MAX;
    struct str in = buf_str(&client->in);
    while (in.len >= H2_FRAME_HEAD_LEN) {
        const uint8_t *head = (const uint8_t *)in.ptr;
        size_t len = (size_t)(head[0] << 16 | head[1] << 8 | head[2]);
        if (head[3] == NGHTTP2_GOAWAY)
            code = (uint32_t)(head[13] << 24 | head[14] << 16 | head[15] << 8 | head[16]);
        in = str_skip(in, H2_FRAME_HEAD_LEN + len);
    }
    return code;
}

static void
bad_updates_end_the_connection(void **state)
{
    static const struct {
        uint32_t frame_id;
        struct str payload;
        uint32_t code;
    } rows[] = {
        {1, STR_INIT("\0\0\0\1u=1"), NGHTTP2_PROTOCOL_ERROR},
        {0, STR_INIT("\0\0\0\0u=1"), NGHTTP2_PROTOCOL_ERROR},
        {0, STR_INIT("\0\0\0\2u=1"), NGHTTP2_PROTOCOL_ERROR},
        {0, STR_INIT("\0\0\1"), NGHTTP2_FRAME_SIZE_ERROR},
        {0, STR_INIT(""), NGHTTP2_FRAME_SIZE_ERROR},
    };
    struct scene *scene = *state;
    make_site(scene);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client;
        client_open(&client, scene);
        put_preface(&client.out);
        put_frame(&client.out, NGHTTP2_PRIORITY_UPDATE, 0, rows[i].frame_id, rows[i].payload);
        run_until(scene->world, client_was_ended, &client);
        if (goaway_code(&client) != rows[i].code)
            fail_msg("row %u: code %u", i, goaway_code(&client));
        client_close(&client);
    }
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_H2_PROTOCOL, sizeof rows / sizeof *rows);
}

static void
put_updates(struct client *client, uint32_t first_id, unsigned count)
{
    for (uint32_t id = first_id; count--; id += 2) {
        char payload[] = {0, 0, (char)(id >> 8), (char)id, 'u', '=', '7'};
        put_frame(&client->out, NGHTTP2_PRIORITY_UPDATE, 0, 0, str_make(payload, sizeof payload));
    }
}

/* RFC 9218 section 7.1: idle streams of which something was said, and open ones, together. */
static void
no_more_streams_than_may_be_open_are_prioritised(void **state)
{
    struct scene *scene = *state;
    make_site(scene);
    for (unsigned open = 0; open < 2; open++) {
        struct client client;
        client_open(&client, scene);
        put_preface(&client.out);
        put_frame(&client.out, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, STR(""));
        client_run_for(&client, 5); /* its SETTINGS have to be there to be acknowledged */
        if (open)
            put_frame(&client.out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, BLOCK_GET);
        put_updates(&client, 3, H2_STREAMS_MAX - open);
        put_updates(&client, 3, 2); /* of the same streams */
        client_run_for(&client, 10);
        assert_int_equal(client.end, 1);
        put_updates(&client, 901, 1);
        run_until(scene->world, client_was_ended, &client);
        assert_int_equal(goaway_code(&client), NGHTTP2_PROTOCOL_ERROR);
        client_close(&client);
    }
}

/* Once they open, and when they are passed over. */
static void
streams_count_as_prioritised_while_they_are_idle(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    client_open(&client, scene);
    put_preface(&client.out);
    put_frame(&client.out, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, STR(""));
    client_run_for(&client, 5);
    put_updates(&client, 1, H2_STREAMS_MAX);
    put_frame(&client.out, NGHTTP2_HEADERS, 5, 3, BLOCK_GET);
    client_run_for(&client, 10);
    put_updates(&client, 901, 2);
    client_run_for(&client, 10);
    assert_int_equal(client.end, 1);
    put_updates(&client, 905, 1);
    run_until(scene->world, client_was_ended, &client);
    assert_int_equal(goaway_code(&client), NGHTTP2_PROTOCOL_ERROR);
    client_close(&client);
}

/* A client that does not know the limit yet. */
static void
the_oldest_of_too_many_updates_is_forgotten(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1 << 20, false);
    put_update(&h2c, 5, STR("u=7"));
    put_updates(&h2c.client, 1001, H2_STREAMS_MAX - 1);
    put_update(&h2c, 1, STR("u=7")); /* now 5 is forgotten */
    client_pump_out(&h2c.client);
    run_for(scene->world, 5);
    get_big(&h2c, "priority=u=0\n");
    get_big(&h2c, "priority=u=4\n");
    get_big(&h2c, "priority=u=0\n");
    assert_order(&h2c, "321");
    h2c_close(&h2c);
}

static struct h2 *
session_of(struct scene *scene)
{
    struct conn *conn = scene->pool.chunks[0];
    while (conn->state != CONN_ACTIVE && conn->state != CONN_IDLE)
        conn++;
    return (struct h2 *)conn->session;
}

/* nghttp2 1.52 loses count of idle streams, so it must not have any; and a session that has seen no
 * such frame has no memory for them. */
static void
nghttp2_hears_nothing_of_idle_streams(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    h2c_open(&h2c, scene, 1000, true);
    h2c_wait_for(&h2c, get_big(&h2c, ""), 1000);
    struct h2 *h2 = session_of(scene);
    assert_null(h2->priorities);
    assert_non_null(nghttp2_session_find_stream(h2->ng, 1));
    put_update(&h2c, 3, STR("u=1"));
    h2c_run_for(&h2c, 5);
    assert_non_null(h2->priorities);
    assert_null(nghttp2_session_find_stream(h2->ng, 3));
    h2c_close(&h2c);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        scene_test(an_early_update_is_kept),
        scene_test(an_early_update_beats_the_header),
        scene_test(an_update_without_urgency_says_the_default),
        scene_test(the_last_update_counts),
        scene_test(an_update_may_come_in_pieces),
        scene_test(too_long_an_update_is_ignored),
        scene_test(updates_of_closed_streams_are_ignored),
        scene_test(bad_updates_end_the_connection),
        scene_test(no_more_streams_than_may_be_open_are_prioritised),
        scene_test(streams_count_as_prioritised_while_they_are_idle),
        scene_test(the_oldest_of_too_many_updates_is_forgotten),
        scene_test(nghttp2_hears_nothing_of_idle_streams),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("h2_priority", run_group);
}
