/* The functions that scripts get compiled in, on the host: against those of C, which they are named
 * after. */
#include <stdint.h>
#include <sys/types.h>

#include "../../sdk/tarn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const texts[] = {
    "", "a", "b", "ab", "abc", "abd", "a\xff", "a\x7f", "aa", "/x/y/z", "x/", "\x80",
};
enum { TEXTS = sizeof texts / sizeof *texts };

static int
sign(int value)
{
    return (value > 0) - (value < 0);
}

static void
comparing(void **state)
{
    for (unsigned i = 0; i < TEXTS; i++)
        for (unsigned j = 0; j < TEXTS; j++) {
            assert_int_equal(sign(zs_strcmp(texts[i], texts[j])), sign(strcmp(texts[i], texts[j])));
            for (size_t n = 0; n < 8; n++)
                assert_int_equal(sign(zs_strncmp(texts[i], texts[j], n)),
                                 sign(strncmp(texts[i], texts[j], n)));
        }
}

static void
searching(void **state)
{
    for (unsigned i = 0; i < TEXTS; i++) {
        assert_int_equal(zs_strlen(texts[i]), strlen(texts[i]));
        assert_ptr_equal(zs_strrchr(texts[i], '/'), strrchr(texts[i], '/'));
        assert_ptr_equal(zs_strrchr(texts[i], 0xff), strrchr(texts[i], 0xff));
        assert_ptr_equal(zs_strrchr(texts[i], 0), strrchr(texts[i], 0));
    }
}

static void
copying(void **state)
{
    char mine[16], theirs[16];
    for (unsigned i = 0; i < TEXTS; i++) {
        memset(mine, '#', sizeof mine);
        memset(theirs, '#', sizeof theirs);
        assert_ptr_equal(zs_stpcpy(mine, texts[i]), mine + strlen(texts[i]));
        stpcpy(theirs, texts[i]);
        assert_memory_equal(mine, theirs, sizeof mine);
        memset(mine, '#', sizeof mine);
        assert_ptr_equal(zs_strcpy(mine, texts[i]), mine);
        assert_memory_equal(mine, theirs, sizeof mine);
        for (size_t n = 0; n < sizeof mine; n++) {
            memset(mine, '#', sizeof mine);
            memset(theirs, '#', sizeof theirs);
            assert_ptr_equal(zs_strncpy(mine, texts[i], n), mine);
            memcpy(theirs, texts[i], strnlen(texts[i], n));
            if (n > strlen(texts[i]))
                memset(theirs + strlen(texts[i]), 0, n - strlen(texts[i]));
            assert_memory_equal(mine, theirs, sizeof mine);
        }
    }
}

static void
numbers(void **state)
{
    static const unsigned values[] = {0, 1, 9, 10, 99, 100, 12345, 999999999, 1000000000, ~0u};
    char expected[16], out[16];
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        int len = snprintf(expected, sizeof expected, "%u", values[i]);
        assert_int_equal(zs_utoa10(values[i], out, sizeof out), len);
        assert_string_equal(out, expected);
        assert_int_equal(zs_utoa10(values[i], out, (size_t)len + 1), len);
        memset(out, '#', sizeof out);
        assert_int_equal(zs_utoa10(values[i], out, (size_t)len), -1);
        assert_int_equal(out[0], '#');
        assert_int_equal(zs_utoa10(values[i], out, 0), -1);
        assert_int_equal(zs_utoa10(values[i], NULL, 16), -1);
    }
}

static void
take(const char *expected, size_t expected_len, const char *text, zs_u64 len)
{
    assert_string_equal(text, expected);
    assert_int_equal(len, expected_len);
}

static void
texts_as_two_arguments(void **state)
{
    char array[16] = "abc";
    const char *pointer = "pointer";
    static const char constant[] = "constant";
    take("literal", 7, ZS_STR("literal"));
    take("joined", 6,
         ZS_STR("joi"
                "ned"));
    take("abc", 3, ZS_STR(array));
    take("pointer", 7, ZS_STR(pointer));
    take("constant", 8, ZS_STR(constant));
    take("cut", 3, ZS_STR("cut\0off"));
    take("", 0, ZS_STR(""));
    take("abc", 4, ZS_STR_WITH_NULL(array));
    take("x", 2, ZS_STR_WITH_NULL("x"));
    assert_int_equal(ZS_MIN(1, 2) + ZS_MAX(10, 20), 21);
}

static void
sizes(void **state)
{
    assert_int_equal(sizeof(zs_aws_v4_sign_params), 18 * 8);
    assert_int_equal(sizeof(zs_u64) + sizeof(zs_s64), 16);
    assert_int_equal(sizeof(zs_u32) + sizeof(zs_s32), 8);
    assert_int_equal(sizeof(zs_u16) + sizeof(zs_s16), 4);
    assert_int_equal(sizeof(zs_u8) + sizeof(zs_s8), 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing),
        cmocka_unit_test(searching),
        cmocka_unit_test(copying),
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts_as_two_arguments),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests_name("sdk_text", tests, NULL, NULL);
}
