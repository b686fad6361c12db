#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "http/date.h"

static const int64_t now_2024 = 1710000000; /* 2024-03-09 16:00:00 */

static void
assert_formats_as(int64_t seconds, const char *expected)
{
    char out[HTTP_DATE_LEN + 1];
    out[HTTP_DATE_LEN] = '!';
    http_date_format(seconds, out);
    assert_memory_equal(out, expected, HTTP_DATE_LEN);
    assert_int_equal(out[HTTP_DATE_LEN], '!');
}

static void
assert_reads_as(const char *text, int64_t now, int64_t expected)
{
    int64_t seconds = -1;
    if (!http_date_parse(str_from_cstr(text), now, &seconds))
        fail_msg("refused \"%s\"", text);
    if (seconds != expected)
        fail_msg("\"%s\" read as %lld, wanted %lld", text, (long long)seconds, (long long)expected);
}

static void
test_format(void **state)
{
    assert_formats_as(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_formats_as(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_formats_as(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_formats_as(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT");
    assert_formats_as(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
    assert_formats_as(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void
test_format_is_clamped(void **state)
{
    assert_formats_as(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_formats_as(INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_formats_as(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_formats_as(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Every 23rd hour or so of 8000 years, against the C library. */
static void
test_format_agrees_with_gmtime(void **state)
{
    for (int64_t seconds = 0; seconds <= 253402300799; seconds += 8284199) {
        char expected[64], out[HTTP_DATE_LEN];
        time_t at = (time_t)seconds;
        struct tm tm;
        int64_t back;
        strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
        http_date_format(seconds, out);
        assert_memory_equal(out, expected, HTTP_DATE_LEN);
        assert_true(http_date_parse(str_make(out, HTTP_DATE_LEN), now_2024, &back));
        assert_int_equal(back, seconds);
    }
}

static void
test_three_forms(void **state)
{
    assert_reads_as("Sun, 06 Nov 1994 08:49:37 GMT", now_2024, 784111777);
    assert_reads_as("Sunday, 06-Nov-94 08:49:37 GMT", now_2024, 784111777);
    assert_reads_as("Sun Nov  6 08:49:37 1994", now_2024, 784111777);
    assert_reads_as("Wed Nov 16 08:49:37 1994", now_2024, 784975777);
    assert_reads_as("Wed, 31 Dec 1969 23:59:59 GMT", now_2024, -1);
    assert_reads_as("Sat, 01 Jan 0000 00:00:00 GMT", now_2024, -62167219200);
}

static void
test_weekday_is_not_compared(void **state)
{
    assert_reads_as("Mon, 06 Nov 1994 08:49:37 GMT", now_2024, 784111777);
    assert_reads_as("Wednesday, 06-Nov-94 08:49:37 GMT", now_2024, 784111777);
}

static void
test_leap_second_is_59(void **state)
{
    assert_reads_as("Sat, 31 Dec 2016 23:59:60 GMT", now_2024, 1483228799);
}

static void
test_two_digit_years(void **state)
{
    /* exactly 50 years ahead of now is still the future, one second more is the past */
    assert_reads_as("Friday, 09-Mar-74 16:00:00 GMT", now_2024, 3287836800);
    assert_reads_as("Friday, 09-Mar-74 16:00:01 GMT", now_2024, 132076801);
    assert_reads_as("Friday, 01-Jan-75 00:00:00 GMT", now_2024, 157766400);
    assert_reads_as("Friday, 01-Jan-00 00:00:00 GMT", now_2024, 946684800);
    assert_reads_as("Friday, 01-Jan-30 00:00:00 GMT", now_2024, 1893456000);
    /* near the end of a century the low numbers are ahead */
    assert_reads_as("Friday, 01-Jan-10 00:00:00 GMT", 3471292800 /* 2080 */, 4417977600);
}

static void
test_leap_day_of_two_digit_year_needs_the_right_century(void **state)
{
    int64_t seconds;
    assert_reads_as("Tuesday, 29-Feb-00 00:00:00 GMT", now_2024, 951782400);
    assert_false(http_date_parse(STR("Monday, 29-Feb-00 00:00:00 GMT"), 3471292800, &seconds));
}

static void
test_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "0",
        "Sun",
        "Sunday",
        "Sun,",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 ",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 23:60:00 GMT",
        "Sun, 06 Nov 1994 23:59:61 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 32 Jan 1994 08:49:37 GMT",
        "Sun, 29 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov +994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sund, 06-Nov-94 08:49:37 GMT",
        "Sunday Nov  6 08:49:37 1994",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  06 08:49:37 1994",
        "Sun Nov  0 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov  6 08:49:37 94",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t seconds = 77;
        if (http_date_parse(str_from_cstr(cases[i]), now_2024, &seconds))
            fail_msg("accepted \"%s\"", cases[i]);
        assert_int_equal(seconds, 77);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_is_clamped),
        cmocka_unit_test(test_format_agrees_with_gmtime),
        cmocka_unit_test(test_three_forms),
        cmocka_unit_test(test_weekday_is_not_compared),
        cmocka_unit_test(test_leap_second_is_59),
        cmocka_unit_test(test_two_digit_years),
        cmocka_unit_test(test_leap_day_of_two_digit_year_needs_the_right_century),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
