/* zs_fetch, with an upstream that says what a test tells it. Waiting is done here: the loop turns
 * until the helper may go on. */
#define scene net /* both headers have one */
#include "proxy/proxy_test_run.h"
#undef scene

#include "base/log.h"
#include "script/helpers.h"
#include "script/scene_test_run.h"
#include "script/wait.h"

enum { REQUEST_MAX = 128 << 10, LOG_MAX = 1 << 16 };

#define MINUS_1 ((uint64_t)-1)

struct rig {
    struct net *net; /* the upstream and its pool */
    struct scene *scene;
    struct buf log, text;
    bool wait_is_done;
    unsigned wait_count;
};

static struct rig *rig_here;

void
script_wait(struct script_frame *frame, struct script_wait *wait)
{
    must(!frame->task->wait);
    frame->task->wait = wait;
    rig_here->wait_is_done = false;
    rig_here->wait_count++;
    bpf_wait(frame->run);
    frame->task->wait = NULL;
}

void
script_wait_done(struct script_task *task)
{
    rig_here->wait_is_done = true;
}

static void
take_log(void *arg, struct str line)
{
    struct rig *rig = arg;
    buf_append(&rig->log, line);
}

static int
setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    if (!rig || scene_setup((void **)&rig->net) != 0)
        return -1;
    rig->scene = scene_new();
    rig->scene->worker.loop = rig->net->world->loop;
    rig->scene->worker.upstream = scene_pool(rig->net);
    buf_init(&rig->log, LOG_MAX);
    buf_init(&rig->text, 4 << 20);
    log_set_sink(take_log, rig);
    rig_here = rig;
    *state = rig;
    return 0;
}

static int
teardown(void **state)
{
    struct rig *rig = *state;
    log_set_sink(NULL, NULL);
    assert_int_equal(rig->scene->worker.fetch_count, 0);
    assert_null(rig->scene->task.wait);
    script_json_deinit(&rig->scene->frame.json);
    scene_free(rig->scene);
    buf_deinit(&rig->log);
    buf_deinit(&rig->text);
    int result = scene_teardown((void **)&rig->net);
    free(rig);
    return result;
}

/* --- calls --- */

static bool
wait_is_over(void *arg)
{
    struct rig *rig = arg;
    scene_pump(rig->net);
    return rig->wait_is_done;
}

static void
turn_loop(struct scene *scene)
{
    (void)scene;
    run_until(rig_here->net->world, wait_is_over, rig_here);
}

/* The helper with a request in which "$" is the upstream's address. */
static uint64_t
call(struct rig *rig, void (*go_on)(struct scene *scene), const char *request)
{
    char *at = rig->scene->memory;
    for (; *request; request++)
        if (*request == '$')
            at += sprintf(at, "http://127.0.0.1:%u", ntohs(rig->net->fake.addr.sin_port));
        else
            *at++ = *request;
    size_t len = (size_t)(at - rig->scene->memory);
    must(len < REQUEST_MAX);
    return scene_call(rig->scene, zs_fetch, (const uint64_t[]){scene_at(0), len, 0, 0, 0}, go_on);
}

static uint64_t
fetch(struct rig *rig, const char *request)
{
    buf_clear(&rig->log);
    buf_clear(&rig->net->fake.seen);
    return call(rig, turn_loop, request);
}

static const char *
text_of(struct rig *rig, uint64_t handle)
{
    buf_clear(&rig->text);
    script_json_write(&rig->scene->frame, handle, &rig->text);
    buf_append_char(&rig->text, '\0');
    return rig->text.ptr;
}

static void
give_back(struct rig *rig)
{
    script_json_deinit(&rig->scene->frame.json);
    rig->scene->frame.json = (struct script_json){0};
    rig->scene->frame.footprint = 0;
}

#define assert_response(rig, request, text)                                        \
    do {                                                                           \
        uint64_t handle_ = fetch((rig), (request));                                \
        if ((rig)->scene->trapped || (int64_t)handle_ < 1)                         \
            fail_msg("%lld, '%s', '%.*s'", (long long)handle_, (rig)->scene->trap, \
                     STR_ARG(buf_str(&(rig)->log)));                               \
        assert_string_equal(text_of((rig), handle_), (text));                      \
        assert_int_equal((rig)->log.len, 0);                                       \
        give_back(rig);                                                            \
    } while (0)

static bool
has_logged(const struct rig *rig, const char *text)
{
    return str_find(buf_str(&rig->log), str_from_cstr(text)) < rig->log.len;
}

#define assert_fails(rig, request, why)                                                            \
    do {                                                                                           \
        uint64_t handle_ = fetch((rig), (request));                                                \
        if ((rig)->scene->trapped || handle_ != MINUS_1 || !has_logged((rig), (why)))              \
            fail_msg("%lld, '%s', '%.*s' instead of '%s'", (long long)handle_, (rig)->scene->trap, \
                     STR_ARG(buf_str(&(rig)->log)), (why));                                        \
        assert_int_equal((rig)->scene->frame.footprint, 0);                                        \
    } while (0)

/* --- requests and responses --- */

static void
test_get(void **state)
{
    struct rig *rig = *state;
    char wanted[200];
    script(
        &rig->net->fake,
        {.text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"});
    assert_response(rig, "{\"url\":\"$/a?b=c#d\"}",
                    "{\"body\":\"hello\",\"headers\":{\"content-length\":\"5\",\"content-type\":"
                    "\"text/plain\"},\"status\":200}");
    snprintf(wanted, sizeof wanted,
             "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: tarn/0.1.0\r\n\r\n",
             ntohs(rig->net->fake.addr.sin_port));
    assert_text(buf_str(&rig->net->fake.seen), wanted);
}

static void
test_what_is_sent(void **state)
{
    struct rig *rig = *state;
    rig->net->fake.repeats = true;
    script(&rig->net->fake, {.text = "HTTP/1.1 204 No Content\r\n\r\n"});
    assert_response(rig,
                    "{\"url\":\"$\",\"method\":\"PUT\",\"headers\":{\"Host\":\"b.example\","
                    "\"X-A\":\"1\",\"User-Agent\":\"me\"},\"body\":\"\\u00e4\\n\"}",
                    "{\"body\":\"\",\"headers\":{},\"status\":204}");
    assert_text(buf_str(&rig->net->fake.seen),
                "PUT / HTTP/1.1\r\nHost: b.example\r\nX-A: 1\r\nUser-Agent: me\r\n"
                "Content-Length: 3\r\n\r\n\xc3\xa4\n");
    assert_response(rig, "{\"url\":\"$\",\"method\":\"POST\",\"body_base64\":\"AP8=\"}",
                    "{\"body\":\"\",\"headers\":{},\"status\":204}");
    assert_true(
        str_ends_with(buf_str(&rig->net->fake.seen), STR("\r\nContent-Length: 2\r\n\r\n\0\xff")));
    assert_response(rig, "{\"url\":\"$\",\"method\":\"POST\"}",
                    "{\"body\":\"\",\"headers\":{},\"status\":204}");
    assert_seen(&rig->net->fake, "\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(rig->net->fake.conn_count, 1); /* kept */
}

static void
test_a_large_request_body(void **state)
{
    struct rig *rig = *state;
    static char request[100 << 10];
    script(&rig->net->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"});
    size_t len = (size_t)sprintf(request, "{\"url\":\"$\",\"body\":\"");
    memset(request + len, 'x', 90000);
    strcpy(request + len + 90000, "\"}");
    assert_response(rig, request,
                    "{\"body\":\"\",\"headers\":{\"content-length\":\"0\"},\"status\":200}");
    assert_seen(&rig->net->fake, "\r\nContent-Length: 90000\r\n\r\nxxx");
}

static void
test_headers(void **state)
{
    struct rig *rig = *state;
    script(&rig->net->fake,
           {.text = "HTTP/1.1 404 Not Found\r\nX-B: 1\r\nSet-Cookie: a=1\r\nx-b:  2 \r\n"
                    "A: \"\\\"\t\r\nset-cookie: b=\"2\"\r\nX-B:\r\nLatin: \xe4\r\n"
                    "Utf: \xc3\xa4\r\nContent-Length: 0\r\n\r\n"});
    assert_response(rig, "{\"url\":\"$\"}",
                    "{\"body\":\"\",\"headers\":{\"a\":\"\\\"\\\\\\\"\",\"content-length\":\"0\","
                    "\"latin\":\"\xc3\xa4\",\"set-cookie\":\"a=1, b=\\\"2\\\"\","
                    "\"utf\":\"\xc3\xa4\",\"x-b\":\"1, 2, \"},\"status\":404}");
}

static void
test_bodies(void **state)
{
    static const struct {
        const char *text, *body;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
         "\"body\":\"abc\""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"\\\n\x7f", "\"body\":\"\\\"\\\\\\n\x7f\""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xc3\xa4", "\"body\":\"\xc3\xa4\""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xc3\xc3", "\"body_base64\":\"w8M=\""},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
         "\"body\":\"x\""},
        {"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
         "\"location\":\"/elsewhere\"},\"status\":302"},
        {"HTTP/1.1 200 OK\r\n\r\nto the end", "\"body\":\"to the end\""},
    };
    struct rig *rig = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_last = i == sizeof cases / sizeof *cases - 1;
        struct fake_answer answer = {.text = cases[i].text,
                                     .end = is_last ? FAKE_CLOSES : FAKE_STAYS};
        rig->net->fake.answers = &answer;
        rig->net->fake.answer_count = 1;
        rig->net->fake.answered = 0;
        uint64_t handle = fetch(rig, "{\"url\":\"$\"}");
        assert_in_range(handle, 1, 100);
        if (!strstr(text_of(rig, handle), cases[i].body))
            fail_msg("'%s' instead of '%s'", rig->text.ptr, cases[i].body);
        rig->net->fake.answer_count = 0;
    }
}

static void
test_nul_and_control_characters(void **state)
{
    struct rig *rig = *state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\0\x01x";
    script(&rig->net->fake, {.text = text, .len = sizeof text - 1});
    assert_response(rig, "{\"url\":\"$\"}",
                    "{\"body\":\"\\u0000\\u0001x\",\"headers\":{\"content-length\":\"3\"},"
                    "\"status\":200}");
}

static void
test_byte_by_byte(void **state)
{
    struct rig *rig = *state;
    script(&rig->net->fake,
           {.text = "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello", .step = 1});
    assert_response(rig, "{\"url\":\"$\"}",
                    "{\"body\":\"hello\",\"headers\":{\"content-length\":\"5\",\"x\":\"y\"},"
                    "\"status\":200}");
    assert_int_equal(rig->wait_count, 1);
}

static void
test_head(void **state)
{
    struct rig *rig = *state;
    script(&rig->net->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"});
    assert_response(rig, "{\"url\":\"$\",\"method\":\"HEAD\"}",
                    "{\"body\":\"\",\"headers\":{\"content-length\":\"99999999\"},\"status\":200}");
}

/* --- what goes wrong --- */

static void
test_requests_that_are_not_sent(void **state)
{
    struct rig *rig = *state;
    static char request[100 << 10];
    assert_fails(rig, "{\"url\":\"$\",\"retries\":3}", "zs_fetch: unknown member \"retries\"");
    assert_fails(rig, "", "zs_fetch: the request is no JSON object");
    assert_fails(rig, "{\"url\":\"file:///etc/passwd\"}", "zs_fetch: url: no http or https URL");
    size_t len = (size_t)sprintf(request, "{\"url\":\"$\",\"headers\":{\"a\":\"");
    memset(request + len, 'x', EXCHANGE_HEAD_MAX);
    strcpy(request + len + EXCHANGE_HEAD_MAX, "\"}}");
    assert_fails(rig, request, "zs_fetch: no memory, or more than 64 KiB of headers");
    rig->scene->worker.fetch_count = SCRIPT_FETCHES_MAX;
    assert_fails(rig, "{\"url\":\"$\"}", "zs_fetch: too many at a time");
    rig->scene->worker.fetch_count = 0;
    rig->scene->worker.upstream = NULL;
    assert_fails(rig, "{\"url\":\"$\"}", "zs_fetch: there is no client for other servers here");
    assert_int_equal(rig->net->fake.conn_count, 0);
    assert_int_equal(rig->wait_count, 0);
}

static void
test_failures(void **state)
{
    static const struct {
        struct fake_answer answer;
        const char *why;
    } cases[] = {
        {{.text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", .end = FAKE_CLOSES},
         "connection closed after 5 bytes of the body"},
        {{.text = "HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n"}, "malformed response"},
        {{.silent = true, .end = FAKE_CLOSES}, "before an answer"},
        {{.text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
          .end = FAKE_RESETS},
         "after 2 bytes of the body"},
    };
    struct rig *rig = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig->net->fake.answers = &cases[i].answer;
        rig->net->fake.answer_count = 1;
        rig->net->fake.answered = 0;
        assert_fails(rig, "{\"url\":\"$\",\"method\":\"POST\"}", cases[i].why);
        assert_true(has_logged(rig, "zs_fetch: 127.0.0.1:"));
        rig->net->fake.answer_count = 0;
    }
    fake_stop_listening(&rig->net->fake);
    assert_fails(rig, "{\"url\":\"$\"}", "refused");
}

static void
test_timeout(void **state)
{
    struct rig *rig = *state;
    script(&rig->net->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"});
    assert_fails(rig, "{\"url\":\"$\",\"timeout_ms\":30}",
                 "zs_fetch: no whole response from 127.0.0.1 within 30 ms");
    rig->net->fake.answer_count = 0; /* says nothing at all */
    assert_fails(rig, "{\"url\":\"$\",\"timeout_ms\":30}",
                 "zs_fetch: no whole response from 127.0.0.1 within 30 ms");
}

static void
test_max_body(void **state)
{
    struct rig *rig = *state;
    rig->net->fake.repeats = true;
    for (unsigned chunked = 0; chunked < 2; chunked++) {
        const struct fake_answer answer = {
            .text = chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
                            : "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"};
        rig->net->fake.answers = &answer;
        rig->net->fake.answer_count = 1;
        assert_in_range(fetch(rig, "{\"url\":\"$\",\"max_body\":5}"), 1, 100);
        give_back(rig);
        assert_fails(rig, "{\"url\":\"$\",\"max_body\":4}",
                     "zs_fetch: the response's body has more than 4 bytes (max_body)");
        assert_fails(rig, "{\"url\":\"$\",\"max_body\":0}",
                     "zs_fetch: the response's body has more than 0 bytes (max_body)");
        rig->net->fake.answer_count = 0;
    }
}

static void
test_memory_of_the_response(void **state)
{
    static const struct {
        struct fake_answer answer;
        bool fits;
    } cases[] = {
        {{.text = "HTTP/1.1 200 OK\r\nContent-Length: 8000\r\n\r\n", .pattern_len = 8000}, true},
        {{.text = "HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n", .pattern_len = 30000}, false},
        {{.text = "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", .pattern_len = 1}, false},
        {{.text = "HTTP/1.1 200 OK\r\n\r\n", .pattern_len = 30000, .end = FAKE_CLOSES}, false},
        {{.text = "HTTP/1.1 200 OK\r\nContent-Length: 24600\r\n\r\n", .pattern_len = 24600}, false},
    };
    struct rig *rig = *state;
    rig->scene->shared.config.footprint_max = 32 << 10;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig->net->fake.answers = &cases[i].answer;
        rig->net->fake.answer_count = 1;
        rig->net->fake.answered = 0;
        if (cases[i].fits)
            assert_in_range(fetch(rig, "{\"url\":\"$\"}"), 1, 100);
        else /* the last one as base64 */
            assert_fails(rig, "{\"url\":\"$\"}",
                         "zs_fetch: the response needs more memory than is left (--max-request-");
        give_back(rig);
        rig->net->fake.answer_count = 0;
    }
}

static void
test_memory_of_the_request(void **state)
{
    struct rig *rig = *state;
    static char request[REQUEST_MAX];
    size_t len = (size_t)sprintf(request, "{\"url\":\"$\",\"body\":\"");
    memset(request + len, 'x', 40000);
    strcpy(request + len + 40000, "\"}");
    rig->scene->shared.config.footprint_max = 40000;
    fetch(rig, request);
    assert_true(rig->scene->trapped);
    assert_non_null(strstr(rig->scene->trap, "need more than 39 KiB"));
    assert_int_equal(rig->net->fake.conn_count, 0);
}

static void
test_many_headers(void **state)
{
    struct rig *rig = *state;
    script(&rig->net->fake,
           {.text =
                "HTTP/1.1 200 OK\r\nh:1\r\nb:2\r\nh:3\r\nA:4\r\nh:5\r\nb:6\r\nB:7\r\na:8\r\nc:9\r\n"
                "b:10\r\nContent-Length: 0\r\n\r\n"});
    assert_response(rig, "{\"url\":\"$\"}",
                    "{\"body\":\"\",\"headers\":{\"a\":\"4, 8\",\"b\":\"2, 6, 7, 10\",\"c\":\"9\","
                    "\"content-length\":\"0\",\"h\":\"1, 3, 5\"},\"status\":200}");
}

/* --- traps --- */

static void
test_traps(void **state)
{
    struct rig *rig = *state;
    struct scene *scene = rig->scene;
    scene_call(scene, zs_fetch, (const uint64_t[]){0x1000, 10, 0, 0, 0}, turn_loop);
    assert_true(scene->trapped);
    assert_non_null(strstr(scene->trap, "read of 10 bytes"));
    scene_call(scene, zs_fetch, (const uint64_t[]){scene_at(0), UINT64_MAX, 0, 0, 0}, turn_loop);
    assert_true(scene->trapped);
    fetch(rig, "{\"url\":\"\xff\"}");
    assert_true(scene->trapped);
    assert_string_equal(scene->trap, "zs_fetch: the request is not UTF-8");
    fetch(rig, "");
    assert_false(scene->trapped);
    scene->frame.json.live_count = SCRIPT_HANDLES_MAX;
    fetch(rig, "{\"url\":\"$\"}");
    assert_true(scene->trapped);
    assert_non_null(strstr(scene->trap, "zs_fetch: more than 32 handles"));
    scene->frame.json.live_count = 0;
}

/* --- the script does not go on --- */

static void
cancel_after(struct rig *rig, unsigned ms, const char *request)
{
    call(rig, NULL, request);
    struct script_wait *wait = rig->scene->task.wait;
    assert_non_null(wait);
    assert_int_equal(rig->scene->worker.fetch_count, 1);
    if (ms)
        scene_run_for(rig->net, ms);
    rig->scene->task.wait = NULL;
    wait->cancel(wait);
    assert_int_equal(rig->scene->worker.fetch_count, 0);
    give_back(rig);
}

static void
test_cancel(void **state)
{
    struct rig *rig = *state;
    rig->net->fake.repeats = true;
    script(&rig->net->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"});
    cancel_after(rig, 0, "{\"url\":\"$\"}");  /* nothing has begun */
    cancel_after(rig, 30, "{\"url\":\"$\"}"); /* all is there */
    assert_true(rig->wait_is_done);
    script(&rig->net->fake, {.text = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"});
    cancel_after(rig, 30, "{\"url\":\"$\",\"method\":\"POST\",\"body\":\"b\"}"); /* in the body */
    rig->net->fake.answer_count = 0;
    cancel_after(rig, 30, "{\"url\":\"$\"}");                   /* before the head */
    cancel_after(rig, 30, "{\"url\":\"$\",\"timeout_ms\":10}"); /* it has timed out */
    cancel_after(rig, 30, "{\"url\":\"$\",\"max_body\":1}");
}

static int
run_group(const char *name)
{
#define with_rig(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        with_rig(test_get),
        with_rig(test_what_is_sent),
        with_rig(test_a_large_request_body),
        with_rig(test_headers),
        with_rig(test_bodies),
        with_rig(test_nul_and_control_characters),
        with_rig(test_byte_by_byte),
        with_rig(test_head),
        with_rig(test_requests_that_are_not_sent),
        with_rig(test_failures),
        with_rig(test_timeout),
        with_rig(test_max_body),
        with_rig(test_memory_of_the_response),
        with_rig(test_memory_of_the_request),
        with_rig(test_many_headers),
        with_rig(test_traps),
        with_rig(test_cancel),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("helper_fetch", run_group);
}
