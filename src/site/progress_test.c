#include "site/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct progress_state
sample(void)
{
    return (struct progress_state){
        .verb = "compressing",
        .done_len = 500,
        .total_len = 1000,
        .done_count = 3,
        .total_count = 10,
        .name = STR_INIT("img/caf\xc3\xa9.svg"),
    };
}

static void
assert_line(const struct progress_state *state, unsigned width, const char *expected)
{
    struct buf line;
    buf_init(&line, 1024);
    progress_render(&line, state, width);
    buf_append_char(&line, '\0');
    assert_string_equal(line.ptr, expected);
    buf_deinit(&line);
}

static void
the_line_says_how_far_it_is(void **state)
{
    struct progress_state half = sample();
    assert_line(&half, 80,
                "[############............]  50%  compressing 3/10  img/caf\xc3\xa9.svg");
}

static void
names_are_cut_by_characters_and_dropped_when_narrow(void **state)
{
    struct progress_state half = sample();
    assert_line(&half, 59, "[############............]  50%  compressing 3/10  img/caf\xc3\xa9");
    assert_line(&half, 58, "[############............]  50%  compressing 3/10");
    assert_line(&half, 20, "[############.......");
    assert_line(&half, 0, "");
}

static void
without_lengths_the_count_decides(void **state)
{
    struct progress_state empty = {.verb = "writing", .done_count = 1, .total_count = 4};
    assert_line(&empty, 40, "[######..................]  25%  writing");
    empty.done_count = 4;
    assert_line(&empty, 32, "[########################] 100% ");
    empty.total_count = 0;
    assert_line(&empty, 32, "[########################] 100% ");
}

static void
control_characters_never_reach_the_terminal(void **state)
{
    struct progress_state evil = sample();
    evil.name = STR("a\x1b[2Jb\n");
    assert_line(&evil, 80, "[############............]  50%  compressing 3/10  a?[2Jb?");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_says_how_far_it_is),
        cmocka_unit_test(names_are_cut_by_characters_and_dropped_when_narrow),
        cmocka_unit_test(without_lengths_the_count_decides),
        cmocka_unit_test(control_characters_never_reach_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
