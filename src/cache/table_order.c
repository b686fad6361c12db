/* The order of use at start: entries come from the index in the order in which they lie on the
 * disk, and are put in the order of their last use once they are all there. A merge sort of the
 * list: bin i is empty or a sorted list of 2^i entries, as the digits of a binary counter.
 */
#include "cache/table_internal.h"

enum { BINS = 40 };

/* Two lists linked by `older`, each newest first; of equals those of `a` come first. */
static struct entry *
merge(struct entry *a, struct entry *b)
{
    struct entry *first = NULL, **end = &first;
    while (a && b) {
        struct entry **from = a->last_used_s >= b->last_used_s ? &a : &b;
        *end = *from;
        end = &(*from)->older;
        *from = (*from)->older;
    }
    *end = a ? a : b;
    return first;
}

/* Under the lock: `older` is right, the rest follows. */
static void
link_back(struct cache_table *table)
{
    struct entry *newer = NULL;
    for (struct entry *entry = table->newest; entry; entry = entry->older) {
        entry->newer = newer;
        newer = entry;
    }
    table->oldest = newer;
}

void
table_loaded(struct cache_table *table)
{
    struct entry *bins[BINS] = {0}, *sorted = NULL;
    pthread_mutex_lock(&table->lock);
    for (struct entry *next, *entry = table->newest; entry; entry = next) {
        unsigned i = 0;
        next = entry->older;
        entry->older = NULL;
        for (; bins[i]; i++) {
            entry = merge(bins[i], entry);
            bins[i] = NULL;
        }
        bins[i] = entry;
    }
    for (unsigned i = 0; i < BINS; i++)
        sorted = merge(bins[i], sorted);
    table->newest = sorted;
    link_back(table);
    pthread_mutex_unlock(&table->lock);
}
