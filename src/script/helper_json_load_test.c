#include "script/json_test_run.h"

#include "base/log.h"
#include "script/json_cache.h"
#include "site/site.h"

#include <unistd.h>

static struct {
    char dir[64], source[80];
    struct site_config config;
    struct site *site;
    struct script_view *view;
} files;

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
    char inner[1024], command[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(inner, sizeof inner, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && { %s; }", files.dir, inner);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static void
load(void)
{
    struct error error;
    json_cache_free(files.view->json_cache);
    files.view->json_cache = NULL;
    site_free(files.site);
    files.site = NULL;
    if (site_load(&files.config, &files.site, &error) < 0)
        fail_msg("not loaded: %s", error.text);
    scene->pin.site = files.site;
    scene->req.pin = &scene->pin;
    scene->task.view = files.view;
}

static int
set_up_site(void **state)
{
    set_up(state);
    files.site = NULL;
    files.view = calloc(1, sizeof *files.view);
    strcpy(files.dir, "/tmp/tarn-json-XXXXXX");
    if (!mkdtemp(files.dir))
        return -1;
    snprintf(files.source, sizeof files.source, "%s/in", files.dir);
    files.config = (struct site_config){
        .source = files.source, .preload_max = 1 << 20, .preload_total = 1 << 20, .index = "i"};
    run("mkdir -p in/data in/.tarn in/.zeroserve/scripts");
    run("printf '{\"name\":\"Ada\",\"on\":true}' >in/data/config.json");
    run("printf '[1,2]' >in/.tarn/flags.json; printf '{' >in/bad.json; : >in/empty.json");
    run("printf '\"z\"' >in/.zeroserve/z.json");
    run("touch -d @1700000000 in/data/config.json in/.tarn/flags.json");
    log_set_level(LOG_ERROR);
    load();
    return 0;
}

static int
tear_down_site(void **state)
{
    run("rm -rf %s", files.dir);
    json_cache_free(files.view->json_cache);
    free(files.view);
    site_free(files.site);
    return tear_down(state);
}

static uint64_t
load_json(const char *name)
{
    return GOOD(zs_load_static_json, TEXT(name));
}

static void
files_by_their_exact_names(void **state)
{
    static const char *const absent[] = {
        "",
        "/data/config.json",
        "data/config",
        "data",
        "./data/config.json",
        "bad.json",
        "empty.json",
        "none.json",
        "\xff",
        ".tarn/index",
        "data/config.json ",
    };
    for (int preload = 0; preload < 2; preload++) {
        files.config.preload_max = preload ? 1 << 20 : 0;
        load();
        assert_json(load_json("data/config.json"), "{\"name\":\"Ada\",\"on\":true}");
        assert_json(load_json(".tarn/flags.json"), "[1,2]");
        assert_json(load_json(".zeroserve/z.json"), "\"z\"");
        for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
            assert_int_equal(load_json(absent[i]), NONE);
        assert_int_equal(GOOD(zs_load_static_json, UINT64_MAX, 0), NONE);
        assert_even();
    }
    TRAPS("", zs_load_static_json, 0, 1);
    TRAPS("", zs_load_static_json, scene_at(0), UINT64_MAX);
}

static void
a_file_that_changed_is_absent(void **state)
{
    files.config.preload_max = 0;
    load();
    run("printf '[3,4]' >in/.tarn/other.json; mv in/.tarn/other.json in/.tarn/flags.json");
    assert_even();
    /* the old one is still open */
    assert_json(load_json(".tarn/flags.json"), "[1,2]");
    run("printf '[9]' >in/data/config.json");
    assert_int_equal(load_json("data/config.json"), NONE);
    assert_even();
}

static void
room_bounds_what_is_read(void **state)
{
    run("{ printf '['; seq -s, 1 3000; printf ']'; } >in/large.json");
    for (int preload = 0; preload < 2; preload++) {
        files.config.preload_max = preload ? 1 << 20 : 0;
        scene->shared.config.footprint_max = 8 << 10;
        load();
        TRAPS("more than 8 KiB", zs_load_static_json, TEXT("large.json"));
        assert_int_equal(scene->frame.footprint, 0);
        scene->shared.config.footprint_max = 64 << 10;
        assert_int_equal(GOOD(zs_json_len, load_json("large.json")), 3000);
        assert_even();
    }
    scene->worker.scratch.max = 1000;
    buf_deinit(&scene->worker.scratch);
    files.config.preload_max = 0;
    load();
    TRAPS("zs_load_static_json: a file has", zs_load_static_json, TEXT("large.json"));
    assert_even();
}

/* --- files that are parsed once --- */

static const char tree_text[] =
    "{\"a\":{\"b\":[1,\"a text that is no short one\",{\"c\":2.5}]},\"d\":[10,20]}";

static uint64_t
load_tree(void)
{
    run("printf '%%s' '%s' >in/tree.json", tree_text);
    load();
    uint64_t root = load_json("tree.json");
    assert_json(root, tree_text);
    return root;
}

static void
each_load_is_a_tree_of_its_own(void **state)
{
    uint64_t one = load_tree(), two = load_json("tree.json");
    uint64_t b = get(get(two, "a"), "b");
    GOOD(zs_json_set, one, TEXT("d"), one);
    GOOD(zs_json_set_i64, get(one, "a"), 7);
    assert_json(one, "{\"a\":7,\"d\":{\"a\":{\"b\":[1,\"a text that is no short "
                     "one\",{\"c\":2.5}]},\"d\":[10,20]}}");
    assert_json(two, tree_text);
    assert_json(b, "[1,\"a text that is no short one\",{\"c\":2.5}]");
    uint64_t three = load_json("tree.json");
    GOOD(zs_json_set_null, three);
    assert_json(load_json("tree.json"), tree_text);
    assert_json(two, tree_text);
    assert_even();
}

static void
handles_follow_into_the_copy(void **state)
{
    uint64_t root = load_tree(), other = get(load_json("tree.json"), "d");
    uint64_t a = get(root, "a"), b = get(a, "b"), again = get(a, "b"), root_too = get(root, "a");
    uint64_t c = get(GOOD(zs_json_array_get, b, 2), "c"), d = get(root, "d");
    uint64_t d1 = GOOD(zs_json_array_get, d, 1);
    GOOD(zs_json_reset, root_too);
    GOOD(zs_object_free, root);
    assert_int_equal(GOOD(zs_json_array_push, d, b), 3); /* the value comes along */
    assert_json(d, "[10,20,[1,\"a text that is no short one\",{\"c\":2.5}]]");
    GOOD(zs_json_array_set, d, 0, d1);
    GOOD(zs_json_set_string, c, TEXT("changed"));
    assert_json(again, "[1,\"a text that is no short one\",{\"c\":\"changed\"}]");
    assert_json(other, "[10,20]");
    GOOD(zs_json_remove, root_too, TEXT("a"));
    assert_dead(a);
    assert_dead(b);
    assert_dead(again);
    assert_dead(c);
    assert_json(root_too, "{\"d\":[20,20,[1,\"a text that is no short one\",{\"c\":2.5}]]}");
    assert_json(d1, "20");
    assert_even();
    assert_json(load_json("tree.json"), tree_text);
}

static void
every_change_copies(void **state)
{
    uint64_t value = parse("5");
    for (int i = 0; i < 8; i++) {
        uint64_t root = i ? load_json("tree.json") : load_tree();
        uint64_t d = get(root, "d");
        if (i == 0)
            GOOD(zs_json_set, root, TEXT("x"), value);
        else if (i == 1)
            GOOD(zs_json_remove, root, TEXT("a"));
        else if (i == 2)
            GOOD(zs_json_array_push, d, value);
        else if (i == 3)
            GOOD(zs_json_array_set, d, 0, value);
        else if (i == 4)
            GOOD(zs_json_set_string, d, TEXT("x"));
        else if (i == 5)
            GOOD(zs_json_set_i64, d, 1);
        else if (i == 6)
            GOOD(zs_json_set_bool, d, 1);
        else
            GOOD(zs_json_set_null, d);
        assert_string_not_equal(written_as(root), tree_text);
        GOOD(zs_object_free, root);
        GOOD(zs_object_free, d);
        uint64_t fresh = load_json("tree.json");
        assert_json(fresh, tree_text);
        GOOD(zs_object_free, fresh);
    }
    assert_even();
}

static void
they_are_charged_as_if_they_were_parsed(void **state)
{
    GOOD(zs_object_free, load_tree());
    uint64_t parsed = parse(tree_text), footprint = scene->frame.footprint;
    GOOD(zs_object_free, parsed);
    for (uint64_t room = 0; room < footprint; room += 16) {
        scene->shared.config.footprint_max = room;
        TRAPS("--max-request-external", zs_load_static_json, TEXT("tree.json"));
        assert_int_equal(scene->frame.footprint, 0);
    }
    scene->shared.config.footprint_max = footprint;
    uint64_t root = load_json("tree.json"), d = get(root, "d");
    assert_int_equal(scene->frame.footprint, footprint);
    assert_int_equal(GOOD(zs_json_remove, d, TEXT("x")), NONE);
    GOOD(zs_json_set_null, d); /* there is room for the copy, for it is charged already */
    assert_true(scene->frame.footprint < footprint);
    assert_even();
    for (int i = 0; i < SCRIPT_HANDLES_MAX; i++) {
        scene->shared.config.footprint_max = 1 << 20;
        load_json("tree.json");
    }
    TRAPS("zs_load_static_json: more than 32 handles", zs_load_static_json, TEXT("tree.json"));
    assert_even();
}

static void
roots_that_are_no_lists(void **state)
{
    run("printf '\"a text that is no short one\"' >in/s.json; printf '1.50000000000000000001' "
        ">in/n.json; printf '[]' >in/e.json");
    load();
    for (int i = 0; i < 2; i++) {
        uint64_t s = load_json("s.json"), n = load_json("n.json"), e = load_json("e.json");
        assert_json(s, "\"a text that is no short one\"");
        assert_json(n, "1.50000000000000000001");
        assert_int_equal(GOOD(zs_json_array_push, e, s), 1);
        assert_json(e, "[\"a text that is no short one\"]");
        GOOD(zs_json_set_string, s, TEXT("another text that is no short one"));
        GOOD(zs_json_set_null, n);
        assert_even();
    }
}

static void
what_is_kept_is_bounded(void **state)
{
    run("for i in $(seq 100); do echo [$i] >in/$i.json; done");
    run("{ printf '['; seq -s, 1 200000; printf ']'; } >in/large.json");
    files.config.preload_max = files.config.preload_total = 10 << 20;
    scene->shared.config.footprint_max = 10 << 20;
    load();
    for (int turn = 0; turn < 2; turn++) {
        uint64_t large = load_json("large.json");
        assert_int_equal(GOOD(zs_json_len, large), 200000);
        GOOD(zs_object_free, large);
        for (int i = 1; i <= 100; i++) {
            char name[32], text[32];
            snprintf(name, sizeof name, "%d.json", i);
            snprintf(text, sizeof text, "[%d]", i);
            uint64_t handle = load_json(name);
            assert_json(handle, text);
            GOOD(zs_object_free, handle);
        }
    }
    assert_even();
}

/* --- zs_load_file_metadata --- */

static void
check_metadata(const char *name, int64_t size)
{
    uint64_t meta = GOOD(zs_load_file_metadata, TEXT(name));
    char wanted[128];
    uint64_t etag = get(meta, "etag");
    assert_int_equal(GOOD(zs_json_read_string, etag, scene_at(OUT_AT), 64), 32);
    const char *tag = scene->memory + OUT_AT;
    assert_int_equal(strspn(tag, "0123456789abcdef"), 32);
    snprintf(wanted, sizeof wanted, "{\"etag\":\"%s\",\"mtime\":1700000000,\"size\":%d}", tag,
             (int)size);
    assert_json(meta, wanted);
    assert_even();
}

static void
metadata(void **state)
{
    check_metadata("data/config.json", 24);
    check_metadata(".tarn/flags.json", 5);
    static const char *const absent[] = {"", "/data/config.json", "data", "none", "\xff"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_int_equal(GOOD(zs_load_file_metadata, TEXT(absent[i])), NONE);
    assert_int_equal(GOOD(zs_load_file_metadata, UINT64_MAX, 0), NONE);
    TRAPS("", zs_load_file_metadata, 0, 1);
    for (uint64_t room = 0;; room += 16) {
        scene->shared.config.footprint_max = room;
        CALL(zs_load_file_metadata, TEXT("data/config.json"));
        if (!scene->trapped)
            break;
        assert_even();
    }
    assert_even();
}

static void
entity_tags_of_rules_are_told_as_they_are(void **state)
{
    run("printf '/data/*\\n  ETag: W/\"a\\\\b\"\\n/.x\\n  ETag: x\\n' >in/_headers");
    load();
    uint64_t meta = GOOD(zs_load_file_metadata, TEXT("data/config.json"));
    assert_json(meta, "{\"etag\":\"a\\\\b\",\"mtime\":1700000000,\"size\":24}");
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up_site, tear_down_site)
    const struct CMUnitTest tests[] = {
        TEST(files_by_their_exact_names),
        TEST(a_file_that_changed_is_absent),
        TEST(room_bounds_what_is_read),
        TEST(each_load_is_a_tree_of_its_own),
        TEST(handles_follow_into_the_copy),
        TEST(every_change_copies),
        TEST(they_are_charged_as_if_they_were_parsed),
        TEST(roots_that_are_no_lists),
        TEST(what_is_kept_is_bounded),
        TEST(metadata),
        TEST(entity_tags_of_rules_are_told_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
