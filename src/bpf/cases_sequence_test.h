/* cases_sequence_test: instructions one after the other, where a translator may make one of them,
 * or knows something of a register and makes use of it.
 */
#ifndef TARN_BPF_CASES_SEQUENCE_TEST_H
#define TARN_BPF_CASES_SEQUENCE_TEST_H

#include "bpf/cases_alu_test.h"

#define SEQUENCE(what, a, b, result, ...) {what, {__VA_ARGS__}, a, b, result},

/* To the left by n and back by m. */
#define SHIFT_PAIRS(a, n, m)                                                                  \
    SEQUENCE("lsh 64 " #n ", rsh 64 " #m, a, 9, RSH64(LSH64(a, n), m), ALU64_I(LSH, R0, n),   \
             ALU64_I(RSH, R0, m))                                                             \
    SEQUENCE("lsh 64 " #n ", arsh 64 " #m, a, 9, ARSH64(LSH64(a, n), m), ALU64_I(LSH, R0, n), \
             ALU64_I(ARSH, R0, m))                                                            \
    SEQUENCE("lsh 32 " #n ", rsh 32 " #m, a, 9, RSH32(LSH32(a, n), m), ALU32_I(LSH, R0, n),   \
             ALU32_I(RSH, R0, m))                                                             \
    SEQUENCE("lsh 32 " #n ", arsh 32 " #m, a, 9, ARSH32(LSH32(a, n), m), ALU32_I(LSH, R0, n), \
             ALU32_I(ARSH, R0, m))                                                            \
    SEQUENCE("lsh 64 " #n ", rsh 32 " #m, a, 9, RSH32(LSH64(a, n), m), ALU64_I(LSH, R0, n),   \
             ALU32_I(RSH, R0, m))                                                             \
    SEQUENCE("lsh 64 " #n ", arsh 32 " #m, a, 9, ARSH32(LSH64(a, n), m), ALU64_I(LSH, R0, n), \
             ALU32_I(ARSH, R0, m))                                                            \
    SEQUENCE("lsh 32 " #n ", rsh 64 " #m, a, 9, RSH64(LSH32(a, n), m), ALU32_I(LSH, R0, n),   \
             ALU64_I(RSH, R0, m))                                                             \
    SEQUENCE("lsh 32 " #n ", arsh 64 " #m, a, 9, ARSH64(LSH32(a, n), m), ALU32_I(LSH, R0, n), \
             ALU64_I(ARSH, R0, m))                                                            \
    SEQUENCE("rsh 64 " #n ", lsh 64 " #m, a, 9, LSH64(RSH64(a, n), m), ALU64_I(RSH, R0, n),   \
             ALU64_I(LSH, R0, m))

#define SHIFTED_BACK(a)                                                                    \
    SHIFT_PAIRS(a, 8, 8)                                                                   \
    SHIFT_PAIRS(a, 16, 16)                                                                 \
    SHIFT_PAIRS(a, 24, 24)                                                                 \
    SHIFT_PAIRS(a, 31, 31)                                                                 \
    SHIFT_PAIRS(a, 32, 32)                                                                 \
    SHIFT_PAIRS(a, 48, 48)                                                                 \
    SHIFT_PAIRS(a, 56, 56)                                                                 \
    SHIFT_PAIRS(a, -8, -8)                                                                 \
    SHIFT_PAIRS(a, 56, -8)                                                                 \
    SHIFT_PAIRS(a, 56, 48)                                                                 \
    SHIFT_PAIRS(a, 24, 56)                                                                 \
    SHIFT_PAIRS(a, 16, 24)                                                                 \
    SEQUENCE("lsh 64 56, rsh 64 56 of another", a, 0, LSH64(a, 56), ALU64_I(LSH, R0, 56),  \
             ALU64_I(RSH, R1, 56))                                                         \
    SEQUENCE("lsh 32 16, arsh 32 16 of another", a, 0, LSH32(a, 16), ALU32_I(LSH, R0, 16), \
             ALU32_I(ARSH, R1, 16))

#define ADD_FROM_IMM(b, imm)                                                                  \
    SEQUENCE("mov 64, add 64 " #imm, 9, b, U64(b) + U64(S64(imm)), MOV_R(R0, R1),             \
             ALU64_I(ADD, R0, imm))                                                           \
    SEQUENCE("mov 64, add 32 " #imm, 9, b, U32(U32(b) + U32(imm)), MOV_R(R0, R1),             \
             ALU32_I(ADD, R0, imm))                                                           \
    SEQUENCE("mov 32, add 64 " #imm, 9, b, U64(U32(b)) + U64(S64(imm)), ALU32_R(MOV, R0, R1), \
             ALU64_I(ADD, R0, imm))                                                           \
    SEQUENCE("mov 32, add 32 " #imm, 9, b, U32(U32(b) + U32(imm)), ALU32_R(MOV, R0, R1),      \
             ALU32_I(ADD, R0, imm))                                                           \
    SEQUENCE("mov 64, sub 64 " #imm, 9, b, U64(b) - U64(S64(imm)), MOV_R(R0, R1),             \
             ALU64_I(SUB, R0, imm))                                                           \
    SEQUENCE("movsx 8, add 64 " #imm, 9, b, U64((int8_t)U64(b)) + U64(S64(imm)),              \
             INSN(0xbf, R0, R1, 8, 0), ALU64_I(ADD, R0, imm))                                 \
    SEQUENCE("mov 64 " #imm ", add 64", 9, b, U64(S64(imm)) + U64(b), MOV_I(R0, imm),         \
             ALU64_R(ADD, R0, R1))                                                            \
    SEQUENCE("mov 64 " #imm ", add 32", 9, b, U32(U32(imm) + U32(b)), MOV_I(R0, imm),         \
             ALU32_R(ADD, R0, R1))                                                            \
    SEQUENCE("mov 32 " #imm ", add 64", 9, b, U64(U32(imm)) + U64(b), ALU32_I(MOV, R0, imm),  \
             ALU64_R(ADD, R0, R1))                                                            \
    SEQUENCE("mov 32 " #imm ", add 32", 9, b, U32(U32(imm) + U32(b)), ALU32_I(MOV, R0, imm),  \
             ALU32_R(ADD, R0, R1))                                                            \
    SEQUENCE("mov 64 " #imm ", add 64 to itself", 9, b, 2 * U64(S64(imm)), MOV_I(R0, imm),    \
             ALU64_R(ADD, R0, R0))                                                            \
    SEQUENCE("mov 32 " #imm ", sub 64", 9, b, U64(U32(imm)) - U64(b), ALU32_I(MOV, R0, imm),  \
             ALU64_R(SUB, R0, R1))

#define ADD_FROM(b)                                                                               \
    ADD_FROM_IMM(b, 0)                                                                            \
    ADD_FROM_IMM(b, 1)                                                                            \
    ADD_FROM_IMM(b, -1)                                                                           \
    ADD_FROM_IMM(b, 127)                                                                          \
    ADD_FROM_IMM(b, 128)                                                                          \
    ADD_FROM_IMM(b, -128)                                                                         \
    ADD_FROM_IMM(b, -129)                                                                         \
    ADD_FROM_IMM(b, INT32_MAX)                                                                    \
    ADD_FROM_IMM(b, INT32_MIN)                                                                    \
    SEQUENCE("mov 64, add 64 to itself", 9, b, 2 * U64(b), MOV_R(R0, R1), ALU64_R(ADD, R0, R0))   \
    SEQUENCE("mov 64, add 64 the same", 9, b, 2 * U64(b), MOV_R(R0, R1), ALU64_R(ADD, R0, R1))    \
    SEQUENCE("mov 32, add 64 the whole", 9, b, U64(U32(b)) + U64(b), ALU32_R(MOV, R0, R1),        \
             ALU64_R(ADD, R0, R1))                                                                \
    SEQUENCE("mov 32, add 64 to itself", 9, b, 2 * U64(U32(b)), ALU32_R(MOV, R0, R1),             \
             ALU64_R(ADD, R0, R0))                                                                \
    SEQUENCE("mov 64, add 32 to itself", 9, b, U32(2 * U32(b)), MOV_R(R0, R1),                    \
             ALU32_R(ADD, R0, R0))                                                                \
    SEQUENCE("lddw, add 64", 9, b, 0x123456789abcdef0 + U64(b), LDDW(R0, 0x123456789abcdef0),     \
             ALU64_R(ADD, R0, R1))                                                                \
    SEQUENCE("lddw, add 32", 9, b, U32(0x9abcdef0 + U32(b)), LDDW(R0, 0x123456789abcdef0),        \
             ALU32_R(ADD, R0, R1))                                                                \
    SEQUENCE("lddw of 32 bits, add 64", 9, b, 0x80000000 + U64(b), LDDW(R0, 0x80000000),          \
             ALU64_R(ADD, R0, R1))                                                                \
    SEQUENCE("lddw of 31 bits, add 64", 9, b, 0x7fffffff + U64(b), LDDW(R0, 0x7fffffff),          \
             ALU64_R(ADD, R0, R1))                                                                \
    SEQUENCE("lddw, negative, add 64", 9, b, U64(b) - 2, LDDW(R0, -2), ALU64_R(ADD, R0, R1))      \
    SEQUENCE("add 32, add 64", 5, b, U64(U32(5 + U32(b))) + U64(b), ALU32_R(ADD, R0, R1),         \
             ALU64_R(ADD, R0, R1))                                                                \
    SEQUENCE("mov 32 to itself, sub 64", b, 1, U64(U32(b)) - 1, ALU32_R(MOV, R0, R0),             \
             ALU64_R(SUB, R0, R1))                                                                \
    SEQUENCE("mov 32, neg 64", 9, b, 0 - U64(U32(b)), ALU32_R(MOV, R0, R1),                       \
             INSN(0x87, R0, 0, 0, 0))                                                             \
    SEQUENCE("mov 32, xor 64 -1", 9, b, ~U64(U32(b)), ALU32_R(MOV, R0, R1), ALU64_I(XOR, R0, -1)) \
    SEQUENCE("mov 32, or 64 -2", 9, b, U64(U32(b)) | -2ull, ALU32_R(MOV, R0, R1),                 \
             ALU64_I(OR, R0, -2))                                                                 \
    SEQUENCE("mov 32, and 64 -2", 9, b, U64(U32(b)) & -2ull, ALU32_R(MOV, R0, R1),                \
             ALU64_I(AND, R0, -2))                                                                \
    SEQUENCE("mov 32, mul 64", 9, b, U64(U32(b)) * U64(b), ALU32_R(MOV, R0, R1),                  \
             ALU64_R(MUL, R0, R1))                                                                \
    SEQUENCE("mov 32, arsh 64 1", 9, b, U64(U32(b)) >> 1, ALU32_R(MOV, R0, R1),                   \
             ALU64_I(ARSH, R0, 1))                                                                \
    SEQUENCE("and 64, div 64", b, 7, (U64(b) & 0xffff) / 7, ALU64_I(AND, R0, 0xffff),             \
             ALU64_R(DIV, R0, R1))                                                                \
    SEQUENCE("and 64, le 32", b, 7, U64(b) & 0x7ffffff0, ALU64_I(AND, R0, 0x7ffffff0),            \
             INSN(0xd4, R0, 0, 0, 32))                                                            \
    SEQUENCE("rsh 64, le 32", b, 7, (U64(b) >> 31) & 0xffffffff, ALU64_I(RSH, R0, 31),            \
             INSN(0xd4, R0, 0, 0, 32))                                                            \
    SEQUENCE("rsh 64, mov 32", b, 7, (U64(b) >> 31) & 0xffffffff, ALU64_I(RSH, R0, 31),           \
             ALU32_R(MOV, R0, R0))                                                                \
    SEQUENCE("bswap 32, bswap 64", b, 7, __builtin_bswap64(__builtin_bswap32(U32(b))),            \
             INSN(0xd7, R0, 0, 0, 32), INSN(0xd7, R0, 0, 0, 64))

/* clang-format off */
static const struct bpf_sequence_row bpf_sequence_rows[] = {
    SHIFTED_BACK(0) SHIFTED_BACK(0x7f) SHIFTED_BACK(0x80) SHIFTED_BACK(0x8000)
    SHIFTED_BACK(0x80000000) SHIFTED_BACK(0x123456789abcdef0) SHIFTED_BACK(0xfedcba9876543210)
    ADD_FROM(0) ADD_FROM(1) ADD_FROM(0x7fffffff) ADD_FROM(0x80000000) ADD_FROM(0xffffffff)
    ADD_FROM(0x100000001) ADD_FROM(INT64_HIGH) ADD_FROM(INT64_LOW) ADD_FROM(0xfedcba98fffffff0)
};
/* clang-format on */

/* Loads whose bytes are swapped next. */
#define LOADED_AND_SWAPPED(width, how, opcode, bits, expected)                               \
    {.name = "ldx " #width ", " how " " #bits,                                               \
     .memory = BYTES("\x11\x22\x33\x44\x55\x66\x77\x88"),                                    \
     PROGRAM(LDX(width, R0, R1, 0), INSN(opcode, R0, 0, 0, bits), EXIT),                     \
     RESULT(expected)},                                                                      \
        {.name = "ldx " #width " over its address, " how " " #bits,                          \
         .memory = BYTES("\x11\x22\x33\x44\x55\x66\x77\x88"),                                \
         PROGRAM(LDX(width, R1, R1, 0), INSN(opcode, R1, 0, 0, bits), MOV_R(R0, R1), EXIT),  \
         RESULT(expected)},                                                                  \
        {.name = "ldx " #width ", another one is swapped, " how " " #bits,                   \
         .memory = BYTES("\x11\x22\x33\x44\x55\x66\x77\x88"),                                \
         PROGRAM(LDX(width, R6, R1, 0), INSN(opcode, R0, 0, 0, bits), MOV_R(R0, R6),         \
                 INSN(opcode, R0, 0, 0, bits), EXIT),                                        \
         RESULT(expected)},                                                                  \
        {.name = "ldx " #width ", a jump to " how " " #bits,                                 \
         .memory = BYTES("\x11\x22\x33\x44\x55\x66\x77\x88"),                                \
         PROGRAM(MOV_I(R0, 1), JMP_I(JEQ, R0, 1, 1), LDX(width, R0, R1, 0),                  \
                 INSN(opcode, R0, 0, 0, bits), JMP_I(JNE, R6, 0, 2), MOV_I(R6, 1), GOTO(-5), \
                 EXIT),                                                                      \
         RESULT(expected)},

#define SWAPPED_BY(width, b16, b32, b64)              \
    LOADED_AND_SWAPPED(width, "be", 0xdc, 16, b16)    \
    LOADED_AND_SWAPPED(width, "be", 0xdc, 32, b32)    \
    LOADED_AND_SWAPPED(width, "be", 0xdc, 64, b64)    \
    LOADED_AND_SWAPPED(width, "bswap", 0xd7, 16, b16) \
    LOADED_AND_SWAPPED(width, "bswap", 0xd7, 32, b32) \
    LOADED_AND_SWAPPED(width, "bswap", 0xd7, 64, b64)

/* r6 comes to be the address of data in its lower half, and something in its upper half, by the
 * last instruction: what was known of its operands holds no more. */
#define WIDE_ADDRESS(what, ...)                                            \
    {.name = what,                                                         \
     .memory = BYTES("A234567"),                                           \
     .args = {0x5500020000, 0x100000000},                                  \
     PROGRAM(__VA_ARGS__, LDX(B, R0, R6, 0), EXIT),                        \
     RESULT('A')},                                                         \
        {.name = what ", stored through",                                  \
         .memory = BYTES("A234567"),                                       \
         .after = BYTES("Z234567"),                                        \
         .args = {0x5500020000, 0x100000000},                              \
         PROGRAM(__VA_ARGS__, ST(B, R6, 0, 'Z'), LDX(H, R0, R6, 0), EXIT), \
         RESULT('2' << 8 | 'Z')},

/* clang-format off */
static const struct bpf_case bpf_sequence_cases[] = {
    SWAPPED_BY(B, 0x1100, 0x11000000, 0x1100000000000000)
    SWAPPED_BY(H, 0x1122, 0x11220000, 0x1122000000000000)
    SWAPPED_BY(W, 0x1122, 0x11223344, 0x1122334400000000)
    SWAPPED_BY(DW, 0x1122, 0x11223344, 0x1122334455667788)

    WIDE_ADDRESS("address by add", ALU32_I(MOV, R6, -1), MOV_I(R7, 0x20001), ALU64_R(ADD, R6, R7))
    WIDE_ADDRESS("address by add of a constant", ALU32_I(MOV, R6, -1), ALU64_I(ADD, R6, 0x20001))
    WIDE_ADDRESS("address by add, 32 bits before", ALU32_I(MOV, R6, -2), ALU32_I(ADD, R6, 1),
                 ALU64_I(ADD, R6, 0x20001))
    WIDE_ADDRESS("address by sub", MOV_I(R6, 0), LDDW(R7, 0xfffe0000), ALU64_R(SUB, R6, R7))
    WIDE_ADDRESS("address by neg", LDDW(R6, 0xfffe0000), INSN(0x87, R6, 0, 0, 0))
    WIDE_ADDRESS("address by mul", LDDW(R6, 0x80010000), ALU64_I(MUL, R6, 2))
    WIDE_ADDRESS("address by mul of a register", LDDW(R6, 0x80010000), MOV_I(R7, 2),
                 ALU64_R(MUL, R6, R7))
    WIDE_ADDRESS("address by mul of anything", MOV_R(R6, R4), MOV_R(R7, R5), ALU64_I(ADD, R7, 1),
                 ALU64_R(MUL, R6, R7))
    WIDE_ADDRESS("address by sdiv", LDDW(R6, 0xfffe0000), INSN(0x37, R6, 0, 1, -1))
    WIDE_ADDRESS("address by sdiv by a register", LDDW(R6, 0xfffe0000), MOV_I(R7, -1),
                 INSN(0x3f, R6, R7, 1, 0))
    WIDE_ADDRESS("address by div by a register", MOV_R(R6, R4), MOV_I(R7, 1), ALU64_R(DIV, R6, R7))
    WIDE_ADDRESS("address by mod by a register", MOV_R(R6, R4), MOV_I(R7, 0), ALU64_R(MOD, R6, R7))
    WIDE_ADDRESS("address by smod by a register", MOV_R(R6, R4), MOV_I(R7, 0),
                 INSN(0x9f, R6, R7, 1, 0))
    WIDE_ADDRESS("address by rsh by a register", MOV_R(R6, R4), ALU64_I(LSH, R6, 8), MOV_I(R7, 8),
                 ALU64_R(RSH, R6, R7))
    WIDE_ADDRESS("address by rsh by 0", MOV_R(R6, R4), ALU64_I(RSH, R6, 64))
    WIDE_ADDRESS("address by lsh by 64 and 1", LDDW(R6, 0x80010000), ALU64_I(LSH, R6, 65))
    WIDE_ADDRESS("address by xor of a register", MOV_I(R6, 0x20000), ALU64_R(XOR, R6, R5))
    WIDE_ADDRESS("address by add of a register", MOV_I(R6, 0x20000), ALU64_R(ADD, R6, R5))
    WIDE_ADDRESS("address by sub of a register", MOV_I(R6, 0x20000), ALU64_R(SUB, R6, R5))
    WIDE_ADDRESS("address by add to itself", LDDW(R6, 0x80010000), ALU64_R(ADD, R6, R6))
    WIDE_ADDRESS("address by mov of 32 and mov of 64 bits", ALU32_R(MOV, R7, R4), MOV_R(R6, R4))
    WIDE_ADDRESS("address by lsh", LDDW(R6, 0x80010000), ALU64_I(LSH, R6, 1))
    WIDE_ADDRESS("address by lsh of a register", LDDW(R6, 0x80010000), MOV_I(R7, 1),
                 ALU64_R(LSH, R6, R7))
    WIDE_ADDRESS("address by xor", LDDW(R6, 0xfffdffff), ALU64_I(XOR, R6, -1))
    WIDE_ADDRESS("address by or", MOV_I(R6, 0x20000), ALU64_R(OR, R6, R5))
    WIDE_ADDRESS("address by and", ALU64_I(MOV, R6, -1), ALU64_R(AND, R6, R4))
    WIDE_ADDRESS("address by mov", ALU32_I(MOV, R6, 0), MOV_R(R6, R4))
    WIDE_ADDRESS("address by a wide constant", MOV_I(R6, 0), LDDW(R6, 0x7700020000))
    WIDE_ADDRESS("address by rsh", MOV_R(R6, R4), ALU64_I(LSH, R6, 8), ALU64_I(RSH, R6, 8))
    WIDE_ADDRESS("address by arsh", MOV_R(R6, R4), ALU64_I(LSH, R6, 24), ALU64_I(ARSH, R6, 24))
    WIDE_ADDRESS("address by mod of nothing", MOV_R(R6, R4), ALU64_I(MOD, R6, 0))
    WIDE_ADDRESS("address by div", MOV_R(R6, R4), ALU64_I(DIV, R6, 1))
    WIDE_ADDRESS("address by le 64", MOV_R(R6, R4), INSN(0xd4, R6, 0, 0, 64))
    WIDE_ADDRESS("address by be 64", LDDW(R6, 0x200550000), INSN(0xdc, R6, 0, 0, 64),
                 ALU64_I(RSH, R6, 8))
    WIDE_ADDRESS("address by a load", STX(DW, R10, -8, R4), MOV_I(R6, 0), LDX(DW, R6, R10, -8))
    WIDE_ADDRESS("address by a fetch", STX(DW, R10, -8, R4), MOV_I(R6, 0),
                 ATOMIC(DW, OR | FETCH, R10, -8, R6))
    WIDE_ADDRESS("address by an exchange", STX(DW, R10, -8, R4), MOV_I(R6, 0),
                 ATOMIC(DW, XCHG, R10, -8, R6))
    WIDE_ADDRESS("address by a comparison", STX(DW, R10, -8, R4), MOV_I(R0, 0), MOV_I(R6, 0),
                 ATOMIC(DW, CMPXCHG, R10, -8, R6), MOV_R(R6, R0))
    WIDE_ADDRESS("address by a helper", MOV_R(R1, R4), MOV_I(R2, 0), MOV_I(R3, 0), MOV_I(R4, 0),
                 MOV_I(R5, 0), MOV_I(R0, 0), CALL(HELPER_SUM), MOV_R(R6, R0))
    WIDE_ADDRESS("address over a jump", MOV_R(R6, R4), JMP_I(JEQ, R0, 0, 1), MOV_I(R6, 0))
    WIDE_ADDRESS("address over a jump back", MOV_I(R6, 0), JMP_I(JNE, R0, 0, 3), MOV_I(R0, 1),
                 MOV_R(R6, R4), GOTO(-4))
};
/* clang-format on */

/* What an access knows of the one before. */
static const struct bpf_case bpf_sequence_written_cases[] = {
    {
        .name = "mov and add to the other",
        PROGRAM(MOV_I(R6, 5), MOV_R(R0, R6), ALU64_I(ADD, R6, 1), ALU64_R(MUL, R0, R6), EXIT),
        RESULT(30),
    },
    {
        .name = "mov of a constant and add to another",
        PROGRAM(MOV_I(R6, 5), MOV_I(R7, 7), MOV_I(R0, 3), ALU64_R(ADD, R7, R6),
                ALU64_R(MUL, R0, R7), EXIT),
        RESULT(36),
    },
    {
        .name = "an address that goes on",
        .memory = BYTES("0123456789abcdef"),
        .after = BYTES("wwww4567wwwwcdef"),
        PROGRAM(MOV_R(R6, R1), ST(W, R6, 0, 0x77777777), ALU64_I(ADD, R6, 8),
                ST(W, R6, 0, 0x77777777), LDX(B, R0, R6, 4), EXIT),
        RESULT('c'),
    },
    {
        .name = "more addresses than can be kept",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R6, R1), MOV_R(R7, R1), ALU64_I(ADD, R7, 2), MOV_R(R8, R1),
                ALU64_I(ADD, R8, 4), MOV_R(R9, R1), ALU64_I(ADD, R9, 6), MOV_R(R3, R1),
                ALU64_I(ADD, R3, 8), LDX(B, R0, R6, 0), LDX(B, R4, R7, 0), ALU64_R(ADD, R0, R4),
                LDX(B, R4, R8, 0), ALU64_R(ADD, R0, R4), LDX(B, R4, R9, 0), ALU64_R(ADD, R0, R4),
                LDX(B, R4, R3, 0), ALU64_R(ADD, R0, R4), LDX(B, R4, R6, 1), ALU64_R(ADD, R0, R4),
                LDX(B, R4, R7, 1), ALU64_R(ADD, R0, R4), LDX(B, R4, R8, 1), ALU64_R(ADD, R0, R4),
                LDX(B, R4, R9, 1), ALU64_R(ADD, R0, R4), LDX(B, R4, R3, 1), ALU64_R(ADD, R0, R4),
                EXIT),
        RESULT('0' * 10 + 45),
    },
    {
        .name = "a chain of addresses",
        .memory = BYTES("\x10\x00\x02\x00\xee\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
                        "\x08\x00\x02\x00\xff\xff\xff\xff"),
        .after = BYTES("\x10\x00\x02\x00\xee"),
        .memory_len = 64,
        PROGRAM(STX(DW, R1, 8, R1), LDX(DW, R1, R1, 0), LDX(DW, R1, R1, 0), LDX(DW, R1, R1, 0),
                LDX(B, R0, R1, 4), EXIT),
        RESULT(0xee),
    },
    {
        .name = "an address that a shift by a register changes",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R6, R1), ALU64_I(RSH, R6, 1), MOV_I(R7, 1), LDX(B, R8, R1, 3),
                ALU64_R(LSH, R6, R7), LDX(B, R0, R6, 5), ALU64_R(SUB, R0, R8), EXIT),
        RESULT(2),
    },
    {
        .name = "addresses over divisions and shifts",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R6, R1), MOV_R(R7, R1), ALU64_I(ADD, R7, 1), LDX(B, R8, R6, 0),
                LDX(B, R9, R7, 0), MOV_I(R0, 100), MOV_I(R3, 7), ALU64_R(DIV, R0, R3),
                ALU64_R(MOD, R3, R0), ALU64_R(LSH, R0, R3), ALU64_I(DIV, R0, 3), LDX(B, R8, R6, 2),
                LDX(B, R9, R7, 2), ALU64_R(ADD, R0, R8), ALU64_R(ADD, R0, R9), EXIT),
        /* 100 / 7 = 14; 7 % 14 = 7; 14 << 7 = 1792; / 3 = 597 */
        RESULT(597 + '2' + '3'),
    },
    {
        .name = "addresses over atomics",
        .memory = BYTES("01234567\x00\x00\x00\x00\x00\x00\x00\x00"),
        PROGRAM(MOV_R(R6, R1), MOV_R(R7, R1), ALU64_I(ADD, R7, 1), LDX(B, R0, R6, 0),
                LDX(B, R9, R7, 0), MOV_I(R8, 3), ATOMIC(DW, XOR | FETCH, R6, 8, R8),
                ATOMIC(DW, XCHG, R6, 8, R8), LDX(B, R9, R7, 2), ALU64_R(ADD, R0, R9),
                LDX(B, R9, R6, 4), ALU64_R(ADD, R0, R9), ALU64_R(ADD, R0, R8), EXIT),
        RESULT('0' + '3' + '4' + 3),
    },
    {
        .name = "an exchange takes the address",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R6, R1), LDX(B, R7, R6, 0), MOV_R(R8, R1), ALU64_I(ADD, R8, 4),
                STX(DW, R10, -8, R8), ATOMIC(DW, XCHG, R10, -8, R6), LDX(B, R0, R6, 0), EXIT),
        RESULT('4'),
    },
    {
        .name = "a comparison takes the address in r0",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R0, R1), LDX(B, R7, R0, 0), MOV_R(R8, R1), ALU64_I(ADD, R8, 4),
                STX(DW, R10, -8, R8), ATOMIC(DW, CMPXCHG, R10, -8, R6), LDX(B, R0, R0, 0), EXIT),
        RESULT('4'),
    },
    {
        .name = "addresses over a helper",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R6, R1), MOV_R(R7, R1), ALU64_I(ADD, R7, 8), LDX(B, R8, R6, 0),
                LDX(B, R8, R7, 0), CALL(HELPER_SUM), LDX(B, R0, R6, 1), LDX(B, R8, R7, 1),
                ALU64_R(ADD, R0, R8), EXIT),
        RESULT('1' + '9'),
    },
    {
        .name = "an address in r1 is none after a helper",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(LDX(B, R6, R1, 0), CALL(HELPER_SUM), LDX(B, R0, R1, 0), EXIT),
        TRAP(ACCESS, 2),
    },
    {
        .name = "addresses over a function",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R6, R1), LDX(B, R8, R6, 0), CALL_LOCAL(3), LDX(B, R0, R6, 1),
                ALU64_R(ADD, R0, R7), EXIT, ALU64_I(ADD, R6, 8), LDX(B, R7, R6, 0), EXIT),
        RESULT('1'),
    },
    {
        .name = "an address that changes in a loop",
        .memory = BYTES("0123456789abcdef"),
        PROGRAM(MOV_R(R6, R1), MOV_I(R7, 10), LDX(B, R8, R6, 0), ALU64_R(ADD, R0, R8),
                LDX(B, R9, R6, 0), ALU64_R(SUB, R0, R9), LDX(B, R9, R6, 0), ALU64_R(ADD, R0, R9),
                ALU64_I(ADD, R6, 1), ALU64_I(SUB, R7, 1), JMP_I(JNE, R7, 0, -9), EXIT),
        RESULT('0' * 10 + 45),
    },
    {
        .name = "a frame's address in a function",
        PROGRAM(ST(DW, R10, -8, 5), MOV_R(R6, R10), LDX(DW, R7, R6, -8), CALL_LOCAL(3),
                LDX(DW, R0, R6, -8), ALU64_R(ADD, R0, R7), EXIT, MOV_R(R6, R10),
                ST(DW, R6, -8, 100), LDX(DW, R7, R6, -8), EXIT),
        RESULT(10),
    },
    {
        .name = "zeros of a helper are used by everything",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5),
                CALL(HELPER_SUM), ALU64_I(ADD, R1, 1), STX(DW, R10, -8, R2), JMP_R(JNE, R3, R4, 3),
                LDX(DW, R0, R10, -8), ALU64_R(ADD, R0, R1), ALU64_R(ADD, R0, R5), EXIT),
        RESULT(1),
    },
    {
        .name = "zeros of a helper are arguments of the next",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5),
                CALL(HELPER_SUM), MOV_I(R2, 7), CALL(HELPER_SUM), EXIT),
        RESULT(70),
    },
    {
        .name = "zeros of a helper are arguments of a function",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5),
                CALL(HELPER_SUM), CALL_LOCAL(1), EXIT, MOV_I(R0, 0), ALU64_R(OR, R0, R1),
                ALU64_R(OR, R0, R2), ALU64_R(OR, R0, R3), ALU64_R(OR, R0, R4), ALU64_R(OR, R0, R5),
                EXIT),
    },
    {
        .name = "zeros of a helper in a function come back",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5), CALL_LOCAL(7),
                MOV_I(R0, 0), ALU64_R(OR, R0, R1), ALU64_R(OR, R0, R2), ALU64_R(OR, R0, R3),
                ALU64_R(OR, R0, R4), ALU64_R(OR, R0, R5), EXIT, CALL(HELPER_SUM), EXIT),
    },
};

#endif
