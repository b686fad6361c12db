/* client_test_run: for the tests of the client: authorities and chains, and a client's stream that
 * talks to a server's over memory. */
#ifndef TARN_TLS_CLIENT_TEST_RUN_H
#define TARN_TLS_CLIENT_TEST_RUN_H

#include "tls/client_internal.h"
#include "tls/tls_test_run.h"

/* --- authorities --- */

enum { ROOT_KEY = 1, MIDDLE_KEY = 2, STRANGER_KEY = 3, LEAF_KEY = 4 };

/* The root, as the client's bundle. */
static inline X509 *
make_root(void)
{
    const struct cert_spec spec = {.subject = "Root", .is_ca = true, .key = test_key(ROOT_KEY)};
    return make_cert(&spec);
}

/* Writes a file with these certificates, and a key if there is one. */
static inline void
write_chain(const struct fixture *fixture, const char *name, X509 *const *certs, unsigned count,
            EVP_PKEY *key)
{
    struct buf pem;
    buf_init(&pem, 1 << 20);
    for (unsigned i = 0; i < count; i++)
        append_cert(&pem, certs[i]);
    if (key)
        append_key(&pem, key, NULL);
    write_file(fixture, name, buf_str(&pem));
    buf_deinit(&pem);
}

/* Loads a file with chain and key as the server's only certificate, for whatever name. */
static inline void
serve_file(struct fixture *fixture, const char *name)
{
    static char path[256];
    static const char *const paths[] = {path};
    snprintf(path, sizeof path, "%s", in_dir(fixture, name));
    fixture->config.cert_files = fixture->config.key_files = paths;
    fixture->config.pair_count = 1;
    fixture->config.allow_tls12 = true;
    load(fixture);
    fixture->context->default_for_all = true;
}

/* root.pem: whom clients trust. server.pem: a leaf by the root, with these fields, loaded. */
static inline void
serve_leaf(struct fixture *fixture, const struct cert_spec *fields)
{
    X509 *root = make_root();
    struct cert_spec spec = *fields;
    spec.issuer = spec.issuer ? spec.issuer : root;
    spec.issuer_key = spec.issuer_key ? spec.issuer_key : test_key(ROOT_KEY);
    spec.key = spec.key ? spec.key : test_key(LEAF_KEY);
    X509 *leaf = make_cert(&spec);
    write_chain(fixture, "root.pem", &root, 1, NULL);
    write_chain(fixture, "server.pem", &leaf, 1, spec.key);
    X509_free(leaf);
    X509_free(root);
    serve_file(fixture, "server.pem");
}

static inline void
serve_name(struct fixture *fixture, const char *san)
{
    const struct cert_spec spec = {.san = san, .subject = "leaf"};
    serve_leaf(fixture, &spec);
}

/* --- clients --- */

static const char *const http1[] = {"http/1.1"};

/* A client that trusts the file; the caller's. */
static inline struct tls_client *
client_with(struct fixture *fixture, const char *ca_name)
{
    struct tls_client *client = NULL;
    const struct tls_client_config config = {
        .ca_file = in_dir(fixture, ca_name),
        .ca_option = "--proxy-ca",
        .protocols = http1,
        .protocol_count = 1,
    };
    if (tls_client_new(&client, &config, &fixture->error) < 0)
        fail_msg("%s", fixture->error.text);
    assert_int_equal(ERR_peek_error(), 0);
    assert_null(tls_client_problem(client));
    return client;
}

static inline struct tls_client *
insecure_client(struct fixture *fixture)
{
    struct tls_client *client = NULL;
    const struct tls_client_config config = {.ca_option = "--proxy-ca", .insecure = true};
    assert_int_equal(tls_client_new(&client, &config, &fixture->error), 0);
    return client;
}

/* --- a connection --- */

struct end {
    struct tls_stream *stream;
    struct tls_output *output;
    struct buf plain; /* what it read */
    enum tls_result handshake, read;
};

struct pair {
    struct end client, server;
    size_t step; /* bytes fed at a time */
};

static inline void
end_init(struct end *end, struct tls_stream *stream, uint32_t cap)
{
    *end = (struct end){.stream = stream};
    assert_non_null(stream);
    buf_init(&end->plain, WIRE_MAX);
    end->output = malloc(sizeof *end->output + cap);
    *end->output = (struct tls_output){.cap = cap};
    tls_stream_set_output(stream, end->output);
}

static inline void
end_deinit(struct end *end)
{
    tls_stream_free(end->stream);
    free(end->output);
    buf_deinit(&end->plain);
}

static inline void
pair_open_port(struct pair *pair, struct tls_context *context, struct tls_client *client,
               const char *host, uint16_t port, uint32_t cap)
{
    pair->step = WIRE_MAX;
    end_init(&pair->server, tls_stream_new(context), cap);
    end_init(&pair->client, tls_stream_new_client(client, str_from_cstr(host), port), cap);
}

static inline void
pair_open(struct pair *pair, struct tls_context *context, struct tls_client *client,
          const char *host, uint32_t cap)
{
    pair_open_port(pair, context, client, host, 443, cap);
}

static inline void
pair_close(struct pair *pair)
{
    end_deinit(&pair->client);
    end_deinit(&pair->server);
    assert_int_equal(ERR_peek_error(), 0);
}

/* What there is to do with what was fed. */
static inline void
end_run(struct end *end)
{
    char plain[TLS_RECORD_MAX];
    size_t len;
    end->handshake = tls_stream_handshake(end->stream);
    assert_int_equal(ERR_peek_error(), 0);
    if (end->handshake != TLS_DONE)
        return;
    while ((end->read = tls_stream_read(end->stream, plain, sizeof plain, &len)) == TLS_DONE)
        buf_append(&end->plain, str_make(plain, len));
    assert_int_equal(ERR_peek_error(), 0);
}

/* Carries the output of one end to the other. False: there was none. */
static inline bool
carry(struct pair *pair, struct end *from, struct end *to)
{
    struct tls_output *output = from->output;
    size_t len = output->len;
    char *wire = malloc(len + 1);
    memcpy(wire, output->data, len);
    output->len = 0;
    for (size_t at = 0; at < len; at += pair->step) {
        size_t part = len - at < pair->step ? len - at : pair->step;
        char *lent = malloc(part); /* so that a read past its end is seen */
        memcpy(lent, wire + at, part);
        tls_stream_feed(to->stream, lent, part);
        end_run(to);
        assert_true(tls_stream_hold_input(to->stream));
        free(lent);
    }
    free(wire);
    end_run(from); /* there is room again */
    return len > 0;
}

/* Until nothing moves. */
static inline void
pair_run(struct pair *pair)
{
    bool moved = true;
    end_run(&pair->client);
    while (moved) {
        moved = carry(pair, &pair->client, &pair->server);
        moved |= carry(pair, &pair->server, &pair->client);
    }
}

static inline void
pair_connect(struct pair *pair)
{
    pair_run(pair);
    if (pair->client.handshake != TLS_DONE)
        fail_msg("client: %d %s; server: %s", pair->client.handshake,
                 tls_stream_failure_text(pair->client.stream),
                 tls_stream_failure_text(pair->server.stream));
    assert_int_equal(pair->server.handshake, TLS_DONE);
    assert_int_equal(tls_stream_client_failure(pair->client.stream), TLS_CLIENT_FAILURE_NONE);
    assert_string_equal(tls_stream_failure_text(pair->client.stream), "");
}

static inline void
end_say(struct end *end, const char *text)
{
    const struct iovec iov = {(char *)text, strlen(text)};
    assert_int_equal(tls_stream_seal(end->stream, &iov, 1, TLS_RECORD_MAX), iov.iov_len);
}

/* Says something in each direction. */
static inline void
pair_talk(struct pair *pair)
{
    end_say(&pair->client, "ping");
    pair_run(pair);
    assert_true(str_ends_with(buf_str(&pair->server.plain), STR("ping")));
    end_say(&pair->server, "pong");
    pair_run(pair);
    assert_true(str_ends_with(buf_str(&pair->client.plain), STR("pong")));
}

/* The stream must have failed like this. `text` may be a part of the reason. */
static inline void
client_failed(struct tls_stream *stream, enum tls_client_failure failure, const char *text)
{
    const char *said = tls_stream_failure_text(stream);
    assert_string_equal(tls_client_failure_name(tls_stream_client_failure(stream)),
                        tls_client_failure_name(failure));
    if (!strstr(said, text))
        fail_msg("'%s' is not in '%s'", text, said);
    for (const char *c = said; *c; c++)
        assert_true(*c >= ' ' && *c <= '~');
    assert_int_equal(tls_stream_failure(stream), TLS_FAILURE_OTHER);
    assert_int_equal(tls_stream_handshake(stream), TLS_FAILED);
}

static inline void
pair_refused(struct pair *pair, enum tls_client_failure failure, const char *text)
{
    pair_run(pair);
    assert_int_equal(pair->client.handshake, TLS_FAILED);
    client_failed(pair->client.stream, failure, text);
}

#endif
