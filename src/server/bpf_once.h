/* bpf_once: runs a program one time on the calling thread, without a loop around it.
 *
 * Needs a worker and a ticker of its own, which are gone when it returns.
 */
#ifndef TARN_SERVER_BPF_ONCE_H
#define TARN_SERVER_BPF_ONCE_H

#include "bpf/program.h"

struct bpf_once {
    struct bpf_program *program; /* borrowed; its helpers are bpf_tool_helpers */
    uint32_t entry;
    uint64_t args[2];      /* r1, r2 */
    uint64_t cpu_limit_ms; /* 0: none */
    /* results */
    uint64_t result; /* r0 */
    uint64_t cpu_ns; /* of this thread, from the first instruction to the last */
};

/* -1: the script failed, or it could not be begun. The line says which and where. */
int bpf_once_run(struct bpf_once *once, struct error *error) MUST_USE;

#endif
