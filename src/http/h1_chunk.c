/* Everything but chunk data is decoded byte by byte by one step function for each kind of line; a
 * step returns the next state. Chunk data is handed out in the largest piece that is there. Both
 * ceilings are counted in `count` (size line) and `trailer_len`.
 *
 * Nothing is forgiven: a server in front of us and this decoder must agree on where a body ends.
 */
#include "http/h1_chunk.h"
#include "base/must.h"
#include "http/h1_scan.h"

enum { SIZE_DIGITS_MAX = 15 };

enum state {
    SIZE,
    SIZE_BLANK, /* white space behind the size, which only an extension may follow */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    FINISHED,
    FAILED,
};

void
h1_chunk_decoder_init(struct h1_chunk_decoder *decoder)
{
    *decoder = (struct h1_chunk_decoder){.state = SIZE};
}

/* Value of a hex digit, or -1. */
static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum state
expect(char c, char wanted, enum state next)
{
    return c == wanted ? next : FAILED;
}

static enum state
step_size(struct h1_chunk_decoder *decoder, char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        decoder->left = decoder->left << 4 | (unsigned)digit;
        return decoder->digits++ < SIZE_DIGITS_MAX ? SIZE : FAILED;
    }
    if (decoder->digits == 0)
        return FAILED;
    if (c == '\r')
        return SIZE_LF;
    decoder->count = 1;
    if (c == ';')
        return EXTENSION;
    return c == ' ' || c == '\t' ? SIZE_BLANK : FAILED;
}

/* Inside an extension, and in the white space in front of it (RFC 9112 section 7.1.1). */
static enum state
step_extension(struct h1_chunk_decoder *decoder, char c)
{
    bool blank = decoder->state == SIZE_BLANK;
    if (c == '\r' && !blank)
        return SIZE_LF;
    if (++decoder->count > H1_CHUNK_EXTENSION_MAX || !h1_byte_is(c, H1_BYTE_TEXT))
        return FAILED;
    if (!blank || c == ';')
        return EXTENSION;
    return c == ' ' || c == '\t' ? SIZE_BLANK : FAILED;
}

static enum state
step_size_lf(struct h1_chunk_decoder *decoder, char c)
{
    decoder->digits = 0;
    return expect(c, '\n', decoder->left ? DATA : TRAILER_START);
}

/* Within a trailer line; `byte_class` is what may stand here, `stop` what ends this part. */
static enum state
step_trailer(struct h1_chunk_decoder *decoder, char c, char stop, unsigned byte_class)
{
    enum state state = decoder->state;
    if (++decoder->trailer_len > H1_CHUNK_TRAILER_MAX)
        return FAILED;
    if (c == stop)
        return state + 1;
    return h1_byte_is(c, byte_class) ? state : FAILED;
}

static enum state
step_trailer_start(struct h1_chunk_decoder *decoder, char c)
{
    if (c == '\r')
        return LAST_LF;
    if (++decoder->trailer_len > H1_CHUNK_TRAILER_MAX || !h1_byte_is(c, H1_BYTE_TOKEN))
        return FAILED;
    return TRAILER_NAME;
}

static enum state
step_trailer_lf(struct h1_chunk_decoder *decoder, char c)
{
    if (++decoder->trailer_len > H1_CHUNK_TRAILER_MAX)
        return FAILED;
    return expect(c, '\n', TRAILER_START);
}

static enum state
step(struct h1_chunk_decoder *decoder, char c)
{
    switch ((enum state)decoder->state) {
    case SIZE:
        return step_size(decoder, c);
    case SIZE_BLANK:
    case EXTENSION:
        return step_extension(decoder, c);
    case SIZE_LF:
        return step_size_lf(decoder, c);
    case DATA_CR:
        return expect(c, '\r', DATA_LF);
    case DATA_LF:
        return expect(c, '\n', SIZE);
    case TRAILER_START:
        return step_trailer_start(decoder, c);
    case TRAILER_NAME:
        return step_trailer(decoder, c, ':', H1_BYTE_TOKEN);
    case TRAILER_VALUE:
        return step_trailer(decoder, c, '\r', H1_BYTE_TEXT);
    case TRAILER_LF:
        return step_trailer_lf(decoder, c);
    case LAST_LF:
        return expect(c, '\n', FINISHED);
    case DATA:
    case FINISHED:
    case FAILED:
        break;
    }
    return FAILED;
}

/* Hands out what is there of the chunk, at least one byte. */
static struct str
take_data(struct h1_chunk_decoder *decoder, const char *input, size_t len)
{
    struct str data = str_make(input, len < decoder->left ? len : (size_t)decoder->left);
    decoder->left -= data.len;
    if (decoder->left == 0)
        decoder->state = DATA_CR;
    return data;
}

enum h1_chunk_result
h1_chunk_decode(struct h1_chunk_decoder *decoder, const char *input, size_t len, size_t *consumed,
                struct str *data)
{
    size_t at = 0;
    *data = (struct str){0};
    while (at < len && decoder->state < FINISHED) {
        if (decoder->state == DATA) {
            *data = take_data(decoder, input + at, len - at);
            *consumed = at + data->len;
            return H1_CHUNK_DATA;
        }
        decoder->state = (uint8_t)step(decoder, input[at]);
        at += decoder->state != FAILED;
    }
    *consumed = at;
    if (decoder->state == FINISHED)
        return H1_CHUNK_DONE;
    return decoder->state == FAILED ? H1_CHUNK_ERROR : H1_CHUNK_MORE;
}

size_t
h1_chunk_encode_head(char out[static H1_CHUNK_HEAD_MAX], uint64_t len)
{
    must(len > 0); /* a chunk of length 0 ends the body */
    unsigned digits = (67u - (unsigned)__builtin_clzll(len)) / 4;
    for (unsigned i = digits; i-- > 0; len >>= 4)
        out[i] = "0123456789ABCDEF"[len & 15];
    memcpy(out + digits, "\r\n", 2);
    return digits + 2;
}
