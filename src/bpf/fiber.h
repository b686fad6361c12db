/* fiber: running a function on a stack of its own, and leaving it in the middle. The switches
 * themselves are written by hand for each processor (fiber_ARCH.c); the sanitizers are told of them
 * (fiber_sanitizer.h).
 *
 * What starts or resumes a fiber is its owner; a fiber is one thread's. Floating point modes are
 * not switched: nobody here changes them.
 */
#ifndef TARN_BPF_FIBER_H
#define TARN_BPF_FIBER_H

#include <stddef.h>

typedef void bpf_fiber_fn(void *arg);

struct bpf_fiber {
    void *owner_sp; /* saved stack pointer of the owner; first, as fiber_ARCH.c knows */
    void *sp;       /* and of the fiber; NULL: it has not left in the middle */
    char *stack_low;
    size_t stack_len;
    bpf_fiber_fn *main;
    void *arg;
    const void *owner_low; /* the owner's stack, and what sanitizers want to be kept */
    size_t owner_len;
    void *owner_kept, *kept;
};

/* The stack is the `stack_len` bytes at stack_low; its end is aligned to 16. */
void bpf_fiber_init(struct bpf_fiber *fiber, char *stack_low, size_t stack_len);
void bpf_fiber_deinit(struct bpf_fiber *fiber);

/* Runs main(arg) on the fiber's stack, from its top; returns when main has returned or left. What
 * was on that stack is dropped. */
void bpf_fiber_start(struct bpf_fiber *fiber, bpf_fiber_fn *main, void *arg);
/* Goes on where it left; returns as bpf_fiber_start. */
void bpf_fiber_resume(struct bpf_fiber *fiber);
/* On the fiber's stack: back to the owner; returns when it is resumed, which need not be. */
void bpf_fiber_leave(struct bpf_fiber *fiber);
/* The same, never to be resumed. */
_Noreturn void bpf_fiber_end(struct bpf_fiber *fiber);

#endif
