/* client_sessions: sessions that a client may resume, by peer.
 *
 * At most TLS_SESSIONS_MAX, and TLS_SESSIONS_PER_PEER of one peer; the one that was put first goes
 * first. A session of more than TLS_SESSION_LEN_MAX bytes is not kept. A lookup goes over all of
 * them, which is nothing beside a handshake.
 *
 * Thread rule: any thread; one lock.
 */
#ifndef TARN_TLS_CLIENT_SESSIONS_H
#define TARN_TLS_CLIENT_SESSIONS_H

#include "base/str.h"

#include <openssl/base.h>

struct tls_sessions;

/* NULL: no memory. */
struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *sessions); /* NULL is nothing */

/* Keeps a session; takes it in any case. Nobody gets it after `until_s`, Unix time, or its own end.
 */
void tls_sessions_put(struct tls_sessions *sessions, struct str host, uint16_t port,
                      SSL_SESSION *session, int64_t until_s);

/* The latest session of the peer, the caller's; one that is to be used once is forgotten. NULL:
 * none. */
SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions, struct str host, uint16_t port,
                               int64_t now_s);

/* Drops all of a peer. */
void tls_sessions_forget(struct tls_sessions *sessions, struct str host, uint16_t port);

unsigned tls_sessions_count(struct tls_sessions *sessions);

#endif
