/* What helpers are given of a script's memory. */
#include "bpf/helper.h"

#include "bpf/cases_test.h"
#include "bpf/worker.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PAGE = 4096, RO_LEN = 100, DATA_LEN = 5000, DATA = 0x30000, DATA_END = DATA + 2 * PAGE };

/* One call of a helper: what it does, and what it saw. */
struct probe {
    void (*does)(struct bpf_run *run, struct probe *probe);
    uint64_t addr, len, other, other_len;
    const char *seen;
    size_t seen_len;
    char bytes[64];
};

struct vm {
    struct bpf_worker *worker;
    struct bpf_program *program;
    struct bpf_pool *pool;
};

static uint64_t
probe(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, struct bpf_run *run)
{
    struct probe *probe = bpf_user(run);
    probe->does(run, probe);
    return 1;
}

static const struct bpf_helper helper_list[] = {
    {"probe", probe},
    {"probes", probe},
    {"Probe", probe},
    {"probe", probe},
};
static const struct bpf_helper_table helpers = {helper_list, 4};

static void
make_object(struct bpf_object *object, uint32_t ro_len)
{
    const struct bpf_insn insns[] = {CALL(0), EXIT};
    static const char data[DATA_LEN] = "data";
    struct error error;
    assert_int_equal(bpf_object_from_insns(object, insns, 2, str_make(data, sizeof data), &error),
                     0);
    free(object->ro);
    object->ro = calloc(1, ro_len);
    assert_non_null(object->ro);
    memcpy(object->ro, "constants", 9);
    assert_true(bpf_layout_init(&object->layout, ro_len, DATA_LEN, 0));
    assert_int_equal(object->layout.data_off, DATA);
}

/* In the test itself: cmocka puts its own signal handlers around tests and fixtures. */
static void
vm_init(struct vm *vm, uint32_t ro_len)
{
    const struct bpf_program_config config = {.helpers = &helpers};
    const struct bpf_budget budget = {0};
    struct bpf_object object;
    struct error error;
    bpf_worker_here = NULL; /* left by a test that failed */
    bpf_run_current = NULL;
    assert_int_equal(bpf_worker_new(&vm->worker, NULL, &error), 0);
    make_object(&object, ro_len);
    assert_int_equal(bpf_program_new(&vm->program, &object, &config, &error), 0);
    assert_int_equal(bpf_pool_new(&vm->pool, vm->worker, vm->program, &budget, &error), 0);
}

static void
vm_deinit(struct vm *vm)
{
    bpf_pool_free(vm->pool);
    bpf_program_unref(vm->program);
    bpf_worker_free(vm->worker);
}

/* The run after the helper; the caller frees it. */
static struct bpf_run *
run_probe(struct vm *vm, struct probe *probe)
{
    struct bpf_run *run = bpf_run_new(vm->pool, 0, probe);
    assert_non_null(run);
    bpf_run_go(run);
    return run;
}

static void
expect_done(struct vm *vm, struct probe *probe)
{
    struct bpf_run *run = run_probe(vm, probe);
    if (run->outcome != BPF_DONE)
        fail_msg("0x%" PRIx64 ", %" PRIu64 ": %s", probe->addr, probe->len, run->trap_text);
    bpf_run_free(run);
}

static void
expect_trap(struct vm *vm, struct probe *probe, const char *text)
{
    struct bpf_run *run = run_probe(vm, probe);
    if (run->outcome != BPF_TRAPPED)
        fail_msg("0x%" PRIx64 ", %" PRIu64 ": no trap", probe->addr, probe->len);
    assert_int_equal(bpf_run_trap(run).kind, BPF_TRAP_HELPER);
    assert_int_equal(bpf_run_trap(run).insn, 0);
    if (text)
        assert_string_equal(bpf_run_trap(run).text, text);
    bpf_run_free(run);
}

static void
does_read(struct bpf_run *run, struct probe *probe)
{
    struct str view = bpf_view(run, probe->addr, probe->len);
    probe->seen = view.ptr;
    probe->seen_len = view.len;
    assert_non_null(view.ptr);
    if (view.len)
        assert_ptr_equal(view.ptr, run->cage.base + probe->addr);
    if (view.len)
        memcpy(probe->bytes, view.ptr, view.len < 64 ? view.len : 64);
}

static void
does_write(struct bpf_run *run, struct probe *probe)
{
    char *view = bpf_view_writable(run, probe->addr, probe->len);
    assert_non_null(view);
    if (probe->len) {
        assert_ptr_equal(view, run->cage.base + probe->addr);
        memset(view, 'w', probe->len);
    }
}

static void
does_copy_in(struct bpf_run *run, struct probe *probe)
{
    assert_true(probe->len <= sizeof probe->bytes);
    bpf_copy_in(run, probe->bytes, probe->addr, probe->len);
}

static void
does_copy_out(struct bpf_run *run, struct probe *probe)
{
    assert_true(probe->len <= sizeof probe->bytes);
    bpf_copy_out(run, probe->addr, probe->bytes, probe->len);
}

static void
does_two(struct bpf_run *run, struct probe *probe)
{
    struct str from = bpf_view(run, probe->addr, probe->len);
    char *to = bpf_view_writable(run, probe->other, probe->other_len);
    bpf_views_apart(run, from.ptr, from.len, to, probe->other_len);
}

/* --- where memory is --- */

struct place {
    uint64_t addr, len;
    bool readable, writable;
};

#define HIGH_BIT ((uint64_t)1 << 32)

static const struct place places[] = {
    {0, 1, false, false},
    {1, 8, false, false},
    {PAGE, 1, false, false},
    {0xffff, 1, false, false},
    {0xffff, 2, false, false},
    {0, 0x10001, false, false},

    {BPF_STACK_LOW, 1, true, true},
    {BPF_STACK_LOW, 0x8000, true, true},
    {BPF_STACK_LOW, 0x9000, true, true},
    {BPF_STACK_LOW, 0x9001, false, false},
    {BPF_STACK_LOW + 5, 0x8ffb, true, true},
    {BPF_STACK_LOW + 5, 0x8ffc, false, false},
    {BPF_STACK_TOP - 1, 1, true, true},
    {BPF_STACK_TOP - 1, 2, true, true}, /* arguments */
    {BPF_ARGS, BPF_ARGS_LEN, true, true},
    {BPF_ARGS + 1, BPF_ARGS_LEN, false, false},
    {BPF_ARGS + BPF_ARGS_LEN - 1, 1, true, true},
    {BPF_ARGS + BPF_ARGS_LEN - 1, 2, false, false},
    {BPF_ARGS + BPF_ARGS_LEN, 1, false, false},
    {BPF_RO_BASE - 1, 1, false, false},
    {BPF_RO_BASE - 1, 2, false, false},

    {BPF_RO_BASE, 1, true, false},
    {BPF_RO_BASE, RO_LEN, true, false},
    {BPF_RO_BASE + RO_LEN, 1, true, false}, /* the rest of the page */
    {BPF_RO_BASE, PAGE, true, false},
    {BPF_RO_BASE + PAGE - 1, 1, true, false},
    {BPF_RO_BASE, PAGE + 1, false, false},
    {BPF_RO_BASE + PAGE - 1, 2, false, false},
    {BPF_RO_BASE + PAGE, 1, false, false},
    {DATA - 1, 1, false, false},
    {DATA - 1, 2, false, false},

    {DATA, 1, true, true},
    {DATA, DATA_LEN, true, true},
    {DATA + 1, DATA_LEN, true, true},
    {DATA + PAGE - 4, 8, true, true},
    {DATA, 2 * PAGE, true, true},
    {DATA, 2 * PAGE + 1, false, false},
    {DATA + 1, 2 * PAGE, false, false},
    {DATA_END - 1, 1, true, true},
    {DATA_END - 1, 2, false, false},
    {DATA_END, 1, false, false},
    {BPF_RO_BASE, DATA_END - BPF_RO_BASE, false, false},

    /* all 64 bits are of the address */
    {HIGH_BIT, 1, false, false},
    {HIGH_BIT | BPF_STACK_LOW, 1, false, false},
    {HIGH_BIT | BPF_ARGS, 1, false, false},
    {HIGH_BIT | BPF_RO_BASE, 1, false, false},
    {HIGH_BIT | DATA, 1, false, false},
    {HIGH_BIT << 31 | DATA, 1, false, false},
    {0xffffffff00000000 | DATA, 1, false, false},
    {0xffffffff, 1, false, false},
    {UINT64_MAX, 1, false, false},
    {UINT64_MAX, 2, false, false},
    {UINT64_MAX - 7, 8, false, false},
    {UINT64_MAX - 7, 8 + DATA + 1, false, false},
    {(uint64_t)1 << 24 | DATA, 1, false, false},

    /* so are all of the length: nothing goes around */
    {BPF_STACK_LOW, HIGH_BIT, false, false},
    {BPF_STACK_LOW, HIGH_BIT + 1, false, false},
    {BPF_RO_BASE, HIGH_BIT + 1, false, false},
    {DATA, HIGH_BIT | 1, false, false},
    {DATA, UINT64_MAX, false, false},
    {DATA, UINT64_MAX - DATA, false, false},
    {DATA, 0 - (uint64_t)DATA, false, false},
    {DATA, 1 - (uint64_t)DATA, false, false},
    {DATA + 8, 0 - (uint64_t)8, false, false},
    {DATA + 8, (uint64_t)INT64_MAX + 1, false, false},
    {BPF_STACK_TOP - 8, UINT64_MAX - BPF_STACK_TOP + 9, false, false},
    {BPF_STACK_TOP - 8, 0 - (uint64_t)4, false, false},
    {BPF_RO_BASE + 8, 0 - (uint64_t)4, false, false},
    {0, UINT64_MAX, false, false},
};

static void
check_place(struct vm *vm, const struct place *place)
{
    struct probe probe = {.does = does_read, .addr = place->addr, .len = place->len};
    if (place->readable)
        expect_done(vm, &probe);
    else
        expect_trap(vm, &probe, NULL);
    if (place->readable)
        assert_int_equal(probe.seen_len, place->len);
    probe.does = does_write;
    if (place->writable)
        expect_done(vm, &probe);
    else
        expect_trap(vm, &probe, NULL);
}

static void
views_are_of_what_is_there(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    for (size_t i = 0; i < ROW_COUNT(places); i++)
        check_place(&vm, &places[i]);
    vm_deinit(&vm);
}

static void
the_same_without_a_view(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    struct bpf_run *run = bpf_run_new(vm.pool, 0, NULL);
    for (size_t i = 0; i < ROW_COUNT(places); i++) {
        const struct place *place = &places[i];
        char *expected = run->cage.base + (place->readable ? place->addr : 0);
        assert_ptr_equal(bpf_memory(run, place->addr, place->len, false),
                         place->readable ? expected : NULL);
        assert_ptr_equal(bpf_memory(run, place->addr, place->len, true),
                         place->writable ? expected : NULL);
    }
    bpf_run_free(run);
    vm_deinit(&vm);
}

static void
empty_views_touch_nothing(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    for (size_t i = 0; i < ROW_COUNT(places); i++) {
        struct probe probe = {.addr = places[i].addr};
        void (*const all[])(struct bpf_run *, struct probe *) = {does_read, does_write,
                                                                 does_copy_in, does_copy_out};
        for (size_t k = 0; k < ROW_COUNT(all); k++) {
            probe.does = all[k];
            expect_done(&vm, &probe);
        }
        assert_int_equal(probe.seen_len, 0);
    }
    struct probe probe = {.does = does_write, .addr = BPF_STACK_TOP - 64};
    struct bpf_run *run = run_probe(&vm, &probe);
    assert_int_equal(run->dirty_low, BPF_STACK_TOP);
    bpf_run_free(run);
    vm_deinit(&vm);
}

/* With 64 KiB of constants, data begins where they end. */
static void
from_constants_to_data(void **state)
{
    struct vm vm;
    vm_init(&vm, DATA - BPF_RO_BASE);
    const struct place touching[] = {
        {DATA - 4, 8, true, false},
        {BPF_RO_BASE, DATA_END - BPF_RO_BASE, true, false},
        {BPF_RO_BASE, DATA_END - BPF_RO_BASE + 1, false, false},
        {DATA - 1, 1, true, false},
        {DATA, 1, true, true},
        {BPF_ARGS + BPF_ARGS_LEN - 1, DATA, false, false},
    };
    for (size_t i = 0; i < ROW_COUNT(touching); i++)
        check_place(&vm, &touching[i]);
    vm_deinit(&vm);
}

static void
messages(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    struct probe probe = {.does = does_read, .addr = 0, .len = 1};
    expect_trap(&vm, &probe, "read of 1 byte at 0x0 by a helper: outside of the script's memory");
    probe = (struct probe){.does = does_write, .addr = BPF_RO_BASE, .len = 18};
    expect_trap(&vm, &probe,
                "write of 18 bytes at 0x20000 by a helper: outside of what the script may write "
                "to");
    probe = (struct probe){.does = does_read, .addr = UINT64_MAX, .len = UINT64_MAX};
    expect_trap(&vm, &probe,
                "read of 18446744073709551615 bytes at 0xffffffffffffffff by a helper: outside of "
                "the script's memory");
    vm_deinit(&vm);
}

/* --- what is there --- */

static void
contents(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    struct probe probe = {.does = does_read, .addr = BPF_RO_BASE + 1, .len = 9};
    expect_done(&vm, &probe);
    assert_memory_equal(probe.bytes, "onstants", 9);
    probe = (struct probe){.does = does_copy_in, .addr = DATA + 1, .len = 4};
    expect_done(&vm, &probe);
    assert_memory_equal(probe.bytes, "ata\0\0", 5);
    vm_deinit(&vm);
}

static void
copies_out(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    struct probe probe = {
        .does = does_copy_out, .addr = DATA + 4093, .len = 8, .bytes = "12345678"};
    struct bpf_run *run = run_probe(&vm, &probe);
    assert_memory_equal(run->cage.base + DATA + 4092, "\00012345678\0", 10);
    bpf_run_free(run);
    probe.addr = BPF_RO_BASE;
    expect_trap(&vm, &probe, NULL);
    probe.addr = DATA_END - 7;
    expect_trap(&vm, &probe, NULL);
    probe.does = does_copy_in;
    expect_trap(&vm, &probe, NULL);
    assert_memory_equal(probe.bytes, "12345678", 8);
    vm_deinit(&vm);
}

/* What a helper wrote to is seen by the next in the same run, and by no other run. */
static void
nothing_is_left(void **state)
{
    static const struct {
        uint64_t addr, len;
    } written[] = {
        {BPF_STACK_TOP - 8, 8},
        {BPF_STACK_TOP - 100, 50},
        {BPF_STACK_TOP - PAGE, 1},
        {BPF_STACK_TOP - PAGE - 1, 1},
        {BPF_STACK_LOW, 1},
        {BPF_STACK_LOW, BPF_STACK_TOP - BPF_STACK_LOW + BPF_ARGS_LEN},
        {BPF_STACK_TOP - 4, 8},
        {BPF_ARGS + 17, 5},
        {BPF_ARGS + BPF_ARGS_LEN - 1, 1},
        {DATA, DATA_LEN},
        {DATA + DATA_LEN, 3},
        {DATA_END - 1, 1},
    };
    struct vm vm;
    vm_init(&vm, RO_LEN);
    for (size_t i = 0; i < ROW_COUNT(written); i++) {
        struct probe probe = {.does = does_write, .addr = written[i].addr, .len = written[i].len};
        expect_done(&vm, &probe);
        struct bpf_run *run = bpf_run_new(vm.pool, 0, &probe);
        for (uint64_t at = 0; at < written[i].len; at++) {
            char *byte = bpf_memory(run, written[i].addr + at, 1, false);
            uint64_t in_data = written[i].addr + at - DATA;
            assert_int_equal(*byte, in_data < 4 ? "data"[in_data] : 0);
        }
        bpf_run_free(run);
    }
    vm_deinit(&vm);
}

static void
the_lowest_write_is_noted(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    struct probe probe = {.does = does_write, .addr = BPF_STACK_TOP - 64, .len = 8};
    struct bpf_run *run = run_probe(&vm, &probe);
    assert_int_equal(run->dirty_low, BPF_STACK_TOP - 64);
    assert_false(run->data_dirty);
    bpf_run_free(run);
    probe.does = does_read;
    run = run_probe(&vm, &probe);
    assert_int_equal(run->dirty_low, BPF_STACK_TOP);
    bpf_run_free(run);
    probe = (struct probe){.does = does_write, .addr = DATA, .len = 1};
    run = run_probe(&vm, &probe);
    assert_int_equal(run->dirty_low, BPF_STACK_TOP);
    assert_true(run->data_dirty);
    bpf_run_free(run);
    vm_deinit(&vm);
}

static void
the_stack_is_opened(void **state)
{
    struct vm vm;
    vm_init(&vm, RO_LEN);
    struct probe probe = {.does = does_read, .addr = BPF_STACK_TOP - 3 * PAGE + 5, .len = 8};
    struct bpf_run *run = run_probe(&vm, &probe);
    assert_int_equal(run->outcome, BPF_DONE);
    assert_int_equal(run->cage.stack_open, BPF_STACK_TOP - 3 * PAGE);
    bpf_run_free(run);
    vm_deinit(&vm);
}

/* --- two views --- */

/* [a, a + a_len) is read, [b, b + b_len) written. */
static void
two(struct vm *vm, uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len, bool apart)
{
    struct probe probe = {
        .does = does_two, .addr = a, .len = a_len, .other = b, .other_len = b_len};
    if (apart)
        expect_done(vm, &probe);
    else
        expect_trap(vm, &probe, "memory that a helper writes to overlaps another of its call");
}

static void
views_that_overlap(void **state)
{
    const uint64_t at[] = {BPF_STACK_TOP - 2000, BPF_STACK_TOP - 4, DATA + 4000};
    struct vm vm;
    vm_init(&vm, RO_LEN);
    for (size_t i = 0; i < ROW_COUNT(at); i++) {
        uint64_t p = at[i];
        two(&vm, p, 8, p, 8, false);
        two(&vm, p, 1, p, 1, false);
        two(&vm, p, 8, p + 7, 8, false); /* the last byte */
        two(&vm, p + 7, 8, p, 8, false);
        two(&vm, p, 8, p + 8, 8, true); /* side by side */
        two(&vm, p + 8, 8, p, 8, true);
        two(&vm, p, 8, p + 9, 8, true);
        two(&vm, p, 100, p + 40, 8, false); /* one in the other */
        two(&vm, p + 40, 8, p, 100, false);
        two(&vm, p, 8, p, 100, false);
        two(&vm, p, 100, p, 8, false);
        two(&vm, p, 100, p + 92, 8, false);
        two(&vm, p + 92, 8, p, 100, false);
        two(&vm, p, 0, p, 8, true); /* nothing overlaps nothing */
        two(&vm, p, 8, p, 0, true);
        two(&vm, p + 4, 0, p, 8, true);
        two(&vm, p, 8, p + 4, 0, true);
        two(&vm, p, 0, p, 0, true);
    }
    two(&vm, BPF_RO_BASE, 9, DATA, 9, true);
    two(&vm, 0, 0, UINT64_MAX, 0, true);
    vm_deinit(&vm);
}

/* What is made of views may be empty, too, and anywhere. */
static void
nothing_overlaps_nothing(void **state)
{
    static const char bytes[8];
    static struct bpf_run run; /* of no use but to trap */
    bpf_views_apart(&run, bytes, 8, bytes + 4, 0);
    bpf_views_apart(&run, bytes + 4, 0, bytes, 8);
    bpf_views_apart(&run, bytes, 0, bytes, 0);
}

/* --- names --- */

static void
helpers_by_name(void **state)
{
    const struct bpf_helper_table none = {NULL, 0};
    assert_int_equal(bpf_helper_find(&helpers, STR("probe")), 0);
    assert_int_equal(bpf_helper_find(&helpers, STR("probes")), 1);
    assert_int_equal(bpf_helper_find(&helpers, STR("Probe")), 2);
    assert_int_equal(bpf_helper_find(&helpers, str_make("probes", 5)), 0);
    assert_int_equal(bpf_helper_find(&helpers, STR("prob")), -1);
    assert_int_equal(bpf_helper_find(&helpers, STR("probe\0")), -1);
    assert_int_equal(bpf_helper_find(&helpers, STR("")), -1);
    assert_int_equal(bpf_helper_find(&none, STR("probe")), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_of_what_is_there),
        cmocka_unit_test(the_same_without_a_view),
        cmocka_unit_test(empty_views_touch_nothing),
        cmocka_unit_test(from_constants_to_data),
        cmocka_unit_test(messages),
        cmocka_unit_test(contents),
        cmocka_unit_test(copies_out),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(the_lowest_write_is_noted),
        cmocka_unit_test(the_stack_is_opened),
        cmocka_unit_test(views_that_overlap),
        cmocka_unit_test(nothing_overlaps_nothing),
        cmocka_unit_test(helpers_by_name),
    };
    return cmocka_run_group_tests_name("bpf helpers", tests, NULL, NULL);
}
