/* resolver: names to addresses, without making a loop wait.
 *
 * The system's resolver blocks, so one thread does nothing but call it, and answers come by
 * loop_post. Answers are kept for RESOLVER_CACHE_S, failures for a twelfth of that. Numeric
 * addresses and kept answers need no thread, but come by loop_post all the same: no callback runs
 * before the call returns. One name that takes long holds up the ones behind it; those who wait
 * have deadlines of their own and cancel.
 *
 * Thread rule: one resolver may serve many loops; a lock, taken once a call. A lookup is started
 * and cancelled on its loop's thread, where its callback runs. Bounds: RESOLVER_* in base/limits.h.
 */
#ifndef TARN_IO_RESOLVER_H
#define TARN_IO_RESOLVER_H

#include "base/limits.h"
#include "io/loop.h"

struct resolver;
struct resolver_lookup;

struct resolver_address {
    socklen_t len;
    struct sockaddr_storage storage; /* with the port that was asked for */
};

/* Borrowed until the callback returns. */
struct resolver_answer {
    const char *failure; /* NULL: there is at least one address; else one line */
    unsigned count;
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX]; /* in the system's order */
};

typedef void resolver_callback(void *arg, const struct resolver_answer *answer);

struct addrinfo;
/* As getaddrinfo. */
typedef int resolver_system(const char *name, const char *service, const struct addrinfo *hints,
                            struct addrinfo **out);

/* `system`: NULL for getaddrinfo; tests give their own. */
int resolver_new(struct resolver **out, resolver_system *system, struct error *error) MUST_USE;
/* After every loop was detached. Does not wait for the system's resolver: a thread that is still in
 * it ends by itself. */
void resolver_free(struct resolver *resolver);

/* Asks for the addresses of a name, or of a numeric address (IPv6 without brackets). The name is
 * copied. The callback runs once, with an answer or a failure, unless the lookup is cancelled.
 * NULL: the name is empty or too long, too many are waiting, or there is no memory. */
struct resolver_lookup *resolver_lookup(struct resolver *resolver, struct str name, uint16_t port,
                                        struct loop *loop, resolver_callback *callback, void *arg);
/* Before the callback ran: it will not. */
void resolver_cancel(struct resolver_lookup *lookup);

/* Forgets what this loop still waits for: after its last turn, before it is freed. */
void resolver_detach(struct resolver *resolver, struct loop *loop);

#endif
