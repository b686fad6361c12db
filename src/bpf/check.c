/* Each section is walked twice. The first walk marks the second halves of wide instructions; the
 * second looks at one instruction after the other, so that the line that is reported is that of the
 * first wrong one, and a jump forward already knows whether an instruction starts where it goes.
 *
 * What follows from the rules: control flow never leaves a section but by a call, a call goes to
 * the start of an instruction, and behind the last instruction of a section nothing is run.
 */
#include "bpf/check.h"

#include "base/must.h"
#include "bpf/name_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Modes of the class LD that read packets, in front of RFC 9669 (its section 5.4). */
enum { MODE_MASK = 0xe7, PACKET_ABSOLUTE = 0x20, PACKET_INDIRECT = 0x40 };

struct checker {
    struct bpf_check *check;
    const struct bpf_object *object;
    const struct bpf_section *section; /* that is walked */
    uint32_t at;                       /* the instruction that is looked at */
    uint32_t helper_count;
    unsigned flags;
    bool has_stores, has_local_calls;
    struct error *error;
};

/* The line of the instruction that is looked at. Returns -1. */
static int __attribute__((format(printf, 2, 3)))
fail(const struct checker *checker, const char *format, ...)
{
    char why[ERROR_TEXT_MAX], section[BPF_NAME_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    uint8_t code = checker->object->insns[checker->at].opcode;
    const char *name = bpf_opcodes[code].name;
    return error_set(checker->error, "section %s, insn %u: opcode 0x%02x%s%s%s %s",
                     bpf_name_text(section, checker->section->name),
                     checker->at - checker->section->first, code, name ? " (" : "",
                     name ? name : "", name ? ")" : "", why);
}

static int
check_opcode(const struct checker *checker, struct bpf_insn insn)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    unsigned mode = insn.opcode & MODE_MASK;
    if (opcode->op == BPF_OP_NONE && (mode == PACKET_ABSOLUTE || mode == PACKET_INDIRECT))
        return fail(checker, "reads a packet: scripts have none");
    if (opcode->op == BPF_OP_NONE)
        return fail(checker, "is not one of the instructions of RFC 9669");
    if (opcode->op == BPF_OP_CALLX && !(checker->flags & BPF_ALLOW_CALLX))
        return fail(checker, "calls by register, which is not allowed here: a call names a helper "
                             "or a function");
    return 0;
}

static int
check_register(const struct checker *checker, const char *field, unsigned number)
{
    if (number >= BPF_REG_COUNT)
        return fail(checker, "has r%u as %s: registers are r0 to r10", number, field);
    return 0;
}

static int
check_dst(const struct checker *checker, struct bpf_insn insn, unsigned uses)
{
    if (!(uses & BPF_USES_DST))
        return insn.dst ? fail(checker, "does not use dst: must be 0, not %u", insn.dst) : 0;
    if ((uses & BPF_WRITES_DST) && insn.dst == BPF_REG_STACK)
        return fail(checker, "writes r10: it is the top of the stack and only read");
    return check_register(checker, "dst", insn.dst);
}

/* Of a call, src is no register but says what is called. */
static int
check_call_kind(const struct checker *checker, unsigned kind)
{
    if (kind == BPF_CALL_HELPER || kind == BPF_CALL_LOCAL)
        return 0;
    if (kind == 2)
        return fail(checker, "has src 2, which calls a kernel function: expected 0 (helper) or 1 "
                             "(local function)");
    return fail(checker, "has src %u: expected 0 (helper) or 1 (local function)", kind);
}

static int
check_src(const struct checker *checker, struct bpf_insn insn, const struct bpf_opcode *opcode)
{
    if (opcode->op == BPF_OP_CALL)
        return check_call_kind(checker, insn.src);
    if (opcode->op == BPF_OP_LDDW && insn.src)
        return fail(checker,
                    "has src %u, which names a map or another object of a kernel: "
                    "expected 0",
                    insn.src);
    if (!(opcode->uses & BPF_USES_SRC))
        return insn.src ? fail(checker, "does not use src: must be 0, not %u", insn.src) : 0;
    return check_register(checker, "src", insn.src);
}

static int
check_mov_off(const struct checker *checker, int off, unsigned width)
{
    if (off == 0 || off == 8 || off == 16 || (off == 32 && width == 64))
        return 0;
    return fail(checker, "has off %d: expected 0, or the bits to extend the sign of: %s", off,
                width == 64 ? "8, 16 or 32" : "8 or 16");
}

static int
check_off(const struct checker *checker, struct bpf_insn insn, const struct bpf_opcode *opcode)
{
    int off = insn.off;
    if (!(opcode->uses & BPF_USES_OFF))
        return off ? fail(checker, "does not use off: must be 0, not %d", off) : 0;
    if (opcode->op == BPF_OP_MOV)
        return check_mov_off(checker, off, opcode->width);
    if ((opcode->op == BPF_OP_DIV || opcode->op == BPF_OP_MOD) && off != 0 && off != 1)
        return fail(checker, "has off %d: expected 0 (unsigned) or 1 (signed)", off);
    return 0;
}

/* RFC 9669 section 5.3. Those that fetch write src, so it must not be r10. */
static int
check_atomic(const struct checker *checker, struct bpf_insn insn)
{
    bool fetches = true;
    switch ((uint32_t)insn.imm) {
    case BPF_ATOMIC_ADD:
    case BPF_ATOMIC_OR:
    case BPF_ATOMIC_AND:
    case BPF_ATOMIC_XOR:
    case BPF_ATOMIC_CMPXCHG: /* writes r0 */
        fetches = false;
        break;
    case BPF_ATOMIC_ADD | BPF_ATOMIC_FETCH:
    case BPF_ATOMIC_OR | BPF_ATOMIC_FETCH:
    case BPF_ATOMIC_AND | BPF_ATOMIC_FETCH:
    case BPF_ATOMIC_XOR | BPF_ATOMIC_FETCH:
    case BPF_ATOMIC_XCHG:
        break;
    default:
        return fail(checker,
                    "has imm 0x%x: expected 0x0, 0x40, 0x50 or 0xa0, one of them plus 1, "
                    "0xe1 or 0xf1",
                    (unsigned)insn.imm);
    }
    if (fetches && insn.src == BPF_REG_STACK)
        return fail(checker, "fetches into r10: it is the top of the stack and only read");
    return 0;
}

static int
check_imm(const struct checker *checker, struct bpf_insn insn, const struct bpf_opcode *opcode)
{
    int imm = insn.imm;
    if (!(opcode->uses & BPF_USES_IMM))
        return imm ? fail(checker, "does not use imm: must be 0, not %d", imm) : 0;
    bool swaps = opcode->op >= BPF_OP_LE && opcode->op <= BPF_OP_SWAP;
    if (swaps && imm != 16 && imm != 32 && imm != 64)
        return fail(checker, "has imm %d: expected 16, 32 or 64 bits", imm);
    return opcode->op == BPF_OP_ATOMIC ? check_atomic(checker, insn) : 0;
}

static int
check_fields(const struct checker *checker, struct bpf_insn insn)
{
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    int result = check_opcode(checker, insn);
    if (result == 0)
        result = check_dst(checker, insn, opcode->uses);
    if (result == 0)
        result = check_src(checker, insn, opcode);
    if (result == 0)
        result = check_off(checker, insn, opcode);
    if (result == 0)
        result = check_imm(checker, insn, opcode);
    return result;
}

static uint32_t
section_end(const struct bpf_section *section)
{
    return section->first + section->count;
}

static int
check_wide(const struct checker *checker)
{
    if (checker->at + 1 == section_end(checker->section))
        return fail(checker, "is wide and has no second half: the section ends");
    struct bpf_insn half = checker->object->insns[checker->at + 1];
    if (half.opcode || half.dst || half.src || half.off)
        return fail(checker,
                    "has a second half with opcode 0x%02x, dst %u, src %u, off %d: all "
                    "must be 0, only imm is used",
                    half.opcode, half.dst, half.src, half.off);
    return 0;
}

static int
check_jump(const struct checker *checker, struct bpf_insn insn)
{
    uint8_t *marks = checker->check->marks;
    const struct bpf_section *section = checker->section;
    int64_t target = bpf_jump_target(insn, checker->at), first = section->first;
    if (target < first || target >= section_end(section))
        return fail(checker, "jumps to insn %lld, outside of the section (insn 0 to %u)",
                    (long long)(target - first), section->count - 1);
    if (marks[target] & BPF_MARK_WIDE_HALF)
        return fail(checker, "jumps to insn %lld, the second half of a wide instruction",
                    (long long)(target - first));
    marks[target] |= BPF_MARK_TARGET;
    if (target <= checker->at)
        marks[checker->at] |= BPF_MARK_BACK;
    return 0;
}

/* Into any section. Lines count from the start of the caller's, as jumps do. */
static int
check_local_call(struct checker *checker, struct bpf_insn insn)
{
    uint8_t *marks = checker->check->marks;
    uint32_t first = checker->section->first;
    int64_t target = bpf_call_target(insn, checker->at);
    if (target < 0 || target >= checker->object->insn_count)
        return fail(checker, "calls insn %lld, outside of the program (insn %lld to %lld)",
                    (long long)target - first, -(long long)first,
                    (long long)checker->object->insn_count - 1 - first);
    if (marks[target] & BPF_MARK_WIDE_HALF)
        return fail(checker, "calls insn %lld, the second half of a wide instruction",
                    (long long)target - first);
    marks[target] |= BPF_MARK_FUNCTION;
    checker->has_local_calls = true;
    return 0;
}

static int
check_helper_call(const struct checker *checker, struct bpf_insn insn)
{
    uint32_t count = checker->helper_count;
    if ((uint32_t)insn.imm < count)
        return 0;
    if (count == 0)
        return fail(checker, "calls helper %d: there are no helpers", insn.imm);
    return fail(checker, "calls helper %d: helpers are 0 to %u", insn.imm, count - 1);
}

static int
check_call(struct checker *checker, struct bpf_insn insn)
{
    if (insn.src == BPF_CALL_LOCAL)
        return check_local_call(checker, insn);
    return check_helper_call(checker, insn);
}

/* A store is tame when it is through r10 and all of it is below the top of the frame. What is below
 * the frame, down to all that 16 bits reach, is still counted. */
static void
note_store(struct checker *checker, struct bpf_insn insn)
{
    struct bpf_check *check = checker->check;
    int len = bpf_opcodes[insn.opcode].width / 8;
    checker->has_stores = true;
    if (insn.dst != BPF_REG_STACK || insn.off + len > 0)
        check->wild_stores = true;
    else if (check->stack_low < (uint32_t)-insn.off)
        check->stack_low = (uint32_t)-insn.off;
}

static int
check_insn(struct checker *checker)
{
    struct bpf_insn insn = checker->object->insns[checker->at];
    if (check_fields(checker, insn) < 0)
        return -1;
    switch (bpf_opcodes[insn.opcode].op) {
    case BPF_OP_LDDW:
        return check_wide(checker);
    case BPF_OP_CALL:
        return check_call(checker, insn);
    case BPF_OP_CALLX:
        checker->check->calls_by_register = true;
        return 0;
    case BPF_OP_ST:
    case BPF_OP_STX:
    case BPF_OP_ATOMIC:
        note_store(checker, insn);
        return 0;
    default:
        return bpf_is_jump(insn) ? check_jump(checker, insn) : 0;
    }
}

/* `checker->at` is the last instruction of the section. */
static int
check_last(const struct checker *checker)
{
    uint8_t op = bpf_opcodes[checker->object->insns[checker->at].opcode].op;
    if (op == BPF_OP_EXIT || op == BPF_OP_JA)
        return 0;
    return fail(checker, "is the last of the section and goes on behind its end: expected exit or "
                         "ja");
}

static int
check_section(struct checker *checker)
{
    uint32_t end = section_end(checker->section), next = checker->section->first;
    checker->check->marks[next] |= BPF_MARK_FUNCTION;
    while (next < end) {
        checker->at = next;
        if (check_insn(checker) < 0)
            return -1;
        next += bpf_is_wide(checker->object->insns[next]) ? 2 : 1;
    }
    return check_last(checker);
}

/* Where nothing starts. A wide instruction that the section's end cuts has no second half. */
static void
mark_wide_halves(const struct checker *checker)
{
    uint32_t end = section_end(checker->section);
    for (uint32_t at = checker->section->first; at + 1 < end; at++) {
        if (bpf_is_wide(checker->object->insns[at]))
            checker->check->marks[++at] |= BPF_MARK_WIDE_HALF;
    }
}

static int
check_program(struct checker *checker)
{
    const struct bpf_object *object = checker->object;
    uint32_t next = 0;
    for (uint32_t i = 0; i < object->section_count; i++) {
        checker->section = &object->sections[i];
        must(checker->section->first == next && checker->section->count > 0);
        next = section_end(checker->section);
        must(next <= object->insn_count);
        mark_wide_halves(checker);
    }
    must(next == object->insn_count);
    for (uint32_t i = 0; i < object->section_count; i++) {
        checker->section = &object->sections[i];
        if (check_section(checker) < 0)
            return -1;
    }
    /* A called function's r10 is a lower one, of a frame that is not known here. */
    if (checker->has_local_calls && checker->has_stores)
        checker->check->wild_stores = true;
    return 0;
}

int
bpf_check(struct bpf_check *check, const struct bpf_object *object,
          const struct bpf_helper_table *helpers, unsigned flags, struct error *error)
{
    *check = (struct bpf_check){0};
    if (object->insn_count == 0)
        return error_set(error, "the program has no instructions: expected at least exit");
    check->marks = calloc(object->insn_count, 1);
    if (!check->marks)
        return error_set(error, "no memory to check %u instructions", object->insn_count);
    struct checker checker = {
        .check = check,
        .object = object,
        .helper_count = helpers ? helpers->count : 0,
        .flags = flags,
        .error = error,
    };
    int result = check_program(&checker);
    if (result < 0)
        bpf_check_deinit(check);
    return result;
}

void
bpf_check_deinit(struct bpf_check *check)
{
    free(check->marks);
    *check = (struct bpf_check){0};
}
