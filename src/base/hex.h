/* hex: hexadecimal digits, and bytes written as %XX (RFC 3986 section 2.1). Pure. */
#ifndef TARN_BASE_HEX_H
#define TARN_BASE_HEX_H

#include "base/str.h"

/* The value of a hexadecimal digit in either case, or -1. */
static inline int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the first two characters of s stand for, or -1. */
static inline int
hex_byte(struct str s)
{
    int high = s.len < 2 ? -1 : hex_value(s.ptr[0]), low = high < 0 ? -1 : hex_value(s.ptr[1]);
    return low < 0 ? -1 : high << 4 | low;
}

/* The byte that the three characters at the start of s stand for ("%2F"), or -1. */
static inline int
percent_value(struct str s)
{
    return s.len < 3 || s.ptr[0] != '%' ? -1 : hex_byte(str_skip(s, 1));
}

/* Writes two digits for each byte, and no NUL. */
static inline void
hex_encode(struct str bytes, bool upper, char *out)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        *out++ = digits[(unsigned char)bytes.ptr[i] >> 4];
        *out++ = digits[(unsigned char)bytes.ptr[i] & 15];
    }
}

/* Writes %XX with capital digits. Returns 3. */
static inline size_t
percent_put(char *out, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    out[0] = '%';
    out[1] = digits[(unsigned char)c >> 4];
    out[2] = digits[(unsigned char)c & 15];
    return 3;
}

#endif
