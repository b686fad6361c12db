#include "base/must.h"
#include "proxy/exchange_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

/* The TLS of a connection. Wire bytes to be sent lie in a buffer that the connection gets when
 * there are some and gives back when they have gone; it stays the connection's until the loop has
 * let go, so the kernel may send from it. What an exchange sends counts as taken once it is sealed:
 * the buffer bounds how far that is ahead of the socket. */

/* --- buffers --- */

char *
upstream_scratch(char **bytes)
{
    if (!*bytes)
        *bytes = malloc(UPSTREAM_PLAIN_LEN);
    return *bytes;
}

static bool
wire_prepare(struct upstream_conn *conn)
{
    struct upstream_pool *pool = conn->pool;
    if (conn->wire)
        return true;
    if (pool->spare_wires) {
        conn->wire = pool->spare_wires;
        pool->spare_wires = conn->wire->next;
        pool->spare_wire_count--;
    } else {
        conn->wire = malloc(sizeof *conn->wire + UPSTREAM_WIRE_LEN);
        if (!conn->wire)
            return false;
        conn->wire->cap = UPSTREAM_WIRE_LEN;
    }
    conn->wire->off = conn->wire->len = 0;
    tls_stream_set_output(conn->tls, conn->wire);
    return true;
}

static void
wire_release(struct upstream_conn *conn)
{
    struct upstream_pool *pool = conn->pool;
    struct tls_output *wire = conn->wire;
    if (!wire)
        return;
    conn->wire = NULL;
    tls_stream_set_output(conn->tls, NULL);
    if (pool->spare_wire_count == UPSTREAM_WIRES_KEPT) {
        free(wire);
        return;
    }
    wire->next = pool->spare_wires;
    pool->spare_wires = wire;
    pool->spare_wire_count++;
}

void
upstream_tls_free(struct upstream_conn *conn)
{
    if (!conn->tls)
        return;
    wire_release(conn);
    tls_stream_free(conn->tls);
    conn->tls = NULL;
}

void
upstream_tls_pool_free(struct upstream_pool *pool)
{
    while (pool->spare_wires) {
        struct tls_output *wire = pool->spare_wires;
        pool->spare_wires = wire->next;
        free(wire);
    }
    free(pool->plain_in);
    free(pool->plain_out);
}

/* --- sending --- */

ssize_t
upstream_tls_flush(struct upstream_conn *conn)
{
    struct tls_output *wire = conn->wire;
    if (!wire)
        return 0;
    if (conn->sock.send_pending)
        return SOCK_PENDING;
    while (wire->off < wire->len) {
        const struct iovec iov = {wire->data + wire->off, wire->len - wire->off};
        ssize_t sent = sock_send(&conn->sock, &iov, 1);
        if (sent < 0)
            return sent;
        wire->off += (uint32_t)sent;
    }
    wire_release(conn);
    return 0;
}

void
upstream_tls_sent(struct upstream_conn *conn, size_t len)
{
    if (conn->wire)
        conn->wire->off += (uint32_t)len;
}

ssize_t
upstream_tls_send(struct upstream_conn *conn, struct str bytes)
{
    const struct iovec iov = {(void *)bytes.ptr, bytes.len};
    for (;;) {
        if (!wire_prepare(conn))
            return -ENOMEM;
        ssize_t sealed = tls_stream_seal(conn->tls, &iov, 1, TLS_RECORD_MAX);
        if (sealed < 0)
            return -EPROTO;
        ssize_t flushed = upstream_tls_flush(conn);
        if (flushed < 0 && flushed != SOCK_PENDING)
            return flushed;
        if (sealed > 0)
            return sealed;
        if (flushed == SOCK_PENDING)
            return SOCK_PENDING;
    }
}

void
upstream_tls_last_words(struct upstream_conn *conn, bool ends)
{
    if (conn->sock.send_pending || conn->end != UPSTREAM_OPEN || !wire_prepare(conn))
        return;
    if (ends)
        tls_stream_end(conn->tls);
    struct tls_output *wire = conn->wire;
    sock_send_last(&conn->sock, str_make(wire->data + wire->off, wire->len - wire->off));
    wire->off = wire->len;
}

/* --- the handshake --- */

enum tls_result
upstream_tls_handshake(struct upstream_conn *conn)
{
    for (;;) {
        if (!wire_prepare(conn))
            return TLS_FAILED;
        enum tls_result result = tls_stream_handshake(conn->tls);
        /* What ends the handshake goes out with the request. */
        if (result == TLS_DONE || result == TLS_FAILED)
            return result;
        ssize_t flushed = upstream_tls_flush(conn);
        if (result == TLS_WANTS_ROOM && flushed == 0)
            continue;
        return result == TLS_ENDED ? TLS_FAILED : TLS_WANTS_INPUT;
    }
}

/* --- reading --- */

/* Keeps opened bytes that the exchange does not want now. */
static bool
keep_plain(struct upstream_conn *conn, struct str bytes)
{
    buf_append(&conn->plain, bytes);
    return !buf_overflowed(&conn->plain);
}

static void
end_reading(struct upstream_conn *conn, enum upstream_end end)
{
    conn->end = (uint8_t)end;
    conn->error = 0;
}

/* Opens the next record. Its length, or 0: there is none now, or the stream has ended. */
static size_t
open_record(struct upstream_conn *conn, char *plain)
{
    size_t len;
    if (conn->end != UPSTREAM_OPEN)
        return 0;
    for (;;) {
        /* An output, because a read may have to answer, and one that fails leaves an alert. */
        if (!wire_prepare(conn)) {
            end_reading(conn, UPSTREAM_BROKEN);
            return 0;
        }
        switch (tls_stream_read(conn->tls, plain, UPSTREAM_PLAIN_LEN, &len)) {
        case TLS_DONE:
            return len;
        case TLS_ENDED:
            end_reading(conn, UPSTREAM_ENDED);
            return 0;
        case TLS_FAILED:
            upstream_tls_last_words(conn, false);
            end_reading(conn, UPSTREAM_BROKEN);
            return 0;
        case TLS_WANTS_ROOM:
            if (upstream_tls_flush(conn) == 0)
                continue;
            return 0;
        case TLS_WANTS_INPUT:
            return 0;
        }
    }
}

/* Gives the exchange what is opened. */
static void
read_while_wanted(struct upstream_conn *conn, char *plain)
{
    struct exchange *exchange = conn->exchange;
    size_t len;
    while (exchange_wants_input(exchange) && (len = open_record(conn, plain)) > 0) {
        size_t used = exchange_input(exchange, str_make(plain, len));
        if (conn->state != UPSTREAM_BUSY)
            return;
        if (used < len && !keep_plain(conn, str_make(plain + used, len - used)))
            end_reading(conn, UPSTREAM_BROKEN);
    }
}

bool
upstream_tls_is_quiet(struct upstream_conn *conn)
{
    char *plain = upstream_scratch(&conn->pool->plain_in);
    if (!plain || open_record(conn, plain) > 0 || conn->end != UPSTREAM_OPEN)
        return false;
    ssize_t flushed = upstream_tls_flush(conn);
    return (flushed == 0 || flushed == SOCK_PENDING) && tls_stream_hold_input(conn->tls);
}

void
upstream_tls_read(struct upstream_conn *conn)
{
    char *plain = upstream_scratch(&conn->pool->plain_in);
    if (!plain)
        end_reading(conn, UPSTREAM_BROKEN);
    else
        read_while_wanted(conn, plain);
    if (conn->state != UPSTREAM_BUSY)
        return;
    (void)upstream_tls_flush(conn); /* when it has failed, receiving tells */
    if (!tls_stream_hold_input(conn->tls))
        end_reading(conn, UPSTREAM_BROKEN);
}
