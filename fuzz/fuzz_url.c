/* Fuzzes URLs. Input: one byte for the length of a base URL, the base, then a reference.
 *
 * Checked: what is accepted, and its canonical text, agree with a plain model (a regular expression
 * and the C library's addresses and numbers); a canonical text is canonical; target, authority and
 * canonical text fit together; a reference is resolved as the pseudocode of RFC 3986 section 5.2
 * says, which is written down here literally.
 */
#include "http/url.h"

#include <arpa/inet.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

/* Short enough that no limit of url.h but that of the host is reached. */
enum { INPUT_MAX = 1024, TEXT_MAX = 8 * INPUT_MAX };

/* Section 3.2.2 and 3.2.3, without escapes; any characters in path and query. */
#define GRAMMAR                   \
    "^[hH][tT][tT][pP]([sS])?://" \
    "([]A-Za-z0-9._~!$&'()*+,;=:[-]*)(/[^?#]*)?(\\?[^#]*)?(#.*)?$"
#define AUTHORITY "^([A-Za-z0-9._~!$&'()*+,;=-]+|\\[([^]]*)\\])(:([0-9]*))?$"
/* Appendix B. */
#define PARTS "^(([^:/?#]+):)?(//([^/?#]*))?([^?#]*)(\\?([^#]*))?(#(.*))?"

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static bool
matches(const char *pattern, const char *text, size_t count, regmatch_t *at)
{
    static struct {
        const char *pattern;
        regex_t compiled;
    } known[4];
    size_t i = 0;
    while (known[i].pattern && known[i].pattern != pattern)
        i++;
    if (!known[i].pattern)
        check(regcomp(&known[i].compiled, pattern, REG_EXTENDED) == 0);
    known[i].pattern = pattern;
    return regexec(&known[i].compiled, text, count, at, 0) == 0;
}

/* One group of a match as a C string; empty when it took no part. */
static void
group(const char *text, const regmatch_t *at, char *out)
{
    size_t len = at->rm_so < 0 ? 0 : (size_t)(at->rm_eo - at->rm_so);
    memcpy(out, text + (len ? at->rm_so : 0), len);
    out[len] = '\0';
}

static bool
has_bad_byte(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x21 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool
has_bad_escape(const char *text)
{
    for (const char *p = text; (p = strchr(p, '%')) != NULL; p++)
        if (strspn(p + 1, "0123456789abcdefABCDEF") < 2)
            return true;
    return false;
}

static void
append_lower(char *out, const char *text)
{
    size_t len = strlen(out);
    for (; *text; text++)
        out[len++] = str_lower_char(*text);
    out[len] = '\0';
}

/* Section 6.2.2.1 is not applied to escapes; what is in no grammar is encoded. */
static void
append_encoded(char *out, const char *text)
{
    size_t len = strlen(out);
    for (; *text; text++) {
        bool is_good = (unsigned char)*text < 0x80 && !strchr("\"<>[\\]^`{|}", *text);
        len += (size_t)sprintf(out + len, is_good ? "%c" : "%%%02X", (unsigned char)*text);
    }
}

/* The canonical text of `text`, or false. */
static bool
model_canonical(const char *text, char *out)
{
    regmatch_t url[6], authority[5];
    char name[TEXT_MAX], port[TEXT_MAX], path[TEXT_MAX], query[TEXT_MAX];
    struct in6_addr address;
    if (!matches(GRAMMAR, text, 6, url))
        return false;
    bool is_secure = url[1].rm_so >= 0;
    group(text, &url[3], path);
    group(text, &url[4], query);
    group(text, &url[2], name);
    if (has_bad_escape(path) || has_bad_escape(query) || !matches(AUTHORITY, name, 5, authority))
        return false;
    group(name, &authority[4], port);
    name[authority[1].rm_eo] = '\0';
    if (name[0] == '[') {
        name[authority[2].rm_eo] = '\0';
        if (inet_pton(AF_INET6, name + 1, &address) != 1)
            return false;
        name[authority[2].rm_eo] = ']';
    }
    char *digits = port + strspn(port, "0");
    long number = port[0] ? strlen(digits) > 5 ? 0 : atol(digits) : is_secure ? 443 : 80;
    if (number < 1 || number > 65535 || strlen(name) > URL_HOST_MAX)
        return false;
    strcpy(out, is_secure ? "https://" : "http://");
    append_lower(out, name);
    if (number != (is_secure ? 443 : 80))
        sprintf(out + strlen(out), ":%ld", number);
    append_encoded(out, path[0] ? path : "/");
    append_encoded(out, query);
    return true;
}

/* --- resolving: sections 5.2.2 to 5.2.4 --- */

static bool
starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void
remove_last_segment(char *path)
{
    char *slash = strrchr(path, '/');
    *(slash ? slash : path) = '\0';
}

static void
model_remove_dots(char *path)
{
    char input[TEXT_MAX], output[TEXT_MAX] = "", *in = input;
    strcpy(input, path);
    while (*in) {
        if (starts_with(in, "../")) {
            in += 3;
        } else if (starts_with(in, "./") || starts_with(in, "/./")) {
            in += 2;
        } else if (strcmp(in, "/.") == 0) {
            in[1] = '\0';
        } else if (starts_with(in, "/../")) {
            in += 3;
            remove_last_segment(output);
        } else if (strcmp(in, "/..") == 0) {
            in[1] = '\0';
            remove_last_segment(output);
        } else if (strcmp(in, ".") == 0 || strcmp(in, "..") == 0) {
            *in = '\0';
        } else {
            size_t len = 1 + strcspn(in + 1, "/");
            strncat(output, in, len);
            in += len;
        }
    }
    strcpy(path, output);
}

struct parts {
    char scheme[TEXT_MAX], authority[TEXT_MAX], path[TEXT_MAX], query[TEXT_MAX];
    bool has_scheme, has_authority, has_query;
};

static void
split(const char *text, struct parts *out)
{
    regmatch_t at[10];
    check(matches(PARTS, text, 10, at));
    group(text, &at[2], out->scheme);
    group(text, &at[4], out->authority);
    group(text, &at[5], out->path);
    group(text, &at[7], out->query);
    out->has_scheme = at[1].rm_so >= 0;
    out->has_authority = at[3].rm_so >= 0;
    out->has_query = at[6].rm_so >= 0;
}

/* False for a scheme without an authority: its path must not become one when dots are gone. */
static bool
model_resolve(const char *base_text, const char *reference, char *out)
{
    static struct parts base, r;
    split(base_text, &base);
    split(reference, &r);
    if (r.has_scheme && !r.has_authority)
        return false;
    if (r.has_authority) {
        model_remove_dots(r.path);
    } else {
        if (r.path[0] == '\0') {
            strcpy(r.path, base.path);
            if (!r.has_query)
                strcpy(r.query, base.query);
            r.has_query = r.has_query || base.has_query;
        } else {
            char merged[TEXT_MAX] = "";
            if (r.path[0] != '/' && base.path[0] == '\0') {
                strcpy(merged, "/");
            } else if (r.path[0] != '/') {
                strcpy(merged, base.path);
                strrchr(merged, '/')[1] = '\0';
            }
            strcat(merged, r.path);
            model_remove_dots(merged);
            strcpy(r.path, merged);
        }
        strcpy(r.authority, base.authority);
    }
    sprintf(out, "%s://%s%s%s%s", r.has_scheme ? r.scheme : base.scheme, r.authority, r.path,
            r.has_query ? "?" : "", r.query);
    return true;
}

/* --- checks --- */

static void
check_texts(const struct url *url, struct str text, struct arena *arena)
{
    struct url again;
    struct str target = url_request_target(url, arena), authority = url_authority(url, arena);
    struct str scheme = url->scheme == URL_HTTPS ? STR("https://") : STR("http://");
    check(target.ptr[0] == '/' && authority.len && url->host.len && url->port);
    struct str joined = arena_join(arena, arena_join(arena, scheme, authority), target);
    check(text.len <= URL_MAX && str_eq(joined, text));
    check(url_parse(text, &again) && again.port == url->port && again.scheme == url->scheme &&
          again.is_ipv6 == url->is_ipv6 && again.has_query == url->has_query &&
          str_ieq(again.host, url->host));
    check(str_eq(url_canonical(&again, arena), text));
}

/* Parses an exactly sized copy. Returns whether it is a URL. */
static bool
check_url(struct str input, char *canonical, struct arena *arena)
{
    struct url url;
    char text[INPUT_MAX + 1];
    char *exact = malloc(input.len ? input.len : 1);
    check(exact != NULL);
    memcpy(exact, input.ptr, input.len);
    memcpy(text, input.ptr, input.len);
    text[input.len] = '\0';
    bool expected = !has_bad_byte(input) && model_canonical(text, canonical);
    bool ok = url_parse(str_make(exact, input.len), &url);
    check(ok == expected);
    if (ok) {
        struct str got = url_canonical(&url, arena);
        check(str_eq(got, str_from_cstr(canonical)));
        check_texts(&url, got, arena);
    }
    free(exact);
    return ok;
}

static void
check_reference(struct str base_text, struct str reference, struct arena *arena)
{
    static char resolved[TEXT_MAX], expected[TEXT_MAX];
    char base_copy[INPUT_MAX + 1], text[INPUT_MAX + 1];
    struct url base, out;
    memcpy(base_copy, base_text.ptr, base_text.len);
    base_copy[base_text.len] = '\0';
    memcpy(text, reference.ptr, reference.len);
    text[reference.len] = '\0';
    bool is_good = !has_bad_byte(reference) && text[0] != ':';
    text[strcspn(text, "#")] = '\0';
    is_good = is_good && !has_bad_escape(text);
    is_good =
        is_good && model_resolve(base_copy, text, resolved) && model_canonical(resolved, expected);
    check(url_parse(base_text, &base));
    char *exact = malloc(reference.len ? reference.len : 1);
    check(exact != NULL);
    memcpy(exact, reference.ptr, reference.len);
    bool ok = url_resolve(&base, str_make(exact, reference.len), arena, &out);
    free(exact);
    check(ok == is_good);
    if (ok)
        check(str_eq(url_canonical(&out, arena), str_from_cstr(expected)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char canonical[TEXT_MAX];
    struct arena arena;
    if (size < 1 || size > INPUT_MAX)
        return 0;
    struct str rest = str_make((const char *)data + 1, size - 1);
    struct str base = str_first(rest, data[0]);
    rest = str_skip(rest, data[0]);
    arena_init(&arena, 1 << 20, 1 << 16);
    check_url(rest, canonical, &arena);
    if (check_url(base, canonical, &arena))
        check_reference(base, rest, &arena);
    else
        check_reference(STR("http://a/b/c/d;p?q"), rest, &arena);
    check(!arena_overflowed(&arena));
    arena_deinit(&arena);
    return 0;
}
