/* The index of a packed tar: arbitrary bytes, as they are and with a right checksum put in.
 *
 * What decodes lies inside the tar, is sorted and clean, and encodes to the very same bytes again;
 * for a tar of another size the same index is stale; a stop is obeyed.
 */
#include "site/packidx.h"

#include "base/limits.h"
#include "base/must.h"

#include <endian.h>
#include <stdlib.h>

enum { CHECKSUM_LEN = 16, TAR_SIZE_OFF = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct list {
    struct packidx_entry *entries;
    size_t count, cap;
};

static int
collect(void *arg, const struct packidx_entry *entry)
{
    struct list *list = arg;
    must(list->count < list->cap);
    list->entries[list->count++] = *entry;
    return 0;
}

static int
refuse(void *arg, const struct packidx_entry *entry)
{
    must(arg);
    ++*(size_t *)arg;
    return 1;
}

static void
check_entries(const struct list *list, uint64_t tar_size)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct packidx_entry *entry = &list->entries[i];
        struct str path = entry->path;
        must(i == 0 || str_cmp(list->entries[i - 1].path, path) < 0);
        must(entry->off >= 512 && entry->off <= tar_size && entry->size <= tar_size - entry->off);
        must(path.len > 0 && path.len <= SITE_PATH_MAX && path.ptr[path.len - 1] != '/');
        while (path.len) {
            struct str segment = str_cut(&path, '/');
            must(segment.len > 0 && !str_eq(segment, STR(".")) && !str_eq(segment, STR("..")));
            must(str_find_char(segment, '\0') == segment.len);
        }
    }
}

static void
check_round_trip(struct str data, uint64_t tar_size, const struct list *list)
{
    struct buf again;
    buf_init(&again, data.len + 1);
    must(packidx_size(list->entries, list->count) == data.len);
    packidx_encode(&again, tar_size, list->entries, list->count);
    must(!buf_overflowed(&again) && str_eq(buf_str(&again), data));
    buf_deinit(&again);
}

static void
check_index(struct str data)
{
    uint64_t tar_size = 0;
    if (data.len >= TAR_SIZE_OFF + sizeof tar_size)
        memcpy(&tar_size, data.ptr + TAR_SIZE_OFF, sizeof tar_size);
    tar_size = le64toh(tar_size);
    struct list list = {.cap = data.len + 1};
    list.entries = malloc(list.cap * sizeof *list.entries);
    must(list.entries);
    enum packidx_result result = packidx_decode(data, tar_size, collect, &list);
    must(result != PACKIDX_STALE);
    must(result == PACKIDX_OK || list.count == 0);
    size_t calls = 0;
    enum packidx_result other = packidx_decode(data, tar_size + 512, refuse, &calls);
    must(calls == 0 && other == (result == PACKIDX_OK ? PACKIDX_STALE : PACKIDX_CORRUPT));
    if (result == PACKIDX_OK) {
        check_entries(&list, tar_size);
        check_round_trip(data, tar_size, &list);
        must(packidx_decode(data, tar_size, refuse, &calls) == PACKIDX_OK);
        must(calls == (list.count > 0));
    }
    free(list.entries);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_index(str_make((const char *)data, size));
    if (size < CHECKSUM_LEN)
        return 0;
    char *sealed = malloc(size);
    must(sealed);
    memcpy(sealed, data, size);
    struct content_hash sum = content_hash(str_make(sealed, size - CHECKSUM_LEN));
    uint64_t halves[2] = {htole64(sum.low), htole64(sum.high)};
    memcpy(sealed + size - CHECKSUM_LEN, halves, sizeof halves);
    check_index(str_make(sealed, size));
    free(sealed);
    return 0;
}
