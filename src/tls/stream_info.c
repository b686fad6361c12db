/* What is known of a stream after its handshake. */
#include "tls/stream_internal.h"

#include "base/hex.h"
#include "tls/ja4.h"

#include <openssl/bio.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdlib.h>

struct str
tls_stream_alpn(const struct tls_stream *stream)
{
    const uint8_t *name;
    unsigned len;
    SSL_get0_alpn_selected(stream->ssl, &name, &len);
    return str_make((const char *)name, len);
}

struct str
tls_stream_sni(const struct tls_stream *stream)
{
    return str_from_cstr(stream->sni);
}

struct str
tls_stream_outer_sni(const struct tls_stream *stream)
{
    return str_from_cstr(tls_stream_ech_accepted(stream) ? stream->outer_sni : stream->sni);
}

bool
tls_stream_ech_accepted(const struct tls_stream *stream)
{
    return SSL_ech_accepted(stream->ssl);
}

bool
tls_stream_has_ech_keys(const struct tls_stream *stream)
{
    return stream->context && stream->context->ech;
}

bool
tls_stream_resumed(const struct tls_stream *stream)
{
    return SSL_session_reused(stream->ssl);
}

bool
tls_stream_is_early(const struct tls_stream *stream)
{
    return SSL_in_early_data(stream->ssl);
}

const char *
tls_stream_version(const struct tls_stream *stream)
{
    return SSL_get_version(stream->ssl);
}

const char *
tls_stream_cipher(const struct tls_stream *stream)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(stream->ssl);
    return cipher ? SSL_CIPHER_standard_name(cipher) : "";
}

/* Asked for each request, and mostly for the same host: what was covered last is remembered. */
bool
tls_stream_covers(struct tls_stream *stream, struct str host)
{
    if (stream->name_is_covered && str_ieq(host, tls_stream_sni(stream)))
        return true;
    if (host.len && str_eq(host, str_make(stream->covered, stream->covered_len)))
        return true;
    if (!stream->cert || !tls_cert_covers(stream->cert, host))
        return false;
    if (host.len <= sizeof stream->covered) {
        memcpy(stream->covered, host.ptr, host.len);
        stream->covered_len = (uint8_t)host.len;
    }
    return true;
}

/* The client's certificate; the caller's. NULL: none. */
static X509 *
client_cert(const struct tls_stream *stream)
{
    return SSL_get_verify_result(stream->ssl) == X509_V_OK ? SSL_get_peer_certificate(stream->ssl)
                                                           : NULL;
}

/* Takes the certificate. */
static struct str
write_name(X509 *cert, X509_NAME *(*name_of)(const X509 *cert), char *out, size_t out_len)
{
    BIO *bio = cert ? BIO_new(BIO_s_mem()) : NULL;
    const uint8_t *text = NULL;
    size_t len = 0;
    if (bio && X509_NAME_print_ex(bio, name_of(cert), 0, XN_FLAG_RFC2253) >= 0)
        BIO_mem_contents(bio, &text, &len);
    if (len > out_len)
        len = out_len;
    if (len)
        memcpy(out, text, len);
    BIO_free(bio);
    X509_free(cert);
    ERR_clear_error();
    return str_make(out, len);
}

struct str
tls_stream_client_subject(const struct tls_stream *stream, char *out, size_t out_len)
{
    return write_name(client_cert(stream), X509_get_subject_name, out, out_len);
}

struct str
tls_stream_client_issuer(const struct tls_stream *stream, char *out, size_t out_len)
{
    return write_name(client_cert(stream), X509_get_issuer_name, out, out_len);
}

struct str
tls_stream_client_serial(const struct tls_stream *stream, char *out, size_t out_len)
{
    X509 *cert = client_cert(stream);
    const ASN1_INTEGER *serial = cert ? X509_get0_serialNumber(cert) : NULL;
    struct str bytes = {0};
    if (serial)
        bytes = str_make((const char *)ASN1_STRING_get0_data(serial),
                         (size_t)ASN1_STRING_length(serial));
    bytes = str_first(bytes, out_len / 2);
    hex_encode(bytes, false, out);
    X509_free(cert);
    return str_make(out, 2 * bytes.len);
}

static struct str
write_fingerprint(const X509 *cert, char out[65])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (cert && !X509_digest(cert, EVP_sha256(), digest, &len))
        len = 0;
    ERR_clear_error();
    hex_encode(str_make((const char *)digest, len), false, out);
    out[2 * len] = '\0';
    return str_make(out, 2 * len);
}

struct str
tls_stream_client_fingerprint(const struct tls_stream *stream, char out[65])
{
    X509 *cert = client_cert(stream);
    struct str text = write_fingerprint(cert, out);
    X509_free(cert);
    return text;
}

struct str
tls_stream_client_chain_fingerprint(const struct tls_stream *stream, unsigned at, char out[65])
{
    X509 *own = client_cert(stream);
    const STACK_OF(X509) *chain = own ? SSL_get_peer_full_cert_chain(stream->ssl) : NULL;
    bool is_there = chain && at < sk_X509_num(chain);
    X509_free(own);
    return write_fingerprint(is_there ? sk_X509_value(chain, at) : NULL, out);
}

struct str
tls_stream_ja4(struct tls_stream *stream)
{
    struct client_hello hello;
    if (stream->hello) {
        if (client_hello_parse_body(&hello, stream->hello, stream->hello_len))
            ja4_compute(&hello, stream->ja4);
        free(stream->hello);
        stream->hello = NULL;
    }
    return str_from_cstr(stream->ja4);
}
