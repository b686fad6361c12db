#include "bpf/worker.h"

#include "base/must.h"

#include <string.h>

/* What an empty run costs is what stands here: a slot from a list, some stores, a call on another
 * stack and back. No system call, no clock; cleaning is for what may have been written.
 */

static bool
is_over(const struct bpf_run *run)
{
    return run->begun && (run->outcome == BPF_DONE || run->outcome == BPF_TRAPPED);
}

struct bpf_run *
bpf_run_new(struct bpf_pool *pool, uint32_t entry, void *user)
{
    must(pool->worker == bpf_worker_here && entry < pool->program->object.insn_count);
    struct bpf_run *run = bpf_pool_acquire(pool);
    if (!run)
        return NULL;
    memset(run->args, 0, sizeof run->args);
    run->entry = entry;
    run->user = user;
    run->begun = false;
    run->data_dirty = false;
    run->dirty_low = BPF_STACK_TOP;
    run->args_len = 0;
    bpf_budget_start(run);
    return run;
}

void
bpf_run_set_args(struct bpf_run *run, const uint64_t *args, unsigned count)
{
    must(!run->begun && count <= sizeof run->args / sizeof *run->args);
    memcpy(run->args, args, count * sizeof *args);
}

void *
bpf_run_args(struct bpf_run *run, uint32_t len)
{
    must(len <= BPF_ARGS_LEN);
    if (run->cage.args_open < BPF_ARGS + len && !bpf_cage_open_args(&run->cage))
        return NULL;
    if (len > run->args_len)
        run->args_len = len;
    return run->cage.base + BPF_ARGS;
}

static void
run_main(void *arg)
{
    struct bpf_run *run = arg;
    run->result = run->program->engine(run);
    run->outcome = BPF_DONE;
}

_Noreturn void
bpf_end(struct bpf_run *run, uint64_t result)
{
    must(run == bpf_run_current);
    run->result = result;
    run->outcome = BPF_DONE;
    bpf_fiber_end(&run->fiber);
}

void
bpf_run_leave(struct bpf_run *run, enum bpf_outcome outcome)
{
    run->outcome = outcome;
    bpf_fiber_leave(&run->fiber);
}

void
bpf_wait(struct bpf_run *run)
{
    must(run == bpf_run_current);
    bpf_budget_count(run);
    bpf_run_leave(run, BPF_WAITING);
    bpf_budget_settle(run);
}

/* Returns when it has ended or left. */
static void
enter(struct bpf_run *run)
{
    bpf_run_current = run;
    if (run->begun) {
        bpf_fiber_resume(&run->fiber);
        return;
    }
    run->begun = true;
    bpf_fiber_start(&run->fiber, run_main, run);
}

enum bpf_outcome
bpf_run_go(struct bpf_run *run)
{
    struct bpf_worker *worker = run->pool->worker;
    must(worker == bpf_worker_here && !bpf_run_current && !run->caller && !is_over(run));
    if (run->begun)
        bpf_budget_go_on(run);
    bpf_worker_begin(worker, run);
    enter(run);
    bpf_run_current = NULL;
    bpf_worker_end(worker);
    if (__builtin_expect(run->clock_on, 0) && is_over(run))
        bpf_budget_count(run);
    return run->outcome;
}

/* As bpf_run_go within what the worker has begun. */
static void
go_nested(struct bpf_run *run, struct bpf_run *callee)
{
    struct bpf_worker *worker = run->pool->worker;
    if (callee->begun)
        bpf_budget_go_on(callee);
    bpf_worker_turn_to(worker, callee);
    enter(callee);
    bpf_run_current = run;
    bpf_worker_turn_to(worker, run);
}

/* The callee is over. A tick that it had no place to look at is its caller's. */
static void
take_back(struct bpf_run *run, struct bpf_run *callee)
{
    callee->caller = NULL;
    if (atomic_load_explicit(&callee->poll, memory_order_relaxed))
        atomic_store_explicit(&run->poll, 1, memory_order_relaxed);
    if (__builtin_expect(!callee->clock_on, 1))
        return;
    bpf_budget_count(callee);
    bpf_budget_count_callee(run, callee);
    bpf_budget_settle(run);
}

enum bpf_outcome
bpf_run_nested(struct bpf_run *run, struct bpf_run *callee)
{
    must(run == bpf_run_current && run->pool->worker == callee->pool->worker && !callee->begun);
    callee->caller = run;
    go_nested(run, callee);
    while (!is_over(callee)) {
        bpf_budget_count_callee(run, callee);
        bpf_run_leave(run, callee->outcome);
        must(callee->caller == run);
        bpf_budget_settle(run);
        go_nested(run, callee);
    }
    take_back(run, callee);
    return callee->outcome;
}

uint64_t
bpf_run_result(const struct bpf_run *run)
{
    must(run->begun && run->outcome == BPF_DONE);
    return run->result;
}

uint64_t
bpf_run_cpu_ns(const struct bpf_run *run)
{
    return run->cpu_ns;
}

/* See "Nothing of an earlier run" in docs/design/cage.md. Stack and arguments lie side by side. */
static void
clean(struct bpf_run *run)
{
    const struct bpf_program *program = run->program;
    const struct bpf_check *check = &program->check;
    struct bpf_cage *cage = &run->cage;
    uint32_t low = BPF_STACK_TOP - check->stack_low, end = BPF_ARGS + run->args_len;
    if (run->dirty_low < low)
        low = run->dirty_low;
    if (check->wild_stores)
        end = cage->args_open;
    if (check->wild_stores || low < cage->stack_open)
        low = cage->stack_open;
    if (low < end)
        memset(cage->base + low, 0, end - low);
    if (check->wild_stores || run->data_dirty)
        bpf_cage_reset_data(cage, &program->object.layout, program->object.data);
}

/* It, or a run that it has called and that is not back. */
static bool
is_going(const struct bpf_run *run)
{
    const struct bpf_run *current = bpf_run_current;
    while (current && current != run)
        current = current->caller;
    return current != NULL;
}

void
bpf_run_free(struct bpf_run *run)
{
    if (!run)
        return;
    must(run->pool->worker == bpf_worker_here && !is_going(run));
    run->caller = NULL;
    clean(run);
    bpf_pool_release(run->pool, run);
}
