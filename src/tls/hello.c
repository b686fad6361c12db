/* hello: what happens when the ClientHello is there: names, certificate, protocol, tickets.
 *
 * BoringSSL asks in this order: the message callback, for every message, with ECH still closed;
 * then, with ECH opened, the certificate callback, where everything is decided; then, version and
 * extensions checked, the server name callback, which alone can send an alert of our choice; ALPN;
 * at last the tickets.
 */
#include "tls/stream_internal.h"

#include "base/limits.h"
#include "http/client_hello.h"

#include <openssl/ssl.h>

#include <stdlib.h>
#include <time.h>

/* --- names --- */

/* A copy of the name, NUL-terminated. NULL: empty, or no memory. */
static char *
copy_name(const struct tls_name *name)
{
    return name->key.len ? strndup(name->key.ptr, name->key.len) : NULL;
}

/* An address is no server name (RFC 6066 section 3); some clients send one all the same. */
static void
drop_address(struct tls_name *name)
{
    if (name->is_address)
        name->key.len = 0;
}

/* The first message, before ECH is opened: the name in it is the one in the clear. */
static void
take_outer_name(struct tls_stream *stream, const void *bytes, size_t len)
{
    struct client_hello hello;
    struct tls_name name;
    stream->saw_hello = true;
    if (!client_hello_parse(&hello, bytes, len))
        return;
    tls_name_of_host(&name, hello.sni);
    drop_address(&name);
    stream->outer_sni = copy_name(&name);
}

/* Sees every record and message of the handshake. */
static void
watch_handshake(int is_write, int version, int content_type, const void *bytes, size_t len,
                SSL *ssl, void *arg)
{
    struct tls_stream *stream = arg;
    if (is_write)
        return;
    if (content_type == SSL3_RT_HEADER && len > 0)
        stream->record_type = *(const uint8_t *)bytes;
    else if (content_type == SSL3_RT_HANDSHAKE && !stream->saw_hello && stream->context->ech)
        take_outer_name(stream, bytes, len);
}

/* --- the certificate --- */

static bool
set_cert(SSL *ssl, const struct tls_cert *cert)
{
    return SSL_set_chain_and_key(ssl, cert->chain, cert->chain_count, cert->key, NULL) &&
           (cert->ocsp.len == 0 ||
            SSL_set_ocsp_response(ssl, (const uint8_t *)cert->ocsp.ptr, cert->ocsp.len));
}

static void
keep_hello(struct tls_stream *stream, const SSL_CLIENT_HELLO *hello)
{
    if (hello->client_hello_len > TLS_HELLO_KEPT_MAX)
        return;
    stream->hello = malloc(hello->client_hello_len);
    if (!stream->hello)
        return;
    memcpy(stream->hello, hello->client_hello, hello->client_hello_len);
    stream->hello_len = (uint32_t)hello->client_hello_len;
}

static void
forget_fed(struct tls_stream *stream)
{
    stream->keeps_fed = false;
    buf_deinit(&stream->fed);
    buf_clear(&stream->fed);
}

static enum ssl_select_cert_result_t
choose_cert(const SSL_CLIENT_HELLO *hello)
{
    SSL *ssl = hello->ssl;
    struct tls_stream *stream = SSL_get_app_data(ssl);
    const struct tls_context *context = stream->context;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct tls_name name;
    keep_hello(stream, hello);
    tls_name_of_host(&name, str_from_cstr(asked));
    bool is_named = asked && !name.is_address;
    drop_address(&name);
    stream->sni = copy_name(&name);
    if (name.key.len && !stream->sni)
        return ssl_select_cert_error;
    const struct tls_cert *cert = tls_names_find(context->names, &name, time(NULL));
    stream->name_is_covered = cert != NULL;
    if (!cert && stream->keeps_fed && !SSL_ech_accepted(ssl) &&
        tls_context_is_public_name(context, &name)) {
        /* The handshake stops here, without an alert. */
        stream->wants_relay = true;
        return ssl_select_cert_retry;
    }
    forget_fed(stream);
    if (!cert && (!is_named || context->default_for_all))
        cert = context->default_cert;
    stream->cert = cert;
    stream->name_is_refused = !cert;
    return cert && !set_cert(ssl, cert) ? ssl_select_cert_error : ssl_select_cert_success;
}

static int
check_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_stream *stream = SSL_get_app_data(ssl);
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return stream->name_is_refused ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK;
}

/* --- protocol --- */

static int
choose_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *offered,
                unsigned offered_len, void *arg)
{
    static const uint8_t ours[] = "\x02h2\x08http/1.1";
    uint8_t *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* --- tickets: each is bound to the server name it was given under --- */

static size_t
ticket_overhead(SSL *ssl)
{
    return TLS_TICKET_OVERHEAD;
}

static int
ticket_seal(SSL *ssl, uint8_t *out, size_t *out_len, size_t out_max, const uint8_t *in,
            size_t in_len)
{
    const struct tls_stream *stream = SSL_get_app_data(ssl);
    /* A client's chain is part of the session. One that is too large gets a ticket that opens
     * nothing: the library knows no way to send none. */
    if (in_len > TLS_TICKET_PLAIN_MAX) {
        memset(out, 0, TLS_TICKET_OVERHEAD);
        *out_len = TLS_TICKET_OVERHEAD;
        return 1;
    }
    return tls_tickets_seal(stream->context->tickets, str_from_cstr(stream->sni),
                            str_make((const char *)in, in_len), out, out_len);
}

static enum ssl_ticket_aead_result_t
ticket_open(SSL *ssl, uint8_t *out, size_t *out_len, size_t out_max, const uint8_t *in,
            size_t in_len)
{
    const struct tls_stream *stream = SSL_get_app_data(ssl);
    return tls_tickets_open(stream->context->tickets, str_from_cstr(stream->sni),
                            str_make((const char *)in, in_len), out, out_len)
               ? ssl_ticket_aead_success
               : ssl_ticket_aead_ignore_ticket;
}

static const SSL_TICKET_AEAD_METHOD ticket_method = {ticket_overhead, ticket_seal, ticket_open};

void
tls_hello_set_callbacks(SSL_CTX *ctx)
{
    const struct tls_context *context = SSL_CTX_get_app_data(ctx);
    SSL_CTX_set_msg_callback(ctx, watch_handshake);
    SSL_CTX_set_select_certificate_cb(ctx, choose_cert);
    SSL_CTX_set_tlsext_servername_callback(ctx, check_name);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (context->tickets)
        SSL_CTX_set_ticket_aead_method(ctx, &ticket_method);
    else
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}
