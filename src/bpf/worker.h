/* worker: what workers, pools, runs and the ticker know of each other. Not for other folders.
 *
 * A worker's thread writes `current` and `seq`; the ticker reads them. All else of a worker and of
 * its pools is its thread's, and all else of the ticker is under its lock.
 */
#ifndef TARN_BPF_WORKER_H
#define TARN_BPF_WORKER_H

#include "bpf/run_internal.h"

#include <pthread.h>

enum { BPF_SHARED_ALIGN = 64 }; /* what one thread writes and others read stands apart */

struct bpf_ticker {
    atomic_bool asleep; /* read at each begin of a run, written rarely */
    _Alignas(BPF_SHARED_ALIGN) pthread_mutex_t lock;
    pthread_cond_t woken; /* or to stop */
    pthread_t thread;
    uint64_t tick_ns;
    bool stop;
    struct bpf_worker *workers;
};

struct bpf_worker {
    _Atomic uint64_t seq; /* odd while a run goes on; grows by 2 with each, callees apart */
    struct bpf_run *_Atomic current; /* while seq is odd; of a nest the innermost */
    _Alignas(BPF_SHARED_ALIGN) struct bpf_ticker *ticker; /* NULL: none */
    char *signal_stack;                                   /* NULL: the thread had one */
    struct bpf_pool *pools;
    struct bpf_worker *next; /* in the ticker's list */
    uint64_t seen_seq;       /* at the last tick, the ticker's */
};

struct bpf_pool {
    struct bpf_worker *worker;
    struct bpf_program *program;
    struct bpf_budget budget;
    struct bpf_run *idle; /* clean ones */
    uint32_t idle_count, running_count;
    struct bpf_pool *next, **link; /* in the worker's list */
};

/* The worker of this thread, or NULL. */
extern _Thread_local struct bpf_worker *bpf_worker_here;

void bpf_ticker_add(struct bpf_ticker *ticker, struct bpf_worker *worker);
void bpf_ticker_remove(struct bpf_ticker *ticker, struct bpf_worker *worker);
void bpf_ticker_wake(struct bpf_ticker *ticker);
/* The ticker does not touch, or no longer touches, a run that is not its worker's current one.
 * Before its memory goes. */
void bpf_ticker_let_go(struct bpf_ticker *ticker);

/* See ticker.c for why nothing more is needed. */
static inline void
bpf_worker_begin(struct bpf_worker *worker, struct bpf_run *run)
{
    uint64_t seq = atomic_load_explicit(&worker->seq, memory_order_relaxed);
    atomic_store_explicit(&worker->current, run, memory_order_relaxed);
    atomic_store_explicit(&worker->seq, seq + 1, memory_order_release);
    if (worker->ticker && atomic_load_explicit(&worker->ticker->asleep, memory_order_acquire))
        bpf_ticker_wake(worker->ticker);
}

static inline void
bpf_worker_end(struct bpf_worker *worker)
{
    uint64_t seq = atomic_load_explicit(&worker->seq, memory_order_relaxed);
    atomic_store_explicit(&worker->seq, seq + 1, memory_order_release);
}

/* From a run to its callee, and back. For the ticker they are one. */
static inline void
bpf_worker_turn_to(struct bpf_worker *worker, struct bpf_run *run)
{
    atomic_store_explicit(&worker->current, run, memory_order_release);
}

/* A clean slot of the pool, or NULL; and back, when the run has ended and was cleaned. */
struct bpf_run *bpf_pool_acquire(struct bpf_pool *pool);
void bpf_pool_release(struct bpf_pool *pool, struct bpf_run *run);

/* budget.c: at the begin of a run; before it goes on. */
void bpf_budget_start(struct bpf_run *run);
void bpf_budget_go_on(struct bpf_run *run);
/* When it has ended, or is about to leave: the time until now, if it is measured. */
void bpf_budget_count(struct bpf_run *run);
/* On the native stack of the caller, when its callee has left or ended and was counted. */
void bpf_budget_count_callee(struct bpf_run *run, const struct bpf_run *callee);
/* On its native stack, after it has waited or its callee has left or ended: pauses it, or ends it,
 * if so much was used. */
void bpf_budget_settle(struct bpf_run *run);

/* run.c: on its native stack: back to where it was entered from, until it goes on. */
void bpf_run_leave(struct bpf_run *run, enum bpf_outcome outcome);

/* trap.c: on its native stack. */
_Noreturn void bpf_run_trap_cpu(struct bpf_run *run);

#endif
