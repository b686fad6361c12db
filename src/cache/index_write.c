/* Changes become one transaction. A failure that may pass (no space, a lock, a fault of the disk)
 * leaves all of it for another time; a record that the database will never take is left out.
 */
#include "cache/index_internal.h"

#include "tls/digest.h"

#include <stdlib.h>

/* The beginning of a digest: nobody can choose URLs that share it in numbers. */
static int64_t
hash_of(struct str url)
{
    uint8_t digest[DIGEST_SHA256_LEN];
    int64_t hash;
    digest_of(DIGEST_SHA256, url, digest);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

/* The text must stay until the statement has run. */
static void
bind_text(sqlite3_stmt *statement, int at, struct str text)
{
    sqlite3_bind_text(statement, at, text.len ? text.ptr : "", (int)text.len, SQLITE_STATIC);
}

/* --- records --- */

static void
bind_put(sqlite3_stmt *put, const struct cache_entry *entry, int64_t hash)
{
    sqlite3_bind_int64(put, 1, (int64_t)entry->id);
    bind_text(put, 2, entry->url);
    bind_text(put, 3, entry->content_type);
    bind_text(put, 4, entry->etag);
    bind_text(put, 5, entry->content_coding);
    sqlite3_bind_int64(put, 6, (int64_t)entry->len);
    sqlite3_bind_blob(put, 7, entry->sha256, sizeof entry->sha256, SQLITE_STATIC);
    sqlite3_bind_int64(put, 8, entry->last_modified_s);
    sqlite3_bind_int64(put, 9, entry->created_s);
    sqlite3_bind_int64(put, 10, entry->last_used_s);
    sqlite3_bind_int64(put, 11, entry->ttl_s);
    sqlite3_bind_int64(put, 12, entry->use_count);
    sqlite3_bind_int64(put, 13, hash);
}

static int
put_entry(struct index_db *db, const struct cache_entry *entry)
{
    sqlite3_stmt *replace = db->statements[INDEX_SQL_REPLACE];
    int64_t hash = hash_of(entry->url);
    sqlite3_bind_int64(replace, 1, hash);
    bind_text(replace, 2, entry->url);
    sqlite3_bind_int64(replace, 3, (int64_t)entry->id);
    int code = index_db_run(db, INDEX_SQL_REPLACE);
    if (code != SQLITE_OK)
        return code;
    bind_put(db->statements[INDEX_SQL_PUT], entry, hash);
    return index_db_run(db, INDEX_SQL_PUT);
}

static int
remove_entry(struct index_db *db, uint64_t id)
{
    sqlite3_bind_int64(db->statements[INDEX_SQL_REMOVE], 1, (int64_t)id);
    return index_db_run(db, INDEX_SQL_REMOVE);
}

/* Whether trying again may help. */
static bool
may_pass(int code)
{
    switch (code & 0xff) {
    case SQLITE_ERROR:
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return false;
    default:
        return true;
    }
}

static int
write_records(struct index_db *db, const struct index_changes *changes, uint64_t *last_id,
              uint64_t *dropped)
{
    for (const struct index_record *record = changes->first; record; record = record->next) {
        const struct cache_entry *entry = &record->entry;
        int code = record->change == INDEX_PUT ? put_entry(db, entry) : remove_entry(db, entry->id);
        if (code != SQLITE_OK && may_pass(code))
            return code;
        *dropped += code != SQLITE_OK;
        if (record->change == INDEX_PUT && entry->id > *last_id)
            *last_id = entry->id;
    }
    if (*last_id == db->last_id)
        return SQLITE_OK;
    sqlite3_bind_int64(db->statements[INDEX_SQL_SET_LAST_ID], 1, (int64_t)*last_id);
    return index_db_run(db, INDEX_SQL_SET_LAST_ID);
}

/* --- touches: in the order in which their rows lie --- */

static int
compare_touches(const void *a, const void *b)
{
    uint64_t x = ((const struct index_touch *)a)->id, y = ((const struct index_touch *)b)->id;
    return x < y ? -1 : x > y;
}

static int
write_touches(struct index_db *db, struct index_touches *touches)
{
    sqlite3_stmt *update = db->statements[INDEX_SQL_TOUCH];
    if (!touches->count)
        return SQLITE_OK;
    qsort(touches->slots, touches->cap, sizeof *touches->slots, compare_touches);
    for (size_t i = 0; i < touches->cap; i++) {
        const struct index_touch *touch = &touches->slots[i];
        if (!touch->id)
            continue;
        sqlite3_bind_int64(update, 1, (int64_t)touch->id);
        sqlite3_bind_int64(update, 2, touch->last_used_s);
        sqlite3_bind_int64(update, 3, touch->use_count);
        int code = index_db_run(db, INDEX_SQL_TOUCH);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

/* --- totals: whole life, day, hour --- */

static int
add_to_period(struct index_db *db, int64_t period_s, int64_t start_s,
              const struct cache_totals *totals)
{
    static const struct str names[] = {
#define X(name, text) STR_INIT(text),
        CACHE_TOTAL_TABLE(X)
#undef X
    };
    sqlite3_stmt *add = db->statements[INDEX_SQL_ADD];
    for (unsigned i = 0; i < CACHE_TOTAL_COUNT; i++) {
        uint64_t value = totals->values[i];
        if (!value)
            continue;
        sqlite3_bind_int64(add, 1, period_s);
        sqlite3_bind_int64(add, 2, start_s);
        bind_text(add, 3, names[i]);
        sqlite3_bind_int64(add, 4, value < INT64_MAX ? (int64_t)value : INT64_MAX);
        int code = index_db_run(db, INDEX_SQL_ADD);
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

static int
forget_before(struct index_db *db, int64_t period_s, int64_t start_s)
{
    sqlite3_stmt *forget = db->statements[INDEX_SQL_FORGET];
    sqlite3_bind_int64(forget, 1, period_s);
    sqlite3_bind_int64(forget, 2, start_s);
    return index_db_run(db, INDEX_SQL_FORGET);
}

static int
write_period(struct index_db *db, const struct index_period *hour)
{
    int64_t day_s = hour->start_s - hour->start_s % INDEX_DAY_S;
    int code = add_to_period(db, 0, 0, &hour->totals);
    if (code == SQLITE_OK)
        code = add_to_period(db, INDEX_DAY_S, day_s, &hour->totals);
    if (code == SQLITE_OK)
        code = add_to_period(db, INDEX_HOUR_S, hour->start_s, &hour->totals);
    if (code == SQLITE_OK)
        code = forget_before(db, INDEX_HOUR_S,
                             hour->start_s - (CACHE_INDEX_HOURS_KEPT - 1) * INDEX_HOUR_S);
    if (code == SQLITE_OK)
        code = forget_before(db, INDEX_DAY_S, day_s - (CACHE_INDEX_DAYS_KEPT - 1) * INDEX_DAY_S);
    return code;
}

static int
write_periods(struct index_db *db, const struct index_changes *changes)
{
    int code = SQLITE_OK;
    for (unsigned i = 0; i < changes->period_count && code == SQLITE_OK; i++)
        code = write_period(db, &changes->periods[i]);
    return code;
}

/* --- all of it --- */

int
index_write(struct index_db *db, struct index_changes *changes, uint64_t *dropped)
{
    uint64_t last_id = db->last_id;
    *dropped = 0;
    int code = index_db_run(db, INDEX_SQL_BEGIN);
    if (code == SQLITE_OK)
        code = write_records(db, changes, &last_id, dropped);
    if (code == SQLITE_OK)
        code = write_touches(db, &changes->touches);
    if (code == SQLITE_OK)
        code = write_periods(db, changes);
    if (code == SQLITE_OK)
        code = index_db_run(db, INDEX_SQL_COMMIT);
    if (code == SQLITE_OK)
        db->last_id = last_id;
    else if (!sqlite3_get_autocommit(db->handle))
        index_db_run(db, INDEX_SQL_ROLLBACK);
    return code;
}
