/* bpf_helpers: the helpers that scripts have when there is no server around them.
 *
 * The same names, arguments and results as in a server, as far as there is no request. `user` of a
 * run is a struct bpf_log, which is its log.
 */
#ifndef TARN_SERVER_BPF_HELPERS_H
#define TARN_SERVER_BPF_HELPERS_H

#include "bpf/helper.h"

/* Number 5 is the "unwind" of the conformance suite: gives its argument back, or, when that is 0,
 * ends the program with 0. */
extern const struct bpf_helper_table bpf_tool_helpers;

enum { BPF_LOG_MAX = 512 };

/* What zs_log was given and no newline has ended yet. Starts as zeros. */
struct bpf_log {
    char text[BPF_LOG_MAX];
    size_t len;
};

/* At the end of a run: the last line, if there is one. */
void bpf_log_flush(struct bpf_log *log);

#endif
