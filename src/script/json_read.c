/* Text to tree, in one pass and without recursion. What has been read of arrays and objects that
 * are still open waits in one stack of members; when one closes, what belongs to it, its key and
 * value nodes as they are, is sorted if need be and becomes a list of just that length. So nothing
 * of a tree is larger than it has to be, and a text without long strings costs one allocation for
 * each array and object that is not empty.
 *
 * Strings are looked over eight bytes at a time. Those with escapes, and numbers that are not short
 * integers, are rare: base/json.h reads them.
 */
#include "base/json.h"
#include "base/limits.h"
#include "script/json_tree.h"

#include <endian.h>
#include <stdlib.h>

enum {
    LOCAL_ITEMS = 64, /* waiting members before the heap is needed */
    SORT_RUN = 16,    /* sorted by insertion */
    SHORT_DIGITS = 18 /* any number of so many fits 64 bits */
};

struct reader {
    struct script_json *json;
    const char *at, *end;
    enum json_result result;
    unsigned depth;
    uint32_t first[SCRIPT_JSON_DEPTH_MAX]; /* item of each open level, behind the level's own */
    struct json_member *items;
    uint32_t count, cap;
    struct json_member local[LOCAL_ITEMS];
};

static bool
fail(struct reader *reader, enum json_result result)
{
    reader->result = result;
    return false;
}

static void
skip_space(struct reader *reader)
{
    const char *at = reader->at;
    while (at < reader->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    reader->at = at;
}

static bool
take(struct reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* --- the stack --- */

static bool
reserve(struct reader *reader, uint32_t count)
{
    uint64_t want = (uint64_t)reader->count + count;
    uint64_t cap = reader->cap;
    if (want <= cap)
        return true;
    while (cap < want)
        cap *= 2;
    if (cap > UINT32_MAX / 2)
        return fail(reader, JSON_NO_ROOM);
    bool is_local = reader->items == reader->local;
    struct json_member *items =
        realloc(is_local ? NULL : reader->items, (size_t)cap * sizeof *items);
    if (!items)
        return fail(reader, JSON_NO_MEMORY);
    if (is_local)
        memcpy(items, reader->local, reader->count * sizeof *items);
    reader->items = items;
    reader->cap = (uint32_t)cap;
    return true;
}

/* Each will take at least one node: what cannot fit is not even begun. */
static bool
push(struct reader *reader)
{
    if ((reader->count + UINT64_C(1)) * sizeof(struct json_node) > reader->json->left)
        return fail(reader, JSON_NO_ROOM);
    if (reader->count == reader->cap && !reserve(reader, 1))
        return false;
    reader->items[reader->count++] = (struct json_member){0};
    return true;
}

static void
deinit(struct reader *reader)
{
    for (uint32_t i = 0; i < reader->count; i++) {
        json_tree_empty(reader->json, &reader->items[i].key);
        json_tree_empty(reader->json, &reader->items[i].value);
    }
    if (reader->items != reader->local)
        free(reader->items);
}

/* --- sorting members --- */

static int
compare(const struct json_member *a, const struct json_member *b)
{
    return json_tree_compare(&a->key, &b->key);
}

static bool
is_ascending(const struct json_member *list, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (compare(&list[i - 1], &list[i]) >= 0)
            return false;
    return true;
}

static void
insertion_sort(struct json_member *list, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t at = i;
        if (compare(&list[i - 1], &list[i]) <= 0)
            continue;
        struct json_member member = list[i];
        for (; at > 0 && compare(&list[at - 1], &member) > 0; at--)
            list[at] = list[at - 1];
        list[at] = member;
    }
}

static void
merge(struct json_member *to, const struct json_member *from, uint32_t middle, uint32_t end)
{
    uint32_t left = 0, right = middle;
    for (uint32_t i = 0; i < end; i++)
        if (left < middle && (right == end || compare(&from[left], &from[right]) <= 0))
            to[i] = from[left++];
        else
            to[i] = from[right++];
}

/* Those of one key stay in their order. There is room for as many behind them. */
static void
sort(struct json_member *list, uint32_t count)
{
    struct json_member *from = list, *to = list + count;
    for (uint32_t i = 0; i < count; i += SORT_RUN)
        insertion_sort(list + i, count - i < SORT_RUN ? count - i : SORT_RUN);
    for (uint64_t run = SORT_RUN; run < count; run *= 2) {
        for (uint64_t i = 0; i < count; i += 2 * run) {
            uint64_t end = count - i < 2 * run ? count - i : 2 * run;
            merge(to + i, from + i, (uint32_t)(run < end ? run : end), (uint32_t)end);
        }
        struct json_member *other = from;
        from = to;
        to = other;
    }
    if (from != list)
        memcpy(list, from, count * sizeof *list);
}

/* Of each key the last stays. Returns how many do. */
static uint32_t
drop_duplicates(struct script_json *json, struct json_member *list, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 < count && compare(&list[i], &list[i + 1]) == 0) {
            json_tree_empty(json, &list[i].key);
            json_tree_empty(json, &list[i].value);
        } else {
            list[kept++] = list[i];
        }
    }
    return kept;
}

/* Sorts the `*count` members at the end of the stack. */
static bool
sort_members(struct reader *reader, uint32_t first, uint32_t *count)
{
    if (is_ascending(reader->items + first, *count))
        return true;
    if (*count > SORT_RUN && !reserve(reader, *count))
        return false;
    sort(reader->items + first, *count);
    *count = drop_duplicates(reader->json, reader->items + first, *count);
    reader->count = first + *count;
    return true;
}

/* --- levels --- */

static bool
open_level(struct reader *reader, uint8_t type)
{
    if (reader->depth == SCRIPT_JSON_DEPTH_MAX)
        return fail(reader, JSON_TOO_DEEP);
    json_tree_put_list(&reader->items[reader->count - 1].value, type);
    reader->first[reader->depth++] = reader->count;
    return true;
}

static bool
close_level(struct reader *reader)
{
    uint32_t first = reader->first[--reader->depth], count = reader->count - first;
    bool is_array = reader->items[first - 1].value.type == JSON_ARRAY;
    if (count == 0)
        return true;
    if (!is_array && !sort_members(reader, first, &count))
        return false;
    size_t size = is_array ? sizeof(struct json_node) : sizeof(struct json_member);
    struct json_list *list = json_tree_new_list(reader->json, size, count, &reader->result);
    if (!list)
        return false;
    struct json_node *node = &reader->items[first - 1].value;
    node->list = list;
    node->len = count;
    if (is_array)
        for (uint32_t i = 0; i < count; i++)
            json_items(node)[i] = reader->items[first + i].value;
    else
        memcpy(json_members(node), reader->items + first, count * sizeof(struct json_member));
    reader->count = first;
    return true;
}

/* --- strings --- */

#define ONES UINT64_C(0x0101010101010101)
#define HIGH UINT64_C(0x8080808080808080)

/* Marks in the high bits of the bytes; the lowest is true, those above it may not be. */
static inline uint64_t
special_bytes(uint64_t word)
{
    uint64_t quote = word ^ ONES * '"', slash = word ^ ONES * '\\';
    return ((word - ONES * ' ') | (quote - ONES) | (slash - ONES) | word) & HIGH;
}

static const char *
skip_plain(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t marks = special_bytes(le64toh(word));
        if (marks)
            return at + __builtin_ctzll(marks) / 8;
        at += 8;
    }
    while (at < end && (unsigned char)*at >= ' ' && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\')
        at++;
    return at;
}

/* Finds the end of the string whose first quote was taken. *raw: what is between the quotes. */
static bool
find_string_end(struct reader *reader, struct str *raw, bool *has_escape)
{
    const char *start = reader->at, *at = start;
    bool has_high = false;
    *has_escape = false;
    for (;;) {
        at = skip_plain(at, reader->end);
        if (at == reader->end || (unsigned char)*at < ' ')
            return fail(reader, JSON_ABSENT);
        if (*at == '"')
            break;
        if (*at == '\\') {
            *has_escape = true;
            at++;
            if (at == reader->end)
                return fail(reader, JSON_ABSENT);
        } else {
            has_high = true;
        }
        at++;
    }
    *raw = str_make(start, (size_t)(at - start));
    reader->at = at + 1;
    return !has_high || str_is_utf8(*raw) || fail(reader, JSON_ABSENT);
}

static bool
read_escaped(struct reader *reader, struct json_node *node, struct str raw)
{
    char small[JSON_SHORT_MAX];
    size_t len;
    if (!json_unescape(raw, NULL, &len))
        return fail(reader, JSON_ABSENT);
    if (len <= sizeof small) {
        json_unescape(raw, small, &len);
        reader->result = json_tree_put_text(reader->json, node, JSON_STRING, str_make(small, len));
        return reader->result == JSON_OK;
    }
    if (len > UINT32_MAX)
        return fail(reader, JSON_NO_ROOM);
    char *text = json_tree_take(reader->json, len, &reader->result);
    if (!text)
        return false;
    json_unescape(raw, text, &len);
    node->type = JSON_STRING;
    node->form = JSON_LONG;
    node->len = (uint32_t)len;
    node->text = text;
    return true;
}

static bool
read_string(struct reader *reader, struct json_node *node)
{
    struct str raw;
    bool has_escape;
    if (!find_string_end(reader, &raw, &has_escape))
        return false;
    if (has_escape)
        return read_escaped(reader, node, raw);
    reader->result = json_tree_put_text(reader->json, node, JSON_STRING, raw);
    return reader->result == JSON_OK;
}

/* --- numbers and words --- */

static inline bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Integers of 19 digits, and everything that is no integer; -0 is none, either. */
static bool
read_other_number(struct reader *reader, struct json_node *node)
{
    struct str rest = str_make(reader->at, (size_t)(reader->end - reader->at));
    struct str text = str_first(rest, json_number_len(rest));
    bool is_negative = text.len && text.ptr[0] == '-';
    uint64_t value, max = (uint64_t)INT64_MAX + is_negative;
    if (text.len == 0)
        return fail(reader, JSON_ABSENT);
    reader->at += text.len;
    if (str_to_u64(str_skip(text, is_negative), &value) && value <= max &&
        (value || !is_negative)) {
        json_tree_put_integer(node, (int64_t)(is_negative ? -value : value));
        return true;
    }
    reader->result = json_tree_put_text(reader->json, node, JSON_NUMBER, text);
    return reader->result == JSON_OK;
}

static bool
read_number(struct reader *reader, struct json_node *node)
{
    const char *at = reader->at, *end = reader->end;
    bool is_negative = *at == '-';
    at += is_negative;
    const char *digits = at;
    if (end - at > SHORT_DIGITS)
        end = at + SHORT_DIGITS;
    int64_t value = 0;
    for (; at < end && is_digit(*at); at++)
        value = value * 10 + (*at - '0');
    bool goes_on = at < reader->end && (is_digit(*at) || *at == '.' || *at == 'e' || *at == 'E');
    if (at == digits || goes_on || (*digits == '0' && (at - digits > 1 || is_negative)))
        return read_other_number(reader, node);
    reader->at = at;
    json_tree_put_integer(node, is_negative ? -value : value);
    return true;
}

static bool
take_word(struct reader *reader, struct str word)
{
    if (!str_starts_with(str_make(reader->at, (size_t)(reader->end - reader->at)), word))
        return fail(reader, JSON_ABSENT);
    reader->at += word.len;
    return true;
}

/* --- the walk --- */

/* The value of the item at the end of the stack; of an array or object only its beginning. */
static bool
read_value(struct reader *reader)
{
    struct json_node *node = &reader->items[reader->count - 1].value;
    skip_space(reader);
    if (reader->at == reader->end)
        return fail(reader, JSON_ABSENT);
    switch (*reader->at) {
    case '"':
        reader->at++;
        return read_string(reader, node);
    case '{':
        reader->at++;
        return open_level(reader, JSON_OBJECT);
    case '[':
        reader->at++;
        return open_level(reader, JSON_ARRAY);
    case 't':
        json_tree_put_bool(node, true);
        return take_word(reader, STR("true"));
    case 'f':
        json_tree_put_bool(node, false);
        return take_word(reader, STR("false"));
    case 'n':
        return take_word(reader, STR("null"));
    default:
        return read_number(reader, node);
    }
}

static bool
read_key(struct reader *reader)
{
    skip_space(reader);
    if (!take(reader, '"'))
        return fail(reader, JSON_ABSENT);
    if (!read_string(reader, &reader->items[reader->count - 1].key))
        return false;
    skip_space(reader);
    return take(reader, ':') || fail(reader, JSON_ABSENT);
}

/* The next item of the innermost level, or its end. */
static bool
read_next(struct reader *reader)
{
    uint32_t first = reader->first[reader->depth - 1];
    bool is_array = reader->items[first - 1].value.type == JSON_ARRAY;
    skip_space(reader);
    if (take(reader, is_array ? ']' : '}'))
        return close_level(reader);
    if (reader->count > first && !take(reader, ','))
        return fail(reader, JSON_ABSENT);
    return push(reader) && (is_array || read_key(reader)) && read_value(reader);
}

static bool
read_all(struct reader *reader)
{
    if (!push(reader) || !read_value(reader))
        return false;
    while (reader->depth)
        if (!read_next(reader))
            return false;
    skip_space(reader);
    return reader->at == reader->end || fail(reader, JSON_ABSENT);
}

enum json_result
json_tree_read(struct script_json *json, struct json_node *to, struct str text)
{
    struct reader reader;
    reader.json = json;
    reader.at = text.ptr;
    reader.end = text.len ? text.ptr + text.len : text.ptr;
    reader.result = JSON_OK;
    reader.depth = 0;
    reader.items = reader.local;
    reader.count = 0;
    reader.cap = LOCAL_ITEMS;
    if (read_all(&reader)) {
        bool is_named = to->is_named;
        *to = reader.items[0].value;
        to->is_named = is_named;
        reader.count = 0;
    }
    deinit(&reader);
    return reader.result;
}
