/* Helpers that rewrite the request's target. */
#include "script/helpers.h"
#include "script/rewrite.h"
#include "script/task.h"

/* Sets the target to what was made. */
static void
set_target(struct script_frame *frame, struct str path, bool has_query, struct str query,
           const char *helper)
{
    struct buf *target = &frame->task->worker->scratch;
    buf_clear(target);
    buf_append(target, path);
    if (has_query)
        buf_append_char(target, '?');
    buf_append(target, query);
    if (buf_overflowed(target))
        bpf_trap(frame->run, "%s: no memory", helper);
    /* A fragment would be cut off quietly: a script that makes one has made a mistake. */
    if (str_find_char(buf_str(target), '#') < target->len)
        bpf_trap(frame->run, "%s: the target would have a '#'", helper);
    script_request_set_target(frame, buf_str(target), helper);
}

SCRIPT_HELPER(zs_req_rewrite_uri)
{
    static const char helper[] = "zs_req_rewrite_uri";
    struct script_frame *frame = script_frame_of(run);
    struct str changes = script_text(run, r1, r2, "zs_req_rewrite_uri: JSON");
    const struct target *parts = script_request_parts(frame->task);
    struct rewrite *rewrite = script_rewrite(frame);
    struct error error;
    if (rewrite_uri(rewrite, changes, parts->path, parts->query, &error) < 0)
        bpf_trap(run, "%s: %s", helper, error.text);
    set_target(frame, buf_str(&rewrite->path), rewrite->query.len > 0, buf_str(&rewrite->query),
               helper);
    return 0;
}

SCRIPT_HELPER(zs_req_rewrite_query)
{
    static const char helper[] = "zs_req_rewrite_query";
    struct script_frame *frame = script_frame_of(run);
    struct str changes = script_text(run, r1, r2, "zs_req_rewrite_query: JSON");
    const struct target *parts = script_request_parts(frame->task);
    struct rewrite *rewrite = script_rewrite(frame);
    struct error error;
    if (rewrite_query(rewrite, changes, parts->query, &error) < 0)
        bpf_trap(run, "%s: %s", helper, error.text);
    set_target(frame, parts->path, rewrite->query.len > 0, buf_str(&rewrite->query), helper);
    return 0;
}
