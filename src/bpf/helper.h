/* helper: the functions outside the cage that a script may call.
 *
 * A helper is a plain C function: up to five words in, one word out, and the run that calls. It is
 * called directly by translated code, on the run's native stack. It may:
 *   - look at the script's memory through the views below, which check an address once;
 *   - end the script: bpf_trap, which does not return. It jumps out of the helper: views and other
 *     checks come first, before anything is acquired that would have to be given back;
 *   - end it well: bpf_end, of which the same holds;
 *   - wait: bpf_wait, which goes back to who runs the run, and returns when the run goes on. The
 *     run may also be freed instead; so what a helper has acquired while it waits belongs to
 *     something that the run's user frees;
 *   - run another script and have its result: bpf_run_nested (run.h), of which the same holds.
 *
 * These are for the run that has called the helper, not for one that it is nested in.
 *
 * Words that are addresses are those of the script: all 64 bits count, an address above 4 GiB is
 * none. Views of length 0 touch nothing, whatever the address, and are never NULL.
 */
#ifndef TARN_BPF_HELPER_H
#define TARN_BPF_HELPER_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct bpf_run;

typedef uint64_t bpf_helper_fn(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                               struct bpf_run *run);

struct bpf_helper {
    const char *name; /* what object files call it */
    bpf_helper_fn *fn;
};

/* Static, outlives all programs; a helper's number is its index. */
struct bpf_helper_table {
    const struct bpf_helper *helpers;
    uint32_t count;
};

/* Number of the helper of that name, or -1. */
int64_t bpf_helper_find(const struct bpf_helper_table *table, struct str name);

/* Readable, or writable, memory of the script; traps when any byte of it is not. Valid until the
 * run goes on or ends; other helpers of the same run may change what is there. */
struct str bpf_view(struct bpf_run *run, uint64_t addr, uint64_t len);
char *bpf_view_writable(struct bpf_run *run, uint64_t addr, uint64_t len);

/* For a typed object that the script gave the address of: an aligned copy in, or out. */
void bpf_copy_in(struct bpf_run *run, void *out, uint64_t addr, size_t len);
void bpf_copy_out(struct bpf_run *run, uint64_t addr, const void *in, size_t len);

/* Traps when two views of one call, of which one is written, have a byte in common. */
void bpf_views_apart(struct bpf_run *run, const char *a, uint64_t a_len, const char *b,
                     uint64_t b_len);

/* Ends the script with a message for the log. Does not return. */
_Noreturn void bpf_trap(struct bpf_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends the script as if its outermost function had returned `result`. Does not return. */
_Noreturn void bpf_end(struct bpf_run *run, uint64_t result);

/* Back to who runs the run, or the nest that it is in (BPF_WAITING), until bpf_run_go is called
 * again. */
void bpf_wait(struct bpf_run *run);

/* What bpf_run_new was given. */
void *bpf_user(const struct bpf_run *run);

#endif
