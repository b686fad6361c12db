/* fetcher: the thread that downloads, and the only one that changes what the cache holds.
 *
 * Workers hand it new flights; it answers by moving the flights on. It owns upstream connections,
 * part files, evictions and what is put into the index. Up to max_downloads are under way at once,
 * the others wait in line. Its loop waits for the network; writing to the disk makes all downloads
 * wait, which is what the disk asks for.
 *
 * Thread rule: made and stopped by the main thread; fetcher_take and fetcher_drop are for any
 * thread. Bounds: CACHE_* and UPSTREAM_* in base/limits.h. Docs: docs/design/cache.md.
 */
#ifndef TARN_CACHE_FETCHER_H
#define TARN_CACHE_FETCHER_H

#include "base/cidr.h"
#include "cache/index.h"
#include "cache/store.h"
#include "cache/table.h"

struct fetcher;
struct proxy_env;
struct resolver;
struct tls_client;

struct fetcher_config {
    /* borrowed, all of them; they outlive the fetcher */
    struct cache_table *table;
    struct store *store;
    struct index *index;
    struct resolver *resolver;
    struct tls_client *tls;
    const struct proxy_env *proxies;        /* NULL: none */
    const struct cidr_list *upstream_allow; /* addresses to connect to although they are guarded */
    const char *user_agent;
    unsigned max_downloads;
    uint64_t retry_ns;         /* how long a download is tried again */
    unsigned backoff_ms;       /* before the first time; 0: CACHE_BACKOFF_MS */
    int64_t negative_ttl_s;    /* an upstream's refusal is remembered */
    int64_t stale_if_error_s;  /* an entry that old stands in for a failure; 0: never */
    uint64_t abandon_after_ns; /* a download nobody waits for goes on that long; 0: to its end */
    uint64_t connect_timeout_ns, first_byte_timeout_ns, between_bytes_timeout_ns;
};

/* Numbers since the start; written by the fetcher alone, atomic. */
struct fetcher_counters {
    uint64_t successes, failures; /* downloads */
    uint64_t received;            /* bytes of bodies */
    uint64_t revalidated, retried, resumed, evicted, refused_full;
};

/* What the workers add to the totals: summed up by the owner, called on the fetcher's thread. */
typedef void fetcher_totals_fn(void *arg, struct cache_totals *totals);

int fetcher_start(struct fetcher **out, const struct fetcher_config *config,
                  fetcher_totals_fn *totals, void *totals_arg, struct error *error) MUST_USE;
/* Breaks off what is under way, and joins the thread. After the workers have ended. */
void fetcher_stop(struct fetcher *fetcher);

const struct fetcher_counters *fetcher_counters(const struct fetcher *fetcher);

/* A flight that table_ask has just made. Takes a reference of its own. */
void fetcher_take(struct fetcher *fetcher, struct cache_flight *flight);

/* Unlinks what was dropped from the table, tells the index, settles the account. Returns how many.
 * Any thread. */
unsigned fetcher_drop(struct fetcher *fetcher, struct table_victim *victims);

#endif
