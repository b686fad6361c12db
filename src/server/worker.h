/* worker: one thread with its own loop, listeners, connections and view of the snapshot.
 *
 * The main thread makes it, gives it snapshots, and tells it to drain or to abort, always by posts
 * to its loop; it reads its counters, which the worker alone writes. Nothing else is shared.
 * Ownership: the main thread's, from worker_start to worker_join.
 */
#ifndef TARN_SERVER_WORKER_H
#define TARN_SERVER_WORKER_H

#include "cache/cache.h"
#include "conn/conn.h"
#include "script/script.h"
#include "server/access_log.h"
#include "server/log_writer.h"
#include "server/snapshot.h"

#include <pthread.h>

enum { WORKER_LISTENERS_MAX = 64 };

struct worker;

struct worker_config {
    enum loop_backend backend;
    struct conn_config conn;
    bool endpoints; /* health on ordinary listeners */
    bool spa;
    uint16_t redirect_port;                /* see struct req_env */
    struct resolver *resolver;             /* NULL: nothing is relayed */
    struct cache *cache;                   /* NULL: none */
    const struct upstream_config *fetches; /* of scripts that fetch; see script_setup.h */
    struct relay_config relay;
    struct relay_target relay_target; /* see struct conn_pool */
    enum access_format access_format;
    const int *health;
    const uint64_t *generation; /* see struct req_env */
    void (*render_metrics)(void *arg, struct buf *out);
    void *render_arg;
};

struct worker_listener {
    struct listener listener; /* first */
    struct worker *worker;
    bool is_admin, is_tls;
};

/* A snapshot as a worker's current one. Made by the main thread, freed by the worker's last use. */
struct worker_pin {
    struct site_pin pin; /* first */
    struct snapshot *snapshot;
};

struct worker {
    const struct worker_config *config;
    struct loop *loop;
    struct req_env env;
    struct worker_pin *next_pin; /* atomic: put there by the main thread, taken by the worker */
    struct loop_post refresh_post;
    bool refresh_posted; /* atomic */
    struct conn_pool pool;
    struct relay_pool relays;
    struct cache_worker *cache;     /* NULL: none */
    struct script_worker *scripts;  /* NULL: none */
    struct upstream_pool *upstream; /* for scripts; NULL: none */
    struct worker_listener listeners[WORKER_LISTENERS_MAX];
    unsigned listener_count;
    struct log_ring *access_ring; /* NULL: no access log */
    struct log_ring *error_ring;
    struct buf line;
    uint64_t next_second_ns;
    uint64_t next_accept_warning_ns;
    bool draining, accept_paused;
    uint64_t drain_started_ns;
    struct timer accept_timer, drain_timer;
    struct loop_post drain_post, abort_post;
    pthread_t thread;
    bool ended;         /* atomic: the thread is about to return */
    struct error error; /* of the start, or why io_uring was not to be had */
    int started;        /* 0: not yet, 1: running, -1: failed; guarded by start_lock */
    pthread_mutex_t start_lock;
    pthread_cond_t start_cond;
};

/* Prepares a worker; `snapshot` becomes its first (a reference is taken). */
int worker_init(struct worker *worker, const struct worker_config *config,
                struct snapshot *snapshot, struct error *error) MUST_USE;
/* Descriptor borrowed until worker_join. */
void worker_add_listener(struct worker *worker, int fd, bool shared, bool is_admin, bool is_tls);
/* Starts the thread and waits until its loop is made. */
int worker_start(struct worker *worker, struct error *error) MUST_USE;

/* Lays a snapshot ready (a reference is taken); it becomes current when the generation moves on.
 * Without memory: -1. May be called again before that, for a newer one. */
int worker_offer_snapshot(struct worker *worker, struct snapshot *snapshot) MUST_USE;
/* After the generation has moved on: lets a worker without requests notice it, so that the old
 * snapshot goes. */
void worker_refresh(struct worker *worker);
/* Accept what is in the backlog, then no more; end connections as they become idle; end the thread
 * when none is left. */
void worker_drain(struct worker *worker);
/* End everything now, after worker_drain. */
void worker_abort(struct worker *worker);
void worker_join(struct worker *worker);
/* For a worker that was never started. */
void worker_deinit(struct worker *worker);

#endif
