#include "base/json.h"

#include "base/hex.h"

void
json_init(struct json *json, struct str text)
{
    *json = (struct json){.rest = text};
}

static bool
fail(struct json *json)
{
    json->failed = true;
    json->rest.len = 0;
    return false;
}

static void
skip_space(struct json *json)
{
    size_t len = 0;
    while (len < json->rest.len && json->rest.ptr[len] && strchr(" \t\r\n", json->rest.ptr[len]))
        len++;
    json->rest = str_skip(json->rest, len);
}

/* Whether the next character is this one; takes it. */
static bool
take(struct json *json, char c)
{
    skip_space(json);
    if (json->rest.len == 0 || json->rest.ptr[0] != c)
        return false;
    json->rest = str_skip(json->rest, 1);
    return true;
}

/* --- arrays and objects --- */

static bool
is_in_array(const struct json *json)
{
    return json->depth && json->arrays >> (json->depth - 1) & 1;
}

static bool
begin(struct json *json, bool is_array)
{
    if (json->failed || json->depth == JSON_DEPTH_MAX || !take(json, is_array ? '[' : '{'))
        return fail(json);
    uint32_t bit = UINT32_C(1) << json->depth++;
    json->arrays = is_array ? json->arrays | bit : json->arrays & ~bit;
    json->fresh = true;
    return true;
}

bool
json_object(struct json *json)
{
    return begin(json, false);
}

bool
json_array(struct json *json)
{
    return begin(json, true);
}

/* Goes to the next value of the innermost level, or closes it: false. */
static bool
next(struct json *json, bool is_array)
{
    if (json->failed || json->depth == 0 || is_in_array(json) != is_array)
        return fail(json);
    if (take(json, is_array ? ']' : '}')) {
        json->depth--;
        json->fresh = false;
        return false;
    }
    if (!json->fresh && !take(json, ','))
        return fail(json);
    json->fresh = false;
    return true;
}

bool
json_item(struct json *json)
{
    return next(json, true);
}

/* --- strings --- */

/* Takes a string. *out: what is between its quotes, of which only the shape was looked at. */
static bool
take_raw(struct json *json, struct str *out)
{
    if (json->failed || !take(json, '"'))
        return fail(json);
    for (size_t len = 0; len < json->rest.len; len++) {
        unsigned char c = (unsigned char)json->rest.ptr[len];
        if (c == '"') {
            *out = str_first(json->rest, len);
            json->rest = str_skip(json->rest, len + 1);
            return true;
        }
        if (c < 0x20)
            break;
        len += c == '\\';
    }
    return fail(json);
}

bool
json_member(struct json *json, struct str *name)
{
    return next(json, false) && take_raw(json, name) && (take(json, ':') || fail(json));
}

/* The code unit in "\uXXXX" at the start of s, or -1. */
static int
code_unit(struct str s)
{
    if (!str_starts_with(s, STR("\\u")))
        return -1;
    int high = hex_byte(str_skip(s, 2)), low = hex_byte(str_skip(s, 4));
    return high < 0 || low < 0 ? -1 : high << 8 | low;
}

/* The code point of the "\uXXXX" or the pair of them at the start of *s, which moves behind it;
 * -1: none. */
static int
take_code_point(struct str *s)
{
    int code = code_unit(*s);
    *s = str_skip(*s, 6);
    if (code < 0xd800 || code > 0xdfff)
        return code;
    int low = code_unit(*s);
    *s = str_skip(*s, 6);
    if (code > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return -1;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

static size_t
put_utf8(char *out, int code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char marks[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(marks[more] | code >> (6 * more));
    for (size_t i = 1; i <= more; i++)
        out[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

/* Takes one escape, or one byte, from the front of *s. Returns the bytes written, at most as many
 * as were taken; 0: a bad escape. */
static size_t
decode_one(struct str *s, char *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (s->ptr[0] != '\\') {
        *out = s->ptr[0];
        *s = str_skip(*s, 1);
        return 1;
    }
    if (s->ptr[1] == 'u') { /* something follows a backslash: take_raw saw to it */
        int code = take_code_point(s);
        return code < 0 ? 0 : put_utf8(out, code);
    }
    const char *name = s->ptr[1] ? strchr(names, s->ptr[1]) : NULL;
    *s = str_skip(*s, 2);
    if (name)
        *out = values[name - names];
    return name != NULL;
}

bool
json_unescape(struct str raw, char *out, size_t *len)
{
    char ignored[4];
    *len = 0;
    while (raw.len) {
        size_t count = decode_one(&raw, out ? out + *len : ignored);
        if (count == 0)
            return false;
        *len += count;
    }
    return true;
}

bool
json_string(struct json *json, struct arena *arena, struct str *out)
{
    struct str raw;
    size_t len;
    if (!take_raw(json, &raw))
        return false;
    char *text = arena_alloc_text(arena, raw.len + 1);
    if (!text || !json_unescape(raw, text, &len))
        return fail(json);
    text[len] = '\0';
    *out = str_make(text, len);
    return str_is_utf8(*out) || fail(json);
}

/* --- numbers --- */

/* Moves *len over digits. How many there were. */
static size_t
skip_digits(struct str s, size_t *len)
{
    size_t from = *len;
    while (*len < s.len && s.ptr[*len] >= '0' && s.ptr[*len] <= '9')
        ++*len;
    return *len - from;
}

static bool
has(struct str s, size_t at, const char *set)
{
    return at < s.len && s.ptr[at] && strchr(set, s.ptr[at]);
}

size_t
json_number_len(struct str s)
{
    size_t len = has(s, 0, "-");
    bool starts_with_0 = has(s, len, "0");
    size_t whole = skip_digits(s, &len);
    if (whole == 0 || (starts_with_0 && whole > 1))
        return 0;
    if (has(s, len, ".")) {
        len++;
        if (skip_digits(s, &len) == 0)
            return 0;
    }
    if (has(s, len, "eE")) {
        len++;
        len += has(s, len, "+-");
        if (skip_digits(s, &len) == 0)
            return 0;
    }
    return len;
}

static bool
take_number(struct json *json, struct str *out)
{
    skip_space(json);
    *out = str_first(json->rest, json_number_len(json->rest));
    if (json->failed || out->len == 0)
        return fail(json);
    json->rest = str_skip(json->rest, out->len);
    return true;
}

bool
json_u64(struct json *json, uint64_t *out)
{
    struct str text;
    return take_number(json, &text) && (str_to_u64(text, out) || fail(json));
}

/* --- the rest --- */

static bool
take_word(struct json *json, struct str word)
{
    skip_space(json);
    if (json->failed || !str_starts_with(json->rest, word))
        return false;
    json->rest = str_skip(json->rest, word.len);
    return true;
}

/* Takes one value; of an array or object only its beginning. */
static bool
skip_one(struct json *json)
{
    struct str ignored;
    skip_space(json);
    switch (json->rest.len ? json->rest.ptr[0] : '\0') {
    case '{':
        return json_object(json);
    case '[':
        return json_array(json);
    case '"':
        return take_raw(json, &ignored);
    case 't':
        return take_word(json, STR("true")) || fail(json);
    case 'f':
        return take_word(json, STR("false")) || fail(json);
    case 'n':
        return take_word(json, STR("null")) || fail(json);
    default:
        return take_number(json, &ignored);
    }
}

bool
json_skip(struct json *json)
{
    struct str name;
    unsigned depth = json->depth;
    if (!skip_one(json))
        return false;
    while (json->depth > depth)
        if (is_in_array(json) ? json_item(json) : json_member(json, &name))
            skip_one(json);
        else if (json->failed)
            break;
    return !json->failed;
}

char
json_peek(struct json *json)
{
    skip_space(json);
    return !json->failed && json->rest.len ? json->rest.ptr[0] : '\0';
}

bool
json_done(struct json *json)
{
    skip_space(json);
    if (json->depth || json->rest.len)
        fail(json);
    return !json->failed;
}
