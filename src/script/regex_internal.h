/* regex_internal: what the parts of regex*.c share. Not for others.
 *
 * Parsing makes a tree of nodes in one array; compiling makes a program of it. Ranges of characters
 * are in one array that both use.
 */
#ifndef TARN_SCRIPT_REGEX_INTERNAL_H
#define TARN_SCRIPT_REGEX_INTERNAL_H

#include "base/limits.h"
#include "script/regex.h"

enum { CHAR_MAX_UTF8 = 0x10ffff, REPEAT_FOREVER = UINT16_MAX };

struct regex_range {
    uint32_t low, high;
};

/* Places, of NODE_PLACE and OP_PLACE. */
enum regex_place {
    PLACE_TEXT_START,
    PLACE_TEXT_END,
    PLACE_LINE_START,
    PLACE_LINE_END,
    PLACE_WORD,
    PLACE_NO_WORD,
};

enum node_kind {
    NODE_EMPTY,
    NODE_CHAR,   /* a: the character */
    NODE_ANY,    /* flag: newlines, too */
    NODE_CLASS,  /* a: first range, b: count; flag: none of them */
    NODE_PLACE,  /* a */
    NODE_GROUP,  /* a: number, 0: does not capture; child */
    NODE_CONCAT, /* children */
    NODE_ALTERNATE,
    NODE_REPEAT, /* a: min, b: max; flag: less before more; child */
};

/* Indices of nodes are 1 + their place, so that 0 is none. */
struct regex_node {
    uint8_t kind;
    bool flag;
    uint16_t depth;
    uint32_t a, b;
    uint32_t child, next; /* the first child; the next of the same parent */
};

struct group_name {
    uint16_t off, len; /* of the pattern; len 0: it has none */
};

struct regex_tree {
    struct regex_node *nodes;
    struct regex_range *ranges;
    uint32_t node_count, node_cap, range_count, root;
    unsigned group_count;
    struct group_name names[REGEX_GROUPS_MAX];
};

enum op {
    OP_CHAR,  /* a: the character */
    OP_ANY,   /* any character */
    OP_LINE,  /* any but a newline */
    OP_CLASS, /* a: first range, b: count */
    OP_NO_CLASS,
    OP_SPLIT, /* a: goes on there first, b: then there */
    OP_JUMP,  /* a */
    OP_SAVE,  /* a: slot */
    OP_PLACE, /* a */
    OP_MATCH,
};

struct regex_insn {
    uint32_t op;
    uint32_t a, b;
};

struct regex {
    struct regex_insn *insns;
    struct regex_range *ranges;
    char *pattern;
    uint32_t insn_count, pattern_len;
    uint16_t group_count;
    bool at_start; /* matches only at the text's start */
    bool has_first;
    uint64_t first[4]; /* while has_first: a bit for each byte that a match can begin with */
    struct group_name names[REGEX_GROUPS_MAX];
};

/* -1 with a line. What it has allocated is the caller's in either case: regex_tree_deinit. */
int regex_parse(struct regex_tree *tree, struct str pattern, struct error *error) MUST_USE;
void regex_tree_deinit(struct regex_tree *tree);

/* Fills in insns and what is known of where a match begins. */
int regex_compile(struct regex *regex, const struct regex_tree *tree, struct error *error) MUST_USE;

/* The character at s.ptr, which is not empty, and its length in bytes. */
uint32_t regex_char(struct str s, unsigned *len);

#endif
