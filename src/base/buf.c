#include "base/buf.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST_CAP = 256 };

void
buf_init(struct buf *buf, size_t max)
{
    must(max > 0);
    *buf = (struct buf){.max = max};
}

void
buf_deinit(struct buf *buf)
{
    free(buf->ptr);
    buf->ptr = NULL;
    buf->len = buf->cap = 0;
}

void
buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->overflowed = false;
}

char *
buf_reserve(struct buf *buf, size_t len)
{
    if (buf->overflowed || len > buf->max - buf->len) {
        buf->overflowed = true;
        return NULL;
    }
    if (buf->cap - buf->len < len) {
        size_t cap = buf->cap ? buf->cap : BUF_FIRST_CAP;
        while (cap - buf->len < len)
            cap *= 2;
        if (cap > buf->max)
            cap = buf->max;
        char *grown = realloc(buf->ptr, cap);
        if (!grown) {
            buf->overflowed = true;
            return NULL;
        }
        buf->ptr = grown;
        buf->cap = cap;
    }
    return buf->ptr + buf->len;
}

void
buf_commit(struct buf *buf, size_t len)
{
    must(len <= buf->cap - buf->len);
    buf->len += len;
}

void
buf_append(struct buf *buf, struct str s)
{
    if (s.len == 0)
        return;
    char *at = buf_reserve(buf, s.len);
    if (at) {
        memcpy(at, s.ptr, s.len);
        buf->len += s.len;
    }
}

void
buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, str_make(&c, 1));
}

void
buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    /* vsnprintf writes a NUL behind the text: room for it is asked for, but not kept. */
    char *at = len >= 0 ? buf_reserve(buf, (size_t)len + 1) : NULL;
    if (at) {
        vsnprintf(at, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void
buf_consume(struct buf *buf, size_t len)
{
    must(len <= buf->len);
    /* An empty buffer may have no memory yet. */
    if (len == 0)
        return;
    buf->len -= len;
    memmove(buf->ptr, buf->ptr + len, buf->len);
}
