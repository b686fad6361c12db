#include "req/req_test_run.h"

static void
malformed_targets_are_refused(void **state)
{
    static const char *const wrong[] = {
        "GET /%",        "GET /%zz",        "GET /%00", "GET /a%2fb", "GET /../etc",
        "GET /a/../../", "GET /%2e%2e/x",   "GET /%ff", "GET /a#b",   "GET *",
        "GET ftp://a/",  "GET http://u@a/", "GET a",    "GET a:80",   "CONNECT /",
    };
    struct world *world = *state;
    world_make(world, "printf home >index.html");
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (ask(world, wrong[i], "") != 400)
            fail_msg("%s: %d", wrong[i], world->req.response.status);
        assert_true(world->req.response.close);
    }
}

static void
absolute_targets_are_for_plain_http_here(void **state)
{
    struct world *world = *state;
    world_make(world, "printf home >index.html");
    assert_int_equal(ask(world, "GET http://other.example/", ""), 200);
    assert_int_equal(ask(world, "GET HTTP://other.example", ""), 200);
    assert_int_equal(ask(world, "GET https://other.example/", ""), 421);
    assert_true(world->req.response.close);
    world->req.is_tls = true;
    assert_int_equal(ask(world, "GET https://other.example/", ""), 200);
}

static void
plain_requests_are_sent_to_https_when_told_so(void **state)
{
    static const struct {
        const char *start, *host, *location;
    } cases[] = {
        {"GET /", "a.example", "https://a.example/"},
        {"POST /a%20b//c?q=1&r", "a.example:80", "https://a.example/a%20b//c?q=1&r"},
        {"GET /?", "a.example", "https://a.example/?"},
        {"GET /x", "[::1]:8080", "https://[::1]/x"},
        {"GET http://b.example:8080/y?z", "a.example", "https://b.example/y?z"},
        {"GET /none", "192.0.2.1", "https://192.0.2.1/none"},
    };
    struct world *world = *state;
    char fields[100];
    world_make(world, "printf home >index.html");
    world->env.endpoints = true;
    world->env.redirect_port = 443;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(fields, sizeof fields, "Host: %s\r\n", cases[i].host);
        assert_int_equal(ask_host(world, cases[i].start, fields), 308);
        assert_header(world, "Location", cases[i].location);
    }
    world->env.redirect_port = 8443;
    assert_int_equal(ask_host(world, "GET /x", "Host: a:80\r\n"), 308);
    assert_header(world, "Location", "https://a:8443/x");
    assert_int_equal(ask_host(world, "GET /x", "Host:\r\n"), 400);
    assert_int_equal(ask_host(world, "GET /health", "Host: a\r\n"), 200);
    world->req.is_tls = true;
    assert_int_equal(ask_host(world, "GET /", "Host: a\r\n"), 200);
}

static void
paths_are_normalised_before_anything_looks_at_them(void **state)
{
    struct world *world = *state;
    world_make(world, "mkdir d && printf deep >d/a.txt");
    assert_int_equal(ask(world, "GET //x/..//d/./%61.txt?q=/../..", ""), 200);
    assert_answer(world, "deep");
}

static void
a_body_without_length_in_http10_needs_one(void **state)
{
    struct world *world = *state;
    world_make(world, "printf home >index.html");
    world_ask_bytes(world, STR("POST / HTTP/1.0\r\n\r\n"));
    assert_int_equal(world->req.response.status, 411);
    world_ask_bytes(world, STR("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(world->req.response.status, 405);
    world_ask_bytes(world, STR("GET / HTTP/1.0\r\n\r\n"));
    assert_int_equal(world->req.response.status, 200);
    assert_int_equal(ask(world, "POST /", ""), 405);
}

static void
a_path_beyond_the_memory_of_a_request_is_too_long(void **state)
{
    static char start[REQ_ARENA_MAX + 100];
    struct world *world = *state;
    world_make(world, "printf home >index.html");
    memset(start, 'a', sizeof start - 1);
    memcpy(start, "GET /", 5);
    assert_int_equal(ask(world, start, ""), 414);
    assert_true(world->req.response.close);
}

/* Whatever the memory that is left allows, what goes out is a response: its length is right. */
static void
answers_stay_well_formed_when_memory_runs_out(void **state)
{
    static char start[REQ_ARENA_MAX + 100];
    static const char *const paths[] = {"",      "/missing", "/health", "/dir",
                                        "/go?q", "/gone",    "/a.txt"};
    static const char *const fields[] = {"", "Range: bytes=0-0,2-2\r\n", "Range: bytes=0-1\r\n",
                                         "If-Match: \"x\"\r\n", "Range: bytes=90-\r\n"};
    struct world *world = *state;
    world->env.endpoints = true;
    world_make(world, "mkdir dir && printf d >dir/index.html && printf 0123456789 >a.txt && "
                      "printf '/go /there\\n/gone /a.txt 410\\n' >_redirects && "
                      "printf '/*\\n  X-Long: %%0500d\\n' 1 >_headers && printf n >404.html");
    for (size_t slack = 0; slack < 3000; slack += slack < 700 ? 7 : 100)
        for (unsigned i = 0; i < 7; i++) {
            size_t len = REQ_ARENA_MAX - slack;
            memcpy(start, "GET ", 4);
            memset(start + 4, '/', len);
            strcpy(start + 4 + len - strlen(paths[i]), paths[i]);
            ask(world, start, fields[(slack + i) % 5]);
        }
}

static void
responses_are_counted_by_class(void **state)
{
    struct world *world = *state;
    const struct req_counters *counters = &world->env.counters;
    world_make(world, "printf home >index.html");
    req_end(&world->req);
    assert_int_equal(counters->requests, 0);
    ask(world, "GET /", "");
    ask(world, "GET /", "If-None-Match: *\r\n");
    ask(world, "GET /none", "");
    ask(world, "GET /%", "");
    assert_int_equal(counters->requests, 3);
    req_end(&world->req);
    req_end(&world->req);
    assert_int_equal(counters->requests, 4);
    assert_int_equal(counters->status_class[2], 1);
    assert_int_equal(counters->status_class[3], 1);
    assert_int_equal(counters->status_class[4], 2);
    assert_int_equal(counters->status_class[5], 0);
}

static void
a_snapshot_is_held_until_the_last_request_with_it(void **state)
{
    struct world *world = *state;
    struct site_pin next = {0};
    world_make(world, "printf old >a");
    next.site = world->pin.site;
    ask(world, "GET /a", "");
    assert_int_equal(world->pin.use_count, 1);
    world->env.pin = &next;
    world->pin.retired = true;
    assert_int_equal(world->unused_count, 0);
    req_end(&world->req);
    assert_int_equal(world->unused_count, 1);
    req_end(&world->req);
    assert_int_equal(world->unused_count, 1);
    ask(world, "GET /a", "");
    assert_int_equal(next.use_count, 1);
    assert_int_equal(world->unused_count, 1);
    world->pin.retired = false;
    req_end(&world->req);
    assert_int_equal(next.use_count, 0);
}

static struct site_pin next_pin;

static void
take_next_pin(struct req_env *env)
{
    env->seen_generation = *env->generation;
    env->pin = &next_pin;
}

/* From the moment that the generation has moved on, no request sees the old snapshot. */
static void
a_new_generation_is_taken_before_the_request_runs(void **state)
{
    struct world *world = *state;
    world_make(world, "printf old >a");
    ask(world, "GET /a", "");
    req_end(&world->req);
    next_pin = (struct site_pin){.site = world->pin.site};
    world->env.refresh = take_next_pin;
    world->generation++;
    ask(world, "GET /a", "");
    assert_int_equal(next_pin.use_count, 1);
    assert_int_equal(world->pin.use_count, 0);
    world->env.refresh = NULL;
    ask(world, "GET /a", "");
    assert_int_equal(next_pin.use_count, 1);
}

static void
a_refusal_says_why_and_closes(void **state)
{
    struct world *world = *state;
    req_refuse(&world->req, 431, STR("too many header lines"));
    world_collect_body(world);
    assert_int_equal(world->req.response.status, 431);
    assert_answer(world, "431 Request Header Fields Too Large: too many header lines\n");
    assert_header(world, "Content-Type", "text/plain; charset=utf-8");
    assert_header(world, "Cache-Control", "no-store");
    assert_header(world, "X-Content-Type-Options", "nosniff");
    assert_true(world->req.response.close);
    assert_well_formed(world);
    req_end(&world->req);
    assert_int_equal(world->env.counters.status_class[4], 1);
}

static void
an_answer_can_be_replaced(void **state)
{
    struct world *world = *state;
    world_make(world, "printf home >index.html");
    ask(world, "GET /", "");
    req_respond_text(&world->req, 500, STR("broken"), STR("X-A: b\r\n"));
    buf_clear(&world->body);
    world_collect_body(world);
    assert_answer(world, "broken\n");
    assert_header(world, "X-A", "b");
    assert_header(world, "ETag", NULL);
    assert_well_formed(world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(malformed_targets_are_refused),
        world_test(absolute_targets_are_for_plain_http_here),
        world_test(plain_requests_are_sent_to_https_when_told_so),
        world_test(paths_are_normalised_before_anything_looks_at_them),
        world_test(a_body_without_length_in_http10_needs_one),
        world_test(a_path_beyond_the_memory_of_a_request_is_too_long),
        world_test(answers_stay_well_formed_when_memory_runs_out),
        world_test(responses_are_counted_by_class),
        world_test(a_snapshot_is_held_until_the_last_request_with_it),
        world_test(a_new_generation_is_taken_before_the_request_runs),
        world_test(a_refusal_says_why_and_closes),
        world_test(an_answer_can_be_replaced),
    };
    return cmocka_run_group_tests_name("req", tests, NULL, NULL);
}
