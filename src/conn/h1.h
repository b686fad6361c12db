/* h1: the HTTP/1 session of a connection: requests out of bytes, responses into bytes, in order.
 *
 * Reads a head, runs the request, sends the response while pulling its body, throws away a request
 * body that nobody wanted, and goes on with the next head, which may already be there (pipelining).
 * See docs/design/connection.md for the states.
 *
 * Thread rule: the worker's. Memory: a session comes from its worker's pool. Its stash (bytes
 * received but not yet used) is bounded by the head limit plus CONN_STASH_SLACK; receiving stops
 * when it holds more than a head.
 */
#ifndef TARN_CONN_H1_H
#define TARN_CONN_H1_H

#include "conn/conn.h"

struct h1;

/* A session for a connection that has received its first byte. NULL without memory. */
struct h1 *h1_acquire(struct conn *conn);
/* Gives back what a connection still holds when it is dropped; ends its request. */
void h1_release(struct h1 *h1);
/* Frees the pool's spare sessions. */
void h1_pool_deinit(struct conn_pool *pool);

/* Bytes from the peer, borrowed. May end the connection. */
void h1_received(struct h1 *h1, const char *data, size_t len);
/* The peer has ended its side. What it sent before is still answered. */
void h1_peer_ended(struct h1 *h1);
/* The result of a pending send. */
void h1_sent(struct h1 *h1, size_t len);
/* The deadline has passed. */
void h1_timeout(struct h1 *h1);

#endif
