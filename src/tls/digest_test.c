/* Digests: the algorithms' published examples, and content that comes in pieces. */
#include "tls/digest.h"

#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void
assert_digest(const uint8_t *digest, const char *hex)
{
    struct str rest = str_from_cstr(hex);
    for (; rest.len; rest = str_skip(rest, 2))
        assert_int_equal(*digest++, hex_byte(rest));
}

static void
assert_digest_of(enum digest_kind kind, struct str bytes, const char *hex)
{
    uint8_t digest[DIGEST_LEN_MAX];
    assert_int_equal(strlen(hex), 2 * digest_len(kind));
    digest_of(kind, bytes, digest);
    assert_digest(digest, hex);
}

/* RFC 1321 appendix A.5; FIPS 180-2 appendices B.1 and C.1. */
static void
published_examples_come_out(void **state)
{
    assert_digest_of(DIGEST_MD5, STR(""), "d41d8cd98f00b204e9800998ecf8427e");
    assert_digest_of(DIGEST_MD5, STR("abc"), "900150983cd24fb0d6963f7d28e17f72");
    assert_digest_of(DIGEST_SHA256, STR(""),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest_of(DIGEST_SHA256, STR("abc"),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest_of(DIGEST_SHA512, STR("abc"),
                     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void
pieces_give_what_the_whole_gives(void **state)
{
    char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + (i >> 8));
    for (enum digest_kind kind = 0; kind < DIGEST_KIND_COUNT; kind++) {
        uint8_t whole[DIGEST_LEN_MAX], pieced[DIGEST_LEN_MAX];
        digest_of(kind, str_make(bytes, sizeof bytes), whole);
        for (size_t piece = 1; piece < 300; piece += 13) {
            struct digest digest;
            digest_init(&digest, kind);
            for (struct str rest = str_make(bytes, sizeof bytes); rest.len;
                 rest = str_skip(rest, piece))
                digest_update(&digest, str_first(rest, piece));
            digest_final(&digest, pieced);
            assert_memory_equal(pieced, whole, digest_len(kind));
        }
    }
}

static void
a_copy_goes_on_by_itself(void **state)
{
    struct digest first, second;
    uint8_t out[DIGEST_LEN_MAX];
    digest_init(&first, DIGEST_SHA256);
    digest_update(&first, STR("a"));
    second = first;
    digest_update(&first, STR("-other"));
    digest_update(&second, STR("bc"));
    digest_final(&second, out);
    assert_digest(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_examples_come_out),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
        cmocka_unit_test(a_copy_goes_on_by_itself),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
