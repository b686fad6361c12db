#include "tls/context_internal.h"

#include "base/limits.h"
#include "base/must.h"
#include "tls/certs_internal.h"
#include "tls/pem.h"
#include "tls/protocol.h"

#include <openssl/err.h>
#include <openssl/hpke.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdlib.h>
#include <time.h>

/* One SSL_CTX serves all certificates of a context. It holds what is the same for everyone:
 * versions, suites, groups, who may be a client, tickets, ECH keys. The certificate is set on each
 * connection when its ClientHello is known (hello.c).
 */

static int
set_protocol(SSL_CTX *ctx, const struct tls_config *config, struct error *error)
{
    if (tls_protocol_set(ctx, config->allow_tls12, error) < 0)
        return -1;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TLS_TICKET_LIFE_S);
    SSL_CTX_set_session_psk_dhe_timeout(ctx, TLS_TICKET_LIFE_S);
    SSL_CTX_set_early_data_enabled(ctx, config->early_data);
    return 0;
}

/* --- client certificates --- */

static int
add_client_ca(SSL_CTX *ctx, X509_STORE *store, CRYPTO_BUFFER *der, size_t *names_len)
{
    X509 *cert = X509_parse_from_buffer(der);
    int name_len = cert ? i2d_X509_NAME(X509_get_subject_name(cert), NULL) : -1;
    bool done =
        name_len > 0 && X509_STORE_add_cert(store, cert) && SSL_CTX_add_client_CA(ctx, cert);
    *names_len += done ? (size_t)name_len + 2 : 0;
    X509_free(cert);
    return done ? 0 : -1;
}

static int
add_client_cas(SSL_CTX *ctx, X509_STORE *store, const struct pem_content *bundle, const char *path,
               struct error *error)
{
    size_t names_len = 0;
    if (bundle->cert_count == 0)
        return error_set(error, "--client-ca %s: no PEM certificate in it", path);
    for (size_t i = 0; i < bundle->cert_count; i++) {
        if (add_client_ca(ctx, store, bundle->certs[i], &names_len) < 0)
            return error_set(error, "--client-ca %s: certificate %zu in it cannot be read", path,
                             i + 1);
    }
    if (names_len > TLS_CLIENT_NAMES_MAX)
        return error_set(error,
                         "--client-ca %s: the names in it have %zu bytes, at most %d can be sent "
                         "to clients",
                         path, names_len, TLS_CLIENT_NAMES_MAX);
    return 0;
}

/* A session belongs to this kind of client authentication: one that was begun under other rules,
 * or under no rules at all, is not resumed. */
static void
hash_auth(const struct tls_config *config, const struct pem_content *bundle,
          uint8_t out[SHA256_DIGEST_LENGTH])
{
    SHA256_CTX hash;
    const uint8_t kind = (uint8_t)config->client_auth;
    SHA256_Init(&hash);
    SHA256_Update(&hash, &kind, 1);
    for (size_t i = 0; i < bundle->cert_count; i++)
        SHA256_Update(&hash, CRYPTO_BUFFER_data(bundle->certs[i]),
                      CRYPTO_BUFFER_len(bundle->certs[i]));
    SHA256_Final(out, &hash);
}

static int
read_client_ca(SSL_CTX *ctx, const struct tls_config *config, struct pem_content *bundle,
               struct error *error)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        return error_set(error, "--client-ca: no memory");
    SSL_CTX_set0_verify_cert_store(ctx, store); /* takes it */
    if (pem_read(bundle, config->client_ca, TLS_CLIENT_CAS_MAX, error) < 0)
        return error_prefix(error, "--client-ca");
    return add_client_cas(ctx, store, bundle, config->client_ca, error);
}

static int
set_client_auth(SSL_CTX *ctx, const struct tls_config *config, struct error *error)
{
    struct pem_content bundle = {0};
    uint8_t id[SHA256_DIGEST_LENGTH];
    bool wanted = config->client_auth != TLS_CLIENT_NONE;
    if (wanted != (config->client_ca != NULL))
        return error_set(error, "--client-auth and --client-ca need each other");
    if (wanted && read_client_ca(ctx, config, &bundle, error) < 0) {
        pem_deinit(&bundle);
        return -1;
    }
    hash_auth(config, &bundle, id);
    pem_deinit(&bundle);
    SSL_CTX_set_session_id_context(ctx, id, sizeof id);
    if (wanted)
        SSL_CTX_set_verify(
            ctx,
            SSL_VERIFY_PEER |
                (config->client_auth == TLS_CLIENT_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
            NULL);
    return 0;
}

/* --- ECH --- */

static bool
add_ech_key(SSL_ECH_KEYS *keys, const struct ech_pair *pair)
{
    EVP_HPKE_KEY key;
    EVP_HPKE_KEY_zero(&key);
    bool done =
        EVP_HPKE_KEY_init(&key, EVP_hpke_x25519_hkdf_sha256(), pair->private_key,
                          sizeof pair->private_key) &&
        SSL_ECH_KEYS_add(keys, 1, (const uint8_t *)pair->config.ptr, pair->config.len, &key);
    EVP_HPKE_KEY_cleanup(&key);
    return done;
}

static int
set_ech(struct tls_context *context, const struct tls_config *config, const struct tls_notes *notes,
        struct error *error)
{
    if (!config->ech_keys)
        return 0;
    if (ech_keys_load(&context->ech, config->ech_keys, error) < 0)
        return error_prefix(error, "--ech-key");
    SSL_ECH_KEYS *keys = SSL_ECH_KEYS_new();
    bool done = keys != NULL;
    for (unsigned i = 0; i < ech_keys_count(context->ech) && done; i++)
        done = add_ech_key(keys, ech_keys_at(context->ech, i));
    done = done && SSL_CTX_set1_ech_keys(context->ctx, keys);
    SSL_ECH_KEYS_free(keys);
    if (!done)
        return error_set(error, "--ech-key %s: the TLS library refused a key", config->ech_keys);
    tls_note(notes, false, "ech=\"%.*s\"", STR_ARG(ech_keys_list_base64(context->ech)));
    context->relay = config->relay;
    return 0;
}

bool
tls_context_is_public_name(const struct tls_context *context, const struct tls_name *host)
{
    for (unsigned i = 0; context->ech && i < ech_keys_count(context->ech); i++) {
        if (str_ieq(ech_keys_at(context->ech, i)->public_name, host->key))
            return true;
    }
    return false;
}

/* --- certificates --- */

static int
read_certs(struct tls_context *context, const struct tls_config *config,
           const struct tls_notes *notes, struct error *error)
{
    for (size_t i = 0; i < config->pair_count; i++) {
        if (tls_certs_add_pair(&context->certs, config->cert_files[i], config->key_files[i], notes,
                               error) < 0)
            return -1;
    }
    if (config->cert_dir && tls_certs_add_dir(&context->certs, config->cert_dir, notes, error) < 0)
        return -1;
    if (config->self_signed && tls_certs_add_self_signed(&context->certs, notes, error) < 0)
        return -1;
    if (context->certs.count == 0)
        return error_set(error, "TLS needs a certificate: --cert and --key, or --cert-dir");
    context->names = tls_names_new(&context->certs);
    return context->names ? 0 : error_set(error, "no memory for the names of certificates");
}

static int
choose_default(struct tls_context *context, const struct tls_config *config, int64_t now_s,
               struct error *error)
{
    context->default_cert = &context->certs.list[0];
    if (!config->default_name)
        return 0;
    struct tls_name name;
    tls_name_of_host(&name, str_from_cstr(config->default_name));
    const struct tls_cert *cert = tls_names_find(context->names, &name, now_s);
    if (!cert)
        return error_set(error, "--default-cert %s: no certificate is for this name",
                         config->default_name);
    context->default_cert = cert;
    context->default_for_all = true;
    return 0;
}

bool
tls_context_covers(const struct tls_context *context, struct str text)
{
    struct tls_name host;
    tls_name_of_host(&host, text);
    return tls_names_find(context->names, &host, time(NULL)) != NULL;
}

/* --- life --- */

static int
context_fill(struct tls_context *context, const struct tls_config *config,
             const struct tls_notes *notes, struct error *error)
{
    if (read_certs(context, config, notes, error) < 0 ||
        choose_default(context, config, notes->now_s, error) < 0)
        return -1;
    context->ctx = SSL_CTX_new(TLS_method());
    if (!context->ctx)
        return error_set(error, "no memory for TLS");
    SSL_CTX_set_app_data(context->ctx, context);
    if (set_protocol(context->ctx, config, error) < 0 ||
        set_client_auth(context->ctx, config, error) < 0 ||
        set_ech(context, config, notes, error) < 0)
        return -1;
    tls_hello_set_callbacks(context->ctx);
    return 0;
}

int
tls_context_new(struct tls_context **out, const struct tls_config *config, tls_note_fn *note,
                void *note_arg, struct error *error)
{
    const struct tls_notes notes = {.fn = note, .arg = note_arg, .now_s = time(NULL)};
    struct tls_context *context = calloc(1, sizeof *context);
    if (!context)
        return error_set(error, "no memory for TLS");
    context->ref_count = 1;
    context->tickets = config->tickets;
    tls_certs_init(&context->certs);
    int result = context_fill(context, config, &notes, error);
    ERR_clear_error();
    if (result < 0)
        tls_context_unref(context);
    else
        *out = context;
    return result;
}

struct tls_context *
tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->ref_count, 1, memory_order_relaxed);
    return context;
}

void
tls_context_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->ref_count, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(context->ctx);
    ech_keys_free(context->ech);
    tls_names_free(context->names);
    tls_certs_deinit(&context->certs);
    free(context);
}

struct tls_context_stats
tls_context_stats(const struct tls_context *context)
{
    struct tls_context_stats stats = {.certificate_count = (unsigned)context->certs.count};
    if (context->ech)
        stats.ech_key_count = ech_keys_count(context->ech);
    for (size_t i = 0; i < context->certs.count; i++) {
        int64_t expiry_s = context->certs.list[i].not_after_s;
        if (!stats.next_expiry_s || expiry_s < stats.next_expiry_s)
            stats.next_expiry_s = expiry_s;
    }
    return stats;
}
