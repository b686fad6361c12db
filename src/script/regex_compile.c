/* Trees to programs. What a repetition says is written out as often as it says, so the program's
 * length is bounded, and with it the time that this takes: parts that make no instructions are
 * counted, too.
 */
#include "script/regex_internal.h"

#include <stdlib.h>

struct compiler {
    const struct regex_tree *tree;
    struct regex_insn *insns;
    uint32_t count;
    uint32_t visits; /* of nodes */
    bool too_large;
};

enum { VISITS_MAX = 8 * REGEX_INSNS_MAX };

static void emit_node(struct compiler *compiler, uint32_t index);

static uint32_t
emit(struct compiler *compiler, enum op op, uint32_t a, uint32_t b)
{
    if (compiler->count == REGEX_INSNS_MAX) {
        compiler->too_large = true;
        return 0;
    }
    compiler->insns[compiler->count] = (struct regex_insn){.op = op, .a = a, .b = b};
    return compiler->count++;
}

/* A split at `at` between going on behind it and going to `target`. */
static void
set_split(struct compiler *compiler, uint32_t at, uint32_t near, uint32_t far, bool far_first)
{
    compiler->insns[at].a = far_first ? far : near;
    compiler->insns[at].b = far_first ? near : far;
}

static void
emit_alternatives(struct compiler *compiler, const struct regex_node *node)
{
    const struct regex_node *nodes = compiler->tree->nodes;
    uint32_t jumps = UINT32_MAX; /* a list of them, linked by what they will jump to */
    for (uint32_t child = node->child; child; child = nodes[child - 1].next) {
        if (!nodes[child - 1].next) {
            emit_node(compiler, child);
            break;
        }
        uint32_t split = emit(compiler, OP_SPLIT, 0, 0);
        emit_node(compiler, child);
        jumps = emit(compiler, OP_JUMP, jumps, 0);
        set_split(compiler, split, split + 1, compiler->count, false);
        if (compiler->too_large)
            return;
    }
    while (jumps != UINT32_MAX && !compiler->too_large) {
        uint32_t next = compiler->insns[jumps].a;
        compiler->insns[jumps].a = compiler->count;
        jumps = next;
    }
}

/* "x+", which an "x*" is made of, too: "(x+)?". With a jump back to one split alone, an x that may
 * be empty would not be tried any further. */
static void
emit_loop(struct compiler *compiler, uint32_t child, bool lazy)
{
    uint32_t start = compiler->count;
    emit_node(compiler, child);
    uint32_t split = emit(compiler, OP_SPLIT, 0, 0);
    set_split(compiler, split, split + 1, start, !lazy);
}

static void
emit_repetition(struct compiler *compiler, const struct regex_node *node)
{
    bool is_forever = node->b == REPEAT_FOREVER;
    uint32_t plain = is_forever && node->a ? node->a - 1 : node->a;
    uint32_t optional = is_forever ? node->a == 0 : node->b - node->a;
    uint32_t splits = UINT32_MAX; /* linked by where they will go */
    for (uint32_t i = 0; i < plain && !compiler->too_large; i++)
        emit_node(compiler, node->child);
    for (uint32_t i = 0; i < optional && !compiler->too_large; i++) {
        splits = emit(compiler, OP_SPLIT, splits, 0);
        if (!is_forever)
            emit_node(compiler, node->child);
    }
    if (is_forever && !compiler->too_large)
        emit_loop(compiler, node->child, node->flag);
    while (splits != UINT32_MAX && !compiler->too_large) {
        uint32_t next = compiler->insns[splits].a;
        set_split(compiler, splits, splits + 1, compiler->count, node->flag);
        splits = next;
    }
}

static void
emit_group(struct compiler *compiler, const struct regex_node *node)
{
    if (node->a)
        emit(compiler, OP_SAVE, 2 * node->a, 0);
    emit_node(compiler, node->child);
    if (node->a)
        emit(compiler, OP_SAVE, 2 * node->a + 1, 0);
}

static void
emit_node(struct compiler *compiler, uint32_t index)
{
    const struct regex_node *node = &compiler->tree->nodes[index - 1];
    if (compiler->too_large || compiler->visits++ == VISITS_MAX) {
        compiler->too_large = true;
        return;
    }
    switch ((enum node_kind)node->kind) {
    case NODE_EMPTY:
        break;
    case NODE_CHAR:
        emit(compiler, OP_CHAR, node->a, 0);
        break;
    case NODE_ANY:
        emit(compiler, node->flag ? OP_ANY : OP_LINE, 0, 0);
        break;
    case NODE_CLASS:
        emit(compiler, node->flag ? OP_NO_CLASS : OP_CLASS, node->a, node->b);
        break;
    case NODE_PLACE:
        emit(compiler, OP_PLACE, node->a, 0);
        break;
    case NODE_GROUP:
        emit_group(compiler, node);
        break;
    case NODE_CONCAT:
        for (uint32_t child = node->child; child; child = compiler->tree->nodes[child - 1].next)
            emit_node(compiler, child);
        break;
    case NODE_ALTERNATE:
        emit_alternatives(compiler, node);
        break;
    case NODE_REPEAT:
        emit_repetition(compiler, node);
        break;
    }
}

/* --- where a match begins --- */

static void
add_first(struct regex *regex, uint32_t low, uint32_t high)
{
    /* Of characters beyond ASCII, and of bytes that are none, only that their first byte is. */
    for (uint32_t c = low; c <= high && c < 0x80; c++)
        regex->first[c >> 6] |= (uint64_t)1 << (c & 63);
    if (high >= 0x80)
        regex->first[2] = regex->first[3] = UINT64_MAX;
}

/* What one instruction that takes a character can begin with; false: anything. */
static bool
add_first_of(struct regex *regex, const struct regex_insn *insn)
{
    if (insn->op == OP_CHAR)
        add_first(regex, insn->a, insn->a);
    else if (insn->op == OP_CLASS)
        for (uint32_t i = insn->a; i < insn->a + insn->b; i++)
            add_first(regex, regex->ranges[i].low, regex->ranges[i].high);
    return insn->op == OP_CHAR || insn->op == OP_CLASS;
}

/* Follows what takes no character. False: the expression can match nothing at all, or begin with
 * anything. `seen` is a zero for each instruction, `stack` has room for as many. */
static bool
find_first(struct regex *regex, uint8_t *seen, uint32_t *stack)
{
    uint32_t depth = 0, at = 0;
    for (;;) {
        const struct regex_insn *insn = &regex->insns[at];
        bool go_on = !seen[at] && insn->op >= OP_SPLIT;
        if (!seen[at] && !go_on && !add_first_of(regex, insn))
            return false;
        if (go_on && insn->op == OP_MATCH)
            return false;
        if (go_on && insn->op == OP_SPLIT)
            stack[depth++] = insn->b;
        seen[at] = 1;
        if (go_on)
            at = insn->op == OP_SPLIT || insn->op == OP_JUMP ? insn->a : at + 1;
        else if (depth)
            at = stack[--depth];
        else
            return true;
    }
}

static int
look_at_start(struct regex *regex, struct error *error)
{
    uint32_t count = regex->insn_count;
    uint8_t *memory = calloc(count, sizeof(uint32_t) + 1);
    if (!memory)
        return error_set(error, "no memory for a regular expression");
    /* The first instruction is that of group 0. */
    regex->at_start = regex->insns[1].op == OP_PLACE && regex->insns[1].a == PLACE_TEXT_START;
    regex->has_first = find_first(regex, memory + count * sizeof(uint32_t), (uint32_t *)memory);
    free(memory);
    return 0;
}

int
regex_compile(struct regex *regex, const struct regex_tree *tree, struct error *error)
{
    struct compiler compiler = {.tree = tree, .insns = regex->insns};
    emit(&compiler, OP_SAVE, 0, 0);
    emit_node(&compiler, tree->root);
    emit(&compiler, OP_SAVE, 1, 0);
    emit(&compiler, OP_MATCH, 0, 0);
    if (compiler.too_large)
        return error_set(error, "the regular expression is too large");
    regex->insn_count = compiler.count;
    return look_at_start(regex, error);
}
