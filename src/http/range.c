#include "http/range.h"

/* Numbers above this are this (see the header): it is past the end of any content. */
static const uint64_t number_max = (uint64_t)1 << 63;

enum spec_kind { SPEC_MALFORMED, SPEC_UNSATISFIABLE, SPEC_OK };

/* Takes the digits from the front of *s. False when there are none. */
static bool
take_number(struct str *s, uint64_t *out)
{
    size_t len = 0;
    uint64_t value = 0;
    for (; len < s->len && s->ptr[len] >= '0' && s->ptr[len] <= '9'; len++) {
        unsigned digit = (unsigned)(s->ptr[len] - '0');
        value = value > (number_max - digit) / 10 ? number_max : value * 10 + digit;
    }
    *s = str_skip(*s, len);
    *out = value;
    return len > 0;
}

/* "-N": the last N bytes. */
static enum spec_kind
resolve_suffix(struct str spec, uint64_t size, struct http_range *out)
{
    uint64_t len;
    struct str rest = str_skip(spec, 1);
    if (!take_number(&rest, &len) || rest.len)
        return SPEC_MALFORMED;
    if (len == 0 || size == 0)
        return SPEC_UNSATISFIABLE;
    out->len = len < size ? len : size;
    out->off = size - out->len;
    return SPEC_OK;
}

/* "N-M" or "N-", both ends included. */
static enum spec_kind
resolve_spec(struct str spec, uint64_t size, struct http_range *out)
{
    uint64_t first, last = UINT64_MAX;
    if (spec.ptr[0] == '-')
        return resolve_suffix(spec, size, out);
    if (!take_number(&spec, &first) || spec.len == 0 || spec.ptr[0] != '-')
        return SPEC_MALFORMED;
    spec = str_skip(spec, 1);
    if (spec.len && (!take_number(&spec, &last) || spec.len || last < first))
        return SPEC_MALFORMED;
    if (first >= size)
        return SPEC_UNSATISFIABLE;
    out->off = first;
    out->len = last < size ? last - first + 1 : size - first;
    return SPEC_OK;
}

/* Whether two ranges overlap or stand side by side. */
static bool
ranges_touch(const struct http_range *a, const struct http_range *b)
{
    return a->off <= b->off + b->len && b->off <= a->off + a->len;
}

static struct http_range
range_union(const struct http_range *a, const struct http_range *b)
{
    uint64_t off = a->off < b->off ? a->off : b->off;
    uint64_t end_a = a->off + a->len, end_b = b->off + b->len;
    return (struct http_range){off, (end_a > end_b ? end_a : end_b) - off};
}

/* Merges one pair that touches into the place of its earlier member. False when there is none. */
static bool
merge_one_pair(struct http_ranges *ranges)
{
    for (unsigned i = 0; i < ranges->count; i++) {
        for (unsigned j = i + 1; j < ranges->count; j++) {
            struct http_range *a = &ranges->list[i], *b = &ranges->list[j];
            if (!ranges_touch(a, b))
                continue;
            *a = range_union(a, b);
            ranges->count--;
            memmove(b, b + 1, (ranges->count - j) * sizeof(*b));
            return true;
        }
    }
    return false;
}

enum http_range_result
http_range_parse(struct str value, uint64_t size, struct http_ranges *out)
{
    unsigned spec_count = 0;
    out->count = 0;
    if (!str_ieq(str_first(value, 6), STR("bytes=")))
        return HTTP_RANGE_IGNORE;
    struct str rest = str_skip(value, 6);
    while (rest.len) {
        struct http_range range;
        struct str spec = str_trim(str_cut(&rest, ','));
        if (spec.len == 0) /* a list may have empty members, RFC 9110 section 5.6.1.2 */
            continue;
        enum spec_kind kind = resolve_spec(spec, size, &range);
        if (kind == SPEC_MALFORMED || ++spec_count > HTTP_RANGE_MAX)
            return HTTP_RANGE_IGNORE;
        if (kind == SPEC_OK)
            out->list[out->count++] = range;
    }
    if (spec_count == 0)
        return HTTP_RANGE_IGNORE;
    while (merge_one_pair(out))
        continue;
    return out->count ? HTTP_RANGE_OK : HTTP_RANGE_UNSATISFIABLE;
}

/* --- Content-Range --- */

static bool
take_char(struct str *s, char c)
{
    bool ok = s->len && s->ptr[0] == c;
    *s = str_skip(*s, ok);
    return ok;
}

/* A number in full or, where that is allowed, a star. */
static bool
take_number_or_star(struct str *s, bool *is_number, uint64_t *out)
{
    *is_number = !take_char(s, '*');
    return !*is_number || (take_number(s, out) && *out <= INT64_MAX);
}

bool
http_content_range_parse(struct str value, struct http_content_range *out)
{
    uint64_t last = 0;
    *out = (struct http_content_range){0};
    if (!str_ieq(str_first(value, 6), STR("bytes ")))
        return false;
    value = str_skip(value, 6);
    if (!take_number_or_star(&value, &out->has_range, &out->range.off))
        return false;
    if (out->has_range && (!take_char(&value, '-') || !take_number(&value, &last) ||
                           last > INT64_MAX || last < out->range.off))
        return false;
    if (!take_char(&value, '/') || !take_number_or_star(&value, &out->has_total, &out->total) ||
        value.len)
        return false;
    if (out->has_range)
        out->range.len = last - out->range.off + 1;
    /* Neither known says nothing, and is not in the grammar. */
    return out->has_range ? !out->has_total || last < out->total : out->has_total;
}
