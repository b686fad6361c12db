/* ech_keys: the keys of Encrypted Client Hello (RFC 9849): reading, checking, making them.
 *
 * A file holds pairs of PEM blocks, in this order: `ECH PRIVATE KEY`, the 32 bytes of an X25519
 * key, and `ECH CONFIG`, one ECHConfig of version 0xfe0d with its public key. A pair is taken only
 * if it is whole and consistent: the private key belongs to the public one, there is nothing in the
 * config that the TLS library does not do, and the public name is one that clients accept. Config
 * ids are distinct over all files, because they select the key. Text outside the blocks is ignored,
 * as in other PEM files.
 *
 * Loaded by the main thread, immutable afterwards. Private keys, and the text they were read from,
 * are wiped before their memory is given back. Bounds: ECH_* in base/limits.h, and 256 config ids.
 */
#ifndef TARN_TLS_ECH_KEYS_H
#define TARN_TLS_ECH_KEYS_H

#include "base/buf.h"
#include "base/error.h"

enum { ECH_PRIVATE_KEY_LEN = 32, ECH_PUBLIC_NAME_MAX = 253 };

struct ech_pair {
    uint8_t private_key[ECH_PRIVATE_KEY_LEN];
    struct str config; /* the whole ECHConfig, with version and length */
    uint8_t config_id;
    struct str public_name; /* as written, points into config */
};

struct ech_keys;

/* Reads a file, or every regular file of a directory in byte order of their names (links are
 * followed, names with a leading dot skipped). At least one pair must be there. *out is the
 * caller's. -1: the line names the file and the line in it. */
int ech_keys_load(struct ech_keys **out, const char *path, struct error *error) MUST_USE;
void ech_keys_free(struct ech_keys *keys); /* NULL is nothing */

unsigned ech_keys_count(const struct ech_keys *keys);
/* In the order they were read; borrowed from `keys`. */
const struct ech_pair *ech_keys_at(const struct ech_keys *keys, unsigned index);

/* All configs as one ECHConfigList in base64: the value of `ech=` in an HTTPS record. Borrowed. */
struct str ech_keys_list_base64(const struct ech_keys *keys);

/* The steps of ech_keys_load, for text that is already in memory: an empty set; the pairs of one
 * file, called `name` in errors; then the list. After a failure the set can only be freed. */
struct ech_keys *ech_keys_new(void); /* NULL: no memory */
int ech_keys_add_text(struct ech_keys *keys, struct str text, const char *name,
                      struct error *error) MUST_USE;
int ech_keys_finish(struct ech_keys *keys, struct error *error) MUST_USE;

/* A host name that may stand in a config as its public name: 1 to 253 of letters, digits, "-" and
 * ".", at least two labels of 1 to 63 bytes without "-" at their ends, the last of them not a
 * number, so that no client takes it for an IPv4 address. */
bool ech_is_public_name(struct str name);

/* A fresh key with a random config id, as a set of one. -1: the name is not valid (says so without
 * a prefix), or there is no memory. */
int ech_keys_generate(struct ech_keys **out, struct str public_name, struct error *error) MUST_USE;

/* Appends the pair as two PEM blocks. It holds the private key: the caller wipes the buffer, which
 * must have ECH_PEM_MAX bytes reserved, so that no copy stays behind when it grows. */
enum { ECH_PEM_MAX = 1024 };
void ech_pair_print(const struct ech_pair *pair, struct buf *out);

#endif
