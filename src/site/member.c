/* The list is a plain array. While it is filled, entries stand in the order of the source; finish
 * sorts it once and from then on it is searched by halving. Directories that no entry names are
 * found with one look at the neighbour: all paths below a directory stand together in byte order,
 * so a prefix shared with the entry before has been seen already.
 */
#include "site/member.h"

#include "base/limits.h"
#include "base/log.h"
#include "site/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMBER_FIRST_CAP = 64, MEMBER_NAME_SHOWN = 200 };

void
member_list_init(struct member_list *members, struct arena *arena)
{
    *members = (struct member_list){.arena = arena};
}

void
member_list_deinit(struct member_list *members)
{
    for (unsigned i = 0; i < members->fd_count; i++)
        close(members->fds[i]);
    free(members->list);
    *members = (struct member_list){.arena = members->arena};
}

struct member *
member_list_add(struct member_list *members)
{
    if (members->count == members->cap) {
        size_t cap = members->cap ? members->cap * 2 : MEMBER_FIRST_CAP;
        if (members->count >= SITE_MEMBERS_MAX)
            return NULL;
        struct member *grown = realloc(members->list, cap * sizeof *grown);
        if (!grown)
            return NULL;
        members->list = grown;
        members->cap = cap;
    }
    struct member *member = &members->list[members->count];
    *member = (struct member){.fd = -1, .order = (uint32_t)members->count};
    members->count++;
    return member;
}

static int
member_compare(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    int cmp = str_cmp(a->path, b->path);
    return cmp ? cmp : (a->order > b->order) - (a->order < b->order);
}

static void
member_list_sort(struct member_list *members)
{
    bool sorted = true;
    for (size_t i = 1; i < members->count && sorted; i++)
        sorted = member_compare(&members->list[i - 1], &members->list[i]) <= 0;
    if (!sorted)
        qsort(members->list, members->count, sizeof *members->list, member_compare);
}

/* Of each run of equal paths the last stays. The root itself is no member. */
static void
member_list_drop_duplicates(struct member_list *members)
{
    size_t kept = 0;
    for (size_t i = 0; i < members->count; i++) {
        struct member *member = &members->list[i];
        bool replaced = i + 1 < members->count && str_eq(member->path, members->list[i + 1].path);
        if (!replaced && member->path.len > 0)
            members->list[kept++] = *member;
    }
    members->count = kept;
}

static struct member *
find_sorted(struct member *list, size_t count, struct str path)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int cmp = str_cmp(list[middle].path, path);
        if (cmp == 0)
            return &list[middle];
        if (cmp < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void
make_directory(struct member *member, struct str path, uint32_t order)
{
    *member = (struct member){.path = path, .is_dir = true, .fd = -1, .order = order};
}

/* Sees to it that `path` is a directory among the first `sorted` members, or behind them. */
static int
member_list_imply(struct member_list *members, size_t sorted, struct str path, struct error *error)
{
    struct member *known = find_sorted(members->list, sorted, path);
    if (known && known->is_dir)
        return 0;
    if (known) {
        struct str shown = str_first(path, MEMBER_NAME_SHOWN);
        log_warn("'%.*s' is a file and a directory: the file is left out", STR_ARG(shown));
        members->warnings++;
        make_directory(known, path, known->order);
        return 0;
    }
    struct member *added = member_list_add(members);
    if (!added)
        return error_set(error, "more than %d files and directories", SITE_MEMBERS_MAX);
    make_directory(added, path, added->order);
    return 0;
}

static int
member_list_imply_all(struct member_list *members, struct error *error)
{
    size_t sorted = members->count;
    struct str before = {0};
    for (size_t i = 0; i < sorted; i++) {
        struct str path = members->list[i].path;
        for (size_t at = str_find_char(path, '/'); at < path.len;
             at += 1 + str_find_char(str_skip(path, at + 1), '/')) {
            if (str_starts_with(before, str_first(path, at + 1)))
                continue;
            if (member_list_imply(members, sorted, str_first(path, at), error) < 0)
                return -1;
        }
        before = path;
    }
    return 0;
}

int
member_list_finish(struct member_list *members, struct error *error)
{
    member_list_sort(members);
    member_list_drop_duplicates(members);
    if (member_list_imply_all(members, error) < 0)
        return -1;
    member_list_sort(members);
    return 0;
}

const struct member *
member_list_find(const struct member_list *members, struct str path)
{
    return find_sorted(members->list, members->count, path);
}

static int
read_exactly(int fd, uint64_t off, char *to, size_t len, struct str name, struct error *error)
{
    while (len > 0) {
        ssize_t got = pread(fd, to, len, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, errno, "cannot read '%.*s'", STR_ARG(name));
        if (got == 0)
            return error_set(error, "'%.*s' became shorter while it was read", STR_ARG(name));
        to += got;
        off += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

static bool
is_as_listed(const struct member *member, const struct stat *st)
{
    if (member->identity && !identity_matches(member->identity, st))
        return false;
    return S_ISREG(st->st_mode) && (uint64_t)st->st_size == member->size;
}

bool
member_is_at(const struct member *member, const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && is_as_listed(member, &st);
}

int
member_open(const struct member *member, int *fd, bool *owned, struct error *error)
{
    struct stat st;
    struct str name = str_first(member->path, MEMBER_NAME_SHOWN);
    *owned = false;
    *fd = member->fd;
    if (member->fd >= 0)
        return 0;
    if (!member->disk_path)
        return error_set(error, "'%.*s' has no content to read", STR_ARG(name));
    *fd = open(member->disk_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return error_set_errno(error, errno, "cannot open '%.*s'", STR_ARG(name));
    if (fstat(*fd, &st) < 0 || !is_as_listed(member, &st)) {
        close(*fd);
        return error_set(error, "'%.*s' changed while it was read", STR_ARG(name));
    }
    *owned = true;
    return 0;
}

int
member_read(const struct member *member, struct arena *arena, uint64_t max, struct str *out,
            struct error *error)
{
    struct str name = str_first(member->path, MEMBER_NAME_SHOWN);
    if (member->is_dir)
        return error_set(error, "'%.*s' is a directory", STR_ARG(name));
    if (member->size > max)
        return error_set(error, "'%.*s' has %" PRIu64 " bytes, more than %" PRIu64, STR_ARG(name),
                         member->size, max);
    char *text = arena_alloc_text(arena, (size_t)member->size + 1);
    if (!text)
        return error_set(error, "no memory for '%.*s'", STR_ARG(name));
    int fd;
    bool owned;
    if (member_open(member, &fd, &owned, error) < 0)
        return -1;
    int result = read_exactly(fd, member->off, text, (size_t)member->size, name, error);
    if (owned)
        close(fd);
    text[member->size] = '\0';
    *out = str_make(text, (size_t)member->size);
    return result;
}

bool
member_path_is_public(struct str path)
{
    if (path.len == 0 || !str_is_utf8(path))
        return false;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f)
            return false;
    struct str rest = path;
    if (str_eq(path, STR(".well-known")) || str_starts_with(path, STR(".well-known/")))
        rest = str_skip(path, sizeof ".well-known" - 1);
    while (rest.len) {
        struct str segment = str_cut(&rest, '/');
        if (segment.len && segment.ptr[0] == '.')
            return false;
    }
    return true;
}
