/* index_test_run: for the tests of the index: one in a directory of its own, what it gave when it
 * was loaded, and SQL beside it. */
#ifndef TARN_CACHE_INDEX_TEST_RUN_H
#define TARN_CACHE_INDEX_TEST_RUN_H

#include "cache/cache_dir_test_run.h"
#include "cache/index.h"

#include <sqlite3.h>

enum { LOADED_MAX = 64 };

struct fixture {
    struct cache_dir dir; /* first: notes get it */
    struct index *index;
    uint64_t loaded_count;
    struct cache_entry loaded[LOADED_MAX]; /* the first ones, strs in texts */
    char texts[LOADED_MAX][4][1024];
    uint64_t refused_id;
    bool fails;
};

static inline struct str
keep_text(char *to, struct str text)
{
    assert_true(text.len < 1024);
    if (text.len)
        memcpy(to, text.ptr, text.len);
    return str_make(to, text.len);
}

static inline enum index_loaded
take_loaded(void *arg, const struct cache_entry *entry)
{
    struct fixture *fixture = arg;
    uint64_t at = fixture->loaded_count++;
    if (fixture->fails)
        return INDEX_FAILED;
    if (entry->id == fixture->refused_id)
        return INDEX_REFUSED;
    if (at >= LOADED_MAX)
        return INDEX_TAKEN;
    struct cache_entry *kept = &fixture->loaded[at];
    *kept = *entry;
    kept->url = keep_text(fixture->texts[at][0], entry->url);
    kept->content_type = keep_text(fixture->texts[at][1], entry->content_type);
    kept->etag = keep_text(fixture->texts[at][2], entry->etag);
    kept->content_coding = keep_text(fixture->texts[at][3], entry->content_coding);
    return INDEX_TAKEN;
}

static inline int
try_open(struct fixture *fixture)
{
    fixture->loaded_count = 0;
    fixture->index = NULL;
    int result = index_open(&fixture->index, fixture->dir.path, take_loaded, take_note, fixture,
                            &fixture->dir.error);
    if (result < 0)
        fixture->index = NULL;
    return result;
}

static inline void
open_index(struct fixture *fixture)
{
    if (try_open(fixture) < 0)
        fail_msg("%s", fixture->dir.error.text);
}

static inline bool
close_index(struct fixture *fixture)
{
    struct index *index = fixture->index;
    fixture->index = NULL;
    return index_close(index);
}

static inline void
reopen_index(struct fixture *fixture)
{
    assert_true(close_index(fixture));
    open_index(fixture);
}

static inline int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    cache_dir_init(&fixture->dir);
    *state = fixture;
    return 0;
}

/* With the cache's directory there. */
static inline int
setup_dir(void **state)
{
    setup(state);
    struct fixture *fixture = *state;
    return mkdir(fixture->dir.path, 0700);
}

static inline int
teardown(void **state)
{
    struct fixture *fixture = *state;
    index_close(fixture->index);
    cache_dir_deinit(&fixture->dir);
    free(fixture);
    return 0;
}

static inline void
put(struct fixture *fixture, uint64_t id)
{
    char text[URL_TEXT_MAX];
    struct cache_entry entry = make_entry(id, text);
    index_put(fixture->index, &entry);
}

static inline void
put_many(struct fixture *fixture, uint64_t from, uint64_t to)
{
    for (uint64_t id = from; id <= to; id++)
        put(fixture, id);
}

/* Runs SQL on the database over a connection of the test's own; what it gives in its first row. */
static inline int64_t
sql(struct fixture *fixture, const char *text)
{
    char path[128];
    sqlite3 *handle;
    sqlite3_stmt *statement;
    int64_t number = -1;
    snprintf(path, sizeof path, "%s/index.db", fixture->dir.path);
    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    sqlite3_busy_timeout(handle, 5000);
    for (const char *rest = text; *rest;) {
        if (sqlite3_prepare_v2(handle, rest, -1, &statement, &rest) != SQLITE_OK)
            fail_msg("%s: %s", rest, sqlite3_errmsg(handle));
        int code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            number = sqlite3_column_int64(statement, 0);
        else if (code != SQLITE_DONE)
            fail_msg("%s: %s", text, sqlite3_errmsg(handle));
        sqlite3_finalize(statement);
    }
    sqlite3_close(handle);
    return number;
}

#endif
