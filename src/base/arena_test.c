#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX = 1000, BLOCK = 128 };

static int
setup(void **state)
{
    struct arena *arena = malloc(sizeof *arena);
    if (!arena)
        return -1;
    arena_init(arena, MAX, BLOCK);
    *state = arena;
    return 0;
}

static int
teardown(void **state)
{
    arena_deinit(*state);
    free(*state);
    return 0;
}

static void
memory_is_zeroed_aligned_and_apart(void **state)
{
    struct arena *arena = *state;
    unsigned char *seen[20];
    for (unsigned i = 0; i < 20; i++) {
        size_t len = 1 + i * 2;
        seen[i] = arena_alloc(arena, len);
        assert_non_null(seen[i]);
        assert_int_equal((uintptr_t)seen[i] % 16, 0);
        for (size_t at = 0; at < len; at++)
            assert_int_equal(seen[i][at], 0);
        memset(seen[i], (int)i + 1, len);
    }
    for (unsigned i = 0; i < 20; i++)
        for (size_t at = 0; at < 1 + i * 2; at++)
            assert_int_equal(seen[i][at], i + 1);
}

static void
reused_memory_is_zeroed_again(void **state)
{
    struct arena *arena = *state;
    memset(arena_alloc(arena, 64), 'x', 64);
    arena_reset(arena);
    const char *again = arena_alloc(arena, 64);
    for (size_t at = 0; at < 64; at++)
        assert_int_equal(again[at], 0);
}

static void
alignment_returns_behind_text(void **state)
{
    struct arena *arena = *state;
    assert_non_null(arena_alloc_text(arena, 3));
    assert_int_equal((uintptr_t)arena_alloc(arena, 8) % 16, 0);
}

static void
the_ceiling_is_exact_and_the_mark_stays(void **state)
{
    struct arena *arena = *state;
    assert_non_null(arena_alloc_text(arena, MAX - 1));
    assert_non_null(arena_alloc_text(arena, 1));
    assert_false(arena_overflowed(arena));
    assert_null(arena_alloc_text(arena, 1));
    assert_true(arena_overflowed(arena));
    arena_reset(arena);
    assert_false(arena_overflowed(arena));
    assert_null(arena_alloc_text(arena, MAX + 1));
    /* A builder that goes on after a failure must not end up with half of its pieces. */
    assert_null(arena_alloc_text(arena, 1));
    assert_null(arena_copy(arena, STR("a")).ptr);
    assert_null(arena_join(arena, STR("a"), STR("b")).ptr);
    assert_null(arena_printf(arena, "%d", 1).ptr);
    assert_null(arena_alloc_text(arena, SIZE_MAX));
}

static void
one_piece_may_be_larger_than_a_block(void **state)
{
    struct arena *arena = *state;
    char *small = arena_alloc_text(arena, 10);
    char *large = arena_alloc_text(arena, 5 * BLOCK);
    assert_non_null(small);
    assert_non_null(large);
    memset(small, 's', 10);
    memset(large, 'l', 5 * BLOCK);
    assert_int_equal(small[9], 's');
}

static void
a_reset_gives_all_of_it_back(void **state)
{
    struct arena *arena = *state;
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < MAX / 20; i++)
            assert_non_null(arena_alloc_text(arena, 20));
        assert_null(arena_alloc_text(arena, 20));
        arena_reset(arena);
    }
}

static void
text_is_copied_joined_and_printed_with_an_end(void **state)
{
    struct arena *arena = *state;
    struct str copy = arena_copy(arena, STR("a\0b"));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4);
    struct str joined = arena_join(arena, STR("ab"), STR("cd"));
    assert_int_equal(joined.len, 4);
    assert_string_equal(joined.ptr, "abcd");
    struct str nothing = arena_join(arena, (struct str){0}, (struct str){0});
    assert_int_equal(nothing.len, 0);
    assert_string_equal(nothing.ptr, "");
    struct str printed = arena_printf(arena, "%s-%05d", "x", 42);
    assert_int_equal(printed.len, 7);
    assert_string_equal(printed.ptr, "x-00042");
    assert_string_equal(joined.ptr, "abcd");
}

static void
an_arena_that_was_never_used_is_freed(void **state)
{
    struct arena arena;
    arena_init(&arena, 1, 1);
    arena_reset(&arena);
    arena_deinit(&arena);
    assert_null(arena.blocks);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_is_zeroed_aligned_and_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(reused_memory_is_zeroed_again, setup, teardown),
        cmocka_unit_test_setup_teardown(alignment_returns_behind_text, setup, teardown),
        cmocka_unit_test_setup_teardown(the_ceiling_is_exact_and_the_mark_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(one_piece_may_be_larger_than_a_block, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_gives_all_of_it_back, setup, teardown),
        cmocka_unit_test_setup_teardown(text_is_copied_joined_and_printed_with_an_end, setup,
                                        teardown),
        cmocka_unit_test(an_arena_that_was_never_used_is_freed),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
