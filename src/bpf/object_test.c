#include "base/limits.h"
#include "bpf/object_test_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { R_WIDE = 1, R_ABS64 = 2, R_ABS32 = 3, R_CALL = 10 };

#define EXIT           \
    {                  \
        .opcode = 0x95 \
    }
#define CALL(number)                              \
    {                                             \
        .opcode = 0x85, .src = 1, .imm = (number) \
    }
#define WIDE(low, high)                       \
    {.opcode = 0x18, .dst = 1, .imm = (low)}, \
    {                                         \
        .imm = (high)                         \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct bpf_insn only_exit[] = {EXIT};

/* Finishes the writer and reads its file, which must be right. */
static void
read_good(struct bpf_object *object, struct elf_writer *elf)
{
    struct error error;
    elf_finish(elf);
    if (test_read(object, buf_str(&elf->file), &error) != 0)
        fail_msg("%s", error.text);
    assert_string_equal(error.text, "");
}

static void
test_sections_of_code_are_put_one_after_the_other(void **state)
{
    const struct bpf_insn first[] = {{.opcode = 0xb7, .imm = 7}, EXIT}, second[] = {EXIT};
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    elf_code(&elf, ".text", NULL, 0);
    elf_code(&elf, "zeroserve.request", first, 2);
    elf_section(&elf, ".comment", SHT_PROGBITS, 0, "x", 1);
    elf_code(&elf, "zeroserve.call.a", second, 1);
    read_good(&object, &elf);
    assert_int_equal(object.insn_count, 3);
    assert_memory_equal(object.insns, first, sizeof first);
    assert_memory_equal(object.insns + 2, second, sizeof second);
    assert_int_equal(object.section_count, 2);
    assert_true(str_eq(object.sections[0].name, STR("zeroserve.request")));
    assert_int_equal(object.sections[0].first, 0);
    assert_int_equal(object.sections[0].count, 2);
    assert_true(str_eq(object.sections[1].name, STR("zeroserve.call.a")));
    assert_int_equal(object.sections[1].first, 2);
    assert_ptr_equal(bpf_object_section(&object, 0), &object.sections[0]);
    assert_ptr_equal(bpf_object_section(&object, 1), &object.sections[0]);
    assert_ptr_equal(bpf_object_section(&object, 2), &object.sections[1]);
    assert_null(bpf_object_line(&object, 0));
    assert_int_equal(object.layout.ro_len + object.layout.data_len + object.layout.bss_len, 0);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_calls_of_undefined_symbols_become_calls_of_helpers(void **state)
{
    const struct bpf_insn code[] = {CALL(-1), CALL(-1), CALL(-1), EXIT};
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", code, COUNT(code));
    unsigned now = elf_symbol(&elf, "zs_now_ms", STT_NOTYPE, SHN_UNDEF, 0);
    unsigned log = elf_symbol(&elf, "zs_log", STT_NOTYPE, SHN_UNDEF, 0);
    elf_rel(&elf, text, 0, R_CALL, now);
    elf_rel(&elf, text, 8, R_CALL, log);
    elf_rel(&elf, text, 16, R_CALL, now);
    read_good(&object, &elf);
    const int32_t expected[] = {2, 0, 2};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(object.insns[i].opcode, 0x85);
        assert_int_equal(object.insns[i].src, BPF_CALL_HELPER);
        assert_int_equal(object.insns[i].imm, expected[i]);
    }
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

/* As clang writes them: a section and a distance, a name and -1, and nothing where caller and
 * function are in the same section. */
static void
test_calls_of_functions_lead_to_them_in_any_section(void **state)
{
    const struct bpf_insn code[] = {CALL(2), CALL(-1), CALL(1), EXIT, EXIT};
    const struct bpf_insn text[] = {EXIT, EXIT, EXIT, EXIT, CALL(-1), EXIT};
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    unsigned first = elf_code(&elf, "s", code, COUNT(code));
    unsigned second = elf_code(&elf, ".text", text, COUNT(text));
    elf_rel(&elf, first, 0, R_CALL, elf_symbol(&elf, "", STT_SECTION, second, 0));
    elf_rel(&elf, first, 8, R_CALL, elf_symbol(&elf, "far", STT_FUNC, second, 16));
    elf_rel(&elf, second, 32, R_CALL, elf_symbol(&elf, "back", STT_FUNC, first, 8));
    read_good(&object, &elf);
    assert_int_equal(bpf_call_target(object.insns[0], 0), 5 + 3);
    assert_int_equal(bpf_call_target(object.insns[1], 1), 5 + 2);
    assert_int_equal(bpf_call_target(object.insns[2], 2), 4);
    assert_int_equal(bpf_call_target(object.insns[9], 9), 1);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(object.insns[i].src, BPF_CALL_LOCAL);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_a_function_of_the_file_goes_before_a_helper_of_its_name(void **state)
{
    const struct bpf_insn code[] = {CALL(-1), EXIT, EXIT};
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", code, COUNT(code));
    elf_rel(&elf, text, 0, R_CALL, elf_symbol(&elf, "memcpy", STT_FUNC, text, 16));
    read_good(&object, &elf);
    assert_int_equal(object.insns[0].src, BPF_CALL_LOCAL);
    assert_int_equal(bpf_call_target(object.insns[0], 0), 2);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_functions_are_listed_by_place(void **state)
{
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    unsigned a = elf_code(&elf, "a", only_exit, 1);
    unsigned b = elf_code(&elf, "b", only_exit, 1);
    unsigned data = elf_data(&elf, ".rodata", "12345678", 8);
    elf_symbol(&elf, "in_b", STT_FUNC, b, 0);
    elf_symbol(&elf, "label", STT_NOTYPE, a, 0);
    elf_symbol(&elf, "in\na", STT_FUNC, a, 0);
    elf_symbol(&elf, "data", STT_OBJECT, data, 0);
    elf_symbol(&elf, "away", STT_FUNC, SHN_UNDEF, 99);
    elf_symbol(&elf, "", STT_FUNC, a, 0);
    elf_symbol(&elf, "end", STT_NOTYPE, a, 8);
    read_good(&object, &elf);
    assert_int_equal(object.function_count, 2);
    assert_true(str_eq(object.functions[0].name, STR("in?a")));
    assert_int_equal(object.functions[0].first, 0);
    assert_true(str_eq(object.functions[1].name, STR("in_b")));
    assert_int_equal(object.functions[1].first, 1);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

/* Writes a constant, data and .bss, and four wide instructions that name them. */
static void
test_addresses_of_data_are_those_of_the_layout(void **state)
{
    const struct bpf_insn code[] = {WIDE(2, 0), WIDE(0, 0), WIDE(-8, 0), WIDE(-8, -1), EXIT};
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", code, COUNT(code));
    unsigned strings = elf_data(&elf, ".rodata.str1.1", "abc", 4);
    unsigned rodata = elf_data(&elf, ".rodata", "0123456789abcdef", 16);
    unsigned data = elf_data(&elf, ".data", "DATA", 4);
    unsigned bss = elf_bss(&elf, ".bss", 100);
    elf.sections[strings].header.sh_flags |= SHF_MERGE | SHF_STRINGS;
    elf.sections[strings].header.sh_addralign = 1;
    elf_rel(&elf, text, 0, R_WIDE, elf_symbol(&elf, "", STT_SECTION, strings, 0));
    elf_rel(&elf, text, 16, R_WIDE, elf_symbol(&elf, "r", STT_OBJECT, rodata, 8));
    elf_rel(&elf, text, 32, R_WIDE, elf_symbol(&elf, "d", STT_OBJECT, data, 4));
    elf_rel(&elf, text, 48, R_WIDE, elf_symbol(&elf, "b", STT_OBJECT, bss, 100));
    read_good(&object, &elf);
    assert_int_equal(object.layout.ro_len, 8 + 16);
    assert_memory_equal(object.ro, "abc\0\0\0\0\0000123456789abcdef", 24);
    assert_int_equal(object.layout.data_len, 64); /* .bss begins there */
    assert_memory_equal(object.data, "DATA\0\0\0\0", 8);
    assert_int_equal(object.layout.bss_len, 100);
    assert_int_equal(bpf_wide_imm(object.insns), BPF_RO_BASE + 2);
    assert_int_equal(bpf_wide_imm(object.insns + 2), BPF_RO_BASE + 8 + 8);
    assert_int_equal(bpf_wide_imm(object.insns + 4), object.layout.data_off + 4 - 8);
    assert_int_equal(bpf_wide_imm(object.insns + 6), object.layout.bss_off + 100 - 8);
    assert_int_equal(object.insns[0].dst, 1);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_pointers_in_data_are_addresses(void **state)
{
    const uint64_t table[] = {1, (uint64_t)-4, 0};
    const uint32_t narrow[] = {5, 0x55555555};
    struct elf_writer elf;
    struct bpf_object object;
    uint64_t wide;
    uint32_t half;
    elf_init(&elf);
    elf_code(&elf, "s", only_exit, 1);
    unsigned rodata = elf_data(&elf, ".data.rel.ro.local", table, sizeof table);
    unsigned data = elf_data(&elf, ".data.x", narrow, sizeof narrow);
    unsigned to_ro = elf_symbol(&elf, "ro", STT_OBJECT, rodata, 8);
    unsigned to_data = elf_symbol(&elf, "data", STT_OBJECT, data, 4);
    elf_rel(&elf, rodata, 0, R_ABS64, to_data);
    elf_rel(&elf, rodata, 8, R_ABS64, to_ro);
    elf_rel(&elf, data, 0, R_ABS32, to_ro);
    read_good(&object, &elf);
    assert_int_equal(object.layout.ro_len, sizeof table);
    assert_int_equal(object.layout.data_len, sizeof narrow);
    memcpy(&wide, object.ro, 8);
    assert_int_equal(wide, object.layout.data_off + 4 + 1);
    memcpy(&wide, object.ro + 8, 8);
    assert_int_equal(wide, BPF_RO_BASE + 8 - 4);
    memcpy(&wide, object.ro + 16, 8);
    assert_int_equal(wide, 0);
    memcpy(&half, object.data, 4);
    assert_int_equal(half, BPF_RO_BASE + 8 + 5);
    memcpy(&half, object.data + 4, 4);
    assert_int_equal(half, 0x55555555);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_addends_of_rela_count_instead_of_what_is_in_place(void **state)
{
    const struct bpf_insn code[] = {WIDE(77, 77), CALL(99), CALL(99), EXIT, EXIT};
    const uint64_t filled[] = {~0ull, ~0ull};
    struct elf_writer elf;
    struct bpf_object object;
    uint64_t wide;
    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", code, COUNT(code));
    unsigned data = elf_data(&elf, ".data", filled, sizeof filled);
    unsigned to_data = elf_symbol(&elf, "data", STT_OBJECT, data, 8);
    elf_rela(&elf, text, 0, R_WIDE, to_data, -2);
    elf_rela(&elf, text, 16, R_CALL, elf_symbol(&elf, "", STT_SECTION, text, 0), 40);
    elf_rela(&elf, text, 24, R_CALL, elf_symbol(&elf, "zs_log", STT_FUNC, SHN_UNDEF, 0), 8);
    elf_rela(&elf, data, 8, R_ABS64, to_data, 1);
    read_good(&object, &elf);
    assert_int_equal(bpf_wide_imm(object.insns), object.layout.data_off + 6);
    assert_int_equal(bpf_call_target(object.insns[2], 2), 5);
    assert_int_equal(object.insns[3].imm, 0);
    assert_int_equal(object.insns[3].src, BPF_CALL_HELPER);
    memcpy(&wide, object.data + 8, 8);
    assert_int_equal(wide, object.layout.data_off + 9);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_data_is_aligned_as_it_asks(void **state)
{
    const struct bpf_insn code[] = {WIDE(0, 0), WIDE(0, 0), WIDE(0, 0), WIDE(0, 0), EXIT};
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    unsigned text = elf_code(&elf, "s", code, COUNT(code));
    const unsigned sections[] = {
        elf_data(&elf, ".data", "x", 1),
        elf_section(&elf, ".data.zero", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, NULL, 10),
        elf_bss(&elf, ".bss.big", 8200),
        elf_data(&elf, ".data.b", "y", 1),
    };
    elf.sections[sections[1]].header.sh_addralign = 0;
    elf.sections[sections[2]].header.sh_addralign = 4096;
    elf.sections[sections[3]].header.sh_addralign = 256;
    for (unsigned i = 0; i < 4; i++)
        elf_rel(&elf, text, 16 * i, R_WIDE, elf_symbol(&elf, "s", STT_OBJECT, sections[i], 0));
    read_good(&object, &elf);
    const struct bpf_layout *layout = &object.layout;
    assert_int_equal(layout->data_off % 4096, 0);
    assert_int_equal(bpf_wide_imm(object.insns), layout->data_off);
    assert_int_equal(bpf_wide_imm(object.insns + 2), layout->bss_off);
    assert_int_equal(bpf_wide_imm(object.insns + 4), layout->bss_off + 4096);
    assert_int_equal(bpf_wide_imm(object.insns + 4) % 4096, 0);
    assert_int_equal(bpf_wide_imm(object.insns + 6), layout->data_off + 256);
    assert_int_equal(layout->data_len, 4096); /* so that .bss is aligned */
    assert_int_equal(layout->bss_len, 4096 + 8200);
    assert_memory_equal(object.data + 255, "\0y\0", 3);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_other_sections_are_not_looked_at(void **state)
{
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    elf_code(&elf, "s", only_exit, 1);
    unsigned info = elf_section(&elf, ".debug_info", SHT_PROGBITS, 0, "1234", 4);
    unsigned license = elf_data(&elf, "license", "GPL", 4);
    elf_section(&elf, ".rodata.away", SHT_PROGBITS, 0, "not loaded", 10);
    elf_section(&elf, ".rodata", SHT_NOTE, SHF_ALLOC, "no data", 7);
    elf.sections[license].header.sh_addralign = 3;
    elf_rel(&elf, info, 1000, 77, 1000);
    elf_symbol(&elf, "far", STT_OBJECT, license, 1 << 30);
    read_good(&object, &elf);
    assert_int_equal(object.layout.ro_len, 0);
    assert_int_equal(object.insn_count, 1);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_names_of_sections_are_one_line_in_messages(void **state)
{
    struct elf_writer elf;
    struct bpf_object object;
    elf_init(&elf);
    elf_code(&elf, "a\nb\x1b\x7f", only_exit, 1);
    read_good(&object, &elf);
    assert_true(str_eq(object.sections[0].name, STR("a?b??")));
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_a_file_without_symbols_is_one(void **state)
{
    struct elf_writer elf;
    struct bpf_object object;
    struct error error;
    elf_init(&elf);
    elf_code(&elf, "s", only_exit, 1);
    elf_finish(&elf);
    elf_section_header(&elf, elf.symtab)->sh_type = SHT_NOTE;
    assert_int_equal(test_read(&object, buf_str(&elf.file), &error), 0);
    assert_int_equal(object.function_count, 0);
    assert_int_equal(object.insn_count, 1);
    bpf_object_deinit(&object);
    elf_deinit(&elf);
}

static void
test_bare_instructions_make_an_object(void **state)
{
    const struct bpf_insn code[] = {{.opcode = 0xb7, .imm = 1}, EXIT};
    struct bpf_object object;
    struct error error;
    assert_int_equal(bpf_object_from_insns(&object, code, 2, STR("data"), &error), 0);
    assert_int_equal(object.insn_count, 2);
    assert_memory_equal(object.insns, code, sizeof code);
    assert_int_equal(object.section_count, 1);
    assert_int_equal(object.sections[0].count, 2);
    assert_int_equal(object.layout.data_off, BPF_RO_BASE);
    assert_int_equal(object.layout.data_len, 4);
    assert_memory_equal(object.data, "data", 4);
    assert_ptr_equal(bpf_object_section(&object, 1), &object.sections[0]);
    assert_null(bpf_object_line(&object, 1));
    bpf_object_deinit(&object);
    assert_int_equal(bpf_object_from_insns(&object, code, 2, (struct str){0}, &error), 0);
    assert_null(object.data);
    bpf_object_deinit(&object);
    assert_int_equal(bpf_object_from_insns(&object, code, 0, STR(""), &error), -1);
    assert_string_equal(error.text, "0 instructions, expected 1 to 1000000");
    assert_int_equal(bpf_object_from_insns(&object, code, BPF_INSNS_MAX + 1, STR(""), &error), -1);
    assert_int_equal(bpf_object_from_insns(&object, code, 2, str_make("", BPF_MEMORY_MAX), &error),
                     -1);
    assert_string_equal(error.text, "8388608 bytes of data do not fit into 8257536");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sections_of_code_are_put_one_after_the_other),
        cmocka_unit_test(test_calls_of_undefined_symbols_become_calls_of_helpers),
        cmocka_unit_test(test_calls_of_functions_lead_to_them_in_any_section),
        cmocka_unit_test(test_a_function_of_the_file_goes_before_a_helper_of_its_name),
        cmocka_unit_test(test_functions_are_listed_by_place),
        cmocka_unit_test(test_addresses_of_data_are_those_of_the_layout),
        cmocka_unit_test(test_pointers_in_data_are_addresses),
        cmocka_unit_test(test_addends_of_rela_count_instead_of_what_is_in_place),
        cmocka_unit_test(test_data_is_aligned_as_it_asks),
        cmocka_unit_test(test_other_sections_are_not_looked_at),
        cmocka_unit_test(test_names_of_sections_are_one_line_in_messages),
        cmocka_unit_test(test_a_file_without_symbols_is_one),
        cmocka_unit_test(test_bare_instructions_make_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
