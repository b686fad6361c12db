/* script_test_run: what the tests of runs share: programs from a few instructions, by either
 * engine, and helpers to call.
 */
#ifndef TARN_BPF_SCRIPT_TEST_RUN_H
#define TARN_BPF_SCRIPT_TEST_RUN_H

#include "bpf/cases_test.h"
#include "bpf/helper.h"
#include "bpf/worker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__)
enum { TEST_TSAN = 1, TEST_SHADOW = 1 };
#elif defined(__SANITIZE_ADDRESS__)
enum { TEST_TSAN = 0, TEST_SHADOW = 1 };
#else
enum { TEST_TSAN = 0, TEST_SHADOW = 0 };
#endif

#if defined(__x86_64__)
enum { TEST_HAS_JIT = 1 };
#else
enum { TEST_HAS_JIT = 0 };
#endif

/* --- helpers --- */

enum {
    H_ADD,
    H_WAIT,
    H_TRAP,
    H_FILL,
    H_SUM,
    H_END,
    H_USER,
    H_DEEP,
    H_CRASH,
    H_OVERLAP,
    H_POLL,
    H_RAISE,
    H_NEST,
    H_COUNT,
};

static inline uint64_t
test_add(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return r1 + 10 * r2 + 100 * r3 + 1000 * r4 + 10000 * r5;
}

static inline uint64_t
test_wait(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    bpf_wait(run);
    return r1 + 1;
}

static inline uint64_t
test_trap(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    bpf_trap(run, "asked to stop with %d", (int)r1);
}

static inline uint64_t
test_fill(uint64_t addr, uint64_t len, uint64_t byte, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    memset(bpf_view_writable(run, addr, len), (int)byte, len);
    return len;
}

static inline uint64_t
test_sum(uint64_t addr, uint64_t len, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct str view = bpf_view(run, addr, len);
    uint64_t sum = 0;
    for (size_t i = 0; i < view.len; i++)
        sum += (unsigned char)view.ptr[i];
    return sum;
}

static inline uint64_t
test_end(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    bpf_end(run, r1);
}

static inline uint64_t
test_user(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return (uint64_t)(uintptr_t)bpf_user(run);
}

/* Needs most of the native stack. */
static inline uint64_t
test_deep(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    volatile char room[128 << 10];
    for (size_t i = 0; i < sizeof room; i += 512)
        room[i] = (char)(i >> 9);
    return (uint64_t)room[512 * 7];
}

/* A bug of a helper: at r1 of the script's window, as a host address, or anywhere. */
static inline uint64_t
test_crash(uint64_t r1, uint64_t in_window, uint64_t r3, uint64_t r4, uint64_t r5,
           struct bpf_run *run)
{
    volatile char *at = in_window ? run->cage.base + r1 : (char *)(uintptr_t)r1;
    return (uint64_t)*at;
}

static inline uint64_t
test_overlap(uint64_t to, uint64_t from, uint64_t len, uint64_t r4, uint64_t r5,
             struct bpf_run *run)
{
    struct str source = bpf_view(run, from, len);
    char *target = bpf_view_writable(run, to, len);
    bpf_views_apart(run, target, len, source.ptr, source.len);
    memcpy(target, source.ptr, source.len);
    return len;
}

static inline uint64_t
test_raise(uint64_t number, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return (uint64_t)raise((int)number);
}

/* As the ticker does. */
static inline uint64_t
test_poll(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    atomic_store(&run->poll, 1);
    return 0;
}

/* What runs of a nest have as their user. */
struct test_nest {
    struct bpf_pool *pools[2];
    struct bpf_run *open[16]; /* callees that are not freed, the innermost last */
    unsigned open_count, deepest, trap_count;
    struct bpf_trap_info trap; /* the last one of a callee */
    char trap_text[BPF_TRAP_TEXT_MAX];
};

/* Calls a script of that pool; r2 to r5 are its r1 to r4. Its result, or -1. */
static inline uint64_t
test_nest(uint64_t pool, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct test_nest *nest = bpf_user(run);
    struct bpf_run *callee = bpf_run_new(nest->pools[pool], 0, nest);
    uint64_t result = UINT64_MAX;
    assert_non_null(callee);
    bpf_run_set_args(callee, (const uint64_t[]){r2, r3, r4, r5}, 4);
    nest->open[nest->open_count++] = callee;
    if (nest->open_count > nest->deepest)
        nest->deepest = nest->open_count;
    if (bpf_run_nested(run, callee) == BPF_DONE) {
        result = bpf_run_result(callee);
    } else {
        nest->trap_count++;
        nest->trap = bpf_run_trap(callee);
        snprintf(nest->trap_text, sizeof nest->trap_text, "%s", nest->trap.text);
    }
    nest->open_count--;
    bpf_run_free(callee);
    return result;
}

static const struct bpf_helper script_helper_list[H_COUNT] = {
    [H_ADD] = {"add", test_add},       [H_WAIT] = {"wait", test_wait},
    [H_TRAP] = {"trap", test_trap},    [H_FILL] = {"fill", test_fill},
    [H_SUM] = {"sum", test_sum},       [H_END] = {"end", test_end},
    [H_USER] = {"user", test_user},    [H_DEEP] = {"deep", test_deep},
    [H_CRASH] = {"crash", test_crash}, [H_OVERLAP] = {"overlap", test_overlap},
    [H_POLL] = {"poll", test_poll},    [H_RAISE] = {"raise", test_raise},
    [H_NEST] = {"nest", test_nest},
};
static const struct bpf_helper_table script_helpers = {script_helper_list, H_COUNT};

/* --- a thread's worker --- */

struct vm {
    enum bpf_engine engine;
    struct bpf_ticker *ticker;
    struct bpf_worker *worker;
};

/* In the test itself: cmocka sets signal handlers of its own around tests and fixtures. tick_ns 0:
 * no ticker. */
static inline void
vm_init(struct vm *vm, enum bpf_engine engine, uint64_t tick_ns)
{
    struct error error = {0};
    bpf_worker_here = NULL; /* left by a test that failed */
    bpf_run_current = NULL;
    *vm = (struct vm){.engine = engine};
    if (tick_ns)
        assert_int_equal(bpf_ticker_new(&vm->ticker, tick_ns, &error), 0);
    assert_int_equal(bpf_worker_new(&vm->worker, vm->ticker, &error), 0);
}

static inline void
vm_deinit(struct vm *vm)
{
    bpf_worker_free(vm->worker);
    bpf_ticker_free(vm->ticker);
}

/* --- programs --- */

struct spec {
    const struct bpf_insn *insns;
    uint32_t insn_count;
    struct str ro, data;
    uint32_t ro_len, data_len; /* when longer: zeros follow */
    uint32_t bss_len;
    uint32_t split; /* where a second section begins; 0: none */
    struct bpf_budget budget;
    unsigned flags;
};

#define ARGS(...) ((const uint64_t[5]){__VA_ARGS__})
#define TEST_MS ((uint64_t)1000 * 1000)

static inline char *
test_bytes(struct str bytes, uint32_t len)
{
    char *copy = calloc(1, len ? len : 1);
    assert_non_null(copy);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    return copy;
}

static inline uint32_t
test_longer(struct str bytes, uint32_t len)
{
    return bytes.len > len ? (uint32_t)bytes.len : len;
}

static inline void
test_split(struct bpf_object *object, uint32_t at)
{
    const struct bpf_section sections[] = {
        {STR("first"), 0, at},
        {STR("second"), at, object->insn_count - at},
    };
    free(object->sections);
    object->sections = malloc(sizeof sections);
    assert_non_null(object->sections);
    memcpy(object->sections, sections, sizeof sections);
    object->section_count = 2;
}

/* NULL with a line when the program is refused. */
static inline struct bpf_program *
spec_load(const struct vm *vm, const struct spec *spec, struct error *error)
{
    struct bpf_object object;
    struct bpf_program *program = NULL;
    uint32_t ro_len = test_longer(spec->ro, spec->ro_len);
    uint32_t data_len = test_longer(spec->data, spec->data_len);
    assert_int_equal(
        bpf_object_from_insns(&object, spec->insns, spec->insn_count, (struct str){0}, error), 0);
    assert_true(bpf_layout_init(&object.layout, ro_len, data_len, spec->bss_len));
    if (spec->split)
        test_split(&object, spec->split);
    free(object.ro);
    free(object.data);
    object.ro = test_bytes(spec->ro, ro_len);
    object.data = test_bytes(spec->data, data_len);
    struct bpf_program_config config = {
        .helpers = &script_helpers,
        .engine = vm->engine,
        .check_flags = spec->flags,
    };
    if (bpf_program_new(&program, &object, &config, error) < 0)
        return NULL;
    return program;
}

static inline struct bpf_pool *
spec_pool(const struct vm *vm, const struct spec *spec)
{
    struct error error = {0};
    struct bpf_pool *pool = NULL;
    struct bpf_program *program = spec_load(vm, spec, &error);
    if (!program)
        fail_msg("%s", error.text);
    assert_int_equal(bpf_pool_new(&pool, vm->worker, program, &spec->budget, &error), 0);
    bpf_program_unref(program);
    return pool;
}

/* --- runs --- */

static inline struct bpf_run *
test_run_new(struct bpf_pool *pool, const uint64_t args[5])
{
    struct bpf_run *run = bpf_run_new(pool, 0, NULL);
    assert_non_null(run);
    if (args)
        bpf_run_set_args(run, args, 5);
    return run;
}

/* Goes on until it has ended. */
static inline enum bpf_outcome
test_finish(struct bpf_run *run)
{
    enum bpf_outcome outcome;
    do {
        outcome = bpf_run_go(run);
    } while (outcome != BPF_DONE && outcome != BPF_TRAPPED);
    return outcome;
}

static inline void
expect_done(struct bpf_run *run, uint64_t result)
{
    if (test_finish(run) != BPF_DONE)
        fail_msg("insn %u: %s", bpf_run_trap(run).insn, bpf_run_trap(run).text);
    assert_int_equal(bpf_run_result(run), result);
    bpf_run_free(run);
}

/* It has ended so; frees it. */
static inline void
expect_trapped(struct bpf_run *run, enum bpf_trap_kind kind, uint32_t insn, const char *text)
{
    struct bpf_trap_info trap = bpf_run_trap(run);
    assert_string_equal(trap.text, text);
    assert_int_equal(trap.kind, kind);
    assert_int_equal(trap.insn, insn);
    bpf_run_free(run);
}

static inline void
expect_trap(struct bpf_run *run, enum bpf_trap_kind kind, uint32_t insn, const char *text)
{
    if (test_finish(run) == BPF_DONE)
        fail_msg("ended with 0x%llx", (unsigned long long)bpf_run_result(run));
    expect_trapped(run, kind, insn, text);
}

/* One run of a program of its own: r1 to r5 are args. */
static inline struct bpf_run *
only_run(struct vm *vm, const struct spec *spec, const uint64_t args[5])
{
    return test_run_new(spec_pool(vm, spec), args);
}

static inline void
expect_only_done(struct vm *vm, const struct spec *spec, const uint64_t args[5], uint64_t result)
{
    struct bpf_run *run = only_run(vm, spec, args);
    struct bpf_pool *pool = run->pool;
    expect_done(run, result);
    bpf_pool_free(pool);
}

static inline void
expect_only_trap(struct vm *vm, const struct spec *spec, const uint64_t args[5],
                 enum bpf_trap_kind kind, uint32_t insn, const char *text)
{
    struct bpf_run *run = only_run(vm, spec, args);
    struct bpf_pool *pool = run->pool;
    expect_trap(run, kind, insn, text);
    bpf_pool_free(pool);
}

/* --- children --- */

/* What becomes of a child process that calls function(arg): the status of waitpid. */
static inline int
test_child(void (*function)(void *arg), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* cmocka's are there */
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        function(arg);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static inline void
expect_child_passes(void (*function)(void *arg), void *arg)
{
    int status = test_child(function, arg);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static inline void
expect_child_dies(void (*function)(void *arg), void *arg, int signal)
{
    int status = test_child(function, arg);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal);
}

/* --- both engines --- */

static inline enum bpf_engine
engine_of(void **state)
{
    enum bpf_engine engine = *(const enum bpf_engine *)*state;
    if (engine == BPF_ENGINE_JIT && !TEST_HAS_JIT)
        skip();
    return engine;
}

static enum bpf_engine test_jit __attribute__((unused)) = BPF_ENGINE_JIT;
static enum bpf_engine test_interp __attribute__((unused)) = BPF_ENGINE_INTERP;

#define BOTH(test)                                        \
    {#test " (jit)", test, NULL, NULL, &test_jit},        \
    {                                                     \
#test " (interp)", test, NULL, NULL, &test_interp \
    }

#endif
