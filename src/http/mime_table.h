/* mime_table: the extensions that mime.c knows. Static memory, in byte order of the extension. */
#ifndef TARN_HTTP_MIME_TABLE_H
#define TARN_HTTP_MIME_TABLE_H

#include "base/str.h"

struct mime_entry {
    char extension[16]; /* lower case, without the dot */
    struct str type;    /* the whole Content-Type value */
};

extern const struct mime_entry mime_entries[];
extern const size_t mime_entry_count;

#endif
