/* A recursive descent over the pattern; its depth, which is that of parentheses, is bounded, and so
 * is that of the tree, which repetitions add to. Classes are kept as sorted ranges without overlap.
 */
#include "script/regex_internal.h"

#include "base/hex.h"
#include "base/must.h"

#include <stdlib.h>

struct flags {
    bool any_case, dot_all, lines, lazy;
};

struct parser {
    struct regex_tree *tree;
    struct str text;
    size_t at;
    unsigned depth;
    struct flags flags;
    struct error *error;
};

static uint32_t parse_alternatives(struct parser *parser);

/* Returns 0, which is no node. */
static uint32_t
fail(struct parser *parser, const char *why)
{
    error_set(parser->error, "the regular expression has %s at offset %zu", why, parser->at);
    return 0;
}

static bool
at_end(const struct parser *parser)
{
    return parser->at == parser->text.len;
}

static bool
sees(const struct parser *parser, const char *text)
{
    return str_starts_with(str_skip(parser->text, parser->at), str_from_cstr(text));
}

static bool
take(struct parser *parser, const char *text)
{
    if (!sees(parser, text))
        return false;
    parser->at += strlen(text);
    return true;
}

/* The next character, which there is. */
static uint32_t
take_char(struct parser *parser)
{
    unsigned len;
    uint32_t c = regex_char(str_skip(parser->text, parser->at), &len);
    parser->at += len;
    return c;
}

static bool
is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* --- nodes --- */

static struct regex_node *
node_at(const struct parser *parser, uint32_t index)
{
    return &parser->tree->nodes[index - 1];
}

/* Twice the length of the pattern, and some, is room for all: each node has a character of its own,
 * or is one of two around it. */
static uint32_t
add_node(struct parser *parser, struct regex_node node)
{
    must(parser->tree->node_count < parser->tree->node_cap);
    parser->tree->nodes[parser->tree->node_count++] = node;
    return parser->tree->node_count;
}

static uint32_t
add_parent(struct parser *parser, struct regex_node node)
{
    node.depth = (uint16_t)(node_at(parser, node.child)->depth + 1);
    if (node.depth > 2 * REGEX_DEPTH_MAX)
        return fail(parser, "too many groups and repetitions inside of each other");
    return add_node(parser, node);
}

/* --- classes --- */

static bool
add_range(struct parser *parser, uint32_t low, uint32_t high)
{
    struct regex_tree *tree = parser->tree;
    if (tree->range_count == REGEX_RANGES_MAX) {
        fail(parser, "too many characters in classes");
        return false;
    }
    tree->ranges[tree->range_count++] = (struct regex_range){low, high};
    return true;
}

/* Ranges of ASCII; as pairs of characters. */
struct named_class {
    const char *name, *pairs;
};

static const struct named_class named_classes[] = {
    {"alnum", "09AZaz"},
    {"alpha", "AZaz"},
    {"blank", "\t\t  "},
    {"digit", "09"},
    {"lower", "az"},
    {"space", "\t\r  "},
    {"upper", "AZ"},
    {"word", "09AZ__az"},
    {"xdigit", "09AFaf"},
    {"punct", "!/:@[`{~"},
    {"print", " ~"},
    {"graph", "!~"},
    {"cntrl", "\1\x1f\x7f\x7f"},
    {"ascii", "\1\x7f"},
};

static bool
add_pairs(struct parser *parser, const char *pairs, bool others)
{
    uint32_t next = 0;
    for (; *pairs; pairs += 2) {
        uint32_t low = (unsigned char)pairs[0], high = (unsigned char)pairs[1];
        if (low == 1) /* of what begins at NUL, which ends the list */
            low = 0;
        if (!others && !add_range(parser, low, high))
            return false;
        if (others && low > next && !add_range(parser, next, low - 1))
            return false;
        next = high + 1;
    }
    return !others || add_range(parser, next, CHAR_MAX_UTF8);
}

/* "d", "W" and so on behind a backslash; false: `c` is none of them. */
static bool
perl_class(uint32_t c, const char **pairs, bool *others)
{
    uint32_t lower = c | 0x20;
    *others = c != lower;
    *pairs = lower == 'd' ? "09" : lower == 'w' ? "09AZ__az" : lower == 's' ? "\t\r  " : NULL;
    return *pairs;
}

static int
compare_ranges(const void *left, const void *right)
{
    const struct regex_range *a = left, *b = right;
    return a->low < b->low ? -1 : a->low > b->low;
}

/* Sorts and joins the ranges from `first` on. */
static void
normalize_ranges(struct regex_tree *tree, uint32_t first)
{
    struct regex_range *ranges = tree->ranges + first;
    uint32_t count = tree->range_count - first, kept = 0;
    if (count == 0)
        return;
    qsort(ranges, count, sizeof *ranges, compare_ranges);
    for (uint32_t i = 1; i < count; i++) {
        if (ranges[i].low > ranges[kept].high + 1)
            ranges[++kept] = ranges[i];
        else if (ranges[i].high > ranges[kept].high)
            ranges[kept].high = ranges[i].high;
    }
    tree->range_count = first + kept + 1;
}

static bool
add_other_case(struct parser *parser, struct regex_range range, uint32_t low, uint32_t high)
{
    low = range.low > low ? range.low : low;
    high = range.high < high ? range.high : high;
    return low > high || add_range(parser, low ^ 0x20, high ^ 0x20);
}

/* Adds the letters of the other case to the ranges from `first` on. */
static bool
add_both_cases(struct parser *parser, uint32_t first)
{
    struct regex_tree *tree = parser->tree;
    uint32_t end = tree->range_count;
    for (uint32_t i = first; i < end; i++)
        if (!add_other_case(parser, tree->ranges[i], 'a', 'z') ||
            !add_other_case(parser, tree->ranges[i], 'A', 'Z'))
            return false;
    return true;
}

/* The ranges from `first` on become a node. */
static uint32_t
finish_class(struct parser *parser, uint32_t first, bool others)
{
    if (parser->flags.any_case && !add_both_cases(parser, first))
        return 0;
    normalize_ranges(parser->tree, first);
    return add_node(parser, (struct regex_node){
                                .kind = NODE_CLASS,
                                .flag = others,
                                .a = first,
                                .b = parser->tree->range_count - first,
                            });
}

/* --- escapes --- */

/* "7F" or "{10FFFF}" behind "\x". */
static bool
take_hex(struct parser *parser, uint32_t *c)
{
    bool braced = take(parser, "{");
    unsigned digits = 0;
    *c = 0;
    while (digits < (braced ? 8u : 2u) && !at_end(parser)) {
        int value = hex_value(parser->text.ptr[parser->at]);
        if (value < 0)
            break;
        *c = *c << 4 | (uint32_t)value;
        parser->at++;
        digits++;
    }
    bool is_char = *c <= CHAR_MAX_UTF8 && (*c < 0xd800 || *c > 0xdfff);
    if (is_char && (braced ? digits && take(parser, "}") : digits == 2))
        return true;
    fail(parser, "a bad \\x");
    return false;
}

/* A character that a backslash stood before. */
static bool
take_escaped(struct parser *parser, uint32_t *c)
{
    static const char letters[] = "nrtfva", meanings[] = "\n\r\t\f\v\a";
    *c = take_char(parser);
    if (*c == 'x')
        return take_hex(parser, c);
    const char *letter = *c < 0x80 ? strchr(letters, (int)*c) : NULL;
    if (letter && *letter) {
        *c = (unsigned char)meanings[letter - letters];
        return true;
    }
    if (*c < 0x80 && !is_letter(*c) && !is_digit(*c))
        return true;
    fail(parser, is_digit(*c) ? "a reference to a group" : "an unknown escape");
    return false;
}

static uint32_t
char_node(struct parser *parser, uint32_t c)
{
    if (!parser->flags.any_case || !is_letter(c))
        return add_node(parser, (struct regex_node){.kind = NODE_CHAR, .a = c});
    uint32_t first = parser->tree->range_count;
    return add_range(parser, c, c) ? finish_class(parser, first, false) : 0;
}

static uint32_t
place_node(struct parser *parser, enum regex_place place)
{
    return add_node(parser, (struct regex_node){.kind = NODE_PLACE, .a = place});
}

/* What stands behind a backslash outside of classes. */
static uint32_t
parse_escape(struct parser *parser)
{
    const char *pairs;
    bool others;
    uint32_t c, first = parser->tree->range_count;
    if (at_end(parser))
        return fail(parser, "nothing behind its last backslash");
    if (take(parser, "b"))
        return place_node(parser, PLACE_WORD);
    if (take(parser, "B"))
        return place_node(parser, PLACE_NO_WORD);
    if (take(parser, "A"))
        return place_node(parser, PLACE_TEXT_START);
    if (take(parser, "z"))
        return place_node(parser, PLACE_TEXT_END);
    if (perl_class((unsigned char)parser->text.ptr[parser->at], &pairs, &others)) {
        parser->at++;
        return add_pairs(parser, pairs, false) ? finish_class(parser, first, others) : 0;
    }
    return take_escaped(parser, &c) ? char_node(parser, c) : 0;
}

/* "[:alpha:]" and "[:^alpha:]" in a class, of which "[:" was taken. */
static bool
take_named_class(struct parser *parser)
{
    bool others = take(parser, "^");
    for (size_t i = 0; i < sizeof named_classes / sizeof *named_classes; i++) {
        size_t before = parser->at;
        if (take(parser, named_classes[i].name) && take(parser, ":]"))
            return add_pairs(parser, named_classes[i].pairs, others);
        parser->at = before;
    }
    fail(parser, "an unknown class");
    return false;
}

enum item { ITEM_BAD, ITEM_CHAR, ITEM_SET };

/* One item of a class: a character, which may begin or end a range, or a set that was added. */
static enum item
take_item(struct parser *parser, uint32_t *c)
{
    const char *pairs;
    bool others;
    if (take(parser, "[:"))
        return take_named_class(parser) ? ITEM_SET : ITEM_BAD;
    if (sees(parser, "[") || sees(parser, "&&") || sees(parser, "~~")) {
        fail(parser, "a class inside of a class, or an operation on them; write \\[, \\& or \\~");
        return ITEM_BAD;
    }
    if (!take(parser, "\\")) {
        *c = take_char(parser);
        return ITEM_CHAR;
    }
    if (at_end(parser)) {
        fail(parser, "nothing behind its last backslash");
        return ITEM_BAD;
    }
    if (perl_class((unsigned char)parser->text.ptr[parser->at], &pairs, &others)) {
        parser->at++;
        return add_pairs(parser, pairs, others) ? ITEM_SET : ITEM_BAD;
    }
    return take_escaped(parser, c) ? ITEM_CHAR : ITEM_BAD;
}

/* A character or range or set; false: failed. */
static bool
parse_class_part(struct parser *parser)
{
    uint32_t low = 0, high = 0;
    enum item item = take_item(parser, &low);
    if (item != ITEM_CHAR)
        return item == ITEM_SET;
    /* A dash before the end of the class is itself. */
    if (!sees(parser, "-") || sees(parser, "-]"))
        return add_range(parser, low, low);
    parser->at++;
    if (at_end(parser))
        return true; /* the class has no end, which is said there */
    item = take_item(parser, &high);
    if (item == ITEM_CHAR && low <= high)
        return add_range(parser, low, high);
    if (item != ITEM_BAD)
        fail(parser, "a range whose end is before its start, or no character");
    return false;
}

/* A class whose "[" was taken. */
static uint32_t
parse_class(struct parser *parser)
{
    uint32_t first = parser->tree->range_count;
    bool others = take(parser, "^");
    /* A bracket that would end an empty class is itself. */
    bool is_first = true;
    while (is_first || !take(parser, "]")) {
        if (at_end(parser))
            return fail(parser, "a class without its ]");
        if (!parse_class_part(parser))
            return 0;
        is_first = false;
    }
    return finish_class(parser, first, others);
}

/* --- groups --- */

/* "name>" behind "(?<". */
static bool
take_name(struct parser *parser, struct group_name *name)
{
    size_t start = parser->at;
    while (!at_end(parser)) {
        unsigned char c = (unsigned char)parser->text.ptr[parser->at];
        if (c != '_' && !is_letter(c) && (!is_digit(c) || parser->at == start))
            break;
        parser->at++;
    }
    *name = (struct group_name){(uint16_t)start, (uint16_t)(parser->at - start)};
    if (name->len && take(parser, ">"))
        return true;
    fail(parser, "a bad name of a group");
    return false;
}

static bool
name_is_taken(const struct parser *parser, struct group_name name)
{
    const struct regex_tree *tree = parser->tree;
    for (unsigned i = 1; i < tree->group_count; i++)
        if (str_eq(str_make(parser->text.ptr + tree->names[i].off, tree->names[i].len),
                   str_make(parser->text.ptr + name.off, name.len)))
            return true;
    return false;
}

/* Flags up to ")" or ":", which is taken. */
static bool
take_flags(struct parser *parser, bool *closed)
{
    bool on = true;
    while (!at_end(parser)) {
        char c = parser->text.ptr[parser->at++];
        *closed = c == ')';
        if (c == ')' || c == ':')
            return true;
        if (c == '-' && on)
            on = false;
        else if (c == 'i')
            parser->flags.any_case = on;
        else if (c == 's')
            parser->flags.dot_all = on;
        else if (c == 'm')
            parser->flags.lines = on;
        else if (c == 'U')
            parser->flags.lazy = on;
        else if (c != 'u' || !on) /* Unicode is what it is anyway */
            break;
    }
    fail(parser, "an unknown kind of group, or flag");
    return false;
}

/* The inner part of a group and its ")". `number`: see NODE_GROUP. */
static uint32_t
parse_inner(struct parser *parser, unsigned number)
{
    if (parser->depth == REGEX_DEPTH_MAX)
        return fail(parser, "too many groups inside of each other");
    parser->depth++;
    uint32_t child = parse_alternatives(parser);
    parser->depth--;
    if (!child)
        return 0;
    if (!take(parser, ")"))
        return fail(parser, "a group without its )");
    return add_parent(parser, (struct regex_node){.kind = NODE_GROUP, .a = number, .child = child});
}

static uint32_t
parse_capture(struct parser *parser, struct group_name name)
{
    struct regex_tree *tree = parser->tree;
    if (tree->group_count == REGEX_GROUPS_MAX)
        return fail(parser, "too many groups that capture; write (?:");
    if (name.len && name_is_taken(parser, name))
        return fail(parser, "two groups of one name");
    tree->names[tree->group_count] = name;
    return parse_inner(parser, tree->group_count++);
}

/* A group whose "(" was taken. Flags set in it end with it; flags alone go on to the end of the
 * group that they are in. */
static uint32_t
parse_group(struct parser *parser)
{
    struct flags before = parser->flags;
    struct group_name name = {0};
    bool closed;
    uint32_t node;
    if (!take(parser, "?")) {
        node = parse_capture(parser, name);
    } else if (sees(parser, "=") || sees(parser, "!") || sees(parser, "<=") || sees(parser, "<!")) {
        return fail(parser,
                    "an assertion that looks around, which is not possible in bounded time");
    } else if (take(parser, "P<") || take(parser, "<")) {
        node = take_name(parser, &name) ? parse_capture(parser, name) : 0;
    } else if (!take_flags(parser, &closed)) {
        return 0;
    } else if (closed) {
        return add_node(parser, (struct regex_node){.kind = NODE_EMPTY});
    } else {
        node = parse_inner(parser, 0);
    }
    parser->flags = before;
    return node;
}

/* --- repetition, concatenation, alternatives --- */

static bool
take_number(struct parser *parser, uint32_t *out)
{
    size_t start = parser->at;
    *out = 0;
    for (; !at_end(parser) && is_digit((unsigned char)parser->text.ptr[parser->at]); parser->at++)
        if (*out <= REGEX_REPEAT_MAX)
            *out = *out * 10 + (uint32_t)(parser->text.ptr[parser->at] - '0');
    return parser->at > start;
}

/* "{2}", "{2,}" or "{2,5}"; false, with nothing taken: none of them. */
static bool
take_counts(struct parser *parser, uint32_t *min, uint32_t *max)
{
    size_t start = parser->at;
    bool is_valid = take(parser, "{") && take_number(parser, min);
    *max = *min;
    if (is_valid && take(parser, ",") && !take_number(parser, max))
        *max = REPEAT_FOREVER;
    if (is_valid && take(parser, "}"))
        return true;
    parser->at = start;
    return false;
}

static bool
take_repetition(struct parser *parser, uint32_t *min, uint32_t *max)
{
    *min = 0;
    *max = REPEAT_FOREVER;
    if (take(parser, "*"))
        return true;
    if (take(parser, "+")) {
        *min = 1;
        return true;
    }
    if (take(parser, "?")) {
        *max = 1;
        return true;
    }
    return take_counts(parser, min, max);
}

static uint32_t
parse_atom(struct parser *parser)
{
    uint32_t min, max;
    bool lines = parser->flags.lines;
    if (take(parser, "("))
        return parse_group(parser);
    if (take(parser, "["))
        return parse_class(parser);
    if (take(parser, "\\"))
        return parse_escape(parser);
    if (take(parser, "."))
        return add_node(parser,
                        (struct regex_node){.kind = NODE_ANY, .flag = parser->flags.dot_all});
    if (take(parser, "^"))
        return place_node(parser, lines ? PLACE_LINE_START : PLACE_TEXT_START);
    if (take(parser, "$"))
        return place_node(parser, lines ? PLACE_LINE_END : PLACE_TEXT_END);
    if (take_repetition(parser, &min, &max))
        return fail(parser, "a repetition of nothing");
    return char_node(parser, take_char(parser));
}

static uint32_t
parse_repeated(struct parser *parser)
{
    uint32_t min = 0, max = 0, node = parse_atom(parser);
    while (node && take_repetition(parser, &min, &max)) {
        bool is_forever = max == REPEAT_FOREVER;
        if (min > REGEX_REPEAT_MAX || (!is_forever && max > REGEX_REPEAT_MAX))
            return fail(parser, "a repetition of more than 1000 times");
        if (min > max)
            return fail(parser, "a repetition of at least more times than at most");
        bool lazy = take(parser, "?") != parser->flags.lazy;
        node = add_parent(
            parser, (struct regex_node){
                        .kind = NODE_REPEAT, .flag = lazy, .a = min, .b = max, .child = node});
    }
    return node;
}

/* Adds a child behind `last`. */
static void
chain(struct parser *parser, struct regex_node *parent, uint32_t *last, uint32_t child)
{
    if (*last)
        node_at(parser, *last)->next = child;
    else
        parent->child = child;
    *last = child;
    if (node_at(parser, child)->depth > parent->depth)
        parent->depth = node_at(parser, child)->depth;
}

static uint32_t
parse_concatenation(struct parser *parser)
{
    struct regex_node node = {.kind = NODE_CONCAT};
    uint32_t last = 0;
    while (!at_end(parser) && !sees(parser, "|") && !sees(parser, ")")) {
        uint32_t child = parse_repeated(parser);
        if (!child)
            return 0;
        chain(parser, &node, &last, child);
    }
    return add_node(parser, node);
}

static uint32_t
parse_alternatives(struct parser *parser)
{
    struct regex_node node = {.kind = NODE_ALTERNATE};
    uint32_t last = 0;
    do {
        uint32_t child = parse_concatenation(parser);
        if (!child)
            return 0;
        chain(parser, &node, &last, child);
    } while (take(parser, "|"));
    return add_node(parser, node);
}

int
regex_parse(struct regex_tree *tree, struct str pattern, struct error *error)
{
    struct parser parser = {.tree = tree, .text = pattern, .error = error};
    *tree = (struct regex_tree){.group_count = 1};
    if (pattern.len > REGEX_LEN_MAX)
        return error_set(error, "the regular expression is longer than %d bytes", REGEX_LEN_MAX);
    if (!str_is_utf8(pattern))
        return error_set(error, "the regular expression is not UTF-8");
    tree->node_cap = 3 * (uint32_t)pattern.len + 8;
    tree->nodes = malloc(tree->node_cap * sizeof *tree->nodes);
    tree->ranges = malloc(REGEX_RANGES_MAX * sizeof *tree->ranges);
    if (!tree->nodes || !tree->ranges)
        return error_set(error, "no memory for a regular expression");
    tree->root = parse_alternatives(&parser);
    if (tree->root && !at_end(&parser))
        tree->root = fail(&parser, "a ) without its group");
    return tree->root ? 0 : -1;
}

void
regex_tree_deinit(struct regex_tree *tree)
{
    free(tree->nodes);
    free(tree->ranges);
}
