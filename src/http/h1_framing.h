/* h1_framing: what the fields of a complete HTTP/1 head say about the length of the body and about
 * persistence (RFC 9112 sections 6 and 9.3), the same for requests and responses. Pure. Used by
 * h1_rules and h1_response alone.
 */
#ifndef TARN_HTTP_H1_FRAMING_H
#define TARN_HTTP_H1_FRAMING_H

#include "http/h1_fields.h"

struct h1_framing {
    uint64_t content_length; /* of the field; 0 without one */
    uint8_t body_kind;       /* enum http_body_kind: HTTP_BODY_NONE when no field tells */
};

/* Whether there is anything to read for h1_framing_read; most requests have nothing. */
static inline bool
h1_framing_present(const struct h1_fields *lines)
{
    return h1_fields_have(lines, HTTP_FIELD_TRANSFER_ENCODING) ||
           h1_fields_have(lines, HTTP_FIELD_CONTENT_LENGTH);
}

/* Checks Transfer-Encoding and Content-Length of a head decoded at `base` and fills in *out, which
 * is zero when called. On an error *out holds what was read before it. */
enum h1_error h1_framing_read(const struct h1_fields *lines, const char *base,
                              unsigned version_minor, struct h1_framing *out);

/* What the options of Connection make of `keep`, the rule of the version. */
bool h1_framing_connection(const struct h1_fields *lines, const char *base, bool keep);

/* Whether the sender keeps the connection. */
static inline bool
h1_framing_keeps_alive(const struct h1_fields *lines, const char *base, unsigned version_minor)
{
    bool keep = version_minor != 0;
    return h1_fields_have(lines, HTTP_FIELD_CONNECTION) ? h1_framing_connection(lines, base, keep)
                                                        : keep;
}

#endif
