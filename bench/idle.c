/*
 * idle: opens many keep-alive connections, makes one request on each, and holds them.
 *
 *     idle PORT COUNT PATH
 *
 * Prints "held COUNT" when every connection has had its complete answer, then waits for the end of
 * its standard input, prints "alive N" (connections that the server has neither closed nor written
 * to) and ends. Source addresses walk through 127.0.0.x, PER_SOURCE connections on each, so that
 * the range of local ports never is the limit. Any failure is one line on standard error and
 * exit 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    PER_SOURCE = 5000,
    FIRST_SOURCE = 2,
    REQUEST_MAX = 1024,
    ANSWER_MAX = 64 * 1024,
    WAIT_SECONDS = 10,
};

static void
die(const char *what, long index)
{
    fprintf(stderr, "idle: connection %ld: %s: %s\n", index, what,
            errno ? strerror(errno) : "not as expected");
    exit(1);
}

static int
connect_from(uint32_t source, uint16_t port, long index)
{
    struct sockaddr_in local = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xffffff00u) | source),
    };
    struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket", index);
    /* The port is then chosen at connect, when the whole four-tuple is known. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0)
        die("bind", index);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        die("connect", index);
    return fd;
}

/* Length of the complete answer that starts with this head, 0 while the head is incomplete. */
static size_t
answer_len(const char *answer, long index)
{
    static const char name[] = "\r\ncontent-length:";
    const char *head_end = strstr(answer, "\r\n\r\n");

    if (!head_end)
        return 0;
    for (const char *at = answer; at < head_end; at++) {
        if (strncasecmp(at, name, sizeof name - 1) == 0)
            return (size_t)(head_end + 4 - answer) + strtoul(at + sizeof name - 1, NULL, 10);
    }
    errno = 0;
    die("no Content-Length in the answer", index);
    return 0;
}

static void
exchange(int fd, const char *request, size_t request_len, long index)
{
    static char answer[ANSWER_MAX + 1];
    size_t have = 0;
    size_t need = 0;

    if (send(fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
        die("send", index);
    while (need == 0 || have < need) {
        errno = 0;
        if (have == ANSWER_MAX)
            die("answer too long", index);
        ssize_t got = recv(fd, answer + have, ANSWER_MAX - have, 0);
        if (got <= 0)
            die("recv", index);
        have += (size_t)got;
        answer[have] = '\0';
        if (need == 0)
            need = answer_len(answer, index);
    }
    errno = 0;
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0)
        die("status is not 200", index);
}

static long
count_alive(struct pollfd *polls, long count)
{
    long alive = 0;

    if (poll(polls, (nfds_t)count, 0) < 0)
        die("poll", count);
    for (long i = 0; i < count; i++)
        alive += polls[i].revents == 0;
    return alive;
}

int
main(int argc, char **argv)
{
    char request[REQUEST_MAX];

    if (argc != 4) {
        fprintf(stderr, "usage: idle PORT COUNT PATH\n");
        return 2;
    }
    uint16_t port = (uint16_t)atoi(argv[1]);
    long count = atol(argv[2]);
    int request_len = snprintf(request, sizeof request,
                               "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", argv[3], port);
    struct pollfd *polls = calloc((size_t)count + 1, sizeof *polls);
    if (!polls || request_len >= REQUEST_MAX)
        die("memory", 0);

    for (long i = 0; i < count; i++) {
        polls[i].fd = connect_from(FIRST_SOURCE + (uint32_t)(i / PER_SOURCE), port, i);
        polls[i].events = POLLIN;
        exchange(polls[i].fd, request, (size_t)request_len, i);
    }
    printf("held %ld\n", count);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    printf("alive %ld\n", count_alive(polls, count));
    free(polls);
    return 0;
}
