/* Exchanges over TLS: who is believed, how they end, tunnels, large bodies. */
#include "proxy/env.h"
#include "proxy/proxy_test_run.h"
#include "tls/client_test_run.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

enum { BIG = 8 << 20 };

static struct fixture *fixture;

/* The fake has a certificate with these fields, whose root is trusted. */
static void
serve(struct scene *scene, const struct cert_spec *fields)
{
    tls_client_unref(scene->config.tls);
    serve_leaf(fixture, fields);
    scene->fake.tls = fixture->context;
    scene->config.tls = client_with(fixture, "root.pem");
}

static int
setup_tls(void **state)
{
    const struct cert_spec fields = {.san = "IP:127.0.0.1"};
    if (setup((void **)&fixture) != 0 || scene_setup(state) != 0)
        return -1;
    serve(*state, &fields);
    return 0;
}

static int
teardown_tls(void **state)
{
    struct scene *scene = *state;
    struct tls_client *client = scene->config.tls;
    struct proxy_env *env = (struct proxy_env *)scene->config.proxies;
    scene_teardown(state);
    proxy_env_free(env);
    tls_client_unref(client);
    return teardown((void **)&fixture);
}

static void
run_get(struct scene *scene)
{
    struct owner owner;
    owner_run(&owner, scene, "GET", "/");
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
}

/* --- whole responses --- */

static void
test_connection_is_used_again(void **state)
{
    struct scene *scene = *state;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned i = 0; i < 10; i++) {
        run_get(scene);
        assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    }
    assert_int_equal(scene->fake.conn_count, 1);
    assert_true(tls_stream_resumed(scene->fake.conns[0].tls) == 0);
    /* Nothing is held for an idle connection. */
    const struct upstream_conn *conn = TAILQ_FIRST(&scene->pool->idle);
    assert_null(conn->wire);
    assert_int_equal(conn->held.cap + conn->plain.cap, 0);
}

static void
test_session_is_resumed(void **state)
{
    struct scene *scene = *state;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n"
                                  "\r\nhello"});
    run_get(scene);
    run_get(scene);
    assert_int_equal(scene->fake.conn_count, 2);
    assert_true(tls_stream_resumed(scene->fake.conns[1].tls));
}

static void
test_wire_bytes_one_by_one(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
                          .step = 1});
    for (unsigned i = 0; i < 3; i++) {
        owner_init(&owner, scene, "GET", "/");
        owner_start(&owner);
        owner_wait(&owner);
        assert_answer(&owner, 200, "hello");
        owner_deinit(&owner);
    }
    assert_int_equal(scene->fake.conn_count, 1);
}

/* Several chunks in one record, a pause in each. */
static void
test_pause_within_a_record(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    for (unsigned cuts = 0; cuts < 2; cuts++) {
        const struct fake_answer answer = {
            .text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n",
            .end = cuts ? FAKE_CLOSES : FAKE_STAYS};
        scene->fake.answers = &answer;
        scene->fake.answer_count = 1;
        scene->fake.answered = 0;
        owner_init(&owner, scene, "GET", "/");
        owner.pauses = OWNER_IN_DATA;
        owner_start(&owner);
        for (unsigned i = 1; i <= 4; i++) {
            wait_for(scene, owner.data_count == i);
            exchange_resume(owner.exchange);
        }
        owner_wait(&owner);
        assert_answer(&owner, 200, "abcd");
        assert_int_equal(upstream_pool_idle_count(scene->pool), !cuts);
        owner_deinit(&owner);
    }
}

static void
test_bytes_behind_the_response(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 4; i++) {
        struct owner owner;
        const struct fake_answer answer = {.text = OK_5 "x", .step = i % 2};
        /* In the same record, and in one of its own. */
        scene->fake.record_len = i < 2 ? 0 : strlen(OK_5);
        scene->fake.answers = &answer;
        scene->fake.answer_count = 1;
        scene->fake.answered = 0;
        owner_run(&owner, scene, "GET", "/");
        assert_answer(&owner, 200, "hello");
        wait_for(scene, upstream_pool_idle_count(scene->pool) == 0);
        owner_deinit(&owner);
    }
}

/* What TLS has to say for itself does not end an idle connection. */
static void
test_messages_to_an_idle_connection(void **state)
{
    struct scene *scene = *state;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    run_get(scene);
    for (unsigned i = 0; i < 3; i++) {
        struct fake_conn *conn = &scene->fake.conns[0];
        assert_int_equal(SSL_key_update(conn->tls->ssl, i ? SSL_KEY_UPDATE_REQUESTED
                                                          : SSL_KEY_UPDATE_NOT_REQUESTED),
                         1);
        assert_int_equal(SSL_write(conn->tls->ssl, "", 0), 0);
        assert_true(conn->wire->len > 0);
        conn->step = i == 2;
        wait_for(scene, conn->wire->len == 0);
        scene_run_for(scene, 20);
        assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
        run_get(scene);
        assert_int_equal(scene->fake.conn_count, 1);
    }
}

static bool
fake_has_request(void *arg)
{
    struct scene *scene = arg;
    scene_pump(scene);
    return scene->fake.conns[0].in.len > 0;
}

/* Nor one that is about to be idle, when it comes in one go with the response. */
static void
test_message_right_behind_the_response(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct iovec response = {OK_5, strlen(OK_5)};
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    run_until(scene->world, fake_has_request, scene);
    struct fake_conn *conn = &scene->fake.conns[0];
    assert_int_equal(tls_stream_seal(conn->tls, &response, 1, TLS_RECORD_MAX), response.iov_len);
    assert_int_equal(SSL_key_update(conn->tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(SSL_write(conn->tls->ssl, "", 0), 0);
    buf_clear(&conn->in);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    owner_deinit(&owner);
    script(&scene->fake, {.text = OK_5});
    run_get(scene);
    assert_int_equal(scene->fake.conn_count, 1);
}

/* --- ends --- */

static void
run_ending(struct scene *scene, const char *text, bool cuts, enum exchange_result result,
           const char *reason)
{
    struct owner owner;
    const struct fake_answer answer = {.text = text, .end = FAKE_CLOSES};
    scene->fake.answers = &answer;
    scene->fake.answer_count = 1;
    scene->fake.answered = 0;
    scene->fake.cuts = cuts;
    owner_run(&owner, scene, "GET", "/");
    check_result(&owner, result, reason, __FILE__, __LINE__);
    if (strstr(text, "\r\n\r\n"))
        assert_text(buf_str(&owner.data), "hello");
    wait_for(scene, upstream_pool_idle_count(scene->pool) == 0);
    owner_deinit(&owner);
}

static void
test_ends_and_truncation(void **state)
{
    static const char to_the_end[] = "HTTP/1.1 200 OK\r\n\r\nhello";
    static const char too_short[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello";
    static const char in_head[] = "HTTP/1.1 200 OK\r\nContent-";
    struct scene *scene = *state;
    run_ending(scene, to_the_end, false, EXCHANGE_DONE, "");
    run_ending(scene, to_the_end, true, EXCHANGE_BROKEN, "closed without the end of TLS after 5 b");
    run_ending(scene, too_short, false, EXCHANGE_BROKEN, "connection closed after 5 bytes");
    run_ending(scene, too_short, true, EXCHANGE_BROKEN, "closed without the end of TLS after 5 b");
    run_ending(scene, in_head, false, EXCHANGE_CLOSED, "in the middle of the response header");
    run_ending(scene, in_head, true, EXCHANGE_CLOSED, "in the middle of the response header");
    run_ending(scene, OK_5, false, EXCHANGE_DONE, "");
    run_ending(scene, OK_5, true, EXCHANGE_DONE, "");
}

static bool
fake_has_answered(void *arg)
{
    struct scene *scene = arg;
    scene_pump(scene);
    return scene->fake.answered > 0;
}

/* A byte of a record is changed on its way. */
static void
test_damaged_record(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"});
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    run_until(scene->world, fake_has_answered, scene);
    static const char garbage[] = "\x17\x03\x03\x00\x20 this is not what anybody sealed.";
    assert_true(send(scene->fake.conns[0].fd, garbage, sizeof garbage - 1, MSG_NOSIGNAL) > 0);
    owner_wait(&owner);
    assert_result(&owner, BROKEN, "after 5 bytes of the body");
    owner_deinit(&owner);
}

static void
test_stale_connection_is_tried_again(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < 3; i++) {
        struct owner owner;
        const struct fake_answer answers[] = {
            {.text = OK_5},
            {.silent = true, .end = i == 2 ? FAKE_RESETS : FAKE_CLOSES},
            {.text = OK_5, .end = FAKE_CLOSES}};
        unsigned before = scene->fake.conn_count;
        scene->fake.answers = answers;
        scene->fake.answer_count = 3;
        scene->fake.answered = 0;
        scene->fake.cuts = i == 1;
        run_get(scene);
        owner_init(&owner, scene, "PUT", "/");
        const struct body_piece piece = {.mem = STR("text"), .len = 4};
        owner_set_body(&owner, &piece, 1, 4);
        owner_start(&owner);
        owner_wait(&owner);
        assert_answer(&owner, 200, "hello");
        assert_int_equal(scene->fake.conn_count, before + 2);
        owner_deinit(&owner);
        wait_for(scene, upstream_pool_idle_count(scene->pool) == 0);
    }
}

static void
test_end_of_an_idle_connection(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    run_get(scene);
    tls_stream_end(scene->fake.conns[0].tls);
    owner_init(&owner, scene, "POST", "/"); /* would not be tried again */
    wait_for(scene, upstream_pool_idle_count(scene->pool) == 0);
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_int_equal(scene->fake.conn_count, 2);
    owner_deinit(&owner);
}

/* --- who is believed --- */

static void
test_certificates(void **state)
{
    X509 *stranger = make_cert(
        &(struct cert_spec){.subject = "Stranger", .is_ca = true, .key = test_key(STRANGER_KEY)});
    const struct {
        struct cert_spec fields;
        const char *reason;
    } cases[] = {
        {{.san = "DNS:other.example"}, "certificate"},
        {{.san = "IP:127.0.0.2"}, "certificate"},
        {{.san = "IP:127.0.0.1", .from_s = -2 * DAY_S, .to_s = -DAY_S}, "expired"},
        {{.san = "IP:127.0.0.1", .from_s = DAY_S}, "not"},
        {{.san = "IP:127.0.0.1", .issuer = stranger, .issuer_key = test_key(STRANGER_KEY)},
         "certificate"},
    };
    struct scene *scene = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct owner owner;
        for (unsigned k = 0; k < scene->fake.conn_count; k++)
            fake_conn_close(&scene->fake.conns[k], false);
        serve(scene, &cases[i].fields);
        if (scene->pool)
            scene->pool->config.tls = scene->config.tls;
        owner_run(&owner, scene, "GET", "/secret");
        assert_result(&owner, TLS, cases[i].reason);
        assert_int_equal(strncmp(owner.reason, "127.0.0.1:", 10), 0);
        scene_run_for(scene, 10);
        assert_int_equal(scene->fake.request_count, 0);
        assert_int_equal(scene->fake.conns[i].in.len, 0);
        owner_deinit(&owner);
    }
    X509_free(stranger);
}

/* --- handshakes that fail --- */

static void
test_upstream_that_speaks_plain_http(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    owner_init(&owner, scene, "GET", "/");
    scene->fake.tls = NULL;
    owner_start(&owner);
    wait_for(scene, scene->fake.conn_count > 0);
    assert_true(send(scene->fake.conns[0].fd, OK_5, strlen(OK_5), MSG_NOSIGNAL) > 0);
    owner_wait(&owner);
    assert_result(&owner, TLS, "plain HTTP");
    owner_deinit(&owner);
}

static void
run_silent(struct scene *scene, int how, enum exchange_result result, const char *reason)
{
    struct owner owner;
    owner_init(&owner, scene, "GET", "/");
    owner_set_url(&owner, "https://127.0.0.1:%u/", ntohs(scene->fake.addr.sin_port));
    scene->fake.tls = NULL;
    unsigned at = scene->fake.conn_count;
    owner_start(&owner);
    wait_for(scene, scene->fake.conn_count > at && scene->fake.conns[at].in.len > 0);
    if (how >= 0)
        fake_conn_close(&scene->fake.conns[at], how);
    owner_wait(&owner);
    check_result(&owner, result, reason, __FILE__, __LINE__);
    owner_deinit(&owner);
}

static void
test_handshakes_that_end(void **state)
{
    struct scene *scene = *state;
    scene->config.connect_timeout_ns = 200 * MS;
    run_silent(scene, 0, EXCHANGE_TLS, "connection closed during the TLS handshake");
    run_silent(scene, 1, EXCHANGE_TLS, "connection reset by peer during the TLS handshake");
    run_silent(scene, -1, EXCHANGE_TIMEOUT, "no TLS handshake within 0.2 s (127.0.0.1:");
}

static bool
is_in_handshake(void *arg)
{
    const struct owner *owner = arg;
    return owner->exchange->conn && owner->exchange->conn->state == UPSTREAM_HANDSHAKE;
}

static void
test_cancel_in_the_handshake(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    run_until(scene->world, is_in_handshake, &owner);
    exchange_cancel(owner.exchange);
    scene->owners_open--;
    wait_for(scene, scene->pool->conn_count == 0);
    assert_int_equal(owner.over_count, 0);
}

/* --- large bodies --- */

static bool
has_data(void *arg)
{
    struct owner *owner = arg;
    scene_pump(owner->scene);
    return owner->data_count >= owner->data_wanted || owner->over_count;
}

static void
run_large(struct scene *scene, const char *head, enum fake_end end, bool pauses)
{
    struct owner owner;
    const struct fake_answer answer = {.text = head, .pattern_len = BIG, .end = end};
    scene->fake.answers = &answer;
    scene->fake.answer_count = 1;
    scene->fake.answered = 0;
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner.pauses = pauses ? OWNER_IN_DATA : OWNER_NEVER;
    owner_start(&owner);
    for (owner.data_wanted = 1; pauses && !owner.over_count; owner.data_wanted++) {
        run_until(scene->world, has_data, &owner);
        if (owner.over_count)
            break;
        assert_int_equal(owner.data_count, owner.data_wanted);
        const struct upstream_conn *conn = owner.exchange->conn;
        assert_true(conn->held.len + conn->plain.len <= UPSTREAM_HELD_MAX);
        exchange_resume(owner.exchange);
    }
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, BIG);
}

static void
test_large_bodies(void **state)
{
    struct scene *scene = *state;
    static const char with_length[] = "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n";
    static const char to_the_end[] = "HTTP/1.1 200 OK\r\n\r\n";
    run_large(scene, with_length, FAKE_STAYS, false);
    run_large(scene, with_length, FAKE_STAYS, true);
    assert_int_equal(scene->fake.conn_count, 1);
    run_large(scene, to_the_end, FAKE_CLOSES, false);
    run_large(scene, to_the_end, FAKE_CLOSES, true);
}

/* A pause that lasts: the upstream stops, and nothing is lost. */
static void
test_long_pause(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    int small = 65536;
    uint64_t said;
    setsockopt(scene->fake.listening, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    script(&scene->fake,
           {.text = "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n", .pattern_len = BIG});
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner.pauses = OWNER_IN_DATA;
    owner.data_wanted = 1;
    owner_start(&owner);
    run_until(scene->world, has_data, &owner);
    do {
        said = scene->fake.said;
        scene_run_for(scene, 50);
    } while (scene->fake.said != said);
    assert_true(said < BIG / 2);
    const struct upstream_conn *conn = owner.exchange->conn;
    assert_true(conn->held.len <= LOOP_URING_BUFFERS * LOOP_URING_BUFFER_LEN);
    assert_int_equal(owner.data_count, 1);
    owner.pauses = OWNER_NEVER;
    exchange_resume(owner.exchange);
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, BIG);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
}

static void
run_upload(struct scene *scene, const struct body_piece *pieces, unsigned count, uint64_t len,
           const char *all)
{
    struct owner owner;
    script(&scene->fake, {.text = OK_5});
    buf_clear(&scene->fake.seen);
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, pieces, count, len);
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    struct str seen = buf_str(&scene->fake.seen);
    if (len != UINT64_MAX) {
        assert_true(seen.len > BIG);
        assert_memory_equal(seen.ptr + seen.len - BIG, all, BIG);
    }
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    owner_deinit(&owner);
}

static void
test_uploads(void **state)
{
    struct scene *scene = *state;
    char *all = malloc(BIG);
    FILE *stream = tmpfile();
    pattern_fill(all, 0, BIG);
    assert_int_equal(fwrite(all, 1, BIG, stream), BIG);
    fflush(stream);
    const struct body_piece pieces[] = {
        {.mem = {all, 100}, .len = 100},
        {.mem = {all + 100, BIG / 2}, .len = BIG / 2},
        {.fd = fileno(stream), .off = 100 + BIG / 2, .len = BIG / 2 - 100},
    };
    run_upload(scene, pieces, 3, BIG, all);
    run_upload(scene, pieces, 3, UINT64_MAX, all);
    int small = 4096;
    setsockopt(scene->fake.listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    scene->fake.recv_max = 100000;
    upstream_pool_close(scene->pool);
    scene->pool->closing = false;
    run_upload(scene, pieces, 3, BIG, all);
    assert_int_equal(scene->fake.conn_count, 2);
    fclose(stream);
    free(all);
}

static void
test_upload_whose_file_ends_early(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    FILE *stream = tmpfile();
    assert_int_equal(fwrite("0123456789", 1, 10, stream), 10);
    fflush(stream);
    const struct body_piece piece = {.fd = fileno(stream), .len = 20};
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, &piece, 1, 20);
    owner_start(&owner);
    owner_wait(&owner);
    assert_result(&owner, REQUEST, "is shorter than it was");
    fclose(stream);
    owner_deinit(&owner);
}

/* --- through a proxy --- */

static void
test_tunnel(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    struct proxy_env *env;
    struct error error;
    char text[128], wanted[256];
    fake_listen(&scene->proxy);
    snprintf(text, sizeof text, "http://u:p@127.0.0.1:%u", ntohs(scene->proxy.addr.sin_port));
    setenv("https_proxy", text, 1);
    assert_int_equal(proxy_env_new(&env, &error), 0);
    unsetenv("https_proxy");
    scene->config.proxies = env;
    scene->proxy.tls = scene->fake.tls;
    scene->proxy.tunnels = true;
    scene->proxy.repeats = true;
    for (size_t step = 0; step < 2; step++) {
        const struct fake_answer answers[] = {
            {.text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\n"
                     "Content-Length: 100\r\n\r\n",
             .step = step},
            {.text = OK_5}};
        scene->proxy.answers = answers;
        scene->proxy.answer_count = 2;
        scene->proxy.answered = 0;
        buf_clear(&scene->proxy.seen);
        for (unsigned i = 0; i < 2; i++) {
            owner_run(&owner, scene, "GET", "/a");
            assert_answer(&owner, 200, "hello");
            owner_deinit(&owner);
        }
        unsigned port = ntohs(scene->fake.addr.sin_port);
        snprintf(wanted, sizeof wanted,
                 "CONNECT 127.0.0.1:%u HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                 "Proxy-Authorization: Basic dTpw\r\n\r\n"
                 "GET /a HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                 port, port, port);
        assert_true(str_starts_with(buf_str(&scene->proxy.seen), str_from_cstr(wanted)));
        assert_int_equal(scene->proxy.conn_count, step + 1);
        upstream_pool_close(scene->pool);
        scene->pool->closing = false;
    }
    assert_int_equal(scene->fake.conn_count, 0);
}

#define with(test) cmocka_unit_test_setup_teardown(test, setup_tls, teardown_tls)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with(test_connection_is_used_again),
        with(test_session_is_resumed),
        with(test_wire_bytes_one_by_one),
        with(test_pause_within_a_record),
        with(test_bytes_behind_the_response),
        with(test_messages_to_an_idle_connection),
        with(test_message_right_behind_the_response),
        with(test_ends_and_truncation),
        with(test_damaged_record),
        with(test_stale_connection_is_tried_again),
        with(test_end_of_an_idle_connection),
        with(test_certificates),
        with(test_upstream_that_speaks_plain_http),
        with(test_handshakes_that_end),
        with(test_cancel_in_the_handshake),
        with(test_large_bodies),
        with(test_long_pause),
        with(test_uploads),
        with(test_upload_whose_file_ends_early),
        with(test_tunnel),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("exchange_tls", run_group);
}
