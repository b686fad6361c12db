#include "bpf/run.h"

#include "bpf/script_test_run.h"

#include <pthread.h>
#include <time.h>

enum { TICK_NS = 200 * 1000, LEVELS = 8 };

/* r1 calls within each other, from both pools in turn, the innermost of which does what follows
 * with r2 and r3. r0 = its r0 + the number of calls, or -1 where a register or the stack was lost.
 */
#define NEST(...)                                                                                  \
    PROGRAM(MOV_R(R6, R1), STX(DW, R10, -8, R1), JMP_I(JEQ, R6, 0, 13), MOV_R(R4, R3),             \
            MOV_R(R3, R2), MOV_R(R2, R6), ALU64_I(SUB, R2, 1), MOV_R(R1, R2), ALU64_I(AND, R1, 1), \
            CALL(H_NEST), LDX(DW, R1, R10, -8), JMP_R(JNE, R1, R6, 2), ALU64_I(ADD, R0, 1), EXIT,  \
            MOV_I(R0, -1), EXIT, __VA_ARGS__)
enum { CALL_INSN = 9, INNERMOST_INSN = 16 };

/* What they do there. */
static const struct spec ends = {NEST(MOV_R(R0, R2), EXIT)};
static const struct spec spins = {NEST(GOTO(-1), EXIT)};
static const struct spec traps = {NEST(MOV_R(R1, R2), CALL(H_TRAP), EXIT)};
static const struct spec ends_early = {NEST(MOV_R(R1, R2), CALL(H_END), EXIT)};
/* r2 times; r0 = r3 + the answers */
static const struct spec waits = {
    NEST(MOV_R(R6, R2), MOV_R(R7, R3), JMP_I(JEQ, R6, 0, 5), MOV_R(R1, R6), CALL(H_WAIT),
         ALU64_R(ADD, R7, R0), ALU64_I(SUB, R6, 1), GOTO(-6), MOV_R(R0, R7), EXIT),
};
/* is told to poll, r2 times; r0 = r3 */
static const struct spec yields = {
    NEST(MOV_R(R6, R2), MOV_R(R7, R3), JMP_I(JEQ, R6, 0, 3), CALL(H_POLL), ALU64_I(SUB, R6, 1),
         GOTO(-4), MOV_R(R0, R7), EXIT),
};

/* Calls pool 0 for ever, and gives it r2 to r5; r0, when it is told to stop, is of no use. */
static const struct spec calls_for_ever = {
    PROGRAM(MOV_R(R6, R2), MOV_I(R1, 0), MOV_R(R2, R6), CALL(H_NEST), GOTO(-4), EXIT),
};

struct scene {
    struct vm vm;
    struct test_nest nest;
};

/* Both pools have the program; the second one's engine is `second`. */
static void
scene_init_mixed(struct scene *scene, enum bpf_engine first, enum bpf_engine second,
                 const struct spec *spec, uint64_t tick_ns)
{
    *scene = (struct scene){0};
    vm_init(&scene->vm, first, tick_ns);
    scene->nest.pools[0] = spec_pool(&scene->vm, spec);
    scene->vm.engine = second;
    scene->nest.pools[1] = spec_pool(&scene->vm, spec);
    scene->vm.engine = first;
}

static void
scene_init(struct scene *scene, void **state, const struct spec *spec, uint64_t tick_ns)
{
    scene_init_mixed(scene, engine_of(state), engine_of(state), spec, tick_ns);
}

static void
scene_deinit(struct scene *scene)
{
    for (unsigned i = 0; i < 2; i++)
        bpf_pool_free(scene->nest.pools[i]);
    vm_deinit(&scene->vm);
}

static struct bpf_run *
outermost_of(struct scene *scene, struct bpf_pool *pool, uint64_t r1, uint64_t r2, uint64_t r3)
{
    struct bpf_run *run = bpf_run_new(pool, 0, &scene->nest);
    assert_non_null(run);
    bpf_run_set_args(run, ARGS(r1, r2, r3), 3);
    return run;
}

/* As the innermost of `levels`. */
static struct bpf_run *
nest_new(struct scene *scene, unsigned levels, uint64_t r2, uint64_t r3)
{
    return outermost_of(scene, scene->nest.pools[1], levels - 1, r2, r3);
}

/* The ticker sees one run: it counts one more that had the thread, however many calls it was. */
static enum bpf_outcome
go(struct scene *scene, struct bpf_run *run)
{
    uint64_t before = atomic_load(&scene->vm.worker->seq);
    enum bpf_outcome outcome = bpf_run_go(run);
    assert_int_equal(atomic_load(&scene->vm.worker->seq), before + 2);
    assert_null(bpf_run_current);
    return outcome;
}

/* The callees that are left, some of which may be over, in one order or the other. */
static void
free_open(struct scene *scene, bool inner_first)
{
    struct test_nest *nest = &scene->nest;
    for (unsigned i = 0; i < nest->open_count; i++)
        bpf_run_free(nest->open[inner_first ? nest->open_count - 1 - i : i]);
    nest->open_count = 0;
}

static double
cpu_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* --- calls --- */

static void
callees_end_and_their_callers_go_on(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &ends, 0);
    for (unsigned levels = 1; levels <= LEVELS; levels++) {
        struct bpf_run *run = nest_new(&scene, levels, 1000, 0);
        assert_int_equal(go(&scene, run), BPF_DONE);
        assert_int_equal(bpf_run_result(run), 1000 + levels - 1);
        assert_int_equal(scene.nest.deepest, levels - 1);
        bpf_run_free(run);
    }
    assert_int_equal(bpf_pool_stats(scene.nest.pools[0]).idle_count, LEVELS / 2);
    scene_deinit(&scene);
}

static void
call_mixed(enum bpf_engine first, enum bpf_engine second)
{
    struct scene scene;
    scene_init_mixed(&scene, first, second, &waits, 0);
    struct bpf_run *run = nest_new(&scene, LEVELS, 1, 50);
    assert_int_equal(go(&scene, run), BPF_WAITING);
    assert_int_equal(go(&scene, run), BPF_DONE);
    assert_int_equal(bpf_run_result(run), 50 + 2 + LEVELS - 1);
    bpf_run_free(run);
    scene_deinit(&scene);
}

static void
engines_call_each_other(void **state)
{
    if (!TEST_HAS_JIT)
        skip();
    call_mixed(BPF_ENGINE_JIT, BPF_ENGINE_INTERP);
    call_mixed(BPF_ENGINE_INTERP, BPF_ENGINE_JIT);
}

static void
a_callee_has_another_program_and_its_own_memory(void **state)
{
    /* both write to the same addresses; the caller finds its own again */
    const struct spec caller = {
        PROGRAM(MOV_I(R6, BPF_RO_BASE), ST(DW, R6, 0, 11), ST(DW, R10, -8, 12), MOV_I(R1, 0),
                MOV_I(R2, BPF_RO_BASE), CALL(H_NEST), LDX(DW, R1, R6, 0), ALU64_R(ADD, R0, R1),
                LDX(DW, R1, R10, -8), ALU64_R(ADD, R0, R1), EXIT),
        .bss_len = 64,
    };
    const struct spec callee = {
        PROGRAM(LDX(DW, R0, R1, 0), LDX(DW, R2, R10, -8), ALU64_R(ADD, R0, R2), ST(DW, R1, 0, 1000),
                ST(DW, R10, -8, 1000), ALU64_I(ADD, R0, 100), EXIT),
        .bss_len = 64,
    };
    struct scene scene;
    scene_init(&scene, state, &callee, 0);
    struct bpf_pool *pool = spec_pool(&scene.vm, &caller);
    for (int i = 0; i < 3; i++)
        expect_done(outermost_of(&scene, pool, 0, 0, 0), 100 + 11 + 12);
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

static void
a_trap_ends_the_callee_alone(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &traps, 0);
    struct bpf_run *run = nest_new(&scene, LEVELS, 5, 0);
    assert_int_equal(go(&scene, run), BPF_DONE);
    assert_int_equal(bpf_run_result(run), LEVELS - 2); /* -1 + the calls around */
    assert_int_equal(scene.nest.trap_count, 1);
    assert_int_equal(scene.nest.trap.kind, BPF_TRAP_HELPER);
    assert_int_equal(scene.nest.trap.insn, INNERMOST_INSN + 1);
    assert_string_equal(scene.nest.trap_text, "asked to stop with 5");
    bpf_run_free(run);
    scene_deinit(&scene);
}

static void
an_early_end_ends_the_callee_alone(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &ends_early, 0);
    expect_done(nest_new(&scene, 3, 70, 0), 70 + 2);
    scene_deinit(&scene);
}

/* Each opens more of its own stack first, which by machine code is a fault, too. */
static void
faults_are_those_of_the_innermost(void **state)
{
    const struct spec callee = {
        PROGRAM(MOV_R(R6, R10), ALU64_I(SUB, R6, 20000), ST(DW, R6, 0, 1), MOV_I(R6, 64),
                ST(W, R6, 4, 1), EXIT),
    };
    const struct spec caller = {
        PROGRAM(MOV_I(R1, 0), CALL(H_NEST), MOV_R(R6, R10), ALU64_I(SUB, R6, 20000),
                LDX(DW, R7, R6, 0), STX(DW, R6, 0, R0), LDX(DW, R8, R6, 0), JMP_I(JNE, R7, 0, 2),
                JMP_R(JNE, R8, R0, 1), LDX(H, R1, R7, 1024), MOV_I(R0, 3), EXIT),
    };
    struct scene scene;
    scene_init(&scene, state, &callee, 0);
    struct bpf_pool *pool = spec_pool(&scene.vm, &caller);
    for (int i = 0; i < 3; i++) {
        expect_trap(outermost_of(&scene, pool, 0, 0, 0), BPF_TRAP_ACCESS, 9,
                    "read of 2 bytes at 0x400: null page");
        assert_int_equal(scene.nest.trap.kind, BPF_TRAP_ACCESS);
        assert_int_equal(scene.nest.trap.insn, 4);
        assert_string_equal(scene.nest.trap_text, "write of 4 bytes at 0x44: null page");
    }
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

/* --- the nest leaves and goes on as one --- */

static void
the_nest_waits_when_the_innermost_does(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &waits, 0);
    for (unsigned levels = 1; levels <= LEVELS; levels++) {
        struct bpf_run *run = nest_new(&scene, levels, 3, 100);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(go(&scene, run), BPF_WAITING);
            assert_int_equal(scene.nest.open_count, levels - 1);
        }
        assert_int_equal(go(&scene, run), BPF_DONE);
        assert_int_equal(bpf_run_result(run), 100 + 4 + 3 + 2 + levels - 1);
        bpf_run_free(run);
    }
    scene_deinit(&scene);
}

static void
nests_take_turns(void **state)
{
    enum { NESTS = 5 };
    struct scene scenes[NESTS], *first = &scenes[0];
    struct bpf_run *runs[NESTS];
    scene_init(first, state, &waits, 0);
    for (unsigned i = 0; i < NESTS; i++) {
        scenes[i] = *first;
        runs[i] = nest_new(&scenes[i], 1 + i, 2, 10 * i);
        assert_int_equal(go(first, runs[i]), BPF_WAITING);
    }
    for (unsigned i = NESTS; i-- > 0;)
        assert_int_equal(go(first, runs[i]), BPF_WAITING);
    for (unsigned i = 0; i < NESTS; i++)
        expect_done(runs[i], 10 * i + 3 + 2 + i);
    scene_deinit(first);
}

static void
the_nest_yields_when_the_innermost_does(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &yields, 0);
    struct bpf_run *run = nest_new(&scene, 4, 20, 7);
    for (int i = 0; i < 20; i++)
        assert_int_equal(go(&scene, run), BPF_YIELDED);
    assert_int_equal(go(&scene, run), BPF_DONE);
    assert_int_equal(bpf_run_result(run), 7 + 3);
    assert_true(bpf_run_cpu_ns(run) > 0);
    bpf_run_free(run);
    scene_deinit(&scene);
}

/* The innermost is the one that the ticker tells. */
static void
the_current_run_is_the_innermost(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &spins, TICK_NS);
    struct bpf_run *run = nest_new(&scene, 3, 0, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(go(&scene, run), BPF_YIELDED);
        assert_int_equal(scene.nest.open[1]->insn, INNERMOST_INSN);
        assert_int_equal(run->insn, CALL_INSN);
    }
    bpf_run_free(run);
    free_open(&scene, true);
    scene_deinit(&scene);
}

static void
the_current_run_is_the_caller_again(void **state)
{
    const struct spec spec = {PROGRAM(MOV_I(R1, 0), MOV_I(R2, 0), CALL(H_NEST), GOTO(-1), EXIT)};
    struct scene scene;
    scene_init(&scene, state, &ends, TICK_NS);
    struct bpf_pool *pool = spec_pool(&scene.vm, &spec);
    struct bpf_run *run = outermost_of(&scene, pool, 0, 0, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(go(&scene, run), BPF_YIELDED);
    assert_int_equal(run->insn, 3);
    bpf_run_free(run);
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

/* A callee without a place to poll at was told by the ticker: its caller yields at its own. */
static void
a_tick_that_a_callee_had_no_place_for_is_its_callers(void **state)
{
    const struct spec told = {PROGRAM(CALL(H_POLL), EXIT)};
    struct scene scene;
    scene_init(&scene, state, &told, 0);
    struct bpf_pool *pool = spec_pool(&scene.vm, &calls_for_ever);
    struct bpf_run *run = outermost_of(&scene, pool, 0, 0, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(go(&scene, run), BPF_YIELDED);
        assert_int_equal(run->insn, 4);
        assert_int_equal(scene.nest.open_count, 0);
    }
    bpf_run_free(run);
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

/* Calls enough that it takes many ticks. */
static void
a_script_that_calls_in_a_loop_is_noticed(void **state)
{
    const struct spec loop = {
        PROGRAM(MOV_I(R6, 30000000), MOV_I(R1, 0), CALL(H_NEST), ALU64_I(SUB, R6, 1),
                JMP_I(JNE, R6, 0, -4), EXIT),
    };
    struct scene scene;
    scene_init(&scene, state, &ends, TICK_NS);
    struct bpf_pool *pool = spec_pool(&scene.vm, &loop);
    struct bpf_run *run = outermost_of(&scene, pool, 0, 0, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(go(&scene, run), BPF_YIELDED);
    bpf_run_free(run);
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

/* --- time --- */

/* All have the same limit, which is that of the nest. */
static void
a_nest_has_one_limit(void **state)
{
    struct spec spec = spins;
    spec.budget.cpu_limit_ns = 30 * TEST_MS;
    struct scene scene;
    scene_init(&scene, state, &spec, TICK_NS);
    struct bpf_run *run = nest_new(&scene, LEVELS, 0, 0);
    double start = cpu_now_ms();
    assert_int_equal(test_finish(run), BPF_TRAPPED);
    assert_true(cpu_now_ms() - start < 4 * 30); /* the ticker may have waited for a processor */
    assert_true(bpf_run_cpu_ns(run) >= spec.budget.cpu_limit_ns);
    assert_int_equal(scene.nest.open_count, LEVELS - 1); /* no helper came back */
    for (unsigned i = 0; i < LEVELS - 1; i++)
        assert_int_equal(bpf_run_trap(scene.nest.open[i]).kind, BPF_TRAP_CPU);
    expect_trapped(run, BPF_TRAP_CPU, CALL_INSN, "used up its CPU time of 30 ms");
    free_open(&scene, false);
    scene_deinit(&scene);
}

/* The callee's limit is lower: it is stopped, and its caller learns of it. */
static void
a_callee_may_have_a_limit_of_its_own(void **state)
{
    struct spec spec = spins, caller = calls_for_ever;
    spec.budget.cpu_limit_ns = 10 * TEST_MS;
    caller.budget.cpu_limit_ns = 35 * TEST_MS;
    struct scene scene;
    scene_init(&scene, state, &spec, TICK_NS);
    struct bpf_pool *pool = spec_pool(&scene.vm, &caller);
    struct bpf_run *run = outermost_of(&scene, pool, 0, 0, 0);
    assert_int_equal(test_finish(run), BPF_TRAPPED);
    assert_in_range(scene.nest.trap_count, 1, 3);
    assert_string_equal(scene.nest.trap_text, "used up its CPU time of 10 ms");
    assert_true(bpf_run_cpu_ns(run) >= caller.budget.cpu_limit_ns);
    expect_trapped(run, BPF_TRAP_CPU, 3, "used up its CPU time of 35 ms");
    free_open(&scene, true);
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

/* Callees that are over in time, again and again. */
static void
what_callees_use_adds_up(void **state)
{
    struct spec spec = {
        PROGRAM(ALU64_I(SUB, R1, 1), JMP_I(JNE, R1, 0, -2), EXIT),
        .budget.cpu_limit_ns = 1000 * TEST_MS,
    };
    struct spec caller = calls_for_ever;
    caller.budget.cpu_limit_ns = 25 * TEST_MS;
    struct scene scene;
    scene_init(&scene, state, &spec, TICK_NS);
    struct bpf_pool *pool = spec_pool(&scene.vm, &caller);
    struct bpf_run *run = outermost_of(&scene, pool, 0, 100000, 0);
    double start = cpu_now_ms();
    assert_int_equal(test_finish(run), BPF_TRAPPED);
    assert_true(cpu_now_ms() - start < 4 * 25);
    struct bpf_trap_info trap = bpf_run_trap(run);
    assert_int_equal(trap.kind, BPF_TRAP_CPU);
    assert_in_range(trap.insn, 3, 4); /* in the call, or at the back edge */
    bpf_run_free(run);
    free_open(&scene, true);
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

/* Each callee waits only once, and no tick ever meets any; here, without a ticker. */
static void
waits_of_callees_do_not_hide_from_the_budget(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_I(R6, 1000), ALU64_I(SUB, R6, 1), JMP_I(JNE, R6, 0, -2), CALL(H_WAIT), EXIT),
    };
    struct spec caller = calls_for_ever;
    caller.budget = (struct bpf_budget){.throttle_ns = 2 * TEST_MS, .cpu_limit_ns = 7 * TEST_MS};
    struct scene scene;
    scene_init(&scene, state, &spec, 0);
    struct bpf_pool *pool = spec_pool(&scene.vm, &caller);
    struct bpf_run *run = outermost_of(&scene, pool, 0, 0, 0);
    unsigned throttled = 0, waited = 0;
    enum bpf_outcome outcome;
    while ((outcome = go(&scene, run)) != BPF_TRAPPED) {
        throttled += outcome == BPF_THROTTLED;
        waited += outcome == BPF_WAITING;
    }
    assert_in_range(throttled, 1, 3);
    assert_in_range(waited, 10, 500000);
    expect_trapped(run, BPF_TRAP_CPU, 3, "used up its CPU time of 7 ms");
    free_open(&scene, true);
    bpf_pool_free(pool);
    scene_deinit(&scene);
}

/* All have the same share. The nest pauses once for each, not every run of it for its own. */
static void
a_pause_is_one_of_the_whole_nest(void **state)
{
    struct spec spec = spins;
    spec.budget = (struct bpf_budget){.throttle_ns = 5 * TEST_MS, .cpu_limit_ns = 61 * TEST_MS};
    struct scene scene;
    scene_init(&scene, state, &spec, TICK_NS);
    struct bpf_run *run = nest_new(&scene, LEVELS, 0, 0);
    unsigned throttled = 0;
    enum bpf_outcome outcome;
    while ((outcome = go(&scene, run)) != BPF_TRAPPED)
        throttled += outcome == BPF_THROTTLED;
    assert_in_range(throttled, 1, 12); /* fewer when the ticker had to wait for a processor */
    bpf_run_free(run);
    free_open(&scene, false);
    scene_deinit(&scene);
}

/* Here it is the outermost's share that is used up, when the innermost's nearly is. */
static void
after_a_pause_all_have_their_full_share(void **state)
{
    struct spec spec = spins;
    spec.budget.throttle_ns = 10 * 1000 * TEST_MS;
    struct scene scene;
    scene_init(&scene, state, &spec, TICK_NS);
    struct bpf_run *run = nest_new(&scene, 3, 0, 0);
    assert_int_equal(go(&scene, run), BPF_YIELDED);
    run->throttle_left_ns = 0;
    for (unsigned i = 0; i < 2; i++)
        scene.nest.open[i]->throttle_left_ns = 1;
    assert_int_equal(go(&scene, run), BPF_THROTTLED);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(go(&scene, run), BPF_YIELDED);
    bpf_run_free(run);
    free_open(&scene, true);
    scene_deinit(&scene);
}

/* Only one of the two has a share. */
static void
any_run_of_a_nest_may_have_it_paused(void **state)
{
    struct spec spec = spins, caller = calls_for_ever;
    for (int i = 0; i < 2; i++) {
        struct scene scene;
        spec.budget.throttle_ns = i == 0 ? 3 * TEST_MS : 0;
        caller.budget.throttle_ns = i == 0 ? 0 : 3 * TEST_MS;
        scene_init(&scene, state, &spec, TICK_NS);
        struct bpf_pool *pool = spec_pool(&scene.vm, &caller);
        struct bpf_run *run = outermost_of(&scene, pool, 0, 0, 0);
        for (int pauses = 0; pauses < 3; pauses++) {
            uint64_t before = bpf_run_cpu_ns(run);
            enum bpf_outcome outcome;
            do
                outcome = go(&scene, run);
            while (outcome == BPF_YIELDED);
            assert_int_equal(outcome, BPF_THROTTLED);
            assert_true(bpf_run_cpu_ns(run) - before >= 3 * TEST_MS - TICK_NS);
        }
        bpf_run_free(run);
        free_open(&scene, true);
        bpf_pool_free(pool);
        scene_deinit(&scene);
    }
}

static void
time_between_is_not_charged_to_a_nest(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &yields, 0);
    struct bpf_run *run = nest_new(&scene, 3, 2, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(go(&scene, run), BPF_YIELDED);
        double start = cpu_now_ms();
        while (cpu_now_ms() - start < 20) {
        }
    }
    assert_int_equal(go(&scene, run), BPF_DONE);
    assert_true(bpf_run_cpu_ns(run) > 0);
    assert_true(bpf_run_cpu_ns(run) < 15 * TEST_MS);
    bpf_run_free(run);
    scene_deinit(&scene);
}

/* --- ends --- */

/* The outermost before its callees, after them, and between. */
static void
a_nest_that_waits_may_be_freed_in_any_order(void **state)
{
    struct scene scene;
    scene_init(&scene, state, &waits, 0);
    for (unsigned order = 0; order < 6; order++) {
        struct bpf_run *run = nest_new(&scene, 4, 1, 0);
        assert_int_equal(go(&scene, run), BPF_WAITING);
        assert_int_equal(scene.nest.open_count, 3);
        struct bpf_run *inner = scene.nest.open[2];
        if (order >= 4)
            bpf_run_free(inner);
        scene.nest.open_count -= order >= 4;
        if (order % 2)
            bpf_run_free(run);
        free_open(&scene, order % 4 < 2);
        if (order % 2 == 0)
            bpf_run_free(run);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(bpf_pool_stats(scene.nest.pools[i]).running_count, 0);
            assert_int_equal(bpf_pool_stats(scene.nest.pools[i]).idle_count, 2);
        }
        expect_done(nest_new(&scene, 4, 2, 30), 30 + 3 + 2 + 3);
    }
    scene_deinit(&scene);
}

/* --- misuse --- */

enum misuse {
    GO_OF_A_CALLEE,
    GO_WITHIN_A_HELPER,
    GO_WITHOUT_THE_CALLEE,
    FREE_OF_THE_CALLER,
    FREE_OF_THE_OUTERMOST,
    TRAP_OF_THE_CALLER,
    END_OF_THE_CALLER,
    WAIT_OF_THE_CALLER,
    NEST_OF_THE_CALLER,
    NEST_OF_WHAT_HAS_BEGUN,
    MISUSE_COUNT,
};

static struct {
    enum misuse what;
    struct bpf_run *runs[3], *other; /* those of the nest, outermost first */
    unsigned depth;
} wrong;

/* Three deep, then wrong. */
static uint64_t
do_wrong(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    wrong.runs[wrong.depth++] = run;
    if (wrong.depth < 3)
        return (uint64_t)bpf_run_nested(run, bpf_run_new(run->pool, 0, NULL));
    switch (wrong.what) {
    case GO_WITHIN_A_HELPER:
        return (uint64_t)bpf_run_go(wrong.other);
    case FREE_OF_THE_CALLER:
        bpf_run_free(wrong.runs[1]);
        break;
    case FREE_OF_THE_OUTERMOST:
        bpf_run_free(wrong.runs[0]);
        break;
    case TRAP_OF_THE_CALLER:
        bpf_trap(wrong.runs[1], "wrong");
    case END_OF_THE_CALLER:
        bpf_end(wrong.runs[1], 0);
    case WAIT_OF_THE_CALLER:
        bpf_wait(wrong.runs[1]);
        break;
    case NEST_OF_THE_CALLER:
        return (uint64_t)bpf_run_nested(wrong.runs[1], wrong.other);
    case NEST_OF_WHAT_HAS_BEGUN:
        return (uint64_t)bpf_run_nested(run, wrong.runs[0]);
    default:
        bpf_wait(run);
        break;
    }
    return 0;
}

static void
go_wrong(void *arg)
{
    static const struct bpf_helper helper = {"wrong", do_wrong};
    static const struct bpf_helper_table table = {&helper, 1};
    static const struct bpf_insn insns[] = {CALL(0), EXIT};
    struct bpf_program_config config = {.helpers = &table};
    const struct bpf_budget budget = {0};
    struct error error;
    struct bpf_object object;
    struct bpf_program *program;
    struct bpf_pool *pool;
    struct vm vm;
    fclose(stderr);
    wrong.what = *(enum misuse *)arg;
    vm_init(&vm, BPF_ENGINE_AUTO, 0);
    if (bpf_object_from_insns(&object, insns, 2, (struct str){0}, &error) < 0 ||
        bpf_program_new(&program, &object, &config, &error) < 0 ||
        bpf_pool_new(&pool, vm.worker, program, &budget, &error) < 0)
        _exit(2);
    wrong.other = bpf_run_new(pool, 0, NULL);
    bpf_run_go(bpf_run_new(pool, 0, NULL));
    if (wrong.what == GO_OF_A_CALLEE)
        bpf_run_go(wrong.runs[1]);
    if (wrong.what == GO_WITHOUT_THE_CALLEE) {
        bpf_run_free(wrong.runs[2]);
        bpf_run_go(wrong.runs[0]);
    }
}

static void
misuse_is_found_out(void **state)
{
    for (enum misuse what = 0; what < MISUSE_COUNT; what++)
        expect_child_dies(go_wrong, &what, SIGABRT);
}

/* --- threads --- */

struct racer {
    pthread_t thread;
    struct bpf_ticker *ticker;
    struct bpf_program *program;
    unsigned wrong;
};

enum { RACERS = 3, RACES = 200 };

/* Of the runs some are long enough for the ticker, and some are freed while they are open. */
static void
race_one(struct racer *racer, struct bpf_pool *pool, unsigned number)
{
    struct test_nest nest = {.pools = {pool, pool}};
    struct bpf_run *run = bpf_run_new(pool, 0, &nest);
    uint64_t spins_count = number % 20 == 0 ? 200000 : number;
    enum bpf_outcome outcome;
    bpf_run_set_args(run, ARGS(number % 5, spins_count), 2);
    do
        outcome = bpf_run_go(run);
    while (outcome == BPF_YIELDED && number % 7);
    if (outcome == BPF_DONE)
        racer->wrong += bpf_run_result(run) != number % 5;
    else
        racer->wrong += outcome != BPF_YIELDED;
    bpf_run_free(run);
    while (nest.open_count)
        bpf_run_free(nest.open[--nest.open_count]);
}

static void *
race(void *arg)
{
    struct racer *racer = arg;
    struct error error;
    struct bpf_worker *worker;
    struct bpf_pool *pool;
    const struct bpf_budget budget = {0};
    if (bpf_worker_new(&worker, racer->ticker, &error) < 0 ||
        bpf_pool_new(&pool, worker, racer->program, &budget, &error) < 0) {
        racer->wrong = 1000;
        return NULL;
    }
    for (unsigned i = 0; i < RACES; i++)
        race_one(racer, pool, i);
    bpf_pool_free(pool);
    bpf_worker_free(worker);
    bpf_program_unref(racer->program);
    return NULL;
}

static void
threads_have_nests_of_their_own(void **state)
{
    const struct spec counts = {
        NEST(JMP_I(JEQ, R2, 0, 2), ALU64_I(SUB, R2, 1), GOTO(-3), MOV_I(R0, 0), EXIT),
    };
    struct vm vm = {.engine = engine_of(state)};
    struct error error = {0};
    struct racer racers[RACERS];
    struct bpf_ticker *ticker;
    struct bpf_program *program = spec_load(&vm, &counts, &error);
    assert_non_null(program);
    assert_int_equal(bpf_ticker_new(&ticker, TICK_NS, &error), 0);
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
        BOTH(callees_end_and_their_callers_go_on),
        cmocka_unit_test(engines_call_each_other),
        BOTH(a_callee_has_another_program_and_its_own_memory),
        BOTH(a_trap_ends_the_callee_alone),
        BOTH(an_early_end_ends_the_callee_alone),
        BOTH(faults_are_those_of_the_innermost),
        BOTH(the_nest_waits_when_the_innermost_does),
        BOTH(nests_take_turns),
        BOTH(the_nest_yields_when_the_innermost_does),
        BOTH(the_current_run_is_the_innermost),
        BOTH(the_current_run_is_the_caller_again),
        BOTH(a_tick_that_a_callee_had_no_place_for_is_its_callers),
        BOTH(a_script_that_calls_in_a_loop_is_noticed),
        BOTH(a_nest_has_one_limit),
        BOTH(a_callee_may_have_a_limit_of_its_own),
        BOTH(what_callees_use_adds_up),
        BOTH(waits_of_callees_do_not_hide_from_the_budget),
        BOTH(a_pause_is_one_of_the_whole_nest),
        BOTH(after_a_pause_all_have_their_full_share),
        BOTH(any_run_of_a_nest_may_have_it_paused),
        BOTH(time_between_is_not_charged_to_a_nest),
        BOTH(a_nest_that_waits_may_be_freed_in_any_order),
        cmocka_unit_test(misuse_is_found_out),
        BOTH(threads_have_nests_of_their_own),
    };
    return cmocka_run_group_tests_name("bpf nested", tests, NULL, NULL);
}
