#include "tls/self_signed.h"

#include "tls/tls_test_run.h"

#include <openssl/pool.h>
#include <openssl/sha.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
a_strict_client_that_trusts_it_is_served(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    fixture->config.self_signed = true;
    load(fixture);
    link_open(&link, fixture->context, "localhost", ROOMY);
    X509 *cert = X509_parse_from_buffer(fixture->context->certs.list[0].chain[0]);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(link.ctx), cert);
    SSL_set_verify(link.ssl, SSL_VERIFY_PEER, NULL);
    SSL_set1_host(link.ssl, "localhost");
    link_connect(&link);
    assert_int_equal(SSL_get_verify_result(link.ssl), X509_V_OK);
    X509_free(cert);
    link_close(&link);
}

static void
it_is_for_this_machine_and_a_month(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.self_signed = true;
    load(fixture);
    assert_true(tls_context_covers(fixture->context, STR("localhost")));
    assert_true(tls_context_covers(fixture->context, STR("127.0.0.1")));
    assert_true(tls_context_covers(fixture->context, STR("[::1]")));
    assert_false(tls_context_covers(fixture->context, STR("example.com")));
    int64_t left = tls_context_stats(fixture->context).next_expiry_s - time(NULL);
    assert_in_range(left, SELF_SIGNED_DAYS * DAY_S - 60, SELF_SIGNED_DAYS * DAY_S);
}

static void
the_warning_has_the_fingerprint(void **state)
{
    struct fixture *fixture = *state;
    uint8_t digest[32];
    char hex[65];
    fixture->config.self_signed = true;
    load(fixture);
    const CRYPTO_BUFFER *leaf = fixture->context->certs.list[0].chain[0];
    SHA256(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), digest);
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_int_equal(fixture->note_count, 1);
    assert_int_equal(fixture->warning_count, 1);
    assert_non_null(strstr(fixture->notes, "SELF-SIGNED"));
    assert_non_null(strstr(fixture->notes, hex));
}

static void
each_one_has_a_key_and_a_serial_of_its_own(void **state)
{
    CRYPTO_BUFFER *a, *b;
    EVP_PKEY *key_a, *key_b;
    struct error error;
    assert_int_equal(tls_self_signed_make(&a, &key_a, time(NULL), &error), 0);
    assert_int_equal(tls_self_signed_make(&b, &key_b, time(NULL), &error), 0);
    assert_int_not_equal(EVP_PKEY_cmp(key_a, key_b), 1);
    X509 *cert_a = X509_parse_from_buffer(a), *cert_b = X509_parse_from_buffer(b);
    assert_int_not_equal(
        ASN1_INTEGER_cmp(X509_get0_serialNumber(cert_a), X509_get0_serialNumber(cert_b)), 0);
    X509_free(cert_a);
    X509_free(cert_b);
    CRYPTO_BUFFER_free(a);
    CRYPTO_BUFFER_free(b);
    EVP_PKEY_free(key_a);
    EVP_PKEY_free(key_b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_strict_client_that_trusts_it_is_served),
        TEST(it_is_for_this_machine_and_a_month),
        TEST(the_warning_has_the_fingerprint),
        TEST(each_one_has_a_key_and_a_serial_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
