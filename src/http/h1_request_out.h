/* h1_request_out: the HTTP/1.1 request head encoder, for what is sent to an upstream (RFC 9112
 * sections 3 to 6). Pure: writes into the caller's buffer, whose ceiling bounds it.
 *
 * Nothing that was not meant as a new line, field or length can become one: every part is checked
 * against the grammar that h1_head decodes, and the fields that decide where the request ends or
 * whom it is for (Host, Content-Length, Transfer-Encoding) are written by the encoder alone, once.
 * Build first, check once: after the first refusal nothing more is written, and the end takes back
 * what was.
 */
#ifndef TARN_HTTP_H1_REQUEST_OUT_H
#define TARN_HTTP_H1_REQUEST_OUT_H

#include "base/buf.h"
#include "base/error.h"
#include "http/head.h"

/* Why a head was refused: enum name, text (one line, no newline). */
#define H1_OUT_ERROR_TABLE(X)                                           \
    X(BAD_METHOD, "request method is no token")                         \
    X(BAD_TARGET, "request target has a space or control character")    \
    X(BAD_HOST, "malformed request host")                               \
    X(BAD_FIELD_NAME, "request header name is no token")                \
    X(BAD_FIELD_VALUE, "request header value has a control character")  \
    X(RESERVED_FIELD, "request header is written by the server itself") \
    X(TOO_LARGE, "request header too large")

enum h1_out_error {
    H1_OUT_OK = 0,
#define X(name, text) H1_OUT_##name,
    H1_OUT_ERROR_TABLE(X)
#undef X
};

struct h1_request_out {
    struct buf *buf;
    size_t start_len;    /* the buffer before this head: its length */
    bool was_overflowed; /* and its mark */
    enum h1_out_error error;
};

/* Begins a head behind what is in `buf`, which is borrowed until the end: request line and Host. No
 * part, here or below, may point into the buffer, which moves as it grows.
 * `method` is a token, `target` what the upstream is to read (origin-form, or absolute-form for a
 * proxy, "*", authority), `host` as for target_host_is_valid; an empty one is sent as such. */
void h1_request_out_begin(struct h1_request_out *out, struct buf *buf, struct str method,
                          struct str target, struct str host);

/* Appends one field line. Not for Host, Content-Length and Transfer-Encoding. */
void h1_request_out_field(struct h1_request_out *out, struct str name, struct str value);

/* Ends the head: HTTP_BODY_NONE writes no framing field, HTTP_BODY_LENGTH a Content-Length of
 * `content_length` (0 too), HTTP_BODY_CHUNKED a Transfer-Encoding; then the empty line. Returns the
 * first error: then the buffer holds what it did before h1_request_out_begin, and its overflow mark
 * is what it was. */
MUST_USE enum h1_out_error h1_request_out_end(struct h1_request_out *out, enum http_body_kind body,
                                              uint64_t content_length);

/* Text for an error of the table. */
struct str h1_out_error_text(enum h1_out_error error);

#endif
