#include "io/backend.h"

#include "base/limits.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* The epoll backend. A socket is registered once, edge-triggered for both directions; what the
 * owner wants of it now is in its flags. Sends are tried at once; only a full socket waits for the
 * edge. A receive that fills less than the buffer has drained the socket, so the usual request
 * costs one recv.
 *
 * Pausing a receiver keeps its registration: the edge that comes meanwhile is remembered in
 * `readable`, and starting again queues the sock for the same turn.
 */

struct epoll_loop {
    struct loop base;
    int fd;
    struct sock *ready;    /* bytes may be waiting: received from in the next turn */
    struct sock *draining; /* the same, of this turn */
    char *buffer;          /* one for all sockets: bytes are consumed before the next receive */
};

/* Low bits of the event's data pointer tell what it points at. */
enum { TAG_SOCK = 0, TAG_LISTENER = 1, TAG_WAKE = 2, TAG_MASK = 7 };

static struct epoll_loop *
epoll_of(struct loop *loop)
{
    return (struct epoll_loop *)loop;
}

static void
epoll_register(struct loop *loop, int fd, uint32_t events, void *owner, unsigned tag)
{
    struct epoll_event event = {.events = events, .data.u64 = (uintptr_t)owner | tag};
    must(epoll_ctl(epoll_of(loop)->fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void
epoll_listener_start(struct listener *listener)
{
    listener->armed = true;
    epoll_register(listener->loop, listener->fd, EPOLLIN | (listener->shared ? EPOLLEXCLUSIVE : 0),
                   listener, TAG_LISTENER);
}

static void
epoll_listener_stop(struct listener *listener)
{
    listener->armed = false;
    epoll_ctl(epoll_of(listener->loop)->fd, EPOLL_CTL_DEL, listener->fd, NULL);
}

static void
epoll_accept(struct listener *listener)
{
    for (int i = 0; i < LOOP_ACCEPT_BATCH && listener->wanted; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->accepted(listener, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
            int error = errno;
            epoll_listener_stop(listener);
            listener->failed(listener, error);
            return;
        }
    }
}

static void
epoll_queue(struct sock *sock)
{
    struct epoll_loop *loop = epoll_of(sock->loop);
    if (sock->queued)
        return;
    sock->queued = true;
    sock->next = loop->ready;
    loop->ready = sock;
}

/* Receives once; queues the sock again when there may be more, so that one busy peer does not hold
 * up the others. */
static void
epoll_receive(struct sock *sock)
{
    struct epoll_loop *loop = epoll_of(sock->loop);
    ssize_t len = recv(sock->fd, loop->buffer, LOOP_EPOLL_RECV_LEN, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        sock->readable = errno == EINTR;
        if (sock->readable)
            epoll_queue(sock);
        return;
    }
    if (len <= 0)
        sock->recv_wanted = false;
    sock->readable = len == LOOP_EPOLL_RECV_LEN || (len > 0 && sock->hangup);
    sock->ops->received(sock, loop->buffer, len < 0 ? -errno : len);
    if (sock->readable && sock->recv_wanted && !sock->closing)
        epoll_queue(sock);
}

static void
epoll_register_sock(struct sock *sock)
{
    /* in_flight: registered. Closing the descriptor ends the registration. */
    sock->in_flight = 1;
    epoll_register(sock->loop, sock->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, sock, TAG_SOCK);
}

static void
epoll_recv_start(struct sock *sock)
{
    if (!sock->in_flight) {
        epoll_register_sock(sock);
    } else if (sock->readable) {
        epoll_queue(sock);
    }
}

static void
epoll_recv_stop(struct sock *sock)
{
    (void)sock;
}

static ssize_t
epoll_send(struct sock *sock, const struct iovec *iov, unsigned iov_count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = iov_count};
    ssize_t len = iov_count == 1
                      ? send(sock->fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : sendmsg(sock->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (len >= 0)
        return len;
    if (errno != EAGAIN && errno != EINTR)
        return -errno;
    sock->send_pending = true;
    return SOCK_PENDING;
}

static void
epoll_wait_writable(struct sock *sock)
{
    /* The registration reports the edge; send_pending says that it is wanted. A socket that was not
     * yet connected could not be registered: it reports a hang-up. */
    if (!sock->in_flight)
        epoll_register_sock(sock);
}

static bool
epoll_unlink(struct sock **list, struct sock *sock)
{
    for (struct sock **link = list; *link; link = &(*link)->next)
        if (*link == sock) {
            *link = sock->next;
            return true;
        }
    return false;
}

static void
epoll_cancel(struct sock *sock)
{
    struct epoll_loop *loop = epoll_of(sock->loop);
    if (sock->queued && !epoll_unlink(&loop->ready, sock))
        epoll_unlink(&loop->draining, sock);
    sock->queued = false;
    if (sock->in_flight)
        epoll_ctl(loop->fd, EPOLL_CTL_DEL, sock->fd, NULL);
    sock->in_flight = 0;
}

static void
epoll_sock_event(struct sock *sock, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        sock->readable = true;
        /* With the peer's end already seen there is more to read than the bytes: do not wait for an
         * edge that has been. */
        sock->hangup = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        if (sock->recv_wanted && !sock->queued)
            epoll_receive(sock);
    }
    if (sock->send_pending && !sock->yielded && !sock->closing &&
        (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
        sock->send_pending = false;
        sock->ops->sent(sock, sock->connecting ? loop_connect_result(sock) : 0);
    }
}

/* What is queued meanwhile waits for the next turn. */
static void
epoll_drain_ready(struct epoll_loop *loop)
{
    loop->draining = loop->ready;
    loop->ready = NULL;
    while (loop->draining) {
        struct sock *sock = loop->draining;
        loop->draining = sock->next;
        sock->queued = false;
        if (sock->recv_wanted)
            epoll_receive(sock);
    }
}

static int
epoll_timeout_ms(const struct loop *loop, uint64_t deadline_ns)
{
    if (epoll_of((struct loop *)loop)->ready || deadline_ns <= loop->now_ns)
        return 0;
    if (deadline_ns == UINT64_MAX)
        return -1;
    uint64_t ms = (deadline_ns - loop->now_ns + 999999) / 1000000;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static void
epoll_turn(struct loop *base, uint64_t deadline_ns)
{
    struct epoll_loop *loop = epoll_of(base);
    struct epoll_event events[LOOP_EPOLL_EVENTS];
    int timeout_ms = epoll_timeout_ms(base, deadline_ns);
    int count = epoll_wait(loop->fd, events, LOOP_EPOLL_EVENTS, timeout_ms);
    loop_woke(base);
    for (int i = 0; i < count; i++) {
        void *owner = (void *)(uintptr_t)(events[i].data.u64 & ~(uint64_t)TAG_MASK);
        switch (events[i].data.u64 & TAG_MASK) {
        case TAG_SOCK:
            /* Closed earlier in this batch: its memory is the loop's until the end of the turn. */
            if (!((struct sock *)owner)->closing)
                epoll_sock_event(owner, events[i].events);
            break;
        case TAG_LISTENER:
            if (((struct listener *)owner)->armed)
                epoll_accept(owner);
            break;
        default: {
            uint64_t ignored;
            if (read(base->wake_fd, &ignored, sizeof ignored) > 0)
                loop_run_posts(base);
        }
        }
    }
    epoll_drain_ready(loop);
}

static void
epoll_free(struct loop *base)
{
    struct epoll_loop *loop = epoll_of(base);
    close(loop->fd);
    loop_deinit(base);
    free(loop->buffer);
    free(loop);
}

static const struct loop_backend_ops epoll_ops = {
    .name = "epoll",
    .turn = epoll_turn,
    .free = epoll_free,
    .listener_start = epoll_listener_start,
    .listener_stop = epoll_listener_stop,
    .recv_start = epoll_recv_start,
    .recv_stop = epoll_recv_stop,
    .send = epoll_send,
    .wait_writable = epoll_wait_writable,
    .cancel = epoll_cancel,
};

int
loop_epoll_new(struct loop **out, struct error *error)
{
    struct epoll_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return error_set(error, "no memory for an event loop");
    loop->buffer = malloc(LOOP_EPOLL_RECV_LEN);
    loop->fd = epoll_create1(EPOLL_CLOEXEC);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!loop->buffer || loop->fd < 0 || wake_fd < 0) {
        error_set_errno(error, errno, "cannot make an event loop");
        if (loop->fd >= 0)
            close(loop->fd);
        if (wake_fd >= 0)
            close(wake_fd);
        free(loop->buffer);
        free(loop);
        return -1;
    }
    loop_init(&loop->base, &epoll_ops, wake_fd);
    epoll_register(&loop->base, wake_fd, EPOLLIN, NULL, TAG_WAKE);
    *out = &loop->base;
    return 0;
}
