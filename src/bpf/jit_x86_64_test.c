#include "bpf/jit_x86_64.h"

#include "bpf/script_test_run.h"

#include <time.h>

/* What the code is like; engines_test and jit_random_test are about what it does. */

static struct bpf_program *
load(const struct spec *spec)
{
    struct error error = {0};
    struct vm vm = {.engine = BPF_ENGINE_JIT};
    struct bpf_program *program = spec_load(&vm, spec, &error);
    if (!program)
        fail_msg("%s", error.text);
    return program;
}

static uint64_t
code_len(const struct bpf_program *program, uint32_t insn)
{
    return bpf_program_code(program, insn).len;
}

static void
expect_code(const struct bpf_program *program, uint32_t insn, struct str expected)
{
    struct str code = bpf_program_code(program, insn);
    char text[200] = "";
    for (size_t i = 0; i < code.len && i < 60; i++)
        snprintf(text + 3 * i, sizeof text - 3 * i, "%02x ", (uint8_t)code.ptr[i]);
    if (!str_eq(code, expected))
        fail_msg("insn %u: %s", insn, text);
}

#define CODE(...) \
    str_make((const char *)(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* --- accesses --- */

enum { ONE_MORE = 3 }; /* bytes of mov r11d, reg */

static void
accesses_take_one_instruction_more_at_most(void **state)
{
    const struct spec spec = {
        PROGRAM(LDX(DW, R0, R10, -8), LDX(W, R0, R1, 0), STX(DW, R1, 16, R0), STX(B, R2, 1, R3),
                ALU64_I(ADD, R1, 4), LDX(H, R0, R1, 0), ALU32_I(ADD, R1, 4), LDX(B, R5, R1, 0),
                LDX(DW, R5, R5, 0), EXIT),
    };
    struct bpf_program *program = load(&spec);
    expect_code(program, 0, CODE(0x49, 0x8b, 0x44, 0x2c, 0xf8)); /* mov rax, [r12+rbp-8] */
    /* mov r11d, edi; mov eax, [r12+r11] */
    expect_code(program, 1, CODE(0x41, 0x89, 0xfb, 0x43, 0x8b, 0x04, 0x1c));
    /* through the same register: mov [r12+r11+16], rax */
    expect_code(program, 2, CODE(0x4b, 0x89, 0x44, 0x1c, 0x10));
    /* mov r10d, esi; mov [r12+r10+1], dl */
    expect_code(program, 3, CODE(0x41, 0x89, 0xf2, 0x43, 0x88, 0x54, 0x14, 0x01));
    /* changed in 64 bits: mov r9d, edi; movzx eax, word [r12+r9] */
    expect_code(program, 5, CODE(0x41, 0x89, 0xf9, 0x43, 0x0f, 0xb7, 0x04, 0x0c));
    /* in 32: movzx r8d, byte [r12+rdi]; and what was loaded so: mov r8, [r12+r8] */
    expect_code(program, 7, CODE(0x45, 0x0f, 0xb6, 0x04, 0x3c));
    expect_code(program, 8, CODE(0x4f, 0x8b, 0x04, 0x04));
    bpf_program_unref(program);
}

#define ACCESS LDX(DW, R0, R1, 0)

static void
what_is_known_is_forgotten_where_a_jump_may_come_from(void **state)
{
    const struct spec spec = {
        PROGRAM(ALU32_I(ADD, R1, 4), ACCESS, JMP_I(JEQ, R2, 0, 1), ACCESS, ACCESS /* target */,
                ACCESS, JMP_I(JNE, R2, 0, -3), ACCESS, CALL(H_ADD), ACCESS, CALL_LOCAL(3), ACCESS,
                ACCESS, EXIT, ACCESS /* function */, EXIT),
    };
    struct bpf_program *program = load(&spec);
    const struct {
        uint32_t insn;
        bool masked;
    } cases[] = {{1, false}, {3, false}, {4, true},   {5, false}, {7, true},
                 {9, false}, {11, true}, {12, false}, {14, true}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (code_len(program, cases[i].insn) != 4u + (cases[i].masked ? ONE_MORE : 0))
            fail_msg("insn %u: %u bytes", cases[i].insn,
                     (unsigned)code_len(program, cases[i].insn));
    }
    bpf_program_unref(program);
}

static void
small_cages_mask(void *arg)
{
    bpf_cage_set_small();
    const struct spec spec = {
        PROGRAM(ALU32_I(ADD, R1, 4), LDX(DW, R0, R1, 0), LDX(DW, R0, R1, 0), LDX(DW, R0, R10, 0),
                EXIT),
    };
    struct bpf_program *program = load(&spec);
    /* mov r11d, edi; and r11d, 0xffffff; mov rax, [r12+r11] */
    expect_code(
        program, 1,
        CODE(0x41, 0x89, 0xfb, 0x41, 0x81, 0xe3, 0xff, 0xff, 0xff, 0x00, 0x4b, 0x8b, 0x04, 0x1c));
    expect_code(program, 2, CODE(0x4b, 0x8b, 0x04, 0x1c));
    expect_code(program, 3, CODE(0x49, 0x8b, 0x04, 0x2c));
    bpf_program_unref(program);
}

static void
a_small_cage_takes_a_mask_always(void **state)
{
    expect_child_passes(small_cages_mask, NULL);
}

/* --- instructions that are taken together --- */

static void
compilers_pairs_are_one_instruction(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_R(R1, R2), ALU64_I(ADD, R1, 8),          /* lea rdi, [rsi+8] */
                MOV_R(R6, R7), ALU64_R(ADD, R6, R8),         /* lea rbx, [r13+r14] */
                LDDW(R3, 0x30000), ALU64_R(ADD, R3, R1),     /* lea rdx, [rdi+0x30000] */
                ALU64_I(LSH, R1, 32), ALU64_I(ARSH, R1, 32), /* movsxd rdi, edi */
                ALU64_I(LSH, R2, 56), ALU64_I(RSH, R2, 56),  /* movzx esi, sil */
                EXIT),
    };
    struct bpf_program *program = load(&spec);
    expect_code(program, 0, CODE(0x48, 0x8d, 0x7e, 0x08));
    expect_code(program, 2, CODE(0x4b, 0x8d, 0x5c, 0x35, 0x00));
    expect_code(program, 4, CODE(0x48, 0x8d, 0x97, 0x00, 0x00, 0x03, 0x00));
    expect_code(program, 7, CODE(0x48, 0x63, 0xff));
    expect_code(program, 9, CODE(0x40, 0x0f, 0xb6, 0xf6));
    const uint32_t covered[] = {1, 3, 5, 6, 8, 10};
    for (unsigned i = 0; i < sizeof covered / sizeof *covered; i++)
        assert_int_equal(code_len(program, covered[i]), 0);
    bpf_program_unref(program);
}

static void
a_pair_whose_second_is_jumped_to_is_two(void **state)
{
    const struct spec spec = {
        PROGRAM(MOV_R(R1, R2), ALU64_I(ADD, R1, 8), JMP_I(JEQ, R1, 64, -2), MOV_R(R0, R1), EXIT),
    };
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_JIT, 0);
    struct bpf_program *program = load(&spec);
    assert_int_equal(code_len(program, 0), 3);
    assert_int_equal(code_len(program, 1), 4);
    bpf_program_unref(program);
    expect_only_done(&vm, &spec, ARGS(0, 56), 72);
    expect_only_done(&vm, &spec, ARGS(0, 57), 65);
    vm_deinit(&vm);
}

static void
rotations_are_one_instruction_where_nobody_sees(void **state)
{
    const struct spec spec = {
        PROGRAM(
            /* w1 = w2 rotated right by 7; w3, a part of it, is written behind */
            ALU32_R(MOV, R3, R2), ALU32_I(RSH, R3, 7), ALU32_R(MOV, R1, R2), ALU32_I(LSH, R1, 25),
            ALU32_R(OR, R1, R3), MOV_I(R3, 0),
            /* r2 rotated left by 8, in place */
            MOV_R(R3, R2), ALU64_I(LSH, R3, 8), ALU64_I(RSH, R2, 56), ALU64_R(OR, R2, R3),
            MOV_I(R3, 0),
            /* the part is read */
            ALU32_R(MOV, R3, R2), ALU32_I(RSH, R3, 7), ALU32_R(MOV, R1, R2), ALU32_I(LSH, R1, 25),
            ALU32_R(OR, R1, R3), MOV_R(R0, R3),
            /* 7 and 24 are no rotation */
            ALU32_R(MOV, R3, R2), ALU32_I(RSH, R3, 7), ALU32_R(MOV, R1, R2), ALU32_I(LSH, R1, 24),
            ALU32_R(OR, R1, R3), MOV_I(R3, 0), EXIT),
    };
    if (!(x86_features() & X86_HAS_BMI2))
        skip();
    struct bpf_program *program = load(&spec);
    expect_code(program, 0, CODE(0xc4, 0xe3, 0x7b, 0xf0, 0xfe, 0x07)); /* rorx edi, esi, 7 */
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(code_len(program, i), 0);
    expect_code(program, 6, CODE(0x48, 0xc1, 0xce, 0x38)); /* ror rsi, 56 */
    assert_int_equal(code_len(program, 11), 2);
    assert_int_equal(code_len(program, 12), 3);
    assert_int_equal(code_len(program, 17), 2);
    bpf_program_unref(program);
}

/* Of bytes, tables and structures: all of it is surely inside of the cage. */
static void
bounded_sums_take_no_mask(void **state)
{
    const struct spec spec = {
        PROGRAM(LDX(B, R1, R10, -1), ALU64_I(LSH, R1, 2), LDDW(R2, 0x30000), ALU64_R(ADD, R2, R1),
                LDX(W, R0, R2, 0), /* inside */
                ALU64_I(ADD, R2, 1 << 30), ALU64_I(ADD, R2, 1 << 30), ALU64_I(ADD, R2, 1 << 30),
                LDX(W, R0, R2, 0),                            /* still */
                ALU64_I(ADD, R2, 1 << 30), LDX(W, R0, R2, 0), /* no more */
                MOV_I(R2, 0x30000), ALU64_I(SUB, R2, 1), LDX(W, R0, R2, 0) /* not known */, EXIT),
    };
    enum { LOAD_LEN = 4 };
    struct bpf_program *program = load(&spec);
    assert_int_equal(code_len(program, 5), LOAD_LEN);
    assert_int_equal(code_len(program, 9), LOAD_LEN);
    assert_int_equal(code_len(program, 11), LOAD_LEN + ONE_MORE);
    assert_int_equal(code_len(program, 14), LOAD_LEN + ONE_MORE);
    bpf_program_unref(program);
}

/* --- calls --- */

static void
registers_that_nobody_reads_are_not_cleared(void **state)
{
    enum { CALL_LEN = 12 + 8 + 6, CLEAR_LEN = 2, CLEAR_R5_LEN = 3 };
    const struct spec spec = {
        PROGRAM(CALL(H_ADD), MOV_I(R1, 1), MOV_I(R2, 1), LDX(DW, R3, R10, -8), MOV_R(R4, R1),
                MOV_R(R5, R4), CALL(H_ADD), MOV_R(R1, R2), LDDW(R2, 7), CALL(H_ADD), EXIT),
    };
    struct bpf_program *program = load(&spec);
    assert_int_equal(code_len(program, 0), CALL_LEN);
    assert_int_equal(code_len(program, 6), CALL_LEN + 3 * CLEAR_LEN + CLEAR_R5_LEN); /* not r1 */
    assert_int_equal(code_len(program, 10), CALL_LEN + 4 * CLEAR_LEN + CLEAR_R5_LEN);
    bpf_program_unref(program);
}

/* In every place r1 to r5 are 0 for whoever looks. */
static void
helpers_leave_zeros(void **state)
{
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_JIT, 0);
    for (uint8_t reg = R1; reg <= R5; reg++) {
        const struct spec at_once = {
            PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5),
                    CALL(H_ADD), MOV_R(R0, reg), EXIT),
        };
        expect_only_done(&vm, &at_once, NULL, 0);
        const struct spec behind_a_jump = {
            PROGRAM(CALL(H_ADD), MOV_I(R0, 0), JMP_I(JEQ, R0, 0, 1), MOV_I(R0, 9),
                    ALU64_R(ADD, R0, reg), EXIT),
        };
        expect_only_done(&vm, &behind_a_jump, ARGS(1, 2, 3, 4, 5), 0);
        const struct spec in_a_function = {
            PROGRAM(CALL(H_ADD), CALL_LOCAL(1), EXIT, MOV_R(R0, reg), EXIT),
        };
        expect_only_done(&vm, &in_a_function, ARGS(1, 2, 3, 4, 5), 0);
        const struct spec at_the_end_of_a_function = {
            PROGRAM(CALL_LOCAL(2), MOV_R(R0, reg), EXIT, CALL(H_ADD), EXIT),
        };
        expect_only_done(&vm, &at_the_end_of_a_function, ARGS(1, 2, 3, 4, 5), 0);
    }
    vm_deinit(&vm);
}

/* Told to before it begins, it yields in its loop: all that C functions may lose is lost there, and
 * every register is in use. */
static void
polls_keep_all_registers(void **state)
{
    struct bpf_insn insns[64];
    unsigned count = 0;
    uint64_t result = 0x0101010101010101;
    for (uint8_t reg = R0; reg <= R8; reg++) {
        const struct bpf_insn wide[] = {LDDW(reg, 0x0101010101010101 * (reg + 1u))};
        insns[count++] = wide[0];
        insns[count++] = wide[1];
    }
    insns[count++] = (struct bpf_insn)MOV_I(R9, 3);
    insns[count++] = (struct bpf_insn)ALU64_I(SUB, R9, 1);
    insns[count++] = (struct bpf_insn)JMP_I(JNE, R9, 0, -2);
    for (uint8_t reg = R1; reg <= R8; reg++) {
        insns[count++] = (struct bpf_insn)ALU64_I(MUL, R0, 31);
        insns[count++] = (struct bpf_insn)ALU64_R(ADD, R0, reg);
        result = result * 31 + 0x0101010101010101 * (reg + 1u);
    }
    insns[count++] = (struct bpf_insn)EXIT;
    const struct spec spec = {.insns = insns, .insn_count = count};
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_JIT, 0);
    struct bpf_pool *pool = spec_pool(&vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    atomic_store(&run->poll, 1);
    assert_int_equal(bpf_run_go(run), BPF_YIELDED);
    assert_int_equal(run->insn, 20);
    expect_done(run, result);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

static uint64_t
alignment(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    /* a frame begins with what was pushed first, below the return address */
    return (uintptr_t)__builtin_frame_address(0) % 16;
}

static void
helpers_find_an_aligned_stack(void **state)
{
    static const struct bpf_helper list[] = {{"alignment", alignment}};
    static const struct bpf_helper_table table = {list, 1};
    const struct bpf_insn insns[] = {CALL(0), MOV_R(R6, R0), CALL_LOCAL(2), ALU64_R(ADD, R0, R6),
                                     EXIT,    CALL_LOCAL(1), EXIT,          CALL(0),
                                     EXIT};
    struct vm vm;
    struct error error = {0};
    struct bpf_object object;
    struct bpf_program *program;
    struct bpf_pool *pool;
    const struct bpf_budget budget = {0};
    const struct bpf_program_config config = {.helpers = &table, .engine = BPF_ENGINE_JIT};
    vm_init(&vm, BPF_ENGINE_JIT, 0);
    assert_int_equal(bpf_object_from_insns(&object, insns, 9, (struct str){0}, &error), 0);
    assert_int_equal(bpf_program_new(&program, &object, &config, &error), 0);
    assert_int_equal(bpf_pool_new(&pool, vm.worker, program, &budget, &error), 0);
    expect_done(test_run_new(pool, NULL), 0);
    bpf_program_unref(program);
    bpf_pool_free(pool);
    vm_deinit(&vm);
}

/* --- shifts and divisions: where the machine wants certain registers --- */

struct triple {
    uint8_t opcode;
    int16_t off;
    uint64_t a, b, result, result_same; /* of a and b; of a and a */
};

/* All registers hold numbers of their own; afterwards only dst is another. */
static void
expect_in_registers(struct vm *vm, const struct triple *t, uint8_t dst, uint8_t src)
{
    uint64_t values[10], sum = 0, result = dst == src ? t->result_same : t->result;
    struct bpf_insn insns[64];
    unsigned count = 0;
    for (uint8_t reg = R0; reg <= R9; reg++) {
        values[reg] = reg == dst ? t->a : reg == src ? t->b : 0x0101010101010101 * (reg + 3u);
        const struct bpf_insn wide[] = {LDDW(reg, values[reg])};
        insns[count++] = wide[0];
        insns[count++] = wide[1];
    }
    /* a jump to the next: nothing is known of the registers behind it */
    insns[count++] = (struct bpf_insn)GOTO(0);
    insns[count++] = (struct bpf_insn)INSN(t->opcode, dst, src, t->off, 0);
    for (uint8_t reg = R0; reg <= R9; reg++) {
        insns[count++] = (struct bpf_insn)STX(DW, R10, 8 * reg, reg);
        sum += (reg == dst ? result : values[reg]) * (reg + 1u);
    }
    insns[count++] = (struct bpf_insn)MOV_I(R1, 0);
    insns[count++] = (struct bpf_insn)EXIT;
    const struct spec spec = {.insns = insns, .insn_count = count};
    struct bpf_pool *pool = spec_pool(vm, &spec);
    struct bpf_run *run = test_run_new(pool, NULL);
    const uint64_t *stored = bpf_run_args(run, 80);
    assert_int_equal(test_finish(run), BPF_DONE);
    for (uint8_t reg = R0; reg <= R9; reg++)
        sum -= stored[reg] * (reg + 1u);
    if (stored[dst] != result || sum != 0)
        fail_msg("opcode 0x%02x off %d, r%u by r%u: 0x%llx", t->opcode, t->off, dst, src,
                 (unsigned long long)stored[dst]);
    bpf_run_free(run);
    bpf_pool_free(pool);
}

static const struct triple triples[] = {
    {0x3f, 0, 1000, 7, 142, 1},
    {0x9f, 0, 1000, 7, 6, 0},
    {0x3f, 0, 1000, 0, 0, 1},
    {0x9f, 0, 1000, 0, 1000, 0},
    {0x3f, 0, UINT64_MAX, 3, UINT64_MAX / 3, 1},
    {0x3f, 1, (uint64_t)-1000, 7, (uint64_t)-142, 1},
    {0x9f, 1, (uint64_t)-1000, 7, (uint64_t)-6, 0},
    {0x3f, 1, (uint64_t)INT64_MIN, UINT64_MAX, (uint64_t)INT64_MIN, 1},
    {0x9f, 1, (uint64_t)INT64_MIN, UINT64_MAX, 0, 0},
    {0x9f, 1, (uint64_t)-1000, 0, (uint64_t)-1000, 0},
    {0x3f, 1, (uint64_t)-1000, 0, 0, 1},
    {0x3c, 0, 0xffffffff00000064, 0x100000007, 14, 1},
    {0x9c, 0, 0xffffffff00000064, 0x100000000, 100, 0},
    {0x3c, 1, 0x80000000, 0xffffffff, 0x80000000, 1},
    {0x9c, 1, 0x80000000, 0xffffffff, 0, 0},
    {0x9c, 1, 0x1fffffff9, 0, 0xfffffff9, 0},
    {0x6f, 0, 3, 65, 6, 24},
    {0x7f, 0, 0x8000000000000004, 0x43, 0x1000000000000000, 0x800000000000000},
    {0xcf, 0, 0x8000000000000004, 0x43, 0xf000000000000000, 0xf800000000000000},
    {0x6c, 0, 0xffffffff80000001, 33, 2, 2},
    {0x7c, 0, 0xffffffff80000004, 0x20, 0x80000004, 0x8000000},
    {0xcc, 0, 0x80000004, 0x24, 0xf8000000, 0xf8000000},
};

static void
all_registers(void *arg)
{
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_JIT, 0);
    for (unsigned i = 0; i < sizeof triples / sizeof *triples; i++) {
        for (uint8_t dst = R0; dst <= R9; dst++) {
            for (uint8_t src = R0; src <= R9; src++)
                expect_in_registers(&vm, &triples[i], dst, src);
        }
    }
    vm_deinit(&vm);
}

static void
divisions_and_shifts_in_all_registers(void **state)
{
    all_registers(NULL);
}

static void
all_registers_without_features(void *arg)
{
    x86_features_limit(0);
    all_registers(arg);
}

static void
the_same_on_an_old_processor(void **state)
{
    expect_child_passes(all_registers_without_features, NULL);
}

/* --- jumps --- */

/* A jump over `count` instructions of one byte each; its length. */
static uint64_t
jump_over(uint8_t opcode, uint32_t count)
{
    struct bpf_insn *insns = calloc(count + 3, sizeof *insns);
    assert_non_null(insns);
    insns[0] = (struct bpf_insn)INSN(opcode, 0, 0, (int16_t)count, 0);
    for (uint32_t i = 1; i < count + 3; i++)
        insns[i] = (struct bpf_insn)EXIT;
    const struct spec spec = {.insns = insns, .insn_count = count + 3};
    struct bpf_program *program = load(&spec);
    uint64_t len = code_len(program, 0);
    bpf_program_unref(program);
    free(insns);
    return len;
}

static void
jumps_are_short_where_that_reaches(void **state)
{
    enum { TEST_LEN = 3 }; /* test rax, rax */
    assert_int_equal(jump_over(0x05, 0), 0);
    assert_int_equal(jump_over(0x05, 1), EMIT_SHORT_LEN);
    assert_int_equal(jump_over(0x05, 127), EMIT_SHORT_LEN);
    assert_int_equal(jump_over(0x05, 128), EMIT_JMP_LEN);
    assert_int_equal(jump_over(0x15, 127), TEST_LEN + EMIT_SHORT_LEN);
    assert_int_equal(jump_over(0x15, 128), TEST_LEN + EMIT_JCC_LEN);
    assert_int_equal(jump_over(0x15, 0), 0);
}

static void
jumps_back_are_short_where_that_reaches(void **state)
{
    enum { POLL_LEN = 15 };
    struct bpf_insn insns[130];
    for (unsigned i = 0; i < 130; i++)
        insns[i] = (struct bpf_insn)EXIT;
    const uint32_t reaches = 128 - POLL_LEN - EMIT_SHORT_LEN;
    for (uint32_t at = reaches; at <= reaches + 1; at++) {
        insns[at] = (struct bpf_insn)GOTO((int16_t)(-(int)at - 1));
        const struct spec spec = {.insns = insns, .insn_count = 130};
        struct bpf_program *program = load(&spec);
        uint64_t jump = at == reaches ? EMIT_SHORT_LEN : EMIT_JMP_LEN;
        assert_int_equal(code_len(program, at), POLL_LEN + jump);
        bpf_program_unref(program);
        insns[at] = (struct bpf_insn)EXIT;
    }
}

/* Sixty jumps that reach only because all between them are short. */
static void
short_jumps_make_others_short(void **state)
{
    struct bpf_insn insns[62];
    for (unsigned i = 0; i < 60; i++)
        insns[i] = (struct bpf_insn)GOTO((int16_t)(60 - i));
    insns[60] = insns[61] = (struct bpf_insn)EXIT;
    const struct spec spec = {.insns = insns, .insn_count = 62};
    struct bpf_program *program = load(&spec);
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(code_len(program, i), EMIT_SHORT_LEN);
    bpf_program_unref(program);
}

/* --- the whole --- */

static void
starts_ascend_and_name_each_instruction(void **state)
{
    const struct spec spec = {
        PROGRAM(LDDW(R1, 0x123456789abc), STX(DW, R10, -8, R1), GOTO(0), JMP_I(JEQ, R1, 0, 1),
                CALL(H_ADD), JMP_I(JNE, R1, 0, -3), EXIT),
    };
    struct bpf_program *program = load(&spec);
    const struct bpf_code *code = &program->code;
    uint64_t text = (uint64_t)(uintptr_t)code->text;
    for (uint32_t i = 0; i < spec.insn_count; i++) {
        assert_true(code->starts[i] <= code->starts[i + 1]);
        if (code->starts[i] < code->starts[i + 1]) {
            assert_int_equal(bpf_code_insn(code, 8, text + code->starts[i]), i);
            assert_int_equal(bpf_code_insn(code, 8, text + code->starts[i + 1] - 1), i);
        }
    }
    assert_int_equal(code->starts[0], 0);
    assert_int_equal(code->starts[1], code->starts[2]);
    assert_int_equal(code->starts[1], 10);
    assert_true(code->starts[8] < code->len); /* polls and the table are behind it */
    assert_int_equal(bpf_code_insn(code, 8, text + code->starts[8]), -1);
    bpf_program_unref(program);
}

/* `count` instructions of all kinds, `count` a multiple of 16. */
static struct bpf_insn *
long_program(uint32_t count)
{
    const struct bpf_insn block[] = {
        LDX(DW, R1, R10, -8), ALU64_R(ADD, R1, R2), ALU32_I(AND, R1, 0xff0), MOV_R(R3, R1),
        ALU64_I(ADD, R3, 16), STX(W, R10, -16, R3), JMP_I(JEQ, R1, 5, 3),    ALU64_I(LSH, R4, 3),
        ALU64_R(OR, R4, R1),  LDX(B, R5, R4, 2),    JMP_R(JGT, R1, R2, 2),   JMP_I(JNE, R5, 7, -5),
        CALL(H_ADD),          ALU64_R(DIV, R0, R6), CALL_LOCAL(-1),          MOV_I(R0, 0),
    };
    struct bpf_insn *insns = malloc(count * sizeof *insns);
    assert_non_null(insns);
    for (uint32_t i = 0; i < count; i++) {
        insns[i] = block[i % 16];
        if (i % 16 == 14)
            insns[i].imm = -(int32_t)i - 1;
    }
    insns[count - 1] = (struct bpf_insn)EXIT;
    return insns;
}

static int
load_long(uint32_t count, uint64_t len_max, struct bpf_program **program, struct error *error)
{
    struct bpf_object object;
    struct bpf_insn *insns = long_program(count);
    const struct bpf_program_config config = {
        .helpers = &script_helpers,
        .engine = BPF_ENGINE_JIT,
        .code_len_max = len_max,
    };
    assert_int_equal(bpf_object_from_insns(&object, insns, count, (struct str){0}, error), 0);
    free(insns);
    return bpf_program_new(program, &object, &config, error);
}

static void
code_that_is_too_long_is_an_error(void **state)
{
    enum { INSNS = 1600 };
    struct error error;
    struct bpf_program *program;
    assert_int_equal(load_long(INSNS, 1 << 20, &program, &error), 0);
    uint64_t len = bpf_program_code_len(program);
    bpf_program_unref(program);
    assert_int_equal(load_long(INSNS, len, &program, &error), 0);
    bpf_program_unref(program);
    const uint64_t too_short[] = {len - 1, len / 2, 1};
    for (unsigned i = 0; i < 3; i++) {
        char text[100];
        snprintf(text, sizeof text,
                 "machine code of 1600 instructions is longer than %llu bytes, the limit",
                 (unsigned long long)too_short[i]);
        assert_int_equal(load_long(INSNS, too_short[i], &program, &error), -1);
        assert_string_equal(error.text, text);
    }
}

static uint64_t
thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Time in which `count` instructions are translated, the best of a few. */
static uint64_t
translation_ns(uint32_t count)
{
    struct error error;
    struct bpf_program *program;
    uint64_t best = UINT64_MAX;
    assert_int_equal(load_long(count, 1 << 30, &program, &error), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct bpf_code code;
        uint64_t begin = thread_ns();
        assert_int_equal(bpf_code_new(&code, &program->object, &program->check, program->helpers,
                                      1 << 30, &error),
                         0);
        uint64_t took = thread_ns() - begin;
        best = took < best ? took : best;
        bpf_code_deinit(&code);
    }
    bpf_program_unref(program);
    return best;
}

/* Sanitizers make it several times as slow. */
static void
translation_is_fast(void **state)
{
    uint64_t small = translation_ns(10000), large = translation_ns(1000000);
    print_message("10,000 instructions: %llu us, 1,000,000: %llu us\n",
                  (unsigned long long)small / 1000, (unsigned long long)large / 1000);
    assert_true(small < 25000000);
    assert_true(large < 200 * small + 100000000); /* linear */
}

/* --- faults --- */

static void
nowhere(void *arg)
{
}

static void
a_fault_tells_registers_and_leads_elsewhere(void **state)
{
    static ucontext_t context;
    greg_t *gregs = context.uc_mcontext.gregs;
    const int places[] = {REG_RAX, REG_RDI, REG_RSI, REG_RDX, REG_RCX, REG_R8,
                          REG_RBX, REG_R13, REG_R14, REG_R15, REG_RBP};
    for (unsigned i = 0; i < 23; i++)
        gregs[i] = -1;
    for (unsigned reg = 0; reg < BPF_REG_COUNT; reg++) {
        gregs[places[reg]] = 1000 + reg;
        assert_int_equal(bpf_fault_register(&context, reg), 1000 + reg);
    }
    gregs[REG_RIP] = 77;
    assert_int_equal(bpf_fault_ip(&context), 77);
    for (greg_t rsp = 0x7000; rsp < 0x7020; rsp++) {
        gregs[REG_RSP] = rsp;
        bpf_fault_go_on(&context, nowhere, &context);
        assert_true(gregs[REG_RSP] <= rsp - 128 - 8 && gregs[REG_RSP] > rsp - 128 - 8 - 16);
        assert_int_equal(gregs[REG_RSP] % 16, 8);
        assert_int_equal(gregs[REG_RDI], (uintptr_t)&context);
        assert_int_equal(gregs[REG_RIP], (uintptr_t)nowhere);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_take_one_instruction_more_at_most),
        cmocka_unit_test(what_is_known_is_forgotten_where_a_jump_may_come_from),
        cmocka_unit_test(a_small_cage_takes_a_mask_always),
        cmocka_unit_test(compilers_pairs_are_one_instruction),
        cmocka_unit_test(a_pair_whose_second_is_jumped_to_is_two),
        cmocka_unit_test(rotations_are_one_instruction_where_nobody_sees),
        cmocka_unit_test(bounded_sums_take_no_mask),
        cmocka_unit_test(registers_that_nobody_reads_are_not_cleared),
        cmocka_unit_test(helpers_leave_zeros),
        cmocka_unit_test(polls_keep_all_registers),
        cmocka_unit_test(helpers_find_an_aligned_stack),
        cmocka_unit_test(divisions_and_shifts_in_all_registers),
        cmocka_unit_test(the_same_on_an_old_processor),
        cmocka_unit_test(jumps_are_short_where_that_reaches),
        cmocka_unit_test(jumps_back_are_short_where_that_reaches),
        cmocka_unit_test(short_jumps_make_others_short),
        cmocka_unit_test(starts_ascend_and_name_each_instruction),
        cmocka_unit_test(code_that_is_too_long_is_an_error),
        cmocka_unit_test(translation_is_fast),
        cmocka_unit_test(a_fault_tells_registers_and_leads_elsewhere),
    };
    return cmocka_run_group_tests_name("bpf jit", tests, NULL, NULL);
}
