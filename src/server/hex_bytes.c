#include "server/hex_bytes.h"

#include "base/hex.h"

#include <inttypes.h>

void
hex_bytes_init(struct hex_bytes *hex, struct buf *out)
{
    *hex = (struct hex_bytes){.out = out, .digit = -1};
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int
fail_alone(const struct hex_bytes *hex, struct error *error)
{
    return error_set(error, "a hexadecimal digit stands alone at character %" PRIu64,
                     hex->text_len);
}

static int
fail_character(const struct hex_bytes *hex, char c, struct error *error)
{
    bool shown = c > ' ' && c < 0x7f;
    return error_set(error,
                     shown ? "'%c' at character %" PRIu64 " is no hexadecimal digit"
                           : "the byte 0x%02x at character %" PRIu64 " is no hexadecimal digit",
                     (unsigned char)c, hex->text_len + 1);
}

static int
read_char(struct hex_bytes *hex, char c, struct error *error)
{
    int value = hex_value(c);
    if (value < 0 && !is_space(c))
        return fail_character(hex, c, error);
    if (value < 0 && hex->digit >= 0)
        return fail_alone(hex, error);
    hex->text_len++;
    if (value < 0)
        return 0;
    if (hex->digit < 0) {
        hex->digit = value;
        return 0;
    }
    buf_append_char(hex->out, (char)(hex->digit << 4 | value));
    hex->digit = -1;
    if (buf_overflowed(hex->out))
        return error_set(error, "no memory, or more than %zu bytes", hex->out->max);
    return 0;
}

int
hex_bytes_read(struct hex_bytes *hex, struct str text, struct error *error)
{
    for (size_t i = 0; i < text.len; i++)
        if (read_char(hex, text.ptr[i], error) != 0)
            return -1;
    return 0;
}

int
hex_bytes_end(const struct hex_bytes *hex, struct error *error)
{
    return hex->digit < 0 ? 0 : fail_alone(hex, error);
}
