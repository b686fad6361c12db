/* Helpers: rate limits and the key-value store. Keys and values are any bytes. */
#include "base/limits.h"
#include "script/helpers.h"
#include "script/task.h"

enum { NS_PER_MS = 1000 * 1000 };

#define FAILED ((uint64_t)-1)

SCRIPT_HELPER(zs_rate_limit)
{
    const struct script_worker *worker = script_frame_of(run)->task->worker;
    const uint64_t per_window[RATE_LIMIT_WINDOWS] = {r3, r4, r5};
    if (r2 == 0 || r2 > SCRIPT_RATE_KEY_MAX)
        return FAILED;
    return rate_limit_take(worker->shared->rate_limit, bpf_view(run, r1, r2), per_window,
                           loop_now_ns(worker->loop));
}

/* --- the key-value store --- */

static bool
is_key_len(uint64_t len)
{
    return len > 0 && len <= SCRIPT_KV_KEY_MAX;
}

static struct kv *
store_of(const struct bpf_run *run, uint64_t *now_ms)
{
    const struct script_worker *worker = script_frame_of(run)->task->worker;
    *now_ms = loop_now_ns(worker->loop) / NS_PER_MS;
    return worker->shared->kv;
}

/* As other helpers that copy text out, but that -1 tells a key that is not there from an empty
 * value. */
SCRIPT_HELPER(zs_kv_get)
{
    uint64_t now_ms;
    struct kv *kv = store_of(run, &now_ms);
    size_t room = r4 ? (size_t)r4 - 1 : 0, len = 0;
    char *out = bpf_view_writable(run, r3, r4);
    bool there = false;
    if (is_key_len(r2)) {
        struct str key = bpf_view(run, r1, r2);
        bpf_views_apart(run, out, r4, key.ptr, key.len);
        there = kv_get(kv, key, now_ms, out, room, &len);
    }
    if (r4)
        out[len < room ? len : room] = '\0';
    if (!there)
        return FAILED;
    return len < r4 ? len : r4;
}

SCRIPT_HELPER(zs_kv_set)
{
    uint64_t now_ms;
    struct kv *kv = store_of(run, &now_ms);
    if (!is_key_len(r2) || r4 > SCRIPT_KV_VALUE_MAX)
        return FAILED;
    struct str key = bpf_view(run, r1, r2), value = bpf_view(run, r3, r4);
    return kv_set(kv, key, value, r5, now_ms) == KV_OK ? 0 : FAILED;
}

/* Every result is a number that a counter may have, so what goes wrong ends the script. */
SCRIPT_HELPER(zs_kv_incr)
{
    uint64_t now_ms;
    struct kv *kv = store_of(run, &now_ms);
    int64_t sum;
    if (!is_key_len(r2))
        bpf_trap(run, "zs_kv_incr: key_len is %llu, expected 1 to %d", (unsigned long long)r2,
                 SCRIPT_KV_KEY_MAX);
    switch (kv_add(kv, bpf_view(run, r1, r2), (int64_t)r3, r4, now_ms, &sum)) {
    case KV_OK:
        break;
    case KV_NO_NUMBER:
        bpf_trap(run, "zs_kv_incr: the value of the key is no decimal number of 64 bits");
    case KV_OUT_OF_RANGE:
        bpf_trap(run, "zs_kv_incr: the sum does not fit 64 bits");
    case KV_NO_ROOM:
        bpf_trap(run, "zs_kv_incr: no room for the key (--script-kv-max)");
    }
    return (uint64_t)sum;
}

SCRIPT_HELPER(zs_kv_delete)
{
    uint64_t now_ms;
    struct kv *kv = store_of(run, &now_ms);
    return is_key_len(r2) && kv_delete(kv, bpf_view(run, r1, r2), now_ms);
}
