#include "bpf/fiber_switch.h"

/* System V ABI: rbx, rbp and r12 to r15 are kept; rdi, rsi and rdx are the arguments.
 *
 * The escape is for debuggers: while main runs, the frame is found through fiber->owner_sp, since
 * rbx holds the fiber: DW_CFA_def_cfa_expression, 5 bytes: DW_OP_breg3 (rbx) 0, DW_OP_deref,
 * DW_OP_plus_uconst 56.
 */
#define PUSH_ALL                                     \
    "    pushq %rbp\n    .cfi_adjust_cfa_offset 8\n" \
    "    .cfi_rel_offset %rbp, 0\n"                  \
    "    pushq %rbx\n    .cfi_adjust_cfa_offset 8\n" \
    "    .cfi_rel_offset %rbx, 0\n"                  \
    "    pushq %r12\n    .cfi_adjust_cfa_offset 8\n" \
    "    .cfi_rel_offset %r12, 0\n"                  \
    "    pushq %r13\n    .cfi_adjust_cfa_offset 8\n" \
    "    .cfi_rel_offset %r13, 0\n"                  \
    "    pushq %r14\n    .cfi_adjust_cfa_offset 8\n" \
    "    .cfi_rel_offset %r14, 0\n"                  \
    "    pushq %r15\n    .cfi_adjust_cfa_offset 8\n" \
    "    .cfi_rel_offset %r15, 0\n"

#define POP(reg) "    popq %" reg "\n    .cfi_adjust_cfa_offset -8\n    .cfi_restore %" reg "\n"
#define POP_ALL POP("r15") POP("r14") POP("r13") POP("r12") POP("rbx") POP("rbp")

#define FUNCTION(name)                           \
    "    .p2align 4\n"                           \
    "    .globl " name "\n"                      \
    "    .hidden " name "\n"                     \
    "    .type " name ", @function\n" name ":\n" \
    "    .cfi_startproc\n"
#define END(name)        \
    "    ret\n"          \
    "    .cfi_endproc\n" \
    "    .size " name ", . - " name "\n"

/* clang-format off */
__asm__("    .text\n"
        FUNCTION("bpf_fiber_call")
        PUSH_ALL
        "    movq %rdi, %rbx\n"
        "    movq %rsp, (%rbx)\n"
        "    .cfi_remember_state\n"
        "    .cfi_escape 0x0f, 0x05, 0x73, 0x00, 0x06, 0x23, 0x38\n"
        "    movq %rdx, %rsp\n"
        "    callq *%rsi\n"
        "    movq (%rbx), %rsp\n"
        "    .cfi_restore_state\n"
        POP_ALL
        END("bpf_fiber_call")

        FUNCTION("bpf_fiber_switch")
        PUSH_ALL
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        POP_ALL
        END("bpf_fiber_switch"));
