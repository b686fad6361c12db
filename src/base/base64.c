#include "base/base64.h"

/* The six bits of a character, or -1. */
static int
sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_decode(struct str text, uint8_t *out, size_t out_len)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t at = 0, len = 0;
    if (text.len % 4 || text.len / 4 != out_len / 3 + (out_len % 3 != 0))
        return false;
    for (; at < text.len && text.ptr[at] != '='; at++) {
        int value = sextet(text.ptr[at]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        bit_count += 6;
        if (bit_count < 8)
            continue;
        bit_count -= 8;
        if (len == out_len)
            return false;
        out[len++] = (uint8_t)(bits >> bit_count);
        bits &= (1U << bit_count) - 1;
    }
    /* What is left can be padding alone; with the length known, its amount is right as well. */
    for (; at < text.len; at++)
        if (text.ptr[at] != '=')
            return false;
    return len == out_len && bits == 0;
}
