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

/* Encodes and decodes in blocks of exactly their size; decodes in place too. */
static void
round_trip(enum base64_form form, const char *bytes, size_t len, const char *expected)
{
    size_t text_len = base64_encoded_len(form, len), back_len;
    char *from = malloc(len ? len : 1), *text = malloc(text_len ? text_len : 1);
    memcpy(from, bytes, len);
    base64_encode(form, str_make(from, len), text);
    if (expected) {
        assert_int_equal(text_len, strlen(expected));
        assert_memory_equal(text, expected, text_len);
    }
    assert_true(base64_decoded_len(form, str_make(text, text_len), &back_len));
    assert_int_equal(back_len, len);
    char *back = malloc(len ? len : 1);
    assert_true(base64_decode_form(form, str_make(text, text_len), back));
    assert_memory_equal(back, bytes, len);
    assert_true(base64_decode_form(form, str_make(text, text_len), text));
    assert_memory_equal(text, bytes, len);
    free(back);
    free(from);
    free(text);
}

static void
all_forms_are_written_and_read(void **state)
{
    static const char *const cases[][5] = {
        /* bytes, then by form */
        {"", "", "", "", ""},
        {"f", "Zg==", "Zg", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg", "Zm9vYg==", "Zm9vYg"},
        {"\xfb\xff\xbf", "+/+/", "+/+/", "-_-_", "-_-_"},
        {"\xff\xff", "//8=", "//8", "__8=", "__8"},
    };
    for (enum base64_form form = 0; form < BASE64_FORM_COUNT; form++) {
        char bytes[256];
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            round_trip(form, cases[i][0], strlen(cases[i][0]), cases[i][1 + form]);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)(i * 7 + form);
        for (size_t len = 0; len <= sizeof bytes; len++)
            round_trip(form, bytes, len, NULL);
    }
}

static bool
reads(enum base64_form form, const char *text)
{
    char out[16];
    size_t len;
    struct str s = str_from_cstr(text);
    bool has_len = base64_decoded_len(form, s, &len);
    bool ok = base64_decode_form(form, s, out);
    assert_true(has_len || !ok);
    return ok;
}

static void
one_form_is_not_another(void **state)
{
    assert_false(reads(BASE64_STANDARD, "-_-_"));
    assert_false(reads(BASE64_STANDARD_NO_PAD, "-_-_"));
    assert_false(reads(BASE64_URL, "+/+/"));
    assert_false(reads(BASE64_URL_NO_PAD, "+/+/"));
    static const struct {
        const char *text;
        bool padded, bare;
    } cases[] = {
        {"Zg==", true, false},   {"Zg", false, true},        {"Zg=", false, false},
        {"Zm8=", true, false},   {"Zm8", false, true},       {"Zm9v", true, true},
        {"A", false, false},     {"AAAAA", false, false},    {"Z", false, false},
        {"Zm9vZ", false, false}, {"Zh==", false, false},     {"Zh", false, false},
        {"Zm9", false, false},   {"Zm9=", false, false},     {"Z===", false, false},
        {"====", false, false},  {"Zg==Zg==", false, false}, {"Zg\n", false, false},
        {" Zm9", false, false},  {"Zm9v\xc3", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (enum base64_form form = 0; form < BASE64_FORM_COUNT; form++) {
            bool padded = form == BASE64_STANDARD || form == BASE64_URL;
            if (reads(form, cases[i].text) != (padded ? cases[i].padded : cases[i].bare))
                fail_msg("\"%s\" in form %d", cases[i].text, form);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_rfc),
        cmocka_unit_test(every_byte_in_every_place),
        cmocka_unit_test(sloppy_forms_are_refused),
        cmocka_unit_test(all_forms_are_written_and_read),
        cmocka_unit_test(one_form_is_not_another),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
