/* table_internal: the table as its parts see it. Only for table*.c and object.c. */
#ifndef TARN_CACHE_TABLE_INTERNAL_H
#define TARN_CACHE_TABLE_INTERNAL_H

#include "base/limits.h"
#include "cache/table.h"

#include <pthread.h>

/* Fields in an order without holes; behind it URL, etag, type, coding. */
struct entry {
    struct entry *newer, *older; /* by last use */
    struct cache_object *object; /* open, with a reference; or NULL */
    uint64_t id;
    uint64_t len;
    int64_t last_modified_s;
    uint32_t created_s, last_used_s; /* good until 2106 */
    uint32_t ttl_s;
    uint32_t use_count;
    uint16_t url_len, etag_len, type_len;
    uint8_t coding_len;
    bool used; /* and the index does not know yet */
    uint8_t sha256[CACHE_SHA256_LEN];
    char text[];
};

struct cache_table {
    pthread_mutex_t lock;
    struct table_config config;
    uint64_t seed; /* of the hash: URLs are chosen by clients */
    uint64_t used; /* bytes charged */
    /* open addressing, linear probing */
    struct entry **slots;
    size_t slot_count, entry_count; /* a power of two, or 0 */
    struct entry *newest, *oldest;
    struct entry *expire_at; /* where table_pick_expired goes on; NULL: oldest */
    struct cache_object *newest_open, *oldest_open;
    unsigned open_count;
    struct cache_flight *buckets[CACHE_FLIGHT_BUCKETS];
    struct cache_flight *first_flight, *last_flight; /* by age */
    unsigned flight_count;
};

static inline struct str
entry_url(const struct entry *entry)
{
    return str_make(entry->text, entry->url_len);
}

/* What an entry says, its strs in the entry itself. */
struct cache_entry entry_info(const struct entry *entry);

/* All under the lock. */

/* What is known of an entry, out of reach of the lock; the URL is the caller's. */
void table_copy_out(struct table_found *found, const struct entry *entry, struct str url);
struct entry *table_entry(struct cache_table *table, struct str url, uint64_t hash);
int table_insert(struct cache_table *table, struct entry *entry);
/* Takes an entry out of table, order and open ones, and makes a victim of it. NULL: no memory, and
 * it stays. */
struct table_victim *table_drop(struct cache_table *table, struct entry *entry);
struct entry *entry_new(const struct cache_entry *info);
void table_order_newest(struct cache_table *table, struct entry *entry);
void table_order_remove(struct cache_table *table, struct entry *entry);
/* Lets the entry keep the object open; NULL: it is not open any more. Returns what it kept before,
 * for the caller to give back outside the lock. */
struct cache_object *table_keep_open(struct cache_table *table, struct entry *entry,
                                     struct cache_object *object);
/* Whether nobody reads the entry: then nobody can begin to without the lock. */
bool entry_is_idle(const struct entry *entry);

struct cache_flight *table_flight(struct cache_table *table, struct str url, uint64_t hash);
/* Takes it out; the table's reference goes to the caller. */
void table_remove_flight(struct cache_table *table, struct cache_flight *flight);
struct cache_flight *table_add_flight(struct cache_table *table, const struct table_want *want,
                                      uint64_t hash);

#endif
