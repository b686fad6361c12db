/* The decoder is a chain of steps, one for each part of a line: name, value, line feed. A step
 * reads from `p`, stores offsets in the field, and returns where the next step begins; so with all
 * bytes there, a head is one pass with no state but the position. A step that runs out of bytes
 * writes down the position and its own name (`suspend`), and the next call enters the chain at that
 * step. A step that meets a wrong byte ends the decoder (`fail`). Both return NULL.
 *
 * A line under way stands in the free slot behind the last field, which becomes a field when the
 * line's end is there.
 */
#include "http/h1_fields.h"
#include "http/h1_scan.h"

enum state {
    LINE_START,
    NAME,
    VALUE_START,
    VALUE,
    VALUE_LF,
    LAST_LF,
    FINISHED,
};

/* What a call reads. */
struct input {
    const char *base;
    const char *end;
};

static inline uint32_t
offset_of(struct input in, const char *p)
{
    return (uint32_t)(p - in.base);
}

static inline const char *
suspend(struct h1_fields *lines, struct input in, enum state state)
{
    lines->scan_off = offset_of(in, in.end);
    lines->state = (uint8_t)state;
    return NULL;
}

static inline const char *
fail(struct h1_fields *lines, enum h1_error error)
{
    lines->error = (uint8_t)error;
    return NULL;
}

static const char *
read_last_lf(struct h1_fields *lines, struct input in, const char *p)
{
    if (p == in.end)
        return suspend(lines, in, LAST_LF);
    if (*p != '\n')
        return fail(lines, H1_ERROR_BARE_CR);
    lines->scan_off = offset_of(in, p + 1);
    lines->state = FINISHED;
    return NULL;
}

static inline const char *
read_line_start(struct h1_fields *lines, struct input in, const char *p)
{
    if (p == in.end)
        return suspend(lines, in, LINE_START);
    if (*p == '\r')
        return read_last_lf(lines, in, p + 1);
    if (*p == ' ' || *p == '\t')
        return fail(lines, H1_ERROR_OBS_FOLD);
    if (lines->count == lines->max)
        return fail(lines, H1_ERROR_TOO_MANY_FIELDS);
    lines->fields[lines->count].name_off = offset_of(in, p);
    return p;
}

static enum h1_error
name_error(char c)
{
    if (c == '\n')
        return H1_ERROR_BARE_LF;
    return c == ' ' || c == '\t' ? H1_ERROR_SPACE_BEFORE_COLON : H1_ERROR_BAD_FIELD_NAME;
}

static inline const char *
read_name(struct h1_fields *lines, struct http_field *field, struct input in, const char *p)
{
    p = h1_scan_token(p, in.end);
    uint32_t len = offset_of(in, p) - field->name_off;
    if (len > UINT16_MAX) /* what name_len can hold; only with a large ceiling */
        return fail(lines, H1_ERROR_TOO_LARGE);
    if (p == in.end)
        return suspend(lines, in, NAME);
    if (*p != ':' || len == 0)
        return fail(lines, name_error(*p));
    field->name_len = (uint16_t)len;
    field->id = (uint16_t)lines->id_of(str_make(p - len, len));
    return p + 1;
}

static inline bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline const char *
read_value_start(struct h1_fields *lines, struct http_field *field, struct input in, const char *p)
{
    while (p < in.end && is_blank(*p))
        p++;
    if (p == in.end)
        return suspend(lines, in, VALUE_START);
    field->value_off = offset_of(in, p);
    return p;
}

static inline const char *
read_value(struct h1_fields *lines, struct http_field *field, struct input in, const char *p)
{
    p = h1_scan_text(p, in.end);
    if (p == in.end)
        return suspend(lines, in, VALUE);
    if (*p != '\r')
        return fail(lines, *p == '\n' ? H1_ERROR_BARE_LF : H1_ERROR_BAD_FIELD_VALUE);
    uint32_t len = offset_of(in, p) - field->value_off;
    for (const char *last = p - 1; len && is_blank(*last); last--)
        len--;
    field->value_len = len;
    return p + 1;
}

/* The line is complete: its slot becomes a field. */
static inline const char *
read_value_lf(struct h1_fields *lines, struct http_field *field, struct input in, const char *p)
{
    if (p == in.end)
        return suspend(lines, in, VALUE_LF);
    if (*p != '\n')
        return fail(lines, H1_ERROR_BARE_CR);
    lines->count++;
    if (field->id != HTTP_FIELD_OTHER) {
        if (lines->first[field->id] == 0)
            lines->first[field->id] = lines->count;
        else
            lines->repeated |= UINT64_C(1) << field->id;
    }
    return p + 1;
}

/* Reads one line, entering at `state`, or the empty line behind the last one. */
static inline const char *
read_line(struct h1_fields *lines, enum state state, struct input in, const char *p)
{
    struct http_field *field = &lines->fields[lines->count];
    switch (state) {
    case LAST_LF:
        return read_last_lf(lines, in, p);
    default:
        p = read_line_start(lines, in, p);
        if (!p)
            return NULL;
        /* fall through */
    case NAME:
        p = read_name(lines, field, in, p);
        if (!p)
            return NULL;
        /* fall through */
    case VALUE_START:
        p = read_value_start(lines, field, in, p);
        if (!p)
            return NULL;
        /* fall through */
    case VALUE:
        p = read_value(lines, field, in, p);
        if (!p)
            return NULL;
        /* fall through */
    case VALUE_LF:
        return read_value_lf(lines, field, in, p);
    }
}

enum h1_result
h1_fields_decode(struct h1_fields *lines, const char *base, const char *p, const char *end)
{
    struct input in = {.base = base, .end = end};
    enum state state = lines->state;
    do {
        p = read_line(lines, state, in, p);
        state = LINE_START;
    } while (p);
    if (lines->error != H1_ERROR_NONE)
        return H1_ERROR;
    return lines->state == FINISHED ? H1_DONE : H1_MORE;
}
