/* The loop: accepting, receiving, closing, posts and deadlines, on both backends. */
#include "io/loop_test_run.h"

#include <pthread.h>
#include <sys/resource.h>

/* --- accepting --- */

struct door {
    struct listener listener; /* first */
    struct sockaddr_in addr;
    unsigned accepted, wanted;
    int error;
    bool stop_at_first;
};

static void
door_accepted(struct listener *listener, int fd)
{
    struct door *door = (struct door *)listener;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    door->accepted++;
    if (door->stop_at_first)
        listener_stop(listener);
}

static void
door_failed(struct listener *listener, int error)
{
    ((struct door *)listener)->error = error;
}

static bool
door_has_accepted(void *arg)
{
    const struct door *door = arg;
    return door->accepted >= door->wanted;
}

static bool
door_has_failed(void *arg)
{
    const struct door *door = arg;
    return door->error != 0;
}

static void
door_open(struct door *door, struct world *world)
{
    *door = (struct door){.listener = {.accepted = door_accepted, .failed = door_failed}};
    door->listener.fd = listen_on_loopback(&door->addr);
    listener_start(world->loop, &door->listener);
}

static void
door_close(struct door *door, struct world *world)
{
    listener_stop(&door->listener);
    run_for(world, 5);
    close(door->listener.fd);
}

static void
door_knock(struct door *door, int *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        clients[i] = connect_to(&door->addr);
}

static void
close_all(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
}

static void
every_connection_is_accepted_once(void **state)
{
    struct world *world = *state;
    struct door door;
    int clients[3 * LOOP_ACCEPT_BATCH];
    door_open(&door, world);
    door_knock(&door, clients, 3 * LOOP_ACCEPT_BATCH);
    door.wanted = 3 * LOOP_ACCEPT_BATCH;
    run_until(world, door_has_accepted, &door);
    run_for(world, 10);
    assert_int_equal(door.accepted, 3 * LOOP_ACCEPT_BATCH);
    close_all(clients, 3 * LOOP_ACCEPT_BATCH);
    door_close(&door, world);
}

static void
a_stopped_listener_leaves_the_backlog_alone(void **state)
{
    struct world *world = *state;
    struct door door;
    int clients[3];
    door_open(&door, world);
    door_knock(&door, clients, 1);
    door.wanted = 1;
    run_until(world, door_has_accepted, &door);
    listener_stop(&door.listener);
    run_for(world, 5);
    door_knock(&door, clients + 1, 2);
    run_for(world, 20);
    assert_int_equal(door.accepted, 1);
    listener_start(world->loop, &door.listener);
    door.wanted = 3;
    run_until(world, door_has_accepted, &door);
    /* Stopped and started in one turn, it goes on. */
    listener_stop(&door.listener);
    listener_start(world->loop, &door.listener);
    close_all(clients, 3);
    door_knock(&door, clients, 1);
    door.wanted = 4;
    run_until(world, door_has_accepted, &door);
    close_all(clients, 1);
    door_close(&door, world);
}

static void
a_listener_can_be_stopped_by_what_it_accepts(void **state)
{
    struct world *world = *state;
    struct door door;
    int clients[2];
    door_open(&door, world);
    door.stop_at_first = true;
    door.wanted = 1;
    door_knock(&door, clients, 1);
    run_until(world, door_has_accepted, &door);
    run_for(world, 5);
    door_knock(&door, clients + 1, 1);
    run_for(world, 20);
    assert_int_equal(door.accepted, 1);
    close_all(clients, 2);
    door_close(&door, world);
}

static void
without_descriptors_accepting_fails_and_can_begin_again(void **state)
{
    struct world *world = *state;
    struct door door;
    struct rlimit limit, none;
    int clients[1];
    door_open(&door, world);
    door_knock(&door, clients, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool failed = world_runs_until(world, door_has_failed, &door, 2000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(failed);
    assert_int_equal(door.error, EMFILE);
    assert_int_equal(door.accepted, 0);
    door.wanted = 1;
    listener_start(world->loop, &door.listener);
    run_until(world, door_has_accepted, &door);
    close_all(clients, 1);
    door_close(&door, world);
}

/* --- receiving --- */

enum { STREAM_LEN = 1 << 20, PIECE_LEN = 5000 };

/* Writes what fits of STREAM_LEN bytes, then ends; true when the sock has seen the end. */
static bool
stream_is_through(void *arg)
{
    struct peer *peer = arg;
    while (peer->client_len < STREAM_LEN) {
        char bytes[PIECE_LEN];
        size_t left = STREAM_LEN - peer->client_len;
        size_t len = left < PIECE_LEN ? left : PIECE_LEN;
        pattern_fill(bytes, peer->client_len, len);
        ssize_t sent = send(peer->client, bytes, len, MSG_NOSIGNAL);
        if (sent < 0)
            break;
        peer->client_len += (uint64_t)sent;
        if (peer->client_len == STREAM_LEN)
            shutdown(peer->client, SHUT_WR);
    }
    return peer->end_count > 0;
}

static void
a_stream_arrives_whole_and_in_order(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    peer_connect(&peer, world);
    sock_recv_start(&peer.sock);
    run_until(world, stream_is_through, &peer);
    run_for(world, 10);
    assert_int_equal(peer.received_len, STREAM_LEN);
    assert_int_equal(peer.end_count, 1);
    assert_int_equal(peer.end, 0);
    peer_disconnect(&peer);
}

/* Every receiver that stops in its callback is started again by the next look. */
static void
stop_receiving(struct peer *peer)
{
    sock_recv_stop(&peer->sock);
}

static bool
stopping_stream_is_through(void *arg)
{
    struct peer *peer = arg;
    bool through = stream_is_through(peer);
    if (!through)
        sock_recv_start(&peer->sock);
    return through;
}

static void
a_receiver_that_stops_all_the_time_loses_nothing(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    peer_connect(&peer, world);
    peer.on_received = stop_receiving;
    sock_recv_start(&peer.sock);
    run_until(world, stopping_stream_is_through, &peer);
    assert_int_equal(peer.received_len, STREAM_LEN);
    assert_true(peer.received_count > 10);
    peer_disconnect(&peer);
}

static bool
peer_has_received(void *arg)
{
    const struct peer *peer = arg;
    return peer->received_len >= peer->client_len;
}

static void
a_stopped_receiver_gets_nothing_until_started(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    peer_connect(&peer, world);
    sock_recv_start(&peer.sock);
    run_for(world, 5);
    sock_recv_stop(&peer.sock);
    run_for(world, 5);
    client_write(&peer, 0, 1000);
    run_for(world, 20);
    assert_int_equal(peer.received_len, 0);
    sock_recv_start(&peer.sock);
    peer.client_len = 1000;
    run_until(world, peer_has_received, &peer);
    /* Stopped and started in one turn, it goes on. */
    sock_recv_stop(&peer.sock);
    sock_recv_start(&peer.sock);
    client_write(&peer, 1000, 1000);
    peer.client_len = 2000;
    run_until(world, peer_has_received, &peer);
    peer_disconnect(&peer);
}

static void
the_end_waits_for_a_stopped_receiver(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    peer_connect(&peer, world);
    sock_recv_start(&peer.sock);
    run_for(world, 5);
    sock_recv_stop(&peer.sock);
    run_for(world, 5);
    client_write(&peer, 0, 100);
    shutdown(peer.client, SHUT_WR);
    run_for(world, 20);
    assert_int_equal(peer.end_count, 0);
    sock_recv_start(&peer.sock);
    run_until(world, peer_has_ended, &peer);
    assert_int_equal(peer.received_len, 100);
    assert_int_equal(peer.end, 0);
    peer_disconnect(&peer);
}

static void
a_reset_is_received_as_an_error(void **state)
{
    struct world *world = *state;
    struct linger now = {.l_onoff = 1};
    struct peer peer = {0};
    peer_connect(&peer, world);
    sock_recv_start(&peer.sock);
    run_for(world, 5);
    setsockopt(peer.client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer.client);
    peer.client = -1;
    run_until(world, peer_has_ended, &peer);
    assert_int_equal(peer.end, -ECONNRESET);
    peer_disconnect(&peer);
}

/* More sockets ready in one turn than there are receive buffers: those that found none are received
 * from later, and all of it. */
enum { CROWD = LOOP_URING_BUFFERS + 100, CROWD_LEN = 3 * LOOP_URING_BUFFER_LEN };

static bool
crowd_has_received(void *arg)
{
    const struct peer *crowd = arg;
    for (unsigned i = 0; i < CROWD; i++)
        if (crowd[i].received_len < CROWD_LEN)
            return false;
    return true;
}

static void
more_ready_sockets_than_buffers_all_receive(void **state)
{
    struct world *world = *state;
    struct peer *crowd = calloc(CROWD, sizeof *crowd);
    assert_non_null(crowd);
    for (unsigned i = 0; i < CROWD; i++) {
        peer_connect(&crowd[i], world);
        sock_recv_start(&crowd[i].sock);
    }
    run_for(world, 5);
    for (unsigned i = 0; i < CROWD; i++)
        client_write(&crowd[i], 0, CROWD_LEN);
    run_until(world, crowd_has_received, crowd);
    for (unsigned i = 0; i < CROWD; i++)
        sock_close(&crowd[i].sock);
    run_for(world, 5);
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].closed_count, 1);
        close(crowd[i].client);
    }
    free(crowd);
}

/* --- ending --- */

static void
close_twice(struct peer *peer)
{
    sock_close(&peer->sock);
    sock_close(&peer->sock);
    assert_int_equal(peer->closed_count, 0);
    assert_true(fcntl(peer->sock.fd, F_GETFD) >= 0);
}

static void
closing_in_a_callback_is_deferred_and_final(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    unsigned before = open_fd_count();
    peer_connect(&peer, world);
    peer.on_received = close_twice;
    sock_recv_start(&peer.sock);
    client_write(&peer, 0, 8192);
    shutdown(peer.client, SHUT_WR);
    run_until(world, peer_is_closed, &peer);
    assert_int_equal(peer.received_count, 1);
    assert_int_equal(peer.closed_count, 1);
    assert_false(peer.closed_in_callback);
    close(peer.client);
    run_for(world, 5);
    assert_int_equal(peer.closed_count, 1);
    assert_int_equal(open_fd_count(), before);
}

static void
memory_of_a_closed_sock_can_be_used_again(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    for (unsigned round = 0; round < 20; round++) {
        uint16_t generation = peer.sock.generation;
        peer_connect(&peer, world);
        assert_int_equal(peer.sock.generation, (uint16_t)(generation + 1));
        sock_recv_start(&peer.sock);
        client_write(&peer, 0, 100);
        peer.client_len = 100;
        run_until(world, peer_has_received, &peer);
        assert_int_equal(peer.received_len, 100);
        peer_disconnect(&peer);
    }
}

static void
a_sock_that_never_received_closes(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    peer_connect(&peer, world);
    peer_disconnect(&peer);
}

static void
closing_ends_the_stream_and_aborting_breaks_it(void **state)
{
    struct world *world = *state;
    for (int abort = 0; abort < 2; abort++) {
        struct peer peer = {0};
        peer_connect(&peer, world);
        sock_recv_start(&peer.sock);
        run_for(world, 5);
        if (abort)
            sock_abort(&peer.sock);
        else
            sock_close(&peer.sock);
        run_until(world, client_has_ended, &peer);
        assert_int_equal(peer.client_end, abort ? -ECONNRESET : 0);
        close(peer.client);
    }
}

static void
each_side_can_end_alone(void **state)
{
    struct world *world = *state;
    struct peer peer = {0};
    peer_connect(&peer, world);
    sock_recv_start(&peer.sock);
    sock_shutdown(&peer.sock);
    run_until(world, client_has_ended, &peer);
    assert_int_equal(peer.client_end, 0);
    client_write(&peer, 0, 500);
    shutdown(peer.client, SHUT_WR);
    run_until(world, peer_has_ended, &peer);
    assert_int_equal(peer.received_len, 500);
    assert_int_equal(peer.end, 0);
    peer_disconnect(&peer);
}

/* --- posts and deadlines --- */

enum { POSTERS = 4, POSTS = 500 };

struct note {
    struct loop_post post; /* first */
    struct mailbox *mailbox;
    unsigned poster, number;
};

struct mailbox {
    struct loop *loop;
    pthread_t owner;
    unsigned arrived, out_of_order, elsewhere;
    unsigned next[POSTERS];
    struct note notes[POSTERS][POSTS];
};

static void
note_arrives(struct loop_post *post)
{
    struct note *note = (struct note *)post;
    struct mailbox *mailbox = note->mailbox;
    mailbox->arrived++;
    mailbox->out_of_order += mailbox->next[note->poster]++ != note->number;
    mailbox->elsewhere += !pthread_equal(pthread_self(), mailbox->owner);
}

static void *
post_all(void *arg)
{
    struct note *notes = arg;
    for (unsigned i = 0; i < POSTS; i++)
        loop_post(notes[i].mailbox->loop, &notes[i].post);
    return NULL;
}

static bool
all_notes_have_arrived(void *arg)
{
    const struct mailbox *mailbox = arg;
    return mailbox->arrived >= POSTERS * POSTS;
}

static void
posts_of_other_threads_run_here_in_their_order(void **state)
{
    struct world *world = *state;
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    pthread_t threads[POSTERS];
    assert_non_null(mailbox);
    mailbox->loop = world->loop;
    mailbox->owner = pthread_self();
    for (unsigned i = 0; i < POSTERS; i++) {
        for (unsigned j = 0; j < POSTS; j++)
            mailbox->notes[i][j] = (struct note){{.run = note_arrives}, mailbox, i, j};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, mailbox->notes[i]), 0);
    }
    run_until(world, all_notes_have_arrived, mailbox);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    run_for(world, 5);
    assert_int_equal(mailbox->arrived, POSTERS * POSTS);
    assert_int_equal(mailbox->out_of_order, 0);
    assert_int_equal(mailbox->elsewhere, 0);
    free(mailbox);
}

struct alarm {
    struct timer timer; /* first */
    struct world *world;
    uint64_t fired_ns;
};

static void
alarm_rings(struct timer *timer)
{
    struct alarm *alarm = (struct alarm *)timer;
    alarm->fired_ns = loop_now_ns(alarm->world->loop);
    loop_stop(alarm->world->loop);
}

static void
the_loop_sleeps_until_a_deadline(void **state)
{
    struct world *world = *state;
    struct alarm alarm = {.world = world};
    const struct loop_hooks no_hooks = {0};
    timer_init(&alarm.timer, alarm_rings);
    uint64_t deadline_ns = loop_now_ns(world->loop) + 20 * MS;
    timer_set(loop_timers(world->loop), &alarm.timer, deadline_ns);
    loop_run(world->loop, &no_hooks);
    assert_true(alarm.fired_ns >= deadline_ns);
    assert_true(alarm.fired_ns < deadline_ns + 2000 * MS);
}

struct turns {
    struct loop *loop;
    unsigned woke, slept;
};

static void
count_woke(void *arg)
{
    struct turns *turns = arg;
    assert_int_equal(turns->woke + 1, turns->slept);
    turns->woke++;
}

static void
count_sleeps(void *arg)
{
    struct turns *turns = arg;
    assert_int_equal(turns->woke, turns->slept);
    if (++turns->slept == 5)
        loop_stop(turns->loop);
}

static void
the_hooks_frame_each_turn(void **state)
{
    struct world *world = *state;
    struct turns turns = {.loop = world->loop};
    const struct loop_hooks hooks = {count_woke, count_sleeps, &turns};
    timer_set(loop_timers(world->loop), &world->tick, loop_now_ns(world->loop) + 1);
    loop_run(world->loop, &hooks);
    timer_clear(loop_timers(world->loop), &world->tick);
    assert_int_equal(turns.slept, 5);
    assert_int_equal(turns.woke, 4);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_connection_is_accepted_once, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_stopped_listener_leaves_the_backlog_alone, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_listener_can_be_stopped_by_what_it_accepts, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(without_descriptors_accepting_fails_and_can_begin_again,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_stream_arrives_whole_and_in_order, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_receiver_that_stops_all_the_time_loses_nothing,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_stopped_receiver_gets_nothing_until_started, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(the_end_waits_for_a_stopped_receiver, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_reset_is_received_as_an_error, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(more_ready_sockets_than_buffers_all_receive, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(closing_in_a_callback_is_deferred_and_final, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(memory_of_a_closed_sock_can_be_used_again, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_sock_that_never_received_closes, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(closing_ends_the_stream_and_aborting_breaks_it, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(each_side_can_end_alone, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(posts_of_other_threads_run_here_in_their_order, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(the_loop_sleeps_until_a_deadline, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(the_hooks_frame_each_turn, world_setup, world_teardown),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("loop", run_group);
}
