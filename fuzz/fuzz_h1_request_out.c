/* Fuzzes the request head encoder. Input: the kind of body, then parts, each a length byte and as
 * many bytes: method, target, host, and names and values of fields in turn.
 *
 * Checked: what was accepted decodes, by the decoder that clients meet, to exactly the parts that
 * were given and to one request; what was refused leaves nothing behind.
 */
#include "http/h1_head.h"
#include "http/h1_request_out.h"

#include <stdlib.h>

enum { FIELD_MAX = 32, OUT_MAX = 8192 };

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static struct str
take_part(struct str *input)
{
    if (input->len == 0)
        return (struct str){0};
    struct str part = str_first(str_skip(*input, 1), (uint8_t)input->ptr[0]);
    *input = str_skip(*input, 1 + part.len);
    return part;
}

struct parts {
    struct str method, target, host;
    struct str names[FIELD_MAX], values[FIELD_MAX];
    unsigned count;
    enum http_body_kind body;
};

static struct parts
take_parts(struct str input)
{
    struct parts parts = {.body = (uint8_t)input.ptr[0] % 3};
    input = str_skip(input, 1);
    parts.method = take_part(&input);
    parts.target = take_part(&input);
    parts.host = take_part(&input);
    while (input.len && parts.count < FIELD_MAX - 2) { /* Host and framing come to them */
        parts.names[parts.count] = take_part(&input);
        parts.values[parts.count++] = take_part(&input);
    }
    return parts;
}

static void
check_written(const struct parts *parts, struct str text)
{
    struct http_field fields[FIELD_MAX];
    struct http_head head;
    struct h1_head_decoder decoder;
    http_head_init(&head, fields, FIELD_MAX);
    h1_head_decoder_init(&decoder, &head, OUT_MAX + 1);
    enum h1_result result = h1_head_decode(&decoder, text.ptr, text.len);
    if (result == H1_ERROR && decoder.error == H1_ERROR_BAD_EXPECTATION)
        return; /* well formed, and not ours to judge here */
    check(result == H1_DONE && decoder.head_len == text.len);
    check(str_eq(http_head_method(&head), parts->method));
    check(str_eq(http_head_target(&head), parts->target));
    check(str_eq(http_head_value(&head, HTTP_FIELD_HOST), parts->host));
    check(head.body_kind == parts->body);
    check(head.field_count == parts->count + 1u + (parts->body != HTTP_BODY_NONE));
    for (unsigned i = 0; i < parts->count; i++) {
        check(str_eq(http_field_name(&head, &fields[i + 1]), parts->names[i]));
        check(str_eq(http_field_value(&head, &fields[i + 1]), str_trim(parts->values[i])));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct parts parts = take_parts(str_make((const char *)data, size));
    struct h1_request_out out;
    struct buf buf;
    buf_init(&buf, OUT_MAX);
    h1_request_out_begin(&out, &buf, parts.method, parts.target, parts.host);
    for (unsigned i = 0; i < parts.count; i++)
        h1_request_out_field(&out, parts.names[i], parts.values[i]);
    enum h1_out_error error = h1_request_out_end(&out, parts.body, size);
    if (error == H1_OUT_OK)
        check_written(&parts, buf_str(&buf));
    else
        check(buf.len == 0 && !buf_overflowed(&buf));
    buf_deinit(&buf);
    return 0;
}
