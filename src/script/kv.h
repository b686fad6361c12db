/* kv: a key-value store in memory that scripts share. Not for other folders.
 *
 * Shared by all threads of the process and kept over reloads, not over restarts. Keys and values
 * are any bytes. Entries may have a time to live. Bounds: bytes of keys and values together with
 * what entries cost (KV_ENTRY_COST each), at no moment more; when it is full, entries that have
 * expired go first, then those that were not used for longest. An index of one part in 32 of that
 * bound comes on top.
 *
 * Clock: now_ms is monotonic; threads may be a little apart.
 */
#ifndef TARN_SCRIPT_KV_H
#define TARN_SCRIPT_KV_H

#include "base/error.h"
#include "base/str.h"

struct kv;

enum { KV_ENTRY_COST = 112 };

/* Any thread, all of these. Keys have 1 to SCRIPT_KV_KEY_MAX bytes, values at most
 * SCRIPT_KV_VALUE_MAX. NULL: no memory. */
struct kv *kv_new(uint64_t bytes_max);
void kv_free(struct kv *kv);

enum kv_result {
    KV_OK,
    KV_NO_NUMBER,    /* kv_add: what is there is not a decimal number of 64 bits */
    KV_OUT_OF_RANGE, /* kv_add: the sum is not */
    KV_NO_ROOM,      /* larger than the store may ever hold, or no memory; or what is in the store
                        is being written by other threads now, all of it */
};

/* Copies the value's first bytes, up to out_len, and says how long it is. False: there is none.
 * `out` is written to under a lock: memory that is there. */
bool kv_get(struct kv *kv, struct str key, uint64_t now_ms, char *out, size_t out_len, size_t *len);
/* KV_OK or KV_NO_ROOM: then the value is what it was, unless it had to go. ttl_ms 0: for ever. */
MUST_USE enum kv_result kv_set(struct kv *kv, struct str key, struct str value, uint64_t ttl_ms,
                               uint64_t now_ms);
/* Adds to a decimal number as text ("-12"), which is 0 when there is none. A ttl_ms above 0 is set
 * when the entry is made, and stays. Unless KV_OK, the value is what it was. */
MUST_USE enum kv_result kv_add(struct kv *kv, struct str key, int64_t add, uint64_t ttl_ms,
                               uint64_t now_ms, int64_t *sum);
/* Whether there was one. */
bool kv_delete(struct kv *kv, struct str key, uint64_t now_ms);

struct kv_stats {
    uint64_t count; /* of entries; those that have expired and are still there included */
    uint64_t used, max;
    uint64_t evictions; /* entries that had not expired, and went to make room */
};
struct kv_stats kv_stats(struct kv *kv);

#endif
