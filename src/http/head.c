/* Known names are found by a perfect hash of length, first and last letter: one probe, one
 * comparison. The slots are written with designated initialisers, so two names that fall into one
 * slot are a compiler error (overridden initialiser), and head_test.c checks that no name of the
 * tables in head.h was left out. Requests and responses have slots of their own, so that the few
 * names of requests stay in one cache line.
 */
#include "http/head.h"

enum {
    NAME_LEN_MAX = 19,
    SLOT_COUNT = 64,
    RESPONSE_NAME_LEN_MAX = 21,
    RESPONSE_SLOT_COUNT = 128,
    CLEAR_STEP = 16,
};

#define SLOT(len, first, last) (((len)*2u + (first)*21u + (last)*23u) % SLOT_COUNT)

static const uint8_t slots[SLOT_COUNT] = {
    [SLOT(2, 't', 'e')] = HTTP_FIELD_TE,
    [SLOT(4, 'h', 't')] = HTTP_FIELD_HOST,
    [SLOT(5, 'r', 'e')] = HTTP_FIELD_RANGE,
    [SLOT(6, 'a', 't')] = HTTP_FIELD_ACCEPT,
    [SLOT(6, 'c', 'e')] = HTTP_FIELD_COOKIE,
    [SLOT(6, 'e', 't')] = HTTP_FIELD_EXPECT,
    [SLOT(6, 'o', 'n')] = HTTP_FIELD_ORIGIN,
    [SLOT(7, 'r', 'r')] = HTTP_FIELD_REFERER,
    [SLOT(7, 't', 'r')] = HTTP_FIELD_TRAILER,
    [SLOT(7, 'u', 'e')] = HTTP_FIELD_UPGRADE,
    [SLOT(8, 'i', 'h')] = HTTP_FIELD_IF_MATCH,
    [SLOT(8, 'i', 'e')] = HTTP_FIELD_IF_RANGE,
    [SLOT(10, 'c', 'n')] = HTTP_FIELD_CONNECTION,
    [SLOT(10, 'k', 'e')] = HTTP_FIELD_KEEP_ALIVE,
    [SLOT(10, 'u', 't')] = HTTP_FIELD_USER_AGENT,
    [SLOT(12, 'c', 'e')] = HTTP_FIELD_CONTENT_TYPE,
    [SLOT(12, 'x', 'd')] = HTTP_FIELD_X_REQUEST_ID,
    [SLOT(13, 'a', 'n')] = HTTP_FIELD_AUTHORIZATION,
    [SLOT(13, 'i', 'h')] = HTTP_FIELD_IF_NONE_MATCH,
    [SLOT(14, 'c', 'h')] = HTTP_FIELD_CONTENT_LENGTH,
    [SLOT(15, 'a', 'g')] = HTTP_FIELD_ACCEPT_ENCODING,
    [SLOT(15, 'x', 'r')] = HTTP_FIELD_X_FORWARDED_FOR,
    [SLOT(16, 'p', 'n')] = HTTP_FIELD_PROXY_CONNECTION,
    [SLOT(17, 'i', 'e')] = HTTP_FIELD_IF_MODIFIED_SINCE,
    [SLOT(17, 't', 'g')] = HTTP_FIELD_TRANSFER_ENCODING,
    [SLOT(19, 'i', 'e')] = HTTP_FIELD_IF_UNMODIFIED_SINCE,
};

#define RESPONSE_SLOT(len, first, last) \
    (((len)*2u + (first)*21u + (last)*47u) % RESPONSE_SLOT_COUNT)

static const uint8_t response_slots[RESPONSE_SLOT_COUNT] = {
    [RESPONSE_SLOT(2, 't', 'e')] = HTTP_FIELD_TE,
    [RESPONSE_SLOT(3, 'a', 'e')] = HTTP_FIELD_AGE,
    [RESPONSE_SLOT(4, 'd', 'e')] = HTTP_FIELD_DATE,
    [RESPONSE_SLOT(4, 'e', 'g')] = HTTP_FIELD_ETAG,
    [RESPONSE_SLOT(4, 'h', 't')] = HTTP_FIELD_HOST,
    [RESPONSE_SLOT(4, 'v', 'y')] = HTTP_FIELD_VARY,
    [RESPONSE_SLOT(5, 'r', 'e')] = HTTP_FIELD_RANGE,
    [RESPONSE_SLOT(6, 'a', 't')] = HTTP_FIELD_ACCEPT,
    [RESPONSE_SLOT(6, 'c', 'e')] = HTTP_FIELD_COOKIE,
    [RESPONSE_SLOT(6, 'e', 't')] = HTTP_FIELD_EXPECT,
    [RESPONSE_SLOT(6, 'o', 'n')] = HTTP_FIELD_ORIGIN,
    [RESPONSE_SLOT(6, 's', 'r')] = HTTP_FIELD_SERVER,
    [RESPONSE_SLOT(7, 'e', 's')] = HTTP_FIELD_EXPIRES,
    [RESPONSE_SLOT(7, 'r', 'r')] = HTTP_FIELD_REFERER,
    [RESPONSE_SLOT(7, 't', 'r')] = HTTP_FIELD_TRAILER,
    [RESPONSE_SLOT(7, 'u', 'e')] = HTTP_FIELD_UPGRADE,
    [RESPONSE_SLOT(8, 'i', 'h')] = HTTP_FIELD_IF_MATCH,
    [RESPONSE_SLOT(8, 'i', 'e')] = HTTP_FIELD_IF_RANGE,
    [RESPONSE_SLOT(8, 'l', 'n')] = HTTP_FIELD_LOCATION,
    [RESPONSE_SLOT(10, 'c', 'n')] = HTTP_FIELD_CONNECTION,
    [RESPONSE_SLOT(10, 'k', 'e')] = HTTP_FIELD_KEEP_ALIVE,
    [RESPONSE_SLOT(10, 's', 'e')] = HTTP_FIELD_SET_COOKIE,
    [RESPONSE_SLOT(10, 'u', 't')] = HTTP_FIELD_USER_AGENT,
    [RESPONSE_SLOT(11, 'c', '5')] = HTTP_FIELD_CONTENT_MD5,
    [RESPONSE_SLOT(11, 'r', 't')] = HTTP_FIELD_REPR_DIGEST,
    [RESPONSE_SLOT(11, 'r', 'r')] = HTTP_FIELD_RETRY_AFTER,
    [RESPONSE_SLOT(12, 'c', 'e')] = HTTP_FIELD_CONTENT_TYPE,
    [RESPONSE_SLOT(12, 'x', 'd')] = HTTP_FIELD_X_REQUEST_ID,
    [RESPONSE_SLOT(13, 'a', 's')] = HTTP_FIELD_ACCEPT_RANGES,
    [RESPONSE_SLOT(13, 'a', 'n')] = HTTP_FIELD_AUTHORIZATION,
    [RESPONSE_SLOT(13, 'c', 'l')] = HTTP_FIELD_CACHE_CONTROL,
    [RESPONSE_SLOT(13, 'c', 'e')] = HTTP_FIELD_CONTENT_RANGE,
    [RESPONSE_SLOT(13, 'i', 'h')] = HTTP_FIELD_IF_NONE_MATCH,
    [RESPONSE_SLOT(13, 'l', 'd')] = HTTP_FIELD_LAST_MODIFIED,
    [RESPONSE_SLOT(14, 'c', 'h')] = HTTP_FIELD_CONTENT_LENGTH,
    [RESPONSE_SLOT(15, 'a', 'g')] = HTTP_FIELD_ACCEPT_ENCODING,
    [RESPONSE_SLOT(15, 'x', 'r')] = HTTP_FIELD_X_FORWARDED_FOR,
    [RESPONSE_SLOT(16, 'c', 'g')] = HTTP_FIELD_CONTENT_ENCODING,
    [RESPONSE_SLOT(16, 'p', 'n')] = HTTP_FIELD_PROXY_CONNECTION,
    [RESPONSE_SLOT(16, 'w', 'e')] = HTTP_FIELD_WWW_AUTHENTICATE,
    [RESPONSE_SLOT(17, 'i', 'e')] = HTTP_FIELD_IF_MODIFIED_SINCE,
    [RESPONSE_SLOT(17, 't', 'g')] = HTTP_FIELD_TRANSFER_ENCODING,
    [RESPONSE_SLOT(19, 'i', 'e')] = HTTP_FIELD_IF_UNMODIFIED_SINCE,
    [RESPONSE_SLOT(21, 'x', '6')] = HTTP_FIELD_X_AMZ_CHECKSUM_SHA256,
};

struct known_name {
    uint8_t len;
    char text[23];
};

static const struct known_name known_names[HTTP_RESPONSE_FIELD_ID_COUNT] = {
#define X(name, literal) [HTTP_FIELD_##name] = {sizeof(literal) - 1, literal},
    HTTP_FIELD_TABLE(X) HTTP_RESPONSE_FIELD_TABLE(X)
#undef X
};

void
http_head_init(struct http_head *head, struct http_field *fields, uint16_t field_max)
{
    /* Runs for every request. Cleared piece by piece, because gcc clears the whole of it with
     * `rep stos`, which takes longer to start than a short head takes to decode. */
    char *bytes = (char *)head;
    size_t at = 0;
    for (; at + CLEAR_STEP <= sizeof(*head); at += CLEAR_STEP)
        memset(bytes + at, 0, CLEAR_STEP);
    memset(bytes + at, 0, sizeof(*head) % CLEAR_STEP);
    head->fields = fields;
    head->field_max = field_max;
}

static inline uint64_t
load_8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static inline uint32_t
load_4(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* Whether a word of `given`, letters in any case, equals a word of `known`, which holds lower-case
 * letters, digits and dashes only. Of these just the letters have bit 0x40; a half of it, 0x20, is
 * the case bit, set in `given` only where `known` has a letter. So the comparison is exact. */
static inline bool
same_word(uint64_t given, uint64_t known)
{
    return (given | (known & 0x4040404040404040u) >> 1) == known;
}

/* As same_word over `len` bytes, the last word overlapping the one before. */
static inline bool
same_name(const char *given, const char *known, size_t len)
{
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            if (!same_word(load_8(given + i), load_8(known + i)))
                return false;
        return same_word(load_8(given + len - 8), load_8(known + len - 8));
    }
    if (len >= 4)
        return same_word(load_4(given), load_4(known)) &&
               same_word(load_4(given + len - 4), load_4(known + len - 4));
    for (size_t i = 0; i < len; i++)
        if (!same_word((uint8_t)given[i], (uint8_t)known[i]))
            return false;
    return true;
}

/* The id, if that is what this name, which is not empty, is known by. */
static inline enum http_field_id
id_if_named(struct str name, unsigned id)
{
    const struct known_name *known = &known_names[id];
    if (known->len != name.len || !same_name(name.ptr, known->text, name.len))
        return HTTP_FIELD_OTHER;
    return (enum http_field_id)id;
}

enum http_field_id
http_field_id(struct str name)
{
    if (name.len == 0 || name.len > NAME_LEN_MAX)
        return HTTP_FIELD_OTHER;
    unsigned first = (uint8_t)name.ptr[0] | 0x20u;
    unsigned last = (uint8_t)name.ptr[name.len - 1] | 0x20u;
    return id_if_named(name, slots[SLOT((unsigned)name.len, first, last)]);
}

enum http_field_id
http_response_field_id(struct str name)
{
    if (name.len == 0 || name.len > RESPONSE_NAME_LEN_MAX)
        return HTTP_FIELD_OTHER;
    unsigned first = (uint8_t)name.ptr[0] | 0x20u;
    unsigned last = (uint8_t)name.ptr[name.len - 1] | 0x20u;
    return id_if_named(name, response_slots[RESPONSE_SLOT((unsigned)name.len, first, last)]);
}

static enum http_method
method_if(struct str method, const char *text, enum http_method id)
{
    return memcmp(method.ptr, text, method.len) == 0 ? id : HTTP_METHOD_OTHER;
}

enum http_method
http_method_id(struct str method)
{
    switch (method.len) {
    case 3:
        if (method.ptr[0] == 'G')
            return method_if(method, "GET", HTTP_METHOD_GET);
        return method_if(method, "PUT", HTTP_METHOD_PUT);
    case 4:
        if (method.ptr[0] == 'H')
            return method_if(method, "HEAD", HTTP_METHOD_HEAD);
        return method_if(method, "POST", HTTP_METHOD_POST);
    case 5:
        if (method.ptr[0] == 'P')
            return method_if(method, "PATCH", HTTP_METHOD_PATCH);
        return method_if(method, "TRACE", HTTP_METHOD_TRACE);
    case 6:
        return method_if(method, "DELETE", HTTP_METHOD_DELETE);
    case 7:
        if (method.ptr[0] == 'O')
            return method_if(method, "OPTIONS", HTTP_METHOD_OPTIONS);
        return method_if(method, "CONNECT", HTTP_METHOD_CONNECT);
    default:
        return HTTP_METHOD_OTHER;
    }
}

bool
http_head_add(struct http_head *head, uint32_t name_off, uint16_t name_len, uint32_t value_off,
              uint32_t value_len, enum http_field_id id)
{
    if (head->field_count == head->field_max)
        return false;
    head->fields[head->field_count++] = (struct http_field){
        .name_off = name_off,
        .name_len = name_len,
        .value_off = value_off,
        .value_len = value_len,
        .id = (uint16_t)id,
    };
    if (id != HTTP_FIELD_OTHER && head->first[id] == 0)
        head->first[id] = head->field_count;
    return true;
}

/* Index of the next field with this id from `at` on, or field_count. */
static unsigned
find_from(const struct http_head *head, enum http_field_id id, unsigned at)
{
    while (at < head->field_count && head->fields[at].id != id)
        at++;
    return at;
}

bool
http_head_list(const struct http_head *head, enum http_field_id id, char *scratch,
               size_t scratch_len, struct str *out)
{
    *out = http_head_value(head, id);
    unsigned at = head->first[id];
    if (at == 0 || (at = find_from(head, id, at)) == head->field_count)
        return true;
    if (out->len > scratch_len)
        return false;
    memcpy(scratch, out->ptr, out->len);
    size_t used = out->len;
    for (; at < head->field_count; at = find_from(head, id, at + 1)) {
        struct str value = http_field_value(head, &head->fields[at]);
        if (scratch_len - used < 2 || scratch_len - used - 2 < value.len)
            return false;
        memcpy(scratch + used, ", ", 2);
        memcpy(scratch + used + 2, value.ptr, value.len);
        used += 2 + value.len;
    }
    *out = str_make(scratch, used);
    return true;
}
