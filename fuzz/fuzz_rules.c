/* Rules: patterns against a plain recursive model, and both parsers with what they build.
 *
 * The first byte chooses: even, the rest is a pattern, a newline and a path over a small alphabet;
 * odd, the rest is a file, and the second byte says which.
 */
#include "site/rules_internal.h"

#include "base/limits.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

/* Patterns. */

/* What `*` and `:name` mean, tried in every way there is. */
static bool
model_match(struct str pattern, struct str path)
{
    if (pattern.len == 0)
        return path.len == 0;
    size_t name_len = pattern.ptr[0] == ':' ? rules_name_len(pattern, 0) : 0;
    if (pattern.ptr[0] == '*') {
        for (size_t len = 0; len <= path.len; len++) {
            if (model_match(str_skip(pattern, 1), str_skip(path, len)))
                return true;
        }
        return false;
    }
    if (name_len > 0) {
        for (size_t len = 1; len <= path.len && path.ptr[len - 1] != '/'; len++) {
            if (model_match(str_skip(pattern, 1 + name_len), str_skip(path, len)))
                return true;
        }
        return false;
    }
    return path.len > 0 && pattern.ptr[0] == path.ptr[0] &&
           model_match(str_skip(pattern, 1), str_skip(path, 1));
}

/* The captures, put back in their places, must give the path again. */
static void
check_captures(const struct rules_pattern *pattern, const struct rules_captures *captures,
               struct str path)
{
    unsigned next = 0;
    for (unsigned i = 0; i < pattern->path.count; i++) {
        const struct rules_part *part = &pattern->path.list[i];
        struct str text = part->text;
        if (part->kind != RULES_LITERAL) {
            text = captures->list[next++].text;
            must(part->kind == RULES_SPLAT || text.len > 0);
            must(part->kind == RULES_SPLAT || str_find_char(text, '/') == text.len);
        }
        must(str_starts_with(path, text));
        path = str_skip(path, text.len);
    }
    must(path.len == 0 && next == captures->count);
}

static void
fuzz_pattern(const uint8_t *data, size_t size, struct arena *arena)
{
    static const char alphabet[] = "/a:b*./ab\n";
    char text[64];
    size_t len = 0;
    text[len++] = '/';
    for (size_t i = 0; i < size && len < sizeof text; i++)
        text[len++] = alphabet[data[i] % (sizeof alphabet - 1)];
    struct str path = str_make(text, len), pattern_text = str_cut(&path, '\n');
    struct rules_reader reader;
    struct rules_names names = {.count = 0};
    struct rules_pattern pattern;
    struct rules_captures captures;
    struct error error;
    rules_reader_init(&reader, "file", arena, STR(""), &error);
    if (rules_pattern_parse(&reader, pattern_text, &names, &pattern) < 0)
        return;
    bool matched = rules_pattern_match(&pattern, STR("any"), path, &captures);
    must(matched == model_match(pattern_text, path));
    if (matched) {
        must(captures.count == names.count);
        check_captures(&pattern, &captures, path);
    }
}

/* Files. */

static const char *const paths[] = {
    "/", "/a", "/a/", "/a/b/c.html", "/blog/2024/x y", "/\xc3\xa9/\r\n", "/go/evil.org",
};

static void
check_error(const struct error *error, const char *file, struct str text)
{
    unsigned long line = 0;
    char format[32];
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    snprintf(format, sizeof format, "%s line %%lu: ", file);
    must(sscanf(error->text, format, &line) == 1 && line >= 1 && line <= lines);
}

/* Header lines as they go out: a name, a colon, text, CRLF. */
static void
check_lines(struct str lines)
{
    while (lines.len > 0) {
        size_t end = str_find(lines, STR("\r\n"));
        must(end < lines.len);
        struct str line = str_first(lines, end);
        size_t colon = str_find_char(line, ':');
        must(colon > 0 && colon < line.len);
        for (size_t i = 0; i < line.len; i++)
            must((unsigned char)line.ptr[i] >= 0x20 || line.ptr[i] == '\t');
        lines = str_skip(lines, end + 2);
    }
}

static void
fuzz_headers(struct str text, struct site_rules *rules, struct arena *arena, struct buf *out)
{
    struct error error;
    struct str lines = STR("Content-Type: text/html\r\nVary: Accept-Encoding\r\nETag: \"1\"\r\n");
    if (site_rules_parse_headers(rules, arena, text, &error) < 0) {
        check_error(&error, "_headers", text);
        return;
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        bool matched = site_rules_apply_headers(rules, str_from_cstr(paths[i]), lines, out);
        must(matched || out->len == 0);
        if (!buf_overflowed(out))
            check_lines(buf_str(out));
    }
}

static void
check_redirect(const struct site_redirect *redirect)
{
    struct str location = redirect->location;
    bool is_location = redirect->status >= 300 && redirect->status < 400;
    must(location.len > 0);
    must(!str_starts_with(location, STR("//")));
    must(location.ptr[0] == '/' || (is_location && str_starts_with(location, STR("http"))));
    for (size_t i = 0; is_location && i < location.len; i++)
        must(location.ptr[i] > 0x20 && location.ptr[i] < 0x7f && location.ptr[i] != '\\');
}

/* A redirect may not lead to the path that was asked. */
static void
check_no_circle(struct str path, const struct site_redirect *redirect)
{
    if (redirect->status >= 300 && redirect->status < 400 && !redirect->has_query)
        must(!str_eq(redirect->location, path));
}

static void
fuzz_redirects(struct str text, struct site_rules *rules, struct arena *arena, struct buf *out)
{
    static const char *const queries[] = {"", "id=5&tag=a+b", "id=%2F%2Fevil&x", "id=%0d%0a"};
    struct error error;
    if (site_rules_parse_redirects(rules, arena, text, &error) < 0) {
        check_error(&error, "_redirects", text);
        return;
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct site_redirect got, forced;
        struct str path = str_from_cstr(paths[i]), query = str_from_cstr(queries[i % 4]);
        struct str host = STR("www.Example.com");
        bool has_forced = site_rules_find_redirect(rules, host, path, query, true, out, &forced);
        must(!has_forced || forced.force);
        bool found = site_rules_find_redirect(rules, host, path, query, false, out, &got);
        must(found || !has_forced);
        if (found) {
            check_redirect(&got);
            check_no_circle(path, &got);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buf out;
    if (size < 2)
        return 0;
    arena_init(&arena, 4 << 20, 16 << 10);
    buf_init(&out, SITE_HEAD_MAX);
    struct str text = str_make((const char *)data + 2, size - 2);
    struct site_rules *rules = site_rules_new(&arena);
    must(rules);
    if (data[0] % 2 == 0)
        fuzz_pattern(data + 1, size - 1, &arena);
    else if (data[1] % 2 == 0)
        fuzz_headers(text, rules, &arena, &out);
    else
        fuzz_redirects(text, rules, &arena, &out);
    buf_deinit(&out);
    arena_deinit(&arena);
    return 0;
}
