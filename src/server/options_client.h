/* options_client: what the commands of the fetch cache (ls, get, purge, stats) need of their
 * options and words, behind options.c. Pure.
 */
#ifndef TARN_SERVER_OPTIONS_CLIENT_H
#define TARN_SERVER_OPTIONS_CLIENT_H

#include "server/options_args.h"

static inline bool
options_is_client(enum options_command command)
{
    return FOR_CACHE_CLIENT >> command & 1;
}

/* Where the cache is, which resources are meant, and what does not go together. Fills cache_base,
 * resources and cache_dir, which is NULL from then on where the cache is asked. */
int options_resolve_client(struct options *options, const struct option_args *args,
                           struct error *error) MUST_USE;

#endif
