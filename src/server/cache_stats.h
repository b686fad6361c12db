/* cache_stats: the figures of a cache, from its directory or from the running cache itself, for
 * `tarn cache stats`. Who is asked may not know all of them. Thread rule: the main thread's.
 */
#ifndef TARN_SERVER_CACHE_STATS_H
#define TARN_SERVER_CACHE_STATS_H

#include "server/cache_client.h"

/* Members of the status document. */
#define CACHE_STATS_TABLE(X)                      \
    X(TIMESTAMP, "timestamp")                     \
    X(DISK_USAGE, "disk_usage")                   \
    X(DISK_QUOTA, "disk_quota") /* 0: no limit */ \
    X(SCHEDULED, "resources_scheduled")           \
    X(DOWNLOADING, "resources_downloading")       \
    X(RESOURCES, "resources_successes")           \
    X(FAILED, "resources_failures")               \
    X(SUCCESSES, "statistics_successes")          \
    X(FAILURES, "statistics_failures")            \
    X(DOWNLOAD, "statistics_download")            \
    X(UPLOAD, "statistics_upload")                \
    X(REQUESTS, "statistics_requests")            \
    X(HITS, "statistics_hits")

enum cache_stat {
#define X(name, text) CACHE_STAT_##name,
    CACHE_STATS_TABLE(X)
#undef X
        CACHE_STAT_COUNT
};

struct cache_stats {
    bool has[CACHE_STAT_COUNT];
    uint64_t values[CACHE_STAT_COUNT];
    char instance[128], version[64]; /* printable; empty: not known */
};

int cache_stats_read(struct cache_stats *stats, const struct options *options,
                     struct error *error) MUST_USE;

/* A status document. False: it is none. Pure. */
bool cache_stats_parse(struct cache_stats *stats, struct str text);

/* Lines for people; `place` is where it comes from. And one JSON object with what there is, under
 * the names of the status document. */
void cache_stats_append(struct buf *out, const struct cache_stats *stats, const char *place);
void cache_stats_append_json(struct buf *out, const struct cache_stats *stats);

#endif
