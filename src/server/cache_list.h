/* cache_list: what is in a cache, from its directory or from the running cache itself, in the order
 * asked for. For `tarn cache ls`.
 *
 * A list is a copy: all of it is in memory, bounded by CACHE_LIST_MEMORY_MIB. What a running cache
 * says is checked for its shape, and may hold any character. Thread rule: the main thread's.
 */
#ifndef TARN_SERVER_CACHE_LIST_H
#define TARN_SERVER_CACHE_LIST_H

#include "base/arena.h"
#include "cache/entry.h"
#include "server/cache_client.h"

struct cache_list {
    struct cache_entry *entries; /* without id, content_coding and last_modified_s */
    size_t count, cap;
    int64_t now_s;        /* by the clock of whoever was asked */
    uint64_t match_count; /* how many there are; more than `count` where not all can be had */
    struct arena arena;   /* texts */
};

/* `list` is initialised here; cache_list_deinit also after a failure. */
int cache_list_read(struct cache_list *list, const struct options *options,
                    struct error *error) MUST_USE;
void cache_list_deinit(struct cache_list *list);

/* One document of /resources/successes/: adds its entries. *page_count: how many documents there
 * are. False: it is none. Pure. */
bool cache_list_add_page(struct cache_list *list, struct str text, uint64_t *page_count);

/* Drops entries of the same URL, which come when the cache changes between two pages, brings the
 * rest into the order of the options and cuts it at their limit. */
void cache_list_arrange(struct cache_list *list, const struct options *options);

#endif
