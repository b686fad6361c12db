/* Reading the whole database: at start, and for `tarn cache ls`. Rows are believed only as far as
 * they make sense: a database may have been written to by anything.
 */
#include "cache/index_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_COUNT = 1000, PAGE_MAX = 16 << 20, PAGE_BLOCK = 1 << 20 };

#define TIME_MAX INT64_C(253402300799) /* the end of the year 9999; times of ours: of 2106 */

/* --- a row --- */

static struct str
read_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return str_make(text, text ? (size_t)sqlite3_column_bytes(row, column) : 0);
}

/* No control character: these become lines of a response. */
static bool
text_is_good(struct str text, size_t max)
{
    if (text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool
url_is_good(struct str url)
{
    return (str_starts_with(url, STR("http://")) || str_starts_with(url, STR("https://"))) &&
           text_is_good(url, URL_MAX) && str_find_char(url, ' ') == url.len;
}

static bool
number_is_good(int64_t number, int64_t min, int64_t max)
{
    return number >= min && number <= max;
}

bool
index_read_entry(sqlite3_stmt *row, struct cache_entry *entry)
{
    int64_t id = sqlite3_column_int64(row, 0), len = sqlite3_column_int64(row, 5);
    int64_t ttl = sqlite3_column_int64(row, 10), uses = sqlite3_column_int64(row, 11);
    const void *digest = sqlite3_column_blob(row, 6);
    *entry = (struct cache_entry){
        .id = (uint64_t)id,
        .url = read_text(row, 1),
        .content_type = read_text(row, 2),
        .etag = read_text(row, 3),
        .content_coding = read_text(row, 4),
        .len = (uint64_t)len,
        .last_modified_s = sqlite3_column_int64(row, 7),
        .created_s = sqlite3_column_int64(row, 8),
        .last_used_s = sqlite3_column_int64(row, 9),
        .ttl_s = (uint32_t)ttl,
        .use_count = (uint32_t)uses,
    };
    if (!digest || sqlite3_column_bytes(row, 6) != CACHE_SHA256_LEN)
        return false;
    memcpy(entry->sha256, digest, CACHE_SHA256_LEN);
    return id > 0 && len >= 0 && url_is_good(entry->url) &&
           text_is_good(entry->content_type, CACHE_FIELD_MAX) &&
           text_is_good(entry->etag, CACHE_FIELD_MAX) &&
           text_is_good(entry->content_coding, CACHE_CODING_MAX) &&
           number_is_good(entry->last_modified_s, -1, TIME_MAX) &&
           number_is_good(entry->created_s, 0, UINT32_MAX) &&
           number_is_good(entry->last_used_s, 0, UINT32_MAX) &&
           number_is_good(ttl, 0, UINT32_MAX) && number_is_good(uses, 0, UINT32_MAX);
}

/* --- at start --- */

struct id_list {
    int64_t *ids;
    size_t count, cap;
};

static bool
add_id(struct id_list *list, int64_t id)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        int64_t *ids = realloc(list->ids, cap * sizeof *ids);
        if (!ids)
            return false;
        list->ids = ids;
        list->cap = cap;
    }
    list->ids[list->count++] = id;
    return true;
}

/* What cannot be removed now comes again at the next start. */
static void
remove_rows(struct index_db *db, const struct id_list *list)
{
    if (index_db_run(db, INDEX_SQL_BEGIN) != SQLITE_OK)
        return;
    for (size_t i = 0; i < list->count; i++) {
        sqlite3_bind_int64(db->statements[INDEX_SQL_REMOVE], 1, list->ids[i]);
        if (index_db_run(db, INDEX_SQL_REMOVE) != SQLITE_OK)
            break;
    }
    if (index_db_run(db, INDEX_SQL_COMMIT) != SQLITE_OK)
        index_db_run(db, INDEX_SQL_ROLLBACK);
}

static int
load_rows(struct index_db *db,
          enum index_loaded (*loaded)(void *arg, const struct cache_entry *entry), void *arg,
          struct id_list *bad, struct error *error)
{
    sqlite3_stmt *row = db->statements[INDEX_SQL_LOAD];
    struct cache_entry entry;
    int code;
    sqlite3_bind_int64(row, 1, INT64_MIN);
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(row, 0);
        enum index_loaded taken =
            index_read_entry(row, &entry) ? loaded(arg, &entry) : INDEX_REFUSED;
        if (id > 0 && (uint64_t)id > db->last_id)
            db->last_id = (uint64_t)id;
        if (taken == INDEX_FAILED || (taken == INDEX_REFUSED && !add_id(bad, id))) {
            sqlite3_reset(row);
            return error_set(error, "'%s': no memory for its entries", db->path);
        }
    }
    int result = code == SQLITE_DONE ? 0 : index_db_fail(db, error);
    sqlite3_reset(row);
    return result;
}

static int
load_last_id(struct index_db *db, struct error *error)
{
    sqlite3_stmt *row = db->statements[INDEX_SQL_GET_LAST_ID];
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW && sqlite3_column_int64(row, 0) > 0)
        db->last_id = (uint64_t)sqlite3_column_int64(row, 0);
    int result = code == SQLITE_ROW || code == SQLITE_DONE ? 0 : index_db_fail(db, error);
    sqlite3_reset(row);
    return result;
}

int
index_load(struct index_db *db,
           enum index_loaded (*loaded)(void *arg, const struct cache_entry *entry), void *arg,
           const struct index_notes *notes, uint64_t *dropped, struct error *error)
{
    struct id_list bad = {0};
    int result = load_last_id(db, error);
    if (result == 0)
        result = load_rows(db, loaded, arg, &bad, error);
    if (result == 0 && bad.count) {
        index_note(notes, "'%s': %zu entries that make no sense were dropped", db->path, bad.count);
        remove_rows(db, &bad);
    }
    *dropped = bad.count;
    free(bad.ids);
    return result;
}

void
index_read_sum(sqlite3_stmt *row, struct cache_totals *totals)
{
    static const struct str names[] = {
#define X(name, text) STR_INIT(text),
        CACHE_TOTAL_TABLE(X)
#undef X
    };
    struct str name = read_text(row, 1);
    int64_t value = sqlite3_column_int64(row, 2);
    for (unsigned i = 0; i < CACHE_TOTAL_COUNT; i++)
        if (str_eq(name, names[i]) && value > 0)
            totals->values[i] += (uint64_t)value;
}

int
index_load_totals(struct index_db *db, struct cache_totals *totals, struct error *error)
{
    sqlite3_stmt *row = db->statements[INDEX_SQL_SUMS];
    int code;
    *totals = (struct cache_totals){0};
    for (int i = 1; i <= 3; i++)
        sqlite3_bind_int64(row, i, 0);
    while ((code = sqlite3_step(row)) == SQLITE_ROW)
        index_read_sum(row, totals);
    int result = code == SQLITE_DONE ? 0 : index_db_fail(db, error);
    sqlite3_reset(row);
    return result;
}

/* --- for `tarn cache ls` --- */

/* As many entries as are read between two looks at the database: a reader that waits for its own
 * reader must not keep the log from being emptied. */
struct page {
    struct arena arena;
    struct cache_entry entries[PAGE_COUNT];
    size_t count;
    uint64_t last_id;
};

static bool
keep_entry(struct page *page, const struct cache_entry *entry)
{
    struct cache_entry *kept = &page->entries[page->count++];
    *kept = *entry;
    kept->url = arena_copy(&page->arena, entry->url);
    kept->content_type = arena_copy(&page->arena, entry->content_type);
    kept->etag = arena_copy(&page->arena, entry->etag);
    kept->content_coding = arena_copy(&page->arena, entry->content_coding);
    return !arena_overflowed(&page->arena);
}

/* *more: rows may follow. */
static int
read_page(struct index_db *db, struct page *page, bool *more, struct error *error)
{
    sqlite3_stmt *row = db->statements[INDEX_SQL_LOAD];
    struct cache_entry entry;
    int code = SQLITE_DONE;
    bool kept = true;
    arena_reset(&page->arena);
    page->count = 0;
    sqlite3_bind_int64(row, 1, (int64_t)page->last_id);
    while (kept && page->count < PAGE_COUNT && (code = sqlite3_step(row)) == SQLITE_ROW) {
        page->last_id = (uint64_t)sqlite3_column_int64(row, 0);
        if (index_read_entry(row, &entry))
            kept = keep_entry(page, &entry);
    }
    *more = code == SQLITE_ROW;
    int result = 0;
    if (!kept)
        result = error_set(error, "'%s': no memory for its entries", db->path);
    else if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = index_db_fail(db, error);
    sqlite3_reset(row);
    return result;
}

static int
read_pages(struct index_db *db, struct page *page,
           int (*each)(void *arg, const struct cache_entry *entry), void *arg, struct error *error)
{
    for (bool more = true; more;) {
        if (read_page(db, page, &more, error) < 0)
            return -1;
        for (size_t i = 0; i < page->count; i++)
            if (each(arg, &page->entries[i]) != 0)
                return 0;
    }
    return 0;
}

int
index_read_only(const char *dir, int (*each)(void *arg, const struct cache_entry *entry), void *arg,
                struct cache_totals *totals, struct error *error)
{
    struct index_db db;
    if (index_db_open_read_only(&db, dir, error) < 0)
        return -1;
    struct page *page = calloc(1, sizeof *page);
    int result = page ? 0 : error_set(error, "'%s': no memory for its entries", db.path);
    if (result == 0 && totals)
        result = index_load_totals(&db, totals, error);
    if (result == 0) {
        arena_init(&page->arena, PAGE_MAX, PAGE_BLOCK);
        result = read_pages(&db, page, each, arg, error);
        arena_deinit(&page->arena);
    }
    free(page);
    index_db_close(&db, false);
    return result;
}
