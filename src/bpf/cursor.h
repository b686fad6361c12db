/* cursor: reads little-endian numbers from bytes of any content, never past their end.
 *
 * A read that does not fit sets `bad`, takes all that is left and gives 0: read many, look once.
 * Little-endian hosts only, as all of src/bpf.
 */
#ifndef TARN_BPF_CURSOR_H
#define TARN_BPF_CURSOR_H

#include "base/str.h"

struct cursor {
    struct str left;
    bool bad;
};

static inline struct cursor
cursor_make(struct str bytes)
{
    return (struct cursor){bytes, false};
}

/* The next `len` bytes; empty and bad when there are fewer. */
static inline struct str
cursor_take(struct cursor *cursor, uint64_t len)
{
    if (len > cursor->left.len) {
        cursor->bad = true;
        cursor->left = str_skip(cursor->left, cursor->left.len);
        return (struct str){0};
    }
    struct str taken = str_first(cursor->left, len);
    cursor->left = str_skip(cursor->left, len);
    return taken;
}

/* A number of `len` bytes, 1 to 8. */
static inline uint64_t
cursor_number(struct cursor *cursor, unsigned len)
{
    uint64_t value = 0;
    struct str bytes = cursor_take(cursor, len);
    if (bytes.len)
        memcpy(&value, bytes.ptr, bytes.len);
    return value;
}

static inline uint8_t
cursor_u8(struct cursor *cursor)
{
    return (uint8_t)cursor_number(cursor, 1);
}

static inline uint16_t
cursor_u16(struct cursor *cursor)
{
    return (uint16_t)cursor_number(cursor, 2);
}

static inline uint32_t
cursor_u32(struct cursor *cursor)
{
    return (uint32_t)cursor_number(cursor, 4);
}

/* DWARF 5 section 7.6. Bits above 64 are dropped. */
static inline uint64_t
cursor_uleb(struct cursor *cursor)
{
    uint64_t value = 0;
    uint8_t byte;
    unsigned shift = 0;
    do {
        byte = cursor_u8(cursor);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && shift < 7 * 64);
    return value;
}

static inline int64_t
cursor_sleb(struct cursor *cursor)
{
    uint64_t value = 0;
    uint8_t byte;
    unsigned shift = 0;
    do {
        byte = cursor_u8(cursor);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && shift < 7 * 64);
    if (shift < 64 && byte & 0x40)
        value |= ~(uint64_t)0 << shift;
    return (int64_t)value;
}

/* Text up to its NUL, which is taken too. Bad without one. */
static inline struct str
cursor_text(struct cursor *cursor)
{
    size_t len = str_find_char(cursor->left, '\0');
    struct str text = cursor_take(cursor, len);
    cursor_take(cursor, 1);
    return text;
}

#endif
