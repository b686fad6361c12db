/* client: what the client's side of TLS connections shares: whom to trust, what to offer, sessions
 * to resume. A stream for one connection is made of it; from then on stream.h holds.
 *
 * A stream verifies the server's chain up to a certificate that is trusted, with the intermediate
 * certificates that the server sends; the time; that the chain is for a TLS server and nowhere
 * weaker than SHA-256 and RSA 2048; and the name, by subject alternative names alone (RFC 9525).
 * Revocation is not looked at: neither CRL nor OCSP. TLS 1.2 with AEAD suites, and 1.3. No
 * renegotiation, no client certificate, no early data.
 *
 * Sessions are resumed with the same host and port only, those of TLS 1.3 once each (RFC 8446
 * appendix C.4), and none after its certificate has expired. A client that verifies shares none
 * with one that does not, as sessions never leave their tls_client.
 *
 * Made by the main thread, with all files read; immutable but for the sessions. Thread rule: any
 * thread; ref and unref are atomic, and a lock guards the sessions, taken a few times a handshake
 * and never after it but for a ticket. Streams have one owner, as ever.
 */
#ifndef TARN_TLS_CLIENT_H
#define TARN_TLS_CLIENT_H

#include "base/error.h"
#include "tls/stream.h"

struct tls_client;

struct tls_client_config {
    /* PEM bundle of those to trust. NULL: the system's, which is read as OpenSSL and curl do:
     * SSL_CERT_FILE names another bundle, SSL_CERT_DIR other directories (a list with ':'), and
     * with only one of them set the system's own certificates count too. */
    const char *ca_file;
    const char *ca_option;        /* spelling of the option for ca_file, for messages; a literal */
    bool insecure;                /* everybody is believed; warn about it */
    const char *const *protocols; /* for ALPN, the preferred first; literals */
    unsigned protocol_count;      /* at most 4; 0: no ALPN */
};

/* *out has one reference. Errors: ca_file, in a line that names it. Trouble with the system's
 * certificates is none, because it may be that nobody ever asks for TLS: tls_client_problem. */
int tls_client_new(struct tls_client **out, const struct tls_client_config *config,
                   struct error *error) MUST_USE;
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client *client); /* NULL is nothing */

/* Why every handshake will fail, for a warning at start: there are no CA certificates, or they
 * cannot be read. One line that says what helps; it is also the failure text of the streams. NULL:
 * no problem. */
const char *tls_client_problem(const struct tls_client *client);

/* A stream that begins with our ClientHello: call tls_stream_handshake before anything is fed.
 * Takes a reference to the client. `host`: as in a URL, a name or an address, IPv6 with or without
 * brackets; it is sent as server name when it is a name. A host that no certificate can be for, and
 * a client with a problem, give a stream that has failed already. NULL: no memory. */
struct tls_stream *tls_stream_new_client(struct tls_client *client, struct str host, uint16_t port);

/* Why a client's stream failed: enum name, name in logs and metrics. Ends that only the owner sees
 * (a timeout, the socket's end) are the owner's to count. */
#define TLS_CLIENT_FAILURE_TABLE(X)                                            \
    X(NONE, "none")                                                            \
    X(NO_CA, "no_ca")             /* see tls_client_problem */                 \
    X(UNTRUSTED, "untrusted")     /* the chain ends nowhere that is trusted */ \
    X(VALIDITY, "validity")       /* expired, or not valid yet */              \
    X(NAME, "name")               /* the certificate is for others */          \
    X(CERTIFICATE, "certificate") /* something else about it or its chain */   \
    X(VERSION, "version")         /* TLS 1.1 or older */                       \
    X(PEER_ALERT, "peer_alert")   /* the server refused */                     \
    X(NOT_TLS, "not_tls")         /* it speaks something else */               \
    X(MALFORMED, "malformed")     /* not correct TLS */                        \
    X(OTHER, "other")

enum tls_client_failure {
#define X(name, text) TLS_CLIENT_FAILURE_##name,
    TLS_CLIENT_FAILURE_TABLE(X)
#undef X
        TLS_CLIENT_FAILURE_COUNT
};

const char *tls_client_failure_name(enum tls_client_failure failure);

/* NONE until the stream fails. tls_stream_failure_text has the reason for people: one line of
 * printable ASCII, lent until the stream is freed. */
enum tls_client_failure tls_stream_client_failure(const struct tls_stream *stream);

#endif
