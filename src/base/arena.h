/* arena: bump allocation with a ceiling, freed all at once.
 *
 * Memory comes in blocks from the heap; `max` bounds the bytes handed out in all, so an arena that
 * a peer can fill must be given a small one. Over the ceiling, or without memory, an allocation
 * returns NULL and the arena stays marked (`arena_overflowed`) until reset: a builder may allocate
 * many times and check once. Nothing is ever moved. Thread rule: one owner.
 */
#ifndef TARN_BASE_ARENA_H
#define TARN_BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *next;
    size_t left;
    size_t used;
    size_t max;
    size_t block_len;
    bool overflowed;
};

/* `max`: ceiling in bytes; `block_len`: size of the blocks asked from the heap. Allocates nothing
 * yet. */
void arena_init(struct arena *arena, size_t max, size_t block_len);
void arena_deinit(struct arena *arena);

/* Forgets everything handed out; keeps the first block for reuse. */
void arena_reset(struct arena *arena);

/* Zeroed memory, aligned to 16; NULL over the ceiling. Borrowed until reset or deinit. */
void *arena_alloc(struct arena *arena, size_t len);

/* len bytes without zeroing and without alignment, for text. */
char *arena_alloc_text(struct arena *arena, size_t len);

/* A copy of s, NUL-terminated behind its end. An empty str with NULL pointer on overflow. */
struct str arena_copy(struct arena *arena, struct str s);

/* a + b joined, NUL-terminated behind its end. An empty str with NULL pointer on overflow. */
struct str arena_join(struct arena *arena, struct str a, struct str b);

struct str arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline bool
arena_overflowed(const struct arena *arena)
{
    return arena->overflowed;
}

#endif
