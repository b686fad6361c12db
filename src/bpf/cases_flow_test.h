/* cases_flow_test: where a program goes on: calls of functions and helpers, ends, loops, and what
 * registers hold then.
 */
#ifndef TARN_BPF_CASES_FLOW_TEST_H
#define TARN_BPF_CASES_FLOW_TEST_H

#include "bpf/cases_test.h"

/* r0 = r1 to r5, or-ed */
#define OR_ARGS                                                                   \
    MOV_R(R0, R1), ALU64_R(OR, R0, R2), ALU64_R(OR, R0, R3), ALU64_R(OR, R0, R4), \
        ALU64_R(OR, R0, R5)

/* A function that calls itself r1 more times, does what is given in the innermost one, and counts
 * how often it was left; r1 = `count` at first. */
#define RECURSION(count, ...)                                                          \
    MOV_I(R1, count), CALL_LOCAL(1), EXIT, JMP_I(JEQ, R1, 0, 4), ALU64_I(ADD, R1, -1), \
        CALL_LOCAL(-3), ALU64_I(ADD, R0, 1), EXIT, __VA_ARGS__, EXIT

#define CALLS_BY_REGISTER(reg)                                                     \
    {.name = "a helper by r" #reg,                                                 \
     PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5), \
             MOV_I(reg, HELPER_SUM), CALLX(reg), EXIT),                            \
     RESULT(reg == R1   ? 54320                                                    \
            : reg == R2 ? 54301                                                    \
            : reg == R3 ? 54021                                                    \
            : reg == R4 ? 50321                                                    \
            : reg == R5 ? 4321                                                     \
                        : 54321)},

/* A program that looks at its budget `polls` times, the last time at instruction `last`. */
#define POLLS(what, polls, last, value, ...)                                  \
    {.name = what, .fuel = (polls) + 1, PROGRAM(__VA_ARGS__), RESULT(value)}, \
        {.name = what ", out of fuel", .fuel = (polls), PROGRAM(__VA_ARGS__), TRAP(CPU, last)},

static const struct bpf_case bpf_flow_cases[] = {
    {.name = "nothing but the end", PROGRAM(EXIT)},
    {
        .name = "registers at the start",
        PROGRAM(ALU64_R(OR, R0, R6), ALU64_R(OR, R0, R7), ALU64_R(OR, R0, R8), ALU64_R(OR, R0, R9),
                EXIT),
    },
    {.name = "the stack at the start", PROGRAM(MOV_R(R0, R10), EXIT), RESULT(0x18000)},
    {
        .name = "arguments",
        .args = {0x1122334455667788, 0xffffffffffffffff},
        PROGRAM(MOV_R(R0, R4), ALU64_R(SUB, R0, R5), EXIT),
        RESULT(0x1122334455667789),
    },
    {
        .name = "data and its length",
        .memory = BYTES("0123456789"),
        PROGRAM(MOV_R(R0, R1), ALU64_R(OR, R0, R2), ALU64_R(XOR, R0, R3), EXIT),
        RESULT(0x2000a ^ 0x21000),
    },
    {
        .name = "a wide constant in every register",
        PROGRAM(LDDW(R0, 0x0102030405060708), LDDW(R1, 0xffffffff00000000),
                LDDW(R2, 0x00000000ffffffff), LDDW(R3, 0x8000000000000000),
                LDDW(R4, 0x0000000080000000), LDDW(R5, 0x7fffffffffffffff),
                LDDW(R6, 0xfedcba9876543210), LDDW(R7, 1), LDDW(R8, 0xffffffffffffffff),
                LDDW(R9, 0), ALU64_R(XOR, R0, R1), ALU64_R(XOR, R0, R2), ALU64_R(XOR, R0, R3),
                ALU64_R(XOR, R0, R4), ALU64_R(XOR, R0, R5), ALU64_R(XOR, R0, R6),
                ALU64_R(XOR, R0, R7), ALU64_R(XOR, R0, R8), ALU64_R(XOR, R0, R9), EXIT),
        RESULT(0x0102030405060708 ^ 0xffffffff00000000 ^ 0x00000000ffffffff ^ 0x8000000000000000 ^
               0x0000000080000000 ^ 0x7fffffffffffffff ^ 0xfedcba9876543210 ^ 1 ^
               0xffffffffffffffff),
    },

    /* jumps */
    {.name = "over a wide one", PROGRAM(GOTO(2), LDDW(R0, 7), EXIT)},
    {.name = "to the next", PROGRAM(GOTO(0), GOTO32(0), MOV_I(R0, 3), EXIT), RESULT(3)},
    {
        .name = "back and forth",
        PROGRAM(GOTO(3), MOV_I(R0, 4), GOTO32(3), EXIT, GOTO32(-4), EXIT, ALU64_I(ADD, R0, 1),
                GOTO(-3)),
        RESULT(5),
    },
    {
        .name = "taken to the next and not taken come to the same",
        PROGRAM(JMP_I(JEQ, R0, 0, 0), JMP_I(JNE, R0, 0, 0), JMP32_R(JSGT, R0, R10, 0), MOV_I(R0, 9),
                EXIT),
        RESULT(9),
    },
    {
        .name = "r10 in a condition",
        PROGRAM(LDDW(R6, 0x18000), JMP_R(JEQ, R10, R6, 1), EXIT, JMP_R(JGT, R10, R6, 3),
                JMP_I(JSET, R10, 0x8000, 1), EXIT, MOV_I(R0, 1), EXIT),
        RESULT(1),
    },
    {
        .name = "r10 as an operand",
        PROGRAM(MOV_I(R0, 1), ALU64_R(ADD, R0, R10), ALU32_R(SUB, R0, R10), ALU32_R(MOV, R6, R10),
                ALU64_R(MUL, R0, R6), EXIT),
        RESULT(0x18000),
    },
    {
        .name = "a loop",
        PROGRAM(MOV_I(R6, 1000), ALU64_R(ADD, R0, R6), ALU64_I(SUB, R6, 1), JMP_I(JNE, R6, 0, -3),
                EXIT),
        RESULT(500500),
    },
    {
        .name = "a condition on itself that does not hold",
        PROGRAM(JMP_I(JNE, R0, 0, -1), MOV_I(R0, 2), EXIT),
        RESULT(2),
    },

    /* loops without end */
    {.name = "itself", .fuel = 100, PROGRAM(GOTO(-1), EXIT), TRAP(CPU, 0)},
    {.name = "itself, far", .fuel = 100, PROGRAM(GOTO32(-1), EXIT), TRAP(CPU, 0)},
    {.name = "itself, always", .fuel = 100, PROGRAM(JMP_I(JEQ, R0, 0, -1), EXIT), TRAP(CPU, 0)},
    {.name = "itself, 32", .fuel = 9, PROGRAM(JMP32_R(JEQ, R0, R0, -1), EXIT), TRAP(CPU, 0)},
    {
        .name = "two jumps",
        .fuel = 100,
        PROGRAM(MOV_I(R0, 1), GOTO(1), EXIT, GOTO(-3)),
        TRAP(CPU, 3),
    },
    {
        .name = "a function again and again",
        .fuel = 100,
        PROGRAM(CALL_LOCAL(2), GOTO(-2), EXIT, MOV_I(R0, 1), EXIT),
        TRAP(CPU, 1),
    },
    {
        .name = "a function that never ends",
        .fuel = 100,
        PROGRAM(CALL_LOCAL(1), EXIT, ALU64_I(ADD, R0, 1), GOTO(-2), EXIT),
        TRAP(CPU, 3),
    },

    /* when the budget is looked at */
    {
        .name = "what goes forward needs no fuel",
        .fuel = 1,
        PROGRAM(JMP_I(JEQ, R0, 0, 1), EXIT, GOTO(0), GOTO32(1), EXIT, MOV_I(R1, 5),
                CALL(HELPER_SUM), JMP32_I(JNE, R0, 7, 0), EXIT),
        RESULT(5),
    },
    POLLS("fuel of a loop", 5, 3, 15, MOV_I(R6, 5), ALU64_R(ADD, R0, R6), ALU64_I(SUB, R6, 1),
          JMP_I(JNE, R6, 0, -3), EXIT) POLLS("fuel of a loop of 32 bits", 5, 3, 15, MOV_I(R6, 5),
                                             ALU64_R(ADD, R0, R6), ALU64_I(SUB, R6, 1),
                                             JMP32_R(JSGT, R6, R7, -3), EXIT)
        POLLS("fuel of a jump back", 1, 3, 2, GOTO(2), MOV_I(R0, 2), EXIT, GOTO(-3))
            POLLS("fuel of a far jump back", 1, 3, 2, GOTO(2), MOV_I(R0, 2), EXIT, GOTO32(-3))
                POLLS("fuel of a jump to itself that is not taken", 1, 0, 3, JMP_I(JNE, R0, 0, -1),
                      MOV_I(R0, 3), EXIT) POLLS("fuel of a function", 1, 1, 4, MOV_I(R0, 3),
                                                CALL_LOCAL(1), EXIT, ALU64_I(ADD, R0, 1), EXIT)
                    POLLS("fuel of a function with a loop", 4, 5, 7, CALL_LOCAL(1), EXIT,
                          MOV_I(R0, 10), JMP_I(JNE, R0, 10, -1), ALU64_I(SUB, R0, 1),
                          JMP_I(JSGT, R0, 8, -2), ALU64_I(SUB, R0, 1), EXIT){
                        .name = "fuel is looked at before depth",
                        .fuel = 8,
                        PROGRAM(CALL_LOCAL(-1), EXIT),
                        TRAP(CPU, 0),
                    },
    {
        .name = "depth is looked at before more fuel",
        .fuel = 9,
        PROGRAM(CALL_LOCAL(-1), EXIT),
        TRAP(CALLS, 0),
    },

    /* functions */
    {
        .name = "a function",
        PROGRAM(MOV_I(R0, 1), CALL_LOCAL(2), ALU64_I(ADD, R0, 100), EXIT, ALU64_I(ADD, R0, 10),
                EXIT),
        RESULT(111),
    },
    {
        .name = "a function further up",
        PROGRAM(GOTO(2), ALU64_I(ADD, R0, 9), EXIT, CALL_LOCAL(-3), CALL_LOCAL(-4), EXIT),
        RESULT(18),
    },
    {
        .name = "a function at the start calls again",
        PROGRAM(ALU64_I(ADD, R0, 1), JMP_I(JSGT, R0, 3, 1), CALL_LOCAL(-3), EXIT),
        RESULT(4),
    },
    {
        .name = "arguments of a function",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 4), MOV_I(R4, 8), MOV_I(R5, 16),
                CALL_LOCAL(1), EXIT, ALU64_R(ADD, R0, R1), ALU64_R(ADD, R0, R2),
                ALU64_R(ADD, R0, R3), ALU64_R(ADD, R0, R4), ALU64_R(ADD, R0, R5), EXIT),
        RESULT(31),
    },
    {
        .name = "r1 to r5 after a function are what it left",
        PROGRAM(CALL_LOCAL(6), ALU64_R(ADD, R0, R1), ALU64_R(ADD, R0, R2), ALU64_R(ADD, R0, R3),
                ALU64_R(ADD, R0, R4), ALU64_R(ADD, R0, R5), EXIT, MOV_I(R0, 0), MOV_I(R1, 1),
                MOV_I(R2, 2), MOV_I(R3, 4), MOV_I(R4, 8), MOV_I(R5, 16), EXIT),
        RESULT(31),
    },
    {
        .name = "r6 to r10 are saved",
        PROGRAM(MOV_I(R6, 1), MOV_I(R7, 2), MOV_I(R8, 4), MOV_I(R9, 8), CALL_LOCAL(6),
                MOV_R(R0, R6), ALU64_R(ADD, R0, R7), ALU64_R(ADD, R0, R8), ALU64_R(ADD, R0, R9),
                ALU64_R(ADD, R0, R10), EXIT, MOV_I(R6, 100), MOV_I(R7, 200), CALL_LOCAL(4),
                MOV_I(R8, 400), MOV_I(R9, 800), ALU64_R(ADD, R0, R6), EXIT, MOV_I(R6, 1000),
                MOV_I(R7, 2000), MOV_I(R8, 4000), MOV_I(R9, 8000), EXIT),
        RESULT(0x18000 + 15),
    },
    {
        .name = "r6 to r9 of the caller are seen",
        PROGRAM(MOV_I(R6, 1), MOV_I(R7, 2), MOV_I(R8, 4), MOV_I(R9, 8), CALL_LOCAL(1), EXIT,
                MOV_R(R0, R6), ALU64_R(ADD, R0, R7), ALU64_R(ADD, R0, R8), ALU64_R(ADD, R0, R9),
                EXIT),
        RESULT(15),
    },
    {
        .name = "r10 of a function",
        PROGRAM(CALL_LOCAL(1), EXIT, MOV_R(R0, R10), EXIT),
        RESULT(0x17000),
    },
    {
        .name = "functions have a frame each",
        PROGRAM(ST(DW, R10, -8, 1), ST(DW, R10, -4096, 2), CALL_LOCAL(4), LDX(DW, R0, R10, -8),
                LDX(DW, R6, R10, -4096), ALU64_R(ADD, R0, R6), EXIT, ST(DW, R10, -8, 10),
                ST(DW, R10, -4096, 20), EXIT),
        RESULT(3),
    },
    {
        .name = "a function writes to its caller's frame",
        PROGRAM(MOV_R(R1, R10), ALU64_I(SUB, R1, 8), CALL_LOCAL(2), LDX(DW, R0, R10, -8), EXIT,
                ST(DW, R1, 0, 55), EXIT),
        RESULT(55),
    },
    {
        .name = "below the stack from a function",
        PROGRAM(CALL_LOCAL(1), EXIT, LDX(B, R0, R10, -28672), LDX(B, R0, R10, -28673), EXIT),
        TRAP(ACCESS, 3),
    },
    {.name = "8 open", PROGRAM(RECURSION(6, MOV_I(R0, 100))), RESULT(106)},
    {.name = "9 open", PROGRAM(RECURSION(7, MOV_I(R0, 100))), TRAP(CALLS, 5)},
    {
        .name = "8 open, twice",
        PROGRAM(MOV_I(R1, 6), CALL_LOCAL(3), MOV_I(R1, 6), CALL_LOCAL(1), EXIT,
                JMP_I(JEQ, R1, 0, 3), ALU64_I(ADD, R1, -1), CALL_LOCAL(-3), ALU64_I(ADD, R0, 1),
                EXIT),
        RESULT(12),
    },
    {
        .name = "r10 of the 8th",
        PROGRAM(RECURSION(6, MOV_R(R0, R10), ST(B, R10, -4096, 1))),
        RESULT(0x11000 + 6),
    },
    {
        .name = "below the frame of the 8th",
        PROGRAM(RECURSION(6, ST(B, R10, -4097, 1))),
        TRAP(ACCESS, 8),
    },
    {.name = "no end to calls", PROGRAM(CALL_LOCAL(-1), EXIT), TRAP(CALLS, 0)},
    {
        .name = "no end to calls of each other",
        PROGRAM(CALL_LOCAL(1), EXIT, CALL_LOCAL(-3), EXIT),
        TRAP(CALLS, 2),
    },

    /* helpers */
    {
        .name = "arguments of a helper",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 3), MOV_I(R4, 4), MOV_I(R5, 5),
                CALL(HELPER_SUM), EXIT),
        RESULT(54321),
    },
    {
        .name = "a result of 64 bits",
        PROGRAM(MOV_I(R1, -1), MOV_I(R2, 0), MOV_I(R3, 0), MOV_I(R4, 0), MOV_I(R5, 0),
                CALL(HELPER_SUM), EXIT),
        RESULT(0xffffffffffffffff),
    },
    {
        .name = "r1 to r5 are 0 after a helper",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 4), MOV_I(R4, 8), MOV_I(R5, 16),
                CALL(HELPER_SUM), OR_ARGS, EXIT),
    },
    {
        .name = "r1 to r5 are 0 after a helper by register",
        PROGRAM(MOV_I(R1, 1), MOV_I(R2, 2), MOV_I(R3, 4), MOV_I(R4, 8), MOV_I(R5, 16),
                MOV_I(R9, HELPER_SUM), CALLX(R9), OR_ARGS, EXIT),
    },
    {
        .name = "r6 to r10 are kept over a helper",
        PROGRAM(LDDW(R6, 0x1111111111111111), LDDW(R7, 0x2222222222222222),
                LDDW(R8, 0x4444444444444444), LDDW(R9, 0x0888888888888888), CALL(HELPER_SUM),
                MOV_R(R0, R6), ALU64_R(ADD, R0, R7), ALU64_R(ADD, R0, R8), ALU64_R(ADD, R0, R9),
                ALU64_R(ADD, R0, R10), EXIT),
        RESULT(0x7fffffffffffffffu + 0x18000),
    },
    {
        .name = "a helper that ends the program",
        PROGRAM(MOV_I(R0, 1), CALL(HELPER_TRAP), EXIT),
        TRAP(HELPER, 1),
    },
    {
        .name = "a helper that ends the program, in a function",
        PROGRAM(MOV_I(R0, 1), CALL_LOCAL(1), EXIT, CALL(HELPER_TRAP), EXIT),
        TRAP(HELPER, 3),
    },
    {
        .name = "a helper that waits",
        PROGRAM(MOV_I(R6, 5), MOV_I(R1, 7), CALL(HELPER_WAIT), ALU64_R(ADD, R0, R6),
                ALU64_R(ADD, R0, R1), EXIT),
        RESULT(13),
    },
    {
        .name = "a helper that waits, in the 8th",
        PROGRAM(RECURSION(6, MOV_I(R1, 100), CALL(HELPER_WAIT))),
        RESULT(107),
    },
    {.name = "frames of helpers are aligned", PROGRAM(CALL(HELPER_ALIGNED), EXIT)},
    {
        .name = "frames of helpers are aligned, by register",
        PROGRAM(MOV_I(R0, HELPER_ALIGNED), CALLX(R0), EXIT),
    },
    {
        .name = "frames of helpers are aligned, in a function",
        PROGRAM(CALL_LOCAL(1), EXIT, CALL(HELPER_ALIGNED), EXIT),
    },
    {
        .name = "frames of helpers are aligned, in the 7th",
        PROGRAM(RECURSION(5, CALL(HELPER_ALIGNED))),
        RESULT(5),
    },
    {
        .name = "frames of helpers are aligned, in the 8th",
        PROGRAM(RECURSION(6, CALL(HELPER_ALIGNED))),
        RESULT(6),
    },
    CALLS_BY_REGISTER(R0) CALLS_BY_REGISTER(R1) CALLS_BY_REGISTER(R2) CALLS_BY_REGISTER(R3)
        CALLS_BY_REGISTER(R4) CALLS_BY_REGISTER(R5) CALLS_BY_REGISTER(R6) CALLS_BY_REGISTER(R7)
            CALLS_BY_REGISTER(R8) CALLS_BY_REGISTER(R9){
                .name = "a helper by register that is not there",
                PROGRAM(MOV_I(R6, HELPER_COUNT), CALLX(R6), EXIT),
                TRAP(UNKNOWN, 1),
            },
    {
        .name = "a helper by register that is not there by its upper half",
        PROGRAM(LDDW(R6, 0x100000000), CALLX(R6), EXIT),
        TRAP(UNKNOWN, 2),
    },
    {
        .name = "a helper by a negative number",
        PROGRAM(MOV_I(R6, -1), CALLX(R6), EXIT),
        TRAP(UNKNOWN, 1),
    },
    {
        .name = "a helper by the stack's address",
        PROGRAM(CALLX(R10), EXIT),
        TRAP(UNKNOWN, 0),
    },
    {
        .name = "a helper writes to data",
        .memory = BYTES("0123456789"),
        .after = BYTES("01zzzz6789"),
        PROGRAM(ALU64_I(ADD, R1, 2), MOV_I(R2, 4), MOV_I(R3, 'z'), CALL(HELPER_FILL), EXIT),
        RESULT(0x20002),
    },
    {
        .name = "a helper writes to a part of the stack that was not used",
        PROGRAM(MOV_R(R1, R10), ALU64_I(SUB, R1, 20000), MOV_I(R2, 10000), MOV_I(R3, 3),
                CALL(HELPER_FILL), MOV_R(R1, R0), MOV_I(R2, 10001), CALL(HELPER_BYTES), EXIT),
        RESULT(30000),
    },
    {
        .name = "a helper writes to a function's frame",
        PROGRAM(CALL_LOCAL(1), EXIT, MOV_R(R1, R10), ALU64_I(SUB, R1, 4), MOV_I(R2, 4),
                MOV_I(R3, 0x21), CALL(HELPER_FILL), LDX(W, R0, R10, -4), EXIT),
        RESULT(0x21212121),
    },
    {
        .name = "a helper reads constants",
        .ro = BYTES("\x01\x02\x03"),
        .ro_len = 3,
        PROGRAM(LDDW(R1, 0x20000), MOV_I(R2, 3), CALL(HELPER_BYTES), EXIT),
        RESULT(6),
    },
    {
        .name = "a helper does not write to constants",
        .ro = BYTES("\x01\x02\x03"),
        .ro_len = 3,
        PROGRAM(LDDW(R1, 0x20000), MOV_I(R2, 3), CALL(HELPER_FILL), EXIT),
        TRAP(HELPER, 3),
    },
    {
        .name = "a helper is given an address above 4 GiB",
        .memory = BYTES("0123456789"),
        PROGRAM(LDDW(R6, 0x100000000), ALU64_R(OR, R1, R6), MOV_I(R2, 3), CALL(HELPER_BYTES), EXIT),
        TRAP(HELPER, 4),
    },
};

#endif
