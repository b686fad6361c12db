/* conn: client connections of one worker: slots, deadlines, orderly and disorderly ends.
 *
 * A connection is a small slot that lives in a fixed pool. With the first byte of a request it gets
 * a session, which holds the requests, the buffers and the state of its protocol: h1.h or h2.h. An
 * HTTP/1 session is given back when the connection is idle again, an HTTP/2 one lives as long as
 * the connection.
 *
 *     socket  <->  conn: deadlines, ends  <->  [TLS]  <->  session: bytes to requests and back
 *
 * Sessions send through conn_send and its kin and get plain bytes; on a TLS connection conn_tls.c
 * sits between them and the socket.
 *
 * Thread rule: the worker's. Bounds: conn_config and CONN_* in base/limits.h.
 */
#ifndef TARN_CONN_CONN_H
#define TARN_CONN_CONN_H

#include "base/limits.h"
#include "conn/h2_flood.h"
#include "conn/relay.h"
#include "io/loop.h"
#include "req/req.h"
#include "tls/stream.h"

/* Why a connection ended: enum name, name in logs and metrics. */
#define CONN_END_TABLE(X)                                                                 \
    X(DONE, "done") /* our answer was the last, or the peer left between requests */      \
    X(IDLE_TIMEOUT, "idle_timeout")                                                       \
    X(HEADER_TIMEOUT, "header_timeout")                                                   \
    X(IO_TIMEOUT, "io_timeout")                                                           \
    X(BAD_REQUEST, "bad_request")                                                         \
    X(PEER_RESET, "peer_reset")   /* in the middle of something */                        \
    X(BODY_FAILED, "body_failed") /* what we were sending could not be read to its end */ \
    X(EVICTED, "evicted")         /* oldest idle one, to make room */                     \
    X(DRAINED, "drained")         /* idle at shutdown */                                  \
    X(NO_MEMORY, "no_memory")                                                             \
    X(H2_FLOOD, "h2_flood")       /* too much of a cheap frame; see h2_floods */          \
    X(H2_PROTOCOL, "h2_protocol") /* frames that break RFC 9113 */                        \
    X(HANDSHAKE, "handshake")     /* it failed; see tls_failures */                       \
    X(TLS, "tls")                 /* broken after the handshake */                        \
    X(RELAYED, "relayed")         /* handed over to the relay */                          \
    X(ABORTED, "aborted")         /* a script wanted so */

enum conn_end {
#define X(name, text) CONN_END_##name,
    CONN_END_TABLE(X)
#undef X
        CONN_END_COUNT
};

const char *conn_end_name(enum conn_end end);

struct conn_config {
    uint32_t head_max;   /* bytes of a request head */
    uint16_t fields_max; /* header lines */
    uint64_t header_timeout_ns;
    uint64_t keepalive_timeout_ns;
    uint64_t io_timeout_ns;
    uint64_t handshake_timeout_ns; /* from the accepted connection to the end of its handshake */
    uint32_t requests_max;         /* of one connection; 0: no limit */
    uint32_t connections_max;      /* of one worker */
};

/* Numbers of one worker; see struct req_counters. */
struct conn_counters {
    uint64_t accepted;
    uint64_t active;
    uint64_t bytes_out;
    uint64_t ends[CONN_END_COUNT];
    uint64_t tls_handshakes, tls_resumed, tls_ech_accepted;
    uint64_t tls_failures[TLS_FAILURE_COUNT];
    uint64_t h2_sessions, h2_streams; /* open now */
    uint64_t h2_resets;               /* RST_STREAM received */
    uint64_t h2_floods[H2_FLOOD_KIND_COUNT];
};

/* One finished request, for the access log. Everything is borrowed for the call. */
struct access_record {
    int fd; /* of the connection, for its address */
    struct str method, target, host, referer, user_agent, request_id;
    int status;
    uint64_t bytes; /* of the body that were handed to the kernel */
    uint64_t duration_ns;
    uint8_t version_minor; /* of HTTP/1 */
    bool is_h2;
    bool complete; /* false: the transfer broke */
};

struct conn;
struct session;

/* A protocol. Sessions belong to one connection at a time and are pooled by their worker. */
struct session_ops {
    struct session *(*acquire)(struct conn *conn); /* NULL: no memory */
    void (*release)(struct session *session);
    /* Plain bytes, borrowed until return; more than were stopped in time may come. */
    void (*received)(struct session *session, const char *data, size_t len);
    /* The peer sends no more. */
    void (*peer_ended)(struct session *session);
    /* After SOCK_PENDING: so many bytes of what was offered have gone out, maybe 0. */
    void (*sent)(struct session *session, size_t len);
    void (*timeout)(struct session *session);
    /* The server wants to end: finish what has begun, take nothing new. Called once; NULL when
     * the session needs no telling (it looks at pool->draining). */
    void (*drain)(struct session *session);
};

struct conn_pool {
    struct loop *loop;
    struct req_env *req_env;
    struct conn_config config;
    struct conn_counters counters;
    void (*log)(void *arg, const struct access_record *record); /* NULL: no access log */
    void *log_arg;
    void (*has_room)(void *arg); /* nobody waits any more after conn_accept said false */
    void *room_arg;
    struct relay_pool *relays;        /* of client hellos that are for somebody else; NULL: none */
    struct relay_target relay_target; /* no host: the server name, port 443 */
    bool draining;
    /* the rest is the pool's own */
    struct conn **chunks;
    unsigned chunk_count;
    struct conn *free_conns;
    struct conn *oldest_handshake, *newest_handshake; /* in order of their beginning */
    unsigned handshake_count;
    struct tls_output *small_outputs, *large_outputs; /* spare ones */
    unsigned output_counts[2];                        /* of small and large ones */
    /* scratch of CONN_TLS_PLAIN_LEN: what was opened, and what was read from a file to be sealed */
    char *plain_in, *plain_out;
    struct h1 *free_h1;
    unsigned free_h1_count;
    struct h2_pool *h2;                  /* NULL until there was an HTTP/2 session */
    struct conn *waiting, **waiting_end; /* in order of their coming */
    unsigned served;                     /* not waiting, not yet closed */
    unsigned evict_count;
    struct {
        struct conn *conn;
        uint64_t idle_since_ns;
    } evict[CONN_EVICT_BATCH];
};

enum conn_state {
    CONN_WAITING, /* accepted over the ceiling: like one in the kernel's backlog */
    CONN_IDLE,    /* waiting for a request, or for the first byte */
    CONN_HANDSHAKE,
    CONN_ACTIVE, /* its session has something to do */
    CONN_LINGER, /* our side has ended; what comes is thrown away until the peer ends too */
    CONN_CLOSED, /* waiting for the loop to let go */
};

struct conn {
    struct sock sock; /* first: a sock's address is its conn's */
    struct timer timer;
    struct conn_pool *pool;
    const struct session_ops *session_ops;
    struct session *session;
    struct conn *next; /* in the list of free or waiting ones */
    /* TLS, from the first byte on; see conn_tls.h */
    struct tls_stream *tls;
    struct tls_output *output; /* wire bytes on their way; NULL: none */
    size_t plain_len;          /* plain bytes in it, of which the session waits to hear */
    struct conn *handshake_prev, *handshake_next;
    uint64_t sealed_ns; /* when something was sealed last */
    uint32_t burst_len; /* sealed since the last silence, as far as it matters */
    uint64_t idle_since_ns;
    uint32_t request_count;
    uint32_t linger_len;
    uint8_t state;         /* enum conn_state */
    uint8_t end;           /* enum conn_end, once LINGER or CLOSED */
    bool is_admin, is_tls; /* of its listener */
    bool peer_ended;
    bool drain_told;
    bool relaying; /* CLOSED: the relay gets the descriptor when the loop lets go */
};

void conn_pool_init(struct conn_pool *pool, struct loop *loop, struct req_env *req_env,
                    const struct conn_config *config);
/* After the loop has ended with every connection closed. */
void conn_pool_deinit(struct conn_pool *pool);

/* Takes an accepted descriptor. At the ceiling the oldest idle connection ends for it. False: none
 * is idle; it waits, unread, until there is room, and nothing more should be accepted before
 * `has_room` is called. Without memory it is closed. */
bool conn_accept(struct conn_pool *pool, int fd, bool is_admin, bool is_tls);

/* From now on answers say `Connection: close`. Idle connections end at once when they have been
 * idle for `idle_ns`, the others once they have. Returns how many are left. Call again until none
 * is. */
unsigned conn_pool_drain(struct conn_pool *pool, uint64_t idle_ns);
/* Ends everything now. */
void conn_pool_abort(struct conn_pool *pool);

/* --- for sessions --- */

/* See sock_send; counts bytes, and moves the deadline on progress. */
ssize_t conn_send(struct conn *conn, const struct iovec *iov, unsigned iov_count) MUST_USE;
ssize_t conn_send_file(struct conn *conn, struct str head, int fd, uint64_t off,
                       uint64_t len) MUST_USE;
ssize_t conn_send_pages(struct conn *conn, struct str head, const char *pages,
                        uint64_t len) MUST_USE;

/* See sock_yield. Returns SOCK_PENDING. */
ssize_t conn_yield(struct conn *conn) MUST_USE;

/* Sets the deadline to `ns` from now, or waits without one. */
void conn_set_deadline(struct conn *conn, uint64_t ns);
void conn_clear_deadline(struct conn *conn);

/* The first bytes belong to another protocol: its session takes them, and the place of the one that
 * calls, which is given back. That must return at once. */
void conn_switch(struct conn *conn, const struct session_ops *ops, struct str bytes);

/* The session of an idle connection has found something to do. */
void conn_wake(struct conn *conn);
/* The session has nothing to do, or was given back: wait for the next request. */
void conn_go_idle(struct conn *conn);
/* Gives the session back. */
void conn_release_session(struct conn *conn);
/* Ends our side, then waits for the peer's end so that it can read the answer. The session must be
 * done with its output. */
void conn_finish(struct conn *conn, enum conn_end end);
/* Ends at once; `broken`: with a reset, so that the peer notices that the answer is incomplete. */
void conn_drop(struct conn *conn, enum conn_end end, bool broken);

/* --- for conn_tls.c --- */

void conn_count_out(struct conn *conn, uint64_t len);
/* Plain bytes for the session, or the peer's end. */
void conn_deliver(struct conn *conn, const char *data, size_t len);
void conn_deliver_end(struct conn *conn);
/* Lets go of the descriptor for the relay. */
void conn_relay(struct conn *conn);
/* The handshake begins; has ended well. */
void conn_set_handshake(struct conn *conn);
void conn_established(struct conn *conn);

#endif
