/* Signatures: one of each scheme, made with Python's cryptography and throw-away keys; and what is
 * not quite one.
 */
#include "tls/signature.h"

#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/err.h>

static const char rsa_modulus[] =
    "d8c0638fac3b7aa7a850aca54f4633b697fcdf08c97c3b044967fb2ca3d7cb31"
    "cb524b6011054749f234a1907da866a0a52ea8e3345470ba83132d1b789923ad"
    "90cac395203277d5bf821fe6f1a79c95c4fe2798ccd3fde4763a18e412a6ff91"
    "b6ee905bad2d19c583c89179153729c3f546ca3e4fb548c5dc220a2c04e65c65"
    "2de440e8295b40183ee068211f99f691e13fcdf9c5f9572973f6d76097712b65"
    "6f0a4ea553adb04d4ef68683c17f215af51bb4cdaa9c6c59fe7a1f7d45d6f84d"
    "09dfeba4de443bd8da1930bd2a4193ab5ad8c05fdc6cdb2b214fb4befcbefa12"
    "82d3db15a498233ca7f33cd78e53ef278ff94761e01972deb160c0895d45956b";
static const char rs256[] = "8282657843da164581253cbd7f16fc6d40272ef15faaa3372f646f0a7cf8ae5d"
                            "e5d6fb2f749bc461ab5bba4e5ab834ba5a0b57c19acb61e37a2155e5ae247ab5"
                            "4cbf784c259076be27e2d729123ebc0fb1ab9b88af1dbab8bb64e5a8ed6e3149"
                            "251f0e64eb6065f1c23e2c94f323144cd1b0886a71b19da1031f1506ace8f40c"
                            "36caed9a95784106faa8c01545654512041281056fbf911651d8b447af1f7dd8"
                            "73a87c1becf0b7f8b5860e5db4bb4a47c8a3da84e1bdde98f7ea5c1fbeb0ff81"
                            "1c35aa833559aad1383d1100fbb43a3d5cfbe8424738f9b632f9cf1a9a649b2f"
                            "0680ca25c9c30287cec7edc036a221817dbeabcbb664f97bdf3698a0afa87ff1";
static const char rs384[] = "5a0608bc0cdfba0cf2e6c5b2826be734567f14abbe69e658c89aeddeee5b14de"
                            "6673b6cc7eaea18d682b10a65b9ee09de2e59168316278e42f3cb8306e428133"
                            "68c7af9e4fa4016b7aa34ebdea457dccc29942a07a0311c51e593dcfa9d26a36"
                            "52062f7fb89ae8ca52d010d0183242fa933a1b330f0c8b26fc75cb582a8c1438"
                            "efd789502bd245f42c198f18f3c81ccec951a80ac68e377427fb566226091b9e"
                            "6b636a8c837840652036c772839a56479a76d9c495c323005506b704b7a32860"
                            "97cf4e33be12de9c5e5f76876abb68f76216b9dc685d9be552b7d11326c562a2"
                            "b0d38cf1f1c2718602a1cccc61f805332c6997d9ee70727151469a8208e4dc12";
static const char rs512[] = "befcb5ff4d500de0be4f8e5977a0a90c341d02e4e7573a31cb60e88020b8e379"
                            "875bf173cb7d2d1674bdf4865c3efdac27323ed51428ec4ff41093c4e479d1b2"
                            "cc7674de854a5cba411d1a58206c5a53bbbcdf5e497e51610e19766b208e821b"
                            "2f625777783d72d45b82bba8b2ac1f462a8d2606c3ca93fb202ca5fb5b5b44e2"
                            "af4b965068de51356986c3ce5c0b5ef5495c267af64f542641dd475976ddf576"
                            "590fb024484870a231584a71d38bf7759c493477515c5982426399a1b73c829b"
                            "17fb7ceecbb7bac45050785f7277625b568420ff63fafe973c3a95ca462df41a"
                            "b261f4ee5087e5b208c9ff5d360631b7406c90bcdaaf7aade93f9de9a07f9b14";
static const char ps256[] = "0d285ece027a3f502bfac7e2b95b759b25e7c94b532070f9f47cfb7f48bab0dd"
                            "89c3f04a22f19693bf02c6feff122ede75db425ce1a15bdc635d6eaaa0da1fa4"
                            "16ba543b44b2c7d25e2c4f2a5dd4836060fedb92e611c1dd11a26acfb7f4ce08"
                            "c6a4457f97cfc043f03eb913efa91ca73ee1d58f143f63b91d2f5db4be5e8791"
                            "9894d5084e5ca616e36e21942d627e1a60fac511c813789cec5dfc5e32f8d7c0"
                            "82d84d28119c282047c038f9e8874afc5dd0cef431e1d7d95fcce6b5fadd5555"
                            "b83e9a78e775ad781ca7ef21bcf00203b2b18349abb894312b8417269d7363eb"
                            "3d94de4aba777905bc20a233495500bf45096f97f64f31599d61032d20947bb7";
static const char ps256_short_salt[] =
    "241042599e3970feb548329b71836d74e75216d779dc29d5061f01ec6fff519a"
    "f26cd5bdd9128aba4bf2f861c5bad634bafe9ad83f650f689c56a66a371b0d0e"
    "457cbb9a13999ca68e6081a42a55078f2c5a198c164d1647376bec70b8d0e5bc"
    "e2206289283fc4c84cc43218720eba7feb466395a44ae575b20c4e2957506c3d"
    "43a4ed0acf3303957f141cb31420b05bc5abaad918c7539ce70a17415e9c0f59"
    "c8910277446a97245a75d6e45219c74163b6f34c3bb785995b852a6f4b7e86a7"
    "ffcd6b56b2f665e254a5eeafdc889e43e91277e0a2ea4dea54e8cfec185ea457"
    "304a150c12b0e31b9f549f37155ecacd8028b412c6fc1daf17bd4525f69e79b7";
static const char small_modulus[] =
    "c0a13db2e32abd7bdc42ad7539573f552e0451d485f508e08ad6803fa807f54b"
    "510e3e33afc0749a916eef6b1fcb6ecba151d3f2599cff88d714f63fdde4627e"
    "1c3f2d6aca99058ff87922154c3028a17fe72df15fac97f158369d689296462d"
    "d2c58e27c45b00d8b0127fc6144134a9c37f0991f16cebba550b5c8e825e1675";
static const char small_rs256[] =
    "75a962e656ef132a4a972481ab5491855bf581d489f763b64bfa245ec1774da8"
    "59abac5d93ef5f41687c114b91c977d383abbae902ef1d4167f203eda36cde09"
    "4eadffabc145f4066cb08444fd5ad901de2a22b19157a1b1890511638dc616b4"
    "2082469fed29d8f9dd37559319364082e91b7366f2040db79f544577eb50ec79";
static const char es256_x[] = "bbe953394d211ce4cc298fd326e28d447306b4ee2860d55b947d58b753b9bee6";
static const char es256_y[] = "4effb5cd5141a9fbe4236911901426ecf3518584a66660d8728415807768a8b7";
static const char es256[] = "b1419f15c3ce3c1d47ab9ad2977a19540521611c3c78a2c8d7089cbb45bd0802"
                            "3587acbb921d423ae06bb9a193b2baa20526e7a98899cd124316f8ec6481f034";
static const char es384_x[] = "b71de4b8d67218ac06628cdbde6a610c1bcfd604afee6413885f72e1f378edc4"
                              "657d2efdf9e4324f3106c6b64481f05b";
static const char es384_y[] = "ab6f3015c3119688cdf3ae900a44ebd50a8bf80c80f3fc5cfbdf10149fc5ec9b"
                              "e27ff74280054bc458a2d8c908f1b2ac";
static const char es384[] = "6866c946494e6074af5299b0c22bf37b4838e8b6f999c7783342b5a9ea40a4c8"
                            "17ecd9e2203205e0b2509bfc7e6cf37db1ab69d8d0aeeb7b6a35e255ce3c75cd"
                            "d9cc275bbac7a83478f6f6d683b14d2a5c64b12e6cc13318111c72c353bd0cf3";
static const char ed25519_x[] = "1fa81a6f69a38803cf20e979bec5a88d1eaf103f619fa39ebace735afd819d8a";
static const char ed25519[] = "198c1f7eb5344fbbff1f6491a9b7afbafbf16c8e6179127e210150232c4a095e"
                              "727356972b9a9c72c95a981c571391f7bb166044e58e886865345792ff0e540d";

static const struct str message = STR_INIT("a message, signed");

/* In a block of exactly its size, so that a sanitizer sees a step too far. */
static struct str
bytes_of(const char *hex)
{
    size_t len = strlen(hex) / 2;
    char *bytes = malloc(len ? len : 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)hex_byte(str_make(hex + 2 * i, 2));
    return str_make(bytes, len);
}

static void
release(struct str bytes)
{
    free((char *)bytes.ptr);
}

struct sample {
    enum signature_scheme scheme;
    const char *modulus, *exponent, *x, *y, *signature;
};

static const struct sample samples[] = {
    {SIGNATURE_RS256, rsa_modulus, "010001", "", "", rs256},
    {SIGNATURE_RS384, rsa_modulus, "010001", "", "", rs384},
    {SIGNATURE_RS512, rsa_modulus, "010001", "", "", rs512},
    {SIGNATURE_PS256, rsa_modulus, "010001", "", "", ps256},
    {SIGNATURE_ES256, "", "", es256_x, es256_y, es256},
    {SIGNATURE_ES384, "", "", es384_x, es384_y, es384},
    {SIGNATURE_ED25519, "", "", ed25519_x, "", ed25519},
};
enum { SAMPLE_COUNT = sizeof samples / sizeof *samples };

static struct signature_key
key_of(const struct sample *sample)
{
    return (struct signature_key){
        .modulus = bytes_of(sample->modulus),
        .exponent = bytes_of(sample->exponent),
        .x = bytes_of(sample->x),
        .y = bytes_of(sample->y),
    };
}

static void
key_release(struct signature_key *key)
{
    release(key->modulus);
    release(key->exponent);
    release(key->x);
    release(key->y);
}

static bool
verifies(const struct sample *sample)
{
    struct signature_key key = key_of(sample);
    struct str signature = bytes_of(sample->signature);
    bool ok = signature_verify(sample->scheme, &key, message, signature);
    assert_int_equal(ERR_peek_error(), 0);
    release(signature);
    key_release(&key);
    return ok;
}

static void
each_scheme_verifies(void **state)
{
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        if (!verifies(&samples[i]))
            fail_msg("scheme %d", samples[i].scheme);
}

static void
another_scheme_does_not(void **state)
{
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        for (enum signature_scheme other = 0; other <= SIGNATURE_ED25519; other++) {
            struct sample sample = samples[i];
            sample.scheme = other;
            assert_int_equal(verifies(&sample), other == samples[i].scheme);
        }
}

static void
changed_bytes_and_lengths_do_not(void **state)
{
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct signature_key key = key_of(&samples[i]);
        struct str signature = bytes_of(samples[i].signature);
        char *bytes = (char *)signature.ptr;
        for (size_t at = 0; at < signature.len; at += 7) {
            bytes[at] ^= 0x10;
            assert_false(signature_verify(samples[i].scheme, &key, message, signature));
            bytes[at] ^= 0x10;
        }
        assert_true(signature_verify(samples[i].scheme, &key, message, signature));
        assert_false(
            signature_verify(samples[i].scheme, &key, STR("a message, signee"), signature));
        assert_false(signature_verify(samples[i].scheme, &key, STR(""), signature));
        for (size_t len = 0; len < signature.len; len += 5)
            assert_false(
                signature_verify(samples[i].scheme, &key, message, str_first(signature, len)));
        release(signature);
        key_release(&key);
    }
}

static void
keys_that_are_none_are_refused(void **state)
{
    static const char too_large[] = "01000000000000000001";
    struct sample sample = samples[0];
    sample.modulus = small_modulus, sample.signature = small_rs256;
    assert_false(verifies(&sample)); /* 1024 bits */
    sample = samples[0];
    sample.exponent = "";
    assert_false(verifies(&sample));
    sample.exponent = "01";
    assert_false(verifies(&sample));
    sample.exponent = "010000";
    assert_false(verifies(&sample));
    sample.exponent = too_large;
    assert_false(verifies(&sample));
    sample.exponent = "010001", sample.modulus = "";
    assert_false(verifies(&sample));
    sample = samples[4];
    sample.y = es256_x; /* not on the curve */
    assert_false(verifies(&sample));
    sample.y = "";
    assert_false(verifies(&sample));
    sample.x = sample.y = "0000000000000000000000000000000000000000000000000000000000000000";
    assert_false(verifies(&sample));
    sample = samples[6];
    sample.x = "00";
    assert_false(verifies(&sample));
}

static void
huge_rsa_keys_are_not_tried(void **state)
{
    char *hex = malloc(2 * 1025 + 1);
    memset(hex, 'f', 2 * 1025);
    hex[2 * 1025] = '\0';
    struct sample sample = samples[0];
    sample.modulus = hex;
    assert_false(verifies(&sample));
    free(hex);
}

static void
zero_and_huge_ecdsa_numbers_are_refused(void **state)
{
    char hex[129];
    struct sample sample = samples[4];
    sample.signature = hex;
    memset(hex, '0', 128), hex[128] = '\0';
    assert_false(verifies(&sample));
    memset(hex, 'f', 128);
    assert_false(verifies(&sample));
}

static void
other_salts_are_refused(void **state)
{
    struct sample sample = samples[3];
    sample.signature = ps256_short_salt;
    assert_false(verifies(&sample));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scheme_verifies),
        cmocka_unit_test(another_scheme_does_not),
        cmocka_unit_test(changed_bytes_and_lengths_do_not),
        cmocka_unit_test(keys_that_are_none_are_refused),
        cmocka_unit_test(huge_rsa_keys_are_not_tried),
        cmocka_unit_test(zero_and_huge_ecdsa_numbers_are_refused),
        cmocka_unit_test(other_salts_are_refused),
    };
    return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}
