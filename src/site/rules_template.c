/* Templates: what stands on the right side of a rule. Literal text is encoded or decoded once, when
 * it is compiled; captures when they are filled in, each by the rule of the place it goes to.
 *
 * A capture may never turn a path on this site into another origin: a slash at its start is dropped
 * behind a slash, and only host labels may stand in an authority.
 */
#include "site/rules_internal.h"

#include "base/limits.h"

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
rules_is_escape(struct str s, size_t at)
{
    return at + 2 < s.len && s.ptr[at] == '%' && hex_value(s.ptr[at + 1]) >= 0 &&
           hex_value(s.ptr[at + 2]) >= 0;
}

unsigned char
rules_decode_next(struct str s, size_t *at, bool is_form)
{
    if (rules_is_escape(s, *at)) {
        int high = hex_value(s.ptr[*at + 1]), low = hex_value(s.ptr[*at + 2]);
        *at += 3;
        return (unsigned char)(high << 4 | low);
    }
    char c = s.ptr[(*at)++];
    return (unsigned char)(is_form && c == '+' ? ' ' : c);
}

static bool
is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-._~", c));
}

static bool
is_kept(unsigned char c, enum rules_zone zone)
{
    if (zone == RULES_ZONE_FILE || is_unreserved(c))
        return true;
    if (c == '\0' || zone == RULES_ZONE_HOST)
        return false;
    return strchr(zone == RULES_ZONE_PATH ? "/!$&'()*+,;=:@" : "/", c) != NULL;
}

static void
append_byte(struct buf *out, unsigned char c, bool kept)
{
    if (kept)
        buf_append_char(out, (char)c);
    else
        buf_printf(out, "%%%02X", c);
}

void
rules_append_uri(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool kept =
            c == '%' ? rules_is_escape(s, i) : c > 0x20 && c < 0x7f && !strchr("\"<>\\^`{|}", c);
        append_byte(out, c, kept);
    }
}

static void
fill_capture(struct buf *out, const struct rules_capture *from, enum rules_zone zone)
{
    bool is_path = zone == RULES_ZONE_PATH || zone == RULES_ZONE_FILE;
    bool behind_slash = is_path && out->len > 0 && out->ptr[out->len - 1] == '/';
    for (size_t at = 0; at < from->text.len;) {
        unsigned char c = from->is_form ? rules_decode_next(from->text, &at, true)
                                        : (unsigned char)from->text.ptr[at++];
        if (behind_slash && c == '/')
            continue;
        behind_slash = false;
        append_byte(out, c, is_kept(c, zone));
    }
}

void
rules_template_fill(const struct rules_template *template, const struct rules_captures *captures,
                    struct buf *out)
{
    for (unsigned i = 0; i < template->count; i++) {
        const struct rules_piece *piece = &template->list[i];
        if (piece->capture < 0)
            buf_append(out, piece->literal);
        else
            fill_capture(out, &captures->list[piece->capture], piece->zone);
    }
}

/* Compiling. */

enum { PIECES_MAX = 64 };

struct template_builder {
    struct rules_reader *reader;
    const struct rules_names *names;
    struct rules_piece list[PIECES_MAX];
    unsigned count;
    struct buf literal; /* the one being read */
    enum rules_zone zone;
    unsigned host_names;
};

static int
end_literal(struct template_builder *builder)
{
    if (builder->literal.len == 0)
        return 0;
    if (builder->count == PIECES_MAX)
        return rules_fail(builder->reader, "more than %d placeholders and texts", PIECES_MAX);
    struct str kept = arena_copy(builder->reader->arena, buf_str(&builder->literal));
    if (!kept.ptr)
        return rules_fail(builder->reader, "out of memory");
    builder->list[builder->count++] = (struct rules_piece){.literal = kept, .capture = -1};
    buf_clear(&builder->literal);
    return 0;
}

static int
add_capture(struct template_builder *builder, int capture)
{
    if (builder->zone == RULES_ZONE_HOST && capture >= (int)builder->host_names)
        return rules_fail(builder->reader,
                          "':%.*s' in the host of the destination is not a label of the source's",
                          STR_ARG(builder->names->list[capture]));
    if (end_literal(builder) < 0)
        return -1;
    if (builder->count == PIECES_MAX)
        return rules_fail(builder->reader, "more than %d placeholders and texts", PIECES_MAX);
    builder->list[builder->count++] =
        (struct rules_piece){.capture = capture, .zone = builder->zone};
    return 0;
}

/* A name that the source does not have: an error where it can only be meant as one. */
static int
check_unknown_name(struct template_builder *builder, struct str text, size_t at, struct str name)
{
    bool is_segment = at > 0 && text.ptr[at - 1] == '/';
    bool is_meant = is_segment || builder->zone == RULES_ZONE_HOST || str_eq(name, STR("splat"));
    if (builder->zone == RULES_ZONE_HEADER || !is_meant)
        return 0;
    return rules_fail(builder->reader, "':%.*s' is not in the source", STR_ARG(name));
}

static int
add_text(struct template_builder *builder, struct str text, size_t *at)
{
    char c = text.ptr[*at];
    if (builder->zone == RULES_ZONE_HEADER) {
        buf_append_char(&builder->literal, c);
        ++*at;
        return 0;
    }
    if (c == '%' && !rules_is_escape(text, *at))
        return rules_fail(builder->reader, "'%%' without two hex digits in '%.*s'", STR_ARG(text));
    if (builder->zone == RULES_ZONE_FILE) {
        c = (char)rules_decode_next(text, at, false);
        if (c == '\0')
            return rules_fail(builder->reader, "a NUL in '%.*s'", STR_ARG(text));
        buf_append_char(&builder->literal, c);
        return 0;
    }
    size_t len = c == '%' ? 3 : 1;
    rules_append_uri(&builder->literal, str_make(text.ptr + *at, len));
    *at += len;
    return 0;
}

static void
move_zone(struct template_builder *builder, char c)
{
    if (c == '?' && builder->zone != RULES_ZONE_HEADER)
        builder->zone = RULES_ZONE_QUERY;
    else if (c == '/' && builder->zone == RULES_ZONE_HOST)
        builder->zone = RULES_ZONE_PATH;
}

static int
read_pieces(struct template_builder *builder, struct str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t name_len = text.ptr[at] == ':' ? rules_name_len(text, at) : 0;
        struct str name = str_make(text.ptr + at + 1, name_len);
        int capture = name_len ? rules_names_find(builder->names, name) : -1;
        int result = 0;
        if (capture >= 0) {
            result = add_capture(builder, capture);
            at += 1 + name_len;
        } else {
            if (name_len > 0)
                result = check_unknown_name(builder, text, at, name);
            move_zone(builder, text.ptr[at]);
            if (result == 0)
                result = add_text(builder, text, &at);
        }
        if (result < 0)
            return result;
    }
    return end_literal(builder);
}

/* `prefix`: literal text in front, taken as it is. */
static int
parse(struct template_builder *builder, struct str prefix, struct str text,
      struct rules_template *out)
{
    buf_init(&builder->literal, 4 * SITE_RULE_LINE_MAX);
    buf_append(&builder->literal, prefix);
    int result = read_pieces(builder, text);
    bool lost = buf_overflowed(&builder->literal);
    buf_deinit(&builder->literal);
    if (result < 0)
        return result;
    size_t size = builder->count * sizeof *out->list;
    out->count = builder->count;
    out->list = size ? arena_alloc(builder->reader->arena, size) : NULL;
    if (lost || (size && !out->list))
        return rules_fail(builder->reader, "out of memory");
    if (size)
        memcpy(out->list, builder->list, size);
    return 0;
}

/* Length of "https://" or "http://" at the start; 0: a path; -1: neither. */
static int
scheme_len(struct str text)
{
    if (str_starts_with(text, STR("https://")))
        return 8;
    if (str_starts_with(text, STR("http://")))
        return 7;
    return text.len > 0 && (text.ptr[0] == '/' || text.ptr[0] == '#') ? 0 : -1;
}

/* Whether something that can be a host stands at the start: a label or a placeholder. */
static bool
has_host(struct str text)
{
    if (text.len == 0)
        return false;
    return text.ptr[0] == ':' ? rules_name_len(text, 0) > 0 : !strchr("/?#", text.ptr[0]);
}

int
rules_template_parse_location(struct rules_reader *reader, struct str text,
                              const struct rules_names *names, unsigned host_names,
                              struct rules_template *out)
{
    struct template_builder builder = {
        .reader = reader, .names = names, .host_names = host_names, .zone = RULES_ZONE_PATH};
    int scheme = scheme_len(text);
    if (scheme < 0)
        return rules_fail(reader,
                          "the destination '%.*s' starts neither with '/' nor with 'https://'",
                          STR_ARG(text));
    if (str_starts_with(text, STR("//")))
        return rules_fail(reader, "the destination '%.*s' starts with '//': write the scheme",
                          STR_ARG(text));
    if (scheme > 0)
        builder.zone = RULES_ZONE_HOST;
    else if (text.ptr[0] == '#')
        builder.zone = RULES_ZONE_QUERY;
    if (scheme > 0 && !has_host(str_skip(text, (size_t)scheme)))
        return rules_fail(reader, "no host in '%.*s'", STR_ARG(text));
    return parse(&builder, str_first(text, (size_t)scheme), str_skip(text, (size_t)scheme), out);
}

int
rules_template_parse_file(struct rules_reader *reader, struct str text,
                          const struct rules_names *names, struct rules_template *out)
{
    struct template_builder builder = {.reader = reader, .names = names, .zone = RULES_ZONE_FILE};
    return parse(&builder, STR(""), text, out);
}

int
rules_template_parse_value(struct rules_reader *reader, struct str text,
                           const struct rules_names *names, struct rules_template *out)
{
    struct template_builder builder = {.reader = reader, .names = names, .zone = RULES_ZONE_HEADER};
    return parse(&builder, STR(""), text, out);
}
