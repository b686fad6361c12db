/* Questions to the index: lists, their order, search and pages; hours and days; asking, cancelling
 * and loops that go away. */
#include "cache/index_test_run.h"

#include "base/limits.h"
#include "io/loop.h"

enum { KEPT_MAX = 32 };

/* A copy of an answer. */
struct answer {
    unsigned call_count;
    bool failed;
    uint64_t match_count, match_len;
    unsigned count;
    uint64_t ids[KEPT_MAX];
    char first_url[URL_MAX + 1];
    struct index_period periods[CACHE_INDEX_DAYS_KEPT];
};

static struct loop *loop;
static const struct loop_hooks no_hooks;

static void
take_answer(void *arg, const struct index_result *result)
{
    struct answer *answer = arg;
    answer->call_count++;
    answer->failed = result->failed;
    answer->match_count = result->match_count;
    answer->match_len = result->match_len;
    answer->count = result->count;
    for (unsigned i = 0; i < result->count && i < KEPT_MAX && result->entries; i++)
        answer->ids[i] = result->entries[i].id;
    if (result->entries && result->count)
        memcpy(answer->first_url, result->entries[0].url.ptr, result->entries[0].url.len);
    if (result->periods)
        memcpy(answer->periods, result->periods, result->count * sizeof *result->periods);
    loop_stop(loop);
}

static struct answer *
ask(struct fixture *fixture, struct index_query query)
{
    static struct answer answer;
    answer = (struct answer){0};
    assert_non_null(index_ask(fixture->index, &query, loop, take_answer, &answer));
    assert_int_equal(answer.call_count, 0);
    loop_run(loop, &no_hooks);
    assert_int_equal(answer.call_count, 1);
    assert_false(answer.failed);
    return &answer;
}

static void
assert_ids(const struct answer *answer, const char *expected)
{
    char text[512] = "";
    size_t len = 0;
    for (unsigned i = 0; i < answer->count && i < KEPT_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%llu", i ? " " : "",
                                (unsigned long long)answer->ids[i]);
    assert_string_equal(text, expected);
}

static int
setup_loop(void **state)
{
    struct error error;
    if (setup_dir(state) != 0 || loop_new(&loop, LOOP_EPOLL, &error) != 0)
        return -1;
    open_index(*state);
    return 0;
}

static int
teardown_loop(void **state)
{
    struct fixture *fixture = *state;
    if (loop) {
        index_detach(fixture->index, loop);
        loop_free(loop);
    }
    loop = NULL;
    return teardown(state);
}

static void
put_url(struct fixture *fixture, uint64_t id, const char *url)
{
    char text[URL_TEXT_MAX];
    struct cache_entry entry = make_entry(id, text);
    entry.url = str_from_cstr(url);
    index_put(fixture->index, &entry);
}

/* --- lists --- */

static void
put_six(struct fixture *fixture)
{
    static const struct {
        const char *url;
        uint64_t len;
        uint32_t uses;
        int64_t created_s, last_used_s;
    } rows[] = {
        {"http://b/50%25_off", 10, 3, 500, 600}, {"http://a/kernel", 30, 3, 400, 500},
        {"http://A/Kernel", 20, 9, 300, 700},    {"https://c/x?y=KERNEL_1", 5, 1, 200, 900},
        {"http://b/50", 60, 0, 100, 800},        {"http://b/5", 50, 2, 600, 400},
    };
    char text[URL_TEXT_MAX];
    for (unsigned i = 0; i < 6; i++) {
        struct cache_entry entry = make_entry(i + 1, text);
        entry.url = str_from_cstr(rows[i].url);
        entry.len = rows[i].len;
        entry.use_count = rows[i].uses;
        entry.created_s = rows[i].created_s;
        entry.last_used_s = rows[i].last_used_s;
        index_put(fixture->index, &entry);
    }
}

static void
a_list_comes_in_every_order(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        enum index_order order;
        const char *up, *down;
    } orders[] = {
        {INDEX_BY_URL, "3 2 6 5 1 4", "4 1 5 6 2 3"},
        {INDEX_BY_LEN, "4 1 3 2 6 5", "5 6 2 3 1 4"},
        {INDEX_BY_USES, "5 4 6 1 2 3", "3 2 1 6 4 5"},
        {INDEX_BY_CREATED, "5 4 3 2 1 6", "6 1 2 3 4 5"},
        {INDEX_BY_LAST_USED, "6 2 1 3 5 4", "4 5 3 1 2 6"},
    };
    put_six(fixture);
    for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct index_query query = {.order = orders[i].order, .count = 100};
        assert_ids(ask(fixture, query), orders[i].up);
        query.descending = true;
        struct answer *answer = ask(fixture, query);
        assert_ids(answer, orders[i].down);
        assert_int_equal(answer->match_count, 6);
        assert_int_equal(answer->match_len, 175);
    }
}

static void
a_search_is_literal_and_ignores_case(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *search, *ids;
        uint64_t len;
    } searches[] = {
        {"kernel", "2 3 4", 55},
        {"KERNEL", "2 3 4", 55},
        {"kernel_1", "4", 5},
        {"%", "1", 10},
        {"_", "1 4", 15},
        {"50", "1 5", 70},
        {"http://b/5", "1 5 6", 120},
        {"https", "4", 5},
        {"nothing", "", 0},
        {"=KERNEL_1", "4", 5},
        {"'; DROP TABLE entry --", "", 0},
    };
    put_six(fixture);
    for (unsigned i = 0; i < sizeof searches / sizeof *searches; i++) {
        const struct index_query query = {
            .order = INDEX_BY_USES, .count = 100, .search = str_from_cstr(searches[i].search)};
        struct answer *answer = ask(fixture, query);
        unsigned count = 0;
        /* as sets: the order is another test's */
        for (const char *at = searches[i].ids; *at; at++)
            count += *at != ' ';
        assert_int_equal(answer->count, count);
        assert_int_equal(answer->match_count, count);
        assert_int_equal(answer->match_len, searches[i].len);
        for (unsigned j = 0; j < count; j++)
            assert_non_null(strchr(searches[i].ids, '0' + (int)answer->ids[j]));
    }
}

static void
pages_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    put_many(fixture, 1, 5000);
    struct index_query query = {.order = INDEX_BY_CREATED, .descending = true, .count = 10};
    for (query.offset = 0; query.offset < 5000; query.offset += 490) {
        struct answer *answer = ask(fixture, query);
        assert_int_equal(answer->match_count, 5000);
        assert_int_equal(answer->count, 10);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(answer->ids[i], 5000 - query.offset - i);
    }
    query.offset = 4995;
    assert_ids(ask(fixture, query), "5 4 3 2 1");
    query.offset = 5000;
    assert_int_equal(ask(fixture, query)->count, 0);
    query.offset = UINT32_MAX;
    query.count = UINT32_MAX;
    struct answer *answer = ask(fixture, query);
    assert_int_equal(answer->count, 0);
    assert_int_equal(answer->match_count, 5000);
    query.offset = 0;
    assert_int_equal(ask(fixture, query)->count, CACHE_INDEX_LIST_MAX);
    query.count = 0;
    answer = ask(fixture, query);
    assert_int_equal(answer->count, 0);
    assert_int_equal(answer->match_count, 5000);
}

/* The first N are right also when they come last, and in any order. */
static void
pages_are_right_whatever_the_order_of_the_rows(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    for (uint64_t i = 1; i <= 7000; i++) {
        snprintf(url, sizeof url, "http://h/%04u", (unsigned)(i * 4999 % 7000));
        put_url(fixture, i, url);
    }
    struct index_query query = {.order = INDEX_BY_URL, .count = 5};
    for (unsigned i = 0; i < 4; i++) {
        static const uint32_t offsets[] = {0, 1, 3000, 6995};
        query.offset = offsets[i];
        struct answer *answer = ask(fixture, query);
        for (unsigned j = 0; j < 5; j++)
            assert_int_equal(answer->ids[j] * 4999 % 7000, offsets[i] + j);
    }
}

static void
nothing_is_listed_behind_the_depth(void **state)
{
    struct fixture *fixture = *state;
    put_many(fixture, 1, CACHE_INDEX_DEPTH_MAX + 10);
    struct index_query query = {
        .order = INDEX_BY_CREATED, .count = 20, .offset = CACHE_INDEX_DEPTH_MAX - 5};
    assert_int_equal(ask(fixture, query)->count, 5);
    query.offset = CACHE_INDEX_DEPTH_MAX;
    struct answer *answer = ask(fixture, query);
    assert_int_equal(answer->count, 0);
    assert_int_equal(answer->match_count, CACHE_INDEX_DEPTH_MAX + 10);
}

static void
a_list_has_what_was_put_before(void **state)
{
    struct fixture *fixture = *state;
    const struct index_query query = {.order = INDEX_BY_LEN, .count = 100};
    for (uint64_t id = 1; id <= 20; id++) {
        put(fixture, id);
        if (id % 2)
            index_remove(fixture->index, id);
        assert_int_equal(ask(fixture, query)->match_count, id / 2);
    }
}

static void
the_longest_urls_fit(void **state)
{
    struct fixture *fixture = *state;
    static char url[URL_MAX + 2];
    char text[URL_TEXT_MAX];
    memset(url, 'x', URL_MAX);
    memcpy(url, "http://h/", 9);
    struct cache_entry entry = make_entry(1, text);
    for (uint64_t id = 1; id <= 1000; id++) {
        memcpy(url + 9, "0000", 4);
        snprintf(url + 9, 5, "%04u", (unsigned)id);
        url[13] = 'x';
        entry.id = id;
        entry.url = str_make(url, URL_MAX);
        index_put(fixture->index, &entry);
    }
    struct index_query query = {.order = INDEX_BY_URL, .count = 1000, .search = entry.url};
    struct answer *answer = ask(fixture, query);
    assert_int_equal(answer->match_count, 1);
    assert_int_equal(answer->ids[0], 1000);
    assert_memory_equal(answer->first_url, url, URL_MAX);
    query.search = str_make(url, URL_MAX + 1); /* longer than any */
    assert_int_equal(ask(fixture, query)->match_count, 0);
    query.search = STR("");
    assert_int_equal(ask(fixture, query)->count, 1000);
}

/* --- hours and days --- */

static void
hours_and_days_have_no_gaps(void **state)
{
    struct fixture *fixture = *state;
    enum { NOW = 1700000000 }; /* 22:13:20 */
    const struct cache_totals added = {{1, 0, 1000}};
    index_add_totals(fixture->index, NOW - 7200, &added);
    index_add_totals(fixture->index, NOW, &added);
    index_add_totals(fixture->index, NOW + 10, &added);
    index_add_totals(fixture->index, NOW + 7200, &added); /* the next day */
    struct answer *answer =
        ask(fixture, (struct index_query){.kind = INDEX_HOURS, .now_s = NOW, .count = 4});
    assert_int_equal(answer->count, 4);
    static const uint64_t expected[] = {0, 1, 0, 2};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(answer->periods[i].start_s, NOW / 3600 * 3600 - (3 - (int)i) * 3600);
        assert_int_equal(answer->periods[i].totals.values[0], expected[i]);
        assert_int_equal(answer->periods[i].totals.values[2], 1000 * expected[i]);
    }
    answer =
        ask(fixture, (struct index_query){.kind = INDEX_DAYS, .now_s = NOW + 7200, .count = 3});
    assert_int_equal(answer->count, 3);
    assert_int_equal(answer->periods[2].start_s, NOW / 86400 * 86400 + 86400);
    assert_int_equal(answer->periods[0].totals.values[0], 0);
    assert_int_equal(answer->periods[1].totals.values[0], 3);
    assert_int_equal(answer->periods[2].totals.values[0], 1);
}

static void
no_more_periods_than_are_kept(void **state)
{
    struct fixture *fixture = *state;
    struct index_query query = {.kind = INDEX_DAYS, .now_s = 1700000000, .count = UINT32_MAX};
    assert_int_equal(ask(fixture, query)->count, CACHE_INDEX_DAYS_KEPT);
    query.kind = INDEX_HOURS;
    assert_int_equal(ask(fixture, query)->count, CACHE_INDEX_HOURS_KEPT);
    query.count = 0;
    assert_int_equal(ask(fixture, query)->count, 0);
    query.count = 5;
    query.now_s = -1;
    assert_int_equal(ask(fixture, query)->count, 5);
}

/* --- asking --- */

static void
an_answer_that_is_not_wanted_does_not_come(void **state)
{
    struct fixture *fixture = *state;
    const struct index_query query = {.order = INDEX_BY_URL, .count = 1000};
    struct answer cancelled = {0};
    put_many(fixture, 1, 20000);
    assert_true(index_flush(fixture->index));
    for (unsigned i = 0; i < 60; i++) {
        struct index_ask *unwanted =
            index_ask(fixture->index, &query, loop, take_answer, &cancelled);
        assert_non_null(unwanted);
        usleep(i % 20 * 500); /* queued, running, posted */
        index_cancel(unwanted);
    }
    assert_int_equal(ask(fixture, query)->match_count, 20000);
    assert_int_equal(cancelled.call_count, 0);
}

static void
too_many_questions_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct index_query query = {.order = INDEX_BY_URL, .count = 1000};
    struct answer answer = {0};
    unsigned count = 0;
    put_many(fixture, 1, 50000);
    assert_true(index_flush(fixture->index));
    while (count < 10 * CACHE_INDEX_ASKS_MAX &&
           index_ask(fixture->index, &query, loop, take_answer, &answer))
        count++;
    assert_true(count >= CACHE_INDEX_ASKS_MAX && count < 2 * CACHE_INDEX_ASKS_MAX);
    while (answer.call_count < count)
        loop_run(loop, &no_hooks);
}

static void
a_loop_may_go_away_with_its_questions(void **state)
{
    struct fixture *fixture = *state;
    const struct index_query query = {.order = INDEX_BY_URL, .count = 1000};
    struct answer answer = {0};
    struct error error;
    put_many(fixture, 1, 20000);
    assert_true(index_flush(fixture->index));
    for (unsigned i = 0; i < 20; i++) {
        struct loop *other;
        assert_int_equal(loop_new(&other, LOOP_EPOLL, &error), 0);
        for (unsigned j = 0; j < 5; j++)
            index_ask(fixture->index, &query, other, take_answer, &answer);
        usleep(i * 1000);
        index_detach(fixture->index, other);
        loop_free(other);
    }
    assert_int_equal(ask(fixture, query)->match_count, 20000);
    assert_int_equal(answer.call_count, 0);
}

/* Questions beside changes, for the thread sanitizer. */
static void *
run_putter(void *arg)
{
    struct fixture *fixture = arg;
    for (uint64_t id = 1; id <= 5000; id++) {
        put(fixture, id);
        index_touch(fixture->index, id / 2 + 1, 1800000000, 5);
    }
    return NULL;
}

static void
questions_go_on_beside_changes(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    uint64_t last = 0;
    assert_int_equal(pthread_create(&thread, NULL, run_putter, fixture), 0);
    for (unsigned i = 0; i < 50; i++) {
        const struct index_query query = {.order = i % 5, .count = 20, .offset = i};
        struct answer *answer = ask(fixture, query);
        assert_true(answer->match_count >= last);
        last = answer->match_count;
    }
    pthread_join(thread, NULL);
    const struct index_query query = {.order = INDEX_BY_URL, .count = 20};
    assert_int_equal(ask(fixture, query)->match_count, 5000);
}

static void
an_unreadable_database_is_a_failed_answer(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};
    const struct index_query query = {.order = INDEX_BY_URL, .count = 20};
    put_many(fixture, 1, 2000);
    assert_true(index_flush(fixture->index));
    sql(fixture, "DROP TABLE entry");
    assert_non_null(index_ask(fixture->index, &query, loop, take_answer, &answer));
    loop_run(loop, &no_hooks);
    assert_true(answer.failed);
    assert_int_equal(answer.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_loop, teardown_loop)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_list_comes_in_every_order),
        TEST(a_search_is_literal_and_ignores_case),
        TEST(pages_follow_each_other),
        TEST(pages_are_right_whatever_the_order_of_the_rows),
        TEST(nothing_is_listed_behind_the_depth),
        TEST(a_list_has_what_was_put_before),
        TEST(the_longest_urls_fit),
        TEST(hours_and_days_have_no_gaps),
        TEST(no_more_periods_than_are_kept),
        TEST(an_answer_that_is_not_wanted_does_not_come),
        TEST(too_many_questions_are_refused),
        TEST(a_loop_may_go_away_with_its_questions),
        TEST(questions_go_on_beside_changes),
        TEST(an_unreadable_database_is_a_failed_answer),
    };
    return cmocka_run_group_tests_name("index, questions", tests, NULL, NULL);
}
