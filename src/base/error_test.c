#include "base/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* An error with a guard behind it: nothing may be written past its text. */
struct guarded {
    struct error error;
    char guard[16];
};

static void
guard_up(struct guarded *guarded)
{
    memset(guarded, '#', sizeof *guarded);
}

static void
assert_guarded(const struct guarded *guarded)
{
    for (size_t i = 0; i < sizeof guarded->guard; i++)
        assert_int_equal(guarded->guard[i], '#');
    assert_non_null(memchr(guarded->error.text, '\0', ERROR_TEXT_MAX));
}

static void
the_line_is_what_was_said(void **state)
{
    struct error error;
    assert_int_equal(error_set(&error, "--port: '%s' is not a number", "x"), -1);
    assert_string_equal(error.text, "--port: 'x' is not a number");
    assert_int_equal(error_set_errno(&error, ENOENT, "%s", "/none"), -1);
    assert_string_equal(error.text, "/none: No such file or directory");
    assert_int_equal(error_prefix(&error, "--%s", "addr"), -1);
    assert_string_equal(error.text, "--addr: /none: No such file or directory");
}

static void
an_unknown_code_still_gives_a_line(void **state)
{
    struct error error;
    error_set_errno(&error, 99999, "what");
    assert_int_equal(strncmp(error.text, "what: ", 6), 0);
}

static void
long_lines_are_cut(void **state)
{
    char text[2 * ERROR_TEXT_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t len = ERROR_TEXT_MAX - 40; len < ERROR_TEXT_MAX + 10; len++) {
        struct guarded guarded;
        guard_up(&guarded);
        error_set(&guarded.error, "%.*s", (int)len, text);
        assert_guarded(&guarded);
        error_prefix(&guarded.error, "%s", "where");
        assert_guarded(&guarded);
        assert_int_equal(strncmp(guarded.error.text, "where: x", 8), 0);
        guard_up(&guarded);
        error_set_errno(&guarded.error, ENOENT, "%.*s", (int)len, text);
        assert_guarded(&guarded);
        error_set(&guarded.error, "text");
        error_prefix(&guarded.error, "%.*s", (int)len, text);
        assert_guarded(&guarded);
        assert_int_equal(guarded.error.text[0], 'x');
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_is_what_was_said),
        cmocka_unit_test(an_unknown_code_still_gives_a_line),
        cmocka_unit_test(long_lines_are_cut),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
