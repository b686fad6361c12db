#include "http/status.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
registered_codes_have_their_phrase(void **state)
{
    assert_true(str_eq(http_status_reason(200), STR("OK")));
    assert_true(str_eq(http_status_reason(308), STR("Permanent Redirect")));
    assert_true(str_eq(http_status_reason(431), STR("Request Header Fields Too Large")));
    assert_true(str_eq(http_status_reason(511), STR("Network Authentication Required")));
}

static void
other_codes_are_unknown(void **state)
{
    const int codes[] = {-1, 0, 99, 306, 418, 430, 599, 1000};
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_true(str_eq(http_status_reason(codes[i]), STR("Unknown")));
}

static void
bodies_are_for_final_answers_with_content(void **state)
{
    assert_false(http_status_has_body(100));
    assert_false(http_status_has_body(199));
    assert_true(http_status_has_body(200));
    assert_false(http_status_has_body(204));
    assert_true(http_status_has_body(205));
    assert_false(http_status_has_body(304));
    assert_true(http_status_has_body(404));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registered_codes_have_their_phrase),
        cmocka_unit_test(other_codes_are_unknown),
        cmocka_unit_test(bodies_are_for_final_answers_with_content),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
