/* hmac: message authentication codes by a shared key (RFC 2104, with the hashes of FIPS 180-4), all
 * at once. Any thread; nothing is kept.
 */
#ifndef TARN_TLS_HMAC_H
#define TARN_TLS_HMAC_H

#include "base/str.h"

enum sha2 { SHA2_256, SHA2_384, SHA2_512 };

enum { HMAC_SHA256_LEN = 32, HMAC_LEN_MAX = 64 };

/* Bytes of a hash, and of a code made with it. */
static inline size_t
sha2_len(enum sha2 hash)
{
    return hash == SHA2_256 ? 32 : hash == SHA2_384 ? 48 : 64;
}

/* Writes sha2_len bytes. The key may have any length. */
void hmac_of(enum sha2 hash, struct str key, struct str message, uint8_t *out);
/* Whether `code` is that; takes as long whichever byte of it is wrong. */
bool hmac_verify(enum sha2 hash, struct str key, struct str message, struct str code);

#endif
