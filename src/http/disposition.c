/* The name is cleaned first, character by character, into a buffer of the longest name; both
 * parameters are written from the clean one. */
#include "http/disposition.h"

#include "base/hex.h"
#include "base/limits.h"

struct name {
    char bytes[DISPOSITION_NAME_MAX];
    size_t len;
    bool is_plain; /* can be written as a quoted string alone */
};

/* Bytes of the character that starts with c, in valid UTF-8. */
static size_t
character_len(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/* The code point of a character of 2 or 3 bytes; those of 4 are not looked at. */
static unsigned
code_point(struct str character)
{
    const unsigned char *p = (const unsigned char *)character.ptr;
    if (character.len == 2)
        return (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
    if (character.len == 3)
        return (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
    return p[0];
}

static bool
is_forbidden(struct str character)
{
    unsigned c = code_point(character);
    if (character.len == 1)
        return c < 0x20 || c == 0x7f || c == '/' || c == '\\';
    if (character.len == 4)
        return false;
    /* C1; direction marks, separators of lines, embeddings and overrides, isolates */
    return c < 0xa0 || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

static void
clean_name(struct str raw, struct name *out)
{
    bool is_utf8 = str_is_utf8(raw);
    *out = (struct name){.is_plain = true};
    for (size_t i = 0; i < raw.len;) {
        size_t len = is_utf8 ? character_len(raw.ptr[i]) : 1;
        struct str character = str_make(raw.ptr + i, len);
        i += len;
        if ((!is_utf8 && character.ptr[0] & 0x80) || is_forbidden(character))
            character = STR("_");
        if (out->len + character.len > sizeof out->bytes)
            break;
        memcpy(out->bytes + out->len, character.ptr, character.len);
        out->len += character.len;
        out->is_plain = out->is_plain && character.len == 1 && character.ptr[0] != '%';
    }
    struct str name = str_make(out->bytes, out->len);
    if (name.len == 0 || str_eq(name, STR(".")) || str_eq(name, STR(".."))) {
        out->len = sizeof "download" - 1;
        memcpy(out->bytes, "download", out->len);
    }
}

/* The name as a quoted string's content, at most 2 bytes for each. */
static size_t
put_quoted(const struct name *name, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < name->len; i += character_len(name->bytes[i])) {
        char c = name->bytes[i];
        if (c == '"')
            out[len++] = '\\';
        out[len++] = c & 0x80 ? '_' : c;
    }
    return len;
}

/* attr-char of RFC 8187 section 3.2.1 */
static bool
is_attr_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$&+-.^_`|~", c));
}

/* The name as the value of an extended parameter, at most 3 bytes for each. */
static size_t
put_extended(const struct name *name, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < name->len; i++) {
        if (is_attr_char(name->bytes[i]))
            out[len++] = name->bytes[i];
        else
            len += percent_put(out + len, name->bytes[i]);
    }
    return len;
}

struct str
disposition_line(struct str name, struct arena *arena)
{
    char quoted[2 * DISPOSITION_NAME_MAX], extended[3 * DISPOSITION_NAME_MAX];
    struct name clean;
    clean_name(name, &clean);
    size_t quoted_len = put_quoted(&clean, quoted);
    size_t extended_len = clean.is_plain ? 0 : put_extended(&clean, extended);
    return arena_printf(arena, "Content-Disposition: attachment; filename=\"%.*s\"%s%.*s\r\n",
                        (int)quoted_len, quoted, clean.is_plain ? "" : "; filename*=UTF-8''",
                        (int)extended_len, extended);
}
