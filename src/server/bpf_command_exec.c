#include "base/limits.h"
#include "base/log.h"
#include "server/bpf_command.h"
#include "server/bpf_helpers.h"
#include "server/bpf_input.h"
#include "server/bpf_once.h"
#include "server/hex_bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What the longest code of an instruction is far below: bare programs are not held short. */
enum { CODE_LEN_OF_INSN = 256 };

static int
read_memory(struct buf *memory, const char *text, struct error *error)
{
    struct hex_bytes hex;
    hex_bytes_init(&hex, memory);
    if (hex_bytes_read(&hex, str_from_cstr(text), error) != 0 || hex_bytes_end(&hex, error) != 0)
        return error_prefix(error, "MEMORY");
    return 0;
}

static int
read_program(struct buf *bytes, struct error *error)
{
    int result = bpf_input_hex(bytes, error);
    if (buf_overflowed(bytes))
        return error_set(error, "standard input: more than %d instructions, or no memory for them",
                         BPF_INSNS_MAX);
    if (result != 0)
        return error_prefix(error, "standard input");
    if (bytes->len == 0)
        return error_set(error, "no program on standard input: hexadecimal bytes are expected, "
                                "eight an instruction");
    if (bytes->len % sizeof(struct bpf_insn) != 0)
        return error_set(error, "standard input: expected a multiple of %zu bytes, got %zu",
                         sizeof(struct bpf_insn), bytes->len);
    return 0;
}

static int
make_program(struct bpf_program **program, struct str bytes, struct str memory,
             enum bpf_engine engine, struct error *error)
{
    struct bpf_object object;
    uint32_t count = (uint32_t)(bytes.len / sizeof(struct bpf_insn));
    const struct bpf_program_config config = {
        .helpers = &bpf_tool_helpers,
        .engine = engine,
        .code_len_max = (uint64_t)BPF_INSNS_MAX * CODE_LEN_OF_INSN,
        .check_flags = BPF_ALLOW_CALLX,
    };
    /* from malloc, so aligned */
    const struct bpf_insn *insns = (const struct bpf_insn *)(const void *)bytes.ptr;
    if (bpf_object_from_insns(&object, insns, count, memory, error) != 0)
        return -1;
    return bpf_program_new(program, &object, &config, error);
}

static int
execute(struct bpf_once *once, struct buf *bytes, struct buf *memory, const struct options *options,
        struct error *error)
{
    if (options->exec_memory && read_memory(memory, options->exec_memory, error) != 0)
        return -1;
    if (read_program(bytes, error) != 0 ||
        make_program(&once->program, buf_str(bytes), buf_str(memory),
                     (enum bpf_engine)options->script_engine, error) != 0)
        return -1;
    if (memory->len) {
        once->args[0] = bpf_program_object(once->program)->layout.data_off;
        once->args[1] = memory->len;
    }
    int result = bpf_once_run(once, error);
    bpf_program_unref(once->program);
    return result;
}

int
bpf_command_exec(const struct options *options)
{
    struct bpf_once once = {.cpu_limit_ms = options->script_cpu_limit_ms};
    struct buf bytes, memory;
    struct error error;
    buf_init(&bytes, (size_t)BPF_INSNS_MAX * sizeof(struct bpf_insn));
    buf_init(&memory, BPF_MEMORY_MAX);
    int result = execute(&once, &bytes, &memory, options, &error);
    if (result == 0)
        printf("%" PRIx64 "\n", once.result);
    if (result == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        result = error_set(&error, "cannot write to standard output");
    if (result != 0)
        log_error("bpf exec: %s", error.text);
    buf_deinit(&bytes);
    buf_deinit(&memory);
    return result == 0 ? 0 : 1;
}
