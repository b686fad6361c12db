#include "tls/tls_test_run.h"

/* What is not TLS, or not TLS that was meant well. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
load_one(struct fixture *fixture)
{
    write_names(fixture, "a.pem", "DNS:a.test");
    fixture->config.allow_tls12 = true;
    load_dir(fixture);
}

/* Feeds bytes from a fresh client's place, `step` at a time; the handshake's result. */
static enum tls_result
feed(struct link *link, struct str bytes, size_t step)
{
    for (size_t at = 0; at < bytes.len; at += step) {
        struct str part = str_first(str_skip(bytes, at), step);
        char *lent = malloc(part.len);
        memcpy(lent, part.ptr, part.len);
        tls_stream_feed(link->stream, lent, part.len);
        stream_run(link);
        assert_true(tls_stream_hold_input(link->stream));
        free(lent);
        if (link->handshake == TLS_FAILED)
            break;
    }
    return link->handshake;
}

static void
check_refused(struct fixture *fixture, struct str bytes, enum tls_failure failure, bool has_alert)
{
    for (unsigned i = 0; i < 2; i++) {
        struct link link;
        link_open(&link, fixture->context, "a.test", ROOMY);
        assert_int_equal(feed(&link, bytes, i ? 1 : bytes.len), TLS_FAILED);
        assert_string_equal(tls_failure_name(tls_stream_failure(link.stream)),
                            tls_failure_name(failure));
        assert_true(tls_stream_failure_text(link.stream)[0] != '\0');
        assert_int_equal(link.output->len, has_alert ? 7 : 0);
        assert_int_equal(tls_stream_handshake(link.stream), TLS_FAILED);
        tls_stream_end(link.stream);
        assert_int_equal(link.output->len, has_alert ? 7 : 0);
        link_close(&link);
    }
}

static void
garbage_is_malformed(void **state)
{
    static const struct str cases[] = {
        STR_INIT("\0\0\0\0\0\0\0\0"),
        STR_INIT("SSH-2.0-OpenSSH_9.2\r\n"),
        STR_INIT("\x17\x03\x01\0\1x"),              /* data before a handshake */
        STR_INIT("\x16\x03\x01\x48\x01\0\0"),       /* a record over the bound */
        STR_INIT("\x16\x03\x01\0\4\1\xff\xff\xff"), /* a message over the bound */
        STR_INIT("\x16\x03\x01\0\4\2\0\0\0"),       /* a ServerHello */
        STR_INIT("\x16\x03\x01\0\4\1\0\0\0"),       /* an empty ClientHello */
        STR_INIT("\x16\x03\x01\0\x05\1\0\0\1\x03"),
    };
    struct fixture *fixture = *state;
    load_one(fixture);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_refused(fixture, cases[i], TLS_FAILURE_MALFORMED, true);
}

static void
plain_http_gets_no_alert(void **state)
{
    struct fixture *fixture = *state;
    load_one(fixture);
    check_refused(fixture, STR("GET / HTTP/1.1\r\n\r\n"), TLS_FAILURE_PLAIN_HTTP, false);
    check_refused(fixture, STR("POST / HTTP/1.1\r\n"), TLS_FAILURE_PLAIN_HTTP, false);
    check_refused(fixture, STR("CONNECT a:1 HTTP/1.1\r\n"), TLS_FAILURE_PLAIN_HTTP, false);
}

static void
an_alert_instead_of_a_hello_is_told_apart(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_one(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    assert_int_equal(feed(&link, STR("\x15\x03\x01\0\2\2\x28"), 7), TLS_FAILED);
    assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_PEER_ALERT);
    link_close(&link);
    link_open(&link, fixture->context, "a.test", ROOMY);
    assert_int_equal(feed(&link, STR("\x15\x03\x01\0\2\1\0"), 7), TLS_FAILED);
    link_close(&link);
}

/* The first flight of a client. */
static struct str
first_flight(struct link *link)
{
    const uint8_t *wire;
    size_t len;
    client_run(link);
    BIO_mem_contents(link->out, &wire, &len);
    return str_make((const char *)wire, len);
}

static void
a_hello_that_is_cut_anywhere_waits(void **state)
{
    struct fixture *fixture = *state;
    struct link hello, link;
    load_one(fixture);
    link_open(&hello, fixture->context, "a.test", ROOMY);
    struct str wire = first_flight(&hello);
    for (size_t cut = 1; cut < wire.len; cut++) {
        link_open(&link, fixture->context, "a.test", ROOMY);
        assert_int_equal(feed(&link, str_first(wire, cut), cut), TLS_WANTS_INPUT);
        assert_int_equal(link.output->len, 0);
        link_close(&link);
    }
    link_close(&hello);
}

static void
a_hello_with_any_byte_changed_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    struct link hello, link;
    unsigned failed = 0;
    load_one(fixture);
    link_open(&hello, fixture->context, "a.test", ROOMY);
    struct str wire = first_flight(&hello);
    char *copy = malloc(wire.len);
    for (size_t at = 0; at < wire.len; at++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            memcpy(copy, wire.ptr, wire.len);
            copy[at] ^= (char)(1 << bit);
            link_open(&link, fixture->context, "a.test", ROOMY);
            enum tls_result result = feed(&link, str_make(copy, wire.len), wire.len);
            assert_true(result == TLS_FAILED || result == TLS_WANTS_INPUT);
            if (result == TLS_FAILED) {
                failed++;
                assert_int_not_equal(tls_stream_failure(link.stream), TLS_FAILURE_NONE);
            }
            link_close(&link);
        }
    }
    assert_true(failed > 50);
    free(copy);
    link_close(&hello);
}

static void
a_huge_hello_is_refused_before_it_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    static char record[5 + 16384] = "\x16\x03\x01\x40";
    load_one(fixture);
    record[5] = 1;
    record[6] = 0;
    record[7] = 0x50; /* a message of 20 KiB */
    link_open(&link, fixture->context, "a.test", ROOMY);
    assert_int_equal(feed(&link, str_make(record, sizeof record), 1000), TLS_FAILED);
    assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_MALFORMED);
    link_close(&link);
}

static void
endless_empty_records_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    enum tls_result result = TLS_WANTS_INPUT;
    load_one(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    for (unsigned i = 0; i < 1000 && result == TLS_WANTS_INPUT; i++)
        result = feed(&link, STR("\x16\x03\x01\0\0"), 5);
    assert_int_equal(result, TLS_FAILED);
    link_close(&link);
}

static void
a_broken_record_ends_an_open_stream(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    const struct iovec iov = {"x", 1};
    char plain[8];
    size_t len;
    load_one(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    assert_int_equal(SSL_write(link.ssl, "hello", 5), 5);
    struct str wire = first_flight(&link);
    char *copy = malloc(wire.len);
    memcpy(copy, wire.ptr, wire.len);
    copy[wire.len - 1] ^= 1;
    tls_stream_feed(link.stream, copy, wire.len);
    assert_int_equal(tls_stream_read(link.stream, plain, sizeof plain, &len), TLS_FAILED);
    assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_MALFORMED);
    assert_int_equal(tls_stream_read(link.stream, plain, sizeof plain, &len), TLS_FAILED);
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, 1), -1);
    assert_true(link.output->len > 0);
    link_drain(&link);
    client_run(&link);
    assert_int_equal(link.client_alert, SSL_AD_BAD_RECORD_MAC);
    free(copy);
    link_close(&link);
}

static void
endless_key_updates_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_one(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    link.read = TLS_WANTS_INPUT;
    for (unsigned i = 0; i < 1000 && link.read == TLS_WANTS_INPUT; i++) {
        SSL_key_update(link.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_write(link.ssl, "", 0);
        link_run(&link);
    }
    assert_int_equal(link.read, TLS_FAILED);
    assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_MALFORMED);
    link_close(&link);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(garbage_is_malformed),
        TEST(plain_http_gets_no_alert),
        TEST(an_alert_instead_of_a_hello_is_told_apart),
        TEST(a_hello_that_is_cut_anywhere_waits),
        TEST(a_hello_with_any_byte_changed_does_no_harm),
        TEST(a_huge_hello_is_refused_before_it_is_there),
        TEST(endless_empty_records_are_refused),
        TEST(a_broken_record_ends_an_open_stream),
        TEST(endless_key_updates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
