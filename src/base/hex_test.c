#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void
every_byte_is_read_back_in_both_cases(void **state)
{
    for (int c = 0; c < 256; c++) {
        char text[4], lower[4];
        assert_int_equal(percent_put(text, (char)c), 3);
        assert_int_equal(percent_value(str_make(text, 3)), c);
        snprintf(lower, sizeof lower, "%%%02x", (unsigned)c);
        assert_int_equal(percent_value(str_make(lower, 3)), c);
        assert_int_equal(hex_byte(str_make(lower + 1, 2)), c);
        assert_true(strncasecmp(text, lower, 3) == 0);
    }
    char slash[3];
    percent_put(slash, '\xaf');
    assert_memory_equal(slash, "%AF", 3);
}

static void
what_is_no_escape_is_refused(void **state)
{
    static const char *const cases[] = {"",    "%",   "%4",  "%4g", "%g4", "%%4", "% 4",
                                        "%4%", "41%", "%:0", "%/0", "%@0", "%`0", "%x41"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(percent_value(str_from_cstr(cases[i])), -1);
    assert_int_equal(hex_byte(STR("f")), -1);
    assert_int_equal(hex_byte(STR("")), -1);
    assert_int_equal(percent_value(STR("%414")), 0x41);
}

static void
bytes_are_written_in_both_cases(void **state)
{
    char text[7] = "......";
    hex_encode(STR("\x09\xaf\xff"), false, text);
    assert_string_equal(text, "09afff");
    hex_encode(STR("\x09\xaf\xff"), true, text);
    assert_string_equal(text, "09AFFF");
    hex_encode(STR(""), true, text);
    assert_string_equal(text, "09AFFF");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_read_back_in_both_cases),
        cmocka_unit_test(what_is_no_escape_is_refused),
        cmocka_unit_test(bytes_are_written_in_both_cases),
    };
    return cmocka_run_group_tests_name("hex", tests, NULL, NULL);
}
