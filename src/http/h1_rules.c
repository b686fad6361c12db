/* The rules are strict where two parsers could disagree about where a request ends: a length is one
 * plain number, a coding is exactly "chunked", and never both.
 */
#include "http/h1_rules.h"
#include "http/h1_scan.h"
#include "http/target.h"

_Static_assert(HTTP_FIELD_ID_COUNT <= 32, "a mask of field ids fits 32 bits");

/* The field lines of one name, in order. */
struct lines {
    const struct http_head *head;
    unsigned id;
    unsigned at;
    unsigned stop;
};

static struct lines
lines_of(const struct http_head *head, uint32_t repeated, enum http_field_id id)
{
    unsigned first = head->first[id];
    bool many = (repeated >> id & 1) != 0;
    return (struct lines){
        .head = head,
        .id = id,
        .at = first ? first - 1 : 0,
        .stop = many ? head->field_count : first, /* one line, or none: no search for more */
    };
}

static bool
lines_next(struct lines *lines, struct str *value)
{
    while (lines->at < lines->stop) {
        const struct http_field *field = &lines->head->fields[lines->at++];
        if (field->id == lines->id) {
            *value = http_field_value(lines->head, field);
            return true;
        }
    }
    return false;
}

static enum h1_error
check_host(const struct http_head *head, uint32_t repeated)
{
    if (!http_head_has(head, HTTP_FIELD_HOST))
        return head->version_minor ? H1_ERROR_MISSING_HOST : H1_ERROR_NONE;
    if (repeated >> HTTP_FIELD_HOST & 1)
        return H1_ERROR_REPEATED_HOST;
    if (!target_host_is_valid(http_head_value(head, HTTP_FIELD_HOST)))
        return H1_ERROR_BAD_HOST;
    return H1_ERROR_NONE;
}

static enum h1_error
read_length(struct http_head *head, uint32_t repeated)
{
    struct lines lines = lines_of(head, repeated, HTTP_FIELD_CONTENT_LENGTH);
    struct str value;
    while (lines_next(&lines, &value)) {
        uint64_t length;
        if (!str_to_u64(value, &length) || length > INT64_MAX)
            return H1_ERROR_BAD_CONTENT_LENGTH;
        if (head->body_kind == HTTP_BODY_LENGTH && length != head->content_length)
            return H1_ERROR_CONFLICTING_LENGTH;
        head->body_kind = HTTP_BODY_LENGTH;
        head->content_length = length;
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
read_coding(struct http_head *head, uint32_t repeated)
{
    if (head->version_minor == 0)
        return H1_ERROR_CODING_IN_HTTP10;
    if (http_head_has(head, HTTP_FIELD_CONTENT_LENGTH))
        return H1_ERROR_LENGTH_AND_CODING;
    if (repeated >> HTTP_FIELD_TRANSFER_ENCODING & 1)
        return H1_ERROR_BAD_TRANSFER_CODING;
    struct str value = http_head_value(head, HTTP_FIELD_TRANSFER_ENCODING);
    if (!str_ieq(value, STR("chunked")))
        return coding_error(value);
    head->body_kind = HTTP_BODY_CHUNKED;
    return H1_ERROR_NONE;
}

static enum h1_error
read_framing(struct http_head *head, uint32_t repeated)
{
    if (http_head_has(head, HTTP_FIELD_TRANSFER_ENCODING))
        return read_coding(head, repeated);
    if (http_head_has(head, HTTP_FIELD_CONTENT_LENGTH))
        return read_length(head, repeated);
    return H1_ERROR_NONE;
}

/* RFC 9112 section 9.3. */
static bool
wants_keep_alive(const struct http_head *head, uint32_t repeated)
{
    bool keep = head->version_minor != 0;
    struct lines lines = lines_of(head, repeated, HTTP_FIELD_CONNECTION);
    struct str value;
    while (lines_next(&lines, &value)) {
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

/* RFC 9110 section 10.1.1; in HTTP/1.0 the expectation is ignored, as that section asks. */
static enum h1_error
read_expectation(struct http_head *head, uint32_t repeated)
{
    struct lines lines = lines_of(head, repeated, HTTP_FIELD_EXPECT);
    struct str value;
    while (lines_next(&lines, &value)) {
        while (value.len) {
            struct str expectation = str_trim(str_cut(&value, ','));
            if (str_ieq(expectation, STR("100-continue")))
                head->expect_continue = head->version_minor != 0;
            else if (expectation.len)
                return H1_ERROR_BAD_EXPECTATION;
        }
    }
    return H1_ERROR_NONE;
}

enum h1_error
h1_rules_apply(struct http_head *head, uint32_t repeated)
{
    enum h1_error error = check_host(head, repeated);
    if (error == H1_ERROR_NONE)
        error = read_framing(head, repeated);
    if (error == H1_ERROR_NONE && http_head_has(head, HTTP_FIELD_EXPECT))
        error = read_expectation(head, repeated);
    head->keep_alive = wants_keep_alive(head, repeated);
    return error;
}
