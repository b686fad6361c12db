/* The index when things go wrong: damage, other versions, a full disk, a database that is locked.
 */
#include "cache/index_test_run.h"

#include "base/limits.h"

#include <sys/resource.h>
#include <time.h>

/* --- damage --- */

/* A database with enough entries to have an inside. */
static void
make_database(struct fixture *fixture)
{
    open_index(fixture);
    put_many(fixture, 1, 2000);
    assert_true(close_index(fixture));
}

static void
assert_begins_empty(struct fixture *fixture)
{
    unsigned note_count = fixture->dir.note_count;
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 0);
    assert_false(index_was_orderly(fixture->index));
    assert_int_equal(fixture->dir.note_count, note_count + 1);
    assert_true(was_noted(&fixture->dir, "is damaged ("));
    assert_true(was_noted(&fixture->dir, "index.db.damaged-20"));
    put_many(fixture, 1, 10);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 10);
    assert_true(index_was_orderly(fixture->index));
    assert_true(close_index(fixture));
}

static void
what_is_no_database_is_moved_aside(void **state)
{
    struct fixture *fixture = *state;
    assert_shell(&fixture->dir, "head -c 100000 /dev/urandom > index.db && cp index.db ../copy");
    assert_begins_empty(fixture);
    assert_shell(&fixture->dir, "cmp ../copy index.db.damaged-*");
}

static void
a_damaged_page_is_found(void **state)
{
    struct fixture *fixture = *state;
    make_database(fixture);
    assert_shell(&fixture->dir, "dd if=/dev/urandom of=index.db bs=4096 seek=40 count=1"
                                " conv=notrunc status=none");
    assert_begins_empty(fixture);
}

static void
a_database_that_was_cut_short_is_found(void **state)
{
    struct fixture *fixture = *state;
    make_database(fixture);
    assert_shell(&fixture->dir, "truncate -s 200000 index.db");
    assert_begins_empty(fixture);
}

static void
two_damaged_databases_are_kept(void **state)
{
    struct fixture *fixture = *state;
    assert_shell(&fixture->dir, "touch index.db.damaged-20200101-000000"
                                " index.db.damaged-20200101-000000-wal"
                                " index.db.damaged-20210101-000000"
                                " index.db.damaged-20210101-000000-wal;"
                                " echo no database at all, is it > index.db");
    assert_begins_empty(fixture);
    assert_int_equal(shell_number(&fixture->dir, "ls | grep -c damaged"), 3);
    assert_shell(&fixture->dir, "test -e index.db.damaged-20210101-000000-wal");
}

static void
the_log_of_a_damaged_database_goes_with_it(void **state)
{
    struct fixture *fixture = *state;
    make_database(fixture);
    pid_t child = fork_child();
    if (child == 0) {
        open_index(fixture);
        put_many(fixture, 2001, 2003);
        index_flush(fixture->index);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
    assert_shell(&fixture->dir, "test -s index.db-wal && cp index.db-wal ../log &&"
                                " dd if=/dev/urandom of=index.db bs=4096 seek=40 count=1"
                                " conv=notrunc status=none");
    assert_begins_empty(fixture);
    assert_shell(&fixture->dir, "cmp ../log index.db.damaged-*-wal");
}

static void
a_log_without_its_database_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    pid_t child = fork_child();
    if (child == 0) {
        open_index(fixture);
        put_many(fixture, 1, 100);
        index_flush(fixture->index);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
    assert_shell(&fixture->dir, "test -s index.db-wal && rm index.db");
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 0);
    put_many(fixture, 1, 10);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 10);
}

static void
a_damaged_log_loses_only_what_was_last(void **state)
{
    struct fixture *fixture = *state;
    make_database(fixture);
    pid_t child = fork_child();
    if (child == 0) {
        open_index(fixture);
        put_many(fixture, 2001, 2100);
        index_flush(fixture->index);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
    assert_shell(&fixture->dir, "dd if=/dev/urandom of=index.db-wal bs=1 seek=100 count=64"
                                " conv=notrunc status=none");
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 2000);
}

/* --- not ours --- */

static void
assert_refused_unchanged(struct fixture *fixture, const char *text)
{
    assert_shell(&fixture->dir, "md5sum index.db > ../sum");
    assert_int_equal(try_open(fixture), -1);
    if (!strstr(fixture->dir.error.text, text))
        fail_msg("'%s' is not in: %s", text, fixture->dir.error.text);
    assert_shell(&fixture->dir, "md5sum -c --quiet ../sum");
    assert_int_equal(fixture->dir.note_count, 0);
    assert_int_equal(shell_number(&fixture->dir, "ls | grep -c damaged || true"), 0);
}

static void
a_later_version_is_left_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    make_database(fixture);
    sql(fixture, "PRAGMA user_version = 2");
    assert_refused_unchanged(fixture, "has version 2, and this program knows version 1");
    sql(fixture, "PRAGMA user_version = 1");
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 2000);
}

static void
a_database_of_another_program_is_left_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    sql(fixture, "CREATE TABLE entry (id INTEGER PRIMARY KEY); INSERT INTO entry VALUES (7)");
    assert_refused_unchanged(fixture, "of another program: nothing was changed");
}

static void
what_is_no_regular_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_shell(&fixture->dir, "mkdir index.db");
    assert_int_equal(try_open(fixture), -1);
    assert_non_null(strstr(fixture->dir.error.text, "is not a regular file"));
    assert_shell(&fixture->dir, "rmdir index.db && touch ../elsewhere"
                                " && ln -s ../elsewhere index.db");
    assert_int_equal(try_open(fixture), -1);
    assert_shell(&fixture->dir, "test ! -s ../elsewhere");
    assert_shell(&fixture->dir, "rm index.db && cd .. && rmdir cache");
    assert_int_equal(try_open(fixture), -1);
    assert_non_null(strstr(fixture->dir.error.text, "No such file or directory"));
}

/* --- a failure that passes --- */

static void
what_cannot_be_written_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    sqlite3 *other;
    open_index(fixture);
    put(fixture, 1);
    assert_true(index_flush(fixture->index));
    snprintf(path, sizeof path, "%s/index.db", fixture->dir.path);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    put_many(fixture, 2, 10);
    index_remove(fixture->index, 1);
    index_touch(fixture->index, 5, 1800000000, 55);
    assert_false(index_flush(fixture->index));
    assert_int_equal(fixture->dir.note_count, 1);
    assert_true(was_noted(&fixture->dir, "cannot be written (database is locked)"));
    put_many(fixture, 11, 20);
    assert_false(index_flush(fixture->index));
    assert_int_equal(fixture->dir.note_count, 1); /* one a minute */
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_true(index_flush(fixture->index));
    assert_true(was_noted(&fixture->dir, "can be written again; 0 changes"));
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 19);
    assert_int_equal(fixture->loaded[3].use_count, 55);
}

static void
what_cannot_be_written_by_the_end_is_lost_and_said(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    sqlite3 *other;
    open_index(fixture);
    put(fixture, 1);
    assert_true(index_flush(fixture->index));
    snprintf(path, sizeof path, "%s/index.db", fixture->dir.path);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    put_many(fixture, 2, 10);
    assert_false(close_index(fixture));
    assert_true(was_noted(&fixture->dir, "9 changes could not be written"));
    sqlite3_close(other);
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 1);
}

static void
a_record_that_is_never_taken_does_not_stop_the_others(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    put(fixture, 1);
    assert_true(index_flush(fixture->index));
    sql(fixture, "CREATE TRIGGER no BEFORE INSERT ON entry WHEN NEW.id = 5"
                 " BEGIN SELECT raise(ABORT, 'no'); END");
    put_many(fixture, 2, 10);
    assert_true(index_flush(fixture->index));
    assert_true(was_noted(&fixture->dir, "does not take 1 changes"));
    assert_int_equal(sql(fixture, "SELECT count(*) FROM entry"), 9);
    assert_false(close_index(fixture));
}

/* --- a full disk --- */

static uint64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
a_full_disk_keeps_changes_until_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    rmdir(fixture->dir.path);
    if (!cache_dir_mount(&fixture->dir, "size=8m"))
        skip();
    open_index(fixture);
    put_many(fixture, 1, 100);
    assert_true(index_flush(fixture->index));
    assert_int_not_equal(shell(&fixture->dir, "cat /dev/zero > fill 2>&-"), 0);
    put_many(fixture, 101, 5000);
    assert_false(index_flush(fixture->index));
    assert_true(was_noted(&fixture->dir, "cannot be written (database or disk is full)"));
    assert_int_equal(sql(fixture, "SELECT count(*) FROM entry"), 100);
    assert_shell(&fixture->dir, "rm fill");
    assert_true(index_flush(fixture->index));
    assert_true(was_noted(&fixture->dir, "can be written again"));
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 5000);
}

/* No file may be longer than some bytes: writing fails with EFBIG, in the middle of a transaction.
 */
static void
a_fault_of_the_disk_passes_as_well(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit before, low;
    open_index(fixture);
    put_many(fixture, 1, 100);
    assert_true(index_flush(fixture->index));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = (struct rlimit){200000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    put_many(fixture, 101, 60000);
    bool written = index_flush(fixture->index);
    put_many(fixture, 60001, 60100);
    written |= index_flush(fixture->index);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(written);
    assert_true(was_noted(&fixture->dir, "cannot be written (disk I/O error)"));
    assert_true(index_flush(fixture->index));
    assert_true(was_noted(&fixture->dir, "can be written again"));
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 60100);
}

static void
a_full_queue_drops_but_never_stops_the_caller(void **state)
{
    struct fixture *fixture = *state;
    uint64_t put_count = 2 * CACHE_INDEX_QUEUE_MAX / 200;
    rmdir(fixture->dir.path);
    if (!cache_dir_mount(&fixture->dir, "size=64m"))
        skip();
    open_index(fixture);
    put(fixture, 1);
    assert_true(index_flush(fixture->index));
    assert_int_not_equal(shell(&fixture->dir, "cat /dev/zero > fill 2>&-"), 0);
    put_many(fixture, 2, 5000);
    assert_false(index_flush(fixture->index));
    uint64_t before_ms = now_ms();
    put_many(fixture, 5001, put_count);
    assert_true(now_ms() - before_ms < 2000 + CACHE_INDEX_WAIT_MS);
    assert_shell(&fixture->dir, "rm fill");
    assert_true(index_flush(fixture->index));
    assert_true(was_noted(&fixture->dir, "can be written again; "));
    assert_false(was_noted(&fixture->dir, "again; 0 changes"));
    put(fixture, put_count + 1); /* what comes later is taken */
    assert_true(index_flush(fixture->index));
    assert_false(close_index(fixture));
    open_index(fixture);
    assert_true(fixture->loaded_count > 20000 && fixture->loaded_count < put_count);
    assert_int_equal(index_last_id(fixture->index), put_count + 1);
}

static void
a_full_disk_does_not_keep_the_index_from_opening(void **state)
{
    struct fixture *fixture = *state;
    rmdir(fixture->dir.path);
    if (!cache_dir_mount(&fixture->dir, "size=4m"))
        skip();
    open_index(fixture);
    put_many(fixture, 1, 1000);
    assert_true(close_index(fixture));
    assert_int_not_equal(shell(&fixture->dir, "cat /dev/zero > fill 2>&-"), 0);
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 1000);
    put_many(fixture, 1001, 1010);
    assert_false(index_flush(fixture->index));
    assert_shell(&fixture->dir, "rm fill");
    assert_true(index_flush(fixture->index));
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 1010);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_no_database_is_moved_aside),
        TEST(a_damaged_page_is_found),
        TEST(a_database_that_was_cut_short_is_found),
        TEST(two_damaged_databases_are_kept),
        TEST(the_log_of_a_damaged_database_goes_with_it),
        TEST(a_log_without_its_database_is_not_believed),
        TEST(a_damaged_log_loses_only_what_was_last),
        TEST(a_later_version_is_left_as_it_is),
        TEST(a_database_of_another_program_is_left_as_it_is),
        TEST(what_is_no_regular_file_is_refused),
        TEST(what_cannot_be_written_is_tried_again),
        TEST(what_cannot_be_written_by_the_end_is_lost_and_said),
        TEST(a_record_that_is_never_taken_does_not_stop_the_others),
        TEST(a_full_disk_keeps_changes_until_there_is_room),
        TEST(a_fault_of_the_disk_passes_as_well),
        TEST(a_full_queue_drops_but_never_stops_the_caller),
        TEST(a_full_disk_does_not_keep_the_index_from_opening),
    };
    return cmocka_run_group_tests_name("index, when things go wrong", tests, NULL, NULL);
}
