/* Fuzzes the chunked decoder. Input: two bytes of seed for the splits, then the coded body.
 *
 * Checked: whole and split decoding give the same bytes and end, and agree with a plain model that
 * works on the whole input; any bytes, cut into chunks and encoded, decode to themselves.
 */
#include "http/h1_chunk.h"

#include <stdlib.h>

enum { CONTROL_LEN = 2 };

struct decoded {
    enum h1_chunk_result result; /* never H1_CHUNK_DATA */
    size_t consumed;
    size_t body_len;
    char *body;
};

static void
check(bool holds)
{
    if (!holds)
        abort();
}

static char *
new_bytes(size_t len)
{
    char *bytes = malloc(len ? len : 1);
    check(bytes != NULL);
    return bytes;
}

/* Decodes one piece, which lies in a block of exactly its size. */
static void
decode_piece(struct h1_chunk_decoder *decoder, struct decoded *out, struct str piece)
{
    char *block = new_bytes(piece.len);
    memcpy(block, piece.ptr, piece.len);
    size_t at = 0, consumed;
    do {
        struct str data;
        out->result = h1_chunk_decode(decoder, block + at, piece.len - at, &consumed, &data);
        check(consumed <= piece.len - at);
        at += consumed;
        if (out->result == H1_CHUNK_DATA) {
            check(data.len > 0 && data.ptr + data.len == block + at);
            memcpy(out->body + out->body_len, data.ptr, data.len);
            out->body_len += data.len;
        }
    } while (out->result == H1_CHUNK_DATA);
    check(out->result != H1_CHUNK_MORE || at == piece.len);
    out->consumed += at;
    free(block);
}

/* Decodes input in pieces of pseudo-random length; seed 0: in one. */
static struct decoded
decode(struct str input, unsigned seed)
{
    struct decoded out = {.result = H1_CHUNK_MORE, .body = new_bytes(input.len)};
    struct h1_chunk_decoder decoder;
    h1_chunk_decoder_init(&decoder);
    while (out.consumed < input.len && out.result == H1_CHUNK_MORE) {
        size_t piece_len = seed ? 1 + seed % 61 % (1 + seed % 17) : input.len;
        seed = seed ? (seed * 1103515245u + 12345u) >> 1 | 1u : 0;
        decode_piece(&decoder, &out, str_first(str_skip(input, out.consumed), piece_len));
    }
    return out;
}

static bool
is_text_byte(char c)
{
    return c == '\t' || ((uint8_t)c >= 0x20 && c != 0x7f);
}

static bool
is_token_byte(char c)
{
    return (uint8_t)c > 0x20 && (uint8_t)c < 0x7f && !memchr("\"(),/:;<=>?@[\\]{}", c, 17);
}

static size_t
count_while(struct str s, bool (*test)(char))
{
    size_t count = 0;
    while (count < s.len && test(s.ptr[count]))
        count++;
    return count;
}

static bool
is_hex_byte(char c)
{
    return c && strchr("0123456789abcdefABCDEF", c) != NULL;
}

static bool
is_blank_byte(char c)
{
    return c == ' ' || c == '\t';
}

/* CRLF at the start of *rest, cut off when it is there. */
static enum h1_chunk_result
model_crlf(struct str *rest)
{
    struct str crlf = str_first(STR("\r\n"), rest->len);
    if (!str_starts_with(*rest, crlf))
        return H1_CHUNK_ERROR;
    *rest = str_skip(*rest, crlf.len);
    return crlf.len == 2 ? H1_CHUNK_DONE : H1_CHUNK_MORE;
}

/* A size line. H1_CHUNK_DONE: complete, *size is set. */
static enum h1_chunk_result
model_size_line(struct str *rest, uint64_t *size)
{
    size_t digits = count_while(*rest, is_hex_byte);
    if (digits > 15 || (digits == 0 && rest->len))
        return H1_CHUNK_ERROR;
    char text[16] = "";
    memcpy(text, rest->ptr, digits);
    *size = strtoull(text, NULL, 16);
    *rest = str_skip(*rest, digits);
    struct str extension = str_first(*rest, count_while(*rest, is_text_byte));
    struct str behind = str_skip(extension, count_while(extension, is_blank_byte));
    *rest = str_skip(*rest, extension.len);
    if (extension.len > H1_CHUNK_EXTENSION_MAX || (behind.len && behind.ptr[0] != ';'))
        return H1_CHUNK_ERROR;
    if (extension.len && !behind.len && rest->len)
        return H1_CHUNK_ERROR;
    return model_crlf(rest);
}

/* Trailer lines and the empty line behind them. */
static enum h1_chunk_result
model_trailers(struct str *rest)
{
    size_t left = H1_CHUNK_TRAILER_MAX;
    while (rest->len && rest->ptr[0] != '\r') {
        struct str line = *rest;
        size_t name_len = count_while(line, is_token_byte);
        line = str_skip(line, name_len);
        if (name_len > left || (line.len && (name_len == 0 || line.ptr[0] != ':')))
            return H1_CHUNK_ERROR;
        line = str_skip(line, 1);
        line = str_skip(line, count_while(line, is_text_byte));
        enum h1_chunk_result end = model_crlf(&line);
        if (end == H1_CHUNK_ERROR || (size_t)(line.ptr - rest->ptr) > left)
            return H1_CHUNK_ERROR;
        left -= (size_t)(line.ptr - rest->ptr);
        *rest = line;
        if (end == H1_CHUNK_MORE)
            return H1_CHUNK_MORE;
    }
    return model_crlf(rest);
}

static struct decoded
model(struct str input)
{
    struct decoded out = {.result = H1_CHUNK_MORE, .body = new_bytes(input.len)};
    struct str rest = input;
    uint64_t size = 1;
    while (size) {
        out.result = model_size_line(&rest, &size);
        if (out.result != H1_CHUNK_DONE)
            return out;
        if (size == 0)
            break;
        struct str data = str_first(rest, size);
        memcpy(out.body + out.body_len, data.ptr, data.len);
        out.body_len += data.len;
        rest = str_skip(rest, data.len);
        out.result = data.len < size ? H1_CHUNK_MORE : model_crlf(&rest);
        if (out.result != H1_CHUNK_DONE)
            return out;
    }
    out.result = model_trailers(&rest);
    out.consumed = (size_t)(rest.ptr - input.ptr);
    return out;
}

static void
check_same_body(const struct decoded *a, const struct decoded *b)
{
    check(a->result == b->result && a->body_len == b->body_len);
    check(memcmp(a->body, b->body, a->body_len) == 0);
}

/* Encodes `body` in chunks of pseudo-random length, and decodes that. */
static void
check_round_trip(struct str body, unsigned seed)
{
    char *coded = new_bytes(body.len * (H1_CHUNK_HEAD_MAX + 3) + 5);
    size_t len = 0;
    for (struct str rest = body; rest.len;) {
        struct str chunk = str_first(rest, 1 + seed % 300);
        seed = (seed * 1103515245u + 12345u) >> 1;
        len += h1_chunk_encode_head(coded + len, chunk.len);
        memcpy(coded + len, chunk.ptr, chunk.len);
        len += chunk.len;
        memcpy(coded + len, "\r\n", 2);
        len += 2;
        rest = str_skip(rest, chunk.len);
    }
    memcpy(coded + len, "0\r\n\r\n", 5);
    struct decoded out = decode(str_make(coded, len + 5), seed | 1u);
    check(out.result == H1_CHUNK_DONE && out.consumed == len + 5);
    check(out.body_len == body.len && memcmp(out.body, body.ptr, body.len) == 0);
    free(out.body);
    free(coded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= CONTROL_LEN)
        return 0;
    unsigned seed = 1u + data[0] + 256u * data[1];
    struct str input = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    struct decoded whole = decode(input, 0);
    struct decoded split = decode(input, seed);
    struct decoded wanted = model(input);
    check_same_body(&whole, &split);
    check(whole.consumed == split.consumed);
    check_same_body(&whole, &wanted);
    if (whole.result == H1_CHUNK_DONE)
        check(whole.consumed == wanted.consumed);
    check_round_trip(input, seed);
    free(whole.body);
    free(split.body);
    free(wanted.body);
    return 0;
}
