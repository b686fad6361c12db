/* Helpers for the request's method, target and query. */
#include "script/request_test_run.h"

#define HEAD(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n\r\n"

static struct scene *
with(void **state, const char *head)
{
    struct scene *scene = *state;
    scene_set_head(scene, head);
    return scene;
}

/* --- method --- */

static void
the_method_is_read_and_set(void **state)
{
    struct scene *scene = with(state, "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n");
    check_output(scene, zs_req_method, "PATCH");
    change(scene, zs_req_set_method, STR(" POST\n"));
    check_output(scene, zs_req_method, "POST");
    change(scene, zs_req_set_method, STR("x-Own"));
    assert_string_equal(text_of(scene, zs_req_method), "x-Own");
    check_input(scene, zs_req_set_method);
    assert_string_equal(text_of(scene, zs_req_method), "x-Own");
}

static void
what_is_no_method_is_refused(void **state)
{
    struct scene *scene = with(state, HEAD("/"));
    static const char no_token[] = "zs_req_set_method: the method is no token of at most 64 bytes";
    struct str bad[] = {STR(""),       STR("  "), STR("GET /"),
                        STR("G\r\nX"), STR("G:"), STR("\xc3\xa9")};
    char longest[66];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        give(scene, zs_req_set_method, bad[i]);
        expect_trap(scene, no_token);
    }
    memset(longest, 'A', sizeof longest);
    change(scene, zs_req_set_method, str_make(longest, 64));
    give(scene, zs_req_set_method, str_make(longest, 65));
    expect_trap(scene, no_token);
    give(scene, zs_req_set_method, STR("CONNECT"));
    expect_trap(scene, "zs_req_set_method: a request cannot become CONNECT, which has no path");
    assert_int_equal(strlen(text_of(scene, zs_req_method)), 64);
}

/* --- path --- */

struct path_case {
    const char *target, *path, *normalized, *uri, *query;
};

static void
check_target(struct scene *scene, const struct path_case *expected)
{
    assert_string_equal(text_of(scene, zs_req_path), expected->path);
    assert_string_equal(text_of(scene, zs_req_normalized_path), expected->normalized);
    assert_string_equal(text_of(scene, zs_req_uri), expected->uri);
    assert_string_equal(text_of(scene, zs_req_query), expected->query);
}

static const struct path_case path_cases[] = {
    {"/", "/", "/", "/", ""},
    {"/a/b.html", "/a/b.html", "/a/b.html", "/a/b.html", ""},
    {"/a/?x=1&y=%20", "/a/", "/a", "/a/?x=1&y=%20", "x=1&y=%20"},
    {"/a?", "/a", "/a", "/a?", ""},
    {"/a%20b/%c3%a9", "/a%20b/%c3%a9", "/a b/\xc3\xa9", "/a%20b/%c3%a9", ""},
    {"//a//b//?q", "/a/b/", "/a/b", "/a/b/?q", "q"},
    {"/a/./b/../c%41?q", "/a/c%41", "/a/cA", "/a/c%41?q", "q"},
    {"/a/%2E%2e/b/%2e", "/b/", "/b", "/b/", ""},
    {"/a/..", "/", "/", "/", ""},
    {"/.../..a/.b", "/.../..a/.b", "/.../..a/.b", "/.../..a/.b", ""},
    {"/a?b?/../c", "/a", "/a", "/a?b?/../c", "b?/../c"},
};

static void
paths_are_cleaned_and_decoded(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof path_cases / sizeof *path_cases; i++) {
        char head[256];
        snprintf(head, sizeof head, HEAD("%s"), path_cases[i].target);
        scene_set_head(scene, head);
        script_request_clear(&scene->task.request);
        check_target(scene, &path_cases[i]);
        check_target(scene, &path_cases[i]); /* what was kept is the same */
    }
    check_output(with(state, HEAD("/ab%20c//d?e")), zs_req_uri, "/ab%20c/d?e");
    script_request_clear(&scene->task.request);
    check_output(with(state, HEAD("/ab%20c/d")), zs_req_path, "/ab%20c/d");
    check_output(scene, zs_req_normalized_path, "/ab c/d");
    check_output(with(state, HEAD("/?query")), zs_req_query, "query");
}

static void
an_absolute_target_is_its_path(void **state)
{
    struct scene *scene = with(state, HEAD("http://a.test:80/x/../y?z"));
    check_target(scene, &(struct path_case){NULL, "/y", "/y", "/y?z", "z"});
    scene_set_head(scene, HEAD("http://a.test?z"));
    script_request_clear(&scene->task.request);
    check_target(scene, &(struct path_case){NULL, "/", "/", "/?z", "z"});
}

static void
a_target_that_was_set_is_read(void **state)
{
    struct scene *scene = with(state, HEAD("/before/?query"));
    for (size_t i = 0; i < sizeof path_cases / sizeof *path_cases; i++) {
        change(scene, zs_req_set_uri, str_from_cstr(path_cases[i].target));
        check_target(scene, &path_cases[i]);
    }
    check_input(scene, zs_req_set_uri);
}

static void
other_forms_become_paths(void **state)
{
    struct scene *scene = with(state, HEAD("/"));
    static const struct {
        const char *given, *uri;
    } cases[] = {
        {"leaf.txt", "/leaf.txt"},
        {"leaf.txt?a=b", "/leaf.txt?a=b"},
        {"?a=b", "/?a=b"},
        {" /a b"
         "\t",
         NULL},
        {"  /a\n", "/a"},
        {"/a#b", "/a"},
        {"/a?b#c?d", "/a?b"},
        {"http://other.test/p?q", "/p?q"},
        {"HTTPS://other.test", "/"},
        {"a:b", "/a:b"},
        {"*", "/*"},
        {"", NULL},
        {"#", NULL},
        {"ftp://other.test/p", NULL},
        {"http:///p", NULL},
        {"/a\x01", NULL},
        {"/a\x7f", NULL},
        {"/%", NULL},
        {"/%2f", NULL},
        {"/%00", NULL},
        {"/..", NULL},
        {"/%ff", NULL},
        {"/\xc3\xa9", "/\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        change(scene, zs_req_set_uri, STR("/unchanged"));
        give(scene, zs_req_set_uri, str_from_cstr(cases[i].given));
        if (scene->trapped != !cases[i].uri)
            fail_msg("%s: %s", cases[i].given, scene->trap);
        if (scene->trapped)
            assert_int_equal(strncmp(scene->trap, "zs_req_set_uri: the target ", 27), 0);
        assert_string_equal(text_of(scene, zs_req_uri), cases[i].uri ? cases[i].uri : "/unchanged");
    }
}

static void
a_target_has_a_ceiling(void **state)
{
    struct scene *scene = with(state, HEAD("/"));
    memset(scene->memory, 'a', SCRIPT_TARGET_MAX + 1);
    scene->memory[0] = '/';
    assert_int_equal(call(scene, zs_req_set_uri, scene_at(0), SCRIPT_TARGET_MAX, 0, 0), 0);
    assert_false(scene->trapped);
    call(scene, zs_req_set_uri, scene_at(0), SCRIPT_TARGET_MAX + 1, 0, 0);
    expect_trap(scene, "zs_req_set_uri: the target is longer than 64 KiB, or there is no memory");
    assert_int_equal(call(scene, zs_req_uri, scene_at(OUT), OUT_LEN, 0, 0), OUT_LEN);
}

/* --- query --- */

static void
parameters_are_decoded(void **state)
{
    struct scene *scene = with(
        state, HEAD("/?a=1&&b=x+y%2B%c3%a9&a=2&c&=no+name&d%65=%zz%4&e=%ff%c3%28&%20f=g&h=%00i"));
    check_named_output(scene, zs_req_query_param, STR("b"), "x y+\xc3\xa9");
    assert_string_equal(text_named(scene, zs_req_query_param, STR("a")), "1");
    assert_string_equal(text_named(scene, zs_req_query_param, STR("c")), "");
    assert_string_equal(text_named(scene, zs_req_query_param, STR(" de\t")), "%zz%4");
    assert_string_equal(text_named(scene, zs_req_query_param, STR("e")),
                        "\xef\xbf\xbd\xef\xbf\xbd(");
    assert_string_equal(text_named(scene, zs_req_query_param, STR("missing")), "");
    assert_string_equal(text_named(scene, zs_req_query_param, STR("A")), "");
    put(scene, IN, STR("h"));
    assert_int_equal(call(scene, zs_req_query_param, scene_at(IN), 1, scene_at(OUT), 8), 2);
    assert_memory_equal(scene->memory + OUT, "\0i", 3);
    change(scene, zs_req_set_uri, STR("/?a=3"));
    assert_string_equal(text_named(scene, zs_req_query_param, STR("a")), "3");
}

static bool
matches(struct scene *scene, struct str name, struct str value)
{
    uint64_t result = give_two(scene, zs_req_query_param_matches, name, value);
    assert_false(scene->trapped);
    assert_in_range(result, 0, 1);
    return result;
}

static void
any_value_of_a_parameter_can_match(void **state)
{
    struct scene *scene = with(state, HEAD("/?a=1&b=%2a&a=x+y&c&=z"));
    assert_true(matches(scene, STR("a"), STR("1")));
    assert_true(matches(scene, STR(" a "), STR("x y")));
    assert_false(matches(scene, STR("a"), STR("x+y")));
    assert_false(matches(scene, STR("a"), STR(" 1")));
    assert_false(matches(scene, STR("a"), STR("")));
    assert_true(matches(scene, STR("a"), STR("*")));
    assert_true(matches(scene, STR("b"), STR("*")));
    assert_true(matches(scene, STR("c"), STR("")));
    assert_true(matches(scene, STR("c"), STR("*")));
    assert_true(matches(scene, STR(""), STR("z")));
    assert_false(matches(scene, STR("d"), STR("*")));
    call(scene, zs_req_query_param_matches, 0, 1, 0, 0);
    expect_bad_memory(scene);
    call(scene, zs_req_query_param_matches, scene_at(IN), 1, scene_at(SCENE_MEMORY), 1 << 20);
    expect_bad_memory(scene);
    give_two(scene, zs_req_query_param_matches, STR("a"), STR("\xff"));
    expect_trap(scene, "zs_req_query_param_matches: value is not UTF-8");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_method_is_read_and_set),
        TEST(what_is_no_method_is_refused),
        TEST(paths_are_cleaned_and_decoded),
        TEST(an_absolute_target_is_its_path),
        TEST(a_target_that_was_set_is_read),
        TEST(other_forms_become_paths),
        TEST(a_target_has_a_ceiling),
        TEST(parameters_are_decoded),
        TEST(any_value_of_a_parameter_can_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
