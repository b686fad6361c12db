#include "bpf/wanted.h"

#include "base/limits.h"
#include "bpf/object_test_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { R_CALL = 10 };

static const struct bpf_insn calls[] = {
    {.opcode = 0x85, .src = 1, .imm = -1},
    {.opcode = 0x85, .src = 1, .imm = -1},
    {.opcode = 0x95},
};

static int
read_wanted(struct bpf_wanted *wanted, struct elf_writer *elf, struct error *error)
{
    elf_finish(elf);
    int result = bpf_wanted_read(wanted, buf_str(&elf->file), error);
    memset(elf->file.ptr, 0xa5, elf->file.len);
    return result;
}

static void
test_undefined_symbols_are_listed(void **state)
{
    struct elf_writer elf;
    struct bpf_wanted wanted;
    struct error error;
    elf_init(&elf);
    unsigned code = elf_code(&elf, "tarn.request", calls, 3);
    elf_symbol(&elf, "entry", STT_FUNC, code, 0);
    elf_symbol(&elf, "one", STT_NOTYPE, SHN_UNDEF, 0);
    elf_symbol(&elf, "", STT_NOTYPE, SHN_UNDEF, 0);
    elf_symbol(&elf, "two", STT_NOTYPE, SHN_UNDEF, 0);
    assert_int_equal(read_wanted(&wanted, &elf, &error), 0);
    assert_int_equal(wanted.table.count, 2);
    assert_string_equal(wanted.table.helpers[0].name, "one");
    assert_string_equal(wanted.table.helpers[1].name, "two");
    assert_int_equal(bpf_helper_find(&wanted.table, STR("two")), 1);
    assert_non_null(wanted.table.helpers[1].fn);
    bpf_wanted_deinit(&wanted);
    elf_deinit(&elf);
}

static void
test_a_file_without_any_has_an_empty_table(void **state)
{
    struct elf_writer elf;
    struct bpf_wanted wanted;
    struct error error;
    elf_init(&elf);
    elf_code(&elf, "tarn.request", calls + 2, 1);
    assert_int_equal(read_wanted(&wanted, &elf, &error), 0);
    assert_int_equal(wanted.table.count, 0);
    bpf_wanted_deinit(&wanted);
    elf_deinit(&elf);
}

/* With the table, a file that calls them can be read, however long the names are. */
static void
test_the_file_can_be_read_with_it(void **state)
{
    char name[2 * BPF_NAME_MAX];
    struct elf_writer elf;
    struct bpf_wanted wanted;
    struct bpf_object object;
    struct error error;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    elf_init(&elf);
    unsigned code = elf_code(&elf, "tarn.request", calls, 3);
    elf_rel(&elf, code, 0, R_CALL, elf_symbol(&elf, "first", STT_NOTYPE, SHN_UNDEF, 0));
    elf_rel(&elf, code, 8, R_CALL, elf_symbol(&elf, name, STT_NOTYPE, SHN_UNDEF, 0));
    elf_finish(&elf);
    assert_int_equal(bpf_wanted_read(&wanted, buf_str(&elf.file), &error), 0);
    if (bpf_object_read(&object, buf_str(&elf.file), &wanted.table, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(object.insns[0].src, BPF_CALL_HELPER);
    assert_int_equal(object.insns[0].imm, 0);
    assert_int_equal(object.insns[1].imm, 1);
    bpf_object_deinit(&object);
    bpf_wanted_deinit(&wanted);
    elf_deinit(&elf);
}

static void
test_there_is_a_ceiling(void **state)
{
    for (int more = 0; more <= 1; more++) {
        struct elf_writer elf;
        struct bpf_wanted wanted;
        struct error error;
        elf_init(&elf);
        for (int i = 0; i < BPF_WANTED_MAX + more; i++)
            elf_symbol(&elf, "a", STT_NOTYPE, SHN_UNDEF, 0);
        elf_code(&elf, "tarn.request", calls + 2, 1);
        assert_int_equal(read_wanted(&wanted, &elf, &error), more ? -1 : 0);
        if (more)
            assert_string_equal(error.text, "more than 4096 undefined symbols");
        assert_int_equal(wanted.table.count, more ? 0 : BPF_WANTED_MAX);
        bpf_wanted_deinit(&wanted);
        elf_deinit(&elf);
    }
}

static void
test_what_is_no_object_file_is_refused(void **state)
{
    struct elf_writer elf;
    struct bpf_wanted wanted;
    struct error error;
    assert_int_equal(bpf_wanted_read(&wanted, STR("text"), &error), -1);
    assert_string_equal(error.text, "not an ELF file: it has 4 bytes");
    elf_init(&elf);
    elf_code(&elf, "tarn.request", calls + 2, 1);
    unsigned symbol = elf_symbol(&elf, "one", STT_NOTYPE, SHN_UNDEF, 0);
    elf_finish(&elf);
    elf_symbol_entry(&elf, symbol)->st_name = 0x7fffffff;
    assert_int_equal(bpf_wanted_read(&wanted, buf_str(&elf.file), &error), -1);
    assert_null(wanted.helpers);
    assert_null(wanted.names);
    elf_deinit(&elf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undefined_symbols_are_listed),
        cmocka_unit_test(test_a_file_without_any_has_an_empty_table),
        cmocka_unit_test(test_the_file_can_be_read_with_it),
        cmocka_unit_test(test_there_is_a_ceiling),
        cmocka_unit_test(test_what_is_no_object_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
