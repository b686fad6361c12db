/* tls_test_run: for the tests of TLS: certificates made on the spot, files in a directory of their
 * own, contexts, and a client in the same process that talks to a stream over memory. */
#ifndef TARN_TLS_TLS_TEST_RUN_H
#define TARN_TLS_TLS_TEST_RUN_H

#include "base/buf.h"
#include "tls/context_internal.h"
#include "tls/stream_internal.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY_S = 24 * 3600, WIRE_MAX = 16 << 20, ROOMY = 1 << 17 };

/* --- keys and certificates --- */

/* One of a few keys, the same one each time. */
static inline EVP_PKEY *
test_key(unsigned index)
{
    static EVP_PKEY *keys[16];
    if (!keys[index]) {
        EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
        keys[index] = EVP_PKEY_new();
        assert_int_equal(EC_KEY_generate_key(ec), 1);
        EVP_PKEY_assign_EC_KEY(keys[index], ec);
    }
    return keys[index];
}

static inline EVP_PKEY *
test_rsa_key(int bits)
{
    BIGNUM *e = BN_new();
    RSA *rsa = RSA_new();
    EVP_PKEY *key = EVP_PKEY_new();
    BN_set_word(e, RSA_F4);
    assert_int_equal(RSA_generate_key_ex(rsa, bits, e, NULL), 1);
    EVP_PKEY_assign_RSA(key, rsa);
    BN_free(e);
    return key;
}

struct cert_spec {
    const char *san;      /* "DNS:a.test,IP:127.0.0.1"; NULL: none */
    EVP_PKEY *key;        /* NULL: test_key(0) */
    int from_s, to_s;     /* validity, from now; to_s 0: a year */
    const char *subject;  /* NULL: "test" */
    X509 *issuer;         /* NULL: itself */
    EVP_PKEY *issuer_key; /* NULL: its own */
    bool is_ca;
    int extension; /* NID of one more; 0: none */
    const char *extension_value;
    const EVP_MD *digest; /* NULL: SHA-256 */
};

static inline void
add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

/* The caller's. */
static inline X509 *
make_cert(const struct cert_spec *spec)
{
    static long serial = 1;
    X509 *cert = X509_new();
    EVP_PKEY *key = spec->key ? spec->key : test_key(0);
    const char *subject = spec->subject ? spec->subject : "test";
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    ASN1_TIME_set(X509_getm_notBefore(cert), time(NULL) + (spec->from_s ? spec->from_s : -DAY_S));
    ASN1_TIME_set(X509_getm_notAfter(cert), time(NULL) + (spec->to_s ? spec->to_s : 365 * DAY_S));
    X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName, MBSTRING_UTF8,
                               (const uint8_t *)subject, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(spec->issuer ? spec->issuer : cert));
    X509_set_pubkey(cert, key);
    if (spec->is_ca)
        add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    if (spec->san)
        add_extension(cert, NID_subject_alt_name, spec->san);
    if (spec->extension)
        add_extension(cert, spec->extension, spec->extension_value);
    assert_true(X509_sign(cert, spec->issuer_key ? spec->issuer_key : key,
                          spec->digest ? spec->digest : EVP_sha256()) > 0);
    return cert;
}

static inline void
append_bio(struct buf *out, BIO *bio)
{
    const uint8_t *data;
    size_t len;
    BIO_mem_contents(bio, &data, &len);
    buf_append(out, str_make((const char *)data, len));
    BIO_free(bio);
}

static inline void
append_cert(struct buf *pem, X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, cert);
    append_bio(pem, bio);
}

static inline void
append_key(struct buf *pem, EVP_PKEY *key, char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, password ? EVP_aes_128_cbc() : NULL,
                                                   password, password ? (int)strlen(password) : 0,
                                                   NULL, NULL),
                     1);
    append_bio(pem, bio);
}

/* --- a directory and a context --- */

struct fixture {
    char dir[64];
    struct tls_config config;
    struct tls_context *context;
    char notes[8192];
    unsigned note_count, warning_count;
    struct error error;
};

static inline int
setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->dir, "/tmp/tarn-tls-XXXXXX");
    if (!mkdtemp(fixture->dir) || tls_tickets_new(&fixture->config.tickets, &fixture->error) < 0)
        return -1;
    *state = fixture;
    return 0;
}

static inline int
teardown(void **state)
{
    struct fixture *fixture = *state;
    char command[128];
    tls_context_unref(fixture->context);
    tls_tickets_free(fixture->config.tickets);
    snprintf(command, sizeof command, "rm -rf %s", fixture->dir);
    int result = system(command);
    free(fixture);
    return result;
}

/* The path of a file of the directory; good for the next seven calls. */
static inline const char *
in_dir(const struct fixture *fixture, const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", fixture->dir, name);
    return path;
}

static inline void
write_file(const struct fixture *fixture, const char *name, struct str content)
{
    FILE *file = fopen(in_dir(fixture, name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content.ptr, 1, content.len, file), content.len);
    fclose(file);
}

enum { WITH_CERT = 1, WITH_KEY = 2 };

/* A file with a certificate, its key, or both. */
static inline void
write_pem(const struct fixture *fixture, const char *name, const struct cert_spec *spec, int parts)
{
    struct buf pem;
    buf_init(&pem, 1 << 20);
    X509 *cert = make_cert(spec);
    if (parts & WITH_CERT)
        append_cert(&pem, cert);
    if (parts & WITH_KEY)
        append_key(&pem, spec->key ? spec->key : test_key(0), NULL);
    write_file(fixture, name, buf_str(&pem));
    X509_free(cert);
    buf_deinit(&pem);
}

/* A file with key and certificate for these names. */
static inline void
write_names(const struct fixture *fixture, const char *name, const char *san)
{
    const struct cert_spec spec = {.san = san};
    write_pem(fixture, name, &spec, WITH_CERT | WITH_KEY);
}

static inline void
take_note(void *arg, bool is_warning, const char *line)
{
    struct fixture *fixture = arg;
    size_t len = strlen(fixture->notes);
    assert_null(strchr(line, '\n'));
    snprintf(fixture->notes + len, sizeof fixture->notes - len, "%s\n", line);
    fixture->note_count++;
    fixture->warning_count += is_warning;
}

static inline int
try_load(struct fixture *fixture)
{
    tls_context_unref(fixture->context);
    fixture->context = NULL;
    fixture->notes[0] = '\0';
    fixture->note_count = fixture->warning_count = 0;
    int result =
        tls_context_new(&fixture->context, &fixture->config, take_note, fixture, &fixture->error);
    assert_int_equal(ERR_peek_error(), 0);
    return result;
}

static inline void
load(struct fixture *fixture)
{
    if (try_load(fixture) < 0)
        fail_msg("%s", fixture->error.text);
}

static inline void
load_fails(struct fixture *fixture, const char *text)
{
    assert_int_equal(try_load(fixture), -1);
    if (!strstr(fixture->error.text, text) || strchr(fixture->error.text, '\n'))
        fail_msg("'%s' is not in '%s'", text, fixture->error.text);
}

/* The whole directory is read for certificates. */
static inline void
load_dir(struct fixture *fixture)
{
    fixture->config.cert_dir = fixture->dir;
    load(fixture);
}

/* --- a connection --- */

struct link {
    SSL_CTX *ctx; /* of the client, like the next ones */
    SSL *ssl;
    BIO *in, *out;
    SSL_SESSION *session; /* the last one that a ticket was for */
    int client_error;     /* SSL_ERROR_* of the handshake */
    int client_alert;     /* that it got; -1: none */
    struct buf heard;     /* plain bytes from the stream */
    struct tls_stream *stream;
    struct tls_output *output;
    enum tls_result handshake, read; /* the last results */
    size_t step;                     /* bytes fed at a time */
    struct buf plain;                /* what the stream read */
};

static inline int
take_session(SSL *ssl, SSL_SESSION *session)
{
    struct link *link = SSL_get_app_data(ssl);
    SSL_SESSION_free(link->session);
    link->session = session;
    return 1;
}

static inline void
take_alert(const SSL *ssl, int type, int value)
{
    struct link *link = SSL_get_app_data(ssl);
    if (type == SSL_CB_READ_ALERT)
        link->client_alert = value & 0xff;
}

/* A client without certificate checks, and a stream with an output of `cap` bytes. Settings of the
 * client may still be changed. */
static inline void
link_open(struct link *link, struct tls_context *context, const char *sni, uint32_t cap)
{
    *link = (struct link){.step = WIRE_MAX, .client_alert = -1};
    link->ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_set_session_cache_mode(link->ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(link->ctx, take_session);
    SSL_CTX_set_info_callback(link->ctx, take_alert);
    link->ssl = SSL_new(link->ctx);
    SSL_set_app_data(link->ssl, link);
    SSL_set_connect_state(link->ssl);
    link->in = BIO_new(BIO_s_mem());
    link->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(link->in, -1);
    SSL_set_bio(link->ssl, link->in, link->out);
    if (sni)
        SSL_set_tlsext_host_name(link->ssl, sni);
    buf_init(&link->heard, WIRE_MAX);
    buf_init(&link->plain, WIRE_MAX);
    link->stream = tls_stream_new(context);
    assert_non_null(link->stream);
    link->output = malloc(sizeof *link->output + cap);
    *link->output = (struct tls_output){.cap = cap};
    tls_stream_set_output(link->stream, link->output);
}

static inline void
link_close(struct link *link)
{
    tls_stream_free(link->stream);
    free(link->output);
    SSL_SESSION_free(link->session);
    SSL_free(link->ssl);
    SSL_CTX_free(link->ctx);
    buf_deinit(&link->heard);
    buf_deinit(&link->plain);
    ERR_clear_error();
}

/* The output to the client. True: there was some. */
static inline bool
link_drain(struct link *link)
{
    struct tls_output *output = link->output;
    uint32_t len = output->len - output->off;
    assert_true(output->len <= output->cap);
    if (len)
        BIO_write(link->in, output->data + output->off, (int)len);
    output->off = output->len = 0;
    return len > 0;
}

static inline void
client_run(struct link *link)
{
    char plain[20000];
    int ret;
    ERR_clear_error();
    if (SSL_in_init(link->ssl) && (ret = SSL_do_handshake(link->ssl)) != 1) {
        link->client_error = SSL_get_error(link->ssl, ret);
        ERR_clear_error();
        return;
    }
    link->client_error = SSL_ERROR_NONE;
    while ((ret = SSL_read(link->ssl, plain, sizeof plain)) > 0)
        buf_append(&link->heard, str_make(plain, (size_t)ret));
    link->client_error = SSL_get_error(link->ssl, ret);
    ERR_clear_error();
}

/* What the stream does with what it was fed, the output drained whenever it is full. */
static inline void
stream_run(struct link *link)
{
    char plain[TLS_RECORD_MAX];
    size_t len;
    do {
        link->handshake = tls_stream_handshake(link->stream);
        assert_int_equal(ERR_peek_error(), 0);
    } while (link->handshake == TLS_WANTS_ROOM && link_drain(link));
    if (link->handshake != TLS_DONE)
        return;
    for (;;) {
        link->read = tls_stream_read(link->stream, plain, sizeof plain, &len);
        assert_int_equal(ERR_peek_error(), 0);
        if (link->read == TLS_DONE)
            buf_append(&link->plain, str_make(plain, len));
        else if (link->read != TLS_WANTS_ROOM || !link_drain(link))
            return;
    }
}

/* Carries bytes to and fro until nothing moves. */
static inline void
link_run(struct link *link)
{
    bool moved = true;
    while (moved) {
        const uint8_t *data;
        size_t len;
        client_run(link);
        BIO_mem_contents(link->out, &data, &len);
        moved = len > 0;
        char *copy = malloc(len + 1);
        memcpy(copy, data, len);
        BIO_reset(link->out);
        for (size_t at = 0; at < len; at += link->step) {
            size_t part = len - at < link->step ? len - at : link->step;
            char *lent = malloc(part); /* so that a read past its end is seen */
            memcpy(lent, copy + at, part);
            tls_stream_feed(link->stream, lent, part);
            stream_run(link);
            assert_true(tls_stream_hold_input(link->stream));
            free(lent);
        }
        free(copy);
        moved |= link_drain(link);
    }
}

static inline void
link_connect(struct link *link)
{
    link_run(link);
    if (link->handshake != TLS_DONE)
        fail_msg("handshake: %d %s, alert %d", link->handshake,
                 tls_stream_failure_text(link->stream), link->client_alert);
    assert_false(SSL_in_init(link->ssl));
}

/* The handshake must fail like this on both sides. */
static inline void
link_refused(struct link *link, enum tls_failure failure, int alert)
{
    link_run(link);
    assert_int_equal(link->handshake, TLS_FAILED);
    assert_string_equal(tls_failure_name(tls_stream_failure(link->stream)),
                        tls_failure_name(failure));
    assert_int_equal(link->client_alert, alert);
}

/* Says something in each direction. */
static inline void
link_talk(struct link *link)
{
    const struct iovec iov = {"pong", 4};
    assert_int_equal(SSL_write(link->ssl, "ping", 4), 4);
    link_run(link);
    assert_true(str_ends_with(buf_str(&link->plain), STR("ping")));
    assert_int_equal(tls_stream_seal(link->stream, &iov, 1, TLS_RECORD_MAX), 4);
    link_drain(link);
    link_run(link);
    assert_true(str_ends_with(buf_str(&link->heard), STR("pong")));
}

/* Whether the client got the certificate whose subject this is. */
static inline bool
link_got(struct link *link, const char *subject)
{
    char name[256] = "";
    X509 *cert = SSL_get_peer_certificate(link->ssl);
    assert_non_null(cert);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof name);
    X509_free(cert);
    return strcmp(name, subject) == 0;
}

#endif
