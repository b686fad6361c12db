#include "cache/status.h"

#include "cache/cache_internal.h"

/* Text of a JSON string; what is not printable ASCII is escaped byte by byte, since names of hosts
 * and versions have nothing else. */
static struct str
json_text(struct arena *arena, const char *text)
{
    struct str out = STR("");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        out = arena_join(arena, out,
                         is_plain ? str_make(text, 1) : arena_printf(arena, "\\u%04x", c));
    }
    return out;
}

void
status_answer(struct req *req, struct cache *cache)
{
    struct arena *arena = &req->arena;
    struct cache_figures figures;
    cache_figures(cache, &figures);
    const uint64_t *totals = figures.totals.values;
    double percent = figures.quota ? 100.0 * (double)figures.used / (double)figures.quota : 0;
    struct str body = arena_printf(
        arena,
        "{\"timestamp\": %lld, \"instance\": \"%.*s\", \"version\": \"%.*s\", "
        "\"disk_usage\": %llu, \"disk_usage_percent\": %.2f, \"disk_quota\": %llu, "
        "\"resources_scheduled\": %llu, \"resources_downloading\": %llu, "
        "\"resources_successes\": %llu, \"resources_failures\": %llu, \"resources_usage\": %llu, "
        "\"statistics_successes\": %llu, \"statistics_failures\": %llu, "
        "\"statistics_download\": %llu, \"statistics_upload\": %llu, "
        "\"statistics_requests\": %llu}\n",
        (long long)req->env->now_s, STR_ARG(json_text(arena, cache->instance)),
        STR_ARG(json_text(arena, cache->config.version)), (unsigned long long)figures.used, percent,
        (unsigned long long)figures.quota, (unsigned long long)figures.queued_count,
        (unsigned long long)figures.running_count, (unsigned long long)figures.entry_count,
        (unsigned long long)figures.failed_count, (unsigned long long)totals[CACHE_TOTAL_REQUESTS],
        (unsigned long long)totals[CACHE_TOTAL_SUCCESSES],
        (unsigned long long)totals[CACHE_TOTAL_FAILURES],
        (unsigned long long)totals[CACHE_TOTAL_DOWNLOAD],
        (unsigned long long)totals[CACHE_TOTAL_UPLOAD],
        (unsigned long long)totals[CACHE_TOTAL_REQUESTS]);
    req_respond_document(req, 200, "application/json", body);
}
