/* resolver: names to addresses, without making a loop wait.
 *
 * One thread asks the system's name servers (io/dns.h), many names at a time, so a slow name holds
 * up no other one. It starts with the first name that has to be asked for. Those who look up the
 * same name at the same time share one question. Answers are kept as long as their records live,
 * within a second and RESOLVER_CACHE_S, failures for RESOLVER_FAILURE_S, and go for newer ones when
 * there are RESOLVER_CACHE_MAX, the oldest first. Nothing takes longer than RESOLVER_LOOKUP_MS;
 * those who cannot wait so long have deadlines of their own and cancel.
 *
 * Answers come by loop_post, also those that are kept and numeric addresses, which need no thread:
 * no callback runs before the call returns.
 *
 * Thread rule: one resolver may serve many loops; a lock, taken once a call. A lookup is started
 * and cancelled on its loop's thread, where its callback runs. Bounds: RESOLVER_* in base/limits.h.
 */
#ifndef TARN_IO_RESOLVER_H
#define TARN_IO_RESOLVER_H

#include "base/limits.h"
#include "io/dns.h"
#include "io/loop.h"

struct resolver;
struct resolver_lookup;

struct resolver_address {
    socklen_t len;
    struct sockaddr_storage storage; /* with the port that was asked for */
};

/* Borrowed until the callback returns. */
struct resolver_answer {
    const char *failure; /* NULL: there is at least one address; else one line: "NAME: why" */
    uint32_t ttl_s;      /* from now on, until the name is asked for again */
    unsigned count;
    /* To be tried in this order: best first, IPv6 and IPv4 in turns. */
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
};

typedef void resolver_callback(void *arg, const struct resolver_answer *answer);

/* All zero is what servers use; tests set other values. */
struct resolver_config {
    struct dns_config dns;
    uint32_t lookup_ms; /* 0: RESOLVER_LOOKUP_MS */
};

/* Copies the config but for the texts in it; NULL: all zero. */
int resolver_new(struct resolver **out, const struct resolver_config *config,
                 struct error *error) MUST_USE;
/* After every loop was detached. Drops what is being asked. */
void resolver_free(struct resolver *resolver);

/* Asks for the addresses of a name, or of a numeric address (IPv6 without brackets). The name is
 * copied; it has letters, digits, '-', '_' and dots, upper case is the same as lower. The callback
 * runs once, with an answer or a failure, unless the lookup is cancelled. NULL: the name is empty,
 * too long or no name, too many are waiting, or there is no memory or thread. */
struct resolver_lookup *resolver_lookup(struct resolver *resolver, struct str name, uint16_t port,
                                        struct loop *loop, resolver_callback *callback, void *arg);
/* Before the callback ran: it will not. */
void resolver_cancel(struct resolver_lookup *lookup);

/* Forgets what this loop still waits for: after its last turn, before it is freed. */
void resolver_detach(struct resolver *resolver, struct loop *loop);

#endif
