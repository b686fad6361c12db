/* options_bpf: what the commands of object files (bpf run, dis, exec) need of their words, behind
 * options.c. Pure.
 */
#ifndef TARN_SERVER_OPTIONS_BPF_H
#define TARN_SERVER_OPTIONS_BPF_H

#include "server/options_args.h"

static inline bool
options_is_bpf(enum options_command command)
{
    return FOR_BPF >> command & 1;
}

/* Fills `object`, or `exec_memory`. */
int options_resolve_bpf(struct options *options, const struct option_args *args,
                        struct error *error) MUST_USE;

#endif
