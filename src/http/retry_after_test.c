#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/limits.h"
#include "http/retry_after.h"

enum { NOW = 784111777, REFUSED = -1 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

static int
wait_s(const char *value, int64_t now)
{
    unsigned out = 12345;
    if (http_retry_after_parse(str_from_cstr(value), now, &out))
        return (int)out;
    assert_int_equal(out, 12345);
    return REFUSED;
}

static void
seconds(void **state)
{
    assert_int_equal(wait_s("0", NOW), 0);
    assert_int_equal(wait_s("120", NOW), 120);
    assert_int_equal(wait_s("007", NOW), 7);
    assert_int_equal(wait_s("86399", NOW), 86399);
}

static void
dates(void **state)
{
    assert_int_equal(wait_s("Sun, 06 Nov 1994 08:50:37 GMT", NOW), 60);
    assert_int_equal(wait_s("Sunday, 06-Nov-94 08:49:38 GMT", NOW), 1);
    assert_int_equal(wait_s("Sun Nov  6 08:49:37 1994", NOW), 0);
    assert_int_equal(wait_s("Sun, 06 Nov 1994 08:49:36 GMT", NOW), 0);
    assert_int_equal(wait_s("Thu, 01 Jan 1970 00:00:00 GMT", NOW), 0);
}

static void
nobody_makes_us_wait_for_ever(void **state)
{
    assert_int_equal(wait_s("86400", NOW), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("86401", NOW), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("4294967296", NOW), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("18446744073709551615", NOW), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("18446744073709551616", NOW), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("99999999999999999999999999", NOW), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("Fri, 31 Dec 9999 23:59:59 GMT", NOW), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("Fri, 31 Dec 9999 23:59:59 GMT", INT64_MIN), RETRY_AFTER_MAX_S);
    assert_int_equal(wait_s("Fri, 31 Dec 9999 23:59:59 GMT", INT64_MAX), 0);
}

static void
neither_is_refused(void **state)
{
    static const char *const cases[] = {"",    "-1",   "+1",  "1.5",
                                        "1s",  " 1",   "1 ",  "0x1",
                                        "1,2", "soon", "1e3", "Sun, 32 Nov 1994 08:49:37 GMT"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (wait_s(cases[i], NOW) != REFUSED)
            fail_msg("accepted \"%s\"", cases[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds),
        cmocka_unit_test(dates),
        cmocka_unit_test(nobody_makes_us_wait_for_ever),
        cmocka_unit_test(neither_is_refused),
    };
    return cmocka_run_group_tests_name("retry_after", tests, NULL, NULL);
}
