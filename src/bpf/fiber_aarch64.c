#include "bpf/fiber_switch.h"

/* AAPCS64: x19 to x30 and the lower halves of v8 to v15 are kept; x0 to x2 are the arguments. The
 * stack pointer is aligned to 16 and cannot be stored directly.
 */
#define FRAME "160"

#define SAVE_ALL                     \
    "    sub sp, sp, #" FRAME "\n"   \
    "    stp x19, x20, [sp, #0]\n"   \
    "    stp x21, x22, [sp, #16]\n"  \
    "    stp x23, x24, [sp, #32]\n"  \
    "    stp x25, x26, [sp, #48]\n"  \
    "    stp x27, x28, [sp, #64]\n"  \
    "    stp x29, x30, [sp, #80]\n"  \
    "    stp d8, d9, [sp, #96]\n"    \
    "    stp d10, d11, [sp, #112]\n" \
    "    stp d12, d13, [sp, #128]\n" \
    "    stp d14, d15, [sp, #144]\n"

#define RESTORE_ALL                  \
    "    ldp x19, x20, [sp, #0]\n"   \
    "    ldp x21, x22, [sp, #16]\n"  \
    "    ldp x23, x24, [sp, #32]\n"  \
    "    ldp x25, x26, [sp, #48]\n"  \
    "    ldp x27, x28, [sp, #64]\n"  \
    "    ldp x29, x30, [sp, #80]\n"  \
    "    ldp d8, d9, [sp, #96]\n"    \
    "    ldp d10, d11, [sp, #112]\n" \
    "    ldp d12, d13, [sp, #128]\n" \
    "    ldp d14, d15, [sp, #144]\n" \
    "    add sp, sp, #" FRAME "\n"

#define FUNCTION(name)       \
    "    .p2align 4\n"       \
    "    .globl " name "\n"  \
    "    .hidden " name "\n" \
    "    .type " name ", %function\n" name ":\n"
#define END(name) \
    "    ret\n"   \
    "    .size " name ", . - " name "\n"

/* clang-format off */
__asm__("    .text\n"
        FUNCTION("bpf_fiber_call")
        SAVE_ALL
        "    mov x19, x0\n"
        "    mov x9, sp\n"
        "    str x9, [x19]\n"
        "    mov sp, x2\n"
        "    mov x29, xzr\n" /* backtraces end here */
        "    blr x1\n"
        "    ldr x9, [x19]\n"
        "    mov sp, x9\n"
        RESTORE_ALL
        END("bpf_fiber_call")

        FUNCTION("bpf_fiber_switch")
        SAVE_ALL
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        RESTORE_ALL
        END("bpf_fiber_switch"));
