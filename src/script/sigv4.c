/* In four steps, as AWS's documentation has them: canonical request, string to sign, signing key,
 * signature. The order of the texts in memory is that of struct sigv4_work; each has its ceiling,
 * and one that is full stays marked.
 */
#include "script/sigv4.h"

#include "base/hex.h"
#include "tls/digest.h"
#include "tls/hmac.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

static const int64_t last_second = 253402300799; /* 9999-12-31T23:59:59Z */

enum { TIME_LEN = 16, DATE_LEN = 8, SCOPE_MAX = 256, HEX_LEN = 2 * HMAC_SHA256_LEN };

struct text {
    char *ptr;
    size_t len, max;
    bool full;
};

#define TEXT(array) ((struct text){.ptr = (array), .max = sizeof(array)})

static struct str
text_str(const struct text *text)
{
    return str_make(text->ptr, text->len);
}

static void
put(struct text *text, struct str s)
{
    if (s.len > text->max - text->len) {
        text->full = true;
        return;
    }
    if (s.len)
        memcpy(text->ptr + text->len, s.ptr, s.len);
    text->len += s.len;
}

static void
put_char(struct text *text, char c)
{
    put(text, str_make(&c, 1));
}

/* --- encoding --- */

static bool
is_unreserved(char c)
{
    char lower = str_lower_char(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static void
put_encoded_char(struct text *text, char c, const char *kept)
{
    char encoded[3];
    if (is_unreserved(c) || (c && strchr(kept, c)))
        put_char(text, c);
    else
        put(text, str_make(encoded, percent_put(encoded, c)));
}

static void
put_encoded(struct text *text, struct str s, const char *kept)
{
    for (size_t i = 0; i < s.len; i++)
        put_encoded_char(text, s.ptr[i], kept);
}

/* The same of what s stands for: what is encoded in it already is not encoded twice. */
static void
put_encoded_once(struct text *text, struct str s, const char *kept)
{
    while (s.len) {
        int byte = percent_value(s);
        put_encoded_char(text, byte < 0 ? s.ptr[0] : (char)byte, kept);
        s = str_skip(s, byte < 0 ? 1 : 3);
    }
}

/* As a client would send it: only what cannot stand in a path is encoded. */
static void
put_sendable_path(struct text *text, struct str path)
{
    for (; path.len; path = str_skip(path, 1))
        if (percent_value(path) >= 0)
            put_char(text, '%');
        else
            put_encoded_char(text, path.ptr[0], "/!$&'()*+,;=:@");
}

/* --- the path --- */

bool
sigv4_keeps_path(struct str service)
{
    return str_eq(service, STR("s3")) || str_eq(service, STR("s3express")) ||
           str_eq(service, STR("s3-outposts")) || str_eq(service, STR("s3-object-lambda"));
}

/* Takes the last segment, with the slash before it, off what stands behind `start`. */
static void
drop_segment(struct text *text, size_t start)
{
    while (text->len > start && text->ptr[--text->len] != '/')
        continue;
}

/* Without empty segments and dot segments; a slash at the end stays. */
static void
put_normalized(struct text *text, struct str path)
{
    bool ends_in_slash = str_ends_with(path, STR("/"));
    size_t start = text->len;
    while (path.len) {
        struct str segment = str_cut(&path, '/');
        if (segment.len == 0 || str_eq(segment, STR(".")))
            continue;
        if (str_eq(segment, STR(".."))) {
            drop_segment(text, start);
            continue;
        }
        put_char(text, '/');
        put_encoded(text, segment, "");
    }
    if (text->len == start || ends_in_slash)
        put_char(text, '/');
}

static void
put_path(struct text *text, const struct sigv4_request *request, struct str path)
{
    if (!request->keeps_path)
        put_normalized(text, path);
    else
        put_encoded_once(text, path.len ? path : STR("/"), "/");
}

/* --- the query --- */

struct query {
    struct sigv4_work *work;
    struct text text;
    unsigned count;
    bool full;
};

typedef void put_fn(struct text *text, struct str s, const char *kept);

static void
add_param(struct query *query, struct str name, struct str value, put_fn *put_part)
{
    size_t start = query->text.len;
    if (query->count == SIGV4_PARAMS_MAX) {
        query->full = true;
        return;
    }
    put_part(&query->text, name, "");
    size_t middle = query->text.len;
    put_part(&query->text, value, "");
    query->work->params[query->count++] = (struct sigv4_param){
        .name = str_make(query->text.ptr + start, middle - start),
        .value = str_make(query->text.ptr + middle, query->text.len - middle),
    };
}

static void
add_query(struct query *query, struct str text)
{
    while (text.len) {
        struct str value = str_cut(&text, '&'), name = str_cut(&value, '=');
        if (name.len || value.len)
            add_param(query, name, value, put_encoded_once);
    }
}

static int
compare_params(const void *a, const void *b)
{
    const struct sigv4_param *first = a, *second = b;
    int by_name = str_cmp(first->name, second->name);
    return by_name ? by_name : str_cmp(first->value, second->value);
}

static void
put_query(struct text *text, struct query *query)
{
    const struct sigv4_param *params = query->work->params;
    qsort(query->work->params, query->count, sizeof *params, compare_params);
    for (unsigned i = 0; i < query->count; i++) {
        if (i)
            put_char(text, '&');
        put(text, params[i].name);
        put_char(text, '=');
        put(text, params[i].value);
    }
    text->full |= query->full || query->text.full;
}

/* --- header fields --- */

/* Not one that could be taken for another part of what is signed. */
static bool
is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr(":;,", c))
            return false;
    }
    return name.len > 0;
}

/* Into work->lines, in the order of names; those of one name stay as they came. */
static enum sigv4_result
sort_fields(struct sigv4_work *work, const struct sigv4_request *request)
{
    struct text names = TEXT(work->names);
    bool has_host = false;
    if (request->field_count > SIGV4_FIELDS_MAX)
        return SIGV4_TOO_LARGE;
    for (unsigned i = 0; i < request->field_count; i++) {
        struct sigv4_line line = {str_make(names.ptr + names.len, 0), request->fields[i].value};
        struct str name = str_trim(request->fields[i].name);
        unsigned at = i;
        if (!is_name(name))
            return SIGV4_REFUSED;
        for (size_t j = 0; j < name.len; j++)
            put_char(&names, str_lower_char(name.ptr[j]));
        line.name.len = (size_t)(names.ptr + names.len - line.name.ptr);
        for (; at > 0 && str_cmp(work->lines[at - 1].name, line.name) > 0; at--)
            work->lines[at] = work->lines[at - 1];
        work->lines[at] = line;
        has_host |= str_eq(line.name, STR("host"));
    }
    return names.full ? SIGV4_TOO_LARGE : has_host ? SIGV4_OK : SIGV4_REFUSED;
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without spaces at both ends; several in a row are one. */
static void
put_value(struct text *text, struct str value)
{
    bool begun = false, in_space = false;
    for (size_t i = 0; i < value.len; i++) {
        if (is_space(value.ptr[i])) {
            in_space = begun;
            continue;
        }
        if (in_space)
            put_char(text, ' ');
        put_char(text, value.ptr[i]);
        begun = true;
        in_space = false;
    }
}

static bool
is_same_name(const struct sigv4_line *lines, unsigned at)
{
    return at > 0 && str_eq(lines[at - 1].name, lines[at].name);
}

static void
put_fields(struct text *text, const struct sigv4_line *lines, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_same_name(lines, i)) {
            put_char(text, ',');
        } else {
            put(text, i ? STR("\n") : STR(""));
            put(text, lines[i].name);
            put_char(text, ':');
        }
        put_value(text, lines[i].value);
    }
    put_char(text, '\n');
}

static struct str
put_signed_names(struct sigv4_work *work, unsigned count)
{
    struct text text = TEXT(work->signed_names);
    for (unsigned i = 0; i < count; i++) {
        if (is_same_name(work->lines, i))
            continue;
        put(&text, i ? STR(";") : STR(""));
        put(&text, work->lines[i].name);
    }
    return text_str(&text); /* no longer than the names and as many semicolons */
}

/* --- signing --- */

/* When it is signed, and what for. */
struct scope {
    char time[TIME_LEN + 1];
    char text[SCOPE_MAX];
    size_t len;
};

static bool
scope_init(struct scope *scope, const struct sigv4_request *request)
{
    time_t seconds = (time_t)request->time_s;
    struct tm tm;
    struct text text = TEXT(scope->text);
    if (request->time_s < 0 || request->time_s > last_second || !gmtime_r(&seconds, &tm))
        return false;
    strftime(scope->time, sizeof scope->time, "%Y%m%dT%H%M%SZ", &tm);
    put(&text, str_make(scope->time, DATE_LEN));
    put_char(&text, '/');
    put(&text, request->region);
    put_char(&text, '/');
    put(&text, request->service);
    put(&text, STR("/aws4_request"));
    scope->len = text.len;
    return !text.full;
}

static struct str
scope_str(const struct scope *scope)
{
    return str_make(scope->text, scope->len);
}

static void
derive(uint8_t key[static HMAC_SHA256_LEN], struct str message)
{
    hmac_of(SHA2_256, str_make((const char *)key, HMAC_SHA256_LEN), message, key);
}

static void
sign(const struct sigv4_request *request, const struct scope *scope, struct str canonical,
     char out[static HEX_LEN])
{
    char secret[SIGV4_CREDENTIAL_MAX + 4], to_sign[SCOPE_MAX + 128], hash_hex[HEX_LEN];
    uint8_t hash[DIGEST_SHA256_LEN], key[HMAC_SHA256_LEN];
    struct text secret_text = TEXT(secret), text = TEXT(to_sign);
    digest_of(DIGEST_SHA256, canonical, hash);
    hex_encode(str_make((const char *)hash, sizeof hash), false, hash_hex);
    put(&text, STR(ALGORITHM "\n"));
    put(&text, str_make(scope->time, TIME_LEN));
    put_char(&text, '\n');
    put(&text, scope_str(scope));
    put_char(&text, '\n');
    put(&text, str_make(hash_hex, HEX_LEN));
    put(&secret_text, STR("AWS4"));
    put(&secret_text, request->secret_key);
    hmac_of(SHA2_256, text_str(&secret_text), str_make(scope->time, DATE_LEN), key);
    derive(key, request->region);
    derive(key, request->service);
    derive(key, STR("aws4_request"));
    derive(key, text_str(&text));
    hex_encode(str_make((const char *)key, sizeof key), false, out);
}

static bool
is_within_limits(const struct sigv4_request *request)
{
    size_t fields_len = 0;
    for (unsigned i = 0; i < request->field_count; i++)
        fields_len += request->fields[i].name.len + request->fields[i].value.len + 2;
    return request->access_key.len <= SIGV4_CREDENTIAL_MAX &&
           request->secret_key.len <= SIGV4_CREDENTIAL_MAX &&
           request->region.len <= SIGV4_NAME_MAX && request->service.len <= SIGV4_NAME_MAX &&
           request->method.len <= SIGV4_NAME_MAX && request->uri.len <= SIGV4_URI_MAX &&
           request->body_hash.len <= SIGV4_BODY_HASH_MAX && fields_len <= SIGV4_FIELDS_LEN_MAX;
}

/* What both ways of signing begin with. */
static enum sigv4_result
begin(struct sigv4_work *work, const struct sigv4_request *request, struct scope *scope,
      struct str *signed_names)
{
    if (!is_within_limits(request) || !scope_init(scope, request))
        return SIGV4_TOO_LARGE;
    enum sigv4_result result = sort_fields(work, request);
    if (result == SIGV4_OK)
        *signed_names = put_signed_names(work, request->field_count);
    return result;
}

/* `path` is what will be sent. False: too large. */
static bool
make_canonical(struct sigv4_work *work, const struct sigv4_request *request, struct str path,
               struct query *query, struct str signed_names, struct str body_hash)
{
    struct text text = TEXT(work->canonical);
    for (size_t i = 0; i < request->method.len; i++) {
        char c = request->method.ptr[i];
        put_char(&text, c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c);
    }
    put_char(&text, '\n');
    put_path(&text, request, path);
    put_char(&text, '\n');
    put_query(&text, query);
    put_char(&text, '\n');
    put_fields(&text, work->lines, request->field_count);
    put_char(&text, '\n');
    put(&text, signed_names);
    put_char(&text, '\n');
    put(&text, body_hash);
    work->canonical_len = text.len;
    return !text.full;
}

enum sigv4_result
sigv4_authorization(struct sigv4_work *work, const struct sigv4_request *request, struct str *out)
{
    struct scope scope;
    struct str signed_names, rest = request->uri, path = str_cut(&rest, '?');
    struct query query = {.work = work, .text = TEXT(work->query)};
    struct text text = TEXT(work->out);
    char signature[HEX_LEN];
    enum sigv4_result result = begin(work, request, &scope, &signed_names);
    if (result != SIGV4_OK)
        return result;
    add_query(&query, rest);
    if (!make_canonical(work, request, path, &query, signed_names, request->body_hash))
        return SIGV4_TOO_LARGE;
    sign(request, &scope, str_make(work->canonical, work->canonical_len), signature);
    put(&text, STR(ALGORITHM " Credential="));
    put(&text, request->access_key);
    put_char(&text, '/');
    put(&text, scope_str(&scope));
    put(&text, STR(", SignedHeaders="));
    put(&text, signed_names);
    put(&text, STR(", Signature="));
    put(&text, str_make(signature, HEX_LEN));
    *out = text_str(&text);
    return text.full ? SIGV4_TOO_LARGE : SIGV4_OK;
}

/* --- presigned URLs --- */

static void
add_signing_params(struct query *query, const struct sigv4_request *request,
                   const struct scope *scope, uint64_t expires_s, struct str signed_names)
{
    char credential[SIGV4_CREDENTIAL_MAX + 1 + SCOPE_MAX], seconds[24];
    struct text text = TEXT(credential);
    put(&text, request->access_key);
    put_char(&text, '/');
    put(&text, scope_str(scope));
    int len = snprintf(seconds, sizeof seconds, "%" PRIu64, expires_s);
    add_param(query, STR("X-Amz-Algorithm"), STR(ALGORITHM), put_encoded);
    add_param(query, STR("X-Amz-Credential"), text_str(&text), put_encoded);
    add_param(query, STR("X-Amz-Date"), str_make(scope->time, TIME_LEN), put_encoded);
    add_param(query, STR("X-Amz-Expires"), str_make(seconds, (size_t)len), put_encoded);
    add_param(query, STR("X-Amz-SignedHeaders"), signed_names, put_encoded);
}

enum sigv4_result
sigv4_presign(struct sigv4_work *work, const struct sigv4_request *request, uint64_t expires_s,
              struct str *out)
{
    struct scope scope;
    struct str signed_names, rest = request->uri, path = str_cut(&rest, '?');
    struct query query = {.work = work, .text = TEXT(work->query)};
    struct text text = TEXT(work->out);
    char signature[HEX_LEN];
    if (expires_s == 0 || expires_s > SIGV4_EXPIRES_MAX_S)
        return SIGV4_TOO_LARGE;
    enum sigv4_result result = begin(work, request, &scope, &signed_names);
    if (result != SIGV4_OK)
        return result;
    add_query(&query, rest);
    add_signing_params(&query, request, &scope, expires_s, signed_names);
    if (request->keeps_path)
        put_path(&text, request, path);
    else
        put_sendable_path(&text, path.len ? path : STR("/"));
    if (!make_canonical(work, request, text_str(&text), &query, signed_names,
                        STR("UNSIGNED-PAYLOAD")))
        return SIGV4_TOO_LARGE;
    sign(request, &scope, str_make(work->canonical, work->canonical_len), signature);
    put_char(&text, '?');
    put_query(&text, &query);
    put(&text, STR("&X-Amz-Signature="));
    put(&text, str_make(signature, HEX_LEN));
    *out = text_str(&text);
    return text.full ? SIGV4_TOO_LARGE : SIGV4_OK;
}
