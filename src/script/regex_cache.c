#include "script/regex_cache.h"

void
regex_cache_deinit(struct regex_cache *cache)
{
    for (unsigned i = 0; i < REGEX_CACHED_MAX; i++)
        regex_free(cache->entries[i].regex);
    *cache = (struct regex_cache){0};
}

const struct regex *
regex_cache_get(struct regex_cache *cache, struct str pattern, struct error *error)
{
    struct regex_entry *oldest = &cache->entries[0];
    struct regex *made;
    cache->uses++;
    for (unsigned i = 0; i < REGEX_CACHED_MAX; i++) {
        struct regex_entry *entry = &cache->entries[i];
        if (entry->regex && str_eq(regex_pattern(entry->regex), pattern)) {
            entry->used = cache->uses;
            return entry->regex;
        }
        if (entry->used < oldest->used)
            oldest = entry;
    }
    if (regex_new(&made, pattern, error) < 0)
        return NULL;
    regex_free(oldest->regex);
    *oldest = (struct regex_entry){.regex = made, .used = cache->uses};
    return made;
}
