#include "tls/tls_test_run.h"

#include "tls/pem.h"

/* What is read from files, seen through a context that is made of it. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct cert_spec plain = {.san = "DNS:a.test"};

/* One pair, in these files. */
static void
set_pair(struct fixture *fixture, const char *cert, const char *key)
{
    static const char *cert_file, *key_file;
    cert_file = in_dir(fixture, cert);
    key_file = in_dir(fixture, key);
    fixture->config.cert_files = &cert_file;
    fixture->config.key_files = &key_file;
    fixture->config.pair_count = 1;
}

static bool
covers(const struct fixture *fixture, const char *name)
{
    return tls_context_covers(fixture->context, str_from_cstr(name));
}

static void
a_pair_may_be_one_file_or_two(void **state)
{
    struct fixture *fixture = *state;
    write_pem(fixture, "both.pem", &plain, WITH_CERT | WITH_KEY);
    set_pair(fixture, "both.pem", "both.pem");
    load(fixture);
    assert_true(covers(fixture, "a.test"));
    write_pem(fixture, "c.pem", &plain, WITH_CERT);
    write_pem(fixture, "k.pem", &plain, WITH_KEY);
    set_pair(fixture, "c.pem", "k.pem");
    load(fixture);
    assert_true(covers(fixture, "a.test"));
    assert_int_equal(fixture->note_count, 0);
}

static void
errors_of_pairs_name_the_file(void **state)
{
    struct fixture *fixture = *state;
    const struct cert_spec other = {.san = "DNS:b.test", .key = test_key(1)};
    write_pem(fixture, "c.pem", &plain, WITH_CERT);
    write_pem(fixture, "k.pem", &plain, WITH_KEY);
    write_pem(fixture, "other.pem", &other, WITH_KEY);
    write_file(fixture, "text", STR("hello\n"));
    write_file(fixture, "cut", STR("-----BEGIN CERTIFICATE-----\nMIIB\n"));
    write_file(fixture, "bad",
               STR("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"));
    set_pair(fixture, "none", "k.pem");
    load_fails(fixture, "--cert: /tmp/tarn-tls-");
    load_fails(fixture, "/none: No such file or directory");
    set_pair(fixture, "c.pem", "none");
    load_fails(fixture, "--key: /tmp/tarn-tls-");
    set_pair(fixture, "text", "k.pem");
    load_fails(fixture, "/text: no PEM certificate in it");
    set_pair(fixture, "cut", "k.pem");
    load_fails(fixture, "/cut: a damaged PEM block");
    set_pair(fixture, "bad", "k.pem");
    load_fails(fixture, "/bad: the first certificate in it cannot be read");
    set_pair(fixture, "k.pem", "k.pem");
    load_fails(fixture, "/k.pem: no PEM certificate in it");
    set_pair(fixture, "c.pem", "c.pem");
    load_fails(fixture, "/c.pem: no PEM private key in it");
    set_pair(fixture, "c.pem", "other.pem");
    load_fails(fixture, "/other.pem: not the key of the certificate in /tmp/tarn-tls-");
    load_fails(fixture, "/c.pem");
    set_pair(fixture, ".", "k.pem");
    load_fails(fixture, "/.: not a regular file");
}

static void
keys_that_cannot_serve_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct buf pem;
    EVP_PKEY *small = test_rsa_key(1024);
    const struct cert_spec weak = {.san = "DNS:a.test", .key = small};
    write_pem(fixture, "weak.pem", &weak, WITH_CERT | WITH_KEY);
    set_pair(fixture, "weak.pem", "weak.pem");
    load_fails(fixture, "/weak.pem: an RSA key of 1024 bits; at least 2048 are needed");
    EVP_PKEY_free(small);
    buf_init(&pem, 1 << 16);
    append_key(&pem, test_key(0), "secret");
    write_file(fixture, "locked.pem", buf_str(&pem));
    write_pem(fixture, "c.pem", &plain, WITH_CERT);
    set_pair(fixture, "c.pem", "locked.pem");
    load_fails(fixture, "/locked.pem: the private key is encrypted");
    buf_clear(&pem);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(test_key(0)), EVP_aes_128_cbc(),
                               (unsigned char *)"secret", 6, NULL, NULL);
    append_bio(&pem, bio);
    write_file(fixture, "locked.pem", buf_str(&pem));
    load_fails(fixture, "/locked.pem: the private key is encrypted");
    buf_clear(&pem);
    append_key(&pem, test_key(0), NULL);
    append_key(&pem, test_key(1), NULL);
    write_file(fixture, "locked.pem", buf_str(&pem));
    load_fails(fixture, "/locked.pem: more than one private key");
    buf_clear(&pem);
    buf_append(&pem, STR("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"));
    write_file(fixture, "locked.pem", buf_str(&pem));
    load_fails(fixture, "/locked.pem: not a private key that can be read");
    buf_deinit(&pem);
}

static void
older_forms_of_keys_are_read(void **state)
{
    struct fixture *fixture = *state;
    struct buf pem;
    EVP_PKEY *rsa = test_rsa_key(2048);
    const struct cert_spec spec = {.san = "DNS:a.test", .key = rsa};
    buf_init(&pem, 1 << 16);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_RSAPrivateKey(bio, EVP_PKEY_get0_RSA(rsa), NULL, NULL, 0, NULL, NULL);
    append_bio(&pem, bio);
    write_file(fixture, "k.pem", buf_str(&pem));
    write_pem(fixture, "c.pem", &spec, WITH_CERT);
    set_pair(fixture, "c.pem", "k.pem");
    load(fixture);
    EVP_PKEY_free(rsa);
    buf_clear(&pem);
    buf_append(&pem, STR("text before\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                         "-----END EC PARAMETERS-----\n"));
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(test_key(0)), NULL, NULL, 0, NULL, NULL);
    append_bio(&pem, bio);
    write_file(fixture, "k.pem", buf_str(&pem));
    write_pem(fixture, "c.pem", &plain, WITH_CERT);
    load(fixture);
    buf_deinit(&pem);
}

static void
a_directory_gives_each_leaf_its_key(void **state)
{
    struct fixture *fixture = *state;
    const struct cert_spec b = {.san = "DNS:b.test", .key = test_key(1)};
    const struct cert_spec orphan = {.san = "DNS:orphan.test", .key = test_key(2)};
    write_pem(fixture, "1-cert.pem", &plain, WITH_CERT);
    write_pem(fixture, "2-key-of-b", &b, WITH_KEY);
    write_pem(fixture, "3-key-of-a", &plain, WITH_KEY);
    write_pem(fixture, "4-b.crt", &b, WITH_CERT);
    write_pem(fixture, "5-orphan.pem", &orphan, WITH_CERT);
    write_pem(fixture, ".hidden.pem", &orphan, WITH_KEY);
    write_file(fixture, "README", STR("hello\n"));
    mkdir(in_dir(fixture, "sub"), 0700);
    assert_int_equal(symlink("4-b.crt", in_dir(fixture, "6-link")), 0);
    load_dir(fixture);
    assert_true(covers(fixture, "a.test"));
    assert_true(covers(fixture, "b.test"));
    assert_false(covers(fixture, "orphan.test"));
    assert_int_equal(tls_context_stats(fixture->context).certificate_count, 3);
    assert_int_equal(fixture->warning_count, 2);
    assert_non_null(strstr(fixture->notes, "/5-orphan.pem: no file of the directory has"));
    assert_non_null(strstr(fixture->notes, "/README: neither a PEM certificate nor a key"));
}

static void
keys_are_found_among_many(void **state)
{
    struct fixture *fixture = *state;
    char name[32], file[32];
    for (unsigned i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "DNS:n%u.test", i);
        const struct cert_spec spec = {.san = name, .key = test_key(i)};
        snprintf(file, sizeof file, "%u.crt", i);
        write_pem(fixture, file, &spec, WITH_CERT);
        snprintf(file, sizeof file, "%u.key", i);
        write_pem(fixture, file, &spec, WITH_KEY);
    }
    load_dir(fixture);
    assert_int_equal(tls_context_stats(fixture->context).certificate_count, 16);
    for (size_t i = 0; i < 16; i++) {
        const struct tls_cert *cert = &fixture->context->certs.list[i];
        unsigned index = (unsigned)atoi(cert->names[0].ptr + 1);
        assert_int_equal(EVP_PKEY_cmp(cert->key, test_key(index)), 1);
    }
}

static void
a_directory_without_a_certificate_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.cert_dir = fixture->dir;
    load_fails(fixture, "no certificate with its key in it");
    write_pem(fixture, "c.pem", &plain, WITH_CERT);
    load_fails(fixture, "no certificate with its key in it");
    write_file(fixture, "cut", STR("-----BEGIN CERTIFICATE-----\nMIIB\n"));
    load_fails(fixture, "/cut: a damaged PEM block");
    fixture->config.cert_dir = in_dir(fixture, "none");
    load_fails(fixture, "/none: No such file or directory");
    fixture->config.cert_dir = NULL;
    load_fails(fixture, "TLS needs a certificate");
}

static void
validity_is_noted(void **state)
{
    struct fixture *fixture = *state;
    const struct cert_spec expired = {.san = "DNS:e.test", .from_s = -9 * DAY_S, .to_s = -DAY_S};
    const struct cert_spec soon = {.san = "DNS:s.test", .to_s = 13 * DAY_S};
    const struct cert_spec later = {.san = "DNS:l.test", .to_s = 15 * DAY_S};
    const struct cert_spec future = {.san = "DNS:f.test", .from_s = DAY_S};
    const struct cert_spec nameless = {.subject = "no.test"};
    write_pem(fixture, "expired.pem", &expired, WITH_CERT | WITH_KEY);
    write_pem(fixture, "soon.pem", &soon, WITH_CERT);
    write_pem(fixture, "later.pem", &later, WITH_CERT);
    write_pem(fixture, "future.pem", &future, WITH_CERT);
    write_pem(fixture, "nameless.pem", &nameless, WITH_CERT);
    load_dir(fixture);
    assert_non_null(strstr(fixture->notes, "/expired.pem: the certificate expired at 20"));
    assert_non_null(strstr(fixture->notes, "/soon.pem: the certificate expires at 20"));
    assert_null(strstr(fixture->notes, "/later.pem"));
    assert_non_null(strstr(fixture->notes, "/future.pem: the certificate is not valid before 20"));
    assert_non_null(strstr(fixture->notes, "/nameless.pem: the certificate has no subject alt"));
    assert_int_equal(fixture->warning_count, 4);
    assert_false(covers(fixture, "no.test"));
    int64_t off = tls_context_stats(fixture->context).next_expiry_s - (time(NULL) - DAY_S);
    assert_in_range(off + 60, 0, 120);
}

static void
staples_lie_beside_their_certificate(void **state)
{
    struct fixture *fixture = *state;
    write_pem(fixture, "a.pem", &plain, WITH_CERT | WITH_KEY);
    write_file(fixture, "a.ocsp", STR("\x30\x03\x0a\x01\x00"));
    load_dir(fixture);
    assert_int_equal(fixture->note_count, 0);
    assert_true(str_eq(fixture->context->certs.list[0].ocsp, STR("\x30\x03\x0a\x01\x00")));
    write_file(fixture, "a.ocsp", STR("\x30\x03\x0a\x01\x00!"));
    load_fails(fixture, "/a.ocsp: not an OCSP response in DER");
    write_file(fixture, "a.ocsp", STR("-----BEGIN"));
    load_fails(fixture, "/a.ocsp: not an OCSP response in DER");
}

static void
names_with_a_nul_or_a_star_inside_are_left_out(void **state)
{
    struct fixture *fixture = *state;
    write_names(fixture, "a.pem", "DNS:ok.test,DNS:f*.test,DNS:127.0.0.1,IP:10.0.0.1,email:a@b.c");
    load_dir(fixture);
    assert_int_equal(fixture->context->certs.list[0].name_count, 2);
    assert_true(covers(fixture, "OK.test"));
    assert_true(covers(fixture, "10.0.0.1"));
    assert_false(covers(fixture, "127.0.0.1"));
    assert_false(covers(fixture, "fa.test"));
}

static double
seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
a_thousand_certificates_load(void **state)
{
    enum { COUNT = 1000 };
    struct fixture *fixture = *state;
    char file[32], name[64];
    write_pem(fixture, "key", &plain, WITH_KEY);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(file, sizeof file, "%04u.pem", i);
        snprintf(name, sizeof name, "DNS:n%u.test,DNS:*.n%u.test", i, i);
        const struct cert_spec spec = {.san = name};
        write_pem(fixture, file, &spec, WITH_CERT);
    }
    double start = seconds();
    load_dir(fixture);
    double took = seconds() - start;
    print_message("  %u certificates: loaded in %.0f ms\n", COUNT, took * 1000);
    assert_true(took < 5);
    assert_int_equal(tls_context_stats(fixture->context).certificate_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "w.n%u.test", i);
        assert_true(covers(fixture, name));
        assert_true(covers(fixture, name + 2));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pair_may_be_one_file_or_two),
        TEST(errors_of_pairs_name_the_file),
        TEST(keys_that_cannot_serve_are_refused),
        TEST(older_forms_of_keys_are_read),
        TEST(a_directory_gives_each_leaf_its_key),
        TEST(keys_are_found_among_many),
        TEST(a_directory_without_a_certificate_is_an_error),
        TEST(validity_is_noted),
        TEST(staples_lie_beside_their_certificate),
        TEST(names_with_a_nul_or_a_star_inside_are_left_out),
        TEST(a_thousand_certificates_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
