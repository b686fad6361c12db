#include "script/kv.h"

#include "base/limits.h"
#include "base/must.h"
#include "script/key_hash.h"
#include "script/kv_shard.h"

#include <assert.h>
#include <stdlib.h>

/* Entries are spread over shards by the hash of their key. A thread holds one shard's lock at a
 * time, to find an entry, to copy a value, to put an entry in or take one out: memory is allocated,
 * freed and made room for outside of it.
 *
 * The bytes that are used are one number for all shards. Whoever wants to put in more than is there
 * holds that many bytes first (hold), for which others may have to go. Then the shard is looked at
 * again, as in the meantime anybody may have changed it. What was held and is not used is given
 * back.
 *
 * Who has to go is found by two hints that each shard gives about its own first candidate. They are
 * read without locks, so with several threads at work it can be one of the first instead of the
 * first.
 */

enum {
    SHARD_COUNT = 64,
    BYTES_OF_BUCKET = 256, /* of the store; two of the smallest entries */
    BUCKETS_MAX = 1 << 20, /* of a shard; stores over 16 GiB have more entries in each */
    NUMBER_LEN_MAX = 20,
    SPARE_MAX = 64, /* bytes behind a value that are left unused */
};

static_assert(sizeof(struct kv_entry) + 48 <= KV_ENTRY_COST,
              "with what the allocator and the heap of those that expire add");

struct kv {
    struct key_hash hash;
    uint64_t max;
    struct kv_entry **buckets;
    _Alignas(64) _Atomic uint64_t used;
    _Atomic uint64_t evictions;
    struct kv_shard shards[SHARD_COUNT];
};

/* What kv_set and kv_add want. */
struct change {
    struct str key;
    uint64_t hash, ttl_ms, now_ms;
    bool adds;
    int64_t add, sum;
    struct str value; /* that is to be there; of kv_add when it is known what was there */
    char number[NUMBER_LEN_MAX];
};

/* --- life --- */

struct kv *
kv_new(uint64_t bytes_max)
{
    uint64_t bucket_count = 1; /* of a shard */
    while (bucket_count < BUCKETS_MAX && bucket_count < bytes_max / (BYTES_OF_BUCKET * SHARD_COUNT))
        bucket_count *= 2;
    struct kv *kv = aligned_alloc(_Alignof(struct kv), sizeof *kv);
    struct kv_entry **buckets = calloc(bucket_count, SHARD_COUNT * sizeof(*buckets));
    if (!kv || !buckets) {
        free(kv);
        free(buckets);
        return NULL;
    }
    *kv = (struct kv){.max = bytes_max, .buckets = buckets};
    key_hash_init(&kv->hash);
    for (unsigned i = 0; i < SHARD_COUNT; i++)
        kv_shard_init(&kv->shards[i], buckets + i * bucket_count, bucket_count);
    return kv;
}

void
kv_free(struct kv *kv)
{
    if (!kv)
        return;
    for (unsigned i = 0; i < SHARD_COUNT; i++)
        kv_shard_deinit(&kv->shards[i]);
    free(kv->buckets);
    free(kv);
}

static struct kv_shard *
shard_of(struct kv *kv, uint64_t hash)
{
    static_assert(SHARD_COUNT == 1 << (64 - 58), "the shard is the hash's highest bits");
    return &kv->shards[hash >> 58];
}

static uint64_t
hash_of(const struct kv *kv, struct str key)
{
    must(key.len && key.len <= SCRIPT_KV_KEY_MAX);
    return key_hash(&kv->hash, key);
}

/* --- room --- */

static uint64_t
cost_of(const struct kv_entry *entry)
{
    return (uint64_t)KV_ENTRY_COST + entry->key_len + entry->value_cap;
}

static void
give_back(struct kv *kv, uint64_t len)
{
    atomic_fetch_sub_explicit(&kv->used, len, memory_order_relaxed);
}

/* Of one that is in no shard any more; may be NULL. */
static void
destroy(struct kv *kv, struct kv_entry *entry)
{
    if (!entry)
        return;
    give_back(kv, cost_of(entry));
    free(entry);
}

/* The shard whose first candidate goes first of all; NULL: nothing is there. */
static struct kv_shard *
choose_shard(struct kv *kv, uint64_t now_ms)
{
    struct kv_shard *chosen = NULL;
    uint64_t oldest_ms = KV_NEVER;
    for (unsigned i = 0; i < SHARD_COUNT; i++) {
        struct kv_shard *shard = &kv->shards[i];
        uint64_t used_ms = atomic_load_explicit(&shard->oldest_ms, memory_order_relaxed);
        if (atomic_load_explicit(&shard->first_expiry_ms, memory_order_relaxed) <= now_ms)
            return shard;
        if (used_ms < oldest_ms) {
            oldest_ms = used_ms;
            chosen = shard;
        }
    }
    return chosen;
}

/* Lets one entry go. False: there is none. */
static bool
make_room(struct kv *kv, uint64_t now_ms)
{
    struct kv_shard *shard = choose_shard(kv, now_ms);
    if (!shard)
        return false;
    kv_shard_enter(shard, now_ms);
    struct kv_entry *entry = kv_shard_first_to_go(shard);
    bool expired = entry && kv_entry_has_expired(shard, entry);
    if (entry)
        kv_shard_remove(shard, entry);
    kv_shard_leave(shard);
    if (entry && !expired)
        atomic_fetch_add_explicit(&kv->evictions, 1, memory_order_relaxed);
    destroy(kv, entry);
    return true;
}

/* Counts so many bytes as used, when there is room for them. */
static bool
hold(struct kv *kv, uint64_t len, uint64_t now_ms)
{
    uint64_t used = atomic_load_explicit(&kv->used, memory_order_relaxed);
    for (;;) {
        if (used <= kv->max - len) {
            if (atomic_compare_exchange_weak_explicit(&kv->used, &used, used + len,
                                                      memory_order_relaxed, memory_order_relaxed))
                return true;
        } else {
            if (!make_room(kv, now_ms))
                return false;
            used = atomic_load_explicit(&kv->used, memory_order_relaxed);
        }
    }
}

/* --- numbers --- */

/* "0", "-12": up to 20 characters, of which no more is a sign than a "-" in front. */
static bool
parse_number(struct str text, int64_t *out)
{
    bool negative = text.len && text.ptr[0] == '-';
    uint64_t magnitude, most = (uint64_t)INT64_MAX + negative;
    if (text.len > NUMBER_LEN_MAX || !str_to_u64(str_skip(text, negative), &magnitude) ||
        magnitude > most)
        return false;
    *out = (int64_t)(negative ? -magnitude : magnitude);
    return true;
}

/* Writes it so that it ends where `end` is. */
static struct str
format_number(int64_t number, char *end)
{
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char *at = end;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0)
        *--at = '-';
    return str_make(at, (size_t)(end - at));
}

/* The value that is to be there after kv_add. `old` NULL: there is none. */
static enum kv_result
add_to(struct change *change, const struct kv_entry *old)
{
    int64_t number = 0;
    if (old && !parse_number(str_make(old->text + old->key_len, old->value_len), &number))
        return KV_NO_NUMBER;
    if (__builtin_add_overflow(number, change->add, &change->sum))
        return KV_OUT_OF_RANGE;
    change->value = format_number(change->sum, change->number + NUMBER_LEN_MAX);
    return KV_OK;
}

/* --- changes --- */

/* Room for the value: a number may grow. */
static size_t
cap_of(const struct change *change)
{
    return change->adds ? NUMBER_LEN_MAX : change->value.len;
}

static uint64_t
cost_of_change(const struct change *change)
{
    return (uint64_t)KV_ENTRY_COST + change->key.len + cap_of(change);
}

static struct kv_entry *
entry_new(const struct change *change)
{
    struct kv_entry *entry = malloc(sizeof *entry + change->key.len + cap_of(change));
    if (!entry)
        return NULL;
    entry->hash = change->hash;
    entry->key_len = (uint16_t)change->key.len;
    entry->value_cap = (uint32_t)cap_of(change);
    entry->value_len = 0;
    memcpy(entry->text, change->key.ptr, change->key.len);
    return entry;
}

static void
fill(struct kv_entry *entry, struct str value)
{
    entry->value_len = (uint32_t)value.len;
    if (value.len)
        memcpy(entry->text + entry->key_len, value.ptr, value.len);
}

static uint64_t
expiry(const struct change *change, const struct kv_shard *shard, const struct kv_entry *live)
{
    uint64_t expires_ms;
    if (change->adds && live)
        return live->expires_ms;
    if (change->ttl_ms == 0 || __builtin_add_overflow(shard->now_ms, change->ttl_ms, &expires_ms))
        return KV_NEVER;
    return expires_ms;
}

/* Whether a value of that length goes where another is, without wasting much. */
static bool
fits(const struct kv_entry *entry, size_t len)
{
    return len <= entry->value_cap && entry->value_cap - len <= SPARE_MAX + len;
}

/* A change on its way: `fresh` is to take the place of what is there, for which `held` bytes are
 * counted as used. */
struct attempt {
    struct kv_entry *fresh; /* NULL: not needed yet, or not any more */
    uint64_t held;
    uint64_t lacking; /* more than is held */
    struct kv_entry *gone;
};

/* Puts the fresh entry in, in place of the old one, if so much is held that there is room. */
static bool
replace(struct kv_shard *shard, struct kv_entry *old, const struct change *change,
        uint64_t expires_ms, struct attempt *attempt)
{
    uint64_t there = attempt->held + (old ? cost_of(old) : 0), needed = cost_of_change(change);
    attempt->lacking = needed > there ? needed - there : 0;
    if (!attempt->fresh || attempt->lacking)
        return false;
    if (old)
        kv_shard_remove(shard, old);
    fill(attempt->fresh, change->value);
    attempt->fresh->expires_ms = expires_ms;
    kv_shard_add(shard, attempt->fresh);
    attempt->fresh = NULL;
    attempt->gone = old;
    attempt->held = there - needed;
    return true;
}

/* Under the lock. False: something is lacking. */
static bool
try_change(struct kv_shard *shard, struct change *change, struct attempt *attempt,
           enum kv_result *result)
{
    struct kv_entry *old = kv_shard_find(shard, change->hash, change->key);
    struct kv_entry *live = old && !kv_entry_has_expired(shard, old) ? old : NULL;
    uint64_t expires_ms = expiry(change, shard, live);
    *result = change->adds ? add_to(change, live) : KV_OK;
    if (*result == KV_OK && expires_ms != KV_NEVER && !kv_shard_reserve(shard))
        *result = KV_NO_ROOM;
    if (*result != KV_OK)
        return true;
    if (!old || !fits(old, change->value.len))
        return replace(shard, old, change, expires_ms, attempt);
    fill(old, change->value);
    kv_shard_expire_at(shard, old, expires_ms);
    kv_shard_touch(shard, old);
    return true;
}

static enum kv_result
apply(struct kv *kv, struct change *change)
{
    struct kv_shard *shard = shard_of(kv, change->hash);
    struct attempt attempt = {0};
    enum kv_result result = KV_OK;
    if (cost_of_change(change) > kv->max)
        return KV_NO_ROOM;
    for (;;) {
        kv_shard_enter(shard, change->now_ms);
        bool done = try_change(shard, change, &attempt, &result);
        kv_shard_leave(shard);
        if (done)
            break;
        if (!attempt.fresh)
            attempt.fresh = entry_new(change);
        if (!attempt.fresh || !hold(kv, attempt.lacking, change->now_ms)) {
            result = KV_NO_ROOM;
            break;
        }
        attempt.held += attempt.lacking;
    }
    give_back(kv, attempt.held);
    free(attempt.gone);
    free(attempt.fresh);
    return result;
}

enum kv_result
kv_set(struct kv *kv, struct str key, struct str value, uint64_t ttl_ms, uint64_t now_ms)
{
    must(value.len <= SCRIPT_KV_VALUE_MAX);
    struct change change = {
        .key = key,
        .hash = hash_of(kv, key),
        .ttl_ms = ttl_ms,
        .now_ms = now_ms,
        .value = value,
    };
    return apply(kv, &change);
}

enum kv_result
kv_add(struct kv *kv, struct str key, int64_t add, uint64_t ttl_ms, uint64_t now_ms, int64_t *sum)
{
    struct change change = {
        .key = key,
        .hash = hash_of(kv, key),
        .ttl_ms = ttl_ms,
        .now_ms = now_ms,
        .adds = true,
        .add = add,
    };
    enum kv_result result = apply(kv, &change);
    *sum = result == KV_OK ? change.sum : 0;
    return result;
}

/* --- reading, deleting --- */

bool
kv_get(struct kv *kv, struct str key, uint64_t now_ms, char *out, size_t out_len, size_t *len)
{
    uint64_t hash = hash_of(kv, key);
    struct kv_shard *shard = shard_of(kv, hash);
    struct kv_entry *expired = NULL;
    kv_shard_enter(shard, now_ms);
    struct kv_entry *entry = kv_shard_find(shard, hash, key);
    if (entry && kv_entry_has_expired(shard, entry)) {
        kv_shard_remove(shard, entry);
        expired = entry;
        entry = NULL;
    }
    if (entry) {
        *len = entry->value_len;
        if (out_len && entry->value_len)
            memcpy(out, entry->text + entry->key_len, *len < out_len ? *len : out_len);
        kv_shard_touch(shard, entry);
    }
    kv_shard_leave(shard);
    destroy(kv, expired);
    return entry;
}

bool
kv_delete(struct kv *kv, struct str key, uint64_t now_ms)
{
    uint64_t hash = hash_of(kv, key);
    struct kv_shard *shard = shard_of(kv, hash);
    kv_shard_enter(shard, now_ms);
    struct kv_entry *entry = kv_shard_find(shard, hash, key);
    bool was_there = entry && !kv_entry_has_expired(shard, entry);
    if (entry)
        kv_shard_remove(shard, entry);
    kv_shard_leave(shard);
    destroy(kv, entry);
    return was_there;
}

struct kv_stats
kv_stats(struct kv *kv)
{
    struct kv_stats stats = {
        .used = atomic_load_explicit(&kv->used, memory_order_relaxed),
        .max = kv->max,
        .evictions = atomic_load_explicit(&kv->evictions, memory_order_relaxed),
    };
    for (unsigned i = 0; i < SHARD_COUNT; i++) {
        struct kv_shard *shard = &kv->shards[i];
        kv_shard_enter(shard, 0);
        stats.count += shard->count;
        kv_shard_leave(shard);
    }
    return stats;
}
