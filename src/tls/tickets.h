/* tickets: the keys that session tickets are sealed with.
 *
 * One table for the process: shared by all workers and kept over reloads, so that a reload does not
 * turn resumptions into full handshakes. A key seals for TLS_TICKET_KEY_S, then a fresh one takes
 * over; keys open tickets for as long as those may live, and are wiped then. Keys never leave the
 * process.
 *
 * A ticket is sealed with AES-256-GCM-SIV (RFC 8452): many threads may draw nonces at random under
 * one key for half a day without a bound to watch.
 *
 * Thread rule: any thread; a lock, taken once a ticket.
 */
#ifndef TARN_TLS_TICKETS_H
#define TARN_TLS_TICKETS_H

#include "base/error.h"
#include "base/str.h"

enum {
    TLS_TICKET_KEY_S = 12 * 3600,
    TLS_TICKET_LIFE_S = 24 * 3600,      /* of a session; a key opens for this much longer */
    TLS_TICKET_OVERHEAD = 16 + 16 + 12, /* tag, key name, nonce */
};

struct tls_tickets;

int tls_tickets_new(struct tls_tickets **out, struct error *error) MUST_USE;
void tls_tickets_free(struct tls_tickets *tickets); /* NULL is nothing */

/* Seals `plain` for the name it is bound to (a ticket opens for no other). `out` has room for
 * plain.len + TLS_TICKET_OVERHEAD and may be where `plain` is. False: the library failed. */
bool tls_tickets_seal(struct tls_tickets *tickets, struct str bound, struct str plain, uint8_t *out,
                      size_t *out_len) MUST_USE;

/* False: not a ticket of ours, of a key that is gone, or for another name. `out` has room for
 * sealed.len and may be where `sealed` is. */
bool tls_tickets_open(struct tls_tickets *tickets, struct str bound, struct str sealed,
                      uint8_t *out, size_t *out_len) MUST_USE;

/* For tests: seconds that never go back, instead of the system's. */
typedef int64_t tls_tickets_clock_fn(void *arg);
void tls_tickets_set_clock(struct tls_tickets *tickets, tls_tickets_clock_fn *clock, void *arg);

#endif
