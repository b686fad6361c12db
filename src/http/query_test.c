#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/query.h"

static int
setup(void **state)
{
    struct arena *arena = malloc(sizeof *arena);
    if (!arena)
        return -1;
    arena_init(arena, 1 << 16, 1024);
    *state = arena;
    return 0;
}

static int
teardown(void **state)
{
    arena_deinit(*state);
    free(*state);
    return 0;
}

/* Searches an exactly sized copy, so that a sanitizer sees a step over the end. */
static enum query_result
find(struct arena *arena, struct str query, const char *name, struct str *value)
{
    char *copy = malloc(query.len ? query.len : 1);
    memcpy(copy, query.ptr, query.len);
    enum query_result result =
        query_find(str_make(copy, query.len), str_from_cstr(name), arena, value);
    free(copy);
    return result;
}

static void
values(void **state)
{
    static const struct {
        const char *query, *name, *value; /* NULL: absent */
    } cases[] = {
        {"url=x", "url", "x"},
        {"url=", "url", ""},
        {"url", "url", ""},
        {"a=1&url=x&b=2", "url", "x"},
        {"a=1&b=2", "url", NULL},
        {"", "url", NULL},
        {"&&&", "url", NULL},
        {"URL=x", "url", NULL},
        {"urls=x", "url", NULL},
        {"ur=x", "url", NULL},
        {"xurl=x", "url", NULL},
        {"a=url=x", "url", NULL},
        {"=x", "url", NULL},
        {"url=a=b", "url", "a=b"},
        {"url=a;b=c", "url", "a;b=c"}, /* ';' separates nothing */
        {"a;url=x", "url", NULL},
        {"url=https://h/p?x=1&y=2", "url", "https://h/p?x=1"},
        {"url=https%3A%2F%2Fh%2Fp%3Fx%3D1%26y%3D2", "url", "https://h/p?x=1&y=2"},
        {"url=a+b%2Bc%20d", "url", "a b+c d"},
        {"url=%25%32%35", "url", "%25"},
        {"url=%c3%A9\xc3\xa9%ff", "url", "\xc3\xa9\xc3\xa9\xff"},
        {"url=%0d%0a%01", "url", "\r\n\x01"},
        {"u%72l=x", "url", "x"},
        {"%75%72%6C=x", "url", "x"},
        {"a+b=x", "a b", "x"},
        {"a%2Bb=x", "a+b", "x"},
        {"a+b=x", "a+b", NULL},
        {"u%72", "url", NULL},
        /* The last one counts, and it alone. */
        {"url=a&url=b", "url", "b"},
        {"url=a&url=", "url", ""},
        {"url=a&url", "url", ""},
        {"url=a&u%72l=b&ttl=1d", "url", "b"},
        {"url=%zz&url=b", "url", "b"},
        {"url=%00&url=b", "url", "b"},
        /* Others may be what they want. */
        {"a=%&url=x&%=&%00=%00", "url", "x"},
        {"url%=y&url=x&url%4=z&%", "url", "x"},
        {"a=%", "url", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str value = {0};
        enum query_result result =
            find(*state, str_from_cstr(cases[i].query), cases[i].name, &value);
        if (result != (cases[i].value ? QUERY_FOUND : QUERY_ABSENT))
            fail_msg("%s: result %d", cases[i].query, result);
        if (!cases[i].value)
            continue;
        if (!str_eq(value, str_from_cstr(cases[i].value)))
            fail_msg("%s: got \"%.*s\"", cases[i].query, STR_ARG(value));
        assert_int_equal(value.ptr[value.len], '\0');
    }
}

static void
malformed_is_not_absent(void **state)
{
    static const struct str cases[] = {
        STR_INIT("url=%"),      STR_INIT("url=%4"),      STR_INIT("url=%4&1=2"),
        STR_INIT("url=%zz"),    STR_INIT("url=a%%41"),   STR_INIT("url=%00"),
        STR_INIT("url=a\0b"),   STR_INIT("url=x&url=%"), STR_INIT("url=%4+1"),
        STR_INIT("url=%u0041"), STR_INIT("u%72l=%"),     STR_INIT("url=a%00.example"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str value;
        if (find(*state, cases[i], "url", &value) != QUERY_MALFORMED)
            fail_msg("\"%.*s\" is not malformed", STR_ARG(cases[i]));
    }
}

static void
full_arena_is_reported(void **state)
{
    struct arena arena;
    struct str value;
    arena_init(&arena, 8, 8);
    assert_int_equal(query_find(STR("url=1234567"), STR("url"), &arena, &value), QUERY_FOUND);
    arena_reset(&arena);
    assert_int_equal(query_find(STR("url=12345678"), STR("url"), &arena, &value), QUERY_TOO_LARGE);
    arena_deinit(&arena);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(values),
        TEST(malformed_is_not_absent),
        TEST(full_arena_is_reported),
    };
    return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
