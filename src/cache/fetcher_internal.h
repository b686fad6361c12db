/* fetcher_internal: the fetcher as its parts see it. fetcher.c holds the thread, the line, upkeep
 * and eviction; download.c one download. All on the fetcher's thread.
 */
#ifndef TARN_CACHE_FETCHER_INTERNAL_H
#define TARN_CACHE_FETCHER_INTERNAL_H

#include "cache/fetcher.h"
#include "io/loop.h"
#include "proxy/upstream.h"

#include <pthread.h>

struct download;

struct fetcher {
    struct fetcher_config config;
    fetcher_totals_fn *totals;
    void *totals_arg;
    struct loop *loop;
    struct upstream_pool *upstreams;
    struct fetcher_counters counters;
    struct cache_totals totals_seen;
    struct download *first_queued, *last_queued;
    struct download *running; /* doubly linked */
    unsigned running_count;
    uint64_t next_id;
    int64_t next_minute_s, next_flush_s;
    struct timer tick, start;
    struct loop_post stop_post;
    bool stopping;
    pthread_t thread;
    pthread_mutex_t start_lock;
    pthread_cond_t start_cond;
    int started; /* under start_lock; 0: not yet, 1: running, -1: failed */
    struct error error;
};

/* --- fetcher.c, for downloads --- */

/* Room for `len` more bytes, evicting what may go. False: there is none to be had. */
bool fetcher_charge(struct fetcher *fetcher, uint64_t len) MUST_USE;
/* The disk is full although the account is not: evicts `len` bytes' worth. False: nothing could go.
 */
bool fetcher_make_room(struct fetcher *fetcher, uint64_t len);
int64_t fetcher_now_s(void);
/* A download has ended and is no longer in the list: the next in line may start. */
void fetcher_went_on(struct fetcher *fetcher);

static inline void
fetcher_count(uint64_t *counter, uint64_t add)
{
    __atomic_store_n(counter, *counter + add, __ATOMIC_RELAXED);
}

/* --- download.c --- */

/* For a flight, whose reference it takes; waits to be started. NULL: no memory. */
struct download *download_new(struct fetcher *fetcher, struct cache_flight *flight);
void download_start(struct download *download);
/* Ends it now: the flight fails with this. Frees it. */
void download_abort(struct download *download, int status, const char *reason);
struct cache_flight *download_flight(const struct download *download);
/* In the fetcher's lists. */
struct download **download_next(struct download *download);
struct download **download_prev(struct download *download);

#endif
