#include "http/h1_test_run.h"

#include <time.h>

static const struct refused_row refused_rows[] = {
    /* request line */
    REFUSED("\x16\x03\x01", BAD_METHOD),
    REFUSED("\0", BAD_METHOD),
    REFUSED("\x80", BAD_METHOD),
    REFUSED("G(T / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("GET\t/ HTTP/1.1\r\n", BAD_METHOD),
    REFUSED(" GET / HTTP/1.1\r\n", BAD_REQUEST_LINE),
    REFUSED("GET\r\n", BAD_REQUEST_LINE),
    REFUSED("GET\n", BARE_LF),
    REFUSED("\n", BARE_LF),
    REFUSED("\r\n\n", BARE_LF),
    REFUSED("\rGET", BARE_CR),
    REFUSED("\r\n\r\n\r\n\r\n\r\n", BAD_REQUEST_LINE),
    REFUSED("GET /\r\n", BAD_REQUEST_LINE),
    REFUSED("GET /\n", BARE_LF),
    REFUSED("GET \r\n", BAD_REQUEST_LINE),
    REFUSED("GET  / HTTP/1.1\r\n", BAD_REQUEST_LINE),
    REFUSED("GET /  HTTP/1.1\r\n", BAD_REQUEST_LINE),
    REFUSED("GET / \r\n", BAD_REQUEST_LINE),
    REFUSED("GET /\0 HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a\tb HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a\x7f HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a-long-target-with-del-behind-a-block\x7f HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET / a HTTP/1.1\r\n", BAD_VERSION),
    REFUSED("GET / http/1.1\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/2\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1.\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1.10\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/11.1\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1.1 \r\n", BAD_VERSION),
    REFUSED("GET / HTTP/x.1\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1.1\n", BARE_LF),
    REFUSED("GET / HTTP/1.1\rX", BARE_CR),
    REFUSED("GET / HTTP/1.1\r\r\n", BARE_CR),
    REFUSED("GET / HTTP/0.9\r\n", UNSUPPORTED_VERSION),
    REFUSED("GET / HTTP/2.0\r\n", UNSUPPORTED_VERSION),
    REFUSED("GET / HTTP/3.0\r\n", UNSUPPORTED_VERSION),
    REFUSED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", UNSUPPORTED_VERSION),
    /* field lines */
    REFUSED(GET "\n", BARE_LF),
    REFUSED(GET "\rX", BARE_CR),
    REFUSED(GET " Host: a\r\n", OBS_FOLD),
    REFUSED(GET HOST " b\r\n\r\n", OBS_FOLD),
    REFUSED(GET HOST "\tb\r\n\r\n", OBS_FOLD),
    REFUSED(GET "Host : a\r\n", SPACE_BEFORE_COLON),
    REFUSED(GET "Host\t: a\r\n", SPACE_BEFORE_COLON),
    REFUSED(GET ": a\r\n", BAD_FIELD_NAME),
    REFUSED(GET "Host\r\n", BAD_FIELD_NAME),
    REFUSED(GET "Host\n", BARE_LF),
    REFUSED(GET "H\xc3\xb6st: a\r\n", BAD_FIELD_NAME),
    REFUSED(GET "H(st: a\r\n", BAD_FIELD_NAME),
    REFUSED(GET "Transfer\0Encoding: chunked\r\n", BAD_FIELD_NAME),
    REFUSED(GET "A-name-longer-than-one-block{: chunked\r\n", BAD_FIELD_NAME),
    REFUSED(GET "A: b\nB: c\r\n", BARE_LF),
    REFUSED(GET "A: b\rB: c\r\n", BARE_CR),
    REFUSED(GET "A: b\r\r\n", BARE_CR),
    REFUSED(GET "A: b\0c\r\n", BAD_FIELD_VALUE),
    REFUSED(GET "A: \x7f\r\n", BAD_FIELD_VALUE),
    REFUSED(GET "A: a value of more than a block \x01 and on\r\n", BAD_FIELD_VALUE),
    REFUSED(GET "A: \t\t \x1f\r\n", BAD_FIELD_VALUE),
};

static void
malformed_heads_are_refused_alike_however_they_arrive(void **state)
{
    assert_refused(refused_rows, sizeof(refused_rows) / sizeof(refused_rows[0]));
}

/* A wrong byte is seen when it comes: all bytes before it give H1_MORE, for errors that a single
 * byte decides. */
static void
wrong_byte_is_refused_at_once(void **state)
{
    const struct str inputs[] = {
        STR("GET /\x01"),  STR("GET / HTTQ"),  STR("GET / HTTP/2.0"), STR(GET "Ho "),
        STR(GET "A:\x01"), STR(GET "A: b\rx"), STR(GET HOST " "),     STR("G\x80"),
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct run run;
        run_start_with(&run, HEAD_MAX, FIELD_MAX);
        run_feed(&run, inputs[i], inputs[i].len - 1);
        assert_int_equal(run.result, H1_MORE);
        run_feed(&run, inputs[i], inputs[i].len);
        assert_int_equal(run.result, H1_ERROR);
    }
}

static void
every_prefix_of_a_good_head_asks_for_more(void **state)
{
    struct str input = STR("\r\nPUT /a?b HTTP/1.1\r\n" HOST "Content-Length: 3\r\nX:\r\n" END);
    struct run run;
    for (size_t len = 1; len < input.len; len++) {
        run_start_with(&run, HEAD_MAX, FIELD_MAX);
        run_feed(&run, input, len);
        assert_int_equal(run.result, H1_MORE);
    }
    decode(&run, input);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.decoder.head_len, input.len);
}

static void
parts_of_a_head_are_found(void **state)
{
    struct str input = STR("\r\n\r\nGET /caf\xc3\xa9?q=1 HTTP/1.1\r\nHost: example.com:80\r\n"
                           "ACCEPT-encoding:gzip\r\nX-Other: \t a\tb c \t \r\n"
                           "accept-encoding: br\r\nEmpty:\r\nBlank: \t \r\n\r\nnext");
    struct run run;
    decode(&run, input);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.decoder.head_len, input.len - 4);
    assert_int_equal(run.head.method, HTTP_METHOD_GET);
    assert_str(http_head_method(&run.head), "GET");
    assert_str(http_head_target(&run.head), "/caf\xc3\xa9?q=1");
    assert_int_equal(run.head.version_minor, 1);
    assert_int_equal(run.head.field_count, 6);
    assert_str(http_field_name(&run.head, &run.fields[2]), "X-Other");
    assert_str(http_field_value(&run.head, &run.fields[2]), "a\tb c");
    assert_int_equal(run.fields[2].id, HTTP_FIELD_OTHER);
    assert_str(http_field_value(&run.head, &run.fields[4]), "");
    assert_str(http_field_value(&run.head, &run.fields[5]), "");
    assert_int_equal(run.head.first[HTTP_FIELD_ACCEPT_ENCODING], 2);
    assert_int_equal(run.fields[3].id, HTTP_FIELD_ACCEPT_ENCODING);
    assert_str(http_head_value(&run.head, HTTP_FIELD_HOST), "example.com:80");
    assert_null(http_head_value(&run.head, HTTP_FIELD_COOKIE).ptr);
    assert_int_equal(run.head.body_kind, HTTP_BODY_NONE);
}

static void
unusual_but_legal_heads_are_accepted(void **state)
{
    const struct str inputs[] = {
        STR("\r\n\r\n\r\n\r\n" GET HOST END),
        STR("M-SEARCH!#$%&'*+.^_`|~09az * HTTP/1.1\r\n" HOST END),
        STR("OPTIONS * HTTP/1.1\r\n" HOST END),
        STR("CONNECT a:443 HTTP/1.1\r\n" HOST END),
        STR("GET /\x80\xff|\"<>\\^`{} HTTP/1.1\r\n" HOST END),
        STR(GET "Host:\r\n" END),
        STR(GET HOST "X_under.score: 1\r\n!#$%&'*+-.^_`|~: 2\r\n" END),
        STR(GET HOST "X: \x80\xff\"(),/:;<=>?@[\\]{}\r\n" END),
        STR(GET HOST "X:y:z\r\n" END),
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct run run;
        decode(&run, inputs[i]);
        if (run.result != H1_DONE)
            fail_msg("row %zu: '%s'", i, h1_error_text(run.decoder.error).ptr);
        assert_int_equal(run.decoder.head_len, inputs[i].len);
    }
}

/* Every byte value in every place where it makes a difference, against the grammar written out. */
static void
each_byte_value_is_judged_by_its_place(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bool token = byte && byte < 0x80 &&
                     strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                            c) != NULL;
        bool target = byte > 0x20 && byte != 0x7f;
        bool text = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        const char *formats[] = {"aaaaaaaaaaaaaaaaaaaaa@a / HTTP/1.1\r\nHost: a\r\n\r\n",
                                 "a /aaaaaaaaaaaaaaaaaaaa@a HTTP/1.1\r\nHost: a\r\n\r\n",
                                 "a / HTTP/1.1\r\nHost: a\r\naaaaaaaaaaaaaaaaaaaaa@a: a\r\n\r\n",
                                 "a / HTTP/1.1\r\nHost: a\r\na: aaaaaaaaaaaaaaaaaa@a\r\n\r\n"};
        const bool wanted[] = {token, target, token || c == ':', text};
        for (unsigned i = 0; i < 4; i++) {
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

static void
versions_from_1_2_on_are_served_as_1_1(void **state)
{
    const char *versions[] = {"1.0", "1.1", "1.2", "1.9"};
    for (unsigned i = 0; i < 4; i++) {
        char input[64] = "GET / HTTP/";
        strcat(strcat(input, versions[i]), "\r\n" HOST END);
        struct run run;
        decode(&run, str_from_cstr(input));
        assert_int_equal(run.result, H1_DONE);
        assert_int_equal(run.head.version_minor, i > 0);
    }
}

static void
head_of_exactly_max_bytes_is_accepted(void **state)
{
    struct str input = STR("\r\n" GET HOST END);
    struct run run;
    decode_with(&run, input, (uint32_t)input.len, FIELD_MAX);
    assert_int_equal(run.result, H1_DONE);
    for (uint32_t max = 0; max < input.len; max++) {
        decode_with(&run, input, max, FIELD_MAX);
        assert_int_equal(run.result, H1_ERROR);
        bool line_ended = max >= strlen("\r\n" GET);
        assert_int_equal(run.decoder.error,
                         line_ended ? H1_ERROR_TOO_LARGE : H1_ERROR_LINE_TOO_LONG);
    }
}

/* The ceiling is applied when max bytes are there, not one later. */
static void
head_is_too_large_at_max_bytes(void **state)
{
    struct str input = STR(GET HOST "X: yyyyyyyyyyyyyyyyyyyyyyyy");
    struct run run;
    run_start_with(&run, (uint32_t)input.len, FIELD_MAX);
    run_feed(&run, input, input.len - 1);
    assert_int_equal(run.result, H1_MORE);
    run_feed(&run, input, input.len);
    assert_int_equal(run.result, H1_ERROR);
    assert_int_equal(run.decoder.error, H1_ERROR_TOO_LARGE);
    assert_str(http_head_target(&run.head), "/");
}

static void
wrong_byte_behind_the_ceiling_is_not_looked_at(void **state)
{
    struct run run;
    decode_with(&run, STR("GET /aaaaaaaaaaaaaaaaaaaaa\x01"), 20, FIELD_MAX);
    assert_int_equal(run.decoder.error, H1_ERROR_LINE_TOO_LONG);
}

static void
field_ceiling_is_exact(void **state)
{
    struct run run;
    decode_with(&run, STR(GET HOST "A: b\r\n" END), HEAD_MAX, 2);
    assert_int_equal(run.result, H1_DONE);
    decode_with(&run, STR(GET HOST "A: b\r\nC" END), HEAD_MAX, 2);
    assert_int_equal(run.result, H1_ERROR);
    assert_int_equal(run.decoder.error, H1_ERROR_TOO_MANY_FIELDS);
    assert_int_equal(run.head.field_count, 2);
}

static void
name_over_64_kib_is_too_large(void **state)
{
    enum { PREFIX_LEN = sizeof(GET HOST) - 1, LEN = PREFIX_LEN + 65536 + 5 };
    char *input = malloc(LEN);
    assert_non_null(input);
    for (size_t name_len = 65535; name_len <= 65536; name_len++) {
        memcpy(input, GET HOST, PREFIX_LEN);
        memset(input + PREFIX_LEN, 'n', name_len);
        memcpy(input + PREFIX_LEN + name_len, ":\r\n\r\n", 5);
        struct run run;
        run_start_with(&run, 1 << 20, FIELD_MAX);
        run.result = h1_head_decode(&run.decoder, input, PREFIX_LEN + name_len + 5);
        assert_int_equal(run.result, name_len == 65535 ? H1_DONE : H1_ERROR);
        assert_int_equal(run.decoder.error, name_len == 65535 ? H1_ERROR_NONE : H1_ERROR_TOO_LARGE);
    }
    free(input);
}

static void
result_is_repeated_when_called_again(void **state)
{
    struct str good = STR(GET HOST END "GET");
    struct run run;
    run_start_with(&run, HEAD_MAX, FIELD_MAX);
    run_feed(&run, good, good.len);
    run_feed(&run, good, good.len);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.decoder.head_len, good.len - 3);
    run_start_with(&run, HEAD_MAX, FIELD_MAX);
    run_feed(&run, STR("\x16"), 1);
    run_feed(&run, STR("\x16\x03"), 2);
    assert_int_equal(run.result, H1_ERROR);
    assert_int_equal(run.decoder.error, H1_ERROR_BAD_METHOD);
}

static void
decoder_is_reusable_for_the_next_request(void **state)
{
    struct run run;
    run_start_with(&run, HEAD_MAX, FIELD_MAX);
    struct str first =
        STR("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n" END);
    run_feed(&run, first, first.len);
    assert_int_equal(run.result, H1_DONE);
    h1_head_decoder_init(&run.decoder, &run.head, HEAD_MAX);
    struct str second = STR(GET "X: y\r\n" HOST END);
    run_feed(&run, second, second.len);
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.head.field_count, 2);
    assert_false(http_head_has(&run.head, HTTP_FIELD_CONTENT_LENGTH));
    assert_int_equal(run.head.body_kind, HTTP_BODY_NONE);
}

/* One line of LEN bytes, byte by byte, in each part of a head. Work that grew with the square of
 * the length would be some 10^12 steps; the time allowed is far more than a linear decoder needs
 * even under a sanitizer on a loaded machine. */
static void
byte_by_byte_costs_linear_time(void **state)
{
    enum { LEN = 1 << 20, ALLOWED_SECONDS = 20 };
    const char *starts[] = {"", "GET /", GET "A: b", GET "A:", GET "A: b"};
    const char fills[] = {'M', 'a', 'v', ' ', '\t'};
    char *input = malloc(LEN);
    assert_non_null(input);
    for (unsigned i = 0; i < sizeof(fills); i++) {
        size_t start_len = strlen(starts[i]);
        memset(input, fills[i], LEN);
        memcpy(input, starts[i], start_len);
        struct run run;
        run_start_with(&run, LEN + 1, FIELD_MAX);
        clock_t start = clock();
        for (size_t len = 1; len <= LEN; len++)
            if (h1_head_decode(&run.decoder, input, len) != H1_MORE)
                fail_msg("part %u ends at %zu", i, len);
        assert_true(clock() - start < (clock_t)ALLOWED_SECONDS * CLOCKS_PER_SEC);
    }
    free(input);
}

static void
errors_have_status_and_text(void **state)
{
    assert_int_equal(h1_error_status(H1_ERROR_LINE_TOO_LONG), 414);
    assert_int_equal(h1_error_status(H1_ERROR_TOO_LARGE), 431);
    assert_int_equal(h1_error_status(H1_ERROR_UNSUPPORTED_VERSION), 505);
    assert_str(h1_error_text(H1_ERROR_OBS_FOLD), "folded header line");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_heads_are_refused_alike_however_they_arrive),
        cmocka_unit_test(wrong_byte_is_refused_at_once),
        cmocka_unit_test(every_prefix_of_a_good_head_asks_for_more),
        cmocka_unit_test(parts_of_a_head_are_found),
        cmocka_unit_test(unusual_but_legal_heads_are_accepted),
        cmocka_unit_test(each_byte_value_is_judged_by_its_place),
        cmocka_unit_test(versions_from_1_2_on_are_served_as_1_1),
        cmocka_unit_test(head_of_exactly_max_bytes_is_accepted),
        cmocka_unit_test(head_is_too_large_at_max_bytes),
        cmocka_unit_test(wrong_byte_behind_the_ceiling_is_not_looked_at),
        cmocka_unit_test(field_ceiling_is_exact),
        cmocka_unit_test(name_over_64_kib_is_too_large),
        cmocka_unit_test(result_is_repeated_when_called_again),
        cmocka_unit_test(decoder_is_reusable_for_the_next_request),
        cmocka_unit_test(byte_by_byte_costs_linear_time),
        cmocka_unit_test(errors_have_status_and_text),
    };
    return cmocka_run_group_tests_name("h1_head", tests, NULL, NULL);
}
