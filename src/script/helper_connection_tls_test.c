/* What zs_connection_info says of a TLS connection, and what early data is. */
#include "script/helpers.h"
#include "script/scene_test_run.h"
#include "tls/tls_test_run.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The description as compact JSON with sorted keys; valid until the next. */
static const char *
describe(struct scene *scene)
{
    static char copy[4096];
    struct buf text;
    uint64_t handle = scene_call(scene, zs_connection_info, (uint64_t[5]){0}, NULL);
    assert_false(scene->trapped);
    buf_init(&text, sizeof copy);
    script_json_write(&scene->frame, handle, &text);
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(buf_str(&text)));
    buf_deinit(&text);
    script_json_deinit(&scene->frame.json);
    return copy;
}

static struct scene *
scene_of(struct link *link)
{
    struct scene *scene = scene_new();
    scene->req.tls = link->stream;
    scene->req.is_tls = true;
    return scene;
}

static uint64_t
number(struct scene *scene, bpf_helper_fn *fn)
{
    uint64_t result = scene_call(scene, fn, (uint64_t[5]){0}, NULL);
    assert_false(scene->trapped);
    return result;
}

static void
a_connection_without_client_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    static const uint8_t alpn[] = "\2h2";
    char expected[1024];
    write_names(fixture, "a.pem", "DNS:a.test");
    load_dir(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_alpn_protos(link.ssl, alpn, sizeof alpn - 1);
    link_connect(&link);
    struct scene *scene = scene_of(&link);
    struct str ja4 = tls_stream_ja4(link.stream);
    assert_int_equal(ja4.len, JA4_TEXT_LEN);
    snprintf(expected, sizeof expected,
             "{\"alpn\":\"h2\",\"ech\":null,\"fingerprint\":{\"ja4\":\"%.*s\"},"
             "\"sni\":{\"inner\":\"a.test\",\"outer\":null},\"tls\":true,"
             "\"tls_client\":{\"certificate\":null,\"chain_fingerprints_sha256\":[]},"
             "\"tls_handshake_complete\":true}",
             STR_ARG(ja4));
    assert_string_equal(describe(scene), expected);
    scene_free(scene);
    link_close(&link);
}

static void
a_client_certificate_is_described(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    static char path[256];
    char expected[1024], fingerprint[65], serial[64];
    struct cert_spec spec = {.subject = "The \"CA\"", .is_ca = true};
    struct buf pem;
    X509 *ca = make_cert(&spec);
    spec = (struct cert_spec){
        .subject = "Zo\xc3\xab", .key = test_key(2), .issuer = ca, .issuer_key = test_key(0)};
    X509 *own = make_cert(&spec);
    buf_init(&pem, 1 << 16);
    append_cert(&pem, ca);
    mkdir(in_dir(fixture, "ca"), 0700);
    write_file(fixture, "ca/ca.pem", buf_str(&pem));
    buf_deinit(&pem);
    snprintf(path, sizeof path, "%s", in_dir(fixture, "ca/ca.pem"));
    fixture->config.client_ca = path;
    fixture->config.client_auth = TLS_CLIENT_REQUIRE;
    write_names(fixture, "a.pem", "DNS:a.test");
    load_dir(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_use_certificate(link.ssl, own);
    SSL_use_PrivateKey(link.ssl, test_key(2));
    link_connect(&link);
    struct scene *scene = scene_of(&link);
    tls_stream_client_fingerprint(link.stream, fingerprint);
    struct str hex = tls_stream_client_serial(link.stream, serial, sizeof serial);
    snprintf(expected, sizeof expected,
             "\"tls_client\":{\"certificate\":{\"fingerprint_sha256\":\"%s\","
             "\"issuer\":\"CN=The \\\\\\\"CA\\\\\\\"\",\"serial\":\"%.*s\","
             "\"subject\":\"CN=Zo\\\\C3\\\\AB\"},\"chain_fingerprints_sha256\":[\"%s\"]}",
             fingerprint, STR_ARG(hex), fingerprint);
    if (!strstr(describe(scene), expected))
        fail_msg("%s\nhas no\n%s", describe(scene), expected);
    scene_free(scene);
    link_close(&link);
    X509_free(own);
    X509_free(ca);
}

static void
a_hidden_name_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    static char path[256];
    struct ech_keys *keys;
    struct buf pem;
    uint8_t configs[512];
    size_t len;
    assert_int_equal(ech_keys_generate(&keys, STR("public.test"), &fixture->error), 0);
    buf_init(&pem, 2 * ECH_PEM_MAX);
    assert_non_null(buf_reserve(&pem, ECH_PEM_MAX));
    ech_pair_print(ech_keys_at(keys, 0), &pem);
    mkdir(in_dir(fixture, "ech"), 0700);
    write_file(fixture, "ech/key.pem", buf_str(&pem));
    snprintf(path, sizeof path, "%s", in_dir(fixture, "ech/key.pem"));
    fixture->config.ech_keys = path;
    struct str list = ech_keys_list_base64(keys);
    EVP_DecodeBase64(configs, &len, sizeof configs, (const uint8_t *)list.ptr, list.len);
    write_names(fixture, "a.pem", "DNS:public.test");
    write_names(fixture, "b.pem", "DNS:secret.test");
    load_dir(fixture);
    for (unsigned hidden = 0; hidden < 2; hidden++) {
        link_open(&link, fixture->context, "secret.test", ROOMY);
        if (hidden)
            assert_int_equal(SSL_set1_ech_config_list(link.ssl, configs, len), 1);
        link_connect(&link);
        struct scene *scene = scene_of(&link);
        assert_non_null(strstr(describe(scene), hidden ? "\"ech\":{\"accepted\":true}"
                                                       : "\"ech\":{\"accepted\":false}"));
        assert_non_null(
            strstr(describe(scene), hidden ? "{\"inner\":\"secret.test\",\"outer\":\"public.test\"}"
                                           : "{\"inner\":\"secret.test\",\"outer\":null}"));
        scene_free(scene);
        link_close(&link);
    }
    buf_deinit(&pem);
    ech_keys_free(keys);
}

/* A session to resume; the caller's. */
static SSL_SESSION *
get_session(struct fixture *fixture)
{
    struct link link;
    link_open(&link, fixture->context, "a.test", ROOMY);
    link_connect(&link);
    link_talk(&link);
    SSL_SESSION *session = link.session;
    link.session = NULL;
    link_close(&link);
    return session;
}

static void
early_data_comes_before_the_handshake_is_complete(void **state)
{
    struct fixture *fixture = *state;
    struct link link;
    const uint8_t *wire;
    char plain[64];
    size_t len;
    fixture->config.early_data = true;
    write_names(fixture, "a.pem", "DNS:a.test");
    load_dir(fixture);
    SSL_SESSION *session = get_session(fixture);
    link_open(&link, fixture->context, "a.test", ROOMY);
    SSL_set_session(link.ssl, session);
    SSL_set_early_data_enabled(link.ssl, 1);
    assert_int_equal(SSL_do_handshake(link.ssl), 1);
    assert_int_equal(SSL_write(link.ssl, "early", 5), 5);
    BIO_mem_contents(link.out, &wire, &len);
    tls_stream_feed(link.stream, (const char *)wire, len);
    assert_int_equal(tls_stream_handshake(link.stream), TLS_DONE);
    assert_int_equal(tls_stream_read(link.stream, plain, sizeof plain, &len), TLS_DONE);
    struct scene *scene = scene_of(&link);
    assert_int_equal(number(scene, zs_req_is_tls), 1);
    assert_int_equal(number(scene, zs_req_tls_handshake_complete), 0);
    assert_non_null(strstr(describe(scene), "\"tls_handshake_complete\":false"));
    assert_int_equal(tls_stream_read(link.stream, plain, sizeof plain, &len), TLS_WANTS_INPUT);
    BIO_reset(link.out);
    link_drain(&link);
    link_connect(&link);
    link_talk(&link);
    assert_int_equal(number(scene, zs_req_tls_handshake_complete), 1);
    scene_free(scene);
    link_close(&link);
    SSL_SESSION_free(session);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_without_client_certificate),
        TEST(a_client_certificate_is_described),
        TEST(a_hidden_name_is_told),
        TEST(early_data_comes_before_the_handshake_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
