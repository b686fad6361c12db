#include "bpf/run.h"

#include "base/limits.h"
#include "bpf/script_test_run.h"

#include <pthread.h>

/* r0 = the sum of the arguments, each with its own weight. */
static const struct spec add_args = {PROGRAM(CALL(H_ADD), EXIT)};
/* for (;;) {} */
static const struct spec endless = {PROGRAM(GOTO(-1), EXIT)};
/* Counts r1 down to 0, r0 up. */
static const struct spec counts = {
    PROGRAM(MOV_I(R0, 0), JMP_I(JEQ, R1, 0, 3), ALU64_I(ADD, R0, 1), ALU64_I(SUB, R1, 1), GOTO(-4),
            EXIT),
};
/* Waits r6 = r1 times; r0 = r7 = r2 + the answers; r9 and its stack say so too. */
static const struct spec waits = {
    PROGRAM(MOV_R(R6, R1), MOV_R(R7, R2), MOV_I(R8, 8), MOV_I(R9, 0), STX(DW, R10, -8, R2),
            JMP_I(JEQ, R6, 0, 7), MOV_R(R1, R6), CALL(H_WAIT), ALU64_R(ADD, R7, R0),
            ALU64_I(SUB, R6, 1), ALU64_I(ADD, R9, 1), ATOMIC(DW, ADD, R10, -8, R0), GOTO(-8),
            LDX(DW, R0, R10, -8), JMP_R(JNE, R0, R7, 2), JMP_I(JNE, R8, 8, 1), EXIT, MOV_I(R0, -1),
            EXIT),
};

static void
a_run_has_its_arguments_and_a_result(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &add_args);
    expect_done(test_run_new(pool, ARGS(1, 2, 3, 4, 5)), 54321);
    expect_done(test_run_new(pool, NULL), 0);
    struct bpf_run *run = bpf_run_new(pool, 0, NULL);
    bpf_run_set_args(run, (const uint64_t[]){7, 8}, 2);
    expect_done(run, 87);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
a_run_begins_where_it_is_told_to(void **state)
{
    const struct spec spec = {PROGRAM(MOV_I(R0, 1), EXIT, MOV_I(R0, 2), EXIT), .split = 2};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    for (int i = 0; i < 3; i++) {
        expect_done(bpf_run_new(pool, 0, NULL), 1);
        int64_t second = bpf_program_entry(pool->program, STR("second"));
        assert_int_equal(second, 2);
        expect_done(bpf_run_new(pool, (uint32_t)second, NULL), 2);
    }
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
all_registers_are_0_but_for_arguments(void **state)
{
    const struct spec spec = {
        PROGRAM(ALU64_R(OR, R0, R1), ALU64_R(OR, R0, R2), ALU64_R(OR, R0, R3), ALU64_R(OR, R0, R4),
                ALU64_R(OR, R0, R5), ALU64_R(OR, R0, R6), ALU64_R(OR, R0, R7), ALU64_R(OR, R0, R8),
                ALU64_R(OR, R0, R9), EXIT),
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    expect_only_done(&vm, &spec, NULL, 0);
    expect_only_done(&vm, &spec, ARGS(1, 2, 4, 8, 16), 31);
    vm_deinit(&vm);
}

static void
arguments_by_address_go_in_and_come_out(void **state)
{
    /* adds 1 to what is there, and answers what is behind it */
    const struct spec spec = {
        PROGRAM(MOV_I(R1, BPF_ARGS), LDX(DW, R0, R1, 0), ALU64_I(ADD, R0, 1), STX(DW, R1, 0, R0),
                LDX(DW, R0, R1, 8), EXIT),
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    for (uint64_t i = 0; i < 3; i++) {
        struct bpf_run *run = test_run_new(pool, NULL);
        uint64_t values[2] = {i * 1000, i + 5};
        memcpy(bpf_run_args(run, sizeof values), values, sizeof values);
        assert_int_equal(test_finish(run), BPF_DONE);
        assert_int_equal(bpf_run_result(run), i + 5);
        memcpy(values, bpf_run_args(run, sizeof values), sizeof values);
        assert_int_equal(values[0], i * 1000 + 1);
        bpf_run_free(run);
    }
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
helpers_know_whose_run_it_is(void **state)
{
    const struct spec spec = {PROGRAM(CALL(H_USER), EXIT)};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    int a, b;
    expect_done(bpf_run_new(pool, 0, &a), (uint64_t)(uintptr_t)&a);
    expect_done(bpf_run_new(pool, 0, &b), (uint64_t)(uintptr_t)&b);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
helpers_have_room_on_the_native_stack(void **state)
{
    const struct spec spec = {PROGRAM(CALL(H_DEEP), EXIT)};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    expect_only_done(&vm, &spec, NULL, 7);
    vm_deinit(&vm);
}

static void
a_helper_that_waits_gives_the_thread_back(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &waits);
    struct bpf_run *run = test_run_new(pool, ARGS(4, 100));
    for (int i = 0; i < 4; i++)
        assert_int_equal(bpf_run_go(run), BPF_WAITING);
    assert_int_equal(bpf_run_go(run), BPF_DONE);
    assert_int_equal(bpf_run_result(run), 100 + 5 + 4 + 3 + 2);
    bpf_run_free(run);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* As many as a server with slow peers has. Each takes its turn, in another order each time. The
 * thread sanitizer allows little address space, so they are small there. */
static void
wait_in_numbers(struct vm *vm, uint32_t count)
{
    struct bpf_pool *pool = spec_pool(vm, &waits);
    struct bpf_run **runs = calloc(count, sizeof(struct bpf_run *));
    assert_non_null(runs);
    for (uint32_t i = 0; i < count; i++) {
        runs[i] = test_run_new(pool, ARGS(3, i));
        assert_int_equal(bpf_run_go(runs[i]), BPF_WAITING);
    }
    assert_int_equal(bpf_pool_stats(pool).running_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(bpf_run_go(runs[count - 1 - i]), BPF_WAITING);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)((uint64_t)i * 7919 % count);
        assert_int_equal(bpf_run_go(runs[at]), BPF_WAITING);
    }
    for (uint32_t i = 0; i < count; i++)
        expect_done(runs[i], i + 4 + 3 + 2);
    struct bpf_pool_stats stats = bpf_pool_stats(pool);
    assert_int_equal(stats.running_count, 0);
    assert_int_equal(stats.idle_count, BPF_SLOTS_IDLE_MAX);
    free(runs);
    bpf_pool_free(pool);
}

static void
wait_in_numbers_small(void *arg)
{
    struct vm vm;
    bpf_cage_set_small();
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    wait_in_numbers(&vm, 3001);
    vm_deinit(&vm);
}

static void
thousands_wait_at_once(void **state)
{
    enum bpf_engine engine = engine_of(state);
    expect_child_passes(wait_in_numbers_small, &engine);
}

static void
a_hundred_wait_at_once_in_large_cages(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    wait_in_numbers(&vm, 101);
    vm_deinit(&vm);
}

static void
a_trap_says_what_and_where(void **state)
{
    const struct spec spec = {PROGRAM(MOV_I(R1, 42), CALL(H_TRAP), EXIT)};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    assert_int_equal(test_finish(run), BPF_TRAPPED);
    char text[200], expected[200];
    const struct bpf_object *object = bpf_program_object(run->program);
    snprintf(expected, sizeof expected, "section %.*s failed at insn 1: asked to stop with 42",
             STR_ARG(object->sections[0].name));
    bpf_run_describe_trap(run, text, sizeof text);
    assert_string_equal(text, expected);
    char cut[12];
    bpf_run_describe_trap(run, cut, sizeof cut);
    assert_int_equal(strlen(cut), 11);
    expect_trapped(run, BPF_TRAP_HELPER, 1, "asked to stop with 42");
    expect_trap(test_run_new(pool, NULL), BPF_TRAP_HELPER, 1, "asked to stop with 42");
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
a_trap_names_section_file_and_line(void **state)
{
    const struct bpf_insn insns[] = {MOV_I(R0, 0), CALL_LOCAL(1), EXIT,
                                     MOV_I(R0, 0), CALL(H_TRAP),  EXIT};
    struct vm vm;
    struct error error = {0};
    struct bpf_object object;
    vm_init(&vm, engine_of(state), 0);
    assert_int_equal(bpf_object_from_insns(&object, insns, 6, (struct str){0}, &error), 0);
    struct bpf_line lines[] = {{0, 3, STR("a.c")}, {4, 99, STR("b.c")}, {5, 100, STR("b.c")}};
    test_split(&object, 3);
    free(object.lines);
    object.lines = malloc(sizeof lines);
    assert_non_null(object.lines);
    memcpy(object.lines, lines, sizeof lines);
    object.line_count = 3;
    struct bpf_program_config config = {.helpers = &script_helpers, .engine = vm.engine};
    struct bpf_program *program;
    struct bpf_pool *pool;
    struct bpf_budget budget = {0};
    assert_int_equal(bpf_program_new(&program, &object, &config, &error), 0);
    assert_int_equal(bpf_pool_new(&pool, vm.worker, program, &budget, &error), 0);
    struct bpf_run *run = bpf_run_new(pool, 0, NULL);
    assert_int_equal(test_finish(run), BPF_TRAPPED);
    char text[200];
    bpf_run_describe_trap(run, text, sizeof text);
    assert_string_equal(text, "section second failed at insn 1 (b.c:99): asked to stop with 0");
    bpf_run_free(run);
    bpf_program_unref(program);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
a_helper_may_end_the_script(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_I(R1, 77), CALL_LOCAL(2), MOV_I(R0, 1), EXIT, CALL(H_END), EXIT),
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    expect_only_done(&vm, &spec, NULL, 77);
    vm_deinit(&vm);
}

static void
a_script_that_is_told_so_yields_and_goes_on(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_R(R6, R1), MOV_I(R7, 0), JMP_I(JEQ, R6, 0, 4), CALL(H_POLL),
                ALU64_I(SUB, R6, 1), ALU64_I(ADD, R7, 3), GOTO(-5), MOV_R(R0, R7), EXIT),
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct bpf_run *run = test_run_new(pool, ARGS(50));
    for (int i = 0; i < 50; i++) {
        assert_int_equal(bpf_run_go(run), BPF_YIELDED);
        assert_int_equal(run->insn, 6);
    }
    assert_int_equal(bpf_run_go(run), BPF_DONE);
    assert_int_equal(bpf_run_result(run), 150);
    bpf_run_free(run);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
fuel_counts_polls(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    for (uint64_t fuel = 1; fuel < 20; fuel++) {
        struct spec spec = counts;
        spec.budget.fuel = fuel;
        /* each time around polls once */
        expect_only_done(&vm, &spec, ARGS(fuel - 1), fuel - 1);
        expect_only_trap(&vm, &spec, ARGS(fuel), BPF_TRAP_CPU, 4, "used up its fuel");
    }
    vm_deinit(&vm);
}

/* Runs until it is throttled; the CPU time that it had. */
static uint64_t
go_to_throttle(struct bpf_run *run)
{
    enum bpf_outcome outcome;
    uint64_t before = bpf_run_cpu_ns(run);
    do
        outcome = bpf_run_go(run);
    while (outcome == BPF_YIELDED);
    assert_int_equal(outcome, BPF_THROTTLED);
    return bpf_run_cpu_ns(run) - before;
}

static void
a_long_script_is_throttled_again_and_again(void **state)
{
    struct spec spec = endless;
    spec.budget = (struct bpf_budget){.throttle_ns = 5 * TEST_MS};
    struct vm vm;
    vm_init(&vm, engine_of(state), TEST_MS / 2);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    for (int i = 0; i < 4; i++)
        assert_true(go_to_throttle(run) >= spec.budget.throttle_ns - TEST_MS / 2);
    bpf_run_free(run);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
a_script_is_stopped_at_its_limit(void **state)
{
    struct spec spec = endless;
    spec.budget = (struct bpf_budget){.throttle_ns = 20 * TEST_MS, .cpu_limit_ns = 110 * TEST_MS};
    struct vm vm;
    vm_init(&vm, engine_of(state), TEST_MS / 2);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    unsigned throttled = 0, yielded = 0;
    enum bpf_outcome outcome;
    while ((outcome = bpf_run_go(run)) != BPF_TRAPPED) {
        throttled += outcome == BPF_THROTTLED;
        yielded += outcome == BPF_YIELDED;
    }
    assert_in_range(throttled, 1, 5); /* fewer when the ticker had to wait for a processor */
    assert_true(yielded > 0);
    assert_true(bpf_run_cpu_ns(run) >= spec.budget.cpu_limit_ns);
    expect_trapped(run, BPF_TRAP_CPU, 0, "used up its CPU time of 110 ms");
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* Waits so often that no tick ever meets it; here, without a ticker. */
static void
waiting_does_not_hide_from_the_budget(void **state)
{
    struct spec spec = {
        PROGRAM(MOV_I(R6, 1000), ALU64_I(SUB, R6, 1), JMP_I(JNE, R6, 0, -2), CALL(H_WAIT), GOTO(-5),
                EXIT),
        .budget = {.throttle_ns = 2 * TEST_MS, .cpu_limit_ns = 7 * TEST_MS},
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    unsigned throttled = 0, waited = 0;
    enum bpf_outcome outcome;
    while ((outcome = bpf_run_go(run)) != BPF_TRAPPED) {
        throttled += outcome == BPF_THROTTLED;
        waited += outcome == BPF_WAITING;
    }
    assert_in_range(throttled, 1, 3);
    assert_in_range(waited, 10, 500000); /* each of which took some time */
    expect_trapped(run, BPF_TRAP_CPU, 3, "used up its CPU time of 7 ms");
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
time_that_others_use_is_not_charged(void **state)
{
    struct spec spec = counts;
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct bpf_run *run = test_run_new(pool, ARGS(1000));
    atomic_store(&run->poll, 1);
    assert_int_equal(bpf_run_go(run), BPF_YIELDED);
    struct timespec start, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 30);
    assert_int_equal(test_finish(run), BPF_DONE);
    assert_true(bpf_run_cpu_ns(run) > 0);
    assert_true(bpf_run_cpu_ns(run) < 20 * TEST_MS);
    bpf_run_free(run);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* --- slots --- */

static void
a_run_may_be_freed_in_any_state(void **state)
{
    struct spec spec = waits;
    struct vm vm;
    vm_init(&vm, engine_of(state), TEST_MS / 2);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct spec long_spec = endless;
    long_spec.budget.throttle_ns = TEST_MS;
    struct bpf_pool *long_pool = spec_pool(&vm, &long_spec);
    for (int i = 0; i < 5; i++) {
        bpf_run_free(test_run_new(pool, NULL));
        struct bpf_run *waiting = test_run_new(pool, ARGS(1, 2));
        assert_int_equal(bpf_run_go(waiting), BPF_WAITING);
        bpf_run_free(waiting);
        struct bpf_run *yielded = test_run_new(long_pool, NULL);
        assert_int_equal(bpf_run_go(yielded), BPF_YIELDED);
        bpf_run_free(yielded);
        struct bpf_run *throttled = test_run_new(long_pool, NULL);
        go_to_throttle(throttled);
        bpf_run_free(throttled);
        expect_done(test_run_new(pool, ARGS(2, 10)), 15);
    }
    bpf_run_free(NULL);
    assert_int_equal(bpf_pool_stats(pool).running_count, 0);
    assert_int_equal(bpf_pool_stats(pool).idle_count, 1);
    assert_int_equal(bpf_pool_stats(long_pool).idle_count, 1);
    bpf_pool_free(pool);
    bpf_pool_free(long_pool);
    vm_deinit(&vm);
}

static void
slots_are_used_again(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &add_args);
    struct bpf_run *first = test_run_new(pool, NULL), *second = test_run_new(pool, NULL);
    assert_ptr_not_equal(first, second);
    bpf_run_free(first);
    assert_ptr_equal(test_run_new(pool, NULL), first);
    bpf_run_free(second);
    bpf_run_free(first);
    assert_ptr_equal(test_run_new(pool, NULL), first);
    bpf_run_free(first);
    assert_int_equal(bpf_pool_stats(pool).idle_count, 2);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
fill_process(void *arg)
{
    static struct bpf_run *runs[BPF_SLOTS_MAX];
    struct vm vm;
    bpf_cage_set_small();
    vm_init(&vm, BPF_ENGINE_INTERP, 0);
    struct spec spec = add_args;
    spec.ro_len = spec.data_len = 100;
    struct bpf_pool *pool = spec_pool(&vm, &spec), *other = spec_pool(&vm, &spec);
    /* what another pool keeps does not count */
    for (unsigned i = 0; i < 2; i++)
        runs[i] = test_run_new(other, NULL);
    for (unsigned i = 0; i < 2; i++)
        bpf_run_free(runs[i]);
    assert_int_equal(bpf_pool_stats(other).idle_count, 2);
    for (unsigned i = 0; i < BPF_SLOTS_MAX; i++)
        runs[i] = test_run_new(pool, NULL);
    assert_int_equal(bpf_pool_stats(other).idle_count, 0);
    assert_null(bpf_run_new(pool, 0, NULL));
    assert_null(bpf_run_new(other, 0, NULL));
    /* so many that pools keep one only, and the other one has its share */
    for (unsigned i = 0; i < 3; i++)
        bpf_run_free(runs[i]);
    assert_int_equal(bpf_pool_stats(pool).idle_count, 1);
    for (unsigned i = 0; i < 3; i++)
        runs[i] = test_run_new(other, NULL);
    assert_null(bpf_run_new(pool, 0, NULL));
    for (unsigned i = 0; i < BPF_SLOTS_MAX; i++)
        expect_done(runs[i], 0);
    assert_int_equal(bpf_pool_stats(pool).idle_count, BPF_SLOTS_IDLE_MAX);
    bpf_pool_free(pool);
    bpf_pool_free(other);
    vm_deinit(&vm);
}

static void
slots_of_a_process_are_limited_and_shared(void **state)
{
    if (TEST_TSAN)
        skip(); /* its own mappings use up what a process may have */
    expect_child_passes(fill_process, NULL);
}

/* --- threads --- */

struct racer {
    pthread_t thread;
    struct bpf_ticker *ticker;
    struct bpf_program *program;
    uint64_t wrong;
};

enum { RACERS = 3, RACES = 300 };

static void
race_one(struct racer *racer, struct bpf_pool *pool, uint64_t times)
{
    struct bpf_run *run = bpf_run_new(pool, 0, NULL);
    bpf_run_set_args(run, &times, 1);
    while (bpf_run_go(run) != BPF_DONE) {
    }
    racer->wrong += bpf_run_result(run) != times;
    bpf_run_free(run);
}

static void *
race(void *arg)
{
    struct racer *racer = arg;
    struct error error;
    struct bpf_worker *worker;
    struct bpf_pool *pool;
    const struct bpf_budget budget = {.throttle_ns = TEST_MS};
    if (bpf_worker_new(&worker, racer->ticker, &error) < 0 ||
        bpf_pool_new(&pool, worker, racer->program, &budget, &error) < 0) {
        racer->wrong = 1000;
        return NULL;
    }
    for (uint64_t i = 0; i < RACES; i++)
        race_one(racer, pool, i % 30 == 0 ? 200000 : i);
    bpf_pool_free(pool);
    bpf_worker_free(worker);
    bpf_program_unref(racer->program);
    return NULL;
}

static void
threads_share_a_program(void **state)
{
    struct vm vm = {.engine = engine_of(state)};
    struct error error = {0};
    struct racer racers[RACERS];
    struct bpf_ticker *ticker;
    struct bpf_program *program = spec_load(&vm, &counts, &error);
    assert_non_null(program);
    assert_int_equal(bpf_ticker_new(&ticker, TEST_MS / 5, &error), 0);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.ticker = ticker, .program = bpf_program_ref(program)};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    bpf_program_unref(program);
    for (unsigned i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_int_equal(racers[i].wrong, 0);
    }
    bpf_ticker_free(ticker);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_run_has_its_arguments_and_a_result),
        BOTH(a_run_begins_where_it_is_told_to),
        BOTH(all_registers_are_0_but_for_arguments),
        BOTH(arguments_by_address_go_in_and_come_out),
        BOTH(helpers_know_whose_run_it_is),
        BOTH(helpers_have_room_on_the_native_stack),
        BOTH(a_helper_that_waits_gives_the_thread_back),
        BOTH(thousands_wait_at_once),
        BOTH(a_hundred_wait_at_once_in_large_cages),
        BOTH(a_trap_says_what_and_where),
        BOTH(a_trap_names_section_file_and_line),
        BOTH(a_helper_may_end_the_script),
        BOTH(a_script_that_is_told_so_yields_and_goes_on),
        BOTH(fuel_counts_polls),
        BOTH(a_long_script_is_throttled_again_and_again),
        BOTH(a_script_is_stopped_at_its_limit),
        BOTH(waiting_does_not_hide_from_the_budget),
        BOTH(time_that_others_use_is_not_charged),
        BOTH(a_run_may_be_freed_in_any_state),
        BOTH(slots_are_used_again),
        cmocka_unit_test(slots_of_a_process_are_limited_and_shared),
        BOTH(threads_share_a_program),
    };
    return cmocka_run_group_tests_name("bpf run", tests, NULL, NULL);
}
