#include "server/worker.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "server/addr.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS ((uint64_t)1000000)

/* While draining, a connection that was busy a moment ago may have a request on its way to us: it
 * is given this long to bring it. */
enum { DRAIN_IDLE_MS = 1000, DRAIN_STEP_MS = 20, ACCEPT_RETRY_MS = 100, ACCEPT_WARN_MS = 10000 };

/* --- hooks of the loop --- */

static void
worker_woke(void *arg)
{
    struct worker *worker = arg;
    if (loop_now_ns(worker->loop) < worker->next_second_ns)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    worker->env.now_s = now.tv_sec;
    http_date_format(now.tv_sec, worker->env.date);
    worker->next_second_ns = loop_now_ns(worker->loop) + 1000000000u - (uint64_t)now.tv_nsec;
}

static void
worker_sleeps(void *arg)
{
    struct worker *worker = arg;
    if (worker->access_ring)
        log_ring_flush(worker->access_ring);
    log_ring_flush(worker->error_ring);
}

/* --- logs --- */

static void
worker_log_access(void *arg, const struct access_record *record)
{
    struct worker *worker = arg;
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    struct addr addr = {.text = "-"};
    struct timespec now;
    if (getpeername(record->fd, (struct sockaddr *)&peer, &len) == 0)
        addr_from_socket(&addr, (struct sockaddr *)&peer, len);
    clock_gettime(CLOCK_REALTIME, &now);
    buf_clear(&worker->line);
    access_log_format(&worker->line, worker->config->access_format, record,
                      str_from_cstr(addr.text), now.tv_sec, (unsigned)(now.tv_nsec / 1000000));
    if (!buf_overflowed(&worker->line))
        log_ring_put(worker->access_ring, buf_str(&worker->line));
}

static void
worker_log_line(void *arg, struct str line)
{
    log_ring_put(arg, line);
}

/* --- accepting --- */

static void
worker_start_listeners(struct worker *worker)
{
    worker->accept_paused = false;
    if (worker->draining)
        return;
    for (unsigned i = 0; i < worker->listener_count; i++)
        listener_start(worker->loop, &worker->listeners[i].listener);
}

/* Nothing can be accepted now: what comes waits in the backlog, and finds no CPU burnt on it. */
static void
worker_pause_listeners(struct worker *worker)
{
    worker->accept_paused = true;
    for (unsigned i = 0; i < worker->listener_count; i++)
        listener_stop(&worker->listeners[i].listener);
}

static void
worker_has_room(void *arg)
{
    struct worker *worker = arg;
    if (worker->accept_paused)
        worker_start_listeners(worker);
}

static void
worker_accept_again(struct timer *timer)
{
    struct worker *worker =
        (struct worker *)((char *)timer - offsetof(struct worker, accept_timer));
    worker_has_room(worker);
}

static void
worker_accepted(struct listener *listener, int fd)
{
    struct worker_listener *listening = (struct worker_listener *)listener;
    struct worker *worker = listening->worker;
    if (!conn_accept(&worker->pool, fd, listening->is_admin, listening->is_tls) &&
        !worker->accept_paused)
        worker_pause_listeners(worker);
}

static void
worker_accept_failed(struct listener *listener, int error)
{
    struct worker *worker = ((struct worker_listener *)listener)->worker;
    uint64_t now_ns = loop_now_ns(worker->loop);
    if (now_ns >= worker->next_accept_warning_ns) {
        log_warn("cannot accept connections: %s; trying again", strerrordesc_np(error));
        worker->next_accept_warning_ns = now_ns + ACCEPT_WARN_MS * MS;
    }
    worker_pause_listeners(worker);
    timer_set(loop_timers(worker->loop), &worker->accept_timer, now_ns + ACCEPT_RETRY_MS * MS);
}

/* --- draining --- */

/* Connections whose handshake is done when the listener ends would be reset: takes them first. */
static void
worker_end_listeners(struct worker *worker)
{
    for (unsigned i = 0; i < worker->listener_count; i++) {
        struct worker_listener *listening = &worker->listeners[i];
        int fd;
        while ((fd = accept4(listening->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
               0)
            (void)conn_accept(&worker->pool, fd, listening->is_admin, listening->is_tls);
        /* From now on a client is refused at once, instead of waiting in a backlog that nobody
         * empties. A socket that others accept from as well is theirs to end. */
        if (!listening->listener.shared)
            shutdown(listening->listener.fd, SHUT_RDWR);
    }
}

static unsigned
worker_relay_count(const struct worker *worker)
{
    return worker->config->resolver ? relay_pool_count(&worker->relays) : 0;
}

static void
worker_stop(struct worker *worker)
{
    if (worker->upstream)
        upstream_pool_close(worker->upstream);
    loop_stop(worker->loop);
}

static void
worker_drain_step(struct timer *timer)
{
    struct worker *worker = (struct worker *)((char *)timer - offsetof(struct worker, drain_timer));
    if (conn_pool_drain(&worker->pool, DRAIN_IDLE_MS * MS) == 0 &&
        worker_relay_count(worker) == 0) {
        worker_stop(worker);
        return;
    }
    timer_set(loop_timers(worker->loop), timer, loop_now_ns(worker->loop) + DRAIN_STEP_MS * MS);
}

static void
worker_drain_now(struct loop_post *post)
{
    struct worker *worker = (struct worker *)((char *)post - offsetof(struct worker, drain_post));
    worker->draining = true;
    worker_pause_listeners(worker);
    worker_end_listeners(worker);
    worker_drain_step(&worker->drain_timer);
}

static void
worker_abort_now(struct loop_post *post)
{
    struct worker *worker = (struct worker *)((char *)post - offsetof(struct worker, abort_post));
    conn_pool_abort(&worker->pool);
    if (worker->config->resolver)
        relay_pool_abort(&worker->relays);
    worker_stop(worker);
}

/* --- snapshots --- */

/* On the worker's thread, if it was ever the current one. */
static void
worker_pin_unused(struct site_pin *pin)
{
    struct worker_pin *worker_pin = (struct worker_pin *)pin;
    script_view_free(pin->filter);
    snapshot_unref(worker_pin->snapshot);
    free(worker_pin);
}

/* What scripts need of a worker, from the first snapshot on that has some. */
static int
worker_set_up_scripts(struct worker *worker, const struct script_set *set, struct error *error)
{
    if (!worker->scripts &&
        script_worker_new(&worker->scripts, script_set_shared(set), worker->loop, error) != 0)
        return -1;
    if (script_set_fetches(set) && !worker->upstream) {
        worker->upstream = upstream_pool_new(worker->loop, worker->config->fetches);
        if (!worker->upstream)
            return error_set(error, "no memory for a worker");
        script_worker_set_upstream(worker->scripts, worker->upstream);
    }
    worker->env.filter = &script_filter_ops;
    worker->env.filter_arg = worker->scripts;
    return 0;
}

/* Gives the snapshot's scripts, if it has any, their place in this worker. A snapshot must never be
 * served without them. */
static int
worker_join_scripts(struct worker *worker, struct site_pin *pin, struct error *error)
{
    struct script_set *set = ((struct worker_pin *)pin)->snapshot->scripts;
    if (!set)
        return 0;
    if (worker_set_up_scripts(worker, set, error) != 0)
        return -1;
    pin->filter = script_view_new(worker->scripts, set);
    return pin->filter ? 0 : error_set(error, "no memory for scripts");
}

/* When no request is left. */
static void
worker_tear_down_scripts(struct worker *worker)
{
    script_view_free(worker->env.pin->filter);
    worker->env.pin->filter = NULL;
    script_worker_free(worker->scripts);
    if (worker->upstream) {
        upstream_pool_free(worker->upstream);
        resolver_detach(worker->config->fetches->resolver, worker->loop);
    }
}

static void
worker_take_snapshot(struct req_env *env)
{
    struct worker *worker = (struct worker *)((char *)env - offsetof(struct worker, env));
    struct error error;
    env->seen_generation = __atomic_load_n(env->generation, __ATOMIC_ACQUIRE);
    struct worker_pin *next = __atomic_exchange_n(&worker->next_pin, NULL, __ATOMIC_ACQ_REL);
    if (!next)
        return;
    if (worker_join_scripts(worker, &next->pin, &error) != 0) {
        log_error("reload: a worker keeps what it has: %s", error.text);
        next->pin.unused(&next->pin);
        return;
    }
    struct site_pin *old = env->pin;
    env->pin = &next->pin;
    old->retired = true;
    if (old->use_count == 0)
        old->unused(old);
}

static void
worker_refresh_now(struct loop_post *post)
{
    struct worker *worker = (struct worker *)((char *)post - offsetof(struct worker, refresh_post));
    __atomic_store_n(&worker->refresh_posted, false, __ATOMIC_RELEASE);
    worker_take_snapshot(&worker->env);
}

static struct worker_pin *
worker_pin_new(struct snapshot *snapshot)
{
    struct worker_pin *pin = calloc(1, sizeof *pin);
    if (!pin)
        return NULL;
    pin->pin.site = snapshot->site;
    pin->pin.tls = snapshot->tls;
    pin->pin.unused = worker_pin_unused;
    pin->snapshot = snapshot_ref(snapshot);
    return pin;
}

int
worker_offer_snapshot(struct worker *worker, struct snapshot *snapshot)
{
    struct worker_pin *pin = worker_pin_new(snapshot);
    if (!pin)
        return -1;
    struct worker_pin *unseen = __atomic_exchange_n(&worker->next_pin, pin, __ATOMIC_ACQ_REL);
    if (unseen)
        unseen->pin.unused(&unseen->pin);
    return 0;
}

void
worker_refresh(struct worker *worker)
{
    if (!__atomic_exchange_n(&worker->refresh_posted, true, __ATOMIC_ACQ_REL))
        loop_post(worker->loop, &worker->refresh_post);
}

/* --- life --- */

int
worker_init(struct worker *worker, const struct worker_config *config, struct snapshot *snapshot,
            struct error *error)
{
    *worker = (struct worker){.config = config};
    worker->env.health = config->health;
    worker->env.endpoints = config->endpoints;
    worker->env.spa = config->spa;
    worker->env.redirect_port = config->redirect_port;
    worker->env.render_metrics = config->render_metrics;
    worker->env.render_arg = config->render_arg;
    buf_init(&worker->line, ACCESS_LINE_MAX);
    conn_pool_init(&worker->pool, NULL, &worker->env, &config->conn);
    if (config->resolver)
        relay_pool_init(&worker->relays, NULL, config->resolver, &config->relay);
    pthread_mutex_init(&worker->start_lock, NULL);
    pthread_cond_init(&worker->start_cond, NULL);
    timer_init(&worker->accept_timer, worker_accept_again);
    timer_init(&worker->drain_timer, worker_drain_step);
    worker->env.generation = config->generation;
    worker->env.seen_generation = *config->generation;
    worker->env.refresh = worker_take_snapshot;
    worker->refresh_post.run = worker_refresh_now;
    worker->drain_post.run = worker_drain_now;
    worker->abort_post.run = worker_abort_now;
    struct worker_pin *pin = worker_pin_new(snapshot);
    if (!pin)
        return error_set(error, "no memory for a worker");
    worker->env.pin = &pin->pin;
    return 0;
}

void
worker_add_listener(struct worker *worker, int fd, bool shared, bool is_admin, bool is_tls)
{
    must(worker->listener_count < WORKER_LISTENERS_MAX);
    worker->listeners[worker->listener_count++] = (struct worker_listener){
        .listener = {.fd = fd,
                     .shared = shared,
                     .accepted = worker_accepted,
                     .failed = worker_accept_failed},
        .worker = worker,
        .is_admin = is_admin,
        .is_tls = is_tls,
    };
}

static void
worker_report_start(struct worker *worker, int started)
{
    pthread_mutex_lock(&worker->start_lock);
    worker->started = started;
    pthread_cond_signal(&worker->start_cond);
    pthread_mutex_unlock(&worker->start_lock);
}

/* Plugs the cache in, if there is one. */
static int
worker_join_cache(struct worker *worker)
{
    if (!worker->config->cache)
        return 0;
    worker->cache = cache_worker_new(worker->config->cache, worker->loop);
    if (!worker->cache)
        return error_set(&worker->error, "no memory for a worker");
    worker->env.action = (struct req_action){cache_answer, worker->cache};
    return 0;
}

static void *
worker_main(void *arg)
{
    struct worker *worker = arg;
    if (loop_new(&worker->loop, worker->config->backend, &worker->error) != 0) {
        worker_report_start(worker, -1);
        return NULL;
    }
    if (worker_join_cache(worker) != 0 ||
        worker_join_scripts(worker, worker->env.pin, &worker->error) != 0) {
        worker_tear_down_scripts(worker);
        cache_worker_free(worker->cache);
        loop_free(worker->loop);
        worker_report_start(worker, -1);
        return NULL;
    }
    worker->pool.loop = worker->loop;
    worker->pool.has_room = worker_has_room;
    worker->pool.room_arg = worker;
    if (worker->access_ring) {
        worker->pool.log = worker_log_access;
        worker->pool.log_arg = worker;
    }
    if (worker->config->resolver) {
        worker->relays.loop = worker->loop;
        worker->pool.relays = &worker->relays;
        worker->pool.relay_target = worker->config->relay_target;
    }
    log_set_sink(worker_log_line, worker->error_ring);
    worker_woke(worker);
    worker_start_listeners(worker);
    worker_report_start(worker, 1);
    const struct loop_hooks hooks = {worker_woke, worker_sleeps, worker};
    loop_run(worker->loop, &hooks);
    worker_sleeps(worker);
    conn_pool_deinit(&worker->pool);
    worker_tear_down_scripts(worker);
    cache_worker_free(worker->cache);
    if (worker->config->resolver) {
        relay_pool_deinit(&worker->relays);
        resolver_detach(worker->config->resolver, worker->loop);
    }
    __atomic_store_n(&worker->ended, true, __ATOMIC_RELEASE);
    return NULL;
}

int
worker_start(struct worker *worker, struct error *error)
{
    int code = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (code != 0)
        return error_set_errno(error, code, "cannot start a worker");
    pthread_mutex_lock(&worker->start_lock);
    while (worker->started == 0)
        pthread_cond_wait(&worker->start_cond, &worker->start_lock);
    pthread_mutex_unlock(&worker->start_lock);
    if (worker->started < 0) {
        pthread_join(worker->thread, NULL);
        *error = worker->error;
        return -1;
    }
    return 0;
}

void
worker_drain(struct worker *worker)
{
    loop_post(worker->loop, &worker->drain_post);
}

void
worker_abort(struct worker *worker)
{
    loop_post(worker->loop, &worker->abort_post);
}

void
worker_deinit(struct worker *worker)
{
    struct site_pin *pin = worker->env.pin;
    if (worker->next_pin)
        worker->next_pin->pin.unused(&worker->next_pin->pin);
    pin->unused(pin);
    buf_deinit(&worker->line);
    pthread_mutex_destroy(&worker->start_lock);
    pthread_cond_destroy(&worker->start_cond);
}

void
worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
    loop_free(worker->loop);
    worker_deinit(worker);
}
