#include "http/precond.h"

#include "http/date.h"

static bool
is_weak(struct str etag)
{
    return str_starts_with(etag, STR("W/"));
}

/* RFC 9110 section 8.8.3.2: strongly equal only when neither is weak; weakly, when the opaque parts
 * are the same. */
static bool
etags_match(struct str a, struct str b, bool strong)
{
    if (strong)
        return !is_weak(a) && str_eq(a, b);
    return str_eq(str_skip(a, is_weak(a) ? 2 : 0), str_skip(b, is_weak(b) ? 2 : 0));
}

/* etagc of section 8.8.3: no space, no control character, no quote. */
static bool
is_etag_char(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte > 0x20 && byte != '"' && byte != 0x7f;
}

/* Takes one entity tag from the front of *s. False, *s untouched, when there is none. */
static bool
take_etag(struct str *s, struct str *etag)
{
    size_t i = is_weak(*s) ? 2 : 0;
    if (i >= s->len || s->ptr[i] != '"')
        return false;
    for (i++; i < s->len && is_etag_char(s->ptr[i]);)
        i++;
    if (i >= s->len || s->ptr[i] != '"')
        return false;
    *etag = str_first(*s, i + 1);
    *s = str_skip(*s, i + 1);
    return true;
}

enum scan_result { SCAN_ABSENT, SCAN_FOUND, SCAN_FLAWED };

static struct str
skip_blank_and_commas(struct str s)
{
    size_t i = 0;
    while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == ','))
        i++;
    return str_skip(s, i);
}

/* Looks for `etag` in a list without "*". */
static enum scan_result
scan_etags(struct str list, struct str etag, bool strong)
{
    struct str member;
    for (list = skip_blank_and_commas(list); list.len; list = skip_blank_and_commas(list)) {
        if (!take_etag(&list, &member))
            return SCAN_FLAWED;
        if (etag.len && etags_match(member, etag, strong))
            return SCAN_FOUND;
        list = str_trim(list);
        if (list.len && list.ptr[0] != ',')
            return SCAN_FLAWED;
    }
    return SCAN_ABSENT;
}

bool
http_etag_list_has(struct str list, struct str etag, bool strong)
{
    return str_eq(str_trim(list), STR("*")) || scan_etags(list, etag, strong) == SCAN_FOUND;
}

/* The number of field lines with this id, at most `max`. */
static unsigned
count_lines(const struct http_head *head, enum http_field_id id, unsigned max)
{
    unsigned count = 0;
    if (head->first[id] == 0)
        return 0;
    for (unsigned i = head->first[id] - 1u; i < head->field_count && count < max; i++)
        count += head->fields[i].id == id;
    return count;
}

/* If-Match or If-None-Match over all its lines. They are one list, so a flaw ends it, and "*" in
 * company of other lines is a flaw. */
static bool
field_has_etag(const struct http_head *head, enum http_field_id id,
               const struct http_validators *validators, bool strong)
{
    struct str value = http_head_value(head, id);
    if (str_eq(str_trim(value), STR("*")) && count_lines(head, id, 2) == 1)
        return validators->exists;
    if (!validators->exists)
        return false;
    for (unsigned i = head->first[id] - 1u; i < head->field_count; i++) {
        if (head->fields[i].id != id)
            continue;
        value = http_field_value(head, &head->fields[i]);
        enum scan_result result = scan_etags(value, validators->etag, strong);
        if (result != SCAN_ABSENT)
            return result == SCAN_FOUND;
    }
    return false;
}

/* The date of a field; false when it is absent, no date, or given more than once. */
static bool
field_date(const struct http_head *head, enum http_field_id id, int64_t now, int64_t *seconds)
{
    return count_lines(head, id, 2) == 1 &&
           http_date_parse(str_trim(http_head_value(head, id)), now, seconds);
}

/* Steps 1 and 2 of RFC 9110 section 13.2.2. */
static bool
is_still_as_expected(const struct http_head *head, const struct http_validators *validators,
                     int64_t now)
{
    int64_t date;
    if (http_head_has(head, HTTP_FIELD_IF_MATCH))
        return field_has_etag(head, HTTP_FIELD_IF_MATCH, validators, true);
    if (!validators->exists || !validators->has_mtime ||
        !field_date(head, HTTP_FIELD_IF_UNMODIFIED_SINCE, now, &date))
        return true;
    return validators->mtime <= date;
}

enum http_precond
http_precond_check(const struct http_head *head, const struct http_validators *validators,
                   int64_t now)
{
    bool is_read = head->method == HTTP_METHOD_GET || head->method == HTTP_METHOD_HEAD;
    int64_t date;
    if (!is_still_as_expected(head, validators, now))
        return HTTP_PRECOND_412;
    if (http_head_has(head, HTTP_FIELD_IF_NONE_MATCH)) {
        if (!field_has_etag(head, HTTP_FIELD_IF_NONE_MATCH, validators, false))
            return HTTP_PRECOND_NONE;
        return is_read ? HTTP_PRECOND_304 : HTTP_PRECOND_412;
    }
    if (is_read && validators->exists && validators->has_mtime &&
        field_date(head, HTTP_FIELD_IF_MODIFIED_SINCE, now, &date) && validators->mtime <= date)
        return HTTP_PRECOND_304;
    return HTTP_PRECOND_NONE;
}

bool
http_precond_range_applies(const struct http_head *head, const struct http_validators *validators,
                           int64_t now)
{
    unsigned lines = count_lines(head, HTTP_FIELD_IF_RANGE, 2);
    if (lines == 0)
        return true;
    if (lines > 1 || !validators->exists)
        return false;
    struct str value = str_trim(http_head_value(head, HTTP_FIELD_IF_RANGE)), rest = value, etag;
    if (take_etag(&rest, &etag))
        return rest.len == 0 && validators->etag.len && etags_match(etag, validators->etag, true);
    int64_t date;
    return validators->has_mtime && http_date_parse(value, now, &date) &&
           date == validators->mtime && validators->mtime < now;
}
