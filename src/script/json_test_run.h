/* json_test_run: for tests of JSON helpers: short calls of them through a scene, with texts that
 * are put into the script's memory, and an account that has to be even at the end. */
#ifndef TARN_SCRIPT_JSON_TEST_RUN_H
#define TARN_SCRIPT_JSON_TEST_RUN_H

#include "script/helpers.h"
#include "script/json_internal.h"
#include "script/scene_test_run.h"

enum {
    TEXT_AT = 0,               /* where texts are put */
    OUT_AT = SCENE_MEMORY / 2, /* where helpers write */
    OUT_LEN = 1024,
};

static struct scene *scene;
static struct buf written;

static const uint64_t NONE = (uint64_t)-1;

#define CALL(fn, ...) scene_call(scene, fn, (uint64_t[5]){__VA_ARGS__}, NULL)

static inline int
set_up(void **state)
{
    scene = scene_new();
    buf_init(&written, 4 << 20);
    memset(scene->memory + OUT_AT, '#', OUT_LEN);
    return 0;
}

static inline int
tear_down(void **state)
{
    script_json_deinit(&scene->frame.json);
    buf_deinit(&written);
    scene_free(scene);
    return 0;
}

static inline uint64_t
good(int line, uint64_t result)
{
    if (scene->trapped)
        fail_msg("%d: trapped: %s", line, scene->trap);
    return result;
}

/* A call that must go well. */
#define GOOD(fn, ...) good(__LINE__, CALL(fn, __VA_ARGS__))

/* A call that must trap, and what it must say. */
#define TRAPS(message, fn, ...)                                                            \
    do {                                                                                   \
        CALL(fn, __VA_ARGS__);                                                             \
        if (!scene->trapped || !strstr(scene->trap, message))                              \
            fail_msg("%d: trap is '%s', expected '%s'", __LINE__, scene->trap, (message)); \
    } while (0)

/* A text in the script's memory as two arguments. */
#define TEXT(text) put_text(text), strlen(text)

static inline uint64_t
put_text(const char *text)
{
    memcpy(scene->memory + TEXT_AT, text, strlen(text));
    return scene_at(TEXT_AT);
}

static inline uint64_t
parse(const char *text)
{
    uint64_t handle = GOOD(zs_json_parse, TEXT(text));
    if ((int64_t)handle <= 0)
        fail_msg("not parsed: %s", text);
    return handle;
}

static inline uint64_t
get(uint64_t handle, const char *key)
{
    return GOOD(zs_json_get, handle, TEXT(key));
}

static inline const char *
written_as(uint64_t handle)
{
    buf_clear(&written);
    assert_true(script_json_has(&scene->frame, handle));
    script_json_write(&scene->frame, handle, &written);
    buf_append_char(&written, '\0');
    return written.ptr;
}

#define assert_json(handle, text) assert_string_equal(written_as(handle), text)

static inline void
assert_dead(uint64_t handle)
{
    assert_false(script_json_has(&scene->frame, handle));
    TRAPS("replaced or removed", zs_json_type, handle);
}

/* Frees what handles there are; nothing is left of them. */
static inline void
assert_even(void)
{
    struct script_json *json = &scene->frame.json;
    while (json->live_count)
        GOOD(zs_object_free, json->handles[json->live_count / 2].id);
    assert_int_equal(scene->frame.footprint, 0);
}

#endif
