/* pack: builds a site tarball: sorted, reproducible, precompressed, indexed.
 *
 * The result is a plain tar: regular files in byte order of their names, owner root, fixed modes,
 * mtimes of the files, the precompressed variants (`name.br`, `name.zst`, `name.gz`, for
 * compressible types that save at least 5 %) beside their originals, and first of all
 * `.tarn/index`, which holds for every member path, offset, size, mtime and the content hash that
 * ETags are made of, so that loading hashes nothing. Left out are names that are never served
 * (`member_path_is_public`), but for what is below `.tarn/` and `.zeroserve/`, and the output
 * itself. Sources of scripts (script_path.h) are replaced by their object files. The same input
 * gives the same bytes. Written to a temporary file
 * beside the target and renamed, so that a server that reloads never sees half of it.
 */
#ifndef TARN_SITE_PACK_H
#define TARN_SITE_PACK_H

#include "base/buf.h"
#include "base/error.h"

/* What packing needs of scripts, which are compiled further up. */
struct pack_scripts {
    /* Appends the object file of the file `path`, an absolute one, of which the first hidden_len
     * bytes, where the directory is, must not show in it. */
    int (*compile)(void *arg, const char *path, size_t hidden_len, struct buf *object,
                   struct error *error);
    /* Refuses an object file that a server would refuse. */
    int (*check)(void *arg, struct str name, struct str object, struct error *error);
    void *arg;
};

struct pack_config {
    const char *source; /* a directory, or a tar to pack again */
    const char *output; /* NULL: standard output */
    bool compress;
    bool progress;                      /* draw a progress bar on standard error */
    unsigned threads;                   /* for compression; 0: one per usable CPU */
    const struct pack_scripts *scripts; /* NULL: nobody looks at scripts */
};

struct pack_stats {
    uint64_t file_count;
    uint64_t variant_count;
    uint64_t input_len;
    uint64_t output_len;
};

/* Packs. A mistake that would keep the result from being served, such as a bad line in `_headers`
 * or a script that does not compile, is found before anything is written. On failure -1 and a
 * reason; a file at `output` is then as it was. Blocks; starts threads of its own and ends them. */
int pack_write(const struct pack_config *config, struct pack_stats *stats,
               struct error *error) MUST_USE;

#endif
