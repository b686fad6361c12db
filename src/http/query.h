/* query: parameters of a raw query string (application/x-www-form-urlencoded, WHATWG URL section
 * 5), read as the predecessor's framework, Django, reads them. Pure.
 *
 * Parameters are separated by '&' alone; a name ends at the first '=', and without one the value is
 * empty. Names and values are percent-decoded, and '+' is a space in both: a URL in a value must
 * write its own '+' as "%2B". Names are case-sensitive.
 */
#ifndef TARN_HTTP_QUERY_H
#define TARN_HTTP_QUERY_H

#include "base/arena.h"

enum query_result {
    QUERY_ABSENT,    /* no parameter of that name */
    QUERY_FOUND,     /* *value is set, and may be empty */
    QUERY_MALFORMED, /* the value has a bad percent escape or NUL, encoded or not: 400 */
    QUERY_TOO_LARGE, /* no room in the arena */
};

/* The value of the last parameter called `name` (decoded), as Django answers; the others are not
 * looked at, however they are written. With QUERY_FOUND *value is decoded, lies in the arena and is
 * NUL-terminated behind its end; it is bytes, not always UTF-8, and may hold control characters. */
enum query_result query_find(struct str query, struct str name, struct arena *arena,
                             struct str *value);

#endif
