#include "bpf/worker.h"

#include <time.h>

/* Reading the clock of a thread is a system call that may cost as much as a short script, so a
 * run's time is measured only when that does not matter any more: from the first poll on, which the
 * ticker causes after a tick or two (and one is charged for them). From then on it is exact: the
 * clock is read whenever the run gets the thread and whenever it loses it.
 *
 * A run that waits has its own way around polls: it may do so just before each tick. So after some
 * waits it is measured, too, and what it has used is looked at after each.
 *
 * A callee's time is that of all runs around it, too. It goes up and down the nest from run to run:
 * the innermost reads the clock when it leaves, the outermost when it goes on, and the others take
 * that reading over. When a callee is measured, so is its caller: it has had the thread for as
 * long, and has waited as often. A pause of one is one of all: each has its full share again.
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

/* What it had before it was measured was between one tick and two. */
static void
count_until(struct bpf_run *run, uint64_t now_ns)
{
    const struct bpf_ticker *ticker = run->pool->worker->ticker;
    if (run->clock_on)
        charge(run, now_ns - run->cpu_since_ns);
    else
        charge(run, ticker ? ticker->tick_ns : 0);
    run->clock_on = true;
    run->cpu_since_ns = now_ns;
}

static void
renew_share(struct bpf_run *run)
{
    run->throttle_left_ns = run->pool->budget.throttle_ns;
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
    renew_share(run);
    run->fuel_left = budget->fuel;
}

void
bpf_budget_go_on(struct bpf_run *run)
{
    const struct bpf_run *caller = run->caller;
    arm(run);
    if (run->outcome == BPF_WAITING && ++run->wait_count > WAITS_FREE)
        run->clock_on = true;
    if (caller && caller->outcome == BPF_THROTTLED) {
        renew_share(run);
        run->outcome = BPF_THROTTLED; /* whatever it had left for; its callees look here, too */
    }
    if (run->clock_on)
        run->cpu_since_ns = caller ? caller->cpu_since_ns : cpu_now_ns();
}

void
bpf_budget_count(struct bpf_run *run)
{
    if (run->clock_on)
        count_until(run, cpu_now_ns());
}

void
bpf_budget_count_callee(struct bpf_run *run, const struct bpf_run *callee)
{
    if (callee->clock_on)
        count_until(run, callee->cpu_since_ns);
    else
        bpf_budget_count(run);
    if (callee->outcome == BPF_THROTTLED)
        renew_share(run);
}

static bool
is_to_pause(struct bpf_run *run)
{
    const struct bpf_budget *budget = &run->pool->budget;
    if (budget->cpu_limit_ns && run->cpu_ns >= budget->cpu_limit_ns)
        bpf_run_trap_cpu(run);
    if (budget->throttle_ns == 0 || run->throttle_left_ns > 0)
        return false;
    renew_share(run);
    return true;
}

void
bpf_budget_settle(struct bpf_run *run)
{
    if (run->pool->budget.fuel == 0 && is_to_pause(run))
        bpf_run_leave(run, BPF_THROTTLED);
}

void
bpf_run_poll(struct bpf_run *run)
{
    if (run->pool->budget.fuel) {
        if (--run->fuel_left == 0)
            bpf_run_trap_cpu(run);
        return;
    }
    count_until(run, cpu_now_ns());
    bpf_run_leave(run, is_to_pause(run) ? BPF_THROTTLED : BPF_YIELDED);
}
