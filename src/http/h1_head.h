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

#include "http/head.h"

enum h1_result {
    H1_MORE,  /* not complete: call again with more bytes */
    H1_DONE,  /* head is filled in; decoder->head_len bytes belong to it */
    H1_ERROR, /* decoder->error says why; the connection cannot go on after the answer */
};

/* Why a head was refused: enum name, status to send, text for the client (one line, no newline). */
#define H1_ERROR_TABLE(X)                                                       \
    X(BAD_REQUEST_LINE, 400, "malformed request line")                          \
    X(BAD_METHOD, 400, "malformed method")                                      \
    X(BAD_TARGET, 400, "malformed request target")                              \
    X(BAD_VERSION, 400, "malformed HTTP version")                               \
    X(UNSUPPORTED_VERSION, 505, "HTTP version not supported")                   \
    X(BARE_LF, 400, "line feed without carriage return")                        \
    X(BARE_CR, 400, "carriage return without line feed")                        \
    X(BAD_FIELD_NAME, 400, "malformed header name")                             \
    X(SPACE_BEFORE_COLON, 400, "white space before the colon of a header")      \
    X(OBS_FOLD, 400, "folded header line")                                      \
    X(BAD_FIELD_VALUE, 400, "malformed header value")                           \
    X(MISSING_HOST, 400, "missing Host header")                                 \
    X(REPEATED_HOST, 400, "repeated Host header")                               \
    X(BAD_HOST, 400, "malformed Host header")                                   \
    X(BAD_CONTENT_LENGTH, 400, "malformed Content-Length")                      \
    X(CONFLICTING_LENGTH, 400, "conflicting Content-Length headers")            \
    X(LENGTH_AND_CODING, 400, "Content-Length together with Transfer-Encoding") \
    X(CODING_IN_HTTP10, 400, "Transfer-Encoding in an HTTP/1.0 request")        \
    X(BAD_TRANSFER_CODING, 400, "malformed Transfer-Encoding")                  \
    X(UNKNOWN_TRANSFER_CODING, 501, "transfer coding not implemented")          \
    X(BAD_EXPECTATION, 417, "expectation not supported")                        \
    X(LINE_TOO_LONG, 414, "request line too long")                              \
    X(TOO_LARGE, 431, "request header too large")                               \
    X(TOO_MANY_FIELDS, 431, "too many header lines")

enum h1_error {
    H1_ERROR_NONE = 0,
#define X(name, status, text) H1_ERROR_##name,
    H1_ERROR_TABLE(X)
#undef X
};

struct h1_head_decoder {
    struct http_head *head;
    uint32_t max;      /* ceiling on the whole head, request line included, in bytes */
    uint32_t scan_off; /* bytes already decoded; the next call goes on there */
    uint32_t head_len; /* after H1_DONE */
    uint32_t repeated; /* bit 1 << enum http_field_id: the name came more than once */
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

/* Status and text for an error of the table. */
int h1_error_status(enum h1_error error);
struct str h1_error_text(enum h1_error error);

#endif
