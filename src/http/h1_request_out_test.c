#include "http/h1_head.h"
#include "http/h1_request_out.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { FIELD_MAX = 16, HEAD_MAX = 4096 };

/* What one head is made of; a field without a name is left out. */
struct request {
    struct str method, target, host, name, value;
    enum http_body_kind body;
    uint64_t content_length;
};

static const struct request plain = {
    .method = STR_INIT("GET"), .target = STR_INIT("/a?b"), .host = STR_INIT("a.b:80")};

static enum h1_out_error
write_request(struct buf *buf, struct request request)
{
    struct h1_request_out out;
    h1_request_out_begin(&out, buf, request.method, request.target, request.host);
    if (request.name.ptr)
        h1_request_out_field(&out, request.name, request.value);
    h1_request_out_field(&out, STR("Accept-Encoding"), STR("identity"));
    return h1_request_out_end(&out, request.body, request.content_length);
}

static void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("got '%.*s', wanted '%s'", STR_ARG(got), wanted);
}

static void
assert_written(struct request request, const char *wanted)
{
    struct buf buf;
    buf_init(&buf, HEAD_MAX);
    assert_int_equal(write_request(&buf, request), H1_OUT_OK);
    assert_str(buf_str(&buf), wanted);
    buf_deinit(&buf);
}

#define PLAIN "GET /a?b HTTP/1.1\r\nHost: a.b:80\r\nAccept-Encoding: identity\r\n"

static void
head_is_written_with_its_framing(void **state)
{
    struct request request = plain;
    assert_written(request, PLAIN "\r\n");
    request.body = HTTP_BODY_CHUNKED;
    assert_written(request, PLAIN "Transfer-Encoding: chunked\r\n\r\n");
    request.body = HTTP_BODY_LENGTH;
    assert_written(request, PLAIN "Content-Length: 0\r\n\r\n");
    request.content_length = 1234567890;
    assert_written(request, PLAIN "Content-Length: 1234567890\r\n\r\n");
    request.content_length = INT64_MAX;
    assert_written(request, PLAIN "Content-Length: 9223372036854775807\r\n\r\n");
}

static void
host_and_value_may_be_empty(void **state)
{
    struct request request = {.method = STR("OPTIONS"), .target = STR("*"), .name = STR("X")};
    assert_written(request, "OPTIONS * HTTP/1.1\r\nHost: \r\nX: \r\n"
                            "Accept-Encoding: identity\r\n\r\n");
}

static void
head_is_appended_behind_what_is_there(void **state)
{
    struct buf buf;
    buf_init(&buf, HEAD_MAX);
    buf_append(&buf, STR("before"));
    assert_int_equal(write_request(&buf, plain), H1_OUT_OK);
    assert_str(buf_str(&buf), "before" PLAIN "\r\n");
    buf_deinit(&buf);
}

/* Writes behind "before"; on an error only that may be left. */
static enum h1_out_error
write_behind(struct request request)
{
    struct buf buf;
    buf_init(&buf, HEAD_MAX);
    buf_append(&buf, STR("before"));
    enum h1_out_error error = write_request(&buf, request);
    if (error != H1_OUT_OK)
        assert_str(buf_str(&buf), "before");
    assert_false(buf_overflowed(&buf));
    buf_deinit(&buf);
    return error;
}

static void
malformed_parts_are_refused_and_leave_nothing(void **state)
{
    struct request request = plain;
    request.method = STR("");
    assert_int_equal(write_behind(request), H1_OUT_BAD_METHOD);
    request.method = STR("GET / HTTP/1.1\r\nX:");
    assert_int_equal(write_behind(request), H1_OUT_BAD_METHOD);
    request = plain;
    request.target = (struct str){0};
    assert_int_equal(write_behind(request), H1_OUT_BAD_TARGET);
    request.target = STR("/ HTTP/1.1\r\nX: y\r\n\r\nGET /");
    assert_int_equal(write_behind(request), H1_OUT_BAD_TARGET);
    request = plain;
    request.host = STR("a\r\nX: y");
    assert_int_equal(write_behind(request), H1_OUT_BAD_HOST);
    request.host = STR("user@a");
    assert_int_equal(write_behind(request), H1_OUT_BAD_HOST);
    request = plain;
    request.name = STR("");
    assert_int_equal(write_behind(request), H1_OUT_BAD_FIELD_NAME);
    request.name = STR("X: y\r\nZ");
    assert_int_equal(write_behind(request), H1_OUT_BAD_FIELD_NAME);
    request.name = STR("X");
    request.value = STR("y\r\nContent-Length: 5");
    assert_int_equal(write_behind(request), H1_OUT_BAD_FIELD_VALUE);
    assert_str(h1_out_error_text(H1_OUT_BAD_HOST), "malformed request host");
}

static void
framing_fields_are_not_the_callers(void **state)
{
    const char *names[] = {"Host", "HOST", "content-length", "Content-Length", "transfer-ENCODING"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct request request = plain;
        request.name = str_from_cstr(names[i]);
        request.value = STR("5");
        assert_int_equal(write_behind(request), H1_OUT_RESERVED_FIELD);
    }
}

static void
first_error_counts_and_later_parts_write_nothing(void **state)
{
    struct request request = plain;
    request.method = STR("G T");
    request.target = STR("");
    request.name = STR("Host");
    assert_int_equal(write_behind(request), H1_OUT_BAD_METHOD);
}

/* Each byte value in each part, against the grammar written out. */
static void
each_byte_value_is_judged_by_its_place(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[] = "aaaaaaaaaaaaaaaaaaaa-a";
        text[sizeof(text) - 3] = (char)byte;
        struct str part = str_make(text, sizeof(text) - 1);
        bool value = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        bool target = value && byte > 0x20;
        bool token = target && byte < 0x80 && !memchr("\"(),/:;<=>?@[\\]{}", (char)byte, 17);
        struct request request = plain;
        request.method = part;
        assert_int_equal(write_behind(request), token ? H1_OUT_OK : H1_OUT_BAD_METHOD);
        request = plain;
        request.target = part;
        assert_int_equal(write_behind(request), target ? H1_OUT_OK : H1_OUT_BAD_TARGET);
        request = plain;
        request.name = part;
        assert_int_equal(write_behind(request), token ? H1_OUT_OK : H1_OUT_BAD_FIELD_NAME);
        request.name = STR("X");
        request.value = part;
        assert_int_equal(write_behind(request), value ? H1_OUT_OK : H1_OUT_BAD_FIELD_VALUE);
    }
}

static void
ceiling_of_the_buffer_is_exact(void **state)
{
    struct request request = plain;
    request.body = HTTP_BODY_LENGTH;
    size_t len = strlen("before" PLAIN "Content-Length: 0\r\n\r\n");
    for (size_t max = strlen("before"); max <= len; max++) {
        struct buf buf;
        buf_init(&buf, max);
        buf_append(&buf, STR("before"));
        assert_int_equal(write_request(&buf, request), max == len ? H1_OUT_OK : H1_OUT_TOO_LARGE);
        assert_int_equal(buf.len, max == len ? len : strlen("before"));
        assert_false(buf_overflowed(&buf));
        buf_deinit(&buf);
    }
}

static void
overflowed_buffer_stays_marked(void **state)
{
    struct buf buf;
    buf_init(&buf, 4);
    buf_append(&buf, STR("before"));
    assert_int_equal(write_request(&buf, plain), H1_OUT_TOO_LARGE);
    assert_true(buf_overflowed(&buf));
    buf_deinit(&buf);
}

static void
written_head_decodes_to_its_parts(void **state)
{
    struct request request = plain;
    request.name = STR("Cookie");
    request.value = STR("a=\x80\xff; b");
    request.body = HTTP_BODY_LENGTH;
    request.content_length = 42;
    struct buf buf;
    buf_init(&buf, HEAD_MAX);
    assert_int_equal(write_request(&buf, request), H1_OUT_OK);
    struct http_field fields[FIELD_MAX];
    struct http_head head;
    struct h1_head_decoder decoder;
    http_head_init(&head, fields, FIELD_MAX);
    h1_head_decoder_init(&decoder, &head, HEAD_MAX);
    assert_int_equal(h1_head_decode(&decoder, buf.ptr, buf.len), H1_DONE);
    assert_int_equal(decoder.head_len, buf.len);
    assert_true(str_eq(http_head_target(&head), request.target));
    assert_true(str_eq(http_head_value(&head, HTTP_FIELD_HOST), request.host));
    assert_true(str_eq(http_head_value(&head, HTTP_FIELD_COOKIE), request.value));
    assert_int_equal(head.body_kind, HTTP_BODY_LENGTH);
    assert_int_equal(head.content_length, 42);
    assert_int_equal(head.field_count, 4);
    buf_deinit(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_is_written_with_its_framing),
        cmocka_unit_test(host_and_value_may_be_empty),
        cmocka_unit_test(head_is_appended_behind_what_is_there),
        cmocka_unit_test(malformed_parts_are_refused_and_leave_nothing),
        cmocka_unit_test(framing_fields_are_not_the_callers),
        cmocka_unit_test(first_error_counts_and_later_parts_write_nothing),
        cmocka_unit_test(each_byte_value_is_judged_by_its_place),
        cmocka_unit_test(ceiling_of_the_buffer_is_exact),
        cmocka_unit_test(overflowed_buffer_stays_marked),
        cmocka_unit_test(written_head_decodes_to_its_parts),
    };
    return cmocka_run_group_tests_name("h1_request_out", tests, NULL, NULL);
}
