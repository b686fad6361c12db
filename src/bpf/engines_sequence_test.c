/* Instructions of which a translator makes others, and what it may know of registers. */
#include "bpf/cases_sequence_test.h"
#include "bpf/engines_test_rows.h"

static void
sequences(void **state)
{
    engines_open();
    engines_run_sequences(bpf_sequence_rows, ROW_COUNT(bpf_sequence_rows));
    engines_close();
}

static void
loads_that_are_swapped_and_wide_addresses(void **state)
{
    engines_open();
    engines_run_cases(bpf_sequence_cases, ROW_COUNT(bpf_sequence_cases));
    engines_close();
}

static void
accesses_one_after_the_other(void **state)
{
    engines_open();
    engines_run_cases(bpf_sequence_written_cases, ROW_COUNT(bpf_sequence_written_cases));
    engines_close();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences),
        cmocka_unit_test(loads_that_are_swapped_and_wide_addresses),
        cmocka_unit_test(accesses_one_after_the_other),
    };
    return cmocka_run_group_tests_name("bpf engines, sequences", tests, NULL, NULL);
}
