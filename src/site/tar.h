/* tar: reads tar archives by their headers, never unpacking.
 *
 * Understands ustar, pax (path, linkpath, size, mtime; global and per-entry), GNU long names and
 * links ('L', 'K'), base-256 numbers, old v7. Hard and symbolic links inside the archive resolve; a
 * link out of it, or in a circle, or to nothing, is skipped with a warning. An absolute name or one
 * that would leave the root (`..`) is an error that names the entry. Device nodes, fifos and
 * sockets are skipped with a warning. GNU sparse members are an error that names the entry. A bad
 * checksum, an entry past the end of the file, or a missing end is an error that names the offset.
 * Headers are read with pread in large pieces: the file is never mapped, so one that shrinks gives
 * an error, not a signal. Bounds: SITE_MEMBERS_MAX entries, SITE_PATH_MAX bytes a name, TAR_PAX_MAX
 * bytes of pax header.
 */
#ifndef TARN_SITE_TAR_H
#define TARN_SITE_TAR_H

#include "site/member.h"

/* Whether the first `len` bytes (512 or more) look like a tar header: a valid checksum. */
bool tar_is_header(const char *block, size_t len);

/* Adds all entries of the tar in `fd` (borrowed; `size` bytes long) to the list and resolves its
 * links. Each member gets fd, off, size, mtime and `identity` (may be NULL). */
int tar_read(int fd, uint64_t size, const struct site_identity *identity,
             struct member_list *members, struct error *error) MUST_USE;

/* The same over bytes in memory, for fuzzing and for standard input; members get fd -1 and their
 * offset in `data`. */
int tar_read_memory(struct str data, struct member_list *members, struct error *error) MUST_USE;

enum { TAR_BLOCK = 512 };

/* Writes the header block (or pax header, its content and the header block) of one regular file,
 * mode 0644, owner 0/root, to `out`. Names over 100 bytes use the ustar prefix or else pax; sizes
 * over 8 GiB and times before 1970 use pax. */
struct buf;
void tar_write_header(struct buf *out, struct str path, uint64_t size, int64_t mtime);

#endif
