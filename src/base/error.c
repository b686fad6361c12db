#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
error_set(struct error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    /* cppcheck-suppress ctuuninitvar ; the text is written here, not read */
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return -1;
}

int
error_set_errno(struct error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    /* cppcheck-suppress ctuuninitvar ; the text is written here, not read */
    int len = vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof error->text)
        snprintf(error->text + len, sizeof error->text - (size_t)len, ": %s",
                 strerrordesc_np(code));
    return -1;
}

int
error_prefix(struct error *error, const char *format, ...)
{
    char joined[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(joined, sizeof joined, format, args);
    va_end(args);
    if (len < 0)
        return -1;
    size_t at = (size_t)len < sizeof joined - 1 ? (size_t)len : sizeof joined - 1;
    for (const char *from = ": "; *from && at < sizeof joined - 1; from++)
        joined[at++] = *from;
    for (const char *from = error->text; *from && at < sizeof joined - 1; from++)
        joined[at++] = *from;
    joined[at] = '\0';
    memcpy(error->text, joined, at + 1);
    return -1;
}
