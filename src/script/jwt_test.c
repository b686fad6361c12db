/* Tokens: each algorithm, each way to be no good, and each way to be taken for good wrongly. */
#include "script/jwt.h"

#include "base/base64.h"
#include "tls/hmac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "script/jwt_test_run.h"

enum { TOKEN_LEN = 64 << 10 };

static char claims[JWT_CLAIMS_MAX];
static size_t claims_len;

static enum jwt_result
verify_at(struct str token, struct str keys, int64_t now_s)
{
    /* In blocks of exactly their size, so that a sanitizer sees a step too far. */
    char *token_copy = malloc(token.len ? token.len : 1), *keys_copy = malloc(keys.len + 1);
    memcpy(token_copy, token.ptr, token.len);
    memcpy(keys_copy, keys.ptr, keys.len);
    enum jwt_result result = jwt_verify(str_make(token_copy, token.len),
                                        str_make(keys_copy, keys.len), now_s, claims, &claims_len);
    free(token_copy);
    free(keys_copy);
    return result;
}

static enum jwt_result
verify(const char *token, const char *keys)
{
    return verify_at(str_from_cstr(token), str_from_cstr(keys), JWT_TEST_NOW);
}

static void
append_part(char *out, struct str bytes)
{
    size_t len = strlen(out);
    base64_encode(BASE64_URL_NO_PAD, bytes, out + len);
    out[len + base64_encoded_len(BASE64_URL_NO_PAD, bytes.len)] = '\0';
}

/* A token of this header and these claims, signed with HS256. */
static const char *
token_signed(struct str header, struct str claims_text, struct str secret)
{
    static char token[TOKEN_LEN];
    uint8_t code[HMAC_SHA256_LEN];
    token[0] = '\0';
    append_part(token, header);
    strcat(token, ".");
    append_part(token, claims_text);
    hmac_of(SHA2_256, secret, str_from_cstr(token), code);
    strcat(token, ".");
    append_part(token, str_make((const char *)code, sizeof code));
    return token;
}

static const char *
token_of(struct str header, struct str claims_text)
{
    return token_signed(header, claims_text, STR(JWT_TEST_SECRET));
}

#define HS256 STR("{\"alg\":\"HS256\"}")

static enum jwt_result
verify_claims(const char *text, int64_t now_s)
{
    return verify_at(str_from_cstr(token_of(HS256, str_from_cstr(text))), STR(JWT_TEST_SECRET),
                     now_s);
}

static enum jwt_result
verify_header(struct str header)
{
    return verify(token_of(header, STR("{}")), JWT_TEST_SECRET);
}

/* --- signatures --- */

static const char *const tokens[] = {rs256, rs384, rs512, ps256, es256, es384, eddsa};
enum { TOKEN_COUNT = sizeof tokens / sizeof *tokens };

static void
each_algorithm_verifies(void **state)
{
    for (unsigned i = 0; i < TOKEN_COUNT; i++) {
        if (verify(tokens[i], jwt_test_keys()) != JWT_OK)
            fail_msg("token %u", i);
        assert_int_equal(claims_len, strlen(JWT_TEST_CLAIMS));
        assert_memory_equal(claims, JWT_TEST_CLAIMS, claims_len);
    }
    assert_int_equal(verify(hs256, JWT_TEST_SECRET), JWT_OK);
    assert_int_equal(verify(hs384, JWT_TEST_SECRET), JWT_OK);
    assert_int_equal(verify(hs512, JWT_TEST_SECRET), JWT_OK);
    assert_memory_equal(claims, JWT_TEST_CLAIMS, claims_len);
}

/* RFC 7515 appendices A.1 and A.3. */
static void
examples_of_the_rfc_verify(void **state)
{
    static const char a1[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_"
        "wW1gFWFOEjXk";
    static const char a1_key[] =
        "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i"
        "PS4hcgUuTwjAzZr1Z9CAow\"}";
    static const char a3[] =
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
        "LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl"
        "SApmWQxfKTUJqPP3-Kg6NU1Q";
    static const char a3_key[] =
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
    assert_int_equal(verify_at(str_from_cstr(a1), str_from_cstr(a1_key), 1300819379), JWT_OK);
    assert_int_equal(verify_at(str_from_cstr(a3), str_from_cstr(a3_key), 1300819379), JWT_OK);
    assert_int_equal(verify(a1, a1_key), JWT_EXPIRED);
}

static void
every_changed_character_is_noticed(void **state)
{
    const char *cases[] = {es256, eddsa, hs256};
    for (unsigned i = 0; i < 3; i++) {
        char token[1024];
        const char *keys = i == 2 ? JWT_TEST_SECRET : jwt_test_keys();
        size_t len = strlen(cases[i]);
        for (size_t at = 0; at < len; at++) {
            strcpy(token, cases[i]);
            token[at] = token[at] == 'A' ? 'B' : 'A';
            if (verify(token, keys) == JWT_OK)
                fail_msg("token %u, character %zu", i, at);
        }
        for (size_t cut = 0; cut < len; cut++)
            assert_int_not_equal(
                verify_at(str_make(cases[i], cut), str_from_cstr(keys), JWT_TEST_NOW), JWT_OK);
    }
}

static void
another_secret_does_not_verify(void **state)
{
    assert_int_equal(verify(hs256, "a shared secreT"), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(hs256, "a shared secret "), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(hs256, "\na shared secret"), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(hs256, ""), JWT_BAD_KEYS);
    /* The secret of another algorithm's token. */
    char mixed[1024];
    snprintf(mixed, sizeof mixed, "%.*s%s", (int)(strrchr(hs256, '.') - hs256), hs256,
             strrchr(hs384, '.'));
    assert_int_equal(verify(mixed, JWT_TEST_SECRET), JWT_BAD_SIGNATURE);
}

static void
secrets_may_be_any_bytes(void **state)
{
    struct str secret = STR("\0\xff{ binary");
    const char *token = token_signed(HS256, STR("{}"), secret);
    assert_int_equal(verify_at(str_from_cstr(token), secret, 0), JWT_OK);
}

/* Everybody knows it. */
static void
the_empty_secret_is_none(void **state)
{
    const char *token = token_signed(HS256, STR("{}"), STR(""));
    assert_int_equal(verify(token, ""), JWT_BAD_KEYS);
    assert_int_equal(verify(token, "{\"kty\":\"oct\",\"k\":\"\"}"), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(token, "{\"kty\":\"oct\"}"), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(token, "{\"kty\":\"oct\",\"k\":\"not base64\"}"), JWT_BAD_SIGNATURE);
}

/* --- who may be taken for whom --- */

/* The public key, as the text that everybody can read, must be no shared secret. */
static void
a_public_key_is_no_secret(void **state)
{
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n";
    const char *const texts[] = {jwt_test_keys(), pem, "[{\"kty\":\"oct\",\"k\":\"YQ\"}]"};
    static const char *const before[] = {
        "", " ", "\n", "\r\n\t", "\xef\xbb\xbf", "\xef\xbb\xbf \n"};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < sizeof before / sizeof *before; j++) {
            char keys[8192];
            snprintf(keys, sizeof keys, "%s%s", before[j], texts[i]);
            const char *token = token_signed(HS256, STR("{}"), str_from_cstr(keys));
            assert_int_equal(verify(token, keys), i == 0 ? JWT_NO_KEY : JWT_BAD_KEYS);
            if (i == 0)
                assert_int_equal(verify(rs256, keys), JWT_OK);
        }
}

static void
a_secret_does_not_verify_signatures_by_public_keys(void **state)
{
    for (unsigned i = 0; i < TOKEN_COUNT; i++) {
        assert_int_equal(verify(tokens[i], JWT_TEST_SECRET), JWT_NO_KEY);
        assert_int_equal(verify(tokens[i], "{\"kty\":\"oct\",\"k\":\"YSBzaGFyZWQgc2VjcmV0\"}"),
                         JWT_NO_KEY);
    }
    assert_int_equal(verify(hs256, "{\"kty\":\"oct\",\"k\":\"YSBzaGFyZWQgc2VjcmV0\"}"), JWT_OK);
    /* The bytes of an RSA key are no secret, whoever says so. */
    char keys[2048];
    snprintf(keys, sizeof keys, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\",\"k\":\"YQ\"}",
             rsa_n);
    assert_int_equal(verify(hs256, keys), JWT_NO_KEY);
}

static void
unsigned_tokens_are_refused(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",  "{\"alg\":\"None\"}",  "{\"alg\":\"NONE\"}",
        "{\"alg\":\"\"}",      "{\"alg\":\"hs256\"}", "{\"alg\":\"HS256 \"}",
        "{\"alg\":\"PS384\"}", "{\"alg\":\"ES512\"}", "{\"alg\":\"ES256K\"}",
    };
    for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++) {
        char token[256] = "";
        assert_int_equal(verify_header(str_from_cstr(headers[i])), JWT_UNSUPPORTED);
        append_part(token, str_from_cstr(headers[i]));
        strcat(token, ".e30.");
        assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_MALFORMED);
        assert_int_equal(verify(token, jwt_test_keys()), JWT_MALFORMED);
    }
}

/* --- the header --- */

static void
headers_that_are_none(void **state)
{
    static const char *const headers[] = {
        "",
        "{}",
        "[]",
        "\"HS256\"",
        "{\"alg\":null}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":1}",
        "{\"ALG\":\"HS256\"}",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"}x",
        "{\"alg\":\"HS256\",}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
        "{\"alg\":\"HS256\",\"kid\":7}",
        "{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"a\"}",
        "{\"alg\":\"HS256\",\"\\ud800\":1}",
        "{\"alg\":\"HS\xff\"}",
    };
    for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++)
        if (verify_header(str_from_cstr(headers[i])) != JWT_MALFORMED)
            fail_msg("%s", headers[i]);
}

static void
odd_headers_that_are_some(void **state)
{
    assert_int_equal(verify_header(STR(" {\"typ\" : {\"a\":[1]}, \"\\u0061lg\": \"HS\\u0032"
                                       "56\" , \"kid\":\"\"}\n")),
                     JWT_OK);
    assert_int_equal(verify_header(STR("{\"alg\":\"HS256\",\"kid\":\"whatever\"}")), JWT_OK);
}

static void
critical_extensions_are_refused(void **state)
{
    assert_int_equal(verify_header(STR("{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}")),
                     JWT_UNSUPPORTED);
    assert_int_equal(verify_header(STR("{\"alg\":\"HS256\",\"crit\":[]}")), JWT_UNSUPPORTED);
    assert_int_equal(verify_header(STR("{\"alg\":\"HS256\",\"cr\\u0069t\":null}")),
                     JWT_UNSUPPORTED);
}

static void
parts_that_are_none(void **state)
{
    static const char *const cases[] = {
        "", ".", "..", "...", "a", "a.b", "a.b.c.d", "e30.e30.", "eyJhbGciOiJIUzI1NiJ9.e30",
    };
    char token[1024];
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(verify(cases[i], JWT_TEST_SECRET), JWT_MALFORMED);
    snprintf(token, sizeof token, "%s=", hs256);
    assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_MALFORMED);
    snprintf(token, sizeof token, " %s", hs256);
    assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_MALFORMED);
    snprintf(token, sizeof token, "%s\n", hs256);
    assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_MALFORMED);
    snprintf(token, sizeof token, "%s.", hs256);
    assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_MALFORMED);
}

/* --- keys --- */

static void
the_right_key_is_found_among_others(void **state)
{
    char keys[8192];
    /* By its kid; and without one, by its type. */
    snprintf(
        keys, sizeof keys,
        "{\"keys\":[null,7,\"x\",[],{},{\"kty\":5},{\"kty\":\"EC\",\"crv\":\"P-521\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"other\",\"x\":\"%s\",\"y\":\"%s\"},"
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"},"
        "{\"\\u006bty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"ec-1\",\"x\":\"%s\",\"y\":\"%s\"}]}",
        ed25519_x, ed25519_x, ed25519_x, ed25519_x, es256_x, es256_y);
    assert_int_equal(verify(es256, keys), JWT_OK);
    assert_int_equal(verify(es384, keys), JWT_NO_KEY);
    assert_int_equal(verify(rs256, keys), JWT_NO_KEY);
}

static enum jwt_result
with_key(const char *more)
{
    char key[1024];
    snprintf(key, sizeof key, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"%s}", ed25519_x,
             more);
    return verify(eddsa, key);
}

static void
keys_say_what_they_are_for(void **state)
{
    assert_int_equal(with_key(""), JWT_OK);
    assert_int_equal(with_key(",\"kid\":\"ed-1\""), JWT_OK);
    assert_int_equal(with_key(",\"kid\":\"ed-2\""), JWT_NO_KEY);
    assert_int_equal(with_key(",\"kid\":\"\""), JWT_NO_KEY);
    assert_int_equal(with_key(",\"kid\":1"), JWT_NO_KEY);
    assert_int_equal(with_key(",\"alg\":\"EdDSA\",\"use\":\"sig\",\"key_ops\":[\"verify\"]"),
                     JWT_OK);
    assert_int_equal(with_key(",\"alg\":\"ES256\""), JWT_NO_KEY);
    assert_int_equal(with_key(",\"use\":\"enc\""), JWT_NO_KEY);
    assert_int_equal(with_key(",\"key_ops\":[\"sign\"]"), JWT_NO_KEY);
    assert_int_equal(with_key(",\"key_ops\":[\"sign\",\"verify\"]"), JWT_OK);
    assert_int_equal(with_key(",\"key_ops\":\"verify\""), JWT_NO_KEY);
    assert_int_equal(with_key(",\"x\":\"AA\""), JWT_NO_KEY); /* twice */
    assert_int_equal(with_key(",\"x5c\":[\"...\"],\"more\":{\"kty\":\"RSA\"}"), JWT_OK);
    assert_int_equal(verify(eddsa, "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AA\"}"), JWT_NO_KEY);
    assert_int_equal(verify(eddsa, "{\"kty\":\"OKP\",\"x\":\"AA\"}"), JWT_NO_KEY);
    assert_int_equal(verify(eddsa, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}"), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(eddsa, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"A\"}"),
                     JWT_BAD_SIGNATURE);
    assert_int_equal(verify(hs256, "{\"kty\":\"oct\"}"), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(hs256, "{\"kty\":\"oct\",\"k\":\"\"}"), JWT_BAD_SIGNATURE);
    assert_int_equal(verify(hs256, "{\"kty\":\"oct\",\"k\":\"YQ==\"}"), JWT_BAD_SIGNATURE);
}

static void
keys_that_are_no_json(void **state)
{
    static const char *const cases[] = {
        "{",
        "{\"keys\":",
        "{\"keys\":[}",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "{}x",
        "{\"keys\":[]}x",
        "{kty:1}",
        " [",
        "-----BEGIN RSA PUBLIC KEY-----",
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        if (verify(es256, cases[i]) != JWT_BAD_KEYS)
            fail_msg("%s", cases[i]);
    assert_int_equal(verify(es256, "{}"), JWT_NO_KEY);
    assert_int_equal(verify(es256, "{\"keys\":[]}"), JWT_NO_KEY);
    assert_int_equal(verify(es256, "{\"keys\":[],\"keys\":[{}]}"), JWT_NO_KEY);
}

/* Each try costs; how many there are is the script's to say. */
static void
only_so_many_keys_are_tried(void **state)
{
    for (unsigned wrong = JWT_TRIES_MAX - 1; wrong <= JWT_TRIES_MAX; wrong++) {
        char keys[4096] = "{\"keys\":[", good[256];
        for (unsigned i = 0; i < wrong; i++)
            strcat(keys, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"},");
        snprintf(good, sizeof good, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}]}",
                 ed25519_x);
        strcat(keys, good);
        assert_int_equal(verify(eddsa, keys), wrong < JWT_TRIES_MAX ? JWT_OK : JWT_BAD_SIGNATURE);
    }
}

/* --- claims --- */

static void
times_are_checked_with_leeway(void **state)
{
    assert_int_equal(verify_claims("{\"exp\":1000}", 1000), JWT_OK);
    assert_int_equal(verify_claims("{\"exp\":1000}", 1000 + JWT_LEEWAY_S - 1), JWT_OK);
    assert_int_equal(verify_claims("{\"exp\":1000}", 1000 + JWT_LEEWAY_S), JWT_EXPIRED);
    assert_int_equal(verify_claims("{\"nbf\":1000}", 1000 - JWT_LEEWAY_S), JWT_OK);
    assert_int_equal(verify_claims("{\"nbf\":1000}", 1000 - JWT_LEEWAY_S - 1), JWT_NOT_YET);
    assert_int_equal(verify_claims("{\"iat\":5000}", 1000), JWT_OK);
    assert_int_equal(verify_claims("{}", 1000), JWT_OK);
    assert_int_equal(verify_claims("{\"exp\":1e3,\"nbf\":9.99e2}", 1000), JWT_OK);
    assert_int_equal(verify_claims("{\"exp\": \n1000.5 }", 1060), JWT_OK);
    assert_int_equal(verify_claims("{\"exp\":-1}", 1000), JWT_EXPIRED);
    assert_int_equal(verify_claims("{\"exp\":0}", 1000), JWT_EXPIRED);
    assert_int_equal(verify_claims("{\"exp\":99999999999999999999}", 1000), JWT_OK);
    assert_int_equal(verify_claims("{\"nbf\":1e300}", INT64_MAX), JWT_NOT_YET);
    assert_int_equal(verify_claims("{\"exp\":1,\"exp\":1000}", 1000), JWT_OK);
    assert_int_equal(verify_claims("{\"exp\":1000,\"\\u0065xp\":1}", 1000), JWT_EXPIRED);
    assert_int_equal(verify_claims("{\"https:\\/\\/a\":1,\"deep\":{\"exp\":1}}", 1000), JWT_OK);
}

static void
claims_that_are_none(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "1",
        "\"exp\"",
        "{",
        "{}x",
        "{\"exp\":\"1000\"}",
        "{\"exp\":null}",
        "{\"exp\":true}",
        "{\"exp\":[1000]}",
        "{\"nbf\":\"0\"}",
        "{\"exp\":1000,}",
        "{\"exp\":01000}",
        "{\"exp\":0x7fffffff}",
        "{\"exp\":1000,\"exp\":\"x\"}",
        "{\"exp\":10000000000000000000000000000000000000000000000}",
        "{\"\\ud800\":1}",
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        if (verify_claims(cases[i], 1000) != JWT_MALFORMED)
            fail_msg("%s", cases[i]);
    assert_int_equal(verify_claims("[1]", 1000), JWT_MALFORMED);
    char token[1024];
    snprintf(token, sizeof token, "%s", token_of(HS256, STR("{}")));
    assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_OK);
}

static void
nothing_is_said_of_claims_before_the_signature(void **state)
{
    char token[1024];
    snprintf(token, sizeof token, "%s", token_of(HS256, STR("{\"exp\":1}")));
    assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_EXPIRED);
    assert_int_equal(verify(token, "another"), JWT_BAD_SIGNATURE);
    snprintf(token, sizeof token, "%s", token_of(HS256, STR("no claims")));
    assert_int_equal(verify(token, "another"), JWT_BAD_SIGNATURE);
}

/* --- limits --- */

static void
long_tokens_are_refused(void **state)
{
    static char text[JWT_TOKEN_MAX];
    const char *token;
    size_t overhead = strlen(token_of(HS256, STR(""))), len = 0;
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    len = (JWT_TOKEN_MAX - overhead) / 4 * 3;
    token = token_of(HS256, str_make(text, len));
    assert_in_range(strlen(token), JWT_TOKEN_MAX - 4, JWT_TOKEN_MAX);
    assert_int_equal(verify(token, JWT_TEST_SECRET), JWT_OK);
    assert_int_equal(claims_len, len);
    assert_int_equal(verify(token_of(HS256, str_make(text, len + 6)), JWT_TEST_SECRET),
                     JWT_MALFORMED);
}

static void
long_keys_are_refused(void **state)
{
    char *keys = malloc(JWT_KEYS_MAX + 2);
    memset(keys, ' ', JWT_KEYS_MAX + 2);
    memcpy(keys, jwt_test_keys(), strlen(jwt_test_keys()));
    assert_int_equal(verify_at(STR("e30.e30.e30"), str_make(keys, 10), 0), JWT_MALFORMED);
    assert_int_equal(verify_at(str_from_cstr(es256), str_make(keys, JWT_KEYS_MAX), JWT_TEST_NOW),
                     JWT_OK);
    assert_int_equal(
        verify_at(str_from_cstr(es256), str_make(keys, JWT_KEYS_MAX + 1), JWT_TEST_NOW),
        JWT_BAD_KEYS);
    free(keys);
}

static void
deep_documents_are_refused(void **state)
{
    char text[300] = "{\"a\":";
    memset(text + 5, '[', 100);
    memset(text + 105, ']', 100);
    strcpy(text + 205, "}");
    assert_int_equal(verify_claims(text, 1000), JWT_MALFORMED);
    assert_int_equal(verify(es256, text), JWT_BAD_KEYS);
}

/* One key that is too large is passed over; those behind it are not. */
static void
a_huge_key_is_passed_over(void **state)
{
    char *keys = malloc(JWT_KEYS_MAX);
    int len =
        snprintf(keys, JWT_KEYS_MAX, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
    memset(keys + len, 'A', 100000);
    snprintf(keys + len + 100000, JWT_KEYS_MAX - 100000 - (size_t)len, "\"},%s",
             strchr(jwt_test_keys(), '[') + 1);
    assert_int_equal(verify(eddsa, keys), JWT_OK);
    free(keys);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_verifies),
        cmocka_unit_test(examples_of_the_rfc_verify),
        cmocka_unit_test(every_changed_character_is_noticed),
        cmocka_unit_test(another_secret_does_not_verify),
        cmocka_unit_test(secrets_may_be_any_bytes),
        cmocka_unit_test(the_empty_secret_is_none),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(a_secret_does_not_verify_signatures_by_public_keys),
        cmocka_unit_test(unsigned_tokens_are_refused),
        cmocka_unit_test(headers_that_are_none),
        cmocka_unit_test(odd_headers_that_are_some),
        cmocka_unit_test(critical_extensions_are_refused),
        cmocka_unit_test(parts_that_are_none),
        cmocka_unit_test(the_right_key_is_found_among_others),
        cmocka_unit_test(keys_say_what_they_are_for),
        cmocka_unit_test(keys_that_are_no_json),
        cmocka_unit_test(only_so_many_keys_are_tried),
        cmocka_unit_test(times_are_checked_with_leeway),
        cmocka_unit_test(claims_that_are_none),
        cmocka_unit_test(nothing_is_said_of_claims_before_the_signature),
        cmocka_unit_test(long_tokens_are_refused),
        cmocka_unit_test(long_keys_are_refused),
        cmocka_unit_test(deep_documents_are_refused),
        cmocka_unit_test(a_huge_key_is_passed_over),
    };
    return cmocka_run_group_tests_name("jwt", tests, NULL, NULL);
}
