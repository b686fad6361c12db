/* tickets: the keys that session tickets are sealed with.
 *
 * One table for the process: shared by all workers and kept over reloads, so that a reload does not
 * turn resumptions into full handshakes. A key seals for TLS_TICKET_KEY_S, then a fresh one takes
 * over; keys open tickets for as long as those may live. Keys never leave the process.
 *
 * Thread rule: any thread; a lock, taken once a ticket.
 */
#ifndef TARN_TLS_TICKETS_H
#define TARN_TLS_TICKETS_H

#include "base/error.h"

struct tls_tickets;

int tls_tickets_new(struct tls_tickets **out, struct error *error) MUST_USE;
void tls_tickets_free(struct tls_tickets *tickets);

#endif
