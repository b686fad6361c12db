/* The pool: connections that are used again, those that have been closed meanwhile, and the second
 * try of a request. */
#include "proxy/proxy_test_run.h"

#include <sys/resource.h>

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void
run_get(struct scene *scene)
{
    struct owner owner;
    owner_run(&owner, scene, "GET", "/");
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
}

/* --- used again --- */

static void
test_one_connection_for_many(void **state)
{
    struct scene *scene = *state;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned i = 0; i < 20; i++) {
        run_get(scene);
        assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    }
    assert_int_equal(scene->fake.conn_count, 1);
    assert_int_equal(scene->fake.conns[0].request_count, 20);
}

/* The next request finds the connection that the last one has just left. */
static void
test_started_when_the_other_is_over(void **state)
{
    struct scene *scene = *state;
    struct owner owners[3];
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned i = 0; i < 3; i++) {
        owner_init(&owners[i], scene, "POST", "/");
        owners[i].next = i < 2 ? &owners[i + 1] : NULL;
    }
    owner_start(&owners[0]);
    owner_wait(&owners[0]);
    for (unsigned i = 0; i < 3; i++) {
        assert_answer(&owners[i], 200, "hello");
        owner_deinit(&owners[i]);
    }
    assert_int_equal(scene->fake.conn_count, 1);
}

static bool
owners_are_over(void *arg)
{
    struct scene *scene = arg;
    scene_pump(scene);
    return scene->owners_open == 0;
}

static void
test_parallel_exchanges(void **state)
{
    struct scene *scene = *state;
    struct owner owners[5];
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned rounds = 0; rounds < 2; rounds++) {
        for (unsigned i = 0; i < 5; i++) {
            owner_init(&owners[i], scene, "GET", "/");
            owner_start(&owners[i]);
        }
        run_until(scene->world, owners_are_over, scene);
        for (unsigned i = 0; i < 5; i++) {
            assert_answer(&owners[i], 200, "hello");
            owner_deinit(&owners[i]);
        }
        assert_int_equal(scene->fake.conn_count, 5);
        assert_int_equal(upstream_pool_idle_count(scene->pool), 5);
    }
}

static struct fake_conn *
conn_that_served_last(struct fake *fake, unsigned *counts)
{
    struct fake_conn *found = NULL;
    for (unsigned i = 0; i < fake->conn_count; i++) {
        if (fake->conns[i].request_count != counts[i])
            found = &fake->conns[i];
        counts[i] = fake->conns[i].request_count;
    }
    return found;
}

static void
test_used_last_goes_first(void **state)
{
    struct scene *scene = *state;
    struct owner owners[3];
    unsigned counts[8] = {0};
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned i = 0; i < 3; i++) {
        owner_init(&owners[i], scene, "GET", "/");
        owner_start(&owners[i]);
    }
    run_until(scene->world, owners_are_over, scene);
    conn_that_served_last(&scene->fake, counts);
    run_get(scene);
    const struct fake_conn *first = conn_that_served_last(&scene->fake, counts);
    for (unsigned i = 0; i < 5; i++) {
        run_get(scene);
        assert_ptr_equal(conn_that_served_last(&scene->fake, counts), first);
    }
    for (unsigned i = 0; i < 3; i++)
        owner_deinit(&owners[i]);
}

static void
test_origins_do_not_share(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    run_get(scene);
    owner_init(&owner, scene, "GET", "/");
    owner_set_url(&owner, "http://127.1:%u/", ntohs(scene->fake.addr.sin_port));
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_int_equal(scene->fake.conn_count, 2);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 2);
    owner_deinit(&owner);
    /* But case makes no other origin. */
    const struct dns_host hosts[] = {{"same.example", "127.0.0.1", 60, DNS_ANSWERS, NULL}};
    upstream_pool_close(scene->pool);
    run_until(scene->world, scene_is_empty, scene);
    upstream_pool_free(scene->pool);
    scene->pool = NULL;
    scene_use_names(scene, hosts, 1);
    for (unsigned i = 0; i < 2; i++) {
        owner_init(&owner, scene, "GET", "/");
        owner_set_url(&owner, i ? "http://SAME.example:%u/" : "http://same.Example:%u/",
                      ntohs(scene->fake.addr.sin_port));
        owner_start(&owner);
        owner_wait(&owner);
        assert_answer(&owner, 200, "hello");
        owner_deinit(&owner);
    }
    assert_int_equal(scene->fake.conn_count, 3);
}

/* --- ceilings and ends of idle connections --- */

enum { MANY_ORIGINS = 9, MANY = MANY_ORIGINS * 140 };

static void
start_many(struct scene *scene, struct owner *owners, unsigned origins)
{
    for (unsigned i = 0; i < origins * 140; i++) {
        owner_init(&owners[i], scene, "GET", "/");
        snprintf(owners[i].url, sizeof owners[i].url, "http://127.0.0.%u:%u/", 1 + i / 140,
                 ntohs(scene->fake.addr.sin_port));
        owner_start(&owners[i]);
    }
    run_until(scene->world, owners_are_over, scene);
    for (unsigned i = 0; i < origins * 140; i++) {
        assert_answer(&owners[i], 200, "hello");
        owner_deinit(&owners[i]);
    }
}

static void
listen_everywhere(struct fake *fake)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    close(fake->listening);
    fake->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listening, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(fake->listening, 4096), 0);
    assert_int_equal(getsockname(fake->listening, (struct sockaddr *)&addr, &len), 0);
    fake->addr = addr;
}

static void
test_ceilings_of_idle_connections(void **state)
{
    static struct owner owners[MANY];
    struct scene *scene = *state;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    listen_everywhere(&scene->fake);
    start_many(scene, owners, 1);
    assert_int_equal(scene->fake.conn_count, 140);
    assert_int_equal(upstream_pool_idle_count(scene->pool), UPSTREAM_IDLE_MAX);
    wait_for(scene, fake_open_count(&scene->fake) == UPSTREAM_IDLE_MAX);
    start_many(scene, owners, MANY_ORIGINS);
    assert_int_equal(upstream_pool_idle_count(scene->pool), UPSTREAM_IDLE_TOTAL_MAX);
    wait_for(scene, fake_open_count(&scene->fake) == UPSTREAM_IDLE_TOTAL_MAX);
}

static bool
nothing_is_idle(void *arg)
{
    struct scene *scene = arg;
    scene_pump(scene);
    return upstream_pool_idle_count(scene->pool) == 0;
}

static void
test_idle_timeout(void **state)
{
    struct scene *scene = *state;
    scene->config.idle_timeout_ns = 500 * MS;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    /* Being used counts. */
    for (unsigned i = 0; i < 4; i++) {
        run_get(scene);
        scene_run_for(scene, 200);
        assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    }
    assert_int_equal(scene->fake.conn_count, 1);
    wait_for(scene, fake_open_count(&scene->fake) == 0);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 0);
    run_get(scene);
    assert_int_equal(scene->fake.conn_count, 2);
}

static void
test_closed_pool(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    run_get(scene);
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    upstream_pool_close(scene->pool);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 0);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_int_equal(upstream_pool_idle_count(scene->pool), 0);
    owner_deinit(&owner);
}

/* --- closed by the upstream --- */

static void
test_end_of_an_idle_connection_is_noticed(void **state)
{
    static const enum fake_end ends[] = {FAKE_CLOSES, FAKE_RESETS};
    struct scene *scene = *state;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned i = 0; i < 2; i++) {
        run_get(scene);
        fake_conn_close(&scene->fake.conns[i], ends[i] == FAKE_RESETS);
        run_until(scene->world, nothing_is_idle, scene);
    }
    run_get(scene);
    assert_int_equal(scene->fake.conn_count, 3);
}

/* The loop has not yet told of the end: a look at the socket does. A POST would not be tried
 * again. */
static void
test_end_is_noticed_before_use(void **state)
{
    static const bool resets[] = {false, true};
    struct scene *scene = *state;
    struct owner owner;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned i = 0; i < 2; i++) {
        run_get(scene);
        assert_int_equal(scene->fake.conn_count, i + 1);
        owner_init(&owner, scene, "POST", "/");
        owner_start(&owner);
        fake_conn_close(&scene->fake.conns[i], resets[i]);
        owner_wait(&owner);
        assert_answer(&owner, 200, "hello");
        owner_deinit(&owner);
        assert_int_equal(scene->fake.conn_count, i + 2);
        assert_int_equal(scene->fake.request_count, 2 * i + 2);
        buf_clear(&scene->fake.seen);
    }
}

/* --- the second try --- */

struct attempt {
    const char *method;
    const char *body;      /* NULL: none */
    bool chunked, as_file; /* of the body */
    bool again;            /* it is sent again */
};

static const struct attempt attempts[] = {
    {"GET", NULL, false, false, true},          {"HEAD", NULL, false, false, true},
    {"DELETE", NULL, false, false, true},       {"OPTIONS", NULL, false, false, true},
    {"POST", NULL, false, false, false},        {"PATCH", NULL, false, false, false},
    {"OTHER", NULL, false, false, false},       {"PUT", "some text", false, false, true},
    {"PUT", "some text", true, false, true},    {"PUT", "some text", false, true, true},
    {"PUT", "some text", true, true, false}, /* its end was pulled: the file may be closed */
    {"POST", "some text", false, false, false}, {"POST", "some text", true, false, false},
};

static int
text_file(const char *text)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fputs(text, file);
    fflush(file);
    int fd = dup(fileno(file));
    fclose(file);
    return fd;
}

/* Two answers on a connection: the second one says nothing, and closes. */
static void
run_attempt(struct scene *scene, const struct attempt *attempt, enum fake_end end)
{
    const struct fake_answer answers[] = {
        {.text = OK_5}, {.silent = true, .end = end}, {.text = OK_5}, {.text = OK_5}};
    struct owner owner;
    struct body_piece piece = {.fd = -1};
    unsigned before = scene->fake.conn_count;
    scene->fake.answers = answers;
    scene->fake.answer_count = 4;
    scene->fake.answered = 0;
    run_get(scene);
    owner_init(&owner, scene, attempt->method, "/again");
    if (attempt->body) {
        piece.mem = str_from_cstr(attempt->body);
        piece.len = piece.mem.len;
        if (attempt->as_file) {
            piece.fd = text_file(attempt->body);
            piece.mem.ptr = NULL;
        }
        owner_set_body(&owner, &piece, 1, attempt->chunked ? UINT64_MAX : piece.len);
    }
    buf_clear(&scene->fake.seen);
    owner_start(&owner);
    owner_wait(&owner);
    if (attempt->again) {
        assert_result(&owner, DONE, "");
        /* Twice the same bytes. */
        struct str seen = buf_str(&scene->fake.seen);
        assert_true(seen.len > 0 && seen.len % 2 == 0);
        assert_memory_equal(seen.ptr, seen.ptr + seen.len / 2, seen.len / 2);
    } else {
        assert_result(&owner, CLOSED, "before an answer");
    }
    assert_int_equal(scene->fake.conn_count, before + (attempt->again ? 2 : 1));
    assert_int_equal(scene->fake.answered, attempt->again ? 3 : 2);
    if (piece.fd >= 0)
        close(piece.fd);
    owner_deinit(&owner);
    while (upstream_pool_idle_count(scene->pool)) {
        upstream_pool_close(scene->pool);
        scene->pool->closing = false;
    }
}

static void
test_request_is_sent_again_if_it_may_be(void **state)
{
    for (unsigned i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        run_attempt(*state, &attempts[i], FAKE_CLOSES);
        run_attempt(*state, &attempts[i], FAKE_RESETS);
    }
}

static void
test_request_is_sent_again_once(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = OK_5}, {.silent = true, .end = FAKE_CLOSES},
           {.silent = true, .end = FAKE_CLOSES}, {.text = OK_5});
    run_get(scene);
    owner_run(&owner, scene, "GET", "/");
    assert_result(&owner, CLOSED, "before an answer");
    assert_int_equal(scene->fake.answered, 3);
    assert_int_equal(scene->fake.conn_count, 2);
    owner_deinit(&owner);
}

static void
test_fresh_connection_is_no_reason_to_try_again(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.silent = true, .end = FAKE_CLOSES}, {.text = OK_5});
    owner_run(&owner, scene, "GET", "/");
    assert_result(&owner, CLOSED, "before an answer");
    assert_int_equal(scene->fake.conn_count, 1);
    owner_deinit(&owner);
}

/* One byte of an answer is an answer. */
static void
test_begun_answer_is_not_tried_again(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = OK_5}, {.text = "H", .end = FAKE_CLOSES}, {.text = OK_5});
    run_get(scene);
    owner_run(&owner, scene, "GET", "/");
    assert_result(&owner, CLOSED, "in the middle of the response header");
    assert_int_equal(scene->fake.conn_count, 1);
    owner_deinit(&owner);
}

static bool
fake_has_seen_head(void *arg)
{
    struct scene *scene = arg;
    scene_pump(scene);
    return scene->fake.conns[0].in.len > 0;
}

/* Nothing of the body has been pulled: nobody can have acted on the request, so even a POST is sent
 * again. */
static void
test_post_is_sent_again_before_its_body(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece piece = {.mem = STR("some text"), .len = 9};
    script(&scene->fake, {.text = OK_5}, {.text = OK_5});
    run_get(scene);
    owner_init(&owner, scene, "POST", "/");
    owner_set_body(&owner, &piece, 1, 9);
    owner.last = BODY_END;
    owner.piece_count = 0;
    owner.last = BODY_PENDING;
    owner_start(&owner);
    run_until(scene->world, fake_has_seen_head, scene);
    fake_conn_close(&scene->fake.conns[0], false);
    wait_for(scene, scene->fake.conn_count == 2);
    owner.piece_count = 1;
    owner.last = BODY_END;
    exchange_wake(owner.exchange);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_int_equal(scene->fake.conn_count, 2);
    assert_seen(&scene->fake, "Content-Length: 9\r\n\r\nsome text");
    owner_deinit(&owner);
}

/* What was sent from elsewhere than the output cannot be sent again. */
static void
test_large_body_is_not_sent_again(void **state)
{
    static char large[3 * EXCHANGE_OUT_LEN];
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece pieces[] = {
        {.mem = {large, sizeof large}, .len = sizeof large},
        {.mem = {large, sizeof large}, .len = sizeof large},
    };
    memset(large, 'a', sizeof large);
    script(&scene->fake, {.text = OK_5}, {.silent = true, .end = FAKE_CLOSES}, {.text = OK_5});
    run_get(scene);
    owner_init(&owner, scene, "PUT", "/");
    owner_set_body(&owner, pieces, 2, 2 * sizeof large);
    owner_start(&owner);
    owner_wait(&owner);
    assert_result(&owner, CLOSED, "before an answer");
    assert_int_equal(scene->fake.conn_count, 1);
    owner_deinit(&owner);
}

/* Exchanges come from a list of free ones: nothing of an earlier one may be left in them. */
static void
test_exchanges_are_fresh(void **state)
{
    struct scene *scene = *state;
    scene->fake.repeats = true;
    for (unsigned i = 0; i < 3; i++) {
        struct owner owner;
        script(&scene->fake, {.text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
                                      "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"});
        owner_init(&owner, scene, "POST", "/long/path/of/the/first");
        owner.pauses = OWNER_IN_DATA;
        owner_start(&owner);
        wait_for(scene, owner.data_count == 1);
        exchange_cancel(owner.exchange);
        scene->owners_open--;
        owner_deinit(&owner);
        script(&scene->fake, {.text = OK_5});
        buf_clear(&scene->fake.seen);
        run_get(scene);
        assert_true(str_starts_with(buf_str(&scene->fake.seen), STR("GET / HTTP/1.1\r\nHost: ")));
    }
    assert_int_equal(scene->pool->free_exchange_count, 1);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with_scene(test_one_connection_for_many),
        with_scene(test_started_when_the_other_is_over),
        with_scene(test_parallel_exchanges),
        with_scene(test_used_last_goes_first),
        with_scene(test_origins_do_not_share),
        with_scene(test_ceilings_of_idle_connections),
        with_scene(test_idle_timeout),
        with_scene(test_closed_pool),
        with_scene(test_end_of_an_idle_connection_is_noticed),
        with_scene(test_end_is_noticed_before_use),
        with_scene(test_request_is_sent_again_if_it_may_be),
        with_scene(test_request_is_sent_again_once),
        with_scene(test_fresh_connection_is_no_reason_to_try_again),
        with_scene(test_begun_answer_is_not_tried_again),
        with_scene(test_post_is_sent_again_before_its_body),
        with_scene(test_large_body_is_not_sent_again),
        with_scene(test_exchanges_are_fresh),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    const struct rlimit files = {4000, 4000};
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur < files.rlim_cur)
        setrlimit(RLIMIT_NOFILE, &files);
    return run_on_both("upstream", run_group);
}
