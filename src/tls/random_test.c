/* Random bytes: there is not much that a test can say, but that all of them are written. */
#include "tls/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
every_byte_is_written_and_nothing_behind(void **state)
{
    enum { LEN = 33, ROUNDS = 64 };
    uint8_t bytes[LEN + 1], seen[LEN] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(bytes, 0, sizeof bytes);
        random_fill(bytes, LEN);
        assert_int_equal(bytes[LEN], 0);
        for (unsigned i = 0; i < LEN; i++)
            seen[i] |= bytes[i];
    }
    for (unsigned i = 0; i < LEN; i++)
        assert_int_equal(seen[i], 0xff);
}

static void
two_are_not_the_same(void **state)
{
    uint8_t first[16], second[16];
    random_fill(first, sizeof first);
    random_fill(second, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
    random_fill(first, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_written_and_nothing_behind),
        cmocka_unit_test(two_are_not_the_same),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
