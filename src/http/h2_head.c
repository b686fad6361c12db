#include "http/h2_head.h"

#include "http/h1_scan.h"
#include "http/target.h"

/* Each field is checked by itself as it comes and copied behind the others; h2_head_finish looks at
 * what needs the whole block. The first error stays: what follows it is not looked at, but HPACK
 * had to decode it all the same.
 */

enum { FIELD_OVERHEAD = 32 }; /* RFC 9113 section 6.5.2 */

enum pseudo {
    PSEUDO_METHOD = 1 << 0,
    PSEUDO_SCHEME = 1 << 1,
    PSEUDO_PATH = 1 << 2,
    PSEUDO_AUTHORITY = 1 << 3,
    PSEUDO_PROTOCOL = 1 << 4,
};

int
h2_head_error_status(enum h2_head_error error)
{
    static const uint16_t statuses[] = {0,
#define X(name, status, text) status,
                                        H2_HEAD_ERROR_TABLE(X)
#undef X
    };
    return statuses[error];
}

struct str
h2_head_error_text(enum h2_head_error error)
{
    static const struct str texts[] = {STR_INIT(""),
#define X(name, status, text) STR_INIT(text),
                                       H2_HEAD_ERROR_TABLE(X)
#undef X
    };
    return texts[error];
}

void
h2_head_decoder_init(struct h2_head_decoder *decoder, struct http_head *head, struct buf *text,
                     uint32_t max)
{
    http_head_init(head, head->fields, head->field_max);
    head->base = ""; /* never NULL, even without a field */
    head->version_minor = 1;
    head->keep_alive = true;
    buf_clear(text);
    *decoder = (struct h2_head_decoder){.head = head, .text = text, .max = max};
}

/* --- bytes --- */

static bool
is_token(struct str s)
{
    return s.len && h1_scan_token(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

static bool
has_upper(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
            return true;
    return false;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9113 section 8.2.1, and the characters that HTTP/1.1 refuses as well. */
static bool
is_value(struct str s)
{
    if (s.len == 0)
        return true;
    return !is_blank(s.ptr[0]) && !is_blank(s.ptr[s.len - 1]) &&
           h1_scan_text(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

static bool
is_visible(struct str s)
{
    return h1_scan_low(s.ptr, s.ptr + s.len, ' ') == s.ptr + s.len;
}

/* --- one field --- */

/* Copies text behind what is there. Returns its offset. The ceiling of the buffer is above what
 * `max` lets in, so only a lack of memory can fail, which the buffer remembers. */
static uint32_t
keep(struct h2_head_decoder *decoder, struct str s)
{
    uint32_t off = (uint32_t)decoder->text->len;
    buf_append(decoder->text, s);
    return off;
}

static enum h2_head_error
add_field(struct h2_head_decoder *decoder, struct str name, struct str value, enum http_field_id id)
{
    uint32_t name_off = keep(decoder, name);
    uint32_t value_off = keep(decoder, value);
    if (!http_head_add(decoder->head, name_off, (uint16_t)name.len, value_off, (uint32_t)value.len,
                       id))
        return H2_HEAD_TOO_MANY_FIELDS;
    return H2_HEAD_OK;
}

static enum h2_head_error
add_method(struct h2_head_decoder *decoder, struct str value)
{
    struct http_head *head = decoder->head;
    if (!is_token(value))
        return H2_HEAD_BAD_METHOD;
    head->method = (uint8_t)http_method_id(value);
    head->method_off = keep(decoder, value);
    head->method_len = (uint32_t)value.len;
    return H2_HEAD_OK;
}

static enum h2_head_error
add_path(struct h2_head_decoder *decoder, struct str value)
{
    struct http_head *head = decoder->head;
    if (value.len == 0 || !is_visible(value) || (value.ptr[0] != '/' && !str_eq(value, STR("*"))))
        return H2_HEAD_BAD_PATH;
    head->target_off = keep(decoder, value);
    head->target_len = (uint32_t)value.len;
    return H2_HEAD_OK;
}

/* RFC 9113 section 8.3.1: never empty, and without user information, which is no part of a host. */
static enum h2_head_error
add_authority(struct h2_head_decoder *decoder, struct str value)
{
    if (value.len == 0 || !target_host_is_valid(value))
        return H2_HEAD_BAD_AUTHORITY;
    return add_field(decoder, STR("host"), value, HTTP_FIELD_HOST);
}

static enum h2_head_error
add_protocol(struct h2_head_decoder *decoder, struct str value)
{
    if (!is_token(value))
        return H2_HEAD_BAD_CONNECT;
    decoder->head->protocol_off = keep(decoder, value);
    decoder->head->protocol_len = (uint32_t)value.len;
    return H2_HEAD_OK;
}

static enum pseudo
pseudo_of(struct str name)
{
    if (str_eq(name, STR(":path")))
        return PSEUDO_PATH;
    if (str_eq(name, STR(":method")))
        return PSEUDO_METHOD;
    if (str_eq(name, STR(":scheme")))
        return PSEUDO_SCHEME;
    if (str_eq(name, STR(":authority")))
        return PSEUDO_AUTHORITY;
    return str_eq(name, STR(":protocol")) ? PSEUDO_PROTOCOL : 0;
}

static enum h2_head_error
add_pseudo(struct h2_head_decoder *decoder, struct str name, struct str value)
{
    enum pseudo pseudo = pseudo_of(name);
    if (pseudo == 0)
        return H2_HEAD_UNKNOWN_PSEUDO;
    if (decoder->fields_begun)
        return H2_HEAD_LATE_PSEUDO;
    if (decoder->seen & pseudo)
        return H2_HEAD_REPEATED_PSEUDO;
    decoder->seen |= (uint8_t)pseudo;
    switch (pseudo) {
    case PSEUDO_METHOD:
        return add_method(decoder, value);
    case PSEUDO_PATH:
        return add_path(decoder, value);
    case PSEUDO_AUTHORITY:
        return add_authority(decoder, value);
    case PSEUDO_PROTOCOL:
        return add_protocol(decoder, value);
    default:
        break;
    }
    bool known = str_ieq(value, STR("http")) || str_ieq(value, STR("https"));
    return known ? H2_HEAD_OK : H2_HEAD_BAD_SCHEME;
}

/* One that came as `:authority` already is not added again. */
static enum h2_head_error
add_host(struct h2_head_decoder *decoder, struct str name, struct str value)
{
    struct http_head *head = decoder->head;
    if (http_head_has(head, HTTP_FIELD_HOST)) {
        head->base = decoder->text->ptr;
        if (!(decoder->seen & PSEUDO_AUTHORITY))
            return H2_HEAD_REPEATED_HOST;
        bool same = str_ieq(http_head_value(head, HTTP_FIELD_HOST), value);
        return same ? H2_HEAD_OK : H2_HEAD_DIFFERENT_HOST;
    }
    if (value.len == 0 || !target_host_is_valid(value))
        return H2_HEAD_BAD_HOST;
    return add_field(decoder, name, value, HTTP_FIELD_HOST);
}

static enum h2_head_error
read_length(struct http_head *head, struct str value)
{
    uint64_t length;
    if (!str_to_u64(value, &length) || length > INT64_MAX)
        return H2_HEAD_BAD_CONTENT_LENGTH;
    if (head->body_kind == HTTP_BODY_LENGTH && length != head->content_length)
        return H2_HEAD_CONFLICTING_LENGTH;
    head->body_kind = HTTP_BODY_LENGTH;
    head->content_length = length;
    return H2_HEAD_OK;
}

static enum h2_head_error
read_expectation(struct http_head *head, struct str value)
{
    while (value.len) {
        struct str expectation = str_trim(str_cut(&value, ','));
        if (str_ieq(expectation, STR("100-continue")))
            head->expect_continue = true;
        else if (expectation.len)
            return H2_HEAD_BAD_EXPECTATION;
    }
    return H2_HEAD_OK;
}

static enum h2_head_error
add_regular(struct h2_head_decoder *decoder, struct str name, struct str value)
{
    struct http_head *head = decoder->head;
    enum h2_head_error error = H2_HEAD_OK;
    if (!is_token(name) || has_upper(name) || name.len > UINT16_MAX)
        return H2_HEAD_BAD_FIELD_NAME;
    if (!is_value(value))
        return H2_HEAD_BAD_FIELD_VALUE;
    enum http_field_id id = http_field_id(name);
    switch (id) {
    case HTTP_FIELD_CONNECTION:
    case HTTP_FIELD_KEEP_ALIVE:
    case HTTP_FIELD_PROXY_CONNECTION:
    case HTTP_FIELD_TRANSFER_ENCODING:
    case HTTP_FIELD_UPGRADE:
        return H2_HEAD_CONNECTION_FIELD;
    case HTTP_FIELD_TE:
        error = str_ieq(value, STR("trailers")) ? H2_HEAD_OK : H2_HEAD_BAD_TE;
        break;
    case HTTP_FIELD_HOST:
        return add_host(decoder, name, value);
    case HTTP_FIELD_CONTENT_LENGTH:
        error = read_length(head, value);
        break;
    case HTTP_FIELD_EXPECT:
        error = read_expectation(head, value);
        break;
    case HTTP_FIELD_COOKIE:
        decoder->many_cookies = http_head_has(head, HTTP_FIELD_COOKIE);
        break;
    case HTTP_FIELD_OTHER:
        if (str_eq(name, STR("priority"))) {
            h2_priority_parse(value, &decoder->priority);
            decoder->has_priority = true;
        }
        break;
    default:
        break;
    }
    return error == H2_HEAD_OK ? add_field(decoder, name, value, id) : error;
}

void
h2_head_add(struct h2_head_decoder *decoder, struct str name, struct str value)
{
    if (decoder->error)
        return;
    bool is_pseudo = name.len && name.ptr[0] == ':';
    size_t len = name.len + value.len + FIELD_OVERHEAD;
    if (len > decoder->max - decoder->list_len)
        decoder->error = str_eq(name, STR(":path")) ? H2_HEAD_TARGET_TOO_LONG : H2_HEAD_TOO_LARGE;
    else if (is_pseudo)
        decoder->error = (uint8_t)add_pseudo(decoder, name, value);
    else
        decoder->error = (uint8_t)add_regular(decoder, name, value);
    decoder->fields_begun |= !is_pseudo;
    decoder->list_len += decoder->error ? 0 : (uint32_t)len;
    if (buf_overflowed(decoder->text))
        decoder->error = H2_HEAD_TOO_LARGE;
}

/* --- the whole block --- */

/* RFC 9113 section 8.5, RFC 8441 section 4. */
static enum h2_head_error
check_connect(struct h2_head_decoder *decoder)
{
    struct http_head *head = decoder->head;
    unsigned extended = PSEUDO_SCHEME | PSEUDO_PATH | PSEUDO_AUTHORITY | PSEUDO_PROTOCOL;
    unsigned seen = decoder->seen & extended;
    if (seen == extended)
        return H2_HEAD_OK;
    if (seen != PSEUDO_AUTHORITY)
        return H2_HEAD_BAD_CONNECT;
    const struct http_field *host = &head->fields[head->first[HTTP_FIELD_HOST] - 1];
    head->target_off = host->value_off;
    head->target_len = host->value_len;
    return H2_HEAD_OK;
}

static enum h2_head_error
check_pseudo(struct h2_head_decoder *decoder)
{
    struct http_head *head = decoder->head;
    unsigned needed = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH;
    if (!(decoder->seen & PSEUDO_METHOD))
        return H2_HEAD_MISSING_PSEUDO;
    if (head->method == HTTP_METHOD_CONNECT)
        return check_connect(decoder);
    if (decoder->seen & PSEUDO_PROTOCOL)
        return H2_HEAD_BAD_CONNECT;
    if ((decoder->seen & needed) != needed)
        return H2_HEAD_MISSING_PSEUDO;
    if (http_head_target(head).ptr[0] == '*' && head->method != HTTP_METHOD_OPTIONS)
        return H2_HEAD_BAD_PATH;
    return http_head_has(head, HTTP_FIELD_HOST) ? H2_HEAD_OK : H2_HEAD_MISSING_HOST;
}

static enum h2_head_error
check_length(struct http_head *head, bool ends)
{
    if (head->body_kind == HTTP_BODY_NONE && !ends)
        head->body_kind = HTTP_BODY_CHUNKED;
    return ends && head->content_length ? H2_HEAD_LENGTH_MISMATCH : H2_HEAD_OK;
}

/* RFC 9113 section 8.2.3: the first cookie field becomes all of them, the others go. Empty
 * crumbs leave nothing behind. */
static void
join_cookies(struct h2_head_decoder *decoder)
{
    struct http_head *head = decoder->head;
    struct buf *text = decoder->text;
    struct http_field *first = &head->fields[head->first[HTTP_FIELD_COOKIE] - 1];
    uint32_t off = (uint32_t)text->len;
    unsigned kept = 0;
    /* The text is appended to itself: with the room made before, nothing moves. */
    if (!buf_reserve(text, decoder->list_len))
        return;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct http_field *field = &head->fields[i];
        if (field->id == HTTP_FIELD_COOKIE) {
            if (text->len > off && field->value_len)
                buf_append(text, STR("; "));
            buf_append(text, str_make(text->ptr + field->value_off, field->value_len));
            if (field != first)
                continue;
        } else if (field->id != HTTP_FIELD_OTHER && head->first[field->id] == i + 1) {
            head->first[field->id] = (uint16_t)(kept + 1);
        }
        head->fields[kept++] = *field;
    }
    head->field_count = (uint16_t)kept;
    first->value_off = off;
    first->value_len = (uint32_t)text->len - off;
}

enum h2_head_error
h2_head_finish(struct h2_head_decoder *decoder, bool ends)
{
    struct http_head *head = decoder->head;
    if (decoder->text->len)
        head->base = decoder->text->ptr;
    if (decoder->error == H2_HEAD_OK)
        decoder->error = (uint8_t)check_pseudo(decoder);
    if (decoder->error == H2_HEAD_OK)
        decoder->error = (uint8_t)check_length(head, ends);
    if (decoder->error == H2_HEAD_OK && decoder->many_cookies)
        join_cookies(decoder);
    if (decoder->error == H2_HEAD_OK && buf_overflowed(decoder->text))
        decoder->error = H2_HEAD_TOO_LARGE;
    if (decoder->text->len)
        head->base = decoder->text->ptr;
    return (enum h2_head_error)decoder->error;
}

bool
h2_trailer_is_valid(struct str name, struct str value)
{
    return is_token(name) && !has_upper(name) && is_value(value);
}

/* --- priorities --- */

/* One member of the dictionary, without its parameters. */
static void
read_member(struct str member, struct h2_priority *priority)
{
    struct str key = str_cut(&member, '=');
    struct str value = member;
    if (str_eq(key, STR("u")) && value.len == 1 && value.ptr[0] >= '0' &&
        value.ptr[0] <= '0' + H2_URGENCY_LAST)
        priority->urgency = (uint8_t)(value.ptr[0] - '0');
    else if (str_eq(key, STR("i")) && (value.len == 0 || str_eq(value, STR("?1"))))
        priority->incremental = true;
    else if (str_eq(key, STR("i")) && str_eq(value, STR("?0")))
        priority->incremental = false;
}

void
h2_priority_parse(struct str value, struct h2_priority *priority)
{
    *priority = (struct h2_priority){.urgency = H2_URGENCY_DEFAULT};
    while (value.len) {
        struct str member = str_cut(&value, ',');
        read_member(str_trim(str_cut(&member, ';')), priority);
    }
}
