#include "script/fields.h"

#include "base/limits.h"
#include "base/must.h"
#include "http/h1_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
expect(const struct script_fields *fields, const char *lines)
{
    struct buf out;
    size_t live = 0;
    buf_init(&out, 1 << 20);
    script_fields_write(fields, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.ptr, lines);
    buf_deinit(&out);
    for (uint32_t i = 0; i < fields->count; i++)
        live += script_fields_name(fields, i).len + script_fields_value(fields, i).len;
    assert_int_equal(fields->live_len, live);
}

static void
append(struct script_fields *fields, struct str name, struct str value)
{
    assert_int_equal(script_fields_append(fields, name, value), SCRIPT_FIELDS_OK);
}

static void
set(struct script_fields *fields, struct str name, struct str value)
{
    assert_int_equal(script_fields_set(fields, name, value), SCRIPT_FIELDS_OK);
}

static void
order_and_case_of_names_stay(void **state)
{
    struct script_fields fields = {0};
    expect(&fields, "");
    append(&fields, STR("Accept"), STR("a"));
    append(&fields, STR("X-One"), STR(" \tb "));
    append(&fields, STR("accept"), STR(""));
    expect(&fields, "Accept: a\r\nX-One: b\r\naccept: \r\n");
    assert_true(str_eq(script_fields_last(&fields, STR("ACCEPT")), STR("")));
    assert_non_null(script_fields_last(&fields, STR("ACCEPT")).ptr);
    assert_true(str_eq(script_fields_last(&fields, STR("x-one")), STR("b")));
    assert_null(script_fields_last(&fields, STR("x-two")).ptr);
    script_fields_clear(&fields);
    expect(&fields, "");
    append(&fields, STR("a"), STR("b"));
    expect(&fields, "a: b\r\n");
    script_fields_deinit(&fields);
    script_fields_deinit(&fields);
}

static void
set_takes_the_place_of_the_first(void **state)
{
    struct script_fields fields = {0};
    append(&fields, STR("A"), STR("1"));
    append(&fields, STR("B"), STR("2"));
    append(&fields, STR("a"), STR("3"));
    append(&fields, STR("C"), STR("4"));
    append(&fields, STR("A"), STR("5"));
    set(&fields, STR("a"), STR("new"));
    expect(&fields, "A: new\r\nB: 2\r\nC: 4\r\n");
    set(&fields, STR("d"), STR("last"));
    expect(&fields, "A: new\r\nB: 2\r\nC: 4\r\nd: last\r\n");
    append(&fields, STR("b"), STR("6"));
    set(&fields, STR("B"), STR(""));
    expect(&fields, "A: new\r\nC: 4\r\nd: last\r\n");
    set(&fields, STR("missing"), STR(""));
    assert_int_equal(script_fields_set_value(&fields, 1, STR("")), SCRIPT_FIELDS_OK);
    assert_int_equal(script_fields_set_value(&fields, 0, STR(" x\t")), SCRIPT_FIELDS_OK);
    expect(&fields, "A: x\r\nC: \r\nd: last\r\n");
    script_fields_deinit(&fields);
}

static void
what_is_no_field_is_refused(void **state)
{
    struct script_fields fields = {0};
    struct str names[] = {STR(""),      STR("a b"),  STR("a:"),  STR("\xc3\xa9"), STR("a\r"),
                          STR(":path"), STR("a\0b"), STR("a\n"), STR("(a)"),      STR("\x7f")};
    struct str values[] = {STR("a\rb"), STR("a\n"), STR("\0"), STR("a\x1f"), STR("\x7f")};
    append(&fields, STR("A"), STR("1"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(script_fields_append(&fields, names[i], STR("")), SCRIPT_FIELDS_INVALID);
        assert_int_equal(script_fields_set(&fields, names[i], STR("x")), SCRIPT_FIELDS_INVALID);
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(script_fields_append(&fields, STR("A"), values[i]), SCRIPT_FIELDS_INVALID);
        assert_int_equal(script_fields_set(&fields, STR("A"), values[i]), SCRIPT_FIELDS_INVALID);
        assert_int_equal(script_fields_set_value(&fields, 0, values[i]), SCRIPT_FIELDS_INVALID);
    }
    expect(&fields, "A: 1\r\n");
    append(&fields, STR("!#$%&'*+-.^_`|~09azAZ"), STR("a\tb\xc3\xa9\xff \"~"));
    script_fields_deinit(&fields);
}

static void
names_match_patterns(void **state)
{
    static const struct {
        const char *name, *pattern;
        bool matches;
    } cases[] = {
        {"X-Foo", "x-foo", true},  {"X-Foo", "x-fo", false},    {"X-Foo", "X-F*", true},
        {"X-Foo", "x-foo*", true}, {"X-Foo", "x-foob*", false}, {"X-Foo", "*OO", true},
        {"X-Foo", "*x", false},    {"X-Foo", "*-f*", true},     {"X-Foo", "*g*", false},
        {"X-Foo", "*", true},      {"X-Foo", "**", true},       {"X-Foo", "", false},
        {"X-Foo", "x*o", false},   {"X*o", "x*o", true},        {"a", "*aa", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (script_field_matches(str_from_cstr(cases[i].name), str_from_cstr(cases[i].pattern)) !=
            cases[i].matches)
            fail_msg("%s, %s", cases[i].name, cases[i].pattern);
}

static bool
is_short(struct str name, struct str pattern)
{
    return name.len < pattern.len;
}

static void
fields_are_removed_by_pattern(void **state)
{
    struct script_fields fields = {0};
    append(&fields, STR("A"), STR("1"));
    append(&fields, STR("X-One"), STR("2"));
    append(&fields, STR("B"), STR("3"));
    append(&fields, STR("x-two"), STR("4"));
    assert_int_equal(script_fields_remove(&fields, STR("none")), 0);
    assert_int_equal(script_fields_remove(&fields, STR("X-*")), 2);
    expect(&fields, "A: 1\r\nB: 3\r\n");
    append(&fields, STR("Long"), STR(""));
    assert_int_equal(script_fields_remove_if(&fields, is_short, STR("..")), 2);
    expect(&fields, "Long: \r\n");
    assert_int_equal(script_fields_remove(&fields, STR("*")), 1);
    expect(&fields, "");
    script_fields_deinit(&fields);
}

/* Arguments of a change may be what is changed, also when it moves. */
static void
arguments_may_lie_in_the_list(void **state)
{
    struct script_fields fields = {0};
    append(&fields, STR("First"), STR("one two three four five six seven eight nine ten"));
    for (unsigned i = 0; i < 2000; i++) {
        if (fields.count == 5)
            script_fields_remove(&fields, STR("Other"));
        append(&fields, STR("Other"), script_fields_value(&fields, 0));
        set(&fields, script_fields_name(&fields, 0), script_fields_value(&fields, 0));
        append(&fields, script_fields_name(&fields, 0), STR("x"));
        set(&fields, script_fields_name(&fields, fields.count - 1),
            script_fields_last(&fields, STR("Other")));
    }
    assert_true(str_eq(script_fields_value(&fields, 0),
                       STR("one two three four five six seven eight nine ten")));
    assert_true(fields.text.cap <= 4096);
    script_fields_deinit(&fields);
}

static void
changes_can_go_on_for_ever(void **state)
{
    struct script_fields fields = {0};
    char value[1000];
    memset(value, 'v', sizeof value);
    append(&fields, STR("Keep"), STR("this"));
    for (unsigned i = 0; i < 20000; i++) {
        set(&fields, STR("Changes"), str_make(value, i % sizeof value));
        assert_true(fields.text.cap <= 8192);
    }
    assert_true(str_eq(script_fields_last(&fields, STR("keep")), STR("this")));
    script_fields_deinit(&fields);
}

static void
a_list_has_ceilings(void **state)
{
    struct script_fields fields = {0};
    char *value = malloc(SCRIPT_FIELDS_MAX);
    memset(value, 'v', SCRIPT_FIELDS_MAX);
    append(&fields, STR("a"), str_make(value, SCRIPT_FIELDS_MAX - 1));
    assert_int_equal(script_fields_append(&fields, STR("b"), STR("")), SCRIPT_FIELDS_FULL);
    assert_int_equal(script_fields_set(&fields, STR("b"), STR("x")), SCRIPT_FIELDS_FULL);
    set(&fields, STR("a"), str_make(value, SCRIPT_FIELDS_MAX - 1));
    assert_int_equal(script_fields_set(&fields, STR("a"), str_make(value, SCRIPT_FIELDS_MAX)),
                     SCRIPT_FIELDS_FULL);
    assert_int_equal(fields.count, 1);
    assert_int_equal(script_fields_value(&fields, 0).len, SCRIPT_FIELDS_MAX - 1);
    script_fields_clear(&fields);
    assert_true(fields.text.cap <= 4096);
    for (unsigned i = 0; i < SCRIPT_FIELD_COUNT_MAX; i++)
        append(&fields, STR("n"), STR("v"));
    assert_int_equal(script_fields_append(&fields, STR("n"), STR("v")), SCRIPT_FIELDS_FULL);
    assert_int_equal(fields.count, SCRIPT_FIELD_COUNT_MAX);
    script_fields_clear(&fields);
    append(&fields, STR("n"), STR("v"));
    expect(&fields, "n: v\r\n");
    script_fields_deinit(&fields);
    free(value);
}

static void
a_request_head_is_added(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX:  y \r\nx:\r\n\r\n";
    struct http_field list[8];
    struct http_head head;
    struct h1_head_decoder decoder;
    struct script_fields fields = {0};
    http_head_init(&head, list, 8);
    h1_head_decoder_init(&decoder, &head, 1000);
    must(h1_head_decode(&decoder, text, sizeof text - 1) == H1_DONE);
    assert_int_equal(script_fields_add_head(&fields, &head), SCRIPT_FIELDS_OK);
    expect(&fields, "Host: a\r\nX: y\r\nx: \r\n");
    assert_int_equal(script_fields_add_head(&fields, &head), SCRIPT_FIELDS_OK);
    assert_int_equal(fields.count, 6);
    script_fields_deinit(&fields);
}

static void
a_block_of_lines_is_added(void **state)
{
    struct script_fields fields = {0};
    assert_int_equal(script_fields_add_block(&fields, STR("A: b\r\nC:d \r\nE: f:g\r\nH:\r\n")),
                     SCRIPT_FIELDS_OK);
    expect(&fields, "A: b\r\nC: d\r\nE: f:g\r\nH: \r\n");
    assert_int_equal(script_fields_add_block(&fields, STR("")), SCRIPT_FIELDS_OK);
    struct str bad[] = {STR("A: b"), STR("A: b\n"),    STR("A b\r\n"),     STR(": b\r\n"),
                        STR("\r\n"), STR("A : b\r\n"), STR("A: \x01\r\n"), STR("A: b\rc\r\n")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(script_fields_add_block(&fields, bad[i]), SCRIPT_FIELDS_INVALID);
    script_fields_deinit(&fields);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_case_of_names_stay),
        cmocka_unit_test(set_takes_the_place_of_the_first),
        cmocka_unit_test(what_is_no_field_is_refused),
        cmocka_unit_test(names_match_patterns),
        cmocka_unit_test(fields_are_removed_by_pattern),
        cmocka_unit_test(arguments_may_lie_in_the_list),
        cmocka_unit_test(changes_can_go_on_for_ever),
        cmocka_unit_test(a_list_has_ceilings),
        cmocka_unit_test(a_request_head_is_added),
        cmocka_unit_test(a_block_of_lines_is_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
