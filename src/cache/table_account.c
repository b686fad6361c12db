#include "cache/table_internal.h"

#include "base/must.h"

#include <stdlib.h>

/* A byte is charged before it is written, and leaves the account when its file is gone from the
 * disk: unlinked, and open nowhere. So `used` is never less than what the cache takes, and never
 * more than the quota.
 */

static uint64_t
quota(const struct cache_table *table)
{
    return table->config.quota ? table->config.quota : UINT64_MAX;
}

static bool
fits(const struct cache_table *table, uint64_t len)
{
    return table->used <= quota(table) && len <= quota(table) - table->used;
}

bool
table_charge(struct cache_table *table, uint64_t len)
{
    pthread_mutex_lock(&table->lock);
    bool done = fits(table, len);
    if (done)
        table->used += len;
    pthread_mutex_unlock(&table->lock);
    return done;
}

static void
discharge(struct cache_table *table, uint64_t len)
{
    must(table->used >= len);
    table->used -= len;
}

void
table_discharge(struct cache_table *table, uint64_t len)
{
    pthread_mutex_lock(&table->lock);
    discharge(table, len);
    pthread_mutex_unlock(&table->lock);
}

/* --- picking --- */

/* Drops idle entries from the oldest on until `len` bytes are gained, or `max` entries. */
static struct table_victim *
pick(struct cache_table *table, uint64_t len, unsigned max)
{
    struct table_victim *first = NULL, **end = &first;
    for (struct entry *newer, *entry = table->oldest; entry && len && max; entry = newer) {
        newer = entry->newer;
        if (!entry_is_idle(entry))
            continue;
        uint64_t gain = entry->len;
        struct table_victim *victim = table_drop(table, entry);
        if (!victim)
            break;
        *end = victim;
        end = &victim->next;
        len -= gain < len ? gain : len;
        max--;
    }
    return first;
}

/* Whether dropping idle entries would gain `len` bytes. */
static bool
can_gain(const struct cache_table *table, uint64_t len)
{
    for (const struct entry *entry = table->oldest; entry && len; entry = entry->newer)
        if (entry_is_idle(entry))
            len -= entry->len < len ? entry->len : len;
    return len == 0;
}

struct table_victim *
table_pick(struct cache_table *table, uint64_t len)
{
    struct table_victim *victims = NULL;
    pthread_mutex_lock(&table->lock);
    if (!fits(table, len) && len <= quota(table)) {
        uint64_t missing = table->used - (quota(table) - len);
        if (can_gain(table, missing))
            victims = pick(table, missing, UINT32_MAX);
    }
    pthread_mutex_unlock(&table->lock);
    return victims;
}

struct table_victim *
table_pick_bytes(struct cache_table *table, uint64_t len)
{
    pthread_mutex_lock(&table->lock);
    struct table_victim *victims = pick(table, len, UINT32_MAX);
    pthread_mutex_unlock(&table->lock);
    return victims;
}

struct table_victim *
table_pick_above_mark(struct cache_table *table, unsigned max)
{
    struct table_victim *victims = NULL;
    pthread_mutex_lock(&table->lock);
    uint64_t mark = table->config.quota / 100 * table->config.clean_percent;
    if (table->config.quota && table->used > mark)
        victims = pick(table, table->used - mark, max);
    pthread_mutex_unlock(&table->lock);
    return victims;
}

struct table_victim *
table_pick_url(struct cache_table *table, struct str url, uint64_t id)
{
    uint64_t hash = table_hash(table, url);
    struct table_victim *victim = NULL;
    pthread_mutex_lock(&table->lock);
    struct entry *entry = table_entry(table, url, hash);
    if (entry && (id == 0 || entry->id == id))
        victim = table_drop(table, entry);
    pthread_mutex_unlock(&table->lock);
    return victim;
}

struct table_victim *
table_pick_expired(struct cache_table *table, int64_t now_s, int64_t grace_s, unsigned max)
{
    struct table_victim *first = NULL, **end = &first;
    pthread_mutex_lock(&table->lock);
    struct entry *entry = table->expire_at ? table->expire_at : table->oldest;
    for (unsigned looked = 0; entry && looked < CACHE_EXPIRE_SCAN && max; looked++) {
        struct entry *newer = entry->newer;
        if (entry_is_idle(entry) &&
            now_s - (int64_t)entry->created_s > (int64_t)entry->ttl_s + grace_s) {
            struct table_victim *victim = table_drop(table, entry);
            if (!victim)
                break;
            *end = victim;
            end = &victim->next;
            max--;
        }
        entry = newer;
    }
    table->expire_at = entry;
    pthread_mutex_unlock(&table->lock);
    return first;
}

void
table_unlinked(struct cache_table *table, struct cache_object *object, uint64_t len)
{
    pthread_mutex_lock(&table->lock);
    if (object) {
        object->charged_len = len;
        object->unlinked = true;
    } else {
        discharge(table, len);
    }
    pthread_mutex_unlock(&table->lock);
    object_unref(object);
}

void
table_settle(struct cache_table *table, struct table_victim *victim)
{
    table_unlinked(table, victim->object, victim->len);
    free(victim);
}
