/* Fuzzes the checker and the disassembler. Input: three bytes of control, then instructions of
 * eight bytes.
 *
 *     byte 0: bit 0 calls by register are allowed; bit 1 bend the instructions towards valid ones;
 *             bits 2 and 3 the number of sections, less one; the rest the number of helpers
 *     byte 1: where the sections begin
 *     byte 2: with bit 1 of byte 0, the instruction that is left as it is
 *
 * Checked against a model that decodes opcodes by their bits, as RFC 9669 describes them, instead
 * of by the table: it accepts the same programs, with the same marks and the same stores; every
 * way that control can take leads to the start of an instruction. What is refused has a line.
 */
#include "bpf/check.h"
#include "bpf/disasm.h"

#include <stdlib.h>

enum { CONTROL_LEN = 3, INSNS_MAX = 256, SECTIONS_MAX = 4, HELPERS_MAX = 16 };

struct model {
    const struct bpf_object *object;
    uint32_t helper_count;
    bool allow_callx;
    bool second[INSNS_MAX];      /* the second half of a wide instruction */
    unsigned section[INSNS_MAX]; /* that an instruction is in */
    uint8_t marks[INSNS_MAX];
    bool wild, callx;
    uint32_t stack_low;
};

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static bool
is_one_of(int64_t value, const int *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == value)
            return true;
    }
    return false;
}

#define IS_ONE_OF(value, ...) \
    is_one_of(value, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/* src or imm, by the source bit. */
static bool
model_operand(struct bpf_insn insn)
{
    return insn.opcode & 8 ? insn.src <= 10 && insn.imm == 0 : insn.src == 0;
}

static bool
model_alu(struct bpf_insn insn, bool is_64)
{
    bool reg = insn.opcode & 8;
    if (insn.dst >= 10)
        return false;
    switch (insn.opcode >> 4) {
    case 0x3: /* division */
    case 0x9: /* remainder */
        return IS_ONE_OF(insn.off, 0, 1) && model_operand(insn);
    case 0x8: /* negation */
        return !reg && insn.src == 0 && insn.off == 0 && insn.imm == 0;
    case 0xb: /* move */
        if (!reg)
            return insn.off == 0 && model_operand(insn);
        return (IS_ONE_OF(insn.off, 0, 8, 16) || (is_64 && insn.off == 32)) && model_operand(insn);
    case 0xd: /* byte swap */
        return !(reg && is_64) && insn.src == 0 && insn.off == 0 && IS_ONE_OF(insn.imm, 16, 32, 64);
    case 0xe:
    case 0xf:
        return false;
    default:
        return insn.off == 0 && model_operand(insn);
    }
}

static bool
model_call(const struct model *model, struct bpf_insn insn)
{
    if (insn.dst || insn.off)
        return false;
    return insn.src == 1 ||
           (insn.src == 0 && insn.imm >= 0 && (uint32_t)insn.imm < model->helper_count);
}

/* All but where it goes. */
static bool
model_jump(const struct model *model, struct bpf_insn insn)
{
    switch (insn.opcode) {
    case 0x05:
        return !insn.dst && !insn.src && !insn.imm;
    case 0x06:
        return !insn.dst && !insn.src && !insn.off;
    case 0x85:
        return model_call(model, insn);
    case 0x8d:
        return model->allow_callx && insn.dst <= 10 && !insn.src && !insn.off && !insn.imm;
    case 0x95:
        return !insn.dst && !insn.src && !insn.off && !insn.imm;
    }
    unsigned code = insn.opcode >> 4;
    return code != 0 && code != 8 && code != 9 && code < 0xe && insn.dst <= 10 &&
           model_operand(insn);
}

static bool
model_atomic(struct bpf_insn insn)
{
    if (insn.src > 10 || insn.dst > 10)
        return false;
    if (IS_ONE_OF(insn.imm, 0x00, 0x40, 0x50, 0xa0, 0xf1))
        return true;
    return insn.src < 10 && IS_ONE_OF(insn.imm, 0x01, 0x41, 0x51, 0xa1, 0xe1);
}

/* LD, LDX, ST and STX: mode and width. */
static bool
model_memory(struct bpf_insn insn)
{
    unsigned mode = insn.opcode & 0xe0, width = insn.opcode & 0x18;
    switch (insn.opcode & 7) {
    case 0:
        return insn.opcode == 0x18 && insn.dst < 10 && !insn.src && !insn.off;
    case 1:
        return (mode == 0x60 || (mode == 0x80 && width != 0x18)) && insn.dst < 10 &&
               insn.src <= 10 && !insn.imm;
    case 2:
        return mode == 0x60 && insn.dst <= 10 && !insn.src;
    default:
        if (mode == 0xc0 && (width == 0x00 || width == 0x18))
            return model_atomic(insn);
        return mode == 0x60 && insn.dst <= 10 && insn.src <= 10 && !insn.imm;
    }
}

static bool
model_fields(const struct model *model, struct bpf_insn insn)
{
    switch (insn.opcode & 7) {
    case 4:
    case 7:
        return model_alu(insn, (insn.opcode & 7) == 7);
    case 5:
    case 6:
        return ((insn.opcode & 7) == 5 || !IS_ONE_OF(insn.opcode >> 4, 8, 9)) &&
               model_jump(model, insn);
    default:
        return model_memory(insn);
    }
}

/* Whether control may go from `at` to `to`. */
static bool
model_step(const struct model *model, uint32_t at, int64_t to, bool call)
{
    if (to < 0 || to >= model->object->insn_count || model->second[to])
        return false;
    return call || model->section[to] == model->section[at];
}

static bool
model_goes_somewhere(struct bpf_insn insn)
{
    return IS_ONE_OF(insn.opcode & 7, 5, 6) && !IS_ONE_OF(insn.opcode, 0x85, 0x8d, 0x95);
}

/* Where the instruction at `at` goes, and the marks that it leaves. */
static bool
model_flow(struct model *model, uint32_t at)
{
    struct bpf_insn insn = model->object->insns[at];
    bool wide = insn.opcode == 0x18, falls = !IS_ONE_OF(insn.opcode, 0x05, 0x06, 0x95);
    int64_t to = (int64_t)at + 1 + (insn.opcode == 0x06 ? insn.imm : insn.off);
    if (falls && !model_step(model, at, (int64_t)at + (wide ? 2 : 1), false))
        return false;
    if (insn.opcode == 0x85 && insn.src == 1) {
        to = (int64_t)at + 1 + insn.imm;
        if (!model_step(model, at, to, true))
            return false;
        model->marks[to] |= BPF_MARK_FUNCTION;
    }
    if (model_goes_somewhere(insn)) {
        if (!model_step(model, at, to, false))
            return false;
        model->marks[to] |= BPF_MARK_TARGET;
        model->marks[at] |= to <= (int64_t)at ? BPF_MARK_BACK : 0;
    }
    return true;
}

static bool
model_half(struct bpf_insn insn)
{
    return !insn.opcode && !insn.dst && !insn.src && !insn.off;
}

static bool
model_wide(const struct model *model, uint32_t at)
{
    uint32_t next = at + 1;
    return next < model->object->insn_count && model->section[next] == model->section[at] &&
           model_half(model->object->insns[next]);
}

/* A wide instruction takes what follows, be it right or wrong, but never from another section. */
static void
model_mark_halves(struct model *model)
{
    const struct bpf_object *object = model->object;
    for (uint32_t at = 0; at + 1 < object->insn_count; at++) {
        if (!model->second[at] && object->insns[at].opcode == 0x18 &&
            model->section[at + 1] == model->section[at]) {
            model->second[at + 1] = true;
            model->marks[at + 1] |= BPF_MARK_WIDE_HALF;
        }
    }
}

static bool
model_accepts(struct model *model)
{
    const struct bpf_object *object = model->object;
    for (uint32_t at = 0; at < object->insn_count; at++) {
        struct bpf_insn insn = object->insns[at];
        if (model->second[at])
            continue;
        if (!model_fields(model, insn) || !model_flow(model, at))
            return false;
        if (insn.opcode == 0x18 && !model_wide(model, at))
            return false;
    }
    return object->insn_count > 0;
}

/* The bytes that a store may change, one by one. */
static void
model_store(struct model *model, struct bpf_insn insn)
{
    static const int lens[4] = {4, 2, 1, 8};
    for (int i = 0; i < lens[insn.opcode >> 3 & 3]; i++) {
        int at = insn.off + i;
        model->wild = model->wild || insn.dst != 10 || at >= 0;
        if (insn.dst == 10 && at < 0 && model->stack_low < (uint32_t)-at)
            model->stack_low = (uint32_t)-at;
    }
}

static void
model_stores(struct model *model)
{
    bool has_stores = false, has_calls = false;
    for (uint32_t at = 0; at < model->object->insn_count; at++) {
        struct bpf_insn insn = model->object->insns[at];
        if (IS_ONE_OF(insn.opcode & 7, 2, 3)) {
            has_stores = true;
            model_store(model, insn);
        }
        has_calls = has_calls || (insn.opcode == 0x85 && insn.src == 1);
        model->callx = model->callx || insn.opcode == 0x8d;
    }
    model->wild = model->wild || (has_stores && has_calls);
}

static void
check_accepted(struct model *model, const struct bpf_check *got)
{
    model_stores(model);
    for (unsigned i = 0; i < model->object->section_count; i++)
        model->marks[model->object->sections[i].first] |= BPF_MARK_FUNCTION;
    check(memcmp(got->marks, model->marks, model->object->insn_count) == 0);
    check(got->wild_stores == model->wild && got->calls_by_register == model->callx);
    check(model->wild || got->stack_low == model->stack_low);
}

/* One line, with the instruction in it. */
static void
check_refused(const struct bpf_check *got, const struct bpf_object *object,
              const struct error *error)
{
    check(got->marks == NULL);
    for (const char *p = error->text; *p; p++)
        check(*p >= 0x20 && *p < 0x7f);
    struct str line = str_from_cstr(error->text);
    check(object->insn_count == 0 ||
          (str_starts_with(line, STR("section ")) && str_find(line, STR("opcode 0x")) < line.len));
}

/* Every instruction has a line, and those of accepted programs are instructions. */
static void
check_lines(const struct bpf_object *object, const struct bpf_helper_table *helpers, bool accepted)
{
    char *out = malloc(BPF_DISASM_MAX);
    check(out != NULL);
    for (uint32_t at = 0; at < object->insn_count;) {
        unsigned taken = bpf_disasm(out, object, at, helpers);
        size_t len = strnlen(out, BPF_DISASM_MAX);
        check(len > 0 && len < BPF_DISASM_MAX && (taken == 1 || taken == 2));
        check(!accepted || !str_starts_with(str_make(out, len), STR("<no ")));
        at += taken;
        check(at <= object->insn_count);
    }
    free(out);
}

/* Makes it likely that an instruction passes, whatever its bytes are. */
static struct bpf_insn
bend(struct bpf_insn insn, uint32_t count)
{
    static const int atomics[] = {0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1};
    while (bpf_opcodes[insn.opcode].op == BPF_OP_NONE)
        insn.opcode++;
    const struct bpf_opcode *opcode = &bpf_opcodes[insn.opcode];
    unsigned near = (unsigned)(uint8_t)insn.imm;
    insn.dst = (opcode->uses & BPF_USES_DST ? insn.dst % 11u : 0) & 15;
    insn.src = (opcode->uses & BPF_USES_SRC ? insn.src % 11u : 0) & 15;
    insn.off = opcode->uses & BPF_USES_OFF ? insn.off : 0;
    insn.imm = opcode->uses & BPF_USES_IMM ? insn.imm : 0;
    if (opcode->op == BPF_OP_CALL)
        insn.src &= 1;
    if (bpf_is_jump(insn) && insn.off)
        insn.off = (int16_t)(insn.off % (int)count);
    if (insn.opcode == 0x06 || (opcode->op == BPF_OP_CALL && insn.src))
        insn.imm = insn.imm % (int)count;
    if (opcode->op == BPF_OP_DIV || opcode->op == BPF_OP_MOD)
        insn.off &= 1;
    if (opcode->op == BPF_OP_MOV)
        insn.off &= 24;
    if (opcode->op >= BPF_OP_LE && opcode->op <= BPF_OP_SWAP)
        insn.imm = 16 << near % 3;
    if (opcode->op == BPF_OP_ATOMIC)
        insn.imm = atomics[near % 10];
    return insn;
}

static void
bend_all(struct bpf_object *object, unsigned spared)
{
    uint32_t count = object->insn_count;
    for (uint32_t at = 0; at < count; at++) {
        if (at == spared)
            continue;
        object->insns[at] = bend(object->insns[at], count);
        if (object->insns[at].opcode == 0x18 && at + 1 < count && at + 1 != spared) {
            struct bpf_insn half = {.imm = object->insns[at + 1].imm};
            object->insns[++at] = half;
        }
    }
    for (unsigned i = 0; i < object->section_count; i++) {
        uint32_t last = object->sections[i].first + object->sections[i].count - 1;
        if (last != spared)
            object->insns[last] = (struct bpf_insn){.opcode = 0x95};
    }
}

/* At most `wanted` sections of about equal length, moved by `shift`. */
static void
make_sections(struct bpf_object *object, struct bpf_section *sections, unsigned wanted,
              unsigned shift)
{
    static const struct str names[SECTIONS_MAX] = {STR_INIT("a"), STR_INIT("b\n"), STR_INIT(""),
                                                   STR_INIT("d")};
    uint32_t count = object->insn_count, first = 0;
    unsigned made = 0;
    for (; made < wanted && first < count; made++) {
        uint32_t len = count / wanted + shift % 3;
        if (made == wanted - 1 || len == 0 || len > count - first)
            len = count - first;
        sections[made] = (struct bpf_section){names[made], first, len};
        first += len;
    }
    if (made)
        sections[made - 1].count += count - first;
    object->sections = sections;
    object->section_count = made;
}

static void
run(struct bpf_object *object, uint32_t helper_count, bool allow_callx)
{
    static const struct bpf_helper list[HELPERS_MAX] = {
        {.name = "0"},  {.name = "1"},  {.name = "2"},  {.name = "3"},
        {.name = "4"},  {.name = "5"},  {.name = "6"},  {.name = "7"},
        {.name = "8"},  {.name = "9"},  {.name = "10"}, {.name = "11"},
        {.name = "12"}, {.name = "13"}, {.name = "14"}, {.name = "15"},
    };
    struct bpf_helper_table helpers = {list, helper_count};
    struct model model = {
        .object = object, .helper_count = helper_count, .allow_callx = allow_callx};
    for (unsigned i = 0; i < object->section_count; i++) {
        for (uint32_t at = 0; at < object->sections[i].count; at++)
            model.section[object->sections[i].first + at] = i;
    }
    model_mark_halves(&model);
    struct bpf_check got;
    struct error error = {""};
    bool accepted =
        bpf_check(&got, object, &helpers, allow_callx ? BPF_ALLOW_CALLX : 0, &error) == 0;
    check(accepted == model_accepts(&model));
    if (accepted)
        check_accepted(&model, &got);
    else
        check_refused(&got, object, &error);
    check_lines(object, &helpers, accepted);
    bpf_check_deinit(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CONTROL_LEN)
        return 0;
    size_t count = (size - CONTROL_LEN) / sizeof(struct bpf_insn);
    count = count < INSNS_MAX ? count : INSNS_MAX;
    struct bpf_section sections[SECTIONS_MAX];
    struct bpf_function function = {STR("f\x1b"), (uint32_t)count / 2};
    /* in a block of exactly its length */
    struct bpf_insn *insns = malloc(count ? count * sizeof *insns : 1);
    check(insns != NULL);
    memcpy(insns, data + CONTROL_LEN, count * sizeof *insns);
    struct bpf_object object = {
        .insns = insns,
        .insn_count = (uint32_t)count,
        .functions = &function,
        .function_count = 1,
    };
    make_sections(&object, sections, 1 + (data[0] >> 2 & 3), data[1]);
    if (data[0] & 2)
        bend_all(&object, data[2]);
    run(&object, data[0] >> 4, data[0] & 1);
    free(insns);
    return 0;
}
