/* Fuzzes the rules for HTTP/2 header fields. Input: field ceiling, head ceiling (in units of 8),
 * flags, then fields: a byte that names a known name or says how long a given one is, one with the
 * length of the value, and their bytes.
 *
 * Checked: no byte outside the given ones is read; what was accepted keeps every rule that can be
 * seen in the result, fits its ceilings, and written out as HTTP/1.1 decodes to the same head.
 */
#include "http/h1_head.h"
#include "http/h2_head.h"

#include <stdlib.h>

enum { FIELD_MAX = 64, CONTROL_LEN = 3, NAMED = 0x80 };

static const char *const names[] = {
    ":method",  ":scheme",        ":path",   ":authority", ":protocol",  "host",
    "cookie",   "content-length", "te",      "expect",     "connection", "transfer-encoding",
    "priority", "accept",         "x-other", ":status",
};
static const char *const values[] = {
    "GET", "CONNECT",   "OPTIONS", "POST", "http",     "https",        "/",       "*",      "/a?b",
    "a",   "a:80",      "5",       "0",    "trailers", "100-continue", "chunked", "u=1, i", "a=b",
    "",    "websocket",
};
enum {
    NAME_COUNT = sizeof names / sizeof *names,
    VALUE_COUNT = sizeof values / sizeof *values,
};

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* A block of exact size, so that reading past it is seen. */
static struct str
exact_copy(struct str s)
{
    char *copy = malloc(s.len ? s.len : 1);
    check(copy != NULL);
    memcpy(copy, s.ptr, s.len);
    return str_make(copy, s.len);
}

static uint8_t
take_byte(struct str *input)
{
    uint8_t byte = input->len ? (uint8_t)input->ptr[0] : 0;
    *input = str_skip(*input, 1);
    return byte;
}

/* A known text, or the next bytes of the input. */
static struct str
take_text(struct str *input, const char *const *known, unsigned count)
{
    uint8_t byte = take_byte(input);
    if (byte & NAMED)
        return exact_copy(str_from_cstr(known[(byte & ~NAMED) % count]));
    struct str text = exact_copy(str_first(*input, byte));
    *input = str_skip(*input, text.len);
    return text;
}

static void
check_fields(const struct http_head *head)
{
    unsigned counts[HTTP_FIELD_ID_COUNT] = {0};
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        struct str name = http_field_name(head, field);
        check(name.len > 0 && name.ptr[0] != ':');
        for (size_t at = 0; at < name.len; at++)
            check(name.ptr[at] < 'A' || name.ptr[at] > 'Z');
        check(field->id == http_field_id(name));
        check((head->first[field->id] == i + 1) ==
              (field->id != HTTP_FIELD_OTHER && counts[field->id] == 0));
        counts[field->id]++;
    }
    check(counts[HTTP_FIELD_HOST] == 1 && counts[HTTP_FIELD_COOKIE] <= 1);
    check(counts[HTTP_FIELD_CONNECTION] + counts[HTTP_FIELD_TRANSFER_ENCODING] +
              counts[HTTP_FIELD_UPGRADE] + counts[HTTP_FIELD_KEEP_ALIVE] +
              counts[HTTP_FIELD_PROXY_CONNECTION] ==
          0);
}

/* The same request in HTTP/1.1 must mean the same. */
static void
check_as_http1(const struct http_head *head)
{
    struct buf text;
    struct http_head other;
    struct http_field fields[FIELD_MAX];
    struct h1_head_decoder decoder;
    buf_init(&text, 1 << 20);
    buf_append(&text, http_head_method(head));
    buf_append_char(&text, ' ');
    buf_append(&text, http_head_target(head));
    buf_append(&text, STR(" HTTP/1.1\r\n"));
    for (unsigned i = 0; i < head->field_count; i++) {
        buf_append(&text, http_field_name(head, &head->fields[i]));
        buf_append(&text, STR(": "));
        buf_append(&text, http_field_value(head, &head->fields[i]));
        buf_append(&text, STR("\r\n"));
    }
    buf_append(&text, STR("\r\n"));
    http_head_init(&other, fields, FIELD_MAX);
    h1_head_decoder_init(&decoder, &other, 1 << 20);
    check(h1_head_decode(&decoder, text.ptr, text.len) == H1_DONE);
    check(decoder.head_len == text.len && other.field_count == head->field_count);
    check(other.method == head->method && other.content_length == head->content_length);
    check(str_eq(http_head_target(&other), http_head_target(head)));
    check(other.keep_alive && other.expect_continue == head->expect_continue);
    for (unsigned i = 0; i < head->field_count; i++) {
        check(fields[i].id == head->fields[i].id);
        check(
            str_eq(http_field_value(&other, &fields[i]), http_field_value(head, &head->fields[i])));
    }
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CONTROL_LEN)
        return 0;
    struct http_field fields[FIELD_MAX];
    struct http_head head;
    struct buf text;
    struct h2_head_decoder decoder;
    uint32_t max = data[1] * 8u;
    bool ends = data[2] & 1;
    struct str input = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    http_head_init(&head, fields, data[0] % (FIELD_MAX + 1));
    buf_init(&text, h2_head_text_max(max));
    h2_head_decoder_init(&decoder, &head, &text, max);
    while (input.len) {
        struct str name = take_text(&input, names, NAME_COUNT);
        struct str value = take_text(&input, values, VALUE_COUNT);
        h2_head_add(&decoder, name, value);
        (void)h2_trailer_is_valid(name, value);
        free((char *)name.ptr);
        free((char *)value.ptr);
    }
    enum h2_head_error error = h2_head_finish(&decoder, ends);
    check(!buf_overflowed(&text) && decoder.list_len <= max);
    check(head.field_count <= head.field_max);
    check(decoder.priority.urgency <= H2_URGENCY_LAST);
    if (error == H2_HEAD_OK) {
        check(!ends || head.content_length == 0);
        check(ends || head.body_kind != HTTP_BODY_NONE);
        check_fields(&head);
        check_as_http1(&head);
    } else {
        check(h2_head_error_status(error) >= 400 && h2_head_error_text(error).len > 0);
    }
    buf_deinit(&text);
    return 0;
}
