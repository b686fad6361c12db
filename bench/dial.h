/* dial: connections from a generator of this folder to a server on 127.0.0.1.
 *
 * Source addresses walk through 127.0.0.x, DIAL_PER_SOURCE connections on each, so that the range
 * of local ports never is the limit.
 */
#ifndef BENCH_DIAL_H
#define BENCH_DIAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    DIAL_PER_SOURCE = 5000,
    DIAL_FIRST_SOURCE = 2,
    DIAL_SOURCES = 200,
};

/* A socket that connects to the port; `flags` go to socket(2). -1 with errno on failure; with
 * SOCK_NONBLOCK the connect may still be under way. */
static inline int
dial(uint16_t port, long index, int flags, const char **what)
{
    uint32_t source = DIAL_FIRST_SOURCE + (uint32_t)(index / DIAL_PER_SOURCE % DIAL_SOURCES);
    struct sockaddr_in local = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xffffff00u) | source),
    };
    struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;

    *what = "socket";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -1;
    /* The port is then chosen at connect, when the whole four-tuple is known. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    /* A handshake ends with two small writes: the second must not wait for an acknowledgement. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *what = "bind";
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0)
        return -1;
    *what = "connect";
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        return -1;
    return fd;
}

#endif
