/* What waits to be written: records in their order, touches of which only the last of each entry
 * counts, totals by the hour.
 */
#include "cache/index_internal.h"

#include "base/must.h"

#include <stdlib.h>

enum { TOUCHES_MIN = 1024 };

void
index_changes_init(struct index_changes *changes)
{
    *changes = (struct index_changes){0};
    changes->end = &changes->first;
}

void
index_changes_clear(struct index_changes *changes)
{
    for (struct index_record *next, *record = changes->first; record; record = next) {
        next = record->next;
        free(record);
    }
    changes->first = NULL;
    changes->end = &changes->first;
    changes->record_count = 0;
    changes->cost = 0;
    if (changes->touches.count)
        memset(changes->touches.slots, 0, changes->touches.cap * sizeof *changes->touches.slots);
    changes->touches.count = 0;
    changes->period_count = 0;
}

void
index_changes_deinit(struct index_changes *changes)
{
    index_changes_clear(changes);
    free(changes->touches.slots);
}

bool
index_changes_empty(const struct index_changes *changes)
{
    return !changes->first && !changes->touches.count && !changes->period_count;
}

/* --- records --- */

static struct str
copy_text(char **at, struct str text)
{
    char *copy = *at;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    *at += text.len;
    return str_make(copy, text.len);
}

static void
check_entry(const struct cache_entry *entry)
{
    must(entry->url.len <= URL_MAX && entry->content_type.len <= CACHE_FIELD_MAX &&
         entry->etag.len <= CACHE_FIELD_MAX && entry->content_coding.len <= CACHE_CODING_MAX);
    must(entry->len <= INT64_MAX);
}

struct index_record *
index_record_new(enum index_change change, const struct cache_entry *entry)
{
    check_entry(entry);
    must(entry->id > 0 && entry->id <= INT64_MAX);
    size_t cost = sizeof(struct index_record) + entry->url.len + entry->content_type.len +
                  entry->etag.len + entry->content_coding.len;
    struct index_record *record = malloc(cost);
    if (!record)
        return NULL;
    char *at = record->text;
    *record = (struct index_record){.change = change, .cost = cost, .entry = *entry};
    record->entry.url = copy_text(&at, entry->url);
    record->entry.content_type = copy_text(&at, entry->content_type);
    record->entry.etag = copy_text(&at, entry->etag);
    record->entry.content_coding = copy_text(&at, entry->content_coding);
    return record;
}

void
index_changes_append(struct index_changes *changes, struct index_record *record)
{
    *changes->end = record;
    changes->end = &record->next;
    changes->record_count++;
    changes->cost += record->cost;
}

void
index_changes_move_records(struct index_changes *to, struct index_changes *from)
{
    must(!to->first);
    if (!from->first)
        return;
    to->first = from->first;
    to->end = from->end;
    to->record_count = from->record_count;
    to->cost = from->cost;
    from->first = NULL;
    from->end = &from->first;
    from->record_count = 0;
    from->cost = 0;
}

/* --- touches --- */

/* Ids come one after the other: their low bits spread well, the run in their high bits hardly. */
static struct index_touch *
find_slot(const struct index_touches *touches, uint64_t id)
{
    size_t mask = touches->cap - 1, at = (id ^ id >> 31) & mask;
    while (touches->slots[at].id && touches->slots[at].id != id)
        at = (at + 1) & mask;
    return &touches->slots[at];
}

/* At most half full. False: full, or no memory. */
static bool
make_room(struct index_touches *touches)
{
    if (touches->count < touches->cap / 2)
        return true;
    if (touches->count >= CACHE_INDEX_TOUCHES_MAX)
        return false;
    struct index_touches grown = {.cap = touches->cap ? 2 * touches->cap : TOUCHES_MIN};
    grown.slots = calloc(grown.cap, sizeof *grown.slots);
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < touches->cap; i++)
        if (touches->slots[i].id)
            *find_slot(&grown, touches->slots[i].id) = touches->slots[i];
    grown.count = touches->count;
    free(touches->slots);
    *touches = grown;
    return true;
}

void
index_changes_touch(struct index_changes *changes, const struct index_touch *touch)
{
    struct index_touches *touches = &changes->touches;
    struct index_touch *slot = touches->cap ? find_slot(touches, touch->id) : NULL;
    if (!slot || !slot->id) {
        if (!make_room(touches))
            return;
        slot = find_slot(touches, touch->id);
        touches->count++;
        *slot = *touch;
    }
    if (touch->last_used_s > slot->last_used_s)
        slot->last_used_s = touch->last_used_s;
    if (touch->use_count > slot->use_count)
        slot->use_count = touch->use_count;
}

void
index_changes_move_touches(struct index_changes *to, struct index_changes *from)
{
    struct index_touches empty = to->touches;
    must(!empty.count);
    to->touches = from->touches;
    from->touches = empty;
}

/* --- totals --- */

static void
add_totals(struct cache_totals *to, const struct cache_totals *added)
{
    for (unsigned i = 0; i < CACHE_TOTAL_COUNT; i++)
        if (__builtin_add_overflow(to->values[i], added->values[i], &to->values[i]))
            to->values[i] = UINT64_MAX;
}

/* When too many hours wait, the last one stands for what comes. */
void
index_changes_add(struct index_changes *changes, int64_t now_s, const struct cache_totals *added)
{
    int64_t hour_s = now_s < 0 ? 0 : now_s - now_s % INDEX_HOUR_S;
    struct index_period *last = changes->periods + changes->period_count - 1;
    bool is_new = !changes->period_count || last->start_s != hour_s;
    if (is_new && changes->period_count < CACHE_INDEX_PERIODS_MAX) {
        last = &changes->periods[changes->period_count++];
        *last = (struct index_period){.start_s = hour_s};
    }
    add_totals(&last->totals, added);
}

void
index_changes_move_periods(struct index_changes *to, struct index_changes *from)
{
    must(!to->period_count);
    memcpy(to->periods, from->periods, from->period_count * sizeof *from->periods);
    to->period_count = from->period_count;
    from->period_count = 0;
}
