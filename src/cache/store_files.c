/* One file of content: its name, and the steps of its life. Everything is done in the descriptor of
 * the file's own directory, which was opened without following links.
 */
#include "cache/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void
store_name_make(struct store_name *name, struct str url, uint64_t id)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[DIGEST_SHA256_LEN];
    digest_of(DIGEST_SHA256, url, digest);
    for (unsigned i = 0; i < sizeof digest; i++) {
        name->file[2 * i] = digits[digest[i] >> 4];
        name->file[2 * i + 1] = digits[digest[i] & 15];
    }
    snprintf(name->file + 64, sizeof name->file - 64, ".%016llx", (unsigned long long)id);
    snprintf(name->part, sizeof name->part, "%s.part", name->file);
    snprintf(name->dir, sizeof name->dir, "%.2s/%.2s", name->file, name->file + 2);
    snprintf(name->path, sizeof name->path, "%s/%s", name->dir, name->file);
}

/* --- directories --- */

static int
open_dir(const struct store *store, const struct store_name *name)
{
    return store_open_beneath(store, store->fd, name->dir, O_PATH | O_DIRECTORY);
}

/* One level: made when it is missing. The descriptor, or -errno. */
static int
make_level(const struct store *store, int at_fd, const char *path)
{
    if (mkdirat(at_fd, path, 0700) != 0 && errno != EEXIST)
        return -errno;
    return store_open_beneath(store, at_fd, path, O_PATH | O_DIRECTORY);
}

static int
make_dir(const struct store *store, const struct store_name *name)
{
    int fd = open_dir(store, name);
    if (fd != -ENOENT)
        return fd;
    char first[] = {name->dir[0], name->dir[1], '\0'};
    int outer = make_level(store, store->fd, first);
    if (outer < 0)
        return outer;
    fd = make_level(store, outer, name->dir + 3);
    close(outer);
    return fd;
}

/* --- steps --- */

/* Space for the declared length. Where the file system cannot reserve, it is found out later. */
static int
reserve(int fd, uint64_t len)
{
    if (len == 0 || len == UINT64_MAX)
        return 0;
    if (len > INT64_MAX)
        return -EFBIG;
    while (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)len) != 0) {
        if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
            return -errno;
        if (errno != EINTR)
            return 0;
    }
    return 0;
}

int
store_create_part(struct store *store, struct str url, uint64_t id, uint64_t len)
{
    struct store_name name;
    store_name_make(&name, url, id);
    int dir = make_dir(store, &name);
    if (dir < 0)
        return dir;
    int fd = openat(dir, name.part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = -errno;
    int code = fd < 0 ? 0 : reserve(fd, len);
    if (code < 0) {
        unlinkat(dir, name.part, 0);
        close(fd);
        fd = code;
    }
    close(dir);
    return fd;
}

/* Some file systems have no renaming that refuses to replace; ids keep names apart there. */
static int
rename_new(int dir, const char *from, const char *to)
{
    if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    return renameat(dir, from, dir, to) == 0 ? 0 : -errno;
}

int
store_finish_part(struct store *store, struct str url, uint64_t id)
{
    struct store_name name;
    store_name_make(&name, url, id);
    int dir = open_dir(store, &name);
    if (dir < 0)
        return dir;
    int code = rename_new(dir, name.part, name.file);
    close(dir);
    return code;
}

static int
remove_in(const struct store *store, const struct store_name *name, const char *file)
{
    int dir = open_dir(store, name);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    int code = unlinkat(dir, file, 0) == 0 || errno == ENOENT ? 0 : -errno;
    close(dir);
    return code;
}

int
store_remove_part(struct store *store, struct str url, uint64_t id)
{
    struct store_name name;
    store_name_make(&name, url, id);
    return remove_in(store, &name, name.part);
}

int
store_remove(struct store *store, struct str url, uint64_t id)
{
    struct store_name name;
    store_name_make(&name, url, id);
    return remove_in(store, &name, name.file);
}

int
store_open_file(struct store *store, struct str url, uint64_t id, uint64_t len)
{
    struct store_name name;
    struct stat info;
    store_name_make(&name, url, id);
    /* not to wait when it is a pipe */
    int fd = store_open_beneath(store, store->fd, name.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fd;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == len)
        return fd;
    close(fd);
    return -ESTALE;
}
