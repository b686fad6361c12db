/* h1_head: the HTTP/1 request head decoder (RFC 9112 sections 2 to 6). Pure: no I/O, clock, log or
 * allocation.
 *
 * The caller keeps the bytes of one head contiguous, starting at the same logical place, and calls
 * h1_head_decode each time more have arrived, with all of them. The decoder remembers where it
 * stopped: a head that comes byte by byte costs linear time. Offsets in the head are relative to
 * the `data` of the last call, which becomes head->base.
 *
 * Strict where requests could be smuggled: bare CR, bare LF, obs-fold, white space before a colon,
 * a bad or repeated Host, Content-Length repeated with another value or not a plain number,
 * Transfer-Encoding with Content-Length or anything but exactly "chunked", are errors. One or more
 * empty lines before the request line are skipped (RFC 9112 section 2.2), at most 4. Errors are
 * found as early as the bytes show them: garbage in the first byte does not wait for a line end.
 */
#ifndef TARN_HTTP_H1_HEAD_H
#define TARN_HTTP_H1_HEAD_H

#include "http/h1_error.h"
#include "http/h1_fields.h"
#include "http/head.h"

struct h1_head_decoder {
    struct http_head *head;
    struct h1_fields lines;
    uint32_t max;      /* ceiling on the whole head, request line included, in bytes */
    uint32_t head_len; /* after H1_DONE: the bytes that belong to the head */
    uint8_t state;
    uint8_t empty_lines;
    uint8_t error; /* enum h1_error */
};

/* Starts a new request. `head` was made by http_head_init and is borrowed until the decoder is
 * done; it is emptied here. `max` is at most UINT32_MAX / 2. */
void h1_head_decoder_init(struct h1_head_decoder *decoder, struct http_head *head, uint32_t max);

/* Decodes what is there. `data` are all bytes of this head so far (and maybe more behind it), `len`
 * > 0 of them; no shorter than in the call before. A head or line over `max` is H1_ERROR as soon as
 * max bytes came without its end: LINE_TOO_LONG when the request line itself did not end, else
 * TOO_LARGE. After H1_ERROR the head holds what was decoded before the error (its method and target
 * may still be empty), for a log line; after H1_DONE and H1_ERROR further calls repeat the result.
 */
enum h1_result h1_head_decode(struct h1_head_decoder *decoder, const char *data, size_t len);

#endif
