/* object: reads a relocatable eBPF object file (ELF64, little-endian, EM_BPF) into instructions and
 * data with every relocation done.
 *
 * What it takes and refuses is in docs/design/cage.md, "Object files". It does not look into
 * instructions other than those that relocations name: the checker does. Worst input: anything;
 * every offset and size of the file is checked before it is used, and counts are bounded by the
 * limits of base/limits.h. Nothing is kept of the file's bytes.
 */
#ifndef TARN_BPF_OBJECT_H
#define TARN_BPF_OBJECT_H

#include "base/error.h"
#include "bpf/helper.h"
#include "bpf/insn.h"
#include "bpf/layout.h"

struct bpf_section {
    struct str name;
    uint32_t first, count; /* instructions */
};

/* A function symbol of a code section, for messages and listings. */
struct bpf_function {
    struct str name;
    uint32_t first;
};

/* From instruction `insn` on, until the next: where it comes from. Ascending. */
struct bpf_line {
    uint32_t insn;
    uint32_t line;   /* from 1 */
    struct str file; /* as the compiler wrote it */
};

struct bpf_object {
    struct bpf_insn *insns; /* of all code sections, one after the other, in the file's order */
    uint32_t insn_count;
    struct bpf_section *sections; /* code sections with at least one instruction */
    uint32_t section_count;
    struct bpf_function *functions; /* ascending */
    uint32_t function_count;
    struct bpf_line *lines; /* none without debug information */
    uint32_t line_count;
    struct bpf_layout layout;
    char *ro, *data;  /* layout.ro_len and layout.data_len bytes, relocated */
    char *names;      /* what the names above borrow from */
    char *line_names; /* and the files of lines */
};

/* Fills `object`, whose memory it owns, from `bytes`, which are borrowed for the call. Calls of
 * undefined symbols become calls of `helpers` by number. -1 with a line that names what is wrong:
 * the section, symbol or offset. */
int bpf_object_read(struct bpf_object *object, struct str bytes,
                    const struct bpf_helper_table *helpers, struct error *error) MUST_USE;
/* Bare instructions with data that they find at layout.data_off: for tools and tests. Copies both.
 */
int bpf_object_from_insns(struct bpf_object *object, const struct bpf_insn *insns, uint32_t count,
                          struct str data, struct error *error) MUST_USE;
void bpf_object_deinit(struct bpf_object *object);

/* The code section an instruction is in. */
const struct bpf_section *bpf_object_section(const struct bpf_object *object, uint32_t insn);
/* The line an instruction comes from, or NULL. */
const struct bpf_line *bpf_object_line(const struct bpf_object *object, uint32_t insn);

#endif
