/* signature: whether a message was signed with the private key of a public one, of which the
 * numbers are given, as a JSON Web Key has them (RFC 7518 section 6). Any thread; nothing is kept.
 *
 * Refused whatever the signature is: RSA keys of fewer than 2048 bits (RFC 7518 section 3.3) or
 * more than SIGNATURE_RSA_BITS_MAX, points that are not on their curve.
 */
#ifndef TARN_TLS_SIGNATURE_H
#define TARN_TLS_SIGNATURE_H

#include "base/str.h"

/* The algorithms of RFC 7518 section 3.1 and RFC 8037 section 3.1. */
enum signature_scheme {
    SIGNATURE_RS256, /* RSASSA-PKCS1-v1_5 */
    SIGNATURE_RS384,
    SIGNATURE_RS512,
    SIGNATURE_PS256, /* RSASSA-PSS, MGF1 with the same hash, salt as long as the hash */
    SIGNATURE_ES256, /* ECDSA, P-256 with SHA-256: r and s, 32 bytes each */
    SIGNATURE_ES384, /* P-384 with SHA-384: 48 bytes each */
    SIGNATURE_ED25519,
};

enum { SIGNATURE_RSA_BITS_MIN = 2048, SIGNATURE_RSA_BITS_MAX = 8192 };

/* Numbers, most significant byte first. */
struct signature_key {
    struct str modulus, exponent; /* RSA */
    struct str x, y;              /* ECDSA: as long as the curve says; Ed25519: x is the key */
};

bool signature_verify(enum signature_scheme scheme, const struct signature_key *key,
                      struct str message, struct str signature);

#endif
