#include "cache/fetcher_internal.h"

#include "base/limits.h"
#include "base/log.h"
#include "io/resolver.h"

#include <stdlib.h>
#include <time.h>

/* Once a second the fetcher looks after what nobody waits for: failures that are to be forgotten,
 * downloads whose clients have gone, entries above the mark. Work that can be long (eviction,
 * search for expired entries) is done in steps, so that a download never waits for much of it.
 */

enum { TICK_MS = 1000, FLUSH_S = 5, MINUTE_S = 60, VICTIMS_A_TICK = 200, USES_A_FLUSH = 50000 };

int64_t
fetcher_now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

const struct fetcher_counters *
fetcher_counters(const struct fetcher *fetcher)
{
    return &fetcher->counters;
}

/* --- room --- */

unsigned
fetcher_drop(struct fetcher *fetcher, struct table_victim *victims)
{
    const struct fetcher_config *config = &fetcher->config;
    unsigned count = 0;
    for (struct table_victim *next; victims; victims = next, count++) {
        next = victims->next;
        struct str url = str_make(victims->url, victims->url_len);
        int result = store_remove(config->store, url, victims->id);
        if (result < 0)
            log_warn("cache: cannot remove the file of %.*s: %s", STR_ARG(url), strerror(-result));
        index_remove(config->index, victims->id);
        table_settle(config->table, victims);
    }
    return count;
}

bool
fetcher_charge(struct fetcher *fetcher, uint64_t len)
{
    struct cache_table *table = fetcher->config.table;
    if (table_charge(table, len))
        return true;
    unsigned count = fetcher_drop(fetcher, table_pick(table, len));
    fetcher_count(&fetcher->counters.evicted, count);
    if (count && table_charge(table, len))
        return true;
    fetcher_count(&fetcher->counters.refused_full, 1);
    return false;
}

bool
fetcher_make_room(struct fetcher *fetcher, uint64_t len)
{
    unsigned count = fetcher_drop(fetcher, table_pick_bytes(fetcher->config.table, len));
    fetcher_count(&fetcher->counters.evicted, count);
    return count > 0;
}

/* --- the line --- */

static void
start_next(struct fetcher *fetcher)
{
    while (fetcher->first_queued && fetcher->running_count < fetcher->config.max_downloads &&
           !fetcher->stopping) {
        struct download *download = fetcher->first_queued;
        fetcher->first_queued = *download_next(download);
        if (!fetcher->first_queued)
            fetcher->last_queued = NULL;
        *download_prev(download) = NULL;
        *download_next(download) = fetcher->running;
        if (fetcher->running)
            *download_prev(fetcher->running) = download;
        fetcher->running = download;
        fetcher->running_count++;
        download_start(download);
    }
}

static void
next_came(struct timer *timer)
{
    struct fetcher *fetcher = (struct fetcher *)((char *)timer - offsetof(struct fetcher, start));
    start_next(fetcher);
}

void
fetcher_went_on(struct fetcher *fetcher)
{
    /* Not at once: whoever ended may be deep in calls of the one that will be next. */
    if (fetcher->first_queued)
        timer_set(loop_timers(fetcher->loop), &fetcher->start, loop_now_ns(fetcher->loop) + 1);
}

static void
flight_came(struct loop_post *post)
{
    struct cache_flight *flight =
        (struct cache_flight *)((char *)post - offsetof(struct cache_flight, post));
    struct fetcher *fetcher = flight->taker;
    struct download *download = fetcher->stopping ? NULL : download_new(fetcher, flight);
    if (!download) {
        flight_set_failed(flight, 503, 0, "the cache is shutting down, or has no memory");
        table_hold(fetcher->config.table, flight, 0);
        flight_unref(flight);
        return;
    }
    *download_next(download) = NULL;
    *(fetcher->last_queued ? download_next(fetcher->last_queued) : &fetcher->first_queued) =
        download;
    fetcher->last_queued = download;
    start_next(fetcher);
}

void
fetcher_take(struct fetcher *fetcher, struct cache_flight *flight)
{
    flight_ref(flight);
    flight->taker = fetcher;
    flight->post.run = flight_came;
    loop_post(fetcher->loop, &flight->post);
}

/* --- upkeep --- */

static void
note_use(void *arg, uint64_t id, int64_t last_used_s, uint32_t use_count)
{
    index_touch(arg, id, last_used_s, use_count);
}

/* Hands what is new to the index. */
static void
flush(struct fetcher *fetcher, int64_t now_s)
{
    struct cache_totals totals = {0}, added;
    const struct fetcher_counters *counters = &fetcher->counters;
    bool any = false;
    fetcher->totals(fetcher->totals_arg, &totals);
    totals.values[CACHE_TOTAL_SUCCESSES] = counters->successes;
    totals.values[CACHE_TOTAL_FAILURES] = counters->failures;
    totals.values[CACHE_TOTAL_DOWNLOAD] = counters->received;
    for (unsigned i = 0; i < CACHE_TOTAL_COUNT; i++) {
        added.values[i] = totals.values[i] - fetcher->totals_seen.values[i];
        any |= added.values[i] > 0;
    }
    fetcher->totals_seen = totals;
    if (any)
        index_add_totals(fetcher->config.index, now_s, &added);
    table_take_uses(fetcher->config.table, USES_A_FLUSH, note_use, fetcher->config.index);
}

/* Ends downloads that nobody has waited for for long enough. */
static void
abandon(struct fetcher *fetcher)
{
    uint64_t after_ns = fetcher->config.abandon_after_ns, now_ns = loop_clock_ns();
    if (!after_ns)
        return;
    for (struct download *next, *download = fetcher->running; download; download = next) {
        uint64_t left_ns;
        next = *download_next(download);
        /* The last one may have left after the clock was read. */
        if (flight_waiters(download_flight(download), &left_ns) == 0 && left_ns &&
            now_ns >= left_ns + after_ns)
            download_abort(download, 503, "given up: nobody waited for it any more");
    }
}

static void
ticked(struct timer *timer)
{
    struct fetcher *fetcher = (struct fetcher *)((char *)timer - offsetof(struct fetcher, tick));
    struct cache_table *table = fetcher->config.table;
    int64_t now_s = fetcher_now_s();
    table_forget_held(table, now_s);
    abandon(fetcher);
    unsigned count = fetcher_drop(fetcher, table_pick_above_mark(table, VICTIMS_A_TICK));
    if (now_s >= fetcher->next_minute_s) {
        unsigned expired =
            fetcher_drop(fetcher, table_pick_expired(table, now_s, fetcher->config.stale_if_error_s,
                                                     VICTIMS_A_TICK));
        count += expired;
        if (expired < VICTIMS_A_TICK)
            fetcher->next_minute_s = now_s + MINUTE_S;
    }
    fetcher_count(&fetcher->counters.evicted, count);
    if (now_s >= fetcher->next_flush_s) {
        flush(fetcher, now_s);
        fetcher->next_flush_s = now_s + FLUSH_S;
    }
    bool busy = count >= VICTIMS_A_TICK; /* there is more to do: soon */
    timer_set(loop_timers(fetcher->loop), timer,
              loop_now_ns(fetcher->loop) + (busy ? 10 : TICK_MS) * (uint64_t)1000000);
}

/* --- life --- */

static bool
may_connect(void *arg, const struct sockaddr *address)
{
    const struct fetcher *fetcher = arg;
    const struct cidr_list *allow = fetcher->config.upstream_allow;
    return !address_is_guarded(address) || (allow && cidr_list_has(allow, address));
}

static void
stop_came(struct loop_post *post)
{
    struct fetcher *fetcher =
        (struct fetcher *)((char *)post - offsetof(struct fetcher, stop_post));
    fetcher->stopping = true;
    while (fetcher->first_queued) {
        struct download *download = fetcher->first_queued;
        fetcher->first_queued = *download_next(download);
        download_abort(download, 503, "the cache is shutting down");
    }
    while (fetcher->running)
        download_abort(fetcher->running, 503, "the cache is shutting down");
    upstream_pool_close(fetcher->upstreams);
    timer_clear(loop_timers(fetcher->loop), &fetcher->tick);
    timer_clear(loop_timers(fetcher->loop), &fetcher->start);
    loop_stop(fetcher->loop);
}

static int
open_loop(struct fetcher *fetcher)
{
    const struct fetcher_config *config = &fetcher->config;
    /* epoll: its receive buffer is large, and one thread has few sockets. */
    if (loop_new(&fetcher->loop, LOOP_EPOLL, &fetcher->error) != 0)
        return -1;
    const struct upstream_config upstream = {
        .resolver = config->resolver,
        .tls = config->tls,
        .proxies = config->proxies,
        .connect_timeout_ns = config->connect_timeout_ns,
        .first_byte_timeout_ns = config->first_byte_timeout_ns,
        .between_bytes_timeout_ns = config->between_bytes_timeout_ns,
        .idle_timeout_ns = (uint64_t)CACHE_UPSTREAM_IDLE_S * 1000000000,
        .head_max = CACHE_UPSTREAM_HEAD_MAX,
        .fields_max = CACHE_UPSTREAM_FIELDS_MAX,
        .allows = may_connect,
        .allows_arg = fetcher,
    };
    fetcher->upstreams = upstream_pool_new(fetcher->loop, &upstream);
    if (!fetcher->upstreams)
        return error_set(&fetcher->error, "no memory for the cache");
    return 0;
}

static void
close_loop(struct fetcher *fetcher)
{
    if (fetcher->upstreams)
        upstream_pool_free(fetcher->upstreams);
    if (fetcher->loop) {
        resolver_detach(fetcher->config.resolver, fetcher->loop);
        loop_free(fetcher->loop);
    }
}

/* A loop is made on the thread that runs it; whoever started that waits for it. */
static void *
run(void *arg)
{
    static const struct loop_hooks no_hooks;
    struct fetcher *fetcher = arg;
    int result = open_loop(fetcher);
    pthread_mutex_lock(&fetcher->start_lock);
    fetcher->started = result == 0 ? 1 : -1;
    pthread_cond_signal(&fetcher->start_cond);
    pthread_mutex_unlock(&fetcher->start_lock);
    if (result == 0) {
        timer_set(loop_timers(fetcher->loop), &fetcher->tick,
                  loop_now_ns(fetcher->loop) + (uint64_t)TICK_MS * 1000000);
        loop_run(fetcher->loop, &no_hooks);
    }
    close_loop(fetcher);
    return NULL;
}

static void
fetcher_free(struct fetcher *fetcher)
{
    pthread_mutex_destroy(&fetcher->start_lock);
    pthread_cond_destroy(&fetcher->start_cond);
    free(fetcher);
}

int
fetcher_start(struct fetcher **out, const struct fetcher_config *config, fetcher_totals_fn *totals,
              void *totals_arg, struct error *error)
{
    struct fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return error_set(error, "no memory for the cache");
    fetcher->config = *config;
    fetcher->totals = totals;
    fetcher->totals_arg = totals_arg;
    fetcher->next_id = index_last_id(config->index);
    if (fetcher->next_id < store_last_id(config->store))
        fetcher->next_id = store_last_id(config->store);
    fetcher->stop_post.run = stop_came;
    timer_init(&fetcher->tick, ticked);
    timer_init(&fetcher->start, next_came);
    pthread_mutex_init(&fetcher->start_lock, NULL);
    pthread_cond_init(&fetcher->start_cond, NULL);
    int code = pthread_create(&fetcher->thread, NULL, run, fetcher);
    if (code != 0) {
        fetcher_free(fetcher);
        return error_set_errno(error, code, "cannot start the cache's thread");
    }
    pthread_mutex_lock(&fetcher->start_lock);
    while (fetcher->started == 0)
        pthread_cond_wait(&fetcher->start_cond, &fetcher->start_lock);
    pthread_mutex_unlock(&fetcher->start_lock);
    if (fetcher->started < 0) {
        pthread_join(fetcher->thread, NULL);
        *error = fetcher->error;
        fetcher_free(fetcher);
        return -1;
    }
    *out = fetcher;
    return 0;
}

void
fetcher_stop(struct fetcher *fetcher)
{
    loop_post(fetcher->loop, &fetcher->stop_post);
    pthread_join(fetcher->thread, NULL);
    flush(fetcher, fetcher_now_s());
    fetcher_free(fetcher);
}
