/* str: text and bytes as pointer plus length, passed by value.
 *
 * A `struct str` borrows: it never owns what it points at and is never NUL-terminated by contract.
 * An empty str may have a NULL pointer. No function here allocates. Thread rule: pure functions.
 */
#ifndef TARN_BASE_STR_H
#define TARN_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

/* A str from a string literal; the length is known at compile time. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* For initialisers of static tables, where a compound literal is not constant. */
#define STR_INIT(literal)               \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }
/* For printf: `printf("%.*s", STR_ARG(s))`. */
#define STR_ARG(s) (int)(s).len, (s).ptr

static inline struct str
str_make(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

static inline struct str
str_from_cstr(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline bool
str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool
str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The part of s from `from` on; empty when from is past the end. */
static inline struct str
str_skip(struct str s, size_t from)
{
    if (from > s.len)
        from = s.len;
    return (struct str){s.ptr ? s.ptr + from : s.ptr, s.len - from};
}

/* The first `len` bytes of s, or all of it when it is shorter. */
static inline struct str
str_first(struct str s, size_t len)
{
    return (struct str){s.ptr, len < s.len ? len : s.len};
}

static inline char
str_lower_char(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Index of the first c, or s.len. */
static inline size_t
str_find_char(struct str s, char c)
{
    const char *hit = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return hit ? (size_t)(hit - s.ptr) : s.len;
}

/* ASCII case-insensitive equality. */
bool str_ieq(struct str a, struct str b);

/* Whether needle occurs in s, in either case of ASCII letters; an empty one does. */
bool str_icontains(struct str s, struct str needle);

/* Byte order, shorter first on a common prefix; for qsort and binary search. */
int str_cmp(struct str a, struct str b);

/* Index of the last c, or s.len when there is none. */
size_t str_find_last_char(struct str s, char c);

/* Index of the first occurrence of needle, or s.len; an empty needle is at 0. */
size_t str_find(struct str s, struct str needle);

/* s without spaces and tabs at both ends (the OWS of RFC 9110 section 5.6.3). */
struct str str_trim(struct str s);

/* Cuts s at the first `sep`: returns what stands before it and leaves what follows in *s.
 * Without a separator returns all of s and leaves *s empty. A loop `while (s.len)` sees each piece,
 * but a trailing separator yields no last empty piece. */
struct str str_cut(struct str *s, char sep);

/* Decimal digits only, no sign, no space. False, *out untouched, when empty, not digits, or over
 * UINT64_MAX. */
bool str_to_u64(struct str s, uint64_t *out);

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF. */
bool str_is_utf8(struct str s);

/* Edit distance (insert, delete, replace), capped at `max` + 1; for "did you mean". */
size_t str_distance(struct str a, struct str b, size_t max);

#endif
