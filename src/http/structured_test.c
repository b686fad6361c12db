#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/structured.h"

/* All members as text, "key:type:value" each, or "malformed". */
static const char *
members(struct str value)
{
    static char text[1024];
    static const char letters[] = "?nstbdul";
    struct structured_member member;
    enum structured_result result;
    size_t len = 0;
    char *copy = malloc(value.len ? value.len : 1);
    memcpy(copy, value.ptr, value.len);
    struct str rest = str_make(copy, value.len);
    text[0] = '\0';
    while ((result = structured_next(&rest, &member)) == STRUCTURED_MEMBER)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s:%c:%.*s", len ? " " : "",
                                STR_ARG(member.key), letters[member.type], STR_ARG(member.value));
    free(copy);
    return result == STRUCTURED_END ? text : "malformed";
}

static void
members_of_every_type(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"  ", ""},
        {"a", "a:?:"},
        {"a=1", "a:n:1"},
        {"  a=1  ", "a:n:1"},
        {"a=-15", "a:n:-15"},
        {"a=999999999999999", "a:n:999999999999999"},
        {"a=-999999999999.999", "a:n:-999999999999.999"},
        {"a=1.5;q", "a:n:1.5"},
        {"a=\"b,\\\"c\\\\\"", "a:s:\"b,\\\"c\\\\\""},
        {"a=\"\"", "a:s:\"\""},
        {"a=tok/en:x!#$%&'*+-.^_`|~", "a:t:tok/en:x!#$%&'*+-.^_`|~"},
        {"a=*x", "a:t:*x"},
        {"a=:aGVsbG8=:", "a:b:aGVsbG8="},
        {"a=::", "a:b:"},
        {"a=?1, b=?0", "a:?:?1 b:?:?0"},
        {"a=@1659578233", "a:d:@1659578233"},
        {"a=@-1", "a:d:@-1"},
        {"a=%\"f%c3%bcr\"", "a:u:%\"f%c3%bcr\""},
        {"a=()", "a:l:()"},
        {"a=( 1  \"b\";x=1 )", "a:l:( 1  \"b\";x=1 )"},
        {"a=(1 2);y;z=tok", "a:l:(1 2)"},
        {"a;b;c=1; d=\"x\", e", "a:?: e:?:"},
        {"a=1,b=2 , c=3\t,\t d=4", "a:n:1 b:n:2 c:n:3 d:n:4"},
        {"a=1\t", "a:n:1"},
        {"*a_1-.*=1", "*a_1-.*:n:1"},
        {"a=1, a=2", "a:n:1 a:n:2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = members(str_from_cstr(cases[i][0]));
        if (strcmp(got, cases[i][1]) != 0)
            fail_msg("\"%s\": got \"%s\", wanted \"%s\"", cases[i][0], got, cases[i][1]);
    }
}

static void
malformed_fields(void **state)
{
    static const struct str cases[] = {
        STR_INIT(","),
        STR_INIT("a,"),
        STR_INIT("a, "),
        STR_INIT("a,,b"),
        STR_INIT(",a"),
        STR_INIT("a b"),
        STR_INIT("\ta"),
        STR_INIT("A=1"),
        STR_INIT("1=1"),
        STR_INIT("-a=1"),
        STR_INIT("a =1"),
        STR_INIT("a= 1"),
        STR_INIT("a="),
        STR_INIT("a=1 b=2"),
        STR_INIT("a=1;"),
        STR_INIT("a=1;B"),
        STR_INIT("a=1;b="),
        STR_INIT("a=1 ;b"),
        STR_INIT("a=1;b=(1)"),
        STR_INIT("a=-"),
        STR_INIT("a=--1"),
        STR_INIT("a=+1"),
        STR_INIT("a=1."),
        STR_INIT("a=.5"),
        STR_INIT("a=1.2345"),
        STR_INIT("a=1.2.3"),
        STR_INIT("a=1000000000000000"),
        STR_INIT("a=1000000000000.1"),
        STR_INIT("a=\"x"),
        STR_INIT("a=\"x\\"),
        STR_INIT("a=\"x\\y\""),
        STR_INIT("a=\"x\ty\""),
        STR_INIT("a=\"\xc3\xa9\""),
        STR_INIT("a=\"x\0\""),
        STR_INIT("a=\"x\"y"),
        STR_INIT("a=:YQ=="),
        STR_INIT("a=:Y Q:"),
        STR_INIT("a=:Y-Q_:"),
        STR_INIT("a=:YQ==:x"),
        STR_INIT("a=?2"),
        STR_INIT("a=?"),
        STR_INIT("a=?10"),
        STR_INIT("a=@"),
        STR_INIT("a=@1.5"),
        STR_INIT("a=%x"),
        STR_INIT("a=%\"x"),
        STR_INIT("a=%\"%C3\""),
        STR_INIT("a=%\"%c\""),
        STR_INIT("a=("),
        STR_INIT("a=(1"),
        STR_INIT("a=(1\"b\")"),
        STR_INIT("a=((1))"),
        STR_INIT("a=(1,2)"),
        STR_INIT("a=(1\t2)"),
        STR_INIT("a=)"),
        STR_INIT("a={1}"),
        STR_INIT("a=\xff"),
        STR_INIT("a=x\xff"),
        STR_INIT("\xff"),
        STR_INIT("a\0"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = members(cases[i]);
        if (strcmp(got, "malformed") != 0)
            fail_msg("\"%.*s\": got \"%s\"", STR_ARG(cases[i]), got);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_every_type),
        cmocka_unit_test(malformed_fields),
    };
    return cmocka_run_group_tests_name("structured", tests, NULL, NULL);
}
