#include "bpf_compare.h"

#include "base/limits.h"
#include "base/must.h"
#include "bpf/disasm.h"
#include "bpf/run_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One program lives for long; only what a script brings, its instructions and what was made of
 * them, is put into it for each script, and the engine for each run. Each engine has a pool, and so
 * a slot, of its own. So slots are used again and again, as in a server, and the costs of a script
 * are the checker's, the translator's and its own.
 *
 * With fuel every poll is a call. A script that ends before its fuel does is run once more, by
 * machine code without fuel, where polls are only looked at, and yield when something asked for
 * that: here the start and a helper.
 */
enum { WAITS_MAX = 12, NOTHING = 0x05 /* a jump of 0 */ };

enum { INTERP, JIT, JIT_YIELDING, SIDES };
static const char *const names[] = {"interpreter", "machine code", "machine code, yielding"};

/* What helpers were called with; bpf_user. */
struct trace {
    uint64_t digest;
    uint64_t calls;
};

struct side {
    const char *name;
    bool has_fuel;
    bpf_engine_fn *engine;
    struct bpf_pool *pool;
    struct bpf_run *run; /* NULL: not run */
    struct trace trace;
    enum bpf_outcome outcome;
    unsigned waits, yields;
};

struct bpf_compare {
    struct bpf_worker *worker;
    struct bpf_program *program;
    struct side sides[SIDES];
    struct bpf_compare_stats stats;
    char ro[BPF_GEN_RO_LEN], data[BPF_GEN_DATA_LEN];
    char args[BPF_ARGS_LEN];
};

/* --- helpers --- */

static uint64_t
mixed(uint64_t digest, uint64_t value)
{
    digest = (digest ^ value) * 0x9e3779b97f4a7c15;
    return digest ^ digest >> 29;
}

/* Enters the call into the trace; returns a word that depends on all of it. */
static uint64_t
note(struct bpf_run *run, unsigned helper, const uint64_t words[BPF_GEN_ARGS])
{
    struct trace *trace = bpf_user(run);
    uint64_t digest = mixed(helper, run->insn);
    for (unsigned i = 0; i < BPF_GEN_ARGS; i++)
        digest = mixed(digest, words[i]);
    trace->digest = mixed(trace->digest, digest);
    trace->calls++;
    return digest;
}

#define NOTE(helper) note(run, helper, (const uint64_t[]){r1, r2, r3, r4, r5})

static uint64_t
helper_mix(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    run->poll = 1;
    return NOTE(BPF_GEN_MIX);
}

static uint64_t
helper_write(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    uint64_t result = NOTE(BPF_GEN_WRITE);
    char *out = bpf_view_writable(run, r1, r2);
    for (uint64_t i = 0; i < r2; i++)
        out[i] = (char)(r3 + i * r4);
    return result;
}

static uint64_t
helper_read(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    uint64_t result = NOTE(BPF_GEN_READ);
    struct str bytes = bpf_view(run, r1, r2);
    for (size_t i = 0; i < bytes.len; i++)
        result = mixed(result, (uint8_t)bytes.ptr[i]);
    return result;
}

static uint64_t
helper_trap(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    uint64_t result = NOTE(BPF_GEN_TRAP);
    if (r1 % 16 == 0)
        bpf_trap(run, "the helper was given %" PRIu64, r1);
    return result;
}

static uint64_t
helper_wait(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    bpf_wait(run);
    if (r1 & 1)
        bpf_wait(run);
    return NOTE(BPF_GEN_WAIT);
}

static uint64_t
helper_copy(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    uint64_t result = NOTE(BPF_GEN_COPY), value;
    bpf_views_apart(run, bpf_view(run, r1, 8).ptr, 8, bpf_view_writable(run, r2, 8), 8);
    bpf_copy_in(run, &value, r1, sizeof value);
    bpf_copy_out(run, r2, &value, sizeof value);
    return mixed(result, value);
}

static const struct bpf_helper helpers[BPF_GEN_HELPERS] = {
    [BPF_GEN_MIX] = {"mix", helper_mix},    [BPF_GEN_WRITE] = {"write", helper_write},
    [BPF_GEN_READ] = {"read", helper_read}, [BPF_GEN_TRAP] = {"trap", helper_trap},
    [BPF_GEN_WAIT] = {"wait", helper_wait}, [BPF_GEN_COPY] = {"copy", helper_copy},
};
static const struct bpf_helper_table table = {helpers, BPF_GEN_HELPERS};

/* --- listing --- */

void
bpf_compare_list(const struct bpf_gen *gen, FILE *out)
{
    struct bpf_object object;
    struct error error;
    char line[BPF_DISASM_MAX];
    fprintf(out, "r1 to r5:");
    for (unsigned i = 0; i < BPF_GEN_ARGS; i++)
        fprintf(out, " 0x%" PRIx64, gen->args[i]);
    fprintf(out, "; %" PRIu32 " bytes of arguments; fuel %" PRIu32 "\n", gen->args_len, gen->fuel);
    must(bpf_object_from_insns(&object, gen->insns, gen->insn_count, STR(""), &error) == 0);
    for (uint32_t at = 0; at < gen->insn_count;) {
        struct bpf_insn insn = gen->insns[at];
        uint64_t raw;
        memcpy(&raw, &insn, sizeof raw);
        unsigned len = bpf_disasm(line, &object, at, &table);
        if (insn.opcode != NOTHING || insn.off != 0)
            fprintf(out, "%5" PRIu32 ": %016" PRIx64 "  %s\n", at, __builtin_bswap64(raw), line);
        at += len;
    }
    bpf_object_deinit(&object);
}

/* --- life --- */

/* Memory as the script finds it: numbers of all sizes, and some at the edges. */
static void
fill(char *bytes, size_t len, uint64_t seed)
{
    for (size_t at = 0; at < len; at += 8) {
        seed = mixed(seed, at);
        uint64_t value = seed >> (seed & 63);
        if (seed % 5 == 0)
            value = 0 - value;
        memcpy(bytes + at, &value, len - at < 8 ? len - at : 8);
    }
}

/* An object with the memory that generated scripts expect, and as yet nothing to do. */
static void
make_object(struct bpf_object *object, const struct bpf_compare *compare)
{
    static const struct bpf_insn exit_only = {.opcode = 0x95};
    struct error error;
    struct str data = str_make(compare->data, sizeof compare->data);
    must(bpf_object_from_insns(object, &exit_only, 1, data, &error) == 0);
    must(bpf_layout_init(&object->layout, BPF_GEN_RO_LEN, BPF_GEN_DATA_LEN, BPF_GEN_BSS_LEN));
    must(object->layout.data_off == BPF_GEN_DATA_OFF && object->section_count == 1);
    free(object->ro);
    object->ro = malloc(sizeof compare->ro);
    must(object->ro);
    memcpy(object->ro, compare->ro, sizeof compare->ro);
}

static int
open_side(struct bpf_compare *compare, unsigned number, uint64_t fuel, struct error *error)
{
    struct bpf_budget budget = {.fuel = fuel};
    struct side *side = &compare->sides[number];
    side->name = names[number];
    side->has_fuel = fuel != 0;
    side->engine = number == INTERP ? bpf_interp : bpf_jit_run;
    return bpf_pool_new(&side->pool, compare->worker, compare->program, &budget, error);
}

static int
open_all(struct bpf_compare *compare, struct error *error)
{
    struct bpf_program_config config = {
        .helpers = &table, .engine = BPF_ENGINE_JIT, .check_flags = BPF_ALLOW_CALLX};
    struct bpf_object object;
    make_object(&object, compare);
    if (bpf_program_new(&compare->program, &object, &config, error) < 0 ||
        bpf_worker_new(&compare->worker, NULL, error) < 0 ||
        open_side(compare, INTERP, UINT32_MAX, error) < 0 ||
        open_side(compare, JIT, UINT32_MAX, error) < 0)
        return -1;
    return open_side(compare, JIT_YIELDING, 0, error);
}

struct bpf_compare *
bpf_compare_new(void)
{
    struct error error;
    struct bpf_compare *compare = calloc(1, sizeof *compare);
    must(compare);
    fill(compare->ro, sizeof compare->ro, 1);
    fill(compare->data, sizeof compare->data, 2);
    fill(compare->args, sizeof compare->args, 3);
    if (open_all(compare, &error) == 0)
        return compare;
    fprintf(stderr, "bpf_compare: %s\n", error.text);
    bpf_compare_free(compare);
    return NULL;
}

void
bpf_compare_free(struct bpf_compare *compare)
{
    if (!compare)
        return;
    for (unsigned i = 0; i < SIDES; i++)
        bpf_pool_free(compare->sides[i].pool);
    if (compare->worker)
        bpf_worker_free(compare->worker);
    bpf_program_unref(compare->program);
    free(compare);
}

const struct bpf_compare_stats *
bpf_compare_stats(const struct bpf_compare *compare)
{
    return &compare->stats;
}

/* --- a script into the program, and out again --- */

static void
unload(struct bpf_program *program)
{
    bpf_check_deinit(&program->check);
    bpf_code_deinit(&program->code);
    memset(&program->check, 0, sizeof program->check);
    memset(&program->code, 0, sizeof program->code);
}

/* -1: refused. The object's memory for instructions is as long as they are. */
static int
load(struct bpf_program *program, const struct bpf_gen *gen, struct error *error)
{
    struct bpf_object *object = &program->object;
    size_t len = gen->insn_count * sizeof gen->insns[0];
    unload(program);
    free(object->insns);
    object->insns = malloc(len);
    must(object->insns);
    memcpy(object->insns, gen->insns, len);
    object->insn_count = object->sections[0].count = gen->insn_count;
    if (bpf_check(&program->check, object, &table, BPF_ALLOW_CALLX, error) < 0) {
        memset(&program->check, 0, sizeof program->check);
        return -1;
    }
    if (bpf_code_new(&program->code, object, &program->check, &table, BPF_CODE_MAX, error) == 0)
        return 0;
    fprintf(stderr, "bpf_compare: checked, but not translated: %s\n", error->text);
    abort();
}

/* A program of ours that is refused is a finding, too. */
static bool
load_script(struct bpf_program *program, const struct bpf_gen *gen)
{
    struct error error;
    if (gen->insn_count > 0 && load(program, gen, &error) == 0)
        return true;
    if (gen->kind == BPF_GEN_WHOLE && gen->insn_count > 0) {
        fprintf(stderr, "bpf_compare: a valid program was refused: %s\n", error.text);
        bpf_compare_list(gen, stderr);
        abort();
    }
    return false;
}

/* --- running --- */

static bool
is_zero(const char *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* What a run finds: nothing of those before it. */
static bool
is_clean(const struct bpf_compare *compare, const struct bpf_run *run)
{
    const char *base = run->cage.base, *data = base + BPF_GEN_DATA_OFF;
    return is_zero(base + run->cage.stack_open, BPF_STACK_TOP - run->cage.stack_open) &&
           is_zero(base + BPF_ARGS, BPF_ARGS_LEN) &&
           memcmp(base + BPF_RO_BASE, compare->ro, BPF_GEN_RO_LEN) == 0 &&
           memcmp(data, compare->data, BPF_GEN_DATA_LEN) == 0 &&
           is_zero(data + BPF_GEN_DATA_LEN, BPF_GEN_DATA_PAGES - BPF_GEN_DATA_LEN);
}

static void
run_side(struct bpf_compare *compare, struct side *side, const struct bpf_gen *gen)
{
    side->trace = (struct trace){0};
    side->waits = side->yields = 0;
    compare->program->engine = side->engine;
    side->run = bpf_run_new(side->pool, 0, &side->trace);
    must(side->run);
    if (!is_clean(compare, side->run)) {
        fprintf(stderr, "bpf_compare: %s: the slot shows something of an earlier run\n",
                side->name);
        abort();
    }
    bpf_run_set_args(side->run, gen->args, BPF_GEN_ARGS);
    if (gen->args_len)
        memcpy(bpf_run_args(side->run, gen->args_len), compare->args, gen->args_len);
    side->run->fuel_left = gen->fuel;
    side->run->poll = 1;
    do {
        side->outcome = bpf_run_go(side->run);
        side->waits += side->outcome == BPF_WAITING;
        side->yields += side->outcome == BPF_YIELDED;
    } while (side->outcome == BPF_YIELDED ||
             (side->outcome == BPF_WAITING && side->waits < WAITS_MAX));
}

/* --- comparing --- */

/* The first of `len` bytes in which a and b differ, or len. */
static size_t
first_difference(const char *a, const char *b, size_t len)
{
    if (memcmp(a, b, len) == 0)
        return len;
    size_t at = 0;
    while (a[at] == b[at])
        at++;
    return at;
}

/* What is not open of the stack was never written: it must be 0 where only one side opened it. */
static int64_t
stack_difference(const struct bpf_run *a, const struct bpf_run *b)
{
    const struct bpf_run *more = a->cage.stack_open < b->cage.stack_open ? a : b;
    uint32_t low = more->cage.stack_open,
             both = more == a ? b->cage.stack_open : a->cage.stack_open;
    if (!is_zero(more->cage.base + low, both - low))
        return low;
    uint32_t len = BPF_STACK_TOP - both;
    size_t at = first_difference(a->cage.base + both, b->cage.base + both, len);
    return at == len ? -1 : (int64_t)(both + at);
}

/* An address at which they differ, or -1. */
static int64_t
memory_difference(const struct bpf_run *a, const struct bpf_run *b)
{
    static const struct {
        uint32_t start, len;
    } areas[] = {{BPF_ARGS, BPF_ARGS_LEN}, {BPF_GEN_DATA_OFF, BPF_GEN_DATA_PAGES}};
    for (unsigned i = 0; i < 2; i++) {
        uint32_t start = areas[i].start, len = areas[i].len;
        size_t at = first_difference(a->cage.base + start, b->cage.base + start, len);
        if (at < len)
            return (int64_t)(start + at);
    }
    return stack_difference(a, b);
}

static bool
is_same_trap(const struct bpf_run *a, const struct bpf_run *b)
{
    struct bpf_trap_info trap_a = bpf_run_trap(a), trap_b = bpf_run_trap(b);
    char text_a[512], text_b[512];
    bpf_run_describe_trap(a, text_a, sizeof text_a);
    bpf_run_describe_trap(b, text_b, sizeof text_b);
    return trap_a.kind == trap_b.kind && trap_a.insn == trap_b.insn &&
           strcmp(trap_a.text, trap_b.text) == 0 && strcmp(text_a, text_b) == 0;
}

static bool
is_same(const struct side *a, const struct side *b)
{
    if (a->outcome != b->outcome || a->waits != b->waits ||
        memcmp(&a->trace, &b->trace, sizeof a->trace) != 0)
        return false;
    if (b->has_fuel && a->run->fuel_left != b->run->fuel_left)
        return false;
    if (a->outcome == BPF_DONE && bpf_run_result(a->run) != bpf_run_result(b->run))
        return false;
    if (a->outcome == BPF_TRAPPED && !is_same_trap(a->run, b->run))
        return false;
    return memory_difference(a->run, b->run) < 0;
}

/* --- reports --- */

static void
print_side(FILE *out, const struct side *side)
{
    static const char *const outcomes[] = {
        [BPF_DONE] = "done",       [BPF_YIELDED] = "yielded", [BPF_THROTTLED] = "throttled",
        [BPF_WAITING] = "waiting", [BPF_TRAPPED] = "trapped",
    };
    fprintf(out, "%s: %s", side->name, outcomes[side->outcome]);
    if (side->outcome == BPF_DONE)
        fprintf(out, " with 0x%" PRIx64, bpf_run_result(side->run));
    if (side->outcome == BPF_TRAPPED) {
        char text[512];
        bpf_run_describe_trap(side->run, text, sizeof text);
        fprintf(out, ", kind %d, %s", bpf_run_trap(side->run).kind, text);
    }
    fprintf(out,
            "; %u waits, %" PRIu64 " helper calls (trace %016" PRIx64 "), fuel left %" PRIu64 "\n",
            side->waits, side->trace.calls, side->trace.digest, side->run->fuel_left);
}

static void
print_word(FILE *out, const struct side *side, int64_t at)
{
    uint64_t value = 0;
    if (at >= side->run->cage.stack_open)
        memcpy(&value, side->run->cage.base + (at & ~7), sizeof value);
    fprintf(out, "  %s has 0x%016" PRIx64 "\n", side->name, value);
}

static void
print_difference(FILE *out, const struct side sides[SIDES])
{
    const struct side *other = sides[JIT_YIELDING].run ? &sides[JIT_YIELDING] : &sides[JIT];
    print_side(out, &sides[INTERP]);
    print_side(out, other);
    int64_t at = memory_difference(sides[INTERP].run, other->run);
    if (at >= 0) {
        fprintf(out, "memory differs first at 0x%" PRIx64, at);
        if (at < BPF_STACK_TOP)
            fprintf(out, " (top of the stack - %" PRId64 ")", (int64_t)BPF_STACK_TOP - at);
        fputs("\n", out);
        print_word(out, &sides[INTERP], at);
        print_word(out, other, at);
    }
}

static void
count(struct bpf_compare *compare, const struct bpf_gen *gen)
{
    struct bpf_compare_stats *stats = &compare->stats;
    const struct side *side = &compare->sides[INTERP];
    stats->programs[gen->kind]++;
    stats->waits += side->waits;
    stats->yields += compare->sides[JIT_YIELDING].yields;
    stats->polls += gen->fuel - side->run->fuel_left;
    stats->helper_calls += side->trace.calls;
    stats->done += side->outcome == BPF_DONE;
    stats->left_waiting += side->outcome == BPF_WAITING;
    if (side->outcome == BPF_TRAPPED)
        stats->traps[bpf_run_trap(side->run).kind]++;
    for (uint32_t i = 0; i < gen->insn_count; i++)
        stats->insns[bpf_opcodes[gen->insns[i].opcode].op]++;
}

static bool
run_and_compare(struct bpf_compare *compare, const struct bpf_gen *gen)
{
    struct side *sides = compare->sides;
    run_side(compare, &sides[INTERP], gen);
    run_side(compare, &sides[JIT], gen);
    if (!is_same(&sides[INTERP], &sides[JIT]))
        return false;
    bool used_up = sides[INTERP].outcome == BPF_TRAPPED &&
                   bpf_run_trap(sides[INTERP].run).kind == BPF_TRAP_CPU;
    if (used_up)
        return true;
    run_side(compare, &sides[JIT_YIELDING], gen);
    return is_same(&sides[INTERP], &sides[JIT_YIELDING]);
}

enum bpf_compare_result
bpf_compare(struct bpf_compare *compare, const struct bpf_gen *gen, FILE *out)
{
    if (!load_script(compare->program, gen)) {
        compare->stats.refused[gen->kind]++;
        return BPF_COMPARE_REFUSED;
    }
    bool same = run_and_compare(compare, gen);
    if (!same && out)
        print_difference(out, compare->sides);
    count(compare, gen);
    for (unsigned i = 0; i < SIDES; i++) {
        bpf_run_free(compare->sides[i].run);
        compare->sides[i].run = NULL;
    }
    return same ? BPF_COMPARE_SAME : BPF_COMPARE_DIFFERENT;
}
