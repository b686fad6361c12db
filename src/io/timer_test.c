#include "io/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

/* A timer that counts, and may do something more when it fires. */
struct probe {
    struct timer timer; /* first */
    struct timer_heap *heap;
    unsigned fired;
    uint64_t again_ns;     /* arm itself for then, once */
    struct probe *clear;   /* clear this one */
    unsigned *order, rank; /* note when it came */
};

static void
probe_fire(struct timer *timer)
{
    struct probe *probe = (struct probe *)timer;
    probe->fired++;
    assert_int_equal(timer->deadline_ns, 0);
    if (probe->order)
        probe->rank = ++*probe->order;
    if (probe->clear)
        timer_clear(probe->heap, &probe->clear->timer);
    if (probe->again_ns)
        timer_set(probe->heap, timer, probe->again_ns);
    probe->again_ns = 0;
}

static void
probe_init(struct probe *probe, struct timer_heap *heap)
{
    *probe = (struct probe){.heap = heap};
    timer_init(&probe->timer, probe_fire);
}

static void
an_empty_heap_never_has_to_run(void **state)
{
    struct timer_heap heap = {0};
    struct probe probe;
    probe_init(&probe, &heap);
    timer_clear(&heap, &probe.timer);
    timer_run(&heap, UINT64_MAX);
    assert_true(timer_next_ns(&heap) == UINT64_MAX);
    timer_heap_deinit(&heap);
}

static void
timers_fire_in_order_and_not_early(void **state)
{
    struct timer_heap heap = {0};
    struct probe probes[5];
    static const uint64_t deadlines[] = {50, 10, 40, 20, 30};
    unsigned order = 0;
    for (unsigned i = 0; i < 5; i++) {
        probe_init(&probes[i], &heap);
        probes[i].order = &order;
        timer_set(&heap, &probes[i].timer, deadlines[i]);
    }
    timer_run(&heap, 9);
    assert_int_equal(order, 0);
    assert_int_equal(timer_next_ns(&heap), 10);
    timer_run(&heap, 10);
    assert_int_equal(order, 1);
    timer_run(&heap, 100);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(probes[i].rank, deadlines[i] / 10);
    timer_heap_deinit(&heap);
}

static void
a_timer_moved_later_fires_then(void **state)
{
    struct timer_heap heap = {0};
    struct probe probe;
    probe_init(&probe, &heap);
    timer_set(&heap, &probe.timer, 10);
    timer_set(&heap, &probe.timer, 100);
    timer_run(&heap, 50);
    assert_int_equal(probe.fired, 0);
    assert_int_equal(timer_next_ns(&heap), 100);
    timer_set(&heap, &probe.timer, 60);
    assert_int_equal(timer_next_ns(&heap), 60);
    timer_run(&heap, 60);
    assert_int_equal(probe.fired, 1);
    timer_heap_deinit(&heap);
}

static void
a_timer_may_arm_itself_and_clear_others(void **state)
{
    struct timer_heap heap = {0};
    struct probe first, second;
    probe_init(&first, &heap);
    probe_init(&second, &heap);
    first.again_ns = 30;
    first.clear = &second;
    timer_set(&heap, &first.timer, 10);
    timer_set(&heap, &second.timer, 11);
    timer_run(&heap, 20);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    timer_run(&heap, 30);
    assert_int_equal(first.fired, 2);
    assert_true(timer_next_ns(&heap) == UINT64_MAX);
    timer_heap_deinit(&heap);
}

/* --- against a model: a plain list of deadlines --- */

enum { MODEL_TIMERS = 100, MODEL_STEPS = 20000 };

static uint64_t
random_below(uint64_t *seed, uint64_t bound)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % bound;
}

static void
assert_as_model(const struct probe *probes, const uint64_t *model, const unsigned *fired,
                const struct timer_heap *heap)
{
    uint64_t first = UINT64_MAX;
    size_t armed = 0;
    for (unsigned i = 0; i < MODEL_TIMERS; i++) {
        assert_int_equal(probes[i].timer.deadline_ns, model[i]);
        assert_int_equal(probes[i].fired, fired[i]);
        assert_int_equal(probes[i].timer.index != 0, model[i] != 0);
        if (model[i] && model[i] < first)
            first = model[i];
        armed += model[i] != 0;
    }
    assert_int_equal(heap->count, armed);
    assert_true(timer_next_ns(heap) <= first);
}

static void
random_operations_agree_with_a_list(void **state)
{
    struct timer_heap heap = {0};
    struct probe probes[MODEL_TIMERS];
    uint64_t model[MODEL_TIMERS] = {0}, seed = 1, now = 1;
    unsigned fired[MODEL_TIMERS] = {0};
    for (unsigned i = 0; i < MODEL_TIMERS; i++)
        probe_init(&probes[i], &heap);
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        unsigned at = (unsigned)random_below(&seed, MODEL_TIMERS);
        switch (random_below(&seed, 8)) {
        case 0:
            timer_clear(&heap, &probes[at].timer);
            model[at] = 0;
            break;
        case 1:
            now += random_below(&seed, 40);
            timer_run(&heap, now);
            for (unsigned i = 0; i < MODEL_TIMERS; i++)
                if (model[i] && model[i] <= now) {
                    fired[i]++;
                    model[i] = 0;
                }
            break;
        default:
            model[at] = now + random_below(&seed, 200);
            timer_set(&heap, &probes[at].timer, model[at]);
        }
        assert_as_model(probes, model, fired, &heap);
    }
    timer_heap_deinit(&heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_never_has_to_run),
        cmocka_unit_test(timers_fire_in_order_and_not_early),
        cmocka_unit_test(a_timer_moved_later_fires_then),
        cmocka_unit_test(a_timer_may_arm_itself_and_clear_others),
        cmocka_unit_test(random_operations_agree_with_a_list),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
