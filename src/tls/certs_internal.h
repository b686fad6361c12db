/* certs_internal: what the ways of finding certificates share, and how one is read. Only for
 * certs*.c and client*.c. */
#ifndef TARN_TLS_CERTS_INTERNAL_H
#define TARN_TLS_CERTS_INTERNAL_H

#include "tls/certs.h"
#include "tls/names.h"
#include "tls/pem.h"

#include <openssl/x509v3.h>

/* Adds a certificate with its key, of which a reference is taken; takes the chain out of `content`,
 * which may still be deinitialised. Reads the staple beside `file` ("": there is none) and notes
 * what the operator should know. */
int tls_certs_add(struct tls_certs *certs, const char *file, struct pem_content *content,
                  EVP_PKEY *key, const struct tls_notes *notes, struct error *error) MUST_USE;

/* The public key of a certificate; the caller's. NULL: it cannot be read. */
EVP_PKEY *tls_public_key_of(CRYPTO_BUFFER *leaf);

/* The key of a subject alternative name; empty: neither a DNS name nor an address, or a bad one. */
void tls_name_of_general(struct tls_name *out, const GENERAL_NAME *from);

/* Seconds since 1970; a time that is not one is that of an expired certificate. */
int64_t tls_seconds_of(const ASN1_TIME *time);

/* For people. */
enum { TLS_DATE_ROOM = 32 };
void tls_date_print(int64_t time_s, char out[static TLS_DATE_ROOM]);

void tls_note(const struct tls_notes *notes, bool is_warning, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
