#include "req/req_test_run.h"

static void
render_metrics(void *arg, struct buf *out)
{
    buf_printf(out, "tarn_test %s\n", (const char *)arg);
}

/* The text is larger than a request's memory. */
static void
render_too_much(void *arg, struct buf *out)
{
    for (unsigned i = 0; i < REQ_ARENA_MAX; i++)
        buf_append_char(out, 'x');
}

static void
health_answers_on_all_its_names(void **state)
{
    static const char *const alive[] = {"GET /health", "GET /livez", "GET //./health?verbose"};
    static const char *const ready[] = {"GET /ready", "GET /readyz"};
    struct world *world = *state;
    world->env.endpoints = true;
    world_make(world, "printf file >health; printf home >index.html");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask(world, alive[i], ""), 200);
        assert_answer(world, "{\"status\":\"healthy\",\"timestamp\":\"1700000000\"}\n");
        assert_header(world, "Content-Type", "application/json");
        assert_header(world, "Cache-Control", "no-store");
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(world, ready[i], ""), 200);
        assert_answer(world, "{\"status\":\"ready\",\"timestamp\":\"1700000000\"}\n");
    }
    assert_int_equal(ask(world, "GET /health/", ""), 404);
    assert_int_equal(ask(world, "GET /metrics", ""), 404);
    assert_int_equal(ask(world, "GET /", ""), 200);
    assert_answer(world, "home");
}

static void
draining_is_alive_and_not_ready(void **state)
{
    struct world *world = *state;
    world->env.endpoints = true;
    world->health = HEALTH_DRAINING;
    world_make(world, "printf home >index.html");
    assert_int_equal(ask(world, "GET /health", ""), 200);
    assert_int_equal(ask(world, "GET /ready", ""), 503);
    assert_answer(world, "{\"status\":\"draining\",\"timestamp\":\"1700000000\"}\n");
    assert_int_equal(ask(world, "GET /readyz", ""), 503);
}

static void
endpoints_are_read_only(void **state)
{
    struct world *world = *state;
    world->env.endpoints = true;
    world_make(world, "printf home >index.html");
    assert_int_equal(ask(world, "HEAD /health", ""), 200);
    assert_header(world, "Content-Length", "46");
    assert_int_equal(ask(world, "POST /health", "Content-Length: 0\r\n"), 405);
    assert_header(world, "Allow", "GET, HEAD");
    assert_int_equal(ask(world, "OPTIONS /ready", ""), 405);
}

static void
without_endpoints_their_paths_are_the_sites(void **state)
{
    struct world *world = *state;
    world->env.render_metrics = render_metrics;
    world_make(world, "printf file >health");
    assert_int_equal(ask(world, "GET /health", ""), 200);
    assert_answer(world, "file");
    assert_int_equal(ask(world, "GET /ready", ""), 404);
    assert_int_equal(ask(world, "GET /metrics", ""), 404);
}

static void
the_admin_listener_has_endpoints_and_nothing_else(void **state)
{
    struct world *world = *state;
    world->env.render_metrics = render_metrics;
    world->env.render_arg = (void *)"7";
    world->req.is_admin = true;
    world_make(world, "printf home >index.html");
    assert_int_equal(ask(world, "GET /metrics", ""), 200);
    assert_answer(world, "tarn_test 7\n");
    assert_header(world, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    assert_int_equal(ask(world, "HEAD /metrics", ""), 200);
    assert_int_equal(ask(world, "GET /health", ""), 200);
    assert_int_equal(ask(world, "GET /", ""), 404);
    assert_int_equal(ask(world, "POST /", "Content-Length: 0\r\n"), 404);
    assert_int_equal(ask(world, "OPTIONS *", ""), 404);
    world->env.render_metrics = NULL;
    assert_int_equal(ask(world, "GET /metrics", ""), 404);
}

static void
metrics_that_do_not_fit_are_an_error(void **state)
{
    struct world *world = *state;
    world->env.render_metrics = render_too_much;
    world->req.is_admin = true;
    world_make(world, "printf home >index.html");
    assert_int_equal(ask(world, "GET /metrics", ""), 500);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(health_answers_on_all_its_names),
        world_test(draining_is_alive_and_not_ready),
        world_test(endpoints_are_read_only),
        world_test(without_endpoints_their_paths_are_the_sites),
        world_test(the_admin_listener_has_endpoints_and_nothing_else),
        world_test(metrics_that_do_not_fit_are_an_error),
    };
    return cmocka_run_group_tests_name("endpoints", tests, NULL, NULL);
}
