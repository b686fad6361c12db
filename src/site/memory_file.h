/* memory_file: anonymous files in memory (memfd_create(2)), for what is unpacked or read from a
 * pipe: the rest of loading then reads it like any other file. */
#ifndef TARN_SITE_MEMORY_FILE_H
#define TARN_SITE_MEMORY_FILE_H

#include "base/error.h"

/* A new empty one, closed on exec; owned by the caller. -1 and a reason. */
int memory_file_open(struct error *error) MUST_USE;

#endif
