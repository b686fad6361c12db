/* pages_resources: the lists of resources, between their parts: pages_resources.c reads what is
 * asked for and draws what is around a list, pages_rows.c draws the rows, pages_flights.c collects
 * what is on its way.
 */
#ifndef TARN_CACHE_PAGES_RESOURCES_H
#define TARN_CACHE_PAGES_RESOURCES_H

#include "cache/pages_internal.h"

enum resources_kind {
    RESOURCES_SUCCESSES,
    RESOURCES_DOWNLOADING,
    RESOURCES_SCHEDULED,
    RESOURCES_FAILURES,
    RESOURCES_KIND_COUNT
};

enum resources_sort {
    RESOURCES_UNSORTED, /* a column that cannot be */
    RESOURCES_BY_URL,
    RESOURCES_BY_SIZE,
    RESOURCES_BY_USES,
    RESOURCES_BY_AGE,
    RESOURCES_BY_LAST_USED,
    RESOURCES_BY_RECEIVED,
    RESOURCES_BY_STATUS,
};

enum { RESOURCES_COLUMNS_MAX = 6 };

struct resources_column {
    const char *key;   /* of ?sort=; NULL: none */
    const char *title; /* NULL: there are no more columns */
    enum resources_sort sort;
    bool falls; /* sorted for the first time, the largest comes first */
};

struct resources_tab {
    const char *name, *title, *key; /* key: of the count in JSON */
    const char *none;               /* what stands there instead of an empty list */
    struct resources_column columns[RESOURCES_COLUMNS_MAX + 1];
    uint8_t usual; /* column */
    bool falls;    /* the same */
};
extern const struct resources_tab resources_tabs[RESOURCES_KIND_COUNT];

struct resources {
    struct page page; /* first */
    enum resources_kind kind;
    const struct resources_tab *tab;
    const struct resources_column *column; /* sorted by */
    bool falls;
    bool wants_json;
    unsigned refresh_s;
    uint32_t rows;   /* on a page of the list */
    uint32_t number; /* of that page, from 1 on */
    struct str search;
    uint64_t match_count, match_len;
};

/* --- pages_flights.c --- */

/* A flight as it was found; held. */
struct resources_flight {
    struct cache_flight *flight;
    uint64_t received_len, total_len; /* OBJECT_LEN_UNKNOWN */
    int64_t expires_s;
    uint16_t status; /* of failures, once asked for; else 0 */
    uint16_t place;  /* among all of its kind, from the oldest on */
};

struct resources_flights {
    struct resources_flight *list;
    unsigned count;
};

/* All flights of the kind that match, in the order asked for. False: no memory. */
bool flights_collect(const struct resources *resources, struct resources_flights *flights);
void flights_release(struct resources_flights *flights);

/* --- pages_rows.c --- */

void rows_append_entry(struct resources *resources, const struct cache_entry *entry);
void rows_append_entry_json(struct resources *resources, const struct cache_entry *entry);
void rows_append_flight(struct resources *resources, const struct resources_flight *flight);
void rows_append_flight_json(struct resources *resources, const struct resources_flight *flight);

#endif
