/* stream: one side of one TLS connection, between bytes of the wire and plain bytes. The server's
 * side is made here, the client's in client.h.
 *
 * The owner feeds what the socket gave and takes what the socket shall send; the library never
 * touches a socket.
 *
 *     wire in -> tls_stream_feed -> tls_stream_handshake, tls_stream_read -> plain
 *     plain   -> tls_stream_seal -> the owner's tls_output -> wire out
 *
 * Output goes into a buffer that the owner lends with tls_stream_set_output, also what a handshake
 * or a read makes (alerts, tickets, key updates). The buffer does not move, so the kernel may be
 * sending from its front while more is put behind. Without a buffer, or with a full one, calls
 * answer TLS_WANTS_ROOM and are repeated later.
 *
 * Idle streams hold no record buffers. Thread rule: one owner.
 */
#ifndef TARN_TLS_STREAM_H
#define TARN_TLS_STREAM_H

#include "tls/context.h"

#include <sys/types.h>

/* A buffer for wire bytes: [off, len) is to be sent. The owner allocates it with `cap` bytes behind
 * it. */
struct tls_output {
    struct tls_output *next; /* the owner's */
    uint32_t cap, off, len;
    char data[];
};

enum {
    TLS_RECORD_MAX = 16384,   /* plain bytes of one record */
    TLS_RECORD_OVERHEAD = 64, /* at most, of one record on the wire */
};

enum tls_result {
    TLS_DONE,
    TLS_WANTS_INPUT, /* everything that was fed is used up */
    TLS_WANTS_ROOM,  /* see above */
    /* The peer said that no more comes (close_notify); each further read says so again. That the
     * socket has ended is for the owner to see: without this result before it, what was read may
     * have been cut. */
    TLS_ENDED,
    TLS_FAILED, /* an alert may be in the output; tls_stream_failure says why */
};

/* Why a server's handshake failed: enum name, name in metrics. For a client's see client.h. */
#define TLS_FAILURE_TABLE(X)                                                                \
    X(NONE, "none")                                                                         \
    X(VERSION, "version")                /* nothing in common */                            \
    X(CIPHER, "cipher")                  /* no shared cipher suite, group or signature */   \
    X(NAME, "unrecognized_name")         /* no certificate for the name asked for */        \
    X(ALPN, "no_application_protocol")   /* the client speaks neither h2 nor http/1.1 */    \
    X(CLIENT_CERT, "client_certificate") /* missing, or not accepted */                     \
    X(PEER_ALERT, "peer_alert")          /* the client refused: an unknown CA, and so on */ \
    X(MALFORMED, "malformed")            /* not a handshake, or not a correct one */        \
    X(PLAIN_HTTP, "plain_http")                                                             \
    X(TIMEOUT, "timeout") /* counted by the owner, like the next two */                     \
    X(EVICTED, "evicted")                                                                   \
    X(CLOSED, "closed")                                                                     \
    X(OTHER, "other")

enum tls_failure {
#define X(name, text) TLS_FAILURE_##name,
    TLS_FAILURE_TABLE(X)
#undef X
        TLS_FAILURE_COUNT
};

const char *tls_failure_name(enum tls_failure failure);

struct tls_stream;

/* A server's stream, which waits for a ClientHello; takes a reference to the context. NULL: no
 * memory. */
struct tls_stream *tls_stream_new(struct tls_context *context);
void tls_stream_free(struct tls_stream *stream);

/* Wire bytes, borrowed until a call answers TLS_WANTS_INPUT, or tls_stream_hold_input is called.
 * Not before the last ones are used up or held. A stream that has failed uses none, but may keep
 * them: tls_stream_fed. */
void tls_stream_feed(struct tls_stream *stream, const char *data, size_t len);
/* Copies what is not used up, so that its lender may have the bytes back; what is fed after that is
 * put behind it. False: no memory, or more than 256 KiB would wait. */
bool tls_stream_hold_input(struct tls_stream *stream) MUST_USE;
/* Whether fed bytes wait to be used. */
bool tls_stream_has_input(const struct tls_stream *stream);
/* NULL takes it away. */
void tls_stream_set_output(struct tls_stream *stream, struct tls_output *output);

/* Goes on with the handshake. DONE: reading and sealing may begin. */
enum tls_result tls_stream_handshake(struct tls_stream *stream);

/* Plain bytes into `out`; *len is set with TLS_DONE (and is then > 0). out_len at least 1. */
enum tls_result tls_stream_read(struct tls_stream *stream, char *out, size_t out_len, size_t *len);

/* Seals as much of the gathered bytes as there is room for, in records of at most `record_max`
 * plain bytes; adjacent pieces share records. Returns how many plain bytes went in: less than
 * offered when the buffer is full (then room for less than one whole record is left); -1: the
 * stream has failed. */
struct iovec;
ssize_t tls_stream_seal(struct tls_stream *stream, const struct iovec *iov, unsigned iov_count,
                        size_t record_max);

/* Says that we send no more (close_notify), if there is room for it. */
void tls_stream_end(struct tls_stream *stream);

/* Of a server's stream; a client's says OTHER. */
enum tls_failure tls_stream_failure(const struct tls_stream *stream);
/* What a server's library says, or the reason in words of a client's; for a log line, never NULL.
 */
const char *tls_stream_failure_text(const struct tls_stream *stream);

/* --- after the handshake --- */

/* "h2", "http/1.1" or nothing. */
struct str tls_stream_alpn(const struct tls_stream *stream);
/* The server name the client asked for, in lower case: the inner one under ECH. Empty: none. */
struct str tls_stream_sni(const struct tls_stream *stream);
/* The one in the clear; the same without ECH. */
struct str tls_stream_outer_sni(const struct tls_stream *stream);
bool tls_stream_ech_accepted(const struct tls_stream *stream);
/* Whether this server has keys for it. */
bool tls_stream_has_ech_keys(const struct tls_stream *stream);
bool tls_stream_resumed(const struct tls_stream *stream);
/* Whether what is being read came as early data: a replay is possible. */
bool tls_stream_is_early(const struct tls_stream *stream);
const char *tls_stream_version(const struct tls_stream *stream); /* "TLSv1.3" */
const char *tls_stream_cipher(const struct tls_stream *stream);
/* Whether the certificate that this connection was given covers the host (without port). */
bool tls_stream_covers(struct tls_stream *stream, struct str host);
/* Subject and SHA-256 fingerprint (lower hex) of the client's verified certificate; empty: none.
 * Into the caller's buffer. */
struct str tls_stream_client_subject(const struct tls_stream *stream, char *out, size_t out_len);
struct str tls_stream_client_fingerprint(const struct tls_stream *stream, char out[65]);
/* Its issuer; and its serial number, as bytes in lower hex. */
struct str tls_stream_client_issuer(const struct tls_stream *stream, char *out, size_t out_len);
struct str tls_stream_client_serial(const struct tls_stream *stream, char *out, size_t out_len);
/* Fingerprint of one certificate of the chain that the client sent, its own being at 0; empty:
 * there is none any more. */
struct str tls_stream_client_chain_fingerprint(const struct tls_stream *stream, unsigned at,
                                               char out[65]);
/* The JA4 fingerprint of the ClientHello that counted, computed when first asked for; empty when it
 * was not kept. */
enum { JA4_TEXT_LEN = 36 };
struct str tls_stream_ja4(struct tls_stream *stream);

/* --- the ECH relay --- */

/* After TLS_FAILED: the ClientHello was for the public name of one of our ECH keys, held nothing
 * that we can decrypt, and no certificate of ours covers the name: whoever serves that name should
 * get the bytes instead. Nothing of the failure is in the output. */
bool tls_stream_wants_relay(const struct tls_stream *stream);
/* Everything that was fed so far, kept while a relay is possible; empty when it was too much. */
struct str tls_stream_fed(const struct tls_stream *stream);

#endif
