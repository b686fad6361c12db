#include "proxy/upstream.h"

#include "base/must.h"
#include "proxy/env.h"
#include "proxy/exchange_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* An idle connection keeps receiving, so its upstream's end is seen in the turn in which it comes.
 * Between that and the next turn a look at the socket tells (is_alive); what neither sees is the
 * exchange's to try again.
 *
 * An idle connection is in two lists, both used last first: that of its origin, from whose front it
 * is taken, and that of the pool; at a ceiling the last one of a list goes. */

enum { START_ARENA_MAX = 8 * URL_MAX, START_ARENA_BLOCK = 2 * URL_MAX };

/* --- states --- */

void
upstream_set_state(struct upstream_conn *conn, enum upstream_state next)
{
    static const uint8_t allowed[] = {
        [UPSTREAM_RESOLVE] = 1 << UPSTREAM_CONNECT | 1 << UPSTREAM_CLOSED,
        [UPSTREAM_CONNECT] = 1 << UPSTREAM_TUNNEL | 1 << UPSTREAM_HANDSHAKE | 1 << UPSTREAM_BUSY |
                             1 << UPSTREAM_CLOSED,
        [UPSTREAM_TUNNEL] = 1 << UPSTREAM_HANDSHAKE | 1 << UPSTREAM_CLOSED,
        [UPSTREAM_HANDSHAKE] = 1 << UPSTREAM_BUSY | 1 << UPSTREAM_CLOSED,
        [UPSTREAM_BUSY] = 1 << UPSTREAM_IDLE | 1 << UPSTREAM_CLOSED,
        [UPSTREAM_IDLE] = 1 << UPSTREAM_BUSY | 1 << UPSTREAM_CLOSED,
        [UPSTREAM_CLOSED] = 0,
    };
    must(allowed[conn->state] & 1 << next);
    conn->state = (uint8_t)next;
}

/* --- origins --- */

static struct upstream_origin **
find_bucket(struct upstream_pool *pool, enum url_scheme scheme, struct str authority)
{
    uint32_t hash = 2166136261u ^ (uint32_t)scheme; /* FNV-1a */
    for (size_t i = 0; i < authority.len; i++)
        hash = (hash ^ (unsigned char)authority.ptr[i]) * 16777619u;
    return &pool->origins[(hash ^ hash >> 16) % UPSTREAM_BUCKETS];
}

static struct upstream_origin *
origin_new(struct upstream_pool *pool, const struct url *url, struct str authority)
{
    struct upstream_origin *origin = malloc(sizeof *origin + authority.len + url->host.len);
    if (!origin)
        return NULL;
    *origin = (struct upstream_origin){.pool = pool, .scheme = url->scheme, .port = url->port};
    TAILQ_INIT(&origin->idle);
    memcpy(origin->text, authority.ptr, authority.len);
    origin->authority = str_make(origin->text, authority.len);
    char *host = origin->text + authority.len;
    for (size_t i = 0; i < url->host.len; i++)
        host[i] = str_lower_char(url->host.ptr[i]);
    origin->host = str_make(host, url->host.len);
    origin->proxy = proxy_env_find(pool->config.proxies, url, &origin->proxy_authorization);
    return origin;
}

struct upstream_origin *
upstream_origin_get(struct upstream_pool *pool, const struct url *url)
{
    struct str authority = url_authority(url, &pool->arena);
    if (!authority.ptr)
        return NULL;
    struct upstream_origin **bucket = find_bucket(pool, url->scheme, authority);
    struct upstream_origin *origin = *bucket;
    while (origin && (origin->scheme != url->scheme || !str_eq(origin->authority, authority)))
        origin = origin->next;
    if (!origin) {
        origin = origin_new(pool, url, authority);
        if (!origin)
            return NULL;
        origin->next = *bucket;
        *bucket = origin;
    }
    origin->use_count++;
    return origin;
}

void
upstream_origin_put(struct upstream_origin *origin)
{
    if (--origin->use_count)
        return;
    struct upstream_origin **link = find_bucket(origin->pool, origin->scheme, origin->authority);
    while (*link != origin)
        link = &(*link)->next;
    *link = origin->next;
    free(origin);
}

/* --- idle connections --- */

/* Whether nothing has come meanwhile: neither an end, nor bytes that nobody asked for. */
static bool
is_alive(const struct upstream_conn *conn)
{
    char byte;
    return recv(conn->sock.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void
leave_idle(struct upstream_conn *conn)
{
    TAILQ_REMOVE(&conn->origin->idle, conn, by_origin);
    TAILQ_REMOVE(&conn->pool->idle, conn, by_age);
    conn->origin->idle_count--;
    conn->pool->idle_count--;
    timer_clear(loop_timers(conn->pool->loop), &conn->timer);
}

struct upstream_conn *
upstream_take_idle(struct upstream_origin *origin, struct exchange *exchange)
{
    struct upstream_conn *conn = TAILQ_FIRST(&origin->idle);
    for (; conn; conn = TAILQ_NEXT(conn, by_origin)) {
        if (!is_alive(conn))
            continue; /* the loop is about to tell it */
        leave_idle(conn);
        upstream_set_state(conn, UPSTREAM_BUSY);
        conn->exchange = exchange;
        conn->reused = true;
        return conn;
    }
    return NULL;
}

static void
enter_idle(struct upstream_conn *conn)
{
    struct upstream_pool *pool = conn->pool;
    struct upstream_origin *origin = conn->origin;
    upstream_set_state(conn, UPSTREAM_IDLE);
    TAILQ_INSERT_HEAD(&origin->idle, conn, by_origin);
    TAILQ_INSERT_HEAD(&pool->idle, conn, by_age);
    pool->idle_count++;
    if (++origin->idle_count > UPSTREAM_IDLE_MAX)
        upstream_close(TAILQ_LAST(&origin->idle, upstream_conn_list), false);
    if (pool->idle_count > UPSTREAM_IDLE_TOTAL_MAX)
        upstream_close(TAILQ_LAST(&pool->idle, upstream_conn_list), false);
    timer_set(loop_timers(pool->loop), &conn->timer,
              loop_now_ns(pool->loop) + pool->config.idle_timeout_ns);
    sock_recv_start(&conn->sock);
}

void
upstream_release(struct upstream_conn *conn)
{
    must(conn->state == UPSTREAM_BUSY && !conn->sock.send_pending);
    conn->exchange = NULL;
    buf_deinit(&conn->held);
    buf_deinit(&conn->plain);
    buf_clear(&conn->held);
    buf_clear(&conn->plain);
    conn->held_off = conn->plain_off = 0;
    if (conn->pool->closing || conn->end != UPSTREAM_OPEN)
        upstream_close(conn, false);
    else
        enter_idle(conn);
}

/* --- life of a connection --- */

static void
conn_timed_out(struct timer *timer)
{
    struct upstream_conn *conn =
        (struct upstream_conn *)((char *)timer - offsetof(struct upstream_conn, timer));
    struct exchange *exchange = conn->exchange;
    if (conn->state == UPSTREAM_IDLE) {
        upstream_close(conn, false);
        return;
    }
    exchange_enter(exchange);
    upstream_dial_timeout(conn);
    exchange_leave(exchange);
}

struct upstream_conn *
upstream_conn_new(struct upstream_origin *origin, struct exchange *exchange)
{
    struct upstream_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->pool = origin->pool;
    conn->origin = origin;
    conn->exchange = exchange;
    origin->use_count++;
    origin->pool->conn_count++;
    timer_init(&conn->timer, conn_timed_out);
    buf_init(&conn->held, UPSTREAM_HELD_MAX);
    buf_init(&conn->plain, UPSTREAM_PLAIN_LEN);
    return conn;
}

void
upstream_conn_free(struct upstream_conn *conn)
{
    upstream_tls_free(conn);
    upstream_origin_put(conn->origin);
    conn->pool->conn_count--;
    buf_deinit(&conn->held);
    buf_deinit(&conn->plain);
    buf_deinit(&conn->lent);
    free(conn);
}

void
upstream_close(struct upstream_conn *conn, bool broken)
{
    if (conn->state == UPSTREAM_CLOSED)
        return;
    if (conn->state == UPSTREAM_IDLE)
        leave_idle(conn);
    timer_clear(loop_timers(conn->pool->loop), &conn->timer);
    upstream_dial_free(conn);
    if (conn->tls && !broken && conn->state != UPSTREAM_HANDSHAKE)
        upstream_tls_last_words(conn, true);
    upstream_set_state(conn, UPSTREAM_CLOSED);
    conn->exchange = NULL;
    if (!conn->sock_open)
        upstream_conn_free(conn);
    else if (broken)
        sock_abort(&conn->sock);
    else
        sock_close(&conn->sock);
}

const char *
upstream_errno_text(int code, char out[static UPSTREAM_ERRNO_TEXT_LEN])
{
    const char *text = strerrordesc_np(code);
    snprintf(out, UPSTREAM_ERRNO_TEXT_LEN, "%s", text ? text : "unknown error");
    out[0] = str_lower_char(out[0]);
    return out;
}

/* --- the pool --- */

struct upstream_pool *
upstream_pool_new(struct loop *loop, const struct upstream_config *config)
{
    struct upstream_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->loop = loop;
    pool->config = *config;
    TAILQ_INIT(&pool->idle);
    arena_init(&pool->arena, START_ARENA_MAX, START_ARENA_BLOCK);
    exchange_pool_init(pool);
    return pool;
}

void
upstream_pool_close(struct upstream_pool *pool)
{
    pool->closing = true;
    while (!TAILQ_EMPTY(&pool->idle))
        upstream_close(TAILQ_FIRST(&pool->idle), false);
}

void
upstream_pool_free(struct upstream_pool *pool)
{
    if (!pool)
        return;
    must(pool->conn_count == 0 && pool->exchange_count == 0);
    exchange_pool_deinit(pool);
    upstream_tls_pool_free(pool);
    arena_deinit(&pool->arena);
    free(pool);
}

unsigned
upstream_pool_idle_count(const struct upstream_pool *pool)
{
    return pool->idle_count;
}
