/* Writing one header, in the oldest form that can say it: a short name goes into the name field,
 * a longer one is split at a slash into prefix and name (ustar), and what does not fit there, as
 * well as numbers that twelve octal digits cannot hold, goes into a pax header in front.
 */
#include "site/tar.h"

#include "base/buf.h"

#include <inttypes.h>
#include <stdio.h>

enum { NAME_LEN = 100, PREFIX_LEN = 155, PAX_RECORDS_LEN = 128 };

/* The largest value of eleven octal digits. */
static const uint64_t octal_max = ((uint64_t)1 << 33) - 1;

struct ustar {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char owner[32];
    char group[32];
    char dev_major[8];
    char dev_minor[8];
    char prefix[155];
    char rest[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

static void
put_octal(char *field, size_t len, uint64_t value)
{
    field[len - 1] = '\0';
    for (size_t i = len - 1; i > 0; i--) {
        field[i - 1] = (char)('0' + (value & 7));
        value >>= 3;
    }
}

static void
put_text(char *field, struct str text)
{
    memcpy(field, text.ptr, text.len);
}

static void
append_block(struct buf *out, struct str prefix, struct str name, char type, uint64_t size,
             uint64_t mtime)
{
    struct ustar block;
    memset(&block, 0, sizeof block);
    put_text(block.name, name);
    put_text(block.prefix, prefix);
    put_octal(block.mode, sizeof block.mode, 0644);
    put_octal(block.uid, sizeof block.uid, 0);
    put_octal(block.gid, sizeof block.gid, 0);
    put_octal(block.size, sizeof block.size, size);
    put_octal(block.mtime, sizeof block.mtime, mtime);
    put_octal(block.dev_major, sizeof block.dev_major, 0);
    put_octal(block.dev_minor, sizeof block.dev_minor, 0);
    block.type = type;
    memcpy(block.magic, "ustar", 6);
    memcpy(block.version, "00", 2);
    put_text(block.owner, STR("root"));
    put_text(block.group, STR("root"));
    memset(block.checksum, ' ', sizeof block.checksum);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof block; i++)
        sum += ((const unsigned char *)&block)[i];
    put_octal(block.checksum, sizeof block.checksum - 1, sum);
    buf_append(out, str_make((const char *)&block, sizeof block));
}

/* Splits a name over 100 bytes for ustar. False when there is no slash at the right place. */
static bool
split_name(struct str path, struct str *prefix, struct str *name)
{
    if (path.len > PREFIX_LEN + 1 + NAME_LEN)
        return false;
    for (size_t at = path.len - NAME_LEN - 1; at < path.len - 1 && at <= PREFIX_LEN; at++) {
        if (path.ptr[at] == '/' && at > 0) {
            *prefix = str_first(path, at);
            *name = str_skip(path, at + 1);
            return true;
        }
    }
    return false;
}

/* "LEN key=value\n", where LEN counts its own digits. */
static void
append_record(struct buf *out, const char *key, struct str value)
{
    size_t base = 1 + strlen(key) + 1 + value.len + 1;
    size_t len = base;
    for (size_t before = 0; before != len;) {
        before = len;
        len = base + (size_t)snprintf(NULL, 0, "%zu", before);
    }
    buf_printf(out, "%zu %s=", len, key);
    buf_append(out, value);
    buf_append_char(out, '\n');
}

static void
pad_block(struct buf *out, size_t content_len)
{
    static const char zeros[TAR_BLOCK];
    buf_append(out, str_make(zeros, -content_len & (TAR_BLOCK - 1)));
}

/* A name for programs that do not know pax: the last part, cut, and never ending in a slash. */
static struct str
short_name(struct str path)
{
    size_t slash = str_find_last_char(path, '/');
    return str_first(slash < path.len ? str_skip(path, slash + 1) : path, NAME_LEN);
}

static void
append_pax(struct buf *out, struct str path, bool with_path, uint64_t size, int64_t mtime)
{
    char number[32];
    struct buf records;
    buf_init(&records, path.len + PAX_RECORDS_LEN);
    if (mtime < 0 || (uint64_t)mtime > octal_max) {
        snprintf(number, sizeof number, "%" PRId64, mtime);
        append_record(&records, "mtime", str_from_cstr(number));
    }
    if (with_path)
        append_record(&records, "path", path);
    if (size > octal_max) {
        snprintf(number, sizeof number, "%" PRIu64, size);
        append_record(&records, "size", str_from_cstr(number));
    }
    if (buf_overflowed(&records))
        out->overflowed = true;
    append_block(out, STR("PaxHeaders"), short_name(path), 'x', records.len, 0);
    buf_append(out, buf_str(&records));
    pad_block(out, records.len);
    buf_deinit(&records);
}

void
tar_write_header(struct buf *out, struct str path, uint64_t size, int64_t mtime)
{
    struct str prefix = STR(""), name = path;
    bool fits = path.len <= NAME_LEN || split_name(path, &prefix, &name);
    bool wide_time = mtime < 0 || (uint64_t)mtime > octal_max;
    if (!fits || wide_time || size > octal_max)
        append_pax(out, path, !fits, size, mtime);
    if (!fits)
        name = short_name(path);
    append_block(out, prefix, name, '0', size > octal_max ? 0 : size,
                 wide_time ? 0 : (uint64_t)mtime);
}
