/*
 * handshakes: makes TLS 1.3 handshakes with a server for some seconds, and counts them.
 *
 *     handshakes PORT CONNECTIONS SECONDS full|resumed
 *
 * CONNECTIONS are under way at any time. Each one connects, shakes hands, says close_notify and
 * waits for the server to close: that shows that the server too has finished the handshake, and
 * costs it no request. With "resumed" a first connection gets a session ticket by one request for
 * "/", and all that are counted offer it; one that is not resumed is an error, and so is one that
 * is with "full". Certificates are not verified, but the server's signature always is.
 *
 * Ends with one line, BENCH and a JSON object, as wrk.lua does. A failure to begin is one line on
 * standard error and exit 1.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dial.h"

enum {
    CONNECTIONS_MAX = 1000,
    SAMPLES_MAX = 1 << 20,
    POLL_MS = 100,
    FINISH_NS = 1000000000, /* for what is still under way when the time is over */
};

enum phase { SHAKING, LEAVING };

struct connection {
    SSL *ssl; /* NULL: none, because the time is over */
    int fd;
    enum phase phase;
    int64_t begun_ns;
};

static struct {
    uint16_t port;
    SSL_CTX *context;
    SSL_SESSION *session; /* offered by every connection; NULL: full handshakes */
    long dialled, done, connect_errors, handshake_errors, not_as_asked;
    uint32_t *samples_us;
    struct connection connections[CONNECTIONS_MAX];
    struct pollfd polls[CONNECTIONS_MAX];
} run;

static void
die(const char *what)
{
    fprintf(stderr, "handshakes: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
    exit(1);
}

static int64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static SSL *
session_on(int fd)
{
    SSL *ssl = SSL_new(run.context);

    if (!ssl || !SSL_set_fd(ssl, fd))
        die("memory");
    SSL_set_connect_state(ssl);
    if (run.session && !SSL_set_session(ssl, run.session))
        die("session");
    return ssl;
}

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(run.session);
    run.session = session;
    return 1; /* the reference is ours now */
}

/* One whole exchange, for the ticket that comes with it. */
static void
fetch_ticket(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    const char *what;
    char answer[4096];
    int fd = dial(run.port, 0, 0, &what);

    if (fd < 0)
        die(what);
    SSL *ssl = session_on(fd);
    errno = 0;
    if (SSL_connect(ssl) != 1)
        die("the first handshake");
    if (SSL_write(ssl, request, (int)sizeof request - 1) <= 0)
        die("the first request");
    while (SSL_read(ssl, answer, sizeof answer) > 0)
        ;
    SSL_free(ssl);
    close(fd);
    SSL_CTX_sess_set_new_cb(run.context, NULL);
    if (!run.session)
        die("a session ticket");
}

static void
begin(struct connection *connection, struct pollfd *poll_for)
{
    const char *what;
    int fd = dial(run.port, run.dialled++, SOCK_NONBLOCK, &what);

    if (fd < 0)
        die(what);
    *connection = (struct connection){
        .ssl = session_on(fd),
        .fd = fd,
        .phase = SHAKING,
        .begun_ns = now_ns(),
    };
    *poll_for = (struct pollfd){.fd = fd, .events = POLLOUT};
}

static void
end(struct connection *connection, struct pollfd *poll_for)
{
    /* The server has closed already, or will never: no state of this connection may stay. */
    struct linger none = {.l_onoff = 1};

    SSL_free(connection->ssl);
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(connection->fd);
    connection->ssl = NULL;
    poll_for->fd = -1;
}

static void
count(const struct connection *connection)
{
    if (run.done < SAMPLES_MAX)
        run.samples_us[run.done] = (uint32_t)((now_ns() - connection->begun_ns) / 1000);
    run.done++;
    run.not_as_asked += SSL_session_reused(connection->ssl) != (run.session != NULL);
}

/* Whether the connection is still under way; it is polled for what it waits for. */
static bool
go_on(struct connection *connection, struct pollfd *poll_for)
{
    char unused[1024];
    int result = 0;

    if (connection->phase == SHAKING) {
        result = SSL_do_handshake(connection->ssl);
        if (result == 1) {
            count(connection);
            connection->phase = LEAVING;
            SSL_shutdown(connection->ssl);
        }
    }
    if (connection->phase == LEAVING) {
        /* Tickets, the server's own close_notify, then the end: none of it is looked at. */
        ssize_t got;
        while ((got = read(connection->fd, unused, sizeof unused)) > 0)
            ;
        poll_for->events = POLLIN;
        return got < 0 && errno == EAGAIN;
    }
    switch (SSL_get_error(connection->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        poll_for->events = POLLIN;
        return true;
    case SSL_ERROR_WANT_WRITE:
        poll_for->events = POLLOUT;
        return true;
    default:
        if (poll_for->revents & POLLERR)
            run.connect_errors++;
        else
            run.handshake_errors++;
        return false;
    }
}

/* Until `end_ns` new connections follow finished ones; returns how many are still under way. */
static int
turn(int connection_count, int64_t end_ns)
{
    int left = 0;

    if (poll(run.polls, (nfds_t)connection_count, POLL_MS) < 0)
        die("poll");
    for (int i = 0; i < connection_count; i++) {
        struct connection *connection = &run.connections[i];
        struct pollfd *poll_for = &run.polls[i];
        if (connection->ssl && poll_for->revents && !go_on(connection, poll_for)) {
            end(connection, poll_for);
            if (now_ns() < end_ns)
                begin(connection, poll_for);
        }
        left += connection->ssl != NULL;
    }
    return left;
}

static int
compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void
report(int64_t duration_ns, int stuck)
{
    long samples = run.done < SAMPLES_MAX ? run.done : SAMPLES_MAX;

    qsort(run.samples_us, (size_t)samples, sizeof *run.samples_us, compare_samples);
    printf("BENCH {\"requests\": %ld, \"bytes\": 0, \"duration_us\": %lld, \"p50_us\": %u, "
           "\"p99_us\": %u, \"errors\": {\"connect\": %ld, \"handshake\": %ld, "
           "\"not %s\": %ld, \"stuck\": %d}}\n",
           run.done, (long long)(duration_ns / 1000), samples ? run.samples_us[samples / 2] : 0,
           samples ? run.samples_us[samples * 99 / 100] : 0, run.connect_errors,
           run.handshake_errors, run.session ? "resumed" : "full", run.not_as_asked, stuck);
}

int
main(int argc, char **argv)
{
    bool resumed = argc == 5 && strcmp(argv[4], "resumed") == 0;
    int connection_count = argc == 5 ? atoi(argv[2]) : 0;

    if (argc != 5 || (!resumed && strcmp(argv[4], "full") != 0) || connection_count < 1 ||
        connection_count > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: handshakes PORT CONNECTIONS SECONDS full|resumed\n");
        return 2;
    }
    run.port = (uint16_t)atoi(argv[1]);
    run.context = SSL_CTX_new(TLS_method());
    run.samples_us = calloc(SAMPLES_MAX, sizeof *run.samples_us);
    if (!run.context || !run.samples_us)
        die("memory");
    SSL_CTX_set_min_proto_version(run.context, TLS1_3_VERSION);
    if (resumed) {
        SSL_CTX_set_session_cache_mode(run.context, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(run.context, keep_session);
        fetch_ticket();
    }

    int64_t start_ns = now_ns();
    int64_t end_ns = start_ns + (int64_t)atoi(argv[3]) * 1000000000;
    for (int i = 0; i < connection_count; i++)
        begin(&run.connections[i], &run.polls[i]);
    int left = connection_count;
    while (left > 0 && now_ns() < end_ns + FINISH_NS)
        left = turn(connection_count, end_ns);
    report(now_ns() - start_ns, left);
    return 0;
}
