/* rate_limit: windows side by side, keys and their bounds, several threads. */
#include "script/rate_limit.h"

#include "base/limits.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

enum { ALLOWED = RATE_LIMIT_ALLOWED };

static enum rate_limit_result
take(struct rate_limit *limit, const char *key, uint64_t s, uint64_t m, uint64_t h, uint64_t now)
{
    const uint64_t per_window[] = {s, m, h};
    return rate_limit_take(limit, str_from_cstr(key), per_window, now);
}

static struct str
numbered(char out[static 32], unsigned n)
{
    return str_make(out, (size_t)snprintf(out, 32, "key %u", n));
}

static enum rate_limit_result
take_n(struct rate_limit *limit, unsigned n, unsigned window, uint64_t now)
{
    char text[32];
    uint64_t per_window[3] = {0};
    per_window[window] = 100;
    return rate_limit_take(limit, numbered(text, n), per_window, now);
}

static int
setup(void **state)
{
    *state = rate_limit_new(100);
    return *state ? 0 : -1;
}

static int
teardown(void **state)
{
    rate_limit_free(*state);
    return 0;
}

/* --- windows --- */

static void
test_each_window_has_its_limit(void **state)
{
    struct rate_limit *limit = *state;
    const uint64_t lengths[] = {S, 60 * S, 3600 * S};
    uint64_t now = 7 * S;
    for (unsigned i = 0; i < 3; i++) {
        char key[] = {(char)('a' + i), '\0'};
        uint64_t l[3] = {0};
        l[i] = 3;
        for (unsigned n = 0; n < 3; n++)
            assert_int_equal(take(limit, key, l[0], l[1], l[2], now), ALLOWED);
        assert_int_equal(take(limit, key, l[0], l[1], l[2], now), RATE_LIMIT_SECOND + i);
        now += lengths[i];
        assert_int_equal(take(limit, key, l[0], l[1], l[2], now - 1), RATE_LIMIT_SECOND + i);
        assert_int_equal(take(limit, key, l[0], l[1], l[2], now), ALLOWED);
    }
}

static void
test_the_shortest_window_is_named_first(void **state)
{
    struct rate_limit *limit = *state;
    assert_int_equal(take(limit, "k", 1, 1, 1, S), ALLOWED);
    assert_int_equal(take(limit, "k", 1, 1, 1, S), RATE_LIMIT_SECOND);
    assert_int_equal(take(limit, "k", 1, 1, 1, 2 * S), RATE_LIMIT_MINUTE);
    assert_int_equal(take(limit, "k", 1, 1, 1, 61 * S), RATE_LIMIT_HOUR);
    assert_int_equal(take(limit, "k", 1, 1, 1, 3601 * S), ALLOWED);
}

static void
test_what_is_refused_is_counted_nowhere(void **state)
{
    struct rate_limit *limit = *state;
    assert_int_equal(take(limit, "k", 5, 2, 0, S), ALLOWED);
    assert_int_equal(take(limit, "k", 5, 2, 0, S), ALLOWED);
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(take(limit, "k", 5, 2, 0, S), RATE_LIMIT_MINUTE);
    for (unsigned n = 0; n < 3; n++)
        assert_int_equal(take(limit, "k", 5, 0, 0, S), ALLOWED);
    assert_int_equal(take(limit, "k", 5, 0, 0, S), RATE_LIMIT_SECOND);
}

static void
test_a_limit_of_0_is_none(void **state)
{
    struct rate_limit *limit = *state;
    for (unsigned n = 0; n < 1000; n++)
        assert_int_equal(take(limit, "k", 0, 0, 0, S), ALLOWED);
    assert_int_equal(rate_limit_key_count(limit), 0);
    assert_int_equal(take(limit, "k", 0, 1, 0, S), ALLOWED);
    assert_int_equal(take(limit, "k", 0, 1, 0, S), RATE_LIMIT_MINUTE);
    assert_int_equal(take(limit, "k", 0, 0, 0, S), ALLOWED);
    assert_int_equal(take(limit, "k", 0, 0, 1, S), ALLOWED); /* nothing was counted there yet */
}

static void
test_a_clock_that_is_behind_counts_as_now(void **state)
{
    struct rate_limit *limit = *state;
    assert_int_equal(take(limit, "k", 1, 0, 0, 10 * S), ALLOWED);
    assert_int_equal(take(limit, "k", 1, 0, 0, 3 * S), RATE_LIMIT_SECOND);
    assert_int_equal(take(limit, "k", 1, 0, 0, 11 * S), ALLOWED);
    assert_int_equal(take(limit, "k", 1, 0, 0, 11 * S - 1), RATE_LIMIT_SECOND);
}

/* --- keys --- */

static void
test_keys_are_apart_and_any_bytes(void **state)
{
    static char long_key[SCRIPT_RATE_KEY_MAX];
    const uint64_t one[] = {0, 1, 0};
    struct rate_limit *limit = *state;
    memset(long_key, 'x', sizeof long_key);
    const struct str keys[] = {STR("a"),
                               STR("b"),
                               STR("\0"),
                               STR("\0\0"),
                               STR("a\0"),
                               STR("\xff\xfe"),
                               {long_key, sizeof long_key},
                               {long_key, sizeof long_key - 1}};
    for (unsigned turn = 0; turn < 2; turn++)
        for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
            assert_int_equal(rate_limit_take(limit, keys[i], one, S),
                             turn ? RATE_LIMIT_MINUTE : RATE_LIMIT_ALLOWED);
    long_key[SCRIPT_RATE_KEY_MAX - 1] = 'y';
    assert_int_equal(rate_limit_take(limit, keys[6], one, S), ALLOWED);
    assert_int_equal(rate_limit_key_count(limit), 9);
}

static void
test_as_many_keys_as_configured(void **state)
{
    struct rate_limit *limit = *state;
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(take_n(limit, n, 2, S), ALLOWED);
    assert_int_equal(take_n(limit, 100, 2, S), RATE_LIMIT_KEYS);
    assert_int_equal(take_n(limit, 101, 0, S), RATE_LIMIT_KEYS);
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(take_n(limit, n, 2, S), ALLOWED);
    assert_int_equal(rate_limit_key_count(limit), 100);
}

static void
test_keys_that_allow_everything_again_make_room(void **state)
{
    struct rate_limit *limit = *state;
    const uint64_t lengths[] = {S, 60 * S, 3600 * S};
    uint64_t now = S;
    for (unsigned window = 0; window < 3; window++) {
        for (unsigned n = 0; n < 100; n++)
            assert_int_equal(take_n(limit, n, window, now), ALLOWED);
        for (unsigned n = 100; n < 200; n++)
            assert_int_equal(take_n(limit, n, 2, now + lengths[window] - 1), RATE_LIMIT_KEYS);
        now += lengths[window];
        for (unsigned n = 100; n < 200; n++)
            assert_int_equal(take_n(limit, n, 2, now), ALLOWED);
        assert_int_equal(take_n(limit, 0, 2, now), RATE_LIMIT_KEYS);
        assert_int_equal(rate_limit_key_count(limit), 100);
        now += 3600 * S;
    }
}

static void
test_a_key_that_is_used_stays(void **state)
{
    struct rate_limit *limit = *state;
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(take_n(limit, n, 1, S), ALLOWED);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take(limit, "key 50", 0, 100, 0, 31 * S), ALLOWED);
    for (unsigned n = 200; n < 299; n++)
        assert_int_equal(take_n(limit, n, 1, 61 * S), ALLOWED);
    assert_int_equal(take_n(limit, 299, 1, 61 * S), RATE_LIMIT_KEYS);
    assert_int_equal(take(limit, "key 50", 0, 3, 0, 61 * S), RATE_LIMIT_MINUTE);
    assert_int_equal(take(limit, "key 50", 0, 4, 0, 61 * S), ALLOWED);
}

/* The hour of a key that is used for its seconds alone from now on still counts. */
static void
test_a_key_stays_for_its_longest_window(void **state)
{
    struct rate_limit *limit = *state;
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(take_n(limit, n, 2, S), ALLOWED);
    for (unsigned n = 0; n < 100; n++)
        assert_int_equal(take_n(limit, n, 0, 2 * S), ALLOWED);
    assert_int_equal(take_n(limit, 100, 0, 3600 * S), RATE_LIMIT_KEYS);
    assert_int_equal(take_n(limit, 100, 0, 3601 * S), ALLOWED);
    assert_int_equal(take(limit, "key 99", 0, 0, 1, 3601 * S), ALLOWED);
}

/* A place that a new key has taken after the table was found full is looked for again. */
static void
test_full_is_found_out_anew(void **state)
{
    struct rate_limit *limit = *state;
    for (unsigned n = 0; n < 99; n++)
        assert_int_equal(take_n(limit, n, 2, S), ALLOWED);
    assert_int_equal(take_n(limit, 99, 1, S), ALLOWED);
    assert_int_equal(take_n(limit, 100, 2, S), RATE_LIMIT_KEYS);
    assert_int_equal(take_n(limit, 100, 0, 61 * S), ALLOWED); /* for one second */
    assert_int_equal(take_n(limit, 101, 2, 61 * S), RATE_LIMIT_KEYS);
    assert_int_equal(take_n(limit, 101, 2, 62 * S), ALLOWED);
}

static void
test_no_keys_at_all(void **state)
{
    struct rate_limit *limit = rate_limit_new(0);
    assert_non_null(limit);
    assert_int_equal(take(limit, "k", 1, 1, 1, S), RATE_LIMIT_KEYS);
    assert_int_equal(take(limit, "k", 0, 0, 0, S), ALLOWED);
    rate_limit_free(limit);
    rate_limit_free(NULL);
}

/* Against a list of keys, each with when it was last allowed and for which window. */
static void
test_random_keys_against_a_list(void **state)
{
    enum { NAMES = 150, PLACES = 40 };
    const uint64_t lengths[] = {S, 60 * S, 3600 * S};
    uint64_t free_at[NAMES] = {0}, now = 3600 * S;
    struct rate_limit *limit = rate_limit_new(PLACES);
    srand(7);
    for (unsigned turn = 0; turn < 200000; turn++) {
        unsigned n = (unsigned)rand() % NAMES, window = (unsigned)rand() % 3, held = 0;
        uint64_t per_window[3] = {0};
        char text[32];
        now += (uint64_t)rand() % (rand() % 100 ? S : 300 * S);
        if (rand() % 3)
            window = 0;
        per_window[window] = UINT64_MAX;
        for (unsigned i = 0; i < NAMES; i++)
            held += free_at[i] > now;
        enum rate_limit_result expected =
            held < PLACES || free_at[n] > now ? RATE_LIMIT_ALLOWED : RATE_LIMIT_KEYS;
        if (rate_limit_take(limit, numbered(text, n), per_window, now) != expected)
            fail_msg("turn %u: not %u with %u keys", turn, expected, held);
        if (expected == RATE_LIMIT_ALLOWED && now + lengths[window] > free_at[n])
            free_at[n] = now + lengths[window];
        assert_in_range(rate_limit_key_count(limit), 1, PLACES);
    }
    rate_limit_free(limit);
}

/* --- threads --- */

enum { THREADS = 4, TURNS = 20000 };

struct worker {
    pthread_t thread;
    struct rate_limit *limit;
    unsigned seed, allowed, refused, full;
    bool own_keys;
};

static void *
worker_main(void *arg)
{
    struct worker *worker = arg;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned n = worker->own_keys ? worker->seed * TURNS + turn : turn % 7;
        char text[32];
        const uint64_t per_window[] = {0, 1000, 1000};
        /* Own keys: their hours are over one after the other. */
        uint64_t now = worker->own_keys ? (3600 + (uint64_t)turn) * S : S + worker->seed;
        enum rate_limit_result result =
            rate_limit_take(worker->limit, numbered(text, n), per_window, now);
        worker->allowed += result == RATE_LIMIT_ALLOWED;
        worker->refused += result == RATE_LIMIT_MINUTE;
        worker->full += result == RATE_LIMIT_KEYS;
        if (turn % 100 == 0)
            assert_in_range(rate_limit_key_count(worker->limit), 0, 200);
    }
    return NULL;
}

static void
run_threads(struct rate_limit *limit, bool own_keys, struct worker *sum)
{
    struct worker workers[THREADS];
    *sum = (struct worker){0};
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.limit = limit, .seed = i, .own_keys = own_keys};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        sum->allowed += workers[i].allowed;
        sum->refused += workers[i].refused;
        sum->full += workers[i].full;
    }
}

static void
test_threads_share_the_limits(void **state)
{
    struct worker sum;
    run_threads(*state, false, &sum);
    assert_int_equal(sum.allowed, 7 * 1000);
    assert_int_equal(sum.refused, THREADS * TURNS - 7 * 1000);
    assert_int_equal(sum.full, 0);
}

static void
test_threads_with_more_keys_than_places(void **state)
{
    struct rate_limit *limit = rate_limit_new(200);
    struct worker sum;
    run_threads(limit, true, &sum);
    assert_int_equal(sum.refused, 0);
    assert_int_equal(sum.allowed + sum.full, THREADS * TURNS);
    assert_in_range(sum.allowed, 200, THREADS * TURNS);
    assert_true(sum.full > 0);
    rate_limit_free(limit);
}

int
main(void)
{
#define with_limit(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        with_limit(test_each_window_has_its_limit),
        with_limit(test_the_shortest_window_is_named_first),
        with_limit(test_what_is_refused_is_counted_nowhere),
        with_limit(test_a_limit_of_0_is_none),
        with_limit(test_a_clock_that_is_behind_counts_as_now),
        with_limit(test_keys_are_apart_and_any_bytes),
        with_limit(test_as_many_keys_as_configured),
        with_limit(test_keys_that_allow_everything_again_make_room),
        with_limit(test_a_key_that_is_used_stays),
        with_limit(test_a_key_stays_for_its_longest_window),
        with_limit(test_full_is_found_out_anew),
        cmocka_unit_test(test_no_keys_at_all),
        cmocka_unit_test(test_random_keys_against_a_list),
        with_limit(test_threads_share_the_limits),
        cmocka_unit_test(test_threads_with_more_keys_than_places),
    };
    return cmocka_run_group_tests_name("rate_limit", tests, NULL, NULL);
}
