/* h1_error: results and errors of the decoders of HTTP/1 heads. Pure.
 */
#ifndef TARN_HTTP_H1_ERROR_H
#define TARN_HTTP_H1_ERROR_H

#include "base/str.h"

enum h1_result {
    H1_MORE,  /* not complete: call again with more bytes */
    H1_DONE,  /* the head is filled in */
    H1_ERROR, /* the decoder's error says why; the connection cannot go on */
};

/* Why a head was refused: enum name, status to send when it was a request's, text (one line, no
 * newline). A response's head that is refused is a 502 whatever its row says. */
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
    X(CODING_IN_HTTP10, 400, "Transfer-Encoding in HTTP/1.0")                   \
    X(BAD_TRANSFER_CODING, 400, "malformed Transfer-Encoding")                  \
    X(UNKNOWN_TRANSFER_CODING, 501, "transfer coding not implemented")          \
    X(BAD_EXPECTATION, 417, "expectation not supported")                        \
    X(LINE_TOO_LONG, 414, "request line too long")                              \
    X(TOO_LARGE, 431, "header too large")                                       \
    X(TOO_MANY_FIELDS, 431, "too many header lines")                            \
    X(BAD_STATUS_LINE, 502, "malformed status line")                            \
    X(BAD_STATUS, 502, "malformed status code")                                 \
    X(BAD_REASON, 502, "malformed reason phrase")

enum h1_error {
    H1_ERROR_NONE = 0,
#define X(name, status, text) H1_ERROR_##name,
    H1_ERROR_TABLE(X)
#undef X
};

/* Status and text for an error of the table. */
int h1_error_status(enum h1_error error);
struct str h1_error_text(enum h1_error error);

#endif
