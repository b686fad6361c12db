/* index_internal: what the files of the index share. Not for others.
 *
 * index.c has the thread; index_changes.c collects what is to be written; index_ask.c who wants to
 * know something. The rest is called by one thread at a time: index_db.c opens the database and
 * judges it, index_load.c reads all of it, index_write.c writes changes, index_query.c answers.
 */
#ifndef TARN_CACHE_INDEX_INTERNAL_H
#define TARN_CACHE_INDEX_INTERNAL_H

#include "base/arena.h"
#include "base/limits.h"
#include "cache/index.h"

#include <pthread.h>
#include <sqlite3.h>

#define INDEX_NAME "index.db"
enum { INDEX_HOUR_S = 3600, INDEX_DAY_S = 86400, INDEX_PATH_MAX = 4096 };

/* --- the database --- */

#define INDEX_ENTRY_COLUMNS                                                              \
    "id, url, content_type, etag, content_coding, len, sha256, last_modified, created, " \
    "last_used, ttl, uses"

#define INDEX_STATEMENT_TABLE(X)                                                                  \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                   \
    X(COMMIT, "COMMIT")                                                                           \
    X(ROLLBACK, "ROLLBACK")                                                                       \
    X(REPLACE, "DELETE FROM entry WHERE url_hash = ?1 AND url = ?2 AND id <> ?3")                 \
    X(PUT, "INSERT INTO entry (" INDEX_ENTRY_COLUMNS ", url_hash)"                                \
           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"                     \
           " ON CONFLICT (id) DO UPDATE SET content_type = excluded.content_type,"                \
           " etag = excluded.etag, content_coding = excluded.content_coding,"                     \
           " last_modified = excluded.last_modified, created = excluded.created,"                 \
           " last_used = max(last_used, excluded.last_used), ttl = excluded.ttl,"                 \
           " uses = max(uses, excluded.uses)")                                                    \
    X(REMOVE, "DELETE FROM entry WHERE id = ?1")                                                  \
    X(TOUCH, "UPDATE entry SET last_used = max(last_used, ?2), uses = max(uses, ?3)"              \
             " WHERE id = ?1")                                                                    \
    X(SET_LAST_ID, "INSERT INTO meta VALUES ('last_id', ?1)"                                      \
                   " ON CONFLICT DO UPDATE SET value = max(value, excluded.value)")               \
    X(GET_LAST_ID, "SELECT value FROM meta WHERE name = 'last_id'")                               \
    X(ADD, "INSERT INTO total VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value ="          \
           " min(value, 0x7fffffffffffffff - excluded.value) + excluded.value")                   \
    X(FORGET, "DELETE FROM total WHERE period = ?1 AND start < ?2")                               \
    X(SUMS, "SELECT start, name, value FROM total WHERE period = ?1 AND start BETWEEN ?2 AND ?3") \
    X(LOAD, "SELECT " INDEX_ENTRY_COLUMNS " FROM entry WHERE id > ?1 ORDER BY id")                \
    X(GET, "SELECT " INDEX_ENTRY_COLUMNS " FROM entry WHERE id = ?1")                             \
    X(SCAN, "SELECT id, len, url, created, last_used, uses FROM entry")

enum index_statement {
#define X(name, sql) INDEX_SQL_##name,
    INDEX_STATEMENT_TABLE(X)
#undef X
        INDEX_SQL_COUNT
};

struct index_db {
    sqlite3 *handle;
    sqlite3_stmt *statements[INDEX_SQL_COUNT];
    uint64_t last_id; /* that is in it */
    char path[INDEX_PATH_MAX];
};

struct index_notes {
    index_note_fn *note;
    void *arg;
};

void index_note(const struct index_notes *notes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Opens, makes, checks; moves a damaged one aside. *is_fresh: it was made now. */
int index_db_open(struct index_db *db, const char *dir, const struct index_notes *notes,
                  bool *is_fresh, struct error *error) MUST_USE;
int index_db_open_read_only(struct index_db *db, const char *dir, struct error *error) MUST_USE;
/* `checkpoint`: puts what is in the log into the database first. Harmless twice. */
void index_db_close(struct index_db *db, bool checkpoint);
/* The connection's last failure; returns -1. */
int index_db_fail(const struct index_db *db, struct error *error);
/* Runs a statement that gives no rows, with what was bound to it. SQLite's result; SQLITE_OK. */
int index_db_run(struct index_db *db, enum index_statement statement);

/* --- reading --- */

/* Reads a row of INDEX_ENTRY_COLUMNS; strs are borrowed until the statement's next step. False: it
 * makes no sense. */
bool index_read_entry(sqlite3_stmt *row, struct cache_entry *entry);
/* All entries with larger ids than `after`, to `loaded`. *dropped: how many were removed. */
int index_load(struct index_db *db,
               enum index_loaded (*loaded)(void *arg, const struct cache_entry *entry), void *arg,
               const struct index_notes *notes, uint64_t *dropped, struct error *error) MUST_USE;
int index_load_totals(struct index_db *db, struct cache_totals *totals,
                      struct error *error) MUST_USE;
/* Adds the value of a row of INDEX_SQL_SUMS to its counter. */
void index_read_sum(sqlite3_stmt *row, struct cache_totals *totals);

/* --- changes --- */

enum index_change { INDEX_PUT, INDEX_REMOVE };

struct index_record {
    struct index_record *next;
    enum index_change change;
    size_t cost;              /* bytes of memory */
    struct cache_entry entry; /* INDEX_REMOVE: its id; strs lie in `text` */
    char text[];
};

struct index_touch {
    uint64_t id; /* 0: free */
    int64_t last_used_s;
    uint32_t use_count;
};

/* Open addressing by id. */
struct index_touches {
    struct index_touch *slots;
    size_t count, cap; /* cap: a power of two, or 0 */
};

/* What is to become one transaction. */
struct index_changes {
    struct index_record *first, **end;
    uint64_t record_count;
    size_t cost;
    struct index_touches touches;
    struct index_period periods[CACHE_INDEX_PERIODS_MAX]; /* hours, in the order they came */
    unsigned period_count;
};

void index_changes_init(struct index_changes *changes);
void index_changes_deinit(struct index_changes *changes);
bool index_changes_empty(const struct index_changes *changes);
/* NULL: no memory. */
struct index_record *index_record_new(enum index_change change, const struct cache_entry *entry);
void index_changes_append(struct index_changes *changes, struct index_record *record);
void index_changes_touch(struct index_changes *changes, const struct index_touch *touch);
void index_changes_add(struct index_changes *changes, int64_t now_s,
                       const struct cache_totals *added);
/* Moves to `to`, where there is none of the kind. */
void index_changes_move_records(struct index_changes *to, struct index_changes *from);
void index_changes_move_touches(struct index_changes *to, struct index_changes *from);
void index_changes_move_periods(struct index_changes *to, struct index_changes *from);
/* Forgets everything that is in it; the memory for touches stays. */
void index_changes_clear(struct index_changes *changes);

/* Writes all of it as one transaction. 0, or a result of SQLite for a failure that may pass (no
 * space, no memory, a lock, the disk): then nothing is written. A record that would never pass is
 * left out and counted in *dropped. Puts the touches in order. */
int index_write(struct index_db *db, struct index_changes *changes, uint64_t *dropped);

/* --- questions --- */

enum index_ask_state {
    INDEX_ASK_QUEUED,
    INDEX_ASK_RUNNING, /* the thread is at it: it frees it when it was cancelled */
    INDEX_ASK_POSTED,  /* lies in its loop's posts, which the loop's thread runs */
};

struct index_ask {
    struct loop_post post; /* first */
    struct index_ask *next;
    struct index *index;
    struct loop *loop;
    index_answered_fn *answered;
    void *arg;
    struct index_query query;
    struct arena arena; /* of the result */
    struct index_result result;
    enum index_ask_state state;
    bool cancelled; /* set under the lock; read by the thread at any time (atomic) */
    char search[];  /* in lower case */
};

/* Fills in the result; gives up early when it was cancelled. */
void index_run_query(struct index_db *db, struct index_ask *ask);

struct index {
    /* constant once it is open */
    pthread_t thread;
    struct index_notes notes;
    uint64_t last_id;
    struct cache_totals totals;
    bool was_orderly;

    pthread_mutex_t lock;
    pthread_cond_t wake;    /* of the thread */
    pthread_cond_t settled; /* of those who wait for it */
    /* under the lock */
    struct index_changes queued;
    size_t waiting_cost;    /* of records queued or being written */
    uint64_t lazy_from_ns;  /* the first touch or total that is queued; 0: none */
    uint64_t lost_count;    /* changes that were dropped */
    uint64_t noted_ns;      /* the last note about a failure; 0: none */
    uint64_t flush_count;   /* calls of index_flush; of those, the last */
    uint64_t taken_flush;   /*   whose changes have been taken to be written, */
    uint64_t written_flush; /*   whose changes are written, */
    uint64_t settled_flush; /*   and which may return */
    uint64_t retry_ns;      /* when failing: the next attempt */
    bool failing;           /* the last attempt to write failed */
    bool stop;
    struct index_ask *asks, **asks_end; /* in the order they came */
    unsigned queued_asks;

    /* the thread's */
    struct index_db db;
    struct index_changes writing; /* not empty: the last attempt failed */
};

/* Under the lock: the first ask that waits, now RUNNING; or NULL. */
struct index_ask *index_take_ask(struct index *index);
/* Under the lock: sends a RUNNING ask home. */
void index_finish_ask(struct index *index, struct index_ask *ask);

#endif
