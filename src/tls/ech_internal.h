/* ech_internal: the set of keys, for the files that fill it. */
#ifndef TARN_TLS_ECH_INTERNAL_H
#define TARN_TLS_ECH_INTERNAL_H

#include "tls/ech_keys.h"

enum {
    ECH_PAIRS_MAX = 256, /* config ids */
    ECH_SUITES_MAX = 8,
    /* version, length; id, kem, public key, suites, maximum name length, public name, extensions */
    ECH_CONFIG_MAX = 4 + 1 + 2 + 2 + 32 + 2 + 4 * ECH_SUITES_MAX + 1 + 1 + ECH_PUBLIC_NAME_MAX + 2,
};

/* draft-ietf-tls-esni-13 and later, RFC 9849; RFC 9180 for the rest */
enum {
    ECH_VERSION = 0xfe0d,
    ECH_KEM_X25519 = 0x0020,
    ECH_KDF_SHA256 = 0x0001,
    ECH_AEAD_AES_128_GCM = 0x0001,
    ECH_AEAD_CHACHA20_POLY1305 = 0x0003, /* the last that is known */
};

#define ECH_LABEL_KEY "ECH PRIVATE KEY"
#define ECH_LABEL_CONFIG "ECH CONFIG"

struct ech_keys {
    struct ech_pair pairs[ECH_PAIRS_MAX]; /* never moves, so that no copy of a key is left behind */
    unsigned count;
    bool id_taken[256];
    char *list; /* base64 */
    size_t list_len;
};

/* Adds a pair; `config` is copied. The id must be free. -1: no memory. */
int ech_keys_add(struct ech_keys *keys, const uint8_t private_key[ECH_PRIVATE_KEY_LEN],
                 struct str config, size_t public_name_off, size_t public_name_len) MUST_USE;

#endif
