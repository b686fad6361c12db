/* Helpers for hashes, random bytes, base64 and hexadecimal. */
#include "base/hex.h"
#include "script/helpers.h"
#include "script/scene_test_run.h"

/* Places in the script's memory. */
enum { IN = 0, MORE = 2048, OUT = 4096 };

static int
setup(void **state)
{
    *state = scene_new();
    return 0;
}

static int
teardown(void **state)
{
    scene_free(*state);
    return 0;
}

static int64_t
call(struct scene *scene, bpf_helper_fn *fn, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
     uint64_t r5)
{
    return (int64_t)scene_call(scene, fn, (uint64_t[]){r1, r2, r3, r4, r5}, NULL);
}

static void
put(struct scene *scene, size_t at, struct str text)
{
    memcpy(scene->memory + at, text.ptr, text.len);
}

#define EXPECT_TRAP(scene, text)                    \
    do {                                            \
        assert_true((scene)->trapped);              \
        assert_string_equal((scene)->trap, (text)); \
    } while (0)

#define EXPECT_BAD_MEMORY(scene)                                            \
    do {                                                                    \
        assert_true((scene)->trapped);                                      \
        assert_non_null(strstr((scene)->trap, "by a helper: outside of ")); \
    } while (0)

#define OVERLAP "memory that a helper writes to overlaps another of its call"

static void
assert_bytes(const struct scene *scene, size_t at, const char *hex)
{
    for (struct str rest = str_from_cstr(hex); rest.len; rest = str_skip(rest, 2))
        assert_int_equal((unsigned char)scene->memory[at++], hex_byte(rest));
}

/* --- hashes --- */

static void
sha256_of_published_examples(void **state)
{
    struct scene *scene = *state;
    put(scene, IN, STR("abc"));
    assert_int_equal(call(scene, zs_sha256, scene_at(IN), 3, scene_at(OUT), 32, 0), 32);
    assert_bytes(scene, OUT, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(call(scene, zs_sha256, 0, 0, scene_at(OUT), 32, 0), 32);
    assert_bytes(scene, OUT, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(scene->memory[OUT + 32], 0);
}

static void
bad_arguments_of_sha256_trap(void **state)
{
    struct scene *scene = *state;
    call(scene, zs_sha256, scene_at(IN), 3, scene_at(OUT), 16, 0);
    EXPECT_TRAP(scene, "zs_sha256: out_len is 16, expected 32");
    call(scene, zs_sha256, scene_at(IN), 3, scene_at(OUT), 33, 0);
    EXPECT_TRAP(scene, "zs_sha256: out_len is 33, expected 32");
    call(scene, zs_sha256, scene_at(IN), 3, scene_at(OUT), 0, 0);
    EXPECT_TRAP(scene, "zs_sha256: out_len is 0, expected 32");
    call(scene, zs_sha256, scene_at(IN), 40, scene_at(IN + 39), 32, 0);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_sha256, scene_at(IN), 40, 8, 32, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_sha256, 8, 40, scene_at(OUT), 32, 0);
    EXPECT_BAD_MEMORY(scene);
}

static void
hmac_of_published_examples(void **state)
{
    struct scene *scene = *state;
    put(scene, IN, STR("Jefe"));
    put(scene, MORE, STR("what do ya want for nothing?"));
    assert_int_equal(
        call(scene, zs_hmac_sha256, scene_at(IN), 4, scene_at(MORE), 28, scene_at(OUT)), 32);
    assert_bytes(scene, OUT, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(call(scene, zs_hmac_sha256, 0, 0, 0, 0, scene_at(OUT)), 32);
    assert_bytes(scene, OUT, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void
bad_arguments_of_hmac_trap(void **state)
{
    struct scene *scene = *state;
    call(scene, zs_hmac_sha256, 1, 4, scene_at(MORE), 28, scene_at(OUT));
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_hmac_sha256, scene_at(IN), 4, 1, 28, scene_at(OUT));
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_hmac_sha256, scene_at(IN), 4, scene_at(MORE), 28, 1);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_hmac_sha256, scene_at(IN), 4, scene_at(MORE), 28, scene_at(IN + 3));
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_hmac_sha256, scene_at(IN), 4, scene_at(MORE), 28, scene_at(MORE - 31));
    EXPECT_TRAP(scene, OVERLAP);
}

static void
random_bytes_are_written(void **state)
{
    struct scene *scene = *state;
    char first[32];
    assert_int_equal(call(scene, zs_getrandom, scene_at(OUT), 32, 0, 0, 0), 32);
    memcpy(first, scene->memory + OUT, 32);
    assert_int_equal(scene->memory[OUT + 32], 0);
    assert_int_equal(call(scene, zs_getrandom, scene_at(OUT), 32, 0, 0, 0), 32);
    assert_memory_not_equal(first, scene->memory + OUT, 32);
    assert_int_equal(call(scene, zs_getrandom, 0, 0, 0, 0, 0), 0);
    assert_false(scene->trapped);
    assert_int_equal(call(scene, zs_getrandom, scene_at(0), SCENE_MEMORY, 0, 0, 0), SCENE_MEMORY);
    call(scene, zs_getrandom, scene_at(0), UINT64_MAX, 0, 0, 0);
    EXPECT_BAD_MEMORY(scene);
}

/* --- base64 --- */

static void
base64_in_all_forms(void **state)
{
    static const char *const expected[] = {"+/8=", "+/8", "-_8=", "-_8"};
    struct scene *scene = *state;
    for (uint64_t form = 0; form < 4; form++) {
        uint64_t len = strlen(expected[form]);
        put(scene, IN, STR("\xfb\xff"));
        memset(scene->memory + OUT, '#', 16);
        assert_int_equal(call(scene, zs_base64_encode, scene_at(IN), 2, 0, 0, form), len);
        assert_int_equal(call(scene, zs_base64_encode, scene_at(IN), 2, scene_at(OUT), 16, form),
                         len);
        assert_memory_equal(scene->memory + OUT, expected[form], len);
        assert_int_equal(scene->memory[OUT + len], '#');
        assert_int_equal(call(scene, zs_base64_decode_in_place, scene_at(OUT), len, form, 0, 0), 2);
        assert_memory_equal(scene->memory + OUT, "\xfb\xff", 2);
        for (uint64_t other = 0; other < 4; other++) {
            put(scene, OUT, str_from_cstr(expected[form]));
            assert_int_equal(
                call(scene, zs_base64_decode_in_place, scene_at(OUT), len, other, 0, 0),
                other == form ? 2 : -1);
        }
    }
}

static void
base64_of_nothing(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(call(scene, zs_base64_encode, 0, 0, 0, 0, 0), 0);
    assert_int_equal(call(scene, zs_base64_encode, 0, 0, scene_at(OUT), 4, 0), 0);
    assert_int_equal(call(scene, zs_base64_decode_in_place, 0, 0, 0, 0, 0), 0);
    assert_int_equal(call(scene, zs_base64_decode_in_place, 0, 0, 99, 0, 0), 0);
    assert_false(scene->trapped);
}

static void
malformed_base64_is_refused(void **state)
{
    static const char *const cases[] = {"A",    "AA",   "AAA",  "AA=",      "AB==",
                                        "AAB=", "A===", "====", "AA==AAAA", "AAA\n",
                                        " AAA", "AA A", "AA-A", "AA_A"};
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(scene, OUT, str_from_cstr(cases[i]));
        if (call(scene, zs_base64_decode_in_place, scene_at(OUT), strlen(cases[i]), 0, 0, 0) != -1)
            fail_msg("accepted \"%s\"", cases[i]);
    }
    put(scene, OUT, STR("AAAA"));
    assert_int_equal(call(scene, zs_base64_decode_in_place, scene_at(OUT), 4, 4, 0, 0), -1);
    assert_false(scene->trapped);
}

static void
bad_arguments_of_base64_trap(void **state)
{
    struct scene *scene = *state;
    call(scene, zs_base64_encode, scene_at(IN), 2, scene_at(OUT), 16, 4);
    EXPECT_TRAP(scene, "zs_base64_encode: encoding is 4, expected 0 to 3");
    call(scene, zs_base64_encode, scene_at(IN), 2, 0, 0, UINT64_MAX);
    assert_true(scene->trapped);
    call(scene, zs_base64_encode, scene_at(IN), 2, scene_at(OUT), 3, 0);
    EXPECT_TRAP(scene, "zs_base64_encode: out_len is 3, expected at least 4");
    call(scene, zs_base64_encode, scene_at(IN), 2, scene_at(IN + 1), 16, 0);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_base64_encode, scene_at(IN), 2, 9, 16, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_base64_encode, 9, 2, scene_at(OUT), 16, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_base64_encode, scene_at(IN), UINT64_MAX, 0, 0, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_base64_decode_in_place, 9, 4, 0, 0, 0);
    EXPECT_BAD_MEMORY(scene);
}

/* --- hexadecimal --- */

static void
hex_in_both_cases(void **state)
{
    struct scene *scene = *state;
    put(scene, IN, STR("\x09\xaf\xff"));
    assert_int_equal(call(scene, zs_hex_encode, scene_at(IN), 3, 0, 0, 0), 6);
    memset(scene->memory + OUT, '#', 8);
    assert_int_equal(call(scene, zs_hex_encode, scene_at(IN), 3, scene_at(OUT), 8, 0), 6);
    assert_memory_equal(scene->memory + OUT, "09afff#", 7);
    assert_int_equal(call(scene, zs_hex_encode, scene_at(IN), 3, scene_at(OUT), 6, 1), 6);
    assert_memory_equal(scene->memory + OUT, "09AFFF#", 7);
    put(scene, OUT, STR("09aFFf"));
    assert_int_equal(call(scene, zs_hex_decode_in_place, scene_at(OUT), 6, 0, 0, 0), 3);
    assert_memory_equal(scene->memory + OUT, "\x09\xaf\xff", 3);
}

static void
malformed_hex_is_refused(void **state)
{
    struct scene *scene = *state;
    put(scene, OUT, STR("0g00"));
    assert_int_equal(call(scene, zs_hex_decode_in_place, scene_at(OUT), 4, 0, 0, 0), -1);
    assert_int_equal(call(scene, zs_hex_decode_in_place, scene_at(OUT), 1, 0, 0, 0), -1);
    put(scene, OUT, STR(" 0"));
    assert_int_equal(call(scene, zs_hex_decode_in_place, scene_at(OUT), 2, 0, 0, 0), -1);
    assert_int_equal(call(scene, zs_hex_decode_in_place, 0, 0, 0, 0, 0), 0);
    assert_false(scene->trapped);
}

static void
bad_arguments_of_hex_trap(void **state)
{
    struct scene *scene = *state;
    call(scene, zs_hex_encode, scene_at(IN), 3, scene_at(OUT), 5, 0);
    EXPECT_TRAP(scene, "zs_hex_encode: out_len is 5, expected at least 6");
    call(scene, zs_hex_encode, scene_at(IN), 3, scene_at(OUT), 6, 2);
    EXPECT_TRAP(scene, "zs_hex_encode: case is 2, expected 0 or 1");
    call(scene, zs_hex_encode, scene_at(IN), 3, scene_at(IN + 2), 6, 0);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_hex_encode, 9, 3, scene_at(OUT), 6, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_hex_encode, scene_at(IN), 3, 9, 6, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_hex_decode_in_place, 9, 6, 0, 0, 0);
    EXPECT_BAD_MEMORY(scene);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sha256_of_published_examples),
        TEST(bad_arguments_of_sha256_trap),
        TEST(hmac_of_published_examples),
        TEST(bad_arguments_of_hmac_trap),
        TEST(random_bytes_are_written),
        TEST(base64_in_all_forms),
        TEST(base64_of_nothing),
        TEST(malformed_base64_is_refused),
        TEST(bad_arguments_of_base64_trap),
        TEST(hex_in_both_cases),
        TEST(malformed_hex_is_refused),
        TEST(bad_arguments_of_hex_trap),
    };
    return cmocka_run_group_tests_name("helper_encode", tests, NULL, NULL);
}
