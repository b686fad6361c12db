/* Rotations, which are the heart of hashes and ciphers, and for which scripts have no instruction.
 * Compilers make them of shifts, x by n to one side and by the rest of its width to the other:
 *
 *     mov a, x    rsh a, n    mov b, x    lsh b, width - n    or a, b  (or  or b, a)
 *     mov a, x    rsh a, n                lsh x, width - n    or a, x  (or  or x, a)
 *
 * Where the part that is not the result is written again before it is read, this is one
 * instruction. That register then holds what it held before, which nobody sees.
 */
#include "bpf/jit_x86_64.h"

struct rotation {
    unsigned width, right; /* bits to the right */
    uint8_t a, x, b, result;
    unsigned count; /* of instructions */
};

/* The instruction at `distance`, when it is of that operation and width; else NULL. */
static const struct bpf_insn *
expect(const struct jit *jit, unsigned distance, enum bpf_op op, unsigned width, bool reg)
{
    const struct bpf_insn *insn = jit_follower(jit, distance);
    if (!insn)
        return NULL;
    const struct bpf_opcode *opcode = &bpf_opcodes[insn->opcode];
    return opcode->op == op && opcode->width == width && opcode->reg == reg ? insn : NULL;
}

static bool
is_move(struct bpf_insn insn, unsigned width)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    return opcode->op == BPF_OP_MOV && opcode->reg && insn.off == 0 && opcode->width >= width;
}

/* A shift of `a` by a constant, the first of the two; sets width and right. */
static bool
match_first_shift(const struct jit *jit, struct rotation *rotation, enum bpf_op *other_way)
{
    const struct bpf_insn *insn = jit_follower(jit, 1);
    if (!insn || insn->dst != rotation->a || bpf_opcodes[insn->opcode].reg)
        return false;
    uint8_t op = bpf_opcodes[insn->opcode].op;
    rotation->width = jit_width(*insn);
    if ((op != BPF_OP_RSH && op != BPF_OP_LSH) || insn->imm <= 0 ||
        insn->imm >= (int32_t)rotation->width)
        return false;
    rotation->right =
        op == BPF_OP_RSH ? (unsigned)insn->imm : rotation->width - (unsigned)insn->imm;
    *other_way = op == BPF_OP_RSH ? BPF_OP_LSH : BPF_OP_RSH;
    return true;
}

/* The other shift, of a copy or of x itself; sets b and count. */
static bool
match_second_shift(const struct jit *jit, struct rotation *rotation, enum bpf_op way)
{
    const struct bpf_insn *insn = jit_follower(jit, 2);
    rotation->b = rotation->x;
    rotation->count = 3;
    if (insn && is_move(*insn, rotation->width) && insn->src == rotation->x) {
        rotation->b = insn->dst;
        rotation->count = 4;
    }
    insn = expect(jit, rotation->count - 1, way, rotation->width, false);
    unsigned count = way == BPF_OP_LSH ? rotation->width - rotation->right : rotation->right;
    return insn && insn->dst == rotation->b && insn->imm == (int32_t)count;
}

static bool
match_or(const struct jit *jit, struct rotation *rotation)
{
    const struct bpf_insn *insn = expect(jit, rotation->count, BPF_OP_OR, rotation->width, true);
    rotation->count++;
    if (!insn)
        return false;
    rotation->result = insn->dst;
    return (insn->dst == rotation->a && insn->src == rotation->b) ||
           (insn->dst == rotation->b && insn->src == rotation->a);
}

static bool
match(const struct jit *jit, struct bpf_insn insn, struct rotation *rotation)
{
    enum bpf_op other_way;
    *rotation = (struct rotation){.a = insn.dst, .x = insn.src};
    if (!match_first_shift(jit, rotation, &other_way) || !is_move(insn, rotation->width))
        return false;
    if (!match_second_shift(jit, rotation, other_way) || !match_or(jit, rotation))
        return false;
    uint8_t part = rotation->result == rotation->a ? rotation->b : rotation->a;
    return rotation->a != rotation->b && rotation->a != rotation->x &&
           !jit_regs_in_use(jit, (uint16_t)(1u << part), rotation->count);
}

unsigned
jit_rotate(struct jit *jit, struct bpf_insn insn)
{
    struct rotation rotation;
    if (!match(jit, insn, &rotation))
        return 0;
    unsigned dst = jit_regs[rotation.result], x = jit_regs[rotation.x];
    if (dst != x && jit->features & X86_HAS_BMI2) {
        emit_rotate_imm(&jit->emit, rotation.width, dst, x, rotation.right);
        return rotation.count;
    }
    if (dst != x)
        emit_mov(&jit->emit, rotation.width, dst, x);
    emit_shift_imm(&jit->emit, X86_ROR, rotation.width, dst, rotation.right);
    return rotation.count;
}
