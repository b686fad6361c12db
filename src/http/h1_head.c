/* The request line is decoded by a chain of steps, one for each part of it: method, target,
 * version. A step reads from `p`, stores offsets in the head, and returns where the next step
 * begins; so with all bytes there, it is one pass with no state but the position. A step that runs
 * out of bytes writes down the position and its own name (`suspend`), and the next call enters the
 * chain at that step. A step that meets a wrong byte ends the decoder (`fail`). Both return NULL.
 * The field lines behind it are read by h1_fields in the same way.
 *
 * What a step stores does not depend on where the input was cut, and every error is decided by the
 * bytes up to the first wrong one. Whole, byte by byte or split anywhere, the result is the same.
 * The rules that need the whole head (host, length, persistence) are applied at its end, by
 * h1_rules.
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
    FIELDS,
    FINISHED,
    FAILED,
};

void
h1_head_decoder_init(struct h1_head_decoder *decoder, struct http_head *head, uint32_t max)
{
    must(max <= UINT32_MAX / 2);
    http_head_init(head, head->fields, head->field_max);
    *decoder = (struct h1_head_decoder){.head = head, .max = max, .state = LINE_START};
    h1_fields_init(&decoder->lines, head->fields, head->field_max, head->first, http_field_id);
}

static inline uint32_t
offset_of(const struct h1_head_decoder *decoder, const char *p)
{
    return (uint32_t)(p - decoder->head->base);
}

static const char *
suspend(struct h1_head_decoder *decoder, const char *p, enum state state)
{
    decoder->lines.scan_off = offset_of(decoder, p);
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

static void
finish(struct h1_head_decoder *decoder)
{
    decoder->head_len = decoder->head->len = decoder->lines.scan_off;
    enum h1_error error = h1_rules_apply(decoder->head, &decoder->lines);
    if (error != H1_ERROR_NONE)
        fail(decoder, error);
    else
        decoder->state = FINISHED;
}

static void
read_head(struct h1_head_decoder *decoder, const char *p, const char *end)
{
    struct http_head *head = decoder->head;
    if (decoder->state <= VERSION) {
        p = read_request_line(decoder, p, end);
        if (!p)
            return;
        decoder->state = FIELDS;
    }
    enum h1_result result = h1_fields_decode(&decoder->lines, head->base, p, end);
    head->field_count = decoder->lines.count;
    if (result == H1_DONE)
        finish(decoder);
    else if (result == H1_ERROR)
        fail(decoder, decoder->lines.error);
}

enum h1_result
h1_head_decode(struct h1_head_decoder *decoder, const char *data, size_t len)
{
    must(len >= decoder->lines.scan_off);
    decoder->head->base = data;
    if (decoder->state < FINISHED) {
        size_t usable = len < decoder->max ? len : decoder->max;
        read_head(decoder, data + decoder->lines.scan_off, data + usable);
    }
    if (decoder->state == FINISHED)
        return H1_DONE;
    if (decoder->state < FINISHED && len < decoder->max)
        return H1_MORE;
    if (decoder->state != FAILED)
        fail(decoder, decoder->state <= VERSION ? H1_ERROR_LINE_TOO_LONG : H1_ERROR_TOO_LARGE);
    return H1_ERROR;
}
