#include "bpf_gen.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

enum {
    ITEMS_MAX = 512,
    FIXUPS_MAX = 512,
    FUNCTIONS_MAX = 5, /* the outermost one is one of them */
    LOOPS_MAX = 3,
    ITEM_INSNS_MAX = 16,          /* no item is longer */
    EPILOGUE_INSNS = 12,
    NEAR_ITEMS = 12,              /* how far jumps go, but for some */
    /* In a frame, bytes below its top. */
    SLOTS = 1200,                 /* what items store through r10 lies between here and the top */
    SAVED = 1400,                 /* the epilogue's copies of r0 to r9 */
    COUNTERS = 1500,              /* of loops */
    /* Registers that hold pointers into the middle of a region, unless a risk is taken. */
    REG_ARGS = 8,
    REG_DATA = 9,
    MIDDLE = 0x800,
};

/* What may go wrong in this program, by its second byte. Without any, only fuel ends it early. */
enum {
    RISK_POINTERS = 1, /* at the edges of regions, or anywhere */
    RISK_TARGETS = 2,  /* jumps and calls to any instruction */
    RISK_HELPERS = 4,  /* that trap */
    RISK_REGISTERS = 8, /* the pointer registers are written to */
    TAME = 0x30,       /* all of these bits: stores only through r10 */
};

enum { TO_ITEM, TO_FUNCTION, TO_INSN }; /* of a fixup */

struct fixup {
    uint32_t insn;
    uint32_t kind;
    int32_t to; /* its number */
};

struct loop {
    uint32_t insn; /* its first */
    uint32_t counter_off;
    uint32_t left; /* items until it is closed */
};

struct maker {
    const uint8_t *at, *end;
    uint64_t more; /* state of what comes when the bytes are used up */
    struct bpf_gen *out;
    unsigned risks;
    uint32_t items[ITEMS_MAX], item_count;
    struct fixup fixups[FIXUPS_MAX];
    uint32_t fixup_count;
    uint32_t functions[FUNCTIONS_MAX], function, function_count;
    struct loop loops[LOOPS_MAX];
    uint32_t loop_count;
};

/* --- decisions --- */

static uint8_t
byte(struct maker *maker)
{
    if (maker->at < maker->end)
        return *maker->at++;
    maker->more = maker->more * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(maker->more >> 56);
}

static unsigned
below(struct maker *maker, unsigned count)
{
    return byte(maker) % count;
}

static bool
one_in(struct maker *maker, unsigned count)
{
    return below(maker, count) == count - 1;
}

static uint64_t
word(struct maker *maker, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | byte(maker);
    return value;
}

static uint64_t
interesting(struct maker *maker)
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
    switch (below(maker, 8)) {
    case 0:
        return word(maker, 8);
    case 1:
        return (uint64_t)(int64_t)(int8_t)byte(maker);
    case 2:
        return 1ull << (byte(maker) & 63);
    case 3:
        return (uint64_t)(int64_t)(int32_t)word(maker, 4);
    default:
        value = edges[below(maker, sizeof edges / sizeof edges[0])];
        return one_in(maker, 3) ? 0 - value : value;
    }
}

static unsigned
any_register(struct maker *maker)
{
    return below(maker, BPF_REG_COUNT);
}

/* One that may be written: not r10, and the pointers only where that is risked. */
static unsigned
written_register(struct maker *maker)
{
    unsigned reg = below(maker, BPF_REG_STACK);
    if (reg >= REG_ARGS && !(maker->risks & RISK_REGISTERS))
        return reg - REG_ARGS;
    return reg;
}

/* One of the lower ones that is none of `others`. */
static unsigned
spare_register(struct maker *maker, unsigned others)
{
    unsigned reg = below(maker, REG_ARGS);
    while (others >> reg & 1)
        reg = (reg + 1) % REG_ARGS;
    return reg;
}

/* --- instructions --- */

/* The opcode that does this: the table, looked up the other way round. */
static uint8_t
opcode_of(unsigned op, unsigned width, bool reg)
{
    for (unsigned i = 0; i < 256; i++) {
        const struct bpf_opcode *opcode = &bpf_opcodes[i];
        if (opcode->op == op && opcode->width == width && opcode->reg == reg)
            return (uint8_t)i;
    }
    must(!"there is such an opcode");
    return 0;
}

static uint32_t
emit(struct maker *maker, uint8_t opcode, unsigned dst, unsigned src, int off, int64_t imm)
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

static void
emit_wide(struct maker *maker, unsigned dst, uint64_t value)
{
    emit(maker, opcode_of(BPF_OP_LDDW, 64, false), dst, 0, 0, (int64_t)value);
    emit(maker, 0, 0, 0, 0, (int64_t)(value >> 32));
}

/* 64 bits, with a constant. */
static void
emit_imm(struct maker *maker, unsigned op, unsigned dst, int64_t imm)
{
    emit(maker, opcode_of(op, 64, false), dst, 0, 0, imm);
}

static void
emit_reg(struct maker *maker, unsigned op, unsigned dst, unsigned src)
{
    emit(maker, opcode_of(op, 64, true), dst, src, 0, 0);
}

static void
begin_item(struct maker *maker)
{
    if (maker->item_count < ITEMS_MAX)
        maker->items[maker->item_count++] = maker->out->insn_count;
}

static void
add_fixup(struct maker *maker, uint32_t insn, uint32_t kind, int32_t to)
{
    must(maker->fixup_count < FIXUPS_MAX);
    maker->fixups[maker->fixup_count++] = (struct fixup){insn, kind, to};
}

/* --- arithmetic --- */

static unsigned
pick_width(struct maker *maker)
{
    return byte(maker) & 1 ? 64 : 32;
}

static void
make_swap(struct maker *maker)
{
    static const uint8_t ops[] = {BPF_OP_LE, BPF_OP_BE, BPF_OP_SWAP};
    uint8_t opcode = 0;
    unsigned op = ops[below(maker, 3)];
    while (bpf_opcodes[opcode].op != op)
        opcode++;
    emit(maker, opcode, written_register(maker), 0, 0, 16 << below(maker, 3));
}

static int
pick_variation(struct maker *maker, unsigned op, unsigned width, bool reg)
{
    if (op == BPF_OP_DIV || op == BPF_OP_MOD)
        return byte(maker) & 1;
    if (op == BPF_OP_MOV && reg)
        return (int)below(maker, width == 64 ? 4 : 3) * 8 / 3 * 4 & 0x38;
    return 0;
}

static void
make_arithmetic(struct maker *maker)
{
    unsigned op = BPF_OP_ADD + below(maker, BPF_OP_ARSH - BPF_OP_ADD + 1);
    unsigned width = pick_width(maker);
    bool reg = op != BPF_OP_NEG && byte(maker) & 1;
    int off = pick_variation(maker, op, width, reg);
    unsigned dst = written_register(maker);
    int64_t imm = reg || op == BPF_OP_NEG ? 0 : (int64_t)interesting(maker);
    emit(maker, opcode_of(op, width, reg), dst, reg ? any_register(maker) : 0, off, imm);
}

/* A fresh value: after helper calls, shifts and products many registers are 0. */
static void
make_constant(struct maker *maker)
{
    unsigned dst = written_register(maker);
    if (one_in(maker, 3))
        emit(maker, opcode_of(BPF_OP_MOV, pick_width(maker), false), dst, 0, 0,
             (int64_t)interesting(maker));
    else
        emit_wide(maker, dst, interesting(maker));
}
