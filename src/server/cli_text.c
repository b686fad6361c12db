#include "server/cli_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { USUAL_WIDTH = 80 };

static char
printable(char c)
{
    return c >= 0x20 && c < 0x7f ? c : '?';
}

const char *
cli_text_copy(char *out, size_t out_len, struct str s)
{
    size_t len = s.len < out_len - 1 ? s.len : out_len - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = printable(s.ptr[i]);
    out[len] = '\0';
    return out;
}

void
cli_text_append(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_append_char(out, printable(s.ptr[i]));
}

void
cli_text_append_fitted(struct buf *out, struct str s, unsigned width)
{
    static const struct str dots = STR_INIT("...");
    if (s.len <= width) {
        cli_text_append(out, s);
        return;
    }
    if (width < 3 * dots.len) {
        cli_text_append(out, str_skip(s, s.len - width));
        return;
    }
    size_t tail = (width - dots.len) * 2 / 3;
    cli_text_append(out, str_first(s, width - dots.len - tail));
    buf_append(out, dots);
    cli_text_append(out, str_skip(s, s.len - tail));
}

/* --- JSON --- */

/* The code point at the front of *s, which is UTF-8 and moves behind it. */
static uint32_t
take_code_point(struct str *s)
{
    unsigned char first = (unsigned char)s->ptr[0];
    size_t more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    uint32_t code = more ? first & (0x3fu >> more) : first;
    for (size_t i = 1; i <= more; i++)
        code = code << 6 | ((unsigned char)s->ptr[i] & 0x3f);
    *s = str_skip(*s, more + 1);
    return code;
}

static void
append_escaped(struct buf *out, uint32_t code)
{
    if (code >= 0x10000) {
        code -= 0x10000;
        buf_printf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
    } else {
        buf_printf(out, "\\u%04x", code);
    }
}

void
cli_text_append_json(struct buf *out, struct str s)
{
    bool is_utf8 = str_is_utf8(s);
    buf_append_char(out, '"');
    while (s.len) {
        char c = s.ptr[0];
        if (c == '"' || c == '\\') {
            buf_append_char(out, '\\');
            buf_append_char(out, c);
            s = str_skip(s, 1);
        } else if (c == printable(c)) {
            buf_append_char(out, c);
            s = str_skip(s, 1);
        } else if (is_utf8) {
            append_escaped(out, take_code_point(&s));
        } else {
            append_escaped(out, (unsigned char)c < 0x80 ? (uint32_t)c : 0xfffd);
            s = str_skip(s, 1);
        }
    }
    buf_append_char(out, '"');
}

/* --- the rest --- */

const char *
cli_text_age(char out[static CLI_TEXT_AGE_MAX], int64_t seconds)
{
    static const struct {
        int64_t seconds;
        char name;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    unsigned unit = 0;
    if (seconds < 0)
        seconds = 0;
    while (units[unit].seconds > 1 && seconds < 2 * units[unit].seconds)
        unit++;
    snprintf(out, CLI_TEXT_AGE_MAX, "%" PRId64 "%c", seconds / units[unit].seconds,
             units[unit].name);
    return out;
}

unsigned
cli_text_width(int fd)
{
    struct winsize size;
    if (!isatty(fd))
        return 0;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : USUAL_WIDTH;
}
