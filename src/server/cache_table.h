/* cache_table: the list of a cache as lines of text for people, and as JSON. Pure. */
#ifndef TARN_SERVER_CACHE_TABLE_H
#define TARN_SERVER_CACHE_TABLE_H

#include "base/buf.h"
#include "cache/entry.h"

/* Widths of the columns but for the last. */
struct cache_table_widths {
    unsigned size, uses, age, expires;
};

void cache_table_measure(struct cache_table_widths *widths, const struct cache_entry *entries,
                         size_t count, int64_t now_s);
/* A line with its end. `width`: columns there are, into which the URL is fitted; 0: any. */
void cache_table_append_head(struct buf *out, const struct cache_table_widths *widths);
void cache_table_append_row(struct buf *out, const struct cache_table_widths *widths,
                            const struct cache_entry *entry, int64_t now_s, unsigned width);

/* An object, in one line without its end. Its members are those of the web pages' JSON. */
void cache_table_append_json(struct buf *out, const struct cache_entry *entry);

#endif
