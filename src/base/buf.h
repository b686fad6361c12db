/* buf: a growable byte buffer that cannot be made without a ceiling.
 *
 * Over the ceiling, or without memory, an append writes nothing and the buffer stays marked
 * (`buf_overflowed`) until cleared: build first, check once. The content may move on any append.
 * Thread rule: one owner.
 */
#ifndef TARN_BASE_BUF_H
#define TARN_BASE_BUF_H

#include "base/str.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;
    bool overflowed;
};

/* `max`: ceiling in bytes. Allocates nothing yet. */
void buf_init(struct buf *buf, size_t max);
void buf_deinit(struct buf *buf);

/* Empties it and clears the mark; keeps the memory. */
void buf_clear(struct buf *buf);

void buf_append(struct buf *buf, struct str s);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for at least len more bytes behind the end, or NULL (and the mark). Follow with buf_commit.
 */
char *buf_reserve(struct buf *buf, size_t len);
void buf_commit(struct buf *buf, size_t len);

/* Drops the first len bytes. */
void buf_consume(struct buf *buf, size_t len);

static inline struct str
buf_str(const struct buf *buf)
{
    return str_make(buf->ptr, buf->len);
}

static inline bool
buf_overflowed(const struct buf *buf)
{
    return buf->overflowed;
}

#endif
