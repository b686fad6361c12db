#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ARENA_MAX = 4096 };

static struct arena arena;

static int
set_up(void **state)
{
    arena_init(&arena, ARENA_MAX, ARENA_MAX);
    return 0;
}

static int
tear_down(void **state)
{
    arena_deinit(&arena);
    return 0;
}

static bool
is_json(struct str text)
{
    struct json json;
    json_init(&json, text);
    json_skip(&json);
    return json_done(&json);
}

static void
test_a_walk_over_what_a_cache_says(void **state)
{
    static const struct str text = STR_INIT(
        " {\"state\": \"x\", \"n\": [1, {\"a\": []}, null], \"count\":2,\n\"resources\": [\n"
        "{\"url\": \"http://a/\\u0022\", \"size\": 18446744073709551615},\n"
        "{\"size\": 0, \"url\": \"\"}], \"more\": false} ");
    struct json json;
    struct str name, urls[2] = {{0}};
    uint64_t sizes[2] = {7, 7}, total = 0;
    unsigned count = 0;
    json_init(&json, text);
    assert_true(json_object(&json));
    while (json_member(&json, &name)) {
        if (str_eq(name, STR("count"))) {
            assert_true(json_u64(&json, &total));
        } else if (str_eq(name, STR("resources"))) {
            assert_true(json_array(&json));
            for (; json_item(&json); count++) {
                assert_true(count < 2 && json_object(&json));
                while (json_member(&json, &name))
                    assert_true(str_eq(name, STR("url")) ? json_string(&json, &arena, &urls[count])
                                                         : json_u64(&json, &sizes[count]));
            }
        } else {
            assert_true(json_skip(&json));
        }
    }
    assert_true(json_done(&json));
    assert_int_equal(count, 2);
    assert_int_equal(total, 2);
    assert_string_equal(urls[0].ptr, "http://a/\"");
    assert_int_equal(urls[1].len, 0);
    assert_true(sizes[0] == UINT64_MAX && sizes[1] == 0);
}

static const char *const good[] = {
    "0",
    "-0",
    "-12.50e+3",
    "1E9",
    "\"\"",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    " [ ] ",
    "[1,2]",
    "[[],[[]],{}]",
    "{\"\":{\"a\":[{}]},\"b\":\"}\"}",
    "\"\\\\\"",
    "\"\\\"]\"",
    "\t\r\n1\n",
    "[\"a\",null,true,-1.5,{\"x\":[]}]",
};

static const char *const bad[] = {
    "",          " ",        "1 2",      "01",           "-",
    "+1",        ".5",       "1.",       "1.e1",         "1e",
    "1e+",       "0x1",      "NaN",      "tru",          "nul",
    "True",      "[",        "]",        "[1",           "[1,",
    "[1,]",      "[,1]",     "[1 2]",    "[1}",          "{",
    "}",         "{]",       "{\"a\"}",  "{a:1}",        "{\"a\":1,}",
    "{\"a\" 1}", "{\"a\":}", "{1:2}",    "\"",           "\"a",
    "\"\\\"",    "\"\n\"",   "\"\x1f\"", "[\"a]",        "'a'",
    "[1]]",      "{}{}",     "nullnull", "[true false]", "{\"a\":1 \"b\":2}",
    "{,}",       "[1,,2]",   "//",
};

static void
test_what_is_json_and_what_is_not(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!is_json(str_from_cstr(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (is_json(str_from_cstr(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    assert_false(is_json(STR("1\0")));
    assert_false(is_json(STR("[\0]")));
    assert_false(is_json(STR("\"\0\"")));
}

/* Each text is cut at every place: what is left of it ends in memory that is not to be read. */
static void
test_no_part_of_a_text_is_json(void **state)
{
    for (size_t i = 8; i < sizeof good / sizeof *good; i++) {
        struct str text = str_trim(str_from_cstr(good[i]));
        for (size_t len = 0; len + 1 < text.len; len++) {
            char *cut = arena_alloc_text(&arena, len);
            memcpy(cut, text.ptr, len);
            if (str_find_char(STR("[{\""), text.ptr[0]) < 3 && is_json(str_make(cut, len)))
                fail_msg("accepted %zu bytes of: %s", len, good[i]);
            arena_reset(&arena);
        }
    }
}

static void
test_depth_is_bounded(void **state)
{
    char text[4 * JSON_DEPTH_MAX];
    for (size_t depth = JSON_DEPTH_MAX - 1; depth < JSON_DEPTH_MAX + 2; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(is_json(str_make(text, 2 * depth)), depth <= JSON_DEPTH_MAX);
    }
}

static bool
decode(struct str text, struct str *out)
{
    struct json json;
    json_init(&json, text);
    arena_reset(&arena);
    return json_string(&json, &arena, out) && json_done(&json);
}

static void
test_strings_are_decoded(void **state)
{
    static const struct {
        const char *text, *decoded;
    } cases[] = {
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
        {"\"\\ud83d\\uDE00\"", "\xf0\x9f\x98\x80"},
        {"\"caf\xc3\xa9\"", "caf\xc3\xa9"},
        {"\"\\u007f\\uffff\"", "\x7f\xef\xbf\xbf"},
        {"\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf"},
    };
    struct str out;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!decode(str_from_cstr(cases[i].text), &out) || strcmp(out.ptr, cases[i].decoded) != 0)
            fail_msg("%s", cases[i].text);
    assert_true(decode(STR("\"a\\u0000b\""), &out));
    assert_true(str_eq(out, STR("a\0b")));
}

static void
test_strings_that_are_none(void **state)
{
    static const char *const cases[] = {
        "\"\\x\"",
        "\"\\u\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\udc00\"",
        "\"\\udc00\\udc00\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "1",
        "null",
        "\"\\U0041\"",
        "\"\\u 041\"",
    };
    struct str out;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (decode(str_from_cstr(cases[i]), &out))
            fail_msg("accepted: %s", cases[i]);
    assert_false(decode(STR("\"\\\0\""), &out));
}

static void
test_a_full_arena_is_a_failure(void **state)
{
    char text[ARENA_MAX + 3];
    struct str out;
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    assert_false(decode(str_make(text, sizeof text), &out));
}

static bool
number(const char *text, uint64_t *out)
{
    struct json json;
    json_init(&json, str_from_cstr(text));
    return json_u64(&json, out) && json_done(&json);
}

static void
test_integers(void **state)
{
    uint64_t out;
    assert_true(number("0", &out) && out == 0);
    assert_true(number(" 42 ", &out) && out == 42);
    assert_true(number("18446744073709551615", &out) && out == UINT64_MAX);
    static const char *const cases[] = {
        "18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "null", "", "01", "[1]"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (number(cases[i], &out))
            fail_msg("accepted: %s", cases[i]);
}

static void
test_a_value_of_another_kind_is_a_failure_that_stays(void **state)
{
    struct json json;
    struct str name, text;
    uint64_t out;
    json_init(&json, STR("{\"a\": [1], \"b\": 2}"));
    assert_false(json_array(&json));
    assert_false(json_object(&json));
    assert_false(json_done(&json));
    json_init(&json, STR("{\"a\": [1], \"b\": 2}"));
    assert_true(json_object(&json) && json_member(&json, &name) && json_array(&json));
    assert_false(json_member(&json, &name)); /* it is an array */
    assert_false(json_item(&json));
    assert_false(json_u64(&json, &out) || json_string(&json, &arena, &text) || json_skip(&json));
    json_init(&json, STR("{\"a\": 1, \"b\": 2}"));
    assert_true(json_object(&json) && json_member(&json, &name));
    assert_false(json_member(&json, &name)); /* a value was not taken */
    assert_false(json_done(&json));
    json_init(&json, STR("[1]"));
    assert_true(json_array(&json) && json_item(&json) && json_u64(&json, &out));
    assert_false(json_done(&json)); /* not closed */
}

static void
test_the_next_value_tells_its_kind(void **state)
{
    struct json json;
    json_init(&json, STR(" [ \"a\", {}, -1, true, null] x"));
    assert_int_equal(json_peek(&json), '[');
    assert_true(json_array(&json));
    static const char kinds[] = "\"{-tn";
    for (unsigned i = 0; i < 5; i++) {
        assert_true(json_item(&json));
        assert_int_equal(json_peek(&json), kinds[i]);
        assert_true(json_skip(&json));
    }
    assert_false(json_item(&json));
    assert_int_equal(json_peek(&json), 'x');
    assert_false(json_done(&json));
    assert_int_equal(json_peek(&json), '\0');
    json_init(&json, STR("  "));
    assert_int_equal(json_peek(&json), '\0');
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_walk_over_what_a_cache_says, set_up, tear_down),
        cmocka_unit_test(test_what_is_json_and_what_is_not),
        cmocka_unit_test_setup_teardown(test_no_part_of_a_text_is_json, set_up, tear_down),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test_setup_teardown(test_strings_are_decoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_strings_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_arena_is_a_failure, set_up, tear_down),
        cmocka_unit_test(test_integers),
        cmocka_unit_test_setup_teardown(test_a_value_of_another_kind_is_a_failure_that_stays,
                                        set_up, tear_down),
        cmocka_unit_test(test_the_next_value_tells_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
