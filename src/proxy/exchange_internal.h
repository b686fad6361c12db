/* exchange_internal: an exchange as its parts, and the connection under it, see it.
 *
 *     exchange.c          life, states, deadlines, another try
 *     exchange_send.c     the request: head and body
 *     exchange_receive.c  the response: heads and body
 *
 * Callbacks of the owner may cancel, so after each of them, and after whatever may call one, look
 * whether the exchange is OVER. Its memory stays until the outermost exchange_leave. Thread rule:
 * the loop's.
 */
#ifndef TARN_PROXY_EXCHANGE_INTERNAL_H
#define TARN_PROXY_EXCHANGE_INTERNAL_H

#include "http/h1_chunk.h"
#include "proxy/exchange.h"
#include "proxy/upstream_internal.h"

enum exchange_state {
    EXCHANGE_AT_START, /* for the turn's end */
    EXCHANGE_AT_DIAL,  /* for a connection; see enum upstream_state */
    EXCHANGE_AT_TALK,  /* for the response head, while the request goes out */
    EXCHANGE_AT_BODY,  /* for the response body */
    EXCHANGE_AT_OVER,  /* for those who still stand in its code */
};

struct exchange {
    TAILQ_ENTRY(exchange) link; /* in the pool's list of due or of free ones */
    struct upstream_pool *pool;
    struct upstream_origin *origin; /* counted */
    struct upstream_conn *conn;     /* NULL: none now */
    const struct exchange_ops *ops;
    void *arg;
    struct timer timer; /* in TALK and BODY */
    unsigned depth;     /* exchange_enter */
    uint8_t state;      /* enum exchange_state */
    uint8_t method;     /* enum http_method */
    bool due;
    bool retried;

    /* the request */
    struct buf out; /* head, framing and small pieces of the body; up to out_off they have gone */
    size_t out_off;
    struct body *body;        /* NULL: none, or all of it was pulled */
    struct body_piece piece;  /* goes out behind `out`; len 0: none */
    uint64_t piece_done;      /* bytes of it that have gone */
    uint64_t body_left;       /* bytes that Content-Length still promises */
    uint64_t turn_len;        /* sent since the loop last called */
    size_t queued_len;        /* with a body: in the socket when the deadline was set */
    bool chunked, chunk_open; /* the line end behind the last chunk is owed */
    bool expects;             /* the request says "Expect: 100-continue" */
    bool waits_for_continue;  /* and nothing of the body is pulled before that */
    bool body_pending, woken;
    bool body_begun;   /* something was pulled */
    bool from_start;   /* all that was pulled is still in `out` and `piece` */
    bool request_sent; /* all of it */
    bool send_failed;

    /* the response */
    struct buf stash; /* an incomplete head */
    struct h1_response_decoder decoder;
    struct http_response_head head;
    struct h1_chunk_decoder chunks;
    uint64_t left;     /* body bytes that are still to come, with HTTP_BODY_LENGTH */
    uint64_t body_len; /* that came */
    unsigned interim_count;
    bool answered; /* some byte came */
    bool paused;
    bool complete; /* all of the response was seen */
    struct http_field fields[];
};

void exchange_pool_init(struct upstream_pool *pool);
void exchange_pool_deinit(struct upstream_pool *pool);

/* Around everything that may end the exchange. */
void exchange_enter(struct exchange *exchange);
void exchange_leave(struct exchange *exchange);

/* --- exchange.c, for its other parts --- */

/* Ends it, with a reason behind the name of the origin. */
void exchange_fail(struct exchange *exchange, enum exchange_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void exchange_set_state(struct exchange *exchange, enum exchange_state next);
/* Sets the deadline by what is being waited for now. */
void exchange_set_deadline(struct exchange *exchange);
/* "60 s" */
const char *exchange_duration_text(uint64_t ns, char out[static 32]);

/* --- for the connection --- */

void exchange_connected(struct exchange *exchange);
void exchange_not_connected(struct exchange *exchange, enum exchange_result result,
                            const char *reason);
/* Whether bytes may be given to it now. */
bool exchange_wants_input(const struct exchange *exchange);
/* Plain bytes, borrowed. Returns how many were used: less than all when it wants no more now. */
size_t exchange_input(struct exchange *exchange, struct str input);
/* The response is complete; `keep`: nothing was behind it. */
void exchange_finish(struct exchange *exchange, bool keep);
/* conn->end says how: no more input comes. */
void exchange_input_ended(struct exchange *exchange);
/* After SOCK_PENDING: so many bytes of what was offered have gone; or -errno. */
void exchange_sent(struct exchange *exchange, ssize_t result);

/* --- exchange_send.c --- */

/* Puts the head into `out` and notes how the body is framed. False: it cannot be sent. */
bool exchange_encode_head(struct exchange *exchange, const struct exchange_request *request);
/* Starts sending from the beginning. */
void exchange_send_start(struct exchange *exchange);
/* Sends what there is and what there is room for. */
void exchange_send(struct exchange *exchange);
/* Whether the same request can be sent once more. */
bool exchange_can_send_again(const struct exchange *exchange);

/* --- exchange_receive.c --- */

void exchange_receive_start(struct exchange *exchange);

#endif
