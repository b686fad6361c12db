/* A URL is checked once, when it is split; every text made from it is written by the same two
 * functions, put_authority and put_encoded, so that key, target and Host field cannot disagree.
 * Resolving builds no text of its own: it replaces parts of the base, writes the canonical text and
 * splits that. */
#include "http/url.h"

#include "base/hex.h"
#include "base/must.h"
#include "http/target.h"

#include <assert.h>
#include <stdio.h>

enum {
    AUTHORITY_LEN_MAX = URL_HOST_MAX + sizeof "[]:65535" - 1,
    ORIGIN_LEN_MAX = sizeof "https://" - 1 + AUTHORITY_LEN_MAX, /* what is before the path */
};

static_assert((int)URL_MAX > (int)ORIGIN_LEN_MAX, "any host leaves room for a path");

/* May stand in a path or query as it is: pchar, "/" and "?" of RFC 3986 sections 3.3 and 3.4, and
 * the '%' of an escape. */
static const bool is_plain[256] = {
    ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true, ['.'] = true,
    ['_'] = true,         ['~'] = true,         ['!'] = true,         ['$'] = true, ['&'] = true,
    ['\''] = true,        ['('] = true,         [')'] = true,         ['*'] = true, ['+'] = true,
    [','] = true,         [';'] = true,         ['='] = true,         [':'] = true, ['@'] = true,
    ['/'] = true,         ['?'] = true,         ['%'] = true,
};

static struct str
scheme_name(enum url_scheme scheme)
{
    return scheme == URL_HTTPS ? STR("https") : STR("http");
}

static uint16_t
scheme_port(enum url_scheme scheme)
{
    return scheme == URL_HTTPS ? 443 : 80;
}

/* --- writing --- */

static size_t
put_text(char *out, struct str s)
{
    memcpy(out, s.ptr, s.len);
    return s.len;
}

static size_t
put_authority(const struct url *url, char out[static AUTHORITY_LEN_MAX])
{
    size_t len = 0;
    must(url->host.len <= URL_HOST_MAX);
    if (url->is_ipv6)
        out[len++] = '[';
    for (size_t i = 0; i < url->host.len; i++)
        out[len++] = str_lower_char(url->host.ptr[i]);
    if (url->is_ipv6)
        out[len++] = ']';
    if (url->port != scheme_port(url->scheme)) {
        char port[sizeof ":65535"];
        int port_len = snprintf(port, sizeof port, ":%u", url->port);
        len += put_text(out + len, str_make(port, (size_t)port_len));
    }
    return len;
}

static size_t
encoded_len(struct str s)
{
    size_t len = s.len;
    for (size_t i = 0; i < s.len; i++)
        len += is_plain[(unsigned char)s.ptr[i]] ? 0 : 2;
    return len;
}

static size_t
put_encoded(char *out, struct str s)
{
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (is_plain[(unsigned char)s.ptr[i]])
            out[len++] = s.ptr[i];
        else
            len += percent_put(out + len, s.ptr[i]);
    }
    return len;
}

static size_t
target_len(const struct url *url)
{
    return (url->path.len ? encoded_len(url->path) : 1) + url->has_query + encoded_len(url->query);
}

static size_t
put_target(const struct url *url, char *out)
{
    size_t len = put_encoded(out, url->path.len ? url->path : STR("/"));
    if (url->has_query)
        out[len++] = '?';
    return len + put_encoded(out + len, url->query);
}

/* "https://example.com:8443" */
static size_t
put_origin(const struct url *url, char out[static ORIGIN_LEN_MAX])
{
    size_t len = put_text(out, scheme_name(url->scheme));
    len += put_text(out + len, STR("://"));
    return len + put_authority(url, out + len);
}

/* `before` and the target, NUL-terminated. */
static struct str
write_target(const struct url *url, struct str before, struct arena *arena)
{
    size_t len = before.len + target_len(url);
    char *text = arena_alloc_text(arena, len + 1);
    if (!text)
        return (struct str){0};
    size_t at = put_text(text, before);
    at += put_target(url, text + at);
    text[at] = '\0';
    return str_make(text, at);
}

struct str
url_canonical(const struct url *url, struct arena *arena)
{
    char origin[ORIGIN_LEN_MAX];
    return write_target(url, str_make(origin, put_origin(url, origin)), arena);
}

struct str
url_request_target(const struct url *url, struct arena *arena)
{
    return write_target(url, STR(""), arena);
}

struct str
url_authority(const struct url *url, struct arena *arena)
{
    char authority[AUTHORITY_LEN_MAX];
    return arena_copy(arena, str_make(authority, put_authority(url, authority)));
}

/* --- splitting --- */

static bool
has_blank_or_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool
escapes_are_sound(struct str s)
{
    for (;;) {
        s = str_skip(s, str_find_char(s, '%'));
        if (s.len == 0)
            return true;
        if (percent_value(s) < 0)
            return false;
        s = str_skip(s, 3);
    }
}

static struct str
without_fragment(struct str s)
{
    return str_first(s, str_find_char(s, '#'));
}

/* Cuts at the first '?'. */
static void
split_query(struct str s, struct url *out)
{
    size_t len = str_find_char(s, '?');
    out->path = str_first(s, len);
    out->has_query = len < s.len;
    out->query = str_skip(s, len + 1);
}

/* Takes "http://" or "https://" from the front of *s. */
static bool
cut_scheme(struct str *s, enum url_scheme *scheme)
{
    struct str name = str_first(*s, str_find_char(*s, ':'));
    *scheme = str_ieq(name, STR("https")) ? URL_HTTPS : URL_HTTP;
    if (!str_ieq(name, scheme_name(*scheme)))
        return false;
    *s = str_skip(*s, name.len);
    if (!str_starts_with(*s, STR("://")))
        return false;
    *s = str_skip(*s, 3);
    return true;
}

/* Host and port. target_host_is_valid has made sure of the form, and that the port fits. */
static bool
split_authority(struct str authority, struct url *out)
{
    uint64_t port;
    bool has_escape = str_find_char(authority, '%') < authority.len;
    if (authority.len == 0 || has_escape || !target_host_is_valid(authority))
        return false;
    out->host = target_host_name(authority);
    out->is_ipv6 = authority.ptr[0] == '[';
    out->has_port = str_to_u64(str_skip(authority, out->host.len + 2 * out->is_ipv6 + 1), &port);
    out->port = out->has_port ? (uint16_t)port : scheme_port(out->scheme);
    return out->port != 0 && out->host.len <= URL_HOST_MAX;
}

/* What path and query must keep, wherever they come from. */
static bool
is_sound(const struct url *url)
{
    char origin[ORIGIN_LEN_MAX];
    return escapes_are_sound(url->path) && escapes_are_sound(url->query) &&
           put_origin(url, origin) + target_len(url) <= URL_MAX;
}

bool
url_parse(struct str text, struct url *out)
{
    *out = (struct url){0};
    if (text.len > URL_MAX || has_blank_or_control(text))
        return false;
    struct str rest = without_fragment(text);
    if (!cut_scheme(&rest, &out->scheme))
        return false;
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    if (!split_authority(str_first(rest, end), out))
        return false;
    split_query(str_skip(rest, end), out);
    return is_sound(out);
}

/* --- resolving --- */

/* Whether s starts with a scheme. A colon in the first segment of a relative reference would have
 * to be written otherwise (RFC 3986 section 4.2), so any colon there ends a scheme. */
static bool
has_scheme(struct str s)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] != ':' && s.ptr[i] != '/' && s.ptr[i] != '?')
        i++;
    return i < s.len && s.ptr[i] == ':';
}

/* RFC 3986 section 5.2.4, in place: the result is never longer. `path` is empty or starts with '/'.
 * A segment is taken with the slash before it, so what is kept up to `out` is whole segments. */
static size_t
remove_dots(char *path, size_t len)
{
    size_t out = 0;
    for (size_t at = 0; at < len;) {
        struct str rest = str_make(path + at + 1, len - at - 1);
        size_t segment_len = 1 + str_find_char(rest, '/');
        struct str segment = str_make(path + at, segment_len);
        bool is_last = at + segment_len == len, is_up = str_eq(segment, STR("/.."));
        at += segment_len;
        if (is_up) /* of nothing, the last slash is at 0 */
            out = str_find_last_char(str_make(path, out), '/');
        if (is_up || str_eq(segment, STR("/."))) {
            if (is_last)
                path[out++] = '/';
        } else {
            memmove(path + out, segment.ptr, segment_len);
            out += segment_len;
        }
    }
    return out;
}

/* Sets the path to folder + name without dots. False when the arena is full. */
static bool
set_path(struct url *url, struct str folder, struct str name, struct arena *arena)
{
    char *text = arena_alloc_text(arena, folder.len + name.len + 1);
    if (!text)
        return false;
    size_t len = folder.len ? put_text(text, folder) : 0;
    len += name.len ? put_text(text + len, name) : 0;
    url->path = str_make(text, remove_dots(text, len));
    return true;
}

/* A reference without scheme and authority. */
static bool
resolve_path(const struct url *base, struct str reference, struct arena *arena, struct url *out)
{
    struct url parts = {0};
    split_query(reference, &parts);
    *out = *base;
    if (parts.path.len || parts.has_query) {
        out->query = parts.query;
        out->has_query = parts.has_query;
    }
    if (parts.path.len == 0)
        return true;
    if (parts.path.ptr[0] == '/')
        return set_path(out, STR(""), parts.path, arena);
    if (base->path.len == 0)
        return set_path(out, STR("/"), parts.path, arena);
    size_t slash = str_find_last_char(base->path, '/');
    return set_path(out, str_first(base->path, slash + 1), parts.path, arena);
}

/* A reference with an authority, and a scheme or that of the base. */
static bool
resolve_absolute(const struct url *base, struct str reference, struct arena *arena, struct url *out)
{
    if (reference.ptr[0] == '/') {
        struct str name = arena_join(arena, scheme_name(base->scheme), STR(":"));
        reference = arena_join(arena, name, reference);
    }
    return !arena_overflowed(arena) && url_parse(reference, out) &&
           set_path(out, STR(""), out->path, arena);
}

bool
url_resolve(const struct url *base, struct str reference, struct arena *arena, struct url *out)
{
    struct url found;
    if (reference.len > URL_MAX || has_blank_or_control(reference))
        return false;
    reference = without_fragment(reference);
    if (!escapes_are_sound(reference)) /* also in a segment that will be gone */
        return false;
    bool is_absolute = has_scheme(reference) || str_starts_with(reference, STR("//"));
    if (is_absolute ? !resolve_absolute(base, reference, arena, &found)
                    : !resolve_path(base, reference, arena, &found))
        return false;
    if (!is_sound(&found))
        return false;
    struct str text = url_canonical(&found, arena);
    return text.ptr && url_parse(text, out);
}
