/* self_signed: a throw-away certificate, for trying things out on one's own machine.
 *
 * ECDSA P-256, for localhost, 127.0.0.1 and ::1, valid for SELF_SIGNED_DAYS. A fresh key each time:
 * it is never written anywhere, so a client that was told to trust it trusts one process.
 */
#ifndef TARN_TLS_SELF_SIGNED_H
#define TARN_TLS_SELF_SIGNED_H

#include "base/error.h"

#include <openssl/base.h>

#include <stdint.h>

enum { SELF_SIGNED_DAYS = 30 };

/* Both are the caller's. Valid from an hour before now_s (Unix time): clocks differ. */
int tls_self_signed_make(CRYPTO_BUFFER **cert, EVP_PKEY **key, int64_t now_s,
                         struct error *error) MUST_USE;

#endif
