/* The file, all numbers little-endian:
 *
 *      0  magic "tarnidx" and a NUL     8
 *      8  version, 1                    4
 *     12  length of a record            4
 *     16  size of the tar               8
 *     24  count of records              8
 *     32  length of the string area     8
 *     40  records, sorted by path, each
 *             0  path, offset in the string area   8
 *             8  content, offset in the tar        8
 *            16  size                              8
 *            24  mtime                             8
 *            32  hash, low half, high half        16
 *            48  length of the path                4
 *            52  zero                              4
 *     then the string area: the paths, one behind the other
 *     then XXH3-128 of everything before, low half, high half  16
 *
 * There is one right encoding for a list of entries; decode accepts nothing else.
 */
#include "site/packidx.h"

#include "base/limits.h"
#include "base/must.h"

#include <endian.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { HEADER_LEN = 40, RECORD_LEN = 56, CHECKSUM_LEN = 16, VERSION = 1, TAR_ALIGN = 512 };

static const char magic[8] = "tarnidx";

static void
put_u32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void
put_u64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint32_t
get_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t
get_u64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

uint64_t
packidx_size(const struct packidx_entry *entries, size_t count)
{
    uint64_t strings = 0;
    for (size_t i = 0; i < count; i++)
        strings += entries[i].path.len;
    return HEADER_LEN + (uint64_t)count * RECORD_LEN + strings + CHECKSUM_LEN;
}

static void
append_header(struct buf *out, uint64_t tar_size, uint64_t count, uint64_t strings_len)
{
    char header[HEADER_LEN];
    memcpy(header, magic, sizeof magic);
    put_u32(header + 8, VERSION);
    put_u32(header + 12, RECORD_LEN);
    put_u64(header + 16, tar_size);
    put_u64(header + 24, count);
    put_u64(header + 32, strings_len);
    buf_append(out, str_make(header, sizeof header));
}

static void
append_record(struct buf *out, const struct packidx_entry *entry, uint64_t path_off)
{
    char record[RECORD_LEN];
    put_u64(record, path_off);
    put_u64(record + 8, entry->off);
    put_u64(record + 16, entry->size);
    put_u64(record + 24, (uint64_t)entry->mtime);
    put_u64(record + 32, entry->hash.low);
    put_u64(record + 40, entry->hash.high);
    put_u32(record + 48, (uint32_t)entry->path.len);
    put_u32(record + 52, 0);
    buf_append(out, str_make(record, sizeof record));
}

void
packidx_encode(struct buf *out, uint64_t tar_size, const struct packidx_entry *entries,
               size_t count)
{
    size_t start = out->len;
    uint64_t strings_len = 0;
    uint64_t len = packidx_size(entries, count);
    if (!buf_reserve(out, len))
        return;
    append_header(out, tar_size, count, len - HEADER_LEN - count * RECORD_LEN - CHECKSUM_LEN);
    for (size_t i = 0; i < count; i++) {
        must(i == 0 || str_cmp(entries[i - 1].path, entries[i].path) < 0);
        append_record(out, &entries[i], strings_len);
        strings_len += entries[i].path.len;
    }
    for (size_t i = 0; i < count; i++)
        buf_append(out, entries[i].path);
    struct content_hash sum = content_hash(str_skip(buf_str(out), start));
    char checksum[CHECKSUM_LEN];
    put_u64(checksum, sum.low);
    put_u64(checksum + 8, sum.high);
    buf_append(out, str_make(checksum, sizeof checksum));
}

/* No empty, "." or ".." segment, no slash at an end, no NUL. */
static bool
path_is_clean(struct str path)
{
    size_t from = 0;
    if (path.len == 0 || path.len > SITE_PATH_MAX || memchr(path.ptr, '\0', path.len))
        return false;
    while (from <= path.len) {
        struct str segment =
            str_first(str_skip(path, from), str_find_char(str_skip(path, from), '/'));
        if (segment.len == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return false;
        from += segment.len + 1;
    }
    return true;
}

/* The parts of an index, once its frame is known to fit. */
struct index_parts {
    const char *records;
    uint64_t count;
    struct str strings;
    uint64_t tar_size;
};

static bool
frame_is_right(struct str data, struct index_parts *out)
{
    if (data.len < HEADER_LEN + CHECKSUM_LEN || memcmp(data.ptr, magic, sizeof magic) != 0 ||
        get_u32(data.ptr + 8) != VERSION || get_u32(data.ptr + 12) != RECORD_LEN)
        return false;
    struct str summed = str_first(data, data.len - CHECKSUM_LEN);
    struct content_hash sum = content_hash(summed);
    if (sum.low != get_u64(data.ptr + summed.len) || sum.high != get_u64(data.ptr + summed.len + 8))
        return false;
    uint64_t body = summed.len - HEADER_LEN;
    out->tar_size = get_u64(data.ptr + 16);
    out->count = get_u64(data.ptr + 24);
    if (out->count > SITE_MEMBERS_MAX || out->count * RECORD_LEN > body)
        return false;
    out->records = data.ptr + HEADER_LEN;
    out->strings = str_skip(summed, HEADER_LEN + (size_t)out->count * RECORD_LEN);
    return out->strings.len == get_u64(data.ptr + 32);
}

/* Reads one record; `strings_off` is where its path must begin. */
static bool
record_is_right(const char *record, const struct index_parts *parts, uint64_t strings_off,
                struct packidx_entry *out)
{
    uint32_t path_len = get_u32(record + 48);
    if (get_u64(record) != strings_off || path_len > parts->strings.len - strings_off ||
        get_u32(record + 52) != 0)
        return false;
    out->path = str_make(parts->strings.ptr + strings_off, path_len);
    out->off = get_u64(record + 8);
    out->size = get_u64(record + 16);
    out->mtime = (int64_t)get_u64(record + 24);
    out->hash.low = get_u64(record + 32);
    out->hash.high = get_u64(record + 40);
    return out->off >= TAR_ALIGN && out->off % TAR_ALIGN == 0 && out->off <= parts->tar_size &&
           out->size <= parts->tar_size - out->off && path_is_clean(out->path);
}

/* Whether all records are right and in order. */
static bool
records_are_right(const struct index_parts *parts)
{
    struct packidx_entry entry;
    struct str before = {0};
    uint64_t strings_off = 0;
    for (uint64_t i = 0; i < parts->count; i++) {
        if (!record_is_right(parts->records + i * RECORD_LEN, parts, strings_off, &entry))
            return false;
        if (i > 0 && str_cmp(before, entry.path) >= 0)
            return false;
        before = entry.path;
        strings_off += entry.path.len;
    }
    return strings_off == parts->strings.len;
}

enum packidx_result
packidx_decode(struct str data, uint64_t tar_size,
               int (*visit)(void *arg, const struct packidx_entry *entry), void *arg)
{
    struct index_parts parts;
    struct packidx_entry entry;
    uint64_t strings_off = 0;
    if (!frame_is_right(data, &parts) || !records_are_right(&parts))
        return PACKIDX_CORRUPT;
    if (parts.tar_size != tar_size)
        return PACKIDX_STALE;
    for (uint64_t i = 0; i < parts.count; i++) {
        bool right = record_is_right(parts.records + i * RECORD_LEN, &parts, strings_off, &entry);
        must(right);
        if (visit(arg, &entry))
            break;
        strings_off += entry.path.len;
    }
    return PACKIDX_OK;
}

static struct content_hash
from_xxh(XXH128_hash_t hash)
{
    return (struct content_hash){.high = hash.high64, .low = hash.low64};
}

struct content_hash
content_hash(struct str bytes)
{
    return from_xxh(XXH3_128bits(bytes.ptr ? bytes.ptr : "", bytes.len));
}

struct content_hasher {
    XXH3_state_t state;
};

struct content_hasher *
content_hasher_new(void)
{
    struct content_hasher *hasher = aligned_alloc(_Alignof(struct content_hasher), sizeof *hasher);
    if (hasher)
        XXH3_128bits_reset(&hasher->state);
    return hasher;
}

void
content_hasher_update(struct content_hasher *hasher, struct str bytes)
{
    if (bytes.len)
        XXH3_128bits_update(&hasher->state, bytes.ptr, bytes.len);
}

struct content_hash
content_hasher_finish(struct content_hasher *hasher)
{
    struct content_hash hash = from_xxh(XXH3_128bits_digest(&hasher->state));
    free(hasher);
    return hash;
}

void
content_etag(struct content_hash hash, char out[static CONTENT_ETAG_LEN])
{
    static const char digits[] = "0123456789abcdef";
    out[0] = '"';
    out[CONTENT_ETAG_LEN - 1] = '"';
    for (int i = 0; i < 16; i++) {
        out[1 + i] = digits[hash.high >> (60 - 4 * i) & 15];
        out[17 + i] = digits[hash.low >> (60 - 4 * i) & 15];
    }
}
