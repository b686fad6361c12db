#include "script/rewrite.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int
setup(void **state)
{
    *state = rewrite_new();
    return *state ? 0 : -1;
}

static int
teardown(void **state)
{
    rewrite_free(*state);
    return 0;
}

/* `expected` is "path?query". */
static void
expect_uri(struct rewrite *rewrite, const char *changes, const char *path, const char *query,
           const char *expected)
{
    struct error error;
    struct buf got;
    if (rewrite_uri(rewrite, str_from_cstr(changes), str_from_cstr(path), str_from_cstr(query),
                    &error) < 0)
        fail_msg("%s: %s", changes, error.text);
    buf_init(&got, 1 << 20);
    buf_append(&got, buf_str(&rewrite->path));
    buf_append_char(&got, '?');
    buf_append(&got, buf_str(&rewrite->query));
    if (!str_eq(buf_str(&got), str_from_cstr(expected)))
        fail_msg("%s on %s?%s: '%.*s', expected '%s'", changes, path, query, STR_ARG(buf_str(&got)),
                 expected);
    buf_deinit(&got);
}

static void
expect_query(struct rewrite *rewrite, const char *changes, const char *query, const char *expected)
{
    struct error error;
    if (rewrite_query(rewrite, str_from_cstr(changes), str_from_cstr(query), &error) < 0)
        fail_msg("%s: %s", changes, error.text);
    if (!str_eq(buf_str(&rewrite->query), str_from_cstr(expected)))
        fail_msg("%s on %s: '%.*s', expected '%s'", changes, query,
                 STR_ARG(buf_str(&rewrite->query)), expected);
}

static void
expect_error(int result, const struct error *error, const char *text)
{
    if (result == 0)
        fail_msg("no error; expected: %s", text);
    assert_string_equal(error->text, text);
}

/* --- paths --- */

static void
a_path_without_detours(void **state)
{
    static const struct {
        const char *path, *clean;
    } cases[] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a/", "/a/"},
        {"//a///b//", "/a/b/"},
        {"/./a/.", "/a/"},
        {"/a/../b", "/b"},
        {"/a/..", "/"},
        {"/%2e/%2E%2e", "/"},
        {"/a%2fb", "/a%2fb"},
        {"/.../..a", "/.../..a"},
        {"/a/b/../", "/a/"},
        {"/..", "/"},
        {"/%2e%2e%2e", "/%2e%2e%2e"},
    };
    struct buf out;
    buf_init(&out, 100);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&out);
        buf_append(&out, STR("x/y"));
        rewrite_clean_path(str_from_cstr(cases[i].path), &out);
        assert_true(str_eq(str_skip(buf_str(&out), 3), str_from_cstr(cases[i].clean)));
    }
    buf_deinit(&out);
}

static void
prefixes_are_stripped(void **state)
{
    static const struct {
        const char *prefix, *path, *expected;
    } cases[] = {
        {"/api", "/api/x", "/x?q"},
        {"api", "/api/x", "/x?q"},
        {"/api", "/api", "/?q"},
        {"/api", "/other", "/other?q"},
        {"/api", "/apix", "/x?q"},
        {"/api/", "/api/x", "/x?q"},
        {"/API", "/aPi/x", "/x?q"},
        {"/a b", "/a%20b/c", "/c?q"},
        {"/a%20b", "/a%20b/c", "/c?q"},
        {"/a%20b", "/a b/c", "/a b/c?q"},
        {"/\xc3\xa9", "/%c3%a9/x", "/x?q"},
        {"/api", "//api/./x", "/x?q"},
        {"/api", "/a//b", "/a/b?q"},
        {"//api", "//api//x", "//x?q"},
        {"/api/x/y", "/api", "/api?q"},
        {"", "/a//b", "/a//b?q"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char changes[128];
        snprintf(changes, sizeof changes, "{\"strip_path_prefix\": \"%s\"}", cases[i].prefix);
        expect_uri(*state, changes, cases[i].path, "q", cases[i].expected);
    }
}

static void
suffixes_are_stripped(void **state)
{
    static const struct {
        const char *suffix, *path, *expected;
    } cases[] = {
        {".php", "/a.php", "/a?"},    {".php", "/a.PHP", "/a?"}, {".php", "/a", "/a?"},
        {"/", "/a/", "/a?"},          {"/a", "/a", "/?"},        {" b", "/a%20b", "/a?"},
        {"%20b", "/a%20b", "/a?"},    {"%2F", "/a%2f", "/a?"},   {"\xc3\xa9", "/%c3%a9", "/?"},
        {"20b", "/a%20b", "/a%20b?"}, {"//", "/a//", "/a?"},     {"/", "/a//", "/a?"},
        {"long suffix", "/a", "/a?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char changes[128];
        snprintf(changes, sizeof changes, "{\"strip_path_suffix\": \"%s\"}", cases[i].suffix);
        expect_uri(*state, changes, cases[i].path, "", cases[i].expected);
    }
}

static void
substrings_are_replaced_in_path_and_query(void **state)
{
    expect_uri(*state, "{\"uri_substring\":[{\"find\":\"a\",\"replace\":\"xy\"}]}", "/a/ba", "a=a",
               "/xy/bxy?xy=xy");
    expect_uri(*state, "{\"uri_substring\":[{\"find\":\"a\",\"replace\":\"xy\",\"limit\":1}]}",
               "/a/ba", "a=a", "/xy/ba?xy=a");
    expect_uri(*state, "{\"uri_substring\":[{\"find\":\"a\",\"limit\":-5}]}", "/a/ba", "a=a",
               "//b?=");
    expect_uri(*state, "{\"uri_substring\":[{\"find\":\"\",\"replace\":\"x\"}]}", "/a//b", "",
               "/a//b?");
    expect_uri(*state, "{\"uri_substring\":[{\"find\":\"//\",\"replace\":\"/\"}]}", "/a//b", "",
               "/a/b?");
    expect_uri(*state, "{\"uri_substring\":[{\"find\":\"/b\",\"replace\":\"x\"}]}", "/a//b", "",
               "/ax?");
    expect_uri(*state,
               "{\"uri_substring\":[{\"find\":\"a\",\"replace\":\"b\"},"
               "{\"find\":\"b\",\"replace\":\"c\"}]}",
               "/ab", "", "/cc?");
    expect_uri(*state, "{\"uri_substring\":[{\"find\":\"/\",\"replace\":\"\"}]}", "/a/b", "",
               "/ab?");
}

static void
expressions_are_replaced_in_the_path(void **state)
{
    expect_uri(*state, "{\"path_regexp\":[{\"find\":\"/(\\\\d+)$\",\"replace\":\"/item/$1\"}]}",
               "/shop/17", "17", "/shop/item/17?17");
    expect_uri(*state, "{\"path_regexp\":[{\"find\":\"/+\",\"replace\":\"/\"}]}", "/a//b", "",
               "/a/b?");
    expect_uri(*state, "{\"path_regexp\":[{\"find\":\"^/\",\"replace\":\"\"}]}", "/a", "", "/a?");
    expect_uri(*state, "{\"path_regexp\":[{\"find\":\"\",\"replace\":\"x\"}]}", "/a", "", "/a?");
    expect_uri(*state, "{\"path_regexp\":[{\"find\":\"no\",\"replace\":\"x\"}]}", "/a", "", "/a?");
}

static void
changes_of_a_uri_have_an_order(void **state)
{
    expect_uri(*state,
               "{\"path_regexp\":[{\"find\":\"^/c$\",\"replace\":\"/d\"}],"
               "\"uri_substring\":[{\"find\":\"b\",\"replace\":\"c\"}],"
               "\"strip_path_suffix\":\".x\",\"strip_path_prefix\":\"/a\",\"other\":[1,{}]}",
               "/a/b.x", "b", "/d?c");
    expect_uri(*state, "{}", "/a//b", "q", "/a//b?q");
}

/* --- queries --- */

static void
parameters_are_renamed_set_added_and_deleted(void **state)
{
    struct rewrite *rewrite = *state;
    expect_query(rewrite, "{}", "b=2&a=1&b=1&&c", "a=1&b=2&b=1&c=");
    expect_query(rewrite, "{\"rename\":[{\"key\":\"a\",\"val\":\"x\"}]}", "a=1&x=9&a=2", "x=1&x=2");
    expect_query(rewrite, "{\"rename\":[{\"key\":\"no\",\"val\":\"x\"}]}", "x=9", "x=9");
    expect_query(rewrite,
                 "{\"rename\":[{\"key\":\"a\",\"val\":\"\"},{\"key\":\"a\",\"val\":\"a\"}]}", "a=1",
                 "a=1");
    expect_query(rewrite, "{\"set\":[{\"key\":\"a\",\"val\":\"3\"},{\"key\":\"\",\"val\":\"4\"}]}",
                 "a=1&b&a=2&=x", "=x&a=3&b=");
    expect_query(rewrite, "{\"add\":[{\"key\":\"a\",\"val\":\"3 \xc3\xa9\"},{\"val\":\"4\"}]}",
                 "b&a=1", "a=1&a=3+%C3%A9&b=");
    expect_query(rewrite, "{\"delete\":[\"a\",\"\",\"no\"]}", "a=1&b=2&a&=x", "=x&b=2");
    expect_query(rewrite, "{\"set\":[{\"key\":\"a\"}]}", "", "a=");
    expect_query(rewrite, "{\"delete\":[\"a\"]}", "a", "");
}

static void
values_are_replaced(void **state)
{
    struct rewrite *rewrite = *state;
    expect_query(rewrite, "{\"replace\":[{\"key\":\"a\",\"search\":\"x\",\"replace\":\"yy\"}]}",
                 "a=xax&b=x&a=z", "a=yyayy&a=z&b=x");
    expect_query(rewrite, "{\"replace\":[{\"key\":\"*\",\"search\":\"x\",\"replace\":\"\"}]}",
                 "a=xax&b=x", "a=a&b=");
    expect_query(rewrite, "{\"replace\":[{\"search_regexp\":\"(\\\\d)\",\"replace\":\"<$1>\"}]}",
                 "a=1&b=x2", "a=%3C1%3E&b=x%3C2%3E");
    expect_query(rewrite,
                 "{\"replace\":[{\"key\":\"a\",\"search\":\"no\",\"search_regexp\":\"x\","
                 "\"replace\":\"$0$0\"}]}",
                 "a=x", "a=xx");
}

static void
changes_of_a_query_have_an_order(void **state)
{
    expect_query(
        *state,
        "{\"delete\":[\"d\"],\"replace\":[{\"key\":\"c\",\"search\":\"1\",\"replace\":\"2\"}],"
        "\"add\":[{\"key\":\"c\",\"val\":\"1\"},{\"key\":\"d\",\"val\":\"0\"}],"
        "\"set\":[{\"key\":\"b\",\"val\":\"1\"}],"
        "\"rename\":[{\"key\":\"a\",\"val\":\"b\"}]}",
        "a=9", "b=1&c=2");
}

/* --- header values --- */

static void
a_search_is_read(void **state)
{
    struct rewrite *rewrite = *state;
    struct rewrite_search search;
    struct error error;
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(rewrite_read_search(rewrite,
                                         STR("{\"name\":\" X-* \",\"search\":\"a\",\"other\":null,"
                                             "\"replace\":\"\\u00e9\"}"),
                                         &search, &error),
                     0);
    assert_true(str_eq(search.name, STR("X-*")));
    assert_int_equal(rewrite_value(rewrite, &search, STR("bab"), &out, &error), 1);
    assert_true(str_eq(buf_str(&out), STR("b\xc3\xa9"
                                          "b")));
    assert_int_equal(rewrite_value(rewrite, &search, STR("bbb"), &out, &error), 0);
    assert_int_equal(out.len, 4);
    buf_deinit(&out);
    expect_error(rewrite_read_search(rewrite, STR("{\"search\":\"a\"}"), &search, &error), &error,
                 "its argument has no name");
    expect_error(
        rewrite_read_search(rewrite, STR("{\"name\":\"a\",\"search\":\"\"}"), &search, &error),
        &error, "its argument has neither search nor search_regexp");
    expect_error(rewrite_read_search(rewrite, STR("{\"name\":\"a\",\"search_regexp\":\"(\"}"),
                                     &search, &error),
                 &error, "the regular expression has a group without its ) at offset 1");
}

/* --- mistakes and ceilings --- */

#define WRONG_JSON                                                                \
    "its argument is not the JSON object that it should be, or has more than 64 " \
    "changes of a kind"

static void
what_is_no_such_object_is_refused(void **state)
{
    struct rewrite *rewrite = *state;
    struct rewrite_search search;
    struct error error;
    struct str bad[] = {
        STR(""),
        STR("null"),
        STR("[]"),
        STR("{"),
        STR("{}x"),
        STR("{\"strip_path_prefix\":1,\"rename\":1,\"name\":1}"),
        STR("{\"uri_substring\":{},\"set\":{},\"search\":[]}"),
        STR("{\"uri_substring\":[1],\"set\":[1],\"replace\":1}"),
        STR("{\"path_regexp\":[{\"find\":null}],\"add\":[{\"key\":0}],\"name\":{}}"),
        STR("{\"uri_substring\":[{\"limit\":\"1\"}],\"delete\":[{}],\"name\":[]}")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_error(rewrite_uri(rewrite, bad[i], STR("/"), STR(""), &error), &error, WRONG_JSON);
        expect_error(rewrite_query(rewrite, bad[i], STR(""), &error), &error, WRONG_JSON);
        expect_error(rewrite_read_search(rewrite, bad[i], &search, &error), &error, WRONG_JSON);
    }
    expect_error(rewrite_uri(rewrite, STR("{\"path_regexp\":[{\"find\":\"[\"}]}"), STR("/"),
                             STR(""), &error),
                 &error, "the regular expression has a class without its ] at offset 1");
    expect_error(
        rewrite_query(rewrite, STR("{\"replace\":[{\"search_regexp\":\"+\"}]}"), STR(""), &error),
        &error, "the regular expression has a repetition of nothing at offset 1");
    expect_error(rewrite_query(rewrite, STR("{\"replace\":[{\"key\":\"a\"}]}"), STR(""), &error),
                 &error, "a replacement has neither search nor search_regexp");
}

static struct str
repeat(struct buf *out, const char *before, const char *part, unsigned count, const char *after)
{
    buf_clear(out);
    buf_append(out, str_from_cstr(before));
    for (unsigned i = 0; i < count; i++)
        buf_append(out, str_from_cstr(part));
    buf_append(out, str_from_cstr(after));
    return buf_str(out);
}

#define TOO_LONG "what it makes is longer than 65536 bytes, or there is no memory"

static void
changes_have_ceilings(void **state)
{
    struct rewrite *rewrite = *state;
    struct error error;
    struct buf json, text;
    buf_init(&json, 1 << 20);
    buf_init(&text, 1 << 20);
    expect_error(rewrite_uri(rewrite, repeat(&json, "{\"a\":\"", "x", SCRIPT_CHANGES_MAX, "\"}"),
                             STR("/"), STR(""), &error),
                 &error, "the JSON is longer than 65536 bytes");
    const char *one = "{\"find\":\"x\",\"replace\":\"xx\"},";
    expect_error(rewrite_uri(rewrite,
                             repeat(&json, "{\"uri_substring\":[", one, 64, "{\"find\":\"y\"}]}"),
                             STR("/"), STR(""), &error),
                 &error, WRONG_JSON);
    /* 2^63 of them. */
    expect_error(rewrite_uri(rewrite,
                             repeat(&json, "{\"uri_substring\":[", one, 63, "{\"find\":\"y\"}]}"),
                             STR("/x"), STR(""), &error),
                 &error, TOO_LONG);
    expect_error(rewrite_uri(rewrite,
                             repeat(&json, "{\"uri_substring\":[", one, 63, "{\"find\":\"y\"}]}"),
                             STR("/"), STR("x"), &error),
                 &error, TOO_LONG);
    expect_error(rewrite_uri(rewrite,
                             STR("{\"strip_path_prefix\":\"/y\",\"strip_path_suffix\":\"y\"}"),
                             repeat(&text, "/", "x", SCRIPT_TARGET_MAX, ""), STR(""), &error),
                 &error, TOO_LONG);
    expect_error(rewrite_query(rewrite, STR("{}"),
                               repeat(&text, "", "&a", SCRIPT_QUERY_PARAMS_MAX + 1, ""), &error),
                 &error, "the query has more than 4096 parameters, or too much text");
    assert_int_equal(rewrite_query(rewrite, STR("{}"),
                                   repeat(&text, "", "&a", SCRIPT_QUERY_PARAMS_MAX, ""), &error),
                     0);
    expect_error(rewrite_query(rewrite, STR("{\"add\":[{\"key\":\"b\"}]}"), buf_str(&text), &error),
                 &error, "the query has more than 4096 parameters, or too much text");
    expect_error(rewrite_query(rewrite, STR("{}"), repeat(&text, "", "!", 30000, ""), &error),
                 &error, TOO_LONG);
    expect_error(rewrite_query(rewrite, STR("{}"), repeat(&text, "", "%ff", 30000, ""), &error),
                 &error, "the query has more than 4096 parameters, or too much text");
    buf_deinit(&json);
    buf_deinit(&text);
}

/* Steps are counted over all expressions of a call, and begin anew with the next. */
static void
expressions_have_their_steps(void **state)
{
    struct rewrite *rewrite = *state;
    struct error error;
    struct buf path, json;
    buf_init(&path, 1 << 20);
    buf_init(&json, 1 << 20);
    repeat(&path, "/", "a", 8000, "");
    path.ptr[buf_reserve(&path, 1) - path.ptr] = '\0'; /* a C string, too */
    const char *one = "{\"find\":\"(a|aa)+b\"},";
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(rewrite_uri(rewrite, STR("{\"path_regexp\":[{\"find\":\"(a|aa)+b\"}]}"),
                                     buf_str(&path), STR(""), &error),
                         0);
    for (unsigned i = 0; i < 3; i++) {
        expect_error(rewrite_uri(rewrite, repeat(&json, "{\"path_regexp\":[", one, 10, "{}]}"),
                                 buf_str(&path), STR(""), &error),
                     &error, "the regular expression takes too many steps for this text");
        expect_uri(rewrite, "{\"path_regexp\":[{\"find\":\"a+\",\"replace\":\"b\"}]}", path.ptr, "",
                   "/b?");
    }
    buf_deinit(&json);
    buf_deinit(&path);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_path_without_detours),
        TEST(prefixes_are_stripped),
        TEST(suffixes_are_stripped),
        TEST(substrings_are_replaced_in_path_and_query),
        TEST(expressions_are_replaced_in_the_path),
        TEST(changes_of_a_uri_have_an_order),
        TEST(parameters_are_renamed_set_added_and_deleted),
        TEST(values_are_replaced),
        TEST(changes_of_a_query_have_an_order),
        TEST(a_search_is_read),
        TEST(what_is_no_such_object_is_refused),
        TEST(changes_have_ceilings),
        TEST(expressions_have_their_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
