#include "cache/pages_resources.h"

#include "base/limits.h"

#include <stdlib.h>

_Static_assert(CACHE_FLIGHTS_MAX <= UINT16_MAX, "places fit");

/* Flights are in the table, which others need: under its lock they are only counted and their
 * addresses taken, with a reference to each. Searching and sorting come after that.
 */

struct collection {
    enum resources_kind kind;
    struct resources_flights *flights;
};

static bool
is_of_kind(const struct cache_flight *flight, enum resources_kind kind)
{
    switch (__atomic_load_n(&flight->state, __ATOMIC_RELAXED)) {
    case FLIGHT_QUEUED:
        return kind == RESOURCES_SCHEDULED;
    case FLIGHT_FAILED:
        return kind == RESOURCES_FAILURES;
    default: /* one that is held stands for an older version */
        return kind == RESOURCES_DOWNLOADING && !flight->expires_s;
    }
}

static bool
collect(void *arg, const struct cache_flight *flight)
{
    const struct collection *collection = arg;
    struct resources_flights *flights = collection->flights;
    if (!is_of_kind(flight, collection->kind))
        return true;
    if (flights->count == CACHE_FLIGHTS_MAX)
        return false;
    flights->list[flights->count] = (struct resources_flight){
        .flight = flight_ref((struct cache_flight *)flight),
        .received_len = __atomic_load_n(&flight->received_len, __ATOMIC_RELAXED),
        .total_len = __atomic_load_n(&flight->total_len, __ATOMIC_RELAXED),
        .expires_s = flight->expires_s,
        .place = (uint16_t)flights->count,
    };
    flights->count++;
    return true;
}

/* --- searching and sorting --- */

/* In either case of ASCII letters, as the index does. */
static bool
contains(struct str text, struct str needle)
{
    char first = needle.len ? str_lower_char(needle.ptr[0]) : 0;
    for (size_t at = 0; at + needle.len <= text.len && needle.len; at++)
        if (str_lower_char(text.ptr[at]) == first &&
            str_ieq(str_first(str_skip(text, at), needle.len), needle))
            return true;
    return needle.len == 0;
}

static void
keep_matching(struct resources_flights *flights, struct str search)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < flights->count; i++) {
        struct resources_flight *flight = &flights->list[i];
        if (contains(flight_url(flight->flight), search))
            flights->list[kept++] = *flight;
        else
            flight_unref(flight->flight);
    }
    flights->count = kept;
}

static void
look_at_statuses(struct resources_flights *flights)
{
    struct flight_view view;
    for (unsigned i = 0; i < flights->count; i++) {
        flight_look(flights->list[i].flight, &view);
        flights->list[i].status = (uint16_t)view.status;
        object_unref(view.object);
    }
}

static int
compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int
compare_flights(const void *a, const void *b, void *arg)
{
    const struct resources_flight *x = a, *y = b;
    const struct resources *resources = arg;
    const struct cache_flight *f = x->flight, *g = y->flight;
    int order = 0;
    switch (resources->column->sort) {
    case RESOURCES_BY_SIZE:
        order = compare_numbers(x->total_len, y->total_len);
        break;
    case RESOURCES_BY_RECEIVED:
        order = compare_numbers(x->received_len, y->received_len);
        break;
    case RESOURCES_BY_STATUS:
        order = compare_numbers(x->status, y->status);
        break;
    case RESOURCES_BY_AGE: /* the younger has less of it */
        order = compare_numbers(y->place, x->place);
        break;
    default:
        break;
    }
    if (order == 0)
        order = str_cmp(flight_url(f), flight_url(g));
    return resources->falls ? -order : order;
}

bool
flights_collect(const struct resources *resources, struct resources_flights *flights)
{
    struct collection collection = {.kind = resources->kind, .flights = flights};
    flights->count = 0;
    flights->list = malloc(CACHE_FLIGHTS_MAX * sizeof *flights->list);
    if (!flights->list)
        return false;
    table_each_flight(resources->page.worker->cache->table, collect, &collection);
    keep_matching(flights, resources->search);
    if (resources->column->sort == RESOURCES_BY_STATUS)
        look_at_statuses(flights);
    qsort_r(flights->list, flights->count, sizeof *flights->list, compare_flights,
            (void *)resources);
    return true;
}

void
flights_release(struct resources_flights *flights)
{
    for (unsigned i = 0; i < flights->count; i++)
        flight_unref(flights->list[i].flight);
    free(flights->list);
}
