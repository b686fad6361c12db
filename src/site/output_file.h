/* output_file: a file that a command writes, and that is replaced in one step when it is whole: a
 * server that reloads meanwhile never sees half of it. Blocks. One owner.
 */
#ifndef TARN_SITE_OUTPUT_FILE_H
#define TARN_SITE_OUTPUT_FILE_H

#include "base/error.h"

struct output_file {
    int fd;
    char *temporary; /* heap; NULL when `fd` is written directly */
    char *target;    /* heap, links resolved; NULL for standard output */
};

/* A temporary file beside `path`; what cannot be replaced, such as a pipe, is written directly.
 * `path` NULL: standard output, which must not be a terminal. */
int output_file_open(struct output_file *output, const char *path, struct error *error) MUST_USE;
/* Puts the file in place. After this, or in its stead on failure, output_file_discard. */
int output_file_commit(struct output_file *output, struct error *error) MUST_USE;
/* Closes and, unless committed, removes the temporary file. */
void output_file_discard(struct output_file *output);

#endif
