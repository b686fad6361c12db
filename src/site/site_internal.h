/* site_internal: a loaded site, for the files that build it and answer from it. Not for others. */
#ifndef TARN_SITE_SITE_INTERNAL_H
#define TARN_SITE_SITE_INTERNAL_H

#include "base/arena.h"
#include "site/content.h"
#include "site/private.h"
#include "site/route_table.h"

struct site {
    struct arena arena; /* routes, heads, rules, table */
    struct content_store store;
    struct route_table table;
    /* Two runs, each in byte order: the files, then everything else. */
    const struct site_route **routes;
    size_t route_count, file_route_count;
    const struct site_route *any; /* one file for every path; else NULL */
    const struct site_route *not_found, *spa;
    const struct site_rules *rules;
    struct private_table privates;
    int fds[4]; /* tar or memory files that content is read from */
    unsigned fd_count;
    struct site_stats stats;
};

#endif
