#include "script/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 10 };

static int64_t
clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- start --- */

/* The server's signals are blocked or ignored in ways that no other program expects. */
static int
fill_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, ignored;
    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE);
    int code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                        POSIX_SPAWN_SETSIGDEF);
    if (code == 0)
        code = posix_spawnattr_setsigmask(attributes, &none);
    if (code == 0)
        code = posix_spawnattr_setsigdefault(attributes, &ignored);
    return code;
}

/* To duplicate a descriptor onto itself is to keep it open. */
static int
fill_actions(posix_spawn_file_actions_t *actions, const struct child *child)
{
    int code = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, child->out_fd, STDOUT_FILENO);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(actions, child->err_fd, STDERR_FILENO);
    for (unsigned i = 0; code == 0 && i < child->kept_count; i++)
        code = posix_spawn_file_actions_adddup2(actions, child->kept_fds[i], child->kept_fds[i]);
    return code;
}

static int
start(const struct child *child, pid_t *pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    int code = posix_spawnattr_init(&attributes);
    if (code != 0)
        return code;
    code = posix_spawn_file_actions_init(&actions);
    if (code == 0) {
        code = fill_attributes(&attributes);
        if (code == 0)
            code = fill_actions(&actions, child);
        if (code == 0)
            code = posix_spawn(pid, child->path, &actions, &attributes, child->argv, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    posix_spawnattr_destroy(&attributes);
    return code;
}

/* A child can do little before these hold, and what it does is looked at when it has ended. */
static void
limit(const struct child *child, pid_t pid)
{
    const rlim_t seconds = child->timeout_ms / 1000 + 1;
    const struct rlimit cpu = {seconds, seconds}, core = {0, 0};
    const struct rlimit file = {child->file_len_max, child->file_len_max};
    prlimit(pid, RLIMIT_CPU, &cpu, NULL);
    prlimit(pid, RLIMIT_CORE, &core, NULL);
    prlimit(pid, RLIMIT_FSIZE, &file, NULL);
}

/* --- end --- */

/* Without a descriptor for the process (an old kernel) it is looked at again and again. */
static void
await(const struct child *child, pid_t pid, int *status, struct child_end *end)
{
    int64_t deadline = clock_ms() + child->timeout_ms;
    struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    while (waitpid(pid, status, WNOHANG) == 0) {
        int64_t left = deadline - clock_ms();
        if (left <= 0) {
            end->timed_out = true;
            kill(-pid, SIGKILL);
            while (waitpid(pid, status, 0) < 0 && errno == EINTR)
                continue;
            break;
        }
        poll(&ended, ended.fd >= 0, ended.fd < 0 && left > LOOK_MS ? LOOK_MS : (int)left);
    }
    if (ended.fd >= 0)
        close(ended.fd);
}

int
child_run(const struct child *child, struct child_end *end, struct error *error)
{
    pid_t pid;
    int status = 0;
    /* Whoever started us may have had it ignored: then nobody could ask how a child ended. */
    signal(SIGCHLD, SIG_DFL);
    int code = start(child, &pid);
    if (code != 0)
        return error_set_errno(error, code, "cannot run '%s'", child->path);
    *end = (struct child_end){.exit_code = -1};
    limit(child, pid);
    await(child, pid, &status, end);
    if (WIFEXITED(status))
        end->exit_code = WEXITSTATUS(status);
    else if (WIFSIGNALED(status))
        end->signal_number = WTERMSIG(status);
    return 0;
}

int
child_file_open(const char *name, struct error *error)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd >= 0 && fd <= STDERR_FILENO) {
        int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        int code = errno;
        close(fd);
        fd = higher;
        errno = code;
    }
    return fd >= 0 ? fd : error_set_errno(error, errno, "no memory for files of another program");
}
