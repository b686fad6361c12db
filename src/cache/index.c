/* The thread. What callers put lies in `queued`, under the lock; the thread moves it to `writing`,
 * which is its own, and writes that as one transaction. When that fails, `writing` stays as it is
 * and is tried again, with nothing added, so that one transaction is not made larger by every
 * failure. Records are taken at once; touches and totals lie until they are a few seconds old,
 * there are many, or somebody waits for them. Between two transactions one question is answered,
 * after everything that was put before it was asked.
 */
#include "cache/index_internal.h"

#include "base/must.h"

#include <stdlib.h>
#include <time.h>

#define MS_NS UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

enum { CLOSE_TRIES = 3 };

/* --- time --- */

static void
wait_until(struct index *index, pthread_cond_t *cond, uint64_t until_ns)
{
    const struct timespec until = {
        .tv_sec = (time_t)(until_ns / SECOND_NS),
        .tv_nsec = (long)(until_ns % SECOND_NS),
    };
    if (until_ns == UINT64_MAX)
        pthread_cond_wait(cond, &index->lock);
    else
        pthread_cond_timedwait(cond, &index->lock, &until);
}

static void
init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* as loop_clock_ns */
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* --- notes about failures --- */

/* Under the lock: whether it is time for one. */
static bool
takes_note(struct index *index)
{
    uint64_t now_ns = loop_clock_ns();
    if (index->noted_ns && now_ns - index->noted_ns < CACHE_INDEX_NOTE_S * SECOND_NS)
        return false;
    index->noted_ns = now_ns;
    return true;
}

static void
note_loss(const struct index *index, uint64_t lost_count)
{
    index_note(&index->notes,
               "'%s': the queue is full: %llu changes were dropped so far; files without an entry"
               " are removed at the next start",
               index->db.path, (unsigned long long)lost_count);
}

/* --- what callers put --- */

/* Under the lock. Whether the record may be queued; waits for room while the disk works. */
static bool
wait_for_room(struct index *index, size_t cost)
{
    uint64_t until_ns = loop_clock_ns() + CACHE_INDEX_WAIT_MS * MS_NS;
    while (index->waiting_cost + cost > CACHE_INDEX_QUEUE_MAX) {
        if (index->failing || loop_clock_ns() >= until_ns)
            return false;
        wait_until(index, &index->settled, until_ns);
    }
    return true;
}

static void
enqueue(struct index *index, enum index_change change, const struct cache_entry *entry)
{
    struct index_record *record = index_record_new(change, entry);
    bool notes = false;
    pthread_mutex_lock(&index->lock);
    if (record && wait_for_room(index, record->cost)) {
        index->waiting_cost += record->cost;
        index_changes_append(&index->queued, record);
        record = NULL;
        pthread_cond_signal(&index->wake);
    } else {
        index->lost_count++;
        notes = takes_note(index);
    }
    uint64_t lost_count = index->lost_count;
    pthread_mutex_unlock(&index->lock);
    free(record);
    if (notes)
        note_loss(index, lost_count);
}

void
index_put(struct index *index, const struct cache_entry *entry)
{
    enqueue(index, INDEX_PUT, entry);
}

void
index_remove(struct index *index, uint64_t id)
{
    const struct cache_entry entry = {.id = id};
    enqueue(index, INDEX_REMOVE, &entry);
}

/* Under the lock: touches or totals have been added. */
static void
note_lazy(struct index *index)
{
    bool is_first = !index->lazy_from_ns;
    if (is_first)
        index->lazy_from_ns = loop_clock_ns();
    if (is_first || index->queued.touches.count == CACHE_INDEX_TOUCHES_MAX / 2)
        pthread_cond_signal(&index->wake);
}

void
index_touch(struct index *index, uint64_t id, int64_t last_used_s, uint32_t use_count)
{
    const struct index_touch touch = {id, last_used_s, use_count};
    must(id);
    pthread_mutex_lock(&index->lock);
    index_changes_touch(&index->queued, &touch);
    note_lazy(index);
    pthread_mutex_unlock(&index->lock);
}

void
index_add_totals(struct index *index, int64_t now_s, const struct cache_totals *added)
{
    pthread_mutex_lock(&index->lock);
    index_changes_add(&index->queued, now_s, added);
    note_lazy(index);
    pthread_mutex_unlock(&index->lock);
}

bool
index_flush(struct index *index)
{
    pthread_mutex_lock(&index->lock);
    uint64_t mine = ++index->flush_count;
    pthread_cond_signal(&index->wake);
    while (index->settled_flush < mine)
        pthread_cond_wait(&index->settled, &index->lock);
    bool written = index->written_flush >= mine;
    pthread_mutex_unlock(&index->lock);
    return written;
}

/* --- the thread: what is due; under the lock --- */

static bool
is_flushed_for(const struct index *index)
{
    return index->flush_count > index->settled_flush;
}

static bool
lazy_is_due(const struct index *index, uint64_t now_ns)
{
    return index->lazy_from_ns && (index->stop || is_flushed_for(index) ||
                                   now_ns >= index->lazy_from_ns + CACHE_INDEX_TOUCH_MS * MS_NS ||
                                   index->queued.touches.count >= CACHE_INDEX_TOUCHES_MAX / 2);
}

static bool
write_is_due(const struct index *index, uint64_t now_ns)
{
    if (is_flushed_for(index))
        return true;
    if (index->failing)
        return now_ns >= index->retry_ns;
    return index->queued.first || lazy_is_due(index, now_ns);
}

/* When something will be due of itself. */
static uint64_t
next_due_ns(const struct index *index)
{
    if (index->failing)
        return index->retry_ns;
    return index->lazy_from_ns ? index->lazy_from_ns + CACHE_INDEX_TOUCH_MS * MS_NS : UINT64_MAX;
}

static bool
is_finished(const struct index *index, unsigned tries)
{
    return index->stop && (tries >= CLOSE_TRIES || (index_changes_empty(&index->writing) &&
                                                    index_changes_empty(&index->queued)));
}

/* Moves what is to be written now; for an answer all but touches. */
static void
take_changes(struct index *index, uint64_t now_ns, bool for_ask)
{
    if (!index_changes_empty(&index->writing))
        return;
    bool takes_lazy = lazy_is_due(index, now_ns);
    index_changes_move_records(&index->writing, &index->queued);
    if (takes_lazy || for_ask)
        index_changes_move_periods(&index->writing, &index->queued);
    if (takes_lazy)
        index_changes_move_touches(&index->writing, &index->queued);
    if (index_changes_empty(&index->queued)) {
        index->lazy_from_ns = 0;
        index->taken_flush = index->flush_count;
    }
}

/* --- the thread: writing --- */

struct attempt {
    uint64_t begun_flush; /* index->flush_count before it */
    size_t cost;          /* of the records in it */
    uint64_t dropped;
    int code;
};

/* Under the lock, which is off while the note is written. */
static void
note_attempt(struct index *index, const struct attempt *attempt)
{
    uint64_t waiting = index->writing.record_count + index->queued.record_count;
    bool fails = attempt->code != SQLITE_OK, notes_failure = fails && takes_note(index);
    bool recovers = index->failing && !fails;
    uint64_t dropped = fails ? 0 : attempt->dropped, lost = index->lost_count;
    if (!notes_failure && !recovers && !dropped)
        return;
    pthread_mutex_unlock(&index->lock);
    if (notes_failure)
        index_note(&index->notes, "'%s' cannot be written (%s): %llu changes wait", index->db.path,
                   sqlite3_errstr(attempt->code), (unsigned long long)waiting);
    if (recovers)
        index_note(&index->notes, "'%s' can be written again; %llu changes were dropped so far",
                   index->db.path, (unsigned long long)lost);
    if (dropped)
        index_note(&index->notes, "'%s' does not take %llu changes: they were dropped",
                   index->db.path, (unsigned long long)dropped);
    pthread_mutex_lock(&index->lock);
}

/* Under the lock. */
static void
settle(struct index *index, const struct attempt *attempt)
{
    index->failing = attempt->code != SQLITE_OK;
    if (index->failing) {
        index->retry_ns = loop_clock_ns() + CACHE_INDEX_RETRY_MS * MS_NS;
        index->settled_flush = attempt->begun_flush;
    } else {
        index->waiting_cost -= attempt->cost;
        index->lost_count += attempt->dropped;
        index->written_flush = index->taken_flush;
        if (index->settled_flush < index->written_flush)
            index->settled_flush = index->written_flush;
    }
    pthread_cond_broadcast(&index->settled);
}

/* Under the lock, which is off meanwhile. Whether everything that was taken is written. */
static bool
write_changes(struct index *index, uint64_t now_ns, bool for_ask)
{
    struct attempt attempt = {.begun_flush = index->flush_count};
    take_changes(index, now_ns, for_ask);
    attempt.cost = index->writing.cost;
    if (!index_changes_empty(&index->writing)) {
        pthread_mutex_unlock(&index->lock);
        attempt.code = index_write(&index->db, &index->writing, &attempt.dropped);
        if (attempt.code == SQLITE_OK)
            index_changes_clear(&index->writing);
        pthread_mutex_lock(&index->lock);
    }
    note_attempt(index, &attempt);
    settle(index, &attempt);
    return attempt.code == SQLITE_OK;
}

static void
answer(struct index *index, struct index_ask *ask)
{
    pthread_mutex_unlock(&index->lock);
    index_run_query(&index->db, ask);
    pthread_mutex_lock(&index->lock);
    index_finish_ask(index, ask);
}

static void *
run_thread(void *arg)
{
    struct index *index = arg;
    unsigned tries = 0;
    pthread_mutex_lock(&index->lock);
    while (!is_finished(index, tries)) {
        uint64_t now_ns = loop_clock_ns();
        struct index_ask *ask = index_take_ask(index);
        bool writes = write_is_due(index, now_ns) || (ask && !index->failing);
        if (writes && !write_changes(index, now_ns, ask != NULL) && index->stop)
            tries++;
        if (ask)
            answer(index, ask);
        else if (!writes)
            wait_until(index, &index->wake, next_due_ns(index));
    }
    pthread_mutex_unlock(&index->lock);
    return NULL;
}

/* --- life --- */

static int
open_and_load(struct index *index, const char *dir,
              enum index_loaded (*loaded)(void *arg, const struct cache_entry *entry), void *arg,
              struct error *error)
{
    uint64_t dropped;
    bool is_fresh;
    if (index_db_open(&index->db, dir, &index->notes, &is_fresh, error) < 0 ||
        index_load(&index->db, loaded, arg, &index->notes, &dropped, error) < 0 ||
        index_load_totals(&index->db, &index->totals, error) < 0)
        return -1;
    index->last_id = index->db.last_id;
    index->was_orderly = !is_fresh && dropped == 0;
    return 0;
}

static void
destroy(struct index *index)
{
    index_changes_deinit(&index->queued);
    index_changes_deinit(&index->writing);
    pthread_cond_destroy(&index->settled);
    pthread_cond_destroy(&index->wake);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

int
index_open(struct index **out, const char *dir,
           enum index_loaded (*loaded)(void *arg, const struct cache_entry *entry),
           index_note_fn *note, void *arg, struct error *error)
{
    struct index *index = calloc(1, sizeof *index);
    if (!index)
        return error_set(error, "no memory for the cache's index");
    index->notes = (struct index_notes){note, arg};
    index->asks_end = &index->asks;
    index_changes_init(&index->queued);
    index_changes_init(&index->writing);
    pthread_mutex_init(&index->lock, NULL);
    init_cond(&index->wake);
    init_cond(&index->settled);
    int result = open_and_load(index, dir, loaded, arg, error);
    if (result == 0) {
        int code = pthread_create(&index->thread, NULL, run_thread, index);
        if (code)
            result = error_set_errno(error, code, "cannot start the thread of the cache's index");
    }
    if (result < 0) {
        index_db_close(&index->db, false);
        destroy(index);
        return -1;
    }
    *out = index;
    return 0;
}

bool
index_close(struct index *index)
{
    if (!index)
        return true;
    pthread_mutex_lock(&index->lock);
    index->stop = true;
    pthread_cond_signal(&index->wake);
    pthread_mutex_unlock(&index->lock);
    pthread_join(index->thread, NULL);
    must(!index->asks);
    uint64_t left = index->writing.record_count + index->queued.record_count;
    if (left)
        index_note(&index->notes, "'%s': %llu changes could not be written", index->db.path,
                   (unsigned long long)left);
    bool is_whole = index->lost_count + left == 0;
    index_db_close(&index->db, true);
    destroy(index);
    return is_whole;
}

bool
index_was_orderly(const struct index *index)
{
    return index->was_orderly;
}

uint64_t
index_last_id(const struct index *index)
{
    return index->last_id;
}

void
index_totals(const struct index *index, struct cache_totals *totals)
{
    *totals = index->totals;
}
