/* The store is a list of runs of address space; only the last one is filled. A run that was
 * announced has the size announced, others have RUN_MIN or more, most of which is never touched.
 *
 * Huge pages are asked for only where a whole one will be filled, and refused everywhere else: even
 * on a system that gives them to everybody, a site of one page shall cost one page.
 */
#include "site/page_store.h"

#include "base/must.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ALIGN_LARGE = 4096, /* of places; a system's pages may be larger */
    ALIGN_SMALL = 16,
    HUGE_LEN = 2 << 20,
};

static const uint64_t RUN_MIN = 64 << 20;
static const uint64_t RUN_MAX = 1ull << 46; /* what fits into the address space of a process */

static uint64_t
round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) & ~(to - 1);
}

static uint64_t
place_off(uint64_t end, uint64_t len)
{
    return round_up(end, len >= ALIGN_LARGE ? ALIGN_LARGE : ALIGN_SMALL);
}

uint64_t
page_store_end(uint64_t end, uint64_t len)
{
    return place_off(end, len) + len;
}

static uint64_t
system_page_len(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

void
page_store_deinit(struct page_store *store)
{
    for (unsigned i = 0; i < store->count; i++)
        if (store->runs[i].base)
            munmap(store->runs[i].base, store->runs[i].len);
    free(store->runs);
    *store = (struct page_store){0};
}

/* Address space of `len` bytes that begins where a huge page can, or MAP_FAILED. */
static char *
map_run(size_t len)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    size_t spare = len >= HUGE_LEN ? HUGE_LEN : 0;
    char *map = mmap(NULL, len + spare, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (map == MAP_FAILED || spare == 0)
        return map;
    size_t before = round_up((uintptr_t)map, HUGE_LEN) - (uintptr_t)map;
    if (before > 0)
        munmap(map, before);
    if (spare > before)
        munmap(map + before + len, spare - before);
    return map + before;
}

/* Adds a run of which the first `filled` bytes are sure to be written. */
static int
add_run(struct page_store *store, uint64_t len, uint64_t filled, struct error *error)
{
    struct page_run *runs = realloc(store->runs, (store->count + 1) * sizeof *runs);
    if (!runs)
        return error_set(error, "no memory for the content");
    store->runs = runs;
    if (len > RUN_MAX)
        return error_set(error, "no memory for %llu bytes of content", (unsigned long long)len);
    len = round_up(len, system_page_len());
    char *base = map_run(len);
    if (base == MAP_FAILED)
        return error_set_errno(error, errno, "no memory for %llu bytes of content",
                               (unsigned long long)len);
    /* Advice only: a kernel without huge pages refuses both. */
    size_t huge = len >= HUGE_LEN ? filled & ~((uint64_t)HUGE_LEN - 1) : 0;
    if (huge > 0)
        madvise(base, huge, MADV_HUGEPAGE);
    if (huge < len)
        madvise(base + huge, len - huge, MADV_NOHUGEPAGE);
    runs[store->count++] = (struct page_run){.base = base, .len = len};
    return 0;
}

static struct page_run *
last_run(struct page_store *store)
{
    return store->count ? &store->runs[store->count - 1] : NULL;
}

static bool
has_room(const struct page_run *run, uint64_t off, uint64_t len)
{
    return run && off <= run->len && len <= run->len - off;
}

int
page_store_expect(struct page_store *store, uint64_t len, struct error *error)
{
    const struct page_run *run = last_run(store);
    if (len == 0 || (run && has_room(run, place_off(run->used, ALIGN_LARGE), len)))
        return 0;
    return add_run(store, len, len, error);
}

char *
page_store_reserve(struct page_store *store, uint64_t len, struct error *error)
{
    struct page_run *run = last_run(store);
    uint64_t off = run ? place_off(run->used, len) : 0;
    if (!has_room(run, off, len)) {
        if (add_run(store, len > RUN_MIN ? len : RUN_MIN, 0, error) < 0)
            return NULL;
        run = last_run(store);
        off = 0;
    }
    return run->base + off;
}

void
page_store_keep(struct page_store *store, const char *place, uint64_t len)
{
    struct page_run *run = last_run(store);
    must(run && place == run->base + place_off(run->used, len));
    run->used = (size_t)(place - run->base) + len;
}

int
page_store_seal(struct page_store *store, struct error *error)
{
    for (unsigned i = 0; i < store->count; i++) {
        struct page_run *run = &store->runs[i];
        size_t kept = round_up(run->used, system_page_len());
        if (kept < run->len)
            munmap(run->base + kept, run->len - kept);
        run->len = kept;
        if (kept == 0)
            run->base = NULL;
        else if (mprotect(run->base, kept, PROT_READ) < 0)
            return error_set_errno(error, errno, "cannot protect the content");
    }
    return 0;
}
