#include "site/route_table.h"

#include "base/must.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SLOTS_MIN = 8 };

int
route_table_init(struct route_table *table, struct arena *arena, size_t max)
{
    size_t slots = SLOTS_MIN;
    while (slots < 2 * max)
        slots *= 2;
    *table = (struct route_table){.mask = slots - 1, .max = max};
    table->slots = arena_alloc(arena, slots * sizeof *table->slots);
    return table->slots ? 0 : -1;
}

uint64_t
route_table_hash(struct str path)
{
    return XXH3_64bits(path.ptr, path.len);
}

void
route_table_insert(struct route_table *table, const struct site_route *route)
{
    must(table->count < table->max);
    size_t at = route->hash & table->mask;
    while (table->slots[at].route)
        at = (at + 1) & table->mask;
    table->slots[at] = (struct route_slot){route->hash, route};
    table->count++;
}

const struct site_route *
route_table_find(const struct route_table *table, struct str path)
{
    uint64_t hash = route_table_hash(path);
    for (size_t at = hash & table->mask; table->slots[at].route; at = (at + 1) & table->mask) {
        const struct route_slot *slot = &table->slots[at];
        if (slot->hash == hash && str_eq(slot->route->path, path))
            return slot->route;
    }
    return NULL;
}
