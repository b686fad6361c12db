#include "bpf/disasm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define I(code, to, from, displacement, constant)                                              \
    {                                                                                          \
        .opcode = (code), .dst = (to), .src = (from), .off = (displacement), .imm = (constant) \
    }

static const struct bpf_helper helper_list[] = {{.name = "zs_log"}, {.name = "zs_now_ms"}};
static const struct bpf_helper_table helpers = {helper_list, 2};

struct row {
    struct bpf_insn insn;
    const char *text;
};

/* As the first of two instructions in one section; the other is all 0. */
static void
assert_line(struct bpf_insn insn, const char *wanted)
{
    struct bpf_insn insns[2] = {insn};
    struct bpf_section section = {STR("main"), 0, 2};
    struct bpf_object object = {
        .insns = insns, .insn_count = 2, .sections = &section, .section_count = 1};
    char out[BPF_DISASM_MAX];
    memset(out, 'x', sizeof out);
    unsigned count = bpf_disasm(out, &object, 0, &helpers);
    if (strcmp(out, wanted) != 0)
        fail_msg("opcode 0x%02x: %s, wanted %s", insn.opcode, out, wanted);
    assert_int_equal(count, strstr(wanted, " ll") ? 2 : 1);
}

static void
assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_line(rows[i].insn, rows[i].text);
}

#define ASSERT_ROWS(rows) assert_rows(rows, sizeof(rows) / sizeof *(rows))

/* The lines here and in the next tests are what llvm-objdump 19 prints for the same bytes. */
static void
test_arithmetic(void **state)
{
    static const struct row rows[] = {
        {I(0x07, 1, 0, 0, 5), "r1 += 5"},
        {I(0x04, 2, 0, 0, -5), "w2 += -5"},
        {I(0x0f, 1, 10, 0, 0), "r1 += r10"},
        {I(0x0c, 2, 3, 0, 0), "w2 += w3"},
        {I(0x17, 1, 0, 0, 7), "r1 -= 7"},
        {I(0x2c, 1, 9, 0, 0), "w1 *= w9"},
        {I(0x3f, 1, 2, 0, 0), "r1 /= r2"},
        {I(0x3f, 1, 2, 1, 0), "r1 s/= r2"},
        {I(0x34, 1, 0, 1, 3), "w1 s/= 3"},
        {I(0x97, 1, 0, 0, 3), "r1 %= 3"},
        {I(0x9c, 1, 2, 1, 0), "w1 s%= w2"},
        {I(0x4f, 1, 2, 0, 0), "r1 |= r2"},
        {I(0x54, 1, 0, 0, 255), "w1 &= 255"},
        {I(0xa7, 1, 0, 0, -1), "r1 ^= -1"},
        {I(0x67, 1, 0, 0, 32), "r1 <<= 32"},
        {I(0x7c, 1, 2, 0, 0), "w1 >>= w2"},
        {I(0xc7, 1, 0, 0, 63), "r1 s>>= 63"},
        {I(0x87, 1, 0, 0, 0), "r1 = -r1"},
        {I(0x84, 1, 0, 0, 0), "w1 = -w1"},
        {I(0xb7, 1, 0, 0, INT32_MIN), "r1 = -2147483648"},
        {I(0xb4, 0, 0, 0, INT32_MAX), "w0 = 2147483647"},
        {I(0xbf, 6, 1, 0, 0), "r6 = r1"},
        {I(0xbc, 6, 1, 0, 0), "w6 = w1"},
        {I(0xbf, 6, 1, 8, 0), "r6 = (s8)r1"},
        {I(0xbf, 6, 1, 16, 0), "r6 = (s16)r1"},
        {I(0xbf, 6, 1, 32, 0), "r6 = (s32)r1"},
        {I(0xbc, 6, 1, 8, 0), "w6 = (s8)w1"},
        {I(0xbc, 6, 1, 16, 0), "w6 = (s16)w1"},
        {I(0xd4, 1, 0, 0, 16), "r1 = le16 r1"},
        {I(0xdc, 1, 0, 0, 32), "r1 = be32 r1"},
        {I(0xd7, 1, 0, 0, 64), "r1 = bswap64 r1"},
    };
    ASSERT_ROWS(rows);
}

static void
test_memory(void **state)
{
    static const struct row rows[] = {
        {I(0x71, 0, 1, 0, 0), "r0 = *(u8 *)(r1 + 0)"},
        {I(0x69, 0, 1, 4, 0), "r0 = *(u16 *)(r1 + 4)"},
        {I(0x61, 0, 1, INT16_MAX, 0), "r0 = *(u32 *)(r1 + 32767)"},
        {I(0x79, 0, 10, INT16_MIN, 0), "r0 = *(u64 *)(r10 - 32768)"},
        {I(0x91, 0, 1, -1, 0), "r0 = *(s8 *)(r1 - 1)"},
        {I(0x89, 0, 1, -1, 0), "r0 = *(s16 *)(r1 - 1)"},
        {I(0x81, 0, 1, -1, 0), "r0 = *(s32 *)(r1 - 1)"},
        {I(0x72, 10, 0, -8, 7), "*(u8 *)(r10 - 8) = 7"},
        {I(0x7a, 10, 0, -8, -7), "*(u64 *)(r10 - 8) = -7"},
        {I(0x6b, 10, 2, -8, 0), "*(u16 *)(r10 - 8) = r2"},
        {I(0x63, 10, 2, 8, 0), "*(u32 *)(r10 + 8) = r2"},
        {I(0x7b, 1, 10, 0, 0), "*(u64 *)(r1 + 0) = r10"},
    };
    ASSERT_ROWS(rows);
}

static void
test_atomics(void **state)
{
    static const struct row rows[] = {
        {I(0xdb, 1, 2, 0, 0x00), "lock *(u64 *)(r1 + 0) += r2"},
        {I(0xdb, 1, 2, -8, 0x40), "lock *(u64 *)(r1 - 8) |= r2"},
        {I(0xdb, 1, 2, 0, 0x50), "lock *(u64 *)(r1 + 0) &= r2"},
        {I(0xc3, 1, 2, 0, 0xa0), "lock *(u32 *)(r1 + 0) ^= w2"},
        {I(0xdb, 1, 0, 0, 0x01), "r0 = atomic_fetch_add((u64 *)(r1 + 0), r0)"},
        {I(0xdb, 1, 2, 0, 0x41), "r2 = atomic_fetch_or((u64 *)(r1 + 0), r2)"},
        {I(0xc3, 1, 2, 0, 0x51), "w2 = atomic_fetch_and((u32 *)(r1 + 0), w2)"},
        {I(0xc3, 1, 2, 4, 0xa1), "w2 = atomic_fetch_xor((u32 *)(r1 + 4), w2)"},
        {I(0xdb, 1, 2, 0, 0xe1), "r2 = xchg_64(r1 + 0, r2)"},
        {I(0xc3, 1, 2, -8, 0xe1), "w2 = xchg32_32(r1 - 8, w2)"},
        {I(0xdb, 1, 2, 0, 0xf1), "r0 = cmpxchg_64(r1 + 0, r0, r2)"},
        {I(0xc3, 1, 2, -4, 0xf1), "w0 = cmpxchg32_32(r1 - 4, w0, w2)"},
    };
    ASSERT_ROWS(rows);
}

/* Where LLVM prints how far, these say where to. */
static void
test_jumps(void **state)
{
    static const struct row rows[] = {
        {I(0x05, 0, 0, 11, 0), "goto 12"},
        {I(0x05, 0, 0, -3, 0), "goto -2"},
        {I(0x06, 0, 0, 0, 99999), "gotol 100000"},
        {I(0x06, 0, 0, 0, INT32_MAX), "gotol 2147483648"},
        {I(0x15, 1, 0, 1, 5), "if r1 == 5 goto 2"},
        {I(0x1e, 1, 2, 1, 0), "if w1 == w2 goto 2"},
        {I(0x55, 1, 0, 1, -5), "if r1 != -5 goto 2"},
        {I(0x2d, 1, 2, 1, 0), "if r1 > r2 goto 2"},
        {I(0x35, 1, 0, 1, 0), "if r1 >= 0 goto 2"},
        {I(0xa5, 1, 0, 1, 0), "if r1 < 0 goto 2"},
        {I(0xb6, 1, 0, 1, 0), "if w1 <= 0 goto 2"},
        {I(0x65, 1, 0, 11, 7), "if r1 s> 7 goto 12"},
        {I(0x7e, 1, 2, 1, 0), "if w1 s>= w2 goto 2"},
        {I(0xc5, 1, 0, 1, 0), "if r1 s< 0 goto 2"},
        {I(0xd5, 1, 0, 1, 0), "if r1 s<= 0 goto 2"},
        {I(0x45, 1, 0, 1, 8), "if r1 & 8 goto 2"},
        {I(0x95, 0, 0, 0, 0), "exit"},
        {I(0x8d, 2, 0, 0, 0), "callx r2"},
        {I(0x85, 0, 0, 0, 0), "call zs_log"},
        {I(0x85, 0, 0, 0, 1), "call zs_now_ms"},
        {I(0x85, 0, 0, 0, 2), "call helper 2"},
        {I(0x85, 0, 0, 0, -1), "call helper -1"},
        {I(0x85, 0, 1, 0, 0), "call 1"},
        {I(0x85, 0, 1, 0, 16), "call 17"},
        {I(0x85, 0, 1, 0, INT32_MIN), "call -2147483647"},
    };
    ASSERT_ROWS(rows);
}

static void
test_wide(void **state)
{
    struct bpf_insn insns[] = {I(0x18, 1, 0, 0, 0x123),   I(0, 0, 0, 0, 0),    I(0x18, 2, 0, 0, -1),
                               I(0, 0, 0, 0, 0x7fffffff), I(0x18, 3, 0, 0, 0), I(0x95, 0, 0, 0, 0),
                               I(0x18, 3, 0, 0, 0),       I(0, 0, 0, 0, 0)};
    struct bpf_section sections[] = {{STR("a"), 0, 7}, {STR("b"), 7, 1}};
    struct bpf_object object = {
        .insns = insns, .insn_count = 8, .sections = sections, .section_count = 2};
    char out[BPF_DISASM_MAX];
    assert_int_equal(bpf_disasm(out, &object, 0, NULL), 2);
    assert_string_equal(out, "r1 = 0x123 ll");
    assert_int_equal(bpf_disasm(out, &object, 2, NULL), 2);
    assert_string_equal(out, "r2 = 0x7fffffffffffffff ll");
    /* a second half by itself, one that is another instruction, and one beyond the section's end */
    assert_int_equal(bpf_disasm(out, &object, 1, NULL), 1);
    assert_string_equal(out, "<no instruction: 00 00 00 00 00 00 00 00>");
    assert_int_equal(bpf_disasm(out, &object, 4, NULL), 1);
    assert_string_equal(out, "<no instruction: 18 03 00 00 00 00 00 00>");
    assert_int_equal(bpf_disasm(out, &object, 6, NULL), 1);
    assert_string_equal(out, "<no instruction: 18 03 00 00 00 00 00 00>");
}

static void
test_what_is_no_instruction(void **state)
{
    static const struct row rows[] = {
        {I(0xff, 1, 2, 0x0304, 0x08070605), "<no instruction: ff 21 04 03 05 06 07 08>"},
        {I(0x99, 0, 0, 0, 0), "<no instruction: 99 00 00 00 00 00 00 00>"},
        {I(0x07, 11, 0, 0, 0), "<no instruction: 07 0b 00 00 00 00 00 00>"},
        {I(0x0f, 0, 15, 0, 0), "<no instruction: 0f f0 00 00 00 00 00 00>"},
        {I(0x3f, 0, 0, 2, 0), "<no instruction: 3f 00 02 00 00 00 00 00>"},
        {I(0xbf, 0, 0, 9, 0), "<no instruction: bf 00 09 00 00 00 00 00>"},
        {I(0xbc, 0, 0, 32, 0), "<no instruction: bc 00 20 00 00 00 00 00>"},
        {I(0xb7, 0, 0, 8, 0), "<no instruction: b7 00 08 00 00 00 00 00>"},
        {I(0xd7, 0, 0, 0, 8), "<no instruction: d7 00 00 00 08 00 00 00>"},
        {I(0xdb, 0, 0, 0, 0xe0), "<no instruction: db 00 00 00 e0 00 00 00>"},
        {I(0x85, 0, 2, 0, 1), "<no instruction: 85 20 00 00 01 00 00 00>"},
        {I(0x18, 0, 1, 0, 1), "<no instruction: 18 10 00 00 01 00 00 00>"},
        /* fields that are not used do not matter here */
        {I(0x07, 1, 2, 1, 5), "r1 += 5"},
        {I(0x95, 1, 2, 3, 4), "exit"},
    };
    ASSERT_ROWS(rows);
}

static void
assert_call(const struct bpf_object *object, uint32_t at, const char *wanted)
{
    char out[BPF_DISASM_MAX];
    assert_int_equal(bpf_disasm(out, object, at, &helpers), 1);
    assert_string_equal(out, wanted);
}

static void
test_numbers_count_from_the_section(void **state)
{
    struct bpf_insn insns[] = {I(0x85, 0, 1, 0, 1),  I(0x95, 0, 0, 0, 0),  I(0x85, 0, 1, 0, 1),
                               I(0x85, 0, 1, 0, -4), I(0x05, 0, 0, -2, 0), I(0x85, 0, 1, 0, 9)};
    struct bpf_section sections[] = {{STR("a"), 0, 2}, {STR("b"), 2, 4}};
    struct bpf_function functions[] = {
        {STR("first"), 0}, {STR("alias"), 0}, {STR("third"), 2}, {STR("fifth"), 4}};
    struct bpf_object object = {.insns = insns,
                                .insn_count = 6,
                                .sections = sections,
                                .section_count = 2,
                                .functions = functions,
                                .function_count = 4};
    assert_call(&object, 0, "call 0 <third> in b");
    assert_call(&object, 2, "call 2 <fifth>");
    assert_call(&object, 3, "call 0 <first> in a");
    assert_call(&object, 4, "goto 1");
    assert_call(&object, 5, "call 13");
    object.function_count = 0;
    assert_call(&object, 0, "call 0 in b");
    assert_call(&object, 2, "call 2");
}

static void
test_names_stay_in_their_line(void **state)
{
    char name[300];
    memset(name, 'n', sizeof name);
    memcpy(name, "\n\x1b", 2);
    struct bpf_insn insns[] = {I(0x85, 0, 1, 0, 0), I(0x95, 0, 0, 0, 0)};
    struct bpf_section sections[] = {{STR("a"), 0, 1}, {str_make(name, sizeof name), 1, 1}};
    struct bpf_function function = {str_make(name, sizeof name), 1};
    struct bpf_object object = {.insns = insns,
                                .insn_count = 2,
                                .sections = sections,
                                .section_count = 2,
                                .functions = &function,
                                .function_count = 1};
    char *out = malloc(BPF_DISASM_MAX); /* a block of its own: ASan sees a byte too many */
    assert_non_null(out);
    assert_int_equal(bpf_disasm(out, &object, 0, NULL), 1);
    assert_int_equal(strlen(out), BPF_DISASM_MAX - 1);
    assert_memory_equal(out, "call 0 <??nnn", 13);
    assert_non_null(strstr(out, "n> in ??nn"));
    free(out);
}

/* Any bytes give a line, and those of no opcode say so. */
static void
test_every_opcode_has_a_line(void **state)
{
    for (unsigned code = 0; code < 256; code++) {
        struct bpf_insn insns[2] = {{.opcode = (uint8_t)code}};
        struct bpf_section section = {STR("main"), 0, 2};
        struct bpf_object object = {
            .insns = insns, .insn_count = 2, .sections = &section, .section_count = 1};
        char out[BPF_DISASM_MAX];
        uint8_t op = bpf_opcodes[code].op;
        insns[0].imm = op >= BPF_OP_LE && op <= BPF_OP_SWAP ? 16 : 0;
        bpf_disasm(out, &object, 0, NULL);
        assert_int_equal(out[0] == '<', op == BPF_OP_NONE);
        assert_null(strstr(out, "(null)"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_atomics),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_what_is_no_instruction),
        cmocka_unit_test(test_numbers_count_from_the_section),
        cmocka_unit_test(test_names_stay_in_their_line),
        cmocka_unit_test(test_every_opcode_has_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
