#include "io/backend.h"

#include "base/limits.h"
#include "base/must.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The io_uring backend. One ring a thread, submitted and waited for in one system call a turn.
 *
 * Receives are multishot and pick from one ring of buffers, so an idle connection holds none. When
 * the ring is empty (more sockets ready in one turn than buffers) the kernel ends the multishot
 * with ENOBUFS; such a sock is armed again at the end of the turn, when the buffers are back.
 *
 * User data is the sock's address with the operation in the low 3 bits and the sock's generation in
 * the high 16: a user-space address has 47 bits. A sock is not reused before its last completion
 * (in_flight counts them), so a generation that does not match is our bug, never an event of the
 * network.
 */

enum uring_op { OP_NONE, OP_ACCEPT, OP_RECV, OP_SEND, OP_POLL, OP_WAKE };
enum { OP_MASK = 7, GENERATION_SHIFT = 48 };

enum { BUFFER_GROUP = 0 };

/* Message headers of the sends that are queued but not yet submitted: the kernel reads them while
 * it submits. */
struct uring_message {
    struct msghdr header;
    struct iovec iov[SOCK_IOV_MAX];
};

struct uring_loop {
    struct loop base;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    char *buffer_memory;
    size_t buffers_len; /* of the mapping that holds both */
    struct sock *rearm;
    unsigned message_count;
    struct uring_message messages[LOOP_URING_MESSAGES];
};

static struct uring_loop *
uring_of(struct loop *loop)
{
    return (struct uring_loop *)loop;
}

static void
uring_submit(struct uring_loop *loop)
{
    int result = io_uring_submit(&loop->ring);
    must(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
    loop->message_count = 0;
}

static struct io_uring_sqe *
uring_sqe(struct uring_loop *loop)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
    while (!sqe) {
        uring_submit(loop);
        sqe = io_uring_get_sqe(&loop->ring);
    }
    return sqe;
}

static void
uring_tag(struct io_uring_sqe *sqe, void *owner, enum uring_op op, uint16_t generation)
{
    sqe->user_data = (uint64_t)(uintptr_t)owner | op | (uint64_t)generation << GENERATION_SHIFT;
}

static void
uring_listener_start(struct listener *listener)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(listener->loop));
    io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uring_tag(sqe, listener, OP_ACCEPT, 0);
    listener->armed = true;
}

static void
uring_listener_stop(struct listener *listener)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(listener->loop));
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)listener | OP_ACCEPT, 0);
    uring_tag(sqe, NULL, OP_NONE, 0);
}

static void
uring_accepted(struct listener *listener, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        listener->armed = false;
    if (cqe->res >= 0) {
        listener->accepted(listener, cqe->res);
    } else if (listener->wanted && cqe->res != -ECONNABORTED && cqe->res != -EPROTO &&
               cqe->res != -EINTR && cqe->res != -EAGAIN && cqe->res != -ECANCELED) {
        listener->failed(listener, -cqe->res);
        return;
    }
    if (listener->wanted && !listener->armed)
        uring_listener_start(listener);
}

static void
uring_recv_arm(struct sock *sock)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(sock->loop));
    io_uring_prep_recv_multishot(sqe, sock->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    uring_tag(sqe, sock, OP_RECV, sock->generation);
    sock->recv_armed = true;
    sock->in_flight++;
}

static void
uring_recv_start(struct sock *sock)
{
    if (!sock->recv_armed)
        uring_recv_arm(sock);
}

static void
uring_cancel_op(struct sock *sock, enum uring_op op)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(sock->loop));
    uint64_t generation = (uint64_t)sock->generation << GENERATION_SHIFT;
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)sock | op | generation, 0);
    uring_tag(sqe, NULL, OP_NONE, 0);
}

static void
uring_recv_stop(struct sock *sock)
{
    if (sock->recv_armed)
        uring_cancel_op(sock, OP_RECV);
}

static void
uring_buffer_return(struct uring_loop *loop, unsigned id)
{
    io_uring_buf_ring_add(loop->buffers, loop->buffer_memory + (size_t)id * LOOP_URING_BUFFER_LEN,
                          LOOP_URING_BUFFER_LEN, (unsigned short)id,
                          io_uring_buf_ring_mask(LOOP_URING_BUFFERS), 0);
    io_uring_buf_ring_advance(loop->buffers, 1);
}

static void
uring_received(struct uring_loop *loop, struct sock *sock, const struct io_uring_cqe *cqe)
{
    const char *data = NULL;
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    ssize_t len = cqe->res;
    if (cqe->flags & IORING_CQE_F_BUFFER)
        data = loop->buffer_memory + (size_t)id * LOOP_URING_BUFFER_LEN;
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        sock->recv_armed = false;
        sock->in_flight--;
    }
    bool again = len == -ENOBUFS || len == -EINTR || len == -ECANCELED || len == -EAGAIN;
    if (len > 0 || !again) {
        /* Bytes that were already on their way when the owner stopped or closed: a stopped owner
         * still takes them. */
        if (len <= 0)
            sock->recv_wanted = false;
        if (!sock->closing || sock->releasing)
            sock->ops->received(sock, data, len);
    }
    if (data)
        uring_buffer_return(loop, id);
    if (sock->recv_wanted && !sock->recv_armed && !sock->queued) {
        sock->queued = true;
        sock->next = loop->rearm;
        loop->rearm = sock;
    }
}

static void
uring_rearm(struct uring_loop *loop)
{
    while (loop->rearm) {
        struct sock *sock = loop->rearm;
        loop->rearm = sock->next;
        sock->queued = false;
        if (sock->recv_wanted && !sock->recv_armed)
            uring_recv_arm(sock);
    }
}

static ssize_t
uring_send(struct sock *sock, const struct iovec *iov, unsigned iov_count)
{
    struct uring_loop *loop = uring_of(sock->loop);
    struct io_uring_sqe *sqe = uring_sqe(loop);
    if (iov_count == 1) {
        io_uring_prep_send(sqe, sock->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    } else {
        if (loop->message_count == LOOP_URING_MESSAGES) {
            /* The entry just taken must not go out half made. */
            io_uring_prep_nop(sqe);
            uring_tag(sqe, NULL, OP_NONE, 0);
            uring_submit(loop);
            sqe = uring_sqe(loop);
        }
        struct uring_message *message = &loop->messages[loop->message_count++];
        memcpy(message->iov, iov, iov_count * sizeof *iov);
        message->header = (struct msghdr){.msg_iov = message->iov, .msg_iovlen = iov_count};
        io_uring_prep_sendmsg(sqe, sock->fd, &message->header, MSG_NOSIGNAL);
    }
    uring_tag(sqe, sock, OP_SEND, sock->generation);
    sock->in_flight++;
    sock->send_pending = true;
    return SOCK_PENDING;
}

static void
uring_wait_writable(struct sock *sock)
{
    struct io_uring_sqe *sqe = uring_sqe(uring_of(sock->loop));
    io_uring_prep_poll_add(sqe, sock->fd, POLLOUT);
    uring_tag(sqe, sock, OP_POLL, sock->generation);
    sock->in_flight++;
}

static void
uring_sent(struct sock *sock, ssize_t result)
{
    sock->in_flight--;
    sock->send_pending = false;
    if (!sock->closing)
        sock->ops->sent(sock, result == -EINTR || result == -EAGAIN ? 0 : result);
}

static void
uring_writable(struct sock *sock, int result)
{
    if (result >= 0)
        result = sock->connecting ? (int)loop_connect_result(sock) : 0;
    uring_sent(sock, result);
}

static void
uring_cancel(struct sock *sock)
{
    struct uring_loop *loop = uring_of(sock->loop);
    if (sock->queued)
        for (struct sock **link = &loop->rearm; *link; link = &(*link)->next)
            if (*link == sock) {
                *link = sock->next;
                break;
            }
    sock->queued = false;
    if (!sock->in_flight)
        return;
    struct io_uring_sqe *sqe = uring_sqe(loop);
    io_uring_prep_cancel_fd(sqe, sock->fd, IORING_ASYNC_CANCEL_ALL);
    uring_tag(sqe, NULL, OP_NONE, 0);
}

static void
uring_wake_arm(struct uring_loop *loop)
{
    struct io_uring_sqe *sqe = uring_sqe(loop);
    io_uring_prep_poll_multishot(sqe, loop->base.wake_fd, POLLIN);
    uring_tag(sqe, NULL, OP_WAKE, 0);
}

static void
uring_wake(struct uring_loop *loop, const struct io_uring_cqe *cqe)
{
    uint64_t ignored;
    if (read(loop->base.wake_fd, &ignored, sizeof ignored) > 0)
        loop_run_posts(&loop->base);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        uring_wake_arm(loop);
}

static void
uring_complete(struct uring_loop *loop, const struct io_uring_cqe *cqe)
{
    uint64_t address =
        cqe->user_data & (((uint64_t)1 << GENERATION_SHIFT) - 1) & ~(uint64_t)OP_MASK;
    struct sock *sock = (struct sock *)(uintptr_t)address;
    enum uring_op op = cqe->user_data & OP_MASK;
    if (op == OP_RECV || op == OP_SEND || op == OP_POLL)
        must(sock->generation == cqe->user_data >> GENERATION_SHIFT && sock->in_flight);
    switch (op) {
    case OP_RECV:
        uring_received(loop, sock, cqe);
        break;
    case OP_SEND:
        uring_sent(sock, cqe->res);
        break;
    case OP_POLL:
        uring_writable(sock, cqe->res);
        break;
    case OP_ACCEPT:
        uring_accepted((struct listener *)(uintptr_t)address, cqe);
        break;
    case OP_WAKE:
        uring_wake(loop, cqe);
        break;
    case OP_NONE:
        break;
    }
}

static void
uring_wait(struct uring_loop *loop, uint64_t deadline_ns)
{
    struct loop *base = &loop->base;
    struct io_uring_cqe *cqe;
    struct __kernel_timespec timeout = {0};
    if (deadline_ns > base->now_ns) {
        uint64_t wait_ns = deadline_ns - base->now_ns;
        timeout.tv_sec = (long long)(wait_ns / 1000000000u);
        timeout.tv_nsec = (long long)(wait_ns % 1000000000u);
    }
    int result = io_uring_submit_and_wait_timeout(
        &loop->ring, &cqe, 1, deadline_ns == UINT64_MAX ? NULL : &timeout, NULL);
    must(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
         result == -EAGAIN);
    loop->message_count = 0;
}

static void
uring_turn(struct loop *base, uint64_t deadline_ns)
{
    struct uring_loop *loop = uring_of(base);
    uring_wait(loop, deadline_ns);
    loop_woke(base);
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&loop->ring, head, cqe)
    {
        uring_complete(loop, cqe);
        count++;
    }
    io_uring_cq_advance(&loop->ring, count);
    uring_rearm(loop);
}

static void
uring_free(struct loop *base)
{
    struct uring_loop *loop = uring_of(base);
    io_uring_queue_exit(&loop->ring);
    munmap(loop->buffers, loop->buffers_len);
    loop_deinit(base);
    free(loop);
}

static const struct loop_backend_ops uring_ops = {
    .name = "io_uring",
    .turn = uring_turn,
    .free = uring_free,
    .listener_start = uring_listener_start,
    .listener_stop = uring_listener_stop,
    .recv_start = uring_recv_start,
    .recv_stop = uring_recv_stop,
    .send = uring_send,
    .wait_writable = uring_wait_writable,
    .cancel = uring_cancel,
};

static int
uring_setup_buffers(struct uring_loop *loop)
{
    size_t ring_len = LOOP_URING_BUFFERS * sizeof(struct io_uring_buf);
    loop->buffers_len = ring_len + (size_t)LOOP_URING_BUFFERS * LOOP_URING_BUFFER_LEN;
    void *memory =
        mmap(NULL, loop->buffers_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    loop->buffers = memory;
    loop->buffer_memory = (char *)memory + ring_len;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)memory, .ring_entries = LOOP_URING_BUFFERS, .bgid = BUFFER_GROUP};
    int result = io_uring_register_buf_ring(&loop->ring, &reg, 0);
    if (result < 0) {
        munmap(memory, loop->buffers_len);
        return result;
    }
    io_uring_buf_ring_init(loop->buffers);
    for (unsigned id = 0; id < LOOP_URING_BUFFERS; id++)
        uring_buffer_return(loop, id);
    return 0;
}

int
loop_uring_new(struct loop **out, struct error *error)
{
    struct uring_loop *loop = calloc(1, sizeof *loop);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP |
                                              IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
                                     .cq_entries = LOOP_URING_COMPLETIONS};
    if (!loop || wake_fd < 0) {
        error_set(error, "no memory or descriptor for an event loop");
        goto out_wake;
    }
    int result = io_uring_queue_init_params(LOOP_URING_ENTRIES, &loop->ring, &params);
    if (result < 0) {
        error_set_errno(error, -result, "io_uring is not available%s",
                        result == -EINVAL ? " (it needs Linux 6.1)" : "");
        goto out_wake;
    }
    result = uring_setup_buffers(loop);
    if (result < 0) {
        error_set_errno(error, -result, "io_uring has no buffer rings");
        io_uring_queue_exit(&loop->ring);
        goto out_wake;
    }
    loop_init(&loop->base, &uring_ops, wake_fd);
    uring_wake_arm(loop);
    *out = &loop->base;
    return 0;
out_wake:
    if (wake_fd >= 0)
        close(wake_fd);
    free(loop);
    return -1;
}
