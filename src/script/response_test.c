/* Headers by metadata on rendered blocks; fields as hooks change them; back to blocks. */
#include "script/answer_test_run.h"
#include "script/response.h"

static void
set(struct stage *stage, const char *name, const char *value)
{
    char key[256];
    snprintf(key, sizeof key, "zs.response.header.%s", name);
    assert_true(
        script_meta_set(&stage->scene->task.meta, str_from_cstr(key), str_from_cstr(value)));
}

static void
block(struct stage *stage, const char *lines)
{
    req_add_block(&stage->scene->req, str_from_cstr(lines));
}

static const char *
apply(struct stage *stage)
{
    script_response_apply_meta(&stage->scene->task);
    return stage_head(stage);
}

#define FIRST "Content-Length: 3\r\nContent-Type: text/html\r\n"
#define SECOND "ETag: \"x\"\r\nX-B: 1\r\nVary: A\r\n"

/* --- metadata --- */

static void
without_headers_nothing_is_touched(void **state)
{
    struct stage *stage = *state;
    block(stage, FIRST);
    assert_true(script_meta_set(&stage->scene->task.meta, STR("other"), STR("x")));
    assert_string_equal(apply(stage), FIRST);
    assert_int_equal(stage->scene->req.arena.used, 0);
}

static void
a_new_header_is_a_block_behind_the_others(void **state)
{
    struct stage *stage = *state;
    static const char first[] = FIRST, second[] = SECOND;
    req_add_block(&stage->scene->req, str_make(first, sizeof first - 1));
    req_add_block(&stage->scene->req, str_make(second, sizeof second - 1));
    set(stage, "x-a", "1");
    set(stage, "X-C", "");
    assert_string_equal(apply(stage), FIRST SECOND "x-a: 1\r\nX-C: \r\n");
    assert_int_equal(stage->scene->req.response.block_count, 3);
    /* What was rendered is not copied. */
    assert_ptr_equal(stage->scene->req.response.blocks[0].ptr, first);
    assert_ptr_equal(stage->scene->req.response.blocks[1].ptr, second);
    size_t used = stage->scene->req.arena.used;
    assert_int_equal(used, strlen("x-a: 1\r\nX-C: \r\n"));
    /* A second time changes nothing. */
    assert_string_equal(apply(stage), FIRST SECOND "x-a: 1\r\nX-C: \r\n");
    assert_int_equal(stage->scene->req.arena.used, used);
}

static void
a_header_that_is_there_is_replaced(void **state)
{
    struct stage *stage = *state;
    static const char first[] = FIRST;
    req_add_block(&stage->scene->req, str_make(first, sizeof first - 1));
    block(stage, SECOND "x-b: 2\r\n");
    set(stage, "X-b", "new");
    assert_string_equal(apply(stage), FIRST "ETag: \"x\"\r\nVary: A\r\nX-b: new\r\n");
    assert_ptr_equal(stage->scene->req.response.blocks[0].ptr, first);
    assert_string_equal(apply(stage), FIRST "ETag: \"x\"\r\nVary: A\r\nX-b: new\r\n");
    set(stage, "X-b", "newer");
    set(stage, "etag", "\"y\"");
    set(stage, "VARY", "B");
    assert_string_equal(apply(stage), FIRST "X-b: newer\r\netag: \"y\"\r\nVARY: B\r\n");
}

static void
a_header_that_is_as_wanted_stays(void **state)
{
    struct stage *stage = *state;
    block(stage, FIRST);
    set(stage, "content-type", "text/html");
    assert_string_equal(apply(stage), FIRST);
    assert_int_equal(stage->scene->req.arena.used, 0);
    /* Twice is not as wanted. */
    block(stage, "Content-Type: text/html\r\n");
    assert_string_equal(apply(stage), "Content-Length: 3\r\ncontent-type: text/html\r\n");
}

static void
of_two_keys_for_a_header_the_last_counts(void **state)
{
    struct stage *stage = *state;
    set(stage, "X-A", "1");
    set(stage, "x-a", "2");
    set(stage, " x-a ", "3");
    assert_string_equal(apply(stage), "X-A: 3\r\n");
}

static void
what_cannot_be_a_header_is_left_out(void **state)
{
    struct stage *stage = *state;
    static const char *const bad[][2] = {
        {"content-length", "9"},
        {"Transfer-Encoding", "chunked"},
        {"connection", "close"},
        {"date", "x"},
        {"upgrade", "h2c"},
        {"te", "x"},
        {"trailer", "x"},
        {"keep-alive", "x"},
        {"", "x"},
        {"a b", "x"},
        {"a:b", "x"},
        {"a\r\nb", "x"},
        {"x-n", "a\r\nb: c"},
        {"x-n", "a\nb"},
        {"x-n", "\x7f"},
    };
    block(stage, FIRST);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        set(stage, bad[i][0], bad[i][1]);
    assert_string_equal(apply(stage), FIRST);
    set(stage, "x-ok", "\xc3\xa4\tb");
    assert_string_equal(apply(stage), FIRST "x-ok: \xc3\xa4\tb\r\n");
}

static void
blocks_are_joined_when_there_are_too_many(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < RESPONSE_BLOCKS_MAX; i++)
        block(stage, "X-B: 1\r\n");
    set(stage, "x-a", "1");
    assert_string_equal(apply(stage),
                        "X-B: 1\r\nX-B: 1\r\nX-B: 1\r\nX-B: 1\r\nX-B: 1\r\nx-a: 1\r\n");
    assert_int_equal(stage->scene->req.response.block_count, 2);
}

static void
as_many_headers_as_there_can_be(void **state)
{
    struct stage *stage = *state;
    char name[16];
    for (unsigned i = 0; i < SCRIPT_META_COUNT_MAX; i++) {
        snprintf(name, sizeof name, "h%u", i);
        set(stage, name, "v");
    }
    apply(stage);
    stage_head_has(stage, "\r\nh511: v\r\n");
    size_t used = stage->scene->req.arena.used;
    apply(stage);
    assert_int_equal(stage->scene->req.arena.used, used);
    set(stage, "h100", "w");
    apply(stage);
    stage_head_has(stage, "\r\nh99: v\r\nh101: v\r\n");
    stage_head_has(stage, "\r\nh511: v\r\nh100: w\r\n");
}

static void
without_memory_the_request_says_so(void **state)
{
    struct stage *stage = *state;
    block(stage, FIRST);
    assert_non_null(arena_alloc_text(&stage->scene->req.arena, REQ_ARENA_MAX - 2));
    set(stage, "x-a", "1");
    apply(stage);
    assert_true(arena_overflowed(&stage->scene->req.arena));
}

/* --- what hooks see and change --- */

static void
in_hook(struct stage *stage)
{
    stage->scene->task.phase = SCRIPT_RESPONSE;
    stage->scene->req.response.status = 200;
    block(stage, FIRST);
    block(stage, SECOND);
    script_response_save(&stage->scene->task);
}

static void
a_hook_that_only_looks_leaves_blocks_alone(void **state)
{
    struct stage *stage = *state;
    in_hook(stage);
    EXPECT(200, CALL(zs_res_status));
    EXPECT(9, CALL(zs_res_header, T("content-type"), OUT, 64));
    assert_string_equal(stage_out(stage), "text/html");
    EXPECT(1, CALL(zs_res_header, T(" Content-Length "), OUT, 64));
    assert_string_equal(stage_out(stage), "3");
    EXPECT(0, CALL(zs_res_header, T("none"), OUT, 64));
    assert_string_equal(stage_out(stage), "");
    EXPECT(0, CALL(zs_res_header, T("X"), OUT, 64));
    script_response_commit(&stage->scene->task);
    assert_int_equal(stage->scene->req.arena.used, 0);
    assert_string_equal(stage_head(stage), FIRST SECOND);
}

static void
changed_fields_become_one_block(void **state)
{
    struct stage *stage = *state;
    in_hook(stage);
    EXPECT(0, CALL(zs_res_set_header, T("x-b"), T("2")));
    EXPECT(0, CALL(zs_res_append_header, T("Set-Cookie"), T("a=b")));
    EXPECT(0, CALL(zs_res_append_header, T("Set-Cookie"), T("c=d")));
    EXPECT(0, CALL(zs_res_remove_header, T("VARY")));
    EXPECT(1, CALL(zs_res_header, T("X-B"), OUT, 64));
    assert_string_equal(stage_out(stage), "2");
    EXPECT(3, CALL(zs_res_header, T("set-cookie"), OUT, 64));
    assert_string_equal(stage_out(stage), "a=b");
    EXPECT(0, CALL(zs_res_header, T("Vary"), OUT, 64));
    EXPECT(1, CALL(zs_res_header, T("Content-Length"), OUT, 64));
    /* Nothing goes out before all hooks have run. */
    assert_string_equal(stage_head(stage), FIRST SECOND);
    script_response_commit(&stage->scene->task);
    stage_head_has(stage, "Content-Length: 3\r\nContent-Type: text/html\r\n");
    stage_head_has(stage, ": 2\r\n");
    stage_head_has(stage, "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n");
    stage_head_has_not(stage, "Vary");
    assert_int_equal(stage->scene->req.response.block_count, 1);
    size_t used = stage->scene->req.arena.used;
    script_response_commit(&stage->scene->task);
    assert_int_equal(stage->scene->req.arena.used, used);
}

static void
an_empty_value_removes(void **state)
{
    struct stage *stage = *state;
    in_hook(stage);
    EXPECT(0, CALL(zs_res_set_header, T("x-b"), STAGE_OUTSIDE, 0));
    EXPECT(0, CALL(zs_res_set_header, T("none"), T("")));
    script_response_commit(&stage->scene->task);
    stage_head_has_not(stage, "X-B");
    stage_head_has(stage, "ETag");
}

static void
patterns_remove_all_but_the_length(void **state)
{
    struct stage *stage = *state;
    in_hook(stage);
    EXPECT(0, CALL(zs_res_remove_header, T("*")));
    EXPECT(0, CALL(zs_res_header, T("Content-Type"), OUT, 64));
    script_response_commit(&stage->scene->task);
    assert_string_equal(stage_head(stage), "Content-Length: 3\r\n");
    EXPECT(0, CALL(zs_res_append_header, T("X-One"), T("1")));
    EXPECT(0, CALL(zs_res_append_header, T("X-Two"), T("2")));
    EXPECT(0, CALL(zs_res_remove_header, T("x-o*")));
    script_response_commit(&stage->scene->task);
    assert_string_equal(stage_head(stage), "Content-Length: 3\r\nX-Two: 2\r\n");
}

static void
replacing_is_a_change(void **state)
{
    struct stage *stage = *state;
    in_hook(stage);
    EXPECT(0, CALL(zs_res_set_header, T("X-R"), T("replace me")));
    script_response_commit(&stage->scene->task);
    EXPECT(0, CALL(zs_res_replace_header,
                   T("{\"name\":\"X-R\",\"search\":\"replace me\",\"replace\":\"replaced\"}")));
    script_response_commit(&stage->scene->task);
    stage_head_has(stage, "X-R: replaced\r\n");
    stage_head_has(stage, FIRST);
    CALL(zs_res_replace_header, T("nonsense"));
    EXPECT_TRAP("zs_res_replace_header");
    CALL(zs_res_replace_header, STAGE_OUTSIDE, 4);
    EXPECT_TRAP("outside of");
}

static void
a_failed_hook_leaves_no_trace(void **state)
{
    struct stage *stage = *state;
    struct script_task *task = &stage->scene->task;
    in_hook(stage);
    EXPECT(0, CALL(zs_res_set_header, T("x-b"), T("2")));
    EXPECT(0, CALL(zs_res_set_status, 404));
    EXPECT(0, CALL(zs_res_continue_request));
    assert_true(task->restarts);
    script_response_restore(task);
    assert_false(task->restarts);
    EXPECT(200, CALL(zs_res_status));
    EXPECT(1, CALL(zs_res_header, T("x-b"), OUT, 64));
    assert_string_equal(stage_out(stage), "1");
    script_response_commit(task);
    assert_string_equal(stage_head(stage), FIRST SECOND);
}

static void
a_failed_hook_keeps_what_earlier_ones_did(void **state)
{
    struct stage *stage = *state;
    struct script_task *task = &stage->scene->task;
    in_hook(stage);
    EXPECT(0, CALL(zs_res_set_header, T("x-b"), T("first")));
    EXPECT(0, CALL(zs_res_set_status, 201));
    for (unsigned i = 0; i < 3; i++) {
        script_response_save(task);
        EXPECT(0, CALL(zs_res_set_header, T("x-b"), T("second")));
        EXPECT(0, CALL(zs_res_remove_header, T("ETag")));
        EXPECT(0, CALL(zs_res_set_status, 500));
        script_response_restore(task);
        EXPECT(5, CALL(zs_res_header, T("x-b"), OUT, 64));
        assert_string_equal(stage_out(stage), "first");
        EXPECT(201, CALL(zs_res_status));
    }
    script_response_commit(task);
    stage_head_has(stage, ": first\r\n");
    stage_head_has(stage, "ETag");
    assert_int_equal(stage->scene->req.response.status, 201);
}

static void
metadata_of_hooks_comes_last(void **state)
{
    struct stage *stage = *state;
    struct script_task *task = &stage->scene->task;
    in_hook(stage);
    set(stage, "x-b", "by metadata");
    script_response_apply_meta(task);
    EXPECT(11, CALL(zs_res_header, T("x-b"), OUT, 64));
    EXPECT(0, CALL(zs_res_set_header, T("x-b"), T("by hook")));
    EXPECT(0, CALL(zs_res_set_header, T("x-c"), T("by hook")));
    EXPECT(0, CALL(zs_meta_set, T("zs.response.header.x-d"), T("by hook")));
    script_response_commit(task);
    script_response_apply_meta(task);
    stage_head_has(stage, "x-b: by metadata\r\n");
    stage_head_has(stage, "x-c: by hook\r\n");
    stage_head_has(stage, "x-d: by hook\r\n");
    stage_head_has_not(stage, "x-b: by hook\r\n");
    /* And is what the next one sees, also one that had looked before. */
    EXPECT(0, CALL(zs_res_remove_header, T("none")));
    script_response_commit(task);
    set(stage, "x-d", "changed");
    script_response_apply_meta(task);
    EXPECT(7, CALL(zs_res_header, T("x-d"), OUT, 64));
    assert_string_equal(stage_out(stage), "changed");
    EXPECT(11, CALL(zs_res_header, T("x-b"), OUT, 64));
    EXPECT(0, CALL(zs_res_set_header, T("x-e"), T("1")));
    script_response_commit(task);
    stage_head_has(stage, "x-b: by metadata\r\n");
    stage_head_has(stage, "x-e: 1\r\n");
}

static void
the_length_fits_the_status(void **state)
{
    struct stage *stage = *state;
    struct script_task *task = &stage->scene->task;
    struct req *req = &stage->scene->req;
    in_hook(stage);
    body_set_text(&req->body, STR("abc"));
    req->response.body_len = 3;
    EXPECT(0, CALL(zs_res_set_status, 404));
    script_response_commit(task);
    assert_int_equal(req->response.status, 404);
    assert_string_equal(stage_head(stage), FIRST SECOND);
    assert_non_null(req->body.ops);
    EXPECT(0, CALL(zs_res_set_status, 204));
    EXPECT(0, CALL(zs_res_set_header, T("x-b"), T("2")));
    script_response_commit(task);
    stage_head_has_not(stage, "Content-Length");
    stage_head_has(stage, "ETag");
    assert_null(req->body.ops);
    assert_int_equal(req->response.body_len, 0);
    EXPECT(0, CALL(zs_res_header, T("Content-Length"), OUT, 64));
    EXPECT(0, CALL(zs_res_set_status, 200));
    script_response_commit(task);
    stage_head_has(stage, "Content-Length: 0\r\n");
    /* A body of unknown length stays one. */
    stage_drop_response(stage);
    req->response = (struct response){.status = 200, .unknown_len = true};
    body_set_text(&req->body, STR("abc"));
    EXPECT(0, CALL(zs_res_set_status, 500));
    script_response_commit(task);
    assert_string_equal(stage_head(stage), "");
    assert_true(req->response.unknown_len && req->body.ops);
    EXPECT(0, CALL(zs_res_set_status, 304));
    script_response_commit(task);
    assert_false(req->response.unknown_len || req->body.ops);
}

static void
responses_want_good_arguments(void **state)
{
    struct stage *stage = *state;
    static const uint64_t bad[] = {0, 100, 199, 1000, UINT64_MAX};
    in_hook(stage);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CALL(zs_res_set_status, bad[i]);
        EXPECT_TRAP("expected 200 to 999");
    }
    EXPECT(0, CALL(zs_res_set_status, 999));
    CALL(zs_res_header, T(" "), OUT, 8);
    EXPECT_TRAP("zs_res_header: the name is empty");
    CALL(zs_res_header, STAGE_OUTSIDE, 1, OUT, 8);
    EXPECT_TRAP("outside of");
    CALL(zs_res_header, T("etag"), STAGE_OUTSIDE, 8);
    EXPECT_TRAP("outside of");
    EXPECT(0, CALL(zs_res_header, T("etag"), STAGE_OUTSIDE, 0));
    EXPECT(2, CALL(zs_res_header, T("etag"), OUT, 2));
    assert_string_equal(stage_out(stage), "\"");
    memset(stage->scene->memory, 'x', 16);
    CALL(zs_res_header, scene_at(0), 8, scene_at(7), 8);
    EXPECT_TRAP("overlaps");
    static bpf_helper_fn *const setters[] = {zs_res_set_header, zs_res_append_header};
    for (unsigned i = 0; i < 2; i++) {
        CALL(setters[i], T(""), T("v"));
        EXPECT_TRAP("is no name of a header");
        CALL(setters[i], T("a b"), T("v"));
        EXPECT_TRAP("is no name of a header");
        CALL(setters[i], T("content-length"), T("1"));
        EXPECT_TRAP("is the server's own");
        CALL(setters[i], T("Transfer-Encoding"), T(""));
        EXPECT_TRAP("is the server's own");
        CALL(setters[i], T("a"), T("v\r\nb: c"));
        EXPECT_TRAP("the value has control characters");
        CALL(setters[i], T("a"), T("\xff"));
        EXPECT_TRAP("not UTF-8");
        CALL(setters[i], T("a"), STAGE_OUTSIDE, 4);
        EXPECT_TRAP("outside of");
        CALL(setters[i], STAGE_OUTSIDE, 4, T("a"));
        EXPECT_TRAP("outside of");
        memset(stage->scene->memory, 'x', SCRIPT_FIELDS_MAX);
        CALL(setters[i], scene_at(0), 1, scene_at(0), SCRIPT_FIELDS_MAX);
        EXPECT_TRAP("fields, or 64 KiB of them");
    }
    CALL(zs_res_remove_header, T(""));
    EXPECT_TRAP("zs_res_remove_header: the pattern is empty");
    CALL(zs_res_remove_header, STAGE_OUTSIDE, 1);
    EXPECT_TRAP("outside of");
    for (unsigned i = 0; i < SCRIPT_FIELD_COUNT_MAX - 4; i++)
        EXPECT(0, CALL(zs_res_append_header, T("a"), T("v")));
    CALL(zs_res_append_header, T("a"), T("v"));
    EXPECT_TRAP("more than 512 fields");
}

static void
a_head_that_is_too_large_can_be_read_only(void **state)
{
    struct stage *stage = *state;
    char *lines = malloc(128 << 10);
    size_t len = 0;
    while (len < 100 << 10)
        len += (size_t)sprintf(lines + len, "X-Long: %0500d\r\n", 1);
    in_hook(stage);
    block(stage, lines);
    EXPECT(9, CALL(zs_res_header, T("content-type"), OUT, 64));
    CALL(zs_res_set_header, T("a"), T("b"));
    EXPECT_TRAP("zs_res_set_header: the response has more header fields than scripts can change");
    script_response_restore(&stage->scene->task);
    EXPECT(9, CALL(zs_res_header, T("content-type"), OUT, 64));
    free(lines);
}

static void
there_is_no_response_before_hooks(void **state)
{
    struct stage *stage = *state;
    static bpf_helper_fn *const helpers[] = {
        zs_res_status,        zs_res_set_status,    zs_res_header,         zs_res_set_header,
        zs_res_append_header, zs_res_remove_header, zs_res_replace_header, zs_res_continue_request};
    for (unsigned i = 0; i < sizeof helpers / sizeof *helpers; i++) {
        CALL(helpers[i], 200);
        EXPECT_TRAP("there is no response yet; only hooks have one");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        stage_test(without_headers_nothing_is_touched),
        stage_test(a_new_header_is_a_block_behind_the_others),
        stage_test(a_header_that_is_there_is_replaced),
        stage_test(a_header_that_is_as_wanted_stays),
        stage_test(of_two_keys_for_a_header_the_last_counts),
        stage_test(what_cannot_be_a_header_is_left_out),
        stage_test(blocks_are_joined_when_there_are_too_many),
        stage_test(as_many_headers_as_there_can_be),
        stage_test(without_memory_the_request_says_so),
        stage_test(a_hook_that_only_looks_leaves_blocks_alone),
        stage_test(changed_fields_become_one_block),
        stage_test(an_empty_value_removes),
        stage_test(patterns_remove_all_but_the_length),
        stage_test(replacing_is_a_change),
        stage_test(a_failed_hook_leaves_no_trace),
        stage_test(a_failed_hook_keeps_what_earlier_ones_did),
        stage_test(metadata_of_hooks_comes_last),
        stage_test(the_length_fits_the_status),
        stage_test(responses_want_good_arguments),
        stage_test(a_head_that_is_too_large_can_be_read_only),
        stage_test(there_is_no_response_before_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
