#include "script/sources.h"

#include "base/limits.h"
#include "script/folder_test_run.h"
#include "site/member.h"
#include "site/pack.h"
#include "site/site.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Object files are not looked into here: any bytes will do. */

static bool has_clang;

struct run {
    struct script_sources sources;
    struct script_sources_config config;
    struct site_config site_config;
    struct site *site;
    struct error error;
    int result;
};

/* Loads plugins and, when config.site is set, the site with it. */
static void
load(struct run *run)
{
    run->site = NULL;
    run->config.clang = "clang-19";
    run->result = script_sources_load(&run->sources, &run->config, &run->error);
    if (run->result < 0 || !run->config.site || script_sources_is_script(run->config.site))
        return;
    run->site_config = (struct site_config){
        .source = run->config.site,
        .preload_max = 1 << 20,
        .preload_total = 64 << 20,
        .index = "index.html",
        .stdin_timeout_ms = 5000,
        .members = script_sources_take_site,
        .members_arg = &run->sources,
    };
    run->result = site_load(&run->site_config, &run->site, &run->error);
}

static void
unload(struct run *run)
{
    script_sources_deinit(&run->sources);
    script_sources_deinit(&run->sources); /* harmless */
    if (run->site)
        site_free(run->site);
}

/* "name=content name=content ...", and where the last one is from. */
static void
assert_list(struct run *run, const char *expected)
{
    char text[4096] = "";
    if (run->result < 0)
        fail_msg("%s", run->error.text);
    for (unsigned i = 0; i < run->sources.count; i++) {
        const struct script_source *source = &run->sources.list[i];
        size_t len = strlen(text);
        struct str shown = str_first(source->bytes, 16);
        if (str_starts_with(shown, STR("\x7f"
                                       "ELF")))
            shown = STR("ELF");
        snprintf(text + len, sizeof text - len, "%s%.*s=%.*s", i ? " " : "", STR_ARG(source->name),
                 STR_ARG(shown));
    }
    assert_string_equal(text, expected);
}

static void
assert_fails(struct run *run, const char *expected)
{
    assert_int_equal(run->result, -1);
    assert_contains(run->error.text, expected);
}

static void
make_site(struct folder *folder)
{
    folder_run(folder, "mkdir -p site/.tarn/scripts/sub site/.zeroserve/scripts\n"
                       "cd site; echo hi >index.html; cd .tarn/scripts\n"
                       "printf 1 >b.o; printf 2 >a-b.o; printf 3 >a.o; printf 4 >sub/z.o\n"
                       "printf no >a.h; printf no >README.md; printf no >.x.o; printf no >._a.o\n"
                       "cd ../../.zeroserve/scripts\n"
                       "printf 5 >a.o; printf 6 >0.o; printf 7 >c.o");
}

/* Of two with one name that of .tarn stands before the other. */
#define SITE_LIST "0.o=6 a-b.o=2 a.o=3 a.o=5 b.o=1 c.o=7 sub/z.o=4"

static void
scripts_of_a_directory(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site")};
    make_site(folder);
    load(&run);
    assert_list(&run, SITE_LIST);
    assert_string_equal(run.sources.list[0].from.ptr, folder_path(folder, "site"));
    assert_int_equal(run.sources.len, 7);
    unload(&run);
}

static void
scripts_of_tars(void **state)
{
    struct folder *folder = *state;
    static const char *const names[] = {"s.tar", "s.tar.gz", "s.tar.zst", "packed.tar"};
    struct pack_stats stats;
    struct error error;
    make_site(folder);
    folder_run(folder, "cd site; tar cf ../s.tar .; gzip -k ../s.tar; zstd -q ../s.tar");
    const struct pack_config pack = {
        .source = folder_path(folder, "site"),
        .output = folder_path(folder, "packed.tar"),
        .threads = 1,
    };
    assert_int_equal(pack_write(&pack, &stats, &error), 0);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct run run = {.config.site = folder_path(folder, names[i])};
        load(&run);
        assert_list(&run, SITE_LIST);
        assert_int_equal(site_stats(run.site)->from_index, i == 3);
        unload(&run);
    }
}

static void
a_tar_from_standard_input_is_read_once(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = "-"};
    make_site(folder);
    folder_run(folder, "cd site; tar cf ../s.tar .");
    int before = dup(STDIN_FILENO), fd = open(folder_path(folder, "s.tar"), O_RDONLY);
    dup2(fd, STDIN_FILENO);
    load(&run);
    dup2(before, STDIN_FILENO);
    close(before);
    close(fd);
    assert_list(&run, SITE_LIST);
    assert_string_equal(run.sources.list[0].from.ptr, "standard input");
    assert_non_null(site_find(run.site, STR("/index.html")));
    unload(&run);
}

static void
a_site_may_have_nothing_but_scripts(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site")};
    folder_run(folder, "mkdir -p site/.tarn/scripts; printf 1 >site/.tarn/scripts/a.o");
    load(&run);
    assert_list(&run, "a.o=1");
    unload(&run);
    folder_run(folder, "rm site/.tarn/scripts/a.o");
    load(&run);
    assert_fails(&run, "no file to serve");
    unload(&run);
}

static void
a_site_that_is_one_file_has_no_scripts(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "page.html")};
    folder_write(folder, "page.html", "<p>");
    load(&run);
    assert_list(&run, "");
    unload(&run);
}

static void
a_site_that_is_read_again_has_its_scripts_once(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site")};
    struct site *again;
    const char *const plugins[] = {folder_path(folder, "p.o")};
    run.config.plugins = plugins;
    run.config.plugin_count = 1;
    folder_write(folder, "p.o", "plugin");
    make_site(folder);
    load(&run);
    assert_list(&run, "p.o=plugin " SITE_LIST);
    folder_run(folder, "rm site/.tarn/scripts/a*.o site/.zeroserve/scripts/*");
    assert_int_equal(site_load(&run.site_config, &again, &run.error), 0);
    assert_list(&run, "p.o=plugin b.o=1 sub/z.o=4");
    assert_int_equal(run.sources.len, 8);
    site_free(again);
    unload(&run);
}

static void
sources_of_a_directory_are_compiled(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site/")};
    if (!has_clang)
        skip();
    make_site(folder);
    folder_write(folder, "site/.tarn/scripts/sub/y.h", "#define Y 5\n");
    folder_write(folder, "site/.tarn/scripts/aa.c",
                 "#include <tarn.h>\n#include \"sub/y.h\"\nTARN_ENTRY int f(void) { return Y; }\n");
    load(&run);
    assert_list(&run, "0.o=6 a-b.o=2 a.o=3 a.o=5 aa.o=ELF b.o=1 c.o=7 sub/z.o=4");
    const char *path = folder_path(folder, "site/.tarn/scripts/aa.c");
    struct str bytes = run.sources.list[4].bytes;
    assert_non_null(memmem(bytes.ptr, bytes.len, path, strlen(path)));
    unload(&run);
    folder_write(folder, "site/.tarn/scripts/aa.c", "int x(");
    load(&run);
    assert_fails(&run, "/site/.tarn/scripts/aa.c' does not compile");
    assert_contains(folder->logged, "/site/.tarn/scripts/aa.c:1:7: error:");
    unload(&run);
}

static void
a_source_beside_its_object_file(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site")};
    make_site(folder);
    folder_write(folder, "site/.tarn/scripts/b.c", "int x;");
    load(&run);
    assert_fails(&run, "/site: '.tarn/scripts/b.c' and its object file are both there: remove one");
    unload(&run);
    /* In an archive somebody has chosen. */
    folder_run(folder, "cd site; tar cf ../s.tar .");
    run.config.site = folder_path(folder, "s.tar");
    load(&run);
    assert_list(&run, SITE_LIST);
    unload(&run);
}

static void
a_source_alone_in_an_archive(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "s.tar")};
    make_site(folder);
    folder_write(folder, "site/.tarn/scripts/auth.c", "int x;");
    folder_run(folder, "cd site; tar cf ../s.tar .");
    load(&run);
    assert_fails(&run, "/s.tar: '.tarn/scripts/auth.c' is not compiled: scripts of an archive");
    unload(&run);
}

static void
a_script_that_cannot_be_read_is_not_left_out(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site")};
    static const char *const lost[] = {
        "ln -s nothing site/.tarn/scripts/x.o", "ln -s /etc/passwd site/.tarn/scripts/x.c",
        "mkfifo site/.tarn/scripts/x.o",        "ln -s /tmp site/.tarn/scripts/x",
        "ln -s /tmp site/.zeroserve",
    };
    for (unsigned i = 0; i < sizeof lost / sizeof *lost; i++) {
        folder_run(folder, "rm -rf site; mkdir -p site/.tarn/scripts; echo >site/index.html\n%s",
                   lost[i]);
        load(&run);
        assert_fails(&run, ", where scripts are, cannot be read: ");
        unload(&run);
    }
    /* In archives likewise. */
    folder_run(folder, "rm -rf site; mkdir -p site/.tarn/scripts; echo >site/index.html\n"
                       "ln -s nothing site/.tarn/scripts/x.o; tar cf s.tar -C site .");
    run.config.site = folder_path(folder, "s.tar");
    load(&run);
    assert_fails(&run, "'.tarn/scripts/x.o', where scripts are, is a link to nothing");
    unload(&run);
    run.config.site = folder_path(folder, "site");
    /* What no script can be does not matter. */
    folder_run(folder, "rm -rf site; mkdir -p site/.tarn/scripts; echo >site/index.html\n"
                       "ln -s nothing site/.tarn/scripts/.#a.c; ln -s nothing site/.tarn/x\n"
                       "ln -s nothing site/.tarn/scripts/notes.md");
    load(&run);
    assert_list(&run, "");
    unload(&run);
}

/* --- plugins --- */

static void
make_plugins(struct folder *folder)
{
    folder_run(folder, "mkdir -p p/.tarn/scripts q/.zeroserve/scripts; echo page >p/index.html\n"
                       "printf p1 >p/.tarn/scripts/z.o; printf p2 >p/.tarn/scripts/y.o\n"
                       "printf q1 >q/.zeroserve/scripts/a.o\n"
                       "tar cf p.tar -C p .; tar czf p.tgz -C p .; printf lone >lone.o");
}

static void
the_order_of_plugins(void **state)
{
    struct folder *folder = *state;
    make_plugins(folder);
    make_site(folder);
    const char *const plugins[] = {folder_path(folder, "p.tgz"), folder_path(folder, "lone.o"),
                                   folder_path(folder, "p.tar")};
    struct run run = {.config = {.plugins = plugins, .plugin_count = 3}};
    load(&run);
    assert_list(&run, "y.o=p2 z.o=p1 lone.o=lone y.o=p2 z.o=p1");
    assert_string_equal(run.sources.list[0].from.ptr, plugins[0]);
    assert_string_equal(run.sources.list[2].from.ptr, plugins[1]);
    assert_string_equal(run.sources.list[4].from.ptr, plugins[2]);
    unload(&run);
    const char *const dirs[] = {folder_path(folder, "q"), folder_path(folder, "p/")};
    run.config.plugin_count = 2;
    run.config.plugin_dirs = dirs;
    run.config.plugin_dir_count = 2;
    run.config.site = folder_path(folder, "site");
    load(&run);
    assert_list(&run, "y.o=p2 z.o=p1 lone.o=lone a.o=q1 y.o=p2 z.o=p1 " SITE_LIST);
    assert_null(site_find(run.site, STR("/p")));
    unload(&run);
}

static void
a_plugin_may_be_a_directory_or_a_source(void **state)
{
    struct folder *folder = *state;
    make_plugins(folder);
    folder_write(folder, "auth.c", "#include <tarn.h>\nTARN_ENTRY int f(void) { return 1; }\n");
    const char *const plugins[] = {folder_path(folder, "q"), folder_path(folder, "auth.c")};
    struct run run = {.config = {.plugins = plugins, .plugin_count = has_clang ? 2 : 1}};
    load(&run);
    assert_list(&run, has_clang ? "a.o=q1 auth.o=ELF" : "a.o=q1");
    unload(&run);
}

static void
plugins_that_are_none(void **state)
{
    struct folder *folder = *state;
    static const struct {
        const char *name;
        bool is_dir;
        const char *expected;
    } cases[] = {
        {"missing.o", false, "--plugin: cannot open '"},
        {"missing", false, "missing': No such file or directory"},
        {"missing", true, "--plugin-dir: cannot open '"},
        {"p.tar", true, "p.tar' is no directory"},
        {"page.html", false, "page.html' is no directory, no tar, no .c and no .o file"},
        {"empty", false, "empty' has no script in .tarn/scripts or .zeroserve/scripts"},
        {"empty", true, "--plugin-dir: '"},
        {"empty.tar", false, "empty.tar' has no script"},
        {"broken.tar", false, "broken.tar'"},
    };
    make_plugins(folder);
    folder_run(folder, "mkdir empty; echo x >empty/x; tar cf empty.tar -C empty .\n"
                       "echo x >page.html; echo no tar >broken.tar");
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = folder_path(folder, cases[i].name);
        struct run run = {.config.plugins = &path, .config.plugin_count = !cases[i].is_dir};
        run.config.plugin_dirs = &path;
        run.config.plugin_dir_count = cases[i].is_dir;
        load(&run);
        assert_fails(&run, cases[i].expected);
        unload(&run);
    }
    const char *path = "-";
    struct run run = {.config = {.plugins = &path, .plugin_count = 1}};
    load(&run);
    assert_fails(&run, "--plugin: standard input can be SITE, but no plugin");
    unload(&run);
}

/* --- SITE as a script --- */

static void
which_sites_are_scripts(void **state)
{
    struct folder *folder = *state;
    folder_run(folder, "mkdir dir.o; echo >a.c");
    assert_true(script_sources_is_script(folder_path(folder, "a.c")));
    assert_true(script_sources_is_script("missing.o"));
    assert_true(script_sources_is_script("/x/.c"));
    assert_false(script_sources_is_script(folder_path(folder, "dir.o")));
    assert_false(script_sources_is_script("site.tar"));
    assert_false(script_sources_is_script("-"));
    assert_false(script_sources_is_script("c"));
    assert_false(script_sources_is_script(""));
    assert_false(script_sources_is_script(NULL));
}

static void
a_script_is_the_site(void **state)
{
    struct folder *folder = *state;
    make_plugins(folder);
    folder_run(folder, "mkdir sub; printf app >sub/app.o");
    const char *plugin = folder_path(folder, "lone.o");
    struct run run = {.config = {.plugins = &plugin, .plugin_count = 1}};
    run.config.site = folder_path(folder, "sub/app.o");
    load(&run);
    assert_list(&run, "lone.o=lone app.o=app");
    unload(&run);
    run.config.site = folder_path(folder, "none.o");
    load(&run);
    assert_fails(&run, "none.o': No such file or directory");
    unload(&run);
    if (!has_clang)
        return;
    folder_write(folder, "app.c", "#include <tarn.h>\nTARN_ENTRY int f(void) { return 1; }\n");
    run.config.site = folder_path(folder, "app.c");
    load(&run);
    assert_list(&run, "lone.o=lone app.o=ELF");
    unload(&run);
}

/* --- bounds --- */

static void
too_many_scripts(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site")};
    folder_run(folder,
               "mkdir -p site/.tarn/scripts; cd site/.tarn/scripts\n"
               "for n in $(seq %d); do : >$n.o; done",
               SCRIPTS_MAX);
    load(&run);
    assert_int_equal(run.result, 0);
    assert_int_equal(run.sources.count, SCRIPTS_MAX);
    unload(&run);
    folder_run(folder, ": >site/.tarn/scripts/x.o");
    load(&run);
    assert_fails(&run, "more than 1024 scripts");
    unload(&run);
}

static void
scripts_that_are_too_large(void **state)
{
    struct folder *folder = *state;
    struct run run = {.config.site = folder_path(folder, "site")};
    folder_run(folder, "mkdir -p site/.tarn/scripts; truncate -s %d site/.tarn/scripts/a.o",
               BPF_OBJECT_MAX + 1);
    load(&run);
    assert_fails(&run, "'.tarn/scripts/a.o' has 67108865 bytes, more than 67108864");
    unload(&run);
    run.config.site = folder_path(folder, "site/.tarn/scripts/a.o");
    load(&run);
    assert_fails(&run, "a.o' has more than 67108864 bytes");
    unload(&run);
    /* All together: sizes alone decide. */
    folder_run(folder, "truncate -s -1 site/.tarn/scripts/a.o\n"
                       "for n in b c d e; do ln -s a.o site/.tarn/scripts/$n.o; done");
    run.config.site = folder_path(folder, "site");
    load(&run);
    assert_fails(&run, "with e.o the scripts have more than 268435456 bytes in all");
    unload(&run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(scripts_of_a_directory),
        FOLDER_TEST(scripts_of_tars),
        FOLDER_TEST(a_tar_from_standard_input_is_read_once),
        FOLDER_TEST(a_site_may_have_nothing_but_scripts),
        FOLDER_TEST(a_site_that_is_one_file_has_no_scripts),
        FOLDER_TEST(a_site_that_is_read_again_has_its_scripts_once),
        FOLDER_TEST(sources_of_a_directory_are_compiled),
        FOLDER_TEST(a_source_beside_its_object_file),
        FOLDER_TEST(a_source_alone_in_an_archive),
        FOLDER_TEST(a_script_that_cannot_be_read_is_not_left_out),
        FOLDER_TEST(the_order_of_plugins),
        FOLDER_TEST(a_plugin_may_be_a_directory_or_a_source),
        FOLDER_TEST(plugins_that_are_none),
        FOLDER_TEST(which_sites_are_scripts),
        FOLDER_TEST(a_script_is_the_site),
        FOLDER_TEST(too_many_scripts),
        FOLDER_TEST(scripts_that_are_too_large),
    };
    has_clang = system("command -v clang-19 >/dev/null") == 0;
    if (!has_clang)
        print_message("no clang-19: what compiles is skipped\n");
    return cmocka_run_group_tests_name("sources", tests, NULL, NULL);
}
