/* backend: what the two implementations of the loop provide, and the state they share. For src/io
 * only. */
#ifndef TARN_IO_BACKEND_H
#define TARN_IO_BACKEND_H

#include "io/loop.h"

#include <pthread.h>

struct loop_backend_ops {
    const char *name;
    /* Waits for events until the deadline (UINT64_MAX: for ever, 0: not at all), samples the clock,
     * delivers them. */
    void (*turn)(struct loop *loop, uint64_t deadline_ns);
    void (*free)(struct loop *loop);
    void (*listener_start)(struct listener *listener);
    void (*listener_stop)(struct listener *listener);
    void (*recv_start)(struct sock *sock);
    void (*recv_stop)(struct sock *sock);
    ssize_t (*send)(struct sock *sock, const struct iovec *iov, unsigned iov_count);
    /* Arranges that `sent(sock, 0)` is called once there is room. */
    void (*wait_writable)(struct sock *sock);
    /* Makes the kernel give back what it holds; sock->in_flight becomes 0 by completions. */
    void (*cancel)(struct sock *sock);
};

/* From pages to sockets (splice.c). All zero: not open. */
struct loop_pipe {
    int in, out;
    int null; /* /dev/null */
};

struct loop {
    const struct loop_backend_ops *ops;
    uint64_t now_ns;
    struct timer_heap timers;
    struct loop_hooks hooks;
    struct sock *closing; /* socks to close when nothing of them is in flight */
    struct sock *yielded, **yielded_end;
    struct loop_pipe pipe;
    bool paces;     /* a listener of it has a congestion control that spaces segments by timers */
    bool no_splice; /* the system forbids it: pages are copied */
    int wake_fd;    /* eventfd: posts wake the loop */
    bool stop;
    /* Posts come from any thread: guarded by the lock, taken once a post and once a wake-up. */
    pthread_mutex_t post_lock;
    struct loop_post *posts, **posts_end;
};

void loop_init(struct loop *loop, const struct loop_backend_ops *ops, int wake_fd);
void loop_deinit(struct loop *loop);
/* A backend's turn calls it when the wait is over, before it delivers anything. */
void loop_woke(struct loop *loop);
/* Runs what was posted; called by a backend when wake_fd is readable. */
void loop_run_posts(struct loop *loop);

/* A connecting sock is writable: how it went, for `sent`. */
ssize_t loop_connect_result(struct sock *sock);

void loop_close_pipe(struct loop *loop);

int loop_uring_new(struct loop **out, struct error *error) MUST_USE;
int loop_epoll_new(struct loop **out, struct error *error) MUST_USE;

#endif
