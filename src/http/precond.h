/* precond: preconditions (RFC 9110 section 13). Pure. */
#ifndef TARN_HTTP_PRECOND_H
#define TARN_HTTP_PRECOND_H

#include "http/head.h"

struct http_validators {
    struct str etag; /* with quotes, W/ when weak; empty: none */
    int64_t mtime;   /* seconds since 1970; only when has_mtime */
    bool has_mtime;
    bool exists; /* false: no current representation (If-Match: * fails) */
};

enum http_precond {
    HTTP_PRECOND_NONE, /* go on */
    HTTP_PRECOND_304,  /* GET and HEAD */
    HTTP_PRECOND_412,
};

/* Evaluates If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since in the order of RFC
 * 9110 section 13.2.2. If-Match compares strongly, If-None-Match weakly; lists may be spread over
 * several field lines; `*` stands alone. A date that is no date is ignored. `now` serves two-digit
 * years and is seconds since 1970. */
enum http_precond http_precond_check(const struct http_head *head,
                                     const struct http_validators *validators, int64_t now);

/* Whether If-Range (section 13.1.5) lets the Range field count: true without If-Range; an entity
 * tag compares strongly; a date must be exactly the mtime, and the mtime strong: at least one
 * second older than `now` (section 8.8.2.2). */
bool http_precond_range_applies(const struct http_head *head,
                                const struct http_validators *validators, int64_t now);

/* Whether `etag` is in the list of entity tags `list` (or list is `*`). Malformed lists match what
 * was well-formed before the flaw. */
bool http_etag_list_has(struct str list, struct str etag, bool strong);

#endif
