#include "script/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void
expect_decoded(struct str raw, struct str expected)
{
    struct buf out;
    buf_init(&out, 1000);
    buf_append(&out, STR("before"));
    struct str decoded = form_decode(raw, &out);
    assert_false(buf_overflowed(&out));
    assert_true(str_eq(decoded, expected));
    assert_true(str_starts_with(buf_str(&out), STR("before")));
    buf_deinit(&out);
}

static void
parameters_come_one_by_one(void **state)
{
    struct str query = STR("a=1&&b&=c&d=e=f&=&g="), name, value;
    static const char *const expected[] = {"a", "1", "b", "", "", "c", "d", "e=f", "", "", "g", ""};
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i += 2) {
        assert_true(form_next(&query, &name, &value));
        assert_true(str_eq(name, str_from_cstr(expected[i])));
        assert_true(str_eq(value, str_from_cstr(expected[i + 1])));
    }
    assert_false(form_next(&query, &name, &value));
    query = STR("&&&");
    assert_false(form_next(&query, &name, &value));
}

static void
text_is_decoded(void **state)
{
    expect_decoded(STR(""), STR(""));
    expect_decoded(STR("plain~!"), STR("plain~!"));
    expect_decoded(STR("a+b%20c%2B%2b"), STR("a b c++"));
    expect_decoded(STR("%c3%a9\xc3\xa9"), STR("\xc3\xa9\xc3\xa9"));
    expect_decoded(STR("%00"), STR("\0"));
}

static void
bad_escapes_stand_for_themselves(void **state)
{
    expect_decoded(STR("%"), STR("%"));
    expect_decoded(STR("%4"), STR("%4"));
    expect_decoded(STR("%zz%%41"), STR("%zz%A"));
}

#define WRONG "\xef\xbf\xbd"

static void
bytes_that_are_no_text_are_replaced(void **state)
{
    expect_decoded(STR("a%ffb"), STR("a" WRONG "b"));
    expect_decoded(STR("%c3"), STR(WRONG));
    expect_decoded(STR("%c3("), STR(WRONG "("));
    expect_decoded(STR("%e2%82x"), STR(WRONG "x"));
    expect_decoded(STR("%f0%9f%98%41"), STR(WRONG "A"));
    expect_decoded(STR("%e0%80%80"), STR(WRONG WRONG WRONG));
    expect_decoded(STR("%ed%a0%80"), STR(WRONG WRONG WRONG));
    expect_decoded(STR("%f4%90%80%80"), STR(WRONG WRONG WRONG WRONG));
    expect_decoded(STR("%f5%c0%80%c3%a9"), STR(WRONG WRONG WRONG "\xc3\xa9"));
}

static void
a_ceiling_is_kept(void **state)
{
    struct buf out;
    buf_init(&out, 8);
    form_decode(STR("%41%41%41%41%41"), &out);
    assert_true(buf_overflowed(&out));
    buf_clear(&out);
    form_decode(STR("%ff%ff%ff"), &out);
    assert_true(buf_overflowed(&out));
    buf_deinit(&out);
}

static void
names_are_compared_decoded(void **state)
{
    assert_true(form_is(STR("a%62+c"), STR("ab c")));
    assert_true(form_is(STR(""), STR("")));
    assert_false(form_is(STR("ab"), STR("abc")));
    assert_false(form_is(STR("abc"), STR("ab")));
    assert_false(form_is(STR("A"), STR("a")));
    assert_true(form_is(STR("%"), STR("%")));
}

static void
text_is_encoded(void **state)
{
    struct buf out;
    buf_init(&out, 100);
    form_encode(STR("aZ09*-._ ~+&=%\xc3\xa9\x7f/"), &out);
    assert_true(str_eq(buf_str(&out), STR("aZ09*-._+%7E%2B%26%3D%25%C3%A9%7F%2F")));
    buf_deinit(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_come_one_by_one),
        cmocka_unit_test(text_is_decoded),
        cmocka_unit_test(bad_escapes_stand_for_themselves),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(a_ceiling_is_kept),
        cmocka_unit_test(names_are_compared_decoded),
        cmocka_unit_test(text_is_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
