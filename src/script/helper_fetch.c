/* Helper: zs_fetch, a request to another server.
 *
 * A fetch is a heap object with its exchange, its deadline and what has come of the response. It is
 * the task's while the helper waits (wait.h), and the helper's before and after that, when nothing
 * traps. What it holds for the request is charged to the frame beforehand. The response may take as
 * much as is left then; one that needs more ends the fetch, not the script, because its size is the
 * other server's choice.
 *
 * Redirects are not followed, and nothing is sent but what the script has asked for: no cookies, no
 * credentials, no trace of the client's request.
 */
#include "base/arena.h"
#include "base/base64.h"
#include "base/limits.h"
#include "script/fetch_request.h"
#include "script/helpers.h"
#include "script/wait.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FAILED ((uint64_t)-1)
#define NS_PER_MS UINT64_C(1000000)

enum {
    ARENA_BLOCK_LEN = 4096,
    WHY_MAX = ERROR_TEXT_MAX,
    ESCAPE_MAX = 6,       /* characters of JSON that a byte may need */
    TREE_OVERHEAD = 2048, /* of a JSON tree with a body, and some headers */
    FRAMING_MAX = 128,    /* of the response's JSON: names, brackets, status */
    HEADERS_MAX = ESCAPE_MAX * EXCHANGE_HEAD_MAX,
};

struct fetch {
    struct script_wait wait; /* first */
    struct script_task *task;
    struct exchange *exchange; /* NULL: over */
    struct timer timer;
    struct arena arena; /* the request */
    struct fetch_request request;
    struct body body;   /* of the request */
    struct buf headers; /* of the response, as a JSON object */
    struct buf data;
    uint64_t memory_max; /* of both: what the script has left */
    bool is_over;
    uint16_t status;
    char why[WHY_MAX]; /* it failed; "": it did not */
};

/* --- life --- */

static struct script_worker *
worker_of(const struct fetch *fetch)
{
    return fetch->task->worker;
}

static void
fetch_free(struct fetch *fetch)
{
    struct script_worker *worker = worker_of(fetch);
    if (fetch->exchange)
        exchange_cancel(fetch->exchange);
    timer_clear(loop_timers(worker->loop), &fetch->timer);
    worker->fetch_count--;
    buf_deinit(&fetch->headers);
    buf_deinit(&fetch->data);
    arena_deinit(&fetch->arena);
    free(fetch);
}

static void
fetch_cancelled(struct script_wait *wait)
{
    fetch_free((struct fetch *)wait);
}

static __attribute__((format(printf, 2, 3))) void
end(struct fetch *fetch, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fetch->why, sizeof fetch->why, format, args);
    va_end(args);
    timer_clear(loop_timers(worker_of(fetch)->loop), &fetch->timer);
    fetch->is_over = true;
    script_wait_done(fetch->task);
}

/* --- JSON --- */

/* A character below 0x80. */
static void
append_ascii(struct buf *out, char c)
{
    if (c == '"' || c == '\\') {
        buf_append_char(out, '\\');
        buf_append_char(out, c);
    } else if ((unsigned char)c < ' ') {
        buf_printf(out, "\\u%04x", (unsigned)c);
    } else {
        buf_append_char(out, c);
    }
}

static size_t
plain_len(struct str text)
{
    size_t len = 0;
    while (len < text.len && (unsigned char)text.ptr[len] >= ' ' && text.ptr[len] != '"' &&
           text.ptr[len] != '\\')
        len++;
    return len;
}

/* UTF-8 between quotes. */
static void
append_text(struct buf *out, struct str text)
{
    buf_append_char(out, '"');
    for (;;) {
        size_t len = plain_len(text);
        buf_append(out, str_first(text, len));
        if (len == text.len)
            break;
        append_ascii(out, text.ptr[len]);
        text = str_skip(text, len + 1);
    }
    buf_append_char(out, '"');
}

/* The middle of a string that is a header value: bytes that are no UTF-8 are read as ISO 8859-1. */
static void
append_value(struct buf *out, struct str value)
{
    bool is_utf8 = str_is_utf8(value);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c < 0x80) {
            append_ascii(out, (char)c);
        } else if (is_utf8) {
            buf_append_char(out, (char)c);
        } else {
            buf_append_char(out, (char)(0xc0 | c >> 6));
            buf_append_char(out, (char)(0x80 | (c & 0x3f)));
        }
    }
}

static int
compare_names(struct str a, struct str b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int difference =
            (unsigned char)str_lower_char(a.ptr[i]) - (unsigned char)str_lower_char(b.ptr[i]);
        if (difference)
            return difference;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* By name, and of one name in the order that they came in. */
static int
compare_fields(const void *a, const void *b, void *arg)
{
    const struct http_response_head *head = arg;
    const struct http_field *const *left = a, *const *right = b;
    int difference = compare_names(http_response_field_name(head, *left),
                                   http_response_field_name(head, *right));
    return difference ? difference : (*left > *right) - (*left < *right);
}

/* A member of all fields of one name, the first of those. Returns how many. */
static unsigned
append_header(struct buf *out, const struct http_response_head *head,
              const struct http_field *const *fields, unsigned count)
{
    struct str name = http_response_field_name(head, fields[0]);
    unsigned taken = 0;
    buf_append_char(out, '"');
    for (size_t i = 0; i < name.len; i++)
        append_ascii(out, str_lower_char(name.ptr[i]));
    buf_append(out, STR("\":\""));
    while (taken < count && str_ieq(http_response_field_name(head, fields[taken]), name)) {
        if (taken)
            buf_append(out, STR(", "));
        append_value(out, http_response_field_value(head, fields[taken++]));
    }
    buf_append_char(out, '"');
    return taken;
}

/* False: no memory. Fields are sorted first: how many there are is the other server's choice. */
static bool
append_headers(struct buf *out, const struct http_response_head *head)
{
    unsigned count = head->field_count;
    const struct http_field **fields = malloc((count + 1u) * sizeof(*fields));
    if (!fields)
        return false;
    for (unsigned i = 0; i < count; i++)
        fields[i] = &head->fields[i];
    qsort_r(fields, count, sizeof(*fields), compare_fields, (void *)head);
    buf_append_char(out, '{');
    for (unsigned i = 0; i < count;) {
        if (i)
            buf_append_char(out, ',');
        i += append_header(out, head, fields + i, count - i);
    }
    buf_append_char(out, '}');
    free(fields);
    return !buf_overflowed(out);
}

static void
append_base64(struct buf *out, struct str bytes)
{
    size_t len = base64_encoded_len(BASE64_STANDARD, bytes.len);
    char *at = buf_reserve(out, len);
    if (!at)
        return;
    base64_encode(BASE64_STANDARD, bytes, at);
    buf_commit(out, len);
}

/* The whole of what the script gets. */
static void
append_response(struct buf *out, const struct fetch *fetch)
{
    struct str body = buf_str(&fetch->data);
    buf_printf(out, "{\"status\":%u,\"headers\":", fetch->status);
    buf_append(out, buf_str(&fetch->headers));
    if (str_is_utf8(body)) {
        buf_append(out, STR(",\"body\":"));
        append_text(out, body);
    } else {
        buf_append(out, STR(",\"body_base64\":\""));
        append_base64(out, body);
        buf_append_char(out, '"');
    }
    buf_append_char(out, '}');
}

/* --- the exchange, on the loop --- */

static void
end_exchange(struct fetch *fetch)
{
    struct exchange *exchange = fetch->exchange;
    fetch->exchange = NULL;
    exchange_cancel(exchange);
}

static void
end_without_memory(struct fetch *fetch)
{
    end_exchange(fetch);
    end(fetch, "the response needs more memory than is left "
               "(--max-request-external-memory-footprint-kb)");
}

/* Whether a body of that length can be taken; else the fetch ends. */
static bool
has_room(struct fetch *fetch, uint64_t body_len)
{
    uint64_t max_body = fetch->request.max_body;
    if (body_len > max_body) {
        end_exchange(fetch);
        end(fetch, "the response's body has more than %" PRIu64 " bytes (max_body)", max_body);
        return false;
    }
    if (body_len <= fetch->memory_max - fetch->headers.len)
        return true;
    end_without_memory(fetch);
    return false;
}

static void
take_head(void *arg, const struct http_response_head *head)
{
    struct fetch *fetch = arg;
    fetch->status = head->status;
    if (!append_headers(&fetch->headers, head) || fetch->headers.len > fetch->memory_max)
        end_without_memory(fetch);
    else if (head->body_kind == HTTP_BODY_LENGTH)
        has_room(fetch, head->content_length);
}

static void
take_data(void *arg, struct str bytes)
{
    struct fetch *fetch = arg;
    if (!has_room(fetch, fetch->data.len + bytes.len))
        return;
    buf_append(&fetch->data, bytes);
    if (buf_overflowed(&fetch->data))
        end_without_memory(fetch);
}

static void
take_over(void *arg, enum exchange_result result, const char *reason)
{
    struct fetch *fetch = arg;
    fetch->exchange = NULL;
    end(fetch, "%s", result == EXCHANGE_DONE ? "" : reason);
}

static const struct exchange_ops exchange_ops = {
    .head = take_head,
    .data = take_data,
    .over = take_over,
};

static void
timed_out(struct timer *timer)
{
    struct fetch *fetch = (struct fetch *)((char *)timer - offsetof(struct fetch, timer));
    end_exchange(fetch);
    end(fetch, "no whole response from %.*s within %" PRIu64 " ms",
        STR_ARG(fetch->request.exchange.url.host), fetch->request.timeout_ms);
}

/* --- the helper --- */

static void
say_why(struct script_frame *frame, const char *why)
{
    char line[WHY_MAX + 16];
    int len = snprintf(line, sizeof line, "zs_fetch: %s", why);
    script_log_line(frame, str_make(line, (size_t)len));
}

/* How much of a response may be kept. */
static void
set_ceilings(struct fetch *fetch, const struct script_frame *frame)
{
    uint64_t left = worker_of(fetch)->shared->config.footprint_max - frame->footprint;
    fetch->memory_max = left > TREE_OVERHEAD ? left - TREE_OVERHEAD : 0;
    buf_init(&fetch->headers, HEADERS_MAX);
    buf_init(&fetch->data, SCRIPT_FETCH_BODY_MAX);
}

/* False, and why in *error. */
static bool
start(struct fetch *fetch, struct script_frame *frame, struct str text, struct error *error)
{
    struct script_worker *worker = worker_of(fetch);
    struct fetch_request *request = &fetch->request;
    if (fetch_request_read(request, text, &fetch->arena, error) != 0)
        return false;
    set_ceilings(fetch, frame);
    if (request->has_body) {
        body_set_text(&fetch->body, request->body);
        request->exchange.body = &fetch->body;
        request->exchange.body_len = request->body.len;
    }
    fetch->exchange = exchange_start(worker->upstream, &request->exchange, &exchange_ops, fetch);
    if (!fetch->exchange) {
        error_set(error, "no memory, or more than %d KiB of headers", EXCHANGE_HEAD_MAX >> 10);
        return false;
    }
    timer_set(loop_timers(worker->loop), &fetch->timer,
              loop_now_ns(worker->loop) + request->timeout_ms * NS_PER_MS);
    return true;
}

/* NULL: it could not be started, and the log says why. */
static struct fetch *
fetch_new(struct script_frame *frame, struct str text)
{
    struct error error;
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch) {
        say_why(frame, "no memory");
        return NULL;
    }
    fetch->wait.cancel = fetch_cancelled;
    fetch->task = frame->task;
    fetch->task->worker->fetch_count++;
    timer_init(&fetch->timer, timed_out);
    arena_init(&fetch->arena, fetch_request_memory(text.len), ARENA_BLOCK_LEN);
    if (start(fetch, frame, text, &error))
        return fetch;
    say_why(frame, error.text);
    fetch_free(fetch);
    return NULL;
}

/* A handle of the response, or -1. */
static uint64_t
result_of(const struct fetch *fetch, struct script_frame *frame)
{
    struct buf text;
    if (fetch->why[0]) {
        say_why(frame, fetch->why);
        return FAILED;
    }
    buf_init(&text, FRAMING_MAX + fetch->headers.len + ESCAPE_MAX * fetch->data.len);
    append_response(&text, fetch);
    int64_t handle = buf_overflowed(&text) ? -1 : script_json_try_parse(frame, buf_str(&text));
    buf_deinit(&text);
    if (handle < 0)
        say_why(frame, "the response needs more memory than is left "
                       "(--max-request-external-memory-footprint-kb)");
    return (uint64_t)handle;
}

SCRIPT_HELPER(zs_fetch)
{
    struct script_frame *frame = script_frame_of(run);
    struct script_worker *worker = frame->task->worker;
    struct str text = script_text(run, r1, r2, "zs_fetch: the request");
    uint64_t charge = sizeof(struct fetch) + fetch_request_memory(text.len), result = FAILED;
    if (frame->json.live_count >= SCRIPT_HANDLES_MAX)
        bpf_trap(run, "zs_fetch: more than %d handles; zs_object_free gives one back",
                 SCRIPT_HANDLES_MAX);
    if (!worker->upstream) {
        say_why(frame, "there is no client for other servers here");
        return FAILED;
    }
    if (worker->fetch_count >= SCRIPT_FETCHES_MAX) {
        say_why(frame, "too many at a time");
        return FAILED;
    }
    script_charge(frame, charge);
    struct fetch *fetch = fetch_new(frame, text);
    while (fetch && !fetch->is_over)
        script_wait(frame, &fetch->wait); /* `text` is not ours any more */
    script_refund(frame, charge);
    if (fetch) {
        result = result_of(fetch, frame);
        fetch_free(fetch);
    }
    return result;
}
