/* Helpers for the request's header fields. */
#include "script/request_test_run.h"

#include "base/buf.h"

#define HEAD                                                                            \
    "GET / HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\nAccept: text/html\r\nx-one:  2 \r\n" \
    "Cookie: a=1; b=2\r\nX-Other: \xc3\xa9\r\nEmpty:\r\n\r\n"

static struct scene *
with(void **state, const char *head)
{
    struct scene *scene = *state;
    scene_set_head(scene, head);
    return scene;
}

/* All fields, as scripts have left them. */
static void
expect_fields(struct scene *scene, const char *expected)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_true(scene->task.request.fields_changed);
    script_fields_write(&scene->task.request.fields, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.ptr, expected);
    buf_deinit(&out);
}

static const char *
header(struct scene *scene, const char *name)
{
    return text_named(scene, zs_req_header, str_from_cstr(name));
}

/* --- reading --- */

static void
check_reading(struct scene *scene)
{
    assert_string_equal(header(scene, "host"), "a.test");
    assert_string_equal(header(scene, "X-One"), "2");
    assert_string_equal(header(scene, "ACCEPT"), "text/html");
    assert_string_equal(header(scene, " x-other "), "\xc3\xa9");
    assert_string_equal(header(scene, "empty"), "");
    assert_string_equal(header(scene, "missing"), "");
    assert_string_equal(header(scene, "range"), "");
    assert_string_equal(header(scene, ":authority"), "");
    assert_string_equal(header(scene, "x-on"), "");
    assert_string_equal(header(scene, "cookie"), "a=1; b=2");
}

static void
fields_are_read_before_and_after_a_change(void **state)
{
    struct scene *scene = with(state, HEAD);
    check_reading(scene);
    check_named_output(scene, zs_req_header, STR("accept"), "text/html");
    check_named_output(scene, zs_req_header, STR("X-OTHER"), "\xc3\xa9");
    change_two(scene, zs_req_set_header, STR("X-New"), STR("new"));
    check_reading(scene);
    assert_string_equal(header(scene, "x-new"), "new");
    check_named_output(scene, zs_req_header, STR("accept"), "text/html");
}

static void
cookies_of_several_lines_are_one(void **state)
{
    struct scene *scene =
        with(state, "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX: y\r\n"
                    "cookie: b=\"2 \" ;c = 3;a=4;d\r\ncookie: e=f=g; ;=h\r\n\r\n");
    static const char all[] = "a=1; b=\"2 \" ;c = 3;a=4;d; e=f=g; ;=h";
    for (unsigned i = 0; i < 2; i++) {
        check_named_output(scene, zs_req_header, STR("Cookie"), all);
        assert_string_equal(text_named(scene, zs_req_cookie, STR("a")), "1");
        assert_string_equal(text_named(scene, zs_req_cookie, STR(" b ")), "\"2 \"");
        assert_string_equal(text_named(scene, zs_req_cookie, STR("c")), "3");
        assert_string_equal(text_named(scene, zs_req_cookie, STR("A")), "");
        assert_string_equal(text_named(scene, zs_req_cookie, STR("d")), "");
        assert_string_equal(text_named(scene, zs_req_cookie, STR("e")), "f=g");
        check_named_output(scene, zs_req_cookie, STR("b"), "\"2 \"");
        change_two(scene, zs_req_set_header, STR("other"), STR("x"));
    }
    scene_set_head(scene, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    script_request_clear(&scene->task.request);
    assert_string_equal(header(scene, "cookie"), "");
    assert_string_equal(text_named(scene, zs_req_cookie, STR("a")), "");
}

/* --- setting --- */

static void
fields_are_set_appended_and_removed(void **state)
{
    struct scene *scene = with(state, "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\nx: 3\r\n\r\n");
    change_two(scene, zs_req_set_header, STR(" x\t"), STR(" new "));
    expect_fields(scene, "Host: a\r\nX: new\r\nY: 2\r\n");
    change_two(scene, zs_req_append_header, STR("X"), STR("more"));
    expect_fields(scene, "Host: a\r\nX: new\r\nY: 2\r\nX: more\r\n");
    assert_string_equal(header(scene, "x"), "more");
    change_two(scene, zs_req_append_header, STR("Z"), STR(""));
    change_two(scene, zs_req_set_header, STR("x"), STR(""));
    expect_fields(scene, "Host: a\r\nY: 2\r\nZ: \r\n");
    change_two(scene, zs_req_set_header, STR("y"), STR("  "));
    expect_fields(scene, "Host: a\r\nY: \r\nZ: \r\n");
    change_two(scene, zs_req_set_header, STR("new"), STR("\xc3\xa9\ttab"));
    assert_string_equal(header(scene, "new"), "\xc3\xa9\ttab");
}

static void
what_is_no_field_traps(void **state)
{
    static bpf_helper_fn *const helpers[] = {zs_req_set_header, zs_req_append_header};
    static const char *const names[] = {"zs_req_set_header", "zs_req_append_header"};
    struct scene *scene = with(state, HEAD);
    char expected[256];
    for (unsigned i = 0; i < 2; i++) {
        struct str bad[] = {STR(""),   STR(" "),      STR("a b"),
                            STR("a:"), STR("a\r\nb"), STR("\xc3\xa9")};
        snprintf(expected, sizeof expected,
                 "%s: the name is no field name, or the value has control characters", names[i]);
        for (unsigned j = 0; j < sizeof bad / sizeof *bad; j++) {
            give_two(scene, helpers[i], bad[j], STR("x"));
            expect_trap(scene, expected);
        }
        give_two(scene, helpers[i], STR("a"), STR("b\r\nEvil: c"));
        expect_trap(scene, expected);
        give_two(scene, helpers[i], STR("a"), STR("b\0c"));
        expect_trap(scene, expected);
        give_two(scene, helpers[i], STR("a"), STR("\xff"));
        snprintf(expected, sizeof expected, "%s: value is not UTF-8", names[i]);
        expect_trap(scene, expected);
        give_two(scene, helpers[i], STR("\xff"), STR("b"));
        snprintf(expected, sizeof expected, "%s: name is not UTF-8", names[i]);
        expect_trap(scene, expected);
        call(scene, helpers[i], 0, 1, scene_at(IN), 1);
        expect_bad_memory(scene);
        put(scene, IN, STR("a"));
        call(scene, helpers[i], scene_at(IN), 1, 0, 1);
        expect_bad_memory(scene);
        call(scene, helpers[i], scene_at(IN), 1, scene_at(IN), UINT64_MAX);
        expect_bad_memory(scene);
        call(scene, helpers[i], scene_at(IN), 1, scene_at(IN), 1); /* name and value may be one */
        assert_false(scene->trapped);
    }
    give_two(scene, zs_req_set_header, STR("a b"), STR(""));
    expect_trap(scene, "zs_req_set_header: the name is no field name, or the value has control "
                       "characters");
    check_reading(scene);
}

static void
fields_have_ceilings(void **state)
{
    struct scene *scene = with(state, HEAD);
    static const char full[] = "zs_req_append_header: header fields need more than 65536 bytes, or "
                               "are more than 512";
    memset(scene->memory, 'a', 65 << 10);
    call(scene, zs_req_append_header, scene_at(0), 1, scene_at(0), 60 << 10);
    assert_false(scene->trapped);
    call(scene, zs_req_append_header, scene_at(0), 1, scene_at(0), 6 << 10);
    expect_trap(scene, full);
    call(scene, zs_req_set_header, scene_at(0), 2, scene_at(0), 6 << 10);
    assert_true(scene->trapped);
    change_two(scene, zs_req_set_header, STR("a"), STR(""));
    while (scene->task.request.fields.count < SCRIPT_FIELD_COUNT_MAX)
        assert_int_equal(script_fields_append(&scene->task.request.fields, STR("n"), STR("v")),
                         SCRIPT_FIELDS_OK);
    give_two(scene, zs_req_append_header, STR("n"), STR("v"));
    expect_trap(scene, full);
    check_reading(scene);
}

/* --- what scripts may not say --- */

#define POST \
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: keep-alive\r\nX: 5\r\n\r\n"

static void
the_length_of_the_body_stays(void **state)
{
    struct scene *scene = with(state, POST);
    struct str framing[] = {STR("content-length"), STR("Content-Length "),
                            STR("TRANSFER-ENCODING")};
    for (size_t i = 0; i < sizeof framing / sizeof *framing; i++) {
        give_two(scene, zs_req_set_header, framing[i], STR("0"));
        assert_true(scene->trapped && strstr(scene->trap, " says where the request's body ends"));
        give_two(scene, zs_req_append_header, framing[i], STR("chunked"));
        assert_true(scene->trapped && strstr(scene->trap, " says where the request's body ends"));
        change_two(scene, zs_req_set_header, framing[i], STR(""));
        assert_string_equal(header(scene, "content-length"), "5");
    }
    change(scene, zs_req_delete_header, STR("content-length"));
    change(scene, zs_req_replace_header,
           STR("{\"name\":\"*\",\"search\":\"5\",\"replace\":\"6\"}"));
    expect_fields(scene, "Host: a\r\nContent-Length: 5\r\nConnection: keep-alive\r\nX: 6\r\n");
    change_two(scene, zs_req_set_header, STR("Connection"), STR("close"));
    change(scene, zs_req_delete_header, STR("*"));
    expect_fields(scene, "Content-Length: 5\r\n");
}

static void
a_host_stays_one_host(void **state)
{
    struct scene *scene = with(state, HEAD);
    struct str bad[] = {STR("a b"), STR(" "), STR("a/b"), STR("a@b"), STR("a:x"), STR("\xc3\xa9")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        give_two(scene, zs_req_set_header, STR("Host"), bad[i]);
        expect_trap(scene, "zs_req_set_header: the value is no host");
        give_two(scene, zs_req_append_header, STR("host"), bad[i]);
        expect_trap(scene, "zs_req_append_header: the value is no host");
    }
    give_two(scene, zs_req_append_header, STR("host"), STR(""));
    expect_trap(scene, "zs_req_append_header: the value is no host");
    give(scene, zs_req_replace_header,
         STR("{\"name\":\"host\",\"search\":\"a\",\"replace\":\"/\"}"));
    expect_trap(scene, "zs_req_replace_header: what would become of Host is no host");
    check_reading(scene);
    change_two(scene, zs_req_append_header, STR("HOST"), STR("b.test:81"));
    assert_string_equal(header(scene, "host"), "b.test:81");
    expect_fields(scene, "Host: b.test:81\r\nX-One: 1\r\nAccept: text/html\r\nx-one: 2\r\n"
                         "Cookie: a=1; b=2\r\nX-Other: \xc3\xa9\r\nEmpty: \r\n");
    change_two(scene, zs_req_set_header, STR("host"), STR(" [::1]:82 "));
    assert_int_equal(script_fields_remove(&scene->task.request.fields, STR("host")), 1);
    change_two(scene, zs_req_append_header, STR("Host"), STR("c"));
    assert_string_equal(header(scene, "host"), "c");
}

/* --- deleting and replacing --- */

static void
fields_are_deleted_by_pattern(void **state)
{
    struct scene *scene = with(state, HEAD);
    change(scene, zs_req_delete_header, STR(" X-O* "));
    expect_fields(scene, "Host: a.test\r\nAccept: text/html\r\nCookie: a=1; b=2\r\nEmpty: \r\n");
    change(scene, zs_req_delete_header, STR("*E"));
    change(scene, zs_req_delete_header, STR("*mpt*"));
    change(scene, zs_req_delete_header, STR("none"));
    expect_fields(scene, "Host: a.test\r\nAccept: text/html\r\n");
    give(scene, zs_req_delete_header, STR(" "));
    expect_trap(scene, "zs_req_delete_header: the pattern is empty");
    check_input(scene, zs_req_delete_header);
    change(scene, zs_req_delete_header, STR("*"));
    expect_fields(scene, "");
    assert_string_equal(header(scene, "host"), "");
}

static void
values_are_replaced(void **state)
{
    struct scene *scene = with(state, "GET / HTTP/1.1\r\nHost: a.a\r\nX: one\r\nx: two one\r\n"
                                      "Y: one\r\n\r\n");
    change(scene, zs_req_replace_header,
           STR("{\"name\":\"X\",\"search\":\"one\",\"replace\":\" 1 \"}"));
    expect_fields(scene, "Host: a.a\r\nX: 1\r\nx: two  1\r\nY: one\r\n");
    change(scene, zs_req_replace_header,
           STR("{\"name\":\"*\",\"search_regexp\":\"^(\\\\w)(.*)\",\"replace\":\"$2$1\"}"));
    expect_fields(scene, "Host: .aa\r\nX: 1\r\nx: wo  1t\r\nY: neo\r\n");
    change(scene, zs_req_replace_header, STR("{\"name\":\"y\",\"search\":\"neo\"}"));
    expect_fields(scene, "Host: .aa\r\nX: 1\r\nx: wo  1t\r\nY: \r\n");
    check_input(scene, zs_req_replace_header);
    give(scene, zs_req_replace_header, STR("{}"));
    expect_trap(scene, "zs_req_replace_header: its argument has no name");
    give(scene, zs_req_replace_header, STR("{\"name\":\"a\",\"search_regexp\":\"(\"}"));
    expect_trap(scene, "zs_req_replace_header: the regular expression has a group without its ) at "
                       "offset 1");
    give(scene, zs_req_replace_header,
         STR("{\"name\":\"x\",\"search\":\"1\",\"replace\":\"\\r\\nEvil: x\"}"));
    expect_trap(scene, "zs_req_replace_header: the value of a field would have control characters");
}

static void
replacing_has_ceilings(void **state)
{
    struct scene *scene = with(state, HEAD);
    struct buf value;
    buf_init(&value, 1 << 20);
    for (unsigned i = 0; i < 30000; i++)
        buf_append(&value, STR("a"));
    change_two(scene, zs_req_set_header, STR("X"), buf_str(&value));
    change_two(scene, zs_req_set_header, STR("Y"), buf_str(&value));
    give(scene, zs_req_replace_header,
         STR("{\"name\":\"x\",\"search\":\"a\",\"replace\":\"bbb\"}"));
    expect_trap(scene,
                "zs_req_replace_header: what it makes is longer than 65536 bytes, or there is "
                "no memory");
    give(scene, zs_req_replace_header, STR("{\"name\":\"x\",\"search\":\"a\",\"replace\":\"bb\"}"));
    expect_trap(scene, "zs_req_replace_header: header fields need more than 65536 bytes");
    give(scene, zs_req_replace_header,
         STR("{\"name\":\"x\",\"search_regexp\":\"(a|aa)*b\",\"replace\":\"b\"}"));
    expect_trap(scene,
                "zs_req_replace_header: the regular expression takes too many steps for this "
                "text");
    assert_int_equal(script_fields_last(&scene->task.request.fields, STR("x")).len, 30000);
    buf_deinit(&value);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(fields_are_read_before_and_after_a_change),
        TEST(cookies_of_several_lines_are_one),
        TEST(fields_are_set_appended_and_removed),
        TEST(what_is_no_field_traps),
        TEST(fields_have_ceilings),
        TEST(the_length_of_the_body_stays),
        TEST(a_host_stays_one_host),
        TEST(fields_are_deleted_by_pattern),
        TEST(values_are_replaced),
        TEST(replacing_has_ceilings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
