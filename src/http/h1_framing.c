/* The rules are strict where two parsers could disagree about where a message ends: a length is one
 * plain number, a coding is exactly "chunked", and never both.
 */
#include "http/h1_framing.h"
#include "http/h1_scan.h"

static enum h1_error
read_length(struct http_lines lines, struct h1_framing *out)
{
    struct str value;
    while (http_lines_next(&lines, &value)) {
        uint64_t length;
        if (!str_to_u64(value, &length) || length > INT64_MAX)
            return H1_ERROR_BAD_CONTENT_LENGTH;
        if (out->body_kind == HTTP_BODY_LENGTH && length != out->content_length)
            return H1_ERROR_CONFLICTING_LENGTH;
        out->body_kind = HTTP_BODY_LENGTH;
        out->content_length = length;
    }
    return H1_ERROR_NONE;
}

static bool
names_chunked(struct str coding)
{
    const struct str chunked = STR("chunked");
    for (size_t i = 0; i + chunked.len <= coding.len; i++)
        if (str_ieq(str_make(coding.ptr + i, chunked.len), chunked))
            return true;
    return false;
}

static bool
is_coding(struct str coding)
{
    struct str name = str_trim(str_cut(&coding, ';')); /* parameters may follow */
    return name.len && h1_scan_token(name.ptr, name.ptr + name.len) == name.ptr + name.len;
}

/* Why a Transfer-Encoding value other than "chunked" is refused. A well-formed list of other
 * codings, chunked at most as the last, is only unknown to us; whatever else mentions chunked
 * hopes that the next parser reads it differently. */
static enum h1_error
coding_error(struct str value)
{
    struct str rest = value;
    if (value.len == 0 || value.ptr[value.len - 1] == ',')
        return H1_ERROR_BAD_TRANSFER_CODING;
    while (rest.len) {
        struct str coding = str_trim(str_cut(&rest, ','));
        bool final_chunked = rest.len == 0 && str_ieq(coding, STR("chunked"));
        if (!is_coding(coding) || (names_chunked(coding) && !final_chunked))
            return H1_ERROR_BAD_TRANSFER_CODING;
    }
    return H1_ERROR_UNKNOWN_TRANSFER_CODING;
}

static enum h1_error
read_coding(const struct h1_fields *lines, const char *base, unsigned version_minor,
            struct h1_framing *out)
{
    if (version_minor == 0)
        return H1_ERROR_CODING_IN_HTTP10;
    if (h1_fields_have(lines, HTTP_FIELD_CONTENT_LENGTH))
        return H1_ERROR_LENGTH_AND_CODING;
    if (h1_fields_repeat(lines, HTTP_FIELD_TRANSFER_ENCODING))
        return H1_ERROR_BAD_TRANSFER_CODING;
    struct http_lines coding = h1_fields_lines(lines, base, HTTP_FIELD_TRANSFER_ENCODING);
    struct str value = {0};
    http_lines_next(&coding, &value);
    if (!str_ieq(value, STR("chunked")))
        return coding_error(value);
    out->body_kind = HTTP_BODY_CHUNKED;
    return H1_ERROR_NONE;
}

enum h1_error
h1_framing_read(const struct h1_fields *lines, const char *base, unsigned version_minor,
                struct h1_framing *out)
{
    if (h1_fields_have(lines, HTTP_FIELD_TRANSFER_ENCODING))
        return read_coding(lines, base, version_minor, out);
    if (h1_fields_have(lines, HTTP_FIELD_CONTENT_LENGTH))
        return read_length(h1_fields_lines(lines, base, HTTP_FIELD_CONTENT_LENGTH), out);
    return H1_ERROR_NONE;
}

bool
h1_framing_connection(const struct h1_fields *lines, const char *base, bool keep)
{
    struct http_lines connection = h1_fields_lines(lines, base, HTTP_FIELD_CONNECTION);
    struct str value;
    while (http_lines_next(&connection, &value)) {
        while (value.len) {
            struct str option = str_trim(str_cut(&value, ','));
            if (str_ieq(option, STR("close")))
                return false;
            if (str_ieq(option, STR("keep-alive")))
                keep = true;
        }
    }
    return keep;
}
