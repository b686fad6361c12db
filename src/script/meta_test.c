/* The metadata map. */
#include "base/limits.h"
#include "script/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool
set(struct script_meta *meta, const char *key, const char *value)
{
    return script_meta_set(meta, str_from_cstr(key), str_from_cstr(value));
}

static void
assert_value(const struct script_meta *meta, const char *key, const char *wanted)
{
    struct str got = script_meta_get(meta, str_from_cstr(key));
    if (!wanted) {
        assert_null(got.ptr);
        return;
    }
    assert_non_null(got.ptr);
    assert_true(str_eq(got, str_from_cstr(wanted)));
}

static void
what_was_set_is_there(void **state)
{
    struct script_meta meta = {0};
    assert_value(&meta, "a", NULL);
    assert_true(set(&meta, "a", "1") && set(&meta, "b", "2"));
    assert_value(&meta, "a", "1");
    assert_value(&meta, "b", "2");
    assert_value(&meta, "A", NULL);
    assert_true(set(&meta, "a", "longer than before"));
    assert_value(&meta, "a", "longer than before");
    assert_true(set(&meta, "a", "s"));
    assert_value(&meta, "a", "s");
    assert_true(set(&meta, "a", ""));
    assert_value(&meta, "a", "");
    assert_value(&meta, "b", "2");
    assert_int_equal(meta.count, 2);
    script_meta_clear(&meta);
    assert_value(&meta, "a", NULL);
    assert_true(set(&meta, "a", ""));
    assert_value(&meta, "a", "");
    script_meta_deinit(&meta);
    assert_value(&meta, "a", NULL);
}

static void
the_first_value_may_be_empty(void **state)
{
    struct script_meta meta = {0};
    assert_true(set(&meta, "", ""));
    assert_value(&meta, "", "");
    script_meta_deinit(&meta);
}

static void
headers_are_counted(void **state)
{
    struct script_meta meta = {0};
    assert_true(set(&meta, "zs.response.header.a", "1") && set(&meta, "zs.response.headera", "1"));
    assert_int_equal(meta.header_count, 1);
    assert_true(set(&meta, "zs.response.header.a", "2") && set(&meta, "zs.response.header.", "2"));
    assert_int_equal(meta.header_count, 2);
    script_meta_clear(&meta);
    assert_int_equal(meta.header_count, 0);
    script_meta_deinit(&meta);
}

static void
text_of_the_map_itself_may_be_set(void **state)
{
    struct script_meta meta = {0};
    assert_true(set(&meta, "key", "value"));
    /* Often enough that its text moves. */
    for (unsigned i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", i);
        assert_true(script_meta_set(&meta, str_from_cstr(key), script_meta_get(&meta, STR("key"))));
        assert_value(&meta, key, "value");
    }
    assert_true(script_meta_set(&meta, script_meta_value(&meta, 0), script_meta_key(&meta, 0)));
    assert_value(&meta, "value", "key");
    /* Keys that are parts of a value, while its text moves. */
    char parts[300];
    memset(parts, 'p', sizeof parts);
    assert_true(script_meta_set(&meta, STR("parts"), str_make(parts, sizeof parts)));
    for (size_t len = 1; len <= sizeof parts; len++)
        assert_true(
            script_meta_set(&meta, str_first(script_meta_get(&meta, STR("parts")), len), STR("v")));
    assert_value(&meta, "ppp", "v");
    /* A part of a value in place of it. */
    assert_true(set(&meta, "key", "0123456789"));
    assert_true(
        script_meta_set(&meta, STR("key"), str_skip(script_meta_get(&meta, STR("key")), 4)));
    assert_value(&meta, "key", "456789");
    script_meta_deinit(&meta);
}

/* Random changes, against a plain model. */
static void
any_order_of_changes_holds(void **state)
{
    static char model[32][2048];
    static bool there[32];
    struct script_meta meta = {0};
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        unsigned at = (unsigned)rand() % 32, from = (unsigned)rand() % 32;
        char key[8], value[2048];
        snprintf(key, sizeof key, "k%u", at);
        size_t len = rand() % 8 ? (size_t)rand() % 40 : (size_t)rand() % 2000;
        memset(value, 'a' + (int)(round % 26), len);
        value[len] = '\0';
        struct str text = str_make(value, len);
        if (rand() % 4 == 0 && there[from]) {
            char other[8];
            snprintf(other, sizeof other, "k%u", from);
            text = script_meta_get(&meta, str_from_cstr(other));
            strcpy(value, model[from]);
        }
        if (script_meta_set(&meta, str_from_cstr(key), text)) {
            strcpy(model[at], value);
            there[at] = true;
        }
        if (round % 5000 == 4999) {
            script_meta_clear(&meta);
            memset(there, 0, sizeof there);
        }
        for (unsigned i = 0; i < 32; i++) {
            snprintf(key, sizeof key, "k%u", i);
            assert_value(&meta, key, there[i] ? model[i] : NULL);
        }
        assert_true(meta.text.len <= SCRIPT_META_MAX);
    }
    script_meta_deinit(&meta);
}

static void
the_map_has_a_limit(void **state)
{
    struct script_meta meta = {0};
    char *value = calloc(1, SCRIPT_META_MAX + 1);
    memset(value, 'x', SCRIPT_META_MAX);
    assert_false(set(&meta, "a", value));
    assert_int_equal(meta.count, 0);
    assert_true(script_meta_set(&meta, STR("a"), str_make(value, SCRIPT_META_MAX - 1)));
    assert_false(set(&meta, "b", ""));
    assert_false(script_meta_set(&meta, STR("a"), str_make(value, SCRIPT_META_MAX)));
    assert_int_equal(script_meta_get(&meta, STR("a")).len, SCRIPT_META_MAX - 1);
    /* The same place again and again, growing, leaves nothing behind. */
    script_meta_clear(&meta);
    for (unsigned round = 0; round < 100; round++)
        for (size_t len = 1; len < SCRIPT_META_MAX; len *= 3)
            assert_true(script_meta_set(&meta, STR("a"), str_make(value, len)));
    script_meta_clear(&meta);
    for (unsigned i = 0; i < SCRIPT_META_COUNT_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        assert_true(set(&meta, key, "v"));
    }
    assert_false(set(&meta, "one more", "v"));
    assert_true(set(&meta, "0", "changed"));
    assert_value(&meta, "511", "v");
    script_meta_deinit(&meta);
    free(value);
}

static void
names_and_faults_of_headers(void **state)
{
    assert_true(str_eq(script_meta_header_name(STR("zs.response.header.X-A")), STR("X-A")));
    assert_true(str_eq(script_meta_header_name(STR("zs.response.header. X-A\t")), STR("X-A")));
    assert_int_equal(script_meta_header_name(STR("zs.response.header.")).len, 0);
    assert_int_equal(script_meta_header_name(STR("zs.response.headers.a")).len, 0);
    assert_null(script_meta_header_fault(STR("X-A"), STR("v")));
    assert_null(script_meta_header_fault(STR("X-A"), STR("")));
    assert_non_null(script_meta_header_fault(STR(""), STR("v")));
    assert_non_null(script_meta_header_fault(STR("a b"), STR("v")));
    assert_non_null(script_meta_header_fault(STR("a"), STR("v\r\nb: c")));
    static const char *const own[] = {
        "content-length", "Transfer-Encoding", "CONNECTION", "date",
        "Keep-Alive",     "upgrade",           "te",         "trailer"};
    for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
        assert_string_equal(script_meta_header_fault(str_from_cstr(own[i]), STR("v")),
                            "is the server's own header");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_set_is_there),
        cmocka_unit_test(the_first_value_may_be_empty),
        cmocka_unit_test(headers_are_counted),
        cmocka_unit_test(text_of_the_map_itself_may_be_set),
        cmocka_unit_test(any_order_of_changes_holds),
        cmocka_unit_test(the_map_has_a_limit),
        cmocka_unit_test(names_and_faults_of_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
