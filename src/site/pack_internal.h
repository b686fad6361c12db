/* pack_internal: what the files of `tarn pack` share. Not for others.
 *
 * pack.c chooses the files, pack_scripts.c compiles scripts, pack_work.c hashes and compresses them
 * in threads, pack_output.c lays the archive out and writes it.
 */
#ifndef TARN_SITE_PACK_INTERNAL_H
#define TARN_SITE_PACK_INTERNAL_H

#include "site/member.h"
#include "site/output_file.h"
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

/* Takes care of a member that is a script: *member becomes what goes into the archive: itself, the
 * object file it was compiled to, whose bytes are appended to `objects_fd` (-1: a file is made), or
 * NULL: nothing. */
struct pack_scripts_job {
    const struct pack_config *config;
    const struct member_list *members;
    struct arena *arena;
    int objects_fd;
    struct error *error;
};
int pack_script(struct pack_scripts_job *job, const struct member **member) MUST_USE;

/* Hashes every item and makes the wanted variants, whose bytes go to `spill_fd`. The paths of the
 * variants are left to the caller. */
int pack_work(struct pack_item *items, size_t count, unsigned threads, int spill_fd,
              struct progress *progress, struct error *error) MUST_USE;

/* Writes the archive of these files, sorted by path. Each content is checked against its hash on
 * the way. *len: bytes written. */
int pack_write_archive(int fd, const struct pack_file *files, size_t count, int spill_fd,
                       struct progress *progress, uint64_t *len, struct error *error) MUST_USE;

#endif
