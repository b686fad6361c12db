/* What went wrong with a stream, in the words of tarn's metrics; for clients see client_failure.c.
 */
#include "tls/stream_internal.h"

#include "tls/client_internal.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static const struct {
    uint16_t reason; /* SSL_R_* */
    uint8_t failure;
} reasons[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAILURE_VERSION},
    {SSL_R_INAPPROPRIATE_FALLBACK, TLS_FAILURE_VERSION},
    {SSL_R_NO_SHARED_CIPHER, TLS_FAILURE_CIPHER},
    {SSL_R_NO_SHARED_GROUP, TLS_FAILURE_CIPHER},
    {SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS, TLS_FAILURE_CIPHER},
    {SSL_R_WRONG_CURVE, TLS_FAILURE_CIPHER},
    {SSL_R_NO_APPLICATION_PROTOCOL, TLS_FAILURE_ALPN},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAILURE_CLIENT_CERT},
    {SSL_R_CERTIFICATE_VERIFY_FAILED, TLS_FAILURE_CLIENT_CERT},
    {SSL_R_HTTP_REQUEST, TLS_FAILURE_PLAIN_HTTP},
    {SSL_R_HTTPS_PROXY_REQUEST, TLS_FAILURE_PLAIN_HTTP},
};

static enum tls_failure
classify(uint32_t error)
{
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return reason == ERR_R_MALLOC_FAILURE ? TLS_FAILURE_OTHER : TLS_FAILURE_MALFORMED;
    if (reason >= SSL_AD_REASON_OFFSET)
        return TLS_FAILURE_PEER_ALERT;
    if (reason < ERR_NUM_LIBS || reason == ERR_R_MALLOC_FAILURE || reason == ERR_R_INTERNAL_ERROR ||
        reason == SSL_R_CONNECTION_REJECTED)
        return TLS_FAILURE_OTHER;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].reason == reason)
            return reasons[i].failure;
    }
    return TLS_FAILURE_MALFORMED;
}

void
tls_stream_fail(struct tls_stream *stream)
{
    uint32_t error = ERR_peek_error(); /* the first: those behind it say where it was noticed */
    const char *text = error ? ERR_reason_error_string(error) : NULL;
    bool in_handshake = stream->state == STREAM_HANDSHAKE;
    stream->state = STREAM_FAILED;
    stream->in_len = 0;
    if (stream->client) {
        tls_client_failed(stream, in_handshake);
        return;
    }
    stream->failure = error ? classify(error) : TLS_FAILURE_MALFORMED;
    stream->failure_text = text ? text : "no reason given";
    /* Before it has the keys, or when it does not use them, a client's alert comes in the clear,
     * and to the library it is a broken record. */
    if (stream->record_type == SSL3_RT_ALERT)
        stream->failure = TLS_FAILURE_PEER_ALERT;
    if (stream->name_is_refused && stream->failure != TLS_FAILURE_VERSION) {
        stream->failure = TLS_FAILURE_NAME;
        stream->failure_text = "no certificate for the server name";
    }
    if (stream->wants_relay) {
        stream->failure = TLS_FAILURE_NAME;
        stream->failure_text = "the server name belongs to whoever the relay reaches";
    }
    ERR_clear_error();
}

enum tls_failure
tls_stream_failure(const struct tls_stream *stream)
{
    return stream->failure;
}

const char *
tls_stream_failure_text(const struct tls_stream *stream)
{
    if (stream->client && stream->client->text)
        return stream->client->text;
    return stream->failure_text ? stream->failure_text : "";
}

const char *
tls_failure_name(enum tls_failure failure)
{
    static const char *const names[] = {
#define X(name, text) [TLS_FAILURE_##name] = text,
        TLS_FAILURE_TABLE(X)
#undef X
    };
    return names[failure];
}
