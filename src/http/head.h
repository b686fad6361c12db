/* head: a decoded request head, the same for HTTP/1 and HTTP/2.
 *
 * Fields are stored as offsets into one block of bytes (`base`), so the block may move while a head
 * is still arriving: the owner sets `base` after each move. Fields of known names carry an id, and
 * the first of each known name is found without a search. Nothing is allocated: the owner provides
 * the field array. Thread rule: one owner.
 */
#ifndef TARN_HTTP_HEAD_H
#define TARN_HTTP_HEAD_H

#include "base/must.h"
#include "base/str.h"

/* Known field names: enum name, wire name in lower case. Order does not matter. An entry here costs
 * time in every request: http_head has a place for each. */
#define HTTP_FIELD_TABLE(X)                       \
    X(ACCEPT, "accept")                           \
    X(ACCEPT_ENCODING, "accept-encoding")         \
    X(AUTHORIZATION, "authorization")             \
    X(CONNECTION, "connection")                   \
    X(CONTENT_LENGTH, "content-length")           \
    X(CONTENT_TYPE, "content-type")               \
    X(COOKIE, "cookie")                           \
    X(EXPECT, "expect")                           \
    X(HOST, "host")                               \
    X(IF_MATCH, "if-match")                       \
    X(IF_MODIFIED_SINCE, "if-modified-since")     \
    X(IF_NONE_MATCH, "if-none-match")             \
    X(IF_RANGE, "if-range")                       \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since") \
    X(KEEP_ALIVE, "keep-alive")                   \
    X(ORIGIN, "origin")                           \
    X(PROXY_CONNECTION, "proxy-connection")       \
    X(RANGE, "range")                             \
    X(REFERER, "referer")                         \
    X(TE, "te")                                   \
    X(TRAILER, "trailer")                         \
    X(TRANSFER_ENCODING, "transfer-encoding")     \
    X(UPGRADE, "upgrade")                         \
    X(USER_AGENT, "user-agent")                   \
    X(X_FORWARDED_FOR, "x-forwarded-for")         \
    X(X_REQUEST_ID, "x-request-id")

/* Those known only in responses (response_head.h), where the others are known too. */
#define HTTP_RESPONSE_FIELD_TABLE(X)        \
    X(ACCEPT_RANGES, "accept-ranges")       \
    X(AGE, "age")                           \
    X(CACHE_CONTROL, "cache-control")       \
    X(CONTENT_ENCODING, "content-encoding") \
    X(CONTENT_MD5, "content-md5")           \
    X(CONTENT_RANGE, "content-range")       \
    X(DATE, "date")                         \
    X(ETAG, "etag")                         \
    X(EXPIRES, "expires")                   \
    X(LAST_MODIFIED, "last-modified")       \
    X(LOCATION, "location")                 \
    X(REPR_DIGEST, "repr-digest")           \
    X(RETRY_AFTER, "retry-after")           \
    X(SERVER, "server")                     \
    X(SET_COOKIE, "set-cookie")             \
    X(VARY, "vary")                         \
    X(WWW_AUTHENTICATE, "www-authenticate") \
    X(X_AMZ_CHECKSUM_SHA256, "x-amz-checksum-sha256")

enum http_field_id {
    HTTP_FIELD_OTHER = 0,
#define X(name, text) HTTP_FIELD_##name,
    HTTP_FIELD_TABLE(X)
#undef X
        HTTP_FIELD_ID_COUNT, /* of requests */
    HTTP_FIELD_LAST_OF_REQUESTS = HTTP_FIELD_ID_COUNT - 1,
#define X(name, text) HTTP_FIELD_##name,
    HTTP_RESPONSE_FIELD_TABLE(X)
#undef X
        HTTP_RESPONSE_FIELD_ID_COUNT /* of responses, those of requests included */
};

enum http_method {
    HTTP_METHOD_OTHER = 0, /* any other token: legal, and known only by its text */
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_CONNECT,
    HTTP_METHOD_TRACE,
};

struct http_field {
    uint32_t name_off;
    uint32_t value_off;
    uint32_t value_len; /* without surrounding white space */
    uint16_t name_len;
    uint16_t id; /* enum http_field_id */
};

/* The field lines of one name, in order (RFC 9110 section 5.3): what is left of them. */
struct http_lines {
    const char *base;
    const struct http_field *next;
    const struct http_field *end;
    unsigned id; /* enum http_field_id */
};

/* Takes the next value. False: there is none. */
static inline bool
http_lines_next(struct http_lines *lines, struct str *value)
{
    while (lines->next < lines->end) {
        const struct http_field *field = lines->next++;
        if (field->id == lines->id) {
            *value = str_make(lines->base + field->value_off, field->value_len);
            return true;
        }
    }
    return false;
}

/* How long the body is (RFC 9112 section 6). */
enum http_body_kind {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_CLOSE,  /* of a response: all until the connection ends */
    HTTP_BODY_TUNNEL, /* of a response: what follows is not HTTP any more, both ways */
};

struct http_head {
    const char *base;
    uint32_t len;              /* of what belongs to a complete head (HTTP/1) */
    struct http_field *fields; /* owner's array of field_max */
    uint16_t field_count;
    uint16_t field_max;
    uint16_t first[HTTP_FIELD_ID_COUNT]; /* index + 1 of the first field with that id; 0: none */

    uint32_t method_off, method_len;
    uint32_t target_off, target_len;
    uint32_t protocol_off, protocol_len; /* of an extended CONNECT (RFC 8441); len 0: none */
    uint8_t method;                      /* enum http_method */
    uint8_t version_minor;               /* HTTP/1.x; 1 for HTTP/2 as well */
    uint8_t body_kind;                   /* enum http_body_kind */
    bool keep_alive; /* the peer wants the connection kept (RFC 9112 section 9.3) */
    bool expect_continue;
    uint64_t content_length; /* when body_kind is HTTP_BODY_LENGTH */
};

/* Empties the head, keeping the field array. `fields` has room for `field_max` entries and is
 * borrowed. */
void http_head_init(struct http_head *head, struct http_field *fields, uint16_t field_max);

/* Id of a field name in any case: as in a request, below HTTP_FIELD_ID_COUNT, or in a response. */
enum http_field_id http_field_id(struct str name);
enum http_field_id http_response_field_id(struct str name);

/* Id of a method; methods are case-sensitive. */
enum http_method http_method_id(struct str method);

static inline struct str
http_head_method(const struct http_head *head)
{
    return str_make(head->base + head->method_off, head->method_len);
}

static inline struct str
http_head_target(const struct http_head *head)
{
    return str_make(head->base + head->target_off, head->target_len);
}

static inline struct str
http_field_name(const struct http_head *head, const struct http_field *field)
{
    return str_make(head->base + field->name_off, field->name_len);
}

static inline struct str
http_field_value(const struct http_head *head, const struct http_field *field)
{
    return str_make(head->base + field->value_off, field->value_len);
}

static inline bool
http_head_has(const struct http_head *head, enum http_field_id id)
{
    must(id < HTTP_FIELD_ID_COUNT);
    return head->first[id] != 0;
}

/* Value of the first field with this id; an empty str with NULL pointer when there is none. */
static inline struct str
http_head_value(const struct http_head *head, enum http_field_id id)
{
    must(id < HTTP_FIELD_ID_COUNT);
    unsigned at = head->first[id];
    return at ? http_field_value(head, &head->fields[at - 1]) : (struct str){0};
}

/* All values of a list field (RFC 9110 section 5.3) joined with ", " into scratch. With one field
 * line, or none, that value itself is returned and scratch is untouched. False when scratch_len is
 * too small. */
bool http_head_list(const struct http_head *head, enum http_field_id id, char *scratch,
                    size_t scratch_len, struct str *out);

/* Adds a field (used by the decoders). False when the table is full. Offsets are relative to base.
 */
bool http_head_add(struct http_head *head, uint32_t name_off, uint16_t name_len, uint32_t value_off,
                   uint32_t value_len, enum http_field_id id);

#endif
