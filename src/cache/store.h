/* store: the cache's directory: files of content, the lock, what a crash left behind.
 *
 *     DIR/lock                    held by the process that uses DIR; says which one
 *     DIR/orderly                 there while nobody uses DIR, when the last one ended in order
 *     DIR/index.db                see index.h
 *     DIR/aa/bb/SHA256.ID         one finished resource
 *     DIR/aa/bb/SHA256.ID.part    one that is coming in
 *
 * SHA256: of the canonical URL, 64 hex digits, of which aa and bb are the first four; ID: 16 hex
 * digits. Nothing else in the directory is touched. Every path is resolved beneath the directory's
 * descriptor and through no link. Thread rule: a store is immutable after store_open; its functions
 * are system calls and may be called from any thread. Docs: docs/design/cache.md.
 *
 * After a kill everything written is still in the system's memory and reaches the disk. After a
 * power failure the last files may have their names and lengths but not their bytes: see
 * store_was_restarted.
 */
#ifndef TARN_CACHE_STORE_H
#define TARN_CACHE_STORE_H

#include "base/error.h"
#include "base/str.h"

#include <sys/types.h>

struct store;

/* Opens the directory, which is made (mode 0700, parents not) when it is missing, and takes its
 * lock. -1 and one line: it cannot be made or written, is not a directory, or another process holds
 * it
 * ("'/var/cache/tarn' is in use by process 123 (tarn cache, on HOST, since DATE)"). A full disk is
 * no failure. The mark of an orderly end is gone from the disk when this returns. */
int store_open(struct store **out, const char *dir, struct error *error) MUST_USE;
/* Gives the lock back; NULL is nothing. `orderly`: no part file is left, and everything on disk is
 * in the index and the other way round, so index_close came before and returned true; the next
 * store_open then finds store_was_orderly. Waits until all of it is on the disk. */
void store_close(struct store *store, bool orderly);

/* The last holder ended in order: the directory need not be searched, unless index_was_orderly says
 * so. Else store_recover before anything else is done. */
bool store_was_orderly(const struct store *store);
/* It did not, and the machine was started since, or that is not known: files of the last minutes
 * before may lack bytes that had not reached the disk. Let store_recover check the content of
 * entries made in the last CACHE_UNSYNCED_S before the youngest. */
bool store_was_restarted(const struct store *store);
/* Ids of this run are above it, of earlier runs below, also those of downloads that came to
 * nothing: an id, and an ETag made of it, never names two things. 2^31 ids a run. The first id of a
 * run is above this and above index_last_id. */
uint64_t store_last_id(const struct store *store);

/* The directory's descriptor, borrowed; and its path for messages. */
int store_dir_fd(const struct store *store);
const char *store_path(const struct store *store);

/* A fresh part file, open for reading and writing; directories are made. Returns the descriptor, or
 * -errno. `len` declared bytes are reserved on the disk at once (fallocate keeping the size) where
 * the file system can; UINT64_MAX: unknown. -ENOSPC, -EDQUOT: the disk is full; -EFBIG: the file
 * system has no files that long. After a failure nothing is left. */
int store_create_part(struct store *store, struct str url, uint64_t id, uint64_t len) MUST_USE;
/* The part becomes the finished file, from one moment to the next. 0 or -errno (-EEXIST: it is
 * there already). */
int store_finish_part(struct store *store, struct str url, uint64_t id) MUST_USE;
/* 0, or -errno; one that is not there is not an error. Directories stay. */
int store_remove_part(struct store *store, struct str url, uint64_t id);
int store_remove(struct store *store, struct str url, uint64_t id);
/* A finished file for reading, when it has exactly `len` bytes. The descriptor, or -errno (-ESTALE:
 * another length, or no regular file). */
int store_open_file(struct store *store, struct str url, uint64_t id, uint64_t len) MUST_USE;

/* What store_recover found. */
struct store_recovery {
    uint64_t removed_parts, removed_files, removed_bytes;
    uint64_t kept_count;    /* files that are to go, but could not be removed */
    uint64_t missing_count; /* entries whose file is not there, or is another than it should be */
};
struct store_known {
    struct str url; /* borrowed until store_recover returns, or `missing` was called with it */
    uint64_t id, len;
    bool checks_content; /* the file is read, and its digest compared with this one: */
    uint8_t sha256[32];
};
/* Compares the directory with what the index knows: removes part files, files that no entry is for
 * or that are not what their entry says, and empty directories; calls `missing` for each entry
 * without its file. `next` gives the entries one by one, in any order; false: no more; all of them
 * before the first `missing`. Cost: one pass over the directory; memory of at most 96 bytes an
 * entry. -1 and *error: a directory cannot be read, or no memory. */
int store_recover(struct store *store, bool (*next)(void *arg, struct store_known *known),
                  void (*missing)(void *arg, const struct store_known *known), void *arg,
                  struct store_recovery *recovery, struct error *error) MUST_USE;

/* Bytes free for this process on the file system; UINT64_MAX: unknown. */
uint64_t store_free_len(const struct store *store);

#endif
