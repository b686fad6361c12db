/* exchange: one request to an upstream and its response (RFC 9112), streaming both ways.
 *
 * The owner embeds or allocates a struct exchange_request, starts an exchange, and gets the
 * response by callbacks on the pool's loop: `head` once (after any 1xx), `data` as bytes come,
 * `over` once, last. No callback runs before exchange_start returns. Nothing is collected: a body
 * passes through in the receive buffer; a paused exchange holds at most what was already on its
 * way.
 *
 * Request heads are encoded from the parts given here, never copied from another peer's bytes.
 * Thread rule: the loop's. Bounds: upstream_config, EXCHANGE_* in base/limits.h.
 */
#ifndef TARN_PROXY_EXCHANGE_H
#define TARN_PROXY_EXCHANGE_H

#include "http/h1_response.h"
#include "http/url.h"
#include "proxy/upstream.h"
#include "req/body.h"

struct exchange;

/* How an exchange ended: enum name, name in logs and metrics, status for a client whose answer has
 * not begun. */
#define EXCHANGE_RESULT_TABLE(X)                                                       \
    X(DONE, "done", 200)                                                               \
    X(NAME, "name", 502)           /* the host has no address */                       \
    X(FORBIDDEN, "forbidden", 403) /* no address that may be connected to */           \
    X(CONNECT, "connect", 502)                                                         \
    X(TUNNEL, "tunnel", 502) /* the proxy on the way refused */                        \
    X(TLS, "tls", 502)                                                                 \
    X(TIMEOUT, "timeout", 504) /* before the response head was there */                \
    X(CLOSED, "closed", 502)   /* the same, by the upstream's end */                   \
    X(MALFORMED, "malformed", 502)                                                     \
    X(BROKEN, "broken", 502)   /* the body ended early, or stood still for too long */ \
    X(REQUEST, "request", 502) /* the request's own body failed */                     \
    X(NO_MEMORY, "no_memory", 502)

enum exchange_result {
#define X(name, text, status) EXCHANGE_##name,
    EXCHANGE_RESULT_TABLE(X)
#undef X
        EXCHANGE_RESULT_COUNT
};

const char *exchange_result_name(enum exchange_result result);
int exchange_result_status(enum exchange_result result);

struct exchange_field {
    struct str name, value;
};

struct exchange_ops {
    /* The response head; borrowed until return. May cancel. */
    void (*head)(void *arg, const struct http_response_head *head);
    /* A 1xx response other than 101; NULL: not of interest. Borrowed until return. */
    void (*interim)(void *arg, const struct http_response_head *head);
    /* Bytes of the response body, at least one; borrowed until return. May pause or cancel. */
    void (*data)(void *arg, struct str bytes);
    /* It is over, and the exchange gone; so is what was borrowed. `reason`: one line without a
     * newline, for a log, that names the host; empty when DONE. Borrowed until return. */
    void (*over)(void *arg, enum exchange_result result, const char *reason);
};

struct exchange_request {
    struct str method;                   /* a token */
    struct url url;                      /* where to, and what for */
    struct str host;                     /* value of Host; empty: the URL's authority */
    const struct exchange_field *fields; /* neither Host nor framing */
    unsigned field_count;
    struct body *body; /* pulled; borrowed until `over`; NULL: none */
    uint64_t body_len; /* UINT64_MAX: unknown, sent in chunks */
};

/* Starts. Everything of the request but its body is copied; `ops` is borrowed as long as the body
 * is. NULL: no memory, or a head that cannot be sent: a control character in a field, a field that
 * is not the owner's to send, more than EXCHANGE_HEAD_MAX bytes. */
struct exchange *exchange_start(struct upstream_pool *pool, const struct exchange_request *request,
                                const struct exchange_ops *ops, void *arg);

/* The request body that was pending has more. While it is pending no deadline runs: its owner has
 * one. */
void exchange_wake(struct exchange *exchange);
/* No more `data` until resumed, and no deadline; `head`, and `over` behind the last `data`, may
 * still come. */
void exchange_pause(struct exchange *exchange);
void exchange_resume(struct exchange *exchange);
/* Ends it without a call of `over`; also from within callbacks and the body's pull, but not from
 * `over`. The exchange is gone when the call returns. */
void exchange_cancel(struct exchange *exchange);

#endif
