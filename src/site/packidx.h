/* packidx: the index inside a packed tar, member `.tarn/index`, always the first entry of the
 * archive.
 *
 * Text would be slow to read for 100,000 files; this is a flat little-endian binary: magic and
 * version, total size of the tar it belongs to, entry count, then fixed-size records sorted by path
 * (offset and length of the path in the string area, content offset in the tar, size, mtime,
 * 128-bit content hash), string area, and a checksum over all of it. Only regular files, link
 * targets resolved. Nothing in it is trusted: every offset, length and order is checked against the
 * tar's size before use. An index whose total size differs from the tar's (someone appended with
 * `tar rf`) is stale and is ignored.
 */
#ifndef TARN_SITE_PACKIDX_H
#define TARN_SITE_PACKIDX_H

#include "base/buf.h"
#include "base/error.h"

#define PACKIDX_NAME ".tarn/index"

/* The content hash that ETags are made of: XXH3-128 of the bytes (collisions are not a security
 * matter here: whoever writes the site chooses the content). */
struct content_hash {
    uint64_t high, low;
};

struct packidx_entry {
    struct str path;
    uint64_t off; /* of the content, from the start of the tar */
    uint64_t size;
    int64_t mtime;
    struct content_hash hash;
};

enum packidx_result {
    PACKIDX_OK,
    PACKIDX_STALE,   /* well-formed, but for a tar of another size */
    PACKIDX_CORRUPT, /* checksum, order, bounds */
};

/* Bytes the encoded index will have: known before offsets are, since the index stands in front. */
uint64_t packidx_size(const struct packidx_entry *entries, size_t count);
/* Entries sorted by path in byte order, without duplicates. */
void packidx_encode(struct buf *out, uint64_t tar_size, const struct packidx_entry *entries,
                    size_t count);

/* Calls `visit` for each entry in order, paths borrowed from `data`. Everything is checked before
 * the first call. visit returns 0, or nonzero to stop. */
enum packidx_result packidx_decode(struct str data, uint64_t tar_size,
                                   int (*visit)(void *arg, const struct packidx_entry *entry),
                                   void *arg);

struct content_hash content_hash(struct str bytes);

/* For contents that are read in pieces. Opaque; owned by the caller. */
struct content_hasher;
struct content_hasher *content_hasher_new(void);
void content_hasher_update(struct content_hasher *hasher, struct str bytes);
struct content_hash content_hasher_finish(struct content_hasher *hasher); /* frees */

/* The strong ETag of a hash, with quotes: 34 characters. */
enum { CONTENT_ETAG_LEN = 34 };
void content_etag(struct content_hash hash, char out[static CONTENT_ETAG_LEN]);

#endif
