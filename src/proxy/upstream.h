/* upstream: connections to other servers, of one loop: an idle pool, and how a fresh one is made.
 *
 * Only exchanges (exchange.h) talk over connections. Names come from the resolver; addresses are
 * tried one after the other, each that the guard lets pass. Where the environment names a proxy for
 * the origin, the connection goes there, through a CONNECT tunnel for https. An idle connection is
 * for its origin (scheme, host and port of the URL) alone, also on the way through a proxy.
 *
 * Thread rule: the loop's. Bounds: UPSTREAM_* in base/limits.h. Design: docs/design/upstream.md.
 */
#ifndef TARN_PROXY_UPSTREAM_H
#define TARN_PROXY_UPSTREAM_H

#include "base/error.h"
#include "http/url.h"
#include "io/loop.h"

struct resolver;
struct tls_client;
struct proxy_env;
struct sockaddr;

struct upstream_config {
    struct resolver *resolver;       /* borrowed */
    struct tls_client *tls;          /* borrowed; NULL: https fails */
    const struct proxy_env *proxies; /* borrowed; NULL: none */
    uint64_t connect_timeout_ns;     /* name, address, tunnel and handshake together */
    /* To the response head, from the request, or what of it the upstream took last, or a 1xx. */
    uint64_t first_byte_timeout_ns;
    uint64_t between_bytes_timeout_ns; /* of the response body */
    uint64_t idle_timeout_ns;          /* an idle connection is kept that long */
    uint32_t head_max;                 /* bytes of a response head */
    uint16_t fields_max;
    /* Whether an address may be connected to; NULL: all. Asked for each address of an origin, also
     * when it is written as a number; not for a proxy's own. What lies behind a proxy is resolved
     * there, so then only for addresses that are written in the URL. */
    bool (*allows)(void *arg, const struct sockaddr *address);
    void *allows_arg;
};

struct upstream_pool;

/* NULL: no memory. The configuration is copied. */
struct upstream_pool *upstream_pool_new(struct loop *loop, const struct upstream_config *config);
/* Closes idle connections; those that are in use are closed with their exchange. The pool may be
 * freed when no exchange is left and the loop has run its last turn. */
void upstream_pool_close(struct upstream_pool *pool);
void upstream_pool_free(struct upstream_pool *pool);

/* Idle connections now. */
unsigned upstream_pool_idle_count(const struct upstream_pool *pool);

#endif
