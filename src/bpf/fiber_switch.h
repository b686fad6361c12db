/* fiber_switch: what fiber_ARCH.c gives to fiber.c: two functions in assembly. Not for others.
 *
 * Both push what the calling convention says a function must keep, in the same order, and so can be
 * left by one and come back by the other.
 */
#ifndef TARN_BPF_FIBER_SWITCH_H
#define TARN_BPF_FIBER_SWITCH_H

#include "bpf/fiber.h"

/* Saves the stack pointer in fiber->owner_sp and calls main(fiber) with the stack that ends at
 * `top`. When main returns, to whatever fiber->owner_sp is then. This way call and return stay a
 * pair, which processors predict; a run that neither yields nor waits has no other switch. */
void bpf_fiber_call(struct bpf_fiber *fiber, void (*main)(struct bpf_fiber *fiber), char *top);

/* Saves the stack pointer in *from and goes on at `to`. */
void bpf_fiber_switch(void **from, void *to);

#endif
