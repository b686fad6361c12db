/* certs_internal: what the ways of finding certificates share. Only for certs*.c. */
#ifndef TARN_TLS_CERTS_INTERNAL_H
#define TARN_TLS_CERTS_INTERNAL_H

#include "tls/certs.h"
#include "tls/pem.h"

/* Adds a certificate with its key, of which a reference is taken; takes the chain out of `content`,
 * which may still be deinitialised. Reads the staple beside `file` ("": there is none) and notes
 * what the operator should know. */
int tls_certs_add(struct tls_certs *certs, const char *file, struct pem_content *content,
                  EVP_PKEY *key, const struct tls_notes *notes, struct error *error) MUST_USE;

/* The public key of a certificate; the caller's. NULL: it cannot be read. */
EVP_PKEY *tls_public_key_of(CRYPTO_BUFFER *leaf);

void tls_note(const struct tls_notes *notes, bool is_warning, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
