/* The outside of the file: its header, the table of sections, their names. Everything else relies
 * on what is checked here: each section with content is inside of the file, and names end.
 *
 * Names go into messages and logs, so they are copied once, whole tables at a time, with control
 * characters replaced; a copy for each symbol could be made to cost any amount.
 */
#include "base/limits.h"
#include "bpf/object_internal.h"

#include <inttypes.h>
#include <stdlib.h>

static int
check_ident(struct object_reader *reader, const Elf64_Ehdr *header)
{
    const unsigned char *ident = header->e_ident;
    if (memcmp(ident, ELFMAG, SELFMAG) != 0)
        return error_set(reader->error, "not an ELF file");
    if (ident[EI_CLASS] != ELFCLASS64)
        return error_set(reader->error, "not a 64-bit ELF file");
    if (ident[EI_DATA] != ELFDATA2LSB)
        return error_set(reader->error, "not little-endian: compile with clang -target bpfel");
    if (ident[EI_VERSION] != EV_CURRENT || header->e_version != EV_CURRENT)
        return error_set(reader->error, "not of ELF version 1");
    return 0;
}

static int
read_header(struct object_reader *reader, Elf64_Ehdr *header)
{
    if (reader->file.len > BPF_OBJECT_MAX)
        return error_set(reader->error, "object file of %zu bytes, at most %d", reader->file.len,
                         BPF_OBJECT_MAX);
    if (reader->file.len < sizeof *header)
        return error_set(reader->error, "not an ELF file: it has %zu bytes", reader->file.len);
    memcpy(header, reader->file.ptr, sizeof *header);
    if (check_ident(reader, header) != 0)
        return -1;
    if (header->e_machine != EM_BPF)
        return error_set(reader->error,
                         "for another processor (ELF machine %u): compile with clang -target bpf",
                         header->e_machine);
    if (header->e_type != ET_REL)
        return error_set(reader->error,
                         "not a relocatable object (ELF type %u): compile with clang -c",
                         header->e_type);
    return 0;
}

/* A table of `len` bytes at `off` of the file, or one with a NULL pointer. */
static struct str
file_part(const struct object_reader *reader, uint64_t off, uint64_t len)
{
    if (off > reader->file.len || len > reader->file.len - off)
        return (struct str){0};
    return str_make(reader->file.ptr + off, len);
}

static int
read_table(struct object_reader *reader, const Elf64_Ehdr *header)
{
    /* A count that needs more than 16 bits stands elsewhere and is 0 here; that is over the limit.
     */
    if (header->e_shoff == 0)
        return error_set(reader->error, "no sections");
    if (header->e_shentsize != sizeof(Elf64_Shdr))
        return error_set(reader->error, "section headers of %u bytes, expected %zu",
                         header->e_shentsize, sizeof(Elf64_Shdr));
    if (header->e_shnum == 0 || header->e_shnum > BPF_SECTIONS_MAX)
        return error_set(reader->error, "expected 1 to %d sections", BPF_SECTIONS_MAX);
    struct str table =
        file_part(reader, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr));
    if (!table.ptr)
        return error_set(reader->error, "the table of sections is outside of the file");
    reader->section_count = header->e_shnum;
    reader->sections = calloc(header->e_shnum, sizeof *reader->sections);
    if (!reader->sections)
        return error_set(reader->error, "no memory");
    for (uint32_t i = 0; i < reader->section_count; i++)
        memcpy(&reader->sections[i].header, table.ptr + i * sizeof(Elf64_Shdr), sizeof(Elf64_Shdr));
    return 0;
}

static int
read_contents(struct object_reader *reader)
{
    for (uint32_t i = 1; i < reader->section_count; i++) {
        struct object_section *section = &reader->sections[i];
        const Elf64_Shdr *header = &section->header;
        section->size = header->sh_size;
        if (header->sh_type == SHT_NOBITS || header->sh_type == SHT_NULL)
            continue;
        section->bytes = file_part(reader, header->sh_offset, header->sh_size).ptr;
        if (!section->bytes)
            return error_set(reader->error, "section %" PRIu32 " is outside of the file", i);
    }
    return 0;
}

static int
find_symbols(struct object_reader *reader)
{
    for (uint32_t i = 1; i < reader->section_count; i++) {
        const Elf64_Shdr *header = &reader->sections[i].header;
        if (header->sh_type != SHT_SYMTAB)
            continue;
        if (reader->symbols_section)
            return error_set(reader->error,
                             "sections %" PRIu32 " and %" PRIu32 " are both a symbol table",
                             reader->symbols_section, i);
        if (header->sh_entsize != sizeof(Elf64_Sym) || header->sh_size % sizeof(Elf64_Sym))
            return error_set(reader->error, "the symbol table has no symbols of %zu bytes",
                             sizeof(Elf64_Sym));
        if (header->sh_size / sizeof(Elf64_Sym) > BPF_SYMBOLS_MAX)
            return error_set(reader->error, "more than %d symbols", BPF_SYMBOLS_MAX);
        reader->symbols_section = i;
        reader->symbol_count = (uint32_t)(header->sh_size / sizeof(Elf64_Sym));
    }
    return 0;
}

/* The table of names in section `index`; `what` they are names of. */
static int
check_names(struct object_reader *reader, uint32_t index, const char *what, struct str *names)
{
    if (index == 0 || index >= reader->section_count ||
        reader->sections[index].header.sh_type != SHT_STRTAB)
        return error_set(reader->error,
                         "there are no names of %s: section %" PRIu32 " is no string table", what,
                         index);
    *names = str_make(reader->sections[index].bytes, reader->sections[index].size);
    if (names->len == 0 || names->ptr[names->len - 1] != '\0')
        return error_set(reader->error, "the names of %s do not end", what);
    return 0;
}

static struct str
copy_names(char *to, struct str names)
{
    for (size_t i = 0; i < names.len; i++) {
        unsigned char c = (unsigned char)names.ptr[i];
        to[i] = (char)((c < ' ' && c) || c == 0x7f ? '?' : c);
    }
    return str_make(to, names.len);
}

static int
read_names(struct object_reader *reader, uint32_t index, struct str *section_names)
{
    uint32_t symbol_index =
        reader->symbols_section ? reader->sections[reader->symbols_section].header.sh_link : index;
    struct str names, symbol_names;
    if (check_names(reader, index, "sections", &names) != 0 ||
        check_names(reader, symbol_index, "symbols", &symbol_names) != 0)
        return -1;
    bool shared = symbol_index == index;
    reader->object->names = malloc(names.len + (shared ? 0 : symbol_names.len));
    if (!reader->object->names)
        return error_set(reader->error, "no memory");
    *section_names = copy_names(reader->object->names, names);
    reader->symbol_names =
        shared ? *section_names : copy_names(reader->object->names + names.len, symbol_names);
    return 0;
}

static int
name_sections(struct object_reader *reader, struct str names)
{
    for (uint32_t i = 1; i < reader->section_count; i++) {
        uint32_t off = reader->sections[i].header.sh_name;
        if (off >= names.len)
            return error_set(reader->error, "the name of section %" PRIu32 " is outside of all", i);
        /* One more than allowed, so that who looks sees that it is too long. */
        reader->sections[i].name =
            str_make(names.ptr + off, strnlen(names.ptr + off, BPF_NAME_MAX + 1));
    }
    return 0;
}

int
object_read_sections(struct object_reader *reader)
{
    Elf64_Ehdr header;
    struct str names;
    if (read_header(reader, &header) != 0 || read_table(reader, &header) != 0 ||
        read_contents(reader) != 0 || find_symbols(reader) != 0 ||
        read_names(reader, header.e_shstrndx, &names) != 0)
        return -1;
    return name_sections(reader, names);
}
