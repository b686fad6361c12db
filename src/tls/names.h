/* names: which certificate serves which host (RFC 9525).
 *
 * Hosts and the names of certificates are compared as keys: DNS names in lower case without a dot
 * at the end, IP addresses in their one canonical text. The two cannot be mistaken for each other:
 * a DNS name that reads as an address is no key. `*.` stands for exactly one label, the leftmost.
 *
 * Built at load, then immutable. A lookup is one or two probes of a hash table, with any number of
 * certificates; only those for the very same name are looked at one by one.
 */
#ifndef TARN_TLS_NAMES_H
#define TARN_TLS_NAMES_H

#include "tls/certs.h"

enum { TLS_NAME_MAX = 253, TLS_NAME_ROOM = 256 };

/* A host as a client or a request writes it, into its key. */
struct tls_name {
    struct str key; /* points into text; empty: no certificate can be for it */
    bool is_address;
    char text[TLS_NAME_ROOM];
};
/* `host`: a name or an address, IPv6 with or without brackets; no port. */
void tls_name_of_host(struct tls_name *out, struct str host);
/* `dns`: a name of a certificate, where the leftmost label may be a star. */
void tls_name_of_dns(struct tls_name *out, struct str dns);
/* The 4 or 16 bytes of an address. */
void tls_name_of_address(struct tls_name *out, const void *bytes, size_t len);

/* Whether the key of a certificate is for this host. */
bool tls_name_matches(struct str key, const struct tls_name *host);

struct tls_names;

/* Borrows the certificates. NULL: no memory. */
struct tls_names *tls_names_new(const struct tls_certs *certs);
void tls_names_free(struct tls_names *names); /* NULL is nothing */

/* The certificate for this host: an exact name before a wildcard, then a valid one before one that
 * is expired or not yet valid, then the order of loading. NULL: none. */
const struct tls_cert *tls_names_find(const struct tls_names *names, const struct tls_name *host,
                                      int64_t now_s);

#endif
