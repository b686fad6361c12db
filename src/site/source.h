/* source: opens what the operator calls SITE: a directory, a tar, a packed tar, one file, or
 * standard input.
 *
 * What a file is, its bytes decide, not its name: a tar by its first header, gzip and zstd by their
 * magic and a tar inside. Compressed tars are unpacked once into a memory file; a .gz that holds no
 * tar is one file like any other. But a name that promises a tar (`.tar`, `.tar.gz`, `.tgz`, ...)
 * and does not keep it is an error. Standard input, and any pipe named as SITE, is read to its end
 * into a memory file first. The index of a packed tar is used when it belongs to this very archive.
 */
#ifndef TARN_SITE_SOURCE_H
#define TARN_SITE_SOURCE_H

#include "site/member.h"

enum {
    SOURCE_FAILED = -1,
    SOURCE_ABSENT = -2, /* there is nothing: no such file, or no byte in it */
};

/* Fills and finishes the list; it owns the descriptors that its members use. *single_file: the
 * source is one file, the only member, named by the last part of `source` (empty for standard
 * input). Returns 0 or one of the codes above, with one line that names the source. Blocks, on
 * pipes for at most stdin_timeout_ms. */
int source_open(const char *source, unsigned stdin_timeout_ms, struct member_list *members,
                bool *single_file, struct error *error) MUST_USE;

#endif
