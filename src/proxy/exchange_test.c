/* Exchanges: requests as they are sent; responses in all their framings, cut and damaged. */
#include "proxy/proxy_test_run.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* --- requests --- */

static void
test_get(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    char wanted[128];
    script(&scene->fake,
           {.text = "HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: 5\r\n\r\nhello"});
    owner_run(&owner, scene, "GET", "/a?b=c");
    assert_answer(&owner, 200, "hello");
    assert_string_equal(owner.field, "yes");
    snprintf(wanted, sizeof wanted, "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
             ntohs(scene->fake.addr.sin_port));
    assert_text(buf_str(&scene->fake.seen), wanted);
    owner_deinit(&owner);
}

static void
test_fields_and_host(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    const struct exchange_field fields[] = {
        {STR("User-Agent"), STR("tarn/1")},
        {STR("Accept-Encoding"), STR("identity")},
        {STR("X-Empty"), STR("")},
    };
    script(&scene->fake, {.text = OK_5});
    owner_init(&owner, scene, "GET", "");
    owner.request.host = STR("example.org");
    owner.request.fields = fields;
    owner.request.field_count = 3;
    owner_start(&owner);
    owner_wait(&owner);
    assert_answer(&owner, 200, "hello");
    assert_text(buf_str(&scene->fake.seen),
                "GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: tarn/1\r\n"
                "Accept-Encoding: identity\r\nX-Empty: \r\n\r\n");
    owner_deinit(&owner);
}

static void
test_methods_that_say_that_there_is_no_body(void **state)
{
    static const struct {
        const char *method;
        bool says;
    } cases[] = {{"GET", false},    {"POST", true}, {"PUT", true},     {"PATCH", true},
                 {"DELETE", false}, {"FOO", false}, {"OPTIONS", false}};
    struct scene *scene = *state;
    scene->fake.repeats = true;
    script(&scene->fake, {.text = OK_5});
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct owner owner;
        buf_clear(&scene->fake.seen);
        owner_run(&owner, scene, cases[i].method, "/");
        assert_answer(&owner, 200, "hello");
        assert_int_equal(fake_has_seen(&scene->fake, "\r\nContent-Length: 0\r\n"), cases[i].says);
        owner_deinit(&owner);
    }
}

static void
test_requests_that_cannot_be_sent(void **state)
{
    static char large[EXCHANGE_HEAD_MAX];
    memset(large, 'x', sizeof large);
    const struct exchange_field fields[] = {
        {STR("X-Bad"), STR("a\nb")},
        {STR("X-Bad"), STR("a\rb")},
        {STR("X Bad"), STR("a")},
        {STR(""), STR("a")},
        {STR("Host"), STR("a")},
        {STR("content-length"), STR("3")},
        {STR("Transfer-Encoding"), STR("chunked")},
        {STR("X-Large"), {large, sizeof large}},
    };
    struct scene *scene = *state;
    struct owner owner;
    owner_init(&owner, scene, "GET", "/");
    assert_true(url_parse(str_from_cstr(owner.url), &owner.request.url));
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        owner.request.fields = &fields[i];
        owner.request.field_count = 1;
        assert_null(exchange_start(scene_pool(scene), &owner.request, &owner_ops, &owner));
    }
    owner.request.field_count = 0;
    owner.request.method = STR("CONNECT");
    assert_null(exchange_start(scene_pool(scene), &owner.request, &owner_ops, &owner));
    owner.request.method = STR("G T");
    assert_null(exchange_start(scene_pool(scene), &owner.request, &owner_ops, &owner));
    owner.request.method = STR("GET");
    owner.request.host = STR("a b");
    assert_null(exchange_start(scene_pool(scene), &owner.request, &owner_ops, &owner));
    scene_run_for(scene, 20);
    assert_int_equal(scene->pool->exchange_count, 0);
    assert_int_equal(scene->fake.conn_count, 0);
    assert_int_equal(owner.over_count, 0);
}

/* --- responses, whole, in pieces and cut --- */

struct sample {
    const char *method, *text;
    unsigned status;
    const char *body;
    bool closes; /* the upstream's end is the end of the body */
    bool keeps;  /* the connection can be used again */
};

static const struct sample samples[] = {
    {"GET", OK_5, 200, "hello", false, true},
    {"GET", "HTTP/1.1 404 Not Found\r\nX-Test: a\r\ncontent-length:  3 \r\n\r\nno\n", 404, "no\n",
     false, true},
    {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", false, true},
    {"GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n",
     200, "abc0123456789", false, true},
    {"GET", "HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", true, false},
    {"GET", "HTTP/1.0 200 OK\r\n\r\nold", 200, "old", true, false},
    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", 200, "old", false, false},
    {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold", 200, "old",
     false, true},
    {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nnow", 200, "now",
     false, false},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 200, "", false, true},
    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", false, true},
    {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, "", false, true},
    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, true},
    {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", 304, "", false, true},
    {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" OK_5, 200,
     "hello", false, true},
};

enum { SAMPLE_COUNT = sizeof samples / sizeof *samples };

static void
run_sample(struct scene *scene, const struct sample *sample, size_t len, size_t step,
           enum fake_end end, struct owner *owner)
{
    const struct fake_answer answer = {.text = sample->text, .len = len, .step = step, .end = end};
    scene->fake.answers = &answer;
    scene->fake.answer_count = 1;
    scene->fake.answered = 0;
    owner_run(owner, scene, sample->method, "/");
}

static void
run_samples(struct scene *scene, size_t step)
{
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        const struct sample *sample = &samples[i];
        struct owner owner;
        run_sample(scene, sample, strlen(sample->text), step,
                   sample->closes ? FAKE_CLOSES : FAKE_STAYS, &owner);
        assert_answer(&owner, sample->status, sample->body);
        assert_int_equal(upstream_pool_idle_count(scene->pool), sample->keeps);
        owner_deinit(&owner);
        /* Each sample has a connection of its own. */
        upstream_pool_close(scene->pool);
        scene->pool->closing = false;
    }
}

static void
test_responses_whole(void **state)
{
    run_samples(*state, 0);
}

static void
test_responses_byte_by_byte(void **state)
{
    run_samples(*state, 1);
}

static void
test_responses_in_pieces(void **state)
{
    run_samples(*state, 7);
    run_samples(*state, 30);
}

/* Length of the response's last head. */
static size_t
head_len_of(const struct sample *sample)
{
    const char *last = strstr(sample->text, "HTTP/1.1 200 OK");
    const char *from = last ? last : sample->text;
    return (size_t)(strstr(from, "\r\n\r\n") + 4 - sample->text);
}

/* What ends early never looks whole, and what has come of it is right. */
static void
check_cut(const struct sample *sample, size_t cut, bool reset, const struct owner *owner)
{
    size_t head_len = head_len_of(sample);
    struct str body = str_from_cstr(sample->body);
    assert_true(str_starts_with(body, buf_str(&owner->data)));
    assert_int_equal(owner->head_count, cut >= head_len);
    if (cut < head_len) {
        assert_result(owner, CLOSED, cut ? "in the middle of" : "before an answer");
    } else if (sample->closes && !reset) {
        assert_result(owner, DONE, "");
    } else {
        assert_result(owner, BROKEN, " bytes of the body");
    }
}

static void
cut_samples(struct scene *scene, enum fake_end end)
{
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        const struct sample *sample = &samples[i];
        if (i == SAMPLE_COUNT - 1)
            continue; /* interim ones end in "before an answer" too */
        /* Without the end behind a whole one: that of a body to the end is the cut itself. */
        size_t len = strlen(sample->text) - (sample->closes ? 0 : 1);
        for (size_t cut = 1; cut <= len; cut++) {
            struct owner owner;
            run_sample(scene, sample, cut, 0, end, &owner);
            check_cut(sample, cut, end == FAKE_RESETS, &owner);
            assert_int_equal(upstream_pool_idle_count(scene->pool), 0);
            owner_deinit(&owner);
        }
        fake_close(&scene->fake);
        scene->fake.conn_count = 0;
        fake_listen(&scene->fake);
    }
}

static void
test_responses_cut_everywhere(void **state)
{
    cut_samples(*state, FAKE_CLOSES);
}

/* A reset may overtake what was said before it, so only the end is certain. */
static void
test_responses_reset_everywhere(void **state)
{
    struct scene *scene = *state;
    const struct sample *sample = &samples[4];
    for (size_t cut = 1; cut <= strlen(sample->text); cut++) {
        struct owner owner;
        run_sample(scene, sample, cut, 0, FAKE_RESETS, &owner);
        assert_int_equal(owner.over_count, 1);
        assert_true(owner.result == EXCHANGE_CLOSED || owner.result == EXCHANGE_BROKEN);
        owner_deinit(&owner);
    }
}

/* --- interim responses --- */

static void
test_interim_responses_are_told(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = "HTTP/1.1 100 Continue\r\n\r\n"
                                  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK_5});
    owner_run(&owner, scene, "GET", "/");
    assert_answer(&owner, 200, "hello");
    assert_int_equal(owner.interim_count, 2);
    assert_int_equal(owner.interim_status, 103);
    owner_deinit(&owner);
}

static void
run_interims(struct scene *scene, unsigned count, struct owner *owner)
{
    static char text[EXCHANGE_INTERIM_MAX * 32 + 256];
    text[0] = '\0';
    for (unsigned i = 0; i < count; i++)
        strcat(text, "HTTP/1.1 102 Processing\r\n\r\n");
    strcat(text, OK_5);
    script(&scene->fake, {.text = text});
    owner_run(owner, scene, "GET", "/");
}

static void
test_interim_responses_are_bounded(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    run_interims(scene, EXCHANGE_INTERIM_MAX, &owner);
    assert_answer(&owner, 200, "hello");
    assert_int_equal(owner.interim_count, EXCHANGE_INTERIM_MAX);
    owner_deinit(&owner);
    run_interims(scene, EXCHANGE_INTERIM_MAX + 1, &owner);
    assert_result(&owner, MALFORMED, "too many interim responses");
    assert_int_equal(owner.head_count, 0);
    owner_deinit(&owner);
}

static void
test_change_of_protocol_is_refused(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                                  "Connection: upgrade\r\n\r\nsomething"});
    owner_run(&owner, scene, "GET", "/");
    assert_result(&owner, MALFORMED, "another protocol");
    assert_int_equal(owner.head_count + owner.interim_count, 0);
    owner_deinit(&owner);
}

/* --- damaged responses --- */

static void
test_malformed_responses(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"garbage\r\n\r\n", "status line"},
        {"\x16\x03\x01\x02", "status line"},
        {"HTTP/2 200 OK\r\n\r\n", "malformed"},
        {"HTTP/1.1 20 OK\r\n\r\n", "malformed status code"},
        {"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "malformed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "Content-Length together with Transfer-Encoding"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding"},
        {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "white space before the colon"},
        {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "folded"},
        {"HTTP/1.1 200 OK\r\nA\r\n\r\n", "header name"},
    };
    struct scene *scene = *state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 0; step < 2; step++) {
            struct owner owner;
            const struct sample sample = {.method = "GET", .text = cases[i].text};
            run_sample(scene, &sample, strlen(sample.text), step, FAKE_STAYS, &owner);
            assert_result(&owner, MALFORMED, cases[i].reason);
            assert_true(strncmp(owner.reason, "127.0.0.1:", 10) == 0);
            assert_int_equal(owner.head_count, 0);
            assert_int_equal(upstream_pool_idle_count(scene->pool), 0);
            owner_deinit(&owner);
        }
}

static void
test_malformed_chunks(void **state)
{
    static const char *const bodies[] = {
        "3\r\nabcX",         "3\nabc\r\n0\r\n\r\n",   "-1\r\n",
        "3\r\nabc0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\n", "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n"};
    struct scene *scene = *state;
    for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct owner owner;
        char text[256];
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s",
                 bodies[i]);
        const struct sample sample = {.method = "GET", .text = text};
        run_sample(scene, &sample, strlen(text), i % 2, FAKE_STAYS, &owner);
        assert_result(&owner, MALFORMED, "malformed chunk after ");
        assert_int_equal(owner.head_count, 1);
        owner_deinit(&owner);
    }
}

/* A head of `len` bytes, with a short body behind it. */
static void
run_head_of(struct scene *scene, size_t len, size_t step, struct owner *owner)
{
    static char text[2 * TEST_HEAD_MAX];
    const char *start = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: ";
    size_t at = strlen(start);
    assert_true(len + 6 < sizeof text);
    memset(text, 0, sizeof text);
    memcpy(text, start, at);
    memset(text + at, 'x', len - 4 - at);
    memcpy(text + len - 4, "\r\n\r\nhello", 9);
    const struct sample sample = {.method = "GET", .text = text};
    run_sample(scene, &sample, len + 5, step, FAKE_STAYS, owner);
}

static void
test_large_heads(void **state)
{
    struct scene *scene = *state;
    for (size_t step = 0; step < 500; step += 163) {
        struct owner owner;
        run_head_of(scene, TEST_HEAD_MAX, step, &owner);
        assert_answer(&owner, 200, "hello");
        owner_deinit(&owner);
        run_head_of(scene, TEST_HEAD_MAX + 1, step, &owner);
        assert_result(&owner, MALFORMED, "header too large");
        owner_deinit(&owner);
    }
}

static void
test_too_many_fields(void **state)
{
    struct scene *scene = *state;
    for (unsigned count = FIELDS_MAX - 1; count <= FIELDS_MAX; count++) {
        struct owner owner;
        char text[512] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
        for (unsigned i = 0; i < count; i++)
            strcat(text, "A: b\r\n");
        strcat(text, "\r\n");
        const struct sample sample = {.method = "GET", .text = text};
        run_sample(scene, &sample, strlen(text), 0, FAKE_STAYS, &owner);
        if (count == FIELDS_MAX)
            assert_result(&owner, MALFORMED, "too many header lines");
        else
            assert_answer(&owner, 200, "");
        owner_deinit(&owner);
    }
}

static void
test_bytes_behind_the_response(void **state)
{
    static const char *const texts[] = {
        OK_5 "x", OK_5 OK_5, "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"};
    struct scene *scene = *state;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct owner owner;
        const struct sample sample = {.method = "GET", .text = texts[i]};
        run_sample(scene, &sample, strlen(texts[i]), 0, FAKE_STAYS, &owner);
        assert_result(&owner, DONE, "");
        wait_for(scene, upstream_pool_idle_count(scene->pool) == 0);
        assert_int_equal(scene->fake.conn_count, i + 1);
        owner_deinit(&owner);
    }
}

/* Those that come later find the connection idle, and end it. */
static void
test_bytes_to_an_idle_connection(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake, {.text = OK_5});
    owner_run(&owner, scene, "GET", "/");
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
    assert_int_equal(send(scene->fake.conns[0].fd, OK_5, strlen(OK_5), MSG_NOSIGNAL), strlen(OK_5));
    wait_for(scene, upstream_pool_idle_count(scene->pool) == 0);
    owner_deinit(&owner);
}

/* --- large bodies --- */

enum { LARGE = 5 << 20 };

static void
test_large_body_with_a_length(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake,
           {.text = "HTTP/1.1 200 OK\r\nContent-Length: 5242880\r\n\r\n", .pattern_len = LARGE});
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner_start(&owner);
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, LARGE);
    assert_int_equal(upstream_pool_idle_count(scene->pool), 1);
}

static void
test_large_body_to_the_end(void **state)
{
    struct scene *scene = *state;
    struct owner owner;
    script(&scene->fake,
           {.text = "HTTP/1.1 200 OK\r\n\r\n", .pattern_len = LARGE, .end = FAKE_CLOSES});
    owner_init(&owner, scene, "GET", "/");
    owner.keeps_no_data = true;
    owner_start(&owner);
    owner_wait(&owner);
    assert_result(&owner, DONE, "");
    assert_int_equal(owner.data_len, LARGE);
}

static void
test_results_have_names(void **state)
{
    assert_string_equal(exchange_result_name(EXCHANGE_DONE), "done");
    assert_string_equal(exchange_result_name(EXCHANGE_NO_MEMORY), "no_memory");
    assert_int_equal(exchange_result_status(EXCHANGE_TIMEOUT), 504);
    assert_int_equal(exchange_result_status(EXCHANGE_FORBIDDEN), 403);
    assert_int_equal(exchange_result_status(EXCHANGE_CLOSED), 502);
}

static int
run_group(const char *name)
{
    const struct CMUnitTest tests[] = {
        with_scene(test_get),
        with_scene(test_fields_and_host),
        with_scene(test_methods_that_say_that_there_is_no_body),
        with_scene(test_requests_that_cannot_be_sent),
        with_scene(test_responses_whole),
        with_scene(test_responses_byte_by_byte),
        with_scene(test_responses_in_pieces),
        with_scene(test_responses_cut_everywhere),
        with_scene(test_responses_reset_everywhere),
        with_scene(test_interim_responses_are_told),
        with_scene(test_interim_responses_are_bounded),
        with_scene(test_change_of_protocol_is_refused),
        with_scene(test_malformed_responses),
        with_scene(test_malformed_chunks),
        with_scene(test_large_heads),
        with_scene(test_too_many_fields),
        with_scene(test_bytes_behind_the_response),
        with_scene(test_bytes_to_an_idle_connection),
        with_scene(test_large_body_with_a_length),
        with_scene(test_large_body_to_the_end),
        cmocka_unit_test(test_results_have_names),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int
main(void)
{
    return run_on_both("exchange", run_group);
}
