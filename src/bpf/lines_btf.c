/* BTF as the kernel documents it (Documentation/bpf/btf.rst): .BTF has types, which are not looked
 * at, and strings; .BTF.ext has for each code section the lines of its instructions:
 *
 *     u32 length of a record
 *     for each section: u32 name, u32 count, records: u32 byte offset of the instruction,
 *                       u32 name of the file, u32 text of the line, u32 line << 10 | column
 *
 * Names are offsets into the strings.
 */
#include "base/limits.h"
#include "bpf/lines_internal.h"

#include <stdlib.h>

enum { BTF_MAGIC = 0xeb9f, BTF_VERSION = 1, RECORD_LEN = 16, COLUMN_BITS = 10 };

/* The header that both sections begin with. Returns its length, or 0 when it is none. */
static uint32_t
read_header(struct cursor *cursor)
{
    uint16_t magic = cursor_u16(cursor);
    uint8_t version = cursor_u8(cursor);
    cursor_u8(cursor); /* flags */
    uint32_t len = cursor_u32(cursor);
    return magic == BTF_MAGIC && version == BTF_VERSION ? len : 0;
}

/* A part of `section`, counted from the end of the header; empty when it is not inside. */
static struct str
part_of(struct str section, uint32_t header_len, uint32_t off, uint32_t len)
{
    struct str body = str_skip(section, header_len);
    if (off > body.len || len > body.len - off)
        return (struct str){0};
    return str_first(str_skip(body, off), len);
}

static struct str
find_strings(struct str btf)
{
    struct cursor cursor = cursor_make(btf);
    uint32_t header_len = read_header(&cursor);
    cursor_u32(&cursor); /* types: offset and length */
    cursor_u32(&cursor);
    uint32_t off = cursor_u32(&cursor), len = cursor_u32(&cursor);
    if (cursor.bad || header_len == 0)
        return (struct str){0};
    return part_of(btf, header_len, off, len);
}

static struct str
find_lines(struct str btf_ext)
{
    struct cursor cursor = cursor_make(btf_ext);
    uint32_t header_len = read_header(&cursor);
    cursor_u32(&cursor); /* functions: offset and length */
    cursor_u32(&cursor);
    uint32_t off = cursor_u32(&cursor), len = cursor_u32(&cursor);
    if (cursor.bad || header_len == 0)
        return (struct str){0};
    return part_of(btf_ext, header_len, off, len);
}

static int
section_cmp(const void *a, const void *b)
{
    const struct bpf_section *left = *(struct bpf_section *const *)a;
    const struct bpf_section *right = *(struct bpf_section *const *)b;
    return str_cmp(left->name, right->name);
}

static int
name_cmp(const void *name, const void *entry)
{
    return str_cmp(*(const struct str *)name, (*(struct bpf_section *const *)entry)->name);
}

/* The object's sections by name; the caller frees it. */
static const struct bpf_section **
sort_sections(const struct bpf_object *object)
{
    const struct bpf_section **sorted = calloc(object->section_count, sizeof *sorted);
    for (uint32_t i = 0; sorted && i < object->section_count; i++)
        sorted[i] = &object->sections[i];
    if (sorted)
        qsort(sorted, object->section_count, sizeof *sorted, section_cmp);
    return sorted;
}

/* The records of one section of `section`, or of one that is not loaded (NULL). */
static bool
read_records(struct lines_reader *reader, struct cursor *cursor, uint32_t record_len,
             const struct bpf_section *section)
{
    uint32_t count = cursor_u32(cursor);
    if (count == 0 || (uint64_t)count * record_len > cursor->left.len)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct cursor record = cursor_make(cursor_take(cursor, record_len));
        uint32_t off = cursor_u32(&record);
        uint32_t file = cursor_u32(&record);
        cursor_u32(&record);
        uint32_t line = cursor_u32(&record) >> COLUMN_BITS;
        uint32_t index = off / sizeof(struct bpf_insn);
        if (section && index < section->count &&
            !lines_add_row(reader, section->first + index, line, file))
            return false;
    }
    return true;
}

static bool
read_sections(struct lines_reader *reader, struct str lines, struct str strings,
              const struct bpf_section **sorted)
{
    struct cursor cursor = cursor_make(lines);
    uint32_t record_len = cursor_u32(&cursor);
    if (record_len < RECORD_LEN)
        return false;
    while (cursor.left.len) {
        struct str name = str_first(str_skip(strings, cursor_u32(&cursor)), BPF_NAME_MAX + 1);
        name = lines_text(name);
        const struct bpf_section **found =
            bsearch(&name, sorted, reader->object->section_count, sizeof *sorted, name_cmp);
        if (!read_records(reader, &cursor, record_len, found ? *found : NULL))
            return false;
    }
    return !cursor.bad;
}

static int
file_cmp(const void *a, const void *b)
{
    const struct lines_row *left = a, *right = b;
    return left->file < right->file ? -1 : left->file > right->file;
}

/* Makes numbers of files of the offsets of names. */
static bool
number_files(struct lines_reader *reader, struct str strings)
{
    int64_t number = -1;
    if (reader->row_count)
        qsort(reader->rows, reader->row_count, sizeof *reader->rows, file_cmp);
    for (uint32_t i = 0, off = 0; i < reader->row_count; i++) {
        struct lines_row *row = &reader->rows[i];
        if (number < 0 || row->file != off) {
            off = row->file;
            struct str name = lines_text(str_skip(strings, off));
            number = name.len ? lines_add_file(reader, &name, 1) : -1;
            if (number < 0)
                return false;
        }
        row->file = (uint32_t)number;
    }
    return true;
}

bool
lines_read_btf(struct lines_reader *reader, struct str btf, struct str btf_ext)
{
    struct str strings = find_strings(btf), lines = find_lines(btf_ext);
    if (strings.len == 0 || lines.len == 0)
        return false;
    const struct bpf_section **sorted = sort_sections(reader->object);
    bool read =
        sorted && read_sections(reader, lines, strings, sorted) && number_files(reader, strings);
    free(sorted);
    return read;
}
