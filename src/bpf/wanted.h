/* wanted: the helpers that an object file calls, by whatever names: its undefined symbols. For
 * tools that look at files which they cannot run, as those of another host.
 */
#ifndef TARN_BPF_WANTED_H
#define TARN_BPF_WANTED_H

#include "base/error.h"
#include "bpf/helper.h"

struct bpf_wanted {
    struct bpf_helper_table table; /* in the order of the symbols */
    struct bpf_helper *helpers;    /* owned: table.helpers */
    char *names;                   /* owned: of them */
};

/* Fills `wanted` from `bytes`, an object file, which are borrowed for the call. Each helper is one
 * that traps. Programs that are made with the table must not outlive it. At most BPF_WANTED_MAX.
 * -1 with a line; then nothing is owned. */
int bpf_wanted_read(struct bpf_wanted *wanted, struct str bytes, struct error *error) MUST_USE;
void bpf_wanted_deinit(struct bpf_wanted *wanted);

#endif
