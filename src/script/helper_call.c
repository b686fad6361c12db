/* zs_call: a script calls a function of another one, or of itself.
 *
 * The callee runs upon its caller, as one nest (bpf_run_nested): when it waits, all of the nest
 * does. Argument and result are copied, so that neither sees the other's handles; request, metadata
 * and hooks are the request's. An answer that the callee gives is its own: it is dropped when the
 * callee is done, unless its result asks for it to be told to the caller as data.
 */
#include "base/limits.h"
#include "script/helpers.h"
#include "script/task.h"

/* Appends a JSON string. */
static void
write_string(struct buf *out, struct str s)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < ' ')
            buf_printf(out, "\\u%04x", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append_char(out, '"');
}

static void
write_response(struct buf *out, const struct script_answer *answer)
{
    buf_printf(out, "{\"action\":\"respond\",\"status\":%u,\"body\":", answer->status);
    write_string(out, buf_str(&answer->body));
    buf_append(out, STR(",\"headers\":{"));
    for (uint32_t i = 0; i < answer->fields.count; i++) {
        if (i)
            buf_append_char(out, ',');
        write_string(out, script_fields_name(&answer->fields, i));
        buf_append_char(out, ':');
        write_string(out, script_fields_value(&answer->fields, i));
    }
    buf_append(out, STR("}}"));
}

/* What the callee has answered, as JSON text. False: nothing. */
static bool
write_answer(struct buf *out, const struct script_answer *answer)
{
    if (answer->aborts) {
        buf_append(out, STR("{\"action\":\"abort\"}"));
    } else if (answer->has_response) {
        write_response(out, answer);
    } else if (answer->has_proxy) {
        buf_append(out, STR("{\"action\":\"proxy\",\"url\":"));
        write_string(out, buf_str(&answer->proxy_url));
        buf_append_char(out, '}');
    } else {
        return false;
    }
    return true;
}

/* The result of a callee that is done, as a handle of its caller. Its frame is still there, and the
 * caller's is the innermost again, so that what traps traps in the caller. */
static int64_t
take_result(struct script_frame *caller, struct script_frame *callee,
            const struct script_answer *answer)
{
    int64_t result = (int64_t)bpf_run_result(callee->run);
    struct buf *text = &caller->task->worker->scratch;
    if (result <= 0 || !script_json_has(callee, (uint64_t)result))
        return -1;
    if (!script_json_member_is(callee, (uint64_t)result, STR("action"), STR("adopt_response")))
        return script_json_copy(caller, callee, (uint64_t)result);
    buf_clear(text);
    if (!write_answer(text, answer) || buf_overflowed(text))
        return -1;
    return script_json_parse(caller, buf_str(text));
}

/* Begins a callee, whose argument is a copy of the caller's. NULL: it cannot be called. */
static struct script_frame *
begin(struct script_frame *caller, const struct script *script, int64_t entry, uint64_t argument)
{
    struct script_task *task = caller->task;
    struct script_frame *callee = script_frame_new(task, script, entry, caller);
    if (!callee)
        bpf_trap(caller->run, "zs_call: no memory, or too many scripts run at a time");
    /* From here on the task owns it. What traps now traps in the caller, who is running. */
    callee->callers_answer = task->answer;
    task->answer = (struct script_answer){0};
    task->frame = callee;
    return callee;
}

SCRIPT_HELPER(zs_call)
{
    struct script_frame *caller = script_frame_of(run);
    struct script_task *task = caller->task;
    struct str name = script_trimmed(run, r1, r2, "zs_call: the script's name");
    struct str func = script_trimmed(run, r3, r4, "zs_call: the function's name");
    const struct script *script =
        name.len ? script_set_find(task->view->set, name) : caller->script;
    int64_t entry = script ? script_call_entry(script, func) : -1;
    if (!script_json_has(caller, r5))
        bpf_trap(run, "zs_call: %llu is no handle", (unsigned long long)r5);
    if (entry < 0 || caller->depth + 1 >= SCRIPT_CALL_DEPTH_MAX)
        return (uint64_t)-1;
    struct script_frame *callee = begin(caller, script, entry, r5);
    int64_t argument = script_json_copy(callee, caller, r5);
    if (!script_frame_set_argument(callee, argument))
        bpf_trap(run, "zs_call: no memory");
    task->running = callee;
    enum bpf_outcome outcome = bpf_run_nested(run, callee->run);
    task->running = caller;
    int64_t result = -1;
    if (outcome == BPF_TRAPPED)
        script_frame_trapped(callee);
    else
        result = take_result(caller, callee, &task->answer);
    script_task_unwind(task, caller);
    return (uint64_t)result;
}
