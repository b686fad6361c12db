#include "bpf/worker.h"

#include "base/must.h"
#include "bpf/fault.h"

#include <stdlib.h>

_Thread_local struct bpf_worker *bpf_worker_here;

int
bpf_worker_new(struct bpf_worker **out, struct bpf_ticker *ticker, struct error *error)
{
    must(!bpf_worker_here);
    char *stack;
    if (bpf_fault_install(error) < 0 || bpf_fault_stack_new(&stack, error) < 0)
        return -1;
    struct bpf_worker *worker = aligned_alloc(BPF_SHARED_ALIGN, sizeof *worker);
    if (!worker) {
        bpf_fault_stack_free(stack);
        return error_set(error, "no memory for a worker of scripts");
    }
    *worker = (struct bpf_worker){.ticker = ticker, .signal_stack = stack};
    if (ticker)
        bpf_ticker_add(ticker, worker);
    bpf_worker_here = worker;
    *out = worker;
    return 0;
}

void
bpf_worker_free(struct bpf_worker *worker)
{
    if (!worker)
        return;
    must(worker == bpf_worker_here && !worker->pools);
    if (worker->ticker)
        bpf_ticker_remove(worker->ticker, worker);
    bpf_fault_stack_free(worker->signal_stack);
    bpf_worker_here = NULL;
    free(worker);
}
