/* member: what a source contains, before rendering.
 *
 * A source (tar.c, dir.c, or one file) fills a `struct member_list`: one entry for each name, links
 * resolved to the bytes they stand for, later duplicates over earlier ones, `./` stripped, sorted
 * by path in byte order. Paths are relative, without leading or trailing slash, decoded UTF-8 as
 * they stand in the source. Memory: members borrow from the list's arena; descriptors belong to the
 * list.
 */
#ifndef TARN_SITE_MEMBER_H
#define TARN_SITE_MEMBER_H

#include "base/arena.h"
#include "base/error.h"
#include "site/site.h"

struct content_hash;

struct member {
    struct str path;
    uint64_t size;
    int64_t mtime;
    bool is_dir;
    /* Where the bytes are: at `off` of `fd` (tar, memory file, one file), or in the file
     * `disk_path` (directory; fd -1). */
    int fd;
    uint64_t off;
    const char *disk_path;
    const struct site_identity *identity; /* NULL when the descriptor is private to this process */
    uint32_t order;                       /* position in the source: a later duplicate wins */
    /* What the index of a packed tar says about the content; NULL: it must be read to know. */
    const struct content_hash *hash;
};

struct member_list {
    struct arena *arena; /* borrowed */
    struct member *list; /* heap */
    size_t count, cap;
    int fds[4]; /* owned descriptors (the tar or its unpacked memory file) */
    unsigned fd_count;
    uint64_t warnings;
    bool from_index; /* filled from the index of a packed tar */
};

void member_list_init(struct member_list *members, struct arena *arena);
void member_list_deinit(struct member_list *members);

/* A zeroed entry at the end (fd -1), or NULL: too many (SITE_MEMBERS_MAX) or no memory. Borrowed
 * until the next add. */
struct member *member_list_add(struct member_list *members);

/* Sorts by path, keeps the last of duplicates (by order), adds the directories that members imply,
 * and refuses what cannot be served as one tree: a file that is also a directory of other members
 * loses with a warning. */
int member_list_finish(struct member_list *members, struct error *error) MUST_USE;

/* The member with this path after finish, or NULL. */
const struct member *member_list_find(const struct member_list *members, struct str path);

/* A descriptor with the member's bytes, readable at member->off. *owned: the caller closes it. A
 * disk file that is not the one that was listed (identity, or else size) is an error. */
int member_open(const struct member *member, int *fd, bool *owned, struct error *error) MUST_USE;

/* Whether the file at `path` is the disk file that was listed. */
bool member_is_at(const struct member *member, const char *path);

/* Reads the whole content of a member of at most `max` bytes into memory of the arena. */
int member_read(const struct member *member, struct arena *arena, uint64_t max, struct str *out,
                struct error *error) MUST_USE;

/* Whether a path may be served: no segment starts with a dot, but for `.well-known` as first
 * segment (below it the same rule), and it is UTF-8 without control characters. */
bool member_path_is_public(struct str path);

#endif
