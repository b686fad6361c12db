#include "server/cli_text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct buf out;

static int
tear_down(void **state)
{
    buf_deinit(&out);
    return 0;
}

static int
set_up(void **state)
{
    buf_init(&out, 1 << 16);
    return 0;
}

static void
expect(const char *expected)
{
    buf_append_char(&out, '\0');
    assert_false(buf_overflowed(&out));
    assert_string_equal(out.ptr, expected);
    buf_clear(&out);
}

static void
test_only_printable_ascii_goes_out(void **state)
{
    char text[8];
    cli_text_append(&out, STR("a b~\x1b[2J\x07\0\x7f\xc2\x9b\xe2\x80\xae"));
    expect("a b~?[2J????????");
    assert_string_equal(cli_text_copy(text, sizeof text, STR("a\nb")), "a?b");
    assert_string_equal(cli_text_copy(text, sizeof text, STR("0123456789")), "0123456");
    assert_string_equal(cli_text_copy(text, 1, STR("0")), "");
    assert_string_equal(cli_text_copy(text, sizeof text, (struct str){0}), "");
}

static void
test_the_middle_of_a_long_text_is_left_out(void **state)
{
    static const struct str text = STR_INIT("http://example.com/a/b/file.img");
    static const struct {
        unsigned width;
        const char *expected;
    } cases[] = {
        {100, "http://example.com/a/b/file.img"},
        {31, "http://example.com/a/b/file.img"},
        {30, "http://ex...e.com/a/b/file.img"},
        {12, "htt...le.img"},
        {9, "ht....img"},
        {8, "file.img"},
        {1, "g"},
        {0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cli_text_append_fitted(&out, text, cases[i].width);
        expect(cases[i].expected);
    }
    cli_text_append_fitted(&out, STR("\x1b[1mabcdefghijklmnop\x1b"), 12);
    expect("?[1...lmnop?");
}

static void
test_json_strings_are_ascii(void **state)
{
    cli_text_append_json(&out, STR("a\"b\\c/d\n\x1b\x7f\0"));
    expect("\"a\\\"b\\\\c/d\\u000a\\u001b\\u007f\\u0000\"");
    cli_text_append_json(&out, STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc2\x9b\xef\xbf\xbf"));
    expect("\"\\u00e9\\u20ac\\ud83d\\ude00\\u009b\\uffff\"");
    cli_text_append_json(&out, STR("\xf4\x8f\xbf\xbf"));
    expect("\"\\udbff\\udfff\"");
    cli_text_append_json(&out, STR("\xff\xc3x\x01"));
    expect("\"\\ufffd\\ufffdx\\u0001\"");
    cli_text_append_json(&out, (struct str){0});
    expect("\"\"");
}

static void
test_ages_are_one_number(void **state)
{
    static const struct {
        int64_t seconds;
        const char *expected;
    } cases[] = {
        {INT64_MIN, "0s"},
        {-1, "0s"},
        {0, "0s"},
        {119, "119s"},
        {120, "2m"},
        {7199, "119m"},
        {7200, "2h"},
        {172799, "47h"},
        {172800, "2d"},
        {31536000, "365d"},
        {INT64_MAX, "106751991167300d"},
    };
    char text[CLI_TEXT_AGE_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(cli_text_age(text, cases[i].seconds), cases[i].expected);
}

static void
test_the_width_is_that_of_the_terminal(void **state)
{
    struct winsize size = {.ws_col = 33, .ws_row = 5};
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), file = open("/dev/null", O_RDONLY);
    assert_true(terminal >= 0 && file >= 0);
    assert_int_equal(cli_text_width(file), 0);
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    assert_int_equal(cli_text_width(terminal), 33);
    size.ws_col = 0;
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    assert_int_equal(cli_text_width(terminal), 80);
    close(terminal);
    close(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_printable_ascii_goes_out),
        TEST(test_the_middle_of_a_long_text_is_left_out),
        TEST(test_json_strings_are_ascii),
        TEST(test_ages_are_one_number),
        TEST(test_the_width_is_that_of_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
