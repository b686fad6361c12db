#include "bpf/regs.h"

#include "bpf/script_test_run.h"

enum { DST = 1 << R1, SRC = 1 << R2, ARG_REGS = 0x3e, ALL_REGS = 0x7ff };

static uint16_t
read_by(struct bpf_insn insn)
{
    return bpf_regs_read(insn);
}

static void
instructions_read_what_their_result_depends_on(void **state)
{
    assert_int_equal(read_by((struct bpf_insn)MOV_R(R1, R2)), SRC);
    assert_int_equal(read_by((struct bpf_insn)MOV_I(R1, 5)), 0);
    assert_int_equal(read_by((struct bpf_insn)ALU64_R(ADD, R1, R2)), DST | SRC);
    assert_int_equal(read_by((struct bpf_insn)ALU32_I(ADD, R1, 1)), DST);
    assert_int_equal(read_by((struct bpf_insn)ALU32_I(NEG, R1, 0)), DST);
    assert_int_equal(read_by((struct bpf_insn)INSN(0xdc, R1, 0, 0, 16)), DST); /* be */
    assert_int_equal(read_by((struct bpf_insn)LDX(W, R1, R2, 0)), SRC);
    assert_int_equal(read_by((struct bpf_insn)LDXS(W, R1, R2, 0)), SRC);
    assert_int_equal(read_by((struct bpf_insn)ST(W, R1, 0, 7)), DST);
    assert_int_equal(read_by((struct bpf_insn)STX(W, R1, 0, R2)), DST | SRC);
    assert_int_equal(read_by((struct bpf_insn)ATOMIC(W, ADD, R1, 0, R2)), DST | SRC);
    assert_int_equal(read_by((struct bpf_insn)ATOMIC(W, CMPXCHG, R1, 0, R2)), DST | SRC | 1);
    assert_int_equal(read_by((struct bpf_insn)JMP_I(JEQ, R1, 0, 0)), DST);
    assert_int_equal(read_by((struct bpf_insn)JMP32_R(JEQ, R1, R2, 0)), DST | SRC);
    assert_int_equal(read_by((struct bpf_insn)GOTO(1)), 0);
    assert_int_equal(read_by((struct bpf_insn)CALL(1)), ARG_REGS);
    assert_int_equal(read_by((struct bpf_insn)CALLX(R7)), ARG_REGS | 1 << R7);
    assert_int_equal(read_by((struct bpf_insn)CALL_LOCAL(1)), ALL_REGS);
    assert_int_equal(read_by((struct bpf_insn)EXIT), ALL_REGS);
    const struct bpf_insn wide[] = {LDDW(R1, 1)};
    assert_int_equal(read_by(wide[0]), 0);
}

static uint16_t
written_by(struct bpf_insn insn)
{
    return bpf_regs_written(insn);
}

static void
instructions_write_their_destination(void **state)
{
    assert_int_equal(written_by((struct bpf_insn)MOV_R(R1, R2)), DST);
    assert_int_equal(written_by((struct bpf_insn)ALU32_I(NEG, R1, 0)), DST);
    assert_int_equal(written_by((struct bpf_insn)INSN(0xd7, R1, 0, 0, 16)), DST); /* bswap */
    assert_int_equal(written_by((struct bpf_insn)LDX(W, R1, R2, 0)), DST);
    assert_int_equal(written_by((struct bpf_insn)LDXS(W, R1, R2, 0)), DST);
    assert_int_equal(written_by((struct bpf_insn)ST(W, R1, 0, 7)), 0);
    assert_int_equal(written_by((struct bpf_insn)STX(W, R1, 0, R2)), 0);
    assert_int_equal(written_by((struct bpf_insn)ATOMIC(W, ADD, R1, 0, R2)), 0);
    assert_int_equal(written_by((struct bpf_insn)ATOMIC(W, ADD | FETCH, R1, 0, R2)), SRC);
    assert_int_equal(written_by((struct bpf_insn)ATOMIC(W, XCHG, R1, 0, R2)), SRC);
    assert_int_equal(written_by((struct bpf_insn)ATOMIC(W, CMPXCHG, R1, 0, R2)), 1 << R0);
    assert_int_equal(written_by((struct bpf_insn)JMP_R(JEQ, R1, R2, 0)), 0);
    assert_int_equal(written_by((struct bpf_insn)EXIT), 0);
    assert_int_equal(written_by((struct bpf_insn)CALL(1)), ARG_REGS | 1);
    assert_int_equal(written_by((struct bpf_insn)CALLX(R7)), ARG_REGS | 1);
    assert_int_equal(written_by((struct bpf_insn)CALL_LOCAL(1)), ARG_REGS | 1);
    const struct bpf_insn wide[] = {LDDW(R1, 1)};
    assert_int_equal(written_by(wide[0]), DST);
}

/* --- bounds --- */

/* The bound of `reg` behind `insn`, with `dst` and `src` of r1 and r2 before it. */
static uint64_t
bound_after(uint64_t dst, uint64_t src, struct bpf_insn insn, unsigned reg)
{
    struct bpf_bounds bounds;
    bpf_bounds_init(&bounds);
    bounds.max[R1] = dst;
    bounds.max[R2] = src;
    bpf_bounds_pass(&bounds, &insn);
    for (unsigned other = 0; other < BPF_REG_COUNT; other++) {
        if (other != reg && !(bpf_regs_written(insn) >> other & 1))
            assert_int_equal(bounds.max[other], other == R1    ? dst
                                                : other == R2  ? src
                                                : other == R10 ? BPF_STACK_TOP
                                                               : UINT64_MAX);
    }
    return bounds.max[reg];
}

#define assert_bound(expected, dst, src, reg, ...) \
    assert_int_equal(bound_after(dst, src, (struct bpf_insn)__VA_ARGS__, reg), expected)

static void
nothing_is_known_at_first(void **state)
{
    struct bpf_bounds bounds;
    bpf_bounds_init(&bounds);
    for (unsigned reg = R0; reg < R10; reg++)
        assert_int_equal(bounds.max[reg], UINT64_MAX);
    assert_int_equal(bounds.max[R10], BPF_STACK_TOP);
}

static void
loads_are_bounded_by_their_width(void **state)
{
    assert_bound(255, UINT64_MAX, 9, R1, LDX(B, R1, R2, 0));
    assert_bound(65535, UINT64_MAX, 9, R1, LDX(H, R1, R2, 0));
    assert_bound(UINT32_MAX, UINT64_MAX, 9, R1, LDX(W, R1, R2, 0));
    assert_bound(UINT64_MAX, 9, 9, R1, LDX(DW, R1, R2, 0));
    assert_bound(UINT64_MAX, 9, 9, R1, LDXS(B, R1, R2, 0));
    assert_bound(UINT64_MAX, 9, 9, R1, LDXS(W, R1, R2, 0));
    assert_bound(9, 9, 9, R1, STX(DW, R1, 0, R2));
    assert_bound(9, 9, 9, R1, ST(DW, R1, 0, 5));
    assert_bound(UINT32_MAX, 9, 9, R2, ATOMIC(W, XCHG, R1, 0, R2));
    assert_bound(UINT64_MAX, 9, 9, R2, ATOMIC(DW, ADD | FETCH, R1, 0, R2));
    assert_bound(9, 9, 9, R2, ATOMIC(DW, ADD, R1, 0, R2));
    assert_bound(UINT32_MAX, 9, 9, R0, ATOMIC(W, CMPXCHG, R1, 0, R2));
    assert_bound(UINT64_MAX, 9, 9, R0, ATOMIC(DW, CMPXCHG, R1, 0, R2));
    const struct bpf_insn wide[] = {LDDW(R1, 0x123456789a)};
    struct bpf_bounds bounds;
    bpf_bounds_init(&bounds);
    bpf_bounds_pass(&bounds, wide);
    assert_int_equal(bounds.max[R1], 0x123456789a);
}

static void
calls_leave_what_they_keep(void **state)
{
    const struct bpf_insn calls[] = {CALL(1), CALLX(R3), CALL_LOCAL(4)};
    for (unsigned i = 0; i < 3; i++) {
        struct bpf_bounds bounds;
        bpf_bounds_init(&bounds);
        for (unsigned reg = R0; reg < R10; reg++)
            bounds.max[reg] = 100;
        bpf_bounds_pass(&bounds, &calls[i]);
        assert_int_equal(bounds.max[R0], UINT64_MAX);
        for (unsigned reg = R1; reg <= R5; reg++)
            assert_int_equal(bounds.max[reg], i < 2 ? 0 : UINT64_MAX);
        for (unsigned reg = R6; reg < R10; reg++)
            assert_int_equal(bounds.max[reg], 100);
        assert_int_equal(bounds.max[R10], BPF_STACK_TOP);
    }
}

static void
arithmetic_is_bounded_while_it_cannot_wrap(void **state)
{
    assert_bound(30, 10, 20, R1, ALU64_R(ADD, R1, R2));
    assert_bound(UINT64_MAX, UINT64_MAX, 1, R1, ALU64_R(ADD, R1, R2));
    assert_bound(UINT64_MAX, 10, 0, R1, ALU64_I(ADD, R1, -1));
    assert_bound((uint64_t)UINT32_MAX + 1, UINT32_MAX, 1, R1, ALU64_R(ADD, R1, R2));
    assert_bound(UINT32_MAX, UINT32_MAX, 1, R1, ALU32_R(ADD, R1, R2));
    assert_bound(UINT64_MAX, 10, 5, R1, ALU64_R(SUB, R1, R2));
    assert_bound(UINT32_MAX, 10, 5, R1, ALU32_R(SUB, R1, R2));
    assert_bound(200, 10, 20, R1, ALU64_R(MUL, R1, R2));
    assert_bound(UINT64_MAX, UINT64_MAX, 2, R1, ALU64_R(MUL, R1, R2));
    assert_bound(UINT32_MAX, 0x10000, 0x10000, R1, ALU32_R(MUL, R1, R2));
    assert_bound(10, 10, 20, R1, ALU64_R(DIV, R1, R2));
    assert_bound(10, 10, 20, R1, ALU64_R(MOD, R1, R2));
    assert_bound(UINT64_MAX, 10, 20, R1, INSN(0x3f, R1, R2, 1, 0));
    assert_bound(31, 10, 20, R1, ALU64_R(OR, R1, R2));
    assert_bound(31, 10, 20, R1, ALU64_R(XOR, R1, R2));
    assert_bound(UINT64_MAX, 10, 0, R1, ALU64_I(XOR, R1, -1));
    assert_bound(0, 0, 0, R1, ALU64_R(OR, R1, R2));
    assert_bound(10, 10, UINT64_MAX, R1, ALU64_R(AND, R1, R2));
    assert_bound(255, UINT64_MAX, 0, R1, ALU64_I(AND, R1, 255));
    assert_bound(40, 10, 0, R1, ALU64_I(LSH, R1, 2));
    assert_bound(40, 10, 0, R1, ALU64_I(LSH, R1, 66));
    assert_bound(UINT64_MAX, 10, 1, R1, ALU64_R(LSH, R1, R2));
    assert_bound(UINT64_MAX, UINT32_MAX, 0, R1, ALU64_I(LSH, R1, 33));
    assert_bound(UINT32_MAX, 0x80000000, 0, R1, ALU32_I(LSH, R1, 1));
    assert_bound(2, 10, 0, R1, ALU64_I(RSH, R1, 2));
    assert_bound(10, 10, 2, R1, ALU64_R(RSH, R1, R2));
    assert_bound(2, 10, 0, R1, ALU64_I(ARSH, R1, 2));
    assert_bound(UINT32_MAX, 0x80000000, 0, R1, ALU32_I(ARSH, R1, 2));
    assert_bound(UINT64_MAX, 10, 0, R1, ALU64_I(NEG, R1, 0));
    assert_bound(20, 10, 20, R1, MOV_R(R1, R2));
    assert_bound(7, 10, 20, R1, MOV_I(R1, 7));
    assert_bound((uint64_t)-7, 10, 20, R1, MOV_I(R1, -7));
    assert_bound(UINT32_MAX, 10, UINT64_MAX, R1, ALU32_R(MOV, R1, R2));
    assert_bound(127, 10, 127, R1, INSN(0xbf, R1, R2, 8, 0));
    assert_bound(UINT64_MAX, 10, 128, R1, INSN(0xbf, R1, R2, 8, 0));
    assert_bound(UINT32_MAX, 10, 128, R1, INSN(0xbc, R1, R2, 8, 0));
    assert_bound(10, 10, 0, R1, INSN(0xd4, R1, 0, 0, 16)); /* le */
    assert_bound(65535, UINT64_MAX, 0, R1, INSN(0xd4, R1, 0, 0, 16));
    assert_bound(65535, 10, 0, R1, INSN(0xdc, R1, 0, 0, 16));      /* be */
    assert_bound(UINT64_MAX, 10, 0, R1, INSN(0xd7, R1, 0, 0, 64)); /* bswap */
}

/* No bound of arithmetic is too low, by the interpreter: operands up to some bound, and results. */

static const uint64_t bounds_tried[] = {
    0,
    1,
    31,
    127,
    128,
    255,
    65535,
    INT32_MAX,
    0x80000000,
    UINT32_MAX,
    0x100000000,
    INT64_MAX,
    0x8000000000000000,
    UINT64_MAX,
};
enum { BOUNDS = sizeof bounds_tried / sizeof *bounds_tried };

static unsigned claims;

/* r1 = r1 by insn, with r2. */
static void
check_claim(struct bpf_pool *pool, struct bpf_insn insn, uint64_t dst_max, uint64_t src_max)
{
    uint64_t max = bound_after(dst_max, src_max, insn, R1);
    if (max == UINT64_MAX)
        return;
    claims++;
    for (unsigned a = 0; a < BOUNDS && bounds_tried[a] <= dst_max; a++) {
        for (unsigned b = 0; b < BOUNDS && bounds_tried[b] <= src_max; b++) {
            uint64_t args[] = {bounds_tried[a], bounds_tried[b], 0, 0, 0};
            struct bpf_run *run = test_run_new(pool, args);
            assert_int_equal(test_finish(run), BPF_DONE);
            if (bpf_run_result(run) > max)
                fail_msg("opcode 0x%02x off %d imm %d of 0x%llx, 0x%llx: 0x%llx", insn.opcode,
                         insn.off, insn.imm, (unsigned long long)args[0],
                         (unsigned long long)args[1], (unsigned long long)bpf_run_result(run));
            bpf_run_free(run);
        }
    }
}

static void
check_claims(const struct vm *vm, struct bpf_insn insn)
{
    const struct bpf_insn insns[] = {insn, MOV_R(R0, R1), EXIT};
    const struct spec spec = {.insns = insns, .insn_count = 3};
    struct bpf_pool *pool = spec_pool(vm, &spec);
    for (unsigned dst = 0; dst < BOUNDS; dst++) {
        for (unsigned src = 0; src < BOUNDS; src++)
            check_claim(pool, insn, bounds_tried[dst], bounds_tried[src]);
    }
    bpf_pool_free(pool);
}

static void
check_with_offs_and_constants(const struct vm *vm, const struct bpf_opcode *opcode,
                              struct bpf_insn insn)
{
    static const int32_t imms[] = {0, 1, 31, 32, 33, 63, 64, INT32_MAX, -1, INT32_MIN, 1 << 20};
    static const int16_t offs[] = {0, 1, 8, 16, 32};
    bool swaps = opcode->op == BPF_OP_LE || opcode->op == BPF_OP_BE || opcode->op == BPF_OP_SWAP;
    for (unsigned i = 0; i < sizeof offs / sizeof *offs; i++) {
        bool is_mov = opcode->op == BPF_OP_MOV && opcode->reg;
        bool is_div = opcode->op == BPF_OP_DIV || opcode->op == BPF_OP_MOD;
        insn.off = offs[i];
        if (offs[i] != 0 && (offs[i] == 1 ? !is_div : !is_mov || offs[i] >= opcode->width))
            continue;
        if (opcode->reg && !swaps)
            check_claims(vm, insn);
        for (unsigned j = 0; swaps && j < 3; j++) {
            insn.imm = 16 << j;
            check_claims(vm, insn);
        }
        for (unsigned j = 0; !opcode->reg && !swaps && j < sizeof imms / sizeof *imms; j++) {
            insn.imm = opcode->op == BPF_OP_NEG ? 0 : imms[j];
            check_claims(vm, insn);
        }
    }
}

static void
no_bound_of_arithmetic_is_too_low(void **state)
{
    struct vm vm;
    vm_init(&vm, BPF_ENGINE_INTERP, 0);
    for (unsigned code = 0; code < 256; code++) {
        const struct bpf_opcode *opcode = &bpf_opcodes[code];
        bool swaps =
            opcode->op == BPF_OP_LE || opcode->op == BPF_OP_BE || opcode->op == BPF_OP_SWAP;
        if (opcode->op < BPF_OP_ADD || opcode->op > BPF_OP_SWAP)
            continue;
        struct bpf_insn insn = {(uint8_t)code, R1, opcode->reg && !swaps ? R2 : 0, 0, 0};
        check_with_offs_and_constants(&vm, opcode, insn);
    }
    vm_deinit(&vm);
    assert_true(claims > 10000); /* not by saying nothing */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_read_what_their_result_depends_on),
        cmocka_unit_test(instructions_write_their_destination),
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(loads_are_bounded_by_their_width),
        cmocka_unit_test(calls_leave_what_they_keep),
        cmocka_unit_test(arithmetic_is_bounded_while_it_cannot_wrap),
        cmocka_unit_test(no_bound_of_arithmetic_is_too_low),
    };
    return cmocka_run_group_tests_name("bpf regs", tests, NULL, NULL);
}
