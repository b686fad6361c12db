#include "server/bpf_listing.h"

#include "bpf/disasm.h"
#include "server/cli_text.h"

#include <inttypes.h>
#include <stdlib.h>

/* An instruction is a line:
 *
 *     > 12  r1 += r2                                     1f  48 01 f7
 *     |  |  the instruction                               |  the bytes of machine code, which go on
 *     |  |                                                |  on further lines
 *     |  its number in the section, as in messages        where they begin in the section's
 *     a jump or a call leads here
 */
enum { TEXT_COLUMNS = 44, CODE_COLUMN = 63, CODE_BYTES_OF_LINE = 12, NAME_MAX_LEN = 256 };

struct writer {
    FILE *out;
    const struct bpf_listing *listing;
    bool *is_target; /* of each instruction: a jump or a call leads there */
    const char *code_start;
    const struct bpf_line *line;         /* the last one shown */
    const struct bpf_function *function; /* the next one to be shown */
};

static const struct bpf_function *
functions_end(const struct bpf_object *object)
{
    return object->functions + object->function_count;
}

/* --- where jumps lead --- */

/* The instruction that the one at `at` leads to besides the next; -1: none. */
static int64_t
leads_to(const struct bpf_object *object, uint32_t at)
{
    struct bpf_insn insn = object->insns[at];
    if (bpf_opcodes[insn.opcode].op == BPF_OP_CALL && insn.src == BPF_CALL_LOCAL)
        return bpf_call_target(insn, at);
    return bpf_is_jump(insn) ? bpf_jump_target(insn, at) : -1;
}

static void
mark_targets(struct writer *writer)
{
    const struct bpf_object *object = writer->listing->object;
    for (uint32_t at = 0; at < object->insn_count; at++) {
        int64_t target = leads_to(object, at);
        if (target >= 0 && target < object->insn_count)
            writer->is_target[target] = true;
    }
}

/* --- lines --- */

static void
write_region(FILE *out, const char *name, uint32_t address, uint32_t len)
{
    if (len)
        fprintf(out, "  %-10s 0x%" PRIx32 ", %" PRIu32 " bytes\n", name, address, len);
}

static void
write_head(const struct writer *writer)
{
    const struct bpf_listing *listing = writer->listing;
    const struct bpf_layout *layout = &listing->object->layout;
    char name[NAME_MAX_LEN];
    uint64_t code_len = listing->program ? bpf_program_code_len(listing->program) : 0;
    fprintf(writer->out, "%s: %" PRIu32 " instructions",
            cli_text_copy(name, sizeof name, str_from_cstr(listing->name)),
            listing->object->insn_count);
    if (code_len)
        fprintf(writer->out, ", %" PRIu64 " bytes of machine code", code_len);
    fputc('\n', writer->out);
    write_region(writer->out, "constants", BPF_RO_BASE, layout->ro_len);
    write_region(writer->out, "data", layout->data_off, layout->data_len);
    write_region(writer->out, "bss", layout->bss_off, layout->bss_len);
}

static struct str
code_of(const struct writer *writer, uint32_t insn)
{
    const struct bpf_program *program = writer->listing->program;
    if (!program || bpf_program_code_len(program) == 0)
        return (struct str){0};
    return bpf_program_code(program, insn);
}

static void
write_code(const struct writer *writer, struct str code)
{
    for (size_t i = 0; i < code.len; i++) {
        if (i && i % CODE_BYTES_OF_LINE == 0)
            fprintf(writer->out, "\n%*s", CODE_COLUMN - 1, "");
        fprintf(writer->out, " %02x", (unsigned char)code.ptr[i]);
    }
}

/* Returns how many instructions it was. */
static uint32_t
write_insn(const struct writer *writer, const struct bpf_section *section, uint32_t at)
{
    const struct bpf_listing *listing = writer->listing;
    char raw[BPF_DISASM_MAX], text[BPF_DISASM_MAX];
    uint32_t count = bpf_disasm(raw, listing->object, at, listing->helpers);
    struct str code = code_of(writer, at);
    fprintf(writer->out, "%c%6" PRIu32 "  ", writer->is_target[at] ? '>' : ' ',
            at - section->first);
    cli_text_copy(text, sizeof text, str_from_cstr(raw));
    if (code.len) {
        fprintf(writer->out, "%-*s  %6zx ", TEXT_COLUMNS, text,
                (size_t)(code.ptr - writer->code_start));
        write_code(writer, code);
        fputc('\n', writer->out);
    } else {
        fprintf(writer->out, "%s\n", text);
    }
    return count;
}

/* Names of functions that begin at `at`. */
static void
write_functions(struct writer *writer, uint32_t at)
{
    const struct bpf_function *end = functions_end(writer->listing->object);
    char name[NAME_MAX_LEN];
    while (writer->function < end && writer->function->first < at)
        writer->function++;
    for (; writer->function < end && writer->function->first == at; writer->function++)
        fprintf(writer->out, "\n<%s>:\n", cli_text_copy(name, sizeof name, writer->function->name));
}

static void
write_source(struct writer *writer, uint32_t at)
{
    const struct bpf_line *line = bpf_object_line(writer->listing->object, at);
    char file[NAME_MAX_LEN];
    if (!line || line == writer->line)
        return;
    if (!writer->line || line->line != writer->line->line ||
        !str_eq(line->file, writer->line->file))
        fprintf(writer->out, "; %s:%" PRIu32 "\n", cli_text_copy(file, sizeof file, line->file),
                line->line);
    writer->line = line;
}

static void
write_section(struct writer *writer, const struct bpf_section *section)
{
    char name[NAME_MAX_LEN];
    uint32_t end = section->first + section->count;
    fprintf(writer->out, "\nsection %s, %" PRIu32 " instruction%s\n",
            cli_text_copy(name, sizeof name, section->name), section->count,
            section->count == 1 ? "" : "s");
    writer->code_start = code_of(writer, section->first).ptr;
    writer->line = NULL;
    writer->function = writer->listing->object->functions;
    for (uint32_t at = section->first; at < end;) {
        write_functions(writer, at);
        write_source(writer, at);
        at += write_insn(writer, section, at);
    }
}

int
bpf_listing_write(FILE *out, const struct bpf_listing *listing, struct error *error)
{
    const struct bpf_object *object = listing->object;
    struct writer writer = {.out = out, .listing = listing};
    writer.is_target = calloc(object->insn_count ? object->insn_count : 1, sizeof(bool));
    if (!writer.is_target)
        return error_set(error, "no memory for a listing");
    mark_targets(&writer);
    write_head(&writer);
    for (uint32_t i = 0; i < object->section_count; i++)
        if (!listing->section || listing->section == &object->sections[i])
            write_section(&writer, &object->sections[i]);
    free(writer.is_target);
    if (fflush(out) != 0 || ferror(out))
        return error_set(error, "cannot write to standard output");
    return 0;
}
