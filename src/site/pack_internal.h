/* pack_internal: what the files of `tarn pack` share. Not for others.
 *
 * pack.c chooses the files, pack_work.c hashes and compresses them in threads, pack_output.c lays
 * the archive out and writes it.
 */
#ifndef TARN_SITE_PACK_INTERNAL_H
#define TARN_SITE_PACK_INTERNAL_H

#include "site/member.h"
#include "site/pack.h"
#include "site/packidx.h"
#include "site/progress.h"

enum {
    PACK_WHOLE_MAX = 64 << 20, /* larger files are never held in memory, nor compressed */
    PACK_PIECE_LEN = 256 << 10,
    PACK_NAME_SHOWN = 200,
};

/* One file of the archive. */
struct pack_file {
    struct str path;
    uint64_t size;
    int64_t mtime;
    struct content_hash hash;
    const struct member *member; /* where the bytes are; NULL: in the spill file, at spill_off */
    uint64_t spill_off;
};

/* A file of the source, and the variants made of it: those with their bit in `made`. */
struct pack_item {
    struct pack_file file;
    unsigned wanted; /* bits 1 << coding */
    unsigned made;
    struct pack_file variants[HTTP_CODING_IDENTITY];
};

/* Hashes every item and makes the wanted variants, whose bytes go to `spill_fd`. The paths of the
 * variants are left to the caller. */
int pack_work(struct pack_item *items, size_t count, unsigned threads, int spill_fd,
              struct progress *progress, struct error *error) MUST_USE;

/* Where the archive goes: standard output, or a temporary file that takes the target's place when
 * all is written. */
struct pack_output {
    int fd;
    char *temporary; /* heap; NULL when `fd` is written directly */
    char *target;    /* heap, links resolved; NULL for standard output */
};

int pack_output_open(struct pack_output *output, const char *path, struct error *error) MUST_USE;
/* Puts the file in place. After this, or in its stead on failure, pack_output_discard. */
int pack_output_commit(struct pack_output *output, struct error *error) MUST_USE;
/* Closes and, unless committed, removes the temporary file. */
void pack_output_discard(struct pack_output *output);

/* Writes the archive of these files, sorted by path. Each content is checked against its hash on
 * the way. *len: bytes written. */
int pack_write_archive(int fd, const struct pack_file *files, size_t count, int spill_fd,
                       struct progress *progress, uint64_t *len, struct error *error) MUST_USE;

#endif
