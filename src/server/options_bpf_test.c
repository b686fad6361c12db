#include "server/options_bpf.h"

#include "server/options_test_run.h"

static void
check_refused(const char *line, const char *expected)
{
    enum options_result result = parse(line, "");
    if (result != OPTIONS_USAGE)
        fail_msg("'%s' gave %d, not a refusal", line, result);
    if (strcmp(error.text, expected) != 0)
        fail_msg("'%s': got  %s\n         expected  %s", line, error.text, expected);
}

static void
test_the_commands_are_two_words(void **state)
{
    check_runs("tarn bpf run f.o", "");
    assert_int_equal(options.command, COMMAND_BPF_RUN);
    assert_string_equal(options.object, "f.o");
    assert_null(options.section);
    assert_null(options.site);
    assert_int_equal(options.script_engine, OPTIONS_ENGINE_AUTO);
    assert_int_equal(options.script_cpu_limit_ms, 1000);
    assert_int_equal(options.script_code_size_limit_kb, 4096);
    check_runs("tarn bpf dis - --section a", "");
    assert_int_equal(options.command, COMMAND_BPF_DIS);
    assert_string_equal(options.object, "-");
    assert_string_equal(options.section, "a");
    check_runs("tarn bpf exec", "");
    assert_int_equal(options.command, COMMAND_BPF_EXEC);
    assert_null(options.exec_memory);
    check_runs("tarn bpf exec aa|bb --script-cpu-limit-ms 0", "");
    assert_string_equal(options.exec_memory, "aa bb");
    assert_int_equal(options.script_cpu_limit_ms, 0);
}

static void
check_engine(const char *words, const char *environment, enum options_engine engine)
{
    char line[128];
    snprintf(line, sizeof line, "tarn bpf run f.o %s", words);
    check_runs(line, environment);
    if (options.script_engine != (int)engine)
        fail_msg("'%s' with '%s': engine %d", line, environment, options.script_engine);
}

static void
test_engines_have_short_spellings(void **state)
{
    check_engine("--jit", "", OPTIONS_ENGINE_JIT);
    check_engine("--interp", "", OPTIONS_ENGINE_INTERP);
    check_engine("--no-jit", "", OPTIONS_ENGINE_INTERP);
    check_engine("--script-engine jit", "", OPTIONS_ENGINE_JIT);
    check_engine("--jit --interp", "", OPTIONS_ENGINE_INTERP);
    check_engine("", "TARN_SCRIPT_ENGINE=interp", OPTIONS_ENGINE_INTERP);
    check_engine("--jit", "TARN_SCRIPT_ENGINE=interp", OPTIONS_ENGINE_JIT);
    check_refused("tarn bpf run f.o --jit=yes", "--jit takes no value");
    check_refused("tarn bpf run f.o --script-engine fast",
                  "--script-engine wants auto, jit or interp, not 'fast'");
}

/* Runners of the conformance suite hand over what they have, empty or not. */
static void
test_empty_words_of_exec_are_none(void **state)
{
    char *argv[] = {"tarn", "bpf", "exec", "", "aa", "", NULL}, *envp[] = {NULL};
    options_free(&options);
    assert_int_equal(options_parse(&options, 6, argv, envp, &error), OPTIONS_RUN);
    assert_string_equal(options.exec_memory, "aa");
}

static void
test_words_that_are_missing_or_too_many(void **state)
{
    check_refused("tarn bpf run", "no FILE.o: name an object file, as in 'tarn bpf run hello.o'");
    check_refused("tarn bpf dis --section a",
                  "no FILE.o: name an object file, as in 'tarn bpf dis hello.o'");
    check_refused("tarn bpf run a.o b.o", "one FILE.o is enough, but 'b.o' follows 'a.o'");
    check_refused("tarn bpf exec aa bb", "one MEMORY is enough, but 'bb' follows 'aa'");
    check_refused("tarn bpf rum", "no command 'tarn bpf rum'; did you mean 'tarn bpf run'?");
    check_refused("tarn bpf hello.o",
                  "'tarn bpf' has the commands run, dis and exec, and not 'hello.o'");
    check_refused("tarn bpf --jit",
                  "'tarn bpf' has the commands run, dis and exec; none was given");
}

static void
test_options_belong_to_commands(void **state)
{
    check_refused("tarn --section a x", "--section belongs to 'tarn bpf run', not to 'tarn serve'");
    check_refused("tarn bpf exec --section a",
                  "--section belongs to 'tarn bpf run', not to 'tarn bpf exec'");
    check_refused("tarn bpf dis f.o --script-cpu-limit-ms 5",
                  "--script-cpu-limit-ms belongs to 'tarn bpf run', not to 'tarn bpf dis'");
    check_refused("tarn bpf run f.o --quota 1",
                  "--quota belongs to 'tarn serve', not to 'tarn bpf run'");
    check_refused("tarn bpf run f.o --script-cpu-limit-ms 1s",
                  "--script-cpu-limit-ms wants a number from 0 to 86400000, not '1s'");
    check_refused("tarn bpf run f.o --script-code-size-limit-kb 0",
                  "--script-code-size-limit-kb wants a number from 1 to 4294967295, not '0'");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_commands_are_two_words),   TEST(test_engines_have_short_spellings),
        TEST(test_empty_words_of_exec_are_none), TEST(test_words_that_are_missing_or_too_many),
        TEST(test_options_belong_to_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
