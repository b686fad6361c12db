#include "site/route_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { COUNT = 5000 };

static struct site_route routes[COUNT];
static char paths[COUNT][16];

static void
every_route_is_found_and_nothing_else(void **state)
{
    struct arena arena;
    struct route_table table;
    arena_init(&arena, 1 << 20, 1 << 16);
    assert_int_equal(route_table_init(&table, &arena, COUNT), 0);
    assert_null(route_table_find(&table, STR("/")));
    for (int i = 0; i < COUNT; i++) {
        int len = snprintf(paths[i], sizeof paths[i], "/p/%d", i);
        routes[i].path = str_make(paths[i], (size_t)len);
        routes[i].hash = route_table_hash(routes[i].path);
        route_table_insert(&table, &routes[i]);
    }
    assert_true(2 * table.count <= table.mask + 1);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(route_table_find(&table, routes[i].path), &routes[i]);
    assert_null(route_table_find(&table, STR("/p/")));
    assert_null(route_table_find(&table, STR("/p/5000")));
    assert_null(route_table_find(&table, STR("")));
    arena_deinit(&arena);
}

static void
an_equal_hash_is_not_enough(void **state)
{
    struct arena arena;
    struct route_table table;
    struct site_route wrong = {.path = STR("/wrong")}, right = {.path = STR("/right")};
    arena_init(&arena, 1 << 16, 1 << 12);
    assert_int_equal(route_table_init(&table, &arena, 2), 0);
    wrong.hash = right.hash = route_table_hash(right.path);
    route_table_insert(&table, &wrong);
    assert_null(route_table_find(&table, STR("/right")));
    route_table_insert(&table, &right);
    assert_ptr_equal(route_table_find(&table, STR("/right")), &right);
    arena_deinit(&arena);
}

static void
a_full_arena_is_reported(void **state)
{
    struct arena arena;
    struct route_table table;
    arena_init(&arena, 64, 64);
    assert_int_equal(route_table_init(&table, &arena, 100), -1);
    arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_found_and_nothing_else),
        cmocka_unit_test(an_equal_hash_is_not_enough),
        cmocka_unit_test(a_full_arena_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
