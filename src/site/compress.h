/* compress: whole-buffer compression for variants, and unpacking of .tar.gz and .tar.zst. The only
 * files that include zlib, brotli and zstd. */
#ifndef TARN_SITE_COMPRESS_H
#define TARN_SITE_COMPRESS_H

#include "base/error.h"
#include "base/str.h"
#include "http/accept.h"

/* Compresses `input` at the strongest sensible level into fresh heap memory (*out, owned by the
 * caller). 1 when the result saves less than 5 %, or the coding is identity, and *out is empty; 0
 * on success; -1 without memory. Deterministic: the same input gives the same bytes (gzip without
 * name and time). */
int compress_buffer(enum http_coding coding, struct str input, struct str *out) MUST_USE;

enum compress_format { COMPRESS_NONE, COMPRESS_GZIP, COMPRESS_ZSTD };

/* By the first bytes of a file (magic numbers); len may be short. */
enum compress_format compress_detect(const char *head, size_t len);

/* Unpacks the rest of `in_fd` (any readable descriptor, from its position) into `out_fd`, at most
 * `max` bytes. Several gzip members or zstd frames in a row are one stream. A cut or corrupt
 * stream: -1 and a reason. *len: bytes written. */
int compress_unpack(enum compress_format format, int in_fd, int out_fd, uint64_t max, uint64_t *len,
                    struct error *error) MUST_USE;

/* The same from memory, `head` being bytes already read from in_fd that stand before its position.
 */
int compress_unpack_prefixed(enum compress_format format, struct str head, int in_fd, int out_fd,
                             uint64_t max, uint64_t *len, struct error *error) MUST_USE;

#endif
