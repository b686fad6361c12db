#include "script/fetch_request.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/version.h"
#include "http/h1_scan.h"
#include "http/target.h"

enum { NAME_SHOWN_MAX = 64, ARENA_OVERHEAD = 1024 };

struct reader {
    struct json json;
    struct arena *arena;
    struct fetch_request *out;
    struct exchange_field *fields; /* SCRIPT_FETCH_FIELDS_MAX and ours */
    struct str url, body_base64;
    bool has_base64, has_agent;
    struct error *error;
};

static int
read_url(struct reader *reader)
{
    if (!json_string(&reader->json, reader->arena, &reader->url))
        return error_set(reader->error, "url: expected a string");
    if (!url_parse(reader->url, &reader->out->exchange.url))
        return error_set(reader->error, "url: no http or https URL");
    return 0;
}

static bool
is_all(struct str s, unsigned byte_class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!h1_byte_is(s.ptr[i], byte_class))
            return false;
    return true;
}

static int
read_method(struct reader *reader)
{
    struct str *method = &reader->out->exchange.method;
    if (!json_string(&reader->json, reader->arena, method) || method->len == 0 ||
        !is_all(*method, H1_BYTE_TOKEN))
        return error_set(reader->error, "method: expected a token such as GET");
    if (str_eq(*method, STR("CONNECT")))
        return error_set(reader->error, "method: CONNECT cannot be used");
    return 0;
}

static int
read_header(struct reader *reader, struct str name)
{
    struct exchange_request *exchange = &reader->out->exchange;
    struct str shown = str_first(name, NAME_SHOWN_MAX), value;
    enum http_field_id id = http_field_id(name);
    if (name.len == 0 || !is_all(name, H1_BYTE_TOKEN))
        return error_set(reader->error, "headers: \"%.*s\" is no name", STR_ARG(shown));
    if (!json_string(&reader->json, reader->arena, &value) || !is_all(value, H1_BYTE_TEXT))
        return error_set(reader->error,
                         "headers: the value of %.*s: expected a string without control characters",
                         STR_ARG(shown));
    if (id == HTTP_FIELD_CONTENT_LENGTH || id == HTTP_FIELD_TRANSFER_ENCODING)
        return error_set(reader->error, "headers: %.*s cannot be given", STR_ARG(shown));
    if (id == HTTP_FIELD_HOST) {
        if (value.len == 0 || !target_host_is_valid(value))
            return error_set(reader->error, "headers: the value of %.*s is no host",
                             STR_ARG(shown));
        exchange->host = value;
        return 0;
    }
    if (exchange->field_count == SCRIPT_FETCH_FIELDS_MAX)
        return error_set(reader->error, "headers: more than %d", SCRIPT_FETCH_FIELDS_MAX);
    reader->has_agent |= id == HTTP_FIELD_USER_AGENT;
    reader->fields[exchange->field_count++] =
        (struct exchange_field){arena_copy(reader->arena, name), value};
    return 0;
}

static int
read_headers(struct reader *reader)
{
    struct str name;
    reader->out->exchange.field_count = 0;
    reader->out->exchange.host = (struct str){0};
    reader->has_agent = false;
    json_object(&reader->json);
    while (json_member(&reader->json, &name))
        if (read_header(reader, name) != 0)
            return -1;
    if (reader->json.failed)
        return error_set(reader->error, "headers: expected an object of strings");
    return 0;
}

static int
read_number(struct reader *reader, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
    if (!json_u64(&reader->json, out) || *out < min || *out > max)
        return error_set(reader->error, "%s: expected a number from %llu to %llu", name,
                         (unsigned long long)min, (unsigned long long)max);
    return 0;
}

static int
read_member(struct reader *reader, struct str name)
{
    struct fetch_request *out = reader->out;
    if (str_eq(name, STR("url")))
        return read_url(reader);
    if (str_eq(name, STR("method")))
        return read_method(reader);
    if (str_eq(name, STR("headers")))
        return read_headers(reader);
    if (str_eq(name, STR("timeout_ms")))
        return read_number(reader, "timeout_ms", 1, SCRIPT_FETCH_MS_MAX, &out->timeout_ms);
    if (str_eq(name, STR("max_body")))
        return read_number(reader, "max_body", 0, SCRIPT_FETCH_BODY_MAX, &out->max_body);
    if (str_eq(name, STR("body"))) {
        out->has_body = json_string(&reader->json, reader->arena, &out->body);
        return out->has_body ? 0 : error_set(reader->error, "body: expected a string");
    }
    if (str_eq(name, STR("body_base64"))) {
        reader->has_base64 = json_string(&reader->json, reader->arena, &reader->body_base64);
        return reader->has_base64 ? 0 : error_set(reader->error, "body_base64: expected a string");
    }
    return error_set(reader->error, "unknown member \"%.*s\"",
                     STR_ARG(str_first(name, NAME_SHOWN_MAX)));
}

/* The text becomes the bytes that it stands for, where it is. */
static int
decode_body(struct reader *reader)
{
    struct str text = reader->body_base64;
    size_t len;
    if (reader->out->has_body)
        return error_set(reader->error, "both body and body_base64");
    char *bytes = (char *)text.ptr; /* in the arena, and nobody else's */
    if (!base64_decoded_len(BASE64_STANDARD, text, &len) ||
        !base64_decode_form(BASE64_STANDARD, text, bytes))
        return error_set(reader->error, "body_base64: it is no base64");
    reader->out->has_body = true;
    reader->out->body = str_make(bytes, len);
    return 0;
}

static int
read_all(struct reader *reader)
{
    struct str name;
    json_object(&reader->json);
    while (json_member(&reader->json, &name))
        if (read_member(reader, name) != 0)
            return -1;
    if (!json_done(&reader->json))
        return error_set(reader->error, "the request is no JSON object");
    if (reader->url.len == 0)
        return error_set(reader->error, "url is not there");
    return reader->has_base64 ? decode_body(reader) : 0;
}

size_t
fetch_request_memory(size_t text_len)
{
    /* Strings are no longer than their text; each ends with a NUL, for which there are quotes. */
    return text_len + (SCRIPT_FETCH_FIELDS_MAX + 1) * sizeof(struct exchange_field) +
           ARENA_OVERHEAD;
}

int
fetch_request_read(struct fetch_request *out, struct str text, struct arena *arena,
                   struct error *error)
{
    struct reader reader = {.arena = arena, .out = out, .error = error};
    *out = (struct fetch_request){
        .exchange.method = STR("GET"),
        .timeout_ms = SCRIPT_FETCH_MS,
        .max_body = SCRIPT_FETCH_BODY_MAX,
    };
    reader.fields =
        arena_alloc(arena, (SCRIPT_FETCH_FIELDS_MAX + 1) * sizeof(struct exchange_field));
    if (!reader.fields)
        return error_set(error, "no memory");
    json_init(&reader.json, text);
    if (read_all(&reader) != 0)
        return -1;
    if (arena_overflowed(arena))
        return error_set(error, "no memory");
    if (!reader.has_agent)
        reader.fields[out->exchange.field_count++] =
            (struct exchange_field){STR("User-Agent"), STR("tarn/" TARN_VERSION)};
    out->exchange.fields = reader.fields;
    return 0;
}
