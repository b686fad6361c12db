/* Fuzzes Content-Range and Retry-After of an upstream's answer. Input: eight bytes of `now`, then
 * the field value.
 *
 * Checked against plain models: the grammar is a regular expression, numbers are read by the C
 * library, dates by date.c, which has its own fuzzer.
 */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#include "base/limits.h"
#include "http/date.h"
#include "http/range.h"
#include "http/retry_after.h"

enum { INPUT_MAX = 256 };

#define CONTENT_RANGE "^[bB][yY][tT][eE][sS] (([0-9]+)-([0-9]+)|[*])/([0-9]+|[*])$"

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* False when it is over INT64_MAX. */
static bool
read_number(const char *text, uint64_t *out)
{
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return errno == 0 && *out <= INT64_MAX;
}

static bool
model_content_range(const char *text, struct http_content_range *out)
{
    static regex_t grammar;
    static bool is_ready;
    regmatch_t at[5];
    uint64_t first = 0, last = 0, total = 0;
    if (!is_ready)
        check(regcomp(&grammar, CONTENT_RANGE, REG_EXTENDED) == 0);
    is_ready = true;
    if (regexec(&grammar, text, 5, at, 0) != 0)
        return false;
    bool has_range = at[2].rm_so >= 0, has_total = text[at[4].rm_so] != '*';
    if (!has_range && !has_total)
        return false;
    if (has_range &&
        (!read_number(text + at[2].rm_so, &first) || !read_number(text + at[3].rm_so, &last)))
        return false;
    if (has_total && !read_number(text + at[4].rm_so, &total))
        return false;
    if (has_range && (first > last || (has_total && last >= total)))
        return false;
    *out = (struct http_content_range){.has_range = has_range,
                                       .has_total = has_total,
                                       .range = {first, has_range ? last - first + 1 : 0},
                                       .total = total};
    return true;
}

static void
check_content_range(struct str value, const char *text)
{
    struct http_content_range got, expected;
    bool is_good = strlen(text) == value.len && model_content_range(text, &expected);
    check(http_content_range_parse(value, &got) == is_good);
    if (is_good)
        check(got.has_range == expected.has_range && got.has_total == expected.has_total &&
              got.range.off == expected.range.off && got.range.len == expected.range.len &&
              got.total == expected.total);
}

static void
check_retry_after(struct str value, const char *text, int64_t now)
{
    unsigned got = 0;
    int64_t at;
    __int128 wait;
    bool ok = http_retry_after_parse(value, now, &got);
    if (value.len && strspn(text, "0123456789") == value.len) {
        wait = strtoull(text, NULL, 10); /* the largest number when it is too large */
    } else if (http_date_parse(value, now, &at)) {
        wait = (__int128)at - now;
    } else {
        check(!ok);
        return;
    }
    wait = wait < 0 ? 0 : wait > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : wait;
    check(ok && got == (unsigned)wait);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now;
    char text[INPUT_MAX + 1];
    if (size < sizeof now || size > INPUT_MAX)
        return 0;
    memcpy(&now, data, sizeof now);
    size_t len = size - sizeof now;
    memcpy(text, data + sizeof now, len);
    text[len] = '\0';
    char *exact = malloc(len ? len : 1);
    check(exact != NULL);
    memcpy(exact, text, len);
    check_content_range(str_make(exact, len), text);
    check_retry_after(str_make(exact, len), text, now);
    free(exact);
    return 0;
}
