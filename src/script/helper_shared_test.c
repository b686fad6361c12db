/* zs_rate_limit, zs_kv_*. */
#include "script/helpers.h"
#include "script/scene_test_run.h"

enum { KEY = 0, VALUE = 4096, OUT = 8192, STORE_MAX = 4 << 20 };

#define MINUS_1 ((uint64_t)-1)
/* An address at which there is nothing. */
#define NOWHERE UINT64_C(0x1000)

static int
setup(void **state)
{
    struct scene *scene = scene_new();
    struct error error;
    if (loop_new(&scene->worker.loop, LOOP_EPOLL, &error) != 0)
        return -1;
    scene->shared.rate_limit = rate_limit_new(3);
    scene->shared.kv = kv_new(STORE_MAX);
    *state = scene;
    return scene->shared.rate_limit && scene->shared.kv ? 0 : -1;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;
    rate_limit_free(scene->shared.rate_limit);
    kv_free(scene->shared.kv);
    loop_free(scene->worker.loop);
    scene_free(scene);
    return 0;
}

static uint64_t
call(struct scene *scene, bpf_helper_fn *fn, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
     uint64_t r5)
{
    return scene_call(scene, fn, (const uint64_t[]){r1, r2, r3, r4, r5}, NULL);
}

#define assert_works(scene, expected, ...)                                          \
    do {                                                                            \
        uint64_t result_ = call((scene), __VA_ARGS__);                              \
        if ((scene)->trapped || result_ != (uint64_t)(expected))                    \
            fail_msg("%lld '%s' instead of %lld", (long long)result_,               \
                     (scene)->trapped ? (scene)->trap : "", (long long)(expected)); \
    } while (0)

#define assert_traps(scene, why, ...)                                                       \
    do {                                                                                    \
        call((scene), __VA_ARGS__);                                                         \
        if (!(scene)->trapped || !strstr((scene)->trap, (why)))                             \
            fail_msg("'%s' instead of '%s'", (scene)->trapped ? (scene)->trap : "", (why)); \
    } while (0)

static void
put(struct scene *scene, size_t at, const char *text)
{
    memcpy(scene->memory + at, text, strlen(text));
}

/* --- rate limits --- */

static void
test_rate_limit(void **state)
{
    struct scene *scene = *state;
    put(scene, KEY, "one two");
    for (unsigned i = 0; i < 3; i++)
        assert_works(scene, 0, zs_rate_limit, scene_at(KEY), 3, 0, 0, 3);
    assert_works(scene, 3, zs_rate_limit, scene_at(KEY), 3, 0, 0, 3);
    assert_works(scene, 0, zs_rate_limit, scene_at(KEY + 4), 3, 0, 0, 3);
    assert_works(scene, 0, zs_rate_limit, scene_at(KEY), 3, 0, 0, 4);
    assert_works(scene, 3, zs_rate_limit, scene_at(KEY), 3, 0, 0, 4);
}

static void
test_rate_limit_windows_in_their_order(void **state)
{
    struct scene *scene = *state;
    put(scene, KEY, "abc");
    for (unsigned i = 0; i < 3; i++) {
        uint64_t limits[3] = {0, 0, 0};
        limits[i] = 1;
        assert_works(scene, 0, zs_rate_limit, scene_at(KEY + i), 1, limits[0], limits[1],
                     limits[2]);
        assert_works(scene, 1 + i, zs_rate_limit, scene_at(KEY + i), 1, limits[0], limits[1],
                     limits[2]);
    }
    put(scene, KEY, "d");
    assert_works(scene, 4, zs_rate_limit, scene_at(KEY), 1, 1, 1, 1);
    assert_works(scene, 0, zs_rate_limit, scene_at(KEY), 1, 0, 0, 0);
}

static void
test_rate_limit_keys(void **state)
{
    struct scene *scene = *state;
    memset(scene->memory, 0xff, SCRIPT_RATE_KEY_MAX + 1);
    assert_works(scene, MINUS_1, zs_rate_limit, scene_at(KEY), 0, 1, 1, 1);
    assert_works(scene, MINUS_1, zs_rate_limit, NOWHERE, 0, 1, 1, 1);
    assert_works(scene, MINUS_1, zs_rate_limit, scene_at(KEY), SCRIPT_RATE_KEY_MAX + 1, 1, 1, 1);
    assert_works(scene, MINUS_1, zs_rate_limit, scene_at(KEY), UINT64_MAX, 1, 1, 1);
    assert_works(scene, 0, zs_rate_limit, scene_at(KEY), SCRIPT_RATE_KEY_MAX, 1, 1, 1);
    assert_works(scene, 1, zs_rate_limit, scene_at(KEY), SCRIPT_RATE_KEY_MAX, 1, 1, 1);
    assert_works(scene, 0, zs_rate_limit, scene_at(KEY), 1, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    assert_traps(scene, "read of 1 byte", zs_rate_limit, NOWHERE, 1, 1, 1, 1);
    assert_traps(scene, "read of 2 bytes", zs_rate_limit, scene_at(SCENE_MEMORY + 64 * 1024 - 1), 2,
                 1, 1, 1);
}

/* --- the key-value store --- */

static void
test_kv(void **state)
{
    struct scene *scene = *state;
    put(scene, KEY, "key");
    put(scene, VALUE, "value");
    assert_works(scene, MINUS_1, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 100, 0);
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 3, scene_at(VALUE), 5, 0);
    memset(scene->memory + OUT, 'x', 100);
    assert_works(scene, 5, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 100, 0);
    assert_memory_equal(scene->memory + OUT, "value\0xxx", 9);
    assert_works(scene, 1, zs_kv_delete, scene_at(KEY), 3, 0, 0, 0);
    assert_works(scene, 0, zs_kv_delete, scene_at(KEY), 3, 0, 0, 0);
    assert_works(scene, MINUS_1, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 100, 0);
}

static void
test_kv_get_into_small_buffers(void **state)
{
    struct scene *scene = *state;
    put(scene, KEY, "key");
    put(scene, VALUE, "value");
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 3, scene_at(VALUE), 5, 0);
    assert_works(scene, 0, zs_kv_get, scene_at(KEY), 3, NOWHERE, 0, 0);
    for (uint64_t room = 1; room <= 7; room++) {
        memset(scene->memory + OUT, 'x', 10);
        assert_works(scene, room < 5 ? room : 5, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), room,
                     0);
        size_t kept = room - 1 < 5 ? room - 1 : 5;
        assert_memory_equal(scene->memory + OUT, "value", kept);
        assert_int_equal(scene->memory[OUT + kept], '\0');
        assert_int_equal(scene->memory[OUT + kept + 1], 'x');
    }
    memset(scene->memory + OUT, 'x', 10);
    put(scene, KEY, "yek");
    assert_works(scene, MINUS_1, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 10, 0);
    assert_memory_equal(scene->memory + OUT, "\0xxx", 4); /* an empty text */
    assert_works(scene, MINUS_1, zs_kv_get, scene_at(KEY), 3, NOWHERE, 0, 0);
}

static void
test_kv_empty_values_and_any_bytes(void **state)
{
    struct scene *scene = *state;
    memcpy(scene->memory + KEY, "\0\xff", 2);
    memcpy(scene->memory + VALUE, "\xfe\0\xff", 3);
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 2, NOWHERE, 0, 0);
    assert_works(scene, 0, zs_kv_get, scene_at(KEY), 2, scene_at(OUT), 10, 0);
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 2, scene_at(VALUE), 3, 0);
    assert_works(scene, 3, zs_kv_get, scene_at(KEY), 2, scene_at(OUT), 10, 0);
    assert_memory_equal(scene->memory + OUT, "\xfe\0\xff\0", 4);
}

static void
test_kv_lengths(void **state)
{
    struct scene *scene = *state;
    memset(scene->memory, 'k', SCRIPT_KV_KEY_MAX + 1);
    static const uint64_t bad[] = {0, SCRIPT_KV_KEY_MAX + 1, UINT64_MAX};
    for (unsigned i = 0; i < 3; i++) {
        assert_works(scene, MINUS_1, zs_kv_get, scene_at(KEY), bad[i], scene_at(OUT), 10, 0);
        assert_works(scene, MINUS_1, zs_kv_set, scene_at(KEY), bad[i], scene_at(VALUE), 1, 0);
        assert_works(scene, 0, zs_kv_delete, scene_at(KEY), bad[i], 0, 0, 0);
        assert_traps(scene, "zs_kv_incr: key_len is ", zs_kv_incr, scene_at(KEY), bad[i], 1, 0, 0);
    }
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), SCRIPT_KV_KEY_MAX, scene_at(VALUE), 1, 0);
    assert_works(scene, 1, zs_kv_delete, scene_at(KEY), SCRIPT_KV_KEY_MAX, 0, 0, 0);
    assert_works(scene, MINUS_1, zs_kv_set, scene_at(KEY), 1, scene_at(0), SCRIPT_KV_VALUE_MAX + 1,
                 0);
    assert_works(scene, MINUS_1, zs_kv_set, scene_at(KEY), 1, scene_at(0), UINT64_MAX, 0);
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 1, scene_at(0), SCRIPT_KV_VALUE_MAX, 0);
    assert_works(scene, 10, zs_kv_get, scene_at(KEY), 1, scene_at(OUT), 10, 0);
}

static void
test_kv_views(void **state)
{
    struct scene *scene = *state;
    put(scene, KEY, "key");
    assert_traps(scene, "read of 3 bytes", zs_kv_get, NOWHERE, 3, scene_at(OUT), 10, 0);
    assert_traps(scene, "write of 10 bytes", zs_kv_get, scene_at(KEY), 3, NOWHERE, 10, 0);
    assert_traps(scene, "write of", zs_kv_get, scene_at(KEY), 3, scene_at(OUT), UINT64_MAX, 0);
    assert_traps(scene, "overlaps", zs_kv_get, scene_at(KEY), 3, scene_at(KEY + 2), 10, 0);
    assert_works(scene, MINUS_1, zs_kv_get, scene_at(KEY), 3, scene_at(KEY + 3), 10, 0);
    assert_traps(scene, "read of 3 bytes", zs_kv_set, NOWHERE, 3, scene_at(VALUE), 1, 0);
    assert_traps(scene, "read of 4 bytes", zs_kv_set, scene_at(KEY), 3, NOWHERE, 4, 0);
    assert_traps(scene, "read of 3 bytes", zs_kv_incr, NOWHERE, 3, 1, 0, 0);
    assert_traps(scene, "read of 3 bytes", zs_kv_delete, NOWHERE, 3, 0, 0, 0);
    /* What is only read may overlap. */
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 3, scene_at(KEY + 1), 2, 0);
    assert_works(scene, 2, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 10, 0);
}

static void
test_kv_incr(void **state)
{
    struct scene *scene = *state;
    put(scene, KEY, "key");
    put(scene, VALUE, "9223372036854775807");
    assert_works(scene, 5, zs_kv_incr, scene_at(KEY), 3, 5, 0, 0);
    assert_works(scene, -2, zs_kv_incr, scene_at(KEY), 3, (uint64_t)-7, 0, 0);
    assert_works(scene, 2, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 10, 0);
    assert_string_equal(scene->memory + OUT, "-2");
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 3, scene_at(VALUE), 19, 0);
    assert_traps(scene, "zs_kv_incr: the sum does not fit 64 bits", zs_kv_incr, scene_at(KEY), 3, 1,
                 0, 0);
    assert_works(scene, INT64_MAX, zs_kv_incr, scene_at(KEY), 3, 0, 0, 0);
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 3, scene_at(KEY), 3, 0);
    assert_traps(scene, "zs_kv_incr: the value of the key is no decimal number", zs_kv_incr,
                 scene_at(KEY), 3, 1, 0, 0);
}

static void
test_kv_without_room(void **state)
{
    struct scene *scene = *state;
    kv_free(scene->shared.kv);
    scene->shared.kv = kv_new(KV_ENTRY_COST + 10);
    put(scene, KEY, "key");
    assert_works(scene, MINUS_1, zs_kv_set, scene_at(KEY), 3, scene_at(VALUE), 8, 0);
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 3, scene_at(VALUE), 7, 0);
    assert_works(scene, 1, zs_kv_delete, scene_at(KEY), 3, 0, 0, 0);
    assert_traps(scene, "zs_kv_incr: no room for the key (--script-kv-max)", zs_kv_incr,
                 scene_at(KEY), 3, 1, 0, 0);
}

/* --- time --- */

struct alarm {
    struct timer timer; /* first */
    struct loop *loop;
};

static void
ring(struct timer *timer)
{
    loop_stop(((struct alarm *)timer)->loop);
}

static void
pass_time(struct scene *scene, uint64_t ms)
{
    struct alarm alarm = {.loop = scene->worker.loop};
    timer_init(&alarm.timer, ring);
    timer_set(loop_timers(alarm.loop), &alarm.timer, loop_now_ns(alarm.loop) + ms * 1000 * 1000);
    loop_run(alarm.loop, &(struct loop_hooks){0});
}

static void
test_time_passes(void **state)
{
    struct scene *scene = *state;
    put(scene, KEY, "key");
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 3, scene_at(KEY), 3, 20);
    assert_works(scene, 1, zs_kv_incr, scene_at(KEY), 2, 1, 20, 0);
    assert_works(scene, 0, zs_kv_set, scene_at(KEY), 1, scene_at(KEY), 3, UINT64_MAX);
    assert_works(scene, 0, zs_rate_limit, scene_at(KEY), 3, 1, 0, 0);
    assert_works(scene, 3, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 10, 0);
    assert_works(scene, 1, zs_rate_limit, scene_at(KEY), 3, 1, 0, 0);
    pass_time(scene, 21);
    assert_works(scene, MINUS_1, zs_kv_get, scene_at(KEY), 3, scene_at(OUT), 10, 0);
    assert_works(scene, 1, zs_kv_incr, scene_at(KEY), 2, 1, 20, 0);
    assert_works(scene, 1, zs_rate_limit, scene_at(KEY), 3, 1, 0, 0);
    pass_time(scene, 980);
    assert_works(scene, 0, zs_rate_limit, scene_at(KEY), 3, 1, 0, 0);
    assert_works(scene, 3, zs_kv_get, scene_at(KEY), 1, scene_at(OUT), 10, 0);
}

int
main(void)
{
#define with_scene(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        with_scene(test_rate_limit),
        with_scene(test_rate_limit_windows_in_their_order),
        with_scene(test_rate_limit_keys),
        with_scene(test_kv),
        with_scene(test_kv_get_into_small_buffers),
        with_scene(test_kv_empty_values_and_any_bytes),
        with_scene(test_kv_lengths),
        with_scene(test_kv_views),
        with_scene(test_kv_incr),
        with_scene(test_kv_without_room),
        with_scene(test_time_passes),
    };
    return cmocka_run_group_tests_name("helper_shared", tests, NULL, NULL);
}
