#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Decodes from and into blocks of exactly their size, so that a sanitizer sees a step too far. */
static bool
decode(const char *text, size_t out_len, char *out)
{
    size_t len = strlen(text);
    char *from = malloc(len ? len : 1), *to = malloc(out_len ? out_len : 1);
    memcpy(from, text, len);
    bool ok = base64_decode(str_make(from, len), (uint8_t *)to, out_len);
    if (ok)
        memcpy(out, to, out_len);
    free(from);
    free(to);
    return ok;
}

static void
vectors_of_the_rfc(void **state)
{
    /* RFC 4648 section 10 */
    static const char *const cases[][2] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\xfb\xff\xbf"},
        {"AAAA", "\0\0\0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[8];
        size_t len = i == 8 ? 3 : strlen(cases[i][1]);
        if (!decode(cases[i][0], len, out))
            fail_msg("refused \"%s\"", cases[i][0]);
        assert_memory_equal(out, cases[i][1], len);
        assert_false(decode(cases[i][0], len + 1, out));
        if (len)
            assert_false(decode(cases[i][0], len - 1, out));
    }
}

static void
every_byte_in_every_place(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned at = 0; at < 4; at++) {
        for (int c = 1; c < 256; c++) {
            char text[] = "AAAA", out[4];
            text[at] = (char)c;
            const char *hit = strchr(alphabet, c);
            assert_int_equal(decode(text, 3, out), hit != NULL);
            if (!hit)
                continue;
            uint32_t expected = (uint32_t)(hit - alphabet) << (18 - 6 * at);
            assert_int_equal((uint8_t)out[0] << 16 | (uint8_t)out[1] << 8 | (uint8_t)out[2],
                             expected);
        }
    }
}

static void
sloppy_forms_are_refused(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {"Zg", 1},    {"Zg=", 1},    {"Zg===", 1},    {"Z===", 1},     {"Z===", 0},     {"====", 0},
        {"====", 1},  {"Zh==", 1}, /* unused bits */
        {"Zm9=", 2},  {"Zm8", 2},    {"Zm8==", 2},    {"Zm8=Zm8=", 4}, {"Zg==Zm9v", 4}, {"Zm 9", 3},
        {" Zm9v", 3}, {"Zm9v\n", 3}, {"Zm9v====", 3}, {"Zm9v====", 4}, {"Zm9-", 3},     {"Zm9_", 3},
        {"Zg=v", 1},  {"=m9v", 3},   {"Zm=v", 2},     {"Z", 0},        {"Zm9vYg=", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[8];
        if (decode(cases[i].text, cases[i].len, out))
            fail_msg("accepted \"%s\" as %zu bytes", cases[i].text, cases[i].len);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_rfc),
        cmocka_unit_test(every_byte_in_every_place),
        cmocka_unit_test(sloppy_forms_are_refused),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
