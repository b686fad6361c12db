#include "conn/conn.h"

#include "base/must.h"
#include "conn/conn_tls.h"
#include "conn/h1.h"
#include "conn/h2.h"

#include <stdlib.h>
#include <unistd.h>

static const struct sock_ops conn_sock_ops;

static void
count(uint64_t *counter, uint64_t add)
{
    __atomic_store_n(counter, *counter + add, __ATOMIC_RELAXED);
}

const char *
conn_end_name(enum conn_end end)
{
    static const char *const names[] = {
#define X(name, text) text,
        CONN_END_TABLE(X)
#undef X
    };
    must(end < CONN_END_COUNT);
    return names[end];
}

/* The one place where states change; each may only be left for the ones named here. */
static void
conn_set_state(struct conn *conn, enum conn_state next)
{
    static const uint8_t allowed[] = {
        [CONN_WAITING] = 1 << CONN_IDLE | 1 << CONN_CLOSED,
        [CONN_IDLE] = 1 << CONN_ACTIVE | 1 << CONN_HANDSHAKE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
        [CONN_HANDSHAKE] = 1 << CONN_IDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
        [CONN_ACTIVE] = 1 << CONN_IDLE | 1 << CONN_LINGER | 1 << CONN_CLOSED,
        [CONN_LINGER] = 1 << CONN_CLOSED,
        [CONN_CLOSED] = 1 << CONN_WAITING,
    };
    must(allowed[conn->state] & 1 << next);
    if (conn->state == CONN_HANDSHAKE)
        conn_tls_leave_handshake(conn);
    conn->state = (uint8_t)next;
}

void
conn_set_deadline(struct conn *conn, uint64_t ns)
{
    struct loop *loop = conn->sock.loop;
    timer_set(loop_timers(loop), &conn->timer, loop_now_ns(loop) + ns);
}

void
conn_clear_deadline(struct conn *conn)
{
    timer_clear(loop_timers(conn->sock.loop), &conn->timer);
}

static void
conn_timed_out(struct timer *timer)
{
    struct conn *conn = (struct conn *)((char *)timer - offsetof(struct conn, timer));
    switch (conn->state) {
    case CONN_IDLE:
        if (conn->session)
            conn->session_ops->timeout(conn->session);
        else
            conn_drop(conn, CONN_END_IDLE_TIMEOUT, false);
        break;
    case CONN_HANDSHAKE:
        conn_tls_timeout(conn);
        break;
    case CONN_ACTIVE:
        conn->session_ops->timeout(conn->session);
        break;
    case CONN_LINGER:
        conn_drop(conn, conn->end, false);
        break;
    default:
        break;
    }
}

void
conn_pool_init(struct conn_pool *pool, struct loop *loop, struct req_env *req_env,
               const struct conn_config *config)
{
    *pool = (struct conn_pool){.loop = loop, .req_env = req_env, .config = *config};
    pool->waiting_end = &pool->waiting;
}

void
conn_pool_deinit(struct conn_pool *pool)
{
    must(pool->counters.active == 0);
    for (unsigned i = 0; i < pool->chunk_count; i++)
        free(pool->chunks[i]);
    free(pool->chunks);
    conn_tls_pool_deinit(pool);
    h1_pool_deinit(pool);
    h2_pool_deinit(pool);
}

static bool
conn_pool_grow(struct conn_pool *pool)
{
    struct conn **chunks = realloc(pool->chunks, (pool->chunk_count + 1) * sizeof(struct conn *));
    if (!chunks)
        return false;
    pool->chunks = chunks;
    struct conn *chunk = calloc(CONN_CHUNK_SLOTS, sizeof *chunk);
    if (!chunk)
        return false;
    pool->chunks[pool->chunk_count++] = chunk;
    for (unsigned i = CONN_CHUNK_SLOTS; i-- > 0;) {
        chunk[i].state = CONN_CLOSED;
        chunk[i].next = pool->free_conns;
        pool->free_conns = &chunk[i];
    }
    return true;
}

/* Finds the oldest idle connections, oldest last, in one pass over the slots: eviction under
 * pressure then costs one pass for many. */
static void
conn_pool_find_oldest(struct conn_pool *pool)
{
    unsigned found = 0;
    for (unsigned i = 0; i < pool->chunk_count * CONN_CHUNK_SLOTS; i++) {
        struct conn *conn = &pool->chunks[i / CONN_CHUNK_SLOTS][i % CONN_CHUNK_SLOTS];
        if (conn->state != CONN_IDLE)
            continue;
        if (found == CONN_EVICT_BATCH && conn->idle_since_ns >= pool->evict[0].idle_since_ns)
            continue;
        unsigned at;
        if (found < CONN_EVICT_BATCH) {
            for (at = found++; at > 0 && pool->evict[at - 1].idle_since_ns < conn->idle_since_ns;
                 at--)
                pool->evict[at] = pool->evict[at - 1];
        } else {
            for (at = 0; at + 1 < found && pool->evict[at + 1].idle_since_ns > conn->idle_since_ns;
                 at++)
                pool->evict[at] = pool->evict[at + 1];
        }
        pool->evict[at].conn = conn;
        pool->evict[at].idle_since_ns = conn->idle_since_ns;
    }
    pool->evict_count = found;
}

/* Ends the oldest idle connection; one with a request waiting to be read is not idle. False: none
 * is. */
static bool
conn_pool_evict(struct conn_pool *pool)
{
    while (pool->evict_count) {
        pool->evict_count--;
        struct conn *oldest = pool->evict[pool->evict_count].conn;
        if (oldest->state == CONN_IDLE &&
            oldest->idle_since_ns == pool->evict[pool->evict_count].idle_since_ns &&
            !sock_has_input(&oldest->sock)) {
            conn_drop(oldest, CONN_END_EVICTED, false);
            return true;
        }
    }
    return false;
}

/* Whether one more may be served, maybe in place of the oldest idle one. */
static bool
conn_pool_make_room(struct conn_pool *pool)
{
    if (pool->draining || pool->served < pool->config.connections_max || conn_pool_evict(pool))
        return true;
    conn_pool_find_oldest(pool);
    return conn_pool_evict(pool);
}

static void
conn_serve(struct conn *conn)
{
    struct conn_pool *pool = conn->pool;
    pool->served++;
    conn_set_state(conn, CONN_IDLE);
    conn->idle_since_ns = loop_now_ns(pool->loop);
    conn_set_deadline(conn, conn->is_tls ? pool->config.handshake_timeout_ns
                                         : pool->config.header_timeout_ns);
    sock_recv_start(&conn->sock);
}

/* A connection has ended, or may now be ended for another one: those that wait come first. */
static void
conn_pool_serve_waiting(struct conn_pool *pool)
{
    if (!pool->waiting)
        return;
    while (pool->waiting && conn_pool_make_room(pool)) {
        struct conn *conn = pool->waiting;
        pool->waiting = conn->next;
        if (!pool->waiting)
            pool->waiting_end = &pool->waiting;
        conn_serve(conn);
    }
    if (!pool->waiting && pool->has_room)
        pool->has_room(pool->room_arg);
}

bool
conn_accept(struct conn_pool *pool, int fd, bool is_admin, bool is_tls)
{
    if (!pool->free_conns && !conn_pool_grow(pool)) {
        close(fd);
        return true;
    }
    struct conn *conn = pool->free_conns;
    pool->free_conns = conn->next;
    conn_set_state(conn, CONN_WAITING);
    conn->pool = pool;
    conn->is_admin = is_admin;
    conn->is_tls = is_tls;
    conn->request_count = conn->linger_len = conn->burst_len = 0;
    conn->peer_ended = conn->drain_told = false;
    conn->session_ops = &h1_session_ops;
    count(&pool->counters.accepted, 1);
    count(&pool->counters.active, 1);
    timer_init(&conn->timer, conn_timed_out);
    sock_init(&conn->sock, pool->loop, fd, &conn_sock_ops);
    if (!pool->waiting && conn_pool_make_room(pool)) {
        conn_serve(conn);
        return true;
    }
    conn->next = NULL;
    *pool->waiting_end = conn;
    pool->waiting_end = &conn->next;
    return false;
}

void
conn_switch(struct conn *conn, const struct session_ops *ops, struct str bytes)
{
    const struct session_ops *before_ops = conn->session_ops;
    struct session *before = conn->session;
    conn->session_ops = ops;
    conn->session = ops->acquire(conn);
    if (conn->session)
        ops->received(conn->session, bytes.ptr, bytes.len);
    else
        conn_drop(conn, CONN_END_NO_MEMORY, true);
    before_ops->release(before); /* the bytes may have been its own */
}

void
conn_wake(struct conn *conn)
{
    conn_set_state(conn, CONN_ACTIVE);
}

void
conn_go_idle(struct conn *conn)
{
    conn_set_state(conn, CONN_IDLE);
    conn->idle_since_ns = loop_now_ns(conn->sock.loop);
    conn_set_deadline(conn, conn->pool->config.keepalive_timeout_ns);
    sock_recv_start(&conn->sock);
    conn_pool_serve_waiting(conn->pool);
}

void
conn_release_session(struct conn *conn)
{
    if (conn->session)
        conn->session_ops->release(conn->session);
    conn->session = NULL;
}

void
conn_finish(struct conn *conn, enum conn_end end)
{
    conn_release_session(conn);
    if (conn->peer_ended) {
        conn_drop(conn, end, false);
        return;
    }
    if (conn->tls)
        conn_tls_end(conn);
    conn_set_state(conn, CONN_LINGER);
    conn->end = (uint8_t)end;
    sock_shutdown(&conn->sock);
    sock_recv_start(&conn->sock);
    conn_set_deadline(conn, (uint64_t)CONN_LINGER_MS * 1000000);
}

void
conn_drop(struct conn *conn, enum conn_end end, bool broken)
{
    if (conn->state == CONN_CLOSED)
        return;
    if (conn->state != CONN_WAITING)
        conn->pool->served--;
    if (conn->tls && !broken && (conn->state == CONN_IDLE || conn->state == CONN_ACTIVE))
        conn_tls_end(conn);
    conn_set_state(conn, CONN_CLOSED);
    conn->end = (uint8_t)end;
    timer_clear(loop_timers(conn->sock.loop), &conn->timer);
    if (broken)
        sock_abort(&conn->sock);
    else
        sock_close(&conn->sock);
}

void
conn_relay(struct conn *conn)
{
    conn->pool->served--;
    conn_set_state(conn, CONN_CLOSED);
    conn->end = CONN_END_RELAYED;
    conn->relaying = true;
    timer_clear(loop_timers(conn->sock.loop), &conn->timer);
    sock_release(&conn->sock);
}

/* The loop has let go: only now may the session's memory, which the kernel could still have been
 * sending from, be reused. */
static void
conn_closed(struct sock *sock)
{
    struct conn *conn = (struct conn *)sock;
    struct conn_pool *pool = conn->pool;
    conn_release_session(conn);
    if (conn->relaying)
        conn_tls_relay_start(conn);
    conn->relaying = false;
    conn_tls_closed(conn);
    count(&pool->counters.ends[conn->end], 1);
    count(&pool->counters.active, (uint64_t)-1);
    conn->next = pool->free_conns;
    pool->free_conns = conn;
    conn_pool_serve_waiting(pool);
}

void
conn_set_handshake(struct conn *conn)
{
    conn_set_state(conn, CONN_HANDSHAKE);
}

void
conn_established(struct conn *conn)
{
    conn_set_state(conn, CONN_IDLE);
    conn->idle_since_ns = loop_now_ns(conn->sock.loop);
    conn_set_deadline(conn, conn->pool->config.header_timeout_ns);
    if (str_eq(tls_stream_alpn(conn->tls), STR("h2")))
        conn->session_ops = &h2_session_ops;
}

void
conn_deliver_end(struct conn *conn)
{
    conn->peer_ended = true;
    if (conn->state == CONN_ACTIVE)
        conn->session_ops->peer_ended(conn->session);
    else
        conn_drop(conn, conn->state == CONN_LINGER ? conn->end : CONN_END_DONE, false);
}

static void
conn_received_end(struct conn *conn, ssize_t result)
{
    conn->peer_ended = true;
    if (conn->state == CONN_HANDSHAKE) {
        count(&conn->pool->counters.tls_failures[TLS_FAILURE_CLOSED], 1);
        conn_drop(conn, CONN_END_HANDSHAKE, false);
    } else if (result < 0) {
        conn_drop(conn, conn->state == CONN_ACTIVE ? CONN_END_PEER_RESET : CONN_END_DONE, false);
    } else {
        conn_deliver_end(conn);
    }
}

void
conn_deliver(struct conn *conn, const char *data, size_t len)
{
    if (conn->state == CONN_IDLE) {
        if (!conn->session)
            conn->session = conn->session_ops->acquire(conn);
        if (!conn->session) {
            conn_drop(conn, CONN_END_NO_MEMORY, false);
            return;
        }
        conn_set_state(conn, CONN_ACTIVE);
    }
    conn->session_ops->received(conn->session, data, len);
}

static void
conn_received(struct sock *sock, const char *data, ssize_t len)
{
    struct conn *conn = (struct conn *)sock;
    if (conn->relaying) {
        if (len > 0)
            tls_stream_feed(conn->tls, data, (size_t)len); /* kept for the relay */
        return;
    }
    if (len <= 0) {
        conn_received_end(conn, len);
        return;
    }
    if (conn->state == CONN_LINGER) {
        conn->linger_len += (uint32_t)len;
        if (conn->linger_len > CONN_LINGER_MAX)
            conn_drop(conn, conn->end, false);
        return;
    }
    if (conn->is_tls)
        conn_tls_received(conn, data, (size_t)len);
    else
        conn_deliver(conn, data, (size_t)len);
}

static void
conn_sent(struct sock *sock, ssize_t result)
{
    struct conn *conn = (struct conn *)sock;
    if (result < 0) {
        conn_drop(conn, CONN_END_PEER_RESET, false);
        return;
    }
    conn_count_out(conn, (uint64_t)result);
    if (conn->tls)
        conn_tls_sent(conn, (size_t)result);
    else
        conn->session_ops->sent(conn->session, (size_t)result);
}

static const struct sock_ops conn_sock_ops = {conn_received, conn_sent, conn_closed};

void
conn_count_out(struct conn *conn, uint64_t len)
{
    count(&conn->pool->counters.bytes_out, len);
}

ssize_t
conn_send(struct conn *conn, const struct iovec *iov, unsigned iov_count)
{
    if (conn->tls)
        return conn_tls_send(conn, iov, iov_count);
    ssize_t result = sock_send(&conn->sock, iov, iov_count);
    if (result > 0)
        conn_count_out(conn, (uint64_t)result);
    return result;
}

ssize_t
conn_send_file(struct conn *conn, struct str head, int fd, uint64_t off, uint64_t len)
{
    if (conn->tls)
        return conn_tls_send_file(conn, head, fd, off, len);
    ssize_t result = sock_send_file(&conn->sock, head, fd, off, len);
    if (result > 0)
        conn_count_out(conn, (uint64_t)result);
    return result;
}

ssize_t
conn_send_pages(struct conn *conn, struct str head, const char *pages, uint64_t len)
{
    if (conn->tls) {
        struct iovec iov[2] = {{(void *)head.ptr, head.len}, {(void *)pages, len}};
        unsigned first = head.len ? 0 : 1;
        return conn_tls_send(conn, iov + first, 2 - first);
    }
    ssize_t result = sock_send_pages(&conn->sock, head, pages, len);
    if (result > 0)
        conn_count_out(conn, (uint64_t)result);
    return result;
}

ssize_t
conn_yield(struct conn *conn)
{
    sock_yield(&conn->sock);
    return SOCK_PENDING;
}

unsigned
conn_pool_drain(struct conn_pool *pool, uint64_t idle_ns)
{
    uint64_t now_ns = loop_now_ns(pool->loop);
    pool->draining = true;
    conn_pool_serve_waiting(pool);
    for (unsigned i = 0; i < pool->chunk_count * CONN_CHUNK_SLOTS; i++) {
        struct conn *conn = &pool->chunks[i / CONN_CHUNK_SLOTS][i % CONN_CHUNK_SLOTS];
        bool lives = conn->state == CONN_IDLE || conn->state == CONN_ACTIVE;
        if (lives && conn->session && !conn->drain_told && conn->session_ops->drain) {
            conn->drain_told = true;
            conn->session_ops->drain(conn->session);
        }
        if (conn->state == CONN_IDLE && now_ns - conn->idle_since_ns >= idle_ns)
            conn_drop(conn, CONN_END_DRAINED, false);
    }
    return (unsigned)pool->counters.active;
}

void
conn_pool_abort(struct conn_pool *pool)
{
    pool->draining = true;
    conn_pool_serve_waiting(pool);
    for (unsigned i = 0; i < pool->chunk_count * CONN_CHUNK_SLOTS; i++)
        conn_drop(&pool->chunks[i / CONN_CHUNK_SLOTS][i % CONN_CHUNK_SLOTS], CONN_END_DRAINED,
                  true);
}
