/* protocol: what both sides of TLS are willing to use: versions, suites, groups. */
#ifndef TARN_TLS_PROTOCOL_H
#define TARN_TLS_PROTOCOL_H

#include "base/error.h"

#include <openssl/base.h>

#include <stdbool.h>

/* TLS 1.3; 1.2 with ECDHE and an AEAD only when allowed. Fails only when the library refuses. */
int tls_protocol_set(SSL_CTX *ctx, bool allow_tls12, struct error *error) MUST_USE;

#endif
