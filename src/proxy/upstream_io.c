#include "base/must.h"
#include "proxy/exchange_internal.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What the loop calls, by the connection's state; and the way of received bytes to the exchange.
 *
 * An exchange that is paused takes nothing, and receiving stops. As stopping is not sharp, what
 * still comes is held, as it came: on a TLS connection sealed, but for what was opened already.
 * Bytes reach the exchange in one order: opened ones that were left over, what the TLS stream
 * holds, held ones, new ones; then the end.
 */

static_assert((int)UPSTREAM_HELD_MAX >= 2 * LOOP_URING_BUFFERS * LOOP_URING_BUFFER_LEN &&
                  (int)UPSTREAM_HELD_MAX >= LOOP_EPOLL_RECV_LEN,
              "what comes before receiving has stopped can be held");

static struct upstream_conn *
conn_of(struct sock *sock)
{
    return (struct upstream_conn *)sock;
}

/* --- sending --- */

bool
upstream_can_send(const struct upstream_conn *conn)
{
    return conn->tls ? true : !conn->sock.send_pending;
}

ssize_t
upstream_send(struct upstream_conn *conn, struct str bytes)
{
    const struct iovec iov = {(void *)bytes.ptr, bytes.len};
    return conn->tls ? upstream_tls_send(conn, bytes) : sock_send(&conn->sock, &iov, 1);
}

ssize_t
upstream_send_now(struct upstream_conn *conn, struct str bytes)
{
    return conn->tls ? upstream_tls_send(conn, bytes) : sock_send_now(&conn->sock, bytes);
}

static ssize_t
tls_send_file(struct upstream_conn *conn, int fd, uint64_t off, uint64_t len)
{
    char *plain = upstream_scratch(&conn->pool->plain_out);
    ssize_t got;
    if (!plain)
        return -ENOMEM;
    do {
        got = pread(fd, plain, len < UPSTREAM_PLAIN_LEN ? len : UPSTREAM_PLAIN_LEN, (off_t)off);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got == 0 ? -ENODATA : -EIO;
    return upstream_tls_send(conn, str_make(plain, (size_t)got));
}

ssize_t
upstream_send_file(struct upstream_conn *conn, int fd, uint64_t off, uint64_t len)
{
    return conn->tls ? tls_send_file(conn, fd, off, len)
                     : sock_send_file(&conn->sock, STR(""), fd, off, len);
}

size_t
upstream_queued_len(const struct upstream_conn *conn)
{
    int len = 0;
    if (ioctl(conn->sock.fd, SIOCOUTQ, &len) != 0 || len < 0)
        return 0;
    return (size_t)len;
}

static void
conn_sent(struct sock *sock, ssize_t result)
{
    struct upstream_conn *conn = conn_of(sock);
    struct exchange *exchange = conn->exchange;
    if (conn->state == UPSTREAM_IDLE) { /* an answer to a key update */
        if (result >= 0) {
            upstream_tls_sent(conn, (size_t)result);
            result = upstream_tls_flush(conn);
        }
        if (result < 0 && result != SOCK_PENDING)
            upstream_close(conn, false);
        return;
    }
    exchange_enter(exchange);
    if (conn->state != UPSTREAM_BUSY) {
        upstream_dial_sent(conn, result);
    } else if (!conn->tls || result < 0) {
        exchange_sent(exchange, result);
    } else {
        upstream_tls_sent(conn, (size_t)result);
        ssize_t flushed = upstream_tls_flush(conn);
        if (flushed != SOCK_PENDING)
            exchange_sent(exchange, flushed);
        if (conn->state == UPSTREAM_BUSY && tls_stream_has_input(conn->tls))
            upstream_pump(conn); /* a read may have waited for room */
    }
    exchange_leave(exchange);
}

/* --- receiving --- */

static struct str
held(const struct upstream_conn *conn)
{
    return str_skip(buf_str(&conn->held), conn->held_off);
}

static struct str
left_over(const struct upstream_conn *conn)
{
    return str_skip(buf_str(&conn->plain), conn->plain_off);
}

static void
hold(struct upstream_conn *conn, struct str bytes)
{
    if (bytes.len == 0)
        return;
    buf_append(&conn->held, bytes);
    if (buf_overflowed(&conn->held)) {
        conn->sock_end = UPSTREAM_BROKEN;
        conn->sock_error = ENOBUFS;
    }
}

static void
drop_read(struct buf *buf, size_t *off)
{
    if (*off < buf->len)
        return;
    buf_deinit(buf);
    buf_clear(buf);
    *off = 0;
}

/* Whether something waits for the exchange. Behind the end of a TLS stream nothing does. */
static bool
has_more(const struct upstream_conn *conn)
{
    if (left_over(conn).len || conn->end != UPSTREAM_OPEN)
        return left_over(conn).len > 0;
    return held(conn).len || (conn->tls && tls_stream_has_input(conn->tls));
}

/* Whether nothing came behind the response. */
static bool
is_clean(struct upstream_conn *conn)
{
    if (held(conn).len || left_over(conn).len || conn->end != UPSTREAM_OPEN ||
        conn->sock_end != UPSTREAM_OPEN)
        return false;
    return !conn->tls || upstream_tls_is_quiet(conn);
}

/* After the exchange has been given what it wants. */
static void
settle(struct upstream_conn *conn)
{
    struct exchange *exchange = conn->exchange;
    if (conn->state != UPSTREAM_BUSY)
        return;
    if (!has_more(conn) && conn->end == UPSTREAM_OPEN) {
        conn->end = conn->sock_end;
        conn->error = conn->sock_error;
    }
    if (exchange->complete) {
        exchange_finish(exchange, is_clean(conn));
        return;
    }
    bool wants = exchange_wants_input(exchange), has_ended = conn->end != UPSTREAM_OPEN;
    if (!wants || has_ended)
        sock_recv_stop(&conn->sock);
    else if (!has_more(conn))
        sock_recv_start(&conn->sock);
    if (wants && has_ended && !has_more(conn))
        exchange_input_ended(exchange);
}

/* Gives the exchange received bytes. Returns how many are done with. */
static size_t
give(struct upstream_conn *conn, struct str bytes)
{
    if (!conn->tls)
        return exchange_input(conn->exchange, bytes);
    tls_stream_feed(conn->tls, bytes.ptr, bytes.len);
    upstream_tls_read(conn);
    return bytes.len;
}

static void
busy_received(struct upstream_conn *conn, struct str bytes)
{
    if (conn->end != UPSTREAM_OPEN || conn->sock_end != UPSTREAM_OPEN)
        return; /* nothing counts behind an end, or behind a hole */
    bool waits = has_more(conn) || !exchange_wants_input(conn->exchange);
    size_t used = waits ? 0 : give(conn, bytes);
    if (conn->state != UPSTREAM_BUSY)
        return;
    hold(conn, str_skip(bytes, used));
    settle(conn);
}

static void
pump_left_over(struct upstream_conn *conn)
{
    if (left_over(conn).len == 0)
        return;
    conn->plain_off += exchange_input(conn->exchange, left_over(conn));
    if (conn->state == UPSTREAM_BUSY)
        drop_read(&conn->plain, &conn->plain_off);
}

static void
pump_held(struct upstream_conn *conn)
{
    if (held(conn).len == 0)
        return;
    conn->held_off += give(conn, held(conn));
    if (conn->state == UPSTREAM_BUSY)
        drop_read(&conn->held, &conn->held_off);
}

void
upstream_pump(struct upstream_conn *conn)
{
    if (exchange_wants_input(conn->exchange))
        pump_left_over(conn);
    if (conn->state == UPSTREAM_BUSY && exchange_wants_input(conn->exchange) && conn->tls &&
        tls_stream_has_input(conn->tls))
        upstream_tls_read(conn);
    if (conn->state == UPSTREAM_BUSY && exchange_wants_input(conn->exchange) &&
        !(conn->tls && (tls_stream_has_input(conn->tls) || conn->end != UPSTREAM_OPEN)))
        pump_held(conn);
    settle(conn);
}

/* Nothing is expected of an idle connection but the protocol's own business. */
static void
idle_received(struct upstream_conn *conn, struct str bytes)
{
    if (conn->tls && bytes.len) {
        tls_stream_feed(conn->tls, bytes.ptr, bytes.len);
        if (upstream_tls_is_quiet(conn))
            return;
    }
    upstream_close(conn, false);
}

static void
input_ended(struct upstream_conn *conn, int error)
{
    if (conn->sock_end != UPSTREAM_OPEN)
        return;
    conn->sock_end = error ? UPSTREAM_BROKEN : conn->tls ? UPSTREAM_CUT : UPSTREAM_ENDED;
    conn->sock_error = error;
    settle(conn);
}

static void
conn_received(struct sock *sock, const char *data, ssize_t len)
{
    struct upstream_conn *conn = conn_of(sock);
    struct exchange *exchange = conn->exchange;
    if (conn->state == UPSTREAM_IDLE) {
        if (len <= 0)
            conn->end = UPSTREAM_CUT; /* of no interest */
        idle_received(conn, str_make(data, len > 0 ? (size_t)len : 0));
        return;
    }
    exchange_enter(exchange);
    if (conn->state != UPSTREAM_BUSY)
        upstream_dial_received(conn, data, len);
    else if (len > 0)
        busy_received(conn, str_make(data, (size_t)len));
    else
        input_ended(conn, (int)-len);
    exchange_leave(exchange);
}

static void
conn_closed(struct sock *sock)
{
    struct upstream_conn *conn = conn_of(sock);
    struct exchange *exchange = conn->exchange;
    conn->sock_open = false;
    if (conn->state == UPSTREAM_CLOSED) {
        upstream_conn_free(conn);
        return;
    }
    exchange_enter(exchange);
    upstream_dial_closed(conn);
    exchange_leave(exchange);
}

const struct sock_ops upstream_sock_ops = {conn_received, conn_sent, conn_closed};
