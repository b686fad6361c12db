/* Contents are read straight into the place they are served from, and hashed there; what is only
 * hashed goes through a scratch buffer. Which files are preloaded is decided in the order of paths,
 * but they are read in the order of the archive, through a window for the small ones; so loading a
 * tar is one pass over it. That order also tells how much memory is needed before the first read.
 */
#include "site/content.h"

#include "base/limits.h"
#include "base/log.h"
#include "site/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE_LEN = 1 << 20,
    WINDOW_LEN = 256 << 10,
    DIRECT_LEN = 32 << 10, /* from here on a call of its own is cheaper than a copy */
    NAME_SHOWN = 200,
};

/* --- the store --- */

int
content_store_init(struct content_store *store, uint64_t preload_max, uint64_t preload_total,
                   struct error *error)
{
    struct rlimit limit;
    *store = (struct content_store){
        .window_fd = -1, .preload_max = preload_max, .preload_total = preload_total};
    /* Most descriptors are for connections, and a reload has two sites at once. */
    store->open_max = SITE_OPEN_FILES_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 8 < store->open_max)
        store->open_max = (unsigned)(limit.rlim_cur / 8);
    store->scratch = malloc(PIECE_LEN);
    store->window = malloc(WINDOW_LEN);
    store->open_files = malloc((store->open_max + 1) * sizeof *store->open_files);
    if (!store->scratch || !store->window || !store->open_files)
        return error_set(error, "no memory to load the content");
    return 0;
}

static void
free_buffers(struct content_store *store)
{
    free(store->scratch);
    free(store->window);
    store->scratch = NULL;
    store->window = NULL;
}

void
content_store_deinit(struct content_store *store)
{
    free_buffers(store);
    page_store_deinit(&store->pages);
    for (unsigned i = 0; i < store->open_count; i++)
        close(store->open_files[i]);
    free(store->open_files);
    *store = (struct content_store){.window_fd = -1};
}

/* Where content of `len` bytes will lie; what is empty needs no place. NULL and a reason. */
static char *
reserve(struct content_store *store, uint64_t len, struct error *error)
{
    static char empty[1];
    return len ? page_store_reserve(&store->pages, len, error) : empty;
}

/* `place` holds the whole content now. */
static void
keep(struct content_store *store, const char *place, uint64_t len, struct plan_bytes *out)
{
    if (len)
        page_store_keep(&store->pages, place, len);
    out->content = (struct site_content){.mem = place, .len = len, .fd = -1};
    store->used += len;
}

int
content_expect(struct content_store *store, uint64_t len, struct error *error)
{
    return page_store_expect(&store->pages, len, error);
}

int
content_add(struct content_store *store, struct str bytes, struct plan_bytes *out,
            struct error *error)
{
    char *place = reserve(store, bytes.len, error);
    if (!place)
        return -1;
    if (bytes.len)
        memcpy(place, bytes.ptr, bytes.len);
    keep(store, place, bytes.len, out);
    out->hash = content_hash(bytes);
    out->loaded = true;
    return 0;
}

int
content_seal(struct content_store *store, struct error *error)
{
    free_buffers(store);
    return page_store_seal(&store->pages, error);
}

/* --- reading --- */

/* 0; 1 when the file ends before `len` bytes; -1 with errno. */
static int
read_exactly(int fd, uint64_t off, char *to, size_t len)
{
    while (len > 0) {
        ssize_t got = pread(fd, to, len, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : 1;
        to += got;
        off += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

static int
fill_window(struct content_store *store, int fd, uint64_t off)
{
    ssize_t got;
    store->window_fd = -1;
    do
        got = pread(fd, store->window, WINDOW_LEN, (off_t)off);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -1;
    store->window_fd = fd;
    store->window_off = off;
    store->window_len = (size_t)got;
    return 0;
}

/* As read_exactly, with as few calls as possible when many small ranges follow each other. */
static int
read_through_window(struct content_store *store, int fd, uint64_t off, char *to, size_t len)
{
    for (bool filled = false;; filled = true) {
        if (fd == store->window_fd && off >= store->window_off &&
            off - store->window_off + len <= store->window_len) {
            memcpy(to, store->window + (off - store->window_off), len);
            return 0;
        }
        if (filled || len >= DIRECT_LEN)
            return read_exactly(fd, off, to, len);
        if (fill_window(store, fd, off) < 0)
            return -1;
    }
}

/* A range to be read once, from front to back. */
struct reading {
    const struct member *member;
    int fd;
    uint64_t off, len;
    bool preload; /* keep what is read in the store */
    bool need_hash;
};

static int
failed_reading(const struct reading *reading, int result, struct error *error)
{
    struct str name = str_first(reading->member->path, NAME_SHOWN);
    if (result < 0)
        return error_set_errno(error, errno, "cannot read '%.*s'", STR_ARG(name));
    error_set(error, "'%.*s' changed while it was loaded", STR_ARG(name));
    return CONTENT_CHANGED;
}

static int
read_piece(struct content_store *store, const struct reading *reading, uint64_t done, char *room,
           size_t len, struct error *error)
{
    int result = reading->member->fd >= 0
                     ? read_through_window(store, reading->fd, reading->off + done, room, len)
                     : read_exactly(reading->fd, reading->off + done, room, len);
    return result ? failed_reading(reading, result, error) : 0;
}

/* `place` is NULL for what is only hashed. */
static int
read_short(struct content_store *store, const struct reading *reading, char *place,
           struct content_hash *hash, struct error *error)
{
    char *room = place ? place : store->scratch;
    int result = read_piece(store, reading, 0, room, reading->len, error);
    if (result == 0 && reading->need_hash)
        *hash = content_hash(str_make(room, reading->len));
    return result;
}

static int
read_long(struct content_store *store, const struct reading *reading, char *place,
          struct content_hash *hash, struct error *error)
{
    struct content_hasher *hasher = content_hasher_new();
    if (!hasher)
        return error_set(error, "no memory to load the content");
    int result = 0;
    for (uint64_t done = 0; result == 0 && done < reading->len;) {
        uint64_t left = reading->len - done;
        size_t len = left < PIECE_LEN ? (size_t)left : PIECE_LEN;
        char *room = place ? place + done : store->scratch;
        result = read_piece(store, reading, done, room, len, error);
        /* Piece by piece, while it is still in the processor's cache. */
        if (result == 0 && reading->need_hash)
            content_hasher_update(hasher, str_make(room, len));
        done += len;
    }
    struct content_hash all = content_hasher_finish(hasher);
    if (reading->need_hash)
        *hash = all;
    return result;
}

/* On success `out` is complete for a preloaded range; else the caller says where the bytes are. */
static int
read_range(struct content_store *store, const struct reading *reading, struct plan_bytes *out,
           struct error *error)
{
    char *place = NULL;
    int result = 0;
    if (reading->preload) {
        place = reserve(store, reading->len, error);
        if (!place)
            return -1;
    }
    if (!reading->need_hash)
        out->hash = *reading->member->hash;
    if (reading->need_hash || reading->preload)
        result = reading->len <= PIECE_LEN ? read_short(store, reading, place, &out->hash, error)
                                           : read_long(store, reading, place, &out->hash, error);
    if (result < 0)
        return result;
    if (reading->preload)
        keep(store, place, reading->len, out);
    out->loaded = true;
    return 0;
}

static bool
fits(const struct content_store *store, uint64_t len)
{
    return len <= store->preload_max && store->used <= store->preload_total &&
           len <= store->preload_total - store->used;
}

/* --- members --- */

/* Of a tar (maybe unpacked in memory), or one file. */
static int
load_from_range(struct content_store *store, struct plan_entry *entry, bool preload,
                struct error *error)
{
    const struct member *member = entry->member;
    struct reading reading = {.member = member,
                              .fd = member->fd,
                              .off = member->off,
                              .len = member->size,
                              .preload = preload,
                              .need_hash = !member->hash};
    entry->bytes.content = (struct site_content){
        .len = member->size, .fd = member->fd, .off = member->off, .identity = member->identity};
    return read_range(store, &reading, &entry->bytes, error);
}

/* Reads an opened file of a directory. *kept: the descriptor now belongs to the store. */
static int
load_opened(struct content_store *store, struct plan_entry *entry, int fd, struct arena *arena,
            bool *kept, struct error *error)
{
    const struct member *member = entry->member;
    struct stat before, after;
    struct reading reading = {.member = member, .fd = fd, .need_hash = true};
    if (fstat(fd, &before) < 0)
        return failed_reading(&reading, -1, error);
    /* It may have grown since the walk. But another file must not take its place unseen: only the
     * one that was found was checked to lie inside the site. */
    if (!S_ISREG(before.st_mode) || before.st_dev != member->identity->dev ||
        before.st_ino != member->identity->ino)
        return failed_reading(&reading, 1, error);
    struct site_identity identity = identity_of(&before);
    reading.len = identity.size;
    reading.preload = fits(store, reading.len);
    int result = read_range(store, &reading, &entry->bytes, error);
    if (result < 0)
        return result;
    if (fstat(fd, &after) < 0 || !identity_matches(&identity, &after))
        return failed_reading(&reading, 1, error);
    if (reading.preload)
        return 0;
    /* One that is replaced later is then still served as it was. */
    *kept = store->open_count < store->open_max;
    if (*kept)
        store->open_files[store->open_count++] = fd;
    entry->bytes.content = (struct site_content){
        .len = reading.len,
        .fd = *kept ? fd : -1,
        .path = member->disk_path,
        .identity = identity_new(arena, &before),
    };
    if (!entry->bytes.content.identity)
        return error_set(error, "no memory to load the content");
    return 0;
}

static int
load_from_disk(struct content_store *store, struct plan_entry *entry, struct arena *arena,
               uint64_t *warnings, struct error *error)
{
    const struct member *member = entry->member;
    struct str name = str_first(member->path, NAME_SHOWN);
    bool kept = false;
    int fd = open(member->disk_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == EACCES || errno == ELOOP)) {
        log_warn("skipped '%.*s': %s", STR_ARG(name), strerrordesc_np(errno));
        ++*warnings;
        return 0;
    }
    if (fd < 0)
        return error_set_errno(error, errno, "cannot open '%.*s'", STR_ARG(name));
    int result = load_opened(store, entry, fd, arena, &kept, error);
    if (!kept)
        close(fd);
    return result;
}

/* --- order --- */

struct load_item {
    int fd;
    uint64_t off;
    uint32_t index;
    bool preload;
};

static int
compare_items(const void *left, const void *right)
{
    const struct load_item *a = left, *b = right;
    if (a->fd != b->fd)
        return a->fd < b->fd ? -1 : 1;
    if (a->off != b->off)
        return a->off < b->off ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* All files in the order in which they are best read; heap. The ceilings are spent here in the
 * order of paths, so that the archive's own order does not decide who is preloaded. */
static struct load_item *
order_items(const struct content_store *store, const struct plan *plan, size_t *count)
{
    struct load_item *items = malloc((plan->file_count + 1) * sizeof *items);
    uint64_t used = store->used;
    bool sorted = true;
    *count = 0;
    for (size_t i = 0; items && i < plan->count; i++) {
        const struct member *member = plan->list[i].member;
        if (member->is_dir)
            continue;
        struct load_item *item = &items[(*count)++];
        *item = (struct load_item){.fd = member->fd, .off = member->off, .index = (uint32_t)i};
        item->preload = member->size <= store->preload_max && used <= store->preload_total &&
                        member->size <= store->preload_total - used;
        used += item->preload ? member->size : 0;
    }
    for (size_t i = 1; i < *count && sorted; i++)
        sorted = compare_items(&items[i - 1], &items[i]) <= 0;
    if (items && !sorted)
        qsort(items, *count, sizeof *items, compare_items);
    return items;
}

/* How much memory the preloaded items fill, as far as their sizes stay what they were. */
static uint64_t
preloaded_end(const struct plan *plan, const struct load_item *items, size_t count)
{
    uint64_t end = 0;
    for (size_t i = 0; i < count; i++)
        if (items[i].preload)
            end = page_store_end(end, plan->list[items[i].index].member->size);
    return end;
}

int
content_load(struct content_store *store, struct plan *plan, struct arena *arena,
             uint64_t *warnings, struct error *error)
{
    size_t count;
    int result = 0;
    struct load_item *items = order_items(store, plan, &count);
    if (!items)
        return error_set(error, "no memory to load the content");
    result = content_expect(store, preloaded_end(plan, items, count), error);
    for (size_t i = 0; i < count && result == 0; i++) {
        struct plan_entry *entry = &plan->list[items[i].index];
        result = entry->member->fd >= 0 ? load_from_range(store, entry, items[i].preload, error)
                                        : load_from_disk(store, entry, arena, warnings, error);
    }
    free(items);
    return result;
}
