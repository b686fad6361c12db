#include "site/page_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096, MIB = 1 << 20 };

static int
setup(void **state)
{
    *state = calloc(1, sizeof(struct page_store));
    return *state ? 0 : -1;
}

static int
teardown(void **state)
{
    page_store_deinit(*state);
    page_store_deinit(*state);
    free(*state);
    return 0;
}

static char *
put(struct page_store *store, uint64_t len, char mark)
{
    struct error error;
    char *place = page_store_reserve(store, len, &error);
    if (!place)
        fail_msg("%s", error.text);
    memset(place, mark, len);
    page_store_keep(store, place, len);
    return place;
}

static void
expect(struct page_store *store, uint64_t len)
{
    struct error error;
    if (page_store_expect(store, len, &error) < 0)
        fail_msg("%s", error.text);
}

static void
seal(struct page_store *store)
{
    struct error error;
    if (page_store_seal(store, &error) < 0)
        fail_msg("%s", error.text);
}

static bool
is_mapped(const char *address)
{
    unsigned char there;
    return mincore((void *)((uintptr_t)address & ~(uintptr_t)(PAGE - 1)), 1, &there) == 0;
}

/* Whether the mapping that holds the address has a flag of smaps; -1 when that is not told. */
static int
has_flag(const char *address, const char *flag)
{
    char line[512];
    unsigned long low, high;
    bool inside = false;
    int result = -1;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &low, &high) == 2)
            inside = (uintptr_t)address >= low && (uintptr_t)address < high;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            result = strstr(line + 8, flag) != NULL;
    }
    if (file)
        fclose(file);
    return result;
}

static void
places_are_aligned_and_tight(void **state)
{
    struct page_store *store = *state;
    char *a = put(store, 5, 'a'), *b = put(store, 16, 'b'), *c = put(store, PAGE - 1, 'c');
    char *d = put(store, PAGE, 'd'), *e = put(store, PAGE + 1, 'e'), *f = put(store, 1, 'f');
    assert_int_equal((uintptr_t)a % PAGE, 0);
    assert_ptr_equal(b, a + 16);
    assert_ptr_equal(c, a + 32);
    assert_ptr_equal(d, a + 2 * PAGE);
    assert_ptr_equal(e, a + 3 * PAGE);
    assert_ptr_equal(f, a + 4 * PAGE + 16);
    /* What was not kept is given away again. */
    struct error error;
    assert_ptr_equal(page_store_reserve(store, 100, &error), f + 16);
    assert_ptr_equal(put(store, 7, 'g'), f + 16);
}

static void
the_sum_says_exactly_what_is_needed(void **state)
{
    struct page_store *store = *state;
    static const uint64_t lens[] = {1, 4096, 17, 5000, 300, 3 * MIB, 16, 4095};
    uint64_t end = 0;
    for (size_t i = 0; i < 8; i++)
        end = page_store_end(end, lens[i]);
    assert_int_equal(end, 5 * PAGE + 3 * MIB + 16 + 4095);
    expect(store, end);
    for (size_t i = 0; i < 8; i++)
        put(store, lens[i], 'x');
    assert_int_equal(store->count, 1);
    assert_int_equal(store->runs[0].used, end);
    assert_int_equal(store->runs[0].len, (end + PAGE - 1) / PAGE * PAGE);
    put(store, PAGE, 'y');
    assert_int_equal(store->count, 2);
}

static void
nothing_moves_when_a_run_is_full(void **state)
{
    struct page_store *store = *state;
    char *places[40];
    expect(store, 10);
    for (int i = 0; i < 40; i++)
        places[i] = put(store, 3 * MIB + 1, (char)('a' + i % 26));
    assert_true(store->count >= 3);
    char *large = put(store, 100 * MIB, 'L');
    seal(store);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(places[i][0], 'a' + i % 26);
        assert_int_equal(places[i][3 * MIB], 'a' + i % 26);
    }
    assert_int_equal(large[100 * MIB - 1], 'L');
}

static void
sealing_gives_back_the_rest_and_protects(void **state)
{
    struct page_store *store = *state;
    expect(store, 3 * PAGE);
    char *a = put(store, 10, 'a');
    expect(store, 2 * MIB); /* and nothing comes of it */
    char *unused = store->runs[1].base;
    char *b = put(store, 3 * MIB, 'b');
    assert_true(is_mapped(a + PAGE) && is_mapped(unused) && is_mapped(b + 3 * MIB));
    seal(store);
    assert_true(is_mapped(a) && is_mapped(b) && is_mapped(b + 3 * MIB - 1));
    assert_false(is_mapped(a + PAGE) || is_mapped(unused) || is_mapped(b + 3 * MIB));
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, a, 1), -1);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(read(fd, b + 3 * MIB - 1, 1), -1);
    close(fd);
    page_store_deinit(store);
    assert_false(is_mapped(a) || is_mapped(b));
}

static void
huge_pages_are_asked_for_where_a_whole_one_is_filled(void **state)
{
    struct page_store *store = *state;
    expect(store, 2 * MIB - 1);
    char *small = put(store, 1, 's');
    expect(store, 5 * MIB);
    char *large = put(store, 5 * MIB, 'l');
    char *unexpected = put(store, 6 * MIB, 'u');
    assert_int_equal((uintptr_t)large % (2 * MIB), 0);
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0 || has_flag(large, "rd") < 0)
        skip();
    for (int sealed = 0; sealed < 2; sealed++) {
        assert_int_equal(has_flag(small, " hg"), 0);
        assert_int_equal(has_flag(small, " nh"), 1);
        assert_int_equal(has_flag(large, " hg"), 1);
        assert_int_equal(has_flag(large + 4 * MIB - 1, " hg"), 1);
        assert_int_equal(has_flag(large + 4 * MIB, " hg"), 0);
        assert_int_equal(has_flag(large + 4 * MIB, " nh"), 1);
        assert_int_equal(has_flag(unexpected, " hg"), 0);
        seal(store);
    }
}

static void
what_no_address_space_can_hold_is_refused(void **state)
{
    struct page_store *store = *state;
    struct error error;
    static const uint64_t lens[] = {(1ull << 46) + 1, 1ull << 63, UINT64_MAX};
    char *a = put(store, 1, 'a');
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(page_store_expect(store, lens[i], &error), -1);
        assert_non_null(strstr(error.text, "no memory for "));
        assert_null(page_store_reserve(store, lens[i], &error));
    }
    assert_ptr_equal(put(store, 1, 'b'), a + 16);
    assert_int_equal(a[0], 'a');
}

static void
an_empty_store_can_be_sealed(void **state)
{
    struct page_store *store = *state;
    expect(store, 0);
    assert_int_equal(store->count, 0);
    seal(store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(places_are_aligned_and_tight),
        TEST(the_sum_says_exactly_what_is_needed),
        TEST(nothing_moves_when_a_run_is_full),
        TEST(sealing_gives_back_the_rest_and_protects),
        TEST(huge_pages_are_asked_for_where_a_whole_one_is_filled),
        TEST(what_no_address_space_can_hold_is_refused),
        TEST(an_empty_store_can_be_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
