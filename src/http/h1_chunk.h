/* h1_chunk: the chunked transfer coding (RFC 9112 section 7.1), decoder and encoder. Pure,
 * resumable at any byte.
 *
 * Strict: CRLF only, sizes of at most 15 hex digits (no overflow), extensions and trailers skipped
 * within ceilings (H1_CHUNK_EXTENSION_MAX bytes for each size line, H1_CHUNK_TRAILER_MAX bytes for
 * all trailers). Extension and trailer bytes are checked: no bare CR or LF, no control characters;
 * a trailer line needs a token name and a colon.
 */
#ifndef TARN_HTTP_H1_CHUNK_H
#define TARN_HTTP_H1_CHUNK_H

#include "base/str.h"

enum {
    H1_CHUNK_EXTENSION_MAX = 1024,
    H1_CHUNK_TRAILER_MAX = 8192,
    H1_CHUNK_HEAD_MAX = 18, /* "FFFFFFFFFFFFFFFF\r\n" */
};

enum h1_chunk_result {
    H1_CHUNK_MORE,  /* all input consumed; no data in it */
    H1_CHUNK_DATA,  /* *data borrows body bytes from the input; call again with what follows
                     *consumed */
    H1_CHUNK_DONE,  /* last chunk and trailers are read; what follows *consumed is the next message
                     */
    H1_CHUNK_ERROR, /* malformed: 400 and close */
};

struct h1_chunk_decoder {
    uint64_t left;  /* of the current chunk's data */
    uint32_t count; /* bytes seen of the current line's bounded part */
    uint32_t trailer_len;
    uint8_t digits;
    uint8_t state;
};

void h1_chunk_decoder_init(struct h1_chunk_decoder *decoder);

/* Decodes up to the next piece of data. `len` may be 0 (H1_CHUNK_MORE). *consumed is always set; on
 * H1_CHUNK_ERROR it is the place of the wrong byte. After H1_CHUNK_DONE and H1_CHUNK_ERROR further
 * calls consume nothing and repeat the result. */
enum h1_chunk_result h1_chunk_decode(struct h1_chunk_decoder *decoder, const char *input,
                                     size_t len, size_t *consumed, struct str *data);

/* Writes "HEX\r\n" for a chunk of len > 0 bytes; returns the length written, at most
 * H1_CHUNK_HEAD_MAX. The chunk's data is followed by "\r\n", the body by "0\r\n\r\n". */
size_t h1_chunk_encode_head(char out[static H1_CHUNK_HEAD_MAX], uint64_t len);

#endif
