#include "bpf_maker.h"

#include "base/must.h"

uint8_t
maker_byte(struct maker *maker)
{
    if (maker->at < maker->end)
        return *maker->at++;
    maker->more = maker->more * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(maker->more >> 56);
}

unsigned
maker_below(struct maker *maker, unsigned count)
{
    return maker_byte(maker) % count;
}

bool
maker_one_in(struct maker *maker, unsigned count)
{
    return maker_below(maker, count) == count - 1;
}

uint64_t
maker_word(struct maker *maker, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | maker_byte(maker);
    return value;
}

uint64_t
maker_number(struct maker *maker)
{
    static const uint64_t edges[] = {
        0,
        1,
        2,
        3,
        7,
        8,
        15,
        31,
        32,
        33,
        63,
        64,
        65,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0x80000001,
        0xffffffff,
        0x100000000,
        0x100000001,
        0x7fffffff80000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0x8000000000000001,
        0xffffffff00000000,
        0xffffffff7fffffff,
        0x0123456789abcdef,
        0xfedcba9876543210,
        0x00ff00ff00ff00ff,
    };
    uint64_t value;
    switch (maker_below(maker, 8)) {
    case 0:
        return maker_word(maker, 8);
    case 1:
        return (uint64_t)(int64_t)(int8_t)maker_byte(maker);
    case 2:
        return 1ull << (maker_byte(maker) & 63);
    case 3:
        return (uint64_t)(int64_t)(int32_t)maker_word(maker, 4);
    default:
        value = edges[maker_below(maker, sizeof edges / sizeof edges[0])];
        return maker_one_in(maker, 3) ? 0 - value : value;
    }
}

unsigned
maker_any_register(struct maker *maker)
{
    return maker_below(maker, BPF_REG_COUNT);
}

unsigned
maker_written_register(struct maker *maker)
{
    unsigned reg = maker_below(maker, BPF_REG_STACK);
    if (reg >= REG_ARGS && !(maker->risks & RISK_REGISTERS))
        return reg - REG_ARGS;
    return reg;
}

unsigned
maker_spare_register(struct maker *maker, unsigned others)
{
    unsigned reg = maker_below(maker, REG_ARGS);
    while (others >> reg & 1)
        reg = (reg + 1) % REG_ARGS;
    return reg;
}

/* --- instructions --- */

uint8_t
maker_opcode(unsigned op, unsigned width, bool reg)
{
    static uint8_t opcodes[BPF_OP_COUNT][4][2];
    static bool filled;
    for (unsigned i = 0; !filled && i < 256; i++) {
        const struct bpf_opcode *opcode = &bpf_opcodes[i];
        if (opcode->op != BPF_OP_NONE)
            opcodes[opcode->op][__builtin_ctz(opcode->width) - 3][opcode->reg] = (uint8_t)i;
    }
    filled = true;
    uint8_t opcode = opcodes[op][__builtin_ctz(width) - 3][reg];
    must(bpf_opcodes[opcode].op == op);
    return opcode;
}

uint32_t
maker_emit(struct maker *maker, uint8_t opcode, unsigned dst, unsigned src, int off, int64_t imm)
{
    struct bpf_gen *out = maker->out;
    must(out->insn_count < BPF_GEN_INSNS_MAX);
    out->insns[out->insn_count] = (struct bpf_insn){
        .opcode = opcode,
        .dst = dst & 15,
        .src = src & 15,
        .off = (int16_t)off,
        .imm = (int32_t)imm,
    };
    return out->insn_count++;
}

void
maker_emit_wide(struct maker *maker, unsigned dst, uint64_t value)
{
    maker_emit(maker, maker_opcode(BPF_OP_LDDW, 64, false), dst, 0, 0, (int64_t)value);
    maker_emit(maker, 0, 0, 0, 0, (int64_t)(value >> 32));
}

void
maker_emit_imm(struct maker *maker, unsigned op, unsigned dst, int64_t imm)
{
    maker_emit(maker, maker_opcode(op, 64, false), dst, 0, 0, imm);
}

void
maker_emit_reg(struct maker *maker, unsigned op, unsigned dst, unsigned src)
{
    maker_emit(maker, maker_opcode(op, 64, true), dst, src, 0, 0);
}

void
maker_begin_item(struct maker *maker)
{
    if (maker->item_count < ITEMS_MAX)
        maker->items[maker->item_count++] = maker->out->insn_count;
}

void
maker_add_fixup(struct maker *maker, uint32_t insn, uint32_t kind, int32_t to)
{
    must(maker->fixup_count < FIXUPS_MAX);
    maker->fixups[maker->fixup_count++] = (struct fixup){insn, kind, to};
}

int32_t
maker_current_item(const struct maker *maker)
{
    return (int32_t)maker->item_count - 1;
}

unsigned
maker_width(struct maker *maker)
{
    return maker_byte(maker) & 1 ? 64 : 32;
}
