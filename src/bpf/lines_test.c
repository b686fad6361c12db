#include "base/limits.h"
#include "bpf/lines_test_run.h"

/* Three sections, of which the last is not loaded. */
static void
write_btf(struct lines_test *test)
{
    begin_btf(test);
    put_btf_section(test, NAME_TEXT, 2);
    put_btf_line(test, 0, NAME_B, 300);
    put_btf_line(test, 39, NAME_A, 1);
    put_btf_section(test, NAME_REQUEST, 3);
    put_btf_line(test, 2, NAME_A, 10);
    put_btf_line(test, 3, NAME_A, 10);
    put_btf_line(test, 9, NAME_B, 10);
    put_btf_section(test, NAME_OTHER, 1);
    put_btf_line(test, 5, NAME_A, 99);
    end_btf(test);
}

static void
test_btf_gives_lines_by_section(void **state)
{
    struct lines_test test;
    test_init(&test);
    write_btf(&test);
    test_read(&test);
    assert_int_equal(test.object.line_count, 4);
    assert_line(&test, 0, 2, "/a.c", 10);
    assert_line(&test, 1, 9, "/b.c", 10);
    assert_line(&test, 2, 40, "/b.c", 300);
    assert_line(&test, 3, 79, "/a.c", 1);
    test_deinit(&test);
}

static void
test_an_instruction_has_the_last_line_of_its_section(void **state)
{
    struct lines_test test;
    test_init(&test);
    write_btf(&test);
    test_read(&test);
    assert_null(bpf_object_line(&test.object, 0));
    assert_null(bpf_object_line(&test.object, 1));
    assert_int_equal(bpf_object_line(&test.object, 2)->insn, 2);
    assert_int_equal(bpf_object_line(&test.object, 8)->insn, 2);
    assert_int_equal(bpf_object_line(&test.object, 39)->insn, 9);
    assert_int_equal(bpf_object_line(&test.object, 40)->insn, 40);
    assert_int_equal(bpf_object_line(&test.object, 79)->insn, 79);
    assert_null(bpf_object_line(&test.object, 80));
    assert_null(bpf_object_line(&test.object, 99));
    test_deinit(&test);
}

static void
test_each_section_begins_with_its_own_line(void **state)
{
    struct lines_test test;
    test_init(&test);
    begin_btf(&test);
    put_btf_section(&test, NAME_REQUEST, 1);
    put_btf_line(&test, 0, NAME_A, 10);
    put_btf_section(&test, NAME_TEXT, 2);
    put_btf_line(&test, 1, NAME_A, 10);
    put_btf_line(&test, 2, NAME_A, 10);
    end_btf(&test);
    test_read(&test);
    assert_int_equal(test.object.line_count, 2);
    assert_line(&test, 1, 41, "/a.c", 10);
    assert_null(bpf_object_line(&test.object, 40));
    test_deinit(&test);
}

static void
test_the_last_of_several_lines_of_an_instruction_counts(void **state)
{
    struct lines_test test;
    test_init(&test);
    begin_btf(&test);
    put_btf_section(&test, NAME_REQUEST, 5);
    put_btf_line(&test, 7, NAME_A, 3);
    put_btf_line(&test, 4, NAME_B, 1);
    put_btf_line(&test, 4, NAME_A, 2);
    put_btf_line(&test, 4, NAME_B, 3);
    put_btf_line(&test, 6, NAME_B, 0); /* a line of the compiler's own */
    end_btf(&test);
    test_read(&test);
    assert_int_equal(test.object.line_count, 2);
    assert_line(&test, 0, 4, "/b.c", 3);
    assert_line(&test, 1, 7, "/a.c", 3);
    test_deinit(&test);
}

static void
test_records_may_be_longer(void **state)
{
    struct lines_test test;
    test_init(&test);
    begin_btf(&test);
    patch(&test.btf_ext, 32, 20, 4);
    put_btf_section(&test, NAME_REQUEST, 2);
    put_btf_line(&test, 0, NAME_A, 5);
    put(&test.btf_ext, UINT32_MAX, 4);
    put_btf_line(&test, 1, NAME_A, 6);
    put(&test.btf_ext, UINT32_MAX, 4);
    end_btf(&test);
    test_read(&test);
    assert_int_equal(test.object.line_count, 2);
    assert_line(&test, 1, 1, "/a.c", 6);
    test_deinit(&test);
}

static void
test_instructions_outside_of_their_section_have_no_line(void **state)
{
    struct lines_test test;
    test_init(&test);
    begin_btf(&test);
    put_btf_section(&test, NAME_REQUEST, 3);
    put_btf_line(&test, 40, NAME_A, 5);
    put_btf_line(&test, 0x1fffffff, NAME_A, 5);
    put_btf_line(&test, 39, NAME_A, 6);
    end_btf(&test);
    test_read(&test);
    assert_int_equal(test.object.line_count, 1);
    assert_line(&test, 0, 39, "/a.c", 6);
    test_deinit(&test);
}

/* A number of one of the two sections that makes it unusable. */
static void
test_malformed_btf_gives_no_lines(void **state)
{
    static const struct {
        bool ext;
        unsigned off, len;
        uint64_t value;
    } patches[] = {
        {false, 0, 2, 0x9feb},
        {false, 2, 1, 2},
        {false, 4, 4, 0},
        {false, 4, 4, 1000},
        {false, 16, 4, 1000},
        {false, 20, 4, 1000},
        {false, 16, 4, UINT32_MAX},
        {false, 20, 4, UINT32_MAX},
        {false, 20, 4, 0},
        {false, 20, 4, 20},
        {true, 0, 2, 0},
        {true, 2, 1, 0},
        {true, 4, 4, 0},
        {true, 4, 4, UINT32_MAX},
        {true, 16, 4, 200},
        {true, 16, 4, UINT32_MAX},
        {true, 20, 4, 0},
        {true, 20, 4, 1000},
        {true, 20, 4, UINT32_MAX},
        {true, 20, 4, 13},
        {true, 32, 4, 15},
        {true, 32, 4, 0},
        {true, 32, 4, UINT32_MAX},
        {true, 40, 4, 0},
        {true, 40, 4, 3},
        {true, 40, 4, UINT32_MAX},
        {true, 48, 4, UINT32_MAX},
        {true, 48, 4, 0},
    };
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        struct lines_test test;
        test_init(&test);
        write_btf(&test);
        patch(patches[i].ext ? &test.btf_ext : &test.btf, patches[i].off, patches[i].value,
              patches[i].len);
        test_read(&test);
        if (test.object.line_count)
            fail_msg("patch %zu gives lines", i);
        test_deinit(&test);
    }
}

static void
test_debug_information_cut_anywhere_is_no_error(void **state)
{
    struct lines_test test;
    test_init(&test);
    write_btf(&test);
    for (size_t len = test.btf_ext.len; len-- > 0;) {
        test.btf_ext.len = len;
        test_read(&test);
        assert_int_equal(test.object.line_count, 0);
    }
    test_deinit(&test);
}

static void
test_more_lines_than_the_limit_are_none(void **state)
{
    for (uint32_t over = 0; over <= 1; over++) {
        struct lines_test test;
        test_init(&test);
        begin_btf(&test);
        put_btf_section(&test, NAME_REQUEST, BPF_LINES_MAX + over);
        for (uint32_t i = 0; i < BPF_LINES_MAX + over; i++)
            put_btf_line(&test, i % 40, i % 2 ? NAME_A : NAME_B, i + 1);
        end_btf(&test);
        assert_read_fast(&test);
        assert_int_equal(test.object.line_count, over ? 0 : 40);
        test_deinit(&test);
    }
}

/* Every line has another part of an endless name. */
static void
test_names_without_end_are_cut_and_limited(void **state)
{
    enum { NAME_LEN = 8 << 20 };
    for (uint32_t count = 100; count <= 1000000; count *= 10000) {
        struct lines_test test;
        test_init(&test);
        begin_btf(&test);
        char *room = buf_reserve(&test.btf, NAME_LEN);
        assert_non_null(room);
        memset(room, 'n', NAME_LEN);
        buf_commit(&test.btf, NAME_LEN);
        patch(&test.btf, 20, test.btf.len - 28, 4); /* all that follows header and types */
        put_btf_section(&test, NAME_REQUEST, count);
        for (uint32_t i = 0; i < count; i++)
            put_btf_line(&test, i % 40, 40 + i, 1);
        end_btf(&test);
        assert_read_fast(&test);
        assert_int_equal(test.object.line_count, count == 100 ? 40 : 0);
        if (count == 100)
            assert_int_equal(test.object.lines[39].file.len, BPF_FILE_NAME_MAX);
        test_deinit(&test);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_btf_gives_lines_by_section),
        cmocka_unit_test(test_an_instruction_has_the_last_line_of_its_section),
        cmocka_unit_test(test_each_section_begins_with_its_own_line),
        cmocka_unit_test(test_the_last_of_several_lines_of_an_instruction_counts),
        cmocka_unit_test(test_records_may_be_longer),
        cmocka_unit_test(test_instructions_outside_of_their_section_have_no_line),
        cmocka_unit_test(test_malformed_btf_gives_no_lines),
        cmocka_unit_test(test_debug_information_cut_anywhere_is_no_error),
        cmocka_unit_test(test_more_lines_than_the_limit_are_none),
        cmocka_unit_test(test_names_without_end_are_cut_and_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
