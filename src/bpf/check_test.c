#include "bpf/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/limits.h"

#define I(code, to, from, displacement, constant)                                              \
    {                                                                                          \
        .opcode = (code), .dst = (to), .src = (from), .off = (displacement), .imm = (constant) \
    }
#define EXIT I(0x95, 0, 0, 0, 0)
#define CODE(...)                                    \
    .insns = (const struct bpf_insn[]){__VA_ARGS__}, \
    .count = sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn)

enum { HELPER_COUNT = 3, SECTIONS_MAX = 3 };

static const struct bpf_helper helper_list[HELPER_COUNT] = {{.name = "a"}, {.name = "b"}};
static const struct bpf_helper_table helpers = {helper_list, HELPER_COUNT};

struct program {
    const struct bpf_insn *insns;
    uint32_t count;
    uint32_t cuts[SECTIONS_MAX - 1]; /* where sections but the first begin; 0: none */
    unsigned flags;
    const char *why; /* the error line; NULL: accepted */
};

/* `sections` has SECTIONS_MAX of them. */
static struct bpf_object
make_object(const struct program *program, struct bpf_section *sections)
{
    static const struct str names[SECTIONS_MAX] = {STR_INIT("one"), STR_INIT("two"),
                                                   STR_INIT("three")};
    struct bpf_object object = {
        .insns = (struct bpf_insn *)program->insns,
        .insn_count = program->count,
        .sections = sections,
        .section_count = program->count > 0,
    };
    sections[0] = (struct bpf_section){names[0], 0, program->count};
    for (unsigned i = 0; i < SECTIONS_MAX - 1 && program->cuts[i]; i++) {
        uint32_t first = program->cuts[i];
        sections[i].count = first - sections[i].first;
        sections[i + 1] = (struct bpf_section){names[i + 1], first, program->count - first};
        object.section_count++;
    }
    return object;
}

/* Checks it with the instructions in a block of exactly their length. */
static int
run_check(struct bpf_check *check, const struct program *program,
          const struct bpf_helper_table *table, struct error *error)
{
    struct bpf_section sections[SECTIONS_MAX];
    struct bpf_object object = make_object(program, sections);
    size_t len = program->count * sizeof *program->insns;
    struct bpf_insn *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    for (uint32_t i = 0; i < program->count; i++)
        copy[i] = program->insns[i];
    object.insns = copy;
    int result = bpf_check(check, &object, table, program->flags, error);
    free(copy);
    return result;
}

static void
assert_program(const struct program *program, unsigned row)
{
    struct bpf_check check;
    struct error error = {""};
    int result = run_check(&check, program, &helpers, &error);
    if (result == 0 && program->why)
        fail_msg("row %u is accepted, wanted: %s", row, program->why);
    if (result < 0 && !program->why)
        fail_msg("row %u: %s", row, error.text);
    if (result < 0 && strcmp(error.text, program->why) != 0)
        fail_msg("row %u: %s\nwanted: %s", row, error.text, program->why);
    if (result < 0)
        assert_null(check.marks);
    bpf_check_deinit(&check);
}

static void
assert_programs(const struct program *programs, size_t count)
{
    for (unsigned i = 0; i < count; i++)
        assert_program(&programs[i], i);
}

#define ASSERT_PROGRAMS(list) assert_programs(list, sizeof(list) / sizeof *(list))

static void
test_opcodes(void **state)
{
    const struct program list[] = {
        {CODE(EXIT)},
        {CODE(I(0x00, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x00 is not one of the instructions of RFC 9669"},
        {CODE(I(0xff, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0xff is not one of the instructions of RFC 9669"},
        {CODE(EXIT, I(0x99, 0, 0, 0, 0)),
         .why = "section one, insn 1: opcode 0x99 is not one of the instructions of RFC 9669"},
        {CODE(I(0x20, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x20 reads a packet: scripts have none"},
        {CODE(I(0x58, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x58 reads a packet: scripts have none"},
        {CODE(I(0x8d, 2, 0, 0, 0), EXIT), .flags = BPF_ALLOW_CALLX},
        {CODE(I(0x8d, 2, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x8d (callx) calls by register, which is not allowed "
                "here: a call names a helper or a function"},
    };
    ASSERT_PROGRAMS(list);
}

static void
test_registers(void **state)
{
    const struct program list[] = {
        {CODE(I(0xb7, 9, 0, 0, 0), EXIT)},
        {CODE(I(0xb7, 10, 0, 0, 0), EXIT), .why = "section one, insn 0: opcode 0xb7 (mov) writes "
                                                  "r10: it is the top of the stack and only read"},
        {CODE(I(0xb7, 11, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0xb7 (mov) has r11 as dst: registers are r0 to r10"},
        {CODE(I(0xbf, 1, 10, 0, 0), EXIT)},
        {CODE(I(0xbf, 1, 11, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0xbf (mov) has r11 as src: registers are r0 to r10"},
        {CODE(I(0x18, 10, 0, 0, 0), I(0, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) writes r10: it is the top of the stack "
                "and only read"},
        {CODE(I(0x79, 10, 1, 0, 0), EXIT), .why = "section one, insn 0: opcode 0x79 (ldx) writes "
                                                  "r10: it is the top of the stack and only read"},
        /* r10 as what is compared, or as a base, is read */
        {CODE(I(0x15, 10, 0, 0, 0), EXIT)},
        {CODE(I(0x7b, 10, 10, -8, 0), EXIT)},
        {CODE(I(0x7b, 15, 10, -8, 0), EXIT),
         .why = "section one, insn 0: opcode 0x7b (stx) has r15 as dst: registers are r0 to r10"},
        {CODE(I(0x8d, 10, 0, 0, 0), EXIT), .flags = BPF_ALLOW_CALLX},
        {CODE(I(0x8d, 11, 0, 0, 0), EXIT), .flags = BPF_ALLOW_CALLX,
         .why = "section one, insn 0: opcode 0x8d (callx) has r11 as dst: registers are r0 to r10"},
    };
    ASSERT_PROGRAMS(list);
}

static void
test_fields_not_used(void **state)
{
    const struct program list[] = {
        {CODE(I(0x95, 1, 0, 0, 0)),
         .why = "section one, insn 0: opcode 0x95 (exit) does not use dst: must be 0, not 1"},
        {CODE(I(0x95, 0, 15, 0, 0)),
         .why = "section one, insn 0: opcode 0x95 (exit) does not use src: must be 0, not 15"},
        {CODE(I(0x95, 0, 0, -1, 0)),
         .why = "section one, insn 0: opcode 0x95 (exit) does not use off: must be 0, not -1"},
        {CODE(I(0x95, 0, 0, 0, INT32_MIN)), .why = "section one, insn 0: opcode 0x95 (exit) does "
                                                   "not use imm: must be 0, not -2147483648"},
        {CODE(I(0x0f, 1, 2, 0, 0), EXIT)},
        {CODE(I(0x0f, 1, 2, 0, 1), EXIT),
         .why = "section one, insn 0: opcode 0x0f (add) does not use imm: must be 0, not 1"},
        {CODE(I(0x07, 1, 2, 0, 1), EXIT),
         .why = "section one, insn 0: opcode 0x07 (add) does not use src: must be 0, not 2"},
        {CODE(I(0x07, 1, 0, 8, 1), EXIT),
         .why = "section one, insn 0: opcode 0x07 (add) does not use off: must be 0, not 8"},
        {CODE(I(0x05, 0, 0, 0, 1), EXIT),
         .why = "section one, insn 0: opcode 0x05 (ja) does not use imm: must be 0, not 1"},
        {CODE(I(0x06, 0, 0, 1, 0), EXIT),
         .why = "section one, insn 0: opcode 0x06 (ja) does not use off: must be 0, not 1"},
        {CODE(I(0x8d, 2, 0, 0, 5), EXIT), .flags = BPF_ALLOW_CALLX,
         .why = "section one, insn 0: opcode 0x8d (callx) does not use imm: must be 0, not 5"},
    };
    ASSERT_PROGRAMS(list);
}

/* Fields that are right for an instruction that stands first of three. */
static struct bpf_insn
make_valid(unsigned code)
{
    struct bpf_insn insn = {.opcode = (uint8_t)code};
    uint8_t op = bpf_opcodes[code].op;
    if (op >= BPF_OP_LE && op <= BPF_OP_SWAP)
        insn.imm = 16;
    return insn;
}

static bool
is_accepted(struct bpf_insn insn)
{
    const struct bpf_insn insns[] = {insn, {0}, EXIT};
    bool wide = bpf_is_wide(insn);
    struct bpf_insn narrow[] = {insn, EXIT, EXIT};
    struct program program = {.insns = wide ? insns : narrow, .count = 3, .flags = BPF_ALLOW_CALLX};
    struct bpf_check check;
    struct error error;
    int result = run_check(&check, &program, &helpers, &error);
    bpf_check_deinit(&check);
    return result == 0;
}

static void
assert_accepted(struct bpf_insn insn, bool wanted)
{
    if (is_accepted(insn) != wanted)
        fail_msg("opcode 0x%02x, dst %u, src %u, off %d, imm %d", insn.opcode, insn.dst, insn.src,
                 insn.off, insn.imm);
}

/* Each opcode with each value of dst and src, and with off and imm set where it has none. */
static void
test_every_opcode_with_every_field(void **state)
{
    for (unsigned code = 0; code < 256; code++) {
        const struct bpf_opcode *opcode = &bpf_opcodes[code];
        bool known = opcode->op != BPF_OP_NONE;
        struct bpf_insn insn = make_valid(code);
        assert_accepted(insn, known);
        for (unsigned i = 1; known && i < 16; i++) {
            insn = make_valid(code);
            insn.dst = i & 15;
            unsigned last = opcode->uses & BPF_WRITES_DST ? 9 : 10;
            assert_accepted(insn, (opcode->uses & BPF_USES_DST) && i <= last);
            insn = make_valid(code);
            insn.src = i & 15;
            last = opcode->op == BPF_OP_CALL ? 1 : 10;
            assert_accepted(insn, (opcode->uses & BPF_USES_SRC) && i <= last);
        }
        insn = make_valid(code);
        insn.off = 1;
        bool signed_move = opcode->op == BPF_OP_MOV;
        assert_accepted(insn, known && (opcode->uses & BPF_USES_OFF) && !signed_move);
        insn = make_valid(code);
        insn.imm++;
        bool swap = opcode->op >= BPF_OP_LE && opcode->op <= BPF_OP_SWAP;
        assert_accepted(insn, known && (opcode->uses & BPF_USES_IMM) && !swap);
    }
}

static void
test_variations(void **state)
{
    const struct program list[] = {
        {CODE(I(0x37, 1, 0, 0, 0), EXIT)}, /* by zero: its result is defined */
        {CODE(I(0x37, 1, 0, 1, 3), EXIT)},
        {CODE(I(0x9c, 1, 2, 1, 0), EXIT)},
        {CODE(I(0x37, 1, 0, 2, 3), EXIT), .why = "section one, insn 0: opcode 0x37 (div) has off "
                                                 "2: expected 0 (unsigned) or 1 (signed)"},
        {CODE(I(0x9c, 1, 2, -1, 0), EXIT), .why = "section one, insn 0: opcode 0x9c (mod) has off "
                                                  "-1: expected 0 (unsigned) or 1 (signed)"},
        {CODE(I(0xbf, 1, 2, 8, 0), I(0xbf, 1, 2, 16, 0), I(0xbf, 1, 2, 32, 0), EXIT)},
        {CODE(I(0xbc, 1, 2, 8, 0), I(0xbc, 1, 2, 16, 0), EXIT)},
        {CODE(I(0xbc, 1, 2, 32, 0), EXIT),
         .why = "section one, insn 0: opcode 0xbc (mov) has off 32: expected 0, or the bits to "
                "extend the sign of: 8 or 16"},
        {CODE(I(0xbf, 1, 2, 64, 0), EXIT),
         .why = "section one, insn 0: opcode 0xbf (mov) has off 64: expected 0, or the bits to "
                "extend the sign of: 8, 16 or 32"},
        {CODE(I(0xb7, 1, 0, 8, 5), EXIT),
         .why = "section one, insn 0: opcode 0xb7 (mov) does not use off: must be 0, not 8"},
        {CODE(I(0xdc, 1, 0, 0, 16), I(0xd4, 1, 0, 0, 32), I(0xd7, 1, 0, 0, 64), EXIT)},
        {CODE(I(0xdc, 1, 0, 0, 8), EXIT),
         .why = "section one, insn 0: opcode 0xdc (be) has imm 8: expected 16, 32 or 64 bits"},
        {CODE(I(0xd7, 1, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0xd7 (bswap) has imm 0: expected 16, 32 or 64 bits"},
        {CODE(I(0xd4, 1, 0, 0, -16), EXIT),
         .why = "section one, insn 0: opcode 0xd4 (le) has imm -16: expected 16, 32 or 64 bits"},
        {CODE(I(0x67, 1, 0, 0, 64), EXIT)}, /* shift counts are taken modulo the width */
    };
    ASSERT_PROGRAMS(list);
}

static void
test_atomics(void **state)
{
    static const int32_t known[] = {0x00, 0x40, 0x50, 0xa0, 0x01, 0x41, 0x51, 0xa1, 0xe1, 0xf1};
    for (int32_t imm = -256; imm < 512; imm++) {
        bool wanted = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            wanted = wanted || known[i] == imm;
        assert_accepted((struct bpf_insn)I(0xc3, 1, 2, 0, imm), wanted);
        assert_accepted((struct bpf_insn)I(0xdb, 1, 2, -32768, imm), wanted);
        /* what is fetched goes to src, but for cmpxchg, where it goes to r0 */
        bool fetches = (imm & 1) && imm != 0xf1;
        assert_accepted((struct bpf_insn)I(0xdb, 1, 10, 0, imm), wanted && !fetches);
    }
    const struct program list[] = {
        {CODE(I(0xdb, 1, 10, 0, 0x01), EXIT),
         .why = "section one, insn 0: opcode 0xdb (atomic) fetches into r10: it is the top of the "
                "stack and only read"},
        {CODE(I(0xc3, 1, 10, 0, 0xe1), EXIT),
         .why = "section one, insn 0: opcode 0xc3 (atomic) fetches into r10: it is the top of the "
                "stack and only read"},
        {CODE(I(0xdb, 1, 2, 0, 0xf0), EXIT),
         .why = "section one, insn 0: opcode 0xdb (atomic) has imm 0xf0: expected 0x0, 0x40, 0x50 "
                "or 0xa0, one of them plus 1, 0xe1 or 0xf1"},
        {CODE(I(0xc3, 1, 2, 0, INT32_MIN), EXIT),
         .why = "section one, insn 0: opcode 0xc3 (atomic) has imm 0x80000000: expected 0x0, 0x40, "
                "0x50 or 0xa0, one of them plus 1, 0xe1 or 0xf1"},
    };
    ASSERT_PROGRAMS(list);
}

static void
test_wide(void **state)
{
    const struct program list[] = {
        {CODE(I(0x18, 1, 0, 0, -1), I(0, 0, 0, 0, -1), EXIT)},
        /* a second half that is itself like a wide one, or like exit, in its imm only */
        {CODE(I(0x18, 1, 0, 0, 0), I(0, 0, 0, 0, 0x95), EXIT)},
        {CODE(I(0x18, 1, 1, 0, 0), I(0, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) has src 1, which names a map or another "
                "object of a kernel: expected 0"},
        {CODE(I(0x18, 1, 0, 1, 0), I(0, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) does not use off: must be 0, not 1"},
        {CODE(I(0x18, 1, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) has a second half with opcode 0x95, dst "
                "0, src 0, off 0: all must be 0, only imm is used"},
        {CODE(I(0x18, 1, 0, 0, 0), I(0, 1, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) has a second half with opcode 0x00, dst "
                "1, src 0, off 0: all must be 0, only imm is used"},
        {CODE(I(0x18, 1, 0, 0, 0), I(0, 0, 2, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) has a second half with opcode 0x00, dst "
                "0, src 2, off 0: all must be 0, only imm is used"},
        {CODE(I(0x18, 1, 0, 0, 0), I(0, 0, 0, -3, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) has a second half with opcode 0x00, dst "
                "0, src 0, off -3: all must be 0, only imm is used"},
        {CODE(I(0x18, 1, 0, 0, 0), I(0x18, 1, 0, 0, 0), I(0, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x18 (lddw) has a second half with opcode 0x18, dst "
                "1, src 0, off 0: all must be 0, only imm is used"},
        {CODE(EXIT, I(0x18, 1, 0, 0, 0)), .why = "section one, insn 1: opcode 0x18 (lddw) is wide "
                                                 "and has no second half: the section ends"},
        /* not even when the next section would begin with one */
        {CODE(EXIT, I(0x18, 1, 0, 0, 0), I(0, 0, 0, 0, 0), EXIT), .cuts = {2},
         .why = "section one, insn 1: opcode 0x18 (lddw) is wide and has no second half: the "
                "section ends"},
    };
    ASSERT_PROGRAMS(list);
}

static void
test_jumps(void **state)
{
    const struct program list[] = {
        {CODE(I(0x05, 0, 0, 0, 0), EXIT)},
        {CODE(I(0x05, 0, 0, -1, 0))}, /* for ever: the budget's business */
        {CODE(I(0x06, 0, 0, 0, 0), EXIT)},
        {CODE(I(0x06, 0, 0, 0, -1))},
        {CODE(I(0x15, 1, 0, 1, 0), EXIT, EXIT)},
        {CODE(I(0x05, 0, 0, 1, 0), EXIT), .why = "section one, insn 0: opcode 0x05 (ja) jumps to "
                                                 "insn 2, outside of the section (insn 0 to 1)"},
        {CODE(I(0x06, 0, 0, 0, 1), EXIT), .why = "section one, insn 0: opcode 0x06 (ja) jumps to "
                                                 "insn 2, outside of the section (insn 0 to 1)"},
        {CODE(I(0x1e, 1, 2, -2, 0), EXIT), .why = "section one, insn 0: opcode 0x1e (jeq) jumps to "
                                                  "insn -1, outside of the section (insn 0 to 1)"},
        {CODE(I(0x06, 0, 0, 0, INT32_MAX)),
         .why = "section one, insn 0: opcode 0x06 (ja) jumps to insn 2147483648, outside of the "
                "section (insn 0 to 0)"},
        {CODE(I(0x06, 0, 0, 0, INT32_MIN)),
         .why = "section one, insn 0: opcode 0x06 (ja) jumps to insn -2147483647, outside of the "
                "section (insn 0 to 0)"},
        {CODE(I(0x05, 0, 0, INT16_MIN, 0)),
         .why = "section one, insn 0: opcode 0x05 (ja) jumps to insn -32767, outside of the "
                "section (insn 0 to 0)"},
        /* over a wide instruction, into it from both sides */
        {CODE(I(0x05, 0, 0, 2, 0), I(0x18, 1, 0, 0, 0), I(0, 0, 0, 0, 0), EXIT)},
        {CODE(I(0x05, 0, 0, 1, 0), I(0x18, 1, 0, 0, 0), I(0, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x05 (ja) jumps to insn 2, the second half of a wide "
                "instruction"},
        {CODE(I(0x18, 1, 0, 0, 0), I(0, 0, 0, 0, 0), I(0xad, 1, 2, -2, 0), EXIT),
         .why = "section one, insn 2: opcode 0xad (jlt) jumps to insn 1, the second half of a wide "
                "instruction"},
        {CODE(I(0x18, 1, 0, 0, 0), I(0, 0, 0, 0, 0), I(0xad, 1, 2, -3, 0), EXIT)},
        /* into another section */
        {CODE(I(0x15, 0, 0, 1, 0), EXIT, EXIT), .cuts = {2},
         .why = "section one, insn 0: opcode 0x15 (jeq) jumps to insn 2, outside of the section "
                "(insn 0 to 1)"},
        {CODE(EXIT, EXIT, I(0x05, 0, 0, -2, 0)), .cuts = {2},
         .why = "section two, insn 0: opcode 0x05 (ja) jumps to insn -1, outside of the section "
                "(insn 0 to 0)"},
    };
    ASSERT_PROGRAMS(list);
}

static void
test_calls(void **state)
{
    const struct program list[] = {
        {CODE(I(0x85, 0, 0, 0, 0), I(0x85, 0, 0, 0, 2), EXIT)},
        {CODE(I(0x85, 0, 0, 0, 3), EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) calls helper 3: helpers are 0 to 2"},
        {CODE(I(0x85, 0, 0, 0, -1), EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) calls helper -1: helpers are 0 to 2"},
        {CODE(I(0x85, 0, 1, 0, 1), EXIT, EXIT)},
        {CODE(I(0x85, 0, 1, 0, -1), EXIT)}, /* itself */
        {CODE(I(0x85, 0, 1, 0, 2), EXIT, EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) calls insn 3, outside of the program "
                "(insn 0 to 2)"},
        {CODE(I(0x85, 0, 1, 0, INT32_MIN), EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) calls insn -2147483647, outside of the "
                "program (insn 0 to 1)"},
        {CODE(I(0x85, 0, 1, 0, 2), EXIT, I(0x18, 0, 0, 0, 0), I(0, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) calls insn 3, the second half of a wide "
                "instruction"},
        {CODE(I(0x85, 0, 2, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) has src 2, which calls a kernel function: "
                "expected 0 (helper) or 1 (local function)"},
        {CODE(I(0x85, 0, 3, 0, 0), EXIT), .why = "section one, insn 0: opcode 0x85 (call) has src "
                                                 "3: expected 0 (helper) or 1 (local function)"},
        {CODE(I(0x85, 0, 0, 1, 0), EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) does not use off: must be 0, not 1"},
        {CODE(I(0x85, 1, 0, 0, 0), EXIT),
         .why = "section one, insn 0: opcode 0x85 (call) does not use dst: must be 0, not 1"},
        /* across sections, both ways */
        {CODE(I(0x85, 0, 1, 0, 1), EXIT, I(0x85, 0, 1, 0, -3), EXIT), .cuts = {2}},
        {CODE(EXIT, EXIT, I(0x85, 0, 1, 0, -4), EXIT), .cuts = {2},
         .why = "section two, insn 0: opcode 0x85 (call) calls insn -3, outside of the program "
                "(insn -2 to 1)"},
        {CODE(I(0x85, 0, 1, 0, 2), EXIT, I(0x18, 0, 0, 0, 0), I(0, 0, 0, 0, 0), EXIT), .cuts = {2},
         .why = "section one, insn 0: opcode 0x85 (call) calls insn 3, the second half of a wide "
                "instruction"},
    };
    ASSERT_PROGRAMS(list);
}

static void
test_no_helpers(void **state)
{
    static const struct bpf_helper_table empty = {NULL, 0};
    const struct program calls = {CODE(I(0x85, 0, 0, 0, 0), EXIT)}, none = {CODE(EXIT)};
    struct bpf_check check;
    struct error error;
    assert_int_equal(run_check(&check, &none, NULL, &error), 0);
    bpf_check_deinit(&check);
    assert_int_equal(run_check(&check, &calls, NULL, &error), -1);
    assert_string_equal(
        error.text, "section one, insn 0: opcode 0x85 (call) calls helper 0: there are no helpers");
    assert_int_equal(run_check(&check, &calls, &empty, &error), -1);
}

static void
test_ends_of_sections(void **state)
{
    const struct program list[] = {
        {.why = "the program has no instructions: expected at least exit"},
        {CODE(I(0xb7, 0, 0, 0, 0), EXIT)},
        {CODE(EXIT, I(0x05, 0, 0, -2, 0))},
        {CODE(EXIT, I(0x06, 0, 0, 0, -2))},
        {CODE(EXIT, I(0xb7, 0, 0, 0, 0)),
         .why = "section one, insn 1: opcode 0xb7 (mov) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
        {CODE(EXIT, I(0x15, 0, 0, -2, 0)),
         .why = "section one, insn 1: opcode 0x15 (jeq) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
        {CODE(EXIT, I(0x85, 0, 0, 0, 0)),
         .why = "section one, insn 1: opcode 0x85 (call) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
        {CODE(EXIT, I(0x85, 0, 1, 0, -2)),
         .why = "section one, insn 1: opcode 0x85 (call) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
        {CODE(EXIT, I(0x18, 0, 0, 0, 0), I(0, 0, 0, 0, 0x95)),
         .why = "section one, insn 1: opcode 0x18 (lddw) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
        {CODE(I(0xb7, 0, 0, 0, 0), EXIT), .cuts = {1},
         .why = "section one, insn 0: opcode 0xb7 (mov) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
        {CODE(EXIT, EXIT, I(0xb7, 0, 0, 0, 0), EXIT, I(0x07, 0, 0, 0, 0)), .cuts = {1, 3},
         .why = "section two, insn 1: opcode 0xb7 (mov) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
        {CODE(EXIT, EXIT, EXIT, EXIT, I(0x07, 0, 0, 0, 0)), .cuts = {1, 3},
         .why = "section three, insn 1: opcode 0x07 (add) is the last of the section and goes on "
                "behind its end: expected exit or ja"},
    };
    ASSERT_PROGRAMS(list);
}

static void
test_the_first_error_is_reported(void **state)
{
    const struct program list[] = {
        {CODE(I(0xb7, 0, 0, 0, 0), I(0x05, 0, 0, 9, 0), I(0xff, 0, 0, 0, 0), EXIT),
         .why = "section one, insn 1: opcode 0x05 (ja) jumps to insn 11, outside of the section "
                "(insn 0 to 3)"},
    };
    ASSERT_PROGRAMS(list);
}

/* A section's name is whatever the file says. */
static void
test_names_stay_in_their_line(void **state)
{
    struct bpf_insn insn = {.opcode = 0xff};
    char name[200] = "a\n\x1b[31m\xc2\x9b";
    struct bpf_section section = {str_make(name, sizeof name), 0, 1};
    struct bpf_object object = {
        .insns = &insn, .insn_count = 1, .sections = &section, .section_count = 1};
    struct bpf_check check;
    struct error error;
    memset(name + 10, 'x', sizeof name - 10);
    assert_int_equal(bpf_check(&check, &object, NULL, 0, &error), -1);
    assert_string_equal(error.text,
                        "section a??[31m??\?xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, "
                        "insn 0: opcode 0xff is not one of the instructions of RFC 9669");
    section.name = (struct str){NULL, 0};
    assert_int_equal(bpf_check(&check, &object, NULL, 0, &error), -1);
    assert_string_equal(error.text,
                        "section , insn 0: opcode 0xff is not one of the instructions of RFC 9669");
}

/* Marks as letters, one instruction after the other: T target, F function, B back, W second half,
 * '.' none. */
static void
assert_marks(const struct program *program, const char *wanted)
{
    struct bpf_check check;
    struct error error;
    char text[128], *to = text;
    assert_int_equal(run_check(&check, program, &helpers, &error), 0);
    for (uint32_t i = 0; i < program->count; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            if (check.marks[i] >> bit & 1)
                *to++ = bit < 4 ? "TFBW"[bit] : '?';
        }
        *to++ = check.marks[i] ? ' ' : '.';
    }
    *to = '\0';
    assert_string_equal(text, wanted);
    bpf_check_deinit(&check);
}

static void
test_marks(void **state)
{
    const struct program straight = {CODE(I(0xb7, 0, 0, 0, 0), EXIT)};
    const struct program forward = {CODE(I(0x15, 0, 0, 0, 0), I(0x15, 0, 0, 1, 0), EXIT, EXIT)};
    const struct program back = {
        CODE(I(0xb7, 0, 0, 0, 0), I(0xb7, 0, 0, 0, 0), I(0x55, 0, 0, -2, 0), I(0x05, 0, 0, -1, 0))};
    const struct program far = {CODE(I(0x06, 0, 0, 0, 0), I(0x06, 0, 0, 0, -1))};
    const struct program first = {CODE(I(0x05, 0, 0, -1, 0))};
    const struct program wide = {CODE(I(0x18, 0, 0, 0, 0), I(0, 0, 0, 0, 0x18), I(0x18, 0, 0, 0, 0),
                                      I(0, 0, 0, 0, 0), I(0x05, 0, 0, -3, 0))};
    const struct program calls = {
        CODE(I(0x85, 0, 1, 0, 1), EXIT, I(0x85, 0, 1, 0, 2), EXIT, EXIT, EXIT, EXIT),
        .cuts = {4, 6},
    };
    const struct program both = {CODE(I(0x05, 0, 0, 0, 0), I(0x85, 0, 1, 0, -1), EXIT)};
    assert_marks(&straight, "F .");
    assert_marks(&forward, "F T .T ");
    assert_marks(&back, "F T B TB ");
    assert_marks(&far, "F TB ");
    assert_marks(&first, "TFB ");
    assert_marks(&wide, "F W T W B ");
    assert_marks(&calls, "F .F .F F F ");
    assert_marks(&both, "F TF .");
}

struct stores {
    const struct bpf_insn *insns;
    uint32_t count;
    bool wild;
    uint32_t low;
};

static void
test_stores(void **state)
{
    const struct stores list[] = {
        {CODE(EXIT), false, 0},
        /* loads, also through other registers, are none */
        {CODE(I(0x79, 0, 1, -8, 0), I(0x79, 0, 10, -16, 0), EXIT), false, 0},
        {CODE(I(0x7a, 10, 0, -8, 0), EXIT), false, 8},
        {CODE(I(0x73, 10, 1, -1, 0), EXIT), false, 1},
        {CODE(I(0xdb, 10, 1, -64, 1), EXIT), false, 64},
        {CODE(I(0x7b, 10, 1, -16, 0), I(0x7b, 10, 1, -400, 0), I(0x7b, 10, 1, -8, 0), EXIT), false,
         400},
        {CODE(I(0x7b, 10, 1, -4096, 0), EXIT), false, 4096},
        {CODE(I(0x7b, 10, 1, -4097, 0), EXIT), false, 4097},
        {CODE(I(0x72, 10, 0, INT16_MIN, 0), EXIT), false, 32768},
        /* unreachable code counts as well */
        {CODE(EXIT, I(0x7a, 10, 0, -24, 0), EXIT), false, 24},
        /* at or above the top, or across it */
        {CODE(I(0x72, 10, 0, 0, 0), EXIT), true, 0},
        {CODE(I(0x7b, 10, 1, 8, 0), EXIT), true, 0},
        {CODE(I(0x7b, 10, 1, -7, 0), EXIT), true, 0},
        {CODE(I(0x63, 10, 1, -3, 0), EXIT), true, 0},
        {CODE(I(0x63, 10, 1, -4, 0), EXIT), false, 4},
        {CODE(I(0x6a, 10, 0, -1, 0), EXIT), true, 0},
        {CODE(I(0xc3, 10, 1, -2, 0), EXIT), true, 0},
        /* through another register, whatever it holds */
        {CODE(I(0x72, 1, 0, 0, 0), EXIT), true, 0},
        {CODE(I(0x7b, 1, 10, -8, 0), EXIT), true, 0},
        {CODE(I(0xc3, 9, 1, -8, 0), EXIT), true, 0},
        {CODE(I(0x72, 1, 0, 0, 0), I(0x7a, 10, 0, -8, 0), EXIT), true, 8},
        /* local calls: r10 may be a lower one */
        {CODE(I(0x85, 0, 1, 0, 1), EXIT, EXIT), false, 0},
        {CODE(I(0x85, 0, 0, 0, 1), I(0x7a, 10, 0, -8, 0), EXIT), false, 8},
        {CODE(I(0x85, 0, 1, 0, 1), EXIT, I(0x7a, 10, 0, -8, 0), EXIT), true, 8},
        {CODE(I(0x7a, 10, 0, -8, 0), I(0x85, 0, 1, 0, 1), EXIT, EXIT), true, 8},
    };
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        const struct program program = {.insns = list[i].insns, .count = list[i].count};
        struct bpf_check check;
        struct error error = {""};
        if (run_check(&check, &program, &helpers, &error) < 0)
            fail_msg("row %u: %s", i, error.text);
        if (check.wild_stores != list[i].wild || (!list[i].wild && check.stack_low != list[i].low))
            fail_msg("row %u: wild %d, low %u", i, check.wild_stores, check.stack_low);
        bpf_check_deinit(&check);
    }
}

/* One section that calls, another that stores. */
static void
test_stores_of_other_sections(void **state)
{
    const struct program program = {
        CODE(I(0x7a, 10, 0, -8, 0), EXIT, I(0x85, 0, 1, 0, -3), EXIT),
        .cuts = {2},
    };
    const struct program tame = {
        CODE(I(0x7a, 10, 0, -8, 0), EXIT, I(0x7a, 10, 0, -32, 0), EXIT),
        .cuts = {2},
    };
    struct bpf_check check;
    struct error error;
    assert_int_equal(run_check(&check, &program, NULL, &error), 0);
    assert_true(check.wild_stores);
    bpf_check_deinit(&check);
    assert_int_equal(run_check(&check, &tame, NULL, &error), 0);
    assert_false(check.wild_stores);
    assert_int_equal(check.stack_low, 32);
    bpf_check_deinit(&check);
}

static void
test_calls_by_register_are_told(void **state)
{
    const struct program with = {CODE(I(0x8d, 2, 0, 0, 0), EXIT), .flags = BPF_ALLOW_CALLX};
    const struct program without = {CODE(EXIT), .flags = BPF_ALLOW_CALLX};
    struct bpf_check check;
    struct error error;
    assert_int_equal(run_check(&check, &with, NULL, &error), 0);
    assert_true(check.calls_by_register);
    bpf_check_deinit(&check);
    assert_int_equal(run_check(&check, &without, NULL, &error), 0);
    assert_false(check.calls_by_register);
    bpf_check_deinit(&check);
}

/* `count` instructions, all exit. To be freed. */
static struct bpf_insn *
make_exits(uint32_t count)
{
    struct bpf_insn *insns = calloc(count, sizeof *insns);
    assert_non_null(insns);
    for (uint32_t i = 0; i < count; i++)
        insns[i].opcode = 0x95;
    return insns;
}

static int
check_insns(struct bpf_check *check, const struct bpf_insn *insns, uint32_t count)
{
    const struct program program = {.insns = insns, .count = count};
    struct error error;
    return run_check(check, &program, &helpers, &error);
}

/* Whether `insn` at `at` of so many exits is accepted; then its target is marked. */
static bool
jump_is_accepted(struct bpf_insn insn, uint32_t at, uint32_t count)
{
    struct bpf_insn *insns = make_exits(count);
    struct bpf_check check;
    insns[at] = insn;
    bool accepted = check_insns(&check, insns, count) == 0;
    if (accepted) {
        int64_t target = bpf_jump_target(insn, at);
        assert_true(check.marks[target] & BPF_MARK_TARGET);
        assert_int_equal(!!(check.marks[at] & BPF_MARK_BACK), target <= at);
    }
    bpf_check_deinit(&check);
    free(insns);
    return accepted;
}

static void
test_furthest_jumps(void **state)
{
    const struct bpf_insn up = I(0x05, 0, 0, INT16_MAX, 0), down = I(0x1d, 0, 0, INT16_MIN, 0);
    assert_true(jump_is_accepted(up, 0, 32769));
    assert_false(jump_is_accepted(up, 0, 32768));
    assert_true(jump_is_accepted(up, 5, 32774));
    assert_false(jump_is_accepted(up, 5, 32773));
    assert_true(jump_is_accepted(down, 32767, 40000));
    assert_false(jump_is_accepted(down, 32766, 40000));
    const uint32_t count = BPF_INSNS_MAX;
    assert_true(jump_is_accepted((struct bpf_insn)I(0x06, 0, 0, 0, (int)count - 2), 0, count));
    assert_false(jump_is_accepted((struct bpf_insn)I(0x06, 0, 0, 0, (int)count - 1), 0, count));
    assert_true(jump_is_accepted((struct bpf_insn)I(0x06, 0, 0, 0, -(int)count), count - 1, count));
    assert_false(
        jump_is_accepted((struct bpf_insn)I(0x06, 0, 0, 0, -(int)count - 1), count - 1, count));
}

/* The longest program, of instructions that all go to the same, cost a few nanoseconds each. */
static void
test_the_longest_program_takes_linear_time(void **state)
{
    static const struct bpf_insn each[] = {
        I(0x15, 0, 0, 0, 0),  I(0x7a, 10, 0, -8, 0), I(0x18, 0, 0, 0, 0),
        I(0x06, 0, 0, 0, -1), I(0x85, 0, 1, 0, 0),
    };
    const uint32_t count = BPF_INSNS_MAX;
    for (size_t kind = 0; kind < sizeof each / sizeof *each; kind++) {
        struct bpf_insn *insns = make_exits(count);
        struct bpf_check check;
        bool wide = bpf_is_wide(each[kind]);
        for (uint32_t i = 0; i + 2 < count; i += wide ? 2 : 1) {
            insns[i] = each[kind];
            if (each[kind].opcode == 0x85)
                insns[i].imm = -(int32_t)i - 1;
            if (wide)
                insns[i + 1] = (struct bpf_insn){0};
        }
        clock_t start = clock();
        assert_int_equal(check_insns(&check, insns, count), 0);
        assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
        bpf_check_deinit(&check);
        free(insns);
    }
}

static void
test_many_sections(void **state)
{
    const uint32_t count = BPF_SECTIONS_MAX;
    struct bpf_insn *insns = make_exits(count);
    struct bpf_section *sections = calloc(count, sizeof *sections);
    struct bpf_check check;
    struct error error;
    assert_non_null(sections);
    for (uint32_t i = 0; i < count; i++)
        sections[i] = (struct bpf_section){STR("s"), i, 1};
    struct bpf_object object = {
        .insns = insns, .insn_count = count, .sections = sections, .section_count = count};
    assert_int_equal(bpf_check(&check, &object, NULL, 0, &error), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(check.marks[i], BPF_MARK_FUNCTION);
    bpf_check_deinit(&check);
    free(sections);
    free(insns);
}

static void
test_deinit_twice(void **state)
{
    const struct program program = {CODE(EXIT)};
    struct bpf_check check;
    struct error error;
    assert_int_equal(run_check(&check, &program, NULL, &error), 0);
    bpf_check_deinit(&check);
    bpf_check_deinit(&check);
}

/* One line of cases.txt: name|memory|program|result. */
static void
assert_published_case(char *line)
{
    static const struct bpf_helper many[64];
    static const struct bpf_helper_table table = {many, 64};
    char *rest = line, *name = strsep(&rest, "|");
    strsep(&rest, "|");
    char *hex = strsep(&rest, "|"), *end;
    size_t len = 0, size = strlen(hex) / 3 + 1;
    uint8_t *bytes = calloc(size + sizeof(struct bpf_insn), 1);
    assert_non_null(bytes);
    for (unsigned long value = strtoul(hex, &end, 16); end != hex; value = strtoul(hex, &end, 16)) {
        bytes[len++] = (uint8_t)value;
        hex = end;
    }
    struct program program = {
        .insns = (const struct bpf_insn *)(const void *)bytes,
        .count = (uint32_t)(len / sizeof(struct bpf_insn)),
        .flags = BPF_ALLOW_CALLX,
    };
    struct bpf_check check;
    struct error error = {""};
    if (run_check(&check, &program, &table, &error) < 0)
        fail_msg("%s: %s", name, error.text);
    bpf_check_deinit(&check);
    free(bytes);
}

static void
test_published_cases_are_programs(void **state)
{
    FILE *file = fopen("../shared/data/bpf/cases.txt", "re");
    char *line = NULL;
    size_t size = 0, count = 0;
    if (!file) {
        print_message("skipped: ../shared/data/bpf/cases.txt is not there\n");
        skip();
        return;
    }
    for (; getline(&line, &size, file) > 0; count++)
        assert_published_case(line);
    assert_true(count > 0);
    free(line);
    fclose(file);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opcodes),
        cmocka_unit_test(test_registers),
        cmocka_unit_test(test_fields_not_used),
        cmocka_unit_test(test_every_opcode_with_every_field),
        cmocka_unit_test(test_variations),
        cmocka_unit_test(test_atomics),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_no_helpers),
        cmocka_unit_test(test_ends_of_sections),
        cmocka_unit_test(test_the_first_error_is_reported),
        cmocka_unit_test(test_names_stay_in_their_line),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_stores_of_other_sections),
        cmocka_unit_test(test_calls_by_register_are_told),
        cmocka_unit_test(test_furthest_jumps),
        cmocka_unit_test(test_the_longest_program_takes_linear_time),
        cmocka_unit_test(test_many_sections),
        cmocka_unit_test(test_deinit_twice),
        cmocka_unit_test(test_published_cases_are_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
