#include "proxy/exchange.h"

#include "base/must.h"
#include "proxy/exchange_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What an owner asks for (start, wake, resume) is done before the loop sleeps: the exchange becomes
 * due, and the pool's timer, which is set to now, runs those that are. So no callback comes before
 * such a call has returned, and nothing is lost: a loop runs its timers before it waits.
 *
 * An exchange that is over stays in memory until nobody stands in its code any more (depth). */

enum { KEPT_BUF_MAX = 32 << 10 };

/* --- results --- */

static const struct {
    const char *name;
    int status;
} results[] = {
#define X(name, text, status) [EXCHANGE_##name] = {text, status},
    EXCHANGE_RESULT_TABLE(X)
#undef X
};

const char *
exchange_result_name(enum exchange_result result)
{
    must(result < EXCHANGE_RESULT_COUNT);
    return results[result].name;
}

int
exchange_result_status(enum exchange_result result)
{
    must(result < EXCHANGE_RESULT_COUNT);
    return results[result].status;
}

const char *
exchange_duration_text(uint64_t ns, char out[static 32])
{
    snprintf(out, 32, "%.10g s", (double)ns / 1e9);
    return out;
}

/* --- memory --- */

static void exchange_timed_out(struct timer *timer);

static struct exchange *
exchange_acquire(struct upstream_pool *pool)
{
    struct exchange *exchange = TAILQ_FIRST(&pool->free_exchanges);
    if (exchange) {
        struct buf out = exchange->out, stash = exchange->stash;
        TAILQ_REMOVE(&pool->free_exchanges, exchange, link);
        pool->free_exchange_count--;
        *exchange = (struct exchange){.out = out, .stash = stash};
    } else {
        exchange =
            calloc(1, sizeof *exchange + pool->config.fields_max * sizeof(struct http_field));
        if (!exchange)
            return NULL;
        buf_init(&exchange->out, EXCHANGE_HEAD_MAX + 2 * EXCHANGE_OUT_LEN);
        buf_init(&exchange->stash, pool->config.head_max);
    }
    exchange->pool = pool;
    timer_init(&exchange->timer, exchange_timed_out);
    pool->exchange_count++;
    return exchange;
}

static void
exchange_free(struct exchange *exchange)
{
    buf_deinit(&exchange->out);
    buf_deinit(&exchange->stash);
    free(exchange);
}

static void
forget(struct buf *buf)
{
    if (buf->cap > KEPT_BUF_MAX)
        buf_deinit(buf);
    buf_clear(buf);
}

static void
exchange_release(struct exchange *exchange)
{
    struct upstream_pool *pool = exchange->pool;
    if (exchange->origin)
        upstream_origin_put(exchange->origin);
    pool->exchange_count--;
    if (pool->free_exchange_count == EXCHANGES_KEPT) {
        exchange_free(exchange);
        return;
    }
    forget(&exchange->out);
    forget(&exchange->stash);
    TAILQ_INSERT_HEAD(&pool->free_exchanges, exchange, link);
    pool->free_exchange_count++;
}

void
exchange_enter(struct exchange *exchange)
{
    exchange->depth++;
}

void
exchange_leave(struct exchange *exchange)
{
    if (--exchange->depth == 0 && exchange->state == EXCHANGE_AT_OVER)
        exchange_release(exchange);
}

/* --- states and ends --- */

void
exchange_set_state(struct exchange *exchange, enum exchange_state next)
{
    static const uint8_t allowed[] = {
        [EXCHANGE_AT_START] = 1 << EXCHANGE_AT_DIAL | 1 << EXCHANGE_AT_OVER,
        [EXCHANGE_AT_DIAL] = 1 << EXCHANGE_AT_TALK | 1 << EXCHANGE_AT_OVER,
        [EXCHANGE_AT_TALK] = 1 << EXCHANGE_AT_DIAL | 1 << EXCHANGE_AT_BODY | 1 << EXCHANGE_AT_OVER,
        [EXCHANGE_AT_BODY] = 1 << EXCHANGE_AT_OVER,
        [EXCHANGE_AT_OVER] = 0,
    };
    must(allowed[exchange->state] & 1 << next);
    exchange->state = (uint8_t)next;
}

static struct timer_heap *
timers_of(const struct exchange *exchange)
{
    return loop_timers(exchange->pool->loop);
}

/* Closes the connection, if there is one. */
static void
drop_conn(struct exchange *exchange, bool broken)
{
    struct upstream_conn *conn = exchange->conn;
    if (!conn)
        return;
    exchange->conn = NULL;
    if (conn->sock.send_pending && !conn->tls) {
        conn->lent = exchange->out;
        buf_init(&exchange->out, conn->lent.max);
    }
    upstream_close(conn, broken);
}

/* The exchange ends without a word. */
static void
end_silently(struct exchange *exchange)
{
    bool talking = exchange->state == EXCHANGE_AT_TALK || exchange->state == EXCHANGE_AT_BODY;
    if (exchange->due)
        TAILQ_REMOVE(&exchange->pool->due, exchange, link);
    exchange->due = false;
    timer_clear(timers_of(exchange), &exchange->timer);
    drop_conn(exchange, talking && !exchange->complete);
    exchange_set_state(exchange, EXCHANGE_AT_OVER);
}

static void
end_with(struct exchange *exchange, enum exchange_result result, const char *reason)
{
    end_silently(exchange);
    exchange->ops->over(exchange->arg, result, reason);
}

void
exchange_fail(struct exchange *exchange, enum exchange_result result, const char *format, ...)
{
    char why[ERROR_TEXT_MAX], reason[ERROR_TEXT_MAX + URL_HOST_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    snprintf(reason, sizeof reason, "%.*s: %s", STR_ARG(exchange->origin->authority), why);
    end_with(exchange, result, reason);
}

void
exchange_finish(struct exchange *exchange, bool keep)
{
    struct upstream_conn *conn = exchange->conn;
    if (keep && exchange->head.keep_alive && exchange->request_sent && !exchange->send_failed &&
        !conn->sock.send_pending) {
        exchange->conn = NULL;
        upstream_release(conn);
    }
    end_with(exchange, EXCHANGE_DONE, "");
}

/* --- deadlines --- */

void
exchange_set_deadline(struct exchange *exchange)
{
    const struct upstream_config *config = &exchange->pool->config;
    uint64_t wait_ns = exchange->state == EXCHANGE_AT_TALK ? config->first_byte_timeout_ns
                                                           : config->between_bytes_timeout_ns;
    bool owner_is_slow =
        exchange->body_pending || (exchange->paused && exchange->state == EXCHANGE_AT_BODY);
    if (exchange->waits_for_continue && exchange->state == EXCHANGE_AT_TALK)
        wait_ns = EXCHANGE_CONTINUE_MS * UINT64_C(1000000);
    else if (owner_is_slow) {
        timer_clear(timers_of(exchange), &exchange->timer);
        return;
    }
    timer_set(timers_of(exchange), &exchange->timer, loop_now_ns(exchange->pool->loop) + wait_ns);
}

static void
talk_timed_out(struct exchange *exchange)
{
    char time[32];
    if (exchange->waits_for_continue) {
        exchange->waits_for_continue = false;
        exchange_send(exchange);
        return;
    }
    size_t queued_len = exchange->body_begun ? upstream_queued_len(exchange->conn) : 0;
    if (queued_len < exchange->queued_len) { /* the upstream is still taking the request */
        exchange->queued_len = queued_len;
        exchange_set_deadline(exchange);
        return;
    }
    exchange_duration_text(exchange->pool->config.first_byte_timeout_ns, time);
    if (exchange->request_sent)
        exchange_fail(exchange, EXCHANGE_TIMEOUT, "no answer within %s", time);
    else
        exchange_fail(exchange, EXCHANGE_TIMEOUT,
                      "no answer within %s, and the request not taken whole", time);
}

static void
exchange_timed_out(struct timer *timer)
{
    struct exchange *exchange =
        (struct exchange *)((char *)timer - offsetof(struct exchange, timer));
    char time[32];
    exchange_enter(exchange);
    if (exchange->state == EXCHANGE_AT_TALK)
        talk_timed_out(exchange);
    else
        exchange_fail(exchange, EXCHANGE_BROKEN,
                      "nothing more for %s after %" PRIu64 " bytes of the body",
                      exchange_duration_text(exchange->pool->config.between_bytes_timeout_ns, time),
                      exchange->body_len);
    exchange_leave(exchange);
}

/* --- the connection --- */

/* Takes an idle connection, or makes one. */
static void
dial(struct exchange *exchange)
{
    struct upstream_conn *conn = NULL;
    exchange_set_state(exchange, EXCHANGE_AT_DIAL);
    if (!exchange->retried)
        conn = upstream_take_idle(exchange->origin, exchange);
    if (conn) {
        exchange->conn = conn;
        exchange_connected(exchange);
        return;
    }
    exchange->conn = upstream_conn_new(exchange->origin, exchange);
    if (exchange->conn)
        upstream_dial(exchange->conn);
    else
        exchange_fail(exchange, EXCHANGE_NO_MEMORY, "no memory for a connection");
}

void
exchange_connected(struct exchange *exchange)
{
    exchange_set_state(exchange, EXCHANGE_AT_TALK);
    exchange_receive_start(exchange);
    exchange_send_start(exchange);
}

void
exchange_not_connected(struct exchange *exchange, enum exchange_result result, const char *reason)
{
    exchange_fail(exchange, result, "%s", reason);
}

static const char *
end_text(const struct upstream_conn *conn, char out[static UPSTREAM_ERRNO_TEXT_LEN])
{
    if (conn->end == UPSTREAM_ENDED)
        return "connection closed";
    if (conn->end == UPSTREAM_CUT)
        return "connection closed without the end of TLS";
    return conn->error ? upstream_errno_text(conn->error, out) : tls_stream_failure_text(conn->tls);
}

static void
talk_ended(struct exchange *exchange, const char *why)
{
    const struct upstream_conn *conn = exchange->conn;
    bool tls_failed = conn->end == UPSTREAM_BROKEN && !conn->error;
    /* The second time it is a fresh one. */
    if (conn->reused && !exchange->answered && exchange_can_send_again(exchange)) {
        exchange->retried = true;
        timer_clear(timers_of(exchange), &exchange->timer);
        drop_conn(exchange, true);
        dial(exchange);
        return;
    }
    exchange_fail(exchange, tls_failed ? EXCHANGE_TLS : EXCHANGE_CLOSED, "%s %s", why,
                  exchange->stash.len ? "in the middle of the response header"
                                      : "before an answer");
}

void
exchange_input_ended(struct exchange *exchange)
{
    char text[UPSTREAM_ERRNO_TEXT_LEN];
    const struct upstream_conn *conn = exchange->conn;
    if (exchange->state == EXCHANGE_AT_TALK) {
        talk_ended(exchange, end_text(conn, text));
    } else if (exchange->head.body_kind == HTTP_BODY_CLOSE && conn->end == UPSTREAM_ENDED &&
               !exchange->send_failed) {
        /* After a failed send an end may be what is left of a reset. */
        exchange->complete = true;
        exchange_finish(exchange, false);
    } else {
        exchange_fail(exchange, EXCHANGE_BROKEN, "%s after %" PRIu64 " bytes of the body",
                      end_text(conn, text), exchange->body_len);
    }
}

/* --- what is due --- */

static void
make_due(struct exchange *exchange)
{
    struct upstream_pool *pool = exchange->pool;
    if (exchange->due)
        return;
    exchange->due = true;
    TAILQ_INSERT_TAIL(&pool->due, exchange, link);
    timer_set(loop_timers(pool->loop), &pool->due_timer, loop_now_ns(pool->loop));
}

static void
run(struct exchange *exchange)
{
    if (exchange->state == EXCHANGE_AT_START) {
        dial(exchange);
    } else if (exchange->state != EXCHANGE_AT_DIAL) {
        exchange_set_deadline(exchange);
        exchange_send(exchange);
        if (exchange->state != EXCHANGE_AT_OVER)
            upstream_pump(exchange->conn);
    }
}

static void
run_due(struct timer *timer)
{
    struct upstream_pool *pool =
        (struct upstream_pool *)((char *)timer - offsetof(struct upstream_pool, due_timer));
    struct exchange *exchange;
    while ((exchange = TAILQ_FIRST(&pool->due))) {
        TAILQ_REMOVE(&pool->due, exchange, link);
        exchange->due = false;
        exchange_enter(exchange);
        run(exchange);
        exchange_leave(exchange);
    }
}

void
exchange_pool_init(struct upstream_pool *pool)
{
    TAILQ_INIT(&pool->due);
    TAILQ_INIT(&pool->free_exchanges);
    timer_init(&pool->due_timer, run_due);
}

void
exchange_pool_deinit(struct upstream_pool *pool)
{
    struct exchange *exchange;
    timer_clear(loop_timers(pool->loop), &pool->due_timer);
    while ((exchange = TAILQ_FIRST(&pool->free_exchanges))) {
        TAILQ_REMOVE(&pool->free_exchanges, exchange, link);
        exchange_free(exchange);
    }
}

/* --- what the owner asks for --- */

struct exchange *
exchange_start(struct upstream_pool *pool, const struct exchange_request *request,
               const struct exchange_ops *ops, void *arg)
{
    struct exchange *exchange = exchange_acquire(pool);
    if (!exchange)
        return NULL;
    arena_reset(&pool->arena);
    exchange->method = (uint8_t)http_method_id(request->method);
    exchange->ops = ops;
    exchange->arg = arg;
    exchange->origin = upstream_origin_get(pool, &request->url);
    if (!exchange->origin || exchange->method == HTTP_METHOD_CONNECT ||
        !exchange_encode_head(exchange, request)) {
        exchange_release(exchange);
        return NULL;
    }
    exchange->from_start = true;
    if (exchange->chunked || exchange->body_left)
        exchange->body = request->body;
    make_due(exchange);
    return exchange;
}

void
exchange_wake(struct exchange *exchange)
{
    exchange->woken = true;
    exchange->body_pending = false;
    make_due(exchange);
}

void
exchange_pause(struct exchange *exchange)
{
    exchange->paused = true;
    if (exchange->state != EXCHANGE_AT_BODY)
        return;
    if (exchange->depth == 0)
        sock_recv_stop(&exchange->conn->sock);
    exchange_set_deadline(exchange);
}

void
exchange_resume(struct exchange *exchange)
{
    if (!exchange->paused)
        return;
    exchange->paused = false;
    make_due(exchange);
}

void
exchange_cancel(struct exchange *exchange)
{
    must(exchange->state != EXCHANGE_AT_OVER);
    exchange_enter(exchange);
    end_silently(exchange);
    exchange_leave(exchange);
}
