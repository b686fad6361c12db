/* answer_test_run: for tests of what scripts answer: a scene with a site, texts in the script's
 * memory, and questions about the response.
 */
#ifndef TARN_SCRIPT_ANSWER_TEST_RUN_H
#define TARN_SCRIPT_ANSWER_TEST_RUN_H

#include "script/helpers.h"
#include "script/scene_test_run.h"
#include "site/site_test_run.h"

enum { STAGE_OUT = 128 << 10, STAGE_OUTSIDE = 0x100 };

struct stage {
    struct scene *scene;
    struct fixture *fixture;
    size_t used;     /* of the script's memory, by texts; what is from STAGE_OUT on is the test's */
    struct buf body; /* that stage_collect has pulled */
};

static inline int
stage_setup(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    if (!stage || setup((void **)&stage->fixture) != 0)
        return -1;
    stage->scene = scene_new();
    stage->scene->req.pin = &stage->scene->pin;
    stage->scene->env.pin = &stage->scene->pin;
    stage->scene->env.now_s = 1700000000;
    buf_init(&stage->body, 16 << 20);
    *state = stage;
    return 0;
}

static inline int
stage_teardown(void **state)
{
    struct stage *stage = *state;
    struct script_task *task = &stage->scene->task;
    body_close(&stage->scene->req.body);
    script_meta_deinit(&task->meta);
    script_answer_deinit(&task->answer);
    script_hooks_deinit(&task->hooks);
    script_response_deinit(&task->response);
    script_json_deinit(&stage->scene->frame.json);
    scene_free(stage->scene);
    teardown((void **)&stage->fixture);
    buf_deinit(&stage->body);
    free(stage);
    return 0;
}

/* Makes a site of the files that a shell command leaves behind. */
#define stage_site(stage, ...)                             \
    do {                                                   \
        run((stage)->fixture, "cd in && " __VA_ARGS__);    \
        load((stage)->fixture);                            \
        (stage)->scene->pin.site = (stage)->fixture->site; \
    } while (0)

static inline uint64_t
stage_bytes(struct stage *stage, struct str bytes)
{
    size_t at = stage->used;
    assert_true(at + bytes.len <= STAGE_OUT);
    if (bytes.len)
        memcpy(stage->scene->memory + at, bytes.ptr, bytes.len);
    stage->used += bytes.len;
    return scene_at(at);
}

/* A text as two arguments of a helper. */
#define T(text) stage_bytes(stage, str_from_cstr(text)), strlen(text)

/* Calls a helper; texts are forgotten afterwards. */
#define CALL(fn, ...) \
    (stage->used = 0, scene_call(stage->scene, fn, (const uint64_t[5]){__VA_ARGS__}, NULL))

static inline const char *
stage_out(const struct stage *stage)
{
    return stage->scene->memory + STAGE_OUT;
}

#define OUT scene_at(STAGE_OUT)

#define EXPECT_TRAP(text)                                           \
    do {                                                            \
        assert_true(stage->scene->trapped);                         \
        if (!strstr(stage->scene->trap, (text)))                    \
            fail_msg("'%s' has no '%s'", stage->scene->trap, text); \
    } while (0)

/* Of a call: that it did not trap, and its result. */
#define EXPECT(wanted, ...)                               \
    do {                                                  \
        uint64_t expect_got = (__VA_ARGS__);              \
        if (stage->scene->trapped)                        \
            fail_msg("trapped: %s", stage->scene->trap);  \
        assert_int_equal(expect_got, (uint64_t)(wanted)); \
    } while (0)

/* --- the response --- */

/* All header lines, as one text. */
static inline const char *
stage_head(const struct stage *stage)
{
    static char text[128 << 10];
    const struct response *response = &stage->scene->req.response;
    size_t len = 0;
    for (unsigned i = 0; i < response->block_count; i++) {
        struct str block = response->blocks[i];
        assert_true(len + block.len < sizeof text);
        memcpy(text + len, block.ptr, block.len);
        len += block.len;
    }
    text[len] = '\0';
    return text;
}

static inline void
stage_collect(struct stage *stage)
{
    struct body_piece piece;
    buf_clear(&stage->body);
    while (body_pull(&stage->scene->req.body, &piece) == BODY_PIECE) {
        assert_non_null(piece.mem.ptr);
        buf_append(&stage->body, piece.mem);
    }
}

static inline void
assert_stage_body(struct stage *stage, const char *wanted)
{
    stage_collect(stage);
    assert_str(buf_str(&stage->body), wanted);
}

/* Forgets the response, as before another one of the same request. */
static inline void
stage_drop_response(struct stage *stage)
{
    body_close(&stage->scene->req.body);
    stage->scene->req.response = (struct response){0};
}

static inline void
stage_head_has(const struct stage *stage, const char *line)
{
    if (!strstr(stage_head(stage), line))
        fail_msg("'%s' is not in '%s'", line, stage_head(stage));
}

static inline void
stage_head_has_not(const struct stage *stage, const char *part)
{
    if (strstr(stage_head(stage), part))
        fail_msg("'%s' is in '%s'", part, stage_head(stage));
}

#define stage_test(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

#endif
