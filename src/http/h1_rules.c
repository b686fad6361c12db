#include "http/h1_rules.h"
#include "http/h1_framing.h"
#include "http/target.h"

static enum h1_error
check_host(const struct http_head *head, uint64_t repeated)
{
    if (!http_head_has(head, HTTP_FIELD_HOST))
        return head->version_minor ? H1_ERROR_MISSING_HOST : H1_ERROR_NONE;
    if (repeated >> HTTP_FIELD_HOST & 1)
        return H1_ERROR_REPEATED_HOST;
    if (!target_host_is_valid(http_head_value(head, HTTP_FIELD_HOST)))
        return H1_ERROR_BAD_HOST;
    return H1_ERROR_NONE;
}

/* RFC 9110 section 10.1.1; in HTTP/1.0 the expectation is ignored, as that section asks. */
static enum h1_error
read_expectation(struct http_head *head, const struct h1_fields *lines)
{
    struct http_lines expect = h1_fields_lines(lines, head->base, HTTP_FIELD_EXPECT);
    struct str value;
    while (http_lines_next(&expect, &value)) {
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

static enum h1_error
read_framing(struct http_head *head, const struct h1_fields *lines)
{
    struct h1_framing framing = {0};
    enum h1_error error = h1_framing_read(lines, head->base, head->version_minor, &framing);
    head->body_kind = framing.body_kind;
    head->content_length = framing.content_length;
    return error;
}

enum h1_error
h1_rules_apply(struct http_head *head, const struct h1_fields *lines)
{
    enum h1_error error = check_host(head, lines->repeated);
    if (error == H1_ERROR_NONE && h1_framing_present(lines))
        error = read_framing(head, lines);
    if (error == H1_ERROR_NONE && http_head_has(head, HTTP_FIELD_EXPECT))
        error = read_expectation(head, lines);
    head->keep_alive = h1_framing_keeps_alive(lines, head->base, head->version_minor);
    return error;
}
