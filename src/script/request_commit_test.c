/* The changed request written back into the head. */
#include "script/request_test_run.h"

#define HEAD                                                                                   \
    "POST /a//b?c HTTP/1.0\r\nHost: a.test\r\nContent-Length: 5\r\nConnection: keep-alive\r\n" \
    "Expect: 100-continue\r\nX-One: 1\r\nx-one: 2\r\n\r\n"

/* The head lies where it will not stay. */
static struct scene *
with(void **state, const char *text)
{
    struct scene *scene = *state;
    static char moving[1 << 16];
    snprintf(moving, sizeof moving, "%s", text);
    scene->req.head_moves = true;
    scene_set_head(scene, moving);
    return scene;
}

static void
commit(struct scene *scene)
{
    assert_true(script_request_commit(&scene->task));
    assert_true(scene->task.request.committed_all);
}

/* "METHOD target\nName: value\n..." */
static void
expect_head(const struct http_head *head, const char *expected)
{
    struct buf text;
    unsigned firsts = 0;
    buf_init(&text, 1 << 20);
    buf_printf(&text, "%.*s %.*s\n", STR_ARG(http_head_method(head)),
               STR_ARG(http_head_target(head)));
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        struct str name = http_field_name(head, field);
        buf_printf(&text, "%.*s: %.*s\n", STR_ARG(name), STR_ARG(http_field_value(head, field)));
        assert_int_equal(field->id, http_field_id(name));
        firsts += field->id && head->first[field->id] == i + 1;
    }
    for (unsigned id = 1; id < HTTP_FIELD_ID_COUNT; id++)
        firsts -= head->first[id] != 0;
    assert_int_equal(firsts, 0);
    buf_append_char(&text, '\0');
    assert_string_equal(text.ptr, expected);
    buf_deinit(&text);
}

#define SENT                                                                          \
    "POST /a//b?c\nHost: a.test\nContent-Length: 5\nConnection: keep-alive\nExpect: " \
    "100-continue\n"                                                                  \
    "X-One: 1\nx-one: 2\n"

static void
expect_sent(struct scene *scene)
{
    expect_head(scene->req.sent, SENT);
    assert_int_equal(scene->req.sent->body_kind, HTTP_BODY_LENGTH);
    assert_int_equal(scene->req.sent->content_length, 5);
    assert_true(scene->req.sent->fields != scene->req.head.fields);
    assert_true(scene->req.head.fields == scene->fields);
}

static void
nothing_changed_is_nothing_done(void **state)
{
    struct scene *scene = with(state, HEAD);
    const char *base = scene->req.head.base;
    size_t used = scene->req.arena.used;
    assert_true(script_request_commit(&scene->task));
    assert_null(scene->req.sent);
    assert_ptr_equal(scene->req.head.base, base);
    assert_int_equal(scene->req.arena.used, used);
    text_of(scene, zs_req_uri);
    text_named(scene, zs_req_header, STR("x-one"));
    assert_true(script_request_commit(&scene->task));
    assert_null(scene->req.sent);
}

static void
forget_the_bytes(struct scene *scene, const char *base, size_t len)
{
    assert_true(scene->req.head.base != base);
    memset((char *)base, '!', len);
}

static void
changed_fields_are_written(void **state)
{
    struct scene *scene = with(state, HEAD);
    const char *base = scene->req.head.base;
    size_t len = scene->req.head.len;
    change_two(scene, zs_req_set_header, STR("X-ONE"), STR("new"));
    change_two(scene, zs_req_append_header, STR("Range"), STR("bytes=0-1"));
    change_two(scene, zs_req_set_header, STR("Host"), STR("b.test"));
    change(scene, zs_req_delete_header, STR("connection"));
    commit(scene);
    forget_the_bytes(scene, base, len);
    expect_head(&scene->req.head,
                "POST /a//b?c\nHost: b.test\nContent-Length: 5\nExpect: 100-continue\nX-One: new\n"
                "Range: bytes=0-1\n");
    expect_sent(scene);
    assert_true(str_eq(http_head_value(&scene->req.head, HTTP_FIELD_RANGE), STR("bytes=0-1")));
    assert_true(str_eq(scene->req.path, STR("/a/b")));
    assert_true(str_eq(scene->req.target.query, STR("c")));
}

/* Facts about the connection and the bytes that come stay what they were. */
static void
framing_is_that_of_what_was_sent(void **state)
{
    struct scene *scene = with(state, HEAD);
    struct http_head before = scene->req.head;
    change(scene, zs_req_delete_header, STR("*"));
    change_two(scene, zs_req_set_header, STR("Connection"), STR("close"));
    change_two(scene, zs_req_set_header, STR("Expect"), STR("nothing"));
    change(scene, zs_req_set_method, STR("GET"));
    commit(scene);
    expect_head(&scene->req.head,
                "GET /a//b?c\nContent-Length: 5\nConnection: close\nExpect: nothing\n");
    assert_int_equal(scene->req.head.method, HTTP_METHOD_GET);
    assert_int_equal(scene->req.head.body_kind, HTTP_BODY_LENGTH);
    assert_int_equal(scene->req.head.content_length, 5);
    assert_int_equal(scene->req.head.version_minor, 0);
    assert_int_equal(scene->req.head.keep_alive, before.keep_alive);
    assert_true(scene->req.head.expect_continue == before.expect_continue);
    assert_int_equal(scene->req.sent->method, HTTP_METHOD_POST);
    expect_sent(scene);
}

static void
changed_targets_are_read_anew(void **state)
{
    struct scene *scene = with(state, HEAD);
    const char *base = scene->req.head.base;
    size_t len = scene->req.head.len;
    change(scene, zs_req_set_uri, STR("/x/../y%20z/?q=1"));
    commit(scene);
    forget_the_bytes(scene, base, len);
    assert_true(str_eq(http_head_target(&scene->req.head), STR("/x/../y%20z/?q=1")));
    assert_true(str_eq(scene->req.target.path, STR("/x/../y%20z/")));
    assert_true(str_eq(scene->req.path, STR("/y z/")));
    assert_true(str_eq(scene->req.target.query, STR("q=1")));
    assert_int_equal(scene->req.target.form, TARGET_ORIGIN);
    assert_string_equal(text_of(scene, zs_req_uri), "/y%20z/?q=1");
    expect_sent(scene);
    assert_true(str_eq(http_head_value(&scene->req.head, HTTP_FIELD_HOST), STR("a.test")));
}

/* A hook changes the request, and the chain runs again. */
static void
a_second_commit_keeps_what_was_sent(void **state)
{
    struct scene *scene = with(state, HEAD);
    change(scene, zs_req_set_method, STR("PUT"));
    commit(scene);
    const struct http_head *sent = scene->req.sent;
    const char *base = scene->req.head.base;
    commit(scene);
    assert_ptr_equal(scene->req.head.base, base);
    change(scene, zs_req_set_uri, STR("/2"));
    assert_false(scene->task.request.committed_all);
    commit(scene);
    assert_true(scene->req.head.base != base);
    change_two(scene, zs_req_set_header, STR("X-Two"), STR("2"));
    commit(scene);
    assert_ptr_equal(scene->req.sent, sent);
    expect_sent(scene);
    expect_head(&scene->req.head,
                "PUT /2\nHost: a.test\nContent-Length: 5\nConnection: keep-alive\n"
                "Expect: 100-continue\nX-One: 1\nx-one: 2\nX-Two: 2\n");
}

static void
a_head_that_stays_is_not_copied(void **state)
{
    struct scene *scene = *state;
    scene_set_head(scene, HEAD);
    const char *base = scene->req.head.base;
    change_two(scene, zs_req_set_header, STR("a"), STR("b"));
    commit(scene);
    assert_ptr_equal(scene->req.sent->base, base);
    expect_sent(scene);
}

/* What a target says of the host counts, and there are no two names of it. */
static void
an_absolute_target_is_its_host(void **state)
{
    static const char *const targets[] = {"http://a.test:80/x?q", "http://a.test:80?q",
                                          "http://a.test:80"};
    static const char *const written[] = {"/x?q", "/?q", "/"};
    for (unsigned i = 0; i < 3; i++) {
        char text[256], expected[256];
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nA: b\r\nHost: other.test\r\n\r\n",
                 targets[i]);
        struct scene *scene = with(state, text);
        script_request_clear(&scene->task.request);
        scene->req.sent = NULL;
        assert_string_equal(text_named(scene, zs_req_header, STR("host")), "a.test:80");
        change(scene, zs_req_set_method, STR("PUT"));
        commit(scene);
        snprintf(expected, sizeof expected, "PUT %s\nA: b\nHost: other.test\n", targets[i]);
        expect_head(&scene->req.head, expected);
        change_two(scene, zs_req_set_header, STR("A"), STR("c"));
        assert_string_equal(text_named(scene, zs_req_header, STR("host")), "a.test:80");
        commit(scene);
        snprintf(expected, sizeof expected, "PUT %s\nA: c\nHost: a.test:80\n", written[i]);
        expect_head(&scene->req.head, expected);
        assert_int_equal(scene->req.target.form, TARGET_ORIGIN);
    }
}

static void
more_fields_than_a_head_has_room_for(void **state)
{
    struct scene *scene = with(state, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct script_fields *fields = &scene->task.request.fields;
    change_two(scene, zs_req_append_header, STR("n"), STR("v"));
    while (fields->count < SCENE_FIELDS)
        assert_int_equal(script_fields_append(fields, STR("n"), STR("v")), SCRIPT_FIELDS_OK);
    commit(scene);
    assert_int_equal(scene->req.head.field_count, SCENE_FIELDS);
    change_two(scene, zs_req_append_header, STR("n"), STR("v"));
    assert_false(script_request_commit(&scene->task));
    assert_int_equal(scene->req.head.field_count, SCENE_FIELDS);
}

static void
no_room_in_the_arena(void **state)
{
    struct scene *scene = with(state, HEAD);
    change_two(scene, zs_req_set_header, STR("a"), STR("b"));
    scene->req.arena.max = scene->req.arena.used + 100;
    assert_false(script_request_commit(&scene->task));
    assert_null(scene->req.sent);
    arena_reset(&scene->req.arena);
    scene->req.arena.max = 1000;
    with(state, HEAD);
    memset(scene->memory, 'v', 2000);
    put(scene, 3000, STR("name"));
    call(scene, zs_req_set_header, scene_at(3000), 4, scene_at(0), 2000);
    assert_false(scene->trapped);
    assert_false(script_request_commit(&scene->task));
}

/* The next request of the same task begins as it comes. */
static void
a_cleared_request_is_a_new_one(void **state)
{
    struct scene *scene = with(state, HEAD);
    change(scene, zs_req_set_uri, STR("/other"));
    change(scene, zs_req_set_method, STR("PUT"));
    change_two(scene, zs_req_set_header, STR("a"), STR("b"));
    commit(scene);
    script_request_clear(&scene->task.request);
    scene->req.sent = NULL;
    with(state, "GET /new HTTP/1.1\r\nHost: new\r\n\r\n");
    assert_string_equal(text_of(scene, zs_req_uri), "/new");
    assert_string_equal(text_of(scene, zs_req_method), "GET");
    assert_string_equal(text_named(scene, zs_req_header, STR("a")), "");
    assert_true(script_request_commit(&scene->task));
    assert_null(scene->req.sent);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_changed_is_nothing_done),
        TEST(changed_fields_are_written),
        TEST(framing_is_that_of_what_was_sent),
        TEST(changed_targets_are_read_anew),
        TEST(a_second_commit_keeps_what_was_sent),
        TEST(a_head_that_stays_is_not_copied),
        TEST(an_absolute_target_is_its_host),
        TEST(more_fields_than_a_head_has_room_for),
        TEST(no_room_in_the_arena),
        TEST(a_cleared_request_is_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
