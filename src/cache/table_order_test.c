/* The order of use after loading. */
#include "cache/table_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
load(struct cache_table *table, uint64_t id, int64_t last_used_s)
{
    char url[64];
    int len = snprintf(url, sizeof url, "http://h/%llu", (unsigned long long)id);
    const struct cache_entry entry = {.id = id,
                                      .url = str_make(url, (size_t)len),
                                      .len = 10,
                                      .last_modified_s = -1,
                                      .created_s = 1,
                                      .last_used_s = last_used_s};
    assert_int_equal(table_load(table, &entry), 0);
}

/* Both directions of the list, and of equals the one with the higher id is the newer. */
static void
assert_in_order(const struct cache_table *table, unsigned count)
{
    unsigned seen = 0;
    const struct entry *last = NULL;
    for (const struct entry *entry = table->newest; entry; last = entry, entry = entry->older) {
        assert_ptr_equal(entry->newer, last);
        if (last)
            assert_true(last->last_used_s > entry->last_used_s ||
                        (last->last_used_s == entry->last_used_s && last->id > entry->id));
        seen++;
    }
    assert_ptr_equal(table->oldest, last);
    assert_int_equal(seen, count);
}

static void
entries_are_in_the_order_of_their_last_use(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 3, 4, 7, 8, 9, 1000, 4097};
    const struct table_config config = {.clean_percent = 75, .open_max = 10};
    srand(1);
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++)
        for (unsigned spread = 1; spread <= 100000; spread *= 100) {
            struct cache_table *table = table_new(&config);
            for (unsigned id = 1; id <= counts[i]; id++)
                load(table, id, rand() % (int)spread);
            table_loaded(table);
            assert_in_order(table, counts[i]);
            table_free(table);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_in_the_order_of_their_last_use),
    };
    return cmocka_run_group_tests_name("table, order", tests, NULL, NULL);
}
