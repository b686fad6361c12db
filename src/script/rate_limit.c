#include "script/rate_limit.h"

#include "base/limits.h"
#include "base/must.h"
#include "script/key_hash.h"
#include "script/rate_window.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

/* Keys are spread over shards by their hash, each with a lock, a part of the buckets, and three
 * lines of its keys in the order in which they will count no more: that of a key which was last
 * counted in windows up to a second, a minute, an hour. A key goes to the end of a line with its
 * time, which only grows, so that each line is sorted and its head is the first to go.
 *
 * Memory for keys is one store, with a lock of its own that is taken inside of a shard's. It grows
 * in chunks up to the configured number of keys and is never given back. A new key takes a place
 * from it. When there is none, a sweep through the shards, one lock at a time, gives back the
 * places of keys that count no more. A sweep that finds none notes when the first will be there,
 * and until then the answer costs nothing more: so a flood of new keys does not sweep with each of
 * them.
 *
 * What is done under a lock is short: some list operations, in a bucket of a few keys; in a sweep,
 * SWEEP_MAX times that. No thread holds one while it waits for anything but another lock.
 */

enum { SHARD_COUNT = 64, CHUNK_KEYS = 64, DROPS_WITH_NEW = 2, SWEEP_MAX = 64, SWEEPS_MAX = 3 };

#define NS_PER_S UINT64_C(1000000000)

static const uint64_t lengths_ns[RATE_LIMIT_WINDOWS] = {NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S};

struct rate_key {
    struct rate_key *next;       /* in its bucket, or among spare ones */
    TAILQ_ENTRY(rate_key) place; /* in its line */
    uint64_t hash;
    uint64_t free_ns; /* when it counts no more */
    uint16_t len;
    uint8_t line;
    char text[SCRIPT_RATE_KEY_MAX];
    struct rate_window windows[RATE_LIMIT_WINDOWS];
};
static_assert(sizeof(struct rate_key) <= 1024, "as the header says");

TAILQ_HEAD(rate_line, rate_key);

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct rate_key **buckets;
    struct rate_line lines[RATE_LIMIT_WINDOWS];
    uint64_t now_ns; /* the latest that any thread has brought */
};

struct chunk {
    struct chunk *next;
    struct rate_key keys[];
};

struct store {
    pthread_mutex_t lock;
    struct rate_key *spare;
    struct chunk *chunks;
    uint32_t max, made, held;
    uint64_t full_until_ns; /* before that no sweep will find a key */
    uint64_t take_count;
};

struct rate_limit {
    struct key_hash hash;
    uint32_t bucket_mask; /* of one shard */
    struct rate_key **buckets;
    struct store store;
    struct shard shards[SHARD_COUNT];
};

/* --- the store --- */

static void
grow(struct store *store)
{
    uint32_t left = store->max - store->made, count = left < CHUNK_KEYS ? left : CHUNK_KEYS;
    if (count == 0)
        return;
    struct chunk *chunk = malloc(sizeof *chunk + count * sizeof *chunk->keys);
    if (!chunk)
        return;
    chunk->next = store->chunks;
    store->chunks = chunk;
    for (uint32_t i = 0; i < count; i++) {
        chunk->keys[i].next = store->spare;
        store->spare = &chunk->keys[i];
    }
    store->made += count;
}

static struct rate_key *
take_place(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    if (!store->spare)
        grow(store);
    struct rate_key *key = store->spare;
    if (key) {
        store->spare = key->next;
        store->held++;
        store->take_count++;
    }
    pthread_mutex_unlock(&store->lock);
    return key;
}

static void
give_place(struct store *store, struct rate_key *key)
{
    pthread_mutex_lock(&store->lock);
    key->next = store->spare;
    store->spare = key;
    store->held--;
    pthread_mutex_unlock(&store->lock);
}

enum place { PLACE_THERE, PLACE_PERHAPS, PLACE_NONE };

/* Whether there is a place, or a key may have become free. *take_count is for note_full. */
static enum place
look_for_place(struct store *store, uint64_t now_ns, uint64_t *take_count)
{
    enum place place = PLACE_THERE;
    pthread_mutex_lock(&store->lock);
    if (!store->spare)
        place = now_ns < store->full_until_ns ? PLACE_NONE : PLACE_PERHAPS;
    *take_count = store->take_count;
    pthread_mutex_unlock(&store->lock);
    return place;
}

/* A sweep has found that no key is free before `until_ns`. That is true of all only if no key has
 * come in since it began. */
static void
note_full(struct store *store, uint64_t until_ns, uint64_t take_count)
{
    pthread_mutex_lock(&store->lock);
    if (store->take_count == take_count && store->made == store->max)
        store->full_until_ns = until_ns;
    pthread_mutex_unlock(&store->lock);
}

/* --- shards, under their lock --- */

static uint64_t
advance(struct shard *shard, uint64_t now_ns)
{
    if (now_ns > shard->now_ns)
        shard->now_ns = now_ns;
    return shard->now_ns;
}

/* Where the pointer to it is, or would be. */
static struct rate_key **
find(const struct rate_limit *limit, struct shard *shard, uint64_t hash, struct str key)
{
    struct rate_key **link = &shard->buckets[hash & limit->bucket_mask];
    while (*link && ((*link)->hash != hash || !str_eq(str_make((*link)->text, (*link)->len), key)))
        link = &(*link)->next;
    return link;
}

static void
drop(struct rate_limit *limit, struct shard *shard, struct rate_key *key)
{
    struct rate_key **link = &shard->buckets[key->hash & limit->bucket_mask];
    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    TAILQ_REMOVE(&shard->lines[key->line], key, place);
    give_place(&limit->store, key);
}

/* Drops up to `max` keys that count no more. Returns how many. */
static unsigned
drop_free(struct rate_limit *limit, struct shard *shard, uint64_t now_ns, unsigned max)
{
    unsigned count = 0;
    for (unsigned i = 0; i < RATE_LIMIT_WINDOWS; i++) {
        struct rate_key *key;
        while (count < max && (key = TAILQ_FIRST(&shard->lines[i])) && key->free_ns <= now_ns) {
            drop(limit, shard, key);
            count++;
        }
    }
    return count;
}

static uint64_t
next_free_ns(const struct shard *shard)
{
    uint64_t next_ns = UINT64_MAX;
    for (unsigned i = 0; i < RATE_LIMIT_WINDOWS; i++) {
        const struct rate_key *key = TAILQ_FIRST(&shard->lines[i]);
        if (key && key->free_ns < next_ns)
            next_ns = key->free_ns;
    }
    return next_ns;
}

/* Puts it at the end of the line of that window, if it will be free later than it was to be. */
static void
set_line(struct shard *shard, struct rate_key *key, unsigned line, uint64_t now_ns)
{
    uint64_t free_ns = now_ns + lengths_ns[line];
    if (free_ns <= key->free_ns)
        return;
    TAILQ_REMOVE(&shard->lines[key->line], key, place);
    key->free_ns = free_ns;
    key->line = (uint8_t)line;
    TAILQ_INSERT_TAIL(&shard->lines[line], key, place);
}

static struct rate_key *
add(struct rate_limit *limit, struct shard *shard, uint64_t hash, struct str text, uint64_t now_ns)
{
    drop_free(limit, shard, now_ns, DROPS_WITH_NEW);
    struct rate_key *key = take_place(&limit->store);
    if (!key)
        return NULL;
    struct rate_key **bucket = &shard->buckets[hash & limit->bucket_mask];
    key->next = *bucket;
    *bucket = key;
    key->hash = hash;
    key->len = (uint16_t)text.len;
    memcpy(key->text, text.ptr, text.len);
    memset(key->windows, 0, sizeof key->windows);
    key->free_ns = 0;
    key->line = 0;
    TAILQ_INSERT_HEAD(&shard->lines[0], key, place);
    return key;
}

static enum rate_limit_result
take(struct shard *shard, struct rate_key *key, const uint64_t per_window[], uint64_t now_ns)
{
    unsigned longest = 0;
    for (unsigned i = 0; i < RATE_LIMIT_WINDOWS; i++) {
        if (per_window[i] &&
            !rate_window_has_room(&key->windows[i], lengths_ns[i], per_window[i], now_ns))
            return (enum rate_limit_result)(RATE_LIMIT_SECOND + i);
    }
    for (unsigned i = 0; i < RATE_LIMIT_WINDOWS; i++) {
        if (per_window[i] == 0)
            continue;
        rate_window_add(&key->windows[i], lengths_ns[i], per_window[i], now_ns);
        longest = i;
    }
    set_line(shard, key, longest, now_ns);
    return RATE_LIMIT_ALLOWED;
}

/* --- life --- */

struct rate_limit *
rate_limit_new(uint32_t keys_max)
{
    uint32_t bucket_count = 1;
    while (bucket_count < keys_max / SHARD_COUNT)
        bucket_count *= 2;
    struct rate_limit *limit = aligned_alloc(_Alignof(struct rate_limit), sizeof *limit);
    struct rate_key **buckets = calloc((size_t)bucket_count * SHARD_COUNT, sizeof(*buckets));
    if (!limit || !buckets) {
        free(limit);
        free(buckets);
        return NULL;
    }
    *limit = (struct rate_limit){
        .bucket_mask = bucket_count - 1, .buckets = buckets, .store.max = keys_max};
    key_hash_init(&limit->hash);
    pthread_mutex_init(&limit->store.lock, NULL);
    for (unsigned i = 0; i < SHARD_COUNT; i++) {
        struct shard *shard = &limit->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->buckets = buckets + (size_t)i * bucket_count;
        for (unsigned line = 0; line < RATE_LIMIT_WINDOWS; line++)
            TAILQ_INIT(&shard->lines[line]);
    }
    return limit;
}

void
rate_limit_free(struct rate_limit *limit)
{
    if (!limit)
        return;
    for (unsigned i = 0; i < SHARD_COUNT; i++)
        pthread_mutex_destroy(&limit->shards[i].lock);
    pthread_mutex_destroy(&limit->store.lock);
    for (struct chunk *next, *chunk = limit->store.chunks; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(limit->buckets);
    free(limit);
}

/* --- what is asked --- */

/* Looks for keys that count no more. Whether there may be a place now. No lock is held. */
static bool
sweep(struct rate_limit *limit, uint64_t now_ns)
{
    uint64_t take_count, until_ns = UINT64_MAX;
    unsigned count = 0;
    enum place place = look_for_place(&limit->store, now_ns, &take_count);
    if (place != PLACE_PERHAPS)
        return place == PLACE_THERE;
    for (unsigned i = 0; i < SHARD_COUNT && count < SWEEP_MAX; i++) {
        struct shard *shard = &limit->shards[i];
        pthread_mutex_lock(&shard->lock);
        count += drop_free(limit, shard, now_ns, SWEEP_MAX);
        uint64_t next_ns = next_free_ns(shard);
        until_ns = next_ns < until_ns ? next_ns : until_ns;
        pthread_mutex_unlock(&shard->lock);
    }
    if (count == 0)
        note_full(&limit->store, until_ns, take_count);
    return count > 0;
}

enum rate_limit_result
rate_limit_take(struct rate_limit *limit, struct str key,
                const uint64_t per_window[RATE_LIMIT_WINDOWS], uint64_t now_ns)
{
    must(key.len && key.len <= SCRIPT_RATE_KEY_MAX);
    if (!per_window[0] && !per_window[1] && !per_window[2])
        return RATE_LIMIT_ALLOWED;
    uint64_t hash = key_hash(&limit->hash, key);
    struct shard *shard = &limit->shards[hash >> 58];
    static_assert(SHARD_COUNT == 1 << (64 - 58), "the shard is the hash's highest bits");
    for (unsigned sweeps = 0;; sweeps++) {
        enum rate_limit_result result = RATE_LIMIT_KEYS;
        pthread_mutex_lock(&shard->lock);
        now_ns = advance(shard, now_ns);
        struct rate_key *known = *find(limit, shard, hash, key);
        if (!known)
            known = add(limit, shard, hash, key, now_ns);
        if (known)
            result = take(shard, known, per_window, now_ns);
        pthread_mutex_unlock(&shard->lock);
        if (known || sweeps == SWEEPS_MAX || !sweep(limit, now_ns))
            return result;
    }
}

uint32_t
rate_limit_key_count(struct rate_limit *limit)
{
    pthread_mutex_lock(&limit->store.lock);
    uint32_t count = limit->store.held;
    pthread_mutex_unlock(&limit->store.lock);
    return count;
}
