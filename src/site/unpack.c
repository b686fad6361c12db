/* Unpacking streams of any length through two fixed buffers. Both formats may consist of several
 * pieces in a row (gzip members, zstd frames) that count as one stream; it is complete when the
 * input ends where a piece ends. Behind a gzip member zeros may follow, as tapes leave them.
 */
#include "site/compress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { PIECE_LEN = 128 << 10, GZIP_WINDOW_BITS = 15 + 16 };

struct unpacker {
    struct str head; /* input still to be taken before in_fd */
    int in_fd, out_fd;
    uint64_t max;
    uint64_t len; /* written */
    struct error *error;
    char in[PIECE_LEN];
    char out[PIECE_LEN];
};

/* The next piece of input, empty at its end. */
static int
next_input(struct unpacker *unpacker, struct str *piece)
{
    if (unpacker->head.len) {
        *piece = unpacker->head;
        unpacker->head = (struct str){0};
        return 0;
    }
    for (;;) {
        ssize_t got = read(unpacker->in_fd, unpacker->in, sizeof unpacker->in);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(unpacker->error, errno, "cannot read compressed data");
        *piece = str_make(unpacker->in, (size_t)got);
        return 0;
    }
}

/* Writes the first `len` bytes of the output buffer. */
static int
give_output(struct unpacker *unpacker, size_t len)
{
    if (len > unpacker->max - unpacker->len)
        return error_set(unpacker->error, "unpacks to more than %" PRIu64 " bytes", unpacker->max);
    for (size_t done = 0; done < len;) {
        ssize_t put = write(unpacker->out_fd, unpacker->out + done, len - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set_errno(unpacker->error, errno, "cannot write unpacked data");
        done += (size_t)put;
    }
    unpacker->len += len;
    return 0;
}

static bool
is_all_zero(struct str piece)
{
    for (size_t i = 0; i < piece.len; i++)
        if (piece.ptr[i])
            return false;
    return true;
}

/* Where in a gzip stream: before the first member, inside one, between two, in zeros at the end. */
enum gzip_place { GZIP_START, GZIP_INSIDE, GZIP_BETWEEN, GZIP_PADDING };

static int
gzip_error(struct unpacker *unpacker, int code)
{
    if (code == Z_MEM_ERROR)
        return error_set(unpacker->error, "no memory to unpack gzip data");
    return error_set(unpacker->error, "corrupt gzip data after %" PRIu64 " unpacked bytes",
                     unpacker->len);
}

/* Takes one piece of input. */
static int
gunzip_piece(struct unpacker *unpacker, z_stream *stream, struct str piece, enum gzip_place *place)
{
    while (piece.len || (*place == GZIP_INSIDE && stream->avail_out == 0)) {
        if (*place == GZIP_PADDING || (*place == GZIP_BETWEEN && piece.ptr[0] == '\0')) {
            *place = GZIP_PADDING;
            return is_all_zero(piece) ? 0 : gzip_error(unpacker, Z_DATA_ERROR);
        }
        if (*place == GZIP_BETWEEN && inflateReset(stream) != Z_OK)
            return gzip_error(unpacker, Z_DATA_ERROR);
        *place = GZIP_INSIDE;
        uInt in_len = piece.len < (1u << 30) ? (uInt)piece.len : 1u << 30;
        stream->next_in = (Bytef *)(uintptr_t)piece.ptr;
        stream->avail_in = in_len;
        stream->next_out = (Bytef *)unpacker->out;
        stream->avail_out = PIECE_LEN;
        int step = inflate(stream, Z_NO_FLUSH);
        if (step != Z_OK && step != Z_STREAM_END && step != Z_BUF_ERROR)
            return gzip_error(unpacker, step);
        piece = str_skip(piece, in_len - stream->avail_in);
        if (give_output(unpacker, PIECE_LEN - stream->avail_out) < 0)
            return -1;
        if (step == Z_STREAM_END)
            *place = GZIP_BETWEEN;
    }
    return 0;
}

static int
unpack_gzip(struct unpacker *unpacker)
{
    z_stream stream = {0};
    enum gzip_place place = GZIP_START;
    if (inflateInit2(&stream, GZIP_WINDOW_BITS) != Z_OK)
        return gzip_error(unpacker, Z_MEM_ERROR);
    int result = 0;
    for (;;) {
        struct str piece;
        result = next_input(unpacker, &piece);
        if (result < 0 || piece.len == 0)
            break;
        result = gunzip_piece(unpacker, &stream, piece, &place);
        if (result < 0)
            break;
    }
    inflateEnd(&stream);
    if (result == 0 && (place == GZIP_START || place == GZIP_INSIDE))
        return error_set(unpacker->error, "gzip data is cut short");
    return result;
}

/* Takes one piece of input. *pending: what the decoder said last, 0 between frames. */
static int
unzstd_piece(struct unpacker *unpacker, ZSTD_DStream *stream, struct str piece, size_t *pending)
{
    ZSTD_inBuffer input = {piece.ptr, piece.len, 0};
    bool full = false;
    while (input.pos < input.size || full) {
        ZSTD_outBuffer output = {unpacker->out, PIECE_LEN, 0};
        *pending = ZSTD_decompressStream(stream, &output, &input);
        if (ZSTD_isError(*pending))
            return error_set(unpacker->error,
                             "corrupt zstd data after %" PRIu64 " unpacked bytes: %s",
                             unpacker->len, ZSTD_getErrorName(*pending));
        if (give_output(unpacker, output.pos) < 0)
            return -1;
        /* With the buffer filled up, more may wait inside, unless the frame is through. */
        full = output.pos == output.size && *pending != 0;
    }
    return 0;
}

static int
unpack_zstd(struct unpacker *unpacker)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (!stream)
        return error_set(unpacker->error, "no memory to unpack zstd data");
    size_t pending = 1; /* an empty input is cut short as well */
    int result = 0;
    for (;;) {
        struct str piece;
        result = next_input(unpacker, &piece);
        if (result < 0 || piece.len == 0)
            break;
        result = unzstd_piece(unpacker, stream, piece, &pending);
        if (result < 0)
            break;
    }
    ZSTD_freeDStream(stream);
    if (result == 0 && pending != 0)
        return error_set(unpacker->error, "zstd data is cut short");
    return result;
}

/* Not packed at all: a copy. */
static int
copy_plain(struct unpacker *unpacker)
{
    for (;;) {
        struct str piece;
        if (next_input(unpacker, &piece) < 0)
            return -1;
        if (piece.len == 0)
            return 0;
        while (piece.len) {
            struct str part = str_first(piece, PIECE_LEN);
            memcpy(unpacker->out, part.ptr, part.len);
            if (give_output(unpacker, part.len) < 0)
                return -1;
            piece = str_skip(piece, part.len);
        }
    }
}

int
compress_unpack_prefixed(enum compress_format format, struct str head, int in_fd, int out_fd,
                         uint64_t max, uint64_t *len, struct error *error)
{
    struct unpacker *unpacker = malloc(sizeof *unpacker);
    if (!unpacker)
        return error_set(error, "no memory to unpack");
    unpacker->head = head;
    unpacker->in_fd = in_fd;
    unpacker->out_fd = out_fd;
    unpacker->max = max;
    unpacker->len = 0;
    unpacker->error = error;
    int result;
    if (format == COMPRESS_GZIP)
        result = unpack_gzip(unpacker);
    else if (format == COMPRESS_ZSTD)
        result = unpack_zstd(unpacker);
    else
        result = copy_plain(unpacker);
    *len = unpacker->len;
    free(unpacker);
    return result;
}

int
compress_unpack(enum compress_format format, int in_fd, int out_fd, uint64_t max, uint64_t *len,
                struct error *error)
{
    return compress_unpack_prefixed(format, (struct str){0}, in_fd, out_fd, max, len, error);
}
