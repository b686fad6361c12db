/* The readers of BTF and DWARF give rows in any order, more than are needed, and maybe several for
 * one instruction. Here they are sorted, and only those stay with which file or line change.
 */
#include "bpf/lines.h"

#include "base/limits.h"
#include "bpf/lines_internal.h"

#include <stdlib.h>

/* Room for one more of `count`: the list, moved where need be, or NULL, the old one kept. */
static void *
grow(void *list, uint32_t count, uint32_t *cap, size_t entry_len)
{
    if (count < *cap)
        return list;
    uint32_t wanted = *cap ? 2 * *cap : 64;
    void *moved = realloc(list, wanted * entry_len);
    if (moved)
        *cap = wanted;
    return moved;
}

bool
lines_add_row(struct lines_reader *reader, uint64_t insn, uint64_t line, uint32_t file)
{
    if (insn >= reader->object->insn_count || line == 0 || line > UINT32_MAX)
        return true;
    if (reader->row_count == BPF_LINES_MAX)
        return false;
    struct lines_row *rows = grow(reader->rows, reader->row_count, &reader->row_cap, sizeof *rows);
    if (!rows)
        return false;
    reader->rows = rows;
    rows[reader->row_count] = (struct lines_row){
        .insn = (uint32_t)insn,
        .line = (uint32_t)line,
        .file = file,
        .order = reader->row_count,
    };
    reader->row_count++;
    return true;
}

struct str
lines_text(struct str bytes)
{
    bytes = str_first(bytes, BPF_FILE_NAME_MAX);
    return str_first(bytes, str_find_char(bytes, '\0'));
}

/* File names go into logs. */
static void
append_printable(struct buf *to, struct str text)
{
    size_t from = to->len;
    buf_append(to, text);
    for (size_t i = from; i < to->len; i++)
        if ((unsigned char)to->ptr[i] < ' ' || to->ptr[i] == 0x7f)
            to->ptr[i] = '?';
}

int64_t
lines_add_file(struct lines_reader *reader, const struct str *parts, unsigned count)
{
    if (reader->file_count == BPF_FILES_MAX)
        return -1;
    struct lines_file *files =
        grow(reader->files, reader->file_count, &reader->file_cap, sizeof *files);
    if (!files)
        return -1;
    reader->files = files;
    unsigned first = 0;
    for (unsigned i = 1; i < count; i++)
        if (str_starts_with(parts[i], STR("/")))
            first = i;
    size_t off = reader->names.len;
    for (unsigned i = first; i < count; i++) {
        if (reader->names.len > off && parts[i].len)
            buf_append_char(&reader->names, '/');
        append_printable(&reader->names, parts[i]);
    }
    if (buf_overflowed(&reader->names))
        return -1;
    files[reader->file_count] = (struct lines_file){
        .off = (uint32_t)off,
        .len = (uint32_t)(reader->names.len - off),
    };
    return reader->file_count++;
}

static int
row_cmp(const void *a, const void *b)
{
    const struct lines_row *left = a, *right = b;
    if (left->insn != right->insn)
        return left->insn < right->insn ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

/* Sorts the rows and keeps those that begin something new. Each section begins anew: nobody looks
 * further back than to its start. Returns how many there are. */
static uint32_t
drop_repeats(struct lines_reader *reader)
{
    uint32_t count = 0, section_end = 0;
    if (reader->row_count)
        qsort(reader->rows, reader->row_count, sizeof *reader->rows, row_cmp);
    for (uint32_t i = 0; i < reader->row_count; i++) {
        struct lines_row row = reader->rows[i];
        if (i + 1 < reader->row_count && reader->rows[i + 1].insn == row.insn)
            continue;
        bool first = row.insn >= section_end;
        if (!first && reader->rows[count - 1].line == row.line &&
            reader->rows[count - 1].file == row.file)
            continue;
        if (first) {
            const struct bpf_section *section = bpf_object_section(reader->object, row.insn);
            section_end = section->first + section->count;
        }
        reader->rows[count++] = row;
    }
    return count;
}

/* Moves what was read into the object. */
static void
finish(struct lines_reader *reader, struct bpf_object *object, char **names)
{
    uint32_t count = drop_repeats(reader);
    if (count == 0)
        return;
    struct bpf_line *lines = calloc(count, sizeof *lines);
    if (!lines)
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct lines_file file = reader->files[reader->rows[i].file];
        lines[i] = (struct bpf_line){
            .insn = reader->rows[i].insn,
            .line = reader->rows[i].line,
            .file = str_make(reader->names.ptr + file.off, file.len),
        };
    }
    object->lines = lines;
    object->line_count = count;
    *names = reader->names.ptr;
    reader->names.ptr = NULL;
}

static void
reader_init(struct lines_reader *reader, const struct bpf_object *object)
{
    memset(reader, 0, sizeof *reader);
    reader->object = object;
    buf_init(&reader->names, BPF_FILE_NAMES_MAX);
}

static void
reader_deinit(struct lines_reader *reader)
{
    free(reader->rows);
    free(reader->files);
    free(reader->names.ptr);
}

void
bpf_lines_read(struct bpf_object *object, const struct bpf_debug *debug, char **names)
{
    struct lines_reader reader;
    *names = NULL;
    object->lines = NULL;
    object->line_count = 0;
    reader_init(&reader, object);
    if (lines_read_btf(&reader, debug->btf, debug->btf_ext))
        finish(&reader, object, names);
    reader_deinit(&reader);
    if (object->line_count)
        return;
    reader_init(&reader, object);
    if (lines_read_dwarf(&reader, debug->line, debug->line_str))
        finish(&reader, object, names);
    reader_deinit(&reader);
}
