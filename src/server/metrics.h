/* metrics: the numbers of all workers as Prometheus text (format 0.0.4). Called on a worker, reads
 * the others' counters, which are single words written with relaxed stores. */
#ifndef TARN_SERVER_METRICS_H
#define TARN_SERVER_METRICS_H

#include "server/worker.h"

struct metrics_source {
    struct worker *workers;
    unsigned worker_count;
    uint64_t started_s;
    /* Written by the main thread, atomics. */
    uint64_t reloads, reload_failures;
    uint64_t site_files, site_preloaded_len;
    uint64_t tls_certificates, tls_expiry_s;
    bool has_tls;
    struct log_writer *access_writer, *error_writer; /* may be NULL */
    struct cache *cache;                             /* NULL: none */
    struct script_shared *scripts; /* atomic, the main thread's; NULL: there were none yet */
};

/* `arg` is a struct metrics_source. */
void metrics_render(void *arg, struct buf *out);

#endif
