#include "server/cache_list.h"

#include "base/json.h"
#include "base/limits.h"
#include "cache/index.h"
#include "http/digest.h"

#include <stdlib.h>
#include <time.h>

enum { ARENA_BLOCK = 64 << 10, CAP_MIN = 256 };

void
cache_list_deinit(struct cache_list *list)
{
    arena_deinit(&list->arena);
    free(list->entries);
    *list = (struct cache_list){0};
}

/* A new entry at the end, zeroed. NULL: no memory. */
static struct cache_entry *
add(struct cache_list *list)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : CAP_MIN;
        struct cache_entry *entries = reallocarray(list->entries, cap, sizeof *entries);
        if (!entries)
            return NULL;
        list->entries = entries;
        list->cap = cap;
    }
    struct cache_entry *entry = &list->entries[list->count++];
    *entry = (struct cache_entry){.last_modified_s = -1};
    return entry;
}

/* --- a directory --- */

struct reading {
    struct cache_list *list;
    struct str search;
    bool failed;
};

static int
take_entry(void *arg, const struct cache_entry *found)
{
    struct reading *reading = arg;
    struct arena *arena = &reading->list->arena;
    if (!str_icontains(found->url, reading->search))
        return 0;
    struct cache_entry *entry = add(reading->list);
    reading->failed = !entry;
    if (!entry)
        return -1;
    *entry = *found;
    entry->url = arena_copy(arena, found->url);
    entry->content_type = arena_copy(arena, found->content_type);
    entry->etag = arena_copy(arena, found->etag);
    entry->content_coding = (struct str){0};
    reading->failed = arena_overflowed(arena);
    return reading->failed ? -1 : 0;
}

static int
read_directory(struct cache_list *list, const struct options *options, struct error *error)
{
    struct reading reading = {.list = list, .search = str_from_cstr(options->search)};
    list->now_s = time(NULL);
    if (index_read_only(options->cache_dir, take_entry, &reading, NULL, error) != 0)
        return -1;
    if (reading.failed)
        return error_set(error, "no memory for a list of this length");
    list->match_count = list->count;
    return 0;
}

/* --- a document --- */

/* Times are of Unix, up to the year 9999. */
static bool
read_time(struct json *json, int64_t *out)
{
    uint64_t number;
    if (!json_u64(json, &number) || number > UINT64_C(253402300799))
        return false;
    *out = (int64_t)number;
    return true;
}

static bool
read_text(struct json *json, struct arena *arena, size_t max, struct str *out)
{
    return json_string(json, arena, out) && out->len <= max;
}

static bool
read_sha256(struct json *json, struct arena *arena, uint8_t out[static CACHE_SHA256_LEN])
{
    struct str text;
    return json_string(json, arena, &text) && digest_parse_sha256(text, out);
}

static bool
read_member(struct json *json, struct str name, struct cache_list *list, struct cache_entry *entry,
            int64_t *expires_s)
{
    struct arena *arena = &list->arena;
    uint64_t uses;
    if (str_eq(name, STR("url")))
        return read_text(json, arena, URL_MAX, &entry->url);
    if (str_eq(name, STR("size")))
        return json_u64(json, &entry->len);
    if (str_eq(name, STR("created")))
        return read_time(json, &entry->created_s);
    if (str_eq(name, STR("last_used")))
        return read_time(json, &entry->last_used_s);
    if (str_eq(name, STR("expires")))
        return read_time(json, expires_s);
    if (str_eq(name, STR("content_type")))
        return read_text(json, arena, CACHE_FIELD_MAX, &entry->content_type);
    if (str_eq(name, STR("etag")))
        return read_text(json, arena, CACHE_FIELD_MAX, &entry->etag);
    if (str_eq(name, STR("sha256")))
        return read_sha256(json, arena, entry->sha256);
    if (!str_eq(name, STR("uses")))
        return json_skip(json);
    if (!json_u64(json, &uses))
        return false;
    entry->use_count = uses < UINT32_MAX ? (uint32_t)uses : UINT32_MAX;
    return true;
}

static bool
read_entry(struct json *json, struct cache_list *list)
{
    struct cache_entry *entry = add(list);
    struct str name;
    int64_t expires_s = 0;
    if (!entry || !json_object(json))
        return false;
    while (json_member(json, &name))
        if (!read_member(json, name, list, entry, &expires_s))
            return false;
    int64_t ttl_s = expires_s - entry->created_s;
    entry->ttl_s = ttl_s < 0 ? 0 : ttl_s < UINT32_MAX ? (uint32_t)ttl_s : UINT32_MAX;
    return !json->failed && entry->url.len;
}

static bool
read_entries(struct json *json, struct cache_list *list)
{
    if (!json_array(json))
        return false;
    while (json_item(json))
        if (!read_entry(json, list))
            return false;
    return !json->failed;
}

bool
cache_list_add_page(struct cache_list *list, struct str text, uint64_t *page_count)
{
    struct json json;
    struct str name;
    bool has_entries = false, good = true;
    *page_count = 0;
    json_init(&json, text);
    json_object(&json);
    while (good && json_member(&json, &name)) {
        if (str_eq(name, STR("timestamp")))
            good = read_time(&json, &list->now_s);
        else if (str_eq(name, STR("match_count")))
            good = json_u64(&json, &list->match_count);
        else if (str_eq(name, STR("page_count")))
            good = json_u64(&json, page_count);
        else if (str_eq(name, STR("resources")))
            good = has_entries = read_entries(&json, list);
        else
            good = json_skip(&json);
    }
    return good && json_done(&json) && has_entries && *page_count;
}

/* --- a running cache --- */

/* The order of the options in the words of the page, so that what is cut off is the end of it. */
static void
append_order(struct buf *query, const struct options *options)
{
    static const struct {
        const char *sort;
        bool falls; /* as we show it first */
    } orders[] = {
        [OPTIONS_SORT_URL] = {"url", false},   [OPTIONS_SORT_SIZE] = {"size", true},
        [OPTIONS_SORT_USES] = {"uses", true},  [OPTIONS_SORT_CREATED] = {"age", false},
        [OPTIONS_SORT_USED] = {"used", false},
    };
    bool falls = orders[options->sort].falls != options->reverse;
    cache_query_append(query, "sort", str_from_cstr(orders[options->sort].sort));
    cache_query_append(query, "order", falls ? STR("desc") : STR("asc"));
}

static int
read_page(struct cache_list *list, struct cache_client *client, const struct options *options,
          uint64_t number, uint64_t *page_count, struct error *error)
{
    struct cache_answer answer;
    struct buf query;
    buf_init(&query, CACHE_CLIENT_QUERY_MAX);
    cache_query_append(&query, "format", STR("json"));
    buf_printf(&query, "&rows=%d", CACHE_PAGE_JSON_ROWS);
    append_order(&query, options);
    if (options->search)
        cache_query_append(&query, "search", str_from_cstr(options->search));
    buf_printf(&query, "&page=%llu", (unsigned long long)number);
    if (buf_overflowed(&query)) {
        buf_deinit(&query);
        return error_set(error, "--search is too long");
    }
    const struct cache_request request = {
        .method = "GET",
        .path = "/resources/successes/",
        .query = buf_str(&query),
    };
    int result = cache_client_ask_json(client, &request, &answer, error);
    if (result == 0 && !cache_list_add_page(list, buf_str(&answer.body), page_count))
        result = error_set(error, "%s: the answer is not that of a fetch cache, or too long",
                           options->cache_url);
    cache_answer_deinit(&answer);
    buf_deinit(&query);
    return result;
}

static bool
has_enough(const struct cache_list *list, const struct options *options)
{
    return options->limit && list->count >= options->limit;
}

static int
read_cache(struct cache_list *list, const struct options *options, struct error *error)
{
    struct cache_client *client;
    int result = cache_client_open(&client, options, error);
    if (result != 0)
        return -1;
    /* The number of pages is the cache's word: one that is empty is the last anyway. */
    uint64_t page_count = 1;
    for (uint64_t number = 1; result == 0 && number <= page_count; number++) {
        size_t before = list->count;
        result = read_page(list, client, options, number, &page_count, error);
        if (list->count == before || has_enough(list, options))
            break;
    }
    cache_client_close(client);
    return result;
}

/* --- the list --- */

static int
compare_urls(const void *a, const void *b)
{
    const struct cache_entry *x = a, *y = b;
    return str_cmp(x->url, y->url);
}

static int
compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* The largest and latest first. */
static int
compare(const void *a, const void *b, void *arg)
{
    const struct cache_entry *x = a, *y = b;
    const struct options *options = arg;
    int order = 0;
    switch ((enum options_sort)options->sort) {
    case OPTIONS_SORT_URL:
        break;
    case OPTIONS_SORT_SIZE:
        order = compare_numbers(y->len, x->len);
        break;
    case OPTIONS_SORT_USES:
        order = compare_numbers(y->use_count, x->use_count);
        break;
    case OPTIONS_SORT_CREATED:
        order = compare_numbers((uint64_t)y->created_s, (uint64_t)x->created_s);
        break;
    case OPTIONS_SORT_USED:
        order = compare_numbers((uint64_t)y->last_used_s, (uint64_t)x->last_used_s);
        break;
    }
    if (order == 0)
        order = str_cmp(x->url, y->url);
    return options->reverse ? -order : order;
}

static void
drop_doubles(struct cache_list *list)
{
    size_t kept = 0;
    qsort(list->entries, list->count, sizeof *list->entries, compare_urls);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || !str_eq(list->entries[i].url, list->entries[kept - 1].url))
            list->entries[kept++] = list->entries[i];
    list->count = kept;
}

void
cache_list_arrange(struct cache_list *list, const struct options *options)
{
    if (list->count == 0)
        return;
    drop_doubles(list);
    qsort_r(list->entries, list->count, sizeof *list->entries, compare, (void *)options);
    if (options->limit && list->count > options->limit)
        list->count = options->limit;
}

int
cache_list_read(struct cache_list *list, const struct options *options, struct error *error)
{
    *list = (struct cache_list){0};
    arena_init(&list->arena, (size_t)CACHE_LIST_MEMORY_MIB << 20, ARENA_BLOCK);
    int result = options->cache_dir ? read_directory(list, options, error)
                                    : read_cache(list, options, error);
    if (result == 0)
        cache_list_arrange(list, options);
    return result;
}
