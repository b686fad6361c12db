#include "io/backend.h"

#include "base/must.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The parts of the loop that do not depend on how the kernel reports events. Closing is deferred to
 * the end of the turn in both backends: whoever closes a connection deep in a call chain may still
 * touch it on the way out. */

int
loop_new(struct loop **out, enum loop_backend backend, struct error *error)
{
    error->text[0] = '\0';
    if (backend == LOOP_EPOLL)
        return loop_epoll_new(out, error);
    if (loop_uring_new(out, error) == 0)
        return 0;
    if (backend == LOOP_URING)
        return -1;
    struct error why_not_uring = *error;
    if (loop_epoll_new(out, error) != 0)
        return -1;
    *error = why_not_uring;
    return 0;
}

uint64_t
loop_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
loop_sample_clock(struct loop *loop)
{
    loop->now_ns = loop_clock_ns();
}

void
loop_init(struct loop *loop, const struct loop_backend_ops *ops, int wake_fd)
{
    loop->ops = ops;
    loop->wake_fd = wake_fd;
    loop->yielded_end = &loop->yielded;
    loop->posts_end = &loop->posts;
    pthread_mutex_init(&loop->post_lock, NULL);
    loop_sample_clock(loop);
}

void
loop_deinit(struct loop *loop)
{
    must(!loop->closing);
    loop_close_pipe(loop);
    timer_heap_deinit(&loop->timers);
    pthread_mutex_destroy(&loop->post_lock);
    close(loop->wake_fd);
}

void
loop_free(struct loop *loop)
{
    if (loop)
        loop->ops->free(loop);
}

const char *
loop_name(const struct loop *loop)
{
    return loop->ops->name;
}

void
loop_woke(struct loop *loop)
{
    loop_sample_clock(loop);
    if (loop->hooks.woke)
        loop->hooks.woke(loop->hooks.arg);
}

uint64_t
loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

struct timer_heap *
loop_timers(struct loop *loop)
{
    return &loop->timers;
}

static void
loop_finish_closing(struct loop *loop)
{
    struct sock **link = &loop->closing;
    while (*link) {
        struct sock *sock = *link;
        if (sock->in_flight || sock->yielded) {
            link = &sock->next;
            continue;
        }
        *link = sock->next;
        if (!sock->releasing) {
            close(sock->fd);
            sock->fd = -1;
        }
        sock->queued = false;
        sock->ops->closed(sock);
    }
}

/* Whether a sock was closed since loop_finish_closing: the loop must not sleep on it. */
static bool
loop_has_closed(const struct loop *loop)
{
    for (const struct sock *sock = loop->closing; sock; sock = sock->next)
        if (!sock->in_flight)
            return true;
    return false;
}

/* Lets those go on that yielded before the turn; what they yield again waits for the next. */
static void
loop_resume_yielded(struct loop *loop, struct sock *sock)
{
    while (sock) {
        struct sock *next = sock->next_yielded;
        sock->yielded = false;
        if (!sock->closing) {
            sock->send_pending = false;
            sock->ops->sent(sock, 0);
        }
        sock = next;
    }
}

static void
loop_turn(struct loop *loop)
{
    struct sock *yielded = loop->yielded;
    loop->yielded = NULL;
    loop->yielded_end = &loop->yielded;
    bool sleeps = !yielded && !loop_has_closed(loop);
    loop->ops->turn(loop, sleeps ? timer_next_ns(&loop->timers) : 0);
    loop_resume_yielded(loop, yielded);
}

void
loop_run(struct loop *loop, const struct loop_hooks *hooks)
{
    loop->hooks = *hooks;
    while (!loop->stop || loop->closing) {
        timer_run(&loop->timers, loop->now_ns);
        loop_finish_closing(loop);
        if (hooks->sleeps)
            hooks->sleeps(hooks->arg);
        if (!loop->stop || loop->closing)
            loop_turn(loop);
    }
    loop->stop = false;
}

void
loop_stop(struct loop *loop)
{
    loop->stop = true;
}

void
loop_post(struct loop *loop, struct loop_post *post)
{
    post->next = NULL;
    pthread_mutex_lock(&loop->post_lock);
    *loop->posts_end = post;
    loop->posts_end = &post->next;
    pthread_mutex_unlock(&loop->post_lock);
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

void
loop_run_posts(struct loop *loop)
{
    pthread_mutex_lock(&loop->post_lock);
    struct loop_post *post = loop->posts;
    loop->posts = NULL;
    loop->posts_end = &loop->posts;
    pthread_mutex_unlock(&loop->post_lock);
    while (post) {
        struct loop_post *next = post->next;
        post->run(post);
        post = next;
    }
}

/* Whether the congestion control of a TCP socket, which accepted ones inherit, paces: BBR in its
 * versions. False for other sockets. */
static bool
tcp_paces(int fd)
{
    char name[16] = ""; /* TCP_CA_NAME_MAX */
    socklen_t len = sizeof name;
    return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0 &&
           strncmp(name, "bbr", 3) == 0;
}

void
listener_start(struct loop *loop, struct listener *listener)
{
    listener->loop = loop;
    listener->wanted = true;
    loop->paces |= tcp_paces(listener->fd);
    if (!listener->armed)
        loop->ops->listener_start(listener);
}

void
listener_stop(struct listener *listener)
{
    listener->wanted = false;
    if (listener->armed)
        listener->loop->ops->listener_stop(listener);
}

void
sock_init(struct sock *sock, struct loop *loop, int fd, const struct sock_ops *ops)
{
    must(sock->in_flight == 0);
    *sock = (struct sock){
        .loop = loop, .ops = ops, .fd = fd, .generation = (uint16_t)(sock->generation + 1)};
}

int
sock_connect(struct sock *sock, const struct sockaddr *address, socklen_t len)
{
    must(!sock->send_pending && !sock->closing && !sock->recv_wanted);
    if (connect(sock->fd, address, len) == 0)
        return 0;
    if (errno != EINPROGRESS && errno != EINTR)
        return -errno;
    sock->connecting = sock->send_pending = true;
    sock->loop->ops->wait_writable(sock);
    return SOCK_PENDING;
}

ssize_t
loop_connect_result(struct sock *sock)
{
    int error = 0;
    socklen_t len = sizeof error;
    sock->connecting = false;
    if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return -errno;
    return -error;
}

void
sock_recv_start(struct sock *sock)
{
    if (sock->closing || sock->recv_wanted)
        return;
    sock->recv_wanted = true;
    sock->loop->ops->recv_start(sock);
}

void
sock_recv_stop(struct sock *sock)
{
    if (sock->closing || !sock->recv_wanted)
        return;
    sock->recv_wanted = false;
    sock->loop->ops->recv_stop(sock);
}

bool
sock_has_input(const struct sock *sock)
{
    char byte;
    return recv(sock->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

ssize_t
sock_send(struct sock *sock, const struct iovec *iov, unsigned iov_count)
{
    must(!sock->send_pending && !sock->closing && iov_count <= SOCK_IOV_MAX);
    return sock->loop->ops->send(sock, iov, iov_count);
}

ssize_t
sock_send_now(struct sock *sock, struct str bytes)
{
    must(!sock->send_pending && !sock->closing);
    ssize_t sent = send(sock->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    if (errno != EAGAIN && errno != EINTR)
        return -errno;
    sock->send_pending = true;
    sock->loop->ops->wait_writable(sock);
    return SOCK_PENDING;
}

void
sock_send_last(struct sock *sock, struct str bytes)
{
    if (!sock->send_pending && !sock->closing && bytes.len)
        (void)!send(sock->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
sock_yield(struct sock *sock)
{
    must(!sock->send_pending && !sock->closing);
    struct loop *loop = sock->loop;
    sock->send_pending = sock->yielded = true;
    sock->next_yielded = NULL;
    *loop->yielded_end = sock;
    loop->yielded_end = &sock->next_yielded;
}

void
sock_shutdown(struct sock *sock)
{
    if (!sock->closing)
        shutdown(sock->fd, SHUT_WR);
}

void
sock_close(struct sock *sock)
{
    if (sock->closing)
        return;
    struct loop *loop = sock->loop;
    sock->closing = true;
    sock->recv_wanted = false;
    loop->ops->cancel(sock);
    sock->queued = true;
    sock->next = loop->closing;
    loop->closing = sock;
}

void
sock_release(struct sock *sock)
{
    must(!sock->send_pending);
    if (sock->closing)
        return;
    sock->releasing = true;
    sock_close(sock);
}

void
sock_abort(struct sock *sock)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (sock->closing)
        return;
    setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    sock_close(sock);
}
