/* Memory in cages of 16 MiB, which systems with little address space have. */
#include "bpf/cases_flow_test.h"
#include "bpf/cases_memory_test.h"
#include "bpf/cases_sequence_test.h"
#include "bpf/engines_test_rows.h"

static void
addresses_of_24_bits(void **state)
{
    const struct bpf_case cases[] = {
        {
            .name = "bits from 24 on are not of the address",
            .memory = SOME,
            PROGRAM(LDDW(R6, 0xffffffffff000000), ALU64_R(OR, R1, R6), LDX(B, R0, R1, 1), EXIT),
            RESULT('1'),
        },
        {
            .name = "stores too",
            PROGRAM(LDDW(R6, 0x80018000), ST(B, R6, 0, 7), LDX(B, R0, R10, 0), EXIT),
            RESULT(7),
        },
        {
            .name = "atomics too",
            .memory = BYTES("\x05\x00\x00\x00"),
            .after = BYTES("\x0a\x00\x00\x00"),
            PROGRAM(LDDW(R6, 0x81000000), ALU64_R(OR, R1, R6), MOV_I(R6, 5),
                    ATOMIC(W, ADD | FETCH, R1, 0, R6), MOV_R(R0, R6), EXIT),
            RESULT(5),
        },
        {
            .name = "the last address",
            PROGRAM(LDDW(R6, 0xffffff), LDX(B, R0, R6, 0), EXIT),
            TRAP(ACCESS, 2),
        },
        {
            .name = "a displacement does not go around",
            PROGRAM(LDDW(R6, 0xffffff), LDX(DW, R0, R6, 32767), EXIT),
            TRAP(ACCESS, 2),
        },
        {
            .name = "a view takes the address as it is",
            .memory = SOME,
            PROGRAM(LDDW(R6, 0x1000000), ALU64_R(OR, R1, R6), MOV_I(R2, 1), CALL(HELPER_BYTES),
                    EXIT),
            TRAP(HELPER, 4),
        },
    };
    engines_open();
    assert_int_equal(bpf_cage_len(), BPF_CAGE_SMALL_LEN);
    engines_run_cases(cases, ROW_COUNT(cases));
    engines_close();
}

static void
accesses_in_every_register(void **state)
{
    engines_open();
    engines_run_accesses(bpf_access_rows, ROW_COUNT(bpf_access_rows));
    engines_close();
}

static void
memory(void **state)
{
    engines_open();
    engines_run_cases(bpf_memory_cases, ROW_COUNT(bpf_memory_cases));
    engines_run_cases(bpf_memory_written_cases, ROW_COUNT(bpf_memory_written_cases));
    engines_close();
}

static void
sequences(void **state)
{
    engines_open();
    engines_run_cases(bpf_sequence_cases, ROW_COUNT(bpf_sequence_cases));
    engines_run_cases(bpf_sequence_written_cases, ROW_COUNT(bpf_sequence_written_cases));
    engines_close();
}

static void
flow(void **state)
{
    engines_open();
    engines_run_cases(bpf_flow_cases, ROW_COUNT(bpf_flow_cases));
    engines_close();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_24_bits),
        cmocka_unit_test(accesses_in_every_register),
        cmocka_unit_test(memory),
        cmocka_unit_test(sequences),
        cmocka_unit_test(flow),
    };
    bpf_cage_set_small();
    return cmocka_run_group_tests_name("bpf engines in small cages", tests, NULL, NULL);
}
