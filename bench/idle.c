/*
 * idle: opens many keep-alive connections, makes one request on each, and holds them.
 *
 *     idle PORT COUNT PATH [tls]
 *
 * Prints "held COUNT" when every connection has had its complete answer, then waits for the end of
 * its standard input, prints "alive N" (connections that the server has neither closed nor written
 * to) and ends. With "tls" each connection begins with a handshake; certificates are not verified.
 * Any failure is one line on standard error and exit 1.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <unistd.h>

#include "dial.h"

enum {
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
connect_to(uint16_t port, long index)
{
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    const char *what;
    int fd = dial(port, index, 0, &what);

    if (fd < 0)
        die(what, index);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}

/* A TLS session on the socket, handshake done; NULL in plain mode. */
static SSL *
secure(SSL_CTX *context, int fd, long index)
{
    if (!context)
        return NULL;
    SSL *ssl = SSL_new(context);
    if (!ssl || !SSL_set_fd(ssl, fd))
        die("memory", index);
    errno = 0;
    if (SSL_connect(ssl) != 1)
        die("TLS handshake", index);
    return ssl;
}

static ssize_t
put(int fd, SSL *ssl, const char *data, size_t len)
{
    return ssl ? SSL_write(ssl, data, (int)len) : send(fd, data, len, MSG_NOSIGNAL);
}

static ssize_t
take(int fd, SSL *ssl, char *data, size_t len)
{
    return ssl ? SSL_read(ssl, data, (int)len) : recv(fd, data, len, 0);
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
exchange(int fd, SSL *ssl, const char *request, size_t request_len, long index)
{
    static char answer[ANSWER_MAX + 1];
    size_t have = 0;
    size_t need = 0;

    if (put(fd, ssl, request, request_len) != (ssize_t)request_len)
        die("send", index);
    while (need == 0 || have < need) {
        errno = 0;
        if (have == ANSWER_MAX)
            die("answer too long", index);
        ssize_t got = take(fd, ssl, answer + have, ANSWER_MAX - have);
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

    if (argc != 4 && !(argc == 5 && strcmp(argv[4], "tls") == 0)) {
        fprintf(stderr, "usage: idle PORT COUNT PATH [tls]\n");
        return 2;
    }
    SSL_CTX *context = argc == 5 ? SSL_CTX_new(TLS_method()) : NULL;
    uint16_t port = (uint16_t)atoi(argv[1]);
    long count = atol(argv[2]);
    int request_len = snprintf(request, sizeof request,
                               "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", argv[3], port);
    struct pollfd *polls = calloc((size_t)count + 1, sizeof *polls);
    if (!polls || request_len >= REQUEST_MAX)
        die("memory", 0);

    for (long i = 0; i < count; i++) {
        polls[i].fd = connect_to(port, i);
        polls[i].events = POLLIN;
        SSL *ssl = secure(context, polls[i].fd, i);
        exchange(polls[i].fd, ssl, request, (size_t)request_len, i);
        /* The socket alone is held from here on: the client's state is not what is measured. */
        SSL_free(ssl);
    }
    printf("held %ld\n", count);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    printf("alive %ld\n", count_alive(polls, count));
    free(polls);
    SSL_CTX_free(context);
    return 0;
}
