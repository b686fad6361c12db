#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bpf/insn.h"

#include <string.h>

/* The instructions of RFC 9669 (its appendix A) and CALLX, written out one by one, where the
 * subject builds them of parts. Fields: D dst is written, d it is read, s src, o off, i imm. */
struct row {
    uint8_t code, op, width;
    const char *name, *fields;
};

static const struct row rows[] = {
    {0x04, BPF_OP_ADD, 32, "add", "Di"},
    {0x05, BPF_OP_JA, 64, "ja", "o"},
    {0x06, BPF_OP_JA, 32, "ja", "i"},
    {0x07, BPF_OP_ADD, 64, "add", "Di"},
    {0x0c, BPF_OP_ADD, 32, "add", "Ds"},
    {0x0f, BPF_OP_ADD, 64, "add", "Ds"},
    {0x14, BPF_OP_SUB, 32, "sub", "Di"},
    {0x15, BPF_OP_JEQ, 64, "jeq", "doi"},
    {0x16, BPF_OP_JEQ, 32, "jeq", "doi"},
    {0x17, BPF_OP_SUB, 64, "sub", "Di"},
    {0x18, BPF_OP_LDDW, 64, "lddw", "Di"},
    {0x1c, BPF_OP_SUB, 32, "sub", "Ds"},
    {0x1d, BPF_OP_JEQ, 64, "jeq", "dso"},
    {0x1e, BPF_OP_JEQ, 32, "jeq", "dso"},
    {0x1f, BPF_OP_SUB, 64, "sub", "Ds"},
    {0x24, BPF_OP_MUL, 32, "mul", "Di"},
    {0x25, BPF_OP_JGT, 64, "jgt", "doi"},
    {0x26, BPF_OP_JGT, 32, "jgt", "doi"},
    {0x27, BPF_OP_MUL, 64, "mul", "Di"},
    {0x2c, BPF_OP_MUL, 32, "mul", "Ds"},
    {0x2d, BPF_OP_JGT, 64, "jgt", "dso"},
    {0x2e, BPF_OP_JGT, 32, "jgt", "dso"},
    {0x2f, BPF_OP_MUL, 64, "mul", "Ds"},
    {0x34, BPF_OP_DIV, 32, "div", "Doi"},
    {0x35, BPF_OP_JGE, 64, "jge", "doi"},
    {0x36, BPF_OP_JGE, 32, "jge", "doi"},
    {0x37, BPF_OP_DIV, 64, "div", "Doi"},
    {0x3c, BPF_OP_DIV, 32, "div", "Dso"},
    {0x3d, BPF_OP_JGE, 64, "jge", "dso"},
    {0x3e, BPF_OP_JGE, 32, "jge", "dso"},
    {0x3f, BPF_OP_DIV, 64, "div", "Dso"},
    {0x44, BPF_OP_OR, 32, "or", "Di"},
    {0x45, BPF_OP_JSET, 64, "jset", "doi"},
    {0x46, BPF_OP_JSET, 32, "jset", "doi"},
    {0x47, BPF_OP_OR, 64, "or", "Di"},
    {0x4c, BPF_OP_OR, 32, "or", "Ds"},
    {0x4d, BPF_OP_JSET, 64, "jset", "dso"},
    {0x4e, BPF_OP_JSET, 32, "jset", "dso"},
    {0x4f, BPF_OP_OR, 64, "or", "Ds"},
    {0x54, BPF_OP_AND, 32, "and", "Di"},
    {0x55, BPF_OP_JNE, 64, "jne", "doi"},
    {0x56, BPF_OP_JNE, 32, "jne", "doi"},
    {0x57, BPF_OP_AND, 64, "and", "Di"},
    {0x5c, BPF_OP_AND, 32, "and", "Ds"},
    {0x5d, BPF_OP_JNE, 64, "jne", "dso"},
    {0x5e, BPF_OP_JNE, 32, "jne", "dso"},
    {0x5f, BPF_OP_AND, 64, "and", "Ds"},
    {0x61, BPF_OP_LDX, 32, "ldx", "Dso"},
    {0x62, BPF_OP_ST, 32, "st", "doi"},
    {0x63, BPF_OP_STX, 32, "stx", "dso"},
    {0x64, BPF_OP_LSH, 32, "lsh", "Di"},
    {0x65, BPF_OP_JSGT, 64, "jsgt", "doi"},
    {0x66, BPF_OP_JSGT, 32, "jsgt", "doi"},
    {0x67, BPF_OP_LSH, 64, "lsh", "Di"},
    {0x69, BPF_OP_LDX, 16, "ldx", "Dso"},
    {0x6a, BPF_OP_ST, 16, "st", "doi"},
    {0x6b, BPF_OP_STX, 16, "stx", "dso"},
    {0x6c, BPF_OP_LSH, 32, "lsh", "Ds"},
    {0x6d, BPF_OP_JSGT, 64, "jsgt", "dso"},
    {0x6e, BPF_OP_JSGT, 32, "jsgt", "dso"},
    {0x6f, BPF_OP_LSH, 64, "lsh", "Ds"},
    {0x71, BPF_OP_LDX, 8, "ldx", "Dso"},
    {0x72, BPF_OP_ST, 8, "st", "doi"},
    {0x73, BPF_OP_STX, 8, "stx", "dso"},
    {0x74, BPF_OP_RSH, 32, "rsh", "Di"},
    {0x75, BPF_OP_JSGE, 64, "jsge", "doi"},
    {0x76, BPF_OP_JSGE, 32, "jsge", "doi"},
    {0x77, BPF_OP_RSH, 64, "rsh", "Di"},
    {0x79, BPF_OP_LDX, 64, "ldx", "Dso"},
    {0x7a, BPF_OP_ST, 64, "st", "doi"},
    {0x7b, BPF_OP_STX, 64, "stx", "dso"},
    {0x7c, BPF_OP_RSH, 32, "rsh", "Ds"},
    {0x7d, BPF_OP_JSGE, 64, "jsge", "dso"},
    {0x7e, BPF_OP_JSGE, 32, "jsge", "dso"},
    {0x7f, BPF_OP_RSH, 64, "rsh", "Ds"},
    {0x81, BPF_OP_LDXS, 32, "ldxs", "Dso"},
    {0x84, BPF_OP_NEG, 32, "neg", "D"},
    {0x85, BPF_OP_CALL, 64, "call", "si"},
    {0x87, BPF_OP_NEG, 64, "neg", "D"},
    {0x89, BPF_OP_LDXS, 16, "ldxs", "Dso"},
    {0x8d, BPF_OP_CALLX, 64, "callx", "d"},
    {0x91, BPF_OP_LDXS, 8, "ldxs", "Dso"},
    {0x94, BPF_OP_MOD, 32, "mod", "Doi"},
    {0x95, BPF_OP_EXIT, 64, "exit", ""},
    {0x97, BPF_OP_MOD, 64, "mod", "Doi"},
    {0x9c, BPF_OP_MOD, 32, "mod", "Dso"},
    {0x9f, BPF_OP_MOD, 64, "mod", "Dso"},
    {0xa4, BPF_OP_XOR, 32, "xor", "Di"},
    {0xa5, BPF_OP_JLT, 64, "jlt", "doi"},
    {0xa6, BPF_OP_JLT, 32, "jlt", "doi"},
    {0xa7, BPF_OP_XOR, 64, "xor", "Di"},
    {0xac, BPF_OP_XOR, 32, "xor", "Ds"},
    {0xad, BPF_OP_JLT, 64, "jlt", "dso"},
    {0xae, BPF_OP_JLT, 32, "jlt", "dso"},
    {0xaf, BPF_OP_XOR, 64, "xor", "Ds"},
    {0xb4, BPF_OP_MOV, 32, "mov", "Di"},
    {0xb5, BPF_OP_JLE, 64, "jle", "doi"},
    {0xb6, BPF_OP_JLE, 32, "jle", "doi"},
    {0xb7, BPF_OP_MOV, 64, "mov", "Di"},
    {0xbc, BPF_OP_MOV, 32, "mov", "Dso"},
    {0xbd, BPF_OP_JLE, 64, "jle", "dso"},
    {0xbe, BPF_OP_JLE, 32, "jle", "dso"},
    {0xbf, BPF_OP_MOV, 64, "mov", "Dso"},
    {0xc3, BPF_OP_ATOMIC, 32, "atomic", "dsoi"},
    {0xc4, BPF_OP_ARSH, 32, "arsh", "Di"},
    {0xc5, BPF_OP_JSLT, 64, "jslt", "doi"},
    {0xc6, BPF_OP_JSLT, 32, "jslt", "doi"},
    {0xc7, BPF_OP_ARSH, 64, "arsh", "Di"},
    {0xcc, BPF_OP_ARSH, 32, "arsh", "Ds"},
    {0xcd, BPF_OP_JSLT, 64, "jslt", "dso"},
    {0xce, BPF_OP_JSLT, 32, "jslt", "dso"},
    {0xcf, BPF_OP_ARSH, 64, "arsh", "Ds"},
    {0xd4, BPF_OP_LE, 64, "le", "Di"},
    {0xd5, BPF_OP_JSLE, 64, "jsle", "doi"},
    {0xd6, BPF_OP_JSLE, 32, "jsle", "doi"},
    {0xd7, BPF_OP_SWAP, 64, "bswap", "Di"},
    {0xdb, BPF_OP_ATOMIC, 64, "atomic", "dsoi"},
    {0xdc, BPF_OP_BE, 64, "be", "Di"},
    {0xdd, BPF_OP_JSLE, 64, "jsle", "dso"},
    {0xde, BPF_OP_JSLE, 32, "jsle", "dso"},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

static const struct row *
find_row(unsigned code)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].code == code)
            return &rows[i];
    }
    return NULL;
}

static unsigned
uses_of(const char *fields)
{
    unsigned uses = 0;
    for (; *fields; fields++) {
        switch (*fields) {
        case 'D':
            uses |= BPF_USES_DST | BPF_WRITES_DST;
            break;
        case 'd':
            uses |= BPF_USES_DST;
            break;
        case 's':
            uses |= BPF_USES_SRC;
            break;
        case 'o':
            uses |= BPF_USES_OFF;
            break;
        default:
            uses |= BPF_USES_IMM;
        }
    }
    return uses;
}

static void
test_each_opcode_is_what_the_rfc_says(void **state)
{
    for (unsigned code = 0; code < 256; code++) {
        const struct row *row = find_row(code);
        const struct bpf_opcode *opcode = &bpf_opcodes[code];
        if (!row) {
            assert_int_equal(opcode->op, BPF_OP_NONE);
            assert_null(opcode->name);
            continue;
        }
        if (opcode->op != row->op || opcode->width != row->width ||
            opcode->uses != uses_of(row->fields) || strcmp(opcode->name, row->name) != 0)
            fail_msg("opcode 0x%02x is %s, %u bits, uses 0x%x", code, opcode->name, opcode->width,
                     opcode->uses);
    }
}

/* ALU and jumps with a register are those whose source bit is set; memory has no such bit. */
static void
test_second_operand(void **state)
{
    for (unsigned code = 0; code < 256; code++) {
        const struct row *row = find_row(code);
        bool reg = row && strchr(row->fields, 's') && row->op != BPF_OP_CALL;
        if (row && row->op == BPF_OP_CALLX)
            continue;
        if (bpf_opcodes[code].reg != reg)
            fail_msg("opcode 0x%02x", code);
    }
}

static void
test_every_operation_has_an_opcode(void **state)
{
    bool seen[BPF_OP_COUNT] = {[BPF_OP_NONE] = true};
    for (unsigned code = 0; code < 256; code++)
        seen[bpf_opcodes[code].op] = true;
    for (unsigned op = 0; op < BPF_OP_COUNT; op++) {
        if (!seen[op])
            fail_msg("operation %u", op);
    }
}

static void
test_fields_lie_as_in_the_file(void **state)
{
    static const uint8_t bytes[8] = {0x7b, 0x2a, 0xf8, 0xff, 0x04, 0x03, 0x02, 0x81};
    struct bpf_insn insn;
    memcpy(&insn, bytes, sizeof insn);
    assert_int_equal(insn.opcode, 0x7b);
    assert_int_equal(insn.dst, 10);
    assert_int_equal(insn.src, 2);
    assert_int_equal(insn.off, -8);
    assert_int_equal(insn.imm, (int32_t)0x81020304);
}

static void
test_wide_constant(void **state)
{
    struct bpf_insn insns[2] = {{.opcode = 0x18, .imm = -2}, {.imm = 0x12345678}};
    assert_true(bpf_is_wide(insns[0]));
    assert_false(bpf_is_wide(insns[1]));
    assert_int_equal(bpf_wide_imm(insns), 0x12345678fffffffe);
}

static void
test_jumps(void **state)
{
    for (unsigned code = 0; code < 256; code++) {
        struct bpf_insn insn = {.opcode = (uint8_t)code, .off = -3, .imm = 70000};
        const struct row *row = find_row(code);
        bool jumps = row && row->name[0] == 'j';
        if (bpf_is_jump(insn) != jumps)
            fail_msg("opcode 0x%02x", code);
        if (jumps)
            assert_int_equal(bpf_jump_target(insn, 5), code == 0x06 ? 70006 : 3);
    }
}

static void
test_targets_at_the_ends_of_their_range(void **state)
{
    struct bpf_insn near = {.opcode = 0x05, .off = INT16_MIN};
    struct bpf_insn far = {.opcode = 0x06, .imm = INT32_MIN};
    struct bpf_insn call = {.opcode = 0x85, .src = BPF_CALL_LOCAL, .imm = INT32_MIN};
    assert_int_equal(bpf_jump_target(near, 0), -32767);
    assert_int_equal(bpf_jump_target(far, 0), -INT64_C(2147483647));
    assert_int_equal(bpf_call_target(call, 0), -INT64_C(2147483647));
    near.off = INT16_MAX;
    far.imm = call.imm = INT32_MAX;
    assert_int_equal(bpf_jump_target(near, 999999), 999999 + 32768);
    assert_int_equal(bpf_jump_target(far, UINT32_MAX), INT64_C(4294967296) + 2147483647);
    assert_int_equal(bpf_call_target(call, UINT32_MAX), INT64_C(4294967296) + 2147483647);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_opcode_is_what_the_rfc_says),
        cmocka_unit_test(test_second_operand),
        cmocka_unit_test(test_every_operation_has_an_opcode),
        cmocka_unit_test(test_fields_lie_as_in_the_file),
        cmocka_unit_test(test_wide_constant),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_targets_at_the_ends_of_their_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
