/* Fuzzes the response head decoder. Input: field ceiling, head ceiling (in units of 8), the
 * request's method, two bytes of seed for the splits, then the head.
 *
 * Checked: whole and any splits, in moving blocks of exact size, end alike; the syntax agrees with
 * a plain line-based model; every accepted head is framed as RFC 9112 section 6.3 says, written out
 * a second time; an accepted head written out again decodes to itself.
 */
#include "http/h1_response.h"

#include <stdlib.h>

enum { FIELD_MAX = 64, CONTROL_LEN = 5 };

struct decoded {
    enum h1_result result;
    struct http_response_head head;
    struct http_field fields[FIELD_MAX];
    struct h1_response_decoder decoder;
};

struct limits {
    uint16_t field_max;
    uint32_t head_max;
    enum http_method method;
};

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* Decodes input in pieces of pseudo-random length; seed 0: in one. */
static void
decode(struct decoded *out, struct str input, struct limits limits, unsigned seed)
{
    memset(out, 0, sizeof(*out));
    http_response_head_init(&out->head, out->fields, limits.field_max);
    h1_response_decoder_init(&out->decoder, &out->head, limits.method, limits.head_max);
    out->result = H1_MORE;
    for (size_t len = 0; len < input.len && out->result == H1_MORE;) {
        size_t piece_len = seed ? 1 + seed % 61 % (1 + seed % 17) : input.len;
        seed = seed ? (seed * 1103515245u + 12345u) >> 1 | 1u : 0;
        len = input.len - len < piece_len ? input.len : len + piece_len;
        char *block = malloc(len);
        check(block != NULL);
        memcpy(block, input.ptr, len);
        out->result = h1_response_decode(&out->decoder, block, len);
        free(block);
    }
    out->head.base = input.ptr;
}

static void
check_same(const struct decoded *a, const struct decoded *b)
{
    check(a->result == b->result && a->decoder.error == b->decoder.error);
    check(a->head.len == b->head.len);
    check(a->head.field_count == b->head.field_count);
    check(memcmp(a->fields, b->fields, a->head.field_count * sizeof(a->fields[0])) == 0);
    check(memcmp(a->head.first, b->head.first, sizeof(a->head.first)) == 0);
    check(a->head.status == b->head.status && a->head.version_minor == b->head.version_minor);
    check(a->head.reason_off == b->head.reason_off && a->head.reason_len == b->head.reason_len);
    check(a->head.body_kind == b->head.body_kind);
    check(a->head.content_length == b->head.content_length);
    check(a->head.keep_alive == b->head.keep_alive);
}

static bool
is_text(struct str s, bool blank_allowed)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = (uint8_t)s.ptr[i];
        if (byte == 0x7f || (byte < 0x21 && !(blank_allowed && (byte == ' ' || byte == '\t'))))
            return false;
    }
    return true;
}

static bool
is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (memchr("\"(),/:;<=>?@[\\]{}", s.ptr[i], 17) || (uint8_t)s.ptr[i] >= 0x80)
            return false;
    return s.len && is_text(s, false);
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
model_status_line(struct str line)
{
    const char *p = line.ptr;
    if (line.len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || !is_digit(p[7]) || p[8] != ' ')
        return false;
    bool code = is_digit(p[9]) && p[9] != '0' && is_digit(p[10]) && is_digit(p[11]);
    return code && (line.len == 12 || p[12] == ' ') && is_text(str_skip(line, 12), true);
}

static bool
model_field_line(struct str line)
{
    size_t colon = str_find_char(line, ':');
    return colon < line.len && is_token(str_first(line, colon)) &&
           is_text(str_skip(line, colon + 1), true);
}

/* Length of the head at the start of input when it is complete and its lines are well formed, else
 * 0; the rules for single fields are left out. */
static size_t
model_head_len(struct str input, struct limits limits)
{
    struct str rest = str_first(input, limits.head_max);
    for (unsigned lines = 0;; lines++) {
        size_t line_len = str_find(rest, STR("\r\n"));
        if (line_len == rest.len)
            return 0;
        struct str line = str_first(rest, line_len);
        rest = str_skip(rest, line_len + 2);
        if (line_len == 0 && lines > 0)
            return (size_t)(rest.ptr - input.ptr);
        if (lines == 0 ? !model_status_line(line) : !model_field_line(line))
            return 0;
        if (lines > limits.field_max)
            return 0;
    }
}

/* Errors of the rules that the model leaves out. */
static bool
is_rule_error(enum h1_error error)
{
    return error >= H1_ERROR_BAD_CONTENT_LENGTH && error <= H1_ERROR_UNKNOWN_TRANSFER_CODING;
}

static void
check_fields(const struct decoded *run)
{
    const struct http_response_head *head = &run->head;
    unsigned first[HTTP_RESPONSE_FIELD_ID_COUNT] = {0};
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        struct str name = http_response_field_name(head, field);
        struct str value = http_response_field_value(head, field);
        check(field->name_off + field->name_len < field->value_off);
        check(field->value_off + field->value_len < head->len);
        check(is_token(name) && is_text(value, true));
        check(str_eq(value, str_trim(value)));
        check(field->id == http_response_field_id(name));
        if (field->id && !first[field->id])
            first[field->id] = i + 1;
    }
    for (unsigned id = 0; id < HTTP_RESPONSE_FIELD_ID_COUNT; id++)
        check(head->first[id] == first[id]);
}

/* How many lines a name has; those that are numbers must be one number, which is stored. */
static unsigned
count_lines(const struct http_response_head *head, enum http_field_id id, uint64_t *number)
{
    struct http_lines lines = http_response_lines(head, id);
    struct str value;
    unsigned count = 0;
    while (http_lines_next(&lines, &value)) {
        uint64_t length;
        if (number && str_to_u64(value, &length)) {
            check(count == 0 || length == *number);
            *number = length;
        }
        count++;
    }
    return count;
}

static enum http_body_kind
wanted_body(const struct http_response_head *head, enum http_method method)
{
    bool connected = method == HTTP_METHOD_CONNECT && head->status / 100 == 2;
    if (connected || head->status == 101)
        return HTTP_BODY_TUNNEL;
    if (method == HTTP_METHOD_HEAD || head->status / 100 == 1 || head->status == 204 ||
        head->status == 304)
        return HTTP_BODY_NONE;
    if (http_response_has(head, HTTP_FIELD_TRANSFER_ENCODING))
        return HTTP_BODY_CHUNKED;
    return http_response_has(head, HTTP_FIELD_CONTENT_LENGTH) ? HTTP_BODY_LENGTH : HTTP_BODY_CLOSE;
}

static void
check_framing(const struct http_response_head *head, enum http_method method)
{
    check(head->status >= 100 && head->status <= 999);
    check(head->body_kind == wanted_body(head, method));
    bool bounded = head->body_kind != HTTP_BODY_CLOSE && head->body_kind != HTTP_BODY_TUNNEL;
    check(bounded || !head->keep_alive);
    if (head->body_kind == HTTP_BODY_TUNNEL)
        return;
    uint64_t length = 0;
    unsigned lengths = count_lines(head, HTTP_FIELD_CONTENT_LENGTH, &length);
    unsigned codings = count_lines(head, HTTP_FIELD_TRANSFER_ENCODING, NULL);
    check(codings == 0 || (codings == 1 && lengths == 0 && head->version_minor == 1));
    check(head->content_length == length);
    if (codings)
        check(str_ieq(http_response_value(head, HTTP_FIELD_TRANSFER_ENCODING), STR("chunked")));
    if (head->status == 204 && (codings || length))
        check(!head->keep_alive);
}

static void
append(char *out, size_t *len, struct str s)
{
    memcpy(out + *len, s.ptr, s.len);
    *len += s.len;
}

/* Writes the head in the usual form, decodes that, and compares what it says. */
static void
check_round_trip(const struct decoded *run, enum http_method method)
{
    const struct http_response_head *head = &run->head;
    char *text = malloc(head->len + 2u * FIELD_MAX + 1);
    size_t len = 0;
    check(text != NULL);
    append(text, &len, head->version_minor ? STR("HTTP/1.1 ") : STR("HTTP/1.0 "));
    append(text, &len, str_make(head->base + 9, 3));
    append(text, &len, STR(" "));
    append(text, &len, http_response_reason(head));
    append(text, &len, STR("\r\n"));
    for (unsigned i = 0; i < head->field_count; i++) {
        append(text, &len, http_response_field_name(head, &head->fields[i]));
        append(text, &len, STR(": "));
        append(text, &len, http_response_field_value(head, &head->fields[i]));
        append(text, &len, STR("\r\n"));
    }
    append(text, &len, STR("\r\n"));
    struct decoded again;
    decode(&again, str_make(text, len), (struct limits){FIELD_MAX, 1 << 20, method}, 0);
    check(again.result == H1_DONE && again.head.len == len);
    check(again.head.status == head->status && again.head.keep_alive == head->keep_alive);
    check(again.head.body_kind == head->body_kind);
    check(again.head.content_length == head->content_length);
    check(str_eq(http_response_reason(head), http_response_reason(&again.head)));
    check(again.head.field_count == head->field_count);
    for (unsigned i = 0; i < head->field_count; i++)
        check(str_eq(http_response_field_value(head, &head->fields[i]),
                     http_response_field_value(&again.head, &again.fields[i])));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= CONTROL_LEN)
        return 0;
    struct limits limits = {.field_max = data[0] % (FIELD_MAX + 1),
                            .head_max = data[1] * 8u,
                            .method = data[2] % (HTTP_METHOD_TRACE + 1)};
    struct str input = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    struct decoded whole, split;
    decode(&whole, input, limits, 0);
    decode(&split, input, limits, 1u + data[3] + 256u * data[4]);
    check_same(&whole, &split);

    enum h1_error error = whole.decoder.error;
    size_t model_len = model_head_len(input, limits);
    check((whole.result == H1_DONE || is_rule_error(error)) == (model_len != 0));
    check((whole.result == H1_ERROR) == (error != H1_ERROR_NONE));
    if (whole.result == H1_MORE)
        check(input.len < limits.head_max);
    if (whole.result == H1_DONE) {
        check(whole.head.len == model_len);
        check_fields(&whole);
        check_framing(&whole.head, limits.method);
        check_round_trip(&whole, limits.method);
    }
    return 0;
}
