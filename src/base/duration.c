#include "base/duration.h"

/* 0: no unit. */
static uint64_t
unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 24 * 3600;
    default:
        return 0;
    }
}

bool
duration_parse_ttl(struct str text, int64_t *out_s)
{
    uint64_t count;
    if (text.len == 0 || !str_to_u64(str_first(text, text.len - 1), &count))
        return false;
    uint64_t unit = unit_seconds(text.ptr[text.len - 1]);
    if (count == 0 || unit == 0 || count > DURATION_MAX_S / unit)
        return false;
    *out_s = (int64_t)(count * unit);
    return true;
}
