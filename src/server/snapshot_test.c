#include "server/snapshot.h"

#include "site/site_test_run.h"

#include <pthread.h>

static const struct options no_options;
static struct script_setup fixture_scripts = {.options = &no_options};

static struct snapshot *
new_snapshot(struct fixture *fixture)
{
    struct snapshot *snapshot;
    struct error error;
    if (snapshot_new(&snapshot, &fixture->config, &fixture_scripts, NULL, &error) != 0)
        fail_msg("%s", error.text);
    return snapshot;
}

static void
a_snapshot_lives_as_long_as_somebody_holds_it(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "printf a >in/a");
    struct snapshot *snapshot = new_snapshot(fixture);
    snapshot_ref(snapshot);
    snapshot_unref(snapshot);
    assert_int_equal(snapshot_bury(), 1);
    assert_non_null(site_find(snapshot->site, STR("/a")));
    snapshot_unref(snapshot);
    assert_int_equal(snapshot_bury(), 0);
}

static void
a_site_that_does_not_load_says_why(void **state)
{
    struct fixture *fixture = *state;
    struct snapshot *snapshot;
    struct error error;
    set_source(fixture, "nothing");
    assert_int_equal(snapshot_new(&snapshot, &fixture->config, &fixture_scripts, NULL, &error), -1);
    assert_non_null(strstr(error.text, "nothing"));
    assert_int_equal(snapshot_bury(), 0);
}

enum { THREADS = 4, SNAPSHOTS = 50 };

static void *
let_all_go(void *arg)
{
    struct snapshot **snapshots = arg;
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        snapshot_unref(snapshots[i]);
    return NULL;
}

static void
the_last_of_many_threads_hands_it_back(void **state)
{
    struct fixture *fixture = *state;
    struct snapshot *snapshots[SNAPSHOTS];
    pthread_t threads[THREADS];
    run(fixture, "printf a >in/a");
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        snapshots[i] = new_snapshot(fixture);
        for (unsigned j = 1; j < THREADS; j++)
            snapshot_ref(snapshots[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, let_all_go, snapshots), 0);
    while (snapshot_bury() > SNAPSHOTS / 2)
        sched_yield();
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(snapshot_bury(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_snapshot_lives_as_long_as_somebody_holds_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_site_that_does_not_load_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_of_many_threads_hands_it_back, setup, teardown),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
