/* .debug_line of DWARF 4 and 5 (section 6.2 of both): units, each with a header that lists folders
 * and files, and a program whose instructions build the table of lines row by row.
 *
 * Units of other versions are stepped over. Addresses were made bytes from the start of the
 * object's instructions before. Work is linear: each byte of a program gives one row at most, rows
 * and names are limited, and names are looked at only when a row needs them.
 */
#include "base/limits.h"
#include "bpf/lines_internal.h"

#include <stdlib.h>

enum { FORM_BLOCK2 = 0x03, FORM_BLOCK4, FORM_DATA2, FORM_DATA4, FORM_DATA8, FORM_STRING };
enum { FORM_BLOCK = 0x09, FORM_BLOCK1, FORM_DATA1, FORM_SDATA = 0x0d, FORM_STRP, FORM_UDATA };
enum { FORM_STRP_SUP = 0x1d, FORM_DATA16, FORM_LINE_STRP };

enum { CONTENT_PATH = 1, CONTENT_FOLDER = 2 };

/* Opcodes below the first special one, and behind a 0. */
enum {
    OP_EXTENDED,
    OP_COPY,
    OP_ADVANCE_PC,
    OP_ADVANCE_LINE,
    OP_SET_FILE,
    OP_SET_COLUMN,
    OP_NEGATE_STMT,
    OP_SET_BASIC_BLOCK,
    OP_CONST_ADD_PC,
    OP_FIXED_ADVANCE_PC,
};
enum { EXTENDED_END_SEQUENCE = 1, EXTENDED_SET_ADDRESS = 2 };

enum { FORMATS_MAX = 255, NOT_NUMBERED = -1 };

struct dwarf_name {
    struct str text; /* to its NUL or further; see lines_text */
    uint64_t folder;
    int64_t number; /* of lines_add_file, or NOT_NUMBERED */
};

struct dwarf_names {
    struct dwarf_name *list; /* owned, kept from unit to unit */
    uint32_t count, cap;
};

struct dwarf_unit {
    unsigned version, offset_len;
    uint8_t insn_len, line_range, opcode_base;
    int8_t line_base;
    struct str operand_counts; /* of standard opcodes, from 1 on */
    struct dwarf_names folders, files;
    struct str line_str;
};

struct format {
    uint64_t content, form;
};

static bool
add_name(struct dwarf_names *names, struct str text, uint64_t folder)
{
    if (names->count == BPF_FILES_MAX)
        return false;
    if (names->count == names->cap) {
        uint32_t cap = names->cap ? 2 * names->cap : 16;
        struct dwarf_name *list = realloc(names->list, cap * sizeof *list);
        if (!list)
            return false;
        names->list = list;
        names->cap = cap;
    }
    names->list[names->count++] = (struct dwarf_name){text, folder, NOT_NUMBERED};
    return true;
}

/* DWARF 4: folders from 1 on, up to an empty one, then files from 1 on with folder, time and size,
 * up to an empty one. The first of each stands for what the unit itself has. */
static bool
read_names_v4(struct dwarf_unit *unit, struct cursor *cursor)
{
    if (!add_name(&unit->folders, (struct str){0}, 0) ||
        !add_name(&unit->files, (struct str){0}, 0))
        return false;
    for (struct str text = cursor_text(cursor); text.len; text = cursor_text(cursor))
        if (!add_name(&unit->folders, text, 0))
            return false;
    for (struct str text = cursor_text(cursor); text.len; text = cursor_text(cursor)) {
        uint64_t folder = cursor_uleb(cursor);
        cursor_uleb(cursor);
        cursor_uleb(cursor);
        if (!add_name(&unit->files, text, folder))
            return false;
    }
    return !cursor->bad;
}

/* One value of an entry, as a number or as text. False: of a form that is not known. */
static bool
read_form(const struct dwarf_unit *unit, struct cursor *cursor, uint64_t form, struct str *text,
          uint64_t *number)
{
    *text = (struct str){0};
    *number = 0;
    switch (form) {
    case FORM_STRING:
        *text = cursor_text(cursor);
        return true;
    case FORM_LINE_STRP:
        *text = str_skip(unit->line_str, cursor_number(cursor, unit->offset_len));
        return true;
    case FORM_STRP:
    case FORM_STRP_SUP:
        cursor_take(cursor, unit->offset_len);
        return true;
    case FORM_UDATA:
        *number = cursor_uleb(cursor);
        return true;
    case FORM_SDATA:
        cursor_sleb(cursor);
        return true;
    case FORM_DATA1:
        *number = cursor_u8(cursor);
        return true;
    case FORM_DATA2:
        *number = cursor_u16(cursor);
        return true;
    case FORM_DATA4:
        *number = cursor_u32(cursor);
        return true;
    case FORM_DATA8:
        *number = cursor_number(cursor, 8);
        return true;
    case FORM_DATA16:
        cursor_take(cursor, 16);
        return true;
    case FORM_BLOCK:
        cursor_take(cursor, cursor_uleb(cursor));
        return true;
    case FORM_BLOCK1:
        cursor_take(cursor, cursor_u8(cursor));
        return true;
    case FORM_BLOCK2:
        cursor_take(cursor, cursor_u16(cursor));
        return true;
    case FORM_BLOCK4:
        cursor_take(cursor, cursor_u32(cursor));
        return true;
    default:
        return false;
    }
}

static bool
read_entry(const struct dwarf_unit *unit, struct cursor *cursor, const struct format *formats,
           unsigned format_count, struct dwarf_names *names)
{
    struct str path = {0};
    uint64_t folder = 0;
    for (unsigned i = 0; i < format_count; i++) {
        struct str text;
        uint64_t number;
        if (!read_form(unit, cursor, formats[i].form, &text, &number))
            return false;
        if (formats[i].content == CONTENT_PATH)
            path = text;
        if (formats[i].content == CONTENT_FOLDER)
            folder = number;
    }
    return !cursor->bad && add_name(names, path, folder);
}

/* DWARF 5: what each entry consists of, then the entries, from 0 on. */
static bool
read_names_v5(const struct dwarf_unit *unit, struct cursor *cursor, struct dwarf_names *names)
{
    struct format formats[FORMATS_MAX];
    unsigned format_count = cursor_u8(cursor);
    for (unsigned i = 0; i < format_count; i++) {
        formats[i].content = cursor_uleb(cursor);
        formats[i].form = cursor_uleb(cursor);
    }
    uint64_t count = cursor_uleb(cursor);
    /* An entry of nothing would take no byte. */
    if (cursor->bad || count > BPF_FILES_MAX || (count && format_count == 0))
        return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_entry(unit, cursor, formats, format_count, names))
            return false;
    return true;
}

/* Leaves the unit's program in `cursor`. */
static bool
read_header(struct dwarf_unit *unit, struct cursor *cursor)
{
    if (unit->version >= 5 && (cursor_u8(cursor) != 8 || cursor_u8(cursor) != 0))
        return false; /* addresses of 8 bytes, without segments */
    struct cursor header =
        cursor_make(cursor_take(cursor, cursor_number(cursor, unit->offset_len)));
    unit->insn_len = cursor_u8(&header);
    uint8_t ops_per_insn = cursor_u8(&header);
    cursor_u8(&header); /* whether rows begin a statement */
    unit->line_base = (int8_t)cursor_u8(&header);
    unit->line_range = cursor_u8(&header);
    unit->opcode_base = cursor_u8(&header);
    if (header.bad || ops_per_insn != 1 || unit->line_range == 0 || unit->opcode_base == 0)
        return false;
    unit->operand_counts = cursor_take(&header, unit->opcode_base - 1u);
    unit->folders.count = unit->files.count = 0;
    if (unit->version < 5)
        return read_names_v4(unit, &header);
    return read_names_v5(unit, &header, &unit->folders) &&
           read_names_v5(unit, &header, &unit->files);
}

static struct str
folder_text(const struct dwarf_unit *unit, uint64_t folder)
{
    if (folder >= unit->folders.count)
        return (struct str){0};
    return lines_text(unit->folders.list[folder].text);
}

/* Sets *number to that of the file `index`, NOT_NUMBERED when there is no such file or its name is
 * not known. False: too many. */
static bool
file_number(struct lines_reader *reader, struct dwarf_unit *unit, uint64_t index, int64_t *number)
{
    *number = NOT_NUMBERED;
    if (index >= unit->files.count)
        return true;
    struct dwarf_name *file = &unit->files.list[index];
    struct str name = lines_text(file->text);
    if (file->number == NOT_NUMBERED && name.len) {
        struct str folder = folder_text(unit, file->folder);
        struct str parts[] = {folder_text(unit, 0), file->folder ? folder : STR(""), name};
        file->number = lines_add_file(reader, parts, 3);
        if (file->number < 0)
            return false;
    }
    *number = file->number;
    return true;
}

/* The registers of the machine that a program runs on. */
struct dwarf_state {
    uint64_t address, file;
    uint64_t line;
};

static const struct dwarf_state state_start = {.address = 0, .file = 1, .line = 1};

static bool
add_row(struct lines_reader *reader, struct dwarf_unit *unit, const struct dwarf_state *state)
{
    int64_t number;
    if (!file_number(reader, unit, state->file, &number))
        return false;
    if (number == NOT_NUMBERED || state->address % sizeof(struct bpf_insn))
        return true;
    return lines_add_row(reader, state->address / sizeof(struct bpf_insn), state->line,
                         (uint32_t)number);
}

static void
advance(const struct dwarf_unit *unit, struct dwarf_state *state, uint64_t insns)
{
    state->address += insns * unit->insn_len;
}

static void
run_extended(struct cursor *cursor, struct dwarf_state *state)
{
    struct cursor operands = cursor_make(cursor_take(cursor, cursor_uleb(cursor)));
    uint8_t opcode = cursor_u8(&operands);
    if (opcode == EXTENDED_END_SEQUENCE)
        *state = state_start;
    if (opcode == EXTENDED_SET_ADDRESS && operands.left.len == sizeof state->address)
        state->address = cursor_number(&operands, sizeof state->address);
}

static void
run_unknown(const struct dwarf_unit *unit, struct cursor *cursor, uint8_t opcode)
{
    for (uint8_t i = (uint8_t)unit->operand_counts.ptr[opcode - 1]; i > 0; i--)
        cursor_uleb(cursor);
}

/* A standard opcode. False: too many rows. */
static bool
run_standard(struct lines_reader *reader, struct dwarf_unit *unit, struct cursor *cursor,
             struct dwarf_state *state, uint8_t opcode)
{
    switch (opcode) {
    case OP_EXTENDED:
        run_extended(cursor, state);
        return true;
    case OP_COPY:
        return add_row(reader, unit, state);
    case OP_ADVANCE_PC:
        advance(unit, state, cursor_uleb(cursor));
        return true;
    case OP_ADVANCE_LINE:
        state->line += (uint64_t)cursor_sleb(cursor);
        return true;
    case OP_SET_FILE:
        state->file = cursor_uleb(cursor);
        return true;
    case OP_CONST_ADD_PC:
        advance(unit, state, (255u - unit->opcode_base) / unit->line_range);
        return true;
    case OP_FIXED_ADVANCE_PC:
        state->address += cursor_u16(cursor);
        return true;
    default:
        run_unknown(unit, cursor, opcode);
        return true;
    }
}

static bool
run_program(struct lines_reader *reader, struct dwarf_unit *unit, struct cursor *cursor)
{
    struct dwarf_state state = state_start;
    while (cursor->left.len) {
        uint8_t opcode = cursor_u8(cursor);
        if (opcode < unit->opcode_base) {
            if (!run_standard(reader, unit, cursor, &state, opcode))
                return false;
            continue;
        }
        uint8_t step = opcode - unit->opcode_base;
        advance(unit, &state, step / unit->line_range);
        state.line += (uint64_t)(unit->line_base + step % unit->line_range);
        if (!add_row(reader, unit, &state))
            return false;
    }
    return !cursor->bad;
}

/* The next unit; `unit` has what is of no unit. */
static bool
read_unit(struct lines_reader *reader, struct dwarf_unit *unit, struct cursor *cursor)
{
    uint64_t len = cursor_u32(cursor);
    unit->offset_len = 4;
    if (len == 0xffffffff) {
        len = cursor_number(cursor, 8);
        unit->offset_len = 8;
    }
    struct cursor body = cursor_make(cursor_take(cursor, len));
    unit->version = cursor_u16(&body);
    if (cursor->bad)
        return false;
    if (unit->version != 4 && unit->version != 5)
        return true;
    return read_header(unit, &body) && run_program(reader, unit, &body);
}

bool
lines_read_dwarf(struct lines_reader *reader, struct str line, struct str line_str)
{
    struct dwarf_unit unit = {.line_str = line_str};
    struct cursor cursor = cursor_make(line);
    bool read = true;
    while (read && cursor.left.len)
        read = read_unit(reader, &unit, &cursor);
    free(unit.folders.list);
    free(unit.files.list);
    return read;
}
