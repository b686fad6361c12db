/* json_cache: the JSON files of a site as one worker has parsed them, so that scripts which load
 * the same ones for every request do not parse them for every request. Not for other folders.
 *
 * Its trees are never changed: what a script changes is copied first (script_json_unshare). They
 * are charged to scripts as if they were parsed by each. Only files whose content is in memory are
 * kept; they cannot change. Bounds: SCRIPT_JSON_FILES_MAX files, SCRIPT_JSON_KEPT_MAX bytes of
 * trees; what comes later is parsed each time. Thread: the worker's. Life: the view's.
 */
#ifndef TARN_SCRIPT_JSON_CACHE_H
#define TARN_SCRIPT_JSON_CACHE_H

#include "script/json_tree.h"

struct site_content;
struct json_cache;

enum json_file_state {
    JSON_FILE_PARSED,
    JSON_FILE_BAD,      /* it is not JSON */
    JSON_FILE_NOT_KEPT, /* there is no room for it */
};

struct json_file {
    const struct site_content *content; /* what it is known by */
    enum json_file_state state;
    struct json_node root;
    uint64_t cost; /* what the tree takes */
};

/* The file, parsed when it is asked for the first time; *cache is made when it is NULL. `content`
 * lives longer than the cache. NULL: it is not among those that are kept. */
const struct json_file *json_cache_get(struct json_cache **cache,
                                       const struct site_content *content);
void json_cache_free(struct json_cache *cache);

#endif
