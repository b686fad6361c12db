/* insn: the instructions of eBPF (RFC 9669) as data.
 *
 * One table, `bpf_opcodes`, says of each of the 256 opcodes what it does and which fields it uses.
 * Checker, interpreter, translator and disassembler all read it, so an opcode that one of them
 * knows is known to all. Pure data and pure functions; little-endian hosts only, as the object
 * files are.
 */
#ifndef TARN_BPF_INSN_H
#define TARN_BPF_INSN_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum { BPF_REG_COUNT = 11, BPF_REG_STACK = 10 };

/* RFC 9669 section 3: as it lies in the file. A wide one (lddw) takes two, the second with only imm
 * set: the upper half of the constant. */
struct bpf_insn {
    uint8_t opcode;
    uint8_t dst : 4, src : 4;
    int16_t off;
    int32_t imm;
};
static_assert(sizeof(struct bpf_insn) == 8, "as in the file");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "instructions are read in place");

enum bpf_op {
    BPF_OP_NONE, /* not an instruction */
    /* ALU and ALU64, sections 4.1 and 4.2. The first operand is dst; the second src or imm. */
    BPF_OP_ADD,
    BPF_OP_SUB,
    BPF_OP_MUL,
    BPF_OP_DIV, /* off 1: signed */
    BPF_OP_OR,
    BPF_OP_AND,
    BPF_OP_LSH,
    BPF_OP_RSH,
    BPF_OP_NEG,
    BPF_OP_MOD, /* off 1: signed */
    BPF_OP_XOR,
    BPF_OP_MOV, /* off 8, 16, 32: sign-extends that many bits of src */
    BPF_OP_ARSH,
    BPF_OP_LE,   /* to or from little-endian: cuts to imm bits here */
    BPF_OP_BE,   /* swaps and cuts to imm bits */
    BPF_OP_SWAP, /* the same, whatever the host is */
    /* JMP and JMP32, section 4.3: to the instruction behind the next, plus off (JA of JMP32: imm).
     */
    BPF_OP_JA,
    BPF_OP_JEQ,
    BPF_OP_JGT,
    BPF_OP_JGE,
    BPF_OP_JSET,
    BPF_OP_JNE,
    BPF_OP_JSGT,
    BPF_OP_JSGE,
    BPF_OP_JLT,
    BPF_OP_JLE,
    BPF_OP_JSLT,
    BPF_OP_JSLE,
    BPF_OP_CALL,  /* src 0: helper number imm; src 1: the function at the next instruction + imm */
    BPF_OP_CALLX, /* helper whose number is in dst; not of RFC 9669, only where a caller allows it
                   */
    BPF_OP_EXIT,
    /* memory, section 5 */
    BPF_OP_LDDW, /* dst = the 64-bit constant */
    BPF_OP_LDX,
    BPF_OP_LDXS, /* sign-extending */
    BPF_OP_ST,
    BPF_OP_STX,
    BPF_OP_ATOMIC, /* imm: one of bpf_atomic */
    BPF_OP_COUNT,
};

/* imm of BPF_OP_ATOMIC (section 5.3). FETCH alone is not one, it is added to the first four. */
enum bpf_atomic {
    BPF_ATOMIC_ADD = 0x00,
    BPF_ATOMIC_OR = 0x40,
    BPF_ATOMIC_AND = 0x50,
    BPF_ATOMIC_XOR = 0xa0,
    BPF_ATOMIC_FETCH = 0x01,
    BPF_ATOMIC_XCHG = 0xe1,
    BPF_ATOMIC_CMPXCHG = 0xf1,
};

enum { BPF_CALL_HELPER = 0, BPF_CALL_LOCAL = 1 }; /* src of BPF_OP_CALL */

/* Which fields an opcode uses; those it does not must be 0 (section 3.1). */
enum {
    BPF_USES_DST = 1,   /* reads or writes dst */
    BPF_WRITES_DST = 2, /* dst must not be r10 */
    BPF_USES_SRC = 4,
    BPF_USES_OFF = 8, /* a displacement, a jump distance, or a variation (DIV, MOD, MOV) */
    BPF_USES_IMM = 16,
};

struct bpf_opcode {
    uint8_t op;       /* enum bpf_op */
    uint8_t width;    /* bits of the operation (ALU, jumps: 32 or 64; memory: 8, 16, 32 or 64) */
    uint8_t uses;     /* BPF_USES_* */
    bool reg;         /* ALU, jumps: the second operand is src, not imm */
    const char *name; /* "add", "jsgt", "ldx": the RFC's, in lower case; NULL for BPF_OP_NONE */
};

extern const struct bpf_opcode bpf_opcodes[256];

static inline bool
bpf_is_wide(struct bpf_insn insn)
{
    return bpf_opcodes[insn.opcode].op == BPF_OP_LDDW;
}

/* The constant of the wide instruction that begins at `insn`. */
static inline uint64_t
bpf_wide_imm(const struct bpf_insn insn[2])
{
    return (uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn[0].imm;
}

static inline bool
bpf_is_jump(struct bpf_insn insn)
{
    uint8_t op = bpf_opcodes[insn.opcode].op;
    return op >= BPF_OP_JA && op <= BPF_OP_JSLE;
}

/* Where the jump at `at` goes; not checked to be in the program. */
static inline int64_t
bpf_jump_target(struct bpf_insn insn, uint32_t at)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    bool far = opcode->op == BPF_OP_JA && opcode->width == 32;
    return (int64_t)at + 1 + (far ? insn.imm : insn.off);
}

/* Where the local call at `at` goes; not checked to be in the program. */
static inline int64_t
bpf_call_target(struct bpf_insn insn, uint32_t at)
{
    return (int64_t)at + 1 + insn.imm;
}

#endif
