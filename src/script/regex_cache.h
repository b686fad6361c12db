/* regex_cache: expressions that scripts have used, compiled, so that a request need not do it
 * again. Not for other folders.
 *
 * A worker's own. Bounds: REGEX_CACHED_MAX; the one that was not used for longest goes.
 */
#ifndef TARN_SCRIPT_REGEX_CACHE_H
#define TARN_SCRIPT_REGEX_CACHE_H

#include "base/limits.h"
#include "script/regex.h"

struct regex_entry {
    struct regex *regex; /* NULL: unused */
    uint64_t used;       /* when, by uses of the cache */
};

/* Zeroed memory is an empty one. */
struct regex_cache {
    struct regex_entry entries[REGEX_CACHED_MAX];
    uint64_t uses;
};

void regex_cache_deinit(struct regex_cache *cache);

/* The compiled expression, good until REGEX_CACHED_MAX others were asked for; NULL with a line in
 * *error: see regex_new. */
const struct regex *regex_cache_get(struct regex_cache *cache, struct str pattern,
                                    struct error *error);

#endif
