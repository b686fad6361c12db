#include "bpf/lines_test_run.h"

static void
put_uleb(struct buf *buf, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put(buf, value | 0x80, 1);
    put(buf, value, 1);
}

struct unit {
    size_t start, header; /* of the length fields */
    unsigned version, offset_len;
};

static struct unit
begin_unit(struct lines_test *test, unsigned version, unsigned offset_len)
{
    struct unit unit = {.version = version, .offset_len = offset_len};
    if (offset_len == 8)
        put(&test->line, UINT32_MAX, 4);
    unit.start = test->line.len;
    put(&test->line, 0, offset_len);
    put(&test->line, version, 2);
    if (version == 5)
        put(&test->line, 8, 2); /* addresses of 8 bytes, no segments */
    unit.header = test->line.len;
    put(&test->line, 0, offset_len);
    put(&test->line, 8, 1); /* bytes of an instruction */
    put(&test->line, 1, 1);
    put(&test->line, 1, 1);
    put(&test->line, (uint8_t)-5, 1); /* lines of special opcodes: from -5, 14 of them */
    put(&test->line, 14, 1);
    put(&test->line, 13, 1);
    buf_append(&test->line, str_make("\0\1\1\1\1\0\0\0\1\0\0\1", 12));
    return unit;
}

static void
end_header(struct lines_test *test, const struct unit *unit)
{
    patch(&test->line, unit->header, test->line.len - unit->header - unit->offset_len,
          unit->offset_len);
}

static void
end_unit(struct lines_test *test, const struct unit *unit)
{
    patch(&test->line, unit->start, test->line.len - unit->start - unit->offset_len,
          unit->offset_len);
}

static void
put_names_v4(struct lines_test *test)
{
    put_text(&test->line, "inc");
    put_text(&test->line, "/abs");
    put_text(&test->line, "");
    for (unsigned i = 0; i < 4; i++) {
        static const char *const files[] = {"a.c", "b.h", "c.h", "/d.h"};
        static const unsigned folders[] = {0, 1, 2, 1};
        put_text(&test->line, files[i]);
        put_uleb(&test->line, folders[i]);
        put_uleb(&test->line, 300);
        put_uleb(&test->line, 0);
    }
    put_text(&test->line, "");
}

/* Folders by offset into .debug_line_str, files by text, folder and checksum. */
static void
put_names_v5(struct lines_test *test, unsigned offset_len)
{
    static const char *const folders[] = {"/work", "inc", "/abs"};
    static const char *const files[] = {"a.c", "b.h", "c.h", "/d.h"};
    put(&test->line, 1, 1);
    put_uleb(&test->line, 1);
    put_uleb(&test->line, 0x1f);
    put_uleb(&test->line, 3);
    for (unsigned i = 0; i < 3; i++) {
        put(&test->line, test->line_str.len, offset_len);
        put_text(&test->line_str, folders[i]);
    }
    put(&test->line, 3, 1);
    put_uleb(&test->line, 1);
    put_uleb(&test->line, 0x08);
    put_uleb(&test->line, 2);
    put_uleb(&test->line, 0x0b);
    put_uleb(&test->line, 5);
    put_uleb(&test->line, 0x1e);
    put_uleb(&test->line, 4);
    for (unsigned i = 0; i < 4; i++) {
        put_text(&test->line, files[i]);
        put(&test->line, i % 3, 1);
        put(&test->line, 0, 8);
        put(&test->line, 0, 8);
    }
}

static void
put_address(struct lines_test *test, uint64_t insn)
{
    put(&test->line, 0, 1);
    put_uleb(&test->line, 9);
    put(&test->line, 2, 1);
    put(&test->line, insn * 8, 8);
}

static void
put_end_sequence(struct lines_test *test)
{
    buf_append(&test->line, str_make("\0\1\1", 3));
}

/* Every opcode, in two sequences; `first` is the number of the first file. */
static void
put_program(struct lines_test *test, unsigned first)
{
    put_address(test, 0);
    put(&test->line, 4, 1); /* file */
    put_uleb(&test->line, first);
    put(&test->line, 3, 1); /* line += 199 */
    put_uleb(&test->line, 199);
    put(&test->line, 1, 1);                   /* insn 0: line 200 */
    put(&test->line, 13 + 5 + 3 + 14 * 2, 1); /* insn 2: line 203 */
    put(&test->line, 2, 1);                   /* insn += 3 */
    put_uleb(&test->line, 3);
    put(&test->line, 3, 1); /* line -= 130 */
    put(&test->line, 0x7e | 0x80, 1);
    put(&test->line, 0x7e, 1);
    put(&test->line, 1, 1); /* insn 5: line 73 */
    put(&test->line, 8, 1); /* insn += (255 - 13) / 14 = 17 */
    put(&test->line, 4, 1);
    put_uleb(&test->line, first + 1);
    put(&test->line, 5, 1); /* column, statement, block, prologue, epilogue, isa */
    put_uleb(&test->line, 1000);
    buf_append(&test->line, str_make("\6\7\12\13\14\1", 6));
    put(&test->line, 1, 1); /* insn 22: line 73 of the second file */
    put(&test->line, 9, 1); /* address += 16 */
    put(&test->line, 16, 2);
    put(&test->line, 0, 1); /* an unknown extended opcode */
    put_uleb(&test->line, 4);
    put(&test->line, 0x80, 4);
    put(&test->line, 13 + 5 - 1, 1); /* insn 24: line 72 */
    put_end_sequence(test);
    put_address(test, 40);
    put(&test->line, 4, 1);
    put_uleb(&test->line, first + 2);
    put(&test->line, 1, 1); /* insn 40: line 1 of the third */
    put(&test->line, 4, 1);
    put_uleb(&test->line, first + 3);
    put(&test->line, 13 + 5 + 14, 1); /* insn 41: line 1 of the fourth */
    put_end_sequence(test);
}

static void
put_unit(struct lines_test *test, unsigned version, unsigned offset_len)
{
    struct unit unit = begin_unit(test, version, offset_len);
    if (version == 5)
        put_names_v5(test, offset_len);
    else
        put_names_v4(test);
    end_header(test, &unit);
    put_program(test, version == 5 ? 0 : 1);
    end_unit(test, &unit);
}

static void
assert_program_lines(const struct lines_test *test, const char *const files[4])
{
    assert_int_equal(test->object.line_count, 7);
    assert_line(test, 0, 0, files[0], 200);
    assert_line(test, 1, 2, files[0], 203);
    assert_line(test, 2, 5, files[0], 73);
    assert_line(test, 3, 22, files[1], 73);
    assert_line(test, 4, 24, files[1], 72);
    assert_line(test, 5, 40, files[2], 1);
    assert_line(test, 6, 41, files[3], 1);
}

static const char *const files_v4[] = {"a.c", "inc/b.h", "/abs/c.h", "/d.h"};
static const char *const files_v5[] = {"/work/a.c", "/work/inc/b.h", "/abs/c.h", "/d.h"};

static void
test_dwarf_gives_lines(void **state)
{
    for (unsigned version = 4; version <= 5; version++)
        for (unsigned offset_len = 4; offset_len <= 8; offset_len += 4) {
            struct lines_test test;
            test_init(&test);
            put_unit(&test, version, offset_len);
            test_read(&test);
            assert_program_lines(&test, version == 5 ? files_v5 : files_v4);
            test_deinit(&test);
        }
}

static void
test_btf_goes_before_dwarf(void **state)
{
    struct lines_test test;
    test_init(&test);
    begin_btf(&test);
    put_btf_section(&test, NAME_REQUEST, 1);
    put_btf_line(&test, 2, NAME_A, 10);
    end_btf(&test);
    put_unit(&test, 5, 4);
    test_read(&test);
    assert_int_equal(test.object.line_count, 1);
    assert_line(&test, 0, 2, "/a.c", 10);
    patch(&test.btf, 0, 0, 2);
    test_read(&test);
    assert_program_lines(&test, files_v5);
    test_deinit(&test);
}

static void
test_units_of_other_versions_are_stepped_over(void **state)
{
    struct lines_test test;
    test_init(&test);
    put(&test.line, 7, 4);
    put(&test.line, 3, 2);
    put(&test.line, UINT64_MAX, 5);
    put_unit(&test, 4, 4);
    put(&test.line, 2, 4);
    put(&test.line, 6, 2);
    test_read(&test);
    assert_program_lines(&test, files_v4);
    test_deinit(&test);
}

static void
test_rows_of_two_units_come_together(void **state)
{
    struct lines_test test;
    test_init(&test);
    struct unit unit = begin_unit(&test, 4, 4);
    put_names_v4(&test);
    end_header(&test, &unit);
    put_address(&test, 90);
    put(&test.line, 1, 1);
    end_unit(&test, &unit);
    put_unit(&test, 4, 4);
    test_read(&test);
    assert_int_equal(test.object.line_count, 8);
    assert_line(&test, 0, 0, "a.c", 200);
    assert_line(&test, 7, 90, "a.c", 1);
    test_deinit(&test);
}

static void
test_rows_without_a_place_or_a_file_are_dropped(void **state)
{
    struct lines_test test;
    test_init(&test);
    struct unit unit = begin_unit(&test, 5, 4);
    put_names_v5(&test, 4);
    end_header(&test, &unit);
    put_address(&test, INSNS);
    put(&test.line, 1, 1);
    put_address(&test, UINT64_MAX / 8);
    put(&test.line, 1, 1);
    put_address(&test, 3);
    put(&test.line, 9, 1); /* between two instructions */
    put(&test.line, 4, 2);
    put(&test.line, 1, 1);
    put(&test.line, 4, 1);
    put_uleb(&test.line, 4); /* there are 4 files, from 0 on */
    put_address(&test, 5);
    put(&test.line, 1, 1);
    put(&test.line, 4, 1);
    put_uleb(&test.line, 3);
    put(&test.line, 3, 1); /* line 0 */
    put(&test.line, 0x7f, 1);
    put(&test.line, 1, 1);
    put(&test.line, 3, 1); /* line -1 */
    put(&test.line, 0x7f, 1);
    put(&test.line, 1, 1);
    put_end_sequence(&test);
    put_address(&test, 6);
    put(&test.line, 1, 1);
    end_unit(&test, &unit);
    test_read(&test);
    assert_int_equal(test.object.line_count, 1);
    assert_line(&test, 0, 6, "/work/inc/b.h", 1); /* a sequence begins with file 1 */
    test_deinit(&test);
}

static void
test_opcodes_that_a_header_redefines_are_stepped_over(void **state)
{
    struct lines_test test;
    test_init(&test);
    struct unit unit = begin_unit(&test, 4, 4);
    size_t base = unit.header + 4 + 5;
    patch(&test.line, base, 15, 1);
    put(&test.line, 0x0302, 2); /* operands of 13 and 14 */
    put_names_v4(&test);
    end_header(&test, &unit);
    put_address(&test, 0);
    put(&test.line, 13, 1);
    put_uleb(&test.line, 1000);
    put_uleb(&test.line, 1);
    put(&test.line, 14, 1);
    put_uleb(&test.line, 1000);
    put_uleb(&test.line, 1000);
    put_uleb(&test.line, 1);
    put(&test.line, 15 + 5 + 4 + 14, 1);
    end_unit(&test, &unit);
    test_read(&test);
    assert_int_equal(test.object.line_count, 1);
    assert_line(&test, 0, 1, "a.c", 5);
    test_deinit(&test);
}

static void
test_forms_of_values_are_stepped_over(void **state)
{
    static const struct {
        uint8_t form;
        const char *bytes;
        unsigned len;
    } forms[] = {
        {0x03, "\3\0abc", 5},
        {0x04, "\2\0\0\0ab", 6},
        {0x05, "ab", 2},
        {0x06, "abcd", 4},
        {0x07, "abcdefgh", 8},
        {0x09, "\1a", 2},
        {0x0a, "\2ab", 3},
        {0x0b, "a", 1},
        {0x0d, "\xff\1", 2},
        {0x0e, "abcd", 4},
        {0x0f, "\x80\1", 2},
        {0x1d, "abcd", 4},
        {0x1e, "0123456789abcdef", 16},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct lines_test test;
        test_init(&test);
        struct unit unit = begin_unit(&test, 5, 4);
        put(&test.line, 0, 1); /* no folders */
        put(&test.line, 0, 1);
        put(&test.line, 2, 1); /* files: what is not known, and a path */
        put_uleb(&test.line, 0x2001);
        put_uleb(&test.line, forms[i].form);
        put_uleb(&test.line, 1);
        put_uleb(&test.line, 0x08);
        put_uleb(&test.line, 2);
        for (unsigned j = 0; j < 2; j++) {
            buf_append(&test.line, str_make(forms[i].bytes, forms[i].len));
            put_text(&test.line, j ? "x\n.c" : "no");
        }
        end_header(&test, &unit);
        put_address(&test, 0);
        put(&test.line, 1, 1);
        end_unit(&test, &unit);
        test_read(&test);
        assert_int_equal(test.object.line_count, 1);
        assert_line(&test, 0, 0, "x?.c", 1);
        test_deinit(&test);
    }
}

static void
test_malformed_dwarf_gives_no_lines(void **state)
{
    /* Offsets in a unit of version 5: 4 length, 2 version, 2 widths, 4 length of the header, then
     * at 12: bytes of an instruction, operations, statement, base, range, opcodes, 12 counts; at
     * 30: formats of folders. */
    static const struct {
        unsigned off, len;
        uint64_t value;
    } patches[] = {
        {0, 4, 0xfffffff0}, {0, 4, 1000}, {0, 4, 1},  {6, 1, 4},     {7, 1, 4},    {8, 4, 1000},
        {8, 4, 5},          {8, 4, 20},   {13, 1, 2}, {13, 1, 0},    {16, 1, 0},   {17, 1, 0},
        {17, 1, 255},       {30, 1, 255}, {30, 1, 0}, {32, 1, 0x7f}, {33, 1, 255}, {32, 1, 0x0c},
    };
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        struct lines_test test;
        test_init(&test);
        put_unit(&test, 5, 4);
        patch(&test.line, patches[i].off, patches[i].value, patches[i].len);
        test_read(&test);
        if (test.object.line_count)
            fail_msg("patch %zu gives lines", i);
        test_deinit(&test);
    }
}

static void
test_dwarf_cut_anywhere_is_no_error(void **state)
{
    for (unsigned version = 4; version <= 5; version++) {
        struct lines_test test;
        test_init(&test);
        put_unit(&test, version, 4);
        for (size_t len = test.line.len; len-- > 0;) {
            test.line.len = len;
            test_read(&test);
            assert_int_equal(test.object.line_count, 0);
            if (len > 40) {
                patch(&test.line, 0, len - 4, 4); /* a unit that ends early */
                test_read(&test);
            }
        }
        test_deinit(&test);
    }
}

/* Entries that consist of nothing take no room, and could be any number. */
static void
test_endless_lists_of_nothing_are_refused(void **state)
{
    for (uint64_t count = 1; count; count <<= 9) {
        struct lines_test test;
        test_init(&test);
        put_unit(&test, 5, 4);
        for (unsigned i = 0; i < 1000; i++) {
            struct unit unit = begin_unit(&test, 5, 4);
            put(&test.line, 0, 1);
            put_uleb(&test.line, count);
            put(&test.line, 0, 1);
            put_uleb(&test.line, count);
            end_header(&test, &unit);
            put_program(&test, 0);
            end_unit(&test, &unit);
        }
        assert_read_fast(&test);
        assert_int_equal(test.object.line_count, 0);
        test_deinit(&test);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dwarf_gives_lines),
        cmocka_unit_test(test_btf_goes_before_dwarf),
        cmocka_unit_test(test_units_of_other_versions_are_stepped_over),
        cmocka_unit_test(test_rows_of_two_units_come_together),
        cmocka_unit_test(test_rows_without_a_place_or_a_file_are_dropped),
        cmocka_unit_test(test_opcodes_that_a_header_redefines_are_stepped_over),
        cmocka_unit_test(test_forms_of_values_are_stepped_over),
        cmocka_unit_test(test_malformed_dwarf_gives_no_lines),
        cmocka_unit_test(test_dwarf_cut_anywhere_is_no_error),
        cmocka_unit_test(test_endless_lists_of_nothing_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
