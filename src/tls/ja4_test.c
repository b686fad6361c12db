/* JA4: the captures published with the method (tests/data/README.md), and what they do not hold. */
#include "tls/ja4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE_MAX_LEN = 8192 };

static size_t
from_hex(const char *text, char *out)
{
    size_t len = 0;
    for (unsigned byte; sscanf(text + 2 * len, "%2x", &byte) == 1; len++)
        out[len] = (char)byte;
    return len;
}

static void
test_published_captures(void **state)
{
    char line[LINE_MAX_LEN], message[LINE_MAX_LEN / 2], text[JA4_TEXT_LEN + 1];
    unsigned count = 0;
    FILE *file = fopen("tests/data/ja4/cases.txt", "r");
    if (!file)
        fail_msg("tests/data/ja4/cases.txt is missing; tests run from the project's folder");
    while (fgets(line, sizeof line, file)) {
        char *hello_text = strchr(line, '|');
        struct client_hello hello;
        assert_non_null(hello_text);
        *hello_text++ = '\0';
        assert_true(client_hello_parse(&hello, message, from_hex(hello_text, message)));
        ja4_compute(&hello, text);
        assert_string_equal(text, line);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 8);
}

/* Only the part before the hashes. */
static void
assert_first_part(const struct client_hello *hello, const char *expected)
{
    char text[JA4_TEXT_LEN + 1];
    ja4_compute(hello, text);
    assert_int_equal(strlen(text), JA4_TEXT_LEN);
    text[10] = '\0';
    assert_string_equal(text, expected);
}

static void
test_empty_hello(void **state)
{
    const struct client_hello hello = {.legacy_version = 0x0301};
    char text[JA4_TEXT_LEN + 1];
    ja4_compute(&hello, text);
    assert_string_equal(text, "t10i000000_000000000000_000000000000");
}

static void
test_version_is_the_highest_offered(void **state)
{
    struct client_hello hello = {.legacy_version = 0x0303};
    assert_first_part(&hello, "t12i000000");
    hello.versions = STR("\3\2\xfa\xfa\3\4\3\3");
    assert_first_part(&hello, "t13i000000");
    hello.versions = STR("\3\2\3\1");
    assert_first_part(&hello, "t11i000000");
    hello.versions = STR("\x0a\x0a");
    assert_first_part(&hello, "t12i000000");
    hello.versions = STR("");
    hello.legacy_version = 0x0300;
    assert_first_part(&hello, "ts3i000000");
    hello.legacy_version = 0x0002;
    assert_first_part(&hello, "ts2i000000");
    hello.legacy_version = 0x0399;
    assert_first_part(&hello, "t00i000000");
}

static void
test_alpn_ends(void **state)
{
    struct client_hello hello = {.legacy_version = 0x0303};
    hello.alpn = STR("\2h2\x08http/1.1");
    assert_first_part(&hello, "t12i0000h2");
    hello.alpn = STR("\1h");
    assert_first_part(&hello, "t12i0000hh");
    hello.alpn = STR("\1\xab");
    assert_first_part(&hello, "t12i0000ab");
    hello.alpn = STR("\2\xab\xcd");
    assert_first_part(&hello, "t12i0000ad");
    hello.alpn = STR("\2\x30\xab");
    assert_first_part(&hello, "t12i00003b");
    hello.alpn = STR("\4\x30\xab\xcd\x31");
    assert_first_part(&hello, "t12i000001");
    hello.alpn = STR("\2h-");
    assert_first_part(&hello, "t12i00006d");
}

static void
test_counts_stop_at_99_without_grease(void **state)
{
    static char ciphers[2 * 200], extensions[4 * 120];
    for (unsigned i = 0; i < 200; i++)
        ciphers[2 * i + 1] = (char)i;
    for (unsigned i = 0; i < 120; i++)
        extensions[4 * i + 1] = (char)i;
    struct client_hello hello = {.legacy_version = 0x0303};
    hello.ciphers = str_make(ciphers, sizeof ciphers);
    hello.extensions = str_make(extensions, sizeof extensions);
    hello.has_sni = true;
    assert_first_part(&hello, "t12d999900");
    hello.ciphers = str_make(ciphers, 2 * 99);
    hello.extensions = str_make(extensions, 4 * 98);
    assert_first_part(&hello, "t12d999800");
    hello.ciphers = STR("\x1a\x1a\x13\1");
    hello.extensions = STR("\x1a\x1a\0\0");
    assert_first_part(&hello, "t12d010000");
}

/* Order and GREASE do not matter. */
static void
test_hashes_are_of_sorted_lists(void **state)
{
    struct client_hello hello = {.legacy_version = 0x0303};
    char text[JA4_TEXT_LEN + 1];
    /* SHA-256 of "1301,1302,c02b" and "0005,000a,ff01_0403,0804" */
    hello.ciphers = STR("\xc0\x2b\x3a\x3a\x13\2\x13\1");
    hello.extensions = STR("\xff\1\0\0\0\x0a\0\0\x2a\x2a\0\0\0\0\0\0\0\x10\0\0\0\5\0\1x");
    hello.signature_algorithms = STR("\4\3\xba\xba\x08\4");
    ja4_compute(&hello, text);
    assert_string_equal(text, "t12i030500_5559582ccdc4_31492fd7cc28");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_captures),
        cmocka_unit_test(test_empty_hello),
        cmocka_unit_test(test_version_is_the_highest_offered),
        cmocka_unit_test(test_alpn_ends),
        cmocka_unit_test(test_counts_stop_at_99_without_grease),
        cmocka_unit_test(test_hashes_are_of_sorted_lists),
    };
    return cmocka_run_group_tests_name("ja4", tests, NULL, NULL);
}
