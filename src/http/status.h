/* status: the status codes that tarn itself sends, with their reason phrases (RFC 9110 section 15).
 */
#ifndef TARN_HTTP_STATUS_H
#define TARN_HTTP_STATUS_H

#include "base/str.h"

/* The reason phrase of a registered code; "Unknown" for others. Static memory. */
struct str http_status_reason(int status);

/* 1xx, 204 and 304 never carry a body (RFC 9110 section 6.4.1). */
static inline bool
http_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

#endif
