/* HTTP/2 header fields to a request head: what is accepted, every rule of RFC 9113 sections 8.2 and
 * 8.3, limits, priorities.
 */
#include "http/h2_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HEAD_MAX = 2048, FIELDS_MAX = 8 };

struct fixture {
    struct http_head head;
    struct http_field fields[FIELDS_MAX];
    struct buf text;
    struct h2_head_decoder decoder;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    http_head_init(&f->head, f->fields, FIELDS_MAX);
    buf_init(&f->text, h2_head_text_max(HEAD_MAX));
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    buf_deinit(&f->text);
    free(f);
    return 0;
}

/* Decodes lines of "name=value", each ended by a line feed. */
static enum h2_head_error
decode(struct fixture *f, const char *lines, bool ends)
{
    struct str rest = str_from_cstr(lines);
    h2_head_decoder_init(&f->decoder, &f->head, &f->text, HEAD_MAX);
    while (rest.len) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_cut(&value, '=');
        h2_head_add(&f->decoder, name, value);
    }
    return h2_head_finish(&f->decoder, ends);
}

static void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("'%.*s' is not '%s'", STR_ARG(got), wanted);
}

static void
assert_value(struct fixture *f, enum http_field_id id, const char *wanted)
{
    assert_str(http_head_value(&f->head, id), wanted);
}

#define GET ":method=GET\n:scheme=http\n:authority=a.b:80\n:path=/x?y\n"

static void
a_request_is_the_same_as_in_http1(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode(f, GET "user-agent=me\naccept-encoding=br\n", true), H2_HEAD_OK);
    assert_str(http_head_method(&f->head), "GET");
    assert_int_equal(f->head.method, HTTP_METHOD_GET);
    assert_str(http_head_target(&f->head), "/x?y");
    assert_int_equal(f->head.version_minor, 1);
    assert_true(f->head.keep_alive);
    assert_int_equal(f->head.body_kind, HTTP_BODY_NONE);
    assert_int_equal(f->head.field_count, 3);
    assert_str(http_field_name(&f->head, &f->fields[0]), "host");
    assert_value(f, HTTP_FIELD_HOST, "a.b:80");
    assert_value(f, HTTP_FIELD_USER_AGENT, "me");
    assert_value(f, HTTP_FIELD_ACCEPT_ENCODING, "br");
    assert_int_equal(f->head.protocol_len, 0);
    assert_false(f->decoder.has_priority);
}

static void
a_host_field_stands_in_for_the_authority(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode(f, ":method=GET\n:scheme=https\n:path=/\nhost=h\n", true), H2_HEAD_OK);
    assert_value(f, HTTP_FIELD_HOST, "h");
    assert_int_equal(decode(f, GET "host=A.B:80\n", true), H2_HEAD_OK);
    assert_int_equal(f->head.field_count, 1);
    assert_value(f, HTTP_FIELD_HOST, "a.b:80");
}

static void
cookie_crumbs_are_joined(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        decode(f, GET "cookie=a=1\naccept=x\ncookie=b=2\nte=trailers\ncookie=c=3\nrange=r\n", true),
        H2_HEAD_OK);
    assert_value(f, HTTP_FIELD_COOKIE, "a=1; b=2; c=3");
    assert_value(f, HTTP_FIELD_HOST, "a.b:80");
    assert_value(f, HTTP_FIELD_ACCEPT, "x");
    assert_value(f, HTTP_FIELD_TE, "trailers");
    assert_value(f, HTTP_FIELD_RANGE, "r");
    assert_int_equal(f->head.field_count, 5);
    assert_int_equal(decode(f, GET "cookie=\ncookie=a=1\ncookie=\ncookie=b\ncookie=\n", true),
                     H2_HEAD_OK);
    assert_value(f, HTTP_FIELD_COOKIE, "a=1; b");
    assert_int_equal(decode(f, GET "cookie=a=1\n", true), H2_HEAD_OK);
    assert_value(f, HTTP_FIELD_COOKIE, "a=1");
}

static void
the_length_of_the_body_is_known_or_not(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode(f, GET "content-length=5\n", false), H2_HEAD_OK);
    assert_int_equal(f->head.body_kind, HTTP_BODY_LENGTH);
    assert_int_equal(f->head.content_length, 5);
    assert_int_equal(decode(f, GET "content-length=5\ncontent-length=5\n", false), H2_HEAD_OK);
    assert_int_equal(decode(f, GET "content-length=0\n", true), H2_HEAD_OK);
    assert_int_equal(decode(f, GET, false), H2_HEAD_OK);
    assert_int_equal(f->head.body_kind, HTTP_BODY_CHUNKED);
    assert_int_equal(decode(f, GET "expect=100-continue\n", false), H2_HEAD_OK);
    assert_true(f->head.expect_continue);
}

static void
connect_comes_in_two_forms(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(decode(f, ":method=CONNECT\n:authority=a:443\n", false), H2_HEAD_OK);
    assert_str(http_head_target(&f->head), "a:443");
    assert_int_equal(f->head.protocol_len, 0);
    assert_int_equal(decode(f,
                            ":method=CONNECT\n:protocol=websocket\n:scheme=https\n:path=/chat\n"
                            ":authority=a\n",
                            false),
                     H2_HEAD_OK);
    assert_str(http_head_target(&f->head), "/chat");
    assert_str(str_make(f->head.base + f->head.protocol_off, f->head.protocol_len), "websocket");
    assert_int_equal(decode(f, ":method=OPTIONS\n:scheme=http\n:path=*\n:authority=a\n", true),
                     H2_HEAD_OK);
}

#define NO_PATH ":method=GET\n:scheme=http\n:authority=a\n"
#define NO_AUTHORITY ":method=GET\n:scheme=http\n:path=/\n"
#define NO_METHOD ":scheme=http\n:authority=a\n:path=/\n"
#define NO_SCHEME ":method=GET\n:authority=a\n:path=/\n"

static const struct {
    const char *lines;
    enum h2_head_error error;
    bool goes_on;
} refused[] = {
    {"", H2_HEAD_MISSING_PSEUDO, 0},
    {NO_PATH, H2_HEAD_MISSING_PSEUDO, 0},
    {NO_METHOD, H2_HEAD_MISSING_PSEUDO, 0},
    {NO_SCHEME, H2_HEAD_MISSING_PSEUDO, 0},
    {NO_AUTHORITY, H2_HEAD_MISSING_HOST, 0},
    {NO_PATH ":path=\n", H2_HEAD_BAD_PATH, 0},
    {NO_PATH ":path=x\n", H2_HEAD_BAD_PATH, 0},
    {NO_PATH ":path=*\n", H2_HEAD_BAD_PATH, 0},
    {NO_PATH ":path=/ \n", H2_HEAD_BAD_PATH, 0},
    {NO_PATH ":path=/\r\n", H2_HEAD_BAD_PATH, 0},
    {NO_PATH ":path=http://a/\n", H2_HEAD_BAD_PATH, 0},
    {NO_METHOD ":method=\n", H2_HEAD_BAD_METHOD, 0},
    {NO_METHOD ":method=G T\n", H2_HEAD_BAD_METHOD, 0},
    {NO_SCHEME ":scheme=ftp\n", H2_HEAD_BAD_SCHEME, 0},
    {NO_SCHEME ":scheme=\n", H2_HEAD_BAD_SCHEME, 0},
    {NO_AUTHORITY ":authority=\n", H2_HEAD_BAD_AUTHORITY, 0},
    {NO_AUTHORITY ":authority=u@a\n", H2_HEAD_BAD_AUTHORITY, 0},
    {NO_AUTHORITY ":authority=a b\n", H2_HEAD_BAD_AUTHORITY, 0},
    {NO_AUTHORITY ":authority=a:99999\n", H2_HEAD_BAD_AUTHORITY, 0},
    {NO_AUTHORITY "host=\n", H2_HEAD_BAD_HOST, 0},
    {NO_AUTHORITY "host=a/b\n", H2_HEAD_BAD_HOST, 0},
    {NO_AUTHORITY "host=a\nhost=a\n", H2_HEAD_REPEATED_HOST, 0},
    {GET "host=other\n", H2_HEAD_DIFFERENT_HOST, 0},
    {GET "host=a.b\n", H2_HEAD_DIFFERENT_HOST, 0},
    {GET "host=\n", H2_HEAD_DIFFERENT_HOST, 0},
    {GET ":path=/\n", H2_HEAD_REPEATED_PSEUDO, 0},
    {GET ":method=GET\n", H2_HEAD_REPEATED_PSEUDO, 0},
    {GET ":scheme=http\n", H2_HEAD_REPEATED_PSEUDO, 0},
    {GET ":authority=a.b:80\n", H2_HEAD_REPEATED_PSEUDO, 0},
    {GET ":status=200\n", H2_HEAD_UNKNOWN_PSEUDO, 0},
    {GET ":=\n", H2_HEAD_UNKNOWN_PSEUDO, 0},
    {GET ":Path=/\n", H2_HEAD_UNKNOWN_PSEUDO, 0},
    {NO_PATH "a=b\n:path=/\n", H2_HEAD_LATE_PSEUDO, 0},
    {GET ":protocol=websocket\n", H2_HEAD_BAD_CONNECT, 0},
    {":method=CONNECT\n:authority=a:1\n:path=/\n", H2_HEAD_BAD_CONNECT, 0},
    {":method=CONNECT\n:authority=a:1\n:scheme=http\n", H2_HEAD_BAD_CONNECT, 0},
    {":method=CONNECT\nhost=a:1\n", H2_HEAD_BAD_CONNECT, 0},
    {":method=CONNECT\n:protocol=w\n:authority=a\n:path=/\n", H2_HEAD_BAD_CONNECT, 0},
    {":method=CONNECT\n:protocol=\n:authority=a\n:path=/\n:scheme=http\n", H2_HEAD_BAD_CONNECT, 0},
    {GET "Accept=x\n", H2_HEAD_BAD_FIELD_NAME, 0},
    {GET "a b=x\n", H2_HEAD_BAD_FIELD_NAME, 0},
    {GET "=x\n", H2_HEAD_BAD_FIELD_NAME, 0},
    {GET "a:b=x\n", H2_HEAD_BAD_FIELD_NAME, 0},
    {GET "\x80=x\n", H2_HEAD_BAD_FIELD_NAME, 0},
    {GET "a= x\n", H2_HEAD_BAD_FIELD_VALUE, 0},
    {GET "a=x\t\n", H2_HEAD_BAD_FIELD_VALUE, 0},
    {GET "a= \n", H2_HEAD_BAD_FIELD_VALUE, 0},
    {GET "a=x\ry\n", H2_HEAD_BAD_FIELD_VALUE, 0},
    {GET "a=x\x01y\n", H2_HEAD_BAD_FIELD_VALUE, 0},
    {GET "a=x\x7f\n", H2_HEAD_BAD_FIELD_VALUE, 0},
    {GET "connection=close\n", H2_HEAD_CONNECTION_FIELD, 0},
    {GET "keep-alive=x\n", H2_HEAD_CONNECTION_FIELD, 0},
    {GET "proxy-connection=x\n", H2_HEAD_CONNECTION_FIELD, 0},
    {GET "transfer-encoding=chunked\n", H2_HEAD_CONNECTION_FIELD, 1},
    {GET "upgrade=h2c\n", H2_HEAD_CONNECTION_FIELD, 0},
    {GET "te=gzip\n", H2_HEAD_BAD_TE, 0},
    {GET "te=trailers, gzip\n", H2_HEAD_BAD_TE, 0},
    {GET "content-length=\n", H2_HEAD_BAD_CONTENT_LENGTH, 1},
    {GET "content-length=+1\n", H2_HEAD_BAD_CONTENT_LENGTH, 1},
    {GET "content-length=1, 1\n", H2_HEAD_BAD_CONTENT_LENGTH, 1},
    {GET "content-length=9223372036854775808\n", H2_HEAD_BAD_CONTENT_LENGTH, 1},
    {GET "content-length=1\ncontent-length=2\n", H2_HEAD_CONFLICTING_LENGTH, 1},
    {GET "content-length=1\n", H2_HEAD_LENGTH_MISMATCH, 0},
    {GET "expect=more\n", H2_HEAD_BAD_EXPECTATION, 1},
    {GET "a=\nb=\nc=\nd=\ne=\nf=\ng=\nh=\n", H2_HEAD_TOO_MANY_FIELDS, 0},
};

static void
what_breaks_a_rule_is_refused(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
        enum h2_head_error error = decode(f, refused[i].lines, !refused[i].goes_on);
        if (error != refused[i].error)
            fail_msg("%s: %s", refused[i].lines, h2_head_error_text(error).ptr);
        assert_int_equal(h2_head_error_status(error) / 100, 4);
        (void)http_head_method(&f->head);
        (void)http_head_value(&f->head, HTTP_FIELD_HOST);
    }
    assert_int_equal(decode(f, GET, true), H2_HEAD_OK);
}

static void
nul_bytes_are_refused(void **state)
{
    struct fixture *f = *state;
    decode(f, GET, true);
    h2_head_add(&f->decoder, STR("a"), str_make("x\0y", 3));
    assert_int_equal(h2_head_finish(&f->decoder, true), H2_HEAD_BAD_FIELD_VALUE);
}

/* Every field counts its name, its value and 32. */
static void
the_list_is_bounded_to_the_byte(void **state)
{
    struct fixture *f = *state;
    static char value[HEAD_MAX + 1];
    memset(value, 'v', sizeof value);
    size_t before = 4 * 32 + sizeof ":methodGET:schemehttp:authoritya.b:80:path/x?y" - 1;
    for (unsigned over = 0; over < 2; over++) {
        decode(f, GET, true);
        h2_head_add(&f->decoder, STR("x"), str_make(value, HEAD_MAX - before - 33 + over));
        assert_int_equal(h2_head_finish(&f->decoder, true), over ? H2_HEAD_TOO_LARGE : H2_HEAD_OK);
    }
    h2_head_decoder_init(&f->decoder, &f->head, &f->text, HEAD_MAX);
    h2_head_add(&f->decoder, STR(":path"), str_make(value, HEAD_MAX));
    assert_int_equal(h2_head_finish(&f->decoder, true), H2_HEAD_TARGET_TOO_LONG);
    h2_head_decoder_init(&f->decoder, &f->head, &f->text, HEAD_MAX);
    for (unsigned i = 0; i < 100; i++)
        h2_head_add(&f->decoder, STR("x"), str_make(value, HEAD_MAX));
    assert_true(f->text.len <= HEAD_MAX);
}

/* The joined cookies take room beside their crumbs, within the ceiling. */
static void
the_longest_cookies_are_joined(void **state)
{
    struct fixture *f = *state;
    static char crumb[860];
    memset(crumb, 'c', sizeof crumb);
    decode(f, GET, true);
    h2_head_add(&f->decoder, STR("cookie"), str_make(crumb, sizeof crumb));
    h2_head_add(&f->decoder, STR("cookie"), str_make(crumb, sizeof crumb));
    assert_int_equal(h2_head_finish(&f->decoder, true), H2_HEAD_OK);
    assert_int_equal(http_head_value(&f->head, HTTP_FIELD_COOKIE).len, 2 * sizeof crumb + 2);
}

static void
trailers_are_plain_fields(void **state)
{
    assert_true(h2_trailer_is_valid(STR("x-sum"), STR("1")));
    assert_false(h2_trailer_is_valid(STR(":path"), STR("/")));
    assert_false(h2_trailer_is_valid(STR("X"), STR("1")));
    assert_false(h2_trailer_is_valid(STR(""), STR("1")));
    assert_false(h2_trailer_is_valid(STR("x"), STR("1\n")));
}

static void
priorities_are_read(void **state)
{
    static const struct {
        const char *text;
        unsigned urgency;
        bool incremental;
    } rows[] = {
        {"", 3, 0},          {"u=0", 0, 0},       {"u=7, i", 7, 1},    {"i=?1,u=2", 2, 1},
        {"u=8", 3, 0},       {"u=-1", 3, 0},      {"u", 3, 0},         {"i=?0", 3, 0},
        {"u=1;x=2,i", 1, 1}, {"i;u=5", 3, 1},     {"x=\"u=1\"", 3, 0}, {"u=1, u=2", 2, 0},
        {"i=1", 3, 0},       {" u=5 , i ", 5, 1}, {",,,", 3, 0},       {"u=5, i, i=?0", 5, 0},
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct h2_priority priority;
        h2_priority_parse(str_from_cstr(rows[i].text), &priority);
        if (priority.urgency != rows[i].urgency || priority.incremental != rows[i].incremental)
            fail_msg("%s: %u %d", rows[i].text, priority.urgency, priority.incremental);
    }
    assert_int_equal(decode(f, GET "priority=u=1\n", true), H2_HEAD_OK);
    assert_true(f->decoder.has_priority);
    assert_int_equal(f->decoder.priority.urgency, 1);
}

#define head_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        head_test(a_request_is_the_same_as_in_http1),
        head_test(a_host_field_stands_in_for_the_authority),
        head_test(cookie_crumbs_are_joined),
        head_test(the_length_of_the_body_is_known_or_not),
        head_test(connect_comes_in_two_forms),
        head_test(what_breaks_a_rule_is_refused),
        head_test(nul_bytes_are_refused),
        head_test(the_list_is_bounded_to_the_byte),
        head_test(the_longest_cookies_are_joined),
        head_test(trailers_are_plain_fields),
        head_test(priorities_are_read),
    };
    return cmocka_run_group_tests_name("h2_head", tests, NULL, NULL);
}
