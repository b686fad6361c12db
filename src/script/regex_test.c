#include "script/regex.h"

#include "base/limits.h"
#include "base/must.h"
#include "script/regex_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 1 << 20 };

static struct regex *
compile(const char *pattern)
{
    struct regex *regex;
    struct error error;
    if (regex_new(&regex, str_from_cstr(pattern), &error) < 0)
        fail_msg("%s: %s", pattern, error.text);
    return regex;
}

/* "0-3 1-2 ?": where each group was; "": no match. */
static void
expect_match(const char *pattern, const char *text, const char *expected)
{
    struct regex *regex = compile(pattern);
    struct regex_matcher matcher = {.steps_left = STEPS};
    uint32_t groups[2 * REGEX_GROUPS_MAX];
    char got[256] = "";
    size_t len = 0;
    enum regex_result result = regex_find(regex, &matcher, str_from_cstr(text), 0, groups);
    for (unsigned i = 0; result == REGEX_MATCH && i < regex_group_count(regex); i++)
        len += (size_t)(groups[2 * i + 1] == REGEX_UNSET
                            ? snprintf(got + len, sizeof got - len, i ? " ?" : "?")
                            : snprintf(got + len, sizeof got - len, i ? " %u-%u" : "%u-%u",
                                       groups[2 * i], groups[2 * i + 1]));
    if (strcmp(got, expected) != 0)
        fail_msg("%s on '%s': '%s', expected '%s'", pattern, text, got, expected);
    regex_matcher_deinit(&matcher);
    regex_free(regex);
}

static void
expect_replaced(const char *pattern, const char *text, const char *replacement,
                const char *expected)
{
    struct regex *regex = compile(pattern);
    struct regex_matcher matcher = {.steps_left = STEPS};
    struct buf out;
    buf_init(&out, 4096);
    enum regex_result result =
        regex_replace(regex, &matcher, str_from_cstr(text), str_from_cstr(replacement), &out);
    assert_int_equal(result, expected ? REGEX_MATCH : REGEX_NO_MATCH);
    if (expected && !str_eq(buf_str(&out), str_from_cstr(expected)))
        fail_msg("%s on '%s': '%.*s', expected '%s'", pattern, text, STR_ARG(buf_str(&out)),
                 expected);
    assert_true(expected || out.len == 0);
    buf_deinit(&out);
    regex_matcher_deinit(&matcher);
    regex_free(regex);
}

static void
characters_and_classes(void **state)
{
    expect_match("abc", "xabcx", "1-4");
    expect_match("abc", "ab", "");
    expect_match("a.c", "a\nc abc", "4-7");
    expect_match("(?s)a.c", "a\nc", "0-3");
    expect_match("[b-d]+", "abcde", "1-4");
    expect_match("[^b-d]+", "bcxyd", "2-4");
    expect_match("[]a]+", "b]a]", "1-4");
    expect_match("[^]a]", "]ab", "2-3");
    expect_match("[a-]+", "b-a-", "1-4");
    expect_match("[\\]\\-\\\\x]+", "a]-\\x", "1-5");
    expect_match("\\d+\\D\\w+\\W\\s\\S", "a12-ab_3! x", "1-11");
    expect_match("[\\d.]+[^\\d]", "v1.2x", "1-5");
    expect_match("[\\D]+", "12ab3", "2-4");
    expect_match("[[:alpha:]]+[[:^alpha:]][[:digit:][:punct:]]", "1ab 9", "1-5");
    expect_match("\\x41\\x{42}\\n\\t\\.\\*\\/", "AB\n\t.*/", "0-7");
    expect_match("\xc3\xa9.", "\xc3\xa9\xe2\x82\xac", "0-5");
    expect_match("[\xc3\xa0-\xc3\xbf]+", "a\xc3\xa9\xc3\xa8", "1-5");
    expect_match("a.b",
                 "a\xff"
                 "b",
                 "0-3");
    expect_match("a\\x{fffd}", "a\xc3", "0-2");
    expect_match("{", "a{", "1-2");
    expect_match("a{,2}", "a{,2}", "0-5");
    expect_match("x{a}", "x{a}", "0-4");
    expect_match("", "a", "0-0");
}

static void
alternatives_and_groups(void **state)
{
    expect_match("a|b|cd", "xcd", "1-3");
    expect_match("a|ab", "ab", "0-1");
    expect_match("ab|a", "ab", "0-2");
    expect_match("(a)(b)?", "ac", "0-1 0-1 ?");
    expect_match("(?:a)(b)", "ab", "0-2 1-2");
    expect_match("(?P<x>a)(?<y1>b)", "ab", "0-2 0-1 1-2");
    expect_match("((a)|b)+", "ab", "0-2 1-2 0-1");
    expect_match("(|a)+", "aaa", "0-0 0-0");
    expect_match("()|a", "a", "0-0 0-0");
    expect_match("(a|(b|(c)))", "c", "0-1 0-1 0-1 0-1");
}

static void
repetitions(void **state)
{
    expect_match("a*", "aaab", "0-3");
    expect_match("a*?b", "aaab", "0-4");
    expect_match("a+?", "aaa", "0-1");
    expect_match("a??b", "ab", "0-2");
    expect_match("a{2}", "aaa", "0-2");
    expect_match("a{2,}", "aaa", "0-3");
    expect_match("a{1,2}?a", "aaa", "0-2");
    expect_match("a{0}b", "ab", "1-2");
    expect_match("(a{2}){2}", "aaaaa", "0-4 2-4");
    expect_match("(a*)*", "aa", "0-2 0-2");
    expect_match("(a*)+b", "aab", "0-3 0-2");
    expect_match("(?U)a+", "aa", "0-1");
    expect_match("(?U)a+?", "aa", "0-2");
    expect_match("<(.*)><(.*?)>", "<a><b><c>", "0-9 1-5 7-8");
    expect_match("a**", "aa", "0-2");
}

static void
places(void **state)
{
    expect_match("^a", "ba", "");
    expect_match("a$", "ab a", "3-4");
    expect_match("^$", "", "0-0");
    expect_match("a$", "a\n", "");
    expect_match("(?m)^b$", "a\nb\nc", "2-3");
    expect_match("\\Aa\\z", "a", "0-1");
    expect_match("\\bfoo\\b", "food foo", "5-8");
    expect_match("\\Boo", "foo oo", "1-3");
    expect_match("(?:^|/)x", "a/x", "1-3");
    expect_match("(a|^)b", "cb ab", "3-5 3-4");
}

static void
flags_end_with_their_group(void **state)
{
    expect_match("(?i)AbC[x-z]", "aBcY", "0-4");
    expect_match("(?i:a)b", "AB", "");
    expect_match("(?i:a)b", "Ab", "0-2");
    expect_match("a(?i)b|c", "C", "0-1");
    expect_match("((?i)a)b", "AB", "");
    expect_match("(?i)a(?-i)b", "AB", "");
    expect_match("(?i)[^a]", "Ab", "1-2");
    expect_match("(?is-m:a.b)", "A\nB", "0-3");
    expect_match("(?u)a", "a", "0-1");
    expect_match("(?i)\\x6b", "K", "0-1");
}

static void
mistakes_are_named(void **state)
{
    static const struct {
        const char *pattern, *why;
    } cases[] = {
        {"a(", "a group without its ) at offset 2"},
        {"a)", "a ) without its group at offset 1"},
        {"[a", "a class without its ] at offset 2"},
        {"[a-", "a class without its ] at offset 3"},
        {"a\\", "nothing behind its last backslash at offset 2"},
        {"[\\", "nothing behind its last backslash at offset 2"},
        {"*a", "a repetition of nothing at offset 1"},
        {"a|+", "a repetition of nothing at offset 3"},
        {"{2}", "a repetition of nothing at offset 3"},
        {"a{2,1}", "a repetition of at least more times than at most at offset 6"},
        {"a{1001}", "a repetition of more than 1000 times at offset 7"},
        {"a{99999999999999999999}", "a repetition of more than 1000 times at offset 23"},
        {"(a)\\1", "a reference to a group at offset 5"},
        {"(?=a)", "an assertion that looks around, which is not possible in bounded time at "
                  "offset 2"},
        {"(?<!a)", "an assertion that looks around, which is not possible in bounded time at "
                   "offset 2"},
        {"(?x)a", "an unknown kind of group, or flag at offset 3"},
        {"(?P=a)", "an unknown kind of group, or flag at offset 3"},
        {"(?<a b>c)", "a bad name of a group at offset 4"},
        {"(?<>c)", "a bad name of a group at offset 3"},
        {"(?<a>b)(?<a>c)", "two groups of one name at offset 12"},
        {"[b-a]", "a range whose end is before its start, or no character at offset 4"},
        {"[a-\\d]", "a range whose end is before its start, or no character at offset 5"},
        {"[[:foo:]]", "an unknown class at offset 3"},
        {"[a&&b]", "a class inside of a class, or an operation on them; write \\[, \\& or \\~ at "
                   "offset 2"},
        {"\\p{L}", "an unknown escape at offset 2"},
        {"\\x{110000}", "a bad \\x at offset 9"},
        {"\\x{d800}", "a bad \\x at offset 7"},
        {"\\x4", "a bad \\x at offset 3"},
    };
    struct regex *regex;
    struct error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(regex_new(&regex, str_from_cstr(cases[i].pattern), &error), -1);
        char expected[ERROR_TEXT_MAX];
        snprintf(expected, sizeof expected, "the regular expression has %s", cases[i].why);
        assert_string_equal(error.text, expected);
    }
    assert_int_equal(regex_new(&regex, STR("\xff"), &error), -1);
    assert_string_equal(error.text, "the regular expression is not UTF-8");
}

static int
try(const char *before, const char *part, unsigned count, const char *after, struct error *error)
{
    struct regex *regex = NULL;
    struct buf pattern;
    buf_init(&pattern, 1 << 20);
    buf_append(&pattern, str_from_cstr(before));
    for (unsigned i = 0; i < count; i++)
        buf_append(&pattern, str_from_cstr(part));
    buf_append(&pattern, str_from_cstr(after));
    int result = regex_new(&regex, buf_str(&pattern), error);
    buf_deinit(&pattern);
    if (result == 0)
        regex_free(regex);
    return result;
}

static void
ceilings_of_expressions(void **state)
{
    struct error error;
    assert_int_equal(try("", "(?:a|b)?", 100, "", &error), 0);
    assert_int_equal(try("", "a", REGEX_INSNS_MAX - 3, "", &error), 0);
    assert_int_equal(try("", "a", REGEX_INSNS_MAX - 2, "", &error), -1);
    assert_string_equal(error.text, "the regular expression is too large");
    assert_int_equal(try("", "a", REGEX_LEN_MAX + 1, "", &error), -1);
    assert_string_equal(error.text, "the regular expression is longer than 4096 bytes");
    assert_int_equal(try("", "(a)", REGEX_GROUPS_MAX - 1, "", &error), 0);
    assert_int_equal(try("", "(a)", REGEX_GROUPS_MAX, "", &error), -1);
    assert_non_null(strstr(error.text, "too many groups that capture"));
    assert_int_equal(try("", "(?:", 100, "", &error), -1);
    assert_non_null(strstr(error.text, "too many groups inside of each other"));
    assert_int_equal(try("a", "*", 200, "", &error), -1);
    assert_non_null(strstr(error.text, "too many groups and repetitions inside of each other"));
    assert_int_equal(try("[", "\\W", 1000, "]", &error), -1);
    assert_non_null(strstr(error.text, "too many characters in classes"));
    assert_int_equal(try("(?:(?:(?:(?:(?:a{1,9}){1,9}){1,9}){1,9}){1,9})", "", 0, "", &error), -1);
    assert_string_equal(error.text, "the regular expression is too large");
    assert_int_equal(try("", "(?:", 20,
                         "){1000}){1000}){1000}){1000}){1000}){1000}){1000}){1000}"
                         "){1000}){1000}){1000}){1000}){1000}){1000}){1000}){1000}){1000}){1000}"
                         "){1000}){1000}",
                         &error),
                     -1);
    assert_string_equal(error.text, "the regular expression is too large");
}

/* Each would take a backtracking matcher longer than anybody lives. */
static void
no_expression_is_slow(void **state)
{
    static const char *const patterns[] = {"(a*)*b", "(a|a)*b", "(a|aa)+$b", "(.*)(.*)(.*)(.*)x",
                                           "(?:a?){500}a{500}b"};
    enum { LEN = 20000 };
    char *text = malloc(LEN);
    memset(text, 'a', LEN);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct regex *regex = compile(patterns[i]);
        struct regex_matcher matcher = {.steps_left = 1000000};
        uint32_t groups[2 * REGEX_GROUPS_MAX];
        assert_int_equal(regex_find(regex, &matcher, str_make(text, 500), 0, groups),
                         i == 4 ? REGEX_TOO_SLOW : REGEX_NO_MATCH);
        assert_true(matcher.steps_left < 1000000);
        matcher.steps_left = 1000;
        assert_int_equal(regex_find(regex, &matcher, str_make(text, LEN), 0, groups),
                         REGEX_TOO_SLOW);
        assert_true(matcher.steps_left < 1000);
        regex_matcher_deinit(&matcher);
        regex_free(regex);
    }
    free(text);
}

static void
a_matcher_serves_many_expressions(void **state)
{
    struct regex_matcher matcher = {0};
    struct regex *small = compile("b+"), *large = compile("(?:[a-c]{1,30}x|(b)(c)(d))");
    uint32_t groups[2 * REGEX_GROUPS_MAX];
    for (unsigned i = 0; i < 100; i++) {
        /* Also where generations begin anew. */
        if (i == 50)
            matcher.generation = UINT32_MAX - 20;
        matcher.steps_left = STEPS;
        assert_int_equal(regex_find(small, &matcher, STR("aabba"), 0, groups), REGEX_MATCH);
        assert_int_equal(groups[0], 2);
        assert_int_equal(groups[1], 4);
        assert_int_equal(regex_find(small, &matcher, STR("aabba"), 3, groups), REGEX_MATCH);
        assert_int_equal(groups[0], 3);
        assert_int_equal(regex_find(small, &matcher, STR("aabba"), 5, groups), REGEX_NO_MATCH);
        assert_int_equal(regex_find(large, &matcher, STR("xbcd"), 0, groups), REGEX_MATCH);
        assert_int_equal(groups[0], 1);
        assert_int_equal(groups[7], 4);
    }
    assert_true(matcher.generation < UINT32_MAX / 2);
    regex_matcher_deinit(&matcher);
    regex_free(small);
    regex_free(large);
}

static void
matches_are_replaced(void **state)
{
    expect_replaced("b", "abcb", "x", "axcx");
    expect_replaced("z", "abc", "x", NULL);
    expect_replaced("x*", "abc", "-", "-a-b-c-");
    expect_replaced("a*", "baaac", "-", "-b-c-");
    expect_replaced("", "\xc3\xa9", "-", "-\xc3\xa9-");
    expect_replaced("^", "ab", ">", ">ab");
    expect_replaced("^a", "aaa", "x", "xaa");
    expect_replaced("$", "ab", "<", "ab<");
    expect_replaced("(\\w+)@(?P<host>\\w+)", "me@there, you@here", "$host.$1",
                    "there.me, here.you");
    expect_replaced("\\bx", "x xx", "y", "y yx");
}

static void
references_in_replacements(void **state)
{
    expect_replaced("(a)(b)?", "a", "[$0|$1|$2|$3|$$|${1}x|$1x|$]", "[a|a|||$|ax||$]");
    expect_replaced("(?<n>a)", "a", "${n}-$n-${m}-${}-${n", "a-a---${n");
    expect_replaced("a", "a", "$-", "$-");
    expect_replaced("a", "a", "\\1 $", "\\1 $");
    expect_replaced("(a)", "a", "${01}$01", "aa");
}

static void
text_that_is_nowhere_is_empty(void **state)
{
    struct regex *regex = compile("^(x*)$");
    struct regex_matcher matcher = {.steps_left = STEPS};
    struct buf out;
    buf_init(&out, 10);
    assert_int_equal(regex_replace(regex, &matcher, (struct str){0}, STR("<$1>"), &out),
                     REGEX_MATCH);
    assert_true(str_eq(buf_str(&out), STR("<>")));
    buf_deinit(&out);
    regex_matcher_deinit(&matcher);
    regex_free(regex);
}

static void
a_replacement_stops_at_the_ceiling(void **state)
{
    struct regex *regex = compile("a");
    struct regex_matcher matcher = {.steps_left = STEPS};
    struct buf out;
    buf_init(&out, 10);
    regex_replace(regex, &matcher, STR("aaaaaaaa"), STR("long text"), &out);
    assert_true(buf_overflowed(&out));
    assert_true(matcher.steps_left > STEPS - 100);
    buf_deinit(&out);
    regex_matcher_deinit(&matcher);
    regex_free(regex);
}

static void
the_cache_keeps_what_is_used(void **state)
{
    struct regex_cache *cache = calloc(1, sizeof *cache);
    struct error error;
    char pattern[16];
    const struct regex *kept = regex_cache_get(cache, STR("kept"), &error);
    for (unsigned i = 0; i < 10 * REGEX_CACHED_MAX; i++) {
        snprintf(pattern, sizeof pattern, "p%u", i);
        const struct regex *other = regex_cache_get(cache, str_from_cstr(pattern), &error);
        assert_true(str_eq(regex_pattern(other), str_from_cstr(pattern)));
        assert_ptr_equal(regex_cache_get(cache, STR("kept"), &error), kept);
        assert_ptr_equal(regex_cache_get(cache, str_from_cstr(pattern), &error), other);
    }
    assert_null(regex_cache_get(cache, STR("("), &error));
    assert_non_null(strstr(error.text, "a group without its )"));
    assert_ptr_equal(regex_cache_get(cache, STR("kept"), &error), kept);
    regex_cache_deinit(cache);
    free(cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_and_classes),
        cmocka_unit_test(alternatives_and_groups),
        cmocka_unit_test(repetitions),
        cmocka_unit_test(places),
        cmocka_unit_test(flags_end_with_their_group),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(ceilings_of_expressions),
        cmocka_unit_test(no_expression_is_slow),
        cmocka_unit_test(a_matcher_serves_many_expressions),
        cmocka_unit_test(matches_are_replaced),
        cmocka_unit_test(references_in_replacements),
        cmocka_unit_test(text_that_is_nowhere_is_empty),
        cmocka_unit_test(a_replacement_stops_at_the_ceiling),
        cmocka_unit_test(the_cache_keeps_what_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
