#include "base/base64.h"

enum { NONE = 0xff };

/* The six bits of a character of either alphabet. */
static const uint8_t values[128] = {
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 62,   NONE, 62,   NONE, 63,
    52,   53,   54,   55,   56,   57,   58,   59,   60,   61,   NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, 0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,
    15,   16,   17,   18,   19,   20,   21,   22,   23,   24,   25,   NONE, NONE, NONE, NONE, 63,
    NONE, 26,   27,   28,   29,   30,   31,   32,   33,   34,   35,   36,   37,   38,   39,   40,
    41,   42,   43,   44,   45,   46,   47,   48,   49,   50,   51,   NONE, NONE, NONE, NONE, NONE,
};

static bool
is_padded(enum base64_form form)
{
    return form == BASE64_STANDARD || form == BASE64_URL;
}

static bool
is_url(enum base64_form form)
{
    return form == BASE64_URL || form == BASE64_URL_NO_PAD;
}

size_t
base64_encoded_len(enum base64_form form, size_t len)
{
    size_t rest = len % 3, last = rest == 0 ? 0 : is_padded(form) ? 4 : rest + 1;
    return len / 3 * 4 + last;
}

void
base64_encode(enum base64_form form, struct str bytes, char *out)
{
    static const char standard[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *alphabet = is_url(form) ? url : standard;
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    size_t at = 0;
    for (; bytes.len - at >= 3; at += 3, out += 4) {
        uint32_t bits = (uint32_t)in[at] << 16 | (uint32_t)in[at + 1] << 8 | in[at + 2];
        out[0] = alphabet[bits >> 18];
        out[1] = alphabet[bits >> 12 & 63];
        out[2] = alphabet[bits >> 6 & 63];
        out[3] = alphabet[bits & 63];
    }
    size_t rest = bytes.len - at;
    if (rest == 0)
        return;
    uint32_t bits = (uint32_t)in[at] << 16 | (rest == 2 ? (uint32_t)in[at + 1] << 8 : 0);
    out[0] = alphabet[bits >> 18];
    out[1] = alphabet[bits >> 12 & 63];
    if (rest == 2)
        out[2] = alphabet[bits >> 6 & 63];
    for (size_t i = rest + 1; i < 4 && is_padded(form); i++)
        out[i] = '=';
}

/* The text without its padding; *ok false: there is too little or too much of it. */
static struct str
unpadded(enum base64_form form, struct str text, bool *ok)
{
    *ok = text.len % 4 != 1;
    if (!is_padded(form))
        return text;
    *ok = text.len % 4 == 0;
    for (unsigned i = 0; i < 2 && text.len && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    return text;
}

bool
base64_decoded_len(enum base64_form form, struct str text, size_t *len)
{
    bool ok;
    text = unpadded(form, text, &ok);
    *len = text.len / 4 * 3 + (text.len % 4 ? text.len % 4 - 1 : 0);
    return ok;
}

bool
base64_decode_form(enum base64_form form, struct str text, char *out)
{
    char other_62 = is_url(form) ? '+' : '-', other_63 = is_url(form) ? '/' : '_';
    uint32_t bits = 0;
    unsigned bit_count = 0;
    bool ok;
    text = unpadded(form, text, &ok);
    for (size_t at = 0; at < text.len && ok; at++) {
        unsigned char c = (unsigned char)text.ptr[at];
        uint8_t value = c < sizeof values ? values[c] : NONE;
        if (value == NONE || c == (unsigned char)other_62 || c == (unsigned char)other_63)
            return false;
        bits = bits << 6 | value;
        bit_count += 6;
        if (bit_count < 8)
            continue;
        bit_count -= 8;
        *out++ = (char)(bits >> bit_count);
        bits &= (1U << bit_count) - 1;
    }
    return ok && bits == 0;
}

bool
base64_decode(struct str text, uint8_t *out, size_t out_len)
{
    size_t len;
    return base64_decoded_len(BASE64_STANDARD, text, &len) && len == out_len &&
           base64_decode_form(BASE64_STANDARD, text, (char *)out);
}
