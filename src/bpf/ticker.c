#include "bpf/worker.h"

#include "base/must.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* At each tick the ticker looks at the sequence number of each worker. Is it odd (a run goes on)
 * and the same as at the last tick, then that run has had the thread for at least a tick: its poll
 * word is set. A worker that runs many short scripts never meets this. A run and its callees are
 * one: the number stays, the innermost is told, and when that ends without having looked its
 * caller is told.
 *
 * The ticker goes to sleep after IDLE_TICKS without a change, so that a server that runs a script
 * now and then does not wake it each time. Falling asleep could miss a run that begins just then:
 *
 *     worker                            ticker
 *     seq = odd                         asleep = true
 *     if (asleep) wake                  if (no seq has changed) sleep
 *
 * On any processor both may read before the other's write is seen, unless each has a full fence
 * between its two lines; the worker's would cost more than the rest of beginning a run. Instead the
 * ticker waits for one more tick between its lines. A write is seen by others as soon as it has
 * left its processor's store buffer, which takes nanoseconds, and an interruption of the thread
 * empties it; a tick is some hundred microseconds at least (TICK_NS_MIN). So at the end of that
 * tick either the ticker sees the run, or the run began later than it said that it sleeps, saw
 * that, and woke it.
 *
 * The lock is held while the ticker looks and writes. A run whose memory goes is not current any
 * more; bpf_ticker_let_go takes the lock once, after which the ticker has no old pointer to it.
 * What can happen is that a run ends between the ticker's look and its write, and the next in the
 * same slot is told to poll: it yields once for nothing.
 */
enum { IDLE_TICKS = 8, TICK_NS_MIN = 100 * 1000, NS_PER_S = 1000 * 1000 * 1000 };

/* Whether any worker runs, or ran since the last tick, a script. */
static bool
look(struct bpf_ticker *ticker)
{
    bool active = false;
    for (struct bpf_worker *worker = ticker->workers; worker; worker = worker->next) {
        uint64_t seq = atomic_load_explicit(&worker->seq, memory_order_acquire);
        bool changed = seq != worker->seen_seq, runs = seq % 2 != 0;
        if (runs && !changed) {
            struct bpf_run *run = atomic_load_explicit(&worker->current, memory_order_acquire);
            atomic_store_explicit(&run->poll, 1, memory_order_relaxed);
        }
        active = active || changed || runs;
        worker->seen_seq = seq;
    }
    return active;
}

static void
wait_tick(struct bpf_ticker *ticker)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + ticker->tick_ns;
    until.tv_sec += (time_t)(ns / NS_PER_S);
    until.tv_nsec = (long)(ns % NS_PER_S);
    pthread_cond_timedwait(&ticker->woken, &ticker->lock, &until);
}

static void *
ticker_main(void *arg)
{
    struct bpf_ticker *ticker = arg;
    unsigned idle = 0;
    pthread_mutex_lock(&ticker->lock);
    while (!ticker->stop) {
        bool drowsy = idle >= IDLE_TICKS;
        atomic_store(&ticker->asleep, drowsy);
        wait_tick(ticker);
        if (look(ticker)) {
            idle = 0;
            continue;
        }
        idle++;
        while (drowsy && !ticker->stop && atomic_load(&ticker->asleep)) {
            pthread_cond_wait(&ticker->woken, &ticker->lock);
            idle = 0;
        }
    }
    pthread_mutex_unlock(&ticker->lock);
    return NULL;
}

void
bpf_ticker_wake(struct bpf_ticker *ticker)
{
    pthread_mutex_lock(&ticker->lock);
    atomic_store(&ticker->asleep, false);
    pthread_cond_signal(&ticker->woken);
    pthread_mutex_unlock(&ticker->lock);
}

void
bpf_ticker_let_go(struct bpf_ticker *ticker)
{
    pthread_mutex_lock(&ticker->lock);
    pthread_mutex_unlock(&ticker->lock);
}

void
bpf_ticker_add(struct bpf_ticker *ticker, struct bpf_worker *worker)
{
    pthread_mutex_lock(&ticker->lock);
    worker->next = ticker->workers;
    ticker->workers = worker;
    pthread_mutex_unlock(&ticker->lock);
}

void
bpf_ticker_remove(struct bpf_ticker *ticker, struct bpf_worker *worker)
{
    pthread_mutex_lock(&ticker->lock);
    struct bpf_worker **link = &ticker->workers;
    while (*link != worker)
        link = &(*link)->next;
    *link = worker->next;
    pthread_mutex_unlock(&ticker->lock);
}

/* --- life --- */

static void
init_lock(struct bpf_ticker *ticker)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&ticker->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ticker->woken, &attr);
    pthread_condattr_destroy(&attr);
}

static void
deinit(struct bpf_ticker *ticker)
{
    pthread_cond_destroy(&ticker->woken);
    pthread_mutex_destroy(&ticker->lock);
    free(ticker);
}

/* Signals are for other threads. */
static int
start_thread(struct bpf_ticker *ticker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&ticker->thread, NULL, ticker_main, ticker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int
bpf_ticker_new(struct bpf_ticker **out, uint64_t tick_ns, struct error *error)
{
    struct bpf_ticker *ticker = aligned_alloc(BPF_SHARED_ALIGN, sizeof *ticker);
    if (!ticker)
        return error_set(error, "no memory for the ticker of scripts");
    *ticker = (struct bpf_ticker){
        .tick_ns = tick_ns < TICK_NS_MIN ? TICK_NS_MIN : tick_ns,
    };
    init_lock(ticker);
    int code = start_thread(ticker);
    if (code) {
        deinit(ticker);
        return error_set_errno(error, code, "cannot start the ticker of scripts");
    }
    *out = ticker;
    return 0;
}

void
bpf_ticker_free(struct bpf_ticker *ticker)
{
    if (!ticker)
        return;
    must(!ticker->workers);
    pthread_mutex_lock(&ticker->lock);
    ticker->stop = true;
    pthread_cond_signal(&ticker->woken);
    pthread_mutex_unlock(&ticker->lock);
    pthread_join(ticker->thread, NULL);
    deinit(ticker);
}
