/* Why a client's stream failed, in words for whoever runs it. */
#include "tls/client_internal.h"

#include "tls/stream_internal.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
tls_client_fail(struct tls_client_side *side, enum tls_client_failure failure, const char *format,
                ...)
{
    va_list args;
    if (side->failure != TLS_CLIENT_FAILURE_NONE)
        return;
    side->failure = (uint8_t)failure;
    va_start(args, format);
    if (vasprintf(&side->text, format, args) < 0)
        side->text = NULL;
    va_end(args);
}

/* "UNEXPECTED_MESSAGE" -> "unexpected message" */
static void
explain_protocol(struct tls_client_side *side, const char *reason)
{
    char text[128];
    snprintf(text, sizeof text, "%s", reason ? reason : "no reason given");
    for (char *c = text; *c; c++)
        *c = *c == '_' ? ' ' : (char)tolower((unsigned char)*c);
    tls_client_fail(side, TLS_CLIENT_FAILURE_MALFORMED, "the peer broke the TLS protocol: %s",
                    text);
}

/* What came instead of a TLS record. */
static void
explain_start(struct tls_client_side *side)
{
    struct str start = str_make(side->start, side->start_len);
    if (str_eq(start, STR("HTTP/")))
        tls_client_fail(side, TLS_CLIENT_FAILURE_NOT_TLS, "the peer speaks plain HTTP, not TLS");
    else
        tls_client_fail(side, TLS_CLIENT_FAILURE_NOT_TLS, "the peer does not speak TLS");
}

/* Whether the first record is one: a type, and a version whose first byte is that of all. */
static bool
starts_with_record(const struct tls_client_side *side)
{
    uint8_t type = (uint8_t)side->start[0];
    return side->start_len < 2 ||
           (type >= SSL3_RT_CHANGE_CIPHER_SPEC && type <= SSL3_RT_APPLICATION_DATA &&
            side->start[1] == SSL3_VERSION_MAJOR);
}

static void
explain_alert(struct tls_client_side *side, int alert, bool in_handshake)
{
    tls_client_fail(side,
                    alert == SSL_AD_PROTOCOL_VERSION ? TLS_CLIENT_FAILURE_VERSION
                                                     : TLS_CLIENT_FAILURE_PEER_ALERT,
                    "%s by peer: %s", in_handshake ? "handshake refused" : "connection broken off",
                    SSL_alert_desc_string_long(alert));
}

void
tls_client_explain(struct tls_client_side *side, uint32_t error, bool in_handshake)
{
    int reason = ERR_GET_REASON(error);
    bool is_ssl = ERR_GET_LIB(error) == ERR_LIB_SSL;
    if (!starts_with_record(side))
        explain_start(side);
    else if (reason == ERR_R_MALLOC_FAILURE || (is_ssl && reason == ERR_R_INTERNAL_ERROR))
        tls_client_fail(side, TLS_CLIENT_FAILURE_OTHER,
                        "no memory, or an error in the TLS library");
    else if (is_ssl && reason >= SSL_AD_REASON_OFFSET)
        explain_alert(side, reason - SSL_AD_REASON_OFFSET, in_handshake);
    else if (is_ssl && reason == SSL_R_UNSUPPORTED_PROTOCOL)
        tls_client_fail(side, TLS_CLIENT_FAILURE_VERSION, "the peer speaks no TLS 1.2 or 1.3");
    else if (!error)
        tls_client_fail(side, TLS_CLIENT_FAILURE_PEER_ALERT, "the peer ended the handshake");
    else
        explain_protocol(side, ERR_reason_error_string(error));
}

enum tls_client_failure
tls_stream_client_failure(const struct tls_stream *stream)
{
    const struct tls_client_side *side = stream->client;
    if (stream->state != STREAM_FAILED || !side)
        return TLS_CLIENT_FAILURE_NONE;
    return side->failure ? side->failure : TLS_CLIENT_FAILURE_OTHER;
}

const char *
tls_client_failure_name(enum tls_client_failure failure)
{
    static const char *const names[] = {
#define X(name, text) [TLS_CLIENT_FAILURE_##name] = text,
        TLS_CLIENT_FAILURE_TABLE(X)
#undef X
    };
    return names[failure];
}
