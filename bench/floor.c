/*
 * floor: the cheapest honest responder, the lower bound that the benchmark compares servers with.
 *
 *     floor PORT STATUS FILE
 *
 * It answers on 127.0.0.1. One thread, edge-triggered epoll. It parses nothing: whatever bytes a
 * read returns are taken for one request, and the answer is sent from one buffer that was built at
 * start (head and the content of FILE; a 304 has no body). So it pays for the kernel's share of a
 * request and for nothing else. It is only right for clients that do not pipeline and whose request
 * arrives in one piece, which is what the load generator does.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 512,
    READ_MAX = 64 * 1024,
    HEAD_MAX = 256,
};

struct answer {
    char *bytes;
    size_t len;
};

/* What a connection still has to send; indexed by descriptor, 0 means it waits for a request. */
static size_t *unsent_len;
static size_t fd_max;

static void
die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *
read_whole_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        die(path);
    long size = ftell(file);
    if (size < 0 || fseek(file, 0, SEEK_SET) != 0)
        die(path);
    char *bytes = malloc((size_t)size + 1);
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size)
        die(path);
    fclose(file);
    *len = (size_t)size;
    return bytes;
}

static struct answer
answer_build(int status, const char *path)
{
    char head[HEAD_MAX];
    size_t body_len;
    char *body = read_whole_file(path, &body_len);
    int head_len;

    if (status == 304) {
        body_len = 0;
        head_len =
            snprintf(head, sizeof head, "HTTP/1.1 304 Not Modified\r\nETag: \"floor\"\r\n\r\n");
    } else {
        head_len = snprintf(head, sizeof head,
                            "HTTP/1.1 %d Fixed\r\nContent-Type: text/plain\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            status, body_len);
    }
    struct answer answer = {.len = (size_t)head_len + body_len};
    answer.bytes = malloc(answer.len);
    if (!answer.bytes)
        die("memory");
    memcpy(answer.bytes, head, (size_t)head_len);
    memcpy(answer.bytes + head_len, body, body_len);
    free(body);
    return answer;
}

static int
listener_open(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };

    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, SOMAXCONN) < 0)
        die("listen");
    return fd;
}

static void
accept_all(int epoll_fd, int listener)
{
    int on = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};

        if ((size_t)fd >= fd_max) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        unsent_len[fd] = 0;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

/* Sends what is left of the answer; returns 1 when all is sent, 0 when the socket is full,
   -1 when the peer is gone. */
static int
send_rest(int fd, const struct answer *answer)
{
    while (unsent_len[fd] > 0) {
        ssize_t sent =
            send(fd, answer->bytes + answer->len - unsent_len[fd], unsent_len[fd], MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        unsent_len[fd] -= (size_t)sent;
    }
    return 1;
}

static void
connection_serve(int fd, uint32_t events, const struct answer *answer)
{
    static char sink[READ_MAX];
    /* The edge that interrupted a long answer may also have carried the next request. */
    int was_sending = unsent_len[fd] > 0;

    if (was_sending && send_rest(fd, answer) == 0)
        return;
    if (!was_sending && !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t got = recv(fd, sink, sizeof sink, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got > 0) {
        unsent_len[fd] = answer->len;
        if (send_rest(fd, answer) >= 0)
            return;
    }
    close(fd);
}

static void
serve_forever(int listener, const struct answer *answer)
{
    static struct epoll_event events[EVENTS_MAX];
    struct epoll_event listen_event = {.events = EPOLLIN, .data.fd = listener};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &listen_event) < 0)
        die("epoll");
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll_fd, listener);
            else
                connection_serve(events[i].data.fd, events[i].events, answer);
        }
    }
}

int
main(int argc, char **argv)
{
    struct rlimit files;

    if (argc != 4) {
        fprintf(stderr, "usage: floor PORT STATUS FILE\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        die("getrlimit");
    fd_max = files.rlim_cur;
    unsent_len = calloc(fd_max, sizeof *unsent_len);
    if (!unsent_len)
        die("memory");
    struct answer answer = answer_build(atoi(argv[2]), argv[3]);
    serve_forever(listener_open((uint16_t)atoi(argv[1])), &answer);
    return 0;
}
