/* bpf_soak: compares the engines of src/bpf on pseudo-random scripts for as long as it is told.
 *
 *     bpf_soak [--seed S] [--first N] [--count C] [--seconds T] [--small] [--list]
 *
 * Script N of seed S is made by bpf_gen.h from bytes that depend on S and N only, so that what is
 * found is seen again with `--seed S --first N --count 1` (and `--small`, if it was given, which
 * makes cages of 16 MiB). Without --seed the time is the seed. --list prints the script.
 *
 * Scripts run in a child, for a fault or an endless loop (ALARM_SECONDS) of machine code to be a
 * finding like others. At the first finding the script is made smaller: what can become a jump to
 * the next instruction and still be a finding does. Then both outcomes and the listing are printed,
 * and the exit status is 1.
 */
#include "bpf_compare.h"

#include "base/must.h"
#include "bpf/cage.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BYTES_MIN = 40, BYTES_MAX = 1600, ALARM_SECONDS = 10, TRIAL_SECONDS = 3, BATCH = 64 };

struct options {
    uint64_t seed, first, count, seconds;
    bool small, list;
};

/* What the child tells its parent. */
struct progress {
    uint64_t number; /* of the script that runs */
    uint64_t run_count;
    struct bpf_compare_stats stats;
};

static uint64_t
now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static uint64_t
next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void
make_script(struct bpf_gen *gen, uint64_t seed, uint64_t number)
{
    uint64_t bytes[BYTES_MAX / 8];
    uint64_t state = seed * 0x2545f4914f6cdd1d + number;
    size_t len = BYTES_MIN + next_random(&state) % (BYTES_MAX - BYTES_MIN);
    for (size_t i = 0; i < (len + 7) / 8; i++)
        bytes[i] = next_random(&state);
    if ((bytes[0] & 15) == 15) /* random bytes are hardly ever instructions */
        bytes[0]--;
    bpf_gen_make(gen, (const uint8_t *)bytes, len);
}

/* --- the child --- */

static struct bpf_compare *
start_compare(const struct options *options)
{
    if (options->small)
        bpf_cage_set_small();
    struct bpf_compare *compare = bpf_compare_new();
    if (!compare)
        _exit(2);
    return compare;
}

static _Noreturn void
run_scripts(const struct options *options, struct progress *progress)
{
    static struct bpf_gen gen;
    struct bpf_compare *compare = start_compare(options);
    uint64_t end_s = now_s() + options->seconds;
    for (uint64_t i = 0; i < options->count; i++) {
        if (i % BATCH == 0) {
            alarm(ALARM_SECONDS);
            if (now_s() >= end_s)
                break;
        }
        progress->number = options->first + i;
        make_script(&gen, options->seed, progress->number);
        if (bpf_compare(compare, &gen, NULL) == BPF_COMPARE_DIFFERENT)
            _exit(1);
        progress->run_count = i + 1;
        progress->stats = *bpf_compare_stats(compare);
    }
    bpf_compare_free(compare);
    _exit(0);
}

/* Twice, so that what is left in the slot is seen. */
static _Noreturn void
run_trial(const struct options *options, const struct bpf_gen *gen, FILE *out)
{
    struct bpf_compare *compare = start_compare(options);
    alarm(TRIAL_SECONDS);
    if (!out && !freopen("/dev/null", "w", stderr))
        _exit(2);
    for (unsigned i = 0; i < 2; i++) {
        if (bpf_compare(compare, gen, out) == BPF_COMPARE_DIFFERENT) {
            if (out)
                fflush(out);
            _exit(1);
        }
    }
    _exit(0);
}

/* --- the parent --- */

static int
wait_for(pid_t child)
{
    int status;
    must(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static bool
is_finding(const struct options *options, const struct bpf_gen *gen, FILE *out)
{
    pid_t child = fork();
    if (child == 0)
        run_trial(options, gen, out);
    return wait_for(child) != 0;
}

/* Makes instructions [from, to) jumps to the next one; wide ones with both halves or not at all. */
static void
blank(struct bpf_gen *gen, uint32_t from, uint32_t to)
{
    static const struct bpf_insn nothing = {.opcode = 0x05};
    if (from && bpf_is_wide(gen->insns[from - 1]))
        from++;
    for (uint32_t i = from; i < to; i++) {
        bool wide = bpf_is_wide(gen->insns[i]);
        if (wide && i + 1 < gen->insn_count)
            gen->insns[i + 1] = nothing;
        gen->insns[i] = nothing;
        i += wide;
    }
}

static void
make_smaller(const struct options *options, struct bpf_gen *gen)
{
    static struct bpf_gen trial;
    gen->kind = BPF_GEN_MUTATED; /* may be refused now */
    for (uint32_t len = gen->insn_count / 2; len; len /= 2) {
        for (uint32_t from = 0; from < gen->insn_count; from += len) {
            uint32_t to = from + len < gen->insn_count ? from + len : gen->insn_count;
            trial = *gen;
            blank(&trial, from, to);
            if (memcmp(&trial, gen, sizeof trial) != 0 && is_finding(options, &trial, NULL))
                *gen = trial;
        }
    }
}

static void
report(const struct options *options, const struct progress *progress, int status)
{
    static struct bpf_gen gen;
    printf("bpf_soak: FOUND after %" PRIu64 " scripts: ", progress->run_count + 1);
    if (WIFSIGNALED(status))
        printf("signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        printf("exit %d\n", WEXITSTATUS(status));
    printf("again with: --seed %" PRIu64 " --first %" PRIu64 " --count 1%s\n", options->seed,
           progress->number, options->small ? " --small" : "");
    fflush(stdout);
    make_script(&gen, options->seed, progress->number);
    if (!is_finding(options, &gen, NULL)) {
        printf("alone it is none: it depends on scripts before it\n");
        return;
    }
    make_smaller(options, &gen);
    is_finding(options, &gen, stdout);
    bpf_compare_list(&gen, stdout);
}

static void
print_stats(const struct progress *progress, uint64_t seconds)
{
    static const char *const traps[BPF_TRAP_COUNT] = {"access", "calls", "helper", "fuel",
                                                      "unknown"};
    const struct bpf_compare_stats *stats = &progress->stats;
    printf("scripts %" PRIu64 " in %" PRIu64 " s; generated %" PRIu64 ", mutated %" PRIu64
           " (refused %" PRIu64 "), raw %" PRIu64 " (refused %" PRIu64 ")\n",
           progress->run_count, seconds, stats->programs[BPF_GEN_WHOLE],
           stats->programs[BPF_GEN_MUTATED], stats->refused[BPF_GEN_MUTATED],
           stats->programs[BPF_GEN_RAW], stats->refused[BPF_GEN_RAW]);
    printf("done %" PRIu64 ", left waiting %" PRIu64 "; traps:", stats->done, stats->left_waiting);
    for (unsigned i = 0; i < BPF_TRAP_COUNT; i++)
        printf(" %s %" PRIu64, traps[i], stats->traps[i]);
    printf("\nwaits %" PRIu64 ", yields %" PRIu64 ", polls %" PRIu64 ", helper calls %" PRIu64
           ", nested runs %" PRIu64 "\ninstructions in scripts:",
           stats->waits, stats->yields, stats->polls, stats->helper_calls, stats->nested_runs);
    for (unsigned op = 1; op < BPF_OP_COUNT; op++) {
        for (unsigned i = 0; i < 256; i++) {
            if (bpf_opcodes[i].op == op) {
                printf(" %s %" PRIu64, bpf_opcodes[i].name, stats->insns[op]);
                break;
            }
        }
    }
    printf("\n");
}

static int
usage(void)
{
    fputs("usage: bpf_soak [--seed S] [--first N] [--count C] [--seconds T] [--small] [--list]\n",
          stderr);
    return 2;
}

static bool
parse(struct options *options, int argc, char **argv)
{
    const struct {
        const char *name;
        uint64_t *number; /* the next argument; or else */
        bool *flag;
    } list[] = {
        {"--seed", &options->seed, NULL},   {"--first", &options->first, NULL},
        {"--count", &options->count, NULL}, {"--seconds", &options->seconds, NULL},
        {"--small", NULL, &options->small}, {"--list", NULL, &options->list},
    };
    enum { COUNT = sizeof list / sizeof list[0] };
    for (int i = 1; i < argc; i++) {
        unsigned n = 0;
        while (n < COUNT && strcmp(argv[i], list[n].name) != 0)
            n++;
        if (n == COUNT || (list[n].number && i + 1 == argc))
            return false;
        if (list[n].number)
            *list[n].number = strtoull(argv[++i], NULL, 10);
        else
            *list[n].flag = true;
    }
    return true;
}

int
main(int argc, char **argv)
{
    struct options options = {
        .seed = (uint64_t)time(NULL), .count = UINT64_MAX, .seconds = UINT64_MAX / 2};
    if (!parse(&options, argc, argv))
        return usage();
    static struct bpf_gen gen;
    if (options.list) {
        make_script(&gen, options.seed, options.first);
        bpf_compare_list(&gen, stdout);
    }
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(progress != MAP_FAILED);
    uint64_t start_s = now_s();
    printf("bpf_soak: seed %" PRIu64 "\n", options.seed);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_scripts(&options, progress);
    int status = wait_for(child);
    print_stats(progress, now_s() - start_s);
    if (status == 0)
        return 0;
    report(&options, progress, status);
    return 1;
}
