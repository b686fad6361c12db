#include "tls/client_test_run.h"

/* Connections of the client's side: names, versions, pieces, ends, refusals. What is wrong with
 * certificates is in client_verify_test.c, sessions in client_session_test.c. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
check_connects(struct fixture *fixture, struct tls_client *client, const char *host,
               const char *seen_sni)
{
    struct pair pair;
    pair_open(&pair, fixture->context, client, host, ROOMY);
    end_run(&pair.client);
    struct str hello = str_make(pair.client.output->data, pair.client.output->len);
    assert_true(str_find(hello, STR("127.0.0.1")) == hello.len);
    pair_connect(&pair);
    pair_talk(&pair);
    assert_true(str_eq(tls_stream_sni(pair.server.stream), str_from_cstr(seen_sni)));
    pair_close(&pair);
}

static void
a_host_that_the_certificate_is_for_is_accepted(void **state)
{
    static const struct {
        const char *san, *host, *sni;
    } cases[] = {
        {"DNS:a.test", "a.test", "a.test"},
        {"DNS:a.test", "A.Test", "a.test"},
        {"DNS:a.test", "a.test.", "a.test"},
        {"DNS:A.TEST", "a.test", "a.test"},
        {"DNS:z.test,DNS:a.test", "a.test", "a.test"},
        {"DNS:*.w.test", "y.w.test", "y.w.test"},
        {"DNS:localhost", "localhost", "localhost"},
        {"IP:127.0.0.1", "127.0.0.1", ""},
        {"IP:::1", "::1", ""},
        {"IP:::1", "[::1]", ""},
        {"IP:2001:db8::7", "[2001:DB8:0:0::7]", ""},
        {"DNS:a.test,IP:192.0.2.1", "192.0.2.1", ""},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        serve_name(fixture, cases[i].san);
        struct tls_client *client = client_with(fixture, "root.pem");
        check_connects(fixture, client, cases[i].host, cases[i].sni);
        tls_client_unref(client);
    }
}

static void
what_is_known_after_the_handshake(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    tls_client_unref(client); /* the stream has its own reference */
    pair_connect(&pair);
    assert_true(str_eq(tls_stream_alpn(pair.client.stream), STR("http/1.1")));
    assert_true(str_eq(tls_stream_alpn(pair.server.stream), STR("http/1.1")));
    assert_string_equal(tls_stream_version(pair.client.stream), "TLSv1.3");
    assert_string_equal(tls_stream_cipher(pair.client.stream),
                        tls_stream_cipher(pair.server.stream));
    assert_false(tls_stream_resumed(pair.client.stream));
    assert_false(tls_stream_is_early(pair.client.stream));
    assert_int_equal(tls_stream_ja4(pair.server.stream).len, JA4_TEXT_LEN);
    assert_int_equal(tls_stream_ja4(pair.client.stream).len, 0);
    pair_close(&pair);
}

static void
the_preferred_protocol_is_chosen_of_those_offered(void **state)
{
    static const char *const both[] = {"h2", "http/1.1"}, *const strange[] = {"imap"};
    struct fixture *fixture = *state;
    struct tls_client *client;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client_config config = {.ca_file = in_dir(fixture, "root.pem"),
                                       .ca_option = "--proxy-ca",
                                       .protocols = both,
                                       .protocol_count = 2};
    assert_int_equal(tls_client_new(&client, &config, &fixture->error), 0);
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_connect(&pair);
    assert_true(str_eq(tls_stream_alpn(pair.client.stream), STR("h2")));
    pair_close(&pair);
    tls_client_unref(client);
    config.protocol_count = 0;
    assert_int_equal(tls_client_new(&client, &config, &fixture->error), 0);
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_connect(&pair);
    assert_int_equal(tls_stream_alpn(pair.client.stream).len, 0);
    pair_close(&pair);
    tls_client_unref(client);
    config.protocols = strange;
    config.protocol_count = 1;
    assert_int_equal(tls_client_new(&client, &config, &fixture->error), 0);
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_refused(&pair, TLS_CLIENT_FAILURE_PEER_ALERT, "handshake refused by peer: no application");
    pair_close(&pair);
    tls_client_unref(client);
}

static void
tls_1_2_has_aead_suites_alone(void **state)
{
    static const char *const suites[] = {
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
    };
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (unsigned i = 0; i < 5; i++) {
        pair_open(&pair, fixture->context, client, "a.test", ROOMY);
        SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
        assert_true(SSL_set_strict_cipher_list(pair.server.stream->ssl, suites[i]));
        if (i < 3) {
            pair_connect(&pair);
            assert_string_equal(tls_stream_version(pair.client.stream), "TLSv1.2");
            pair_talk(&pair);
        } else {
            pair_refused(&pair, TLS_CLIENT_FAILURE_PEER_ALERT,
                         "handshake refused by peer: handshake failure");
        }
        pair_close(&pair);
    }
    tls_client_unref(client);
}

static void
older_versions_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    SSL_set_min_proto_version(pair.server.stream->ssl, TLS1_VERSION);
    SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_1_VERSION);
    pair_refused(&pair, TLS_CLIENT_FAILURE_VERSION, "handshake refused by peer: protocol version");
    pair_close(&pair);
    tls_client_unref(client);
}

static void
servers_with_keys_of_all_kinds_are_accepted(void **state)
{
    struct fixture *fixture = *state;
    uint8_t seed[32] = {7};
    EVP_PKEY *keys[] = {EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32),
                        test_rsa_key(2048)};
    for (unsigned i = 0; i < 4; i++) {
        const struct cert_spec spec = {.san = "DNS:a.test", .key = keys[i / 2]};
        struct pair pair;
        if (i % 2 == 0)
            serve_leaf(fixture, &spec);
        struct tls_client *client = client_with(fixture, "root.pem");
        pair_open(&pair, fixture->context, client, "a.test", ROOMY);
        if (i % 2)
            SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
        pair_connect(&pair);
        pair_talk(&pair);
        pair_close(&pair);
        tls_client_unref(client);
    }
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
}

/* --- pieces --- */

static void
a_handshake_works_in_pieces_of_every_size(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (unsigned version = 0; version < 2; version++) {
        for (size_t step = 1; step < 40; step += step < 8 ? 1 : 9) {
            struct pair pair;
            pair_open(&pair, fixture->context, client, "a.test", ROOMY);
            if (version)
                SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
            pair.step = step;
            pair_connect(&pair);
            pair_talk(&pair);
            pair_close(&pair);
        }
    }
    tls_client_unref(client);
}

static void
a_small_output_only_takes_longer(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (uint32_t cap = 1; cap < 700; cap = cap < 80 ? cap + 1 : cap + 97) {
        struct pair pair;
        pair_open(&pair, fixture->context, client, "a.test", cap);
        pair_connect(&pair);
        if (cap > TLS_RECORD_OVERHEAD + 4)
            pair_talk(&pair);
        pair_close(&pair);
    }
    tls_client_unref(client);
}

static void
without_an_output_it_waits(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    tls_stream_set_output(pair.client.stream, NULL);
    assert_int_equal(tls_stream_handshake(pair.client.stream), TLS_WANTS_ROOM);
    tls_stream_set_output(pair.client.stream, pair.client.output);
    assert_int_equal(tls_stream_handshake(pair.client.stream), TLS_WANTS_INPUT);
    assert_true(pair.client.output->len > 100);
    pair_connect(&pair);
    pair_close(&pair);
    tls_client_unref(client);
}

static void
a_finished_handshake_adds_no_empty_record(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    end_run(&pair.client);
    carry(&pair, &pair.client, &pair.server);
    carry(&pair, &pair.server, &pair.client);
    assert_int_equal(pair.client.handshake, TLS_DONE);
    /* Change cipher spec, and the one record with Finished: 5 + 36 + 1 + 16 with SHA-256. */
    assert_in_range(pair.client.output->len, 6 + 58, 6 + 74);
    pair_connect(&pair);
    pair_close(&pair);
    tls_client_unref(client);
}

static void
much_passes_both_ways(void **state)
{
    enum { LEN = 300000 };
    struct fixture *fixture = *state;
    struct pair pair;
    char *text = malloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        text[i] = (char)((i * 2654435761u) >> 13);
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_connect(&pair);
    struct end *const ends[] = {&pair.client, &pair.server};
    for (unsigned i = 0; i < 2; i++) {
        for (size_t at = 0; at < LEN;) {
            const struct iovec iov[] = {{text + at, (LEN - at) / 3},
                                        {text + at + (LEN - at) / 3, LEN - at - (LEN - at) / 3}};
            ssize_t len = tls_stream_seal(ends[i]->stream, iov, 2, TLS_RECORD_MAX);
            assert_true(len > 0);
            at += (size_t)len;
            pair_run(&pair);
        }
        assert_int_equal(ends[!i]->plain.len, LEN);
        assert_memory_equal(ends[!i]->plain.ptr, text, LEN);
    }
    pair_close(&pair);
    tls_client_unref(client);
    free(text);
}

static void
key_updates_are_answered(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_connect(&pair);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(SSL_key_update(pair.server.stream->ssl, SSL_KEY_UPDATE_REQUESTED));
        pair_talk(&pair);
        assert_true(SSL_key_update(pair.client.stream->ssl, SSL_KEY_UPDATE_REQUESTED));
        pair_talk(&pair);
    }
    pair_close(&pair);
    tls_client_unref(client);
}

/* --- ends --- */

static void
an_end_is_told_from_a_cut(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (unsigned i = 0; i < 2; i++) {
        pair_open(&pair, fixture->context, client, "a.test", ROOMY);
        if (i)
            SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
        pair_connect(&pair);
        end_say(&pair.server, "all of it");
        pair_run(&pair);
        assert_int_equal(pair.client.read, TLS_WANTS_INPUT);
        tls_stream_end(pair.server.stream);
        pair_run(&pair);
        assert_int_equal(pair.client.read, TLS_ENDED);
        assert_int_equal(tls_stream_client_failure(pair.client.stream), TLS_CLIENT_FAILURE_NONE);
        end_say(&pair.client, "still there");
        tls_stream_end(pair.client.stream);
        pair_run(&pair);
        assert_true(str_eq(buf_str(&pair.server.plain), STR("still there")));
        assert_int_equal(pair.server.read, TLS_ENDED);
        pair_close(&pair);
    }
    tls_client_unref(client);
}

static void
an_end_in_the_handshake_is_a_failure(void **state)
{
    static const char close_notify[] = "\x15\x03\x03\x00\x02\x01\x00";
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    struct end end;
    end_init(&end, tls_stream_new_client(client, STR("a.test"), 443), ROOMY);
    end_run(&end);
    tls_stream_feed(end.stream, close_notify, sizeof close_notify - 1);
    end_run(&end);
    client_failed(end.stream, TLS_CLIENT_FAILURE_PEER_ALERT, "the peer ended the handshake");
    end_deinit(&end);
    tls_client_unref(client);
}

static void
an_alert_later_breaks_the_stream(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    char byte;
    size_t len;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_connect(&pair);
    SSL_send_fatal_alert(pair.server.stream->ssl, SSL_AD_INTERNAL_ERROR);
    ERR_clear_error();
    carry(&pair, &pair.server, &pair.client);
    assert_int_equal(pair.client.read, TLS_FAILED);
    client_failed(pair.client.stream, TLS_CLIENT_FAILURE_PEER_ALERT,
                  "connection broken off by peer: internal error");
    assert_int_equal(tls_stream_read(pair.client.stream, &byte, 1, &len), TLS_FAILED);
    const struct iovec iov = {"x", 1};
    assert_int_equal(tls_stream_seal(pair.client.stream, &iov, 1, 100), -1);
    pair_close(&pair);
    tls_client_unref(client);
}

static void
a_damaged_record_breaks_the_stream(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_connect(&pair);
    end_say(&pair.server, "not what was said");
    pair.server.output->data[10] ^= 1;
    pair_run(&pair);
    assert_int_equal(pair.client.read, TLS_FAILED);
    assert_int_equal(pair.client.plain.len, 0);
    client_failed(pair.client.stream, TLS_CLIENT_FAILURE_MALFORMED,
                  "the peer broke the TLS protocol: decryption failed or bad record mac");
    pair_close(&pair);
    tls_client_unref(client);
}

/* --- refusals --- */

static void
a_server_without_the_name_refuses(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    fixture->context->default_for_all = false;
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "b.test", ROOMY);
    pair_refused(&pair, TLS_CLIENT_FAILURE_PEER_ALERT,
                 "handshake refused by peer: unrecognized name");
    pair_close(&pair);
    tls_client_unref(client);
}

static void
hosts_that_no_certificate_can_be_for_fail_at_once(void **state)
{
    static const char *const hosts[] = {"", ".", "*.a.test", "a b", "a\nb", ".a"};
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct end end;
        end_init(&end, tls_stream_new_client(client, str_from_cstr(hosts[i]), 443), ROOMY);
        client_failed(end.stream, TLS_CLIENT_FAILURE_NAME, "no certificate can be for");
        assert_int_equal(end.output->len, 0);
        assert_non_null(tls_stream_version(end.stream));
        tls_stream_end(end.stream);
        end_deinit(&end);
    }
    tls_client_unref(client);
}

/* What a server that says this gets from the client. */
static void
check_answer(struct tls_client *client, struct str answer, enum tls_client_failure failure,
             const char *text)
{
    for (size_t step = 1; step < 1000; step += 999 / 2) {
        struct end end;
        end_init(&end, tls_stream_new_client(client, STR("a.test"), 443), ROOMY);
        end_run(&end);
        assert_int_equal(end.handshake, TLS_WANTS_INPUT);
        for (struct str rest = answer; rest.len && end.handshake != TLS_FAILED;) {
            struct str part = str_first(rest, step);
            tls_stream_feed(end.stream, part.ptr, part.len);
            end_run(&end);
            assert_true(tls_stream_hold_input(end.stream));
            rest = str_skip(rest, part.len);
        }
        client_failed(end.stream, failure, text);
        end_deinit(&end);
    }
}

static void
what_is_not_tls_is_named(void **state)
{
    static const char old_hello[] = "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"
                                    "0123456789abcdef0123456789abcdef"
                                    "\x00\xc0\x13\x00";
    static const char refusal[] = "\x15\x03\x01\x00\x02\x02\x28";
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    check_answer(client, STR("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
                 TLS_CLIENT_FAILURE_NOT_TLS, "the peer speaks plain HTTP, not TLS");
    check_answer(client, STR("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), TLS_CLIENT_FAILURE_NOT_TLS,
                 "the peer does not speak TLS");
    check_answer(client, STR("\0\0\0\0\0\0\0\0\0\0"), TLS_CLIENT_FAILURE_NOT_TLS,
                 "the peer does not speak TLS");
    check_answer(client, STR("\x16\x03\x03\xff\xff______________________"),
                 TLS_CLIENT_FAILURE_MALFORMED, "the peer broke the TLS protocol: ");
    check_answer(client, STR("\x17\x03\x03\x00\x10________________"), TLS_CLIENT_FAILURE_MALFORMED,
                 "application data instead of handshake");
    check_answer(client, str_make(old_hello, sizeof old_hello - 1), TLS_CLIENT_FAILURE_VERSION,
                 "the peer speaks no TLS 1.2 or 1.3");
    check_answer(client, str_make(refusal, sizeof refusal - 1), TLS_CLIENT_FAILURE_PEER_ALERT,
                 "handshake refused by peer: handshake failure");
    tls_client_unref(client);
}

/* The first flight of a server, for the hello of a fresh client; the caller's. */
static struct str
first_flight(struct pair *pair)
{
    end_run(&pair->client);
    carry(pair, &pair->client, &pair->server);
    char *copy = malloc(pair->server.output->len);
    memcpy(copy, pair->server.output->data, pair->server.output->len);
    return str_make(copy, pair->server.output->len);
}

/* A flight that is cut at `at`, and damaged there. False: it is not as long. */
static bool
check_damage(struct fixture *fixture, struct tls_client *client, bool tls12, size_t at)
{
    struct pair pair;
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    if (tls12)
        SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
    struct str flight = first_flight(&pair);
    bool is_in = at < flight.len;
    if (is_in) {
        tls_stream_feed(pair.client.stream, flight.ptr, at);
        end_run(&pair.client);
        assert_int_equal(pair.client.handshake, TLS_WANTS_INPUT);
        assert_true(tls_stream_hold_input(pair.client.stream));
        ((char *)flight.ptr)[at] ^= 0x41;
        tls_stream_feed(pair.client.stream, flight.ptr + at, flight.len - at);
        end_run(&pair.client);
        /* The minor version of the first record means nothing (RFC 8446 section 5.1). */
        assert_true(at == 2 || pair.client.handshake != TLS_DONE);
    }
    free((char *)flight.ptr);
    pair_close(&pair);
    return is_in;
}

static void
a_cut_flight_waits_and_a_damaged_one_never_connects(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (unsigned tls12 = 0; tls12 < 2; tls12++) {
        for (size_t at = 0; check_damage(fixture, client, tls12, at);)
            at += at < 140 ? 1 : 7;
    }
    tls_client_unref(client);
}

static void
held_input_has_a_bound(void **state)
{
    struct fixture *fixture = *state;
    static char wire[1 << 16];
    struct pair pair;
    bool held = true;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_connect(&pair);
    for (unsigned i = 0; i < 20 && held; i++) {
        tls_stream_feed(pair.client.stream, wire, sizeof wire);
        held = tls_stream_hold_input(pair.client.stream);
    }
    assert_false(held);
    client_failed(pair.client.stream, TLS_CLIENT_FAILURE_OTHER, "more input than can wait");
    pair_close(&pair);
    tls_client_unref(client);
}

static void
every_failure_has_a_name(void **state)
{
    for (unsigned i = 0; i < TLS_CLIENT_FAILURE_COUNT; i++)
        assert_true(tls_client_failure_name((enum tls_client_failure)i)[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_host_that_the_certificate_is_for_is_accepted),
        TEST(what_is_known_after_the_handshake),
        TEST(the_preferred_protocol_is_chosen_of_those_offered),
        TEST(tls_1_2_has_aead_suites_alone),
        TEST(older_versions_are_refused),
        TEST(servers_with_keys_of_all_kinds_are_accepted),
        TEST(a_handshake_works_in_pieces_of_every_size),
        TEST(a_small_output_only_takes_longer),
        TEST(without_an_output_it_waits),
        TEST(a_finished_handshake_adds_no_empty_record),
        TEST(much_passes_both_ways),
        TEST(key_updates_are_answered),
        TEST(an_end_is_told_from_a_cut),
        TEST(an_end_in_the_handshake_is_a_failure),
        TEST(an_alert_later_breaks_the_stream),
        TEST(a_damaged_record_breaks_the_stream),
        TEST(a_server_without_the_name_refuses),
        TEST(hosts_that_no_certificate_can_be_for_fail_at_once),
        TEST(what_is_not_tls_is_named),
        TEST(a_cut_flight_waits_and_a_damaged_one_never_connects),
        TEST(held_input_has_a_bound),
        TEST(every_failure_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
