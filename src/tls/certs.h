/* certs: the loaded certificates of one context: chains, keys, names, validity, staples.
 *
 * Everything is read and parsed at load, by one thread; afterwards immutable. What a handshake
 * needs is there ready made, so that the number of certificates costs a handshake nothing.
 */
#ifndef TARN_TLS_CERTS_H
#define TARN_TLS_CERTS_H

#include "base/arena.h"
#include "tls/context.h"

#include <openssl/base.h>

struct tls_cert {
    const char *file; /* for messages; "" for one that was made */
    CRYPTO_BUFFER **chain;
    size_t chain_count; /* the leaf first */
    EVP_PKEY *key;
    struct str *names; /* keys of names.h, of the leaf's subject alternative names */
    size_t name_count;
    int64_t not_before_s, not_after_s; /* Unix time */
    struct str ocsp;                   /* DER; empty: none */
};

struct tls_certs {
    struct arena arena; /* names, files, staples */
    struct tls_cert *list;
    size_t count, cap;
};

/* Who is told, and what time it is. */
struct tls_notes {
    tls_note_fn *fn;
    void *arg;
    int64_t now_s;
};

enum { TLS_EXPIRY_WARNING_S = 14 * 24 * 3600 };

void tls_certs_init(struct tls_certs *certs);
void tls_certs_deinit(struct tls_certs *certs);

/* One certificate from a file with its chain and a file with its key; they may be the same. */
int tls_certs_add_pair(struct tls_certs *certs, const char *cert_file, const char *key_file,
                       const struct tls_notes *notes, struct error *error) MUST_USE;

/* Every certificate of a directory: its regular files (links followed, no dot files) in byte order
 * of their names. Keys belong to the leaves with their public key, in whatever file. Leaves without
 * a key, and files without PEM, are noted; no certificate at all is an error. */
int tls_certs_add_dir(struct tls_certs *certs, const char *dir, const struct tls_notes *notes,
                      struct error *error) MUST_USE;

/* A certificate for localhost, made now: self_signed.h. */
int tls_certs_add_self_signed(struct tls_certs *certs, const struct tls_notes *notes,
                              struct error *error) MUST_USE;

/* Whether the certificate is for this host (see names.h). Linear in its names. */
bool tls_cert_covers(const struct tls_cert *cert, struct str host);

#endif
