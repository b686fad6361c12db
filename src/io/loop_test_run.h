/* loop_test_run: for the tests of the loop: a loop that runs until a condition holds, peers on the
 * loop with a notebook of what happened to them, and the other ends as plain sockets.
 *
 * Everything runs on the test's thread: the other ends are never waited for in a system call, they
 * are looked at between turns.
 */
#ifndef TARN_IO_LOOP_TEST_RUN_H
#define TARN_IO_LOOP_TEST_RUN_H

#include "base/limits.h"
#include "io/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MS ((uint64_t)1000000)

enum { PATIENCE_MS = 10000, TICK_MS = 2 };

struct world {
    struct loop *loop;
    struct timer tick; /* looks at the condition even when the loop has nothing to do */
    bool (*done)(void *arg);
    void *done_arg;
    uint64_t give_up_ns;
    unsigned turns;
    bool gave_up;
};

static enum loop_backend world_backend;

static inline struct world *
world_of_tick(struct timer *timer)
{
    return (struct world *)((char *)timer - offsetof(struct world, tick));
}

static inline void
world_tick(struct timer *timer)
{
    struct world *world = world_of_tick(timer);
    uint64_t now_ns = loop_now_ns(world->loop);
    timer_set(loop_timers(world->loop), timer, now_ns + TICK_MS * MS);
}

static inline void
world_look(void *arg)
{
    struct world *world = arg;
    if (world->done && world->done(world->done_arg)) {
        world->done = NULL;
        loop_stop(world->loop);
    } else if (world->turns++ && loop_now_ns(world->loop) >= world->give_up_ns) {
        world->gave_up = true;
        loop_stop(world->loop);
    }
}

/* Runs the loop until `done`, at most so long, but for one turn at least. Whether it was. */
static inline bool
world_runs_until(struct world *world, bool (*done)(void *arg), void *arg, unsigned ms)
{
    const struct loop_hooks hooks = {.sleeps = world_look, .arg = world};
    world->done = done;
    world->done_arg = arg;
    world->gave_up = false;
    world->turns = 0;
    world->give_up_ns = loop_now_ns(world->loop) + ms * MS;
    timer_set(loop_timers(world->loop), &world->tick, loop_now_ns(world->loop) + TICK_MS * MS);
    loop_run(world->loop, &hooks);
    timer_clear(loop_timers(world->loop), &world->tick);
    return !world->gave_up;
}

#define run_until(world, done, arg)                                 \
    do {                                                            \
        if (!world_runs_until((world), (done), (arg), PATIENCE_MS)) \
            fail_msg("waited in vain for %s(%s)", #done, #arg);     \
    } while (0)

static inline bool
never(void *arg)
{
    return false;
}

/* For what must not happen: gives it the time to. */
static inline void
run_for(struct world *world, unsigned ms)
{
    assert_false(world_runs_until(world, never, NULL, ms));
}

static inline int
world_setup(void **state)
{
    struct error error;
    struct world *world = calloc(1, sizeof *world);
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    if (!world || loop_new(&world->loop, world_backend, &error) != 0)
        return -1;
    timer_init(&world->tick, world_tick);
    *state = world;
    return 0;
}

static inline int
world_teardown(void **state)
{
    struct world *world = *state;
    loop_free(world->loop);
    free(world);
    return 0;
}

/* --- bytes that tell their place --- */

static inline char
pattern_at(uint64_t at)
{
    return (char)(at * 131 + (at >> 8) * 7 + (at >> 16));
}

static inline void
pattern_fill(char *out, uint64_t from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = pattern_at(from + i);
}

static inline void
assert_pattern(const char *data, uint64_t from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != pattern_at(from + i))
            fail_msg("wrong byte at %llu", (unsigned long long)(from + i));
}

/* --- a sock on the loop, and what happened to it --- */

struct peer {
    struct sock sock; /* first */
    struct world *world;
    int client; /* the other end; -1: closed */
    uint64_t received_len;
    unsigned received_count; /* calls with bytes */
    unsigned end_count;      /* calls without */
    ssize_t end;
    unsigned sent_count;
    ssize_t sent_result; /* the last */
    unsigned closed_count;
    bool in_callback, closed_in_callback;
    uint64_t client_len; /* bytes the other end has read */
    ssize_t client_end;  /* 1: goes on; 0 or -errno: the last recv there */
    void (*on_received)(struct peer *peer);
    void (*on_sent)(struct peer *peer);
};

static inline void
peer_received(struct sock *sock, const char *data, ssize_t len)
{
    struct peer *peer = (struct peer *)sock;
    assert_int_equal(peer->closed_count, 0);
    assert_int_equal(peer->end_count, 0);
    if (len > 0) {
        assert_pattern(data, peer->received_len, (size_t)len);
        peer->received_len += (uint64_t)len;
        peer->received_count++;
    } else {
        peer->end = len;
        peer->end_count++;
    }
    peer->in_callback = true;
    if (peer->on_received)
        peer->on_received(peer);
    peer->in_callback = false;
}

static inline void
peer_sent(struct sock *sock, ssize_t result)
{
    struct peer *peer = (struct peer *)sock;
    assert_int_equal(peer->closed_count, 0);
    peer->sent_count++;
    peer->sent_result = result;
    if (peer->on_sent)
        peer->on_sent(peer);
}

static inline void
peer_closed(struct sock *sock)
{
    struct peer *peer = (struct peer *)sock;
    peer->closed_count++;
    peer->closed_in_callback |= peer->in_callback;
}

static const struct sock_ops peer_ops = {peer_received, peer_sent, peer_closed};

static inline int
listen_on_loopback(struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *addr;
    *addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)addr, len), 0);
    assert_int_equal(listen(fd, 1024), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)addr, &len), 0);
    return fd;
}

static inline int
connect_to(const struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)addr, sizeof *addr), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Two ends of a TCP connection; the buffers between them are small, so that they fill up. */
static inline void
peer_connect(struct peer *peer, struct world *world)
{
    struct sockaddr_in addr;
    int small = 32768, one = 1;
    int listening = listen_on_loopback(&addr);
    struct sock sock = peer->sock; /* keeps its generation */
    *peer = (struct peer){.sock = sock, .world = world, .client_end = 1};
    peer->client = connect_to(&addr);
    fcntl(listening, F_SETFL, 0);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listening);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(peer->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sock_init(&peer->sock, world->loop, fd, &peer_ops);
}

static inline bool
peer_is_closed(void *arg)
{
    const struct peer *peer = arg;
    return peer->closed_count > 0;
}

static inline bool
peer_has_ended(void *arg)
{
    const struct peer *peer = arg;
    return peer->end_count > 0;
}

static inline void
peer_disconnect(struct peer *peer)
{
    sock_close(&peer->sock);
    run_until(peer->world, peer_is_closed, peer);
    assert_int_equal(peer->closed_count, 1);
    if (peer->client >= 0)
        close(peer->client);
    peer->client = -1;
}

/* The other end reads at most so much of the pattern. */
static inline void
client_read(struct peer *peer, size_t max)
{
    char bytes[65536];
    while (max && peer->client_end > 0) {
        ssize_t len = recv(peer->client, bytes, max < sizeof bytes ? max : sizeof bytes, 0);
        if (len < 0 && errno == EAGAIN)
            return;
        if (len <= 0) {
            peer->client_end = len < 0 ? -errno : 0;
            return;
        }
        assert_pattern(bytes, peer->client_len, (size_t)len);
        peer->client_len += (uint64_t)len;
        max -= (size_t)len;
    }
}

static inline bool
client_has_ended(void *arg)
{
    struct peer *peer = arg;
    client_read(peer, SIZE_MAX);
    return peer->client_end <= 0;
}

/* The other end writes bytes of the pattern that the sock expects next; all of them must fit. */
static inline void
client_write(struct peer *peer, uint64_t from, size_t len)
{
    char bytes[8192];
    assert_true(len <= sizeof bytes);
    pattern_fill(bytes, from, len);
    assert_int_equal(send(peer->client, bytes, len, MSG_NOSIGNAL), len);
}

/* Descriptors this process has open: nothing may leak. */
static inline unsigned
open_fd_count(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Runs the same tests over both backends; io_uring is left out where the system has none. */
static inline int
run_on_both(const char *name, int (*run_group)(const char *name))
{
    struct loop *loop;
    struct error error;
    char text[64];
    int failed = 0;
    world_backend = LOOP_EPOLL;
    snprintf(text, sizeof text, "%s, epoll", name);
    failed += run_group(text);
    if (loop_new(&loop, LOOP_URING, &error) != 0) {
        print_message("%s: not run over io_uring: %s\n", name, error.text);
        return failed;
    }
    loop_free(loop);
    world_backend = LOOP_URING;
    snprintf(text, sizeof text, "%s, io_uring", name);
    return failed + run_group(text);
}

#endif
