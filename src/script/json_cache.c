#include "script/json_cache.h"

#include "base/limits.h"
#include "site/site.h"

#include <stdlib.h>

struct json_cache {
    struct script_json account; /* that its trees are counted against */
    unsigned count;
    struct json_file files[SCRIPT_JSON_FILES_MAX];
};

static struct json_cache *
new_cache(void)
{
    struct json_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        cache->account.left = SCRIPT_JSON_KEPT_MAX;
    return cache;
}

void
json_cache_free(struct json_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < cache->count; i++)
        json_tree_empty(&cache->account, &cache->files[i].root);
    free(cache);
}

static void
parse(struct json_cache *cache, struct json_file *file)
{
    struct str text = str_make(file->content->mem, file->content->len);
    uint64_t left = cache->account.left;
    switch (json_tree_read(&cache->account, &file->root, text)) {
    case JSON_OK:
        file->state = JSON_FILE_PARSED;
        break;
    case JSON_ABSENT:
    case JSON_TOO_DEEP:
        file->state = JSON_FILE_BAD;
        break;
    default:
        file->state = JSON_FILE_NOT_KEPT;
    }
    file->cost = left - cache->account.left;
}

const struct json_file *
json_cache_get(struct json_cache **cache, const struct site_content *content)
{
    if (!content->mem)
        return NULL;
    if (!*cache)
        *cache = new_cache();
    for (unsigned i = 0; *cache && i < (*cache)->count; i++)
        if ((*cache)->files[i].content == content)
            return &(*cache)->files[i];
    if (!*cache || (*cache)->count == SCRIPT_JSON_FILES_MAX)
        return NULL;
    struct json_file *file = &(*cache)->files[(*cache)->count++];
    file->content = content;
    parse(*cache, file);
    return file;
}
