#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
error_set(struct error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return -1;
}

int
error_set_errno(struct error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
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
    char prefix[ERROR_TEXT_MAX];
    char old[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(old, error->text, sizeof old);
    size_t len = strnlen(prefix, sizeof prefix - 1);
    memcpy(error->text, prefix, len);
    snprintf(error->text + len, sizeof error->text - len, ": %s", old);
    return -1;
}
