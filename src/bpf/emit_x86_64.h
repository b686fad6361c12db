/* emit_x86_64: the encoder of machine instructions for x86-64, those that the translator needs.
 *
 * It chooses the shortest form of what it is asked for (no REX where none is needed, constants of 8
 * bits, the short forms of rax) and nothing else: which instructions, and what they do to flags, is
 * the caller's. Widths are 32 or 64 bits; a result of 32 bits clears the upper half of its
 * register. Little-endian; Intel SDM volume 2, chapter 2 is the source.
 *
 * Bytes go to a growing buffer. emit_reserve makes room for EMIT_RESERVE bytes; the others do not
 * look, and no one of them adds more than EMIT_INSN_MAX.
 */
#ifndef TARN_BPF_EMIT_X86_64_H
#define TARN_BPF_EMIT_X86_64_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EMIT_RESERVE = 256, EMIT_INSN_MAX = 15 };

enum x86_reg {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R9,
    X86_R10,
    X86_R11,
    X86_R12,
    X86_R13,
    X86_R14,
    X86_R15,
};

/* [base + (index << scale) + disp] */
struct x86_mem {
    uint8_t base, index; /* index X86_NO_INDEX: none */
    uint8_t scale;       /* 0 to 3 */
    int32_t disp;
};
enum { X86_NO_INDEX = X86_RSP }; /* which the encoding has no place for */

enum x86_alu {
    X86_ADD = 0,
    X86_OR = 1,
    X86_AND = 4,
    X86_SUB = 5,
    X86_XOR = 6,
    X86_CMP = 7,
};

enum x86_unary {
    X86_NOT = 2,
    X86_NEG = 3,
    X86_DIV = 6,
    X86_IDIV = 7,
    X86_INC = 8,
    X86_DEC = 9,
};

enum x86_shift { X86_ROR = 1, X86_SHL = 4, X86_SHR = 5, X86_SAR = 7 };

/* The lowest bit negates. */
enum x86_cond {
    X86_BELOW = 2,
    X86_NOT_BELOW = 3,
    X86_EQUAL = 4,
    X86_NOT_EQUAL = 5,
    X86_NOT_ABOVE = 6,
    X86_ABOVE = 7,
    X86_LESS = 12,
    X86_NOT_LESS = 13,
    X86_NOT_GREATER = 14,
    X86_GREATER = 15,
    X86_ALWAYS = 16,
};

/* What not every processor has. */
enum { X86_HAS_BMI2 = 1, X86_HAS_MOVBE = 2 };
unsigned x86_features(void);
/* For tests: as if the processor had no more than these. */
void x86_features_limit(unsigned features);

struct emit {
    uint8_t *bytes; /* owned */
    uint32_t len, room;
};

/* False: no memory. */
bool emit_reserve(struct emit *emit) MUST_USE;
void emit_deinit(struct emit *emit);

void emit_byte(struct emit *emit, uint8_t byte);
void emit_32(struct emit *emit, uint32_t word);
/* Overwrites. */
void emit_patch_32(struct emit *emit, uint32_t at, uint32_t word);

void emit_mov(struct emit *emit, unsigned width, unsigned dst, unsigned src);
/* Flags are lost when `value` is 0. */
void emit_mov_imm(struct emit *emit, unsigned dst, uint64_t value);
/* `bits` (8, 16, or 32 with sign and width 64) of src. */
void emit_mov_zero_extend(struct emit *emit, unsigned bits, unsigned dst, unsigned src);
void emit_mov_sign_extend(struct emit *emit, unsigned width, unsigned bits, unsigned dst,
                          unsigned src);
void emit_lea(struct emit *emit, unsigned width, unsigned dst, struct x86_mem mem);

void emit_alu(struct emit *emit, enum x86_alu op, unsigned width, unsigned dst, unsigned src);
void emit_alu_imm(struct emit *emit, enum x86_alu op, unsigned width, unsigned dst, int32_t imm);
void emit_alu_to_mem(struct emit *emit, enum x86_alu op, unsigned width, struct x86_mem mem,
                     unsigned src);
void emit_cmp_mem_imm(struct emit *emit, struct x86_mem mem, int8_t imm); /* of 32 bits */
void emit_test(struct emit *emit, unsigned width, unsigned a, unsigned b);
/* Of the shortest width that gives the same zero flag; the other flags are lost. */
void emit_test_imm(struct emit *emit, unsigned width, unsigned reg, int32_t imm);
void emit_unary(struct emit *emit, enum x86_unary op, unsigned width, unsigned reg);
void emit_sign_to_rdx(struct emit *emit, unsigned width); /* cdq, cqo */
void emit_imul(struct emit *emit, unsigned width, unsigned dst, unsigned src);
void emit_imul_imm(struct emit *emit, unsigned width, unsigned dst, unsigned src, int32_t imm);
void emit_shift_imm(struct emit *emit, enum x86_shift op, unsigned width, unsigned reg,
                    unsigned count);
void emit_shift_cl(struct emit *emit, enum x86_shift op, unsigned width, unsigned reg);
/* These need X86_HAS_BMI2. `op` is not X86_ROR; `count` is a register. */
void emit_shift_by(struct emit *emit, enum x86_shift op, unsigned width, unsigned dst, unsigned src,
                   unsigned count);
void emit_rotate_imm(struct emit *emit, unsigned width, unsigned dst, unsigned src, unsigned count);
void emit_bswap(struct emit *emit, unsigned width, unsigned reg);
void emit_swap_16(struct emit *emit, unsigned reg); /* the lower two bytes; the others stay */

/* `bits`: 8, 16, 32, 64. Loads clear, or fill with the sign, all 64 bits of dst. */
void emit_load(struct emit *emit, unsigned bits, unsigned dst, struct x86_mem mem);
void emit_load_sign_extend(struct emit *emit, unsigned bits, unsigned dst, struct x86_mem mem);
/* 32 or 64 bits; needs X86_HAS_MOVBE. */
void emit_load_swapped(struct emit *emit, unsigned bits, unsigned dst, struct x86_mem mem);
void emit_store(struct emit *emit, unsigned bits, struct x86_mem mem, unsigned src);
void emit_store_imm(struct emit *emit, unsigned bits, struct x86_mem mem, int32_t imm);
/* Without a lock prefix. */
void emit_xadd(struct emit *emit, unsigned width, struct x86_mem mem, unsigned reg);
void emit_cmpxchg(struct emit *emit, unsigned width, struct x86_mem mem, unsigned src);

void emit_push(struct emit *emit, unsigned reg);
void emit_push_imm(struct emit *emit, int32_t imm);
void emit_pop(struct emit *emit, unsigned reg);
void emit_ret(struct emit *emit);
void emit_ret_drop(struct emit *emit, uint16_t len); /* takes so many bytes off the stack besides */
void emit_call_mem(struct emit *emit, struct x86_mem mem);

/* With a distance of 32 bits behind their last byte, 0 until it is patched. */
enum {
    EMIT_JMP_LEN = 5,
    EMIT_JCC_LEN = 6,
    EMIT_SHORT_LEN = 2, /* of either, with a distance of 8 bits */
    EMIT_CALL_LEN = 5,
    EMIT_CALL_MEM_LEN = 6,
    EMIT_LEA_LEN = 7,
};
void emit_jump_long(struct emit *emit, enum x86_cond cond);
void emit_call_long(struct emit *emit);
void emit_call_relative_mem(struct emit *emit);          /* [rip + distance] */
void emit_lea_relative(struct emit *emit, unsigned dst); /* rip + distance */
/* Within an instruction's code: a forward jump of 8 bits, to be landed. */
uint32_t emit_jump_short(struct emit *emit, enum x86_cond cond);
void emit_land(struct emit *emit, uint32_t jump);

#endif
