/* cases_memory_test: loads, stores and atomic operations (RFC 9669 section 5), and where memory
 * ends (bpf/layout.h, for hosts with pages of 4096 bytes).
 */
#ifndef TARN_BPF_CASES_MEMORY_TEST_H
#define TARN_BPF_CASES_MEMORY_TEST_H

#include "bpf/cases_test.h"

#define LOADS(name, width, memory, value)                                               \
    {                                                                                   \
        "ldx " name, 0x61 | (width), 0, memory, 0xa5a5a5a5a5a5a5a5, 0, memory, value, 0 \
    }
#define SIGNED_LOADS(name, width, memory, value)                                         \
    {                                                                                    \
        "ldxs " name, 0x81 | (width), 0, memory, 0xa5a5a5a5a5a5a5a5, 0, memory, value, 0 \
    }
#define STORES_IMM(name, width, imm, memory, after)                \
    {                                                              \
        "st " name, 0x62 | (width), imm, memory, 0, 0, after, 0, 0 \
    }
#define STORES_REG(name, width, reg, memory, after)                   \
    {                                                                 \
        "stx " name, 0x63 | (width), 0, memory, reg, 0, after, reg, 0 \
    }
#define ATOMIC_ROW(name, width, operation, memory, reg, memory_after, reg_after)    \
    {                                                                               \
        name, 0xc3 | (width), operation, memory, reg, 0, memory_after, reg_after, 0 \
    }
#define CMPXCHG_ROW(name, width, memory, reg, r0, memory_after, r0_after)           \
    {                                                                               \
        name, 0xc3 | (width), CMPXCHG, memory, reg, r0, memory_after, reg, r0_after \
    }

static const struct bpf_access_row bpf_access_rows[] = {
    LOADS("b", B, 0x8877665544332211, 0x11),
    LOADS("b", B, 0x11223344556677ff, 0xff),
    LOADS("h", H, 0x8877665544332211, 0x2211),
    LOADS("h", H, 0x112233445566ff80, 0xff80),
    LOADS("w", W, 0x8877665544332211, 0x44332211),
    LOADS("w", W, 0x11223344ffeeddcc, 0xffeeddcc),
    LOADS("dw", DW, 0x8877665544332211, 0x8877665544332211),
    SIGNED_LOADS("b", B, 0x8877665544332211, 0x11),
    SIGNED_LOADS("b", B, 0x7f, 0x7f),
    SIGNED_LOADS("b", B, 0x80, 0xffffffffffffff80),
    SIGNED_LOADS("b", B, 0x11223344556677ff, 0xffffffffffffffff),
    SIGNED_LOADS("h", H, 0x8877665544332211, 0x2211),
    SIGNED_LOADS("h", H, 0x7fff, 0x7fff),
    SIGNED_LOADS("h", H, 0x8000, 0xffffffffffff8000),
    SIGNED_LOADS("w", W, 0x8877665544332211, 0x44332211),
    SIGNED_LOADS("w", W, 0x7fffffff, 0x7fffffff),
    SIGNED_LOADS("w", W, 0x80000000, 0xffffffff80000000),

    STORES_IMM("b", B, 0x5a, 0x8877665544332211, 0x887766554433225a),
    STORES_IMM("b", B, -1, 0x8877665544332211, 0x88776655443322ff),
    STORES_IMM("b", B, 0x12345678, 0x8877665544332211, 0x8877665544332278),
    STORES_IMM("h", H, 0x5a5a, 0x8877665544332211, 0x8877665544335a5a),
    STORES_IMM("h", H, -2, 0x8877665544332211, 0x887766554433fffe),
    STORES_IMM("h", H, 0x12345678, 0x8877665544332211, 0x8877665544335678),
    STORES_IMM("w", W, 0x12345678, 0x8877665544332211, 0x8877665512345678),
    STORES_IMM("w", W, INT32_MIN, 0x8877665544332211, 0x8877665580000000),
    STORES_IMM("dw", DW, 0x12345678, 0x8877665544332211, 0x12345678),
    STORES_IMM("dw", DW, -2, 0x8877665544332211, 0xfffffffffffffffe),
    STORES_IMM("dw", DW, INT32_MIN, 0x8877665544332211, 0xffffffff80000000),
    STORES_REG("b", B, 0x123456789abcdef0, 0x8877665544332211, 0x88776655443322f0),
    STORES_REG("h", H, 0x123456789abcdef0, 0x8877665544332211, 0x887766554433def0),
    STORES_REG("w", W, 0x123456789abcdef0, 0x8877665544332211, 0x887766559abcdef0),
    STORES_REG("dw", DW, 0x123456789abcdef0, 0x8877665544332211, 0x123456789abcdef0),

    ATOMIC_ROW("add 64", DW, ADD, 0x1111111111111111, 0x2222222222222222, 0x3333333333333333,
               0x2222222222222222),
    ATOMIC_ROW("add 64, around", DW, ADD, 0xffffffffffffffff, 2, 1, 2),
    ATOMIC_ROW("add 32", W, ADD, 0x1111111111111111, 0x2222222222222222, 0x1111111133333333,
               0x2222222222222222),
    ATOMIC_ROW("add 32, around", W, ADD, 0xaaaaaaaaffffffff, 0x5500000002, 0xaaaaaaaa00000001,
               0x5500000002),
    ATOMIC_ROW("or 64", DW, OR, 0x1010101010101010, 0x0101010101010101, 0x1111111111111111,
               0x0101010101010101),
    ATOMIC_ROW("or 32", W, OR, 0x1010101010101010, 0x0101010101010101, 0x1010101011111111,
               0x0101010101010101),
    ATOMIC_ROW("and 64", DW, AND, 0x123456789abcdef0, 0xff00ff00ff00ff00, 0x120056009a00de00,
               0xff00ff00ff00ff00),
    ATOMIC_ROW("and 32", W, AND, 0x123456789abcdef0, 0xff00ff00ff00ff00, 0x123456789a00de00,
               0xff00ff00ff00ff00),
    ATOMIC_ROW("xor 64", DW, XOR, 0x123456789abcdef0, 0xffffffffffffffff, 0xedcba9876543210f,
               0xffffffffffffffff),
    ATOMIC_ROW("xor 32", W, XOR, 0x123456789abcdef0, 0xffffffffffffffff, 0x123456786543210f,
               0xffffffffffffffff),
    ATOMIC_ROW("fetch add 64", DW, ADD | FETCH, 0x1111111111111111, 0x2222222222222222,
               0x3333333333333333, 0x1111111111111111),
    ATOMIC_ROW("fetch add 32", W, ADD | FETCH, 0x99999999fffffffe, 0x2222222200000003,
               0x9999999900000001, 0xfffffffe),
    ATOMIC_ROW("fetch or 64", DW, OR | FETCH, 0x1010101010101010, 0x0101010101010101,
               0x1111111111111111, 0x1010101010101010),
    ATOMIC_ROW("fetch or 32", W, OR | FETCH, 0x1010101090101010, 0x0101010101010101,
               0x1010101091111111, 0x90101010),
    ATOMIC_ROW("fetch and 64", DW, AND | FETCH, 0x123456789abcdef0, 0xff00ff00ff00ff00,
               0x120056009a00de00, 0x123456789abcdef0),
    ATOMIC_ROW("fetch and 32", W, AND | FETCH, 0x123456789abcdef0, 0xff00ff00ff00ff00,
               0x123456789a00de00, 0x9abcdef0),
    ATOMIC_ROW("fetch xor 64", DW, XOR | FETCH, 0x123456789abcdef0, 0xffffffffffffffff,
               0xedcba9876543210f, 0x123456789abcdef0),
    ATOMIC_ROW("fetch xor 32", W, XOR | FETCH, 0x123456789abcdef0, 0xffffffffffffffff,
               0x123456786543210f, 0x9abcdef0),
    ATOMIC_ROW("xchg 64", DW, XCHG, 0x123456789abcdef0, 0x1111111122222222, 0x1111111122222222,
               0x123456789abcdef0),
    ATOMIC_ROW("xchg 32", W, XCHG, 0x123456789abcdef0, 0x1111111122222222, 0x1234567822222222,
               0x9abcdef0),
    CMPXCHG_ROW("cmpxchg 64, equal", DW, 0x123456789abcdef0, 7, 0x123456789abcdef0, 7,
                0x123456789abcdef0),
    CMPXCHG_ROW("cmpxchg 64, other", DW, 0x123456789abcdef0, 7, 0x9abcdef0, 0x123456789abcdef0,
                0x123456789abcdef0),
    CMPXCHG_ROW("cmpxchg 32, equal", W, 0x123456789abcdef0, 0x500000007, 0x9abcdef0,
                0x1234567800000007, 0x9abcdef0),
    CMPXCHG_ROW("cmpxchg 32, equal in the lower half", W, 0x123456789abcdef0, 0x500000007,
                0x777777779abcdef0, 0x1234567800000007, 0x9abcdef0),
    CMPXCHG_ROW("cmpxchg 32, other", W, 0x123456789abcdef0, 0x500000007, 0x123456789abcdef1,
                0x123456789abcdef0, 0x9abcdef0),
};

/* One access, given base and displacement. */
#define LDX_B(base, off) LDX(B, R6, base, off)
#define LDX_H(base, off) LDX(H, R6, base, off)
#define LDX_W(base, off) LDX(W, R6, base, off)
#define LDX_DW(base, off) LDX(DW, R6, base, off)
#define LDXS_B(base, off) LDXS(B, R6, base, off)
#define LDXS_H(base, off) LDXS(H, R6, base, off)
#define LDXS_W(base, off) LDXS(W, R6, base, off)
#define ST_B(base, off) ST(B, base, off, 0x5a)
#define ST_H(base, off) ST(H, base, off, 0x5a)
#define ST_W(base, off) ST(W, base, off, 0x5a)
#define ST_DW(base, off) ST(DW, base, off, 0x5a)
#define STX_B(base, off) STX(B, base, off, R4)
#define STX_H(base, off) STX(H, base, off, R4)
#define STX_W(base, off) STX(W, base, off, R4)
#define STX_DW(base, off) STX(DW, base, off, R4)
#define ADD_W(base, off) ATOMIC(W, ADD, base, off, R4)
#define ADD_DW(base, off) ATOMIC(DW, ADD, base, off, R4)
#define FETCH_AND_W(base, off) ATOMIC(W, AND | FETCH, base, off, R4)
#define FETCH_OR_DW(base, off) ATOMIC(DW, OR | FETCH, base, off, R4)
#define XCHG_W(base, off) ATOMIC(W, XCHG, base, off, R4)
#define XCHG_DW(base, off) ATOMIC(DW, XCHG, base, off, R4)
#define CMPXCHG_W(base, off) ATOMIC(W, CMPXCHG, base, off, R4)
#define CMPXCHG_DW(base, off) ATOMIC(DW, CMPXCHG, base, off, R4)

#define SOME BYTES("0123456789abcdef")

/* It works. */
#define WORKS(what, ...) \
    {.name = what, .memory = SOME, PROGRAM(__VA_ARGS__, MOV_I(R0, 1), EXIT), RESULT(1)},
/* It does not, and it is the third instruction. */
#define FAILS(what, ...) \
    {.name = what, .memory = SOME, PROGRAM(__VA_ARGS__, EXIT), TRAP(ACCESS, 2)},

/* At the ends of data, of the stack with the arguments behind it, and anywhere else. */
#define AT_ENDS(name, len, DO)                                                            \
    WORKS(name ": last of data", DO(R3, -(len)))                                          \
    WORKS(name ": first of the stack", LDDW(R8, 0x10000), DO(R8, 0))                      \
    WORKS(name ": last of the stack", DO(R10, -(len)))                                    \
    WORKS(name ": from the stack to the arguments", DO(R10, 1 - (len)))                   \
    WORKS(name ": last of the arguments", DO(R10, 4096 - (len)))                          \
    FAILS(name ": one over the end of data", LDDW(R0, 1), DO(R3, 1 - (len)))              \
    FAILS(name ": behind data", LDDW(R0, 1), DO(R3, 0))                                   \
    FAILS(name ": one before data", LDDW(R0, 1), DO(R1, -1))                              \
    FAILS(name ": one before the stack", LDDW(R8, 0x10000), DO(R8, -1))                   \
    FAILS(name ": one over the end of the arguments", LDDW(R0, 1), DO(R10, 4097 - (len))) \
    FAILS(name ": null", LDDW(R8, 0), DO(R8, 0))                                          \
    FAILS(name ": below null", LDDW(R8, 0), DO(R8, -1))                                   \
    FAILS(name ": last address", LDDW(R8, 0xffffffff), DO(R8, 0))                         \
    FAILS(name ": behind the last address", LDDW(R8, 0xffffffff), DO(R8, 32767))

/* With 64 KiB of constants, data begins where they end. */
#define CONSTANTS(length) .ro = BYTES("constants"), .ro_len = (length)
#define READS_CONSTANTS(what, len, DO)                                                       \
    {.name = what ": constants", CONSTANTS(9), PROGRAM(LDDW(R8, 0x20000), DO(R8, 0), EXIT)}, \
        {.name = what ": behind constants in their page",                                    \
         CONSTANTS(9),                                                                       \
         PROGRAM(LDDW(R8, 0x21000), DO(R8, -(len)), MOV_R(R0, R6), EXIT)},                   \
        {.name = what ": one over the end of constants",                                     \
         CONSTANTS(9),                                                                       \
         PROGRAM(LDDW(R8, 0x21000), DO(R8, 1 - (len)), EXIT),                                \
         TRAP(ACCESS, 2)},                                                                   \
        {.name = what ": from constants to data",                                            \
         CONSTANTS(0x10000),                                                                 \
         .memory = SOME,                                                                     \
         PROGRAM(DO(R1, 1 - (len)), EXIT)},
#define WRITES_CONSTANTS(what, len, DO)                    \
    {.name = what ": to constants",                        \
     CONSTANTS(9),                                         \
     PROGRAM(LDDW(R8, 0x20000), DO(R8, 0), EXIT),          \
     TRAP(ACCESS, 2)},                                     \
        {.name = what ": to the page of constants",        \
         CONSTANTS(9),                                     \
         PROGRAM(LDDW(R8, 0x21000), DO(R8, -(len)), EXIT), \
         TRAP(ACCESS, 2)},                                 \
        {.name = what ": to constants and data",           \
         CONSTANTS(0x10000),                               \
         .memory = SOME,                                   \
         PROGRAM(DO(R1, -1), EXIT),                        \
         TRAP(ACCESS, 0)},

/* 8 bytes at any place around the end of a page, put there and read again byte by byte. */
#define OVER_PAGES(at)                                                                     \
    {.name = "8 bytes at " #at " of two pages",                                            \
     .memory = SOME,                                                                       \
     .memory_len = 8192,                                                                   \
     PROGRAM(LDDW(R6, 0x8877665544332211), STX(DW, R1, at, R6), LDX(B, R0, R1, (at) + 7),  \
             ALU64_I(LSH, R0, 8), LDX(B, R7, R1, (at) + 4), ALU64_R(OR, R0, R7),           \
             ALU64_I(LSH, R0, 16), LDX(H, R7, R1, (at) + 1), ALU64_R(OR, R0, R7),          \
             LDX(DW, R7, R1, at), JMP_R(JEQ, R7, R6, 1), MOV_I(R0, 0), EXIT),              \
     RESULT(0x88553322)},                                                                  \
        {.name = "4 bytes at " #at " of two pages",                                        \
         .memory = SOME,                                                                   \
         .memory_len = 8192,                                                               \
         PROGRAM(LDDW(R6, 0x88776655), STX(W, R1, at, R6), LDXS(W, R0, R1, at), EXIT),     \
         RESULT(0xffffffff88776655)},                                                      \
        {.name = "fetched at " #at " of two pages",                                        \
         .memory = SOME,                                                                   \
         .memory_len = 8192,                                                               \
         PROGRAM(ST(DW, R1, at, 77), MOV_I(R6, 1000), ATOMIC(DW, ADD | FETCH, R1, at, R6), \
                 LDX(DW, R0, R1, at), ALU64_R(SUB, R0, R6), EXIT),                         \
         RESULT(1000)},

/* clang-format off */
static const struct bpf_case bpf_memory_cases[] = {
    AT_ENDS("ldx b", 1, LDX_B) AT_ENDS("ldx h", 2, LDX_H) AT_ENDS("ldx w", 4, LDX_W)
    AT_ENDS("ldx dw", 8, LDX_DW) AT_ENDS("ldxs b", 1, LDXS_B) AT_ENDS("ldxs h", 2, LDXS_H)
    AT_ENDS("ldxs w", 4, LDXS_W) AT_ENDS("st b", 1, ST_B) AT_ENDS("st h", 2, ST_H)
    AT_ENDS("st w", 4, ST_W) AT_ENDS("st dw", 8, ST_DW) AT_ENDS("stx b", 1, STX_B)
    AT_ENDS("stx h", 2, STX_H) AT_ENDS("stx w", 4, STX_W) AT_ENDS("stx dw", 8, STX_DW)
    AT_ENDS("add 32", 4, ADD_W) AT_ENDS("add 64", 8, ADD_DW)
    AT_ENDS("fetch and 32", 4, FETCH_AND_W) AT_ENDS("fetch or 64", 8, FETCH_OR_DW)
    AT_ENDS("xchg 32", 4, XCHG_W) AT_ENDS("xchg 64", 8, XCHG_DW)
    AT_ENDS("cmpxchg 32", 4, CMPXCHG_W) AT_ENDS("cmpxchg 64", 8, CMPXCHG_DW)

    READS_CONSTANTS("ldx b", 1, LDX_B) READS_CONSTANTS("ldx h", 2, LDX_H)
    READS_CONSTANTS("ldx w", 4, LDX_W) READS_CONSTANTS("ldx dw", 8, LDX_DW)
    READS_CONSTANTS("ldxs b", 1, LDXS_B) READS_CONSTANTS("ldxs h", 2, LDXS_H)
    READS_CONSTANTS("ldxs w", 4, LDXS_W)
    WRITES_CONSTANTS("st b", 1, ST_B) WRITES_CONSTANTS("st h", 2, ST_H)
    WRITES_CONSTANTS("st w", 4, ST_W) WRITES_CONSTANTS("st dw", 8, ST_DW)
    WRITES_CONSTANTS("stx b", 1, STX_B) WRITES_CONSTANTS("stx h", 2, STX_H)
    WRITES_CONSTANTS("stx w", 4, STX_W) WRITES_CONSTANTS("stx dw", 8, STX_DW)
    WRITES_CONSTANTS("add 32", 4, ADD_W) WRITES_CONSTANTS("add 64", 8, ADD_DW)
    WRITES_CONSTANTS("fetch and 32", 4, FETCH_AND_W) WRITES_CONSTANTS("fetch or 64", 8, FETCH_OR_DW)
    WRITES_CONSTANTS("xchg 32", 4, XCHG_W) WRITES_CONSTANTS("xchg 64", 8, XCHG_DW)
    WRITES_CONSTANTS("cmpxchg 32", 4, CMPXCHG_W) WRITES_CONSTANTS("cmpxchg 64", 8, CMPXCHG_DW)

    OVER_PAGES(4088) OVER_PAGES(4089) OVER_PAGES(4090) OVER_PAGES(4091) OVER_PAGES(4092)
    OVER_PAGES(4093) OVER_PAGES(4094) OVER_PAGES(4095) OVER_PAGES(4096)
};
/* clang-format on */

static const struct bpf_case bpf_memory_written_cases[] = {
    {
        .name = "constants are read",
        CONSTANTS(9),
        PROGRAM(LDDW(R8, 0x20000), LDX(DW, R0, R8, 1), EXIT),
        RESULT(0x73746e6174736e6f), /* "onstants" */
    },
    {
        .name = "from constants to data where they touch",
        .ro = BYTES("constants"),
        .ro_len = 0x10000,
        .memory = SOME,
        PROGRAM(LDX(DW, R0, R1, -4), EXIT),
        RESULT(0x3332313000000000),
    },
    {
        .name = "data is stored to",
        .memory = SOME,
        .after = BYTES("Z123\x01\x02\x03\x04"),
        PROGRAM(ST(B, R1, 0, 'Z'), ST(W, R1, 4, 0x04030201), MOV_I(R0, 0), EXIT),
    },
    {
        .name = "unaligned stores overlap",
        .memory = BYTES("................"),
        .after = BYTES(".AAADDBBBBBCCCC."),
        PROGRAM(LDDW(R6, 0x4141414141414141), STX(DW, R1, 1, R6), LDDW(R6, 0x4242424242424242),
                STX(DW, R1, 6, R6), STX(DW, R1, 3, R6), ST(W, R1, 11, 0x43434343),
                LDDW(R6, 0x4141414141414141), STX(H, R1, 2, R6), ST(H, R1, 4, 0x4444),
                STX(B, R1, 3, R6), EXIT),
    },
    {
        .name = "an address counts by its lower half",
        .memory = SOME,
        PROGRAM(LDDW(R6, 0xdeadbeef00000000), ALU64_R(OR, R6, R1), LDX(W, R0, R6, 2), EXIT),
        RESULT(0x35343332),
    },
    {
        .name = "a negative address counts by its lower half",
        .memory = SOME,
        PROGRAM(MOV_R(R6, R1), ALU64_I(SUB, R6, 1), LDDW(R7, 0xffffffff00000000),
                ALU64_R(OR, R6, R7), LDX(W, R0, R6, 1), EXIT),
        RESULT(0x33323130),
    },
    {
        .name = "lowest displacement",
        .memory = SOME,
        PROGRAM(MOV_R(R6, R1), ALU64_I(ADD, R6, 32768), LDX(W, R0, R6, -32768), EXIT),
        RESULT(0x33323130),
    },
    {
        .name = "highest displacement",
        .memory = SOME,
        PROGRAM(MOV_R(R6, R1), ALU64_I(SUB, R6, 32767), LDX(W, R0, R6, 32767), EXIT),
        RESULT(0x33323130),
    },
    {
        .name = "lowest displacement from 0",
        PROGRAM(LDX(B, R0, R1, -32768), EXIT),
        TRAP(ACCESS, 0),
    },
    {
        .name = "a displacement does not go around",
        PROGRAM(LDDW(R6, 0xffffffff), LDX(B, R0, R6, 1), EXIT),
        TRAP(ACCESS, 2),
    },
    {
        .name = "nothing is stored by halves",
        .memory = SOME,
        PROGRAM(LDDW(R6, 0x1111111111111111), STX(DW, R1, -1, R6), EXIT),
        TRAP(ACCESS, 2),
    },
    {
        .name = "the whole stack, from the top",
        PROGRAM(ST(DW, R10, -32768, 7), ST(DW, R10, -8, 8), LDX(DW, R0, R10, -32768),
                LDX(DW, R6, R10, -8), ALU64_R(ADD, R0, R6), EXIT),
        RESULT(15),
    },
    {
        .name = "the stack is 0 at the start",
        PROGRAM(LDX(DW, R0, R10, -8), LDX(DW, R6, R10, -4096), ALU64_R(OR, R0, R6),
                LDX(DW, R6, R10, -20000), ALU64_R(OR, R0, R6), LDX(DW, R6, R10, -32768),
                ALU64_R(OR, R0, R6), EXIT),
    },
    {
        .name = "behind the arguments",
        PROGRAM(LDX(B, R0, R10, 4096), EXIT),
        TRAP(ACCESS, 0),
    },
    {
        .name = "arguments are written",
        PROGRAM(ST(W, R10, 100, 77), LDX(W, R0, R10, 100), EXIT),
        RESULT(77),
    },
    {
        .name = "a load over its own address",
        .memory = SOME,
        PROGRAM(MOV_R(R0, R1), LDX(W, R0, R0, 0), EXIT),
        RESULT(0x33323130),
    },
    {
        .name = "an address is stored at itself",
        .memory = SOME,
        .memory_len = 16,
        .after = BYTES("0123\x00\x00\x02\x00\x00\x00\x00\x00"),
        PROGRAM(STX(DW, R1, 4, R1), EXIT),
    },
    {
        .name = "add of an address at itself",
        .memory = BYTES("\x05\x00\x00\x00\x00\x00\x00\x00"),
        .after = BYTES("\x05\x00\x02\x00\x00\x00\x00\x00"),
        PROGRAM(ATOMIC(DW, ADD, R1, 0, R1), MOV_R(R0, R1), EXIT),
        RESULT(0x20000),
    },
    {
        .name = "fetch add of an address at itself",
        .memory = BYTES("\x05\x00\x00\x00\x00\x00\x00\x00"),
        .after = BYTES("\x05\x00\x02\x00\x00\x00\x00\x00"),
        PROGRAM(ATOMIC(DW, ADD | FETCH, R1, 0, R1), MOV_R(R0, R1), EXIT),
        RESULT(5),
    },
    {
        .name = "fetch xor of an address at itself, 32 bits",
        .memory = BYTES("\x05\x00\x00\x00\xff\xff\xff\xff"),
        .after = BYTES("\x05\x00\x02\x00\xff\xff\xff\xff"),
        PROGRAM(ATOMIC(W, XOR | FETCH, R1, 0, R1), MOV_R(R0, R1), EXIT),
        RESULT(5),
    },
    {
        .name = "xchg of an address with itself",
        .memory = BYTES("\x05\x00\x00\x00\x00\x00\x00\x00"),
        .after = BYTES("\x00\x00\x02\x00\x00\x00\x00\x00"),
        PROGRAM(ATOMIC(DW, XCHG, R1, 0, R1), MOV_R(R0, R1), EXIT),
        RESULT(5),
    },
    {
        .name = "cmpxchg at r0, equal",
        .memory = BYTES("\x00\x00\x02\x00\x00\x00\x00\x00"),
        .after = BYTES("\x07\x00\x00\x00\x00\x00\x00\x00"),
        PROGRAM(MOV_R(R0, R1), MOV_I(R6, 7), ATOMIC(DW, CMPXCHG, R0, 0, R6), EXIT),
        RESULT(0x20000),
    },
    {
        .name = "cmpxchg at r0, other",
        .memory = BYTES("\x01\x00\x02\x00\x00\x00\x00\x00"),
        PROGRAM(MOV_R(R0, R1), MOV_I(R6, 7), ATOMIC(DW, CMPXCHG, R0, 0, R6), EXIT),
        RESULT(0x20001),
    },
    {
        .name = "cmpxchg of r0, equal",
        .memory = BYTES("\x07\x00\x00\x00\x00\x00\x00\x00"),
        PROGRAM(MOV_I(R0, 7), ATOMIC(DW, CMPXCHG, R1, 0, R0), EXIT),
        RESULT(7),
    },
    {
        .name = "cmpxchg of r0, other",
        .memory = BYTES("\x06\x00\x00\x00\x00\x00\x00\x00"),
        PROGRAM(MOV_I(R0, 7), ATOMIC(DW, CMPXCHG, R1, 0, R0), EXIT),
        RESULT(6),
    },
    {
        .name = "cmpxchg of r0, equal in the lower half",
        .memory = BYTES("\x07\x00\x00\x00\xff\xff\xff\xff"),
        PROGRAM(LDDW(R0, 0x1100000007), ATOMIC(W, CMPXCHG, R1, 0, R0), EXIT),
        RESULT(7),
    },
    {
        .name = "cmpxchg of r0 at r0",
        .memory = BYTES("\x00\x00\x02\x00\xff\xff\xff\xff"),
        PROGRAM(MOV_R(R0, R1), ATOMIC(W, CMPXCHG, R0, 0, R0), EXIT),
        RESULT(0x20000),
    },
    {
        .name = "cmpxchg of the address, equal",
        .memory = BYTES("\x09\x00\x00\x00\x00\x00\x00\x00"),
        .after = BYTES("\x00\x00\x02\x00\x00\x00\x00\x00"),
        PROGRAM(MOV_I(R0, 9), ATOMIC(DW, CMPXCHG, R1, 0, R1), EXIT),
        RESULT(9),
    },
    {
        .name = "xchg with r0",
        .memory = BYTES("\x09\x00\x00\x00\xff\xff\xff\xff"),
        .after = BYTES("\x04\x00\x00\x00\xff\xff\xff\xff"),
        PROGRAM(LDDW(R0, 0x700000004), ATOMIC(W, XCHG, R1, 0, R0), EXIT),
        RESULT(9),
    },
    {
        .name = "atomics on the stack",
        PROGRAM(ST(DW, R10, -8, 40), MOV_I(R6, 2), ATOMIC(DW, ADD, R10, -8, R6),
                ATOMIC(DW, ADD | FETCH, R10, -8, R6), LDX(DW, R0, R10, -8), EXIT),
        RESULT(44),
    },
    {
        .name = "the stack's own address is stored",
        PROGRAM(STX(DW, R10, -8, R10), LDX(DW, R0, R10, -8), EXIT),
        RESULT(0x18000),
    },
    {
        .name = "the stack's own address is added",
        PROGRAM(ST(DW, R10, -8, 1), ATOMIC(DW, ADD, R10, -8, R10), LDX(DW, R0, R10, -8), EXIT),
        RESULT(0x18001),
    },
};

#endif
