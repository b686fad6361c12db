/* h1_response: the HTTP/1 response head decoder, for what an upstream sends (RFC 9112 sections 2 to
 * 6). Pure: no I/O, clock, log or allocation.
 *
 * Used as h1_head: the caller keeps the bytes of one head contiguous and calls h1_response_decode
 * each time more have arrived, with all of them; a head that comes byte by byte costs linear time.
 * Offsets are relative to the `data` of the last call, which becomes head->base.
 *
 * As strict as for requests: bare CR, bare LF, obs-fold, white space before a colon, control
 * characters, Content-Length repeated with another value or not a plain number, Transfer-Encoding
 * with Content-Length, in HTTP/1.0 or anything but exactly "chunked", are errors, and so is an
 * empty line before the status line. Accepted: a reason phrase that is empty, with or without the
 * space before it, and bytes from 0x80 on in the phrase and in values.
 *
 * A 1xx response is a response like others. Behind it, but for 101, comes the next one: the caller
 * starts a new decoder at data + head->len, and bounds how many of them it takes.
 */
#ifndef TARN_HTTP_H1_RESPONSE_H
#define TARN_HTTP_H1_RESPONSE_H

#include "http/h1_error.h"
#include "http/h1_fields.h"
#include "http/response_head.h"

struct h1_response_decoder {
    struct http_response_head *head;
    struct h1_fields lines;
    uint32_t max;   /* ceiling on the whole head, status line included, in bytes */
    uint8_t method; /* enum http_method, of the request */
    uint8_t state;
    uint8_t error; /* enum h1_error */
};

/* Starts a new response to a request of this method. `head` was made by http_response_head_init and
 * is borrowed until the decoder is done; it is emptied here. `max` is at most UINT32_MAX / 2. */
void h1_response_decoder_init(struct h1_response_decoder *decoder, struct http_response_head *head,
                              enum http_method method, uint32_t max);

/* Decodes what is there. `data` are all bytes of this head so far (and maybe more behind it), `len`
 * > 0 of them; no shorter than in the call before.
 * H1_MORE: not complete. A head without an end in `max` bytes is H1_ERROR (TOO_LARGE) as soon as
 * that many came.
 * H1_DONE: the head is filled in; head->len bytes belong to it, and head->body_kind says what
 * follows (RFC 9112 section 6.3). HTTP_BODY_NONE: HEAD, 1xx, 204 and 304, whatever the fields say;
 * keep_alive is then false for a 204 whose fields promise a body. HTTP_BODY_TUNNEL: 101, and 2xx to
 * CONNECT, whose framing fields are ignored; a caller that asked for no upgrade refuses a 101.
 * HTTP_BODY_CLOSE: neither length nor coding; keep_alive is false.
 * H1_ERROR: decoder->error; the answer is 502 and the connection is closed. The head holds what was
 * decoded before.
 * After H1_DONE and H1_ERROR further calls repeat the result. */
enum h1_result h1_response_decode(struct h1_response_decoder *decoder, const char *data,
                                  size_t len);

#endif
