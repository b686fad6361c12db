/* hex_bytes: bytes written as pairs of hexadecimal digits, with white space between pairs or not.
 * Pure. Text is read in pieces of any length; all that is kept of it is one digit.
 */
#ifndef TARN_SERVER_HEX_BYTES_H
#define TARN_SERVER_HEX_BYTES_H

#include "base/buf.h"
#include "base/error.h"

struct hex_bytes {
    struct buf *out;   /* takes the bytes; its ceiling is theirs */
    uint64_t text_len; /* characters read */
    int digit;         /* the first of a pair; -1: none */
};

void hex_bytes_init(struct hex_bytes *hex, struct buf *out);
/* -1: a character that is neither, or a digit alone, named by its place, or too many bytes. */
int hex_bytes_read(struct hex_bytes *hex, struct str text, struct error *error) MUST_USE;
/* Behind the last piece. */
int hex_bytes_end(const struct hex_bytes *hex, struct error *error) MUST_USE;

#endif
