/* Text that a helper passes is first put together in the worker's scratch buffer and looked at
 * there; the request changes when nothing can go wrong any more, because a trap ends the script,
 * but not always the request: the caller of zs_call goes on with it.
 */
#include "script/request.h"

#include "base/limits.h"
#include "script/rewrite.h"
#include "script/task.h"

enum { TEXT_KEPT = 4096 }; /* bytes of a buffer that the next request finds */

static void
clear_text(struct buf *text)
{
    buf_clear(text);
    if (text->cap > TEXT_KEPT)
        buf_deinit(text);
}

void
script_request_clear(struct script_request *request)
{
    request->fields_changed = request->method_changed = request->target_changed = false;
    request->committed_all = request->has_body_limit = request->clean_known = false;
    request->peer.is_known = false;
    script_fields_clear(&request->fields);
    clear_text(&request->target);
    clear_text(&request->clean);
}

void
script_request_deinit(struct script_request *request)
{
    script_fields_deinit(&request->fields);
    buf_deinit(&request->target);
    buf_deinit(&request->clean);
}

/* --- as scripts have left it --- */

struct str
script_request_method(const struct script_task *task)
{
    const struct script_request *request = &task->request;
    return request->method_changed ? str_make(request->method, request->method_len)
                                   : http_head_method(&task->req->head);
}

struct str
script_request_target(const struct script_task *task)
{
    return task->request.target_changed ? buf_str(&task->request.target)
                                        : http_head_target(&task->req->head);
}

const struct target *
script_request_parts(const struct script_task *task)
{
    return task->request.target_changed ? &task->request.parts : &task->req->target;
}

struct str
script_request_path(const struct script_task *task)
{
    return task->request.target_changed ? task->request.normalized : task->req->path;
}

/* The field `at` of the head when it is of that name. */
static inline bool
head_field_is(const struct http_head *head, uint32_t at, struct str name, enum http_field_id id)
{
    const struct http_field *field = &head->fields[at];
    if (id != HTTP_FIELD_OTHER)
        return field->id == id;
    return field->name_len == name.len && str_ieq(http_field_name(head, field), name);
}

bool
script_request_next_field(const struct script_task *task, struct str name, uint32_t *at,
                          struct str *value)
{
    const struct script_fields *fields = &task->request.fields;
    const struct http_head *head = &task->req->head;
    if (task->request.fields_changed) {
        while (*at < fields->count && !str_ieq(script_fields_name(fields, *at), name))
            ++*at;
        if (*at >= fields->count)
            return false;
        *value = script_fields_value(fields, (*at)++);
        return true;
    }
    enum http_field_id id = http_field_id(name);
    if (id != HTTP_FIELD_OTHER && !http_head_has(head, id))
        return false;
    while (*at < head->field_count && !head_field_is(head, *at, name, id))
        ++*at;
    if (*at >= head->field_count)
        return false;
    *value = http_field_value(head, &head->fields[(*at)++]);
    return true;
}

struct str
script_request_field(const struct script_task *task, struct str name)
{
    const struct http_head *head = &task->req->head;
    if (task->request.fields_changed)
        return script_fields_last(&task->request.fields, name);
    enum http_field_id id = http_field_id(name);
    if (id == HTTP_FIELD_HOST && task->req->target.form == TARGET_ABSOLUTE)
        return task->req->target.authority;
    if (id != HTTP_FIELD_OTHER && !http_head_has(head, id))
        return (struct str){0};
    for (uint32_t at = head->field_count; at-- > 0;)
        if (head_field_is(head, at, name, id))
            return http_field_value(head, &head->fields[at]);
    return (struct str){0};
}

/* --- changes --- */

struct rewrite *
script_rewrite(struct script_frame *frame)
{
    struct script_worker *worker = frame->task->worker;
    if (!worker->rewrite)
        worker->rewrite = rewrite_new();
    if (!worker->rewrite)
        bpf_trap(frame->run, "no memory for rewriting");
    return worker->rewrite;
}

bool
script_field_is_framing(struct str name)
{
    enum http_field_id id = http_field_id(name);
    return id == HTTP_FIELD_CONTENT_LENGTH || id == HTTP_FIELD_TRANSFER_ENCODING;
}

bool
script_host_is_valid(struct str value)
{
    value = str_trim(value);
    return value.len && target_host_is_valid(value);
}

/* All fields of the head. Host is what an absolute target says it is. */
static bool
copy_fields(const struct req *req, struct script_fields *fields)
{
    script_fields_clear(fields);
    if (script_fields_add_head(fields, &req->head) != SCRIPT_FIELDS_OK)
        return false;
    return req->target.form != TARGET_ABSOLUTE ||
           script_fields_set(fields, STR("Host"), req->target.authority) == SCRIPT_FIELDS_OK;
}

struct script_fields *
script_request_change_fields(struct script_frame *frame, const char *helper)
{
    struct script_task *task = frame->task;
    struct script_request *request = &task->request;
    if (!request->fields_changed) {
        if (!copy_fields(task->req, &request->fields))
            bpf_trap(frame->run,
                     "%s: the client's header fields are more than the %d bytes or %d fields that "
                     "scripts can change",
                     helper, SCRIPT_FIELDS_MAX, SCRIPT_FIELD_COUNT_MAX);
        request->fields_changed = true;
    }
    request->committed_all = false;
    return &request->fields;
}

void
script_request_set_method(struct script_frame *frame, struct str method, const char *helper)
{
    struct script_request *request = &frame->task->request;
    if (!script_field_name_is_valid(method) || method.len > SCRIPT_METHOD_MAX)
        bpf_trap(frame->run, "%s: the method is no token of at most %d bytes", helper,
                 SCRIPT_METHOD_MAX);
    if (http_method_id(method) == HTTP_METHOD_CONNECT)
        bpf_trap(frame->run, "%s: a request cannot become CONNECT, which has no path", helper);
    memcpy(request->method, method.ptr, method.len);
    request->method_len = (uint8_t)method.len;
    request->method_changed = true;
    request->committed_all = false;
}

/* "/path?query" of what may be such, a URL, or a path without its first slash. */
static void
put_together(struct buf *out, struct str given)
{
    struct target parts;
    struct str text = str_first(given, str_find_char(given, '#'));
    if (text.len && text.ptr[0] != '/' && target_parse(text, HTTP_METHOD_GET, &parts)) {
        buf_append(out, parts.path);
        if (parts.has_query)
            buf_append_char(out, '?');
        buf_append(out, parts.query);
        return;
    }
    /* What looks like a URL and is none stays as it is, and will be refused. */
    if (text.len && text.ptr[0] != '/' && str_find(text, STR("://")) == text.len)
        buf_append_char(out, '/');
    buf_append(out, text);
}

/* Reads what was put together; the normalised path goes behind it, where there is room. */
static bool
read_target(struct buf *made, struct target *parts, struct str *normalized, const char **why)
{
    *why = "is longer than 64 KiB, or there is no memory";
    if (buf_overflowed(made) || made->len > SCRIPT_TARGET_MAX)
        return false;
    *why = "is no path, or has characters that must be encoded";
    if (!target_parse(buf_str(made), HTTP_METHOD_GET, parts) || parts->form != TARGET_ORIGIN)
        return false;
    *why = "has a path with a bad escape, that leaves the root, or that is not UTF-8";
    return target_normalize_path(parts->path, buf_reserve(made, parts->path.len + 1), normalized);
}

void
script_request_set_target(struct script_frame *frame, struct str target, const char *helper)
{
    struct script_request *request = &frame->task->request;
    struct target parts;
    struct str normalized;
    const char *why;
    struct buf made;
    buf_init(&made, 2 * SCRIPT_TARGET_MAX + 4);
    buf_reserve(&made, 2 * target.len + 4); /* all, with slashes: it must not move any more */
    put_together(&made, target);
    if (!read_target(&made, &parts, &normalized, &why)) {
        buf_deinit(&made);
        bpf_trap(frame->run, "%s: the target %s", helper, why);
    }
    buf_deinit(&request->target);
    request->target = made;
    request->parts = parts;
    request->normalized = normalized;
    request->target_changed = true;
    request->clean_known = request->committed_all = false;
}
