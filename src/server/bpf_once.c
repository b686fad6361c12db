#include "server/bpf_once.h"

#include "bpf/run.h"
#include "server/bpf_helpers.h"

#include <time.h>

enum { TICK_NS = 1000000 };

static uint64_t
thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Nobody else has a turn here, so that a run that yields goes on at once. */
static int
go_to_end(struct bpf_once *once, struct bpf_run *run, struct error *error)
{
    enum bpf_outcome outcome;
    uint64_t begun_ns = thread_cpu_ns();
    do
        outcome = bpf_run_go(run);
    while (outcome != BPF_DONE && outcome != BPF_TRAPPED);
    once->cpu_ns = thread_cpu_ns() - begun_ns;
    if (outcome == BPF_TRAPPED) {
        bpf_run_describe_trap(run, error->text, sizeof error->text);
        return -1;
    }
    once->result = bpf_run_result(run);
    return 0;
}

static int
run_in_pool(struct bpf_once *once, struct bpf_pool *pool, struct error *error)
{
    struct bpf_log log = {.len = 0};
    struct bpf_run *run = bpf_run_new(pool, once->entry, &log);
    if (!run)
        return error_set(error, "no memory for a run");
    bpf_run_set_args(run, once->args, sizeof once->args / sizeof once->args[0]);
    int result = go_to_end(once, run, error);
    bpf_log_flush(&log);
    bpf_run_free(run);
    return result;
}

static int
run_on_worker(struct bpf_once *once, struct bpf_worker *worker, struct error *error)
{
    const struct bpf_budget budget = {.cpu_limit_ns = once->cpu_limit_ms * 1000000};
    struct bpf_pool *pool;
    if (bpf_pool_new(&pool, worker, once->program, &budget, error) != 0)
        return -1;
    int result = run_in_pool(once, pool, error);
    bpf_pool_free(pool);
    return result;
}

int
bpf_once_run(struct bpf_once *once, struct error *error)
{
    struct bpf_ticker *ticker;
    struct bpf_worker *worker;
    int result = -1;
    if (bpf_ticker_new(&ticker, TICK_NS, error) != 0)
        return -1;
    if (bpf_worker_new(&worker, ticker, error) == 0) {
        result = run_on_worker(once, worker, error);
        bpf_worker_free(worker);
    }
    bpf_ticker_free(ticker);
    return result;
}
