/* req: one request and its response, whatever the protocol.
 *
 * A session (conn/) decodes a head into req->head, calls req_run, writes the response it finds in
 * req->response, pulls req->body, and calls req_end. The pipeline in between is host check, health
 * endpoints, then an action that fills in the response, at once or later.
 *
 * Thread rule: the worker that owns the connection. Memory: a request lives in a pool of its
 * worker; its arena is bounded by REQ_ARENA_MAX and is empty after req_end. The response borrows
 * from the snapshot (pinned by the request until req_end), from the arena, and from static memory.
 */
#ifndef TARN_REQ_REQ_H
#define TARN_REQ_REQ_H

#include "base/arena.h"
#include "base/buf.h"
#include "http/date.h"
#include "http/head.h"
#include "http/target.h"
#include "req/body.h"

struct site;
struct site_route;
struct tls_context;
struct tls_stream;

/* A snapshot as one worker sees it: counted without atomics, given back when the worker has moved
 * on and its last request with it has ended. */
struct site_pin {
    const struct site *site;
    struct tls_context *tls; /* NULL: no TLS listener */
    void *filter;            /* what the filter knows the snapshot by; NULL: it has nothing to do */
    unsigned use_count;
    bool retired; /* the worker has a newer one */
    void (*unused)(struct site_pin *pin);
};

/* What this process answers on the health endpoints. Written by the main thread, read by all: one
 * atomic word. */
enum health_state { HEALTH_READY, HEALTH_DRAINING };

/* Numbers of one worker. Written by it alone with relaxed stores, read by whoever renders /metrics.
 */
struct req_counters {
    uint64_t status_class[6]; /* [2]: 2xx ... */
    uint64_t requests;
};

struct req;

/* An action of a layer that req/ does not know, plugged in by src/server/. */
struct req_action {
    /* Fills in the response, or makes the request wait (req_wait). False: not for this action. */
    bool (*answer)(struct req *req, void *arg);
    void *arg;
};

/* What stands before and behind every action: request scripts, plugged in by src/server/. A request
 * meets it when its pin has a filter. */
enum req_step {
    REQ_ACT,       /* to the action; a response that is there is dropped */
    REQ_RESPONDED, /* there is a response, which the filter is to see */
    REQ_OUT,       /* it goes out as it is */
    REQ_WAITS,     /* req_resume will be called; or body's close, when the request ends before */
};
struct req_filter_ops {
    /* Before the action: ACT, RESPONDED or WAITS. May change head, target and path. */
    enum req_step (*request)(struct req *req, void *arg);
    /* There is a response, whatever made it: any step. Only for a request with a filter_state. */
    enum req_step (*response)(struct req *req, void *arg);
    /* The request ends: gives filter_state back. */
    void (*end)(struct req *req, void *arg);
    /* What belongs into a place of a page (site/template.h), good until the filter is called again.
     * False: nothing. Only for a request with a filter_state. NULL: pages go out as they are. */
    bool (*lookup)(struct req *req, struct str key, struct str *value);
};

/* How a session treats the bytes of a request body. */
enum req_input_state {
    REQ_INPUT_UNWANTED, /* throws them away */
    REQ_INPUT_HELD,     /* brings what comes and cannot be kept back: it may be wanted */
    REQ_INPUT_WANTED,   /* brings all */
};

/* A request body that is read whole, for who asks for it with req_want_input. */
struct req_input {
    struct buf bytes;
    uint64_t max;                  /* more is too large, and dropped */
    uint8_t state;                 /* enum req_input_state */
    bool ended;                    /* all is in `bytes`, or: */
    bool too_large;                /* ended early */
    void (*over)(struct req *req); /* once, when it has ended; not from req_want_input */
};

/* What all requests of one worker share. Borrowed by every request; outlives them. */
struct req_env {
    struct site_pin *pin; /* the current snapshot */
    /* Counts the snapshots that were put in place; one word for all workers, so that all change
     * over at the same moment. When it has moved on, `refresh` makes `pin` the new one. */
    const uint64_t *generation;
    uint64_t seen_generation;
    void (*refresh)(struct req_env *env);
    const int *health; /* enum health_state, atomic */
    struct req_counters counters;
    int64_t now_s;            /* wall clock, seconds since 1970 */
    char date[HTTP_DATE_LEN]; /* now_s as text */
    bool endpoints;           /* health endpoints answer on ordinary listeners */
    bool spa;
    uint16_t redirect_port;              /* plain requests are sent to https there; 0: served */
    struct req_action action;            /* tried before the site; answer NULL: none */
    const struct req_filter_ops *filter; /* NULL: none */
    void *filter_arg;
    /* The text of /metrics, appended to an empty buffer. NULL: none. */
    void (*render_metrics)(void *arg, struct buf *out);
    void *render_arg;
};

enum { RESPONSE_BLOCKS_MAX = 5 };

/* A response head: header lines in blocks, each a run of "Name: value\r\n" lines. `Date`,
 * `Connection` and the framing fields of bodies without a known length are the session's. */
struct response {
    uint16_t status;
    uint8_t block_count;
    bool close;       /* the connection cannot be used again */
    bool unknown_len; /* of the body: the session marks its end */
    struct str blocks[RESPONSE_BLOCKS_MAX];
    uint64_t body_len; /* what Content-Length says, for the log */
};

struct req {
    struct req_env *env;
    struct http_head head;
    struct arena arena;
    struct site_pin *pin;
    struct target target;
    struct str path; /* normalised */
    struct response response;
    struct body body;
    int fd; /* the connection's, for its peer's address */
    struct req_input input;
    const struct http_head *sent; /* the head as it came, when `head` was changed; else NULL */
    void *filter_state;           /* the filter's; NULL: it has nothing to do */
    bool filtered;                /* the filter has seen the response */
    bool aborted;                 /* no response: the connection or stream ends */
    bool is_admin;                /* came in on the admin listener */
    bool is_tls;                  /* the scheme is https */
    bool is_h2;                   /* came by HTTP/2 */
    bool waits;                   /* there is no response yet; see req_wait */
    bool head_moves; /* the session's: the head's bytes are gone when req_run returns */
    void (*woken)(struct req *req); /* the session's; see req_wake and req_resume */
    /* The session's, or NULL: brings a body that is here whole, while req_run is on the stack.
     * False: it brings nothing. */
    bool (*pull_input)(struct req *req);
    struct tls_stream *tls; /* the connection's; NULL: a plain one */
    char text[160];         /* small header blocks, without touching the arena */
};

/* Takes the newest snapshot, if there is a newer one. */
void req_env_refresh(struct req_env *env);

/* Once, for a fresh request of the pool; and back. `fields` is the head's field array. */
void req_init(struct req *req, struct req_env *env, struct http_field *fields, uint16_t field_max);
void req_deinit(struct req *req);

/* Answers a decoded request. Never fails: what goes wrong becomes a response. When req->waits
 * afterwards, there is none yet: req->woken will be called when there is. */
void req_run(struct req *req);

/* Answers a request whose head could not be decoded: status, a short text body, close. */
void req_refuse(struct req *req, int status, struct str text);

/* Counts the request, closes the body, lets the snapshot go, empties the arena. Harmless before
 * req_run. */
void req_end(struct req *req);

/* --- for actions --- */

/* A response with a short text/plain body (a line; the newline is added) that is never cached when
 * it is an error. `extra`: more header lines, or empty; must outlive the response. */
void req_respond_text(struct req *req, int status, struct str text, struct str extra);

/* A response with this body, which must outlive it, of the given media type; never cached. */
void req_respond_document(struct req *req, int status, const char *type, struct str body);

/* A page of the site, or else the plain text of the status: for 404 and the like. */
void req_respond_error(struct req *req, int status);

/* Answers with a route of the snapshot. `status` 0: as a GET or HEAD of it, with conditions and
 * ranges; another: all of it, as a page that is never cached. `codings`: bits 1 << enum http_coding
 * of the variants that may be sent; identity always may. */
void req_serve_route(struct req *req, const struct site_route *route, int status, unsigned codings);
/* 404, with the site's page for it when it has one. */
void req_serve_missing(struct req *req);
/* A document made for this request, with an ETag of its bytes, to be revalidated: 200, 304 or 412.
 * `lines`: more header lines, or empty. All must outlive the response, but for the type. */
void req_serve_made(struct req *req, struct str type, struct str lines, struct str body);

/* The response comes later. `ops` and `arg` become the request's body at once: closing it, which
 * also happens when the client leaves, ends the wait. The head, which may lie in a receive buffer,
 * is kept, so that it and everything of the request that borrows from it stay good. False: no
 * memory, and answered so. */
bool req_wait(struct req *req, const struct body_ops *ops, void *arg) MUST_USE;
/* The response of a request that waited is complete, or its body that was pending has news. Not
 * while req_run or body_pull is on the stack. The request may have ended when it returns. */
void req_wake(struct req *req);

/* --- for the filter --- */

/* The request goes on where the filter made it wait; with REQ_WAITS it waits on, and what is now
 * wanted of its body is read. Not while req_run is on the stack. The request may have ended when it
 * returns. */
void req_resume(struct req *req, enum req_step step);
/* What comes of the body, up to `max` bytes, is kept until it is wanted or dropped. */
void req_hold_input(struct req *req, uint64_t max);
/* Wants the whole body, up to `max` bytes. True: `over` will be called. False: it has ended, see
 * req->input. A body that is malformed or cut ends the request. */
bool req_want_input(struct req *req, uint64_t max, void (*over)(struct req *req)) MUST_USE;
/* Nobody wants it any more; who does all the same finds it too large. */
void req_drop_input(struct req *req);
/* Reads req->head's target anew, after it was changed. False: it cannot be read; answered. */
bool req_read_target(struct req *req);

/* --- for sessions --- */

/* The head as the client sent it: for the framing of its body and of the response, and for logs. */
static inline const struct http_head *
req_sent_head(const struct req *req)
{
    return req->sent ? req->sent : &req->head;
}
/* Bytes of the body, unless it is UNWANTED; and its end. */
void req_input_data(struct req *req, struct str bytes);
void req_input_end(struct req *req);

/* Adds header lines. They must outlive the response. */
void req_add_block(struct req *req, struct str block);

/* The static action (req/static.c) and the endpoints (req/endpoints.c). req_endpoint returns
 * whether the path was one. */
void req_static(struct req *req);
bool req_endpoint(struct req *req);

#endif
