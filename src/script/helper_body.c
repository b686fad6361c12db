/* Helpers for the request's body. */
#include "script/helpers.h"
#include "script/task.h"
#include "script/wait.h"

/* What a script waits for is the request's own, and needs no undoing: the session goes on reading
 * until the body has ended, or the request. */
static void
cancel_body_wait(struct script_wait *wait)
{
}

static struct script_wait body_wait = {.cancel = cancel_body_wait};

static void
body_is_over(struct req *req)
{
    struct script_task *task = req->filter_state;
    if (task && task->wait == &body_wait)
        script_wait_done(task);
}

static uint64_t
body_max(const struct script_task *task)
{
    uint64_t max = task->worker->shared->config.body_max;
    const struct script_request *request = &task->request;
    return request->has_body_limit && request->body_limit < max ? request->body_limit : max;
}

bool
script_request_body(struct script_frame *frame, struct str *body)
{
    struct req *req = frame->task->req;
    script_want_request(frame, "the request's body");
    if (req_want_input(req, body_max(frame->task), body_is_over))
        script_wait(frame, &body_wait);
    const struct req_input *input = &req->input;
    if (!input->ended || input->too_large)
        return false;
    *body = buf_str(&input->bytes);
    return true;
}

/* In a hook the answer is made already, and the body may have been thrown away. */
static bool
read_body(struct bpf_run *run, struct str *body)
{
    struct script_frame *frame = script_frame_of(run);
    return frame->task->phase == SCRIPT_REQUEST && script_request_body(frame, body);
}

SCRIPT_HELPER(zs_req_body_json)
{
    struct str body;
    if (!read_body(run, &body) || body.len == 0)
        return (uint64_t)-1;
    return (uint64_t)script_json_parse(script_frame_of(run), body);
}

SCRIPT_HELPER(zs_req_body)
{
    struct str body;
    if (!read_body(run, &body))
        return (uint64_t)-1;
    /* Not before it is there: a view does not outlive a wait. */
    char *out = bpf_view_writable(run, r1, r2);
    size_t len = body.len < r2 ? body.len : (size_t)r2;
    if (len)
        memcpy(out, body.ptr, len);
    return body.len;
}

SCRIPT_HELPER(zs_req_body_limit)
{
    struct script_task *task = script_frame_of(run)->task;
    struct script_request *request = &task->request;
    const struct http_head *head = req_sent_head(task->req);
    if (!request->has_body_limit || r1 < request->body_limit)
        request->body_limit = r1;
    request->has_body_limit = true;
    return head->body_kind == HTTP_BODY_LENGTH && head->content_length > r1;
}
