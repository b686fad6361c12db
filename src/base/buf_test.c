#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX = 1000 };

static int
setup(void **state)
{
    struct buf *buf = malloc(sizeof *buf);
    if (!buf)
        return -1;
    buf_init(buf, MAX);
    *state = buf;
    return 0;
}

static int
teardown(void **state)
{
    buf_deinit(*state);
    free(*state);
    return 0;
}

static void
appended_pieces_stand_in_order(void **state)
{
    struct buf *buf = *state;
    buf_append(buf, STR("ab"));
    buf_append_char(buf, 'c');
    buf_append(buf, (struct str){0});
    buf_printf(buf, "%d%s", 4, "e");
    assert_true(str_eq(buf_str(buf), STR("abc4e")));
}

static void
the_ceiling_is_exact_and_nothing_is_written_over_it(void **state)
{
    struct buf *buf = *state;
    char bytes[MAX + 1];
    memset(bytes, 'x', sizeof bytes);
    buf_append(buf, str_make(bytes, MAX - 1));
    buf_append_char(buf, 'y');
    assert_int_equal(buf->len, MAX);
    assert_false(buf_overflowed(buf));
    buf_append_char(buf, 'z');
    assert_true(buf_overflowed(buf));
    assert_int_equal(buf->len, MAX);
    assert_int_equal(buf->ptr[MAX - 1], 'y');
}

static void
the_mark_stays_until_cleared(void **state)
{
    struct buf *buf = *state;
    assert_null(buf_reserve(buf, MAX + 1));
    buf_append(buf, STR("small"));
    buf_printf(buf, "small");
    assert_null(buf_reserve(buf, 0));
    assert_int_equal(buf->len, 0);
    buf_clear(buf);
    buf_append(buf, STR("small"));
    assert_true(str_eq(buf_str(buf), STR("small")));
    assert_null(buf_reserve(buf, SIZE_MAX));
}

static void
print_does_not_cut(void **state)
{
    struct buf *buf = *state;
    buf_printf(buf, "%*s", MAX - 1, "x");
    assert_int_equal(buf->len, MAX - 1);
    buf_clear(buf);
    buf_printf(buf, "%*s", MAX + 1, "x");
    assert_true(buf_overflowed(buf));
    assert_int_equal(buf->len, 0);
}

static void
reserved_room_counts_when_committed(void **state)
{
    struct buf *buf = *state;
    char *room = buf_reserve(buf, 700);
    assert_non_null(room);
    memset(room, 'r', 700);
    assert_int_equal(buf->len, 0);
    buf_commit(buf, 3);
    assert_true(str_eq(buf_str(buf), STR("rrr")));
}

static void
consuming_moves_the_rest_to_the_front(void **state)
{
    struct buf *buf = *state;
    buf_consume(buf, 0);
    buf_append(buf, STR("headrest"));
    buf_consume(buf, 4);
    assert_true(str_eq(buf_str(buf), STR("rest")));
    buf_consume(buf, 0);
    buf_consume(buf, 4);
    assert_int_equal(buf->len, 0);
    buf_append(buf, STR("more"));
    assert_true(str_eq(buf_str(buf), STR("more")));
}

static void
it_can_be_used_again_after_deinit(void **state)
{
    struct buf *buf = *state;
    buf_append(buf, STR("a"));
    buf_deinit(buf);
    buf_append(buf, STR("b"));
    assert_true(str_eq(buf_str(buf), STR("b")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appended_pieces_stand_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_ceiling_is_exact_and_nothing_is_written_over_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_mark_stays_until_cleared, setup, teardown),
        cmocka_unit_test_setup_teardown(print_does_not_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(reserved_room_counts_when_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(consuming_moves_the_rest_to_the_front, setup, teardown),
        cmocka_unit_test_setup_teardown(it_can_be_used_again_after_deinit, setup, teardown),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
