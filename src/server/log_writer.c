#include "server/log_writer.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* The writer sleeps on an eventfd only after it has said so in `sleeping` and looked at all rings
 * once more; a worker that finds `sleeping` set wakes it. While there is work the writer pauses
 * between rounds instead, so that lines come in batches and workers never need the system call. */

enum { WRITER_PAUSE_NS = 2000000, WRITER_STOP_MS = 1000 };

struct log_ring {
    struct log_writer *writer;
    struct log_ring *next;
    _Alignas(64) _Atomic size_t head; /* bytes ever put */
    size_t seen_tail;                 /* the producer's last look at tail */
    bool dirty;
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic size_t tail; /* bytes ever taken */
    char data[LOG_RING_LEN];
};

struct log_writer {
    pthread_t thread;
    struct log_ring *rings;
    const char *path;
    _Atomic int fd;
    int wake_fd;
    bool owns_fd;
    _Atomic bool sleeping;
    _Atomic bool stop;
    _Atomic bool stopped;
    _Atomic uint64_t lost; /* bytes that could not be written */
};

static void
write_all(struct log_writer *writer, const char *data, size_t len)
{
    while (len) {
        ssize_t written = write(atomic_load(&writer->fd), data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            atomic_fetch_add(&writer->lost, 1);
            return;
        }
        data += written;
        len -= (size_t)written;
    }
}

static bool
drain_ring(struct log_writer *writer, struct log_ring *ring)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (head == tail)
        return false;
    while (tail != head) {
        size_t at = tail % LOG_RING_LEN;
        size_t len = head - tail < LOG_RING_LEN - at ? head - tail : LOG_RING_LEN - at;
        write_all(writer, ring->data + at, len);
        tail += len;
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
    return true;
}

static bool
drain_all(struct log_writer *writer)
{
    bool any = false;
    for (struct log_ring *ring = __atomic_load_n(&writer->rings, __ATOMIC_ACQUIRE); ring;
         ring = ring->next)
        any |= drain_ring(writer, ring);
    return any;
}

static void *
writer_main(void *arg)
{
    struct log_writer *writer = arg;
    const struct timespec pause = {.tv_nsec = WRITER_PAUSE_NS};
    uint64_t ignored;
    for (;;) {
        if (drain_all(writer)) {
            nanosleep(&pause, NULL);
            continue;
        }
        if (atomic_load(&writer->stop))
            break;
        atomic_store(&writer->sleeping, true);
        if (!drain_all(writer) && !atomic_load(&writer->stop) &&
            read(writer->wake_fd, &ignored, sizeof ignored) < 0 && errno != EINTR)
            break;
        atomic_store(&writer->sleeping, false);
    }
    atomic_store(&writer->stopped, true);
    return NULL;
}

static void
writer_wake(struct log_writer *writer)
{
    uint64_t one = 1;
    while (write(writer->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

int
log_writer_new(struct log_writer **out, const char *path, int fd, struct error *error)
{
    struct log_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return error_set(error, "no memory for the log");
    writer->path = path;
    writer->owns_fd = path != NULL;
    writer->fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : fd;
    writer->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (writer->fd < 0 || writer->wake_fd < 0) {
        error_set_errno(error, errno, "cannot open the log %s", path ? path : "");
        goto fail;
    }
    int code = pthread_create(&writer->thread, NULL, writer_main, writer);
    if (code != 0) {
        error_set_errno(error, code, "cannot start the log writer");
        goto fail;
    }
    *out = writer;
    return 0;
fail:
    if (writer->owns_fd && writer->fd >= 0)
        close(writer->fd);
    if (writer->wake_fd >= 0)
        close(writer->wake_fd);
    free(writer);
    return -1;
}

struct log_ring *
log_writer_add_ring(struct log_writer *writer)
{
    struct log_ring *ring = aligned_alloc(64, sizeof *ring);
    if (!ring)
        return NULL;
    memset(ring, 0, offsetof(struct log_ring, data));
    ring->writer = writer;
    ring->next = writer->rings;
    /* The thread may be looking at the list: it sees either the old head or a finished ring. */
    __atomic_store_n(&writer->rings, ring, __ATOMIC_RELEASE);
    return ring;
}

int
log_writer_reopen(struct log_writer *writer, struct error *error)
{
    if (!writer->owns_fd)
        return 0;
    int fd = open(writer->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot open the log %s", writer->path);
    /* The number stays the same, so a write in progress ends in the one file or the other. */
    int result = 0;
    if (dup3(fd, atomic_load(&writer->fd), O_CLOEXEC) < 0)
        result = error_set_errno(error, errno, "cannot open the log %s", writer->path);
    close(fd);
    return result;
}

uint64_t
log_writer_dropped(const struct log_writer *writer)
{
    uint64_t total = atomic_load(&writer->lost);
    for (const struct log_ring *ring = writer->rings; ring; ring = ring->next)
        total += atomic_load(&ring->dropped);
    return total;
}

bool
log_writer_stop(struct log_writer *writer)
{
    const struct timespec step = {.tv_nsec = 1000000};
    atomic_store(&writer->stop, true);
    writer_wake(writer);
    for (int i = 0; i < WRITER_STOP_MS && !atomic_load(&writer->stopped); i++)
        nanosleep(&step, NULL);
    return atomic_load(&writer->stopped);
}

void
log_writer_free(struct log_writer *writer)
{
    if (!writer)
        return;
    if (!log_writer_stop(writer)) {
        /* It hangs in a write that may never end. The process is about to: its memory stays. */
        pthread_detach(writer->thread);
        return;
    }
    pthread_join(writer->thread, NULL);
    while (writer->rings) {
        struct log_ring *ring = writer->rings;
        writer->rings = ring->next;
        free(ring);
    }
    if (writer->owns_fd)
        close(writer->fd);
    close(writer->wake_fd);
    free(writer);
}

bool
log_ring_put(struct log_ring *ring, struct str line)
{
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (line.len > LOG_RING_LEN - (head - ring->seen_tail)) {
        ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (line.len > LOG_RING_LEN - (head - ring->seen_tail)) {
            atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
            return false;
        }
    }
    size_t at = head % LOG_RING_LEN;
    size_t first = line.len < LOG_RING_LEN - at ? line.len : LOG_RING_LEN - at;
    memcpy(ring->data + at, line.ptr, first);
    memcpy(ring->data, line.ptr + first, line.len - first);
    atomic_store_explicit(&ring->head, head + line.len, memory_order_release);
    ring->dirty = true;
    return true;
}

void
log_ring_flush(struct log_ring *ring)
{
    if (!ring->dirty)
        return;
    ring->dirty = false;
    /* seq_cst on both sides: either the writer sees the new head, or this sees that it sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&ring->writer->sleeping))
        writer_wake(ring->writer);
}
