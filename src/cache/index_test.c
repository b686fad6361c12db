/* The index: what is put comes back, also after being killed; totals; what is loaded is checked;
 * reading beside it. */
#include "cache/index_test_run.h"

#include "base/limits.h"

/* --- entries --- */

static void
a_fresh_index_is_empty_and_for_its_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct cache_totals totals;
    umask(022);
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 0);
    assert_int_equal(index_last_id(fixture->index), 0);
    assert_false(index_was_orderly(fixture->index));
    index_totals(fixture->index, &totals);
    for (unsigned i = 0; i < CACHE_TOTAL_COUNT; i++)
        assert_int_equal(totals.values[i], 0);
    put(fixture, 1);
    assert_true(index_flush(fixture->index));
    assert_int_equal(shell_number(&fixture->dir, "find . -type f -perm 0600 | wc -l"), 3);
    assert_true(close_index(fixture));
    assert_int_equal(shell_number(&fixture->dir, "ls | wc -l"), 1);
    assert_int_equal(fixture->dir.note_count, 0);
}

static void
entries_come_back_in_the_order_of_their_ids(void **state)
{
    struct fixture *fixture = *state;
    char text[URL_TEXT_MAX];
    open_index(fixture);
    for (uint64_t id = 20; id > 0; id--)
        put(fixture, id);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 20);
    assert_true(index_was_orderly(fixture->index));
    assert_int_equal(index_last_id(fixture->index), 20);
    for (unsigned i = 0; i < 20; i++) {
        struct cache_entry expected = make_entry(i + 1, text);
        assert_same_entry(&fixture->loaded[i], &expected);
    }
}

static void
an_entry_at_its_bounds_comes_back(void **state)
{
    struct fixture *fixture = *state;
    char text[URL_TEXT_MAX];
    struct cache_entry least = make_entry(1, text), most = least;
    open_index(fixture);
    least.content_type = least.etag = least.content_coding = (struct str){0};
    least.len = least.ttl_s = least.use_count = 0;
    least.last_modified_s = -1;
    least.created_s = least.last_used_s = 0;
    index_put(fixture->index, &least);
    most.id = INT64_MAX;
    most.url = STR("http://h/\xff%00?q='\"");
    most.etag = STR("W/\"\xc3\xa4'\"\"");
    most.len = INT64_MAX;
    most.ttl_s = most.use_count = UINT32_MAX;
    index_put(fixture->index, &most);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 2);
    assert_same_entry(&fixture->loaded[0], &least);
    assert_same_entry(&fixture->loaded[1], &most);
    assert_int_equal(index_last_id(fixture->index), INT64_MAX);
}

static void
a_second_put_renews_and_time_does_not_go_back(void **state)
{
    struct fixture *fixture = *state;
    char text[URL_TEXT_MAX];
    struct cache_entry entry = make_entry(5, text);
    open_index(fixture);
    index_put(fixture->index, &entry);
    entry.content_type = STR("text/plain");
    entry.etag = STR("\"new\"");
    entry.content_coding = STR("");
    entry.created_s += 1000;
    entry.last_modified_s += 7;
    entry.ttl_s = 60;
    struct cache_entry expected = entry;
    entry.last_used_s -= 50;
    entry.use_count -= 1;
    index_put(fixture->index, &entry);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 1);
    assert_same_entry(&fixture->loaded[0], &expected);
}

static void
another_id_with_the_same_url_replaces(void **state)
{
    struct fixture *fixture = *state;
    char text[URL_TEXT_MAX];
    open_index(fixture);
    put_many(fixture, 1, 3);
    struct cache_entry entry = make_entry(2, text);
    entry.id = 10;
    index_put(fixture->index, &entry);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 3);
    assert_int_equal(fixture->loaded[0].id, 1);
    assert_int_equal(fixture->loaded[1].id, 3);
    assert_same_entry(&fixture->loaded[2], &entry);
    /* the other way round in one batch: the later put counts */
    entry.id = 9;
    index_put(fixture->index, &entry);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 3);
    assert_int_equal(fixture->loaded[2].id, 9);
}

static void
what_was_removed_stays_away_and_its_id_used(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    put_many(fixture, 1, 9);
    index_remove(fixture->index, 9);
    index_remove(fixture->index, 4);
    index_remove(fixture->index, 77); /* never there */
    put(fixture, 4);
    index_remove(fixture->index, 4);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 7);
    assert_int_equal(index_last_id(fixture->index), 9);
    reopen_index(fixture);
    assert_int_equal(index_last_id(fixture->index), 9);
}

static void
touches_are_kept_and_do_not_go_back(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    put_many(fixture, 1, 3);
    index_touch(fixture->index, 1, 1780000000, 300);
    index_touch(fixture->index, 1, 1800000000, 500);
    index_touch(fixture->index, 1, 1790000000, 400);
    index_touch(fixture->index, 2, 5, 5);
    index_touch(fixture->index, 99, 1800000000, 1);
    assert_true(index_flush(fixture->index));
    index_touch(fixture->index, 3, 1800000001, 7);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 3);
    assert_int_equal(fixture->loaded[0].last_used_s, 1800000000);
    assert_int_equal(fixture->loaded[0].use_count, 500);
    assert_int_equal(fixture->loaded[1].last_used_s, 1710000002);
    assert_int_equal(fixture->loaded[1].use_count, 5);
    assert_int_equal(fixture->loaded[2].last_used_s, 1800000001);
    assert_int_equal(fixture->loaded[2].use_count, 7);
}

static void
touches_wait_for_each_other_and_puts_do_not(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    put(fixture, 1);
    assert_true(index_flush(fixture->index));
    index_touch(fixture->index, 1, 1800000000, 500);
    put(fixture, 2);
    for (unsigned i = 0; i < 200 && sql(fixture, "SELECT count(*) FROM entry") < 2; i++)
        usleep(10000);
    assert_int_equal(sql(fixture, "SELECT count(*) FROM entry"), 2);
    assert_int_equal(sql(fixture, "SELECT uses FROM entry WHERE id = 1"), 1);
    for (unsigned i = 0; i < CACHE_INDEX_TOUCH_MS / 50 + 40 &&
                         sql(fixture, "SELECT uses FROM entry WHERE id = 1") < 500;
         i++)
        usleep(50000);
    assert_int_equal(sql(fixture, "SELECT uses FROM entry WHERE id = 1"), 500);
}

static void
very_many_touches_are_written_at_once(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    for (uint64_t id = 1; id <= 40000; id++)
        put(fixture, id);
    assert_true(index_flush(fixture->index));
    for (uint64_t id = 1; id <= 40000; id++)
        index_touch(fixture->index, id, 1800000000, 1000);
    for (unsigned i = 0;
         i < 200 && sql(fixture, "SELECT count(*) FROM entry WHERE uses = 1000") < 30000; i++)
        usleep(10000);
    assert_true(sql(fixture, "SELECT count(*) FROM entry WHERE uses = 1000") >= 30000);
    assert_true(index_flush(fixture->index));
    assert_int_equal(sql(fixture, "SELECT count(*) FROM entry WHERE uses = 1000"), 40000);
}

static void
what_was_flushed_outlives_a_kill(void **state)
{
    struct fixture *fixture = *state;
    int status;
    pid_t child = fork_child();
    if (child == 0) {
        struct cache_totals totals = {{1, 2, 3, 4, 5, 6}};
        open_index(fixture);
        put_many(fixture, 1, 1000);
        index_remove(fixture->index, 500);
        index_add_totals(fixture->index, 1700000000, &totals);
        index_flush(fixture->index);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 999);
    assert_int_equal(index_last_id(fixture->index), 1000);
    struct cache_totals totals;
    index_totals(fixture->index, &totals);
    assert_int_equal(totals.values[CACHE_TOTAL_HITS], 6);
    assert_int_equal(fixture->dir.note_count, 0);
}

/* --- totals --- */

static void
totals_add_up_over_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct cache_totals totals = {{0}}, added = {{0}};
    open_index(fixture);
    added.values[CACHE_TOTAL_DOWNLOAD] = 1000;
    added.values[CACHE_TOTAL_HITS] = 3;
    index_add_totals(fixture->index, 1700000000, &added);
    index_add_totals(fixture->index, 1700000000 + 86400, &added);
    reopen_index(fixture);
    index_add_totals(fixture->index, -5, &added);
    reopen_index(fixture);
    index_totals(fixture->index, &totals);
    assert_int_equal(totals.values[CACHE_TOTAL_DOWNLOAD], 3000);
    assert_int_equal(totals.values[CACHE_TOTAL_HITS], 9);
    assert_int_equal(totals.values[CACHE_TOTAL_FAILURES], 0);
}

static void
totals_stop_at_their_largest(void **state)
{
    struct fixture *fixture = *state;
    struct cache_totals totals, added = {{UINT64_MAX, INT64_MAX, 1}};
    open_index(fixture);
    for (unsigned i = 0; i < 3; i++) {
        index_add_totals(fixture->index, 1700000000, &added);
        reopen_index(fixture);
    }
    index_totals(fixture->index, &totals);
    assert_int_equal(totals.values[0], INT64_MAX);
    assert_int_equal(totals.values[1], INT64_MAX);
    assert_int_equal(totals.values[2], 3);
    assert_int_equal(fixture->dir.note_count, 0);
}

static void
old_hours_and_days_are_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct cache_totals added = {{1}};
    open_index(fixture);
    for (int64_t day = 0; day < 500; day++) {
        index_add_totals(fixture->index, 1700000000 + day * 86400, &added);
        if (day % 40 == 0)
            assert_true(index_flush(fixture->index));
    }
    reopen_index(fixture);
    assert_int_equal(sql(fixture, "SELECT count(*) FROM total WHERE period = 3600"), 14);
    assert_int_equal(sql(fixture, "SELECT count(*) FROM total WHERE period = 86400"), 400);
    assert_int_equal(sql(fixture, "SELECT value FROM total WHERE period = 0"), 500);
}

/* --- what is loaded --- */

static void
rows_that_make_no_sense_are_dropped(void **state)
{
    static const char *const changes[] = {
        "len = -1",
        "sha256 = x'00'",
        "sha256 = zeroblob(33)",
        "url = 'ftp://h/'",
        "url = ''",
        "url = 'http://h/' || char(10)",
        "url = 'http://h/ x'",
        "url = 'http://h/' || hex(zeroblob(4100))",
        "content_type = 'text/html' || char(13, 10) || 'Set-Cookie: a'",
        "etag = char(0)",
        "etag = hex(zeroblob(300))",
        "content_coding = hex(zeroblob(20))",
        "last_modified = -2",
        "created = -1",
        "created = 4294967296",
        "last_used = 9223372036854775807",
        "ttl = 4294967296",
        "uses = -1",
        "id = -5",
        "id = 0",
    };
    enum { COUNT = sizeof changes / sizeof *changes };
    struct fixture *fixture = *state;
    char text[256], expected[64];
    open_index(fixture);
    put_many(fixture, 1, COUNT + 2);
    assert_true(close_index(fixture));
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "UPDATE entry SET %s WHERE id = %u", changes[i], i + 2);
        sql(fixture, text);
    }
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 2);
    assert_int_equal(fixture->loaded[0].id, 1);
    assert_int_equal(fixture->loaded[1].id, COUNT + 2);
    assert_false(index_was_orderly(fixture->index));
    assert_int_equal(fixture->dir.note_count, 1);
    snprintf(expected, sizeof expected, "%d entries that make no sense", COUNT);
    assert_true(was_noted(&fixture->dir, expected));
    reopen_index(fixture); /* they are gone for good */
    assert_true(index_was_orderly(fixture->index));
    assert_int_equal(fixture->dir.note_count, 1);
    assert_int_equal(index_last_id(fixture->index), COUNT + 2);
}

static void
an_entry_that_is_refused_leaves_the_database(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    put_many(fixture, 1, 3);
    assert_true(close_index(fixture));
    fixture->refused_id = 2;
    open_index(fixture);
    assert_false(index_was_orderly(fixture->index));
    fixture->refused_id = 0;
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, 2);
    assert_true(index_was_orderly(fixture->index));
}

static void
opening_fails_when_the_entries_find_no_room(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    put_many(fixture, 1, 3);
    assert_true(close_index(fixture));
    fixture->fails = true;
    assert_int_equal(try_open(fixture), -1);
    assert_int_equal(fixture->loaded_count, 1);
    assert_non_null(strstr(fixture->dir.error.text, "no memory"));
    fixture->fails = false;
    open_index(fixture);
    assert_int_equal(fixture->loaded_count, 3);
}

/* --- from many threads --- */

enum { THREADS = 4, PUTS = 3000 };

struct putter {
    pthread_t thread;
    struct fixture *fixture;
    uint64_t from;
};

static void *
run_putter(void *arg)
{
    const struct putter *putter = arg;
    const struct cache_totals added = {{1, 1, 1, 1, 1, 1}};
    for (uint64_t id = putter->from; id < putter->from + PUTS; id++) {
        put(putter->fixture, id);
        index_touch(putter->fixture->index, id, 1800000000, 77);
        index_add_totals(putter->fixture->index, 1700000000, &added);
        if (id % 3 == 0)
            index_remove(putter->fixture->index, id);
        if (id % 1000 == 0)
            assert_true(index_flush(putter->fixture->index));
    }
    return NULL;
}

static void
many_threads_put_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    struct putter putters[THREADS];
    struct cache_totals totals;
    open_index(fixture);
    for (unsigned i = 0; i < THREADS; i++) {
        putters[i] = (struct putter){.fixture = fixture, .from = 1 + i * PUTS};
        assert_int_equal(pthread_create(&putters[i].thread, NULL, run_putter, &putters[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(putters[i].thread, NULL);
    reopen_index(fixture);
    assert_int_equal(fixture->loaded_count, THREADS * PUTS * 2 / 3);
    assert_int_equal(fixture->loaded[0].use_count, 77);
    index_totals(fixture->index, &totals);
    assert_int_equal(totals.values[0], THREADS * PUTS);
}

/* --- beside it --- */

struct seen {
    uint64_t count, last_id, stop_at;
};

static int
see(void *arg, const struct cache_entry *entry)
{
    struct seen *seen = arg;
    char text[URL_TEXT_MAX];
    struct cache_entry expected = make_entry(entry->id, text);
    assert_same_entry(entry, &expected);
    assert_true(entry->id > seen->last_id);
    seen->last_id = entry->id;
    seen->count++;
    return seen->count == seen->stop_at;
}

static uint64_t
list(struct fixture *fixture, uint64_t stop_at, struct cache_totals *totals)
{
    struct seen seen = {.stop_at = stop_at};
    if (index_read_only(fixture->dir.path, see, &seen, totals, &fixture->dir.error) < 0)
        fail_msg("%s", fixture->dir.error.text);
    return seen.count;
}

static void
a_reader_lists_a_running_cache_and_one_that_ended(void **state)
{
    struct fixture *fixture = *state;
    struct cache_totals totals, added = {{5}};
    open_index(fixture);
    put_many(fixture, 1, 2500);
    index_add_totals(fixture->index, 1700000000, &added);
    assert_true(index_flush(fixture->index));
    assert_int_equal(list(fixture, 0, &totals), 2500);
    assert_int_equal(totals.values[0], 5);
    assert_int_equal(list(fixture, 1500, NULL), 1500);
    assert_true(close_index(fixture));
    assert_int_equal(list(fixture, 0, &totals), 2500);
    open_index(fixture);
    assert_true(index_was_orderly(fixture->index));
}

static void
a_reader_lists_a_cache_that_was_killed(void **state)
{
    struct fixture *fixture = *state;
    pid_t child = fork_child();
    if (child == 0) {
        open_index(fixture);
        put_many(fixture, 1, 1000);
        index_flush(fixture->index);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
    assert_shell(&fixture->dir, "test -s index.db-wal && md5sum index.db index.db-wal > ../sums");
    assert_int_equal(list(fixture, 0, NULL), 1000);
    assert_shell(&fixture->dir, "md5sum -c --quiet ../sums");
}

/* While it has the first entry, the writer goes on and even empties its log. */
static int
see_slowly(void *arg, const struct cache_entry *entry)
{
    struct fixture *fixture = arg;
    if (entry->id > 1)
        return 0;
    put_many(fixture, 3001, 4000);
    assert_true(index_flush(fixture->index));
    assert_int_equal(sql(fixture, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    return 0;
}

static void
a_slow_reader_does_not_hold_up_the_writer(void **state)
{
    struct fixture *fixture = *state;
    open_index(fixture);
    put_many(fixture, 1, 3000);
    assert_true(index_flush(fixture->index));
    assert_int_equal(
        index_read_only(fixture->dir.path, see_slowly, fixture, NULL, &fixture->dir.error), 0);
    assert_shell(&fixture->dir, "test ! -s index.db-wal");
    assert_int_equal(list(fixture, 0, NULL), 4000);
}

static void
a_reader_of_a_read_only_file_system_needs_no_lock(void **state)
{
    struct fixture *fixture = *state;
    struct stat info;
    rmdir(fixture->dir.path);
    strcat(fixture->dir.path, "?#%41");
    if (!cache_dir_mount(&fixture->dir, "size=4m"))
        skip();
    open_index(fixture);
    put_many(fixture, 1, 10);
    assert_true(close_index(fixture));
    assert_int_equal(mount(NULL, fixture->dir.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_int_equal(list(fixture, 0, NULL), 10);
    assert_int_equal(stat(fixture->dir.path, &info), 0);
}

static void
a_reader_says_when_there_is_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0};
    assert_int_equal(index_read_only(fixture->dir.path, see, &seen, NULL, &fixture->dir.error), -1);
    assert_non_null(strstr(fixture->dir.error.text, "No such file or directory"));
    assert_shell(&fixture->dir, "touch index.db");
    assert_int_equal(index_read_only(fixture->dir.path, see, &seen, NULL, &fixture->dir.error), -1);
    assert_non_null(strstr(fixture->dir.error.text, "is empty"));
    assert_shell(&fixture->dir, "echo this is no database > index.db");
    assert_int_equal(index_read_only(fixture->dir.path, see, &seen, NULL, &fixture->dir.error), -1);
    assert_non_null(strstr(fixture->dir.error.text, "not a database"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_dir, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fresh_index_is_empty_and_for_its_owner_alone),
        TEST(entries_come_back_in_the_order_of_their_ids),
        TEST(an_entry_at_its_bounds_comes_back),
        TEST(a_second_put_renews_and_time_does_not_go_back),
        TEST(another_id_with_the_same_url_replaces),
        TEST(what_was_removed_stays_away_and_its_id_used),
        TEST(touches_are_kept_and_do_not_go_back),
        TEST(touches_wait_for_each_other_and_puts_do_not),
        TEST(very_many_touches_are_written_at_once),
        TEST(what_was_flushed_outlives_a_kill),
        TEST(totals_add_up_over_restarts),
        TEST(totals_stop_at_their_largest),
        TEST(old_hours_and_days_are_forgotten),
        TEST(rows_that_make_no_sense_are_dropped),
        TEST(an_entry_that_is_refused_leaves_the_database),
        TEST(opening_fails_when_the_entries_find_no_room),
        TEST(many_threads_put_at_a_time),
        TEST(a_reader_lists_a_running_cache_and_one_that_ended),
        TEST(a_reader_lists_a_cache_that_was_killed),
        TEST(a_slow_reader_does_not_hold_up_the_writer),
        TEST(a_reader_of_a_read_only_file_system_needs_no_lock),
        TEST(a_reader_says_when_there_is_nothing),
    };
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
