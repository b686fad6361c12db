/* scene_test_run: for tests of helpers: a task with one frame, whose script calls one helper with
 * arguments that the test gives.
 *
 * The script's memory is SCENE_MEMORY bytes of .data, writable; the test fills scene->memory before
 * the call, names places in it by scene_at(offset), and finds there afterwards what was written. A
 * table of one helper is enough: no other family is linked.
 */
#ifndef TARN_SCRIPT_SCENE_TEST_RUN_H
#define TARN_SCRIPT_SCENE_TEST_RUN_H

#include "base/limits.h"
#include "base/must.h"
#include "bpf/run_internal.h"
#include "http/h1_head.h"
#include "script/rewrite.h"
#include "script/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SCENE_MEMORY = 256 << 10, SCENE_FIELDS = 64 };

struct scene {
    struct script_shared shared;
    struct script_worker worker;
    struct script_counters *counters;
    struct req req;
    struct req_env env;
    struct site_pin pin;
    struct http_field fields[SCENE_FIELDS];
    struct script script;
    struct script_task task;
    struct script_frame frame;
    char memory[SCENE_MEMORY]; /* of the script, before and after a call; see scene_at */
    bool trapped;
    char trap[512]; /* why, without the place */
};

static inline struct scene *
scene_new(void)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct error error;
    must(scene);
    must(bpf_worker_new(&scene->worker.bpf, NULL, &error) == 0);
    scene->shared.config = (struct script_config){
        .footprint_max = 256 << 10,
        .body_max = 256 << 10,
        .engine = BPF_ENGINE_AUTO,
    };
    scene->worker.shared = &scene->shared;
    scene->counters = calloc(1, sizeof *scene->counters + 1);
    scene->script = (struct script){.name = STR("test.o"), .counters = scene->counters};
    req_init(&scene->req, &scene->env, scene->fields, SCENE_FIELDS);
    scene->req.fd = -1;
    scene->task.req = &scene->req;
    scene->task.worker = &scene->worker;
    scene->task.root = scene->task.frame = scene->task.running = &scene->frame;
    buf_init(&scene->worker.scratch, SCRIPT_SCRATCH_MAX);
    scene->frame.task = &scene->task;
    scene->frame.script = &scene->script;
    return scene;
}

/* What a family has put into task or frame, the test frees. */
static inline void
scene_free(struct scene *scene)
{
    req_deinit(&scene->req);
    buf_deinit(&scene->worker.scratch);
    rewrite_free(scene->worker.rewrite);
    bpf_worker_free(scene->worker.bpf);
    free(scene->counters);
    free(scene);
}

/* A request for the scene: a whole HTTP/1 head, which must stay. */
static inline void
scene_set_head(struct scene *scene, const char *head)
{
    struct h1_head_decoder decoder;
    h1_head_decoder_init(&decoder, &scene->req.head, 65536);
    must(h1_head_decode(&decoder, head, strlen(head)) == H1_DONE);
    must(target_parse(http_head_target(&scene->req.head), scene->req.head.method,
                      &scene->req.target));
    char *scratch = arena_alloc_text(&scene->req.arena, scene->req.target.path.len + 1);
    must(target_normalize_path(scene->req.target.path, scratch, &scene->req.path));
}

/* r1 to r5 from a table in the script's memory, the call, exit. */
static inline void
scene_program(struct bpf_insn *insns, unsigned *count, uint32_t table)
{
    *count = 0;
    insns[(*count)++] = (struct bpf_insn){.opcode = 0x18, .dst = 6, .imm = (int32_t)table};
    insns[(*count)++] = (struct bpf_insn){0};
    for (unsigned i = 1; i <= 5; i++)
        insns[(*count)++] = (struct bpf_insn){
            .opcode = 0x79, .dst = (uint8_t)i, .src = 6, .off = (int16_t)(8 * (i - 1))};
    insns[(*count)++] = (struct bpf_insn){.opcode = 0x85, .imm = 0};
    insns[(*count)++] = (struct bpf_insn){.opcode = 0x95};
}

/* The address of a place in scene->memory, which is the same in every call. */
static inline uint64_t
scene_at(size_t off)
{
    return BPF_RO_BASE + off;
}

/* Calls it. Returns r0; after a trap 0, with scene->trapped and scene->trap. A helper that waits
 * must be done by the time `go_on` (may be NULL) returns. */
static inline uint64_t
scene_call(struct scene *scene, bpf_helper_fn *fn, const uint64_t args[5],
           void (*go_on)(struct scene *scene))
{
    /* Behind the memory: the words of the call. */
    static char data[SCENE_MEMORY + 64];
    struct bpf_helper row = {"helper", fn};
    struct bpf_helper_table table = {&row, 1};
    struct bpf_program_config config = {.helpers = &table, .engine = BPF_ENGINE_INTERP};
    struct bpf_insn insns[16];
    struct bpf_layout layout;
    struct bpf_object object;
    struct bpf_program *program;
    struct bpf_pool *pool;
    struct error error;
    unsigned count;
    uint64_t result = 0;
    must(bpf_layout_init(&layout, 0, sizeof data, 0));
    must(layout.data_off == BPF_RO_BASE);
    memcpy(data, scene->memory, SCENE_MEMORY);
    memcpy(data + SCENE_MEMORY, args, 5 * sizeof *args);
    scene_program(insns, &count, layout.data_off + SCENE_MEMORY);
    must(bpf_object_from_insns(&object, insns, count, str_make(data, sizeof data), &error) == 0);
    must(bpf_program_new(&program, &object, &config, &error) == 0);
    must(bpf_pool_new(&pool, scene->worker.bpf, program, &(struct bpf_budget){0}, &error) == 0);
    struct bpf_run *run = bpf_run_new(pool, 0, &scene->frame);
    must(run);
    scene->frame.run = run;
    scene->trapped = false;
    scene->trap[0] = '\0';
    enum bpf_outcome outcome = bpf_run_go(run);
    while (outcome == BPF_WAITING && go_on) {
        go_on(scene);
        outcome = bpf_run_go(run);
    }
    if (outcome == BPF_DONE)
        result = bpf_run_result(run);
    if (outcome == BPF_TRAPPED) {
        scene->trapped = true;
        snprintf(scene->trap, sizeof scene->trap, "%s", bpf_run_trap(run).text);
    }
    memcpy(scene->memory, bpf_memory(run, layout.data_off, SCENE_MEMORY, false), SCENE_MEMORY);
    bpf_run_free(run);
    bpf_pool_free(pool);
    bpf_program_unref(program);
    return result;
}

#endif
