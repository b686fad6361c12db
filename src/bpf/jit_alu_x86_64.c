/* Arithmetic, moves and constants. An operation of 32 bits clears the upper half of its register on
 * both sides, so most instructions are one of the machine's. What deserves a look:
 *
 *   - constants that change nothing: the upper half still has to be cleared (`only_clear_upper`);
 *   - operations of 64 bits of which it is known that the upper halves are 0 take 32, which spares
 *     a prefix;
 *   - shift counts are taken modulo the width, by the machine too;
 *   - a move or a constant followed by an addition is one `lea`; shifts to the left and back are
 *     one extension.
 */
#include "bpf/jit_x86_64.h"

#include "base/must.h"

/* The lower half of dst stays as it is. */
static void
only_clear_upper(struct jit *jit, struct bpf_insn insn)
{
    unsigned dst = jit_regs[insn.dst];
    if (jit_width(insn) == 32 && !jit_is_narrow(jit, insn.dst))
        emit_mov(&jit->emit, 32, dst, dst);
}

static bool
has_reg(struct bpf_insn insn)
{
    return bpf_opcodes[insn.opcode].reg;
}

static uint8_t
op_of(const struct bpf_insn *insn)
{
    return bpf_opcodes[insn->opcode].op;
}

static void
with_reg(struct jit *jit, enum x86_alu op, unsigned width, struct bpf_insn insn)
{
    emit_alu(&jit->emit, op, width, jit_regs[insn.dst], jit_regs[insn.src]);
}

/* dst + imm, where -imm may be the shorter constant. */
static void
add_imm(struct jit *jit, struct bpf_insn insn, int64_t imm)
{
    unsigned width = jit_width(insn), dst = jit_regs[insn.dst];
    if (imm == 0)
        only_clear_upper(jit, insn);
    else if (imm == 1 || imm == -1)
        emit_unary(&jit->emit, imm == 1 ? X86_INC : X86_DEC, width, dst);
    else if (imm == 128 || imm > INT32_MAX)
        emit_alu_imm(&jit->emit, X86_SUB, width, dst, (int32_t)-imm);
    else
        emit_alu_imm(&jit->emit, X86_ADD, width, dst, (int32_t)imm);
}

unsigned
jit_add(struct jit *jit, struct bpf_insn insn)
{
    if (has_reg(insn))
        with_reg(jit, X86_ADD, jit_width(insn), insn);
    else
        add_imm(jit, insn, insn.imm);
    return 1;
}

unsigned
jit_sub(struct jit *jit, struct bpf_insn insn)
{
    if (has_reg(insn))
        with_reg(jit, X86_SUB, jit_width(insn), insn);
    else
        add_imm(jit, insn, -(int64_t)insn.imm);
    return 1;
}

/* imm as the unsigned number of the operation's width, when it is a power of two: which; or -1. */
static int
power_of_two(struct bpf_insn insn)
{
    uint64_t imm = jit_width(insn) == 32 ? (uint32_t)insn.imm : (uint64_t)(int64_t)insn.imm;
    return __builtin_popcountll(imm) == 1 ? __builtin_ctzll(imm) : -1;
}

unsigned
jit_mul(struct jit *jit, struct bpf_insn insn)
{
    unsigned width = jit_width(insn), dst = jit_regs[insn.dst];
    int shift = power_of_two(insn);
    if (has_reg(insn))
        emit_imul(&jit->emit, width, dst, jit_regs[insn.src]);
    else if (insn.imm == 0)
        emit_mov_imm(&jit->emit, dst, 0);
    else if (shift == 0)
        only_clear_upper(jit, insn);
    else if (shift > 0)
        emit_shift_imm(&jit->emit, X86_SHL, width, dst, (unsigned)shift);
    else
        emit_imul_imm(&jit->emit, width, dst, dst, insn.imm);
    return 1;
}

/* or, xor: the upper half is 0 when it was in both. */
static unsigned
or_width(const struct jit *jit, struct bpf_insn insn)
{
    bool narrow = jit_is_narrow(jit, insn.dst) && jit_is_operand_narrow(jit, insn);
    return narrow ? 32 : jit_width(insn);
}

unsigned
jit_or(struct jit *jit, struct bpf_insn insn)
{
    unsigned width = or_width(jit, insn);
    if (has_reg(insn))
        with_reg(jit, X86_OR, width, insn);
    else if (insn.imm == 0)
        only_clear_upper(jit, insn);
    else
        emit_alu_imm(&jit->emit, X86_OR, width, jit_regs[insn.dst], insn.imm);
    return 1;
}

unsigned
jit_xor(struct jit *jit, struct bpf_insn insn)
{
    unsigned width = or_width(jit, insn), dst = jit_regs[insn.dst];
    if (has_reg(insn))
        with_reg(jit, X86_XOR, width, insn);
    else if (insn.imm == 0)
        only_clear_upper(jit, insn);
    else if (insn.imm == -1)
        emit_unary(&jit->emit, X86_NOT, width, dst);
    else
        emit_alu_imm(&jit->emit, X86_XOR, width, dst, insn.imm);
    return 1;
}

/* The upper half is 0 when it was in one. */
unsigned
jit_and(struct jit *jit, struct bpf_insn insn)
{
    bool narrow = jit_is_narrow(jit, insn.dst) || jit_is_operand_narrow(jit, insn);
    unsigned width = narrow ? 32 : jit_width(insn), dst = jit_regs[insn.dst];
    if (has_reg(insn))
        with_reg(jit, X86_AND, width, insn);
    else if (insn.imm == 0)
        emit_mov_imm(&jit->emit, dst, 0);
    else if (insn.imm == -1)
        only_clear_upper(jit, insn);
    else if (insn.imm == UINT8_MAX || insn.imm == UINT16_MAX)
        emit_mov_zero_extend(&jit->emit, insn.imm == UINT8_MAX ? 8 : 16, dst, dst);
    else
        emit_alu_imm(&jit->emit, X86_AND, width, dst, insn.imm);
    return 1;
}

/* Without BMI2 the count must be in cl, which is r4. */
static void
shift_by_cl(struct jit *jit, enum x86_shift op, struct bpf_insn insn)
{
    unsigned width = jit_width(insn), dst = jit_regs[insn.dst], src = jit_regs[insn.src];
    struct emit *emit = &jit->emit;
    if (src == X86_RCX) {
        emit_shift_cl(emit, op, width, dst);
        return;
    }
    jit_forget_copies(jit);
    emit_mov(emit, 64, JIT_SCRATCH_1, X86_RCX);
    emit_mov(emit, 32, X86_RCX, src);
    emit_shift_cl(emit, op, width, dst == X86_RCX ? JIT_SCRATCH_1 : dst);
    emit_mov(emit, 64, X86_RCX, JIT_SCRATCH_1);
}

static void
shift(struct jit *jit, enum x86_shift op, struct bpf_insn insn)
{
    unsigned width = jit_width(insn), dst = jit_regs[insn.dst];
    unsigned count = (unsigned)insn.imm & (width - 1);
    if (has_reg(insn) && jit->features & X86_HAS_BMI2)
        emit_shift_by(&jit->emit, op, width, dst, dst, jit_regs[insn.src]);
    else if (has_reg(insn))
        shift_by_cl(jit, op, insn);
    else if (count == 0)
        only_clear_upper(jit, insn);
    else
        emit_shift_imm(&jit->emit, op, width, dst, count);
}

unsigned
jit_shift(struct jit *jit, struct bpf_insn insn)
{
    shift(jit, op_of(&insn) == BPF_OP_ARSH ? X86_SAR : X86_SHR, insn);
    return 1;
}

/* Shifts to the left and back by as much leave 8, 16 or 32 bits. */
static bool
extend(struct jit *jit, struct bpf_insn insn, const struct bpf_insn *next)
{
    unsigned width = jit_width(insn), dst = jit_regs[insn.dst];
    unsigned bits = width - ((unsigned)insn.imm & (width - 1));
    bool back = op_of(next) == BPF_OP_RSH || op_of(next) == BPF_OP_ARSH;
    if (!back || has_reg(*next) || next->dst != insn.dst || next->imm != insn.imm ||
        jit_width(*next) != width || (bits != 8 && bits != 16 && (bits != 32 || width != 64)))
        return false;
    if (op_of(next) == BPF_OP_ARSH)
        emit_mov_sign_extend(&jit->emit, width, bits, dst, dst);
    else
        emit_mov_zero_extend(&jit->emit, bits, dst, dst);
    return true;
}

unsigned
jit_lsh(struct jit *jit, struct bpf_insn insn)
{
    const struct bpf_insn *next = jit_follower(jit, 1);
    if (!has_reg(insn) && next && extend(jit, insn, next))
        return 2;
    shift(jit, X86_SHL, insn);
    return 1;
}

unsigned
jit_neg(struct jit *jit, struct bpf_insn insn)
{
    emit_unary(&jit->emit, X86_NEG, jit_width(insn), jit_regs[insn.dst]);
    return 1;
}

/* dst = src; dst += next's operand. The sum of 32 bits needs only the lower halves; that of 64 the
 * whole of src, which a move of 32 bits cuts. */
static bool
move_and_add(struct jit *jit, struct bpf_insn insn, const struct bpf_insn *next)
{
    unsigned width = jit_width(*next), src = jit_regs[insn.src];
    bool cuts = jit_width(insn) < width && !jit_is_narrow(jit, insn.src);
    if (op_of(next) != BPF_OP_ADD || next->dst != insn.dst || cuts)
        return false;
    struct x86_mem sum = {(uint8_t)src, X86_NO_INDEX, 0, next->imm};
    if (has_reg(*next)) {
        unsigned other = next->src == insn.dst ? insn.src : next->src;
        sum = (struct x86_mem){(uint8_t)src, jit_regs[other], 0, 0};
    }
    emit_lea(&jit->emit, width, jit_regs[insn.dst], sum);
    return true;
}

/* dst = value; dst += another register. */
static bool
load_and_add(struct jit *jit, unsigned dst, uint64_t value, const struct bpf_insn *next)
{
    if (op_of(next) != BPF_OP_ADD || !has_reg(*next) || next->dst != dst || next->src == dst)
        return false;
    unsigned width = jit_width(*next);
    if (value == 0 || (width == 64 && (int64_t)value != (int32_t)value))
        return false;
    emit_lea(&jit->emit, width, jit_regs[dst],
             (struct x86_mem){jit_regs[next->src], X86_NO_INDEX, 0, (int32_t)value});
    return true;
}

static unsigned
move_constant(struct jit *jit, struct bpf_insn insn, uint64_t value, unsigned count)
{
    const struct bpf_insn *next = jit_follower(jit, count);
    if (next && load_and_add(jit, insn.dst, value, next))
        return count + 1;
    emit_mov_imm(&jit->emit, jit_regs[insn.dst], value);
    return count;
}

unsigned
jit_lddw(struct jit *jit, struct bpf_insn insn)
{
    return move_constant(jit, insn, bpf_wide_imm(&jit->insns[jit->at]), 2);
}

unsigned
jit_mov(struct jit *jit, struct bpf_insn insn)
{
    unsigned width = jit_width(insn), dst = jit_regs[insn.dst], src = jit_regs[insn.src];
    const struct bpf_insn *next = jit_follower(jit, 1);
    if (!has_reg(insn)) {
        uint64_t value = (uint64_t)(int64_t)insn.imm;
        return move_constant(jit, insn, width == 32 ? (uint32_t)value : value, 1);
    }
    if (insn.off != 0) {
        emit_mov_sign_extend(&jit->emit, width, (unsigned)insn.off, dst, src);
        return 1;
    }
    if (dst == src) {
        only_clear_upper(jit, insn);
        return 1;
    }
    unsigned rotated = jit_rotate(jit, insn);
    if (rotated > 0)
        return rotated;
    if (next && move_and_add(jit, insn, next))
        return 2;
    emit_mov(&jit->emit, jit_is_narrow(jit, insn.src) ? 32 : width, dst, src);
    return 1;
}

unsigned
jit_le(struct jit *jit, struct bpf_insn insn)
{
    unsigned dst = jit_regs[insn.dst];
    if (insn.imm == 16 || (insn.imm == 32 && !jit_is_narrow(jit, insn.dst)))
        emit_mov_zero_extend(&jit->emit, (unsigned)insn.imm, dst, dst);
    return 1;
}

unsigned
jit_swap(struct jit *jit, struct bpf_insn insn)
{
    unsigned dst = jit_regs[insn.dst];
    if (insn.imm == 16) {
        emit_swap_16(&jit->emit, dst);
        emit_mov_zero_extend(&jit->emit, 16, dst, dst);
    } else {
        emit_bswap(&jit->emit, (unsigned)insn.imm, dst);
    }
    return 1;
}
