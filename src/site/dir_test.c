#include "site/dir.h"

#include "base/limits.h"
#include "site/site_test_run.h"

#include <sys/stat.h>

/* The fixture's directory `in` as a list. */
struct listed {
    struct arena arena;
    struct member_list members;
};

static void
read_list(struct fixture *fixture, struct listed *listed)
{
    arena_init(&listed->arena, 64 << 20, 1 << 16);
    member_list_init(&listed->members, &listed->arena);
    fixture->warning_count = 0;
    if (dir_read(fixture->source, &listed->members, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
}

static void
drop_list(struct listed *listed)
{
    member_list_deinit(&listed->members);
    arena_deinit(&listed->arena);
}

static const struct member *
member_at(const struct listed *listed, const char *path)
{
    return member_list_find(&listed->members, str_from_cstr(path));
}

static void
assert_content(struct fixture *fixture, struct listed *listed, const char *path, const char *wanted)
{
    struct str text;
    const struct member *member = member_at(listed, path);
    if (!member)
        fail_msg("%s is not listed", path);
    if (member_read(member, &listed->arena, 1 << 20, &text, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    assert_str(text, wanted);
}

static void
files_and_directories_are_listed_with_hidden_ones(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "cd in && mkdir -p a/b .git empty && printf x >a/b/c.txt && printf yz >top "
                 "&& printf h >.git/config && touch -d @1000000000 top");
    read_list(fixture, &listed);
    assert_int_equal(listed.members.count, 7);
    assert_content(fixture, &listed, "a/b/c.txt", "x");
    assert_content(fixture, &listed, ".git/config", "h");
    assert_true(member_at(&listed, "a")->is_dir);
    assert_true(member_at(&listed, "empty")->is_dir);
    const struct member *top = member_at(&listed, "top");
    assert_int_equal(top->size, 2);
    assert_int_equal(top->mtime, 1000000000);
    assert_int_equal(top->fd, -1);
    assert_int_equal(top->identity->size, 2);
    for (size_t i = 1; i < listed.members.count; i++)
        assert_true(str_cmp(listed.members.list[i - 1].path, listed.members.list[i].path) < 0);
    assert_int_equal(fixture->warning_count, 0);
    drop_list(&listed);
}

static void
links_inside_are_followed(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture,
        "cd in && mkdir real && printf 1 >real/f && ln -s real/f file && ln -s real dir "
        "&& ln -s %s/real/f absolute && ln -s dir/../file hops",
        fixture->source);
    read_list(fixture, &listed);
    assert_content(fixture, &listed, "file", "1");
    assert_content(fixture, &listed, "dir/f", "1");
    assert_content(fixture, &listed, "absolute", "1");
    assert_content(fixture, &listed, "hops", "1");
    assert_int_equal(fixture->warning_count, 0);
    drop_list(&listed);
}

static void
a_root_that_is_a_link_itself_works(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "printf 1 >in/f && ln -s f in/g && ln -s in current");
    set_source(fixture, "current/");
    read_list(fixture, &listed);
    assert_content(fixture, &listed, "g", "1");
    /* What was listed stays what it is when the link is switched. */
    run(fixture, "mkdir next && printf 2 >next/g && ln -sfn next current");
    assert_content(fixture, &listed, "g", "1");
    drop_list(&listed);
}

static void
links_that_leave_are_skipped_with_a_warning(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "printf s >secret && mkdir inside && printf s >inside/f && cd in && "
                 "ln -s ../secret up && ln -s /etc/hostname etc && ln -s ../inside twin && "
                 "ln -s .. parent && ln -s up via && printf 1 >ok");
    read_list(fixture, &listed);
    assert_int_equal(listed.members.count, 1);
    assert_non_null(member_at(&listed, "ok"));
    assert_int_equal(fixture->warning_count, 5);
    assert_int_equal(listed.members.warnings, 5);
    assert_non_null(strstr(fixture->last_warning, "leaves the site"));
    drop_list(&listed);
}

static void
circles_and_dangling_links_are_skipped_with_a_warning(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "cd in && mkdir -p a/b && printf 1 >a/f && ln -s ../../a a/b/again && "
                 "ln -s . self && ln -s two one && ln -s one two && ln -s nothing gone");
    read_list(fixture, &listed);
    assert_int_equal(listed.members.count, 3); /* a, a/b, a/f */
    assert_int_equal(fixture->warning_count, 5);
    drop_list(&listed);
}

static void
a_tree_of_links_that_doubles_ends(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "cd in && mkdir d0 && printf 1 >d0/f && for i in $(seq 1 22); do "
                 "mkdir d$i && ln -s ../d$((i-1)) d$i/x; done");
    read_list(fixture, &listed);
    assert_true(fixture->warning_count > 0);
    assert_non_null(member_at(&listed, "d16/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/f"));
    assert_null(member_at(&listed, "d17/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x"));
    drop_list(&listed);
}

static void
a_config_map_mount_is_read(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "cd in && mkdir ..2024_11_21 && printf '<p>' >..2024_11_21/index.html && "
                 "ln -s ..2024_11_21 ..data && ln -s ..data/index.html index.html");
    read_list(fixture, &listed);
    assert_content(fixture, &listed, "index.html", "<p>");
    assert_int_equal(fixture->warning_count, 0);
    drop_list(&listed);
}

static void
what_is_no_file_or_cannot_be_read_is_skipped(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    bool is_root = geteuid() == 0; /* root reads everything */
    run(fixture, "cd in && mkfifo pipe && ln -s pipe to_pipe && printf 1 >closed && "
                 "printf 1 >open && chmod 0 closed && mkdir shut && chmod 0 shut");
    read_list(fixture, &listed);
    assert_null(member_at(&listed, "pipe"));
    assert_null(member_at(&listed, "to_pipe"));
    assert_non_null(member_at(&listed, "open"));
    assert_int_equal(member_at(&listed, "closed") != NULL, is_root);
    assert_int_equal(fixture->warning_count, is_root ? 2 : 4);
    drop_list(&listed);
}

static void
hidden_names_do_not_warn(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "cd in && ln -s /etc .etc && mkdir .x && mkfifo .x/pipe && printf 1 >f");
    read_list(fixture, &listed);
    assert_int_equal(fixture->warning_count, 0);
    assert_null(member_at(&listed, ".etc"));
    drop_list(&listed);
}

static void
directories_that_go_too_deep_are_cut_off(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed;
    run(fixture, "cd in && for i in $(seq 1 %d); do mkdir d && cd d; done && printf 1 >f",
        SITE_DEPTH_MAX + 1);
    read_list(fixture, &listed);
    assert_int_equal(listed.members.count, SITE_DEPTH_MAX);
    assert_int_equal(fixture->warning_count, 1);
    drop_list(&listed);
}

static void
a_missing_directory_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena;
    struct member_list members;
    arena_init(&arena, 1 << 20, 1 << 16);
    member_list_init(&members, &arena);
    assert_int_equal(dir_read("/nonexistent/site", &members, &fixture->error), -1);
    assert_non_null(strstr(fixture->error.text, "/nonexistent/site"));
    member_list_deinit(&members);
    arena_deinit(&arena);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(files_and_directories_are_listed_with_hidden_ones),
        TEST(links_inside_are_followed),
        TEST(a_root_that_is_a_link_itself_works),
        TEST(links_that_leave_are_skipped_with_a_warning),
        TEST(circles_and_dangling_links_are_skipped_with_a_warning),
        TEST(a_tree_of_links_that_doubles_ends),
        TEST(a_config_map_mount_is_read),
        TEST(what_is_no_file_or_cannot_be_read_is_skipped),
        TEST(hidden_names_do_not_warn),
        TEST(directories_that_go_too_deep_are_cut_off),
        TEST(a_missing_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
