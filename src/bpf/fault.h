/* fault: SIGSEGV and SIGBUS. A fault of a script's machine code ends its run, or gives it more
 * of its stack or its arguments; all others go to who handled them before, so that a bug of the
 * server kills it as it would have.
 *
 * A fault is a script's only when this thread runs one (bpf_run_current), the instruction is in the
 * machine code of its program, and the address is in the window of its cage.
 */
#ifndef TARN_BPF_FAULT_H
#define TARN_BPF_FAULT_H

#include "base/error.h"

/* Installs the handlers where they are not. Any thread. -1 with a line. */
int bpf_fault_install(struct error *error) MUST_USE;

/* Gives this thread a stack for the handler, unless it has one; *stack is what to give back, or
 * NULL. -1 with a line. */
int bpf_fault_stack_new(char **stack, struct error *error) MUST_USE;
void bpf_fault_stack_free(char *stack); /* on the same thread; NULL is nothing */

#endif
