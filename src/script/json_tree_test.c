#include "script/json_tree.h"

#include "base/limits.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROOM = 1 << 20, MANY = 3000 };

static struct script_json json;
static struct json_node root;
static struct buf out;

static int
set_up(void **state)
{
    json = (struct script_json){.left = ROOM};
    root = (struct json_node){0};
    buf_init(&out, 4 << 20);
    return 0;
}

/* Everything that was taken has come back. */
static int
tear_down(void **state)
{
    json_tree_empty(&json, &root);
    buf_deinit(&out);
    return json.left == ROOM ? 0 : -1;
}

static void
read_ok(const char *text)
{
    json_tree_empty(&json, &root);
    if (json_tree_read(&json, &root, str_from_cstr(text)) != JSON_OK)
        fail_msg("not read: %s", text);
}

static const char *
written(void)
{
    buf_clear(&out);
    json_tree_write(&root, &out);
    buf_append_char(&out, '\0');
    assert_false(buf_overflowed(&out));
    return out.ptr;
}

#define ROUND(text, wanted)                       \
    do {                                          \
        read_ok(text);                            \
        assert_string_equal(written(), (wanted)); \
    } while (0)
#define SAME(text) ROUND(text, text)

static struct json_node *
at(const char *key)
{
    struct json_node *node = json_tree_find(&root, str_from_cstr(key));
    assert_non_null(node);
    return node;
}

static void
test_text_becomes_a_tree_and_text_again(void **state)
{
    SAME("null");
    SAME("true");
    SAME("false");
    SAME("0");
    SAME("\"\"");
    SAME("[]");
    SAME("{}");
    SAME("[[],{},[[]],null,false,true,0,\"x\"]");
    SAME("{\"\":1,\"a\":{\"b\":[1,2,{\"c\":null}]}}");
    ROUND(" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n", "{\"a\":[1,2],\"b\":{}}");
    SAME("\"0123456789abc\"");
    SAME("\"0123456789abcd\"");
    SAME("{\"0123456789abc\":1,\"0123456789abcd\":2}");
}

static void
test_numbers_stay_what_they_were(void **state)
{
    static const struct {
        const char *text;
        bool is_integer;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"999999999999999999", true, 999999999999999999},
        {"1000000000000000000", true, 1000000000000000000},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"123456789012345678901234567890", false, 0},
        {"-0", false, 0},
        {"0.5", false, 0},
        {"1.0", false, 0},
        {"-12.50e+10", false, 0},
        {"1E400", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SAME(cases[i].text);
        assert_int_equal(root.type, JSON_NUMBER);
        assert_int_equal(root.form == JSON_INTEGER, cases[i].is_integer);
        if (cases[i].is_integer)
            assert_true(root.integer == cases[i].value);
    }
}

static void
test_strings(void **state)
{
    ROUND("\"\\u0041\\/\\\\\\\"\\b\\f\\n\\r\\t\"", "\"A/\\\\\\\"\\b\\f\\n\\r\\t\"");
    ROUND("\"\\u0000\\u001F\x7f\"", "\"\\u0000\\u001f\x7f\"");
    ROUND("\"\\u00e9\\u20AC\\ud83d\\ude00\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    SAME("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and more text behind that, long enough\"");
    /* an escape at every place of a word, in short and long texts */
    for (int len = 0; len < 40; len++)
        for (int place = 0; place < len; place++) {
            char text[128], wanted[128];
            snprintf(text, sizeof text, "\"%.*s\\u000a%.*s\"", place,
                     "0123456789abcdefghijklmnopqrstuvwxyzABCDEF", len - place,
                     "0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
            snprintf(wanted, sizeof wanted, "\"%.*s\\n%.*s\"", place,
                     "0123456789abcdefghijklmnopqrstuvwxyzABCDEF", len - place,
                     "0123456789abcdefghijklmnopqrstuvwxyzABCDEF");
            ROUND(text, wanted);
            assert_int_equal(json_tree_text(&root).len, len + 1);
        }
}

static void
test_what_is_not_json(void **state)
{
    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT(" "),
        STR_INIT("{"),
        STR_INIT("["),
        STR_INIT("}"),
        STR_INIT("[}"),
        STR_INIT("{]"),
        STR_INIT("[1"),
        STR_INIT("[1,"),
        STR_INIT("[1,]"),
        STR_INIT("[,1]"),
        STR_INIT("[1 2]"),
        STR_INIT("[1]]"),
        STR_INIT("[1] x"),
        STR_INIT("{\"a\"}"),
        STR_INIT("{\"a\":}"),
        STR_INIT("{\"a\":1,}"),
        STR_INIT("{a:1}"),
        STR_INIT("{1:1}"),
        STR_INIT("{\"a\" 1}"),
        STR_INIT("{\"a\":1 \"b\":2}"),
        STR_INIT("nul"),
        STR_INIT("nulll"),
        STR_INIT("True"),
        STR_INIT("tru"),
        STR_INIT("falsy"),
        STR_INIT("01"),
        STR_INIT("-"),
        STR_INIT("-01"),
        STR_INIT("+1"),
        STR_INIT("1."),
        STR_INIT(".5"),
        STR_INIT("1e"),
        STR_INIT("1e+"),
        STR_INIT("0x10"),
        STR_INIT("1a"),
        STR_INIT("NaN"),
        STR_INIT("Infinity"),
        STR_INIT("\""),
        STR_INIT("\"a"),
        STR_INIT("\"\\\""),
        STR_INIT("\"\\x\""),
        STR_INIT("\"\\u12\""),
        STR_INIT("\"\\u12g4\""),
        STR_INIT("\"\\ud800\""),
        STR_INIT("\"\\udc00\""),
        STR_INIT("\"\\ud800\\u0041\""),
        STR_INIT("\"a\nb\""),
        STR_INIT("\"long enough for a word\x01\""),
        STR_INIT("\"\0\""),
        STR_INIT("\"\x80\""),
        STR_INIT("\"\xc0\xaf\""),
        STR_INIT("\"\xed\xa0\x80\""),
        STR_INIT("\"\xc3\""),
        STR_INIT("{\"\xff\":1}"),
        STR_INIT("[1]\0"),
        STR_INIT("\xef\xbb\xbf[1]"),
        STR_INIT("'a'"),
        STR_INIT("[1] // x"),
        STR_INIT(
            "{\"key that is long\":[\"value that is long\",{\"key\":\"value that is long\",}]}"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (json_tree_read(&json, &root, cases[i]) != JSON_ABSENT)
            fail_msg("read: %.*s", STR_ARG(cases[i]));
        assert_int_equal(root.type, JSON_NULL);
        assert_int_equal(json.left, ROOM);
    }
    assert_int_equal(json_tree_read(&json, &root, (struct str){0}), JSON_ABSENT);
}

/* Text that ends anywhere is not read beyond its end (this is for the address sanitizer). */
static void
test_text_that_ends_anywhere(void **state)
{
    struct str text = STR("{\"key\":[true,false,null,-12.5e-3,\"\\u00e9\xc3\xa9 and so on\"]}");
    for (size_t len = 0; len < text.len; len++) {
        char *exact = malloc(len ? len : 1);
        memcpy(exact, text.ptr, len);
        assert_int_equal(json_tree_read(&json, &root, str_make(exact, len)), JSON_ABSENT);
        free(exact);
    }
}

static void
test_members_are_sorted_and_the_last_of_a_key_wins(void **state)
{
    ROUND("{\"b\":1,\"a\":2,\"\":3,\"ab\":4,\"\xc3\xa9\":5,\"B\":6}",
          "{\"\":3,\"B\":6,\"a\":2,\"ab\":4,\"b\":1,\"\xc3\xa9\":5}");
    ROUND("{\"a\":1,\"a\":2}", "{\"a\":2}");
    ROUND("{\"a\":[1,\"a text that is long\"],\"b\":0,\"a\":{\"x\":\"another long text\"},"
          "\"\\u0061\":3}",
          "{\"a\":3,\"b\":0}");
    ROUND("{\"a\\u0000\":1,\"a\":2}", "{\"a\":2,\"a\\u0000\":1}");
}

static void
test_keys_are_ordered_by_their_bytes(void **state)
{
    static const char letters[] = {'\0', 'a', '\x7f'};
    uint64_t random = 7;
    for (int i = 0; i < 20000; i++) {
        char text[2][17];
        struct json_node key[2] = {{{{0}}}};
        struct str s[2];
        for (int k = 0; k < 2; k++) {
            /* mostly the same, so that the ends decide */
            for (size_t at = 0; at < sizeof text[k]; at++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                text[k][at] = random >> 61 ? 'a' : letters[(random >> 33) % 3];
            }
            s[k] = str_make(text[k], (random >> 40) % sizeof text[k]);
            assert_int_equal(json_tree_put_text(&json, &key[k], JSON_STRING, s[k]), JSON_OK);
        }
        assert_int_equal(json_tree_compare(&key[0], &key[1]) < 0, str_cmp(s[0], s[1]) < 0);
        assert_int_equal(json_tree_compare(&key[0], &key[1]) > 0, str_cmp(s[0], s[1]) > 0);
        json_tree_empty(&json, &key[0]);
        json_tree_empty(&json, &key[1]);
    }
}

static void
test_many_members_in_any_order(void **state)
{
    uint64_t random = 1;
    unsigned last[997];
    for (unsigned step = 1; step <= 3; step++) {
        memset(last, 0xff, sizeof last);
        buf_clear(&out);
        buf_append_char(&out, '{');
        for (unsigned i = 0; i < MANY; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            unsigned key = step == 1   ? i % 997
                           : step == 2 ? (MANY - i) % 997
                                       : (unsigned)(random >> 33) % 997;
            last[key] = i;
            buf_printf(&out, "%s\"key %u\":%u", i ? "," : "", key, i);
        }
        buf_append_char(&out, '}');
        assert_int_equal(json_tree_read(&json, &root, buf_str(&out)), JSON_OK);
        unsigned known = 0;
        for (unsigned key = 0; key < 997; key++) {
            char name[32];
            snprintf(name, sizeof name, "key %u", key);
            struct json_node *node = json_tree_find(&root, str_from_cstr(name));
            assert_int_equal(node != NULL, last[key] != UINT32_MAX);
            known += node != NULL;
            if (node)
                assert_int_equal(node->integer, last[key]);
        }
        assert_int_equal(root.len, known);
        for (uint32_t i = 1; i < root.len; i++)
            assert_true(str_cmp(json_tree_text(&json_members(&root)[i - 1].key),
                                json_tree_text(&json_members(&root)[i].key)) < 0);
        json_tree_empty(&json, &root);
        assert_int_equal(json.left, ROOM);
    }
}

static void
test_depth(void **state)
{
    static char text[4 * SCRIPT_JSON_DEPTH_MAX + 8];
    for (int depth = SCRIPT_JSON_DEPTH_MAX - 1; depth <= SCRIPT_JSON_DEPTH_MAX + 1; depth++) {
        struct str all = str_make(text, (size_t)2 * (size_t)depth + 1);
        memset(text, '[', (size_t)depth);
        text[depth] = '7';
        memset(text + depth + 1, ']', (size_t)depth);
        json_tree_empty(&json, &root);
        assert_int_equal(json_tree_read(&json, &root, all),
                         depth <= SCRIPT_JSON_DEPTH_MAX ? JSON_OK : JSON_TOO_DEEP);
    }
    memset(text, '[', sizeof text);
    assert_int_equal(json_tree_read(&json, &root, str_make(text, sizeof text)), JSON_TOO_DEEP);
}

static void
test_copies_stop_at_a_depth(void **state)
{
    struct json_node copy = {0};
    read_ok("{\"a\":[{\"b\":1}],\"c\":\"a text that is long\"}");
    assert_int_equal(json_tree_copy(&json, &copy, &root, 2), JSON_TOO_DEEP);
    json_tree_empty(&json, &copy);
    assert_int_equal(json_tree_copy(&json, &copy, &root, 3), JSON_OK);
    json_tree_empty(&json, &root);
    root = copy;
    assert_string_equal(written(), "{\"a\":[{\"b\":1}],\"c\":\"a text that is long\"}");
}

static void
test_changes(void **state)
{
    struct json_node value = {0}, text = {0};
    struct str long_text = STR("a text of more than thirteen bytes");
    read_ok("{\"b\":[1]}");
    json_tree_put_integer(&value, 7);
    assert_int_equal(json_tree_put_text(&json, &text, JSON_STRING, long_text), JSON_OK);
    assert_int_equal(json_tree_set(&json, &root, STR("c"), &value, 9), JSON_OK);
    assert_int_equal(json_tree_set(&json, &root, STR("a"), &text, 9), JSON_OK);
    assert_int_equal(json_tree_set(&json, &root, STR("another long key"), &value, 9), JSON_OK);
    assert_int_equal(json_tree_set(&json, &root, STR(""), &value, 9), JSON_OK);
    assert_string_equal(written(), "{\"\":7,\"a\":\"a text of more than thirteen bytes\",\"another "
                                   "long key\":7,\"b\":[1],\"c\":7}");
    assert_int_equal(json_tree_set(&json, &root, STR("a"), &value, 9), JSON_OK);
    assert_int_equal(json_tree_push(&json, at("b"), &text, 9), JSON_OK);
    assert_int_equal(json_tree_push(&json, at("b"), &value, 9), JSON_OK);
    assert_int_equal(json_tree_replace(&json, json_tree_item_at(at("b"), 0), &text, 9), JSON_OK);
    assert_int_equal(json_tree_remove(&json, &root, STR("another long key")), JSON_OK);
    assert_int_equal(json_tree_remove(&json, &root, STR("another long key")), JSON_ABSENT);
    assert_int_equal(json_tree_remove(&json, &root, STR("")), JSON_OK);
    assert_string_equal(written(),
                        "{\"a\":7,\"b\":[\"a text of more than thirteen bytes\",\"a text "
                        "of more than thirteen bytes\",7],\"c\":7}");
    assert_null(json_tree_item_at(at("b"), 3));
    assert_null(json_tree_item_at(at("b"), UINT64_MAX));
    assert_null(json_tree_find(&root, STR("")));
    assert_int_equal(json_tree_remove(&json, &root, STR("a")), JSON_OK);
    assert_int_equal(json_tree_remove(&json, &root, STR("c")), JSON_OK);
    assert_int_equal(json_tree_remove(&json, &root, STR("b")), JSON_OK);
    assert_string_equal(written(), "{}");
    json_tree_empty(&json, &text);
    assert_int_equal(json.left, ROOM);
}

static void
test_a_value_may_go_into_itself(void **state)
{
    read_ok("{\"a\":{\"b\":[1]}}");
    assert_int_equal(json_tree_set(&json, at("a"), STR("c"), &root, 9), JSON_OK);
    assert_string_equal(written(), "{\"a\":{\"b\":[1],\"c\":{\"a\":{\"b\":[1]}}}}");
    struct json_node *list = json_tree_find(at("a"), STR("b"));
    assert_int_equal(json_tree_push(&json, list, list, 9), JSON_OK);
    assert_int_equal(json_tree_replace(&json, json_tree_item_at(list, 0), list, 9), JSON_OK);
    assert_string_equal(written(), "{\"a\":{\"b\":[[1,[1]],[1]],\"c\":{\"a\":{\"b\":[1]}}}}");
    /* a member by what is in it */
    struct json_node *inner = json_tree_find(at("a"), STR("c"));
    assert_int_equal(json_tree_set(&json, &root, STR("a"), inner, 9), JSON_OK);
    assert_string_equal(written(), "{\"a\":{\"a\":{\"b\":[1]}}}");
}

static void
test_lists_give_back_what_they_do_not_need(void **state)
{
    struct json_node value = {0};
    json_tree_put_list(&root, JSON_OBJECT);
    uint64_t least = json.left;
    for (int i = 0; i < MANY; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(json_tree_set(&json, &root, str_from_cstr(key), &value, 9), JSON_OK);
        least = json.left < least ? json.left : least;
    }
    assert_true(least < ROOM - MANY * sizeof(struct json_member));
    assert_true(least > ROOM - 2 * MANY * sizeof(struct json_member));
    for (int i = 0; i < MANY; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(json_tree_remove(&json, &root, str_from_cstr(key)), JSON_OK);
        assert_true(ROOM - json.left <= 16 * 32 + 4 * root.len * sizeof(struct json_member));
    }
    assert_int_equal(json.left, ROOM);
}

/* --- room that ends anywhere --- */

static const char torture_text[] =
    "{\"a key that is long\":[1,\"a value that is long\",{\"x\":1.25,\"y\":[[[\"\\u0041 escaped, "
    "and "
    "long enough\"]]]}],\"b\":123456789012345678901234567890,\"a key that is long\":null,\"c\":[],"
    "\"d\":{\"e\":{\"f\":{\"g\":\"a value that is long, too\"}}}}";

static enum json_result
try_changes(void)
{
    struct json_node value = {0};
    struct str text = STR("a text of more than thirteen bytes");
    enum json_result result = json_tree_put_text(&json, &value, JSON_STRING, text);
    if (result == JSON_OK)
        result = json_tree_set(&json, &root, text, &value, 99);
    if (result == JSON_OK)
        result = json_tree_push(&json, at("c"), &root, 99);
    if (result == JSON_OK)
        result = json_tree_set(&json, &root, STR("d"), &root, 99);
    if (result == JSON_OK)
        result = json_tree_replace(&json, at("b"), at("d"), 99);
    json_tree_empty(&json, &value);
    return result;
}

static void
test_room_that_ends_anywhere(void **state)
{
    uint64_t enough = 0;
    for (uint64_t room = 0; !enough; room += 8) {
        json.left = room;
        enum json_result result = json_tree_read(&json, &root, str_from_cstr(torture_text));
        if (result == JSON_OK) {
            result = try_changes();
            written();
        }
        if (result == JSON_OK)
            enough = room;
        else
            assert_int_equal(result, JSON_NO_ROOM);
        json_tree_empty(&json, &root);
        assert_int_equal(json.left, room);
    }
    assert_in_range(enough, 1000, 10000);
    json.left = ROOM;
}

static void
test_a_flood_is_not_begun_that_has_no_room(void **state)
{
    size_t len = 1 << 20;
    char *text = malloc(len);
    for (size_t i = 0; i < len; i += 2)
        memcpy(text + i, i ? ",0" : "[0", 2);
    text[len - 1] = ']';
    json.left = 4096;
    assert_int_equal(json_tree_read(&json, &root, str_make(text, len)), JSON_NO_ROOM);
    assert_int_equal(json.left, 4096);
    json.left = ROOM;
    free(text);
}

/* --- writing --- */

static void
test_a_buffer_that_is_too_small_is_marked(void **state)
{
    read_ok("{\"a\":\"0123456789012345678901234567890123456789\",\"b\":[1,2,3,\"\\n\"]}");
    size_t len = strlen(written());
    for (size_t max = 1; max <= len + 1; max++) {
        struct buf small;
        buf_init(&small, max);
        json_tree_write(&root, &small);
        assert_int_equal(buf_overflowed(&small), max < len);
        if (max >= len)
            assert_memory_equal(small.ptr, out.ptr, len);
        buf_deinit(&small);
    }
}

static void
test_text_is_appended_to_what_is_there(void **state)
{
    read_ok("[1]");
    buf_append(&out, STR("x: "));
    json_tree_write(&root, &out);
    json_tree_write(&root, &out);
    assert_int_equal(out.len, 9);
    assert_memory_equal(out.ptr, "x: [1][1]", 9);
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_text_becomes_a_tree_and_text_again),
        TEST(test_numbers_stay_what_they_were),
        TEST(test_strings),
        TEST(test_what_is_not_json),
        TEST(test_text_that_ends_anywhere),
        TEST(test_members_are_sorted_and_the_last_of_a_key_wins),
        TEST(test_keys_are_ordered_by_their_bytes),
        TEST(test_many_members_in_any_order),
        TEST(test_depth),
        TEST(test_copies_stop_at_a_depth),
        TEST(test_changes),
        TEST(test_a_value_may_go_into_itself),
        TEST(test_lists_give_back_what_they_do_not_need),
        TEST(test_room_that_ends_anywhere),
        TEST(test_a_flood_is_not_begun_that_has_no_room),
        TEST(test_a_buffer_that_is_too_small_is_marked),
        TEST(test_text_is_appended_to_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
