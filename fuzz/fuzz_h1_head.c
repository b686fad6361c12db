/* Fuzzes the request head decoder. Input: field ceiling, head ceiling (in units of 8), two bytes of
 * seed for the splits, then the head.
 *
 * Checked: whole and any splits, in moving blocks of exact size, end alike; the syntax agrees with
 * a plain line-based model; the rules against smuggling hold for every accepted head; an accepted
 * head written out again decodes to itself.
 */
#include "http/h1_head.h"

#include <stdlib.h>

enum { FIELD_MAX = 64, CONTROL_LEN = 4 };

struct decoded {
    enum h1_result result;
    struct http_head head;
    struct http_field fields[FIELD_MAX];
    struct h1_head_decoder decoder;
};

struct limits {
    uint16_t field_max;
    uint32_t head_max;
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
    http_head_init(&out->head, out->fields, limits.field_max);
    h1_head_decoder_init(&out->decoder, &out->head, limits.head_max);
    out->result = H1_MORE;
    for (size_t len = 0; len < input.len && out->result == H1_MORE;) {
        size_t piece_len = seed ? 1 + seed % 61 % (1 + seed % 17) : input.len;
        seed = seed ? (seed * 1103515245u + 12345u) >> 1 | 1u : 0;
        len = input.len - len < piece_len ? input.len : len + piece_len;
        char *block = malloc(len);
        check(block != NULL);
        memcpy(block, input.ptr, len);
        out->result = h1_head_decode(&out->decoder, block, len);
        free(block);
    }
    out->head.base = input.ptr;
}

static void
check_same(const struct decoded *a, const struct decoded *b)
{
    check(a->result == b->result && a->decoder.error == b->decoder.error);
    check(a->decoder.head_len == b->decoder.head_len);
    check(a->head.field_count == b->head.field_count);
    check(memcmp(a->fields, b->fields, a->head.field_count * sizeof(a->fields[0])) == 0);
    check(memcmp(a->head.first, b->head.first, sizeof(a->head.first)) == 0);
    check(a->head.method == b->head.method && a->head.method_len == b->head.method_len);
    check(a->head.target_off == b->head.target_off && a->head.target_len == b->head.target_len);
    check(a->head.version_minor == b->head.version_minor);
    check(a->head.body_kind == b->head.body_kind);
    check(a->head.content_length == b->head.content_length);
    check(a->head.keep_alive == b->head.keep_alive);
    check(a->head.expect_continue == b->head.expect_continue);
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
is_version(struct str s)
{
    return s.len == 8 && memcmp(s.ptr, "HTTP/1.", 7) == 0 && s.ptr[7] >= '0' && s.ptr[7] <= '9';
}

static bool
model_request_line(struct str line)
{
    struct str method = str_cut(&line, ' ');
    struct str target = str_cut(&line, ' ');
    return is_token(method) && target.len && is_text(target, false) && is_version(line);
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
    unsigned empty_lines = 0, lines = 0;
    for (;;) {
        size_t line_len = str_find(rest, STR("\r\n"));
        if (line_len == rest.len)
            return 0;
        struct str line = str_first(rest, line_len);
        rest = str_skip(rest, line_len + 2);
        if (line_len == 0 && lines > 0)
            return (size_t)(rest.ptr - input.ptr);
        if (line_len == 0 && ++empty_lines <= 4)
            continue;
        if (lines++ == 0 ? !model_request_line(line) : !model_field_line(line))
            return 0;
        if (lines > 1u + limits.field_max)
            return 0;
    }
}

/* Errors of the rules that the model leaves out. */
static bool
is_rule_error(enum h1_error error)
{
    return error >= H1_ERROR_MISSING_HOST && error <= H1_ERROR_BAD_EXPECTATION;
}

static unsigned
count_fields(const struct http_head *head, enum http_field_id id)
{
    unsigned count = 0;
    for (unsigned i = 0; i < head->field_count; i++)
        count += head->fields[i].id == id;
    return count;
}

static void
check_fields(const struct decoded *run)
{
    const struct http_head *head = &run->head;
    unsigned first[HTTP_FIELD_ID_COUNT] = {0};
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        struct str name = http_field_name(head, field), value = http_field_value(head, field);
        check(field->name_off + field->name_len < field->value_off);
        check(field->value_off + field->value_len < run->decoder.head_len);
        check(is_token(name) && is_text(value, true));
        check(str_eq(value, str_trim(value)));
        check(field->id == http_field_id(name));
        if (field->id && !first[field->id])
            first[field->id] = i + 1;
    }
    for (unsigned id = 0; id < HTTP_FIELD_ID_COUNT; id++)
        check(head->first[id] == first[id]);
}

/* What two parsers in a row must not see differently. */
static void
check_framing(const struct http_head *head)
{
    unsigned hosts = count_fields(head, HTTP_FIELD_HOST);
    unsigned lengths = count_fields(head, HTTP_FIELD_CONTENT_LENGTH);
    unsigned codings = count_fields(head, HTTP_FIELD_TRANSFER_ENCODING);
    check(hosts == 1 || (hosts == 0 && head->version_minor == 0));
    check(codings == 0 || (codings == 1 && lengths == 0 && head->version_minor == 1));
    check((head->body_kind == HTTP_BODY_CHUNKED) == (codings == 1));
    check((head->body_kind == HTTP_BODY_LENGTH) == (lengths > 0));
    for (unsigned i = 0; i < head->field_count; i++) {
        struct str value = http_field_value(head, &head->fields[i]);
        uint64_t length;
        if (head->fields[i].id == HTTP_FIELD_TRANSFER_ENCODING)
            check(str_ieq(value, STR("chunked")));
        if (head->fields[i].id == HTTP_FIELD_CONTENT_LENGTH)
            check(str_to_u64(value, &length) && length == head->content_length);
    }
}

static void
append(char *out, size_t *len, struct str s)
{
    memcpy(out + *len, s.ptr, s.len);
    *len += s.len;
}

/* Writes the head in the usual form, decodes that, and compares what it says. */
static void
check_round_trip(const struct decoded *run)
{
    const struct http_head *head = &run->head;
    char *text = malloc(run->decoder.head_len + 2u * FIELD_MAX);
    size_t len = 0;
    check(text != NULL);
    append(text, &len, http_head_method(head));
    append(text, &len, STR(" "));
    append(text, &len, http_head_target(head));
    append(text, &len, head->version_minor ? STR(" HTTP/1.1\r\n") : STR(" HTTP/1.0\r\n"));
    for (unsigned i = 0; i < head->field_count; i++) {
        append(text, &len, http_field_name(head, &head->fields[i]));
        append(text, &len, STR(": "));
        append(text, &len, http_field_value(head, &head->fields[i]));
        append(text, &len, STR("\r\n"));
    }
    append(text, &len, STR("\r\n"));
    struct decoded again;
    decode(&again, str_make(text, len), (struct limits){FIELD_MAX, 1 << 20}, 0);
    check(again.result == H1_DONE && again.decoder.head_len == len);
    check(str_eq(http_head_target(head), http_head_target(&again.head)));
    check(again.head.method == head->method && again.head.keep_alive == head->keep_alive);
    check(again.head.body_kind == head->body_kind);
    check(again.head.content_length == head->content_length);
    check(again.head.field_count == head->field_count);
    for (unsigned i = 0; i < head->field_count; i++)
        check(str_eq(http_field_value(head, &head->fields[i]),
                     http_field_value(&again.head, &again.fields[i])));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= CONTROL_LEN)
        return 0;
    struct limits limits = {.field_max = data[0] % (FIELD_MAX + 1), .head_max = data[1] * 8u};
    struct str input = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    struct decoded whole, split;
    decode(&whole, input, limits, 0);
    decode(&split, input, limits, 1u + data[2] + 256u * data[3]);
    check_same(&whole, &split);

    enum h1_error error = whole.decoder.error;
    size_t model_len = model_head_len(input, limits);
    check((whole.result == H1_DONE || is_rule_error(error)) == (model_len != 0));
    check((whole.result == H1_ERROR) == (error != H1_ERROR_NONE));
    if (whole.result == H1_MORE)
        check(input.len < limits.head_max);
    if (whole.result == H1_DONE) {
        check(whole.decoder.head_len == model_len);
        check_fields(&whole);
        check_framing(&whole.head);
        check_round_trip(&whole);
    }
    return 0;
}
