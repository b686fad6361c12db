/* check: is this a program? Every opcode, register, field, jump and call, before anything runs.
 *
 * What passes can be translated and run: all control flow stays in the program, at starts of
 * instructions; nothing falls off the end of a section; every field that an opcode does not use is
 * 0. It does not reason about values: the cage and the budget take care of memory and time.
 * Linear in the length of the program.
 */
#ifndef TARN_BPF_CHECK_H
#define TARN_BPF_CHECK_H

#include "bpf/object.h"

/* What is known of each instruction. */
enum {
    BPF_MARK_TARGET = 1,    /* a jump goes here */
    BPF_MARK_FUNCTION = 2,  /* a local call goes here, or a section starts here */
    BPF_MARK_BACK = 4,      /* a jump that goes to itself or further back: the budget is polled */
    BPF_MARK_WIDE_HALF = 8, /* the second half of a wide instruction */
};

struct bpf_check {
    uint8_t *marks; /* one for each instruction; owned */
    /* Where the program can write to its stack without a helper. Not `wild`: only through r10
     * itself in the outermost function, from stack_low below the top on, and not above the top. */
    bool wild_stores;
    uint32_t stack_low; /* bytes below the top that stores through r10 reach, more than a frame if
                           they do; 0: none; without meaning when `wild` */
    bool calls_by_register;
};

enum { BPF_ALLOW_CALLX = 1 };

/* -1 with a line "section NAME, insn N: why" (N counts from the section's start). */
int bpf_check(struct bpf_check *check, const struct bpf_object *object,
              const struct bpf_helper_table *helpers, unsigned flags, struct error *error) MUST_USE;
void bpf_check_deinit(struct bpf_check *check);

#endif
