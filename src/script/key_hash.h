/* key_hash: a hash of keys that clients choose. Not for other folders.
 *
 * XXH3 with a secret that is drawn when the table is made, so that nobody outside can prepare keys
 * that fall together. Tables bound what it costs if somebody could. Pure once it is made.
 */
#ifndef TARN_SCRIPT_KEY_HASH_H
#define TARN_SCRIPT_KEY_HASH_H

#include "base/str.h"

enum { KEY_HASH_SECRET_LEN = 192 };

struct key_hash {
    uint8_t secret[KEY_HASH_SECRET_LEN];
};

void key_hash_init(struct key_hash *hash);
/* Of at least one byte. */
uint64_t key_hash(const struct key_hash *hash, struct str key);

#endif
