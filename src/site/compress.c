/* Compression works into a buffer that is 5 % smaller than the input: what does not fit there is
 * not worth keeping, so no result is ever larger than its input and running out of room is the
 * test itself.
 *
 * zstd at level 19 never asks for a window over 8 MiB, the most that a browser must accept
 * (RFC 9659).
 */
#include "site/compress.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    BROTLI_BEST_MAX = 1 << 20, /* above, quality 11 takes minutes for little */
    BROTLI_FAST_QUALITY = 9,
    GZIP_LEVEL = 9,
    GZIP_WINDOW_BITS = 15 + 16, /* 16: with a gzip header */
    GZIP_MEMORY_LEVEL = 9,
    ZSTD_LEVEL = 19,
};

/* Each returns as compress_buffer and sets *len. */

static int
compress_gzip(struct str input, char *to, size_t room, size_t *len)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -1;
    int step = Z_OK;
    size_t taken = 0, given = 0;
    while (step == Z_OK && given < room) {
        /* zlib counts in unsigned int */
        uInt in_len = input.len - taken < (1u << 30) ? (uInt)(input.len - taken) : 1u << 30;
        uInt out_len = room - given < (1u << 30) ? (uInt)(room - given) : 1u << 30;
        stream.next_in = (Bytef *)(uintptr_t)(input.ptr + taken);
        stream.avail_in = in_len;
        stream.next_out = (Bytef *)to + given;
        stream.avail_out = out_len;
        step = deflate(&stream, taken + in_len == input.len ? Z_FINISH : Z_NO_FLUSH);
        taken += in_len - stream.avail_in;
        given += out_len - stream.avail_out;
    }
    deflateEnd(&stream);
    *len = given;
    return step == Z_STREAM_END ? 0 : 1;
}

static int
compress_brotli(struct str input, char *to, size_t room, size_t *len)
{
    BrotliEncoderState *encoder = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (!encoder)
        return -1;
    const uint8_t *next_in = (const uint8_t *)input.ptr;
    uint8_t *next_out = (uint8_t *)to;
    size_t in_left = input.len, out_left = room;
    uint32_t quality = input.len <= BROTLI_BEST_MAX ? BROTLI_MAX_QUALITY : BROTLI_FAST_QUALITY;
    BrotliEncoderSetParameter(encoder, BROTLI_PARAM_QUALITY, quality);
    BrotliEncoderSetParameter(encoder, BROTLI_PARAM_SIZE_HINT,
                              input.len < UINT32_MAX ? (uint32_t)input.len : UINT32_MAX);
    bool running = BrotliEncoderCompressStream(encoder, BROTLI_OPERATION_FINISH, &in_left, &next_in,
                                               &out_left, &next_out, NULL);
    bool finished = running && BrotliEncoderIsFinished(encoder);
    BrotliEncoderDestroyInstance(encoder);
    *len = room - out_left;
    return finished ? 0 : running ? 1 : -1;
}

static int
compress_zstd(struct str input, char *to, size_t room, size_t *len)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!context)
        return -1;
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    *len = ZSTD_compress2(context, to, room, input.ptr, input.len);
    ZSTD_freeCCtx(context);
    if (!ZSTD_isError(*len))
        return 0;
    return ZSTD_getErrorCode(*len) == ZSTD_error_dstSize_tooSmall ? 1 : -1;
}

int
compress_buffer(enum http_coding coding, struct str input, struct str *out)
{
    *out = (struct str){0};
    size_t room = input.len - input.len / 20 - (input.len % 20 != 0);
    if (coding == HTTP_CODING_IDENTITY || input.len == 0 || room == 0)
        return 1;
    char *to = malloc(room);
    if (!to)
        return -1;
    size_t len = 0;
    int result = 1;
    if (coding == HTTP_CODING_BR)
        result = compress_brotli(input, to, room, &len);
    else if (coding == HTTP_CODING_ZSTD)
        result = compress_zstd(input, to, room, &len);
    else if (coding == HTTP_CODING_GZIP)
        result = compress_gzip(input, to, room, &len);
    if (result != 0) {
        free(to);
        return result;
    }
    char *fitted = realloc(to, len ? len : 1);
    if (fitted)
        to = fitted;
    *out = str_make(to, len);
    return 0;
}

enum compress_format
compress_detect(const char *head, size_t len)
{
    const unsigned char *byte = (const unsigned char *)head;
    if (len >= 3 && byte[0] == 0x1f && byte[1] == 0x8b && byte[2] == 8)
        return COMPRESS_GZIP;
    if (len >= 4 && byte[0] == 0x28 && byte[1] == 0xb5 && byte[2] == 0x2f && byte[3] == 0xfd)
        return COMPRESS_ZSTD;
    /* a skippable frame, which some packers put first */
    if (len >= 4 && (byte[0] & 0xf0) == 0x50 && byte[1] == 0x2a && byte[2] == 0x4d &&
        byte[3] == 0x18)
        return COMPRESS_ZSTD;
    return COMPRESS_NONE;
}
