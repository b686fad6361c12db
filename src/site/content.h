/* content: brings the bytes of a plan into their final place.
 *
 * What is preloaded lies in one memory file, written once, then sealed and mapped read-only: a
 * response can be sent from the mapping, or from the file without copying. Contents of a page or
 * more start on a page, smaller ones at 16 bytes. Everything else stays where it is and is only
 * hashed (unless an index knows the hash): in the tar, or in a file of the directory, kept open as
 * long as descriptors last.
 */
#ifndef TARN_SITE_CONTENT_H
#define TARN_SITE_CONTENT_H

#include "site/plan.h"

struct content_store {
    int fd; /* the memory file; -1 before init */
    uint64_t len;
    const char *map; /* after seal; NULL while empty */
    uint64_t used;   /* of preload_total */
    uint64_t preload_max, preload_total;
    char *stage; /* not yet written to the file */
    size_t stage_len;
    char *window; /* what was read of a tar */
    int window_fd;
    uint64_t window_off;
    size_t window_len;
    int *open_files; /* heap: large files kept open */
    unsigned open_count, open_max;
};

int content_store_init(struct content_store *store, uint64_t preload_max, uint64_t preload_total,
                       struct error *error) MUST_USE;
/* Harmless on a zeroed store whose fd is -1, and twice. */
void content_store_deinit(struct content_store *store);

/* Loading failed because a file (named in *error) changed meanwhile: worth another try from the
 * start. */
enum { CONTENT_CHANGED = -2 };

/* Loads all files of the plan: content and hash of each. `arena` gets the identities of files that
 * stay on disk. A file that cannot be opened any more is left out with a warning (counted in
 * *warnings). Returns 0, -1 or CONTENT_CHANGED. */
int content_load(struct content_store *store, struct plan *plan, struct arena *arena,
                 uint64_t *warnings, struct error *error) MUST_USE;

/* Makes the variants that compressible preloaded files lack, with one thread for each usable CPU
 * (precompress.c). */
int content_precompress(struct content_store *store, struct plan *plan, struct arena *arena,
                        struct error *error) MUST_USE;

/* Adds bytes made at load, whatever the ceilings. */
int content_add(struct content_store *store, struct str bytes, struct plan_bytes *out,
                struct error *error) MUST_USE;

/* Writes out what was added so far, so that the memory file has it all. */
int content_flush(struct content_store *store, struct error *error) MUST_USE;

/* Ends adding: seals and maps the file. */
int content_seal(struct content_store *store, struct error *error) MUST_USE;

/* The content with `mem` filled in when it lies in the memory file. After content_seal. */
struct site_content content_place(const struct content_store *store,
                                  const struct site_content *content);

#endif
