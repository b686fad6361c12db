#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/digest.h"

/* Of "hello world". */
#define SHA256 "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="
#define SHA256_HEX "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
#define SHA512                                     \
    "MJ7MSJwS1utMxA9QyQLytNDtd+5RGnx6m808qG1M2G+Y" \
    "ndNbxf9JlnDaNCVbRbDP2DDoH2Bdz33FVC6TrpzXbw=="
#define MD5 "XrY7u+Ae7tCTyyK7j1rNww=="
/* Of nothing. */
#define SHA256_EMPTY "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define MD5_EMPTY "1B2M2Y8AsgTpgAmY7PhCfg=="

static const uint8_t sha256_start[] = {0xb9, 0x4d, 0x27}, sha512_start[] = {0x30, 0x9e, 0xcc},
                     md5_start[] = {0x5e, 0xb6, 0x3b};

static struct digests
digests_of(const char *name, const char *value, bool expected)
{
    struct digests digests = {0};
    size_t len = strlen(value);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, value, len);
    bool added = digests_add_field(&digests, str_from_cstr(name), str_make(copy, len));
    free(copy);
    if (added != expected)
        fail_msg("%s: %s was %s", name, value, added ? "accepted" : "refused");
    return digests;
}

static bool
has_only(const struct digests *digests, enum digest_kind kind)
{
    for (enum digest_kind i = 0; i < DIGEST_KIND_COUNT; i++)
        if (digests->has[i] != (i == kind))
            return false;
    return !digests->conflict;
}

static void
repr_digest(void **state)
{
    static const char *const cases[] = {
        "sha-256=:" SHA256 ":",
        "  sha-256=:" SHA256 ":  ",
        "sha-256=:" SHA256 ":;x=1",
        "md5=:" MD5 ":, sha-256=:" SHA256 ":",
        "sha-256=:" SHA256 ":, unixsum=:AAA=:, id-sha-512=:bad:, a=1.5, b;c",
        "crc32c=:4waSgw==:,sha-256=:" SHA256 ":",
        "sha-256=:" SHA256_EMPTY ":, sha-256=:" SHA256 ":", /* the last one counts */
        "sha-256, sha-256=:" SHA256 ":",
        "sha-256=:" SHA256 ":, sha-512=:" SHA256 ":", /* the other one has the wrong length */
        "sha-256=:" SHA256 ":, sha-512=tok",
        "sha-256=:" SHA256 ":, sha-512=:MJ7MSJwS:",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct digests digests = digests_of("Repr-Digest", cases[i], true);
        assert_true(has_only(&digests, DIGEST_SHA256));
        assert_memory_equal(digests.value[DIGEST_SHA256], sha256_start, 3);
        assert_int_equal(digests.value[DIGEST_SHA256][31], 0xe9);
    }
    struct digests digests =
        digests_of("repr-digest", "sha-512=:" SHA512 ":, sha-256=:" SHA256 ":", true);
    assert_true(digests.has[DIGEST_SHA256] && digests.has[DIGEST_SHA512]);
    assert_false(digests.has[DIGEST_MD5] || digests.conflict);
    assert_memory_equal(digests.value[DIGEST_SHA256], sha256_start, 3);
    assert_memory_equal(digests.value[DIGEST_SHA512], sha512_start, 3);
    assert_int_equal(digests.value[DIGEST_SHA512][63], 0x6f);
}

static void
repr_digest_that_says_nothing(void **state)
{
    static const char *const cases[] = {
        "",
        "md5=:" MD5 ":",
        "sha-256",
        "sha-256=?1",
        "sha-256=1",
        "sha-256=\"" SHA256 "\"",
        "sha-256=(:" SHA256 ":)",
        "sha-256=::",
        "sha-256=:" MD5 ":",
        "sha-256=:" SHA512 ":",
        "sha-256=:" SHA256 ":, sha-256=1",
        "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek:",  /* no padding */
        "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzel=:", /* unused bits */
        "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek==:",
        /* malformed as a whole */
        "sha-256=" SHA256,
        "sha-256=:" SHA256,
        "sha-256=:" SHA256 ":,",
        "sha-256=:" SHA256 ":, SHA-512=:" SHA512 ":",
        "sha-256=:" SHA256 ": x",
        "sha-256=:" SHA256 ":; X",
        "SHA-256=:" SHA256 ":",
        "SHA-256=" SHA256,
        "a b, sha-256=:" SHA256 ":",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct digests digests = digests_of("repr-digest", cases[i], false);
        assert_true(has_only(&digests, DIGEST_KIND_COUNT));
    }
}

static void
content_md5(void **state)
{
    struct digests digests = digests_of("CONTENT-MD5", MD5, true);
    assert_true(has_only(&digests, DIGEST_MD5));
    assert_memory_equal(digests.value[DIGEST_MD5], md5_start, 3);
    assert_int_equal(digests.value[DIGEST_MD5][15], 0xc3);
    digests_of("content-md5", SHA256, false);
    digests_of("content-md5", "5eb63bbbe01eeed093cb22bb8f5acdc3", false);
    digests_of("content-md5", "", false);
    digests_of("content-md5", MD5 "=", false);
    digests_of("content-md5", " " MD5, false);
}

static void
s3_checksum(void **state)
{
    struct digests digests = digests_of("x-amz-checksum-sha256", SHA256, true);
    assert_true(has_only(&digests, DIGEST_SHA256));
    assert_memory_equal(digests.value[DIGEST_SHA256], sha256_start, 3);
    digests_of("X-Amz-Checksum-SHA256", SHA256, true);
    digests_of("x-amz-checksum-sha256", SHA256 "-2", false);
    digests_of("x-amz-checksum-sha256", SHA256 "-10000", false);
    digests_of("x-amz-checksum-sha256", SHA256_HEX, false);
    digests_of("x-amz-checksum-sha256", MD5, false);
}

static void
other_fields(void **state)
{
    digests_of("Digest", "SHA-256=" SHA256, false);
    digests_of("Content-Digest", "sha-256=:" SHA256 ":", false);
    digests_of("x-amz-checksum-sha1", SHA256, false);
    digests_of("", SHA256, false);
}

static void
contradiction_is_remembered(void **state)
{
    struct digests digests = digests_of("x-amz-checksum-sha256", SHA256, true);
    assert_true(digests_add_field(&digests, STR("repr-digest"), STR("sha-256=:" SHA256 ":")));
    assert_true(digests_add_field(&digests, STR("content-md5"), STR(MD5_EMPTY)));
    assert_false(digests.conflict);
    assert_true(digests_add_field(&digests, STR("x-amz-checksum-sha256"), STR(SHA256_EMPTY)));
    assert_true(digests.conflict);
    assert_memory_equal(digests.value[DIGEST_SHA256], sha256_start, 3);
    /* The same again does not heal it. */
    assert_true(digests_add_field(&digests, STR("x-amz-checksum-sha256"), STR(SHA256)));
    assert_true(digests.conflict);

    digests = digests_of("content-md5", MD5, true);
    assert_true(digests_add_field(&digests, STR("content-md5"), STR(MD5_EMPTY)));
    assert_true(digests.conflict);
}

static void
every_byte_of_a_kind_is_compared(void **state)
{
    for (enum digest_kind kind = 0; kind < DIGEST_KIND_COUNT; kind++) {
        uint8_t value[DIGEST_LEN_MAX] = {0};
        struct digests digests = {0};
        digests_add(&digests, kind, value);
        value[digest_len(kind) - 1] = 1;
        digests_add(&digests, kind, value);
        assert_true(digests.conflict);
    }
}

static void
hexadecimal(void **state)
{
    uint8_t out[DIGEST_SHA256_LEN];
    struct digests digests = digests_of("x-amz-checksum-sha256", SHA256, true);
    assert_true(digest_parse_sha256(STR(SHA256_HEX), out));
    assert_memory_equal(out, digests.value[DIGEST_SHA256], sizeof out);
    memset(out, 0, sizeof out);
    assert_true(digest_parse_sha256(
        STR("B94D27B9934D3E08A52E52D7DA7DABFAC484EFE37A5380EE9088F7ACE2EFCDE9"), out));
    assert_memory_equal(out, digests.value[DIGEST_SHA256], sizeof out);

    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT("b9"),
        STR_INIT(SHA256_HEX "00"),
        STR_INIT(SHA256_HEX " "),
        STR_INIT(SHA256),
        STR_INIT("sha256:94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"),
        STR_INIT("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde"),
        STR_INIT("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcdeg"),
        STR_INIT("g94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"),
        STR_INIT("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde\0"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (digest_parse_sha256(cases[i], out))
            fail_msg("accepted \"%.*s\"", STR_ARG(cases[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repr_digest),
        cmocka_unit_test(repr_digest_that_says_nothing),
        cmocka_unit_test(content_md5),
        cmocka_unit_test(s3_checksum),
        cmocka_unit_test(other_fields),
        cmocka_unit_test(contradiction_is_remembered),
        cmocka_unit_test(every_byte_of_a_kind_is_compared),
        cmocka_unit_test(hexadecimal),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
