/* zs_geoip: arguments and results; records are geoip_test's. */
#include "script/helpers.h"
#include "script/scene_test_run.h"

#include "script/geoip_test_run.h"

static int
setup(void **state)
{
    struct scene *scene = scene_new();
    scene->shared.geoip = geoip_test_sample();
    *state = scene;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;
    script_json_deinit(&scene->frame.json);
    geoip_close(scene->shared.geoip);
    scene_free(scene);
    return 0;
}

static int64_t
find(struct scene *scene, struct str address)
{
    memcpy(scene->memory, address.ptr, address.len);
    return (int64_t)scene_call(scene, zs_geoip, (uint64_t[]){scene_at(0), address.len, 0, 0, 0},
                               NULL);
}

static void
records_become_handles(void **state)
{
    struct scene *scene = *state;
    struct buf text;
    int64_t handle = find(scene, STR(" [2001:db8::5]:50000\n"));
    assert_false(scene->trapped);
    assert_true(handle > 0);
    buf_init(&text, 4096);
    script_json_write(&scene->frame, (uint64_t)handle, &text);
    assert_true(str_eq(buf_str(&text), STR("{\"autonomous_system_number\":64500,"
                                           "\"autonomous_system_organization\":\"Example\"}")));
    buf_deinit(&text);
    assert_int_equal(find(scene, STR("192.0.2.77")), handle + 1);
    /* Of every type. */
    assert_int_equal(find(scene, STR("198.51.100.7")), handle + 2);
    assert_false(scene->trapped);
}

static void
nothing_is_minus_one(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(find(scene, STR("10.0.0.1")), -1);
    assert_int_equal(find(scene, STR("no address")), -1);
    assert_int_equal(find(scene, STR("")), -1);
    assert_int_equal(scene_call(scene, zs_geoip, (uint64_t[]){7, 0, 0, 0, 0}, NULL), UINT64_MAX);
    geoip_close(scene->shared.geoip);
    scene->shared.geoip = NULL;
    assert_int_equal(find(scene, STR("192.0.2.77")), -1);
    assert_false(scene->trapped);
}

static void
bad_arguments_trap(void **state)
{
    struct scene *scene = *state;
    scene_call(scene, zs_geoip, (uint64_t[]){7, 1, 0, 0, 0}, NULL);
    assert_true(scene->trapped);
    scene_call(scene, zs_geoip, (uint64_t[]){scene_at(0), UINT64_MAX, 0, 0, 0}, NULL);
    assert_true(scene->trapped);
    find(scene, STR("\xff"));
    assert_true(scene->trapped);
    assert_string_equal(scene->trap, "zs_geoip: ip is not UTF-8");
}

static void
records_are_charged(void **state)
{
    struct scene *scene = *state;
    scene->shared.config.footprint_max = 16;
    find(scene, STR("192.0.2.77"));
    assert_true(scene->trapped);
    assert_non_null(strstr(scene->trap, "--max-request-external-memory-footprint-kb"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_become_handles),
        TEST(nothing_is_minus_one),
        TEST(bad_arguments_trap),
        TEST(records_are_charged),
    };
    return cmocka_run_group_tests_name("helper_geoip", tests, NULL, NULL);
}
