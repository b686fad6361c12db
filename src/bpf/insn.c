#include "bpf/insn.h"

/* An opcode is, from the low bits: class (3), then for ALU and jumps source (1) and code (4), for
 * memory width (2) and mode (3). RFC 9669 section 3.
 */
enum {
    CLASS_LD = 0,
    CLASS_LDX = 1,
    CLASS_ST = 2,
    CLASS_STX = 3,
    CLASS_ALU = 4,
    CLASS_JMP = 5,
    CLASS_JMP32 = 6,
    CLASS_ALU64 = 7,
    SOURCE_REG = 8,
    MODE_IMM = 0x00,
    MODE_MEM = 0x60,
    MODE_MEMSX = 0x80,
    MODE_ATOMIC = 0xc0,
    WIDTH_32 = 0x00,
    WIDTH_16 = 0x08,
    WIDTH_8 = 0x10,
    WIDTH_64 = 0x18,
};

enum {
    USES_ALU_IMM = BPF_USES_DST | BPF_WRITES_DST | BPF_USES_IMM,
    USES_ALU_REG = BPF_USES_DST | BPF_WRITES_DST | BPF_USES_SRC,
    USES_JUMP_IMM = BPF_USES_DST | BPF_USES_OFF | BPF_USES_IMM,
    USES_JUMP_REG = BPF_USES_DST | BPF_USES_OFF | BPF_USES_SRC,
    USES_LOAD = BPF_USES_DST | BPF_WRITES_DST | BPF_USES_SRC | BPF_USES_OFF,
    USES_STORE_IMM = BPF_USES_DST | BPF_USES_OFF | BPF_USES_IMM,
    USES_STORE_REG = BPF_USES_DST | BPF_USES_OFF | BPF_USES_SRC,
    USES_ATOMIC = USES_STORE_REG | BPF_USES_IMM,
};

/* Both widths, with a constant and with a register; `more`: what one of them uses besides. */
#define ALU(code, OP, text, more)                                                                 \
    [CLASS_ALU |                                                                                  \
        (code)] = {BPF_OP_##OP, 32, USES_ALU_IMM | (more), false, text},                          \
        [CLASS_ALU64 | (code)] = {BPF_OP_##OP, 64, USES_ALU_IMM | (more), false, text},           \
        [CLASS_ALU | SOURCE_REG | (code)] = {BPF_OP_##OP, 32, USES_ALU_REG | (more), true, text}, \
        [CLASS_ALU64 | SOURCE_REG | (code)] = {BPF_OP_##OP, 64, USES_ALU_REG | (more), true, text}

#define JUMP(code, OP, text)                                                                       \
    [CLASS_JMP | (code)] = {BPF_OP_##OP, 64, USES_JUMP_IMM, false, text},                          \
                 [CLASS_JMP32 | (code)] = {BPF_OP_##OP, 32, USES_JUMP_IMM, false, text},           \
                 [CLASS_JMP | SOURCE_REG | (code)] = {BPF_OP_##OP, 64, USES_JUMP_REG, true, text}, \
                 [CLASS_JMP32 | SOURCE_REG | (code)] = {BPF_OP_##OP, 32, USES_JUMP_REG, true,      \
                                                        text}

#define MEMORY(width, bits)                                                               \
    [CLASS_LDX | MODE_MEM |                                                               \
        (width)] = {BPF_OP_LDX, bits, USES_LOAD, true, "ldx"},                            \
        [CLASS_ST | MODE_MEM | (width)] = {BPF_OP_ST, bits, USES_STORE_IMM, false, "st"}, \
        [CLASS_STX | MODE_MEM | (width)] = {BPF_OP_STX, bits, USES_STORE_REG, true, "stx"}

#define LOAD_SIGNED(width, bits) \
    [CLASS_LDX | MODE_MEMSX | (width)] = {BPF_OP_LDXS, bits, USES_LOAD, true, "ldxs"}

#define ATOMIC(width, bits) \
    [CLASS_STX | MODE_ATOMIC | (width)] = {BPF_OP_ATOMIC, bits, USES_ATOMIC, true, "atomic"}

const struct bpf_opcode bpf_opcodes[256] = {
    ALU(0x00, ADD, "add", 0),
    ALU(0x10, SUB, "sub", 0),
    ALU(0x20, MUL, "mul", 0),
    ALU(0x30, DIV, "div", BPF_USES_OFF),
    ALU(0x40, OR, "or", 0),
    ALU(0x50, AND, "and", 0),
    ALU(0x60, LSH, "lsh", 0),
    ALU(0x70, RSH, "rsh", 0),
    ALU(0x90, MOD, "mod", BPF_USES_OFF),
    ALU(0xa0, XOR, "xor", 0),
    ALU(0xc0, ARSH, "arsh", 0),

    /* Sign-extending moves have no form with a constant. */
    [CLASS_ALU | 0xb0] = {BPF_OP_MOV, 32, USES_ALU_IMM, false, "mov"},
    [CLASS_ALU64 | 0xb0] = {BPF_OP_MOV, 64, USES_ALU_IMM, false, "mov"},
    [CLASS_ALU | SOURCE_REG | 0xb0] = {BPF_OP_MOV, 32, USES_ALU_REG | BPF_USES_OFF, true, "mov"},
    [CLASS_ALU64 | SOURCE_REG | 0xb0] = {BPF_OP_MOV, 64, USES_ALU_REG | BPF_USES_OFF, true, "mov"},

    [CLASS_ALU | 0x80] = {BPF_OP_NEG, 32, BPF_USES_DST | BPF_WRITES_DST, false, "neg"},
    [CLASS_ALU64 | 0x80] = {BPF_OP_NEG, 64, BPF_USES_DST | BPF_WRITES_DST, false, "neg"},

    /* The source bit names the byte order; the width is imm. */
    [CLASS_ALU | 0xd0] = {BPF_OP_LE, 64, USES_ALU_IMM, false, "le"},
    [CLASS_ALU | SOURCE_REG | 0xd0] = {BPF_OP_BE, 64, USES_ALU_IMM, false, "be"},
    [CLASS_ALU64 | 0xd0] = {BPF_OP_SWAP, 64, USES_ALU_IMM, false, "bswap"},

    [CLASS_JMP] = {BPF_OP_JA, 64, BPF_USES_OFF, false, "ja"},
    [CLASS_JMP32] = {BPF_OP_JA, 32, BPF_USES_IMM, false, "ja"},
    JUMP(0x10, JEQ, "jeq"),
    JUMP(0x20, JGT, "jgt"),
    JUMP(0x30, JGE, "jge"),
    JUMP(0x40, JSET, "jset"),
    JUMP(0x50, JNE, "jne"),
    JUMP(0x60, JSGT, "jsgt"),
    JUMP(0x70, JSGE, "jsge"),
    JUMP(0xa0, JLT, "jlt"),
    JUMP(0xb0, JLE, "jle"),
    JUMP(0xc0, JSLT, "jslt"),
    JUMP(0xd0, JSLE, "jsle"),
    [CLASS_JMP | 0x80] = {BPF_OP_CALL, 64, BPF_USES_SRC | BPF_USES_IMM, false, "call"},
    [CLASS_JMP | SOURCE_REG | 0x80] = {BPF_OP_CALLX, 64, BPF_USES_DST, true, "callx"},
    [CLASS_JMP | 0x90] = {BPF_OP_EXIT, 64, 0, false, "exit"},

    [CLASS_LD | MODE_IMM | WIDTH_64] = {BPF_OP_LDDW, 64, USES_ALU_IMM, false, "lddw"},
    MEMORY(WIDTH_8, 8),
    MEMORY(WIDTH_16, 16),
    MEMORY(WIDTH_32, 32),
    MEMORY(WIDTH_64, 64),
    LOAD_SIGNED(WIDTH_8, 8),
    LOAD_SIGNED(WIDTH_16, 16),
    LOAD_SIGNED(WIDTH_32, 32),
    ATOMIC(WIDTH_32, 32),
    ATOMIC(WIDTH_64, 64),
};
