#include "conn/h1.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/must.h"
#include "conn/h2.h"
#include "http/h1_chunk.h"
#include "http/h1_head.h"
#include "http/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* One loop (h1_run) drives the session over its input: it decodes heads, fills the output with
 * responses, and stops when it needs bytes from the peer or room towards it. Input is looked at in
 * place, where the event loop received it; only what is left over is copied to the stash.
 *
 * Output has two parts, sent in this order: `out`, a buffer of heads and small bodies, which
 * several pipelined responses share; and `piece`, a run of memory or a range of a file that is sent
 * from where it is. A response whose last byte has been put into `out` is finished for us: the next
 * request may start before the kernel has taken it.
 */

enum h1_state {
    H1_HEAD,    /* decoding a request head */
    H1_WAIT,    /* the request runs, maybe reads its body, and there is no response yet */
    H1_DISCARD, /* the response is ready; throwing away a request body that nobody wanted */
    H1_RESPOND, /* the response is being put out */
    H1_LAST,    /* the last response is in the output: end when it has gone */
};

struct h1 {
    struct conn *conn;
    struct h1 *next_free;
    struct h1_head_decoder decoder;
    struct h1_chunk_decoder chunks;
    struct buf stash;
    struct str unread;         /* while the request is run: what follows its head */
    uint64_t body_left;        /* of a request body with a length */
    uint64_t body_count;       /* bytes of a chunked one thrown away, framing included */
    uint64_t head_started_ns;  /* first bytes of the head; 0: none yet */
    uint64_t started_ns;       /* the head was complete */
    uint64_t sent_len;         /* body bytes put out */
    uint64_t turn_len;         /* bytes the kernel took since the loop called us */
    struct body_piece piece;   /* len 0: none */
    uint32_t out_len, out_off; /* filled, and already taken by the kernel */
    uint8_t state;
    uint8_t end;       /* enum conn_end of H1_LAST */
    bool body_ended;   /* all of the request body has been read */
    bool continued;    /* "100 Continue" was sent */
    bool starved;      /* the head needs more bytes than there are */
    bool head_put;     /* the response head is in the output */
    bool body_open;    /* more of the response body can be pulled */
    bool body_pending; /* nothing can be pulled until the request is woken */
    bool close_after;
    bool chunked;    /* the response body is sent in chunks */
    bool chunk_open; /* the line end behind the last one is owed */
    bool piece_is_body;
    bool splice;                 /* the piece goes out without being copied */
    struct access_record record; /* kept only while there is an access log */
    struct req req;
    char out[CONN_OUT_LEN];
    struct http_field fields[];
};

/* Room in `out` with which a response may be started: for the status line and date always, and for
 * most heads whole. */
enum { OUT_ROOM_MIN = 1024, CHUNK_LINE_MAX = 22 };
/* Bytes on the wire for each byte of a chunked body that is wanted, at most. */
enum { H1_CHUNK_COST_MAX = 8 };

static void h1_run(struct h1 *h1, struct str input, bool from_stash);
static void h1_woken(struct req *req);
static bool h1_pull_input(struct req *req);

static struct h1 *
h1_of(struct session *session)
{
    return (struct h1 *)session;
}

static struct session *
h1_acquire(struct conn *conn)
{
    struct conn_pool *pool = conn->pool;
    struct h1 *h1 = pool->free_h1;
    if (h1) {
        pool->free_h1 = h1->next_free;
        pool->free_h1_count--;
    } else {
        uint16_t fields_max = pool->config.fields_max;
        h1 = malloc(sizeof *h1 + fields_max * sizeof(struct http_field));
        if (!h1)
            return NULL;
        memset(h1, 0, offsetof(struct h1, req));
        req_init(&h1->req, pool->req_env, h1->fields, fields_max);
        h1->req.head_moves = true;
        h1->req.woken = h1_woken;
        h1->req.pull_input = h1_pull_input;
        buf_init(&h1->stash, (size_t)pool->config.head_max + CONN_STASH_SLACK);
    }
    h1->conn = conn;
    h1->state = H1_HEAD;
    h1->out_len = h1->out_off = 0;
    h1->piece.len = 0;
    h1->head_started_ns = 0;
    h1->starved = h1->body_open = h1->body_pending = h1->close_after = h1->chunked = false;
    h1->req.fd = conn->sock.fd;
    h1->req.is_admin = conn->is_admin;
    h1->req.is_tls = conn->is_tls;
    h1->req.tls = conn->tls;
    h1_head_decoder_init(&h1->decoder, &h1->req.head, pool->config.head_max);
    return (struct session *)h1;
}

static void
h1_free(struct h1 *h1)
{
    req_deinit(&h1->req);
    buf_deinit(&h1->stash);
    free(h1);
}

/* Logs the request, as far as it came, and lets its snapshot go. */
static void
h1_end_request(struct h1 *h1, bool complete)
{
    struct conn_pool *pool = h1->conn->pool;
    if (pool->log && h1->req.response.status) {
        h1->record.fd = h1->conn->sock.fd;
        h1->record.status = h1->req.response.status;
        h1->record.bytes = h1->sent_len;
        h1->record.duration_ns = loop_clock_ns() - h1->started_ns;
        h1->record.complete = complete;
        pool->log(pool->log_arg, &h1->record);
    }
    req_end(&h1->req);
}

static void
h1_release(struct session *session)
{
    struct h1 *h1 = h1_of(session);
    struct conn_pool *pool = h1->conn->pool;
    h1_end_request(h1, false);
    if (pool->free_h1_count == CONN_SESSIONS_KEPT) {
        h1_free(h1);
        return;
    }
    buf_deinit(&h1->stash);
    buf_clear(&h1->stash);
    h1->next_free = pool->free_h1;
    pool->free_h1 = h1;
    pool->free_h1_count++;
}

void
h1_pool_deinit(struct conn_pool *pool)
{
    while (pool->free_h1) {
        struct h1 *h1 = pool->free_h1;
        pool->free_h1 = h1->next_free;
        h1_free(h1);
    }
    pool->free_h1_count = 0;
}

/* --- output --- */

static void
out_append(struct h1 *h1, struct str s)
{
    memcpy(h1->out + h1->out_len, s.ptr, s.len);
    h1->out_len += (uint32_t)s.len;
}

static size_t
out_room(const struct h1 *h1)
{
    return sizeof h1->out - h1->out_len;
}

static void
out_append_status(struct h1 *h1, int status)
{
    if (status == 200) {
        out_append(h1, STR("HTTP/1.1 200 OK\r\nDate: "));
    } else {
        char code[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                        (char)('0' + status % 10)};
        out_append(h1, STR("HTTP/1.1 "));
        out_append(h1, str_make(code, 3));
        out_append(h1, STR(" "));
        out_append(h1, http_status_reason(status));
        out_append(h1, STR("\r\nDate: "));
    }
    out_append(h1, str_make(h1->req.env->date, HTTP_DATE_LEN));
    out_append(h1, STR("\r\n"));
}

/* Whether what has come so far must be the last request: decided before the head goes out, because
 * the head says it. */
static bool
h1_must_close(const struct h1 *h1)
{
    const struct conn *conn = h1->conn;
    const struct http_head *head = req_sent_head(&h1->req);
    uint32_t requests_max = conn->pool->config.requests_max;
    bool body_is_left = head->body_kind != HTTP_BODY_NONE && !h1->body_ended;
    return h1->req.response.close || !head->keep_alive || conn->pool->draining ||
           (requests_max && conn->request_count >= requests_max) ||
           (body_is_left && head->expect_continue && !h1->continued) ||
           (body_is_left && head->body_kind == HTTP_BODY_LENGTH &&
            h1->body_left > CONN_DISCARD_MAX) ||
           (h1->req.response.unknown_len && head->version_minor == 0);
}

/* Puts the response head out; whole blocks that do not fit go into one piece of the request's
 * arena. False: no memory for that. */
static bool
h1_put_head(struct h1 *h1)
{
    struct response *response = &h1->req.response;
    size_t blocks_len = 0;
    for (unsigned i = 0; i < response->block_count; i++)
        blocks_len += response->blocks[i].len;
    struct str connection = STR("\r\n");
    if (h1->chunked)
        connection = h1->close_after
                         ? STR("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
                         : STR("Transfer-Encoding: chunked\r\n\r\n");
    else if (h1->close_after)
        connection = STR("Connection: close\r\n\r\n");
    else if (h1->req.head.version_minor == 0)
        connection = STR("Connection: keep-alive\r\n\r\n");
    out_append_status(h1, response->status);
    if (blocks_len + connection.len <= out_room(h1)) {
        for (unsigned i = 0; i < response->block_count; i++)
            out_append(h1, response->blocks[i]);
        out_append(h1, connection);
        return true;
    }
    char *text = arena_alloc_text(&h1->req.arena, blocks_len + connection.len);
    if (!text)
        return false;
    h1->piece = (struct body_piece){.mem = {text, blocks_len + connection.len}};
    h1->splice = h1->piece_is_body = false;
    for (unsigned i = 0; i < response->block_count; i++) {
        memcpy(text + h1->piece.len, response->blocks[i].ptr, response->blocks[i].len);
        h1->piece.len += response->blocks[i].len;
    }
    memcpy(text + h1->piece.len, connection.ptr, connection.len);
    h1->piece.len += connection.len;
    return true;
}

/* The line that begins a chunk of `len` bytes (RFC 9112 section 7.1), behind the end of the one
 * before; the last chunk, of 0, with the end of the body. */
static void
out_append_chunk_line(struct h1 *h1, uint64_t len)
{
    char line[CHUNK_LINE_MAX + 1];
    int line_len = snprintf(line, sizeof line, "%s%" PRIx64 "\r\n%s", h1->chunk_open ? "\r\n" : "",
                            len, len ? "" : "\r\n");
    must(line_len > 0 && line_len <= CHUNK_LINE_MAX);
    out_append(h1, str_make(line, (size_t)line_len));
    h1->chunk_open = len > 0;
}

/* Puts a piece of the body into the output, or makes it what goes out behind that. */
static void
h1_put_piece(struct h1 *h1, const struct body_piece *piece)
{
    if (h1->chunked)
        out_append_chunk_line(h1, piece->len);
    if (piece->mem.ptr && piece->len <= CONN_COPY_MAX && piece->len <= out_room(h1)) {
        out_append(h1, piece->mem);
        h1->sent_len += piece->len;
    } else {
        h1->piece = *piece;
        h1->piece_is_body = true;
    }
    h1->splice = h1->piece.constant && h1->piece.len >= CONN_SPLICE_MIN;
}

/* Pulls the body until it is in the output, the output is full, or there is no more for now. False:
 * the body failed. */
static bool
h1_put_body(struct h1 *h1)
{
    while (h1->body_open && h1->piece.len == 0) {
        struct body_piece piece;
        if (h1->chunked && out_room(h1) < CHUNK_LINE_MAX)
            return true;
        switch (body_pull(&h1->req.body, &piece)) {
        case BODY_END:
            h1->body_open = false;
            if (h1->chunked)
                out_append_chunk_line(h1, 0);
            break;
        case BODY_PENDING:
            h1->body_pending = true;
            return true;
        case BODY_FAILED:
            return false;
        case BODY_PIECE:
            h1_put_piece(h1, &piece);
            break;
        }
    }
    return true;
}

static bool
h1_output_is_empty(const struct h1 *h1)
{
    return h1->out_off == h1->out_len && h1->piece.len == 0;
}

/* Notes that the kernel took len bytes. */
static void
h1_advance(struct h1 *h1, size_t len)
{
    size_t of_out = h1->out_len - h1->out_off;
    if (len < of_out) {
        h1->out_off += (uint32_t)len;
        return;
    }
    h1->out_len = h1->out_off = 0;
    len -= of_out;
    must(len <= h1->piece.len);
    if (h1->piece_is_body)
        h1->sent_len += len;
    h1->piece.len -= len;
    h1->piece.off += len;
    h1->piece.mem = str_skip(h1->piece.mem, len);
}

static ssize_t
h1_send_once(struct h1 *h1)
{
    const struct body_piece *piece = &h1->piece;
    struct str head = str_make(h1->out + h1->out_off, h1->out_len - h1->out_off);
    if (piece->len && !piece->mem.ptr) {
        uint64_t len = piece->len < CONN_SEND_FILE_MAX ? piece->len : CONN_SEND_FILE_MAX;
        return conn_send_file(h1->conn, head, piece->fd, piece->off, len);
    }
    if (piece->len && h1->splice)
        return conn_send_pages(h1->conn, head, piece->mem.ptr, piece->len);
    struct iovec iov[2];
    unsigned count = 0;
    if (head.len)
        iov[count++] = (struct iovec){(void *)head.ptr, head.len};
    if (piece->len)
        iov[count++] = (struct iovec){(void *)piece->mem.ptr, piece->len};
    return conn_send(h1->conn, iov, count);
}

enum flush_result { FLUSH_DONE, FLUSH_PENDING, FLUSH_DROPPED };

/* Sends what is in the output. DROPPED: the connection has ended. */
static enum flush_result
h1_flush(struct h1 *h1)
{
    if (h1->conn->sock.send_pending)
        return FLUSH_PENDING;
    while (!h1_output_is_empty(h1)) {
        bool yields = h1->turn_len >= CONN_TURN_MAX;
        ssize_t result = yields ? conn_yield(h1->conn) : h1_send_once(h1);
        if (result == SOCK_PENDING) {
            conn_set_deadline(h1->conn, h1->conn->pool->config.io_timeout_ns);
            return FLUSH_PENDING;
        }
        if (result < 0) {
            bool body_failed = result == -ENODATA || result == -EIO;
            conn_drop(h1->conn, body_failed ? CONN_END_BODY_FAILED : CONN_END_PEER_RESET, true);
            return FLUSH_DROPPED;
        }
        h1->turn_len += (uint64_t)result;
        h1_advance(h1, (size_t)result);
    }
    return FLUSH_DONE;
}

/* --- requests --- */

/* The head lies in bytes that will be gone when the response is done: what the log wants of it is
 * copied. */
static void
h1_note_for_log(struct h1 *h1)
{
    const struct http_head *head = req_sent_head(&h1->req);
    struct arena *arena = &h1->req.arena;
    h1->record = (struct access_record){
        .method = arena_copy(arena, http_head_method(head)),
        .target = arena_copy(arena, http_head_target(head)),
        .host = arena_copy(arena, http_head_value(head, HTTP_FIELD_HOST)),
        .referer = arena_copy(arena, http_head_value(head, HTTP_FIELD_REFERER)),
        .user_agent = arena_copy(arena, http_head_value(head, HTTP_FIELD_USER_AGENT)),
        .request_id = arena_copy(arena, http_head_value(head, HTTP_FIELD_X_REQUEST_ID)),
        .version_minor = head->version_minor,
    };
}

/* The response is ready to go out. */
static void
h1_start_response(struct h1 *h1)
{
    struct req *req = &h1->req;
    h1->sent_len = 0;
    h1->state = H1_RESPOND;
    h1->head_put = h1->body_pending = h1->chunk_open = false;
    h1->body_open = true;
    h1->chunked = req->response.unknown_len && req->head.version_minor > 0;
    if (req_sent_head(req)->method == HTTP_METHOD_HEAD ||
        !http_status_has_body(req->response.status)) {
        body_close(&req->body);
        h1->chunked = false;
    }
}

/* Answers what cannot be served, in place of a response that may already be prepared, and ends the
 * connection. */
static void
h1_refuse(struct h1 *h1, int status, struct str text, enum conn_end end)
{
    h1->req.response.status = 0;
    req_end(&h1->req);
    h1->started_ns = loop_now_ns(h1->conn->sock.loop);
    h1->record = (struct access_record){.version_minor = 1};
    h1->end = (uint8_t)end;
    h1->close_after = true;
    req_refuse(&h1->req, status, text);
    if (h1->conn->pool->log && h1->state == H1_HEAD && h1->head_started_ns)
        h1_note_for_log(h1);
    if (h1->state == H1_HEAD)
        h1->req.head.method = HTTP_METHOD_OTHER; /* whatever a head that was not understood says */
    h1_start_response(h1);
}

static void
h1_next_request(struct h1 *h1)
{
    h1->state = H1_HEAD;
    h1->starved = false;
    h1->head_started_ns = 0;
    h1_head_decoder_init(&h1->decoder, &h1->req.head, h1->conn->pool->config.head_max);
}

/* There is a response. */
static void
h1_answered(struct h1 *h1)
{
    if (h1->req.aborted) {
        h1->end = CONN_END_ABORTED;
        h1->state = H1_LAST;
        return;
    }
    if (h1->conn->pool->log)
        h1_note_for_log(h1);
    h1->close_after = h1_must_close(h1);
    if (h1->body_ended || h1->close_after) {
        h1_start_response(h1);
        return;
    }
    h1->state = H1_DISCARD;
    h1->body_count = 0; /* what was read was wanted */
}

/* The peer waits for a word before it sends its body (RFC 9110 section 10.1.1). */
static void
h1_continue(struct h1 *h1)
{
    const struct http_head *head = req_sent_head(&h1->req);
    if (h1->continued || h1->body_ended || !head->expect_continue || head->version_minor == 0)
        return;
    h1->continued = true;
    out_append(h1, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static bool
h1_wants_body(const struct h1 *h1)
{
    return h1->state == H1_WAIT && h1->req.input.state == REQ_INPUT_WANTED;
}

/* A body of known length that has come with its head needs no wait. */
static bool
h1_pull_input(struct req *req)
{
    struct h1 *h1 = (struct h1 *)((char *)req - offsetof(struct h1, req));
    if (h1->body_left == 0 || h1->unread.len < h1->body_left)
        return false;
    req_input_data(req, str_first(h1->unread, h1->body_left));
    h1->unread = str_skip(h1->unread, h1->body_left);
    h1->body_left = 0;
    h1->body_ended = true;
    return true;
}

static void
h1_run_request(struct h1 *h1)
{
    struct conn *conn = h1->conn;
    const struct http_head *head = &h1->req.head;
    h1->started_ns = loop_now_ns(conn->sock.loop);
    h1->end = CONN_END_DONE;
    h1->continued = false;
    h1->body_count = 0;
    h1->body_left = head->body_kind == HTTP_BODY_LENGTH ? head->content_length : 0;
    h1->body_ended = head->body_kind != HTTP_BODY_CHUNKED && h1->body_left == 0;
    if (head->body_kind == HTTP_BODY_CHUNKED)
        h1_chunk_decoder_init(&h1->chunks);
    conn->request_count++;
    req_run(&h1->req);
    if (!h1->req.waits) {
        h1_answered(h1);
        return;
    }
    h1->state = H1_WAIT;
    if (h1_wants_body(h1))
        h1_continue(h1);
    if (conn->peer_ended)
        body_left(&h1->req.body);
}

/* Whether the input may be the preface of HTTP/2: only as the first bytes of a plain connection; it
 * is negotiated over TLS. */
static enum h2_preface
h1_preface(const struct h1 *h1, struct str input)
{
    if (h1->conn->request_count || h1->conn->is_tls || h1->state != H1_HEAD || input.len == 0)
        return H2_PREFACE_NONE;
    return h2_preface_check(input);
}

/* Decodes a head and runs the request. Returns the bytes of input used; none while the head is not
 * complete. */
static size_t
h1_run_head(struct h1 *h1, struct str input)
{
    if (h1->head_started_ns == 0)
        h1->head_started_ns = loop_now_ns(h1->conn->sock.loop);
    if (h1_preface(h1, input) != H2_PREFACE_NONE) {
        h1->starved = true;
        return 0;
    }
    switch (h1_head_decode(&h1->decoder, input.ptr, input.len)) {
    case H1_MORE:
        h1->starved = true;
        return 0;
    case H1_ERROR:
        h1_refuse(h1, h1_error_status(h1->decoder.error), h1_error_text(h1->decoder.error),
                  CONN_END_BAD_REQUEST);
        return input.len;
    case H1_DONE:
        break;
    }
    h1->unread = str_skip(input, h1->decoder.head_len);
    h1_run_request(h1);
    size_t used = input.len - h1->unread.len;
    h1->unread = (struct str){0};
    return used;
}

static size_t
h1_discard_chunks(struct h1 *h1, struct str input)
{
    size_t used = 0;
    while (h1->body_count <= CONN_DISCARD_MAX) {
        size_t consumed;
        struct str data;
        enum h1_chunk_result result =
            h1_chunk_decode(&h1->chunks, input.ptr + used, input.len - used, &consumed, &data);
        used += consumed;
        h1->body_count += consumed;
        switch (result) {
        case H1_CHUNK_DATA:
            break;
        case H1_CHUNK_MORE:
            return used;
        case H1_CHUNK_DONE:
            h1_start_response(h1);
            return used;
        case H1_CHUNK_ERROR:
            h1_refuse(h1, 400, STR("malformed chunk"), CONN_END_BAD_REQUEST);
            return input.len;
        }
    }
    h1->close_after = true;
    h1_start_response(h1);
    return input.len;
}

/* The answer waits for the body, so that a malformed one can still be answered with 400: nothing
 * may follow an answer that the peer does not expect. */
static size_t
h1_run_discard(struct h1 *h1, struct str input)
{
    if (req_sent_head(&h1->req)->body_kind == HTTP_BODY_CHUNKED)
        return h1_discard_chunks(h1, input);
    size_t used = input.len < h1->body_left ? input.len : h1->body_left;
    h1->body_left -= used;
    if (h1->body_left == 0)
        h1_start_response(h1);
    return used;
}

/* Brings the request what it wants of its body. */
static size_t
h1_read_chunks(struct h1 *h1, struct str input)
{
    size_t used = 0;
    while (h1_wants_body(h1)) {
        size_t consumed;
        struct str data;
        enum h1_chunk_result result =
            h1_chunk_decode(&h1->chunks, input.ptr + used, input.len - used, &consumed, &data);
        used += consumed;
        h1->body_count += consumed;
        bool padded = h1->body_count / H1_CHUNK_COST_MAX > h1->req.input.max + CONN_DISCARD_MAX;
        if (result == H1_CHUNK_ERROR || padded) {
            h1_refuse(h1, 400, STR("malformed chunk"), CONN_END_BAD_REQUEST);
            return input.len;
        }
        if (result == H1_CHUNK_MORE)
            return used;
        h1->body_ended = result == H1_CHUNK_DONE;
        if (h1->body_ended)
            req_input_end(&h1->req);
        else
            req_input_data(&h1->req, data);
    }
    return used;
}

static size_t
h1_read_body(struct h1 *h1, struct str input)
{
    if (req_sent_head(&h1->req)->body_kind == HTTP_BODY_CHUNKED)
        return h1_read_chunks(h1, input);
    struct str data = str_first(input, h1->body_left);
    h1->body_left -= data.len;
    h1->body_ended = h1->body_left == 0;
    req_input_data(&h1->req, data);
    if (h1->body_ended)
        req_input_end(&h1->req);
    return data.len;
}

/* Puts more of the response out. False: the connection has ended. */
static bool
h1_run_respond(struct h1 *h1)
{
    if (!h1->head_put && !h1_put_head(h1)) {
        conn_drop(h1->conn, CONN_END_NO_MEMORY, true);
        return false;
    }
    h1->head_put = true;
    if (!h1_put_body(h1)) {
        conn_drop(h1->conn, CONN_END_BODY_FAILED, true);
        return false;
    }
    if (h1->body_open || h1->piece.len)
        return true;
    h1_end_request(h1, true);
    if (h1->close_after)
        h1->state = H1_LAST;
    else
        h1_next_request(h1);
    return true;
}

/* Whether there is something to do with the input as it is. */
static bool
h1_can_go_on(const struct h1 *h1, struct str input)
{
    switch (h1->state) {
    case H1_HEAD:
        return input.len && !h1->starved && out_room(h1) >= OUT_ROOM_MIN;
    case H1_WAIT:
        return input.len > 0 && h1_wants_body(h1);
    case H1_DISCARD:
        return input.len > 0;
    case H1_RESPOND:
        return h1->piece.len == 0 && out_room(h1) >= OUT_ROOM_MIN && !h1->body_pending;
    default:
        return false;
    }
}

/* Keeps what is left of the input for later. False: no memory; the connection has ended. There is
 * always room: receiving stops at head_max, and what may still come then fits CONN_STASH_SLACK. */
static bool
h1_keep(struct h1 *h1, struct str rest, bool from_stash)
{
    if (from_stash) {
        buf_consume(&h1->stash, h1->stash.len - rest.len);
    } else {
        buf_append(&h1->stash, rest);
        if (buf_overflowed(&h1->stash)) {
            conn_drop(h1->conn, CONN_END_NO_MEMORY, true);
            return false;
        }
    }
    if (h1->state == H1_HEAD)
        h1->req.head.base = h1->stash.ptr; /* where a head that is refused later is logged from */
    if (h1->stash.len > h1->conn->pool->config.head_max)
        sock_recv_stop(&h1->conn->sock);
    else if (!h1->conn->peer_ended)
        sock_recv_start(&h1->conn->sock);
    return true;
}

/* All output has gone, and the input gives nothing more. */
static void
h1_settle(struct h1 *h1)
{
    struct conn *conn = h1->conn;
    const struct conn_config *config = &conn->pool->config;
    bool reads_body = h1->state == H1_DISCARD || h1_wants_body(h1);
    if (h1->state == H1_LAST && h1->end == CONN_END_ABORTED) {
        conn_drop(conn, CONN_END_ABORTED, true);
    } else if (h1->state == H1_LAST) {
        conn_finish(conn, h1->end);
    } else if (!reads_body && (h1->state == H1_WAIT || h1->state == H1_RESPOND)) {
        conn_clear_deadline(conn); /* whoever is waited for has one */
    } else if (conn->peer_ended && (reads_body || h1->stash.len)) {
        h1_refuse(h1, 400, STR("the request ended early"), CONN_END_BAD_REQUEST);
        h1_run(h1, buf_str(&h1->stash), true);
    } else if (conn->peer_ended) {
        conn_drop(conn, CONN_END_DONE, false);
    } else if (reads_body) {
        conn_set_deadline(conn, config->io_timeout_ns);
    } else if (h1->stash.len) {
        uint64_t waited_ns = loop_now_ns(conn->sock.loop) - h1->head_started_ns;
        conn_set_deadline(conn, waited_ns < config->header_timeout_ns
                                    ? config->header_timeout_ns - waited_ns
                                    : 1);
    } else {
        conn_release_session(conn);
        conn_go_idle(conn);
    }
}

/* Runs the session over its input until it needs more of it, or room to send. */
static void
h1_run(struct h1 *h1, struct str input, bool from_stash)
{
    enum flush_result flushed;
    do {
        while (h1_can_go_on(h1, input)) {
            if (h1->state == H1_HEAD)
                input = str_skip(input, h1_run_head(h1, input));
            else if (h1->state == H1_WAIT)
                input = str_skip(input, h1_read_body(h1, input));
            else if (h1->state == H1_DISCARD)
                input = str_skip(input, h1_run_discard(h1, input));
            else if (!h1_run_respond(h1))
                return;
        }
        flushed = h1_flush(h1);
        if (flushed == FLUSH_DROPPED)
            return;
    } while (flushed == FLUSH_DONE && h1_can_go_on(h1, input));
    if (h1_keep(h1, input, from_stash) && flushed == FLUSH_DONE)
        h1_settle(h1);
}

static void
h1_received(struct session *session, const char *data, size_t len)
{
    struct h1 *h1 = h1_of(session);
    struct str input = str_make(data, len);
    h1->turn_len = 0;
    h1->starved = false;
    if (h1->conn->sock.send_pending) {
        h1_keep(h1, input, false);
        return;
    }
    bool from_stash = h1->stash.len > 0;
    if (from_stash) {
        buf_append(&h1->stash, input);
        input = buf_str(&h1->stash);
    }
    if (buf_overflowed(&h1->stash))
        conn_drop(h1->conn, CONN_END_NO_MEMORY, true);
    else if (h1_preface(h1, input) == H2_PREFACE_WHOLE)
        conn_switch(h1->conn, &h2_session_ops, input);
    else
        h1_run(h1, input, from_stash);
}

static void
h1_peer_ended(struct session *session)
{
    struct h1 *h1 = h1_of(session);
    if (h1->state == H1_WAIT || h1->state == H1_RESPOND)
        body_left(&h1->req.body);
    if (!h1->conn->sock.send_pending && h1_output_is_empty(h1))
        h1_settle(h1);
}

static void
h1_sent(struct session *session, size_t len)
{
    struct h1 *h1 = h1_of(session);
    h1_advance(h1, len);
    h1->turn_len = 0;
    h1->starved = false;
    h1_run(h1, buf_str(&h1->stash), true);
}

static void
h1_timeout(struct session *session)
{
    struct h1 *h1 = h1_of(session);
    bool output_is_empty = h1_output_is_empty(h1) && !h1->conn->sock.send_pending;
    bool reads_body = h1->state == H1_DISCARD || h1_wants_body(h1);
    if (output_is_empty && (h1->state == H1_HEAD || reads_body)) {
        h1_refuse(h1, 408, STR("the request did not come in time"), CONN_END_HEADER_TIMEOUT);
        h1_run(h1, STR(""), false);
    } else {
        conn_drop(h1->conn, CONN_END_IO_TIMEOUT, true);
    }
}

/* The request that was waited for has a response, or its body more to send. */
static void
h1_woken(struct req *req)
{
    struct h1 *h1 = (struct h1 *)((char *)req - offsetof(struct h1, req));
    if (h1->conn->state == CONN_CLOSED)
        return; /* dropped; the request ends when the loop has let go */
    if (h1->state == H1_WAIT && !req->waits)
        h1_answered(h1);
    else if (h1_wants_body(h1))
        h1_continue(h1);
    else if (h1->state == H1_RESPOND && h1->body_pending)
        h1->body_pending = false;
    else
        return;
    h1->turn_len = 0;
    h1->starved = false;
    h1_run(h1, buf_str(&h1->stash), true);
}

const struct session_ops h1_session_ops = {
    .acquire = h1_acquire,
    .release = h1_release,
    .received = h1_received,
    .peer_ended = h1_peer_ended,
    .sent = h1_sent,
    .timeout = h1_timeout,
};
