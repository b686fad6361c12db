/* The notation is that of llvm-objdump (LLVM 19, --no-print-imm-hex), but for three things: jumps
 * and local calls name where they go instead of how far, helpers have their names, and 64-bit
 * constants are in hex, as they are mostly addresses.
 */
#include "bpf/disasm.h"

#include "base/must.h"
#include "bpf/name_text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In front of the '=' of `dst OP= operand`, or between the operands of a condition. */
static const char *const symbols[BPF_OP_COUNT] = {
    [BPF_OP_ADD] = "+",   [BPF_OP_SUB] = "-",    [BPF_OP_MUL] = "*",    [BPF_OP_DIV] = "/",
    [BPF_OP_OR] = "|",    [BPF_OP_AND] = "&",    [BPF_OP_LSH] = "<<",   [BPF_OP_RSH] = ">>",
    [BPF_OP_MOD] = "%",   [BPF_OP_XOR] = "^",    [BPF_OP_ARSH] = "s>>", [BPF_OP_JEQ] = "==",
    [BPF_OP_JGT] = ">",   [BPF_OP_JGE] = ">=",   [BPF_OP_JSET] = "&",   [BPF_OP_JNE] = "!=",
    [BPF_OP_JSGT] = "s>", [BPF_OP_JSGE] = "s>=", [BPF_OP_JLT] = "<",    [BPF_OP_JLE] = "<=",
    [BPF_OP_JSLT] = "s<", [BPF_OP_JSLE] = "s<=",
};

struct disasm {
    char *out;
    const struct bpf_object *object;
    const struct bpf_helper_table *helpers;
    uint32_t at;
    struct bpf_insn insn;
    const struct bpf_opcode *opcode;
};

enum { OPERAND_MAX = 16, CALL_MAX = 32 /* "call N" with a function's <> */ };
static_assert(CALL_MAX + BPF_NAME_TEXT_MAX < BPF_DISASM_MAX, "a function's name is never cut");

/* Lower halves of registers have names of their own. */
static char
register_letter(const struct disasm *d)
{
    return d->opcode->width == 32 ? 'w' : 'r';
}

/* The second operand: src or imm. */
static const char *
operand(const struct disasm *d, char text[OPERAND_MAX])
{
    if (d->opcode->reg)
        snprintf(text, OPERAND_MAX, "%c%u", register_letter(d), d->insn.src);
    else
        snprintf(text, OPERAND_MAX, "%d", d->insn.imm);
    return text;
}

/* "r1 + 4": what an access adds up. */
static const char *
address(const struct disasm *d, unsigned base, char text[OPERAND_MAX])
{
    snprintf(text, OPERAND_MAX, "r%u %c %d", base, d->insn.off < 0 ? '-' : '+', abs(d->insn.off));
    return text;
}

static void
print_alu(const struct disasm *d)
{
    char letter = register_letter(d), text[OPERAND_MAX];
    bool divides = d->opcode->op == BPF_OP_DIV || d->opcode->op == BPF_OP_MOD;
    snprintf(d->out, BPF_DISASM_MAX, "%c%u %s%s= %s", letter, d->insn.dst,
             divides && d->insn.off ? "s" : "", symbols[d->opcode->op], operand(d, text));
}

static void
print_mov(const struct disasm *d)
{
    char letter = register_letter(d), cast[OPERAND_MAX] = "", text[OPERAND_MAX];
    if (d->insn.off)
        snprintf(cast, sizeof cast, "(s%d)", d->insn.off);
    snprintf(d->out, BPF_DISASM_MAX, "%c%u = %s%s", letter, d->insn.dst, cast, operand(d, text));
}

static void
print_neg(const struct disasm *d)
{
    char letter = register_letter(d);
    snprintf(d->out, BPF_DISASM_MAX, "%c%u = -%c%u", letter, d->insn.dst, letter, d->insn.dst);
}

static void
print_swap(const struct disasm *d)
{
    snprintf(d->out, BPF_DISASM_MAX, "r%u = %s%d r%u", d->insn.dst, d->opcode->name, d->insn.imm,
             d->insn.dst);
}

static void
print_wide(const struct disasm *d)
{
    snprintf(d->out, BPF_DISASM_MAX, "r%u = 0x%llx ll", d->insn.dst,
             (unsigned long long)bpf_wide_imm(d->object->insns + d->at));
}

static void
print_load(const struct disasm *d)
{
    char sign = d->opcode->op == BPF_OP_LDXS ? 's' : 'u', text[OPERAND_MAX];
    snprintf(d->out, BPF_DISASM_MAX, "r%u = *(%c%u *)(%s)", d->insn.dst, sign, d->opcode->width,
             address(d, d->insn.src, text));
}

static void
print_store(const struct disasm *d)
{
    char value[OPERAND_MAX], text[OPERAND_MAX];
    snprintf(value, sizeof value, d->opcode->reg ? "r%d" : "%d",
             d->opcode->reg ? d->insn.src : d->insn.imm);
    snprintf(d->out, BPF_DISASM_MAX, "*(u%u *)(%s) = %s", d->opcode->width,
             address(d, d->insn.dst, text), value);
}

/* "+" and "add": LLVM has both. NULL: none of the four. */
static const char *
atomic_symbol(int32_t imm, const char **name)
{
    switch (imm & ~BPF_ATOMIC_FETCH) {
    case BPF_ATOMIC_ADD:
        *name = "add";
        return "+";
    case BPF_ATOMIC_OR:
        *name = "or";
        return "|";
    case BPF_ATOMIC_AND:
        *name = "and";
        return "&";
    case BPF_ATOMIC_XOR:
        *name = "xor";
        return "^";
    }
    return NULL;
}

static void
print_exchange(const struct disasm *d)
{
    char letter = register_letter(d), text[OPERAND_MAX];
    const char *suffix = d->opcode->width == 32 ? "32_32" : "_64";
    address(d, d->insn.dst, text);
    if (d->insn.imm == BPF_ATOMIC_XCHG)
        snprintf(d->out, BPF_DISASM_MAX, "%c%u = xchg%s(%s, %c%u)", letter, d->insn.src, suffix,
                 text, letter, d->insn.src);
    else
        snprintf(d->out, BPF_DISASM_MAX, "%c0 = cmpxchg%s(%s, %c0, %c%u)", letter, suffix, text,
                 letter, letter, d->insn.src);
}

static void
print_atomic(const struct disasm *d)
{
    char letter = register_letter(d), text[OPERAND_MAX];
    unsigned width = d->opcode->width, src = d->insn.src;
    const char *name, *symbol = atomic_symbol(d->insn.imm, &name);
    address(d, d->insn.dst, text);
    if (!symbol)
        print_exchange(d);
    else if (d->insn.imm & BPF_ATOMIC_FETCH)
        snprintf(d->out, BPF_DISASM_MAX, "%c%u = atomic_fetch_%s((u%u *)(%s), %c%u)", letter, src,
                 name, width, text, letter, src);
    else
        snprintf(d->out, BPF_DISASM_MAX, "lock *(u%u *)(%s) %s= %c%u", width, text, symbol, letter,
                 src);
}

/* Where a jump goes, from the start of its section, as in messages. */
static long long
jump_number(const struct disasm *d)
{
    return bpf_jump_target(d->insn, d->at) - bpf_object_section(d->object, d->at)->first;
}

static void
print_jump(const struct disasm *d)
{
    char text[OPERAND_MAX];
    if (d->opcode->op == BPF_OP_JA)
        snprintf(d->out, BPF_DISASM_MAX, "goto%s %lld", d->opcode->width == 32 ? "l" : "",
                 jump_number(d));
    else
        snprintf(d->out, BPF_DISASM_MAX, "if %c%u %s %s goto %lld", register_letter(d), d->insn.dst,
                 symbols[d->opcode->op], operand(d, text), jump_number(d));
}

/* The function that starts at an instruction, or NULL. */
static const struct bpf_function *
find_function(const struct bpf_object *object, uint32_t insn)
{
    uint32_t low = 0, high = object->function_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (object->functions[middle].first < insn)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < object->function_count && object->functions[low].first == insn;
    return found ? &object->functions[low] : NULL;
}

/* The rest of the line of a local call: " <function>", and its section when it is another one,
 * which may be cut. */
static void
append_function(const struct disasm *d, uint32_t target)
{
    char name[BPF_NAME_TEXT_MAX];
    const struct bpf_function *function = find_function(d->object, target);
    const struct bpf_section *section = bpf_object_section(d->object, target);
    size_t len = strlen(d->out);
    if (function)
        len += (size_t)snprintf(d->out + len, BPF_DISASM_MAX - len, " <%s>",
                                bpf_name_text(name, function->name));
    if (section != bpf_object_section(d->object, d->at))
        snprintf(d->out + len, BPF_DISASM_MAX - len, " in %s", bpf_name_text(name, section->name));
}

static void
print_local_call(const struct disasm *d)
{
    int64_t target = bpf_call_target(d->insn, d->at);
    bool known = target >= 0 && target < d->object->insn_count;
    const struct bpf_section *section =
        bpf_object_section(d->object, known ? (uint32_t)target : d->at);
    snprintf(d->out, BPF_DISASM_MAX, "call %lld", (long long)target - section->first);
    if (known)
        append_function(d, (uint32_t)target);
}

static void
print_call(const struct disasm *d)
{
    uint32_t number = (uint32_t)d->insn.imm;
    if (d->insn.src == BPF_CALL_LOCAL)
        print_local_call(d);
    else if (d->helpers && number < d->helpers->count)
        snprintf(d->out, BPF_DISASM_MAX, "call %s", d->helpers->helpers[number].name);
    else
        snprintf(d->out, BPF_DISASM_MAX, "call helper %d", d->insn.imm);
}

static void
print_callx(const struct disasm *d)
{
    snprintf(d->out, BPF_DISASM_MAX, "callx r%u", d->insn.dst);
}

static void
print_exit(const struct disasm *d)
{
    snprintf(d->out, BPF_DISASM_MAX, "exit");
}

static void
print_unknown(const struct disasm *d)
{
    uint8_t b[sizeof d->insn];
    memcpy(b, &d->insn, sizeof b);
    snprintf(d->out, BPF_DISASM_MAX, "<no instruction: %02x %02x %02x %02x %02x %02x %02x %02x>",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
}

typedef void print_fn(const struct disasm *d);

static print_fn *const printers[BPF_OP_COUNT] = {
    [BPF_OP_ADD] = print_alu,       [BPF_OP_SUB] = print_alu,   [BPF_OP_MUL] = print_alu,
    [BPF_OP_DIV] = print_alu,       [BPF_OP_OR] = print_alu,    [BPF_OP_AND] = print_alu,
    [BPF_OP_LSH] = print_alu,       [BPF_OP_RSH] = print_alu,   [BPF_OP_NEG] = print_neg,
    [BPF_OP_MOD] = print_alu,       [BPF_OP_XOR] = print_alu,   [BPF_OP_MOV] = print_mov,
    [BPF_OP_ARSH] = print_alu,      [BPF_OP_LE] = print_swap,   [BPF_OP_BE] = print_swap,
    [BPF_OP_SWAP] = print_swap,     [BPF_OP_JA] = print_jump,   [BPF_OP_JEQ] = print_jump,
    [BPF_OP_JGT] = print_jump,      [BPF_OP_JGE] = print_jump,  [BPF_OP_JSET] = print_jump,
    [BPF_OP_JNE] = print_jump,      [BPF_OP_JSGT] = print_jump, [BPF_OP_JSGE] = print_jump,
    [BPF_OP_JLT] = print_jump,      [BPF_OP_JLE] = print_jump,  [BPF_OP_JSLT] = print_jump,
    [BPF_OP_JSLE] = print_jump,     [BPF_OP_CALL] = print_call, [BPF_OP_CALLX] = print_callx,
    [BPF_OP_EXIT] = print_exit,     [BPF_OP_LDDW] = print_wide, [BPF_OP_LDX] = print_load,
    [BPF_OP_LDXS] = print_load,     [BPF_OP_ST] = print_store,  [BPF_OP_STX] = print_store,
    [BPF_OP_ATOMIC] = print_atomic,
};

static bool
has_second_half(const struct disasm *d)
{
    const struct bpf_section *section = bpf_object_section(d->object, d->at);
    return d->at + 1 < section->first + section->count && d->object->insns[d->at + 1].opcode == 0;
}

/* Whether the variation that off or imm asks for is there. */
static bool
is_variation(const struct disasm *d)
{
    int off = d->insn.off, imm = d->insn.imm;
    const char *name;
    switch (d->opcode->op) {
    case BPF_OP_DIV:
    case BPF_OP_MOD:
        return off == 0 || off == 1;
    case BPF_OP_MOV:
        return off == 0 ||
               (d->opcode->reg && (off == 8 || off == 16 || (off == 32 && d->opcode->width == 64)));
    case BPF_OP_LE:
    case BPF_OP_BE:
    case BPF_OP_SWAP:
        return imm == 16 || imm == 32 || imm == 64;
    case BPF_OP_ATOMIC:
        return atomic_symbol(imm, &name) || imm == BPF_ATOMIC_XCHG || imm == BPF_ATOMIC_CMPXCHG;
    case BPF_OP_CALL:
        return d->insn.src == BPF_CALL_HELPER || d->insn.src == BPF_CALL_LOCAL;
    case BPF_OP_LDDW:
        return d->insn.src == 0 && has_second_half(d);
    default:
        return true;
    }
}

static bool
is_instruction(const struct disasm *d)
{
    if (d->insn.dst >= BPF_REG_COUNT || d->insn.src >= BPF_REG_COUNT)
        return false;
    return d->opcode->op != BPF_OP_NONE && is_variation(d);
}

unsigned
bpf_disasm(char out[BPF_DISASM_MAX], const struct bpf_object *object, uint32_t at,
           const struct bpf_helper_table *helpers)
{
    must(at < object->insn_count);
    struct disasm d = {
        .out = out,
        .object = object,
        .helpers = helpers,
        .at = at,
        .insn = object->insns[at],
    };
    d.opcode = &bpf_opcodes[d.insn.opcode];
    if (!is_instruction(&d)) {
        print_unknown(&d);
        return 1;
    }
    printers[d.opcode->op](&d);
    return bpf_is_wide(d.insn) ? 2 : 1;
}
