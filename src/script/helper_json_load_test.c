#include "script/json_test_run.h"

#include "base/log.h"
#include "site/site.h"

#include <unistd.h>

static struct {
    char dir[64], source[80];
    struct site_config config;
    struct site *site;
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
    site_free(files.site);
    files.site = NULL;
    if (site_load(&files.config, &files.site, &error) < 0)
        fail_msg("not loaded: %s", error.text);
    scene->pin.site = files.site;
    scene->req.pin = &scene->pin;
}

static int
set_up_site(void **state)
{
    set_up(state);
    files.site = NULL;
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
    load_json("data/config.json");
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
        TEST(metadata),
        TEST(entity_tags_of_rules_are_told_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
