#include "base/log.h"
#include "server/cache_command.h"
#include "server/cache_stats.h"

#include <limits.h>
#include <stdio.h>

enum { TEXT_MAX = 8192 + PATH_MAX };

static int
print(const struct cache_stats *stats, const struct options *options, struct error *error)
{
    struct buf text;
    int result = 0;
    buf_init(&text, TEXT_MAX);
    if (options->json)
        cache_stats_append_json(&text, stats);
    else
        cache_stats_append(&text, stats,
                           options->cache_dir ? options->cache_dir : options->cache_url);
    if (buf_overflowed(&text))
        result = error_set(error, "no memory, or the name of the cache is too long");
    else if (fwrite(text.ptr, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
        result = error_set(error, "cannot write to standard output");
    buf_deinit(&text);
    return result;
}

int
cache_command_stats(const struct options *options)
{
    struct cache_stats stats;
    struct error error;
    int result = cache_stats_read(&stats, options, &error);
    if (result == 0)
        result = print(&stats, options, &error);
    if (result != 0)
        log_error("cache stats: %s", error.text);
    return result == 0 ? 0 : 1;
}
