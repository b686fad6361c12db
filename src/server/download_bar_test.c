#include "server/download_bar.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define MIB (UINT64_C(1) << 20)

static struct download_bar bar;

/* Ten samples a second of a download that comes evenly. */
static void
run(uint64_t seconds, uint64_t len_per_s)
{
    download_bar_init(&bar, false, STR("rootfs.img"), 5 * SECOND);
    for (uint64_t i = 0; i <= 10 * seconds; i++)
        download_bar_sample(&bar, i * len_per_s / 10, 5 * SECOND + i * 100 * MS);
}

static void
expect(const struct download_bar_state *state, uint64_t elapsed_s, unsigned width,
       const char *expected)
{
    struct buf line;
    buf_init(&line, 1024);
    download_bar_render(&line, &bar, state, (5 + elapsed_s) * SECOND, width);
    assert_in_range(line.len, 0, width);
    buf_append_char(&line, '\0');
    assert_string_equal(line.ptr, expected);
    buf_deinit(&line);
}

static void
test_the_line_says_how_far_it_is(void **state)
{
    struct download_bar_state at = {.waits = true};
    run(0, 0);
    expect(&at, 75, 79, "waiting for the cache  1:15  rootfs.img");
    at = (struct download_bar_state){.done_len = 0, .has_total = true, .total_len = 40 * MIB};
    expect(&at, 0, 79, "[........................]   0%  0 B of 40.0 MiB  0 B/s  rootfs.img");
    run(2, 10 * MIB);
    at.done_len = 20 * MIB;
    expect(&at, 2, 89,
           "[############............]  50%  20.0 MiB of 40.0 MiB  10.0 MiB/s  0:02 left  "
           "rootfs.img");
    at.total_len = 400000 * MIB;
    expect(&at, 2, 89,
           "[........................]   0%  20.0 MiB of 390.6 GiB  10.0 MiB/s  11:06:38 left");
    at.has_total = false;
    expect(&at, 62, 79, "20.0 MiB  10.0 MiB/s  1:02  rootfs.img");
}

static void
test_only_the_end_is_100_percent(void **state)
{
    struct download_bar_state at = {.done_len = 99999, .has_total = true, .total_len = 100000};
    run(1, 99999);
    expect(&at, 1, 79,
           "[#######################.]  99%  97.7 KiB of 97.7 KiB  97.7 KiB/s  0:01 left");
    at.done_len = 100000;
    expect(&at, 1, 79,
           "[########################] 100%  97.7 KiB of 97.7 KiB  97.7 KiB/s  rootfs.img");
    at.total_len = UINT64_MAX;
    at.done_len = UINT64_MAX - 1; /* the same as a double */
    expect(&at, 1, 20, " 99%  16777216.0 TiB");
    at = (struct download_bar_state){.has_total = true};
    expect(&at, 1, 79, "[########################] 100%  0 B of 0 B  97.7 KiB/s  rootfs.img");
    run(1, 0);
    at = (struct download_bar_state){.done_len = 1, .has_total = true, .total_len = 2};
    expect(&at, 1, 79, "[############............]  50%  1 B of 2 B  0 B/s  stalled  rootfs.img");
}

static void
test_narrow_terminals_get_the_figures(void **state)
{
    struct download_bar_state at = {.done_len = 20 * MIB, .has_total = true, .total_len = 40 * MIB};
    run(2, 10 * MIB);
    expect(&at, 2, 77,
           "[############............]  50%  20.0 MiB of 40.0 MiB  10.0 MiB/s  0:02 left");
    expect(&at, 2, 75, " 50%  20.0 MiB of 40.0 MiB  10.0 MiB/s  0:02 left  rootfs.img");
    expect(&at, 2, 59, " 50%  20.0 MiB of 40.0 MiB  10.0 MiB/s  0:02 left  otfs.img");
    expect(&at, 2, 55, " 50%  20.0 MiB of 40.0 MiB  10.0 MiB/s  0:02 left");
    expect(&at, 2, 10, " 50%  20.0");
    expect(&at, 2, 0, "");
    at.waits = true;
    expect(&at, 2, 7, "waiting");
}

static void
test_names_are_made_printable(void **state)
{
    struct download_bar_state at = {.waits = true};
    download_bar_init(&bar, false, STR("a\x1b[2Jb"), 5 * SECOND);
    expect(&at, 0, 79, "waiting for the cache  0:00  a?[2Jb");
}

static void
test_the_speed_is_that_of_the_last_seconds(void **state)
{
    run(60, 10 * MIB);
    assert_int_equal(download_bar_speed(&bar), 10 * MIB);
    uint64_t len = 600 * MIB, now_ns = 65 * SECOND;
    for (unsigned i = 1; i <= 16; i++)
        download_bar_sample(&bar, len + i * MIB / 10, now_ns + i * 100 * MS);
    /* 15 steps at the old speed, 16 at the new */
    assert_in_range(download_bar_speed(&bar), 53 * MIB / 10, 54 * MIB / 10);
    len += 16 * MIB / 10;
    now_ns += 1600 * MS;
    for (unsigned i = 1; i <= DOWNLOAD_BAR_SAMPLES; i++)
        download_bar_sample(&bar, len + i * MIB / 10, now_ns + i * 100 * MS);
    assert_in_range(download_bar_speed(&bar), MIB - 10, MIB + 10);
    /* a sample that comes too soon is none */
    download_bar_sample(&bar, UINT64_MAX, now_ns + DOWNLOAD_BAR_SAMPLES * 100 * MS + 1);
    assert_in_range(download_bar_speed(&bar), MIB - 10, MIB + 10);
    for (unsigned i = 1; i <= DOWNLOAD_BAR_SAMPLES; i++)
        download_bar_sample(&bar, len + DOWNLOAD_BAR_SAMPLES * MIB / 10,
                            now_ns + 4 * SECOND + i * 100 * MS);
    assert_int_equal(download_bar_speed(&bar), 0);
    run(0, 0);
    assert_int_equal(download_bar_speed(&bar), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line_says_how_far_it_is),
        cmocka_unit_test(test_only_the_end_is_100_percent),
        cmocka_unit_test(test_narrow_terminals_get_the_figures),
        cmocka_unit_test(test_names_are_made_printable),
        cmocka_unit_test(test_the_speed_is_that_of_the_last_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
