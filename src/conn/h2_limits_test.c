/* The HTTP/2 session: what a peer may not do, and how long it may take; on both backends. */
#include "conn/h2_test_run.h"

#include "conn/h2_flood.h"

static void
make_site(struct scene *scene)
{
    scene_make(scene, "printf n1 >1; seq 1 60000 >big; truncate -s 300000 big");
}

/* --- allowances --- */

static void
an_allowance_refills_with_time(void **state)
{
    struct h2_flood flood = {0};
    uint64_t now_ns = 1000000 * MS;
    for (unsigned i = 0; i < 128; i++)
        assert_true(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    assert_false(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    assert_true(h2_flood_allows(&flood, H2_FLOOD_SETTINGS, now_ns));
    now_ns += 1000 * MS; /* 16 a second */
    for (unsigned i = 0; i < 16; i++)
        assert_true(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    assert_false(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    h2_flood_credit(&flood, H2_FLOOD_PING, 2);
    assert_true(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    assert_true(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    assert_false(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    now_ns += 100000 * MS;
    for (unsigned i = 0; i < 128; i++)
        assert_true(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
    assert_false(h2_flood_allows(&flood, H2_FLOOD_PING, now_ns));
}

/* Some frames, and then one PING too many. Returns where its head begins. */
static size_t
make_ping_flood(struct buf *out)
{
    buf_init(out, 65536);
    put_preface(out);
    put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, BLOCK_GET);
    put_frame(out, NGHTTP2_DATA, 0, 1, STR("\0\0\0\6\0\0\0\0\0\0\0\0\6\0\0\0\0\0"));
    for (unsigned i = 0; i < 128; i++)
        put_frame(out, NGHTTP2_PING, 0, 0, STR("12345678"));
    size_t end = out->len;
    put_frame(out, NGHTTP2_PING, 0, 0, STR("12345678"));
    put_frame(out, NGHTTP2_PING, 0, 0, STR("12345678"));
    return end;
}

/* However the bytes are cut, the same frame is one too many, and what is before it is let through.
 */
static void
frames_are_counted_across_cuts(void **state)
{
    struct buf bytes;
    size_t end = make_ping_flood(&bytes);
    for (size_t step = 1; step <= bytes.len; step++) {
        struct h2_flood flood;
        enum h2_flood_kind kind = H2_FLOOD_KIND_COUNT;
        size_t at = 0, taken, given;
        h2_flood_init(&flood);
        do {
            struct str piece = str_first(str_skip(buf_str(&bytes), at), step);
            given = piece.len;
            taken = h2_flood_watch(&flood, piece, 1000 * MS, &kind);
            at += taken;
        } while (taken == given && at < bytes.len);
        /* The beginning of its head may have gone with an earlier piece. */
        if (at < end || at >= end + H2_FRAME_HEAD_LEN || kind != H2_FLOOD_PING)
            fail_msg("in steps of %zu: %zu of %zu, kind %u", step, at, end, kind);
        if (step == bytes.len)
            assert_int_equal(at, end);
    }
    buf_deinit(&bytes);
}

/* As many frames of unknown types as come with requests are no flood, however many they are. */
static void
a_request_may_bring_frames_with_it(void **state)
{
    for (unsigned more = 0; more < 2; more++) {
        struct h2_flood flood;
        enum h2_flood_kind kind = H2_FLOOD_KIND_COUNT;
        struct buf bytes;
        buf_init(&bytes, 1 << 20);
        put_preface(&bytes);
        for (uint32_t id = 1; id < 2 * 1000; id += 2) {
            put_frame(&bytes, NGHTTP2_PRIORITY_UPDATE, 0, 0, STR("\0\0\0\1u=1"));
            put_frame(&bytes, NGHTTP2_HEADERS, 5, id, BLOCK_GET);
            for (unsigned i = 0; i < H2_REQUEST_FRAMES + more; i++)
                put_frame(&bytes, 0x2a, 0, id, STR("grease"));
        }
        h2_flood_init(&flood);
        size_t taken = h2_flood_watch(&flood, buf_str(&bytes), 1000 * MS, &kind);
        assert_int_equal(taken == bytes.len, !more);
        if (more)
            assert_int_equal(kind, H2_FLOOD_UNKNOWN);
        buf_deinit(&bytes);
    }
}

/* --- floods --- */

/* The last GOAWAY of what came in: its code, and its text. False: none came. */
static bool
find_goaway(struct str in, uint32_t *code, struct str *text)
{
    bool found = false;
    while (in.len >= 9) {
        const uint8_t *head = (const uint8_t *)in.ptr;
        size_t len = (size_t)(head[0] << 16 | head[1] << 8 | head[2]);
        if (len > in.len - 9)
            break;
        if (head[3] == NGHTTP2_GOAWAY) {
            *code = (uint32_t)(head[13] << 24 | head[14] << 16 | head[15] << 8 | head[16]);
            *text = str_make(in.ptr + 17, len - 8);
            found = true;
        }
        in = str_skip(in, 9 + len);
    }
    return found;
}

/* So many rounds of a frame, behind a preface and, with `block`, a request that stays open. */
struct flood_row {
    const char *text;
    enum h2_flood_kind kind;
    unsigned allowed, type, flags;
    bool open; /* stream 1 is open */
    struct str payload;
    uint32_t id;
};

static const struct flood_row floods[] = {
    {"ping", H2_FLOOD_PING, 128, NGHTTP2_PING, 0, false, STR_INIT("12345678"), 0},
    {"settings", H2_FLOOD_SETTINGS, 31, NGHTTP2_SETTINGS, 0, false, STR_INIT(""), 0},
    {"priority", H2_FLOOD_PRIORITY, 512, NGHTTP2_PRIORITY, 0, false, STR_INIT("\0\0\0\0\1"), 1},
    {"priority", H2_FLOOD_PRIORITY, 512, NGHTTP2_PRIORITY_UPDATE, 0, false, STR_INIT("\0\0\0\1u=1"),
     0},
    {"unknown", H2_FLOOD_UNKNOWN, 256, 0x2a, 0xff, false, STR_INIT("grease"), 7},
    {"unknown", H2_FLOOD_UNKNOWN, 256, NGHTTP2_ALTSVC, 0, false, STR_INIT(""), 0},
    {"empty_data", H2_FLOOD_EMPTY_DATA, 64, NGHTTP2_DATA, 0, true, STR_INIT(""), 1},
    {"window_update", H2_FLOOD_WINDOW_UPDATE, 2048, NGHTTP2_WINDOW_UPDATE, 0, false,
     STR_INIT("\0\0\0\1"), 0},
    {"goaway", H2_FLOOD_GOAWAY, 8, NGHTTP2_GOAWAY, 0, true, STR_INIT("\0\0\0\0\0\0\0\0"), 0},
};

static void
put_flood(struct buf *out, const struct flood_row *row, unsigned count)
{
    put_preface(out);
    if (row->open)
        put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, BLOCK_GET);
    for (unsigned i = 0; i < count; i++)
        put_frame(out, row->type, row->flags, row->id, row->payload);
}

static void
each_flood_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    make_site(scene);
    for (unsigned i = 0; i < sizeof floods / sizeof *floods; i++) {
        struct client client;
        uint32_t code;
        struct str text;
        uint64_t before = scene->pool.counters.h2_floods[floods[i].kind];
        client_open(&client, scene);
        put_flood(&client.out, &floods[i], floods[i].allowed);
        client_run_for(&client, 10);
        assert_int_equal(client.end, 1);
        assert_int_equal(scene->pool.counters.h2_floods[floods[i].kind], before);
        /* Some time has passed, which allows a few more. */
        for (unsigned more = 0; more < 40; more++)
            put_frame(&client.out, floods[i].type, floods[i].flags, floods[i].id,
                      floods[i].payload);
        run_until(scene->world, client_was_ended, &client);
        assert_true(find_goaway(buf_str(&client.in), &code, &text));
        assert_int_equal(code, NGHTTP2_ENHANCE_YOUR_CALM);
        assert_str(text, floods[i].text);
        assert_int_equal(scene->pool.counters.h2_floods[floods[i].kind], before + 1);
        client_close(&client);
    }
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_H2_FLOOD, sizeof floods / sizeof *floods);
}

static void
assert_calmed(struct scene *scene, struct client *client, enum h2_flood_kind kind)
{
    uint32_t code;
    struct str text;
    run_until(scene->world, client_was_ended, client);
    assert_true(find_goaway(buf_str(&client->in), &code, &text));
    assert_int_equal(code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_str(text, h2_flood_name(kind));
    assert_int_equal(scene->pool.counters.h2_floods[kind], 1);
    client_close(client);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_H2_FLOOD, 1);
}

/* nghttp2 skips DATA of streams that have ended without a word. */
static void
data_of_closed_streams_counts(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    client_open(&client, scene);
    put_preface(&client.out);
    put_frame(&client.out, NGHTTP2_HEADERS, 5, 1, BLOCK_GET);
    client_run_for(&client, 10);
    assert_int_equal(scene->pool.counters.h2_streams, 0);
    assert_int_equal(scene->env.counters.requests, 1);
    for (unsigned i = 0; i < 100; i++)
        put_frame(&client.out, NGHTTP2_DATA, 0, 1, STR(""));
    assert_calmed(scene, &client, H2_FLOOD_EMPTY_DATA);
}

static void
rapid_resets_end_the_connection(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    client_open(&client, scene);
    put_preface(&client.out);
    for (uint32_t id = 1; id < 2 * 1000; id += 2) {
        put_frame(&client.out, NGHTTP2_HEADERS, 5, id, BLOCK_GET);
        put_frame(&client.out, NGHTTP2_RST_STREAM, 0, id, STR("\0\0\0\x08"));
    }
    assert_calmed(scene, &client, H2_FLOOD_RESET);
    assert_true(scene->env.counters.requests < 400);
}

/* The peer makes the server reset: the same. */
static void
provoked_resets_end_the_connection(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    client_open(&client, scene);
    put_preface(&client.out);
    for (uint32_t id = 1; id < 2 * 1000; id += 2) {
        put_frame(&client.out, NGHTTP2_HEADERS, 4, id, BLOCK_GET);
        put_frame(&client.out, NGHTTP2_WINDOW_UPDATE, 0, id, STR("\x7f\xff\xff\xff"));
    }
    assert_calmed(scene, &client, H2_FLOOD_RESET);
}

static void
continuations_without_end_end_the_connection(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    client_open(&client, scene);
    put_preface(&client.out);
    put_frame(&client.out, NGHTTP2_HEADERS, 0, 1, BLOCK_GET);
    for (unsigned i = 0; i < 100; i++)
        put_frame(&client.out, NGHTTP2_CONTINUATION, 0, 1, STR("\0\1x\1y"));
    assert_calmed(scene, &client, H2_FLOOD_CONTINUATION);
}

/* One small block that unpacks to megabytes: refused, and nothing of it kept. */
static void
a_block_that_unpacks_to_much_is_refused(void **state)
{
    struct scene *scene = *state;
    struct client client;
    struct buf block;
    make_site(scene);
    client_open(&client, scene);
    buf_init(&block, 65536);
    buf_append(&block, STR("\x82\x86\x84\x41\x01"
                           "a\x40\x01x\x7f\xd1\x17")); /* a value of 3024 bytes */
    for (unsigned i = 0; i < 3024; i++)
        buf_append_char(&block, 'v');
    for (unsigned i = 0; i < 10000; i++)
        buf_append_char(&block, (char)0xbe);
    put_preface(&client.out);
    put_frame(&client.out, NGHTTP2_HEADERS, 5, 1, buf_str(&block));
    put_frame(&client.out, NGHTTP2_PING, 0, 0, STR("12345678"));
    client_wait_for_bytes(&client, 200);
    client_run_for(&client, 10);
    assert_true(str_find(buf_str(&client.in), STR("431 ")) < client.in.len);
    assert_true(str_find(buf_str(&client.in), STR("12345678")) < client.in.len);
    buf_deinit(&block);
    client_close(&client);
}

static void
broken_frames_end_the_connection(void **state)
{
    static const struct {
        unsigned type, flags;
        uint32_t id;
        struct str payload;
        uint32_t code;
    } rows[] = {
        {NGHTTP2_HEADERS, 5, 2, STR_INIT("\x82"), NGHTTP2_PROTOCOL_ERROR},
        {NGHTTP2_HEADERS, 5, 1, STR_INIT("\xff\xff\xff\xff\xff\xff\xff"),
         NGHTTP2_COMPRESSION_ERROR},
        {NGHTTP2_DATA, 0, 1, STR_INIT("x"), NGHTTP2_PROTOCOL_ERROR},
        {NGHTTP2_SETTINGS, 0, 0, STR_INIT("x"), NGHTTP2_FRAME_SIZE_ERROR},
        {NGHTTP2_PING, 0, 0, STR_INIT("x"), NGHTTP2_FRAME_SIZE_ERROR},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, STR_INIT("\0\0\0\0"), NGHTTP2_PROTOCOL_ERROR},
        {NGHTTP2_PUSH_PROMISE, 4, 1, STR_INIT("\0\0\0\2\x82"), NGHTTP2_PROTOCOL_ERROR},
        {NGHTTP2_CONTINUATION, 4, 1, STR_INIT("\x82"), NGHTTP2_PROTOCOL_ERROR},
    };
    struct scene *scene = *state;
    make_site(scene);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client;
        uint32_t code = 0;
        struct str text;
        client_open(&client, scene);
        put_preface(&client.out);
        put_frame(&client.out, rows[i].type, rows[i].flags, rows[i].id, rows[i].payload);
        run_until(scene->world, client_was_ended, &client);
        assert_true(find_goaway(buf_str(&client.in), &code, &text));
        assert_int_equal(code, rows[i].code);
        client_close(&client);
    }
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_H2_PROTOCOL, sizeof rows / sizeof *rows);
}

/* --- memory --- */

/* Who asks and asks and never reads is not read any more, and then ended. */
static void
a_peer_that_does_not_read_is_bounded(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    scene->pool.config.io_timeout_ns = 100 * MS;
    client_open_unix(&client, scene);
    client.read_step = 0;
    put_preface(&client.out);
    put_frame(&client.out, NGHTTP2_SETTINGS, 0, 0, STR("\0\4\x7f\xff\xff\xff"));
    put_frame(&client.out, NGHTTP2_WINDOW_UPDATE, 0, 0, STR("\x7f\0\0\0"));
    for (uint32_t id = 1; id < 2 * 100; id += 2)
        put_frame(&client.out, NGHTTP2_HEADERS, 5, id,
                  STR("\x82\x86\x41\x01"
                      "a\x04\x04/big"));
    for (unsigned i = 0; i < 100; i++)
        put_frame(&client.out, NGHTTP2_PING, 0, 0, STR("12345678"));
    client_run_for(&client, 50);
    assert_int_equal(scene->pool.counters.h2_streams, 100);
    client_run_for(&client, 200);
    client_close(&client);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_IO_TIMEOUT, 1);
    assert_int_equal(scene->pool.counters.h2_streams, 0);
}

static void
more_streams_than_allowed_are_refused(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_site(scene);
    client_open(&client, scene);
    put_preface(&client.out);
    put_frame(&client.out, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, STR(""));
    for (uint32_t id = 1; id < 2 * 140; id += 2)
        put_frame(&client.out, NGHTTP2_HEADERS, 4, id, BLOCK_GET);
    client_run_for(&client, 20);
    assert_true(scene->pool.counters.h2_streams <= H2_STREAMS_MAX);
    client_close(&client);
}

/* --- deadlines --- */

static void
an_idle_connection_ends_with_a_goaway(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    scene->pool.config.keepalive_timeout_ns = 30 * MS;
    h2c_open(&h2c, scene, 65535, false);
    h2c_get(&h2c, "/1");
    h2c_wait_for_end(&h2c, 0);
    assert_answer(&h2c.streams[0], 200, "n1");
    assert_int_equal(h2c.goaway_count, 1);
    assert_int_equal(h2c.goaway_code, NGHTTP2_NO_ERROR);
    h2c_close(&h2c);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_IDLE_TIMEOUT, 1);
}

static void
a_head_or_a_preface_has_to_come_in_time(void **state)
{
    static const bool with_settings[] = {false, true};
    struct scene *scene = *state;
    make_site(scene);
    scene->pool.config.header_timeout_ns = 30 * MS;
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        uint32_t code;
        struct str text;
        client_open(&client, scene);
        if (with_settings[i]) {
            put_preface(&client.out);
            put_frame(&client.out, NGHTTP2_HEADERS, 0, 1, BLOCK_GET);
        } else {
            client_say(&client, NGHTTP2_CLIENT_MAGIC);
        }
        run_until(scene->world, client_was_ended, &client);
        assert_true(find_goaway(buf_str(&client.in), &code, &text));
        assert_str(text, "header timeout");
        client_close(&client);
    }
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_HEADER_TIMEOUT, 2);
}

/* Its own window is shut and stays so; another stream goes on meanwhile. */
static void
a_stream_that_stands_still_is_reset(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    scene->pool.config.io_timeout_ns = 60 * MS;
    h2c_open(&h2c, scene, 1000, true);
    struct h2c_stream *big = h2c_get(&h2c, "/big");
    for (unsigned i = 0; i < 20 && !big->closed; i++) {
        struct h2c_stream *small = h2c_get(&h2c, "/1");
        h2c_wait_for(&h2c, small, SIZE_MAX);
        h2c_run_for(&h2c, 10);
        assert_answer(small, 200, "n1");
    }
    assert_true(big->closed);
    assert_int_equal(big->code, NGHTTP2_CANCEL);
    assert_int_equal(big->body.len, 1000);
    h2c_close(&h2c);
}

static void
a_body_that_does_not_come_is_answered(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    scene->pool.config.io_timeout_ns = 30 * MS;
    h2c_open(&h2c, scene, 65535, false);
    struct h2c_stream *stream = h2c_request(&h2c, "POST", "/1", "", UPLOAD_STALLS);
    h2c_wait(&h2c);
    assert_int_equal(stream->status, 408);
    assert_int_equal(stream->code, NGHTTP2_NO_ERROR);
    h2c_close(&h2c);
}

static void
a_connection_whose_window_stays_shut_ends(void **state)
{
    struct scene *scene = *state;
    struct h2c h2c;
    make_site(scene);
    scene->pool.config.io_timeout_ns = 30 * MS;
    h2c_open(&h2c, scene, 1 << 20, true);
    struct h2c_stream *big = h2c_get(&h2c, "/big");
    h2c_wait_for_end(&h2c, -ECONNRESET);
    assert_int_equal(big->body.len, 65535);
    h2c_close(&h2c);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_IO_TIMEOUT, 1);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allowance_refills_with_time),
        cmocka_unit_test(frames_are_counted_across_cuts),
        cmocka_unit_test(a_request_may_bring_frames_with_it),
        scene_test(each_flood_ends_the_connection),
        scene_test(data_of_closed_streams_counts),
        scene_test(rapid_resets_end_the_connection),
        scene_test(provoked_resets_end_the_connection),
        scene_test(continuations_without_end_end_the_connection),
        scene_test(a_block_that_unpacks_to_much_is_refused),
        scene_test(broken_frames_end_the_connection),
        scene_test(a_peer_that_does_not_read_is_bounded),
        scene_test(more_streams_than_allowed_are_refused),
        scene_test(an_idle_connection_ends_with_a_goaway),
        scene_test(a_head_or_a_preface_has_to_come_in_time),
        scene_test(a_stream_that_stands_still_is_reset),
        scene_test(a_body_that_does_not_come_is_answered),
        scene_test(a_connection_whose_window_stays_shut_ends),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("h2_limits", run_group);
}
