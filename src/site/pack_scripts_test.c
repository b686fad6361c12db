/* Scripts in archives. Compiler and checker are stand-ins here: an object file is the source behind
 * "object of NAME: ", and what begins with "bad" is refused.
 */
#include "base/log.h"
#include "site/pack.h"
#include "site/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[64];
    char in[96], out[96];
    struct pack_scripts scripts;
    struct pack_config config;
    struct pack_stats stats;
    struct error error;
    unsigned compile_count, check_count;
    char checked[512]; /* names */
};

static void __attribute__((format(printf, 2, 3)))
run(const struct fixture *fixture, const char *format, ...)
{
    char inner[1024], command[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(inner, sizeof inner, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && { %s; }", fixture->dir, inner);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static int
compile(void *arg, const char *path, size_t hidden_len, struct buf *object, struct error *error)
{
    struct fixture *fixture = arg;
    char text[256] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(path[0] == '/' && hidden_len < strlen(path));
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    fixture->compile_count++;
    if (len && text[0] == '!')
        return error_set(error, "'%s' does not compile", path);
    buf_printf(object, "object of %s: ", path + hidden_len);
    buf_append(object, str_make(text, len));
    return 0;
}

static int
check(void *arg, struct str name, struct str object, struct error *error)
{
    struct fixture *fixture = arg;
    size_t len = strlen(fixture->checked);
    fixture->check_count++;
    snprintf(fixture->checked + len, sizeof fixture->checked - len, " %.*s", STR_ARG(name));
    if (str_starts_with(object, STR("bad")))
        return error_set(error, "%.*s is no script", STR_ARG(name));
    return 0;
}

static int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    log_set_level(LOG_ERROR);
    strcpy(fixture->dir, "/tmp/tarn-pack-XXXXXX");
    if (!mkdtemp(fixture->dir)) {
        free(fixture);
        return -1;
    }
    snprintf(fixture->in, sizeof fixture->in, "%s/in", fixture->dir);
    snprintf(fixture->out, sizeof fixture->out, "%s/out.tar", fixture->dir);
    fixture->scripts = (struct pack_scripts){compile, check, fixture};
    fixture->config = (struct pack_config){
        .source = fixture->in, .output = fixture->out, .threads = 2, .scripts = &fixture->scripts};
    run(fixture, "mkdir -p in/.tarn/scripts/sub in/.zeroserve/scripts; seq 9 >in/index.html");
    run(fixture, "cd in/.tarn/scripts; printf one >10-a.c; printf two >sub/b.c; printf three >c.o");
    run(fixture, "cd in/.tarn/scripts; printf h >x.h; printf s >.#10-a.c; printf g >../key.txt");
    run(fixture,
        "printf four >in/.zeroserve/scripts/d.c; touch -d @1600000000 in/.tarn/scripts/*.c");
    *state = fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "rm -rf %s", fixture->dir);
    free(fixture);
    return 0;
}

static void
pack(struct fixture *fixture)
{
    fixture->compile_count = fixture->check_count = 0;
    fixture->checked[0] = '\0';
    if (pack_write(&fixture->config, &fixture->stats, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
}

static void
fail_pack(struct fixture *fixture, const char *expected)
{
    run(fixture, "echo old >out.tar");
    assert_int_equal(pack_write(&fixture->config, &fixture->stats, &fixture->error), -1);
    if (!strstr(fixture->error.text, expected))
        fail_msg("'%s' does not say '%s'", fixture->error.text, expected);
    run(fixture, "[ \"$(cat out.tar)\" = old ]");
}

static void
sources_become_object_files(void **state)
{
    struct fixture *fixture = *state;
    pack(fixture);
    assert_int_equal(fixture->compile_count, 3);
    assert_string_equal(fixture->checked, " 10-a.o c.o sub/b.o d.o");
    run(fixture,
        "tar tf out.tar >list; printf '%%s\\n' .tarn/index .tarn/key.txt "
        ".tarn/scripts/.#10-a.c .tarn/scripts/10-a.o .tarn/scripts/c.o .tarn/scripts/sub/b.o "
        ".tarn/scripts/x.h .zeroserve/scripts/d.o index.html | cmp - list");
    run(fixture, "mkdir x; tar xf out.tar -C x; cd x/.tarn/scripts; "
                 "[ \"$(cat 10-a.o)\" = 'object of .tarn/scripts/10-a.c: one' ]; "
                 "[ \"$(cat sub/b.o)\" = 'object of .tarn/scripts/sub/b.c: two' ]; "
                 "[ \"$(cat c.o)\" = three ]; [ $(stat -c %%Y 10-a.o) = 1600000000 ]");
    assert_int_equal(fixture->stats.file_count, 8);
}

static void
the_index_knows_them(void **state)
{
    struct fixture *fixture = *state;
    struct arena arena;
    struct member_list members;
    bool single_file;
    struct str text;
    pack(fixture);
    arena_init(&arena, 1 << 20, 4096);
    member_list_init(&members, &arena);
    assert_int_equal(source_open(fixture->out, 1000, &members, &single_file, &fixture->error), 0);
    assert_true(members.from_index);
    const struct member *member = member_list_find(&members, STR(".zeroserve/scripts/d.o"));
    assert_non_null(member);
    assert_int_equal(member_read(member, &arena, 1000, &text, &fixture->error), 0);
    assert_true(str_eq(text, STR("object of .zeroserve/scripts/d.c: four")));
    assert_null(member_list_find(&members, STR(".zeroserve/scripts/d.c")));
    member_list_deinit(&members);
    arena_deinit(&arena);
}

static void
packing_an_archive_again_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    pack(fixture);
    run(fixture, "cp out.tar first.tar");
    char first[96];
    snprintf(first, sizeof first, "%s/first.tar", fixture->dir);
    fixture->config.source = first;
    pack(fixture);
    assert_int_equal(fixture->compile_count, 0);
    assert_int_equal(fixture->check_count, 4);
    run(fixture, "cmp first.tar out.tar");
}

static void
what_is_wrong_with_scripts_fails_the_pack(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "printf '!' >in/.tarn/scripts/z.c");
    fail_pack(fixture, "/in/.tarn/scripts/z.c' does not compile");
    run(fixture, "rm in/.tarn/scripts/z.c; printf bad >in/.tarn/scripts/z.o");
    fail_pack(fixture, "z.o is no script");
    run(fixture, "rm in/.tarn/scripts/z.o; printf x >in/.tarn/scripts/10-a.o");
    fail_pack(fixture,
              "/in: '.tarn/scripts/10-a.c' and its object file are both there: remove one");
}

static void
sources_in_an_archive(void **state)
{
    struct fixture *fixture = *state;
    char raw[96];
    snprintf(raw, sizeof raw, "%s/raw.tar", fixture->dir);
    fixture->config.source = raw;
    run(fixture, "tar cf raw.tar -C in .");
    fail_pack(fixture, "/raw.tar: '.tarn/scripts/10-a.c' is not compiled");
    run(fixture, "cd in; for f in .tarn/scripts/10-a .tarn/scripts/sub/b .zeroserve/scripts/d; do "
                 "printf made >$f.o; done; tar cf ../raw.tar .");
    pack(fixture);
    assert_int_equal(fixture->compile_count, 0);
    run(fixture, "! tar tf out.tar | grep -F 10-a.c | grep -v '#'");
    run(fixture, "[ \"$(tar xOf out.tar .tarn/scripts/10-a.o)\" = made ]");
}

static void
without_anybody_who_looks_all_stays(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.scripts = NULL;
    pack(fixture);
    run(fixture, "[ \"$(tar xOf out.tar .tarn/scripts/10-a.c)\" = one ]");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sources_become_object_files),
        TEST(the_index_knows_them),
        TEST(packing_an_archive_again_changes_nothing),
        TEST(what_is_wrong_with_scripts_fails_the_pack),
        TEST(sources_in_an_archive),
        TEST(without_anybody_who_looks_all_stays),
    };
    return cmocka_run_group_tests_name("pack_scripts", tests, NULL, NULL);
}
