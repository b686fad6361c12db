/* Fuzzes byte ranges. Input: one byte for the size of the content, then the field value.
 *
 * Checked against a plain model: the grammar is a regular expression, the numbers are read by the C
 * library, and what is selected is a map of the content with one mark for each byte.
 */
#include "http/range.h"

#include <regex.h>
#include <stdlib.h>

enum { INPUT_MAX = 1024, CONTENT_MAX = 64 };

#define OWS "[ \t]*"
#define SPEC "([0-9]+-[0-9]*|-[0-9]+)"
#define GRAMMAR                       \
    "^[bB][yY][tT][eE][sS]=(" OWS "," \
    ")*" OWS SPEC OWS "(," OWS "(" SPEC OWS ")?)*$"

static void
check(bool holds)
{
    if (!holds)
        abort();
}

struct model {
    enum http_range_result result;
    struct http_range specs[HTTP_RANGE_MAX]; /* satisfiable ones, unmerged */
    unsigned spec_count;
    bool marks[CONTENT_MAX];
};

static bool
is_in_grammar(const char *text)
{
    static regex_t grammar;
    static bool is_ready;
    if (!is_ready)
        check(regcomp(&grammar, GRAMMAR, REG_EXTENDED | REG_NOSUB) == 0);
    is_ready = true;
    return regexec(&grammar, text, 0, NULL, 0) == 0;
}

static uint64_t
read_number(const char *text, char **end)
{
    uint64_t value = strtoull(text, end, 10), max = (uint64_t)1 << 63;
    return value < max ? value : max;
}

/* Adds one spec. False when it is malformed: its end before its start. */
static bool
model_add(struct model *model, const char *spec, uint64_t size)
{
    char *dash;
    uint64_t first, last;
    if (spec[0] == '-') {
        uint64_t len = read_number(spec + 1, NULL);
        first = len < size ? size - len : 0;
        last = len ? size - 1 : 0;
        if (len == 0 || size == 0)
            return true;
    } else {
        first = read_number(spec, &dash);
        bool is_open = dash[1] < '0' || dash[1] > '9';
        last = is_open ? UINT64_MAX : read_number(dash + 1, NULL);
        if (last < first)
            return false;
        if (first >= size)
            return true;
        last = last < size ? last : size - 1;
    }
    for (uint64_t i = first; i <= last; i++)
        model->marks[i] = true;
    model->specs[model->spec_count++] = (struct http_range){first, last - first + 1};
    return true;
}

static void
model_parse(struct model *model, const char *text, uint64_t size)
{
    unsigned count = 0;
    *model = (struct model){.result = HTTP_RANGE_IGNORE};
    if (!is_in_grammar(text))
        return;
    for (const char *p = strchr(text, '='); p; p = strchr(p, ',')) {
        p += 1 + strspn(p + 1, " \t");
        if (*p == ',' || *p == '\0')
            continue;
        if (++count > HTTP_RANGE_MAX || !model_add(model, p, size))
            return;
    }
    model->result = model->spec_count ? HTTP_RANGE_OK : HTTP_RANGE_UNSATISFIABLE;
}

/* Index of the range that holds byte `off`. */
static unsigned
find_range(const struct http_ranges *ranges, uint64_t off)
{
    unsigned i = 0;
    while (i < ranges->count &&
           (off < ranges->list[i].off || off >= ranges->list[i].off + ranges->list[i].len))
        i++;
    check(i < ranges->count);
    return i;
}

static void
check_against_model(const struct http_ranges *ranges, const struct model *model, uint64_t size)
{
    bool marks[CONTENT_MAX + 1] = {false};
    check(ranges->count >= 1 && ranges->count <= HTTP_RANGE_MAX);
    for (unsigned i = 0; i < ranges->count; i++) {
        const struct http_range *range = &ranges->list[i];
        check(range->len > 0 && range->off < size && range->len <= size - range->off);
        for (uint64_t at = range->off; at < range->off + range->len; at++) {
            check(!marks[at]);
            marks[at] = true;
        }
    }
    check(memcmp(marks, model->marks, sizeof(model->marks)) == 0);
    /* Neighbours were merged: no range ends where another starts. */
    for (unsigned i = 0; i < ranges->count; i++)
        check(!marks[ranges->list[i].off + ranges->list[i].len]);
    /* Each range appears where the first of its members stood. */
    unsigned next = 0;
    for (unsigned i = 0; i < model->spec_count; i++) {
        unsigned at = find_range(ranges, model->specs[i].off);
        check(at <= next);
        next += at == next;
    }
    check(next == ranges->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[INPUT_MAX + 1];
    struct http_ranges ranges;
    struct model model;
    if (size < 1 || size > INPUT_MAX)
        return 0;
    uint64_t content = data[0] % (CONTENT_MAX + 1);
    size_t len = size - 1;
    memcpy(text, data + 1, len);
    text[len] = '\0';
    char *exact = malloc(len ? len : 1);
    check(exact != NULL);
    memcpy(exact, text, len);
    enum http_range_result result = http_range_parse(str_make(exact, len), content, &ranges);
    if (strlen(text) != len) {
        check(result == HTTP_RANGE_IGNORE);
    } else {
        model_parse(&model, text, content);
        check(result == model.result);
        if (result == HTTP_RANGE_OK)
            check_against_model(&ranges, &model, content);
    }
    free(exact);
    return 0;
}
