/* Fuzzes the server's side of TLS. Input: three bytes that choose context, output and pieces, then
 * either wire bytes for a fresh stream, or a script for a real client in the same process: what it
 * says, what the stream says, and which bytes are changed on the way.
 *
 * Checked: nothing is read behind what was fed, nothing is written behind the output, states never
 * go back, the error queue stays empty; and between a client and a stream that were not disturbed,
 * every byte arrives.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "base/must.h"
#include "tls/ech_keys.h"
#include "tls/stream.h"
#include "tls/tickets.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CONTROL_LEN = 3, INPUT_MAX = 8192, CONTEXTS = 4, TEXT_LEN = 40000, OUTPUT_MAX = 1 << 20 };

static struct tls_context *contexts[CONTEXTS];
static char text[TEXT_LEN];

static void
make_ech_file(char *path)
{
    struct ech_keys *keys;
    struct buf pem;
    struct error error;
    int fd = mkstemp(path);
    must(fd >= 0 && ech_keys_generate(&keys, STR("public.test"), &error) == 0);
    buf_init(&pem, 2 * ECH_PEM_MAX);
    must(buf_reserve(&pem, ECH_PEM_MAX) != NULL);
    ech_pair_print(ech_keys_at(keys, 0), &pem);
    must(write(fd, pem.ptr, pem.len) == (ssize_t)pem.len);
    close(fd);
    buf_deinit(&pem);
    ech_keys_free(keys);
}

static void
start(void)
{
    char path[] = "/tmp/tarn-fuzz-ech-XXXXXX";
    struct error error;
    struct tls_tickets *tickets;
    make_ech_file(path);
    must(tls_tickets_new(&tickets, &error) == 0);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        const struct tls_config config = {
            .self_signed = true,
            .default_name = i & 1 ? "localhost" : NULL,
            .allow_tls12 = i & 1,
            .early_data = i & 1,
            .ech_keys = i & 2 ? path : NULL,
            .relay = i & 2,
            .tickets = tickets,
        };
        must(tls_context_new(&contexts[i], &config, NULL, NULL, &error) == 0);
    }
    unlink(path);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 251);
}

/* A conversation; the client is only there in scripts. */
struct talk {
    struct tls_stream *stream;
    struct tls_output *output;
    unsigned seed;
    bool is_open, has_failed, was_disturbed, has_ended;
    size_t heard_len; /* by the stream */
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    size_t said_len, client_heard_len, stream_said_len;
    uint8_t patch; /* xor of one of the next wire bytes; 0: none */
};

static unsigned
draw(struct talk *talk)
{
    talk->seed = talk->seed * 1103515245 + 12345;
    return talk->seed >> 16;
}

/* Sends what there is to the client, if there is one. True: there was something. */
static bool
drain(struct talk *talk)
{
    struct tls_output *output = talk->output;
    must(output->off == 0 && output->len <= output->cap);
    uint32_t len = output->len;
    if (talk->ssl && len)
        must(BIO_write(talk->in, output->data, (int)len) == (int)len);
    output->len = 0;
    return len > 0;
}

static void
read_all(struct talk *talk)
{
    char plain[TLS_RECORD_MAX];
    for (;;) {
        size_t len = 0, max = 1 + draw(talk) % sizeof plain;
        enum tls_result result = tls_stream_read(talk->stream, plain, max, &len);
        must(ERR_peek_error() == 0);
        if (result == TLS_DONE) {
            must(len > 0 && len <= max);
            if (!talk->was_disturbed && talk->ssl)
                for (size_t i = 0; i < len; i++)
                    must(plain[i] == text[(talk->heard_len + i) % TEXT_LEN]);
            talk->heard_len += len;
        } else if (result != TLS_WANTS_ROOM || !drain(talk)) {
            talk->has_failed = result == TLS_FAILED;
            talk->has_ended |= result == TLS_ENDED;
            return;
        }
    }
}

static void
run_stream(struct talk *talk)
{
    enum tls_result result;
    do {
        result = tls_stream_handshake(talk->stream);
        must(ERR_peek_error() == 0);
    } while (result == TLS_WANTS_ROOM && drain(talk));
    must(!talk->has_failed || result == TLS_FAILED);
    must(!talk->is_open || result == TLS_DONE || result == TLS_FAILED);
    talk->has_failed = result == TLS_FAILED;
    talk->is_open = result == TLS_DONE;
    if (talk->is_open)
        read_all(talk);
    if (talk->has_failed)
        must(tls_stream_failure(talk->stream) != TLS_FAILURE_NONE &&
             tls_stream_failure_text(talk->stream)[0]);
    if (tls_stream_wants_relay(talk->stream))
        must(talk->has_failed && tls_stream_fed(talk->stream).len > 0);
}

/* In pieces, each in a block of its own that is gone when the call returns. */
static void
feed(struct talk *talk, struct str wire, size_t piece_max)
{
    while (wire.len) {
        struct str piece = str_first(wire, 1 + draw(talk) % piece_max);
        char *lent = malloc(piece.len);
        memcpy(lent, piece.ptr, piece.len);
        tls_stream_feed(talk->stream, lent, piece.len);
        if (draw(talk) % 4 || wire.len == piece.len)
            run_stream(talk);
        bool held = tls_stream_hold_input(talk->stream);
        free(lent);
        if (!held)
            return;
        wire = str_skip(wire, piece.len);
    }
}

static void
ask_all(struct talk *talk)
{
    char out[256], hex[65];
    tls_stream_alpn(talk->stream);
    must(tls_stream_sni(talk->stream).len <= 253);
    must(tls_stream_outer_sni(talk->stream).len <= 253);
    must(tls_stream_version(talk->stream) && tls_stream_cipher(talk->stream));
    must(tls_stream_client_subject(talk->stream, out, sizeof out).len == 0);
    must(tls_stream_client_fingerprint(talk->stream, hex).len == 0);
    size_t len = tls_stream_ja4(talk->stream).len;
    must(len == 0 || len == JA4_TEXT_LEN);
    must(!tls_stream_covers(talk->stream, STR("nobody.test")));
}

/* --- scripts --- */

static void
client_open(struct talk *talk, unsigned choice)
{
    talk->ctx = SSL_CTX_new(TLS_method());
    talk->ssl = SSL_new(talk->ctx);
    talk->in = BIO_new(BIO_s_mem());
    talk->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(talk->in, -1);
    SSL_set_bio(talk->ssl, talk->in, talk->out);
    SSL_set_connect_state(talk->ssl);
    if (choice & 1)
        SSL_set_tlsext_host_name(talk->ssl, choice & 2 ? "public.test" : "localhost");
    SSL_set_enable_ech_grease(talk->ssl, (choice & 4) != 0);
    if (choice & 8)
        SSL_set_max_proto_version(talk->ssl, TLS1_2_VERSION);
}

static void
client_run(struct talk *talk)
{
    char plain[4096];
    int len;
    if (SSL_in_init(talk->ssl) && SSL_do_handshake(talk->ssl) != 1) {
        ERR_clear_error();
        return;
    }
    while ((len = SSL_read(talk->ssl, plain, sizeof plain)) > 0) {
        for (int i = 0; i < len; i++)
            must(plain[i] == text[(talk->client_heard_len + (size_t)i) % TEXT_LEN]);
        talk->client_heard_len += (size_t)len;
    }
    ERR_clear_error();
}

/* Both sides, until nothing moves. */
static void
settle(struct talk *talk, size_t piece_max)
{
    bool moved = true;
    for (unsigned turn = 0; moved && turn < 50; turn++) {
        const uint8_t *wire;
        size_t len;
        client_run(talk);
        BIO_mem_contents(talk->out, &wire, &len);
        moved = len > 0;
        char *copy = malloc(len + 1);
        memcpy(copy, wire, len);
        BIO_reset(talk->out);
        if (talk->patch && len) {
            copy[draw(talk) % len] ^= (char)talk->patch;
            talk->patch = 0;
            talk->was_disturbed = true;
        }
        feed(talk, str_make(copy, len), piece_max);
        free(copy);
        moved |= drain(talk);
    }
}

static void
client_say(struct talk *talk, size_t len)
{
    size_t at = talk->said_len % TEXT_LEN;
    len = len < TEXT_LEN - at ? len : TEXT_LEN - at;
    int said = SSL_in_init(talk->ssl) ? -1 : SSL_write(talk->ssl, text + at, (int)len);
    talk->said_len += said > 0 ? (size_t)said : 0;
    ERR_clear_error();
}

static void
stream_say(struct talk *talk, size_t len, size_t record_max)
{
    size_t at = talk->stream_said_len % TEXT_LEN;
    len = len < TEXT_LEN - at ? len : TEXT_LEN - at;
    const struct iovec iov[] = {
        {text + at, len / 3}, {NULL, 0}, {text + at + len / 3, len - len / 3}};
    if (!talk->is_open || talk->has_failed)
        return;
    ssize_t said = tls_stream_seal(talk->stream, iov, 3, record_max);
    must(ERR_peek_error() == 0 && (said <= (ssize_t)len));
    must(said >= 0 || talk->was_disturbed);
    talk->stream_said_len += said > 0 ? (size_t)said : 0;
}

static void
step(struct talk *talk, uint8_t op, uint8_t value)
{
    switch (op % 8) {
    case 0:
        client_say(talk, value * 150u);
        break;
    case 1:
        stream_say(talk, value * 150u, 1 + op * 70u);
        break;
    case 2:
        settle(talk, 1 + value * 50u);
        break;
    case 3:
        if (!SSL_in_init(talk->ssl))
            SSL_key_update(talk->ssl, value % 2);
        break;
    case 4:
        talk->patch = value;
        break;
    case 5:
        tls_stream_set_output(talk->stream, value % 2 ? talk->output : NULL);
        break;
    case 6:
        if (op & 128)
            SSL_shutdown(talk->ssl);
        break;
    case 7:
        drain(talk);
        break;
    }
    ERR_clear_error();
}

static void
run_script(struct talk *talk, const uint8_t *data, size_t size, size_t piece_max)
{
    settle(talk, piece_max);
    for (size_t i = 0; i + 1 < size && i < 200; i += 2)
        step(talk, data[i], data[i + 1]);
    talk->patch = 0;
    tls_stream_set_output(talk->stream, talk->output);
    drain(talk);
    settle(talk, piece_max);
    if (talk->is_open && !talk->was_disturbed && !talk->has_failed)
        must(talk->heard_len == talk->said_len && talk->client_heard_len == talk->stream_said_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!contexts[0])
        start();
    if (size < CONTROL_LEN || size > INPUT_MAX)
        return 0;
    uint32_t cap = data[1] % 4 == 0 ? 1 + data[1] * 4u : 20000 + data[1] * 100u;
    size_t piece_max = data[2] % 4 ? 1 + data[2] * 9u : 1;
    struct talk talk = {.seed = 1 + data[1] + data[2] * 256u};
    talk.stream = tls_stream_new(contexts[data[0] % CONTEXTS]);
    talk.output = malloc(sizeof *talk.output + cap);
    *talk.output = (struct tls_output){.cap = cap};
    tls_stream_set_output(talk.stream, talk.output);
    data += CONTROL_LEN;
    size -= CONTROL_LEN;
    if (data[-CONTROL_LEN] & 4) {
        client_open(&talk, data[-CONTROL_LEN] >> 4);
        run_script(&talk, data, size, piece_max);
    } else {
        feed(&talk, str_make((const char *)data, size), piece_max);
    }
    ask_all(&talk);
    tls_stream_end(talk.stream);
    must(talk.output->len <= cap && ERR_peek_error() == 0);
    tls_stream_free(talk.stream);
    SSL_free(talk.ssl);
    SSL_CTX_free(talk.ctx);
    free(talk.output);
    return 0;
}
