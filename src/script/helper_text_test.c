/* Helpers for time, version, environment, memory and HTML. */
#include "base/version.h"
#include "script/helpers.h"
#include "script/scene_test_run.h"

#include <time.h>

/* Places in the script's memory. */
enum { IN = 0, OUT = 4096, MUCH = 64 << 10 };

static int
setup(void **state)
{
    *state = scene_new();
    return 0;
}

static int
teardown(void **state)
{
    scene_free(*state);
    return 0;
}

static uint64_t
call(struct scene *scene, bpf_helper_fn *fn, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4)
{
    return scene_call(scene, fn, (uint64_t[]){r1, r2, r3, r4, 0}, NULL);
}

static void
put(struct scene *scene, size_t at, struct str text)
{
    memcpy(scene->memory + at, text.ptr, text.len);
}

#define EXPECT_TRAP(scene, text)                    \
    do {                                            \
        assert_true((scene)->trapped);              \
        assert_string_equal((scene)->trap, (text)); \
    } while (0)

#define EXPECT_BAD_MEMORY(scene)                                            \
    do {                                                                    \
        assert_true((scene)->trapped);                                      \
        assert_non_null(strstr((scene)->trap, "by a helper: outside of ")); \
    } while (0)

#define OVERLAP "memory that a helper writes to overlaps another of its call"

/* --- time and version --- */

static void
now_is_in_milliseconds(void **state)
{
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    uint64_t now = call(*state, zs_now_ms, 0, 0, 0, 0);
    clock_gettime(CLOCK_REALTIME, &after);
    assert_in_range(now, (uint64_t)before.tv_sec * 1000 + (uint64_t)before.tv_nsec / 1000000,
                    (uint64_t)after.tv_sec * 1000 + (uint64_t)after.tv_nsec / 1000000);
}

static void
the_version_is_the_programs(void **state)
{
    struct scene *scene = *state;
    memset(scene->memory + OUT, '#', 64);
    assert_int_equal(call(scene, zs_version, scene_at(OUT), 64, 0, 0), strlen(TARN_VERSION));
    assert_string_equal(scene->memory + OUT, TARN_VERSION);
    assert_int_equal(call(scene, zs_version, scene_at(OUT), 3, 0, 0), 3);
    assert_memory_equal(scene->memory + OUT, TARN_VERSION, 2);
    assert_int_equal(scene->memory[OUT + 2], '\0');
    assert_int_equal(call(scene, zs_version, 0, 0, 0, 0), 0);
    assert_false(scene->trapped);
    call(scene, zs_version, 0, 1, 0, 0);
    EXPECT_BAD_MEMORY(scene);
}

/* --- environment --- */

static const char *const allowed[] = {"TARN_TEST_ONE", "TARN_TEST_PRE_*"};

static struct scene *
with_env(void **state)
{
    struct scene *scene = *state;
    scene->shared.config.env_names = allowed;
    scene->shared.config.env_name_count = 2;
    setenv("TARN_TEST_ONE", "first", 1);
    setenv("TARN_TEST_ONES", "another", 1);
    setenv("TARN_TEST_PRE_A", "by prefix", 1);
    setenv("TARN_TEST_PRE_", "the prefix itself", 1);
    setenv("TARN_TEST_SECRET", "hidden", 1);
    setenv("TARN_TEST_PRE_BYTES", "\xff", 1);
    setenv("TARN_TEST_PRE_EQUALS", "a=b", 1);
    return scene;
}

static void
expect_env(struct scene *scene, struct str name, const char *value)
{
    put(scene, IN, name);
    memset(scene->memory + OUT, '#', 64);
    assert_int_equal(call(scene, zs_env_get, scene_at(IN), name.len, scene_at(OUT), 64),
                     strlen(value));
    assert_false(scene->trapped);
    assert_string_equal(scene->memory + OUT, value);
}

static void
only_variables_that_are_allowed_are_seen(void **state)
{
    struct scene *scene = with_env(state);
    expect_env(scene, STR("TARN_TEST_ONE"), "first");
    expect_env(scene, STR(" TARN_TEST_ONE\n"), "first");
    expect_env(scene, STR("TARN_TEST_PRE_A"), "by prefix");
    expect_env(scene, STR("TARN_TEST_PRE_"), "the prefix itself");
    expect_env(scene, STR("TARN_TEST_ONES"), "");
    expect_env(scene, STR("TARN_TEST_SECRET"), "");
    expect_env(scene, STR("TARN_TEST_PRE_NOT_THERE"), "");
    expect_env(scene, STR("TARN_TEST_PRE"), "");
    expect_env(scene, STR("PATH"), "");
    expect_env(scene, STR(""), "");
    scene->shared.config.env_name_count = 0;
    expect_env(scene, STR("TARN_TEST_ONE"), "");
}

static void
odd_names_and_values_are_nothing(void **state)
{
    struct scene *scene = with_env(state);
    expect_env(scene, STR("TARN_TEST_PRE_EQUALS"), "a=b");
    expect_env(scene, STR("TARN_TEST_PRE_EQUALS=a"), "");
    expect_env(scene, STR("TARN_TEST_PRE_A\0"), "");
    expect_env(scene, STR("TARN_TEST_PRE_BYTES"), "");
    char name[300] = "TARN_TEST_PRE_";
    memset(name + 14, 'x', sizeof name - 14);
    expect_env(scene, str_make(name, sizeof name), "");
    expect_env(scene, str_make(name, 256), "");
}

static void
bad_arguments_of_env_get_trap(void **state)
{
    struct scene *scene = with_env(state);
    put(scene, IN, STR("\xff"));
    call(scene, zs_env_get, scene_at(IN), 1, scene_at(OUT), 64);
    EXPECT_TRAP(scene, "zs_env_get: name is not UTF-8");
    call(scene, zs_env_get, 12, 1, scene_at(OUT), 64);
    EXPECT_BAD_MEMORY(scene);
    put(scene, IN, STR(" TARN_TEST_ONE"));
    call(scene, zs_env_get, scene_at(IN), 14, 12, 64);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_env_get, scene_at(IN), 14, scene_at(IN + 13), 64);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_env_get, scene_at(IN + 8), 4, scene_at(IN), 9);
    EXPECT_TRAP(scene, OVERLAP);
    /* What was trimmed is an argument as well. */
    call(scene, zs_env_get, scene_at(IN), 14, scene_at(IN), 1);
    EXPECT_TRAP(scene, OVERLAP);
    assert_int_equal(call(scene, zs_env_get, scene_at(IN), 14, 12, 0), 0);
    assert_false(scene->trapped);
}

/* --- memory --- */

static void
memcpy_copies(void **state)
{
    struct scene *scene = *state;
    put(scene, IN, STR("copy me"));
    assert_int_equal(call(scene, zs_memcpy, scene_at(OUT), scene_at(IN), 7, 0), scene_at(OUT));
    assert_memory_equal(scene->memory + OUT, "copy me", 8);
    assert_int_equal(call(scene, zs_memcpy, 5, 6, 0, 0), 5);
    assert_false(scene->trapped);
    /* Side by side is not over each other. */
    assert_int_equal(call(scene, zs_memcpy, scene_at(IN + 4), scene_at(IN), 4, 0),
                     scene_at(IN + 4));
    assert_memory_equal(scene->memory, "copycopy", 8);
}

static void
memcpy_traps(void **state)
{
    struct scene *scene = *state;
    call(scene, zs_memcpy, scene_at(IN), scene_at(IN), 4, 0);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_memcpy, scene_at(IN + 3), scene_at(IN), 4, 0);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_memcpy, scene_at(IN), scene_at(IN + 3), 4, 0);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_memcpy, 0, scene_at(IN), 4, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_memcpy, scene_at(IN), 0, 4, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_memcpy, scene_at(IN), scene_at(OUT), UINT64_MAX, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_memcpy, UINT64_MAX, scene_at(OUT), 2, 0);
    EXPECT_BAD_MEMORY(scene);
}

static void
memset_fills_with_the_low_byte(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(call(scene, zs_memset, scene_at(OUT), 0xffffff41, 3, 0), scene_at(OUT));
    assert_memory_equal(scene->memory + OUT, "AAA", 4);
    assert_int_equal(call(scene, zs_memset, 7, 1, 0, 0), 7);
    assert_false(scene->trapped);
    call(scene, zs_memset, scene_at(OUT), 1, (uint64_t)1 << 33, 0);
    EXPECT_BAD_MEMORY(scene);
}

static void
memcmp_gives_the_first_difference(void **state)
{
    struct scene *scene = *state;
    put(scene, IN, STR("abc\x01xyz"));
    put(scene, OUT, STR("abc\xffxyz"));
    assert_int_equal((int64_t)call(scene, zs_memcmp, scene_at(IN), scene_at(OUT), 3, 0), 0);
    assert_int_equal((int64_t)call(scene, zs_memcmp, scene_at(IN), scene_at(OUT), 7, 0), -254);
    assert_int_equal((int64_t)call(scene, zs_memcmp, scene_at(OUT), scene_at(IN), 7, 0), 254);
    assert_int_equal((int64_t)call(scene, zs_memcmp, scene_at(IN), scene_at(IN), 7, 0), 0);
    assert_int_equal((int64_t)call(scene, zs_memcmp, 1, 2, 0, 0), 0);
    assert_false(scene->trapped);
    call(scene, zs_memcmp, scene_at(IN), 2, 1, 0);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_memcmp, 2, scene_at(IN), 1, 0);
    EXPECT_BAD_MEMORY(scene);
}

/* --- HTML --- */

static void
html_is_escaped(void **state)
{
    struct scene *scene = *state;
    static const char expected[] = "&lt;a href=&quot;x&quot; b=&#39;&amp;amp;&#39;&gt;\xc3\xa9&lt;";
    struct str text = STR("<a href=\"x\" b='&amp;'>\xc3\xa9<");
    put(scene, IN, text);
    assert_int_equal(call(scene, zs_html_escape, scene_at(IN), text.len, scene_at(OUT), 200),
                     strlen(expected));
    assert_string_equal(scene->memory + OUT, expected);
    /* At every length: as much as fits, and a NUL. */
    for (size_t len = 1; len <= sizeof expected; len++) {
        memset(scene->memory + OUT, '#', 200);
        uint64_t result = call(scene, zs_html_escape, scene_at(IN), text.len, scene_at(OUT), len);
        assert_int_equal(result, len < sizeof expected ? len : sizeof expected - 1);
        assert_memory_equal(scene->memory + OUT, expected, len - 1);
        assert_int_equal(scene->memory[OUT + len - 1], '\0');
        assert_int_equal(scene->memory[OUT + len], '#');
    }
}

static void
html_of_nothing_and_into_nothing(void **state)
{
    struct scene *scene = *state;
    scene->memory[OUT] = '#';
    assert_int_equal(call(scene, zs_html_escape, 0, 0, scene_at(OUT), 10), 0);
    assert_int_equal(scene->memory[OUT], '\0');
    put(scene, IN, STR("<"));
    assert_int_equal(call(scene, zs_html_escape, scene_at(IN), 1, 0, 0), 0);
    assert_false(scene->trapped);
}

static void
much_html_fits(void **state)
{
    struct scene *scene = *state;
    memset(scene->memory, '"', 1000);
    assert_int_equal(call(scene, zs_html_escape, scene_at(IN), 1000, scene_at(OUT), MUCH), 6000);
    for (unsigned i = 0; i < 1000; i++)
        assert_memory_equal(scene->memory + OUT + 6 * i, "&quot;", 6);
}

static void
bad_arguments_of_html_escape_trap(void **state)
{
    struct scene *scene = *state;
    put(scene, IN, STR("\xc3("));
    call(scene, zs_html_escape, scene_at(IN), 2, scene_at(OUT), 10);
    EXPECT_TRAP(scene, "zs_html_escape: text is not UTF-8");
    put(scene, IN, STR("ab"));
    call(scene, zs_html_escape, scene_at(IN), 2, scene_at(IN + 1), 10);
    EXPECT_TRAP(scene, OVERLAP);
    call(scene, zs_html_escape, 1, 2, scene_at(OUT), 10);
    EXPECT_BAD_MEMORY(scene);
    call(scene, zs_html_escape, scene_at(IN), 2, 1, 10);
    EXPECT_BAD_MEMORY(scene);
}

/* --- the rest --- */

static void
no_eap_identities_are_known(void **state)
{
    struct scene *scene = *state;
    put(scene, IN, STR("192.0.2.1"));
    assert_int_equal(call(scene, zs_vici_eap_identity_by_ip, scene_at(IN), 9, 0, 0), UINT64_MAX);
    assert_int_equal(call(scene, zs_vici_eap_identity_by_ip, 0, 0, 0, 0), UINT64_MAX);
    assert_false(scene->trapped);
    call(scene, zs_vici_eap_identity_by_ip, 0, 1, 0, 0);
    EXPECT_BAD_MEMORY(scene);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(now_is_in_milliseconds),
        TEST(the_version_is_the_programs),
        TEST(only_variables_that_are_allowed_are_seen),
        TEST(odd_names_and_values_are_nothing),
        TEST(bad_arguments_of_env_get_trap),
        TEST(memcpy_copies),
        TEST(memcpy_traps),
        TEST(memset_fills_with_the_low_byte),
        TEST(memcmp_gives_the_first_difference),
        TEST(html_is_escaped),
        TEST(html_of_nothing_and_into_nothing),
        TEST(much_html_fits),
        TEST(bad_arguments_of_html_escape_trap),
        TEST(no_eap_identities_are_known),
    };
    return cmocka_run_group_tests_name("helper_text", tests, NULL, NULL);
}
