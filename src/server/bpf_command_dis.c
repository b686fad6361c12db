#include "base/limits.h"
#include "base/log.h"
#include "bpf/wanted.h"
#include "server/bpf_command.h"
#include "server/bpf_input.h"
#include "server/bpf_listing.h"
#include "server/bpf_section.h"

#include <stdio.h>

static int
list(const struct options *options, const struct bpf_object *object,
     const struct bpf_program *program, const struct bpf_wanted *wanted, struct error *error)
{
    struct bpf_listing listing = {
        .name = bpf_input_name(options->object),
        .object = object,
        .helpers = &wanted->table,
        .program = program,
    };
    if (options->section) {
        listing.section = bpf_section_find(object, options->section, error);
        if (!listing.section)
            return -1;
    }
    return bpf_listing_write(stdout, &listing, error);
}

/* What is no program can be looked at all the same, as long as it is an object file. */
static int
list_refused(const struct options *options, struct str bytes, const struct bpf_wanted *wanted,
             const struct error *why, struct error *error)
{
    struct bpf_object object;
    if (bpf_object_read(&object, bytes, &wanted->table, error) != 0)
        return -1;
    log_warn("bpf dis: %s: no machine code: %s", bpf_input_name(options->object), why->text);
    int result = list(options, &object, NULL, wanted, error);
    bpf_object_deinit(&object);
    return result;
}

static int
disassemble(const struct options *options, struct str bytes, const struct bpf_wanted *wanted,
            struct error *error)
{
    const struct bpf_program_config config = {
        .helpers = &wanted->table,
        .engine = (enum bpf_engine)options->script_engine,
        .code_len_max = options->script_code_size_limit_kb << 10,
    };
    struct bpf_program *program;
    struct error why;
    if (bpf_program_load(&program, bytes, &config, &why) != 0)
        return list_refused(options, bytes, wanted, &why, error);
    if (*bpf_program_no_jit_reason(program))
        log_warn("bpf dis: %s: no machine code: %s", bpf_input_name(options->object),
                 bpf_program_no_jit_reason(program));
    int result = list(options, bpf_program_object(program), program, wanted, error);
    bpf_program_unref(program);
    return result;
}

int
bpf_command_dis(const struct options *options)
{
    struct bpf_wanted wanted = {.helpers = NULL};
    struct error error;
    struct buf file;
    buf_init(&file, BPF_OBJECT_MAX);
    int result = bpf_input_file(&file, options->object, &error);
    if (result == 0)
        result = bpf_wanted_read(&wanted, buf_str(&file), &error);
    if (result == 0)
        result = disassemble(options, buf_str(&file), &wanted, &error);
    if (result != 0)
        log_error("bpf dis: %s: %s", bpf_input_name(options->object), error.text);
    bpf_wanted_deinit(&wanted);
    buf_deinit(&file);
    return result == 0 ? 0 : 1;
}
