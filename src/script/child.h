/* child: runs another program to its end: no shell, no input, output into files, bounded in time
 * and in what it writes.
 *
 * It gets none of our descriptors but those that are named, and our environment. Started as by
 * vfork, so that neither the size of this process nor the number of its threads matters. It is a
 * process group of its own: when its time is over, what it has started ends too. Blocks. Any
 * thread.
 */
#ifndef TARN_SCRIPT_CHILD_H
#define TARN_SCRIPT_CHILD_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct child {
    const char *path;   /* of the program; nothing is searched for */
    char *const *argv;  /* ends in NULL */
    int out_fd, err_fd; /* its standard output and standard error: not 0, 1 or 2 */
    const int *kept_fds;
    unsigned kept_count;   /* descriptors that it has under the same number */
    unsigned timeout_ms;   /* then it is killed */
    uint64_t file_len_max; /* of a file that it writes; then it is killed */
};

/* How it ended. */
struct child_end {
    bool timed_out;
    int exit_code;     /* -1: killed */
    int signal_number; /* that killed it, or 0 */
};

/* -1: it cannot be started; a line that says why. */
int child_run(const struct child *child, struct child_end *end, struct error *error) MUST_USE;

/* An empty file in memory, closed in children, its number above 2; -1 and a line. */
int child_file_open(const char *name, struct error *error) MUST_USE;

#endif
