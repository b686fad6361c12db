/* noring: runs a command with io_uring forbidden, as the seccomp profile of a container does.
 *
 *     noring EPERM|ENOSYS COMMAND [ARGUMENT ...]
 *
 * Every io_uring system call fails with the given error; all others are allowed. The filter is
 * plain BPF, so that nothing but the C library is needed. Exit 125 when the filter cannot be set,
 * 127 when the command cannot be run.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* io_uring has the same numbers on every architecture: setup, enter, register. */
enum { IO_URING_FIRST = 425, IO_URING_LAST = 427 };

enum { EXIT_NO_FILTER = 125, EXIT_NO_COMMAND = 127 };

static int
forbid_io_uring(int error)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IO_URING_FIRST, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, IO_URING_LAST, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {
        .len = sizeof(program) / sizeof(program[0]),
        .filter = program,
    };
    /* Without this only root could set a filter. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

int
main(int argc, char **argv)
{
    if (argc < 3 || (strcmp(argv[1], "EPERM") != 0 && strcmp(argv[1], "ENOSYS") != 0)) {
        fprintf(stderr, "usage: noring EPERM|ENOSYS COMMAND [ARGUMENT ...]\n");
        return 2;
    }
    if (forbid_io_uring(strcmp(argv[1], "EPERM") == 0 ? EPERM : ENOSYS) != 0) {
        perror("noring: seccomp");
        return EXIT_NO_FILTER;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return EXIT_NO_COMMAND;
}
