/* Fuzzes content negotiation. Input: one byte for the codings at hand, then the field value.
 *
 * Checked: Accept-Encoding agrees with a plain model (a regular expression for each member) and the
 * choice is the best one; for Accept, members put before or behind change the quality as they must.
 */
#include "http/accept.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { INPUT_MAX = 512 };

#define OWS "[ \t]*"
#define QVALUE "(0(\\.[0-9]{0,3})?|1(\\.0{0,3})?)"
#define MEMBER "^" OWS "(br|zstd|x-gzip|gzip|identity|\\*)" OWS "(;" OWS "q=" QVALUE OWS ")?$"

static void
check(bool holds)
{
    if (!holds)
        abort();
}

/* --- Accept-Encoding --- */

/* Index of the coding, HTTP_CODING_COUNT for the wildcard; -1: not a member we understand. */
static int
model_member(const char *member, int *quality)
{
    static regex_t pattern;
    static bool is_ready;
    regmatch_t at[4];
    if (!is_ready)
        check(regcomp(&pattern, MEMBER, REG_EXTENDED | REG_ICASE) == 0);
    is_ready = true;
    if (regexec(&pattern, member, 4, at, 0) != 0)
        return -1;
    double weight = at[3].rm_so >= 0 ? strtod(member + at[3].rm_so, NULL) : 1;
    *quality = (int)(weight * 1000 + 0.5);
    const char *name = member + at[1].rm_so;
    static const char letters[] = "bzgi*x";
    static const int codings[] = {HTTP_CODING_BR,       HTTP_CODING_ZSTD,  HTTP_CODING_GZIP,
                                  HTTP_CODING_IDENTITY, HTTP_CODING_COUNT, HTTP_CODING_GZIP};
    return codings[strchr(letters, str_lower_char(*name)) - letters];
}

static void
model_encoding(const char *value, int quality[static HTTP_CODING_COUNT])
{
    char copy[INPUT_MAX + 1], *rest = copy, *member;
    int named[HTTP_CODING_COUNT + 1] = {-1, -1, -1, -1, -1};
    strcpy(copy, value);
    while ((member = strsep(&rest, ",")) != NULL) {
        int weight, coding = model_member(member, &weight);
        if (coding >= 0)
            named[coding] = weight;
    }
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        quality[i] = named[i] >= 0 ? named[i] : named[HTTP_CODING_COUNT];
        if (quality[i] < 0)
            quality[i] = i == HTTP_CODING_IDENTITY;
    }
    if (value[strspn(value, " \t")] == '\0')
        quality[HTTP_CODING_IDENTITY] = 1000;
}

static void
check_choice(const struct http_accept_encoding *accept, unsigned available)
{
    int choice = http_coding_choose(accept, available);
    check(choice >= -1 && choice < HTTP_CODING_COUNT);
    check(choice < 0 || ((available & 1u << choice) && accept->quality[choice] > 0));
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        if (!(available & 1u << i))
            continue;
        int quality = accept->quality[i], best = choice < 0 ? 0 : accept->quality[choice];
        check(quality < best || i == choice || (quality == best && (i > choice || best == 0)));
    }
}

static void
check_encoding(struct str value, unsigned available)
{
    char text[INPUT_MAX + 1];
    int expected[HTTP_CODING_COUNT];
    struct http_accept_encoding accept;
    http_accept_encoding_parse(value, true, &accept);
    check_choice(&accept, available);
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    if (strlen(text) != value.len)
        return;
    model_encoding(text, expected);
    for (int i = 0; i < HTTP_CODING_COUNT; i++)
        check(accept.quality[i] == expected[i]);
}

/* --- Accept --- */

static struct str
join(char *out, struct str a, struct str b)
{
    memcpy(out, a.ptr, a.len);
    memcpy(out + a.len, b.ptr, b.len);
    return str_make(out, a.len + b.len);
}

static bool
contains_ignoring_case(struct str s, struct str part)
{
    for (size_t i = 0; i + part.len <= s.len; i++)
        if (str_ieq(str_make(s.ptr + i, part.len), part))
            return true;
    return false;
}

static void
check_accept(struct str value, struct str type)
{
    char joined[INPUT_MAX + 64];
    unsigned quality = http_accept_quality(value, type);
    bool is_empty = str_trim(value).len == 0, names = http_accept_names(value, type);
    check(quality <= 1000);
    check(!names || contains_ignoring_case(value, type));
    check(!is_empty || (quality == 1000 && !names));
    /* What is malformed or about something else, in front, changes nothing. */
    static const struct str idle[] = {STR_INIT("junk, "), STR_INIT("a/b;c=\",\\\",\";q=0.7 ,"),
                                      STR_INIT("*/x,"), STR_INIT("x-a/x-b;q=2,,")};
    for (size_t i = 0; i < sizeof(idle) / sizeof(*idle) && !is_empty; i++) {
        struct str longer = join(joined, idle[i], value);
        check(http_accept_quality(longer, type) == quality);
        check(http_accept_names(longer, type) == names);
    }
    /* A wildcard in front counts only when nothing else does. A range with parameters names the
     * type and yet does not cover it. */
    struct str with_any = join(joined, STR("*/*;q=0.123,"), value);
    unsigned wide = http_accept_quality(with_any, type);
    check(wide == quality || wide == 123);
    check(!names || wide == quality || str_find_char(value, ';') < value.len);
    /* A type that the rest does not name gets the weight in front. */
    if (!contains_ignoring_case(value, STR("x-rare"))) {
        struct str with_own = join(joined, STR("x-rare/X-RARE;q=0.321,"), value);
        check(http_accept_quality(with_own, STR("x-rare/x-rare")) == 321);
        check(http_accept_names(with_own, STR("x-rare/x-rare")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_MAX)
        return 0;
    size_t len = size - 1;
    char *text = malloc(len ? len : 1);
    check(text != NULL);
    memcpy(text, data + 1, len);
    struct str value = str_make(text, len);
    check_encoding(value, data[0] % (1u << HTTP_CODING_COUNT));
    check_accept(value, STR("text/html"));
    check_accept(value, STR("application/json"));
    free(text);
    return 0;
}
