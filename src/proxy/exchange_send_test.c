/* Request bodies: memory, files, pending, failing; upstreams that are slow, or answer early. */
#include "proxy/proxy_test_run.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

enum { BIG = 20 << 20 };

/* --- bodies --- */

static char *big;
static int big_fd = -1;

static int
make_big(void **state)
{
    FILE *file = tmpfile();
    big = malloc(BIG);
    pattern_fill(big, 0, BIG);
    if (!file || fwrite(big, 1, BIG, file) != BIG || fflush(file) != 0)
        return -1;
    big_fd = dup(fileno(file));
    fclose(file);
    return 0;
}

static int
free_big(void **state)
{
    free(big);
    close(big_fd);
    return 0;
}

static struct body_piece
memory(uint64_t off, uint64_t len)
{
    return (struct body_piece){.mem = {big + off, len}, .fd = -1, .len = len};
}

static struct body_piece
file(uint64_t off, uint64_t len)
{
    return (struct body_piece){.fd = big_fd, .off = off, .len = len};
}

/* The body of the request that the fake has seen, without its framing. */
static struct str
seen_body(struct fake *fake)
{
    struct str seen = buf_str(&fake->seen);
    size_t head_len = str_find(seen, STR("\r\n\r\n")) + 4;
    struct str body = str_skip(seen, head_len);
    if (!fake_has_seen(fake, "\r\nTransfer-Encoding: chunked\r\n"))
        return body;
    struct h1_chunk_decoder decoder;
    struct str data;
    size_t used, at = 0;
    char *out = (char *)body.ptr; /* in place: what is decoded is never longer */
    h1_chunk_decoder_init(&decoder);
    for (;;) {
        enum h1_chunk_result result = h1_chunk_decode(&decoder, body.ptr, body.len, &used, &data);
        body = str_skip(body, used);
        if (result == H1_CHUNK_DONE)
            break;
        assert_int_equal(result, H1_CHUNK_DATA);
        memmove(out + at, data.ptr, data.len);
        at += data.len;
    }
    assert_int_equal(body.len, 0);
    return str_make(out, at);
}

/* Sends the pieces, which are the pattern in order, and sees them arrive. */
static void
run_upload(struct scene *scene, const struct body_piece *pieces, unsigned count, bool chunked)
{
    struct owner owner;
    uint64_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len += pieces[i].len;
    script(&scene->fake, {.text = OK_5});
    buf_clear(&scene->fake.seen);
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, pieces, count, chunked ? UINT64_MAX : len);
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    struct str body = seen_body(&scene->fake);
    assert_int_equal(body.len, len);
    assert_memory_equal(body.ptr, big, len);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    assert_int_equal(scene->fake.conn_count, 1);
    assert_false(owner.closed);
    owner_deinit(&owner);
}

static void
run_uploads(struct scene *scene, const struct body_piece *pieces, unsigned count)
{
    run_upload(scene, pieces, count, false);
    run_upload(scene, pieces, count, true);
}

static void
test_bodies(void **state)
{
    const struct body_piece small[] = {memory(0, 1), memory(1, 2), memory(3, 4096)};
    const struct body_piece large[] = {memory(0, 5000), memory(5000, 100000), memory(105000, 10)};
    const struct body_piece files[] = {file(0, 10), file(10, 100000), file(100010, 1)};
    const struct body_piece mixed[] = {memory(0, 10),         file(10, 100000),
                                       memory(100010, 20000), file(120010, 20000),
                                       memory(140010, 1),     file(140011, 1)};
    const struct body_piece empty[] = {memory(0, 0), memory(0, 5), memory(5, 0), memory(5, 5)};
    run_uploads(*state, small, 3);
    run_uploads(*state, large, 3);
    run_uploads(*state, files, 3);
    run_uploads(*state, mixed, 6);
    run_uploads(*state, empty, 4);
}

static void
test_many_small_pieces(void **state)
{
    enum { COUNT = 3000 };
    static struct body_piece pieces[COUNT];
    uint64_t at = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        pieces[i] = memory(at, 1 + i % 97 * 40);
        at += pieces[i].len;
    }
    run_uploads(*state, pieces, COUNT);
}

static void
test_empty_bodies(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = OK_5}, {.text = OK_5});
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, NULL, 0, 0);
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_seen(&scene->fake, "\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(owner.pull_count, 0);
    owner_deinit(&owner);
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, NULL, 0, UINT64_MAX);
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_seen(&scene->fake, "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    owner_deinit(&owner);
    assert_int_equal(scene->fake.conn_count, 1);
}

/* The upstream takes little at a time: nothing is lost, and small pieces are not gathered without
 * bound. */
static void
test_slow_upstream(void **state)
{
    enum { COUNT = 4000 };
    static struct body_piece many[COUNT];
    struct scene *scene = *state;
    const struct body_piece pieces[] = {memory(0, BIG / 4), file(BIG / 4, BIG / 4)};
    int small = 4096;
    setsockopt(scene->fake.listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    scene->fake.recv_max = 60000;
    run_uploads(scene, pieces, 2);
    for (unsigned i = 0; i < COUNT; i++)
        many[i] = memory(i * 1000, 1000);
    scene->fake.recv_max = 30000;
    run_uploads(scene, many, COUNT);
    assert_true(scene->pool->exchange_count == 0);
}

/* --- pending --- */

static bool
is_pending(void *arg)
{
    struct owner *owner = arg;
    scene_pump(owner->scene);
    return owner->exchange->body_pending;
}

static void
test_pending_body(void **state)
{
    struct scene *scene = *state;
    const struct body_piece pieces[] = {memory(0, 10), memory(10, 50000), memory(50010, 5)};
    scene->config.first_byte_timeout_ns = 60 * MS;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned chunked = 0; chunked < 2; chunked++)
        for (unsigned at = 1; at <= 3; at++) {
            struct owner owner;
            if (at == 3 && !chunked)
                continue; /* with a length nothing is asked for behind it */
            buf_clear(&scene->fake.seen);
            owner_init(&owner, scene, "POST", "/");
            owner_set_body(&owner, pieces, 3, chunked ? UINT64_MAX : 50015);
            owner.pending_at = at;
            owner_start(&owner);
            run_until(scene->world, is_pending, &owner);
            unsigned pulls = owner.pull_count;
            /* No deadline runs, and nobody asks in vain. */
            scene_run_for(scene, 120);
            assert_int_equal(owner.pull_count, pulls);
            assert_int_equal(owner.over_count, 0);
            exchange_wake(owner.exchange);
            exchange_wake(owner.exchange);
            assert_int_equal(owner.pull_count, pulls);
            owner_wait(&owner);
            assert_answer(&owner, 200, "hello");
            assert_memory_equal(seen_body(&scene->fake).ptr, big, 50015);
            owner_deinit(&owner);
        }
    assert_int_equal(scene->fake.conn_count, 1);
}

static enum body_result
pull_and_wake(struct body *body, struct body_piece *piece)
{
    struct owner *owner = body->arg;
    if (owner->pull_count++ % 2 == 0) {
        exchange_wake(owner->exchange);
        return BODY_PENDING;
    }
    if (owner->piece_next++ == 5)
        return BODY_END;
    *piece = (struct body_piece){.mem = STR("x"), .len = 1};
    return BODY_PIECE;
}

/* A wake-up during the pull is not lost. */
static void
test_wake_within_the_pull(void **state)
{
    static const struct body_ops ops = {pull_and_wake, NULL, NULL};
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = OK_5});
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, NULL, 0, UINT64_MAX);
    owner.body.ops = &ops;
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_text(seen_body(&scene->fake), "xxxxx");
    owner_deinit(&owner);
}

/* A socket that never takes all there is: what was sent makes room all the same. */
static void
test_small_pieces_into_a_small_socket(void **state)
{
    enum { COUNT = 2000 };
    static struct body_piece pieces[COUNT];
    struct scene *scene = *state;
    struct owner owner;
    int small = 4096;
    for (unsigned i = 0; i < COUNT; i++)
        pieces[i] = memory(i * 500, 500);
    setsockopt(scene->fake.listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    script(&scene->fake, {.text = OK_5});
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, pieces, COUNT, UINT64_MAX);
    owner.pending_at = 1;
    owner_start(&owner);
    run_until(scene->world, is_pending, &owner);
    setsockopt(owner.exchange->conn->sock.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    exchange_wake(owner.exchange);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    struct str body = seen_body(&scene->fake);
    assert_int_equal(body.len, COUNT * 500);
    assert_memory_equal(body.ptr, big, COUNT * 500);
    owner_deinit(&owner);
}

/* --- failing --- */

static void
run_failing(struct scene *scene, const struct body_piece *pieces, unsigned count, uint64_t len,
            enum body_result last, const char *reason)
{
    struct owner owner;
    script(&scene->fake, {.text = OK_5});
    owner_init(&owner, scene, "PUT", "/");
    owner_set_body(&owner, pieces, count, len);
    owner.last = last;
    owner_start(&owner);
    owner_wait(&owner);
    assert_result(&owner, REQUEST, reason);
    assert_int_equal(owner.head_count, 0);
    wait_for(scene, scene->pool->conn_count == 0);
    assert_int_equal(scene->fake.request_count, 0);
    owner_deinit(&owner);
}

static void
test_failing_bodies(void **state)
{
    struct scene *scene = *state;
    const struct body_piece pieces[] = {memory(0, 10), memory(10, 50000)};
    const struct body_piece short_file[] = {file(BIG - 100, 200)};
    for (uint64_t len = 50020;; len = UINT64_MAX) {
        run_failing(scene, pieces, 0, len, BODY_FAILED, "the request body failed");
        run_failing(scene, pieces, 1, len, BODY_FAILED, "the request body failed");
        run_failing(scene, pieces, 2, len, BODY_FAILED, "the request body failed");
        if (len == UINT64_MAX)
            break;
    }
    run_failing(scene, pieces, 2, 50011, BODY_END, "ended 1 bytes before its length");
    run_failing(scene, pieces, 0, 1, BODY_END, "ended 1 bytes before its length");
    run_failing(scene, pieces, 2, 50009, BODY_END, "longer than was said");
    run_failing(scene, pieces, 1, 9, BODY_END, "longer than was said");
    run_failing(scene, short_file, 1, 200, BODY_END, "is shorter than it was");
}

/* --- answers before the end of the request --- */

static bool
nothing_pending(void *arg)
{
    struct scene *scene = arg;
    scene_pump(scene);
    return scene->pool->conn_count == 0;
}

/* An answer that does not wait for the body is passed on; the connection is not used again. */
static void
test_early_answer(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece pieces[] = {memory(0, 100), memory(100, BIG / 2)};
    script(&scene->fake,
           {.text = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n", .early = true});
    scene->fake.reads_nothing = true;
    owner_init(&owner, scene, "PUT", "/");
    owner_set_body(&owner, pieces, 2, 100 + BIG / 2);
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 413, "no\n");
    assert_int_equal(upstream_pool_idle_count(scene->pool), 0);
    run_until(scene->world, nothing_pending, scene);
    owner_deinit(&owner);
}

/* The upstream answers and closes, with bytes of the request unread: a reset. The answer counts. */
static void
test_early_answer_and_reset(void **state)
{
    struct scene *scene = *state;
    const struct body_piece pieces[] = {memory(0, 100), memory(100, BIG / 2)};
    scene->fake.reads_nothing = true;
    for (unsigned i = 0; i < 10; i++) {
        struct owner owner;
        script(&scene->fake, {.text = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n",
                              .early = true,
                              .end = FAKE_CLOSES});
        owner_init(&owner, scene, "PUT", "/");
        owner_set_body(&owner, pieces, 2, 100 + BIG / 2);
        owner_start(&owner);
        owner_wait(&owner);
        assert_answer(&owner, 413, "no\n");
        owner_deinit(&owner);
    }
}

/* After a failed send a FIN may be what is left of a reset: no end of a body. */
static void
test_end_after_a_failed_send(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece pieces[] = {memory(0, 100), memory(100, BIG / 2)};
    scene->fake.reads_nothing = true;
    script(&scene->fake,
           {.text = "HTTP/1.1 200 OK\r\n\r\nsome", .early = true, .end = FAKE_RESETS});
    owner_init(&owner, scene, "PUT", "/");
    owner_set_body(&owner, pieces, 2, 100 + BIG / 2);
    owner_start(&owner);
    owner_wait(&owner);
    assert_int_equal(owner.over_count, 1);
    assert_true(owner.result == EXCHANGE_BROKEN || owner.result == EXCHANGE_CLOSED);
    owner_deinit(&owner);
}

/* Both ways at once: the answer comes while the request goes, and each is longer than any buffer.
 */
static void
test_both_ways_at_once(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece pieces[] = {memory(0, BIG)};
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n",
                          .pattern_len = BIG,
                          .early = true});
    owner_init(&owner, scene, "POST", "/");
    owner.keeps_no_data = true;
    owner_set_body(&owner, pieces, 1, BIG);
    owner_start(&owner);
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, BIG);
}

/* --- Expect: 100-continue --- */

static const struct exchange_field expect[] = {{STR_INIT("Expect"), STR_INIT("100-Continue")}};

static void
start_expecting(struct owner *owner, struct scene *scene, const struct body_piece *piece)
{
    owner_init(owner, scene, "POST", "/");
    owner_set_body(owner, piece, 1, piece->len);
    owner->request.fields = expect;
    owner->request.field_count = 1;
    owner_start(owner);
}

static bool
fake_has_head(void *arg)
{
    struct scene *scene = arg;
    scene_pump(scene);
    return scene->fake.conn_count && scene->fake.conns[scene->fake.conn_count - 1].in.len > 0;
}

static void
test_body_waits_for_continue(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece piece = memory(0, 10);
    const char *text = "HTTP/1.1 100 Continue\r\n\r\n";
    start_expecting(&owner, scene, &piece);
    run_until(scene->world, fake_has_head, scene);
    scene_run_for(scene, 50);
    assert_int_equal(owner.pull_count, 0);
    script(&scene->fake, {.text = OK_5});
    uint64_t before_ns = loop_clock_ns();
    assert_int_equal(send(scene->fake.conns[0].fd, text, strlen(text), 0), strlen(text));
    owner_wait(&owner);
    assert_true(loop_clock_ns() - before_ns < EXCHANGE_CONTINUE_MS * MS / 2);
    assert_answer(&owner, 200, "hello");
    assert_int_equal(owner.interim_count, 1);
    assert_seen(&scene->fake, "\r\nExpect: 100-Continue\r\n");
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    owner_deinit(&owner);
}

static void
test_body_waits_no_longer_than_a_second(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece piece = memory(0, 10);
    uint64_t before_ns = loop_clock_ns();
    script(&scene->fake, {.text = OK_5});
    start_expecting(&owner, scene, &piece);
    owner_wait(&owner);
    uint64_t waited_ns = loop_clock_ns() - before_ns;
    assert_true(waited_ns >= EXCHANGE_CONTINUE_MS * MS);
    assert_true(waited_ns < 3 * EXCHANGE_CONTINUE_MS * MS);
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
}

static void
test_refusal_instead_of_continue(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece piece = memory(0, 10);
    script(&scene->fake,
           {.text = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", .early = true});
    start_expecting(&owner, scene, &piece);
    owner_wait(&owner);
    assert_answer(&owner, 417, "");
    assert_int_equal(owner.pull_count, 0);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 0);
    owner_deinit(&owner);
}

/* --- an upstream that does not take the request --- */

static void
test_request_that_is_not_taken(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece pieces[] = {memory(0, BIG)};
    scene->config.first_byte_timeout_ns = 200 * MS;
    scene->fake.reads_nothing = true;
    owner_init(&owner, scene, "PUT", "/");
    owner_set_body(&owner, pieces, 1, BIG);
    owner_start(&owner);
    owner_wait(&owner);
    assert_result(&owner, TIMEOUT, "no answer within 0.2 s, and the request not taken whole");
    owner_deinit(&owner);
}

/* But as long as some of it goes, the upload may take its time. */
static void
test_slow_upload_has_no_deadline(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece pieces[] = {memory(0, 2 << 20)};
    int small = 4096;
    setsockopt(scene->fake.listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    scene->config.first_byte_timeout_ns = 150 * MS;
    scene->fake.recv_max = 40000; /* each turn, of 2 ms at most */
    script(&scene->fake, {.text = OK_5});
    uint64_t before_ns = loop_clock_ns();
    owner_init(&owner, scene, "PUT", "/");
    owner_set_body(&owner, pieces, 1, 2 << 20);
    owner_start(&owner);
    while (!owner.over_count) {
        scene_run_for(scene, 1);
        usleep(20000);
    }
    assert_answer(&owner, 200, "hello");
    assert_true(loop_clock_ns() - before_ns > 200 * MS);
    owner_deinit(&owner);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with_scene(test_bodies),
        with_scene(test_many_small_pieces),
        with_scene(test_empty_bodies),
        with_scene(test_slow_upstream),
        with_scene(test_pending_body),
        with_scene(test_wake_within_the_pull),
        with_scene(test_small_pieces_into_a_small_socket),
        with_scene(test_failing_bodies),
        with_scene(test_early_answer),
        with_scene(test_early_answer_and_reset),
        with_scene(test_end_after_a_failed_send),
        with_scene(test_both_ways_at_once),
        with_scene(test_body_waits_for_continue),
        with_scene(test_body_waits_no_longer_than_a_second),
        with_scene(test_refusal_instead_of_continue),
        with_scene(test_request_that_is_not_taken),
        with_scene(test_slow_upload_has_no_deadline),
    };
    return cmocka_run_group_tests_name(name, tests, make_big, free_big);
}

int
main(void)
{
    return run_on_both("exchange_send", run_group);
}
