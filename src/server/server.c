#include "server/server.h"

#include "base/limits.h"
#include "base/log.h"
#include "server/cache_setup.h"
#include "server/cpus.h"
#include "server/listen.h"
#include "server/metrics.h"
#include "server/script_listing.h"
#include "server/size_text.h"
#include "tls/tickets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MS ((uint64_t)1000000)

enum { SAME_SIGNAL_MS = 2, POLL_BURY_MS = 50, POLL_FILE_MS = 500 };
enum { FDS_RESERVED = 128, FDS_PER_WORKER = 16 };

struct server {
    const struct options *options;
    struct site_config site_config;
    struct tls_config tls_config;
    struct tls_tickets *tickets;
    struct resolver *resolver; /* NULL: nothing is relayed */
    struct cache_setup cache;
    struct script_setup scripts;
    struct worker_config worker_config;
    struct snapshot *snapshot;
    struct listen_socket listening[WORKER_LISTENERS_MAX];
    unsigned listening_count;
    struct worker *workers;
    unsigned worker_count;   /* wanted */
    unsigned workers_inited; /* for the way out */
    unsigned workers_running;
    struct log_writer *access_writer, *error_writer;
    struct metrics_source metrics;
    int health;          /* enum health_state, atomic */
    uint64_t generation; /* of the snapshot, atomic */
    int signal_fd;
    sigset_t signals;
    struct timespec reload_mtime;
};

static void
fill_site_config(struct site_config *config, const struct options *options)
{
    *config = (struct site_config){
        .source = options->site,
        .preload_max = options->preload_max,
        .preload_total = options->preload_total,
        .index = options->index ? options->index : "",
        .cache_control = options->cache_control,
        .content_type = options->content_type,
        .only_path = options->only_path,
        .stdin_timeout_ms = (unsigned)options->stdin_timeout_ms,
        .spa = options->spa,
        .try_html = options->try_html,
        .browse = options->browse,
        .precompress = options->precompress,
        .allow_empty = options->allow_empty || !options->site,
    };
}

static bool
has_tls(const struct options *options)
{
    return options->tls_addr.count > 0;
}

static bool
relays(const struct options *options)
{
    return options->ech_key && strcmp(options->ech_relay, "off") != 0;
}

static void
fill_tls_config(struct tls_config *config, const struct options *options,
                struct tls_tickets *tickets)
{
    static const enum tls_client_auth auths[] = {[OPTIONS_CLIENT_REQUEST] = TLS_CLIENT_REQUEST,
                                                 [OPTIONS_CLIENT_REQUIRE] = TLS_CLIENT_REQUIRE};
    *config = (struct tls_config){
        .cert_files = options->cert.items,
        .key_files = options->key.count ? options->key.items : options->cert.items,
        .pair_count = options->cert.count,
        .cert_dir = options->cert_dir,
        .default_name = options->default_cert,
        .client_ca = options->client_ca,
        .client_auth = options->client_ca ? auths[options->client_auth] : TLS_CLIENT_NONE,
        .ech_keys = options->ech_key,
        .self_signed = options->tls_self_signed,
        .allow_tls12 = options->tls_min == OPTIONS_TLS_12,
        .early_data = options->early_data,
        .relay = relays(options),
        .tickets = tickets,
    };
}

/* Raises the descriptor limit as far as it goes, and shares it out. */
static uint32_t
connections_per_worker(const struct options *options, unsigned workers)
{
    struct rlimit limit;
    uint64_t fds = 1024;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
            fds = limit.rlim_cur;
    }
    uint64_t reserved = FDS_RESERVED + (uint64_t)workers * FDS_PER_WORKER + SITE_OPEN_FILES_MAX;
    if (reserved > fds / 2)
        reserved = fds / 2;
    uint64_t each = (fds - reserved) / workers;
    if (options->max_connections && options->max_connections < each)
        each = options->max_connections;
    return each < 1 ? 1 : each > UINT32_MAX ? UINT32_MAX : (uint32_t)each;
}

static void
fill_worker_config(struct server *server)
{
    const struct options *options = server->options;
    static const enum loop_backend backends[] = {[OPTIONS_IO_AUTO] = LOOP_AUTO,
                                                 [OPTIONS_IO_URING] = LOOP_URING,
                                                 [OPTIONS_IO_EPOLL] = LOOP_EPOLL};
    server->worker_config = (struct worker_config){
        .backend = backends[options->io],
        .conn =
            {
                .head_max = (uint32_t)options->max_request_len,
                .fields_max = (uint16_t)options->max_headers,
                .header_timeout_ns = options->header_timeout_ms * MS,
                .keepalive_timeout_ns = options->keepalive_timeout_ms * MS,
                .io_timeout_ns = options->io_timeout_ms * MS,
                .handshake_timeout_ns = options->handshake_timeout_ms * MS,
                .requests_max = (uint32_t)options->max_requests,
                .connections_max = connections_per_worker(options, server->worker_count),
            },
        .endpoints = options->health && !options->admin_addr,
        .spa = options->spa,
        .access_format = options->log_format == OPTIONS_LOG_JSON ? ACCESS_JSON : ACCESS_TEXT,
        .health = &server->health,
        .generation = &server->generation,
        .render_metrics = metrics_render,
        .render_arg = &server->metrics,
        .fetches = &server->scripts.fetches,
    };
}

/* Whether a relay to this address would come back to us. */
static bool
is_own_address(void *arg, const struct sockaddr *address, socklen_t len)
{
    const struct server *server = arg;
    for (unsigned i = 0; i < server->listening_count; i++) {
        const struct addr *addr = &server->listening[i].addr;
        if (addr->kind == ADDR_INET &&
            relay_is_own((const struct sockaddr *)&addr->storage, address))
            return true;
    }
    return false;
}

static int
set_up_relay(struct server *server, struct error *error)
{
    const struct options *options = server->options;
    if (!relays(options))
        return 0;
    server->worker_config.relay = (struct relay_config){
        .relays_max = RELAYS_MAX,
        .connect_timeout_ns = options->handshake_timeout_ms * MS,
        .idle_timeout_ns = options->keepalive_timeout_ms * MS,
        .is_own = is_own_address,
        .is_own_arg = server,
    };
    server->worker_config.relay_target =
        (struct relay_target){options->ech_relay_host, options->ech_relay_port};
    if (resolver_new(&server->resolver, NULL, error) != 0)
        return -1;
    server->worker_config.resolver = server->resolver;
    return 0;
}

static void
log_site(const struct server *server, const char *what)
{
    const struct site_stats *stats = site_stats(server->snapshot->site);
    if (!server->options->site) {
        log_info("%s", what);
        return;
    }
    const struct script_set *scripts = server->snapshot->scripts;
    unsigned script_count = scripts ? script_set_count(scripts) : 0;
    char scripts_text[32] = "";
    if (script_count)
        snprintf(scripts_text, sizeof scripts_text, ", %u script%s", script_count,
                 script_count == 1 ? "" : "s");
    char content[SIZE_TEXT_MAX], preloaded[SIZE_TEXT_MAX];
    log_info("%s %s: %llu file%s, %s, %s in memory%s, in %.1f ms%s", what, server->options->site,
             (unsigned long long)stats->file_count, stats->file_count == 1 ? "" : "s",
             size_text(content, stats->content_len), size_text(preloaded, stats->preloaded_len),
             scripts_text, (double)stats->load_ns / 1e6,
             stats->from_index ? ", from the index" : "");
}

static void
note_snapshot(struct server *server)
{
    const struct site_stats *stats = site_stats(server->snapshot->site);
    __atomic_store_n(&server->metrics.scripts, server->scripts.shared, __ATOMIC_RELEASE);
    __atomic_store_n(&server->metrics.site_files, stats->file_count, __ATOMIC_RELAXED);
    __atomic_store_n(&server->metrics.site_preloaded_len, stats->preloaded_len, __ATOMIC_RELAXED);
    if (!server->snapshot->tls)
        return;
    struct tls_context_stats tls = tls_context_stats(server->snapshot->tls);
    __atomic_store_n(&server->metrics.tls_certificates, tls.certificate_count, __ATOMIC_RELAXED);
    __atomic_store_n(&server->metrics.tls_expiry_s, (uint64_t)tls.next_expiry_s, __ATOMIC_RELAXED);
}

/* --- start --- */

static int
open_listener(struct server *server, const char *option, const char *text, unsigned workers,
              struct error *error)
{
    if (server->listening_count == WORKER_LISTENERS_MAX)
        return error_set(error, "%s: at most %d addresses in all", option, WORKER_LISTENERS_MAX);
    if (listen_open(&server->listening[server->listening_count], text, workers, error) != 0)
        return error_prefix(error, "%s", option);
    server->listening_count++;
    return 0;
}

static int
open_listeners(struct server *server, struct error *error)
{
    const struct options *options = server->options;
    for (size_t i = 0; i < options->addr.count; i++)
        if (open_listener(server, "--addr", options->addr.items[i], server->worker_count, error) !=
            0)
            return -1;
    for (size_t i = 0; i < options->tls_addr.count; i++) {
        if (open_listener(server, "--tls-addr", options->tls_addr.items[i], server->worker_count,
                          error) != 0)
            return -1;
        server->listening[server->listening_count - 1].is_tls = true;
    }
    if (options->redirect_http)
        server->worker_config.redirect_port =
            addr_port(&server->listening[options->addr.count].addr);
    /* The admin listener needs one worker only. */
    if (options->admin_addr) {
        if (open_listener(server, "--admin-addr", options->admin_addr, 1, error) != 0)
            return -1;
        server->listening[server->listening_count - 1].is_admin = true;
    }
    return 0;
}

static void
log_listeners(const struct server *server)
{
    char url[ADDR_TEXT_MAX + 16];
    for (unsigned i = 0; i < server->listening_count; i++) {
        addr_print_url(&server->listening[i].addr, server->listening[i].is_tls ? "https" : "http",
                       url, sizeof url);
        log_info("listening on %s%s", url, server->listening[i].is_admin ? " (admin)" : "");
    }
}

/* The main thread's lines take the way of the workers': a standard error that nobody reads must not
 * keep it from its signals. */
static void
log_main_line(void *arg, struct str line)
{
    log_ring_put(arg, line);
    log_ring_flush(arg);
}

static int
open_logs(struct server *server, struct error *error)
{
    const char *choice = server->options->access_log;
    bool automatic = strcmp(choice, "auto") == 0;
    bool to_stderr = strcmp(choice, "stderr") == 0 || (automatic && isatty(STDERR_FILENO));
    if (log_writer_new(&server->error_writer, NULL, STDERR_FILENO, error) != 0)
        return -1;
    struct log_ring *ring = log_writer_add_ring(server->error_writer);
    if (!ring)
        return error_set(error, "no memory for the log");
    log_set_sink(log_main_line, ring);
    if (to_stderr)
        server->access_writer = server->error_writer;
    else if (!automatic && strcmp(choice, "off") != 0)
        return log_writer_new(&server->access_writer, choice, -1, error);
    return 0;
}

static int
init_worker(struct server *server, unsigned index, struct error *error)
{
    struct worker *worker = &server->workers[index];
    if (worker_init(worker, &server->worker_config, server->snapshot, error) != 0)
        return -1;
    server->workers_inited++;
    worker->error_ring = log_writer_add_ring(server->error_writer);
    if (server->access_writer == server->error_writer)
        worker->access_ring = worker->error_ring;
    else if (server->access_writer)
        worker->access_ring = log_writer_add_ring(server->access_writer);
    if (!worker->error_ring || (server->access_writer && !worker->access_ring))
        return error_set(error, "no memory for the log");
    for (unsigned i = 0; i < server->listening_count; i++) {
        const struct listen_socket *listening = &server->listening[i];
        if (index < listening->count)
            worker_add_listener(worker, listening->fds[index], listening->shared,
                                listening->is_admin, listening->is_tls);
    }
    return 0;
}

static int
start_workers(struct server *server, struct error *error)
{
    server->workers = calloc(server->worker_count, sizeof *server->workers);
    if (!server->workers)
        return error_set(error, "no memory for the workers");
    for (unsigned i = 0; i < server->worker_count; i++)
        if (init_worker(server, i, error) != 0)
            return -1;
    server->metrics.workers = server->workers;
    server->metrics.worker_count = server->worker_count;
    server->metrics.access_writer = server->access_writer;
    server->metrics.error_writer = server->error_writer;
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (worker_start(&server->workers[i], error) != 0)
            return error_prefix(error, "--io");
        server->workers_running++;
    }
    const struct worker *first = &server->workers[0];
    log_info("%u worker%s on %s%s%s%s", server->worker_count, server->worker_count == 1 ? "" : "s",
             loop_name(first->loop), first->error.text[0] ? " (" : "", first->error.text,
             first->error.text[0] ? ")" : "");
    return 0;
}

/* Signals are taken by the main thread alone, from a descriptor. Before any thread starts. */
static int
block_signals(struct server *server, struct error *error)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP};
    sigemptyset(&server->signals);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&server->signals, taken[i]);
    pthread_sigmask(SIG_BLOCK, &server->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    server->signal_fd = signalfd(-1, &server->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (server->signal_fd < 0)
        return error_set_errno(error, errno, "cannot wait for signals");
    return 0;
}

/* --- running --- */

/* Lays the snapshot ready for every worker, then moves the one word on that makes all of them take
 * it. A worker that was left out by a failure keeps what it has; the next reload mends that. */
static int
offer_snapshot(struct server *server, struct snapshot *next)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        if (worker_offer_snapshot(&server->workers[i], next) != 0)
            return -1;
    __atomic_fetch_add(&server->generation, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_refresh(&server->workers[i]);
    return 0;
}

static int
load_anew(struct server *server, struct snapshot **out, struct error *error)
{
    const struct tls_config *tls = has_tls(server->options) ? &server->tls_config : NULL;
    if (!server->options->site || strcmp(server->options->site, "-") != 0)
        return snapshot_new(out, &server->site_config, &server->scripts, tls, error);
    if (!tls)
        return error_set(error, "standard input cannot be read again");
    log_warn("reload: standard input cannot be read again; keeping the site");
    return snapshot_renew_tls(out, server->snapshot, tls, error);
}

static void
reload(struct server *server)
{
    struct error error;
    struct snapshot *next;
    if (server->access_writer && log_writer_reopen(server->access_writer, &error) != 0)
        log_warn("%s", error.text);
    if (load_anew(server, &next, &error) != 0) {
        log_error("reload failed, keeping what there is: %s", error.text);
        __atomic_fetch_add(&server->metrics.reload_failures, 1, __ATOMIC_RELAXED);
        return;
    }
    if (offer_snapshot(server, next) != 0) {
        log_error("reload failed, keeping what there is: no memory");
        __atomic_fetch_add(&server->metrics.reload_failures, 1, __ATOMIC_RELAXED);
        snapshot_unref(next);
        return;
    }
    snapshot_unref(server->snapshot);
    server->snapshot = next;
    note_snapshot(server);
    __atomic_fetch_add(&server->metrics.reloads, 1, __ATOMIC_RELAXED);
    log_site(server, "reloaded");
}

/* Whether --reload-signal-file has changed since the last look: its modification time, or its
 * coming into being. */
static bool
reload_file_changed(struct server *server)
{
    struct stat status;
    struct timespec seen = {0};
    if (!server->options->reload_signal_file)
        return false;
    if (stat(server->options->reload_signal_file, &status) == 0)
        seen = status.st_mtim;
    bool changed =
        seen.tv_sec != server->reload_mtime.tv_sec || seen.tv_nsec != server->reload_mtime.tv_nsec;
    server->reload_mtime = seen;
    return changed && seen.tv_sec != 0;
}

/* The next signal, or 0 when none came within timeout_ms (negative: wait for ever). */
static int
next_signal(struct server *server, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = server->signal_fd, .events = POLLIN};
    struct signalfd_siginfo info;
    if (poll(&poll_fd, 1, timeout_ms) <= 0 ||
        read(server->signal_fd, &info, sizeof info) != sizeof info)
        return 0;
    return (int)info.ssi_signo;
}

/* Waits until `deadline_ns`; a second signal to end means: at once. */
static void
wait_draining(struct server *server, uint64_t deadline_ns, bool (*done)(struct server *server))
{
    for (;;) {
        uint64_t now = loop_clock_ns();
        if (now >= deadline_ns || (done && done(server)))
            return;
        uint64_t left_ms = (deadline_ns - now) / MS + 1;
        int signal_number = next_signal(server, done && left_ms > 10 ? 10 : (int)left_ms);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            log_warn("second signal: ending at once");
            for (unsigned i = 0; i < server->listening_count; i++)
                listen_unlink(&server->listening[i]);
            (void)log_writer_stop(server->error_writer);
            _exit(1);
        }
    }
}

static bool
workers_have_ended(struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        if (!__atomic_load_n(&server->workers[i].ended, __ATOMIC_ACQUIRE))
            return false;
    return true;
}

static void
stop_workers(struct server *server)
{
    for (unsigned i = 0; i < server->listening_count; i++)
        listen_unlink(&server->listening[i]);
    for (unsigned i = 0; i < server->workers_running; i++)
        worker_drain(&server->workers[i]);
    wait_draining(server, loop_clock_ns() + server->options->shutdown_timeout_ms * MS,
                  workers_have_ended);
    if (!workers_have_ended(server))
        log_warn("shutdown timeout: ending what is left");
    for (unsigned i = 0; i < server->workers_running; i++)
        worker_abort(&server->workers[i]);
}

/* How long to sleep: an old snapshot is freed soon after its last request, a signal file is looked
 * at twice a second. */
static int
poll_timeout_ms(const struct server *server)
{
    if (snapshot_bury() > 1)
        return POLL_BURY_MS;
    return server->options->reload_signal_file ? POLL_FILE_MS : -1;
}

/* timeout(1) and shells signal the process and then its group: the second of such a pair is no
 * second signal. */
static void
drop_same_signal(struct server *server)
{
    const struct timespec pause = {.tv_nsec = SAME_SIGNAL_MS * (long)MS};
    nanosleep(&pause, NULL);
    while (next_signal(server, 0))
        continue;
}

static void
run(struct server *server)
{
    for (;;) {
        int signal_number = next_signal(server, poll_timeout_ms(server));
        if (signal_number == SIGTERM || signal_number == SIGINT)
            break;
        if (signal_number == SIGHUP || reload_file_changed(server))
            reload(server);
    }
    drop_same_signal(server);
    __atomic_store_n(&server->health, HEALTH_DRAINING, __ATOMIC_RELAXED);
    log_info("shutting down");
    wait_draining(server, loop_clock_ns() + server->options->shutdown_delay_ms * MS, NULL);
    stop_workers(server);
}

static void
tear_down(struct server *server)
{
    for (unsigned i = 0; i < server->workers_running; i++)
        worker_join(&server->workers[i]);
    for (unsigned i = server->workers_running; i < server->workers_inited; i++)
        worker_deinit(&server->workers[i]);
    cache_setup_close(&server->cache);
    free(server->workers);
    if (server->resolver)
        resolver_free(server->resolver);
    log_set_sink(NULL, NULL);
    if (server->access_writer != server->error_writer)
        log_writer_free(server->access_writer);
    log_writer_free(server->error_writer);
    for (unsigned i = 0; i < server->listening_count; i++)
        listen_close(&server->listening[i]);
    if (server->snapshot)
        snapshot_unref(server->snapshot);
    snapshot_bury();
    script_setup_deinit(&server->scripts);
    tls_tickets_free(server->tickets);
    if (server->signal_fd >= 0)
        close(server->signal_fd);
}

static int
set_up_cache(struct server *server, struct error *error)
{
    if (cache_setup_open(&server->cache, server->options, error) != 0)
        return -1;
    server->worker_config.cache = server->metrics.cache = server->cache.cache;
    return 0;
}

static int
set_up(struct server *server, struct error *error)
{
    const struct options *options = server->options;
    server->worker_count = options->threads ? (unsigned)options->threads : cpus_usable();
    fill_site_config(&server->site_config, options);
    fill_worker_config(server);
    script_setup_init(&server->scripts, options);
    if (has_tls(options) && tls_tickets_new(&server->tickets, error) != 0)
        return -1;
    fill_tls_config(&server->tls_config, options, server->tickets);
    if (block_signals(server, error) != 0 || open_logs(server, error) != 0 ||
        snapshot_new(&server->snapshot, &server->site_config, &server->scripts,
                     has_tls(options) ? &server->tls_config : NULL, error) != 0)
        return -1;
    if (options->site)
        log_site(server, "loaded");
    note_snapshot(server);
    reload_file_changed(server);
    if (open_listeners(server, error) != 0 || set_up_relay(server, error) != 0 ||
        set_up_cache(server, error) != 0 || start_workers(server, error) != 0)
        return -1;
    log_listeners(server);
    return 0;
}

int
server_run(const struct options *options)
{
    struct server server = {.options = options, .signal_fd = -1};
    struct error error;
    int code = 0;
    server.metrics.started_s = (uint64_t)time(NULL);
    server.metrics.has_tls = has_tls(options);
    if (set_up(&server, &error) == 0) {
        run(&server);
    } else {
        log_error("%s", error.text);
        for (unsigned i = 0; i < server.workers_running; i++)
            worker_drain(&server.workers[i]);
        code = 1;
    }
    tear_down(&server);
    return code;
}

/* What `tarn check` says of a snapshot. */
static int
print_snapshot(const struct snapshot *snapshot, const char *name, struct error *error)
{
    const struct site_stats *stats = site_stats(snapshot->site);
    printf("%s: %llu file%s, %llu paths, %llu bytes, %llu in memory, %llu warnings\n", name,
           (unsigned long long)stats->file_count, stats->file_count == 1 ? "" : "s",
           (unsigned long long)stats->route_count, (unsigned long long)stats->content_len,
           (unsigned long long)stats->preloaded_len, (unsigned long long)stats->warnings);
    return script_listing_write(stdout, snapshot->scripts, error);
}

static int
check(const struct options *options, struct script_setup *scripts, struct tls_tickets **tickets,
      struct error *error)
{
    struct site_config config;
    struct tls_config tls_config;
    struct snapshot *snapshot;
    fill_site_config(&config, options);
    if (has_tls(options) && tls_tickets_new(tickets, error) != 0)
        return -1;
    fill_tls_config(&tls_config, options, *tickets);
    if (snapshot_new(&snapshot, &config, scripts, has_tls(options) ? &tls_config : NULL, error) !=
        0)
        return -1;
    int result = print_snapshot(snapshot, options->site, error);
    snapshot_unref(snapshot);
    snapshot_bury();
    return result;
}

int
server_check(const struct options *options)
{
    struct script_setup scripts;
    struct tls_tickets *tickets = NULL;
    struct error error;
    script_setup_init(&scripts, options);
    int result = check(options, &scripts, &tickets, &error);
    if (result != 0)
        log_error("%s", error.text);
    script_setup_deinit(&scripts);
    tls_tickets_free(tickets);
    return result == 0 ? 0 : 1;
}
