/* Helpers for the request's method, target and query. */
#include "script/form.h"
#include "script/helpers.h"
#include "script/rewrite.h"
#include "script/task.h"

static struct script_task *
task_of(const struct bpf_run *run)
{
    return script_frame_of(run)->task;
}

/* The worker's, emptied. */
static struct buf *
scratch_of(const struct bpf_run *run)
{
    struct buf *scratch = &task_of(run)->worker->scratch;
    buf_clear(scratch);
    return scratch;
}

static void
want_room(struct bpf_run *run, const struct buf *buf, const char *helper)
{
    if (buf_overflowed(buf))
        bpf_trap(run, "%s: no memory", helper);
}

SCRIPT_HELPER(zs_req_method)
{
    return script_put_text(run, r1, r2, script_request_method(task_of(run)));
}

SCRIPT_HELPER(zs_req_set_method)
{
    struct str method = script_trimmed(run, r1, r2, "zs_req_set_method: method");
    script_request_set_method(script_frame_of(run), method, "zs_req_set_method");
    return 0;
}

/* --- target --- */

/* The path without detours, but as it is encoded. One that is its own normal form is that; others
 * are made once. */
static struct str
clean_path(struct bpf_run *run, const char *helper)
{
    struct script_task *task = task_of(run);
    struct script_request *request = &task->request;
    struct str raw = script_request_parts(task)->path, normalized = script_request_path(task);
    if (raw.ptr == normalized.ptr && raw.len == normalized.len)
        return raw;
    if (!request->clean_known) {
        request->clean.max = SCRIPT_SCRATCH_MAX; /* the head's limit is the real one */
        buf_clear(&request->clean);
        rewrite_clean_path(raw, &request->clean);
        want_room(run, &request->clean, helper);
        request->clean_known = true;
    }
    return buf_str(&request->clean);
}

SCRIPT_HELPER(zs_req_path)
{
    return script_put_text(run, r1, r2, clean_path(run, "zs_req_path"));
}

SCRIPT_HELPER(zs_req_normalized_path)
{
    struct str path = script_request_path(task_of(run));
    if (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    return script_put_text(run, r1, r2, path);
}

SCRIPT_HELPER(zs_req_uri)
{
    const struct target *parts = script_request_parts(task_of(run));
    struct str path = clean_path(run, "zs_req_uri");
    if (!parts->has_query)
        return script_put_text(run, r1, r2, path);
    /* Mostly they still stand beside each other as the client sent them. */
    if (path.ptr == parts->path.ptr && path.ptr + path.len + 1 == parts->query.ptr)
        return script_put_text(run, r1, r2, str_make(path.ptr, path.len + 1 + parts->query.len));
    struct buf *uri = scratch_of(run);
    buf_append(uri, path);
    buf_append_char(uri, '?');
    buf_append(uri, parts->query);
    want_room(run, uri, "zs_req_uri");
    return script_put_text(run, r1, r2, buf_str(uri));
}

SCRIPT_HELPER(zs_req_set_uri)
{
    struct str uri = script_trimmed(run, r1, r2, "zs_req_set_uri: uri");
    script_request_set_target(script_frame_of(run), uri, "zs_req_set_uri");
    return 0;
}

/* --- query --- */

SCRIPT_HELPER(zs_req_query)
{
    return script_put_text(run, r1, r2, script_request_parts(task_of(run))->query);
}

/* The first parameter of that name at or behind *query, which becomes what is behind it. False,
 * with *value empty: there is none. */
static bool
next_param(struct str *query, struct str wanted, struct str *value)
{
    struct str name;
    while (form_next(query, &name, value))
        if (form_is(name, wanted))
            return true;
    *value = (struct str){0};
    return false;
}

SCRIPT_HELPER(zs_req_query_param)
{
    struct str name = script_trimmed(run, r1, r2, "zs_req_query_param: name");
    struct str query = script_request_parts(task_of(run))->query, value;
    if (next_param(&query, name, &value)) {
        struct buf *decoded = scratch_of(run);
        value = form_decode(value, decoded);
        want_room(run, decoded, "zs_req_query_param");
    }
    return script_put_text_apart(run, r3, r4, value, name);
}

SCRIPT_HELPER(zs_req_query_param_matches)
{
    struct str name = script_trimmed(run, r1, r2, "zs_req_query_param_matches: name");
    struct str wanted = script_text(run, r3, r4, "zs_req_query_param_matches: value");
    struct str query = script_request_parts(task_of(run))->query, value;
    bool any = str_eq(wanted, STR("*"));
    while (next_param(&query, name, &value))
        if (any || form_is(value, wanted))
            return 1;
    return 0;
}
