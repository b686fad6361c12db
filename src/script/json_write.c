#include "script/json_tree.h"

#include <endian.h>

/* Tree to text. Room is asked for in pieces of ROOM bytes or more, in which tokens are written
 * without asking the buffer. */
enum { ROOM = 512, INTEGER_LEN = 20, PLAIN_MAX = 24 };

struct writer {
    struct buf *out;
    char *start, *at, *end; /* room behind the end of `out`; NULL: over its ceiling */
};

static bool __attribute__((noinline)) make_room(struct writer *writer, size_t len);

/* Whether there is room for `len` bytes. */
static inline bool
has_room(struct writer *writer, size_t len)
{
    return (size_t)(writer->end - writer->at) >= len || make_room(writer, len);
}

static bool
make_room(struct writer *writer, size_t len)
{
    if (!writer->at && buf_overflowed(writer->out))
        return false;
    if (writer->at)
        buf_commit(writer->out, (size_t)(writer->at - writer->start));
    size_t wanted = len > ROOM ? len : ROOM, left = writer->out->max - writer->out->len;
    if (wanted > left && len <= left)
        wanted = left; /* all there is */
    writer->start = writer->at = buf_reserve(writer->out, wanted);
    writer->end = writer->at ? writer->at + wanted : NULL;
    return writer->at;
}

static void
put_char(struct writer *writer, char c)
{
    if (has_room(writer, 1))
        *writer->at++ = c;
}

static void
put(struct writer *writer, struct str s)
{
    if (s.len == 0 || !has_room(writer, s.len))
        return;
    memcpy(writer->at, s.ptr, s.len);
    writer->at += s.len;
}

static void
put_integer(struct writer *writer, int64_t value)
{
    char text[INTEGER_LEN], *at = text + sizeof text;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    put(writer, str_make(at, (size_t)(text + sizeof text - at)));
}

#define ONES UINT64_C(0x0101010101010101)
#define HIGH UINT64_C(0x8080808080808080)

/* Bytes at the start of s that stand for themselves in a string. */
static size_t
plain_len(struct str s)
{
    size_t at = 0;
    for (; s.len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + at, sizeof word);
        word = le64toh(word);
        uint64_t quote = word ^ ONES * '"', slash = word ^ ONES * '\\';
        uint64_t marks =
            ((word - ONES * ' ') & ~word) | ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash);
        if (marks & HIGH)
            return at + (size_t)__builtin_ctzll(marks & HIGH) / 8;
    }
    while (at < s.len && (unsigned char)s.ptr[at] >= ' ' && s.ptr[at] != '"' && s.ptr[at] != '\\')
        at++;
    return at;
}

static void
put_escape(struct writer *writer, unsigned char c)
{
    static const char names[] = "btnvfr", digits[] = "0123456789abcdef";
    char text[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    size_t len = 2;
    if (c >= ' ')
        text[1] = (char)c;
    else if (c >= '\b' && c <= '\r' && c != '\v')
        text[1] = names[c - '\b'];
    else
        len = sizeof text;
    put(writer, str_make(text, len));
}

/* A short string, byte by byte, as long as nothing has to be escaped. How many bytes were put. */
static size_t
put_plain(struct writer *writer, struct str s)
{
    size_t at = 0;
    if (s.len > PLAIN_MAX || !has_room(writer, s.len))
        return 0;
    for (; at < s.len; at++) {
        unsigned char c = (unsigned char)s.ptr[at];
        if (c < ' ' || c == '"' || c == '\\')
            break;
        writer->at[at] = (char)c;
    }
    writer->at += at;
    return at;
}

static void
put_string(struct writer *writer, struct str s)
{
    put_char(writer, '"');
    s = str_skip(s, put_plain(writer, s));
    while (s.len) {
        size_t len = plain_len(s);
        put(writer, str_first(s, len));
        if (len < s.len)
            put_escape(writer, (unsigned char)s.ptr[len]);
        s = str_skip(s, len + 1);
    }
    put_char(writer, '"');
}

static void put_node(struct writer *writer, const struct json_node *node);

static void
put_array(struct writer *writer, const struct json_node *node)
{
    put_char(writer, '[');
    for (uint32_t i = 0; i < node->len; i++) {
        if (i)
            put_char(writer, ',');
        put_node(writer, &json_items(node)[i]);
    }
    put_char(writer, ']');
}

static void
put_object(struct writer *writer, const struct json_node *node)
{
    put_char(writer, '{');
    for (uint32_t i = 0; i < node->len; i++) {
        if (i)
            put_char(writer, ',');
        put_string(writer, json_tree_text(&json_members(node)[i].key));
        put_char(writer, ':');
        put_node(writer, &json_members(node)[i].value);
    }
    put_char(writer, '}');
}

/* Recursive: no tree is deeper than SCRIPT_JSON_DEPTH_MAX. */
static void
put_node(struct writer *writer, const struct json_node *node)
{
    switch ((enum json_type)node->type) {
    case JSON_NULL:
        put(writer, STR("null"));
        break;
    case JSON_BOOL:
        put(writer, node->boolean ? STR("true") : STR("false"));
        break;
    case JSON_NUMBER:
        if (node->form == JSON_INTEGER)
            put_integer(writer, node->integer);
        else
            put(writer, json_tree_text(node));
        break;
    case JSON_STRING:
        put_string(writer, json_tree_text(node));
        break;
    case JSON_ARRAY:
        put_array(writer, node);
        break;
    case JSON_OBJECT:
        put_object(writer, node);
        break;
    }
}

void
json_tree_write(const struct json_node *node, struct buf *out)
{
    struct writer writer = {.out = out};
    put_node(&writer, node);
    if (writer.at)
        buf_commit(out, (size_t)(writer.at - writer.start));
}
