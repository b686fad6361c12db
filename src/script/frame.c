/* What all families of helpers use: arguments in, text out, charges, log lines. */
#include "base/limits.h"
#include "base/log.h"
#include "script/task.h"

void
script_charge(struct script_frame *frame, uint64_t len)
{
    uint64_t max = frame->task->worker->shared->config.footprint_max;
    if (len > max || frame->footprint > max - len)
        bpf_trap(frame->task->running->run,
                 "objects of helpers need more than %llu KiB "
                 "(--max-request-external-memory-footprint-kb)",
                 (unsigned long long)(max >> 10));
    frame->footprint += len;
}

void
script_refund(struct script_frame *frame, uint64_t len)
{
    frame->footprint -= len;
}

uint64_t
script_room(const struct script_frame *frame)
{
    return frame->task->worker->shared->config.footprint_max - frame->footprint;
}

void
script_want_response(struct script_frame *frame, const char *helper)
{
    if (frame->task->phase != SCRIPT_RESPONSE)
        bpf_trap(frame->run, "%s: there is no response yet; only hooks have one", helper);
}

void
script_want_request(struct script_frame *frame, const char *helper)
{
    if (frame->task->phase != SCRIPT_REQUEST)
        bpf_trap(frame->run, "%s: not in a hook, where the response is made already", helper);
}

struct str
script_text(struct bpf_run *run, uint64_t addr, uint64_t len, const char *what)
{
    struct str text = bpf_view(run, addr, len);
    if (!str_is_utf8(text))
        bpf_trap(run, "%s is not UTF-8", what);
    return text;
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str
script_trimmed(struct bpf_run *run, uint64_t addr, uint64_t len, const char *what)
{
    struct str text = script_text(run, addr, len, what);
    while (text.len && is_space(text.ptr[0]))
        text = str_skip(text, 1);
    while (text.len && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static uint64_t
put_text(char *to, uint64_t to_len, struct str value)
{
    size_t len = value.len < to_len ? value.len : (size_t)to_len - 1;
    if (len)
        memmove(to, value.ptr, len);
    to[len] = '\0';
    return value.len < to_len ? value.len : to_len;
}

uint64_t
script_put_text(struct bpf_run *run, uint64_t out, uint64_t out_len, struct str value)
{
    if (out_len == 0)
        return 0;
    return put_text(bpf_view_writable(run, out, out_len), out_len, value);
}

uint64_t
script_put_text_apart(struct bpf_run *run, uint64_t out, uint64_t out_len, struct str value,
                      struct str in)
{
    if (out_len == 0)
        return 0;
    char *to = bpf_view_writable(run, out, out_len);
    bpf_views_apart(run, to, out_len, in.ptr, in.len);
    return put_text(to, out_len, value);
}
