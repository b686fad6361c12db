/* object_test_run: writes object files for tests, right ones and, by changing what was written,
 * wrong ones; and has clang write some where there is a clang.
 */
#ifndef TARN_BPF_OBJECT_TEST_RUN_H
#define TARN_BPF_OBJECT_TEST_RUN_H

#include "base/buf.h"
#include "base/must.h"
#include "bpf/object.h"

#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ELF_SECTIONS_MAX = 32, ELF_FILE_MAX = 64 << 20 };

struct elf_section {
    Elf64_Shdr header;
    struct buf bytes;
    struct buf relocations;
    uint32_t relocations_type; /* SHT_REL unless there is a RELA */
};

struct elf_writer {
    struct elf_section sections[ELF_SECTIONS_MAX];
    unsigned count;
    struct buf names, symbols;
    unsigned symtab, strtab; /* their sections, when finished */
    struct buf file;
};

static inline uint32_t
elf_name(struct elf_writer *elf, const char *name)
{
    uint32_t off = (uint32_t)elf->names.len;
    buf_append(&elf->names, str_make(name, strlen(name) + 1));
    return off;
}

static inline unsigned
elf_section(struct elf_writer *elf, const char *name, uint32_t type, uint64_t flags,
            const void *bytes, size_t len)
{
    must(elf->count < ELF_SECTIONS_MAX);
    struct elf_section *section = &elf->sections[elf->count];
    memset(section, 0, sizeof *section);
    section->header.sh_name = elf_name(elf, name);
    section->header.sh_type = type;
    section->header.sh_flags = flags;
    section->header.sh_addralign = 8;
    section->header.sh_size = len;
    buf_init(&section->bytes, ELF_FILE_MAX);
    buf_init(&section->relocations, ELF_FILE_MAX);
    if (bytes)
        buf_append(&section->bytes, str_make(bytes, len));
    return elf->count++;
}

static inline unsigned
elf_symbol(struct elf_writer *elf, const char *name, unsigned type, unsigned section,
           uint64_t value)
{
    Elf64_Sym symbol = {
        .st_name = name[0] ? elf_name(elf, name) : 0,
        .st_info = (unsigned char)ELF64_ST_INFO(STB_GLOBAL, type),
        .st_shndx = (Elf64_Half)section,
        .st_value = value,
    };
    buf_append(&elf->symbols, str_make((const char *)&symbol, sizeof symbol));
    return (unsigned)(elf->symbols.len / sizeof symbol - 1);
}

static inline void
elf_init(struct elf_writer *elf)
{
    memset(elf, 0, sizeof *elf);
    buf_init(&elf->names, ELF_FILE_MAX);
    buf_init(&elf->symbols, ELF_FILE_MAX);
    buf_init(&elf->file, ELF_FILE_MAX);
    elf_section(elf, "", SHT_NULL, 0, NULL, 0);
    elf_symbol(elf, "", STT_NOTYPE, SHN_UNDEF, 0);
}

static inline void
elf_deinit(struct elf_writer *elf)
{
    for (unsigned i = 0; i < elf->count; i++) {
        buf_deinit(&elf->sections[i].bytes);
        buf_deinit(&elf->sections[i].relocations);
    }
    buf_deinit(&elf->names);
    buf_deinit(&elf->symbols);
    buf_deinit(&elf->file);
}

static inline unsigned
elf_code(struct elf_writer *elf, const char *name, const struct bpf_insn *insns, size_t count)
{
    return elf_section(elf, name, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, insns,
                       count * sizeof *insns);
}

static inline unsigned
elf_data(struct elf_writer *elf, const char *name, const void *bytes, size_t len)
{
    return elf_section(elf, name, SHT_PROGBITS, SHF_ALLOC, bytes, len);
}

static inline unsigned
elf_bss(struct elf_writer *elf, const char *name, size_t len)
{
    return elf_section(elf, name, SHT_NOBITS, SHF_ALLOC | SHF_WRITE, NULL, len);
}

static inline void
elf_rel(struct elf_writer *elf, unsigned section, uint64_t off, uint32_t type, uint32_t symbol)
{
    Elf64_Rel rel = {off, ELF64_R_INFO((uint64_t)symbol, type)};
    elf->sections[section].relocations_type = SHT_REL;
    buf_append(&elf->sections[section].relocations, str_make((const char *)&rel, sizeof rel));
}

static inline void
elf_rela(struct elf_writer *elf, unsigned section, uint64_t off, uint32_t type, uint32_t symbol,
         int64_t addend)
{
    Elf64_Rela rela = {off, ELF64_R_INFO((uint64_t)symbol, type), addend};
    elf->sections[section].relocations_type = SHT_RELA;
    buf_append(&elf->sections[section].relocations, str_make((const char *)&rela, sizeof rela));
}

/* A section of relocations behind the others for each that has some. */
static inline void
elf_finish_relocations(struct elf_writer *elf)
{
    for (unsigned i = 1, count = elf->count; i < count; i++) {
        struct str bytes = buf_str(&elf->sections[i].relocations);
        uint32_t type = elf->sections[i].relocations_type;
        if (bytes.len == 0)
            continue;
        unsigned at = elf_section(elf, ".rel", type, SHF_INFO_LINK, bytes.ptr, bytes.len);
        elf->sections[at].header.sh_info = i;
        elf->sections[at].header.sh_link = elf->symtab;
        elf->sections[at].header.sh_entsize =
            type == SHT_REL ? sizeof(Elf64_Rel) : sizeof(Elf64_Rela);
    }
}

static inline void
elf_write(struct elf_writer *elf)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_REL,
        .e_machine = EM_BPF,
        .e_version = EV_CURRENT,
        .e_ehsize = sizeof header,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = (Elf64_Half)elf->count,
        .e_shstrndx = (Elf64_Half)elf->strtab,
    };
    uint64_t off = sizeof header;
    for (unsigned i = 1; i < elf->count; i++) {
        elf->sections[i].header.sh_offset = off;
        off += (elf->sections[i].bytes.len + 7) / 8 * 8;
    }
    header.e_shoff = off;
    buf_append(&elf->file, str_make((const char *)&header, sizeof header));
    for (unsigned i = 1; i < elf->count; i++) {
        buf_append(&elf->file, buf_str(&elf->sections[i].bytes));
        buf_append(&elf->file, str_make("\0\0\0\0\0\0\0", -elf->file.len % 8));
    }
    for (unsigned i = 0; i < elf->count; i++)
        buf_append(&elf->file,
                   str_make((const char *)&elf->sections[i].header, sizeof(Elf64_Shdr)));
    must(!buf_overflowed(&elf->file));
}

/* What was described, as a file in elf->file. The symbol table is the last section but one of those
 * that were not asked for, the names are the last. */
static inline void
elf_finish(struct elf_writer *elf)
{
    elf->symtab = elf_section(elf, ".symtab", SHT_SYMTAB, 0, elf->symbols.ptr, elf->symbols.len);
    elf->strtab = elf->symtab + 1;
    elf->sections[elf->symtab].header.sh_link = elf->strtab;
    elf->sections[elf->symtab].header.sh_entsize = sizeof(Elf64_Sym);
    must(elf_section(elf, ".strtab", SHT_STRTAB, 0, NULL, 0) == elf->strtab);
    elf_finish_relocations(elf);
    buf_append(&elf->sections[elf->strtab].bytes, buf_str(&elf->names));
    elf->sections[elf->strtab].header.sh_size = elf->names.len;
    elf_write(elf);
}

/* In the finished file. */
static inline Elf64_Ehdr *
elf_header(struct elf_writer *elf)
{
    return (Elf64_Ehdr *)(void *)elf->file.ptr;
}

static inline Elf64_Shdr *
elf_section_header(struct elf_writer *elf, unsigned index)
{
    return (Elf64_Shdr *)(void *)(elf->file.ptr + elf_header(elf)->e_shoff) + index;
}

static inline Elf64_Sym *
elf_symbol_entry(struct elf_writer *elf, unsigned index)
{
    return (Elf64_Sym *)(void *)(elf->file.ptr + elf_section_header(elf, elf->symtab)->sh_offset) +
           index;
}

static inline uint64_t
test_helper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return 0;
}

static const struct bpf_helper test_helper_list[] = {
    {"zs_log", test_helper},
    {"memcpy", test_helper},
    {"zs_now_ms", test_helper},
};
static const struct bpf_helper_table test_helpers = {test_helper_list, 3};

/* Reads a copy of exact size, which is gone before anybody looks at the object. */
static inline int
test_read(struct bpf_object *object, struct str file, struct error *error)
{
    char *copy = malloc(file.len ? file.len : 1);
    must(copy);
    if (file.len)
        memcpy(copy, file.ptr, file.len);
    error->text[0] = '\0';
    int result = bpf_object_read(object, str_make(copy, file.len), &test_helpers, error);
    memset(copy, 0xa5, file.len);
    free(copy);
    return result;
}

/* Where a script's address is in the object's constants or data; NULL: in neither. */
static inline const char *
test_memory(const struct bpf_object *object, uint64_t addr)
{
    const struct bpf_layout *layout = &object->layout;
    if (addr >= BPF_RO_BASE && addr < (uint64_t)BPF_RO_BASE + layout->ro_len)
        return object->ro + (addr - BPF_RO_BASE);
    if (addr >= layout->data_off && addr < (uint64_t)layout->data_off + layout->data_len)
        return object->data + (addr - layout->data_off);
    return NULL;
}

/* Runs a program found by PATH, its output thrown away. Its exit code, or -1. */
static inline int
test_spawn(const char *const *argv)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    must(posix_spawn_file_actions_init(&actions) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) == 0);
    must(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) == 0);
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static inline void
test_read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    must(file);
    for (size_t got = 1; got > 0;) {
        char *room = buf_reserve(out, 4096);
        must(room);
        got = fread(room, 1, 4096, file);
        buf_commit(out, got);
    }
    fclose(file);
}

/* Has `compiler` make an object of `source` with -O2, -mcpu=v3 and the option `debug`. False: there
 * is no such compiler, or none for this target. */
static inline bool
test_compile(const char *compiler, const char *debug, const char *source, struct buf *out)
{
    char folder[] = "/tmp/tarn-object-XXXXXX", from[64], to[64];
    must(mkdtemp(folder));
    snprintf(from, sizeof from, "%s/script.c", folder);
    snprintf(to, sizeof to, "%s/script.o", folder);
    FILE *file = fopen(from, "w");
    must(file && fputs(source, file) >= 0 && fclose(file) == 0);
    const char *const argv[] = {compiler, "-target", "bpf", "-mcpu=v3", "-O2", "-fno-builtin",
                                debug,    "-c",      from,  "-o",       to,    NULL};
    bool made = test_spawn(argv) == 0;
    buf_clear(out);
    if (made)
        test_read_file(to, out);
    unlink(from);
    unlink(to);
    rmdir(folder);
    return made;
}

/* The names of compilers to look for, the newest first. NULL behind the last. */
static inline const char *
test_compiler(unsigned index)
{
    static const char *const names[] = {"clang-22", "clang-21", "clang-20", "clang-19", "clang-18",
                                        "clang-17", "clang-16", "clang-15", "clang-14"};
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

#endif
