/* object: a file of the cache that is open for reading, and may still grow.
 *
 * Counted; whoever reads holds one from the first byte to the last, so it never sees two versions.
 * The fetcher is the only writer: it adds bytes to the file, then shows them. The last byte is
 * shown only by object_finish, after everything was checked: who has all bytes of a WHOLE object
 * has the right ones.
 *
 * Thread rule: any thread may hold one and read it; object_show, object_finish and object_break are
 * the fetcher's. State and lengths are atomic words.
 */
#ifndef TARN_CACHE_OBJECT_H
#define TARN_CACHE_OBJECT_H

#include "cache/entry.h"

struct cache_table;

enum object_state {
    OBJECT_GROWING,
    OBJECT_WHOLE,
    OBJECT_BROKEN, /* no more comes: transfers from it must break */
};

#define OBJECT_LEN_UNKNOWN UINT64_MAX

struct cache_object {
    struct cache_table *table;
    struct cache_object *newer, *older; /* the table's, of open ones by last use */
    void *entry;                        /* the table's; NULL: no entry keeps it */
    int fd;                             /* for reading; closed with the object */
    uint32_t ref_count;
    uint8_t state;
    bool unlinked;        /* under the table's lock: its bytes leave the account with it */
    uint64_t charged_len; /* the same */
    uint64_t id;          /* of the download that made it */
    uint64_t len;         /* OBJECT_LEN_UNKNOWN until it is WHOLE, unless upstream declared it */
    uint64_t shown_len;
    int64_t created_s; /* of the download, or of its last revalidation */
    int64_t last_modified_s;
    struct str etag; /* as sent to clients: upstream's, or one made of the id */
    /* Rendered lines of every response: Content-Type, ETag, Last-Modified, Accept-Ranges. */
    struct str head;
    uint8_t sha256[CACHE_SHA256_LEN]; /* once WHOLE */
    char text[];
};

/* A GROWING object with one reference, of what `entry` says but its digest; entry->len may be
 * OBJECT_LEN_UNKNOWN. Takes fd, also on failure. NULL: no memory. */
struct cache_object *object_new(struct cache_table *table, int fd, const struct cache_entry *entry);
struct cache_object *object_ref(struct cache_object *object);
/* NULL is nothing. The last one closes the file, and settles the account when that was unlinked. */
void object_unref(struct cache_object *object);

/* `len` bytes are in the file. */
void object_show(struct cache_object *object, uint64_t len);
/* All of `len` bytes are right; sha256 is theirs. */
void object_finish(struct cache_object *object, uint64_t len,
                   const uint8_t sha256[CACHE_SHA256_LEN]);
void object_break(struct cache_object *object);

/* What a reader may know: the state first, then the lengths that belong to it. */
static inline enum object_state
object_state(const struct cache_object *object)
{
    return (enum object_state)__atomic_load_n(&object->state, __ATOMIC_ACQUIRE);
}

static inline uint64_t
object_len(const struct cache_object *object)
{
    return __atomic_load_n(&object->len, __ATOMIC_ACQUIRE);
}

static inline uint64_t
object_shown_len(const struct cache_object *object)
{
    return __atomic_load_n(&object->shown_len, __ATOMIC_ACQUIRE);
}

static inline int64_t
object_created_s(const struct cache_object *object)
{
    return __atomic_load_n(&object->created_s, __ATOMIC_RELAXED);
}

#endif
