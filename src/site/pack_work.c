/* Threads take items from one queue, the largest first so that no large one is left to run alone
 * at the end. What a variant's bytes are does not depend on who made it, and its place in the spill
 * file does not show in the result, so the order of work never does either.
 */
#include "site/pack_internal.h"

#include "site/compress.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 256, ARENA_BLOCK_LEN = 64 << 10 };

struct queue {
    struct pack_item *items;
    const struct pack_item **order; /* heap: items, largest first */
    size_t count;
    int spill_fd;
    atomic_size_t next;
    _Atomic uint64_t spill_len;
    _Atomic uint64_t done_len, done_count;
    _Atomic(const struct pack_item *) current;
    atomic_bool failed;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t ended;
    unsigned running;
    struct error *error; /* the first failure */
};

static int
hash_in_pieces(const struct member *member, struct content_hash *hash, struct error *error)
{
    int fd, result = 0;
    bool owned;
    struct str name = str_first(member->path, PACK_NAME_SHOWN);
    if (member_open(member, &fd, &owned, error) < 0)
        return -1;
    char *piece = malloc(PACK_PIECE_LEN);
    struct content_hasher *hasher = content_hasher_new();
    if (!piece || !hasher)
        result = error_set(error, "no memory to read '%.*s'", STR_ARG(name));
    for (uint64_t done = 0; result == 0 && done < member->size;) {
        uint64_t left = member->size - done;
        size_t want = left < PACK_PIECE_LEN ? (size_t)left : PACK_PIECE_LEN;
        ssize_t got = pread(fd, piece, want, (off_t)(member->off + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = error_set_errno(error, errno, "cannot read '%.*s'", STR_ARG(name));
        else if (got == 0)
            result = error_set(error, "'%.*s' became shorter while it was read", STR_ARG(name));
        else
            content_hasher_update(hasher, str_make(piece, (size_t)got));
        done += got > 0 ? (uint64_t)got : 0;
    }
    if (hasher)
        *hash = content_hasher_finish(hasher);
    free(piece);
    if (owned)
        close(fd);
    return result;
}

static int
spill(struct queue *queue, struct str bytes, uint64_t *off, struct error *error)
{
    *off = atomic_fetch_add(&queue->spill_len, bytes.len);
    for (size_t done = 0; done < bytes.len;) {
        ssize_t put =
            pwrite(queue->spill_fd, bytes.ptr + done, bytes.len - done, (off_t)(*off + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set_errno(error, errno, "cannot keep compressed data");
        done += (size_t)put;
    }
    return 0;
}

static int
make_variant(struct queue *queue, struct pack_item *item, enum http_coding coding,
             struct str content, struct error *error)
{
    struct str packed;
    struct pack_file *variant = &item->variants[coding];
    int result = compress_buffer(coding, content, &packed);
    if (result < 0)
        return error_set(error, "no memory to compress '%.*s'",
                         STR_ARG(str_first(item->file.path, PACK_NAME_SHOWN)));
    if (result == 1)
        return 0;
    *variant = (struct pack_file){
        .size = packed.len,
        .mtime = item->file.mtime,
        .hash = content_hash(packed),
    };
    result = spill(queue, packed, &variant->spill_off, error);
    free((void *)(uintptr_t)packed.ptr);
    item->made |= 1u << coding;
    return result;
}

static int
work_on(struct queue *queue, struct pack_item *item, struct arena *arena, struct error *error)
{
    struct str content;
    const struct member *member = item->file.member;
    if (member->size > PACK_WHOLE_MAX)
        return hash_in_pieces(member, &item->file.hash, error);
    if (member_read(member, arena, PACK_WHOLE_MAX, &content, error) < 0)
        return -1;
    item->file.hash = content_hash(content);
    for (enum http_coding coding = 0; coding < HTTP_CODING_IDENTITY; coding++)
        if (item->wanted & 1u << coding && !atomic_load(&queue->failed) &&
            make_variant(queue, item, coding, content, error) < 0)
            return -1;
    return 0;
}

static void
fail(struct queue *queue, const struct error *error)
{
    pthread_mutex_lock(&queue->lock);
    if (!atomic_exchange(&queue->failed, true))
        *queue->error = *error;
    pthread_mutex_unlock(&queue->lock);
}

static void *
run_worker(void *arg)
{
    struct queue *queue = arg;
    struct arena arena;
    struct error error;
    arena_init(&arena, PACK_WHOLE_MAX + 1, ARENA_BLOCK_LEN);
    while (!atomic_load(&queue->failed)) {
        size_t place = atomic_fetch_add(&queue->next, 1);
        if (place >= queue->count)
            break;
        struct pack_item *item = &queue->items[queue->order[place] - queue->items];
        atomic_store(&queue->current, item);
        arena_reset(&arena);
        if (work_on(queue, item, &arena, &error) < 0)
            fail(queue, &error);
        atomic_fetch_add(&queue->done_len, item->file.size);
        atomic_fetch_add(&queue->done_count, 1);
    }
    arena_deinit(&arena);
    pthread_mutex_lock(&queue->lock);
    queue->running--;
    pthread_cond_signal(&queue->ended);
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

/* Shows how far it is until the last worker has ended. */
static void
watch(struct queue *queue, uint64_t total_len, bool compressing, struct progress *progress)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PROGRESS_INTERVAL_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&queue->ended, &queue->lock, &until);
        const struct pack_item *current = atomic_load(&queue->current);
        struct progress_state state = {
            .verb = compressing ? "compressing" : "reading",
            .done_len = atomic_load(&queue->done_len),
            .total_len = total_len,
            .done_count = atomic_load(&queue->done_count),
            .total_count = queue->count,
            .name = current ? current->file.path : STR(""),
        };
        progress_draw(progress, &state);
    }
    pthread_mutex_unlock(&queue->lock);
}

/* Runs the queue down in `wanted` threads, or as many of them as can be had. */
static void
run_threads(struct queue *queue, unsigned wanted, uint64_t total_len, bool compressing,
            struct progress *progress)
{
    pthread_t threads[THREADS_MAX];
    unsigned started = 0;
    queue->running = wanted;
    while (started < wanted && pthread_create(&threads[started], NULL, run_worker, queue) == 0)
        started++;
    pthread_mutex_lock(&queue->lock);
    queue->running -= wanted - started;
    pthread_mutex_unlock(&queue->lock);
    if (started == 0) {
        queue->running = 1;
        run_worker(queue);
    }
    watch(queue, total_len, compressing, progress);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static int
compare_size(const void *left, const void *right)
{
    const struct pack_item *a = *(const struct pack_item *const *)left;
    const struct pack_item *b = *(const struct pack_item *const *)right;
    int cmp = (a->file.size < b->file.size) - (a->file.size > b->file.size);
    return cmp ? cmp : (a > b) - (a < b);
}

static void
queue_init(struct queue *queue)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->ended, &attributes);
    pthread_condattr_destroy(&attributes);
}

int
pack_work(struct pack_item *items, size_t count, unsigned threads, int spill_fd,
          struct progress *progress, struct error *error)
{
    struct queue queue = {.items = items, .count = count, .spill_fd = spill_fd, .error = error};
    uint64_t total_len = 0;
    unsigned wanted = 0;
    queue.order = malloc((count ? count : 1) * sizeof(const struct pack_item *));
    if (!queue.order)
        return error_set(error, "no memory for %zu files", count);
    for (size_t i = 0; i < count; i++) {
        queue.order[i] = &items[i];
        total_len += items[i].file.size;
        wanted |= items[i].wanted;
    }
    if (wanted)
        qsort(queue.order, count, sizeof(const struct pack_item *), compare_size);
    queue_init(&queue);
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    if (threads > count)
        threads = count ? (unsigned)count : 1;
    run_threads(&queue, threads, total_len, wanted != 0, progress);
    pthread_cond_destroy(&queue.ended);
    pthread_mutex_destroy(&queue.lock);
    free(queue.order);
    return atomic_load(&queue.failed) ? -1 : 0;
}
