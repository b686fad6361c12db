/* The relay: both directions, ends, limits and guards, on both backends. */
#include "conn/relay.h"
#include "io/dns_test_server.h"
#include "io/loop_test_run.h"

enum { LARGE = 10 << 20, SMALL_BUFFER = 65536 };

/* One of the two outer ends: writes `total` bytes of the pattern, reads and checks what comes. */
struct end {
    int fd;
    uint64_t sent, total, received, read_max;
    bool shuts; /* ends its side after the last byte */
    bool shut;
    ssize_t over; /* 1: goes on; 0 or -errno: the last recv */
};

struct fixture {
    struct world *world;
    struct dns_server names;
    struct resolver *resolver;
    struct relay_pool pool;
    int listening;
    struct sockaddr_in addr;
    struct end client, upstream;
    unsigned fds_before;
    unsigned own_count;
    bool own;
    bool upstream_stays; /* it does not end its side after its last byte */
};

/* --- names: one with a dead address before the living one, one without an answer --- */

static const struct dns_host hosts[] = {
    {.name = "two.example", .addresses = "127.0.0.2 127.0.0.1", .ttl_s = 60},
    {.name = "slow.example", .manner = DNS_SILENT},
};

static bool
fixture_is_own(void *arg, const struct sockaddr *address, socklen_t len)
{
    struct fixture *fixture = arg;
    fixture->own_count++;
    return fixture->own;
}

static int
setup(void **state)
{
    struct error error;
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->fds_before = open_fd_count();
    if (world_setup((void **)&fixture->world) != 0)
        return -1;
    const struct relay_config config = {
        .relays_max = 4,
        .connect_timeout_ns = 5000 * MS,
        .idle_timeout_ns = 5000 * MS,
        .is_own = fixture_is_own,
        .is_own_arg = fixture,
    };
    fixture->client = fixture->upstream = (struct end){.fd = -1};
    fixture->listening = listen_on_loopback(&fixture->addr);
    *state = fixture;
    dns_server_start(&fixture->names, hosts, sizeof hosts / sizeof *hosts);
    const struct resolver_config names = {.dns = fixture->names.config};
    if (resolver_new(&fixture->resolver, &names, &error) != 0)
        return -1;
    relay_pool_init(&fixture->pool, fixture->world->loop, fixture->resolver, &config);
    return 0;
}

static bool
pool_is_empty(void *arg)
{
    const struct fixture *fixture = arg;
    return relay_pool_count(&fixture->pool) == 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    relay_pool_abort(&fixture->pool);
    run_until(fixture->world, pool_is_empty, fixture);
    assert_int_equal(fixture->pool.counters.active, 0);
    relay_pool_deinit(&fixture->pool);
    resolver_detach(fixture->resolver, fixture->world->loop);
    resolver_free(fixture->resolver);
    dns_server_stop(&fixture->names);
    world_teardown((void **)&fixture->world);
    for (unsigned i = 0; i < 2; i++)
        if ((i ? &fixture->client : &fixture->upstream)->fd >= 0)
            close((i ? &fixture->client : &fixture->upstream)->fd);
    if (fixture->listening >= 0)
        close(fixture->listening);
    assert_int_equal(open_fd_count(), fixture->fds_before);
    free(fixture);
    return 0;
}

/* --- the outer ends --- */

static void
end_init(struct end *end, int fd, uint64_t total)
{
    int small = SMALL_BUFFER;
    *end = (struct end){.fd = fd, .total = total, .read_max = UINT64_MAX, .shuts = true, .over = 1};
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

static void
end_write(struct end *end)
{
    char bytes[65536];
    while (end->sent < end->total) {
        size_t len = end->total - end->sent;
        len = len < sizeof bytes ? len : sizeof bytes;
        pattern_fill(bytes, end->sent, len);
        ssize_t sent = send(end->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return;
        end->sent += (uint64_t)sent;
    }
    if (end->shuts && !end->shut)
        shutdown(end->fd, SHUT_WR);
    end->shut = end->shuts;
}

static void
end_read(struct end *end)
{
    char bytes[65536];
    while (end->over > 0 && end->received < end->read_max) {
        uint64_t left = end->read_max - end->received;
        ssize_t len = recv(end->fd, bytes, left < sizeof bytes ? left : sizeof bytes, MSG_DONTWAIT);
        if (len < 0 && errno == EAGAIN)
            return;
        if (len > 0) {
            assert_pattern(bytes, end->received, (size_t)len);
            end->received += (uint64_t)len;
        } else {
            end->over = len < 0 ? -errno : 0;
        }
    }
}

/* Lets everybody do what he can. */
static void
pump(struct fixture *fixture)
{
    if (fixture->upstream.fd < 0) {
        int fd = accept4(fixture->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            end_init(&fixture->upstream, fd, fixture->upstream.total);
            fixture->upstream.shuts = !fixture->upstream_stays;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        struct end *end = i ? &fixture->client : &fixture->upstream;
        if (end->fd < 0)
            continue;
        end_write(end);
        end_read(end);
    }
}

static bool
both_are_over(void *arg)
{
    struct fixture *fixture = arg;
    pump(fixture);
    return fixture->client.over <= 0 && fixture->upstream.fd >= 0 && fixture->upstream.over <= 0;
}

static bool
upstream_is_there(void *arg)
{
    pump(arg);
    return ((struct fixture *)arg)->upstream.fd >= 0;
}

static bool
upstream_has_ended(void *arg)
{
    pump(arg);
    return ((struct fixture *)arg)->upstream.over <= 0 && upstream_is_there(arg);
}

static bool
client_is_over(void *arg)
{
    pump(arg);
    return ((struct fixture *)arg)->client.over <= 0;
}

static bool
never_but_pump(void *arg)
{
    pump(arg);
    return false;
}

static void
pump_for(struct fixture *fixture, unsigned ms)
{
    assert_false(world_runs_until(fixture->world, never_but_pump, fixture, ms));
}

/* Until nothing moves from this end any more. */
static void
pump_until_stuck(struct fixture *fixture, const struct end *end)
{
    uint64_t before;
    unsigned rounds = 0;
    do {
        before = end->sent;
        pump_for(fixture, 200);
        assert_true(rounds++ < 50);
    } while (end->sent != before);
}

/* Two ends of a TCP connection; returns the one for the relay. */
static int
connect_client(struct fixture *fixture, uint64_t total)
{
    struct sockaddr_in addr;
    int small = SMALL_BUFFER, listening = listen_on_loopback(&addr);
    setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    end_init(&fixture->client, connect_to(&addr), total);
    fcntl(listening, F_SETFL, 0);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listening);
    return fd;
}

/* Starts a relay to a host of which the first `buffered_len` bytes were already read. */
static bool
start_to(struct fixture *fixture, struct str host, uint64_t total, size_t buffered_len)
{
    static char buffered[RELAY_BUFFERED_MAX + 1];
    int fd = connect_client(fixture, total);
    pattern_fill(buffered, 0, buffered_len);
    fixture->client.sent = buffered_len;
    const struct relay_target target = {host, ntohs(fixture->addr.sin_port)};
    return relay_start(&fixture->pool, fd, str_make(buffered, buffered_len), &target);
}

static bool
start(struct fixture *fixture, uint64_t total, size_t buffered_len)
{
    return start_to(fixture, STR("127.0.0.1"), total, buffered_len);
}

static void
assert_one_end(struct fixture *fixture, enum relay_end end)
{
    run_until(fixture->world, pool_is_empty, fixture);
    for (unsigned i = 0; i < RELAY_END_COUNT; i++)
        if (fixture->pool.counters.ends[i] != (i == end))
            fail_msg("%s: %llu", relay_end_name((enum relay_end)i),
                     (unsigned long long)fixture->pool.counters.ends[i]);
    assert_int_equal(fixture->pool.counters.active, 0);
    assert_int_equal(fixture->pool.counters.started, 1);
}

/* --- copying --- */

static void
test_both_directions_arrive_whole(void **state)
{
    struct fixture *fixture = *state;
    fixture->upstream.total = LARGE + 1;
    assert_true(start(fixture, LARGE, 517));
    assert_int_equal(fixture->pool.counters.active, 1);
    run_until(fixture->world, both_are_over, fixture);
    assert_int_equal(fixture->upstream.received, LARGE);
    assert_int_equal(fixture->client.received, LARGE + 1);
    assert_int_equal(fixture->client.over, 0);
    assert_int_equal(fixture->upstream.over, 0);
    assert_int_equal(fixture->pool.counters.bytes_up, LARGE);
    assert_int_equal(fixture->pool.counters.bytes_down, LARGE + 1);
    assert_one_end(fixture, RELAY_END_DONE);
}

static void
test_buffered_bytes_alone(void **state)
{
    struct fixture *fixture = *state;
    assert_true(start(fixture, RELAY_BUFFERED_MAX, RELAY_BUFFERED_MAX));
    run_until(fixture->world, both_are_over, fixture);
    assert_int_equal(fixture->upstream.received, RELAY_BUFFERED_MAX);
    assert_one_end(fixture, RELAY_END_DONE);
}

static void
test_end_of_the_client_is_passed_on_and_answers_still_come(void **state)
{
    struct fixture *fixture = *state;
    fixture->upstream_stays = true;
    assert_true(start(fixture, 100, 50));
    run_until(fixture->world, upstream_has_ended, fixture);
    pump_for(fixture, 30);
    assert_int_equal(fixture->upstream.over, 0);
    assert_int_equal(fixture->client.over, 1);
    fixture->upstream.total = 1 << 20;
    fixture->upstream.shuts = true;
    run_until(fixture->world, both_are_over, fixture);
    assert_int_equal(fixture->client.received, 1 << 20);
    assert_one_end(fixture, RELAY_END_DONE);
}

/* The relay holds no more than its lane while nobody reads, and nothing is lost. */
static void
test_slow_upstream_stops_the_client(void **state)
{
    struct fixture *fixture = *state;
    int small = SMALL_BUFFER;
    setsockopt(fixture->listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_true(start(fixture, 0, 0));
    fixture->client.shuts = false;
    run_until(fixture->world, upstream_is_there, fixture);
    fixture->upstream.read_max = fixture->upstream.received;
    fixture->client.total = 6 * LARGE;
    fixture->client.shuts = true;
    pump_until_stuck(fixture, &fixture->client);
    uint64_t sent = fixture->client.sent;
    assert_true(sent < 6 * LARGE);
    /* what is not in the kernel's buffers of client and relay */
    assert_true(sent - fixture->pool.counters.bytes_up <
                RELAY_BUFFER_LEN + CONN_STASH_SLACK + 6 * SMALL_BUFFER);
    fixture->upstream.read_max = UINT64_MAX;
    run_until(fixture->world, both_are_over, fixture);
    assert_int_equal(fixture->upstream.received, 6 * LARGE);
    assert_one_end(fixture, RELAY_END_DONE);
}

static void
test_slow_client_stops_the_upstream(void **state)
{
    struct fixture *fixture = *state;
    fixture->upstream.total = 6 * LARGE;
    assert_true(start(fixture, 10, 10));
    fixture->client.read_max = 0;
    pump_until_stuck(fixture, &fixture->upstream);
    uint64_t sent = fixture->upstream.sent;
    assert_true(sent > 0 && sent < 6 * LARGE);
    fixture->client.read_max = UINT64_MAX;
    run_until(fixture->world, both_are_over, fixture);
    assert_int_equal(fixture->client.received, 6 * LARGE);
    assert_one_end(fixture, RELAY_END_DONE);
}

static void
end_reset(struct end *end)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(end->fd);
    end->fd = -1;
}

/* Neither has ended its side: what breaks must not look like an end. */
static void
test_broken_relay_is_not_an_end(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_client(fixture, 0);
    fixture->client.shuts = false;
    const struct relay_target target = {STR("127.0.0.1"), ntohs(fixture->addr.sin_port)};
    assert_true(relay_start(&fixture->pool, fd, STR("hello"), &target));
    run_for(fixture->world, 50);
    int upstream = accept4(fixture->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    char bytes[8];
    assert_true(upstream >= 0);
    assert_int_equal(recv(upstream, bytes, sizeof bytes, 0), 5);
    struct end broken = {.fd = upstream};
    end_reset(&broken);
    fixture->upstream.fd = -1;
    close(fixture->listening);
    fixture->listening = -1;
    run_until(fixture->world, client_is_over, fixture);
    assert_int_equal(fixture->client.over, -ECONNRESET);
    assert_one_end(fixture, RELAY_END_RESET);
}

/* --- connecting --- */

static void
test_refused_connection(void **state)
{
    struct fixture *fixture = *state;
    close(fixture->listening);
    fixture->listening = -1;
    assert_true(start(fixture, 100, 100));
    run_until(fixture->world, client_is_over, fixture);
    assert_one_end(fixture, RELAY_END_CONNECT_FAILED);
}

static void
test_next_address_is_tried(void **state)
{
    struct fixture *fixture = *state;
    fixture->upstream.total = 1000;
    assert_true(start_to(fixture, STR("two.example"), 1000, 100));
    run_until(fixture->world, both_are_over, fixture);
    assert_int_equal(fixture->own_count, 2);
    assert_int_equal(fixture->upstream.received, 1000);
    assert_one_end(fixture, RELAY_END_DONE);
}

static void
test_unknown_host(void **state)
{
    struct fixture *fixture = *state;
    assert_true(start_to(fixture, STR("missing.example"), 100, 100));
    run_until(fixture->world, client_is_over, fixture);
    assert_one_end(fixture, RELAY_END_RESOLVE_FAILED);
}

static void
test_unusable_host(void **state)
{
    struct fixture *fixture = *state;
    assert_false(start_to(fixture, STR(""), 100, 100));
    assert_one_end(fixture, RELAY_END_RESOLVE_FAILED);
}

/* A listener with a full backlog lets the connection wait. */
static void
test_connect_timeout(void **state)
{
    struct fixture *fixture = *state;
    int fillers[3];
    assert_int_equal(listen(fixture->listening, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&fixture->addr, sizeof fixture->addr);
    }
    fixture->pool.config.connect_timeout_ns = 100 * MS;
    assert_true(start(fixture, 100, 100));
    fixture->upstream.fd = fillers[0]; /* so that nobody accepts */
    fixture->upstream.shut = true;
    run_until(fixture->world, client_is_over, fixture);
    assert_one_end(fixture, RELAY_END_CONNECT_TIMEOUT);
    for (unsigned i = 1; i < 3; i++)
        close(fillers[i]);
}

static void
test_connect_timeout_counts_the_name(void **state)
{
    struct fixture *fixture = *state;
    fixture->pool.config.connect_timeout_ns = 50 * MS;
    assert_true(start_to(fixture, STR("slow.example"), 100, 100));
    run_until(fixture->world, client_is_over, fixture);
    assert_one_end(fixture, RELAY_END_CONNECT_TIMEOUT);
}

static void
test_idle_limit(void **state)
{
    struct fixture *fixture = *state;
    fixture->pool.config.idle_timeout_ns = 150 * MS;
    fixture->upstream.total = 10;
    int fd = connect_client(fixture, 10);
    fixture->client.shuts = false;
    const struct relay_target target = {STR("127.0.0.1"), ntohs(fixture->addr.sin_port)};
    assert_true(relay_start(&fixture->pool, fd, STR(""), &target));
    /* a byte now and then keeps it going */
    for (unsigned i = 0; i < 4; i++) {
        fixture->client.total++;
        pump_for(fixture, 80);
        assert_int_equal(fixture->pool.counters.active, 1);
    }
    run_until(fixture->world, client_is_over, fixture);
    assert_one_end(fixture, RELAY_END_IDLE_TIMEOUT);
}

/* --- guards --- */

static void
test_own_address_is_not_connected_to(void **state)
{
    struct fixture *fixture = *state;
    fixture->own = true;
    assert_true(start(fixture, 100, 100));
    run_until(fixture->world, client_is_over, fixture);
    assert_int_equal(fixture->own_count, 1);
    assert_int_equal(accept(fixture->listening, NULL, NULL), -1);
    assert_one_end(fixture, RELAY_END_LOOP);
}

static void
test_same_hello_again_has_come_round(void **state)
{
    struct fixture *fixture = *state;
    const struct relay_target target = {STR("127.0.0.1"), ntohs(fixture->addr.sin_port)};
    int first = connect_client(fixture, 0), first_end = fixture->client.fd;
    int second = connect_client(fixture, 0), second_end = fixture->client.fd;
    int third = connect_client(fixture, 0);
    assert_true(relay_start(&fixture->pool, first, STR("a hello"), &target));
    assert_false(relay_start(&fixture->pool, second, STR("a hello"), &target));
    assert_true(relay_start(&fixture->pool, third, STR("another hello"), &target));
    assert_int_equal(fixture->pool.counters.ends[RELAY_END_LOOP], 1);
    assert_int_equal(fixture->pool.counters.active, 2);
    close(first_end);
    close(second_end);
}

static void
test_ceiling(void **state)
{
    struct fixture *fixture = *state;
    const struct relay_target target = {STR("127.0.0.1"), ntohs(fixture->addr.sin_port)};
    int ends[5];
    for (unsigned i = 0; i < 5; i++) {
        char hello[] = {'h', (char)i};
        int fd = connect_client(fixture, 0);
        ends[i] = fixture->client.fd;
        assert_int_equal(relay_start(&fixture->pool, fd, str_make(hello, 2), &target), i < 4);
    }
    assert_int_equal(fixture->pool.counters.ends[RELAY_END_FULL], 1);
    assert_int_equal(fixture->pool.counters.active, 4);
    relay_pool_abort(&fixture->pool);
    assert_int_equal(fixture->pool.counters.ends[RELAY_END_ABORTED], 4);
    run_until(fixture->world, pool_is_empty, fixture);
    for (unsigned i = 0; i < 4; i++)
        close(ends[i]);
}

static void
test_too_much_was_buffered(void **state)
{
    struct fixture *fixture = *state;
    assert_false(start(fixture, RELAY_BUFFERED_MAX + 1, RELAY_BUFFERED_MAX + 1));
    assert_one_end(fixture, RELAY_END_FULL);
}

static struct sockaddr_storage
address(const char *text, uint16_t port)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *inet = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)&out;
    if (inet_pton(AF_INET, text, &inet->sin_addr) == 1) {
        out.ss_family = AF_INET;
        inet->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &inet6->sin6_addr), 1);
        out.ss_family = AF_INET6;
        inet6->sin6_port = htons(port);
    }
    return out;
}

static bool
is_own(const char *listening, uint16_t port, const char *target)
{
    struct sockaddr_storage own = address(listening, port), other = address(target, 443);
    return relay_is_own((struct sockaddr *)&own, (struct sockaddr *)&other);
}

static void
test_what_is_our_own(void **state)
{
    assert_true(is_own("192.0.2.1", 443, "192.0.2.1"));
    assert_false(is_own("192.0.2.1", 8443, "192.0.2.1"));
    assert_false(is_own("192.0.2.1", 443, "192.0.2.2"));
    assert_true(is_own("192.0.2.1", 443, "::ffff:192.0.2.1"));
    assert_true(is_own("2001:db8::1", 443, "2001:db8::1"));
    assert_true(is_own("0.0.0.0", 443, "127.0.0.1"));
    assert_true(is_own("::", 443, "127.0.0.1"));
    assert_true(is_own("::", 443, "127.9.9.9"));
    assert_true(is_own("127.0.0.1", 443, "0.0.0.0"));
    assert_false(is_own("::", 443, "192.0.2.1"));
    assert_false(is_own("::", 8443, "127.0.0.1"));
    const struct sockaddr local = {.sa_family = AF_UNIX};
    struct sockaddr_storage other = address("127.0.0.1", 443);
    assert_false(relay_is_own(&local, (struct sockaddr *)&other));
}

#define with_pool(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with_pool(test_both_directions_arrive_whole),
        with_pool(test_buffered_bytes_alone),
        with_pool(test_end_of_the_client_is_passed_on_and_answers_still_come),
        with_pool(test_slow_upstream_stops_the_client),
        with_pool(test_slow_client_stops_the_upstream),
        with_pool(test_broken_relay_is_not_an_end),
        with_pool(test_refused_connection),
        with_pool(test_next_address_is_tried),
        with_pool(test_unknown_host),
        with_pool(test_unusable_host),
        with_pool(test_connect_timeout),
        with_pool(test_connect_timeout_counts_the_name),
        with_pool(test_idle_limit),
        with_pool(test_own_address_is_not_connected_to),
        with_pool(test_same_hello_again_has_come_round),
        with_pool(test_ceiling),
        with_pool(test_too_much_was_buffered),
        cmocka_unit_test(test_what_is_our_own),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("relay", run_group);
}
