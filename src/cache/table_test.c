/* The table: what is found and what is not, the order in which entries go, and an account that
 * never exceeds the quota; by example, and against a model. */
#include "cache/table_internal.h"

#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOW = 1000000, DAY = 86400 };

static struct cache_table *
make(uint64_t quota)
{
    const struct table_config config = {.quota = quota, .clean_percent = 75, .open_max = 4};
    struct cache_table *table = table_new(&config);
    assert_non_null(table);
    return table;
}

static struct cache_entry
entry_of(const char *url, uint64_t id, uint64_t len)
{
    return (struct cache_entry){
        .id = id,
        .url = str_from_cstr(url),
        .content_type = STR("text/plain"),
        .etag = STR("\"v1\""),
        .len = len,
        .sha256 = {1, 2, 3},
        .last_modified_s = -1,
        .created_s = NOW,
        .last_used_s = NOW,
        .ttl_s = DAY,
    };
}

static void
load(struct cache_table *table, const char *url, uint64_t id, uint64_t len)
{
    struct cache_entry entry = entry_of(url, id, len);
    assert_int_equal(table_load(table, &entry), 0);
}

static struct table_want
want_of(const char *url)
{
    return (struct table_want){.url = str_from_cstr(url), .now_s = NOW + 10, .ttl_s = DAY};
}

static uint64_t
used(struct cache_table *table)
{
    struct table_stats stats;
    table_stats(table, &stats);
    return stats.used;
}

static int
open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* Opens the file of what table_ask found closed. */
static struct cache_object *
open_found(struct cache_table *table, const struct table_found *found)
{
    struct cache_object *object = object_new(table, open_null(), &found->entry);
    assert_non_null(object);
    object_finish(object, found->entry.len, found->entry.sha256);
    table_opened(table, found->entry.url, object);
    return object;
}

/* A hit, opened if it has to be; held. */
static struct cache_object *
hit(struct cache_table *table, const char *url)
{
    struct table_want want = want_of(url);
    struct table_found found;
    enum table_answer answer = table_ask(table, &want, &found);
    if (answer == TABLE_CLOSED) {
        object_unref(open_found(table, &found));
        answer = table_ask(table, &want, &found);
    }
    assert_int_equal(answer, TABLE_HIT);
    return found.object;
}

/* Unlinks, as the fetcher would. */
static unsigned
settle_all(struct cache_table *table, struct table_victim *victims)
{
    unsigned count = 0;
    for (struct table_victim *next; victims; victims = next, count++) {
        next = victims->next;
        table_settle(table, victims);
    }
    return count;
}

static void
leave(struct cache_table *table, struct cache_flight *flight)
{
    table_hold(table, flight, 0);
    flight_unref(flight);
}

/* --- asking --- */

static void
an_entry_is_found_closed_then_open(void **state)
{
    struct cache_table *table = make(0);
    load(table, "http://a/x", 7, 100);
    struct table_want want = want_of("http://a/x");
    struct table_found found;
    assert_int_equal(table_ask(table, &want, &found), TABLE_CLOSED);
    assert_int_equal(found.entry.id, 7);
    assert_int_equal(found.entry.len, 100);
    assert_memory_equal(found.entry.etag.ptr, "\"v1\"", 4);
    assert_memory_equal(found.entry.content_type.ptr, "text/plain", 10);
    struct cache_object *object = open_found(table, &found);
    assert_int_equal(table_ask(table, &want, &found), TABLE_HIT);
    assert_ptr_equal(found.object, object);
    struct str wanted = STR("Content-Type: text/plain\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n"
                            "X-Content-Type-Options: nosniff\r\n"
                            "Content-Security-Policy: sandbox\r\n");
    assert_true(str_eq(object->head, wanted));
    object_unref(object);
    object_unref(found.object);
    table_free(table);
}

static void
what_is_not_there_gives_one_flight_to_all(void **state)
{
    struct cache_table *table = make(0);
    struct table_want want = want_of("http://a/x"), other = want_of("http://a/y");
    struct table_found first, second, third;
    assert_int_equal(table_ask(table, &want, &first), TABLE_FLIGHT);
    assert_true(first.is_new);
    want.ttl_s = 2 * DAY;
    assert_int_equal(table_ask(table, &want, &second), TABLE_FLIGHT);
    assert_false(second.is_new);
    assert_ptr_equal(first.flight, second.flight);
    assert_int_equal(first.flight->ttl_s, 2 * DAY);
    assert_int_equal(table_ask(table, &other, &third), TABLE_FLIGHT);
    assert_true(third.is_new);
    assert_ptr_not_equal(first.flight, third.flight);
    leave(table, third.flight);
    flight_unref(second.flight);
    leave(table, first.flight);
    assert_int_equal(table_ask(table, &want, &first), TABLE_FLIGHT);
    assert_true(first.is_new);
    leave(table, first.flight);
    table_free(table);
}

static void
age_and_digest_decide_for_each_request(void **state)
{
    static const uint8_t right[CACHE_SHA256_LEN] = {1, 2, 3}, wrong[CACHE_SHA256_LEN] = {1, 2, 4};
    struct cache_table *table = make(0);
    load(table, "http://a/x", 7, 100);
    struct table_want want = want_of("http://a/x");
    struct table_found found;
    want.ttl_s = 10;
    assert_int_equal(table_ask(table, &want, &found), TABLE_CLOSED);
    want.sha256 = right;
    assert_int_equal(table_ask(table, &want, &found), TABLE_CLOSED);
    want.sha256 = wrong;
    assert_int_equal(table_ask(table, &want, &found), TABLE_FLIGHT);
    leave(table, found.flight);
    want.sha256 = NULL;
    want.ttl_s = 9;
    assert_int_equal(table_ask(table, &want, &found), TABLE_FLIGHT);
    leave(table, found.flight);
    want.ttl_s = DAY; /* what another one found too old is good enough here */
    assert_int_equal(table_ask(table, &want, &found), TABLE_CLOSED);
    table_free(table);
}

static void
a_failure_is_remembered_for_a_while(void **state)
{
    struct cache_table *table = make(0);
    struct table_want want = want_of("http://a/x");
    struct table_found found, again;
    assert_int_equal(table_ask(table, &want, &found), TABLE_FLIGHT);
    flight_set_failed(found.flight, 404, 0, "not found");
    table_hold(table, found.flight, want.now_s + 60);
    want.now_s += 59;
    assert_int_equal(table_ask(table, &want, &again), TABLE_FLIGHT);
    assert_false(again.is_new);
    struct flight_view view;
    flight_look(again.flight, &view);
    assert_int_equal(view.state, FLIGHT_FAILED);
    assert_int_equal(view.status, 404);
    assert_string_equal(view.reason, "not found");
    flight_unref(again.flight);
    want.now_s += 1;
    assert_int_equal(table_ask(table, &want, &again), TABLE_FLIGHT);
    assert_true(again.is_new);
    leave(table, again.flight);
    flight_unref(found.flight);
    assert_int_equal(table_forget_held(table, NOW + 1000), 0);
    table_free(table);
}

static void
flights_are_bounded(void **state)
{
    struct cache_table *table = make(0);
    struct table_found found;
    char url[64];
    for (unsigned i = 0; i <= CACHE_FLIGHTS_MAX; i++) {
        snprintf(url, sizeof url, "http://a/%u", i);
        struct table_want want = want_of(url);
        assert_int_equal(table_ask(table, &want, &found),
                         i < CACHE_FLIGHTS_MAX ? TABLE_FLIGHT : TABLE_BUSY);
        flight_unref(found.flight);
    }
    table_free(table);
}

static void
one_url_is_loaded_once(void **state)
{
    struct cache_table *table = make(0);
    struct cache_entry again = entry_of("http://a/x", 8, 50);
    load(table, "http://a/x", 7, 100);
    assert_int_equal(table_load(table, &again), 1);
    assert_int_equal(used(table), 100);
    table_free(table);
}

/* --- landing --- */

static void
a_landed_flight_is_an_entry(void **state)
{
    struct cache_table *table = make(1000);
    struct table_want want = want_of("http://a/x");
    struct table_found found;
    struct table_victim *replaced;
    for (uint64_t id = 1; id <= 2; id++) { /* the second one replaces the first */
        want.ttl_s = id == 1 ? DAY : 5;
        want.now_s = NOW + 6;
        assert_int_equal(table_ask(table, &want, &found), TABLE_FLIGHT);
        assert_true(table_charge(table, 300));
        struct cache_entry entry = entry_of("http://a/x", id, 300);
        struct cache_object *object = object_new(table, open_null(), &entry);
        object_finish(object, 300, entry.sha256);
        assert_int_equal(table_land(table, found.flight, &entry, object, &replaced), 0);
        assert_int_equal(entry.ttl_s, want.ttl_s);
        flight_unref(found.flight);
        assert_int_equal(replaced != NULL, id == 2);
        object_unref(object);
    }
    assert_int_equal(replaced->id, 1);
    assert_int_equal(used(table), 600);
    settle_all(table, replaced);
    assert_int_equal(used(table), 300);
    struct cache_object *object = hit(table, "http://a/x");
    assert_int_equal(object->id, 2);
    object_unref(object);
    table_free(table);
}

static void
upstreams_word_makes_an_entry_fresh_again(void **state)
{
    struct cache_table *table = make(0);
    load(table, "http://a/x", 7, 100);
    struct cache_object *object = hit(table, "http://a/x");
    struct table_want want = want_of("http://a/x");
    struct table_found found;
    want.now_s = NOW + 2 * DAY;
    assert_int_equal(table_ask(table, &want, &found), TABLE_FLIGHT);
    struct cache_flight *flight = found.flight;
    assert_true(table_renew(table, flight, want.now_s, &found));
    assert_int_equal(found.entry.created_s, want.now_s);
    assert_int_equal(object_created_s(object), want.now_s);
    assert_false(flight->in_table);
    flight_unref(flight);
    assert_int_equal(table_ask(table, &want, &found), TABLE_HIT);
    object_unref(found.object);
    object_unref(object);
    table_free(table);
}

/* --- the account --- */

static void
the_least_recently_used_go_first(void **state)
{
    struct cache_table *table = make(1000);
    load(table, "http://a/1", 1, 300);
    load(table, "http://a/2", 2, 300);
    load(table, "http://a/3", 3, 300);
    object_unref(hit(table, "http://a/1"));
    assert_false(table_charge(table, 101));
    struct table_victim *victims = table_pick(table, 101);
    assert_non_null(victims);
    assert_null(victims->next);
    assert_int_equal(victims->id, 2);
    assert_false(table_charge(table, 101)); /* it is still on the disk */
    settle_all(table, victims);
    assert_true(table_charge(table, 101));
    assert_int_equal(used(table), 701);
    table_discharge(table, 101);
    assert_null(table_pick(table, 1001)); /* cannot be had: nothing is given up for it */
    assert_int_equal(used(table), 600);
    assert_int_equal(settle_all(table, table_pick(table, 1000)), 2);
    assert_int_equal(used(table), 0);
    table_free(table);
}

static void
what_is_read_stays_and_its_bytes_count(void **state)
{
    struct cache_table *table = make(1000);
    load(table, "http://a/1", 1, 600);
    load(table, "http://a/2", 2, 300);
    struct cache_object *reader = hit(table, "http://a/1");
    assert_null(table_pick(table, 500));
    assert_int_equal(settle_all(table, table_pick(table, 400)), 1);
    assert_int_equal(used(table), 600);
    /* Dropped all the same, by purge: the bytes count until the reader leaves. */
    assert_int_equal(settle_all(table, table_pick_url(table, STR("http://a/1"), 0)), 1);
    assert_int_equal(used(table), 600);
    assert_false(table_charge(table, 500));
    object_unref(reader);
    assert_int_equal(used(table), 0);
    assert_null(table_pick_url(table, STR("http://a/1"), 0));
    table_free(table);
}

static void
a_purge_may_mean_one_version(void **state)
{
    struct cache_table *table = make(0);
    load(table, "http://a/1", 5, 600);
    assert_null(table_pick_url(table, STR("http://a/1"), 4));
    assert_int_equal(settle_all(table, table_pick_url(table, STR("http://a/1"), 5)), 1);
    table_free(table);
}

static void
above_the_mark_the_oldest_go(void **state)
{
    struct cache_table *table = make(1000);
    char url[32];
    for (uint64_t i = 1; i <= 10; i++) {
        snprintf(url, sizeof url, "http://a/%u", (unsigned)i);
        load(table, url, i, 100);
    }
    struct table_victim *victims = table_pick_above_mark(table, 2);
    assert_int_equal(victims->id, 1);
    assert_int_equal(victims->next->id, 2);
    assert_null(victims->next->next);
    settle_all(table, victims);
    assert_int_equal(settle_all(table, table_pick_above_mark(table, 10)), 1);
    assert_null(table_pick_above_mark(table, 10));
    assert_int_equal(used(table), 700);
    table_free(table);
}

static void
old_entries_are_found_bit_by_bit(void **state)
{
    struct cache_table *table = make(0);
    char url[32];
    unsigned gone = 0;
    for (uint64_t i = 1; i <= 2 * CACHE_EXPIRE_SCAN + 100; i++) {
        snprintf(url, sizeof url, "http://a/%u", (unsigned)i);
        struct cache_entry entry = entry_of(url, i, 1);
        entry.ttl_s = i % 3 ? DAY : 10;
        assert_int_equal(table_load(table, &entry), 0);
    }
    for (unsigned round = 0; round < 4; round++)
        gone += settle_all(table, table_pick_expired(table, NOW + 21, 10, UINT32_MAX));
    assert_int_equal(gone, (2 * CACHE_EXPIRE_SCAN + 100) / 3);
    assert_null(table_pick_expired(table, NOW + 21, 10, UINT32_MAX));
    table_free(table);
}

static void
few_files_stay_open(void **state)
{
    struct cache_table *table = make(0);
    struct table_stats stats;
    char url[32];
    for (uint64_t i = 1; i <= 20; i++) {
        snprintf(url, sizeof url, "http://a/%u", (unsigned)i);
        load(table, url, i, 100);
        object_unref(hit(table, url));
    }
    table_stats(table, &stats);
    assert_int_equal(stats.open_count, 4);
    struct table_want want = want_of("http://a/20");
    struct table_found found;
    assert_int_equal(table_ask(table, &want, &found), TABLE_HIT);
    object_unref(found.object);
    table_free(table);
}

static void
note_use(void *arg, uint64_t id, int64_t last_used_s, uint32_t use_count)
{
    uint64_t *ids = arg;
    ids[0]++;
    ids[ids[0]] = id * 1000 + use_count;
}

static void
uses_are_reported_once(void **state)
{
    struct cache_table *table = make(0);
    uint64_t ids[8] = {0};
    load(table, "http://a/1", 1, 1);
    load(table, "http://a/2", 2, 1);
    load(table, "http://a/3", 3, 1);
    object_unref(hit(table, "http://a/2"));
    object_unref(hit(table, "http://a/1"));
    object_unref(hit(table, "http://a/1"));
    assert_int_equal(table_take_uses(table, 100, note_use, ids), 2);
    assert_int_equal(ids[1], 1002);
    assert_int_equal(ids[2], 2001);
    assert_int_equal(table_take_uses(table, 100, note_use, ids), 0);
    table_free(table);
}

/* --- against a model --- */

enum { MODEL_URLS = 300, MODEL_STEPS = 200000, MODEL_QUOTA = 20000 };

struct model_entry {
    uint64_t id, len, used_at; /* id 0: not there */
    struct cache_object *reader;
};

struct model {
    struct cache_table *table;
    struct model_entry entries[MODEL_URLS];
    uint64_t next_id, step, zombies; /* bytes unlinked and read */
    uint64_t zombie_len[MODEL_URLS];
    struct cache_object *zombie[MODEL_URLS];
    unsigned zombie_count;
};

static char *
model_url(unsigned i)
{
    static char url[32];
    snprintf(url, sizeof url, "http://host/%u", i);
    return url;
}

static uint64_t
model_used(const struct model *model)
{
    uint64_t sum = model->zombies;
    for (unsigned i = 0; i < MODEL_URLS; i++)
        sum += model->entries[i].id ? model->entries[i].len : 0;
    return sum;
}

/* The idle entry that was used longest ago. */
static int
model_oldest(const struct model *model)
{
    int oldest = -1;
    for (int i = 0; i < MODEL_URLS; i++) {
        const struct model_entry *entry = &model->entries[i];
        if (entry->id && !entry->reader &&
            (oldest < 0 || entry->used_at < model->entries[oldest].used_at))
            oldest = i;
    }
    return oldest;
}

static void
model_goes(struct model *model, unsigned i)
{
    struct model_entry *entry = &model->entries[i];
    if (entry->reader) {
        assert_true(model->zombie_count < MODEL_URLS);
        model->zombie[model->zombie_count] = entry->reader;
        model->zombie_len[model->zombie_count++] = entry->len;
        model->zombies += entry->len;
    }
    *entry = (struct model_entry){0};
}

/* What the table drops must be what the model would, in its order. */
static void
model_evicts(struct model *model, struct table_victim *victims)
{
    for (struct table_victim *victim = victims; victim; victim = victim->next) {
        int oldest = model_oldest(model);
        assert_true(oldest >= 0);
        assert_int_equal(victim->id, model->entries[oldest].id);
        model_goes(model, (unsigned)oldest);
    }
    settle_all(model->table, victims);
}

/* A download of `len` bytes that lands. */
static void
model_download(struct model *model, unsigned i, uint64_t len)
{
    struct cache_table *table = model->table;
    struct table_want want = want_of(model_url(i));
    struct table_found found;
    struct table_victim *replaced;
    want.ttl_s = 0; /* nothing is fresh enough */
    assert_int_equal(table_ask(table, &want, &found), TABLE_FLIGHT);
    bool fits = table_charge(table, len);
    if (!fits) {
        model_evicts(model, table_pick(table, len));
        fits = table_charge(table, len);
    }
    if (!fits) {
        uint64_t gain = 0; /* all that is idle would not have been enough */
        for (unsigned k = 0; k < MODEL_URLS; k++)
            gain += model->entries[k].reader ? 0 : model->entries[k].len;
        assert_true(model_used(model) - gain + len > MODEL_QUOTA);
        leave(table, found.flight);
        return;
    }
    struct cache_entry entry = entry_of(model_url(i), ++model->next_id, len);
    struct cache_object *object = object_new(table, open_null(), &entry);
    object_finish(object, len, entry.sha256);
    assert_int_equal(table_land(table, found.flight, &entry, object, &replaced), 0);
    assert_int_equal(replaced != NULL, model->entries[i].id != 0);
    if (replaced) {
        assert_int_equal(replaced->id, model->entries[i].id);
        model_goes(model, i);
        settle_all(table, replaced);
    }
    model->entries[i] = (struct model_entry){.id = entry.id, .len = len, .used_at = model->step};
    flight_unref(found.flight);
    object_unref(object);
}

static void
model_step(struct model *model)
{
    struct cache_table *table = model->table;
    unsigned i = (unsigned)rand() % MODEL_URLS;
    struct model_entry *entry = &model->entries[i];
    model->step++;
    switch (rand() % 8) {
    case 0:
    case 1:
        model_download(model, i, (uint64_t)rand() % 900 + (rand() % 50 == 0 ? 15000 : 0));
        break;
    case 2: /* purge */
        assert_int_equal(settle_all(table, table_pick_url(table, str_from_cstr(model_url(i)), 0)),
                         entry->id != 0);
        model_goes(model, i);
        break;
    case 3: /* a reader leaves */
        if (entry->reader)
            object_unref(entry->reader);
        entry->reader = NULL;
        if (model->zombie_count) {
            unsigned z = --model->zombie_count;
            model->zombies -= model->zombie_len[z];
            object_unref(model->zombie[z]);
        }
        break;
    case 4:
        model_evicts(model, table_pick_above_mark(table, (unsigned)rand() % 4));
        break;
    default:
        if (!entry->id)
            break;
        struct cache_object *object = hit(table, model_url(i));
        assert_int_equal(object->id, entry->id);
        entry->used_at = model->step;
        if (!entry->reader && rand() % 4 == 0)
            entry->reader = object;
        else
            object_unref(object);
    }
    assert_int_equal(used(table), model_used(model));
    assert_true(used(table) <= MODEL_QUOTA);
}

static void
it_does_as_the_model_does(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    model->table = make(MODEL_QUOTA);
    srand(1);
    for (unsigned i = 0; i < MODEL_STEPS; i++)
        model_step(model);
    for (unsigned i = 0; i < MODEL_URLS; i++)
        object_unref(model->entries[i].reader);
    for (unsigned i = 0; i < model->zombie_count; i++)
        object_unref(model->zombie[i]);
    table_free(model->table);
    free(model);
}

/* Four threads of readers, and one that changes everything: for the thread sanitizer. */
static void *
reader_thread(void *arg)
{
    struct cache_table *table = arg;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    for (unsigned i = 0; i < 20000; i++) {
        char url[32];
        struct table_found found;
        snprintf(url, sizeof url, "http://a/%u", (unsigned)rand_r(&seed) % 50);
        struct table_want want = want_of(url);
        switch (table_ask(table, &want, &found)) {
        case TABLE_HIT:
            object_unref(found.object);
            break;
        case TABLE_CLOSED:
            object_unref(open_found(table, &found));
            break;
        case TABLE_FLIGHT:
            if (found.is_new)
                table_hold(table, found.flight, 0);
            flight_unref(found.flight);
            break;
        default:
            break;
        }
    }
    return NULL;
}

static void
threads_may_ask_at_once(void **state)
{
    struct cache_table *table = make(100000);
    pthread_t threads[4];
    char url[32];
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader_thread, table), 0);
    for (uint64_t i = 1; i < 20000; i++) {
        snprintf(url, sizeof url, "http://a/%u", (unsigned)i % 50);
        settle_all(table, table_pick_url(table, str_from_cstr(url), 0));
        load(table, url, i, 100);
        settle_all(table, table_pick_above_mark(table, 1));
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct table_stats stats;
    table_stats(table, &stats);
    assert_int_equal(stats.used, stats.entry_count * 100);
    table_free(table);
}

static void
an_entry_costs_less_than_300_bytes(void **state)
{
    struct cache_table *table = make(0);
    enum { COUNT = 1200000 }; /* the slots have just been doubled before that, at worst */
    char url[128];
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (uint64_t i = 1; i <= COUNT; i++) {
        snprintf(url, sizeof url,
                 "https://storage.example.org/builds/mainline/v6.18-rc%07u/arm64/"
                 "defconfig/gcc-12/Image.gz?x=%06u",
                 (unsigned)i, (unsigned)i % 1000000);
        load(table, url, i, 100);
    }
    size_t cost = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / COUNT;
    assert_int_equal(strlen(url), 100);
    print_message("%zu bytes an entry\n", cost);
    assert_true(cost < 300);
    table_free(table);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_found_closed_then_open),
        cmocka_unit_test(what_is_not_there_gives_one_flight_to_all),
        cmocka_unit_test(age_and_digest_decide_for_each_request),
        cmocka_unit_test(a_failure_is_remembered_for_a_while),
        cmocka_unit_test(flights_are_bounded),
        cmocka_unit_test(one_url_is_loaded_once),
        cmocka_unit_test(a_landed_flight_is_an_entry),
        cmocka_unit_test(upstreams_word_makes_an_entry_fresh_again),
        cmocka_unit_test(the_least_recently_used_go_first),
        cmocka_unit_test(what_is_read_stays_and_its_bytes_count),
        cmocka_unit_test(a_purge_may_mean_one_version),
        cmocka_unit_test(above_the_mark_the_oldest_go),
        cmocka_unit_test(old_entries_are_found_bit_by_bit),
        cmocka_unit_test(few_files_stay_open),
        cmocka_unit_test(uses_are_reported_once),
        cmocka_unit_test(it_does_as_the_model_does),
        cmocka_unit_test(threads_may_ask_at_once),
        cmocka_unit_test(an_entry_costs_less_than_300_bytes),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
