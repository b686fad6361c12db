/* From what scripts want to be answered to a response. The body stays where it is: it lives as long
 * as the task does, which is longer than the response. */
#include "script/answer.h"

#include "base/limits.h"
#include "base/log.h"
#include "http/status.h"
#include "script/file_server.h"
#include "script/task.h"

enum { BUFFER_KEPT = 32 << 10, URL_KEPT = 4096 };

/* --- what scripts want --- */

/* Empties it and keeps a little memory. */
static void
clear_buffer(struct buf *buf, size_t kept)
{
    if (buf->cap > kept)
        buf_deinit(buf);
    if (buf->max)
        buf_clear(buf);
}

void
script_answer_clear(struct script_answer *answer)
{
    struct script_answer cleared = {
        .fields = answer->fields,
        .body = answer->body,
        .proxy_url = answer->proxy_url,
        .listing = answer->listing,
    };
    script_fields_clear(&cleared.fields);
    clear_buffer(&cleared.body, BUFFER_KEPT);
    clear_buffer(&cleared.proxy_url, URL_KEPT);
    clear_buffer(&cleared.listing, URL_KEPT);
    *answer = cleared;
}

void
script_answer_deinit(struct script_answer *answer)
{
    script_fields_deinit(&answer->fields);
    buf_deinit(&answer->body);
    buf_deinit(&answer->proxy_url);
    buf_deinit(&answer->listing);
    *answer = (struct script_answer){0};
}

bool
script_answer_respond(struct script_answer *answer, uint64_t status, struct str content_type,
                      struct str body)
{
    if (answer->body.max == 0)
        buf_init(&answer->body, SCRIPT_ANSWER_MAX);
    buf_clear(&answer->body);
    buf_append(&answer->body, body);
    script_fields_clear(&answer->fields);
    if (buf_overflowed(&answer->body) ||
        (content_type.len && script_fields_append(&answer->fields, STR("Content-Type"),
                                                  content_type) != SCRIPT_FIELDS_OK))
        return false;
    answer->status = status < 100 || status > 999 ? 500 : (uint16_t)status;
    answer->has_response = true;
    if (answer->file_is_respond)
        answer->has_file = answer->file_is_respond = false;
    return true;
}

bool
script_answer_redirect(struct script_answer *answer, int status, struct str location)
{
    struct str type = STR("text/plain; charset=utf-8"), reason = http_status_reason(status);
    if (!script_answer_respond(answer, (uint64_t)status, type, reason))
        return false;
    buf_append_char(&answer->body, '\n');
    return !buf_overflowed(&answer->body) &&
           script_fields_append(&answer->fields, STR("Location"), location) == SCRIPT_FIELDS_OK;
}

bool
script_status_has_page(uint64_t status)
{
    return status == 0 || (status >= 200 && status <= 999 && status != 204 && status != 205 &&
                           status != 206 && status != 304);
}

void
script_append_url(struct buf *out, struct str url)
{
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.ptr[i];
        if (c > 0x20 && c < 0x7f && !strchr("\"<>\\^`{|}", c))
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

bool
script_answer_lookup(struct req *req, struct str key, struct str *value)
{
    const struct script_task *task = req->filter_state;
    *value = script_meta_get(&task->meta, key);
    return value->ptr;
}

/* --- the response --- */

/* A head that is written into memory of known size. */
struct writer {
    char *at;
};

static void
put(struct writer *writer, struct str s)
{
    if (s.len)
        memcpy(writer->at, s.ptr, s.len);
    writer->at += s.len;
}

static void
put_line(struct writer *writer, struct str name, struct str value)
{
    put(writer, name);
    put(writer, STR(": "));
    put(writer, value);
    put(writer, STR("\r\n"));
}

static void
put_length(struct writer *writer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    put_line(writer, STR("Content-Length"), str_make(digits + at, sizeof digits - at));
}

/* Metadata that says what a response is goes in right here: it is the usual way to say it. */
static struct str
type_by_metadata(const struct script_task *task)
{
    struct str type = STR("");
    if (task->meta.header_count)
        type = script_meta_get(&task->meta, STR(SCRIPT_META_HEADER "content-type"));
    return type.len && script_field_value_is_valid(type) ? type : STR("");
}

/* The head of a response by a script. NULL pointer: no memory. */
static struct str
write_head(struct script_task *task, const struct script_answer *answer, bool has_body)
{
    static const char fixed[] = "Content-Length: 18446744073709551615\r\n"
                                "X-Content-Type-Options: nosniff\r\n";
    const struct script_fields *fields = &answer->fields;
    struct str type = type_by_metadata(task);
    size_t room = sizeof fixed + type.len;
    for (uint32_t i = 0; i < fields->count; i++)
        room += script_fields_name(fields, i).len + script_fields_value(fields, i).len + 4;
    char *text = arena_alloc_text(&task->req->arena, room);
    struct writer writer = {text};
    if (!text)
        return (struct str){0};
    if (has_body)
        put_length(&writer, answer->body.len);
    for (uint32_t i = 0; i < fields->count; i++) {
        struct str name = script_fields_name(fields, i), value = script_fields_value(fields, i);
        bool is_type = str_ieq(name, STR("Content-Type"));
        if (!is_type || has_body)
            put_line(&writer, name, is_type && type.len ? type : value);
    }
    put(&writer, STR("X-Content-Type-Options: nosniff\r\n"));
    return str_make(text, (size_t)(writer.at - text));
}

/* 1xx would be taken for something that comes before the response. */
static void
apply_response(struct script_task *task)
{
    struct script_answer *answer = &task->answer;
    struct req *req = task->req;
    if (answer->status < 200) {
        log_warn("zs_respond: %u cannot be the status of a response; answered 500", answer->status);
        answer->status = 500;
    }
    bool has_body = http_status_has_body(answer->status);
    struct str head = write_head(task, answer, has_body);
    if (!head.ptr) {
        req_respond_error(req, 500);
        return;
    }
    req->response.status = answer->status;
    req->response.block_count = 0;
    req->response.body_len = has_body ? answer->body.len : 0;
    req_add_block(req, head);
    if (has_body)
        body_set_text(&req->body, buf_str(&answer->body));
}

static void
apply_file(struct script_task *task)
{
    struct script_answer *answer = &task->answer;
    if (answer->file)
        req_serve_route(task->req, answer->file, answer->file_status, answer->file_codings);
    else if (answer->listing.len)
        script_listing_serve(task);
    else
        req_serve_missing(task->req);
}

bool
script_answer_apply(struct script_task *task)
{
    const struct script_answer *answer = &task->answer;
    if (answer->has_response) {
        apply_response(task);
    } else if (answer->has_proxy) {
        log_warn("zs_reverse_proxy: this version has no reverse proxy; answered 501");
        req_respond_error(task->req, 501);
    } else if (answer->has_file) {
        apply_file(task);
    } else {
        return false;
    }
    return true;
}
