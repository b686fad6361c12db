/* Helpers: metadata, and what is to be answered. */
#include "base/limits.h"
#include "http/status.h"
#include "http/url.h"
#include "script/helpers.h"
#include "script/task.h"
#include "site/site.h"

#include <stdio.h>

/* --- metadata --- */

SCRIPT_HELPER(zs_meta_get)
{
    const struct script_meta *meta = &script_frame_of(run)->task->meta;
    struct str key = script_trimmed(run, r1, r2, "zs_meta_get: the key");
    return script_put_text_apart(run, r3, r4, script_meta_get(meta, key), bpf_view(run, r1, r2));
}

/* A header that cannot be is kept as what it is, too: text by its key. */
static void
tell_fault(struct script_frame *frame, struct str key, struct str value)
{
    if (!str_starts_with(key, STR(SCRIPT_META_HEADER)))
        return;
    char text[SCRIPT_LOG_LEN];
    struct str name = script_meta_header_name(key);
    const char *why = script_meta_header_fault(name, value);
    if (!why)
        return;
    int len = snprintf(text, sizeof text, "zs_meta_set: '%.*s' %s and is not sent",
                       STR_ARG(str_first(name, 100)), why);
    script_log_line(frame, str_make(text, (size_t)len));
}

SCRIPT_HELPER(zs_meta_set)
{
    struct script_frame *frame = script_frame_of(run);
    struct str key = script_trimmed(run, r1, r2, "zs_meta_set: the key");
    struct str value = script_text(run, r3, r4, "zs_meta_set: the value");
    if (key.len == 0)
        bpf_trap(run, "zs_meta_set: the key is empty");
    if (!script_meta_set(&frame->task->meta, key, value))
        bpf_trap(run, "zs_meta_set: metadata takes more than %d KiB or %d entries",
                 SCRIPT_META_MAX >> 10, SCRIPT_META_COUNT_MAX);
    tell_fault(frame, key, value);
    return 0;
}

/* --- responses --- */

#define PLAIN "text/plain; charset=utf-8"

SCRIPT_HELPER(zs_respond)
{
    struct script_frame *frame = script_frame_of(run);
    script_want_request(frame, "zs_respond");
    struct str body = bpf_view(run, r2, r3);
    if (!script_answer_respond(&frame->task->answer, r1, STR(PLAIN), body))
        bpf_trap(run, "zs_respond: no memory for a body of %llu bytes", (unsigned long long)r3);
    return 0;
}

SCRIPT_HELPER(zs_respond_file)
{
    struct script_frame *frame = script_frame_of(run);
    struct script_answer *answer = &frame->task->answer;
    char text[SITE_PATH_MAX + 2];
    script_want_request(frame, "zs_respond_file");
    if (!script_status_has_page(r1))
        bpf_trap(run, "zs_respond_file: status %llu has no page, expected 0 or 200 to 999",
                 (unsigned long long)r1);
    struct str path = script_text(run, r2, r3, "zs_respond_file: the path");
    path = str_skip(path, str_starts_with(path, STR("/")));
    if (path.len > SITE_PATH_MAX || str_starts_with(path, STR(".tarn/")) ||
        str_starts_with(path, STR(".zeroserve/")))
        return (uint64_t)-1;
    text[0] = '/';
    memcpy(text + 1, path.ptr, path.len);
    const struct site_route *route =
        site_find(frame->task->req->pin->site, str_make(text, path.len + 1));
    if (!route || route->kind == SITE_ROUTE_REDIRECT)
        return (uint64_t)-1;
    answer->has_response = false;
    answer->has_file = answer->file_is_respond = true;
    answer->file = route;
    answer->file_status = (uint16_t)r1;
    answer->file_codings = UINT8_MAX;
    return 0;
}

SCRIPT_HELPER(zs_redirect)
{
    struct script_frame *frame = script_frame_of(run);
    struct script_answer *answer = &frame->task->answer;
    struct buf *location = &frame->task->worker->scratch;
    script_want_request(frame, "zs_redirect");
    if (r1 != 301 && r1 != 302 && r1 != 303 && r1 != 307 && r1 != 308)
        bpf_trap(run, "zs_redirect: status is %llu, expected 301, 302, 303, 307 or 308",
                 (unsigned long long)r1);
    struct str url = script_trimmed(run, r2, r3, "zs_redirect: the URL");
    if (url.len == 0 || url.len > URL_MAX)
        bpf_trap(run, "zs_redirect: the URL has %llu bytes, expected 1 to %d",
                 (unsigned long long)url.len, URL_MAX);
    buf_clear(location);
    script_append_url(location, url);
    if (buf_overflowed(location) || !script_answer_redirect(answer, (int)r1, buf_str(location)))
        bpf_trap(run, "zs_redirect: no memory");
    return 0;
}

SCRIPT_HELPER(zs_response_pending)
{
    const struct script_task *task = script_frame_of(run)->task;
    const struct script_answer *answer = &task->answer;
    return task->phase == SCRIPT_REQUEST && (answer->has_response || answer->file_is_respond);
}

SCRIPT_HELPER(zs_response_clear)
{
    struct script_task *task = script_frame_of(run)->task;
    struct script_answer *answer = &task->answer;
    if (task->phase != SCRIPT_REQUEST)
        return 0;
    answer->has_response = false;
    if (answer->file_is_respond)
        answer->has_file = answer->file_is_respond = false;
    return 0;
}

SCRIPT_HELPER(zs_abort)
{
    struct script_frame *frame = script_frame_of(run);
    script_want_request(frame, "zs_abort");
    script_answer_clear(&frame->task->answer);
    frame->task->answer.aborts = true;
    return 0;
}

SCRIPT_HELPER(zs_reverse_proxy)
{
    struct script_frame *frame = script_frame_of(run);
    struct script_answer *answer = &frame->task->answer;
    struct url url;
    script_want_request(frame, "zs_reverse_proxy");
    struct str text = script_trimmed(run, r1, r2, "zs_reverse_proxy: the URL");
    if (!url_parse(text, &url))
        bpf_trap(run, "zs_reverse_proxy: '%.*s' is no URL, expected http:// or https://",
                 STR_ARG(str_first(text, 200)));
    if (answer->has_response || answer->file_is_respond || answer->has_proxy)
        bpf_trap(run, "zs_reverse_proxy: there is %s already",
                 answer->has_proxy ? "a proxy" : "a response");
    if (answer->proxy_url.max == 0)
        buf_init(&answer->proxy_url, URL_MAX);
    buf_clear(&answer->proxy_url);
    buf_append(&answer->proxy_url, text);
    if (buf_overflowed(&answer->proxy_url))
        bpf_trap(run, "zs_reverse_proxy: no memory");
    answer->has_proxy = true;
    return 0;
}
