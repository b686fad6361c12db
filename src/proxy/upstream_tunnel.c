#include "base/must.h"
#include "http/h1_request_out.h"
#include "proxy/exchange_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A tunnel through a proxy (RFC 9110 section 9.3.6): CONNECT goes out, and what follows a 2xx is
 * the origin's. Any other answer ends the exchange. */

struct upstream_tunnel {
    struct buf text; /* is sent, up to text_off already */
    size_t text_off;
    struct buf answer;
    struct h1_response_decoder decoder;
    struct http_response_head head;
    struct http_field fields[UPSTREAM_TUNNEL_FIELDS_MAX];
};

void
upstream_tunnel_free(struct upstream_conn *conn)
{
    if (!conn->tunnel)
        return;
    buf_deinit(&conn->tunnel->text);
    buf_deinit(&conn->tunnel->answer);
    free(conn->tunnel);
    conn->tunnel = NULL;
}

__attribute__((format(printf, 2, 3))) static void
tunnel_fail(struct upstream_conn *conn, const char *format, ...)
{
    const struct url *proxy = conn->origin->proxy;
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    upstream_dial_fail(conn, EXCHANGE_TUNNEL, "proxy %.*s:%u %s", STR_ARG(proxy->host), proxy->port,
                       what);
}

void
upstream_tunnel_ended(struct upstream_conn *conn, const char *why)
{
    tunnel_fail(conn, "gave no tunnel: %s", why);
}

/* --- the request --- */

static bool
encode(const struct upstream_origin *origin, struct buf *text)
{
    struct h1_request_out out;
    char target[URL_HOST_MAX + sizeof "[]:65535"];
    int len = snprintf(target, sizeof target, "%.*s%s", STR_ARG(origin->authority),
                       origin->port == 443 ? ":443" : "");
    must(len > 0 && (size_t)len < sizeof target);
    struct str authority = str_make(target, (size_t)len);
    h1_request_out_begin(&out, text, STR("CONNECT"), authority, authority);
    if (origin->proxy_authorization.len)
        h1_request_out_field(&out, STR("Proxy-Authorization"), origin->proxy_authorization);
    return h1_request_out_end(&out, HTTP_BODY_NONE, 0) == H1_OUT_OK;
}

void
upstream_tunnel_send(struct upstream_conn *conn)
{
    struct upstream_tunnel *tunnel = conn->tunnel;
    while (tunnel->text_off < tunnel->text.len) {
        struct str rest = str_skip(buf_str(&tunnel->text), tunnel->text_off);
        ssize_t sent = sock_send_now(&conn->sock, rest);
        if (sent < 0) /* when it has failed, receiving tells */
            return;
        tunnel->text_off += (size_t)sent;
    }
}

static void
expect_answer(struct upstream_tunnel *tunnel)
{
    h1_response_decoder_init(&tunnel->decoder, &tunnel->head, HTTP_METHOD_CONNECT,
                             UPSTREAM_TUNNEL_HEAD_MAX);
}

void
upstream_tunnel_start(struct upstream_conn *conn)
{
    struct upstream_tunnel *tunnel = conn->tunnel = calloc(1, sizeof *tunnel);
    if (tunnel) {
        buf_init(&tunnel->text, EXCHANGE_HEAD_MAX);
        buf_init(&tunnel->answer, UPSTREAM_TUNNEL_HEAD_MAX + UPSTREAM_HELD_MAX);
    }
    if (!tunnel || !encode(conn->origin, &tunnel->text)) {
        upstream_dial_fail(conn, EXCHANGE_NO_MEMORY, "no memory for a tunnel");
        return;
    }
    http_response_head_init(&tunnel->head, tunnel->fields, UPSTREAM_TUNNEL_FIELDS_MAX);
    expect_answer(tunnel);
    upstream_set_state(conn, UPSTREAM_TUNNEL);
    sock_recv_start(&conn->sock);
    upstream_tunnel_send(conn);
}

/* --- the answer --- */

/* A head is there. False: it was an interim one, and the next one is awaited. */
static bool
answered(struct upstream_conn *conn)
{
    struct upstream_tunnel *tunnel = conn->tunnel;
    unsigned status = tunnel->head.status;
    if (status < 200 && status != 101) {
        buf_consume(&tunnel->answer, tunnel->head.len);
        expect_answer(tunnel);
        return false;
    }
    if (status < 200 || status > 299)
        tunnel_fail(conn, "refused a tunnel: status %u", status);
    else if (tunnel->answer.len > tunnel->head.len) /* TLS servers wait for the client */
        tunnel_fail(conn, "sent something of its own into a tunnel");
    else
        upstream_dial_secure(conn);
    return true;
}

void
upstream_tunnel_received(struct upstream_conn *conn, struct str bytes)
{
    struct upstream_tunnel *tunnel = conn->tunnel;
    buf_append(&tunnel->answer, bytes);
    if (buf_overflowed(&tunnel->answer)) {
        tunnel_fail(conn, "gave an answer that is too long");
        return;
    }
    while (tunnel->answer.len) {
        switch (h1_response_decode(&tunnel->decoder, tunnel->answer.ptr, tunnel->answer.len)) {
        case H1_MORE:
            return;
        case H1_ERROR:
            tunnel_fail(conn, "gave a malformed answer: %.*s",
                        STR_ARG(h1_error_text(tunnel->decoder.error)));
            return;
        case H1_DONE:
            if (answered(conn))
                return;
        }
    }
}
