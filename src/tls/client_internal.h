/* client_internal: a client as its parts see it. Only for client*.c and stream*.c. */
#ifndef TARN_TLS_CLIENT_INTERNAL_H
#define TARN_TLS_CLIENT_INTERNAL_H

#include "tls/client.h"
#include "tls/client_sessions.h"

#include <openssl/base.h>

#include <stdatomic.h>

struct tls_client {
    atomic_uint ref_count;
    SSL_CTX *ctx;
    struct tls_sessions *sessions;
    char *problem; /* see tls_client_problem */
    bool insecure;
};

/* What only a client's stream has. */
struct tls_client_side {
    struct tls_client *client; /* counted */
    struct str host;           /* key of names.h; malloc'ed */
    uint16_t port;
    uint8_t failure;   /* enum tls_client_failure; NONE until one is known */
    uint8_t start_len; /* of what the peer sent first */
    char start[5];
    char *text; /* why it failed; NULL: failure_text of the stream says it */
};

void tls_client_side_free(struct tls_client_side *side); /* NULL is nothing */

/* A client's stream fails; empties the library's error queue. */
void tls_client_failed(struct tls_stream *stream, bool in_handshake);

/* --- client_trust.c: whom to trust --- */

/* Adds the certificates of a bundle. Each must be readable. */
int tls_trust_file(X509_STORE *store, const char *path, struct error *error) MUST_USE;
/* Adds those of the system and the environment. Errors: a place that the environment names cannot
 * be read, a damaged bundle, no certificate at all. `option` is what would help. */
int tls_trust_system(X509_STORE *store, const char *option, struct error *error) MUST_USE;

/* --- client_verify.c: whether to believe the server --- */

/* For SSL_CTX_set_cert_verify_callback. */
int tls_client_verify(X509_STORE_CTX *verification, void *arg);

/* --- client_failure.c: why it failed --- */

/* Sets failure and text, unless a reason is known already. */
void tls_client_fail(struct tls_client_side *side, enum tls_client_failure failure,
                     const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for an error of the library; 0: there is none. */
void tls_client_explain(struct tls_client_side *side, uint32_t error, bool in_handshake);

#endif
