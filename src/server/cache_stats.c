#include "server/cache_stats.h"

#include "base/json.h"
#include "base/limits.h"
#include "cache/index.h"
#include "server/cli_text.h"
#include "server/size_text.h"

#include <inttypes.h>
#include <time.h>

static const char *const names[] = {
#define X(name, text) text,
    CACHE_STATS_TABLE(X)
#undef X
};

/* --- a directory --- */

static void
set(struct cache_stats *stats, enum cache_stat stat, uint64_t value)
{
    stats->has[stat] = true;
    stats->values[stat] = value;
}

static int
add_entry(void *arg, const struct cache_entry *entry)
{
    struct cache_stats *stats = arg;
    stats->values[CACHE_STAT_RESOURCES]++;
    stats->values[CACHE_STAT_DISK_USAGE] += entry->len;
    return 0;
}

static int
read_directory(struct cache_stats *stats, const struct options *options, struct error *error)
{
    static const enum cache_stat stat_of[] = {
        [CACHE_TOTAL_SUCCESSES] = CACHE_STAT_SUCCESSES,
        [CACHE_TOTAL_FAILURES] = CACHE_STAT_FAILURES,
        [CACHE_TOTAL_DOWNLOAD] = CACHE_STAT_DOWNLOAD,
        [CACHE_TOTAL_UPLOAD] = CACHE_STAT_UPLOAD,
        [CACHE_TOTAL_REQUESTS] = CACHE_STAT_REQUESTS,
        [CACHE_TOTAL_HITS] = CACHE_STAT_HITS,
    };
    struct cache_totals totals;
    set(stats, CACHE_STAT_TIMESTAMP, (uint64_t)time(NULL));
    set(stats, CACHE_STAT_RESOURCES, 0);
    set(stats, CACHE_STAT_DISK_USAGE, 0);
    if (index_read_only(options->cache_dir, add_entry, stats, &totals, error) != 0)
        return -1;
    for (unsigned i = 0; i < CACHE_TOTAL_COUNT; i++)
        set(stats, stat_of[i], totals.values[i]);
    return 0;
}

/* --- a running cache --- */

static bool
read_text(struct json *json, struct arena *arena, char *out, size_t out_len)
{
    struct str text;
    if (!json_string(json, arena, &text))
        return false;
    cli_text_copy(out, out_len, text);
    return true;
}

static bool
read_member(struct json *json, struct str name, struct arena *arena, struct cache_stats *stats)
{
    if (str_eq(name, STR("instance")))
        return read_text(json, arena, stats->instance, sizeof stats->instance);
    if (str_eq(name, STR("version")))
        return read_text(json, arena, stats->version, sizeof stats->version);
    for (unsigned i = 0; i < CACHE_STAT_COUNT; i++) {
        if (!str_eq(name, str_from_cstr(names[i])))
            continue;
        stats->has[i] = json_u64(json, &stats->values[i]);
        return stats->has[i];
    }
    return json_skip(json);
}

bool
cache_stats_parse(struct cache_stats *stats, struct str text)
{
    struct arena arena;
    struct json json;
    struct str name;
    bool good = true;
    *stats = (struct cache_stats){0};
    arena_init(&arena, CACHE_CLIENT_BODY_MAX, 4096);
    json_init(&json, text);
    json_object(&json);
    while (good && json_member(&json, &name))
        good = read_member(&json, name, &arena, stats);
    arena_deinit(&arena);
    return good && json_done(&json) && stats->has[CACHE_STAT_DISK_USAGE];
}

static int
read_cache(struct cache_stats *stats, const struct options *options, struct error *error)
{
    static const struct cache_request request = {.method = "GET", .path = "/api/v1/status/"};
    struct cache_client *client;
    struct cache_answer answer;
    if (cache_client_open(&client, options, error) != 0)
        return -1;
    int result = cache_client_ask_json(client, &request, &answer, error);
    if (result == 0 && !cache_stats_parse(stats, buf_str(&answer.body)))
        result =
            error_set(error, "%s: the answer is not that of a fetch cache", options->cache_url);
    cache_answer_deinit(&answer);
    cache_client_close(client);
    return result;
}

int
cache_stats_read(struct cache_stats *stats, const struct options *options, struct error *error)
{
    *stats = (struct cache_stats){0};
    return options->cache_dir ? read_directory(stats, options, error)
                              : read_cache(stats, options, error);
}

/* --- text --- */

static void
append_title(struct buf *out, const char *text)
{
    buf_printf(out, "%-11s", text);
}

static const char *
size_of(char text[static SIZE_TEXT_MAX], const struct cache_stats *stats, enum cache_stat stat)
{
    return size_text(text, stats->values[stat]);
}

/* "of 5000, 12 %" */
static void
append_share(struct buf *out, uint64_t part, uint64_t whole)
{
    if (whole)
        buf_printf(out, ", %.0f %%", 100 * (double)part / (double)whole);
}

static void
append_disk(struct buf *out, const struct cache_stats *stats)
{
    char used[SIZE_TEXT_MAX], quota[SIZE_TEXT_MAX];
    append_title(out, "Disk");
    buf_append(out, str_from_cstr(size_of(used, stats, CACHE_STAT_DISK_USAGE)));
    if (stats->values[CACHE_STAT_DISK_QUOTA]) {
        buf_printf(out, " of %s", size_of(quota, stats, CACHE_STAT_DISK_QUOTA));
        append_share(out, stats->values[CACHE_STAT_DISK_USAGE],
                     stats->values[CACHE_STAT_DISK_QUOTA]);
    } else if (stats->has[CACHE_STAT_DISK_QUOTA]) {
        buf_append(out, STR(", no limit"));
    }
    buf_append_char(out, '\n');
}

static void
append_resources(struct buf *out, const struct cache_stats *stats)
{
    const uint64_t *values = stats->values;
    append_title(out, "Resources");
    buf_printf(out, "%" PRIu64, values[CACHE_STAT_RESOURCES]);
    if (stats->has[CACHE_STAT_DOWNLOADING])
        buf_printf(out, " ready, %" PRIu64 " downloading, %" PRIu64 " waiting, %" PRIu64 " failed",
                   values[CACHE_STAT_DOWNLOADING], values[CACHE_STAT_SCHEDULED],
                   values[CACHE_STAT_FAILED]);
    buf_append_char(out, '\n');
}

static void
append_requests(struct buf *out, const struct cache_stats *stats)
{
    uint64_t requests = stats->values[CACHE_STAT_REQUESTS], hits = stats->values[CACHE_STAT_HITS];
    append_title(out, "Requests");
    buf_printf(out, "%" PRIu64, requests);
    if (stats->has[CACHE_STAT_HITS]) {
        buf_printf(out, ", of which hits %" PRIu64, hits);
        append_share(out, hits, requests);
    }
    buf_append_char(out, '\n');
}

static void
append_traffic(struct buf *out, const struct cache_stats *stats)
{
    const uint64_t *values = stats->values;
    char text[SIZE_TEXT_MAX];
    uint64_t in = values[CACHE_STAT_DOWNLOAD], sent = values[CACHE_STAT_UPLOAD];
    append_title(out, "Downloaded");
    buf_printf(out, "%s in %" PRIu64 " download%s, %" PRIu64 " failed\n",
               size_of(text, stats, CACHE_STAT_DOWNLOAD), values[CACHE_STAT_SUCCESSES],
               values[CACHE_STAT_SUCCESSES] == 1 ? "" : "s", values[CACHE_STAT_FAILURES]);
    append_title(out, "Served");
    buf_printf(out, "%s\n", size_of(text, stats, CACHE_STAT_UPLOAD));
    append_title(out, "Saved");
    buf_printf(out, "%s", size_text(text, sent > in ? sent - in : 0));
    append_share(out, sent > in ? sent - in : 0, sent);
    buf_append_char(out, '\n');
}

void
cache_stats_append(struct buf *out, const struct cache_stats *stats, const char *place)
{
    append_title(out, "Cache");
    buf_append(out, str_from_cstr(place));
    if (stats->instance[0])
        buf_printf(out, " (%s%s%s)", stats->instance, stats->version[0] ? ", " : "",
                   stats->version);
    buf_append_char(out, '\n');
    append_disk(out, stats);
    append_resources(out, stats);
    append_requests(out, stats);
    append_traffic(out, stats);
}

void
cache_stats_append_json(struct buf *out, const struct cache_stats *stats)
{
    const char *before = "{";
    if (stats->instance[0]) {
        buf_append(out, STR("{\"instance\": "));
        cli_text_append_json(out, str_from_cstr(stats->instance));
        buf_append(out, STR(", \"version\": "));
        cli_text_append_json(out, str_from_cstr(stats->version));
        before = ", ";
    }
    for (unsigned i = 0; i < CACHE_STAT_COUNT; i++) {
        if (!stats->has[i])
            continue;
        buf_printf(out, "%s\"%s\": %" PRIu64, before, names[i], stats->values[i]);
        before = ", ";
    }
    buf_append(out, STR("}\n"));
}
