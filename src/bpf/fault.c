#include "bpf/fault.h"

#include "base/must.h"
#include "bpf/run_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* The handler runs on a stack of its own, since what has faulted may be the end of the native
 * stack. It does no more than look at what nobody changes meanwhile (the program, the run of this
 * thread); messages are made after it has returned, by what bpf_fault_go_on leads the thread to, on
 * the run's native stack.
 */
enum { SIGNAL_STACK_LEN = 64 << 10, HANDLED_COUNT = 2 };

_Thread_local struct bpf_run *volatile bpf_run_current;

static const int handled[HANDLED_COUNT] = {SIGSEGV, SIGBUS};
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous[HANDLED_COUNT];
static atomic_bool passed_on[HANDLED_COUNT];

/* --- a script's fault --- */

static struct bpf_insn
faulting_insn(const struct bpf_run *run)
{
    return run->program->object.insns[run->insn];
}

static bool
writes(struct bpf_insn insn)
{
    uint8_t op = bpf_opcodes[insn.opcode].op;
    return op != BPF_OP_LDX && op != BPF_OP_LDXS;
}

/* What the handler leads to. */
static void
end_run(void *arg)
{
    struct bpf_run *run = arg;
    struct bpf_insn insn = faulting_insn(run);
    bpf_run_trap_access(run, run->fault_addr, bpf_opcodes[insn.opcode].width / 8, writes(insn));
}

/* The instruction of `run` that has faulted at `address`, or -1 when it was not the script. */
static int64_t
script_insn(const struct bpf_run *run, const ucontext_t *context, uint64_t address)
{
    const struct bpf_program *program = run->program;
    uint64_t ip = bpf_fault_ip(context);
    if (program->code.len == 0 || !bpf_cage_window(&run->cage, address))
        return -1;
    return bpf_code_insn(&program->code, program->object.insn_count, ip);
}

/* Whether `address` is stack or arguments that were not used before, and is usable now. */
static bool
opens(struct bpf_cage *cage, uint64_t address)
{
    uint64_t at = address - (uint64_t)(uintptr_t)cage->base;
    if (at >= BPF_STACK_LOW && at < cage->stack_open)
        return bpf_cage_open_stack(cage, (uint32_t)at);
    return at >= cage->args_open && at < bpf_cage_args_end() && bpf_cage_open_args(cage);
}

static bool
takes_fault(const siginfo_t *info, ucontext_t *context)
{
    struct bpf_run *run = bpf_run_current;
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;
    if (!run || info->si_code <= 0)
        return false;
    int64_t at = script_insn(run, context, address);
    if (at < 0)
        return false;
    if (opens(&run->cage, address))
        return true;
    run->insn = (uint32_t)at;
    struct bpf_insn insn = faulting_insn(run);
    unsigned reg = writes(insn) ? insn.dst : insn.src;
    run->fault_addr = bpf_effective(bpf_fault_register(context, reg), insn.off);
    bpf_fault_go_on(context, end_run, run);
    return true;
}

/* --- the handler --- */

/* The instruction faults again under the previous action, when the handler returns; the second time
 * under the default one, should the previous have led back here. A signal that somebody sent comes
 * again only when it is sent again. */
static void
pass_on(int signal, const siginfo_t *info)
{
    const struct sigaction fatal = {.sa_handler = SIG_DFL};
    for (unsigned i = 0; i < HANDLED_COUNT; i++) {
        if (handled[i] == signal)
            sigaction(signal, atomic_exchange(&passed_on[i], true) ? &fatal : &previous[i], NULL);
    }
    if (info->si_code <= 0)
        raise(signal);
}

static void
on_fault(int signal, siginfo_t *info, void *context)
{
    int code = errno;
    if (!takes_fault(info, context))
        pass_on(signal, info);
    errno = code;
}

/* Whether the handler is there, or could be put there. */
static bool
install(unsigned i)
{
    struct sigaction now, action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (sigaction(handled[i], NULL, &now) < 0)
        return false;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)
        return true;
    previous[i] = now;
    return sigaction(handled[i], &action, NULL) == 0;
}

int
bpf_fault_install(struct error *error)
{
    bool ok = true;
    pthread_mutex_lock(&install_lock);
    for (unsigned i = 0; i < HANDLED_COUNT; i++)
        ok = install(i) && ok;
    pthread_mutex_unlock(&install_lock);
    return ok ? 0 : error_set_errno(error, errno, "cannot handle faults of scripts");
}

/* --- its stack --- */

/* One that is there stays: sanitizers have their own and free it themselves. */
static bool
has_stack(void)
{
    stack_t now;
    return sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE);
}

/* Below it is a page that is not mapped. */
int
bpf_fault_stack_new(char **stack, struct error *error)
{
    *stack = NULL;
    if (has_stack())
        return 0;
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, guard + SIGNAL_STACK_LEN, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return error_set_errno(error, errno, "no memory for a signal stack");
    stack_t new = {.ss_sp = memory + guard, .ss_size = SIGNAL_STACK_LEN};
    if (mprotect(memory, guard, PROT_NONE) < 0 || sigaltstack(&new, NULL) < 0) {
        int code = errno;
        munmap(memory, guard + SIGNAL_STACK_LEN);
        return error_set_errno(error, code, "cannot set a signal stack");
    }
    *stack = memory;
    return 0;
}

void
bpf_fault_stack_free(char *stack)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    if (!stack)
        return;
    must(sigaltstack(&none, NULL) == 0);
    munmap(stack, (size_t)sysconf(_SC_PAGESIZE) + SIGNAL_STACK_LEN);
}
