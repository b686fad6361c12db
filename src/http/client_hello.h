/* client_hello: what a TLS ClientHello says, without a TLS library (RFC 8446 section 4.1.2). Pure:
 * no I/O, clock, log or allocation.
 *
 * A walk over one complete handshake message. Nothing is copied: every slice points into the
 * message and lives as long as that. Lengths are strict: each list ends exactly where its length
 * says, lists of two-byte values have an even length, no extension comes twice. The slices called
 * lists hold the wire's bytes; client_hello_u16 and client_hello_next_alpn read them. GREASE values
 * (RFC 8701) are left in; client_hello_is_grease tells them.
 *
 * Bounds: a message has at most CLIENT_HELLO_MAX bytes, and at most CLIENT_HELLO_RECORDS_MAX
 * records carry it (base/limits.h).
 */
#ifndef TARN_HTTP_CLIENT_HELLO_H
#define TARN_HTTP_CLIENT_HELLO_H

#include "base/str.h"

struct client_hello {
    uint16_t legacy_version; /* 0x0303 since TLS 1.2 */
    struct str random;       /* 32 bytes */
    struct str session_id;
    struct str ciphers;    /* two bytes each, as in the next lists */
    struct str extensions; /* the block: type u16, length u16, content, again and again */
    /* Contents of extensions; empty when there is none. */
    struct str sni;                  /* the host name, as sent: case and syntax are not checked */
    struct str alpn;                 /* names, each behind its length u8 */
    struct str versions;             /* two bytes each */
    struct str signature_algorithms; /* two bytes each */
    uint16_t cipher_count;
    uint16_t extension_count;
    bool has_sni; /* the extension is there */
};

enum { CLIENT_HELLO_EXTENSION_SNI = 0, CLIENT_HELLO_EXTENSION_ALPN = 16 };

/* Walks a handshake message: type 1, length u24, body; nothing behind it. False: not a well-formed
 * ClientHello; *out is then undefined. `data` is borrowed by *out. */
bool client_hello_parse(struct client_hello *out, const char *data, size_t len);
/* The same for the body alone. */
bool client_hello_parse_body(struct client_hello *out, const char *data, size_t len);

/* The index-th value of a list; the caller knows that it is there. */
static inline uint16_t
client_hello_u16(struct str list, size_t index)
{
    const uint8_t *bytes = (const uint8_t *)list.ptr + 2 * index;
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* 0x0a0a, 0x1a1a, ... 0xfafa. */
static inline bool
client_hello_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

/* Takes the first name off a list of ALPN names that is not empty. */
struct str client_hello_next_alpn(struct str *list);

/* Takes the first extension off a block that is not empty. */
struct client_hello_extension {
    uint16_t type;
    struct str content;
};
struct client_hello_extension client_hello_next_extension(struct str *block);

enum client_hello_result {
    CLIENT_HELLO_MORE,      /* a prefix of a ClientHello, as far as one can tell */
    CLIENT_HELLO_DONE,      /* *message is the handshake message */
    CLIENT_HELLO_MALFORMED, /* not handshake records that begin with a ClientHello, or over a bound
                             */
};

/* Finds the first handshake message in what a connection received: TLS records, which may cut the
 * message anywhere (RFC 8446 section 5.1). *message borrows from `data` when one record holds it
 * all, else from `joined`, CLIENT_HELLO_MAX bytes of the caller's, where it is put together.
 * Stateless: call again with everything when more has come. Records behind the message are not
 * looked at. */
enum client_hello_result client_hello_find(const char *data, size_t len, char *joined,
                                           struct str *message);

#endif
