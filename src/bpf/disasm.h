/* disasm: instructions as text, in the pseudo-C notation of LLVM's tools. */
#ifndef TARN_BPF_DISASM_H
#define TARN_BPF_DISASM_H

#include "bpf/object.h"

enum { BPF_DISASM_MAX = 128 };

/* Writes the line for the instruction at `at` (jumps and local calls name the instruction they go
 * to, counted from its section's start as in messages, and helpers their name), cut at
 * BPF_DISASM_MAX with its NUL. Any bytes are allowed: what is no instruction says so. Returns how
 * many instructions it took: 1, or 2 for a wide one. `helpers` may be NULL. */
unsigned bpf_disasm(char out[BPF_DISASM_MAX], const struct bpf_object *object, uint32_t at,
                    const struct bpf_helper_table *helpers);

#endif
