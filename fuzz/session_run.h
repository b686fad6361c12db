/* session_run: for the fuzzers of whole connections: a server in this process whose loop is turned
 * by hand, and a peer at the other end of a socket pair, who says its input in pieces and hears
 * what comes, one of each between two turns.
 *
 * An input begins with CONTROL_LEN bytes: the first is the fuzzer's own, the others say how the
 * peer behaves (peer_connect). One connection at a time: server_start once, then for each input
 * peer_connect, peer_talk, peer_leave. The server stays until the process ends; the peer owns its
 * descriptor and its output until peer_leave.
 *
 * Checked here: the connection ends, without an idle turn too many; the output keeps to its
 * ceiling; nothing of the connection is left; what is logged can be read and has the status of an
 * answer. Noted for the fuzzer to check: how many requests were logged, how many of them as
 * incomplete, and whether the connection was reset.
 */
#ifndef TARN_FUZZ_SESSION_RUN_H
#define TARN_FUZZ_SESSION_RUN_H

#include "base/buf.h"
#include "base/must.h"
#include "conn/conn.h"
#include "site/site.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONTROL_LEN = 3,
    INPUT_MAX = 4096,
    HEAD_MAX = 2048,
    FIELDS_MAX = 16,
    RECEIVE_LEN = 65536, /* heard between two turns, at most */
    LEAVE_TURNS_MAX = 10,
};

/* --- the server --- */

static struct session_server {
    struct loop *loop; /* NULL: not started */
    struct site *site;
    struct site_pin pin;
    struct req_env env;
    struct conn_pool pool;
    struct timer now; /* keeps a turn from waiting */
    uint64_t generation;
    int health;
    unsigned looks;
    unsigned logged, logged_incomplete; /* since peer_connect */
    size_t touched;
} server;

static inline void
write_file(const char *dir, const char *name, const char *text, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    must(file && fwrite(text, 1, len, file) == len && fclose(file) == 0);
}

/* The content of the fuzzers' files. */
static inline void
fill_letters(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 23);
}

static inline void
server_pin_unused(struct site_pin *pin)
{
}

/* Reads every byte, for the sanitizers to look. */
static inline size_t
touch(struct str s)
{
    size_t sum = 0;
    for (size_t i = 0; i < s.len; i++)
        sum += (unsigned char)s.ptr[i];
    return sum;
}

static inline void
server_log(void *arg, const struct access_record *record)
{
    server.touched += touch(record->method) + touch(record->target) + touch(record->host) +
                      touch(record->referer) + touch(record->user_agent) +
                      touch(record->request_id);
    must(record->status >= 200);
    server.logged++;
    server.logged_incomplete += !record->complete;
}

static inline void
server_timer_is_now(struct timer *timer)
{
}

/* Serves what `make_files` puts into an empty directory; files up to `preload_max` bytes are held
 * in memory. No deadline of a connection comes before the process ends. */
static inline void
server_start(void (*make_files)(const char *dir), size_t preload_max)
{
    char dir[] = "/tmp/tarn-fuzz-XXXXXX", command[64];
    struct error error;
    must(mkdtemp(dir) != NULL);
    make_files(dir);
    const struct site_config config = {
        .source = dir, .preload_max = preload_max, .preload_total = 1 << 24, .index = "index.html"};
    const struct conn_config conn_config = {.head_max = HEAD_MAX,
                                            .fields_max = FIELDS_MAX,
                                            .header_timeout_ns = 1000000000000,
                                            .keepalive_timeout_ns = 1000000000000,
                                            .io_timeout_ns = 1000000000000,
                                            .connections_max = 10};
    must(site_load(&config, &server.site, &error) == 0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    /* Files that are not in memory stay open. */
    must(system(command) == 0);
    must(loop_new(&server.loop, LOOP_EPOLL, &error) == 0);
    signal(SIGPIPE, SIG_IGN);
    server.pin = (struct site_pin){.site = server.site, .unused = server_pin_unused};
    server.env = (struct req_env){
        .pin = &server.pin, .generation = &server.generation, .health = &server.health};
    http_date_format(0, server.env.date);
    timer_init(&server.now, server_timer_is_now);
    conn_pool_init(&server.pool, server.loop, &server.env, &conn_config);
    server.pool.log = server_log;
}

static inline void
server_sleeps(void *arg)
{
    if (server.looks++ == 0)
        timer_set(loop_timers(server.loop), &server.now, 1);
    else
        loop_stop(server.loop);
}

/* One turn that does not wait. */
static inline void
server_turn(void)
{
    const struct loop_hooks hooks = {.sleeps = server_sleeps};
    server.looks = 0;
    loop_run(server.loop, &hooks);
}

/* --- the peer --- */

/* What the peers of one fuzzer have in common. */
struct peer_limits {
    size_t output_max; /* bytes that a connection may be answered with */
    size_t piece_max;  /* bytes said at once by a peer that does not cut its input small */
    unsigned idle_turns_max;
};

struct peer {
    const struct peer_limits *limits; /* borrowed */
    int fd;
    struct str input; /* what is left to say; borrowed */
    struct buf output;
    uint32_t seed;
    size_t piece_max;
    bool reads_late; /* only when nothing else goes on */
    bool said_all, heard_all;
    bool was_reset;
};

static inline uint32_t
next_random(struct peer *peer)
{
    peer->seed ^= peer->seed << 13;
    peer->seed ^= peer->seed >> 17;
    peer->seed ^= peer->seed << 5;
    return peer->seed;
}

/* Whether it said anything. */
static inline bool
peer_say(struct peer *peer)
{
    if (peer->said_all)
        return false;
    if (peer->input.len == 0) {
        shutdown(peer->fd, SHUT_WR);
        peer->said_all = true;
        return true;
    }
    struct str piece = str_first(peer->input, 1 + next_random(peer) % peer->piece_max);
    ssize_t sent = send(peer->fd, piece.ptr, piece.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    must(sent > 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
    if (sent > 0) {
        peer->input = str_skip(peer->input, (size_t)sent);
    } else if (errno != EAGAIN) {
        peer->was_reset |= errno == ECONNRESET;
        peer->input.len = 0;
    }
    return sent > 0;
}

/* Whether it heard anything, the end included. */
static inline bool
peer_hear(struct peer *peer)
{
    if (peer->heard_all)
        return false;
    char *room = buf_reserve(&peer->output, RECEIVE_LEN);
    must(room != NULL);
    ssize_t len = recv(peer->fd, room, RECEIVE_LEN, MSG_DONTWAIT);
    if (len < 0 && errno == ECONNRESET) {
        peer->was_reset = true;
        len = 0;
    }
    if (len < 0) {
        must(errno == EAGAIN);
        return false;
    }
    buf_commit(&peer->output, (size_t)len);
    peer->heard_all = len == 0;
    return true;
}

/* Connects a peer who will say `input` and then end its side. Bytes 1 and 2 of `control` are the
 * seed of its pieces, and decide how small they are, whether it reads late, and whether the server
 * has hardly any room in its socket. */
static inline void
peer_connect(struct peer *peer, const struct peer_limits *limits, struct str input,
             const uint8_t *control)
{
    int fds[2], room = control[2] & 16 ? 1 : 1 << 16;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    *peer = (struct peer){
        .limits = limits, .fd = fds[0], .input = input, .seed = 1 + control[1] + control[2] * 256u};
    /* Some dozen pieces at most, or the byte by byte of a short input. */
    peer->piece_max =
        control[1] % 4 == 0 ? limits->piece_max : input.len / (1 + control[2] % 16) + 1;
    peer->reads_late = control[1] % 2;
    buf_init(&peer->output, limits->output_max);
    server.logged = server.logged_incomplete = 0;
    must(conn_accept(&server.pool, fds[1], false, false));
}

/* The whole conversation, up to the end of the connection. */
static inline void
peer_talk(struct peer *peer)
{
    unsigned idle_turns = 0;
    while (!peer->heard_all) {
        bool moved = peer_say(peer);
        server_turn();
        if (!peer->reads_late || !moved)
            moved |= peer_hear(peer);
        idle_turns = moved ? 0 : idle_turns + 1;
        must(idle_turns < peer->limits->idle_turns_max);
    }
}

/* Ends the peer; frees its output. */
static inline void
peer_leave(struct peer *peer)
{
    const struct conn_counters *left = &server.pool.counters;
    close(peer->fd);
    buf_deinit(&peer->output);
    for (unsigned i = 0; i < LEAVE_TURNS_MAX && left->active; i++)
        server_turn();
    must(left->active == 0 && server.pin.use_count == 0);
    must(left->h2_streams == 0 && left->h2_sessions == 0);
}

#endif
