/* conn_test_run: for the tests of connections: a site, a pool of connections on a loop, and clients
 * that write and read between the loop's turns.
 */
#ifndef TARN_CONN_CONN_TEST_RUN_H
#define TARN_CONN_CONN_TEST_RUN_H

#include "base/buf.h"
#include "conn/conn.h"
#include "io/loop_test_run.h"
#include "site/site_test_run.h"

enum { CLIENT_BYTES_MAX = 32 << 20, RECORDS_MAX = 64 };

struct scene {
    struct fixture *fixture;
    struct world *world;
    struct site_pin pin;
    struct req_env env;
    int health;
    uint64_t generation;
    struct conn_pool pool;
    /* what was logged */
    unsigned record_count;
    struct {
        char method[16], target[64], host[64], agent[64];
        int status;
        uint64_t bytes;
        bool complete;
    } records[RECORDS_MAX];
};

struct client {
    struct scene *scene;
    int fd;
    struct buf out, in;
    bool end_after_out; /* shut down writing when all is out */
    size_t read_step;   /* bytes read between two turns */
    size_t in_wanted;
    ssize_t end;     /* 1: goes on; 0 or -errno: how the server ended */
    struct str head; /* of the last response */
    struct str body;
    char *answer; /* their bytes */
};

static inline void
scene_pin_unused(struct site_pin *pin)
{
}

static inline void
copy_text(char *out, size_t out_len, struct str s)
{
    snprintf(out, out_len, "%.*s", STR_ARG(s));
}

static inline void
scene_log(void *arg, const struct access_record *record)
{
    struct scene *scene = arg;
    if (scene->record_count == RECORDS_MAX)
        return;
    unsigned i = scene->record_count++;
    copy_text(scene->records[i].method, sizeof scene->records[i].method, record->method);
    copy_text(scene->records[i].target, sizeof scene->records[i].target, record->target);
    copy_text(scene->records[i].host, sizeof scene->records[i].host, record->host);
    copy_text(scene->records[i].agent, sizeof scene->records[i].agent, record->user_agent);
    scene->records[i].status = record->status;
    scene->records[i].bytes = record->bytes;
    scene->records[i].complete = record->complete;
}

static inline int
scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    if (!scene || setup((void **)&scene->fixture) != 0 || world_setup((void **)&scene->world) != 0)
        return -1;
    scene->pin.unused = scene_pin_unused;
    scene->env = (struct req_env){
        .pin = &scene->pin, .generation = &scene->generation, .health = &scene->health};
    http_date_format(0, scene->env.date);
    const struct conn_config config = {
        .head_max = 4096,
        .fields_max = 32,
        .header_timeout_ns = 20000 * MS,
        .keepalive_timeout_ns = 20000 * MS,
        .io_timeout_ns = 20000 * MS,
        .connections_max = 1000,
    };
    conn_pool_init(&scene->pool, scene->world->loop, &scene->env, &config);
    scene->pool.log = scene_log;
    scene->pool.log_arg = scene;
    *state = scene;
    return 0;
}

static inline bool
scene_is_empty(void *arg)
{
    const struct scene *scene = arg;
    return scene->pool.counters.active == 0;
}

static inline int
scene_teardown(void **state)
{
    struct scene *scene = *state;
    conn_pool_abort(&scene->pool);
    run_until(scene->world, scene_is_empty, scene);
    assert_int_equal(scene->pin.use_count, 0);
    conn_pool_deinit(&scene->pool);
    world_teardown((void **)&scene->world);
    teardown((void **)&scene->fixture);
    free(scene);
    return 0;
}

/* Makes a site of the files that a shell command leaves behind, and loads it. */
#define scene_make(scene, ...)                         \
    do {                                               \
        run((scene)->fixture, "cd in && "__VA_ARGS__); \
        load((scene)->fixture);                        \
        (scene)->pin.site = (scene)->fixture->site;    \
    } while (0)

static inline uint64_t
scene_ends(const struct scene *scene, enum conn_end end)
{
    return scene->pool.counters.ends[end];
}

#define assert_ends(scene, end, wanted) assert_int_equal(scene_ends((scene), (end)), (wanted))

/* --- clients --- */

/* A client with its end of a connection, and the other end for the pool. Whether that took it at
 * once. */
static inline bool
client_start(struct client *client, struct scene *scene, int fd, int server_fd)
{
    *client = (struct client){.scene = scene, .fd = fd, .read_step = SIZE_MAX, .end = 1};
    buf_init(&client->out, CLIENT_BYTES_MAX);
    buf_init(&client->in, CLIENT_BYTES_MAX);
    return conn_accept(&scene->pool, server_fd, false, false);
}

/* Small buffers, so that they fill up. */
static inline void
make_buffers_small(int fd)
{
    int small = 32768;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

/* Connects over TCP; buffers as the system makes them, or small. */
static inline bool
client_open_tcp(struct client *client, struct scene *scene, bool small)
{
    struct sockaddr_in addr;
    int one = 1;
    int listening = listen_on_loopback(&addr);
    int fd = connect_to(&addr);
    fcntl(listening, F_SETFL, 0);
    int server_fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(server_fd >= 0);
    close(listening);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (small) {
        make_buffers_small(fd);
        make_buffers_small(server_fd);
    }
    return client_start(client, scene, fd, server_fd);
}

static inline bool
client_open(struct client *client, struct scene *scene)
{
    return client_open_tcp(client, scene, true);
}

/* Connects over a Unix socket, which stays full until it is read. */
static inline bool
client_open_unix(struct client *client, struct scene *scene)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    make_buffers_small(fds[0]);
    make_buffers_small(fds[1]);
    return client_start(client, scene, fds[0], fds[1]);
}

static inline void
client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    buf_deinit(&client->out);
    buf_deinit(&client->in);
    free(client->answer);
    client->answer = NULL;
}

static inline void
client_reset(struct client *client)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(client);
}

static inline void
client_pump_out(struct client *client)
{
    if (client->out.len) {
        ssize_t sent = send(client->fd, client->out.ptr, client->out.len, MSG_NOSIGNAL);
        /* To who has gone: what is left goes nowhere. */
        if (sent < 0 && errno != EAGAIN)
            sent = (ssize_t)client->out.len;
        if (sent > 0)
            buf_consume(&client->out, (size_t)sent);
    }
    if (client->out.len == 0 && client->end_after_out) {
        shutdown(client->fd, SHUT_WR);
        client->end_after_out = false;
    }
}

static inline void
client_pump_in(struct client *client)
{
    size_t left = client->read_step;
    while (left && client->end > 0) {
        size_t max = left < 65536 ? left : 65536;
        char *room = buf_reserve(&client->in, max);
        assert_non_null(room);
        ssize_t len = recv(client->fd, room, max, 0);
        if (len < 0 && errno == EAGAIN)
            return;
        if (len > 0)
            buf_commit(&client->in, (size_t)len);
        else
            client->end = len < 0 ? -errno : 0;
        left -= len > 0 ? (size_t)len : 0;
    }
}

static inline void
client_pump(struct client *client)
{
    client_pump_out(client);
    client_pump_in(client);
}

static inline bool
client_has_bytes(void *arg)
{
    struct client *client = arg;
    client_pump(client);
    return client->in.len >= client->in_wanted || client->end <= 0;
}

static inline bool
client_is_out(void *arg)
{
    struct client *client = arg;
    client_pump(client);
    return client->out.len == 0 && !client->end_after_out;
}

static inline bool
client_was_ended(void *arg)
{
    struct client *client = arg;
    client_pump(client);
    return client->end <= 0;
}

static inline void
client_say(struct client *client, const char *text)
{
    buf_append(&client->out, str_from_cstr(text));
    client_pump_out(client);
}

static inline void
client_get(struct client *client, const char *target)
{
    buf_printf(&client->out, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    client_pump_out(client);
}

static inline void
client_wait_for_bytes(struct client *client, size_t wanted)
{
    client->in_wanted = wanted;
    run_until(client->scene->world, client_has_bytes, client);
    if (client->in.len < wanted)
        fail_msg("ended (%zd) after %zu of %zu bytes: %.*s", client->end, client->in.len, wanted,
                 STR_ARG(buf_str(&client->in)));
}

static inline struct str
client_header(const struct client *client, const char *name)
{
    struct site_rep rep = {.head = str_skip(client->head, str_find(client->head, STR("\r\n")) + 2)};
    return field(&rep, name);
}

/* Reads the next response, whole; is_head: one to a HEAD request. Its status. */
static inline int
client_next(struct client *client, bool is_head)
{
    size_t head_len;
    uint64_t body_len = 0;
    while ((head_len = str_find(buf_str(&client->in), STR("\r\n\r\n"))) == client->in.len)
        client_wait_for_bytes(client, client->in.len + 1);
    head_len += 4;
    client->head = str_first(buf_str(&client->in), head_len);
    assert_true(str_starts_with(client->head, STR("HTTP/1.1 ")));
    int status = atoi(client->head.ptr + 9);
    if (!is_head && status != 304 && status != 204)
        assert_true(str_to_u64(client_header(client, "Content-Length"), &body_len));
    client_wait_for_bytes(client, head_len + body_len);
    free(client->answer);
    client->answer = malloc(head_len + body_len);
    assert_non_null(client->answer);
    memcpy(client->answer, client->in.ptr, head_len + body_len);
    client->head = str_make(client->answer, head_len);
    client->body = str_make(client->answer + head_len, body_len);
    buf_consume(&client->in, head_len + body_len);
    return status;
}

static inline void
assert_next(struct client *client, int status, const char *body)
{
    assert_int_equal(client_next(client, false), status);
    assert_str(client->body, body);
}

static inline void
assert_connection(const struct client *client, const char *wanted)
{
    assert_str(client_header(client, "Connection"), wanted);
}

/* The server ends: 0 for an orderly end, else -errno. Nothing may come before it. */
static inline void
assert_ended(struct client *client, ssize_t end)
{
    run_until(client->scene->world, client_was_ended, client);
    assert_str(buf_str(&client->in), "");
    assert_int_equal(client->end, end);
}

static inline bool
client_pumps_in_vain(void *arg)
{
    client_pump(arg);
    return false;
}

/* Time passes, in which the client writes and reads what it can. */
static inline void
client_run_for(struct client *client, unsigned ms)
{
    assert_false(world_runs_until(client->scene->world, client_pumps_in_vain, client, ms));
}

#define scene_test(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

#endif
