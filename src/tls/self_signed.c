#include "tls/self_signed.h"

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdbool.h>

enum { SERIAL_LEN = 16, SKEW_S = 3600, DAY_S = 24 * 3600 };

/* No key usage: with one that does not allow signing certificates, verifiers would not take it for
 * its own issuer, and nobody could be told to trust it. */
static const struct {
    int nid;
    const char *value;
} extensions[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1"},
};

static EVP_PKEY *
make_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    if (!ec || !key || !EC_KEY_generate_key(ec) || !EVP_PKEY_set1_EC_KEY(key, ec)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EC_KEY_free(ec);
    return key;
}

static bool
set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_LEN];
    RAND_bytes(bytes, sizeof bytes);
    bytes[0] = (bytes[0] & 0x3f) | 0x40; /* positive, and of one length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return done;
}

static bool
set_names(X509 *cert)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                      (const uint8_t *)"localhost", -1, -1, 0) &&
           X509_set_issuer_name(cert, name);
}

static bool
add_extensions(X509 *cert)
{
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        X509_EXTENSION *extension =
            X509V3_EXT_nconf_nid(NULL, NULL, extensions[i].nid, extensions[i].value);
        bool done = extension && X509_add_ext(cert, extension, -1);
        X509_EXTENSION_free(extension);
        if (!done)
            return false;
    }
    return true;
}

static bool
fill(X509 *cert, EVP_PKEY *key, int64_t now_s)
{
    return X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
           ASN1_TIME_set(X509_getm_notBefore(cert), now_s - SKEW_S) &&
           ASN1_TIME_set(X509_getm_notAfter(cert), now_s + SELF_SIGNED_DAYS * DAY_S) &&
           set_names(cert) && X509_set_pubkey(cert, key) && add_extensions(cert) &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

int
tls_self_signed_make(CRYPTO_BUFFER **out, EVP_PKEY **out_key, int64_t now_s, struct error *error)
{
    uint8_t *der = NULL;
    int der_len = -1;
    EVP_PKEY *key = make_key();
    X509 *cert = X509_new();
    *out = NULL;
    if (key && cert && fill(cert, key, now_s))
        der_len = i2d_X509(cert, &der);
    if (der_len > 0)
        *out = CRYPTO_BUFFER_new(der, (size_t)der_len, NULL);
    OPENSSL_free(der);
    X509_free(cert);
    ERR_clear_error();
    if (!*out) {
        EVP_PKEY_free(key);
        return error_set(error, "cannot make a self-signed certificate: the TLS library failed");
    }
    *out_key = key;
    return 0;
}
