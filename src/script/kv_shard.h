/* kv_shard: a part of the key-value store: entries by key, by last use, and by when they expire.
 * Only for kv.c.
 *
 * Thread rule: under the shard's lock, but for the two hints and entries that are in no shard.
 * Nothing here counts bytes; who takes entries out does.
 */
#ifndef TARN_SCRIPT_KV_SHARD_H
#define TARN_SCRIPT_KV_SHARD_H

#include "script/kv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define KV_NEVER UINT64_MAX

struct kv_entry {
    struct kv_entry *next;       /* in its bucket, or in a list of those that go */
    TAILQ_ENTRY(kv_entry) place; /* by last use */
    uint64_t hash;
    uint64_t used_ms;
    uint64_t expires_ms; /* KV_NEVER: not at all */
    uint32_t heap_at;    /* index + 1 among those that expire; 0: not there */
    uint32_t value_len, value_cap;
    uint16_t key_len;
    char text[]; /* key, value */
};

struct kv_shard {
    _Alignas(64) pthread_mutex_t lock;
    struct kv_entry **buckets; /* the store's */
    uint64_t bucket_mask;
    TAILQ_HEAD(kv_by_use, kv_entry) by_use; /* what was used last is last */
    struct kv_entry **heap;                 /* those that expire, the first of them first */
    uint32_t heap_count, heap_cap;
    uint64_t count;
    uint64_t now_ms; /* the latest that any thread has brought */
    /* Read without the lock, to choose a shard: last use of the entry that was not used for
     * longest, and when the first one expires; KV_NEVER: none. */
    _Atomic uint64_t oldest_ms, first_expiry_ms;
};

void kv_shard_init(struct kv_shard *shard, struct kv_entry **buckets, uint64_t bucket_count);
/* Frees all entries. */
void kv_shard_deinit(struct kv_shard *shard);

/* Takes the lock, and the time. */
void kv_shard_enter(struct kv_shard *shard, uint64_t now_ms);
/* Tells the hints, and gives the lock back. */
void kv_shard_leave(struct kv_shard *shard);

/* NULL: there is none. It may have expired. */
struct kv_entry *kv_shard_find(struct kv_shard *shard, uint64_t hash, struct str key);
static inline bool
kv_entry_has_expired(const struct kv_shard *shard, const struct kv_entry *entry)
{
    return entry->expires_ms <= shard->now_ms;
}

/* Room among those that expire for one more. False: no memory. */
bool kv_shard_reserve(struct kv_shard *shard);
/* Takes an entry whose key is not there, as used now; room was reserved. */
void kv_shard_add(struct kv_shard *shard, struct kv_entry *entry);
/* Takes it out; the caller's again. */
void kv_shard_remove(struct kv_shard *shard, struct kv_entry *entry);
/* It was used now. */
void kv_shard_touch(struct kv_shard *shard, struct kv_entry *entry);
/* Changes when it expires; room was reserved. */
void kv_shard_expire_at(struct kv_shard *shard, struct kv_entry *entry, uint64_t expires_ms);
/* The entry that goes first: one that has expired, else the one that was not used for longest;
 * NULL: there is none. */
struct kv_entry *kv_shard_first_to_go(struct kv_shard *shard);

#endif
