/* One header block is 512 bytes of text fields at fixed places (POSIX.1-2018, pax, "ustar
 * Interchange Format"):
 *
 *     0 name 100 | 100 mode, uid, gid | 124 size 12 | 136 mtime 12 | 148 checksum 8 | 156 type 1
 *     157 link 100 | 257 magic 6, version 2 | 265 owner, group, device | 345 prefix 155
 *
 * Numbers are octal text; GNU tar writes large or negative ones as big-endian two's complement
 * with the first bit set. The prefix counts only under the POSIX magic "ustar\0": GNU's own magic
 * is "ustar " and puts other things there.
 */
#include "site/tar_internal.h"

#include "base/limits.h"

#include <string.h>

enum {
    OFF_SIZE = 124,
    OFF_MTIME = 136,
    OFF_CHECKSUM = 148,
    OFF_TYPE = 156,
    OFF_LINK = 157,
    OFF_MAGIC = 257,
    OFF_PREFIX = 345,
    NAME_LEN = 100,
    PREFIX_LEN = 155,
    NUMBER_LEN = 12,
    CHECKSUM_LEN = 8,
};

static struct str
text_field(const char *block, size_t off, size_t len)
{
    return str_make(block + off, strnlen(block + off, len));
}

static bool
base256_field(const char *at, size_t len, int64_t *out)
{
    /* The first bit only marks the form; the second carries the sign. */
    int64_t sign = at[0] & 0x40 ? -1 : 0;
    int64_t value = sign;
    for (size_t i = 0; i < len; i++) {
        unsigned char digit = (unsigned char)at[i];
        if (i == 0 && sign == 0)
            digit &= 0x7f;
        if (value >> 55 != sign) /* what leaves at the top must be copies of the sign */
            return false;
        value = (int64_t)((uint64_t)value << 8 | digit);
    }
    *out = value;
    return true;
}

/* Octal digits between optional spaces, ended by a space, a NUL or the field's end; all blank is 0.
 */
static bool
octal_field(const char *at, size_t len, int64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;
    while (i < len && at[i] == ' ')
        i++;
    for (; i < len && at[i] >= '0' && at[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(at[i] - '0');
    if (i < len && at[i] != ' ' && at[i] != '\0')
        return false;
    *out = (int64_t)value; /* twelve digits are 36 bits */
    return true;
}

static bool
number_field(const char *block, size_t off, size_t len, int64_t *out)
{
    if (block[off] & 0x80)
        return base256_field(block + off, len, out);
    return octal_field(block + off, len, out);
}

/* The sum of all bytes with the checksum field taken as spaces. Some old programs summed signed
 * bytes; both are accepted. */
static bool
checksum_is_right(const char *block)
{
    int64_t stored, plain = 0, with_sign = 0;
    if (!number_field(block, OFF_CHECKSUM, CHECKSUM_LEN, &stored))
        return false;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        bool own = i >= OFF_CHECKSUM && i < OFF_CHECKSUM + CHECKSUM_LEN;
        plain += own ? ' ' : (unsigned char)block[i];
        with_sign += own ? ' ' : (signed char)block[i];
    }
    return stored == plain || stored == with_sign;
}

bool
tar_is_header(const char *block, size_t len)
{
    return len >= TAR_BLOCK && checksum_is_right(block);
}

static bool
block_is_zero(const char *block)
{
    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (block[i])
            return false;
    return true;
}

static void
join_prefix(const char *block, struct tar_header *out)
{
    struct str prefix = text_field(block, OFF_PREFIX, PREFIX_LEN);
    if (memcmp(block + OFF_MAGIC, "ustar", 6) != 0 || prefix.len == 0)
        return;
    memcpy(out->joined, prefix.ptr, prefix.len);
    out->joined[prefix.len] = '/';
    memcpy(out->joined + prefix.len + 1, out->name.ptr, out->name.len);
    out->name = str_make(out->joined, prefix.len + 1 + out->name.len);
}

enum tar_header_result
tar_header_decode(const char *block, struct tar_header *out)
{
    _Static_assert(sizeof out->joined >= NAME_LEN + 1 + PREFIX_LEN, "room for prefix and name");
    int64_t size;
    if (!block[0] && block_is_zero(block))
        return TAR_HEADER_ZERO;
    if (!checksum_is_right(block))
        return TAR_HEADER_BAD_CHECKSUM;
    if (!number_field(block, OFF_SIZE, NUMBER_LEN, &size) || size < 0 ||
        !number_field(block, OFF_MTIME, NUMBER_LEN, &out->mtime))
        return TAR_HEADER_BAD_NUMBER;
    out->size = (uint64_t)size;
    out->type = block[OFF_TYPE];
    out->name = text_field(block, 0, NAME_LEN);
    out->link = text_field(block, OFF_LINK, NAME_LEN);
    join_prefix(block, out);
    return TAR_HEADER_OK;
}

/* "[-]seconds[.fraction]", rounded down. */
static bool
pax_time(struct str text, int64_t *out)
{
    bool negative = text.len && text.ptr[0] == '-';
    text = str_skip(text, negative);
    struct str whole = str_cut(&text, '.');
    uint64_t seconds;
    bool fraction = false;
    if (!str_to_u64(whole, &seconds))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        fraction |= text.ptr[i] != '0';
    }
    if (seconds > (uint64_t)INT64_MAX + (negative && !fraction))
        return false;
    *out = (int64_t)(negative ? 0 - (seconds + fraction) : seconds);
    return true;
}

/* One keyword. An empty value takes back what was said before. */
static bool
pax_keyword(struct str key, struct str value, struct arena *arena, struct tar_extra *extra)
{
    if (str_starts_with(key, STR("GNU.sparse."))) {
        extra->sparse = true;
    } else if (str_eq(key, STR("path"))) {
        extra->path = value.len ? arena_copy(arena, value) : (struct str){0};
        return !value.len || extra->path.ptr;
    } else if (str_eq(key, STR("linkpath"))) {
        extra->link = value.len ? arena_copy(arena, value) : (struct str){0};
        return !value.len || extra->link.ptr;
    } else if (str_eq(key, STR("size"))) {
        extra->has_size = value.len > 0;
        return !value.len || str_to_u64(value, &extra->size);
    } else if (str_eq(key, STR("mtime"))) {
        extra->has_mtime = value.len > 0;
        return !value.len || pax_time(value, &extra->mtime);
    }
    return true;
}

bool
tar_pax_apply(struct str records, struct arena *arena, struct tar_extra *extra)
{
    while (records.len) {
        size_t digits = str_find_char(records, ' ');
        uint64_t len; /* of the whole record, these digits and the newline included */
        if (!str_to_u64(str_first(records, digits), &len) || len > records.len ||
            len < digits + 2 || records.ptr[len - 1] != '\n')
            return false;
        struct str value = str_make(records.ptr + digits + 1, (size_t)len - digits - 2);
        struct str whole = value;
        struct str key = str_cut(&value, '=');
        if (key.len == 0 || key.len == whole.len)
            return false;
        if (!pax_keyword(key, value, arena, extra))
            return false;
        records = str_skip(records, (size_t)len);
    }
    return true;
}

const char *
tar_clean_name(struct str name, struct arena *arena, struct str *out)
{
    if (name.len > SITE_PATH_MAX)
        return "its name is too long";
    if (name.len && name.ptr[0] == '/')
        return "its name is absolute";
    if (str_find_char(name, '\0') < name.len)
        return "its name has a NUL byte";
    char *text = arena_alloc_text(arena, name.len + 1);
    if (!text)
        return "no memory for its name";
    size_t len = 0;
    while (name.len) {
        struct str segment = str_cut(&name, '/');
        if (segment.len == 0 || str_eq(segment, STR(".")))
            continue;
        if (str_eq(segment, STR(".."))) {
            if (len == 0)
                return "its name leaves the site";
            size_t slash = str_find_last_char(str_make(text, len), '/');
            len = slash < len ? slash : 0;
            continue;
        }
        if (len)
            text[len++] = '/';
        memcpy(text + len, segment.ptr, segment.len);
        len += segment.len;
    }
    text[len] = '\0';
    *out = str_make(text, len);
    return NULL;
}
