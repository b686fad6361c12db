/* bpf: one measurement round after the other of src/bpf, for bench/bpf.py, which builds what this
 * runs and makes sense of what it prints.
 *
 *     bpf rounds FOLDER COUNT     lines "WHAT WHO NS UNITS RESULT": nanoseconds for so many units
 *     bpf code FOLDER KERNEL      lines "INSTRUCTION HEX": the machine code of each
 *
 * FOLDER has the kernels of bench/bpf as NAME.o (script) and NAME.so (native). In each round every
 * contestant has one turn after the other, so that what disturbs the machine disturbs all. The
 * worker has a ticker, as a server's has; its slices are the scripts' too.
 */
#include "base/must.h"
#include "bpf/disasm.h"
#include "bpf/run_internal.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEN = 4096, TICK_NS = 500 * 1000, EMPTY_RUNS = 100 * 1000, LOADS = 10 };

typedef uint64_t kernel_fn(uint8_t *bytes, uint64_t rounds);

struct script {
    struct bpf_program *program;
    struct bpf_pool *pool;
};

/* A kernel that scripts and native code share. */
struct kernel {
    const char *name;
    uint64_t rounds, interp_rounds;
    double units; /* in a round */
    kernel_fn *native;
    struct script jit, unpolled, interp;
};

static struct kernel kernels[] = {
    {.name = "crc32", .rounds = 2000, .interp_rounds = 20, .units = LEN},
    {.name = "sha256", .rounds = 1000, .interp_rounds = 10, .units = LEN},
    {.name = "chase", .rounds = 500, .interp_rounds = 20, .units = LEN},
    {.name = "calls", .rounds = 100000, .interp_rounds = 2000, .units = 33},
};
enum { KERNEL_COUNT = sizeof kernels / sizeof kernels[0] };

static struct bpf_worker *worker;
static uint8_t bytes[LEN];
static uint32_t empty_entry; /* of the small script */

static uint64_t
helper_nothing(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    return r1;
}

static uint64_t
helper_wait(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    bpf_wait(run);
    return 0;
}

/* The caller's program has a section that does nothing. */
static uint64_t
helper_nest(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct bpf_run *callee = bpf_run_new(run->pool, empty_entry, NULL);
    must(callee && bpf_run_nested(run, callee) == BPF_DONE);
    uint64_t result = bpf_run_result(callee);
    bpf_run_free(callee);
    return result;
}

static const struct bpf_helper helpers[] = {
    {"nothing", helper_nothing}, {"wait", helper_wait}, {"nest", helper_nest}};
static const struct bpf_helper_table table = {helpers, 3};

/* CPU time of this thread, so that others on the machine matter less. */
static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static _Noreturn void
die(const char *what, const char *why)
{
    fprintf(stderr, "bpf: %s: %s\n", what, why);
    exit(1);
}

/* --- scripts --- */

static char *
read_file(const char *folder, const char *name, size_t *len)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.o", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path, "cannot be opened");
    must(fseek(file, 0, SEEK_END) == 0);
    *len = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*len);
    must(text && fread(text, 1, *len, file) == *len);
    fclose(file);
    return text;
}

static struct bpf_program *
load_bytes(const char *text, size_t len, enum bpf_engine engine, const char *name)
{
    struct bpf_program_config config = {.helpers = &table, .engine = engine};
    struct bpf_program *program;
    struct error error;
    if (bpf_program_load(&program, str_make(text, len), &config, &error) < 0)
        die(name, error.text);
    return program;
}

static struct bpf_program *
load(const char *folder, const char *name, enum bpf_engine engine)
{
    size_t len;
    char *text = read_file(folder, name, &len);
    struct bpf_program *program = load_bytes(text, len, engine, name);
    free(text);
    return program;
}

static struct script
script_of(struct bpf_program *program)
{
    static const struct bpf_budget budget;
    struct script script = {.program = program};
    struct error error;
    if (bpf_pool_new(&script.pool, worker, program, &budget, &error) < 0)
        die("pool", error.text);
    return script;
}

/* The same program, whose back edges are not known to be any: nobody polls there. */
static struct bpf_program *
without_polls(struct bpf_program *program)
{
    struct error error;
    for (uint32_t i = 0; i < program->object.insn_count; i++)
        program->check.marks[i] &= (uint8_t)~BPF_MARK_BACK;
    bpf_code_deinit(&program->code);
    if (bpf_code_new(&program->code, &program->object, &program->check, &table, 4 << 20, &error) <
        0)
        die("without polls", error.text);
    return program;
}

static uint32_t
entry_of(const struct script *script, const char *section)
{
    int64_t entry = bpf_program_entry(script->program, str_from_cstr(section));
    must(entry >= 0);
    return (uint32_t)entry;
}

static struct bpf_run *
new_run(const struct script *script, const char *section, uint64_t rounds)
{
    struct bpf_run *run = bpf_run_new(script->pool, entry_of(script, section), NULL);
    must(run);
    bpf_run_set_args(run, (const uint64_t[]){BPF_ARGS, rounds}, 2);
    memcpy(bpf_run_args(run, LEN), bytes, LEN);
    return run;
}

/* Until it is done; waits are over at once. */
static uint64_t
finish_run(struct bpf_run *run)
{
    enum bpf_outcome outcome;
    do
        outcome = bpf_run_go(run);
    while (outcome == BPF_YIELDED || outcome == BPF_WAITING);
    if (outcome != BPF_DONE) {
        char text[256];
        bpf_run_describe_trap(run, text, sizeof text);
        die("script", text);
    }
    uint64_t result = bpf_run_result(run);
    bpf_run_free(run);
    return result;
}

/* --- turns --- */

static void
print_turn(const char *what, const char *who, uint64_t ns, double units, uint64_t result)
{
    printf("%s %s %" PRIu64 " %.0f %" PRIu64 "\n", what, who, ns, units, result);
}

static void
turn_script(const char *what, const char *who, const struct script *script, const char *section,
            uint64_t rounds, double units)
{
    struct bpf_run *run = new_run(script, section, rounds);
    uint64_t start_ns = now_ns();
    uint64_t result = finish_run(run);
    print_turn(what, who, now_ns() - start_ns, units * (double)rounds, result);
}

static void
turn_kernel(struct kernel *kernel)
{
    uint64_t start_ns = now_ns();
    uint64_t result = kernel->native(bytes, kernel->rounds);
    print_turn(kernel->name, "native", now_ns() - start_ns, kernel->units * (double)kernel->rounds,
               result);
    turn_script(kernel->name, "jit", &kernel->jit, "bench", kernel->rounds, kernel->units);
    turn_script(kernel->name, "unpolled", &kernel->unpolled, "bench", kernel->rounds,
                kernel->units);
    turn_script(kernel->name, "interp", &kernel->interp, "bench", kernel->interp_rounds,
                kernel->units);
}

static void
turn_empty(const char *what, const char *who, const struct script *script, uint32_t entry)
{
    uint64_t start_ns = now_ns();
    for (unsigned i = 0; i < EMPTY_RUNS; i++) {
        struct bpf_run *run = bpf_run_new(script->pool, entry, NULL);
        must(run && bpf_run_go(run) == BPF_DONE);
        bpf_run_free(run);
    }
    print_turn(what, who, now_ns() - start_ns, EMPTY_RUNS, 0);
}

static void
turn_small(const char *who, const struct script *script, const struct script *stores)
{
    empty_entry = entry_of(script, "small.empty");
    turn_empty("empty", who, script, empty_entry);
    turn_empty("stores", who, stores, entry_of(stores, "stores.empty"));
    turn_script("loop", who, script, "small.loop", 1000 * 1000, 1);
    turn_script("helper", who, script, "small.helper", 1000 * 1000, 1);
    turn_script("nested", who, script, "small.nested", 100 * 1000, 1);
    turn_script("wait", who, script, "small.wait", 100 * 1000, 1);
}

static void
turn_load(const char *who, const char *text, size_t len, enum bpf_engine engine)
{
    uint64_t insns = 0, start_ns = now_ns();
    for (unsigned i = 0; i < LOADS; i++) {
        struct bpf_program *program = load_bytes(text, len, engine, "large");
        insns += bpf_program_object(program)->insn_count;
        bpf_program_unref(program);
    }
    print_turn("load", who, now_ns() - start_ns, (double)insns, insns / LOADS);
}

/* --- the two commands --- */

static void
load_kernel(struct kernel *kernel, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.so", folder, kernel->name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        die(path, dlerror());
    *(void **)&kernel->native = dlsym(library, "kernel");
    must(kernel->native);
    kernel->jit = script_of(load(folder, kernel->name, BPF_ENGINE_JIT));
    kernel->unpolled = script_of(without_polls(load(folder, kernel->name, BPF_ENGINE_JIT)));
    kernel->interp = script_of(load(folder, kernel->name, BPF_ENGINE_INTERP));
}

static void
unload(struct script *script)
{
    bpf_pool_free(script->pool);
    bpf_program_unref(script->program);
}

static int
run_rounds(const char *folder, unsigned count)
{
    size_t large_len;
    char *large = read_file(folder, "large", &large_len);
    struct script small = script_of(load(folder, "small", BPF_ENGINE_JIT));
    struct script small_interp = script_of(load(folder, "small", BPF_ENGINE_INTERP));
    struct script stores = script_of(load(folder, "stores", BPF_ENGINE_JIT));
    struct script stores_interp = script_of(load(folder, "stores", BPF_ENGINE_INTERP));
    for (unsigned i = 0; i < KERNEL_COUNT; i++)
        load_kernel(&kernels[i], folder);
    for (unsigned round = 0; round < count; round++) {
        for (unsigned i = 0; i < KERNEL_COUNT; i++)
            turn_kernel(&kernels[i]);
        turn_small("jit", &small, &stores);
        turn_small("interp", &small_interp, &stores_interp);
        turn_load("jit", large, large_len, BPF_ENGINE_JIT);
        turn_load("interp", large, large_len, BPF_ENGINE_INTERP);
        fflush(stdout);
    }
    for (unsigned i = 0; i < KERNEL_COUNT; i++) {
        unload(&kernels[i].jit);
        unload(&kernels[i].unpolled);
        unload(&kernels[i].interp);
    }
    unload(&small);
    unload(&small_interp);
    unload(&stores);
    unload(&stores_interp);
    free(large);
    return 0;
}

static int
print_code(const char *folder, const char *name)
{
    struct bpf_program *program = load(folder, name, BPF_ENGINE_JIT);
    const struct bpf_object *object = bpf_program_object(program);
    char line[BPF_DISASM_MAX];
    for (uint32_t at = 0; at < object->insn_count;) {
        const struct bpf_opcode *opcode = &bpf_opcodes[object->insns[at].opcode];
        struct str code = bpf_program_code(program, at);
        unsigned base = opcode->op == BPF_OP_LDX || opcode->op == BPF_OP_LDXS
                            ? object->insns[at].src
                            : object->insns[at].dst;
        printf("%s%u r%u ", opcode->name, opcode->width, base);
        for (size_t i = 0; i < code.len; i++)
            printf("%02x", (uint8_t)code.ptr[i]);
        at += bpf_disasm(line, object, at, &table);
        printf(" %s\n", line);
    }
    bpf_program_unref(program);
    return 0;
}

int
main(int argc, char **argv)
{
    struct bpf_ticker *ticker;
    struct error error;
    if (argc != 4 || (strcmp(argv[1], "rounds") != 0 && strcmp(argv[1], "code") != 0)) {
        fputs("usage: bpf rounds FOLDER COUNT | bpf code FOLDER KERNEL\n", stderr);
        return 2;
    }
    for (unsigned i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    if (bpf_ticker_new(&ticker, TICK_NS, &error) < 0 || bpf_worker_new(&worker, ticker, &error) < 0)
        die("worker", error.text);
    int status = strcmp(argv[1], "code") == 0
                     ? print_code(argv[2], argv[3])
                     : run_rounds(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    bpf_worker_free(worker);
    bpf_ticker_free(ticker);
    return status;
}
