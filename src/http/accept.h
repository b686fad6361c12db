/* accept: content negotiation (RFC 9110 section 12.5). Pure. */
#ifndef TARN_HTTP_ACCEPT_H
#define TARN_HTTP_ACCEPT_H

#include "base/str.h"

/* Content codings in the server's order of preference when the client weighs them the same. */
enum http_coding {
    HTTP_CODING_BR,
    HTTP_CODING_ZSTD,
    HTTP_CODING_GZIP,
    HTTP_CODING_IDENTITY,
    HTTP_CODING_COUNT
};

/* Quality of each coding, in thousandths, for an Accept-Encoding value. Absent field (`present`
 * false): only identity is 1000 for our purposes (RFC 9110 section 12.5.3 rule 1 allows any; a
 * client that says nothing gets plain content). An empty value: identity only. "x-gzip" is gzip.
 * `*` covers codings not named; identity is acceptable unless `identity;q=0` or `*;q=0` without
 * identity. A malformed member is skipped; a member with a malformed weight is skipped. Of a coding
 * named twice the last weight counts; identity that is acceptable without being named or covered by
 * `*` has 1, the least. */
struct http_accept_encoding {
    uint16_t quality[HTTP_CODING_COUNT];
};

void http_accept_encoding_parse(struct str value, bool present, struct http_accept_encoding *out);

/* The best of the codings in `available` (bit 1 << coding), highest quality first, then server
 * order. -1: none is acceptable (the caller then sends identity, as section 12.5.3 lets it, or
 * 406). identity with the same explicit quality as another coding loses. */
int http_coding_choose(const struct http_accept_encoding *accept, unsigned available);

/* Content-Encoding token of a coding ("br", "zstd", "gzip"; "identity"). */
struct str http_coding_name(enum http_coding coding);

/* Whether an Accept value names this media type literally ("text/html"), with a weight above 0;
 * wildcards do not count. For telling navigations. */
bool http_accept_names(struct str value, struct str media_type);

/* Quality in thousandths that an Accept value gives a media type, wildcards included, most specific
 * match wins (of equal ones the last); a range with parameters covers only a type that has them; an
 * absent or empty value gives 1000. */
unsigned http_accept_quality(struct str value, struct str media_type);

#endif
