/* swarm: many clients that ask for one resource at once, and check every byte of it as it comes.
 *
 *     swarm ADDRESS PORT CLIENTS TARGET BLOCK SIZE
 *
 * The content is what origin.py calls Generated: blocks of the file BLOCK, each with its number in
 * the first 8 bytes, SIZE bytes in all. One thread, so that the clients take little from the server
 * that is measured. It says, a line each:
 *
 *     sent             every request has gone out
 *     first NS NS      every client has begun to get a head, and content: when the last did
 *     done WHOLE NS    so many have got all of it, and nothing else; when the last did
 *     error TEXT       the first thing that was wrong
 *
 * Times are CLOCK_MONOTONIC.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { UNIT = 64 << 10, READ_MAX = 256 << 10, HEAD_MAX = 4096, EVENTS_MAX = 256 };

struct client {
    int fd;
    bool has_content;
    uint32_t head_len;
    uint64_t received; /* of the content */
    char head[HEAD_MAX];
};

static struct client *clients;
static unsigned client_count, open_count, head_count, content_count, whole_count;
static uint64_t size, last_head_ns, last_content_ns, last_end_ns;
static char block[UNIT], buffer[READ_MAX];
static bool failed;

static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void
say(const char *line)
{
    puts(line);
    fflush(stdout);
}

static void
fail(const struct client *client, const char *what)
{
    char line[512];
    if (failed)
        return;
    failed = true;
    snprintf(line, sizeof line, "error client %d: %s after %llu bytes; head %.200s",
             (int)(client - clients), what, (unsigned long long)client->received, client->head);
    for (char *at = line; *at; at++)
        if (*at == '\r' || *at == '\n')
            *at = '|';
    say(line);
}

static void
leave(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    open_count--;
}

static bool
is_content(uint64_t off, const char *bytes, size_t len)
{
    while (len) {
        size_t at = off % UNIT, part = UNIT - at;
        part = part < len ? part : len;
        if (at < 8) {
            uint64_t number = off / UNIT;
            part = 8 - at < part ? 8 - at : part;
            for (size_t i = 0; i < part; i++)
                if ((unsigned char)bytes[i] != (unsigned char)(number >> (56 - 8 * (at + i))))
                    return false;
        } else if (memcmp(bytes, block + at, part) != 0) {
            return false;
        }
        off += part;
        bytes += part;
        len -= part;
    }
    return true;
}

static void
take_content(struct client *client, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    if (!client->has_content) {
        client->has_content = true;
        last_content_ns = now_ns();
        if (++content_count == client_count) {
            char line[80];
            snprintf(line, sizeof line, "first %llu %llu", (unsigned long long)last_head_ns,
                     (unsigned long long)last_content_ns);
            say(line);
        }
    }
    if (client->received + len > size || !is_content(client->received, bytes, len)) {
        fail(client, "wrong content");
        leave(client);
        return;
    }
    client->received += len;
    if (client->received == size) {
        last_end_ns = now_ns();
        whole_count++;
        leave(client);
    }
}

/* The head, as far as it came; what is behind it. */
static void
take_head(struct client *client, const char *bytes, size_t len)
{
    char length[64];
    if (client->head_len == 0) {
        last_head_ns = now_ns();
        head_count++;
    }
    size_t part = HEAD_MAX - 1 - client->head_len;
    part = part < len ? part : len;
    uint32_t before = client->head_len;
    memcpy(client->head + before, bytes, part);
    client->head_len += (uint32_t)part;
    client->head[client->head_len] = '\0';
    char *end = strstr(client->head, "\r\n\r\n");
    if (!end) {
        if (client->head_len == HEAD_MAX - 1)
            fail(client, "a long head");
        return;
    }
    uint32_t head_len = (uint32_t)(end + 4 - client->head);
    *end = '\0';
    snprintf(length, sizeof length, "\r\nContent-Length: %llu", (unsigned long long)size);
    if (strncmp(client->head, "HTTP/1.1 200 ", 13) != 0 || !strstr(client->head, length))
        fail(client, "another head");
    client->head_len = UINT32_MAX;
    take_content(client, bytes + (head_len - before), len - (head_len - before));
}

static void
readable(struct client *client)
{
    ssize_t len = read(client->fd, buffer, sizeof buffer);
    if (len < 0 && errno == EAGAIN)
        return;
    if (len <= 0) {
        fail(client, len ? strerror(errno) : "the end");
        leave(client);
    } else if (client->head_len == UINT32_MAX) {
        take_content(client, buffer, (size_t)len);
    } else {
        take_head(client, buffer, (size_t)len);
    }
}

static int
start(struct client *client, const struct sockaddr_in *address, const char *request, int epoll_fd)
{
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (const void *)address, sizeof *address) != 0)
        return -1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (write(client->fd, request, strlen(request)) != (ssize_t)strlen(request))
        return -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event);
}

int
main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    struct rlimit limit;
    char request[8192], line[80];
    if (argc != 7)
        return 2;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    FILE *file = fopen(argv[5], "rb");
    if (!file || fread(block, 1, UNIT, file) != UNIT)
        return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    client_count = (unsigned)atoi(argv[3]);
    size = strtoull(argv[6], NULL, 10);
    clients = calloc(client_count, sizeof *clients);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: site.test\r\n\r\n", argv[4]);
    for (; open_count < client_count; open_count++) {
        if (start(&clients[open_count], &address, request, epoll_fd) != 0) {
            fail(&clients[open_count], strerror(errno));
            return 1;
        }
    }
    say("sent");
    while (open_count) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++)
            readable(events[i].data.ptr);
    }
    snprintf(line, sizeof line, "done %u %llu", whole_count, (unsigned long long)last_end_ns);
    say(line);
    return whole_count == client_count && !failed ? 0 : 1;
}
