#include "http/h1_request_out.h"
#include "base/must.h"
#include "http/h1_scan.h"
#include "http/target.h"

enum { LENGTH_DIGITS_MAX = 20 };

static bool
is_token(struct str s)
{
    return s.len && h1_scan_token(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

static bool
is_target(struct str s)
{
    return s.len && h1_scan_low(s.ptr, s.ptr + s.len, ' ') == s.ptr + s.len;
}

static bool
is_value(struct str s)
{
    return s.len == 0 || h1_scan_text(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

/* What decides where the request ends and whom it is for. */
static bool
is_reserved(struct str name)
{
    enum http_field_id id = http_field_id(name);
    return id == HTTP_FIELD_HOST || id == HTTP_FIELD_CONTENT_LENGTH ||
           id == HTTP_FIELD_TRANSFER_ENCODING;
}

static char *
put(char *at, struct str s)
{
    if (s.len)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

/* Writes a, b, c and d in a row, or nothing. */
static void
append(struct h1_request_out *out, struct str a, struct str b, struct str c, struct str d)
{
    size_t len = a.len + b.len + c.len + d.len;
    char *at = buf_reserve(out->buf, len);
    if (!at) {
        out->error = H1_OUT_TOO_LARGE;
        return;
    }
    put(put(put(put(at, a), b), c), d);
    buf_commit(out->buf, len);
}

static void
append_line(struct h1_request_out *out, struct str name, struct str value)
{
    append(out, name, STR(": "), value, STR("\r\n"));
}

void
h1_request_out_begin(struct h1_request_out *out, struct buf *buf, struct str method,
                     struct str target, struct str host)
{
    *out = (struct h1_request_out){
        .buf = buf, .start_len = buf->len, .was_overflowed = buf_overflowed(buf)};
    if (!is_token(method))
        out->error = H1_OUT_BAD_METHOD;
    else if (!is_target(target))
        out->error = H1_OUT_BAD_TARGET;
    else if (!target_host_is_valid(host))
        out->error = H1_OUT_BAD_HOST;
    else
        append(out, method, STR(" "), target, STR(" HTTP/1.1\r\n"));
    if (out->error == H1_OUT_OK)
        append_line(out, STR("Host"), host);
}

void
h1_request_out_field(struct h1_request_out *out, struct str name, struct str value)
{
    if (out->error != H1_OUT_OK)
        return;
    if (!is_token(name))
        out->error = H1_OUT_BAD_FIELD_NAME;
    else if (is_reserved(name))
        out->error = H1_OUT_RESERVED_FIELD;
    else if (!is_value(value))
        out->error = H1_OUT_BAD_FIELD_VALUE;
    else
        append_line(out, name, value);
}

static void
append_length(struct h1_request_out *out, uint64_t length)
{
    char digits[LENGTH_DIGITS_MAX];
    char *at = digits + sizeof(digits);
    do
        *--at = (char)('0' + length % 10);
    while (length /= 10);
    append_line(out, STR("Content-Length"), str_make(at, (size_t)(digits + sizeof(digits) - at)));
}

enum h1_out_error
h1_request_out_end(struct h1_request_out *out, enum http_body_kind body, uint64_t content_length)
{
    must(body == HTTP_BODY_NONE || body == HTTP_BODY_LENGTH || body == HTTP_BODY_CHUNKED);
    must(content_length <= INT64_MAX); /* what a decoder takes */
    if (out->error == H1_OUT_OK && body == HTTP_BODY_LENGTH)
        append_length(out, content_length);
    if (out->error == H1_OUT_OK && body == HTTP_BODY_CHUNKED)
        append_line(out, STR("Transfer-Encoding"), STR("chunked"));
    if (out->error == H1_OUT_OK)
        append(out, STR("\r\n"), STR(""), STR(""), STR(""));
    if (out->error != H1_OUT_OK) {
        out->buf->len = out->start_len;
        out->buf->overflowed = out->was_overflowed;
    }
    return out->error;
}

struct str
h1_out_error_text(enum h1_out_error error)
{
    static const struct str texts[] = {[H1_OUT_OK] = STR_INIT("no error"),
#define X(name, text) [H1_OUT_##name] = STR_INIT(text),
                                       H1_OUT_ERROR_TABLE(X)
#undef X
    };
    must((size_t)error < sizeof(texts) / sizeof(texts[0]));
    return texts[error];
}
