#include "site/script_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
check(const char *path, const char *name, unsigned folder, bool is_source)
{
    struct script_path script;
    if (!script_path_parse(str_from_cstr(path), &script))
        fail_msg("%s is no script", path);
    assert_true(str_eq(script.name, str_from_cstr(name)));
    assert_int_equal(script.folder, folder);
    assert_int_equal(script.is_source, is_source);
}

static void
scripts_are_below_two_folders(void **state)
{
    check(".tarn/scripts/a.o", "a.o", 0, false);
    check(".tarn/scripts/a.c", "a.c", 0, true);
    check(".zeroserve/scripts/10-auth.o", "10-auth.o", 1, false);
    check(".zeroserve/scripts/sub/deep/x.c", "sub/deep/x.c", 1, true);
}

static void
other_members_are_none(void **state)
{
    static const char *const none[] = {
        "",
        "a.o",
        "index.html",
        ".tarn/a.o",
        ".tarn/scripts",
        ".tarn/scripts/",
        ".tarn/scripts/a.h",
        ".tarn/scripts/a.oo",
        ".tarn/scripts/ao",
        ".tarn/script/a.o",
        "x/.tarn/scripts/a.o",
        ".zeroserve/scripts.o",
        /* hidden */
        ".tarn/scripts/.o",
        ".tarn/scripts/._a.o",
        ".tarn/scripts/.#a.c",
        ".tarn/scripts/.old/a.o",
        ".tarn/scripts/sub/.a.c",
    };
    struct script_path script;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (script_path_parse(str_from_cstr(none[i]), &script))
            fail_msg("'%s' is taken for a script", none[i]);
}

/* Of what cannot be read, this might have been a script. */
static void
what_is_needed(void **state)
{
    static const char *const needed[] = {
        ".tarn",
        ".tarn/scripts",
        ".tarn/scripts/a.o",
        ".tarn/scripts/a.c",
        ".tarn/scripts/sub",
        ".zeroserve",
        ".zeroserve/scripts",
        ".zeroserve/scripts/sub/deep",
    };
    static const char *const others[] = {
        "",
        ".",
        "index.html",
        ".tar",
        ".tarn/x",
        ".t",
        ".tarn/scripts/a.h",
        ".tarn/scripts/.#a.c",
        ".tarn/index",
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!script_path_is_needed(str_from_cstr(needed[i])))
            fail_msg("'%s' is not needed", needed[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (script_path_is_needed(str_from_cstr(others[i])))
            fail_msg("'%s' is needed", others[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_are_below_two_folders),
        cmocka_unit_test(other_members_are_none),
        cmocka_unit_test(what_is_needed),
    };
    return cmocka_run_group_tests_name("script_path", tests, NULL, NULL);
}
