/* Into translated code, and out of it by a fault. */
#include "bpf/jit_x86_64.h"

#include "base/must.h"

/* Defined below. `stack` is the first value of r10. */
uint64_t jit_enter(const uint64_t args[5], char *base, const char *code, uint64_t stack);

/* Saves the registers that functions preserve, gives the script's their first values and calls
 * `code`. Here rsp is a multiple of 16 but for one word (System V ABI); six words and the return
 * address later it is what the code wants. */
__attribute__((naked)) uint64_t
jit_enter(const uint64_t args[5], char *base, const char *code, uint64_t stack)
{
    __asm__("push %rbp\n\t"
            "push %rbx\n\t"
            "push %r12\n\t"
            "push %r13\n\t"
            "push %r14\n\t"
            "push %r15\n\t"
            "mov %rsi, %r12\n\t"
            "mov %rdx, %r11\n\t"
            "mov %rcx, %rbp\n\t"
            "mov 8(%rdi), %rsi\n\t"
            "mov 16(%rdi), %rdx\n\t"
            "mov 24(%rdi), %rcx\n\t"
            "mov 32(%rdi), %r8\n\t"
            "mov (%rdi), %rdi\n\t"
            "xor %eax, %eax\n\t"
            "xor %ebx, %ebx\n\t"
            "xor %r13d, %r13d\n\t"
            "xor %r14d, %r14d\n\t"
            "xor %r15d, %r15d\n\t"
            "call *%r11\n\t"
            "pop %r15\n\t"
            "pop %r14\n\t"
            "pop %r13\n\t"
            "pop %r12\n\t"
            "pop %rbx\n\t"
            "pop %rbp\n\t"
            "ret");
}

uint64_t
bpf_jit_run(struct bpf_run *run)
{
    const struct bpf_program *program = run->program;
    /* elsewhere the code counts on what is known of the instruction before */
    must(jit_is_start(program->object.insns, program->check.marks, run->entry));
    return jit_enter(run->args, run->cage.base,
                     program->code.text + program->code.starts[run->entry], BPF_STACK_TOP);
}

uint64_t
bpf_fault_ip(const ucontext_t *context)
{
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
}

uint64_t
bpf_fault_register(const ucontext_t *context, unsigned reg)
{
    static const uint8_t places[] = {
        [X86_RAX] = REG_RAX, [X86_RCX] = REG_RCX, [X86_RDX] = REG_RDX, [X86_RBX] = REG_RBX,
        [X86_RBP] = REG_RBP, [X86_RSI] = REG_RSI, [X86_RDI] = REG_RDI, [X86_R8] = REG_R8,
        [X86_R13] = REG_R13, [X86_R14] = REG_R14, [X86_R15] = REG_R15,
    };
    return (uint64_t)context->uc_mcontext.gregs[places[jit_regs[reg]]];
}

/* As if called: below what a leaf function may have put under rsp, and one word short of aligned.
 */
void
bpf_fault_go_on(ucontext_t *context, void (*function)(void *arg), void *arg)
{
    enum { RED_ZONE_LEN = 128 };
    greg_t *gregs = context->uc_mcontext.gregs;
    gregs[REG_RSP] = (((gregs[REG_RSP] - RED_ZONE_LEN) & ~(greg_t)15)) - 8;
    gregs[REG_RDI] = (greg_t)(uintptr_t)arg;
    gregs[REG_RIP] = (greg_t)(uintptr_t)function;
}
