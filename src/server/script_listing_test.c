/* Scripts compiled by the clang-19 of the machine; says "skipped" where there is none. */
#include "server/script_listing.h"

#include "base/limits.h"
#include "script/compile.h"
#include "server/script_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct buf
compile(const char *text)
{
    struct script_compiler compiler;
    struct error error;
    struct buf object;
    char path[] = "/tmp/tarn-listing-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    script_compiler_init(&compiler, "clang-19");
    buf_init(&object, BPF_OBJECT_MAX);
    int result = script_compile(&compiler, path, 0, &object, &error);
    script_compiler_deinit(&compiler);
    unlink(path);
    if (result < 0)
        fail_msg("%s", error.text);
    return object;
}

static char *
list(const struct script_set *set)
{
    char *text;
    size_t len;
    struct error error;
    FILE *out = open_memstream(&text, &len);
    assert_int_equal(script_listing_write(out, set, &error), 0);
    fclose(out);
    return text;
}

static void
scripts_as_a_table(void **state)
{
    struct buf one = compile("#include <tarn.h>\nTARN_ENTRY int f(void) { return 1; }\n"
                             "TARN_CALL_ENTRY(zeta, x) { return x; }\n"
                             "ZS_CALL_ENTRY(alpha, x) { return x + 1; }\n");
    struct buf two = compile("#include <tarn.h>\nZS_CALL_ENTRY(only, x) { return x; }\n");
    const struct script_source sources[] = {
        {STR("10-a-long-name.o"), buf_str(&one), STR("p.tar")},
        {STR("b\x1b.o"), buf_str(&two), STR("public")},
    };
    const struct script_config config = {
        .slice_ns = 1000000, .engine = BPF_ENGINE_INTERP, .rate_buckets_max = 1, .kv_max = 65536};
    struct script_shared *shared;
    struct script_set *set;
    struct error error;
    char expected[1024];
    assert_int_equal(script_shared_new(&shared, &config, &error), 0);
    assert_int_equal(script_set_new(&set, shared, sources, 2, &error), 0);
    struct script_facts first, second;
    script_set_facts(set, 0, &first);
    script_set_facts(set, 1, &second);
    assert_int_equal(first.object_len, one.len);
    snprintf(expected, sizeof expected,
             "scripts, in the order in which they run:\n"
             "  name              from    size  instructions  machine code  entry points\n"
             "  10-a-long-name.o  p.tar   %zu  %12u          none  request, call.alpha, call.zeta\n"
             "  b?.o              public  %zu  %12u          none  call.only\n",
             one.len, first.insn_count, two.len, second.insn_count);
    char *text = list(set);
    assert_string_equal(text, expected);
    free(text);
    script_set_unref(set);
    script_shared_free(shared);
    buf_deinit(&one);
    buf_deinit(&two);
}

static void
no_scripts_no_table(void **state)
{
    char *text = list(NULL);
    assert_string_equal(text, "");
    free(text);
}

static void
a_check_says_what_loading_would(void **state)
{
    struct buf good = compile("#include <tarn.h>\nTARN_ENTRY int f(void) { return 1; }\n");
    struct buf bad = compile("#include <tarn.h>\nextern int zs_lgo(void);\n"
                             "TARN_ENTRY int f(void) { return zs_lgo(); }\n");
    struct script_check check = {0};
    struct script_source source = {STR("a.o"), buf_str(&good), STR("here")};
    struct error error;
    assert_int_equal(script_check_object(&check, &source, &error), 0);
    source.bytes = buf_str(&bad);
    assert_int_equal(script_check_object(&check, &source, &error), -1);
    assert_string_equal(error.text, "here: script a.o: section tarn.request, insn 0: calls zs_lgo, "
                                    "which is no helper; zs_log is one");
    source.bytes = STR("no object");
    assert_int_equal(script_check_object(&check, &source, &error), -1);
    script_check_deinit(&check);
    script_check_deinit(&check);
    buf_deinit(&good);
    buf_deinit(&bad);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_as_a_table),
        cmocka_unit_test(no_scripts_no_table),
        cmocka_unit_test(a_check_says_what_loading_would),
    };
    if (system("command -v clang-19 >/dev/null") != 0) {
        print_message("skipped: no clang-19\n");
        return 0;
    }
    return cmocka_run_group_tests_name("script_listing", tests, NULL, NULL);
}
