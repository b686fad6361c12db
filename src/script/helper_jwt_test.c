/* zs_jwt_verify: arguments and results; what is believed is jwt_test's. */
#include "base/base64.h"
#include "script/helpers.h"
#include "script/jwt.h"
#include "script/jwt_test_run.h"
#include "script/scene_test_run.h"
#include "tls/hmac.h"

#include <time.h>

/* Places in the script's memory. */
enum { TOKEN = 0, KEYS = 64 << 10 };

static int
setup(void **state)
{
    *state = scene_new();
    return 0;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;
    script_json_deinit(&scene->frame.json);
    scene_free(scene);
    return 0;
}

static int64_t
verify(struct scene *scene, struct str token, struct str keys)
{
    memcpy(scene->memory + TOKEN, token.ptr, token.len);
    memcpy(scene->memory + KEYS, keys.ptr, keys.len);
    return (int64_t)scene_call(
        scene, zs_jwt_verify, (uint64_t[]){scene_at(TOKEN), token.len, scene_at(KEYS), keys.len, 0},
        NULL);
}

static size_t
append_part(char *out, size_t len, struct str bytes)
{
    base64_encode(BASE64_URL_NO_PAD, bytes, out + len);
    return len + base64_encoded_len(BASE64_URL_NO_PAD, bytes.len);
}

static struct str
sign(char *out, struct str claims)
{
    uint8_t code[HMAC_SHA256_LEN];
    size_t len = append_part(out, 0, STR("{\"alg\":\"HS256\"}"));
    out[len++] = '.';
    len = append_part(out, len, claims);
    hmac_of(SHA2_256, STR(JWT_TEST_SECRET), str_make(out, len), code);
    out[len++] = '.';
    return str_make(out, append_part(out, len, str_make((const char *)code, sizeof code)));
}

/* As compact JSON. */
static void
expect_claims(struct scene *scene, int64_t handle, const char *expected)
{
    struct buf text;
    assert_true(handle > 0);
    buf_init(&text, 4096);
    script_json_write(&scene->frame, (uint64_t)handle, &text);
    assert_true(str_eq(buf_str(&text), str_from_cstr(expected)));
    buf_deinit(&text);
}

static void
claims_become_json(void **state)
{
    struct scene *scene = *state;
    char token[1024], claims[256], expected[256];
    snprintf(claims, sizeof claims, "{ \"sub\":\"A\\u00e9\", \"exp\":%lld, \"a\":[1,null]}",
             (long long)time(NULL) + 5);
    snprintf(expected, sizeof expected, "{\"a\":[1,null],\"exp\":%.10s,\"sub\":\"A\xc3\xa9\"}",
             strstr(claims, "\"exp\":") + 6);
    int64_t first = verify(scene, sign(token, str_from_cstr(claims)), STR(JWT_TEST_SECRET));
    assert_false(scene->trapped);
    expect_claims(scene, first, expected);
    int64_t second = verify(scene, sign(token, STR("{}")), STR(JWT_TEST_SECRET));
    assert_int_equal(second, first + 1);
    expect_claims(scene, second, "{}");
}

static void
public_keys_verify(void **state)
{
    struct scene *scene = *state;
    /* Signed well, but for the year 2020. */
    assert_int_equal(verify(scene, str_from_cstr(es256), str_from_cstr(jwt_test_keys())), -1);
    assert_int_equal(verify(scene, str_from_cstr(rs256), str_from_cstr(jwt_test_keys())), -1);
    assert_false(scene->trapped);
}

static void
what_is_not_believed_is_minus_one(void **state)
{
    struct scene *scene = *state;
    char token[1024];
    assert_int_equal(verify(scene, sign(token, STR("{}")), STR("another")), -1);
    assert_int_equal(verify(scene, sign(token, STR("{}")), STR("")), -1);
    assert_int_equal(verify(scene, sign(token, STR("[]")), STR(JWT_TEST_SECRET)), -1);
    assert_int_equal(verify(scene, sign(token, STR("{\"exp\":1}")), STR(JWT_TEST_SECRET)), -1);
    /* JSON by its shape alone. */
    assert_int_equal(verify(scene, sign(token, STR("{\"a\":\"\xff\"}")), STR(JWT_TEST_SECRET)), -1);
    assert_int_equal(verify(scene, STR(""), STR("")), -1);
    assert_int_equal(verify(scene, STR("x"), STR("{")), -1);
    assert_false(scene->trapped);
}

static void
bad_arguments_trap(void **state)
{
    struct scene *scene = *state;
    scene_call(scene, zs_jwt_verify, (uint64_t[]){8, 10, scene_at(KEYS), 10, 0}, NULL);
    assert_true(scene->trapped);
    scene_call(scene, zs_jwt_verify, (uint64_t[]){scene_at(TOKEN), 10, 8, 10, 0}, NULL);
    assert_true(scene->trapped);
    scene_call(scene, zs_jwt_verify, (uint64_t[]){scene_at(TOKEN), UINT64_MAX, 0, 0, 0}, NULL);
    assert_true(scene->trapped);
    assert_int_equal(scene_call(scene, zs_jwt_verify, (uint64_t[]){8, 0, 16, 0, 0}, NULL),
                     UINT64_MAX);
    assert_false(scene->trapped);
}

static void
claims_are_charged(void **state)
{
    struct scene *scene = *state;
    char token[1024];
    scene->shared.config.footprint_max = 16;
    assert_int_equal(
        verify(scene, sign(token, STR("{\"a\":\"0123456789abcdef\"}")), STR(JWT_TEST_SECRET)), 0);
    assert_true(scene->trapped);
    assert_non_null(strstr(scene->trap, "--max-request-external-memory-footprint-kb"));
}

static void
handles_run_out(void **state)
{
    struct scene *scene = *state;
    char token[1024];
    for (unsigned i = 0; i < SCRIPT_HANDLES_MAX; i++)
        assert_true(verify(scene, sign(token, STR("{}")), STR(JWT_TEST_SECRET)) > 0);
    verify(scene, sign(token, STR("{}")), STR(JWT_TEST_SECRET));
    assert_true(scene->trapped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(claims_become_json), TEST(public_keys_verify), TEST(what_is_not_believed_is_minus_one),
        TEST(bad_arguments_trap), TEST(claims_are_charged), TEST(handles_run_out),
    };
    return cmocka_run_group_tests_name("helper_jwt", tests, NULL, NULL);
}
