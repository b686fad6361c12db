/* Connections: deadlines, room, draining, and how they end; on both backends. */
#include "conn/conn_test_run.h"

static void
make_small(struct scene *scene)
{
    scene_make(scene, "printf small >a && seq 1 1000000 >big");
}

static void
every_end_has_a_name(void **state)
{
    for (unsigned i = 0; i < CONN_END_COUNT; i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(conn_end_name((enum conn_end)i),
                                    conn_end_name((enum conn_end)j));
    assert_string_equal(conn_end_name(CONN_END_IDLE_TIMEOUT), "idle_timeout");
}

/* --- deadlines --- */

static void
a_head_that_does_not_come_in_time_is_answered(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.header_timeout_ns = 60 * MS;
    make_small(scene);
    client_open(&client, scene);
    uint64_t before_ns = loop_now_ns(scene->world->loop);
    client_say(&client, "GET /a HTTP/1.1\r\n");
    for (unsigned i = 0; i < 40 && client.in.len == 0; i++) {
        /* Bytes that trickle in do not buy more time. */
        client_say(&client, "X: y\r\n");
        client_run_for(&client, 4);
    }
    assert_next(&client, 408, "408 Request Timeout: the request did not come in time\n");
    assert_connection(&client, "close");
    assert_ended(&client, 0);
    assert_true(loop_now_ns(scene->world->loop) - before_ns >= 60 * MS);
    assert_true(loop_now_ns(scene->world->loop) - before_ns < 1000 * MS);
    client_close(&client);
    run_for(scene->world, 5);
    assert_ends(scene, CONN_END_HEADER_TIMEOUT, 1);
}

/* The time for a head begins with its first byte, not with the request before it. */
static void
a_slow_answer_does_not_shorten_the_time_for_the_next_head(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.header_timeout_ns = 100 * MS;
    make_small(scene);
    client_open(&client, scene);
    client.read_step = 0;
    client_get(&client, "/big");
    client_say(&client, "GET /a HTTP/1.1\r\n");
    client_run_for(&client, 120);
    client.read_step = SIZE_MAX;
    assert_int_equal(client_next(&client, false), 200);
    client_run_for(&client, 30);
    client_say(&client, "Host: a\r\n\r\n");
    assert_next(&client, 200, "small");
    client_close(&client);
}

static void
a_body_that_does_not_come_in_time_is_answered(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.io_timeout_ns = 50 * MS;
    make_small(scene);
    client_open(&client, scene);
    client_say(&client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_int_equal(client_next(&client, false), 408);
    assert_connection(&client, "close");
    assert_ended(&client, 0);
    client_close(&client);
}

static void
an_idle_connection_ends_silently(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.keepalive_timeout_ns = 40 * MS;
    make_small(scene);
    client_open(&client, scene);
    for (unsigned i = 0; i < 3; i++) {
        client_get(&client, "/a");
        assert_next(&client, 200, "small");
        client_run_for(&client, 20);
    }
    assert_ended(&client, 0);
    client_close(&client);
    run_for(scene->world, 5);
    assert_ends(scene, CONN_END_IDLE_TIMEOUT, 1);
}

static void
a_connection_without_a_first_request_ends_silently(void **state)
{
    struct scene *scene = *state;
    struct client client;
    scene->pool.config.header_timeout_ns = 30 * MS;
    make_small(scene);
    client_open(&client, scene);
    assert_ended(&client, 0);
    client_close(&client);
    run_for(scene->world, 5);
    assert_ends(scene, CONN_END_IDLE_TIMEOUT, 1);
}

static void
who_leaves_between_requests_is_done(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_small(scene);
    client_open(&client, scene);
    client_get(&client, "/a");
    assert_next(&client, 200, "small");
    client_close(&client);
    run_until(scene->world, scene_is_empty, scene);
    client_open(&client, scene);
    client_reset(&client);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_DONE, 2);
    assert_int_equal(scene->pool.counters.accepted, 2);
}

/* --- the last answer can be read --- */

static void
who_goes_on_sending_can_read_the_refusal(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_small(scene);
    client_open(&client, scene);
    client.read_step = 0;
    client_say(&client, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n");
    for (unsigned i = 0; i < 600; i++)
        buf_printf(&client.out, "%01000d", 0);
    run_until(scene->world, client_is_out, &client);
    client_run_for(&client, 10);
    client.read_step = SIZE_MAX;
    assert_next(&client, 405, "405 Method Not Allowed\n");
    assert_ended(&client, 0);
    assert_int_equal(scene->pool.counters.active, 1);
    client_close(&client);
    run_until(scene->world, scene_is_empty, scene);
    assert_ends(scene, CONN_END_DONE, 1);
}

static bool
client_was_cut_off(void *arg)
{
    struct client *client = arg;
    if (client->scene->pool.counters.active == 0)
        return true;
    client_pump(client);
    return false;
}

static void
who_never_stops_sending_is_cut_off(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_small(scene);
    client_open(&client, scene);
    client_say(&client, "nonsense\r\n\r\n");
    for (unsigned i = 0; i < 8000; i++)
        buf_printf(&client.out, "%01000d", 0);
    uint64_t before_ns = loop_now_ns(scene->world->loop);
    run_until(scene->world, client_was_cut_off, &client);
    assert_true(loop_now_ns(scene->world->loop) - before_ns < (CONN_LINGER_MS - 500) * MS);
    assert_ends(scene, CONN_END_BAD_REQUEST, 1);
    client_close(&client);
}

static void
lingering_has_an_end(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_small(scene);
    client_open(&client, scene);
    client_say(&client, "nonsense\r\n\r\n");
    assert_int_equal(client_next(&client, false), 400);
    assert_ended(&client, 0);
    uint64_t before_ns = loop_now_ns(scene->world->loop);
    run_until(scene->world, scene_is_empty, scene);
    assert_true(loop_now_ns(scene->world->loop) - before_ns > (CONN_LINGER_MS - 500) * MS);
    client_close(&client);
}

/* --- room --- */

static bool
client_is_served(struct client *client)
{
    client_get(client, "/a");
    client->in_wanted = 1;
    return world_runs_until(client->scene->world, client_has_bytes, client, 20) &&
           client->in.len > 0;
}

static void
the_oldest_idle_connection_makes_room(void **state)
{
    struct scene *scene = *state;
    struct client clients[5];
    scene->pool.config.connections_max = 4;
    make_small(scene);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(client_open(&clients[i], scene));
        run_for(scene->world, 3);
    }
    /* The first has been heard of since, so the second is the oldest. */
    client_get(&clients[0], "/a");
    assert_next(&clients[0], 200, "small");
    assert_true(client_open(&clients[4], scene));
    assert_ended(&clients[1], 0);
    for (unsigned i = 0; i < 5; i++) {
        if (i == 1)
            continue;
        client_get(&clients[i], "/a");
        assert_next(&clients[i], 200, "small");
    }
    assert_ends(scene, CONN_END_EVICTED, 1);
    for (unsigned i = 0; i < 5; i++)
        client_close(&clients[i]);
}

static void
many_new_connections_evict_in_order(void **state)
{
    enum { OLD = 2 * CONN_EVICT_BATCH + 10, NEW = CONN_EVICT_BATCH + 20 };
    struct scene *scene = *state;
    struct client *clients = calloc(OLD + NEW, sizeof *clients);
    assert_non_null(clients);
    scene->pool.config.connections_max = OLD;
    make_small(scene);
    for (unsigned i = 0; i < OLD; i++) {
        client_open(&clients[i], scene);
        run_for(scene->world, 0);
    }
    for (unsigned i = OLD; i < OLD + NEW; i++) {
        assert_true(client_open(&clients[i], scene));
        run_for(scene->world, 0);
    }
    assert_ends(scene, CONN_END_EVICTED, NEW);
    for (unsigned i = 0; i < OLD + NEW; i++) {
        client_pump(&clients[i]);
        if ((clients[i].end <= 0) != (i < NEW))
            fail_msg("connection %u: end %zd", i, clients[i].end);
        client_close(&clients[i]);
    }
    free(clients);
}

static void
rooms_are_told(void *arg)
{
    (*(unsigned *)arg)++;
}

/* With every place taken by one who is busy, who comes waits for his turn. */
static void
newcomers_wait_for_the_busy_in_their_order(void **state)
{
    struct scene *scene = *state;
    struct client busy[2], waiting[3];
    unsigned told = 0;
    scene->pool.config.connections_max = 2;
    scene->pool.has_room = rooms_are_told;
    scene->pool.room_arg = &told;
    make_small(scene);
    for (unsigned i = 0; i < 2; i++) {
        client_open(&busy[i], scene);
        busy[i].read_step = 0;
        client_get(&busy[i], "/big");
        client_run_for(&busy[i], 10);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_false(client_open(&waiting[i], scene));
        assert_false(client_is_served(&waiting[i]));
    }
    assert_int_equal(told, 0);
    client_reset(&busy[0]);
    client_wait_for_bytes(&waiting[0], 1);
    assert_next(&waiting[0], 200, "small");
    /* Idle now, it makes room for the next, and so on. */
    assert_next(&waiting[1], 200, "small");
    assert_ended(&waiting[0], 0);
    assert_next(&waiting[2], 200, "small");
    assert_int_equal(told, 1);
    client_close(&busy[1]);
    for (unsigned i = 0; i < 3; i++)
        client_close(&waiting[i]);
}

/* --- draining --- */

static void
draining_lets_the_busy_finish(void **state)
{
    struct scene *scene = *state;
    struct client idle, busy, late;
    make_small(scene);
    client_open(&idle, scene);
    client_open(&busy, scene);
    client_open(&late, scene);
    client_get(&idle, "/a");
    assert_next(&idle, 200, "small");
    client_get(&late, "/a");
    assert_next(&late, 200, "small");
    busy.read_step = 0;
    client_get(&busy, "/big");
    client_run_for(&busy, 20);
    /* Not idle for long: a request may be on its way. */
    assert_int_equal(conn_pool_drain(&scene->pool, 1000 * MS), 3);
    client_get(&late, "/a");
    assert_next(&late, 200, "small");
    assert_connection(&late, "close");
    assert_ended(&late, 0);
    client_close(&late);
    conn_pool_drain(&scene->pool, 0);
    assert_ended(&idle, 0);
    client_close(&idle);
    assert_ends(scene, CONN_END_DRAINED, 1);
    busy.read_step = SIZE_MAX;
    assert_int_equal(client_next(&busy, false), 200);
    assert_int_equal(busy.body.len, 6888896);
    client_close(&busy);
    run_until(scene->world, scene_is_empty, scene);
    assert_int_equal(conn_pool_drain(&scene->pool, 0), 0);
}

static void
draining_takes_in_those_who_wait(void **state)
{
    struct scene *scene = *state;
    struct client busy, waiting;
    scene->pool.config.connections_max = 1;
    make_small(scene);
    client_open(&busy, scene);
    busy.read_step = 0;
    client_get(&busy, "/big");
    client_run_for(&busy, 10);
    assert_false(client_open(&waiting, scene));
    client_get(&waiting, "/a");
    conn_pool_drain(&scene->pool, 1000 * MS);
    assert_next(&waiting, 200, "small");
    assert_connection(&waiting, "close");
    client_close(&waiting);
    client_close(&busy);
}

static void
aborting_ends_everything_at_once(void **state)
{
    struct scene *scene = *state;
    struct client idle, busy, linger, waiting;
    scene->pool.config.connections_max = 3;
    make_small(scene);
    client_open(&linger, scene);
    client_say(&linger, "nonsense\r\n\r\n");
    assert_int_equal(client_next(&linger, false), 400);
    client_open(&busy, scene);
    busy.read_step = 0;
    client_get(&busy, "/big");
    client_run_for(&busy, 10);
    client_open(&idle, scene);
    client_get(&idle, "/b HTTP/1.1\r\nX: y");
    client_run_for(&idle, 3);
    client_open(&waiting, scene);
    conn_pool_abort(&scene->pool);
    run_until(scene->world, scene_is_empty, scene);
    assert_int_equal(scene->pool.counters.accepted, 4);
    client_close(&idle);
    client_close(&busy);
    client_close(&linger);
    client_close(&waiting);
}

static void
bytes_sent_are_counted(void **state)
{
    struct scene *scene = *state;
    struct client client;
    make_small(scene);
    client_open(&client, scene);
    client_get(&client, "/a");
    client_get(&client, "/big");
    client_next(&client, false);
    uint64_t sent = client.head.len + client.body.len;
    client_next(&client, false);
    sent += client.head.len + client.body.len;
    run_for(scene->world, 5);
    assert_int_equal(scene->pool.counters.bytes_out, sent);
    client_close(&client);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_has_a_name),
        scene_test(a_head_that_does_not_come_in_time_is_answered),
        scene_test(a_slow_answer_does_not_shorten_the_time_for_the_next_head),
        scene_test(a_body_that_does_not_come_in_time_is_answered),
        scene_test(an_idle_connection_ends_silently),
        scene_test(a_connection_without_a_first_request_ends_silently),
        scene_test(who_leaves_between_requests_is_done),
        scene_test(who_goes_on_sending_can_read_the_refusal),
        scene_test(who_never_stops_sending_is_cut_off),
        scene_test(lingering_has_an_end),
        scene_test(the_oldest_idle_connection_makes_room),
        scene_test(many_new_connections_evict_in_order),
        scene_test(newcomers_wait_for_the_busy_in_their_order),
        scene_test(draining_lets_the_busy_finish),
        scene_test(draining_takes_in_those_who_wait),
        scene_test(aborting_ends_everything_at_once),
        scene_test(bytes_sent_are_counted),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("conn", run_group);
}
