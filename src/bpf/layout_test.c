#include "bpf/layout.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_an_empty_program_has_its_data_where_constants_would_be(void **state)
{
    struct bpf_layout layout;
    assert_true(bpf_layout_init(&layout, 0, 0, 0));
    assert_int_equal(layout.ro_len, 0);
    assert_int_equal(layout.data_off, BPF_RO_BASE);
    assert_int_equal(layout.data_len, 0);
    assert_int_equal(layout.bss_off, BPF_RO_BASE);
    assert_int_equal(layout.bss_len, 0);
    assert_int_equal(bpf_layout_end(&layout), BPF_RO_BASE);
}

static void
test_data_begins_at_the_next_region_and_bss_behind_it(void **state)
{
    struct bpf_layout layout;
    assert_true(bpf_layout_init(&layout, 1, 65, 7));
    assert_int_equal(layout.data_off, 0x30000);
    assert_int_equal(layout.bss_off, 0x30000 + 128);
    assert_int_equal(bpf_layout_end(&layout), 0x30000 + 128 + 7);
    assert_true(bpf_layout_init(&layout, BPF_REGION_ALIGN, 64, 7));
    assert_int_equal(layout.data_off, 0x30000);
    assert_int_equal(layout.bss_off, 0x30000 + 64);
    assert_true(bpf_layout_init(&layout, BPF_REGION_ALIGN + 1, 0, 0));
    assert_int_equal(layout.data_off, 0x40000);
}

static void
test_what_does_not_fit_is_refused(void **state)
{
    struct bpf_layout layout;
    const uint64_t room = BPF_MEMORY_MAX - BPF_RO_BASE;
    assert_true(bpf_layout_init(&layout, room, 0, 0));
    assert_int_equal(bpf_layout_end(&layout), BPF_MEMORY_MAX);
    assert_false(bpf_layout_init(&layout, room + 1, 0, 0));
    assert_true(bpf_layout_init(&layout, 0, room, 0));
    assert_false(bpf_layout_init(&layout, 0, room + 1, 0));
    assert_true(bpf_layout_init(&layout, 0, 0, room));
    assert_false(bpf_layout_init(&layout, 0, 0, room + 1));
    assert_true(bpf_layout_init(&layout, 1, room - BPF_REGION_ALIGN - 64, 64));
    assert_false(bpf_layout_init(&layout, 1, room - BPF_REGION_ALIGN - 64, 65));
    assert_false(bpf_layout_init(&layout, 1, room - BPF_REGION_ALIGN - 63, 64));
}

static void
test_lengths_that_overflow_are_refused(void **state)
{
    struct bpf_layout layout;
    assert_false(bpf_layout_init(&layout, UINT64_MAX, 0, 0));
    assert_false(bpf_layout_init(&layout, 0, UINT64_MAX, 0));
    assert_false(bpf_layout_init(&layout, 0, 0, UINT64_MAX));
    assert_false(bpf_layout_init(&layout, 0, UINT64_MAX, 1));
    assert_false(bpf_layout_init(&layout, UINT64_MAX - BPF_RO_BASE + 1, 0, 0));
    assert_false(bpf_layout_init(&layout, 0, 64, UINT64_MAX - 0x20000 - 63));
}

static void
test_mappings_are_whole_pages(void **state)
{
    const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(bpf_page_up(0), 0);
    assert_int_equal(bpf_page_up(1), page);
    assert_int_equal(bpf_page_up(page), page);
    assert_int_equal(bpf_page_up(page + 1), 2 * page);
    assert_int_equal(bpf_page_up(BPF_MEMORY_MAX), BPF_MEMORY_MAX);
    assert_int_equal(BPF_REGION_ALIGN % page, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_program_has_its_data_where_constants_would_be),
        cmocka_unit_test(test_data_begins_at_the_next_region_and_bss_behind_it),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_lengths_that_overflow_are_refused),
        cmocka_unit_test(test_mappings_are_whole_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
