#include "bpf/wanted.h"

#include "base/limits.h"
#include "bpf/object_internal.h"

#include <stdlib.h>

static uint64_t
helper_stand_in(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                struct bpf_run *run)
{
    bpf_trap(run, "this helper is only a name here");
}

static bool
is_wanted(const struct object_symbol *symbol)
{
    return symbol->section == SHN_UNDEF && symbol->name.len;
}

static int
measure(const struct object_reader *reader, uint32_t *count, size_t *names_len)
{
    *count = 0;
    *names_len = 0;
    for (uint32_t i = 0; i < reader->symbol_count; i++) {
        struct object_symbol symbol = object_symbol(reader, i);
        if (!is_wanted(&symbol))
            continue;
        ++*count;
        *names_len += symbol.name.len + 1;
        if (*count > BPF_WANTED_MAX)
            return error_set(reader->error, "more than %d undefined symbols", BPF_WANTED_MAX);
    }
    return 0;
}

static int
list(struct bpf_wanted *wanted, const struct object_reader *reader)
{
    uint32_t count;
    size_t names_len;
    if (measure(reader, &count, &names_len) != 0)
        return -1;
    wanted->helpers = calloc(count ? count : 1, sizeof *wanted->helpers);
    wanted->names = malloc(names_len ? names_len : 1);
    if (!wanted->helpers || !wanted->names)
        return error_set(reader->error, "no memory");
    wanted->table.helpers = wanted->helpers;
    char *name = wanted->names;
    for (uint32_t i = 0; i < reader->symbol_count; i++) {
        struct object_symbol symbol = object_symbol(reader, i);
        if (!is_wanted(&symbol))
            continue;
        memcpy(name, symbol.name.ptr, symbol.name.len);
        name[symbol.name.len] = '\0';
        wanted->helpers[wanted->table.count++] = (struct bpf_helper){name, helper_stand_in};
        name += symbol.name.len + 1;
    }
    return 0;
}

int
bpf_wanted_read(struct bpf_wanted *wanted, struct str bytes, struct error *error)
{
    struct bpf_object object = {0};
    struct object_reader reader = {.file = bytes, .object = &object, .error = error};
    *wanted = (struct bpf_wanted){0};
    /* No section has a kind yet: nothing but the symbols themselves is looked at. */
    int result = -1;
    if (object_read_sections(&reader) == 0 && object_read_symbols(&reader) == 0)
        result = list(wanted, &reader);
    free(reader.sections);
    bpf_object_deinit(&object);
    if (result != 0)
        bpf_wanted_deinit(wanted);
    return result;
}

void
bpf_wanted_deinit(struct bpf_wanted *wanted)
{
    free(wanted->helpers);
    free(wanted->names);
    *wanted = (struct bpf_wanted){0};
}
