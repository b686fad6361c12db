/* h2_head: the header fields of one HTTP/2 request to a request head (RFC 9113 sections 8.2 and
 * 8.3). Pure: no I/O, clock or log; the text goes to the owner's bounded buffer.
 *
 * The fields of a header block are given one by one, as HPACK decoded them; then the block is
 * finished and the rules that need all of it are applied. The result is the head that the same
 * request would have had in HTTP/1.1: `:method` and `:path` are method and target (`:authority` is
 * the target of a plain CONNECT), `:authority` is the first field, Host, and cookie crumbs are one
 * field. A body whose length is not declared is HTTP_BODY_CHUNKED: of unknown length.
 *
 * Refused as malformed: names with upper case or no token, values with control characters or with
 * white space at an end, pseudo-headers that are unknown, repeated, missing, empty or late, a
 * scheme but http and https, a path that does not start with "/" ("*" for OPTIONS), `:authority`
 * and Host missing, empty, malformed or different, connection-specific fields, TE but "trailers", a
 * Content-Length that is no number, repeated with another value, or above zero without a body.
 *
 * Sizes are counted as in RFC 9113 section 6.5.2: name, value and 32 for each field.
 */
#ifndef TARN_HTTP_H2_HEAD_H
#define TARN_HTTP_H2_HEAD_H

#include "base/buf.h"
#include "http/head.h"

/* Why a request was refused: enum name, status to send, text for the client. Status 400 is a
 * malformed request (RFC 9113 section 8.1.1): a stream error behind the answer. */
#define H2_HEAD_ERROR_TABLE(X)                                       \
    X(BAD_FIELD_NAME, 400, "malformed header name")                  \
    X(BAD_FIELD_VALUE, 400, "malformed header value")                \
    X(UNKNOWN_PSEUDO, 400, "unknown pseudo-header")                  \
    X(LATE_PSEUDO, 400, "pseudo-header behind a header")             \
    X(REPEATED_PSEUDO, 400, "repeated pseudo-header")                \
    X(MISSING_PSEUDO, 400, "missing pseudo-header")                  \
    X(BAD_METHOD, 400, "malformed method")                           \
    X(BAD_SCHEME, 400, "scheme is not http or https")                \
    X(BAD_PATH, 400, "malformed path")                               \
    X(BAD_AUTHORITY, 400, "malformed authority")                     \
    X(BAD_CONNECT, 400, "malformed CONNECT")                         \
    X(MISSING_HOST, 400, "missing authority")                        \
    X(REPEATED_HOST, 400, "repeated Host header")                    \
    X(BAD_HOST, 400, "malformed Host header")                        \
    X(DIFFERENT_HOST, 400, "authority and Host header differ")       \
    X(CONNECTION_FIELD, 400, "connection-specific header in HTTP/2") \
    X(BAD_TE, 400, "TE is not trailers")                             \
    X(BAD_CONTENT_LENGTH, 400, "malformed Content-Length")           \
    X(CONFLICTING_LENGTH, 400, "conflicting Content-Length headers") \
    X(LENGTH_MISMATCH, 400, "Content-Length does not fit the body")  \
    X(BAD_TRAILER, 400, "malformed trailer")                         \
    X(BAD_EXPECTATION, 417, "expectation not supported")             \
    X(TARGET_TOO_LONG, 414, "request target too long")               \
    X(TOO_LARGE, 431, "request header too large")                    \
    X(TOO_MANY_FIELDS, 431, "too many header lines")

enum h2_head_error {
    H2_HEAD_OK = 0,
#define X(name, status, text) H2_HEAD_##name,
    H2_HEAD_ERROR_TABLE(X)
#undef X
};

enum { H2_URGENCY_DEFAULT = 3, H2_URGENCY_LAST = 7 };

/* RFC 9218 section 4. */
struct h2_priority {
    uint8_t urgency; /* 0 first, H2_URGENCY_LAST last */
    bool incremental;
};

struct h2_head_decoder {
    struct http_head *head;
    struct buf *text;
    uint32_t max;
    uint32_t list_len; /* as counted against max */
    uint8_t error;     /* enum h2_head_error; the first */
    uint8_t seen;      /* pseudo-headers */
    bool fields_begun; /* no pseudo-header may follow */
    bool many_cookies;
    bool has_priority;
    struct h2_priority priority; /* of the Priority field, when there was one */
};

/* Room that the text of a head with this ceiling may take. */
static inline size_t
h2_head_text_max(uint32_t max)
{
    return 2 * (size_t)max + 64;
}

/* Starts a request. `head` was made by http_head_init; `text` has a ceiling of at least
 * h2_head_text_max(max). Both are borrowed and emptied. */
void h2_head_decoder_init(struct h2_head_decoder *decoder, struct http_head *head, struct buf *text,
                          uint32_t max);

/* Adds the next field of the block; name and value are copied. After an error it does nothing. */
void h2_head_add(struct h2_head_decoder *decoder, struct str name, struct str value);

/* The block is complete; `ends`: the request ends with it (END_STREAM). Returns the first error of
 * all, or H2_HEAD_OK: head is filled in. After an error it holds what was accepted before it, for a
 * log line. */
enum h2_head_error h2_head_finish(struct h2_head_decoder *decoder, bool ends);

/* Whether a field may stand in the trailers of a request. */
bool h2_trailer_is_valid(struct str name, struct str value);

/* Reads a Priority field value (RFC 9218 section 4, RFC 8941 section 3.2). What is malformed, out
 * of range or unknown changes nothing in *priority, which is set to the defaults first. */
void h2_priority_parse(struct str value, struct h2_priority *priority);

int h2_head_error_status(enum h2_head_error error);
struct str h2_head_error_text(enum h2_head_error error);

#endif
