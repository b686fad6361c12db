/* Patterns and how they match.
 *
 * A placeholder stands for a piece of one segment and shares it with nothing but literal text, so
 * where it begins and ends follows from the slashes around it: parts before the `*` match in one
 * way from the left, parts behind it in one way from the right, and `*` takes what is left between.
 * There is nothing to try again, and the time is linear in the path.
 *
 * Hosts are matched by the same machine with '.' in the place of '/'.
 */
#include "site/rules_internal.h"

#include "base/limits.h"

/* Collects the parts of one host or path before they are copied to the arena. */
struct pattern_builder {
    struct rules_reader *reader;
    struct rules_names *names;
    struct rules_part list[RULES_PARTS_MAX];
    unsigned count;
    char separator;
    char text[SITE_RULE_LINE_MAX]; /* decoded literals, one after the other */
    size_t text_len;
    bool wild; /* a placeholder or `*` stands in the segment being read */
    bool has_splat;
};

static void
add_literal_byte(struct pattern_builder *builder, char c)
{
    struct rules_part *last = builder->count ? &builder->list[builder->count - 1] : NULL;
    if (!last || last->kind != RULES_LITERAL) {
        /* Room is certain: literals and captures alternate, and captures are counted. */
        last = &builder->list[builder->count++];
        *last = (struct rules_part){
            .kind = RULES_LITERAL,
            .text = str_make(builder->text + builder->text_len, 0),
        };
    }
    builder->text[builder->text_len++] = c;
    last->text.len++;
    if (c == builder->separator)
        builder->wild = false;
}

static int
add_capture(struct pattern_builder *builder, enum rules_part_kind kind, struct str name)
{
    if (builder->wild)
        return rules_fail(builder->reader, "two of '*' and ':name' in one segment");
    struct str kept = arena_copy(builder->reader->arena, name);
    if (!kept.ptr)
        return rules_fail(builder->reader, "out of memory");
    if (rules_names_add(builder->reader, builder->names, kept) < 0)
        return -1;
    builder->wild = true;
    builder->list[builder->count++] = (struct rules_part){.kind = kind, .text = kept};
    return 0;
}

static int
add_splat(struct pattern_builder *builder)
{
    if (builder->has_splat)
        return rules_fail(builder->reader, "'*' may stand only once");
    if (builder->separator != '/')
        return rules_fail(builder->reader, "'*' cannot stand in the host; ':name' can");
    builder->has_splat = true;
    return add_capture(builder, RULES_SPLAT, STR("splat"));
}

static int
add_placeholder(struct pattern_builder *builder, struct str name)
{
    if (str_eq(name, STR("splat")))
        return rules_fail(builder->reader, "':splat' is the name of what '*' matches");
    return add_capture(builder, RULES_SEGMENT, name);
}

static int
add_escape(struct pattern_builder *builder, struct str text, size_t *at)
{
    if (!rules_is_escape(text, *at))
        return rules_fail(builder->reader, "'%%' without two hex digits in '%.*s'", STR_ARG(text));
    unsigned char c = rules_decode_next(text, at, false);
    if (c == '\0' || c == '/')
        return rules_fail(builder->reader, "an encoded '/' or NUL in '%.*s' never matches",
                          STR_ARG(text));
    add_literal_byte(builder, (char)c);
    return 0;
}

static int
read_parts(struct pattern_builder *builder, struct str text)
{
    for (size_t at = 0; at < text.len;) {
        char c = text.ptr[at];
        size_t name_len = c == ':' ? rules_name_len(text, at) : 0;
        int result = 0;
        if (c == '*') {
            result = add_splat(builder);
            at++;
        } else if (name_len > 0) {
            result = add_placeholder(builder, str_make(text.ptr + at + 1, name_len));
            at += 1 + name_len;
        } else if (c == '%') {
            result = add_escape(builder, text, &at);
        } else {
            add_literal_byte(builder, builder->separator == '.' ? str_lower_char(c) : c);
            at++;
        }
        if (result < 0)
            return result;
    }
    return 0;
}

/* Tells every placeholder how much literal text shares its segment. */
static void
measure_neighbours(struct pattern_builder *builder)
{
    for (unsigned i = 0; i < builder->count; i++) {
        struct rules_part *part = &builder->list[i];
        if (part->kind != RULES_SEGMENT)
            continue;
        if (i + 1 < builder->count)
            part->tail_len = (uint16_t)str_find_char(builder->list[i + 1].text, builder->separator);
        if (i > 0) {
            struct str before = builder->list[i - 1].text;
            size_t slash = str_find_last_char(before, builder->separator);
            part->head_len = (uint16_t)(slash == before.len ? before.len : before.len - slash - 1);
        }
    }
}

static int
build_parts(struct pattern_builder *builder, struct str text, struct rules_parts *out)
{
    if (read_parts(builder, text) < 0)
        return -1;
    measure_neighbours(builder);
    struct arena *arena = builder->reader->arena;
    out->count = out->splat = builder->count;
    out->list = arena_alloc(arena, builder->count * sizeof *out->list);
    for (unsigned i = 0; out->list && i < builder->count; i++) {
        out->list[i] = builder->list[i];
        if (builder->list[i].kind == RULES_LITERAL)
            out->list[i].text = arena_copy(arena, builder->list[i].text);
        if (builder->list[i].kind == RULES_SPLAT)
            out->splat = i;
    }
    return arena_overflowed(arena) ? rules_fail(builder->reader, "out of memory") : 0;
}

/* Segments that the rule for paths never leaves in a request's path. */
static bool
has_dead_segment(struct str path)
{
    struct str rest = str_skip(path, 1);
    while (rest.len > 0) {
        struct str segment = str_cut(&rest, '/');
        if (segment.len == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return true;
    }
    return false;
}

static int
parse_path(struct rules_reader *reader, struct str text, struct rules_names *names,
           struct rules_parts *out)
{
    /* A fragment never reaches a server: what stands behind '#' is ignored. */
    text = str_first(text, str_find_char(text, '#'));
    if (str_find_char(text, '?') < text.len)
        return rules_fail(reader, "'?' in '%.*s': a query is matched by 'name=value' words",
                          STR_ARG(text));
    if (has_dead_segment(text))
        return rules_fail(reader, "'%.*s' has an empty, '.' or '..' segment and never matches",
                          STR_ARG(text));
    struct pattern_builder builder = {.reader = reader, .names = names, .separator = '/'};
    return build_parts(&builder, text, out);
}

static int
parse_host(struct rules_reader *reader, struct str text, struct rules_names *names,
           struct rules_parts *out)
{
    if (text.len == 0)
        return rules_fail(reader, "no host behind '://'");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' || c == '@' || c == '[' || c == '?' || c == '#')
            return rules_fail(reader, "'%c' in the host '%.*s'", c, STR_ARG(text));
        if (c == ':' && rules_name_len(text, i) == 0)
            return rules_fail(reader, "a port in '%.*s': hosts match on every port", STR_ARG(text));
    }
    struct pattern_builder builder = {.reader = reader, .names = names, .separator = '.'};
    return build_parts(&builder, text, out);
}

int
rules_pattern_parse(struct rules_reader *reader, struct str text, struct rules_names *names,
                    struct rules_pattern *out)
{
    *out = (struct rules_pattern){0};
    bool is_url = str_starts_with(text, STR("https://")) || str_starts_with(text, STR("http://"));
    if (is_url) {
        struct str host = str_skip(text, str_find(text, STR("://")) + 3);
        size_t host_len = str_find_char(host, '/');
        text = host_len < host.len ? str_skip(host, host_len) : STR("/");
        if (parse_host(reader, str_first(host, host_len), names, &out->host) < 0)
            return -1;
    }
    if (text.len == 0 || text.ptr[0] != '/')
        return rules_fail(reader, "'%.*s' starts neither with '/' nor with 'https://'",
                          STR_ARG(text));
    return parse_path(reader, text, names, &out->path);
}

static void
capture(struct rules_captures *captures, unsigned index, struct str text)
{
    captures->list[index] = (struct rules_capture){.text = text};
}

/* Matches parts 0 to `end` at the start of *rest and cuts them off. */
static bool
match_front(const struct rules_parts *parts, unsigned end, char separator, struct str *rest,
            struct rules_captures *captures)
{
    for (unsigned i = 0; i < end; i++) {
        const struct rules_part *part = &parts->list[i];
        size_t len = part->text.len;
        if (part->kind == RULES_LITERAL) {
            if (!str_starts_with(*rest, part->text))
                return false;
        } else {
            size_t segment_len = str_find_char(*rest, separator);
            if (segment_len <= part->tail_len)
                return false;
            len = segment_len - part->tail_len;
            capture(captures, captures->count++, str_first(*rest, len));
        }
        *rest = str_skip(*rest, len);
    }
    return true;
}

/* Matches the parts behind the `*` at the end of *rest and cuts them off. `next`: index of the
 * capture behind the last one. */
static bool
match_back(const struct rules_parts *parts, struct str *rest, struct rules_captures *captures,
           unsigned next)
{
    for (unsigned i = parts->count; i-- > parts->splat + 1;) {
        const struct rules_part *part = &parts->list[i];
        size_t start = rest->len - part->text.len;
        if (part->kind == RULES_LITERAL) {
            if (!str_ends_with(*rest, part->text))
                return false;
        } else {
            size_t slash = str_find_last_char(*rest, '/');
            if (slash == rest->len || rest->len - slash - 1 <= part->head_len)
                return false;
            start = slash + 1 + part->head_len;
            capture(captures, --next, str_skip(*rest, start));
        }
        *rest = str_first(*rest, start);
    }
    return true;
}

static unsigned
count_captures(const struct rules_parts *parts)
{
    unsigned count = 0;
    for (unsigned i = 0; i < parts->count; i++)
        count += parts->list[i].kind != RULES_LITERAL;
    return count;
}

static bool
match_path(const struct rules_parts *parts, struct str path, struct rules_captures *captures)
{
    unsigned total = captures->count + count_captures(parts);
    if (!match_front(parts, parts->splat, '/', &path, captures))
        return false;
    if (parts->splat == parts->count)
        return path.len == 0;
    unsigned splat = captures->count;
    if (!match_back(parts, &path, captures, total))
        return false;
    capture(captures, splat, path);
    captures->count = total;
    return true;
}

/* Hosts are short: a copy in lower case is simpler than comparing without case. */
static bool
match_host(const struct rules_parts *parts, struct str host, struct rules_captures *captures)
{
    enum { HOST_MAX = 255 };
    char lower[HOST_MAX];
    if (host.len > HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++)
        lower[i] = str_lower_char(host.ptr[i]);
    struct str rest = str_make(lower, host.len);
    if (!match_front(parts, parts->count, '.', &rest, captures) || rest.len > 0)
        return false;
    for (unsigned i = 0; i < captures->count; i++) {
        struct str *text = &captures->list[i].text;
        text->ptr = host.ptr + (text->ptr - lower);
    }
    return true;
}

bool
rules_pattern_match(const struct rules_pattern *pattern, struct str host, struct str path,
                    struct rules_captures *captures)
{
    captures->count = 0;
    if (pattern->host.count > 0 && !match_host(&pattern->host, host, captures))
        return false;
    return match_path(&pattern->path, path, captures);
}
