/* Fuzzes the client's side of TLS. Input: three bytes that choose client, output, pieces and what
 * the rest is: wire bytes of a server; a script for a real server in the same process (what it
 * says, what the stream says, which bytes are changed on the way, connecting again); or a
 * certificate, which is signed anew and then shown by that server.
 *
 * Checked: nothing is read behind what was fed, nothing is written behind the output, states never
 * go back, the error queue stays empty, a failure has a reason in one printable line; between a
 * server and a stream that were not disturbed every byte arrives; and a connection is open only
 * when the certificate is the one that was made for it, or when nobody asked.
 */
#include "base/must.h"
#include "tls/client_internal.h"

#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_LEN = 3, INPUT_MAX = 8192, TEXT_LEN = 40000, STEPS_MAX = 60, AGAIN_MAX = 3 };
enum { IS_INSECURE = 1, IS_SCRIPT = 2, IS_CERT = 4, IS_TLS12 = 8, HOST_SHIFT = 4 };

static const char *const hosts[] = {"a.test", "x.w.test", "127.0.0.1", "b.test"};
static struct tls_client *clients[2];
static EVP_PKEY *ca_key, *leaf_key;
static X509 *ca, *leaf; /* the leaf is for the first three of hosts */
static char text[TEXT_LEN];

/* --- start --- */

static EVP_PKEY *
make_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    must(ec && key && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static void
extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);
    must(extension && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static X509 *
make_cert(const char *subject, EVP_PKEY *key, int nid, const char *value)
{
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), key == ca_key ? 1 : 2);
    ASN1_TIME_set(X509_getm_notBefore(cert), time(NULL) - 3600);
    ASN1_TIME_set(X509_getm_notAfter(cert), time(NULL) + 365 * 24 * 3600);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_ASC,
                               (const uint8_t *)subject, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(ca ? ca : cert));
    X509_set_pubkey(cert, key);
    extend(cert, nid, value);
    must(X509_sign(cert, ca_key, EVP_sha256()) > 0);
    return cert;
}

static void
start(void)
{
    static const char *const protocols[] = {"http/1.1"};
    char path[] = "/tmp/tarn-fuzz-ca-XXXXXX";
    struct error error;
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    ca_key = make_key();
    leaf_key = make_key();
    ca = make_cert("CA", ca_key, NID_basic_constraints, "critical,CA:TRUE");
    leaf =
        make_cert("leaf", leaf_key, NID_subject_alt_name, "DNS:a.test,DNS:*.w.test,IP:127.0.0.1");
    must(file && PEM_write_X509(file, ca) && fclose(file) == 0);
    for (unsigned i = 0; i < 2; i++) {
        const struct tls_client_config config = {.ca_file = path,
                                                 .ca_option = "--proxy-ca",
                                                 .insecure = i == 1,
                                                 .protocols = protocols,
                                                 .protocol_count = 1};
        must(tls_client_new(&clients[i], &config, &error) == 0);
    }
    unlink(path);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 251);
}

/* --- a conversation; the server is there in scripts and with certificates --- */

struct talk {
    struct tls_stream *stream;
    struct tls_output *output;
    unsigned seed, control, again_count;
    bool is_open, has_failed, was_disturbed;
    size_t heard_len, said_len; /* by the stream */
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    size_t server_said_len, server_heard_len;
    uint8_t patch; /* xor of one of the next wire bytes; 0: none */
};

static const char *
host_of(const struct talk *talk)
{
    return hosts[talk->control >> HOST_SHIFT & 3];
}

static unsigned
draw(struct talk *talk)
{
    talk->seed = talk->seed * 1103515245 + 12345;
    return talk->seed >> 16;
}

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
check_failure(const struct talk *talk)
{
    enum tls_client_failure failure = tls_stream_client_failure(talk->stream);
    const char *why = tls_stream_failure_text(talk->stream);
    must(talk->has_failed == (failure != TLS_CLIENT_FAILURE_NONE));
    must(talk->has_failed == (why[0] != '\0'));
    for (; *why; why++)
        must(*why >= ' ' && *why <= '~');
}

/* Both sides say the same text, over and over. */
static void
check_text(size_t at, const char *plain, size_t len)
{
    while (len) {
        size_t start = at % TEXT_LEN, part = len < TEXT_LEN - start ? len : TEXT_LEN - start;
        must(memcmp(plain, text + start, part) == 0);
        plain += part;
        at += part;
        len -= part;
    }
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
            /* Also after a disturbance: what is read was said. */
            check_text(talk->heard_len, plain, len);
            talk->heard_len += len;
        } else if (result != TLS_WANTS_ROOM || !drain(talk)) {
            talk->has_failed = result == TLS_FAILED;
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
    if (talk->is_open) {
        must(talk->ssl); /* nobody opens a connection with bytes alone */
        must((talk->control & (IS_INSECURE | IS_CERT)) || host_of(talk) != hosts[3]);
        read_all(talk);
    }
    check_failure(talk);
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

/* --- the server --- */

static void
server_open(struct talk *talk, X509 *cert)
{
    if (!talk->ctx) {
        talk->ctx = SSL_CTX_new(TLS_method());
        must(SSL_CTX_use_certificate(talk->ctx, cert) &&
             SSL_CTX_use_PrivateKey(talk->ctx, leaf_key));
    }
    talk->ssl = SSL_new(talk->ctx);
    talk->in = BIO_new(BIO_s_mem());
    talk->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(talk->in, -1);
    SSL_set_bio(talk->ssl, talk->in, talk->out);
    SSL_set_accept_state(talk->ssl);
    if (talk->control & IS_TLS12)
        SSL_set_max_proto_version(talk->ssl, TLS1_2_VERSION);
}

static void
server_run(struct talk *talk)
{
    char plain[4096];
    int len;
    ERR_clear_error();
    if (SSL_in_init(talk->ssl) && SSL_do_handshake(talk->ssl) != 1) {
        ERR_clear_error();
        return;
    }
    while ((len = SSL_read(talk->ssl, plain, sizeof plain)) > 0) {
        check_text(talk->server_heard_len, plain, (size_t)len);
        talk->server_heard_len += (size_t)len;
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
        run_stream(talk);
        moved = drain(talk);
        server_run(talk);
        BIO_mem_contents(talk->out, &wire, &len);
        moved |= len > 0;
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
    }
}

static void
server_say(struct talk *talk, size_t len)
{
    size_t at = talk->server_said_len % TEXT_LEN;
    len = len < TEXT_LEN - at ? len : TEXT_LEN - at;
    int said = SSL_in_init(talk->ssl) ? -1 : SSL_write(talk->ssl, text + at, (int)len);
    talk->server_said_len += said > 0 ? (size_t)said : 0;
}

static void
stream_say(struct talk *talk, size_t len, size_t record_max)
{
    size_t at = talk->said_len % TEXT_LEN;
    len = len < TEXT_LEN - at ? len : TEXT_LEN - at;
    const struct iovec iov[] = {{text + at, len / 3}, {text + at + len / 3, len - len / 3}};
    if (!talk->is_open || talk->has_failed)
        return;
    ssize_t said = tls_stream_seal(talk->stream, iov, 2, record_max);
    must(ERR_peek_error() == 0 && said <= (ssize_t)len);
    must(said >= 0 || talk->was_disturbed);
    talk->said_len += said > 0 ? (size_t)said : 0;
}

static void
stream_open(struct talk *talk)
{
    talk->stream = tls_stream_new_client(clients[talk->control & IS_INSECURE],
                                         str_from_cstr(host_of(talk)), 443);
    must(talk->stream);
    tls_stream_set_output(talk->stream, talk->output);
    talk->is_open = talk->has_failed = talk->was_disturbed = false;
    talk->heard_len = talk->said_len = talk->server_said_len = talk->server_heard_len = 0;
    talk->patch = 0;
}

static void
stream_close(struct talk *talk)
{
    tls_stream_end(talk->stream);
    must(talk->output->len <= talk->output->cap && ERR_peek_error() == 0);
    tls_stream_free(talk->stream);
    SSL_free(talk->ssl);
    talk->ssl = NULL;
    talk->output->len = 0;
}

static void
step(struct talk *talk, uint8_t op, uint8_t value, size_t piece_max)
{
    switch (op % 9) {
    case 0:
        server_say(talk, value * 150u);
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
        talk->was_disturbed = true;
        if (value % 2)
            SSL_shutdown(talk->ssl);
        else
            SSL_send_fatal_alert(talk->ssl, value);
        break;
    case 7:
        drain(talk);
        break;
    case 8: /* once more, perhaps in another version */
        if (talk->again_count++ == AGAIN_MAX)
            break;
        stream_close(talk);
        talk->control ^= value & IS_TLS12;
        stream_open(talk);
        server_open(talk, leaf);
        settle(talk, piece_max);
        break;
    }
    ERR_clear_error();
}

static void
run_script(struct talk *talk, struct str ops, size_t piece_max)
{
    server_open(talk, leaf);
    settle(talk, piece_max);
    for (size_t i = 0; i + 1 < ops.len && i < 2 * STEPS_MAX; i += 2)
        step(talk, (uint8_t)ops.ptr[i], (uint8_t)ops.ptr[i + 1], piece_max);
    talk->patch = 0;
    tls_stream_set_output(talk->stream, talk->output);
    drain(talk);
    settle(talk, piece_max);
    if (talk->is_open && !talk->was_disturbed && !talk->has_failed)
        must(talk->heard_len == talk->server_said_len && talk->server_heard_len == talk->said_len);
}

/* A certificate with whatever is in it, but our key and signature. */
static void
run_cert(struct talk *talk, struct str der, size_t piece_max)
{
    const uint8_t *in = (const uint8_t *)der.ptr;
    X509 *cert = d2i_X509(NULL, &in, (long)der.len);
    bool signed_anew = cert && X509_set_pubkey(cert, leaf_key) &&
                       X509_set_issuer_name(cert, X509_get_subject_name(ca)) &&
                       X509_sign(cert, ca_key, EVP_sha256()) > 0;
    uint8_t *copy = NULL;
    int len = signed_anew ? i2d_X509(cert, &copy) : -1;
    X509_free(cert);
    in = copy;
    cert = len > 0 ? d2i_X509(NULL, &in, len) : NULL; /* what was cached of the old one is gone */
    OPENSSL_free(copy);
    talk->ctx = SSL_CTX_new(TLS_method());
    if (cert && SSL_CTX_use_certificate(talk->ctx, cert) &&
        SSL_CTX_use_PrivateKey(talk->ctx, leaf_key)) {
        server_open(talk, cert);
        settle(talk, piece_max);
        if (talk->is_open && !(talk->control & IS_INSECURE)) {
            const char *host = host_of(talk);
            must(host == hosts[2] ? X509_check_ip_asc(cert, host, 0) == 1
                                  : X509_check_host(cert, host, strlen(host), 0, NULL) == 1);
        }
    }
    X509_free(cert);
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!leaf)
        start();
    if (size < CONTROL_LEN || size > INPUT_MAX)
        return 0;
    uint32_t cap = data[1] % 4 == 0 ? 1 + data[1] * 4u : 20000 + data[1] * 100u;
    size_t piece_max = data[2] % 4 ? 1 + data[2] * 9u : 1;
    struct talk talk = {.seed = 1 + data[1] + data[2] * 256u, .control = data[0]};
    struct str rest = str_make((const char *)data + CONTROL_LEN, size - CONTROL_LEN);
    talk.output = malloc(sizeof *talk.output + cap);
    *talk.output = (struct tls_output){.cap = cap};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 4; k++)
            tls_sessions_forget(clients[i]->sessions, str_from_cstr(hosts[k]), 443);
    stream_open(&talk);
    if (data[0] & IS_SCRIPT) {
        run_script(&talk, rest, piece_max);
    } else if (data[0] & IS_CERT) {
        run_cert(&talk, rest, piece_max);
    } else {
        run_stream(&talk);
        feed(&talk, rest, piece_max);
    }
    stream_close(&talk);
    SSL_CTX_free(talk.ctx);
    free(talk.output);
    return 0;
}
