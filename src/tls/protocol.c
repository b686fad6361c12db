#include "tls/protocol.h"

#include <openssl/aead.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>

/* The order for TLS 1.2. In TLS 1.3 the library decides and cannot be told: with AES in the CPU the
 * client's order holds (browsers put AES-128-GCM first, OpenSSL AES-256-GCM), without it ChaCha20
 * goes first. */
#define SUITES_AES                                               \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define SUITES_CHACHA "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

int
tls_protocol_set(SSL_CTX *ctx, bool allow_tls12, struct error *error)
{
    static const int groups[] = {NID_X25519, NID_X9_62_prime256v1, NID_secp384r1};
    const char *suites =
        EVP_has_aes_hardware() ? SUITES_AES ":" SUITES_CHACHA : SUITES_CHACHA ":" SUITES_AES;
    if (!SSL_CTX_set_min_proto_version(ctx, allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_strict_cipher_list(ctx, suites) ||
        !SSL_CTX_set1_curves(ctx, groups, sizeof groups / sizeof groups[0]))
        return error_set(error, "the TLS library refused versions, suites or groups");
    /* A record is begun only when there is room for all of it; should that ever fail, the call is
     * repeated with other memory. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return 0;
}
