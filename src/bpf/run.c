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
    run->result = result;
    run->outcome = BPF_DONE;
    bpf_fiber_end(&run->fiber);
}

void
bpf_wait(struct bpf_run *run)
{
    run->outcome = BPF_WAITING;
    bpf_fiber_leave(&run->fiber);
    bpf_budget_settle(run);
}

enum bpf_outcome
bpf_run_go(struct bpf_run *run)
{
    struct bpf_worker *worker = run->pool->worker;
    bool goes_on = run->begun;
    must(worker == bpf_worker_here && !bpf_run_current && !is_over(run));
    if (goes_on)
        bpf_budget_go_on(run);
    bpf_worker_begin(worker, run);
    bpf_run_current = run;
    run->begun = true;
    if (goes_on)
        bpf_fiber_resume(&run->fiber);
    else
        bpf_fiber_start(&run->fiber, run_main, run);
    bpf_run_current = NULL;
    bpf_worker_end(worker);
    if (__builtin_expect(run->clock_on, 0))
        bpf_budget_came_back(run);
    return run->outcome;
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
        end = bpf_cage_args_end();
    if (check->wild_stores || low < cage->stack_open)
        low = cage->stack_open;
    if (low < end)
        memset(cage->base + low, 0, end - low);
    if (check->wild_stores || run->data_dirty)
        bpf_cage_reset_data(cage, &program->object.layout, program->object.data);
}

void
bpf_run_free(struct bpf_run *run)
{
    if (!run)
        return;
    must(run->pool->worker == bpf_worker_here && run != bpf_run_current);
    clean(run);
    bpf_pool_release(run->pool, run);
}
