/* shared: counters by name, also from several threads; what metrics say. */
#include "script/shared.h"

#include "base/limits.h"
#include "bpf/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int
setup(void **state)
{
    const struct script_config config = {
        .slice_ns = 1000 * 1000, .rate_buckets_max = 100, .kv_max = 1 << 20};
    struct script_shared *shared;
    struct error error;
    if (script_shared_new(&shared, &config, &error) != 0)
        return -1;
    *state = shared;
    return 0;
}

static int
teardown(void **state)
{
    script_shared_free(*state);
    return 0;
}

static struct script_counters *
counters(struct script_shared *shared, const char *name)
{
    return script_shared_counters(shared, str_from_cstr(name));
}

static void
test_one_for_each_name(void **state)
{
    struct script_shared *shared = *state;
    struct script_counters *a = counters(shared, "a.o");
    struct script_counters *b = counters(shared, "b.o");
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(counters(shared, "a.o"), a);
    assert_ptr_equal(counters(shared, "b.o"), b);
    assert_ptr_not_equal(counters(shared, "a"), a);
    assert_int_equal(a->runs, 0);
    assert_string_equal(a->name, "a.o");
}

static void
test_as_many_names_as_there_may_be(void **state)
{
    struct script_shared *shared = *state;
    char name[16];
    for (unsigned i = 0; i < SCRIPT_COUNTERS_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        assert_non_null(counters(shared, name));
    }
    assert_null(counters(shared, "one more"));
    assert_non_null(counters(shared, "0"));
}

static void *
name_main(void *arg)
{
    struct script_shared *shared = arg;
    for (unsigned i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        struct script_counters *its = counters(shared, name);
        if (its)
            atomic_fetch_add(&its->runs, 1);
    }
    return NULL;
}

static void
test_threads_meet_at_one_name(void **state)
{
    enum { THREADS = 4 };
    struct script_shared *shared = *state;
    pthread_t threads[THREADS];
    unsigned count = 0;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, name_main, shared), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (struct script_counters *at = shared->counters; at; at = at->next) {
        assert_int_equal(at->runs, THREADS);
        count++;
    }
    assert_int_equal(count, 300);
}

/* --- metrics --- */

static void
assert_line(const struct buf *out, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (str_find(buf_str(out), str_from_cstr(wanted)) == out->len)
        fail_msg("'%s' is not in:\n%.*s", line, (int)out->len, out->ptr);
}

static void
test_metrics(void **state)
{
    struct script_shared *shared = *state;
    struct script_counters *a = counters(shared, "10-a.o");
    struct script_counters *odd = counters(shared, "\"\\\n\xff.o");
    struct buf out;
    a->runs = 7;
    a->yields = 3;
    a->throttles = 2;
    a->log_lines = 5;
    a->cpu_ns = 1234567890;
    a->traps[BPF_TRAP_CPU] = 4;
    odd->traps[BPF_TRAP_UNKNOWN] = 1;
    counters(shared, "\xc3\xa4.o")->traps[BPF_TRAP_ACCESS] = 9;
    assert_int_equal(kv_set(shared->kv, STR("k"), STR("v"), 0, 1), KV_OK);
    assert_int_equal(rate_limit_take(shared->rate_limit, STR("k"), (uint64_t[]){1, 0, 0}, 1),
                     RATE_LIMIT_ALLOWED);
    buf_init(&out, 1 << 20);
    script_render_metrics(shared, &out);
    assert_false(buf_overflowed(&out));
    assert_line(&out, "tarn_script_runs_total{script=\"10-a.o\"} 7");
    assert_line(&out, "tarn_script_runs_total{script=\"\\\"\\\\??.o\"} 0");
    assert_line(&out, "tarn_script_yields_total{script=\"10-a.o\"} 3");
    assert_line(&out, "tarn_script_throttles_total{script=\"10-a.o\"} 2");
    assert_line(&out, "tarn_script_log_lines_total{script=\"10-a.o\"} 5");
    assert_line(&out, "tarn_script_cpu_seconds_total{script=\"10-a.o\"} 1.234567");
    assert_line(&out, "tarn_script_errors_total{script=\"10-a.o\",kind=\"cpu\"} 4");
    assert_line(&out, "tarn_script_errors_total{script=\"\\\"\\\\??.o\",kind=\"unknown\"} 1");
    assert_line(&out, "tarn_script_errors_total{script=\"\xc3\xa4.o\",kind=\"access\"} 9");
    assert_line(&out, "# TYPE tarn_script_errors_total counter");
    assert_line(&out, "tarn_kv_entries 1");
    assert_line(&out, "tarn_kv_bytes 114");
    assert_line(&out, "tarn_kv_bytes_max 1048576");
    assert_line(&out, "tarn_kv_evictions_total 0");
    assert_line(&out, "tarn_rate_limit_keys 1");
    assert_line(&out, "tarn_rate_limit_keys_max 100");
    buf_deinit(&out);
}

static void
test_a_database_that_is_not_there(void **state)
{
    const struct script_config config = {.slice_ns = 1000 * 1000,
                                         .geoip_path = "/nowhere/geo.mmdb"};
    struct script_shared *shared;
    struct error error;
    assert_int_equal(script_shared_new(&shared, &config, &error), -1);
    assert_non_null(strstr(error.text, "/nowhere/geo.mmdb"));
}

/* A run is told to yield after one to two ticks. */
static void
test_the_ticker_fits_the_slice(void **state)
{
    const struct script_config config = {.slice_ns = 3000 * 1000};
    struct script_shared *shared;
    struct error error;
    assert_int_equal(script_shared_new(&shared, &config, &error), 0);
    assert_int_equal(shared->ticker->tick_ns, 2000 * 1000);
    script_shared_free(shared);
    script_shared_free(NULL);
}

int
main(void)
{
#define with_shared(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        with_shared(test_one_for_each_name),
        with_shared(test_as_many_names_as_there_may_be),
        with_shared(test_threads_meet_at_one_name),
        with_shared(test_metrics),
        cmocka_unit_test(test_a_database_that_is_not_there),
        cmocka_unit_test(test_the_ticker_fits_the_slice),
    };
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
