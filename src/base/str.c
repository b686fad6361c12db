#include "base/str.h"

bool
str_ieq(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (str_lower_char(a.ptr[i]) != str_lower_char(b.ptr[i]))
            return false;
    return true;
}

bool
str_icontains(struct str s, struct str needle)
{
    for (size_t at = 0; at + needle.len <= s.len; at++)
        if (str_ieq(str_first(str_skip(s, at), needle.len), needle))
            return true;
    return false;
}

int
str_cmp(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

size_t
str_find_last_char(struct str s, char c)
{
    const char *hit = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    return hit ? (size_t)(hit - s.ptr) : s.len;
}

size_t
str_find(struct str s, struct str needle)
{
    if (needle.len == 0)
        return 0;
    const char *hit = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return hit ? (size_t)(hit - s.ptr) : s.len;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str
str_trim(struct str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s.ptr++, s.len--;
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct str
str_cut(struct str *s, char sep)
{
    size_t at = str_find_char(*s, sep);
    struct str head = str_first(*s, at);
    *s = str_skip(*s, at < s->len ? at + 1 : at);
    return head;
}

bool
str_to_u64(struct str s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

/* Length of the well-formed sequence at p (1 to 4), or 0. The bounds of the second byte are the
 * ones of RFC 3629 section 4; they exclude overlong forms, surrogates and values past U+10FFFF. */
static size_t
utf8_sequence_len(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t len;
    unsigned char low = 0x80, high = 0xbf;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;
        high = p[0] == 0xed ? 0x9f : high;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        low = p[0] == 0xf0 ? 0x90 : low;
        high = p[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (left < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return len;
}

/* Bytes at the start that are ASCII, found eight at a time; maybe fewer than there are. */
static size_t
ascii_len(const unsigned char *p, size_t len)
{
    const uint64_t high = 0x8080808080808080;
    size_t i = 0;
    for (uint64_t word; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if (word & high)
            break;
    }
    return i;
}

bool
str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    for (size_t i = 0; i < s.len;) {
        i += ascii_len(p + i, s.len - i);
        if (i == s.len)
            break;
        size_t len = utf8_sequence_len(p + i, s.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

enum { DISTANCE_LEN_MAX = 63 };

size_t
str_distance(struct str a, struct str b, size_t max)
{
    size_t row[DISTANCE_LEN_MAX + 1];
    if (a.len > DISTANCE_LEN_MAX || b.len > DISTANCE_LEN_MAX)
        return max + 1;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[b.len] <= max ? row[b.len] : max + 1;
}
