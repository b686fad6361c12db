#include "base/must.h"
#include "io/resolver.h"
#include "proxy/exchange_internal.h"
#include "tls/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* From a name to a connection that can be talked over: name, addresses one after the other, the
 * tunnel, TLS. What is needed for that alone is in a struct upstream_dial, which goes when the
 * connection is there. One timer: it fires at the deadline for all of it, and before that for an
 * address whose share of the time is over.
 *
 * A failure ends the exchange, and with it the connection: whoever calls upstream_dial_fail returns
 * at once.
 */

enum { ADDRESS_TEXT_LEN = INET6_ADDRSTRLEN + sizeof "[]:65535" };

struct upstream_dial {
    struct resolver_lookup *lookup; /* under way, or NULL */
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    unsigned count, next;
    uint64_t deadline_ns;
    bool connecting; /* the address before `next`; else its socket is being closed */
    /* Why the last address failed. */
    enum exchange_result result;
    char error[ERROR_TEXT_MAX];
};

static void connect_next(struct upstream_conn *conn);

void
upstream_dial_free(struct upstream_conn *conn)
{
    struct upstream_dial *dial = conn->dial;
    if (!dial)
        return;
    conn->dial = NULL;
    upstream_tunnel_free(conn);
    if (dial->lookup)
        resolver_cancel(dial->lookup);
    free(dial);
}

void
upstream_dial_fail(struct upstream_conn *conn, enum exchange_result result, const char *format, ...)
{
    char reason[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    exchange_not_connected(conn->exchange, result, reason);
}

/* --- texts --- */

static const char *
address_text(const struct sockaddr *address, char out[static ADDRESS_TEXT_LEN])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *inet6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &inet6->sin6_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_LEN, "[%s]:%u", host, ntohs(inet6->sin6_port));
    } else {
        const struct sockaddr_in *inet = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &inet->sin_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_LEN, "%s:%u", host, ntohs(inet->sin_port));
    }
    return out;
}

/* The address being tried, as messages end with it: "(192.0.2.1:443)", "(proxy 192.0.2.1:3128)". */
static const char *
place_text(const struct upstream_conn *conn, char out[static ADDRESS_TEXT_LEN + 16])
{
    const struct upstream_dial *dial = conn->dial;
    char address[ADDRESS_TEXT_LEN];
    const struct resolver_address *tried = &dial->addresses[dial->next - 1];
    snprintf(out, ADDRESS_TEXT_LEN + 16, "(%s%s)", conn->origin->proxy ? "proxy " : "",
             address_text((const struct sockaddr *)&tried->storage, address));
    return out;
}

/* --- TLS --- */

static void
set_timer(struct upstream_conn *conn, uint64_t deadline_ns)
{
    timer_set(loop_timers(conn->pool->loop), &conn->timer, deadline_ns);
}

/* The connection is there. */
static void
talk(struct upstream_conn *conn)
{
    timer_clear(loop_timers(conn->pool->loop), &conn->timer);
    upstream_dial_free(conn);
    upstream_set_state(conn, UPSTREAM_BUSY);
    sock_recv_start(&conn->sock);
    exchange_connected(conn->exchange);
}

static void
run_handshake(struct upstream_conn *conn)
{
    switch (upstream_tls_handshake(conn)) {
    case TLS_DONE:
        talk(conn);
        break;
    case TLS_FAILED:
        upstream_tls_last_words(conn, false);
        upstream_dial_fail(conn, EXCHANGE_TLS, "%s", tls_stream_failure_text(conn->tls));
        break;
    default:
        break;
    }
}

static void
start_handshake(struct upstream_conn *conn)
{
    const struct upstream_origin *origin = conn->origin;
    conn->tls = tls_stream_new_client(conn->pool->config.tls, origin->host, origin->port);
    if (!conn->tls) {
        upstream_dial_fail(conn, EXCHANGE_NO_MEMORY, "no memory for a TLS connection");
        return;
    }
    upstream_set_state(conn, UPSTREAM_HANDSHAKE);
    sock_recv_start(&conn->sock);
    run_handshake(conn);
}

void
upstream_dial_secure(struct upstream_conn *conn)
{
    if (conn->origin->scheme == URL_HTTPS)
        start_handshake(conn);
    else
        talk(conn);
}

/* --- addresses --- */

static void
address_failed(struct upstream_conn *conn, enum exchange_result result, const char *why)
{
    struct upstream_dial *dial = conn->dial;
    char place[ADDRESS_TEXT_LEN + 16];
    dial->result = result;
    snprintf(dial->error, sizeof dial->error, "%s %s", why, place_text(conn, place));
    dial->connecting = false;
    if (conn->sock_open)
        sock_close(&conn->sock); /* the next one is tried when it is closed */
}

static void
connected(struct upstream_conn *conn)
{
    conn->dial->connecting = false;
    set_timer(conn, conn->dial->deadline_ns);
    if (conn->origin->proxy && conn->origin->scheme == URL_HTTPS)
        upstream_tunnel_start(conn);
    else
        upstream_dial_secure(conn);
}

static void
connect_result(struct upstream_conn *conn, ssize_t result)
{
    char text[UPSTREAM_ERRNO_TEXT_LEN];
    if (result == 0)
        connected(conn);
    else if (result != SOCK_PENDING)
        address_failed(conn, EXCHANGE_CONNECT, upstream_errno_text((int)-result, text));
}

/* How long the address before `next` may take: an equal share of what is left, but not so little
 * that a far host, or a lost packet, must miss it. */
static uint64_t
share_ns(const struct upstream_dial *dial, uint64_t left_ns)
{
    uint64_t least_ns = UPSTREAM_TRY_MS * UINT64_C(1000000);
    uint64_t equal_ns = left_ns / (dial->count - dial->next + 1);
    if (dial->next == dial->count)
        return left_ns;
    if (least_ns > left_ns / 2)
        least_ns = left_ns / 2;
    return equal_ns > least_ns ? equal_ns : least_ns;
}

static void
connect_to(struct upstream_conn *conn, const struct resolver_address *address, int fd)
{
    struct upstream_dial *dial = conn->dial;
    uint64_t now_ns = loop_now_ns(conn->pool->loop);
    uint64_t left_ns = dial->deadline_ns > now_ns ? dial->deadline_ns - now_ns : 0;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sock_init(&conn->sock, conn->pool->loop, fd, &upstream_sock_ops);
    conn->sock_open = dial->connecting = true;
    set_timer(conn, now_ns + share_ns(dial, left_ns));
    connect_result(
        conn, sock_connect(&conn->sock, (const struct sockaddr *)&address->storage, address->len));
}

static void
connect_next(struct upstream_conn *conn)
{
    struct upstream_dial *dial = conn->dial;
    char text[UPSTREAM_ERRNO_TEXT_LEN];
    while (dial->next < dial->count) {
        const struct resolver_address *address = &dial->addresses[dial->next++];
        int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0) {
            connect_to(conn, address, fd);
            return;
        }
        address_failed(conn, EXCHANGE_CONNECT, upstream_errno_text(errno, text));
    }
    upstream_dial_fail(conn, dial->result, "%s", dial->error);
}

/* --- names --- */

static bool
is_allowed(const struct upstream_pool *pool, const struct sockaddr *address)
{
    return !pool->config.allows || pool->config.allows(pool->config.allows_arg, address);
}

static void
forbid(struct upstream_conn *conn, const struct sockaddr *address)
{
    char text[ADDRESS_TEXT_LEN];
    upstream_dial_fail(conn, EXCHANGE_FORBIDDEN, "address %s is not allowed",
                       address_text(address, text));
}

/* The proxy resolves names, but an address that is written in the URL can be looked at. True: the
 * exchange has ended. */
static bool
forbid_behind_proxy(struct upstream_conn *conn)
{
    const struct upstream_origin *origin = conn->origin;
    char host[URL_HOST_MAX + 1];
    struct dns_answer numeric;
    memcpy(host, origin->host.ptr, origin->host.len);
    host[origin->host.len] = '\0';
    if (!dns_read_numeric(host, &numeric))
        return false;
    for (unsigned i = 0; i < numeric.count; i++) {
        union dns_address *address = &numeric.addresses[i];
        if (is_allowed(conn->pool, &address->base))
            continue;
        if (address->base.sa_family == AF_INET6)
            address->inet6.sin6_port = htons(origin->port);
        else
            address->inet.sin_port = htons(origin->port);
        forbid(conn, &address->base);
        return true;
    }
    return false;
}

static void
not_resolved(struct upstream_conn *conn, struct str failure)
{
    const struct upstream_origin *origin = conn->origin;
    if (origin->proxy) {
        upstream_dial_fail(conn, EXCHANGE_NAME, "proxy %.*s", STR_ARG(failure));
        return;
    }
    /* The name stands before all reasons. */
    if (str_starts_with(failure, origin->host) &&
        str_starts_with(str_skip(failure, origin->host.len), STR(": ")))
        failure = str_skip(failure, origin->host.len + 2);
    upstream_dial_fail(conn, EXCHANGE_NAME, "%.*s", STR_ARG(failure));
}

static void
resolved(struct upstream_conn *conn, const struct resolver_answer *answer)
{
    struct upstream_dial *dial = conn->dial;
    dial->lookup = NULL;
    if (answer->failure) {
        not_resolved(conn, str_from_cstr(answer->failure));
        return;
    }
    for (unsigned i = 0; i < answer->count; i++) {
        const struct resolver_address *address = &answer->addresses[i];
        if (conn->origin->proxy ||
            is_allowed(conn->pool, (const struct sockaddr *)&address->storage))
            dial->addresses[dial->count++] = *address;
    }
    if (dial->count == 0) {
        forbid(conn, (const struct sockaddr *)&answer->addresses[0].storage);
        return;
    }
    upstream_set_state(conn, UPSTREAM_CONNECT);
    connect_next(conn);
}

static void
take_answer(void *arg, const struct resolver_answer *answer)
{
    struct upstream_conn *conn = arg;
    struct exchange *exchange = conn->exchange;
    exchange_enter(exchange);
    resolved(conn, answer);
    exchange_leave(exchange);
}

void
upstream_dial(struct upstream_conn *conn)
{
    struct upstream_pool *pool = conn->pool;
    const struct upstream_origin *origin = conn->origin;
    struct upstream_dial *dial = conn->dial = calloc(1, sizeof *dial);
    if (!dial) {
        upstream_dial_fail(conn, EXCHANGE_NO_MEMORY, "no memory for a connection");
        return;
    }
    if (origin->scheme == URL_HTTPS && !pool->config.tls) {
        upstream_dial_fail(conn, EXCHANGE_TLS, "https is not set up");
        return;
    }
    if (origin->proxy && forbid_behind_proxy(conn))
        return;
    struct str host = origin->proxy ? origin->proxy->host : origin->host;
    uint16_t port = origin->proxy ? origin->proxy->port : origin->port;
    dial->deadline_ns = loop_now_ns(pool->loop) + pool->config.connect_timeout_ns;
    set_timer(conn, dial->deadline_ns);
    dial->lookup =
        resolver_lookup(pool->config.resolver, host, port, pool->loop, take_answer, conn);
    if (!dial->lookup)
        upstream_dial_fail(conn, EXCHANGE_NAME,
                           "no name that can be looked up, or too many wait for that");
}

/* --- events --- */

/* The peer has ended its side, or the socket has failed. */
static void
dial_ended(struct upstream_conn *conn, int code)
{
    char text[UPSTREAM_ERRNO_TEXT_LEN];
    const char *why = code ? upstream_errno_text(code, text) : "connection closed";
    if (conn->state == UPSTREAM_TUNNEL)
        upstream_tunnel_ended(conn, why);
    else
        upstream_dial_fail(conn, EXCHANGE_TLS, "%s during the TLS handshake", why);
}

void
upstream_dial_received(struct upstream_conn *conn, const char *data, ssize_t len)
{
    if (len <= 0) {
        dial_ended(conn, (int)-len);
    } else if (conn->state == UPSTREAM_TUNNEL) {
        upstream_tunnel_received(conn, str_make(data, (size_t)len));
    } else {
        tls_stream_feed(conn->tls, data, (size_t)len);
        run_handshake(conn);
        if (conn->state == UPSTREAM_BUSY)
            upstream_pump(conn);
        else if (conn->state == UPSTREAM_HANDSHAKE && !tls_stream_hold_input(conn->tls))
            upstream_dial_fail(conn, EXCHANGE_NO_MEMORY, "no memory for a TLS handshake");
    }
}

void
upstream_dial_sent(struct upstream_conn *conn, ssize_t result)
{
    if (conn->state == UPSTREAM_CONNECT) {
        connect_result(conn, result);
    } else if (result < 0) {
        return; /* receiving tells */
    } else if (conn->state == UPSTREAM_TUNNEL) {
        upstream_tunnel_send(conn);
    } else {
        upstream_tls_sent(conn, (size_t)result);
        run_handshake(conn);
    }
}

void
upstream_dial_closed(struct upstream_conn *conn)
{
    connect_next(conn);
}

void
upstream_dial_timeout(struct upstream_conn *conn)
{
    const struct upstream_dial *dial = conn->dial;
    uint64_t timeout_ns = conn->pool->config.connect_timeout_ns;
    char place[ADDRESS_TEXT_LEN + 16], time[32];
    exchange_duration_text(timeout_ns, time);
    if (loop_now_ns(conn->pool->loop) < dial->deadline_ns) {
        if (dial->connecting)
            address_failed(conn, EXCHANGE_TIMEOUT, "no answer");
        set_timer(conn, dial->deadline_ns);
        return;
    }
    if (conn->state == UPSTREAM_RESOLVE)
        upstream_dial_fail(conn, EXCHANGE_TIMEOUT, "no address within %s", time);
    else
        upstream_dial_fail(conn, EXCHANGE_TIMEOUT, "no %s within %s %s",
                           conn->state == UPSTREAM_CONNECT  ? "connection"
                           : conn->state == UPSTREAM_TUNNEL ? "tunnel"
                                                            : "TLS handshake",
                           time, place_text(conn, place));
}
