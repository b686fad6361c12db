#include "script/json_test_run.h"

static int
tear_down_answer(void **state)
{
    script_answer_deinit(&scene->task.answer);
    return tear_down(state);
}

static const char *
out(void)
{
    return scene->memory + OUT_AT;
}

/* --- zs_json_parse --- */

static void
parse_gives_handles_from_one_on(void **state)
{
    assert_int_equal(parse("{}"), 1);
    assert_int_equal(parse("[1]"), 2);
    GOOD(zs_object_free, 2);
    assert_int_equal(parse("\"x\""), 3);
    assert_even();
}

static void
parse_refuses_what_is_not_json(void **state)
{
    static const char *const texts[] = {"",     " ",        "{",          "{not-json}",
                                        "[1,]", "\"\xff\"", "\"\\ud800\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(GOOD(zs_json_parse, TEXT(texts[i])), NONE);
    assert_int_equal(GOOD(zs_json_parse, 0, 0), NONE);
    assert_int_equal(GOOD(zs_json_parse, UINT64_MAX, 0), NONE);
    assert_int_equal(scene->frame.footprint, 0);
    assert_int_equal(scene->frame.json.live_count, 0);
}

static void
parse_refuses_what_is_too_deep(void **state)
{
    char text[2 * SCRIPT_JSON_DEPTH_MAX + 3] = "";
    memset(text, '[', SCRIPT_JSON_DEPTH_MAX);
    memset(text + SCRIPT_JSON_DEPTH_MAX, ']', SCRIPT_JSON_DEPTH_MAX);
    parse(text);
    memset(text, '[', SCRIPT_JSON_DEPTH_MAX + 1);
    memset(text + SCRIPT_JSON_DEPTH_MAX + 1, ']', SCRIPT_JSON_DEPTH_MAX + 1);
    assert_int_equal(GOOD(zs_json_parse, TEXT(text)), NONE);
    assert_even();
}

static void
bad_addresses_trap(void **state)
{
    uint64_t object = parse("{\"a\":\"x\",\"b\":true,\"c\":1}");
    static const uint64_t bad[] = {0, 8, UINT64_C(1) << 32, UINT64_MAX - 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        TRAPS("", zs_json_parse, bad[i], 2);
        TRAPS("", zs_json_get, object, bad[i], 1);
        TRAPS("", zs_json_read_string, get(object, "a"), bad[i], 4);
        TRAPS("", zs_json_read_bool, get(object, "b"), bad[i], 1);
        TRAPS("", zs_json_read_i64, get(object, "c"), bad[i], 8);
    }
    TRAPS("", zs_json_parse, scene_at(SCENE_MEMORY - 1), UINT64_MAX);
    assert_even();
}

/* --- ways through a tree --- */

static void
get_names_members_and_items(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":[10,20]},\"\":0,\"a text that is no short one\":1}");
    uint64_t a = get(root, "a"), b = get(a, "b");
    assert_json(b, "[10,20]");
    assert_json(GOOD(zs_json_array_get, b, 1), "20");
    assert_json(get(root, "a text that is no short one"), "1");
    assert_json(GOOD(zs_json_get, root, UINT64_MAX, 0), "0");
    assert_int_equal(get(root, "c"), NONE);
    assert_int_equal(get(b, "a"), NONE);
    assert_int_equal(get(GOOD(zs_json_array_get, b, 0), "a"), NONE);
    assert_int_equal(get(root, "\xff"), NONE);
    assert_int_equal(GOOD(zs_json_array_get, b, 2), NONE);
    assert_int_equal(GOOD(zs_json_array_get, b, UINT64_MAX), NONE);
    assert_int_equal(GOOD(zs_json_array_get, b, UINT64_C(1) << 32), NONE);
    assert_int_equal(GOOD(zs_json_array_get, root, 0), NONE);
    /* each time another handle */
    assert_int_not_equal(get(root, "a"), a);
    assert_even();
}

static void
a_tree_lives_as_long_as_a_handle_into_it(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":\"a text that is no short one\"}}");
    uint64_t a = get(root, "a");
    uint64_t b = get(a, "b");
    GOOD(zs_object_free, root);
    GOOD(zs_object_free, a);
    assert_json(b, "\"a text that is no short one\"");
    TRAPS("is no handle", zs_json_type, root);
    assert_true(scene->frame.footprint > 0);
    GOOD(zs_object_free, b);
    assert_int_equal(scene->frame.footprint, 0);
}

static void
unknown_handles_trap(void **state)
{
    static bpf_helper_fn *const all[] = {
        zs_json_get, zs_json_array_get, zs_json_reset,     zs_object_free,      zs_json_type,
        zs_json_len, zs_json_read_i64,  zs_json_read_bool, zs_json_read_string,
    };
    static const uint64_t bad[] = {0, 2, 32, UINT64_MAX, INT64_MAX};
    parse("{}");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++)
            TRAPS("is no handle", all[i], bad[j]);
    TRAPS("zs_json_get: -1 is no handle", zs_json_get, NONE);
    TRAPS("zs_json_respond: 2 is no handle", zs_json_respond, 200, 2);
    GOOD(zs_object_free, 1);
    TRAPS("zs_object_free: 1 is no handle", zs_object_free, 1);
    assert_even();
}

static void
handles_are_bounded(void **state)
{
    uint64_t root = parse("{\"a\":[0]}");
    for (int i = 1; i < SCRIPT_HANDLES_MAX; i++)
        get(root, "a");
    uint64_t footprint = scene->frame.footprint;
    assert_int_equal(get(root, "none"), NONE);
    TRAPS("zs_json_get: more than 32 handles", zs_json_get, root, TEXT("a"));
    TRAPS("zs_json_array_get: more than 32 handles", zs_json_array_get, 2, 0);
    TRAPS("more than 32 handles", zs_json_parse, TEXT("[\"a text that is no short one\"]"));
    TRAPS("more than 32 handles", zs_json_new_object, 0);
    TRAPS("more than 32 handles", zs_json_clone, 1);
    assert_int_equal(scene->frame.footprint, footprint);
    GOOD(zs_object_free, 17);
    assert_int_equal(get(root, "a"), SCRIPT_HANDLES_MAX + 1);
    assert_even();
}

static void
reset_goes_back_to_the_root(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":1}}");
    uint64_t b = get(get(root, "a"), "b");
    GOOD(zs_object_free, root);
    assert_int_equal(GOOD(zs_json_reset, b), 0);
    assert_json(b, "{\"a\":{\"b\":1}}");
    assert_json(get(b, "a"), "{\"b\":1}");
    GOOD(zs_json_reset, b);
    assert_even();
}

/* --- what a node is --- */

static void
types_and_lengths(void **state)
{
    static const struct {
        const char *text;
        int type;
        int64_t len;
    } cases[] = {
        {"null", 0, -1},       {"true", 1, -1},
        {"false", 1, -1},      {"7", 2, -1},
        {"1.5", 2, -1},        {"\"\"", 3, 0},
        {"\"\\u20ac\"", 3, 3}, {"\"a text that is no short one\"", 3, 27},
        {"[]", 4, 0},          {"[1,[2,3]]", 4, 2},
        {"{}", 5, 0},          {"{\"a\":1,\"b\":{\"c\":2},\"a\":3}", 5, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t handle = parse(cases[i].text);
        assert_int_equal(GOOD(zs_json_type, handle), cases[i].type);
        assert_int_equal(GOOD(zs_json_len, handle), cases[i].len);
        GOOD(zs_object_free, handle);
    }
    assert_even();
}

static void
read_string_cuts_and_terminates(void **state)
{
    uint64_t handle = parse("\"h\\u00e9llo\"");
    uint64_t to = scene_at(OUT_AT);
    assert_int_equal(GOOD(zs_json_read_string, handle, to, 16), 6);
    assert_memory_equal(out(), "h\xc3\xa9llo\0#", 8);
    assert_int_equal(GOOD(zs_json_read_string, handle, to, 7), 6);
    assert_memory_equal(out(), "h\xc3\xa9llo\0#", 8);
    assert_int_equal(GOOD(zs_json_read_string, handle, to, 6), 6);
    assert_memory_equal(out(), "h\xc3\xa9ll\0\0#", 8);
    assert_int_equal(GOOD(zs_json_read_string, handle, to, 1), 1);
    assert_memory_equal(out(), "\0\xc3", 2);
    memset(scene->memory + OUT_AT, '#', 8);
    assert_int_equal(GOOD(zs_json_read_string, handle, to, 0), 0);
    assert_int_equal(GOOD(zs_json_read_string, handle, 0, 0), 0);
    assert_int_equal(out()[0], '#');
    uint64_t empty = parse("\"\"");
    assert_int_equal(GOOD(zs_json_read_string, empty, to, 16), 0);
    assert_memory_equal(out(), "\0#", 2);
    uint64_t other = parse("[1]");
    assert_int_equal(GOOD(zs_json_read_string, other, to, 16), NONE);
    assert_int_equal(GOOD(zs_json_read_string, other, 0, 16), NONE);
    assert_memory_equal(out(), "\0#", 2);
    assert_even();
}

static void
read_i64_takes_integers_only(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-7", true, -7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"1.0", false, 0},
        {"1e2", false, 0},
        {"-0", false, 0},
        {"true", false, 0},
        {"\"1\"", false, 0},
        {"null", false, 0},
        {"[1]", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 0x2323232323232323;
        uint64_t handle = parse(cases[i].text);
        memset(scene->memory + OUT_AT, '#', 16);
        /* an odd address is as good */
        assert_int_equal(GOOD(zs_json_read_i64, handle, scene_at(OUT_AT + 1), 8),
                         cases[i].good ? 8 : NONE);
        memcpy(&value, out() + 1, sizeof value);
        assert_true(value == (cases[i].good ? cases[i].value : 0x2323232323232323));
        GOOD(zs_object_free, handle);
    }
    uint64_t one = parse("1");
    TRAPS("zs_json_read_i64: out_len is 4, expected 8", zs_json_read_i64, one, scene_at(OUT_AT), 4);
    TRAPS("out_len is 0", zs_json_read_i64, one, 0, 0);
    TRAPS("out_len is 9", zs_json_read_i64, one, scene_at(OUT_AT), 9);
    assert_int_equal(GOOD(zs_json_read_i64, parse("null"), 0, 3), NONE);
    assert_even();
}

static void
read_bool_takes_booleans_only(void **state)
{
    uint64_t yes = parse("true"), no = parse("false"), other = parse("1");
    uint64_t to = scene_at(OUT_AT);
    assert_int_equal(GOOD(zs_json_read_bool, yes, to, 1), 1);
    assert_memory_equal(out(), "\1#", 2);
    assert_int_equal(GOOD(zs_json_read_bool, no, to, 1), 1);
    assert_memory_equal(out(), "\0#", 2);
    assert_int_equal(GOOD(zs_json_read_bool, other, to, 1), NONE);
    assert_int_equal(GOOD(zs_json_read_bool, other, to, 5), NONE);
    TRAPS("zs_json_read_bool: out_len is 4, expected 1", zs_json_read_bool, yes, to, 4);
    TRAPS("zs_json_read_bool: out_len is 0, expected 1", zs_json_read_bool, yes, to, 0);
    assert_even();
}

/* --- room --- */

static void
parse_traps_without_room_and_leaves_nothing(void **state)
{
    static const char text[] = "{\"a text that is no short one\":[1,2,{\"b\":\"another long text, "
                               "longer\"}],\"c\":123456789012345678901234567890}";
    uint64_t max = 0, needed = 0;
    for (; !needed; max += 16) {
        scene->shared.config.footprint_max = max;
        uint64_t handle = CALL(zs_json_parse, TEXT(text));
        if (!scene->trapped) {
            assert_int_equal(handle, 1);
            needed = max;
        } else {
            assert_non_null(strstr(scene->trap, "--max-request-external-memory-footprint-kb"));
            assert_int_equal(scene->frame.footprint, 0);
            assert_int_equal(scene->frame.json.live_count, 0);
        }
    }
    assert_int_equal(scene->frame.footprint, needed);
    assert_even();
}

static void
get_costs_nothing(void **state)
{
    uint64_t root = parse("{\"a\":1}");
    scene->shared.config.footprint_max = scene->frame.footprint;
    for (int i = 0; i < 100; i++)
        GOOD(zs_object_free, get(root, "a"));
    assert_even();
}

/* --- zs_json_respond --- */

static void
check_answer(unsigned status, const char *body)
{
    const struct script_answer *answer = &scene->task.answer;
    assert_true(answer->has_response);
    assert_int_equal(answer->status, status);
    assert_true(str_eq(buf_str(&answer->body), str_from_cstr(body)));
    assert_int_equal(answer->fields.count, 1);
    struct str type = script_fields_last(&answer->fields, STR("content-type"));
    assert_true(str_eq(type, STR("application/json")));
}

static void
respond_gives_compact_sorted_json(void **state)
{
    uint64_t root = parse("{ \"b\" : [ 1 , \"x\\n\" ] , \"a\" : null }");
    assert_int_equal(GOOD(zs_json_respond, 201, root), 0);
    check_answer(201, "{\"a\":null,\"b\":[1,\"x\\n\"]}");
    /* the last word counts; a part is as good as the whole */
    GOOD(zs_json_respond, 77, get(root, "b"));
    check_answer(500, "[1,\"x\\n\"]");
    assert_even();
}

static void
respond_says_when_there_is_no_room(void **state)
{
    uint64_t root = parse("[\"\"]");
    buf_init(&scene->task.answer.body, 3);
    TRAPS("zs_json_respond: no memory", zs_json_respond, 200, root);
    buf_init(&scene->task.answer.body, 4);
    scene->worker.scratch.max = 3;
    TRAPS("zs_json_respond: the text has more than 3 bytes", zs_json_respond, 200, root);
    scene->worker.scratch.max = 4;
    GOOD(zs_json_respond, 200, root);
    check_answer(200, "[\"\"]");
    assert_even();
}

static void
respond_is_for_the_request_phase(void **state)
{
    uint64_t root = parse("[]");
    scene->task.phase = SCRIPT_RESPONSE;
    TRAPS("zs_json_respond", zs_json_respond, 200, root);
    assert_false(scene->task.answer.has_response);
    assert_even();
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down_answer)
    const struct CMUnitTest tests[] = {
        TEST(parse_gives_handles_from_one_on),
        TEST(parse_refuses_what_is_not_json),
        TEST(parse_refuses_what_is_too_deep),
        TEST(bad_addresses_trap),
        TEST(get_names_members_and_items),
        TEST(a_tree_lives_as_long_as_a_handle_into_it),
        TEST(unknown_handles_trap),
        TEST(handles_are_bounded),
        TEST(reset_goes_back_to_the_root),
        TEST(types_and_lengths),
        TEST(read_string_cuts_and_terminates),
        TEST(read_i64_takes_integers_only),
        TEST(read_bool_takes_booleans_only),
        TEST(parse_traps_without_room_and_leaves_nothing),
        TEST(get_costs_nothing),
        TEST(respond_gives_compact_sorted_json),
        TEST(respond_says_when_there_is_no_room),
        TEST(respond_is_for_the_request_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
