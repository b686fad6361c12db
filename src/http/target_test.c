#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/target.h"

#define assert_str(actual, expected)                                               \
    do {                                                                           \
        struct str actual_ = (actual), expected_ = str_from_cstr(expected);        \
        if (!str_eq(actual_, expected_))                                           \
            fail_msg("got \"%.*s\", wanted \"%s\"", STR_ARG(actual_), (expected)); \
    } while (0)

/* Normalises exactly sized heap copies, so that a sanitizer sees a step over either end. The result
 * is good until the next call. */
static bool
normalize(struct str raw, struct str *out)
{
    static char kept[8192];
    char *path = malloc(raw.len ? raw.len : 1), *scratch = malloc(raw.len + 1);
    memcpy(path, raw.ptr, raw.len);
    bool ok = target_normalize_path(str_make(path, raw.len), scratch, out);
    if (ok) {
        assert_in_range(out->len, 1, sizeof(kept));
        memcpy(kept, out->ptr, out->len);
        out->ptr = kept;
    }
    free(path);
    free(scratch);
    return ok;
}

static void
test_normal_forms(void **state)
{
    static const char *const cases[][2] = {
        {"/", "/"},
        {"//", "/"},
        {"/.", "/"},
        {"/./", "/"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/../b", "/b"},
        {"/a/b/..", "/a/"},
        {"/a/b/../", "/a/"},
        {"/a/b/../c", "/a/c"},
        {"/a/b/../../c", "/c"},
        {"/a/./b", "/a/b"},
        {"/./a", "/a"},
        {"//a///b", "/a/b"},
        {"/a//", "/a/"},
        {"/a/.//", "/a/"},
        {"/a//..", "/"},
        {"/a//../b", "/b"},
        {"/%61", "/a"},
        {"/%2e", "/"},
        {"/a/%2E%2e", "/"},
        {"/a/.%2e/b", "/b"},
        {"/a/%2e%2e%2e", "/a/..."},
        {"/%252e%252e", "/%2e%2e"},
        {"/%25", "/%"},
        {"/%3Fx%23", "/?x#"},
        {"/a%20b", "/a b"},
        {"/a%0ab", "/a\nb"},
        {"/%C3%A9/", "/\xc3\xa9/"},
        {"/\xc3\xa9/./x", "/\xc3\xa9/x"},
        {"/\xc3%A9", "/\xc3\xa9"},
        {"/..a/b../.c/...", "/..a/b../.c/..."},
        {"/a\\..\\b/.", "/a\\..\\b/"},
        {"/index.html", "/index.html"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct str out;
        if (!normalize(str_from_cstr(cases[i][0]), &out))
            fail_msg("refused \"%s\"", cases[i][0]);
        assert_str(out, cases[i][1]);
    }
}

static void
test_refused_paths(void **state)
{
    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT("a"),
        STR_INIT("*"),
        STR_INIT("/.."),
        STR_INIT("/../a"),
        STR_INIT("/a/../.."),
        STR_INIT("/a/../../b"),
        STR_INIT("/./.."),
        STR_INIT("//../"),
        STR_INIT("/%2e%2e/etc/passwd"),
        STR_INIT("/a%2fb"),
        STR_INIT("/a%2Fb"),
        STR_INIT("/..%2f"),
        STR_INIT("/%00"),
        STR_INIT("/a\0b"),
        STR_INIT("/a%"),
        STR_INIT("/a%4"),
        STR_INIT("/a%4/1"),
        STR_INIT("/a%4g"),
        STR_INIT("/a%g4"),
        STR_INIT("/a%%41"),
        STR_INIT("/%u0041"),
        STR_INIT("/%ff"),
        STR_INIT("/\xff"),
        STR_INIT("/%c0%ae%c0%ae/x"), /* overlong "." */
        STR_INIT("/\xc0\xaf"),       /* overlong "/" */
        STR_INIT("/%ed%a0%80"),      /* a surrogate */
        STR_INIT("/%f4%90%80%80"),
        STR_INIT("/%c3/%a9"), /* a character over two segments */
        STR_INIT("/\xc3/\xa9"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct str out;
        if (normalize(cases[i], &out))
            fail_msg("accepted \"%.*s\" as \"%.*s\"", STR_ARG(cases[i]), STR_ARG(out));
    }
}

static void
test_clean_path_is_not_copied(void **state)
{
    static const char *const cases[] = {
        "/",        "/a",        "/a/",  "/index.html", "/.well-known/x",
        "/..a/...", "/\xc3\xa9", "/a?b", "/a\\b"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct str out, path = str_from_cstr(cases[i]);
        assert_true(target_normalize_path(path, NULL, &out));
        assert_ptr_equal(out.ptr, path.ptr);
        assert_int_equal(out.len, path.len);
    }
}

static void
test_long_climb_is_linear_and_right(void **state)
{
    char raw[6000];
    struct str out;
    size_t len = 0;
    for (int i = 0; i < 1000; i++)
        len += (size_t)sprintf(raw + len, "/a");
    for (int i = 0; i < 999; i++)
        len += (size_t)sprintf(raw + len, "/..");
    assert_true(normalize(str_make(raw, len), &out));
    assert_str(out, "/a/");
}

static void
test_origin_form(void **state)
{
    struct target t;
    assert_true(target_parse(STR("/a/b?x=1?y"), HTTP_METHOD_GET, &t));
    assert_int_equal(t.form, TARGET_ORIGIN);
    assert_str(t.path, "/a/b");
    assert_str(t.query, "x=1?y");
    assert_true(t.has_query);
    assert_int_equal(t.authority.len, 0);

    assert_true(target_parse(STR("/a?"), HTTP_METHOD_GET, &t));
    assert_true(t.has_query);
    assert_int_equal(t.query.len, 0);

    assert_true(target_parse(STR("//host/\xc3\xa9"), HTTP_METHOD_OTHER, &t));
    assert_int_equal(t.form, TARGET_ORIGIN);
    assert_str(t.path, "//host/\xc3\xa9");
    assert_false(t.has_query);
}

static void
test_absolute_form(void **state)
{
    struct target t;
    assert_true(target_parse(STR("http://h"), HTTP_METHOD_GET, &t));
    assert_int_equal(t.form, TARGET_ABSOLUTE);
    assert_str(t.scheme, "http");
    assert_str(t.authority, "h");
    assert_str(t.path, "/");
    assert_false(t.has_query);

    assert_true(target_parse(STR("HTTP://h:80/x?q"), HTTP_METHOD_GET, &t));
    assert_str(t.scheme, "HTTP");
    assert_str(t.authority, "h:80");
    assert_str(t.path, "/x");
    assert_str(t.query, "q");

    assert_true(target_parse(STR("https://[::1]:8443?q/r"), HTTP_METHOD_GET, &t));
    assert_str(t.scheme, "https");
    assert_str(t.authority, "[::1]:8443");
    assert_str(t.path, "/");
    assert_str(t.query, "q/r");
}

static void
test_asterisk_and_authority_forms(void **state)
{
    struct target t;
    assert_true(target_parse(STR("*"), HTTP_METHOD_OPTIONS, &t));
    assert_int_equal(t.form, TARGET_ASTERISK);
    assert_str(t.path, "*");
    assert_false(target_parse(STR("*"), HTTP_METHOD_GET, &t));
    assert_false(target_parse(STR("*a"), HTTP_METHOD_OPTIONS, &t));

    assert_true(target_parse(STR("h.example:443"), HTTP_METHOD_CONNECT, &t));
    assert_int_equal(t.form, TARGET_AUTHORITY);
    assert_str(t.authority, "h.example:443");
    assert_int_equal(t.path.len, 0);
    assert_true(target_parse(STR("[::1]:443"), HTTP_METHOD_CONNECT, &t));
    static const char *const refused[] = {"h", "h:", "[::1]", ":443", "/x", "u@h:1", "h:70000"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        assert_false(target_parse(str_from_cstr(refused[i]), HTTP_METHOD_CONNECT, &t));
}

static void
test_refused_targets(void **state)
{
    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT("a"),
        STR_INIT("h:80"),
        STR_INIT("/a b"),
        STR_INIT("/a\tb"),
        STR_INIT("/a\0b"),
        STR_INIT("/a\x7f"),
        STR_INIT("/a#b"),
        STR_INIT("/a?b#c"),
        STR_INIT("/a?b c"),
        STR_INIT("/a?\x7f"),
        STR_INIT("ftp://h/"),
        STR_INIT("http:/h"),
        STR_INIT("http:h"),
        STR_INIT("http"),
        STR_INIT("http:"),
        STR_INIT("http://"),
        STR_INIT("http:///x"),
        STR_INIT("http://?q"),
        STR_INIT("http://u@h/"),
        STR_INIT("http://u:p@h/"),
        STR_INIT("http://h#f"),
        STR_INIT("http://h/#f"),
        STR_INIT("http://h:x/"),
        STR_INIT("httpx://h/"),
        STR_INIT("://h/"),
        STR_INIT("http://h /"),
        STR_INIT("http://\xc3\xa9/"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct target t;
        if (target_parse(cases[i], HTTP_METHOD_GET, &t))
            fail_msg("accepted \"%.*s\"", STR_ARG(cases[i]));
    }
}

static void
test_hosts(void **state)
{
    static const char *const good[] = {
        "",
        "a",
        "example.com",
        "example.com:80",
        "a:",
        "a:0",
        "a:65535",
        "a:00080",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:443",
        "[1:2:3:4:5:6:7:8]",
        "[::ffff:1.2.3.4]:1",
        "[::]:",
        "a_b-c~d",
        "a%41b",
        "%c3%a9:1",
        "a,b;c=d!$&'()*+",
        "999.1.1.1",
    };
    static const struct str bad[] = {
        STR_INIT(":"),
        STR_INIT(":80"),
        STR_INIT("a:65536"),
        STR_INIT("a:80:80"),
        STR_INIT("a:x"),
        STR_INIT("a:-1"),
        STR_INIT("a: 1"),
        STR_INIT("a b"),
        STR_INIT("a/b"),
        STR_INIT("u@h"),
        STR_INIT("a?b"),
        STR_INIT("a#b"),
        STR_INIT("a\\b"),
        STR_INIT("[::1"),
        STR_INIT("::1"),
        STR_INIT("[]"),
        STR_INIT("[1.2.3.4]"),
        STR_INIT("[::1]80"),
        STR_INIT("[::1]]"),
        STR_INIT("[::g]"),
        STR_INIT("[fe80::1%25eth0]"),
        STR_INIT("[v1.x]"),
        STR_INIT("a[::1]"),
        STR_INIT("a%4"),
        STR_INIT("a%"),
        STR_INIT("%zz"),
        STR_INIT("\xc3\xa9"),
        STR_INIT("a\0"),
        STR_INIT("[::1\0]"),
        STR_INIT("<a>"),
        STR_INIT("a\""),
        STR_INIT("a%41:b"),
        STR_INIT("[1:2:3:4:5:6:7:8:9]"),
        STR_INIT("a:99999999999999999999"),
        STR_INIT("["),
        STR_INIT("[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"),
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        if (!target_host_is_valid(str_from_cstr(good[i])))
            fail_msg("refused \"%s\"", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (target_host_is_valid(bad[i]))
            fail_msg("accepted \"%.*s\"", STR_ARG(bad[i]));
}

static void
test_host_names(void **state)
{
    assert_str(target_host_name(STR("[::1]:80")), "::1");
    assert_str(target_host_name(STR("[::1]")), "::1");
    assert_str(target_host_name(STR("a.b:80")), "a.b");
    assert_str(target_host_name(STR("a.b")), "a.b");
    assert_str(target_host_name(STR("a.b:")), "a.b");
    assert_str(target_host_name(STR("")), "");
    assert_str(target_host_name(STR("[")), "");
}

static void
test_encoded_paths(void **state)
{
    static const char *const cases[][2] = {
        {"/", "/"},
        {"/a b", "/a%20b"},
        {"/?#%[]\"<>\\^`{|}", "/%3F%23%25%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D"},
        {"/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@"},
        {"/\xc3\xa9", "/%C3%A9"},
        {"/\r\n", "/%0D%0A"},
        {"//evil.example/x", "/evil.example/x"},
        {"///", "/"},
        {"/a//b", "/a//b"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct str path = str_from_cstr(cases[i][0]);
        char *out = malloc(path.len * 3 + !path.len);
        assert_str(str_make(out, target_encode_path(path, out)), cases[i][1]);
        free(out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_forms),
        cmocka_unit_test(test_refused_paths),
        cmocka_unit_test(test_clean_path_is_not_copied),
        cmocka_unit_test(test_long_climb_is_linear_and_right),
        cmocka_unit_test(test_origin_form),
        cmocka_unit_test(test_absolute_form),
        cmocka_unit_test(test_asterisk_and_authority_forms),
        cmocka_unit_test(test_refused_targets),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_host_names),
        cmocka_unit_test(test_encoded_paths),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
