/* For processors without a translator: scripts are interpreted there. */
#include "bpf/jit.h"

#include "base/must.h"
#include "bpf/run_internal.h"

int
bpf_code_new(struct bpf_code *code, const struct bpf_object *object, const struct bpf_check *check,
             const struct bpf_helper_table *helpers, uint64_t len_max, struct error *error)
{
    *code = (struct bpf_code){0};
    return error_set(error, "there is no translator for this processor");
}

/* No program has machine code, so nothing below is ever called. */
uint64_t
bpf_jit_run(struct bpf_run *run)
{
    must(!"machine code");
    return 0;
}

uint64_t
bpf_fault_ip(const ucontext_t *context)
{
    return 0;
}

uint64_t
bpf_fault_register(const ucontext_t *context, unsigned reg)
{
    must(!"machine code");
    return 0;
}

void
bpf_fault_go_on(ucontext_t *context, void (*function)(void *arg), void *arg)
{
    must(!"machine code");
}
