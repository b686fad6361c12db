/* Codes: the published examples, and keys around the length of a block. */
#include "tls/hmac.h"

#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void
assert_code(enum sha2 hash, struct str key, struct str message, const char *expected)
{
    uint8_t code[HMAC_LEN_MAX];
    char text[2 * HMAC_LEN_MAX + 1] = "";
    hmac_of(hash, key, message, code);
    hex_encode(str_make((const char *)code, sha2_len(hash)), false, text);
    text[strlen(expected)] = '\0';
    assert_string_equal(text, expected);
}

/* RFC 4231 sections 4.2 to 4.4 and 4.7. */
static void
published_examples_come_out(void **state)
{
    char key[131], message[50];
    memset(key, 0x0b, 20);
    assert_code(SHA2_256, str_make(key, 20), STR("Hi There"),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_code(SHA2_384, str_make(key, 20), STR("Hi There"),
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
                "faea9ea9076ede7f4af152e8b2fa9cb6");
    assert_code(SHA2_512, str_make(key, 20), STR("Hi There"),
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
                "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
    assert_code(SHA2_256, STR("Jefe"), STR("what do ya want for nothing?"),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(message, 0xdd, sizeof message);
    assert_code(SHA2_256, str_make(key, 20), str_make(message, sizeof message),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    struct str hashed_first = STR("Test Using Larger Than Block-Size Key - Hash Key First");
    assert_code(SHA2_256, str_make(key, sizeof key), hashed_first,
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_code(SHA2_384, str_make(key, sizeof key), hashed_first,
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
                "0c2ef6ab4030fe8296248df163f44952");
    assert_code(SHA2_512, str_make(key, sizeof key), hashed_first,
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
                "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

/* By Python's hmac module. */
static void
keys_around_a_block_are_right(void **state)
{
    static const struct {
        size_t len;
        const char *codes[3];
    } cases[] = {
        {63, {"a73e4ae46b2a9f24", "c1683a505a5dd928", "a02117bbc25e40cf"}},
        {64, {"83026a325aaee70e", "62629f8a03007446", "f823594b6d4fae1f"}},
        {65, {"41f1c4cc3107cd5b", "063737449922b414", "7c538716fa688f34"}},
        {127, {"f0f6f5d982d8f1d2", "46c17d2c79ef6829", "d31285a136d9bdfb"}},
        {128, {"81833a4e8e9917c6", "6a2c7a0784f6a1f9", "73b9d00273f1a9c5"}},
        {129, {"6fccbbdf42a3aa30", "0b06fcbb1b03bed8", "fddb8a2194cbfb75"}},
    };
    char key[129];
    memset(key, 'k', sizeof key);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (enum sha2 hash = SHA2_256; hash <= SHA2_512; hash++)
            assert_code(hash, str_make(key, cases[i].len), STR(""), cases[i].codes[hash]);
}

static void
only_the_whole_code_is_right(void **state)
{
    for (enum sha2 hash = SHA2_256; hash <= SHA2_512; hash++) {
        char code[HMAC_LEN_MAX + 1] = {0};
        size_t len = sha2_len(hash);
        hmac_of(hash, STR("key"), STR("message"), (uint8_t *)code);
        assert_true(hmac_verify(hash, STR("key"), STR("message"), str_make(code, len)));
        assert_false(hmac_verify(hash, STR("key"), STR("message"), str_make(code, len - 1)));
        assert_false(hmac_verify(hash, STR("key"), STR("message"), str_make(code, len + 1)));
        assert_false(hmac_verify(hash, STR("key"), STR("message"), STR("")));
        assert_false(hmac_verify(hash, STR("kez"), STR("message"), str_make(code, len)));
        assert_false(hmac_verify(hash, STR("key"), STR("messagf"), str_make(code, len)));
        for (size_t i = 0; i < len; i++) {
            code[i] ^= 1;
            assert_false(hmac_verify(hash, STR("key"), STR("message"), str_make(code, len)));
            code[i] ^= 1;
        }
    }
}

static void
an_empty_key_and_message_are_some(void **state)
{
    assert_code(SHA2_256, (struct str){0}, (struct str){0},
                "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples_come_out),
        cmocka_unit_test(keys_around_a_block_are_right),
        cmocka_unit_test(only_the_whole_code_is_right),
        cmocka_unit_test(an_empty_key_and_message_are_some),
    };
    return cmocka_run_group_tests_name("hmac", tests, NULL, NULL);
}
