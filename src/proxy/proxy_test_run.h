/* proxy_test_run: for the tests of the upstream client: a pool on a loop, a fake upstream that says
 * what a script tells it, and owners of exchanges with a notebook of what happened to them.
 *
 * Everything runs on the test's thread: the fake upstream is looked at between the loop's turns.
 */
#ifndef TARN_PROXY_PROXY_TEST_RUN_H
#define TARN_PROXY_PROXY_TEST_RUN_H

#include "base/buf.h"
#include "http/h1_chunk.h"
#include "io/dns_test_server.h"
#include "io/loop_test_run.h"
#include "proxy/exchange_internal.h"

#include <arpa/inet.h>

enum {
    FAKE_CONNS_MAX = 2048,
    FAKE_BYTES_MAX = 64 << 20,
    FIELDS_MAX = 16,
    TEST_HEAD_MAX = 2048,
    TEST_TEXT_MAX = 1024,
};

/* --- the fake upstream --- */

enum fake_end {
    FAKE_STAYS,
    FAKE_CLOSES, /* with a FIN */
    FAKE_RESETS,
};

/* What is answered to one request. */
struct fake_answer {
    const char *text; /* with pattern_len bytes of the pattern behind it */
    size_t len;       /* 0: of a C string */
    size_t pattern_len;
    size_t step;       /* bytes said between two turns; 0: as many as the socket takes */
    enum fake_end end; /* behind the answer */
    bool early;        /* when the head is there, whatever is still to come of the body */
    bool silent;       /* nothing at all, and `end` at once */
};

struct fake_conn {
    int fd; /* -1: gone */
    struct buf in, out;
    size_t out_off;
    uint64_t pattern_left, pattern_at;
    size_t step;
    unsigned request_count;
    enum fake_end end;
    bool answering; /* the end is still to come */
    bool head_seen;
    bool peer_ended, peer_reset;
    struct tls_stream *tls;
    struct tls_output *wire;
};

struct fake {
    int listening;
    struct sockaddr_in addr;
    const struct fake_answer *answers; /* to requests in the order of their coming */
    unsigned answer_count, answered;
    bool repeats;        /* the last answer is for all that follow */
    bool reads_nothing;  /* of any body behind its head */
    size_t recv_max;     /* bytes received between two turns; 0: all */
    int accept_max;      /* connections that are taken; -1: all */
    unsigned conn_count; /* that ever came */
    struct fake_conn conns[FAKE_CONNS_MAX];
    char *requests; /* all bytes of complete requests, one behind the other */
    struct buf seen;
    unsigned request_count;
    struct tls_context *tls; /* NULL: plain */
    bool tunnels;            /* plain at first; TLS behind the first answer */
    bool cuts;               /* TLS: ends without close_notify */
    size_t record_len;       /* TLS: plain bytes of a record; 0: as many as can be */
    uint64_t said;           /* bytes of answers that the sockets took */
};

static inline void
fake_listen(struct fake *fake)
{
    fake->listening = listen_on_loopback(&fake->addr);
    fake->accept_max = -1;
    for (unsigned i = 0; i < FAKE_CONNS_MAX; i++)
        fake->conns[i].fd = -1;
    buf_init(&fake->seen, FAKE_BYTES_MAX);
}

static inline void
fake_stop_listening(struct fake *fake)
{
    if (fake->listening >= 0)
        close(fake->listening);
    fake->listening = -1;
}

static inline void
fake_conn_close(struct fake_conn *conn, bool reset)
{
    struct linger now = {.l_onoff = 1};
    if (conn->fd < 0)
        return;
    if (reset)
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(conn->fd);
    conn->fd = -1;
    buf_deinit(&conn->in);
    buf_deinit(&conn->out);
    tls_stream_free(conn->tls);
    free(conn->wire);
    conn->tls = NULL;
    conn->wire = NULL;
}

static inline void
fake_close(struct fake *fake)
{
    fake_stop_listening(fake);
    for (unsigned i = 0; i < fake->conn_count; i++)
        fake_conn_close(&fake->conns[i], false);
    buf_deinit(&fake->seen);
}

static inline void
fake_start_tls(const struct fake *fake, struct fake_conn *conn)
{
    conn->tls = tls_stream_new(fake->tls);
    conn->wire = malloc(sizeof *conn->wire + FAKE_BYTES_MAX / 32);
    *conn->wire = (struct tls_output){.cap = FAKE_BYTES_MAX / 32};
    tls_stream_set_output(conn->tls, conn->wire);
}

static inline void
fake_accept(struct fake *fake)
{
    while (fake->listening >= 0 && fake->conn_count != (unsigned)fake->accept_max) {
        int fd = accept4(fake->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int one = 1;
        if (fd < 0)
            return;
        assert_true(fake->conn_count < FAKE_CONNS_MAX);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct fake_conn *conn = &fake->conns[fake->conn_count++];
        *conn = (struct fake_conn){.fd = fd};
        buf_init(&conn->in, FAKE_BYTES_MAX);
        buf_init(&conn->out, FAKE_BYTES_MAX);
        if (fake->tls && !fake->tunnels)
            fake_start_tls(fake, conn);
    }
}

/* --- its input --- */

static inline void
fake_open_tls(struct fake_conn *conn, const char *data, size_t len)
{
    char plain[TLS_RECORD_MAX];
    size_t plain_len;
    tls_stream_feed(conn->tls, data, len);
    if (tls_stream_handshake(conn->tls) == TLS_DONE)
        for (;;) {
            enum tls_result result = tls_stream_read(conn->tls, plain, sizeof plain, &plain_len);
            conn->peer_ended |= result == TLS_ENDED;
            if (result != TLS_DONE)
                break;
            buf_append(&conn->in, str_make(plain, plain_len));
        }
    assert_true(tls_stream_hold_input(conn->tls));
}

static inline void
fake_receive(struct fake *fake, struct fake_conn *conn)
{
    char bytes[65536];
    size_t left = fake->recv_max ? fake->recv_max : SIZE_MAX;
    bool head_is_there =
        fake->reads_nothing && str_find(buf_str(&conn->in), STR("\r\n\r\n")) < conn->in.len;
    while (left && !conn->peer_ended && !head_is_there) {
        ssize_t len = recv(conn->fd, bytes, left < sizeof bytes ? left : sizeof bytes, 0);
        if (len < 0 && errno == EAGAIN)
            return;
        if (len <= 0) {
            conn->peer_reset = len < 0;
            conn->peer_ended = true;
            return;
        }
        left -= (size_t)len;
        if (conn->tls)
            fake_open_tls(conn, bytes, (size_t)len);
        else
            buf_append(&conn->in, str_make(bytes, (size_t)len));
        assert_false(buf_overflowed(&conn->in));
        if (fake->reads_nothing)
            return;
    }
}

/* Length of the first request in what has come: its head alone, or whole. 0: not there yet. */
static inline size_t
fake_request_len(struct str in, bool head_only)
{
    size_t head_len = str_find(in, STR("\r\n\r\n"));
    if (head_len == in.len)
        return 0;
    head_len += 4;
    struct str head = str_first(in, head_len);
    size_t length_at = str_find(head, STR("\r\nContent-Length: "));
    if (head_only)
        return head_len;
    if (length_at < head.len) {
        size_t len = head_len + strtoul(head.ptr + length_at + 18, NULL, 10);
        return len <= in.len ? len : 0;
    }
    if (str_find(head, STR("\r\nTransfer-Encoding: chunked")) == head.len)
        return head_len;
    struct h1_chunk_decoder decoder;
    enum h1_chunk_result result;
    size_t used;
    struct str data;
    h1_chunk_decoder_init(&decoder);
    do {
        result = h1_chunk_decode(&decoder, in.ptr + head_len, in.len - head_len, &used, &data);
        head_len += used;
    } while (result == H1_CHUNK_DATA);
    assert_true(result != H1_CHUNK_ERROR);
    return result == H1_CHUNK_DONE ? head_len : 0;
}

static inline void
fake_take_requests(struct fake *fake, struct fake_conn *conn)
{
    while (!conn->answering && fake->answer_count) {
        unsigned next = fake->answered;
        if (next >= fake->answer_count) {
            if (!fake->repeats)
                return;
            next = fake->answer_count - 1;
        }
        const struct fake_answer *answer = &fake->answers[next];
        size_t len = fake_request_len(buf_str(&conn->in), answer->early);
        if (len == 0)
            return;
        buf_append(&fake->seen, str_first(buf_str(&conn->in), len));
        buf_consume(&conn->in, len);
        fake->request_count++;
        conn->request_count++;
        fake->answered++;
        if (!answer->silent && answer->text)
            buf_append(&conn->out,
                       str_make(answer->text, answer->len ? answer->len : strlen(answer->text)));
        conn->pattern_left = answer->pattern_len;
        conn->pattern_at = 0;
        conn->step = answer->step;
        conn->end = answer->end;
        conn->answering = true;
    }
}

/* --- its output --- */

static inline ssize_t
fake_send(struct fake *fake, struct fake_conn *conn, const char *data, size_t len)
{
    ssize_t sent = send(conn->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        fake->said += (uint64_t)sent;
    return sent < 0 && errno != EAGAIN ? (ssize_t)len : sent;
}

static inline void
fake_flush_wire(struct fake *fake, struct fake_conn *conn)
{
    struct tls_output *wire = conn->wire;
    size_t step = conn->step ? conn->step : SIZE_MAX;
    while (step && wire->off < wire->len) {
        size_t len = wire->len - wire->off;
        ssize_t sent = fake_send(fake, conn, wire->data + wire->off, len < step ? len : step);
        if (sent < 0)
            return;
        wire->off += (uint32_t)sent;
        step -= (size_t)sent;
    }
    if (wire->off == wire->len)
        wire->off = wire->len = 0;
}

/* Whether all has been said. */
static inline bool
fake_say_tls(struct fake *fake, struct fake_conn *conn)
{
    size_t left = conn->out.len - conn->out_off;
    struct iovec iov = {conn->out.ptr + conn->out_off, left};
    fake_flush_wire(fake, conn);
    if (tls_stream_handshake(conn->tls) == TLS_DONE && left && conn->wire->len == 0) {
        ssize_t sealed = tls_stream_seal(conn->tls, &iov, 1,
                                         fake->record_len ? fake->record_len : TLS_RECORD_MAX);
        assert_true(sealed >= 0);
        conn->out_off += (size_t)sealed;
        fake_flush_wire(fake, conn);
    }
    return conn->out_off == conn->out.len && conn->wire->len == 0;
}

static inline bool
fake_say_plain(struct fake *fake, struct fake_conn *conn)
{
    size_t step = conn->step ? conn->step : SIZE_MAX;
    while (step && conn->out_off < conn->out.len) {
        size_t len = conn->out.len - conn->out_off;
        ssize_t sent =
            fake_send(fake, conn, conn->out.ptr + conn->out_off, len < step ? len : step);
        if (sent < 0)
            return false;
        conn->out_off += (size_t)sent;
        step -= (size_t)sent;
    }
    return conn->out_off == conn->out.len;
}

static inline void
fake_add_pattern(struct fake_conn *conn)
{
    if (conn->out_off == conn->out.len) {
        buf_clear(&conn->out);
        conn->out_off = 0;
    }
    if (conn->pattern_left == 0 || conn->out.len - conn->out_off > 1 << 20)
        return;
    size_t len = conn->pattern_left < 65536 ? conn->pattern_left : 65536;
    char *room = buf_reserve(&conn->out, len);
    assert_non_null(room);
    pattern_fill(room, conn->pattern_at, len);
    buf_commit(&conn->out, len);
    conn->pattern_at += len;
    conn->pattern_left -= len;
}

static inline void
fake_end_answer(struct fake *fake, struct fake_conn *conn)
{
    conn->answering = false;
    if (fake->tunnels && !conn->tls && conn->end == FAKE_STAYS)
        fake_start_tls(fake, conn);
    if (conn->end == FAKE_STAYS)
        return;
    if (conn->tls && !fake->cuts && conn->end == FAKE_CLOSES) {
        tls_stream_end(conn->tls);
        conn->step = 0;
        fake_flush_wire(fake, conn);
    }
    if (conn->end == FAKE_CLOSES && conn->in.len == 0) {
        shutdown(conn->fd, SHUT_WR);
        conn->end = FAKE_STAYS;
    } else {
        fake_conn_close(conn, conn->end == FAKE_RESETS);
    }
}

static inline void
fake_pump(struct fake *fake)
{
    fake_accept(fake);
    for (unsigned i = 0; i < fake->conn_count; i++) {
        struct fake_conn *conn = &fake->conns[i];
        if (conn->fd < 0)
            continue;
        fake_receive(fake, conn);
        fake_take_requests(fake, conn);
        for (unsigned rounds = 0; rounds < 64; rounds++) {
            fake_add_pattern(conn);
            bool all = conn->tls ? fake_say_tls(fake, conn) : fake_say_plain(fake, conn);
            if (!all || conn->step || conn->pattern_left == 0)
                break;
        }
        if (conn->answering && conn->out_off == conn->out.len && conn->pattern_left == 0 &&
            (!conn->wire || conn->wire->len == 0))
            fake_end_answer(fake, conn);
    }
}

/* Connections that are open, on the fake's side. */
static inline unsigned
fake_open_count(const struct fake *fake)
{
    unsigned count = 0;
    for (unsigned i = 0; i < fake->conn_count; i++)
        count += fake->conns[i].fd >= 0 && !fake->conns[i].peer_ended;
    return count;
}

/* --- the scene --- */

struct owner;

struct scene {
    struct world *world;
    struct upstream_config config;
    struct resolver *resolver;
    struct dns_server names;
    bool has_names;
    struct upstream_pool *pool; /* made with the first exchange */
    struct fake fake, proxy;    /* both looked at; the proxy only when it listens */
    unsigned fds_before;
    unsigned owners_open;
};

static inline void
scene_pump(struct scene *scene)
{
    fake_pump(&scene->fake);
    fake_pump(&scene->proxy);
}

static inline int
scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct error error;
    scene->fds_before = open_fd_count();
    if (world_setup((void **)&scene->world) != 0 ||
        resolver_new(&scene->resolver, NULL, &error) != 0)
        return -1;
    fake_listen(&scene->fake);
    scene->proxy.listening = -1;
    buf_init(&scene->proxy.seen, FAKE_BYTES_MAX);
    scene->config = (struct upstream_config){
        .resolver = scene->resolver,
        .connect_timeout_ns = 20000 * MS,
        .first_byte_timeout_ns = 20000 * MS,
        .between_bytes_timeout_ns = 20000 * MS,
        .idle_timeout_ns = 20000 * MS,
        .head_max = TEST_HEAD_MAX,
        .fields_max = FIELDS_MAX,
    };
    *state = scene;
    return 0;
}

/* Names for the resolver. */
static inline void
scene_use_names(struct scene *scene, const struct dns_host *hosts, unsigned count)
{
    struct error error;
    dns_server_start(&scene->names, hosts, count);
    scene->has_names = true;
    const struct resolver_config config = {.dns = scene->names.config};
    resolver_free(scene->resolver);
    assert_int_equal(resolver_new(&scene->resolver, &config, &error), 0);
    scene->config.resolver = scene->resolver;
}

static inline struct upstream_pool *
scene_pool(struct scene *scene)
{
    if (!scene->pool)
        scene->pool = upstream_pool_new(scene->world->loop, &scene->config);
    assert_non_null(scene->pool);
    return scene->pool;
}

static inline bool
scene_is_empty(void *arg)
{
    struct scene *scene = arg;
    return !scene->pool || (scene->pool->conn_count == 0 && scene->pool->exchange_count == 0);
}

/* Nothing may be left: no exchange, no connection, no descriptor. */
static inline int
scene_teardown(void **state)
{
    struct scene *scene = *state;
    if (scene->pool)
        upstream_pool_close(scene->pool);
    run_until(scene->world, scene_is_empty, scene);
    assert_int_equal(scene->owners_open, 0);
    upstream_pool_free(scene->pool);
    fake_close(&scene->fake);
    fake_close(&scene->proxy);
    resolver_detach(scene->resolver, scene->world->loop);
    resolver_free(scene->resolver);
    if (scene->has_names)
        dns_server_stop(&scene->names);
    world_teardown((void **)&scene->world);
    assert_int_equal(open_fd_count(), scene->fds_before);
    free(scene);
    return 0;
}

/* --- owners --- */

enum owner_moment {
    OWNER_NEVER,
    OWNER_IN_HEAD,
    OWNER_IN_INTERIM,
    OWNER_IN_DATA,
    OWNER_IN_PULL,
};

struct owner {
    struct scene *scene;
    struct exchange *exchange;
    struct exchange_request request;
    char url[TEST_TEXT_MAX];
    /* what it does */
    enum owner_moment cancels, pauses; /* in which callback */
    bool keeps_no_data;                /* checks it as a pattern and counts it */
    /* what happened */
    unsigned interim_count, head_count, data_count, over_count;
    unsigned data_wanted; /* calls of `data` that are waited for */
    unsigned interim_status, status;
    bool keep_alive;
    char field[TEST_TEXT_MAX]; /* X-Test */
    struct buf data;
    uint64_t data_len;
    enum exchange_result result;
    char reason[TEST_TEXT_MAX];
    struct owner *next; /* is started in `over` */
    /* the request body */
    struct body body;
    const struct body_piece *pieces;
    unsigned piece_count, piece_next, pull_count;
    enum body_result last; /* behind the pieces */
    unsigned pending_at;   /* before this piece, once; 0: never */
    bool closed;
};

static inline void
owner_act(struct owner *owner, enum owner_moment moment)
{
    assert_int_equal(owner->over_count, 0);
    assert_non_null(owner->exchange);
    if (owner->pauses == moment)
        exchange_pause(owner->exchange);
    if (owner->cancels == moment) {
        exchange_cancel(owner->exchange);
        owner->exchange = NULL;
        owner->scene->owners_open--;
    }
}

static inline void
owner_head(void *arg, const struct http_response_head *head)
{
    struct owner *owner = arg;
    owner->head_count++;
    owner->status = head->status;
    owner->keep_alive = head->keep_alive;
    for (unsigned i = 0; i < head->field_count; i++)
        if (str_ieq(http_response_field_name(head, &head->fields[i]), STR("X-Test")))
            snprintf(owner->field, sizeof owner->field, "%.*s",
                     STR_ARG(http_response_field_value(head, &head->fields[i])));
    owner_act(owner, OWNER_IN_HEAD);
}

static inline void
owner_interim(void *arg, const struct http_response_head *head)
{
    struct owner *owner = arg;
    owner->interim_count++;
    owner->interim_status = head->status;
    owner_act(owner, OWNER_IN_INTERIM);
}

static inline void
owner_data(void *arg, struct str bytes)
{
    struct owner *owner = arg;
    assert_int_equal(owner->head_count, 1);
    assert_true(bytes.len > 0);
    owner->data_count++;
    if (owner->keeps_no_data)
        assert_pattern(bytes.ptr, owner->data_len, bytes.len);
    else
        buf_append(&owner->data, bytes);
    owner->data_len += bytes.len;
    owner_act(owner, OWNER_IN_DATA);
}

static inline void owner_start(struct owner *owner);

static inline void
owner_over(void *arg, enum exchange_result result, const char *reason)
{
    struct owner *owner = arg;
    assert_null(strchr(reason, '\n'));
    assert_int_equal(owner->over_count, 0);
    owner->over_count++;
    owner->result = result;
    snprintf(owner->reason, sizeof owner->reason, "%s", reason);
    owner->exchange = NULL;
    owner->scene->owners_open--;
    if (owner->next)
        owner_start(owner->next);
}

static const struct exchange_ops owner_ops = {owner_head, owner_interim, owner_data, owner_over};

static inline enum body_result
owner_pull(struct body *body, struct body_piece *piece)
{
    struct owner *owner = body->arg;
    owner->pull_count++;
    owner_act(owner, OWNER_IN_PULL);
    if (owner->pending_at && owner->piece_next == owner->pending_at) {
        owner->pending_at = 0;
        return BODY_PENDING;
    }
    if (owner->piece_next == owner->piece_count)
        return owner->last;
    *piece = owner->pieces[owner->piece_next++];
    return BODY_PIECE;
}

static inline void
owner_close_body(struct body *body)
{
    ((struct owner *)body->arg)->closed = true;
}

static const struct body_ops owner_body_ops = {owner_pull, owner_close_body, NULL};

/* A request of the fake upstream: "/path". */
static inline void
owner_init(struct owner *owner, struct scene *scene, const char *method, const char *path)
{
    *owner = (struct owner){.scene = scene, .last = BODY_END};
    buf_init(&owner->data, FAKE_BYTES_MAX);
    snprintf(owner->url, sizeof owner->url, "http%s://127.0.0.1:%u%s", scene->fake.tls ? "s" : "",
             ntohs(scene->fake.addr.sin_port), path);
    owner->request.method = str_from_cstr(method);
}

static inline void
owner_set_url(struct owner *owner, const char *format, unsigned port)
{
    snprintf(owner->url, sizeof owner->url, format, port);
}

static inline void
owner_set_body(struct owner *owner, const struct body_piece *pieces, unsigned count, uint64_t len)
{
    owner->pieces = pieces;
    owner->piece_count = count;
    owner->body = (struct body){.ops = &owner_body_ops, .arg = owner};
    owner->request.body = &owner->body;
    owner->request.body_len = len;
}

static inline void
owner_start(struct owner *owner)
{
    assert_true(url_parse(str_from_cstr(owner->url), &owner->request.url));
    owner->exchange = exchange_start(scene_pool(owner->scene), &owner->request, &owner_ops, owner);
    assert_non_null(owner->exchange);
    assert_int_equal(owner->head_count + owner->over_count + owner->pull_count, 0);
    owner->scene->owners_open++;
}

static inline bool
owner_is_over(void *arg)
{
    struct owner *owner = arg;
    scene_pump(owner->scene);
    return owner->exchange == NULL && (!owner->next || owner_is_over(owner->next));
}

static inline void
owner_wait(struct owner *owner)
{
    run_until(owner->scene->world, owner_is_over, owner);
}

static inline void
owner_deinit(struct owner *owner)
{
    buf_deinit(&owner->data);
}

/* The whole of a plain exchange. */
static inline void
owner_run(struct owner *owner, struct scene *scene, const char *method, const char *path)
{
    owner_init(owner, scene, method, path);
    owner_start(owner);
    owner_wait(owner);
}

static inline bool
scene_pumps(void *arg)
{
    scene_pump(arg);
    return false;
}

/* Time passes. */
static inline void
scene_run_for(struct scene *scene, unsigned ms)
{
    assert_false(world_runs_until(scene->world, scene_pumps, scene, ms));
}

/* Turns the loop until the condition holds. */
#define wait_for(scene, condition)                         \
    for (unsigned tries_ = 0; !(condition); tries_++) {    \
        if (tries_ == PATIENCE_MS)                         \
            fail_msg("waited in vain for %s", #condition); \
        scene_run_for((scene), 1);                         \
    }

/* --- what must have happened --- */

static inline void
check_result(const struct owner *owner, enum exchange_result result, const char *reason,
             const char *file, int line)
{
    if (owner->over_count != 1 || owner->result != result || !strstr(owner->reason, reason)) {
        print_error("over %u, %s: '%s' instead of %s: '%s'\n", owner->over_count,
                    exchange_result_name(owner->result), owner->reason,
                    exchange_result_name(result), reason);
        _fail(file, line);
    }
}

#define assert_result(owner, result, reason) \
    check_result((owner), EXCHANGE_##result, (reason), __FILE__, __LINE__)

#define assert_text(bytes, text)                                       \
    do {                                                               \
        struct str got_ = (bytes);                                     \
        if (!str_eq(got_, str_from_cstr(text)))                        \
            fail_msg("'%.*s' instead of '%s'", STR_ARG(got_), (text)); \
    } while (0)

#define assert_answer(owner, wanted, text)            \
    do {                                              \
        assert_result((owner), DONE, "");             \
        assert_int_equal((owner)->head_count, 1);     \
        assert_int_equal((owner)->status, (wanted));  \
        assert_text(buf_str(&(owner)->data), (text)); \
    } while (0)

#define script(fake, ...)                                           \
    do {                                                            \
        static const struct fake_answer answers_[] = {__VA_ARGS__}; \
        (fake)->answers = answers_;                                 \
        (fake)->answer_count = sizeof answers_ / sizeof *answers_;  \
        (fake)->answered = 0;                                       \
    } while (0)

/* What the fake has seen of requests, since the last look. */
static inline bool
fake_has_seen(const struct fake *fake, const char *text)
{
    struct str seen = buf_str(&fake->seen);
    return str_find(seen, str_from_cstr(text)) < seen.len;
}

#define assert_seen(fake, text)                                                         \
    do {                                                                                \
        if (!fake_has_seen((fake), (text)))                                             \
            fail_msg("'%s' is not in '%.*s'", (text), STR_ARG(buf_str(&(fake)->seen))); \
    } while (0)

#define with_scene(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

#endif
