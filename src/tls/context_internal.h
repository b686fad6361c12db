/* context_internal: a context as its streams see it. Only for context*.c, hello.c and stream*.c. */
#ifndef TARN_TLS_CONTEXT_INTERNAL_H
#define TARN_TLS_CONTEXT_INTERNAL_H

#include "tls/certs.h"
#include "tls/ech_keys.h"
#include "tls/names.h"
#include "tls/tickets.h"

#include <openssl/base.h>

#include <stdatomic.h>

struct tls_context {
    atomic_uint ref_count;
    SSL_CTX *ctx;
    struct tls_certs certs;
    struct tls_names *names;
    const struct tls_cert *default_cert; /* for clients that name nothing */
    bool default_for_all;                /* and for names that no certificate has */
    bool relay;                          /* only with keys */
    struct ech_keys *ech;                /* NULL: none */
    struct tls_tickets *tickets;         /* borrowed */
};

/* Whether this is the public name of one of the ECH keys. */
bool tls_context_is_public_name(const struct tls_context *context, const struct tls_name *host);

/* Sets what an SSL_CTX calls during a handshake (hello.c). */
void tls_hello_set_callbacks(SSL_CTX *ctx);

#endif
