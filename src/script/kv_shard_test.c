/* kv_shard: who goes first, at random. */
#include "script/kv_shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BUCKETS = 8, NAMES = 300 };

static struct kv_entry *buckets[BUCKETS];

/* Entries of one shard have hashes that say their names. */
static struct kv_entry *
entry_new(unsigned name, uint64_t expires_ms)
{
    struct kv_entry *entry = calloc(1, sizeof *entry + 1);
    assert_non_null(entry);
    entry->hash = name;
    entry->key_len = 1;
    entry->text[0] = (char)name;
    entry->expires_ms = expires_ms;
    return entry;
}

static struct kv_entry *
find(struct kv_shard *shard, unsigned name)
{
    const char key = (char)name;
    return kv_shard_find(shard, name, str_make(&key, 1));
}

static void
test_the_first_to_go(void **state)
{
    struct kv_shard shard;
    memset(buckets, 0, sizeof buckets);
    kv_shard_init(&shard, buckets, BUCKETS);
    kv_shard_enter(&shard, 100);
    assert_null(kv_shard_first_to_go(&shard));
    assert_true(kv_shard_reserve(&shard));
    kv_shard_add(&shard, entry_new(1, KV_NEVER));
    kv_shard_add(&shard, entry_new(2, 300));
    kv_shard_add(&shard, entry_new(3, 200));
    assert_ptr_equal(kv_shard_first_to_go(&shard), find(&shard, 1));
    kv_shard_touch(&shard, find(&shard, 1));
    assert_ptr_equal(kv_shard_first_to_go(&shard), find(&shard, 2));
    kv_shard_leave(&shard);
    assert_int_equal(shard.oldest_ms, 100);
    assert_int_equal(shard.first_expiry_ms, 200);
    kv_shard_enter(&shard, 200);
    assert_ptr_equal(kv_shard_first_to_go(&shard), find(&shard, 3));
    kv_shard_leave(&shard);
    kv_shard_enter(&shard, 150); /* a thread whose clock is behind */
    assert_true(kv_entry_has_expired(&shard, find(&shard, 3)));
    assert_ptr_equal(kv_shard_first_to_go(&shard), find(&shard, 3));
    kv_shard_expire_at(&shard, find(&shard, 3), KV_NEVER);
    assert_ptr_equal(kv_shard_first_to_go(&shard), find(&shard, 2));
    kv_shard_expire_at(&shard, find(&shard, 2), KV_NEVER);
    kv_shard_leave(&shard);
    assert_int_equal(shard.first_expiry_ms, KV_NEVER);
    kv_shard_enter(&shard, 999);
    for (unsigned i = 1; i <= 3; i++) {
        struct kv_entry *entry = find(&shard, i);
        kv_shard_remove(&shard, entry);
        assert_null(find(&shard, i));
        free(entry);
    }
    kv_shard_leave(&shard);
    assert_int_equal(shard.oldest_ms, KV_NEVER);
    kv_shard_deinit(&shard);
}

static void
check_first_expiry(const struct kv_shard *shard)
{
    uint64_t first_ms = KV_NEVER;
    struct kv_entry *entry;
    uint32_t count = 0;
    TAILQ_FOREACH(entry, &shard->by_use, place)
    {
        if (entry->expires_ms < first_ms)
            first_ms = entry->expires_ms;
        assert_int_equal(entry->heap_at != 0, entry->expires_ms != KV_NEVER);
        count += entry->heap_at != 0;
    }
    assert_int_equal(shard->heap_count, count);
    if (count)
        assert_int_equal(shard->heap[0]->expires_ms, first_ms);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(shard->heap[i]->heap_at, i + 1);
}

static uint64_t
random_expiry(uint64_t now)
{
    return rand() % 3 ? now + (uint64_t)(rand() % 2000) : KV_NEVER;
}

static void
test_random_times(void **state)
{
    struct kv_shard shard;
    memset(buckets, 0, sizeof buckets);
    kv_shard_init(&shard, buckets, BUCKETS);
    srand(5);
    for (uint64_t now = 1; now < 30000; now++) {
        unsigned name = (unsigned)rand() % NAMES;
        kv_shard_enter(&shard, now);
        struct kv_entry *entry = find(&shard, name);
        assert_true(kv_shard_reserve(&shard));
        if (!entry) {
            kv_shard_add(&shard, entry_new(name, random_expiry(now)));
        } else if (rand() % 2) {
            kv_shard_expire_at(&shard, entry, random_expiry(now));
        } else {
            kv_shard_remove(&shard, entry);
            free(entry);
        }
        while (now % 50 == 0 && (entry = kv_shard_first_to_go(&shard)) &&
               kv_entry_has_expired(&shard, entry)) {
            kv_shard_remove(&shard, entry);
            free(entry);
        }
        check_first_expiry(&shard);
        kv_shard_leave(&shard);
    }
    assert_true(shard.count > 50);
    kv_shard_deinit(&shard);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_to_go),
        cmocka_unit_test(test_random_times),
    };
    return cmocka_run_group_tests_name("kv_shard", tests, NULL, NULL);
}
