/* engines_test_run: executes the programs of cases_test.h, by the interpreter and by machine code,
 * and says what differs from what they expect, and from each other.
 */
#ifndef TARN_BPF_ENGINES_TEST_RUN_H
#define TARN_BPF_ENGINES_TEST_RUN_H

#include "bpf/cases_test.h"
#include "bpf/worker.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    ENGINES_DATA_MAX = 16384,
    ENGINES_TAKEN_MAX = BPF_STACK_TOP - BPF_STACK_LOW,
    ENGINES_FUEL = 1000000,
};

/* --- helpers --- */

struct engines_taken {
    char bytes[ENGINES_TAKEN_MAX];
    size_t len;
};

#define HELPER(name)                                                                      \
    static uint64_t name(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, \
                         struct bpf_run *run)

HELPER(engines_sum)
{
    return r1 + 10 * r2 + 100 * r3 + 1000 * r4 + 10000 * r5;
}

HELPER(engines_fill)
{
    memset(bpf_view_writable(run, r1, r2), (int)r3, r2);
    return r1;
}

HELPER(engines_trap)
{
    bpf_trap(run, "asked for");
}

HELPER(engines_wait)
{
    bpf_wait(run);
    bpf_wait(run);
    return r1 + 1;
}

HELPER(engines_bytes)
{
    struct str view = bpf_view(run, r1, r2);
    uint64_t sum = 0;
    for (size_t i = 0; i < view.len; i++)
        sum += (uint8_t)view.ptr[i];
    return sum;
}

HELPER(engines_unwind)
{
    if (r1 == 0)
        bpf_end(run, 0);
    return r1;
}

HELPER(engines_aligned)
{
    return (uintptr_t)__builtin_frame_address(0) % 16;
}

HELPER(engines_take)
{
    struct engines_taken *taken = bpf_user(run);
    assert_true(r2 <= sizeof taken->bytes);
    bpf_copy_in(run, taken->bytes, r1, r2);
    taken->len = r2;
    return r2;
}

static const struct bpf_helper engines_helper_list[HELPER_COUNT] = {
    [HELPER_SUM] = {"sum", engines_sum},
    [HELPER_FILL] = {"fill", engines_fill},
    [HELPER_TRAP] = {"trap", engines_trap},
    [HELPER_WAIT] = {"wait", engines_wait},
    [HELPER_BYTES] = {"bytes", engines_bytes},
    [HELPER_UNWIND] = {"unwind", engines_unwind},
    [HELPER_ALIGNED] = {"aligned", engines_aligned},
    [HELPER_TAKE] = {"take", engines_take},
};
static const struct bpf_helper_table engines_helpers = {engines_helper_list, HELPER_COUNT};

/* --- programs --- */

enum engines_how {
    ENGINES_INTERP,
    ENGINES_INTERP_YIELDING, /* at each poll */
    ENGINES_JIT,
    ENGINES_JIT_YIELDING,
    ENGINES_HOW_COUNT,
};

static const char *const engines_how_names[] = {"interpreter", "interpreter that yields",
                                                "machine code", "machine code that yields"};

struct engines_ending {
    enum bpf_outcome outcome;
    uint64_t result;
    enum bpf_trap_kind trap;
    uint32_t insn;
    char text[512]; /* of the trap, with its place */
    char data[ENGINES_DATA_MAX];
    uint32_t data_len; /* whole pages */
    struct engines_taken taken;
};

static struct bpf_worker *engines_worker;
static bool engines_have_jit;
static struct engines_ending engines_endings[ENGINES_HOW_COUNT];

/* Memory with the first bytes given, or none. */
static inline char *
engines_copy(struct str first, uint32_t len)
{
    char *copy = calloc(1, len ? len : 1);
    assert_non_null(copy);
    if (first.len)
        memcpy(copy, first.ptr, first.len);
    return copy;
}

static inline uint32_t
engines_memory_len(const struct bpf_case *c)
{
    return c->memory_len ? c->memory_len : (uint32_t)c->memory.len;
}

static inline void
engines_make_object(struct bpf_object *object, const struct bpf_case *c)
{
    struct error error;
    uint32_t len = engines_memory_len(c);
    char *data = engines_copy(c->memory, len);
    if (bpf_object_from_insns(object, c->insns, c->insn_count, str_make(data, len), &error) < 0)
        fail_msg("%s: %s", c->name, error.text);
    free(data);
    if (c->ro_len) {
        free(object->ro);
        object->ro = engines_copy(c->ro, c->ro_len);
        assert_true(bpf_layout_init(&object->layout, c->ro_len, len, 0));
    }
}

static inline struct bpf_program *
engines_make_program(const struct bpf_case *c, bool jit)
{
    const struct bpf_program_config config = {
        .helpers = &engines_helpers,
        .engine = jit ? BPF_ENGINE_JIT : BPF_ENGINE_INTERP,
        .check_flags = BPF_ALLOW_CALLX,
    };
    struct bpf_object object;
    struct bpf_program *program;
    struct error error;
    engines_make_object(&object, c);
    if (bpf_program_new(&program, &object, &config, &error) < 0)
        fail_msg("%s: %s", c->name, error.text);
    return program;
}

static inline void
engines_set_args(struct bpf_run *run, const struct bpf_case *c)
{
    const struct bpf_layout *layout = &run->program->object.layout;
    uint32_t len = engines_memory_len(c);
    uint64_t args[] = {len ? layout->data_off : 0, len,
                       len ? layout->data_off + bpf_page_up(len) : 0, c->args[0], c->args[1]};
    bpf_run_set_args(run, args, 5);
}

static inline void
engines_note_ending(struct engines_ending *ending, const struct bpf_run *run)
{
    const struct bpf_layout *layout = &run->program->object.layout;
    if (ending->outcome == BPF_DONE) {
        ending->result = bpf_run_result(run);
    } else {
        ending->trap = bpf_run_trap(run).kind;
        ending->insn = bpf_run_trap(run).insn;
        bpf_run_describe_trap(run, ending->text, sizeof ending->text);
    }
    ending->data_len = bpf_page_up(layout->data_len);
    assert_true(ending->data_len <= sizeof ending->data);
    memcpy(ending->data, run->cage.base + layout->data_off, ending->data_len);
}

static inline void
engines_execute(struct engines_ending *ending, const struct bpf_case *c, enum engines_how how)
{
    bool yields = how == ENGINES_INTERP_YIELDING || how == ENGINES_JIT_YIELDING;
    const struct bpf_budget budget = {.fuel = yields ? 0 : c->fuel ? c->fuel : ENGINES_FUEL};
    struct bpf_program *program = engines_make_program(c, how >= ENGINES_JIT);
    struct bpf_pool *pool;
    struct error error;
    if (bpf_pool_new(&pool, engines_worker, program, &budget, &error) < 0)
        fail_msg("%s: %s", c->name, error.text);
    struct bpf_run *run = bpf_run_new(pool, 0, &ending->taken);
    assert_non_null(run);
    ending->taken.len = 0;
    engines_set_args(run, c);
    unsigned goes = 0;
    do {
        if (goes++ == ENGINES_FUEL)
            fail_msg("%s: does not end", c->name);
        if (yields)
            atomic_store(&run->poll, 1);
        ending->outcome = bpf_run_go(run);
    } while (ending->outcome != BPF_DONE && ending->outcome != BPF_TRAPPED);
    engines_note_ending(ending, run);
    bpf_run_free(run);
    bpf_pool_free(pool);
    bpf_program_unref(program);
}

/* --- the thread's worker --- */

static inline void
engines_find_jit(void)
{
    const struct bpf_case empty = {.name = "empty", PROGRAM(EXIT)};
    const struct bpf_program_config config = {.helpers = &engines_helpers};
    struct bpf_object object;
    struct bpf_program *program;
    struct error error;
    engines_make_object(&object, &empty);
    if (bpf_program_new(&program, &object, &config, &error) < 0)
        fail_msg("%s", error.text);
    engines_have_jit = bpf_program_code_len(program) > 0;
    if (!engines_have_jit)
        print_message("no machine code here: %s\n", bpf_program_no_jit_reason(program));
    bpf_program_unref(program);
}

/* In the test itself: cmocka puts its own signal handlers around tests and fixtures. */
static inline void
engines_open(void)
{
    struct error error;
    bpf_worker_here = NULL; /* left by a test that failed */
    bpf_run_current = NULL;
    if (bpf_worker_new(&engines_worker, NULL, &error) < 0)
        fail_msg("%s", error.text);
    engines_find_jit();
}

static inline void
engines_close(void)
{
    bpf_worker_free(engines_worker);
}

/* --- whole programs --- */

static inline void
engines_check(const struct engines_ending *ending, const struct bpf_case *c, const char *how)
{
    struct str after = c->after.len ? c->after : c->memory;
    if (c->traps && ending->outcome == BPF_DONE)
        fail_msg("%s (%s): ended with 0x%" PRIx64 ", expected a trap at %" PRIu32, c->name, how,
                 ending->result, c->trap_insn);
    if (!c->traps && ending->outcome == BPF_TRAPPED)
        fail_msg("%s (%s): %s", c->name, how, ending->text);
    if (c->traps && (ending->trap != c->trap || ending->insn != c->trap_insn))
        fail_msg("%s (%s): trap %d at %" PRIu32 ", expected %d at %" PRIu32 ": %s", c->name, how,
                 ending->trap, ending->insn, c->trap, c->trap_insn, ending->text);
    if (!c->traps && ending->result != c->result)
        fail_msg("%s (%s): 0x%" PRIx64 ", expected 0x%" PRIx64, c->name, how, ending->result,
                 c->result);
    if (after.len && memcmp(ending->data, after.ptr, after.len) != 0)
        fail_msg("%s (%s): memory is not as expected", c->name, how);
}

static inline void
engines_check_same(const struct engines_ending *a, const struct engines_ending *b, const char *name)
{
    assert_int_equal(a->data_len, b->data_len);
    if (memcmp(a->data, b->data, a->data_len) != 0)
        fail_msg("%s: data is not the same at the end", name);
    if (a->outcome == BPF_TRAPPED && strcmp(a->text, b->text) != 0)
        fail_msg("%s: \"%s\" is not \"%s\"", name, a->text, b->text);
}

static inline bool
engines_can(enum engines_how how, const struct bpf_case *c)
{
    bool yields = how == ENGINES_INTERP_YIELDING || how == ENGINES_JIT_YIELDING;
    return (how < ENGINES_JIT || engines_have_jit) &&
           !(yields && c->traps && c->trap == BPF_TRAP_CPU);
}

/* In every way there is; all must end as the case says, and alike. */
static inline void
engines_run_case(const struct bpf_case *c)
{
    for (enum engines_how how = 0; how < ENGINES_HOW_COUNT; how++) {
        if (!engines_can(how, c))
            continue;
        engines_execute(&engines_endings[how], c, how);
        engines_check(&engines_endings[how], c, engines_how_names[how]);
        engines_check_same(&engines_endings[ENGINES_INTERP], &engines_endings[how], c->name);
    }
}

static inline void
engines_run_cases(const struct bpf_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        engines_run_case(&cases[i]);
}

#endif
