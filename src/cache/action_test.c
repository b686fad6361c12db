/* The action: routes, parameters, what is remembered of queries, and purging. */
#include "cache/cache_test_run.h"

#define URL "http://example.com/a"
#define FETCH "/api/v1/fetch"

struct setting {
    struct world *world;
    struct stage stage;
};

static int
action_setup(void **state)
{
    struct setting *setting = calloc(1, sizeof *setting);
    if (!setting || world_setup((void **)&setting->world) != 0)
        return -1;
    stage_init(&setting->stage);
    *state = setting;
    return 0;
}

static int
action_teardown(void **state)
{
    struct setting *setting = *state;
    stage_close(&setting->stage);
    world_teardown((void **)&setting->world);
    free(setting);
    return 0;
}

static void
start(struct setting *setting)
{
    stage_open(&setting->stage, setting->world);
}

/* Asks with this request line, without its version. */
static void __attribute__((format(printf, 3, 4)))
ask(struct call *call, struct setting *setting, const char *format, ...)
{
    static char text[3 * URL_MAX + 256], target[3 * URL_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(target, sizeof target, format, args);
    va_end(args);
    assert_true(len > 0 && (size_t)len < sizeof target);
    snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\n", target);
    call_init(call, &setting->stage);
    call_say(call, text);
}

/* Ends a request that waits, and the flight that it has made. */
static void
end_flight(struct setting *setting, struct call *call, const char *url)
{
    struct cache_flight *flight = stage_flight(&setting->stage, url);
    call_end(call);
    assert_non_null(flight);
    table_hold(setting->stage.cache->table, flight, 0);
    flight_unref(flight);
}

/* A request that is answered at once. */
static void
check_answer(struct setting *setting, const char *request, int status, const char *text,
             const char *file, int line)
{
    struct call call;
    ask(&call, setting, "%s", request);
    if (!call.req.waits)
        call_pull(&call);
    if (call.req.waits || call.req.response.status != status ||
        str_find(buf_str(&call.body), str_from_cstr(text)) == call.body.len) {
        print_error("%s: %d '%.*s' instead of %d '%s'\n", request, call.req.response.status,
                    STR_ARG(buf_str(&call.body)), status, text);
        _fail(file, line);
    }
    call_end(&call);
}

#define assert_answer(setting, request, status, text) \
    check_answer((setting), (request), (status), (text), __FILE__, __LINE__)

/* --- parameters --- */

static void
urls_that_are_none(void **state)
{
    static const char *const bad[] = {
        "ftp://example.com/", "example.com/a",    "//example.com/", "http://",
        "http:///a",          "https://",         "http:/a",        "file:///etc",
        "http://a:0/",        "http://a:65536/",  "http://u@a/",    "http://u:p@a/",
        "http://a%20b/",      "http://a/%0d%0aX", "javascript:1",   "http://a/%00",
        "http://[::1/",       "http://a/%25zz",   "%20http://a/",   "http://a/%20",
    };
    struct setting *setting = *state;
    start(setting);
    assert_answer(setting, "GET " FETCH, 400, "'url' should be specified");
    assert_answer(setting, "GET " FETCH "/", 400, "'url' should be specified");
    assert_answer(setting, "GET " FETCH "?", 400, "'url' should be specified");
    assert_answer(setting, "GET " FETCH "?url=", 400, "'url' should be specified");
    assert_answer(setting, "GET " FETCH "?url", 400, "'url' should be specified");
    assert_answer(setting, "GET " FETCH "?URL=http://a/", 400, "'url' should be specified");
    assert_answer(setting, "GET " FETCH "?url=http://a/&url=", 400, "'url' should be specified");
    assert_answer(setting, "GET " FETCH "?url=http://a/%zz", 400, "Invalid 'url' value");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char request[128];
        snprintf(request, sizeof request, "GET " FETCH "?url=%s", bad[i]);
        assert_answer(setting, request, 400, "Invalid 'url' value");
    }
    struct table_stats stats;
    table_stats(setting->stage.cache->table, &stats);
    assert_int_equal(stats.queued_count, 0);
}

static void
long_urls(void **state)
{
    static char url[URL_MAX + 2], request[URL_MAX + 64];
    struct setting *setting = *state;
    struct call call;
    start(setting);
    memset(url, 'x', URL_MAX + 1);
    memcpy(url, "http://example.com/", 19);
    snprintf(request, sizeof request, "GET " FETCH "?url=%s", url);
    assert_answer(setting, request, 400, "Invalid 'url' value");
    url[URL_MAX] = '\0';
    ask(&call, setting, "GET " FETCH "?url=%s", url);
    assert_true(call.req.waits);
    end_flight(setting, &call, url);
}

/* What it is asked as does not matter where it cannot. */
static void
spellings_of_one_resource(void **state)
{
    static const char *const same[] = {
        "url=http://example.com/a",       "url=http%3A%2F%2Fexample.com%2Fa",
        "url=HTTP://EXAMPLE.com:80/a",    "url=http://example.com/a%23fragment",
        "x=y&url=http://example.com/a&z", "url=http://other/&url=http://example.com/a",
        "%75rl=http://example.com/a",     "&&url=http://example.com/a&ttl=1d&",
    };
    struct setting *setting = *state;
    struct call call;
    start(setting);
    for (unsigned i = 0; i < sizeof same / sizeof *same; i++) {
        ask(&call, setting, "GET %s?%s", i % 2 ? FETCH : FETCH "/", same[i]);
        if (!call.req.waits)
            fail_msg("%s: %d", same[i], call.req.response.status);
        end_flight(setting, &call, URL);
    }
    ask(&call, setting, "GET " FETCH "?url=http://example.com/a%%3Fb=c%%26d");
    end_flight(setting, &call, "http://example.com/a?b=c&d");
    ask(&call, setting, "GET " FETCH "?url=http://example.com/a?b=c&d");
    end_flight(setting, &call, "http://example.com/a?b=c");
}

static void
times_to_live(void **state)
{
    static const char *const bad[] = {
        "",     "0s",    "-1s", "1",   "s",    "1w",
        "1S",   "1.5d",  "+1d", "1+d", "1d1h", "99999999999999999999d",
        "0x1d", "1d%00",
    };
    struct setting *setting = *state;
    start(setting);
    assert_answer(setting, "GET " FETCH "?url=" URL "&ttl", 400, "Invalid 'ttl' value");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char request[128];
        snprintf(request, sizeof request, "GET " FETCH "?url=" URL "&ttl=%s", bad[i]);
        assert_answer(setting, request, 400, "Invalid 'ttl' value");
    }
    /* the longest that is asked for counts, up to --max-ttl */
    static const struct {
        const char *ttl;
        uint32_t wanted;
    } good[] = {{"&ttl=7s", 7},
                {"&ttl=2m", 120},
                {"", CALL_TTL_S},
                {"&ttl=1h", 3600},
                {"&ttl=8s", 3600},
                {"&ttl=2d", 100000},
                {"&ttl=40000000000d", 100000}};
    struct call calls[sizeof good / sizeof *good];
    struct cache_flight *flight = NULL;
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        ask(&calls[i], setting, "GET " FETCH "?url=" URL "%s", good[i].ttl);
        assert_true(calls[i].req.waits);
        if (!flight)
            flight = stage_flight(&setting->stage, URL);
        assert_int_equal(flight->ttl_s, good[i].wanted);
    }
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        call_end(&calls[i]);
    table_hold(setting->stage.cache->table, flight, 0);
    flight_unref(flight);
}

/* A short one is for that request only. */
static void
what_is_too_old_for_one_is_fresh_for_another(void **state)
{
    struct setting *setting = *state;
    struct call call;
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    setting->stage.env.now_s += 10;
    assert_answer(setting, "GET " FETCH "?url=" URL "&ttl=10s", 200, "hello");
    ask(&call, setting, "GET " FETCH "?url=" URL "&ttl=9s");
    assert_true(call.req.waits);
    assert_answer(setting, "GET " FETCH "?url=" URL, 200, "hello");
    end_flight(setting, &call, URL);
    setting->stage.env.now_s += 100001; /* over --max-ttl */
    ask(&call, setting, "GET " FETCH "?url=" URL "&ttl=100d");
    assert_true(call.req.waits);
    end_flight(setting, &call, URL);
}

static void
digests(void **state)
{
    struct setting *setting = *state;
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
#define SHA "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98"
    assert_answer(setting, "GET " FETCH "?url=" URL "&sha256=" SHA "24", 200, "hello");
    assert_answer(setting, "GET " FETCH "?url=" URL "&sha256=" SHA "2", 400,
                  "Invalid 'sha256' value");
    assert_answer(setting, "GET " FETCH "?url=" URL "&sha256=" SHA "241", 400,
                  "Invalid 'sha256' value");
    assert_answer(setting, "GET " FETCH "?url=" URL "&sha256=" SHA "2g", 400,
                  "Invalid 'sha256' value");
    assert_answer(setting, "GET " FETCH "?url=" URL "&sha256=", 400, "Invalid 'sha256' value");
    struct call call;
    ask(&call, setting, "GET " FETCH "?url=" URL "&sha256=" SHA "25");
    assert_true(call.req.waits);
    end_flight(setting, &call, URL);
}

/* --- what is remembered of queries --- */

enum { QUERIES = 400, ASKS = 6000 };

/* The query with this number, and what it is for. */
static void
query_of(unsigned i, char query[static 800], char url[static 700], uint32_t *ttl_s)
{
    char path[601] = "";
    if (i % 7 == 0) { /* too long to be remembered, or nearly */
        size_t len = 440 + i % 160;
        memset(path, 'x', len);
        path[len] = '\0';
    }
    *ttl_s = i % 3 ? i % 50 + 1 : CALL_TTL_S;
    snprintf(url, 700, "http://h%u.example/%s", i / 2, path);
    if (i % 3)
        snprintf(query, 800, "url=%s&ttl=%us&%c", url, *ttl_s, 'a' + (char)(i % 2));
    else
        snprintf(query, 800, "%c&url=%s", 'a' + (char)(i % 2), url);
}

/* Many more queries than there is room for, again and again. */
static void
no_query_gets_what_another_wants(void **state)
{
    struct setting *setting = *state;
    char query[800], url[700];
    uint32_t ttl_s, random = 1;
    start(setting);
    for (unsigned i = 0; i < ASKS; i++) {
        struct call call;
        random = random * 1664525 + 1013904223;
        /* neighbours, so that some are still remembered */
        query_of(((random >> 20) + i / 20) % QUERIES, query, url, &ttl_s);
        ask(&call, setting, "GET " FETCH "?%s", query);
        assert_true(call.req.waits);
        struct cache_flight *flight = stage_flight(&setting->stage, url);
        if (!flight)
            fail_msg("%s asks for something else", query);
        assert_int_equal(flight->ttl_s, ttl_s);
        assert_false(flight->wants_sha256);
        flight_unref(flight);
        end_flight(setting, &call, url);
    }
}

/* The name stands in the path. */
static void
the_name_is_not_part_of_it(void **state)
{
    struct setting *setting = *state;
    struct call call;
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    static const char *const names[] = {"one", "", "two", "", "one"};
    for (unsigned i = 0; i < 5; i++) {
        char wanted[64];
        ask(&call, setting, "GET " FETCH "/%s?url=" URL, names[i]);
        assert_status(&call, 200);
        snprintf(wanted, sizeof wanted, "attachment; filename=\"%s\"", names[i]);
        assert_line(&call, "Content-Disposition", names[i][0] ? wanted : NULL);
        call_end(&call);
    }
}

static void
what_was_wrong_stays_wrong(void **state)
{
    struct setting *setting = *state;
    struct call call;
    start(setting);
    for (unsigned i = 0; i < 3; i++) {
        assert_answer(setting, "GET " FETCH "?url=" URL "&ttl=x", 400, "Invalid 'ttl' value");
        assert_answer(setting, "GET " FETCH "?url=" URL "&sha256=x", 400, "Invalid 'sha256' value");
        assert_answer(setting, "GET " FETCH "?url=x", 400, "Invalid 'url' value");
        assert_answer(setting, "GET " FETCH, 400, "'url' should be specified");
        ask(&call, setting, "GET " FETCH "?url=" URL);
        assert_true(call.req.waits);
        end_flight(setting, &call, URL);
    }
}

static void
a_digest_is_remembered_too(void **state)
{
    struct setting *setting = *state;
    struct call call;
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    for (unsigned i = 0; i < 3; i++) {
        assert_answer(setting, "GET " FETCH "?url=" URL "&sha256=" SHA "24", 200, "hello");
        ask(&call, setting, "GET " FETCH "?url=" URL "&sha256=" SHA "25");
        assert_true(call.req.waits);
        end_flight(setting, &call, URL);
    }
}

/* --- names --- */

static void
names_to_save_it_under(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *wanted;
    } cases[] = {
        {"a.gz", 200, "attachment; filename=\"a.gz\""},
        {"a%20b", 200, "attachment; filename=\"a b\""},
        {"a/b", 200, "attachment; filename=\"a_b\""},
        {"a%22b", 200, "attachment; filename=\"a\\\"b\""},
        {"a/", 200, "attachment; filename=\"a_\""},
        {"a/../b", 200, "attachment; filename=\"b\""},
        {"", 200, NULL},
        {"a%2Fb", 400, NULL},
        {"a%00b", 400, NULL},
    };
    struct setting *setting = *state;
    struct call call;
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(&call, setting, "GET " FETCH "/%s?url=" URL, cases[i].path);
        if (call.req.response.status != cases[i].status)
            fail_msg("%s: %d", cases[i].path, call.req.response.status);
        assert_line(&call, "Content-Disposition", cases[i].wanted);
        if (cases[i].status == 200)
            assert_came(&call, BODY_END, "hello");
        call_end(&call);
    }
    /* what would be another line is none */
    ask(&call, setting, "GET " FETCH "/a%%0D%%0AX-Evil:%%20y?url=" URL);
    assert_line(&call, "X-Evil", NULL);
    call_end(&call);
}

/* --- routes --- */

static void
methods(void **state)
{
    struct setting *setting = *state;
    struct call call;
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    ask(&call, setting, "HEAD " FETCH "?url=" URL);
    assert_status(&call, 200);
    assert_line(&call, "Content-Length", "5");
    call_end(&call);
    ask(&call, setting, "OPTIONS " FETCH);
    assert_status(&call, 204);
    assert_line(&call, "Allow", "GET, HEAD, DELETE, OPTIONS");
    call_end(&call);
    static const char *const others[] = {"TRACE", "BREW"};
    for (unsigned i = 0; i < 2; i++) {
        ask(&call, setting, "%s " FETCH "?url=" URL, others[i]);
        assert_status(&call, 405);
        assert_line(&call, "Allow", "GET, HEAD, DELETE, OPTIONS");
        call_end(&call);
        ask(&call, setting, "%s /api/v1/status/", others[i]);
        assert_status(&call, 405);
        assert_line(&call, "Allow", "GET, HEAD");
        call_end(&call);
    }
}

static void
routes(void **state)
{
    struct setting *setting = *state;
    start(setting);
    assert_answer(setting, "GET /api/v1/health/", 200, "ok");
    assert_answer(setting, "GET /api/v1/health", 200, "ok");
    setting->stage.health = HEALTH_DRAINING;
    assert_answer(setting, "GET /api/v1/health/", 503, "draining");
    assert_answer(setting, "GET /api/v1/status/", 200, "\"instance\": \"test\"");
    assert_answer(setting, "GET /api/v1/status", 200, "\"disk_usage\": 0");
    assert_answer(setting, "GET /api/v1/fetches?url=" URL, 404, "");
    assert_answer(setting, "GET /api/v1/", 404, "");
    assert_answer(setting, "GET /api/v1/fetch/../nothing", 404, "");
}

static void
status_counts(void **state)
{
    struct setting *setting = *state;
    struct call call, waits;
    struct growing growing;
    setting->stage.config.quota = 1000;
    setting->stage.config.instance = "a\"\\\n\x01";
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    call_get(&call, &setting->stage, "http://example.com/failed", "");
    take_off(&growing, &setting->stage, "http://example.com/failed");
    crash(&growing, 404, 0, "no", 60);
    run_for(setting->world, 0);
    call_end(&call);
    call_get(&waits, &setting->stage, "http://example.com/b", "");
    assert_answer(setting, "GET /api/v1/status/", 200,
                  "\"disk_usage\": 5, \"disk_usage_percent\": 0.50, \"disk_quota\": 1000");
    assert_answer(setting, "GET /api/v1/status/", 200,
                  "\"resources_scheduled\": 1, \"resources_downloading\": 0");
    assert_answer(setting, "GET /api/v1/status/", 200,
                  "\"resources_successes\": 1, \"resources_failures\": 1");
    assert_answer(setting, "GET /api/v1/status/", 200, "\"statistics_requests\": 3");
    assert_answer(setting, "GET /api/v1/status/", 200, "\"a\\u0022\\u005c\\u000a\\u0001\"");
    end_flight(setting, &waits, "http://example.com/b");
}

/* Under a prefix nothing else is the cache's. */
static void
mounted_under_a_prefix(void **state)
{
    static const struct {
        const char *path;
        bool is_ours;
        int status;
    } cases[] = {
        {"/cache/api/v1/health", true, 200},
        {"/cache/nothing", true, 404},
        {"/cachex", false, 0},
        {"/cach", false, 0},
        {"/", false, 0},
        {"/api/v1/health", false, 0},
        {"/x/cache/api/v1/health", false, 0},
    };
    struct setting *setting = *state;
    setting->stage.config.path = STR("/cache");
    start(setting);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call call;
        call_init(&call, &setting->stage);
        call.req.head.method = HTTP_METHOD_GET;
        call.req.path = str_from_cstr(cases[i].path);
        if (cache_answer(&call.req, setting->stage.worker) != cases[i].is_ours)
            fail_msg("%s", cases[i].path);
        assert_int_equal(call.req.response.status, cases[i].status);
        call_end(&call);
    }
}

/* --- purge and access --- */

static void
purge(struct setting *setting, const char *url, const char *token, int status)
{
    struct call call;
    char text[512];
    call_init(&call, &setting->stage);
    snprintf(text, sizeof text, "DELETE " FETCH "?url=%s HTTP/1.1\r\nHost: a\r\n%s%s%s", url,
             token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "");
    call_say(&call, text);
    assert_status(&call, status);
    assert_line(&call, "WWW-Authenticate", status == 401 ? "Bearer realm=\"tarn cache\"" : NULL);
    call_end(&call);
}

static void
purging(void **state)
{
    struct setting *setting = *state;
    struct call reads, call;
    struct growing growing;
    setting->stage.config.purge_token = "s3cret";
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    purge(setting, URL, NULL, 401);
    purge(setting, URL, "other", 401);
    purge(setting, "x", "s3cret", 400);
    purge(setting, "", "s3cret", 400);
    purge(setting, "http://example.com/b", "s3cret", 404);
    assert_answer(setting, "GET " FETCH "?url=" URL, 200, "hello");
    call_get(&reads, &setting->stage, URL, "");
    purge(setting, URL, "s3cret", 200);
    assert_came(&reads, BODY_END, "hello"); /* who reads finishes */
    assert_int_equal(stage_used(&setting->stage), 5);
    call_end(&reads);
    assert_int_equal(stage_used(&setting->stage), 0);
    purge(setting, URL, "s3cret", 404);
    /* also what is remembered of a failure */
    call_get(&call, &setting->stage, URL, "");
    take_off(&growing, &setting->stage, URL);
    crash(&growing, 404, 0, "no", 60);
    run_for(setting->world, 0);
    call_end(&call);
    assert_answer(setting, "GET " FETCH "?url=" URL, 404, "404: no");
    purge(setting, URL, "s3cret", 200);
    call_get(&call, &setting->stage, URL, "");
    assert_true(call.req.waits);
    purge(setting, URL, "s3cret", 404); /* what comes in is not there */
    end_flight(setting, &call, URL);
}

static void
purging_that_is_not_enabled(void **state)
{
    struct setting *setting = *state;
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    purge(setting, URL, NULL, 403);
    purge(setting, URL, "x", 403);
    assert_answer(setting, "GET " FETCH "?url=" URL, 200, "hello");
}

/* Requests here have no peer at all. */
static void
who_is_not_allowed_may_only_look(void **state)
{
    struct setting *setting = *state;
    struct error error;
    setting->stage.config.purge_token = "s3cret";
    start(setting);
    put_whole(&setting->stage, URL, NULL, "hello");
    assert_int_equal(cidr_list_add(&setting->stage.allow, STR("10.0.0.0/8"), &error), 0);
    assert_answer(setting, "GET " FETCH "?url=" URL, 403, "may not use this cache");
    assert_answer(setting, "GET " FETCH "/name?url=" URL, 403, "may not use this cache");
    assert_answer(setting, "HEAD " FETCH "?url=" URL, 403, "may not use this cache");
    assert_answer(setting, "GET " FETCH, 403, "may not use this cache");
    assert_answer(setting, "OPTIONS " FETCH, 403, "may not use this cache");
    purge(setting, URL, "s3cret", 403);
    assert_answer(setting, "GET /api/v1/status/", 200, "disk_usage");
    assert_answer(setting, "GET /api/v1/health/", 200, "ok");
}

#define action_test(test) cmocka_unit_test_setup_teardown(test, action_setup, action_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        action_test(urls_that_are_none),
        action_test(long_urls),
        action_test(spellings_of_one_resource),
        action_test(times_to_live),
        action_test(what_is_too_old_for_one_is_fresh_for_another),
        action_test(digests),
        action_test(no_query_gets_what_another_wants),
        action_test(the_name_is_not_part_of_it),
        action_test(what_was_wrong_stays_wrong),
        action_test(a_digest_is_remembered_too),
        action_test(names_to_save_it_under),
        action_test(methods),
        action_test(routes),
        action_test(status_counts),
        action_test(mounted_under_a_prefix),
        action_test(purging),
        action_test(purging_that_is_not_enabled),
        action_test(who_is_not_allowed_may_only_look),
    };
    return cmocka_run_group_tests_name("action", tests, NULL, NULL);
}
