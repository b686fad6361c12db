#include "conn/h2.h"

#include "base/must.h"
#include "conn/h2_internal.h"

#include <stdlib.h>

/* Input goes to nghttp2 as it comes; its callbacks open streams, run requests and queue responses.
 * Then h2_run writes what nghttp2 wants sent into one output buffer, sends that, and goes on until
 * there is nothing more or no room towards the peer. Callbacks never end the connection: nghttp2 is
 * on the stack. They leave marks, and h2_settle acts on them.
 *
 * A connection ends in one of three ways. The peer broke the protocol in a way that nghttp2 sees:
 * nghttp2 queues the GOAWAY, and wants neither to read nor to write when it has gone. Something was
 * overdone, or nghttp2 cannot go on: h2_fail writes the GOAWAY itself. Or the end is graceful: a
 * first GOAWAY that refuses nothing, a PING to learn that the peer has seen it, a last GOAWAY with
 * the last stream, then what is open is finished.
 */

static const char preface[] = NGHTTP2_CLIENT_MAGIC;

enum h2_preface
h2_preface_check(struct str bytes)
{
    _Static_assert(sizeof preface - 1 == H2_PREFACE_LEN, "RFC 9113 section 3.4");
    struct str start = str_first(bytes, H2_PREFACE_LEN);
    if (!str_starts_with(str_make(preface, H2_PREFACE_LEN), start))
        return H2_PREFACE_NONE;
    return start.len == H2_PREFACE_LEN ? H2_PREFACE_WHOLE : H2_PREFACE_PART;
}

static struct h2 *
h2_of(struct session *session)
{
    return (struct h2 *)session;
}

static uint64_t
now_ns(const struct h2 *h2)
{
    return loop_now_ns(h2->conn->sock.loop);
}

bool
h2_allows(struct h2 *h2, enum h2_flood_kind kind)
{
    if (h2_flood_allows(&h2->flood, kind, now_ns(h2)))
        return true;
    h2->flood_kind = (uint8_t)kind;
    return false;
}

/* --- what nghttp2 calls --- */

/* The head of a frame has come, and nghttp2 does not skip the frame. */
static int
on_frame_begun(nghttp2_session *ng, const nghttp2_frame_hd *head, void *arg)
{
    struct h2 *h2 = arg;
    if (h2->settings_seen && head->type != NGHTTP2_CONTINUATION)
        h2->head_started_ns = 0; /* of a block that was given up */
    if (head->type == NGHTTP2_HEADERS && head->stream_id > h2->last_id)
        h2->last_id = head->stream_id;
    else if (head->type == NGHTTP2_RST_STREAM)
        h2_count(&h2->conn->pool->counters.h2_resets, 1);
    return 0;
}

static int
on_headers_begun(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h2 = arg;
    h2->head_started_ns = now_ns(h2);
    h2->heading = NULL;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (h2->last_said) /* sent or not: the peer will learn that it may try elsewhere */
        return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    h2->heading = h2_stream_open(h2, frame->hd.stream_id);
    if (!h2->heading)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return nghttp2_session_set_stream_user_data(ng, frame->hd.stream_id, h2->heading);
}

static int
on_field(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
         const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct h2 *h2 = arg;
    struct str name_str = str_make((const char *)name, name_len);
    struct str value_str = str_make((const char *)value, value_len);
    if (h2->heading) {
        h2_head_add(&h2->heading->decoder, name_str, value_str);
        return 0;
    }
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    if (!stream || h2_trailer_is_valid(name_str, value_str))
        return 0;
    return h2_stream_bad_trailer(stream);
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(ng, id);
    return stream ? h2_stream_data(stream, str_make((const char *)data, len)) : 0;
}

/* The last GOAWAY may go: the peer has seen the first one. */
static void
say_last_after_notice(struct h2 *h2)
{
    h2->notice_ns = 0;
    h2_say_last(h2, nghttp2_session_get_last_proc_stream_id(h2->ng), (enum conn_end)h2->end);
}

static int
on_block_received(struct h2 *h2, const nghttp2_frame *frame)
{
    struct h2_stream *stream = h2->heading;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    h2->head_started_ns = 0;
    h2->heading = NULL;
    if (stream)
        return h2_stream_run(stream, ends);
    stream = nghttp2_session_get_stream_user_data(h2->ng, frame->hd.stream_id);
    if (!stream)
        return 0;
    return ends ? h2_stream_end(stream) : h2_stream_bad_trailer(stream);
}

static int
on_frame_received(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h2 = arg;
    struct h2_stream *stream;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return on_block_received(h2, frame);
    case NGHTTP2_DATA:
        if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            return 0;
        stream = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
        return stream ? h2_stream_end(stream) : 0;
    case NGHTTP2_SETTINGS:
        if (!h2->settings_seen)
            h2->head_started_ns = 0;
        h2->settings_seen = true;
        return 0;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK && h2->notice_ns)
            say_last_after_notice(h2);
        return 0;
    default:
        return 0;
    }
}

static int
on_stream_closed(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(ng, id);
    if (stream)
        h2_stream_close(stream, code == NGHTTP2_NO_ERROR || stream->malformed);
    return 0;
}

/* nghttp2 has the head of the DATA frame whose bytes read_body has put. */
static int
on_data_put(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
            nghttp2_data_source *source, void *arg)
{
    struct h2 *h2 = arg;
    struct h2_output *out = h2->out;
    must(frame->data.padlen == 0 && h2_output_room(h2) >= H2_FRAME_HEAD_LEN + len);
    memcpy(out->data + out->len, head, H2_FRAME_HEAD_LEN);
    out->len += H2_FRAME_HEAD_LEN + (uint32_t)len;
    h2_flood_credit(&h2->flood, H2_FLOOD_WINDOW_UPDATE, H2_WINDOW_UPDATES);
    return 0;
}

static int
on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h2 = arg;
    struct h2_stream *stream;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        stream = h2->putting;
        h2->putting = NULL;
        return stream ? h2_stream_frame_sent(stream) : 0;
    case NGHTTP2_HEADERS:
        stream = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
        return stream ? h2_stream_frame_sent(stream) : 0;
    case NGHTTP2_RST_STREAM:
        /* What the peer made us reset counts as if it had done so itself; h2_fill looks. */
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
            frame->rst_stream.error_code != NGHTTP2_INTERNAL_ERROR &&
            frame->rst_stream.error_code != NGHTTP2_CANCEL)
            (void)h2_allows(h2, H2_FLOOD_RESET);
        return 0;
    case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR)
            h2->end = CONN_END_H2_PROTOCOL;
        return 0;
    default:
        return 0;
    }
}

/* A response that cannot be sent must not leave its stream open; when that has ended, or is ending,
 * there is nothing to do. */
static int
on_frame_not_sent(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *arg)
{
    if (frame->hd.type != NGHTTP2_HEADERS || error == NGHTTP2_ERR_STREAM_CLOSING ||
        !nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id))
        return 0;
    return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                     NGHTTP2_INTERNAL_ERROR);
}

/* --- the worker's pool --- */

static void
h2_pool_free(struct h2_pool *pool)
{
    nghttp2_session_callbacks_del(pool->callbacks);
    nghttp2_option_del(pool->option);
    free(pool);
}

static struct h2_pool *
h2_pool_new(void)
{
    struct h2_pool *pool = calloc(1, sizeof *pool);
    if (!pool || nghttp2_session_callbacks_new(&pool->callbacks) != 0 ||
        nghttp2_option_new(&pool->option) != 0) {
        if (pool)
            h2_pool_free(pool);
        return NULL;
    }
    nghttp2_session_callbacks *callbacks = pool->callbacks;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_frame_begun);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_headers_begun);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_received);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, h2_priority_received);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, h2_priority_ended);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_data_put);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
    nghttp2_option *option = pool->option;
    /* h2_head checks fields, and answers what is wrong instead of only resetting. */
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, H2_ACKS_MAX);
    nghttp2_option_set_max_continuations(option, H2_CONTINUATIONS_MAX);
    nghttp2_option_set_user_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
    return pool;
}

void
h2_pool_deinit(struct conn_pool *conns)
{
    struct h2_pool *pool = conns->h2;
    if (!pool)
        return;
    while (pool->free_streams) {
        struct h2_stream *stream = pool->free_streams;
        pool->free_streams = stream->next;
        h2_stream_free(stream);
    }
    while (pool->free_outputs) {
        struct h2_output *output = pool->free_outputs;
        pool->free_outputs = output->next;
        free(output);
    }
    h2_pool_free(pool);
    conns->h2 = NULL;
}

/* --- life --- */

static int
submit_settings(struct h2 *h2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2->conn->pool->config.head_max},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int result = nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, settings,
                                         sizeof settings / sizeof *settings);
    if (result == 0)
        result = nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, 0, H2_WINDOW);
    return result;
}

static void
h2_release(struct session *session)
{
    struct h2 *h2 = h2_of(session);
    struct h2_pool *pool = h2->pool;
    while (h2->oldest)
        h2_stream_close(h2->oldest, false);
    nghttp2_session_del(h2->ng);
    if (h2->out && pool->free_output_count < H2_OUTPUTS_KEPT) {
        h2->out->next = pool->free_outputs;
        pool->free_outputs = h2->out;
        pool->free_output_count++;
    } else {
        free(h2->out);
    }
    h2_count(&h2->conn->pool->counters.h2_sessions, (uint64_t)-1);
    free(h2->priorities);
    free(h2);
}

static struct session *
h2_acquire(struct conn *conn)
{
    struct conn_pool *conns = conn->pool;
    if (!conns->h2)
        conns->h2 = h2_pool_new();
    struct h2 *h2 = conns->h2 ? calloc(1, sizeof *h2) : NULL;
    if (!h2)
        return NULL;
    h2->conn = conn;
    h2->pool = conns->h2;
    h2->end = CONN_END_DONE;
    h2->flood_kind = H2_FLOOD_KIND_COUNT;
    h2_flood_init(&h2->flood);
    h2->head_started_ns = now_ns(h2);
    h2_count(&conns->counters.h2_sessions, 1);
    if (nghttp2_session_server_new2(&h2->ng, h2->pool->callbacks, h2, h2->pool->option) != 0 ||
        submit_settings(h2) != 0) {
        h2_release((struct session *)h2);
        return NULL;
    }
    return (struct session *)h2;
}

/* --- output --- */

size_t
h2_output_room(const struct h2 *h2)
{
    return sizeof h2->out->data - h2->out->len;
}

static bool
output_prepare(struct h2 *h2)
{
    struct h2_pool *pool = h2->pool;
    if (h2->out)
        return true;
    h2->out = pool->free_outputs;
    if (h2->out) {
        pool->free_outputs = h2->out->next;
        pool->free_output_count--;
    } else {
        h2->out = malloc(sizeof *h2->out);
        if (!h2->out)
            return false;
    }
    h2->out->off = h2->out->len = 0;
    return true;
}

static void
output_release(struct h2 *h2)
{
    struct h2_pool *pool = h2->pool;
    struct h2_output *out = h2->out;
    h2->out = NULL;
    if (!out)
        return;
    if (pool->free_output_count == H2_OUTPUTS_KEPT) {
        free(out);
        return;
    }
    out->next = pool->free_outputs;
    pool->free_outputs = out;
    pool->free_output_count++;
}

static void
output_append(struct h2 *h2, struct str frame)
{
    struct h2_output *out = h2->out;
    memcpy(out->data + out->len, frame.ptr, frame.len);
    out->len += (uint32_t)frame.len;
}

/* Moves frames from nghttp2 to the output until that is full (h2->full) or there are no more.
 * Returns 0, or a fatal error of nghttp2. */
static int
h2_fill(struct h2 *h2)
{
    h2->full = false;
    while (!h2->full) {
        const uint8_t *data;
        if (h2->held.len == 0) {
            if (h2->failed || h2->flood_kind != H2_FLOOD_KIND_COUNT)
                return 0;
            ssize_t len = nghttp2_session_mem_send(h2->ng, &data);
            if (len <= 0)
                return (int)len;
            h2->held = str_make((const char *)data, (size_t)len);
        }
        if (h2->held.len > h2_output_room(h2)) {
            h2->full = true;
        } else {
            output_append(h2, h2->held);
            h2->held.len = 0;
        }
    }
    return 0;
}

enum flush_result { FLUSH_DONE, FLUSH_PENDING, FLUSH_DROPPED };

/* Sends what is in the output. DROPPED: the connection has ended. */
static enum flush_result
h2_flush(struct h2 *h2)
{
    struct conn *conn = h2->conn;
    struct h2_output *out = h2->out;
    while (out->off < out->len) {
        struct iovec iov = {out->data + out->off, out->len - out->off};
        bool yields = h2->turn_len >= CONN_TURN_MAX;
        ssize_t result = yields ? conn_yield(conn) : conn_send(conn, &iov, 1);
        if (result == SOCK_PENDING) {
            h2->pending_ns = now_ns(h2);
            return FLUSH_PENDING;
        }
        if (result < 0) {
            conn_drop(conn, CONN_END_PEER_RESET, true);
            return FLUSH_DROPPED;
        }
        h2->turn_len += (uint64_t)result;
        out->off += (uint32_t)result;
    }
    out->off = out->len = 0;
    return FLUSH_DONE;
}

/* --- ends --- */

void
h2_say_last(struct h2 *h2, int32_t last_id, enum conn_end end)
{
    if (h2->last_said)
        return;
    h2->last_said = true;
    h2->end = (uint8_t)end;
    /* Without memory for it the session fails soon enough. */
    (void)nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE, last_id, NGHTTP2_NO_ERROR, NULL, 0);
}

/* Ends the connection with a GOAWAY of our own: nghttp2's session is not touched again. What is in
 * the output goes before it. */
static void
h2_fail(struct h2 *h2, uint32_t code, const char *reason, enum conn_end end)
{
    struct str text = str_from_cstr(reason);
    uint32_t last_id = (uint32_t)nghttp2_session_get_last_proc_stream_id(h2->ng);
    char *frame = h2->last; /* zero so far */
    size_t len = H2_FRAME_HEAD_LEN + 8 + text.len;
    must(len <= sizeof h2->last && !h2->failed);
    frame[2] = (char)(8 + text.len);
    frame[3] = NGHTTP2_GOAWAY;
    for (unsigned i = 0; i < 4; i++) {
        frame[9 + i] = (char)(last_id >> (24 - 8 * i));
        frame[13 + i] = (char)(code >> (24 - 8 * i));
    }
    memcpy(frame + 17, text.ptr, text.len);
    h2->failed = true;
    h2->end = (uint8_t)end;
    h2->held = str_make(frame, len);
    h2->full = true; /* there is this to put out */
}

/* Ends the connection for an error of nghttp2 that it cannot go on after. */
static void
h2_fail_fatally(struct h2 *h2, int error)
{
    enum h2_flood_kind flood = (enum h2_flood_kind)h2->flood_kind;
    if (error == NGHTTP2_ERR_FLOODED)
        flood = H2_FLOOD_QUEUE;
    else if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        flood = H2_FLOOD_CONTINUATION;
    if (flood != H2_FLOOD_KIND_COUNT) {
        h2_count(&h2->conn->pool->counters.h2_floods[flood], 1);
        h2_fail(h2, NGHTTP2_ENHANCE_YOUR_CALM, h2_flood_name(flood), CONN_END_H2_FLOOD);
    } else if (error == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
        h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, "preface", CONN_END_H2_PROTOCOL);
    } else {
        h2_fail(h2, NGHTTP2_INTERNAL_ERROR, "", CONN_END_NO_MEMORY);
    }
}

/* The earliest time at which something will have taken too long. */
static uint64_t
h2_deadline_ns(const struct h2 *h2)
{
    const struct conn_config *config = &h2->conn->pool->config;
    if (h2->conn->sock.send_pending)
        return h2->pending_ns + config->io_timeout_ns;
    uint64_t deadline_ns = UINT64_MAX;
    if (h2->oldest)
        deadline_ns = h2->oldest->progress_ns + config->io_timeout_ns;
    if (h2->head_started_ns && h2->head_started_ns + config->header_timeout_ns < deadline_ns)
        deadline_ns = h2->head_started_ns + config->header_timeout_ns;
    uint64_t notice_end_ns = h2->notice_ns + (uint64_t)H2_NOTICE_MS * 1000000;
    if (h2->notice_ns && notice_end_ns < deadline_ns)
        deadline_ns = notice_end_ns;
    return deadline_ns;
}

static void
h2_set_deadline(struct h2 *h2)
{
    uint64_t now = now_ns(h2), deadline_ns = h2_deadline_ns(h2);
    if (deadline_ns != UINT64_MAX)
        conn_set_deadline(h2->conn, deadline_ns > now ? deadline_ns - now : 1);
}

/* All output has gone, and nghttp2 has nothing more to send. */
static void
h2_settle(struct h2 *h2)
{
    struct conn *conn = h2->conn;
    if (h2->failed || (!nghttp2_session_want_read(h2->ng) && !nghttp2_session_want_write(h2->ng)))
        conn_finish(conn, (enum conn_end)h2->end);
    else if (conn->peer_ended)
        conn_drop(conn, h2->stream_count ? CONN_END_PEER_RESET : CONN_END_DONE, false);
    else if (h2->stream_count || h2->head_started_ns || h2->notice_ns || !h2->settings_seen)
        h2_set_deadline(h2);
    else if (conn->state == CONN_ACTIVE)
        conn_go_idle(conn);
}

/* While the peer does not read, what it makes us answer must not grow. */
static void
limit_input(struct h2 *h2, bool pending)
{
    struct sock *sock = &h2->conn->sock;
    bool stop =
        pending && !h2->failed && nghttp2_session_get_outbound_queue_size(h2->ng) > H2_QUEUE_MAX;
    if (stop == h2->wants_no_more)
        return;
    h2->wants_no_more = stop;
    if (stop)
        sock_recv_stop(sock);
    else if (!h2->conn->peer_ended)
        sock_recv_start(sock);
}

/* Sends until there is nothing more, or no room. May end the connection. */
static void
h2_run(struct h2 *h2)
{
    enum flush_result flushed = FLUSH_DONE;
    if (h2->conn->sock.send_pending)
        flushed = FLUSH_PENDING;
    while (flushed == FLUSH_DONE) {
        if (!output_prepare(h2)) {
            conn_drop(h2->conn, CONN_END_NO_MEMORY, true);
            return;
        }
        int error = h2_fill(h2);
        if (!h2->failed && (error || h2->flood_kind != H2_FLOOD_KIND_COUNT))
            h2_fail_fatally(h2, error);
        flushed = h2_flush(h2);
        if (flushed == FLUSH_DROPPED)
            return;
        if (!h2->full)
            break;
    }
    limit_input(h2, flushed == FLUSH_PENDING);
    if (flushed == FLUSH_PENDING) {
        h2_set_deadline(h2);
        return;
    }
    output_release(h2);
    h2_settle(h2);
}

void
h2_woken(struct h2 *h2, int error)
{
    h2->turn_len = 0;
    if (error && !h2->failed)
        h2_fail_fatally(h2, error);
    h2_run(h2);
}

/* --- what the connection calls --- */

static void
h2_received(struct session *session, const char *data, size_t len)
{
    struct h2 *h2 = h2_of(session);
    h2->turn_len = 0;
    if (!h2->failed) {
        enum h2_flood_kind kind;
        size_t allowed = h2_flood_watch(&h2->flood, str_make(data, len), now_ns(h2), &kind);
        ssize_t used = nghttp2_session_mem_recv(h2->ng, (const uint8_t *)data, allowed);
        if (used < 0) {
            h2_fail_fatally(h2, (int)used);
        } else if (allowed < len) {
            h2->flood_kind = (uint8_t)kind;
            h2_fail_fatally(h2, 0);
        }
    }
    h2_run(h2);
}

static void
h2_peer_ended(struct session *session)
{
    struct h2 *h2 = h2_of(session);
    if (!h2->conn->sock.send_pending)
        h2_run(h2);
}

static void
h2_sent(struct session *session, size_t len)
{
    struct h2 *h2 = h2_of(session);
    if (h2->out) {
        h2->out->off += (uint32_t)len;
        must(h2->out->off <= h2->out->len);
    }
    h2->turn_len = 0;
    h2_run(h2);
}

/* One stream that has not moved for the whole timeout. Waiting for others that were more urgent is
 * not its fault. */
static int
time_out_stream(struct h2 *h2, struct h2_stream *stream)
{
    if (!stream->responded && !stream->request_ended)
        return h2_stream_time_out(stream);
    if (nghttp2_session_get_stream_remote_window_size(h2->ng, stream->id) <= 0)
        return nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
    return 0;
}

/* Ends streams that take too long. False: the connection itself stands still. */
static bool
time_out_streams(struct h2 *h2)
{
    uint64_t io_timeout_ns = h2->conn->pool->config.io_timeout_ns;
    uint64_t now = now_ns(h2);
    if (nghttp2_session_get_remote_window_size(h2->ng) <= 0 && h2->oldest &&
        now - h2->newest->progress_ns >= io_timeout_ns)
        return false;
    for (struct h2_stream *next, *stream = h2->oldest; stream; stream = next) {
        next = stream->next;
        if (now - stream->progress_ns < io_timeout_ns)
            break;
        if (time_out_stream(h2, stream) != 0)
            return false;
        h2_stream_touch(stream);
    }
    return true;
}

static void
h2_timeout(struct session *session)
{
    struct h2 *h2 = h2_of(session);
    struct conn *conn = h2->conn;
    const struct conn_config *config = &conn->pool->config;
    uint64_t now = now_ns(h2);
    h2->turn_len = 0;
    if (conn->sock.send_pending || h2->failed) {
        conn_drop(conn, CONN_END_IO_TIMEOUT, true);
        return;
    }
    if (conn->state == CONN_IDLE) {
        conn_wake(conn);
        h2_fail(h2, NGHTTP2_NO_ERROR, "idle", CONN_END_IDLE_TIMEOUT);
    } else if (h2->head_started_ns && now - h2->head_started_ns >= config->header_timeout_ns) {
        h2_fail(h2, NGHTTP2_PROTOCOL_ERROR, "header timeout", CONN_END_HEADER_TIMEOUT);
    } else if (!time_out_streams(h2)) {
        conn_drop(conn, CONN_END_IO_TIMEOUT, true);
        return;
    } else if (h2->notice_ns && now - h2->notice_ns >= (uint64_t)H2_NOTICE_MS * 1000000) {
        say_last_after_notice(h2);
    }
    h2_run(h2);
}

static void
h2_drain(struct session *session)
{
    static const uint8_t ping[8] = "tarn end";
    struct h2 *h2 = h2_of(session);
    if (h2->last_said || h2->failed)
        return;
    if (h2->conn->state == CONN_IDLE)
        conn_wake(h2->conn);
    h2->end = CONN_END_DRAINED;
    h2->notice_ns = now_ns(h2);
    h2->turn_len = 0;
    if (nghttp2_submit_shutdown_notice(h2->ng) != 0 ||
        nghttp2_submit_ping(h2->ng, NGHTTP2_FLAG_NONE, ping) != 0)
        say_last_after_notice(h2);
    h2_run(h2);
}

const struct session_ops h2_session_ops = {
    .acquire = h2_acquire,
    .release = h2_release,
    .received = h2_received,
    .peer_ended = h2_peer_ended,
    .sent = h2_sent,
    .timeout = h2_timeout,
    .drain = h2_drain,
};
