/* rate_window: against a log of all events, at edges and at random. */
#include "script/rate_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LENGTH = 16000, EVENTS_MAX = 200000 };

static bool
take(struct rate_window *window, uint64_t limit, uint64_t now)
{
    if (!rate_window_has_room(window, LENGTH, limit, now))
        return false;
    rate_window_add(window, LENGTH, limit, now);
    return true;
}

static void
test_as_many_as_the_limit_at_once(void **state)
{
    static const uint64_t limits[] = {1, 2, 10, 17, 18, 100, 5000};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rate_window window = {0};
        for (uint64_t n = 0; n < limits[i]; n++)
            assert_true(take(&window, limits[i], 77));
        assert_false(take(&window, limits[i], 77));
        assert_false(take(&window, limits[i], 77 + LENGTH - 1));
        for (uint64_t n = 0; n < limits[i]; n++)
            assert_true(take(&window, limits[i], 77 + LENGTH));
        assert_false(take(&window, limits[i], 77 + LENGTH));
    }
}

static void
test_limits_up_to_17_are_exact(void **state)
{
    struct rate_window window = {0};
    for (uint64_t n = 0; n < 17; n++)
        assert_true(take(&window, 17, 10 * n));
    for (uint64_t n = 0; n < 17; n++) {
        assert_false(take(&window, 17, LENGTH + 10 * n - 1));
        assert_true(take(&window, 17, LENGTH + 10 * n));
        assert_false(take(&window, 17, LENGTH + 10 * n));
    }
}

static void
test_a_burst_at_the_edge_of_a_clock_window_is_not_doubled(void **state)
{
    struct rate_window window = {0};
    for (unsigned n = 0; n < 100; n++)
        assert_true(take(&window, 100, LENGTH - 1));
    for (unsigned now = LENGTH; now < 2 * LENGTH - 1; now++)
        assert_false(take(&window, 100, now));
    assert_true(take(&window, 100, 2 * LENGTH - 1));
}

static void
test_high_limits_free_a_place_within_a_sixteenth(void **state)
{
    struct rate_window window = {0};
    assert_true(take(&window, 18, 0));
    assert_true(take(&window, 18, LENGTH / 16 - 1)); /* the same group */
    for (unsigned n = 0; n < 16; n++)
        assert_true(take(&window, 18, LENGTH / 16));
    assert_false(take(&window, 18, LENGTH + LENGTH / 16 - 2));
    assert_true(take(&window, 18, LENGTH + LENGTH / 16 - 1));
    assert_true(take(&window, 18, LENGTH + LENGTH / 16 - 1));
    assert_false(take(&window, 18, LENGTH + LENGTH / 16 - 1));
}

static void
test_a_steady_rate_just_under_a_high_limit_is_never_refused(void **state)
{
    struct rate_window window = {0};
    for (uint64_t n = 0; n < 20000; n++)
        assert_true(take(&window, 170, 100 * n)); /* 160 in a window, 170 in 17 sixteenths */
}

static void
test_a_lower_limit_counts_what_a_higher_one_allowed(void **state)
{
    struct rate_window window = {0};
    for (unsigned n = 0; n < 50; n++)
        assert_true(take(&window, 1000, n));
    assert_false(take(&window, 50, 60));
    assert_false(take(&window, 3, 60));
    assert_true(take(&window, 51, 60));
}

/* All groups are in use: the newest takes what comes, and counts until the last of that is out. */
static void
test_a_high_limit_behind_a_low_one(void **state)
{
    struct rate_window window = {0};
    for (unsigned n = 0; n < 17; n++)
        assert_true(take(&window, 17, n));
    assert_true(take(&window, 18, 5000));
    assert_int_equal(window.group_count, RATE_WINDOW_GROUPS);
    assert_false(take(&window, 18, LENGTH - 1));
    assert_true(take(&window, 18, LENGTH + 15));
    assert_int_equal(window.sum, 3);
    assert_true(take(&window, 3, LENGTH + 5000));
    assert_int_equal(window.sum, 2);
}

static void
test_counts_do_not_wrap(void **state)
{
    struct rate_window window = {0};
    assert_true(take(&window, UINT64_MAX, 5));
    window.counts[window.oldest] = UINT32_MAX - 1;
    window.sum = UINT32_MAX - 1;
    assert_true(take(&window, UINT64_MAX, 5));
    assert_false(take(&window, UINT64_MAX, 5));
    assert_int_equal(window.sum, UINT32_MAX);
    assert_true(take(&window, UINT64_MAX, 5 + LENGTH));
}

/* --- at random --- */

struct log {
    uint64_t times[EVENTS_MAX];
    unsigned count, first; /* `first` that may still matter */
};

static unsigned
count_since(struct log *log, uint64_t now, uint64_t length)
{
    unsigned count = 0;
    while (log->first < log->count && now - log->times[log->first] >= 2 * LENGTH)
        log->first++;
    for (unsigned i = log->first; i < log->count; i++)
        count += now - log->times[i] < length;
    return count;
}

static void
check_random(unsigned seed, uint64_t limit, unsigned step_max)
{
    static struct log log;
    struct rate_window window = {0};
    uint64_t now = (uint64_t)seed * 12345;
    srand(seed);
    log.count = log.first = 0;
    for (unsigned n = 0; n < 20000; n++) {
        now += rand() % 8 ? (uint64_t)(rand() % (int)(step_max + 1)) : 0;
        if (rand() % 500 == 0)
            now += (uint64_t)(rand() % (3 * LENGTH));
        unsigned in_window = count_since(&log, now, LENGTH);
        unsigned in_more = count_since(&log, now, LENGTH + LENGTH / 16);
        bool allowed = take(&window, limit, now);
        if (allowed)
            log.times[log.count++] = now;
        if (allowed && in_window >= limit)
            fail_msg("seed %u: more than %u in a window", seed, (unsigned)limit);
        if (!allowed && in_more < limit)
            fail_msg("seed %u: %u of %u refused", seed, in_more, (unsigned)limit);
        if (limit <= RATE_WINDOW_GROUPS && allowed != (in_window < limit))
            fail_msg("seed %u: limit %u is not exact", seed, (unsigned)limit);
    }
}

static void
test_random_events_against_a_log(void **state)
{
    static const uint64_t limits[] = {1, 2, 3, 16, 17, 18, 19, 40, 100, 400};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++)
        for (unsigned seed = 1; seed <= 6; seed++)
            check_random(seed, limits[i], (unsigned)(seed * LENGTH / limits[i]));
}

/* Whatever limits come after each other: no event counts for less than a window, or for more than
 * two. */
static void
test_random_limits_never_allow_more(void **state)
{
    static struct log log;
    struct rate_window window = {0};
    uint64_t now = 0;
    srand(4);
    for (unsigned n = 0; n < 100000; n++) {
        uint64_t limit = (uint64_t)(1 + rand() % (rand() % 2 ? 17 : 200));
        now += (uint64_t)(rand() % (n % 2000 < 1000 ? 300 : 3000));
        unsigned in_window = count_since(&log, now, LENGTH);
        unsigned in_two = count_since(&log, now, 2 * LENGTH);
        bool allowed = take(&window, limit, now);
        if (allowed)
            log.times[log.count++] = now;
        assert_true(!allowed || in_window < limit);
        assert_true(allowed || in_two >= limit);
        assert_in_range(window.group_count, 0, RATE_WINDOW_GROUPS);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_many_as_the_limit_at_once),
        cmocka_unit_test(test_limits_up_to_17_are_exact),
        cmocka_unit_test(test_a_burst_at_the_edge_of_a_clock_window_is_not_doubled),
        cmocka_unit_test(test_high_limits_free_a_place_within_a_sixteenth),
        cmocka_unit_test(test_a_steady_rate_just_under_a_high_limit_is_never_refused),
        cmocka_unit_test(test_a_lower_limit_counts_what_a_higher_one_allowed),
        cmocka_unit_test(test_a_high_limit_behind_a_low_one),
        cmocka_unit_test(test_counts_do_not_wrap),
        cmocka_unit_test(test_random_events_against_a_log),
        cmocka_unit_test(test_random_limits_never_allow_more),
    };
    return cmocka_run_group_tests_name("rate_window", tests, NULL, NULL);
}
