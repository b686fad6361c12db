/* Puts the sections that are loaded into their places and has the other parts do the rest; see
 * object_internal.h for the order.
 *
 * Places are given in the file's order. Constants and data have one region each (layout.h), in
 * which sections are aligned as they ask; a .data section without content counts as .bss.
 */
#include "bpf/object.h"

#include "base/limits.h"
#include "bpf/lines.h"
#include "bpf/object_internal.h"

#include <inttypes.h>
#include <stdlib.h>

enum { BSS_ALIGN = 64 }; /* what layout.h gives it */

/* Bytes of each region so far. */
struct region_lens {
    uint64_t ro, data, bss;
    uint64_t bss_align;
};

static uint8_t
data_kind(const struct object_section *section)
{
    const Elf64_Shdr *header = &section->header;
    bool content = header->sh_type == SHT_PROGBITS;
    if ((!content && header->sh_type != SHT_NOBITS) || !(header->sh_flags & SHF_ALLOC))
        return SECTION_OTHER;
    if (str_starts_with(section->name, STR(".rodata")) ||
        str_starts_with(section->name, STR(".data.rel.ro")))
        return SECTION_RO;
    if (str_starts_with(section->name, STR(".data")) || str_starts_with(section->name, STR(".bss")))
        return content ? SECTION_DATA : SECTION_BSS;
    return SECTION_OTHER;
}

static uint8_t
section_kind(const struct object_section *section)
{
    const uint64_t code = SHF_ALLOC | SHF_EXECINSTR;
    if (section->header.sh_type == SHT_PROGBITS && (section->header.sh_flags & code) == code)
        return SECTION_CODE;
    return data_kind(section);
}

static int
place_code(struct object_reader *reader, struct object_section *section)
{
    struct bpf_object *object = reader->object;
    struct str name = object_shown(section->name);
    if (section->name.len > BPF_NAME_MAX)
        return error_set(reader->error, "section %.*s...: a name of more than %d bytes",
                         STR_ARG(name), BPF_NAME_MAX);
    if (section->size % sizeof(struct bpf_insn))
        return error_set(reader->error, "section %.*s: %" PRIu64 " bytes are no whole instructions",
                         STR_ARG(name), section->size);
    uint64_t count = section->size / sizeof(struct bpf_insn);
    if (count > BPF_INSNS_MAX - object->insn_count)
        return error_set(reader->error, "section %.*s: more than %d instructions in all",
                         STR_ARG(name), BPF_INSNS_MAX);
    section->place = object->insn_count;
    object->insn_count += (uint32_t)count;
    object->section_count += count > 0;
    return 0;
}

static int
place_data(struct object_reader *reader, struct object_section *section, struct region_lens *lens)
{
    uint64_t *len = section->kind == SECTION_RO     ? &lens->ro
                    : section->kind == SECTION_DATA ? &lens->data
                                                    : &lens->bss;
    uint64_t align = section->header.sh_addralign ? section->header.sh_addralign : 1;
    struct str name = object_shown(section->name);
    if ((align & (align - 1)) || align > BPF_REGION_ALIGN)
        return error_set(reader->error,
                         "section %.*s: an alignment of %" PRIu64
                         ", expected a power of two up to %d",
                         STR_ARG(name), align, BPF_REGION_ALIGN);
    uint64_t off = object_align_up(*len, align);
    if (section->size > BPF_MEMORY_MAX || off > BPF_MEMORY_MAX - section->size)
        return error_set(reader->error, "section %.*s: more than %d bytes of data in all",
                         STR_ARG(name), BPF_MEMORY_MAX);
    section->place = (uint32_t)off;
    *len = off + section->size;
    if (section->kind == SECTION_BSS && align > lens->bss_align)
        lens->bss_align = align;
    return 0;
}

static int
place_section(struct object_reader *reader, struct object_section *section,
              struct region_lens *lens)
{
    section->kind = section_kind(section);
    if (section->kind == SECTION_OTHER)
        return 0;
    if (section->header.sh_flags & SHF_COMPRESSED)
        return error_set(reader->error, "section %.*s is compressed",
                         STR_ARG(object_shown(section->name)));
    return section->kind == SECTION_CODE ? place_code(reader, section)
                                         : place_data(reader, section, lens);
}

static int
place_sections(struct object_reader *reader)
{
    struct bpf_object *object = reader->object;
    struct region_lens lens = {.bss_align = BSS_ALIGN};
    for (uint32_t i = 1; i < reader->section_count; i++)
        if (place_section(reader, &reader->sections[i], &lens) != 0)
            return -1;
    if (object->insn_count == 0)
        return error_set(reader->error, "no code");
    /* .bss follows .data. */
    if (lens.bss)
        lens.data = object_align_up(lens.data, lens.bss_align);
    if (!bpf_layout_init(&object->layout, lens.ro, lens.data, lens.bss))
        return error_set(reader->error,
                         "%" PRIu64 " bytes of constants and %" PRIu64
                         " of data do not fit into %d",
                         lens.ro, lens.data + lens.bss, BPF_MEMORY_MAX - BPF_RO_BASE);
    return 0;
}

static int
alloc_object(struct bpf_object *object, struct error *error)
{
    const struct bpf_layout *layout = &object->layout;
    object->insns = calloc(object->insn_count, sizeof *object->insns);
    object->sections = calloc(object->section_count, sizeof *object->sections);
    object->ro = layout->ro_len ? calloc(layout->ro_len, 1) : NULL;
    object->data = layout->data_len ? calloc(layout->data_len, 1) : NULL;
    bool ok = object->insns && object->sections && (object->ro || layout->ro_len == 0) &&
              (object->data || layout->data_len == 0);
    return ok ? 0 : error_set(error, "no memory");
}

static void
copy_section(struct bpf_object *object, const struct object_section *section, uint32_t *at)
{
    if (section->size == 0 || !section->bytes)
        return;
    if (section->kind == SECTION_RO)
        memcpy(object->ro + section->place, section->bytes, section->size);
    if (section->kind == SECTION_DATA)
        memcpy(object->data + section->place, section->bytes, section->size);
    if (section->kind != SECTION_CODE)
        return;
    memcpy(object->insns + section->place, section->bytes, section->size);
    object->sections[(*at)++] = (struct bpf_section){
        .name = section->name,
        .first = section->place,
        .count = (uint32_t)(section->size / sizeof(struct bpf_insn)),
    };
}

static int
section_name_cmp(const void *a, const void *b)
{
    const struct bpf_section *left = *(struct bpf_section *const *)a;
    const struct bpf_section *right = *(struct bpf_section *const *)b;
    return str_cmp(left->name, right->name);
}

/* Sections are entered by their name, so it must say which. */
static int
check_section_names(struct object_reader *reader)
{
    const struct bpf_object *object = reader->object;
    const struct bpf_section **sorted = calloc(object->section_count, sizeof *sorted);
    int result = 0;
    if (!sorted)
        return error_set(reader->error, "no memory");
    for (uint32_t i = 0; i < object->section_count; i++)
        sorted[i] = &object->sections[i];
    qsort(sorted, object->section_count, sizeof *sorted, section_name_cmp);
    for (uint32_t i = 1; i < object->section_count && result == 0; i++)
        if (str_eq(sorted[i]->name, sorted[i - 1]->name))
            result = error_set(reader->error, "two code sections are named %.*s",
                               STR_ARG(object_shown(sorted[i]->name)));
    free(sorted);
    return result;
}

static int
load_sections(struct object_reader *reader)
{
    uint32_t at = 0;
    if (place_sections(reader) != 0 || alloc_object(reader->object, reader->error) != 0)
        return -1;
    for (uint32_t i = 1; i < reader->section_count; i++)
        copy_section(reader->object, &reader->sections[i], &at);
    return check_section_names(reader);
}

/* The section of debug information of that name, or 0. */
static uint32_t
find_debug(const struct object_reader *reader, struct str name)
{
    for (uint32_t i = 1; i < reader->section_count; i++) {
        const struct object_section *section = &reader->sections[i];
        if (section->header.sh_type == SHT_PROGBITS && str_eq(section->name, name) &&
            !(section->header.sh_flags & SHF_COMPRESSED))
            return i;
    }
    return 0;
}

static struct str
debug_bytes(const struct object_reader *reader, struct str name)
{
    uint32_t index = find_debug(reader, name);
    if (index == 0)
        return (struct str){0};
    return str_make(reader->sections[index].bytes, reader->sections[index].size);
}

static void
read_lines(struct object_reader *reader)
{
    struct bpf_debug debug = {
        .btf = debug_bytes(reader, STR(".BTF")),
        .btf_ext = debug_bytes(reader, STR(".BTF.ext")),
        .line_str = debug_bytes(reader, STR(".debug_line_str")),
    };
    uint32_t line = find_debug(reader, STR(".debug_line"));
    char *relocated = line ? object_relocate_lines(reader, line) : NULL;
    if (relocated)
        debug.line = str_make(relocated, reader->sections[line].size);
    bpf_lines_read(reader->object, &debug, &reader->object->line_names);
    free(relocated);
}

int
bpf_object_read(struct bpf_object *object, struct str bytes, const struct bpf_helper_table *helpers,
                struct error *error)
{
    struct object_reader reader = {
        .file = bytes,
        .helpers = helpers,
        .object = object,
        .error = error,
    };
    memset(object, 0, sizeof *object);
    int result = object_read_sections(&reader);
    if (result == 0)
        result = load_sections(&reader);
    if (result == 0)
        result = object_read_symbols(&reader);
    if (result == 0)
        result = object_relocate(&reader);
    if (result == 0)
        read_lines(&reader);
    else
        bpf_object_deinit(object);
    free(reader.sections);
    free(reader.symbol_helpers);
    return result;
}

int
bpf_object_from_insns(struct bpf_object *object, const struct bpf_insn *insns, uint32_t count,
                      struct str data, struct error *error)
{
    memset(object, 0, sizeof *object);
    if (count == 0 || count > BPF_INSNS_MAX)
        return error_set(error, "%" PRIu32 " instructions, expected 1 to %d", count, BPF_INSNS_MAX);
    if (!bpf_layout_init(&object->layout, 0, data.len, 0))
        return error_set(error, "%zu bytes of data do not fit into %d", data.len,
                         BPF_MEMORY_MAX - BPF_RO_BASE);
    object->insn_count = count;
    object->section_count = 1;
    if (alloc_object(object, error) != 0) {
        bpf_object_deinit(object);
        return -1;
    }
    memcpy(object->insns, insns, count * sizeof *insns);
    if (data.len)
        memcpy(object->data, data.ptr, data.len);
    object->sections[0] = (struct bpf_section){.name = STR(".text"), .first = 0, .count = count};
    return 0;
}

void
bpf_object_deinit(struct bpf_object *object)
{
    free(object->insns);
    free(object->sections);
    free(object->functions);
    free(object->lines);
    free(object->ro);
    free(object->data);
    free(object->names);
    free(object->line_names);
    memset(object, 0, sizeof *object);
}

const struct bpf_section *
bpf_object_section(const struct bpf_object *object, uint32_t insn)
{
    uint32_t low = 0, high = object->section_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (object->sections[middle].first <= insn)
            low = middle;
        else
            high = middle;
    }
    return &object->sections[low];
}

const struct bpf_line *
bpf_object_line(const struct bpf_object *object, uint32_t insn)
{
    uint32_t low = 0, high = object->line_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (object->lines[middle].insn <= insn)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || object->lines[low - 1].insn < bpf_object_section(object, insn)->first)
        return NULL;
    return &object->lines[low - 1];
}
