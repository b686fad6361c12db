#include "base/limits.h"
#include "base/log.h"
#include "server/bpf_command.h"
#include "server/bpf_helpers.h"
#include "server/bpf_input.h"
#include "server/bpf_once.h"
#include "server/bpf_section.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static_assert((int)OPTIONS_ENGINE_AUTO == (int)BPF_ENGINE_AUTO &&
                  (int)OPTIONS_ENGINE_JIT == (int)BPF_ENGINE_JIT &&
                  (int)OPTIONS_ENGINE_INTERP == (int)BPF_ENGINE_INTERP,
              "the commands hand it over as it is");

static int
load(struct bpf_program **program, const struct options *options, struct error *error)
{
    const struct bpf_program_config config = {
        .helpers = &bpf_tool_helpers,
        .engine = (enum bpf_engine)options->script_engine,
        .code_len_max = options->script_code_size_limit_kb << 10,
    };
    struct buf file;
    buf_init(&file, BPF_OBJECT_MAX);
    int result = bpf_input_file(&file, options->object, error);
    if (result == 0)
        result = bpf_program_load(program, buf_str(&file), &config, error);
    buf_deinit(&file);
    return result;
}

static void
print_cpu(uint64_t ns)
{
    if (ns < 1000000)
        printf("CPU  %.1f us", (double)ns / 1e3);
    else if (ns < 1000000000)
        printf("CPU  %.1f ms", (double)ns / 1e6);
    else
        printf("CPU  %.2f s", (double)ns / 1e9);
}

static int
print_result(const struct bpf_once *once, struct error *error)
{
    const char *no_jit = bpf_program_no_jit_reason(once->program);
    printf("r0   0x%" PRIx64 " (%" PRIu64, once->result, once->result);
    if ((int64_t)once->result < 0)
        printf(", %" PRId64, (int64_t)once->result);
    printf(")\n");
    print_cpu(once->cpu_ns);
    if (bpf_program_code_len(once->program))
        printf(", machine code\n");
    else
        printf(", interpreter%s%s\n", *no_jit ? ": " : "", no_jit);
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_set(error, "cannot write to standard output");
    return 0;
}

int
bpf_command_run(const struct options *options)
{
    struct bpf_once once = {.cpu_limit_ms = options->script_cpu_limit_ms};
    struct error error;
    int result = load(&once.program, options, &error);
    if (result == 0) {
        const struct bpf_section *section =
            bpf_section_to_run(bpf_program_object(once.program), options->section, &error);
        once.entry = section ? section->first : 0;
        result = section ? bpf_once_run(&once, &error) : -1;
        if (result == 0)
            result = print_result(&once, &error);
        bpf_program_unref(once.program);
    }
    if (result != 0)
        log_error("bpf run: %s: %s", bpf_input_name(options->object), error.text);
    return result == 0 ? 0 : 1;
}
