#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void
open_it(struct listen_socket *listening, const char *text, unsigned workers)
{
    struct error error;
    if (listen_open(listening, text, workers, &error) != 0)
        fail_msg("%s: %s", text, error.text);
}

static void
open_must_fail(const char *text, unsigned workers, const char *part)
{
    struct listen_socket listening;
    struct error error;
    if (listen_open(&listening, text, workers, &error) == 0)
        fail_msg("%s with %u workers was opened", text, workers);
    if (!strstr(error.text, part))
        fail_msg("'%s' does not say '%s'", error.text, part);
    assert_null(listening.fds);
}

static int
option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static bool
can_connect(const struct addr *addr)
{
    int fd = socket(addr->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool connected = connect(fd, (const struct sockaddr *)&addr->storage, addr->len) == 0;
    close(fd);
    return connected;
}

static uint16_t
port_of_fd(int fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    struct addr addr;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
    addr_from_socket(&addr, (struct sockaddr *)&bound, len);
    return addr_port(&addr);
}

static void
port_0_is_one_port_for_all_workers(void **state)
{
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct listen_socket listening;
        open_it(&listening, "127.0.0.1:0", workers);
        assert_int_equal(listening.count, workers);
        assert_false(listening.shared);
        assert_true(addr_port(&listening.addr) != 0);
        for (unsigned i = 0; i < workers; i++) {
            assert_int_equal(port_of_fd(listening.fds[i]), addr_port(&listening.addr));
            assert_int_equal(option_of(listening.fds[i], SOL_SOCKET, SO_ACCEPTCONN), 1);
            assert_int_equal(option_of(listening.fds[i], IPPROTO_TCP, TCP_NODELAY), 1);
            assert_true(fcntl(listening.fds[i], F_GETFL) & O_NONBLOCK);
            assert_true(fcntl(listening.fds[i], F_GETFD) & FD_CLOEXEC);
            for (unsigned j = 0; j < i; j++)
                assert_int_not_equal(listening.fds[i], listening.fds[j]);
        }
        assert_true(can_connect(&listening.addr));
        listen_close(&listening);
        assert_false(can_connect(&listening.addr));
    }
}

/* Another process of the same user that shares its port as well: it must not be joined unnoticed.
 */
static pid_t
occupy_elsewhere(const char *text, unsigned workers, uint16_t *port)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct listen_socket listening;
        struct error error;
        uint16_t got = 0;
        if (listen_open(&listening, text, workers, &error) == 0)
            got = addr_port(&listening.addr);
        if (write(fds[1], &got, sizeof got) != sizeof got)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(fds[0], port, sizeof *port), sizeof *port);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static void
an_address_in_use_is_found_out(void **state)
{
    for (unsigned theirs = 1; theirs <= 2; theirs++) {
        uint16_t port;
        char text[64];
        pid_t pid = occupy_elsewhere("127.0.0.1:0", theirs, &port);
        snprintf(text, sizeof text, "127.0.0.1:%u", port);
        open_must_fail(text, 1, "Address already in use");
        open_must_fail(text, 4, text);
        snprintf(text, sizeof text, "*:%u", port);
        open_must_fail(text, 4, "Address already in use");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        snprintf(text, sizeof text, "127.0.0.1:%u", port);
        struct listen_socket listening;
        open_it(&listening, text, 4);
        listen_close(&listening);
    }
}

/* With IPv6 taken by somebody else, listening on IPv4 alone would hide that. */
static void
a_wildcard_half_taken_is_in_use(void **state)
{
    struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    socklen_t len = sizeof addr;
    int only = 1;
    char text[64];
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        skip();
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, 1) != 0)
        skip();
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    snprintf(text, sizeof text, ":%u", ntohs(addr.sin6_port));
    open_must_fail(text, 2, "[::]:");
    close(fd);
}

static void
a_wildcard_listens_on_both_families(void **state)
{
    struct listen_socket listening;
    struct error error;
    char text[64];
    struct addr loopback;
    open_it(&listening, ":0", 2);
    snprintf(text, sizeof text, "127.0.0.1:%u", addr_port(&listening.addr));
    assert_int_equal(addr_parse(&loopback, text, &error), 0);
    assert_true(can_connect(&loopback));
    if (listening.addr.storage.ss_family == AF_INET6) {
        snprintf(text, sizeof text, "[::1]:%u", addr_port(&listening.addr));
        assert_int_equal(addr_parse(&loopback, text, &error), 0);
        assert_true(can_connect(&loopback));
    }
    listen_close(&listening);
}

static void
wrong_addresses_are_named(void **state)
{
    open_must_fail("nonsense", 1, "nonsense");
    open_must_fail("192.0.2.1:80", 1, "192.0.2.1:80");
    open_must_fail("unix:/nonexistent/dir/sock", 1, "/nonexistent/dir/sock");
    open_must_fail("fd:987", 1, "fd:987");
}

/* --- unix sockets --- */

static void
unix_path(char text[128], char dir[64])
{
    strcpy(dir, "/tmp/tarn-listen-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(text, 128, "unix:%s/sock", dir);
}

static void
a_unix_socket_is_shared_and_removed(void **state)
{
    char dir[64], text[128];
    struct listen_socket listening;
    struct stat status;
    unix_path(text, dir);
    open_it(&listening, text, 3);
    assert_true(listening.shared);
    assert_int_equal(listening.count, 3);
    assert_int_equal(listening.fds[0], listening.fds[2]);
    assert_true(can_connect(&listening.addr));
    int fd = listening.fds[0];
    listen_close(&listening);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(lstat(text + 5, &status), -1);
    assert_int_equal(rmdir(dir), 0);
}

static void
a_stale_unix_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    char dir[64], text[128];
    struct listen_socket first, second;
    unix_path(text, dir);
    open_it(&first, text, 1);
    open_must_fail(text, 1, "Address already in use");
    assert_true(can_connect(&first.addr));
    /* As after a crash: the path is there, and nobody behind it. */
    close(first.fds[0]);
    open_it(&second, text, 1);
    assert_true(can_connect(&second.addr));
    listen_close(&second);
    free(first.fds);
    assert_int_equal(rmdir(dir), 0);
}

/* Nobody answers, and yet somebody is there: its backlog is full. */
static void
a_busy_unix_socket_is_not_stale(void **state)
{
    enum { CLIENTS = 3 };
    char dir[64], text[128];
    struct addr addr;
    struct error error;
    int clients[CLIENTS];
    unix_path(text, dir);
    assert_int_equal(addr_parse(&addr, text, &error), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr.storage, addr.len), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(clients[i], (struct sockaddr *)&addr.storage, addr.len) != 0)
            assert_int_equal(errno, EAGAIN);
    }
    open_must_fail(text, 1, "Address already in use");
    assert_int_equal(access(text + 5, F_OK), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close(fd);
    unlink(text + 5);
    rmdir(dir);
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
    char dir[64], text[128];
    struct stat status;
    unix_path(text, dir);
    int fd = open(text + 5, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
    open_must_fail(text, 1, "Address already in use");
    assert_int_equal(lstat(text + 5, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    unlink(text + 5);
    rmdir(dir);
}

static void
unlinking_hides_the_socket_from_newcomers(void **state)
{
    char dir[64], text[128];
    struct listen_socket listening;
    unix_path(text, dir);
    open_it(&listening, text, 1);
    listen_unlink(&listening);
    assert_int_equal(access(text + 5, F_OK), -1);
    /* Somebody else's by now: it is not ours to remove. */
    struct listen_socket other;
    open_it(&other, text, 1);
    listen_close(&listening);
    assert_int_equal(access(text + 5, F_OK), 0);
    listen_close(&other);
    rmdir(dir);
}

static void
an_abstract_socket_has_no_path(void **state)
{
    struct listen_socket listening;
    char text[64];
    snprintf(text, sizeof text, "unix:@tarn-listen-test-%d", getpid());
    open_it(&listening, text, 2);
    assert_true(can_connect(&listening.addr));
    open_must_fail(text, 1, "Address already in use");
    listen_close(&listening);
}

/* --- descriptors --- */

static void
an_inherited_socket_is_adopted(void **state)
{
    struct listen_socket origin, adopted;
    char text[32];
    open_it(&origin, "127.0.0.1:0", 1);
    int fd = dup(origin.fds[0]);
    uint16_t port = addr_port(&origin.addr);
    listen_close(&origin);
    fcntl(fd, F_SETFL, 0);
    snprintf(text, sizeof text, "fd:%d", fd);
    open_it(&adopted, text, 2);
    assert_true(adopted.shared);
    assert_int_equal(adopted.fds[0], fd);
    assert_int_equal(adopted.fds[1], fd);
    assert_int_equal(addr_port(&adopted.addr), port);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(can_connect(&adopted.addr));
    listen_close(&adopted);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void
a_descriptor_that_does_not_listen_is_refused_and_left_open(void **state)
{
    int fds[2];
    char text[32];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    snprintf(text, sizeof text, "fd:%d", fds[0]);
    open_must_fail(text, 1, "not a listening socket");
    assert_true(fcntl(fds[0], F_GETFD) >= 0);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(pipe(fds), 0);
    snprintf(text, sizeof text, "fd:%d", fds[0]);
    open_must_fail(text, 1, text);
    close(fds[0]);
    close(fds[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_is_one_port_for_all_workers),
        cmocka_unit_test(an_address_in_use_is_found_out),
        cmocka_unit_test(a_wildcard_half_taken_is_in_use),
        cmocka_unit_test(a_wildcard_listens_on_both_families),
        cmocka_unit_test(wrong_addresses_are_named),
        cmocka_unit_test(a_unix_socket_is_shared_and_removed),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_busy_unix_socket_is_not_stale),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(unlinking_hides_the_socket_from_newcomers),
        cmocka_unit_test(an_abstract_socket_has_no_path),
        cmocka_unit_test(an_inherited_socket_is_adopted),
        cmocka_unit_test(a_descriptor_that_does_not_listen_is_refused_and_left_open),
    };
    return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
