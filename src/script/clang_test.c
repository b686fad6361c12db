#include "script/clang.h"

#include "script/folder_test_run.h"

/* A program that says it is clang of that version, and compiles (or not) what it is given. */
static void
fake(struct folder *folder, const char *name, const char *version, const char *compiles)
{
    folder_run(folder,
               "printf '#!/bin/sh\\n[ \"$1\" = --version ] && echo \"%s\" && exit\\n%s\\n' >%s\n"
               "chmod 755 %s",
               version, compiles, name, name);
}

#define GOOD "exit 0"
#define BAD "echo does not know bpf >&2; exit 1"

static void
set_path(const struct folder *folder, const char *names)
{
    char path[512] = "";
    struct str rest = str_from_cstr(names);
    while (rest.len) {
        struct str name = str_cut(&rest, ':');
        size_t len = strlen(path);
        snprintf(path + len, sizeof path - len, "%s%s/%.*s", len ? ":" : "", folder->dir,
                 STR_ARG(name));
    }
    setenv("PATH", path, 1);
}

static void
assert_best(struct clang_search *search, const char *path, unsigned version)
{
    struct clang *clang;
    struct error error;
    if (clang_search_best(search, &clang, &error) < 0)
        fail_msg("%s", error.text);
    assert_string_equal(clang->path, path);
    assert_int_equal(clang->version, version);
}

static void
assert_none(struct clang_search *search, const char *expected)
{
    struct clang *clang;
    struct error error;
    assert_int_equal(clang_search_best(search, &clang, &error), -1);
    assert_contains(error.text, expected);
}

static void
the_newest_on_path_is_taken(void **state)
{
    struct folder *folder = *state;
    struct clang_search search;
    folder_run(folder, "mkdir a b");
    fake(folder, "a/clang", "Debian clang version 20.1.2 (x)", GOOD);
    fake(folder, "a/clang-19", "-", GOOD);
    fake(folder, "b/clang-19", "-", GOOD);
    fake(folder, "b/clang-21", "-", GOOD);
    set_path(folder, "a:missing:b");
    clang_search_init(&search, NULL);
    assert_best(&search, folder_path(folder, "b/clang-21"), 21);
    assert_best(&search, folder_path(folder, "b/clang-21"), 21);
    assert_int_equal(search.count, 4);
    assert_string_equal(search.list[1].path, folder_path(folder, "a/clang"));
    assert_string_equal(search.list[2].path, folder_path(folder, "a/clang-19"));
    assert_string_equal(search.list[3].path, folder_path(folder, "b/clang-19"));
    clang_search_deinit(&search);
}

static void
other_names_are_no_compilers(void **state)
{
    struct folder *folder = *state;
    struct clang_search search;
    folder_run(folder, "mkdir a a/clang-22; echo >a/clang-23; ln -s nothing a/clang-24");
    fake(folder, "a/clang-format-25", "clang version 25.0.0", GOOD);
    fake(folder, "a/clang++-25", "clang version 25.0.0", GOOD);
    fake(folder, "a/clang-", "clang version 25.0.0", GOOD);
    fake(folder, "a/clang-25x", "clang version 25.0.0", GOOD);
    fake(folder, "a/myclang", "clang version 25.0.0", GOOD);
    fake(folder, "a/clang", "gcc 12", GOOD);
    set_path(folder, "a");
    clang_search_init(&search, NULL);
    assert_none(&search, "no clang on PATH");
    clang_search_deinit(&search);
}

static void
none_on_path(void **state)
{
    struct clang_search search;
    setenv("PATH", "", 1);
    clang_search_init(&search, NULL);
    assert_none(&search, "there is no clang on PATH to compile scripts, which need clang 19 or "
                         "newer: install it (Debian: the package clang-19), name one by --clang, "
                         "or compile where there is one, with 'tarn pack' or 'tarn compile'");
    clang_search_deinit(&search);
    unsetenv("PATH");
    clang_search_init(&search, NULL);
    assert_none(&search, "there is no clang on PATH");
    clang_search_deinit(&search);
}

static void
too_old_ones_are_told(void **state)
{
    struct folder *folder = *state;
    struct clang_search search;
    folder_run(folder, "mkdir a");
    fake(folder, "a/clang", "clang version 14.0.6", GOOD);
    fake(folder, "a/clang-13", "-", GOOD);
    fake(folder, "a/clang-18", "-", GOOD);
    set_path(folder, "a");
    clang_search_init(&search, NULL);
    assert_none(&search, "a/clang-18' is clang 18, and scripts need clang 19 or newer: install");
    clang_search_deinit(&search);
}

static void
one_that_was_named_is_the_only_one(void **state)
{
    struct folder *folder = *state;
    struct clang_search search;
    folder_run(folder, "mkdir a b");
    fake(folder, "a/clang-30", "-", GOOD);
    fake(folder, "b/my-compiler", "my clang version 19.1.7", GOOD);
    fake(folder, "b/old", "clang version 16.0.1", GOOD);
    fake(folder, "b/other", "gcc (Debian 12.2.0-14) 12.2.0", GOOD);
    fake(folder, "b/broken", "clang version 19.0.0\"; exit 1; \"", GOOD);
    set_path(folder, "a:b");
    clang_search_init(&search, "my-compiler");
    assert_best(&search, folder_path(folder, "b/my-compiler"), 19);
    clang_search_deinit(&search);
    clang_search_init(&search, folder_path(folder, "b/my-compiler"));
    assert_best(&search, folder_path(folder, "b/my-compiler"), 19);
    clang_search_deinit(&search);
    clang_search_init(&search, "old");
    assert_none(&search, "/b/old' is clang 16, and scripts need");
    clang_search_deinit(&search);
    clang_search_init(&search, "other");
    assert_none(&search, "/b/other --version' names no version of clang");
    clang_search_deinit(&search);
    clang_search_init(&search, "broken");
    assert_none(&search, "names no version of clang");
    clang_search_deinit(&search);
    clang_search_init(&search, "b/none");
    assert_none(&search, "--clang: there is no program 'b/none'");
    clang_search_deinit(&search);
}

static void
one_that_cannot_is_given_up(void **state)
{
    struct folder *folder = *state;
    struct clang_search search;
    folder_run(folder, "mkdir a");
    fake(folder, "a/clang-22", "-", BAD);
    fake(folder, "a/clang-21", "-", GOOD);
    fake(folder, "a/clang-20", "-", BAD);
    set_path(folder, "a");
    clang_search_init(&search, NULL);
    assert_best(&search, folder_path(folder, "a/clang-22"), 22);
    assert_false(clang_search_prove(&search));
    assert_best(&search, folder_path(folder, "a/clang-21"), 21);
    assert_true(clang_search_prove(&search));
    setenv("PATH", folder->search_path, 1);
    folder_run(folder, "rm a/clang-21"); /* not tried again */
    assert_true(clang_search_prove(&search));
    assert_best(&search, folder_path(folder, "a/clang-21"), 21);
    clang_search_deinit(&search);
}

static void
the_last_reason_is_told(void **state)
{
    struct folder *folder = *state;
    struct clang_search search;
    folder_run(folder, "mkdir a");
    fake(folder, "a/clang-22", "-", BAD);
    fake(folder, "a/clang-14", "-", BAD);
    set_path(folder, "a");
    clang_search_init(&search, NULL);
    assert_best(&search, folder_path(folder, "a/clang-22"), 22);
    assert_false(clang_search_prove(&search));
    assert_none(&search, "a/clang-22' cannot make eBPF: does not know bpf; scripts need clang 19");
    clang_search_deinit(&search);
}

static void
of_many_the_newest_are_kept(void **state)
{
    struct folder *folder = *state;
    struct clang_search search;
    folder_run(folder, "mkdir a; for n in $(seq 19 60); do ln -s /bin/true a/clang-$n; done");
    set_path(folder, "a");
    struct clang *clang;
    struct error error;
    clang_search_init(&search, NULL);
    assert_int_equal(clang_search_best(&search, &clang, &error), 0);
    assert_int_equal(search.count, CLANG_FOUND_MAX);
    for (unsigned i = 0; i < search.count; i++)
        assert_int_equal(search.list[i].version, 60 - i);
    clang_search_deinit(&search);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(the_newest_on_path_is_taken),
        FOLDER_TEST(other_names_are_no_compilers),
        FOLDER_TEST(none_on_path),
        FOLDER_TEST(too_old_ones_are_told),
        FOLDER_TEST(one_that_was_named_is_the_only_one),
        FOLDER_TEST(one_that_cannot_is_given_up),
        FOLDER_TEST(the_last_reason_is_told),
        FOLDER_TEST(of_many_the_newest_are_kept),
    };
    return cmocka_run_group_tests_name("clang", tests, NULL, NULL);
}
