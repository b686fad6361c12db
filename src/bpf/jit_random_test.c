#include "bpf/disasm.h"
#include "bpf/script_test_run.h"

#include <inttypes.h>

/* As on the oldest processor of its kind. */
#if defined(__x86_64__)
#include "bpf/emit_x86_64.h"
static void
forget_features(void)
{
    x86_features_limit(0);
}
#else
static void
forget_features(void)
{
}
#endif

/* Random programs, by machine code and by the interpreter: both must end alike, with the same
 * memory. Each is a stretch of random instructions between two fixed ones: a start that fills the
 * registers, and an end that makes one number of them. Half of the accesses go through a register
 * that was just set to somewhere near the program's memory.
 *
 *     jit_random_test [PROGRAMS [SEED]]     prints the program that makes a difference
 */
enum {
    PROGRAMS_DEFAULT = 4000,
    INSNS_MAX = 400,
    BODY_MAX = 60,
    DATA_LEN = 512,
    RO_LEN = 256,
    FUEL = 200,
    CODE_MAX = 65536,
};

static uint64_t program_count = PROGRAMS_DEFAULT, first_seed = 1;

/* --- numbers --- */

static uint64_t random_state;

/* xorshift64* */
static uint64_t
next_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1d;
}

static uint32_t
below(uint32_t bound)
{
    return (uint32_t)((next_random() >> 32) * bound >> 32);
}

static bool
one_in(uint32_t count)
{
    return below(count) == 0;
}

/* Numbers at which something changes, and any others. */
static uint64_t
number(void)
{
    static const uint64_t edges[] = {
        0,
        1,
        2,
        3,
        7,
        8,
        31,
        32,
        63,
        64,
        127,
        128,
        255,
        256,
        32767,
        65535,
        65536,
        INT32_MAX,
        0x80000000,
        UINT32_MAX,
        0x100000000,
        INT64_MAX,
        0x8000000000000000,
        UINT64_MAX,
        (uint64_t)-2,
        (uint64_t)-128,
        (uint64_t)-129,
        (uint64_t)INT32_MIN,
        0xffffffff00000000,
    };
    switch (below(4)) {
    case 0:
        return next_random();
    case 1:
        return next_random() >> below(64);
    default:
        return edges[below(sizeof edges / sizeof *edges)];
    }
}

/* --- programs --- */

struct draft {
    struct bpf_insn insns[INSNS_MAX];
    uint8_t fixed[INSNS_MAX]; /* not to be jumped to: a second half, a call of what was just set */
    uint32_t count, body, body_end;
};

static void
put(struct draft *draft, struct bpf_insn insn)
{
    assert_true(draft->count < INSNS_MAX);
    draft->insns[draft->count++] = insn;
}

static void
put_wide(struct draft *draft, unsigned dst, uint64_t value)
{
    const struct bpf_insn insns[] = {LDDW((uint8_t)dst, value)};
    put(draft, insns[0]);
    draft->fixed[draft->count] = 1;
    put(draft, insns[1]);
}

static unsigned
some_reg(void)
{
    return below(10);
}

static void
put_alu(struct draft *draft)
{
    static const uint8_t codes[] = {ADD, SUB, MUL, DIV, OR,  AND, LSH,
                                    RSH, NEG, MOD, XOR, MOV, ARSH};
    struct bpf_insn insn = {.dst = some_reg() & 15};
    uint8_t code = codes[below(sizeof codes)];
    bool wide = !one_in(2), reg = !one_in(2) && code != NEG;
    insn.opcode = code | (wide ? 0x07 : 0x04) | (reg ? 0x08 : 0);
    if (reg)
        insn.src = (one_in(8) ? BPF_REG_STACK : some_reg()) & 15;
    else if (code != NEG)
        insn.imm = (int32_t)number();
    if ((code == DIV || code == MOD) && one_in(2))
        insn.off = 1;
    if (code == MOV && reg && one_in(3))
        insn.off = (int16_t)(8 << below(wide ? 3 : 2));
    put(draft, insn);
}

static void
put_swap(struct draft *draft, unsigned dst)
{
    static const uint8_t opcodes[] = {0xd4, 0xdc, 0xd7};
    put(draft, (struct bpf_insn){opcodes[below(3)], dst & 15, 0, 0, 16 << below(3)});
}

/* What compilers make, and translators take together; now and then not quite so. */

static void
put_move_and_add(struct draft *draft, unsigned a, unsigned b, unsigned class)
{
    put(draft, (struct bpf_insn){(uint8_t)(0xb8 | class), a & 15, b & 15, 0, 0});
    if (one_in(2))
        put(draft, (struct bpf_insn)ALU64_I(ADD, a & 15, (int32_t)number()));
    else
        put(draft, (struct bpf_insn){(uint8_t)(0x08 | (one_in(2) ? 7 : 4)), a & 15, some_reg() & 15,
                                     0, 0});
}

static void
put_constant_and_add(struct draft *draft, unsigned a, unsigned b, unsigned class)
{
    if (one_in(2))
        put_wide(draft, a, number());
    else
        put(draft, (struct bpf_insn){(uint8_t)(0xb0 | class), a & 15, 0, 0, (int32_t)number()});
    put(draft, (struct bpf_insn){(uint8_t)(0x08 | (one_in(3) ? 4 : 7)), a & 15, b & 15, 0, 0});
}

static void
put_extension(struct draft *draft, unsigned a, unsigned class)
{
    int32_t count = (int32_t)(8 * below(8));
    uint8_t back = one_in(2) ? RSH : ARSH;
    put(draft, (struct bpf_insn){(uint8_t)(LSH | class), a & 15, 0, 0, count});
    if (one_in(6))
        count ^= 8;
    put(draft, (struct bpf_insn){(uint8_t)(back | class), a & 15, 0, 0, count});
}

static void
put_rotation(struct draft *draft, unsigned a, unsigned x, unsigned class)
{
    int32_t width = class == 7 ? 64 : 32, count = 1 + (int32_t)below((uint32_t)width - 1);
    unsigned b = one_in(2) ? x : some_reg(), part;
    uint8_t way = one_in(2) ? LSH : RSH;
    put(draft, (struct bpf_insn){(uint8_t)(0xb8 | class), a & 15, x & 15, 0, 0});
    put(draft, (struct bpf_insn){(uint8_t)(way | class), a & 15, 0, 0, count});
    if (b != x)
        put(draft, (struct bpf_insn){(uint8_t)(0xb8 | class), b & 15, x & 15, 0, 0});
    count = width - count - one_in(8);
    put(draft, (struct bpf_insn){(uint8_t)((way ^ LSH ^ RSH) | class), b & 15, 0, 0, count});
    part = one_in(2) ? a : b;
    put(draft, (struct bpf_insn){(uint8_t)(0x48 | class), (a ^ b ^ part) & 15, part & 15, 0, 0});
    if (!one_in(4))
        put(draft, (struct bpf_insn){(uint8_t)(0xb0 | class), part & 15, 0, 0, (int32_t)number()});
}

static void
put_group(struct draft *draft)
{
    unsigned a = some_reg(), b = some_reg(), class = one_in(2) ? 7 : 4;
    switch (below(5)) {
    case 0:
        put_move_and_add(draft, a, b, class);
        return;
    case 1:
        put_constant_and_add(draft, a, b, class);
        return;
    case 2:
        put_extension(draft, a, class);
        return;
    default:
        put_rotation(draft, a, b, class);
    }
}

/* In writable memory, mostly; else near the start or end of some region. */
static uint64_t
some_address(void)
{
    static const uint32_t inside[] = {
        BPF_STACK_TOP - 512, BPF_ARGS + 128, BPF_RO_BASE + BPF_REGION_ALIGN + 128, /* of data */
    };
    static const uint32_t ends[] = {
        BPF_STACK_LOW,
        BPF_ARGS + BPF_ARGS_LEN,
        BPF_RO_BASE,
        BPF_RO_BASE + RO_LEN,
    };
    uint64_t address = one_in(6) ? ends[below(4)] : inside[below(3)];
    address += (uint64_t)below(256) - 64;
    if (one_in(4)) /* only the lower half counts */
        address |= next_random() << 32;
    return address;
}

/* An address that is computed, by way of numbers around what bounds of it are about. */
static void
put_address(struct draft *draft, unsigned reg)
{
    uint64_t address = some_address(), low = address & UINT32_MAX;
    uint32_t count = 1 + below(40);
    int32_t term = (int32_t)number();
    switch (below(6)) {
    case 0:
        put_wide(draft, reg, address - (uint64_t)(int64_t)term);
        put(draft, (struct bpf_insn)ALU64_I(ADD, reg & 15, term));
        return;
    case 1:
        put_wide(draft, reg, low << (count & 31));
        put(draft, (struct bpf_insn)ALU64_I(RSH, reg & 15, (int32_t)(count & 31)));
        return;
    case 2:
        put_wide(draft, reg, address >> (count & 7));
        put(draft, (struct bpf_insn)ALU64_I(LSH, reg & 15, (int32_t)(count & 7)));
        return;
    case 3:
        put_wide(draft, reg, low / (1 + count));
        put(draft, (struct bpf_insn)ALU64_I(MUL, reg & 15, 1 + (int32_t)count));
        return;
    case 4:
        put_wide(draft, reg, address | next_random() << 20);
        put(draft, (struct bpf_insn)ALU64_I(AND, reg & 15, (int32_t)low));
        return;
    default:
        put_wide(draft, reg, address);
    }
}

static void
put_access(struct draft *draft)
{
    static const int32_t atomics[] = {0x00, 0x40, 0x50, 0xa0, 0x01,
                                      0x41, 0x51, 0xa1, XCHG, CMPXCHG};
    static const uint8_t widths[] = {W, H, B, DW};
    unsigned address = one_in(3) ? BPF_REG_STACK : some_reg(), other = some_reg();
    uint8_t width = widths[below(4)];
    int16_t off = (int16_t)(below(128) - 96);
    if (address != BPF_REG_STACK && !one_in(16))
        put_address(draft, address);
    if (one_in(60))
        off = (int16_t)next_random();
    switch (below(6)) {
    case 0:
    case 1:
        put(draft, (struct bpf_insn)LDX(width, other & 15, address & 15, off));
        if (one_in(3))
            put_swap(draft, one_in(4) ? some_reg() : other);
        return;
    case 2:
        put(draft, (struct bpf_insn)LDXS((width == DW ? W : width), other & 15, address & 15, off));
        return;
    case 3:
        put(draft, (struct bpf_insn)ST(width, address & 15, off, (int32_t)number()));
        return;
    case 4:
        put(draft, (struct bpf_insn)STX(width, address & 15, off, other & 15));
        return;
    default:
        put(draft, (struct bpf_insn)ATOMIC((one_in(2) ? W : DW), atomics[below(10)], address & 15,
                                           off, other & 15));
    }
}

/* Distances are filled in when the body is complete. */
static void
put_jump(struct draft *draft)
{
    static const uint8_t codes[] = {JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, JLT, JLE, JSLT, JSLE};
    struct bpf_insn insn = {.dst = some_reg() & 15};
    if (one_in(8)) {
        insn = (struct bpf_insn){.opcode = one_in(2) ? 0x05 : 0x06};
    } else {
        insn.opcode = codes[below(sizeof codes)] | (one_in(2) ? 0x05 : 0x06);
        if (one_in(2)) {
            insn.opcode |= 0x08;
            insn.src = (one_in(8) ? BPF_REG_STACK : some_reg()) & 15;
        } else {
            insn.imm = (int32_t)number();
        }
    }
    put(draft, insn);
}

static void
put_call(struct draft *draft)
{
    switch (below(8)) {
    case 0:
        put(draft, (struct bpf_insn)CALL(H_FILL));
        return;
    case 1:
    case 2:
        put(draft, (struct bpf_insn)CALL_LOCAL(0));
        return;
    case 3: { /* other helpers crash or say where they lie */
        static const int32_t numbers[] = {H_ADD, H_WAIT, H_FILL, H_SUM, H_TRAP, H_COUNT, -1};
        unsigned reg = some_reg();
        put(draft, (struct bpf_insn)MOV_I(reg & 15, numbers[below(7)]));
        draft->fixed[draft->count] = 1;
        put(draft, (struct bpf_insn)CALLX(reg & 15));
        return;
    }
    default:
        put(draft, (struct bpf_insn)CALL(H_ADD));
    }
}

static void
put_some(struct draft *draft)
{
    switch (below(16)) {
    case 0 ... 5:
        put_alu(draft);
        return;
    case 6:
        put_wide(draft, some_reg(), number());
        return;
    case 7 ... 10:
        put_access(draft);
        return;
    case 11 ... 12:
        put_jump(draft);
        return;
    case 13:
        if (one_in(3))
            put_call(draft);
        else
            put_swap(draft, some_reg());
        return;
    case 14:
        if (one_in(6))
            put(draft, (struct bpf_insn)EXIT);
        return;
    default:
        put_group(draft);
    }
}

/* An instruction of the body, or the first behind it. */
static uint32_t
some_target(const struct draft *draft, uint32_t from)
{
    for (;;) {
        uint32_t target = one_in(5) ? draft->body + below(draft->body_end - draft->body + 1)
                                    : from + 1 + below(draft->body_end - from);
        if (!draft->fixed[target])
            return target;
    }
}

static void
set_targets(struct draft *draft)
{
    for (uint32_t at = draft->body; at < draft->body_end; at++) {
        struct bpf_insn *insn = &draft->insns[at];
        if (draft->fixed[at])
            continue;
        int32_t distance = (int32_t)some_target(draft, at) - (int32_t)at - 1;
        if (insn->opcode == 0x06 || (insn->opcode == 0x85 && insn->src == 1))
            insn->imm = distance;
        else if (bpf_is_jump(*insn))
            insn->off = (int16_t)distance;
    }
}

static void
make(struct draft *draft)
{
    *draft = (struct draft){0};
    for (unsigned reg = 0; reg < 10; reg++)
        put_wide(draft, reg, one_in(3) ? some_address() : number());
    draft->body = draft->count;
    uint32_t len = 1 + below(BODY_MAX);
    while (draft->count < draft->body + len)
        put_some(draft);
    draft->body_end = draft->count;
    for (unsigned reg = 1; reg < 10; reg++) {
        put(draft, (struct bpf_insn)ALU64_I(MUL, R0, 31));
        put(draft, (struct bpf_insn)ALU64_R(ADD, R0, reg & 15));
    }
    put(draft, (struct bpf_insn)EXIT);
    set_targets(draft);
}

/* --- both engines --- */

struct ending {
    enum bpf_outcome outcome;
    uint64_t result, fuel_left;
    struct bpf_trap_info trap;
    char text[256];
    uint32_t stack_open;
    char stack[BPF_STACK_TOP - BPF_STACK_LOW + BPF_ARGS_LEN];
    char data[DATA_LEN];
};

/* Making a slot takes longer than all else, so all programs run in that of one pool: they have its
 * layout, and its data. */
static void
end_of(struct bpf_pool *pool, struct bpf_program *program, bpf_engine_fn *engine,
       struct ending *ending)
{
    struct bpf_run *run = test_run_new(pool, NULL);
    memset(ending, 0, sizeof *ending);
    program->engine = engine;
    run->program = program;
    ending->outcome = test_finish(run);
    ending->fuel_left = run->fuel_left;
    ending->stack_open = run->cage.stack_open;
    if (ending->outcome == BPF_DONE) {
        ending->result = bpf_run_result(run);
    } else {
        ending->trap = bpf_run_trap(run);
        snprintf(ending->text, sizeof ending->text, "%s", ending->trap.text);
        ending->trap.text = NULL;
    }
    uint32_t open = run->cage.stack_open, end = BPF_ARGS + BPF_ARGS_LEN;
    if (end > run->cage.args_open)
        end = run->cage.args_open;
    memcpy(ending->stack + (open - BPF_STACK_LOW), run->cage.base + open, end - open);
    memcpy(ending->data, run->cage.base + program->object.layout.data_off, DATA_LEN);
    bpf_run_free(run);
    run->program = pool->program;
}

static void
show(const struct draft *draft, const struct ending *jit, const struct ending *interp,
     uint64_t seed)
{
    struct bpf_object object = {
        .insns = (struct bpf_insn *)(uintptr_t)draft->insns,
        .insn_count = draft->count,
    };
    const struct ending *endings[] = {jit, interp};
    for (uint32_t at = 0; at < draft->count;) {
        char line[BPF_DISASM_MAX];
        uint32_t taken = bpf_disasm(line, &object, at, &script_helpers);
        fprintf(stderr, "%4u: %s\n", at, line);
        at += taken;
    }
    for (unsigned i = 0; i < 2; i++)
        fprintf(stderr, "%s: outcome %d, r0 0x%" PRIx64 ", fuel %" PRIu64 ", trap at %u: %s\n",
                i ? "interp" : "jit", endings[i]->outcome, endings[i]->result,
                endings[i]->fuel_left, endings[i]->trap.insn, endings[i]->text);
    fail_msg("engines differ, seed %" PRIu64, seed);
}

static unsigned ended[BPF_TRAPPED + BPF_TRAP_COUNT + 1];

static void
compare(struct bpf_pool *pool, uint64_t seed)
{
    static struct ending by_jit, by_interp;
    static struct draft draft;
    struct error error;
    random_state = seed * 0x9e3779b97f4a7c15 + 1;
    make(&draft);
    struct bpf_section section = {STR("random"), 0, draft.count};
    struct bpf_program program = {
        .object = pool->program->object,
        .helpers = &script_helpers,
    };
    program.object.insns = draft.insns;
    program.object.insn_count = draft.count;
    program.object.sections = &section;
    if (bpf_check(&program.check, &program.object, &script_helpers, BPF_ALLOW_CALLX, &error) < 0 ||
        bpf_code_new(&program.code, &program.object, &program.check, &script_helpers, CODE_MAX,
                     &error) < 0)
        fail_msg("seed %" PRIu64 ": %s", seed, error.text);
    /* what the first leaves, the second would find */
    if (seed % 2)
        end_of(pool, &program, bpf_interp, &by_interp);
    end_of(pool, &program, bpf_jit_run, &by_jit);
    if (seed % 2 == 0)
        end_of(pool, &program, bpf_interp, &by_interp);
    bpf_code_deinit(&program.code);
    bpf_check_deinit(&program.check);
    if (memcmp(&by_jit, &by_interp, sizeof by_jit) != 0)
        show(&draft, &by_jit, &by_interp, seed);
    ended[by_jit.outcome == BPF_DONE ? BPF_DONE : BPF_TRAPPED + by_jit.trap.kind]++;
}

static void
engines_agree_on_random_programs(void **state)
{
    static char ro[RO_LEN], data[DATA_LEN];
    struct vm vm;
    vm_init(&vm, engine_of(state), 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = ro[i % RO_LEN] = (char)(i * 167 + 13);
    const struct spec spec = {
        PROGRAM(EXIT),
        .ro = str_make(ro, sizeof ro),
        .data = str_make(data, sizeof data),
        .budget.fuel = FUEL,
    };
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    for (uint64_t i = 0; i < program_count; i++)
        compare(pool, first_seed + i);
    bpf_pool_free(pool);
    vm_deinit(&vm);
    print_message("done %u, access %u, calls %u, helper %u, fuel %u, unknown %u\n", ended[BPF_DONE],
                  ended[BPF_TRAPPED + BPF_TRAP_ACCESS], ended[BPF_TRAPPED + BPF_TRAP_CALLS],
                  ended[BPF_TRAPPED + BPF_TRAP_HELPER], ended[BPF_TRAPPED + BPF_TRAP_CPU],
                  ended[BPF_TRAPPED + BPF_TRAP_UNKNOWN]);
    for (unsigned kind = 0; kind < BPF_TRAP_COUNT; kind++)
        assert_true(ended[BPF_TRAPPED + kind] > 0); /* else the programs are too tame */
    assert_true(ended[BPF_DONE] > program_count / 10);
}

static void
agree_in_small_cages(void *state)
{
    bpf_cage_set_small();
    engines_agree_on_random_programs(state);
}

static void
engines_agree_in_small_cages(void **state)
{
    (void)engine_of(state); /* skips */
    expect_child_passes(agree_in_small_cages, state);
}

static void
agree_on_an_old_processor(void *state)
{
    forget_features();
    engines_agree_on_random_programs(state);
}

static void
engines_agree_on_an_old_processor(void **state)
{
    (void)engine_of(state);
    expect_child_passes(agree_on_an_old_processor, state);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(engines_agree_in_small_cages, &test_jit),
        cmocka_unit_test_prestate(engines_agree_on_an_old_processor, &test_jit),
        cmocka_unit_test_prestate(engines_agree_on_random_programs, &test_jit),
    };
    if (argc > 1)
        program_count = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests_name("bpf jit random", tests, NULL, NULL);
}
