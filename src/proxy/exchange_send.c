#include "base/must.h"
#include "http/h1_request_out.h"
#include "proxy/exchange_internal.h"

#include <errno.h>
#include <inttypes.h>

/* The request goes out in two parts, in this order: `out`, a buffer with the head, the framing of
 * chunks and small pieces of the body, and `piece`, a run of memory or a range of a file that is
 * sent from where it is. `out` may be lent to the kernel, so it is only written to while nothing is
 * pending. A piece is the owner's and is never lent: the owner may end the exchange at any time.
 *
 * `out` is emptied as late as possible: as long as it holds all that was pulled, the same request
 * can be sent again.
 *
 * A send that fails does not end the exchange: an upstream that answers and closes before it has
 * read the whole request is heard. Receiving tells the rest.
 */

enum { CHUNK_LINE_MAX = 2 + H1_CHUNK_HEAD_MAX };

bool
exchange_can_send_again(const struct exchange *exchange)
{
    static const bool idempotent[] = {
        [HTTP_METHOD_GET] = true, [HTTP_METHOD_HEAD] = true,  [HTTP_METHOD_OPTIONS] = true,
        [HTTP_METHOD_PUT] = true, [HTTP_METHOD_TRACE] = true, [HTTP_METHOD_DELETE] = true,
    };
    /* With its body yet to come, no request was whole, so nobody has acted on it. */
    if (exchange->body && !exchange->body_begun)
        return true;
    return exchange->method < sizeof idempotent && idempotent[exchange->method] &&
           exchange->from_start;
}

/* --- the head --- */

/* The framing of the request's body. */
static enum http_body_kind
body_kind(const struct exchange_request *request, enum http_method method)
{
    if (request->body)
        return request->body_len == UINT64_MAX ? HTTP_BODY_CHUNKED : HTTP_BODY_LENGTH;
    /* A method for which a body has a meaning says that there is none (RFC 9110 section 8.6). */
    bool says_none =
        method == HTTP_METHOD_POST || method == HTTP_METHOD_PUT || method == HTTP_METHOD_PATCH;
    return says_none ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
}

bool
exchange_encode_head(struct exchange *exchange, const struct exchange_request *request)
{
    const struct upstream_origin *origin = exchange->origin;
    struct arena *arena = &exchange->pool->arena;
    struct h1_request_out out;
    bool absolute = origin->proxy && origin->scheme == URL_HTTP;
    struct str target =
        absolute ? url_canonical(&request->url, arena) : url_request_target(&request->url, arena);
    struct str host = request->host.len ? request->host : origin->authority;
    h1_request_out_begin(&out, &exchange->out, request->method, target, host);
    for (unsigned i = 0; i < request->field_count; i++) {
        const struct exchange_field *field = &request->fields[i];
        h1_request_out_field(&out, field->name, field->value);
        exchange->expects |= request->body && str_ieq(field->name, STR("Expect")) &&
                             str_ieq(field->value, STR("100-continue"));
    }
    if (absolute && origin->proxy_authorization.len)
        h1_request_out_field(&out, STR("Proxy-Authorization"), origin->proxy_authorization);
    enum http_body_kind kind = body_kind(request, exchange->method);
    exchange->chunked = kind == HTTP_BODY_CHUNKED;
    exchange->body_left = request->body && !exchange->chunked ? request->body_len : 0;
    return h1_request_out_end(&out, kind, exchange->body_left) == H1_OUT_OK &&
           exchange->out.len <= EXCHANGE_HEAD_MAX;
}

/* --- the body --- */

static void
put_chunk_line(struct exchange *exchange, uint64_t len)
{
    char line[H1_CHUNK_HEAD_MAX];
    if (exchange->chunk_open)
        buf_append(&exchange->out, STR("\r\n"));
    if (len)
        buf_append(&exchange->out, str_make(line, h1_chunk_encode_head(line, len)));
    else
        buf_append(&exchange->out, STR("0\r\n\r\n"));
    exchange->chunk_open = len > 0;
}

/* False: the exchange has ended. */
static bool
put_piece(struct exchange *exchange, const struct body_piece *piece)
{
    if (exchange->chunked) {
        put_chunk_line(exchange, piece->len);
    } else if (piece->len > exchange->body_left) {
        exchange_fail(exchange, EXCHANGE_REQUEST, "the request body is longer than was said");
        return false;
    } else {
        exchange->body_left -= piece->len;
    }
    if (piece->mem.ptr && piece->len <= EXCHANGE_COPY_MAX) {
        buf_append(&exchange->out, piece->mem);
    } else {
        exchange->piece = *piece;
        exchange->piece_done = 0;
    }
    if (!exchange->chunked && exchange->body_left == 0)
        exchange->body = NULL;
    return true;
}

/* False: the exchange has ended. */
static bool
put_body_end(struct exchange *exchange)
{
    exchange->body = NULL;
    if (exchange->chunked)
        put_chunk_line(exchange, 0);
    if (exchange->body_left == 0)
        return true;
    exchange_fail(exchange, EXCHANGE_REQUEST,
                  "the request body ended %" PRIu64 " bytes before its length",
                  exchange->body_left);
    return false;
}

/* Asks the owner for more of the body. False: the exchange has ended. */
static bool
pull(struct exchange *exchange)
{
    struct body_piece piece;
    exchange->woken = false;
    enum body_result result = body_pull(exchange->body, &piece);
    if (exchange->state == EXCHANGE_AT_OVER)
        return false;
    exchange->body_begun |= result == BODY_PIECE;
    switch (result) {
    case BODY_PIECE:
        return piece.len == 0 || put_piece(exchange, &piece);
    case BODY_END:
        return put_body_end(exchange);
    case BODY_PENDING:
        exchange->body_pending = !exchange->woken;
        return true;
    case BODY_FAILED:
        break;
    }
    exchange_fail(exchange, EXCHANGE_REQUEST, "the request body failed");
    return false;
}

/* Makes room behind what has gone, if there is too much of it. */
static void
make_room(struct exchange *exchange)
{
    if (exchange->out_off < exchange->out.len || exchange->out.len < EXCHANGE_OUT_LEN)
        return;
    buf_clear(&exchange->out);
    exchange->out_off = 0;
    exchange->from_start = false;
}

static struct str
unsent(const struct exchange *exchange)
{
    return str_skip(buf_str(&exchange->out), exchange->out_off);
}

static bool
can_pull(const struct exchange *exchange)
{
    if (!exchange->body || exchange->body_pending || exchange->waits_for_continue ||
        exchange->piece_done < exchange->piece.len)
        return false;
    size_t unsent_len = unsent(exchange).len;
    bool has_room = exchange->out.len + CHUNK_LINE_MAX + EXCHANGE_COPY_MAX <= exchange->out.max;
    return unsent_len == 0 || (unsent_len < EXCHANGE_OUT_LEN && has_room);
}

/* Pulls until the output is full, or there is no more for now. False: the exchange has ended. */
static bool
fill(struct exchange *exchange)
{
    while (can_pull(exchange)) {
        if (exchange->piece.len) { /* all of it has gone, and is lost with this pull */
            exchange->from_start = false;
            exchange->piece.len = exchange->piece_done = 0;
        }
        make_room(exchange);
        if (!pull(exchange))
            return false;
        if (buf_overflowed(&exchange->out)) {
            exchange_fail(exchange, EXCHANGE_NO_MEMORY, "no memory for the request");
            return false;
        }
    }
    return true;
}

/* --- sending --- */

static ssize_t
send_piece(struct exchange *exchange)
{
    const struct body_piece *piece = &exchange->piece;
    uint64_t left = piece->len - exchange->piece_done;
    if (piece->mem.ptr)
        return upstream_send_now(exchange->conn, str_skip(piece->mem, exchange->piece_done));
    return upstream_send_file(exchange->conn, piece->fd, piece->off + exchange->piece_done,
                              left < EXCHANGE_SEND_FILE_MAX ? left : EXCHANGE_SEND_FILE_MAX);
}

/* What the connection has taken: of `out` first. */
static void
advance(struct exchange *exchange, size_t len)
{
    if (unsent(exchange).len) {
        must(len <= unsent(exchange).len);
        exchange->out_off += len;
    } else {
        exchange->piece_done += len;
        must(exchange->piece_done <= exchange->piece.len);
    }
    exchange->turn_len += len;
}

/* False: nothing more now, or the exchange has ended. */
static bool
send_once(struct exchange *exchange)
{
    struct sock *sock = &exchange->conn->sock;
    if (exchange->turn_len >= EXCHANGE_TURN_MAX && !sock->send_pending) {
        sock_yield(sock);
        return false;
    }
    ssize_t result = unsent(exchange).len ? upstream_send(exchange->conn, unsent(exchange))
                                          : send_piece(exchange);
    if (result >= 0) {
        advance(exchange, (size_t)result);
    } else if (result == -ENODATA || result == -EIO) {
        exchange_fail(exchange, EXCHANGE_REQUEST, "the file of the request body %s",
                      result == -EIO ? "cannot be read" : "is shorter than it was");
    } else if (result != SOCK_PENDING) {
        exchange->send_failed = true;
    }
    return result >= 0;
}

void
exchange_send(struct exchange *exchange)
{
    if (exchange->request_sent || exchange->send_failed)
        return;
    while (upstream_can_send(exchange->conn)) {
        if (!fill(exchange))
            return;
        if (!unsent(exchange).len && exchange->piece_done == exchange->piece.len) {
            exchange->request_sent = !exchange->body;
            break;
        }
        if (!send_once(exchange))
            break;
    }
    if (exchange->state == EXCHANGE_AT_OVER)
        return;
    exchange->queued_len = exchange->body_begun ? upstream_queued_len(exchange->conn) : 0;
    exchange_set_deadline(exchange);
}

void
exchange_sent(struct exchange *exchange, ssize_t result)
{
    exchange->turn_len = 0;
    if (result < 0) {
        exchange->send_failed = true;
        return;
    }
    if (result > 0)
        advance(exchange, (size_t)result);
    exchange_send(exchange);
}

void
exchange_send_start(struct exchange *exchange)
{
    exchange->out_off = 0;
    exchange->piece_done = 0;
    exchange->turn_len = 0;
    exchange->queued_len = 0;
    exchange->request_sent = exchange->send_failed = exchange->body_pending = false;
    exchange->waits_for_continue = exchange->expects && exchange->body && !exchange->body_begun;
    exchange_set_deadline(exchange);
    exchange_send(exchange);
}
