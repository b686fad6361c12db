#include "base/arena.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *older;
    size_t len;
    _Alignas(16) char data[];
};

void
arena_init(struct arena *arena, size_t max, size_t block_len)
{
    must(max > 0 && block_len > 0);
    *arena = (struct arena){.max = max, .block_len = block_len};
}

void
arena_deinit(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks; block;) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    arena->blocks = NULL;
    arena->next = NULL;
    arena->left = 0;
}

void
arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;
    while (keep && keep->older) {
        struct arena_block *older = keep->older;
        free(keep);
        keep = older;
    }
    arena->blocks = keep;
    arena->next = keep ? keep->data : NULL;
    arena->left = keep ? keep->len : 0;
    arena->used = 0;
    arena->overflowed = false;
}

static bool
arena_grow(struct arena *arena, size_t need)
{
    size_t len = need > arena->block_len ? need : arena->block_len;
    struct arena_block *block = malloc(sizeof *block + len);
    if (!block)
        return false;
    block->len = len;
    block->older = arena->blocks;
    arena->blocks = block;
    arena->next = block->data;
    arena->left = len;
    return true;
}

static char *
arena_take(struct arena *arena, size_t len, size_t align)
{
    size_t pad = -(uintptr_t)arena->next & (align - 1);
    if (arena->overflowed || len > arena->max - arena->used)
        goto over;
    if (!arena->next || arena->left < pad || arena->left - pad < len) {
        if (!arena_grow(arena, len))
            goto over;
        pad = 0;
    }
    char *at = arena->next + pad;
    arena->next = at + len;
    arena->left -= pad + len;
    arena->used += len;
    return at;
over:
    arena->overflowed = true;
    return NULL;
}

void *
arena_alloc(struct arena *arena, size_t len)
{
    char *at = arena_take(arena, len, 16);
    return at ? memset(at, 0, len) : NULL;
}

char *
arena_alloc_text(struct arena *arena, size_t len)
{
    return arena_take(arena, len, 1);
}

struct str
arena_copy(struct arena *arena, struct str s)
{
    return arena_join(arena, s, STR(""));
}

struct str
arena_join(struct arena *arena, struct str a, struct str b)
{
    char *at = arena_alloc_text(arena, a.len + b.len + 1);
    if (!at)
        return (struct str){0};
    if (a.len)
        memcpy(at, a.ptr, a.len);
    if (b.len)
        memcpy(at + a.len, b.ptr, b.len);
    at[a.len + b.len] = '\0';
    return str_make(at, a.len + b.len);
}

struct str
arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = len >= 0 ? arena_alloc_text(arena, (size_t)len + 1) : NULL;
    if (at)
        vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    return at ? str_make(at, (size_t)len) : (struct str){0};
}
