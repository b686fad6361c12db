/* Fuzzes preconditions. Input: one byte of choices, then lines; the first is the opaque part of the
 * entity tag at hand, the others are field values.
 *
 * Checked: list membership agrees with a plain model; lines evaluated as fields of a head give what
 * the one joined list gives; and what the two kinds of comparison must have in common.
 */
#include "http/precond.h"

#include <stdlib.h>

enum { INPUT_MAX = 1024, LINES_MAX = 16 };

static const int64_t now = 1710000000;

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* --- a plain model of the list --- */

/* The grammar by recursive descent, one rule a function: p moves over what it takes. */
static bool
take(const char **p, const char *end, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(end - *p) < len || memcmp(*p, text, len) != 0)
        return false;
    *p += len;
    return true;
}

static void
take_blanks(const char **p, const char *end)
{
    while (take(p, end, " ") || take(p, end, "\t"))
        continue;
}

static bool
model_has(struct str list, struct str opaque, bool is_own_weak, bool strong)
{
    const char *p = list.ptr, *end = list.ptr + list.len;
    for (;;) {
        take_blanks(&p, end);
        if (p == end)
            return false;
        if (take(&p, end, ","))
            continue;
        bool is_weak = take(&p, end, "W/");
        const char *from = p;
        if (!take(&p, end, "\""))
            return false;
        while (p < end && *p != '"' && (unsigned char)*p > ' ' && *p != 127)
            p++;
        if (!take(&p, end, "\""))
            return false;
        bool is_equal = str_eq(str_make(from, (size_t)(p - from)), opaque);
        if (is_equal && !(strong && (is_weak || is_own_weak)))
            return true;
        take_blanks(&p, end);
        if (p < end && *p != ',')
            return false;
    }
}

static bool
model_has_or_star(struct str list, struct str opaque, bool is_own_weak, bool strong)
{
    return str_eq(str_trim(list), STR("*")) || model_has(list, opaque, is_own_weak, strong);
}

/* --- as fields of a head --- */

struct request {
    struct http_head head;
    struct http_field fields[LINES_MAX];
};

/* The lines of `text`, trimmed as the decoder does, as fields of one name. */
static void
request_init(struct request *request, struct str text, enum http_field_id id)
{
    http_head_init(&request->head, request->fields, LINES_MAX);
    request->head.base = text.ptr;
    request->head.method = HTTP_METHOD_GET;
    for (struct str rest = text; rest.len;) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (!http_head_add(&request->head, 0, 0, (uint32_t)(line.ptr - text.ptr),
                           (uint32_t)line.len, id))
            break;
    }
}

static struct str
join_lines(const struct http_head *head, char *out)
{
    size_t len = 0;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct str value = http_field_value(head, &head->fields[i]);
        if (i > 0) {
            out[len++] = ',';
            out[len++] = ' ';
        }
        memcpy(out + len, value.ptr, value.len);
        len += value.len;
    }
    return str_make(out, len);
}

static void
check_list(struct str text, const struct http_validators *validators, struct str opaque,
           bool is_weak)
{
    char joined[INPUT_MAX + 2 * LINES_MAX];
    struct request request;
    request_init(&request, text, HTTP_FIELD_IF_NONE_MATCH);
    struct str list = join_lines(&request.head, joined);
    bool weakly = http_etag_list_has(list, validators->etag, false);
    bool strongly = http_etag_list_has(list, validators->etag, true);
    check(weakly == model_has_or_star(list, opaque, is_weak, false));
    check(strongly == model_has_or_star(list, opaque, is_weak, true));
    check(weakly || !strongly);
    if (request.head.field_count == 0)
        return;
    check((http_precond_check(&request.head, validators, now) == HTTP_PRECOND_304) == weakly);
    request_init(&request, text, HTTP_FIELD_IF_MATCH);
    check((http_precond_check(&request.head, validators, now) == HTTP_PRECOND_NONE) == strongly);
}

/* If-Range holds for at most the one tag or the one date. */
static void
check_if_range(struct str text, const struct http_validators *validators)
{
    struct request request;
    request_init(&request, text, HTTP_FIELD_IF_RANGE);
    bool applies = http_precond_range_applies(&request.head, validators, now);
    struct str value = http_head_value(&request.head, HTTP_FIELD_IF_RANGE);
    if (request.head.field_count != 1)
        check(applies == (request.head.field_count == 0));
    else if (applies && value.ptr[0] == '"')
        check(str_eq(value, validators->etag));
    else
        check(!applies || value.len >= 24);
    request_init(&request, text, HTTP_FIELD_IF_MODIFIED_SINCE);
    enum http_precond modified = http_precond_check(&request.head, validators, now);
    request_init(&request, text, HTTP_FIELD_IF_UNMODIFIED_SINCE);
    enum http_precond unmodified = http_precond_check(&request.head, validators, now);
    /* One says "not later", the other "later"; both are silent for what is no date. */
    check(modified != HTTP_PRECOND_412 && unmodified != HTTP_PRECOND_304);
    check(modified == HTTP_PRECOND_NONE || unmodified == HTTP_PRECOND_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_MAX)
        return 0;
    char etag[INPUT_MAX + 4] = "W/\"", *bytes = malloc(size);
    check(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    struct str text = str_make(bytes, size - 1);
    struct str own = str_cut(&text, '\n');
    bool is_weak = data[0] & 1;
    size_t len = 3;
    for (size_t i = 0; i < own.len; i++)
        if ((unsigned char)own.ptr[i] > ' ' && own.ptr[i] != '"' && own.ptr[i] != 127)
            etag[len++] = own.ptr[i];
    etag[len++] = '"';
    struct str opaque = str_make(etag + 2, len - 2);
    struct http_validators validators = {
        .etag = is_weak ? str_make(etag, len) : opaque,
        .mtime = 784111777,
        .has_mtime = true,
        .exists = true,
    };
    check_list(text, &validators, opaque, is_weak);
    check_if_range(text, &validators);
    free(bytes);
    return 0;
}
