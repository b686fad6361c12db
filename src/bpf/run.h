/* run: one execution of a program, from its start to its end, with waits and pauses between.
 *
 * A run lives in a slot: the cage with its stack and data, and a native stack on which translated
 * code, the interpreter and helpers run. bpf_run_go switches to that stack and comes back when the
 * script has ended, has used up its slice, or waits. Slots are kept in a pool, one for each
 * program and thread; nothing of an earlier run is visible in a later one.
 *
 * A helper may run another script in the middle of its own: a nest of runs (bpf_run_nested). The
 * nest goes on, pauses and waits as a whole; who runs the outermost need not know of the others.
 *
 * Threads: a pool, its runs, and the worker they belong to are one thread's. The ticker is shared.
 * A helper may make, call, look at and free other runs; bpf_run_go is not for helpers, nor is
 * freeing the run that has called it, or one that this is nested in.
 */
#ifndef TARN_BPF_RUN_H
#define TARN_BPF_RUN_H

#include "bpf/program.h"

/* The thread that tells long scripts so: asleep while none runs. One for a process. */
struct bpf_ticker;
int bpf_ticker_new(struct bpf_ticker **out, uint64_t tick_ns, struct error *error) MUST_USE;
void bpf_ticker_free(struct bpf_ticker *ticker); /* when no worker is left */

/* A thread that runs scripts. Made on that thread: it gives the thread a stack for the fault
 * handler. `ticker` NULL: nothing ever interrupts a script (tools and tests with fuel). */
struct bpf_worker;
int bpf_worker_new(struct bpf_worker **out, struct bpf_ticker *ticker,
                   struct error *error) MUST_USE;
void bpf_worker_free(struct bpf_worker *worker); /* on its thread, when no pool is left */

struct bpf_budget {
    uint64_t throttle_ns;  /* CPU time after which it pauses, and again after as much; 0: never */
    uint64_t pause_ns;     /* for so long */
    uint64_t cpu_limit_ns; /* CPU time in all after which it is stopped; 0: never */
    uint64_t fuel;         /* polls after which it is stopped, for tests; 0: no such limit */
};

struct bpf_pool;
int bpf_pool_new(struct bpf_pool **out, struct bpf_worker *worker, struct bpf_program *program,
                 const struct bpf_budget *budget, struct error *error) MUST_USE;
void bpf_pool_free(struct bpf_pool *pool); /* when no run is left */

struct bpf_run;

enum bpf_outcome {
    BPF_DONE,      /* bpf_run_result */
    BPF_YIELDED,   /* used up its slice: go on when others had their turn */
    BPF_THROTTLED, /* used up its share: go on not before budget.pause_ns have passed */
    BPF_WAITING,   /* a helper called bpf_wait: go on when what it waits for is there */
    BPF_TRAPPED,   /* bpf_run_trap */
};

/* A run that has not begun, at the first instruction `entry` (of bpf_program_entry). NULL: no
 * memory or too many runs (BPF_SLOTS_MAX in the process). `user` is what helpers get by bpf_user.
 */
struct bpf_run *bpf_run_new(struct bpf_pool *pool, uint32_t entry, void *user);
/* Before it begins: r1 to r5, 0 otherwise. */
void bpf_run_set_args(struct bpf_run *run, const uint64_t *args, unsigned count);
/* Memory at the address BPF_ARGS of the script; `len` at most BPF_ARGS_LEN. To be filled before it
 * begins and read after it ended. NULL: no memory (in a slot that has not had it before). */
void *bpf_run_args(struct bpf_run *run, uint32_t len);
/* Begins or goes on. Not after DONE or TRAPPED. Not a callee (bpf_run_nested). */
enum bpf_outcome bpf_run_go(struct bpf_run *run);
/* From a helper of `run`, on its native stack: runs `callee`, which has not begun and is of any
 * pool of the same worker, to its end: DONE or TRAPPED, of which `run` notices nothing else. When
 * the callee yields, pauses or waits, `run` and all runs around it do: bpf_run_go of the outermost
 * returns that, and goes on with the innermost when it is called again.
 *
 * What a callee uses is the time of all runs around it, too. So `run` itself may be stopped by its
 * limit in here, which does not return then, as bpf_trap does not; and it may be freed while the
 * callee waits. The callee stays the helper's user's in all cases, who frees it: before or after
 * its caller, but not while that can still go on with it. */
enum bpf_outcome bpf_run_nested(struct bpf_run *run, struct bpf_run *callee);
uint64_t bpf_run_result(const struct bpf_run *run);
/* CPU time so far, that of its callees included, about: a tick for what it had before its first
 * poll, exact from then on, or from its eighth wait on; 0 for one that needed neither. */
uint64_t bpf_run_cpu_ns(const struct bpf_run *run);
/* Ends it in any state; the slot is clean when this returns. */
void bpf_run_free(struct bpf_run *run);

enum bpf_trap_kind {
    BPF_TRAP_ACCESS,  /* memory that is not there, or not writable */
    BPF_TRAP_CALLS,   /* more than BPF_FRAME_COUNT functions open */
    BPF_TRAP_HELPER,  /* bpf_trap */
    BPF_TRAP_CPU,     /* budget.cpu_limit_ns, or fuel */
    BPF_TRAP_UNKNOWN, /* call by register of a helper that is not there */
    BPF_TRAP_COUNT,
};

struct bpf_trap_info {
    enum bpf_trap_kind kind;
    uint32_t insn;    /* that did it */
    const char *text; /* one line, without the place; the run's */
};

struct bpf_trap_info bpf_run_trap(const struct bpf_run *run);
/* "section S failed at insn N (FILE:LINE): why", N counted from the section's start, cut at `len`.
 */
void bpf_run_describe_trap(const struct bpf_run *run, char *out, size_t len);

/* What a process has, for metrics and tests. */
struct bpf_pool_stats {
    uint32_t running_count; /* runs that were made and not freed */
    uint32_t idle_count;    /* slots that wait for one */
};
struct bpf_pool_stats bpf_pool_stats(const struct bpf_pool *pool);

#endif
