/* The fetcher: the line, what it does by itself once a second, what is dropped under its hands, and
 * its end, whatever is under way. */
#include "cache/fetcher_test_run.h"

#define V1 "ETag: \"v1\"\r\n"

static void
path_of(char prefix, unsigned i, char out[static 16])
{
    snprintf(out, 16, "/%c%u", prefix, i % 1000);
}

static enum flight_state
state_of(const struct asked *asked)
{
    struct flight_view view;
    flight_look(asked->flight, &view);
    object_unref(view.object);
    return view.state;
}

/* --- the line --- */

static void
so_many_at_once_and_no_more(void **state)
{
    enum { COUNT = 6 };
    struct rig *rig = *state;
    struct asked asked[COUNT];
    struct table_stats stats;
    rig->config.max_downloads = 2;
    script(&rig->fake, {.text = OK("2", "", "x")}, {.text = OK("2", "", "x")},
           {.text = EMPTY("404 Not Found")}, {.text = OK("1", "", "3")}, {.text = OK("1", "", "4")},
           {.text = OK("1", "", "5")});
    for (unsigned i = 0; i < COUNT; i++) {
        char path[16];
        path_of('a', i, path);
        ask(&asked[i], rig, path);
        if (i < 2)
            wait_shown(&asked[i], 1);
    }
    rig_run_for(rig, 30);
    assert_int_equal(rig->fake.request_count, 2);
    for (unsigned i = 2; i < COUNT; i++)
        assert_int_equal(state_of(&asked[i]), FLIGHT_QUEUED);
    table_stats(rig->table, &stats);
    assert_int_equal(stats.queued_count, COUNT - 2);
    assert_int_equal(stats.running_count, 2);
    fake_forget(&rig->fake);
    fake_say(&rig->fake, "y", 1); /* one place, in which the others follow each other */
    assert_whole(&asked[1], "xy");
    assert_failed(&asked[2], 404, "");
    assert_whole(&asked[3], "3");
    assert_whole(&asked[4], "4");
    assert_whole(&asked[5], "5");
    assert_int_equal(state_of(&asked[0]), FLIGHT_ANSWERED);
    size_t last = 0;
    for (unsigned i = 2; i < COUNT; i++) { /* in the order in which they came */
        char text[32];
        struct str seen = buf_str(&rig->fake.seen);
        snprintf(text, sizeof text, "GET /a%u ", i);
        size_t at = str_find(seen, str_from_cstr(text));
        assert_true(at < seen.len && at >= last);
        last = at;
    }
    for (unsigned i = 0; i < COUNT; i++)
        asked_end(&asked[i]);
}

/* A pause holds a place: or else there could be any number of half downloads. */
static void
who_pauses_keeps_the_place(void **state)
{
    struct rig *rig = *state;
    struct asked first, second;
    rig->config.max_downloads = 1;
    rig->config.retry_ns = 5000 * MS;
    rig->config.backoff_ms = 50;
    script(&rig->fake, {.text = EMPTY("503 x")}, {.text = OK("1", "", "1")},
           {.text = OK("1", "", "2")});
    ask(&first, rig, "/a");
    ask(&second, rig, "/b");
    wait_requests(rig, 1);
    assert_int_equal(state_of(&second), FLIGHT_QUEUED);
    assert_whole(&first, "1");
    assert_whole(&second, "2");
    asked_end(&first);
    asked_end(&second);
}

static void
ids_never_come_twice(void **state)
{
    struct rig *rig = *state;
    struct table_found found;
    struct asked asked;
    char url[256];
    uint64_t last = 0;
    script(&rig->fake, {.text = OK("1", "", "x")}, {.text = OK("2", "", "x"), .end = FAKE_CLOSES},
           {.text = OK("1", "", "x")}, {.text = OK("1", "", "x")});
    for (unsigned i = 0; i < 4; i++) {
        char path[16];
        path_of('a', i, path);
        ask(&asked, rig, path);
        wait_over(&asked);
        asked_end(&asked);
        url_of(rig, path, url);
        if (i == 1) { /* came to nothing, and the process ends */
            rig_stop(rig);
            assert_true(rig_start(rig));
            continue;
        }
        assert_true(table_find(rig->table, str_from_cstr(url), &found));
        object_unref(found.object);
        assert_true(found.entry.id > last + (i == 2));
        last = found.entry.id;
    }
}

/* --- once a second --- */

struct figures {
    const struct rig *rig;
    uint64_t entries, failed, used;
};

static bool
figures_are(void *arg)
{
    const struct figures *figures = arg;
    struct table_stats stats;
    table_stats(figures->rig->table, &stats);
    return stats.entry_count == figures->entries && stats.failed_count == figures->failed &&
           stats.used == figures->used;
}

/* Above the mark the oldest go, though all of them fit; failures are forgotten. */
static void
it_cleans_up_by_itself(void **state)
{
    struct rig *rig = *state;
    struct figures figures = {rig, 3, 0, 75};
    struct asked asked;
    rig->table_config.quota = 100;
    rig->config.negative_ttl_s = 1;
    script(&rig->fake, {.text = EMPTY("404 x")}, {.text = OK("25", "", ""), .pattern_len = 25});
    rig->fake.repeats = true;
    ask(&asked, rig, "/none");
    assert_failed(&asked, 404, "");
    asked_end(&asked);
    for (unsigned i = 0; i < 4; i++) {
        char path[16];
        path_of('a', i, path);
        ask(&asked, rig, path);
        assert_whole_pattern(&asked, 25);
        asked_end(&asked);
    }
    rig_wait(rig, figures_are, &figures);
    assert_false(is_kept(rig, "/a0"));
    assert_count(rig, evicted, 1);
    assert_count(rig, refused_full, 0);
}

/* Not before they could have stood in for a failure. */
static void
what_is_too_old_for_anybody_goes(void **state)
{
    struct rig *rig = *state;
    struct figures figures = {rig, 0, 0, 0};
    rig->config.stale_if_error_s = 100;
    script(&rig->fake, {.text = OK("1", "", "x")});
    fetch(rig, "/a", "x");
    rig_stop(rig);
    rig->age_s = ASK_TTL_S + 90;
    assert_true(rig_start(rig));
    rig_run_for(rig, SECOND_MS + 200);
    assert_true(is_kept(rig, "/a"));
    rig_stop(rig);
    rig->age_s = ASK_TTL_S + 110;
    assert_true(rig_start(rig));
    rig_wait(rig, figures_are, &figures);
    assert_count(rig, evicted, 1);
}

static bool
has_failed(void *arg)
{
    struct flight_view view;
    flight_look(arg, &view);
    object_unref(view.object);
    return view.state == FLIGHT_FAILED;
}

/* But one that was not left for long enough, or to which somebody has come back, goes on; also when
 * it is left after the clock was read. */
static void
what_nobody_waits_for_is_given_up(void **state)
{
    struct rig *rig = *state;
    struct asked left, waited, back, later;
    struct cache_flight *flight;
    rig->config.abandon_after_ns = 300 * MS;
    script(&rig->fake, {.text = OK("5", "", "hell")});
    rig->fake.repeats = true;
    ask(&left, rig, "/a");
    ask(&waited, rig, "/b");
    ask(&back, rig, "/c");
    wait_shown(&left, 4);
    wait_shown(&waited, 4);
    wait_shown(&back, 4);
    ask(&later, rig, "/d");
    wait_shown(&later, 4);
    flight_leave(later.flight, loop_clock_ns() + 10000 * MS);
    flight = flight_ref(left.flight);
    asked_end(&left);
    flight_leave(back.flight, loop_clock_ns());
    flight_join(back.flight);
    struct flight_view view;
    assert_true(rig_runs_until(rig, has_failed, flight, RIG_PATIENCE_MS));
    flight_look(flight, &view);
    object_unref(view.object);
    assert_int_equal(view.status, 503);
    assert_used(rig, 15);
    assert_false(flight->in_table); /* who asks now makes another one */
    flight_unref(flight);
    rig_run_for(rig, SECOND_MS + 100);
    assert_int_equal(state_of(&waited), FLIGHT_ANSWERED);
    assert_int_equal(state_of(&back), FLIGHT_ANSWERED);
    assert_int_equal(state_of(&later), FLIGHT_ANSWERED);
    flight_join(later.flight);
    asked_end(&later);
    asked_end(&waited);
    asked_end(&back);
}

/* Unless told otherwise. */
static void
what_nobody_waits_for_goes_on(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    struct figures figures = {rig, 1, 0, 5};
    script(&rig->fake, {.text = OK("5", "", "hell")});
    ask(&asked, rig, "/a");
    wait_shown(&asked, 4);
    asked_end(&asked);
    rig_run_for(rig, SECOND_MS + 100);
    fake_say(&rig->fake, "o", 1);
    rig_wait(rig, figures_are, &figures);
    assert_kept(rig, "/a", "hello");
}

/* --- what the index learns --- */

struct rows {
    struct cache_totals totals;
    unsigned count;
    struct {
        char url[256];
        uint32_t use_count;
    } row[8];
};

static int
take_row(void *arg, const struct cache_entry *entry)
{
    struct rows *rows = arg;
    assert_true(rows->count < 8);
    snprintf(rows->row[rows->count].url, 256, "%.*s", STR_ARG(entry->url));
    rows->row[rows->count++].use_count = entry->use_count;
    return 0;
}

static void
read_rows(struct rig *rig, struct rows *rows)
{
    struct error error;
    memset(rows, 0, sizeof *rows);
    if (index_read_only(rig->index_dir, take_row, rows, &rows->totals, &error) != 0)
        fail_msg("%s", error.text);
}

static uint32_t
uses_of(const struct rows *rows, struct rig *rig, const char *path)
{
    char url[256];
    url_of(rig, path, url);
    for (unsigned i = 0; i < rows->count; i++)
        if (strcmp(rows->row[i].url, url) == 0)
            return rows->row[i].use_count;
    fail_msg("no row of %s", url);
    return 0;
}

/* Also of entries that were used before others came, or were renewed. */
static void
uses_reach_the_index(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    struct rows rows;
    script(&rig->fake, {.text = OK("1", V1, "x")}, {.text = OK("1", V1, "x")},
           {.text = HEAD("304 Not Modified", V1)}, {.text = OK("1", V1, "x")});
    fetch(rig, "/a", "x");
    fetch(rig, "/b", "x");
    assert_kept(rig, "/a", "x");
    assert_kept(rig, "/a", "x");
    ask_late(&asked, rig, "/b");
    assert_whole(&asked, "x");
    asked_end(&asked);
    fetch(rig, "/c", "x");
    rig_stop(rig);
    read_rows(rig, &rows);
    assert_int_equal(rows.count, 3);
    assert_int_equal(uses_of(&rows, rig, "/a"), 3);
    assert_int_equal(uses_of(&rows, rig, "/b"), 2);
    assert_int_equal(uses_of(&rows, rig, "/c"), 1);
}

/* Once each, though they are handed over again and again. */
static void
totals_reach_the_index(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    struct rows rows;
    script(&rig->fake, {.text = OK("5", "", "hello")}, {.text = EMPTY("404 x")});
    __atomic_store_n(&rig->totals.values[CACHE_TOTAL_REQUESTS], 3, __ATOMIC_RELAXED);
    fetch(rig, "/a", "hello");
    rig_run_for(rig, SECOND_MS + 200); /* the first second hands them over */
    ask(&asked, rig, "/b");
    assert_failed(&asked, 404, "");
    asked_end(&asked);
    __atomic_store_n(&rig->totals.values[CACHE_TOTAL_REQUESTS], 5, __ATOMIC_RELAXED);
    rig_stop(rig);
    read_rows(rig, &rows);
    assert_int_equal(rows.totals.values[CACHE_TOTAL_SUCCESSES], 1);
    assert_int_equal(rows.totals.values[CACHE_TOTAL_FAILURES], 1);
    assert_int_equal(rows.totals.values[CACHE_TOTAL_DOWNLOAD], 5);
    assert_int_equal(rows.totals.values[CACHE_TOTAL_REQUESTS], 5);
    assert_int_equal(rows.totals.values[CACHE_TOTAL_UPLOAD], 0);
}

/* --- dropping --- */

static void
what_is_dropped_while_it_is_read_stays_until_then(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    script(&rig->fake, {.text = OK("5", "", "hello")});
    fetch(rig, "/a", "hello");
    ask(&asked, rig, "/a");
    assert_int_equal(
        fetcher_drop(rig->fetcher, table_pick_url(rig->table, str_from_cstr(asked.url), 0)), 1);
    assert_int_equal(shell_number(&rig->dir, FILES " | wc -l"), 0);
    assert_int_equal(rig_used(rig), 5);
    assert_whole(&asked, "hello");
    asked_end(&asked);
    assert_int_equal(rig_used(rig), 0);
    assert_int_equal(fetcher_drop(rig->fetcher, NULL), 0);
}

struct dropper {
    struct rig *rig;
    unsigned first;
    bool stop;
};

enum { SOME_URLS = 12 };

/* A worker that reads and purges, as they do. */
static void *
dropper_run(void *arg)
{
    struct dropper *dropper = arg;
    struct rig *rig = dropper->rig;
    for (unsigned i = dropper->first; !__atomic_load_n(&dropper->stop, __ATOMIC_RELAXED); i++) {
        char url[256], path[16];
        path_of('a', i % SOME_URLS, path);
        url_of(rig, path, url);
        if (i % 3) {
            fetcher_drop(rig->fetcher, table_pick_url(rig->table, str_from_cstr(url), 0));
        } else {
            struct asked asked;
            ask_url(&asked, rig, url, 0, NULL);
            sched_yield();
            asked_look(&asked);
            asked_end(&asked);
        }
        usleep(200);
    }
    return NULL;
}

/* Several threads ask, leave, read and purge, in a cache that has not room for all of it. */
static void
much_at_once(void **state)
{
    struct rig *rig = *state;
    struct dropper droppers[3];
    pthread_t threads[3];
    struct figures figures = {rig, 0, 0, 0};
    rig->table_config = (struct table_config){.quota = 250, .clean_percent = 80, .open_max = 3};
    rig->config.negative_ttl_s = 0;
    script(&rig->fake, {.text = OK("40", V1, ""), .pattern_len = 40},
           {.text = OK("40", V1, ""), .pattern_len = 40},
           {.text = HEAD("200 OK", ""), .pattern_len = 40, .end = FAKE_CLOSES},
           {.text = EMPTY("404 x")}, {.text = OK("40", V1, "x"), .end = FAKE_CLOSES},
           {.text = OK("40", V1, "x"), .end = FAKE_RESETS},
           {.text = OK("50", V1, ""), .pattern_len = 50});
    unsigned answer_count = rig->fake.answer_count;
    assert_true(rig_start(rig));
    for (unsigned i = 0; i < 3; i++) {
        droppers[i] = (struct dropper){rig, i * 5, false};
        assert_int_equal(pthread_create(&threads[i], NULL, dropper_run, &droppers[i]), 0);
    }
    for (uint64_t until_ms = now_ms() + 1500; now_ms() < until_ms;) {
        fake_pump(&rig->fake);
        if (rig->fake.answered == answer_count)
            rig->fake.answered = 0;
        assert_true(rig_used(rig) <= rig->table_config.quota);
    }
    for (unsigned i = 0; i < 3; i++)
        __atomic_store_n(&droppers[i].stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    rig->fake.repeats = true;
    for (;;) { /* what is under way comes to an end */
        struct table_stats stats;
        rig_runs_until(rig, never, NULL, 20);
        table_stats(rig->table, &stats);
        if (stats.queued_count + stats.running_count == 0)
            break;
    }
    for (unsigned i = 0; i < SOME_URLS; i++) {
        char url[256], path[16];
        path_of('a', i, path);
        url_of(rig, path, url);
        fetcher_drop(rig->fetcher, table_pick_url(rig->table, str_from_cstr(url), 0));
    }
    rig_wait(rig, figures_are, &figures);
    assert_true(rig_count(rig, successes) > 0 && rig_count(rig, failures) > 0);
}

/* --- the end --- */

static const struct dns_host silent_hosts[] = {{.name = "silent.test", .manner = DNS_SILENT}};

/* Of downloads in every state at once. */
static void
it_ends_whatever_is_under_way(void **state)
{
    enum { COUNT = 9 };
    static const char *const paths[COUNT] = {
        "/asked", "/head", "/growing",  "/unknown", "/older",
        "/pause", "/part", "/redirect", "/queued",
    };
    static const struct fake_answer answers[] = {
        {.text = ""},
        {.text = "HTTP/1.1 200 OK\r\nContent-Le"},
        {.text = OK("5", V1, "hell")},
        {.text = HEAD("200 OK", "") "hell"},
        {.text = ""},
        {.text = EMPTY("503 x")},
        {.text = OK("7", V1, "hell"), .end = FAKE_CLOSES},
        {.text = REDIRECT("302 Found", "http://silent.test/")},
    };
    struct rig *rig = *state;
    struct asked asked[COUNT], name;
    struct dns_server names;
    struct error error;
    dns_server_start(&names, silent_hosts, 1);
    const struct resolver_config resolver = {.dns = names.config};
    resolver_free(rig->resolver);
    assert_int_equal(resolver_new(&rig->resolver, &resolver, &error), 0);
    rig->config.resolver = rig->resolver;
    rig->config.max_downloads = COUNT;
    rig->config.retry_ns = 60000 * MS;
    rig->config.backoff_ms = 20000;
    script(&rig->fake, {.text = OK("3", V1, "old")});
    fetch(rig, "/older", "old");
    fake_forget(&rig->fake);
    ask_url(&name, rig, "http://silent.test/", 0, NULL);
    rig->fake.answers = answers;
    rig->fake.answer_count = COUNT - 1;
    rig->fake.answered = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        if (i == 4)
            ask_late(&asked[i], rig, paths[i]);
        else
            ask(&asked[i], rig, paths[i]);
        assert_true(asked[i].is_new);
        if (i < COUNT - 1)
            wait_requests(rig, i + 1);
        if (i == 2 || i == 3 || i == 6)
            wait_shown(&asked[i], 4);
    }
    rig_run_for(rig, 50);
    assert_count(rig, retried, 2);
    assert_int_equal(state_of(&asked[COUNT - 1]), FLIGHT_QUEUED);
    fetcher_stop(rig->fetcher);
    for (unsigned i = 0; i < COUNT; i++) {
        asked_look(&asked[i]);
        assert_int_equal(asked[i].view.state, FLIGHT_FAILED);
        assert_int_equal(asked[i].view.status, 503);
        assert_string_equal(asked[i].view.reason, "the cache is shutting down");
        assert_false(asked[i].flight->in_table);
        if (asked[i].object)
            assert_int_equal(object_state(asked[i].object), OBJECT_BROKEN);
    }
    assert_int_equal(state_of(&name), FLIGHT_FAILED);
    assert_int_equal(rig_used(rig), 5 + 1048576 + 7 + 3); /* while they are read */
    for (unsigned i = 0; i < COUNT; i++)
        asked_end(&asked[i]);
    asked_end(&name);
    assert_int_equal(rig_used(rig), 3);
    /* what rig_stop looks at besides */
    if (fetcher_start(&rig->fetcher, &rig->config, rig_totals, rig, &error) != 0)
        fail_msg("%s", error.text);
    rig_stop(rig);
    dns_server_stop(&names);
}

static void
nothing_is_under_way(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < 20; i++) {
        assert_true(rig_start(rig));
        rig_stop(rig);
    }
}

/* An older one stands in at the end, too. */
static void
an_older_one_stands_in_at_the_end(void **state)
{
    struct rig *rig = *state;
    struct asked asked;
    rig->config.stale_if_error_s = 100;
    script(&rig->fake, {.text = OK("3", V1, "old")}, {.text = ""});
    fetch(rig, "/a", "old");
    ask_late(&asked, rig, "/a");
    wait_requests(rig, 2);
    struct fetcher *fetcher = rig->fetcher;
    fetcher_stop(fetcher);
    asked_look(&asked);
    assert_int_equal(asked.view.source, FLIGHT_STALE);
    assert_whole(&asked, "old");
    asked_end(&asked);
    struct error error;
    if (fetcher_start(&rig->fetcher, &rig->config, rig_totals, rig, &error) != 0)
        fail_msg("%s", error.text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(so_many_at_once_and_no_more),
        rig_test(who_pauses_keeps_the_place),
        rig_test(ids_never_come_twice),
        rig_test(it_cleans_up_by_itself),
        rig_test(what_is_too_old_for_anybody_goes),
        rig_test(what_nobody_waits_for_is_given_up),
        rig_test(what_nobody_waits_for_goes_on),
        rig_test(uses_reach_the_index),
        rig_test(totals_reach_the_index),
        rig_test(what_is_dropped_while_it_is_read_stays_until_then),
        rig_test(much_at_once),
        rig_test(it_ends_whatever_is_under_way),
        rig_test(nothing_is_under_way),
        rig_test(an_older_one_stands_in_at_the_end),
    };
    return cmocka_run_group_tests_name("fetcher", tests, NULL, NULL);
}
