/* cases_alu_test: arithmetic (RFC 9669 sections 4.1 and 4.2): every operation in both widths, with
 * a register and with a constant, on all pairs of numbers at which something changes.
 */
#ifndef TARN_BPF_CASES_ALU_TEST_H
#define TARN_BPF_CASES_ALU_TEST_H

#include "bpf/cases_test.h"

#define U64(x) ((uint64_t)(x))
#define U32(x) ((uint32_t)(x))
#define S64(x) ((int64_t)(x))
#define S32(x) ((int32_t)U32(x))
/* What a constant of 32 bits is to an operation of 64. */
#define AS_IMM(x) U64(S64(S32(x)))
/* A divisor that C can divide by. */
#define SAFE(x) ((x) == 0 ? 1 : (x))
#define SAFE_SIGNED(x) ((x) == 0 || (x) == -1 ? 1 : (x))

#define ADD64(a, b) (U64(a) + U64(b))
#define ADD32(a, b) U32(U32(a) + U32(b))
#define SUB64(a, b) (U64(a) - U64(b))
#define SUB32(a, b) U32(U32(a) - U32(b))
#define MUL64(a, b) (U64(a) * U64(b))
#define MUL32(a, b) U32(U32(a) * U32(b))
#define OR64(a, b) (U64(a) | U64(b))
#define OR32(a, b) (U32(a) | U32(b))
#define AND64(a, b) (U64(a) & U64(b))
#define AND32(a, b) (U32(a) & U32(b))
#define XOR64(a, b) (U64(a) ^ U64(b))
#define XOR32(a, b) (U32(a) ^ U32(b))
#define MOV64(a, b) U64(b)
#define MOV32(a, b) U32(b)
#define DIV64(a, b) (U64(b) == 0 ? 0 : U64(a) / SAFE(U64(b)))
#define DIV32(a, b) (U32(b) == 0 ? 0 : U32(a) / SAFE(U32(b)))
#define MOD64(a, b) (U64(b) == 0 ? U64(a) : U64(a) % SAFE(U64(b)))
#define MOD32(a, b) (U32(b) == 0 ? U32(a) : U32(a) % SAFE(U32(b)))
#define SDIV64(a, b) \
    (S64(b) == 0 ? 0 : S64(b) == -1 ? 0 - U64(a) : U64(S64(a) / SAFE_SIGNED(S64(b))))
#define SDIV32(a, b) \
    (S32(b) == 0 ? 0 : S32(b) == -1 ? U32(0 - U32(a)) : U32(S32(a) / SAFE_SIGNED(S32(b))))
#define SMOD64(a, b) (S64(b) == 0 ? U64(a) : U64(S64(a) % SAFE_SIGNED(S64(b))))
#define SMOD32(a, b) (S32(b) == 0 ? U32(a) : U32(S32(a) % SAFE_SIGNED(S32(b))))
#define LSH64(a, b) (U64(a) << (U64(b) % 64))
#define LSH32(a, b) U32(U32(a) << (U64(b) % 32))
#define RSH64(a, b) (U64(a) >> (U64(b) % 64))
#define RSH32(a, b) U32(U32(a) >> (U64(b) % 32))
/* From above come ones, when it is negative: zeros into its complement. */
#define ARSH64(a, b) (U64(a) >> 63 ? ~RSH64(~U64(a), b) : RSH64(a, b))
#define ARSH32(a, b) (U32(a) >> 31 ? ~RSH32(~U32(a), b) : RSH32(a, b))

/* All four forms of an operation on a and b. */
#define FORMS(name, code, off, OP, a, b)                                          \
    {name " 64 reg", 0x0f | (code), off, 0, a, b, OP##64(a, b)},                  \
        {name " 64 imm", 0x07 | (code), off, S32(b), a, 0, OP##64(a, AS_IMM(b))}, \
        {name " 32 reg", 0x0c | (code), off, 0, a, b, OP##32(a, b)},              \
        {name " 32 imm", 0x04 | (code), off, S32(b), a, 0, OP##32(a, AS_IMM(b))},

#define ADD_FORMS(a, b) FORMS("add", ADD, 0, ADD, a, b)
#define SUB_FORMS(a, b) FORMS("sub", SUB, 0, SUB, a, b)
#define MUL_FORMS(a, b) FORMS("mul", MUL, 0, MUL, a, b)
#define DIV_FORMS(a, b) FORMS("div", DIV, 0, DIV, a, b)
#define MOD_FORMS(a, b) FORMS("mod", MOD, 0, MOD, a, b)
#define SDIV_FORMS(a, b) FORMS("sdiv", DIV, 1, SDIV, a, b)
#define SMOD_FORMS(a, b) FORMS("smod", MOD, 1, SMOD, a, b)
#define OR_FORMS(a, b) FORMS("or", OR, 0, OR, a, b)
#define AND_FORMS(a, b) FORMS("and", AND, 0, AND, a, b)
#define XOR_FORMS(a, b) FORMS("xor", XOR, 0, XOR, a, b)
#define MOV_FORMS(a, b) FORMS("mov", MOV, 0, MOV, a, b)
#define LSH_FORMS(a, b) FORMS("lsh", LSH, 0, LSH, a, b)
#define RSH_FORMS(a, b) FORMS("rsh", RSH, 0, RSH, a, b)
#define ARSH_FORMS(a, b) FORMS("arsh", ARSH, 0, ARSH, a, b)

#define INT32_LOW 0xffffffff80000000 /* of 32 bits, with its sign */
#define INT64_LOW 0x8000000000000000
#define INT64_HIGH 0x7fffffffffffffff
#define MINUS(x) (0 - (uint64_t)(x))

/* clang-format off */
#define WITH(MACRO, a)                                                                            \
    MACRO(a, 0) MACRO(a, 1) MACRO(a, 2) MACRO(a, 7) MACRO(a, MINUS(1)) MACRO(a, MINUS(2))         \
    MACRO(a, MINUS(7)) MACRO(a, 0x7fffffff) MACRO(a, 0x80000000) MACRO(a, 0xffffffff)             \
    MACRO(a, INT32_LOW) MACRO(a, 0x100000000) MACRO(a, 0x1ffffffff) MACRO(a, INT64_HIGH)          \
    MACRO(a, INT64_LOW) MACRO(a, 0x0123456789abcdef) MACRO(a, 0xfedcba9800000003)

#define PAIRS(MACRO)                                                                              \
    WITH(MACRO, 0) WITH(MACRO, 1) WITH(MACRO, 2) WITH(MACRO, 7) WITH(MACRO, MINUS(1))             \
    WITH(MACRO, MINUS(2)) WITH(MACRO, MINUS(7)) WITH(MACRO, 0x7fffffff) WITH(MACRO, 0x80000000)   \
    WITH(MACRO, 0xffffffff) WITH(MACRO, INT32_LOW) WITH(MACRO, 0x100000000)                       \
    WITH(MACRO, 0x1ffffffff) WITH(MACRO, INT64_HIGH) WITH(MACRO, INT64_LOW)                       \
    WITH(MACRO, 0x0123456789abcdef) WITH(MACRO, 0xfedcba9800000003)

/* Shifted by every count at which something changes, and by itself. */
#define SHIFTED(MACRO, a)                                                                         \
    MACRO(a, 0) MACRO(a, 1) MACRO(a, 31) MACRO(a, 32) MACRO(a, 33) MACRO(a, 63) MACRO(a, 64)      \
    MACRO(a, 65) MACRO(a, 255) MACRO(a, 256) MACRO(a, MINUS(1)) MACRO(a, MINUS(31))               \
    MACRO(a, MINUS(64)) MACRO(a, 0x7fffffff) MACRO(a, INT32_LOW) MACRO(a, 0x100000001)            \
    MACRO(a, a)

#define SHIFTS(MACRO)                                                                             \
    SHIFTED(MACRO, 0) SHIFTED(MACRO, 1) SHIFTED(MACRO, 5) SHIFTED(MACRO, 31) SHIFTED(MACRO, 32)   \
    SHIFTED(MACRO, 63) SHIFTED(MACRO, MINUS(1)) SHIFTED(MACRO, 0x7fffffff)                        \
    SHIFTED(MACRO, 0x80000000) SHIFTED(MACRO, 0x80000021) SHIFTED(MACRO, INT64_LOW)               \
    SHIFTED(MACRO, INT64_HIGH) SHIFTED(MACRO, 0x8000000000000021)                                 \
    SHIFTED(MACRO, 0x0123456789abcdef) SHIFTED(MACRO, 0xfedcba9876543210)

static const struct bpf_alu_row bpf_alu_rows[] = {
    PAIRS(ADD_FORMS) PAIRS(SUB_FORMS) PAIRS(MUL_FORMS) PAIRS(DIV_FORMS) PAIRS(MOD_FORMS)
    PAIRS(SDIV_FORMS) PAIRS(SMOD_FORMS) PAIRS(OR_FORMS) PAIRS(AND_FORMS) PAIRS(XOR_FORMS)
    PAIRS(MOV_FORMS) SHIFTS(LSH_FORMS) SHIFTS(RSH_FORMS) SHIFTS(ARSH_FORMS)
};
/* clang-format on */

/* The same, and what has one operand only, with results worked out by hand. */
#define REG64(name, code, off, a, b, result)                \
    {                                                       \
        name " 64 reg", 0x0f | (code), off, 0, a, b, result \
    }
#define REG32(name, code, off, a, b, result)                \
    {                                                       \
        name " 32 reg", 0x0c | (code), off, 0, a, b, result \
    }
#define IMM64(name, code, off, a, imm, result)                \
    {                                                         \
        name " 64 imm", 0x07 | (code), off, imm, a, 0, result \
    }
#define IMM32(name, code, off, a, imm, result)                \
    {                                                         \
        name " 32 imm", 0x04 | (code), off, imm, a, 0, result \
    }
#define LE(bits, a, result)                      \
    {                                            \
        "le " #bits, 0xd4, 0, bits, a, 0, result \
    }
#define BE(bits, a, result)                      \
    {                                            \
        "be " #bits, 0xdc, 0, bits, a, 0, result \
    }
#define SWAP(bits, a, result)                       \
    {                                               \
        "bswap " #bits, 0xd7, 0, bits, a, 0, result \
    }

static const struct bpf_alu_row bpf_alu_written_rows[] = {
    /* wrap-around, and the upper half of a result of 32 bits */
    REG64("add", ADD, 0, 0xffffffffffffffff, 1, 0),
    REG32("add", ADD, 0, 0xffffffffffffffff, 1, 0),
    REG32("add", ADD, 0, 0x7fffffff, 1, 0x80000000),
    IMM64("add", ADD, 0, 0x7fffffff, 1, 0x80000000),
    IMM64("add", ADD, 0, 0, -1, 0xffffffffffffffff),
    IMM32("add", ADD, 0, 0, -1, 0xffffffff),
    IMM64("add", ADD, 0, 5, INT32_MIN, 0xffffffff80000005),
    IMM32("add", ADD, 0, 0x1234567800000005, 0, 5),
    REG64("sub", SUB, 0, 0, 1, 0xffffffffffffffff),
    REG32("sub", SUB, 0, 0, 1, 0xffffffff),
    IMM64("sub", SUB, 0, 0, INT32_MIN, 0x80000000),
    IMM32("sub", SUB, 0, 0, INT32_MIN, 0x80000000),
    REG64("mul", MUL, 0, 0x100000000, 0x100000000, 0),
    REG64("mul", MUL, 0, 0xffffffff, 0xffffffff, 0xfffffffe00000001),
    REG32("mul", MUL, 0, 0xffffffff, 0xffffffff, 1),
    IMM64("mul", MUL, 0, 3, -2, 0xfffffffffffffffa),
    IMM32("mul", MUL, 0, 3, -2, 0xfffffffa),
    IMM64("or", OR, 0, 1, INT32_MIN, 0xffffffff80000001),
    IMM32("or", OR, 0, 0xff00000001, 2, 3),
    IMM64("and", AND, 0, 0x123456789abcdef0, -16, 0x123456789abcdef0),
    IMM32("and", AND, 0, 0x123456789abcdef0, -1, 0x9abcdef0),
    IMM64("xor", XOR, 0, 0x0f0f0f0f0f0f0f0f, -1, 0xf0f0f0f0f0f0f0f0),
    IMM32("xor", XOR, 0, 0x0f0f0f0f0f0f0f0f, -1, 0xf0f0f0f0),
    IMM64("mov", MOV, 0, 9, -2, 0xfffffffffffffffe),
    IMM32("mov", MOV, 0, 9, -2, 0xfffffffe),
    REG32("mov", MOV, 0, 9, 0x123456789abcdef0, 0x9abcdef0),

    /* division: by zero 0, the remainder then dst; towards zero, the remainder has a's sign */
    REG64("div", DIV, 0, 100, 0, 0),
    REG32("div", DIV, 0, 100, 0xffffffff00000000, 0),
    IMM64("div", DIV, 0, 100, 0, 0),
    IMM32("div", DIV, 0, 0xffffffffffffffff, 0, 0),
    REG64("div", DIV, 0, 0xffffffffffffffff, 10, 0x1999999999999999),
    REG32("div", DIV, 0, 0xffffffffffffffff, 10, 0x19999999),
    IMM64("div", DIV, 0, 0xffffffffffffffff, -2, 1),
    IMM64("div", DIV, 0, 0xfffffffffffffffd, -2, 0),
    IMM32("div", DIV, 0, 0xffffffff, -2, 1),
    REG64("mod", MOD, 0, 0x500000007, 0, 0x500000007),
    REG32("mod", MOD, 0, 0x500000007, 0, 7),
    REG32("mod", MOD, 0, 0x500000007, 0x300000000, 7),
    IMM64("mod", MOD, 0, 0x500000007, 0, 0x500000007),
    IMM32("mod", MOD, 0, 0x500000007, 0, 7),
    IMM64("mod", MOD, 0, 0xffffffffffffffff, -2, 1),
    REG64("sdiv", DIV, 1, MINUS(7), 2, MINUS(3)),
    REG64("sdiv", DIV, 1, 7, MINUS(2), MINUS(3)),
    REG64("sdiv", DIV, 1, MINUS(7), MINUS(2), 3),
    REG32("sdiv", DIV, 1, 0xfffffff9, 2, 0xfffffffd),
    IMM64("sdiv", DIV, 1, MINUS(7), -2, 3),
    IMM32("sdiv", DIV, 1, 0xfffffff9, -2, 3),
    REG64("sdiv", DIV, 1, 5, 0, 0),
    REG32("sdiv", DIV, 1, MINUS(5), 0x100000000, 0),
    IMM64("sdiv", DIV, 1, MINUS(5), 0, 0),
    IMM32("sdiv", DIV, 1, MINUS(5), 0, 0),
    REG64("sdiv", DIV, 1, INT64_LOW, MINUS(1), INT64_LOW),
    IMM64("sdiv", DIV, 1, INT64_LOW, -1, INT64_LOW),
    REG32("sdiv", DIV, 1, 0x80000000, 0xffffffff, 0x80000000),
    REG32("sdiv", DIV, 1, 0x7780000000, 0x66ffffffff, 0x80000000),
    IMM32("sdiv", DIV, 1, 0x80000000, -1, 0x80000000),
    REG64("sdiv", DIV, 1, 0x80000000, MINUS(1), INT32_LOW),
    REG64("smod", MOD, 1, MINUS(7), 2, MINUS(1)),
    REG64("smod", MOD, 1, 7, MINUS(2), 1),
    REG64("smod", MOD, 1, MINUS(7), MINUS(2), MINUS(1)),
    REG32("smod", MOD, 1, 0xfffffff9, 2, 0xffffffff),
    IMM64("smod", MOD, 1, MINUS(13), 4, MINUS(1)),
    IMM32("smod", MOD, 1, MINUS(13), 4, 0xffffffff),
    REG64("smod", MOD, 1, INT64_LOW, MINUS(1), 0),
    IMM64("smod", MOD, 1, INT64_LOW, -1, 0),
    REG32("smod", MOD, 1, 0x80000000, 0xffffffff, 0),
    IMM32("smod", MOD, 1, 0x1180000000, -1, 0),
    REG64("smod", MOD, 1, MINUS(5), 0, MINUS(5)),
    REG32("smod", MOD, 1, MINUS(5), 0, 0xfffffffb),
    IMM64("smod", MOD, 1, MINUS(5), 0, MINUS(5)),
    IMM32("smod", MOD, 1, MINUS(5), 0, 0xfffffffb),

    /* shift counts are taken modulo the width */
    REG64("lsh", LSH, 0, 1, 63, INT64_LOW),
    REG64("lsh", LSH, 0, 3, 64, 3),
    REG64("lsh", LSH, 0, 3, 0x100, 3),
    REG32("lsh", LSH, 0, 1, 31, 0x80000000),
    REG32("lsh", LSH, 0, 0xff00000003, 32, 3),
    REG32("lsh", LSH, 0, 3, MINUS(1), 0x80000000),
    IMM64("lsh", LSH, 0, 1, -1, INT64_LOW),
    IMM32("lsh", LSH, 0, 1, 33, 2),
    REG64("rsh", RSH, 0, INT64_LOW, 63, 1),
    REG64("rsh", RSH, 0, MINUS(1), 65, INT64_HIGH),
    REG32("rsh", RSH, 0, MINUS(1), 31, 1),
    REG32("rsh", RSH, 0, 0xffffffff80000000, 32, 0x80000000),
    IMM64("rsh", RSH, 0, 0x8000000000000000, -1, 1),
    IMM32("rsh", RSH, 0, 0x180000000, 30, 2),
    REG64("arsh", ARSH, 0, INT64_LOW, 63, MINUS(1)),
    REG64("arsh", ARSH, 0, INT64_LOW, 64, INT64_LOW),
    REG32("arsh", ARSH, 0, 0x80000000, 31, 0xffffffff),
    REG32("arsh", ARSH, 0, 0xff00000000, 4, 0),
    REG32("arsh", ARSH, 0, 0x80000000, 32, 0x80000000),
    IMM64("arsh", ARSH, 0, MINUS(16), 2, MINUS(4)),
    IMM32("arsh", ARSH, 0, MINUS(16), 34, 0xfffffffc),
    IMM32("arsh", ARSH, 0, 0xffffffff40000000, 30, 1),

    {"neg 64", 0x87, 0, 0, 0, 0, 0},
    {"neg 64", 0x87, 0, 0, 1, 0, MINUS(1)},
    {"neg 64", 0x87, 0, 0, MINUS(5), 0, 5},
    {"neg 64", 0x87, 0, 0, INT64_LOW, 0, INT64_LOW},
    {"neg 64", 0x87, 0, 0, 0x80000000, 0, INT32_LOW},
    {"neg 32", 0x84, 0, 0, 0, 0, 0},
    {"neg 32", 0x84, 0, 0, 1, 0, 0xffffffff},
    {"neg 32", 0x84, 0, 0, MINUS(5), 0, 5},
    {"neg 32", 0x84, 0, 0, 0x1280000000, 0, 0x80000000},
    {"neg 32", 0x84, 0, 0, 0xff00000000, 0, 0},

    REG64("movsx 8", MOV, 8, 1, 0x7f, 0x7f),
    REG64("movsx 8", MOV, 8, 1, 0x123456789abcde80, 0xffffffffffffff80),
    REG64("movsx 8", MOV, 8, 1, 0xffffffffffffff00, 0),
    REG64("movsx 16", MOV, 16, 1, 0x7fff, 0x7fff),
    REG64("movsx 16", MOV, 16, 1, 0x1234567812348000, 0xffffffffffff8000),
    REG64("movsx 32", MOV, 32, 1, 0x7fffffff, 0x7fffffff),
    REG64("movsx 32", MOV, 32, 1, 0x1234567880000000, INT32_LOW),
    REG32("movsx 8", MOV, 8, MINUS(1), 0x7f, 0x7f),
    REG32("movsx 8", MOV, 8, 1, 0x123456789abcde80, 0xffffff80),
    REG32("movsx 16", MOV, 16, MINUS(1), 0x7fff, 0x7fff),
    REG32("movsx 16", MOV, 16, 1, 0x1234567812348000, 0xffff8000),
    /* by themselves */
    REG64("movsx 8", MOV, 8, 0xff, 0xff, MINUS(1)),
    REG64("movsx 16", MOV, 16, 0xffff, 0xffff, MINUS(1)),
    REG64("movsx 32", MOV, 32, 0xffffffff, 0xffffffff, MINUS(1)),
    REG32("movsx 8", MOV, 8, 0xff, 0xff, 0xffffffff),
    REG32("movsx 16", MOV, 16, 0xff0000ffff, 0xff0000ffff, 0xffffffff),

    LE(16, 0x1122334455667788, 0x7788),
    LE(32, 0x1122334455667788, 0x55667788),
    LE(64, 0x1122334455667788, 0x1122334455667788),
    LE(16, 0xffffffffffffffff, 0xffff),
    LE(32, 0xffffffffffffffff, 0xffffffff),
    BE(16, 0x1122334455667788, 0x8877),
    BE(32, 0x1122334455667788, 0x88776655),
    BE(64, 0x1122334455667788, 0x8877665544332211),
    BE(16, 0xffffffffffff00ff, 0xff00),
    BE(32, 0xffffffff000000ff, 0xff000000),
    BE(64, 0xff, 0xff00000000000000),
    SWAP(16, 0x1122334455667788, 0x8877),
    SWAP(32, 0x1122334455667788, 0x88776655),
    SWAP(64, 0x1122334455667788, 0x8877665544332211),
    SWAP(16, 0xffffffffffff00ff, 0xff00),
    SWAP(32, 0xffffffff000000ff, 0xff000000),
    SWAP(64, 0xff, 0xff00000000000000),
};

#endif
