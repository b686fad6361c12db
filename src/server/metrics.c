#include "server/metrics.h"

static uint64_t
load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void
family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
single(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    family(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* The sum over all workers of the counter that lies at `offset` in one. */
static uint64_t
sum(const struct metrics_source *source, size_t offset)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < source->worker_count; i++)
        total += load((const uint64_t *)((const char *)&source->workers[i] + offset));
    return total;
}

static void
render_requests(const struct metrics_source *source, struct buf *out)
{
    family(out, "tarn_requests_total", "counter", "Requests answered, by status class.");
    for (unsigned i = 1; i < 6; i++)
        buf_printf(out, "tarn_requests_total{class=\"%uxx\"} %llu\n", i,
                   (unsigned long long)sum(source, offsetof(struct worker, env.counters) +
                                                       offsetof(struct req_counters, status_class) +
                                                       i * sizeof(uint64_t)));
}

static void
render_connections(const struct metrics_source *source, struct buf *out)
{
    size_t counters = offsetof(struct worker, pool.counters);
    single(out, "tarn_connections_accepted_total", "counter", "Connections accepted.",
           sum(source, counters + offsetof(struct conn_counters, accepted)));
    single(out, "tarn_connections_active", "gauge", "Connections open now.",
           sum(source, counters + offsetof(struct conn_counters, active)));
    single(out, "tarn_sent_bytes_total", "counter", "Bytes sent, heads included.",
           sum(source, counters + offsetof(struct conn_counters, bytes_out)));
    family(out, "tarn_connections_ended_total", "counter", "Connections ended, by reason.");
    for (unsigned i = 0; i < CONN_END_COUNT; i++)
        buf_printf(out, "tarn_connections_ended_total{reason=\"%s\"} %llu\n",
                   conn_end_name((enum conn_end)i),
                   (unsigned long long)sum(source, counters + offsetof(struct conn_counters, ends) +
                                                       i * sizeof(uint64_t)));
}

static void
render_h2(const struct metrics_source *source, struct buf *out)
{
    size_t counters = offsetof(struct worker, pool.counters);
    single(out, "tarn_http2_connections_active", "gauge", "Open connections that speak HTTP/2.",
           sum(source, counters + offsetof(struct conn_counters, h2_sessions)));
    single(out, "tarn_http2_streams_active", "gauge", "Open streams of them.",
           sum(source, counters + offsetof(struct conn_counters, h2_streams)));
    single(out, "tarn_http2_resets_received_total", "counter", "Streams that clients reset.",
           sum(source, counters + offsetof(struct conn_counters, h2_resets)));
    family(out, "tarn_http2_floods_total", "counter",
           "HTTP/2 connections ended for too much of something, by what.");
    for (unsigned i = 0; i < H2_FLOOD_KIND_COUNT; i++)
        buf_printf(out, "tarn_http2_floods_total{kind=\"%s\"} %llu\n",
                   h2_flood_name((enum h2_flood_kind)i),
                   (unsigned long long)sum(source, counters +
                                                       offsetof(struct conn_counters, h2_floods) +
                                                       i * sizeof(uint64_t)));
}

static void
render_tls(const struct metrics_source *source, struct buf *out)
{
    size_t counters = offsetof(struct worker, pool.counters);
    single(out, "tarn_tls_handshakes_total", "counter", "TLS handshakes completed.",
           sum(source, counters + offsetof(struct conn_counters, tls_handshakes)));
    single(out, "tarn_tls_resumptions_total", "counter", "Of them, resumed sessions.",
           sum(source, counters + offsetof(struct conn_counters, tls_resumed)));
    single(out, "tarn_tls_ech_accepted_total", "counter",
           "Of them, with an Encrypted Client Hello that was accepted.",
           sum(source, counters + offsetof(struct conn_counters, tls_ech_accepted)));
    family(out, "tarn_tls_handshake_failures_total", "counter",
           "TLS handshakes that failed, by reason.");
    for (unsigned i = TLS_FAILURE_NONE + 1; i < TLS_FAILURE_COUNT; i++)
        buf_printf(out, "tarn_tls_handshake_failures_total{reason=\"%s\"} %llu\n",
                   tls_failure_name((enum tls_failure)i),
                   (unsigned long long)sum(source,
                                           counters + offsetof(struct conn_counters, tls_failures) +
                                               i * sizeof(uint64_t)));
    family(out, "tarn_ech_relays_ended_total", "counter", "Relayed connections ended, by reason.");
    for (unsigned i = 0; i < RELAY_END_COUNT; i++)
        buf_printf(out, "tarn_ech_relays_ended_total{reason=\"%s\"} %llu\n",
                   relay_end_name((enum relay_end)i),
                   (unsigned long long)sum(source, offsetof(struct worker, relays.counters.ends) +
                                                       i * sizeof(uint64_t)));
    single(out, "tarn_ech_relays_active", "gauge", "Connections being relayed now.",
           sum(source, offsetof(struct worker, relays.counters.active)));
    single(out, "tarn_tls_certificates", "gauge", "Certificates loaded.",
           load(&source->tls_certificates));
    single(out, "tarn_tls_certificate_expiry_seconds", "gauge",
           "When the first certificate expires, Unix time.", load(&source->tls_expiry_s));
}

static void
render_cache(struct cache *cache, struct buf *out)
{
    struct cache_figures figures;
    cache_figures(cache, &figures);
    const uint64_t *totals = figures.totals.values;
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"tarn_cache_used_bytes", "gauge", "Bytes held, or promised to downloads.", figures.used},
        {"tarn_cache_quota_bytes", "gauge", "The quota; 0: none.", figures.quota},
        {"tarn_cache_resources", "gauge", "Resources held.", figures.entry_count},
        {"tarn_cache_downloads_queued", "gauge", "Downloads that wait in line.",
         figures.queued_count},
        {"tarn_cache_downloads_active", "gauge", "Downloads under way.", figures.running_count},
        {"tarn_cache_failures_remembered", "gauge", "Failures that are remembered.",
         figures.failed_count},
        {"tarn_cache_requests_total", "counter", "Requests for resources.",
         totals[CACHE_TOTAL_REQUESTS]},
        {"tarn_cache_hits_total", "counter", "Of them, answered from what was there.",
         totals[CACHE_TOTAL_HITS]},
        {"tarn_cache_sent_bytes_total", "counter", "Bytes of resources sent to clients.",
         totals[CACHE_TOTAL_UPLOAD]},
        {"tarn_cache_received_bytes_total", "counter", "Bytes of resources from upstream.",
         totals[CACHE_TOTAL_DOWNLOAD]},
        {"tarn_cache_downloads_total", "counter", "Downloads that ended well.",
         totals[CACHE_TOTAL_SUCCESSES]},
        {"tarn_cache_download_failures_total", "counter", "Downloads that did not.",
         totals[CACHE_TOTAL_FAILURES]},
        {"tarn_cache_revalidations_total", "counter", "Resources that upstream confirmed.",
         figures.revalidated},
        {"tarn_cache_retries_total", "counter", "Attempts after a failed one.", figures.retried},
        {"tarn_cache_resumptions_total", "counter", "Downloads gone on with after a break.",
         figures.resumed},
        {"tarn_cache_evictions_total", "counter", "Resources that went for others, or for age.",
         figures.evicted},
        {"tarn_cache_full_total", "counter", "Downloads that found no room.", figures.refused_full},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        single(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

void
metrics_render(void *arg, struct buf *out)
{
    const struct metrics_source *source = arg;
    render_requests(source, out);
    render_connections(source, out);
    render_h2(source, out);
    if (source->has_tls)
        render_tls(source, out);
    if (source->cache)
        render_cache(source->cache, out);
    struct script_shared *scripts = __atomic_load_n(&source->scripts, __ATOMIC_ACQUIRE);
    if (scripts)
        script_render_metrics(scripts, out);
    single(out, "tarn_reloads_total", "counter", "Snapshots that a reload put in place.",
           load(&source->reloads));
    single(out, "tarn_reload_failures_total", "counter", "Reloads that kept the old snapshot.",
           load(&source->reload_failures));
    single(out, "tarn_site_files", "gauge", "Files of the current snapshot.",
           load(&source->site_files));
    single(out, "tarn_site_preloaded_bytes", "gauge", "Bytes of content held in memory.",
           load(&source->site_preloaded_len));
    uint64_t dropped = 0;
    if (source->access_writer)
        dropped += log_writer_dropped(source->access_writer);
    if (source->error_writer && source->error_writer != source->access_writer)
        dropped += log_writer_dropped(source->error_writer);
    single(out, "tarn_log_dropped_total", "counter",
           "Log lines lost to a full disk or slow reader.", dropped);
    single(out, "tarn_workers", "gauge", "Worker threads.", source->worker_count);
    single(out, "tarn_start_time_seconds", "gauge", "When the process started, Unix time.",
           source->started_s);
}
