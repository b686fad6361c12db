/* flight: one resource on its way in, or what became of it.
 *
 * The table makes a flight when the first request for a URL finds nothing fresh, and gives the same
 * one to all who ask after that. The fetcher moves it on. Workers watch it: a watch is told by a
 * post when something has changed, at most one post being under way, so progress costs one post a
 * worker however many of its requests wait.
 *
 *     QUEUED -> ASKING -> ANSWERED -> (gone from the table: an entry, or an object that broke)
 *            `-> FAILED: status and reason, remembered by the table for a while
 *
 * A flight is ANSWERED when it has an object, which may be growing, or be an older one that
 * upstream has confirmed or that stands in for a failure. When a download has to start over, the
 * object is broken and the flight gets another one.
 *
 * Thread rule: counted; its state changes under its own lock, by the fetcher only. Callbacks of
 * watches run on the watcher's loop.
 */
#ifndef TARN_CACHE_FLIGHT_H
#define TARN_CACHE_FLIGHT_H

#include "cache/object.h"
#include "io/loop.h"

#include <pthread.h>

enum flight_state { FLIGHT_QUEUED, FLIGHT_ASKING, FLIGHT_ANSWERED, FLIGHT_FAILED };

/* Where the answer's content comes from; X-Cache says so. */
enum flight_source {
    FLIGHT_FETCHED,
    FLIGHT_REVALIDATED, /* upstream says that what is there is still right */
    FLIGHT_STALE,       /* upstream failed; what is there stands in */
};

struct cache_watch {
    struct loop_post post;
    struct loop *loop;
    void (*news)(struct cache_watch *watch); /* on the loop; never from within a call */
    /* the flight's */
    struct cache_watch *next;
    bool posted;
};

struct cache_flight {
    uint32_t ref_count;
    pthread_mutex_t lock;
    /* under the lock */
    uint8_t state;
    uint8_t source;
    uint16_t status; /* FAILED: for the client */
    char reason[256];
    struct cache_object *object; /* ANSWERED */
    struct cache_watch *watches;
    uint32_t retry_after_s; /* FAILED: 0: says nothing */
    uint32_t waiter_count;  /* requests and readers; what the fetcher asks before it tries again */
    uint64_t left_ns;       /* when the last of them left */
    /* progress, for the pages: atomic */
    uint64_t received_len, total_len;
    /* the table's, under its lock */
    struct cache_flight *next_in_bucket, *prev, *next;
    bool in_table;
    uint32_t ttl_s;    /* the longest that was asked for */
    int64_t expires_s; /* FAILED, or STALE: forgotten then; 0: not while it goes on */
    /* while it is handed to the fetcher */
    struct loop_post post;
    void *taker;
    /* constant */
    int64_t started_s;
    uint64_t hash;
    bool wants_sha256;
    uint8_t sha256[CACHE_SHA256_LEN];
    uint16_t url_len;
    char url[]; /* canonical, with a NUL behind it */
};

static inline struct str
flight_url(const struct cache_flight *flight)
{
    return str_make(flight->url, flight->url_len);
}

/* With one reference; QUEUED. NULL: no memory. */
struct cache_flight *flight_new(struct str url, uint64_t hash);
struct cache_flight *flight_ref(struct cache_flight *flight);
void flight_unref(struct cache_flight *flight);

/* --- workers --- */

/* What a worker sees at a moment. */
struct flight_view {
    enum flight_state state;
    enum flight_source source;
    struct cache_object *object; /* held for the caller when it was asked for; NULL: none */
    int status;
    uint32_t retry_after_s;
    char reason[256];
};
void flight_look(struct cache_flight *flight, struct flight_view *view);

/* From now on news are told. Look after that, not before, so that nothing is missed. */
void flight_watch(struct cache_flight *flight, struct cache_watch *watch);
/* No more news. False: one is on its way, and the watch may only be freed when it has come. */
bool flight_unwatch(struct cache_flight *flight, struct cache_watch *watch) MUST_USE;
/* In `news`, first: the next change will be told again. */
void flight_heard(struct cache_flight *flight, struct cache_watch *watch);

/* A request waits for it, or reads what it brings; and no longer. */
void flight_join(struct cache_flight *flight);
void flight_leave(struct cache_flight *flight, uint64_t now_ns);

/* --- the fetcher --- */

/* Tells all watches. */
void flight_tell(struct cache_flight *flight);
void flight_set_asking(struct cache_flight *flight);
/* Takes a reference of its own. Tells. */
void flight_set_answered(struct cache_flight *flight, enum flight_source source,
                         struct cache_object *object);
/* Back to ASKING after the object broke. Tells. */
void flight_set_over(struct cache_flight *flight);
/* `reason`: one line, cut to what fits. Tells. */
void flight_set_failed(struct cache_flight *flight, int status, uint32_t retry_after_s,
                       const char *reason);
/* Requests that wait or read now, and since when there are none (0 when there are). */
uint32_t flight_waiters(struct cache_flight *flight, uint64_t *left_ns);

#endif
