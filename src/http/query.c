#include "http/query.h"

#include "base/hex.h"

/* Takes one decoded byte from the front of *s, which is not empty; -1: a bad escape. */
static int
take_byte(struct str *s)
{
    int c = (unsigned char)s->ptr[0];
    size_t len = 1;
    if (c == '%') {
        c = percent_value(*s);
        len = 3;
    }
    *s = str_skip(*s, len);
    return c == '+' && len == 1 ? ' ' : c;
}

static bool
name_is(struct str raw, struct str name)
{
    size_t at = 0;
    for (; raw.len && at < name.len; at++)
        if (take_byte(&raw) != (unsigned char)name.ptr[at])
            return false;
    return raw.len == 0 && at == name.len;
}

static enum query_result
decode(struct str raw, struct arena *arena, struct str *value)
{
    size_t len = 0;
    char *text = arena_alloc_text(arena, raw.len + 1);
    if (!text)
        return QUERY_TOO_LARGE;
    while (raw.len) {
        int c = take_byte(&raw);
        if (c <= 0)
            return QUERY_MALFORMED;
        text[len++] = (char)c;
    }
    text[len] = '\0';
    *value = str_make(text, len);
    return QUERY_FOUND;
}

enum query_result
query_find(struct str query, struct str name, struct arena *arena, struct str *value)
{
    struct str raw = {0};
    bool is_found = false;
    while (query.len) {
        struct str rest = str_cut(&query, '&');
        /* "&&" is no parameter; "=" is one without a name. */
        if (rest.len == 0 || !name_is(str_cut(&rest, '='), name))
            continue;
        raw = rest;
        is_found = true;
    }
    return is_found ? decode(raw, arena, value) : QUERY_ABSENT;
}
