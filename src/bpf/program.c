#include "bpf/run_internal.h"

#include "base/limits.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct bpf_helper_table no_helpers;

static const struct bpf_helper_table *
helpers_of(const struct bpf_program_config *config)
{
    return config->helpers ? config->helpers : &no_helpers;
}

static void
destroy(struct bpf_program *program)
{
    bpf_code_deinit(&program->code);
    bpf_check_deinit(&program->check);
    bpf_object_deinit(&program->object);
    if (program->image >= 0)
        close(program->image);
    free(program);
}

static int
choose_engine(struct bpf_program *program, const struct bpf_program_config *config,
              struct error *error)
{
    uint64_t len_max = config->code_len_max ? config->code_len_max : BPF_CODE_MAX;
    program->engine = bpf_interp;
    if (config->engine == BPF_ENGINE_INTERP)
        return 0;
    if (bpf_code_new(&program->code, &program->object, &program->check, program->helpers, len_max,
                     error) == 0) {
        program->engine = bpf_jit_run;
        return 0;
    }
    program->code = (struct bpf_code){0};
    if (config->engine == BPF_ENGINE_JIT)
        return -1;
    snprintf(program->no_jit_reason, sizeof program->no_jit_reason, "%s", error->text);
    return 0;
}

static int
prepare(struct bpf_program *program, const struct bpf_program_config *config, struct error *error)
{
    struct bpf_object *object = &program->object;
    if (bpf_check(&program->check, object, program->helpers, config->check_flags, error) < 0)
        return -1;
    if (bpf_cage_image_new(&program->image, &object->layout, object->ro, object->data, error) < 0)
        return -1;
    return choose_engine(program, config, error);
}

int
bpf_program_new(struct bpf_program **out, struct bpf_object *object,
                const struct bpf_program_config *config, struct error *error)
{
    struct bpf_program *program = malloc(sizeof *program);
    if (!program) {
        bpf_object_deinit(object);
        return error_set(error, "no memory for a script");
    }
    *program = (struct bpf_program){
        .refs = 1,
        .object = *object,
        .helpers = helpers_of(config),
        .image = -1,
    };
    *object = (struct bpf_object){0};
    if (prepare(program, config, error) < 0) {
        destroy(program);
        return -1;
    }
    *out = program;
    return 0;
}

int
bpf_program_load(struct bpf_program **out, struct str bytes,
                 const struct bpf_program_config *config, struct error *error)
{
    struct bpf_object object;
    if (bpf_object_read(&object, bytes, helpers_of(config), error) < 0)
        return -1;
    return bpf_program_new(out, &object, config, error);
}

struct bpf_program *
bpf_program_ref(struct bpf_program *program)
{
    atomic_fetch_add_explicit(&program->refs, 1, memory_order_relaxed);
    return program;
}

void
bpf_program_unref(struct bpf_program *program)
{
    if (!program)
        return;
    unsigned before = atomic_fetch_sub_explicit(&program->refs, 1, memory_order_acq_rel);
    must(before > 0);
    if (before == 1)
        destroy(program);
}

int64_t
bpf_program_entry(const struct bpf_program *program, struct str section)
{
    const struct bpf_object *object = &program->object;
    for (uint32_t i = 0; i < object->section_count; i++) {
        if (str_eq(object->sections[i].name, section))
            return object->sections[i].first;
    }
    return -1;
}

const struct bpf_object *
bpf_program_object(const struct bpf_program *program)
{
    return &program->object;
}

uint64_t
bpf_program_code_len(const struct bpf_program *program)
{
    return program->code.len;
}

struct str
bpf_program_code(const struct bpf_program *program, uint32_t insn)
{
    const struct bpf_code *code = &program->code;
    must(insn < program->object.insn_count);
    if (code->len == 0)
        return (struct str){0};
    return str_make(code->text + code->starts[insn], code->starts[insn + 1] - code->starts[insn]);
}

const char *
bpf_program_no_jit_reason(const struct bpf_program *program)
{
    return program->no_jit_reason;
}
