#include "req/req.h"

#include "base/limits.h"
#include "http/status.h"
#include "site/site.h"
#include "tls/stream.h"

#include <stdio.h>

void
req_init(struct req *req, struct req_env *env, struct http_field *fields, uint16_t field_max)
{
    memset(req, 0, sizeof *req);
    req->env = env;
    http_head_init(&req->head, fields, field_max);
    arena_init(&req->arena, REQ_ARENA_MAX, REQ_ARENA_BLOCK);
    buf_init(&req->input.bytes, REQ_ARENA_MAX);
}

void
req_deinit(struct req *req)
{
    buf_deinit(&req->input.bytes);
    arena_deinit(&req->arena);
}

void
req_add_block(struct req *req, struct str block)
{
    if (block.len)
        req->response.blocks[req->response.block_count++] = block;
}

/* Decimal text of a number, ending at `end`; returns its start. */
static char *
write_u64(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

void
req_respond_text(struct req *req, int status, struct str text, struct str extra)
{
    static const char common[] = "Content-Type: text/plain; charset=utf-8\r\n"
                                 "X-Content-Type-Options: nosniff\r\n"
                                 "Content-Length: ";
    struct response *response = &req->response;
    struct str line = arena_join(&req->arena, text, STR("\n"));
    char digits[20];
    char *start = write_u64(digits + sizeof digits, line.len);
    size_t digits_len = (size_t)(digits + sizeof digits - start);
    _Static_assert(sizeof common + 20 + 2 <= sizeof req->text, "block fits");
    memcpy(req->text, common, sizeof common - 1);
    memcpy(req->text + sizeof common - 1, start, digits_len);
    memcpy(req->text + sizeof common - 1 + digits_len, "\r\n", 2);
    body_close(&req->body);
    response->status = (uint16_t)status;
    response->block_count = 0;
    req_add_block(req, str_make(req->text, sizeof common - 1 + digits_len + 2));
    req_add_block(req, extra);
    if (status >= 400)
        req_add_block(req, STR("Cache-Control: no-store\r\n"));
    response->body_len = line.len;
    body_set_text(&req->body, line);
}

void
req_respond_document(struct req *req, int status, const char *type, struct str body)
{
    struct str block = arena_printf(&req->arena,
                                    "Content-Length: %zu\r\nContent-Type: %s\r\nCache-Control: "
                                    "no-store\r\nX-Content-Type-Options: nosniff\r\n",
                                    body.len, type);
    req->response.status = (uint16_t)status;
    req->response.body_len = body.len;
    req_add_block(req, block);
    body_set_text(&req->body, body);
}

void
req_respond_error(struct req *req, int status)
{
    struct str reason = http_status_reason(status);
    req_respond_text(req, status, arena_printf(&req->arena, "%d %.*s", status, STR_ARG(reason)),
                     STR(""));
}

void
req_refuse(struct req *req, int status, struct str text)
{
    struct str reason = http_status_reason(status);
    req_respond_text(
        req, status,
        arena_printf(&req->arena, "%d %.*s: %.*s", status, STR_ARG(reason), STR_ARG(text)),
        STR(""));
    req->response.close = true;
}

/* A body the client announced in HTTP/1.0 must have a length: it cannot be told from the end of the
 * connection. */
static bool
lacks_length(const struct http_head *head)
{
    return head->version_minor == 0 && head->body_kind == HTTP_BODY_NONE &&
           (head->method == HTTP_METHOD_POST || head->method == HTTP_METHOD_PUT ||
            head->method == HTTP_METHOD_PATCH) &&
           !http_head_has(head, HTTP_FIELD_CONTENT_LENGTH);
}

/* The target as a path. False: already answered. */
bool
req_read_target(struct req *req)
{
    struct target *target = &req->target;
    if (!target_parse(http_head_target(&req->head), req->head.method, target)) {
        req_refuse(req, 400, STR("malformed request target"));
        return false;
    }
    if (target->form == TARGET_ABSOLUTE && !req->is_tls && target->scheme.len == 5) {
        req_refuse(req, 421, STR("https is not served here"));
        return false;
    }
    req->path = target->path;
    if (target->form == TARGET_ASTERISK || target->form == TARGET_AUTHORITY)
        return true;
    char *scratch = arena_alloc_text(&req->arena, target->path.len + 1);
    if (!scratch) {
        req_refuse(req, 414, STR("request target too long"));
        return false;
    }
    if (!target_normalize_path(target->path, scratch, &req->path)) {
        req_refuse(req, 400, STR("malformed path"));
        return false;
    }
    return true;
}

/* The host that the request is for, with its port. */
static struct str
req_authority(const struct req *req)
{
    if (req->target.form == TARGET_ABSOLUTE)
        return req->target.authority;
    return http_head_value(&req->head, HTTP_FIELD_HOST);
}

/* What only holds for requests over TLS. False: already answered. */
static bool
req_check_tls(struct req *req)
{
    struct str host = target_host_name(req_authority(req));
    if (host.len && !tls_stream_covers(req->tls, host)) {
        req_refuse(req, 421, STR("this connection's certificate is for another host"));
        return false;
    }
    /* RFC 8470: what may be a replay must be safe. */
    if (req->head.method != HTTP_METHOD_GET && req->head.method != HTTP_METHOD_HEAD &&
        tls_stream_is_early(req->tls)) {
        req_respond_error(req, 425);
        return false;
    }
    return true;
}

/* The same target, over https. */
static void
req_redirect_to_https(struct req *req)
{
    struct str authority = req_authority(req);
    struct str host = target_host_name(authority);
    struct str query = req->target.query;
    struct str path = req->target.path;
    if (host.len == 0) {
        req_refuse(req, 400, STR("a Host is needed to be sent to https"));
        return;
    }
    bool is_v6 = authority.ptr[0] == '[';
    unsigned port = req->env->redirect_port;
    struct str extra = arena_printf(
        &req->arena, "Location: https://%s%.*s%s%s%.*s%s%.*s\r\n", is_v6 ? "[" : "", STR_ARG(host),
        is_v6 ? "]" : "", port == 443 ? "" : arena_printf(&req->arena, ":%u", port).ptr,
        STR_ARG(path), req->target.has_query ? "?" : "", STR_ARG(query));
    req_respond_text(req, 308, STR("308 Permanent Redirect"), extra);
}

/* --- the filter --- */

static enum req_step
req_filter_request(struct req *req)
{
    const struct req_env *env = req->env;
    bool is_path = req->target.form == TARGET_ORIGIN || req->target.form == TARGET_ABSOLUTE;
    return req->pin->filter && is_path ? env->filter->request(req, env->filter_arg) : REQ_ACT;
}

static void
req_drop_response(struct req *req)
{
    body_close(&req->body);
    req->response = (struct response){0};
}

/* Runs the action. False: the response comes later. */
static bool
req_act(struct req *req)
{
    const struct req_action *action = &req->env->action;
    if (req->filter_state)
        req_drop_response(req);
    req->filtered = false;
    if (!action->answer || !action->answer(req, action->arg))
        req_static(req);
    return !req->waits;
}

static enum req_step
req_filter_response(struct req *req)
{
    if (!req->filter_state || req->aborted)
        return REQ_OUT;
    return req->env->filter->response(req, req->env->filter_arg);
}

/* Goes on from `step` until there is a response to send, or something to wait for. */
static void
req_go(struct req *req, enum req_step step)
{
    while (step == REQ_ACT || step == REQ_RESPONDED) {
        if (step == REQ_ACT && !req_act(req))
            return;
        step = req_filter_response(req);
    }
    req->filtered = step == REQ_OUT;
}

void
req_resume(struct req *req, enum req_step step)
{
    req->waits = step == REQ_WAITS;
    req_go(req, step);
    if (!req->waits || req->input.state == REQ_INPUT_WANTED)
        req_wake(req);
}

/* --- the request body --- */

void
req_hold_input(struct req *req, uint64_t max)
{
    struct req_input *input = &req->input;
    input->bytes.max = max;
    input->max = max;
    input->state = REQ_INPUT_HELD;
}

void
req_drop_input(struct req *req)
{
    buf_deinit(&req->input.bytes);
    req->input = (struct req_input){.ended = true, .too_large = true};
    buf_init(&req->input.bytes, REQ_ARENA_MAX);
}

bool
req_want_input(struct req *req, uint64_t max, void (*over)(struct req *req))
{
    const struct http_head *head = req_sent_head(req);
    struct req_input *input = &req->input;
    if (head->body_kind == HTTP_BODY_NONE ||
        (head->body_kind == HTTP_BODY_LENGTH && head->content_length == 0))
        input->ended = true;
    if (input->bytes.len > max ||
        (head->body_kind == HTTP_BODY_LENGTH && head->content_length > max))
        input->ended = input->too_large = true;
    if (input->ended)
        return false;
    input->bytes.max = max;
    input->max = max;
    if (req->pull_input && req->pull_input(req)) {
        input->ended = true;
        return false;
    }
    input->state = REQ_INPUT_WANTED;
    input->over = over;
    return true;
}

void
req_input_data(struct req *req, struct str bytes)
{
    struct req_input *input = &req->input;
    if (input->ended)
        return;
    buf_append(&input->bytes, bytes);
    if (!buf_overflowed(&input->bytes))
        return;
    buf_clear(&input->bytes);
    input->too_large = true;
    req_input_end(req);
}

void
req_input_end(struct req *req)
{
    struct req_input *input = &req->input;
    bool wanted = input->state == REQ_INPUT_WANTED;
    if (input->ended)
        return;
    input->ended = true;
    input->state = REQ_INPUT_HELD;
    if (wanted)
        input->over(req);
}

static void
req_answer(struct req *req)
{
    if (req->head.protocol_len) { /* an extended CONNECT (RFC 8441): nobody here speaks it */
        req_respond_error(req, 501);
        return;
    }
    if (!req_read_target(req))
        return;
    if (lacks_length(&req->head)) {
        req_refuse(req, 411, STR("Content-Length is needed"));
        return;
    }
    if ((req->env->endpoints || req->is_admin) && req_endpoint(req))
        return;
    if (req->is_admin) {
        req_respond_error(req, 404);
        return;
    }
    if (req->tls && !req_check_tls(req))
        return;
    if (req->env->redirect_port && !req->is_tls) {
        req_redirect_to_https(req);
        return;
    }
    req_go(req, req_filter_request(req));
}

/* Where a run of the old head's bytes is now. */
static struct str
moved(const struct req *req, const char *before, struct str s)
{
    return str_make(req->head.base + (s.ptr - before), s.len);
}

/* Copies the head to the request's own memory. */
static void
req_keep_head(struct req *req)
{
    struct target *target = &req->target;
    const char *before = req->head.base, *end = before + req->head.len;
    req->head.base = arena_copy(&req->arena, str_make(before, req->head.len)).ptr;
    if (!req->head.base) { /* nothing of it may be looked at any more */
        req->head.base = before;
        return;
    }
    struct str *const borrowed[] = {&target->scheme, &target->authority, &target->path,
                                    &target->query, &req->path};
    for (unsigned i = 0; i < sizeof borrowed / sizeof *borrowed; i++)
        if (borrowed[i]->ptr >= before && borrowed[i]->ptr < end)
            *borrowed[i] = moved(req, before, *borrowed[i]);
}

bool
req_wait(struct req *req, const struct body_ops *ops, void *arg)
{
    if (req->head_moves)
        req_keep_head(req);
    if (arena_overflowed(&req->arena))
        return false; /* req_run answers */
    req->body.ops = ops;
    req->body.arg = arg;
    req->waits = true;
    return true;
}

void
req_wake(struct req *req)
{
    if (!req->waits && !req->filtered)
        req_go(req, REQ_RESPONDED);
    if (!req->waits && arena_overflowed(&req->arena) && !req->response.close)
        req_respond_error(req, 500);
    req->woken(req);
}

void
req_env_refresh(struct req_env *env)
{
    if (__atomic_load_n(env->generation, __ATOMIC_ACQUIRE) != env->seen_generation)
        env->refresh(env);
}

void
req_run(struct req *req)
{
    struct req_env *env = req->env;
    req_env_refresh(env);
    req->pin = env->pin;
    req->pin->use_count++;
    req_answer(req);
    if (req->waits)
        return;
    /* A response with pieces missing must not go out. What req_refuse made is whole even so. */
    if (arena_overflowed(&req->arena) && !req->response.close)
        req_respond_error(req, 500);
}

static void
req_end_input(struct req *req)
{
    req_drop_input(req);
    req->input.ended = req->input.too_large = false;
}

void
req_end(struct req *req)
{
    body_close(&req->body);
    req->waits = false;
    if (req->filter_state)
        req->env->filter->end(req, req->env->filter_arg);
    if (req->response.status) {
        struct req_counters *counters = &req->env->counters;
        unsigned class = req->response.status / 100;
        __atomic_store_n(&counters->requests, counters->requests + 1, __ATOMIC_RELAXED);
        if (class < 6)
            __atomic_store_n(&counters->status_class[class], counters->status_class[class] + 1,
                             __ATOMIC_RELAXED);
    }
    struct site_pin *pin = req->pin;
    if (pin && --pin->use_count == 0 && pin->retired)
        pin->unused(pin);
    req->pin = NULL;
    req->response = (struct response){0};
    req->sent = NULL;
    req->filtered = req->aborted = false;
    if (req->input.state != REQ_INPUT_UNWANTED || req->input.ended)
        req_end_input(req);
    if (req->arena.used || req->arena.overflowed)
        arena_reset(&req->arena);
}
