/* Pike's machine: a list of threads, each a place in the program with the groups it has seen, in
 * the order in which a backtracking matcher would try them. All take the next character together; a
 * second thread at the same place is dropped, so there are never more than instructions. When one
 * matches, those behind it in the order are dropped; what those before it still find is better.
 */
#include "script/regex_internal.h"

#include "base/must.h"

#include <stdlib.h>

uint32_t
regex_char(struct str s, unsigned *len)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    *len = 1;
    if (p[0] < 0x80)
        return p[0];
    unsigned want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < want || !str_is_utf8(str_first(s, want)))
        return 0xfffd;
    uint32_t c = p[0] & (0x7fu >> want);
    for (unsigned i = 1; i < want; i++)
        c = c << 6 | (p[i] & 0x3f);
    *len = want;
    return c;
}

/* --- making one --- */

static int
build(struct regex *regex, struct str pattern, struct error *error)
{
    struct regex_tree tree;
    int result = regex_parse(&tree, pattern, error);
    if (result == 0) {
        regex->group_count = (uint16_t)tree.group_count;
        memcpy(regex->names, tree.names, sizeof regex->names);
        regex->ranges = malloc((tree.range_count + 1) * sizeof *tree.ranges);
        regex->insns = malloc(REGEX_INSNS_MAX * sizeof *regex->insns);
        regex->pattern = malloc(pattern.len + 1);
        result = -1;
        if (!regex->ranges || !regex->insns || !regex->pattern) {
            error_set(error, "no memory for a regular expression");
        } else {
            memcpy(regex->ranges, tree.ranges, tree.range_count * sizeof *tree.ranges);
            if (pattern.len)
                memcpy(regex->pattern, pattern.ptr, pattern.len);
            regex->pattern_len = (uint32_t)pattern.len;
            result = regex_compile(regex, &tree, error);
        }
    }
    regex_tree_deinit(&tree);
    return result;
}

int
regex_new(struct regex **out, struct str pattern, struct error *error)
{
    struct regex *regex = calloc(1, sizeof *regex);
    if (!regex)
        return error_set(error, "no memory for a regular expression");
    if (build(regex, pattern, error) < 0) {
        regex_free(regex);
        return -1;
    }
    struct regex_insn *fitted = realloc(regex->insns, regex->insn_count * sizeof *fitted);
    if (fitted)
        regex->insns = fitted;
    *out = regex;
    return 0;
}

void
regex_free(struct regex *regex)
{
    if (!regex)
        return;
    free(regex->insns);
    free(regex->ranges);
    free(regex->pattern);
    free(regex);
}

struct str
regex_pattern(const struct regex *regex)
{
    return str_make(regex->pattern, regex->pattern_len);
}

unsigned
regex_group_count(const struct regex *regex)
{
    return regex->group_count;
}

/* --- matching --- */

struct list {
    uint32_t *threads; /* places in the program */
    uint32_t *slots;   /* of each place: slot_count of them */
    uint32_t *marks;   /* of each place: the generation in which it was added */
    uint32_t count;
};

struct todo {
    uint32_t at;   /* place in the program; or, for `restore`, slot */
    uint32_t slot; /* what was in it */
    bool restore;
};

enum { SEARCH_COST = 8 }; /* of beginning to search, in steps */

struct machine {
    const struct regex *regex;
    struct str text;
    unsigned slot_count;
    uint32_t cost; /* of a thread, in steps */
    uint32_t steps_left;
    uint32_t generation;
    bool too_slow;
    struct list now, next;
    struct todo *todo;
    uint32_t *start_slots; /* all unset */
};

/* Marks stand in front, where nothing else ever does, so that they need not be cleared each time:
 * those of earlier generations mean nothing. */
enum { MARKS_LEN = 2 * REGEX_INSNS_MAX * sizeof(uint32_t) };

static size_t
memory_len(const struct regex *regex)
{
    size_t insns = regex->insn_count, slots = 2u * regex->group_count;
    return MARKS_LEN + 2 * insns * (1 + slots) * sizeof(uint32_t) + slots * sizeof(uint32_t) +
           (insns + 1) * sizeof(struct todo);
}

/* Makes room, and for `len` generations more. */
static bool
reserve(struct regex_matcher *matcher, const struct regex *regex, size_t len)
{
    size_t need = memory_len(regex);
    if (matcher->memory_len < need) {
        free(matcher->memory);
        matcher->memory = calloc(1, need);
        matcher->memory_len = matcher->memory ? need : 0;
        matcher->generation = 0;
    }
    if (matcher->generation > UINT32_MAX - 2 * (uint64_t)len - 8) {
        memset(matcher->memory, 0, MARKS_LEN);
        matcher->generation = 0;
    }
    return matcher->memory;
}

static uint32_t *
take_words(uint32_t **memory, size_t count)
{
    uint32_t *words = *memory;
    *memory += count;
    return words;
}

static void
lay_out(struct machine *machine, struct regex_matcher *matcher)
{
    size_t insns = machine->regex->insn_count, slots = machine->slot_count;
    uint32_t *memory = matcher->memory;
    machine->now.marks = take_words(&memory, REGEX_INSNS_MAX);
    machine->next.marks = take_words(&memory, REGEX_INSNS_MAX);
    machine->now.threads = take_words(&memory, insns);
    machine->next.threads = take_words(&memory, insns);
    machine->now.slots = take_words(&memory, insns * slots);
    machine->next.slots = take_words(&memory, insns * slots);
    machine->start_slots = take_words(&memory, slots);
    memset(machine->start_slots, 0xff, slots * sizeof(uint32_t));
    machine->todo = (struct todo *)memory;
}

static bool
is_word(struct str text, size_t at)
{
    unsigned char c = at < text.len ? (unsigned char)text.ptr[at] : 0;
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
}

static bool
place_holds(struct str text, size_t at, uint32_t place)
{
    bool at_word = is_word(text, at) != (at > 0 && is_word(text, at - 1));
    switch ((enum regex_place)place) {
    case PLACE_TEXT_START:
        return at == 0;
    case PLACE_TEXT_END:
        return at == text.len;
    case PLACE_LINE_START:
        return at == 0 || text.ptr[at - 1] == '\n';
    case PLACE_LINE_END:
        return at == text.len || text.ptr[at] == '\n';
    case PLACE_WORD:
        return at_word;
    case PLACE_NO_WORD:
        return !at_word;
    }
    return false;
}

static bool
spend(struct machine *machine, uint32_t steps)
{
    machine->too_slow = machine->too_slow || machine->steps_left < steps;
    machine->steps_left -= machine->too_slow ? 0 : steps;
    return !machine->too_slow;
}

/* One instruction at offset `at`, of a thread with `slots`. Returns the place to go on at, or
 * UINT32_MAX: the thread stands in the list, or is gone. */
static uint32_t
follow(struct machine *machine, struct list *list, uint32_t pc, size_t at, uint32_t *slots,
       uint32_t *depth)
{
    const struct regex_insn *insn = &machine->regex->insns[pc];
    switch ((enum op)insn->op) {
    case OP_JUMP:
        return insn->a;
    case OP_SPLIT:
        machine->todo[(*depth)++] = (struct todo){.at = insn->b};
        return insn->a;
    case OP_SAVE:
        machine->todo[(*depth)++] =
            (struct todo){.at = insn->a, .slot = slots[insn->a], .restore = true};
        slots[insn->a] = (uint32_t)at;
        return pc + 1;
    case OP_PLACE:
        return place_holds(machine->text, at, insn->a) ? pc + 1 : UINT32_MAX;
    default:
        spend(machine, machine->cost);
        memcpy(list->slots + (size_t)pc * machine->slot_count, slots,
               machine->slot_count * sizeof *slots);
        list->threads[list->count++] = pc;
        return UINT32_MAX;
    }
}

/* Adds what can be reached from `pc` without a character. `slots` is as it was when this returns.
 */
static void
add_thread(struct machine *machine, struct list *list, uint32_t pc, size_t at, uint32_t *slots)
{
    uint32_t depth = 0;
    for (;;) {
        while (pc != UINT32_MAX && list->marks[pc] != machine->generation) {
            list->marks[pc] = machine->generation;
            if (!spend(machine, 1))
                return;
            pc = follow(machine, list, pc, at, slots, &depth);
        }
        while (depth && machine->todo[depth - 1].restore) {
            depth--;
            slots[machine->todo[depth].at] = machine->todo[depth].slot;
        }
        if (depth == 0)
            return;
        pc = machine->todo[--depth].at;
    }
}

static bool
class_has(const struct regex_range *ranges, uint32_t count, uint32_t c)
{
    while (count) {
        uint32_t half = count / 2;
        if (c > ranges[half].high) {
            ranges += half + 1;
            count -= half + 1;
        } else if (c >= ranges[half].low) {
            return true;
        } else {
            count = half;
        }
    }
    return false;
}

static bool
takes(const struct regex *regex, const struct regex_insn *insn, uint32_t c)
{
    switch (insn->op) {
    case OP_CHAR:
        return c == insn->a;
    case OP_ANY:
        return true;
    case OP_LINE:
        return c != '\n';
    case OP_CLASS:
        return class_has(regex->ranges + insn->a, insn->b, c);
    default:
        return !class_has(regex->ranges + insn->a, insn->b, c);
    }
}

/* All threads take the character at `at`, if there is one. Whether one matches, into `groups`. */
static bool
step(struct machine *machine, size_t at, uint32_t *groups, unsigned *len)
{
    const struct regex *regex = machine->regex;
    bool is_end = at == machine->text.len;
    uint32_t c = is_end ? 0 : regex_char(str_skip(machine->text, at), len);
    for (uint32_t i = 0; i < machine->now.count && !machine->too_slow; i++) {
        uint32_t pc = machine->now.threads[i];
        const struct regex_insn *insn = &regex->insns[pc];
        uint32_t *slots = machine->now.slots + (size_t)pc * machine->slot_count;
        if (insn->op == OP_MATCH) {
            memcpy(groups, slots, machine->slot_count * sizeof *slots);
            return true;
        }
        if (!is_end && takes(regex, insn, c))
            add_thread(machine, &machine->next, pc + 1, at + *len, slots);
    }
    return false;
}

/* The next offset at which a match can begin; past the end: none. */
static size_t
skip_to_first(const struct regex *regex, struct str text, size_t at)
{
    if (regex->at_start && at > 0)
        return text.len + 1;
    if (!regex->has_first)
        return at;
    for (; at < text.len; at++) {
        unsigned char c = (unsigned char)text.ptr[at];
        if (regex->first[c >> 6] >> (c & 63) & 1)
            return at;
    }
    return text.len + 1;
}

static bool
run(struct machine *machine, size_t at, uint32_t *groups)
{
    bool matched = false;
    for (;;) {
        unsigned len = 1;
        struct list swapped = machine->now;
        if (machine->now.count == 0) {
            if (matched)
                return true;
            at = skip_to_first(machine->regex, machine->text, at);
            if (at > machine->text.len)
                return false;
            machine->generation++; /* marks of another place mean nothing here */
        }
        /* One more that begins here, behind all that have begun already. */
        if (!matched)
            add_thread(machine, &machine->now, 0, at, machine->start_slots);
        machine->generation++;
        matched = step(machine, at, groups, &len) || matched;
        if (at == machine->text.len || machine->too_slow)
            return matched;
        machine->now = machine->next;
        machine->next = swapped;
        machine->next.count = 0;
        at += len;
    }
}

enum regex_result
regex_find(const struct regex *regex, struct regex_matcher *matcher, struct str text, size_t from,
           uint32_t *groups)
{
    struct machine machine = {
        .regex = regex,
        .text = text,
        .slot_count = 2u * regex->group_count,
        .cost = 1 + regex->group_count / 4u,
        .steps_left = matcher->steps_left,
    };
    if (!reserve(matcher, regex, text.len - from))
        return REGEX_NO_MEMORY;
    machine.generation = matcher->generation;
    lay_out(&machine, matcher);
    bool matched = spend(&machine, SEARCH_COST) && run(&machine, from, groups);
    matcher->generation = machine.generation;
    matcher->steps_left = machine.steps_left;
    if (machine.too_slow)
        return REGEX_TOO_SLOW;
    return matched ? REGEX_MATCH : REGEX_NO_MATCH;
}

void
regex_matcher_deinit(struct regex_matcher *matcher)
{
    free(matcher->memory);
    *matcher = (struct regex_matcher){0};
}

/* --- replacing --- */

static struct str
group_text(struct str text, const uint32_t *groups, unsigned group)
{
    uint32_t start = groups[2 * group], end = groups[2 * group + 1];
    bool is_set = start != REGEX_UNSET && end != REGEX_UNSET;
    return is_set ? str_first(str_skip(text, start), end - start) : (struct str){0};
}

/* The group called so, or group_count. */
static unsigned
find_group(const struct regex *regex, struct str name)
{
    uint64_t number;
    if (str_to_u64(name, &number))
        return number < regex->group_count ? (unsigned)number : regex->group_count;
    for (unsigned i = 1; i < regex->group_count; i++) {
        struct group_name given = regex->names[i];
        if (given.len && str_eq(str_make(regex->pattern + given.off, given.len), name))
            return i;
    }
    return regex->group_count;
}

static size_t
name_len(struct str s)
{
    size_t len = 0;
    while (len < s.len && is_word(s, len))
        len++;
    return len;
}

/* What stands behind a dollar; taken from *rest. False: the dollar is itself. */
static bool
take_reference(struct str *rest, struct str *name)
{
    if (rest->len && rest->ptr[0] == '{') {
        size_t end = str_find_char(*rest, '}');
        *name = str_skip(str_first(*rest, end), 1);
        *rest = str_skip(*rest, end < rest->len ? end + 1 : 0);
        return name->ptr + name->len + 1 == rest->ptr;
    }
    *name = str_first(*rest, name_len(*rest));
    *rest = str_skip(*rest, name->len);
    return name->len;
}

static void
expand(const struct regex *regex, struct str text, struct str replacement, const uint32_t *groups,
       struct buf *out)
{
    while (replacement.len) {
        size_t plain = str_find_char(replacement, '$');
        struct str name;
        buf_append(out, str_first(replacement, plain));
        if (plain == replacement.len)
            return;
        replacement = str_skip(replacement, plain + 1);
        if (replacement.len && replacement.ptr[0] == '$') {
            buf_append_char(out, '$');
            replacement = str_skip(replacement, 1);
        } else if (take_reference(&replacement, &name)) {
            unsigned group = find_group(regex, name);
            if (group < regex->group_count)
                buf_append(out, group_text(text, groups, group));
        } else {
            buf_append_char(out, '$');
        }
    }
}

/* Behind an empty match, the search goes on one character later; an empty match just where another
 * one ends is none. */
enum regex_result
regex_replace(const struct regex *regex, struct regex_matcher *matcher, struct str text,
              struct str replacement, struct buf *out)
{
    uint32_t groups[2 * REGEX_GROUPS_MAX];
    size_t from = 0, copied = 0, last_end = SIZE_MAX;
    enum regex_result result = REGEX_NO_MATCH;
    while (from <= text.len && !buf_overflowed(out)) {
        enum regex_result found = regex_find(regex, matcher, text, from, groups);
        if (found == REGEX_NO_MATCH)
            break;
        if (found != REGEX_MATCH)
            return found;
        unsigned len = 1;
        size_t start = groups[0], end = groups[1];
        if (start != end || end != last_end) {
            buf_append(out, str_first(str_skip(text, copied), start - copied));
            expand(regex, text, replacement, groups, out);
            copied = last_end = end;
            result = REGEX_MATCH;
        }
        if (start == end && end < text.len)
            regex_char(str_skip(text, end), &len);
        from = start == end ? end + len : end;
    }
    if (result == REGEX_MATCH)
        buf_append(out, str_skip(text, copied));
    return result;
}
