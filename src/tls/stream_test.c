#include "tls/tls_test_run.h"

#include "base/limits.h"

#include <openssl/aead.h>

#include <pthread.h>

/* Handshakes and bytes: certificate choice, versions, protocols, sealing, reading, ends. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* a.test, *.w.test, 127.0.0.1 and an expired b.test beside a valid one. */
static void
load_some(struct fixture *fixture)
{
    const struct cert_spec a = {.san = "DNS:a.test", .subject = "a"};
    const struct cert_spec wild = {.san = "DNS:*.w.test", .subject = "wild"};
    const struct cert_spec exact = {.san = "DNS:x.w.test", .subject = "exact"};
    const struct cert_spec address = {.san = "IP:127.0.0.1", .subject = "address"};
    const struct cert_spec old = {.san = "DNS:b.test", .subject = "old", .to_s = -1};
    const struct cert_spec young = {.san = "DNS:b.test", .subject = "young"};
    write_pem(fixture, "1", &a, WITH_CERT | WITH_KEY);
    write_pem(fixture, "2", &wild, WITH_CERT);
    write_pem(fixture, "3", &exact, WITH_CERT);
    write_pem(fixture, "4", &address, WITH_CERT);
    write_pem(fixture, "5", &old, WITH_CERT);
    write_pem(fixture, "6", &young, WITH_CERT);
    load_dir(fixture);
}

static void
check_choice(struct fixture *fixture, const char *sni, const char *subject, const char *seen_sni)
{
    struct link link;
    link_open(&link, fixture->context, sni, ROOMY);
    if (subject) {
        link_connect(&link);
        if (!link_got(&link, subject))
            fail_msg("%s: not %s", sni ? sni : "-", subject);
        assert_true(str_eq(tls_stream_sni(link.stream), str_from_cstr(seen_sni)));
        assert_true(str_eq(tls_stream_outer_sni(link.stream), str_from_cstr(seen_sni)));
    } else {
        link_refused(&link, TLS_FAILURE_NAME, SSL_AD_UNRECOGNIZED_NAME);
    }
    link_close(&link);
}

static void
the_server_name_chooses(void **state)
{
    struct fixture *fixture = *state;
    load_some(fixture);
    check_choice(fixture, "a.test", "a", "a.test");
    check_choice(fixture, "A.Test", "a", "a.test");
    check_choice(fixture, "y.w.test", "wild", "y.w.test");
    check_choice(fixture, "x.w.test", "exact", "x.w.test");
    check_choice(fixture, "b.test", "young", "b.test");
    check_choice(fixture, "127.0.0.1", "a", "");
    check_choice(fixture, "::1", "a", "");
    check_choice(fixture, NULL, "a", "");
    check_choice(fixture, "w.test", NULL, NULL);
    check_choice(fixture, "*.w.test", NULL, NULL);
    check_choice(fixture, "a b", NULL, NULL);
    fixture->config.default_name = "z.w.test";
    load(fixture);
    check_choice(fixture, NULL, "wild", "");
    check_choice(fixture, "none.test", "wild", "none.test");
    check_choice(fixture, "a.test", "a", "a.test");
    fixture->config.default_name = "none.test";
    load_fails(fixture, "--default-cert none.test: no certificate is for this name");
}

static void
covered_hosts_are_those_of_the_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    link_open(&link, fixture->context, "y.w.test", ROOMY);
    link_connect(&link);
    assert_true(tls_stream_covers(link.stream, STR("y.w.test")));
    assert_true(tls_stream_covers(link.stream, STR("Q.W.TEST")));
    assert_false(tls_stream_covers(link.stream, STR("a.test")));
    assert_false(tls_stream_covers(link.stream, STR("w.test")));
    assert_false(tls_stream_covers(link.stream, STR("")));
    link_close(&link);
    link_open(&link, fixture->context, NULL, ROOMY);
    link_connect(&link);
    assert_true(tls_stream_covers(link.stream, STR("a.test")));
    assert_false(tls_stream_covers(link.stream, STR("127.0.0.1")));
    link_close(&link);
}

static void
a_handshake_works_in_pieces_of_every_size(void **state)
{
    struct fixture *fixture = *state;
    load_some(fixture);
    for (size_t step = 1; step < 40; step += step < 8 ? 1 : 9) {
        struct link link;
        link_open(&link, fixture->context, "a.test", ROOMY);
        link.step = step;
        link_connect(&link);
        link_talk(&link);
        assert_string_equal(tls_stream_version(link.stream), "TLSv1.3");
        link_close(&link);
    }
}

static void
a_small_output_only_takes_longer(void **state)
{
    struct fixture *fixture = *state;
    char text[3000], sum[3000];
    load_some(fixture);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (uint32_t cap = 1; cap < 2100; cap = cap < 100 ? cap + 1 : cap + 97) {
        struct link link;
        link_open(&link, fixture->context, "a.test", cap);
        link.step = 100;
        link_connect(&link);
        size_t at = 0;
        for (unsigned turn = 0; at < sizeof text && turn < 10000; turn++) {
            const struct iovec iov = {text + at, sizeof text - at};
            ssize_t len = tls_stream_seal(link.stream, &iov, 1, 1000);
            assert_true(len >= 0);
            at += (size_t)len;
            link_drain(&link);
            if (cap <= TLS_RECORD_OVERHEAD) {
                assert_int_equal(len, 0);
                break;
            }
        }
        link_run(&link);
        if (cap > TLS_RECORD_OVERHEAD) {
            assert_int_equal(link.heard.len, sizeof text);
            memcpy(sum, link.heard.ptr, sizeof sum);
            assert_memory_equal(sum, text, sizeof text);
        }
        link_close(&link);
    }
}

/* Length of the first record in the output, its header included; 0: none. */
static size_t
first_record_len(const struct tls_output *output)
{
    const uint8_t *wire = (const uint8_t *)output->data;
    return output->len < 5 ? 0 : 5 + (size_t)wire[3] * 256 + wire[4];
}

static void
pieces_share_records(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    char text[5000];
    struct iovec iov[7];
    static const size_t lens[7] = {0, 1, 1299, 0, 3000, 699, 1};
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 13 + i / 256);
    size_t at = 0;
    for (unsigned i = 0; i < 7; i++) {
        iov[i] = (struct iovec){lens[i] ? text + at : NULL, lens[i]};
        at += lens[i];
    }
    assert_int_equal(at, sizeof text);
    assert_int_equal(tls_stream_seal(link.stream, iov, 7, 5000), 5000);
    assert_int_equal(first_record_len(link.output), link.output->len);
    assert_int_equal(tls_stream_seal(link.stream, iov, 7, 1000), 5000);
    assert_in_range(link.output->len, 5000 + 6 * 22, 5000 + 5000 + 6 * TLS_RECORD_OVERHEAD);
    link_drain(&link);
    link_run(&link);
    assert_int_equal(link.heard.len, 10000);
    assert_memory_equal(link.heard.ptr, text, 5000);
    assert_memory_equal(link.heard.ptr + 5000, text, 5000);
    assert_int_equal(tls_stream_seal(link.stream, iov, 0, 1000), 0);
    assert_int_equal(tls_stream_seal(link.stream, iov, 1, 1000), 0);
    assert_int_equal(link.output->len, 0);
    link_close(&link);
}

static void
odd_pieces_arrive_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    enum { TOTAL = 300000 };
    char *text = malloc(TOTAL);
    uint32_t random = 12345;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", 40000);
    link_connect(&link);
    for (size_t i = 0; i < TOTAL; i++)
        text[i] = (char)((i * 2654435761u) >> 13);
    for (size_t at = 0; at < TOTAL;) {
        struct iovec iov[9];
        size_t offered = at;
        for (unsigned i = 0; i < 9; i++) {
            random = random * 1103515245 + 12345;
            size_t len = (random >> 16) % (i % 3 ? 300 : 20000);
            len = len < TOTAL - offered ? len : TOTAL - offered;
            /* Each in memory of its own, so that the bytes behind it are not the next ones. */
            iov[i] = (struct iovec){malloc(len + 1), len};
            memcpy(iov[i].iov_base, text + offered, len);
            offered += len;
        }
        ssize_t len = tls_stream_seal(link.stream, iov, 9, 1 + (random >> 8) % 40000);
        assert_true(len >= 0);
        for (unsigned i = 0; i < 9; i++)
            free(iov[i].iov_base);
        at += (size_t)len;
        link_drain(&link);
        client_run(&link);
    }
    assert_int_equal(link.heard.len, TOTAL);
    assert_memory_equal(link.heard.ptr, text, TOTAL);
    link_close(&link);
    free(text);
}

static void
a_record_is_begun_only_with_room_for_it(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    static char text[60000];
    const struct iovec iov = {text, sizeof text};
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", 2 * (TLS_RECORD_MAX + TLS_RECORD_OVERHEAD) + 9000);
    link_connect(&link);
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, TLS_RECORD_MAX), 2 * TLS_RECORD_MAX);
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, TLS_RECORD_MAX), 0);
    const struct iovec rest = {text, 5000};
    assert_int_equal(tls_stream_seal(link.stream, &rest, 1, TLS_RECORD_MAX), 5000);
    link_drain(&link);
    link.output->off = link.output->len = 100;
    link.output->cap = 100 + 5000 + TLS_RECORD_OVERHEAD - 1;
    assert_int_equal(tls_stream_seal(link.stream, &rest, 1, TLS_RECORD_MAX), 0);
    link.output->cap++;
    assert_int_equal(tls_stream_seal(link.stream, &rest, 1, TLS_RECORD_MAX), 5000);
    tls_stream_set_output(link.stream, NULL);
    assert_int_equal(tls_stream_seal(link.stream, &rest, 1, TLS_RECORD_MAX), 0);
    tls_stream_end(link.stream);
    tls_stream_set_output(link.stream, link.output);
    link_drain(&link);
    link_talk(&link);
    link_close(&link);
}

static void
the_end_of_a_sealed_record_goes_first(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    const struct iovec iov = {"behind", 6};
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    /* As if more had had to go out than the overhead has room for. */
    link.output->cap = 10;
    assert_int_equal(SSL_write(link.stream->ssl, "before ", 7), -1);
    ERR_clear_error();
    link.stream->has_unsent = true;
    link.stream->unsent_len = 7;
    link.output->len = 10;
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, 100), 0);
    tls_stream_end(link.stream);
    assert_true(link.stream->has_unsent);
    link_drain(&link);
    link.output->cap = ROOMY;
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, 100), 6);
    assert_false(link.stream->has_unsent);
    link_drain(&link);
    link_run(&link);
    assert_true(str_eq(buf_str(&link.heard), STR("before behind")));
    link_close(&link);
}

static void
much_is_read_in_pieces_of_every_size(void **state)
{
    struct fixture *fixture = *state;
    static char text[50000];
    load_some(fixture);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31 + i / 7);
    for (unsigned i = 0; i < 4; i++) {
        static const size_t steps[] = {1, 17, 4096, WIRE_MAX};
        struct link link;
        link_open(&link, fixture->context, "a.test", ROOMY);
        link_connect(&link);
        link.step = steps[i];
        assert_int_equal(SSL_write(link.ssl, text, sizeof text), sizeof text);
        link_run(&link);
        assert_int_equal(link.plain.len, sizeof text);
        assert_memory_equal(link.plain.ptr, text, sizeof text);
        link_close(&link);
    }
}

static void
input_can_be_held(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    const uint8_t *wire;
    char plain[4];
    size_t wire_len, len, got = 0;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    assert_int_equal(SSL_write(link.ssl, "0123456789", 10), 10);
    assert_int_equal(SSL_write(link.ssl, "abcdefghij", 10), 10);
    BIO_mem_contents(link.out, &wire, &wire_len);
    for (size_t at = 0; at < wire_len; at++) {
        char lent = (char)wire[at];
        tls_stream_feed(link.stream, &lent, 1);
        assert_true(tls_stream_has_input(link.stream));
        assert_true(tls_stream_hold_input(link.stream));
        lent = 0;
    }
    while (tls_stream_read(link.stream, plain, sizeof plain, &len) == TLS_DONE)
        got += len;
    assert_int_equal(got, 20);
    assert_false(tls_stream_has_input(link.stream));
    assert_true(tls_stream_hold_input(link.stream));
    link_close(&link);
}

/* The client's next record for these bytes; the caller's, to be freed. */
static struct str
next_record(struct link *link, const char *plain)
{
    const uint8_t *wire;
    size_t len;
    assert_true(SSL_write(link->ssl, plain, (int)strlen(plain)) > 0);
    BIO_mem_contents(link->out, &wire, &len);
    char *copy = malloc(len);
    memcpy(copy, wire, len);
    BIO_reset(link->out);
    return str_make(copy, len);
}

static void
what_comes_later_stands_behind_what_is_held(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    char plain[100], all[100] = "";
    size_t len;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    for (unsigned i = 0; i < 8; i++) {
        static const char *const words[] = {"one ",  "two ", "three ", "four ",
                                            "five ", "six ", "seven ", "eight "};
        struct str record = next_record(&link, words[i]);
        tls_stream_feed(link.stream, record.ptr, record.len);
        assert_true(tls_stream_hold_input(link.stream));
        free((char *)record.ptr);
        /* Reading stays two records behind. */
        unsigned count = i < 2 ? 0 : i < 7 ? 1 : 3;
        for (unsigned k = 0; k < count; k++) {
            assert_int_equal(tls_stream_read(link.stream, plain, sizeof plain, &len), TLS_DONE);
            strncat(all, plain, len);
        }
    }
    assert_string_equal(all, "one two three four five six seven eight ");
    link_close(&link);
}

static void
held_input_has_a_bound(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    static char wire[1 << 16];
    bool held = true;
    size_t total = 0, len;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    for (unsigned i = 0; i < 20 && held; i++) {
        tls_stream_feed(link.stream, wire, sizeof wire);
        held = tls_stream_hold_input(link.stream);
        total += sizeof wire;
    }
    assert_false(held);
    assert_int_equal(total, TLS_HELD_MAX + sizeof wire);
    assert_int_equal(tls_stream_read(link.stream, wire, 1, &len), TLS_FAILED);
    assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_OTHER);
    link_close(&link);
}

static void
set_alpn(struct link *link, struct str offer)
{
    assert_int_equal(
        SSL_set_alpn_protos(link->ssl, (const uint8_t *)offer.ptr, (unsigned)offer.len), 0);
}

static void
h2_is_preferred_and_strangers_are_refused(void **state)
{
    static const struct {
        struct str offer, chosen;
    } cases[] = {
        {STR_INIT("\x02h2\x08http/1.1"), STR_INIT("h2")},
        {STR_INIT("\x08http/1.1\x02h2"), STR_INIT("h2")},
        {STR_INIT("\x03xyz\x08http/1.1"), STR_INIT("http/1.1")},
        {STR_INIT(""), STR_INIT("")},
    };
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        link_open(&link, fixture->context, "a.test", ROOMY);
        set_alpn(&link, cases[i].offer);
        link_connect(&link);
        assert_true(str_eq(tls_stream_alpn(link.stream), cases[i].chosen));
        link_close(&link);
    }
    link_open(&link, fixture->context, "a.test", ROOMY);
    set_alpn(&link, STR("\x03xyz\x08http/1.0"));
    link_refused(&link, TLS_FAILURE_ALPN, SSL_AD_NO_APPLICATION_PROTOCOL);
    link_close(&link);
}

static void
tls_1_2_is_off_unless_allowed(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_max_proto_version(link.ssl, TLS1_2_VERSION);
    link_refused(&link, TLS_FAILURE_VERSION, SSL_AD_PROTOCOL_VERSION);
    link_close(&link);
    fixture->config.allow_tls12 = true;
    load(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_max_proto_version(link.ssl, TLS1_2_VERSION);
    link.step = 7;
    link_connect(&link);
    assert_string_equal(tls_stream_version(link.stream), "TLSv1.2");
    assert_non_null(strstr(tls_stream_cipher(link.stream), "TLS_ECDHE_ECDSA_WITH_"));
    link_talk(&link);
    link_close(&link);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_max_proto_version(link.ssl, TLS1_1_VERSION);
    link_refused(&link, TLS_FAILURE_VERSION, SSL_AD_PROTOCOL_VERSION);
    link_close(&link);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_max_proto_version(link.ssl, TLS1_2_VERSION);
    SSL_set_strict_cipher_list(link.ssl, "ECDHE-ECDSA-CHACHA20-POLY1305:"
                                         "ECDHE-ECDSA-AES256-GCM-SHA384:"
                                         "ECDHE-ECDSA-AES128-GCM-SHA256");
    link_connect(&link); /* our order counts */
    assert_string_equal(tls_stream_cipher(link.stream),
                        EVP_has_aes_hardware() ? "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
                                               : "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
    link_close(&link);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_max_proto_version(link.ssl, TLS1_2_VERSION);
    SSL_set_strict_cipher_list(link.ssl, "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA");
    link_refused(&link, TLS_FAILURE_CIPHER, SSL_AD_HANDSHAKE_FAILURE);
    link_close(&link);
}

static void
no_common_group_is_a_failure_of_ciphers(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    const int groups[] = {NID_secp521r1};
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set1_curves(link.ssl, groups, 1);
    link_refused(&link, TLS_FAILURE_CIPHER, SSL_AD_HANDSHAKE_FAILURE);
    link_close(&link);
}

static void
other_groups_cost_a_retry(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    const int groups[] = {NID_secp521r1, NID_secp384r1};
    load_some(fixture);
    link_open(&link, fixture->context, "y.w.test", ROOMY);
    SSL_set1_curves(link.ssl, groups, 2);
    link_connect(&link);
    assert_true(link_got(&link, "wild"));
    link_talk(&link);
    link_close(&link);
}

static void
staples_are_sent_to_those_who_ask(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    const uint8_t *ocsp;
    size_t len;
    write_names(fixture, "a.pem", "DNS:a.test");
    write_file(fixture, "a.ocsp", STR("\x30\x03\x0a\x01\x00"));
    load_dir(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_enable_ocsp_stapling(link.ssl);
    link_connect(&link);
    SSL_get0_ocsp_response(link.ssl, &ocsp, &len);
    assert_int_equal(len, 5);
    link_close(&link);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    SSL_get0_ocsp_response(link.ssl, &ocsp, &len);
    assert_int_equal(len, 0);
    link_close(&link);
}

static void
an_end_is_told_in_both_directions(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    assert_int_equal(SSL_write(link.ssl, "last", 4), 4);
    SSL_shutdown(link.ssl);
    link_run(&link);
    assert_int_equal(link.read, TLS_ENDED);
    assert_true(str_eq(buf_str(&link.plain), STR("last")));
    const struct iovec iov = {"answer", 6};
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, 100), 6);
    tls_stream_end(link.stream);
    link_drain(&link);
    link_run(&link);
    assert_int_equal(link.client_error, SSL_ERROR_ZERO_RETURN);
    assert_true(str_eq(buf_str(&link.heard), STR("answer")));
    link_close(&link);
}

static void
key_updates_are_answered(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(SSL_key_update(link.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED
                                                        : SSL_KEY_UPDATE_NOT_REQUESTED),
                         1);
        link_talk(&link);
    }
    /* The answer has its place in the overhead of the next record. */
    static char text[1000];
    const struct iovec iov = {text, sizeof text};
    assert_int_equal(SSL_key_update(link.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_write(link.ssl, "x", 1), 1);
    link_run(&link);
    link.output->cap = sizeof text + TLS_RECORD_OVERHEAD;
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, sizeof text), sizeof text);
    assert_true(link.output->len > sizeof text + 22 + 22);
    link_drain(&link);
    link_talk(&link);
    link_close(&link);
}

static void
a_client_that_gives_up_is_told_apart(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_verify(link.ssl, SSL_VERIFY_PEER, NULL);
    link_run(&link);
    assert_int_equal(link.handshake, TLS_FAILED);
    assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_PEER_ALERT);
    assert_non_null(strstr(tls_stream_failure_text(link.stream), "UNKNOWN_CA"));
    link_close(&link);
}

static void
an_idle_stream_holds_no_buffers(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    link_talk(&link);
    assert_null(link.stream->held.ptr);
    assert_null(link.stream->fed.ptr);
    assert_int_equal(SSL_pending(link.stream->ssl), 0);
    assert_null(SSL_get_privatekey(link.stream->ssl)); /* the handshake's memory has been shed */
    link_close(&link);
}

static void
the_fingerprint_is_there_when_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_some(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    set_alpn(&link, STR("\x02h2"));
    link_connect(&link);
    struct str ja4 = tls_stream_ja4(link.stream);
    assert_int_equal(ja4.len, JA4_TEXT_LEN);
    assert_true(str_starts_with(ja4, STR("t13d")));
    assert_true(str_eq(str_make(ja4.ptr + 8, 3), STR("h2_")));
    assert_true(str_eq(tls_stream_ja4(link.stream), ja4));
    link_close(&link);
}

/* --- keys of every kind --- */

static EVP_PKEY *
make_key(int kind)
{
    if (kind == EVP_PKEY_RSA)
        return test_rsa_key(2048);
    if (kind == EVP_PKEY_ED25519) {
        static const uint8_t seed[32] = {7};
        return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    }
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_secp384r1);
    EVP_PKEY *key = EVP_PKEY_new();
    assert_int_equal(EC_KEY_generate_key(ec), 1);
    EVP_PKEY_assign_EC_KEY(key, ec);
    return key;
}

static void
keys_of_every_kind_serve(void **state)
{
    static const int kinds[] = {EVP_PKEY_RSA, EVP_PKEY_EC, EVP_PKEY_ED25519};
    static const uint16_t prefs[] = {SSL_SIGN_ED25519, SSL_SIGN_ECDSA_SECP384R1_SHA384,
                                     SSL_SIGN_RSA_PSS_RSAE_SHA256};
    struct fixture *fixture = *state;
    struct link link;
    for (unsigned i = 0; i < 3; i++) {
        EVP_PKEY *key = make_key(kinds[i]);
        struct buf pem;
        buf_init(&pem, 1 << 16);
        const struct cert_spec spec = {.san = "DNS:a.test", .key = key, .issuer_key = test_key(0)};
        write_pem(fixture, "c.pem", &spec, WITH_CERT);
        append_key(&pem, key, NULL);
        write_file(fixture, "k.pem", buf_str(&pem));
        load_dir(fixture);
        link_open(&link, fixture->context, "a.test", ROOMY);
        SSL_set_verify_algorithm_prefs(link.ssl, prefs, 3);
        link_connect(&link);
        link_talk(&link);
        link_close(&link);
        buf_deinit(&pem);
        EVP_PKEY_free(key);
    }
    /* Ed25519 stays: few clients know it. */
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_refused(&link, TLS_FAILURE_CIPHER, SSL_AD_HANDSHAKE_FAILURE);
    link_close(&link);
}

/* --- threads --- */

static void *
connect_often(void *arg)
{
    struct tls_context *context = arg;
    for (unsigned i = 0; i < 40; i++) {
        struct link link;
        link_open(&link, context, i % 2 ? "a.test" : "y.w.test", ROOMY);
        link_connect(&link);
        link_talk(&link);
        link_close(&link);
    }
    tls_context_unref(context);
    return NULL;
}

static void
threads_share_a_context(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[4];
    load_some(fixture);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, connect_often, tls_context_ref(fixture->context)), 0);
    tls_context_unref(fixture->context); /* the threads go on with it, as after a reload */
    fixture->context = NULL;
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_server_name_chooses),
        TEST(covered_hosts_are_those_of_the_certificate),
        TEST(a_handshake_works_in_pieces_of_every_size),
        TEST(a_small_output_only_takes_longer),
        TEST(pieces_share_records),
        TEST(odd_pieces_arrive_in_order),
        TEST(a_record_is_begun_only_with_room_for_it),
        TEST(much_is_read_in_pieces_of_every_size),
        TEST(the_end_of_a_sealed_record_goes_first),
        TEST(input_can_be_held),
        TEST(what_comes_later_stands_behind_what_is_held),
        TEST(held_input_has_a_bound),
        TEST(h2_is_preferred_and_strangers_are_refused),
        TEST(tls_1_2_is_off_unless_allowed),
        TEST(no_common_group_is_a_failure_of_ciphers),
        TEST(other_groups_cost_a_retry),
        TEST(staples_are_sent_to_those_who_ask),
        TEST(an_end_is_told_in_both_directions),
        TEST(key_updates_are_answered),
        TEST(a_client_that_gives_up_is_told_apart),
        TEST(an_idle_stream_holds_no_buffers),
        TEST(the_fingerprint_is_there_when_asked_for),
        TEST(keys_of_every_kind_serve),
        TEST(threads_share_a_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
