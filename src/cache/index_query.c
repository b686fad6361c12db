/* Answers. A list is one pass over all entries that counts what matches and keeps the ids of the
 * first ones in the order asked for; then those of the page are read. To keep the first N, up to 2N
 * are collected, put in order and cut back to N: what is not before the last of them is not even
 * collected from then on.
 */
#include "cache/index_internal.h"

#include <stdlib.h>

enum { PICKS_MIN = 2048, LOOK_EVERY = 1024, ARENA_BLOCK = 64 << 10 };

struct pick {
    uint64_t id;
    int64_t number;
    struct str url; /* heap; INDEX_BY_URL only */
};

struct picks {
    struct pick *list;
    size_t count, max, cap;
    bool full; /* list[max - 1] is the last that counts */
    bool descending;
};

static bool
is_cancelled(const struct index_ask *ask)
{
    return __atomic_load_n(&ask->cancelled, __ATOMIC_RELAXED);
}

/* --- search --- */

/* `needle` is in lower case. In time that is linear in the URL's length, whatever is looked for. */
static bool
contains(struct str url, struct str needle)
{
    char lower[URL_MAX];
    if (needle.len == 0)
        return true;
    url = str_first(url, sizeof lower);
    for (size_t i = 0; i < url.len; i++)
        lower[i] = str_lower_char(url.ptr[i]);
    return str_find(str_make(lower, url.len), needle) < url.len;
}

/* --- the first N --- */

static int
compare_picks(const void *a, const void *b, void *arg)
{
    const struct pick *x = a, *y = b;
    const struct picks *picks = arg;
    int order = x->number != y->number ? (x->number < y->number ? -1 : 1) : str_cmp(x->url, y->url);
    if (order == 0)
        order = x->id < y->id ? -1 : x->id > y->id;
    return picks->descending ? -order : order;
}

static void
free_picks(struct picks *picks, size_t from)
{
    for (size_t i = from; i < picks->count; i++)
        free((char *)picks->list[i].url.ptr);
    picks->count = from < picks->count ? from : picks->count;
}

static void
sort_picks(struct picks *picks)
{
    if (picks->count)
        qsort_r(picks->list, picks->count, sizeof *picks->list, compare_picks, picks);
    if (picks->count < picks->max)
        return;
    free_picks(picks, picks->max);
    picks->full = true;
}

/* Copies the URL. False: no memory. */
static bool
add_pick(struct picks *picks, struct pick pick)
{
    if (picks->full && compare_picks(&pick, &picks->list[picks->max - 1], picks) > 0)
        return true;
    if (picks->count == picks->cap)
        sort_picks(picks);
    if (pick.url.len) {
        char *copy = malloc(pick.url.len);
        if (!copy)
            return false;
        memcpy(copy, pick.url.ptr, pick.url.len);
        pick.url.ptr = copy;
    }
    picks->list[picks->count++] = pick;
    return true;
}

/* --- INDEX_LIST --- */

/* A row of INDEX_SQL_SCAN. */
static struct pick
read_pick(sqlite3_stmt *row, enum index_order order, struct str url)
{
    static const uint8_t columns[] = {
        [INDEX_BY_LEN] = 1,
        [INDEX_BY_CREATED] = 3,
        [INDEX_BY_LAST_USED] = 4,
        [INDEX_BY_USES] = 5,
    };
    struct pick pick = {.id = (uint64_t)sqlite3_column_int64(row, 0)};
    if (order == INDEX_BY_URL)
        pick.url = url.len ? url : (struct str){0};
    else
        pick.number = sqlite3_column_int64(row, columns[order]);
    return pick;
}

static bool
scan(struct index_db *db, struct index_ask *ask, struct picks *picks)
{
    sqlite3_stmt *row = db->statements[INDEX_SQL_SCAN];
    const struct index_query *query = &ask->query;
    struct index_result *result = &ask->result;
    int code = SQLITE_DONE;
    bool good = true;
    for (unsigned i = 0; good && (code = sqlite3_step(row)) == SQLITE_ROW; i++) {
        const char *text = (const char *)sqlite3_column_text(row, 2);
        struct str url = str_make(text, text ? (size_t)sqlite3_column_bytes(row, 2) : 0);
        if (i % LOOK_EVERY == 0 && is_cancelled(ask))
            break;
        if (!contains(url, query->search))
            continue;
        result->match_count++;
        result->match_len += (uint64_t)sqlite3_column_int64(row, 1);
        good = !picks->max || add_pick(picks, read_pick(row, query->order, url));
    }
    sqlite3_reset(row);
    return good && (code == SQLITE_DONE || code == SQLITE_ROW);
}

static bool
copy_strs(struct arena *arena, struct cache_entry *entry)
{
    entry->url = arena_copy(arena, entry->url);
    entry->content_type = arena_copy(arena, entry->content_type);
    entry->etag = arena_copy(arena, entry->etag);
    entry->content_coding = arena_copy(arena, entry->content_coding);
    return !arena_overflowed(arena);
}

/* One that makes no sense is left out. */
static bool
read_entries(struct index_db *db, struct index_ask *ask, const struct pick *picks, size_t count)
{
    sqlite3_stmt *row = db->statements[INDEX_SQL_GET];
    struct cache_entry *entries = arena_alloc(&ask->arena, count * sizeof *entries);
    bool good = entries != NULL;
    for (size_t i = 0; i < count && good; i++) {
        struct cache_entry *entry = &entries[ask->result.count];
        sqlite3_bind_int64(row, 1, (int64_t)picks[i].id);
        int code = sqlite3_step(row);
        if (code == SQLITE_ROW && index_read_entry(row, entry)) {
            good = copy_strs(&ask->arena, entry);
            ask->result.count++;
        }
        good &= code == SQLITE_ROW || code == SQLITE_DONE;
        sqlite3_reset(row);
    }
    ask->result.entries = entries;
    return good;
}

static bool
run_list(struct index_db *db, struct index_ask *ask)
{
    const struct index_query *query = &ask->query;
    uint64_t end = (uint64_t)query->offset + query->count;
    struct picks picks = {.descending = query->descending};
    if (query->count)
        picks.max = end < CACHE_INDEX_DEPTH_MAX ? (size_t)end : CACHE_INDEX_DEPTH_MAX;
    if (query->offset >= picks.max)
        picks.max = 0;
    picks.cap = 2 * picks.max < PICKS_MIN ? PICKS_MIN : 2 * picks.max;
    picks.list = malloc(picks.cap * sizeof *picks.list);
    bool good = picks.list && scan(db, ask, &picks);
    if (good) {
        sort_picks(&picks);
        size_t from = query->offset < picks.count ? query->offset : picks.count;
        good = picks.count == from || read_entries(db, ask, picks.list + from, picks.count - from);
    }
    if (picks.list)
        free_picks(&picks, 0);
    free(picks.list);
    return good;
}

/* --- INDEX_HOURS, INDEX_DAYS --- */

static bool
run_periods(struct index_db *db, struct index_ask *ask, int64_t period_s, uint32_t kept)
{
    sqlite3_stmt *row = db->statements[INDEX_SQL_SUMS];
    uint32_t count = ask->query.count < kept ? ask->query.count : kept;
    int64_t now_s = ask->query.now_s < 0 ? 0 : ask->query.now_s;
    int64_t last_s = now_s - now_s % period_s, first_s = last_s - ((int64_t)count - 1) * period_s;
    struct index_period *periods = arena_alloc(&ask->arena, (count + 1) * sizeof *periods);
    int code;
    if (!periods)
        return false;
    for (uint32_t i = 0; i < count; i++)
        periods[i].start_s = first_s + i * period_s;
    sqlite3_bind_int64(row, 1, period_s);
    sqlite3_bind_int64(row, 2, first_s);
    sqlite3_bind_int64(row, 3, last_s);
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        int64_t at = (sqlite3_column_int64(row, 0) - first_s) / period_s;
        if (at >= 0 && at < count)
            index_read_sum(row, &periods[at].totals);
    }
    sqlite3_reset(row);
    ask->result.periods = periods;
    ask->result.count = count;
    return code == SQLITE_DONE;
}

void
index_run_query(struct index_db *db, struct index_ask *ask)
{
    bool good = false;
    arena_init(&ask->arena, CACHE_INDEX_ANSWER_MAX, ARENA_BLOCK);
    switch (ask->query.kind) {
    case INDEX_LIST:
        good = run_list(db, ask);
        break;
    case INDEX_HOURS:
        good = run_periods(db, ask, INDEX_HOUR_S, CACHE_INDEX_HOURS_KEPT);
        break;
    case INDEX_DAYS:
        good = run_periods(db, ask, INDEX_DAY_S, CACHE_INDEX_DAYS_KEPT);
        break;
    }
    if (!good)
        ask->result = (struct index_result){.failed = true};
}
