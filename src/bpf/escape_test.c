/* Ways out of the cage, of the stack and of the budget, each tried by both engines: what must come
 * of it is said here without looking at either. */
#include "bpf/script_test_run.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* --- wild pointers --- */

enum { PAGE = 4096, RO_LEN = PAGE + 100, DATA_LEN = 100, BSS_LEN = PAGE };

enum access { LOAD, LOAD_SIGNED, STORE_IMM, STORE_REG, ATOMIC_ADD, ATOMIC_CMPXCHG, ACCESS_COUNT };

struct place {
    int64_t from, to;
    bool writable;
};

static struct place places[4];

static void
set_places(const struct bpf_layout *layout)
{
    places[0] = (struct place){BPF_STACK_LOW, BPF_ARGS + BPF_ARGS_LEN, true};
    places[1] = (struct place){BPF_RO_BASE, BPF_RO_BASE + 2 * PAGE, false};
    places[2] = (struct place){layout->data_off, layout->data_off + 2 * PAGE, true};
}

static bool
byte_is_there(int64_t at, bool write)
{
    for (unsigned i = 0; i < ROW_COUNT(places); i++) {
        if (at >= places[i].from && at < places[i].to)
            return !write || places[i].writable;
    }
    return false;
}

static bool
is_there(int64_t at, unsigned len, bool write)
{
    for (unsigned i = 0; i < len; i++) {
        if (!byte_is_there(at + i, write))
            return false;
    }
    return true;
}

static void
expected_text(char text[200], int64_t at, unsigned len, bool write)
{
    const char *why = "outside of the script's memory";
    if (at >= 0 && at < 0x10000)
        why = "null page";
    else if (write && byte_is_there(at, false) && !byte_is_there(at, true))
        why = "constants are read-only";
    snprintf(text, 200, "%s of %u byte%s at %s0x%" PRIx64 ": %s", write ? "write" : "read", len,
             len == 1 ? "" : "s", at < 0 ? "-" : "", (uint64_t)llabs(at), why);
}

static struct bpf_insn
access_insn(enum access access, unsigned width, int16_t off)
{
    static const uint8_t widths[] = {B, H, W, DW};
    uint8_t bits = widths[width];
    switch (access) {
    case LOAD:
        return (struct bpf_insn)LDX(bits, R0, R1, off);
    case LOAD_SIGNED:
        return (struct bpf_insn)LDXS(bits, R1, R1, off);
    case STORE_IMM:
        return (struct bpf_insn)ST(bits, R1, off, 0);
    case STORE_REG:
        return (struct bpf_insn)STX(bits, R1, off, R1);
    case ATOMIC_ADD:
        return (struct bpf_insn)ATOMIC(bits, ADD | FETCH, R1, off, R3);
    default:
        return (struct bpf_insn)ATOMIC(bits, CMPXCHG, R1, off, R1);
    }
}

/* All edges, near and far, and what may be taken for them when bits are lost. */
static unsigned
wild_addresses(uint64_t *out, const struct bpf_run *run)
{
    static const uint64_t fixed[] = {
        0,
        1,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xfffffff8,
        0xffffffff,
        UINT64_C(1) << 32,
        (UINT64_C(1) << 32) + BPF_RO_BASE,
        (UINT64_C(1) << 32) + 0xffff,
        UINT64_C(1) << 47,
        (UINT64_C(1) << 63) + BPF_STACK_LOW,
        UINT64_MAX,
        UINT64_MAX - 0xffff,
        0xffffff,
        0x1000000,
        0x1000000 + BPF_RO_BASE,
        UINT64_C(0xdeadbeefcafe),
    };
    unsigned count = 0;
    for (unsigned i = 0; i < ROW_COUNT(fixed); i++)
        out[count++] = fixed[i];
    for (unsigned i = 0; i < 3; i++) {
        for (int delta = -9; delta <= 8; delta += 1 + (delta & 1)) {
            out[count++] = (uint64_t)(places[i].from + delta);
            out[count++] = (uint64_t)(places[i].to + delta);
        }
    }
    out[count++] = (uint64_t)(uintptr_t)run;
    out[count++] = (uint64_t)(uintptr_t)run->cage.base;
    out[count++] = (uint64_t)(uintptr_t)run->program->code.text;
    out[count++] = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    return count;
}

static void
try_access(struct bpf_pool *pool, uint64_t address, int16_t off, unsigned len, bool write)
{
    int64_t at = (int64_t)(address & (bpf_cage_len() - 1)) + off;
    struct bpf_run *run = test_run_new(pool, ARGS(address));
    if (is_there(at, len, write)) {
        if (test_finish(run) == BPF_TRAPPED)
            fail_msg("0x%" PRIx64 "%+d: %s", address, off, bpf_run_trap(run).text);
        bpf_run_free(run);
        return;
    }
    char text[200];
    expected_text(text, at, len, write);
    expect_trap(run, BPF_TRAP_ACCESS, 1, text);
}

static void
try_accesses(struct vm *vm, enum access access, unsigned width, int16_t off)
{
    const struct bpf_insn insns[] = {MOV_I(R0, 0), access_insn(access, width, off), EXIT};
    /* a compare and exchange meets both what it compares with and not */
    static char ro[PAGE];
    memset(ro, 'r', sizeof ro);
    const struct spec spec = {
        .insns = insns,
        .insn_count = 3,
        .ro = {ro, sizeof ro},
        .ro_len = RO_LEN,
        .data_len = DATA_LEN,
        .bss_len = BSS_LEN,
    };
    struct bpf_pool *pool = spec_pool(vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    uint64_t addresses[300];
    set_places(&pool->program->object.layout);
    unsigned count = wild_addresses(addresses, run);
    assert_true(count <= ROW_COUNT(addresses));
    bpf_run_free(run);
    for (unsigned i = 0; i < count; i++) {
        try_access(pool, addresses[i], off, 1u << width, access >= STORE_IMM);
        /* such that the displacement leads there */
        try_access(pool, addresses[i] - (uint64_t)off, off, 1u << width, access >= STORE_IMM);
    }
    bpf_pool_free(pool);
}

static void
try_all_accesses(struct vm *vm)
{
    static const int16_t offs[] = {0, 1, -1, 7, -8, 0x1000, INT16_MAX, INT16_MIN};
    for (enum access access = 0; access < ACCESS_COUNT; access++) {
        for (unsigned width = access >= ATOMIC_ADD ? 2 : 0; width < 4; width++) {
            if (access == LOAD_SIGNED && width == 3)
                continue; /* there is none */
            for (unsigned i = 0; i < ROW_COUNT(offs); i++)
                try_accesses(vm, access, width, offs[i]);
        }
    }
}

static void
no_pointer_leads_out_of_the_cage(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    try_all_accesses(&vm);
    vm_deinit(&vm);
}

static void
in_a_small_cage(void *arg)
{
    struct vm vm;
    bpf_cage_set_small();
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    try_all_accesses(&vm);
    vm_deinit(&vm);
}

static void
no_pointer_leads_out_of_a_small_cage(void **state)
{
    enum bpf_engine engine = engine_of(state);
    expect_child_passes(in_a_small_cage, &engine);
}

static void
with_limited_addresses(void *arg)
{
    const struct rlimit limit = {(rlim_t)4 << 30, (rlim_t)4 << 30};
    struct vm vm;
    atomic_store(&bpf_cage_len_decided, 0);
    if (setrlimit(RLIMIT_AS, &limit) < 0 || bpf_cage_len() != BPF_CAGE_SMALL_LEN)
        _exit(1);
    vm_init(&vm, *(enum bpf_engine *)arg, 0);
    try_accesses(&vm, STORE_REG, 3, INT16_MAX);
    try_accesses(&vm, LOAD, 3, INT16_MIN);
    vm_deinit(&vm);
}

static void
a_limit_on_addresses_makes_cages_small(void **state)
{
    enum bpf_engine engine = engine_of(state);
    if (TEST_SHADOW)
        skip(); /* sanitizers need more themselves */
    expect_child_passes(with_limited_addresses, &engine);
}

/* --- through r10, which machine code does not mask --- */

/* Stores through r10 of the `depth`th function. */
static void
try_frame(struct vm *vm, unsigned depth, int16_t off)
{
    const struct bpf_insn insns[] = {
        MOV_R(R6, R1), JMP_I(JEQ, R1, 1, 3), ALU64_I(SUB, R1, 1),   CALL_LOCAL(-4),
        EXIT,          ST(DW, R10, off, 7),  LDX(DW, R0, R10, off), EXIT,
    };
    const struct spec spec = {.insns = insns, .insn_count = 8};
    int64_t at = BPF_STACK_TOP - (int64_t)(depth - 1) * BPF_FRAME_LEN + off;
    if (at >= BPF_STACK_LOW && at + 8 <= BPF_ARGS + BPF_ARGS_LEN) {
        expect_only_done(vm, &spec, ARGS(depth), 7);
        return;
    }
    char text[200];
    expected_text(text, at, 8, true);
    expect_only_trap(vm, &spec, ARGS(depth), BPF_TRAP_ACCESS, 5, text);
}

static void
the_frame_pointer_reaches_the_stack_only(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    memset(places, 0, sizeof places);
    for (unsigned depth = 1; depth <= BPF_FRAME_COUNT; depth++) {
        int low = BPF_STACK_LOW - (int)(BPF_STACK_TOP - (depth - 1) * BPF_FRAME_LEN);
        int high = low + BPF_ARGS + BPF_ARGS_LEN - BPF_STACK_LOW;
        const int offs[] = {-8,   low,       low - 1,   low - 8,        high - 8,          high - 7,
                            high, INT16_MIN, INT16_MAX, -BPF_FRAME_LEN, -BPF_FRAME_LEN - 4};
        for (unsigned i = 0; i < ROW_COUNT(offs); i++) {
            if (offs[i] >= INT16_MIN && offs[i] <= INT16_MAX)
                try_frame(&vm, depth, (int16_t)offs[i]);
        }
    }
    vm_deinit(&vm);
}

static void
the_stack_does_not_grow_by_address(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_R(R1, R10), ALU64_I(SUB, R1, 8), STX(DW, R1, 0, R1), GOTO(-3), EXIT),
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    expect_only_trap(&vm, &spec, NULL, BPF_TRAP_ACCESS, 2, "write of 8 bytes at 0xfff8: null page");
    vm_deinit(&vm);
}

/* --- calls --- */

/* f(n): its frame's first word = n; n > 1: f(n - 1); adds up what frames still hold. */
static const struct spec deep = {
    PROGRAM(STX(DW, R10, -8, R1), STX(DW, R10, -BPF_FRAME_LEN, R1), JMP_I(JEQ, R1, 1, 3),
            MOV_R(R6, R1), ALU64_I(SUB, R1, 1), CALL_LOCAL(-6), LDX(DW, R1, R10, -8),
            LDX(DW, R2, R10, -BPF_FRAME_LEN), ALU64_R(ADD, R0, R1), ALU64_R(ADD, R0, R2), EXIT),
};

static void
eight_functions_are_open_at_most(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &deep);
    for (int i = 0; i < 3; i++) {
        expect_done(test_run_new(pool, ARGS(1)), 2);
        expect_done(test_run_new(pool, ARGS(8)), 72);
        expect_trap(test_run_new(pool, ARGS(9)), BPF_TRAP_CALLS, 5, "more than 8 functions open");
        expect_trap(test_run_new(pool, ARGS(UINT64_MAX)), BPF_TRAP_CALLS, 5,
                    "more than 8 functions open");
    }
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
functions_that_call_each_other_end(void **state)
{
    const struct spec spec = {
        PROGRAM(CALL_LOCAL(1), EXIT, CALL_LOCAL(2), EXIT, EXIT, CALL_LOCAL(-4), EXIT)};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    expect_only_trap(&vm, &spec, NULL, BPF_TRAP_CALLS, 2, "more than 8 functions open");
    vm_deinit(&vm);
}

static void
only_helpers_that_are_there_are_called_by_register(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_R(R6, R1), MOV_I(R1, 5), CALLX(R6), EXIT),
        .flags = BPF_ALLOW_CALLX,
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    const uint64_t numbers[] = {H_COUNT,    UINT64_MAX, UINT64_C(1) << 32, UINT64_C(1) << 63,
                                0x7fffffff, 0x80000000, UINT64_C(1) << 60, UINT64_C(1) << 61};
    expect_done(test_run_new(pool, ARGS(H_ADD)), 5 + 0);
    for (unsigned i = 0; i < ROW_COUNT(numbers); i++)
        expect_trap(test_run_new(pool, ARGS(numbers[i])), BPF_TRAP_UNKNOWN, 2,
                    "call of a helper that is not there");
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* --- control flow that is refused --- */

static void
expect_refused(struct vm *vm, const struct bpf_insn *insns, uint32_t count, const char *word)
{
    const struct spec spec = {.insns = insns, .insn_count = count};
    struct error error = {0};
    assert_null(spec_load(vm, &spec, &error));
    if (!strstr(error.text, word))
        fail_msg("not \"%s\": %s", word, error.text);
}

#define REFUSED(word, ...)                                      \
    expect_refused(&vm, (const struct bpf_insn[]){__VA_ARGS__}, \
                   ROW_COUNT(((const struct bpf_insn[]){__VA_ARGS__})), word)

static void
no_jump_or_call_leads_where_no_instruction_starts(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    REFUSED("second half", GOTO(1), LDDW(R0, 0x95), EXIT);
    REFUSED("second half", LDDW(R0, 0x95), JMP_I(JEQ, R0, 0, -2), EXIT);
    REFUSED("second half", GOTO32(1), LDDW(R0, 0x95), EXIT);
    REFUSED("second half", CALL_LOCAL(2), EXIT, LDDW(R0, 0x95), EXIT);
    REFUSED("of the section", GOTO(1), EXIT);
    REFUSED("of the section", GOTO(-2), EXIT);
    REFUSED("of the section", JMP_I(JNE, R0, 0, INT16_MAX), EXIT);
    REFUSED("of the section", GOTO32(INT32_MIN), EXIT);
    REFUSED("of the program", CALL_LOCAL(INT32_MAX), EXIT);
    REFUSED("of the program", CALL_LOCAL(-2), EXIT);
    REFUSED("behind its end", MOV_I(R0, 0));
    REFUSED("by register", CALLX(R1), EXIT);
    REFUSED("r10", MOV_I(R10, 0), EXIT);
    REFUSED("r10", LDX(DW, R10, R1, 0), EXIT);
    REFUSED("r10", ATOMIC(DW, ADD | FETCH, R1, 0, R10), EXIT);
    REFUSED("r10", ATOMIC(DW, XCHG, R1, 0, R10), EXIT);
    REFUSED("helper", CALL(H_COUNT), EXIT);
    REFUSED("helper", CALL(-1), EXIT);
    vm_deinit(&vm);
}

/* --- writing and executing --- */

static void
expect_no_writable_code(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned count = 0;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        const char *access = strchr(line, ' ');
        assert_non_null(access);
        if (access[2] == 'w' && access[3] == 'x')
            fail_msg("%s", line);
        count++;
    }
    fclose(maps);
    assert_true(count > 10);
}

static void
nothing_is_both_writable_and_executable(void **state)
{
    const struct spec spec = {
        PROGRAM(CALL(H_WAIT), LDDW(R1, 0x20000), ST(DW, R10, -8, 0x90), CALL(H_WAIT), EXIT),
        .data_len = 70000,
        .ro_len = 5,
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    expect_no_writable_code();
    struct bpf_run *run = test_run_new(pool, NULL);
    assert_int_equal(bpf_run_go(run), BPF_WAITING);
    expect_no_writable_code();
    assert_int_equal(bpf_run_go(run), BPF_WAITING);
    expect_no_writable_code();
    bpf_run_free(run);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* --- helpers' arguments --- */

static void
expect_view_trap(struct bpf_pool *pool, uint64_t helper, uint64_t addr, uint64_t len)
{
    struct bpf_run *run = test_run_new(pool, ARGS(addr, len, 1, 0, helper));
    if (test_finish(run) != BPF_TRAPPED)
        fail_msg("helper %d took 0x%" PRIx64 " + 0x%" PRIx64, (int)helper, addr, len);
    assert_int_equal(bpf_run_trap(run).kind, BPF_TRAP_HELPER);
    assert_int_equal(bpf_run_trap(run).insn, 0);
    bpf_run_free(run);
}

static void
expect_view_done(struct bpf_pool *pool, uint64_t helper, uint64_t addr, uint64_t len)
{
    struct bpf_run *run = test_run_new(pool, ARGS(addr, len, 1, 0, helper));
    if (test_finish(run) != BPF_DONE)
        fail_msg("0x%" PRIx64 " + 0x%" PRIx64 ": %s", addr, len, bpf_run_trap(run).text);
    bpf_run_free(run);
}

static void
helpers_take_what_is_the_scripts_only(void **state)
{
    const struct spec spec = {
        PROGRAM(CALLX(R5), EXIT), .ro_len = RO_LEN,         .data_len = DATA_LEN,
        .bss_len = BSS_LEN,       .flags = BPF_ALLOW_CALLX,
    };
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    const struct bpf_run *any = test_run_new(pool, NULL);
    set_places(&pool->program->object.layout);
    for (unsigned i = 0; i < 3; i++) {
        const struct place *place = &places[i];
        uint64_t from = (uint64_t)place->from, len = (uint64_t)(place->to - place->from);
        uint64_t helpers[] = {H_SUM, H_FILL};
        for (unsigned h = 0; h < 1u + place->writable; h++) {
            expect_view_done(pool, helpers[h], from, len);
            expect_view_done(pool, helpers[h], from + len - 1, 1);
            expect_view_trap(pool, helpers[h], from, len + 1);
            expect_view_trap(pool, helpers[h], from - 1, 1);
            expect_view_trap(pool, helpers[h], from - 1, len);
            expect_view_trap(pool, helpers[h], from + len, 1);
            expect_view_trap(pool, helpers[h], from + len - 1, 2);
            expect_view_trap(pool, helpers[h], from, UINT64_MAX);
            expect_view_trap(pool, helpers[h], from, UINT64_MAX - from + 1);
            expect_view_trap(pool, helpers[h], from, UINT64_MAX - from + 2);
            expect_view_trap(pool, helpers[h], from, UINT64_C(1) << 32);
            expect_view_trap(pool, helpers[h], from + (UINT64_C(1) << 32), 1);
            expect_view_trap(pool, helpers[h], from | UINT64_C(1) << 63, 1);
            expect_view_done(pool, helpers[h], from - 1, 0);
        }
    }
    expect_view_trap(pool, H_FILL, BPF_RO_BASE, 1);
    expect_view_trap(pool, H_FILL, BPF_RO_BASE + 2 * PAGE - 1, 1);
    const uint64_t nowhere[] = {0,
                                0xffff,
                                bpf_cage_len() - 1,
                                bpf_cage_len(),
                                UINT64_MAX,
                                (uint64_t)(uintptr_t)any,
                                (uint64_t)(uintptr_t)&vm};
    for (unsigned i = 0; i < ROW_COUNT(nowhere); i++) {
        expect_view_trap(pool, H_SUM, nowhere[i], 1);
        expect_view_trap(pool, H_FILL, nowhere[i], 1);
        expect_view_done(pool, H_FILL, nowhere[i], 0);
        expect_view_done(pool, H_SUM, nowhere[i], 0);
    }
    bpf_run_free((struct bpf_run *)any);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static void
views_of_a_call_do_not_overlap(void **state)
{
    const struct spec spec = {PROGRAM(CALL(H_OVERLAP), EXIT)};
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    uint64_t at = BPF_ARGS + 64;
    for (uint64_t to = at - 20; to <= at + 20; to++) {
        struct bpf_run *run = test_run_new(pool, ARGS(to, at, 8));
        bool overlap = to < at + 8 && at < to + 8;
        assert_int_equal(test_finish(run), overlap ? BPF_TRAPPED : BPF_DONE);
        bpf_run_free(run);
    }
    expect_done(test_run_new(pool, ARGS(at, at, 0)), 0);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* --- loops --- */

static const struct {
    const char *name;
    struct spec spec;
} endless[] = {
    {"a jump to itself", {PROGRAM(GOTO(-1), EXIT)}},
    {"a long jump to itself", {PROGRAM(GOTO32(-1), EXIT)}},
    {"a condition that jumps to itself", {PROGRAM(JMP_I(JEQ, R0, 0, -1), EXIT)}},
    {"a 32-bit condition", {PROGRAM(JMP32_R(JSLE, R0, R0, -1), EXIT)}},
    {"a pair of jumps", {PROGRAM(GOTO(0), GOTO(-2), EXIT)}},
    {"arithmetic", {PROGRAM(ALU64_I(ADD, R0, 1), ALU64_I(MUL, R0, 3), GOTO(-3), EXIT)}},
    {"loads", {PROGRAM(LDX(DW, R0, R10, -8), GOTO(-2), EXIT)}},
    {"stores all over the stack",
     {PROGRAM(MOV_R(R1, R10), ALU64_I(SUB, R1, 8), STX(DW, R1, 0, R1),
              JMP_I(JGT, R1, BPF_STACK_LOW, -3), GOTO(-5), EXIT)}},
    {"a loop in a loop",
     {PROGRAM(MOV_I(R1, 100), ALU64_I(SUB, R1, 1), JMP_I(JNE, R1, 0, -2), GOTO(-4), EXIT)}},
    {"jumps forward out of which one leads back",
     {PROGRAM(JMP_I(JEQ, R0, 1, 3), JMP_I(JEQ, R0, 0, 1), EXIT, GOTO(-4), EXIT)}},
    {"helper calls", {PROGRAM(CALL(H_ADD), GOTO(-2), EXIT)}},
    {"function calls", {PROGRAM(CALL_LOCAL(1), GOTO(-2), EXIT)}},
    {"a loop in a function at depth 2", {PROGRAM(CALL_LOCAL(1), EXIT, GOTO(-1))}},
    {"a countdown from 2^64", {PROGRAM(ALU64_I(SUB, R0, 1), JMP_I(JNE, R0, 0, -2), EXIT)}},
    {"a far jump back",
     {PROGRAM(ALU64_I(ADD, R0, 1), ALU64_I(ADD, R0, 1), ALU64_I(ADD, R0, 1), ALU64_I(ADD, R0, 1),
              GOTO(-5), EXIT)}},
};

static void
expect_stopped(struct vm *vm, const char *name, const struct spec *template)
{
    struct spec spec = *template;
    spec.budget.cpu_limit_ns = 3 * TEST_MS;
    struct bpf_pool *pool = spec_pool(vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    enum bpf_outcome outcome = bpf_run_go(run);
    unsigned yields = 0;
    for (; outcome == BPF_YIELDED; yields++)
        outcome = bpf_run_go(run);
    if (outcome != BPF_TRAPPED || bpf_run_trap(run).kind != BPF_TRAP_CPU || yields == 0)
        fail_msg("%s: outcome %d after %u yields", name, (int)outcome, yields);
    bpf_run_free(run);
    bpf_pool_free(pool);
}

static void
no_loop_is_endless(void **state)
{
    struct vm vm;
    vm_init(&vm, engine_of(state), TEST_MS / 4);
    for (unsigned i = 0; i < ROW_COUNT(endless); i++)
        expect_stopped(&vm, endless[i].name, &endless[i].spec);
    vm_deinit(&vm);
}

/* Seven functions of which each calls the next FAN times: no jump at all, FAN^7 calls. */
static void
calls_that_multiply_are_stopped(void **state)
{
    enum { FAN = 100, LEVELS = 7, LEN = FAN + 1 };
    static struct bpf_insn insns[LEVELS * LEN + 1];
    for (int level = 0; level < LEVELS; level++) {
        for (int i = 0; i < FAN; i++)
            insns[level * LEN + i] = (struct bpf_insn)CALL_LOCAL(LEN - i - 1);
        insns[level * LEN + FAN] = (struct bpf_insn)EXIT;
    }
    insns[LEVELS * LEN] = (struct bpf_insn)EXIT;
    const struct spec spec = {.insns = insns, .insn_count = ROW_COUNT(insns)};
    struct vm vm;
    vm_init(&vm, engine_of(state), TEST_MS / 4);
    expect_stopped(&vm, "calls that multiply", &spec);
    vm_deinit(&vm);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(no_pointer_leads_out_of_the_cage),
        BOTH(no_pointer_leads_out_of_a_small_cage),
        BOTH(a_limit_on_addresses_makes_cages_small),
        BOTH(the_frame_pointer_reaches_the_stack_only),
        BOTH(the_stack_does_not_grow_by_address),
        BOTH(eight_functions_are_open_at_most),
        BOTH(functions_that_call_each_other_end),
        BOTH(only_helpers_that_are_there_are_called_by_register),
        BOTH(no_jump_or_call_leads_where_no_instruction_starts),
        BOTH(nothing_is_both_writable_and_executable),
        BOTH(helpers_take_what_is_the_scripts_only),
        BOTH(views_of_a_call_do_not_overlap),
        BOTH(no_loop_is_endless),
        BOTH(calls_that_multiply_are_stopped),
    };
    return cmocka_run_group_tests_name("bpf escape", tests, NULL, NULL);
}
