/* kv: values, times to live, the ceiling and who goes for it, counters, several threads. */
#include "script/kv.h"

#include "base/limits.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STORE_MAX = 1 << 20 };

static enum kv_result
set(struct kv *kv, const char *key, const char *value, uint64_t ttl, uint64_t now)
{
    return kv_set(kv, str_from_cstr(key), str_from_cstr(value), ttl, now);
}

static void
check(struct kv *kv, const char *key, const char *value, uint64_t now, int line)
{
    char out[100] = "";
    size_t len = 77;
    bool there = kv_get(kv, str_from_cstr(key), now, out, sizeof out - 1, &len);
    if (there != (value != NULL) || (value && (len != strlen(value) || strcmp(out, value) != 0))) {
        print_error("line %d: '%s' instead of '%s'\n", line, there ? out : "(none)",
                    value ? value : "(none)");
        fail();
    }
}

#define assert_value(kv, key, value, now) check((kv), (key), (value), (now), __LINE__)

static int64_t
add(struct kv *kv, const char *key, int64_t n, uint64_t ttl, uint64_t now)
{
    int64_t sum;
    assert_int_equal(kv_add(kv, str_from_cstr(key), n, ttl, now, &sum), KV_OK);
    return sum;
}

static int
setup(void **state)
{
    *state = kv_new(STORE_MAX);
    return *state ? 0 : -1;
}

static int
teardown(void **state)
{
    kv_free(*state);
    return 0;
}

/* --- values --- */

static void
test_set_get_delete(void **state)
{
    struct kv *kv = *state;
    assert_value(kv, "a", NULL, 1);
    assert_int_equal(set(kv, "a", "one", 0, 1), KV_OK);
    assert_int_equal(set(kv, "b", "", 0, 1), KV_OK);
    assert_value(kv, "a", "one", 1);
    assert_value(kv, "b", "", 1);
    assert_value(kv, "A", NULL, 1);
    assert_int_equal(set(kv, "a",
                         "a longer value than it was before, so that it has to move to "
                         "another place",
                         0, 2),
                     KV_OK);
    assert_value(kv, "a",
                 "a longer value than it was before, so that it has to move to "
                 "another place",
                 2);
    assert_int_equal(set(kv, "a", "s", 0, 2), KV_OK);
    assert_value(kv, "a", "s", 2);
    assert_true(kv_delete(kv, STR("a"), 3));
    assert_false(kv_delete(kv, STR("a"), 3));
    assert_value(kv, "a", NULL, 3);
    assert_true(kv_delete(kv, STR("b"), 3));
    assert_int_equal(kv_stats(kv).used, 0);
    assert_int_equal(kv_stats(kv).count, 0);
}

static void
test_keys_and_values_are_any_bytes(void **state)
{
    static char key[SCRIPT_KV_KEY_MAX], value[SCRIPT_KV_VALUE_MAX], out[SCRIPT_KV_VALUE_MAX];
    const struct str long_key = {key, sizeof key}, long_value = {value, sizeof value};
    struct kv *kv = *state;
    size_t len;
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)(i * 7);
    assert_int_equal(kv_set(kv, STR("\0"), STR("\0\0"), 0, 1), KV_OK);
    assert_int_equal(kv_set(kv, STR("\0\xff"), STR("\xfe"), 0, 1), KV_OK);
    assert_int_equal(kv_set(kv, long_key, long_value, 0, 1), KV_OK);
    assert_true(kv_get(kv, STR("\0"), 1, out, sizeof out, &len));
    assert_int_equal(len, 2);
    assert_memory_equal(out, "\0\0", 2);
    assert_true(kv_get(kv, long_key, 1, out, sizeof out, &len));
    assert_int_equal(len, sizeof value);
    assert_memory_equal(out, value, sizeof value);
    assert_false(kv_get(kv, str_first(long_key, sizeof key - 1), 1, out, sizeof out, &len));
    assert_int_equal(kv_stats(kv).count, 3);
    assert_int_equal(kv_stats(kv).used,
                     3 * KV_ENTRY_COST + 1 + 2 + 2 + 1 + sizeof key + sizeof value);
}

static void
test_what_does_not_fit_is_cut_and_its_length_told(void **state)
{
    struct kv *kv = *state;
    char out[8] = "xxxxxxx";
    size_t len;
    assert_int_equal(set(kv, "k", "abcdef", 0, 1), KV_OK);
    assert_true(kv_get(kv, STR("k"), 1, out, 3, &len));
    assert_int_equal(len, 6);
    assert_string_equal(out, "abcxxxx");
    assert_true(kv_get(kv, STR("k"), 1, NULL, 0, &len));
    assert_int_equal(len, 6);
}

/* --- time --- */

static void
test_time_to_live(void **state)
{
    struct kv *kv = *state;
    assert_int_equal(set(kv, "a", "1", 10, 100), KV_OK);
    assert_int_equal(set(kv, "b", "2", 0, 100), KV_OK);
    assert_int_equal(set(kv, "c", "3", UINT64_MAX, 100), KV_OK);
    assert_value(kv, "a", "1", 109);
    assert_value(kv, "a", NULL, 110);
    assert_value(kv, "b", "2", UINT64_MAX - 1);
    assert_value(kv, "c", "3", UINT64_MAX - 1);
}

static void
test_setting_anew_sets_the_time_anew(void **state)
{
    struct kv *kv = *state;
    assert_int_equal(set(kv, "a", "1", 10, 100), KV_OK);
    assert_int_equal(set(kv, "a", "2", 10, 105), KV_OK);
    assert_value(kv, "a", "2", 114);
    assert_int_equal(set(kv, "a", "3", 0, 114), KV_OK);
    assert_value(kv, "a", "3", 1000);
    assert_int_equal(set(kv, "a", "4", 5, 1000), KV_OK);
    assert_value(kv, "a", "4", 1004);
    assert_value(kv, "a", NULL, 1005);
    assert_int_equal(set(kv, "a", "5", 5, 1005), KV_OK);
    assert_false(kv_delete(kv, STR("a"), 1010));
    assert_int_equal(kv_stats(kv).used, 0);
}

static void
test_many_that_expire_in_any_order(void **state)
{
    struct kv *kv = *state;
    enum { COUNT = 2000 };
    static uint64_t ttls[COUNT];
    char key[16];
    srand(3);
    for (unsigned i = 0; i < COUNT; i++) {
        ttls[i] = (uint64_t)(1 + rand() % 1000);
        snprintf(key, sizeof key, "%u", i);
        assert_int_equal(set(kv, key, "v", 5000, 0), KV_OK);
        assert_int_equal(set(kv, key, "v", ttls[i], 0), KV_OK);
    }
    for (uint64_t now = 0; now <= 1000; now += 50)
        for (unsigned i = 0; i < COUNT; i++) {
            snprintf(key, sizeof key, "%u", i);
            assert_value(kv, key, now < ttls[i] ? "v" : NULL, now);
        }
    assert_int_equal(kv_stats(kv).used, 0);
}

/* --- numbers --- */

static void
test_add(void **state)
{
    struct kv *kv = *state;
    assert_int_equal(add(kv, "n", 5, 0, 1), 5);
    assert_int_equal(add(kv, "n", -12, 0, 1), -7);
    assert_value(kv, "n", "-7", 1);
    assert_int_equal(add(kv, "n", 0, 0, 1), -7);
    assert_int_equal(set(kv, "n", "9", 0, 1), KV_OK);
    assert_int_equal(add(kv, "n", 1, 0, 1), 10);
    assert_int_equal(set(kv, "m", "0012", 0, 1), KV_OK);
    assert_int_equal(add(kv, "m", 1, 0, 1), 13);
    assert_value(kv, "m", "13", 1);
    assert_int_equal(set(kv, "m", "-0", 0, 1), KV_OK);
    assert_int_equal(add(kv, "m", 0, 0, 1), 0);
    assert_value(kv, "m", "0", 1);
}

static void
test_add_at_the_ends(void **state)
{
    struct kv *kv = *state;
    int64_t sum;
    assert_int_equal(add(kv, "n", INT64_MAX, 0, 1), INT64_MAX);
    assert_value(kv, "n", "9223372036854775807", 1);
    assert_int_equal(kv_add(kv, STR("n"), 1, 0, 1, &sum), KV_OUT_OF_RANGE);
    assert_value(kv, "n", "9223372036854775807", 1);
    assert_int_equal(add(kv, "n", INT64_MIN, 0, 1), -1);
    assert_int_equal(add(kv, "m", INT64_MIN, 0, 1), INT64_MIN);
    assert_value(kv, "m", "-9223372036854775808", 1);
    assert_int_equal(kv_add(kv, STR("m"), -1, 0, 1, &sum), KV_OUT_OF_RANGE);
    assert_int_equal(add(kv, "m", INT64_MAX, 0, 1), -1);
}

static void
test_add_to_what_is_no_number(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "1x",
        "x1",
        " 1",
        "1 ",
        "+1",
        "--1",
        "-",
        "1.0",
        "0x1",
        "1e3",
        "9223372036854775808",
        "-9223372036854775809",
        "000000000000000000001", /* 21 characters */
    };
    struct kv *kv = *state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        int64_t sum;
        assert_int_equal(set(kv, "k", texts[i], 0, 1), KV_OK);
        assert_int_equal(kv_add(kv, STR("k"), 1, 0, 1, &sum), KV_NO_NUMBER);
        assert_value(kv, "k", texts[i], 1);
    }
}

static void
test_add_sets_the_time_when_it_makes_the_entry(void **state)
{
    struct kv *kv = *state;
    assert_int_equal(add(kv, "n", 1, 10, 100), 1);
    assert_int_equal(add(kv, "n", 1, 10, 109), 2);
    assert_int_equal(add(kv, "n", 1, 0, 109), 3);
    assert_int_equal(add(kv, "n", 1, 10, 110), 1);
    assert_int_equal(add(kv, "f", 1, 0, 110), 1);
    assert_int_equal(add(kv, "f", 1, 10, 110), 2);
    assert_value(kv, "n", NULL, 120);
    assert_value(kv, "f", "2", 120);
    assert_int_equal(set(kv, "s", "7", 10, 120), KV_OK);
    assert_int_equal(add(kv, "s", 1000000, 0, 125), 1000007); /* moves */
    assert_value(kv, "s", "1000007", 129);
    assert_value(kv, "s", NULL, 130);
}

/* --- the ceiling --- */

/* Room for 10 entries of a key of one and a value of 7 bytes. */
enum { SMALL_COST = KV_ENTRY_COST + 1 + 7, SMALL_MAX = 10 * SMALL_COST };

static void
fill_small(struct kv *kv, const char *keys, uint64_t now)
{
    for (; *keys; keys++) {
        char key[] = {*keys, '\0'};
        assert_int_equal(set(kv, key, "7 bytes", 0, now++), KV_OK);
    }
}

static void
assert_there(struct kv *kv, const char *keys, uint64_t now)
{
    struct kv_stats stats = kv_stats(kv);
    assert_int_equal(stats.count, strlen(keys));
    for (; *keys; keys++) {
        char key[] = {*keys, '\0'};
        assert_value(kv, key, "7 bytes", now++);
    }
}

static void
test_the_least_recently_used_goes(void **state)
{
    struct kv *kv = kv_new(SMALL_MAX);
    fill_small(kv, "abcdefghij", 1);
    assert_int_equal(kv_stats(kv).used, SMALL_MAX);
    assert_int_equal(kv_stats(kv).evictions, 0);
    assert_value(kv, "a", "7 bytes", 20);
    fill_small(kv, "kl", 21);
    assert_there(kv, "adefghijkl", 30);
    assert_int_equal(kv_stats(kv).evictions, 2);
    fill_small(kv, "d", 50); /* set anew is used, too */
    fill_small(kv, "m", 51);
    assert_there(kv, "defghijklm", 60);
    assert_int_equal(kv_stats(kv).used, SMALL_MAX);
    kv_free(kv);
}

static void
test_what_has_expired_goes_first(void **state)
{
    struct kv *kv = kv_new(SMALL_MAX);
    fill_small(kv, "abcd", 1);
    assert_int_equal(set(kv, "x", "7 bytes", 100, 5), KV_OK);
    assert_int_equal(set(kv, "y", "7 bytes", 50, 6), KV_OK);
    fill_small(kv, "efgh", 7);
    fill_small(kv, "i", 60); /* y has expired, x has not */
    assert_int_equal(kv_stats(kv).evictions, 0);
    assert_value(kv, "y", NULL, 61);
    assert_value(kv, "x", "7 bytes", 61);
    fill_small(kv, "j", 200);
    assert_there(kv, "abcdefghij", 201);
    assert_int_equal(kv_stats(kv).evictions, 0);
    kv_free(kv);
}

static void
test_a_large_value_makes_several_go(void **state)
{
    struct kv *kv = kv_new(SMALL_MAX);
    fill_small(kv, "abcdefghij", 1);
    char large[3 * SMALL_COST - KV_ENTRY_COST]; /* with its key, and the NUL left out */
    memset(large, 'x', sizeof large);
    const struct str value = {large, sizeof large - 1};
    assert_int_equal(kv_set(kv, STR("L"), value, 0, 20), KV_OK);
    assert_int_equal(kv_stats(kv).used, SMALL_MAX);
    assert_int_equal(kv_stats(kv).count, 8);
    assert_int_equal(kv_stats(kv).evictions, 3);
    assert_value(kv, "c", NULL, 21);
    assert_value(kv, "d", "7 bytes", 21);
    kv_free(kv);
}

static void
test_what_is_larger_than_the_store_changes_nothing(void **state)
{
    static char large[SMALL_MAX];
    struct kv *kv = kv_new(SMALL_MAX);
    int64_t sum;
    fill_small(kv, "abcdefghij", 1);
    const struct str most = {large, SMALL_MAX - KV_ENTRY_COST - 1};
    assert_int_equal(kv_set(kv, STR("a"), str_make(large, most.len + 1), 0, 20), KV_NO_ROOM);
    assert_there(kv, "abcdefghij", 21);
    assert_int_equal(kv_set(kv, STR("a"), most, 0, 40), KV_OK);
    assert_int_equal(kv_stats(kv).count, 1);
    assert_int_equal(kv_stats(kv).used, SMALL_MAX);
    kv_free(kv);
    kv = kv_new(KV_ENTRY_COST + 10);
    assert_int_equal(kv_add(kv, STR("n"), 1, 0, 1, &sum), KV_NO_ROOM);
    assert_int_equal(set(kv, "n", "1", 0, 1), KV_OK);
    assert_int_equal(kv_add(kv, STR("n"), 1, 0, 1, &sum), KV_NO_ROOM);
    assert_value(kv, "n", "1", 1);
    kv_free(kv);
    kv = kv_new(0);
    assert_int_equal(set(kv, "a", "", 0, 1), KV_NO_ROOM);
    assert_int_equal(kv_stats(kv).used, 0);
    kv_free(kv);
    kv_free(NULL);
}

static void
test_replacing_needs_only_the_difference(void **state)
{
    struct kv *kv = kv_new(SMALL_MAX);
    fill_small(kv, "abcdefghi", 1);
    assert_int_equal(set(kv, "i", "8 bytes.", 0, 20), KV_OK);
    assert_int_equal(kv_stats(kv).used, SMALL_MAX - SMALL_COST + 1);
    assert_int_equal(kv_stats(kv).evictions, 0);
    char large[SMALL_COST + 7];
    memset(large, 'x', sizeof large);
    assert_int_equal(kv_set(kv, STR("a"), str_make(large, SMALL_COST + 6), 0, 21), KV_OK);
    assert_int_equal(kv_stats(kv).used, SMALL_MAX);
    assert_int_equal(kv_stats(kv).evictions, 0);
    assert_int_equal(kv_set(kv, STR("a"), str_make(large, SMALL_COST + 7), 0, 22), KV_OK);
    assert_int_equal(kv_stats(kv).evictions, 1);
    assert_value(kv, "b", NULL, 23);
    kv_free(kv);
}

/* --- against a list --- */

enum { NAMES = 60, MODEL_MAX = 5000 };

struct item {
    bool there;
    char value[400];
    size_t len, cap;
    uint64_t expires, used;
};

struct model {
    struct item items[NAMES];
    uint64_t used, evictions;
};

static size_t
item_cost(unsigned name, size_t cap)
{
    return KV_ENTRY_COST + (name < 10 ? 1 : 2) + cap;
}

static void
model_drop(struct model *model, unsigned name)
{
    model->used -= item_cost(name, model->items[name].cap);
    model->items[name].there = false;
}

static void
model_drop_expired(struct model *model, struct kv *kv, uint64_t now)
{
    for (unsigned i = 0; i < NAMES; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        if (model->items[i].there && model->items[i].expires <= now) {
            assert_value(kv, key, NULL, now);
            model_drop(model, i);
        }
    }
}

static void
model_evict(struct model *model)
{
    unsigned oldest = NAMES;
    for (unsigned i = 0; i < NAMES; i++)
        if (model->items[i].there &&
            (oldest == NAMES || model->items[i].used < model->items[oldest].used))
            oldest = i;
    assert_true(oldest < NAMES);
    model_drop(model, oldest);
    model->evictions++;
}

static void
model_put(struct model *model, unsigned name, const char *value, size_t len, size_t cap,
          uint64_t expires, uint64_t now)
{
    struct item *item = &model->items[name];
    if (!item->there || len > item->cap || item->cap - len > 64 + len) {
        uint64_t held = 0;
        for (;;) {
            uint64_t there = held + (item->there ? item_cost(name, item->cap) : 0);
            uint64_t needed = item_cost(name, cap);
            if (there >= needed)
                break;
            while (model->used + (needed - there) > MODEL_MAX)
                model_evict(model);
            model->used += needed - there;
            held += needed - there;
        }
        if (item->there)
            model->used -= item_cost(name, item->cap);
        model->used += item_cost(name, cap) - held;
        item->cap = cap;
        item->there = true;
    }
    memcpy(item->value, value, len);
    item->len = len;
    item->expires = expires;
    item->used = now;
}

static void
random_set(struct model *model, struct kv *kv, unsigned name, struct str key, uint64_t now)
{
    char value[400];
    size_t len = (size_t)(rand() % 4 ? rand() % 30 : rand() % 400);
    uint64_t ttl = rand() % 2 ? (uint64_t)(rand() % 300) : 0;
    memset(value, 'a' + rand() % 26, sizeof value);
    if (rand() % 2)
        len = (size_t)snprintf(value, sizeof value, "%d", rand() - rand());
    assert_int_equal(kv_set(kv, key, str_make(value, len), ttl, now), KV_OK);
    model_put(model, name, value, len, len, ttl ? now + ttl : UINT64_MAX, now);
}

static void
random_add(struct model *model, struct kv *kv, unsigned name, struct str key, uint64_t now)
{
    const struct item *item = &model->items[name];
    char text[400] = "0", *end;
    int64_t by = rand() - rand(), sum;
    uint64_t ttl = rand() % 2 ? (uint64_t)(rand() % 300) : 0;
    enum kv_result expected = KV_OK;
    if (item->there) {
        memcpy(text, item->value, item->len);
        text[item->len] = '\0';
    }
    long long number = strtoll(text, &end, 10);
    if (!*text || *end)
        expected = KV_NO_NUMBER;
    assert_int_equal(kv_add(kv, key, by, ttl, now, &sum), expected);
    if (expected != KV_OK)
        return;
    assert_int_equal(sum, number + by);
    size_t len = (size_t)snprintf(text, sizeof text, "%lld", number + by);
    uint64_t expires = item->there ? item->expires : ttl ? now + ttl : UINT64_MAX;
    model_put(model, name, text, len, 20, expires, now);
}

static void
random_get(struct model *model, struct kv *kv, unsigned name, struct str key, uint64_t now)
{
    struct item *item = &model->items[name];
    char out[400];
    size_t len;
    bool there = kv_get(kv, key, now, out, sizeof out, &len);
    assert_int_equal(there, item->there);
    if (!there)
        return;
    assert_int_equal(len, item->len);
    assert_memory_equal(out, item->value, len);
    item->used = now;
}

static void
test_random_operations_against_a_list(void **state)
{
    static struct model model;
    struct kv *kv = kv_new(MODEL_MAX);
    srand(11);
    for (uint64_t now = 1; now < 60000; now++) {
        unsigned name = (unsigned)rand() % NAMES;
        char text[16];
        struct str key = {text, (size_t)snprintf(text, sizeof text, "%u", name)};
        model_drop_expired(&model, kv, now);
        switch (rand() % 6) {
        case 0:
        case 1:
            random_set(&model, kv, name, key, now);
            break;
        case 2:
            random_add(&model, kv, name, key, now);
            break;
        case 3:
            assert_int_equal(kv_delete(kv, key, now), model.items[name].there);
            if (model.items[name].there)
                model_drop(&model, name);
            break;
        default:
            random_get(&model, kv, name, key, now);
            break;
        }
        assert_int_equal(kv_stats(kv).used, model.used);
        assert_int_equal(kv_stats(kv).evictions, model.evictions);
    }
    assert_true(model.evictions > 1000);
    kv_free(kv);
}

/* --- threads --- */

enum { THREADS = 4, TURNS = 30000 };

static atomic_bool went_over;

struct worker {
    pthread_t thread;
    struct kv *kv;
    unsigned seed;
};

static void *
count_main(void *arg)
{
    struct worker *worker = arg;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        int64_t sum;
        char key[] = {(char)('a' + turn % 5), '\0'};
        if (kv_add(worker->kv, str_from_cstr(key), 1, 0, turn, &sum) != KV_OK)
            went_over = true;
    }
    return NULL;
}

/* Values are many times the same byte: one that is torn is seen. */
static void *
mix_main(void *arg)
{
    struct worker *worker = arg;
    unsigned seed = worker->seed + 1;
    char value[300], out[300];
    for (unsigned turn = 0; turn < TURNS; turn++) {
        char text[16];
        struct str key = {text, (size_t)snprintf(text, sizeof text, "%d", rand_r(&seed) % 100)};
        size_t len = (size_t)rand_r(&seed) % sizeof value, got;
        memset(value, 'a' + rand_r(&seed) % 26, len);
        switch (rand_r(&seed) % 4) {
        case 0:
            if (kv_set(worker->kv, key, str_make(value, len), (uint64_t)(turn % 50), turn) != KV_OK)
                went_over = true;
            break;
        case 1:
            kv_delete(worker->kv, key, turn);
            break;
        default:
            if (kv_get(worker->kv, key, turn, out, sizeof out, &got))
                for (size_t i = 1; i < got; i++)
                    if (out[i] != out[0])
                        went_over = true;
        }
        if (turn % 16 == 0) {
            struct kv_stats stats = kv_stats(worker->kv);
            if (stats.used > stats.max)
                went_over = true;
        }
    }
    return NULL;
}

static void
run_threads(struct kv *kv, void *(*run)(void *arg))
{
    struct worker workers[THREADS];
    went_over = false;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.kv = kv, .seed = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    assert_false(went_over);
}

static void
test_threads_lose_no_count(void **state)
{
    struct kv *kv = *state;
    run_threads(kv, count_main);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(add(kv, (char[]){(char)('a' + i), '\0'}, 0, 0, TURNS),
                         THREADS * TURNS / 5);
}

static void
test_threads_keep_the_ceiling_and_values_whole(void **state)
{
    struct kv *kv = kv_new(8000);
    run_threads(kv, mix_main);
    assert_true(kv_stats(kv).evictions > 0);
    for (unsigned i = 0; i < 100; i++) {
        char text[16];
        kv_delete(kv, str_make(text, (size_t)snprintf(text, sizeof text, "%u", i)), TURNS);
    }
    assert_int_equal(kv_stats(kv).count, 0);
    assert_int_equal(kv_stats(kv).used, 0);
    kv_free(kv);
}

int
main(void)
{
#define with_kv(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        with_kv(test_set_get_delete),
        with_kv(test_keys_and_values_are_any_bytes),
        with_kv(test_what_does_not_fit_is_cut_and_its_length_told),
        with_kv(test_time_to_live),
        with_kv(test_setting_anew_sets_the_time_anew),
        with_kv(test_many_that_expire_in_any_order),
        with_kv(test_add),
        with_kv(test_add_at_the_ends),
        with_kv(test_add_to_what_is_no_number),
        with_kv(test_add_sets_the_time_when_it_makes_the_entry),
        cmocka_unit_test(test_the_least_recently_used_goes),
        cmocka_unit_test(test_what_has_expired_goes_first),
        cmocka_unit_test(test_a_large_value_makes_several_go),
        cmocka_unit_test(test_what_is_larger_than_the_store_changes_nothing),
        cmocka_unit_test(test_replacing_needs_only_the_difference),
        cmocka_unit_test(test_random_operations_against_a_list),
        with_kv(test_threads_lose_no_count),
        cmocka_unit_test(test_threads_keep_the_ceiling_and_values_whole),
    };
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
