/* url: absolute http and https URLs (RFC 3986, RFC 9110 section 4.2) as clients and upstreams name
 * them: split, brought to one form, resolved against each other. Pure; results that are no part of
 * the input lie in the given arena.
 *
 * The canonical text is the key of a resource and also what is asked for upstream, so it changes
 * only what cannot matter: scheme and host are in lower case, a port that is the scheme's own is
 * dropped, an empty path is "/", a fragment is gone. Percent escapes stay exactly as they came, the
 * case of their digits included, and "." and ".." segments stay: a signature may cover the text as
 * it stands (RFC 3986 section 6.2.2 allows to change them, for the price of such URLs). Two
 * spellings of a resource that differ there are two resources. What RFC 3986 allows nowhere in a
 * path or query (bytes from 0x80 on, and `"<>[\]^`{|}`) cannot be sent as it is and is
 * percent-encoded.
 */
#ifndef TARN_HTTP_URL_H
#define TARN_HTTP_URL_H

#include "base/arena.h"
#include "base/limits.h"

enum url_scheme { URL_HTTP, URL_HTTPS };

struct url {
    enum url_scheme scheme;
    bool is_ipv6; /* host is an IPv6 address */
    bool has_port;
    bool has_query;   /* tells "/a?" from "/a" */
    uint16_t port;    /* never 0; the scheme's own when the text has none */
    struct str host;  /* as written, never empty; without brackets */
    struct str path;  /* raw; empty or starts with '/' */
    struct str query; /* raw, without the '?' */
};

/* Splits a URL; the strs borrow `text`. A fragment is accepted and dropped. False: another scheme,
 * no host or one that is none (target_host_is_valid; percent escapes in a host are refused as well,
 * since resolvers, certificates and servers would not agree on what they name), user information,
 * port 0 or over 65535, white space or control characters anywhere, a bad percent escape, a host
 * over URL_HOST_MAX, the text or its canonical form over URL_MAX. */
bool url_parse(struct str text, struct url *out);

/* The canonical text, NUL-terminated behind its end; at most URL_MAX bytes, and canonical itself.
 * An empty str when the arena is full. */
struct str url_canonical(const struct url *url, struct arena *arena);

/* What `reference` (a Location field value, say) names when it stands in a document at `base`: RFC
 * 3986 section 5.2.2, strictly, with "." and ".." removed from the path. *out is canonical and lies
 * in the arena. False when the reference has a byte or an escape that url_parse refuses, when the
 * result is none that it accepts, and when the arena is full (arena_overflowed tells). */
bool url_resolve(const struct url *base, struct str reference, struct arena *arena,
                 struct url *out);

/* The target of a request to the server itself (origin form, RFC 9112 section 3.2.1):
 * "/path?query", as in the canonical text. NUL-terminated; an empty str when the arena is full. */
struct str url_request_target(const struct url *url, struct arena *arena);

/* The Host field value: "example.com", "[::1]:8080", as in the canonical text. NUL-terminated; an
 * empty str when the arena is full. */
struct str url_authority(const struct url *url, struct arena *arena);

#endif
