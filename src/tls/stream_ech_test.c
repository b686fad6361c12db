#include "tls/tls_test_run.h"

#include "base/limits.h"

#include <openssl/base64.h>

/* Encrypted Client Hello: accepted, refused with retry configs, greased, relayed. */

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

struct configs {
    uint8_t bytes[1024];
    size_t len;
};

/* A fresh key in the fixture's file for this public name; *configs is what clients are told. */
static void
make_key(struct fixture *fixture, const char *public_name, struct configs *configs)
{
    struct ech_keys *keys;
    struct buf pem;
    if (ech_keys_generate(&keys, str_from_cstr(public_name), &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    buf_init(&pem, 2 * ECH_PEM_MAX);
    assert_non_null(buf_reserve(&pem, ECH_PEM_MAX));
    ech_pair_print(ech_keys_at(keys, 0), &pem);
    mkdir(in_dir(fixture, "ech"), 0700);
    write_file(fixture, "ech/key.pem", buf_str(&pem));
    struct str list = ech_keys_list_base64(keys);
    assert_int_equal(EVP_DecodeBase64(configs->bytes, &configs->len, sizeof configs->bytes,
                                      (const uint8_t *)list.ptr, list.len),
                     1);
    buf_deinit(&pem);
    ech_keys_free(keys);
}

static void
load_ech(struct fixture *fixture, const char *public_name, struct configs *configs)
{
    static char path[256];
    make_key(fixture, public_name, configs);
    snprintf(path, sizeof path, "%s", in_dir(fixture, "ech/key.pem"));
    fixture->config.ech_keys = path;
    const struct cert_spec public = {.san = "DNS:public.test", .subject = "public"};
    const struct cert_spec secret = {.san = "DNS:secret.test", .subject = "secret"};
    write_pem(fixture, "public.pem", &public, WITH_CERT | WITH_KEY);
    write_pem(fixture, "secret.pem", &secret, WITH_CERT | WITH_KEY);
    load_dir(fixture);
}

static void
open_ech(struct link *link, struct fixture *fixture, const char *sni, const struct configs *configs)
{
    link_open(link, fixture->context, sni, ROOMY);
    assert_int_equal(SSL_set1_ech_config_list(link->ssl, configs->bytes, configs->len), 1);
}

static void
the_inner_name_counts(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    load_ech(fixture, "public.test", &configs);
    assert_non_null(strstr(fixture->notes, "ech=\""));
    assert_int_equal(fixture->warning_count, 0);
    assert_int_equal(tls_context_stats(fixture->context).ech_key_count, 1);
    open_ech(&link, fixture, "Secret.test", &configs);
    link.step = 11;
    link_connect(&link);
    assert_true(tls_stream_ech_accepted(link.stream));
    assert_true(SSL_ech_accepted(link.ssl));
    assert_true(link_got(&link, "secret"));
    assert_true(str_eq(tls_stream_sni(link.stream), STR("secret.test")));
    assert_true(str_eq(tls_stream_outer_sni(link.stream), STR("public.test")));
    assert_true(tls_stream_covers(link.stream, STR("secret.test")));
    assert_false(tls_stream_covers(link.stream, STR("public.test")));
    assert_int_equal(tls_stream_ja4(link.stream).len, JA4_TEXT_LEN);
    link_talk(&link);
    link_close(&link);
    open_ech(&link, fixture, "none.test", &configs);
    link_refused(&link, TLS_FAILURE_NAME, SSL_AD_UNRECOGNIZED_NAME);
    link_close(&link);
}

static void
an_old_key_gets_the_new_configs(void **state)
{
    struct fixture *fixture = *state;
    struct configs old, new;
    struct link link;
    const uint8_t *retry;
    size_t len;
    load_ech(fixture, "public.test", &old);
    load_ech(fixture, "public.test", &new);
    open_ech(&link, fixture, "secret.test", &old);
    link_run(&link);
    assert_false(tls_stream_ech_accepted(link.stream));
    assert_true(str_eq(tls_stream_sni(link.stream), STR("public.test")));
    assert_true(str_eq(tls_stream_outer_sni(link.stream), STR("public.test")));
    SSL_get0_ech_retry_configs(link.ssl, &retry, &len);
    assert_int_equal(len, new.len);
    assert_memory_equal(retry, new.bytes, len);
    assert_int_equal(link.read, TLS_FAILED); /* the client says ech_required */
    assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_PEER_ALERT);
    link_close(&link);
}

static void
grease_is_served(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    load_ech(fixture, "public.test", &configs);
    link_open(&link, fixture->context, "secret.test", ROOMY);
    SSL_set_enable_ech_grease(link.ssl, 1);
    link_connect(&link);
    assert_false(tls_stream_ech_accepted(link.stream));
    assert_true(tls_stream_has_ech_keys(link.stream));
    assert_true(link_got(&link, "secret"));
    assert_true(str_eq(tls_stream_outer_sni(link.stream), STR("secret.test")));
    link_close(&link);
}

static void
tickets_of_an_inner_name_resume_inside_only(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    load_ech(fixture, "public.test", &configs);
    open_ech(&link, fixture, "secret.test", &configs);
    link_connect(&link);
    link_talk(&link);
    SSL_SESSION *session = link.session;
    link.session = NULL;
    link_close(&link);
    open_ech(&link, fixture, "secret.test", &configs);
    SSL_set_session(link.ssl, session);
    link_connect(&link);
    assert_true(tls_stream_resumed(link.stream));
    assert_true(tls_stream_ech_accepted(link.stream));
    assert_true(str_eq(tls_stream_outer_sni(link.stream), STR("public.test")));
    link_close(&link);
    SSL_SESSION_free(session);
}

/* A public name that no certificate here is for. */
static void
load_relay(struct fixture *fixture, struct configs *configs, bool relay)
{
    fixture->config.relay = relay;
    load_ech(fixture, "elsewhere.test", configs);
}

static void
a_hello_for_elsewhere_is_relayed(void **state)
{
    struct fixture *fixture = *state;
    struct configs old, new;
    load_relay(fixture, &old, true);
    load_relay(fixture, &new, true);
    for (unsigned i = 0; i < 6; i++) {
        struct link link;
        const uint8_t *wire;
        size_t len;
        if (i % 3 == 0)
            open_ech(&link, fixture, "secret.test", &old);
        else
            link_open(&link, fixture->context, "elsewhere.test", ROOMY);
        SSL_set_enable_ech_grease(link.ssl, i % 3 == 1);
        link.step = i < 3 ? WIRE_MAX : 1;
        client_run(&link);
        BIO_mem_contents(link.out, &wire, &len);
        char *copy = malloc(len);
        memcpy(copy, wire, len);
        link_run(&link);
        assert_int_equal(link.handshake, TLS_FAILED);
        assert_true(tls_stream_wants_relay(link.stream));
        assert_int_equal(tls_stream_failure(link.stream), TLS_FAILURE_NAME);
        assert_int_equal(link.client_alert, -1);
        assert_int_equal(tls_stream_fed(link.stream).len, len);
        assert_memory_equal(tls_stream_fed(link.stream).ptr, copy, len);
        assert_int_equal(tls_stream_handshake(link.stream), TLS_FAILED);
        free(copy);
        link_close(&link);
    }
}

static void
what_comes_while_the_relay_connects_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    static char more[TLS_FED_MAX];
    char plain[1];
    size_t len;
    load_relay(fixture, &configs, true);
    link_open(&link, fixture->context, "elsewhere.test", ROOMY);
    link_run(&link);
    assert_true(tls_stream_wants_relay(link.stream));
    size_t hello_len = tls_stream_fed(link.stream).len;
    for (unsigned i = 0; i < 3; i++)
        tls_stream_feed(link.stream, more, 1000);
    assert_int_equal(tls_stream_fed(link.stream).len, hello_len + 3000);
    assert_false(tls_stream_has_input(link.stream));
    assert_true(tls_stream_hold_input(link.stream));
    assert_int_equal(tls_stream_read(link.stream, plain, 1, &len), TLS_FAILED);
    tls_stream_feed(link.stream, more, sizeof more);
    assert_int_equal(tls_stream_fed(link.stream).len, 0);
    assert_true(tls_stream_wants_relay(link.stream));
    link_close(&link);
}

static void
a_hello_with_more_behind_it_is_relayed_whole(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    const uint8_t *wire;
    char both[4096];
    size_t len;
    load_relay(fixture, &configs, true);
    link_open(&link, fixture->context, "elsewhere.test", ROOMY);
    client_run(&link);
    BIO_mem_contents(link.out, &wire, &len);
    memcpy(both, wire, len);
    memcpy(both + len, "\x14\x03\x03\0\1\1", 6);
    tls_stream_feed(link.stream, both, len + 6);
    assert_int_equal(tls_stream_handshake(link.stream), TLS_FAILED);
    assert_true(tls_stream_wants_relay(link.stream));
    tls_stream_feed(link.stream, "more", 4);
    assert_int_equal(tls_stream_fed(link.stream).len, len + 10);
    link_close(&link);
}

static void
everything_else_is_not_relayed(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    load_relay(fixture, &configs, true);
    open_ech(&link, fixture, "secret.test", &configs);
    link_connect(&link);
    assert_false(tls_stream_wants_relay(link.stream));
    assert_int_equal(tls_stream_fed(link.stream).len, 0);
    link_close(&link);
    open_ech(&link, fixture, "elsewhere.test", &configs); /* inside */
    link_refused(&link, TLS_FAILURE_NAME, SSL_AD_UNRECOGNIZED_NAME);
    assert_false(tls_stream_wants_relay(link.stream));
    link_close(&link);
    link_open(&link, fixture->context, "none.test", ROOMY);
    link_refused(&link, TLS_FAILURE_NAME, SSL_AD_UNRECOGNIZED_NAME);
    assert_false(tls_stream_wants_relay(link.stream));
    link_close(&link);
    link_open(&link, fixture->context, NULL, ROOMY);
    link_connect(&link);
    link_close(&link);
    load_relay(fixture, &configs, false);
    link_open(&link, fixture->context, "elsewhere.test", ROOMY);
    link_refused(&link, TLS_FAILURE_NAME, SSL_AD_UNRECOGNIZED_NAME);
    assert_false(tls_stream_wants_relay(link.stream));
    link_close(&link);
}

static void
a_covered_public_name_is_served_here(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    fixture->config.relay = true;
    load_ech(fixture, "public.test", &configs);
    link_open(&link, fixture->context, "public.test", ROOMY);
    link_connect(&link);
    assert_true(link_got(&link, "public"));
    link_close(&link);
}

static void
the_relay_goes_before_the_default(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    struct link link;
    fixture->config.default_name = "public.test";
    load_relay(fixture, &configs, true);
    link_open(&link, fixture->context, "elsewhere.test", ROOMY);
    link_run(&link);
    assert_true(tls_stream_wants_relay(link.stream));
    link_close(&link);
    link_open(&link, fixture->context, "none.test", ROOMY);
    link_connect(&link);
    assert_true(link_got(&link, "public"));
    link_close(&link);
}

static void
errors_of_keys_name_the_file(void **state)
{
    struct fixture *fixture = *state;
    struct configs configs;
    load_ech(fixture, "public.test", &configs);
    write_file(fixture, "ech/key.pem", STR("nothing"));
    load_fails(fixture, "ech/key.pem");
    fixture->config.ech_keys = in_dir(fixture, "ech/none");
    load_fails(fixture, "ech/none");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_inner_name_counts),
        TEST(an_old_key_gets_the_new_configs),
        TEST(grease_is_served),
        TEST(tickets_of_an_inner_name_resume_inside_only),
        TEST(a_hello_for_elsewhere_is_relayed),
        TEST(what_comes_while_the_relay_connects_is_kept),
        TEST(a_hello_with_more_behind_it_is_relayed_whole),
        TEST(everything_else_is_not_relayed),
        TEST(a_covered_public_name_is_served_here),
        TEST(the_relay_goes_before_the_default),
        TEST(errors_of_keys_name_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
