/* Tar: the reader over arbitrary archives, as they are and with right checksums put in, so that
 * mutations get past the headers.
 *
 * After a successful read and finish: members lie inside the data, their paths are clean, sorted
 * and unique, every parent is a directory, each is found by its path, finishing again changes
 * nothing. Reading through a descriptor gives the same list, and a header written for a member
 * reads back as the same path and time.
 */
#include "site/tar.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/must.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARENA_MAX = 64 << 20, ARENA_BLOCK_LEN = 64 << 10, WRITTEN_BACK_MAX = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_clean(struct str path)
{
    if (path.len == 0 || path.len > SITE_PATH_MAX || path.ptr[path.len - 1] == '/' ||
        str_find_char(path, '\0') < path.len)
        return false;
    while (path.len) {
        struct str segment = str_cut(&path, '/');
        if (segment.len == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return false;
    }
    return true;
}

static void
check_list(const struct member_list *members, struct str data)
{
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->list[i];
        must(is_clean(member->path));
        must(i == 0 || str_cmp(members->list[i - 1].path, member->path) < 0);
        must(member_list_find(members, member->path) == member);
        if (!member->is_dir) {
            must(member->fd == -1 && member->off % TAR_BLOCK == 0 && member->off >= TAR_BLOCK);
            must(member->off <= data.len && member->size <= data.len - member->off);
        }
        size_t slash = str_find_last_char(member->path, '/');
        if (slash == member->path.len)
            continue;
        const struct member *parent = member_list_find(members, str_first(member->path, slash));
        must(parent && parent->is_dir);
    }
}

static void
check_same(const struct member_list *a, const struct member_list *b)
{
    must(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        must(str_eq(a->list[i].path, b->list[i].path) && a->list[i].off == b->list[i].off);
        must(a->list[i].size == b->list[i].size && a->list[i].mtime == b->list[i].mtime);
        must(a->list[i].is_dir == b->list[i].is_dir);
    }
}

static void
check_descriptor(struct str data, const struct member_list *expected, bool readable)
{
    struct arena arena;
    struct member_list members;
    struct error error;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data.ptr, data.len) == (ssize_t)data.len);
    arena_init(&arena, ARENA_MAX, ARENA_BLOCK_LEN);
    member_list_init(&members, &arena);
    bool read = tar_read(fd, data.len, NULL, &members, &error) == 0 &&
                member_list_finish(&members, &error) == 0;
    must(read == readable);
    if (read)
        check_same(&members, expected);
    member_list_deinit(&members);
    arena_deinit(&arena);
    close(fd);
}

static void
check_written_back(const struct member *member)
{
    static const char end[2 * TAR_BLOCK];
    struct arena arena;
    struct member_list members;
    struct error error;
    struct buf tar;
    buf_init(&tar, 1 << 16);
    arena_init(&arena, 1 << 20, 4096);
    member_list_init(&members, &arena);
    tar_write_header(&tar, member->path, 0, member->mtime);
    buf_append(&tar, str_make(end, sizeof end));
    must(!buf_overflowed(&tar));
    must(tar_read_memory(buf_str(&tar), &members, &error) == 0 && members.count == 1);
    must(str_eq(members.list[0].path, member->path) && !members.list[0].is_dir);
    must(members.list[0].mtime == member->mtime);
    member_list_deinit(&members);
    arena_deinit(&arena);
    buf_deinit(&tar);
}

static void
check_archive(struct str data)
{
    struct arena arena;
    struct member_list members;
    struct error error;
    arena_init(&arena, ARENA_MAX, ARENA_BLOCK_LEN);
    member_list_init(&members, &arena);
    bool read =
        tar_read_memory(data, &members, &error) == 0 && member_list_finish(&members, &error) == 0;
    if (read) {
        check_list(&members, data);
        size_t count = members.count;
        must(member_list_finish(&members, &error) == 0 && members.count == count);
        check_list(&members, data);
        for (size_t i = 0; i < count && i < WRITTEN_BACK_MAX; i++)
            check_written_back(&members.list[i]);
    }
    check_descriptor(data, &members, read);
    member_list_deinit(&members);
    arena_deinit(&arena);
}

/* The octal number in a size field, or 0. */
static uint64_t
plain_size(const char *field)
{
    uint64_t value = 0;
    for (int i = 0; i < 11; i++) {
        if (field[i] < '0' || field[i] > '7')
            return 0;
        value = value << 3 | (uint64_t)(field[i] - '0');
    }
    return value;
}

/* Walks from header to header as a reader would and puts in right checksums. */
static void
repair(char *data, size_t size)
{
    for (uint64_t off = 0; off <= size && size - off >= TAR_BLOCK;) {
        char *block = data + off;
        unsigned sum = 0;
        bool zero = true;
        for (int i = 0; i < TAR_BLOCK; i++) {
            zero &= block[i] == 0;
            sum += i >= 148 && i < 156 ? ' ' : (unsigned char)block[i];
        }
        if (zero)
            return;
        for (int i = 5; i >= 0; i--, sum >>= 3)
            block[148 + i] = (char)('0' + (sum & 7));
        block[154] = '\0';
        block[155] = ' ';
        uint64_t content = block[156] >= '1' && block[156] <= '6' ? 0 : plain_size(block + 124);
        off += TAR_BLOCK + (content + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_level(LOG_ERROR);
    char *copy = malloc(size + 1);
    must(copy);
    memcpy(copy, data, size);
    check_archive(str_make(copy, size));
    repair(copy, size);
    check_archive(str_make(copy, size));
    free(copy);
    return 0;
}
