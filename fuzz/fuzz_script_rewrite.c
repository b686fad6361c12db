/* Fuzzes what scripts ask for in JSON: changes of paths, queries and values, and regular
 * expressions. The first byte says what, then texts, each up to a NUL:
 *
 *   regex    expression, text, replacement. Checked: matches are in the text, in order, the
 * leftmost ones, and found again from where they begin; replacing is what the matches say; steps
 *            are kept;
 *   uri      changes, path, query. Checked: a path comes out, within the ceiling;
 *   query    changes, query. Checked: it is encoded and sorted, and the same when it is rewritten
 *            without changes;
 *   value    changes, value. Checked: without an expression, nothing that was searched for is left
 *            out;
 *   path     a path. Checked: without detours it is the same path, and has none;
 *   form     text. Checked: encoded and decoded it is the same.
 */
#include "base/limits.h"
#include "http/target.h"
#include "script/form.h"
#include "script/rewrite.h"

#include <stdlib.h>

enum { INPUT_MAX = 2048, STEPS = 20000 };

static const uint8_t *at, *end;
static struct rewrite *rewrite;

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* A block of exact size, so that reading past it is seen; freed with the next input. */
static struct str
take_text(void)
{
    static char *blocks[4];
    static unsigned next;
    struct str left = str_make((const char *)at, (size_t)(end - at));
    struct str text = str_first(left, str_find_char(left, '\0'));
    char **block = &blocks[next++ % 4];
    at += text.len + (text.len < left.len);
    free(*block);
    *block = malloc(text.len ? text.len : 1);
    check(*block);
    memcpy(*block, text.ptr, text.len);
    return str_make(*block, text.len);
}

/* --- expressions --- */

static bool
find(const struct regex *regex, struct regex_matcher *matcher, struct str text, size_t from,
     uint32_t *groups)
{
    uint32_t before = matcher->steps_left;
    enum regex_result result = regex_find(regex, matcher, text, from, groups);
    check(matcher->steps_left < before || before == 0 || result == REGEX_TOO_SLOW);
    if (result != REGEX_MATCH)
        return false;
    check(groups[0] >= from && groups[0] <= groups[1] && groups[1] <= text.len);
    for (unsigned i = 1; i < regex_group_count(regex); i++) {
        uint32_t start = groups[2 * i], stop = groups[2 * i + 1];
        check(stop == REGEX_UNSET || (start <= stop && stop <= groups[1] && start >= groups[0]));
    }
    return true;
}

/* Where a match begins, one is found, and nowhere before. */
static void
check_leftmost(const struct regex *regex, struct regex_matcher *matcher, struct str text,
               const uint32_t *groups)
{
    uint32_t again[2 * REGEX_GROUPS_MAX];
    matcher->steps_left = STEPS;
    if (find(regex, matcher, text, groups[0], again))
        check(memcmp(again, groups, 2 * regex_group_count(regex) * sizeof *groups) == 0);
    else
        check(matcher->steps_left < STEPS);
}

static void
check_replaced(const struct regex *regex, struct regex_matcher *matcher, struct str text)
{
    struct buf same;
    buf_init(&same, 1 << 20);
    matcher->steps_left = STEPS;
    enum regex_result result = regex_replace(regex, matcher, text, STR("$0"), &same);
    if (result == REGEX_MATCH)
        check(str_eq(buf_str(&same), text));
    else
        check(result == REGEX_TOO_SLOW || same.len == 0);
    buf_deinit(&same);
}

static void
fuzz_regex(void)
{
    struct str pattern = take_text(), text = take_text(), replacement = take_text();
    static struct regex_matcher matcher;
    uint32_t groups[2 * REGEX_GROUPS_MAX];
    struct regex *regex;
    struct error error;
    struct buf out;
    if (regex_new(&regex, pattern, &error) < 0) {
        check(error.text[0] && !strchr(error.text, '\n'));
        return;
    }
    check(str_eq(regex_pattern(regex), pattern));
    matcher.steps_left = STEPS;
    bool matches = find(regex, &matcher, text, 0, groups);
    bool is_slow = matcher.steps_left == 0;
    if (matches)
        check_leftmost(regex, &matcher, text, groups);
    buf_init(&out, 1 << 16);
    matcher.steps_left = STEPS;
    enum regex_result result = regex_replace(regex, &matcher, text, replacement, &out);
    check(result == REGEX_TOO_SLOW || is_slow || (result == REGEX_MATCH) == matches);
    buf_deinit(&out);
    check_replaced(regex, &matcher, text);
    regex_free(regex);
}

/* --- targets and values --- */

static void
fuzz_uri(void)
{
    struct str changes = take_text(), path = take_text(), query = take_text();
    struct error error;
    if (path.len == 0 || path.ptr[0] != '/')
        return;
    if (rewrite_uri(rewrite, changes, path, query, &error) < 0) {
        check(error.text[0] && !strchr(error.text, '\n'));
        return;
    }
    check(rewrite->path.len && rewrite->path.ptr[0] == '/');
    check(rewrite->path.len <= SCRIPT_TARGET_MAX && rewrite->query.len <= SCRIPT_TARGET_MAX);
}

static bool
is_encoded(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           strchr("*-._+%&=", c);
}

static void
check_query(struct str query)
{
    struct str name, value, before = {0};
    struct buf decoded[2];
    for (size_t i = 0; i < query.len; i++)
        check(query.ptr[i] && is_encoded(query.ptr[i]));
    buf_init(&decoded[0], 1 << 20);
    buf_init(&decoded[1], 1 << 20);
    for (unsigned i = 0; form_next(&query, &name, &value); i++) {
        struct buf *own = &decoded[i % 2];
        buf_clear(own);
        name = form_decode(name, own);
        check(i == 0 || str_cmp(before, name) <= 0);
        before = name;
    }
    buf_deinit(&decoded[0]);
    buf_deinit(&decoded[1]);
}

static void
fuzz_query(void)
{
    struct str changes = take_text(), query = take_text();
    struct error error;
    if (rewrite_query(rewrite, changes, query, &error) < 0) {
        check(error.text[0] && !strchr(error.text, '\n'));
        return;
    }
    check_query(buf_str(&rewrite->query));
    struct str made = buf_str(&rewrite->query);
    char *copy = malloc(made.len + 1);
    check(copy);
    memcpy(copy, made.ptr ? made.ptr : "", made.len);
    check(rewrite_query(rewrite, STR("{}"), str_make(copy, made.len), &error) == 0);
    check(str_eq(buf_str(&rewrite->query), str_make(copy, made.len)));
    free(copy);
}

static void
fuzz_value(void)
{
    struct str changes = take_text(), value = take_text();
    struct rewrite_search search;
    struct error error;
    struct buf out;
    if (rewrite_read_search(rewrite, changes, &search, &error) < 0) {
        check(error.text[0] && !strchr(error.text, '\n'));
        return;
    }
    buf_init(&out, 1 << 16);
    int result = rewrite_value(rewrite, &search, value, &out, &error);
    if (!search.regex) {
        check(search.search.len && result >= -1);
        check(result < 0 || result == (str_find(value, search.search) < value.len));
        if (result == 1 && str_eq(search.search, search.replace))
            check(str_eq(buf_str(&out), value));
    }
    check(result != 0 || out.len == 0);
    buf_deinit(&out);
}

static void
fuzz_path(void)
{
    struct str path = take_text(), wanted, got;
    char *scratch = malloc(2 * path.len + 2);
    struct buf clean;
    check(scratch);
    buf_init(&clean, path.len + 1);
    if (target_normalize_path(path, scratch, &wanted)) {
        rewrite_clean_path(path, &clean);
        struct str made = buf_str(&clean);
        check(made.len <= path.len && made.ptr[0] == '/');
        check(str_find(made, STR("//")) == made.len && str_find(made, STR("/./")) == made.len);
        check(target_normalize_path(made, scratch + path.len + 1, &got));
        check(str_eq(got, wanted));
    }
    buf_deinit(&clean);
    free(scratch);
}

static void
fuzz_form(void)
{
    struct str text = take_text();
    struct buf encoded, decoded;
    buf_init(&encoded, 1 << 20);
    buf_init(&decoded, 1 << 20);
    form_encode(text, &encoded);
    struct str back = form_decode(buf_str(&encoded), &decoded);
    check(str_is_utf8(back));
    check(str_is_utf8(text) ? str_eq(back, text) && form_is(buf_str(&encoded), text)
                            : !str_eq(back, text));
    buf_clear(&decoded);
    check(str_is_utf8(form_decode(text, &decoded)));
    buf_deinit(&encoded);
    buf_deinit(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const parts[])(void) = {fuzz_regex, fuzz_uri,  fuzz_query,
                                          fuzz_value, fuzz_path, fuzz_form};
    if (len == 0 || len > INPUT_MAX)
        return 0;
    if (!rewrite)
        rewrite = rewrite_new();
    check(rewrite);
    at = data + 1;
    end = data + len;
    parts[data[0] % 6]();
    return 0;
}
