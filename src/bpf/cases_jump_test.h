/* cases_jump_test: conditions (RFC 9669 section 4.3): each in both widths, with a register and with
 * a constant, on all pairs of numbers at which it changes; those of 32 bits with anything above.
 */
#ifndef TARN_BPF_CASES_JUMP_TEST_H
#define TARN_BPF_CASES_JUMP_TEST_H

#include "bpf/cases_alu_test.h"

/* Whether `a` and `b`, cut to the type T, compare so; as a type that holds all of their values. */
#define COMPARED(T, a, op, b) ((__int128)(T)(a)op(__int128)(T)(b))
#define BITS_IN_COMMON(T, a, op, b) (((T)(a) & (T)(b)) != 0)

/* The numbers are int##64_t or uint##64_t, and the same of 32 bits. */
#define CONDITION(name, code, TEST, INT, op, a, b)                                        \
    {name " 64 reg", 0x0d | (code), 0, a, b, TEST(INT##64_t, a, op, b)},                  \
        {name " 64 imm", 0x05 | (code), S32(b), a, 0, TEST(INT##64_t, a, op, AS_IMM(b))}, \
        {name " 32 reg", 0x0e | (code), 0, a, b, TEST(INT##32_t, a, op, b)},              \
        {name " 32 imm", 0x06 | (code), S32(b), a, 0, TEST(INT##32_t, a, op, AS_IMM(b))},

#define JEQ_FORMS(a, b) CONDITION("jeq", JEQ, COMPARED, uint, ==, a, b)
#define JNE_FORMS(a, b) CONDITION("jne", JNE, COMPARED, uint, !=, a, b)
#define JGT_FORMS(a, b) CONDITION("jgt", JGT, COMPARED, uint, >, a, b)
#define JGE_FORMS(a, b) CONDITION("jge", JGE, COMPARED, uint, >=, a, b)
#define JLT_FORMS(a, b) CONDITION("jlt", JLT, COMPARED, uint, <, a, b)
#define JLE_FORMS(a, b) CONDITION("jle", JLE, COMPARED, uint, <=, a, b)
#define JSGT_FORMS(a, b) CONDITION("jsgt", JSGT, COMPARED, int, >, a, b)
#define JSGE_FORMS(a, b) CONDITION("jsge", JSGE, COMPARED, int, >=, a, b)
#define JSLT_FORMS(a, b) CONDITION("jslt", JSLT, COMPARED, int, <, a, b)
#define JSLE_FORMS(a, b) CONDITION("jsle", JSLE, COMPARED, int, <=, a, b)
#define JSET_FORMS(a, b) CONDITION("jset", JSET, BITS_IN_COMMON, uint, &, a, b)

/* clang-format off */
static const struct bpf_jump_row bpf_jump_rows[] = {
    PAIRS(JEQ_FORMS) PAIRS(JNE_FORMS) PAIRS(JGT_FORMS) PAIRS(JGE_FORMS) PAIRS(JLT_FORMS)
    PAIRS(JLE_FORMS) PAIRS(JSGT_FORMS) PAIRS(JSGE_FORMS) PAIRS(JSLT_FORMS) PAIRS(JSLE_FORMS)
    PAIRS(JSET_FORMS)
};
/* clang-format on */

/* The same, worked out by hand. */
static const struct bpf_jump_row bpf_jump_written_rows[] = {
    {"jeq 64 imm -1", 0x15, -1, 0xffffffff, 0, false},
    {"jeq 64 imm -1", 0x15, -1, 0xffffffffffffffff, 0, true},
    {"jeq 32 imm -1", 0x16, -1, 0xffffffff, 0, true},
    {"jeq 32 imm -1", 0x16, -1, 0x12345678ffffffff, 0, true},
    {"jeq 32 reg, garbage above", 0x1e, 0, 0x1100000005, 0x2200000005, true},
    {"jne 32 reg, garbage above", 0x5e, 0, 0x1100000005, 0x2200000005, false},
    {"jgt 32 reg, garbage above", 0x2e, 0, 0x1100000005, 0x2200000004, true},
    {"jgt 64 reg", 0x2d, 0, 0x1100000005, 0x2200000004, false},
    {"jlt 32 imm, garbage above", 0xa6, 6, 0xff00000005, 0, true},
    {"jsgt 64 reg", 0x6d, 0, 1, 0xffffffffffffffff, true},
    {"jgt 64 reg", 0x2d, 0, 1, 0xffffffffffffffff, false},
    {"jsgt 32 reg: the sign is bit 31", 0x6e, 0, 1, 0x80000000, true},
    {"jsgt 64 reg: the sign is bit 63", 0x6d, 0, 1, 0x80000000, false},
    {"jslt 32 imm, garbage above", 0xc6, 0, 0x7fffffff80000000, 0, true},
    {"jslt 64 imm, the same", 0xc5, 0, 0x7fffffff80000000, 0, false},
    {"jsge 32 imm, lowest", 0x76, INT32_MIN, 0x80000000, 0, true},
    {"jsge 64 imm, lowest", 0x75, INT32_MIN, 0xffffffff7fffffff, 0, false},
    {"jsle 64 imm, lowest", 0xd5, INT32_MIN, 0xffffffff80000000, 0, true},
    {"jge 64 imm: constants have a sign", 0x35, -1, 0xfffffffffffffffe, 0, false},
    {"jle 64 imm: constants have a sign", 0xb5, -1, 0xfffffffffffffffe, 0, true},
    {"jset 64 imm: constants have a sign", 0x45, INT32_MIN, 0x100000000, 0, true},
    {"jset 32 imm: only the lower half", 0x46, INT32_MIN, 0x100000000, 0, false},
    {"jset 64 reg: only the upper half", 0x4d, 0, 0x4000000000000000, 0x4000000000000000, true},
    {"jset 32 reg: only the upper half", 0x4e, 0, 0x4000000000000000, 0x4000000000000000, false},
    {"jset 64 reg by 0", 0x4d, 0, 0xffffffffffffffff, 0, false},
};

#endif
