#include "bpf/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STACK_LEN = 128 << 10, MANY = 50 };

struct trip {
    struct bpf_fiber fiber;
    char *stack;
    int steps, seen;
    uintptr_t frame;
    double sum;
};

static struct trip *
trip_new(void)
{
    struct trip *trip = calloc(1, sizeof *trip);
    assert_non_null(trip);
    trip->stack = aligned_alloc(4096, STACK_LEN);
    assert_non_null(trip->stack);
    memset(trip->stack, 0xa5, STACK_LEN);
    bpf_fiber_init(&trip->fiber, trip->stack, STACK_LEN);
    return trip;
}

static void
trip_free(struct trip *trip)
{
    bpf_fiber_deinit(&trip->fiber);
    free(trip->stack);
    free(trip);
}

static void
note_frame(void *arg)
{
    struct trip *trip = arg;
    trip->frame = (uintptr_t)__builtin_frame_address(0);
    trip->seen++;
}

static void
main_runs_on_the_stack_it_was_given(void **state)
{
    struct trip *trip = trip_new();
    uintptr_t low = (uintptr_t)trip->stack;
    for (int i = 1; i <= 3; i++) {
        bpf_fiber_start(&trip->fiber, note_frame, trip);
        assert_int_equal(trip->seen, i);
        assert_true(trip->frame > low && trip->frame < low + STACK_LEN);
        assert_int_equal(trip->frame % 16, 0);
    }
    trip_free(trip);
}

/* More values than there are registers are alive across each leave, whole ones and others. */
static void
walk(void *arg)
{
    struct trip *trip = arg;
    uint64_t a = 1, b = 2, c = 3, d = 5, e = 7, f = 11, g = 13;
    double x = 0.5, y = 0.25, z = 0.125;
    for (int i = 0; i < trip->steps; i++) {
        trip->seen++;
        bpf_fiber_leave(&trip->fiber);
        a += 1, b += 2, c += 3, d += 5, e += 7, f += 11, g += 13;
        x += 0.5, y += 0.25, z += 0.125;
    }
    uint64_t n = (uint64_t)trip->steps + 1;
    assert_true(a == n && b == 2 * n && c == 3 * n && d == 5 * n && e == 7 * n && f == 11 * n &&
                g == 13 * n);
    trip->sum = x + y + z;
}

static void
what_is_alive_survives_leaving_on_both_sides(void **state)
{
    struct trip *trip = trip_new();
    uint64_t a = 1, b = 2, c = 3, d = 5, e = 7, f = 11, g = 13;
    double x = 0.5, y = 0.25, z = 0.125;
    trip->steps = 100;
    bpf_fiber_start(&trip->fiber, walk, trip);
    for (int i = 0; i < trip->steps; i++) {
        assert_int_equal(trip->seen, i + 1);
        bpf_fiber_resume(&trip->fiber);
        a += 1, b += 2, c += 3, d += 5, e += 7, f += 11, g += 13;
        x += 0.5, y += 0.25, z += 0.125;
    }
    uint64_t n = (uint64_t)trip->steps + 1;
    assert_true(a == n && b == 2 * n && c == 3 * n && d == 5 * n && e == 7 * n && f == 11 * n &&
                g == 13 * n);
    assert_true(trip->sum == x + y + z);
    trip_free(trip);
}

static void __attribute__((noinline)) resume_deep(struct trip *trip, int depth)
{
    volatile char room[256];
    room[0] = (char)depth;
    if (depth > 0)
        resume_deep(trip, depth - 1);
    else
        bpf_fiber_resume(&trip->fiber);
    assert_int_equal(room[0], (char)depth);
}

static void
an_owner_may_resume_from_any_depth(void **state)
{
    struct trip *trip = trip_new();
    trip->steps = 20;
    bpf_fiber_start(&trip->fiber, walk, trip);
    for (int i = 0; i < trip->steps; i++)
        resume_deep(trip, (i * 7) % 11);
    assert_true(trip->sum > 0);
    trip_free(trip);
}

static void
one_that_was_left_can_be_started_anew(void **state)
{
    struct trip *trip = trip_new();
    trip->steps = 3;
    for (int i = 1; i <= 10; i++) {
        bpf_fiber_start(&trip->fiber, walk, trip);
        bpf_fiber_resume(&trip->fiber);
        assert_int_equal(trip->seen, 2 * i);
    }
    bpf_fiber_start(&trip->fiber, note_frame, trip);
    assert_int_equal(trip->seen, 21);
    trip_free(trip);
}

static void __attribute__((noinline)) end_deep(struct trip *trip, int depth)
{
    volatile char room[512];
    room[0] = (char)depth;
    trip->seen++;
    if (depth == 0)
        bpf_fiber_end(&trip->fiber);
    if (depth > 0)
        end_deep(trip, depth - 1);
    trip->seen += room[0] + 1000;
}

static void
end_somewhere(void *arg)
{
    end_deep(arg, 9);
}

static void
one_may_end_anywhere(void **state)
{
    struct trip *trip = trip_new();
    for (int i = 1; i <= 100; i++) {
        bpf_fiber_start(&trip->fiber, end_somewhere, trip);
        assert_int_equal(trip->seen, 10 * i);
    }
    trip_free(trip);
}

static void
many_take_turns(void **state)
{
    struct trip *trips[MANY];
    for (int i = 0; i < MANY; i++) {
        trips[i] = trip_new();
        trips[i]->steps = 10 + i;
        bpf_fiber_start(&trips[i]->fiber, walk, trips[i]);
    }
    for (int step = 0; step < 10 + MANY; step++) {
        for (int i = MANY; i-- > 0;) {
            if (step < trips[i]->steps)
                bpf_fiber_resume(&trips[i]->fiber);
        }
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(trips[i]->seen, trips[i]->steps);
        assert_true(trips[i]->sum > 0);
        trip_free(trips[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(main_runs_on_the_stack_it_was_given),
        cmocka_unit_test(what_is_alive_survives_leaving_on_both_sides),
        cmocka_unit_test(an_owner_may_resume_from_any_depth),
        cmocka_unit_test(one_that_was_left_can_be_started_anew),
        cmocka_unit_test(one_may_end_anywhere),
        cmocka_unit_test(many_take_turns),
    };
    return cmocka_run_group_tests_name("bpf fiber", tests, NULL, NULL);
}
