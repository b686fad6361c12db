#include "script/json_test_run.h"

static const char *const long_text = "a text of more than thirteen bytes";

/* A tree of one value, for what is to be put somewhere. */
static uint64_t
string(const char *text)
{
    uint64_t handle = GOOD(zs_json_new_object, 0);
    assert_int_equal(GOOD(zs_json_set_string, handle, TEXT(text)), 0);
    return handle;
}

static uint64_t
integer(int64_t value)
{
    uint64_t handle = GOOD(zs_json_new_object, 0);
    assert_int_equal(GOOD(zs_json_set_i64, handle, (uint64_t)value), 0);
    return handle;
}

/* --- new ones --- */

static void
new_ones_are_empty(void **state)
{
    uint64_t object = GOOD(zs_json_new_object, 0), array = GOOD(zs_json_new_array, 0);
    assert_int_equal(object, 1);
    assert_int_equal(array, 2);
    assert_json(object, "{}");
    assert_json(array, "[]");
    assert_true(scene->frame.footprint > 0);
    assert_even();
}

static void
a_clone_is_a_tree_of_its_own(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":[1,\"a text that is no short one\"]},\"c\":1.50}");
    uint64_t whole = GOOD(zs_json_clone, root), part = GOOD(zs_json_clone, get(root, "a"));
    GOOD(zs_json_set_null, get(root, "a"));
    GOOD(zs_object_free, root);
    assert_json(whole, "{\"a\":{\"b\":[1,\"a text that is no short one\"]},\"c\":1.50}");
    assert_json(part, "{\"b\":[1,\"a text that is no short one\"]}");
    GOOD(zs_json_reset, part);
    assert_json(part, "{\"b\":[1,\"a text that is no short one\"]}");
    TRAPS("zs_json_clone: 99 is no handle", zs_json_clone, 99);
    assert_even();
}

/* --- objects --- */

static void
set_adds_and_replaces_members(void **state)
{
    uint64_t root = parse("{\"b\":[1]}"), one = integer(1), text = string(long_text);
    assert_int_equal(GOOD(zs_json_set, root, TEXT("c"), one), 0);
    assert_int_equal(GOOD(zs_json_set, root, TEXT("a"), text), 0);
    assert_int_equal(GOOD(zs_json_set, root, UINT64_MAX, 0, one), 0);
    assert_int_equal(GOOD(zs_json_set, root, TEXT("b"), text), 0);
    assert_json(root, "{\"\":1,\"a\":\"a text of more than thirteen bytes\",\"b\":\"a text of more "
                      "than thirteen bytes\",\"c\":1}");
    assert_json(text, "\"a text of more than thirteen bytes\"");
    GOOD(zs_json_set_i64, text, 5); /* what was put there was a copy */
    assert_int_equal(GOOD(zs_json_len, get(root, "a")), strlen(long_text));
    assert_even();
}

static void
set_refuses(void **state)
{
    uint64_t root = parse("{}"), array = parse("[]"), one = integer(1);
    assert_int_equal(GOOD(zs_json_set, array, TEXT("a"), one), NONE);
    assert_int_equal(GOOD(zs_json_set, one, TEXT("a"), root), NONE);
    assert_int_equal(GOOD(zs_json_set, root, TEXT("\xff"), one), NONE);
    assert_int_equal(GOOD(zs_json_set, root, TEXT("a key that is long \xc3"), one), NONE);
    assert_json(root, "{}");
    TRAPS("zs_json_set: 99 is no handle", zs_json_set, 99, TEXT("a"), one);
    TRAPS("zs_json_set: value: 99 is no handle", zs_json_set, root, TEXT("a"), 99);
    TRAPS("zs_json_set: value: -1 is no handle", zs_json_set, root, TEXT("a"), NONE);
    TRAPS("", zs_json_set, root, 0, 1, one);
    TRAPS("", zs_json_set, root, scene_at(0), UINT64_MAX, one);
    assert_json(root, "{}");
    assert_even();
}

static void
remove_takes_a_member_away(void **state)
{
    uint64_t root = parse("{\"a\":1,\"b\":\"a text that is no short one\",\"\":2}");
    assert_int_equal(GOOD(zs_json_remove, root, TEXT("b")), 0);
    assert_int_equal(GOOD(zs_json_remove, root, TEXT("b")), NONE);
    assert_int_equal(GOOD(zs_json_remove, root, TEXT("\xff")), NONE);
    assert_int_equal(GOOD(zs_json_remove, root, UINT64_MAX, 0), 0);
    assert_json(root, "{\"a\":1}");
    uint64_t array = parse("[1]");
    assert_int_equal(GOOD(zs_json_remove, array, TEXT("0")), NONE);
    TRAPS("zs_json_remove: 99 is no handle", zs_json_remove, 99, TEXT("a"));
    TRAPS("", zs_json_remove, root, 0, 1);
    assert_int_equal(GOOD(zs_json_remove, root, TEXT("a")), 0);
    assert_json(root, "{}");
    assert_even();
}

/* --- arrays --- */

static void
push_and_array_set(void **state)
{
    uint64_t array = GOOD(zs_json_new_array, 0), one = integer(1), text = string(long_text);
    assert_int_equal(GOOD(zs_json_array_push, array, one), 1);
    assert_int_equal(GOOD(zs_json_array_push, array, text), 2);
    assert_int_equal(GOOD(zs_json_array_push, array, one), 3);
    assert_int_equal(GOOD(zs_json_array_set, array, 0, text), 0);
    assert_int_equal(GOOD(zs_json_array_set, array, 1, one), 0);
    assert_json(array, "[\"a text of more than thirteen bytes\",1,1]");
    assert_int_equal(GOOD(zs_json_array_set, array, 3, one), NONE);
    assert_int_equal(GOOD(zs_json_array_set, array, UINT64_MAX, one), NONE);
    assert_int_equal(GOOD(zs_json_array_set, one, 0, one), NONE);
    assert_int_equal(GOOD(zs_json_array_push, one, one), NONE);
    assert_int_equal(GOOD(zs_json_array_push, parse("{}"), one), NONE);
    TRAPS("zs_json_array_push: 99 is no handle", zs_json_array_push, 99, one);
    TRAPS("zs_json_array_push: value: 99 is no", zs_json_array_push, array, 99);
    TRAPS("zs_json_array_set: 99 is no handle", zs_json_array_set, 99, 0, one);
    TRAPS("zs_json_array_set: value: 99 is no", zs_json_array_set, array, 0, 99);
    assert_json(array, "[\"a text of more than thirteen bytes\",1,1]");
    assert_even();
}

/* --- plain values --- */

static void
a_node_becomes_a_plain_value(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":1},\"c\":[1]}"), a = get(root, "a");
    assert_int_equal(GOOD(zs_json_set_string, a, TEXT(long_text)), 0);
    assert_json(root, "{\"a\":\"a text of more than thirteen bytes\",\"c\":[1]}");
    assert_int_equal(GOOD(zs_json_set_string, a, UINT64_MAX, 0), 0);
    assert_json(root, "{\"a\":\"\",\"c\":[1]}");
    assert_int_equal(GOOD(zs_json_set_i64, a, (uint64_t)INT64_MIN), 0);
    assert_json(root, "{\"a\":-9223372036854775808,\"c\":[1]}");
    assert_int_equal(GOOD(zs_json_set_bool, a, 0), 0);
    assert_json(root, "{\"a\":false,\"c\":[1]}");
    assert_int_equal(GOOD(zs_json_set_bool, a, UINT64_C(1) << 40), 0);
    assert_json(root, "{\"a\":true,\"c\":[1]}");
    assert_int_equal(GOOD(zs_json_set_null, a), 0);
    assert_json(root, "{\"a\":null,\"c\":[1]}");
    assert_int_equal(GOOD(zs_json_set_string, a, TEXT("\xff")), NONE);
    assert_json(a, "null");
    assert_int_equal(GOOD(zs_json_set_bool, root, 1), 0);
    assert_json(root, "true");
    assert_dead(a);
    TRAPS("", zs_json_set_string, root, 0, 1);
    assert_json(root, "true");
    TRAPS("zs_json_set_string: 99 is", zs_json_set_string, 99, TEXT("x"));
    TRAPS("zs_json_set_i64: 99 is", zs_json_set_i64, 99, 1);
    TRAPS("zs_json_set_bool: 99 is", zs_json_set_bool, 99, 1);
    TRAPS("zs_json_set_null: 99 is", zs_json_set_null, 99);
    assert_even();
}

/* --- handles while trees change --- */

static void
handles_follow_their_nodes(void **state)
{
    uint64_t root = parse("{\"d\":{\"x\":[1,2]},\"f\":5}");
    uint64_t d = get(root, "d"), f = get(root, "f"), x = get(d, "x");
    uint64_t item = GOOD(zs_json_array_get, x, 1), one = integer(1);
    for (char key[] = "a"; *key <= 'z'; ++*key) {
        if (*key == 'd' || *key == 'f')
            continue;
        GOOD(zs_json_set, root, TEXT(key), one);
        GOOD(zs_json_array_push, x, one);
        assert_json(f, "5");
        assert_json(item, "2");
        assert_int_equal(GOOD(zs_json_len, d), 1);
    }
    for (char key[] = "a"; *key <= 'z'; ++*key) {
        if (*key != 'd' && *key != 'f')
            GOOD(zs_json_remove, root, TEXT(key));
        assert_json(f, "5");
        assert_json(item, "2");
    }
    GOOD(zs_json_set_i64, item, 77);
    GOOD(zs_json_set_i64, f, 78);
    assert_json(root, "{\"d\":{\"x\":[1,77,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]},"
                      "\"f\":78}");
    assert_even();
}

static void
what_was_replaced_or_removed_traps(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":{\"c\":1}},\"d\":[{\"e\":1},2],\"f\":3}");
    uint64_t a = get(root, "a"), b = get(a, "b"), c = get(b, "c"), again = get(b, "c");
    uint64_t d = get(root, "d"), d0 = GOOD(zs_json_array_get, d, 0), e = get(d0, "e");
    uint64_t d1 = GOOD(zs_json_array_get, d, 1), f = get(root, "f");
    GOOD(zs_json_set_i64, b, 7); /* b stays; what was in it goes */
    assert_json(b, "7");
    assert_dead(c);
    assert_dead(again);
    GOOD(zs_json_set, root, TEXT("a"), f);
    assert_dead(a);
    assert_dead(b);
    assert_json(f, "3");
    GOOD(zs_json_array_set, d, 0, f);
    assert_dead(d0);
    assert_dead(e);
    assert_json(d1, "2");
    GOOD(zs_json_remove, root, TEXT("d"));
    assert_dead(d);
    assert_dead(d1);
    assert_json(root, "{\"a\":3,\"f\":3}");
    /* they still belong to their tree */
    assert_int_equal(GOOD(zs_json_reset, d1), 0);
    assert_json(d1, "{\"a\":3,\"f\":3}");
    assert_int_equal(GOOD(zs_object_free, d), 0);
    TRAPS("zs_json_type: 6 is no handle", zs_json_type, d);
    assert_even();
}

static void
one_of_two_handles_of_a_node_may_go(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":[1]}}"), a = get(root, "a");
    uint64_t one = get(a, "b"), two = get(a, "b"), three = get(a, "b");
    GOOD(zs_object_free, one);
    GOOD(zs_json_reset, two);
    GOOD(zs_json_set, a, TEXT("a"), a); /* it moves */
    assert_json(three, "[1]");
    GOOD(zs_json_set_null, a);
    assert_dead(three);
    assert_json(two, "{\"a\":null}");
    assert_even();
}

static void
every_helper_refuses_a_dead_handle(void **state)
{
    uint64_t root = parse("{\"a\":{}}"), dead = get(root, "a");
    GOOD(zs_json_remove, root, TEXT("a"));
    static bpf_helper_fn *const all[] = {
        zs_json_get,       zs_json_array_get,  zs_json_read_string, zs_json_read_i64,
        zs_json_read_bool, zs_json_clone,      zs_json_len,         zs_json_type,
        zs_json_remove,    zs_json_set_string, zs_json_set_i64,     zs_json_set_bool,
        zs_json_set_null,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        TRAPS("the value of handle 2 was replaced or removed", all[i], dead);
    TRAPS("replaced or removed", zs_json_set, dead, TEXT("a"), root);
    TRAPS("replaced or removed", zs_json_set, root, TEXT("a"), dead);
    TRAPS("replaced or removed", zs_json_array_push, dead, root);
    TRAPS("replaced or removed", zs_json_array_push, root, dead);
    TRAPS("replaced or removed", zs_json_array_set, dead, 0, root);
    TRAPS("replaced or removed", zs_json_array_set, root, 0, dead);
    TRAPS("replaced or removed", zs_json_respond, 200, dead);
    assert_even();
}

static void
a_value_may_go_into_itself(void **state)
{
    uint64_t root = parse("{\"a\":{\"b\":[1]}}"), a = get(root, "a"), b = get(a, "b");
    GOOD(zs_json_set, a, TEXT("c"), root);
    assert_json(root, "{\"a\":{\"b\":[1],\"c\":{\"a\":{\"b\":[1]}}}}");
    assert_int_equal(GOOD(zs_json_array_push, b, b), 2);
    assert_json(b, "[1,[1]]");
    GOOD(zs_json_array_set, b, 0, root);
    assert_json(b, "[{\"a\":{\"b\":[1,[1]],\"c\":{\"a\":{\"b\":[1]}}}},[1]]");
    /* a member by what was in it */
    GOOD(zs_json_set, root, TEXT("a"), b);
    assert_dead(b);
    assert_json(root, "{\"a\":[{\"a\":{\"b\":[1,[1]],\"c\":{\"a\":{\"b\":[1]}}}},[1]]}");
    assert_even();
}

/* --- limits --- */

static void
trees_have_a_depth(void **state)
{
    char text[2 * SCRIPT_JSON_DEPTH_MAX + 1] = "";
    memset(text, '[', SCRIPT_JSON_DEPTH_MAX - 1);
    memset(text + SCRIPT_JSON_DEPTH_MAX - 1, ']', SCRIPT_JSON_DEPTH_MAX - 1);
    uint64_t deep = parse(text), array = GOOD(zs_json_new_array, 0), object = parse("{}");
    uint64_t inner = parse("{\"a\":[1]}");
    assert_int_equal(GOOD(zs_json_array_push, array, deep), 1); /* 128 */
    uint64_t footprint = scene->frame.footprint;
    TRAPS("zs_json_set: more than 128", zs_json_set, object, TEXT("a"), array);
    TRAPS("zs_json_array_push: more than 128", zs_json_array_push, array, array);
    TRAPS("zs_json_array_set: more than 128", zs_json_array_set, array, 0, array);
    uint64_t a = get(inner, "a");
    TRAPS("zs_json_array_push: more than 128", zs_json_array_push, a, deep);
    assert_int_equal(scene->frame.footprint, footprint);
    assert_json(a, "[1]");
    assert_json(inner, "{\"a\":[1]}");
    GOOD(zs_json_array_set, array, 0, inner);
    GOOD(zs_json_set, object, TEXT("a"), array);
    assert_json(object, "{\"a\":[{\"a\":[1]}]}");
    assert_even();
}

/* One after the other, as long as there is room. False: one has trapped. */
static bool
build(uint64_t room)
{
    scene->shared.config.footprint_max = room;
    uint64_t value = CALL(zs_json_new_array, 0);
    if (scene->trapped)
        return false;
    CALL(zs_json_set_string, value, TEXT(long_text));
    uint64_t root = scene->trapped ? 0 : CALL(zs_json_new_object, 0);
    if (!scene->trapped)
        CALL(zs_json_set, root, TEXT("a key of more than thirteen bytes"), value);
    if (!scene->trapped)
        CALL(zs_json_set, root, TEXT("self"), root);
    uint64_t list = scene->trapped ? 0 : CALL(zs_json_new_array, 0);
    for (int i = 0; i < 9 && !scene->trapped; i++)
        CALL(zs_json_array_push, list, root);
    if (!scene->trapped)
        CALL(zs_json_array_set, list, 0, list);
    if (!scene->trapped)
        CALL(zs_json_clone, list);
    if (!scene->trapped)
        CALL(zs_json_set, root, TEXT("self"), list);
    return !scene->trapped;
}

static void
room_that_ends_anywhere_leaves_nothing_behind(void **state)
{
    uint64_t room = 0;
    for (bool done = false; !done; room += 32) {
        done = build(room);
        assert_true(scene->frame.footprint <= room);
        if (!done)
            assert_non_null(strstr(scene->trap, "--max-request-external-memory-footprint-kb"));
        for (uint32_t i = 0; i < scene->frame.json.live_count; i++)
            written_as(scene->frame.json.handles[i].id);
        if (room % 64)
            script_json_deinit(&scene->frame.json);
        else
            assert_even();
        scene->frame.footprint = 0;
    }
    assert_in_range(room, 4000, 40000);
}

static void
a_script_may_build_and_drop_for_ever(void **state)
{
    uint64_t root = parse("{\"a\":[]}"), text = string(long_text);
    scene->shared.config.footprint_max = 2048;
    for (int i = 0; i < 100; i++) {
        GOOD(zs_json_set, root, TEXT("a"), text);
        GOOD(zs_json_set, root, TEXT("b"), root);
        GOOD(zs_json_remove, root, TEXT("b"));
        GOOD(zs_json_set_string, text, TEXT("another text of more than thirteen bytes"));
        GOOD(zs_object_free, GOOD(zs_json_clone, root));
    }
    assert_even();
}

/* What is there makes room for what comes. */
static void
a_large_string_replaces_a_large_string(void **state)
{
    static char text[60001];
    memset(text, 'x', sizeof text - 1);
    scene->shared.config.footprint_max = 64 << 10;
    uint64_t handle = string(text);
    for (int i = 0; i < 3; i++)
        assert_int_equal(GOOD(zs_json_set_string, handle, TEXT(text)), 0);
    assert_int_equal(GOOD(zs_json_len, handle), 60000);
    assert_even();
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(new_ones_are_empty),
        TEST(a_clone_is_a_tree_of_its_own),
        TEST(set_adds_and_replaces_members),
        TEST(set_refuses),
        TEST(remove_takes_a_member_away),
        TEST(push_and_array_set),
        TEST(a_node_becomes_a_plain_value),
        TEST(handles_follow_their_nodes),
        TEST(what_was_replaced_or_removed_traps),
        TEST(one_of_two_handles_of_a_node_may_go),
        TEST(every_helper_refuses_a_dead_handle),
        TEST(a_value_may_go_into_itself),
        TEST(trees_have_a_depth),
        TEST(room_that_ends_anywhere_leaves_nothing_behind),
        TEST(a_script_may_build_and_drop_for_ever),
        TEST(a_large_string_replaces_a_large_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
