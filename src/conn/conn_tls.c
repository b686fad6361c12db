#include "conn/conn_tls.h"

#include "base/must.h"
#include "tls/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

/* One function, tls_run, moves a stream on: handshake first, then reading. It is called with new
 * wire bytes, and again when there is room for output that did not fit.
 */

static void tls_run(struct conn *conn);

static void
count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* --- output buffers --- */

static struct tls_output *
output_acquire(struct conn_pool *pool, bool large)
{
    struct tls_output **free_list = large ? &pool->large_outputs : &pool->small_outputs;
    uint32_t cap = large ? CONN_TLS_LARGE_LEN : CONN_TLS_SMALL_LEN;
    struct tls_output *output = *free_list;
    if (output) {
        *free_list = output->next;
        pool->output_counts[large]--;
    } else {
        output = malloc(sizeof *output + cap);
        if (!output)
            return NULL;
        output->cap = cap;
    }
    output->off = output->len = 0;
    return output;
}

static void
output_release(struct conn *conn)
{
    struct conn_pool *pool = conn->pool;
    struct tls_output *output = conn->output;
    if (!output)
        return;
    bool large = output->cap == CONN_TLS_LARGE_LEN;
    conn->output = NULL;
    tls_stream_set_output(conn->tls, NULL);
    if (pool->output_counts[large] == CONN_TLS_OUTPUTS_KEPT) {
        free(output);
        return;
    }
    struct tls_output **free_list = large ? &pool->large_outputs : &pool->small_outputs;
    output->next = *free_list;
    *free_list = output;
    pool->output_counts[large]++;
}

/* Makes sure that there is a buffer. A large one takes the place of an empty small one. */
static bool
output_prepare(struct conn *conn, bool large)
{
    struct tls_output *output = conn->output;
    if (output && large && output->len == 0 && output->cap != CONN_TLS_LARGE_LEN)
        output_release(conn);
    if (!conn->output) {
        conn->output = output_acquire(conn->pool, large);
        tls_stream_set_output(conn->tls, conn->output);
    }
    return conn->output;
}

static void
free_list(struct tls_output *output)
{
    while (output) {
        struct tls_output *next = output->next;
        free(output);
        output = next;
    }
}

void
conn_tls_pool_deinit(struct conn_pool *pool)
{
    free_list(pool->small_outputs);
    free_list(pool->large_outputs);
    free(pool->plain_in);
    free(pool->plain_out);
}

/* --- sending --- */

/* Sends the output. 0: all of it has gone, and the buffer with it; or SOCK_PENDING, or -errno. */
static ssize_t
output_flush(struct conn *conn)
{
    struct tls_output *output = conn->output;
    while (output && output->off < output->len) {
        struct iovec iov = {output->data + output->off, output->len - output->off};
        ssize_t sent = output->cap == CONN_TLS_LARGE_LEN
                           ? sock_send_now(&conn->sock, str_make(iov.iov_base, iov.iov_len))
                           : sock_send(&conn->sock, &iov, 1);
        if (sent < 0)
            return sent;
        conn_count_out(conn, (uint64_t)sent);
        output->off += (uint32_t)sent;
    }
    output_release(conn);
    return 0;
}

/* What the session is told of a send: the plain bytes that have gone out with the output. */
static ssize_t
flush_for_session(struct conn *conn)
{
    ssize_t result = output_flush(conn);
    if (result != 0)
        return result;
    size_t plain_len = conn->plain_len;
    conn->plain_len = 0;
    return (ssize_t)plain_len;
}

/* Records are small at the start of a burst, so that the peer can use the first bytes before the
 * whole congestion window has come, and full when it runs. Returns the most that one record may
 * have, and how many bytes that holds for. */
static size_t
record_len(const struct conn *conn, size_t *until)
{
    static const struct {
        uint32_t up_to, record;
    } steps[] = {{1300, 1300}, {1300 + 3 * 4096, 4096}};
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++)
        if (conn->burst_len < steps[i].up_to) {
            *until = steps[i].up_to - conn->burst_len;
            return steps[i].record;
        }
    *until = SIZE_MAX;
    return TLS_RECORD_MAX;
}

static size_t
gathered_len(const struct iovec *iov, unsigned iov_count)
{
    size_t len = 0;
    for (unsigned i = 0; i < iov_count; i++)
        len += iov[i].iov_len;
    return len;
}

/* The part of the gathered bytes from `off` on, at most `max`. Returns its count of pieces. */
static unsigned
gathered_part(const struct iovec *iov, unsigned iov_count, size_t off, size_t max,
              struct iovec *part)
{
    unsigned count = 0;
    for (unsigned i = 0; i < iov_count && max; i++) {
        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        size_t len = iov[i].iov_len - off;
        if (len > max)
            len = max;
        part[count++] = (struct iovec){(char *)iov[i].iov_base + off, len};
        max -= len;
        off = 0;
    }
    return count;
}

/* Seals what there is room for. -1: the stream has failed. */
static ssize_t
seal(struct conn *conn, const struct iovec *iov, unsigned iov_count, size_t len)
{
    uint64_t now_ns = loop_now_ns(conn->sock.loop);
    if (now_ns - conn->sealed_ns > (uint64_t)CONN_TLS_BURST_MS * 1000000)
        conn->burst_len = 0;
    conn->sealed_ns = now_ns;
    size_t done = 0;
    while (done < len) {
        struct iovec part[SOCK_IOV_MAX];
        size_t until;
        size_t record = record_len(conn, &until);
        unsigned count = gathered_part(iov, iov_count, done, until, part);
        size_t wanted = gathered_len(part, count);
        ssize_t sealed = tls_stream_seal(conn->tls, part, count, record);
        if (sealed < 0)
            return -1;
        done += (size_t)sealed;
        conn->burst_len += (uint32_t)(conn->burst_len < TLS_RECORD_MAX ? sealed : 0);
        if ((size_t)sealed < wanted)
            break;
    }
    return (ssize_t)done;
}

ssize_t
conn_tls_send(struct conn *conn, const struct iovec *iov, unsigned iov_count)
{
    size_t len = gathered_len(iov, iov_count);
    if (!output_prepare(conn, len > CONN_TLS_SMALL_PLAIN))
        return -ENOMEM;
    ssize_t sealed = seal(conn, iov, iov_count, len);
    if (sealed < 0)
        return -EPROTO;
    conn->plain_len += (size_t)sealed;
    return flush_for_session(conn);
}

/* A worker's scratch for plain bytes. */
static char *
scratch(char **bytes)
{
    if (!*bytes)
        *bytes = malloc(CONN_TLS_PLAIN_LEN);
    return *bytes;
}

ssize_t
conn_tls_send_file(struct conn *conn, struct str head, int fd, uint64_t off, uint64_t len)
{
    char *plain = scratch(&conn->pool->plain_out);
    if (!plain)
        return -ENOMEM;
    ssize_t got;
    do {
        got = pread(fd, plain, len < CONN_TLS_PLAIN_LEN ? len : CONN_TLS_PLAIN_LEN, (off_t)off);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got == 0 ? -ENODATA : -errno;
    struct iovec iov[2] = {{(void *)head.ptr, head.len}, {plain, (size_t)got}};
    unsigned first = head.len ? 0 : 1;
    return conn_tls_send(conn, iov + first, 2 - first);
}

/* --- the handshake --- */

void
conn_tls_leave_handshake(struct conn *conn)
{
    struct conn_pool *pool = conn->pool;
    if (conn->handshake_prev)
        conn->handshake_prev->handshake_next = conn->handshake_next;
    else
        pool->oldest_handshake = conn->handshake_next;
    if (conn->handshake_next)
        conn->handshake_next->handshake_prev = conn->handshake_prev;
    else
        pool->newest_handshake = conn->handshake_prev;
    pool->handshake_count--;
}

static void
enter_handshake(struct conn *conn)
{
    struct conn_pool *pool = conn->pool;
    conn->handshake_next = NULL;
    conn->handshake_prev = pool->newest_handshake;
    if (pool->newest_handshake)
        pool->newest_handshake->handshake_next = conn;
    else
        pool->oldest_handshake = conn;
    pool->newest_handshake = conn;
    pool->handshake_count++;
}

static void
count_failure(struct conn *conn, enum tls_failure failure)
{
    count(&conn->pool->counters.tls_failures[failure]);
}

void
conn_tls_timeout(struct conn *conn)
{
    count_failure(conn, TLS_FAILURE_TIMEOUT);
    conn_drop(conn, CONN_END_HANDSHAKE, false);
}

/* The alert may still go out; nothing of it is waited for. */
static void
send_last(struct conn *conn)
{
    struct tls_output *output = conn->output;
    if (!output || conn->sock.send_pending)
        return;
    sock_send_last(&conn->sock, str_make(output->data + output->off, output->len - output->off));
    output->off = output->len;
}

void
conn_tls_relay_start(struct conn *conn)
{
    struct conn_pool *pool = conn->pool;
    struct relay_target target = pool->relay_target;
    struct str fed = tls_stream_fed(conn->tls);
    if (target.host.len == 0)
        target = (struct relay_target){tls_stream_outer_sni(conn->tls), 443};
    if (fed.len) {
        (void)relay_start(pool->relays, conn->sock.fd, fed, &target);
        return;
    }
    count_failure(conn, TLS_FAILURE_OTHER); /* more than is kept came behind the hello */
    close(conn->sock.fd);
}

static void
handshake_failed(struct conn *conn)
{
    if (conn->pool->relays && tls_stream_wants_relay(conn->tls) && !conn->sock.send_pending) {
        conn_relay(conn);
        return;
    }
    count_failure(conn, tls_stream_failure(conn->tls));
    send_last(conn);
    conn_finish(conn, CONN_END_HANDSHAKE);
}

static bool
looks_like_http(const char *data, size_t len)
{
    for (size_t i = 0; i < len && i < 3; i++)
        if (data[i] < 'A' || data[i] > 'Z')
            return false;
    return true;
}

/* Somebody speaks HTTP where TLS is spoken: a line that says so helps more than a broken
 * handshake. */
static void
answer_plain_http(struct conn *conn)
{
    char text[256];
    static const char body[] = "400 Bad Request: this port speaks https\n";
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 400 Bad Request\r\nDate: %.*s\r\nContent-Type: text/plain\r\n"
                       "Content-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n"
                       "Cache-Control: no-store\r\nConnection: close\r\n\r\n%s",
                       HTTP_DATE_LEN, conn->pool->req_env->date, sizeof body - 1, body);
    must(len > 0 && (size_t)len < sizeof text);
    count_failure(conn, TLS_FAILURE_PLAIN_HTTP);
    sock_send_last(&conn->sock, str_make(text, (size_t)len));
    conn_finish(conn, CONN_END_HANDSHAKE);
}

/* The first byte has come: makes the stream. False: the connection has ended. */
static bool
handshake_begin(struct conn *conn, const char *data, size_t len)
{
    struct conn_pool *pool = conn->pool;
    conn_set_handshake(conn);
    enter_handshake(conn);
    if (looks_like_http(data, len)) {
        answer_plain_http(conn);
        return false;
    }
    req_env_refresh(pool->req_env);
    conn->tls = tls_stream_new(pool->req_env->pin->tls);
    if (!conn->tls) {
        conn_drop(conn, CONN_END_NO_MEMORY, true);
        return false;
    }
    if (pool->handshake_count > CONN_HANDSHAKES_MAX) {
        count_failure(pool->oldest_handshake, TLS_FAILURE_EVICTED);
        conn_drop(pool->oldest_handshake, CONN_END_HANDSHAKE, false);
    }
    return true;
}

static void
handshake_done(struct conn *conn)
{
    struct conn_counters *counters = &conn->pool->counters;
    count(&counters->tls_handshakes);
    if (tls_stream_resumed(conn->tls))
        count(&counters->tls_resumed);
    if (tls_stream_ech_accepted(conn->tls))
        count(&counters->tls_ech_accepted);
    conn_established(conn);
}

/* --- moving on --- */

/* False: go no further now. */
static bool
run_handshake(struct conn *conn)
{
    for (;;) {
        if (!output_prepare(conn, true)) {
            conn_drop(conn, CONN_END_NO_MEMORY, true);
            return false;
        }
        switch (tls_stream_handshake(conn->tls)) {
        case TLS_DONE:
            handshake_done(conn);
            return true;
        case TLS_WANTS_ROOM:
            if (!conn->sock.send_pending && output_flush(conn) == 0)
                continue;
            return false;
        case TLS_FAILED:
            handshake_failed(conn);
            return false;
        case TLS_ENDED:
        case TLS_WANTS_INPUT:
            return false;
        }
    }
}

static void
run_reads(struct conn *conn)
{
    char *plain = scratch(&conn->pool->plain_in);
    /* An output, because a read that fails leaves an alert. */
    if (!plain || !output_prepare(conn, false)) {
        conn_drop(conn, CONN_END_NO_MEMORY, true);
        return;
    }
    while (conn->state == CONN_IDLE || conn->state == CONN_ACTIVE) {
        size_t len;
        switch (tls_stream_read(conn->tls, plain, CONN_TLS_PLAIN_LEN, &len)) {
        case TLS_DONE:
            conn_deliver(conn, plain, len);
            break;
        case TLS_ENDED:
            conn_deliver_end(conn);
            return;
        case TLS_FAILED:
            send_last(conn);
            conn_drop(conn, CONN_END_TLS, false);
            return;
        case TLS_WANTS_ROOM:
        case TLS_WANTS_INPUT:
            return;
        }
    }
}

static void
tls_run(struct conn *conn)
{
    if (conn->state == CONN_HANDSHAKE && !run_handshake(conn) && conn->state != CONN_HANDSHAKE)
        return;
    if (conn->state != CONN_HANDSHAKE)
        run_reads(conn);
    if (conn->state == CONN_CLOSED || conn->state == CONN_LINGER)
        return;
    if (conn->output && !conn->sock.send_pending) {
        ssize_t result = output_flush(conn);
        if (result < 0 && result != SOCK_PENDING)
            conn_drop(conn, CONN_END_PEER_RESET, false);
    }
    if (conn->tls && !tls_stream_hold_input(conn->tls))
        conn_drop(conn, CONN_END_NO_MEMORY, true);
}

void
conn_tls_received(struct conn *conn, const char *data, size_t len)
{
    if (!conn->tls && !handshake_begin(conn, data, len))
        return;
    tls_stream_feed(conn->tls, data, len);
    tls_run(conn);
}

void
conn_tls_sent(struct conn *conn, size_t len)
{
    struct tls_output *output = conn->output;
    if (output)
        output->off += (uint32_t)len;
    ssize_t result = flush_for_session(conn);
    if (result == SOCK_PENDING)
        return;
    if (result < 0) {
        conn_drop(conn, CONN_END_PEER_RESET, false);
        return;
    }
    if (conn->session)
        conn->session_ops->sent(conn->session, (size_t)result);
    if (conn->state != CONN_CLOSED && conn->state != CONN_LINGER && tls_stream_has_input(conn->tls))
        tls_run(conn);
}

void
conn_tls_end(struct conn *conn)
{
    if (conn->sock.send_pending || !output_prepare(conn, false))
        return;
    tls_stream_end(conn->tls);
    send_last(conn);
    output_release(conn);
}

void
conn_tls_closed(struct conn *conn)
{
    if (!conn->tls)
        return;
    output_release(conn);
    tls_stream_free(conn->tls);
    conn->tls = NULL;
    conn->plain_len = 0;
}
