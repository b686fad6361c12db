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
 * a slot, of its own. So slots are used again and again, as in a server (now and then they are
 * new), and the costs of a script are the checker's, the translator's and its own.
 *
 * With fuel every poll is a call. A script that ends before its fuel does is run once more, by
 * machine code without fuel, where polls are only looked at, and yield when something asked for
 * that: here the start and a helper.
 */
enum {
    WAITS_MAX = 12,
    SLOT_LIFE = 256,
    NESTED_MAX = 6, /* in a run, in and after each other */
    NESTED_FUEL = 40,
    NOTHING = 0x05, /* a jump of 0 */
};

enum { INTERP, JIT, JIT_YIELDING, SIDES };
static const char *const names[] = {"interpreter", "machine code", "machine code, yielding"};

/* What helpers were called with. */
struct trace {
    uint64_t digest;
    uint64_t calls;
    uint64_t nested_runs, out_of_fuel; /* of those, in their fuel */
};

/* bpf_user */
struct side {
    const char *name;
    bool has_fuel;
    bpf_engine_fn *engine;
    struct bpf_pool *pool;
    struct bpf_run *run;              /* NULL: not run */
    struct bpf_run *open[NESTED_MAX]; /* nested runs that are not over, the innermost last */
    unsigned open_count;
    const struct bpf_compare *compare;
    struct trace trace;
    enum bpf_outcome outcome;
    unsigned waits, yields;
};

struct bpf_compare {
    struct bpf_worker *worker;
    struct bpf_program *program;
    struct side sides[SIDES];
    uint64_t scripts;
    struct bpf_compare_stats stats;
    char ro[BPF_GEN_RO_LEN], data[BPF_GEN_DATA_LEN];
    char args[BPF_ARGS_LEN];
};

/* --- new runs --- */

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
    return is_zero(base + run->cage.stack_open, run->cage.args_open - run->cage.stack_open) &&
           memcmp(base + BPF_RO_BASE, compare->ro, BPF_GEN_RO_LEN) == 0 &&
           memcmp(data, compare->data, BPF_GEN_DATA_LEN) == 0 &&
           is_zero(data + BPF_GEN_DATA_LEN, BPF_GEN_DATA_PAGES - BPF_GEN_DATA_LEN);
}

static struct bpf_run *
new_run(struct side *side, const uint64_t args[BPF_GEN_ARGS], uint32_t fuel)
{
    struct bpf_run *run = bpf_run_new(side->pool, 0, side);
    must(run);
    if (!is_clean(side->compare, run)) {
        fprintf(stderr, "bpf_compare: %s: the slot shows something of an earlier run\n",
                side->name);
        abort();
    }
    bpf_run_set_args(run, args, BPF_GEN_ARGS);
    run->fuel_left = fuel;
    run->poll = 1;
    return run;
}

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
    struct side *side = bpf_user(run);
    struct trace *trace = &side->trace;
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

/* What has become of a nested run, its registers and its frame among it. */
static uint64_t
digest_of(const struct bpf_run *run)
{
    const char *frame = run->cage.base + BPF_STACK_TOP - BPF_FRAME_LEN;
    uint64_t digest = run->outcome, word;
    if (run->outcome == BPF_DONE)
        digest = mixed(digest, bpf_run_result(run));
    else
        digest = mixed(digest, mixed(bpf_run_trap(run).kind, bpf_run_trap(run).insn));
    for (unsigned at = 0; at < BPF_FRAME_LEN; at += sizeof word) {
        memcpy(&word, frame + at, sizeof word);
        digest = mixed(digest, word);
    }
    return digest;
}

static uint64_t
helper_nest(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct side *side = bpf_user(run);
    uint64_t result = NOTE(BPF_GEN_NEST);
    if (side->trace.nested_runs == NESTED_MAX)
        return result;
    struct bpf_run *callee = new_run(side, (const uint64_t[]){r1, r2, r3, r4, r5}, NESTED_FUEL);
    side->trace.nested_runs++;
    side->open[side->open_count++] = callee;
    if (bpf_run_nested(run, callee) == BPF_TRAPPED && bpf_run_trap(callee).kind == BPF_TRAP_CPU)
        side->trace.out_of_fuel++;
    side->open_count--;
    result = mixed(result, digest_of(callee));
    bpf_run_free(callee);
    return result;
}

static const struct bpf_helper helpers[BPF_GEN_HELPERS] = {
    [BPF_GEN_MIX] = {"mix", helper_mix},    [BPF_GEN_WRITE] = {"write", helper_write},
    [BPF_GEN_READ] = {"read", helper_read}, [BPF_GEN_TRAP] = {"trap", helper_trap},
    [BPF_GEN_WAIT] = {"wait", helper_wait}, [BPF_GEN_COPY] = {"copy", helper_copy},
    [BPF_GEN_NEST] = {"nest", helper_nest},
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
open_pool(struct bpf_compare *compare, struct side *side, struct error *error)
{
    struct bpf_budget budget = {.fuel = side->has_fuel ? UINT32_MAX : 0};
    return bpf_pool_new(&side->pool, compare->worker, compare->program, &budget, error);
}

/* A slot that was used keeps more of its memory open than a new one. */
static void
renew_slots(struct bpf_compare *compare)
{
    for (unsigned i = 0; i < SIDES; i++) {
        struct error error;
        bpf_pool_free(compare->sides[i].pool);
        must(open_pool(compare, &compare->sides[i], &error) == 0);
    }
}

static int
open_all(struct bpf_compare *compare, struct error *error)
{
    struct bpf_program_config config = {
        .helpers = &table, .engine = BPF_ENGINE_JIT, .check_flags = BPF_ALLOW_CALLX};
    struct bpf_object object;
    make_object(&object, compare);
    if (bpf_program_new(&compare->program, &object, &config, error) < 0 ||
        bpf_worker_new(&compare->worker, NULL, error) < 0)
        return -1;
    for (unsigned i = 0; i < SIDES; i++) {
        struct side *side = &compare->sides[i];
        side->name = names[i];
        side->compare = compare;
        side->has_fuel = i != JIT_YIELDING;
        side->engine = i == INTERP ? bpf_interp : bpf_jit_run;
        if (open_pool(compare, side, error) < 0)
            return -1;
    }
    return 0;
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

static void
give_args(struct bpf_run *run, const char *args, uint32_t len)
{
    void *to = bpf_run_args(run, len);
    must(to);
    memcpy(to, args, len);
}

static void
run_side(struct bpf_compare *compare, struct side *side, const struct bpf_gen *gen)
{
    side->trace = (struct trace){0};
    side->waits = side->yields = 0;
    compare->program->engine = side->engine;
    side->run = new_run(side, gen->args, gen->fuel);
    if (gen->args_len)
        give_args(side->run, compare->args, gen->args_len);
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

/* What is not open of stack and arguments was never written: where only one side opened it, it must
 * be 0. */
static int64_t
open_difference(const struct bpf_run *a, const struct bpf_run *b)
{
    const struct bpf_cage *lower = a->cage.stack_open < b->cage.stack_open ? &a->cage : &b->cage;
    const struct bpf_cage *upper = a->cage.args_open > b->cage.args_open ? &a->cage : &b->cage;
    uint32_t low = (lower == &a->cage ? b : a)->cage.stack_open;
    uint32_t end = (upper == &a->cage ? b : a)->cage.args_open;
    if (!is_zero(lower->base + lower->stack_open, low - lower->stack_open))
        return lower->stack_open;
    if (!is_zero(upper->base + end, upper->args_open - end))
        return end;
    size_t at = first_difference(a->cage.base + low, b->cage.base + low, end - low);
    return at == end - low ? -1 : (int64_t)(low + at);
}

/* An address at which they differ, or -1. */
static int64_t
memory_difference(const struct bpf_run *a, const struct bpf_run *b)
{
    size_t at = first_difference(a->cage.base + BPF_GEN_DATA_OFF, b->cage.base + BPF_GEN_DATA_OFF,
                                 BPF_GEN_DATA_PAGES);
    return at < BPF_GEN_DATA_PAGES ? (int64_t)(BPF_GEN_DATA_OFF + at) : open_difference(a, b);
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
    if (at >= side->run->cage.stack_open &&
        (at < side->run->cage.args_open || at >= BPF_GEN_DATA_OFF))
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
    stats->nested_runs += side->trace.nested_runs;
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
    if (used_up || sides[INTERP].trace.out_of_fuel)
        return true;
    run_side(compare, &sides[JIT_YIELDING], gen);
    return is_same(&sides[INTERP], &sides[JIT_YIELDING]);
}

/* Those of a nest that was left waiting are freed from its middle on. */
static void
free_runs(struct side *side)
{
    unsigned middle = side->open_count / 2;
    for (unsigned i = 0; i < side->open_count; i++)
        bpf_run_free(side->open[(middle + i) % side->open_count]);
    bpf_run_free(side->run);
    side->open_count = 0;
    side->run = NULL;
}

enum bpf_compare_result
bpf_compare(struct bpf_compare *compare, const struct bpf_gen *gen, FILE *out)
{
    if (!load_script(compare->program, gen)) {
        compare->stats.refused[gen->kind]++;
        return BPF_COMPARE_REFUSED;
    }
    if (++compare->scripts % SLOT_LIFE == 0)
        renew_slots(compare);
    bool same = run_and_compare(compare, gen);
    if (!same && out)
        print_difference(out, compare->sides);
    count(compare, gen);
    for (unsigned i = 0; i < SIDES; i++)
        free_runs(&compare->sides[i]);
    return same ? BPF_COMPARE_SAME : BPF_COMPARE_DIFFERENT;
}
