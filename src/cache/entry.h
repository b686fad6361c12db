/* entry: what is known about one finished resource of the cache, as table, index and pages pass it
 * around. A value; its strs are borrowed. */
#ifndef TARN_CACHE_ENTRY_H
#define TARN_CACHE_ENTRY_H

#include "base/str.h"

enum { CACHE_SHA256_LEN = 32 };

struct cache_entry {
    uint64_t id;                   /* of the download that made it; never used twice */
    struct str url;                /* canonical */
    struct str content_type, etag; /* upstream's; empty: none */
    struct str content_coding; /* the same: of Content-Encoding; the content is stored as it came */
    uint64_t len;
    uint8_t sha256[CACHE_SHA256_LEN];
    int64_t last_modified_s; /* Unix time, upstream's; -1: none */
    int64_t created_s;       /* of the download, or of its last revalidation */
    int64_t last_used_s;
    uint32_t ttl_s; /* the longest that was asked for */
    uint32_t use_count;
};

/* Counters over the cache's whole life, and what they grew by in an hour or a day. */
#define CACHE_TOTAL_TABLE(X)                                  \
    X(SUCCESSES, "successes") /* downloads that ended well */ \
    X(FAILURES, "failures")   /* and that did not */          \
    X(DOWNLOAD, "download")   /* bytes from upstream */       \
    X(UPLOAD, "upload")       /* bytes to clients */          \
    X(REQUESTS, "requests")   /* for resources */             \
    X(HITS, "hits")           /* of those, answered from what was there */

enum cache_total {
#define X(name, text) CACHE_TOTAL_##name,
    CACHE_TOTAL_TABLE(X)
#undef X
        CACHE_TOTAL_COUNT
};

struct cache_totals {
    uint64_t values[CACHE_TOTAL_COUNT];
};

#endif
