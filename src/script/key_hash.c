#include "script/key_hash.h"

#include <assert.h>
#include <sys/random.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static_assert(KEY_HASH_SECRET_LEN >= XXH3_SECRET_SIZE_MIN, "as much as XXH3 wants");

/* Where the system forbids the call: the time and where memory is. */
static void
fill_poorly(struct key_hash *hash)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t seed[] = {(uint64_t)now.tv_sec, (uint64_t)now.tv_nsec, (uintptr_t)hash,
                             (uintptr_t)&now};
    for (size_t at = 0; at < KEY_HASH_SECRET_LEN; at += sizeof(uint64_t)) {
        uint64_t word = XXH3_64bits_withSeed(seed, sizeof seed, at);
        memcpy(hash->secret + at, &word, sizeof word);
    }
}

void
key_hash_init(struct key_hash *hash)
{
    if (getrandom(hash->secret, sizeof hash->secret, 0) != sizeof hash->secret)
        fill_poorly(hash);
}

uint64_t
key_hash(const struct key_hash *hash, struct str key)
{
    return XXH3_64bits_withSecret(key.ptr, key.len, hash->secret, sizeof hash->secret);
}
