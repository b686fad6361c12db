#include "site/render.h"

#include "base/arena.h"
#include "base/limits.h"
#include "base/must.h"

/* Lines without rules, all of bounded length. */
enum { PLAIN_HEAD_MAX = 4096, FIXED_LINES_MAX = 1024, PATH_SHOWN = 200 };
_Static_assert(2 * SITE_FIELD_MAX + FIXED_LINES_MAX <= PLAIN_HEAD_MAX, "a plain head fits");

void
renderer_init(struct renderer *renderer, struct arena *arena, const struct site_rules *rules)
{
    *renderer = (struct renderer){.arena = arena, .rules = rules, .date_shown = INT64_MIN};
    buf_init(&renderer->changed, SITE_HEAD_MAX);
    buf_init(&renderer->ordered, SITE_HEAD_MAX);
}

void
renderer_deinit(struct renderer *renderer)
{
    buf_deinit(&renderer->changed);
    buf_deinit(&renderer->ordered);
}

/* A piece of a head by its place, while the head may still move. */
struct span {
    uint32_t off, len;
};

/* A head being written. */
struct head {
    char text[PLAIN_HEAD_MAX];
    size_t len;
    uint32_t type_off, valid_off;
    struct span type, etag;
};

static void
put(struct head *head, struct str s)
{
    memcpy(head->text + head->len, s.ptr, s.len);
    head->len += s.len;
}

static struct span
put_value(struct head *head, struct str s)
{
    struct span span = {(uint32_t)head->len, (uint32_t)s.len};
    put(head, s);
    put(head, STR("\r\n"));
    return span;
}

static void
put_line(struct head *head, struct str name, struct str value)
{
    put(head, name);
    put_value(head, value);
}

static void
put_number_line(struct head *head, struct str name, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    put_line(head, name, str_make(digits + at, sizeof digits - at));
}

static struct str
date_of(struct renderer *renderer, int64_t mtime)
{
    if (mtime != renderer->date_shown) {
        http_date_format(mtime, renderer->date);
        renderer->date_shown = mtime;
    }
    return str_make(renderer->date, sizeof renderer->date);
}

static void
write_plain(struct renderer *renderer, const struct render_input *input, struct head *head)
{
    char etag[CONTENT_ETAG_LEN];
    must(input->type.len <= SITE_FIELD_MAX && input->cache_control.len <= SITE_FIELD_MAX);
    head->len = 0;
    put_number_line(head, STR("Content-Length: "), input->content.len);
    head->type_off = (uint32_t)head->len;
    put(head, STR("Content-Type: "));
    head->type = put_value(head, input->type);
    if (input->coding != HTTP_CODING_IDENTITY)
        put_line(head, STR("Content-Encoding: "), http_coding_name(input->coding));
    put(head, STR("Accept-Ranges: bytes\r\n"));
    head->valid_off = (uint32_t)head->len;
    content_etag(input->hash, etag);
    put(head, STR("ETag: "));
    head->etag = put_value(head, str_make(etag, sizeof etag));
    if (input->mtime > 0)
        put_line(head, STR("Last-Modified: "), date_of(renderer, input->mtime));
    put_line(head, STR("Cache-Control: "), input->cache_control);
    if (input->vary.len)
        put_line(head, STR("Vary: "), input->vary);
    put(head, STR("X-Content-Type-Options: nosniff\r\n"));
}

/* --- rules --- */

static bool
is_named(struct str line, struct str name)
{
    return line.len > name.len && line.ptr[name.len] == ':' &&
           str_ieq(str_first(line, name.len), name);
}

static bool
is_type_line(struct str line)
{
    return is_named(line, STR("Content-Type")) || is_named(line, STR("Content-Encoding")) ||
           is_named(line, STR("Accept-Ranges"));
}

/* Appends the lines that belong to one section, each with its CRLF. */
static void
append_section(struct buf *out, struct str lines, bool type_section)
{
    while (lines.len) {
        struct str line = str_first(lines, str_find(lines, STR("\r\n")) + 2);
        lines = str_skip(lines, line.len);
        if (is_type_line(line) == type_section)
            buf_append(out, line);
    }
}

/* The value of the first line with this name, or an empty span. */
static struct span
find_value(struct str lines, struct str name)
{
    struct str rest = lines;
    while (rest.len) {
        struct str line = str_first(rest, str_find(rest, STR("\r\n")));
        if (is_named(line, name)) {
            struct str value = str_trim(str_skip(line, name.len + 1));
            return (struct span){(uint32_t)(value.ptr - lines.ptr), (uint32_t)value.len};
        }
        rest = str_skip(rest, line.len + 2);
    }
    return (struct span){0};
}

/* Applies the rules to a plain head. The result stands in renderer->ordered when any rule matched;
 * the places in *head are set anew. */
static bool
apply_rules(struct renderer *renderer, struct str path, struct head *head)
{
    struct buf *out = &renderer->ordered;
    struct str plain = str_make(head->text, head->len);
    if (!site_rules_have_headers(renderer->rules) ||
        !site_rules_apply_headers(renderer->rules, path, str_skip(plain, head->type_off),
                                  &renderer->changed))
        return false;
    buf_clear(out);
    buf_append(out, str_first(plain, head->type_off));
    append_section(out, buf_str(&renderer->changed), true);
    head->valid_off = (uint32_t)out->len;
    append_section(out, buf_str(&renderer->changed), false);
    head->type = find_value(buf_str(out), STR("Content-Type"));
    head->etag = find_value(buf_str(out), STR("ETag"));
    return true;
}

/* --- */

static struct str
span_in(struct str text, struct span span)
{
    return str_first(str_skip(text, span.off), span.len);
}

int
render_rep(struct renderer *renderer, const struct render_input *input, struct str path,
           struct site_rep *rep, struct error *error)
{
    struct head head;
    write_plain(renderer, input, &head);
    struct str text = str_make(head.text, head.len);
    if (apply_rules(renderer, path, &head)) {
        if (buf_overflowed(&renderer->changed) || buf_overflowed(&renderer->ordered))
            return error_set(error, "_headers: the header lines of '%.*s' exceed %d bytes",
                             STR_ARG(str_first(path, PATH_SHOWN)), SITE_HEAD_MAX);
        text = buf_str(&renderer->ordered);
    }
    char *copy = arena_alloc_text(renderer->arena, text.len);
    if (!copy)
        return error_set(error, "no memory for the response heads");
    memcpy(copy, text.ptr, text.len);
    rep->content = input->content;
    rep->head = str_make(copy, text.len);
    rep->type_off = head.type_off;
    rep->valid_off = head.valid_off;
    rep->type = span_in(rep->head, head.type);
    rep->etag = span_in(rep->head, head.etag);
    rep->coding = (uint8_t)input->coding;
    return 0;
}
