#include "bpf/worker.h"

#include "base/limits.h"
#include "base/must.h"

#include <stdlib.h>

/* Making a slot costs some ten system calls, so a pool keeps those that are free, the one used last
 * first. What all pools keep together must not starve one that needs more: when no slot can be
 * made, the free ones of this worker's other pools go; and where more than half of what a process
 * can have is in use, pools keep one only.
 */
enum { MANY = BPF_SLOTS_MAX / 2, KEPT_THEN = 1 };

static _Atomic uint32_t slot_count; /* of the process */

static void
unmap_slot(struct bpf_pool *pool, struct bpf_run *run)
{
    struct bpf_cage cage = run->cage;
    if (pool->worker->ticker)
        bpf_ticker_let_go(pool->worker->ticker);
    bpf_fiber_deinit(&run->fiber);
    bpf_cage_unmap(&cage);
    atomic_fetch_sub(&slot_count, 1);
}

static struct bpf_run *
pop_idle(struct bpf_pool *pool)
{
    struct bpf_run *run = pool->idle;
    if (run) {
        pool->idle = run->next;
        pool->idle_count--;
    }
    return run;
}

static void
drop_idle(struct bpf_pool *pool)
{
    struct bpf_run *run;
    while ((run = pop_idle(pool)))
        unmap_slot(pool, run);
}

/* Whether any was dropped. */
static bool
drop_all_idle(struct bpf_worker *worker)
{
    bool dropped = false;
    for (struct bpf_pool *pool = worker->pools; pool; pool = pool->next) {
        dropped = dropped || pool->idle;
        drop_idle(pool);
    }
    return dropped;
}

static struct bpf_run *
map_slot(struct bpf_pool *pool)
{
    const struct bpf_object *object = &pool->program->object;
    struct bpf_cage cage;
    if (bpf_cage_map(&cage, &object->layout, object->data, pool->program->image) < 0)
        return NULL;
    char *top = bpf_cage_native_stack_top(&cage);
    struct bpf_run *run = (struct bpf_run *)top;
    run->cage = cage;
    run->pool = pool;
    run->program = pool->program;
    bpf_fiber_init(&run->fiber, top - BPF_NATIVE_STACK_LEN, BPF_NATIVE_STACK_LEN);
    return run;
}

static struct bpf_run *
new_slot(struct bpf_pool *pool)
{
    struct bpf_run *run = NULL;
    if (atomic_fetch_add(&slot_count, 1) < BPF_SLOTS_MAX)
        run = map_slot(pool);
    if (!run)
        atomic_fetch_sub(&slot_count, 1);
    return run;
}

struct bpf_run *
bpf_pool_acquire(struct bpf_pool *pool)
{
    struct bpf_run *run = pop_idle(pool);
    if (__builtin_expect(!run, 0)) {
        run = new_slot(pool);
        if (!run && drop_all_idle(pool->worker))
            run = new_slot(pool);
        if (!run)
            return NULL;
    }
    pool->running_count++;
    return run;
}

void
bpf_pool_release(struct bpf_pool *pool, struct bpf_run *run)
{
    bool many = atomic_load_explicit(&slot_count, memory_order_relaxed) > MANY;
    pool->running_count--;
    if (pool->idle_count >= (many ? KEPT_THEN : BPF_SLOTS_IDLE_MAX)) {
        unmap_slot(pool, run);
        return;
    }
    run->next = pool->idle;
    pool->idle = run;
    pool->idle_count++;
}

int
bpf_pool_new(struct bpf_pool **out, struct bpf_worker *worker, struct bpf_program *program,
             const struct bpf_budget *budget, struct error *error)
{
    must(worker == bpf_worker_here);
    struct bpf_pool *pool = malloc(sizeof *pool);
    if (!pool)
        return error_set(error, "no memory for a pool of scripts");
    *pool = (struct bpf_pool){
        .worker = worker,
        .program = bpf_program_ref(program),
        .budget = *budget,
        .next = worker->pools,
        .link = &worker->pools,
    };
    if (pool->next)
        pool->next->link = &pool->next;
    worker->pools = pool;
    *out = pool;
    return 0;
}

void
bpf_pool_free(struct bpf_pool *pool)
{
    if (!pool)
        return;
    must(pool->running_count == 0 && pool->worker == bpf_worker_here);
    drop_idle(pool);
    *pool->link = pool->next;
    if (pool->next)
        pool->next->link = pool->link;
    bpf_program_unref(pool->program);
    free(pool);
}

struct bpf_pool_stats
bpf_pool_stats(const struct bpf_pool *pool)
{
    return (struct bpf_pool_stats){
        .running_count = pool->running_count,
        .idle_count = pool->idle_count,
    };
}
