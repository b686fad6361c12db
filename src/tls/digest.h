/* digest: hashes of content that comes in pieces.
 *
 * SHA-256 and SHA-512 as Repr-Digest (RFC 9530) and the cache use them, and MD5 only because
 * upstreams still send Content-MD5: it finds an accident, not an attacker. The state is a value of
 * the caller's: nothing is allocated and nothing is to be freed; a copy goes on by itself.
 * Thread rule: one owner.
 */
#ifndef TARN_TLS_DIGEST_H
#define TARN_TLS_DIGEST_H

#include "http/digest.h"

struct digest {
    enum digest_kind kind;
    uint64_t state[28]; /* BoringSSL's own; whole words, so that it is aligned */
};

void digest_init(struct digest *digest, enum digest_kind kind);
void digest_update(struct digest *digest, struct str bytes);
/* Writes digest_len bytes. Afterwards the state is used up: init again, or forget it. */
void digest_final(struct digest *digest, uint8_t *out);

/* All at once. */
void digest_of(enum digest_kind kind, struct str bytes, uint8_t *out);

#endif
