/* h2_test_run: for the tests of the HTTP/2 session: a client on nghttp2 whose bytes go through a
 * client of conn_test_run.h, with a notebook for each stream; and frames by hand.
 */
#ifndef TARN_CONN_H2_TEST_RUN_H
#define TARN_CONN_H2_TEST_RUN_H

#include "base/must.h"
#include "conn/conn_test_run.h"

#include <nghttp2/nghttp2.h>

enum { H2C_STREAMS_MAX = 512 };

struct h2c_stream {
    int status;
    struct buf head; /* "name: value\n" lines */
    struct buf body;
    bool closed;
    uint32_t code;  /* why */
    unsigned place; /* in the order of closing, from 1 */
    size_t upload_left;
};

struct h2c {
    struct client client;
    nghttp2_session *ng;
    struct h2c_stream streams[H2C_STREAMS_MAX];
    unsigned opened, closed;
    unsigned goaway_count;
    uint32_t goaway_code;
    int32_t goaway_last;
    char goaway_text[64];
    bool refused; /* what came could not be read */
};

static inline struct h2c_stream *
h2c_stream(struct h2c *h2c, int32_t id)
{
    must(id > 0 && id / 2 < H2C_STREAMS_MAX);
    return &h2c->streams[id / 2];
}

static inline int
h2c_on_field(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
             const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct h2c_stream *stream = h2c_stream(arg, frame->hd.stream_id);
    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        stream->status = atoi((const char *)value);
    buf_printf(&stream->head, "%.*s: %.*s\r\n", (int)name_len, name, (int)value_len, value);
    return 0;
}

static inline int
h2c_on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
            void *arg)
{
    buf_append(&h2c_stream(arg, id)->body, str_make((const char *)data, len));
    return 0;
}

static inline int
h2c_on_closed(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2c *h2c = arg;
    struct h2c_stream *stream = h2c_stream(h2c, id);
    stream->closed = true;
    stream->code = code;
    stream->place = ++h2c->closed;
    return 0;
}

static inline int
h2c_on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2c *h2c = arg;
    if (frame->hd.type != NGHTTP2_GOAWAY)
        return 0;
    h2c->goaway_count++;
    h2c->goaway_code = frame->goaway.error_code;
    h2c->goaway_last = frame->goaway.last_stream_id;
    copy_text(h2c->goaway_text, sizeof h2c->goaway_text,
              str_make((const char *)frame->goaway.opaque_data, frame->goaway.opaque_data_len));
    return 0;
}

/* A client that has nothing to say yet but its preface. `window` of its streams; `holds`: it opens
 * no window again by itself. */
static inline void
h2c_open(struct h2c *h2c, struct scene *scene, uint32_t window, bool holds)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    memset(h2c, 0, sizeof *h2c);
    for (unsigned i = 0; i < H2C_STREAMS_MAX; i++) {
        buf_init(&h2c->streams[i].head, 65536);
        buf_init(&h2c->streams[i].body, CLIENT_BYTES_MAX);
    }
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, h2c_on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, h2c_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, h2c_on_closed);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, h2c_on_frame);
    nghttp2_option_set_no_auto_window_update(option, holds);
    assert_int_equal(nghttp2_session_client_new2(&h2c->ng, callbacks, h2c, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    assert_int_equal(nghttp2_submit_settings(h2c->ng, NGHTTP2_FLAG_NONE, settings, 2), 0);
    client_open_tcp(&h2c->client, scene, false);
}

static inline void
h2c_close(struct h2c *h2c)
{
    for (unsigned i = 0; i < H2C_STREAMS_MAX; i++) {
        buf_deinit(&h2c->streams[i].head);
        buf_deinit(&h2c->streams[i].body);
    }
    nghttp2_session_del(h2c->ng);
    client_close(&h2c->client);
}

static inline void
h2c_pump(struct h2c *h2c)
{
    const uint8_t *data;
    ssize_t len;
    client_pump(&h2c->client);
    if (h2c->client.in.len && !h2c->refused) {
        len = nghttp2_session_mem_recv(h2c->ng, (const uint8_t *)h2c->client.in.ptr,
                                       h2c->client.in.len);
        h2c->refused = len < 0;
        buf_clear(&h2c->client.in);
    }
    while ((len = nghttp2_session_mem_send(h2c->ng, &data)) > 0)
        buf_append(&h2c->client.out, str_make((const char *)data, (size_t)len));
    client_pump_out(&h2c->client);
}

static inline bool
h2c_all_closed(void *arg)
{
    struct h2c *h2c = arg;
    h2c_pump(h2c);
    return h2c->closed == h2c->opened || h2c->client.end <= 0;
}

static inline bool
h2c_was_ended(void *arg)
{
    struct h2c *h2c = arg;
    h2c_pump(h2c);
    return h2c->client.end <= 0;
}

static inline bool
h2c_pumps_in_vain(void *arg)
{
    h2c_pump(arg);
    return false;
}

static inline void
h2c_wait(struct h2c *h2c)
{
    run_until(h2c->client.scene->world, h2c_all_closed, h2c);
    assert_int_equal(h2c->closed, h2c->opened);
}

static inline void
h2c_run_for(struct h2c *h2c, unsigned ms)
{
    assert_false(world_runs_until(h2c->client.scene->world, h2c_pumps_in_vain, h2c, ms));
}

struct h2c_look {
    struct h2c *h2c;
    const struct h2c_stream *stream;
    size_t len;
};

static inline bool
h2c_has_body(void *arg)
{
    const struct h2c_look *look = arg;
    h2c_pump(look->h2c);
    return look->stream->closed || (look->stream->status && look->stream->body.len >= look->len);
}

/* Waits until a stream has so much of its body, or is closed. */
static inline void
h2c_wait_for(struct h2c *h2c, const struct h2c_stream *stream, size_t len)
{
    struct h2c_look look = {h2c, stream, len};
    run_until(h2c->client.scene->world, h2c_has_body, &look);
}

/* Waits for the server's end: 0 for an orderly one. */
static inline void
h2c_wait_for_end(struct h2c *h2c, ssize_t end)
{
    run_until(h2c->client.scene->world, h2c_was_ended, h2c);
    assert_int_equal(h2c->client.end, end);
}

static inline ssize_t
h2c_upload(nghttp2_session *ng, int32_t id, uint8_t *out, size_t max, uint32_t *flags,
           nghttp2_data_source *source, void *arg)
{
    struct h2c_stream *stream = h2c_stream(arg, id);
    size_t len = stream->upload_left < max ? stream->upload_left : max;
    memset(out, 'u', len);
    stream->upload_left -= len;
    if (source->fd < 0 && stream->upload_left == 0 && len == 0)
        return NGHTTP2_ERR_DEFERRED; /* never ends */
    if (source->fd >= 0 && stream->upload_left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

enum { NO_UPLOAD = -1, UPLOAD_STALLS = -2 };

/* Sends a request of lines "name=value\n", as they are, with a body of `upload` bytes; NO_UPLOAD:
 * none; UPLOAD_STALLS: one that never comes. */
static inline struct h2c_stream *
h2c_request_raw(struct h2c *h2c, const char *lines, int upload)
{
    nghttp2_nv fields[64];
    size_t count = 0;
    struct str rest = str_from_cstr(lines);
    while (rest.len) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_cut(&value, '=');
        assert_true(count < 64);
        fields[count++] =
            (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len,
                         NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
    }
    nghttp2_data_provider body = {.source.fd = upload == UPLOAD_STALLS ? -1 : 0,
                                  .read_callback = h2c_upload};
    int32_t id = nghttp2_session_get_next_stream_id(h2c->ng);
    h2c_stream(h2c, id)->upload_left = upload > 0 ? (size_t)upload : 0;
    assert_int_equal(nghttp2_submit_request(h2c->ng, NULL, fields, count,
                                            upload == NO_UPLOAD ? NULL : &body, NULL),
                     id);
    h2c->opened++;
    h2c_pump(h2c); /* the lines need not live longer */
    return h2c_stream(h2c, id);
}

static inline struct h2c_stream *
h2c_request(struct h2c *h2c, const char *method, const char *path, const char *more, int upload)
{
    char lines[4096];
    snprintf(lines, sizeof lines, ":method=%s\n:scheme=http\n:authority=a\n:path=%s\n%s", method,
             path, more);
    return h2c_request_raw(h2c, lines, upload);
}

static inline struct h2c_stream *
h2c_get(struct h2c *h2c, const char *path)
{
    return h2c_request(h2c, "GET", path, "", NO_UPLOAD);
}

static inline struct str
h2c_header(const struct h2c_stream *stream, const char *name)
{
    struct site_rep rep = {.head = buf_str(&stream->head)};
    return field(&rep, name);
}

static inline void
assert_answer(const struct h2c_stream *stream, int status, const char *body)
{
    assert_true(stream->closed);
    assert_int_equal(stream->status, status);
    assert_str(buf_str(&stream->body), body);
}

/* --- frames by hand --- */

static inline void
put_frame(struct buf *out, unsigned type, unsigned flags, uint32_t id, struct str payload)
{
    char head[9] = {(char)(payload.len >> 16),
                    (char)(payload.len >> 8),
                    (char)payload.len,
                    (char)type,
                    (char)flags,
                    (char)(id >> 24),
                    (char)(id >> 16),
                    (char)(id >> 8),
                    (char)id};
    buf_append(out, str_make(head, sizeof head));
    buf_append(out, payload);
}

static inline void
put_preface(struct buf *out)
{
    buf_append(out, str_from_cstr(NGHTTP2_CLIENT_MAGIC));
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, STR(""));
}

/* The header block of GET http://a/ */
#define BLOCK_GET              \
    STR("\x82\x86\x84\x41\x01" \
        "a")

#endif
