#include "server/bpf_input.h"

#include "server/hex_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PIECE_LEN = 64 << 10 };

/* Takes a piece of what is read; -1 ends the reading. */
typedef int (*input_taker)(void *arg, struct str piece, struct error *error);

static int
read_pieces(int fd, input_taker take, void *arg, struct error *error)
{
    char piece[PIECE_LEN];
    for (;;) {
        ssize_t len = read(fd, piece, sizeof piece);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return error_set_errno(error, errno, "cannot read");
        if (len == 0)
            return 0;
        if (take(arg, str_make(piece, (size_t)len), error) != 0)
            return -1;
    }
}

static int
take_bytes(void *arg, struct str piece, struct error *error)
{
    struct buf *out = arg;
    buf_append(out, piece);
    return buf_overflowed(out) ? error_set(error, "no memory, or longer than %zu bytes", out->max)
                               : 0;
}

static int
take_hex(void *arg, struct str piece, struct error *error)
{
    return hex_bytes_read(arg, piece, error);
}

int
bpf_input_file(struct buf *out, const char *name, struct error *error)
{
    if (strcmp(name, "-") == 0)
        return read_pieces(STDIN_FILENO, take_bytes, out, error);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot open");
    int result = read_pieces(fd, take_bytes, out, error);
    close(fd);
    return result;
}

int
bpf_input_hex(struct buf *out, struct error *error)
{
    struct hex_bytes hex;
    hex_bytes_init(&hex, out);
    int result = read_pieces(STDIN_FILENO, take_hex, &hex, error);
    return result == 0 ? hex_bytes_end(&hex, error) : result;
}
