/* Helpers for the request's header fields. */
#include "script/fields_replace.h"
#include "script/helpers.h"
#include "script/task.h"

/* All values of a field that came in several lines, joined with "; " in the worker's scratch buffer
 * (RFC 6265 section 5.4 has one line; HTTP/2 may split it, RFC 9113 section 8.2.3). */
static struct str
cookies(struct bpf_run *run, const char *helper)
{
    struct script_task *task = script_frame_of(run)->task;
    struct buf *joined = &task->worker->scratch;
    struct str first, value;
    uint32_t at = 0;
    if (!script_request_next_field(task, STR("cookie"), &at, &first))
        return (struct str){0};
    if (!script_request_next_field(task, STR("cookie"), &at, &value))
        return first;
    buf_clear(joined);
    buf_append(joined, first);
    do {
        buf_append(joined, STR("; "));
        buf_append(joined, value);
    } while (script_request_next_field(task, STR("cookie"), &at, &value));
    if (buf_overflowed(joined))
        bpf_trap(run, "%s: no memory", helper);
    return buf_str(joined);
}

SCRIPT_HELPER(zs_req_header)
{
    struct str name = script_trimmed(run, r1, r2, "zs_req_header: name");
    struct str value = http_field_id(name) == HTTP_FIELD_COOKIE
                           ? cookies(run, "zs_req_header")
                           : script_request_field(script_frame_of(run)->task, name);
    return script_put_text_apart(run, r3, r4, value, name);
}

/* The value of the first cookie of that name, as it stands, in quotes if it is: a client sends the
 * one with the longest path first (RFC 6265 section 5.4). Names are case-sensitive. */
static struct str
find_cookie(struct str list, struct str wanted)
{
    while (list.len) {
        struct str pair = str_cut(&list, ';');
        if (str_find_char(pair, '=') == pair.len)
            continue;
        struct str name = str_trim(str_cut(&pair, '='));
        if (str_eq(name, wanted))
            return str_trim(pair);
    }
    return (struct str){0};
}

SCRIPT_HELPER(zs_req_cookie)
{
    struct str name = script_trimmed(run, r1, r2, "zs_req_cookie: name");
    struct str value = find_cookie(cookies(run, "zs_req_cookie"), name);
    return script_put_text_apart(run, r3, r4, value, name);
}

/* --- changes --- */

static void
want_done(struct bpf_run *run, enum script_fields_result result, const char *helper)
{
    if (result == SCRIPT_FIELDS_INVALID)
        bpf_trap(run, "%s: the name is no field name, or the value has control characters", helper);
    if (result == SCRIPT_FIELDS_FULL)
        bpf_trap(run, "%s: header fields need more than %d bytes, or are more than %d", helper,
                 SCRIPT_FIELDS_MAX, SCRIPT_FIELD_COUNT_MAX);
}

/* What scripts may not say; see request.h. */
static void
want_allowed(struct bpf_run *run, struct str name, struct str value, const char *helper)
{
    if (script_field_is_framing(name))
        bpf_trap(run, "%s: %.*s says where the request's body ends, which scripts cannot change",
                 helper, STR_ARG(name));
    if (http_field_id(name) == HTTP_FIELD_HOST && !script_host_is_valid(value))
        bpf_trap(run, "%s: the value is no host", helper);
}

static bool
is_named(struct str name, struct str other)
{
    return str_ieq(name, other);
}

SCRIPT_HELPER(zs_req_set_header)
{
    static const char helper[] = "zs_req_set_header";
    struct str name = script_trimmed(run, r1, r2, "zs_req_set_header: name");
    struct str value = script_text(run, r3, r4, "zs_req_set_header: value");
    if (value.len)
        want_allowed(run, name, value, helper);
    if (!script_field_name_is_valid(name))
        want_done(run, SCRIPT_FIELDS_INVALID, helper);
    struct script_fields *fields = script_request_change_fields(script_frame_of(run), helper);
    if (value.len)
        want_done(run, script_fields_set(fields, name, value), helper);
    else if (!script_field_is_framing(name))
        script_fields_remove_if(fields, is_named, name);
    return 0;
}

SCRIPT_HELPER(zs_req_append_header)
{
    static const char helper[] = "zs_req_append_header";
    struct str name = script_trimmed(run, r1, r2, "zs_req_append_header: name");
    struct str value = script_text(run, r3, r4, "zs_req_append_header: value");
    want_allowed(run, name, value, helper);
    struct script_fields *fields = script_request_change_fields(script_frame_of(run), helper);
    /* There is one Host, always (RFC 9112 section 3.2). */
    bool is_host = http_field_id(name) == HTTP_FIELD_HOST;
    want_done(run,
              is_host ? script_fields_set(fields, name, value)
                      : script_fields_append(fields, name, value),
              helper);
    return 0;
}

static bool
goes(struct str name, struct str pattern)
{
    return script_field_matches(name, pattern) && !script_field_is_framing(name);
}

SCRIPT_HELPER(zs_req_delete_header)
{
    static const char helper[] = "zs_req_delete_header";
    struct str pattern = script_trimmed(run, r1, r2, "zs_req_delete_header: pattern");
    if (pattern.len == 0)
        bpf_trap(run, "%s: the pattern is empty", helper);
    script_fields_remove_if(script_request_change_fields(script_frame_of(run), helper), goes,
                            pattern);
    return 0;
}

SCRIPT_HELPER(zs_req_replace_header)
{
    static const char helper[] = "zs_req_replace_header";
    struct script_frame *frame = script_frame_of(run);
    struct str changes = script_text(run, r1, r2, "zs_req_replace_header: JSON");
    script_fields_replace(frame, script_request_change_fields(frame, helper), changes, helper);
    return 0;
}
