/* A thread's scripts: pools, frames, tasks, and who goes on in which turn of the loop.
 *
 * A task that has used up its slice goes to the end of the ready list. One turn of the loop runs
 * tasks of that list for no longer than about one slice, so that thousands of slow scripts cost
 * everybody else a slice a turn, and not thousands of slices. Requests that have just come do not
 * queue up behind them: they begin when their head is decoded.
 */
#include "base/limits.h"
#include "base/must.h"
#include "script/json_cache.h"
#include "script/rewrite.h"
#include "script/task.h"

#include <stdlib.h>

#define MS ((uint64_t)1000000)

/* A turn begins no other task when a slice divided by this is over: when one had a slice, that is.
 */
enum { TURN_PARTS = 4 };

/* --- ready tasks --- */

static void
unlink_ready(struct script_task *task)
{
    if (!task->link)
        return;
    *task->link = task->next;
    if (task->next)
        task->next->link = task->link;
    else
        task->worker->ready_end = task->link;
    task->link = NULL;
    task->next = NULL;
}

static void
post_turn(struct script_worker *worker)
{
    if (worker->turn_posted)
        return;
    worker->turn_posted = true;
    loop_post(worker->loop, &worker->turn_post);
}

void
script_task_make_ready(struct script_task *task)
{
    struct script_worker *worker = task->worker;
    if (task->link)
        return;
    task->next = NULL;
    task->link = worker->ready_end;
    *worker->ready_end = task;
    worker->ready_end = &task->next;
    post_turn(worker);
}

static void
run_turn(struct loop_post *post)
{
    struct script_worker *worker =
        (struct script_worker *)((char *)post - offsetof(struct script_worker, turn_post));
    uint64_t end_ns = loop_clock_ns() + worker->shared->config.slice_ns / TURN_PARTS;
    worker->turn_posted = false;
    struct script_task **last = worker->ready_end; /* those that become ready now come later */
    while (worker->ready) {
        struct script_task *task = worker->ready;
        bool is_last = &task->next == last;
        unlink_ready(task);
        script_task_go_on(task);
        if (is_last || loop_clock_ns() >= end_ns)
            break;
    }
    if (worker->ready)
        post_turn(worker);
}

/* --- frames --- */

static struct bpf_pool *
pool_of(struct script_view *view, const struct script *script)
{
    struct bpf_pool **pool = &view->pools[script->index];
    const struct bpf_budget budget = {
        .throttle_ns = SCRIPT_THROTTLE_MS * MS,
        .pause_ns = SCRIPT_PAUSE_MS * MS,
        .cpu_limit_ns = view->worker->shared->config.cpu_limit_ns,
    };
    struct error error;
    if (!*pool && bpf_pool_new(pool, view->worker->bpf, script->program, &budget, &error) != 0)
        *pool = NULL;
    return *pool;
}

static struct script_frame *
acquire_frame(struct script_worker *worker)
{
    struct script_frame *frame = worker->free_frames;
    if (!frame)
        return calloc(1, sizeof *frame);
    worker->free_frames = frame->caller;
    worker->free_frame_count--;
    return frame;
}

static void
release_frame(struct script_worker *worker, struct script_frame *frame)
{
    if (worker->free_frame_count == SCRIPT_TASKS_KEPT) {
        free(frame);
        return;
    }
    memset(frame, 0, offsetof(struct script_frame, log));
    frame->caller = worker->free_frames;
    worker->free_frames = frame;
    worker->free_frame_count++;
}

struct script_frame *
script_frame_new(struct script_task *task, const struct script *script, int64_t entry,
                 struct script_frame *caller)
{
    struct bpf_pool *pool = pool_of(task->view, script);
    struct script_frame *frame = pool ? acquire_frame(task->worker) : NULL;
    if (!frame)
        return NULL;
    frame->run = bpf_run_new(pool, (uint32_t)entry, frame);
    if (!frame->run) {
        release_frame(task->worker, frame);
        return NULL;
    }
    frame->task = task;
    frame->script = script;
    frame->caller = caller;
    frame->depth = caller ? caller->depth + 1 : 0;
    return frame;
}

bool
script_frame_set_argument(struct script_frame *frame, int64_t handle)
{
    void *memory = bpf_run_args(frame->run, sizeof handle);
    if (!memory)
        return false;
    memcpy(memory, &handle, sizeof handle);
    bpf_run_set_args(frame->run, (uint64_t[]){BPF_ARGS}, 1);
    return true;
}

void
script_frame_free(struct script_frame *frame)
{
    struct script_counters *counters = frame->script->counters;
    uint64_t cpu_ns = bpf_run_cpu_ns(frame->run);
    atomic_fetch_add_explicit(&counters->runs, 1, memory_order_relaxed);
    if (cpu_ns)
        atomic_fetch_add_explicit(&counters->cpu_ns, cpu_ns, memory_order_relaxed);
    if (frame->log_len)
        script_log_flush(frame);
    script_json_deinit(&frame->json);
    bpf_run_free(frame->run);
    release_frame(frame->task->worker, frame);
}

void
script_task_unwind(struct script_task *task, struct script_frame *caller)
{
    while (task->frame != caller) {
        struct script_frame *frame = task->frame;
        task->frame = task->running = frame->caller;
        if (frame->caller) {
            script_answer_deinit(&task->answer);
            task->answer = frame->callers_answer;
        } else {
            task->root = NULL;
        }
        script_frame_free(frame);
    }
}

/* --- tasks --- */

static void
timer_fired(struct timer *timer)
{
    struct script_task *task =
        (struct script_task *)((char *)timer - offsetof(struct script_task, timer));
    script_task_go_on(task);
}

struct script_task *
script_task_new(struct script_worker *worker, struct script_view *view, struct req *req)
{
    struct script_task *task = worker->free_tasks;
    if (task) {
        worker->free_tasks = task->next;
        worker->free_task_count--;
        task->next = NULL;
    } else {
        task = calloc(1, sizeof *task);
        if (!task)
            return NULL;
        timer_init(&task->timer, timer_fired);
        task->worker = worker;
    }
    task->view = view;
    task->req = req;
    task->request.body_limit = UINT64_MAX;
    return task;
}

/* Gives all memory back. */
static void
destroy_task(struct script_task *task)
{
    script_request_deinit(&task->request);
    script_meta_deinit(&task->meta);
    script_answer_deinit(&task->answer);
    script_hooks_deinit(&task->hooks);
    script_response_deinit(&task->response);
    free(task);
}

void
script_task_free(struct script_task *task)
{
    struct script_worker *worker = task->worker;
    must(!task->is_waiting && !task->root && !task->wait && !task->held.ops);
    unlink_ready(task);
    timer_clear(loop_timers(worker->loop), &task->timer);
    if (worker->free_task_count == SCRIPT_TASKS_KEPT) {
        destroy_task(task);
        return;
    }
    script_request_clear(&task->request);
    script_meta_clear(&task->meta);
    script_answer_clear(&task->answer);
    script_hooks_clear(&task->hooks);
    script_response_clear(&task->response);
    task->req = NULL;
    task->view = NULL;
    task->phase = SCRIPT_REQUEST;
    task->has_waited = task->is_over = task->restarts = task->has_failed = false;
    task->restart_count = 0;
    task->position = 0;
    task->next = worker->free_tasks;
    worker->free_tasks = task;
    worker->free_task_count++;
}

/* --- worker and view --- */

int
script_worker_new(struct script_worker **out, struct script_shared *shared, struct loop *loop,
                  struct error *error)
{
    struct script_worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return error_set(error, "no memory for scripts");
    if (bpf_worker_new(&worker->bpf, shared->ticker, error) != 0) {
        free(worker);
        return -1;
    }
    worker->shared = shared;
    worker->loop = loop;
    worker->ready_end = &worker->ready;
    worker->turn_post.run = run_turn;
    buf_init(&worker->scratch, SCRIPT_SCRATCH_MAX);
    *out = worker;
    return 0;
}

void
script_worker_free(struct script_worker *worker)
{
    if (!worker)
        return;
    must(!worker->ready);
    while (worker->free_tasks) {
        struct script_task *task = worker->free_tasks;
        worker->free_tasks = task->next;
        destroy_task(task);
    }
    while (worker->free_frames) {
        struct script_frame *frame = worker->free_frames;
        worker->free_frames = frame->caller;
        free(frame);
    }
    buf_deinit(&worker->scratch);
    rewrite_free(worker->rewrite);
    bpf_worker_free(worker->bpf);
    free(worker);
}

void
script_worker_set_upstream(struct script_worker *worker, struct upstream_pool *pool)
{
    worker->upstream = pool;
}

struct script_view *
script_view_new(struct script_worker *worker, struct script_set *set)
{
    struct script_view *view = calloc(1, sizeof *view + set->count * sizeof view->pools[0]);
    if (!view)
        return NULL;
    view->worker = worker;
    view->set = script_set_ref(set);
    return view;
}

void
script_view_free(struct script_view *view)
{
    if (!view)
        return;
    for (unsigned i = 0; i < view->set->count; i++)
        if (view->pools[i])
            bpf_pool_free(view->pools[i]);
    json_cache_free(view->json_cache);
    script_set_unref(view->set);
    free(view);
}
