#include "bpf/fiber.h"

#include "base/must.h"
#include "bpf/fiber_sanitizer.h"
#include "bpf/fiber_switch.h"

#include <assert.h>
#include <stdint.h>

static_assert(offsetof(struct bpf_fiber, owner_sp) == 0, "where fiber_ARCH.c looks for it");

void
bpf_fiber_init(struct bpf_fiber *fiber, char *stack_low, size_t stack_len)
{
    must((uintptr_t)(stack_low + stack_len) % 16 == 0);
    *fiber = (struct bpf_fiber){.stack_low = stack_low, .stack_len = stack_len};
    fiber_sanitizer_new(fiber);
}

void
bpf_fiber_deinit(struct bpf_fiber *fiber)
{
    fiber_sanitizer_free(fiber);
}

FIBER_PLAIN static void
fiber_main(struct bpf_fiber *fiber)
{
    fiber_sanitizer_in(fiber);
    fiber->main(fiber->arg);
    fiber_sanitizer_back(fiber, true);
}

void
bpf_fiber_start(struct bpf_fiber *fiber, bpf_fiber_fn *main, void *arg)
{
    fiber->main = main;
    fiber->arg = arg;
    fiber->sp = NULL;
    fiber_sanitizer_fresh(fiber);
    fiber_sanitizer_to(fiber);
    bpf_fiber_call(fiber, fiber_main, fiber->stack_low + fiber->stack_len);
    fiber_sanitizer_out(fiber);
}

void
bpf_fiber_resume(struct bpf_fiber *fiber)
{
    void *sp = fiber->sp;
    must(sp);
    fiber->sp = NULL;
    fiber_sanitizer_to(fiber);
    bpf_fiber_switch(&fiber->owner_sp, sp);
    fiber_sanitizer_out(fiber);
}

void
bpf_fiber_leave(struct bpf_fiber *fiber)
{
    fiber_sanitizer_back(fiber, false);
    bpf_fiber_switch(&fiber->sp, fiber->owner_sp);
    fiber_sanitizer_in(fiber);
}

FIBER_PLAIN _Noreturn void
bpf_fiber_end(struct bpf_fiber *fiber)
{
    void *dropped;
    fiber_sanitizer_back(fiber, true);
    bpf_fiber_switch(&dropped, fiber->owner_sp);
    must(!"a fiber that has ended is not resumed");
    __builtin_unreachable();
}
