/* table: what the cache holds and what is on its way: entries, flights, the order of use, the
 * account of bytes. All in memory, shared by all threads.
 *
 * Workers ask; the fetcher does everything that changes what is there. One lock, inside, under
 * which no system call is made. Files are not touched here: calls that drop entries give back what
 * is to be unlinked.
 *
 * Ownership: entries are the table's own. Objects and flights are counted. Bounds: CACHE_* in
 * base/limits.h; an entry with a URL of 100 bytes costs less than 300 bytes of memory.
 */
#ifndef TARN_CACHE_TABLE_H
#define TARN_CACHE_TABLE_H

#include "base/error.h"
#include "base/limits.h"
#include "cache/flight.h"

struct cache_table;

struct table_config {
    uint64_t quota;         /* bytes; 0: no limit */
    unsigned clean_percent; /* of the quota: table_pick_above_mark works down to it */
    unsigned open_max;      /* objects kept open though nobody reads them */
};

/* NULL: no memory. */
struct cache_table *table_new(const struct table_config *config);
/* After every object and flight was given back. */
void table_free(struct cache_table *table);

uint64_t table_hash(const struct cache_table *table, struct str url);

/* --- start --- */

/* Adds an entry and charges it. 1: there is one with that URL already; -1: no memory. */
int table_load(struct cache_table *table, const struct cache_entry *entry) MUST_USE;
/* After the last table_load: puts all entries in the order of their last use. */
void table_loaded(struct cache_table *table);
/* Goes over all entries, at start, from one thread; `at` begins at 0. */
bool table_next(struct cache_table *table, size_t *at, struct cache_entry *entry);

/* --- workers --- */

struct table_want {
    struct str url; /* canonical */
    int64_t now_s;
    uint32_t ttl_s;        /* how old an entry may be for this request, and how long to keep it */
    const uint8_t *sha256; /* asked for; NULL: any. An entry with another one is not fresh. */
};

enum table_answer {
    TABLE_HIT,    /* found->object is held for the caller */
    TABLE_CLOSED, /* there is an entry whose file is not open: open it, call table_opened, ask again
                   */
    TABLE_FLIGHT, /* found->flight is held for the caller; is_new: hand it to the fetcher */
    TABLE_BUSY,   /* no memory, or CACHE_FLIGHTS_MAX are on their way */
};

struct table_found {
    struct cache_object *object;
    struct cache_flight *flight;
    bool is_new;
    struct cache_entry entry; /* TABLE_CLOSED: strs in `text` */
    char text[2 * CACHE_FIELD_MAX + CACHE_CODING_MAX];
};

/* Looks up, and counts a use when it is a hit. */
enum table_answer table_ask(struct cache_table *table, const struct table_want *want,
                            struct table_found *found);
/* The file of the entry was opened: a WHOLE object, of which the table takes a reference of its own
 * when the entry is still there and has none. */
void table_opened(struct cache_table *table, struct str url, struct cache_object *object);

/* --- the fetcher: the account --- */

/* Charges `len` bytes, if they fit. */
bool table_charge(struct cache_table *table, uint64_t len) MUST_USE;
void table_discharge(struct cache_table *table, uint64_t len);

/* An entry that was dropped; a list, freed by table_settle. */
struct table_victim {
    struct table_victim *next;
    struct cache_object *object;
    uint64_t id, len;
    uint16_t url_len;
    char url[];
};

/* Drops the least recently used entries that nobody reads until `len` more bytes would fit; nothing
 * when they cannot be had that way. NULL: none. */
struct table_victim *table_pick(struct cache_table *table, uint64_t len);
/* The same, whatever would fit: the disk itself is full. As far as it goes. */
struct table_victim *table_pick_bytes(struct cache_table *table, uint64_t len);
/* The same down to the mark of clean_percent, as far as it goes, at most `max` of them. */
struct table_victim *table_pick_above_mark(struct cache_table *table, unsigned max);
/* Drops the entry of a URL, also one that is read. NULL: none. `id` 0: whichever; else only that.
 */
struct table_victim *table_pick_url(struct cache_table *table, struct str url, uint64_t id);
/* Drops entries that are older than their ttl and `grace_s`, at most `max`, looking at no more than
 * CACHE_EXPIRE_SCAN of them a call. */
struct table_victim *table_pick_expired(struct cache_table *table, int64_t now_s, int64_t grace_s,
                                        unsigned max);
/* Its file was unlinked: takes it out of the account, at once or when its last reader leaves. Frees
 * the victim (not its followers). */
void table_settle(struct cache_table *table, struct table_victim *victim);
/* The same for the file of a download that came to nothing, of which `len` bytes are charged. Takes
 * the reference to the object; NULL: there is none. */
void table_unlinked(struct cache_table *table, struct cache_object *object, uint64_t len);

/* --- the fetcher: flights ---
 *
 * The table has a reference to each flight that is in it; those calls with which a flight leaves
 * give it back. */

/* A copy of the entry for a URL, and its open object (held; NULL: it is not open). False: none. */
bool table_find(struct cache_table *table, struct str url, struct table_found *found);

/* The download has ended well: the flight leaves the table, the entry comes in, with a reference to
 * the object. entry->ttl_s is the flight's. Already charged, with entry->len. *replaced: the entry
 * that was there before, or NULL. -1: no memory; the flight has left the table all the same. */
int table_land(struct cache_table *table, struct cache_flight *flight, struct cache_entry *entry,
               struct cache_object *object, struct table_victim **replaced) MUST_USE;
/* Upstream has confirmed the entry: new times; the flight leaves. False: the entry has gone. */
bool table_renew(struct cache_table *table, struct cache_flight *flight, int64_t now_s,
                 struct table_found *found);
/* The flight stays as it is (FAILED, or STALE) for whoever asks until then; 0: it leaves now. */
void table_hold(struct cache_table *table, struct cache_flight *flight, int64_t until_s);
/* Forgets held flights that are due. Returns how many are left. */
unsigned table_forget_held(struct cache_table *table, int64_t now_s);
/* An immediate end of everything held, whatever its time: for purge of a URL. */
bool table_forget_url(struct cache_table *table, struct str url);

/* --- figures --- */

struct table_stats {
    uint64_t used, quota;
    uint64_t entry_count;
    uint64_t queued_count, running_count, failed_count; /* flights */
    uint64_t open_count;
};
void table_stats(struct cache_table *table, struct table_stats *stats);

/* Calls back for each flight, oldest first, holding the lock: quick, and nothing of the table may
 * be called. Returns false to stop. */
void table_each_flight(struct cache_table *table,
                       bool (*each)(void *arg, const struct cache_flight *flight), void *arg);

/* Uses since they were last asked: calls back for entries whose use is not in the index yet, at
 * most `max` of them; holding the lock. */
unsigned table_take_uses(struct cache_table *table, unsigned max,
                         void (*used)(void *arg, uint64_t id, int64_t last_used_s,
                                      uint32_t use_count),
                         void *arg);

#endif
