#include "tls/client_test_run.h"

/* Which certificates a client believes, and what it says of the others. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* What a client that trusts root.pem says of the loaded server, and by which alert; NULL: it
 * believes it. In TLS 1.3 and 1.2. */
static void
check(struct fixture *fixture, const char *host, enum tls_client_failure failure, const char *text,
      const char *alert)
{
    struct tls_client *client = client_with(fixture, "root.pem");
    for (unsigned version = 0; version < 2; version++) {
        struct pair pair;
        pair_open(&pair, fixture->context, client, host, ROOMY);
        if (version)
            SSL_set_max_proto_version(pair.server.stream->ssl, TLS1_2_VERSION);
        if (text) {
            pair_refused(&pair, failure, text);
            assert_int_equal(tls_stream_failure(pair.server.stream), TLS_FAILURE_PEER_ALERT);
            if (version) /* in TLS 1.3 the server is done before it gets the alert */
                assert_int_equal(pair.server.handshake, TLS_FAILED);
            if (!strstr(tls_stream_failure_text(pair.server.stream), alert))
                fail_msg("%s: %s", text, tls_stream_failure_text(pair.server.stream));
        } else {
            pair_connect(&pair);
            pair_talk(&pair);
        }
        pair_close(&pair);
    }
    assert_int_equal(tls_sessions_count(client->sessions) > 0, text == NULL);
    tls_client_unref(client);
    /* Whoever does not ask is told nothing. */
    struct pair pair;
    client = insecure_client(fixture);
    pair_open(&pair, fixture->context, client, host, ROOMY);
    pair_connect(&pair);
    pair_talk(&pair);
    pair_close(&pair);
    tls_client_unref(client);
}

static void
check_leaf(struct fixture *fixture, const struct cert_spec *spec, enum tls_client_failure failure,
           const char *text)
{
    serve_leaf(fixture, spec);
    check(fixture, "a.test", failure, text, "_CERTIFICATE");
}

/* --- names --- */

static void
a_certificate_for_others_is_refused(void **state)
{
    static const struct {
        const char *san, *host, *text;
    } cases[] = {
        {"DNS:other.example", "host.example", "certificate is for other.example, not host.example"},
        {"DNS:a.test", "b.test", "certificate is for a.test, not b.test"},
        {"DNS:a.test", "x.a.test", "certificate is for a.test, not x.a.test"},
        {"DNS:x.a.test", "a.test", "certificate is for x.a.test, not a.test"},
        {"DNS:a.test", "aa.test", "certificate is for a.test, not aa.test"},
        {"DNS:a.test", "a.test.evil", "certificate is for a.test, not a.test.evil"},
        {"DNS:1.test,DNS:2.test,DNS:3.test", "4.test",
         "certificate is for 1.test, 2.test, 3.test, not 4.test"},
        {"DNS:1.test,DNS:2.test,DNS:3.test,DNS:4.test,DNS:5.test", "6.test",
         "certificate is for 1.test, 2.test, 3.test and 2 more, not 6.test"},
        {"DNS:*.w.test", "w.test", "certificate is for *.w.test, not w.test"},
        {"DNS:*.w.test", "a.b.w.test", "certificate is for *.w.test, not a.b.w.test"},
        {"DNS:a.*.test", "a.b.test", "certificate is for no name or address, so not for a.b.test"},
        {"DNS:a*.test", "ab.test", "certificate is for no name"},
        {"DNS:*", "test", "certificate is for no name"},
        {"DNS:*.test", "a.test", "certificate is for *.test, not a.test"},
        {"DNS:127.0.0.1", "127.0.0.1", "certificate is for no name or address, so not for"},
        {"DNS:*.0.0.1", "127.0.0.1", "certificate is for *.0.0.1, not 127.0.0.1"},
        {"IP:127.0.0.1", "127.0.0.2", "certificate is for 127.0.0.1, not 127.0.0.2"},
        {"IP:::1", "127.0.0.1", "certificate is for ::1, not 127.0.0.1"},
        {"IP:127.0.0.1", "::ffff:127.0.0.1", "certificate is for 127.0.0.1, not ::ffff:127.0.0.1"},
        {"IP:127.0.0.1", "localhost", "certificate is for 127.0.0.1, not localhost"},
        {"email:a.test", "a.test", "certificate is for no name or address, so not for a.test"},
        {"URI:https://a.test/", "a.test", "certificate is for no name or address"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        serve_name(fixture, cases[i].san);
        check(fixture, cases[i].host, TLS_CLIENT_FAILURE_NAME, cases[i].text, "BAD_CERTIFICATE");
    }
}

static void
the_common_name_does_not_count(void **state)
{
    const struct cert_spec bare = {.subject = "a.test"};
    const struct cert_spec other = {.subject = "a.test", .san = "DNS:b.test"};
    struct fixture *fixture = *state;
    check_leaf(fixture, &bare, TLS_CLIENT_FAILURE_NAME,
               "certificate is for no name or address, so not for a.test");
    check_leaf(fixture, &other, TLS_CLIENT_FAILURE_NAME, "certificate is for b.test, not a.test");
}

static void
a_name_with_a_nul_is_no_name(void **state)
{
    struct fixture *fixture = *state;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    X509 *root = make_root();
    const struct cert_spec spec = {
        .issuer = root, .issuer_key = test_key(ROOT_KEY), .key = test_key(LEAF_KEY)};
    X509 *leaf = make_cert(&spec);
    ASN1_STRING_set(text, "a.test\0.evil.test", 17);
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, name);
    assert_int_equal(X509_add1_ext_i2d(leaf, NID_subject_alt_name, names, 0, 0), 1);
    assert_true(X509_sign(leaf, test_key(ROOT_KEY), EVP_sha256()) > 0);
    write_chain(fixture, "root.pem", &root, 1, NULL);
    write_chain(fixture, "server.pem", &leaf, 1, test_key(LEAF_KEY));
    serve_file(fixture, "server.pem");
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NAME,
          "certificate is for no name or address, so not for a.test", "BAD_CERTIFICATE");
    GENERAL_NAMES_free(names);
    X509_free(leaf);
    X509_free(root);
}

/* --- time --- */

static void
certificates_out_of_their_time_are_refused(void **state)
{
    const struct cert_spec old = {.san = "DNS:a.test", .from_s = -2 * DAY_S, .to_s = -DAY_S};
    const struct cert_spec young = {.san = "DNS:a.test", .from_s = DAY_S, .to_s = 2 * DAY_S};
    struct fixture *fixture = *state;
    serve_leaf(fixture, &old);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_VALIDITY, "certificate has expired at 20",
          "CERTIFICATE_EXPIRED");
    serve_leaf(fixture, &young);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_VALIDITY, "certificate is not valid before 20",
          "CERTIFICATE_EXPIRED");
}

/* --- chains --- */

struct chain {
    X509 *root, *middle, *leaf;
};

/* root.pem and a chain of three; `middle`: its fields but the issuer. */
static void
make_chain(struct fixture *fixture, struct chain *chain, const struct cert_spec *middle)
{
    struct cert_spec spec = *middle;
    chain->root = make_root();
    spec.issuer = chain->root;
    spec.issuer_key = test_key(ROOT_KEY);
    spec.subject = "Middle";
    spec.key = spec.key ? spec.key : test_key(MIDDLE_KEY);
    chain->middle = make_cert(&spec);
    const struct cert_spec leaf = {.san = "DNS:a.test",
                                   .subject = "leaf",
                                   .key = test_key(LEAF_KEY),
                                   .issuer = chain->middle,
                                   .issuer_key = spec.key};
    chain->leaf = make_cert(&leaf);
    write_chain(fixture, "root.pem", &chain->root, 1, NULL);
}

static void
chain_free(struct chain *chain)
{
    X509_free(chain->root);
    X509_free(chain->middle);
    X509_free(chain->leaf);
}

static void
serve_chain(struct fixture *fixture, X509 *first, X509 *second, X509 *third)
{
    X509 *const certs[] = {first, second, third};
    write_chain(fixture, "server.pem", certs, third ? 3 : second ? 2 : 1, test_key(LEAF_KEY));
    serve_file(fixture, "server.pem");
}

static void
intermediates_come_from_the_server(void **state)
{
    const struct cert_spec middle = {.is_ca = true};
    struct fixture *fixture = *state;
    struct chain chain;
    make_chain(fixture, &chain, &middle);
    serve_chain(fixture, chain.leaf, chain.middle, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NONE, NULL, NULL);
    serve_chain(fixture, chain.leaf, chain.middle, chain.root);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NONE, NULL, NULL);
    serve_chain(fixture, chain.leaf, chain.root, chain.middle);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NONE, NULL, NULL);
    serve_chain(fixture, chain.leaf, NULL, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_UNTRUSTED,
          "unable to get local issuer certificate: CN=Middle is neither trusted nor sent",
          "UNKNOWN_CA");
    chain_free(&chain);
}

static void
whatever_the_bundle_holds_is_trusted(void **state)
{
    const struct cert_spec middle = {.is_ca = true};
    struct fixture *fixture = *state;
    struct chain chain;
    make_chain(fixture, &chain, &middle);
    serve_chain(fixture, chain.leaf, NULL, NULL);
    write_chain(fixture, "root.pem", &chain.middle, 1, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NONE, NULL, NULL);
    write_chain(fixture, "root.pem", &chain.leaf, 1, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NONE, NULL, NULL);
    check(fixture, "b.test", TLS_CLIENT_FAILURE_NAME, "certificate is for a.test, not b.test",
          "BAD_CERTIFICATE");
    chain_free(&chain);
}

static void
an_expired_intermediate_is_named(void **state)
{
    const struct cert_spec middle = {.is_ca = true, .from_s = -2 * DAY_S, .to_s = -DAY_S};
    struct fixture *fixture = *state;
    struct chain chain;
    make_chain(fixture, &chain, &middle);
    serve_chain(fixture, chain.leaf, chain.middle, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_VALIDITY,
          "certificate of CA CN=Middle has expired at 20", "CERTIFICATE_EXPIRED");
    chain_free(&chain);
}

static void
who_is_no_authority_signs_nothing(void **state)
{
    const struct cert_spec no_ca = {.is_ca = false};
    const struct cert_spec other_names = {.is_ca = true,
                                          .extension = NID_name_constraints,
                                          .extension_value = "critical,permitted;DNS:b.test"};
    struct fixture *fixture = *state;
    struct chain chain;
    make_chain(fixture, &chain, &no_ca);
    serve_chain(fixture, chain.leaf, chain.middle, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_CERTIFICATE,
          "certificate of CA CN=Middle: invalid CA certificate", "UNKNOWN_CA");
    chain_free(&chain);
    make_chain(fixture, &chain, &other_names);
    serve_chain(fixture, chain.leaf, chain.middle, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_CERTIFICATE, "permitted subtree violation",
          "CERTIFICATE_UNKNOWN");
    chain_free(&chain);
}

static void
a_stranger_is_not_trusted(void **state)
{
    const struct cert_spec stranger = {
        .subject = "Stranger", .key = test_key(STRANGER_KEY), .is_ca = true};
    const struct cert_spec impostor = {
        .subject = "Root", .key = test_key(STRANGER_KEY), .is_ca = true};
    struct fixture *fixture = *state;
    struct cert_spec spec = {
        .san = "DNS:a.test", .key = test_key(LEAF_KEY), .issuer_key = test_key(STRANGER_KEY)};
    X509 *root = make_root(), *issuer = make_cert(&stranger);
    write_chain(fixture, "root.pem", &root, 1, NULL);
    spec.issuer = issuer;
    X509 *leaf = make_cert(&spec);
    serve_chain(fixture, leaf, NULL, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_UNTRUSTED,
          "unable to get local issuer certificate: CN=Stranger is neither trusted", "UNKNOWN_CA");
    serve_chain(fixture, leaf, issuer, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_UNTRUSTED,
          "self-signed certificate in certificate chain: CA CN=Stranger is not trusted",
          "UNKNOWN_CA");
    X509_free(leaf);
    X509_free(issuer);
    /* Under the name of one that is trusted. */
    issuer = make_cert(&impostor);
    spec.issuer = issuer;
    leaf = make_cert(&spec);
    serve_chain(fixture, leaf, NULL, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_CERTIFICATE, "certificate signature failure",
          "DECRYPT_ERROR");
    X509_free(leaf);
    X509_free(issuer);
    X509_free(root);
}

static void
a_self_signed_certificate_is_named(void **state)
{
    const struct cert_spec spec = {
        .san = "DNS:a.test", .subject = "Alone", .key = test_key(LEAF_KEY)};
    struct fixture *fixture = *state;
    X509 *root = make_root(), *alone = make_cert(&spec);
    write_chain(fixture, "root.pem", &root, 1, NULL);
    serve_chain(fixture, alone, NULL, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_UNTRUSTED, "self-signed certificate: CN=Alone",
          "UNKNOWN_CA");
    write_chain(fixture, "root.pem", &alone, 1, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NONE, NULL, NULL);
    X509_free(alone);
    X509_free(root);
}

static void
tarns_own_self_signed_certificate_can_be_trusted(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    fixture->config.self_signed = true;
    load(fixture);
    X509 *cert = X509_parse_from_buffer(fixture->context->certs.list[0].chain[0]);
    write_chain(fixture, "root.pem", &cert, 1, NULL);
    X509_free(cert);
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "localhost", ROOMY);
    pair_connect(&pair);
    pair_close(&pair);
    pair_open(&pair, fixture->context, client, "127.0.0.1", ROOMY);
    pair_connect(&pair);
    pair_close(&pair);
    tls_client_unref(client);
}

/* --- purposes, strength --- */

static void
certificates_for_something_else_are_refused(void **state)
{
    const struct cert_spec client = {
        .san = "DNS:a.test", .extension = NID_ext_key_usage, .extension_value = "clientAuth"};
    const struct cert_spec server = {
        .san = "DNS:a.test", .extension = NID_ext_key_usage, .extension_value = "serverAuth"};
    struct fixture *fixture = *state;
    check_leaf(fixture, &client, TLS_CLIENT_FAILURE_CERTIFICATE,
               "certificate: unsupported certificate purpose");
    check_leaf(fixture, &server, TLS_CLIENT_FAILURE_NONE, NULL);
}

static void
weak_signatures_and_keys_are_refused(void **state)
{
    const struct cert_spec sha1 = {.san = "DNS:a.test", .subject = "Old", .digest = EVP_sha1()};
    EVP_PKEY *small = test_rsa_key(1024);
    const struct cert_spec weak = {.is_ca = true, .key = small};
    const struct cert_spec weak_sha1 = {.is_ca = true, .digest = EVP_sha1()};
    struct fixture *fixture = *state;
    struct chain chain;
    check_leaf(fixture, &sha1, TLS_CLIENT_FAILURE_CERTIFICATE,
               "certificate CN=Old has a weak signature: SHA-1 or MD5");
    make_chain(fixture, &chain, &weak);
    serve_chain(fixture, chain.leaf, chain.middle, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_CERTIFICATE,
          "certificate CN=Middle has a weak key: RSA of less than 2048 bits", "BAD_CERTIFICATE");
    chain_free(&chain);
    make_chain(fixture, &chain, &weak_sha1);
    serve_chain(fixture, chain.leaf, chain.middle, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_CERTIFICATE,
          "certificate CN=Middle has a weak signature: SHA-1 or MD5", "BAD_CERTIFICATE");
    /* One that is trusted for itself may have any. */
    write_chain(fixture, "root.pem", &chain.middle, 1, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NONE, NULL, NULL);
    chain_free(&chain);
    EVP_PKEY_free(small);
}

/* --- the words --- */

static void
a_subject_cannot_forge_a_line(void **state)
{
    const struct cert_spec spec = {
        .san = "DNS:a.test", .subject = "x\nforged\x1b[31m Zoë", .key = test_key(LEAF_KEY)};
    struct fixture *fixture = *state;
    char longer[400];
    X509 *root = make_root(), *alone = make_cert(&spec);
    write_chain(fixture, "root.pem", &root, 1, NULL);
    serve_chain(fixture, alone, NULL, NULL);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_UNTRUSTED, "self-signed certificate: CN=x",
          "UNKNOWN_CA");
    X509_free(alone);
    X509_free(root);
    /* Names of a length that none should have. */
    memset(longer, 'n', sizeof longer);
    memcpy(longer, "DNS:", 4);
    for (unsigned i = 4 + 60; i < 4 + 240; i += 61)
        longer[i] = '.';
    longer[4 + 250] = '\0';
    serve_name(fixture, longer);
    check(fixture, "a.test", TLS_CLIENT_FAILURE_NAME, "n, not a.test", "BAD_CERTIFICATE");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_certificate_for_others_is_refused),
        TEST(the_common_name_does_not_count),
        TEST(a_name_with_a_nul_is_no_name),
        TEST(certificates_out_of_their_time_are_refused),
        TEST(intermediates_come_from_the_server),
        TEST(whatever_the_bundle_holds_is_trusted),
        TEST(an_expired_intermediate_is_named),
        TEST(who_is_no_authority_signs_nothing),
        TEST(a_stranger_is_not_trusted),
        TEST(a_self_signed_certificate_is_named),
        TEST(tarns_own_self_signed_certificate_can_be_trusted),
        TEST(certificates_for_something_else_are_refused),
        TEST(weak_signatures_and_keys_are_refused),
        TEST(a_subject_cannot_forge_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
