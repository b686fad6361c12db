/* digest: what an upstream, or a client, says that the digest of a resource is. Pure; computing
 * digests is not done here.
 *
 * A field that is malformed, of an unknown algorithm or of the wrong length says nothing: digests
 * are checked where they can be. Two that contradict each other are remembered as a conflict, since
 * then no content can be right.
 */
#ifndef TARN_HTTP_DIGEST_H
#define TARN_HTTP_DIGEST_H

#include "base/str.h"

enum digest_kind { DIGEST_SHA256, DIGEST_SHA512, DIGEST_MD5, DIGEST_KIND_COUNT };

enum {
    DIGEST_SHA256_LEN = 32,
    DIGEST_SHA512_LEN = 64,
    DIGEST_MD5_LEN = 16,
    DIGEST_LEN_MAX = DIGEST_SHA512_LEN,
};

/* Starts zeroed: nothing is expected. */
struct digests {
    bool has[DIGEST_KIND_COUNT];
    bool conflict; /* two different values of one kind; the first is kept */
    uint8_t value[DIGEST_KIND_COUNT][DIGEST_LEN_MAX]; /* digest_len of them */
};

static inline size_t
digest_len(enum digest_kind kind)
{
    return kind == DIGEST_SHA256   ? DIGEST_SHA256_LEN
           : kind == DIGEST_SHA512 ? DIGEST_SHA512_LEN
                                   : DIGEST_MD5_LEN;
}

/* Expects `value`, of digest_len(kind) bytes, which is copied. */
void digests_add(struct digests *digests, enum digest_kind kind, const uint8_t *value);

/* Adds what one response field says, when it is one of these (name in any case):
 *
 *     Repr-Digest             RFC 9530 section 3, sha-256 and sha-512
 *     Content-MD5             RFC 1864: of the body of this response, in base64
 *     x-amz-checksum-sha256   S3: base64; with "-N" behind it, it is the digest of N digests and
 *                             says nothing of the content
 *
 * Repr-Digest and the S3 checksum are of the whole representation, also in a 206; Content-MD5 there
 * is of the part, so the caller must not pass it from a 206. Returns whether something was added.
 */
bool digests_add_field(struct digests *digests, struct str name, struct str value);

/* Reads the value of "sha256=HEX": 64 hexadecimal digits in any case. False: it is none (400). */
bool digest_parse_sha256(struct str text, uint8_t out[static DIGEST_SHA256_LEN]);

#endif
