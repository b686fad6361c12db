/* What the index knows is put in the order of the digests of its URLs, which is the order of the
 * directories: each directory has its run of entries, and one pass goes over both. Only directories
 * with our names are looked into, and in them only files with our names are touched.
 */
#include "cache/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_LEN = 64 << 10, GROW_MIN = 1024 };

struct known {
    uint64_t prefix; /* first bytes of the URL's digest */
    uint64_t id, len;
    const char *url;
    uint8_t *sha256; /* heap; NULL: the content is not checked */
    uint32_t url_len;
    bool found;
};
_Static_assert(sizeof(struct known) <= 48, "store.h says what an entry costs");

struct recover {
    struct store *store;
    struct store_recovery *out;
    void (*missing)(void *arg, const struct store_known *known);
    void *arg;
    struct known *list;
    size_t count, cap;
    size_t at; /* the first whose directory was not looked at yet */
};

/* Those of one directory. */
struct run {
    struct known *list;
    size_t count;
};

/* --- what the index knows --- */

static uint64_t
prefix_of(struct str url)
{
    uint8_t digest[DIGEST_SHA256_LEN];
    uint64_t prefix;
    digest_of(DIGEST_SHA256, url, digest);
    memcpy(&prefix, digest, sizeof prefix);
    return __builtin_bswap64(prefix);
}

/* False: no memory. */
static bool
add_known(struct recover *recover, const struct store_known *known)
{
    if (recover->count == recover->cap) {
        size_t cap = recover->cap ? 2 * recover->cap : GROW_MIN;
        struct known *list = realloc(recover->list, cap * sizeof *list);
        if (!list)
            return false;
        recover->list = list;
        recover->cap = cap;
    }
    uint8_t *sha256 = known->checks_content ? malloc(DIGEST_SHA256_LEN) : NULL;
    if (sha256)
        memcpy(sha256, known->sha256, DIGEST_SHA256_LEN);
    recover->list[recover->count++] = (struct known){
        .prefix = prefix_of(known->url),
        .id = known->id,
        .len = known->len,
        .url = known->url.ptr,
        .url_len = (uint32_t)known->url.len,
        .sha256 = sha256,
    };
    return sha256 || !known->checks_content;
}

static int
collect(struct recover *recover, bool (*next)(void *arg, struct store_known *known),
        struct error *error)
{
    struct store_known known;
    while (known = (struct store_known){0}, next(recover->arg, &known))
        if (!add_known(recover, &known))
            return error_set(error, "no memory to search '%s'", recover->store->path);
    return 0;
}

static int
compare_known(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Takes the entries of the directories up to and with this number (aa and bb as 16 bits). */
static struct run
take_run(struct recover *recover, unsigned last)
{
    struct run run = {recover->list ? recover->list + recover->at : NULL, 0};
    while (recover->at < recover->count && recover->list[recover->at].prefix >> 48 <= last) {
        recover->at++;
        run.count++;
    }
    return run;
}

static void
report_missing(struct recover *recover, struct run run)
{
    for (size_t i = 0; i < run.count; i++) {
        const struct known *entry = &run.list[i];
        const struct store_known known = {
            .url = str_make(entry->url, entry->url_len),
            .id = entry->id,
            .len = entry->len,
        };
        if (entry->found)
            continue;
        recover->out->missing_count++;
        recover->missing(recover->arg, &known);
    }
}

/* --- one file --- */

/* Digits as store_name_make writes them. */
static bool
read_hex(struct str text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *out = *out << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* Whether a name is one of ours: SHA256.ID or SHA256.ID.part. */
static bool
parse_name(struct str name, uint64_t *prefix, uint64_t *id, bool *is_part)
{
    uint64_t unused;
    *is_part = name.len > STORE_FILE_LEN;
    if (name.len < STORE_FILE_LEN ||
        (*is_part && !str_eq(str_skip(name, STORE_FILE_LEN), STR(".part"))))
        return false;
    for (size_t at = 0; at < 64; at += 16)
        if (!read_hex(str_first(str_skip(name, at), 16), at == 0 ? prefix : &unused))
            return false;
    return name.ptr[64] == '.' && read_hex(str_first(str_skip(name, 65), 16), id);
}

static struct known *
find_known(struct run run, const char *name, uint64_t prefix, uint64_t id)
{
    struct known key = {.prefix = prefix, .id = id};
    struct store_name wanted;
    struct known *known =
        run.count ? bsearch(&key, run.list, run.count, sizeof key, compare_known) : NULL;
    if (!known)
        return NULL;
    store_name_make(&wanted, str_make(known->url, known->url_len), id);
    return strcmp(wanted.file, name) == 0 ? known : NULL;
}

/* Whether the content has the digest. */
static bool
has_digest(int dir, const char *name, const uint8_t *sha256)
{
    char bytes[READ_LEN];
    uint8_t found[DIGEST_SHA256_LEN];
    struct digest digest;
    ssize_t len;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    digest_init(&digest, DIGEST_SHA256);
    while ((len = read(fd, bytes, sizeof bytes)) > 0)
        digest_update(&digest, str_make(bytes, (size_t)len));
    close(fd);
    digest_final(&digest, found);
    return len == 0 && memcmp(found, sha256, sizeof found) == 0;
}

static void
remove_file(struct recover *recover, int dir, const char *name, bool is_part, uint64_t len)
{
    if (unlinkat(dir, name, 0) != 0) {
        recover->out->kept_count++;
        return;
    }
    recover->out->removed_bytes += len;
    if (is_part)
        recover->out->removed_parts++;
    else
        recover->out->removed_files++;
}

/* Whether the file is gone now. */
static bool
look_at_file(struct recover *recover, int dir, struct run run, const char *name)
{
    uint64_t prefix, id;
    bool is_part;
    struct stat info;
    if (!parse_name(str_from_cstr(name), &prefix, &id, &is_part))
        return false;
    if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    struct known *known = find_known(run, name, prefix, id); /* a part is none */
    if (known && S_ISREG(info.st_mode) && (uint64_t)info.st_size == known->len &&
        (!known->sha256 || has_digest(dir, name, known->sha256))) {
        known->found = true;
        return false;
    }
    uint64_t kept_count = recover->out->kept_count;
    remove_file(recover, dir, name, is_part, (uint64_t)info.st_size);
    return recover->out->kept_count == kept_count;
}

/* --- directories --- */

/* Which of the names "00" to "ff" are in a directory. */
struct level {
    bool there[256];
};

static int
cannot_read(const struct recover *recover, const char *path, int code, struct error *error)
{
    return error_set_errno(error, code, "cannot read '%s/%s'", recover->store->path, path);
}

/* Goes over what is in a directory, but for "." and "..". Returns 0 or -errno. Takes the fd. */
static int
each_name(int fd, void (*each)(void *arg, const char *name), void *arg)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int code = -errno;
        close(fd);
        return code;
    }
    const struct dirent *entry;
    while (errno = 0, entry = readdir(dir))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(arg, entry->d_name);
    int code = -errno;
    closedir(dir);
    return code;
}

static void
note_level(void *arg, const char *name)
{
    struct level *level = arg;
    uint64_t byte;
    if (strlen(name) == 2 && read_hex(str_from_cstr(name), &byte))
        level->there[byte] = true;
}

struct file_scan {
    struct recover *recover;
    struct run run;
    int dir;
    bool is_empty;
};

static void
look_at(void *arg, const char *name)
{
    struct file_scan *scan = arg;
    if (!look_at_file(scan->recover, scan->dir, scan->run, name))
        scan->is_empty = false;
}

/* Not there, or something else with that name, which is not ours. */
static bool
is_none(int code)
{
    return code == -ENOENT || code == -ENOTDIR || code == -ELOOP;
}

/* aa/bb, in the directory `outer`. */
static int
scan_inner(struct recover *recover, int outer, const char *path, struct run run,
           struct error *error)
{
    const char *name = path + 3;
    int fd = store_open_beneath(recover->store, outer, name, O_RDONLY | O_DIRECTORY);
    if (is_none(fd))
        return 0;
    struct file_scan scan = {recover, run, fd, .is_empty = true};
    int code = fd < 0 ? fd : each_name(fd, look_at, &scan);
    if (code < 0)
        return cannot_read(recover, path, -code, error);
    if (scan.is_empty)
        unlinkat(outer, name, AT_REMOVEDIR);
    return 0;
}

/* Opens aa and looks what is in it. *fd: the descriptor; -1: there is no such directory. */
static int
open_outer(struct recover *recover, const char *name, int *fd, struct level *level,
           struct error *error)
{
    *fd = store_open_beneath(recover->store, recover->store->fd, name, O_RDONLY | O_DIRECTORY);
    int again = *fd < 0 ? *fd : fcntl(*fd, F_DUPFD_CLOEXEC, 0);
    if (is_none(*fd)) {
        *fd = -1;
        return 0;
    }
    if (*fd >= 0 && again < 0)
        again = -errno;
    int code = again < 0 ? again : each_name(again, note_level, level);
    return code < 0 ? cannot_read(recover, name, -code, error) : 0;
}

static int
scan_outer(struct recover *recover, unsigned byte, struct error *error)
{
    char name[3], path[STORE_DIR_LEN + 1];
    struct level level = {0};
    int fd, result;
    snprintf(name, sizeof name, "%02x", byte & 255);
    result = open_outer(recover, name, &fd, &level, error);
    for (unsigned inner = 0; inner < 256 && result == 0; inner++) {
        struct run run = take_run(recover, byte << 8 | inner);
        snprintf(path, sizeof path, "%s/%02x", name, inner & 255);
        if (level.there[inner])
            result = scan_inner(recover, fd, path, run, error);
        if (result == 0)
            report_missing(recover, run);
    }
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && result == 0)
        unlinkat(recover->store->fd, name, AT_REMOVEDIR); /* not when something is in it */
    return result;
}

int
store_recover(struct store *store, bool (*next)(void *arg, struct store_known *known),
              void (*missing)(void *arg, const struct store_known *known), void *arg,
              struct store_recovery *recovery, struct error *error)
{
    struct recover recover = {
        .store = store,
        .out = recovery,
        .missing = missing,
        .arg = arg,
    };
    *recovery = (struct store_recovery){0};
    int result = collect(&recover, next, error);
    if (result == 0 && recover.count)
        qsort(recover.list, recover.count, sizeof *recover.list, compare_known);
    for (unsigned byte = 0; byte < 256 && result == 0; byte++)
        result = scan_outer(&recover, byte, error);
    for (size_t i = 0; i < recover.count; i++)
        free(recover.list[i].sha256);
    free(recover.list);
    return result;
}
