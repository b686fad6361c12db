/* date: HTTP dates (RFC 9110 section 5.6.7). Pure; no locale, no time zone data. */
#ifndef TARN_HTTP_DATE_H
#define TARN_HTTP_DATE_H

#include "base/str.h"

enum { HTTP_DATE_LEN = 29 }; /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Writes the IMF-fixdate of `seconds` since 1970, without a NUL. Clamped to years 1970 to 9999. */
void http_date_format(int64_t seconds, char out[static HTTP_DATE_LEN]);

/* Reads IMF-fixdate, rfc850-date or asctime-date. For the two-digit year of rfc850 `now` decides: a
 * date that would be more than 50 years in the future is in the past (RFC 9110 section 5.6.7). The
 * day of the week must be a valid name but is not checked against the date; the date itself must
 * exist. A leap second (60) is accepted as 59. False: not a date. */
bool http_date_parse(struct str text, int64_t now, int64_t *seconds);

#endif
