/* jit: checked instructions to machine code. One file for each processor (jit_ARCH.c), or
 * jit_none.c, in which nothing can be had.
 *
 * Code and run agree on struct bpf_run and the cage only. Register use, and how an access is made,
 * is explained in docs/design/cage.md and at the top of the file of the processor.
 */
#ifndef TARN_BPF_JIT_H
#define TARN_BPF_JIT_H

#include "base/error.h"
#include "bpf/check.h"
#include "bpf/object.h"

#include <ucontext.h>

struct bpf_code {
    char *text;       /* mapped, readable and executable; guard pages on both sides */
    uint64_t len;     /* bytes of code; 0: there is none */
    uint64_t map_len; /* of the mapping, with its guards */
    uint32_t *starts; /* where each instruction's code begins; insn_count + 1 of them; owned */
};

/* -1 with a line: no translator for this processor, the system allows no executable memory, or the
 * code is longer than `len_max`. */
int bpf_code_new(struct bpf_code *code, const struct bpf_object *object,
                 const struct bpf_check *check, const struct bpf_helper_table *helpers,
                 uint64_t len_max, struct error *error) MUST_USE;
void bpf_code_deinit(struct bpf_code *code);

/* The instruction whose code holds `address`, or -1. Async-signal-safe. */
int64_t bpf_code_insn(const struct bpf_code *code, uint32_t insn_count, uint64_t address);

/* In the fault handler: the instruction pointer, the value of a script's register at the fault, and
 * where the thread goes on: function(arg) on the same stack, not to return. */
uint64_t bpf_fault_ip(const ucontext_t *context);
uint64_t bpf_fault_register(const ucontext_t *context, unsigned reg);
void bpf_fault_go_on(ucontext_t *context, void (*function)(void *arg), void *arg);

/* Executable memory: `code` bytes copied into a mapping that is never writable and executable at
 * once, guard pages around it. -1 with a line. code_memory.c */
int bpf_code_map(struct bpf_code *code, const char *bytes, uint64_t len,
                 struct error *error) MUST_USE;

#endif
