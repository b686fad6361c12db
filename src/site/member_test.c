#include "site/member.h"

#include "base/limits.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct member_list members;
    struct error error;
};

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, 1 << 20, 4096);
    member_list_init(&fixture->members, &fixture->arena);
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    member_list_deinit(&fixture->members);
    arena_deinit(&fixture->arena);
    free(fixture);
    return 0;
}

static struct member *
add(struct fixture *fixture, const char *path, uint64_t size)
{
    struct member *member = member_list_add(&fixture->members);
    assert_non_null(member);
    member->path = str_from_cstr(path);
    member->size = size;
    return member;
}

static void
finish(struct fixture *fixture)
{
    assert_int_equal(member_list_finish(&fixture->members, &fixture->error), 0);
}

static void
assert_paths(struct fixture *fixture, const char *expected)
{
    char got[1024] = "";
    for (size_t i = 0; i < fixture->members.count; i++) {
        const struct member *member = &fixture->members.list[i];
        size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, "%s%.*s%s", i ? " " : "", STR_ARG(member->path),
                 member->is_dir ? "/" : "");
    }
    assert_string_equal(got, expected);
}

static void
finish_sorts_in_byte_order_and_implies_directories(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "z/y/x.txt", 1);
    add(fixture, "a.b", 1);
    add(fixture, "a/b", 1);
    add(fixture, "z/y/b.txt", 1);
    add(fixture, "z/a.txt", 1);
    finish(fixture);
    assert_paths(fixture, "a/ a.b a/b z/ z/a.txt z/y/ z/y/b.txt z/y/x.txt");
}

static void
a_given_directory_is_kept_and_not_implied_again(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "d/f", 1);
    struct member *dir = add(fixture, "d", 0);
    dir->is_dir = true;
    dir->mtime = 77;
    finish(fixture);
    assert_paths(fixture, "d/ d/f");
    assert_int_equal(fixture->members.list[0].mtime, 77);
}

static void
the_last_of_duplicates_wins(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "b", 1);
    add(fixture, "a", 1);
    add(fixture, "b", 2);
    add(fixture, "b", 3);
    finish(fixture);
    assert_paths(fixture, "a b");
    assert_int_equal(member_list_find(&fixture->members, STR("b"))->size, 3);
}

static void
a_file_above_other_members_loses_with_a_warning(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "a/b/c", 1);
    add(fixture, "a/b", 5);
    add(fixture, "a", 7);
    log_set_level(LOG_ERROR);
    finish(fixture);
    assert_paths(fixture, "a/ a/b/ a/b/c");
    assert_int_equal(fixture->members.warnings, 2);
    assert_int_equal(fixture->members.list[1].size, 0);
}

static void
finishing_twice_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "x/y/z", 1);
    add(fixture, "", 1);
    finish(fixture);
    finish(fixture);
    assert_paths(fixture, "x/ x/y/ x/y/z");
}

static void
find_finds_each_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    char names[200][8];
    for (int i = 0; i < 200; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i * 7 % 200);
        add(fixture, names[i], (uint64_t)(i * 7 % 200));
    }
    finish(fixture);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        const struct member *member = member_list_find(&fixture->members, str_from_cstr(name));
        assert_non_null(member);
        assert_int_equal(member->size, i);
    }
    assert_null(member_list_find(&fixture->members, STR("f200")));
    assert_null(member_list_find(&fixture->members, STR("")));
    assert_null(member_list_find(&fixture->members, STR("f")));
}

static char *
temporary_file(const char *content)
{
    char *path = strdup("/tmp/tarn-member-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    return path;
}

static void
read_takes_bytes_from_a_file_or_from_a_descriptor(void **state)
{
    struct fixture *fixture = *state;
    char *path = temporary_file("0123456789");
    struct member file = {.path = STR("f"), .size = 10, .fd = -1, .disk_path = path};
    struct str text;
    assert_int_equal(member_read(&file, &fixture->arena, 10, &text, &fixture->error), 0);
    assert_true(str_eq(text, STR("0123456789")));

    FILE *stream = fopen(path, "r");
    struct member range = {.path = STR("r"), .size = 4, .off = 3, .fd = fileno(stream)};
    assert_int_equal(member_read(&range, &fixture->arena, 10, &text, &fixture->error), 0);
    assert_true(str_eq(text, STR("3456")));
    range.off = 8;
    assert_int_equal(member_read(&range, &fixture->arena, 10, &text, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "shorter"));
    fclose(stream);

    assert_int_equal(member_read(&file, &fixture->arena, 9, &text, &fixture->error), -1);
    file.size = 9;
    assert_int_equal(member_read(&file, &fixture->arena, 10, &text, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "changed"));
    file.size = 10;
    struct site_identity identity = {.size = 10, .ino = 1};
    file.identity = &identity;
    assert_int_equal(member_read(&file, &fixture->arena, 10, &text, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "changed"));
    unlink(path);
    assert_int_equal(member_read(&file, &fixture->arena, 10, &text, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "No such file"));
    free(path);
}

static void
dot_names_are_not_public_but_for_well_known(void **state)
{
    static const struct {
        const char *path;
        bool is_public;
    } cases[] = {
        {"index.html", true},
        {"a/b/c.txt", true},
        {"a..b/c.", true},
        {".well-known", true},
        {".well-known/security.txt", true},
        {".well-known/a/.b", false},
        {".well-known/.x", false},
        {".well-knownx", false},
        {"a/.well-known/x", false},
        {".htaccess", false},
        {"a/.git/config", false},
        {".tarn/index", false},
        {"..data/x", false},
        {"caf\xc3\xa9.html", true},
        {"caf\xe9.html", false},
        {"a\nb", false},
        {"a\x7f", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (member_path_is_public(str_from_cstr(cases[i].path)) != cases[i].is_public)
            fail_msg("%s", cases[i].path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finish_sorts_in_byte_order_and_implies_directories, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_given_directory_is_kept_and_not_implied_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_last_of_duplicates_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_above_other_members_loses_with_a_warning, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(finishing_twice_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(find_finds_each_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(read_takes_bytes_from_a_file_or_from_a_descriptor, setup,
                                        teardown),
        cmocka_unit_test(dot_names_are_not_public_but_for_well_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
