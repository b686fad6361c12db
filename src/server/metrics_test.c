#include "server/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 3, TEXT_MAX = 1 << 20 };

struct scene {
    struct worker workers[WORKERS];
    struct metrics_source source;
    struct buf text;
};

static int
setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    if (!scene)
        return -1;
    scene->source = (struct metrics_source){.workers = scene->workers, .worker_count = WORKERS};
    buf_init(&scene->text, TEXT_MAX);
    *state = scene;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;
    buf_deinit(&scene->text);
    free(scene);
    return 0;
}

static void
render(struct scene *scene)
{
    buf_clear(&scene->text);
    metrics_render(&scene->source, &scene->text);
    assert_false(buf_overflowed(&scene->text));
}

/* The value behind a name with its labels; it must be there once. */
static uint64_t
value_of(const struct scene *scene, const char *name)
{
    struct str rest = buf_str(&scene->text);
    uint64_t value = 0;
    unsigned found = 0;
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        size_t len = strlen(name);
        if (line.len > len && line.ptr[len] == ' ' &&
            str_eq(str_first(line, len), str_from_cstr(name))) {
            assert_true(str_to_u64(str_skip(line, len + 1), &value));
            found++;
        }
    }
    if (found != 1)
        fail_msg("%s is there %u times", name, found);
    return value;
}

static void
workers_are_added_up(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &scene->workers[i];
        for (unsigned class = 1; class < 6; class ++)
            worker->env.counters.status_class[class] = 10 * class + i;
        worker->pool.counters.accepted = 100 + i;
        worker->pool.counters.active = 200 + i;
        worker->pool.counters.bytes_out = (uint64_t)3 << 40;
        for (unsigned end = 0; end < CONN_END_COUNT; end++)
            worker->pool.counters.ends[end] = 1000 * (end + 1) + i;
    }
    render(scene);
    assert_int_equal(value_of(scene, "tarn_requests_total{class=\"1xx\"}"), 33);
    assert_int_equal(value_of(scene, "tarn_requests_total{class=\"2xx\"}"), 63);
    assert_int_equal(value_of(scene, "tarn_requests_total{class=\"5xx\"}"), 153);
    assert_int_equal(value_of(scene, "tarn_connections_accepted_total"), 303);
    assert_int_equal(value_of(scene, "tarn_connections_active"), 603);
    assert_int_equal(value_of(scene, "tarn_sent_bytes_total"), (uint64_t)9 << 40);
    for (unsigned end = 0; end < CONN_END_COUNT; end++) {
        char name[128];
        snprintf(name, sizeof name, "tarn_connections_ended_total{reason=\"%s\"}",
                 conn_end_name((enum conn_end)end));
        assert_int_equal(value_of(scene, name), 3000 * (end + 1) + 3);
    }
    assert_int_equal(value_of(scene, "tarn_workers"), WORKERS);
}

static void
the_server_has_numbers_of_its_own(void **state)
{
    struct scene *scene = *state;
    scene->source.started_s = 1700000000;
    scene->source.reloads = 4;
    scene->source.reload_failures = 5;
    scene->source.site_files = 6;
    scene->source.site_preloaded_len = 7;
    render(scene);
    assert_int_equal(value_of(scene, "tarn_start_time_seconds"), 1700000000);
    assert_int_equal(value_of(scene, "tarn_reloads_total"), 4);
    assert_int_equal(value_of(scene, "tarn_reload_failures_total"), 5);
    assert_int_equal(value_of(scene, "tarn_site_files"), 6);
    assert_int_equal(value_of(scene, "tarn_site_preloaded_bytes"), 7);
    assert_int_equal(value_of(scene, "tarn_log_dropped_total"), 0);
}

/* One writer for both logs is counted once. */
static void
dropped_lines_are_those_of_all_writers(void **state)
{
    struct scene *scene = *state;
    struct log_writer *writers[2];
    struct error error;
    char *line = calloc(1, LOG_RING_LEN + 1);
    assert_non_null(line);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(log_writer_new(&writers[i], NULL, STDERR_FILENO, &error), 0);
        struct log_ring *ring = log_writer_add_ring(writers[i]);
        assert_non_null(ring);
        for (unsigned j = 0; j <= i; j++)
            assert_false(log_ring_put(ring, str_make(line, LOG_RING_LEN + 1)));
    }
    scene->source.access_writer = writers[0];
    scene->source.error_writer = writers[1];
    render(scene);
    assert_int_equal(value_of(scene, "tarn_log_dropped_total"), 3);
    scene->source.access_writer = writers[1];
    render(scene);
    assert_int_equal(value_of(scene, "tarn_log_dropped_total"), 2);
    log_writer_free(writers[0]);
    log_writer_free(writers[1]);
    free(line);
}

/* Every sample follows the help and type of its family, and counters are called _total. */
static void
the_text_is_in_prometheus_format(void **state)
{
    struct scene *scene = *state;
    char family[128] = "";
    bool counter = false;
    render(scene);
    struct str rest = buf_str(&scene->text);
    assert_true(str_ends_with(rest, STR("\n")));
    while (rest.len) {
        struct str line = str_cut(&rest, '\n');
        struct str name = line;
        assert_true(line.len > 0);
        if (str_starts_with(line, STR("# HELP "))) {
            struct str help = str_skip(line, 7);
            name = str_cut(&help, ' ');
            snprintf(family, sizeof family, "%.*s", STR_ARG(name));
            assert_true(help.len > 0);
            name = str_cut(&rest, '\n');
            assert_true(str_starts_with(name, STR("# TYPE ")));
            name = str_skip(name, 7);
            assert_true(str_eq(str_cut(&name, ' '), str_from_cstr(family)));
            counter = str_eq(name, STR("counter"));
            assert_true(counter || str_eq(name, STR("gauge")));
            assert_int_equal(counter, str_ends_with(str_from_cstr(family), STR("_total")));
            continue;
        }
        size_t len = strlen(family);
        assert_true(str_starts_with(line, str_from_cstr(family)));
        assert_true(line.ptr[len] == ' ' || line.ptr[len] == '{');
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(workers_are_added_up, setup, teardown),
        cmocka_unit_test_setup_teardown(the_server_has_numbers_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(dropped_lines_are_those_of_all_writers, setup, teardown),
        cmocka_unit_test_setup_teardown(the_text_is_in_prometheus_format, setup, teardown),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
