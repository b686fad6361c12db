/* The loop: sending from memory, from files and from pages, on both backends. */
#include "io/backend.h"
#include "io/loop_test_run.h"

#include <sys/mman.h>

enum { LARGE = 3 << 20, HEAD_LEN = 100 };

enum send_way { SEND_BYTES, SEND_FILE, SEND_PAGES };

/* A transfer of `head_len` and then `len` bytes of the pattern, in one of the three ways. */
struct transfer {
    struct peer peer; /* first */
    enum send_way way;
    const char *bytes; /* the pattern, whole */
    int fd;            /* the same, as a file */
    uint64_t done, head_len, len;
    ssize_t error;
    unsigned pending_count;
    size_t client_step; /* bytes the other end reads between two turns; 0: none */
};

static ssize_t
transfer_send(struct transfer *transfer)
{
    struct sock *sock = &transfer->peer.sock;
    uint64_t off = transfer->done;
    struct str head = str_make(transfer->bytes, transfer->head_len);
    head = str_skip(head, off);
    off += head.len;
    uint64_t left = transfer->head_len + transfer->len - off;
    switch (transfer->way) {
    case SEND_FILE:
        return sock_send_file(sock, head, transfer->fd, off, left);
    case SEND_PAGES:
        return sock_send_pages(sock, head, transfer->bytes + off, left);
    default: {
        struct iovec iov[2] = {{(void *)head.ptr, head.len},
                               {(void *)(transfer->bytes + off), left}};
        return head.len ? sock_send(sock, iov, 2) : sock_send(sock, iov + 1, 1);
    }
    }
}

static bool
transfer_is_done(const struct transfer *transfer)
{
    return transfer->error || transfer->done == transfer->head_len + transfer->len;
}

static void
transfer_go_on(struct transfer *transfer)
{
    while (!transfer_is_done(transfer)) {
        ssize_t sent = transfer_send(transfer);
        if (sent == SOCK_PENDING) {
            transfer->pending_count++;
            return;
        }
        if (sent < 0)
            transfer->error = sent;
        else
            transfer->done += (uint64_t)sent;
    }
}

static void
transfer_sent(struct peer *peer)
{
    struct transfer *transfer = (struct transfer *)peer;
    if (peer->sent_result < 0)
        transfer->error = peer->sent_result;
    else
        transfer->done += (uint64_t)peer->sent_result;
    transfer_go_on(transfer);
}

static bool
transfer_has_gone_out(void *arg)
{
    struct transfer *transfer = arg;
    client_read(&transfer->peer, transfer->client_step);
    return transfer_is_done(transfer);
}

static bool
transfer_has_arrived(void *arg)
{
    struct transfer *transfer = arg;
    client_read(&transfer->peer, SIZE_MAX);
    return transfer->peer.client_len >= transfer->done;
}

/* The pattern in memory that never changes again, and its file. */
static void
transfer_init(struct transfer *transfer, struct world *world, enum send_way way)
{
    *transfer = (struct transfer){.way = way, .fd = memfd_create("pattern", MFD_CLOEXEC)};
    assert_true(transfer->fd >= 0);
    assert_int_equal(ftruncate(transfer->fd, LARGE), 0);
    char *bytes = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, transfer->fd, 0);
    assert_true(bytes != MAP_FAILED);
    pattern_fill(bytes, 0, LARGE);
    transfer->bytes = bytes;
    peer_connect(&transfer->peer, world);
    transfer->peer.on_sent = transfer_sent;
    transfer->client_step = SIZE_MAX;
    sock_recv_start(&transfer->peer.sock);
}

static void
transfer_deinit(struct transfer *transfer)
{
    peer_disconnect(&transfer->peer);
    munmap((void *)transfer->bytes, LARGE);
    close(transfer->fd);
}

/* Sends, and checks that the other end gets exactly that. */
static void
transfer_run(struct transfer *transfer, uint64_t head_len, uint64_t len)
{
    struct world *world = transfer->peer.world;
    transfer->head_len = head_len;
    transfer->len = len;
    transfer_go_on(transfer);
    run_until(world, transfer_has_gone_out, transfer);
    assert_int_equal(transfer->error, 0);
    run_until(world, transfer_has_arrived, transfer);
    run_for(world, 5);
    transfer_has_arrived(transfer);
    assert_int_equal(transfer->peer.client_len, head_len + len);
}

static const enum send_way ways[] = {SEND_BYTES, SEND_FILE, SEND_PAGES};
enum { WAY_COUNT = sizeof ways / sizeof *ways };

static void
small_transfers_arrive(void **state)
{
    for (unsigned i = 0; i < WAY_COUNT; i++) {
        struct transfer transfer;
        transfer_init(&transfer, *state, ways[i]);
        transfer_run(&transfer, 0, 1);
        transfer_deinit(&transfer);
        transfer_init(&transfer, *state, ways[i]);
        transfer_run(&transfer, HEAD_LEN, 1000);
        transfer_deinit(&transfer);
    }
}

static void
large_transfers_wait_for_the_reader(void **state)
{
    for (unsigned i = 0; i < WAY_COUNT; i++) {
        struct transfer transfer;
        transfer_init(&transfer, *state, ways[i]);
        transfer.client_step = 100000;
        transfer_run(&transfer, HEAD_LEN, LARGE - HEAD_LEN);
        assert_true(transfer.pending_count > 0);
        transfer_deinit(&transfer);
    }
}

/* A head so large that the socket is full in its middle. */
static void
heads_may_go_out_in_pieces(void **state)
{
    for (unsigned i = 0; i < WAY_COUNT; i++) {
        struct transfer transfer;
        transfer_init(&transfer, *state, ways[i]);
        transfer.client_step = 10000;
        transfer_run(&transfer, LARGE - 1000, 1000);
        assert_true(transfer.pending_count > 0);
        transfer_deinit(&transfer);
    }
}

static void
several_transfers_follow_each_other(void **state)
{
    struct transfer transfer;
    transfer_init(&transfer, *state, SEND_BYTES);
    uint64_t from = 0;
    for (unsigned round = 0; round < 30; round++) {
        /* Each starts where the last ended, as seen by the pattern. */
        transfer.way = ways[round % WAY_COUNT];
        transfer.head_len = from + HEAD_LEN;
        transfer.len = 50000;
        transfer.done = from;
        transfer_go_on(&transfer);
        run_until(transfer.peer.world, transfer_has_gone_out, &transfer);
        assert_int_equal(transfer.error, 0);
        from = transfer.done;
    }
    run_until(transfer.peer.world, transfer_has_arrived, &transfer);
    assert_int_equal(transfer.peer.client_len, 30 * (HEAD_LEN + 50000));
    transfer_deinit(&transfer);
}

static void
eight_pieces_are_gathered(void **state)
{
    struct transfer transfer;
    struct iovec iov[SOCK_IOV_MAX];
    transfer_init(&transfer, *state, SEND_BYTES);
    for (unsigned i = 0; i < SOCK_IOV_MAX; i++)
        iov[i] = (struct iovec){(void *)(transfer.bytes + 1000 * i), 1000};
    ssize_t sent = sock_send(&transfer.peer.sock, iov, SOCK_IOV_MAX);
    memset(iov, 0, sizeof iov);
    transfer.len = 1000 * SOCK_IOV_MAX;
    if (sent != SOCK_PENDING)
        transfer.done = (uint64_t)sent;
    run_until(transfer.peer.world, transfer_has_gone_out, &transfer);
    assert_int_equal(transfer.done, transfer.len);
    run_until(transfer.peer.world, transfer_has_arrived, &transfer);
    transfer_deinit(&transfer);
}

/* More gathered sends in one turn than a backend has message headers for. */
enum { SENDERS = LOOP_URING_MESSAGES + 20 };

static bool
all_have_gone_out(void *arg)
{
    struct transfer *transfers = arg;
    bool done = true;
    for (unsigned i = 0; i < SENDERS; i++)
        done &= transfer_has_gone_out(&transfers[i]) && transfer_has_arrived(&transfers[i]);
    return done;
}

static void
many_gathered_sends_in_one_turn_arrive(void **state)
{
    struct transfer *transfers = calloc(SENDERS, sizeof *transfers);
    assert_non_null(transfers);
    for (unsigned i = 0; i < SENDERS; i++) {
        transfer_init(&transfers[i], *state, SEND_BYTES);
        transfers[i].head_len = 10 + i;
        transfers[i].len = 1000;
    }
    for (unsigned i = 0; i < SENDERS; i++)
        transfer_go_on(&transfers[i]);
    run_until(*state, all_have_gone_out, transfers);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(transfers[i].peer.client_len, 1010 + i);
        transfer_deinit(&transfers[i]);
    }
    free(transfers);
}

static void
a_file_that_ends_early_is_no_data(void **state)
{
    for (uint64_t head_len = 0; head_len <= HEAD_LEN; head_len += HEAD_LEN) {
        struct transfer transfer;
        transfer_init(&transfer, *state, SEND_FILE);
        assert_int_equal(ftruncate(transfer.fd, 300000), 0);
        transfer.head_len = head_len;
        transfer.len = LARGE - head_len;
        transfer_go_on(&transfer);
        run_until(transfer.peer.world, transfer_has_gone_out, &transfer);
        assert_int_equal(transfer.error, -ENODATA);
        assert_int_equal(transfer.done, 300000);
        transfer_deinit(&transfer);
    }
}

static void
sending_to_who_has_gone_is_an_error(void **state)
{
    struct linger now = {.l_onoff = 1};
    for (unsigned i = 0; i < WAY_COUNT; i++) {
        struct transfer transfer;
        transfer_init(&transfer, *state, ways[i]);
        setsockopt(transfer.peer.client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(transfer.peer.client);
        transfer.peer.client = -1;
        transfer.client_step = 0;
        transfer.len = LARGE;
        run_until(transfer.peer.world, peer_has_ended, &transfer.peer);
        transfer_go_on(&transfer);
        run_until(transfer.peer.world, transfer_has_gone_out, &transfer);
        assert_true(transfer.error == -EPIPE || transfer.error == -ECONNRESET);
        transfer_deinit(&transfer);
    }
}

static void
who_goes_while_the_socket_is_full_is_noticed(void **state)
{
    struct linger now = {.l_onoff = 1};
    for (unsigned i = 0; i < WAY_COUNT; i++) {
        struct transfer transfer;
        transfer_init(&transfer, *state, ways[i]);
        transfer.client_step = 0;
        transfer.len = LARGE;
        transfer_go_on(&transfer);
        run_for(transfer.peer.world, 10);
        assert_int_equal(transfer.error, 0);
        assert_true(transfer.pending_count > 0 && transfer.done < LARGE);
        setsockopt(transfer.peer.client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(transfer.peer.client);
        transfer.peer.client = -1;
        run_until(transfer.peer.world, transfer_has_gone_out, &transfer);
        assert_true(transfer.error < 0);
        transfer_deinit(&transfer);
    }
}

/* A full socket is waited for, not asked again and again. */
static void
a_full_socket_costs_no_turns(void **state)
{
    for (unsigned i = 0; i < WAY_COUNT; i++) {
        struct transfer transfer;
        transfer_init(&transfer, *state, ways[i]);
        transfer.len = LARGE;
        transfer_go_on(&transfer);
        run_for(transfer.peer.world, 20);
        unsigned before = transfer.pending_count;
        run_for(transfer.peer.world, 50);
        assert_true(transfer.pending_count - before <= 2);
        transfer_deinit(&transfer);
    }
}

/* tcpi_data_segs_out of linux/tcp.h, which cannot be included beside netinet/tcp.h, whose struct
 * tcp_info ends before it. */
enum { INFO_DATA_SEGS_OUT = 156 };

/* Segments with data that it takes to send a head and a body of `len` to who reads at once. */
static unsigned
segments_of(struct world *world, enum send_way way, uint64_t len)
{
    struct transfer transfer;
    char info[INFO_DATA_SEGS_OUT + sizeof(uint32_t)];
    socklen_t info_len = sizeof info;
    const int room = 4 * LOOP_JOIN_MAX;
    uint32_t count;
    transfer_init(&transfer, world, way);
    int fd = transfer.peer.sock.fd;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    transfer_run(&transfer, HEAD_LEN, len);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &info_len), 0);
    assert_int_equal(info_len, sizeof info);
    memcpy(&count, info + INFO_DATA_SEGS_OUT, sizeof count);
    transfer_deinit(&transfer);
    return count;
}

static void
heads_go_with_their_body_unless_segments_are_paced(void **state)
{
    enum { SEGMENT = 1, SEGMENTS = LOOP_SEGMENT_LEN + 1, TOO_LONG = LOOP_JOIN_MAX };
    struct world *world = *state;
    for (unsigned i = 0; i < WAY_COUNT; i++) {
        if (ways[i] == SEND_BYTES)
            continue; /* one call, one stream of bytes */
        unsigned counts[2][3];
        for (unsigned paced = 0; paced < 2; paced++) {
            world->loop->paces = paced;
            counts[paced][0] = segments_of(world, ways[i], SEGMENT);
            counts[paced][1] = segments_of(world, ways[i], SEGMENTS);
            counts[paced][2] = segments_of(world, ways[i], TOO_LONG);
        }
        assert_int_equal(counts[1][0], counts[0][0]);
        assert_int_equal(counts[1][1], counts[0][1] + 1);
        assert_int_equal(counts[1][2], counts[0][2]);
    }
}

static void
listener_with(struct world *world, const char *congestion, bool paces)
{
    struct sockaddr_in addr;
    struct listener listener = {.fd = listen_on_loopback(&addr)};
    if (setsockopt(listener.fd, IPPROTO_TCP, TCP_CONGESTION, congestion, strlen(congestion)) == 0) {
        listener_start(world->loop, &listener);
        assert_int_equal(world->loop->paces, paces);
        listener_stop(&listener);
    } else {
        assert_string_not_equal(congestion, "reno"); /* every kernel has that one */
    }
    run_for(world, 1);
    close(listener.fd);
}

static void
a_loop_knows_whether_its_listeners_pace(void **state)
{
    listener_with(*state, "reno", false);
    listener_with(*state, "bbr", true);
}

enum { ROUNDS = 20 };

/* Closing while bytes are under way, in a pipe too: everything is given back, and the next transfer
 * gets none of it. */
static void
closing_with_bytes_under_way_leaks_nothing(void **state)
{
    struct world *world = NULL;
    unsigned before = open_fd_count();
    assert_int_equal(world_setup((void **)&world), 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < WAY_COUNT; i++) {
            struct transfer transfer;
            transfer_init(&transfer, world, ways[i]);
            transfer.len = LARGE;
            transfer_go_on(&transfer);
            if (round % 2)
                run_for(world, 3);
            unsigned sent_count = transfer.peer.sent_count;
            sock_abort(&transfer.peer.sock);
            transfer_deinit(&transfer);
            assert_int_equal(transfer.peer.sent_count, sent_count);
        }
    struct transfer transfer;
    transfer_init(&transfer, world, SEND_PAGES);
    transfer_run(&transfer, HEAD_LEN, LARGE - HEAD_LEN);
    transfer_deinit(&transfer);
    world_teardown((void **)&world);
    assert_int_equal(open_fd_count(), before);
}

static bool
all_pages_have_arrived(void *arg)
{
    struct transfer *transfers = arg;
    bool done = true;
    for (unsigned i = 0; i < ROUNDS; i++)
        done &= transfer_has_gone_out(&transfers[i]) && transfer_has_arrived(&transfers[i]);
    return done;
}

/* Many slow readers of pages at a time do not get each other's. */
static void
slow_readers_of_pages_do_not_mix(void **state)
{
    struct transfer transfers[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        transfer_init(&transfers[i], *state, SEND_PAGES);
        transfers[i].head_len = 1 + i * 999;
        transfers[i].len = 1000000;
        transfers[i].client_step = 20000 + 1000 * i;
    }
    for (unsigned i = 0; i < ROUNDS; i++)
        transfer_go_on(&transfers[i]);
    run_until(*state, all_pages_have_arrived, transfers);
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(transfers[i].error, 0);
        assert_int_equal(transfers[i].peer.client_len, 1000001 + i * 999);
        transfer_deinit(&transfers[i]);
    }
}

enum { YIELDS = 5 };

struct yielder {
    struct peer peer; /* first */
    char *diary;      /* the names of who was called, in order */
    char name;
};

static void
yielder_sent(struct peer *peer)
{
    struct yielder *yielder = (struct yielder *)peer;
    size_t len = strlen(yielder->diary);
    assert_int_equal(peer->sent_result, 0);
    yielder->diary[len] = yielder->name;
    yielder->diary[len + 1] = '\0';
    if (peer->sent_count < YIELDS)
        sock_yield(&peer->sock);
}

static bool
has_yielded_enough(void *arg)
{
    const struct yielder *yielder = arg;
    return yielder->peer.sent_count == YIELDS;
}

/* One call a turn each, though both sockets have room and bytes arrive, and the loop does not
 * sleep. */
static void
who_yields_is_called_in_the_next_turn(void **state)
{
    struct world *world = *state;
    struct yielder yielders[2];
    char diary[2 * YIELDS + 1] = "";
    for (unsigned i = 0; i < 2; i++) {
        yielders[i] = (struct yielder){.diary = diary, .name = (char)('a' + i)};
        peer_connect(&yielders[i].peer, world);
        yielders[i].peer.on_sent = yielder_sent;
        sock_recv_start(&yielders[i].peer.sock);
        client_write(&yielders[i].peer, 0, 100);
        sock_yield(&yielders[i].peer.sock);
    }
    run_until(world, has_yielded_enough, &yielders[1]);
    assert_string_equal(diary, "ababababab");
    assert_true(world->turns <= YIELDS + 2);
    run_for(world, 10);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(yielders[i].peer.sent_count, YIELDS);
        assert_int_equal(yielders[i].peer.received_len, 100);
        peer_disconnect(&yielders[i].peer);
    }
}

static void
who_yields_and_is_closed_is_not_called(void **state)
{
    struct world *world = *state;
    struct yielder first = {0}, second = {0};
    peer_connect(&first.peer, world);
    peer_connect(&second.peer, world);
    sock_yield(&first.peer.sock);
    sock_yield(&second.peer.sock);
    peer_disconnect(&first.peer);
    assert_int_equal(first.peer.sent_count, 0);
    assert_int_equal(second.peer.sent_count, 1);
    peer_disconnect(&second.peer);
}

static void
backends_are_chosen_by_name(void **state)
{
    static const char *const names[] = {[LOOP_URING] = "io_uring", [LOOP_EPOLL] = "epoll"};
    struct world *world = *state;
    struct loop *loop;
    struct error error;
    assert_string_equal(loop_name(world->loop), names[world_backend]);
    assert_int_equal(loop_new(&loop, LOOP_AUTO, &error), 0);
    assert_int_equal(error.text[0] == '\0', strcmp(loop_name(loop), "io_uring") == 0);
    loop_free(loop);
    loop_free(NULL);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_transfers_arrive, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(large_transfers_wait_for_the_reader, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(heads_may_go_out_in_pieces, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(several_transfers_follow_each_other, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(eight_pieces_are_gathered, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(many_gathered_sends_in_one_turn_arrive, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_ends_early_is_no_data, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(sending_to_who_has_gone_is_an_error, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(who_goes_while_the_socket_is_full_is_noticed, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(a_full_socket_costs_no_turns, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(heads_go_with_their_body_unless_segments_are_paced,
                                        world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_loop_knows_whether_its_listeners_pace, world_setup,
                                        world_teardown),
        cmocka_unit_test(closing_with_bytes_under_way_leaks_nothing),
        cmocka_unit_test_setup_teardown(slow_readers_of_pages_do_not_mix, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(who_yields_is_called_in_the_next_turn, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(who_yields_and_is_closed_is_not_called, world_setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(backends_are_chosen_by_name, world_setup, world_teardown),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("loop send", run_group);
}
