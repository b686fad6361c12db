#include "server/cache_stats.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct str status = STR_INIT(
    "{\"timestamp\": 1700000000, \"instance\": \"build\\u001bhost\", \"version\": \"0.1.0\", "
    "\"disk_usage\": 1610612736, \"disk_usage_percent\": 75.00, \"disk_quota\": 2147483648, "
    "\"resources_scheduled\": 3, \"resources_downloading\": 2, \"resources_successes\": 41, "
    "\"resources_failures\": 1, \"resources_usage\": 160000, \"statistics_successes\": 50, "
    "\"statistics_failures\": 4, \"statistics_download\": 1099511627776, "
    "\"statistics_upload\": 35184372088832, \"statistics_requests\": 160000}\n");

static void
expect(const struct cache_stats *stats, bool json, const char *expected)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    if (json)
        cache_stats_append_json(&out, stats);
    else
        cache_stats_append(&out, stats, "http://cache:8001");
    buf_append_char(&out, '\0');
    assert_string_equal(out.ptr, expected);
    buf_deinit(&out);
}

static void
test_a_running_cache(void **state)
{
    struct cache_stats stats;
    assert_true(cache_stats_parse(&stats, status));
    expect(&stats, false,
           "Cache      http://cache:8001 (build?host, 0.1.0)\n"
           "Disk       1.5 GiB of 2.0 GiB, 75 %\n"
           "Resources  41 ready, 2 downloading, 3 waiting, 1 failed\n"
           "Requests   160000\n"
           "Downloaded 1.0 TiB in 50 downloads, 4 failed\n"
           "Served     32.0 TiB\n"
           "Saved      31.0 TiB, 97 %\n");
    expect(&stats, true,
           "{\"instance\": \"build?host\", \"version\": \"0.1.0\", \"timestamp\": 1700000000, "
           "\"disk_usage\": 1610612736, \"disk_quota\": 2147483648, \"resources_scheduled\": 3, "
           "\"resources_downloading\": 2, \"resources_successes\": 41, \"resources_failures\": 1, "
           "\"statistics_successes\": 50, \"statistics_failures\": 4, "
           "\"statistics_download\": 1099511627776, \"statistics_upload\": 35184372088832, "
           "\"statistics_requests\": 160000}\n");
}

static void
test_who_does_not_know_all(void **state)
{
    struct cache_stats stats;
    assert_true(cache_stats_parse(&stats, STR("{\"disk_usage\": 5, \"disk_quota\": 0}")));
    expect(&stats, false,
           "Cache      http://cache:8001\n"
           "Disk       5 B, no limit\n"
           "Resources  0\n"
           "Requests   0\n"
           "Downloaded 0 B in 0 downloads, 0 failed\n"
           "Served     0 B\n"
           "Saved      0 B\n");
    expect(&stats, true, "{\"disk_usage\": 5, \"disk_quota\": 0}\n");
    assert_true(cache_stats_parse(
        &stats, STR("{\"disk_usage\": 5, \"statistics_requests\": 4, \"statistics_hits\": 3, "
                    "\"statistics_download\": 9, \"statistics_upload\": 8, "
                    "\"statistics_successes\": 1, \"later\": {\"x\": []}}")));
    expect(&stats, false,
           "Cache      http://cache:8001\n"
           "Disk       5 B\n"
           "Resources  0\n"
           "Requests   4, of which hits 3, 75 %\n"
           "Downloaded 9 B in 1 download, 0 failed\n"
           "Served     8 B\n"
           "Saved      0 B, 0 %\n");
}

static void
test_what_is_no_status(void **state)
{
    static const char *const cases[] = {
        "",
        "{}",
        "[]",
        "{\"disk_usage\": -1}",
        "{\"disk_usage\": \"1\"}",
        "{\"disk_usage\": 1, \"instance\": 1}",
        "{\"disk_usage\": 1",
        "{\"disk_usage\": 1} {}",
        "{\"status\": \"ok\"}",
    };
    struct cache_stats stats;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cache_stats_parse(&stats, str_from_cstr(cases[i])))
            fail_msg("accepted: %s", cases[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_running_cache),
        cmocka_unit_test(test_who_does_not_know_all),
        cmocka_unit_test(test_what_is_no_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
