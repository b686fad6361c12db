#include "http/h1_test_run.h"

static const struct refused_row refused_rows[] = {
    /* host */
    REFUSED(GET END, MISSING_HOST),
    REFUSED("GET http://a/ HTTP/1.1\r\n\r\n", MISSING_HOST),
    REFUSED(GET HOST HOST END, REPEATED_HOST),
    REFUSED(GET HOST "X: y\r\nhOST: a\r\n" END, REPEATED_HOST),
    REFUSED("GET / HTTP/1.0\r\n" HOST HOST END, REPEATED_HOST),
    REFUSED(GET "Host: a b\r\n" END, BAD_HOST),
    REFUSED(GET "Host: u@a\r\n" END, BAD_HOST),
    REFUSED("GET / HTTP/1.0\r\nHost: a/b\r\n" END, BAD_HOST),
    /* lengths */
    REFUSED(GET HOST "Content-Length: \r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: -1\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: +1\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: 0x1\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: 1 1\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: 5, 5\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: 9223372036854775808\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: 18446744073709551617\r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: 5\r\nContent-Length: \r\n" END, BAD_CONTENT_LENGTH),
    REFUSED(GET HOST "Content-Length: 5\r\nContent-Length: 6\r\n" END, CONFLICTING_LENGTH),
    REFUSED(GET HOST "Content-Length: 0\r\nContent-Length: 6\r\n" END, CONFLICTING_LENGTH),
    /* transfer codings */
    REFUSED(GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END, LENGTH_AND_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n" END, LENGTH_AND_CODING),
    REFUSED("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END, CODING_IN_HTTP10),
    REFUSED(GET HOST "Transfer-Encoding: identity\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: gzip\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: gzip;q=1\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: gzip, Chunked\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chunk\r\n" END, UNKNOWN_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding:\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: ,\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chunked,\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: gzip,\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: , chunked\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chunked, chunked\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chunked, gzip\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: xchunked\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chunkedx\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chunked;a=b\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: \"chunked\"\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: chun ked\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: gzip\xa0\r\n" END, BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: \x0b"
                     "chunked\r\n" END,
            BAD_FIELD_VALUE),
    REFUSED(GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END,
            BAD_TRANSFER_CODING),
    REFUSED(GET HOST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n" END,
            BAD_TRANSFER_CODING),
    /* expectations */
    REFUSED(GET HOST "Expect: tea\r\n" END, BAD_EXPECTATION),
    REFUSED(GET HOST "Expect: 100-continue, tea\r\n" END, BAD_EXPECTATION),
    REFUSED(GET HOST "Expect: 100-continue\r\nExpect: 200-ok\r\n" END, BAD_EXPECTATION),
};

static void
heads_that_break_a_rule_are_refused(void **state)
{
    assert_refused(refused_rows, sizeof(refused_rows) / sizeof(refused_rows[0]));
}

static void
http10_needs_no_host(void **state)
{
    struct run run;
    decode(&run, STR("GET / HTTP/1.0\r\n\r\n"));
    assert_int_equal(run.result, H1_DONE);
}

static void
body_length_is_read(void **state)
{
    struct run run;
    decode(&run, STR("POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n" END));
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.head.body_kind, HTTP_BODY_LENGTH);
    assert_true(run.head.content_length == INT64_MAX);
    decode(&run, STR(GET HOST "Content-Length: 7\r\ncontent-length:7\r\n" END));
    assert_int_equal(run.result, H1_DONE);
    assert_true(run.head.content_length == 7);
    decode(&run, STR(GET HOST "Content-Length: 0\r\n" END));
    assert_int_equal(run.head.body_kind, HTTP_BODY_LENGTH);
    assert_true(run.head.content_length == 0);
    decode(&run, STR(GET HOST "Transfer-Encoding: \tcHUNKED \r\n" END));
    assert_int_equal(run.result, H1_DONE);
    assert_int_equal(run.head.body_kind, HTTP_BODY_CHUNKED);
}

struct keep_row {
    const char *input;
    bool keep_alive;
};

static const struct keep_row keep_rows[] = {
    {GET HOST END, true},
    {GET HOST "Connection: close\r\n" END, false},
    {GET HOST "Connection: CLOSE\r\n" END, false},
    {GET HOST "Connection: upgrade , ,close\r\n" END, false},
    {GET HOST "Connection: closed\r\n" END, true},
    {GET HOST "Connection: keep-alive\r\nConnection: close\r\n" END, false},
    {GET HOST "Connection: close\r\nX: y\r\nConnection: keep-alive\r\n" END, false},
    {GET HOST "Connection: close, keep-alive\r\n" END, false},
    {GET HOST "Proxy-Connection: close\r\n" END, true},
    {"GET / HTTP/1.0\r\n" HOST END, false},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" END, true},
    {"GET / HTTP/1.0\r\nConnection: x\r\nConnection: y, keep-alive\r\n" END, true},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n" END, false},
};

static void
persistence_follows_version_and_connection_options(void **state)
{
    for (size_t i = 0; i < sizeof(keep_rows) / sizeof(keep_rows[0]); i++) {
        struct run run;
        decode(&run, str_from_cstr(keep_rows[i].input));
        assert_int_equal(run.result, H1_DONE);
        if (run.head.keep_alive != keep_rows[i].keep_alive)
            fail_msg("row %zu", i);
    }
}

static void
expectation_counts_only_in_http11(void **state)
{
    struct run run;
    decode(&run, STR(GET HOST "Expect: 100-Continue\r\n" END));
    assert_int_equal(run.result, H1_DONE);
    assert_true(run.head.expect_continue);
    decode(&run, STR("GET / HTTP/1.0\r\nExpect: 100-continue\r\n" END));
    assert_int_equal(run.result, H1_DONE);
    assert_false(run.head.expect_continue);
    decode(&run, STR(GET HOST "Expect:\r\n" END));
    assert_int_equal(run.result, H1_DONE);
    assert_false(run.head.expect_continue);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_that_break_a_rule_are_refused),
        cmocka_unit_test(http10_needs_no_host),
        cmocka_unit_test(body_length_is_read),
        cmocka_unit_test(persistence_follows_version_and_connection_options),
        cmocka_unit_test(expectation_counts_only_in_http11),
    };
    return cmocka_run_group_tests_name("h1_rules", tests, NULL, NULL);
}
