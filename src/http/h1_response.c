/* The status line is decoded in three steps: the part of fixed length up to the status code, the
 * reason phrase, the line feed. The first two may be entered again in the middle; what they need to
 * know is in the position. The field lines behind it are read by h1_fields. What is stored does not
 * depend on where the input was cut.
 */
#include "http/h1_response.h"
#include "base/must.h"
#include "http/h1_framing.h"
#include "http/h1_scan.h"

enum state {
    STATUS,
    REASON,
    STATUS_LF, /* the last of the status line */
    FIELDS,
    FINISHED,
    FAILED,
};

void
h1_response_decoder_init(struct h1_response_decoder *decoder, struct http_response_head *head,
                         enum http_method method, uint32_t max)
{
    must(max <= UINT32_MAX / 2);
    http_response_head_init(head, head->fields, head->field_max);
    *decoder = (struct h1_response_decoder){
        .head = head, .max = max, .method = (uint8_t)method, .state = STATUS};
    h1_fields_init(&decoder->lines, head->fields, head->field_max, head->first,
                   http_response_field_id);
}

static inline uint32_t
offset_of(const struct h1_response_decoder *decoder, const char *p)
{
    return (uint32_t)(p - decoder->head->base);
}

static const char *
suspend(struct h1_response_decoder *decoder, const char *p, enum state state)
{
    decoder->lines.scan_off = offset_of(decoder, p);
    decoder->state = (uint8_t)state;
    return NULL;
}

static const char *
fail(struct h1_response_decoder *decoder, enum h1_error error)
{
    decoder->error = (uint8_t)error;
    decoder->state = FAILED;
    return NULL;
}

/* Places in "HTTP/1.1 200", the part of fixed length, and of the byte behind it. */
enum { AT_MAJOR = 5, AT_MINOR = 7, AT_SPACE = 8, AT_CODE = 9, AT_END = 12 };

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum h1_error
version_error(char c, size_t at)
{
    if (c == '\n')
        return H1_ERROR_BARE_LF;
    return at < AT_MAJOR || c == '\r' ? H1_ERROR_BAD_STATUS_LINE : H1_ERROR_BAD_VERSION;
}

/* Checks byte `at` of the fixed part, which is *p; those before it are right. */
static enum h1_error
check_status_byte(const char *p, size_t at)
{
    if (at >= AT_CODE) {
        if (!is_digit(*p) || (at == AT_CODE && *p == '0'))
            return *p == '\n' ? H1_ERROR_BARE_LF : H1_ERROR_BAD_STATUS;
        return H1_ERROR_NONE;
    }
    bool digit = at == AT_MAJOR || at == AT_MINOR;
    if (digit ? !is_digit(*p) : *p != "HTTP/1.1 "[at])
        return version_error(*p, at);
    if (at == AT_MINOR && p[AT_MAJOR - AT_MINOR] != '1')
        return H1_ERROR_UNSUPPORTED_VERSION;
    return H1_ERROR_NONE;
}

/* Reads the version and the code. A minor version over 1 is taken for 1.1 (RFC 9110
 * section 2.5). */
static const char *
read_status(struct h1_response_decoder *decoder, const char *p, const char *end)
{
    struct http_response_head *head = decoder->head;
    const char *start = head->base;
    for (; p < start + AT_END; p++) {
        if (p == end)
            return suspend(decoder, p, STATUS);
        enum h1_error error = check_status_byte(p, (size_t)(p - start));
        if (error != H1_ERROR_NONE)
            return fail(decoder, error);
    }
    if (p == end)
        return suspend(decoder, p, STATUS);
    if (*p != ' ' && *p != '\r')
        return fail(decoder, *p == '\n' ? H1_ERROR_BARE_LF : H1_ERROR_BAD_STATUS);
    head->version_minor = start[AT_MINOR] != '0';
    head->status = (uint16_t)((start[AT_CODE] - '0') * 100 + (start[AT_CODE + 1] - '0') * 10 +
                              (start[AT_CODE + 2] - '0'));
    head->reason_off = AT_END + (*p == ' ');
    return start + head->reason_off;
}

static const char *
read_reason(struct h1_response_decoder *decoder, const char *p, const char *end)
{
    p = h1_scan_text(p, end);
    if (p == end)
        return suspend(decoder, p, REASON);
    if (*p != '\r')
        return fail(decoder, *p == '\n' ? H1_ERROR_BARE_LF : H1_ERROR_BAD_REASON);
    decoder->head->reason_len = offset_of(decoder, p) - decoder->head->reason_off;
    return p + 1;
}

static const char *
read_status_lf(struct h1_response_decoder *decoder, const char *p, const char *end)
{
    if (p == end)
        return suspend(decoder, p, STATUS_LF);
    if (*p != '\n')
        return fail(decoder, H1_ERROR_BARE_CR);
    return p + 1;
}

static const char *
read_status_line(struct h1_response_decoder *decoder, const char *p, const char *end)
{
    switch (decoder->state) {
    case STATUS:
        p = read_status(decoder, p, end);
        if (!p)
            return NULL;
        /* fall through */
    case REASON:
        p = read_reason(decoder, p, end);
        if (!p)
            return NULL;
        /* fall through */
    default:
        return read_status_lf(decoder, p, end);
    }
}

static bool
opens_tunnel(const struct h1_response_decoder *decoder)
{
    unsigned status = decoder->head->status;
    return status == 101 ||
           (decoder->method == HTTP_METHOD_CONNECT && status >= 200 && status < 300);
}

static bool
never_has_body(const struct h1_response_decoder *decoder)
{
    unsigned status = decoder->head->status;
    return decoder->method == HTTP_METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

/* The order of RFC 9112 section 6.3. */
static enum h1_error
apply_rules(struct h1_response_decoder *decoder)
{
    struct http_response_head *head = decoder->head;
    const struct h1_fields *lines = &decoder->lines;
    struct h1_framing framing = {0};
    if (opens_tunnel(decoder)) {
        head->body_kind = HTTP_BODY_TUNNEL;
        return H1_ERROR_NONE;
    }
    enum h1_error error = h1_framing_read(lines, head->base, head->version_minor, &framing);
    head->content_length = framing.content_length;
    head->keep_alive = h1_framing_keeps_alive(lines, head->base, head->version_minor);
    if (never_has_body(decoder)) {
        /* An upstream that promises a body in a 204 may well send one, and it would be taken for
         * the next response. */
        bool promised = framing.body_kind == HTTP_BODY_CHUNKED || framing.content_length > 0;
        if (head->status == 204 && promised)
            head->keep_alive = false;
    } else if (framing.body_kind == HTTP_BODY_NONE) {
        head->body_kind = HTTP_BODY_CLOSE;
        head->keep_alive = false;
    } else {
        head->body_kind = framing.body_kind;
    }
    return error;
}

static void
finish(struct h1_response_decoder *decoder)
{
    decoder->head->len = decoder->lines.scan_off;
    enum h1_error error = apply_rules(decoder);
    if (error != H1_ERROR_NONE)
        fail(decoder, error);
    else
        decoder->state = FINISHED;
}

static void
read_head(struct h1_response_decoder *decoder, const char *p, const char *end)
{
    struct http_response_head *head = decoder->head;
    if (decoder->state <= STATUS_LF) {
        p = read_status_line(decoder, p, end);
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
h1_response_decode(struct h1_response_decoder *decoder, const char *data, size_t len)
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
        fail(decoder, H1_ERROR_TOO_LARGE);
    return H1_ERROR;
}
