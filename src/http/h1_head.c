/* The decoder is a chain of steps, one for each part of a line: method, target, version; name,
 * value, line feed. A step reads from `p`, stores offsets in the head, and returns where the next
 * step begins; so with all bytes there, a head is one pass with no state but the position. A step
 * that runs out of bytes writes down the position and its own name (`suspend`), and the next call
 * enters the chain at that step. A step that meets a wrong byte ends the decoder (`fail`). Both
 * return NULL.
 *
 * What a step stores does not depend on where the input was cut, and every error is decided by the
 * bytes up to the first wrong one. Whole, byte by byte or split anywhere, the result is the same.
 *
 * A field line under way stands in the free slot behind the last field, which becomes a field when
 * the line's end is there. The rules that need the whole head (host, length, persistence) are
 * applied at its end, by h1_rules.
 */
#include "http/h1_head.h"
#include "base/must.h"
#include "http/h1_rules.h"
#include "http/h1_scan.h"

enum { EMPTY_LINES_MAX = 4 };

enum state {
    LINE_START,
    EMPTY_LINE_LF,
    METHOD,
    TARGET,
    VERSION, /* the last of the request line */
    FIELD_START,
    NAME,
    VALUE_START,
    VALUE,
    VALUE_LF,
    LAST_LF,
    FINISHED,
    FAILED,
};

void
h1_head_decoder_init(struct h1_head_decoder *decoder, struct http_head *head, uint32_t max)
{
    must(max <= UINT32_MAX / 2);
    http_head_init(head, head->fields, head->field_max);
    *decoder = (struct h1_head_decoder){.head = head, .max = max, .state = LINE_START};
}

static inline uint32_t
offset_of(const struct h1_head_decoder *decoder, const char *p)
{
    return (uint32_t)(p - decoder->head->base);
}

static const char *
suspend(struct h1_head_decoder *decoder, const char *p, enum state state)
{
    decoder->scan_off = offset_of(decoder, p);
    decoder->state = state;
    return NULL;
}

static const char *
fail(struct h1_head_decoder *decoder, enum h1_error error)
{
    decoder->error = error;
    decoder->state = FAILED;
    return NULL;
}

/* Skips empty lines. They are told from a request line by their first byte. */
static const char *
read_line_start(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    for (;;) {
        if (decoder->state == LINE_START) {
            if (p == end)
                return suspend(decoder, p, LINE_START);
            if (*p != '\r')
                break;
            if (decoder->empty_lines++ == EMPTY_LINES_MAX)
                return fail(decoder, H1_ERROR_BAD_REQUEST_LINE);
            p++;
        }
        if (p == end)
            return suspend(decoder, p, EMPTY_LINE_LF);
        if (*p != '\n')
            return fail(decoder, H1_ERROR_BARE_CR);
        p++;
        decoder->state = LINE_START;
    }
    decoder->head->method_off = offset_of(decoder, p);
    return p;
}

static enum h1_error
method_error(char c, bool empty)
{
    if (c == '\n')
        return H1_ERROR_BARE_LF;
    if (c == '\r' || (c == ' ' && empty))
        return H1_ERROR_BAD_REQUEST_LINE;
    return H1_ERROR_BAD_METHOD;
}

static inline const char *
read_method(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    struct http_head *head = decoder->head;
    p = h1_scan_token(p, end);
    if (p == end)
        return suspend(decoder, p, METHOD);
    uint32_t len = offset_of(decoder, p) - head->method_off;
    if (*p != ' ' || len == 0)
        return fail(decoder, method_error(*p, len == 0));
    head->method_len = len;
    head->method = (uint8_t)http_method_id(http_head_method(head));
    head->target_off = offset_of(decoder, p + 1);
    return p + 1;
}

static enum h1_error
target_error(char c)
{
    if (c == '\n')
        return H1_ERROR_BARE_LF;
    if (c == '\r' || c == ' ') /* no version, as in HTTP/0.9, or no target */
        return H1_ERROR_BAD_REQUEST_LINE;
    return H1_ERROR_BAD_TARGET;
}

static inline const char *
read_target(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    struct http_head *head = decoder->head;
    p = h1_scan_low(p, end, ' ');
    if (p == end)
        return suspend(decoder, p, TARGET);
    uint32_t len = offset_of(decoder, p) - head->target_off;
    if (*p != ' ' || len == 0)
        return fail(decoder, target_error(*p));
    head->target_len = len;
    return p + 1;
}

enum { VERSION_MAJOR = 5, VERSION_DOT = 6, VERSION_MINOR = 7, VERSION_CR = 8, VERSION_LF = 9 };

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Checks byte `at` of "HTTP/1.1\r\n", which is *p; those before it are right. */
static enum h1_error
check_version_byte(const char *p, size_t at)
{
    if (at == VERSION_LF)
        return *p == '\n' ? H1_ERROR_NONE : H1_ERROR_BARE_CR;
    if (*p == '\n')
        return H1_ERROR_BARE_LF;
    if (at == 0 && (*p == ' ' || *p == '\r'))
        return H1_ERROR_BAD_REQUEST_LINE;
    bool right = at == VERSION_MAJOR || at == VERSION_MINOR ? is_digit(*p) : *p == "HTTP/1.1\r"[at];
    if (!right)
        return H1_ERROR_BAD_VERSION;
    if (at == VERSION_MINOR && p[VERSION_MAJOR - VERSION_MINOR] != '1')
        return H1_ERROR_UNSUPPORTED_VERSION;
    return H1_ERROR_NONE;
}

/* Reads the version and the end of the line. A minor version over 1 is served as 1.1 (RFC 9110
 * section 2.5). */
static inline const char *
read_version(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    struct http_head *head = decoder->head;
    size_t at = offset_of(decoder, p) - (head->target_off + head->target_len + 1);
    if (at == 0 && end - p > VERSION_LF && memcmp(p, "HTTP/1.1", 8) == 0 &&
        memcmp(p + VERSION_CR, "\r\n", 2) == 0) {
        head->version_minor = 1;
        return p + VERSION_LF + 1;
    }
    for (; at <= VERSION_LF; at++, p++) {
        if (p == end)
            return suspend(decoder, p, VERSION);
        enum h1_error error = check_version_byte(p, at);
        if (error != H1_ERROR_NONE)
            return fail(decoder, error);
    }
    head->version_minor = p[VERSION_MINOR - VERSION_LF - 1] != '0';
    return p;
}

static const char *
read_request_line(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    switch (decoder->state) {
    case LINE_START:
    case EMPTY_LINE_LF:
        p = read_line_start(decoder, p, end);
        if (!p)
            return NULL;
        /* fall through */
    case METHOD:
        p = read_method(decoder, p, end);
        if (!p)
            return NULL;
        /* fall through */
    case TARGET:
        p = read_target(decoder, p, end);
        if (!p)
            return NULL;
        /* fall through */
    default:
        return read_version(decoder, p, end);
    }
}

static const char *
read_last_lf(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    if (p == end)
        return suspend(decoder, p, LAST_LF);
    if (*p != '\n')
        return fail(decoder, H1_ERROR_BARE_CR);
    decoder->head_len = offset_of(decoder, p + 1);
    enum h1_error error = h1_rules_apply(decoder->head, decoder->repeated);
    if (error != H1_ERROR_NONE)
        return fail(decoder, error);
    decoder->state = FINISHED;
    return NULL;
}

static inline const char *
read_field_start(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    struct http_head *head = decoder->head;
    if (p == end)
        return suspend(decoder, p, FIELD_START);
    if (*p == '\r')
        return read_last_lf(decoder, p + 1, end);
    if (*p == ' ' || *p == '\t')
        return fail(decoder, H1_ERROR_OBS_FOLD);
    if (head->field_count == head->field_max)
        return fail(decoder, H1_ERROR_TOO_MANY_FIELDS);
    head->fields[head->field_count].name_off = offset_of(decoder, p);
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
read_name(struct h1_head_decoder *decoder, struct http_field *field, const char *p, const char *end)
{
    p = h1_scan_token(p, end);
    uint32_t len = offset_of(decoder, p) - field->name_off;
    if (len > UINT16_MAX) /* what name_len can hold; only with a large `max` */
        return fail(decoder, H1_ERROR_TOO_LARGE);
    if (p == end)
        return suspend(decoder, p, NAME);
    if (*p != ':' || len == 0)
        return fail(decoder, name_error(*p));
    field->name_len = (uint16_t)len;
    field->id = (uint16_t)http_field_id(str_make(p - len, len));
    return p + 1;
}

static inline bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline const char *
read_value_start(struct h1_head_decoder *decoder, struct http_field *field, const char *p,
                 const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    if (p == end)
        return suspend(decoder, p, VALUE_START);
    field->value_off = offset_of(decoder, p);
    return p;
}

static inline const char *
read_value(struct h1_head_decoder *decoder, struct http_field *field, const char *p,
           const char *end)
{
    p = h1_scan_text(p, end);
    if (p == end)
        return suspend(decoder, p, VALUE);
    if (*p != '\r')
        return fail(decoder, *p == '\n' ? H1_ERROR_BARE_LF : H1_ERROR_BAD_FIELD_VALUE);
    uint32_t len = offset_of(decoder, p) - field->value_off;
    for (const char *last = p - 1; len && is_blank(*last); last--)
        len--;
    field->value_len = len;
    return p + 1;
}

/* The line is complete: its slot becomes a field. */
static inline const char *
read_value_lf(struct h1_head_decoder *decoder, struct http_field *field, const char *p,
              const char *end)
{
    struct http_head *head = decoder->head;
    if (p == end)
        return suspend(decoder, p, VALUE_LF);
    if (*p != '\n')
        return fail(decoder, H1_ERROR_BARE_CR);
    head->field_count++;
    if (field->id != HTTP_FIELD_OTHER) {
        if (head->first[field->id] == 0)
            head->first[field->id] = head->field_count;
        else
            decoder->repeated |= 1u << field->id;
    }
    return p + 1;
}

/* Reads one field line, entering at `state`, or the empty line behind the last one. */
static inline const char *
read_field_line(struct h1_head_decoder *decoder, enum state state, const char *p, const char *end)
{
    struct http_field *field = &decoder->head->fields[decoder->head->field_count];
    switch (state) {
    case LAST_LF:
        return read_last_lf(decoder, p, end);
    default:
        p = read_field_start(decoder, p, end);
        if (!p)
            return NULL;
        /* fall through */
    case NAME:
        p = read_name(decoder, field, p, end);
        if (!p)
            return NULL;
        /* fall through */
    case VALUE_START:
        p = read_value_start(decoder, field, p, end);
        if (!p)
            return NULL;
        /* fall through */
    case VALUE:
        p = read_value(decoder, field, p, end);
        if (!p)
            return NULL;
        /* fall through */
    case VALUE_LF:
        return read_value_lf(decoder, field, p, end);
    }
}

static void
read_head(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    enum state state = decoder->state;
    if (state <= VERSION) {
        p = read_request_line(decoder, p, end);
        if (!p)
            return;
        state = FIELD_START;
    }
    p = read_field_line(decoder, state, p, end);
    while (p)
        p = read_field_line(decoder, FIELD_START, p, end);
}

enum h1_result
h1_head_decode(struct h1_head_decoder *decoder, const char *data, size_t len)
{
    must(len >= decoder->scan_off);
    decoder->head->base = data;
    if (decoder->state < FINISHED) {
        size_t usable = len < decoder->max ? len : decoder->max;
        read_head(decoder, data + decoder->scan_off, data + usable);
    }
    if (decoder->state == FINISHED)
        return H1_DONE;
    if (decoder->state < FINISHED && len < decoder->max)
        return H1_MORE;
    if (decoder->state != FAILED)
        fail(decoder, decoder->state <= VERSION ? H1_ERROR_LINE_TOO_LONG : H1_ERROR_TOO_LARGE);
    return H1_ERROR;
}

struct error_row {
    int status;
    struct str text;
};

static const struct error_row error_rows[] = {[H1_ERROR_NONE] = {200, STR_INIT("no error")},
#define X(name, status, text) [H1_ERROR_##name] = {status, STR_INIT(text)},
                                              H1_ERROR_TABLE(X)
#undef X
};

int
h1_error_status(enum h1_error error)
{
    must((size_t)error < sizeof(error_rows) / sizeof(error_rows[0]));
    return error_rows[error].status;
}

struct str
h1_error_text(enum h1_error error)
{
    must((size_t)error < sizeof(error_rows) / sizeof(error_rows[0]));
    return error_rows[error].text;
}
