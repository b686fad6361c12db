/* retry_after: the Retry-After field of an answer (RFC 9110 section 10.2.3). Pure. */
#ifndef TARN_HTTP_RETRY_AFTER_H
#define TARN_HTTP_RETRY_AFTER_H

#include "base/str.h"

/* Reads a number of seconds or an HTTP date, and gives the seconds from `now` (seconds since 1970)
 * on: 0 for a date that has passed, at most RETRY_AFTER_MAX_S whatever the upstream wants. False,
 * *out_s untouched, when it is neither. */
bool http_retry_after_parse(struct str value, int64_t now, unsigned *out_s);

#endif
