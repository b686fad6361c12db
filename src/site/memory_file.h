/* memory_file: anonymous files in memory (memfd_create(2)): for what is unpacked or read from a
 * pipe, and for the preloaded content. A descriptor instead of plain memory, since a socket can be
 * fed from it without copying. */
#ifndef TARN_SITE_MEMORY_FILE_H
#define TARN_SITE_MEMORY_FILE_H

#include "base/error.h"

#include <stdint.h>

/* A new empty one, closed on exec; owned by the caller. -1 and a reason. */
int memory_file_open(struct error *error) MUST_USE;

/* From now on nobody can write to it or change its length, not even this process. No writable
 * mapping may exist. */
int memory_file_seal(int fd, struct error *error) MUST_USE;

/* The first `len` bytes (more than 0) mapped read-only, or NULL. The caller unmaps. Works for
 * sealed and unsealed files. */
const char *memory_file_map(int fd, uint64_t len, struct error *error) MUST_USE;

#endif
