#include "bpf_maker.h"

void
make_swap(struct maker *maker)
{
    unsigned op = BPF_OP_LE + maker_below(maker, 3), dst = maker_written_register(maker);
    maker_emit_imm(maker, op, dst, 16 << maker_below(maker, 3));
}

static int
pick_variation(struct maker *maker, unsigned op, unsigned width, bool reg)
{
    static const uint8_t extended[] = {0, 8, 16, 32};
    if (op == BPF_OP_DIV || op == BPF_OP_MOD)
        return maker_byte(maker) & 1;
    if (op == BPF_OP_MOV && reg)
        return extended[maker_below(maker, width == 64 ? 4 : 3)];
    return 0;
}

void
make_arithmetic(struct maker *maker)
{
    unsigned op = BPF_OP_ADD + maker_below(maker, BPF_OP_ARSH - BPF_OP_ADD + 1);
    unsigned width = maker_width(maker);
    bool reg = op != BPF_OP_NEG && maker_byte(maker) & 1;
    int off = pick_variation(maker, op, width, reg);
    unsigned dst = maker_written_register(maker);
    int64_t imm = reg || op == BPF_OP_NEG ? 0 : (int64_t)maker_number(maker);
    maker_emit(maker, maker_opcode(op, width, reg), dst, reg ? maker_any_register(maker) : 0, off,
               imm);
}

/* One of those that begin what a translator may take together with what follows. */
static void
make_first_of_pair(struct maker *maker, unsigned dst, unsigned width, int64_t imm)
{
    switch (maker_below(maker, 4)) {
    case 0:
        maker_emit_wide(maker, dst, maker_number(maker));
        break;
    case 1:
        maker_emit(maker, maker_opcode(BPF_OP_MOV, width, false), dst, 0, 0,
                   (int64_t)maker_number(maker));
        break;
    case 2:
        maker_emit(maker, maker_opcode(BPF_OP_MOV, width, true), dst, maker_any_register(maker), 0,
                   0);
        break;
    default:
        maker_emit(maker, maker_opcode(BPF_OP_LSH, width, false), dst, 0, 0, imm);
        break;
    }
}

/* Two operations on one register, of which the second often undoes or extends the first; now and
 * then something else jumps in between. */
void
make_pair(struct maker *maker)
{
    static const uint8_t counts[] = {8, 16, 24, 32, 40, 48, 56, 0, 1, 31, 33, 63};
    static const uint8_t seconds[] = {BPF_OP_ADD,  BPF_OP_ADD, BPF_OP_ADD, BPF_OP_SUB, BPF_OP_RSH,
                                      BPF_OP_ARSH, BPF_OP_AND, BPF_OP_OR,  BPF_OP_MUL, BPF_OP_XOR};
    unsigned dst = maker_written_register(maker), width = maker_width(maker);
    int64_t imm = counts[maker_below(maker, sizeof counts)];
    make_first_of_pair(maker, dst, width, imm);
    if (maker_one_in(maker, 8))
        maker_begin_item(maker);
    unsigned op = seconds[maker_below(maker, sizeof seconds)];
    bool reg = maker_byte(maker) & 1 && op != BPF_OP_RSH && op != BPF_OP_ARSH;
    if (maker_one_in(maker, 4))
        width = maker_width(maker);
    if (maker_one_in(maker, 4) || (op != BPF_OP_RSH && op != BPF_OP_ARSH))
        imm = (int64_t)maker_number(maker);
    maker_emit(maker, maker_opcode(op, width, reg), dst, reg ? maker_any_register(maker) : 0, 0,
               reg ? 0 : imm);
}

/* A fresh value: after helper calls, shifts and products many registers are 0. */
void
make_constant(struct maker *maker)
{
    unsigned dst = maker_written_register(maker), width = maker_width(maker);
    bool wide = !maker_one_in(maker, 3);
    uint64_t value = maker_number(maker);
    if (wide)
        maker_emit_wide(maker, dst, value);
    else
        maker_emit(maker, maker_opcode(BPF_OP_MOV, width, false), dst, 0, 0, (int64_t)value);
}

/* Two shifts and `or`, as compilers make a rotation, or nearly so. */
void
make_rotation(struct maker *maker)
{
    unsigned width = maker_width(maker), count = 1 + maker_below(maker, width - 1);
    bool left_first = maker_one_in(maker, 2), copies = !maker_one_in(maker, 3);
    unsigned x = maker_spare_register(maker, 0), a = maker_spare_register(maker, 1u << x);
    unsigned b = copies ? maker_spare_register(maker, 1u << x | 1u << a) : x;
    if (maker_one_in(maker, 12)) /* not a rotation */
        a = maker_spare_register(maker, 0);
    unsigned move_width = maker_one_in(maker, 3) ? maker_width(maker) : width;
    unsigned rest = width - count + maker_one_in(maker, 12);
    maker_emit(maker, maker_opcode(BPF_OP_MOV, move_width, true), a, x, 0, 0);
    maker_emit(maker, maker_opcode(left_first ? BPF_OP_LSH : BPF_OP_RSH, width, false), a, 0, 0,
               count);
    if (maker_one_in(maker, 12))
        maker_begin_item(maker);
    if (copies)
        maker_emit(maker, maker_opcode(BPF_OP_MOV, move_width, true), b, x, 0, 0);
    maker_emit(maker, maker_opcode(left_first ? BPF_OP_RSH : BPF_OP_LSH, width, false), b, 0, 0,
               rest);
    bool into_a = maker_one_in(maker, 2);
    maker_emit(maker, maker_opcode(BPF_OP_OR, width, true), into_a ? a : b, into_a ? b : a, 0, 0);
    if (!maker_one_in(maker, 3)) /* the other part is not needed any more */
        maker_emit_wide(maker, into_a ? b : a, maker_number(maker));
}
