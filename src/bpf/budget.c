#include "bpf/worker.h"

#include <time.h>

/* Reading the clock of a thread is a system call that may cost as much as a short script, so a
 * run's time is measured only when that does not matter any more: from the first poll on, which the
 * ticker causes after a tick or two (and one is charged for them). From then on it is exact: the
 * clock is read whenever the run gets the thread and whenever it loses it.
 *
 * A run that waits has its own way around polls: it may do so just before each tick. So after some
 * waits it is measured, too, and what it has used is looked at after each.
 */
enum { NS_PER_S = 1000 * 1000 * 1000, WAITS_FREE = 8 };

static uint64_t
cpu_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void
charge(struct bpf_run *run, uint64_t ns)
{
    run->cpu_ns += ns;
    run->throttle_left_ns -= ns < run->throttle_left_ns ? ns : run->throttle_left_ns;
}

static void
count(struct bpf_run *run)
{
    uint64_t now = cpu_now_ns();
    charge(run, now - run->cpu_since_ns);
    run->cpu_since_ns = now;
}

/* What it had before was between one tick and two. */
static void
count_first(struct bpf_run *run)
{
    const struct bpf_ticker *ticker = run->pool->worker->ticker;
    run->clock_on = true;
    run->cpu_since_ns = cpu_now_ns();
    charge(run, ticker ? ticker->tick_ns : 0);
}

static void
arm(struct bpf_run *run)
{
    uint32_t poll = run->pool->budget.fuel != 0;
    atomic_store_explicit(&run->poll, poll, memory_order_relaxed);
}

void
bpf_budget_start(struct bpf_run *run)
{
    const struct bpf_budget *budget = &run->pool->budget;
    arm(run);
    run->clock_on = false;
    run->wait_count = 0;
    run->cpu_ns = 0;
    run->throttle_left_ns = budget->throttle_ns;
    run->fuel_left = budget->fuel;
}

void
bpf_budget_go_on(struct bpf_run *run)
{
    arm(run);
    if (run->outcome == BPF_WAITING && ++run->wait_count > WAITS_FREE)
        run->clock_on = true;
    if (run->clock_on)
        run->cpu_since_ns = cpu_now_ns();
}

/* A poll has counted just before. */
void
bpf_budget_came_back(struct bpf_run *run)
{
    if (run->outcome != BPF_YIELDED && run->outcome != BPF_THROTTLED)
        count(run);
}

static void
leave(struct bpf_run *run, enum bpf_outcome outcome)
{
    run->outcome = outcome;
    bpf_fiber_leave(&run->fiber);
}

static bool
is_to_pause(struct bpf_run *run)
{
    const struct bpf_budget *budget = &run->pool->budget;
    if (budget->cpu_limit_ns && run->cpu_ns >= budget->cpu_limit_ns)
        bpf_run_trap_cpu(run);
    if (budget->throttle_ns == 0 || run->throttle_left_ns > 0)
        return false;
    run->throttle_left_ns = budget->throttle_ns;
    return true;
}

void
bpf_budget_settle(struct bpf_run *run)
{
    if (run->pool->budget.fuel == 0 && is_to_pause(run))
        leave(run, BPF_THROTTLED);
}

void
bpf_run_poll(struct bpf_run *run)
{
    if (run->pool->budget.fuel) {
        if (--run->fuel_left == 0)
            bpf_run_trap_cpu(run);
        return;
    }
    if (run->clock_on)
        count(run);
    else
        count_first(run);
    leave(run, is_to_pause(run) ? BPF_THROTTLED : BPF_YIELDED);
}
