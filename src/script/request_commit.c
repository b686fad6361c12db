/* The head as scripts left it, as one block in the request's arena: method, target, names, values.
 * Framing, version and what the client expects stay what they were: those are facts about the bytes
 * that come, not wishes.
 */
#include "base/limits.h"
#include "script/task.h"

/* Keeps the head as the client sent it, with all that it borrows from. */
static bool
keep_sent(struct req *req)
{
    const struct http_head *head = &req->head;
    struct http_head *sent = arena_alloc(&req->arena, sizeof *sent);
    struct http_field *fields =
        arena_alloc(&req->arena, head->field_count * sizeof *fields + sizeof *fields);
    if (!sent || !fields)
        return false;
    *sent = *head;
    sent->fields = fields;
    if (head->field_count)
        memcpy(fields, head->fields, head->field_count * sizeof *fields);
    if (req->head_moves)
        sent->base = arena_copy(&req->arena, str_make(head->base, head->len)).ptr;
    if (!sent->base)
        return false;
    req->sent = sent;
    return true;
}

struct field_text {
    struct str name, value;
};

struct source {
    const struct script_fields *changed; /* or NULL: */
    const struct http_head *head;
    uint32_t count;
};

static struct field_text
source_field(const struct source *source, uint32_t at)
{
    if (source->changed)
        return (struct field_text){
            script_fields_name(source->changed, at),
            script_fields_value(source->changed, at),
        };
    return (struct field_text){
        http_field_name(source->head, &source->head->fields[at]),
        http_field_value(source->head, &source->head->fields[at]),
    };
}

static uint32_t
put(char *base, uint32_t *len, struct str text)
{
    uint32_t off = *len;
    if (text.len)
        memcpy(base + off, text.ptr, text.len);
    *len += (uint32_t)text.len;
    return off;
}

/* Writes everything to `base`, which has room for it, and makes it the head. Fields of `source` may
 * be those of the head itself: each is read before its place is written. */
static void
put_head(struct http_head *head, const struct source *source, struct str method, struct str target,
         char *base)
{
    struct str protocol = str_make(head->base + head->protocol_off, head->protocol_len);
    uint32_t len = 0;
    head->method_off = put(base, &len, method);
    head->target_off = put(base, &len, target);
    head->protocol_off = put(base, &len, protocol);
    head->method_len = (uint32_t)method.len;
    head->target_len = (uint32_t)target.len;
    head->method = (uint8_t)http_method_id(method);
    memset(head->first, 0, sizeof head->first);
    head->field_count = 0;
    for (uint32_t i = 0; i < source->count; i++) {
        struct field_text field = source_field(source, i);
        uint32_t name_off = put(base, &len, field.name);
        uint32_t value_off = put(base, &len, field.value);
        http_head_add(head, name_off, (uint16_t)field.name.len, value_off,
                      (uint32_t)field.value.len, http_field_id(field.name));
    }
    head->base = base;
    head->len = len;
}

/* With changed fields there is one name of the host only, that in Host. The text is the request's,
 * or in the worker's scratch buffer. */
static struct str
target_to_write(const struct script_task *task)
{
    const struct target *parts = &task->req->target;
    struct buf *text = &task->worker->scratch;
    if (task->request.target_changed || !task->request.fields_changed ||
        parts->form != TARGET_ABSOLUTE)
        return script_request_target(task);
    buf_clear(text);
    buf_append(text, parts->path);
    if (parts->has_query)
        buf_append_char(text, '?');
    buf_append(text, parts->query);
    return !buf_overflowed(text) ? buf_str(text) : (struct str){0};
}

static bool
write_head(struct script_task *task)
{
    const struct script_request *request = &task->request;
    struct http_head *head = &task->req->head, before = *head;
    struct str method = script_request_method(task), target = target_to_write(task);
    struct source source = {
        .changed = request->fields_changed ? &request->fields : NULL,
        .head = &before,
        .count = request->fields_changed ? request->fields.count : before.field_count,
    };
    size_t len = method.len + target.len + before.protocol_len;
    if (source.count > head->field_max || target.len == 0)
        return false;
    for (uint32_t i = 0; i < source.count; i++) {
        struct field_text field = source_field(&source, i);
        len += field.name.len + field.value.len;
    }
    char *base = arena_alloc_text(&task->req->arena, len + 1);
    if (!base)
        return false;
    put_head(head, &source, method, target, base);
    return true;
}

bool
script_request_commit(struct script_task *task)
{
    struct script_request *request = &task->request;
    struct req *req = task->req;
    if (request->committed_all ||
        !(request->fields_changed || request->method_changed || request->target_changed))
        return true;
    if (!req->sent && !keep_sent(req))
        return false;
    if (!write_head(task) || !req_read_target(req))
        return false;
    request->committed_all = true;
    return true;
}
