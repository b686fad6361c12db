#include "site/rules_internal.h"

#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>

struct site_rules *
site_rules_new(struct arena *arena)
{
    struct site_rules *rules = arena_alloc(arena, sizeof *rules);
    if (!rules)
        return NULL;
    rules->headers_end = &rules->headers;
    rules->redirects_end = &rules->redirects;
    return rules;
}

bool
site_rules_have_headers(const struct site_rules *rules)
{
    return rules->headers != NULL;
}

bool
site_rules_have_redirects(const struct site_rules *rules)
{
    return rules->redirects != NULL;
}

bool
site_rules_need_host(const struct site_rules *rules)
{
    return rules->need_host;
}

void
rules_reader_init(struct rules_reader *reader, const char *file, struct arena *arena,
                  struct str text, struct error *error)
{
    struct str mark = STR("\xef\xbb\xbf");
    *reader = (struct rules_reader){
        .file = file,
        .rest = str_starts_with(text, mark) ? str_skip(text, mark.len) : text,
        .arena = arena,
        .error = error,
    };
}

static bool
is_text(struct str line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return str_is_utf8(line);
}

int
rules_reader_next(struct rules_reader *reader, struct str *line)
{
    if (reader->rest.len == 0)
        return 0;
    reader->line_number++;
    *line = str_cut(&reader->rest, '\n');
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    if (line->len > SITE_RULE_LINE_MAX)
        return rules_fail(reader, "longer than %d bytes", SITE_RULE_LINE_MAX);
    if (!is_text(*line))
        return rules_fail(reader, "not UTF-8 text");
    return 1;
}

int
rules_fail(const struct rules_reader *reader, const char *format, ...)
{
    char why[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return error_set(reader->error, "%s line %u: %s", reader->file, reader->line_number, why);
}

struct str
rules_next_word(struct str *s)
{
    *s = str_trim(*s);
    size_t len = 0;
    while (len < s->len && s->ptr[len] != ' ' && s->ptr[len] != '\t')
        len++;
    struct str word = str_first(*s, len);
    *s = str_skip(*s, len);
    if (word.len > 0 && word.ptr[0] == '#') {
        *s = str_skip(*s, s->len);
        return str_first(word, 0);
    }
    return word;
}

int
rules_names_find(const struct rules_names *names, struct str name)
{
    for (unsigned i = 0; i < names->count; i++) {
        if (str_eq(names->list[i], name))
            return (int)i;
    }
    return -1;
}

int
rules_names_add(struct rules_reader *reader, struct rules_names *names, struct str name)
{
    if (rules_names_find(names, name) >= 0)
        return rules_fail(reader, "':%.*s' is used twice", STR_ARG(name));
    if (names->count == RULES_CAPTURES_MAX)
        return rules_fail(reader, "more than %d placeholders", RULES_CAPTURES_MAX);
    names->list[names->count++] = name;
    return 0;
}

static bool
is_letter(char c)
{
    return str_lower_char(c) >= 'a' && str_lower_char(c) <= 'z';
}

size_t
rules_name_len(struct str s, size_t at)
{
    size_t len = 0;
    while (at + 1 + len < s.len) {
        char c = s.ptr[at + 1 + len];
        bool later = len > 0 && ((c >= '0' && c <= '9') || c == '_');
        if (!is_letter(c) && !later)
            break;
        len++;
    }
    return len;
}
