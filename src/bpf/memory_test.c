#include "bpf/script_test_run.h"

#include <sys/resource.h>

/* What is open of stack and arguments at first, and what the first use opens. Each case has a slot
 * of its own. */
enum { ARGS_END = BPF_ARGS + BPF_ARGS_LEN, PAGE = 4096 };

/* Writes r2 to r1 and reads it again, 8 bytes; r0 = what was there before + what is there then. */
static const struct spec swaps = {
    PROGRAM(LDX(DW, R0, R1, 0), STX(DW, R1, 0, R2), LDX(DW, R3, R1, 0), ALU64_R(ADD, R0, R3), EXIT),
};
static const struct spec reads = {PROGRAM(LDX(DW, R0, R1, 0), EXIT)};
static const struct spec fills = {PROGRAM(CALL(H_FILL), EXIT)};
static const struct spec sums = {PROGRAM(CALL(H_SUM), EXIT)};

struct opened {
    uint64_t addr;
    uint32_t stack_open, args_open;
};

/* With 8 bytes at the address. */
static const struct opened list[] = {
    {BPF_STACK_TOP - 8, BPF_STACK_TOP - PAGE, BPF_ARGS},
    {BPF_STACK_TOP - PAGE, BPF_STACK_TOP - PAGE, BPF_ARGS},
    {BPF_STACK_TOP - PAGE - 1, BPF_STACK_TOP - 2 * PAGE, BPF_ARGS},
    {BPF_STACK_LOW, BPF_STACK_LOW, BPF_ARGS},
    {BPF_STACK_TOP - 7, BPF_STACK_TOP - PAGE, ARGS_END},
    {BPF_STACK_TOP - 1, BPF_STACK_TOP - PAGE, ARGS_END},
    {BPF_ARGS, BPF_STACK_TOP - PAGE, ARGS_END},
    {ARGS_END - 8, BPF_STACK_TOP - PAGE, ARGS_END},
};

static void
expect_open(const struct bpf_run *run, const struct opened *opened)
{
    assert_int_equal(run->cage.stack_open, opened->stack_open);
    assert_int_equal(run->cage.args_open, opened->args_open);
}

/* Three runs, none of which finds what the one before has written. */
static void
open_by(struct vm *vm, const struct spec *spec, const struct opened *opened, const uint64_t args[5],
        uint64_t result)
{
    struct bpf_pool *pool = spec_pool(vm, spec);
    for (int i = 0; i < 3; i++) {
        struct bpf_run *run = test_run_new(pool, args);
        assert_int_equal(test_finish(run), BPF_DONE);
        assert_int_equal(bpf_run_result(run), result);
        expect_open(run, opened);
        bpf_run_free(run);
    }
    bpf_pool_free(pool);
}

static void
the_first_use_opens_what_it_needs(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    for (unsigned i = 0; i < ROW_COUNT(list); i++) {
        open_by(&vm, &reads, &list[i], ARGS(list[i].addr), 0);
        open_by(&vm, &swaps, &list[i], ARGS(list[i].addr, 77), 77);
        open_by(&vm, &fills, &list[i], ARGS(list[i].addr, 8, 1), 8);
        open_by(&vm, &sums, &list[i], ARGS(list[i].addr, 8), 0);
    }
    vm_deinit(&vm);
}

/* Beyond the end of the arguments is nothing, whether they are open or not. */
static void
the_end_of_the_arguments_is_one(void **state)
{
    const struct {
        uint64_t addr;
        const char *text;
    } ends[] = {
        {ARGS_END - 7, "read of 8 bytes at 0x18ff9: outside of the script's memory"},
        {ARGS_END - 1, "read of 8 bytes at 0x18fff: outside of the script's memory"},
        {ARGS_END, "read of 8 bytes at 0x19000: outside of the script's memory"},
        {BPF_STACK_LOW - 1, "read of 8 bytes at 0xffff: null page"},
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    for (unsigned i = 0; i < ROW_COUNT(ends); i++) {
        struct bpf_pool *pool = spec_pool(&vm, &reads);
        expect_trap(test_run_new(pool, ARGS(ends[i].addr)), BPF_TRAP_ACCESS, 0, ends[i].text);
        expect_done(test_run_new(pool, ARGS(BPF_ARGS)), 0);
        expect_trap(test_run_new(pool, ARGS(ends[i].addr)), BPF_TRAP_ACCESS, 0, ends[i].text);
        bpf_pool_free(pool);
    }
    vm_deinit(&vm);
}

static void
arguments_that_the_caller_asks_for_open(void **state)
{
    const struct opened all = {0, BPF_STACK_TOP - PAGE, ARGS_END};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_run *run = only_run(&vm, &reads, ARGS(BPF_ARGS));
    struct bpf_pool *pool = run->pool;
    memcpy(bpf_run_args(run, 8), ARGS(55), 8);
    expect_open(run, &all);
    expect_done(run, 55);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* --- without memory --- */

static void
expect_no_memory(struct vm *vm, const struct spec *spec, uint64_t addr, const char *text)
{
    const struct rlimit none = {0, 0};
    struct bpf_run *run = only_run(vm, spec, ARGS(addr, 8));
    if (setrlimit(RLIMIT_DATA, &none) < 0 || bpf_run_args(run, 8))
        _exit(2);
    if (test_finish(run) != BPF_TRAPPED || strcmp(bpf_run_trap(run).text, text) != 0)
        _exit(3);
}

struct order {
    enum bpf_engine engine;
    const struct spec *spec;
    uint64_t addr;
    const char *text;
};

/* The limit is on memory that can be written. */
static void
use_without_memory(void *arg)
{
    const struct order *order = arg;
    struct vm vm;
    vm_init(&vm, order->engine, 0);
    expect_no_memory(&vm, order->spec, order->addr, order->text);
}

static void
what_there_is_no_memory_for_traps(void **state)
{
    struct order orders[] = {
        {.spec = &reads,
         .addr = BPF_STACK_LOW,
         .text = "read of 8 bytes at 0x10000: the system has no memory for the stack"},
        {.spec = &reads,
         .addr = BPF_ARGS,
         .text = "read of 8 bytes at 0x18000: the system has no memory for the arguments"},
        {.spec = &swaps,
         .addr = BPF_ARGS - 1,
         .text = "read of 8 bytes at 0x17fff: the system has no memory for the arguments"},
        {.spec = &reads,
         .addr = ARGS_END - 4,
         .text = "read of 8 bytes at 0x18ffc: outside of the script's memory"},
        {.spec = &sums,
         .addr = BPF_ARGS,
         .text = "read of 8 bytes at 0x18000 by a helper: outside of the script's memory"},
    };
    if (TEST_SHADOW)
        skip(); /* sanitizers write to memory of their own */
    for (unsigned i = 0; i < ROW_COUNT(orders); i++) {
        orders[i].engine = engine_of(state);
        expect_child_passes(use_without_memory, &orders[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(the_first_use_opens_what_it_needs),
        BOTH(the_end_of_the_arguments_is_one),
        BOTH(arguments_that_the_caller_asks_for_open),
        BOTH(what_there_is_no_memory_for_traps),
    };
    return cmocka_run_group_tests_name("bpf memory", tests, NULL, NULL);
}
