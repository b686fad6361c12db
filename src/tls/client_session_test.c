#include "base/limits.h"
#include "tls/client_test_run.h"

#include <pthread.h>

/* Sessions that are resumed, and those that must not be. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static bool
connects_resumed(struct fixture *fixture, struct tls_client *client, const char *host,
                 uint16_t port, bool tls12)
{
    struct pair pair;
    pair_open_port(&pair, fixture->context, client, host, port, ROOMY);
    if (tls12)
        SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
    pair_connect(&pair);
    bool resumed = tls_stream_resumed(pair.client.stream);
    assert_int_equal(resumed, tls_stream_resumed(pair.server.stream));
    assert_string_equal(tls_stream_version(pair.client.stream), tls12 ? "TLSv1.2" : "TLSv1.3");
    assert_true(str_eq(tls_stream_alpn(pair.client.stream), STR("http/1.1")));
    pair_talk(&pair);
    pair_close(&pair);
    return resumed;
}

static void
sessions_are_resumed(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test,IP:127.0.0.1");
    for (unsigned tls12 = 0; tls12 < 2; tls12++) {
        struct tls_client *client = client_with(fixture, "root.pem");
        assert_false(connects_resumed(fixture, client, "a.test", 443, tls12));
        for (unsigned i = 0; i < 5; i++)
            assert_true(
                connects_resumed(fixture, client, i % 2 ? "A.test." : "a.test", 443, tls12));
        assert_false(connects_resumed(fixture, client, "127.0.0.1", 443, tls12));
        assert_true(connects_resumed(fixture, client, "127.0.0.1", 443, tls12));
        tls_client_unref(client);
    }
}

static void
tickets_of_tls_1_3_are_used_once(void **state)
{
    struct fixture *fixture = *state;
    struct pair first, second, third;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    assert_false(connects_resumed(fixture, client, "a.test", 443, false));
    unsigned count = tls_sessions_count(client->sessions);
    assert_int_equal(count, 2);
    /* Each takes one, before any of them can bring new ones. */
    pair_open(&first, fixture->context, client, "a.test", ROOMY);
    assert_int_equal(tls_sessions_count(client->sessions), 1);
    pair_open(&second, fixture->context, client, "a.test", ROOMY);
    assert_int_equal(tls_sessions_count(client->sessions), 0);
    pair_open(&third, fixture->context, client, "a.test", ROOMY);
    pair_connect(&first);
    pair_connect(&second);
    pair_connect(&third);
    assert_true(tls_stream_resumed(first.client.stream));
    assert_true(tls_stream_resumed(second.client.stream));
    assert_false(tls_stream_resumed(third.client.stream));
    pair_close(&first);
    pair_close(&second);
    pair_close(&third);
    tls_client_unref(client);
}

static void
one_session_of_tls_1_2_is_enough(void **state)
{
    struct fixture *fixture = *state;
    struct pair first, second;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    assert_false(connects_resumed(fixture, client, "a.test", 443, true));
    pair_open(&first, fixture->context, client, "a.test", ROOMY);
    pair_open(&second, fixture->context, client, "a.test", ROOMY);
    SSL_set_max_proto_version(first.server.stream->ssl, TLS1_2_VERSION);
    SSL_set_max_proto_version(second.server.stream->ssl, TLS1_2_VERSION);
    pair_connect(&first);
    pair_connect(&second);
    assert_true(tls_stream_resumed(first.client.stream));
    assert_true(tls_stream_resumed(second.client.stream));
    assert_int_equal(tls_sessions_count(client->sessions), 1);
    pair_close(&first);
    pair_close(&second);
    tls_client_unref(client);
}

static void
a_session_is_for_its_host_and_port(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test,DNS:b.test,DNS:*.w.test");
    for (unsigned tls12 = 0; tls12 < 2; tls12++) {
        struct tls_client *client = client_with(fixture, "root.pem");
        assert_false(connects_resumed(fixture, client, "a.test", 443, tls12));
        assert_false(connects_resumed(fixture, client, "b.test", 443, tls12));
        assert_false(connects_resumed(fixture, client, "a.test", 444, tls12));
        assert_false(connects_resumed(fixture, client, "x.w.test", 443, tls12));
        assert_false(connects_resumed(fixture, client, "y.w.test", 443, tls12));
        assert_true(connects_resumed(fixture, client, "a.test", 444, tls12));
        assert_true(connects_resumed(fixture, client, "a.test", 443, tls12));
        tls_client_unref(client);
    }
}

/* The server does not look at the name of a ticket; the client must not offer it. */
static void
another_hosts_ticket_is_not_even_offered(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    assert_false(connects_resumed(fixture, client, "a.test", 443, false));
    pair_open(&pair, fixture->context, client, "b.test", ROOMY);
    assert_null(SSL_get_session(pair.client.stream->ssl));
    pair_refused(&pair, TLS_CLIENT_FAILURE_NAME, "certificate is for a.test, not b.test");
    pair_close(&pair);
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    assert_non_null(SSL_get_session(pair.client.stream->ssl));
    pair_close(&pair);
    tls_client_unref(client);
}

static void
a_client_that_believes_everybody_shares_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:b.test");
    struct tls_client *blind = insecure_client(fixture), *client = client_with(fixture, "root.pem");
    for (unsigned i = 0; i < 2; i++) {
        pair_open(&pair, fixture->context, blind, "a.test", ROOMY);
        pair_connect(&pair);
        assert_int_equal(tls_stream_resumed(pair.client.stream), i);
        pair_close(&pair);
    }
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    pair_refused(&pair, TLS_CLIENT_FAILURE_NAME, "certificate is for b.test, not a.test");
    pair_close(&pair);
    tls_client_unref(blind);
    tls_client_unref(client);
}

static void
a_server_that_forgot_gets_a_full_handshake(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    for (unsigned tls12 = 0; tls12 < 2; tls12++) {
        struct tls_client *client = client_with(fixture, "root.pem");
        assert_false(connects_resumed(fixture, client, "a.test", 443, tls12));
        tls_context_unref(fixture->context);
        fixture->context = NULL;
        tls_tickets_free(fixture->config.tickets);
        assert_int_equal(tls_tickets_new(&fixture->config.tickets, &fixture->error), 0);
        serve_file(fixture, "server.pem");
        assert_false(connects_resumed(fixture, client, "a.test", 443, tls12));
        assert_true(connects_resumed(fixture, client, "a.test", 443, tls12));
        tls_client_unref(client);
    }
}

static void
a_failed_handshake_forgets_the_peers_sessions(void **state)
{
    struct fixture *fixture = *state;
    struct end end;
    serve_name(fixture, "DNS:a.test,DNS:b.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    assert_false(connects_resumed(fixture, client, "a.test", 443, true));
    assert_false(connects_resumed(fixture, client, "b.test", 443, true));
    end_init(&end, tls_stream_new_client(client, STR("a.test"), 443), ROOMY);
    end_run(&end);
    tls_stream_feed(end.stream, "\x15\x03\x03\x00\x02\x02\x28", 7);
    end_run(&end);
    client_failed(end.stream, TLS_CLIENT_FAILURE_PEER_ALERT, "handshake failure");
    end_deinit(&end);
    assert_false(connects_resumed(fixture, client, "a.test", 443, true));
    assert_true(connects_resumed(fixture, client, "b.test", 443, true));
    tls_client_unref(client);
}

static void
a_session_ends_with_its_certificate(void **state)
{
    const struct cert_spec brief = {.san = "DNS:a.test", .to_s = 2};
    struct fixture *fixture = *state;
    struct pair pair;
    serve_leaf(fixture, &brief);
    struct tls_client *client = client_with(fixture, "root.pem");
    time_t end_s = time(NULL) + 2;
    assert_false(connects_resumed(fixture, client, "a.test", 443, true));
    assert_true(connects_resumed(fixture, client, "a.test", 443, true));
    while (time(NULL) <= end_s + 1)
        usleep(50000);
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    assert_null(SSL_get_session(pair.client.stream->ssl));
    pair_refused(&pair, TLS_CLIENT_FAILURE_VALIDITY, "certificate has expired");
    pair_close(&pair);
    tls_client_unref(client);
}

/* --- the table --- */

/* A session as a handshake gives it; the caller's. */
static SSL_SESSION *
some_session(struct fixture *fixture, bool tls12)
{
    serve_name(fixture, "DNS:a.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    assert_false(connects_resumed(fixture, client, "a.test", 443, tls12));
    SSL_SESSION *session = tls_sessions_take(client->sessions, STR("a.test"), 443, time(NULL));
    assert_non_null(session);
    assert_int_equal(SSL_SESSION_should_be_single_use(session), !tls12);
    tls_client_unref(client);
    return session;
}

static void
put(struct tls_sessions *sessions, const char *host, SSL_SESSION *session, int64_t until_s)
{
    SSL_SESSION_up_ref(session);
    tls_sessions_put(sessions, str_from_cstr(host), 443, session, until_s);
}

static bool
has(struct tls_sessions *sessions, const char *host, int64_t now_s)
{
    SSL_SESSION *session = tls_sessions_take(sessions, str_from_cstr(host), 443, now_s);
    SSL_SESSION_free(session);
    return session != NULL;
}

static void
the_table_has_bounds(void **state)
{
    struct fixture *fixture = *state;
    char host[32];
    int64_t now_s = time(NULL);
    SSL_SESSION *once = some_session(fixture, false), *often = some_session(fixture, true);
    struct tls_sessions *sessions = tls_sessions_new();
    for (unsigned i = 0; i < 3 * TLS_SESSIONS_PER_PEER; i++)
        put(sessions, "many.test", once, INT64_MAX);
    assert_int_equal(tls_sessions_count(sessions), TLS_SESSIONS_PER_PEER);
    for (unsigned i = 0; i < 3; i++)
        put(sessions, "often.test", often, INT64_MAX);
    assert_int_equal(tls_sessions_count(sessions), TLS_SESSIONS_PER_PEER + 1);
    for (unsigned i = 0; i < 2 * TLS_SESSIONS_MAX; i++) {
        snprintf(host, sizeof host, "%u.test", i);
        put(sessions, host, often, INT64_MAX);
    }
    assert_int_equal(tls_sessions_count(sessions), TLS_SESSIONS_MAX);
    assert_false(has(sessions, "many.test", now_s));
    assert_false(has(sessions, "0.test", now_s));
    snprintf(host, sizeof host, "%d.test", TLS_SESSIONS_MAX);
    assert_true(has(sessions, host, now_s));
    tls_sessions_forget(sessions, STR("300.test"), 443);
    assert_int_equal(tls_sessions_count(sessions), TLS_SESSIONS_MAX - 1);
    assert_false(has(sessions, "300.test", now_s));
    tls_sessions_free(sessions);
    SSL_SESSION_free(once);
    SSL_SESSION_free(often);
}

static void
sessions_that_are_over_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_s = time(NULL);
    SSL_SESSION *session = some_session(fixture, true);
    int64_t life_s = SSL_SESSION_get_timeout(session);
    struct tls_sessions *sessions = tls_sessions_new();
    put(sessions, "a.test", session, now_s + 10);
    assert_true(has(sessions, "a.test", now_s + 10));
    assert_false(has(sessions, "a.test", now_s + 11));
    assert_int_equal(tls_sessions_count(sessions), 0);
    put(sessions, "a.test", session, INT64_MAX);
    assert_true(has(sessions, "a.test", now_s + life_s - 10));
    assert_false(has(sessions, "a.test", now_s + life_s + 1));
    tls_sessions_free(sessions);
    SSL_SESSION_free(session);
}

static void
a_huge_session_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t ticket[TLS_SESSION_LEN_MAX];
    SSL_SESSION *session = some_session(fixture, true);
    struct tls_sessions *sessions = tls_sessions_new();
    assert_int_equal(SSL_SESSION_set_ticket(session, ticket, sizeof ticket / 2), 1);
    put(sessions, "a.test", session, INT64_MAX);
    assert_int_equal(tls_sessions_count(sessions), 1);
    assert_int_equal(SSL_SESSION_set_ticket(session, ticket, sizeof ticket), 1);
    put(sessions, "b.test", session, INT64_MAX);
    assert_int_equal(tls_sessions_count(sessions), 1);
    tls_sessions_free(sessions);
    SSL_SESSION_free(session);
}

/* --- threads --- */

struct crowd {
    struct tls_client *client;
    struct tls_context *context;
    unsigned index, resumed;
};

static void *
talk_much(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < 60; i++) {
        struct pair pair;
        bool tls12 = i % 2;
        pair_open(&pair, crowd->context, crowd->client, tls12 ? "a.test" : "b.test", ROOMY);
        if (tls12)
            SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
        pair_run(&pair);
        crowd->resumed +=
            pair.client.handshake == TLS_DONE && tls_stream_resumed(pair.client.stream);
        pair_close(&pair);
    }
    return NULL;
}

static void
threads_share_a_client(void **state)
{
    enum { THREADS = 4 };
    struct fixture *fixture = *state;
    pthread_t threads[THREADS];
    struct crowd crowds[THREADS];
    unsigned resumed = 0;
    serve_name(fixture, "DNS:a.test,DNS:b.test");
    struct tls_client *client = client_with(fixture, "root.pem");
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){client, fixture->context, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, talk_much, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        resumed += crowds[i].resumed;
    }
    assert_true(resumed > THREADS * 28); /* all of TLS 1.2 but the first */
    tls_client_unref(client);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions_are_resumed),
        TEST(tickets_of_tls_1_3_are_used_once),
        TEST(one_session_of_tls_1_2_is_enough),
        TEST(a_session_is_for_its_host_and_port),
        TEST(another_hosts_ticket_is_not_even_offered),
        TEST(a_client_that_believes_everybody_shares_nothing),
        TEST(a_server_that_forgot_gets_a_full_handshake),
        TEST(a_failed_handshake_forgets_the_peers_sessions),
        TEST(a_session_ends_with_its_certificate),
        TEST(the_table_has_bounds),
        TEST(sessions_that_are_over_are_dropped),
        TEST(a_huge_session_is_not_kept),
        TEST(threads_share_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
