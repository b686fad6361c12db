/* route_table: from a path to its route, by open addressing.
 *
 * A slot is 16 bytes, hash and pointer, at most half of them used: a lookup costs one cache line
 * for the slot and one for the route, and the path itself is always compared. Filled while loading,
 * then read by any number of threads. Memory: the arena given to init.
 */
#ifndef TARN_SITE_ROUTE_TABLE_H
#define TARN_SITE_ROUTE_TABLE_H

#include "base/arena.h"
#include "site/site.h"

struct route_slot {
    uint64_t hash;
    const struct site_route *route; /* NULL: free */
};

struct route_table {
    struct route_slot *slots;
    size_t mask;
    size_t count, max;
};

/* Room for `max` routes. -1 without memory. */
int route_table_init(struct route_table *table, struct arena *arena, size_t max) MUST_USE;

uint64_t route_table_hash(struct str path);

/* Adds a route whose `hash` is set; its path must not be there yet. */
void route_table_insert(struct route_table *table, const struct site_route *route);

const struct site_route *route_table_find(const struct route_table *table, struct str path);

#endif
