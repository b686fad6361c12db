/* duration: how long a client asks a resource to be kept ("ttl=10d"). Pure.
 *
 * The durations of options are a wider language (server/options_value.h): a client gets one form.
 */
#ifndef TARN_BASE_DURATION_H
#define TARN_BASE_DURATION_H

#include "base/str.h"

/* Results are at most this: one of them can be added to a time in seconds, and be counted in
 * milliseconds, without overflow. */
#define DURATION_MAX_S (INT64_MAX / 2000)

/* A positive integer followed by s, m, h or d (small letters), nothing else: no sign, no space, no
 * fraction. False, *out_s untouched, when it is none, zero, or over DURATION_MAX_S. */
bool duration_parse_ttl(struct str text, int64_t *out_s);

#endif
