/* The loop: connecting, and letting go of a descriptor, on both backends. */
#include "io/loop_test_run.h"

/* A sock that connects to a listening socket which the test accepts from. */
struct caller {
    struct peer peer; /* first */
    int listening;
    struct sockaddr_in addr;
    int accepted;
};

static void
caller_init(struct caller *caller, struct world *world)
{
    struct sock sock = caller->peer.sock;
    *caller = (struct caller){.peer = {.sock = sock, .world = world, .client = -1, .client_end = 1},
                              .accepted = -1};
    caller->listening = listen_on_loopback(&caller->addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    sock_init(&caller->peer.sock, world->loop, fd, &peer_ops);
}

static bool
caller_was_told(void *arg)
{
    const struct caller *caller = arg;
    return caller->peer.sent_count > 0;
}

static int
caller_connect(struct caller *caller)
{
    return sock_connect(&caller->peer.sock, (struct sockaddr *)&caller->addr, sizeof caller->addr);
}

static void
caller_deinit(struct caller *caller)
{
    peer_disconnect(&caller->peer);
    if (caller->listening >= 0)
        close(caller->listening);
}

/* The result of connecting, whether it came at once or later. */
static ssize_t
caller_result(struct caller *caller)
{
    int result = caller_connect(caller);
    if (result != SOCK_PENDING)
        return result;
    assert_int_equal(caller->peer.sent_count, 0);
    run_until(caller->peer.world, caller_was_told, caller);
    assert_int_equal(caller->peer.sent_count, 1);
    return caller->peer.sent_result;
}

static void
caller_accept(struct caller *caller)
{
    caller->peer.client = accept4(caller->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(caller->peer.client >= 0);
}

static void
test_connected_sock_sends_and_receives(void **state)
{
    struct caller caller = {0};
    caller_init(&caller, *state);
    assert_int_equal(caller_result(&caller), 0);
    caller_accept(&caller);
    sock_recv_start(&caller.peer.sock);
    client_write(&caller.peer, 0, 1000);
    char bytes[1000];
    pattern_fill(bytes, 0, sizeof bytes);
    assert_int_equal(sock_send_now(&caller.peer.sock, str_make(bytes, sizeof bytes)), 1000);
    sock_shutdown(&caller.peer.sock);
    run_until(caller.peer.world, client_has_ended, &caller.peer);
    assert_int_equal(caller.peer.client_len, 1000);
    close(caller.peer.client);
    caller.peer.client = -1;
    run_until(caller.peer.world, peer_has_ended, &caller.peer);
    assert_int_equal(caller.peer.received_len, 1000);
    caller_deinit(&caller);
}

/* What the peer sent right after accepting is not missed by a sock that starts to receive later. */
static void
test_bytes_before_receiving_are_kept(void **state)
{
    struct caller caller = {0};
    caller_init(&caller, *state);
    assert_int_equal(caller_result(&caller), 0);
    caller_accept(&caller);
    client_write(&caller.peer, 0, 5000);
    close(caller.peer.client);
    caller.peer.client = -1;
    run_for(caller.peer.world, 20);
    assert_int_equal(caller.peer.received_len, 0);
    sock_recv_start(&caller.peer.sock);
    run_until(caller.peer.world, peer_has_ended, &caller.peer);
    assert_int_equal(caller.peer.received_len, 5000);
    assert_int_equal(caller.peer.end, 0);
    caller_deinit(&caller);
}

static void
test_refused_connection_says_so(void **state)
{
    struct caller caller = {0};
    caller_init(&caller, *state);
    close(caller.listening);
    caller.listening = -1;
    assert_int_equal(caller_result(&caller), -ECONNREFUSED);
    caller_deinit(&caller);
}

static void
test_impossible_address_fails_at_once(void **state)
{
    struct caller caller = {0};
    caller_init(&caller, *state);
    caller.addr.sin_family = AF_INET6; /* of another family than the socket */
    assert_true(caller_connect(&caller) < 0);
    caller_deinit(&caller);
}

/* A listener that never accepts and whose backlog is full lets connections wait. */
static void
test_closing_while_connecting(void **state)
{
    struct caller caller = {0}, fillers[3] = {0};
    unsigned fds = open_fd_count();
    caller_init(&caller, *state);
    assert_int_equal(listen(caller.listening, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        caller_init(&fillers[i], *state);
        fillers[i].addr = caller.addr;
        (void)!caller_connect(&fillers[i]);
    }
    run_for(caller.peer.world, 20);
    assert_int_equal(caller_connect(&caller), SOCK_PENDING);
    run_for(caller.peer.world, 50);
    assert_int_equal(caller.peer.sent_count, 0);
    caller_deinit(&caller);
    assert_int_equal(caller.peer.sent_count, 0);
    for (unsigned i = 0; i < 3; i++)
        caller_deinit(&fillers[i]);
    assert_int_equal(open_fd_count(), fds);
}

/* --- letting go --- */

static void
test_released_descriptor_goes_on_elsewhere(void **state)
{
    struct peer first = {0}, second = {0};
    peer_connect(&first, *state);
    sock_recv_start(&first.sock);
    client_write(&first, 0, 3000);
    run_for(first.world, 20);
    assert_int_equal(first.received_len, 3000);
    sock_release(&first.sock);
    client_write(&first, 3000, 2000);
    run_until(first.world, peer_is_closed, &first);
    assert_true(first.sock.fd >= 0);

    second = (struct peer){.world = first.world, .client = first.client, .client_end = 1};
    second.received_len = first.received_len;
    sock_init(&second.sock, first.world->loop, first.sock.fd, &peer_ops);
    sock_recv_start(&second.sock);
    client_write(&second, 5000, 1000);
    shutdown(second.client, SHUT_WR);
    run_until(second.world, peer_has_ended, &second);
    assert_int_equal(second.received_len, 6000);
    peer_disconnect(&second);
}

static void
test_releasing_without_having_received(void **state)
{
    struct peer peer = {0};
    peer_connect(&peer, *state);
    sock_release(&peer.sock);
    run_until(peer.world, peer_is_closed, &peer);
    assert_true(fcntl(peer.sock.fd, F_GETFD) >= 0);
    close(peer.sock.fd);
    close(peer.client);
}

#define on_loop(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        on_loop(test_connected_sock_sends_and_receives),
        on_loop(test_bytes_before_receiving_are_kept),
        on_loop(test_refused_connection_says_so),
        on_loop(test_impossible_address_fails_at_once),
        on_loop(test_closing_while_connecting),
        on_loop(test_released_descriptor_goes_on_elsewhere),
        on_loop(test_releasing_without_having_received),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("loop_connect", run_group);
}
