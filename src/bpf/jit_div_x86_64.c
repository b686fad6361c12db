/* Division. The machine divides rdx:rax, leaves quotient and remainder there, and faults where
 * there is none that it can give: those divisors, 0 and (signed) -1, take another way.
 *
 *     divisor 0     quotient 0, remainder the dividend
 *     divisor -1    quotient the negative dividend, remainder 0
 *
 * With such a divisor the quotient is dividend * divisor, and the remainder dividend & ~divisor.
 */
#include "bpf/jit_x86_64.h"

struct division {
    unsigned width;
    unsigned dst, divisor; /* machine registers */
    bool is_signed, is_modulo;
};

static struct division
division_of(const struct jit *jit, struct bpf_insn insn)
{
    struct division division = {
        .width = jit_width(insn),
        .dst = jit_regs[insn.dst],
        .divisor = jit_regs[insn.src],
        .is_signed = insn.off != 0,
        .is_modulo = bpf_opcodes[insn.opcode].op == BPF_OP_MOD,
    };
    if (!division.is_signed && jit_is_narrow(jit, insn.dst) && jit_is_operand_narrow(jit, insn))
        division.width = 32; /* several times as fast on some processors */
    return division;
}

/* dst as it is, or 0. */
static void
keep_or_clear(struct jit *jit, struct bpf_insn insn, bool keep)
{
    unsigned dst = jit_regs[insn.dst];
    if (!keep)
        emit_mov_imm(&jit->emit, dst, 0);
    else if (jit_width(insn) == 32 && !jit_is_narrow(jit, insn.dst))
        emit_mov(&jit->emit, 32, dst, dst);
}

static void
by_power_of_two(struct jit *jit, const struct division *division, unsigned power)
{
    if (!division->is_modulo)
        emit_shift_imm(&jit->emit, X86_SHR, division->width, division->dst, power);
    else /* below 2^31, so the upper half is 0 in both widths */
        emit_alu_imm(&jit->emit, X86_AND, 32, division->dst, (int32_t)((1ull << power) - 1));
}

/* Divisors that take no division; false: none of them. */
static bool
by_simple_constant(struct jit *jit, struct bpf_insn insn, const struct division *division)
{
    uint64_t value = jit_width(insn) == 32 ? (uint32_t)insn.imm : (uint64_t)(int64_t)insn.imm;
    if (insn.imm == 0 || insn.imm == 1) {
        keep_or_clear(jit, insn, division->is_modulo == (insn.imm == 0));
        return true;
    }
    if (division->is_signed && insn.imm == -1) {
        if (division->is_modulo)
            keep_or_clear(jit, insn, false);
        else
            emit_unary(&jit->emit, X86_NEG, division->width, division->dst);
        return true;
    }
    /* of the 64-bit ones the constant is at most 2^30, as its sign is extended */
    if (division->is_signed || __builtin_popcountll(value) != 1)
        return false;
    by_power_of_two(jit, division, (unsigned)__builtin_ctzll(value));
    return true;
}

/* Of a divisor with which the machine can divide. */
static void
divide(struct jit *jit, const struct division *division)
{
    struct emit *emit = &jit->emit;
    unsigned dst = division->dst, result = division->is_modulo ? X86_RDX : X86_RAX;
    if (dst != X86_RAX) {
        emit_mov(emit, 64, JIT_SCRATCH_1, X86_RAX);
        emit_mov(emit, division->width, X86_RAX, dst);
    }
    if (dst != X86_RDX)
        emit_mov(emit, 64, JIT_SCRATCH_2, X86_RDX);
    if (division->is_signed)
        emit_sign_to_rdx(emit, division->width);
    else
        emit_mov_imm(emit, X86_RDX, 0);
    emit_unary(emit, division->is_signed ? X86_IDIV : X86_DIV, division->width, division->divisor);
    if (dst != result)
        emit_mov(emit, division->width, dst, result);
    if (dst != X86_RAX)
        emit_mov(emit, 64, X86_RAX, JIT_SCRATCH_1);
    if (dst != X86_RDX)
        emit_mov(emit, 64, X86_RDX, JIT_SCRATCH_2);
}

/* Of the divisors with which it cannot. The divisor may be dst itself. */
static void
divide_otherwise(struct jit *jit, const struct division *division)
{
    struct emit *emit = &jit->emit;
    if (!division->is_modulo) {
        emit_imul(emit, division->width, division->dst, division->divisor);
        return;
    }
    emit_mov(emit, division->width, JIT_SCRATCH_1, division->divisor);
    emit_unary(emit, X86_NOT, division->width, JIT_SCRATCH_1);
    emit_alu(emit, X86_AND, division->width, division->dst, JIT_SCRATCH_1);
}

/* Behind this, flags: not above, for those divisors. */
static void
test_divisor(struct jit *jit, const struct division *division)
{
    struct emit *emit = &jit->emit;
    if (!division->is_signed) {
        emit_test(emit, division->width, division->divisor, division->divisor);
        return;
    }
    emit_lea(emit, division->width, JIT_SCRATCH_1,
             (struct x86_mem){(uint8_t)division->divisor, X86_NO_INDEX, 0, 1});
    emit_alu_imm(emit, X86_CMP, division->width, JIT_SCRATCH_1, 1);
}

unsigned
jit_div(struct jit *jit, struct bpf_insn insn)
{
    struct division division = division_of(jit, insn);
    struct emit *emit = &jit->emit;
    bool constant = !bpf_opcodes[insn.opcode].reg;
    if (constant && by_simple_constant(jit, insn, &division))
        return 1;
    jit_forget_copies(jit);
    if (constant)
        emit_mov_imm(emit, JIT_SCRATCH_3, (uint64_t)(int64_t)insn.imm);
    else if (division.divisor == X86_RAX || division.divisor == X86_RDX)
        emit_mov(emit, division.width, JIT_SCRATCH_3, division.divisor);
    if (constant || division.divisor == X86_RAX || division.divisor == X86_RDX)
        division.divisor = JIT_SCRATCH_3;
    if (constant) {
        divide(jit, &division);
        return 1;
    }
    test_divisor(jit, &division);
    uint32_t otherwise = emit_jump_short(emit, X86_NOT_ABOVE);
    divide(jit, &division);
    uint32_t done = emit_jump_short(emit, X86_ALWAYS);
    emit_land(emit, otherwise);
    divide_otherwise(jit, &division);
    emit_land(emit, done);
    return 1;
}
