#include "site/source.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"
#include "site/compress.h"
#include "site/dir.h"
#include "site/identity.h"
#include "site/memory_file.h"
#include "site/packidx.h"
#include "site/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STREAM_PIECE_LEN = 256 << 10,
    /* How much is unpacked to see whether a tar is inside. A small archive is done with it. */
    PEEK_LEN = 1 << 20,
    INDEX_LEN_MAX = 1 << 30,
};

struct source {
    const char *shown; /* for messages */
    struct str name;   /* last part of the path; empty for standard input */
    struct member_list *members;
    struct error *error;
    bool *single_file;
};

static int
fail(struct source *source, const char *why)
{
    return error_set(source->error, "'%s' %s", source->shown, why);
}

/* From here on the list closes it. */
static void
keep_fd(struct member_list *members, int fd)
{
    must(members->fd_count < sizeof members->fds / sizeof members->fds[0]);
    members->fds[members->fd_count++] = fd;
}

static int
read_at(int fd, uint64_t off, char *to, size_t len)
{
    while (len > 0) {
        ssize_t got = pread(fd, to, len, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        to += got;
        off += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

/* --- the index of a packed tar --- */

/* The length of the index, when this first block of a tar is its header; else 0. */
static uint64_t
index_len(const char *block)
{
    const char *size = block + 124;
    uint64_t len = 0;
    if (memcmp(block, PACKIDX_NAME, sizeof PACKIDX_NAME) != 0)
        return 0;
    for (int i = 0; i < 11; i++) {
        if (size[i] < '0' || size[i] > '7')
            return 0;
        len = len * 8 + (uint64_t)(size[i] - '0');
    }
    return len;
}

struct index_visit {
    struct member_list *members;
    const struct site_identity *identity;
    int fd;
};

static int
add_indexed(void *arg, const struct packidx_entry *entry)
{
    struct index_visit *visit = arg;
    struct content_hash *hash = arena_alloc(visit->members->arena, sizeof *hash);
    struct member *member = hash ? member_list_add(visit->members) : NULL;
    if (!member)
        return -1;
    *hash = entry->hash;
    member->path = entry->path;
    member->size = entry->size;
    member->mtime = entry->mtime;
    member->fd = visit->fd;
    member->off = entry->off;
    member->identity = visit->identity;
    member->hash = hash;
    return 0;
}

/* Whether the list was filled from the index; else it is empty, and the headers must be read. */
static bool
read_index(struct source *source, int fd, uint64_t size, const struct site_identity *identity,
           const char *block)
{
    struct member_list *members = source->members;
    struct index_visit visit = {members, identity, fd};
    uint64_t len = index_len(block);
    if (len == 0 || len > INDEX_LEN_MAX || len > size - TAR_BLOCK)
        return false;
    char *text = arena_alloc_text(members->arena, (size_t)len);
    if (!text || read_at(fd, TAR_BLOCK, text, (size_t)len) < 0)
        return false;
    enum packidx_result result =
        packidx_decode(str_make(text, (size_t)len), size, add_indexed, &visit);
    if (result == PACKIDX_CORRUPT) {
        log_warn("'%s': the index is damaged and not used", source->shown);
        members->warnings++;
    }
    if (result != PACKIDX_OK || arena_overflowed(members->arena))
        members->count = 0;
    members->from_index = members->count > 0;
    return members->from_index;
}

/* --- kinds of files --- */

static bool
promises_tar(struct str name)
{
    return str_ends_with(name, STR(".tar")) || str_ends_with(name, STR(".tgz")) ||
           str_ends_with(name, STR(".tzst")) || str_find(name, STR(".tar.")) < name.len;
}

static bool
is_script(struct str name)
{
    return str_ends_with(name, STR(".c")) || str_ends_with(name, STR(".o"));
}

static bool
is_zero_block(const char *block)
{
    return block[0] == '\0' && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

/* A tar without entries is nothing but zeros: only a name can tell. */
static bool
looks_like_tar(struct str name, const char *block, size_t len)
{
    return len == TAR_BLOCK &&
           (tar_is_header(block, len) || (promises_tar(name) && is_zero_block(block)));
}

static int
open_tar(struct source *source, int fd, uint64_t size, const struct site_identity *identity,
         const char *block)
{
    if (read_index(source, fd, size, identity, block))
        return 0;
    if (tar_read(fd, size, identity, source->members, source->error) < 0)
        return error_prefix(source->error, "'%s'", source->shown);
    return 0;
}

static int
open_single(struct source *source, int fd, uint64_t size, int64_t mtime,
            const struct site_identity *identity)
{
    struct member *member = member_list_add(source->members);
    if (!member)
        return fail(source, "cannot be listed: no memory");
    member->path = arena_copy(source->members->arena, source->name);
    member->size = size;
    member->mtime = mtime;
    member->fd = fd;
    member->identity = identity;
    *source->single_file = true;
    return 0;
}

/* Unpacks `fd` into `out_fd` from the start, at most `max` bytes. */
static int
unpack(struct source *source, enum compress_format format, int fd, int out_fd, uint64_t max,
       uint64_t *len)
{
    if (lseek(fd, 0, SEEK_SET) < 0 || lseek(out_fd, 0, SEEK_SET) < 0 || ftruncate(out_fd, 0) < 0)
        return error_set_errno(source->error, errno, "'%s' cannot be unpacked", source->shown);
    if (compress_unpack(format, fd, out_fd, max, len, source->error) < 0)
        return error_prefix(source->error, "'%s'", source->shown);
    return 0;
}

/* 1 when a tar was inside and was opened, 0 when none was, negative on failure. */
static int
open_packed(struct source *source, enum compress_format format, int fd)
{
    char block[TAR_BLOCK];
    uint64_t len = 0;
    int out_fd = memory_file_open(source->error);
    if (out_fd < 0)
        return out_fd;
    keep_fd(source->members, out_fd);
    /* The first look may fail: it is cut off at PEEK_LEN, and the data may be broken. What it wrote
     * until then decides. */
    bool complete = unpack(source, format, fd, out_fd, PEEK_LEN, &len) == 0;
    if (read_at(out_fd, 0, block, TAR_BLOCK) < 0 || !looks_like_tar(source->name, block, TAR_BLOCK))
        return 0;
    if (!complete &&
        unpack(source, format, fd, out_fd, (uint64_t)SITE_UNPACKED_MAX_MIB << 20, &len) < 0)
        return -1;
    return open_tar(source, out_fd, len, NULL, block) < 0 ? -1 : 1;
}

/* `fd` belongs to the list already. */
static int
open_bytes(struct source *source, int fd, uint64_t size, int64_t mtime,
           const struct site_identity *identity)
{
    char block[TAR_BLOCK];
    size_t len = size < TAR_BLOCK ? (size_t)size : TAR_BLOCK;
    if (size == 0) {
        fail(source, "is empty");
        return SOURCE_ABSENT;
    }
    if (read_at(fd, 0, block, len) < 0)
        return fail(source, "cannot be read");
    if (looks_like_tar(source->name, block, len))
        return open_tar(source, fd, size, identity, block);
    enum compress_format format = compress_detect(block, len);
    if (format != COMPRESS_NONE) {
        int result = open_packed(source, format, fd);
        if (result != 0)
            return result < 0 ? result : 0;
    }
    if (promises_tar(source->name))
        return fail(source, "is no tar archive, plain or packed with gzip or zstd");
    return open_single(source, fd, size, mtime, identity);
}

/* --- pipes --- */

static int64_t
clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
write_all(int fd, const char *from, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, from, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        from += put;
        len -= (size_t)put;
    }
    return 0;
}

/* Waits until there is something to read, or the end of it. False: the time is over. */
static bool
wait_readable(int fd, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int64_t left = deadline_ms - clock_ms();
        if (left <= 0)
            return false;
        int ready = poll(&waiting, 1, left < INT32_MAX ? (int)left : INT32_MAX);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true;
    }
}

static int
drain(struct source *source, int fd, int out_fd, unsigned timeout_ms, char *piece, uint64_t *len)
{
    int64_t deadline = clock_ms() + timeout_ms;
    for (*len = 0;;) {
        if (!wait_readable(fd, deadline))
            return error_set(source->error, "'%s' did not end within %u ms", source->shown,
                             timeout_ms);
        ssize_t got = read(fd, piece, STREAM_PIECE_LEN);
        if (got == 0)
            return 0;
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return error_set_errno(source->error, errno, "cannot read '%s'", source->shown);
        *len += (uint64_t)got;
        if (*len > SITE_STDIN_MAX)
            return error_set(source->error, "'%s' has more than %d bytes", source->shown,
                             SITE_STDIN_MAX);
        if (write_all(out_fd, piece, (size_t)got) < 0)
            return error_set_errno(source->error, errno, "cannot keep '%s' in memory",
                                   source->shown);
    }
}

static int
open_stream(struct source *source, int fd, unsigned timeout_ms)
{
    uint64_t len;
    int out_fd = memory_file_open(source->error);
    if (out_fd < 0)
        return out_fd;
    keep_fd(source->members, out_fd);
    char *piece = malloc(STREAM_PIECE_LEN);
    if (!piece)
        return fail(source, "cannot be read: no memory");
    int result = drain(source, fd, out_fd, timeout_ms, piece, &len);
    free(piece);
    return result < 0 ? result : open_bytes(source, out_fd, len, (int64_t)time(NULL), NULL);
}

/* --- */

static int
open_file(struct source *source, const char *path, unsigned timeout_ms)
{
    struct stat st;
    /* Without O_NONBLOCK a pipe that nobody writes to would block here for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set_errno(source->error, errno, "cannot open '%s'", path);
    keep_fd(source->members, fd);
    if (fstat(fd, &st) < 0)
        return error_set_errno(source->error, errno, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return open_stream(source, fd, timeout_ms);
    const struct site_identity *identity = identity_new(source->members->arena, &st);
    if (!identity)
        return fail(source, "cannot be listed: no memory");
    return open_bytes(source, fd, identity->size, identity->mtime_s, identity);
}

static int
open_path(struct source *source, const char *path, unsigned timeout_ms)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        int code = errno;
        error_set_errno(source->error, code, "no site at '%s' (a directory, a tar or one file)",
                        path);
        return code == ENOENT || code == ENOTDIR ? SOURCE_ABSENT : SOURCE_FAILED;
    }
    if (S_ISDIR(st.st_mode))
        return dir_read(path, source->members, source->error);
    if (is_script(source->name))
        return error_set(source->error, "'%s' is a request script, and no site", path);
    return open_file(source, path, timeout_ms);
}

int
source_open(const char *source, unsigned stdin_timeout_ms, struct member_list *members,
            bool *single_file, struct error *error)
{
    bool is_stdin = strcmp(source, "-") == 0;
    struct str path = str_from_cstr(source);
    size_t slash = str_find_last_char(path, '/');
    struct source state = {
        .shown = is_stdin ? "standard input" : source,
        .name = is_stdin ? STR("") : str_skip(path, slash < path.len ? slash + 1 : 0),
        .members = members,
        .error = error,
        .single_file = single_file,
    };
    *single_file = false;
    int result = is_stdin ? open_stream(&state, STDIN_FILENO, stdin_timeout_ms)
                          : open_path(&state, source, stdin_timeout_ms);
    if (result < 0 || *single_file)
        return result;
    return member_list_finish(members, error) < 0 ? SOURCE_FAILED : 0;
}
