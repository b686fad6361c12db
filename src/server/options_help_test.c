#include "server/options_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

static char *page;
static size_t page_len;

static FILE *
open_page(void)
{
    free(page);
    page = NULL;
    FILE *out = open_memstream(&page, &page_len);
    assert_non_null(out);
    return out;
}

static void
check_layout(const char *name)
{
    struct str rest = str_make(page, page_len);
    assert_true(page_len > 0 && page[page_len - 1] == '\n');
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        if (line.len > 80)
            fail_msg("%s: %zu columns: %.*s", name, line.len, STR_ARG(line));
        if (line.len && line.ptr[line.len - 1] == ' ')
            fail_msg("%s: blank at the end of: %.*s", name, STR_ARG(line));
    }
}

static void
show_topic(const char *topic)
{
    struct error error;
    FILE *out = open_page();
    int result = options_print_topic(out, topic, &error);
    fclose(out);
    if (result < 0)
        fail_msg("%s", error.text);
    check_layout(topic);
}

static void
check_shows(const char *text)
{
    if (!strstr(page, text))
        fail_msg("'%s' is missing in:\n%s", text, page);
}

static int
forget(void **state)
{
    free(page);
    page = NULL;
    return 0;
}

static void
test_help_shows_every_option_within_80_columns(void **state)
{
    FILE *out = open_page();
    options_print_help(out);
    fclose(out);
    check_layout("--help");
    for (size_t i = 0; i < options_table_count; i++) {
        char variable[OPTION_VARIABLE_MAX];
        check_shows(options_table[i].name);
        option_variable(&options_table[i], variable);
        if (options_table[i].type != OPTION_ACTION)
            check_shows(variable);
    }
    for (size_t i = 0; i < help_topics_count; i++)
        check_shows(help_topics[i].name);
    check_shows("  -k, --keepalive-timeout TIME");
    check_shows("[60s, TARN_KEEPALIVE_TIMEOUT]");
    check_shows("--no-health");
    check_shows("tarn [serve] [OPTIONS] SITE");
    assert_null(strstr(page, "tarn top"));
}

static void
test_every_option_has_a_page(void **state)
{
    for (size_t i = 0; i < options_table_count; i++) {
        const struct option *option = &options_table[i];
        char topic[OPTION_VARIABLE_MAX];
        snprintf(topic, sizeof topic, "--%s", option->name);
        show_topic(topic);
        check_shows(option->name);
        check_shows("Commands");
        for (size_t j = 0; j < OPTION_ALIASES_MAX && option->aliases[j].name; j++) {
            check_shows(option->aliases[j].name);
            show_topic(option->aliases[j].name);
        }
        option_variable(option, topic);
        if (option->type == OPTION_ACTION)
            continue;
        show_topic(topic);
        check_shows(topic);
    }
}

static void
test_an_option_page_says_all_of_it(void **state)
{
    show_topic("keepalive-timeout");
    check_shows("    Value         a time from 1ms to 1d, like 500ms, 10s or 5m\n");
    check_shows("    Default       60s\n");
    check_shows("    Environment   TARN_KEEPALIVE_TIMEOUT, KISS_KEEPALIVE_TIMEOUT,\n"
                "                  KISS_KEEPALIVE_TIMEOUT_SECS\n");
    check_shows("    Also written  --keepalive-timeout-secs\n");
    check_shows("    Commands      serve, check, cache\n");
    show_topic("-t");
    check_shows("    Default       one per CPU\n");
    check_shows("    Commands      serve, check, cache, pack\n");
    show_topic("--no-health");
    check_shows("    Default       yes\n");
    show_topic("PORT");
    check_shows("--port");
}

static void
test_groups_topics_and_commands_have_pages(void **state)
{
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        show_topic(option_groups[i].word);
        check_shows(option_groups[i].title);
    }
    for (size_t i = 0; i < help_topics_count; i++) {
        show_topic(help_topics[i].name);
        check_shows(help_topics[i].title);
    }
    show_topic("environment");
    check_shows("KISS_STATIC_DIR");
    show_topic("pack");
    check_shows("--output");
    assert_null(strstr(page, "--spa"));
    show_topic("check");
    check_shows("--spa");
    show_topic("help");
    for (size_t i = 0; i < commands_table_count; i++)
        if (commands_table[i].usage)
            show_topic(commands_table[i].name);
}

static void
test_commands_of_a_command_are_shown_with_it(void **state)
{
    show_topic("cache");
    check_shows("\nCommands:\n  tarn cache ls [OPTIONS] ");
    check_shows("  tarn cache get [-o FILE] [OPTIONS] URL\n");
    check_shows("  tarn cache purge ");
    check_shows("  tarn cache stats ");
    check_shows("--quota");
    assert_null(strstr(page, "--search"));
    show_topic("cache get");
    check_shows("Usage: tarn cache get [-o FILE] [OPTIONS] URL\n");
    check_shows("\nExamples:\n  tarn cache get ");
    check_shows("--sha256");
    check_shows("-o, --output FILE");
    assert_null(strstr(page, "--quota"));
    /* what is its own comes first */
    assert_true(strstr(page, "--sha256") < strstr(page, "--connect-timeout"));
    show_topic("bpf");
    check_shows("Usage: tarn bpf run|dis|exec\n");
    check_shows("\nCommands:\n  tarn bpf run [--section S] [--jit|--interp] FILE.o\n");
    check_shows("  tarn bpf exec [MEMORY] [--jit|--interp]\n");
    assert_null(strstr(page, "--script-engine"));
    show_topic("bpf run");
    check_shows("--section NAME");
    check_shows("--script-cpu-limit-ms MS");
    assert_null(strstr(page, "--spa"));
    /* what is its own comes first */
    assert_true(strstr(page, "--section NAME") < strstr(page, "--log-level"));
    show_topic("--jit");
    check_shows("    Also written  --jit, --interp, --no-jit\n");
    show_topic("--cache-url");
    check_shows("    Commands      cache ls, cache get, cache purge, cache stats\n");
    show_topic("--connect-timeout");
    check_shows("    Commands      serve, check, cache, cache ls, cache get, cache purge, cache\n"
                "                  stats, run-script\n");
}

static void
test_unknown_topics_get_a_suggestion(void **state)
{
    static const char *const topics[][2] = {
        {"adresses", "no help for 'adresses'; did you mean 'tarn help addresses'?"},
        {"--prot", "no help for '--prot'; did you mean 'tarn help port'?"},
        {"elephants", "no help for 'elephants'; 'tarn help' lists the topics"},
        {"", "no help for ''; 'tarn help' lists the topics"},
        {"-", "no help for '-'; 'tarn help' lists the topics"},
        {"caches", "no help for 'caches'; did you mean 'tarn help cache'?"},
    };
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct error error;
        FILE *out = open_page();
        assert_int_equal(options_print_topic(out, topics[i][0], &error), -1);
        fclose(out);
        assert_int_equal(page_len, 0);
        assert_string_equal(error.text, topics[i][1]);
    }
}

/* Runs options_parse with standard output in a file; fills `page`. */
static enum options_result
parse_to_page(char *first, char *second)
{
    char *argv[] = {"tarn", first, second, NULL}, *envp[] = {NULL}, buffer[65536];
    struct options options;
    struct error error;
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    enum options_result result = options_parse(&options, second ? 3 : 2, argv, envp, &error);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    options_free(&options);
    rewind(file);
    size_t len = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    FILE *out = open_page();
    fwrite(buffer, 1, len, out);
    fclose(out);
    return result;
}

static void
test_help_and_version_end_the_run(void **state)
{
    assert_int_equal(parse_to_page("--version", NULL), OPTIONS_EXIT_OK);
    assert_int_equal(strncmp(page, "tarn ", 5), 0);
    assert_int_equal(parse_to_page("-V", "x"), OPTIONS_EXIT_OK);
    assert_int_equal(parse_to_page("version", NULL), OPTIONS_EXIT_OK);
    assert_int_equal(parse_to_page("-h", NULL), OPTIONS_EXIT_OK);
    check_shows("Usage:");
    assert_int_equal(parse_to_page("help", NULL), OPTIONS_EXIT_OK);
    check_shows("--spa");
    assert_int_equal(parse_to_page("pack", "--help"), OPTIONS_EXIT_OK);
    check_shows("Usage: tarn pack [OPTIONS] DIR");
    assert_int_equal(parse_to_page("bpf", NULL), OPTIONS_EXIT_OK);
    check_shows("Usage: tarn bpf run|dis|exec\n");
    assert_int_equal(parse_to_page("bpf", "--version"), OPTIONS_EXIT_OK);
    assert_int_equal(strncmp(page, "tarn ", 5), 0);
    assert_int_equal(parse_to_page("help", "--threads"), OPTIONS_EXIT_OK);
    check_shows("TARN_THREADS");
    assert_int_equal(parse_to_page("help", "elephants"), OPTIONS_USAGE);
    assert_int_equal(parse_to_page("--threads=x", "--help"), OPTIONS_EXIT_OK);
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_help_shows_every_option_within_80_columns),
        TEST(test_every_option_has_a_page),
        TEST(test_an_option_page_says_all_of_it),
        TEST(test_groups_topics_and_commands_have_pages),
        TEST(test_commands_of_a_command_are_shown_with_it),
        TEST(test_unknown_topics_get_a_suggestion),
        TEST(test_help_and_version_end_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
