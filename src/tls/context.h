/* context: what the TLS listeners of one snapshot are made of: certificates, names, rules.
 *
 * Loaded by the main thread, then immutable and shared by all workers; counted, because a
 * connection may outlive the snapshot that it began with. Every file is read at load; a failure is
 * one line that names the file. Certificate choice: docs/design/tls.md.
 *
 * Thread rule: any thread may read; ref and unref are atomic.
 */
#ifndef TARN_TLS_CONTEXT_H
#define TARN_TLS_CONTEXT_H

#include "base/error.h"
#include "base/str.h"

struct tls_context;
struct tls_tickets;

enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_REQUEST, TLS_CLIENT_REQUIRE };

struct tls_config {
    /* Pairs of PEM files; a certificate file that holds its key too is named twice. */
    const char *const *cert_files;
    const char *const *key_files;
    size_t pair_count;
    const char *cert_dir; /* NULL: none */
    const char
        *default_name;     /* whose certificate serves when the client's name has none; NULL: none
                            */
    const char *client_ca; /* PEM bundle; NULL: no client certificates */
    enum tls_client_auth client_auth;
    const char *ech_keys; /* file or directory of key and config pairs; NULL: none */
    bool self_signed;     /* make a certificate for localhost instead of reading any */
    bool allow_tls12;     /* with AEAD suites */
    bool early_data;
    bool relay;                  /* see tls_stream_wants_relay */
    struct tls_tickets *tickets; /* borrowed; outlives every context */
};

/* Something to tell the operator at load: one line each, no newline. */
typedef void tls_note_fn(void *arg, bool is_warning, const char *line);

/* Reads everything. *out has one reference. Notes: certificates without a key, about to expire or
 * expired, the ECH value to publish, and that a certificate is self-signed. */
int tls_context_new(struct tls_context **out, const struct tls_config *config, tls_note_fn *note,
                    void *note_arg, struct error *error) MUST_USE;
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL is nothing */

struct tls_context_stats {
    unsigned certificate_count;
    unsigned ech_key_count;
    int64_t next_expiry_s; /* Unix time of the first certificate to expire; 0: none */
};

struct tls_context_stats tls_context_stats(const struct tls_context *context);

/* Whether some loaded certificate covers this name (RFC 9525: exact, or a wildcard for one label;
 * an IP address literal exactly). */
bool tls_context_covers(const struct tls_context *context, struct str name);

#endif
