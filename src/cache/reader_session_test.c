/* Readers behind connections: what a client of HTTP/1 or HTTP/2 sees of a download, and clients
 * that go in the middle of news; on both backends. */
#include "conn/h2_test_run.h"

#include "cache/cache_test_run.h"

#define URL "http://example.com/a"
#define TARGET "/api/v1/fetch?url=" URL

enum { MANY = 60 };

struct setting {
    struct scene *scene;
    struct stage stage;
};

static int
session_setup(void **state)
{
    struct setting *setting = calloc(1, sizeof *setting);
    if (!setting || scene_setup((void **)&setting->scene) != 0)
        return -1;
    stage_init(&setting->stage);
    stage_open(&setting->stage, setting->scene->world);
    setting->scene->env.action = setting->stage.env.action;
    setting->scene->env.now_s = setting->stage.env.now_s;
    *state = setting;
    return 0;
}

static bool
scene_is_over(void *arg)
{
    const struct setting *setting = arg;
    return setting->scene->pool.counters.active == 0;
}

static int
session_teardown(void **state)
{
    struct setting *setting = *state;
    conn_pool_abort(&setting->scene->pool);
    run_until(setting->scene->world, scene_is_over, setting);
    stage_close(&setting->stage);
    int result = scene_teardown((void **)&setting->scene);
    free(setting);
    return result;
}

struct waiting {
    struct setting *setting;
    uint32_t count;
};

static bool
so_many_wait(void *arg)
{
    const struct waiting *waiting = arg;
    struct cache_flight *flight = stage_flight(&waiting->setting->stage, URL);
    uint64_t left_ns;
    uint32_t count = flight ? flight_waiters(flight, &left_ns) : 0;
    flight_unref(flight);
    return count == waiting->count;
}

static void
wait_waiters(struct setting *setting, uint32_t count)
{
    struct waiting waiting = {setting, count};
    run_until(setting->scene->world, so_many_wait, &waiting);
}

/* Waits for exactly these bytes, behind a head, which is thrown away, when there is one. */
static void
assert_comes(struct client *client, const char *wanted)
{
    size_t head = 0;
    if (client->in.len == 0)
        client_wait_for_bytes(client, 1);
    if (str_starts_with(buf_str(&client->in), STR("HTTP/1.1 "))) {
        while ((head = str_find(buf_str(&client->in), STR("\r\n\r\n"))) == client->in.len)
            client_wait_for_bytes(client, client->in.len + 1);
        head += 4;
    }
    client_wait_for_bytes(client, head + strlen(wanted));
    assert_str(str_skip(buf_str(&client->in), head), wanted);
    buf_clear(&client->in);
}

/* --- HTTP/1 --- */

static void
a_download_is_streamed(void **state)
{
    struct setting *setting = *state;
    struct client known, unknown;
    struct growing growing;
    client_open(&known, setting->scene);
    client_get(&known, TARGET);
    wait_waiters(setting, 1);
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 6, NULL);
    grow_text(&growing, "abc");
    assert_comes(&known, "abc");
    grow_text(&growing, "def");
    assert_comes(&known, "de");
    grow_finish(&growing);
    assert_comes(&known, "f");
    client_get(&known, TARGET); /* the connection can be used again */
    assert_next(&known, 200, "abcdef");
    assert_str(client_header(&known, "X-Cache"), "hit");
    client_open(&unknown, setting->scene);
    client_get(&unknown, TARGET "?2");
    client_get(&unknown, TARGET);
    client_run_for(&unknown, 20);
    take_off(&growing, &setting->stage, URL "?2");
    grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
    grow_text(&growing, "abc");
    assert_comes(&unknown, "3\r\nabc");
    grow_text(&growing, "de");
    assert_comes(&unknown, "\r\n2\r\nde");
    grow_finish(&growing);
    client_run_for(&unknown, 20);
    assert_true(str_starts_with(buf_str(&unknown.in), STR("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")));
    client_close(&known);
    client_close(&unknown);
}

static void
a_break_is_never_a_clean_end(void **state)
{
    static const uint64_t lens[] = {10, OBJECT_LEN_UNKNOWN};
    struct setting *setting = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        struct growing growing;
        client_open(&client, setting->scene);
        client_get(&client, TARGET);
        client_get(&client, TARGET);
        wait_waiters(setting, 1);
        take_off(&growing, &setting->stage, URL);
        grow(&growing, lens[i], NULL);
        grow_text(&growing, "abc");
        assert_comes(&client, i ? "3\r\nabc" : "abc");
        grow_break(&growing);
        assert_ended(&client, -ECONNRESET);
        client_close(&client);
        crash(&growing, 502, 0, "no", 0);
    }
    assert_ends(setting->scene, CONN_END_BODY_FAILED, 2);
}

/* A range of what turned out to be shorter: the next answer must not be taken for the rest. */
static void
a_promise_that_cannot_be_kept_is_a_break(void **state)
{
    struct setting *setting = *state;
    struct client first, client;
    struct growing growing;
    client_open(&first, setting->scene);
    client_get(&first, TARGET);
    wait_waiters(setting, 1);
    take_off(&growing, &setting->stage, URL);
    grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
    client_open(&client, setting->scene);
    client_say(&client, "GET " TARGET " HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n"
                        "GET /api/v1/health/ HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_waiters(setting, 2);
    grow_text(&growing, "abc");
    assert_comes(&client, "abc");
    grow_finish(&growing);
    assert_ended(&client, -ECONNRESET);
    client_close(&client);
    client_close(&first);
}

static void
a_head_request_waits_for_the_head_alone(void **state)
{
    struct setting *setting = *state;
    struct client client;
    struct growing growing;
    client_open(&client, setting->scene);
    client_say(&client, "HEAD " TARGET " HTTP/1.1\r\nHost: a\r\n\r\n"
                        "HEAD " TARGET " HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n"
                        "GET " TARGET " HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n");
    wait_waiters(setting, 1);
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 6, "\"v1\"");
    assert_int_equal(client_next(&client, true), 200);
    assert_str(client_header(&client, "Content-Length"), "6");
    assert_str(client_header(&client, "X-Cache"), "miss");
    /* in the same news the next ones come to the same flight */
    assert_int_equal(client_next(&client, true), 304);
    grow_text(&growing, "abc");
    assert_next(&client, 206, "ab");
    assert_str(client_header(&client, "X-Cache"), "stream");
    wait_waiters(setting, 0);
    grow_text(&growing, "def");
    grow_finish(&growing);
    client_close(&client);
}

/* Each answer of the pipeline begins within the news that ended the one before. */
static void
a_failure_answers_a_whole_pipeline(void **state)
{
    struct setting *setting = *state;
    struct client client;
    struct growing growing;
    client_open(&client, setting->scene);
    for (unsigned i = 0; i < 20; i++)
        client_get(&client, TARGET);
    wait_waiters(setting, 1);
    take_off(&growing, &setting->stage, URL);
    crash(&growing, 404, 0, "no", 60);
    for (unsigned i = 0; i < 20; i++)
        assert_next(&client, 404, "404: no\n");
    client_close(&client);
}

/* They are noticed to have gone when the news are sent to them, or while that goes on. */
static void
clients_that_go_change_nothing_for_others(void **state)
{
    struct setting *setting = *state;
    static struct client clients[MANY];
    struct growing growing;
    for (unsigned i = 0; i < MANY; i++) {
        client_open(&clients[i], setting->scene);
        client_get(&clients[i], TARGET);
    }
    wait_waiters(setting, MANY);
    take_off(&growing, &setting->stage, URL);
    for (unsigned i = 0; i < MANY; i++)
        if (i % 5 == 1)
            client_reset(&clients[i]);
    grow(&growing, 6, NULL);
    for (unsigned i = 0; i < MANY; i++)
        if (i % 5 == 2)
            client_reset(&clients[i]);
    grow_text(&growing, "abc");
    wait_waiters(setting, MANY / 5 * 3);
    for (unsigned i = 0; i < MANY; i++)
        if (i % 5 == 3)
            client_reset(&clients[i]);
    grow_text(&growing, "def");
    grow_finish(&growing);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 5 == 0 || i % 5 == 4) {
            assert_next(&clients[i], 200, "abcdef");
            client_close(&clients[i]);
        }
    }
}

static void
a_slow_client_is_waited_for(void **state)
{
    enum { LEN = 4 << 20 };
    struct setting *setting = *state;
    struct client slow;
    struct growing growing;
    char *text = malloc(LEN);
    assert_non_null(text);
    pattern_fill(text, 0, LEN);
    client_open(&slow, setting->scene);
    slow.read_step = 0;
    client_get(&slow, TARGET);
    wait_waiters(setting, 1);
    take_off(&growing, &setting->stage, URL);
    grow(&growing, LEN, NULL);
    for (unsigned i = 0; i < 16; i++) {
        grow_add(&growing, text + i * (LEN / 16), LEN / 16);
        run_for(setting->scene->world, 0);
    }
    grow_finish(&growing);
    run_for(setting->scene->world, 10);
    slow.read_step = 200000;
    assert_int_equal(client_next(&slow, false), 200);
    assert_int_equal(slow.body.len, LEN);
    assert_memory_equal(slow.body.ptr, text, LEN);
    client_close(&slow);
    free(text);
}

/* --- HTTP/2 --- */

static void
streams_share_a_download(void **state)
{
    static struct h2c h2c;
    struct setting *setting = *state;
    struct h2c_stream *streams[MANY];
    struct growing growing;
    h2c_open(&h2c, setting->scene, 1 << 20, false);
    for (unsigned i = 0; i < MANY; i++)
        streams[i] = h2c_get(&h2c, TARGET);
    h2c_run_for(&h2c, 10);
    wait_waiters(setting, MANY);
    take_off(&growing, &setting->stage, URL);
    grow(&growing, 6, NULL);
    grow_text(&growing, "abc");
    h2c_wait_for(&h2c, streams[MANY - 1], 3);
    for (unsigned i = 0; i < MANY; i += 2) /* stream ids are odd */
        nghttp2_submit_rst_stream(h2c.ng, NGHTTP2_FLAG_NONE, (int32_t)(2 * i + 1), NGHTTP2_CANCEL);
    h2c_run_for(&h2c, 10);
    wait_waiters(setting, MANY / 2);
    grow_text(&growing, "def");
    grow_finish(&growing);
    h2c_wait(&h2c);
    for (unsigned i = 1; i < MANY; i += 2)
        assert_answer(streams[i], 200, "abcdef");
    h2c_close(&h2c);
}

/* All of them leave at once, when the first is told. */
static void
a_connection_that_breaks_takes_all_its_streams(void **state)
{
    static struct h2c h2c;
    struct setting *setting = *state;
    for (unsigned round = 0; round < 4; round++) {
        struct growing growing;
        struct client other;
        client_open(&other, setting->scene);
        h2c_open(&h2c, setting->scene, 1 << 20, false);
        for (unsigned i = 0; i < MANY; i++)
            h2c_get(&h2c, TARGET);
        h2c_run_for(&h2c, 10);
        client_get(&other, TARGET);
        wait_waiters(setting, MANY + 1);
        take_off(&growing, &setting->stage, URL);
        if (round % 2) {
            grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
            h2c_run_for(&h2c, 10);
        }
        client_reset(&h2c.client);
        if (round / 2) {
            if (!growing.object)
                grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
            grow_text(&growing, "abc");
            wait_waiters(setting, 1);
            grow_break(&growing);
        } else if (growing.object) {
            grow_break(&growing);
        }
        crash(&growing, 502, 0, "no", 0);
        wait_waiters(setting, 0);
        client_run_for(&other, 10);
        client_close(&other);
        h2c_close(&h2c);
    }
}

static void
a_break_resets_the_stream(void **state)
{
    static struct h2c h2c;
    struct setting *setting = *state;
    struct growing growing;
    h2c_open(&h2c, setting->scene, 1 << 20, false);
    struct h2c_stream *stream = h2c_get(&h2c, TARGET);
    struct h2c_stream *range = h2c_request(&h2c, "GET", TARGET, "range=bytes=0-9", NO_UPLOAD);
    h2c_run_for(&h2c, 10);
    take_off(&growing, &setting->stage, URL);
    grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
    grow_text(&growing, "abc");
    h2c_wait_for(&h2c, stream, 3);
    h2c_wait_for(&h2c, range, 3);
    grow_break(&growing);
    h2c_wait(&h2c);
    assert_int_not_equal(stream->code, NGHTTP2_NO_ERROR);
    assert_int_not_equal(range->code, NGHTTP2_NO_ERROR);
    struct h2c_stream *shorter = h2c_request(&h2c, "GET", TARGET, "range=bytes=0-9", NO_UPLOAD);
    h2c_run_for(&h2c, 10);
    grow(&growing, OBJECT_LEN_UNKNOWN, NULL);
    grow_text(&growing, "abc");
    h2c_wait_for(&h2c, shorter, 3);
    grow_finish(&growing);
    h2c_wait(&h2c);
    assert_int_not_equal(shorter->code, NGHTTP2_NO_ERROR);
    h2c_close(&h2c);
}

#define session_test(test) cmocka_unit_test_setup_teardown(test, session_setup, session_teardown)

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        session_test(a_download_is_streamed),
        session_test(a_break_is_never_a_clean_end),
        session_test(a_promise_that_cannot_be_kept_is_a_break),
        session_test(a_head_request_waits_for_the_head_alone),
        session_test(a_failure_answers_a_whole_pipeline),
        session_test(clients_that_go_change_nothing_for_others),
        session_test(a_slow_client_is_waited_for),
        session_test(streams_share_a_download),
        session_test(a_connection_that_breaks_takes_all_its_streams),
        session_test(a_break_resets_the_stream),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("reader and session", run_group);
}
