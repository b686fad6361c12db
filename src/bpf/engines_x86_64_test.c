/* Machine code as it is for processors that have none of the instructions that came later. */
#include "bpf/cases_alu_test.h"
#include "bpf/cases_sequence_test.h"
#include "bpf/emit_x86_64.h"
#include "bpf/engines_test_rows.h"

static void
arithmetic(void **state)
{
    engines_open();
    engines_run_alu(bpf_alu_rows, ROW_COUNT(bpf_alu_rows));
    engines_run_alu_everywhere(bpf_alu_written_rows, ROW_COUNT(bpf_alu_written_rows));
    engines_close();
}

static void
sequences(void **state)
{
    engines_open();
    engines_run_sequences(bpf_sequence_rows, ROW_COUNT(bpf_sequence_rows));
    engines_run_cases(bpf_sequence_cases, ROW_COUNT(bpf_sequence_cases));
    engines_run_cases(bpf_sequence_written_cases, ROW_COUNT(bpf_sequence_written_cases));
    engines_close();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(sequences),
    };
    x86_features_limit(0);
    return cmocka_run_group_tests_name("bpf engines, old processors", tests, NULL, NULL);
}
