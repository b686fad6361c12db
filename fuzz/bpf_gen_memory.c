#include "bpf_maker.h"

#include "base/must.h"

struct place {
    unsigned reg;
    int off;
};

static const struct region {
    uint32_t start, len;
    bool writable;
} regions[] = {
    {BPF_STACK_LOW, BPF_STACK_TOP - BPF_STACK_LOW, true},
    {BPF_ARGS, BPF_ARGS_LEN, true},
    {BPF_GEN_DATA_OFF, BPF_GEN_DATA_PAGES, true},
    {BPF_RO_BASE, 0x1000, false},
};

uint64_t
maker_upper_half(struct maker *maker)
{
    return maker_one_in(maker, 3) ? maker_number(maker) << 32 : 0;
}

uint64_t
maker_address(struct maker *maker, bool write)
{
    unsigned count = write ? 3 : 4;
    if (maker->risks & RISK_POINTERS && maker_one_in(maker, 12)) {
        const struct region *region = &regions[maker_below(maker, 4)];
        uint32_t edge = maker_one_in(maker, 3) ? region->start : region->start + region->len;
        return edge - 10 + maker_below(maker, 14);
    }
    const struct region *region = &regions[maker_below(maker, count)];
    return region->start + maker_word(maker, 2) % (region->len - 8);
}

static struct place
place_on_frame(struct maker *maker)
{
    return (struct place){BPF_REG_STACK, -8 - (int)(maker_word(maker, 2) % (SLOTS - 8))};
}

/* Through a pointer that is made for it, with any displacement. */
static struct place
place_fixed(struct maker *maker, bool write)
{
    unsigned reg = maker_spare_register(maker, 0);
    int off = (int16_t)maker_word(maker, 2);
    if (maker_one_in(maker, 2))
        off /= 128;
    uint64_t address = maker_address(maker, write) - (uint64_t)off;
    maker_emit_wide(maker, reg, (uint32_t)address | maker_upper_half(maker));
    return (struct place){reg, off};
}

/* Through a pointer that depends on a register. */
static struct place
place_indexed(struct maker *maker, bool write)
{
    static const uint16_t masks[] = {0x7ff, 0x7f8, 0x38, 0x3f, 0x7, 0x3fc};
    const struct region *region = &regions[maker_below(maker, write ? 3 : 4)];
    unsigned index = maker_spare_register(maker, 0);
    unsigned reg = maker_spare_register(maker, 1u << index);
    maker_emit_reg(maker, BPF_OP_MOV, index, maker_any_register(maker));
    maker_emit_imm(maker, BPF_OP_AND, index, masks[maker_below(maker, 6)]);
    maker_emit_wide(maker, reg, region->start | maker_upper_half(maker));
    maker_emit_reg(maker, maker_one_in(maker, 4) ? BPF_OP_OR : BPF_OP_ADD, reg, index);
    if (maker_one_in(maker, 4)) { /* more above its lower half */
        maker_emit_imm(maker, BPF_OP_LSH, index, 32);
        maker_emit_reg(maker, maker_one_in(maker, 2) ? BPF_OP_XOR : BPF_OP_ADD, reg, index);
    }
    return (struct place){reg, (int)(maker_byte(maker) & 0x7f)};
}

/* What the instruction that was emitted last makes of `value`: for pointers that are computed from
 * constants. 64 or 32 bits; not divisions and swaps. */
static uint64_t
simulated(const struct maker *maker, uint64_t value)
{
    struct bpf_insn insn = maker->out->insns[maker->out->insn_count - 1];
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    uint64_t imm = (uint64_t)(int64_t)insn.imm;
    uint64_t mask = opcode->width == 64 ? UINT64_MAX : UINT32_MAX;
    unsigned count = (unsigned)imm & (opcode->width - 1);
    switch (opcode->op) {
    case BPF_OP_ADD:
        return (value + imm) & mask;
    case BPF_OP_SUB:
        return (value - imm) & mask;
    case BPF_OP_MUL:
        return value * imm & mask;
    case BPF_OP_OR:
        return (value | imm) & mask;
    case BPF_OP_AND:
        return value & imm & mask;
    case BPF_OP_XOR:
        return (value ^ imm) & mask;
    case BPF_OP_LSH:
        return value << count & mask;
    case BPF_OP_RSH:
        return (value & mask) >> count;
    case BPF_OP_ARSH:
        if (opcode->width == 32)
            return (uint32_t)((int32_t)(uint32_t)value >> count);
        return (uint64_t)((int64_t)value >> count);
    case BPF_OP_NEG:
        return (0 - value) & mask;
    default:
        must(opcode->op == BPF_OP_MOV && opcode->reg);
        value <<= 64 - (insn.off ? insn.off : opcode->width);
        value = insn.off ? (uint64_t)((int64_t)value >> (64 - insn.off))
                         : value >> (64 - opcode->width);
        return value & mask;
    }
}

/* A number in `reg`: a constant, or one from memory, of which only the width is known. */
static uint64_t
make_known(struct maker *maker, unsigned reg)
{
    uint64_t value = maker_number(maker);
    if (maker_one_in(maker, 2)) {
        maker_emit_wide(maker, reg, value);
        return value;
    }
    unsigned width = 8u << maker_below(maker, 4);
    maker_emit(maker, maker_opcode(BPF_OP_ST, width, false), BPF_REG_STACK, 0, -KNOWN,
               (int64_t)value);
    maker_emit(maker, maker_opcode(BPF_OP_LDX, width, true), reg, BPF_REG_STACK, -KNOWN, 0);
    return (uint64_t)(int64_t)(int32_t)value & UINT64_MAX >> (64 - width);
}

/* Through a pointer that was computed from such a number: translators know bounds of registers and
 * leave masks out by that. What is above 32 bits may be anything. */
static struct place
place_computed(struct maker *maker, bool write)
{
    static const uint8_t ops[] = {BPF_OP_ADD,  BPF_OP_SUB, BPF_OP_MUL, BPF_OP_OR,
                                  BPF_OP_AND,  BPF_OP_XOR, BPF_OP_LSH, BPF_OP_RSH,
                                  BPF_OP_ARSH, BPF_OP_NEG, BPF_OP_MOV};
    static const uint8_t extended[] = {0, 8, 16};
    unsigned reg = maker_spare_register(maker, 0);
    uint64_t value = make_known(maker, reg), address = maker_address(maker, write);
    for (unsigned i = maker_below(maker, 4); i > 0; i--) {
        unsigned op = ops[maker_below(maker, sizeof ops)], width = maker_width(maker);
        bool moves = op == BPF_OP_MOV;
        int64_t imm = moves || op == BPF_OP_NEG ? 0 : (int64_t)maker_number(maker);
        maker_emit(maker, maker_opcode(op, width, moves), reg, moves ? reg : 0,
                   moves ? extended[maker_below(maker, 3)] : 0, imm);
        value = simulated(maker, value);
    }
    maker_emit(maker, maker_opcode(BPF_OP_ADD, maker_width(maker), false), reg, 0, 0,
               (int32_t)((uint32_t)address - (uint32_t)value));
    return (struct place){reg, 0};
}

static struct place
place_anywhere(struct maker *maker)
{
    static const int16_t offs[] = {0, 1, -1, 7, -8, INT16_MAX, INT16_MIN, INT16_MAX - 7, 0x1000};
    int off = offs[maker_below(maker, 9)];
    if (maker_one_in(maker, 2))
        return (struct place){maker_any_register(maker), off};
    unsigned reg = maker_spare_register(maker, 0);
    maker_emit_wide(maker, reg, maker_number(maker));
    return (struct place){reg, off};
}

/* Where an access goes; what makes the pointer is written. */
static struct place
pick_place(struct maker *maker, bool write)
{
    unsigned kind = maker_below(maker, 10);
    if (write && (maker->risks & TAME) == TAME)
        return place_on_frame(maker);
    if (kind == 9 && maker->risks & RISK_POINTERS && maker_one_in(maker, 4))
        return place_anywhere(maker);
    switch (kind) {
    case 0:
    case 1:
        return (struct place){REG_ARGS, (int)(maker_word(maker, 2) % 0xff0) - 0x7f8};
    case 2:
    case 3:
        return (struct place){REG_DATA, (int)(maker_word(maker, 2) % 0xff0) - 0x7f8};
    case 4:
        return place_fixed(maker, write);
    case 5:
        return place_indexed(maker, write);
    case 6:
        return place_computed(maker, write);
    default:
        return place_on_frame(maker);
    }
}

void
make_load(struct maker *maker)
{
    struct place place = pick_place(maker, false);
    unsigned kind = maker_below(maker, 7);
    unsigned op = kind < 4 ? BPF_OP_LDX : BPF_OP_LDXS;
    maker_emit(maker, maker_opcode(op, 8u << (kind & 3), true), maker_written_register(maker),
               place.reg, place.off, 0);
}

/* A number in the order of a network. */
void
make_swapped_load(struct maker *maker)
{
    struct place place = pick_place(maker, false);
    unsigned width = 16u << maker_below(maker, 3), dst = maker_written_register(maker);
    maker_emit(maker, maker_opcode(BPF_OP_LDX, width, true), dst, place.reg, place.off, 0);
    if (maker_one_in(maker, 8))
        maker_begin_item(maker);
    unsigned op = BPF_OP_LE + maker_below(maker, 3);
    maker_emit_imm(maker, op, dst, maker_one_in(maker, 4) ? 32 : width);
}

/* Some accesses through one pointer, which changes now and then. */
void
make_accesses(struct maker *maker)
{
    struct place place = pick_place(maker, true);
    for (unsigned i = 2 + maker_below(maker, 3); i > 0; i--) {
        unsigned width = 8u << maker_below(maker, 4), near = maker_below(maker, 3) * width / 8;
        unsigned reg = maker_one_in(maker, 8) ? maker_written_register(maker)
                                              : maker_spare_register(maker, 1u << place.reg);
        if (maker_byte(maker) & 1)
            maker_emit(maker, maker_opcode(BPF_OP_LDX, width, true), reg, place.reg,
                       place.off - (int)near, 0);
        else
            maker_emit(maker, maker_opcode(BPF_OP_STX, width, true), place.reg,
                       maker_any_register(maker), place.off - (int)near, 0);
        width = maker_width(maker);
        if (place.reg < REG_ARGS && maker_one_in(maker, 4))
            maker_emit(maker, maker_opcode(BPF_OP_ADD, width, false), place.reg, 0, 0,
                       (int64_t)maker_below(maker, 9) - 4);
    }
}

void
make_store(struct maker *maker)
{
    struct place place = pick_place(maker, true);
    unsigned width = 8u << maker_below(maker, 4);
    if (maker_one_in(maker, 3))
        maker_emit(maker, maker_opcode(BPF_OP_ST, width, false), place.reg, 0, place.off,
                   (int64_t)maker_number(maker));
    else
        maker_emit(maker, maker_opcode(BPF_OP_STX, width, true), place.reg,
                   maker_any_register(maker), place.off, 0);
}

void
make_atomic(struct maker *maker)
{
    static const uint8_t kinds[] = {
        BPF_ATOMIC_ADD,
        BPF_ATOMIC_OR,
        BPF_ATOMIC_AND,
        BPF_ATOMIC_XOR,
        BPF_ATOMIC_ADD | BPF_ATOMIC_FETCH,
        BPF_ATOMIC_OR | BPF_ATOMIC_FETCH,
        BPF_ATOMIC_AND | BPF_ATOMIC_FETCH,
        BPF_ATOMIC_XOR | BPF_ATOMIC_FETCH,
        BPF_ATOMIC_XCHG,
        BPF_ATOMIC_CMPXCHG,
        BPF_ATOMIC_CMPXCHG,
    };
    struct place place = pick_place(maker, true);
    unsigned width = maker_width(maker);
    uint8_t kind = kinds[maker_below(maker, sizeof kinds)];
    /* What is there, so that the exchange is often done. */
    if (kind == BPF_ATOMIC_CMPXCHG && place.reg != 0 && maker_one_in(maker, 2))
        maker_emit(maker, maker_opcode(BPF_OP_LDX, width, true), 0, place.reg, place.off, 0);
    maker_emit(maker, maker_opcode(BPF_OP_ATOMIC, width, true), place.reg,
               maker_written_register(maker), place.off, kind);
}
