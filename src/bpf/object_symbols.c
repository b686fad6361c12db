/* Symbols are read from the file when they are needed; they were all checked once before. */
#include "base/limits.h"
#include "bpf/object_internal.h"

#include <inttypes.h>
#include <stdlib.h>

static Elf64_Sym
raw_symbol(const struct object_reader *reader, uint32_t index)
{
    Elf64_Sym raw;
    memcpy(&raw, reader->sections[reader->symbols_section].bytes + (size_t)index * sizeof raw,
           sizeof raw);
    return raw;
}

static bool
is_ordinary(uint16_t section)
{
    return section != SHN_UNDEF && section < SHN_LORESERVE;
}

struct object_symbol
object_symbol(const struct object_reader *reader, uint32_t index)
{
    Elf64_Sym raw = raw_symbol(reader, index);
    const char *name = reader->symbol_names.ptr + raw.st_name;
    struct object_symbol symbol = {
        .name = str_make(name, strnlen(name, BPF_NAME_MAX)),
        .value = raw.st_value,
        .section = raw.st_shndx,
        .type = ELF64_ST_TYPE(raw.st_info),
        .bind = ELF64_ST_BIND(raw.st_info),
    };
    if (symbol.name.len == 0 && symbol.type == STT_SECTION && is_ordinary(symbol.section))
        symbol.name = reader->sections[symbol.section].name;
    return symbol;
}

static int
check_symbol(struct object_reader *reader, uint32_t index)
{
    Elf64_Sym raw = raw_symbol(reader, index);
    if (raw.st_name >= reader->symbol_names.len)
        return error_set(reader->error, "the name of symbol %" PRIu32 " is outside of all", index);
    bool known = raw.st_shndx == SHN_UNDEF || raw.st_shndx == SHN_ABS ||
                 raw.st_shndx == SHN_COMMON || raw.st_shndx < reader->section_count;
    if (!known)
        return error_set(reader->error,
                         "symbol %" PRIu32 " is in section %u, and there are %" PRIu32, index,
                         raw.st_shndx, reader->section_count);
    if (!is_ordinary(raw.st_shndx))
        return 0;
    struct object_symbol symbol = object_symbol(reader, index);
    struct str name = object_shown(symbol.name);
    const struct object_section *section = &reader->sections[symbol.section];
    if (section->kind == SECTION_OTHER)
        return 0;
    if (symbol.value > section->size)
        return error_set(reader->error, "symbol %.*s is outside of section %.*s", STR_ARG(name),
                         STR_ARG(object_shown(section->name)));
    if (section->kind == SECTION_CODE && symbol.type == STT_FUNC &&
        (symbol.value % sizeof(struct bpf_insn) || symbol.value == section->size))
        return error_set(reader->error, "function %.*s begins at no instruction of section %.*s",
                         STR_ARG(name), STR_ARG(object_shown(section->name)));
    return 0;
}

static bool
is_function(const struct object_reader *reader, const struct object_symbol *symbol)
{
    return symbol->type == STT_FUNC && symbol->name.len && is_ordinary(symbol->section) &&
           reader->sections[symbol->section].kind == SECTION_CODE;
}

static int
function_cmp(const void *a, const void *b)
{
    const struct bpf_function *left = a, *right = b;
    if (left->first != right->first)
        return left->first < right->first ? -1 : 1;
    return left->name.ptr < right->name.ptr ? -1 : left->name.ptr > right->name.ptr;
}

static int
list_functions(struct object_reader *reader)
{
    struct bpf_object *object = reader->object;
    uint32_t count = 0;
    for (uint32_t i = 0; i < reader->symbol_count; i++) {
        struct object_symbol symbol = object_symbol(reader, i);
        count += is_function(reader, &symbol);
    }
    if (count == 0)
        return 0;
    object->functions = calloc(count, sizeof *object->functions);
    if (!object->functions)
        return error_set(reader->error, "no memory");
    for (uint32_t i = 0; i < reader->symbol_count; i++) {
        struct object_symbol symbol = object_symbol(reader, i);
        if (!is_function(reader, &symbol))
            continue;
        struct bpf_function *function = &object->functions[object->function_count++];
        function->name = symbol.name;
        function->first = reader->sections[symbol.section].place +
                          (uint32_t)(symbol.value / sizeof(struct bpf_insn));
    }
    qsort(object->functions, object->function_count, sizeof *object->functions, function_cmp);
    return 0;
}

int
object_read_symbols(struct object_reader *reader)
{
    for (uint32_t i = 0; i < reader->symbol_count; i++)
        if (check_symbol(reader, i) != 0)
            return -1;
    return list_functions(reader);
}

int64_t
object_symbol_helper(struct object_reader *reader, uint32_t index)
{
    if (!reader->symbol_helpers)
        reader->symbol_helpers = calloc(reader->symbol_count, sizeof *reader->symbol_helpers);
    if (reader->symbol_helpers && reader->symbol_helpers[index])
        return (int64_t)reader->symbol_helpers[index] - 1;
    int64_t number = bpf_helper_find(reader->helpers, object_symbol(reader, index).name);
    if (reader->symbol_helpers && number >= 0)
        reader->symbol_helpers[index] = (uint32_t)number + 1;
    return number;
}
