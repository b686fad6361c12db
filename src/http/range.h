/* range: byte ranges (RFC 9110 section 14). Pure. */
#ifndef TARN_HTTP_RANGE_H
#define TARN_HTTP_RANGE_H

#include "base/str.h"

enum { HTTP_RANGE_MAX = 16 };

struct http_range {
    uint64_t off;
    uint64_t len; /* never 0 */
};

enum http_range_result {
    HTTP_RANGE_IGNORE, /* no bytes unit, malformed, or over HTTP_RANGE_MAX ranges: answer 200 in
                          full */
    HTTP_RANGE_OK,     /* 206 */
    HTTP_RANGE_UNSATISFIABLE, /* 416: well-formed, and none of them lies in the content */
};

struct http_ranges {
    struct http_range list[HTTP_RANGE_MAX];
    unsigned count; /* at least 1 with HTTP_RANGE_OK */
};

/* Resolves a Range field value against content of `size` bytes. Unsatisfiable parts are dropped;
 * overlapping and adjacent ranges are merged (the merged range takes the place of its first member;
 * order is otherwise the request's). More than HTTP_RANGE_MAX ranges in the request:
 * HTTP_RANGE_IGNORE. Numbers over 2^63 saturate. `size` 0 makes every well-formed range
 * unsatisfiable. */
enum http_range_result http_range_parse(struct str value, uint64_t size, struct http_ranges *out);

/* What a 206 or 416 says of its content. */
struct http_content_range {
    bool has_range; /* "bytes 0-9/20"; a 416 has none: a star and the total */
    bool has_total; /* false: a star, the sender does not know */
    struct http_range range;
    uint64_t total;
};

/* Reads a Content-Range field value (RFC 9110 section 14.4). False: another unit, malformed, ends
 * before it starts, ends behind the total, or a number over INT64_MAX, which no file has. Whether
 * it is the range that was asked for is for the caller to check. */
bool http_content_range_parse(struct str value, struct http_content_range *out);

#endif
