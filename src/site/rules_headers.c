/* _headers: parsing, and applying the rules to a run of header lines.
 *
 * While rules are applied, `out` holds first the lines that tarn rendered, then those that rules
 * set. A rule replaces what tarn set (but adds to Vary, which caches rely on) and joins what an
 * earlier rule set, unless the field can stand only once.
 */
#include "site/rules_internal.h"

#include "base/limits.h"

/* These frame the message, or describe bytes that only tarn knows. */
static const struct str refused_names[] = {
    STR_INIT("Accept-Ranges"),     STR_INIT("Connection"),       STR_INIT("Content-Encoding"),
    STR_INIT("Content-Length"),    STR_INIT("Content-Range"),    STR_INIT("Date"),
    STR_INIT("Keep-Alive"),        STR_INIT("Proxy-Connection"), STR_INIT("TE"),
    STR_INIT("Transfer-Encoding"), STR_INIT("Trailer"),          STR_INIT("Upgrade"),
};

/* A list of two values would be malformed, or mean neither. */
static const struct str single_names[] = {
    STR_INIT("Access-Control-Allow-Credentials"),
    STR_INIT("Access-Control-Allow-Origin"),
    STR_INIT("Access-Control-Max-Age"),
    STR_INIT("Cache-Control"),
    STR_INIT("Content-Disposition"),
    STR_INIT("Content-Type"),
    STR_INIT("Cross-Origin-Embedder-Policy"),
    STR_INIT("Cross-Origin-Opener-Policy"),
    STR_INIT("Cross-Origin-Resource-Policy"),
    STR_INIT("ETag"),
    STR_INIT("Expires"),
    STR_INIT("Last-Modified"),
    STR_INIT("Location"),
    STR_INIT("Retry-After"),
    STR_INIT("Server"),
    STR_INIT("Strict-Transport-Security"),
    STR_INIT("X-Content-Type-Options"),
    STR_INIT("X-Frame-Options"),
};

/* Each value is a line of its own. */
static const struct str repeated_names[] = {STR_INIT("Link"), STR_INIT("Set-Cookie")};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool
is_one_of(struct str name, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_ieq(name, list[i]))
            return true;
    }
    return false;
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = str_lower_char(s.ptr[i]);
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}

static int
check_name(struct rules_reader *reader, struct str name)
{
    if (!is_token(name))
        return rules_fail(reader, "'%.*s' is not a header name", STR_ARG(name));
    if (is_one_of(name, refused_names, COUNT(refused_names)))
        return rules_fail(reader, "%.*s cannot be changed: tarn sets it for each answer",
                          STR_ARG(name));
    if (str_ieq(name, STR("Basic-Auth")))
        return rules_fail(reader, "Basic-Auth is not supported: it would be sent to everyone and "
                                  "protect nothing");
    return 0;
}

/* An indented line: `Name: value` or `! Name`. */
static int
parse_op(struct rules_reader *reader, struct str line, const struct rules_names *names,
         struct rules_header_op *op)
{
    struct str value = line;
    op->remove = line.ptr[0] == '!';
    struct str name = op->remove ? str_trim(str_skip(line, 1)) : str_cut(&value, ':');
    if (!op->remove && name.len == line.len)
        return rules_fail(reader, "no ':' in '%.*s'", STR_ARG(line));
    if (check_name(reader, name) < 0)
        return -1;
    op->name = arena_copy(reader->arena, name);
    if (!op->name.ptr)
        return rules_fail(reader, "out of memory");
    value = str_trim(value);
    if (op->remove)
        return 0;
    if (value.len == 0)
        return rules_fail(reader, "no value for %.*s ('! %.*s' removes it)", STR_ARG(name),
                          STR_ARG(name));
    return rules_template_parse_value(reader, value, names, &op->value);
}

/* What is being read: the block of one pattern. */
struct headers_block {
    struct rules_header *rule; /* NULL before the first pattern */
    struct rules_header_op **ops_end;
    struct rules_names names;
    unsigned line_number; /* of the pattern */
};

static int
end_block(struct rules_reader *reader, const struct headers_block *block)
{
    if (!block->rule || block->rule->ops)
        return 0;
    reader->line_number = block->line_number;
    return rules_fail(reader, "no indented 'Name: value' line under this path");
}

static int
begin_block(struct site_rules *rules, struct rules_reader *reader, struct str line,
            struct headers_block *block)
{
    struct str word = rules_next_word(&line);
    if (word.len == 0)
        return 0;
    unsigned line_number = reader->line_number;
    if (end_block(reader, block) < 0)
        return -1;
    struct str more = rules_next_word(&line);
    if (more.len > 0)
        return rules_fail(reader,
                          "'%.*s' behind the path; headers stand indented on their own lines",
                          STR_ARG(more));
    if (rules->header_count == SITE_RULES_MAX)
        return rules_fail(reader, "more than %d rules", SITE_RULES_MAX);
    struct rules_header *rule = arena_alloc(reader->arena, sizeof *rule);
    if (!rule)
        return rules_fail(reader, "out of memory");
    *block =
        (struct headers_block){.rule = rule, .ops_end = &rule->ops, .line_number = line_number};
    if (rules_pattern_parse(reader, word, &block->names, &rule->pattern) < 0)
        return -1;
    rules->need_host |= rule->pattern.host.count > 0;
    *rules->headers_end = rule;
    rules->headers_end = &rule->next;
    rules->header_count++;
    return 0;
}

static int
add_op(struct rules_reader *reader, struct str line, struct headers_block *block)
{
    line = str_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return 0;
    if (!block->rule)
        return rules_fail(reader, "a header line before the first path");
    struct rules_header_op *op = arena_alloc(reader->arena, sizeof *op);
    if (!op)
        return rules_fail(reader, "out of memory");
    if (parse_op(reader, line, &block->names, op) < 0)
        return -1;
    *block->ops_end = op;
    block->ops_end = &op->next;
    return 0;
}

int
site_rules_parse_headers(struct site_rules *rules, struct arena *arena, struct str text,
                         struct error *error)
{
    struct rules_reader reader;
    struct headers_block block = {0};
    struct str line;
    int result;
    rules_reader_init(&reader, "_headers", arena, text, error);
    while ((result = rules_reader_next(&reader, &line)) > 0) {
        bool indented = line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
        result =
            indented ? add_op(&reader, line, &block) : begin_block(rules, &reader, line, &block);
        if (result < 0)
            return result;
    }
    return result < 0 ? result : end_block(&reader, &block);
}

/* Applying. */

struct header_run {
    struct buf *out;
    size_t default_len; /* lines before this offset are tarn's */
};

/* The next line with this name from offset *at: true, *at its start and *len its length without
 * CRLF. */
static bool
find_line(const struct buf *out, struct str name, size_t *at, size_t *len)
{
    struct str rest = str_skip(buf_str(out), *at);
    while (rest.len > 0) {
        size_t line_len = str_find(rest, STR("\r\n"));
        struct str line = str_first(rest, line_len);
        if (line.len > name.len && line.ptr[name.len] == ':' &&
            str_ieq(str_first(line, name.len), name)) {
            *len = line.len;
            return true;
        }
        *at += line_len + 2;
        rest = str_skip(rest, line_len + 2);
    }
    return false;
}

static void
cut(struct header_run *run, size_t at, size_t len)
{
    struct buf *out = run->out;
    memmove(out->ptr + at, out->ptr + at + len, out->len - at - len);
    out->len -= len;
    if (at < run->default_len)
        run->default_len -= len;
}

/* Removes the lines with this name, or only those that no rule set. */
static void
remove_lines(struct header_run *run, struct str name, bool only_default)
{
    size_t at = 0, len;
    while (find_line(run->out, name, &at, &len)) {
        if (only_default && at >= run->default_len)
            return;
        cut(run, at, len + 2);
    }
}

static void
append_line(struct header_run *run, const struct rules_header_op *op,
            const struct rules_captures *captures)
{
    buf_append(run->out, op->name);
    buf_append(run->out, STR(": "));
    rules_template_fill(&op->value, captures, run->out);
    buf_append(run->out, STR("\r\n"));
}

/* Adds the op's value to the line at `at`: the old line is written again at the end with the value
 * behind it, and cut from its old place. A value that stands there already is not repeated. */
static void
join_line(struct header_run *run, const struct rules_header_op *op,
          const struct rules_captures *captures, size_t at, size_t len)
{
    struct buf *out = run->out;
    size_t end = out->len;
    char *copy = buf_reserve(out, len);
    if (!copy)
        return;
    memcpy(copy, out->ptr + at, len);
    buf_commit(out, len);
    buf_append(out, STR(", "));
    size_t value_at = out->len;
    rules_template_fill(&op->value, captures, out);
    struct str value = str_skip(buf_str(out), value_at);
    struct str old = str_trim(str_skip(str_make(out->ptr + at, len), op->name.len + 1));
    if (buf_overflowed(out) || str_eq(old, value)) {
        out->len = end;
        return;
    }
    buf_append(out, STR("\r\n"));
    cut(run, at, len + 2);
}

static void
apply_op(struct header_run *run, const struct rules_header_op *op,
         const struct rules_captures *captures)
{
    bool repeated = is_one_of(op->name, repeated_names, COUNT(repeated_names));
    if (op->remove || is_one_of(op->name, single_names, COUNT(single_names)))
        remove_lines(run, op->name, false);
    else if (!repeated && !str_ieq(op->name, STR("Vary")))
        remove_lines(run, op->name, true);
    if (op->remove)
        return;
    size_t at = 0, len;
    if (!repeated && find_line(run->out, op->name, &at, &len))
        join_line(run, op, captures, at, len);
    else
        append_line(run, op, captures);
}

static void
begin_run(struct header_run *run, struct str lines)
{
    buf_append(run->out, lines);
    if (lines.len > 0 && !str_ends_with(lines, STR("\r\n")))
        buf_append(run->out, STR("\r\n"));
    run->default_len = run->out->len;
}

bool
site_rules_apply_headers(const struct site_rules *rules, struct str path, struct str lines,
                         struct buf *out)
{
    bool matched = false;
    struct header_run run = {.out = out};
    buf_clear(out);
    for (const struct rules_header *rule = rules->headers; rule; rule = rule->next) {
        struct rules_captures captures;
        if (rule->pattern.host.count > 0 ||
            !rules_pattern_match(&rule->pattern, STR(""), path, &captures))
            continue;
        if (!matched)
            begin_run(&run, lines);
        matched = true;
        for (const struct rules_header_op *op = rule->ops; op && !buf_overflowed(out);
             op = op->next)
            apply_op(&run, op, &captures);
    }
    return matched;
}
