/* conn_tls: the TLS of a connection: between the wire bytes of its socket and the plain bytes of
 * its session. For conn.c only.
 *
 * A connection of a TLS listener gets its stream with its first byte. Wire bytes to be sent lie in
 * an output buffer from the worker's pool, small or large by what is sent, and given back when it
 * is empty: an idle connection holds none, a slow reader at most one. What a session sent counts as
 * sent when its last wire byte has gone out.
 *
 * Thread rule: the worker's.
 */
#ifndef TARN_CONN_CONN_TLS_H
#define TARN_CONN_CONN_TLS_H

#include "conn/conn.h"

/* Wire bytes from the socket, borrowed. May end the connection. */
void conn_tls_received(struct conn *conn, const char *data, size_t len);
/* The result of a pending send; see sock_ops. */
void conn_tls_sent(struct conn *conn, size_t len);
/* The handshake's deadline has passed. */
void conn_tls_timeout(struct conn *conn);

/* As conn_send and its kin. */
ssize_t conn_tls_send(struct conn *conn, const struct iovec *iov, unsigned iov_count) MUST_USE;
ssize_t conn_tls_send_file(struct conn *conn, struct str head, int fd, uint64_t off,
                           uint64_t len) MUST_USE;

/* Says close_notify, if it can go out at once. */
void conn_tls_end(struct conn *conn);
/* The connection leaves its handshake, for whatever reason. */
void conn_tls_leave_handshake(struct conn *conn);
/* The loop has let go: the descriptor, and all that was fed to the stream, go to the relay. */
void conn_tls_relay_start(struct conn *conn);
/* The socket is gone: frees the stream and the output. */
void conn_tls_closed(struct conn *conn);
void conn_tls_pool_deinit(struct conn_pool *pool);

#endif
