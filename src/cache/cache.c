#include "cache/cache_internal.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- opening --- */

static int
note_loaded(void *arg, const struct cache_entry *entry)
{
    struct cache *cache = arg;
    int result = table_load(cache->table, entry);
    return result > 0 ? INDEX_REFUSED : result < 0 ? INDEX_FAILED : INDEX_TAKEN;
}

static void
note_line(void *arg, const char *line)
{
    log_warn("cache: %s", line);
}

struct walk {
    struct cache *cache;
    size_t at;
    struct table_victim *missing;
    int64_t check_from_s; /* the content of younger entries is looked at */
};

/* After a power failure the last files may lack bytes. */
static int64_t
check_from(struct cache *cache)
{
    struct cache_entry entry;
    int64_t youngest_s = 0;
    if (!store_was_restarted(cache->store))
        return INT64_MAX;
    for (size_t at = 0; table_next(cache->table, &at, &entry);)
        if (entry.created_s > youngest_s)
            youngest_s = entry.created_s;
    return youngest_s - CACHE_UNSYNCED_S;
}

static bool
next_known(void *arg, struct store_known *known)
{
    struct walk *walk = arg;
    struct cache_entry entry;
    if (!table_next(walk->cache->table, &walk->at, &entry))
        return false;
    *known = (struct store_known){
        .url = entry.url,
        .id = entry.id,
        .len = entry.len,
        .checks_content = entry.created_s >= walk->check_from_s,
    };
    memcpy(known->sha256, entry.sha256, sizeof known->sha256);
    return true;
}

static void
note_missing(void *arg, const struct store_known *known)
{
    struct walk *walk = arg;
    struct table_victim *victim = table_pick_url(walk->cache->table, known->url, known->id);
    if (!victim)
        return;
    index_remove(walk->cache->index, victim->id);
    table_settle(walk->cache->table, victim);
}

/* What a process that did not end in order has left behind. */
static int
recover(struct cache *cache, struct error *error)
{
    struct walk walk = {.cache = cache};
    struct store_recovery found = {0};
    if (store_was_orderly(cache->store) && index_was_orderly(cache->index))
        return 0;
    walk.check_from_s = check_from(cache);
    if (store_recover(cache->store, next_known, note_missing, &walk, &found, error) != 0)
        return -1;
    if (found.removed_parts || found.removed_files || found.missing_count)
        log_info("cache: cleaned up: %llu unfinished and %llu unknown files removed (%llu bytes), "
                 "%llu entries without their file forgotten",
                 (unsigned long long)found.removed_parts, (unsigned long long)found.removed_files,
                 (unsigned long long)found.removed_bytes, (unsigned long long)found.missing_count);
    return 0;
}

/* More on the disk than the quota allows now: the least recently used go before anything is served.
 */
static void
fit_quota(struct cache *cache)
{
    struct cache_figures figures;
    cache_figures(cache, &figures);
    if (!figures.quota || figures.used <= figures.quota)
        return;
    unsigned count =
        fetcher_drop(cache->fetcher, table_pick_bytes(cache->table, figures.used - figures.quota));
    log_info("cache: %u entries were over the quota and went", count);
}

static void sum_totals(void *arg, struct cache_totals *totals);

static int
start_fetcher(struct cache *cache, struct error *error)
{
    const struct cache_config *config = &cache->config;
    const struct fetcher_config fetcher = {
        .table = cache->table,
        .store = cache->store,
        .index = cache->index,
        .resolver = config->resolver,
        .tls = config->tls,
        .proxies = config->proxies,
        .upstream_allow = config->upstream_allow,
        .user_agent = config->user_agent,
        .max_downloads = config->max_downloads,
        .retry_ns = config->retry_ns,
        .negative_ttl_s = config->negative_ttl_s,
        .stale_if_error_s = config->stale_if_error_s,
        .abandon_after_ns = config->abandon_after_ns,
        .connect_timeout_ns = config->connect_timeout_ns,
        .first_byte_timeout_ns = config->first_byte_timeout_ns,
        .between_bytes_timeout_ns = config->between_bytes_timeout_ns,
    };
    return fetcher_start(&cache->fetcher, &fetcher, sum_totals, cache, error);
}

static int
open_parts(struct cache *cache, struct error *error)
{
    const struct cache_config *config = &cache->config;
    const struct table_config table = {
        .quota = config->quota,
        .clean_percent = config->clean_percent,
        .open_max = CACHE_OPEN_MAX,
    };
    if (store_open(&cache->store, config->dir, error) != 0)
        return -1;
    cache->table = table_new(&table);
    if (!cache->table)
        return error_set(error, "no memory for the cache");
    if (index_open(&cache->index, config->dir, note_loaded, note_line, cache, error) != 0)
        return -1;
    table_loaded(cache->table); /* the index gives them in the order of their ids */
    index_totals(cache->index, &cache->totals_at_start);
    if (recover(cache, error) != 0 || start_fetcher(cache, error) != 0)
        return -1;
    fit_quota(cache);
    return 0;
}

static void
close_parts(struct cache *cache, bool orderly)
{
    if (cache->fetcher)
        fetcher_stop(cache->fetcher);
    if (cache->index)
        orderly = index_close(cache->index) && orderly;
    table_free(cache->table);
    if (cache->store)
        store_close(cache->store, orderly);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

int
cache_open(struct cache **out, const struct cache_config *config, struct error *error)
{
    struct cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return error_set(error, "no memory for the cache");
    cache->config = *config;
    pthread_mutex_init(&cache->lock, NULL);
    if (config->instance)
        snprintf(cache->instance, sizeof cache->instance, "%s", config->instance);
    else if (gethostname(cache->instance, sizeof cache->instance - 1) != 0)
        snprintf(cache->instance, sizeof cache->instance, "tarn");
    if (open_parts(cache, error) != 0) {
        close_parts(cache, false);
        return -1;
    }
    *out = cache;
    return 0;
}

void
cache_close(struct cache *cache)
{
    must(!cache->workers);
    close_parts(cache, true);
}

/* --- workers and figures --- */

struct cache_worker *
cache_worker_new(struct cache *cache, struct loop *loop)
{
    struct cache_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return NULL;
    worker->cache = cache;
    worker->loop = loop;
    pthread_mutex_lock(&cache->lock);
    worker->next = cache->workers;
    cache->workers = worker;
    pthread_mutex_unlock(&cache->lock);
    return worker;
}

static void
add_counters(struct cache_worker_counters *sum, const struct cache_worker_counters *counters)
{
    sum->requests += __atomic_load_n(&counters->requests, __ATOMIC_RELAXED);
    sum->hits += __atomic_load_n(&counters->hits, __ATOMIC_RELAXED);
    sum->upload += __atomic_load_n(&counters->upload, __ATOMIC_RELAXED);
}

void
cache_worker_free(struct cache_worker *worker)
{
    if (!worker)
        return;
    struct cache *cache = worker->cache;
    pthread_mutex_lock(&cache->lock);
    struct cache_worker **at = &cache->workers;
    while (*at != worker)
        at = &(*at)->next;
    *at = worker->next;
    add_counters(&cache->ended, &worker->counters);
    pthread_mutex_unlock(&cache->lock);
    index_detach(cache->index, worker->loop);
    reader_worker_deinit(worker);
    free(worker);
}

/* What the workers have counted since the start. */
static void
sum_totals(void *arg, struct cache_totals *totals)
{
    struct cache *cache = arg;
    pthread_mutex_lock(&cache->lock);
    struct cache_worker_counters sum = cache->ended;
    for (const struct cache_worker *worker = cache->workers; worker; worker = worker->next)
        add_counters(&sum, &worker->counters);
    pthread_mutex_unlock(&cache->lock);
    totals->values[CACHE_TOTAL_REQUESTS] = sum.requests;
    totals->values[CACHE_TOTAL_HITS] = sum.hits;
    totals->values[CACHE_TOTAL_UPLOAD] = sum.upload;
}

void
cache_figures(struct cache *cache, struct cache_figures *figures)
{
    struct table_stats table;
    table_stats(cache->table, &table);
    *figures = (struct cache_figures){
        .used = table.used,
        .quota = table.quota,
        .entry_count = table.entry_count,
        .queued_count = table.queued_count,
        .running_count = table.running_count,
        .failed_count = table.failed_count,
    };
    sum_totals(cache, &figures->totals);
    if (cache->fetcher) {
        const struct fetcher_counters *counters = fetcher_counters(cache->fetcher);
        figures->totals.values[CACHE_TOTAL_SUCCESSES] =
            __atomic_load_n(&counters->successes, __ATOMIC_RELAXED);
        figures->totals.values[CACHE_TOTAL_FAILURES] =
            __atomic_load_n(&counters->failures, __ATOMIC_RELAXED);
        figures->totals.values[CACHE_TOTAL_DOWNLOAD] =
            __atomic_load_n(&counters->received, __ATOMIC_RELAXED);
        figures->revalidated = __atomic_load_n(&counters->revalidated, __ATOMIC_RELAXED);
        figures->retried = __atomic_load_n(&counters->retried, __ATOMIC_RELAXED);
        figures->resumed = __atomic_load_n(&counters->resumed, __ATOMIC_RELAXED);
        figures->evicted = __atomic_load_n(&counters->evicted, __ATOMIC_RELAXED);
        figures->refused_full = __atomic_load_n(&counters->refused_full, __ATOMIC_RELAXED);
    }
    for (unsigned i = 0; i < CACHE_TOTAL_COUNT; i++)
        figures->totals.values[i] += cache->totals_at_start.values[i];
}
