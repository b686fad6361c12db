#include "cache/table_internal.h"

#include "base/must.h"

#include <stdlib.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Entries are found by open addressing over pointers: the hash is computed again when slots move,
 * so that it costs no memory. They are kept in the order of their last use, which is also the order
 * in which they go. Objects that are kept open have an order of their own.
 */

/* --- life --- */

struct cache_table *
table_new(const struct table_config *config)
{
    struct cache_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    pthread_mutex_init(&table->lock, NULL);
    table->config = *config;
    if (getrandom(&table->seed, sizeof table->seed, 0) != sizeof table->seed)
        table->seed = (uint64_t)(uintptr_t)table;
    return table;
}

void
table_free(struct cache_table *table)
{
    if (!table)
        return;
    while (table->first_flight) {
        struct cache_flight *flight = table->first_flight;
        table_remove_flight(table, flight);
        flight_unref(flight);
    }
    for (struct entry *next, *entry = table->newest; entry; entry = next) {
        next = entry->older;
        object_unref(table_keep_open(table, entry, NULL));
        free(entry);
    }
    free(table->slots);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* --- entries --- */

uint64_t
table_hash(const struct cache_table *table, struct str url)
{
    return XXH3_64bits_withSeed(url.ptr, url.len, table->seed);
}

struct cache_entry
entry_info(const struct entry *entry)
{
    struct cache_entry info = {
        .id = entry->id,
        .url = entry_url(entry),
        .etag = str_make(entry->text + entry->url_len, entry->etag_len),
        .content_type = str_make(entry->text + entry->url_len + entry->etag_len, entry->type_len),
        .content_coding = str_make(entry->text + entry->url_len + entry->etag_len + entry->type_len,
                                   entry->coding_len),
        .len = entry->len,
        .last_modified_s = entry->last_modified_s,
        .created_s = entry->created_s,
        .last_used_s = entry->last_used_s,
        .ttl_s = entry->ttl_s,
        .use_count = entry->use_count,
    };
    memcpy(info.sha256, entry->sha256, CACHE_SHA256_LEN);
    return info;
}

struct entry *
entry_new(const struct cache_entry *info)
{
    must(info->url.len <= URL_MAX && info->etag.len <= CACHE_FIELD_MAX &&
         info->content_type.len <= CACHE_FIELD_MAX && info->content_coding.len <= CACHE_CODING_MAX);
    size_t text_len =
        info->url.len + info->etag.len + info->content_type.len + info->content_coding.len;
    struct entry *entry = malloc(sizeof *entry + text_len);
    if (!entry)
        return NULL;
    *entry = (struct entry){
        .id = info->id,
        .len = info->len,
        .last_modified_s = info->last_modified_s,
        .created_s = (uint32_t)info->created_s,
        .last_used_s = (uint32_t)info->last_used_s,
        .ttl_s = info->ttl_s,
        .use_count = info->use_count,
        .url_len = (uint16_t)info->url.len,
        .etag_len = (uint16_t)info->etag.len,
        .type_len = (uint16_t)info->content_type.len,
        .coding_len = (uint8_t)info->content_coding.len,
    };
    memcpy(entry->sha256, info->sha256, CACHE_SHA256_LEN);
    char *at = entry->text;
    const struct str parts[] = {info->url, info->etag, info->content_type, info->content_coding};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return entry;
}

/* The slot of a URL: where it is, or the empty one where it would be. */
static size_t
find_slot(const struct cache_table *table, struct str url, uint64_t hash)
{
    size_t mask = table->slot_count - 1, at = hash & mask;
    while (table->slots[at] && !str_eq(entry_url(table->slots[at]), url))
        at = (at + 1) & mask;
    return at;
}

struct entry *
table_entry(struct cache_table *table, struct str url, uint64_t hash)
{
    return table->slot_count ? table->slots[find_slot(table, url, hash)] : NULL;
}

/* Room for one more entry: at most three quarters of the slots are in use. */
static int
grow(struct cache_table *table)
{
    if ((table->entry_count + 1) * 4 <= table->slot_count * 3)
        return 0;
    size_t count = table->slot_count ? table->slot_count * 2 : 1024;
    struct entry **before = table->slots, **slots = calloc(count, sizeof(struct entry *));
    if (!slots)
        return -1;
    table->slots = slots;
    table->slot_count = count;
    for (struct entry *entry = table->newest; entry; entry = entry->older) {
        struct str url = entry_url(entry);
        slots[find_slot(table, url, table_hash(table, url))] = entry;
    }
    free(before);
    return 0;
}

void
table_order_newest(struct cache_table *table, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = table->newest;
    *(table->newest ? &table->newest->newer : &table->oldest) = entry;
    table->newest = entry;
}

void
table_order_remove(struct cache_table *table, struct entry *entry)
{
    if (table->expire_at == entry)
        table->expire_at = entry->newer;
    *(entry->newer ? &entry->newer->older : &table->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &table->oldest) = entry->newer;
}

int
table_insert(struct cache_table *table, struct entry *entry)
{
    if (table->entry_count == CACHE_ENTRIES_MAX || grow(table) != 0)
        return -1;
    struct str url = entry_url(entry);
    size_t at = find_slot(table, url, table_hash(table, url));
    must(!table->slots[at]);
    table->slots[at] = entry;
    table->entry_count++;
    table_order_newest(table, entry);
    return 0;
}

/* Empties a slot; those behind it that are not at home move up. */
static void
clear_slot(struct cache_table *table, size_t hole)
{
    size_t mask = table->slot_count - 1;
    for (size_t at = (hole + 1) & mask; table->slots[at]; at = (at + 1) & mask) {
        size_t home = table_hash(table, entry_url(table->slots[at])) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole] = NULL;
}

struct table_victim *
table_drop(struct cache_table *table, struct entry *entry)
{
    struct str url = entry_url(entry);
    struct table_victim *victim = malloc(sizeof *victim + url.len);
    if (!victim)
        return NULL;
    *victim = (struct table_victim){.id = entry->id, .len = entry->len, .url_len = entry->url_len};
    memcpy(victim->url, url.ptr, url.len);
    clear_slot(table, find_slot(table, url, table_hash(table, url)));
    table->entry_count--;
    table_order_remove(table, entry);
    victim->object = table_keep_open(table, entry, NULL);
    free(entry);
    return victim;
}

int
table_load(struct cache_table *table, const struct cache_entry *info)
{
    struct entry *entry = entry_new(info);
    if (!entry)
        return -1;
    pthread_mutex_lock(&table->lock);
    bool is_there = table_entry(table, info->url, table_hash(table, info->url));
    int result = is_there ? 1 : table_insert(table, entry);
    if (result == 0)
        table->used += entry->len;
    pthread_mutex_unlock(&table->lock);
    if (result != 0)
        free(entry);
    return result;
}

bool
table_next(struct cache_table *table, size_t *at, struct cache_entry *info)
{
    while (*at < table->slot_count) {
        const struct entry *entry = table->slots[(*at)++];
        if (entry) {
            *info = entry_info(entry);
            return true;
        }
    }
    return false;
}

/* --- open objects --- */

static void
open_remove(struct cache_table *table, struct cache_object *object)
{
    *(object->newer ? &object->newer->older : &table->newest_open) = object->older;
    *(object->older ? &object->older->newer : &table->oldest_open) = object->newer;
    table->open_count--;
}

static void
open_add(struct cache_table *table, struct cache_object *object)
{
    object->newer = NULL;
    object->older = table->newest_open;
    *(table->newest_open ? &table->newest_open->newer : &table->oldest_open) = object;
    table->newest_open = object;
    table->open_count++;
}

struct cache_object *
table_keep_open(struct cache_table *table, struct entry *entry, struct cache_object *object)
{
    struct cache_object *before = entry->object;
    if (before) {
        open_remove(table, before);
        before->entry = NULL;
    }
    entry->object = object ? object_ref(object) : NULL;
    if (object) {
        object->entry = entry;
        open_add(table, object);
    }
    return before;
}

bool
entry_is_idle(const struct entry *entry)
{
    return !entry->object || __atomic_load_n(&entry->object->ref_count, __ATOMIC_ACQUIRE) == 1;
}

/* Takes one from the end of the order of open objects when there are too many; NULL: there are not,
 * or those are all being read. */
static struct cache_object *
take_surplus(struct cache_table *table)
{
    if (table->open_count <= table->config.open_max)
        return NULL;
    unsigned looked = 0;
    for (struct cache_object *object = table->oldest_open; object && looked++ < 16;
         object = object->newer)
        if (entry_is_idle(object->entry))
            return table_keep_open(table, object->entry, NULL);
    return NULL;
}

/* --- asking --- */

/* Whether the entry will do for a request. */
static bool
is_fresh(const struct entry *entry, const struct table_want *want)
{
    return want->now_s - (int64_t)entry->created_s <= (int64_t)want->ttl_s &&
           (!want->sha256 || memcmp(entry->sha256, want->sha256, CACHE_SHA256_LEN) == 0);
}

static void
count_use(struct cache_table *table, struct entry *entry, const struct table_want *want)
{
    entry->last_used_s = (uint32_t)want->now_s;
    entry->use_count += entry->use_count < UINT32_MAX;
    entry->used = true;
    if (want->ttl_s > entry->ttl_s)
        entry->ttl_s = want->ttl_s;
    if (table->newest != entry) {
        table_order_remove(table, entry);
        table_order_newest(table, entry);
    }
    struct cache_object *object = entry->object;
    if (table->newest_open != object) {
        open_remove(table, object);
        open_add(table, object);
    }
}

void
table_copy_out(struct table_found *found, const struct entry *entry, struct str url)
{
    found->entry = entry_info(entry);
    found->entry.url = url;
    struct str *const parts[] = {&found->entry.etag, &found->entry.content_type,
                                 &found->entry.content_coding};
    char *at = found->text;
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(at, parts[i]->ptr, parts[i]->len);
        parts[i]->ptr = at;
        at += parts[i]->len;
    }
}

static enum table_answer
ask_locked(struct cache_table *table, const struct table_want *want, uint64_t hash,
           struct table_found *found)
{
    struct entry *entry = table_entry(table, want->url, hash);
    if (entry && is_fresh(entry, want)) {
        if (!entry->object) {
            table_copy_out(found, entry, want->url);
            return TABLE_CLOSED;
        }
        count_use(table, entry, want);
        found->object = object_ref(entry->object);
        return TABLE_HIT;
    }
    struct cache_flight *flight = table_flight(table, want->url, hash);
    found->is_new = !flight;
    if (!flight)
        flight = table_add_flight(table, want, hash);
    if (!flight)
        return TABLE_BUSY;
    if (want->ttl_s > flight->ttl_s)
        flight->ttl_s = want->ttl_s;
    found->flight = flight_ref(flight);
    return TABLE_FLIGHT;
}

enum table_answer
table_ask(struct cache_table *table, const struct table_want *want, struct table_found *found)
{
    uint64_t hash = table_hash(table, want->url);
    found->object = NULL;
    found->flight = NULL;
    struct cache_flight *over = NULL;
    pthread_mutex_lock(&table->lock);
    struct cache_flight *held = table_flight(table, want->url, hash);
    if (held && held->expires_s && held->expires_s <= want->now_s) {
        table_remove_flight(table, held);
        over = held;
    }
    enum table_answer answer = ask_locked(table, want, hash, found);
    pthread_mutex_unlock(&table->lock);
    flight_unref(over);
    return answer;
}

void
table_opened(struct cache_table *table, struct str url, struct cache_object *object)
{
    uint64_t hash = table_hash(table, url);
    struct cache_object *surplus = NULL;
    pthread_mutex_lock(&table->lock);
    struct entry *entry = table_entry(table, url, hash);
    if (entry && entry->id == object->id && !entry->object) {
        (void)table_keep_open(table, entry, object);
        surplus = take_surplus(table);
    }
    pthread_mutex_unlock(&table->lock);
    object_unref(surplus);
}

bool
table_find(struct cache_table *table, struct str url, struct table_found *found)
{
    uint64_t hash = table_hash(table, url);
    pthread_mutex_lock(&table->lock);
    struct entry *entry = table_entry(table, url, hash);
    if (entry) {
        table_copy_out(found, entry, url);
        found->object = entry->object ? object_ref(entry->object) : NULL;
    }
    pthread_mutex_unlock(&table->lock);
    return entry;
}

/* --- figures --- */

void
table_stats(struct cache_table *table, struct table_stats *stats)
{
    *stats = (struct table_stats){.quota = table->config.quota};
    pthread_mutex_lock(&table->lock);
    stats->used = table->used;
    stats->entry_count = table->entry_count;
    stats->open_count = table->open_count;
    for (struct cache_flight *flight = table->first_flight; flight; flight = flight->next) {
        uint8_t state = __atomic_load_n(&flight->state, __ATOMIC_RELAXED);
        if (state == FLIGHT_QUEUED)
            stats->queued_count++;
        else if (state == FLIGHT_FAILED)
            stats->failed_count++;
        else if (!flight->expires_s)
            stats->running_count++;
    }
    pthread_mutex_unlock(&table->lock);
}

unsigned
table_take_uses(struct cache_table *table, unsigned max,
                void (*used)(void *arg, uint64_t id, int64_t last_used_s, uint32_t use_count),
                void *arg)
{
    unsigned count = 0;
    pthread_mutex_lock(&table->lock);
    for (struct entry *entry = table->newest; entry && entry->used && count < max;
         entry = entry->older, count++) {
        used(arg, entry->id, entry->last_used_s, entry->use_count);
        entry->used = false;
    }
    pthread_mutex_unlock(&table->lock);
    return count;
}
