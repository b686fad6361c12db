/* stream_internal: a stream as its parts see it. Only for stream*.c, client*.c and hello.c. */
#ifndef TARN_TLS_STREAM_INTERNAL_H
#define TARN_TLS_STREAM_INTERNAL_H

#include "base/buf.h"
#include "tls/context_internal.h"
#include "tls/stream.h"

#include <openssl/base.h>

enum tls_stream_state {
    STREAM_HANDSHAKE,
    STREAM_TICKETS, /* the handshake is done; its tickets are on their way into the output */
    STREAM_OPEN,
    STREAM_FAILED,
};

struct tls_stream {
    SSL *ssl;
    struct tls_context *context;    /* a server's */
    struct tls_client_side *client; /* a client's; one of the two is NULL */
    struct tls_output *output;      /* borrowed; NULL: none */
    const char *in;                 /* fed and not used up: the owner's, or in `held` */
    size_t in_len;
    struct buf held;             /* see tls_stream_hold_input */
    struct buf fed;              /* while keeps_fed: everything, for a relay */
    const struct tls_cert *cert; /* the context's */
    char *hello;                 /* body of the ClientHello that counted; NULL: not kept */
    char *sni, *outer_sni;       /* NULL: none */
    const char *failure_text;
    uint32_t hello_len;
    uint32_t unsent_len; /* while has_unsent: plain bytes of the record */
    uint8_t state;
    uint8_t failure; /* enum tls_failure */
    bool is_held;    /* `in` is in `held` */
    bool keeps_fed;
    bool wants_relay;
    bool name_is_covered; /* the certificate is for `sni` */
    bool saw_hello;
    uint8_t record_type; /* of the handshake's last record */
    char covered[39];    /* the host that was covered last, when it is no longer than this */
    uint8_t covered_len;
    bool name_is_refused;
    bool read_wants_room; /* the last read stopped for want of room */
    bool has_ended;       /* the peer said so */
    bool has_unsent;      /* the library holds the end of a sealed record; see tls_stream_seal */
    char ja4[JA4_TEXT_LEN + 1];
};

/* A stream without a side yet; its SSL has the stream as app data. NULL: no memory. */
struct tls_stream *tls_stream_make(SSL_CTX *ctx);

/* Marks the stream as failed, and classifies what the library's error queue holds; empties it. */
void tls_stream_fail(struct tls_stream *stream);

#endif
