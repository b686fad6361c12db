#include "server/size_text.h"

#include <stdio.h>

const char *
size_text(char out[static SIZE_TEXT_MAX], uint64_t len)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)len;
    unsigned unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(out, SIZE_TEXT_MAX, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}
