#include "base/duration.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int64_t
ttl(const char *text)
{
    int64_t out = -1;
    bool ok = duration_parse_ttl(str_from_cstr(text), &out);
    assert_int_equal(ok, out != -1);
    return out;
}

static void
each_unit(void **state)
{
    assert_int_equal(ttl("1s"), 1);
    assert_int_equal(ttl("90s"), 90);
    assert_int_equal(ttl("2m"), 120);
    assert_int_equal(ttl("3h"), 10800);
    assert_int_equal(ttl("10d"), 864000);
    assert_int_equal(ttl("007d"), 604800);
    assert_int_equal(ttl("99999d"), INT64_C(8639913600));
}

static void
what_is_no_ttl(void **state)
{
    static const char *const cases[] = {"",    "s",    "d",     "1",  "0s",   "00d",  "-1d",
                                        "+1d", "1.5h", "1D",    "1S", "1ms",  "1w",   "1 d",
                                        " 1d", "1d ",  "1h30m", "d1", "0x1d", "1e3s", "\xd9\xa1s"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ttl(cases[i]) != -1)
            fail_msg("accepted \"%s\"", cases[i]);
    int64_t out;
    assert_false(duration_parse_ttl(STR("1\0s"), &out));
    assert_false(duration_parse_ttl((struct str){0}, &out));
}

static void
overflow_is_an_error(void **state)
{
    assert_int_equal(ttl("4611686018427387s"), DURATION_MAX_S);
    assert_int_equal(ttl("4611686018427388s"), -1);
    assert_int_equal(ttl("76861433640456m"), 76861433640456 * 60);
    assert_int_equal(ttl("76861433640457m"), -1);
    assert_int_equal(ttl("53375995583d"), 53375995583 * 86400);
    assert_int_equal(ttl("53375995584d"), -1);
    assert_int_equal(ttl("18446744073709551615d"), -1);
    assert_int_equal(ttl("18446744073709551616s"), -1);
    assert_int_equal(ttl("213503982334602d"), -1); /* over 2^64 seconds by a little */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_unit),
        cmocka_unit_test(what_is_no_ttl),
        cmocka_unit_test(overflow_is_an_error),
    };
    return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
