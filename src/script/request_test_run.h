/* request_test_run: for tests of the helpers of the request: a scene with a request, calls of them
 * by text, and what all that write text, or read it, have to get right. */
#ifndef TARN_SCRIPT_REQUEST_TEST_RUN_H
#define TARN_SCRIPT_REQUEST_TEST_RUN_H

#include "script/helpers.h"
#include "script/scene_test_run.h"

/* Places in the script's memory: arguments, and what is written. */
enum { IN = 0, IN_2 = 96 << 10, OUT = 200 << 10, OUT_LEN = 32 << 10 };

#define OVERLAP "memory that a helper writes to overlaps another of its call"

static inline int
setup(void **state)
{
    *state = scene_new();
    return 0;
}

static inline int
teardown(void **state)
{
    struct scene *scene = *state;
    script_request_deinit(&scene->task.request);
    script_json_deinit(&scene->frame.json);
    scene_free(scene);
    return 0;
}

static inline uint64_t
call(struct scene *scene, bpf_helper_fn *fn, uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4)
{
    return scene_call(scene, fn, (uint64_t[]){r1, r2, r3, r4, 0}, NULL);
}

static inline void
put(struct scene *scene, size_t at, struct str text)
{
    if (text.len)
        memcpy(scene->memory + at, text.ptr, text.len);
}

static inline void
expect_trap(struct scene *scene, const char *text)
{
    assert_true(scene->trapped);
    assert_string_equal(scene->trap, text);
}

static inline void
expect_bad_memory(struct scene *scene)
{
    assert_true(scene->trapped);
    assert_non_null(strstr(scene->trap, "by a helper: outside of "));
}

/* What a helper (out, out_len) writes. */
static inline const char *
text_of(struct scene *scene, bpf_helper_fn *fn)
{
    memset(scene->memory + OUT, '#', OUT_LEN);
    uint64_t len = call(scene, fn, scene_at(OUT), OUT_LEN, 0, 0);
    if (scene->trapped)
        fail_msg("%s", scene->trap);
    assert_int_equal(len, strlen(scene->memory + OUT));
    return scene->memory + OUT;
}

/* The same of one (name, len, out, out_len). */
static inline const char *
text_named(struct scene *scene, bpf_helper_fn *fn, struct str name)
{
    put(scene, IN, name);
    memset(scene->memory + OUT, '#', OUT_LEN);
    uint64_t len = call(scene, fn, scene_at(IN), name.len, scene_at(OUT), OUT_LEN);
    if (scene->trapped)
        fail_msg("%s", scene->trap);
    assert_int_equal(len, strlen(scene->memory + OUT));
    return scene->memory + OUT;
}

/* Calls (text, len). */
static inline uint64_t
give(struct scene *scene, bpf_helper_fn *fn, struct str text)
{
    put(scene, IN, text);
    return call(scene, fn, scene_at(IN), text.len, 0, 0);
}

static inline void
change(struct scene *scene, bpf_helper_fn *fn, struct str text)
{
    assert_int_equal(give(scene, fn, text), 0);
    if (scene->trapped)
        fail_msg("%s", scene->trap);
}

/* Calls (name, len, value, len). */
static inline uint64_t
give_two(struct scene *scene, bpf_helper_fn *fn, struct str name, struct str value)
{
    put(scene, IN, name);
    put(scene, IN_2, value);
    return call(scene, fn, scene_at(IN), name.len, scene_at(IN_2), value.len);
}

static inline void
change_two(struct scene *scene, bpf_helper_fn *fn, struct str name, struct str value)
{
    assert_int_equal(give_two(scene, fn, name, value), 0);
    if (scene->trapped)
        fail_msg("%s", scene->trap);
}

/* --- what goes for all --- */

/* (out, out_len), that has `text` to say, which is at least two characters. */
static inline void
check_output(struct scene *scene, bpf_helper_fn *fn, const char *text)
{
    size_t len = strlen(text);
    assert_string_equal(text_of(scene, fn), text);
    assert_int_equal(call(scene, fn, scene_at(OUT), len + 1, 0, 0), len);
    assert_string_equal(scene->memory + OUT, text);
    memset(scene->memory + OUT, '#', OUT_LEN);
    assert_int_equal(call(scene, fn, scene_at(OUT), len, 0, 0), len);
    assert_memory_equal(scene->memory + OUT, text, len - 1);
    assert_int_equal(scene->memory[OUT + len - 1], '\0');
    assert_int_equal(scene->memory[OUT + len], '#');
    assert_int_equal(call(scene, fn, scene_at(OUT), 1, 0, 0), 1);
    assert_int_equal(scene->memory[OUT], '\0');
    assert_int_equal(call(scene, fn, 0, 0, 0, 0), 0);
    assert_false(scene->trapped);
    call(scene, fn, 0, 1, 0, 0);
    expect_bad_memory(scene);
    call(scene, fn, scene_at(OUT), UINT64_MAX, 0, 0);
    expect_bad_memory(scene);
    call(scene, fn, scene_at(OUT) + ((uint64_t)1 << 32), 4, 0, 0);
    expect_bad_memory(scene);
}

/* (name, len, out, out_len), the same. */
static inline void
check_named_output(struct scene *scene, bpf_helper_fn *fn, struct str name, const char *text)
{
    size_t len = strlen(text);
    assert_string_equal(text_named(scene, fn, name), text);
    memset(scene->memory + OUT, '#', OUT_LEN);
    assert_int_equal(call(scene, fn, scene_at(IN), name.len, scene_at(OUT), len), len);
    assert_memory_equal(scene->memory + OUT, text, len - 1);
    assert_int_equal(scene->memory[OUT + len - 1], '\0');
    assert_int_equal(scene->memory[OUT + len], '#');
    assert_int_equal(call(scene, fn, scene_at(IN), name.len, 0, 0), 0);
    assert_false(scene->trapped);
    call(scene, fn, scene_at(IN), name.len, scene_at(IN) + name.len - 1, 8);
    expect_trap(scene, OVERLAP);
    put(scene, IN, name);
    call(scene, fn, scene_at(IN), name.len, scene_at(IN) + name.len, 8);
    assert_false(scene->trapped);
    put(scene, IN, name);
    call(scene, fn, 0, 1, scene_at(OUT), 8);
    expect_bad_memory(scene);
    call(scene, fn, scene_at(IN), name.len, 0, 8);
    expect_bad_memory(scene);
    call(scene, fn, scene_at(IN), UINT64_MAX, scene_at(OUT), 8);
    expect_bad_memory(scene);
    put(scene, IN, STR("\xff"));
    call(scene, fn, scene_at(IN), 1, scene_at(OUT), 8);
    assert_true(scene->trapped && strstr(scene->trap, "is not UTF-8"));
    call(scene, fn, 0, 0, scene_at(OUT), 8); /* no name is one, too */
    assert_false(scene->trapped);
}

/* (text, len): what is no memory or no UTF-8. */
static inline void
check_input(struct scene *scene, bpf_helper_fn *fn)
{
    call(scene, fn, 0, 1, 0, 0);
    expect_bad_memory(scene);
    call(scene, fn, scene_at(IN), UINT64_MAX, 0, 0);
    expect_bad_memory(scene);
    give(scene, fn, STR("\xc3("));
    assert_true(scene->trapped && strstr(scene->trap, "is not UTF-8"));
}

#endif
