#include "http/client_hello.h"

#include "base/limits.h"

enum {
    HANDSHAKE_HEAD_LEN = 4,
    HANDSHAKE_CLIENT_HELLO = 1,
    RECORD_HEAD_LEN = 5,
    RECORD_HANDSHAKE = 22,
    RECORD_LEN_MAX = 16384, /* plaintext; the first flight is not encrypted */
    RANDOM_LEN = 32,
    SESSION_ID_MAX = 32,
    NAME_TYPE_HOST = 0,
};

enum {
    EXTENSION_SIGNATURE_ALGORITHMS = 13,
    EXTENSION_SUPPORTED_VERSIONS = 43,
};

static uint32_t
byte_at(const char *data, size_t at)
{
    return (uint8_t)data[at];
}

/* --- taking parts off the front; false when they are not there --- */

static bool
take(struct str *in, size_t len, struct str *out)
{
    if (in->len < len)
        return false;
    *out = str_first(*in, len);
    *in = str_skip(*in, len);
    return true;
}

/* A big-endian number of 1 to 3 bytes. */
static bool
take_number(struct str *in, size_t width, uint32_t *out)
{
    struct str bytes;
    if (!take(in, width, &bytes))
        return false;
    *out = 0;
    for (size_t i = 0; i < width; i++)
        *out = *out << 8 | byte_at(bytes.ptr, i);
    return true;
}

/* Bytes behind their length. */
static bool
take_vector(struct str *in, size_t width, struct str *out)
{
    uint32_t len;
    return take_number(in, width, &len) && take(in, len, out);
}

/* Exactly one vector of two-byte values, at least one. */
static bool
read_u16_list(struct str content, size_t width, struct str *out)
{
    return take_vector(&content, width, out) && content.len == 0 && out->len >= 2 &&
           out->len % 2 == 0;
}

/* --- extensions --- */

/* RFC 6066 section 3: a list with one entry, because only host names exist and no type comes twice.
 */
static bool
read_sni(struct str content, struct client_hello *out)
{
    struct str list;
    uint32_t type;
    out->has_sni = true;
    return take_vector(&content, 2, &list) && content.len == 0 && take_number(&list, 1, &type) &&
           type == NAME_TYPE_HOST && take_vector(&list, 2, &out->sni) && list.len == 0 &&
           out->sni.len > 0;
}

/* RFC 7301 section 3.1: at least one name, none of them empty. */
static bool
read_alpn(struct str content, struct client_hello *out)
{
    struct str rest, name;
    if (!take_vector(&content, 2, &out->alpn) || content.len || out->alpn.len == 0)
        return false;
    for (rest = out->alpn; rest.len;)
        if (!take_vector(&rest, 1, &name) || name.len == 0)
            return false;
    return true;
}

static bool
read_extension(struct client_hello_extension extension, struct client_hello *out)
{
    switch (extension.type) {
    case CLIENT_HELLO_EXTENSION_SNI:
        return read_sni(extension.content, out);
    case CLIENT_HELLO_EXTENSION_ALPN:
        return read_alpn(extension.content, out);
    case EXTENSION_SIGNATURE_ALGORITHMS:
        return read_u16_list(extension.content, 2, &out->signature_algorithms);
    case EXTENSION_SUPPORTED_VERSIONS:
        return read_u16_list(extension.content, 1, &out->versions);
    default:
        return true;
    }
}

static bool
read_extensions(struct client_hello *out)
{
    uint64_t seen[65536 / 64] = {0};
    struct client_hello_extension extension;
    uint32_t type;
    for (struct str rest = out->extensions; rest.len; out->extension_count++) {
        if (!take_number(&rest, 2, &type) || !take_vector(&rest, 2, &extension.content))
            return false;
        uint64_t bit = (uint64_t)1 << type % 64;
        if (seen[type / 64] & bit)
            return false;
        seen[type / 64] |= bit;
        extension.type = (uint16_t)type;
        if (!read_extension(extension, out))
            return false;
    }
    return true;
}

bool
client_hello_parse_body(struct client_hello *out, const char *data, size_t len)
{
    struct str body = str_make(data, len), compression;
    uint32_t version;
    *out = (struct client_hello){0};
    if (len > CLIENT_HELLO_MAX - HANDSHAKE_HEAD_LEN || !take_number(&body, 2, &version) ||
        !take(&body, RANDOM_LEN, &out->random) || !take_vector(&body, 1, &out->session_id) ||
        !take_vector(&body, 2, &out->ciphers) || !take_vector(&body, 1, &compression))
        return false;
    if (out->session_id.len > SESSION_ID_MAX || out->ciphers.len % 2 || out->ciphers.len == 0 ||
        compression.len == 0)
        return false;
    out->legacy_version = (uint16_t)version;
    out->cipher_count = (uint16_t)(out->ciphers.len / 2);
    if (body.len == 0) /* before TLS 1.2 the block of extensions may be missing */
        return true;
    return take_vector(&body, 2, &out->extensions) && body.len == 0 && read_extensions(out);
}

bool
client_hello_parse(struct client_hello *out, const char *data, size_t len)
{
    struct str message = str_make(data, len), body;
    uint32_t type;
    return take_number(&message, 1, &type) && type == HANDSHAKE_CLIENT_HELLO &&
           take_vector(&message, 3, &body) && message.len == 0 &&
           client_hello_parse_body(out, body.ptr, body.len);
}

struct str
client_hello_next_alpn(struct str *list)
{
    struct str name = {0};
    if (!take_vector(list, 1, &name))
        *list = name;
    return name;
}

struct client_hello_extension
client_hello_next_extension(struct str *block)
{
    struct client_hello_extension extension = {0};
    uint32_t type = 0;
    if (!take_number(block, 2, &type) || !take_vector(block, 2, &extension.content))
        *block = (struct str){0};
    extension.type = (uint16_t)type;
    return extension;
}

/* --- out of the records --- */

/* The message as far as it has come: its pieces are counted, and the ones there is a place for are
 * copied. */
struct gather {
    char *joined;
    struct str first; /* content of the first record that has any */
    size_t len;       /* bytes of the message so far */
    size_t whole_len; /* with its head; 0: the head is not complete */
    char head[HANDSHAKE_HEAD_LEN];
};

/* Adds a piece; false: this is not going to be a ClientHello within its bound. */
static bool
gather_add(struct gather *gather, struct str piece)
{
    if (gather->len == 0)
        gather->first = piece;
    for (size_t i = 0; i < piece.len && gather->len + i < HANDSHAKE_HEAD_LEN; i++)
        gather->head[gather->len + i] = piece.ptr[i];
    if (gather->len < CLIENT_HELLO_MAX && gather->first.ptr != piece.ptr) {
        struct str fits = str_first(piece, CLIENT_HELLO_MAX - gather->len);
        memcpy(gather->joined + gather->len, fits.ptr, fits.len);
    }
    gather->len += piece.len;
    if (gather->len >= 1 && gather->head[0] != HANDSHAKE_CLIENT_HELLO)
        return false;
    if (gather->len >= HANDSHAKE_HEAD_LEN)
        gather->whole_len =
            HANDSHAKE_HEAD_LEN + (byte_at(gather->head, 1) << 16 | byte_at(gather->head, 2) << 8 |
                                  byte_at(gather->head, 3));
    return gather->whole_len <= CLIENT_HELLO_MAX;
}

static struct str
gather_message(const struct gather *gather)
{
    if (gather->first.len >= gather->whole_len)
        return str_first(gather->first, gather->whole_len);
    memcpy(gather->joined, gather->first.ptr, gather->first.len);
    return str_make(gather->joined, gather->whole_len);
}

/* What is wrong with the head of a record shows in its first bytes: garbage does not wait for more.
 */
static bool
record_head_is_bad(struct str head)
{
    if (head.len >= 1 && byte_at(head.ptr, 0) != RECORD_HANDSHAKE)
        return true;
    /* The minor version is no use: clients put 1 or 3 there, and both are to be ignored. */
    if (head.len >= 2 && byte_at(head.ptr, 1) != 3)
        return true;
    return false;
}

enum client_hello_result
client_hello_find(const char *data, size_t len, char *joined, struct str *message)
{
    struct gather gather = {.joined = joined};
    struct str rest = str_make(data, len);
    for (unsigned records = 0; rest.len; records++) {
        if (records == CLIENT_HELLO_RECORDS_MAX ||
            record_head_is_bad(str_first(rest, RECORD_HEAD_LEN)))
            return CLIENT_HELLO_MALFORMED;
        if (rest.len < RECORD_HEAD_LEN)
            return CLIENT_HELLO_MORE;
        size_t content_len = byte_at(rest.ptr, 3) << 8 | byte_at(rest.ptr, 4);
        if (content_len == 0 || content_len > RECORD_LEN_MAX)
            return CLIENT_HELLO_MALFORMED;
        struct str content = str_first(str_skip(rest, RECORD_HEAD_LEN), content_len);
        if (!gather_add(&gather, content))
            return CLIENT_HELLO_MALFORMED;
        if (gather.whole_len && gather.len >= gather.whole_len) {
            *message = gather_message(&gather);
            return CLIENT_HELLO_DONE;
        }
        if (content.len < content_len)
            return CLIENT_HELLO_MORE;
        rest = str_skip(rest, RECORD_HEAD_LEN + content_len);
    }
    return CLIENT_HELLO_MORE;
}
