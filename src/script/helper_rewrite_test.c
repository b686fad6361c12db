/* Helpers that rewrite the request's target: what they change is tested in rewrite_test.c. */
#include "script/request_test_run.h"

static struct scene *
with(void **state, const char *head)
{
    struct scene *scene = *state;
    scene_set_head(scene, head);
    return scene;
}

static void
paths_are_rewritten(void **state)
{
    struct scene *scene = with(state, "GET /api//v1/x.php?a=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    change(scene, zs_req_rewrite_uri,
           STR("{\"strip_path_prefix\":\"/api\",\"strip_path_suffix\":\".php\"}"));
    assert_string_equal(text_of(scene, zs_req_uri), "/v1/x?a=1");
    assert_string_equal(text_of(scene, zs_req_normalized_path), "/v1/x");
    change(scene, zs_req_rewrite_uri,
           STR("{\"uri_substring\":[{\"find\":\"1\",\"replace\":\"2\"}],"
               "\"path_regexp\":[{\"find\":\"/x$\",\"replace\":\"/y%20z/\"}]}"));
    assert_string_equal(text_of(scene, zs_req_uri), "/v2/y%20z/?a=2");
    assert_string_equal(text_of(scene, zs_req_normalized_path), "/v2/y z");
    check_input(scene, zs_req_rewrite_uri);
}

static void
queries_are_rewritten(void **state)
{
    struct scene *scene = with(state, "GET /a//b?y=2&x=1&z HTTP/1.1\r\nHost: a\r\n\r\n");
    change(scene, zs_req_rewrite_query,
           STR("{\"add\":[{\"key\":\"w\",\"val\":\"#&\"}],\"delete\":[\"y\"]}"));
    assert_string_equal(text_of(scene, zs_req_query), "w=%23%26&x=1&z=");
    assert_string_equal(text_of(scene, zs_req_path), "/a/b");
    assert_true(str_eq(script_request_target(&scene->task), STR("/a//b?w=%23%26&x=1&z=")));
    change(scene, zs_req_rewrite_query, STR("{\"delete\":[\"w\",\"x\",\"z\"]}"));
    assert_string_equal(text_of(scene, zs_req_uri), "/a/b");
    check_input(scene, zs_req_rewrite_query);
}

static void
an_absolute_target_becomes_a_path(void **state)
{
    struct scene *scene = with(state, "GET http://a.test/x/y HTTP/1.1\r\nHost: a.test\r\n\r\n");
    change(scene, zs_req_rewrite_uri, STR("{\"strip_path_prefix\":\"/x\"}"));
    assert_true(str_eq(script_request_target(&scene->task), STR("/y")));
}

/* What is made may not be a target: then nothing has changed. */
static void
only_targets_are_made(void **state)
{
    struct scene *scene = with(state, "GET /a/b?c HTTP/1.1\r\nHost: a\r\n\r\n");
    static const struct {
        const char *replace, *why;
    } cases[] = {
        {"#", "zs_req_rewrite_uri: the target would have a '#'"},
        {" ", "zs_req_rewrite_uri: the target is no path, or has characters that must be encoded"},
        {"\\r\\n", "zs_req_rewrite_uri: the target is no path, or has characters that must be "
                   "encoded"},
        {"%", "zs_req_rewrite_uri: the target has a path with a bad escape, that leaves the root, "
              "or that is not UTF-8"},
        {"%2f",
         "zs_req_rewrite_uri: the target has a path with a bad escape, that leaves the root, "
         "or that is not UTF-8"},
        {"/../../..",
         "zs_req_rewrite_uri: the target has a path with a bad escape, that leaves the "
         "root, or that is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char changes[128];
        snprintf(changes, sizeof changes, "{\"path_regexp\":[{\"find\":\"b\",\"replace\":\"%s\"}]}",
                 cases[i].replace);
        give(scene, zs_req_rewrite_uri, str_from_cstr(changes));
        expect_trap(scene, cases[i].why);
        assert_string_equal(text_of(scene, zs_req_uri), "/a/b?c");
        assert_false(scene->task.request.target_changed);
    }
    /* A query that comes out of the path is one. */
    change(scene, zs_req_rewrite_uri,
           STR("{\"path_regexp\":[{\"find\":\"/b\",\"replace\":\"?b\"}]}"));
    assert_string_equal(text_of(scene, zs_req_uri), "/a?b?c");
}

static void
mistakes_trap(void **state)
{
    struct scene *scene = with(state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    give(scene, zs_req_rewrite_uri, STR("[]"));
    expect_trap(scene, "zs_req_rewrite_uri: its argument is not the JSON object that it should be, "
                       "or has more than 64 changes of a kind");
    give(scene, zs_req_rewrite_query, STR(""));
    expect_trap(scene, "zs_req_rewrite_query: its argument is not the JSON object that it should "
                       "be, or has more than 64 changes of a kind");
    give(scene, zs_req_rewrite_uri, STR("{\"path_regexp\":[{\"find\":\"(\"}]}"));
    expect_trap(scene, "zs_req_rewrite_uri: the regular expression has a group without its ) at "
                       "offset 1");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(paths_are_rewritten),
        TEST(queries_are_rewritten),
        TEST(an_absolute_target_becomes_a_path),
        TEST(only_targets_are_made),
        TEST(mistakes_trap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
