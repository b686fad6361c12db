/* h1_scan: byte classes of HTTP/1 and the two searches the decoders are made of. Pure; reads
 * nothing outside [p, end).
 *
 * A search looks at 16 bytes at a time while that many are left, then at single bytes. The 16-byte
 * tests come in two forms, SSE2 and plain C, that give the same mask: bit i is set when byte i may
 * end the search.
 */
#ifndef TARN_HTTP_H1_SCAN_H
#define TARN_HTTP_H1_SCAN_H

#include "base/str.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    H1_BYTE_TOKEN = 1, /* tchar (RFC 9110 section 5.6.2) */
    H1_BYTE_TEXT = 2,  /* of a field value: HTAB, SP, visible ASCII, 0x80 to 0xff */
};

extern const uint8_t h1_byte_class[256];

static inline bool
h1_byte_is(char c, unsigned byte_class)
{
    return (h1_byte_class[(uint8_t)c] & byte_class) != 0;
}

enum { H1_SCAN_BLOCK = 16 };

#ifdef __SSE2__

/* Bytes that are no letter, digit or '-'. */
static inline unsigned
h1_block_unusual(const char *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i usual = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
    /* Unsigned "at most n", which SSE2 lacks: min(x, n) == x. */
    usual = _mm_or_si128(usual, _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter));
    usual = _mm_or_si128(usual, _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
    return (unsigned)_mm_movemask_epi8(usual) ^ 0xffffu;
}

/* Bytes up to `floor`, and DEL. */
static inline unsigned
h1_block_low(const char *p, uint8_t floor)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8((char)floor)), bytes);
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, del));
}

#else

static inline unsigned
h1_block_unusual(const char *p)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < H1_SCAN_BLOCK; i++)
        mask |= (unsigned)!h1_byte_is(p[i], H1_BYTE_TOKEN) << i;
    return mask;
}

static inline unsigned
h1_block_low(const char *p, uint8_t floor)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < H1_SCAN_BLOCK; i++)
        mask |= (unsigned)((uint8_t)p[i] <= floor || p[i] == 0x7f) << i;
    return mask;
}

#endif

/* The first byte that is no token character, or `end`. */
static inline const char *
h1_scan_token(const char *p, const char *end)
{
    while (end - p >= H1_SCAN_BLOCK) {
        unsigned mask = h1_block_unusual(p);
        if (mask == 0) {
            p += H1_SCAN_BLOCK;
            continue;
        }
        p += __builtin_ctz(mask);
        if (!h1_byte_is(*p, H1_BYTE_TOKEN))
            return p;
        p++;
    }
    while (p < end && h1_byte_is(*p, H1_BYTE_TOKEN))
        p++;
    return p;
}

/* The first byte that is at most `floor`, or DEL, or `end`. */
static inline const char *
h1_scan_low(const char *p, const char *end, uint8_t floor)
{
    for (; end - p >= H1_SCAN_BLOCK; p += H1_SCAN_BLOCK) {
        unsigned mask = h1_block_low(p, floor);
        if (mask)
            return p + __builtin_ctz(mask);
    }
    while (p < end && (uint8_t)*p > floor && *p != 0x7f)
        p++;
    return p;
}

/* The first byte that cannot stand in a field value (H1_BYTE_TEXT), or `end`. */
static inline const char *
h1_scan_text(const char *p, const char *end)
{
    p = h1_scan_low(p, end, 0x1f);
    while (p < end && *p == '\t')
        p = h1_scan_low(p + 1, end, 0x1f);
    return p;
}

#endif
