/* options_test_run: runs options_parse over lines of text, for the tests of the command line. */
#ifndef TARN_SERVER_OPTIONS_TEST_RUN_H
#define TARN_SERVER_OPTIONS_TEST_RUN_H

#include "server/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 32 };

/* Splits "a b|c" at blanks into at most WORDS_MAX words; a bar stands for a blank in a word. */
static int
split(char *text, char **words)
{
    int count = 0;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        for (char *c = word; *c; c++)
            if (*c == '|')
                *c = ' ';
        assert_in_range(count, 0, WORDS_MAX - 2);
        words[count++] = word;
    }
    words[count] = NULL;
    return count;
}

/* The texts that the last parse borrows. */
static char line_text[4096], environment_text[4096];
static struct options options;
static struct error error;

static enum options_result
parse(const char *line, const char *environment)
{
    char *argv[WORDS_MAX], *envp[WORDS_MAX];
    snprintf(line_text, sizeof line_text, "%s", line);
    snprintf(environment_text, sizeof environment_text, "%s", environment);
    int argc = split(line_text, argv);
    split(environment_text, envp);
    options_free(&options);
    error.text[0] = 0;
    return options_parse(&options, argc, argv, envp, &error);
}

static void
check_runs(const char *line, const char *environment)
{
    if (parse(line, environment) != OPTIONS_RUN)
        fail_msg("'%s' with '%s' refused: %s", line, environment, error.text);
}

static int
forget(void **state)
{
    options_free(&options);
    return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

#endif
