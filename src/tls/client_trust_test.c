#include "tls/client_test_run.h"

/* Where the certificates come from that a client trusts, and what it says when there are none. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_clean, teardown_clean)

static int
setup_clean(void **state)
{
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    return setup(state);
}

static int
teardown_clean(void **state)
{
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    return teardown(state);
}

/* A client that asks the system; the caller's. */
static struct tls_client *
system_client(struct fixture *fixture)
{
    struct tls_client *client = NULL;
    const struct tls_client_config config = {.ca_option = "--proxy-ca"};
    assert_int_equal(tls_client_new(&client, &config, &fixture->error), 0);
    assert_int_equal(ERR_peek_error(), 0);
    return client;
}

static void
check_system(struct fixture *fixture, bool is_trusted)
{
    struct pair pair;
    struct tls_client *client = system_client(fixture);
    assert_null(tls_client_problem(client));
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    if (is_trusted)
        pair_connect(&pair);
    else
        pair_refused(&pair, TLS_CLIENT_FAILURE_UNTRUSTED, "unable to get local issuer");
    pair_close(&pair);
    tls_client_unref(client);
}

static void
check_problem(struct fixture *fixture, const char *text)
{
    struct end end;
    struct tls_client *client = system_client(fixture);
    const char *problem = tls_client_problem(client);
    assert_non_null(problem);
    if (!strstr(problem, text) || strchr(problem, '\n'))
        fail_msg("'%s' is not in '%s'", text, problem);
    end_init(&end, tls_stream_new_client(client, STR("a.test"), 443), ROOMY);
    client_failed(end.stream, TLS_CLIENT_FAILURE_NO_CA, text);
    assert_int_equal(end.output->len, 0);
    tls_stream_feed(end.stream, "x", 1);
    assert_true(tls_stream_hold_input(end.stream));
    end_deinit(&end);
    tls_client_unref(client);
}

static bool
system_has_some(void)
{
    return access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0;
}

static void
the_environment_names_a_bundle(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    if (system_has_some())
        check_system(fixture, false);
    setenv("SSL_CERT_FILE", in_dir(fixture, "root.pem"), 1);
    check_system(fixture, true);
    setenv("SSL_CERT_FILE", "", 1);
    if (system_has_some())
        check_system(fixture, false);
}

static void
the_environment_names_directories(void **state)
{
    struct fixture *fixture = *state;
    char list[1024];
    serve_name(fixture, "DNS:a.test");
    mkdir(in_dir(fixture, "empty"), 0700);
    mkdir(in_dir(fixture, "certs"), 0700);
    mkdir(in_dir(fixture, "certs/.hidden"), 0700);
    write_file(fixture, "certs/readme", STR("not a certificate\n"));
    write_file(fixture, "certs/broken.pem", STR("-----BEGIN CERTIFICATE-----\nAAAA\n"));
    assert_int_equal(symlink("../root.pem", in_dir(fixture, "certs/12345678.0")), 0);
    assert_int_equal(symlink("../root.pem", in_dir(fixture, "certs/12345678.1")), 0);
    assert_int_equal(symlink("../none.pem", in_dir(fixture, "certs/dangling")), 0);
    snprintf(list, sizeof list, "%s:%s", in_dir(fixture, "empty"), in_dir(fixture, "certs"));
    setenv("SSL_CERT_DIR", list, 1);
    check_system(fixture, true);
}

static void
one_variable_leaves_the_systems_own_the_other_does_not(void **state)
{
    struct fixture *fixture = *state;
    struct tls_client *both, *one;
    if (!system_has_some())
        skip();
    serve_name(fixture, "DNS:a.test");
    mkdir(in_dir(fixture, "empty"), 0700);
    setenv("SSL_CERT_FILE", in_dir(fixture, "root.pem"), 1);
    one = system_client(fixture);
    setenv("SSL_CERT_DIR", in_dir(fixture, "empty"), 1);
    both = system_client(fixture);
    size_t one_count =
        sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(one->ctx)));
    size_t both_count =
        sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(both->ctx)));
    assert_int_equal(both_count, 1);
    assert_true(one_count > 20);
    tls_client_unref(one);
    tls_client_unref(both);
}

static void
trouble_with_the_environment_is_told_when_it_matters(void **state)
{
    struct fixture *fixture = *state;
    serve_name(fixture, "DNS:a.test");
    setenv("SSL_CERT_FILE", "/none/ca.pem", 1);
    check_problem(fixture, "SSL_CERT_FILE: /none/ca.pem: No such file or directory");
    write_file(fixture, "broken.pem", STR("-----BEGIN CERTIFICATE-----\nAAAA\n"));
    setenv("SSL_CERT_FILE", in_dir(fixture, "broken.pem"), 1);
    check_problem(fixture, "broken.pem: a damaged PEM block");
    unsetenv("SSL_CERT_FILE");
    setenv("SSL_CERT_DIR", "/none", 1);
    check_problem(fixture, "SSL_CERT_DIR: /none: No such file or directory");
    mkdir(in_dir(fixture, "empty"), 0700);
    write_file(fixture, "empty.pem", STR(""));
    setenv("SSL_CERT_DIR", in_dir(fixture, "empty"), 1);
    setenv("SSL_CERT_FILE", in_dir(fixture, "empty.pem"), 1);
    check_problem(fixture, "no CA certificates: none in what SSL_CERT_FILE and SSL_CERT_DIR name");
}

static void
check_file(struct fixture *fixture, const char *path, const char *text)
{
    struct tls_client *client = NULL;
    const struct tls_client_config config = {.ca_file = path, .ca_option = "--proxy-ca"};
    assert_int_equal(tls_client_new(&client, &config, &fixture->error), -1);
    if (!strstr(fixture->error.text, text) || strchr(fixture->error.text, '\n'))
        fail_msg("'%s' is not in '%s'", text, fixture->error.text);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
a_bundle_that_was_named_must_be_right(void **state)
{
    struct fixture *fixture = *state;
    char text[256];
    struct buf pem;
    serve_name(fixture, "DNS:a.test");
    check_file(fixture, "/none/ca.pem", "--proxy-ca: /none/ca.pem: No such file or directory");
    check_file(fixture, fixture->dir, "not a regular file");
    write_file(fixture, "empty.pem", STR("nothing\n"));
    check_file(fixture, in_dir(fixture, "empty.pem"), "empty.pem: no PEM certificate in it");
    write_file(fixture, "broken.pem", STR("-----BEGIN CERTIFICATE-----\nAAAA\n"));
    check_file(fixture, in_dir(fixture, "broken.pem"), "broken.pem: a damaged PEM block");
    buf_init(&pem, 1 << 16);
    X509 *root = make_root();
    append_cert(&pem, root);
    buf_append(&pem, STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    write_file(fixture, "second.pem", buf_str(&pem));
    snprintf(text, sizeof text, "second.pem: certificate 2 in it cannot be read");
    check_file(fixture, in_dir(fixture, "second.pem"), text);
    /* What the system brings is read as far as it can be. */
    setenv("SSL_CERT_FILE", in_dir(fixture, "second.pem"), 1);
    check_system(fixture, true);
    buf_deinit(&pem);
    X509_free(root);
}

static void
a_certificate_twice_is_no_trouble(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    X509 *root = make_root();
    X509 *const twice[] = {root, root};
    write_chain(fixture, "root.pem", twice, 2, NULL);
    struct tls_client *client = client_with(fixture, "root.pem");
    pair_open(&pair, fixture->context, client, "a.test", ROOMY);
    /* The leaf's root has another serial number, but the same name and key: the same authority. */
    pair_connect(&pair);
    pair_close(&pair);
    tls_client_unref(client);
    X509_free(root);
}

static void
whoever_believes_everybody_needs_no_certificates(void **state)
{
    struct fixture *fixture = *state;
    struct pair pair;
    serve_name(fixture, "DNS:a.test");
    setenv("SSL_CERT_FILE", "/none/ca.pem", 1);
    struct tls_client *client = insecure_client(fixture);
    assert_null(tls_client_problem(client));
    pair_open(&pair, fixture->context, client, "b.test", ROOMY);
    pair_connect(&pair);
    pair_close(&pair);
    tls_client_unref(client);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_environment_names_a_bundle),
        TEST(the_environment_names_directories),
        TEST(one_variable_leaves_the_systems_own_the_other_does_not),
        TEST(trouble_with_the_environment_is_told_when_it_matters),
        TEST(a_bundle_that_was_named_must_be_right),
        TEST(a_certificate_twice_is_no_trouble),
        TEST(whoever_believes_everybody_needs_no_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
