/* bpf_maker: what the parts of bpf_gen.h share: decisions from bytes, instructions, and the items
 * that programs are made of. Each item leaves at most ITEM_INSNS_MAX instructions.
 */
#ifndef TARN_FUZZ_BPF_MAKER_H
#define TARN_FUZZ_BPF_MAKER_H

#include "bpf_gen.h"

enum {
    ITEMS_MAX = 512,
    FIXUPS_MAX = 512,
    FUNCTIONS_MAX = 5, /* the outermost one is one of them */
    LOOPS_MAX = 3,
    ITEM_INSNS_MAX = 16, /* no item is longer */
    EPILOGUE_INSNS = 12,
    NEAR_ITEMS = 12, /* how far jumps go, but for some */
    /* In a frame, bytes below its top. */
    SLOTS = 1200,    /* what items store through r10 lies between here and the top */
    SAVED = 1400,    /* the epilogue's copies of r0 to r9 */
    COUNTERS = 1500, /* of loops */
    KNOWN = 1600,    /* a number that is loaded again */
    /* Registers that hold pointers into the middle of a region, unless a risk is taken. */
    REG_ARGS = 8,
    REG_DATA = 9,
    MIDDLE = 0x800,
};

/* What may go wrong in this program, by its second byte. Without any, only fuel ends it early. */
enum {
    RISK_POINTERS = 1,  /* at the edges of regions, or anywhere */
    RISK_TARGETS = 2,   /* jumps and calls to any instruction */
    RISK_HELPERS = 4,   /* that trap */
    RISK_REGISTERS = 8, /* the pointer registers are written to */
    TAME = 0x30,        /* all of these bits: stores only through r10 */
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
    uint32_t end_item; /* it is closed when there are so many */
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

/* --- decisions (bpf_maker.c): the next byte; pseudo-random ones when there are no more --- */

uint8_t maker_byte(struct maker *maker);
unsigned maker_below(struct maker *maker, unsigned count); /* below count, at most 256 */
bool maker_one_in(struct maker *maker, unsigned count);
uint64_t maker_word(struct maker *maker, unsigned bytes);
/* A number of any size, often at an edge. */
uint64_t maker_number(struct maker *maker);
unsigned maker_width(struct maker *maker); /* 32 or 64 */
unsigned maker_any_register(struct maker *maker);
/* One that may be written: not r10, and the pointers only where that is risked. */
unsigned maker_written_register(struct maker *maker);
/* One of the lower ones that is none of the set `others`. */
unsigned maker_spare_register(struct maker *maker, unsigned others);
/* Where 8 bytes are, or, where that is risked, may be partly or not at all (bpf_gen_memory.c). */
uint64_t maker_address(struct maker *maker, bool write);
/* Garbage above the bits that an access takes, or 0. */
uint64_t maker_upper_half(struct maker *maker);

/* --- instructions --- */

/* The opcode that does this: the table, looked up the other way round. */
uint8_t maker_opcode(unsigned op, unsigned width, bool reg);
/* Returns its index. */
uint32_t maker_emit(struct maker *maker, uint8_t opcode, unsigned dst, unsigned src, int off,
                    int64_t imm);
void maker_emit_wide(struct maker *maker, unsigned dst, uint64_t value);
/* 64 bits, with a constant or a register. */
void maker_emit_imm(struct maker *maker, unsigned op, unsigned dst, int64_t imm);
void maker_emit_reg(struct maker *maker, unsigned op, unsigned dst, unsigned src);
/* Jumps and calls go to starts of items; a fixup is one whose target is not known yet. */
void maker_begin_item(struct maker *maker);
int32_t maker_current_item(const struct maker *maker);
void maker_add_fixup(struct maker *maker, uint32_t insn, uint32_t kind, int32_t to);

/* --- items --- */

/* bpf_gen_alu.c */
void make_arithmetic(struct maker *maker);
void make_swap(struct maker *maker);
void make_pair(struct maker *maker);
void make_constant(struct maker *maker);
void make_rotation(struct maker *maker);

/* bpf_gen_memory.c */
void make_load(struct maker *maker);
void make_store(struct maker *maker);
void make_atomic(struct maker *maker);
void make_swapped_load(struct maker *maker);
void make_accesses(struct maker *maker);

/* bpf_gen_flow.c */
void make_branch(struct maker *maker);
void make_jump(struct maker *maker);
void make_back(struct maker *maker);
void make_loop(struct maker *maker);
void maker_close_loop(struct maker *maker); /* the innermost */
void make_local_call(struct maker *maker);
void make_helper_call(struct maker *maker);

#endif
