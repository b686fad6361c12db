/* cache: the fetch cache as a whole: opened by the main thread, plugged into the pipeline of each
 * worker as an action. Docs: docs/design/cache.md.
 *
 * Thread rule: a cache belongs to the main thread, is read by all, and outlives the workers; a
 * cache_worker belongs to its worker.
 */
#ifndef TARN_CACHE_CACHE_H
#define TARN_CACHE_CACHE_H

#include "base/cidr.h"
#include "base/error.h"
#include "cache/entry.h"
#include "req/req.h"

struct cache;
struct cache_worker;
struct loop;
struct proxy_env;
struct resolver;
struct tls_client;

struct cache_config {
    const char *dir;
    uint64_t quota;         /* bytes; 0: no limit */
    unsigned clean_percent; /* of the quota */
    struct str path;        /* where it is mounted, without a slash at its end; empty: everywhere */
    int64_t default_ttl_s, max_ttl_s, negative_ttl_s;
    int64_t stale_if_error_s;  /* 0: never */
    uint64_t abandon_after_ns; /* 0: downloads go on to their end */
    uint64_t retry_ns;
    uint64_t connect_timeout_ns, first_byte_timeout_ns, between_bytes_timeout_ns;
    unsigned max_downloads;
    /* borrowed, all of them */
    const struct cidr_list *allow_networks;  /* who may fetch and purge; empty: everybody */
    const struct cidr_list *trusted_proxies; /* whose X-Forwarded-For counts */
    const struct cidr_list *upstream_allow;  /* guarded addresses that may be connected to */
    const char *purge_token;                 /* NULL: nobody may purge */
    const char *instance;                    /* in the status document; NULL: the host's name */
    const char *version;
    const char *user_agent;
    struct resolver *resolver;
    struct tls_client *tls;
    const struct proxy_env *proxies; /* NULL: none */
};

/* Opens the store and the index, cleans up after a crash, starts the threads. Notes go to the log.
 */
int cache_open(struct cache **out, const struct cache_config *config, struct error *error) MUST_USE;
/* After the workers have ended. What is not finished is dropped. */
void cache_close(struct cache *cache);

/* One for each worker, with its loop. NULL: no memory. Its numbers are part of the totals from then
 * on. */
struct cache_worker *cache_worker_new(struct cache *cache, struct loop *loop);
/* After the worker's last request has ended. */
void cache_worker_free(struct cache_worker *worker);
/* req_env's action; arg is the cache_worker. */
bool cache_answer(struct req *req, void *arg);

/* Figures for /metrics, the status document and the pages. */
struct cache_figures {
    struct cache_totals totals; /* since the directory was made */
    uint64_t used, quota;
    uint64_t entry_count, queued_count, running_count, failed_count;
    uint64_t revalidated, retried, resumed, evicted, refused_full; /* since the start */
};
void cache_figures(struct cache *cache, struct cache_figures *figures);

#endif
