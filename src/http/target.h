/* target: request targets and paths (RFC 9112 section 3.2, RFC 3986 sections 3.3 and 5.2.4). Pure.
 *
 * The rule for paths: cut the query at the first '?'; split at '/', drop empty segments;
 * percent-decode each segment once; bad hex, NUL, an encoded '/', or a segment that is not UTF-8 is
 * refused; "." is dropped, ".." pops, and popping the root is refused. Dots that come from
 * percent-encoding count as dots. The result is absolute, decoded, without "//", and keeps one
 * trailing slash when the raw path ended in
 * '/' or in a "." or ".." segment.
 */
#ifndef TARN_HTTP_TARGET_H
#define TARN_HTTP_TARGET_H

#include "http/head.h"

enum target_form {
    TARGET_ORIGIN,    /* "/path?query" */
    TARGET_ABSOLUTE,  /* "http://host/path?query"; scheme http or https, any case */
    TARGET_ASTERISK,  /* "*", OPTIONS only */
    TARGET_AUTHORITY, /* "host:port", CONNECT only */
};

struct target {
    enum target_form form;
    struct str scheme;    /* absolute form only, as sent */
    struct str authority; /* absolute and authority form; checked like a Host header; else empty */
    struct str path; /* raw, starts with '/' ("/" when an absolute form has none); "*" for asterisk;
                        empty for authority */
    struct str query; /* raw, without the '?' */
    bool has_query;   /* tells "/a?" from "/a" */
};

/* Splits a request target. All strs borrow `raw` (or static memory). False when it is no valid form
 * for this method: asterisk outside OPTIONS, authority outside CONNECT, a character outside visible
 * ASCII (0x21 to 0x7e; bytes from 0x80 on are let through to the path rule, which wants UTF-8), '#'
 * anywhere, user information in the authority, another scheme. */
bool target_parse(struct str raw, enum http_method method, struct target *out);

/* Applies the rule for paths to a raw path without its query ('?' is an ordinary character here);
 * one that does not start with '/' is refused. A raw path that is already clean comes back as it
 * is, without a copy; else the result is written to scratch, which must have room for path.len + 1
 * bytes. False: refused (400). */
bool target_normalize_path(struct str path, char *scratch, struct str *out);

/* A Host field value or authority (RFC 3986 section 3.2.2, 3.2.3): reg-name, IPv4 or [IPv6],
 * optional port 0 to 65535. An empty host is accepted only as the empty string (RFC 9112
 * section 3.2). */
bool target_host_is_valid(struct str host);

/* The host of an authority without port and brackets: "[::1]:80" -> "::1", "a.b:80" -> "a.b". */
struct str target_host_name(struct str authority);

/* Percent-encodes a decoded path for a Location or href: everything outside unreserved, "/", and
 * sub-delims, ":" and "@" becomes %XX; '?' and '#' and '%' too. `out` needs 3 bytes for each input
 * byte. Returns the length. A result never starts with "//". */
size_t target_encode_path(struct str path, char *out);

#endif
