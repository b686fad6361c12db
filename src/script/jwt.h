/* jwt: JSON Web Tokens, verified (RFC 7519; RFC 7515 in its compact form, RFC 7517, 7518, 8037).
 *
 * Pure but for the memory that it asks for and gives back. A token says itself how it was signed,
 * and whoever made it may lie; so the key decides: a key of one type verifies only the algorithms
 * of that type, "none" is none of them, and a public key is never taken for a shared secret.
 */
#ifndef TARN_SCRIPT_JWT_H
#define TARN_SCRIPT_JWT_H

#include "base/limits.h"
#include "base/str.h"

enum jwt_result {
    JWT_OK,
    JWT_MALFORMED,   /* not three parts in strict base64url, header or claims not as they must be */
    JWT_UNSUPPORTED, /* an algorithm that is not known, or extensions that are critical */
    JWT_BAD_KEYS,    /* keys are neither JSON Web Keys nor a secret */
    JWT_NO_KEY,      /* none of them fits */
    JWT_BAD_SIGNATURE,
    JWT_EXPIRED,
    JWT_NOT_YET,
    JWT_RESULT_COUNT,
};

enum { JWT_CLAIMS_MAX = JWT_TOKEN_MAX / 4 * 3 };

/* Verifies `token` with HS256/384/512, RS256/384/512, PS256, ES256, ES384 or EdDSA (Ed25519).
 *
 * `keys` that begin with '{', white space before it or not, are a JWK set or one JWK; keys of it
 * that are not for signatures, or of unknown kinds, are passed over; "kid" and "alg" must be the
 * token's where both have them; at most JWT_TRIES_MAX keys are tried. What begins with '[' or as a
 * PEM file does is refused. Anything else is a shared secret, as it is, which must not be empty.
 *
 * "exp" and "nbf" are checked against now_s, Unix seconds, with JWT_LEEWAY_S of leeway; other
 * claims are the caller's to check. Writes the claims, which are a JSON object of at most
 * JSON_DEPTH_MAX levels, as the token has them. */
enum jwt_result jwt_verify(struct str token, struct str keys, int64_t now_s,
                           char claims[static JWT_CLAIMS_MAX], size_t *claims_len);

#endif
