#include "server/options_value.h"

#include "base/log.h"
#include "server/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct sample {
    const char *text;
    uint64_t value;
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
test_durations(void **state)
{
    static const struct sample good[] = {
        {"0", 0},           {"10", 10000},
        {"500ms", 500},     {"10s", 10000},
        {"5m", 300000},     {"1h", 3600000},
        {"2d", 172800000},  {"1h30m", 5400000},
        {"1m500ms", 60500}, {"18446744073709551s", UINT64_C(18446744073709551000)},
    };
    static const char *const bad[] = {"",
                                      "s",
                                      "ms",
                                      "-1",
                                      "1.5s",
                                      "1 s",
                                      "1x",
                                      "1sm",
                                      "30m1h",
                                      "1h30",
                                      "1s1s",
                                      "18446744073709552s",
                                      "18446744073709551616ms",
                                      "213503982335d"};
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t value = 1;
        assert_true(value_parse_duration(str_from_cstr(good[i].text), &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t value;
        if (value_parse_duration(str_from_cstr(bad[i]), &value))
            fail_msg("'%s' accepted as %llu", bad[i], (unsigned long long)value);
    }
}

static void
test_sizes(void **state)
{
    static const struct sample good[] = {
        {"0", 0},
        {"4096", 4096},
        {"16K", 16384},
        {"16k", 16384},
        {"16KiB", 16384},
        {"16KB", 16000},
        {"1m", 1 << 20},
        {"1MB", 1000000},
        {"3G", UINT64_C(3) << 30},
        {"2TiB", UINT64_C(2) << 40},
        {"7B", 7},
        {"1GB", 1000000000},
        {"1TB", UINT64_C(1000000000000)},
    };
    static const char *const bad[] = {"",   "K",   "-1",  "1.5K",      "1 K",
                                      "1X", "1KK", "1K1", "16777216T", "18446744073709551616"};
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t value = 1;
        assert_true(value_parse_size(str_from_cstr(good[i].text), &value));
        assert_int_equal(value, good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t value;
        if (value_parse_size(str_from_cstr(bad[i]), &value))
            fail_msg("'%s' accepted as %llu", bad[i], (unsigned long long)value);
    }
}

static void
check_round_trip(uint64_t value)
{
    char text[VALUE_TEXT_MAX];
    uint64_t back = value + 1;
    assert_true(value_parse_size(str_from_cstr(value_print_size(value, text)), &back));
    assert_int_equal(back, value);
    back = value + 1;
    assert_true(value_parse_duration(str_from_cstr(value_print_duration(value, text)), &back));
    assert_int_equal(back, value);
}

static void
test_printing_and_reading_agree(void **state)
{
    static const uint64_t odd[] = {0, 1, 999, 1000, 1023, 1024, 60000, 86400000, UINT64_MAX};
    for (size_t i = 0; i < COUNT(odd); i++)
        check_round_trip(odd[i]);
    srandom(1);
    for (int i = 0; i < 20000; i++)
        check_round_trip(((uint64_t)random() << 32 | (uint64_t)random()) >> (random() % 64));
    char text[VALUE_TEXT_MAX];
    assert_string_equal(value_print_size(16384, text), "16K");
    assert_string_equal(value_print_size(1000, text), "1000");
    assert_string_equal(value_print_duration(90000, text), "90s");
    assert_string_equal(value_print_duration(0, text), "0");
}

static void
test_yes_and_no_in_many_words(void **state)
{
    static const char *const yes[] = {"yes", "True", "ON", "1"};
    static const char *const no[] = {"no", "false", "Off", "0"};
    bool value;
    for (size_t i = 0; i < 4; i++) {
        value = false;
        assert_true(value_parse_bool(str_from_cstr(yes[i]), &value) && value);
        assert_true(value_parse_bool(str_from_cstr(no[i]), &value) && !value);
    }
    assert_false(value_parse_bool(STR(""), &value));
    assert_false(value_parse_bool(STR("y"), &value));
}

/* The words of a row and the enum of its field are written in two places. */
static void
test_words_stand_in_the_order_of_their_enums(void **state)
{
    static const struct {
        const char *name, *word;
        int value;
    } expected[] = {
        {"io", "auto", OPTIONS_IO_AUTO},          {"io", "uring", OPTIONS_IO_URING},
        {"io", "epoll", OPTIONS_IO_EPOLL},        {"log-format", "text", OPTIONS_LOG_TEXT},
        {"log-format", "json", OPTIONS_LOG_JSON}, {"log-level", "debug", LOG_DEBUG},
        {"log-level", "info", LOG_INFO},          {"log-level", "warn", LOG_WARN},
        {"log-level", "error", LOG_ERROR},        {"progress", "auto", OPTIONS_PROGRESS_AUTO},
        {"progress", "on", OPTIONS_PROGRESS_ON},  {"progress", "off", OPTIONS_PROGRESS_OFF},
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        const struct option_alias *alias;
        const struct option *option = options_find(str_from_cstr(expected[i].name), &alias);
        assert_non_null(option);
        assert_int_equal(value_parse_word(str_from_cstr(expected[i].word), option->words),
                         expected[i].value);
    }
    assert_int_equal(value_parse_word(STR("Auto"), "auto|on"), -1);
    assert_int_equal(value_parse_word(STR(""), "auto|on"), -1);
    assert_int_equal(value_parse_word(STR("auto|on"), "auto|on"), -1);
}

static const char *
nearest(const char *typed)
{
    static const char *const words[] = {"port", "path", "pack", "header-timeout", NULL};
    struct suggestion near;
    suggestion_init(&near, str_from_cstr(typed));
    for (size_t i = 0; i < COUNT(words); i++)
        suggestion_offer(&near, words[i]);
    return near.best;
}

static void
test_suggestions_are_near(void **state)
{
    assert_string_equal(nearest("prot"), "port");
    assert_string_equal(nearest("pak"), "pack");
    assert_string_equal(nearest("header"), "header-timeout");
    assert_string_equal(nearest("heder-tmeot"), "header-timeout");
    assert_null(nearest("po"));
    assert_null(nearest(""));
    assert_null(nearest("elephant"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_printing_and_reading_agree),
        cmocka_unit_test(test_yes_and_no_in_many_words),
        cmocka_unit_test(test_words_stand_in_the_order_of_their_enums),
        cmocka_unit_test(test_suggestions_are_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
