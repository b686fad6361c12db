/* loop: one completion-shaped event loop a thread, with an io_uring and an epoll backend.
 *
 * Everything a worker waits for goes through here: new connections, bytes in, room for bytes out,
 * deadlines, and posts from other threads. The interface is shaped by completions because io_uring
 * gives those and epoll can emulate them, not the other way round. The mechanism is explained in
 * docs/design/loop.md.
 *
 * Thread rule: a loop is made and run on one thread, and freed when that has ended; only loop_post
 * may be called from others. Callbacks: never run before the call that caused them returns.
 * `closed` comes last, once, when the kernel holds nothing of the sock. Memory: the loop owns its
 * receive buffers; received bytes are borrowed until the callback returns. What is sent is lent to
 * the kernel until `sent` is called, or the call returned a count. Bounds: LOOP_* in base/limits.h.
 */
#ifndef TARN_IO_LOOP_H
#define TARN_IO_LOOP_H

#include "base/error.h"
#include "base/str.h"
#include "io/timer.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct loop;

enum loop_backend { LOOP_AUTO, LOOP_URING, LOOP_EPOLL };

/* Makes a loop. LOOP_AUTO tries io_uring and falls back to epoll; *error then says why, or is
 * empty. With LOOP_URING a system that forbids or lacks it is a failure (-1, *error). */
int loop_new(struct loop **out, enum loop_backend backend, struct error *error) MUST_USE;
void loop_free(struct loop *loop);
const char *loop_name(const struct loop *loop); /* "io_uring" or "epoll" */

/* What the owner of a loop wants to do in each turn. Either may be NULL. */
struct loop_hooks {
    void (*woke)(void *arg);   /* the clock has been sampled, events follow */
    void (*sleeps)(void *arg); /* all events have been delivered */
    void *arg;
};

/* Runs turns until loop_stop and every closed sock is gone; may be called again after that. */
void loop_run(struct loop *loop, const struct loop_hooks *hooks);
void loop_stop(struct loop *loop);

/* The monotonic clock, sampled once a turn. */
uint64_t loop_now_ns(const struct loop *loop);
/* The same clock, read now. */
uint64_t loop_clock_ns(void);
struct timer_heap *loop_timers(struct loop *loop);

/* Runs post->run(post) on the loop's thread, soon. Any thread; the post is borrowed until it runs.
 * Never blocks. */
struct loop_post {
    void (*run)(struct loop_post *post);
    struct loop_post *next;
};
void loop_post(struct loop *loop, struct loop_post *post);

/* A listening socket. The descriptor is borrowed (several loops may listen on one), must be
 * non-blocking, and outlives the listener. */
struct listener {
    int fd;
    bool shared; /* other loops accept from the same descriptor */
    void (*accepted)(struct listener *listener, int fd); /* takes the new descriptor */
    void (*failed)(
        struct listener *listener,
        int error); /* accepting stopped: EMFILE and the like; call listener_start again later */
    /* for the backends */
    struct loop *loop;
    bool wanted, armed;
};

void listener_start(struct loop *loop, struct listener *listener);
/* No `accepted` comes after this but those for connections the kernel had already handed over,
 * before the next turn ends. */
void listener_stop(struct listener *listener);

/* A connected stream socket. */
struct sock;
struct sock_ops {
    /* len > 0: bytes, borrowed until return; 0: the peer has ended its side; < 0: -errno. After 0
     * or less no more comes. */
    void (*received)(struct sock *sock, const char *data, ssize_t len);
    /* After a call that returned SOCK_PENDING. result >= 0: that many bytes went out, maybe 0, and
     * there is room for more; < 0: -errno. */
    void (*sent)(struct sock *sock, ssize_t result);
    /* After sock_close: the memory is the owner's again. */
    void (*closed)(struct sock *sock);
};

struct sock {
    struct loop *loop;
    const struct sock_ops *ops;
    struct sock *next; /* in the loop's list of socks to close, or to receive from again */
    struct sock *next_yielded;
    int fd;
    uint16_t generation; /* counts the uses of this memory: tells a completion of an earlier one */
    uint8_t in_flight;   /* operations the kernel holds */
    uint32_t lend_len;   /* of pages, next time; 0: as many as the pipe takes */
    bool recv_wanted, recv_armed, send_pending, closing, queued, yielded;
    bool connecting, releasing;
    bool readable, hangup; /* epoll: what the last edges said */
};

enum { SOCK_PENDING = -4096 }; /* outside the range of -errno */

/* Takes fd. The memory must be zero the first time, and keeps its generation afterwards. */
void sock_init(struct sock *sock, struct loop *loop, int fd, const struct sock_ops *ops);

/* Connects a sock that was made with a fresh non-blocking socket. 0: connected; SOCK_PENDING:
 * `sent` will tell, with 0 when it is connected, or with -errno; else -errno at once. The address
 * is read before the call returns. Nothing else but closing until it is connected; after a failure
 * the sock can only be closed. How long to wait is the owner's to decide. */
int sock_connect(struct sock *sock, const struct sockaddr *address, socklen_t len) MUST_USE;

/* Receives until stopped, ended or closed. Stopping is not sharp: bytes the kernel had already
 * handed over may still come. */
void sock_recv_start(struct sock *sock);
void sock_recv_stop(struct sock *sock);

/* Whether bytes, or the peer's end, wait in the socket: a system call. */
bool sock_has_input(const struct sock *sock);

/* Sends, one at a time: a count (maybe short) when it is done at once, SOCK_PENDING when `sent`
 * will tell, or -errno. iov_count at most SOCK_IOV_MAX; the iov array itself is read before the
 * call returns, the bytes are lent. */
enum { SOCK_IOV_MAX = 8 };
ssize_t sock_send(struct sock *sock, const struct iovec *iov, unsigned iov_count) MUST_USE;

/* The same, but tried at once on every backend: for bytes whose memory is wanted back soon. */
ssize_t sock_send_now(struct sock *sock, struct str bytes) MUST_USE;
/* Sends what can go out at once, and forgets the rest. Also while a send is pending: then nothing.
 */
void sock_send_last(struct sock *sock, struct str bytes);

/* Sends `head` (may be empty) and then len > 0 bytes of a file from off on, without copying them.
 * Results as sock_send, counted over both. A file that ends early gives -ENODATA. */
ssize_t sock_send_file(struct sock *sock, struct str head, int fd, uint64_t off,
                       uint64_t len) MUST_USE;

/* Sends `head` (may be empty) and then len > 0 bytes of memory, without copying those: the network
 * keeps references to their pages, so they must never change again, though they may be unmapped.
 * Results as sock_send. */
ssize_t sock_send_pages(struct sock *sock, struct str head, const char *pages,
                        uint64_t len) MUST_USE;

/* Gives the other socks their turn before this one sends more: `sent` comes with 0 in the next
 * turn, as after SOCK_PENDING. */
void sock_yield(struct sock *sock);

/* Ends our side of the stream; receiving goes on. */
void sock_shutdown(struct sock *sock);

/* Ends everything. No `received` or `sent` after this; `closed` at the end of a turn. */
void sock_close(struct sock *sock);
/* The same, with a reset instead of an orderly end: the peer must not take what it has for the
 * whole. */
void sock_abort(struct sock *sock);
/* Lets go of the descriptor without ending anything, so that another sock can take it. Nothing may
 * be pending of sends. Unlike after sock_close, what was already received still comes; then
 * `closed`, in which sock->fd is the owner's. */
void sock_release(struct sock *sock);

#endif
