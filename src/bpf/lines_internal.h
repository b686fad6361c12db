/* lines_internal: what the readers of BTF and DWARF share. Not for others.
 *
 * Both give rows: from this instruction on, that line of that file. lines.c sorts them and drops
 * what says nothing new. A reader that returns false gives no lines.
 */
#ifndef TARN_BPF_LINES_INTERNAL_H
#define TARN_BPF_LINES_INTERNAL_H

#include "base/buf.h"
#include "bpf/cursor.h"
#include "bpf/lines.h"

struct lines_row {
    uint32_t insn, line;
    uint32_t file;  /* number of lines_add_file; while BTF is read: the offset of its name */
    uint32_t order; /* in which they came; the last for an instruction counts */
};

/* A part of lines_reader.names, which moves while it grows. */
struct lines_file {
    uint32_t off, len;
};

struct lines_reader {
    const struct bpf_object *object;
    struct lines_row *rows;
    uint32_t row_count, row_cap;
    struct lines_file *files;
    uint32_t file_count, file_cap;
    struct buf names;
};

/* Of an instruction outside of the program or a line 0, which is the compiler's own, nothing is
 * kept. False: too many. */
bool lines_add_row(struct lines_reader *reader, uint64_t insn, uint64_t line, uint32_t file);

/* A file whose name is `parts` joined by '/', from the last that begins with one; empty ones are
 * left out. Returns its number, or -1: too many. */
int64_t lines_add_file(struct lines_reader *reader, const struct str *parts, unsigned count);

/* Text from the start of `bytes` to its NUL or, cut, to BPF_FILE_NAME_MAX. */
struct str lines_text(struct str bytes);

bool lines_read_btf(struct lines_reader *reader, struct str btf, struct str btf_ext);
bool lines_read_dwarf(struct lines_reader *reader, struct str line, struct str line_str);

#endif
