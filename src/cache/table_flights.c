#include "cache/table_internal.h"

#include "base/must.h"

#include <stdlib.h>

/* Flights are few: chains of a fixed number of buckets, and a list by age. */

static struct cache_flight **
bucket_of(struct cache_table *table, uint64_t hash)
{
    return &table->buckets[hash & (CACHE_FLIGHT_BUCKETS - 1)];
}

struct cache_flight *
table_flight(struct cache_table *table, struct str url, uint64_t hash)
{
    struct cache_flight *flight = *bucket_of(table, hash);
    while (flight && !(flight->hash == hash && str_eq(flight_url(flight), url)))
        flight = flight->next_in_bucket;
    return flight;
}

struct cache_flight *
table_add_flight(struct cache_table *table, const struct table_want *want, uint64_t hash)
{
    if (table->flight_count == CACHE_FLIGHTS_MAX)
        return NULL;
    struct cache_flight *flight = flight_new(want->url, hash);
    if (!flight)
        return NULL;
    flight->started_s = want->now_s;
    flight->ttl_s = want->ttl_s;
    flight->in_table = true;
    if (want->sha256) {
        flight->wants_sha256 = true;
        memcpy(flight->sha256, want->sha256, CACHE_SHA256_LEN);
    }
    struct cache_flight **bucket = bucket_of(table, hash);
    flight->next_in_bucket = *bucket;
    *bucket = flight;
    flight->prev = table->last_flight;
    *(table->last_flight ? &table->last_flight->next : &table->first_flight) = flight;
    table->last_flight = flight;
    table->flight_count++;
    return flight;
}

void
table_remove_flight(struct cache_table *table, struct cache_flight *flight)
{
    struct cache_flight **at = bucket_of(table, flight->hash);
    must(flight->in_table);
    while (*at != flight)
        at = &(*at)->next_in_bucket;
    *at = flight->next_in_bucket;
    *(flight->prev ? &flight->prev->next : &table->first_flight) = flight->next;
    *(flight->next ? &flight->next->prev : &table->last_flight) = flight->prev;
    flight->in_table = false;
    table->flight_count--;
}

int
table_land(struct cache_table *table, struct cache_flight *flight, struct cache_entry *info,
           struct cache_object *object, struct table_victim **replaced)
{
    int result = -1;
    bool was_in_table;
    *replaced = NULL;
    pthread_mutex_lock(&table->lock);
    was_in_table = flight->in_table;
    info->ttl_s = flight->ttl_s;
    if (was_in_table)
        table_remove_flight(table, flight);
    struct entry *entry = entry_new(info);
    struct entry *before = table_entry(table, info->url, flight->hash);
    if (entry && before)
        *replaced = table_drop(table, before);
    if (entry && (!before || *replaced))
        result = table_insert(table, entry);
    if (result == 0) {
        entry->used = true; /* as all are that are newer than one that is */
        (void)table_keep_open(table, entry, object);
    } else {
        free(entry);
    }
    pthread_mutex_unlock(&table->lock);
    if (was_in_table)
        flight_unref(flight);
    return result;
}

bool
table_renew(struct cache_table *table, struct cache_flight *flight, int64_t now_s,
            struct table_found *found)
{
    struct str url = flight_url(flight);
    bool was_in_table;
    pthread_mutex_lock(&table->lock);
    struct entry *entry = table_entry(table, url, flight->hash);
    was_in_table = flight->in_table;
    if (entry) {
        entry->created_s = entry->last_used_s = (uint32_t)now_s;
        entry->use_count++;
        entry->used = true;
        if (flight->ttl_s > entry->ttl_s)
            entry->ttl_s = flight->ttl_s;
        if (entry->object)
            __atomic_store_n(&entry->object->created_s, now_s, __ATOMIC_RELAXED);
        table_order_remove(table, entry);
        table_order_newest(table, entry);
        table_copy_out(found, entry, url);
    }
    if (was_in_table)
        table_remove_flight(table, flight);
    pthread_mutex_unlock(&table->lock);
    if (was_in_table)
        flight_unref(flight);
    return entry;
}

void
table_hold(struct cache_table *table, struct cache_flight *flight, int64_t until_s)
{
    bool leaves;
    pthread_mutex_lock(&table->lock);
    leaves = flight->in_table && until_s == 0;
    if (leaves)
        table_remove_flight(table, flight);
    else
        flight->expires_s = until_s;
    pthread_mutex_unlock(&table->lock);
    if (leaves)
        flight_unref(flight);
}

/* Takes held flights out of the table: of a URL, or those that are due. Returns them as a list over
 * `next`. */
static struct cache_flight *
take_held(struct cache_table *table, int64_t now_s, const struct str *url)
{
    struct cache_flight *taken = NULL;
    for (struct cache_flight *next, *flight = table->first_flight; flight; flight = next) {
        next = flight->next;
        if (!flight->expires_s)
            continue;
        if (url ? !str_eq(flight_url(flight), *url) : flight->expires_s > now_s)
            continue;
        table_remove_flight(table, flight);
        flight->next = taken;
        taken = flight;
    }
    return taken;
}

static unsigned
forget(struct cache_flight *taken)
{
    unsigned count = 0;
    for (struct cache_flight *next; taken; taken = next, count++) {
        next = taken->next;
        flight_unref(taken);
    }
    return count;
}

unsigned
table_forget_held(struct cache_table *table, int64_t now_s)
{
    pthread_mutex_lock(&table->lock);
    struct cache_flight *taken = take_held(table, now_s, NULL);
    unsigned left = table->flight_count;
    pthread_mutex_unlock(&table->lock);
    forget(taken);
    return left;
}

bool
table_forget_url(struct cache_table *table, struct str url)
{
    pthread_mutex_lock(&table->lock);
    struct cache_flight *taken = take_held(table, 0, &url);
    pthread_mutex_unlock(&table->lock);
    return forget(taken) > 0;
}

void
table_each_flight(struct cache_table *table,
                  bool (*each)(void *arg, const struct cache_flight *flight), void *arg)
{
    pthread_mutex_lock(&table->lock);
    for (struct cache_flight *flight = table->first_flight; flight && each(arg, flight);
         flight = flight->next)
        ;
    pthread_mutex_unlock(&table->lock);
}
