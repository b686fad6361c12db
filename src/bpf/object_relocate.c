/* A relocation says: at this place belongs the address of that symbol, plus an addend. The addend
 * is in the relocation (RELA) or already at the place (REL, what clang writes).
 *
 *     place                  addend of REL              becomes
 *     call, undefined        -                          src 0, imm: number of the helper
 *     call, function         (imm + 1) instructions     src 1, imm: distance to it
 *     wide instruction       its constant               the script's address, 64 bits
 *     data, 8 or 4 bytes     what is there              the script's address
 *
 * A call inside of one section may have no relocation; its distance stays right because sections
 * are not torn apart.
 *
 * Addresses are not checked to be inside of their section: compilers form such as are not (the end
 * of an array, or before its start with an index that makes up for it). The cage minds accesses.
 *
 * No place is relocated twice, which also bounds the work for a file whose tables overlap.
 */
#include "base/limits.h"
#include "bpf/object_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPCODE_CALL = 0x85, OPCODE_WIDE = 0x18, SUGGEST_DISTANCE = 2 };

struct relocation {
    const struct object_section *section; /* that is changed */
    uint64_t off;
    int64_t addend; /* of RELA */
    uint32_t symbol, type;
    bool has_addend;
};

/* A table of them. */
struct relocations {
    const char *entries;
    size_t entry_len;
    uint32_t count;
};

static int fail_at(struct object_reader *reader, const struct relocation *at, const char *format,
                   ...) __attribute__((format(printf, 3, 4)));

/* "section NAME, insn N: why", or with the offset for data. */
static int
fail_at(struct object_reader *reader, const struct relocation *at, const char *format, ...)
{
    char why[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    struct str name = object_shown(at->section->name);
    if (at->section->kind == SECTION_CODE)
        return error_set(reader->error, "section %.*s, insn %" PRIu64 ": %s", STR_ARG(name),
                         at->off / sizeof(struct bpf_insn), why);
    return error_set(reader->error, "section %.*s, offset 0x%" PRIx64 ": %s", STR_ARG(name),
                     at->off, why);
}

static bool
takes_relocations(const Elf64_Shdr *header)
{
    return header->sh_type == SHT_REL || header->sh_type == SHT_RELA;
}

/* Checks the table that is section `index`. */
static int
open_table(struct object_reader *reader, uint32_t index, struct relocations *table)
{
    const struct object_section *section = &reader->sections[index];
    const Elf64_Shdr *header = &section->header;
    struct str name = object_shown(section->name);
    size_t entry_len = header->sh_type == SHT_REL ? sizeof(Elf64_Rel) : sizeof(Elf64_Rela);
    if (header->sh_entsize != entry_len || header->sh_size % entry_len)
        return error_set(reader->error, "section %.*s has no relocations of %zu bytes",
                         STR_ARG(name), entry_len);
    if (header->sh_size / entry_len > BPF_RELOCATIONS_MAX)
        return error_set(reader->error, "section %.*s has more than %d relocations", STR_ARG(name),
                         BPF_RELOCATIONS_MAX);
    if (reader->symbols_section == 0 || header->sh_link != reader->symbols_section)
        return error_set(reader->error,
                         "section %.*s has its symbols in section %" PRIu32
                         ", which is no symbol table",
                         STR_ARG(name), header->sh_link);
    table->entries = section->bytes;
    table->entry_len = entry_len;
    table->count = (uint32_t)(header->sh_size / entry_len);
    return 0;
}

static struct relocation
relocation_at(const struct relocations *table, uint32_t index)
{
    Elf64_Rela raw = {0};
    memcpy(&raw, table->entries + index * table->entry_len, table->entry_len);
    return (struct relocation){
        .off = raw.r_offset,
        .addend = raw.r_addend,
        .symbol = (uint32_t)ELF64_R_SYM(raw.r_info),
        .type = (uint32_t)ELF64_R_TYPE(raw.r_info),
        .has_addend = table->entry_len == sizeof raw,
    };
}

/* The name of the function that symbol + addend is in the file, for messages: clang names static
 * ones by their section. */
static struct str
function_name(const struct object_reader *reader, const struct object_symbol *symbol,
              int64_t addend)
{
    const struct bpf_object *object = reader->object;
    const struct object_section *section = &reader->sections[symbol->section];
    uint64_t off = symbol->value + (uint64_t)addend;
    if (symbol->type != STT_SECTION || off >= section->size)
        return object_shown(symbol->name);
    uint32_t insn = section->place + (uint32_t)(off / sizeof(struct bpf_insn));
    uint32_t low = 0, high = object->function_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (object->functions[middle].first < insn)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < object->function_count && object->functions[low].first == insn;
    return object_shown(found ? object->functions[low].name : symbol->name);
}

static int
fail_function_address(struct object_reader *reader, const struct relocation *at, struct str name)
{
    return fail_at(reader, at,
                   "takes the address of function %.*s, and functions can only be called by name",
                   STR_ARG(name));
}

/* Says why `symbol` has no address that a script can use. */
static int
fail_address(struct object_reader *reader, const struct relocation *at,
             const struct object_symbol *symbol, int64_t addend)
{
    struct str name = object_shown(symbol->name);
    if (symbol->section == SHN_UNDEF && object_symbol_helper(reader, at->symbol) >= 0)
        return fail_function_address(reader, at, name);
    if (symbol->section == SHN_UNDEF)
        return fail_at(reader, at, "uses %.*s, which the file does not define", STR_ARG(name));
    if (symbol->section == SHN_COMMON)
        return fail_at(reader, at, "uses %.*s, a common symbol: compile with -fno-common",
                       STR_ARG(name));
    if (symbol->section == SHN_ABS)
        return fail_at(reader, at, "uses %.*s, which is in no section", STR_ARG(name));
    const struct object_section *section = &reader->sections[symbol->section];
    if (section->kind == SECTION_CODE)
        return fail_function_address(reader, at, function_name(reader, symbol, addend));
    if (str_eq(section->name, STR(".maps")) || str_eq(section->name, STR("maps")))
        return fail_at(reader, at, "uses %.*s, a map, and there are none", STR_ARG(name));
    return fail_at(reader, at, "uses %.*s of section %.*s, and data is in .rodata, .data and .bss",
                   STR_ARG(name), STR_ARG(object_shown(section->name)));
}

/* The script's address of symbol + addend. */
static int
data_address(struct object_reader *reader, const struct relocation *at, int64_t addend,
             uint32_t *address)
{
    const struct bpf_layout *layout = &reader->object->layout;
    struct object_symbol symbol = object_symbol(reader, at->symbol);
    bool ordinary = symbol.section != SHN_UNDEF && symbol.section < SHN_LORESERVE;
    if (!ordinary || !object_is_data(&reader->sections[symbol.section]))
        return fail_address(reader, at, &symbol, addend);
    const struct object_section *section = &reader->sections[symbol.section];
    uint32_t region = section->kind == SECTION_RO     ? BPF_RO_BASE
                      : section->kind == SECTION_DATA ? layout->data_off
                                                      : layout->bss_off;
    int64_t sum;
    if (__builtin_add_overflow((int64_t)(region + section->place + symbol.value), addend, &sum) ||
        sum < 0 || sum > UINT32_MAX)
        return fail_at(reader, at, "the address of %.*s %+" PRId64 " is outside of 32 bits",
                       STR_ARG(object_shown(symbol.name)), addend);
    *address = (uint32_t)sum;
    return 0;
}

static int
relocate_wide(struct object_reader *reader, const struct relocation *at, struct bpf_insn *insn)
{
    uint32_t address;
    bool whole = at->section->size - at->off >= 2 * sizeof *insn;
    if (!whole || insn[0].opcode != OPCODE_WIDE || insn[1].opcode != 0)
        return fail_at(reader, at, "an address of data is not in a wide instruction");
    /* clang writes only the lower half, whatever the sign. */
    int64_t addend = insn[1].imm ? (int64_t)bpf_wide_imm(insn) : insn[0].imm;
    if (data_address(reader, at, at->has_addend ? at->addend : addend, &address) != 0)
        return -1;
    insn[0].imm = (int32_t)address;
    insn[1].imm = 0;
    return 0;
}

/* The helper whose name is most like `name`, or an empty one. */
static struct str
similar_helper(const struct object_reader *reader, struct str name)
{
    struct str best = {0};
    size_t best_distance = SUGGEST_DISTANCE + 1;
    for (uint32_t i = 0; i < reader->helpers->count; i++) {
        struct str helper = str_from_cstr(reader->helpers->helpers[i].name);
        size_t distance = str_distance(name, helper, SUGGEST_DISTANCE);
        if (distance < best_distance) {
            best = helper;
            best_distance = distance;
        }
    }
    return best;
}

static int
fail_helper(struct object_reader *reader, const struct relocation *at, struct str name)
{
    if (name.len == 0)
        name = STR("a symbol without a name");
    if (str_starts_with(name, STR("zs_caddy_")))
        return fail_at(reader, at, "calls %.*s, which is not supported", STR_ARG(name));
    struct str similar = similar_helper(reader, name);
    if (similar.len)
        return fail_at(reader, at, "calls %.*s, which is no helper; %.*s is one", STR_ARG(name),
                       STR_ARG(similar));
    return fail_at(reader, at, "calls %.*s, which is no helper", STR_ARG(name));
}

static int
call_helper(struct object_reader *reader, const struct relocation *at, struct bpf_insn *insn)
{
    int64_t helper = object_symbol_helper(reader, at->symbol);
    if (helper < 0)
        return fail_helper(reader, at, object_shown(object_symbol(reader, at->symbol).name));
    insn->src = BPF_CALL_HELPER;
    insn->imm = (int32_t)helper;
    return 0;
}

static int
relocate_call(struct object_reader *reader, const struct relocation *at, struct bpf_insn *insn)
{
    struct object_symbol symbol = object_symbol(reader, at->symbol);
    struct str name = object_shown(symbol.name);
    if (insn->opcode != OPCODE_CALL)
        return fail_at(reader, at, "a call of %.*s is not in a call", STR_ARG(name));
    if (symbol.section == SHN_UNDEF)
        return call_helper(reader, at, insn);
    if (symbol.section >= SHN_LORESERVE || reader->sections[symbol.section].kind != SECTION_CODE)
        return fail_at(reader, at, "calls %.*s, which is no function", STR_ARG(name));
    const struct object_section *target = &reader->sections[symbol.section];
    int64_t addend = at->has_addend ? at->addend : ((int64_t)insn->imm + 1) * (int64_t)sizeof *insn;
    uint64_t off = symbol.value + (uint64_t)addend; /* a negative sum is above any size */
    if (off >= target->size || off % sizeof *insn)
        return fail_at(reader, at,
                       "calls %.*s %+" PRId64 ", which is no instruction of section %.*s",
                       STR_ARG(name), addend, STR_ARG(object_shown(target->name)));
    int64_t next = (int64_t)at->section->place + (int64_t)(at->off / sizeof *insn) + 1;
    insn->src = BPF_CALL_LOCAL;
    insn->imm = (int32_t)((int64_t)target->place + (int64_t)(off / sizeof *insn) - next);
    return 0;
}

/* `marks`: one for each instruction of the section. */
static int
relocate_insn(struct object_reader *reader, const struct relocation *at, uint8_t *marks)
{
    uint64_t index = at->off / sizeof(struct bpf_insn);
    if (at->off % sizeof(struct bpf_insn) || at->off >= at->section->size)
        return error_set(reader->error,
                         "section %.*s: a relocation is at 0x%" PRIx64
                         ", where no instruction begins",
                         STR_ARG(object_shown(at->section->name)), at->off);
    if (marks[index])
        return fail_at(reader, at, "relocated twice");
    marks[index] = 1;
    struct bpf_insn *insn = &reader->object->insns[at->section->place + index];
    if (at->type == RELOCATION_CALL)
        return relocate_call(reader, at, insn);
    if (at->type == RELOCATION_WIDE)
        return relocate_wide(reader, at, insn);
    return fail_at(reader, at, "a relocation of type %" PRIu32 " cannot be in code", at->type);
}

/* A signed number of 8 or 4 bytes. */
static int64_t
addend_in_place(const char *place, uint64_t len)
{
    int64_t wide;
    int32_t narrow;
    memcpy(&narrow, place, sizeof narrow);
    if (len == sizeof narrow)
        return narrow;
    memcpy(&wide, place, sizeof wide);
    return wide;
}

/* `marks`: one for each byte of the section. */
static int
relocate_data(struct object_reader *reader, const struct relocation *at, uint8_t *marks)
{
    uint64_t len = at->type == RELOCATION_ABS32 ? 4 : 8;
    if (at->type != RELOCATION_ABS64 && at->type != RELOCATION_ABS32)
        return fail_at(reader, at, "a relocation of type %" PRIu32 " cannot be in data", at->type);
    if (at->off > at->section->size || at->section->size - at->off < len)
        return fail_at(reader, at, "a relocation is outside of the section");
    if (memchr(marks + at->off, 1, len))
        return fail_at(reader, at, "relocated twice");
    memset(marks + at->off, 1, len);
    char *region = at->section->kind == SECTION_RO ? reader->object->ro : reader->object->data;
    char *place = region + at->section->place + at->off;
    uint32_t address;
    if (data_address(reader, at, at->has_addend ? at->addend : addend_in_place(place, len),
                     &address) != 0)
        return -1;
    uint64_t value = address;
    memcpy(place, &value, len);
    return 0;
}

static int
apply_table(struct object_reader *reader, const struct relocations *table,
            const struct object_section *section, uint8_t *marks)
{
    for (uint32_t i = 0; i < table->count; i++) {
        struct relocation at = relocation_at(table, i);
        at.section = section;
        if (at.symbol >= reader->symbol_count)
            return fail_at(reader, &at, "a relocation has symbol %" PRIu32 " of %" PRIu32,
                           at.symbol, reader->symbol_count);
        int result = section->kind == SECTION_CODE ? relocate_insn(reader, &at, marks)
                                                   : relocate_data(reader, &at, marks);
        if (result != 0)
            return -1;
    }
    return 0;
}

static int
relocate_section(struct object_reader *reader, uint32_t index)
{
    struct object_section *section = &reader->sections[reader->sections[index].header.sh_info];
    struct relocations table;
    if (open_table(reader, index, &table) != 0)
        return -1;
    if (!section->bytes)
        return error_set(reader->error, "section %.*s has relocations and no content",
                         STR_ARG(object_shown(section->name)));
    if (section->has_relocated)
        return error_set(reader->error, "section %.*s has two tables of relocations",
                         STR_ARG(object_shown(section->name)));
    section->has_relocated = true;
    uint8_t *marks = calloc(section->size + 1, 1);
    if (!marks)
        return error_set(reader->error, "no memory");
    int result = apply_table(reader, &table, section, marks);
    free(marks);
    return result;
}

int
object_relocate(struct object_reader *reader)
{
    for (uint32_t i = 1; i < reader->section_count; i++) {
        const Elf64_Shdr *header = &reader->sections[i].header;
        if (!takes_relocations(header))
            continue;
        if (header->sh_info >= reader->section_count)
            return error_set(reader->error,
                             "section %.*s relocates section %" PRIu32 ", and there are %" PRIu32,
                             STR_ARG(object_shown(reader->sections[i].name)), header->sh_info,
                             reader->section_count);
        if (reader->sections[header->sh_info].kind != SECTION_OTHER &&
            relocate_section(reader, i) != 0)
            return -1;
    }
    return 0;
}

static void
relocate_line(const struct object_reader *reader, const struct relocation *at, char *place)
{
    struct object_symbol symbol = object_symbol(reader, at->symbol);
    if (symbol.section == SHN_UNDEF || symbol.section >= SHN_LORESERVE)
        return;
    const struct object_section *section = &reader->sections[symbol.section];
    if (section->kind != SECTION_CODE)
        return;
    uint64_t address = (uint64_t)at->addend;
    if (!at->has_addend)
        memcpy(&address, place, sizeof address);
    address += symbol.value + section->place * sizeof(struct bpf_insn);
    memcpy(place, &address, sizeof address);
}

char *
object_relocate_lines(const struct object_reader *reader, uint32_t index)
{
    const struct object_section *section = &reader->sections[index];
    struct object_reader quiet = *reader; /* what is wrong with debug information concerns nobody */
    struct error unused;
    struct relocations table;
    char *copy = malloc(section->size + 1);
    if (!copy)
        return NULL;
    memcpy(copy, section->bytes, section->size);
    quiet.error = &unused;
    for (uint32_t i = 1; i < reader->section_count; i++) {
        const Elf64_Shdr *header = &reader->sections[i].header;
        if (!takes_relocations(header) || header->sh_info != index ||
            open_table(&quiet, i, &table) != 0)
            continue;
        for (uint32_t j = 0; j < table.count; j++) {
            struct relocation at = relocation_at(&table, j);
            if (at.type == RELOCATION_ABS64 && at.symbol < reader->symbol_count &&
                at.off <= section->size && section->size - at.off >= sizeof(uint64_t))
                relocate_line(reader, &at, copy + at.off);
        }
        break;
    }
    return copy;
}
