#include "site/identity.h"

#include "base/arena.h"

#include <sys/stat.h>

struct site_identity
identity_of(const struct stat *st)
{
    return (struct site_identity){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_s = st->st_mtim.tv_sec,
        .mtime_ns = st->st_mtim.tv_nsec,
    };
}

const struct site_identity *
identity_new(struct arena *arena, const struct stat *st)
{
    struct site_identity *identity = arena_alloc(arena, sizeof *identity);
    if (identity)
        *identity = identity_of(st);
    return identity;
}

bool
identity_matches(const struct site_identity *identity, const struct stat *st)
{
    return S_ISREG(st->st_mode) && identity->dev == st->st_dev && identity->ino == st->st_ino &&
           identity->size == (uint64_t)st->st_size && identity->mtime_s == st->st_mtim.tv_sec &&
           identity->mtime_ns == st->st_mtim.tv_nsec;
}
