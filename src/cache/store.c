/* The directory belongs to whoever holds an flock on its file `lock`. That file is never removed,
 * so that two processes cannot hold the lock of two files with one name. It has one line of a fixed
 * length, which is written over in place: that needs no space on a full disk.
 *
 *     pid=123 host=HOST since=2024-05-01T12:00:00Z run=17 boot=UUID
 *
 * The mark of an orderly end is a file of its own, `orderly`. It is removed, and that brought to
 * the disk, before anything else is written; and made, after everything else was brought to the
 * disk.
 */
#include "cache/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOCK_NAME "lock"
#define MARK_NAME "orderly"

enum { LINE_LEN = 512, WORD_MAX = 80, BOOT_LEN = 36, HOLDER_TRIES = 20, HOLDER_WAIT_US = 10000 };

/* What the line in the lock file says, unknown words empty. */
struct holder {
    char pid[WORD_MAX], host[WORD_MAX], since[WORD_MAX], run[WORD_MAX], boot[WORD_MAX];
};

/* --- paths beneath the directory --- */

/* Part by part, where the system has no openat2 or forbids it. */
static int
open_by_parts(int at_fd, const char *path, int flags)
{
    char part[STORE_FILE_LEN + sizeof ".part"];
    struct str rest = str_from_cstr(path);
    int fd = at_fd;
    while (rest.len && fd >= 0) {
        struct str name = str_cut(&rest, '/');
        int outer = fd;
        snprintf(part, sizeof part, "%.*s", STR_ARG(name));
        fd =
            openat(outer, part, O_NOFOLLOW | O_CLOEXEC | (rest.len ? O_PATH | O_DIRECTORY : flags));
        if (fd < 0)
            fd = -errno;
        if (outer != at_fd)
            close(outer);
    }
    return fd;
}

static int
open_at_once(int at_fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)flags | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, at_fd, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

int
store_open_beneath(const struct store *store, int at_fd, const char *path, int flags)
{
    return store->has_openat2 ? open_at_once(at_fd, path, flags)
                              : open_by_parts(at_fd, path, flags);
}

static bool
has_openat2(int dir_fd)
{
    int fd = open_at_once(dir_fd, ".", O_PATH | O_DIRECTORY);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* --- the line of the holder --- */

static void
read_boot_id(char out[static BOOT_LEN + 1])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, out, BOOT_LEN);
    if (fd >= 0)
        close(fd);
    out[len == BOOT_LEN ? BOOT_LEN : 0] = '\0';
}

/* The value of "name=value" in the line; what cannot be in one of ours is left out. */
static void
find_word(struct str line, struct str name, char out[static WORD_MAX])
{
    size_t len = 0;
    while (line.len) {
        struct str word = str_cut(&line, ' ');
        struct str key = str_cut(&word, '=');
        if (!str_eq(key, name))
            continue;
        for (size_t i = 0; i < word.len && len < WORD_MAX - 1; i++)
            if (word.ptr[i] > ' ' && word.ptr[i] < 0x7f)
                out[len++] = word.ptr[i];
        break;
    }
    out[len] = '\0';
}

static void
read_holder(int lock_fd, struct holder *holder)
{
    char text[LINE_LEN];
    ssize_t len = pread(lock_fd, text, sizeof text, 0);
    struct str line = str_make(text, len > 0 ? (size_t)len : 0);
    line = str_first(line, str_find_char(line, '\n'));
    find_word(line, STR("pid"), holder->pid);
    find_word(line, STR("host"), holder->host);
    find_word(line, STR("since"), holder->since);
    find_word(line, STR("run"), holder->run);
    find_word(line, STR("boot"), holder->boot);
}

/* Says that it is us. When that cannot be written (a full disk), nobody learns it; no more. */
static void
write_holder(const struct store *store)
{
    char text[LINE_LEN + 1], host[WORD_MAX] = "", since[WORD_MAX], boot[BOOT_LEN + 1];
    struct tm now;
    time_t now_s = time(NULL);
    read_boot_id(boot);
    gethostname(host, sizeof host - 1);
    strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now_s, &now));
    int len = snprintf(text, sizeof text, "pid=%d host=%s since=%s run=%llu boot=%s", (int)getpid(),
                       host, since, (unsigned long long)store->run, boot);
    memset(text + len, ' ', (size_t)(LINE_LEN - 1 - len));
    text[LINE_LEN - 1] = '\n';
    if (pwrite(store->lock_fd, text, LINE_LEN, 0) == LINE_LEN)
        fdatasync(store->lock_fd);
}

/* --- the lock --- */

/* Whoever has only just taken the lock writes its line in a moment. */
static int
report_holder(int lock_fd, const char *path, struct error *error)
{
    struct holder holder;
    for (unsigned i = 0; i < HOLDER_TRIES; i++) {
        read_holder(lock_fd, &holder);
        if (holder.pid[0])
            return error_set(error, "'%s' is in use by process %s (tarn cache, on %s, since %s)",
                             path, holder.pid, holder.host, holder.since);
        usleep(HOLDER_WAIT_US);
    }
    return error_set(error, "'%s' is in use by another process", path);
}

/* 1: taken; 0: the file was removed meanwhile, try again; -1: failed. */
static int
try_lock(struct store *store, struct error *error)
{
    struct stat info;
    int fd =
        openat(store->fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot open '%s/%s'", store->path, LOCK_NAME);
    int result = 1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        result = errno == EWOULDBLOCK
                     ? report_holder(fd, store->path, error)
                     : error_set_errno(error, errno, "cannot lock '%s/%s'", store->path, LOCK_NAME);
    else if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        result = error_set(error, "'%s/%s' is not a regular file", store->path, LOCK_NAME);
    else if (info.st_nlink == 0)
        result = 0;
    if (result == 1)
        store->lock_fd = fd;
    else
        close(fd);
    return result;
}

/* Before anything of the directory is changed. */
static int
take_over(struct store *store, struct error *error)
{
    struct holder last;
    char boot[BOOT_LEN + 1];
    uint64_t last_run;
    int taken;
    while ((taken = try_lock(store, error)) == 0)
        continue;
    if (taken < 0)
        return -1;
    read_holder(store->lock_fd, &last);
    read_boot_id(boot);
    bool counted = str_to_u64(str_from_cstr(last.run), &last_run) && last_run < UINT32_MAX;
    store->run = counted ? last_run + 1 : 1;
    store->was_orderly = unlinkat(store->fd, MARK_NAME, 0) == 0;
    if (!store->was_orderly && errno != ENOENT)
        return error_set_errno(error, errno, "cannot remove '%s/%s'", store->path, MARK_NAME);
    if (store->was_orderly && fsync(store->fd) != 0 && errno != EINVAL)
        return error_set_errno(error, errno, "cannot write to '%s'", store->path);
    store->was_restarted = !store->was_orderly && (!boot[0] || strcmp(boot, last.boot) != 0);
    write_holder(store);
    return 0;
}

/* --- life --- */

static int
open_dir(struct store *store, struct error *error)
{
    if (mkdir(store->path, 0700) != 0 && errno != EEXIST)
        return error_set_errno(error, errno, "cannot make the directory '%s'", store->path);
    store->fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->fd < 0)
        return error_set_errno(error, errno, "cannot open the directory '%s'", store->path);
    if (faccessat(store->fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        return error_set_errno(error, errno, "cannot write to '%s'", store->path);
    store->has_openat2 = has_openat2(store->fd);
    return 0;
}

int
store_open(struct store **out, const char *dir, struct error *error)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store || !(store->path = strdup(dir))) {
        free(store);
        return error_set(error, "no memory for '%s'", dir);
    }
    store->fd = store->lock_fd = -1;
    if (open_dir(store, error) < 0 || take_over(store, error) < 0) {
        store_close(store, false);
        return -1;
    }
    *out = store;
    return 0;
}

static void
put_mark(const struct store *store)
{
    if (syncfs(store->fd) != 0)
        return;
    int fd = openat(store->fd, MARK_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
    fsync(store->fd);
}

void
store_close(struct store *store, bool orderly)
{
    if (!store)
        return;
    if (orderly)
        put_mark(store);
    if (store->lock_fd >= 0) {
        flock(store->lock_fd, LOCK_UN); /* also when a child has the descriptor */
        close(store->lock_fd);
    }
    if (store->fd >= 0)
        close(store->fd);
    free(store->path);
    free(store);
}

/* --- what it says --- */

bool
store_was_orderly(const struct store *store)
{
    return store->was_orderly;
}

bool
store_was_restarted(const struct store *store)
{
    return store->was_restarted;
}

uint64_t
store_last_id(const struct store *store)
{
    return store->run << STORE_RUN_SHIFT;
}

int
store_dir_fd(const struct store *store)
{
    return store->fd;
}

const char *
store_path(const struct store *store)
{
    return store->path;
}

uint64_t
store_free_len(const struct store *store)
{
    struct statvfs info;
    uint64_t len;
    if (fstatvfs(store->fd, &info) != 0 ||
        __builtin_mul_overflow((uint64_t)info.f_bavail, (uint64_t)info.f_frsize, &len))
        return UINT64_MAX;
    return len;
}
