/* object_internal: what the parts of the object reader share. Not for others.
 *
 * Reading goes in this order: object_elf.c finds the sections and copies their names; object.c puts
 * each loaded section into its place; object_symbols.c checks the symbols; object_relocate.c
 * changes instructions and data; lines.c reads the debug information. Each later part relies on
 * what an earlier one has checked, and says so.
 */
#ifndef TARN_BPF_OBJECT_INTERNAL_H
#define TARN_BPF_OBJECT_INTERNAL_H

#include "bpf/object.h"

#include <elf.h>

/* Kinds of relocation, as LLVM names them; not all are in every <elf.h>. */
enum {
    RELOCATION_WIDE = 1,     /* R_BPF_64_64 */
    RELOCATION_ABS64 = 2,    /* R_BPF_64_ABS64 */
    RELOCATION_ABS32 = 3,    /* R_BPF_64_ABS32 */
    RELOCATION_NODYLD32 = 4, /* R_BPF_64_NODYLD32 */
    RELOCATION_CALL = 10,    /* R_BPF_64_32 */
};

enum section_kind {
    SECTION_OTHER, /* not loaded */
    SECTION_CODE,
    SECTION_RO,
    SECTION_DATA,
    SECTION_BSS, /* writable without content */
};

struct object_section {
    struct str name;    /* of reader->object->names */
    const char *bytes;  /* in the file; NULL: it has no content there */
    uint64_t size;      /* when `bytes`, of the file's bytes */
    Elf64_Shdr header;  /* as in the file */
    uint32_t place;     /* code: its first instruction; data: bytes from the start of its region */
    uint8_t kind;       /* enum section_kind */
    bool has_relocated; /* relocations were applied to it */
};

struct object_symbol {
    struct str name; /* of reader->object->names; a section's symbol without one has its name */
    uint64_t value;  /* bytes from the start of its section; for loaded ones not behind its end */
    uint16_t section;
    uint8_t type, bind;
};

struct object_reader {
    struct str file;
    const struct bpf_helper_table *helpers;
    struct bpf_object *object;
    struct error *error;
    struct object_section *sections; /* owned; the first one is none */
    uint32_t section_count;
    uint32_t symbols_section; /* 0: there are no symbols */
    uint32_t symbol_count;
    struct str symbol_names; /* of object->names; ends in NUL unless empty */
    /* Of the helpers that symbols name: number + 1, or 0 when it was not looked up. Owned. */
    uint32_t *symbol_helpers;
};

static inline uint64_t
object_align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static inline bool
object_is_data(const struct object_section *section)
{
    return section->kind == SECTION_RO || section->kind == SECTION_DATA ||
           section->kind == SECTION_BSS;
}

/* What a message shows of a name. */
static inline struct str
object_shown(struct str name)
{
    return str_first(name, 64);
}

/* All return 0, or -1 with a line in reader->error. */

/* Checks the headers; fills reader->sections but for kind and place, and what is known of the
 * symbol table. Every section with content is inside of the file. object_elf.c */
int object_read_sections(struct object_reader *reader) MUST_USE;

/* Checks every symbol; fills object->functions. Sections have their places. object_symbols.c */
int object_read_symbols(struct object_reader *reader) MUST_USE;
/* The symbol `index`, which is below reader->symbol_count. */
struct object_symbol object_symbol(const struct object_reader *reader, uint32_t index);
/* Number of the helper that the symbol `index` names, or -1 when there is none of that name. */
int64_t object_symbol_helper(struct object_reader *reader, uint32_t index);

/* Does all relocations of loaded sections. object_relocate.c */
int object_relocate(struct object_reader *reader) MUST_USE;
/* A copy of the section, .debug_line, in which addresses of instructions are bytes from the start
 * of object->insns; what cannot be is left as it is. Owned by the caller; NULL without memory. */
char *object_relocate_lines(const struct object_reader *reader, uint32_t section);

#endif
