#include "bpf/cage.h"

#include "base/limits.h"
#include "bpf/script_test_run.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Whether a byte can be read or written is asked of the kernel, which says so without a fault. */
static int pipes[2];

static bool
readable(const char *at)
{
    char byte;
    bool ok = write(pipes[1], at, 1) == 1;
    if (ok)
        assert_int_equal(read(pipes[0], &byte, 1), 1);
    return ok;
}

/* Leaves a 0 there. */
static bool
writable(char *at)
{
    assert_int_equal(write(pipes[1], "", 1), 1);
    bool ok = read(pipes[0], at, 1) == 1;
    char byte;
    if (!ok)
        assert_int_equal(read(pipes[0], &byte, 1), 1);
    return ok;
}

static int
setup(void **state)
{
    return pipe2(pipes, O_CLOEXEC);
}

static int
teardown(void **state)
{
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}

struct scene {
    struct bpf_layout layout;
    struct bpf_cage cage;
    char *ro, *data;
    int image;
};

static void
scene_init(struct scene *scene, uint32_t ro_len, uint32_t data_len, uint32_t bss_len)
{
    struct error error = {0};
    assert_true(bpf_layout_init(&scene->layout, ro_len, data_len, bss_len));
    scene->ro = calloc(1, ro_len + 1);
    scene->data = calloc(1, data_len + 1);
    assert_true(scene->ro && scene->data);
    memset(scene->ro, 'r', ro_len);
    for (uint32_t i = 0; i < data_len; i++)
        scene->data[i] = (char)(1 + i % 127);
    assert_int_equal(
        bpf_cage_image_new(&scene->image, &scene->layout, scene->ro, scene->data, &error), 0);
    assert_int_equal(bpf_cage_map(&scene->cage, &scene->layout, scene->data, scene->image), 0);
}

static void
scene_deinit(struct scene *scene)
{
    bpf_cage_unmap(&scene->cage);
    if (scene->image >= 0)
        close(scene->image);
    free(scene->ro);
    free(scene->data);
}

/* [from, to) from the base is as said, and the bytes around it are not there. */
static void
expect_area(const struct scene *scene, int64_t from, int64_t to, bool is_writable)
{
    char *base = scene->cage.base;
    assert_true(readable(base + from) && readable(base + to - 1));
    assert_int_equal(writable(base + from + (to - from) / 2), is_writable);
    assert_int_equal(writable(base + to - 1), is_writable);
    assert_false(readable(base + from - 1));
    assert_false(readable(base + to));
}

static void
only_what_the_layout_says_is_mapped(void **state)
{
    struct scene scene;
    scene_init(&scene, 5000, 100, 5000);
    char *base = scene.cage.base;
    int64_t run = -BPF_RUN_BACK;
    expect_area(&scene, run - BPF_NATIVE_STACK_LEN, -BPF_CAGE_GUARD, true);
    expect_area(&scene, BPF_STACK_TOP - BPF_FRAME_LEN, BPF_STACK_TOP, true);
    expect_area(&scene, BPF_RO_BASE, BPF_RO_BASE + bpf_page_up(5000), false);
    uint32_t data_off = scene.layout.data_off;
    expect_area(&scene, data_off, data_off + bpf_page_up(bpf_layout_end(&scene.layout) - data_off),
                true);
    assert_ptr_equal(bpf_cage_native_stack_top(&scene.cage), base + run);
    assert_false(readable(base) || readable(base + 0xffff));
    assert_false(readable(base - 1) || readable(base - BPF_CAGE_GUARD));
    uint64_t len = bpf_cage_len();
    assert_false(readable(base + len - 1) || readable(base + len) || writable(base + len) ||
                 readable(base + len + BPF_CAGE_GUARD - 1));
    assert_false(readable(base + run - BPF_NATIVE_STACK_LEN - BPF_CAGE_GUARD));
    scene_deinit(&scene);
}

/* All of the window is this cage's, whatever is mapped next: nothing else can be inside of it. */
static void
the_window_is_reserved_as_a_whole(void **state)
{
    struct scene scene;
    scene_init(&scene, 1, 0, 0);
    char *base = scene.cage.base;
    uint64_t places[] = {BPF_CAGE_GUARD / 2, BPF_RO_BASE + 0x8000, bpf_cage_len() / 2,
                         bpf_cage_len() - 4096, bpf_cage_len() + BPF_CAGE_GUARD - 4096};
    for (unsigned i = 0; i < ROW_COUNT(places); i++) {
        void *got = mmap(base + places[i], 4096, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        assert_ptr_equal(got, MAP_FAILED);
        assert_int_equal(errno, EEXIST);
    }
    scene_deinit(&scene);
}

static void
the_window_ends_with_the_guards(void **state)
{
    struct bpf_cage cage = {.base = (char *)(uintptr_t)0x700000000000};
    uint64_t base = 0x700000000000, len = bpf_cage_len();
    assert_true(bpf_cage_window(&cage, base) && bpf_cage_window(&cage, base + len - 1));
    assert_true(bpf_cage_window(&cage, base - BPF_CAGE_GUARD));
    assert_false(bpf_cage_window(&cage, base - BPF_CAGE_GUARD - 1));
    assert_true(bpf_cage_window(&cage, base + len + BPF_CAGE_GUARD - 1));
    assert_false(bpf_cage_window(&cage, base + len + BPF_CAGE_GUARD));
    assert_false(bpf_cage_window(&cage, 0) || bpf_cage_window(&cage, UINT64_MAX));
    /* what any displacement and width reaches is within */
    assert_true(bpf_cage_window(&cage, base - 32768));
    assert_true(bpf_cage_window(&cage, base + len - 1 + 32767 + 7));
}

static void
the_stack_opens_down_to_where_it_is_asked_for(void **state)
{
    struct scene scene;
    scene_init(&scene, 0, 0, 0);
    struct bpf_cage *cage = &scene.cage;
    uint32_t open = BPF_STACK_TOP - BPF_FRAME_LEN;
    assert_int_equal(cage->stack_open, open);
    memset(cage->base + open, 's', BPF_FRAME_LEN);
    uint32_t asked[] = {open - 1, BPF_STACK_LOW + 2 * BPF_FRAME_LEN, BPF_STACK_LOW + 1};
    for (unsigned i = 0; i < ROW_COUNT(asked); i++) {
        assert_false(readable(cage->base + asked[i]));
        assert_true(bpf_cage_open_stack(cage, asked[i]));
        assert_int_equal(cage->stack_open, asked[i] / BPF_FRAME_LEN * BPF_FRAME_LEN);
        expect_area(&scene, cage->stack_open, BPF_STACK_TOP, true);
    }
    assert_int_equal(cage->base[open + 1], 's');
    scene_deinit(&scene);
}

static void
arguments_open_when_they_are_asked_for(void **state)
{
    struct scene scene;
    scene_init(&scene, 0, 0, 0);
    struct bpf_cage *cage = &scene.cage;
    assert_int_equal(cage->args_open, BPF_ARGS);
    for (int i = 0; i < 2; i++) {
        assert_true(bpf_cage_open_args(cage));
        assert_int_equal(cage->args_open, BPF_ARGS + BPF_ARGS_LEN);
        expect_area(&scene, cage->stack_open, BPF_ARGS + BPF_ARGS_LEN, true);
        memset(cage->base + BPF_ARGS, 'a', BPF_ARGS_LEN);
    }
    scene_deinit(&scene);
}

/* The limit is on memory that can be written. */
static void
open_without_memory(void *arg)
{
    const struct rlimit limit = {0, 0};
    struct scene scene;
    scene_init(&scene, 0, 0, 0);
    if (setrlimit(RLIMIT_DATA, &limit) < 0 || bpf_cage_open_args(&scene.cage) ||
        bpf_cage_open_stack(&scene.cage, BPF_STACK_LOW) || scene.cage.args_open != BPF_ARGS ||
        scene.cage.stack_open != BPF_STACK_TOP - BPF_FRAME_LEN)
        _exit(1);
}

static void
what_cannot_be_opened_stays_closed(void **state)
{
    if (TEST_SHADOW)
        skip();
    expect_child_passes(open_without_memory, NULL);
}

/* At the beginning and after it was written to all over, twice. */
static void
expect_data_anew(struct scene *scene)
{
    const struct bpf_layout *layout = &scene->layout;
    char *data = scene->cage.base + layout->data_off;
    uint32_t len = bpf_page_up(bpf_layout_end(layout) - layout->data_off);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(data, scene->data, layout->data_len);
        for (uint32_t at = layout->data_len; at < len; at++) {
            if (data[at])
                fail_msg("not 0 at %u", at);
        }
        memset(data, 'x', len);
        bpf_cage_reset_data(&scene->cage, layout, scene->data);
    }
}

static void
data_is_made_anew_whatever_its_length(void **state)
{
    const uint32_t lens[][2] = {
        {1, 0},
        {0, 1},
        {100, 100},
        {4096, 0},
        {65536, 0},
        {65536, 1},
        {65537, 0},
        {0, 65536},
        {0, 65537},
        {70000, 1 << 20},
        {1 << 20, 70000},
        {3 * 4096, 1 << 20},
        {100, 65536 - 128},
        {5, 1 << 20},
    };
    for (unsigned i = 0; i < ROW_COUNT(lens); i++) {
        struct scene scene;
        scene_init(&scene, i % 2 * 5000, lens[i][0], lens[i][1]);
        expect_data_anew(&scene);
        scene_deinit(&scene);
    }
}

/* Locked memory cannot be given back: it is overwritten instead. */
static void
data_that_is_locked_is_made_anew(void **state)
{
    struct scene scene;
    scene_init(&scene, 0, 70000, 70000);
    char *data = scene.cage.base + scene.layout.data_off;
    if (mlock(data, bpf_page_up(140000)) < 0) {
        scene_deinit(&scene);
        skip();
    }
    expect_data_anew(&scene);
    scene_deinit(&scene);
}

static void
slots_see_their_own_data_and_the_same_constants(void **state)
{
    struct scene scene;
    struct bpf_cage other;
    scene_init(&scene, 100, 80000, 0);
    assert_int_equal(bpf_cage_map(&other, &scene.layout, scene.data, scene.image), 0);
    uint32_t data_off = scene.layout.data_off;
    memset(scene.cage.base + data_off, 'x', 80000);
    assert_memory_equal(other.base + data_off, scene.data, 80000);
    assert_memory_equal(other.base + BPF_RO_BASE, scene.ro, 100);
    assert_memory_equal(scene.cage.base + BPF_RO_BASE, scene.ro, 100);
    assert_int_equal(other.base[BPF_RO_BASE + 100], 0);
    bpf_cage_unmap(&other);
    scene_deinit(&scene);
}

static void
the_image_is_sealed(void **state)
{
    struct scene scene;
    scene_init(&scene, 100, 80000, 0);
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    assert_int_equal(fcntl(scene.image, F_GET_SEALS), seals);
    assert_int_equal(fcntl(scene.image, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(pwrite(scene.image, "x", 1, 0), -1);
    assert_int_equal(ftruncate(scene.image, 0), -1);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, scene.image, 0),
                     MAP_FAILED);
    scene_deinit(&scene);
    scene_init(&scene, 0, 100, 70000);
    assert_int_equal(scene.image >= 0, 1); /* it has .data, since all data is long */
    scene_deinit(&scene);
    scene_init(&scene, 0, 100, 100);
    assert_int_equal(scene.image, -1);
    scene_deinit(&scene);
}

/* --- length --- */

static void
look_at_small(void *arg)
{
    bpf_cage_set_small();
    if (bpf_cage_len() != BPF_CAGE_SMALL_LEN)
        _exit(1);
    only_what_the_layout_says_is_mapped(NULL);
    the_window_is_reserved_as_a_whole(NULL);
    the_window_ends_with_the_guards(NULL);
    data_is_made_anew_whatever_its_length(NULL);
}

static void
small_cages_are_like_large_ones(void **state)
{
    expect_child_passes(look_at_small, NULL);
}

/* In a process that has not decided yet. */
static void
look_at_limited(void *arg)
{
    const struct rlimit limit = {*(rlim_t *)arg, *(rlim_t *)arg};
    atomic_store(&bpf_cage_len_decided, 0);
    if (setrlimit(RLIMIT_AS, &limit) < 0 || bpf_cage_len() != BPF_CAGE_SMALL_LEN)
        _exit(1);
    struct scene scenes[200];
    for (unsigned i = 0; i < ROW_COUNT(scenes); i++)
        scene_init(&scenes[i], 100, 100, 100);
    for (unsigned i = 0; i < ROW_COUNT(scenes); i++)
        scene_deinit(&scenes[i]);
}

static void
cages_are_small_where_address_space_is_limited(void **state)
{
    if (TEST_SHADOW)
        skip(); /* sanitizers need more than the limit themselves */
    rlim_t limits[] = {(rlim_t)64 << 30, (rlim_t)2 << 40};
    for (unsigned i = 0; i < ROW_COUNT(limits); i++)
        expect_child_passes(look_at_limited, &limits[i]);
}

static void
cages_are_large_where_there_is_room(void **state)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    if (sizeof(void *) < 8 || limit.rlim_cur != RLIM_INFINITY)
        skip();
    assert_true(bpf_cage_len() == BPF_CAGE_LEN);
}

static void
use_up_addresses(void *arg)
{
    const struct rlimit limit = {(rlim_t)16 << 20, (rlim_t)16 << 20};
    struct bpf_cage cage;
    struct bpf_layout layout;
    assert_true(bpf_layout_init(&layout, 0, 0, 0));
    if (setrlimit(RLIMIT_AS, &limit) < 0 || bpf_cage_map(&cage, &layout, NULL, -1) == 0 ||
        errno != ENOMEM)
        _exit(1);
}

static void
a_cage_that_does_not_fit_is_an_error(void **state)
{
    if (TEST_SHADOW)
        skip();
    expect_child_passes(use_up_addresses, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cages_are_large_where_there_is_room),
        cmocka_unit_test(only_what_the_layout_says_is_mapped),
        cmocka_unit_test(the_window_is_reserved_as_a_whole),
        cmocka_unit_test(the_window_ends_with_the_guards),
        cmocka_unit_test(the_stack_opens_down_to_where_it_is_asked_for),
        cmocka_unit_test(arguments_open_when_they_are_asked_for),
        cmocka_unit_test(what_cannot_be_opened_stays_closed),
        cmocka_unit_test(data_is_made_anew_whatever_its_length),
        cmocka_unit_test(data_that_is_locked_is_made_anew),
        cmocka_unit_test(slots_see_their_own_data_and_the_same_constants),
        cmocka_unit_test(the_image_is_sealed),
        cmocka_unit_test(small_cages_are_like_large_ones),
        cmocka_unit_test(cages_are_small_where_address_space_is_limited),
        cmocka_unit_test(a_cage_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests_name("bpf cage", tests, setup, teardown);
}
