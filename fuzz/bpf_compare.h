/* bpf_compare: runs a script of bpf_gen.h by the interpreter and by machine code and says whether
 * both did the same.
 *
 * Compared are: the outcome and result; of a trap its kind, instruction and text; how often it
 * waited; what helpers were called, at which instruction and with which arguments; the same of runs
 * that are nested in it; and all memory of the script, in which the registers are at its end.
 * Before each run the slot must show nothing of the runs before it.
 *
 * One thread. A fault or an endless loop of machine code ends the process: callers that want to go
 * on use one for each script.
 */
#ifndef TARN_FUZZ_BPF_COMPARE_H
#define TARN_FUZZ_BPF_COMPARE_H

#include "bpf_gen.h"

#include <stdio.h>

struct bpf_compare;

enum bpf_compare_result { BPF_COMPARE_SAME, BPF_COMPARE_REFUSED, BPF_COMPARE_DIFFERENT };

struct bpf_compare_stats {
    uint64_t programs[BPF_GEN_KIND_COUNT]; /* that were run */
    uint64_t refused[BPF_GEN_KIND_COUNT];  /* by the checker */
    uint64_t done, left_waiting;           /* by outcome; those that trapped: */
    uint64_t traps[BPF_TRAP_COUNT];
    uint64_t waits, yields, polls, helper_calls, nested_runs;
    uint64_t insns[BPF_OP_COUNT]; /* in the programs that were run, by what they do */
};

/* NULL with a line on standard error: no machine code, no memory. */
struct bpf_compare *bpf_compare_new(void);
void bpf_compare_free(struct bpf_compare *compare);

/* Runs it. `out`, if not NULL, gets both outcomes if they differ. */
enum bpf_compare_result bpf_compare(struct bpf_compare *compare, const struct bpf_gen *gen,
                                    FILE *out);
/* Arguments and listing, without jumps to the next instruction. */
void bpf_compare_list(const struct bpf_gen *gen, FILE *out);

const struct bpf_compare_stats *bpf_compare_stats(const struct bpf_compare *compare);

#endif
