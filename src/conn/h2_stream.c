#include "conn/h2_internal.h"

#include "base/must.h"
#include "http/status.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A stream is one request. Its head is decoded into its own bounded text, so that it outlives the
 * frames it came in. The request is run as soon as the head is complete; the answer waits until the
 * request has ended, so that a body which does not keep to its Content-Length can still be refused,
 * but not for more of it than CONN_DISCARD_MAX.
 *
 * Nothing of a response is copied but into the output: nghttp2 borrows the values of header lines
 * from where they were rendered until the frame is written, and asks for DATA when it may send
 * some; it is then put straight behind the place for its frame head.
 */

enum {
    STREAM_TEXT_KEPT = 4096, /* text of a spare stream */
    RESPONSE_FIELDS = 48,    /* header lines without memory of their own */
};

static void stream_woken(struct req *req);

/* --- life --- */

struct h2_stream *
h2_stream_open(struct h2 *h2, int32_t id)
{
    struct conn *conn = h2->conn;
    struct h2_pool *pool = h2->pool;
    const struct conn_config *config = &conn->pool->config;
    struct h2_stream *stream = pool->free_streams;
    if (stream) {
        pool->free_streams = stream->next;
        pool->free_stream_count--;
    } else {
        stream = malloc(sizeof *stream + config->fields_max * sizeof(struct http_field));
        if (!stream)
            return NULL;
        req_init(&stream->req, conn->pool->req_env, stream->fields, config->fields_max);
        stream->req.woken = stream_woken;
        buf_init(&stream->text, h2_head_text_max(config->head_max));
    }
    memset(stream, 0, offsetof(struct h2_stream, decoder));
    stream->h2 = h2;
    stream->id = id;
    stream->req.fd = conn->sock.fd;
    stream->req.is_admin = conn->is_admin;
    stream->req.is_tls = conn->is_tls;
    stream->req.is_h2 = true;
    stream->req.tls = conn->tls;
    stream->started_ns = stream->progress_ns = loop_now_ns(conn->sock.loop);
    h2_head_decoder_init(&stream->decoder, &stream->req.head, &stream->text, config->head_max);
    stream->prev = h2->newest;
    *(h2->newest ? &h2->newest->next : &h2->oldest) = stream;
    h2->newest = stream;
    h2->stream_count++;
    h2_count(&conn->pool->counters.h2_streams, 1);
    return stream;
}

static void
stream_unlink(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    *(stream->prev ? &stream->prev->next : &h2->oldest) = stream->next;
    *(stream->next ? &stream->next->prev : &h2->newest) = stream->prev;
}

void
h2_stream_touch(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    stream->progress_ns = loop_now_ns(h2->conn->sock.loop);
    if (h2->newest == stream)
        return;
    stream_unlink(stream);
    stream->prev = h2->newest;
    stream->next = NULL;
    h2->newest->next = stream;
    h2->newest = stream;
}

void
h2_stream_free(struct h2_stream *stream)
{
    req_deinit(&stream->req);
    buf_deinit(&stream->text);
    free(stream);
}

static void
stream_log(struct h2_stream *stream, bool complete)
{
    struct conn *conn = stream->h2->conn;
    const struct http_head *head = req_sent_head(&stream->req);
    const struct access_record record = {
        .fd = conn->sock.fd,
        .method = http_head_method(head),
        .target = http_head_target(head),
        .host = http_head_value(head, HTTP_FIELD_HOST),
        .referer = http_head_value(head, HTTP_FIELD_REFERER),
        .user_agent = http_head_value(head, HTTP_FIELD_USER_AGENT),
        .request_id = http_head_value(head, HTTP_FIELD_X_REQUEST_ID),
        .status = stream->req.response.status,
        .bytes = stream->sent_len,
        .duration_ns = loop_clock_ns() - stream->started_ns,
        .is_h2 = true,
        .complete = complete,
    };
    conn->pool->log(conn->pool->log_arg, &record);
}

void
h2_stream_close(struct h2_stream *stream, bool orderly)
{
    struct h2 *h2 = stream->h2;
    struct conn_pool *conns = h2->conn->pool;
    struct h2_pool *pool = h2->pool;
    if (conns->log && stream->req.response.status)
        stream_log(stream, orderly && stream->complete);
    req_end(&stream->req);
    stream_unlink(stream);
    h2->stream_count--;
    h2_count(&conns->counters.h2_streams, (uint64_t)-1);
    if (h2->heading == stream)
        h2->heading = NULL;
    if (h2->putting == stream)
        h2->putting = NULL;
    if (pool->free_stream_count == H2_STREAMS_KEPT) {
        h2_stream_free(stream);
        return;
    }
    if (stream->text.cap > STREAM_TEXT_KEPT)
        buf_deinit(&stream->text);
    stream->next = pool->free_streams;
    pool->free_streams = stream;
    pool->free_stream_count++;
}

/* --- the response --- */

/* Copies the next bytes of the body to `out`. -1: they cannot be read. */
static int
copy_piece(struct body_piece *piece, char *out, size_t len)
{
    if (piece->mem.ptr) {
        memcpy(out, piece->mem.ptr, len);
        piece->mem = str_skip(piece->mem, len);
    } else {
        for (size_t done = 0; done < len;) {
            ssize_t got = pread(piece->fd, out + done, len - done, (off_t)(piece->off + done));
            if (got == 0 || (got < 0 && errno != EINTR))
                return -1;
            done += got > 0 ? (size_t)got : 0;
        }
        piece->off += len;
    }
    piece->len -= len;
    return 0;
}

/* Writes up to `max` bytes of the body to `out`. Returns their count, or -1: the body failed. What
 * is exhausted is pulled from again at once, so that the last bytes are known to be the last. */
static ssize_t
put_body(struct h2_stream *stream, char *out, size_t max)
{
    struct body_piece *piece = &stream->piece;
    size_t put = 0;
    while (stream->body_open && !stream->body_pending && (piece->len == 0 || put < max)) {
        if (piece->len == 0) {
            enum body_result result = body_pull(&stream->req.body, piece);
            if (result == BODY_PIECE)
                continue;
            piece->len = 0;
            if (result == BODY_FAILED)
                return -1;
            stream->body_pending = result == BODY_PENDING;
            stream->body_open = stream->body_pending;
            break;
        }
        size_t len = piece->len < max - put ? (size_t)piece->len : max - put;
        if (copy_piece(piece, out + put, len) != 0)
            return -1;
        put += len;
    }
    return (ssize_t)put;
}

/* nghttp2 may send `length` bytes of DATA: puts them into the output, behind the place of the frame
 * head, which h2.c writes when nghttp2 hands it over next. */
static ssize_t
read_body(nghttp2_session *ng, int32_t id, uint8_t *unused, size_t length, uint32_t *flags,
          nghttp2_data_source *source, void *arg)
{
    struct h2_stream *stream = source->ptr;
    struct h2 *h2 = stream->h2;
    size_t room = h2_output_room(h2);
    if (room < H2_FRAME_HEAD_LEN + H2_FRAME_MIN) {
        h2->full = true;
        return NGHTTP2_ERR_PAUSE;
    }
    room -= H2_FRAME_HEAD_LEN;
    char *out = h2->out->data + h2->out->len + H2_FRAME_HEAD_LEN;
    ssize_t put = put_body(stream, out, length < room ? length : room);
    if (put < 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (put == 0 && stream->body_pending)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!stream->body_open) {
        stream->complete = true;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->malformed)
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    stream->sent_len += (uint64_t)put;
    h2->putting = stream;
    if (put)
        h2_stream_touch(stream);
    return put;
}

static nghttp2_nv
field_of(struct str name, struct str value, uint8_t flags)
{
    return (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len, flags};
}

/* Cuts a block of "Name: value\r\n" lines into fields. nghttp2 copies the names, in lower case, and
 * borrows the values. */
static size_t
put_fields(nghttp2_nv *out, struct str block)
{
    size_t count = 0;
    while (block.len) {
        size_t colon = str_find_char(block, ':');
        struct str rest = str_skip(block, colon + 1);
        size_t line_len = str_find_char(rest, '\r');
        struct str value = str_first(rest, line_len);
        while (value.len && value.ptr[0] == ' ')
            value = str_skip(value, 1);
        while (value.len && value.ptr[value.len - 1] == ' ')
            value.len--;
        out[count++] = field_of(str_first(block, colon), value, NGHTTP2_NV_FLAG_NO_COPY_VALUE);
        block = str_skip(rest, line_len + 2);
    }
    return count;
}

static size_t
line_count(const struct response *response)
{
    size_t count = 0;
    for (unsigned i = 0; i < response->block_count; i++)
        for (struct str rest = response->blocks[i]; rest.len; count++)
            rest = str_skip(rest, str_find_char(rest, '\n') + 1);
    return count;
}

static int
submit_fields(struct h2_stream *stream, nghttp2_nv *fields)
{
    struct req *req = &stream->req;
    const struct response *response = &req->response;
    const uint8_t borrowed = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    size_t count = 2;
    stream->status[0] = (char)('0' + response->status / 100);
    stream->status[1] = (char)('0' + response->status / 10 % 10);
    stream->status[2] = (char)('0' + response->status % 10);
    fields[0] = field_of(STR(":status"), str_make(stream->status, 3), borrowed);
    fields[1] = field_of(STR("date"), str_make(req->env->date, HTTP_DATE_LEN), borrowed);
    for (unsigned i = 0; i < response->block_count; i++)
        count += put_fields(fields + count, response->blocks[i]);
    if (stream->malformed && !stream->body_open) /* no END_STREAM: a reset follows */
        return nghttp2_submit_headers(stream->h2->ng, NGHTTP2_FLAG_NONE, stream->id, NULL, fields,
                                      count, NULL);
    nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_body};
    return nghttp2_submit_response(stream->h2->ng, stream->id, fields, count,
                                   stream->body_open ? &body : NULL);
}

/* Hands the response to nghttp2. */
static int
respond(struct h2_stream *stream)
{
    struct req *req = &stream->req;
    nghttp2_nv few[RESPONSE_FIELDS], *fields = few;
    must(!stream->responded);
    stream->responded = true;
    h2_stream_touch(stream);
    if (req->aborted)
        return nghttp2_submit_rst_stream(stream->h2->ng, NGHTTP2_FLAG_NONE, stream->id,
                                         NGHTTP2_CANCEL);
    if (req_sent_head(req)->method == HTTP_METHOD_HEAD ||
        !http_status_has_body(req->response.status))
        body_close(&req->body);
    stream->body_open = req->body.ops != NULL;
    stream->complete = !stream->body_open;
    size_t count = 2 + line_count(&req->response);
    if (count > RESPONSE_FIELDS)
        fields = arena_alloc(&req->arena, count * sizeof *fields);
    int result = fields ? submit_fields(stream, fields) : NGHTTP2_ERR_INTERNAL;
    if (result == 0 || nghttp2_is_fatal(result))
        return result;
    return nghttp2_submit_rst_stream(stream->h2->ng, NGHTTP2_FLAG_NONE, stream->id,
                                     NGHTTP2_INTERNAL_ERROR);
}

/* Answers with an error in place of a response that may already be prepared. */
static int
refuse(struct h2_stream *stream, int status, struct str text)
{
    struct req *req = &stream->req;
    req->response.status = 0;
    req_end(req);
    stream->malformed = status == 400;
    req_refuse(req, status, text);
    return respond(stream);
}

static int
refuse_error(struct h2_stream *stream, enum h2_head_error error)
{
    return refuse(stream, h2_head_error_status(error), h2_head_error_text(error));
}

/* --- the request --- */

/* Whether the answer waits: for an action, or for the end of the request. */
static bool
must_wait(const struct h2_stream *stream)
{
    const struct http_head *head = req_sent_head(&stream->req);
    bool refuses_body = head->expect_continue && !stream->continued;
    return stream->req.waits ||
           (!stream->request_ended && !refuses_body && !stream->req.response.close &&
            head->protocol_len == 0 && head->content_length <= CONN_DISCARD_MAX);
}

static bool
wants_body(const struct h2_stream *stream)
{
    return stream->req.waits && stream->req.input.state == REQ_INPUT_WANTED;
}

/* The body is waited for: says so, if the peer waits for a word, or that all of it is there. */
static int
read_request_body(struct h2_stream *stream)
{
    static const nghttp2_nv status = {(uint8_t *)":status", (uint8_t *)"100", 7, 3,
                                      NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
    if (stream->request_ended)
        req_input_end(&stream->req);
    if (stream->continued || stream->request_ended || stream->received_len ||
        !req_sent_head(&stream->req)->expect_continue)
        return 0;
    stream->continued = true;
    return nghttp2_submit_headers(stream->h2->ng, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1,
                                  NULL);
}

int
h2_stream_run(struct h2_stream *stream, bool ends)
{
    struct h2 *h2 = stream->h2;
    struct conn *conn = h2->conn;
    const struct h2_head_decoder *decoder = &stream->decoder;
    uint32_t requests_max = conn->pool->config.requests_max;
    enum h2_head_error error = h2_head_finish(&stream->decoder, ends);
    stream->request_ended = ends;
    h2_stream_touch(stream);
    conn->request_count++;
    if (requests_max && conn->request_count >= requests_max)
        h2_say_last(h2, stream->id, CONN_END_DONE);
    if (error != H2_HEAD_OK)
        return refuse_error(stream, error);
    struct h2_priority priority = decoder->priority;
    if (h2_priority_find(h2, stream->id, &priority) || decoder->has_priority) {
        int result = h2_priority_set(h2, stream->id, &priority);
        if (result != 0)
            return result;
    }
    req_run(&stream->req);
    if (wants_body(stream))
        return read_request_body(stream);
    return must_wait(stream) ? 0 : respond(stream);
}

int
h2_stream_data(struct h2_stream *stream, struct str data)
{
    const struct http_head *head = req_sent_head(&stream->req);
    stream->received_len += data.len;
    h2_stream_touch(stream);
    if (stream->responded)
        return 0;
    if (head->body_kind == HTTP_BODY_LENGTH && stream->received_len > head->content_length)
        return refuse_error(stream, H2_HEAD_LENGTH_MISMATCH);
    if (stream->req.input.state != REQ_INPUT_UNWANTED)
        req_input_data(&stream->req, data);
    return stream->received_len > CONN_DISCARD_MAX && !stream->req.waits ? respond(stream) : 0;
}

int
h2_stream_end(struct h2_stream *stream)
{
    const struct http_head *head = req_sent_head(&stream->req);
    stream->request_ended = true;
    if (stream->responded)
        return 0;
    if (head->body_kind == HTTP_BODY_LENGTH && stream->received_len != head->content_length)
        return refuse_error(stream, H2_HEAD_LENGTH_MISMATCH);
    if (stream->req.input.state != REQ_INPUT_UNWANTED)
        req_input_end(&stream->req);
    return must_wait(stream) ? 0 : respond(stream);
}

/* The request has a response now, or its body more to send. */
static void
stream_woken(struct req *req)
{
    struct h2_stream *stream = (struct h2_stream *)((char *)req - offsetof(struct h2_stream, req));
    int result = 0;
    if (stream->h2->conn->state == CONN_CLOSED)
        return; /* dropped; the request ends when the loop has let go */
    if (wants_body(stream)) {
        result = read_request_body(stream);
    } else if (!stream->responded && !must_wait(stream)) {
        result = respond(stream);
    } else if (stream->body_pending) {
        stream->body_pending = false;
        result = nghttp2_session_resume_data(stream->h2->ng, stream->id);
        if (result == NGHTTP2_ERR_INVALID_ARGUMENT) /* it was not deferred yet */
            result = 0;
    }
    h2_woken(stream->h2, result);
}

int
h2_stream_bad_trailer(struct h2_stream *stream)
{
    return stream->responded ? 0 : refuse_error(stream, H2_HEAD_BAD_TRAILER);
}

int
h2_stream_time_out(struct h2_stream *stream)
{
    return refuse(stream, 408, STR("the request did not come in time"));
}

int
h2_stream_frame_sent(struct h2_stream *stream)
{
    if (!stream->complete || (stream->request_ended && !stream->malformed))
        return 0;
    /* RFC 9113 section 8.1: the rest of the request is not wanted. */
    return nghttp2_submit_rst_stream(stream->h2->ng, NGHTTP2_FLAG_NONE, stream->id,
                                     stream->malformed ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR);
}
