#include "script/form.h"

#include "base/hex.h"

bool
form_next(struct str *query, struct str *name, struct str *value)
{
    while (query->len) {
        struct str rest = str_cut(query, '&');
        if (rest.len == 0)
            continue;
        *name = str_cut(&rest, '=');
        *value = rest;
        return true;
    }
    return false;
}

/* Takes one decoded byte from the front of *s, which is not empty. */
static unsigned char
take_byte(struct str *s)
{
    int escaped = percent_value(*s);
    unsigned char c = (unsigned char)s->ptr[0];
    *s = str_skip(*s, escaped < 0 ? 1 : 3);
    return escaped >= 0 ? (unsigned char)escaped : c == '+' ? ' ' : c;
}

/* --- UTF-8, with what is wrong in it replaced --- */

/* Bytes that follow the first of a character, as far as they are such; `valid`: all are there. */
static unsigned
tail_len(const unsigned char *p, size_t len, bool *valid)
{
    unsigned want = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : 1, have = 0;
    unsigned low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    *valid = p[0] >= 0xc2 && p[0] <= 0xf4;
    while (*valid && have < want && have + 1 < len && p[have + 1] >= low && p[have + 1] <= high) {
        have++;
        low = 0x80;
        high = 0xbf;
    }
    *valid = *valid && have == want;
    return have;
}

/* Appends bytes, each longest start of a character that is not one becoming one U+FFFD (Unicode
 * 15.0, section 3.9, "substitution of maximal subparts"). */
static void
append_repaired(struct str bytes, struct buf *out)
{
    size_t at = 0, plain = 0;
    while (at < bytes.len) {
        const unsigned char *p = (const unsigned char *)bytes.ptr + at;
        bool valid = p[0] < 0x80;
        unsigned tail = valid ? 0 : tail_len(p, bytes.len - at, &valid);
        if (!valid) {
            buf_append(out, str_make(bytes.ptr + plain, at - plain));
            buf_append(out, STR("\xef\xbf\xbd"));
            plain = at + 1 + tail;
        }
        at += 1 + tail;
    }
    buf_append(out, str_make(bytes.ptr + plain, bytes.len - plain));
}

/* --- decoding --- */

static bool
is_plain(struct str raw)
{
    for (size_t i = 0; i < raw.len; i++)
        if (raw.ptr[i] == '%' || raw.ptr[i] == '+' || raw.ptr[i] & 0x80)
            return false;
    return true;
}

struct str
form_decode(struct str raw, struct buf *out)
{
    size_t before = out->len, len = 0;
    if (is_plain(raw))
        return raw;
    char *decoded = buf_reserve(out, raw.len);
    if (!decoded)
        return (struct str){0};
    while (raw.len)
        decoded[len++] = (char)take_byte(&raw);
    if (str_is_utf8(str_make(decoded, len))) {
        buf_commit(out, len);
        return str_make(decoded, len);
    }
    /* It becomes longer: what was decoded moves behind where that goes. */
    decoded = buf_reserve(out, 4 * len);
    if (!decoded)
        return (struct str){0};
    memmove(decoded + 3 * len, decoded, len);
    append_repaired(str_make(decoded + 3 * len, len), out);
    return str_make(out->ptr + before, out->len - before);
}

bool
form_is(struct str raw, struct str text)
{
    size_t at = 0;
    for (; raw.len && at < text.len; at++)
        if (take_byte(&raw) != (unsigned char)text.ptr[at])
            return false;
    return raw.len == 0 && at == text.len;
}

static bool
stays(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' ||
           c == '-' || c == '.' || c == '_';
}

void
form_encode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char escape[3];
        if (stays((unsigned char)text.ptr[i]))
            buf_append_char(out, text.ptr[i]);
        else if (text.ptr[i] == ' ')
            buf_append_char(out, '+');
        else
            buf_append(out, str_make(escape, percent_put(escape, text.ptr[i])));
    }
}
