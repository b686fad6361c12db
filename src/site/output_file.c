#include "site/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name beside `target` that is not served and that one process has for itself. */
static char *
make_temporary_name(const char *target)
{
    char *name = NULL;
    const char *slash = strrchr(target, '/');
    const char *base = slash ? slash + 1 : target;
    if (asprintf(&name, "%.*s.%s.tmp.%ld", (int)(base - target), target, base, (long)getpid()) < 0)
        return NULL;
    return name;
}

static int
open_temporary(struct output_file *output, struct error *error)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    output->temporary = make_temporary_name(output->target);
    if (!output->temporary)
        return error_set(error, "no memory for the name of the output");
    output->fd = open(output->temporary, flags, 0644);
    if (output->fd < 0 && errno == EEXIST) {
        /* left over by a process that had the same id, as happens in containers */
        unlink(output->temporary);
        output->fd = open(output->temporary, flags, 0644);
    }
    if (output->fd >= 0)
        return 0;
    error_set_errno(error, errno, "cannot create '%s'", output->temporary);
    free(output->temporary);
    output->temporary = NULL;
    return -1;
}

int
output_file_open(struct output_file *output, const char *path, struct error *error)
{
    struct stat st;
    *output = (struct output_file){.fd = STDOUT_FILENO};
    if (!path) {
        if (isatty(STDOUT_FILENO))
            return error_set(error, "standard output is a terminal: name an output file");
        return 0;
    }
    /* A link is kept: the file that it stands for is replaced. */
    output->target = realpath(path, NULL);
    if (!output->target)
        output->target = strdup(path);
    if (!output->target)
        return error_set(error, "no memory for the name of the output");
    if (stat(output->target, &st) < 0 || S_ISREG(st.st_mode))
        return open_temporary(output, error);
    /* A pipe or a device cannot be replaced: it is written to. */
    output->fd = open(output->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (output->fd < 0)
        return error_set_errno(error, errno, "cannot write to '%s'", path);
    return 0;
}

/* Makes the new name last over a power failure. Not every file system can; then so be it. */
static void
sync_directory(char *path)
{
    int fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int
output_file_commit(struct output_file *output, struct error *error)
{
    if (!output->temporary)
        return 0;
    if (fsync(output->fd) < 0)
        return error_set_errno(error, errno, "cannot write '%s'", output->target);
    if (rename(output->temporary, output->target) < 0)
        return error_set_errno(error, errno, "cannot replace '%s'", output->target);
    sync_directory(output->temporary);
    free(output->temporary);
    output->temporary = NULL;
    return 0;
}

void
output_file_discard(struct output_file *output)
{
    if (output->temporary)
        unlink(output->temporary);
    if (output->target && output->fd >= 0)
        close(output->fd);
    free(output->temporary);
    free(output->target);
    *output = (struct output_file){.fd = -1};
}
