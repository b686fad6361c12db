#include "io/backend.h"

#include "base/limits.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sending without copying: files with sendfile, memory with vmsplice into a pipe and splice out of
 * it. io_uring has neither in a form that does not need a kernel thread, so both backends call them
 * directly and wait for room when the socket is full.
 *
 * The head goes out first, in a packet of its own. Holding it back (MSG_MORE) to join it to the
 * body was measured and costs more: under BBR the kernel then paces the first large segment with a
 * timer, which is dearer than the small packet (docs/design/profile.md).
 *
 * What the socket does not take at once stays in the pipe, and the pipe with its sock, until there
 * is room: that is why a short count must be followed by a call for the rest of the same bytes.
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

/* Sends the head. Its length when all of it went out, else what sock_send_file is to return. */
static ssize_t
send_head(struct sock *sock, struct str head)
{
    if (head.len == 0)
        return 0;
    ssize_t sent = send(sock->fd, head.ptr, head.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return is_full(errno) ? wait_for_room(sock) : -errno;
    return sent;
}

ssize_t
sock_send_file(struct sock *sock, struct str head, int fd, uint64_t off, uint64_t len)
{
    must(!sock->send_pending && !sock->closing && len > 0);
    ssize_t head_sent = send_head(sock, head);
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

static struct loop_pipe *
pipe_acquire(struct loop *loop)
{
    struct loop_pipe *pipe = loop->pipes;
    if (pipe) {
        loop->pipes = pipe->next;
        loop->pipe_count--;
        return pipe;
    }
    int fds[2];
    pipe = calloc(1, sizeof *pipe);
    if (!pipe || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        free(pipe);
        return NULL;
    }
    pipe->out = fds[0];
    pipe->in = fds[1];
    /* A system that grants no larger pipe leaves the usual 64 KiB. */
    fcntl(pipe->in, F_SETPIPE_SZ, LOOP_PIPE_LEN);
    return pipe;
}

static void
pipe_free(struct loop_pipe *pipe)
{
    close(pipe->in);
    close(pipe->out);
    free(pipe);
}

static void
pipe_release(struct loop *loop, struct loop_pipe *pipe)
{
    if (pipe->len || loop->pipe_count == LOOP_PIPES_KEPT) {
        pipe_free(pipe);
        return;
    }
    pipe->next = loop->pipes;
    loop->pipes = pipe;
    loop->pipe_count++;
}

void
sock_drop_pipe(struct sock *sock)
{
    if (sock->pipe)
        pipe_release(sock->loop, sock->pipe);
    sock->pipe = NULL;
}

void
loop_free_pipes(struct loop *loop)
{
    while (loop->pipes) {
        struct loop_pipe *pipe = loop->pipes;
        loop->pipes = pipe->next;
        pipe_free(pipe);
    }
}

/* Fills an empty pipe. False: the system does not let us. */
static bool
pipe_fill(struct loop_pipe *pipe, const char *pages, uint64_t len)
{
    struct iovec iov = {(void *)pages, len < LOOP_PIPE_LEN ? len : LOOP_PIPE_LEN};
    ssize_t lent = vmsplice(pipe->in, &iov, 1, SPLICE_F_NONBLOCK);
    if (lent <= 0)
        return false;
    pipe->len = (uint32_t)lent;
    return true;
}

/* A filled pipe for the sock. False: without one; the bytes have to be copied. */
static bool
sock_take_pipe(struct sock *sock, const char *pages, uint64_t len)
{
    struct loop *loop = sock->loop;
    struct loop_pipe *pipe = loop->no_splice ? NULL : pipe_acquire(loop);
    if (!pipe)
        return false;
    if (!pipe_fill(pipe, pages, len)) {
        loop->no_splice = errno == EPERM || errno == ENOSYS || errno == EACCES;
        pipe_free(pipe);
        return false;
    }
    sock->pipe = pipe;
    return true;
}

ssize_t
sock_send_pages(struct sock *sock, struct str head, const char *pages, uint64_t len)
{
    must(!sock->send_pending && !sock->closing && len > 0);
    if (!sock->pipe && !sock_take_pipe(sock, pages, len)) {
        struct iovec iov[2] = {{(void *)head.ptr, head.len}, {(void *)pages, len}};
        unsigned first = head.len ? 0 : 1;
        return sock->loop->ops->send(sock, iov + first, 2 - first);
    }
    ssize_t head_sent = send_head(sock, head);
    if (head_sent != (ssize_t)head.len)
        return head_sent;
    ssize_t sent = splice(sock->pipe->out, NULL, sock->fd, NULL, sock->pipe->len,
                          SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (sent < 0 && !is_full(errno))
        return -errno;
    if (sent < 0)
        return head_sent ? head_sent : wait_for_room(sock);
    sock->pipe->len -= (uint32_t)sent;
    if (sock->pipe->len == 0)
        sock_drop_pipe(sock);
    return head_sent + sent;
}
