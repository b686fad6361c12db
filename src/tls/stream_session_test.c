#include "tls/tls_test_run.h"

/* Who the client is, and whether it was here before: client certificates, tickets, early data. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
load_two(struct fixture *fixture)
{
    write_names(fixture, "a.pem", "DNS:a.test");
    write_names(fixture, "b.pem", "DNS:b.test");
    load_dir(fixture);
}

/* --- tickets --- */

/* A session from a full handshake; the caller's. */
static SSL_SESSION *
get_session(struct fixture *fixture, const char *sni)
{
    struct link link;
    link_open(&link, fixture->context, sni, ROOMY);
    link_connect(&link);
    assert_false(tls_stream_resumed(link.stream));
    assert_false(tls_stream_has_ech_keys(link.stream));
    link_talk(&link);
    SSL_SESSION *session = link.session;
    assert_non_null(session);
    link.session = NULL;
    link_close(&link);
    return session;
}

/* Whether a handshake with this session resumes it; it must work in any case. */
static bool
resumes(struct fixture *fixture, SSL_SESSION *session, const char *sni)
{
    struct link link;
    link_open(&link, fixture->context, sni, ROOMY);
    SSL_set_session(link.ssl, session);
    link_connect(&link);
    bool resumed = tls_stream_resumed(link.stream);
    assert_int_equal(resumed, SSL_session_reused(link.ssl));
    link_talk(&link);
    if (sni) {
        assert_true(str_eq(tls_stream_sni(link.stream), str_from_cstr(sni)));
        assert_true(tls_stream_covers(link.stream, str_from_cstr(sni)));
        assert_false(tls_stream_covers(link.stream, STR("c.test")));
    }
    link_close(&link);
    return resumed;
}

static void
tickets_outlive_a_reload(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    SSL_SESSION *session = get_session(fixture, "a.test");
    assert_true(resumes(fixture, session, "a.test"));
    write_names(fixture, "a.pem", "DNS:a.test,DNS:more.test");
    load(fixture);
    assert_true(resumes(fixture, session, "a.test"));
    SSL_SESSION_free(session);
}

static void
tickets_are_for_the_name_they_were_given_under(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_two(fixture);
    SSL_SESSION *session = get_session(fixture, "a.test");
    assert_false(resumes(fixture, session, "b.test"));
    assert_false(resumes(fixture, session, NULL));
    link_open(&link, fixture->context, "none.test", ROOMY);
    SSL_set_session(link.ssl, session);
    link_refused(&link, TLS_FAILURE_NAME, SSL_AD_UNRECOGNIZED_NAME);
    link_close(&link);
    SSL_SESSION_free(session);
}

static void
a_name_that_is_gone_is_not_resumed(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    load_two(fixture);
    SSL_SESSION *session = get_session(fixture, "a.test");
    unlink(in_dir(fixture, "a.pem"));
    load(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_session(link.ssl, session);
    link_refused(&link, TLS_FAILURE_NAME, SSL_AD_UNRECOGNIZED_NAME);
    link_close(&link);
    SSL_SESSION_free(session);
}

static int64_t
clock_of(void *arg)
{
    return *(int64_t *)arg;
}

static void
tickets_of_an_old_key_still_open_and_older_ones_do_not(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_s = 1000;
    tls_tickets_set_clock(fixture->config.tickets, clock_of, &now_s);
    load_two(fixture);
    SSL_SESSION *session = get_session(fixture, "a.test");
    now_s += TLS_TICKET_KEY_S + 1;
    assert_true(resumes(fixture, session, "a.test"));
    now_s += TLS_TICKET_LIFE_S;
    assert_false(resumes(fixture, session, "a.test"));
    SSL_SESSION_free(session);
}

static void
tickets_of_another_process_open_nothing(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    SSL_SESSION *session = get_session(fixture, "a.test");
    tls_context_unref(fixture->context);
    fixture->context = NULL;
    tls_tickets_free(fixture->config.tickets);
    assert_int_equal(tls_tickets_new(&fixture->config.tickets, &fixture->error), 0);
    load(fixture);
    assert_false(resumes(fixture, session, "a.test"));
    SSL_SESSION_free(session);
}

static void
tls_1_2_resumes_too(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    SSL_SESSION *session = NULL;
    fixture->config.allow_tls12 = true;
    load_two(fixture);
    for (unsigned i = 0; i < 2; i++) {
        link_open(&link, fixture->context, "a.test", ROOMY);
        SSL_set_max_proto_version(link.ssl, TLS1_2_VERSION);
        if (session)
            SSL_set_session(link.ssl, session);
        link_connect(&link);
        assert_int_equal(tls_stream_resumed(link.stream), i == 1);
        link_talk(&link);
        SSL_SESSION_free(session);
        session = link.session;
        link.session = NULL;
        link_close(&link);
    }
    SSL_SESSION_free(session);
}

/* --- early data --- */

static void
early_data_is_marked(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    char plain[64];
    const uint8_t *wire;
    size_t len;
    fixture->config.early_data = true;
    load_two(fixture);
    SSL_SESSION *session = get_session(fixture, "a.test");
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_session(link.ssl, session);
    SSL_set_early_data_enabled(link.ssl, 1);
    assert_int_equal(SSL_do_handshake(link.ssl), 1);
    assert_int_equal(SSL_write(link.ssl, "early", 5), 5);
    BIO_mem_contents(link.out, &wire, &len);
    tls_stream_feed(link.stream, (const char *)wire, len);
    assert_int_equal(tls_stream_handshake(link.stream), TLS_DONE);
    assert_int_equal(tls_stream_read(link.stream, plain, sizeof plain, &len), TLS_DONE);
    assert_true(str_eq(str_make(plain, len), STR("early")));
    assert_true(tls_stream_is_early(link.stream));
    const struct iovec iov = {"half", 4};
    assert_int_equal(tls_stream_seal(link.stream, &iov, 1, 100), 4);
    assert_int_equal(tls_stream_read(link.stream, plain, sizeof plain, &len), TLS_WANTS_INPUT);
    BIO_reset(link.out);
    link_drain(&link);
    link_connect(&link);
    assert_true(str_eq(buf_str(&link.heard), STR("half")));
    link_talk(&link);
    assert_false(tls_stream_is_early(link.stream));
    assert_true(tls_stream_resumed(link.stream));
    link_close(&link);
    SSL_SESSION_free(session);
}

static void
early_data_is_off_by_itself(void **state)
{
    struct fixture *fixture = *state;
    load_two(fixture);
    SSL_SESSION *session = get_session(fixture, "a.test");
    assert_false(SSL_SESSION_early_data_capable(session));
    SSL_SESSION_free(session);
}

/* --- client certificates --- */

/* ca signs good; other signs bad. */
struct people {
    X509 *ca, *good, *other, *bad;
};

static void
make_people(struct fixture *fixture, struct people *people)
{
    struct cert_spec spec = {.subject = "CA", .is_ca = true};
    struct buf pem;
    people->ca = make_cert(&spec);
    spec.subject = "Other CA";
    spec.key = test_key(1);
    people->other = make_cert(&spec);
    spec = (struct cert_spec){
        .subject = "Zoë, Ltd", .key = test_key(2), .issuer = people->ca, .issuer_key = test_key(0)};
    people->good = make_cert(&spec);
    spec.issuer = people->other;
    spec.issuer_key = test_key(1);
    people->bad = make_cert(&spec);
    buf_init(&pem, 1 << 16);
    append_cert(&pem, people->ca);
    mkdir(in_dir(fixture, "ca"), 0700);
    write_file(fixture, "ca/ca.pem", buf_str(&pem));
    buf_deinit(&pem);
}

static void
free_people(struct people *people)
{
    X509_free(people->ca);
    X509_free(people->good);
    X509_free(people->other);
    X509_free(people->bad);
}

static void
set_auth(struct fixture *fixture, enum tls_client_auth auth)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", in_dir(fixture, "ca/ca.pem"));
    fixture->config.client_ca = auth == TLS_CLIENT_NONE ? NULL : path;
    fixture->config.client_auth = auth;
    load_two(fixture);
}

/* `cert` NULL: none. */
static void
open_as(struct link *link, struct fixture *fixture, X509 *cert)
{
    link_open(link, fixture->context, "a.test", ROOMY);
    if (cert) {
        assert_int_equal(SSL_use_certificate(link->ssl, cert), 1);
        assert_int_equal(SSL_use_PrivateKey(link->ssl, test_key(2)), 1);
    }
}

/* Issuer, serial number and chain. */
static void
check_certificate(struct link *link, struct str hex, const X509 *cert)
{
    char text[256], fingerprint[65];
    assert_true(str_eq(tls_stream_client_issuer(link->stream, text, sizeof text), STR("CN=CA")));
    assert_int_equal(tls_stream_client_issuer(link->stream, text, 2).len, 2);
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *serial = BN_bn2hex(number);
    assert_true(strlen(serial) >= 2);
    assert_true(
        str_eq(tls_stream_client_serial(link->stream, text, sizeof text), str_from_cstr(serial)));
    assert_int_equal(tls_stream_client_serial(link->stream, text, 1).len, 0);
    OPENSSL_free(serial);
    BN_free(number);
    assert_true(str_eq(tls_stream_client_chain_fingerprint(link->stream, 0, fingerprint), hex));
    assert_int_equal(tls_stream_client_chain_fingerprint(link->stream, 1, fingerprint).len, 0);
}

static void
check_identity(struct link *link, X509 *cert)
{
    char subject[256], fingerprint[65], hex[65];
    uint8_t digest[32];
    unsigned len;
    assert_true(str_eq(tls_stream_client_subject(link->stream, subject, sizeof subject),
                       STR("CN=Zo\\C3\\AB\\, Ltd")));
    assert_int_equal(tls_stream_client_subject(link->stream, subject, 4).len, 4);
    X509_digest(cert, EVP_sha256(), digest, &len);
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_true(
        str_eq(tls_stream_client_fingerprint(link->stream, fingerprint), str_make(hex, 64)));
    check_certificate(link, str_make(hex, 64), cert);
}

/* How many names of CAs the client was told. */
static int
count_cas(SSL *ssl, void *arg)
{
    *(size_t *)arg = sk_X509_NAME_num(SSL_get_client_CA_list(ssl));
    return 1;
}

static void
a_required_certificate_is_checked(void **state)
{
    struct fixture *fixture = *state;
    struct people people;
    struct link link;
    make_people(fixture, &people);
    set_auth(fixture, TLS_CLIENT_REQUIRE);
    size_t ca_count = 0;
    open_as(&link, fixture, people.good);
    SSL_set_cert_cb(link.ssl, count_cas, &ca_count);
    link_connect(&link);
    check_identity(&link, people.good);
    assert_int_equal(ca_count, 1);
    link_close(&link);
    open_as(&link, fixture, people.bad);
    link_refused(&link, TLS_FAILURE_CLIENT_CERT, SSL_AD_UNKNOWN_CA);
    link_close(&link);
    open_as(&link, fixture, NULL);
    link_refused(&link, TLS_FAILURE_CLIENT_CERT, SSL_AD_CERTIFICATE_REQUIRED);
    link_close(&link);
    free_people(&people);
}

static void
a_requested_certificate_may_be_missing_but_not_wrong(void **state)
{
    struct fixture *fixture = *state;
    struct people people;
    struct link link;
    char subject[64], fingerprint[65];
    make_people(fixture, &people);
    set_auth(fixture, TLS_CLIENT_REQUEST);
    open_as(&link, fixture, NULL);
    link_connect(&link);
    assert_int_equal(tls_stream_client_subject(link.stream, subject, sizeof subject).len, 0);
    assert_int_equal(tls_stream_client_fingerprint(link.stream, fingerprint).len, 0);
    assert_int_equal(tls_stream_client_issuer(link.stream, subject, sizeof subject).len, 0);
    assert_int_equal(tls_stream_client_serial(link.stream, subject, sizeof subject).len, 0);
    assert_int_equal(tls_stream_client_chain_fingerprint(link.stream, 0, fingerprint).len, 0);
    link_close(&link);
    open_as(&link, fixture, people.good);
    link_connect(&link);
    check_identity(&link, people.good);
    link_close(&link);
    open_as(&link, fixture, people.bad);
    link_refused(&link, TLS_FAILURE_CLIENT_CERT, SSL_AD_UNKNOWN_CA);
    link_close(&link);
    set_auth(fixture, TLS_CLIENT_NONE);
    open_as(&link, fixture, people.good);
    link_connect(&link);
    assert_int_equal(tls_stream_client_subject(link.stream, subject, sizeof subject).len, 0);
    link_close(&link);
    free_people(&people);
}

static void
a_resumed_client_is_still_known(void **state)
{
    struct fixture *fixture = *state;
    struct people people;
    struct link link;
    make_people(fixture, &people);
    set_auth(fixture, TLS_CLIENT_REQUIRE);
    open_as(&link, fixture, people.good);
    link_connect(&link);
    link_talk(&link);
    SSL_SESSION *session = link.session;
    link.session = NULL;
    link_close(&link);
    open_as(&link, fixture, NULL);
    SSL_set_session(link.ssl, session);
    link_connect(&link);
    assert_true(tls_stream_resumed(link.stream));
    check_identity(&link, people.good);
    link_close(&link);
    SSL_SESSION_free(session);
    free_people(&people);
}

static void
a_session_without_a_certificate_does_not_get_past_one(void **state)
{
    struct fixture *fixture = *state;
    struct people people;
    struct link link;
    make_people(fixture, &people);
    set_auth(fixture, TLS_CLIENT_REQUEST);
    SSL_SESSION *session = get_session(fixture, "a.test");
    set_auth(fixture, TLS_CLIENT_REQUIRE);
    open_as(&link, fixture, NULL);
    SSL_set_session(link.ssl, session);
    link_refused(&link, TLS_FAILURE_CLIENT_CERT, SSL_AD_CERTIFICATE_REQUIRED);
    link_close(&link);
    SSL_SESSION_free(session);
    free_people(&people);
}

static void
a_huge_client_chain_gets_a_ticket_that_opens_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct people people;
    struct link link;
    char *names = malloc(30000);
    size_t len = 0;
    make_people(fixture, &people);
    set_auth(fixture, TLS_CLIENT_REQUIRE);
    for (unsigned i = 0; i < 1200; i++)
        len +=
            (size_t)snprintf(names + len, 30000 - len, "%sDNS:n%u.example.test", i ? "," : "", i);
    const struct cert_spec spec = {.subject = "big",
                                   .san = names,
                                   .key = test_key(2),
                                   .issuer = people.ca,
                                   .issuer_key = test_key(0)};
    X509 *big = make_cert(&spec);
    open_as(&link, fixture, big);
    link_connect(&link);
    link_talk(&link);
    SSL_SESSION *session = link.session;
    link.session = NULL;
    link_close(&link);
    open_as(&link, fixture, big);
    SSL_set_session(link.ssl, session);
    link_connect(&link);
    assert_false(tls_stream_resumed(link.stream));
    link_close(&link);
    SSL_SESSION_free(session);
    X509_free(big);
    free_people(&people);
    free(names);
}

static void
errors_of_client_ca_name_it(void **state)
{
    struct fixture *fixture = *state;
    write_names(fixture, "a.pem", "DNS:a.test");
    write_file(fixture, "x.ocsp", STR("no PEM"));
    fixture->config.cert_dir = fixture->dir;
    fixture->config.client_auth = TLS_CLIENT_REQUIRE;
    load_fails(fixture, "--client-auth and --client-ca need each other");
    fixture->config.client_ca = in_dir(fixture, "x.ocsp");
    load_fails(fixture, "/x.ocsp: no PEM certificate in it");
    fixture->config.client_ca = in_dir(fixture, "none");
    load_fails(fixture, "--client-ca: /tmp/tarn-tls-");
    write_file(fixture, "y.ocsp",
               STR("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"));
    fixture->config.client_ca = in_dir(fixture, "y.ocsp");
    load_fails(fixture, "/y.ocsp: certificate 1 in it cannot be read");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tickets_outlive_a_reload),
        TEST(tickets_are_for_the_name_they_were_given_under),
        TEST(a_name_that_is_gone_is_not_resumed),
        TEST(tickets_of_an_old_key_still_open_and_older_ones_do_not),
        TEST(tickets_of_another_process_open_nothing),
        TEST(tls_1_2_resumes_too),
        TEST(early_data_is_marked),
        TEST(early_data_is_off_by_itself),
        TEST(a_required_certificate_is_checked),
        TEST(a_requested_certificate_may_be_missing_but_not_wrong),
        TEST(a_resumed_client_is_still_known),
        TEST(a_session_without_a_certificate_does_not_get_past_one),
        TEST(a_huge_client_chain_gets_a_ticket_that_opens_nothing),
        TEST(errors_of_client_ca_name_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
