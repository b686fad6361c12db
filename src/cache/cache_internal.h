/* cache_internal: what the parts of the action share. cache.c opens and closes; action.c finds the
 * route and checks; reader.c waits for content and hands it out; access.c knows who asks.
 */
#ifndef TARN_CACHE_CACHE_INTERNAL_H
#define TARN_CACHE_CACHE_INTERNAL_H

#include "cache/cache.h"
#include "cache/fetcher.h"

#include <pthread.h>

enum { CACHE_WATCH_BUCKETS = 256 };

/* Numbers of one worker, written by it alone; atomic. */
struct cache_worker_counters {
    uint64_t requests, hits, upload;
};

struct cache {
    struct cache_config config;
    char instance[256];
    struct cache_table *table;
    struct store *store;
    struct index *index;
    struct fetcher *fetcher;
    struct cache_totals totals_at_start;
    pthread_mutex_t lock; /* of the list of workers, and of what ended ones have counted */
    struct cache_worker *workers;
    struct cache_worker_counters ended;
};

/* What a request wants of a resource. */
struct reader_want {
    struct str url;  /* canonical; borrowed for the call */
    struct str name; /* under which the client shall save it, in the request's arena; NULL pointer:
                        none */
    uint32_t ttl_s;
    bool has_sha256;
    uint8_t sha256[CACHE_SHA256_LEN];
};

/* A query that was understood lately, and what it wants: clients ask for the same again and again.
 */
enum { MEMO_SLOTS = 128, MEMO_TEXT_MAX = 512 };
struct memo {
    uint16_t query_len; /* 0: empty */
    char query[MEMO_TEXT_MAX], url[MEMO_TEXT_MAX];
    struct reader_want want; /* url lies here */
};

struct cache_worker {
    struct cache *cache;
    struct loop *loop;
    struct cache_worker *next;
    struct cache_worker_counters counters;
    struct watched *watched[CACHE_WATCH_BUCKETS]; /* flights that readers of this worker wait for */
    struct memo memos[MEMO_SLOTS];                /* by a hash of the query */
    struct watched *ended; /* nobody waits any more, but a post is on its way */
};

static inline void
cache_count(uint64_t *counter, uint64_t add)
{
    __atomic_store_n(counter, *counter + add, __ATOMIC_RELAXED);
}

/* --- reader.c --- */

/* Answers with the resource, now or later. */
void reader_answer(struct req *req, struct cache_worker *worker, const struct reader_want *want);

/* When the worker's loop has ended. */
void reader_worker_deinit(struct cache_worker *worker);

/* --- access.c --- */

/* Who asks: the connection's peer, or what a trusted proxy says. False: unknown (a unix socket). */
bool access_client(const struct cache *cache, const struct req *req,
                   struct sockaddr_storage *address);
/* Whether the request's client is in the allowed networks. */
bool access_is_allowed(const struct cache *cache, const struct req *req);
/* Whether the request carries the purge token (RFC 6750). */
bool access_may_purge(const struct cache *cache, const struct req *req);

#endif
