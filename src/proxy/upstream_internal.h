/* upstream_internal: a connection to an upstream, as the parts of src/proxy/ see it.
 *
 *     upstream.c          pool, origins, idle connections, ends
 *     upstream_connect.c  from a name to a connection that can be talked over
 *     upstream_tunnel.c   on the way there, through a proxy
 *     upstream_tls.c      between wire bytes and plain bytes
 *     upstream_io.c       what the loop calls; what comes in, and what has to wait
 *
 * A connection that is not idle belongs to one exchange. When it ends, its memory is the loop's
 * until `closed`, and it has no exchange any more. Thread rule: the loop's.
 */
#ifndef TARN_PROXY_UPSTREAM_INTERNAL_H
#define TARN_PROXY_UPSTREAM_INTERNAL_H

#include "base/buf.h"
#include "proxy/exchange.h"
#include "proxy/upstream.h"
#include "tls/stream.h"

#include <sys/queue.h>

struct exchange;
struct upstream_dial;
struct upstream_tunnel;

TAILQ_HEAD(upstream_conn_list, upstream_conn);
TAILQ_HEAD(exchange_list, exchange);

enum upstream_state {
    UPSTREAM_RESOLVE,   /* waits for the resolver */
    UPSTREAM_CONNECT,   /* for a connected socket */
    UPSTREAM_TUNNEL,    /* for a proxy's answer to CONNECT */
    UPSTREAM_HANDSHAKE, /* for TLS */
    UPSTREAM_BUSY,      /* an exchange talks over it */
    UPSTREAM_IDLE,
    UPSTREAM_CLOSED, /* waits for the loop to let go */
};

/* Where connections lead to; there as long as one of them, or an exchange, needs it. */
struct upstream_origin {
    struct upstream_pool *pool;
    struct upstream_origin *next;   /* in its bucket */
    struct upstream_conn_list idle; /* used last first */
    unsigned idle_count, use_count;
    const struct url *proxy; /* on the way; NULL: none */
    struct str proxy_authorization;
    enum url_scheme scheme;
    uint16_t port;
    struct str host;      /* in lower case, without brackets */
    struct str authority; /* the URL's, for messages; with the scheme it is the key */
    char text[];          /* theirs */
};

/* How the upstream's side of a connection ended. */
enum upstream_end {
    UPSTREAM_OPEN,   /* not yet */
    UPSTREAM_ENDED,  /* orderly: FIN, or close_notify over TLS */
    UPSTREAM_CUT,    /* over TLS: FIN without close_notify */
    UPSTREAM_BROKEN, /* an error of the socket or of TLS */
};

struct upstream_conn {
    struct sock sock;   /* first: a sock's address is its connection's */
    struct timer timer; /* until BUSY, and while IDLE */
    struct upstream_pool *pool;
    struct upstream_origin *origin;               /* counted */
    struct exchange *exchange;                    /* NULL while IDLE and CLOSED */
    struct upstream_dial *dial;                   /* until BUSY for the first time */
    struct upstream_tunnel *tunnel;               /* as long as that */
    TAILQ_ENTRY(upstream_conn) by_origin, by_age; /* while IDLE */
    struct tls_stream *tls;
    struct tls_output *wire; /* sealed bytes on their way; NULL: none */
    struct buf held;         /* received bytes that nobody has looked at yet */
    size_t held_off;         /* of them, those that somebody has, meanwhile */
    struct buf plain;        /* TLS: the same of opened bytes; they go first */
    size_t plain_off;
    struct buf lent; /* of an exchange that has ended: the kernel may still be sending from it */
    int error, sock_error; /* errno of UPSTREAM_BROKEN; 0: TLS, whose stream knows */
    uint8_t state;         /* enum upstream_state */
    uint8_t end;           /* enum upstream_end: that all before it was given to the exchange */
    uint8_t sock_end;      /* of the socket, when something is still held */
    bool sock_open;
    bool reused; /* was idle before its exchange took it */
};

struct upstream_pool {
    struct loop *loop;
    struct upstream_config config;
    struct upstream_origin *origins[UPSTREAM_BUCKETS];
    struct upstream_conn_list idle; /* of all origins, used last first */
    unsigned idle_count;
    unsigned conn_count, exchange_count;
    bool closing;
    struct arena arena; /* for what an exchange needs while it is started */
    struct tls_output *spare_wires;
    unsigned spare_wire_count;
    char *plain_in, *plain_out; /* scratch of UPSTREAM_PLAIN_LEN, made when it is needed */
    struct exchange_list due;   /* those with something to do before the loop sleeps */
    struct timer due_timer;
    struct exchange_list free_exchanges;
    unsigned free_exchange_count;
};

/* --- upstream.c --- */

/* The origin of a URL, counted for the caller. NULL: no memory. */
struct upstream_origin *upstream_origin_get(struct upstream_pool *pool, const struct url *url);
void upstream_origin_put(struct upstream_origin *origin);

/* The idle connection used last that is still open, now BUSY and the exchange's. NULL: none. */
struct upstream_conn *upstream_take_idle(struct upstream_origin *origin, struct exchange *exchange);
/* A fresh one of that exchange, in RESOLVE. NULL: no memory. */
struct upstream_conn *upstream_conn_new(struct upstream_origin *origin, struct exchange *exchange);

/* The one place where states change. */
void upstream_set_state(struct upstream_conn *conn, enum upstream_state next);
/* Its exchange has ended well: keeps the connection for others, or closes it. */
void upstream_release(struct upstream_conn *conn);
/* Ends a connection; takes it from its exchange. `broken`: in the middle of something, so with a
 * reset. It may be freed when the call returns. */
void upstream_close(struct upstream_conn *conn, bool broken);
/* The loop has let go. */
void upstream_conn_free(struct upstream_conn *conn);

/* "connection refused" */
enum { UPSTREAM_ERRNO_TEXT_LEN = 128 };
const char *upstream_errno_text(int code, char out[static UPSTREAM_ERRNO_TEXT_LEN]);

/* --- upstream_connect.c --- */

/* Connects. Ends in exchange_connected or exchange_not_connected, maybe before it returns. */
void upstream_dial(struct upstream_conn *conn);
void upstream_dial_free(struct upstream_conn *conn);
/* Ends the exchange, and with it the connection: the caller returns at once. */
void upstream_dial_fail(struct upstream_conn *conn, enum exchange_result result, const char *format,
                        ...) __attribute__((format(printf, 3, 4)));
/* The way to the origin is there: TLS, or nothing, is next. */
void upstream_dial_secure(struct upstream_conn *conn);
/* Events in the states before BUSY. */
void upstream_dial_received(struct upstream_conn *conn, const char *data, ssize_t len);
void upstream_dial_sent(struct upstream_conn *conn, ssize_t result);
void upstream_dial_closed(struct upstream_conn *conn);
void upstream_dial_timeout(struct upstream_conn *conn);

/* --- upstream_tunnel.c, for upstream_connect.c --- */

void upstream_tunnel_start(struct upstream_conn *conn);
void upstream_tunnel_send(struct upstream_conn *conn);
void upstream_tunnel_received(struct upstream_conn *conn, struct str bytes);
void upstream_tunnel_ended(struct upstream_conn *conn, const char *why);
void upstream_tunnel_free(struct upstream_conn *conn);

/* --- upstream_io.c --- */

extern const struct sock_ops upstream_sock_ops;

/* Whether upstream_send may be called: nothing that was lent is pending. */
bool upstream_can_send(const struct upstream_conn *conn);
/* Sends bytes. A count > 0: so many were taken, and may be changed. SOCK_PENDING: exchange_sent
 * will tell how many, and until then they are lent (plain connections only), also after
 * upstream_close. Or -errno. */
ssize_t upstream_send(struct upstream_conn *conn, struct str bytes) MUST_USE;
/* The same for bytes that are never lent: SOCK_PENDING means that none was taken. */
ssize_t upstream_send_now(struct upstream_conn *conn, struct str bytes) MUST_USE;
/* The same for a range of a file; -ENODATA: it ends early, -EIO: it cannot be read. */
ssize_t upstream_send_file(struct upstream_conn *conn, int fd, uint64_t off, uint64_t len) MUST_USE;

/* Bytes in the socket that the upstream has not taken yet. */
size_t upstream_queued_len(const struct upstream_conn *conn);

/* Gives the exchange what was held for it, as much as it wants, and receives again. */
void upstream_pump(struct upstream_conn *conn);

/* --- upstream_tls.c --- */

/* Goes on with a handshake. DONE, WANTS_INPUT, or FAILED (also: no memory). */
enum tls_result upstream_tls_handshake(struct upstream_conn *conn);
/* Opens what was fed and gives it to the exchange, until that wants no more or has ended. */
void upstream_tls_read(struct upstream_conn *conn);
/* Idle: whether all there was is the protocol's own business. */
bool upstream_tls_is_quiet(struct upstream_conn *conn);
ssize_t upstream_tls_send(struct upstream_conn *conn, struct str bytes) MUST_USE;
/* Sends the wire bytes. 0: all have gone; SOCK_PENDING or -errno. */
ssize_t upstream_tls_flush(struct upstream_conn *conn);
void upstream_tls_sent(struct upstream_conn *conn, size_t len);
/* Says close_notify, or sends an alert, if that can go out at once. */
void upstream_tls_last_words(struct upstream_conn *conn, bool ends);
void upstream_tls_free(struct upstream_conn *conn);
/* A pool's scratch; NULL: no memory. */
char *upstream_scratch(char **bytes);
void upstream_tls_pool_free(struct upstream_pool *pool);

#endif
