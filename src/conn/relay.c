#include "conn/relay.h"

#include "base/buf.h"
#include "base/must.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* A relay looks its target up, connects to one address after the other, then copies. One timer
 * counts first the time to a connection, then the time without progress.
 *
 * What comes in is offered to the other side at once, straight from the loop's buffer; only what
 * that does not take is copied into the lane, and then the source is not read until the lane is
 * empty. As stopping is not sharp, a lane has room for what the loop may still hand over. The
 * client is read only from the moment that there is an upstream.
 *
 * A relay's memory is its own until both socks are closed; `ended` says that it only waits for
 * that.
 */

enum { PREFIX_LEN = 128, LANE_MAX = RELAY_BUFFER_LEN + CONN_STASH_SLACK };

struct lane {
    struct buf waiting; /* for room at the destination */
    size_t taken_len;   /* bytes at its front that the destination has; they go when all have */
    uint64_t *counter;
    bool ended; /* the source has */
    bool told;  /* and the destination knows */
};

struct relay {
    struct sock client; /* first */
    struct sock upstream;
    struct relay_pool *pool;
    struct relay *next, **link;
    struct resolver_lookup *lookup; /* under way, or NULL */
    struct timer timer;
    struct lane up, down;
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    unsigned address_count, address_next;
    uint8_t open_socks;
    bool upstream_open, connected, ended;
    uint8_t prefix_len;
    char prefix[PREFIX_LEN]; /* of what the client sent */
};

const char *
relay_end_name(enum relay_end end)
{
    static const char *const names[] = {
#define X(name, text) [RELAY_END_##name] = text,
        RELAY_END_TABLE(X)
#undef X
    };
    return names[end];
}

static struct relay *
relay_of_upstream(struct sock *sock)
{
    return (struct relay *)((char *)sock - offsetof(struct relay, upstream));
}

/* --- ends --- */

static void
relay_free(struct relay *relay)
{
    *relay->link = relay->next;
    if (relay->next)
        relay->next->link = relay->link;
    buf_deinit(&relay->up.waiting);
    buf_deinit(&relay->down.waiting);
    free(relay);
}

static void
relay_end(struct relay *relay, enum relay_end end)
{
    void (*close_sock)(struct sock *) = relay->connected ? sock_abort : sock_close;
    if (relay->ended)
        return;
    relay->ended = true;
    relay->pool->counters.ends[end]++;
    relay->pool->counters.active--;
    timer_clear(loop_timers(relay->pool->loop), &relay->timer);
    if (relay->lookup)
        resolver_cancel(relay->lookup);
    relay->lookup = NULL;
    if (end == RELAY_END_DONE)
        close_sock = sock_close;
    close_sock(&relay->client);
    if (relay->upstream_open)
        close_sock(&relay->upstream);
}

static void
relay_timeout(struct timer *timer)
{
    struct relay *relay = (struct relay *)((char *)timer - offsetof(struct relay, timer));
    relay_end(relay, relay->connected ? RELAY_END_IDLE_TIMEOUT : RELAY_END_CONNECT_TIMEOUT);
}

static void
relay_progress(struct relay *relay)
{
    struct loop *loop = relay->pool->loop;
    timer_set(loop_timers(loop), &relay->timer,
              loop_now_ns(loop) + relay->pool->config.idle_timeout_ns);
}

/* --- copying --- */

/* Offers bytes to the destination; returns how many it took, -1: it has failed. */
static ssize_t
lane_offer(struct lane *lane, struct sock *to, struct str bytes)
{
    size_t done = 0;
    while (done < bytes.len && !to->send_pending) {
        ssize_t sent = sock_send_now(to, str_skip(bytes, done));
        if (sent == SOCK_PENDING)
            break;
        if (sent < 0)
            return -1;
        done += (size_t)sent;
    }
    *lane->counter += done;
    return (ssize_t)done;
}

/* Keeps what was not taken. False: more than there is room for. */
static bool
lane_keep(struct lane *lane, struct sock *from, struct str bytes)
{
    if (bytes.len == 0)
        return true;
    sock_recv_stop(from);
    buf_append(&lane->waiting, bytes);
    return !buf_overflowed(&lane->waiting);
}

static struct str
lane_waiting(const struct lane *lane)
{
    return str_skip(buf_str(&lane->waiting), lane->taken_len);
}

/* After the lane has run empty. */
static void
lane_go_on(struct lane *lane, struct sock *from, struct sock *to)
{
    buf_clear(&lane->waiting);
    lane->taken_len = 0;
    if (lane->waiting.cap > RELAY_BUFFER_LEN)
        buf_deinit(&lane->waiting);
    if (!lane->ended) {
        sock_recv_start(from);
    } else if (!lane->told) {
        lane->told = true;
        sock_shutdown(to);
    }
}

static void
relay_check_done(struct relay *relay)
{
    if (relay->up.told && relay->down.told)
        relay_end(relay, RELAY_END_DONE);
}

static void
lane_received(struct relay *relay, struct lane *lane, struct sock *from, struct sock *to,
              struct str bytes)
{
    relay_progress(relay);
    ssize_t taken = lane->waiting.len ? 0 : lane_offer(lane, to, bytes);
    if (taken < 0 || !lane_keep(lane, from, str_skip(bytes, (size_t)taken)))
        relay_end(relay, RELAY_END_RESET);
}

static void
lane_source_ended(struct relay *relay, struct lane *lane, struct sock *from, struct sock *to)
{
    lane->ended = true;
    if (lane->waiting.len == 0)
        lane_go_on(lane, from, to);
    relay_check_done(relay);
}

static void
lane_input(struct relay *relay, struct lane *lane, struct sock *from, struct sock *to,
           struct str bytes, ssize_t result)
{
    if (relay->ended)
        return;
    if (result > 0)
        lane_received(relay, lane, from, to, bytes);
    else if (result == 0)
        lane_source_ended(relay, lane, from, to);
    else
        relay_end(relay, RELAY_END_RESET);
}

/* The destination has room again. */
static void
lane_writable(struct relay *relay, struct lane *lane, struct sock *from, struct sock *to,
              ssize_t result)
{
    ssize_t taken = result < 0 ? -1 : lane_offer(lane, to, lane_waiting(lane));
    if (taken < 0) {
        relay_end(relay, RELAY_END_RESET);
        return;
    }
    if (taken > 0)
        relay_progress(relay);
    lane->taken_len += (size_t)taken;
    if (lane_waiting(lane).len == 0 && !to->send_pending)
        lane_go_on(lane, from, to);
    relay_check_done(relay);
}

/* --- connecting --- */

static void relay_connect_next(struct relay *relay);

static void
relay_connected(struct relay *relay)
{
    int on = 1;
    relay->connected = true;
    setsockopt(relay->upstream.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(relay->client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    relay_progress(relay);
    sock_recv_start(&relay->upstream);
    lane_writable(relay, &relay->up, &relay->client, &relay->upstream, 0);
}

/* Tries the next address once this sock is closed. */
static void
relay_connect_failed(struct relay *relay)
{
    sock_close(&relay->upstream);
}

static int
relay_socket(const struct resolver_address *address)
{
    return socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static const struct sock_ops upstream_ops;

static void
relay_connect_to(struct relay *relay, const struct resolver_address *address, int fd)
{
    sock_init(&relay->upstream, relay->pool->loop, fd, &upstream_ops);
    relay->upstream_open = true;
    relay->open_socks++;
    int result =
        sock_connect(&relay->upstream, (const struct sockaddr *)&address->storage, address->len);
    if (result == 0)
        relay_connected(relay);
    else if (result != SOCK_PENDING)
        relay_connect_failed(relay);
}

static void
relay_connect_next(struct relay *relay)
{
    while (relay->address_next < relay->address_count) {
        const struct resolver_address *address = &relay->addresses[relay->address_next++];
        int fd = relay_socket(address);
        if (fd < 0)
            continue;
        relay_connect_to(relay, address, fd);
        return;
    }
    relay_end(relay, RELAY_END_CONNECT_FAILED);
}

static void
relay_resolved(void *arg, const struct resolver_answer *answer)
{
    struct relay *relay = arg;
    const struct relay_config *config = &relay->pool->config;
    relay->lookup = NULL;
    if (answer->failure) {
        relay_end(relay, RELAY_END_RESOLVE_FAILED);
        return;
    }
    for (unsigned i = 0; i < answer->count; i++) {
        const struct resolver_address *address = &answer->addresses[i];
        if (!config->is_own(config->is_own_arg, (const struct sockaddr *)&address->storage,
                            address->len))
            relay->addresses[relay->address_count++] = *address;
    }
    if (relay->address_count == 0)
        relay_end(relay, RELAY_END_LOOP);
    else
        relay_connect_next(relay);
}

/* --- what the loop calls --- */

static void
client_received(struct sock *sock, const char *data, ssize_t len)
{
    struct relay *relay = (struct relay *)sock;
    lane_input(relay, &relay->up, sock, &relay->upstream, str_make(data, len > 0 ? (size_t)len : 0),
               len);
}

static void
client_sent(struct sock *sock, ssize_t result)
{
    struct relay *relay = (struct relay *)sock;
    if (!relay->ended)
        lane_writable(relay, &relay->down, &relay->upstream, sock, result);
}

static void
client_closed(struct sock *sock)
{
    struct relay *relay = (struct relay *)sock;
    if (--relay->open_socks == 0)
        relay_free(relay);
}

static void
upstream_received(struct sock *sock, const char *data, ssize_t len)
{
    struct relay *relay = relay_of_upstream(sock);
    lane_input(relay, &relay->down, sock, &relay->client, str_make(data, len > 0 ? (size_t)len : 0),
               len);
}

static void
upstream_sent(struct sock *sock, ssize_t result)
{
    struct relay *relay = relay_of_upstream(sock);
    if (relay->ended)
        return;
    if (relay->connected)
        lane_writable(relay, &relay->up, &relay->client, sock, result);
    else if (result < 0)
        relay_connect_failed(relay);
    else
        relay_connected(relay);
}

static void
upstream_closed(struct sock *sock)
{
    struct relay *relay = relay_of_upstream(sock);
    relay->upstream_open = false;
    if (--relay->open_socks == 0)
        relay_free(relay);
    else if (!relay->ended)
        relay_connect_next(relay);
}

static const struct sock_ops client_ops = {client_received, client_sent, client_closed};
static const struct sock_ops upstream_ops = {upstream_received, upstream_sent, upstream_closed};

/* --- the pool --- */

void
relay_pool_init(struct relay_pool *pool, struct loop *loop, struct resolver *resolver,
                const struct relay_config *config)
{
    *pool = (struct relay_pool){.loop = loop, .resolver = resolver, .config = *config};
}

unsigned
relay_pool_count(const struct relay_pool *pool)
{
    unsigned count = 0;
    for (const struct relay *relay = pool->relays; relay; relay = relay->next)
        count++;
    return count;
}

void
relay_pool_abort(struct relay_pool *pool)
{
    for (struct relay *relay = pool->relays; relay; relay = relay->next)
        relay_end(relay, RELAY_END_ABORTED);
}

void
relay_pool_deinit(struct relay_pool *pool)
{
    must(!pool->relays);
}

/* Whether a relay that is under way began with the same bytes. */
static bool
has_come_round(const struct relay_pool *pool, struct str buffered)
{
    struct str prefix = str_first(buffered, PREFIX_LEN);
    for (const struct relay *relay = pool->relays; prefix.len && relay; relay = relay->next)
        if (!relay->ended && str_eq(prefix, str_make(relay->prefix, relay->prefix_len)))
            return true;
    return false;
}

static struct relay *
relay_new(struct relay_pool *pool, struct str buffered)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return NULL;
    buf_init(&relay->up.waiting, LANE_MAX + RELAY_BUFFERED_MAX);
    buf_init(&relay->down.waiting, LANE_MAX);
    buf_append(&relay->up.waiting, buffered);
    if (buf_overflowed(&relay->up.waiting)) {
        free(relay);
        return NULL;
    }
    relay->pool = pool;
    relay->up.counter = &pool->counters.bytes_up;
    relay->down.counter = &pool->counters.bytes_down;
    relay->prefix_len = (uint8_t)str_first(buffered, PREFIX_LEN).len;
    if (relay->prefix_len)
        memcpy(relay->prefix, buffered.ptr, relay->prefix_len);
    timer_init(&relay->timer, relay_timeout);
    return relay;
}

static void
relay_enter(struct relay *relay, int client_fd)
{
    struct relay_pool *pool = relay->pool;
    sock_init(&relay->client, pool->loop, client_fd, &client_ops);
    relay->open_socks = 1;
    relay->next = pool->relays;
    relay->link = &pool->relays;
    if (relay->next)
        relay->next->link = &relay->next;
    pool->relays = relay;
    pool->counters.active++;
    timer_set(loop_timers(pool->loop), &relay->timer,
              loop_now_ns(pool->loop) + pool->config.connect_timeout_ns);
}

static bool
refuse(struct relay_pool *pool, int client_fd, enum relay_end end)
{
    close(client_fd);
    pool->counters.ends[end]++;
    return false;
}

bool
relay_start(struct relay_pool *pool, int client_fd, struct str buffered,
            const struct relay_target *target)
{
    pool->counters.started++;
    if (pool->counters.active >= pool->config.relays_max || buffered.len > RELAY_BUFFERED_MAX)
        return refuse(pool, client_fd, RELAY_END_FULL);
    if (has_come_round(pool, buffered))
        return refuse(pool, client_fd, RELAY_END_LOOP);
    struct relay *relay = relay_new(pool, buffered);
    if (!relay)
        return refuse(pool, client_fd, RELAY_END_FULL);
    relay_enter(relay, client_fd);
    relay->lookup = resolver_lookup(pool->resolver, target->host, target->port, pool->loop,
                                    relay_resolved, relay);
    if (relay->lookup)
        return true;
    relay_end(relay, RELAY_END_RESOLVE_FAILED);
    return false;
}
