/* tar_internal: what the files of the tar reader share. Not for others.
 *
 * tar.c walks the archive and fills the member list; tar_header.c decodes single blocks, names and
 * pax records (pure); tar_links.c resolves links once all entries are known. Until then a link
 * stands in the list as a member with fd TAR_FD_LINK whose `off` is its place in the link list.
 */
#ifndef TARN_SITE_TAR_INTERNAL_H
#define TARN_SITE_TAR_INTERNAL_H

#include "site/tar.h"

enum { TAR_FD_LINK = -2, TAR_FD_DROPPED = -3, TAR_NAME_SHOWN = 200 };

struct tar_header {
    char type;
    uint64_t size;
    int64_t mtime;
    struct str name, link; /* borrow the block, or `joined` */
    char joined[256];      /* prefix and name of ustar */
};

enum tar_header_result {
    TAR_HEADER_OK,
    TAR_HEADER_ZERO, /* all bytes zero: the end of the archive, when two of them follow */
    TAR_HEADER_BAD_CHECKSUM,
    TAR_HEADER_BAD_NUMBER,
};

/* Decodes one block of TAR_BLOCK bytes. The strs borrow it. */
enum tar_header_result tar_header_decode(const char *block, struct tar_header *out);

/* What extension headers say about the entry behind them. NULL str pointers: nothing said. */
struct tar_extra {
    struct str path, link;
    uint64_t size;
    int64_t mtime;
    bool has_size, has_mtime;
    bool sparse;
};

/* Applies the records of a pax header (POSIX.1-2018, "pax Header Block") to *extra, texts copied
 * to the arena. False when a record is malformed or memory is short. */
bool tar_pax_apply(struct str records, struct arena *arena, struct tar_extra *extra);

/* Writes the clean form of a name: no empty or "." segments, ".." popped. NULL on success, else
 * why the name is refused. `out` is empty for the root itself. */
const char *tar_clean_name(struct str name, struct arena *arena, struct str *out);

struct tar_link {
    struct str target; /* hard link: clean path; symbolic link: text as it stands */
    bool hard;
};

struct tar_link_list {
    struct tar_link *list; /* heap */
    size_t count, cap;
};

/* A warning that this member is left out; of what scripts need (script_path.h) an error. The first
 * few warnings of an archive are logged, others are counted, so that a broken one cannot flood the
 * log. */
int tar_skip(struct member_list *members, struct str path, const char *why,
             struct error *error) MUST_USE;

/* Replaces every link among the members by what it stands for. */
int tar_links_resolve(struct member_list *members, const struct tar_link_list *links,
                      struct error *error) MUST_USE;

#endif
