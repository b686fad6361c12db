/* The whole cache at once, for the sanitizers above all: workers on threads of their own that ask,
 * read, leave and purge, a fetcher that really downloads, and upstreams of every kind. What
 * somebody has got to the end must be right, and in the end nothing may be left over. */
#include "base/must.h"
#include "cache/cache_test_run.h"
#include "proxy/proxy_test_run.h"

enum { WORKERS = 2, CALLS = 8, RESOURCES = 10, RUN_MS = 1500, QUOTA = 700000, LEN = 100000 };

struct crowd {
    struct stage *stage;
    struct req_env env;
    struct cache_worker *worker;
    struct loop *loop;
    struct timer tick;
    struct call calls[CALLS];
    const char *base; /* of URLs */
    uint32_t random;
    unsigned whole_count, broken_count, refused_count, part_count;
    bool ends;
    pthread_t thread;
};

static unsigned
some(struct crowd *crowd, unsigned below)
{
    crowd->random = crowd->random * 1664525 + 1013904223;
    return (crowd->random >> 8) % below;
}

static struct crowd *
crowd_of(struct call *call)
{
    return (struct crowd *)((char *)call->req.env - offsetof(struct crowd, env));
}

/* The content of every resource is the pattern. */
static void
check(const struct call *call, uint64_t from)
{
    for (size_t i = 0; i < call->body.len; i++)
        must(call->body.ptr[i] == pattern_at(from + i));
}

static void
pull(struct call *call)
{
    struct crowd *crowd = crowd_of(call);
    bool purged = call->req.head.method == HTTP_METHOD_DELETE;
    int status = purged ? 0 : call->req.response.status;
    enum body_result result = call_pull(call);
    if (result == BODY_PENDING)
        return;
    if (status == 200 || status == 206)
        check(call, status == 206 ? 50000 : 0);
    if (result == BODY_FAILED)
        crowd->broken_count++;
    else if (status == 200) {
        must(call->body.len == LEN);
        crowd->whole_count++;
    } else if (status == 206) {
        must(call->body.len == 1000);
        crowd->part_count++;
    } else
        crowd->refused_count++;
    call_end(call);
}

static void
begin(struct crowd *crowd, struct call *call)
{
    static const char *const lines[] = {"", "", "Range: bytes=50000-50999\r\n",
                                        "If-None-Match: *\r\n"};
    static const char *const times[] = {"", "&ttl=1s", ""};
    char text[512];
    unsigned resource = some(crowd, RESOURCES);
    bool purges = some(crowd, 20) == 0;
    call_init(call, crowd->stage);
    call->req.env = &crowd->env;
    call->on_wake = pull;
    snprintf(text, sizeof text, "%s /api/v1/fetch?url=%s/%u%s HTTP/1.1\r\nHost: a\r\n%s%s",
             purges            ? "DELETE"
             : some(crowd, 10) ? "GET"
                               : "HEAD",
             crowd->base, resource, times[some(crowd, 3)], lines[some(crowd, 4)],
             purges ? "Authorization: Bearer x\r\n" : "");
    call_say(call, text);
    if (!call->req.waits)
        pull(call);
}

static void
crowd_tick(struct timer *timer)
{
    struct crowd *crowd = (struct crowd *)((char *)timer - offsetof(struct crowd, tick));
    bool ends = __atomic_load_n(&crowd->ends, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *call = &crowd->calls[i];
        if (ends || (call->open && some(crowd, 40) == 0))
            call_end(call);
        else if (!call->open)
            begin(crowd, call);
    }
    if (ends)
        loop_stop(crowd->loop);
    else
        timer_set(loop_timers(crowd->loop), timer, loop_now_ns(crowd->loop) + MS);
}

static void *
crowd_run(void *arg)
{
    static const struct loop_hooks hooks;
    struct crowd *crowd = arg;
    struct error error;
    must(loop_new(&crowd->loop, LOOP_EPOLL, &error) == 0);
    crowd->worker = cache_worker_new(crowd->stage->cache, crowd->loop);
    must(crowd->worker);
    crowd->env.action = (struct req_action){cache_answer, crowd->worker};
    timer_init(&crowd->tick, crowd_tick);
    timer_set(loop_timers(crowd->loop), &crowd->tick, loop_now_ns(crowd->loop) + MS);
    loop_run(crowd->loop, &hooks);
    cache_worker_free(crowd->worker);
    loop_free(crowd->loop);
    return NULL;
}

#define HEAD(status, more) "HTTP/1.1 " status "\r\n" more "\r\n"
#define V1 "ETag: \"v1\"\r\n"

static const struct fake_answer answers[] = {
    {.text = HEAD("200 OK", V1 "Content-Length: 100000\r\n"), .pattern_len = LEN, .step = 20000},
    {.text = HEAD("200 OK", "Content-Length: 100000\r\n"), .pattern_len = LEN},
    {.text = HEAD("200 OK", ""), .pattern_len = LEN, .step = 9000, .end = FAKE_CLOSES},
    {.text = HEAD("200 OK", V1 "Content-Length: 100000\r\n"),
     .pattern_len = 70000,
     .end = FAKE_CLOSES},
    {.text = HEAD("200 OK", "Content-Length: 100000\r\n"),
     .pattern_len = 99999,
     .end = FAKE_RESETS},
    {.text = HEAD("404 No", "Content-Length: 0\r\n")},
    {.text = HEAD("503 No", "Content-Length: 0\r\n")},
    {.text = HEAD("302 No", "Location: /other\r\nContent-Length: 0\r\n")},
    {.text = HEAD("200 OK", V1 "Content-Length: 100000\r\n"), .pattern_len = LEN},
    {.text = HEAD("304 Not Modified", V1)},
    {.text = HEAD("200 OK", "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 100000\r\n"),
     .pattern_len = LEN},
};

static void
much_at_once(void **state)
{
    static struct stage stage;
    static struct fake fake;
    static struct crowd crowds[WORKERS];
    static char base[64];
    struct error error;
    unsigned fds_before = open_fd_count();
    signal(SIGPIPE, SIG_IGN);
    fake_listen(&fake);
    fake.answers = answers;
    fake.answer_count = sizeof answers / sizeof *answers;
    snprintf(base, sizeof base, "http://127.0.0.1:%u", ntohs(fake.addr.sin_port));
    stage_init(&stage);
    assert_int_equal(cidr_list_add(&stage.upstream, STR("127.0.0.1"), &error), 0);
    stage.config.quota = QUOTA;
    stage.config.max_downloads = 4;
    stage.config.purge_token = "x";
    stage.config.negative_ttl_s = 0;
    stage.config.stale_if_error_s = 100;
    stage.config.abandon_after_ns = 100 * MS;
    stage.config.retry_ns = 600 * MS;
    stage.config.connect_timeout_ns = stage.config.first_byte_timeout_ns =
        stage.config.between_bytes_timeout_ns = 300 * MS;
    if (cache_open(&stage.cache, &stage.config, &error) != 0)
        fail_msg("%s", error.text);
    for (unsigned i = 0; i < WORKERS; i++) {
        crowds[i] =
            (struct crowd){.stage = &stage, .env = stage.env, .base = base, .random = i + 1};
    }
    /* each worker has a snapshot of its own to pin */
    static struct site_pin pins[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        crowds[i].env.pin = &pins[i];
        assert_int_equal(pthread_create(&crowds[i].thread, NULL, crowd_run, &crowds[i]), 0);
    }
    struct table_stats stats;
    for (uint64_t until_ns = loop_clock_ns() + RUN_MS * MS; loop_clock_ns() < until_ns;) {
        struct cache_figures figures;
        fake_pump(&fake);
        if (fake.answered == fake.answer_count)
            fake.answered = 0;
        cache_figures(stage.cache, &figures);
        assert_true(figures.used <= QUOTA);
        usleep(100);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        __atomic_store_n(&crowds[i].ends, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(crowds[i].thread, NULL);
        print_message("whole %u, parts %u, broken %u, refused %u\n", crowds[i].whole_count,
                      crowds[i].part_count, crowds[i].broken_count, crowds[i].refused_count);
        assert_true(crowds[i].whole_count && crowds[i].part_count && crowds[i].refused_count);
        assert_int_equal(pins[i].use_count, 0);
    }
    fetcher_stop(stage.cache->fetcher); /* with downloads under way */
    stage.cache->fetcher = NULL;
    table_forget_held(stage.cache->table, INT64_MAX);
    table_stats(stage.cache->table, &stats);
    assert_int_equal(stats.queued_count + stats.running_count, 0);
    assert_int_equal(shell_number(&stage.dir, "find . -name '*.part' | wc -l"), 0);
    assert_int_equal(shell_number(&stage.dir, "find . -mindepth 3 -type f | wc -l"),
                     stats.entry_count);
    assert_int_equal(stats.used, stats.entry_count * LEN);
    cache_close(stage.cache);
    resolver_free(stage.resolver);
    cache_dir_deinit(&stage.dir);
    fake_close(&fake);
    assert_int_equal(open_fd_count(), fds_before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(much_at_once)};
    return cmocka_run_group_tests_name("cache, threads", tests, NULL, NULL);
}
