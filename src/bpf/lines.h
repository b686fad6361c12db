/* lines: where instructions come from, by the debug information of an object file: .BTF and
 * .BTF.ext, or else .debug_line (DWARF 4 and 5).
 *
 * Debug information never makes an object unusable: what is malformed or not understood gives no
 * lines. Worst input: anything; bounded by BPF_LINES_MAX and by the length of the sections.
 */
#ifndef TARN_BPF_LINES_H
#define TARN_BPF_LINES_H

#include "bpf/object.h"

/* The sections that matter; empty where the file has none. */
struct bpf_debug {
    struct str btf, btf_ext;
    struct str line, line_str; /* .debug_line, its addresses made bytes from the start of
                                  object->insns; .debug_line_str */
};

/* Sets object->lines, ascending, one for each change of file or line; none is no error. The caller
 * frees them and *names, in which the file names are. */
void bpf_lines_read(struct bpf_object *object, const struct bpf_debug *debug, char **names);

#endif
