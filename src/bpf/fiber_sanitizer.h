/* fiber_sanitizer: tells the address and the thread sanitizer of switches, in builds that have one;
 * nothing in others. For fiber.c.
 *
 *     on the owner's stack        on the fiber's
 *     new .. free                                     life of a fiber
 *     fresh                                           its stack is dropped
 *     to, switch ................ in                  into it
 *     out ....................... back, switch        out of it
 *
 * These functions, and who calls `in` first and `back` last on a fiber's stack, are not
 * instrumented themselves: the thread sanitizer would count a call for one side and its return for
 * the other.
 */
#ifndef TARN_BPF_FIBER_SANITIZER_H
#define TARN_BPF_FIBER_SANITIZER_H

#include "bpf/fiber.h"

#include <stdbool.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#define FIBER_PLAIN_BASE no_sanitize("address", "thread")
#if __has_attribute(disable_sanitizer_instrumentation)
#define FIBER_PLAIN __attribute__((FIBER_PLAIN_BASE, disable_sanitizer_instrumentation))
#else
#define FIBER_PLAIN __attribute__((FIBER_PLAIN_BASE))
#endif

#if defined(__SANITIZE_ADDRESS__)

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static inline void
fiber_sanitizer_new(struct bpf_fiber *fiber)
{
}

static inline void
fiber_sanitizer_free(struct bpf_fiber *fiber)
{
    __asan_unpoison_memory_region(fiber->stack_low, fiber->stack_len);
}

/* Frames that were dropped have left their marks. */
static inline void
fiber_sanitizer_fresh(struct bpf_fiber *fiber)
{
    __asan_unpoison_memory_region(fiber->stack_low, fiber->stack_len);
    fiber->kept = NULL;
}

FIBER_PLAIN static inline void
fiber_sanitizer_to(struct bpf_fiber *fiber)
{
    __sanitizer_start_switch_fiber(&fiber->owner_kept, fiber->stack_low, fiber->stack_len);
}

FIBER_PLAIN static inline void
fiber_sanitizer_in(struct bpf_fiber *fiber)
{
    __sanitizer_finish_switch_fiber(fiber->kept, &fiber->owner_low, &fiber->owner_len);
}

FIBER_PLAIN static inline void
fiber_sanitizer_back(struct bpf_fiber *fiber, bool last)
{
    __sanitizer_start_switch_fiber(last ? NULL : &fiber->kept, fiber->owner_low, fiber->owner_len);
}

FIBER_PLAIN static inline void
fiber_sanitizer_out(struct bpf_fiber *fiber)
{
    __sanitizer_finish_switch_fiber(fiber->owner_kept, NULL, NULL);
}

#elif defined(__SANITIZE_THREAD__)

#include <sanitizer/tsan_interface.h>

static inline void
fiber_sanitizer_new(struct bpf_fiber *fiber)
{
    fiber->kept = __tsan_create_fiber(0);
}

static inline void
fiber_sanitizer_free(struct bpf_fiber *fiber)
{
    __tsan_destroy_fiber(fiber->kept);
}

/* What it knows of the calls that were open would stay. */
static inline void
fiber_sanitizer_fresh(struct bpf_fiber *fiber)
{
    fiber_sanitizer_free(fiber);
    fiber_sanitizer_new(fiber);
}

FIBER_PLAIN static inline void
fiber_sanitizer_to(struct bpf_fiber *fiber)
{
    fiber->owner_kept = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->kept, 0);
}

FIBER_PLAIN static inline void
fiber_sanitizer_in(struct bpf_fiber *fiber)
{
}

FIBER_PLAIN static inline void
fiber_sanitizer_back(struct bpf_fiber *fiber, bool last)
{
    __tsan_switch_to_fiber(fiber->owner_kept, 0);
}

FIBER_PLAIN static inline void
fiber_sanitizer_out(struct bpf_fiber *fiber)
{
}

#else

static inline void
fiber_sanitizer_new(struct bpf_fiber *fiber)
{
}

static inline void
fiber_sanitizer_free(struct bpf_fiber *fiber)
{
}

static inline void
fiber_sanitizer_fresh(struct bpf_fiber *fiber)
{
}

static inline void
fiber_sanitizer_to(struct bpf_fiber *fiber)
{
}

static inline void
fiber_sanitizer_in(struct bpf_fiber *fiber)
{
}

static inline void
fiber_sanitizer_back(struct bpf_fiber *fiber, bool last)
{
}

static inline void
fiber_sanitizer_out(struct bpf_fiber *fiber)
{
}

#endif

#endif
