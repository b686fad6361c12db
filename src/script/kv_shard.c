#include "script/kv_shard.h"

#include <stdlib.h>

/* --- life --- */

void
kv_shard_init(struct kv_shard *shard, struct kv_entry **buckets, uint64_t bucket_count)
{
    *shard = (struct kv_shard){
        .buckets = buckets,
        .bucket_mask = bucket_count - 1,
        .oldest_ms = KV_NEVER,
        .first_expiry_ms = KV_NEVER,
    };
    pthread_mutex_init(&shard->lock, NULL);
    TAILQ_INIT(&shard->by_use);
}

void
kv_shard_deinit(struct kv_shard *shard)
{
    for (struct kv_entry *next, *entry = TAILQ_FIRST(&shard->by_use); entry; entry = next) {
        next = TAILQ_NEXT(entry, place);
        free(entry);
    }
    free(shard->heap);
    pthread_mutex_destroy(&shard->lock);
}

void
kv_shard_enter(struct kv_shard *shard, uint64_t now_ms)
{
    pthread_mutex_lock(&shard->lock);
    if (now_ms > shard->now_ms)
        shard->now_ms = now_ms;
}

void
kv_shard_leave(struct kv_shard *shard)
{
    const struct kv_entry *oldest = TAILQ_FIRST(&shard->by_use);
    uint64_t first_expiry_ms = shard->heap_count ? shard->heap[0]->expires_ms : KV_NEVER;
    atomic_store_explicit(&shard->oldest_ms, oldest ? oldest->used_ms : KV_NEVER,
                          memory_order_relaxed);
    atomic_store_explicit(&shard->first_expiry_ms, first_expiry_ms, memory_order_relaxed);
    pthread_mutex_unlock(&shard->lock);
}

/* --- those that expire: a heap --- */

static void
put_at(struct kv_shard *shard, struct kv_entry *entry, uint32_t at)
{
    shard->heap[at] = entry;
    entry->heap_at = at + 1;
}

/* Finds the place of an entry from `at` on, towards the first one and then towards the last. */
static void
sift(struct kv_shard *shard, struct kv_entry *entry, uint32_t at)
{
    while (at > 0 && shard->heap[(at - 1) / 2]->expires_ms > entry->expires_ms) {
        put_at(shard, shard->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    for (uint32_t child; (child = 2 * at + 1) < shard->heap_count; at = child) {
        if (child + 1 < shard->heap_count &&
            shard->heap[child + 1]->expires_ms < shard->heap[child]->expires_ms)
            child++;
        if (shard->heap[child]->expires_ms >= entry->expires_ms)
            break;
        put_at(shard, shard->heap[child], at);
    }
    put_at(shard, entry, at);
}

static void
heap_remove(struct kv_shard *shard, struct kv_entry *entry)
{
    uint32_t at = entry->heap_at - 1;
    struct kv_entry *last = shard->heap[--shard->heap_count];
    entry->heap_at = 0;
    if (last != entry)
        sift(shard, last, at);
}

bool
kv_shard_reserve(struct kv_shard *shard)
{
    if (shard->heap_count < shard->heap_cap)
        return true;
    uint32_t cap = shard->heap_cap ? 2 * shard->heap_cap : 16;
    struct kv_entry **heap = realloc(shard->heap, cap * sizeof(*heap));
    if (!heap)
        return false;
    shard->heap = heap;
    shard->heap_cap = cap;
    return true;
}

void
kv_shard_expire_at(struct kv_shard *shard, struct kv_entry *entry, uint64_t expires_ms)
{
    entry->expires_ms = expires_ms;
    if (expires_ms == KV_NEVER) {
        if (entry->heap_at)
            heap_remove(shard, entry);
    } else {
        sift(shard, entry, entry->heap_at ? entry->heap_at - 1 : shard->heap_count++);
    }
}

/* --- entries --- */

static struct kv_entry **
find_link(struct kv_shard *shard, uint64_t hash, struct str key)
{
    struct kv_entry **link = &shard->buckets[hash & shard->bucket_mask];
    while (*link &&
           ((*link)->hash != hash || !str_eq(str_make((*link)->text, (*link)->key_len), key)))
        link = &(*link)->next;
    return link;
}

struct kv_entry *
kv_shard_find(struct kv_shard *shard, uint64_t hash, struct str key)
{
    return *find_link(shard, hash, key);
}

void
kv_shard_add(struct kv_shard *shard, struct kv_entry *entry)
{
    struct kv_entry **bucket = &shard->buckets[entry->hash & shard->bucket_mask];
    entry->next = *bucket;
    *bucket = entry;
    entry->used_ms = shard->now_ms;
    TAILQ_INSERT_TAIL(&shard->by_use, entry, place);
    entry->heap_at = 0;
    kv_shard_expire_at(shard, entry, entry->expires_ms);
    shard->count++;
}

void
kv_shard_remove(struct kv_shard *shard, struct kv_entry *entry)
{
    struct kv_entry **link = find_link(shard, entry->hash, str_make(entry->text, entry->key_len));
    *link = entry->next;
    TAILQ_REMOVE(&shard->by_use, entry, place);
    if (entry->heap_at)
        heap_remove(shard, entry);
    shard->count--;
}

void
kv_shard_touch(struct kv_shard *shard, struct kv_entry *entry)
{
    entry->used_ms = shard->now_ms;
    TAILQ_REMOVE(&shard->by_use, entry, place);
    TAILQ_INSERT_TAIL(&shard->by_use, entry, place);
}

struct kv_entry *
kv_shard_first_to_go(struct kv_shard *shard)
{
    if (shard->heap_count && kv_entry_has_expired(shard, shard->heap[0]))
        return shard->heap[0];
    return TAILQ_FIRST(&shard->by_use);
}
