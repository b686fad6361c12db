#include "io/backend.h"

#include "base/limits.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sending without copying: files with sendfile, memory with vmsplice into a pipe and splice out of
 * it. io_uring has neither in a form that does not need a kernel thread, so both backends call them
 * directly and wait for room when the socket is full.
 *
 * The head goes out first. With a body that fits into the same segment it is held back for it
 * (MSG_MORE), and with a larger one too, up to a size from which that no longer pays. Where the
 * congestion control paces (BBR) a head before a large body goes in a packet of its own, because
 * the kernel would else hold back the first large segment with a timer, which is dearer than the
 * small packet (docs/design/profile.md).
 *
 * One pipe serves a whole loop. What the socket does not take at once is thrown away, by splicing
 * it to /dev/null, and lent anew when there is room: a thousand slow readers hold no pipe. Each
 * page that is lent in vain costs as much as one that goes out, so a sock remembers how much it
 * took and is lent twice that the next time.
 */

static ssize_t
wait_for_room(struct sock *sock)
{
    sock->send_pending = true;
    sock->loop->ops->wait_writable(sock);
    return SOCK_PENDING;
}

static bool
is_full(int code)
{
    return code == EAGAIN || code == EINTR;
}

/* Sends the head of `len` bytes to follow. Its length when all of it went out, else what
 * sock_send_file is to return. */
static ssize_t
send_head(struct sock *sock, struct str head, uint64_t len)
{
    if (head.len == 0)
        return 0;
    uint64_t join_max = sock->loop->paces ? LOOP_SEGMENT_LEN : LOOP_JOIN_MAX;
    int more = head.len + len <= join_max ? MSG_MORE : 0;
    ssize_t sent = send(sock->fd, head.ptr, head.len, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    if (sent < 0)
        return is_full(errno) ? wait_for_room(sock) : -errno;
    return sent;
}

ssize_t
sock_send_file(struct sock *sock, struct str head, int fd, uint64_t off, uint64_t len)
{
    must(!sock->send_pending && !sock->closing && len > 0);
    ssize_t head_sent = send_head(sock, head, len);
    if (head_sent != (ssize_t)head.len)
        return head_sent;
    off_t at = (off_t)off;
    ssize_t sent = sendfile(sock->fd, fd, &at, len);
    if (sent == 0)
        return -ENODATA;
    if (sent < 0 && !is_full(errno))
        return -errno;
    if (sent < 0)
        return head_sent ? head_sent : wait_for_room(sock);
    return head_sent + sent;
}

static void
pipe_close(struct loop_pipe *pipe)
{
    if (pipe->in > 0)
        close(pipe->in);
    if (pipe->out > 0)
        close(pipe->out);
    if (pipe->null > 0)
        close(pipe->null);
    *pipe = (struct loop_pipe){0};
}

void
loop_close_pipe(struct loop *loop)
{
    pipe_close(&loop->pipe);
}

/* False: the system does not let us; pages are copied from now on. */
static bool
pipe_open(struct loop *loop)
{
    struct loop_pipe *pipe = &loop->pipe;
    int fds[2];
    if (pipe->in > 0)
        return true;
    if (loop->no_splice)
        return false;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0) {
        pipe->out = fds[0];
        pipe->in = fds[1];
        pipe->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        /* A system that grants no larger pipe leaves the usual 64 KiB. */
        fcntl(pipe->in, F_SETPIPE_SZ, LOOP_PIPE_LEN);
        if (pipe->null > 0)
            return true;
    }
    loop->no_splice = true;
    pipe_close(pipe);
    return false;
}

/* Lends pages to the pipe; how many bytes, or 0 when the system does not let us. */
static size_t
pipe_fill(struct loop *loop, const char *pages, uint64_t len)
{
    struct iovec iov = {(void *)pages, len};
    if (!pipe_open(loop))
        return 0;
    ssize_t lent = vmsplice(loop->pipe.in, &iov, 1, SPLICE_F_NONBLOCK);
    if (lent > 0)
        return (size_t)lent;
    loop->no_splice = errno == EPERM || errno == ENOSYS || errno == EACCES;
    return 0;
}

static void
pipe_empty(struct loop *loop, size_t len)
{
    while (len) {
        ssize_t dropped = splice(loop->pipe.out, NULL, loop->pipe.null, NULL, len, SPLICE_F_MOVE);
        if (dropped <= 0) {
            /* A fresh one is as good as an emptied one. */
            pipe_close(&loop->pipe);
            return;
        }
        len -= (size_t)dropped;
    }
}

static void
learn_room(struct sock *sock, size_t taken, size_t lent)
{
    if (taken == 0)
        return; /* it was full: that says nothing about how much it takes when it is not */
    uint64_t next = 2 * (uint64_t)taken;
    if (next < LOOP_LEND_MIN)
        next = LOOP_LEND_MIN;
    if (taken < lent || sock->lend_len)
        sock->lend_len = next < LOOP_PIPE_LEN ? (uint32_t)next : 0;
}

ssize_t
sock_send_pages(struct sock *sock, struct str head, const char *pages, uint64_t len)
{
    must(!sock->send_pending && !sock->closing && len > 0);
    struct loop *loop = sock->loop;
    uint64_t lend_len = sock->lend_len ? sock->lend_len : LOOP_PIPE_LEN;
    size_t lent = pipe_fill(loop, pages, len < lend_len ? len : lend_len);
    if (lent == 0) {
        struct iovec iov[2] = {{(void *)head.ptr, head.len}, {(void *)pages, len}};
        unsigned first = head.len ? 0 : 1;
        return loop->ops->send(sock, iov + first, 2 - first);
    }
    ssize_t head_sent = send_head(sock, head, len);
    if (head_sent != (ssize_t)head.len) {
        pipe_empty(loop, lent);
        return head_sent;
    }
    ssize_t sent =
        splice(loop->pipe.out, NULL, sock->fd, NULL, lent, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    int code = errno;
    size_t taken = sent > 0 ? (size_t)sent : 0;
    if (taken != lent)
        pipe_empty(loop, lent - taken);
    learn_room(sock, taken, lent);
    if (sent < 0 && !is_full(code))
        return -code;
    if (sent < 0)
        return head_sent ? head_sent : wait_for_room(sock);
    return head_sent + sent;
}
