/* bpf_input: what the commands of scripts read: an object file, bytes in hexadecimal. Blocks.
 *
 * Errors do not name the file: the caller does.
 */
#ifndef TARN_SERVER_BPF_INPUT_H
#define TARN_SERVER_BPF_INPUT_H

#include "base/buf.h"
#include "base/error.h"

/* Appends a whole file; "-" is standard input. The ceiling of `out` is the file's. */
int bpf_input_file(struct buf *out, const char *name, struct error *error) MUST_USE;

/* What messages call it. */
static inline const char *
bpf_input_name(const char *name)
{
    return strcmp(name, "-") == 0 ? "standard input" : name;
}

/* Appends the bytes that standard input holds as hexadecimal digits. */
int bpf_input_hex(struct buf *out, struct error *error) MUST_USE;

#endif
