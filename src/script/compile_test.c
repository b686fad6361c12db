/* With the clang-19 of the machine; says "skipped" where there is none. */
#include "script/compile.h"

#include "base/limits.h"
#include "bpf/object.h"
#include "script/folder_test_run.h"

#include <string.h>

struct compiled {
    struct buf object;
    struct error error;
    int result;
};

static void
compile_with(struct compiled *out, struct folder *folder, const char *clang, unsigned timeout_ms,
             const char *path, size_t hidden_len)
{
    struct script_compiler compiler;
    script_compiler_init(&compiler, clang);
    if (timeout_ms)
        compiler.timeout_ms = timeout_ms;
    folder->logged_len = 0;
    folder->logged[0] = '\0';
    buf_init(&out->object, BPF_OBJECT_MAX);
    out->result = script_compile(&compiler, path, hidden_len, &out->object, &out->error);
    script_compiler_deinit(&compiler);
}

static void
compile(struct compiled *out, struct folder *folder, const char *name)
{
    compile_with(out, folder, "clang-19", 0, folder_path(folder, name), 0);
}

static void
compile_well(struct compiled *out, struct folder *folder, const char *name)
{
    compile(out, folder, name);
    if (out->result < 0)
        fail_msg("%s\n%s", out->error.text, folder->logged);
}

static bool
holds(const struct buf *object, const char *text)
{
    return memmem(object->ptr, object->len, text, strlen(text)) != NULL;
}

static const char hello[] = "#include <tarn.h>\n"
                            "TARN_ENTRY zs_u64 request(void)\n"
                            "{\n"
                            "    zs_log(ZS_STR(\"hello\\n\"));\n"
                            "    return 0;\n"
                            "}\n";

static void
a_script_becomes_an_object_file(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    static const struct bpf_helper rows[] = {{"zs_log", NULL}};
    static const struct bpf_helper_table helpers = {rows, 1};
    struct bpf_object object;
    folder_write(folder, "a.c", hello);
    compile_well(&compiled, folder, "a.c");
    assert_string_equal(folder->logged, "");
    if (bpf_object_read(&object, buf_str(&compiled.object), &helpers, &compiled.error) < 0)
        fail_msg("%s", compiled.error.text);
    assert_int_equal(object.section_count, 1);
    assert_true(str_eq(object.sections[0].name, STR("tarn.request")));
    bpf_object_deinit(&object);
    buf_deinit(&compiled.object);
}

static void
files_that_it_includes(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    folder_run(folder, "mkdir sub other");
    folder_write(folder, "sub/near.h", "#include \"../other/far.h\"\n#define NEAR FAR\n");
    folder_write(folder, "other/far.h", "#define FAR 77\n");
    folder_write(folder, "sub/tarn.h", "#error not this one\n");
    folder_write(folder, "sub/a.c",
                 "#include <zeroserve.h>\n#include <tarn.h>\n#include \"near.h\"\n"
                 "ZS_ENTRY int request(void) { return NEAR; }\n");
    compile_well(&compiled, folder, "sub/a.c");
    assert_true(holds(&compiled.object, "zeroserve.request"));
    buf_deinit(&compiled.object);
}

static void
the_words_of_the_compiler_are_shown(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    char expected[512];
    folder_write(folder, "bad.c", "\n  int f(void) { return nothing; }\n");
    compile(&compiled, folder, "bad.c");
    assert_int_equal(compiled.result, -1);
    snprintf(expected, sizeof expected,
             "%s/bad.c:2:24: error: use of undeclared identifier 'nothing'\n", folder->dir);
    assert_contains(folder->logged, expected);
    assert_contains(folder->logged, "1 error generated.\n");
    assert_null(strstr(folder->logged, "tarn:"));
    snprintf(expected, sizeof expected, "'%s/bad.c' does not compile (", folder->dir);
    assert_contains(compiled.error.text, expected);
    assert_contains(compiled.error.text, "clang-19, exit code 1)");
    assert_int_equal(compiled.object.len, 0);
    buf_deinit(&compiled.object);
}

static void
warnings_are_shown_too(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    folder_write(folder, "w.c", "#warning look here\nint x;\n");
    compile_well(&compiled, folder, "w.c");
    assert_contains(folder->logged, "/w.c:1:2: warning: look here");
    buf_deinit(&compiled.object);
}

static void
a_flood_of_words_is_cut(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    folder_run(folder, "seq 1 5000 | sed 's/.*/#warning & xxxxxxxxxxxxxxxxxxxxxxxxxxxxx/' >w.c");
    compile_well(&compiled, folder, "w.c");
    buf_deinit(&compiled.object);
    compile(&compiled, folder, "none.c");
    assert_int_equal(compiled.result, -1);
    assert_contains(folder->logged, "no such file or directory");
    buf_deinit(&compiled.object);
}

static void
functions_may_have_4096_bytes_of_variables(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    const char *format = "int use(char *);\n"
                         "__attribute__((section(\"tarn.request\"))) int f(void)\n"
                         "{ char big[%d]; return use(big); }\n";
    char text[512];
    snprintf(text, sizeof text, format, 4000);
    folder_write(folder, "a.c", text);
    compile_well(&compiled, folder, "a.c");
    buf_deinit(&compiled.object);
    snprintf(text, sizeof text, format, 4200);
    folder_write(folder, "a.c", text);
    compile(&compiled, folder, "a.c");
    assert_int_equal(compiled.result, -1);
    assert_contains(folder->logged, "stack");
    buf_deinit(&compiled.object);
}

/* What a reader of a log can find; and no directory that nobody named. */
static void
names_in_debug_information(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    char cwd[256];
    folder_run(folder, "mkdir -p site/.tarn/scripts");
    folder_write(folder, "site/.tarn/scripts/a.c", hello);
    compile_well(&compiled, folder, "site/.tarn/scripts/a.c");
    assert_true(holds(&compiled.object, folder_path(folder, "site/.tarn/scripts/a.c")));
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_false(holds(&compiled.object, cwd));
    buf_deinit(&compiled.object);
    assert_int_equal(chdir(folder->dir), 0);
    compile_with(&compiled, folder, "clang-19", 0, "site/.tarn/scripts/a.c", 0);
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(compiled.result, 0);
    assert_true(holds(&compiled.object, "site/.tarn/scripts/a.c"));
    assert_false(holds(&compiled.object, folder->dir));
    assert_false(holds(&compiled.object, "/proc/"));
    assert_false(holds(&compiled.object, "/tarn-here"));
    buf_deinit(&compiled.object);
}

/* From any directory, of any place. */
static void
a_hidden_directory_makes_no_difference(void **state)
{
    struct folder *folder = *state;
    struct compiled first, second, third;
    char cwd[256];
    assert_non_null(getcwd(cwd, sizeof cwd));
    folder_run(folder, "mkdir -p one/.tarn/scripts two/deep");
    folder_write(folder, "one/.tarn/scripts/a.c", hello);
    folder_run(folder, "cp -r one/.tarn two/deep");
    const char *path = folder_path(folder, "one/.tarn/scripts/a.c");
    compile_with(&first, folder, "clang-19", 0, path, strlen(folder_path(folder, "one/")));
    path = folder_path(folder, "two/deep/.tarn/scripts/a.c");
    compile_with(&second, folder, "clang-19", 0, path, strlen(folder_path(folder, "two/deep/")));
    assert_int_equal(chdir(folder_path(folder, "one")), 0);
    path = folder_path(folder, "one/.tarn/scripts/a.c");
    compile_with(&third, folder, "clang-19", 0, path, strlen(folder_path(folder, "one/")));
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(first.result + second.result + third.result, 0);
    assert_true(str_eq(buf_str(&first.object), buf_str(&second.object)));
    assert_true(str_eq(buf_str(&first.object), buf_str(&third.object)));
    assert_true(holds(&first.object, "site:/.tarn/scripts/a.c"));
    assert_false(holds(&first.object, folder->dir));
    buf_deinit(&first.object);
    buf_deinit(&second.object);
    buf_deinit(&third.object);
}

static void
fake(struct folder *folder, const char *name, const char *body)
{
    char text[1024];
    snprintf(text, sizeof text,
             "#!/bin/sh\n[ \"$1\" = --version ] && echo clang version 19 && exit\n%s\n", body);
    folder_write(folder, name, text);
    folder_run(folder, "chmod 755 %s", name);
}

static void
its_time_is_limited(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    folder_write(folder, "a.c", hello);
    fake(folder, "slow", "sleep 60");
    compile_with(&compiled, folder, folder_path(folder, "slow"), 1000, folder_path(folder, "a.c"),
                 0);
    assert_int_equal(compiled.result, -1);
    assert_contains(compiled.error.text, "took more than 1 s and was ended");
    buf_deinit(&compiled.object);
}

static void
a_compiler_that_crashes_or_writes_nothing(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    folder_write(folder, "a.c", hello);
    /* compiles the probe, an empty file, but nothing else */
    fake(folder, "crashes",
         "case \"$*\" in */dev/null) exit 0;; esac; echo oops >&2; kill -SEGV $$");
    compile_with(&compiled, folder, folder_path(folder, "crashes"), 0, folder_path(folder, "a.c"),
                 0);
    assert_int_equal(compiled.result, -1);
    assert_contains(compiled.error.text, "was ended: Segmentation fault");
    assert_string_equal(folder->logged, "oops\n");
    buf_deinit(&compiled.object);
    fake(folder, "empty", "exit 0");
    compile_with(&compiled, folder, folder_path(folder, "empty"), 0, folder_path(folder, "a.c"), 0);
    assert_int_equal(compiled.result, -1);
    assert_contains(compiled.error.text, "empty wrote nothing");
    buf_deinit(&compiled.object);
}

/* One that is too old says nothing of the script, and the next one is asked. */
static void
the_next_compiler_is_tried(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    char path[1024];
    folder_write(folder, "a.c", hello);
    folder_run(folder, "mkdir bin; ln -s $(command -v clang-19) bin/clang-19");
    fake(folder, "bin/clang-99", "echo unknown argument >&2; exit 1");
    snprintf(path, sizeof path, "%s/bin", folder->dir);
    setenv("PATH", path, 1);
    compile_with(&compiled, folder, NULL, 0, folder_path(folder, "a.c"), 0);
    if (compiled.result < 0)
        fail_msg("%s", compiled.error.text);
    assert_string_equal(folder->logged, "");
    buf_deinit(&compiled.object);
}

static void
strange_names(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    char cwd[256];
    assert_non_null(getcwd(cwd, sizeof cwd));
    folder_write(folder, "-O0.c", hello);
    folder_write(folder, "a b'\"=$x.c", hello);
    folder_write(folder, "script.cc", hello);
    assert_int_equal(chdir(folder->dir), 0);
    const char *const names[] = {"-O0.c", "a b'\"=$x.c", "script.cc"};
    for (unsigned i = 0; i < 3; i++) {
        compile_with(&compiled, folder, "clang-19", 0, names[i], 0);
        if (compiled.result < 0)
            print_error("%s\n", folder->logged);
        assert_int_equal(compiled.result, 0);
        assert_true(holds(&compiled.object, names[i]));
        buf_deinit(&compiled.object);
    }
    assert_int_equal(chdir(cwd), 0);
}

static void
no_compiler(void **state)
{
    struct folder *folder = *state;
    struct compiled compiled;
    folder_write(folder, "a.c", hello);
    setenv("PATH", folder->dir, 1);
    compile_with(&compiled, folder, NULL, 0, folder_path(folder, "a.c"), 0);
    assert_int_equal(compiled.result, -1);
    assert_contains(compiled.error.text, "/a.c': there is no clang on PATH");
    buf_deinit(&compiled.object);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(a_script_becomes_an_object_file),
        FOLDER_TEST(files_that_it_includes),
        FOLDER_TEST(the_words_of_the_compiler_are_shown),
        FOLDER_TEST(warnings_are_shown_too),
        FOLDER_TEST(a_flood_of_words_is_cut),
        FOLDER_TEST(functions_may_have_4096_bytes_of_variables),
        FOLDER_TEST(names_in_debug_information),
        FOLDER_TEST(a_hidden_directory_makes_no_difference),
        FOLDER_TEST(its_time_is_limited),
        FOLDER_TEST(a_compiler_that_crashes_or_writes_nothing),
        FOLDER_TEST(the_next_compiler_is_tried),
        FOLDER_TEST(strange_names),
        FOLDER_TEST(no_compiler),
    };
    if (system("command -v clang-19 >/dev/null") != 0) {
        print_message("skipped: no clang-19\n");
        return 0;
    }
    return cmocka_run_group_tests_name("compile", tests, NULL, NULL);
}
