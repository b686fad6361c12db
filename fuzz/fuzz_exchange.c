/* Fuzzes an exchange: the response bytes of an upstream, in pieces, over a socket pair. Input: one
 * byte of mode, two of seed, then the bytes.
 *
 * Mode, by bits: 1 the request is a HEAD; 2 it has a body, which is pending now and then; 4 the
 * owner pauses now and then; 8 it cancels at some callback.
 *
 * Checked: against a plain walk over the whole input with the decoders, the exchange ends once and
 * with the right result, and its owner has got the status and exactly the bytes of the body; a
 * connection is kept only when nothing came behind the response; nothing of it is left.
 */
#include "base/must.h"
#include "proxy/exchange_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONTROL_LEN = 3,
    INPUT_MAX = 8192,
    FUZZ_HEAD_MAX = 1024,
    FUZZ_FIELDS_MAX = 8,
    TURNS_MAX = 4 * INPUT_MAX + 100, /* each says a byte, or resumes after one */
};

enum { MODE_HEAD = 1, MODE_BODY = 2, MODE_PAUSES = 4, MODE_CANCELS = 8 };

static struct upstream_pool *pool;
static struct loop *loop;
static struct timer now;
static unsigned looks;

static struct run {
    struct exchange *exchange;
    struct body body;
    uint32_t seed;
    unsigned mode, callbacks_left; /* until it cancels */
    unsigned pulls, head_count, over_count, status;
    bool paused, pending, cancelled;
    enum exchange_result result;
    struct buf data;
} run;

static uint32_t
next_random(void)
{
    run.seed ^= run.seed << 13;
    run.seed ^= run.seed >> 17;
    run.seed ^= run.seed << 5;
    return run.seed;
}

/* --- the owner --- */

static void
act(void)
{
    must(!run.cancelled && run.over_count == 0);
    if (run.mode & MODE_PAUSES && next_random() % 2) {
        run.paused = true;
        exchange_pause(run.exchange);
    }
    if (run.mode & MODE_CANCELS && run.callbacks_left-- == 0) {
        run.cancelled = true;
        exchange_cancel(run.exchange);
    }
}

static void
owner_head(void *arg, const struct http_response_head *head)
{
    run.head_count++;
    run.status = head->status;
    must(head->status >= 200);
    act();
}

static void
owner_interim(void *arg, const struct http_response_head *head)
{
    must(run.head_count == 0 && head->status < 200 && head->status != 101);
    act();
}

static void
owner_data(void *arg, struct str bytes)
{
    must(run.head_count == 1 && bytes.len > 0 && !run.paused);
    buf_append(&run.data, bytes);
    must(!buf_overflowed(&run.data));
    act();
}

static void
owner_over(void *arg, enum exchange_result result, const char *reason)
{
    must(!run.cancelled && run.over_count++ == 0);
    must(strlen(reason) < ERROR_TEXT_MAX + URL_HOST_MAX);
    run.result = result;
}

static const struct exchange_ops owner_ops = {owner_head, owner_interim, owner_data, owner_over};

static enum body_result
owner_pull(struct body *body, struct body_piece *piece)
{
    static const char text[EXCHANGE_COPY_MAX + 100];
    run.pending = next_random() % 4 == 0;
    if (run.pending)
        return BODY_PENDING;
    if (run.pulls++ == 5)
        return BODY_END;
    *piece = (struct body_piece){.mem = {text, run.pulls % 2 ? 10 : sizeof text}};
    piece->len = piece->mem.len;
    return BODY_PIECE;
}

static const struct body_ops body_ops = {owner_pull, NULL, NULL};

/* --- what must come of it --- */

struct expected {
    enum exchange_result result;
    unsigned status; /* 0: no head comes */
    struct str rest; /* behind the response */
    struct buf body;
};

static void
walk_chunks(struct expected *expected)
{
    struct h1_chunk_decoder decoder;
    h1_chunk_decoder_init(&decoder);
    for (;;) {
        size_t used;
        struct str data;
        enum h1_chunk_result result =
            h1_chunk_decode(&decoder, expected->rest.ptr, expected->rest.len, &used, &data);
        expected->rest = str_skip(expected->rest, used);
        if (result == H1_CHUNK_DATA) {
            buf_append(&expected->body, data);
            continue;
        }
        expected->result = result == H1_CHUNK_DONE   ? EXCHANGE_DONE
                           : result == H1_CHUNK_MORE ? EXCHANGE_BROKEN
                                                     : EXCHANGE_MALFORMED;
        return;
    }
}

static void
walk_body(struct expected *expected, const struct http_response_head *head)
{
    uint64_t len = expected->rest.len;
    expected->status = head->status;
    expected->result = EXCHANGE_DONE;
    if (head->body_kind == HTTP_BODY_CHUNKED) {
        walk_chunks(expected);
        return;
    }
    if (head->body_kind == HTTP_BODY_NONE)
        len = 0;
    if (head->body_kind == HTTP_BODY_LENGTH) {
        if (len < head->content_length)
            expected->result = EXCHANGE_BROKEN;
        else
            len = head->content_length;
    }
    buf_append(&expected->body, str_first(expected->rest, len));
    expected->rest = str_skip(expected->rest, len);
}

static void
walk(struct expected *expected, struct str input, enum http_method method)
{
    struct http_field fields[FUZZ_FIELDS_MAX];
    struct http_response_head head;
    struct h1_response_decoder decoder;
    *expected = (struct expected){.result = EXCHANGE_CLOSED, .rest = input};
    buf_init(&expected->body, INPUT_MAX + 1);
    for (unsigned interims = 0; expected->rest.len; interims++) {
        http_response_head_init(&head, fields, FUZZ_FIELDS_MAX);
        h1_response_decoder_init(&decoder, &head, method, FUZZ_HEAD_MAX);
        enum h1_result result =
            h1_response_decode(&decoder, expected->rest.ptr, expected->rest.len);
        if (result == H1_MORE)
            return;
        if (result == H1_ERROR || head.status == 101 ||
            (head.status < 200 && interims == EXCHANGE_INTERIM_MAX)) {
            expected->result = EXCHANGE_MALFORMED;
            return;
        }
        expected->rest = str_skip(expected->rest, head.len);
        if (head.status >= 200) {
            walk_body(expected, &head);
            return;
        }
    }
}

/* --- the run --- */

static void
timer_is_now(struct timer *timer)
{
}

static void
sleeps(void *arg)
{
    if (looks++ == 0)
        timer_set(loop_timers(loop), &now, 1);
    else
        loop_stop(loop);
}

/* One turn that does not wait. */
static void
turn(void)
{
    const struct loop_hooks hooks = {.sleeps = sleeps};
    looks = 0;
    loop_run(loop, &hooks);
}

static void
start(void)
{
    struct error error;
    const struct upstream_config config = {
        .connect_timeout_ns = 1000000000000,
        .first_byte_timeout_ns = 1000000000000,
        .between_bytes_timeout_ns = 1000000000000,
        .idle_timeout_ns = 1000000000000,
        .head_max = FUZZ_HEAD_MAX,
        .fields_max = FUZZ_FIELDS_MAX,
    };
    must(loop_new(&loop, LOOP_EPOLL, &error) == 0);
    signal(SIGPIPE, SIG_IGN);
    timer_init(&now, timer_is_now);
    pool = upstream_pool_new(loop, &config);
    must(pool);
}

/* An idle connection of the URL's origin, and its other end. */
static int
make_idle(const struct url *url)
{
    int fds[2];
    arena_reset(&pool->arena);
    struct upstream_origin *origin = upstream_origin_get(pool, url);
    must(origin);
    struct upstream_conn *conn = upstream_conn_new(origin, NULL);
    must(conn);
    upstream_origin_put(origin);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    sock_init(&conn->sock, loop, fds[1], &upstream_sock_ops);
    conn->sock_open = true;
    upstream_set_state(conn, UPSTREAM_CONNECT);
    upstream_set_state(conn, UPSTREAM_BUSY);
    upstream_release(conn);
    return fds[0];
}

static void
begin(const struct url *url)
{
    static const struct str methods[] = {STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("POST")};
    struct exchange_request request = {.url = *url};
    request.method = methods[run.mode & MODE_HEAD ? 1 : run.mode & MODE_BODY ? 2 : 0];
    if (run.mode & MODE_BODY) {
        run.body.ops = &body_ops;
        request.body = &run.body;
        request.body_len = UINT64_MAX;
    }
    run.exchange = exchange_start(pool, &request, &owner_ops, NULL);
    must(run.exchange);
}

static bool
is_over(void)
{
    return run.cancelled || run.over_count;
}

/* Says a piece, or ends. */
static void
say(int fd, struct str *input)
{
    if (input->len == 0) {
        shutdown(fd, SHUT_WR);
        return;
    }
    size_t len = run.seed % 3 == 0 ? 1 + next_random() % 8 : 1 + next_random() % 4096;
    struct str piece = str_first(*input, len);
    ssize_t sent = send(fd, piece.ptr, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        *input = str_skip(*input, (size_t)sent);
    else if (errno != EAGAIN)
        input->len = 0;
}

static void
hear(int fd)
{
    char bytes[65536];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
}

static void
talk(int fd, struct str input)
{
    for (unsigned turns = 0; !is_over(); turns++) {
        must(turns < TURNS_MAX);
        turn(); /* the request goes first */
        hear(fd);
        if (is_over())
            return;
        if (run.pending || next_random() % 8 == 0)
            exchange_wake(run.exchange);
        if (run.paused && next_random() % 2) {
            run.paused = false;
            exchange_resume(run.exchange);
        } else {
            say(fd, &input);
        }
    }
}

/* What was heard against what must have been. */
static void
check(const struct expected *expected)
{
    bool keeps = upstream_pool_idle_count(pool) > 0;
    if (run.cancelled) {
        must(!keeps);
        return;
    }
    must(run.over_count == 1 && run.result == expected->result);
    must(run.head_count == (expected->status != 0) && run.status == expected->status);
    must(str_eq(buf_str(&run.data), buf_str(&expected->body)));
    must(!keeps || run.result == EXCHANGE_DONE);
}

static void
finish(int fd)
{
    close(fd);
    upstream_pool_close(pool);
    pool->closing = false;
    for (unsigned i = 0; i < 10 && pool->conn_count; i++)
        turn();
    must(pool->conn_count == 0 && pool->exchange_count == 0);
    for (unsigned i = 0; i < UPSTREAM_BUCKETS; i++)
        must(!pool->origins[i]);
    buf_deinit(&run.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct expected expected;
    struct url url;
    /* Without a byte of an answer it would connect anew. */
    if (size <= CONTROL_LEN || size > INPUT_MAX)
        return 0;
    if (!pool)
        start();
    struct str input = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    run = (struct run){.mode = data[0], .seed = 1 + data[1] + data[2] * 256u};
    run.callbacks_left = data[1] % 8;
    buf_init(&run.data, INPUT_MAX + 1);
    must(url_parse(STR("http://a/b"), &url));
    walk(&expected, input, run.mode & MODE_HEAD ? HTTP_METHOD_HEAD : HTTP_METHOD_GET);
    int fd = make_idle(&url);
    begin(&url);
    turn(); /* so that it has the connection before anything is said */
    talk(fd, input);
    check(&expected);
    finish(fd);
    buf_deinit(&expected.body);
    return 0;
}
