#include "site/cache_rule.h"

enum { HASH_LEN_MIN = 8, BUNDLER_HASH_LEN = 8, BUNDLER_CHANGES_MIN = 4 };

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool
is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool
is_hex_hash(struct str part)
{
    bool digit = false, lower = false, upper = false;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        if (is_digit(c))
            digit = true;
        else if (c >= 'a' && c <= 'f')
            lower = true;
        else if (c >= 'A' && c <= 'F')
            upper = true;
        else
            return false;
    }
    return part.len >= HASH_LEN_MIN && digit && lower != upper;
}

static bool
has_hex_hash(struct str name)
{
    size_t start = 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c != '.' && c != '-' && c != '_')
            continue;
        if (is_hex_hash(str_make(name.ptr + start, i - start)))
            return true;
        start = i + 1;
    }
    return false;
}

/* What may follow the extension of the file that was hashed. */
static struct str
without_suffix(struct str name)
{
    static const struct str suffixes[] = {STR_INIT(".br"), STR_INIT(".zst"), STR_INIT(".gz"),
                                          STR_INIT(".map")};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (str_ends_with(name, suffixes[i]))
            name.len -= suffixes[i].len;
    return name;
}

static int
kind_of(char c)
{
    return is_digit(c) ? 1 : is_upper(c) ? 2 : is_lower(c) ? 3 : c == '_' || c == '-' ? 4 : 0;
}

static bool
is_bundler_hash(struct str part)
{
    bool digit = false, upper = false;
    unsigned changes = 0;
    for (size_t i = 0; i < part.len; i++) {
        int kind = kind_of(part.ptr[i]);
        if (kind == 0)
            return false;
        digit |= kind == 1;
        upper |= kind == 2;
        changes += i > 0 && kind != kind_of(part.ptr[i - 1]);
    }
    return digit && upper && changes >= BUNDLER_CHANGES_MIN;
}

static bool
has_bundler_hash(struct str name)
{
    name = without_suffix(name);
    size_t dot = str_find_last_char(name, '.');
    if (dot == name.len || dot < BUNDLER_HASH_LEN + 1)
        return false;
    char before = name.ptr[dot - BUNDLER_HASH_LEN - 1];
    return (before == '-' || before == '.') &&
           is_bundler_hash(str_make(name.ptr + dot - BUNDLER_HASH_LEN, BUNDLER_HASH_LEN));
}

bool
cache_rule_name_has_hash(struct str file_name)
{
    return has_hex_hash(file_name) || has_bundler_hash(file_name);
}

struct str
cache_rule_value(struct str file_name, struct str media_type)
{
    if (str_starts_with(media_type, STR("text/html")) ||
        str_starts_with(media_type, STR("application/xhtml+xml")))
        return STR("no-cache");
    if (cache_rule_name_has_hash(file_name))
        return STR("public, max-age=31536000, immutable");
    return STR("public, max-age=3600");
}
