/* pem: reads files of PEM blocks: certificates and a private key, in any order.
 *
 * What is neither is skipped (parameters, text between blocks). Files have at most TLS_FILE_MAX
 * bytes; what was read is wiped before its memory is given back, since it may hold a key.
 *
 * Loading only. Thread rule: pure but for the file system and the library's error queue, which is
 * left empty.
 */
#ifndef TARN_TLS_PEM_H
#define TARN_TLS_PEM_H

#include "base/error.h"
#include "base/str.h"

#include <openssl/base.h>

struct pem_content {
    CRYPTO_BUFFER **certs; /* DER, in the order of the file */
    size_t cert_count;
    EVP_PKEY *key; /* NULL: none */
};

/* Reads a regular file of at most `max` bytes into *out, malloc'ed and at least one byte long.
 * -1: the line names the file. */
int pem_read_bytes(struct str *out, const char *path, size_t max, struct error *error) MUST_USE;

/* Reads a file. A content without certificates and key is not an error here: the caller knows what
 * should have been there. Errors: the file cannot be read, a block is damaged, the key is encrypted
 * or of a kind that TLS cannot use, there are two keys or more than `cert_max` certificates. */
int pem_read(struct pem_content *out, const char *path, size_t cert_max,
             struct error *error) MUST_USE;
void pem_deinit(struct pem_content *content);

#endif
