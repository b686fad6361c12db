#include "http/h1_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { FIELD_MAX = 24, HEAD_MAX = 4096 };

/* Everything a decode leaves behind. */
struct run {
    enum h1_result result;
    struct http_response_head head;
    struct http_field fields[FIELD_MAX];
    struct h1_response_decoder decoder;
};

struct limits {
    enum http_method method;
    uint32_t max;
    uint16_t field_max;
};

static const struct limits usual = {HTTP_METHOD_GET, HEAD_MAX, FIELD_MAX};

static void
run_start(struct run *run, struct limits limits)
{
    memset(run, 0, sizeof(*run));
    http_response_head_init(&run->head, run->fields, limits.field_max);
    h1_response_decoder_init(&run->decoder, &run->head, limits.method, limits.max);
    run->result = H1_MORE;
}

/* Decodes the first `len` bytes of input from a block of exactly that size at a new address, so
 * that a read past the end, or an address kept from the last call, is caught. */
static void
run_feed(struct run *run, struct str input, size_t len)
{
    char *block = malloc(len);
    assert_non_null(block);
    memcpy(block, input.ptr, len);
    run->result = h1_response_decode(&run->decoder, block, len);
    free(block);
    run->head.base = input.ptr;
}

static void
assert_same_run(const struct run *a, const struct run *b)
{
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->decoder.error, b->decoder.error);
    assert_int_equal(a->head.len, b->head.len);
    assert_int_equal(a->head.field_count, b->head.field_count);
    assert_memory_equal(a->fields, b->fields, a->head.field_count * sizeof(a->fields[0]));
    assert_memory_equal(a->head.first, b->head.first, sizeof(a->head.first));
    assert_int_equal(a->head.status, b->head.status);
    assert_int_equal(a->head.version_minor, b->head.version_minor);
    assert_true(str_eq(http_response_reason(&a->head), http_response_reason(&b->head)));
    assert_int_equal(a->head.body_kind, b->head.body_kind);
    assert_int_equal(a->head.keep_alive, b->head.keep_alive);
    assert_true(a->head.content_length == b->head.content_length);
}

/* Decodes `input` whole, byte by byte and split in two everywhere; all must end alike. */
static void
decode_with(struct run *run, struct str input, struct limits limits)
{
    struct run other;
    run_start(run, limits);
    run_feed(run, input, input.len);
    run_start(&other, limits);
    for (size_t len = 1; len <= input.len && other.result == H1_MORE; len++)
        run_feed(&other, input, len);
    assert_same_run(run, &other);
    for (size_t cut = 1; cut < input.len; cut++) {
        run_start(&other, limits);
        run_feed(&other, input, cut);
        if (other.result == H1_MORE)
            run_feed(&other, input, input.len);
        assert_same_run(run, &other);
    }
}

static void
decode(struct run *run, struct str input)
{
    decode_with(run, input, usual);
}

static void
assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_cstr(wanted)))
        fail_msg("got '%.*s', wanted '%s'", STR_ARG(got), wanted);
}

#define OK "HTTP/1.1 200 OK\r\n"
#define OLD "HTTP/1.0 200 OK\r\n"
#define END "\r\n"
#define LENGTH "Content-Length: 5\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define CLOSE "Connection: close\r\n"
#define KEEP "Connection: keep-alive\r\n"

struct refused_row {
    struct str input;
    enum h1_error error;
};

#define REFUSED(literal, name)             \
    {                                      \
        STR_INIT(literal), H1_ERROR_##name \
    }

static const struct refused_row refused_rows[] = {
    /* status line */
    REFUSED("\x16\x03\x01", BAD_STATUS_LINE),
    REFUSED("\0", BAD_STATUS_LINE),
    REFUSED("<html>", BAD_STATUS_LINE),
    REFUSED("\r\n" OK END, BAD_STATUS_LINE),
    REFUSED("\n" OK END, BARE_LF),
    REFUSED(" " OK END, BAD_STATUS_LINE),
    REFUSED("http/1.1 200 OK\r\n", BAD_STATUS_LINE),
    REFUSED("ICY 200 OK\r\n", BAD_STATUS_LINE),
    REFUSED("HTTP 200 OK\r\n", BAD_STATUS_LINE),
    REFUSED("GET / HTTP/1.1\r\n", BAD_STATUS_LINE),
    REFUSED("HTTP/1.1\r\n", BAD_STATUS_LINE),
    REFUSED("HTTP/1.1\n", BARE_LF),
    REFUSED("HTTP/2 200\r\n", BAD_VERSION),
    REFUSED("HTTP/x.1 200\r\n", BAD_VERSION),
    REFUSED("HTTP/1.x 200\r\n", BAD_VERSION),
    REFUSED("HTTP/1,1 200\r\n", BAD_VERSION),
    REFUSED("HTTP/1.10 200\r\n", BAD_VERSION),
    REFUSED("HTTP/11.1 200\r\n", BAD_VERSION),
    REFUSED("HTTP/1.1\t200 OK\r\n", BAD_VERSION),
    REFUSED("HTTP/0.9 200 OK\r\n", UNSUPPORTED_VERSION),
    REFUSED("HTTP/2.0 200 OK\r\n", UNSUPPORTED_VERSION),
    REFUSED("HTTP/1.1 \r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 \n", BARE_LF),
    REFUSED("HTTP/1.1  200 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 20 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 20\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 2000 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 099 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 000 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 +20 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 -20 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 2x0 OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 200\tOK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 200OK\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 200\n", BARE_LF),
    REFUSED("HTTP/1.1 200 \n", BARE_LF),
    REFUSED("HTTP/1.1 200 OK\n", BARE_LF),
    REFUSED("HTTP/1.1 200\rOK\r\n", BARE_CR),
    REFUSED("HTTP/1.1 200 O\rK\r\n", BARE_CR),
    REFUSED("HTTP/1.1 200 O\0K\r\n", BAD_REASON),
    REFUSED("HTTP/1.1 200 \x7f\r\n", BAD_REASON),
    REFUSED("HTTP/1.1 200 A phrase of more than a block \x1b[0m\r\n", BAD_REASON),
    /* field lines */
    REFUSED(OK "\n", BARE_LF),
    REFUSED(OK "\rX", BARE_CR),
    REFUSED(OK " Server: a\r\n", OBS_FOLD),
    REFUSED(OK LENGTH "\tb\r\n\r\n", OBS_FOLD),
    REFUSED(OK "Server : a\r\n", SPACE_BEFORE_COLON),
    REFUSED(OK "Server\t: a\r\n", SPACE_BEFORE_COLON),
    REFUSED(OK ": a\r\n", BAD_FIELD_NAME),
    REFUSED(OK "Server\r\n", BAD_FIELD_NAME),
    REFUSED(OK "HTTP/1.1 200 OK\r\n", BAD_FIELD_NAME),
    REFUSED(OK "Transfer\0Encoding: chunked\r\n", BAD_FIELD_NAME),
    REFUSED(OK "S\xc3\xa9rver: a\r\n", BAD_FIELD_NAME),
    REFUSED(OK "A: b\nB: c\r\n", BARE_LF),
    REFUSED(OK "A: b\rB: c\r\n", BARE_CR),
    REFUSED(OK "A: b\r\r\n", BARE_CR),
    REFUSED(OK "A: b\0c\r\n", BAD_FIELD_VALUE),
    REFUSED(OK "A: \x7f\r\n", BAD_FIELD_VALUE),
    REFUSED(OK "A: a value of more than a block \x01 and on\r\n", BAD_FIELD_VALUE),
    /* lengths */
    REFUSED(OK "Content-Length: \r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK "Content-Length: -1\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK "Content-Length: +1\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK "Content-Length: 0x1\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK "Content-Length: 5, 5\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK "Content-Length: 9223372036854775808\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK "Content-Length: 18446744073709551617\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK LENGTH "Content-Length: \r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(OK LENGTH "Content-Length: 6\r\n" END, CONFLICTING_LENGTH),
    REFUSED("HTTP/1.1 304 Not Modified\r\n" LENGTH "Content-Length: 6\r\n" END, CONFLICTING_LENGTH),
    REFUSED("HTTP/1.1 204 No Content\r\nContent-Length: x\r\n" END, BAD_CONTENT_LENGTH),
    /* transfer codings */
    REFUSED(OK LENGTH CHUNKED END, LENGTH_AND_CODING),
    REFUSED(OK CHUNKED "X: y\r\n" LENGTH END, LENGTH_AND_CODING),
    REFUSED(OLD CHUNKED END, CODING_IN_HTTP10),
    REFUSED(OK "Transfer-Encoding: identity\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding: gzip\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding: gzip, chunked\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding:\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding: chunked, gzip\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding: chunked, chunked\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding: xchunked\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding: chunked;a=b\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(OK CHUNKED "X: y\r\n" CHUNKED END, BAD_TRANSFER_CODING),
    REFUSED(OK "Transfer-Encoding: \x0b"
               "chunked\r\n" END,
            BAD_FIELD_VALUE),
};

static void
malformed_heads_are_refused_alike_however_they_arrive(void **state)
{
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
        struct run run;
        decode(&run, refused_rows[i].input);
        if (run.result != H1_ERROR || run.decoder.error != refused_rows[i].error)
            fail_msg("row %zu: result %d, error '%s'", i, run.result,
                     h1_error_text(run.decoder.error).ptr);
    }
}

/* A wrong byte is seen when it comes: all bytes before it give H1_MORE. */
static void
wrong_byte_is_refused_at_once(void **state)
{
    const struct str inputs[] = {
        STR("HTTQ"),          STR("HTTP/2.0"),           STR("HTTP/1.1 0"), STR("HTTP/1.1 2000"),
        STR("HTTP/1.1 200x"), STR("HTTP/1.1 200 O\x01"), STR(OK " "),       STR(OK "A\x01"),
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct run run;
        run_start(&run, usual);
        run_feed(&run, inputs[i], inputs[i].len - 1);
        assert_int_equal(run.result, H1_MORE);
        run_feed(&run, inputs[i], inputs[i].len);
        assert_int_equal(run.result, H1_ERROR);
    }
}

static void
every_prefix_of_a_good_head_asks_for_more(void **state)
{
    struct str input = STR("HTTP/1.1 206 Partial Content\r\n" LENGTH "X:\r\n" END);
    struct run run;
    for (size_t len = 1; len < input.len; len++) {
        run_start(&run, usual);
        run_feed(&run, input, len);
        assert_int_equal(run.result, H1_MORE);
    }
    decode(&run, input);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.head.len, input.len);
}

static void
parts_of_a_head_are_found(void **state)
{
    struct str input = STR("HTTP/1.1 206 Partial \tContent\r\nETag: \"a\"\r\nSet-Cookie: a=1\r\n"
                           "X-Other: \t a\tb c \t \r\nset-cookie:b=2\r\nEmpty:\r\n"
                           "X-Amz-Checksum-SHA256: abc=\r\nContent-Length: 7\r\n\r\nHTTP/1.1");
    struct run run;
    decode(&run, input);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.head.len, input.len - 8);
    assert_int_equal(run.head.status, 206);
    assert_int_equal(run.head.version_minor, 1);
    assert_str(http_response_reason(&run.head), "Partial \tContent");
    assert_int_equal(run.head.field_count, 7);
    assert_str(http_response_field_name(&run.head, &run.fields[2]), "X-Other");
    assert_str(http_response_field_value(&run.head, &run.fields[2]), "a\tb c");
    assert_int_equal(run.fields[2].id, HTTP_FIELD_OTHER);
    assert_str(http_response_field_value(&run.head, &run.fields[4]), "");
    assert_str(http_response_value(&run.head, HTTP_FIELD_ETAG), "\"a\"");
    assert_str(http_response_value(&run.head, HTTP_FIELD_X_AMZ_CHECKSUM_SHA256), "abc=");
    assert_null(http_response_value(&run.head, HTTP_FIELD_LOCATION).ptr);
    assert_false(http_response_has(&run.head, HTTP_FIELD_LOCATION));
    assert_true(run.head.content_length == 7);
}

static void
lines_of_a_name_are_listed_in_order(void **state)
{
    struct run run;
    decode(&run, STR(OK "Set-Cookie: a\r\nX: y\r\nVary: x\r\nset-cookie: b\r\n" END));
    struct http_lines lines = http_response_lines(&run.head, HTTP_FIELD_SET_COOKIE);
    struct str value;
    assert_true(http_lines_next(&lines, &value));
    assert_str(value, "a");
    assert_true(http_lines_next(&lines, &value));
    assert_str(value, "b");
    assert_false(http_lines_next(&lines, &value));
    lines = http_response_lines(&run.head, HTTP_FIELD_ETAG);
    assert_false(http_lines_next(&lines, &value));
}

static void
names_of_requests_and_of_responses_are_known(void **state)
{
    struct run run;
    decode(&run, STR(OK "Upgrade: a\r\nTE: b\r\nAccept: c\r\nDate: d\r\nServer: e\r\n" END));
    assert_str(http_response_value(&run.head, HTTP_FIELD_UPGRADE), "a");
    assert_str(http_response_value(&run.head, HTTP_FIELD_TE), "b");
    assert_str(http_response_value(&run.head, HTTP_FIELD_ACCEPT), "c");
    assert_str(http_response_value(&run.head, HTTP_FIELD_DATE), "d");
    assert_str(http_response_value(&run.head, HTTP_FIELD_SERVER), "e");
}

struct reason_row {
    const char *line;
    const char *reason;
};

static const struct reason_row reason_rows[] = {
    {"HTTP/1.1 200\r\n", ""},
    {"HTTP/1.1 200 \r\n", ""},
    {"HTTP/1.1 200  \r\n", " "},
    {"HTTP/1.1 200 OK \r\n", "OK "},
    {"HTTP/1.1 200 \t\r\n", "\t"},
    {"HTTP/1.1 404 Not Found\r\n", "Not Found"},
    {"HTTP/1.1 404 Pas trouv\xe9 \xc3\xa9\r\n", "Pas trouv\xe9 \xc3\xa9"},
    {"HTTP/1.1 200 !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\r\n",
     "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"},
};

static void
reason_may_be_anything_or_nothing(void **state)
{
    for (size_t i = 0; i < sizeof(reason_rows) / sizeof(reason_rows[0]); i++) {
        char input[128] = "";
        strcat(strcat(input, reason_rows[i].line), "X: y\r\n" END);
        struct run run;
        decode(&run, str_from_cstr(input));
        assert_int_equal(run.result, H1_DONE);
        assert_str(http_response_reason(&run.head), reason_rows[i].reason);
        assert_int_equal(run.head.field_count, 1);
    }
}

static void
every_status_from_100_to_999_is_read(void **state)
{
    for (int status = 0; status <= 999; status++) {
        char input[64];
        int len = snprintf(input, sizeof(input), "HTTP/1.1 %03d x\r\n\r\n", status);
        struct run run;
        run_start(&run, usual);
        run_feed(&run, str_make(input, (size_t)len), (size_t)len);
        assert_int_equal(run.result, status < 100 ? H1_ERROR : H1_DONE);
        if (status >= 100)
            assert_int_equal(run.head.status, status);
    }
}

/* Every byte value in every place where it makes a difference, against the grammar written out. */
static void
each_byte_value_is_judged_by_its_place(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bool digit = c >= '0' && c <= '9';
        bool text = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        bool token =
            text && byte < 0x80 && byte > 0x20 && memchr("\"(),/:;<=>?@[\\]{}", c, 17) == NULL;
        const char *formats[] = {
            "HTTP/1.@ 200 OK\r\n\r\n",
            "HTTP/@.1 200 OK\r\n\r\n",
            "HTTP/1.1 @00 OK\r\n\r\n",
            "HTTP/1.1 20@ OK\r\n\r\n",
            "HTTP/1.1 200@OK\r\n\r\n",
            "HTTP/1.1@200 OK\r\n\r\n",
            "HTTP/1.1 200 aaaaaaaaaaaaaaaaaa@a\r\n\r\n",
            "HTTP/1.1 200 OK\r\naaaaaaaaaaaaaaaaaaaaa@a: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: aaaaaaaaaaaaaaaaaa@a\r\n\r\n",
        };
        const bool wanted[] = {digit,    c == '1', digit && c != '0', digit, c == ' ',
                               c == ' ', text,     token || c == ':', text};
        for (unsigned i = 0; i < sizeof(wanted); i++) {
            char input[80];
            size_t len = strlen(formats[i]);
            memcpy(input, formats[i], len);
            *(char *)memchr(input, '@', len) = c;
            struct run run;
            decode(&run, str_make(input, len));
            if ((run.result == H1_DONE) != wanted[i])
                fail_msg("byte %u in place %u: result %d", byte, i, run.result);
        }
    }
}

struct framing_row {
    const char *input;
    enum http_method method;
    enum http_body_kind body_kind;
    bool keep_alive;
    uint64_t content_length;
};

#define GET HTTP_METHOD_GET
#define HEAD HTTP_METHOD_HEAD
#define CONNECT HTTP_METHOD_CONNECT
#define S(status) "HTTP/1.1 " #status " x\r\n"

static const struct framing_row framing_rows[] = {
    /* by the fields */
    {OK LENGTH END, GET, HTTP_BODY_LENGTH, true, 5},
    {OK LENGTH "content-length:5\r\n" END, GET, HTTP_BODY_LENGTH, true, 5},
    {OK "Content-Length: 0\r\n" END, GET, HTTP_BODY_LENGTH, true, 0},
    {OK "Content-Length: 9223372036854775807\r\n" END, GET, HTTP_BODY_LENGTH, true, INT64_MAX},
    {OK CHUNKED END, GET, HTTP_BODY_CHUNKED, true, 0},
    {OK "Transfer-Encoding: \tcHUNKED \r\n" END, GET, HTTP_BODY_CHUNKED, true, 0},
    {OK END, GET, HTTP_BODY_CLOSE, false, 0},
    {OK KEEP END, GET, HTTP_BODY_CLOSE, false, 0},
    {OLD END, GET, HTTP_BODY_CLOSE, false, 0},
    {OLD LENGTH END, GET, HTTP_BODY_LENGTH, false, 5},
    {S(205) LENGTH END, GET, HTTP_BODY_LENGTH, true, 5},
    {S(205) END, GET, HTTP_BODY_CLOSE, false, 0},
    {S(500) LENGTH END, HTTP_METHOD_OTHER, HTTP_BODY_LENGTH, true, 5},
    {S(999) CHUNKED END, HTTP_METHOD_POST, HTTP_BODY_CHUNKED, true, 0},
    /* none by method */
    {OK LENGTH END, HEAD, HTTP_BODY_NONE, true, 5},
    {OK CHUNKED END, HEAD, HTTP_BODY_NONE, true, 0},
    {OK END, HEAD, HTTP_BODY_NONE, true, 0},
    {OK CLOSE LENGTH END, HEAD, HTTP_BODY_NONE, false, 5},
    {S(404) LENGTH END, HEAD, HTTP_BODY_NONE, true, 5},
    {OLD LENGTH END, HEAD, HTTP_BODY_NONE, false, 5},
    /* none by status */
    {S(100) END, HTTP_METHOD_POST, HTTP_BODY_NONE, true, 0},
    {S(103) "Link: a\r\n" END, GET, HTTP_BODY_NONE, true, 0},
    {S(199) LENGTH END, GET, HTTP_BODY_NONE, true, 5},
    {S(204) END, GET, HTTP_BODY_NONE, true, 0},
    {S(204) "Content-Length: 0\r\n" END, GET, HTTP_BODY_NONE, true, 0},
    {S(204) LENGTH END, GET, HTTP_BODY_NONE, false, 5},
    {S(204) CHUNKED END, GET, HTTP_BODY_NONE, false, 0},
    {S(304) END, GET, HTTP_BODY_NONE, true, 0},
    {S(304) LENGTH END, GET, HTTP_BODY_NONE, true, 5},
    {S(304) CHUNKED END, GET, HTTP_BODY_NONE, true, 0},
    {S(304) CLOSE END, GET, HTTP_BODY_NONE, false, 0},
    /* tunnels */
    {S(101) "Upgrade: websocket\r\nConnection: upgrade\r\n" END, GET, HTTP_BODY_TUNNEL, false, 0},
    {S(101) LENGTH END, GET, HTTP_BODY_TUNNEL, false, 0},
    {S(200) END, CONNECT, HTTP_BODY_TUNNEL, false, 0},
    {S(299) LENGTH CHUNKED END, CONNECT, HTTP_BODY_TUNNEL, false, 0},
    {S(204) END, CONNECT, HTTP_BODY_TUNNEL, false, 0},
    {OLD "Content-Length: x\r\n" END, CONNECT, HTTP_BODY_TUNNEL, false, 0},
    {S(300) LENGTH END, CONNECT, HTTP_BODY_LENGTH, true, 5},
    {S(407) END, CONNECT, HTTP_BODY_CLOSE, false, 0},
    {S(100) END, CONNECT, HTTP_BODY_NONE, true, 0},
    /* persistence */
    {OK CLOSE LENGTH END, GET, HTTP_BODY_LENGTH, false, 5},
    {OK "Connection: x , CLOSE\r\n" LENGTH END, GET, HTTP_BODY_LENGTH, false, 5},
    {OK KEEP "X: y\r\n" CLOSE CHUNKED END, GET, HTTP_BODY_CHUNKED, false, 0},
    {OK "Connection: closed\r\n" LENGTH END, GET, HTTP_BODY_LENGTH, true, 5},
    {OLD KEEP LENGTH END, GET, HTTP_BODY_LENGTH, true, 5},
    {OLD KEEP END, GET, HTTP_BODY_CLOSE, false, 0},
    {OLD KEEP END, HEAD, HTTP_BODY_NONE, true, 0},
    {"HTTP/1.7 200\r\n" LENGTH END, GET, HTTP_BODY_LENGTH, true, 5},
};

static void
body_and_persistence_follow_method_status_and_fields(void **state)
{
    for (size_t i = 0; i < sizeof(framing_rows) / sizeof(framing_rows[0]); i++) {
        const struct framing_row *row = &framing_rows[i];
        struct run run;
        decode_with(&run, str_from_cstr(row->input),
                    (struct limits){row->method, HEAD_MAX, FIELD_MAX});
        if (run.result != H1_DONE || run.head.body_kind != row->body_kind)
            fail_msg("row %zu: result %d, body %d", i, run.result, run.head.body_kind);
        if (run.head.keep_alive != row->keep_alive ||
            run.head.content_length != row->content_length)
            fail_msg("row %zu: keep-alive or length", i);
    }
}

static void
tunnel_rule_does_not_excuse_bad_syntax(void **state)
{
    struct run run;
    decode_with(&run, STR(OK "A : b\r\n" END),
                (struct limits){HTTP_METHOD_CONNECT, HEAD_MAX, FIELD_MAX});
    assert_int_equal(run.decoder.error, H1_ERROR_SPACE_BEFORE_COLON);
}

/* What a caller does with interim responses: a fresh decoder behind each. */
static void
interim_responses_are_followed_by_the_next(void **state)
{
    struct str input =
        STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: a\r\n\r\n" OK LENGTH END);
    const int statuses[] = {100, 103, 200};
    struct run run;
    run_start(&run, usual);
    for (unsigned i = 0; i < 3; i++) {
        h1_response_decoder_init(&run.decoder, &run.head, HTTP_METHOD_GET, HEAD_MAX);
        run_feed(&run, input, input.len);
        assert_int_equal(run.result, H1_DONE);
        assert_int_equal(run.head.status, statuses[i]);
        assert_int_equal(run.head.field_count, i > 0);
        input = str_skip(input, run.head.len);
    }
    assert_int_equal(input.len, 0);
    assert_int_equal(run.head.body_kind, HTTP_BODY_LENGTH);
}

static void
head_of_exactly_max_bytes_is_accepted(void **state)
{
    struct str input = STR(OK LENGTH END);
    struct run run;
    struct limits limits = usual;
    limits.max = (uint32_t)input.len;
    decode_with(&run, input, limits);
    assert_int_equal(run.result, H1_DONE);
    while (limits.max-- > 0) {
        decode_with(&run, input, limits);
        assert_int_equal(run.result, H1_ERROR);
        assert_int_equal(run.decoder.error, H1_ERROR_TOO_LARGE);
    }
}

/* The ceiling is applied when max bytes are there, not one later. */
static void
head_is_too_large_at_max_bytes(void **state)
{
    struct str input = STR(OK "X: yyyyyyyyyyyyyyyyyyyyyyyy");
    struct run run;
    run_start(&run, (struct limits){HTTP_METHOD_GET, (uint32_t)input.len, FIELD_MAX});
    run_feed(&run, input, input.len - 1);
    assert_int_equal(run.result, H1_MORE);
    run_feed(&run, input, input.len);
    assert_int_equal(run.result, H1_ERROR);
    assert_int_equal(run.decoder.error, H1_ERROR_TOO_LARGE);
    assert_int_equal(run.head.status, 200);
}

static void
field_ceiling_is_exact(void **state)
{
    struct run run;
    const struct limits two = {HTTP_METHOD_GET, HEAD_MAX, 2};
    decode_with(&run, STR(OK LENGTH "A: b\r\n" END), two);
    assert_int_equal(run.result, H1_DONE);
    decode_with(&run, STR(OK LENGTH "A: b\r\nC" END), two);
    assert_int_equal(run.decoder.error, H1_ERROR_TOO_MANY_FIELDS);
    assert_int_equal(run.head.field_count, 2);
}

static void
result_is_repeated_when_called_again(void **state)
{
    struct str good = STR(OK LENGTH END "hello");
    struct run run;
    run_start(&run, usual);
    run_feed(&run, good, good.len - 2);
    run_feed(&run, good, good.len);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.head.len, good.len - 5);
    run_start(&run, usual);
    run_feed(&run, STR("\x16"), 1);
    run_feed(&run, STR("\x16\x03"), 2);
    assert_int_equal(run.result, H1_ERROR);
    assert_int_equal(run.decoder.error, H1_ERROR_BAD_STATUS_LINE);
}

static void
decoder_is_reusable_for_the_next_response(void **state)
{
    struct run run;
    struct str first = STR("HTTP/1.0 404 Not Found\r\nETag: a\r\n" LENGTH END);
    run_start(&run, usual);
    run_feed(&run, first, first.len);
    assert_int_equal(run.head.body_kind, HTTP_BODY_LENGTH);
    h1_response_decoder_init(&run.decoder, &run.head, HTTP_METHOD_HEAD, HEAD_MAX);
    struct str second = STR("HTTP/1.1 200\r\n" KEEP END);
    run_feed(&run, second, second.len);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.head.field_count, 1);
    assert_false(http_response_has(&run.head, HTTP_FIELD_ETAG));
    assert_int_equal(run.head.reason_len, 0);
    assert_int_equal(run.head.body_kind, HTTP_BODY_NONE);
    assert_true(run.head.content_length == 0);
}

/* One line of LEN bytes, byte by byte. Work that grew with the square of the length would be some
 * 10^12 steps; the time allowed is far more than a linear decoder needs even under a sanitizer on a
 * loaded machine. */
static void
byte_by_byte_costs_linear_time(void **state)
{
    enum { LEN = 1 << 20, ALLOWED_SECONDS = 20 };
    const char *starts[] = {"HTTP/1.1 200 ", OK "A: b", OK "A:"};
    const char fills[] = {'r', 'v', ' '};
    char *input = malloc(LEN);
    assert_non_null(input);
    for (unsigned i = 0; i < sizeof(fills); i++) {
        memset(input, fills[i], LEN);
        memcpy(input, starts[i], strlen(starts[i]));
        struct run run;
        run_start(&run, (struct limits){HTTP_METHOD_GET, LEN + 1, FIELD_MAX});
        clock_t start = clock();
        for (size_t len = 1; len <= LEN; len++)
            if (h1_response_decode(&run.decoder, input, len) != H1_MORE)
                fail_msg("part %u ends at %zu", i, len);
        assert_true(clock() - start < (clock_t)ALLOWED_SECONDS * CLOCKS_PER_SEC);
    }
    free(input);
}

static void
errors_have_texts(void **state)
{
    assert_str(h1_error_text(H1_ERROR_BAD_STATUS_LINE), "malformed status line");
    assert_int_equal(h1_error_status(H1_ERROR_BAD_STATUS), 502);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_heads_are_refused_alike_however_they_arrive),
        cmocka_unit_test(wrong_byte_is_refused_at_once),
        cmocka_unit_test(every_prefix_of_a_good_head_asks_for_more),
        cmocka_unit_test(parts_of_a_head_are_found),
        cmocka_unit_test(lines_of_a_name_are_listed_in_order),
        cmocka_unit_test(names_of_requests_and_of_responses_are_known),
        cmocka_unit_test(reason_may_be_anything_or_nothing),
        cmocka_unit_test(every_status_from_100_to_999_is_read),
        cmocka_unit_test(each_byte_value_is_judged_by_its_place),
        cmocka_unit_test(body_and_persistence_follow_method_status_and_fields),
        cmocka_unit_test(tunnel_rule_does_not_excuse_bad_syntax),
        cmocka_unit_test(interim_responses_are_followed_by_the_next),
        cmocka_unit_test(head_of_exactly_max_bytes_is_accepted),
        cmocka_unit_test(head_is_too_large_at_max_bytes),
        cmocka_unit_test(field_ceiling_is_exact),
        cmocka_unit_test(result_is_repeated_when_called_again),
        cmocka_unit_test(decoder_is_reusable_for_the_next_response),
        cmocka_unit_test(byte_by_byte_costs_linear_time),
        cmocka_unit_test(errors_have_texts),
    };
    return cmocka_run_group_tests_name("h1_response", tests, NULL, NULL);
}
