/* index: the cache's database (SQLite, WAL): entries and statistics, so that they outlive the
 * process.
 *
 * One thread does all writing, in batches: calls put a change into a queue and return; what is
 * queued when the thread wakes becomes one transaction at once, so what was put is on its way
 * within a millisecond of an idle disk. A change that was written outlives the process, however it
 * ends; after a power failure the last seconds of them may be missing, never parts of one. Readers
 * (pages, lists) ask by index_ask and are answered by a post. Nothing on the path of a hit comes
 * here.
 *
 * When the database is damaged (checked at start) it is moved aside, to index.db.damaged-DATE, of
 * which two are kept, and a fresh one made, with a note; the content files are then unknown and are
 * removed by store_recover.
 *
 * When the disk is full or fails, nothing is lost at first: changes stay queued and are tried again
 * every second, with a note a minute. Once the queue is full, further ones are dropped, noted and
 * counted: an entry that was put then lives in memory until the end of the process, and its file is
 * removed at the next start; one that was removed then stays in the database without a file, and is
 * removed from it at the next start. index_close says whether that happened.
 *
 * Thread rule: any thread may call; a note is written by whichever thread has it; callbacks of
 * queries run on the asker's loop. Bounds: CACHE_INDEX_* in base/limits.h. A full queue makes
 * callers wait while the disk works, but CACHE_INDEX_WAIT_MS at most.
 */
#ifndef TARN_CACHE_INDEX_H
#define TARN_CACHE_INDEX_H

#include "base/error.h"
#include "cache/entry.h"
#include "io/loop.h"

struct index;

/* One line without a newline, for the operator; all of them are warnings. */
typedef void index_note_fn(void *arg, const char *line);

/* What index_open calls for an entry returns: */
enum index_loaded {
    INDEX_TAKEN = 0,
    INDEX_REFUSED = 1, /* there is one with that URL, say: it leaves the database */
    INDEX_FAILED = -1, /* no memory: index_open fails */
};

/* Opens or makes the database `index.db` in the directory, checks it (schema version, quick_check),
 * calls `loaded` for every entry, then starts the thread. Entries come in the order of their ids,
 * the order in which they lie on the disk: in order of last use a million of them would take ten
 * times as long. An entry that makes no sense (lengths, times, control characters) is dropped, with
 * one note for all of them. `dir` as given to store_open, which came before. -1: it cannot be
 * opened or made, or is of a later version or of another program (then nothing is changed). */
int index_open(struct index **out, const char *dir,
               enum index_loaded (*loaded)(void *arg, const struct cache_entry *entry),
               index_note_fn *note, void *arg, struct error *error) MUST_USE;
/* Writes what is queued, and closes. Nobody may be asking any more (index_cancel, index_detach).
 * Whether the database has everything that was ever put: store_close may leave its mark then. Takes
 * some seconds when the disk fails. */
bool index_close(struct index *index);

/* The database was there, whole, and all of its entries were loaded. Else the directory is to be
 * searched (store_recover), also after an orderly end. */
bool index_was_orderly(const struct index *index);

/* The highest id that was ever put; see store_last_id. */
uint64_t index_last_id(const struct index *index);

/* A new entry, or one with new times or validators (same id; URL, length and digest stay). One of
 * another id with the same URL is replaced. Copied. Lengths as in base/limits.h: URL_MAX,
 * CACHE_FIELD_MAX, CACHE_CODING_MAX; id and len up to INT64_MAX, id not 0; times from 1970 to 2106
 * (last_modified_s to 9999, or -1): others would not be loaded again. */
void index_put(struct index *index, const struct cache_entry *entry);
void index_remove(struct index *index, uint64_t id);
/* Last use and count, which never go back; written within CACHE_INDEX_TOUCH_MS, several of one
 * entry at once. When very many wait, more are forgotten: that costs a little of the order of use
 * after a restart. */
void index_touch(struct index *index, uint64_t id, int64_t last_used_s, uint32_t use_count);

/* Totals: as they were at index_open; and what was added since is written by index_add_totals,
 * which also keeps them by hour (kept 14 days) and by day (kept 400 days), UTC. */
void index_totals(const struct index *index, struct cache_totals *totals);
void index_add_totals(struct index *index, int64_t now_s, const struct cache_totals *added);

/* Waits until everything put so far is written, or could not be: false. For tests and the end. */
bool index_flush(struct index *index);

/* --- queries --- */

enum index_order {
    INDEX_BY_URL,
    INDEX_BY_LEN,
    INDEX_BY_USES,
    INDEX_BY_CREATED,
    INDEX_BY_LAST_USED,
};

enum index_kind { INDEX_LIST, INDEX_HOURS, INDEX_DAYS };

struct index_query {
    enum index_kind kind;
    /* INDEX_LIST: entries whose URL contains `search` (in either case of ASCII letters; literal, no
     * wildcards; empty: all), `offset` skipped, at most `count` (up to CACHE_INDEX_LIST_MAX).
     * Equal ones are in the order of their ids. Behind the first CACHE_INDEX_DEPTH_MAX nothing is
     * listed. One pass over all entries. */
    enum index_order order;
    bool descending;
    struct str search;
    uint32_t offset, count;
    /* INDEX_HOURS, INDEX_DAYS: the last `count` of them up to now_s, oldest first, also those in
     * which nothing happened; no more than are kept. */
    int64_t now_s;
};

struct index_period {
    int64_t start_s;
    struct cache_totals totals;
};

/* Borrowed until the callback returns. */
struct index_result {
    bool failed;          /* the database cannot be read, or no memory; the rest is empty */
    uint64_t match_count; /* INDEX_LIST: how many match in all */
    uint64_t match_len;   /* and their bytes */
    unsigned count;
    const struct cache_entry *entries;  /* INDEX_LIST */
    const struct index_period *periods; /* the others */
};

struct index_ask;
typedef void index_answered_fn(void *arg, const struct index_result *result);

/* Asks; the query is copied. The callback runs once on `loop`, unless cancelled before. NULL: no
 * memory, or CACHE_INDEX_ASKS_MAX wait already. What was put, removed and added to totals before is
 * part of the answer (if it can be written); touches may come later. */
struct index_ask *index_ask(struct index *index, const struct index_query *query, struct loop *loop,
                            index_answered_fn *answered, void *arg);
/* On the asker's loop, before the callback ran: it will not. */
void index_cancel(struct index_ask *ask);
/* Forgets what this loop still waits for: after its last turn, before it is freed. */
void index_detach(struct index *index, struct loop *loop);

/* For `tarn cache ls`, whether somebody serves the directory or not: reads, and changes nothing of
 * the database. `each` is called for every entry in the order of ids, and may return non-zero to
 * stop; it may take its time. `totals` may be NULL. -1: there is none, or it cannot be read. */
int index_read_only(const char *dir, int (*each)(void *arg, const struct cache_entry *entry),
                    void *arg, struct cache_totals *totals, struct error *error) MUST_USE;

#endif
