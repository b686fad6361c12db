#include "site/source.h"

#include "site/packidx.h"
#include "site/site_test_run.h"
#include "site/tar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct opened {
    struct arena arena;
    struct member_list members;
    bool single_file;
    int result;
};

static void
open_as(struct fixture *fixture, struct opened *opened, const char *source, unsigned timeout_ms)
{
    arena_init(&opened->arena, 64 << 20, 1 << 16);
    member_list_init(&opened->members, &opened->arena);
    opened->result =
        source_open(source, timeout_ms, &opened->members, &opened->single_file, &fixture->error);
}

static void
open_named(struct fixture *fixture, struct opened *opened, const char *name)
{
    set_source(fixture, name);
    open_as(fixture, opened, fixture->source, 2000);
}

static void
drop(struct opened *opened)
{
    member_list_deinit(&opened->members);
    arena_deinit(&opened->arena);
}

static void
assert_content(struct fixture *fixture, struct opened *opened, const char *path, const char *wanted)
{
    struct str text;
    const struct member *member = opened->single_file
                                      ? &opened->members.list[0]
                                      : member_list_find(&opened->members, str_from_cstr(path));
    if (!member)
        fail_msg("%s is not there", path);
    assert_str(member->path, path);
    if (member_read(member, &opened->arena, 1 << 20, &text, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    assert_str(text, wanted);
}

/* The name opens as a tree with a/f. */
static void
assert_tree(struct fixture *fixture, const char *name)
{
    struct opened opened;
    open_named(fixture, &opened, name);
    if (opened.result != 0)
        fail_msg("%s", fixture->error.text);
    assert_false(opened.single_file);
    assert_content(fixture, &opened, "a/f", "text");
    drop(&opened);
}

static void
assert_single(struct fixture *fixture, const char *name, const char *wanted)
{
    struct opened opened;
    open_named(fixture, &opened, name);
    if (opened.result != 0)
        fail_msg("%s", fixture->error.text);
    assert_true(opened.single_file);
    assert_int_equal(opened.members.count, 1);
    assert_content(fixture, &opened, name, wanted);
    drop(&opened);
}

static void
assert_fails(struct fixture *fixture, const char *name, int code, const char *part)
{
    struct opened opened;
    open_named(fixture, &opened, name);
    assert_int_equal(opened.result, code);
    if (!strstr(fixture->error.text, part))
        fail_msg("'%s' does not say '%s'", fixture->error.text, part);
    drop(&opened);
}

static void
directories_and_tars_packed_or_not_are_trees(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "mkdir in/a && printf text >in/a/f && tar cf site.tar -C in . && "
                 "gzip -k site.tar && zstd -q site.tar -o site.tar.zst && cp site.tar.gz site.tgz "
                 "&& cp site.tar plain && cp site.tar.gz odd.bin && cp site.tar.zst odd.zst");
    static const char *const names[] = {"in",    "site.tar", "site.tar.gz", "site.tar.zst",
                                        "plain", "site.tgz", "odd.bin",     "odd.zst"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_tree(fixture, names[i]);
}

static void
an_archive_larger_than_the_first_look_is_unpacked_whole(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "mkdir in/a && printf text >in/a/f && head -c 3000000 /dev/urandom >in/0 && "
                 "tar cf site.tar -C in 0 a && gzip -1 -k site.tar && "
                 "zstd -q -1 site.tar -o site.tar.zst");
    assert_tree(fixture, "site.tar.gz");
    assert_tree(fixture, "site.tar.zst");
    run(fixture, "head -c 2000000 site.tar.gz >cut.tar.gz && head -c 2000000 site.tar >cut.tar");
    assert_fails(fixture, "cut.tar.gz", SOURCE_FAILED, "cut short");
    assert_fails(fixture, "cut.tar", SOURCE_FAILED, "cut short");
}

static void
one_file_is_served_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct opened opened;
    run(fixture, "printf '<p>' >page.html; printf abc | gzip >data.gz; printf '\\037\\213xx' >odd; "
                 "printf h >.hidden");
    assert_single(fixture, "page.html", "<p>");
    assert_single(fixture, "odd", "\037\213xx");
    assert_single(fixture, ".hidden", "h");
    open_named(fixture, &opened, "data.gz");
    assert_int_equal(opened.result, 0);
    assert_true(opened.single_file);
    assert_non_null(opened.members.list[0].identity);
    drop(&opened);
}

static void
a_name_that_promises_a_tar_must_keep_it(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "printf text >short.tar; seq 1 1000 >long.tar; printf abc | gzip >x.tar.gz; "
                 "seq 1 1000 >x.tar.xz; printf '\\037\\213xx' >x.tgz");
    static const char *const names[] = {"short.tar", "long.tar", "x.tar.gz", "x.tar.xz", "x.tgz"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_fails(fixture, names[i], SOURCE_FAILED, "is no tar archive");
}

static void
an_empty_tar_is_a_tree_without_members(void **state)
{
    struct fixture *fixture = *state;
    struct opened opened;
    run(fixture, "tar cf empty.tar -T /dev/null");
    open_named(fixture, &opened, "empty.tar");
    assert_int_equal(opened.result, 0);
    assert_false(opened.single_file);
    assert_int_equal(opened.members.count, 0);
    drop(&opened);
}

static void
nothing_there_is_told_from_other_failures(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, ": >empty.html; : >empty.tar; printf x >script.c; printf x >script.o; "
                 "printf x >file");
    assert_fails(fixture, "missing", SOURCE_ABSENT, "/missing' (a directory, a tar or one file)");
    assert_fails(fixture, "file/below", SOURCE_ABSENT, "/file/below'");
    assert_fails(fixture, "empty.html", SOURCE_ABSENT, "/empty.html' is empty");
    assert_fails(fixture, "empty.tar", SOURCE_ABSENT, "/empty.tar' is empty");
    assert_fails(fixture, "script.c", SOURCE_FAILED, "request script");
    assert_fails(fixture, "script.o", SOURCE_FAILED, "request script");
}

/* Makes `name` a packed tar of one file whose content is its index's hash of `hashed`. */
static void
write_packed(struct fixture *fixture, const char *name, uint64_t claimed_size, const char *hashed)
{
    char path[200];
    struct buf tar, index;
    struct packidx_entry entry = {.path = STR("a/f"), .size = 4, .mtime = 7};
    buf_init(&tar, 1 << 20);
    buf_init(&index, 1 << 20);
    uint64_t index_len = packidx_size(&entry, 1);
    uint64_t index_room = (index_len + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    uint64_t total = 2 * TAR_BLOCK + index_room + 3 * TAR_BLOCK;
    entry.off = TAR_BLOCK + index_room + TAR_BLOCK;
    entry.hash = content_hash(str_from_cstr(hashed));
    packidx_encode(&index, claimed_size ? claimed_size : total, &entry, 1);
    tar_write_header(&tar, STR(PACKIDX_NAME), index.len, 0);
    buf_append(&tar, buf_str(&index));
    static const char zeros[2 * TAR_BLOCK];
    buf_append(&tar, str_make(zeros, index_room - index_len));
    tar_write_header(&tar, entry.path, 4, 9);
    buf_append(&tar, STR("text"));
    buf_append(&tar, str_make(zeros, TAR_BLOCK - 4));
    buf_append(&tar, str_make(zeros, 2 * TAR_BLOCK));
    assert_int_equal(tar.len, total);
    snprintf(path, sizeof path, "%s/%s", fixture->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(tar.ptr, 1, tar.len, file), tar.len);
    fclose(file);
    buf_deinit(&tar);
    buf_deinit(&index);
}

static void
the_index_of_a_packed_tar_is_used(void **state)
{
    struct fixture *fixture = *state;
    struct opened opened;
    write_packed(fixture, "site.tar", 0, "text");
    open_named(fixture, &opened, "site.tar");
    assert_int_equal(opened.result, 0);
    assert_true(opened.members.from_index);
    assert_content(fixture, &opened, "a/f", "text");
    const struct member *member = member_list_find(&opened.members, STR("a/f"));
    struct content_hash hash = content_hash(STR("text"));
    assert_memory_equal(member->hash, &hash, sizeof hash);
    assert_int_equal(member->mtime, 7);
    assert_true(member_list_find(&opened.members, STR("a"))->is_dir);
    drop(&opened);
    run(fixture, "gzip -k site.tar");
    open_named(fixture, &opened, "site.tar.gz");
    assert_true(opened.members.from_index);
    drop(&opened);
}

static void
a_stale_or_damaged_index_is_not_used(void **state)
{
    struct fixture *fixture = *state;
    struct opened opened;
    write_packed(fixture, "stale.tar", 99999, "text");
    open_named(fixture, &opened, "stale.tar");
    assert_int_equal(opened.result, 0);
    assert_false(opened.members.from_index);
    assert_content(fixture, &opened, "a/f", "text");
    assert_null(member_list_find(&opened.members, STR("a/f"))->hash);
    drop(&opened);
    write_packed(fixture, "bad.tar", 0, "text");
    run(fixture, "printf X | dd of=bad.tar bs=1 seek=570 conv=notrunc status=none");
    fixture->warning_count = 0;
    open_named(fixture, &opened, "bad.tar");
    assert_int_equal(opened.result, 0);
    assert_false(opened.members.from_index);
    assert_int_equal(fixture->warning_count, 1);
    assert_int_equal(member_list_find(&opened.members, STR("a/f"))->mtime, 9);
    drop(&opened);
}

/* Standard input is the read end of a pipe from a command for the time of one opening. */
static void
open_stdin(struct fixture *fixture, struct opened *opened, const char *command, unsigned timeout_ms)
{
    int saved = dup(STDIN_FILENO);
    char text[512];
    snprintf(text, sizeof text, "cd %s && %s", fixture->dir, command);
    FILE *pipe = popen(text, "r");
    assert_non_null(pipe);
    dup2(fileno(pipe), STDIN_FILENO);
    open_as(fixture, opened, "-", timeout_ms);
    dup2(saved, STDIN_FILENO);
    close(saved);
    pclose(pipe);
}

static void
standard_input_is_one_file_or_a_tar(void **state)
{
    struct fixture *fixture = *state;
    struct opened opened;
    run(fixture, "mkdir in/a && printf text >in/a/f");
    open_stdin(fixture, &opened, "printf hel; sleep 0.1; printf lo", 5000);
    assert_int_equal(opened.result, 0);
    assert_true(opened.single_file);
    assert_content(fixture, &opened, "", "hello");
    drop(&opened);
    open_stdin(fixture, &opened, "tar c -C in .", 5000);
    assert_int_equal(opened.result, 0);
    assert_content(fixture, &opened, "a/f", "text");
    drop(&opened);
    open_stdin(fixture, &opened, "tar cz -C in .", 5000);
    assert_int_equal(opened.result, 0);
    assert_content(fixture, &opened, "a/f", "text");
    drop(&opened);
}

static void
standard_input_must_end_in_time_and_not_be_empty(void **state)
{
    struct fixture *fixture = *state;
    struct opened opened;
    open_stdin(fixture, &opened, "true", 5000);
    assert_int_equal(opened.result, SOURCE_ABSENT);
    assert_non_null(strstr(fixture->error.text, "'standard input' is empty"));
    drop(&opened);
    open_stdin(fixture, &opened, "printf x; sleep 0.5", 100);
    assert_int_equal(opened.result, SOURCE_FAILED);
    assert_non_null(strstr(fixture->error.text, "did not end within 100 ms"));
    drop(&opened);
}

static void
a_pipe_by_name_is_read_and_has_a_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct opened opened;
    char path[64];
    run(fixture, "mkfifo pipe");
    set_source(fixture, "pipe");
    open_as(fixture, &opened, fixture->source, 50); /* nobody writes to it */
    assert_int_equal(opened.result, SOURCE_FAILED);
    assert_non_null(strstr(fixture->error.text, "did not end within 50 ms"));
    drop(&opened);
    FILE *pipe = popen("printf hello", "r");
    assert_non_null(pipe);
    snprintf(path, sizeof path, "/dev/fd/%d", fileno(pipe));
    open_as(fixture, &opened, path, 2000);
    assert_int_equal(opened.result, 0);
    assert_true(opened.single_file);
    assert_int_equal(opened.members.list[0].size, 5);
    drop(&opened);
    pclose(pipe);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(directories_and_tars_packed_or_not_are_trees),
        TEST(an_archive_larger_than_the_first_look_is_unpacked_whole),
        TEST(one_file_is_served_as_it_is),
        TEST(a_name_that_promises_a_tar_must_keep_it),
        TEST(an_empty_tar_is_a_tree_without_members),
        TEST(nothing_there_is_told_from_other_failures),
        TEST(the_index_of_a_packed_tar_is_used),
        TEST(a_stale_or_damaged_index_is_not_used),
        TEST(standard_input_is_one_file_or_a_tar),
        TEST(standard_input_must_end_in_time_and_not_be_empty),
        TEST(a_pipe_by_name_is_read_and_has_a_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
