/* content: brings the bytes of a plan into their final place.
 *
 * What is preloaded lies in one store of pages (page_store.h), written once and then read-only, so
 * that the network can be handed the pages themselves. Everything else stays where it is and is
 * only hashed (unless an index knows the hash): in the tar, or in a file of the directory, kept
 * open as long as descriptors last.
 */
#ifndef TARN_SITE_CONTENT_H
#define TARN_SITE_CONTENT_H

#include "site/page_store.h"
#include "site/plan.h"

struct content_store {
    struct page_store pages;
    uint64_t used; /* of preload_total */
    uint64_t preload_max, preload_total;
    char *scratch; /* for what is only hashed */
    char *window;  /* what was read of a tar */
    int window_fd;
    uint64_t window_off;
    size_t window_len;
    int *open_files; /* heap: large files kept open */
    unsigned open_count, open_max;
};

int content_store_init(struct content_store *store, uint64_t preload_max, uint64_t preload_total,
                       struct error *error) MUST_USE;
/* Harmless on a zeroed store, and twice. */
void content_store_deinit(struct content_store *store);

/* Loading failed because a file (named in *error) changed meanwhile: worth another try from the
 * start. */
enum { CONTENT_CHANGED = -2 };

/* Loads all files of the plan, behind what is loaded: content and hash of each. `arena` gets the
 * identities of files that stay on disk. A file that cannot be opened any more is left out with a
 * warning (counted in *warnings). Returns 0, -1 or CONTENT_CHANGED. */
int content_load(struct content_store *store, struct plan *plan, struct arena *arena,
                 uint64_t *warnings, struct error *error) MUST_USE;

/* Makes the variants that compressible preloaded files lack, with one thread for each usable CPU
 * (precompress.c). */
int content_precompress(struct content_store *store, struct plan *plan, struct arena *arena,
                        struct error *error) MUST_USE;

/* Says that bytes which fill `len` bytes of memory (summed up with page_store_end) are added next;
 * worth it for many. */
int content_expect(struct content_store *store, uint64_t len, struct error *error) MUST_USE;

/* Adds bytes made at load, whatever the ceilings. */
int content_add(struct content_store *store, struct str bytes, struct plan_bytes *out,
                struct error *error) MUST_USE;

/* Ends adding: from now on nobody can write to what was loaded. */
int content_seal(struct content_store *store, struct error *error) MUST_USE;

#endif
