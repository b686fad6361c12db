/* Flights: what is seen in each state, who is told of a change and how often, also from another
 * thread, and who may free a watch when. */
#include "cache/table.h"
#include "io/loop_test_run.h"

enum { TELLS = 20000, WATCHES = 5 };

struct setting {
    struct world *world;
    struct cache_table *table;
    struct cache_flight *flight;
};

static int
flight_setup(void **state)
{
    const struct table_config config = {.open_max = 4};
    struct setting *setting = calloc(1, sizeof *setting);
    if (!setting || world_setup((void **)&setting->world) != 0)
        return -1;
    setting->table = table_new(&config);
    setting->flight = flight_new(STR("http://example.com/a"), 42);
    *state = setting;
    return setting->table && setting->flight ? 0 : -1;
}

static int
flight_teardown(void **state)
{
    struct setting *setting = *state;
    flight_unref(setting->flight);
    table_free(setting->table);
    world_teardown((void **)&setting->world);
    free(setting);
    return 0;
}

static struct cache_object *
make_object(struct setting *setting)
{
    const struct cache_entry entry = {
        .id = 7, .url = STR("http://example.com/a"), .len = 2 * TELLS, .last_modified_s = -1};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct cache_object *object = object_new(setting->table, fd, &entry);
    assert_non_null(object);
    return object;
}

static struct flight_view
look(struct cache_flight *flight)
{
    struct flight_view view;
    memset(&view, 0xa5, sizeof view);
    flight_look(flight, &view);
    return view;
}

/* --- what is seen --- */

static void
a_new_flight_is_queued(void **state)
{
    struct setting *setting = *state;
    struct flight_view view = look(setting->flight);
    assert_int_equal(view.state, FLIGHT_QUEUED);
    assert_null(view.object);
    assert_int_equal(view.status, 0);
    assert_string_equal(view.reason, "");
    assert_string_equal(setting->flight->url, "http://example.com/a");
    assert_true(str_eq(flight_url(setting->flight), STR("http://example.com/a")));
    assert_int_equal(setting->flight->total_len, OBJECT_LEN_UNKNOWN);
    assert_int_equal(setting->flight->hash, 42);
}

/* Whoever looks gets a reference of their own, the flight keeps one. */
static void
an_answer_is_held(void **state)
{
    struct setting *setting = *state;
    struct cache_object *object = make_object(setting);
    flight_set_asking(setting->flight);
    assert_int_equal(look(setting->flight).state, FLIGHT_ASKING);
    flight_set_answered(setting->flight, FLIGHT_STALE, object);
    assert_int_equal(object->ref_count, 2);
    struct flight_view view = look(setting->flight);
    assert_int_equal(view.state, FLIGHT_ANSWERED);
    assert_int_equal(view.source, FLIGHT_STALE);
    assert_ptr_equal(view.object, object);
    assert_int_equal(object->ref_count, 3);
    object_unref(view.object);
    object_unref(object);
    assert_int_equal(object->ref_count, 1);
}

static void
another_answer_lets_the_first_go(void **state)
{
    struct setting *setting = *state;
    struct cache_object *first = make_object(setting), *second = make_object(setting);
    flight_set_answered(setting->flight, FLIGHT_STALE, first);
    flight_set_answered(setting->flight, FLIGHT_FETCHED, second);
    assert_int_equal(first->ref_count, 1);
    assert_int_equal(second->ref_count, 2);
    assert_int_equal(look(setting->flight).source, FLIGHT_FETCHED);
    object_unref(second); /* the look's */
    object_unref(first);
    object_unref(second);
}

static void
what_starts_over_is_asked_for_again(void **state)
{
    struct setting *setting = *state;
    struct cache_object *object = make_object(setting);
    flight_set_answered(setting->flight, FLIGHT_FETCHED, object);
    flight_set_over(setting->flight);
    assert_int_equal(object->ref_count, 1);
    struct flight_view view = look(setting->flight);
    assert_int_equal(view.state, FLIGHT_ASKING);
    assert_null(view.object);
    object_unref(object);
}

static void
a_failure_says_why(void **state)
{
    struct setting *setting = *state;
    struct cache_object *object = make_object(setting);
    char reason[400];
    memset(reason, 'x', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    flight_set_answered(setting->flight, FLIGHT_FETCHED, object);
    flight_set_failed(setting->flight, 503, 17, reason);
    assert_int_equal(object->ref_count, 1);
    object_unref(object);
    struct flight_view view = look(setting->flight);
    assert_int_equal(view.state, FLIGHT_FAILED);
    assert_int_equal(view.status, 503);
    assert_int_equal(view.retry_after_s, 17);
    assert_null(view.object);
    assert_int_equal(strlen(view.reason), sizeof view.reason - 1);
}

static void
the_last_reference_frees_flight_and_object(void **state)
{
    struct setting *setting = *state;
    struct cache_object *object = make_object(setting);
    struct cache_flight *flight = flight_new(STR("http://example.com/b"), 1);
    assert_non_null(flight);
    int fd = object->fd;
    flight_set_answered(flight, FLIGHT_FETCHED, object);
    object_unref(object);
    assert_ptr_equal(flight_ref(flight), flight);
    flight_unref(flight);
    assert_int_equal(look(flight).state, FLIGHT_ANSWERED);
    object_unref(object); /* the look's */
    assert_true(fcntl(fd, F_GETFD) >= 0);
    flight_unref(flight);
    assert_true(fcntl(fd, F_GETFD) < 0);
    flight_unref(NULL);
}

static void
who_waits_is_counted(void **state)
{
    struct setting *setting = *state;
    struct cache_flight *flight = setting->flight;
    uint64_t left_ns = 99;
    assert_int_equal(flight_waiters(flight, &left_ns), 0);
    assert_int_equal(left_ns, 0); /* nobody has left yet */
    flight_join(flight);
    flight_join(flight);
    flight_leave(flight, 1000);
    assert_int_equal(flight_waiters(flight, &left_ns), 1);
    assert_int_equal(left_ns, 0);
    flight_leave(flight, 2000);
    assert_int_equal(flight_waiters(flight, &left_ns), 0);
    assert_int_equal(left_ns, 2000);
    flight_join(flight);
    assert_int_equal(flight_waiters(flight, &left_ns), 1);
    assert_int_equal(left_ns, 0);
    flight_leave(flight, 3000);
    assert_int_equal(flight_waiters(flight, &left_ns), 0);
    assert_int_equal(left_ns, 3000);
}

/* --- news --- */

struct watcher {
    struct cache_watch watch; /* first */
    struct cache_flight *flight;
    struct world *world;
    unsigned news_count, wanted;
    bool says_nothing; /* does not say that it has heard */
    bool tells_again;  /* once, from within news */
};

static void
watcher_news(struct cache_watch *watch)
{
    struct watcher *watcher = (struct watcher *)watch;
    watcher->news_count++;
    if (!watcher->says_nothing)
        flight_heard(watcher->flight, watch);
    if (watcher->tells_again) {
        watcher->tells_again = false;
        flight_tell(watcher->flight);
    }
}

static void
watcher_start(struct watcher *watcher, struct setting *setting)
{
    *watcher = (struct watcher){.flight = setting->flight, .world = setting->world};
    watcher->watch.loop = setting->world->loop;
    watcher->watch.news = watcher_news;
    flight_watch(setting->flight, &watcher->watch);
}

static bool
watcher_has_heard(void *arg)
{
    const struct watcher *watcher = arg;
    return watcher->news_count >= watcher->wanted;
}

/* Waits until so many news came, and gives one more the time to. */
static void
assert_news(struct watcher *watcher, unsigned count)
{
    watcher->wanted = count;
    run_until(watcher->world, watcher_has_heard, watcher);
    run_for(watcher->world, 5);
    assert_int_equal(watcher->news_count, count);
}

static void
assert_unwatched(struct watcher *watcher)
{
    assert_true(flight_unwatch(watcher->flight, &watcher->watch));
}

/* However much happened before the loop came to it. */
static void
many_changes_are_one_piece_of_news(void **state)
{
    struct setting *setting = *state;
    struct watcher watcher;
    watcher_start(&watcher, setting);
    for (unsigned i = 0; i < 100; i++)
        flight_tell(setting->flight);
    assert_int_equal(watcher.news_count, 0); /* never from within a call */
    assert_news(&watcher, 1);
    flight_tell(setting->flight);
    flight_tell(setting->flight);
    assert_news(&watcher, 2);
    assert_unwatched(&watcher);
}

static void
no_more_is_told_until_it_was_heard(void **state)
{
    struct setting *setting = *state;
    struct watcher watcher;
    watcher_start(&watcher, setting);
    watcher.says_nothing = true;
    flight_tell(setting->flight);
    assert_news(&watcher, 1);
    flight_tell(setting->flight);
    assert_news(&watcher, 1);
    flight_heard(setting->flight, &watcher.watch);
    flight_tell(setting->flight);
    assert_news(&watcher, 2);
    flight_heard(setting->flight, &watcher.watch);
    assert_unwatched(&watcher);
}

static void
a_change_after_hearing_is_told_again(void **state)
{
    struct setting *setting = *state;
    struct watcher watcher;
    watcher_start(&watcher, setting);
    watcher.tells_again = true;
    flight_tell(setting->flight);
    assert_news(&watcher, 2);
    assert_unwatched(&watcher);
}

static void
each_change_of_the_answer_is_told(void **state)
{
    struct setting *setting = *state;
    struct cache_object *object = make_object(setting);
    struct watcher watcher;
    watcher_start(&watcher, setting);
    flight_set_answered(setting->flight, FLIGHT_FETCHED, object);
    assert_news(&watcher, 1);
    flight_set_over(setting->flight);
    assert_news(&watcher, 2);
    flight_set_failed(setting->flight, 502, 0, "no");
    assert_news(&watcher, 3);
    assert_unwatched(&watcher);
    object_unref(object);
}

static void
all_who_watch_are_told_and_who_left_is_not(void **state)
{
    struct setting *setting = *state;
    struct watcher watchers[WATCHES];
    for (unsigned i = 0; i < WATCHES; i++)
        watcher_start(&watchers[i], setting);
    flight_tell(setting->flight);
    for (unsigned i = 0; i < WATCHES; i++)
        assert_news(&watchers[i], 1);
    /* the first, one in the middle, the last of the list */
    assert_unwatched(&watchers[WATCHES - 1]);
    assert_unwatched(&watchers[2]);
    assert_unwatched(&watchers[0]);
    flight_tell(setting->flight);
    assert_news(&watchers[1], 2);
    assert_news(&watchers[3], 2);
    assert_int_equal(watchers[0].news_count, 1);
    assert_int_equal(watchers[2].news_count, 1);
    assert_int_equal(watchers[WATCHES - 1].news_count, 1);
    assert_unwatched(&watchers[1]);
    assert_unwatched(&watchers[3]);
    assert_null(setting->flight->watches);
}

/* Then its memory is needed until the post has come. */
static void
who_leaves_with_news_on_the_way_is_told_so(void **state)
{
    struct setting *setting = *state;
    struct watcher watcher;
    watcher_start(&watcher, setting);
    watcher.says_nothing = true; /* it has left */
    flight_tell(setting->flight);
    assert_false(flight_unwatch(setting->flight, &watcher.watch));
    flight_tell(setting->flight);
    assert_news(&watcher, 1);
    /* the same memory may watch again after that */
    watcher_start(&watcher, setting);
    flight_tell(setting->flight);
    assert_news(&watcher, 1);
    assert_unwatched(&watcher);
}

/* --- from another thread --- */

struct teller {
    struct cache_flight *flight;
    struct cache_object *object;
    unsigned count;
};

static void *
teller_run(void *arg)
{
    struct teller *teller = arg;
    for (unsigned i = 1; i <= teller->count; i++) {
        object_show(teller->object, i);
        flight_tell(teller->flight);
    }
    return NULL;
}

struct follower {
    struct watcher watcher; /* first */
    struct cache_object *object;
    uint64_t seen;
};

static void
follower_news(struct cache_watch *watch)
{
    struct follower *follower = (struct follower *)watch;
    watcher_news(watch);
    uint64_t shown = object_shown_len(follower->object);
    assert_true(shown >= follower->seen);
    follower->seen = shown;
}

static bool
follower_has_all(void *arg)
{
    const struct follower *follower = arg;
    return follower->seen == TELLS;
}

/* What was shown before a telling is seen after it: the last news always come. */
static void
no_news_are_lost(void **state)
{
    struct setting *setting = *state;
    struct follower follower = {.object = make_object(setting)};
    struct teller teller = {setting->flight, follower.object, TELLS};
    pthread_t thread;
    watcher_start(&follower.watcher, setting);
    follower.watcher.watch.news = follower_news;
    assert_int_equal(pthread_create(&thread, NULL, teller_run, &teller), 0);
    run_until(setting->world, follower_has_all, &follower);
    pthread_join(thread, NULL);
    assert_true(follower.watcher.news_count > 0 && follower.watcher.news_count <= TELLS);
    run_for(setting->world, 5); /* the post of the last telling */
    assert_unwatched(&follower.watcher);
    object_unref(follower.object);
}

/* A watch that may end while its news are on the way. */
struct passing {
    struct cache_watch watch; /* first */
    struct cache_flight *flight;
    unsigned *left;
    bool over;
};

static void
passing_news(struct cache_watch *watch)
{
    struct passing *passing = (struct passing *)watch;
    if (passing->over) {
        (*passing->left)--;
        free(passing);
    } else {
        flight_heard(passing->flight, watch);
    }
}

static struct passing *
passing_start(struct setting *setting, unsigned *left)
{
    struct passing *passing = calloc(1, sizeof *passing);
    assert_non_null(passing);
    passing->flight = setting->flight;
    passing->left = left;
    passing->watch.loop = setting->world->loop;
    passing->watch.news = passing_news;
    flight_watch(setting->flight, &passing->watch);
    return passing;
}

static void
passing_end(struct passing *passing)
{
    passing->over = true;
    if (!flight_unwatch(passing->flight, &passing->watch)) {
        (*passing->left)++;
        return;
    }
    memset(passing, 0xee, sizeof *passing);
    free(passing);
}

static bool
none_is_left(void *arg)
{
    return *(const unsigned *)arg == 0;
}

static void
watches_come_and_go_while_it_is_told(void **state)
{
    struct setting *setting = *state;
    struct cache_object *object = make_object(setting);
    struct teller teller = {setting->flight, object, TELLS};
    struct passing *passing[WATCHES];
    unsigned left = 0;
    pthread_t thread;
    for (unsigned i = 0; i < WATCHES; i++)
        passing[i] = passing_start(setting, &left);
    assert_int_equal(pthread_create(&thread, NULL, teller_run, &teller), 0);
    for (unsigned round = 0; round < 2000; round++) {
        passing_end(passing[round % WATCHES]);
        passing[round % WATCHES] = passing_start(setting, &left);
        if (round % 7 == 0)
            world_runs_until(setting->world, never, NULL, 0);
    }
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < WATCHES; i++)
        passing_end(passing[i]);
    run_until(setting->world, none_is_left, &left);
    object_unref(object);
}

static void *
joiner_run(void *arg)
{
    struct cache_flight *flight = arg;
    for (unsigned i = 0; i < TELLS; i++) {
        struct flight_view view;
        uint64_t left_ns;
        flight_join(flight_ref(flight));
        flight_look(flight, &view);
        object_unref(view.object);
        assert_true(flight_waiters(flight, &left_ns) > 0);
        flight_leave(flight, i + 1);
        flight_unref(flight);
    }
    return NULL;
}

static void
many_may_look_while_it_changes(void **state)
{
    struct setting *setting = *state;
    struct cache_object *object = make_object(setting);
    pthread_t threads[2];
    uint64_t left_ns;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, joiner_run, setting->flight), 0);
    for (unsigned i = 0; i < 1000; i++) {
        flight_set_answered(setting->flight, FLIGHT_FETCHED, object);
        flight_set_over(setting->flight);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(object->ref_count, 1);
    assert_int_equal(setting->flight->ref_count, 1);
    assert_int_equal(flight_waiters(setting->flight, &left_ns), 0);
    assert_int_equal(left_ns, TELLS);
    object_unref(object);
}

#define flight_test(test) cmocka_unit_test_setup_teardown(test, flight_setup, flight_teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        flight_test(a_new_flight_is_queued),
        flight_test(an_answer_is_held),
        flight_test(another_answer_lets_the_first_go),
        flight_test(what_starts_over_is_asked_for_again),
        flight_test(a_failure_says_why),
        flight_test(the_last_reference_frees_flight_and_object),
        flight_test(who_waits_is_counted),
        flight_test(many_changes_are_one_piece_of_news),
        flight_test(no_more_is_told_until_it_was_heard),
        flight_test(a_change_after_hearing_is_told_again),
        flight_test(each_change_of_the_answer_is_told),
        flight_test(all_who_watch_are_told_and_who_left_is_not),
        flight_test(who_leaves_with_news_on_the_way_is_told_so),
        flight_test(no_news_are_lost),
        flight_test(watches_come_and_go_while_it_is_told),
        flight_test(many_may_look_while_it_changes),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("flight", run_group);
}
