#include "server/download_file.h"

#include "base/limits.h"
#include "http/url.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGEST_PIECE_LEN = 256 << 10, OPEN_TRIES = 10 };

/* --- names --- */

/* The last segment of the path; empty: there is none that can be a file's name. */
static struct str
name_of(struct str text)
{
    struct url url;
    if (!url_parse(text, &url))
        return (struct str){0};
    size_t slash = str_find_last_char(url.path, '/');
    struct str name = slash < url.path.len ? str_skip(url.path, slash + 1) : url.path;
    if (str_eq(name, STR(".")) || str_eq(name, STR("..")) ||
        name.len + strlen(".part.from") > CACHE_GET_NAME_MAX)
        return (struct str){0};
    return name;
}

static int
set_target(struct download_file *file, const char *path, struct str url, struct error *error)
{
    struct stat st;
    char *joined = NULL;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        struct str name = name_of(url);
        if (name.len == 0)
            return error_set(error, "'%s' is a directory, and the URL has no name for a file in it",
                             path);
        if (asprintf(&joined, "%s/%.*s", path, STR_ARG(name)) < 0)
            return error_set(error, "no memory for the name of the output");
        path = joined;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            error_set(error, "'%s' is a directory", path);
            free(joined);
            return -1;
        }
    }
    file->target = realpath(path, NULL);
    if (!file->target)
        file->target = strdup(path);
    free(joined);
    return file->target ? 0 : error_set(error, "no memory for the name of the output");
}

/* --- opening --- */

/* Whether the name still stands for the file that is open: whoever held the lock before may have
 * given it another name. */
static bool
is_still_there(const struct download_file *file)
{
    struct stat open_one, named;
    return fstat(file->fd, &open_one) == 0 && stat(file->part, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static int
open_part(struct download_file *file, struct error *error)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    struct stat st;
    for (unsigned tries = 0; tries < OPEN_TRIES; tries++) {
        file->fd = open(file->part, flags, 0666);
        if (file->fd < 0)
            return error_set_errno(error, errno, "cannot create '%s'", file->part);
        if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode))
            return error_set(error, "'%s' is not a regular file", file->part);
        /* Where there are no locks, nobody is kept out. */
        if (flock(file->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            return error_set(error, "another download is writing '%s'", file->part);
        if (is_still_there(file)) {
            file->len = (uint64_t)st.st_size;
            file->is_ours = true;
            return 0;
        }
        close(file->fd);
        file->fd = -1;
    }
    return error_set(error, "another download is writing '%s'", file->part);
}

/* A pipe or a device cannot be replaced: it is written to. */
static int
open_direct(struct download_file *file, const char *path, struct error *error)
{
    free(file->target);
    file->target = NULL;
    file->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return file->fd < 0 ? error_set_errno(error, errno, "cannot write to '%s'", path) : 0;
}

int
download_file_open(struct download_file *file, const char *path, struct str url,
                   struct error *error)
{
    struct stat st;
    *file = (struct download_file){.fd = STDOUT_FILENO};
    if (!path || strcmp(path, "-") == 0) {
        file->guards_terminal = !path && isatty(STDOUT_FILENO);
        return 0;
    }
    file->fd = -1;
    if (set_target(file, path, url, error) != 0)
        return -1;
    if (stat(file->target, &st) == 0 && !S_ISREG(st.st_mode))
        return open_direct(file, path, error);
    if (asprintf(&file->part, "%s.part", file->target) < 0)
        file->part = NULL;
    if (asprintf(&file->from, "%s.part.from", file->target) < 0)
        file->from = NULL;
    if (!file->part || !file->from)
        return error_set(error, "no memory for the name of the output");
    return open_part(file, error);
}

void
download_file_close(struct download_file *file)
{
    if (!file->complete && file->len == 0)
        download_file_discard(file);
    if (file->fd >= 0 && file->fd != STDOUT_FILENO)
        close(file->fd);
    free(file->target);
    free(file->part);
    free(file->from);
    *file = (struct download_file){.fd = -1};
}

/* --- what it is a part of --- */

static bool
is_strong(struct str etag)
{
    if (etag.len < 2 || etag.ptr[0] != '"' || etag.ptr[etag.len - 1] != '"')
        return false;
    for (size_t i = 0; i < etag.len; i++)
        if ((unsigned char)etag.ptr[i] <= ' ' || etag.ptr[i] == 0x7f)
            return false;
    return true;
}

static int
write_whole(int fd, struct str bytes)
{
    while (bytes.len) {
        ssize_t count = write(fd, bytes.ptr, bytes.len);
        if (count < 0 && errno != EINTR)
            return -1;
        bytes = str_skip(bytes, count > 0 ? (size_t)count : 0);
    }
    return 0;
}

/* Two lines: the entity tag, the URL. Without them the part is good for nothing, but the download
 * goes on all the same. */
static void
write_from(const struct download_file *file, struct str url, struct str etag)
{
    struct buf text;
    int fd = open(file->from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return;
    buf_init(&text, CACHE_GET_STATE_MAX);
    buf_printf(&text, "%.*s\n%.*s\n", STR_ARG(etag), STR_ARG(url));
    bool good = !buf_overflowed(&text) && write_whole(fd, buf_str(&text)) == 0;
    buf_deinit(&text);
    close(fd);
    if (!good)
        unlink(file->from);
}

bool
download_file_can_resume(const struct download_file *file, struct str url, struct buf *etag)
{
    char text[CACHE_GET_STATE_MAX];
    if (!file->part || file->len == 0)
        return false;
    int fd = open(file->from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    struct str rest = str_make(text, len > 0 ? (size_t)len : 0);
    struct str tag = str_cut(&rest, '\n');
    if (!is_strong(tag) || rest.len != url.len + 1 || !str_eq(str_cut(&rest, '\n'), url))
        return false;
    buf_clear(etag);
    buf_append(etag, tag);
    return !buf_overflowed(etag);
}

int
download_file_digest(const struct download_file *file, struct digest *digest, struct error *error)
{
    char *piece = malloc(DIGEST_PIECE_LEN);
    int result = piece ? 0 : error_set(error, "no memory to read '%s'", file->part);
    for (uint64_t off = 0; result == 0 && off < file->len;) {
        ssize_t len = pread(file->fd, piece, DIGEST_PIECE_LEN, (off_t)off);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            result =
                error_set_errno(error, len < 0 ? errno : ENODATA, "cannot read '%s'", file->part);
        else
            digest_update(digest, str_make(piece, (size_t)len));
        off += len > 0 ? (uint64_t)len : 0;
    }
    free(piece);
    return result;
}

/* --- writing --- */

int
download_file_restart(struct download_file *file, struct str url, struct str etag,
                      struct error *error)
{
    if (!file->part)
        return 0;
    /* The old note must not stand beside the new content, nor the new one beside the old. */
    unlink(file->from);
    if (ftruncate(file->fd, 0) != 0)
        return error_set_errno(error, errno, "cannot write '%s'", file->part);
    file->len = 0;
    if (is_strong(etag))
        write_from(file, url, etag);
    return 0;
}

/* Control characters, those of two bytes in UTF-8 included, which terminals obey too. */
static bool
is_text(struct download_file *file, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i], before = (unsigned char)file->last_byte;
        bool is_control = c < 0x20 ? !strchr("\t\n\r", c) : c == 0x7f;
        if (c == 0 || is_control || (before == 0xc2 && c >= 0x80 && c < 0xa0))
            return false;
        file->last_byte = (char)c;
    }
    return true;
}

int
download_file_write(struct download_file *file, struct str bytes, struct error *error)
{
    if (file->guards_terminal && !is_text(file, bytes))
        return error_set(error, "this is not text: name a file with -o, or say -o - to have it on "
                                "the terminal all the same");
    if (file->part && lseek(file->fd, (off_t)file->len, SEEK_SET) < 0)
        return error_set_errno(error, errno, "cannot write '%s'", file->part);
    if (write_whole(file->fd, bytes) != 0)
        return error_set_errno(error, errno, "cannot write %s",
                               file->part                  ? file->part
                               : file->fd == STDOUT_FILENO ? "to standard output"
                                                           : "the output");
    file->len += bytes.len;
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
download_file_commit(struct download_file *file, struct error *error)
{
    if (!file->part)
        return 0;
    if (fsync(file->fd) != 0)
        return error_set_errno(error, errno, "cannot write '%s'", file->part);
    if (rename(file->part, file->target) != 0)
        return error_set_errno(error, errno, "cannot replace '%s'", file->target);
    file->complete = true;
    unlink(file->from);
    sync_directory(file->part);
    return 0;
}

void
download_file_discard(struct download_file *file)
{
    if (!file->is_ours)
        return;
    unlink(file->from);
    unlink(file->part);
    file->len = 0;
}
