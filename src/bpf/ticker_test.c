#include "bpf/worker.h"

#include "bpf/script_test_run.h"

#include <time.h>

/* Runs here are a struct without a cage: the ticker knows no more of them. */
enum { TICK_NS = 200 * 1000, PATIENCE_S = 20 };

struct scene {
    struct bpf_ticker *ticker;
    struct bpf_worker worker;
    struct bpf_run run;
};

static struct scene *
scene_new(void)
{
    struct error error;
    struct scene *scene = aligned_alloc(BPF_SHARED_ALIGN, sizeof *scene);
    assert_non_null(scene);
    memset(scene, 0, sizeof *scene);
    assert_int_equal(bpf_ticker_new(&scene->ticker, TICK_NS, &error), 0);
    scene->worker.ticker = scene->ticker;
    bpf_ticker_add(scene->ticker, &scene->worker);
    return scene;
}

static void
scene_free(struct scene *scene)
{
    bpf_ticker_remove(scene->ticker, &scene->worker);
    bpf_ticker_free(scene->ticker);
    free(scene);
}

static double
now_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
pause_us(unsigned us)
{
    const struct timespec time = {0, (long)us * 1000};
    nanosleep(&time, NULL);
}

static bool
is_polled(const struct scene *scene)
{
    return atomic_load(&scene->run.poll) != 0;
}

static bool
is_asleep(const struct scene *scene)
{
    return atomic_load(&scene->ticker->asleep);
}

/* Whether it comes to be so, with much patience for machines that are busy. */
static bool
becomes(bool (*is)(const struct scene *scene), const struct scene *scene)
{
    double end = now_s(CLOCK_MONOTONIC) + PATIENCE_S;
    while (!is(scene)) {
        if (now_s(CLOCK_MONOTONIC) > end)
            return false;
        pause_us(20);
    }
    return true;
}

static void
begin(struct scene *scene)
{
    atomic_store(&scene->run.poll, 0);
    bpf_worker_begin(&scene->worker, &scene->run);
}

static void
a_long_run_is_told_to_poll_again_and_again(void **state)
{
    struct scene *scene = scene_new();
    begin(scene);
    for (int i = 0; i < 20; i++) {
        double start = now_s(CLOCK_MONOTONIC);
        assert_true(becomes(is_polled, scene));
        /* one tick at least after it had the thread again */
        if (i > 0)
            assert_true(now_s(CLOCK_MONOTONIC) - start >= TICK_NS / 1e9);
        bpf_worker_end(&scene->worker);
        begin(scene);
    }
    bpf_worker_end(&scene->worker);
    scene_free(scene);
}

static void
short_runs_are_left_alone(void **state)
{
    struct scene *scene = scene_new();
    double end = now_s(CLOCK_MONOTONIC) + 0.1;
    unsigned polled = 0, count = 0;
    while (now_s(CLOCK_MONOTONIC) < end) {
        begin(scene);
        polled += is_polled(scene);
        bpf_worker_end(&scene->worker);
        count++;
    }
    /* only while this thread was kept from running */
    assert_true(count > 100 && polled < count / 20);
    scene_free(scene);
}

static void
it_sleeps_while_nothing_runs(void **state)
{
    struct scene *scene = scene_new();
    clockid_t clock;
    assert_int_equal(pthread_getcpuclockid(scene->ticker->thread, &clock), 0);
    assert_true(becomes(is_asleep, scene));
    /* it looks once more before it does, when it gets a processor */
    double before = now_s(clock), after = before + 1;
    for (int i = 0; after != before && i < PATIENCE_S * 5; i++) {
        before = now_s(clock);
        pause_us(200 * 1000);
        after = now_s(clock);
    }
    assert_true(after == before);
    assert_true(is_asleep(scene));
    scene_free(scene);
}

static void
it_does_not_sleep_while_something_runs(void **state)
{
    struct scene *scene = scene_new();
    begin(scene);
    assert_true(becomes(is_polled, scene));
    double end = now_s(CLOCK_MONOTONIC) + 0.05;
    while (now_s(CLOCK_MONOTONIC) < end) {
        assert_false(is_asleep(scene));
        pause_us(100);
    }
    bpf_worker_end(&scene->worker);
    assert_true(becomes(is_asleep, scene));
    scene_free(scene);
}

/* Begins at all times around its falling asleep. */
static void
a_run_that_begins_while_it_falls_asleep_is_seen(void **state)
{
    struct scene *scene = scene_new();
    for (unsigned i = 0; i < 150; i++) {
        if (i % 3 == 0)
            assert_true(becomes(is_asleep, scene));
        pause_us(i * 37 % 400 + i % 3 * TICK_NS / 1000 * 4);
        begin(scene);
        assert_true(becomes(is_polled, scene));
        bpf_worker_end(&scene->worker);
    }
    scene_free(scene);
}

/* Mapped and unmapped under its eyes: none is left in a pool, since each time all are freed. */
static void
a_slot_may_go_at_any_time(void **state)
{
    struct spec spec = {PROGRAM(MOV_R(R6, R1), ALU64_I(SUB, R6, 1), JMP_I(JNE, R6, 0, -2), EXIT)};
    struct vm vm;
    vm_init(&vm, engine_of(state), TICK_NS);
    for (uint64_t i = 0; i < 200; i++)
        expect_only_done(&vm, &spec, ARGS(1 + i % 4 * 50000), 0);
    vm_deinit(&vm);
}

struct holder {
    pthread_t thread;
    struct bpf_ticker *ticker;
    atomic_int step;
};

/* As the ticker while it looks at runs. */
static void *
hold_lock(void *arg)
{
    struct holder *holder = arg;
    pthread_mutex_lock(&holder->ticker->lock);
    atomic_store(&holder->step, 1);
    pause_us(50 * 1000);
    atomic_store(&holder->step, 2);
    pthread_mutex_unlock(&holder->ticker->lock);
    return NULL;
}

static void
no_slot_goes_while_the_ticker_looks(void **state)
{
    struct spec spec = {PROGRAM(EXIT)};
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_INTERP, TICK_NS);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    expect_done(test_run_new(pool, NULL), 0);
    struct holder holder = {.ticker = vm.ticker};
    assert_int_equal(pthread_create(&holder.thread, NULL, hold_lock, &holder), 0);
    while (atomic_load(&holder.step) == 0)
        pause_us(100);
    bpf_pool_free(pool);
    assert_int_equal(atomic_load(&holder.step), 2);
    pthread_join(holder.thread, NULL);
    vm_deinit(&vm);
}

static void
workers_come_and_go(void **state)
{
    struct scene *scene = scene_new();
    struct bpf_worker *others = aligned_alloc(BPF_SHARED_ALIGN, 3 * sizeof *others);
    assert_non_null(others);
    memset(others, 0, 3 * sizeof *others);
    for (int i = 0; i < 3; i++)
        bpf_ticker_add(scene->ticker, &others[i]);
    bpf_ticker_remove(scene->ticker, &others[1]);
    bpf_ticker_remove(scene->ticker, &others[2]);
    begin(scene);
    assert_true(becomes(is_polled, scene));
    bpf_worker_end(&scene->worker);
    bpf_ticker_remove(scene->ticker, &others[0]);
    begin(scene);
    assert_true(becomes(is_polled, scene));
    bpf_worker_end(&scene->worker);
    free(others);
    scene_free(scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_run_is_told_to_poll_again_and_again),
        cmocka_unit_test(short_runs_are_left_alone),
        cmocka_unit_test(it_sleeps_while_nothing_runs),
        cmocka_unit_test(it_does_not_sleep_while_something_runs),
        cmocka_unit_test(a_run_that_begins_while_it_falls_asleep_is_seen),
        BOTH(a_slot_may_go_at_any_time),
        cmocka_unit_test(no_slot_goes_while_the_ticker_looks),
        cmocka_unit_test(workers_come_and_go),
    };
    return cmocka_run_group_tests_name("bpf ticker", tests, NULL, NULL);
}
