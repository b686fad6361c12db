/* One right file, and each way in which a file can be wrong with the line that says so. */
#include "base/limits.h"
#include "bpf/object_test_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

enum { R_WIDE = 1, R_ABS64 = 2, R_ABS32 = 3, R_NODYLD32 = 4, R_CALL = 10 };

/* Sections and symbols of the specimen. */
enum { CODE = 1, RODATA, DATA, BSS, OTHER, MAPS, SYMTAB, STRTAB, REL_CODE, REL_DATA, SECTIONS };
enum { SYM_LOG = 1, SYM_DATA, SYM_RODATA, SYM_FUNCTION, SYM_OTHER, SYM_SECTION, SYM_MAP, SYMBOLS };

static const struct bpf_insn code[] = {
    {.opcode = 0x85, .src = 1, .imm = -1}, /* zs_log */
    {.opcode = 0x18, .dst = 1},            /* data */
    {.opcode = 0},
    {.opcode = 0x85, .src = 1, .imm = -1}, /* fn */
    {.opcode = 0x95},
};

static void
specimen(struct elf_writer *elf)
{
    elf_init(elf);
    elf_code(elf, "s", code, sizeof code / sizeof *code);
    elf_data(elf, ".rodata", "0123456789abcdef", 16);
    elf_data(elf, ".data", "0123456789abcdef", 16);
    elf_bss(elf, ".bss", 32);
    elf_section(elf, "other", SHT_PROGBITS, SHF_ALLOC, "01234567", 8);
    elf_section(elf, ".maps", SHT_PROGBITS, SHF_ALLOC, "01234567", 8);
    elf_symbol(elf, "zs_log", STT_NOTYPE, SHN_UNDEF, 0);
    elf_symbol(elf, "data", STT_OBJECT, DATA, 8);
    elf_symbol(elf, "rodata", STT_OBJECT, RODATA, 8);
    elf_symbol(elf, "fn", STT_FUNC, CODE, 32);
    elf_symbol(elf, "x", STT_OBJECT, OTHER, 0);
    elf_symbol(elf, "", STT_SECTION, CODE, 0);
    elf_symbol(elf, "map", STT_OBJECT, MAPS, 0);
    elf_rel(elf, CODE, 0, R_CALL, SYM_LOG);
    elf_rel(elf, CODE, 8, R_WIDE, SYM_DATA);
    elf_rel(elf, CODE, 24, R_CALL, SYM_FUNCTION);
    memset(elf->sections[DATA].bytes.ptr, 0, 8);
    elf_rel(elf, DATA, 0, R_ABS64, SYM_RODATA);
    elf_finish(elf);
}

/* A number that is written over one of the specimen. */
struct patch {
    enum { IN_NONE, IN_HEADER, IN_SECTION, IN_SYMBOL, IN_CONTENT } where;
    unsigned index; /* of section or symbol */
    size_t off;
    unsigned len;
    uint64_t value;
};

struct malformed {
    const char *line;
    struct patch patches[3];
};

#define HEADER(field, value)                                                               \
    {                                                                                      \
        IN_HEADER, 0, offsetof(Elf64_Ehdr, field), sizeof(((Elf64_Ehdr *)0)->field), value \
    }
#define SECTION(index, field, value)                                                            \
    {                                                                                           \
        IN_SECTION, index, offsetof(Elf64_Shdr, field), sizeof(((Elf64_Shdr *)0)->field), value \
    }
#define SYMBOL(index, field, value)                                                          \
    {                                                                                        \
        IN_SYMBOL, index, offsetof(Elf64_Sym, field), sizeof(((Elf64_Sym *)0)->field), value \
    }
#define CONTENT(index, off, len, value)    \
    {                                      \
        IN_CONTENT, index, off, len, value \
    }
#define IDENT(at, value)           \
    {                              \
        IN_HEADER, 0, at, 1, value \
    }
/* Relocation `at` of the table. */
#define REL_OFF(index, at, value) CONTENT(index, 16 * (at), 8, value)
#define REL_INFO(index, at, type, symbol) \
    CONTENT(index, 16 * (at) + 8, 8, ELF64_R_INFO((uint64_t)(symbol), type))

static const struct malformed headers[] = {
    {"not an ELF file", {IDENT(0, 'x')}},
    {"not a 64-bit ELF file", {IDENT(EI_CLASS, ELFCLASS32)}},
    {"not little-endian: compile with clang -target bpfel", {IDENT(EI_DATA, ELFDATA2MSB)}},
    {"not of ELF version 1", {IDENT(EI_VERSION, 2)}},
    {"not of ELF version 1", {HEADER(e_version, 7)}},
    {"for another processor (ELF machine 62): compile with clang -target bpf",
     {HEADER(e_machine, EM_X86_64)}},
    {"not a relocatable object (ELF type 2): compile with clang -c", {HEADER(e_type, ET_EXEC)}},
    {"no sections", {HEADER(e_shoff, 0)}},
    {"section headers of 56 bytes, expected 64", {HEADER(e_shentsize, 56)}},
    {"expected 1 to 4096 sections", {HEADER(e_shnum, 0)}},
    {"expected 1 to 4096 sections", {HEADER(e_shnum, 4097)}},
    {"the table of sections is outside of the file", {HEADER(e_shnum, SECTIONS + 1)}},
    {"the table of sections is outside of the file", {HEADER(e_shoff, UINT64_MAX)}},
    {"the table of sections is outside of the file", {HEADER(e_shoff, UINT64_MAX - 64)}},
    {"there are no names of sections: section 0 is no string table", {HEADER(e_shstrndx, 0)}},
    {"there are no names of sections: section 1 is no string table", {HEADER(e_shstrndx, 1)}},
    {"there are no names of sections: section 11 is no string table",
     {HEADER(e_shstrndx, SECTIONS)}},
    {"there are no names of sections: section 65535 is no string table",
     {HEADER(e_shstrndx, SHN_XINDEX)}},
};

static const struct malformed sections[] = {
    {"section 2 is outside of the file", {SECTION(RODATA, sh_offset, UINT64_MAX)}},
    {"section 2 is outside of the file", {SECTION(RODATA, sh_size, UINT64_MAX)}},
    {"section 5 is outside of the file", {SECTION(OTHER, sh_size, 1 << 20)}},
    {"the name of section 3 is outside of all", {SECTION(DATA, sh_name, UINT32_MAX)}},
    {"the names of sections do not end", {SECTION(STRTAB, sh_size, 6)}},
    {"the names of sections do not end", {SECTION(STRTAB, sh_size, 0)}},
    {"section s: 39 bytes are no whole instructions", {SECTION(CODE, sh_size, 39)}},
    {"no code", {SECTION(CODE, sh_flags, SHF_ALLOC)}},
    {"no code", {SECTION(CODE, sh_flags, SHF_EXECINSTR)}},
    {"no code", {SECTION(CODE, sh_type, SHT_NOBITS)}},
    {"section s is compressed",
     {SECTION(CODE, sh_flags, SHF_ALLOC | SHF_EXECINSTR | SHF_COMPRESSED)}},
    {"section .data is compressed", {SECTION(DATA, sh_flags, SHF_ALLOC | SHF_COMPRESSED)}},
    {"section .data: an alignment of 12, expected a power of two up to 65536",
     {SECTION(DATA, sh_addralign, 12)}},
    {"section .bss: an alignment of 131072, expected a power of two up to 65536",
     {SECTION(BSS, sh_addralign, 1 << 17)}},
    {"section .bss: more than 8388608 bytes of data in all", {SECTION(BSS, sh_size, 8388609)}},
    {"section .bss: more than 8388608 bytes of data in all", {SECTION(BSS, sh_size, UINT64_MAX)}},
    {"16 bytes of constants and 8388128 of data do not fit into 8257536",
     {SECTION(BSS, sh_size, 8388064)}},
    {"sections 6 and 7 are both a symbol table",
     {SECTION(MAPS, sh_type, SHT_SYMTAB), SECTION(MAPS, sh_entsize, 24),
      SECTION(MAPS, sh_size, 0)}},
    {"the symbol table has no symbols of 24 bytes", {SECTION(SYMTAB, sh_entsize, 16)}},
    {"the symbol table has no symbols of 24 bytes", {SECTION(SYMTAB, sh_size, 25)}},
    {"there are no names of symbols: section 0 is no string table", {SECTION(SYMTAB, sh_link, 0)}},
    {"there are no names of symbols: section 4294967295 is no string table",
     {SECTION(SYMTAB, sh_link, UINT32_MAX)}},
};

static const struct malformed symbols[] = {
    {"the name of symbol 1 is outside of all", {SYMBOL(SYM_LOG, st_name, 1 << 20)}},
    {"symbol 2 is in section 11, and there are 11", {SYMBOL(SYM_DATA, st_shndx, SECTIONS)}},
    {"symbol 2 is in section 65535, and there are 11", {SYMBOL(SYM_DATA, st_shndx, SHN_XINDEX)}},
    {"symbol data is outside of section .data", {SYMBOL(SYM_DATA, st_value, 17)}},
    {"symbol data is outside of section .data", {SYMBOL(SYM_DATA, st_value, UINT64_MAX)}},
    {"symbol fn is outside of section s", {SYMBOL(SYM_FUNCTION, st_value, 48)}},
    {"function fn begins at no instruction of section s", {SYMBOL(SYM_FUNCTION, st_value, 40)}},
    {"function fn begins at no instruction of section s", {SYMBOL(SYM_FUNCTION, st_value, 12)}},
};

static const struct malformed tables[] = {
    {"section .rel has no relocations of 16 bytes", {SECTION(REL_CODE, sh_entsize, 24)}},
    {"section .rel has no relocations of 24 bytes", {SECTION(REL_CODE, sh_type, SHT_RELA)}},
    {"section .rel has no relocations of 16 bytes", {SECTION(REL_CODE, sh_size, 40)}},
    {"section .rel has its symbols in section 0, which is no symbol table",
     {SECTION(REL_CODE, sh_link, 0)}},
    {"section .rel has its symbols in section 7, which is no symbol table",
     {SECTION(SYMTAB, sh_type, SHT_NOTE)}},
    {"section .rel relocates section 11, and there are 11", {SECTION(REL_CODE, sh_info, SECTIONS)}},
    {"section .bss has relocations and no content", {SECTION(REL_CODE, sh_info, BSS)}},
    {"section s has two tables of relocations", {SECTION(REL_DATA, sh_info, CODE)}},
};

static const struct malformed relocations[] = {
    {"section s: a relocation is at 0x4, where no instruction begins", {REL_OFF(REL_CODE, 0, 4)}},
    {"section s: a relocation is at 0x28, where no instruction begins", {REL_OFF(REL_CODE, 0, 40)}},
    {"section s: a relocation is at 0xfffffffffffffff8, where no instruction begins",
     {REL_OFF(REL_CODE, 0, -8)}},
    {"section s, insn 0: relocated twice", {REL_OFF(REL_CODE, 1, 0)}},
    {"section s, insn 0: a relocation has symbol 8 of 8", {REL_INFO(REL_CODE, 0, R_CALL, SYMBOLS)}},
    {"section s, insn 0: a relocation of type 2 cannot be in code",
     {REL_INFO(REL_CODE, 0, R_ABS64, SYM_DATA)}},
    {"section s, insn 0: a relocation of type 4 cannot be in code",
     {REL_INFO(REL_CODE, 0, R_NODYLD32, SYM_DATA)}},
    {"section s, insn 0: a relocation of type 4294967295 cannot be in code",
     {REL_INFO(REL_CODE, 0, UINT32_MAX, SYM_DATA)}},
    {"section .data, offset 0x0: a relocation of type 1 cannot be in data",
     {REL_INFO(REL_DATA, 0, R_WIDE, SYM_DATA)}},
    {"section .data, offset 0x0: a relocation of type 10 cannot be in data",
     {REL_INFO(REL_DATA, 0, R_CALL, SYM_LOG)}},
    {"section .data, offset 0x9: a relocation is outside of the section",
     {REL_OFF(REL_DATA, 0, 9)}},
    {"section .data, offset 0xffffffffffffffff: a relocation is outside of the section",
     {REL_OFF(REL_DATA, 0, -1)}},
    {"section .data, offset 0xd: a relocation is outside of the section",
     {REL_OFF(REL_DATA, 0, 13), REL_INFO(REL_DATA, 0, R_ABS32, SYM_DATA)}},
};

static const struct malformed calls[] = {
    {"section s, insn 1: a call of data is not in a call",
     {REL_INFO(REL_CODE, 1, R_CALL, SYM_DATA)}},
    {"section s, insn 0: calls data, which is no function",
     {REL_INFO(REL_CODE, 0, R_CALL, SYM_DATA)}},
    {"section s, insn 0: calls x, which is no function",
     {REL_INFO(REL_CODE, 0, R_CALL, SYM_OTHER)}},
    {"section s, insn 0: calls zs_log, which is no function", {SYMBOL(SYM_LOG, st_shndx, SHN_ABS)}},
    {"section s, insn 0: calls zs_log, which is no function",
     {SYMBOL(SYM_LOG, st_shndx, SHN_COMMON)}},
    {"section s, insn 3: calls fn +8, which is no instruction of section s",
     {CONTENT(CODE, 28, 4, 0)}},
    {"section s, insn 3: calls fn -40, which is no instruction of section s",
     {CONTENT(CODE, 28, 4, (uint32_t)-6)}},
    {"section s, insn 3: calls fn -17179869176, which is no instruction of section s",
     {CONTENT(CODE, 28, 4, (uint32_t)INT32_MIN)}},
    {"section s, insn 3: calls s +0, which is no instruction of section s",
     {REL_INFO(REL_CODE, 2, R_CALL, SYM_SECTION), SYMBOL(SYM_SECTION, st_value, 4)}},
};

static const struct malformed addresses[] = {
    {"section s, insn 0: an address of data is not in a wide instruction",
     {REL_INFO(REL_CODE, 0, R_WIDE, SYM_DATA)}},
    {"section s, insn 4: an address of data is not in a wide instruction",
     {REL_OFF(REL_CODE, 1, 32), CONTENT(CODE, 32, 1, 0x18)}},
    {"section s, insn 1: an address of data is not in a wide instruction",
     {CONTENT(CODE, 16, 1, 0x95)}},
    {"section s, insn 1: takes the address of function fn, and functions can only be called by "
     "name",
     {REL_INFO(REL_CODE, 1, R_WIDE, SYM_FUNCTION)}},
    {"section s, insn 1: takes the address of function fn, and functions can only be called by "
     "name",
     {REL_INFO(REL_CODE, 1, R_WIDE, SYM_SECTION), CONTENT(CODE, 12, 4, 32)}},
    {"section s, insn 1: takes the address of function s, and functions can only be called by name",
     {REL_INFO(REL_CODE, 1, R_WIDE, SYM_SECTION), CONTENT(CODE, 12, 4, -1)}},
    {"section s, insn 1: takes the address of function zs_log, and functions can only be called by "
     "name",
     {REL_INFO(REL_CODE, 1, R_WIDE, SYM_LOG)}},
    {"section .data, offset 0x0: takes the address of function fn, and functions can only be "
     "called "
     "by name",
     {REL_INFO(REL_DATA, 0, R_ABS64, SYM_FUNCTION)}},
    {"section s, insn 1: uses data, which the file does not define",
     {SYMBOL(SYM_DATA, st_shndx, SHN_UNDEF)}},
    {"section s, insn 1: uses data, a common symbol: compile with -fno-common",
     {SYMBOL(SYM_DATA, st_shndx, SHN_COMMON)}},
    {"section s, insn 1: uses data, which is in no section", {SYMBOL(SYM_DATA, st_shndx, SHN_ABS)}},
    {"section s, insn 1: uses map, a map, and there are none",
     {REL_INFO(REL_CODE, 1, R_WIDE, SYM_MAP)}},
    {"section s, insn 1: uses x of section other, and data is in .rodata, .data and .bss",
     {REL_INFO(REL_CODE, 1, R_WIDE, SYM_OTHER)}},
    {"section .data, offset 0x0: the address of rodata -131081 is outside of 32 bits",
     {CONTENT(DATA, 0, 8, -131081)}},
    {"section .data, offset 0x0: the address of rodata +9223372036854775807 is outside of 32 bits",
     {CONTENT(DATA, 0, 8, INT64_MAX)}},
    {"section s, insn 1: the address of data +4294967296 is outside of 32 bits",
     {CONTENT(CODE, 20, 4, 1)}},
};

static void
apply(struct elf_writer *elf, const struct patch *patch)
{
    char *at = elf->file.ptr + patch->off;
    if (patch->where == IN_NONE)
        return;
    if (patch->where == IN_SECTION)
        at = (char *)elf_section_header(elf, patch->index) + patch->off;
    if (patch->where == IN_SYMBOL)
        at = (char *)elf_symbol_entry(elf, patch->index) + patch->off;
    if (patch->where == IN_CONTENT)
        at += elf_section_header(elf, patch->index)->sh_offset;
    memcpy(at, &patch->value, patch->len);
}

static void
assert_refused(struct elf_writer *elf, const char *line)
{
    struct bpf_object object;
    struct error error;
    if (test_read(&object, buf_str(&elf->file), &error) != -1)
        fail_msg("read, and expected: %s", line);
    assert_string_equal(error.text, line);
    assert_null(object.insns);
}

static void
assert_all_refused(const struct malformed *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct elf_writer elf;
        specimen(&elf);
        for (unsigned j = 0; j < 3; j++)
            apply(&elf, &list[i].patches[j]);
        assert_refused(&elf, list[i].line);
        elf_deinit(&elf);
    }
}

#define TEST_TABLE(table)                                             \
    static void test_malformed_##table(void **state)                  \
    {                                                                 \
        assert_all_refused((table), sizeof(table) / sizeof *(table)); \
    }

TEST_TABLE(headers)
TEST_TABLE(sections)
TEST_TABLE(symbols)
TEST_TABLE(tables)
TEST_TABLE(relocations)
TEST_TABLE(calls)
TEST_TABLE(addresses)

static void
test_the_specimen_itself_is_right(void **state)
{
    struct elf_writer elf;
    struct bpf_object object;
    struct error error;
    specimen(&elf);
    assert_int_equal(elf.count, SECTIONS);
    assert_int_equal(elf.symtab, SYMTAB);
    assert_int_equal(elf.symbols.len / sizeof(Elf64_Sym), SYMBOLS);
    assert_int_equal(test_read(&object, buf_str(&elf.file), &error), 0);
    assert_int_equal(bpf_wide_imm(object.insns + 1), object.layout.data_off + 8);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_a_file_cut_anywhere_is_refused(void **state)
{
    struct elf_writer elf;
    struct bpf_object object;
    struct error error;
    specimen(&elf);
    for (size_t len = 0; len < elf.file.len; len++) {
        assert_int_equal(test_read(&object, str_first(buf_str(&elf.file), len), &error), -1);
        assert_true(error.text[0] != '\0' && !strchr(error.text, '\n'));
    }
    elf_deinit(&elf);
}

/* What matters is that the sanitizers say nothing. */
static void
test_a_file_with_any_byte_changed_is_read_or_refused(void **state)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    struct elf_writer elf;
    struct bpf_object object;
    struct error error;
    specimen(&elf);
    for (size_t i = 0; i < elf.file.len * sizeof values; i++) {
        char *byte = &elf.file.ptr[i / sizeof values], kept = *byte;
        *byte = (char)values[i % sizeof values];
        bool read = test_read(&object, buf_str(&elf.file), &error) == 0;
        assert_true(read == (error.text[0] == '\0'));
        bpf_object_deinit(&object);
        *byte = kept;
    }
    elf_deinit(&elf);
}

static void
assert_call_refused(const char *name, const char *line)
{
    struct elf_writer elf;
    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", code, sizeof code / sizeof *code);
    elf_rel(&elf, text, 0, R_CALL, elf_symbol(&elf, name, STT_NOTYPE, SHN_UNDEF, 0));
    elf_finish(&elf);
    assert_refused(&elf, line);
    elf_deinit(&elf);
}

static void
test_calls_of_no_helper_name_it(void **state)
{
    char name[301], line[512];
    assert_call_refused("launch", "section s, insn 0: calls launch, which is no helper");
    assert_call_refused("zs_lgo",
                        "section s, insn 0: calls zs_lgo, which is no helper; zs_log is one");
    assert_call_refused("zs_caddy_vars_get",
                        "section s, insn 0: calls zs_caddy_vars_get, which is not supported");
    assert_call_refused("bad\nline", "section s, insn 0: calls bad?line, which is no helper");
    assert_call_refused("", "section s, insn 0: calls a symbol without a name, which is no helper");
    memset(name, 'n', 300);
    name[300] = '\0';
    snprintf(line, sizeof line, "section s, insn 0: calls %.64s, which is no helper", name);
    assert_call_refused(name, line);
}

static void
test_two_sections_of_a_name_are_refused(void **state)
{
    struct elf_writer elf;
    elf_init(&elf);
    elf_code(&elf, "zeroserve.request", code + 4, 1);
    elf_code(&elf, "a", code + 4, 1);
    elf_code(&elf, "zeroserve.request", code + 4, 1);
    elf_finish(&elf);
    assert_refused(&elf, "two code sections are named zeroserve.request");
    elf_deinit(&elf);
}

static void
test_a_long_name_of_a_section_is_refused(void **state)
{
    char name[300];
    memset(name, 'n', sizeof name);
    for (size_t len = BPF_NAME_MAX; len <= BPF_NAME_MAX + 1; len++) {
        struct elf_writer elf;
        struct bpf_object object;
        struct error error;
        name[len] = '\0';
        elf_init(&elf);
        elf_code(&elf, name, code + 4, 1);
        elf_finish(&elf);
        assert_int_equal(test_read(&object, buf_str(&elf.file), &error),
                         len > BPF_NAME_MAX ? -1 : 0);
        assert_true(len > BPF_NAME_MAX ? strstr(error.text, "a name of more than 255 bytes") != NULL
                                       : object.sections[0].name.len == BPF_NAME_MAX);
        bpf_object_deinit(&object);
        elf_deinit(&elf);
        name[len] = 'n';
    }
}

static void
test_pointers_that_overlap_are_refused(void **state)
{
    for (unsigned off = 0; off < 16; off++) {
        struct elf_writer elf;
        struct bpf_object object;
        struct error error;
        elf_init(&elf);
        elf_code(&elf, "s", code + 4, 1);
        unsigned data = elf_data(&elf, ".data", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
        unsigned symbol = elf_symbol(&elf, "data", STT_OBJECT, data, 0);
        elf_rel(&elf, data, 4, R_ABS64, symbol);
        elf_rel(&elf, data, off, R_ABS32, symbol);
        elf_finish(&elf);
        bool apart = off + 4 <= 4 || off == 12;
        assert_int_equal(test_read(&object, buf_str(&elf.file), &error), apart ? 0 : -1);
        if (!apart && off < 12)
            assert_non_null(strstr(error.text, ": relocated twice"));
        bpf_object_deinit(&object);
        elf_deinit(&elf);
    }
}

static void
test_more_than_the_limits_is_refused(void **state)
{
    struct elf_writer elf;
    size_t insns_len = (BPF_INSNS_MAX + 1) * sizeof(struct bpf_insn);
    char *zeros = calloc(BPF_SYMBOLS_MAX + 1, sizeof(Elf64_Sym));
    assert_non_null(zeros);
    elf_init(&elf);
    elf_section(&elf, "s", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, zeros, insns_len);
    elf_finish(&elf);
    assert_refused(&elf, "section s: more than 1000000 instructions in all");
    elf_deinit(&elf);

    elf_init(&elf);
    elf_code(&elf, "s", code, sizeof code / sizeof *code);
    buf_append(&elf.symbols, str_make(zeros, BPF_SYMBOLS_MAX * sizeof(Elf64_Sym)));
    elf_finish(&elf);
    assert_refused(&elf, "more than 1048576 symbols");
    elf_deinit(&elf);

    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", code, sizeof code / sizeof *code);
    elf_rel(&elf, text, 0, R_CALL, 0);
    buf_append(&elf.sections[text].relocations,
               str_make(zeros, BPF_RELOCATIONS_MAX * sizeof(Elf64_Rel)));
    elf_finish(&elf);
    assert_refused(&elf, "section .rel has more than 1048576 relocations");
    elf_deinit(&elf);

    struct bpf_object object;
    struct error error;
    assert_int_equal(
        bpf_object_read(&object, str_make(zeros, BPF_OBJECT_MAX + 1), &test_helpers, &error), -1);
    assert_string_equal(error.text, "object file of 67108865 bytes, at most 67108864");
    free(zeros);
}

/* Half a million symbols of one endless name, half a million calls of them. */
static void
test_work_grows_with_the_length_of_the_file_only(void **state)
{
    enum { COUNT = 500000 };
    struct elf_writer elf;
    struct bpf_object object;
    struct error error;
    char *name = malloc(4 << 20);
    struct bpf_insn *insns = calloc(COUNT, sizeof *insns);
    assert_true(name && insns);
    memset(name, 'n', 4 << 20);
    name[(4 << 20) - 1] = '\0';
    for (unsigned i = 0; i < COUNT; i++)
        insns[i] = code[0];
    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", insns, COUNT);
    unsigned endless = elf_symbol(&elf, name, STT_FUNC, text, 0);
    Elf64_Sym symbol = *(Elf64_Sym *)(void *)(elf.symbols.ptr + endless * sizeof symbol);
    unsigned log = elf_symbol(&elf, "zs_log", STT_NOTYPE, SHN_UNDEF, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        buf_append(&elf.symbols, str_make((const char *)&symbol, sizeof symbol));
        elf_rel(&elf, text, 8 * i, R_CALL, i % 2 ? log : endless + 2 + i);
    }
    elf_finish(&elf);
    clock_t before = clock();
    assert_int_equal(test_read(&object, buf_str(&elf.file), &error), 0);
    assert_true(clock() - before < 5 * CLOCKS_PER_SEC); /* 0.1 s; a quadratic one takes minutes */
    assert_int_equal(object.function_count, COUNT + 1);
    assert_int_equal(object.functions[COUNT].name.len, BPF_NAME_MAX);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
    free(insns);
    free(name);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_specimen_itself_is_right),
        cmocka_unit_test(test_malformed_headers),
        cmocka_unit_test(test_malformed_sections),
        cmocka_unit_test(test_malformed_symbols),
        cmocka_unit_test(test_malformed_tables),
        cmocka_unit_test(test_malformed_relocations),
        cmocka_unit_test(test_malformed_calls),
        cmocka_unit_test(test_malformed_addresses),
        cmocka_unit_test(test_a_file_cut_anywhere_is_refused),
        cmocka_unit_test(test_a_file_with_any_byte_changed_is_read_or_refused),
        cmocka_unit_test(test_calls_of_no_helper_name_it),
        cmocka_unit_test(test_two_sections_of_a_name_are_refused),
        cmocka_unit_test(test_a_long_name_of_a_section_is_refused),
        cmocka_unit_test(test_pointers_that_overlap_are_refused),
        cmocka_unit_test(test_more_than_the_limits_is_refused),
        cmocka_unit_test(test_work_grows_with_the_length_of_the_file_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
