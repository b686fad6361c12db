/* The mechanism: each byte has a class. A request that needs no work is recognised by one scan
 * over the classes and comes back as a view of the input; only what the scan stopped at pays for
 * decoding, popping or an address parser. */
#include "http/target.h"

#include "base/hex.h"

#include <arpa/inet.h>

enum {
    CLASS_TARGET = 1, /* may stand in a request target: visible ASCII but '#', or from 0x80 on */
    CLASS_PLAIN = 2,  /* in a path stands for itself, wherever it is */
    CLASS_HOST = 4,   /* unreserved and sub-delims: a registered name, RFC 3986 section 3.2.2 */
    CLASS_KEPT = 8,   /* stays as it is in an encoded path: pchar of section 3.3, and '/' */
};

/* Kept out of line, so that the frame of what is rare is not set up for what is common. */
#define COLD __attribute__((noinline))

#define IS_ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_UNRESERVED(c) \
    (IS_ALPHA(c) || IS_DIGIT(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_SUB_DELIM(c)                                                                   \
    ((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' || \
     (c) == '*' || (c) == '+' || (c) == ',' || (c) == ';' || (c) == '=')
#define IS_TARGET(c) ((c) > 0x20 && (c) != 0x7f && (c) != '#')
#define IS_PLAIN(c) ((c) > 0 && (c) < 0x80 && (c) != '%' && (c) != '/')
#define IS_KEPT(c) (IS_UNRESERVED(c) || IS_SUB_DELIM(c) || (c) == ':' || (c) == '@' || (c) == '/')

#define CLASS(c)                                                           \
    ((IS_TARGET(c) ? CLASS_TARGET : 0) | (IS_PLAIN(c) ? CLASS_PLAIN : 0) | \
     (IS_UNRESERVED(c) || IS_SUB_DELIM(c) ? CLASS_HOST : 0) | (IS_KEPT(c) ? CLASS_KEPT : 0))
#define CLASS_4(c) CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS_16(c) CLASS_4(c), CLASS_4((c) + 4), CLASS_4((c) + 8), CLASS_4((c) + 12)
#define CLASS_64(c) CLASS_16(c), CLASS_16((c) + 16), CLASS_16((c) + 32), CLASS_16((c) + 48)

static const uint8_t class_of[256] = {CLASS_64(0), CLASS_64(64), CLASS_64(128), CLASS_64(192)};

static inline bool
has_class(char c, unsigned mask)
{
    return class_of[(unsigned char)c] & mask;
}

/* --- authorities --- */

/* What follows the host: nothing, or a colon and a port. The number may be missing behind the
 * colon (RFC 3986 section 3.2.3: *DIGIT). */
static bool
port_part_is_valid(struct str s)
{
    unsigned port = 0;
    if (s.len == 0)
        return true;
    if (s.ptr[0] != ':')
        return false;
    for (size_t i = 1; i < s.len; i++) {
        if (!IS_DIGIT(s.ptr[i]))
            return false;
        port = port * 10 + (unsigned)(s.ptr[i] - '0');
        if (port > 65535)
            return false;
    }
    return true;
}

/* "[" IPv6address "]" and what follows. Zones and future versions are refused: a server has no use
 * for either. */
static bool
bracketed_is_valid(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    size_t close = str_find_char(host, ']');
    if (close == host.len || close - 1 >= sizeof(text))
        return false;
    memcpy(text, host.ptr + 1, close - 1);
    text[close - 1] = '\0';
    if (memchr(text, '\0', close - 1) || inet_pton(AF_INET6, text, &address) != 1)
        return false;
    return port_part_is_valid(str_skip(host, close + 1));
}

bool
target_host_is_valid(struct str host)
{
    size_t i = 0;
    for (;;) {
        while (i < host.len && has_class(host.ptr[i], CLASS_HOST))
            i++;
        if (i == host.len || host.ptr[i] != '%')
            break;
        if (percent_value(str_skip(host, i)) < 0)
            return false;
        i += 3;
    }
    if (i == host.len)
        return true;
    if (i == 0)
        return host.ptr[0] == '[' && bracketed_is_valid(host);
    return port_part_is_valid(str_skip(host, i));
}

struct str
target_host_name(struct str authority)
{
    if (authority.len && authority.ptr[0] == '[') {
        struct str inner = str_skip(authority, 1);
        return str_first(inner, str_find_char(inner, ']'));
    }
    return str_first(authority, str_find_char(authority, ':'));
}

/* --- forms of the target --- */

/* Splits `s` from offset `at` on into path and query. */
static bool
split_path(struct str s, size_t at, struct target *out)
{
    size_t i = at;
    while (i < s.len && has_class(s.ptr[i], CLASS_TARGET) && s.ptr[i] != '?')
        i++;
    out->path = str_make(s.ptr + at, i - at);
    if (i == s.len)
        return true;
    if (s.ptr[i] != '?')
        return false;
    out->query = str_skip(s, i + 1);
    out->has_query = true;
    for (i++; i < s.len; i++)
        if (!has_class(s.ptr[i], CLASS_TARGET))
            return false;
    return true;
}

/* Length of "http" or "https" when s starts with it and "://", else 0. */
static size_t
scheme_len(struct str s)
{
    size_t len = str_find_char(str_first(s, 6), ':');
    struct str scheme = str_first(s, len);
    if (!str_ieq(scheme, STR("http")) && !str_ieq(scheme, STR("https")))
        return 0;
    return str_starts_with(str_skip(s, len), STR("://")) ? len : 0;
}

static COLD bool
parse_absolute(struct str raw, struct target *out)
{
    size_t len = scheme_len(raw);
    if (len == 0)
        return false;
    size_t from = len + 3, to = from;
    while (to < raw.len && raw.ptr[to] != '/' && raw.ptr[to] != '?')
        to++;
    out->form = TARGET_ABSOLUTE;
    out->scheme = str_first(raw, len);
    out->authority = str_make(raw.ptr + from, to - from);
    if (out->authority.len == 0 || !target_host_is_valid(out->authority))
        return false;
    if (!split_path(raw, to, out))
        return false;
    if (out->path.len == 0)
        out->path = STR("/");
    return true;
}

/* CONNECT names host and port, always both (RFC 9110 section 9.3.6). A valid host that has a colon
 * and ends in a digit ends in a port: the colons of an address are closed by a bracket. */
static bool
parse_authority(struct str raw, struct target *out)
{
    if (str_find_char(raw, ':') == raw.len || !IS_DIGIT(raw.ptr[raw.len - 1]) ||
        !target_host_is_valid(raw))
        return false;
    out->form = TARGET_AUTHORITY;
    out->authority = raw;
    return true;
}

bool
target_parse(struct str raw, enum http_method method, struct target *out)
{
    *out = (struct target){.form = TARGET_ORIGIN};
    if (raw.len == 0)
        return false;
    if (method == HTTP_METHOD_CONNECT)
        return parse_authority(raw, out);
    if (raw.ptr[0] == '/')
        return split_path(raw, 0, out);
    if (raw.ptr[0] == '*' && raw.len == 1) {
        out->form = TARGET_ASTERISK;
        out->path = raw;
        return method == HTTP_METHOD_OPTIONS;
    }
    return parse_absolute(raw, out);
}

/* --- paths --- */

/* 1 for ".", 2 for "..", else 0. */
static int
dot_count(struct str segment)
{
    if (segment.len == 1 && segment.ptr[0] == '.')
        return 1;
    return segment.len == 2 && segment.ptr[0] == '.' && segment.ptr[1] == '.' ? 2 : 0;
}

/* Whether the path, which starts with '/', is its own normal form. */
static bool
path_is_clean(struct str path)
{
    const char *at = path.ptr + 1, *end = path.ptr + path.len;
    bool is_ascii = true;
    while (at < end) {
        const char *start = at;
        while (at < end && has_class(*at, CLASS_PLAIN))
            at++;
        if (at < end && *at & 0x80) {
            is_ascii = false;
            while (at < end && (*at & 0x80 || has_class(*at, CLASS_PLAIN)))
                at++;
        }
        if (at == start || (*start == '.' && dot_count(str_make(start, (size_t)(at - start)))))
            return false;
        if (at < end && *at++ != '/')
            return false;
    }
    return is_ascii || str_is_utf8(path);
}

/* Decodes one segment into out, which has room for segment.len bytes. False: refused. */
static bool
decode_segment(struct str segment, char *out, struct str *decoded)
{
    size_t len = 0;
    bool is_ascii = true;
    for (size_t i = 0; i < segment.len; i++) {
        int c = (unsigned char)segment.ptr[i];
        if (c == '%') {
            c = percent_value(str_skip(segment, i));
            i += 2;
        }
        if (c <= 0 || c == '/')
            return false;
        is_ascii = is_ascii && c < 0x80;
        out[len++] = (char)c;
    }
    *decoded = str_make(out, len);
    return is_ascii || str_is_utf8(*decoded);
}

/* Builds the normal form in scratch. Between segments scratch holds "" or "/a/b" without a slash at
 * the end, so a segment decodes right behind where its slash will go. */
static COLD bool
rebuild_path(struct str path, char *scratch, struct str *out)
{
    size_t len = 0;
    bool is_folder = path.ptr[path.len - 1] == '/';
    struct str rest = str_skip(path, 1), segment;
    while (rest.len) {
        struct str raw = str_cut(&rest, '/');
        if (raw.len == 0)
            continue;
        if (!decode_segment(raw, scratch + len + 1, &segment))
            return false;
        int dots = dot_count(segment);
        if (dots == 2) {
            if (len == 0)
                return false;
            len = str_find_last_char(str_make(scratch, len), '/');
        } else if (dots == 0) {
            scratch[len] = '/';
            len += 1 + segment.len;
        }
        is_folder = is_folder || (dots && rest.len == 0);
    }
    if (is_folder || len == 0)
        scratch[len++] = '/';
    *out = str_make(scratch, len);
    return true;
}

bool
target_normalize_path(struct str path, char *scratch, struct str *out)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return false;
    if (path_is_clean(path)) {
        *out = path;
        return true;
    }
    return rebuild_path(path, scratch, out);
}

size_t
target_encode_path(struct str path, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0, i = 0;
    while (i + 1 < path.len && path.ptr[i] == '/' && path.ptr[i + 1] == '/')
        i++;
    for (; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (class_of[c] & CLASS_KEPT) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = digits[c >> 4];
            out[len++] = digits[c & 15];
        }
    }
    return len;
}
