/* Helpers: response hooks, and the response as hooks see and change it. */
#include "base/limits.h"
#include "script/fields_replace.h"
#include "script/helpers.h"
#include "script/response.h"
#include "script/task.h"

/* --- registering --- */

/* A hook that registers hooks would never see them run. */
SCRIPT_HELPER(zs_res_hook)
{
    struct script_frame *frame = script_frame_of(run);
    struct script_task *task = frame->task;
    struct str name = script_trimmed(run, r1, r2, "zs_res_hook: the script's name");
    struct str func = script_trimmed(run, r3, r4, "zs_res_hook: the function's name");
    if (func.len == 0)
        bpf_trap(run, "zs_res_hook: the function's name is empty");
    if (!script_json_has(frame, r5))
        bpf_trap(run, "zs_res_hook: %llu is no handle", (unsigned long long)r5);
    const struct script *script = name.len ? script_set_find(task->view->set, name) : frame->script;
    int64_t entry = script ? script_call_entry(script, func) : -1;
    if (entry < 0 || task->phase != SCRIPT_REQUEST)
        return (uint64_t)-1;
    script_json_write(frame, r5, script_hooks_text(&task->hooks));
    if (!script_hooks_add(&task->hooks, script, entry))
        bpf_trap(run, "zs_res_hook: more than %d hooks, or %d KiB of their arguments",
                 SCRIPT_HOOKS_MAX, SCRIPT_HOOK_TEXT_MAX >> 10);
    return 0;
}

/* Those that run now run on. */
SCRIPT_HELPER(zs_res_hooks_clear)
{
    struct script_task *task = script_frame_of(run)->task;
    if (task->phase == SCRIPT_REQUEST)
        script_hooks_clear(&task->hooks);
    return 0;
}

/* --- in a hook --- */

SCRIPT_HELPER(zs_res_status)
{
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, "zs_res_status");
    return frame->task->req->response.status;
}

/* 1xx would be taken for something that comes before the response. */
SCRIPT_HELPER(zs_res_set_status)
{
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, "zs_res_set_status");
    if (r1 < 200 || r1 > 999)
        bpf_trap(run, "zs_res_set_status: status is %llu, expected 200 to 999",
                 (unsigned long long)r1);
    frame->task->req->response.status = (uint16_t)r1;
    frame->task->response.status_changed = true;
    return 0;
}

SCRIPT_HELPER(zs_res_header)
{
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, "zs_res_header");
    struct str name = script_trimmed(run, r1, r2, "zs_res_header: the name");
    if (name.len == 0)
        bpf_trap(run, "zs_res_header: the name is empty");
    return script_put_text_apart(run, r3, r4, script_response_header(frame->task, name),
                                 bpf_view(run, r1, r2));
}

static void
check_name(struct bpf_run *run, const char *helper, struct str name)
{
    if (!script_field_name_is_valid(name))
        bpf_trap(run, "%s: '%.*s' is no name of a header", helper, STR_ARG(str_first(name, 100)));
    if (script_response_name_is_framing(name))
        bpf_trap(run, "%s: %.*s is the server's own", helper, STR_ARG(name));
}

static uint64_t
check_result(struct script_frame *frame, const char *helper, enum script_fields_result result)
{
    if (result == SCRIPT_FIELDS_INVALID)
        bpf_trap(frame->run, "%s: the value has control characters", helper);
    if (result == SCRIPT_FIELDS_FULL)
        bpf_trap(frame->run, "%s: more than %d fields, or %d KiB of them", helper,
                 SCRIPT_FIELD_COUNT_MAX, SCRIPT_FIELDS_MAX >> 10);
    frame->task->response.fields_changed = true;
    return 0;
}

SCRIPT_HELPER(zs_res_set_header)
{
    static const char helper[] = "zs_res_set_header";
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, helper);
    struct str name = script_trimmed(run, r1, r2, "zs_res_set_header: the name");
    struct str value = script_text(run, r3, r4, "zs_res_set_header: the value");
    check_name(run, helper, name);
    struct script_fields *fields = script_response_fields(frame, helper);
    return check_result(frame, helper, script_fields_set(fields, name, value));
}

SCRIPT_HELPER(zs_res_append_header)
{
    static const char helper[] = "zs_res_append_header";
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, helper);
    struct str name = script_trimmed(run, r1, r2, "zs_res_append_header: the name");
    struct str value = script_text(run, r3, r4, "zs_res_append_header: the value");
    check_name(run, helper, name);
    struct script_fields *fields = script_response_fields(frame, helper);
    return check_result(frame, helper, script_fields_append(fields, name, value));
}

SCRIPT_HELPER(zs_res_remove_header)
{
    static const char helper[] = "zs_res_remove_header";
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, helper);
    struct str pattern = script_trimmed(run, r1, r2, "zs_res_remove_header: the pattern");
    if (pattern.len == 0)
        bpf_trap(run, "zs_res_remove_header: the pattern is empty");
    if (script_fields_remove(script_response_fields(frame, helper), pattern))
        frame->task->response.fields_changed = true;
    return 0;
}

/* Counts as a change before it is one: should it trap half-way in a callee, what the caller sees
 * from then on is also what goes out. */
SCRIPT_HELPER(zs_res_replace_header)
{
    static const char helper[] = "zs_res_replace_header";
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, helper);
    struct str ops = script_text(run, r1, r2, "zs_res_replace_header: the JSON");
    struct script_fields *fields = script_response_fields(frame, helper);
    frame->task->response.fields_changed = true;
    (void)script_fields_replace(frame, fields, ops, helper);
    return 0;
}

SCRIPT_HELPER(zs_res_continue_request)
{
    struct script_frame *frame = script_frame_of(run);
    script_want_response(frame, "zs_res_continue_request");
    frame->task->restarts = true;
    return 0;
}
