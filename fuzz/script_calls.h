/* script_calls: a script for fuzzers of helpers. It calls one helper, the fuzzer's own, which calls
 * those that are to be tried, as many as it wants, with whatever arguments; a trap ends the run,
 * and the next begins with fresh memory.
 */
#ifndef SCRIPT_CALLS_H
#define SCRIPT_CALLS_H

#include "base/log.h"
#include "script/json.h"
#include "script/scene_test_run.h"

enum { CALLS_MEMORY = 16 << 10 }; /* of the script, writable */

static struct {
    struct scene *scene;
    struct bpf_program *program;
    struct bpf_pool *pool;
    struct bpf_run *run;     /* that goes on */
    const uint8_t *at, *end; /* of the input */
} calls;

static inline void
check(bool holds)
{
    if (!holds)
        abort();
}

/* --- the input --- */

static inline uint8_t
calls_byte(void)
{
    return calls.at < calls.end ? *calls.at++ : 0;
}

static inline uint32_t
calls_number(uint32_t below)
{
    uint32_t number = calls_byte();
    return (number << 8 | calls_byte()) % below;
}

/* The next `len` bytes, or what is left. */
static inline struct str
calls_bytes(size_t len)
{
    size_t left = (size_t)(calls.end - calls.at);
    struct str bytes = str_make((const char *)calls.at, len < left ? len : left);
    calls.at += bytes.len;
    return bytes;
}

/* Up to the next NUL, which goes too, or the end. */
static inline struct str
calls_text(void)
{
    struct str left = str_make((const char *)calls.at, (size_t)(calls.end - calls.at));
    struct str text = str_first(left, str_find_char(left, '\0'));
    calls.at += text.len + (text.len < left.len);
    return text;
}

/* --- memory --- */

static inline uint32_t
calls_base(void)
{
    return calls.program->object.layout.data_off;
}

/* The host's address of all of it. */
static inline char *
calls_memory(void)
{
    char *memory = bpf_memory(calls.run, calls_base(), CALLS_MEMORY, true);
    check(memory);
    bpf_run_note_write(calls.run, calls_base(), CALLS_MEMORY);
    return memory;
}

/* An address: nearly always in the memory, often at its edges. */
static inline uint64_t
calls_address(void)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, (uint64_t)1 << 32, BPF_STACK_LOW, BPF_ARGS};
    uint8_t how = calls_byte();
    if (how < 8)
        return odd[how % 6];
    if (how < 16)
        return calls_base() + CALLS_MEMORY - calls_byte();
    if (how < 24)
        return calls_base() - calls_byte();
    if (how < 32)
        return BPF_STACK_TOP - calls_byte();
    return calls_base() + calls_number(CALLS_MEMORY);
}

/* A length: mostly small. */
static inline uint64_t
calls_len(void)
{
    static const uint64_t odd[] = {0,  1,  UINT64_MAX, UINT32_MAX, CALLS_MEMORY, CALLS_MEMORY + 1,
                                   32, 144};
    uint8_t how = calls_byte();
    if (how < 16)
        return odd[how % 8];
    return how < 48 ? calls_number(CALLS_MEMORY) : how;
}

/* --- running --- */

static inline void
calls_check_line(void *arg, struct str line)
{
    check(line.len > 0 && line.ptr[line.len - 1] == '\n' && str_is_utf8(line));
    for (size_t i = 0; i + 1 < line.len; i++)
        check((unsigned char)line.ptr[i] >= 0x20 && line.ptr[i] != 0x7f);
}

/* Once. `fn` is called in each run; its number as a helper is 0. */
static inline void
calls_init(const struct bpf_helper_table *table)
{
    struct bpf_program_config config = {.helpers = table, .engine = BPF_ENGINE_INTERP};
    const struct bpf_insn insns[] = {{.opcode = 0x85, .imm = 0}, {.opcode = 0x95}};
    struct bpf_object object;
    struct error error;
    if (calls.scene)
        return;
    calls.scene = scene_new();
    check(bpf_object_from_insns(&object, insns, 2, (struct str){0}, &error) == 0);
    free(object.ro);
    free(object.data);
    object.ro = calloc(1, 1);
    object.data = calloc(1, CALLS_MEMORY);
    check(object.ro && object.data);
    check(bpf_layout_init(&object.layout, 0, CALLS_MEMORY, 0));
    check(bpf_program_new(&calls.program, &object, &config, &error) == 0);
    check(bpf_pool_new(&calls.pool, calls.scene->worker.bpf, calls.program, &(struct bpf_budget){0},
                       &error) == 0);
    log_set_sink(calls_check_line, NULL);
}

/* One run; what it left in the frame stays for the next. */
static inline void
calls_go(void)
{
    struct script_frame *frame = &calls.scene->frame;
    calls.run = frame->run = bpf_run_new(calls.pool, 0, frame);
    check(calls.run);
    enum bpf_outcome outcome = bpf_run_go(calls.run);
    check(outcome == BPF_DONE || outcome == BPF_TRAPPED);
    if (outcome == BPF_TRAPPED)
        check(bpf_run_trap(calls.run).text[0]);
    bpf_run_free(calls.run);
    calls.run = NULL;
}

/* Forgets what an input left. */
static inline void
calls_reset(void)
{
    struct script_frame *frame = &calls.scene->frame;
    script_json_deinit(&frame->json);
    frame->footprint = 0;
    frame->log_len = 0;
    frame->log_line_count = 0;
}

#endif
