/* Fuzzes targets and paths. Input: one byte for the method, then the request target.
 *
 * Checked: the parts of a target add up to it; hosts and normal forms agree with plain models that
 * share no code with target.c; a clean path is not copied; the normal form of the encoded form of a
 * result is that result.
 */
#include "http/target.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { INPUT_MAX = 4096 };

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* A block of exactly its size, so that the sanitizer sees a step over either end. */
static char *
new_bytes(size_t len)
{
    char *bytes = malloc(len ? len : 1);
    check(bytes != NULL);
    return bytes;
}

static bool
is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool
is_alnum(char c)
{
    return is_one_of(c, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
}

static bool
is_hex(char c)
{
    return is_one_of(c, "0123456789abcdefABCDEF");
}

/* --- hosts --- */

static bool
model_port(const char *text)
{
    size_t zeros = strspn(text, "0"), digits = strspn(text + zeros, "0123456789");
    return text[zeros + digits] == '\0' && digits <= 5 && atol(text + zeros) <= 65535;
}

static bool
model_host(struct str host)
{
    char text[INPUT_MAX + 1];
    struct in6_addr address;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (strlen(text) != host.len)
        return false;
    char *colon = strchr(text, ':');
    if (text[0] == '[') {
        char *close = strchr(text, ']');
        if (!close || (close[1] && close[1] != ':') || (close[1] && !model_port(close + 2)))
            return false;
        *close = '\0';
        return inet_pton(AF_INET6, text + 1, &address) == 1;
    }
    if (colon && (colon == text || !model_port(colon + 1)))
        return false;
    if (colon)
        *colon = '\0';
    for (const char *p = text; *p; p++) {
        if (*p == '%' && is_hex(p[1]) && is_hex(p[2]))
            p += 2;
        else if (!is_alnum(*p) && !is_one_of(*p, "-._~!$&'()*+,;="))
            return false;
    }
    return true;
}

static void
check_host(struct str host)
{
    bool ok = target_host_is_valid(host);
    check(ok == model_host(host));
    struct str name = target_host_name(host);
    check(name.len <= host.len);
    if (ok && name.len)
        check(name.ptr >= host.ptr && name.ptr + name.len <= host.ptr + host.len);
    if (ok)
        check(str_find_char(name, ']') == name.len && str_find_char(name, '[') == name.len);
}

/* --- paths --- */

/* The rule, read literally: decode all, with an encoded slash as a refusal, into a list; then join.
 * Returns the length, or 0 for a refusal. */
static size_t
model_normalize(struct str path, char *out)
{
    static struct str segments[INPUT_MAX];
    static char bytes[INPUT_MAX];
    size_t count = 0, byte_count = 0, len = 0;
    bool is_folder = true;
    if (path.len == 0 || path.ptr[0] != '/')
        return 0;
    for (size_t i = 1; i <= path.len;) {
        size_t from = byte_count, raw_from = i;
        for (; i < path.len && path.ptr[i] != '/'; i++) {
            char c = path.ptr[i];
            if (c == '%') {
                if (path.len - i < 3 || !is_hex(path.ptr[i + 1]) || !is_hex(path.ptr[i + 2]))
                    return 0;
                char digits[3] = {path.ptr[i + 1], path.ptr[i + 2], '\0'};
                c = (char)strtol(digits, NULL, 16);
                i += 2;
                if (c == '/')
                    return 0;
            }
            if (c == '\0')
                return 0;
            bytes[byte_count++] = c;
        }
        struct str segment = str_make(bytes + from, byte_count - from);
        is_folder = i == raw_from || str_eq(segment, STR(".")) || str_eq(segment, STR(".."));
        i++;
        if (!str_is_utf8(segment))
            return 0;
        if (str_eq(segment, STR("..")) && count-- == 0)
            return 0;
        if (!is_folder)
            segments[count++] = segment;
    }
    for (size_t i = 0; i < count; i++) {
        out[len++] = '/';
        memcpy(out + len, segments[i].ptr, segments[i].len);
        len += segments[i].len;
    }
    if (is_folder || count == 0)
        out[len++] = '/';
    return len;
}

static void
check_result_shape(struct str out)
{
    check(out.len > 0 && out.ptr[0] == '/');
    check(memchr(out.ptr, '\0', out.len) == NULL && str_is_utf8(out));
    check(str_find(out, STR("//")) == out.len);
    check(str_find(out, STR("/./")) == out.len && str_find(out, STR("/../")) == out.len);
    check(!str_ends_with(out, STR("/.")) && !str_ends_with(out, STR("/..")));
}

static void
check_encoding(struct str path, bool is_normal)
{
    char *encoded = new_bytes(path.len * 3), *scratch = NULL;
    struct str raw = str_make(encoded, target_encode_path(path, encoded)), back;
    check(raw.len <= path.len * 3 && !str_starts_with(raw, STR("//")));
    for (size_t i = 0; i < raw.len; i++)
        check(is_alnum(raw.ptr[i]) || is_one_of(raw.ptr[i], "-._~!$&'()*+,;=:@/%"));
    if (is_normal) {
        scratch = new_bytes(raw.len + 1);
        check(target_normalize_path(raw, scratch, &back) && str_eq(back, path));
    }
    free(scratch);
    free(encoded);
}

static void
check_path(struct str path)
{
    char *scratch = new_bytes(path.len + 1);
    char expected[INPUT_MAX + 1];
    struct str out;
    size_t expected_len = model_normalize(path, expected);
    bool ok = target_normalize_path(path, scratch, &out);
    check(ok == (expected_len > 0));
    if (ok) {
        check(str_eq(out, str_make(expected, expected_len)));
        check(str_eq(out, path) == (out.ptr == path.ptr));
        check_result_shape(out);
        check_encoding(out, true);
    }
    check_encoding(path, false);
    free(scratch);
}

/* --- targets --- */

/* The parts, put together again, are the input. */
static void
check_parts(struct str raw, const struct target *target)
{
    char joined[INPUT_MAX + 8];
    size_t len = 0;
    const struct str parts[] = {
        target->scheme,
        target->form == TARGET_ABSOLUTE ? STR("://") : STR(""),
        target->authority,
        target->path,
        target->has_query ? STR("?") : STR(""),
        target->query,
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        bool is_made_up = i == 3 && target->form == TARGET_ABSOLUTE && parts[3].len == 1 &&
                          (len == raw.len || raw.ptr[len] == '?');
        if (is_made_up || parts[i].len == 0)
            continue;
        memcpy(joined + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
    }
    check(str_eq(raw, str_make(joined, len)));
}

static void
check_target(struct str raw, enum http_method method)
{
    struct target target;
    bool has_bad_byte = raw.len == 0;
    for (size_t i = 0; i < raw.len; i++)
        has_bad_byte |= (unsigned char)raw.ptr[i] <= 0x20 || is_one_of(raw.ptr[i], "#\x7f");
    bool ok = target_parse(raw, method, &target);
    check(!ok || !has_bad_byte);
    if (!has_bad_byte && raw.ptr[0] == '/')
        check(ok == (method != HTTP_METHOD_CONNECT));
    if (!ok)
        return;
    check((target.form == TARGET_AUTHORITY) == (method == HTTP_METHOD_CONNECT));
    check(target.form != TARGET_ASTERISK || method == HTTP_METHOD_OPTIONS);
    check(target.has_query || target.query.len == 0);
    check(str_find_char(target.path, '?') == target.path.len);
    check_parts(raw, &target);
    if (target.form == TARGET_ABSOLUTE || target.form == TARGET_AUTHORITY)
        check(target.authority.len && model_host(target.authority));
    if (target.form == TARGET_ABSOLUTE || target.form == TARGET_ORIGIN)
        check(target.path.len && target.path.ptr[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_MAX)
        return 0;
    char *bytes = new_bytes(size - 1);
    memcpy(bytes, data + 1, size - 1);
    struct str input = str_make(bytes, size - 1);
    check_target(input, (enum http_method)(data[0] % (HTTP_METHOD_TRACE + 1)));
    check_path(input);
    check_host(input);
    free(bytes);
    return 0;
}
