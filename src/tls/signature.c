#include "tls/signature.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

enum { EXPONENT_LEN_MAX = 8 };

struct hashed {
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len;
};

static bool
hash_message(const EVP_MD *md, struct str message, struct hashed *out)
{
    return EVP_Digest(message.ptr, message.len, out->bytes, &out->len, md, NULL);
}

static BIGNUM *
number(struct str bytes)
{
    return BN_bin2bn((const uint8_t *)bytes.ptr, bytes.len, NULL);
}

/* --- RSA --- */

/* NULL: no such key, or no memory. */
static RSA *
rsa_key(const struct signature_key *key)
{
    if (key->modulus.len > SIGNATURE_RSA_BITS_MAX / 8 || key->exponent.len > EXPONENT_LEN_MAX)
        return NULL;
    RSA *rsa = RSA_new();
    BIGNUM *n = number(key->modulus), *e = number(key->exponent);
    /* Takes both, when it succeeds. */
    if (rsa && n && e && BN_num_bits(n) >= SIGNATURE_RSA_BITS_MIN && RSA_set0_key(rsa, n, e, NULL))
        return rsa;
    BN_free(n);
    BN_free(e);
    RSA_free(rsa);
    return NULL;
}

static bool
verify_rsa(enum signature_scheme scheme, const struct signature_key *key, struct str message,
           struct str signature)
{
    const EVP_MD *md = scheme == SIGNATURE_RS384   ? EVP_sha384()
                       : scheme == SIGNATURE_RS512 ? EVP_sha512()
                                                   : EVP_sha256();
    const uint8_t *bytes = (const uint8_t *)signature.ptr;
    struct hashed hashed;
    RSA *rsa = rsa_key(key);
    bool ok = rsa && hash_message(md, message, &hashed);
    if (ok && scheme == SIGNATURE_PS256)
        ok = RSA_verify_pss_mgf1(rsa, hashed.bytes, hashed.len, md, md, -1, bytes, signature.len);
    else if (ok)
        ok = RSA_verify(EVP_MD_type(md), hashed.bytes, hashed.len, bytes, signature.len, rsa);
    RSA_free(rsa);
    return ok;
}

/* --- ECDSA --- */

static EC_KEY *
ec_key(int curve, struct str x_bytes, struct str y_bytes)
{
    EC_KEY *key = EC_KEY_new_by_curve_name(curve);
    BIGNUM *x = number(x_bytes), *y = number(y_bytes);
    if (key && (!x || !y || !EC_KEY_set_public_key_affine_coordinates(key, x, y))) {
        EC_KEY_free(key);
        key = NULL;
    }
    BN_free(x);
    BN_free(y);
    return key;
}

/* r and s, one behind the other (RFC 7518 section 3.4). */
static ECDSA_SIG *
ec_signature(struct str bytes)
{
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = number(str_first(bytes, bytes.len / 2));
    BIGNUM *s = number(str_skip(bytes, bytes.len / 2));
    if (signature && r && s && ECDSA_SIG_set0(signature, r, s))
        return signature;
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(signature);
    return NULL;
}

static bool
verify_ecdsa(bool is_384, const struct signature_key *key, struct str message, struct str signature)
{
    size_t len = is_384 ? 48 : 32;
    struct hashed hashed;
    if (key->x.len != len || key->y.len != len || signature.len != 2 * len)
        return false;
    EC_KEY *ec = ec_key(is_384 ? NID_secp384r1 : NID_X9_62_prime256v1, key->x, key->y);
    ECDSA_SIG *numbers = ec_signature(signature);
    bool ok = ec && numbers &&
              hash_message(is_384 ? EVP_sha384() : EVP_sha256(), message, &hashed) &&
              ECDSA_do_verify(hashed.bytes, hashed.len, numbers, ec);
    ECDSA_SIG_free(numbers);
    EC_KEY_free(ec);
    return ok;
}

/* --- Ed25519 --- */

static bool
verify_ed25519(const struct signature_key *key, struct str message, struct str signature)
{
    return key->x.len == ED25519_PUBLIC_KEY_LEN && signature.len == ED25519_SIGNATURE_LEN &&
           ED25519_verify((const uint8_t *)message.ptr, message.len, (const uint8_t *)signature.ptr,
                          (const uint8_t *)key->x.ptr);
}

bool
signature_verify(enum signature_scheme scheme, const struct signature_key *key, struct str message,
                 struct str signature)
{
    bool ok = false;
    switch (scheme) {
    case SIGNATURE_RS256:
    case SIGNATURE_RS384:
    case SIGNATURE_RS512:
    case SIGNATURE_PS256:
        ok = verify_rsa(scheme, key, message, signature);
        break;
    case SIGNATURE_ES256:
    case SIGNATURE_ES384:
        ok = verify_ecdsa(scheme == SIGNATURE_ES384, key, message, signature);
        break;
    case SIGNATURE_ED25519:
        ok = verify_ed25519(key, message, signature);
        break;
    }
    /* Each reason is put into a queue of the thread, where the next TLS connection would find it.
     */
    ERR_clear_error();
    return ok;
}
