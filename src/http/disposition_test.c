#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "http/disposition.h"

static int
setup(void **state)
{
    struct arena *arena = malloc(sizeof *arena);
    if (!arena)
        return -1;
    arena_init(arena, 1 << 20, 4096);
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

/* What follows "attachment; " without the CR LF. */
static struct str
parameters(struct arena *arena, struct str name)
{
    static const struct str start = STR_INIT("Content-Disposition: attachment; ");
    char *copy = malloc(name.len ? name.len : 1);
    memcpy(copy, name.ptr, name.len);
    struct str line = disposition_line(str_make(copy, name.len), arena);
    free(copy);
    assert_true(str_starts_with(line, start));
    assert_true(str_ends_with(line, STR("\r\n")));
    return str_skip(str_first(line, line.len - 2), start.len);
}

static void
names(void **state)
{
    static const struct {
        struct str name;
        const char *expected;
    } cases[] = {
        {STR_INIT("Image.gz"), "filename=\"Image.gz\""},
        {STR_INIT("a b;c=d,e'f(g)"), "filename=\"a b;c=d,e'f(g)\""},
        {STR_INIT("say \"hi\""), "filename=\"say \\\"hi\\\"\""},
        {STR_INIT(".bashrc"), "filename=\".bashrc\""},
        {STR_INIT("..."), "filename=\"...\""},
        /* no directories, no line breaks */
        {STR_INIT("../../etc/passwd"), "filename=\".._.._etc_passwd\""},
        {STR_INIT("..\\..\\x"), "filename=\".._.._x\""},
        {STR_INIT("/"), "filename=\"_\""},
        {STR_INIT("a\r\nSet-Cookie: x=y"), "filename=\"a__Set-Cookie: x=y\""},
        {STR_INIT("a\0b\x01\x1f\x7f\tc"), "filename=\"a_b____c\""},
        {STR_INIT(""), "filename=\"download\""},
        {STR_INIT("."), "filename=\"download\""},
        {STR_INIT(".."), "filename=\"download\""},
        /* outside ASCII */
        {STR_INIT("na\xc3\xafve.txt"), "filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"},
        {STR_INIT("\xe2\x82\xac rates"),
         "filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"},
        {STR_INIT("\xf0\x9f\x98\x80"), "filename=\"_\"; filename*=UTF-8''%F0%9F%98%80"},
        {STR_INIT("\xc3\xa9\"'*%;/"),
         "filename=\"_\\\"'*%;_\"; filename*=UTF-8''%C3%A9%22%27%2A%25%3B_"},
        {STR_INIT("\xc3\xa9!#$&+-.^_`|~aZ09"),
         "filename=\"_!#$&+-.^_`|~aZ09\"; filename*=UTF-8''%C3%A9!#$&+-.^_`|~aZ09"},
        {STR_INIT("100%25.txt"), "filename=\"100%25.txt\"; filename*=UTF-8''100%2525.txt"},
        /* control characters outside ASCII, those that turn the text, those that end lines */
        {STR_INIT("a\xc2\x85z\xc2\x9fy\xc2\x80"), "filename=\"a_z_y_\""},
        {STR_INIT("\xc2\xa0"), "filename=\"_\"; filename*=UTF-8''%C2%A0"},
        {STR_INIT("x\xe2\x80\xae"
                  "fdp.exe"),
         "filename=\"x_fdp.exe\""},
        {STR_INIT(
             "\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xa8\xe2\x80\xa9\xe2\x81\xa6\xe2\x81\xa9\xd8\x9c"),
         "filename=\"_______\""},
        {STR_INIT("\xe2\x80\x90"), "filename=\"_\"; filename*=UTF-8''%E2%80%90"},
        /* no UTF-8 */
        {STR_INIT("caf\xe9"), "filename=\"caf_\""},
        {STR_INIT("\xc3\xa9\xff"), "filename=\"___\""},
        {STR_INIT("\xc0\xaf"), "filename=\"__\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str got = parameters(*state, cases[i].name);
        if (!str_eq(got, str_from_cstr(cases[i].expected)))
            fail_msg("got %.*s, wanted %s", STR_ARG(got), cases[i].expected);
    }
}

static void
long_names_are_cut_between_characters(void **state)
{
    char name[3 * DISPOSITION_NAME_MAX];
    memset(name, 'a', sizeof name);
    struct str got = parameters(*state, str_make(name, DISPOSITION_NAME_MAX));
    assert_int_equal(got.len, DISPOSITION_NAME_MAX + sizeof "filename=\"\"" - 1);
    got = parameters(*state, str_make(name, sizeof name));
    assert_int_equal(got.len, DISPOSITION_NAME_MAX + sizeof "filename=\"\"" - 1);

    memset(name, '"', sizeof name);
    got = parameters(*state, str_make(name, sizeof name));
    assert_int_equal(got.len, 2 * DISPOSITION_NAME_MAX + sizeof "filename=\"\"" - 1);

    for (size_t i = 0; i + 2 <= sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 2);
    got = parameters(*state, str_make(name, sizeof name - sizeof name % 2));
    size_t count = DISPOSITION_NAME_MAX / 2;
    assert_int_equal(got.len, count + 6 * count + sizeof "filename=\"\"; filename*=UTF-8''" - 1);
    assert_true(str_ends_with(got, STR("%C3%A9")));
}

static void
full_arena_is_reported(void **state)
{
    struct arena arena;
    arena_init(&arena, 16, 16);
    assert_null(disposition_line(STR("Image.gz"), &arena).ptr);
    assert_true(arena_overflowed(&arena));
    arena_deinit(&arena);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names),
        TEST(long_names_are_cut_between_characters),
        TEST(full_arena_is_reported),
    };
    return cmocka_run_group_tests_name("disposition", tests, NULL, NULL);
}
