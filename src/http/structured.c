/* A reader with a mark: each step takes what it names from the front, and one that does not find it
 * marks the whole as failed, so that a rule of the grammar reads as a list of steps. */
#include "http/structured.h"

#include "http/h1_scan.h"

enum {
    INTEGER_DIGITS_MAX = 15,
    DECIMAL_WHOLE_MAX = 12,
    DECIMAL_PART_MAX = 3,
};

struct reader {
    struct str rest;
    bool failed;
};

/* The next byte, or -1 at the end. */
static int
peek(const struct reader *reader)
{
    return reader->rest.len ? (unsigned char)reader->rest.ptr[0] : -1;
}

static int
take(struct reader *reader)
{
    int c = peek(reader);
    reader->rest = str_skip(reader->rest, 1);
    return c;
}

static bool
take_if(struct reader *reader, char c)
{
    if (peek(reader) != c)
        return false;
    take(reader);
    return true;
}

static void
skip_spaces(struct reader *reader)
{
    while (take_if(reader, ' '))
        continue;
}

static bool
is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool
is_lower(int c)
{
    return c >= 'a' && c <= 'z';
}

static bool
is_alpha(int c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* --- bare items, section 3.3 --- */

static size_t
read_digits(struct reader *reader)
{
    size_t count = 0;
    for (; is_digit(peek(reader)); count++)
        take(reader);
    return count;
}

/* Without the point, an integer. Returns whether there was one. */
static bool
read_number(struct reader *reader)
{
    take_if(reader, '-');
    size_t whole = read_digits(reader);
    bool has_point = take_if(reader, '.');
    size_t part = has_point ? read_digits(reader) : 0;
    if (has_point)
        reader->failed |= whole > DECIMAL_WHOLE_MAX || part == 0 || part > DECIMAL_PART_MAX;
    reader->failed |= whole == 0 || whole > INTEGER_DIGITS_MAX;
    return has_point;
}

static void
read_string(struct reader *reader)
{
    take(reader);
    for (;;) {
        int c = take(reader);
        if (c == '"')
            return;
        if (c == '\\') {
            c = take(reader);
            reader->failed |= c != '"' && c != '\\';
        }
        reader->failed |= c < 0x20 || c > 0x7e;
        if (reader->failed)
            return;
    }
}

static void
read_display_string(struct reader *reader)
{
    take(reader);
    reader->failed |= !take_if(reader, '"');
    while (!reader->failed) {
        int c = take(reader);
        if (c == '"')
            return;
        for (int digits = c == '%' ? 2 : 0; digits; digits--) {
            c = take(reader);
            reader->failed |= !is_digit(c) && !(c >= 'a' && c <= 'f');
        }
        reader->failed |= c < 0x20 || c > 0x7e;
    }
}

static bool
is_token_byte(int c)
{
    return c >= 0 && (h1_byte_is((char)c, H1_BYTE_TOKEN) || c == ':' || c == '/');
}

static void
read_token(struct reader *reader)
{
    while (is_token_byte(peek(reader)))
        take(reader);
}

/* Returns what stands between the colons. */
static struct str
read_bytes(struct reader *reader)
{
    take(reader);
    struct str text = str_first(reader->rest, str_find_char(reader->rest, ':'));
    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.ptr[i];
        reader->failed |= !is_alpha(c) && !is_digit(c) && c != '+' && c != '/' && c != '=';
    }
    reader->rest = str_skip(reader->rest, text.len);
    reader->failed |= !take_if(reader, ':');
    return text;
}

static void
read_boolean(struct reader *reader)
{
    take(reader);
    reader->failed |= !take_if(reader, '0') && !take_if(reader, '1');
}

static void
read_date(struct reader *reader)
{
    take(reader);
    reader->failed |= read_number(reader);
}

/* Reads one item without its parameters. Returns its raw text. */
static struct str
read_bare_item(struct reader *reader, enum structured_type *type)
{
    struct str from = reader->rest;
    int c = peek(reader);
    if (c == '-' || is_digit(c)) {
        *type = STRUCTURED_NUMBER;
        read_number(reader);
    } else if (c == '"') {
        *type = STRUCTURED_STRING;
        read_string(reader);
    } else if (c == '*' || is_alpha(c)) {
        *type = STRUCTURED_TOKEN;
        read_token(reader);
    } else if (c == ':') {
        *type = STRUCTURED_BYTES;
        return read_bytes(reader);
    } else if (c == '?') {
        *type = STRUCTURED_BOOLEAN;
        read_boolean(reader);
    } else if (c == '@') {
        *type = STRUCTURED_DATE;
        read_date(reader);
    } else if (c == '%') {
        *type = STRUCTURED_DISPLAY_STRING;
        read_display_string(reader);
    } else {
        reader->failed = true;
    }
    return str_first(from, from.len - reader->rest.len);
}

/* --- what items are put together into, sections 3.1 and 3.2 --- */

static struct str
read_key(struct reader *reader)
{
    struct str from = reader->rest;
    int c = peek(reader);
    reader->failed |= !is_lower(c) && c != '*';
    while (is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*') {
        take(reader);
        c = peek(reader);
    }
    return str_first(from, from.len - reader->rest.len);
}

static void
read_parameters(struct reader *reader)
{
    enum structured_type type;
    while (!reader->failed && take_if(reader, ';')) {
        skip_spaces(reader);
        read_key(reader);
        if (take_if(reader, '='))
            read_bare_item(reader, &type);
    }
}

static struct str
read_inner_list(struct reader *reader)
{
    enum structured_type type;
    struct str from = reader->rest;
    take(reader);
    skip_spaces(reader);
    while (!reader->failed && !take_if(reader, ')')) {
        read_bare_item(reader, &type);
        read_parameters(reader);
        reader->failed |= peek(reader) != ' ' && peek(reader) != ')';
        skip_spaces(reader);
    }
    return str_first(from, from.len - reader->rest.len);
}

static void
read_member(struct reader *reader, struct structured_member *out)
{
    *out = (struct structured_member){.key = read_key(reader), .type = STRUCTURED_BOOLEAN};
    if (take_if(reader, '=')) {
        if (peek(reader) == '(') {
            out->type = STRUCTURED_LIST;
            out->value = read_inner_list(reader);
        } else {
            out->value = read_bare_item(reader, &out->type);
        }
    }
    read_parameters(reader);
}

enum structured_result
structured_next(struct str *rest, struct structured_member *out)
{
    struct reader reader = {.rest = *rest};
    skip_spaces(&reader);
    if (reader.rest.len == 0)
        return STRUCTURED_END;
    read_member(&reader, out);
    /* White space around commas may be tabs as well (section 4.2.2). */
    reader.rest = str_trim(reader.rest);
    if (reader.rest.len && !reader.failed) {
        reader.failed = !take_if(&reader, ',');
        reader.rest = str_trim(reader.rest);
        reader.failed |= reader.rest.len == 0;
    }
    *rest = reader.rest;
    return reader.failed ? STRUCTURED_MALFORMED : STRUCTURED_MEMBER;
}
