#include "tls/stream_internal.h"

#include "base/limits.h"
#include "base/must.h"
#include "tls/client_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>

/* The library reads and writes through a BIO of ours: reads take from the bytes that were fed,
 * writes append to the output that was lent. "Would block" means there: everything fed is used up,
 * or the output is full.
 *
 * Sealing begins a record only when there is room for all of it, because a record that was begun
 * must be finished by the same call with the same bytes. What else may have to go out with a record
 * is small (the answer to one key update) and has its place in TLS_RECORD_OVERHEAD. Should more
 * have to, the library keeps the end of the sealed record; it counts as taken, and goes out first
 * when there is room again.
 */

/* --- the BIO --- */

static int
wire_read(BIO *bio, char *out, int len)
{
    struct tls_stream *stream = BIO_get_data(bio);
    size_t count = (size_t)len < stream->in_len ? (size_t)len : stream->in_len;
    BIO_clear_retry_flags(bio);
    if (count == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(out, stream->in, count);
    stream->in += count;
    stream->in_len -= count;
    return (int)count;
}

static size_t
room(const struct tls_output *output)
{
    return output ? output->cap - output->len : 0;
}

static int
wire_write(BIO *bio, const char *data, int len)
{
    struct tls_stream *stream = BIO_get_data(bio);
    struct tls_output *output = stream->output;
    size_t count = (size_t)len < room(output) ? (size_t)len : room(output);
    BIO_clear_retry_flags(bio);
    if (count == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(output->data + output->len, data, count);
    output->len += (uint32_t)count;
    return (int)count;
}

static long
wire_control(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *wire_method;
static pthread_once_t wire_once = PTHREAD_ONCE_INIT;

static void
make_wire_method(void)
{
    wire_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tarn");
    if (wire_method) {
        BIO_meth_set_read(wire_method, wire_read);
        BIO_meth_set_write(wire_method, wire_write);
        BIO_meth_set_ctrl(wire_method, wire_control);
    }
}

/* --- life --- */

static bool
set_wire(struct tls_stream *stream)
{
    pthread_once(&wire_once, make_wire_method);
    BIO *bio = wire_method ? BIO_new(wire_method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio); /* takes it */
    return true;
}

struct tls_stream *
tls_stream_make(SSL_CTX *ctx)
{
    struct tls_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    buf_init(&stream->held, TLS_HELD_MAX);
    buf_init(&stream->fed, TLS_FED_MAX);
    stream->ssl = SSL_new(ctx);
    if (!stream->ssl || !set_wire(stream)) {
        ERR_clear_error();
        tls_stream_free(stream);
        return NULL;
    }
    SSL_set_app_data(stream->ssl, stream);
    SSL_set_shed_handshake_config(stream->ssl, 1);
    return stream;
}

struct tls_stream *
tls_stream_new(struct tls_context *context)
{
    struct tls_stream *stream = tls_stream_make(context->ctx);
    if (!stream)
        return NULL;
    stream->context = tls_context_ref(context);
    stream->keeps_fed = context->relay;
    SSL_set_msg_callback_arg(stream->ssl, stream);
    SSL_set_accept_state(stream->ssl);
    return stream;
}

void
tls_stream_free(struct tls_stream *stream)
{
    if (!stream)
        return;
    SSL_free(stream->ssl);
    tls_context_unref(stream->context);
    tls_client_side_free(stream->client);
    buf_deinit(&stream->held);
    buf_deinit(&stream->fed);
    free(stream->hello);
    free(stream->sni);
    free(stream->outer_sni);
    free(stream);
}

/* --- input and output --- */

/* Puts bytes behind those that are held. A stream with a hole in its input has failed. */
static void
hold(struct tls_stream *stream, const char *data, size_t len)
{
    if (stream->is_held)
        buf_consume(&stream->held, stream->held.len - stream->in_len);
    buf_append(&stream->held, str_make(data, len));
    stream->is_held = true;
    stream->in = stream->held.ptr;
    stream->in_len = stream->held.len;
    if (!buf_overflowed(&stream->held))
        return;
    stream->in_len = 0;
    stream->state = STREAM_FAILED;
    stream->failure = TLS_FAILURE_OTHER;
    stream->failure_text = "more input than can wait";
}

/* What a server says first, for the reason when it was no TLS. */
static void
keep_start(struct tls_client_side *side, const char *data, size_t len)
{
    size_t part = sizeof side->start - side->start_len;
    part = part < len ? part : len;
    if (part)
        memcpy(side->start + side->start_len, data, part);
    side->start_len += (uint8_t)part;
}

void
tls_stream_feed(struct tls_stream *stream, const char *data, size_t len)
{
    if (stream->state == STREAM_HANDSHAKE && stream->client)
        keep_start(stream->client, data, len);
    if (stream->keeps_fed) {
        buf_append(&stream->fed, str_make(data, len));
        stream->keeps_fed = !buf_overflowed(&stream->fed);
    }
    if (stream->state == STREAM_FAILED)
        return;
    if (stream->in_len > 0) {
        must(stream->is_held);
        hold(stream, data, len);
        return;
    }
    stream->is_held = false;
    stream->in = data;
    stream->in_len = len;
}

bool
tls_stream_hold_input(struct tls_stream *stream)
{
    if (buf_overflowed(&stream->held))
        return false;
    if (stream->in_len == 0) {
        buf_deinit(&stream->held);
        buf_clear(&stream->held);
        stream->is_held = false;
    } else if (!stream->is_held) {
        const char *data = stream->in;
        buf_clear(&stream->held);
        hold(stream, data, stream->in_len);
    }
    return !buf_overflowed(&stream->held);
}

bool
tls_stream_has_input(const struct tls_stream *stream)
{
    return stream->in_len > 0;
}

void
tls_stream_set_output(struct tls_stream *stream, struct tls_output *output)
{
    stream->output = output;
}

/* --- handshake, reading --- */

/* What a call that returned `ret` stopped at. */
static enum tls_result
stopped(struct tls_stream *stream, int ret)
{
    switch (SSL_get_error(stream->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_INPUT;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANTS_ROOM;
    case SSL_ERROR_ZERO_RETURN:
        if (stream->state != STREAM_OPEN)
            break;
        stream->has_ended = true;
        return TLS_ENDED;
    default:
        break;
    }
    tls_stream_fail(stream);
    return TLS_FAILED;
}

/* Puts the record that was kept into the output, or the tickets of a handshake. */
static enum tls_result
flush_kept(struct tls_stream *stream, size_t len)
{
    /* The pointer is not looked at: the record is sealed already. */
    int ret = SSL_write(stream->ssl, "", (int)len);
    stream->has_unsent = false;
    if (ret >= 0)
        return TLS_DONE;
    enum tls_result result = stopped(stream, ret);
    stream->has_unsent = result == TLS_WANTS_ROOM;
    return result;
}

static enum tls_result
finish_handshake(struct tls_stream *stream)
{
    enum tls_result result = flush_kept(stream, 0);
    if (result == TLS_DONE)
        stream->state = STREAM_OPEN;
    stream->has_unsent = false;
    return result;
}

enum tls_result
tls_stream_handshake(struct tls_stream *stream)
{
    if (stream->state == STREAM_FAILED)
        return TLS_FAILED;
    if (stream->state == STREAM_HANDSHAKE) {
        int ret = SSL_do_handshake(stream->ssl);
        if (ret != 1)
            return stopped(stream, ret);
        SSL_set_msg_callback(stream->ssl, NULL);
        stream->state = STREAM_TICKETS;
    }
    return stream->state == STREAM_TICKETS ? finish_handshake(stream) : TLS_DONE;
}

enum tls_result
tls_stream_read(struct tls_stream *stream, char *out, size_t out_len, size_t *len)
{
    if (stream->state == STREAM_FAILED)
        return TLS_FAILED;
    must(stream->state == STREAM_OPEN && out_len > 0);
    /* A call that finds nothing costs as much as one that reads a record. */
    if (stream->in_len == 0 && !stream->read_wants_room && SSL_pending(stream->ssl) == 0)
        return stream->has_ended ? TLS_ENDED : TLS_WANTS_INPUT;
    int ret = SSL_read(stream->ssl, out, out_len < INT32_MAX ? (int)out_len : INT32_MAX);
    if (ret <= 0) {
        enum tls_result result = stopped(stream, ret);
        stream->read_wants_room = result == TLS_WANTS_ROOM;
        return result;
    }
    stream->read_wants_room = false;
    *len = (size_t)ret;
    return TLS_DONE;
}

/* --- sealing --- */

/* Where in the gathered pieces the next byte is. */
struct cursor {
    const struct iovec *iov;
    size_t off;
};

/* The next `len` bytes in one piece: where they are, or joined in `staging`. */
static const char *
take(struct cursor *cursor, size_t len, char *staging)
{
    while (cursor->off == cursor->iov->iov_len) {
        cursor->iov++;
        cursor->off = 0;
    }
    const char *start = (const char *)cursor->iov->iov_base + cursor->off;
    if (cursor->iov->iov_len - cursor->off >= len) {
        cursor->off += len;
        return start;
    }
    for (size_t done = 0; done < len;) {
        size_t part = cursor->iov->iov_len - cursor->off;
        part = part < len - done ? part : len - done;
        if (part)
            memcpy(staging + done, (const char *)cursor->iov->iov_base + cursor->off, part);
        done += part;
        cursor->off += part;
        if (done < len) {
            cursor->iov++;
            cursor->off = 0;
        }
    }
    return staging;
}

/* How long the next record can be; 0: wait for more room. Only an output that is too small for any
 * whole record gets a shorter one. */
static size_t
record_len(const struct tls_output *output, size_t wanted)
{
    size_t free_len = room(output);
    if (wanted + TLS_RECORD_OVERHEAD <= free_len)
        return wanted;
    bool is_empty = output && output->len == 0;
    return is_empty && free_len > TLS_RECORD_OVERHEAD ? free_len - TLS_RECORD_OVERHEAD : 0;
}

/* False: the stream has failed. */
static bool
seal_record(struct tls_stream *stream, const char *plain, size_t len)
{
    int ret = SSL_write(stream->ssl, plain, (int)len);
    if (__builtin_expect(ret == (int)len, 1))
        return true;
    must(ret <= 0);
    if (stopped(stream, ret) != TLS_WANTS_ROOM) {
        if (stream->state != STREAM_FAILED)
            tls_stream_fail(stream);
        return false;
    }
    stream->has_unsent = true;
    stream->unsent_len = (uint32_t)len;
    return true;
}

ssize_t
tls_stream_seal(struct tls_stream *stream, const struct iovec *iov, unsigned iov_count,
                size_t record_max)
{
    char staging[TLS_RECORD_MAX];
    struct cursor cursor = {iov, 0};
    size_t left = 0, done = 0;
    if (stream->state == STREAM_FAILED)
        return -1;
    must(stream->state == STREAM_OPEN && record_max > 0);
    if (stream->has_unsent && flush_kept(stream, stream->unsent_len) == TLS_FAILED)
        return -1;
    if (record_max > TLS_RECORD_MAX)
        record_max = TLS_RECORD_MAX;
    for (unsigned i = 0; i < iov_count; i++)
        left += iov[i].iov_len;
    while (left && !stream->has_unsent) {
        size_t len = record_len(stream->output, left < record_max ? left : record_max);
        if (len == 0)
            break;
        if (!seal_record(stream, take(&cursor, len, staging), len))
            return -1;
        done += len;
        left -= len;
    }
    return (ssize_t)done;
}

void
tls_stream_end(struct tls_stream *stream)
{
    if (stream->state != STREAM_OPEN || stream->has_unsent ||
        room(stream->output) < TLS_RECORD_OVERHEAD)
        return;
    SSL_shutdown(stream->ssl);
    ERR_clear_error();
}

/* --- the relay --- */

bool
tls_stream_wants_relay(const struct tls_stream *stream)
{
    return stream->wants_relay;
}

struct str
tls_stream_fed(const struct tls_stream *stream)
{
    struct str fed = buf_str(&stream->fed);
    if (buf_overflowed(&stream->fed))
        fed.len = 0;
    return fed;
}
