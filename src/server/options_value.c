#include "server/options_value.h"

#include "base/must.h"
#include "server/addr.h"

#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, so that printing finds the largest that divides. */
static const struct unit duration_units[] = {
    {"d", UINT64_C(86400000)}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static const struct unit size_units[] = {
    {"T", UINT64_C(1) << 40},
    {"G", UINT64_C(1) << 30},
    {"M", UINT64_C(1) << 20},
    {"K", UINT64_C(1) << 10},
    {"", 1},
};

static const struct unit size_spellings[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"KB", 1000},
    {"MB", 1000 * 1000},
    {"GB", 1000 * 1000 * 1000},
    {"TB", UINT64_C(1000) * 1000 * 1000 * 1000},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t
find_factor(const struct unit *units, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_ieq(name, str_from_cstr(units[i].name)))
            return units[i].factor;
    return 0;
}

/* The digits at the start of *s, which moves behind them. False without digits or on overflow. */
static bool
cut_number(struct str *s, uint64_t *out)
{
    size_t len = 0;
    while (len < s->len && s->ptr[len] >= '0' && s->ptr[len] <= '9')
        len++;
    bool ok = str_to_u64(str_first(*s, len), out);
    *s = str_skip(*s, len);
    return ok;
}

static struct str
cut_letters(struct str *s)
{
    size_t len = 0;
    while (len < s->len && (s->ptr[len] < '0' || s->ptr[len] > '9'))
        len++;
    struct str letters = str_first(*s, len);
    *s = str_skip(*s, len);
    return letters;
}

bool
value_parse_duration(struct str text, uint64_t *out_ms)
{
    uint64_t total = 0, smallest = UINT64_MAX, number;
    if (str_to_u64(text, &number))
        return !__builtin_mul_overflow(number, 1000, out_ms);
    do {
        if (!cut_number(&text, &number))
            return false;
        uint64_t factor = find_factor(duration_units, COUNT(duration_units), cut_letters(&text));
        /* 1h30m, but neither 30m1h nor 1h30. */
        if (factor == 0 || factor >= smallest)
            return false;
        smallest = factor;
        if (__builtin_mul_overflow(number, factor, &number) ||
            __builtin_add_overflow(total, number, &total))
            return false;
    } while (text.len);
    *out_ms = total;
    return true;
}

bool
value_parse_size(struct str text, uint64_t *out_len)
{
    uint64_t number;
    if (!cut_number(&text, &number))
        return false;
    uint64_t factor = find_factor(size_units, COUNT(size_units), text);
    if (factor == 0)
        factor = find_factor(size_spellings, COUNT(size_spellings), text);
    return factor && !__builtin_mul_overflow(number, factor, out_len);
}

bool
value_parse_bool(struct str text, bool *out)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < COUNT(yes); i++) {
        bool is_yes = str_ieq(text, str_from_cstr(yes[i]));
        if (is_yes || str_ieq(text, str_from_cstr(no[i]))) {
            *out = is_yes;
            return true;
        }
    }
    return false;
}

int
value_parse_word(struct str text, const char *words)
{
    struct str rest = str_from_cstr(words);
    for (int i = 0; rest.len; i++)
        if (str_eq(text, str_cut(&rest, '|')))
            return i;
    return -1;
}

static const char *
print_with_unit(uint64_t value, const struct unit *units, size_t count, char out[VALUE_TEXT_MAX])
{
    size_t i = 0;
    while (i + 1 < count && (value < units[i].factor || value % units[i].factor))
        i++;
    snprintf(out, VALUE_TEXT_MAX, "%llu%s", (unsigned long long)(value / units[i].factor),
             value ? units[i].name : "");
    return out;
}

const char *
value_print_duration(uint64_t ms, char out[VALUE_TEXT_MAX])
{
    return print_with_unit(ms, duration_units, COUNT(duration_units), out);
}

const char *
value_print_size(uint64_t len, char out[VALUE_TEXT_MAX])
{
    return print_with_unit(len, size_units, COUNT(size_units), out);
}

/* "auto, uring or epoll" */
static void
print_words(const char *words, char *out, size_t out_len)
{
    struct str rest = str_from_cstr(words);
    size_t at = 0;
    while (rest.len && at < out_len) {
        struct str word = str_cut(&rest, '|');
        const char *before = at == 0 ? "" : rest.len ? ", " : " or ";
        at += (size_t)snprintf(out + at, out_len - at, "%s%.*s", before, STR_ARG(word));
    }
}

static void
describe_range(const struct option *option, char *out, size_t out_len)
{
    char low[VALUE_TEXT_MAX], high[VALUE_TEXT_MAX];
    if (option->type == OPTION_NUMBER)
        snprintf(out, out_len, "a number from %llu to %llu", (unsigned long long)option->min,
                 (unsigned long long)option->max);
    else if (option->type == OPTION_SIZE)
        snprintf(out, out_len, "a size from %s to %s, like 64K or 10M",
                 value_print_size(option->min, low), value_print_size(option->max, high));
    else
        snprintf(out, out_len, "a time from %s to %s, like 500ms, 10s or 5m",
                 value_print_duration(option->min, low), value_print_duration(option->max, high));
}

const char *
value_describe(const struct option *option, char *out, size_t out_len)
{
    static const char *const by_type[] = {
        [OPTION_FLAG] = "yes or no",
        [OPTION_PATH] = "a file name",
        [OPTION_URL_PATH] = "a path that starts with a slash",
        [OPTION_ADDR] = "an address",
        [OPTION_HOST] = "a numeric address or localhost",
    };
    if (option->type == OPTION_NUMBER || option->type == OPTION_SIZE ||
        option->type == OPTION_DURATION)
        describe_range(option, out, out_len);
    else if (option->type == OPTION_WORD)
        print_words(option->words, out, out_len);
    else if (option->type == OPTION_STRING)
        snprintf(out, out_len, "a text%s", option->min ? " that is not empty" : "");
    else
        snprintf(out, out_len, "%s", option->type == OPTION_ACTION ? "" : by_type[option->type]);
    return out;
}

static int
refuse(const struct option *option, const char *spelled, const char *text, struct error *error)
{
    char wanted[128];
    return error_set(error, "%s wants %s, not '%s'", spelled,
                     value_describe(option, wanted, sizeof wanted), text);
}

static int
store_number(struct options *options, const struct option *option, const char *spelled,
             const char *text, struct error *error)
{
    struct str s = str_from_cstr(text);
    uint64_t value;
    bool ok = option->type == OPTION_NUMBER ? str_to_u64(s, &value)
              : option->type == OPTION_SIZE ? value_parse_size(s, &value)
                                            : value_parse_duration(s, &value);
    if (!ok || value < option->min || value > option->max)
        return refuse(option, spelled, text, error);
    memcpy((char *)options + option->field, &value, sizeof value);
    return 0;
}

static int
store_flag(struct options *options, const struct option *option, const char *spelled,
           const char *text, struct error *error)
{
    bool value;
    if (!value_parse_bool(str_from_cstr(text), &value))
        return refuse(option, spelled, text, error);
    memcpy((char *)options + option->field, &value, sizeof value);
    return 0;
}

static int
store_word(struct options *options, const struct option *option, const char *spelled,
           const char *text, struct error *error)
{
    int value = value_parse_word(str_from_cstr(text), option->words);
    if (value < 0)
        return refuse(option, spelled, text, error);
    memcpy((char *)options + option->field, &value, sizeof value);
    return 0;
}

/* These texts go into response heads and log lines. */
static bool
has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* An address has its own errors, which say more than a refusal can. */
static int
check_addr(const char *spelled, const char *text, struct error *error)
{
    struct addr addr;
    if (addr_parse(&addr, text, error) < 0)
        return error_prefix(error, "%s wants an address", spelled);
    return 0;
}

static int
check_text(const struct option *option, const char *spelled, const char *text, struct error *error)
{
    bool ok = true;
    if (option->type == OPTION_ADDR)
        return check_addr(spelled, text, error);
    if (has_control(text) && option->type != OPTION_PATH)
        return error_set(error, "%s wants a text without control characters", spelled);
    if (option->type == OPTION_HOST)
        ok = addr_is_host(text);
    else if (option->type == OPTION_URL_PATH)
        ok = text[0] == '/';
    else if (option->type == OPTION_PATH)
        ok = text[0] != 0;
    else
        ok = strlen(text) >= option->min;
    return ok ? 0 : refuse(option, spelled, text, error);
}

static int
append_item(struct options *options, struct options_list *list, const char *item,
            struct error *error)
{
    /* Room doubles whenever the count is a power of two, from one on. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t room = list->count ? list->count * 2 : 1;
        const char **items = arena_alloc(&options->memory, room * sizeof *items);
        if (!items)
            return error_set(error, "too many values");
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
    }
    list->items[list->count++] = item;
    return 0;
}

static int
store_list(struct options *options, const struct option *option, const char *spelled,
           const char *text, struct error *error)
{
    struct options_list list;
    struct str rest = str_from_cstr(text);
    memcpy(&list, (char *)options + option->field, sizeof list);
    bool more = true;
    while (more) {
        more = !option->whole && str_find_char(rest, ',') < rest.len;
        struct str part = option->whole ? rest : str_cut(&rest, ',');
        struct str item = arena_copy(&options->memory, str_trim(part));
        if (!item.ptr)
            return error_set(error, "%s: too many values", spelled);
        int result = check_text(option, spelled, item.ptr, error);
        if (result == 0)
            result = append_item(options, &list, item.ptr, error);
        if (result < 0)
            return result;
    }
    memcpy((char *)options + option->field, &list, sizeof list);
    return 0;
}

int
value_store(struct options *options, const struct option *option, const char *spelled,
            const char *text, struct error *error)
{
    int result;
    switch (option->type) {
    case OPTION_FLAG:
        return store_flag(options, option, spelled, text, error);
    case OPTION_NUMBER:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return store_number(options, option, spelled, text, error);
    case OPTION_WORD:
        return store_word(options, option, spelled, text, error);
    default:
        must(option->type != OPTION_ACTION);
        if (option->list)
            return store_list(options, option, spelled, text, error);
        result = check_text(option, spelled, text, error);
        if (result == 0)
            memcpy((char *)options + option->field, &text, sizeof text);
        return result;
    }
}
