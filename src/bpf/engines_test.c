/* What every instruction does, by the interpreter and by machine code. */
#include "bpf/cases_alu_test.h"
#include "bpf/cases_flow_test.h"
#include "bpf/cases_jump_test.h"
#include "bpf/cases_memory_test.h"
#include "bpf/engines_test_rows.h"

enum { FAR = 100000, PUBLISHED_MEMORY_MAX = 4096 };

/* A copy that the project was given, beside it; a fresh clone has none. */
static const char published_path[] = "../shared/data/bpf/cases.txt";

static void
arithmetic(void **state)
{
    engines_open();
    engines_run_alu(bpf_alu_rows, ROW_COUNT(bpf_alu_rows));
    engines_close();
}

static void
arithmetic_in_every_register(void **state)
{
    engines_open();
    engines_run_alu_everywhere(bpf_alu_written_rows, ROW_COUNT(bpf_alu_written_rows));
    engines_close();
}

static void
conditions(void **state)
{
    engines_open();
    engines_run_jumps(bpf_jump_rows, ROW_COUNT(bpf_jump_rows));
    engines_close();
}

static void
conditions_in_every_register(void **state)
{
    engines_open();
    engines_run_jumps_everywhere(bpf_jump_written_rows, ROW_COUNT(bpf_jump_written_rows));
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
ends_of_memory(void **state)
{
    engines_open();
    engines_run_cases(bpf_memory_cases, ROW_COUNT(bpf_memory_cases));
    engines_close();
}

static void
memory_in_programs(void **state)
{
    engines_open();
    engines_run_cases(bpf_memory_written_cases, ROW_COUNT(bpf_memory_written_cases));
    engines_close();
}

/* Where cages are of 4 GiB. */
static void
addresses_of_32_bits(void **state)
{
    const struct bpf_case cases[] = {
        {
            .name = "bit 31 is of the address",
            PROGRAM(LDDW(R6, 0xffffffff80018000), ST(B, R6, 0, 1), EXIT),
            TRAP(ACCESS, 2),
        },
        {
            .name = "a sign is not",
            PROGRAM(LDDW(R6, 0x80018000), INSN(0xbf, R6, R6, 32, 0), ST(B, R6, 0, 1), EXIT),
            TRAP(ACCESS, 3),
        },
        {
            .name = "a sign of a load is not",
            PROGRAM(ST(W, R10, -4, INT32_MIN), LDXS(W, R6, R10, -4), LDX(DW, R0, R6, 0), EXIT),
            TRAP(ACCESS, 2),
        },
        {
            .name = "a sign of a constant is not",
            PROGRAM(MOV_I(R6, INT32_MIN), LDX(B, R0, R6, 0), EXIT),
            TRAP(ACCESS, 1),
        },
        {
            .name = "a sign of a sum is not",
            PROGRAM(MOV_I(R6, 0), ALU64_I(ADD, R6, INT32_MIN), ST(W, R6, -8, 1), EXIT),
            TRAP(ACCESS, 2),
        },
        {
            .name = "a sign of a remainder is not",
            PROGRAM(MOV_I(R6, INT32_MIN), INSN(0x97, R6, 0, 1, INT32_MAX), ST(W, R6, -8, 1), EXIT),
            TRAP(ACCESS, 2),
        },
        {
            .name = "a sign of a shift is not",
            PROGRAM(MOV_I(R6, 1), ALU64_I(LSH, R6, 63), ALU64_I(ARSH, R6, 32), LDX(W, R0, R6, 0),
                    EXIT),
            TRAP(ACCESS, 3),
        },
        {
            .name = "bit 24 is of the address",
            .memory = SOME,
            PROGRAM(LDDW(R6, 0x1000000), ALU64_R(OR, R1, R6), LDX(B, R0, R1, 0), EXIT),
            TRAP(ACCESS, 3),
        },
    };
    engines_open();
    if (bpf_cage_len() == BPF_CAGE_LEN)
        engines_run_cases(cases, ROW_COUNT(cases));
    else
        print_message("cages are small here\n");
    engines_close();
}

static void
flow(void **state)
{
    engines_open();
    engines_run_cases(bpf_flow_cases, ROW_COUNT(bpf_flow_cases));
    engines_close();
}

/* Between a jump and where it goes, which is an exit, are `distance` instructions that would set r0
 * to 1. One that goes `back` is at the end, and its own place counts. */
static void
run_far(const char *name, struct bpf_insn jump, uint32_t distance, bool back)
{
    struct bpf_insn *insns = malloc((distance + 8) * sizeof *insns);
    uint32_t count = 0;
    assert_non_null(insns);
    if (back) {
        insns[count++] = (struct bpf_insn)GOTO32((int32_t)distance - 1);
        insns[count++] = (struct bpf_insn)EXIT;
        for (uint32_t i = 2; i < distance; i++)
            insns[count++] = (struct bpf_insn)MOV_I(R0, 1);
    }
    insns[count++] = jump;
    if (!back) {
        for (uint32_t i = 0; i < distance; i++)
            insns[count++] = (struct bpf_insn)MOV_I(R0, 1);
    }
    insns[count++] = (struct bpf_insn)EXIT;
    engines_run_case(&(struct bpf_case){.name = name, .insns = insns, .insn_count = count});
    free(insns);
}

static void
jumps_as_far_as_they_go(void **state)
{
    engines_open();
    run_far("ja, furthest", (struct bpf_insn)GOTO(INT16_MAX), INT16_MAX, false);
    run_far("ja, furthest back", (struct bpf_insn)GOTO(INT16_MIN), -INT16_MIN, true);
    run_far("jeq, furthest", (struct bpf_insn)JMP_I(JEQ, R0, 0, INT16_MAX), INT16_MAX, false);
    run_far("jeq, furthest back", (struct bpf_insn)JMP_I(JEQ, R0, 0, INT16_MIN), -INT16_MIN, true);
    run_far("jle 32, furthest", (struct bpf_insn)JMP32_R(JLE, R1, R2, INT16_MAX), INT16_MAX, false);
    run_far("jle 32, furthest back", (struct bpf_insn)JMP32_R(JLE, R1, R2, INT16_MIN), -INT16_MIN,
            true);
    run_far("ja 32", (struct bpf_insn)GOTO32(FAR), FAR, false);
    run_far("ja 32 back", (struct bpf_insn)GOTO32(-FAR), FAR, true);
    engines_close();
}

/* A distance of 127 bytes of machine code is short, 128 is not: every one about there. */
static void
jumps_of_every_short_distance(void **state)
{
    engines_open();
    for (int16_t distance = 0; distance < 80; distance++) {
        int16_t back = (int16_t)-distance;
        run_far("ja", (struct bpf_insn)GOTO(distance), (uint32_t)distance, false);
        run_far("jge", (struct bpf_insn)JMP_I(JGE, R0, 0, distance), (uint32_t)distance, false);
        if (distance > 1) {
            run_far("ja back", (struct bpf_insn)GOTO(back), (uint32_t)-back, true);
            run_far("jge back", (struct bpf_insn)JMP_I(JGE, R0, 0, back), (uint32_t)-back, true);
        }
    }
    engines_close();
}

/* A function further away than a jump reaches, in both directions. */
static void
functions_far_away(void **state)
{
    engines_open();
    struct bpf_insn *insns = calloc(2 * FAR, sizeof *insns);
    assert_non_null(insns);
    for (uint32_t i = 0; i < 2 * FAR; i++)
        insns[i] = (struct bpf_insn)EXIT;
    insns[0] = (struct bpf_insn)GOTO32(FAR - 1);
    insns[1] = (struct bpf_insn)MOV_I(R0, 5);
    insns[FAR] = (struct bpf_insn)CALL_LOCAL(-FAR);
    insns[FAR + 1] = (struct bpf_insn)CALL_LOCAL(FAR - 4);
    insns[2 * FAR - 2] = (struct bpf_insn)ALU64_I(ADD, R0, 6);
    engines_run_case(&(struct bpf_case){
        .name = "functions far away", .insns = insns, .insn_count = 2 * FAR, .result = 11});
    free(insns);
    engines_close();
}

/* --- published cases --- */

static size_t
from_hex(const char *text, char *out, size_t out_max)
{
    size_t len = 0;
    int taken;
    for (unsigned byte; sscanf(text, "%2x%n", &byte, &taken) == 1; text += taken) {
        assert_true(len < out_max);
        out[len++] = (char)byte;
    }
    return len;
}

/* name|memory|program|result */
static void
run_published(char *line)
{
    static char memory[PUBLISHED_MEMORY_MAX], program[1 << 16];
    char *rest = line, *name = strsep(&rest, "|"), *memory_hex = strsep(&rest, "|"),
         *program_hex = strsep(&rest, "|");
    assert_non_null(rest);
    size_t memory_len = from_hex(memory_hex, memory, sizeof memory);
    size_t program_len = from_hex(program_hex, program, sizeof program);
    struct bpf_insn *insns = malloc(program_len);
    assert_non_null(insns);
    memcpy(insns, program, program_len);
    const struct bpf_case c = {
        .name = name,
        .insns = insns,
        .insn_count = (uint32_t)(program_len / sizeof *insns),
        .memory = str_make(memory, memory_len),
        .result = strtoull(rest, NULL, 16),
    };
    for (enum engines_how how = 0; how < ENGINES_HOW_COUNT; how++) {
        struct engines_ending *ending = &engines_endings[how];
        if (!engines_can(how, &c))
            continue;
        engines_execute(ending, &c, how);
        if (ending->outcome != BPF_DONE || ending->result != c.result)
            fail_msg("%s (%s): 0x%" PRIx64 ", expected %s %s", name, engines_how_names[how],
                     ending->result, rest, ending->text);
        engines_check_same(&engines_endings[ENGINES_INTERP], ending, name);
    }
    free(insns);
}

static void
published_cases(void **state)
{
    FILE *file = fopen(published_path, "r");
    if (!file) {
        print_message("skipped: %s is not there\n", published_path);
        skip();
    }
    engines_open();
    char *line = NULL;
    size_t len = 0;
    unsigned count = 0;
    while (getline(&line, &len, file) > 0) {
        run_published(line);
        count++;
    }
    free(line);
    fclose(file);
    assert_true(count >= 200);
    engines_close();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(arithmetic_in_every_register),
        cmocka_unit_test(conditions),
        cmocka_unit_test(conditions_in_every_register),
        cmocka_unit_test(accesses_in_every_register),
        cmocka_unit_test(ends_of_memory),
        cmocka_unit_test(memory_in_programs),
        cmocka_unit_test(addresses_of_32_bits),
        cmocka_unit_test(flow),
        cmocka_unit_test(jumps_as_far_as_they_go),
        cmocka_unit_test(jumps_of_every_short_distance),
        cmocka_unit_test(functions_far_away),
        cmocka_unit_test(published_cases),
    };
    return cmocka_run_group_tests_name("bpf engines", tests, NULL, NULL);
}
