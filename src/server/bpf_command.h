/* bpf_command: `tarn bpf run`, `dis` and `exec`, for those who write scripts. Main thread.
 *
 * What is asked for goes to standard output, all else to standard error. Exit codes: 0 done, 1 the
 * script failed or it could not be done, with one line that says why.
 */
#ifndef TARN_SERVER_BPF_COMMAND_H
#define TARN_SERVER_BPF_COMMAND_H

#include "server/options.h"

/* Each returns the exit code. */
int bpf_command_run(const struct options *options);
int bpf_command_dis(const struct options *options);
int bpf_command_exec(const struct options *options);

#endif
