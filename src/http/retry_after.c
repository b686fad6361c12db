#include "http/retry_after.h"

#include "base/limits.h"
#include "http/date.h"

static bool
is_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0;
}

bool
http_retry_after_parse(struct str value, int64_t now, unsigned *out_s)
{
    uint64_t wait = 0;
    int64_t at;
    if (is_digits(value)) {
        if (!str_to_u64(value, &wait)) /* digits all the same, only too many */
            wait = UINT64_MAX;
    } else if (!http_date_parse(value, now, &at)) {
        return false;
    } else if (at > now) {
        wait = (uint64_t)at - (uint64_t)now;
    }
    *out_s = wait < RETRY_AFTER_MAX_S ? (unsigned)wait : RETRY_AFTER_MAX_S;
    return true;
}
