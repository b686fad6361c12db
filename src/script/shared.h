/* shared: what all scripts of the process share. Not for other folders.
 *
 * Counters by script name, rate limits, the key-value store, the GeoIP database. All outlive
 * snapshots. Each table has its own locking rule at the top of its .c file.
 */
#ifndef TARN_SCRIPT_SHARED_H
#define TARN_SCRIPT_SHARED_H

#include "bpf/run.h"
#include "script/kv.h"
#include "script/rate_limit.h"
#include "script/script.h"

#include <stdatomic.h>

/* Of all scripts with one name; each word is atomic and only grows. */
struct script_counters {
    struct script_counters *next;
    _Atomic uint64_t runs;
    _Atomic uint64_t traps[BPF_TRAP_COUNT];
    _Atomic uint64_t cpu_ns, yields, throttles, log_lines;
    uint32_t name_len;
    char name[];
};

struct geoip;

struct script_shared {
    struct script_config config;
    struct bpf_ticker *ticker;
    struct script_counters *_Atomic counters; /* list; entries are never removed */
    struct rate_limit *rate_limit;
    struct kv *kv;
    struct geoip *geoip; /* NULL: none */
};

/* The counters for that name, made when there are none; NULL: no memory, or more than
 * SCRIPT_COUNTERS_MAX names. */
struct script_counters *script_shared_counters(struct script_shared *shared, struct str name);

#endif
