/* The walk goes depth first with one open directory for each level. A symbolic link is opened with
 * O_PATH, which follows it, and /proc/self/fd then names what was opened with all links resolved:
 * comparing that with the root's own name is the whole check, with nothing left to race. Without
 * /proc no link is followed. A link to a directory leads into a circle only when that directory is
 * one of those the walk stands in.
 */
#include "site/dir.h"

#include "base/limits.h"
#include "base/log.h"
#include "site/identity.h"
#include "site/script_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WARNINGS_SHOWN = 20, PATH_SHOWN = 200 };

struct walker {
    struct member_list *members;
    struct error *error;
    struct str disk_root;     /* what disk paths start with; no slash at its end, empty for "/" */
    char real_root[PATH_MAX]; /* links resolved; empty when /proc could not tell */
    bool lost_script;         /* one cannot be read; *error says so */
};

/* A directory the walk stands in. */
struct level {
    const struct level *parent;
    DIR *dir;
    struct str path; /* relative to the root, empty for the root */
    dev_t dev;
    ino_t ino;
    unsigned depth;
    unsigned link_depth; /* links to directories on the way here */
};

static int walk(struct walker *walker, struct level *level);

/* What nobody can ask for is not worth a warning; but a script must not be missing without a word:
 * it may be what keeps others out. */
static void __attribute__((format(printf, 3, 4)))
warn(struct walker *walker, struct str path, const char *format, ...)
{
    char why[256];
    va_list args;
    bool is_needed = script_path_is_needed(path);
    if (!is_needed && !member_path_is_public(path))
        return;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if (is_needed) {
        walker->lost_script = true;
        error_set(walker->error, "'%.*s', where scripts are, cannot be read: %s",
                  STR_ARG(str_first(path, PATH_SHOWN)), why);
        return;
    }
    uint64_t number = walker->members->warnings++;
    if (number < WARNINGS_SHOWN)
        log_warn("skipped '%.*s': %s", STR_ARG(str_first(path, PATH_SHOWN)), why);
    else if (number == WARNINGS_SHOWN)
        log_warn("more entries are skipped, not shown one by one");
}

/* The path of an open file with all links resolved; false without /proc. */
static bool
real_path_of(int fd, char out[static PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, out, PATH_MAX - 1);
    out[len > 0 ? len : 0] = '\0';
    return len > 0 && out[0] == '/';
}

static bool
is_inside_root(const struct walker *walker, const char *real_path)
{
    struct str path = str_from_cstr(real_path), root = str_from_cstr(walker->real_root);
    if (root.len == 1)
        return true;
    return str_starts_with(path, root) && (path.len == root.len || path.ptr[root.len] == '/');
}

static const char *
make_disk_path(struct walker *walker, struct str path)
{
    struct str root = walker->disk_root;
    char *text = arena_alloc_text(walker->members->arena, root.len + path.len + 2);
    if (!text)
        return NULL;
    memcpy(text, root.ptr, root.len);
    text[root.len] = '/';
    memcpy(text + root.len + 1, path.ptr, path.len);
    text[root.len + 1 + path.len] = '\0';
    return text;
}

static int
add_member(struct walker *walker, struct str path, const struct stat *st)
{
    struct member *member = member_list_add(walker->members);
    if (!member)
        return error_set(walker->error, "more than %d files and directories", SITE_MEMBERS_MAX);
    member->path = path;
    member->is_dir = S_ISDIR(st->st_mode);
    member->mtime = st->st_mtim.tv_sec;
    if (member->is_dir)
        return 0;
    member->size = (uint64_t)st->st_size;
    member->identity = identity_new(walker->members->arena, st);
    member->disk_path = make_disk_path(walker, path);
    if (!member->identity || !member->disk_path)
        return error_set(walker->error, "no memory for the list of files");
    return 0;
}

static bool
is_circle(const struct level *level, const struct stat *st)
{
    for (; level; level = level->parent)
        if (level->dev == st->st_dev && level->ino == st->st_ino)
            return true;
    return false;
}

/* Takes `fd`, an open directory. */
static int
enter(struct walker *walker, const struct level *parent, struct str path, int fd,
      const struct stat *st, unsigned link_depth)
{
    struct level level = {
        .parent = parent,
        .path = path,
        .dev = st->st_dev,
        .ino = st->st_ino,
        .depth = parent->depth + 1,
        .link_depth = link_depth,
    };
    if (level.depth > SITE_DEPTH_MAX) {
        warn(walker, path, "more than %d directories inside each other", SITE_DEPTH_MAX);
        close(fd);
        return 0;
    }
    level.dir = fdopendir(fd);
    if (!level.dir) {
        close(fd);
        return error_set(walker->error, "no memory to read a directory");
    }
    int result = add_member(walker, path, st);
    if (result == 0)
        result = walk(walker, &level);
    closedir(level.dir);
    return result;
}

static int
visit_directory(struct walker *walker, const struct level *level, const char *name, struct str path)
{
    struct stat st;
    int fd = openat(dirfd(level->dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE))
        return error_set_errno(walker->error, errno, "cannot open '%.*s'", STR_ARG(path));
    if (fd < 0 || fstat(fd, &st) < 0) {
        warn(walker, path, "%s", strerrordesc_np(errno));
        if (fd >= 0)
            close(fd);
        return 0;
    }
    return enter(walker, level, path, fd, &st, level->link_depth);
}

/* Opens what a link stands for, already known by `fd` (O_PATH), for reading; -1 and errno. */
static int
reopen(int fd, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
}

static int
visit_linked_directory(struct walker *walker, const struct level *level, struct str path, int fd,
                       const struct stat *st)
{
    if (is_circle(level, st)) {
        warn(walker, path, "the link leads back into a directory that holds it");
        return 0;
    }
    if (level->link_depth == SITE_LINK_DEPTH_MAX) {
        warn(walker, path, "more than %d links inside each other", SITE_LINK_DEPTH_MAX);
        return 0;
    }
    int dir_fd = reopen(fd, O_DIRECTORY);
    if (dir_fd < 0) {
        warn(walker, path, "%s", strerrordesc_np(errno));
        return 0;
    }
    return enter(walker, level, path, dir_fd, st, level->link_depth + 1);
}

/* `fd` is what the link at `path` stands for. */
static int
visit_linked(struct walker *walker, const struct level *level, struct str path, int fd)
{
    char real[PATH_MAX];
    struct stat st;
    if (!walker->real_root[0] || !real_path_of(fd, real)) {
        warn(walker, path, "links cannot be checked without /proc");
        return 0;
    }
    if (!is_inside_root(walker, real)) {
        warn(walker, path, "the link leaves the site, to %s", real);
        return 0;
    }
    if (fstat(fd, &st) < 0) {
        warn(walker, path, "%s", strerrordesc_np(errno));
        return 0;
    }
    if (S_ISDIR(st.st_mode))
        return visit_linked_directory(walker, level, path, fd, &st);
    int readable = S_ISREG(st.st_mode) ? reopen(fd, 0) : -1;
    if (readable < 0) {
        warn(walker, path, "%s",
             S_ISREG(st.st_mode) ? strerrordesc_np(errno) : "the link stands for no regular file");
        return 0;
    }
    close(readable);
    return add_member(walker, path, &st);
}

static int
visit_link(struct walker *walker, const struct level *level, const char *name, struct str path)
{
    int fd = openat(dirfd(level->dir), name, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        warn(walker, path, "%s",
             errno == ENOENT  ? "the link leads to nothing"
             : errno == ELOOP ? "the link leads in a circle"
                              : strerrordesc_np(errno));
        return 0;
    }
    int result = visit_linked(walker, level, path, fd);
    close(fd);
    return result;
}

/* Asking is cheap, but only trying is sure: capabilities and sandboxes make access(2) say no to
 * what open(2) allows. errno when false. */
static bool
is_readable(int dir_fd, const char *name)
{
    if (faccessat(dir_fd, name, R_OK, 0) == 0)
        return true;
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int
visit(struct walker *walker, const struct level *level, const char *name, struct str path)
{
    struct stat st;
    if (fstatat(dirfd(level->dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT) /* gone since the directory was read: it was never there */
            warn(walker, path, "%s", strerrordesc_np(errno));
        return 0;
    }
    if (S_ISLNK(st.st_mode))
        return visit_link(walker, level, name, path);
    if (S_ISDIR(st.st_mode))
        return visit_directory(walker, level, name, path);
    if (!S_ISREG(st.st_mode)) {
        warn(walker, path, "no regular file");
        return 0;
    }
    if (!is_readable(dirfd(level->dir), name)) {
        warn(walker, path, "%s", strerrordesc_np(errno));
        return 0;
    }
    return add_member(walker, path, &st);
}

static struct str
make_path(struct arena *arena, struct str directory, struct str name)
{
    size_t start = directory.len ? directory.len + 1 : 0;
    char *text = arena_alloc_text(arena, start + name.len);
    if (!text)
        return (struct str){0};
    if (start) {
        memcpy(text, directory.ptr, directory.len);
        text[directory.len] = '/';
    }
    memcpy(text + start, name.ptr, name.len);
    return str_make(text, start + name.len);
}

static int
walk(struct walker *walker, struct level *level)
{
    struct dirent *entry;
    while (errno = 0, (entry = readdir(level->dir))) {
        struct str name = str_from_cstr(entry->d_name);
        if (str_eq(name, STR(".")) || str_eq(name, STR("..")))
            continue;
        if (level->path.len + 1 + name.len > SITE_PATH_MAX) {
            warn(walker, level->path, "paths below are longer than %d bytes", SITE_PATH_MAX);
            continue;
        }
        struct str path = make_path(walker->members->arena, level->path, name);
        if (!path.ptr)
            return error_set(walker->error, "no memory for the list of files");
        if (visit(walker, level, entry->d_name, path) < 0)
            return -1;
    }
    if (errno)
        return error_set_errno(walker->error, errno, "cannot read the directory '/%.*s'",
                               STR_ARG(level->path));
    return 0;
}

/* Where content is opened later: by the real path if there is one, so that a link to the root that
 * is switched to another release meanwhile does not mix the two. */
static void
set_roots(struct walker *walker, const char *path, int fd)
{
    if (!real_path_of(fd, walker->real_root))
        walker->real_root[0] = '\0';
    walker->disk_root = str_from_cstr(walker->real_root[0] ? walker->real_root : path);
    while (str_ends_with(walker->disk_root, STR("/")))
        walker->disk_root.len--;
}

static int
walk_root(struct walker *walker, const char *path)
{
    struct stat st;
    struct level level = {0};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(walker->error, errno, "cannot open the directory '%s'", path);
    if (fstat(fd, &st) < 0 || !(level.dir = fdopendir(fd))) {
        error_set_errno(walker->error, errno, "cannot read the directory '%s'", path);
        close(fd);
        return -1;
    }
    set_roots(walker, path, fd);
    level.dev = st.st_dev;
    level.ino = st.st_ino;
    int result = walk(walker, &level);
    closedir(level.dir);
    return result;
}

int
dir_read(const char *path, struct member_list *members, struct error *error)
{
    struct walker *walker = malloc(sizeof *walker);
    if (!walker)
        return error_set(error, "no memory to read the directory");
    walker->members = members;
    walker->error = error;
    walker->lost_script = false;
    int result = walk_root(walker, path);
    if (walker->lost_script)
        result = -1;
    free(walker);
    return result == 0 ? member_list_finish(members, error) : result;
}
