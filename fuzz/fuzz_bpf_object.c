/* Fuzzes the reader of object files and, with input that is no ELF file, that of debug information:
 * three lengths of 16 bits, then .BTF, .BTF.ext, .debug_line_str of those, and .debug_line.
 *
 * Checked: a failure is one line and leaves nothing; what is read is in its bounds, in order and
 * agrees with a search from the start for each instruction.
 */
#include "base/limits.h"
#include "bpf/lines.h"

#include <stdlib.h>

enum { INSNS = 256, LOOKED_UP_MAX = 4096 };

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t
helper(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return 0;
}

static const struct bpf_helper helpers[] = {{"zs_log", helper}, {"zs_now_ms", helper}};
static const struct bpf_helper_table table = {helpers, 2};

static void
check_name(struct str name, size_t max)
{
    check(name.len <= max);
    for (size_t i = 0; i < name.len; i++)
        check((unsigned char)name.ptr[i] >= ' ' && name.ptr[i] != 0x7f);
}

static void
check_sections(const struct bpf_object *object)
{
    uint32_t next = 0;
    check(object->section_count > 0 && object->section_count <= BPF_SECTIONS_MAX);
    check(object->insn_count > 0 && object->insn_count <= BPF_INSNS_MAX);
    for (uint32_t i = 0; i < object->section_count; i++) {
        const struct bpf_section *section = &object->sections[i];
        check_name(section->name, BPF_NAME_MAX);
        check(section->first == next && section->count > 0);
        next += section->count;
        for (uint32_t j = 0; j < i && i < 64; j++)
            check(!str_eq(section->name, object->sections[j].name));
    }
    check(next == object->insn_count);
}

static void
check_functions(const struct bpf_object *object)
{
    check((object->functions != NULL) == (object->function_count > 0));
    for (uint32_t i = 0; i < object->function_count; i++) {
        check_name(object->functions[i].name, BPF_NAME_MAX);
        check(object->functions[i].name.len > 0);
        check(object->functions[i].first < object->insn_count);
        check(i == 0 || object->functions[i - 1].first <= object->functions[i].first);
    }
}

/* Reads every byte, for the address sanitizer. */
static unsigned
sum(const char *bytes, size_t len)
{
    unsigned total = 0;
    for (size_t i = 0; i < len; i++)
        total += (unsigned char)bytes[i];
    return total;
}

static void
check_data(const struct bpf_object *object)
{
    const struct bpf_layout *layout = &object->layout;
    static volatile unsigned sink;
    check((object->ro != NULL) == (layout->ro_len > 0));
    check((object->data != NULL) == (layout->data_len > 0));
    check((uint64_t)BPF_RO_BASE + layout->ro_len <= layout->data_off);
    check(layout->data_off % BPF_REGION_ALIGN == 0);
    check((uint64_t)layout->data_off + layout->data_len <= layout->bss_off);
    check(layout->bss_off - layout->data_off - layout->data_len < 64 && layout->bss_off % 64 == 0);
    check((uint64_t)layout->bss_off + layout->bss_len <= BPF_MEMORY_MAX);
    check(bpf_layout_end(layout) == layout->bss_off + layout->bss_len);
    sink = sum(object->ro, layout->ro_len) + sum(object->data, layout->data_len) +
           sum((const char *)object->insns, object->insn_count * sizeof *object->insns);
    (void)sink;
}

static void
check_lines(const struct bpf_object *object)
{
    check((object->lines != NULL) == (object->line_count > 0));
    check(object->line_count <= BPF_LINES_MAX);
    for (uint32_t i = 0; i < object->line_count; i++) {
        const struct bpf_line *line = &object->lines[i], *before = line - 1;
        check_name(line->file, 3 * BPF_FILE_NAME_MAX + 2);
        check(line->insn < object->insn_count && line->line > 0 && line->file.len > 0);
        check(i == 0 || before->insn < line->insn);
        check(i == 0 || before->line != line->line || !str_eq(before->file, line->file) ||
              before->file.ptr != line->file.ptr ||
              bpf_object_section(object, before->insn) != bpf_object_section(object, line->insn));
    }
}

static void
check_lookups(const struct bpf_object *object)
{
    uint32_t section = 0, next_line = 0;
    for (uint32_t i = 0; i < object->insn_count && i < LOOKED_UP_MAX; i++) {
        const struct bpf_line *expected = NULL;
        while (i - object->sections[section].first >= object->sections[section].count)
            section++;
        while (next_line < object->line_count && object->lines[next_line].insn <= i)
            next_line++;
        if (next_line && object->lines[next_line - 1].insn >= object->sections[section].first)
            expected = &object->lines[next_line - 1];
        check(bpf_object_section(object, i) == &object->sections[section]);
        check(bpf_object_line(object, i) == expected);
    }
}

static void
run_object(struct str file)
{
    struct bpf_object object, none = {0};
    struct error error = {""};
    if (bpf_object_read(&object, file, &table, &error) != 0) {
        check(error.text[0] && !strchr(error.text, '\n'));
        check(memcmp(&object, &none, sizeof none) == 0);
        return;
    }
    check(error.text[0] == '\0');
    check_sections(&object);
    check_functions(&object);
    check_data(&object);
    check_lines(&object);
    check_lookups(&object);
    bpf_object_deinit(&object);
}

static struct str
cut(struct str *input, size_t len)
{
    struct str part = str_first(*input, len);
    *input = str_skip(*input, len);
    return part;
}

static void
run_lines(struct str input)
{
    static struct bpf_section sections[] = {{STR_INIT("s"), 0, 100}, {STR_INIT(".text"), 100, 156}};
    struct bpf_object object = {.sections = sections, .section_count = 2, .insn_count = INSNS};
    struct bpf_debug debug;
    char *names = NULL;
    uint16_t lens[3];
    if (input.len < sizeof lens)
        return;
    memcpy(lens, cut(&input, sizeof lens).ptr, sizeof lens);
    debug.btf = cut(&input, lens[0]);
    debug.btf_ext = cut(&input, lens[1]);
    debug.line_str = cut(&input, lens[2]);
    debug.line = input;
    bpf_lines_read(&object, &debug, &names);
    check_lines(&object);
    check_lookups(&object);
    free(object.lines);
    free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_make((const char *)data, size);
    if (str_starts_with(input, STR("\177ELF")))
        run_object(input);
    else
        run_lines(input);
    return 0;
}
