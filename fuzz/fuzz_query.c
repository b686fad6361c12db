/* Fuzzes query strings and times to live. Input: one byte for the length of a name, the name, then
 * the query.
 *
 * Checked against plain models: a list of all parameters, each decoded, that is searched from its
 * end; for times to live a regular expression and wide numbers.
 */
#include "base/duration.h"
#include "http/query.h"

#include <regex.h>
#include <stdlib.h>

enum { INPUT_MAX = 1024 };

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* Decodes up to `end`. Returns the length, or -1 for a bad escape. */
static int
model_decode(const char *from, const char *end, char *out)
{
    int len = 0;
    for (; from < end; from++) {
        out[len] = *from == '+' ? ' ' : *from;
        if (*from == '%') {
            char digits[3] = {end - from > 2 ? from[1] : 'x', end - from > 2 ? from[2] : 'x', '\0'};
            if (strspn(digits, "0123456789abcdefABCDEF") != 2)
                return -1;
            out[len] = (char)strtol(digits, NULL, 16);
            from += 2;
        }
        len++;
    }
    return len;
}

static const char *
find_end(const char *from, const char *end, char sep)
{
    const char *hit = from < end ? memchr(from, sep, (size_t)(end - from)) : NULL;
    return hit ? hit : end;
}

static enum query_result
model_find(struct str query, struct str name, char *value, int *value_len)
{
    enum query_result result = QUERY_ABSENT;
    const char *end = query.ptr + query.len;
    char decoded[INPUT_MAX];
    for (const char *at = query.ptr; at < end;) {
        const char *stop = find_end(at, end, '&'), *equals = find_end(at, stop, '=');
        int len = model_decode(at, equals, decoded);
        if (at < stop && len == (int)name.len && memcmp(decoded, name.ptr, name.len) == 0) {
            *value_len = model_decode(equals < stop ? equals + 1 : stop, stop, value);
            bool is_bad = *value_len < 0 || memchr(value, '\0', (size_t)*value_len);
            result = is_bad ? QUERY_MALFORMED : QUERY_FOUND;
        }
        at = stop + 1;
    }
    return result;
}

static void
check_ttl(struct str text)
{
    static regex_t grammar;
    static bool is_ready;
    char copy[INPUT_MAX + 1];
    int64_t seconds;
    if (!is_ready)
        check(regcomp(&grammar, "^0*([0-9]{1,20})[smhd]$", REG_EXTENDED) == 0);
    is_ready = true;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    regmatch_t at[2];
    bool ok = duration_parse_ttl(text, &seconds);
    if (strlen(copy) != text.len || regexec(&grammar, copy, 2, at, 0) != 0) {
        check(!ok);
        return;
    }
    unsigned __int128 value = 0;
    for (const char *p = copy; *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (unsigned)(*p - '0');
    char unit = copy[text.len - 1];
    value *= unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 86400;
    check(ok == (value > 0 && value <= DURATION_MAX_S));
    if (ok)
        check((unsigned __int128)seconds == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct str value;
    char expected[INPUT_MAX];
    int expected_len = 0;
    if (size < 1 || size > INPUT_MAX)
        return 0;
    struct str rest = str_make((const char *)data + 1, size - 1);
    struct str name = str_first(rest, data[0] % 16);
    rest = str_skip(rest, name.len);
    char *exact = malloc(rest.len ? rest.len : 1);
    check(exact != NULL);
    memcpy(exact, rest.ptr, rest.len);
    arena_init(&arena, INPUT_MAX, INPUT_MAX);
    enum query_result result = query_find(str_make(exact, rest.len), name, &arena, &value);
    check(result == model_find(rest, name, expected, &expected_len));
    if (result == QUERY_FOUND) {
        check(str_eq(value, str_make(expected, (size_t)expected_len)));
        check(value.ptr[value.len] == '\0' && strlen(value.ptr) == value.len);
        check_ttl(value);
    }
    check_ttl(str_make(exact, rest.len));
    arena_deinit(&arena);
    free(exact);
    return 0;
}
