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

extern const struct session_ops h1_session_ops;

/* Frees the pool's spare sessions. */
void h1_pool_deinit(struct conn_pool *pool);

#endif
