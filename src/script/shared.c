#include "script/shared.h"

#include "base/limits.h"
#include "script/geoip.h"

#include <stdlib.h>

/* A run is told to stop when the ticker sees it at two ticks in a row: after one tick at least, two
 * at most, so on the average after a slice when a tick is two thirds of one. */
static uint64_t
tick_ns(const struct script_config *config)
{
    return config->slice_ns / 3 * 2;
}

int
script_shared_new(struct script_shared **out, const struct script_config *config,
                  struct error *error)
{
    struct script_shared *shared = calloc(1, sizeof *shared);
    if (!shared)
        return error_set(error, "no memory for scripts");
    shared->config = *config;
    shared->rate_limit = rate_limit_new(config->rate_buckets_max);
    shared->kv = kv_new(config->kv_max);
    if (!shared->rate_limit)
        error_set(error, "no memory for the rate limits of %u keys", config->rate_buckets_max);
    else if (!shared->kv)
        error_set(error, "no memory for a key-value store of %llu bytes",
                  (unsigned long long)config->kv_max);
    else if ((!config->geoip_path || geoip_open(&shared->geoip, config->geoip_path, error) == 0) &&
             bpf_ticker_new(&shared->ticker, tick_ns(config), error) == 0) {
        *out = shared;
        return 0;
    }
    script_shared_free(shared);
    return -1;
}

void
script_shared_free(struct script_shared *shared)
{
    if (!shared)
        return;
    bpf_ticker_free(shared->ticker);
    geoip_close(shared->geoip);
    kv_free(shared->kv);
    rate_limit_free(shared->rate_limit);
    for (struct script_counters *next, *counters = atomic_load(&shared->counters); counters;
         counters = next) {
        next = counters->next;
        free(counters);
    }
    free(shared);
}

/* --- counters --- */

/* Among those from `from` up to, and not, `end`. */
static struct script_counters *
find(struct script_counters *from, const struct script_counters *end, struct str name,
     unsigned *count)
{
    for (struct script_counters *at = from; at != end; at = at->next) {
        if (str_eq(str_make(at->name, at->name_len), name))
            return at;
        ++*count;
    }
    return NULL;
}

static struct script_counters *
new_counters(struct str name)
{
    struct script_counters *counters = calloc(1, sizeof *counters + name.len + 1);
    if (!counters)
        return NULL;
    counters->name_len = (uint32_t)name.len;
    if (name.len)
        memcpy(counters->name, name.ptr, name.len);
    return counters;
}

struct script_counters *
script_shared_counters(struct script_shared *shared, struct str name)
{
    struct script_counters *first = atomic_load(&shared->counters), *seen = NULL, *fresh = NULL;
    unsigned count = 0;
    do { /* once more when another thread has put one in front of `first` */
        struct script_counters *known = find(first, seen, name, &count);
        if (!known && count < SCRIPT_COUNTERS_MAX && !fresh)
            fresh = new_counters(name);
        if (known || count >= SCRIPT_COUNTERS_MAX || !fresh) {
            free(fresh);
            return known;
        }
        fresh->next = seen = first;
    } while (!atomic_compare_exchange_strong(&shared->counters, &first, fresh));
    return fresh;
}
