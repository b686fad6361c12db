/* The way of a request through its scripts.
 *
 *     request phase:  script 0, script 1, ... -> the answer they want, or the action
 *     response phase: metadata headers, hook 0, hook 1, ..., metadata headers -> out
 *
 * One function, go, drives both: it begins the next script or hook when none runs, lets it run, and
 * looks at how it stopped. When it has to wait, the request waits, and script_task_go_on comes back
 * to the same place. A request that ends while it waits closes its body, which is ours then.
 */
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "script/wait.h"

enum { TRAP_TEXT_MAX = 700 };

/* --- waiting --- */

/* The helper that waits, or whose wait is done but that has not gone on, never will. */
static void
drop_wait(struct script_task *task)
{
    struct script_wait *wait = task->wait;
    task->wait = NULL;
    if (wait)
        wait->cancel(wait);
}

/* What runs and waits is dropped. */
static void
cancel(struct script_task *task)
{
    drop_wait(task);
    timer_clear(loop_timers(task->worker->loop), &task->timer);
    script_task_unwind(task, NULL);
}

static enum body_result
waiting_pull(struct body *body, struct body_piece *piece)
{
    return BODY_PENDING;
}

static void
waiting_close(struct body *body)
{
    struct script_task *task = body->arg;
    task->is_waiting = false;
    cancel(task);
}

/* Nobody is there any more who would get the answer. */
static void
waiting_left(struct body *body)
{
    struct script_task *task = body->arg;
    cancel(task);
    task->is_over = true;
    script_task_make_ready(task);
}

static const struct body_ops waiting_ops = {
    .pull = waiting_pull,
    .close = waiting_close,
    .left = waiting_left,
};

static enum req_step
fail(struct script_task *task)
{
    script_task_unwind(task, NULL);
    task->has_failed = true;
    req_respond_error(task->req, 500);
    return REQ_OUT;
}

static void
stop_waiting(struct script_task *task)
{
    task->is_waiting = false;
    body_move(&task->req->body, &task->held);
}

static enum req_step
start_waiting(struct script_task *task)
{
    struct req *req = task->req;
    body_move(&task->held, &req->body);
    task->is_waiting = true;
    if (task->has_waited) { /* the head is kept already */
        req->body.ops = &waiting_ops;
        req->body.arg = task;
        req->waits = true;
        return REQ_WAITS;
    }
    task->has_waited = true;
    if (req_wait(req, &waiting_ops, task))
        return REQ_WAITS;
    stop_waiting(task);
    return fail(task);
}

void
script_wait(struct script_frame *frame, struct script_wait *wait)
{
    must(!frame->task->wait);
    frame->task->wait = wait;
    bpf_wait(frame->run);
    frame->task->wait = NULL;
}

void
script_wait_done(struct script_task *task)
{
    script_task_make_ready(task);
}

/* --- one script --- */

static void
count_trap(struct script_task *task, const struct script_frame *frame)
{
    char text[TRAP_TEXT_MAX];
    enum bpf_trap_kind kind = bpf_run_trap(frame->run).kind;
    atomic_fetch_add_explicit(&frame->script->counters->traps[kind], 1, memory_order_relaxed);
    bpf_run_describe_trap(frame->run, text, sizeof text);
    log_error("script %.*s %s", STR_ARG(frame->script->name), text);
}

/* A run has ended by a trap; its callees, which may still be there, go with it. */
void
script_frame_trapped(struct script_frame *frame)
{
    struct script_task *task = frame->task;
    drop_wait(task);
    script_task_unwind(task, frame);
    count_trap(task, frame);
}

static bool
start(struct script_task *task, const struct script *script, int64_t entry)
{
    task->root = task->frame = task->running = script_frame_new(task, script, entry, NULL);
    if (!task->root)
        log_error("script %.*s: no memory, or too many scripts run at a time",
                  STR_ARG(script->name));
    return task->root;
}

/* The script that runs goes on. False: it waits. */
static bool
run(struct script_task *task, enum bpf_outcome *outcome)
{
    struct script_counters *counters = task->root->script->counters;
    *outcome = bpf_run_go(task->root->run);
    switch (*outcome) {
    case BPF_DONE:
        return true;
    case BPF_TRAPPED:
        script_frame_trapped(task->root);
        return true;
    case BPF_YIELDED:
        atomic_fetch_add_explicit(&counters->yields, 1, memory_order_relaxed);
        script_task_make_ready(task);
        return false;
    case BPF_THROTTLED:
        atomic_fetch_add_explicit(&counters->throttles, 1, memory_order_relaxed);
        timer_set(loop_timers(task->worker->loop), &task->timer,
                  loop_now_ns(task->worker->loop) + SCRIPT_PAUSE_MS * (uint64_t)1000000);
        return false;
    case BPF_WAITING:
        return false;
    }
    return false;
}

/* --- the request phase --- */

static enum req_step
respond_trap(struct script_task *task)
{
    struct req *req = task->req;
    task->has_failed = true;
    req->response = (struct response){.status = 500};
    req_add_block(req, STR("Content-Length: 0\r\nX-Content-Type-Options: nosniff\r\n"
                           "Cache-Control: no-store\r\n"));
    return REQ_RESPONDED;
}

/* Everything that scripts have said about the request becomes true. */
static enum req_step
end_chain(struct script_task *task)
{
    struct req *req = task->req;
    if (task->answer.aborts) {
        req->aborted = true;
        return REQ_OUT;
    }
    if (!script_request_commit(task))
        return fail(task);
    if (script_answer_apply(task))
        return REQ_RESPONDED;
    /* Hooks may begin the request anew. */
    if (req->input.state != REQ_INPUT_UNWANTED && task->hooks.count == 0)
        req_drop_input(req);
    return REQ_ACT;
}

static bool
has_decided(const struct script_answer *answer)
{
    return answer->aborts || answer->has_response || answer->has_proxy || answer->has_file;
}

static enum req_step
go_request(struct script_task *task)
{
    const struct script_set *set = task->view->set;
    for (;;) {
        enum bpf_outcome outcome;
        while (!task->root && task->position < set->count) {
            const struct script *script = &set->list[task->position++];
            if (script->request_entry >= 0 && !start(task, script, script->request_entry))
                return respond_trap(task);
        }
        if (!task->root)
            return end_chain(task);
        if (!run(task, &outcome))
            return start_waiting(task);
        script_task_unwind(task, NULL);
        if (outcome == BPF_TRAPPED)
            return respond_trap(task);
        if (has_decided(&task->answer))
            return end_chain(task);
    }
}

/* --- the response phase --- */

/* A hook gets its argument as a handle of its own. False: it cannot be run. */
static bool
start_hook(struct script_task *task)
{
    const struct script_hook *hook = &task->hooks.list[task->hooks.next];
    struct str argument = str_make(task->hooks.text.ptr + hook->argument_off, hook->argument_len);
    script_response_save(task);
    if (!start(task, hook->script, hook->entry))
        return false;
    int64_t handle = script_json_try_parse(task->root, argument);
    if (handle < 0 || !script_frame_set_argument(task->root, handle)) {
        log_error("script %.*s: a hook's argument needs too much memory",
                  STR_ARG(hook->script->name));
        script_task_unwind(task, NULL);
        return false;
    }
    return true;
}

/* The chain begins anew, with the request and the metadata as they are. */
static enum req_step
restart(struct script_task *task)
{
    struct req *req = task->req;
    if (task->restart_count++ == SCRIPT_RESTARTS_MAX) {
        log_error("scripts began a request anew more than %d times", SCRIPT_RESTARTS_MAX);
        return fail(task);
    }
    body_close(&req->body);
    req->response = (struct response){0};
    script_answer_clear(&task->answer);
    script_hooks_clear(&task->hooks);
    script_response_clear(&task->response);
    task->restarts = false;
    task->position = 0;
    task->phase = SCRIPT_REQUEST;
    return go_request(task);
}

/* The hook that ran is over. */
static void
end_hook(struct script_task *task, bool failed)
{
    task->hooks.next++;
    if (failed)
        script_response_restore(task);
}

static enum req_step
go_response(struct script_task *task)
{
    struct req *req = task->req;
    while (task->hooks.next < task->hooks.count) {
        enum bpf_outcome outcome;
        if (!task->root && !start_hook(task)) {
            end_hook(task, true);
            continue;
        }
        if (!run(task, &outcome))
            return start_waiting(task);
        bool failed = outcome == BPF_TRAPPED || (int64_t)bpf_run_result(task->root->run) < 0;
        script_task_unwind(task, NULL);
        end_hook(task, failed);
        if (task->answer.aborts) {
            req->aborted = true;
            return REQ_OUT;
        }
        if (task->restarts && !failed)
            return restart(task);
        task->restarts = false;
    }
    script_response_commit(task);
    if (task->hooks.count)
        script_response_apply_meta(task);
    return REQ_OUT;
}

/* --- what the pipeline calls --- */

static enum req_step
filter_request(struct req *req, void *arg)
{
    struct script_view *view = req->pin->filter;
    struct script_task *task = script_task_new(arg, view, req);
    if (!task) {
        req_respond_error(req, 500);
        return REQ_OUT;
    }
    req->filter_state = task;
    if (view->set->reads_body && req->head.body_kind != HTTP_BODY_NONE)
        req_hold_input(req, task->worker->shared->config.body_max);
    return go_request(task);
}

static enum req_step
filter_response(struct req *req, void *arg)
{
    struct script_task *task = req->filter_state;
    task->phase = SCRIPT_RESPONSE;
    task->hooks.next = 0;
    script_response_apply_meta(task);
    return task->hooks.count ? go_response(task) : REQ_OUT;
}

static void
filter_end(struct req *req, void *arg)
{
    struct script_task *task = req->filter_state;
    req->filter_state = NULL;
    must(!task->is_waiting);
    body_close(&task->held);
    script_task_free(task);
}

const struct req_filter_ops script_filter_ops = {
    .request = filter_request,
    .response = filter_response,
    .end = filter_end,
    .lookup = script_answer_lookup,
};

/* The turn of a task that waited. */
void
script_task_go_on(struct script_task *task)
{
    struct req *req = task->req;
    enum req_step step = REQ_OUT;
    stop_waiting(task);
    if (task->is_over)
        req->aborted = true;
    else
        step = task->phase == SCRIPT_REQUEST ? go_request(task) : go_response(task);
    req_resume(req, step);
}
