/* cases_test: what every instruction has to do, as data, for whatever executes instructions.
 *
 * Four shapes of rows and one of whole programs. A row is an instruction or two with operands and
 * what must come out; who runs it chooses registers, distances and places, and checks that nothing
 * else changed. Expected values are written down, or are C expressions that the compiler computes:
 * no engine had a hand in them.
 *
 * Opcodes are spelled here by the numbers of RFC 9669, not by those of bpf/insn.h.
 */
#ifndef TARN_BPF_CASES_TEST_H
#define TARN_BPF_CASES_TEST_H

#include "base/str.h"
#include "bpf/insn.h"
#include "bpf/run.h"

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };

enum {
    ADD = 0x00,
    SUB = 0x10,
    MUL = 0x20,
    DIV = 0x30,
    OR = 0x40,
    AND = 0x50,
    LSH = 0x60,
    RSH = 0x70,
    NEG = 0x80,
    MOD = 0x90,
    XOR = 0xa0,
    MOV = 0xb0,
    ARSH = 0xc0,
};

enum {
    JEQ = 0x10,
    JGT = 0x20,
    JGE = 0x30,
    JSET = 0x40,
    JNE = 0x50,
    JSGT = 0x60,
    JSGE = 0x70,
    JLT = 0xa0,
    JLE = 0xb0,
    JSLT = 0xc0,
    JSLE = 0xd0,
};

enum { W = 0x00, H = 0x08, B = 0x10, DW = 0x18 }; /* widths of memory */

enum { FETCH = 0x01, XCHG = 0xe1, CMPXCHG = 0xf1 };

/* Helpers that programs here may call; engines_test_run.h has them. */
enum {
    HELPER_SUM,     /* r1 + 10 r2 + 100 r3 + 1000 r4 + 10000 r5 */
    HELPER_FILL,    /* writes r2 bytes r3 at r1; r1 */
    HELPER_TRAP,    /* ends the program */
    HELPER_WAIT,    /* waits, twice; r1 + 1 */
    HELPER_BYTES,   /* the sum of r2 bytes at r1 */
    HELPER_UNWIND,  /* r1; ends the program when that is 0. The number is that of published cases */
    HELPER_ALIGNED, /* how far its frame is from where the processor's calls want it: 0 */
    HELPER_TAKE,    /* gives r2 bytes at r1 to the test; r2 */
    HELPER_COUNT,
};
static_assert(HELPER_UNWIND == 5, "as in the published cases");

#define INSN(opcode, dst, src, off, imm) \
    {                                    \
        opcode, dst, src, off, imm       \
    }
#define ALU64_I(code, dst, imm) INSN(0x07 | (code), dst, 0, 0, imm)
#define ALU64_R(code, dst, src) INSN(0x0f | (code), dst, src, 0, 0)
#define ALU32_I(code, dst, imm) INSN(0x04 | (code), dst, 0, 0, imm)
#define ALU32_R(code, dst, src) INSN(0x0c | (code), dst, src, 0, 0)
#define MOV_I(dst, imm) ALU64_I(MOV, dst, imm)
#define MOV_R(dst, src) ALU64_R(MOV, dst, src)
#define LDDW(dst, value)                               \
    INSN(0x18, dst, 0, 0, (int32_t)(uint32_t)(value)), \
        INSN(0, 0, 0, 0, (int32_t)((uint64_t)(value) >> 32))
#define LDX(width, dst, src, off) INSN(0x61 | (width), dst, src, off, 0)
#define LDXS(width, dst, src, off) INSN(0x81 | (width), dst, src, off, 0)
#define ST(width, dst, off, imm) INSN(0x62 | (width), dst, 0, off, imm)
#define STX(width, dst, off, src) INSN(0x63 | (width), dst, src, off, 0)
#define ATOMIC(width, operation, dst, off, src) INSN(0xc3 | (width), dst, src, off, operation)
#define JMP_I(code, dst, imm, off) INSN(0x05 | (code), dst, 0, off, imm)
#define JMP_R(code, dst, src, off) INSN(0x0d | (code), dst, src, off, 0)
#define JMP32_I(code, dst, imm, off) INSN(0x06 | (code), dst, 0, off, imm)
#define JMP32_R(code, dst, src, off) INSN(0x0e | (code), dst, src, off, 0)
#define GOTO(off) INSN(0x05, 0, 0, off, 0)
#define GOTO32(distance) INSN(0x06, 0, 0, 0, distance)
#define CALL(helper) INSN(0x85, 0, 0, 0, helper)
#define CALL_LOCAL(distance) INSN(0x85, 0, 1, 0, distance)
#define CALLX(dst) INSN(0x8d, dst, 0, 0, 0)
#define EXIT INSN(0x95, 0, 0, 0, 0)

/* ALU: dst holds a, src (where there is one) b; dst holds `result` afterwards. */
struct bpf_alu_row {
    const char *name;
    uint8_t opcode;
    int16_t off;
    int32_t imm;
    uint64_t a, b, result;
};

/* A jump by a condition: dst holds a, src (where there is one) b. */
struct bpf_jump_row {
    const char *name;
    uint8_t opcode;
    int32_t imm;
    uint64_t a, b;
    bool taken;
};

/* One access to 8 bytes of memory at any address. `reg` is the register that is not the address. */
struct bpf_access_row {
    const char *name;
    uint8_t opcode;
    int32_t imm;
    uint64_t memory, reg, r0;
    uint64_t memory_after, reg_after, r0_after;
};

/* Instructions in which r0 stands for a register that holds a and then `result`, and r1 for another
 * one, which holds b. */
struct bpf_sequence_row {
    const char *name;
    struct bpf_insn insns[3]; /* up to the first that is all 0 */
    uint64_t a, b, result;
};

/* A program. At its start r1 = address of its data (0 without), r2 = its length, r3 = where the
 * pages of data end (0 without), r4 and r5 are `args`. The helpers are those of engines_test_run.h.
 */
struct bpf_case {
    const char *name;
    const struct bpf_insn *insns;
    uint32_t insn_count;
    struct str memory;   /* .data at the start */
    uint32_t memory_len; /* of data, when more: the rest is 0 */
    struct str after;    /* the first of it at the end; none given: `memory` still */
    struct str ro;       /* constants */
    uint32_t ro_len;
    uint64_t args[2];
    uint64_t fuel; /* polls; 0: plenty */
    uint64_t result;
    bool traps;
    enum bpf_trap_kind trap;
    uint32_t trap_insn;
};

#define PROGRAM(...)                                 \
    .insns = (const struct bpf_insn[]){__VA_ARGS__}, \
    .insn_count = sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn)
#define RESULT(value) .result = (uint64_t)(value)
#define TRAP(kind, insn) .traps = true, .trap = BPF_TRAP_##kind, .trap_insn = insn
#define BYTES(literal) STR_INIT(literal)

#define ROW_COUNT(table) (sizeof(table) / sizeof *(table))

#endif
