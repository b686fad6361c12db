/* Pausing, cancelling and waiting: what an exchange holds, when it lets go, how long it waits. */
#include "proxy/proxy_test_run.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* HELD_MAX: what the loop may have received before it heard of a pause. */
enum {
    BIG = 20 << 20,
    SMALL_BUFFER = 65536,
    HELD_MAX = LOOP_URING_BUFFERS * LOOP_URING_BUFFER_LEN,
};

static bool
has_data(void *arg)
{
    struct owner *owner = arg;
    scene_pump(owner->scene);
    return (owner->data_len > 0 && owner->data_count >= owner->data_wanted) || owner->over_count;
}

static bool
has_head(void *arg)
{
    struct owner *owner = arg;
    scene_pump(owner->scene);
    return owner->head_count > 0 || owner->over_count;
}

static void
cancel(struct owner *owner)
{
    exchange_cancel(owner->exchange);
    owner->exchange = NULL;
    owner->scene->owners_open--;
}

/* --- pausing --- */

static void
use_small_buffers(struct scene *scene)
{
    int small = SMALL_BUFFER;
    setsockopt(scene->fake.listening, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

/* Runs until the fake can say nothing more. */
static void
run_until_stuck(struct scene *scene)
{
    uint64_t before;
    do {
        before = scene->fake.said;
        scene_run_for(scene, 50);
    } while (scene->fake.said != before);
}

static size_t
held_len(const struct owner *owner)
{
    const struct upstream_conn *conn = owner->exchange->conn;
    return conn->held.len + conn->plain.len;
}

/* A pause stops the upstream, holds little, and loses nothing. */
static void
run_paused(struct scene *scene, const char *head, size_t len, enum fake_end end)
{
    struct owner owner;
    const struct fake_answer answer = {.text = head, .pattern_len = len, .end = end};
    scene->fake.answers = &answer;
    scene->fake.answer_count = 1;
    scene->fake.answered = 0;
    scene->fake.said = 0;
    use_small_buffers(scene);
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner.pauses = OWNER_IN_DATA;
    owner_start(&owner);
    run_until(scene->world, has_data, &owner);
    for (unsigned i = 0; i < 3; i++) {
        run_until_stuck(scene);
        assert_int_equal(owner.data_count, i + 1);
        assert_int_equal(owner.over_count, 0);
        assert_true(held_len(&owner) <= HELD_MAX);
        assert_true(scene->fake.said < len / 2);
        exchange_resume(owner.exchange);
        exchange_resume(owner.exchange);
    }
    owner.pauses = OWNER_NEVER;
    scene_run_for(scene, 1);
    if (owner.exchange)
        exchange_resume(owner.exchange);
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, len);
}

static void
test_pause_with_a_length(void **state)
{
    run_paused(*state, "HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n", BIG, FAKE_STAYS);
    struct scene *scene = *state;
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
}

static void
test_pause_to_the_end(void **state)
{
    run_paused(*state, "HTTP/1.1 200 OK\r\n\r\n", BIG, FAKE_CLOSES);
}

/* Chunks of one byte: each is a call, and a pause in each of them costs no copy of what is behind.
 */
static void
test_pause_in_every_chunk(void **state)
{
    enum { CHUNKS = 30000 };
    static char text[CHUNKS * 6 + 100];
    struct scene *scene = *state;
    struct owner owner;
    char *at = text + sprintf(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < CHUNKS; i++)
        at += sprintf(at, "1\r\n%c\r\n", 'a' + i % 26);
    sprintf(at, "0\r\n\r\n");
    script(&scene->fake, {.text = text});
    owner_init(&owner, scene, "GET", "/");
    owner.pauses = OWNER_IN_DATA;
    owner_start(&owner);
    for (unsigned i = 0; i < CHUNKS; i++) {
        owner.data_wanted = i + 1;
        run_until(scene->world, has_data, &owner);
        assert_int_equal(owner.data_count, i + 1);
        assert_int_equal(owner.over_count, 0);
        exchange_resume(owner.exchange);
    }
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, CHUNKS);
    for (unsigned i = 0; i < CHUNKS; i++)
        assert_int_equal(owner.data.ptr[i], 'a' + i % 26);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    owner_deinit(&owner);
}

static void
test_pause_before_the_body(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned early = 0; early < 2; early++) {
        owner_init(&owner, scene, "GET", "/");
        owner.pauses = early ? OWNER_NEVER : OWNER_IN_HEAD;
        owner_start(&owner);
        if (early)
            exchange_pause(owner.exchange);
        wait_for(scene, owner.head_count);
        scene_run_for(scene, 20);
        assert_int_equal(owner.data_count, 0);
        exchange_resume(owner.exchange);
        assert_int_equal(owner.data_count, 0);
        owner_wait(&owner);
        assert_answer(&owner, 200, "hello");
        owner_deinit(&owner);
    }
    assert_int_equal(scene->fake.conn_count, 1);
}

/* Bytes that come between a resume and its effect stay behind those that are held. */
static void
test_order_after_a_pause(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"
                                  "hello "});
    owner_init(&owner, scene, "GET", "/");
    owner.pauses = OWNER_IN_HEAD;
    owner_start(&owner);
    wait_for(scene, owner.head_count && held_len(&owner));
    struct sock *sock = &owner.exchange->conn->sock;
    exchange_resume(owner.exchange);
    upstream_sock_ops.received(sock, "world!", 6);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello world!");
    owner_deinit(&owner);
}

/* More than can be held: what came is right as far as it goes, and then the transfer breaks. */
static void
test_more_than_can_be_held(void **state)
{
    static char bytes[2000];
    struct scene *scene = *state;
    struct owner owner;
    pattern_fill(bytes, 0, sizeof bytes);
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"});
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner.pauses = OWNER_IN_HEAD;
    owner_start(&owner);
    wait_for(scene, owner.head_count);
    struct upstream_conn *conn = owner.exchange->conn;
    conn->held.max = 1000;
    for (unsigned i = 0; i < 4; i++)
        upstream_sock_ops.received(&conn->sock, bytes + i * 400, i == 3 ? 100 : 400);
    assert_int_equal(conn->held.len, 800);
    exchange_resume(owner.exchange);
    owner_wait(&owner);
    assert_result(&owner, BROKEN, "after 800 bytes of the body");
    assert_int_equal(owner.data_len, 800);
}

/* The upstream's end waits behind what is held. */
static void
test_end_behind_a_pause(void **state)
{
    static const struct {
        const char *text;
        enum fake_end end;
        enum exchange_result result;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\nhello", FAKE_CLOSES, EXCHANGE_DONE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", FAKE_CLOSES, EXCHANGE_BROKEN},
    };
    struct scene *scene = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct owner owner;
        const struct fake_answer answer = {.text = cases[i].text, .end = cases[i].end};
        scene->fake.answers = &answer;
        scene->fake.answer_count = 1;
        scene->fake.answered = 0;
        owner_init(&owner, scene, "GET", "/");
        owner.pauses = OWNER_IN_HEAD;
        owner_start(&owner);
        wait_for(scene, owner.head_count);
        scene_run_for(scene, 20);
        assert_int_equal(owner.over_count + owner.data_count, 0);
        exchange_resume(owner.exchange);
        owner_wait(&owner);
        assert_int_equal(owner.result, cases[i].result);
        assert_text(buf_str(&owner.data), "hello");
        owner_deinit(&owner);
    }
}

/* No deadline runs while the owner takes its time. */
static void
test_pause_is_not_the_upstreams_fault(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.between_bytes_timeout_ns = 50 * MS;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"});
    owner_init(&owner, scene, "GET", "/");
    owner.pauses = OWNER_IN_DATA;
    owner_start(&owner);
    run_until(scene->world, has_data, &owner);
    scene_run_for(scene, 120);
    assert_int_equal(owner.over_count, 0);
    exchange_resume(owner.exchange);
    owner_wait(&owner);
    assert_result(&owner, BROKEN, "nothing more for 0.05 s after 5 bytes");
    owner_deinit(&owner);
}

/* A pause from outside of a callback. */
static void
test_pause_between_pieces(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    use_small_buffers(scene);
    script(&scene->fake,
           {.text = "HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n", .pattern_len = BIG});
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner_start(&owner);
    run_until(scene->world, has_data, &owner);
    for (unsigned i = 0; i < 3 && owner.exchange; i++) {
        exchange_pause(owner.exchange);
        uint64_t len = owner.data_len;
        run_until_stuck(scene);
        assert_int_equal(owner.data_len, len);
        assert_true(held_len(&owner) <= HELD_MAX);
        exchange_resume(owner.exchange);
        assert_int_equal(owner.data_len, len);
        scene_run_for(scene, 1);
    }
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, BIG);
}

/* --- cancelling --- */

static void
test_cancel_in_callbacks(void **state)
{
    static const struct {
        enum owner_moment moment;
        const char *text;
    } cases[] = {
        {OWNER_IN_HEAD, OK_5},
        {OWNER_IN_HEAD, "HTTP/1.1 204 No Content\r\n\r\n"},
        {OWNER_IN_DATA, OK_5},
        {OWNER_IN_DATA, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"},
        {OWNER_IN_DATA, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n"
                        "0\r\n\r\n"},
        {OWNER_IN_DATA, "HTTP/1.1 200 OK\r\n\r\nhello"},
        {OWNER_IN_INTERIM, "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" OK_5},
    };
    struct scene *scene = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 0; step < 2; step++) {
            struct owner owner;
            const struct fake_answer answer = {.text = cases[i].text, .step = step};
            scene->fake.answers = &answer;
            scene->fake.answer_count = 1;
            scene->fake.answered = 0;
            owner_init(&owner, scene, "GET", "/");
            owner.cancels = cases[i].moment;
            owner_start(&owner);
            owner_wait(&owner);
            wait_for(scene, scene->pool->conn_count == 0);
            assert_int_equal(owner.over_count, 0);
            assert_int_equal(owner.data_count, cases[i].moment == OWNER_IN_DATA);
            assert_int_equal(scene->pool->exchange_count, 0);
            owner_deinit(&owner);
        }
}

static void
test_cancel_in_the_bodys_pull(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct body_piece piece = {.mem = STR("a"), .len = 1};
    owner_init(&owner, scene, "PUT", "/");
    owner_set_body(&owner, &piece, 1, UINT64_MAX);
    owner.cancels = OWNER_IN_PULL;
    owner_start(&owner);
    owner_wait(&owner);
    wait_for(scene, scene->pool->conn_count == 0);
    assert_int_equal(owner.pull_count, 1);
    assert_int_equal(owner.over_count, 0);
    assert_false(owner.closed); /* the body is the owner's to close */
}

static bool
request_is_there(void *arg)
{
    struct owner *owner = arg;
    scene_pump(owner->scene);
    return owner->scene->fake.conns[0].in.len > 0;
}

static void
test_cancel_while_waiting_for_an_answer(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    run_until(scene->world, request_is_there, &owner);
    cancel(&owner);
    wait_for(scene, scene->pool->conn_count == 0 && fake_open_count(&scene->fake) == 0);
    assert_int_equal(owner.over_count, 0);
}

static void
test_cancel_in_a_paused_body(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake,
           {.text = "HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n", .pattern_len = BIG});
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner.pauses = OWNER_IN_DATA;
    owner_start(&owner);
    run_until(scene->world, has_data, &owner);
    run_until_stuck(scene);
    exchange_resume(owner.exchange); /* and does not live to see it */
    cancel(&owner);
    wait_for(scene, scene->pool->conn_count == 0);
    assert_int_equal(owner.data_count, 1);
}

/* The owner's memory may go at once, while the kernel has not yet sent what it was lent. */
static void
test_cancel_with_a_send_under_way(void **state)
{
    struct scene *scene = *state;
    struct owner *owner = malloc(sizeof *owner);
    owner_init(owner, scene, "GET", "/first");
    owner_start(owner);
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    owner_wait(owner);
    owner_deinit(owner);
    /* The connection is idle: the next request is sent in the turn in which it is due. */
    for (unsigned i = 0; i < 10; i++) {
        owner_init(owner, scene, "GET", "/a/second/one");
        owner_start(owner);
        timer_run(loop_timers(scene->world->loop), loop_now_ns(scene->world->loop));
        assert_int_equal(owner->exchange->state, EXCHANGE_AT_TALK);
        cancel(owner);
        owner_deinit(owner);
        memset(owner, 0xee, sizeof *owner);
        owner_run(owner, scene, "GET", "/third");
        assert_answer(owner, 200, "hello");
        owner_deinit(owner);
    }
    free(owner);
}

/* --- waiting --- */

static void
test_first_byte_timeout(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.first_byte_timeout_ns = 100 * MS;
    owner_run(&owner, scene, "GET", "/");
    assert_result(&owner, TIMEOUT, "no answer within 0.1 s");
    wait_for(scene, scene->pool->conn_count == 0);
    owner_deinit(&owner);
}

/* Bytes of a head do not move its deadline. */
static void
test_head_byte_by_byte_has_a_deadline(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.first_byte_timeout_ns = 150 * MS;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nX-Endless:", .step = 1});
    owner_run(&owner, scene, "GET", "/");
    assert_result(&owner, TIMEOUT, "no answer within 0.15 s");
    owner_deinit(&owner);
}

static void
test_timeout_is_not_tried_again(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.first_byte_timeout_ns = 100 * MS;
    script(&scene->fake, {.text = OK_5});
    owner_run(&owner, scene, "GET", "/");
    assert_answer(&owner, 200, "hello");
    owner_deinit(&owner);
    owner_run(&owner, scene, "GET", "/");
    assert_result(&owner, TIMEOUT, "no answer");
    assert_int_equal(scene->fake.conn_count, 1);
    owner_deinit(&owner);
}

static void
test_interim_response_moves_the_deadline(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.first_byte_timeout_ns = 400 * MS;
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    run_until(scene->world, request_is_there, &owner);
    for (unsigned i = 0; i < 4; i++) {
        const char *text = "HTTP/1.1 102 Processing\r\n\r\n";
        scene_run_for(scene, 150);
        assert_int_equal(owner.over_count, 0);
        assert_int_equal(send(scene->fake.conns[0].fd, text, strlen(text), MSG_NOSIGNAL),
                         strlen(text));
    }
    owner_wait(&owner);
    assert_result(&owner, TIMEOUT, "no answer within 0.4 s");
    assert_int_equal(owner.interim_count, 4);
    owner_deinit(&owner);
}

static void
test_between_bytes_timeout(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.between_bytes_timeout_ns = 400 * MS;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"});
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    run_until(scene->world, has_data, &owner);
    for (unsigned i = 0; i < 4; i++) {
        scene_run_for(scene, 150);
        assert_int_equal(owner.over_count, 0);
        assert_int_equal(send(scene->fake.conns[0].fd, "x", 1, MSG_NOSIGNAL), 1);
    }
    owner_wait(&owner);
    assert_result(&owner, BROKEN, "nothing more for 0.4 s after 9 bytes of the body");
    assert_text(buf_str(&owner.data), "helloxxxx");
    owner_deinit(&owner);
}

/* The head alone does not end the waiting. */
static void
test_between_bytes_timeout_behind_the_head(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    scene->config.between_bytes_timeout_ns = 100 * MS;
    script(&scene->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"});
    owner_init(&owner, scene, "GET", "/");
    owner_start(&owner);
    run_until(scene->world, has_head, &owner);
    owner_wait(&owner);
    assert_result(&owner, BROKEN, "nothing more for 0.1 s after 0 bytes");
    owner_deinit(&owner);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with_scene(test_pause_with_a_length),
        with_scene(test_pause_to_the_end),
        with_scene(test_pause_in_every_chunk),
        with_scene(test_pause_before_the_body),
        with_scene(test_order_after_a_pause),
        with_scene(test_more_than_can_be_held),
        with_scene(test_end_behind_a_pause),
        with_scene(test_pause_is_not_the_upstreams_fault),
        with_scene(test_pause_between_pieces),
        with_scene(test_cancel_in_callbacks),
        with_scene(test_cancel_in_the_bodys_pull),
        with_scene(test_cancel_while_waiting_for_an_answer),
        with_scene(test_cancel_in_a_paused_body),
        with_scene(test_cancel_with_a_send_under_way),
        with_scene(test_first_byte_timeout),
        with_scene(test_head_byte_by_byte_has_a_deadline),
        with_scene(test_timeout_is_not_tried_again),
        with_scene(test_interim_response_moves_the_deadline),
        with_scene(test_between_bytes_timeout),
        with_scene(test_between_bytes_timeout_behind_the_head),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("exchange_flow", run_group);
}
