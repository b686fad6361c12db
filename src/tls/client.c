#include "tls/client_internal.h"

#include "base/limits.h"
#include "base/must.h"
#include "tls/certs_internal.h"
#include "tls/names.h"
#include "tls/protocol.h"
#include "tls/stream_internal.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <time.h>

/* One SSL_CTX, and its store of trusted certificates, serve all streams of a client; the library
 * allows both to be used by many threads. The host is the stream's, and compared in
 * client_verify.c, which also finds the words for what is wrong.
 */

/* --- sessions --- */

/* A session with a new ticket, or of a TLS 1.2 handshake that is done. Taken. */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_stream *stream = SSL_get_app_data(ssl);
    const struct tls_client_side *side = stream->client;
    const X509 *leaf = SSL_SESSION_get0_peer(session);
    int64_t until_s = INT64_MAX;
    if (!side->client->insecure)
        until_s = leaf ? tls_seconds_of(X509_get0_notAfter(leaf)) : 0;
    tls_sessions_put(side->client->sessions, side->host, side->port, session, until_s);
    return 1;
}

static void
offer_session(struct tls_stream *stream)
{
    const struct tls_client_side *side = stream->client;
    SSL_SESSION *session =
        tls_sessions_take(side->client->sessions, side->host, side->port, time(NULL));
    if (session)
        SSL_set_session(stream->ssl, session);
    SSL_SESSION_free(session);
}

/* The first error of the queue that is of TLS itself, and not of what it is made of; else the
 * first. 0: none. */
static uint32_t
first_error(void)
{
    uint32_t first = ERR_get_error(), error = first;
    while (error && ERR_GET_LIB(error) != ERR_LIB_SSL)
        error = ERR_get_error();
    ERR_clear_error();
    return error ? error : first;
}

void
tls_client_failed(struct tls_stream *stream, bool in_handshake)
{
    struct tls_client_side *side = stream->client;
    stream->failure = TLS_FAILURE_OTHER;
    stream->failure_text = "no memory for the reason";
    tls_client_explain(side, first_error(), in_handshake);
    /* It may have failed for the session that it was to resume. */
    if (in_handshake)
        tls_sessions_forget(side->client->sessions, side->host, side->port);
}

/* --- life --- */

static int
set_protocols(SSL_CTX *ctx, const struct tls_client_config *config, struct error *error)
{
    uint8_t list[TLS_CLIENT_PROTOCOLS_MAX * 256];
    unsigned len = 0;
    must(config->protocol_count <= TLS_CLIENT_PROTOCOLS_MAX);
    for (unsigned i = 0; i < config->protocol_count; i++) {
        struct str name = str_from_cstr(config->protocols[i]);
        must(name.len > 0 && name.len < 256);
        list[len] = (uint8_t)name.len;
        memcpy(list + len + 1, name.ptr, name.len);
        len += 1 + (unsigned)name.len;
    }
    if (len && SSL_CTX_set_alpn_protos(ctx, list, len) != 0)
        return error_set(error, "no memory for TLS");
    return 0;
}

/* Ed25519 is not among what the library takes by itself, SHA-1 is. */
static int
set_signatures(SSL_CTX *ctx, struct error *error)
{
    static const uint16_t algorithms[] = {
        SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
        SSL_SIGN_RSA_PSS_RSAE_SHA256,    SSL_SIGN_RSA_PKCS1_SHA256,
        SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA384,
        SSL_SIGN_RSA_PKCS1_SHA384,       SSL_SIGN_ECDSA_SECP521R1_SHA512,
        SSL_SIGN_RSA_PSS_RSAE_SHA512,    SSL_SIGN_RSA_PKCS1_SHA512,
    };
    if (!SSL_CTX_set_verify_algorithm_prefs(ctx, algorithms,
                                            sizeof algorithms / sizeof algorithms[0]))
        return error_set(error, "the TLS library refused signature algorithms");
    return 0;
}

static int
set_trust(struct tls_client *client, const struct tls_client_config *config, struct error *error)
{
    X509_STORE *store = SSL_CTX_get_cert_store(client->ctx);
    /* As curl does: whatever the bundle names is trusted, root or not. */
    X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    if (config->ca_file) {
        if (tls_trust_file(store, config->ca_file, error) < 0)
            return error_prefix(error, "%s", config->ca_option);
    } else if (!config->insecure && tls_trust_system(store, config->ca_option, error) < 0) {
        client->problem = strdup(error->text);
        if (!client->problem)
            return error_set(error, "no memory for TLS");
    }
    return 0;
}

static int
client_fill(struct tls_client *client, const struct tls_client_config *config, struct error *error)
{
    client->ctx = SSL_CTX_new(TLS_method());
    client->sessions = tls_sessions_new();
    if (!client->ctx || !client->sessions)
        return error_set(error, "no memory for TLS");
    if (tls_protocol_set(client->ctx, true, error) < 0 || set_signatures(client->ctx, error) < 0 ||
        set_protocols(client->ctx, config, error) < 0 || set_trust(client, config, error) < 0)
        return -1;
    SSL_CTX_set_verify(client->ctx, config->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(client->ctx, TLS_CHAIN_MAX);
    if (!config->insecure)
        SSL_CTX_set_cert_verify_callback(client->ctx, tls_client_verify, NULL);
    SSL_CTX_set_session_cache_mode(client->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client->ctx, keep_session);
    return 0;
}

int
tls_client_new(struct tls_client **out, const struct tls_client_config *config, struct error *error)
{
    struct tls_client *client = calloc(1, sizeof *client);
    if (!client)
        return error_set(error, "no memory for TLS");
    client->ref_count = 1;
    client->insecure = config->insecure;
    int result = client_fill(client, config, error);
    ERR_clear_error();
    if (result < 0)
        tls_client_unref(client);
    else
        *out = client;
    return result;
}

struct tls_client *
tls_client_ref(struct tls_client *client)
{
    atomic_fetch_add_explicit(&client->ref_count, 1, memory_order_relaxed);
    return client;
}

void
tls_client_unref(struct tls_client *client)
{
    if (!client || atomic_fetch_sub_explicit(&client->ref_count, 1, memory_order_acq_rel) > 1)
        return;
    tls_sessions_free(client->sessions);
    SSL_CTX_free(client->ctx);
    free(client->problem);
    free(client);
}

const char *
tls_client_problem(const struct tls_client *client)
{
    return client->problem;
}

/* --- streams --- */

static struct tls_client_side *
side_new(struct tls_client *client, const struct tls_name *host, uint16_t port)
{
    struct tls_client_side *side = calloc(1, sizeof *side);
    char *copy = strndup(host->key.ptr, host->key.len);
    if (!side || !copy) {
        free(side);
        free(copy);
        return NULL;
    }
    side->client = tls_client_ref(client);
    side->host = str_make(copy, host->key.len); /* with a NUL behind it */
    side->port = port;
    return side;
}

void
tls_client_side_free(struct tls_client_side *side)
{
    if (!side)
        return;
    tls_client_unref(side->client);
    free((char *)side->host.ptr);
    free(side->text);
    free(side);
}

static void
fail_at_once(struct tls_stream *stream, enum tls_client_failure failure, const char *text)
{
    tls_client_fail(stream->client, failure, "%s", text);
    stream->state = STREAM_FAILED;
    stream->failure = TLS_FAILURE_OTHER;
    stream->failure_text = "no memory for the reason";
}

/* False: no memory. */
static bool
begin(struct tls_stream *stream, const struct tls_name *host)
{
    /* An address is no server name (RFC 6066 section 3). */
    if (!host->is_address && !SSL_set_tlsext_host_name(stream->ssl, stream->client->host.ptr))
        return false;
    offer_session(stream);
    return true;
}

struct tls_stream *
tls_stream_new_client(struct tls_client *client, struct str host, uint16_t port)
{
    struct tls_name name;
    tls_name_of_host(&name, host);
    struct tls_stream *stream = tls_stream_make(client->ctx);
    if (!stream)
        return NULL;
    SSL_set_connect_state(stream->ssl);
    stream->client = side_new(client, &name, port);
    if (stream->client && name.key.len == 0)
        fail_at_once(stream, TLS_CLIENT_FAILURE_NAME, "no certificate can be for this host name");
    else if (stream->client && client->problem)
        fail_at_once(stream, TLS_CLIENT_FAILURE_NO_CA, client->problem);
    else if (!stream->client || !begin(stream, &name)) {
        ERR_clear_error();
        tls_stream_free(stream);
        return NULL;
    }
    return stream;
}
